/*
 * wdmintl.h - interlocked operations, barriers, linked lists. Part of wdm.h.
 *
 * Everything here is inline and may be used at any IRQL. Interlocked operations are full barriers;
 * targets are naturally aligned. The list routines check the neighbours' links before they change
 * them and fail fast (bug check 0x139, parameter 1 = 3) when a list is damaged; they take no lock.
 */
#ifndef NTMM_WDMINTL_H
#define NTMM_WDMINTL_H

#include "ntdef.h"

EXTERN_C_START

/* ---- Barriers ---- */

/* Orders all memory accesses before it against all after it. */
FORCEINLINE VOID
KeMemoryBarrier(VOID)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Orders the compiler's accesses only. */
FORCEINLINE VOID
KeMemoryBarrierWithoutFence(VOID)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Tells the processor that this is a spin loop. */
#ifndef YieldProcessor
#define YieldProcessor() __asm__ __volatile__("pause" : : : "memory")
#endif
#ifndef MemoryBarrier
#define MemoryBarrier() KeMemoryBarrier()
#endif
#define _ReadWriteBarrier() KeMemoryBarrierWithoutFence()

/* ---- Interlocked operations. Increment, Decrement and the 64-bit and bit operations named after
 * what they compute; Exchange, ExchangeAdd, And, Or, Xor and CompareExchange return the value that
 * the target had before, Increment, Decrement and Add the value it has after. ---- */

#define NT_INTERLOCKED(Suffix, Type)                                                               \
    FORCEINLINE Type InterlockedIncrement##Suffix(_Inout_ Type volatile *Addend)                   \
    {                                                                                              \
        return __atomic_add_fetch(Addend, 1, __ATOMIC_SEQ_CST);                                    \
    }                                                                                              \
    FORCEINLINE Type InterlockedDecrement##Suffix(_Inout_ Type volatile *Addend)                   \
    {                                                                                              \
        return __atomic_sub_fetch(Addend, 1, __ATOMIC_SEQ_CST);                                    \
    }                                                                                              \
    FORCEINLINE Type InterlockedExchange##Suffix(_Inout_ Type volatile *Target, _In_ Type Value)   \
    {                                                                                              \
        return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);                               \
    }                                                                                              \
    FORCEINLINE Type InterlockedExchangeAdd##Suffix(_Inout_ Type volatile *Addend,                 \
                                                    _In_ Type Value)                               \
    {                                                                                              \
        return __atomic_fetch_add(Addend, Value, __ATOMIC_SEQ_CST);                                \
    }                                                                                              \
    FORCEINLINE Type InterlockedAdd##Suffix(_Inout_ Type volatile *Addend, _In_ Type Value)        \
    {                                                                                              \
        return __atomic_add_fetch(Addend, Value, __ATOMIC_SEQ_CST);                                \
    }                                                                                              \
    FORCEINLINE Type InterlockedAnd##Suffix(_Inout_ Type volatile *Target, _In_ Type Mask)         \
    {                                                                                              \
        return __atomic_fetch_and(Target, Mask, __ATOMIC_SEQ_CST);                                 \
    }                                                                                              \
    FORCEINLINE Type InterlockedOr##Suffix(_Inout_ Type volatile *Target, _In_ Type Mask)          \
    {                                                                                              \
        return __atomic_fetch_or(Target, Mask, __ATOMIC_SEQ_CST);                                  \
    }                                                                                              \
    FORCEINLINE Type InterlockedXor##Suffix(_Inout_ Type volatile *Target, _In_ Type Mask)         \
    {                                                                                              \
        return __atomic_fetch_xor(Target, Mask, __ATOMIC_SEQ_CST);                                 \
    }                                                                                              \
    FORCEINLINE Type InterlockedCompareExchange##Suffix(_Inout_ Type volatile *Target,             \
                                                        _In_ Type Value, _In_ Type Comparand)      \
    {                                                                                              \
        __atomic_compare_exchange_n(Target, &Comparand, Value, 0, __ATOMIC_SEQ_CST,                \
                                    __ATOMIC_SEQ_CST);                                             \
        return Comparand;                                                                          \
    }                                                                                              \
    C_ASSERT(sizeof(Type) <= 8)

NT_INTERLOCKED(, LONG);
NT_INTERLOCKED(64, LONG64);
NT_INTERLOCKED(16, SHORT);
NT_INTERLOCKED(8, CHAR);

/* Store Value in *Target; the old pointer is returned. */
FORCEINLINE PVOID
InterlockedExchangePointer(_Inout_ PVOID volatile *Target, _In_opt_ PVOID Value)
{
    return __atomic_exchange_n(Target, Value, __ATOMIC_SEQ_CST);
}

/* Store Exchange in *Target if it holds Comparand; the old pointer is returned. */
FORCEINLINE PVOID
InterlockedCompareExchangePointer(_Inout_ PVOID volatile *Target, _In_opt_ PVOID Exchange,
                                  _In_opt_ PVOID Comparand)
{
    __atomic_compare_exchange_n(Target, &Comparand, Exchange, 0, __ATOMIC_SEQ_CST,
                                __ATOMIC_SEQ_CST);
    return Comparand;
}

/*
 * Compare 16 bytes at Target (16-aligned) with Comparand[0..1] and store High:Low if they are
 * equal. Returns 1 if stored; Comparand receives the old value either way.
 */
FORCEINLINE UCHAR
InterlockedCompareExchange128(_Inout_ LONG64 volatile *Target, _In_ LONG64 High, _In_ LONG64 Low,
                              _Inout_ LONG64 *Comparand)
{
    UCHAR Stored;

    __asm__ __volatile__("lock cmpxchg16b %[Target]"
                         : [Target] "+m"(*(LONG64 volatile(*)[2])Target), "=@ccz"(Stored),
                           "+a"(Comparand[0]), "+d"(Comparand[1])
                         : "b"(Low), "c"(High)
                         : "memory");
    return Stored;
}

/* Set or clear one bit of a LONG array; the bit's old value is returned. */
FORCEINLINE UCHAR
InterlockedBitTestAndSet(_Inout_ LONG volatile *Base, _In_ LONG Bit)
{
    LONG Mask = (LONG)(1u << (Bit & 31));

    return (__atomic_fetch_or(Base + (Bit >> 5), Mask, __ATOMIC_SEQ_CST) & Mask) != 0;
}

FORCEINLINE UCHAR
InterlockedBitTestAndReset(_Inout_ LONG volatile *Base, _In_ LONG Bit)
{
    LONG Mask = (LONG)(1u << (Bit & 31));

    return (__atomic_fetch_and(Base + (Bit >> 5), ~Mask, __ATOMIC_SEQ_CST) & Mask) != 0;
}

/* Typed loads and stores that the compiler neither splits nor repeats. */
#define ReadNoFence(Source) __atomic_load_n(Source, __ATOMIC_RELAXED)
#define ReadAcquire(Source) __atomic_load_n(Source, __ATOMIC_ACQUIRE)
#define WriteNoFence(Target, Value) __atomic_store_n(Target, Value, __ATOMIC_RELAXED)
#define WriteRelease(Target, Value) __atomic_store_n(Target, Value, __ATOMIC_RELEASE)
#define ReadULongNoFence(Source) ReadNoFence(Source)
#define ReadULong64NoFence(Source) ReadNoFence(Source)
#define ReadPointerNoFence(Source) ReadNoFence(Source)
#define ReadPointerAcquire(Source) ReadAcquire(Source)

/* ---- Doubly linked lists ---- */

/* The head's links are only ever changed under the caller's lock. */
FORCEINLINE VOID
InitializeListHead(_Out_ PLIST_ENTRY ListHead)
{
    ListHead->Flink = ListHead->Blink = ListHead;
}

FORCEINLINE BOOLEAN
IsListEmpty(_In_ const LIST_ENTRY *ListHead)
{
    return ListHead->Flink == ListHead;
}

/* Fails fast unless both neighbours point back at Entry. */
FORCEINLINE VOID
RtlpCheckListEntry(_In_ PLIST_ENTRY Entry)
{
    if (Entry->Flink->Blink != Entry || Entry->Blink->Flink != Entry) {
        RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
    }
}

/* Unlink Entry; TRUE if the list is empty now. Entry's own links stay as they were. */
FORCEINLINE BOOLEAN
RemoveEntryList(_In_ PLIST_ENTRY Entry)
{
    PLIST_ENTRY Next = Entry->Flink;
    PLIST_ENTRY Previous = Entry->Blink;

    if (Next->Blink != Entry || Previous->Flink != Entry) {
        RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
    }
    Previous->Flink = Next;
    Next->Blink = Previous;
    return Next == Previous;
}

/* Unlink and return the first entry; the head itself if the list is empty. */
FORCEINLINE PLIST_ENTRY
RemoveHeadList(_Inout_ PLIST_ENTRY ListHead)
{
    PLIST_ENTRY Entry = ListHead->Flink;
    PLIST_ENTRY Next = Entry->Flink;

    if (Entry->Blink != ListHead || Next->Blink != Entry) {
        RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
    }
    ListHead->Flink = Next;
    Next->Blink = ListHead;
    return Entry;
}

/* Unlink and return the last entry; the head itself if the list is empty. */
FORCEINLINE PLIST_ENTRY
RemoveTailList(_Inout_ PLIST_ENTRY ListHead)
{
    PLIST_ENTRY Entry = ListHead->Blink;
    PLIST_ENTRY Previous = Entry->Blink;

    if (Entry->Flink != ListHead || Previous->Flink != Entry) {
        RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
    }
    ListHead->Blink = Previous;
    Previous->Flink = ListHead;
    return Entry;
}

FORCEINLINE VOID
InsertTailList(_Inout_ PLIST_ENTRY ListHead, _Out_ PLIST_ENTRY Entry)
{
    PLIST_ENTRY Last = ListHead->Blink;

    if (Last->Flink != ListHead) {
        RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
    }
    Entry->Flink = ListHead;
    Entry->Blink = Last;
    Last->Flink = Entry;
    ListHead->Blink = Entry;
}

FORCEINLINE VOID
InsertHeadList(_Inout_ PLIST_ENTRY ListHead, _Out_ PLIST_ENTRY Entry)
{
    PLIST_ENTRY First = ListHead->Flink;

    if (First->Blink != ListHead) {
        RtlFailFast(FAST_FAIL_CORRUPT_LIST_ENTRY);
    }
    Entry->Flink = First;
    Entry->Blink = ListHead;
    First->Blink = Entry;
    ListHead->Flink = Entry;
}

/* Append the headless ring that contains ListToAppend. */
FORCEINLINE VOID
AppendTailList(_Inout_ PLIST_ENTRY ListHead, _Inout_ PLIST_ENTRY ListToAppend)
{
    PLIST_ENTRY Last = ListHead->Blink;

    RtlpCheckListEntry(ListHead);
    RtlpCheckListEntry(ListToAppend);
    ListHead->Blink->Flink = ListToAppend;
    ListHead->Blink = ListToAppend->Blink;
    ListToAppend->Blink->Flink = ListHead;
    ListToAppend->Blink = Last;
}

/* ---- Singly linked lists ---- */

/* Unlink and return the first entry, NULL if there is none. */
FORCEINLINE PSINGLE_LIST_ENTRY
PopEntryList(_Inout_ PSINGLE_LIST_ENTRY ListHead)
{
    PSINGLE_LIST_ENTRY First = ListHead->Next;

    if (First != NULL) {
        ListHead->Next = First->Next;
    }
    return First;
}

FORCEINLINE VOID
PushEntryList(_Inout_ PSINGLE_LIST_ENTRY ListHead, _Inout_ PSINGLE_LIST_ENTRY Entry)
{
    Entry->Next = ListHead->Next;
    ListHead->Next = Entry;
}

/* ---- Sequenced lists: lock-free stacks of 16-byte aligned entries in nonpaged memory ---- */

/* Make an empty list. Raises STATUS_DATATYPE_MISALIGNMENT unless the head is 16-byte aligned. */
NTKERNELAPI VOID NTAPI InitializeSListHead(_Out_ PSLIST_HEADER SListHead);
#ifdef _WIN32
#define ExInitializeSListHead InitializeSListHead
#else
NTKERNELAPI VOID NTAPI ExInitializeSListHead(_Out_ PSLIST_HEADER SListHead);
#endif

/* Take the newest entry, NULL if the list is empty. Entries' memory must stay mapped. */
NTKERNELAPI PSLIST_ENTRY NTAPI ExpInterlockedPopEntrySList(_Inout_ PSLIST_HEADER ListHead);

/* Add an entry; the entry that was first before is returned, NULL if there was none. */
NTKERNELAPI PSLIST_ENTRY NTAPI ExpInterlockedPushEntrySList(_Inout_ PSLIST_HEADER ListHead,
                                                            _Inout_ PSLIST_ENTRY ListEntry);

/* Take all entries at once, newest first, linked through Next. */
NTKERNELAPI PSLIST_ENTRY NTAPI ExpInterlockedFlushSList(_Inout_ PSLIST_HEADER ListHead);

/* Entries on the list, 16 bits of it; a hint. */
NTKERNELAPI USHORT NTAPI ExQueryDepthSList(_In_ PSLIST_HEADER SListHead);

/* The spin lock argument of the older forms is not used. */
#define ExInterlockedPopEntrySList(Head, Lock) ExpInterlockedPopEntrySList(Head)
#define ExInterlockedPushEntrySList(Head, Entry, Lock) ExpInterlockedPushEntrySList(Head, Entry)
#define ExInterlockedFlushSList(Head) ExpInterlockedFlushSList(Head)
#define InterlockedPopEntrySList(Head) ExpInterlockedPopEntrySList(Head)
#define InterlockedPushEntrySList(Head, Entry) ExpInterlockedPushEntrySList(Head, Entry)
#define InterlockedFlushSList(Head) ExpInterlockedFlushSList(Head)
#define QueryDepthSList(Head) ExQueryDepthSList(Head)

EXTERN_C_END

#endif
