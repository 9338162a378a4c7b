/*
 * The table of findings. See finding.h. One bit lock of its own, taken at HIGH_LEVEL, so that a finding may come
 * from anywhere, a page-frame lock or a trap included.
 */
#include "finding.h"
#include "ke.h"
#include <rtl/rtl.h>

static KI_FINDING KipFindings[KI_MAXIMUM_FINDINGS];
static ULONG KipFindingCount;
static ULONG KipFindingsLost;
static volatile ULONG64 KipFindingLock;

static KIRQL
KipLockFindings(VOID)
{
    KIRQL OldIrql = KiRaiseIrql(HIGH_LEVEL);

    while (!KiTakeBit(&KipFindingLock, 0)) {
        HalPause();
    }
    return OldIrql;
}

static VOID
KipUnlockFindings(KIRQL OldIrql)
{
    __atomic_store_n(&KipFindingLock, 0, __ATOMIC_RELEASE);
    KiLowerIrql(OldIrql);
}

static BOOLEAN
KipSameFinding(const KI_FINDING *Left, const KI_FINDING *Right)
{
    if (Left->Rule != Right->Rule || Left->Tag != Right->Tag || Left->Size != Right->Size ||
        Left->Type != Right->Type || Left->FrameCount == 0 || Left->FrameCount != Right->FrameCount) {
        return FALSE;
    }
    return RtlEqualMemory(Left->Frames, Right->Frames, Left->FrameCount * sizeof(PVOID));
}

VOID
KiReportFinding(const KI_FINDING *Finding)
{
    KIRQL OldIrql = KipLockFindings();
    ULONG Index = 0;

    while (Index < KipFindingCount && !KipSameFinding(&KipFindings[Index], Finding)) {
        Index += 1;
    }
    if (Index < KipFindingCount) {
        KipFindings[Index].Count += 1;
    } else if (Index < KI_MAXIMUM_FINDINGS) {
        KipFindings[Index] = *Finding;
        KipFindings[Index].Count = 1;
        KipFindingCount += 1;
    } else {
        KipFindingsLost += 1;
    }
    KipUnlockFindings(OldIrql);
}

const KI_FINDING *
KiGetFinding(ULONG Index)
{
    return Index < KipFindingCount ? &KipFindings[Index] : NULL;
}

ULONG
KiLostFindings(VOID)
{
    return KipFindingsLost;
}

VOID
KiClearFindings(VOID)
{
    KIRQL OldIrql = KipLockFindings();

    KipFindingCount = 0;
    KipFindingsLost = 0;
    KipUnlockFindings(OldIrql);
}
