/*
 * The host's system calls, without its library: no errno, no XMM registers, no cancellation points.
 * Each returns what the kernel does: a negative error number, or the result.
 */
#ifndef HAL_HOSTED_HOSTSYS_H
#define HAL_HOSTED_HOSTSYS_H

#include <asm/unistd.h>
#include <linux/mman.h>

static inline LONG64
HalpCall6(LONG64 Number, ULONG64 A1, ULONG64 A2, ULONG64 A3, ULONG64 A4, ULONG64 A5, ULONG64 A6)
{
    register ULONG64 R10 __asm__("r10") = A4;
    register ULONG64 R8 __asm__("r8") = A5;
    register ULONG64 R9 __asm__("r9") = A6;
    LONG64 Result;

    __asm__ volatile("syscall"
                     : "=a"(Result)
                     : "a"(Number), "D"(A1), "S"(A2), "d"(A3), "r"(R10), "r"(R8), "r"(R9)
                     : "rcx", "r11", "memory");
    return Result;
}

static inline LONG64
HalpHostMap(ULONG_PTR Va, SIZE_T Bytes, ULONG Protection, ULONG Flags, int File, ULONG64 Offset)
{
    return HalpCall6(__NR_mmap, Va, Bytes, Protection, Flags, (ULONG64)(LONG64)File, Offset);
}

static inline LONG64
HalpHostUnmap(ULONG_PTR Va, SIZE_T Bytes)
{
    return HalpCall6(__NR_munmap, Va, Bytes, 0, 0, 0, 0);
}

static inline LONG64
HalpHostProtect(ULONG_PTR Va, SIZE_T Bytes, ULONG Protection)
{
    return HalpCall6(__NR_mprotect, Va, Bytes, Protection, 0, 0, 0);
}

static inline LONG64
HalpHostWrite(int File, const VOID *Bytes, SIZE_T Length)
{
    return HalpCall6(__NR_write, (ULONG64)(LONG64)File, (ULONG_PTR)Bytes, Length, 0, 0, 0);
}

static inline VOID DECLSPEC_NORETURN
HalpHostExit(ULONG Status)
{
    for (;;) {
        HalpCall6(__NR_exit_group, Status, 0, 0, 0, 0, 0);
    }
}

#endif
