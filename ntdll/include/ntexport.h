/*
 * ntexport.h - the exports of ntdll.dll. The core's files that ntdll shares say what is public by the same words; here each
 * becomes an order to the linker. Found before include/ntexport.h.
 */
#ifndef NTMM_NTEXPORT_H
#define NTMM_NTEXPORT_H

#include <ntdef.h>

#define NTEXPORT_DIRECTIVE(Text) __asm__(".section .drectve,\"yn\"\n\t.ascii \" -export:" Text "\"\n\t.text")

/* A routine may be known by its exported name alone: keep it, and let the linker see it. */
#define NTEXPORT_PASTE(Serial) NtExport_##Serial
#define NTEXPORT_VARIABLE(Serial) NTEXPORT_PASTE(Serial)
#define NTEXPORT_KEEP(Symbol)                                                                                 \
    static const void *const NTEXPORT_VARIABLE(__COUNTER__) __attribute__((used)) = (const void *)&Symbol;    \
    __asm__(".globl " #Symbol)

#define NTEXPORT(Name) NTEXPORT_DIRECTIVE("\\\"" #Name "\\\"")
#define NTEXPORT_AS(NameText, Symbol)                                                                         \
    NTEXPORT_KEEP(Symbol);                                                                                    \
    NTEXPORT_DIRECTIVE("\\\"" NameText "\\\"=\\\"" #Symbol "\\\"")
#define NTEXPORT_DATA(Name) NTEXPORT_DIRECTIVE("\\\"" #Name "\\\",data")
#define NTEXPORT_DATA_AS(NameText, Symbol) NTEXPORT_DIRECTIVE("\\\"" NameText "\\\"=\\\"" #Symbol "\\\",data")

#endif
