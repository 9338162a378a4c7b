/*
 * Lists and sums guarded by a driver's spin lock, usable at any IRQL: the lock is held at HIGH_LEVEL, so that
 * an interrupt routine on this processor cannot find it taken. Such a lock is used with these routines only.
 * Nothing blocks or fails; a processor that holds the lock already is bug check 0x0F.
 *
 * Document: "Singly and Doubly Linked Lists".
 */
#include "ex.h"
#include <ntexport.h>

static KIRQL
ExpLock(PKSPIN_LOCK Lock)
{
    KIRQL OldIrql = KiRaiseIrql(HIGH_LEVEL);

    HalChoicePoint(HalChoiceLock);
    if (!KiTakeLockWord(Lock)) {
        KiSpinForLock(Lock);
    }
    return OldIrql;
}

static VOID
ExpUnlock(PKSPIN_LOCK Lock, KIRQL OldIrql)
{
    __atomic_store_n(Lock, 0, __ATOMIC_RELEASE);
    KiLowerIrql(OldIrql);
}

/* Insert at the head, or the tail; returns what was first (last) before, NULL if the list was empty. Any
 * IRQL. */
PLIST_ENTRY NTAPI
ExInterlockedInsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock)
{
    KIRQL OldIrql = ExpLock(Lock);
    PLIST_ENTRY First = ListHead->Flink;

    InsertHeadList(ListHead, ListEntry);
    ExpUnlock(Lock, OldIrql);
    return First == ListHead ? NULL : First;
}
NTEXPORT(ExInterlockedInsertHeadList);

PLIST_ENTRY NTAPI
ExInterlockedInsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListEntry, PKSPIN_LOCK Lock)
{
    KIRQL OldIrql = ExpLock(Lock);
    PLIST_ENTRY Last = ListHead->Blink;

    InsertTailList(ListHead, ListEntry);
    ExpUnlock(Lock, OldIrql);
    return Last == ListHead ? NULL : Last;
}
NTEXPORT(ExInterlockedInsertTailList);

/* Remove the first entry; NULL if the list is empty. Any IRQL. */
PLIST_ENTRY NTAPI
ExInterlockedRemoveHeadList(PLIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    KIRQL OldIrql = ExpLock(Lock);
    PLIST_ENTRY Entry = IsListEmpty(ListHead) ? NULL : RemoveHeadList(ListHead);

    ExpUnlock(Lock, OldIrql);
    return Entry;
}
NTEXPORT(ExInterlockedRemoveHeadList);

/* Remove the first entry of a singly linked list; NULL if it is empty. Any IRQL. */
PSINGLE_LIST_ENTRY NTAPI
ExInterlockedPopEntryList(PSINGLE_LIST_ENTRY ListHead, PKSPIN_LOCK Lock)
{
    KIRQL OldIrql = ExpLock(Lock);
    PSINGLE_LIST_ENTRY Entry = ListHead->Next;

    if (Entry != NULL) {
        ListHead->Next = Entry->Next;
    }
    ExpUnlock(Lock, OldIrql);
    return Entry;
}
NTEXPORT(ExInterlockedPopEntryList);

/* Insert at its head; returns what was first before, NULL if it was empty. Any IRQL. */
PSINGLE_LIST_ENTRY NTAPI
ExInterlockedPushEntryList(PSINGLE_LIST_ENTRY ListHead, PSINGLE_LIST_ENTRY ListEntry, PKSPIN_LOCK Lock)
{
    KIRQL OldIrql = ExpLock(Lock);
    PSINGLE_LIST_ENTRY First = ListHead->Next;

    ListEntry->Next = First;
    ListHead->Next = ListEntry;
    ExpUnlock(Lock, OldIrql);
    return First;
}
NTEXPORT(ExInterlockedPushEntryList);

/* Add Increment and return the sum before; sums wrap. Any IRQL. */
LARGE_INTEGER NTAPI
ExInterlockedAddLargeInteger(PLARGE_INTEGER Addend, LARGE_INTEGER Increment, PKSPIN_LOCK Lock)
{
    KIRQL OldIrql = ExpLock(Lock);
    LARGE_INTEGER Old = *Addend;

    Addend->QuadPart = (LONGLONG)((ULONGLONG)Old.QuadPart + (ULONGLONG)Increment.QuadPart);
    ExpUnlock(Lock, OldIrql);
    return Old;
}
NTEXPORT(ExInterlockedAddLargeInteger);

ULONG NTAPI
ExInterlockedAddUlong(PULONG Addend, ULONG Increment, PKSPIN_LOCK Lock)
{
    KIRQL OldIrql = ExpLock(Lock);
    ULONG Old = *Addend;

    *Addend = Old + Increment;
    ExpUnlock(Lock, OldIrql);
    return Old;
}
NTEXPORT(ExInterlockedAddUlong);
