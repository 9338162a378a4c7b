/*
 * What the linked parts of the core call in ke and this plug does not link: assertions, bug checks,
 * critical regions, push locks. Hosted C.
 *
 * A bug check that a test expects is caught with longjmp, on the thread that asked for it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "threads.h"

#include <ke/kep.h>
#include <ke/push.h>

static __thread jmp_buf *HaltCatcher;
static __thread ULONG HaltCode;
static __thread ULONG64 HaltParameters[4];

VOID DECLSPEC_NORETURN
KiAssertFailed(const char *File, ULONG Line, const char *Text)
{
    fflush(stdout);
    fprintf(stderr, "%s:%u: assertion failed: %s\n", File, Line, Text);
    abort();
}

VOID DECLSPEC_NORETURN NTAPI
KeBugCheckEx(ULONG Code, ULONG_PTR P1, ULONG_PTR P2, ULONG_PTR P3, ULONG_PTR P4)
{
    if (HaltCatcher != NULL) {
        HaltCode = Code;
        HaltParameters[0] = P1;
        HaltParameters[1] = P2;
        HaltParameters[2] = P3;
        HaltParameters[3] = P4;
        longjmp(*HaltCatcher, 1);
    }
    fflush(stdout);
    fprintf(stderr, "*** STOP: 0x%08X (0x%016llX,0x%016llX,0x%016llX,0x%016llX)\n", Code, P1, P2,
            P3,
            P4);
    abort();
}

BOOLEAN
HaltCatchBugCheck(VOID (*Routine)(PVOID), PVOID Context, ULONG *Code, ULONG64 *Parameters)
{
    jmp_buf Catcher;
    PKPCR Pcr = KeGetPcr();
    KIRQL Irql = Pcr->Irql;
    volatile BOOLEAN Caught = TRUE;

    HaltCatcher = &Catcher;
    if (setjmp(Catcher) == 0) {
        Routine(Context);
        Caught = FALSE;
    }
    HaltCatcher = NULL;
    Pcr->Irql = Irql;
    Pcr->HeldLockCount = 0;
    *Code = HaltCode;
    for (ULONG Index = 0; Index < 4; Index++) {
        Parameters[Index] = HaltParameters[Index];
    }
    return Caught;
}

/* Nothing here asks for memory in a way that raises. */
VOID DECLSPEC_NORETURN
KiRaiseStatus(NTSTATUS Status)
{
    KeBugCheckEx(KMODE_EXCEPTION_NOT_HANDLED, (ULONG)Status, 0, 0, 0);
}

VOID NTAPI
KeEnterCriticalRegion(VOID)
{
}

VOID NTAPI
KeLeaveCriticalRegion(VOID)
{
}

/* One host mutex serves all push locks: their users here are rare. */
static pthread_mutex_t HaltPushMutex = PTHREAD_MUTEX_INITIALIZER;

VOID
KiAcquirePushLockExclusive(PEX_PUSH_LOCK PushLock, LOCK_RANK Rank)
{
    (VOID)PushLock;
    (VOID)Rank;
    pthread_mutex_lock(&HaltPushMutex);
}

VOID
KiReleasePushLockExclusive(PEX_PUSH_LOCK PushLock)
{
    (VOID)PushLock;
    pthread_mutex_unlock(&HaltPushMutex);
}

/* Pool for who links none: a program with mm/pool in it has its own. */
__attribute__((weak)) PVOID NTAPI
ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    (VOID)Flags;
    (VOID)Tag;
    return calloc(1, NumberOfBytes);
}

__attribute__((weak)) VOID NTAPI
ExFreePoolWithTag(PVOID P, ULONG Tag)
{
    (VOID)Tag;
    free(P);
}
