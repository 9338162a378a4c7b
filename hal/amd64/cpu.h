/*
 * Instructions that C has no words for, and the registers' bits that this machine uses.
 */
#ifndef HAL_AMD64_CPU_H
#define HAL_AMD64_CPU_H

#include <ntdef.h>

#define HALP_CR0_NUMERIC_ERROR 0x20ull
#define HALP_CR0_MONITOR       0x2ull
#define HALP_CR0_PROTECTED     0x1ull
#define HALP_CR0_WRITE_PROTECT 0x10000ull
#define HALP_CR0_PAGING        0x80000000ull
#define HALP_CR4_PAE           0x20ull
#define HALP_CR4_MACHINE_CHECK 0x40ull
#define HALP_CR4_GLOBAL        0x80ull
#define HALP_CR4_FXSR          0x200ull
#define HALP_CR4_XMM_EXCEPTION 0x400ull
#define HALP_CR4_UMIP          0x800ull
#define HALP_CR4_SMEP          0x100000ull

#define HALP_MSR_APIC_BASE 0x1Bu
#define HALP_MSR_PAT       0x277u
#define HALP_MSR_EFER      0xC0000080u
#define HALP_MSR_GS_BASE   0xC0000101u

#define HALP_EFER_NO_EXECUTE 0x800ull

static inline UCHAR
HalpIn8(USHORT Port)
{
    UCHAR Value;

    __asm__ volatile("inb %1, %0" : "=a"(Value) : "Nd"(Port));
    return Value;
}

static inline VOID
HalpOut8(USHORT Port, UCHAR Value)
{
    __asm__ volatile("outb %0, %1" ::"a"(Value), "Nd"(Port));
}

static inline VOID
HalpOut32(USHORT Port, ULONG Value)
{
    __asm__ volatile("outl %0, %1" ::"a"(Value), "Nd"(Port));
}

static inline ULONG64
HalpReadMsr(ULONG Register)
{
    ULONG Low;
    ULONG High;

    __asm__ volatile("rdmsr" : "=a"(Low), "=d"(High) : "c"(Register));
    return Low | (ULONG64)High << 32;
}

static inline VOID
HalpWriteMsr(ULONG Register, ULONG64 Value)
{
    __asm__ volatile("wrmsr" ::"a"((ULONG)Value), "d"((ULONG)(Value >> 32)), "c"(Register) : "memory");
}

typedef struct _HALP_CPUID {
    ULONG Eax, Ebx, Ecx, Edx;
} HALP_CPUID;

static inline HALP_CPUID
HalpCpuid(ULONG Leaf)
{
    HALP_CPUID Result;

    __asm__ volatile("cpuid"
                     : "=a"(Result.Eax), "=b"(Result.Ebx), "=c"(Result.Ecx), "=d"(Result.Edx)
                     : "a"(Leaf), "c"(0));
    return Result;
}

/* Not moved over the instructions around it. */
static inline ULONG64
HalpReadTsc(VOID)
{
    ULONG Low;
    ULONG High;

    __asm__ volatile("lfence; rdtsc; lfence" : "=a"(Low), "=d"(High)::"memory");
    return Low | (ULONG64)High << 32;
}

static inline ULONG64
HalpReadCr4(VOID)
{
    ULONG64 Value;

    __asm__ volatile("movq %%cr4, %0" : "=r"(Value));
    return Value;
}

static inline VOID
HalpWriteCr4(ULONG64 Value)
{
    __asm__ volatile("movq %0, %%cr4" ::"r"(Value) : "memory");
}

#endif
