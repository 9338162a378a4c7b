/*
 * Critical sections. LockCount counts the owner and the waiters from -1; the thread that finds it free owns it, others wait for an event
 * that is made when the first of them comes. The owner's leaving sets the event once for each waiter it finds.
 * Document: "Critical Section Objects".
 */
#include "ntdll.h"
#include <ntexport.h>

NTSTATUS NTAPI
RtlInitializeCriticalSectionAndSpinCount(PRTL_CRITICAL_SECTION Section, ULONG SpinCount)
{
    *Section = (RTL_CRITICAL_SECTION){.LockCount = -1, .SpinCount = SpinCount & 0xFFFFFF};
    return STATUS_SUCCESS;
}
NTEXPORT(RtlInitializeCriticalSectionAndSpinCount);

NTSTATUS NTAPI
RtlInitializeCriticalSection(PRTL_CRITICAL_SECTION Section)
{
    return RtlInitializeCriticalSectionAndSpinCount(Section, 0);
}
NTEXPORT(RtlInitializeCriticalSection);

/* The event of a section; NULL if there are no resources for one. */
static HANDLE
RtlpSectionEvent(PRTL_CRITICAL_SECTION Section)
{
    HANDLE Event = __atomic_load_n(&Section->LockSemaphore, __ATOMIC_ACQUIRE), Expected = NULL;

    if (Event == NULL && NT_SUCCESS(NtCreateEvent(&Event, EVENT_ALL_ACCESS, NULL, SynchronizationEvent, FALSE)) &&
        !__atomic_compare_exchange_n(&Section->LockSemaphore, &Expected, Event, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        NtClose(Event);
        Event = Expected;
    }
    return Event;
}

static VOID
RtlpOwnSection(PRTL_CRITICAL_SECTION Section)
{
    Section->OwningThread = NtCurrentTeb()->ClientId.UniqueThread;
    Section->RecursionCount = 1;
}

/* Own the section, again if the thread does already; waits for another owner. */
NTSTATUS NTAPI
RtlEnterCriticalSection(PRTL_CRITICAL_SECTION Section)
{
    HANDLE Event;

    if (__atomic_add_fetch(&Section->LockCount, 1, __ATOMIC_ACQUIRE) != 0) {
        if (Section->OwningThread == NtCurrentTeb()->ClientId.UniqueThread) {
            Section->RecursionCount += 1;
            return STATUS_SUCCESS;
        }
        Event = RtlpSectionEvent(Section);
        if (Event == NULL) {
            RtlRaiseStatus(STATUS_NO_MEMORY);
        }
        NtWaitForSingleObject(Event, FALSE, NULL);
    }
    RtlpOwnSection(Section);
    return STATUS_SUCCESS;
}
NTEXPORT(RtlEnterCriticalSection);

/* Own the section if nobody else does; whether it is so. */
ULONG NTAPI
RtlTryEnterCriticalSection(PRTL_CRITICAL_SECTION Section)
{
    LONG Free = -1;

    if (__atomic_compare_exchange_n(&Section->LockCount, &Free, 0, FALSE, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
        RtlpOwnSection(Section);
        return TRUE;
    }
    if (Section->OwningThread == NtCurrentTeb()->ClientId.UniqueThread) {
        __atomic_add_fetch(&Section->LockCount, 1, __ATOMIC_RELAXED);
        Section->RecursionCount += 1;
        return TRUE;
    }
    return FALSE;
}
NTEXPORT(RtlTryEnterCriticalSection);

/* Give the section up as often as it was entered; a waiter gets it next. */
NTSTATUS NTAPI
RtlLeaveCriticalSection(PRTL_CRITICAL_SECTION Section)
{
    Section->RecursionCount -= 1;
    if (Section->RecursionCount != 0) {
        __atomic_sub_fetch(&Section->LockCount, 1, __ATOMIC_RELEASE);
        return STATUS_SUCCESS;
    }
    Section->OwningThread = NULL;
    if (__atomic_sub_fetch(&Section->LockCount, 1, __ATOMIC_RELEASE) >= 0) {
        HANDLE Event = RtlpSectionEvent(Section);

        if (Event == NULL) {
            RtlRaiseStatus(STATUS_NO_MEMORY);
        }
        NtSetEvent(Event, NULL);
    }
    return STATUS_SUCCESS;
}
NTEXPORT(RtlLeaveCriticalSection);

NTSTATUS NTAPI
RtlDeleteCriticalSection(PRTL_CRITICAL_SECTION Section)
{
    if (Section->LockSemaphore != NULL) {
        NtClose(Section->LockSemaphore);
    }
    *Section = (RTL_CRITICAL_SECTION){.LockCount = -1};
    return STATUS_SUCCESS;
}
NTEXPORT(RtlDeleteCriticalSection);
