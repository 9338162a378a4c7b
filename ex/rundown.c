/*
 * Rundown protection: users of an object come and go without a lock until its owner wants to end it.
 *
 *     Count = users * 2      protected: ExAcquireRundownProtection adds 2, the release takes them away
 *     Count = block | 1      running down: new users are refused; the wait block on the owner's stack counts
 * the rest Count = 1              run down: nobody is left, nobody comes in
 *
 * Changes are compare-exchanges of the one word; the last user signals the event in the block, which is gone
 * afterwards. A release without an acquire is a broken reference count: bug check 0x139 (14).
 *
 * Document: "Run-Down Protection".
 */
#include "ex.h"
#include <ntexport.h>

#define EXP_RUNDOWN_ACTIVE 1ull
#define EXP_RUNDOWN_USER 2ull
#define EXP_FAST_FAIL_REFERENCE_COUNT 14 /* as __fastfail names it */

typedef struct _EXP_RUNDOWN_WAIT {
    volatile ULONG_PTR Users;
    KEVENT Event;
} EXP_RUNDOWN_WAIT;

static inline ULONG_PTR
ExpReadRundown(PEX_RUNDOWN_REF RunRef)
{
    return __atomic_load_n(&RunRef->Count, __ATOMIC_RELAXED);
}

static inline BOOLEAN
ExpChangeRundown(PEX_RUNDOWN_REF RunRef, ULONG_PTR Old, ULONG_PTR New)
{
    return __atomic_compare_exchange_n(&RunRef->Count, &Old, New, FALSE, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

/* Make a protection that lets users in. Any IRQL. */
VOID NTAPI
ExInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    __atomic_store_n(&RunRef->Count, 0, __ATOMIC_RELEASE);
}
NTEXPORT(ExInitializeRundownProtection);

/* Let users in again after a rundown is over. Any IRQL. */
VOID NTAPI
ExReInitializeRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    __atomic_store_n(&RunRef->Count, 0, __ATOMIC_RELEASE);
}
NTEXPORT(ExReInitializeRundownProtection);

/* Become Count users; FALSE once rundown has begun. Any IRQL. */
BOOLEAN NTAPI
ExAcquireRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    HalChoicePoint(HalChoiceLock);
    for (;;) {
        ULONG_PTR Old = ExpReadRundown(RunRef);

        if ((Old & EXP_RUNDOWN_ACTIVE) != 0) {
            return FALSE;
        }
        if (ExpChangeRundown(RunRef, Old, Old + Count * EXP_RUNDOWN_USER)) {
            return TRUE;
        }
    }
}
NTEXPORT(ExAcquireRundownProtectionEx);

/* Become a user; FALSE once rundown has begun. Any IRQL. */
BOOLEAN NTAPI
ExAcquireRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    return ExAcquireRundownProtectionEx(RunRef, 1);
}
NTEXPORT(ExAcquireRundownProtection);

static VOID DECLSPEC_NORETURN
ExpRundownUnderflow(PEX_RUNDOWN_REF RunRef)
{
    KeBugCheckEx(KERNEL_SECURITY_CHECK_FAILURE, EXP_FAST_FAIL_REFERENCE_COUNT, (ULONG_PTR)RunRef, 0, 0);
}

/* Stop being Count users. Any IRQL <= DISPATCH_LEVEL: the last may wake the owner. */
VOID NTAPI
ExReleaseRundownProtectionEx(PEX_RUNDOWN_REF RunRef, ULONG Count)
{
    EXP_RUNDOWN_WAIT *Wait;
    ULONG_PTR Old;

    do {
        Old = ExpReadRundown(RunRef);
        if ((Old & EXP_RUNDOWN_ACTIVE) != 0) {
            break;
        }
        if (Old < Count * EXP_RUNDOWN_USER) {
            ExpRundownUnderflow(RunRef);
        }
    } while (!ExpChangeRundown(RunRef, Old, Old - Count * EXP_RUNDOWN_USER));
    if ((Old & EXP_RUNDOWN_ACTIVE) == 0) {
        return;
    }
    Wait = (EXP_RUNDOWN_WAIT *)(Old & ~EXP_RUNDOWN_ACTIVE);
    if (Wait == NULL) {
        ExpRundownUnderflow(RunRef);
    }
    if (__atomic_sub_fetch(&Wait->Users, Count, __ATOMIC_ACQ_REL) == 0) {
        KeSetEvent(&Wait->Event, IO_NO_INCREMENT, FALSE);
    }
}
NTEXPORT(ExReleaseRundownProtectionEx);

/* Stop being a user. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
ExReleaseRundownProtection(PEX_RUNDOWN_REF RunRef)
{
    ExReleaseRundownProtectionEx(RunRef, 1);
}
NTEXPORT(ExReleaseRundownProtection);

/*
 * Let nobody in any more and wait until the last user has gone; at once if it is run down already. Afterwards
 * the protection is run down. Only one thread may wait. IRQL <= APC_LEVEL.
 */
VOID NTAPI
ExWaitForRundownProtectionRelease(PEX_RUNDOWN_REF RunRef)
{
    EXP_RUNDOWN_WAIT Wait;
    ULONG_PTR Old;

    KeInitializeEvent(&Wait.Event, SynchronizationEvent, FALSE);
    HalChoicePoint(HalChoiceLock);
    do {
        Old = ExpReadRundown(RunRef);
        if ((Old & EXP_RUNDOWN_ACTIVE) != 0) {
            return;
        }
        Wait.Users = Old / EXP_RUNDOWN_USER;
    } while (!ExpChangeRundown(RunRef, Old, (Old == 0 ? 0 : (ULONG_PTR)&Wait) | EXP_RUNDOWN_ACTIVE));
    if (Old != 0) {
        KeWaitForSingleObject(&Wait.Event, WrRundown, KernelMode, FALSE, NULL);
        __atomic_store_n(&RunRef->Count, EXP_RUNDOWN_ACTIVE, __ATOMIC_RELEASE);
    }
}
NTEXPORT(ExWaitForRundownProtectionRelease);

/* Mark the rundown as over: nobody comes in until the protection is initialised again. Any IRQL. */
VOID NTAPI
ExRundownCompleted(PEX_RUNDOWN_REF RunRef)
{
    __atomic_store_n(&RunRef->Count, EXP_RUNDOWN_ACTIVE, __ATOMIC_RELEASE);
}
NTEXPORT(ExRundownCompleted);
