/*
 * ntexport.h - the export table of ntoskrnl.exe, gathered by the linker. Core only; drivers do not
 * include it.
 *
 * Beside the definition of a routine that an image may import stands NTEXPORT(Name);, beside a
 * variable NTEXPORT_DATA(Name);. Each makes one constant record in the section "ntexports"; the
 * loader reads the records between __start_ntexports and __stop_ntexports, in no order. A routine
 * listed here is NTAPI and really does what its document says: an image's import of any other name
 * is reported as missing.
 */
#ifndef NTMM_NTEXPORT_H
#define NTMM_NTEXPORT_H

#include "ntdef.h"

/* Flags: the variable's value may change while images run, so a copy would go stale. */
#define NT_EXPORT_VOLATILE 0x1

typedef struct _NT_EXPORT {
    const char *Name;    /* as an image imports it */
    const void *Address; /* the routine or the variable */
    ULONG Size;          /* 0 for a routine, the bytes of a variable */
    ULONG Flags;         /* NT_EXPORT_* */
} NT_EXPORT, *PNT_EXPORT;
C_ASSERT(sizeof(NT_EXPORT) == 0x18);

extern const NT_EXPORT __start_ntexports[];
extern const NT_EXPORT __stop_ntexports[];

/*
 * AddressSanitizer must not put red zones between the records of a table that is walked as one
 * array. gcc spares named sections by itself, clang is told.
 */
#ifdef __clang__
#define NTEXPORT_NO_REDZONE __attribute__((no_sanitize("address")))
#else
#define NTEXPORT_NO_REDZONE
#endif

#define NTEXPORT_PASTE(Serial) NtExport_##Serial
#define NTEXPORT_VARIABLE(Serial) NTEXPORT_PASTE(Serial)
#define NTEXPORT_RECORD(NameText, Symbol, Bytes, Bits)                                             \
    static const NT_EXPORT NTEXPORT_VARIABLE(__COUNTER__)                                          \
        __attribute__((used, section("ntexports"), aligned(8))) NTEXPORT_NO_REDZONE = {            \
            NameText, (const void *)&Symbol, (Bytes), (Bits)}

/* Export routine Name under its own name. */
#define NTEXPORT(Name) NTEXPORT_RECORD(#Name, Name, 0, 0)

/* Export routine Symbol under another name, a string literal: NTEXPORT_AS("memcpy", NtCrtMemcpy);
 * one symbol may go out under several names. */
#define NTEXPORT_AS(NameText, Symbol) NTEXPORT_RECORD(NameText, Symbol, 0, 0)

/* Export variable Name, constant after initialization. */
#define NTEXPORT_DATA(Name) NTEXPORT_RECORD(#Name, Name, sizeof(Name), 0)

/* Export variable Symbol under another name, a string literal. */
#define NTEXPORT_DATA_AS(NameText, Symbol) NTEXPORT_RECORD(NameText, Symbol, sizeof(Symbol), 0)

#endif
