/*
 * Sequenced lists: lock-free stacks in a 16-byte head.
 *
 * The head holds the first entry, the depth, and a sequence that every change advances, so that a
 * compare-exchange of all sixteen bytes cannot take a head that came back for one that stayed (the
 * first eight bytes: depth 16, sequence 48; the others: the first entry's address, whose low four bits
 * are zero). A pop reads the next pointer of an entry that another processor may have popped, freed
 * and unmapped meanwhile; the value is then thrown away by the exchange. If the read faults, the trap
 * handler asks ExpRecoverSListFault, and the pop begins again.
 *
 * Any IRQL; the head and the entries are resident. Documents: ExInitializeSListHead,
 * InterlockedPushEntrySList and companions.
 */
#include <ke/ke.h>
#include <ntexport.h>
#include "slist.h"

/* The one instruction of a pop that may fault, and where it starts again. */
extern const UCHAR ExpInterlockedPopEntrySListFault[];
extern const UCHAR ExpInterlockedPopEntrySListResume[];

BOOLEAN
ExpRecoverSListFault(ULONG64 *Rip)
{
    if (*Rip != (ULONG64)(ULONG_PTR)ExpInterlockedPopEntrySListFault) {
        return FALSE;
    }
    *Rip = (ULONG64)(ULONG_PTR)ExpInterlockedPopEntrySListResume;
    return TRUE;
}

/*
 * Depth and sequence are one number whose low half wraps into nothing: depth + 1 beyond 65,535 would carry
 * into the sequence, which does no harm, since the sequence only has to differ.
 */
#define EXP_PUSH 0x10001ull /* depth + 1, sequence + 1 */
#define EXP_POP  0x0FFFFull /* depth - 1, sequence + 1 */

/* Compare-exchange all of the head. FALSE: *Expected now holds what it is. */
static BOOLEAN
ExpExchangeHead(PSLIST_HEADER Head, SLIST_HEADER *Expected, ULONG64 Alignment, ULONG64 Region)
{
    BOOLEAN Done;

    __asm__ volatile("lock cmpxchg16b %1"
                     : "=@ccz"(Done), "+m"(*Head), "+a"(Expected->Alignment), "+d"(Expected->Region)
                     : "b"(Alignment), "c"(Region)
                     : "memory");
    return Done;
}

/* A first guess, possibly torn; the exchange tells. */
static SLIST_HEADER
ExpReadHead(PSLIST_HEADER Head)
{
    SLIST_HEADER Value;

    Value.Alignment = __atomic_load_n(&Head->Alignment, __ATOMIC_RELAXED);
    Value.Region = __atomic_load_n(&Head->Region, __ATOMIC_RELAXED);
    return Value;
}

/* Make an empty list. A head that is not 16-byte aligned raises STATUS_DATATYPE_MISALIGNMENT. Any IRQL. */
VOID NTAPI
InitializeSListHead(PSLIST_HEADER SListHead)
{
    if ((ULONG_PTR)SListHead & 15) {
        KiRaiseStatus(STATUS_DATATYPE_MISALIGNMENT);
    }
    SListHead->Alignment = 0;
    SListHead->Region = 0;
}
NTEXPORT(InitializeSListHead);

/* The same under its older name. */
VOID NTAPI
ExInitializeSListHead(PSLIST_HEADER SListHead)
{
    InitializeSListHead(SListHead);
}
NTEXPORT(ExInitializeSListHead);

/*
 * Take the entry pushed last; NULL if there is none. The read of its Next stands between the two labels, in
 * registers that the whole loop keeps, so that a fault there can start the loop again.
 */
DECLSPEC_NOINLINE PSLIST_ENTRY NTAPI
ExpInterlockedPopEntrySList(PSLIST_HEADER ListHead)
{
    ULONG64 First;

    __asm__ volatile(".globl ExpInterlockedPopEntrySListResume\n"
                     ".globl ExpInterlockedPopEntrySListFault\n"
                     "ExpInterlockedPopEntrySListResume:\n\t"
                     "movq (%[Head]), %%rax\n\t"
                     "movq 8(%[Head]), %%rdx\n"
                     "1:\n\t"
                     "movq %%rdx, %[First]\n\t"
                     "andq $-16, %[First]\n\t"
                     "jz 2f\n\t"
                     "leaq %c[Pop](%%rax), %%rbx\n"
                     "ExpInterlockedPopEntrySListFault:\n\t"
                     "movq (%[First]), %%rcx\n\t"
                     "lock cmpxchg16b (%[Head])\n\t"
                     "jnz 1b\n"
                     "2:"
                     : [First] "=&r"(First)
                     : [Head] "r"(ListHead), [Pop] "i"(EXP_POP)
                     : "rax", "rbx", "rcx", "rdx", "memory", "cc");
    return (PSLIST_ENTRY)(ULONG_PTR)First;
}
NTEXPORT(ExpInterlockedPopEntrySList);

/* Add an entry; returns the one that was first before, NULL if none was. */
PSLIST_ENTRY NTAPI
ExpInterlockedPushEntrySList(PSLIST_HEADER ListHead, PSLIST_ENTRY ListEntry)
{
    SLIST_HEADER Old = ExpReadHead(ListHead);

    NT_ASSERT(((ULONG_PTR)ListEntry & 15) == 0);
    do {
        ListEntry->Next = (PSLIST_ENTRY)(ULONG_PTR)(Old.Region & ~15ull);
    } while (!ExpExchangeHead(ListHead, &Old, Old.Alignment + EXP_PUSH, (ULONG64)(ULONG_PTR)ListEntry));
    return ListEntry->Next;
}
NTEXPORT(ExpInterlockedPushEntrySList);

/* Take all entries, newest first; NULL if there are none. */
PSLIST_ENTRY NTAPI
ExpInterlockedFlushSList(PSLIST_HEADER ListHead)
{
    SLIST_HEADER Old = ExpReadHead(ListHead);

    do {
        if ((Old.Region & ~15ull) == 0) {
            return NULL;
        }
    } while (!ExpExchangeHead(ListHead, &Old, (Old.Alignment & ~0xFFFFull) + 0x10000, 0));
    return (PSLIST_ENTRY)(ULONG_PTR)(Old.Region & ~15ull);
}
NTEXPORT(ExpInterlockedFlushSList);

/* How many entries, modulo 65,536, there were a moment ago. */
USHORT NTAPI
ExQueryDepthSList(PSLIST_HEADER SListHead)
{
    return (USHORT)__atomic_load_n(&SListHead->Alignment, __ATOMIC_RELAXED);
}
NTEXPORT(ExQueryDepthSList);

NTEXPORT_AS("ExInterlockedPopEntrySList", ExpInterlockedPopEntrySList);
NTEXPORT_AS("ExInterlockedPushEntrySList", ExpInterlockedPushEntrySList);
NTEXPORT_AS("ExInterlockedFlushSList", ExpInterlockedFlushSList);
