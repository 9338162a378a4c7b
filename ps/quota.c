/*
 * Quota: how many bytes of pool, of each kind, a process has been charged for. Exact to the byte; the System
 * and Idle processes are exempt: charging them succeeds, returning does nothing, and their usage is zero.
 *
 * Counts are atomic; a charge is refused, STATUS_QUOTA_EXCEEDED, when it would pass the limit, of which there
 * is none at first. Returning more than is charged is bug check 0x21. Document: "PsChargePoolQuota".
 */
#include "psp.h"
#include <ntexport.h>
#include <mm/pool/pool.h>

static NTSTATUS
PspCharge(PEPROCESS Process, PS_QUOTA_TYPE Type, SIZE_T Amount)
{
    PSP_QUOTA *Quota = &Process->Quota[Type];
    ULONG64 Old = __atomic_load_n(&Quota->Usage, __ATOMIC_RELAXED);
    ULONG64 New;
    ULONG64 Peak;

    if (Process->QuotaExempt) {
        return STATUS_SUCCESS;
    }
    do {
        New = Old + Amount;
        if (New < Old || New > __atomic_load_n(&Quota->Limit, __ATOMIC_RELAXED)) {
            return STATUS_QUOTA_EXCEEDED;
        }
    } while (
        !__atomic_compare_exchange_n(&Quota->Usage, &Old, New, FALSE, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    Peak = __atomic_load_n(&Quota->Peak, __ATOMIC_RELAXED);
    while (Peak < New && !__atomic_compare_exchange_n(&Quota->Peak, &Peak, New, FALSE, __ATOMIC_RELAXED,
                                                      __ATOMIC_RELAXED)) {
    }
    return STATUS_SUCCESS;
}

static VOID
PspReturn(PEPROCESS Process, PS_QUOTA_TYPE Type, SIZE_T Amount)
{
    PSP_QUOTA *Quota = &Process->Quota[Type];
    ULONG64 Old = __atomic_load_n(&Quota->Usage, __ATOMIC_RELAXED);

    if (Process->QuotaExempt) {
        return;
    }
    do {
        if (Amount > Old) {
            KeBugCheckEx(QUOTA_UNDERFLOW, (ULONG_PTR)Process, (ULONG_PTR)Type, Amount, Amount - Old);
        }
    } while (!__atomic_compare_exchange_n(&Quota->Usage, &Old, Old - Amount, FALSE, __ATOMIC_RELAXED,
                                          __ATOMIC_RELAXED));
}

static inline PS_QUOTA_TYPE
PspQuotaOfPool(POOL_TYPE PoolType)
{
    return ((ULONG)PoolType & (ULONG)PagedPool) != 0 ? PsPagedPool : PsNonPagedPool;
}

/* Charge Amount bytes; STATUS_QUOTA_EXCEEDED is raised. IRQL <= APC_LEVEL. */
VOID NTAPI
PsChargePoolQuota(PEPROCESS Process, POOL_TYPE PoolType, ULONG_PTR Amount)
{
    NTSTATUS Status = PspCharge(Process, PspQuotaOfPool(PoolType), Amount);

    if (!NT_SUCCESS(Status)) {
        ExRaiseStatus(Status);
    }
}
NTEXPORT(PsChargePoolQuota);

/* Charge Amount bytes. STATUS_QUOTA_EXCEEDED. IRQL <= DISPATCH_LEVEL. */
NTSTATUS NTAPI
PsChargeProcessPoolQuota(PEPROCESS Process, POOL_TYPE PoolType, ULONG_PTR Amount)
{
    return PspCharge(Process, PspQuotaOfPool(PoolType), Amount);
}
NTEXPORT(PsChargeProcessPoolQuota);

/* Give back Amount bytes charged before; bug check 0x21 if that is more than is charged. IRQL <=
 * DISPATCH_LEVEL. */
VOID NTAPI
PsReturnPoolQuota(PEPROCESS Process, POOL_TYPE PoolType, ULONG_PTR Amount)
{
    PspReturn(Process, PspQuotaOfPool(PoolType), Amount);
}
NTEXPORT(PsReturnPoolQuota);

VOID NTAPI
PsReturnProcessNonPagedPoolQuota(PEPROCESS Process, SIZE_T Amount)
{
    PspReturn(Process, PsNonPagedPool, Amount);
}
NTEXPORT(PsReturnProcessNonPagedPoolQuota);

VOID NTAPI
PsReturnProcessPagedPoolQuota(PEPROCESS Process, SIZE_T Amount)
{
    PspReturn(Process, PsPagedPool, Amount);
}
NTEXPORT(PsReturnProcessPagedPoolQuota);

VOID
PsQueryQuota(PEPROCESS Process, PS_QUOTA_TYPE Type, PPS_QUOTA_USAGE Usage)
{
    Usage->Usage = __atomic_load_n(&Process->Quota[Type].Usage, __ATOMIC_RELAXED);
    Usage->Peak = __atomic_load_n(&Process->Quota[Type].Peak, __ATOMIC_RELAXED);
    Usage->Limit = __atomic_load_n(&Process->Quota[Type].Limit, __ATOMIC_RELAXED);
}

VOID
PsSetQuotaLimit(PEPROCESS Process, PS_QUOTA_TYPE Type, SIZE_T Limit)
{
    __atomic_store_n(&Process->Quota[Type].Limit, Limit, __ATOMIC_RELAXED);
}

/* --- For the pools ---------------------------------------------------------------------------- */

/* Charge the current process and reference it; NULL if it is exempt, or with the status why not. */
static PVOID
PspPoolCharge(BOOLEAN Paged, SIZE_T Bytes, PNTSTATUS Status)
{
    PEPROCESS Process = IoGetCurrentProcess();

    *Status = STATUS_SUCCESS;
    if (Process->QuotaExempt) {
        return NULL;
    }
    *Status = PspCharge(Process, Paged ? PsPagedPool : PsNonPagedPool, Bytes);
    if (!NT_SUCCESS(*Status)) {
        return NULL;
    }
    ObReferenceObject(Process);
    return Process;
}

static VOID
PspPoolReturn(PVOID Process, BOOLEAN Paged, SIZE_T Bytes)
{
    PspReturn(Process, Paged ? PsPagedPool : PsNonPagedPool, Bytes);
    ObDereferenceObjectDeferDelete(Process);
}

/* Could this be a process? Compared with those that exist, without touching it. */
static BOOLEAN
PspPoolIsProcess(PVOID Process)
{
    BOOLEAN Found = FALSE;
    KIRQL OldIrql = KiAcquireRankedLockRaise(&PspLock, LockRankHandleTable);

    for (PLIST_ENTRY Entry = PspProcesses.Flink; Entry != &PspProcesses && !Found; Entry = Entry->Flink) {
        Found = CONTAINING_RECORD(Entry, EPROCESS, ActiveProcessLinks) == Process;
    }
    KiReleaseRankedLockLower(&PspLock, OldIrql);
    return Found;
}

static const MI_POOL_QUOTA PspPoolQuota = {PspPoolCharge, PspPoolReturn, PspPoolIsProcess};

VOID
PspInitializeQuota(VOID)
{
    MiPoolQuota = &PspPoolQuota;
}
