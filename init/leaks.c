/*
 * What the image left behind, as findings; and the pool part of the report.
 *
 * Everything that an image can own is in some table that remembers whether the image asked for it and from which
 * call stack: pool blocks, lookaside lists, threads, and what mm/mdl tracks. This walks them when the driver's
 * life is over.
 */
#include "init.h"
#include "json.h"
#include <io/io.h>
#include <mm/mdl/track.h>
#include <mm/pool/pool.h>
#include <ps/ps.h>
#include <rtl/rtl.h>

/* The tag table as it was when the driver's life began: the report shows what came since. */
static MI_POOL_TAG_ROW InitpTagsBefore[MI_POOL_TAG_ROWS];

VOID
InitNotePoolTags(VOID)
{
    for (ULONG Index = 0; Index < MI_POOL_TAG_ROWS; Index += 1) {
        if (!MiQueryPoolTag(Index, &InitpTagsBefore[Index])) {
            break;
        }
    }
}

VOID
InitSetFindingStack(PKI_FINDING Finding, ULONG StackId)
{
    Finding->FrameCount = StackId == 0 ? 0 : MiQueryPoolStack(StackId, Finding->Frames, KI_FINDING_FRAMES);
}

static const char *
InitpPoolTypeName(ULONG PoolType)
{
    if (PoolType & PagedPool) {
        return "Paged";
    }
    return PoolType & POOL_NX_ALLOCATION ? "NonPagedNx" : "NonPagedExecute";
}

static BOOLEAN
InitpPoolLeak(const MI_POOL_BLOCK *Block, PVOID Context)
{
    KI_FINDING Finding = {.Rule = "pool-leak", .Address = (ULONG64)Block->Address, .Size = Block->Size};

    if (!Block->Image) {
        return TRUE;
    }
    Finding.Tag = Block->Tag;
    Finding.Type = InitpPoolTypeName(Block->PoolType);
    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "%I64u bytes of %s pool were not freed", (ULONG64)Block->Size,
                    Block->PoolType & PagedPool ? "paged" : "nonpaged");
    InitSetFindingStack(&Finding, Block->StackId);
    KiReportFinding(&Finding);
    return TRUE;
}

/* Stack: who allocated the block. */
static VOID
InitpChangedPool(const MI_POOL_BLOCK *Block, const UCHAR *Changed, PVOID Context)
{
    KI_FINDING Finding = {.Rule = "freed-pool-written", .Address = (ULONG64)Block->Address, .Size = Block->Size};

    Finding.Tag = Block->Tag;
    Finding.Type = InitpPoolTypeName(Block->PoolType);
    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "byte %I64u of a freed block of %s pool was written to",
                    (ULONG64)(Changed - (PUCHAR)Block->Address), Block->PoolType & PagedPool ? "paged" : "nonpaged");
    InitSetFindingStack(&Finding, Block->StackId);
    KiReportFinding(&Finding);
}

static VOID
InitpLookasideLeaks(VOID)
{
    MI_LOOKASIDE_INFO Info;

    for (ULONG Index = 0; MiQueryLookaside(Index, &Info); Index += 1) {
        KI_FINDING Finding = {.Rule = "lookaside-leak", .Address = (ULONG64)Info.List, .Size = Info.Size};

        if (!Info.Image) {
            continue;
        }
        Finding.Tag = Info.Tag;
        Finding.Type = Info.Paged ? "Paged" : "NonPaged";
        RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "a lookaside list of %u-byte entries was not deleted",
                        Info.Size);
        InitSetFindingStack(&Finding, Info.StackId);
        KiReportFinding(&Finding);
    }
}

static VOID
InitpThreadLeak(const PS_THREAD_INFO *Info, PVOID Context)
{
    KI_FINDING Finding = {.Rule = "thread-leak", .Address = (ULONG64)Info->Thread};

    if (!Info->Image || Info->Terminated) {
        return;
    }
    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "a system thread that starts at 0x%p still runs",
                    (PVOID)(ULONG_PTR)Info->StartRoutine);
    InitSetFindingStack(&Finding, Info->StackId);
    KiReportFinding(&Finding);
}

static VOID
InitpHandleLeak(const OB_HANDLE_INFO *Info, PVOID Context)
{
    KI_FINDING Finding = {.Rule = "handle-leak", .Address = (ULONG64)Info->Handle};

    if (!Info->Image) {
        return;
    }
    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "a handle to an object of type %S was not closed",
                    Info->TypeName);
    InitSetFindingStack(&Finding, Info->StackId);
    KiReportFinding(&Finding);
}

static VOID
InitpTrackedLeak(const MI_TRACKED *Tracked, PVOID Context)
{
    static const struct {
        const char *Rule;
        const char *Text;
    } Kinds[MiTrackMaximum] = {
        [MiTrackLockedPages] = {"locked-pages", "%I64u bytes are still locked by an MDL"},
        [MiTrackMapping] = {"mapping-leak", "a system mapping of %I64u bytes was not removed"},
        [MiTrackUserMapping] = {"mapping-leak", "a user mapping of %I64u bytes was not removed"},
        [MiTrackReservedMapping] = {"reserved-mapping-leak", "%I64u bytes of mapping address are still reserved"},
        [MiTrackIoSpace] = {"io-space-leak", "an I/O space mapping of %I64u bytes was not removed"},
        [MiTrackPages] = {"pages-leak", "%I64u bytes of pages allocated for an MDL were not freed"},
        [MiTrackContiguous] = {"contiguous-leak", "%I64u bytes of contiguous memory were not freed"},
        [MiTrackNonCached] = {"contiguous-leak", "%I64u bytes of noncached memory were not freed"},
        [MiTrackIndependent] = {"pages-leak", "%I64u bytes of independent pages were not freed"},
    };
    KI_FINDING Finding = {.Rule = Kinds[Tracked->Kind].Rule};

    if (!Tracked->Image || Finding.Rule == NULL) {
        return;
    }
    Finding.Address = (ULONG64)Tracked->Object;
    Finding.Size = Tracked->Size;
    RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), Kinds[Tracked->Kind].Text, (ULONG64)Tracked->Size);
    InitSetFindingStack(&Finding, Tracked->StackId);
    KiReportFinding(&Finding);
}

static VOID
InitpLeftLeak(const IO_LEFT *Left, PVOID Context)
{
    const char *What = Context;
    KI_FINDING Finding = {.Rule = What[0] == 'd' ? "device-leak" : "symlink-leak", .Address = (ULONG64)Left->Object};

    if (!Left->Image) {
        return;
    }
    if (Left->Name->Length != 0) {
        RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "the %s %wZ was not deleted", What, Left->Name);
    } else {
        RtlpPrintBuffer(Finding.Text, sizeof(Finding.Text), "a %s without a name was not deleted", What);
    }
    InitSetFindingStack(&Finding, Left->StackId);
    KiReportFinding(&Finding);
}

/* Devices and links stay lawfully with a driver that cannot be unloaded. */
static VOID
InitpDeviceLeaks(VOID)
{
    if (InitRun.Unloaded || !NT_SUCCESS(InitRun.EntryStatus)) {
        IoEnumerateDevices(InitpLeftLeak, "device");
        IoEnumerateLinks(InitpLeftLeak, "symbolic link");
    }
}

VOID
InitFindLeaks(VOID)
{
    InitpDeviceLeaks();
    MiEnumerateTracked(InitpTrackedLeak, NULL);
    PsEnumerateThreads(InitpThreadLeak, NULL);
    ObEnumerateHandles(InitpHandleLeak, NULL);
    InitpLookasideLeaks();
    if (KiVerifierOn) {
        MiEnumerateChanged(InitpChangedPool, NULL);
    }
    MiEnumeratePool(InitpPoolLeak, NULL, FALSE);
}

static VOID
InitpPoolRow(ULONG Tag, const char *Type, ULONG64 Allocs, ULONG64 Frees, ULONG64 Bytes)
{
    CHAR Text[5];

    if (Allocs == 0) {
        return;
    }
    InitTagText(Tag, Text);
    InitJsonOpen(NULL, '{');
    InitJsonText("tag", Text);
    InitJsonText("type", Type);
    InitJsonNumber("allocs", Allocs);
    InitJsonNumber("frees", Frees);
    InitJsonNumber("diff", Allocs > Frees ? Allocs - Frees : 0);
    InitJsonNumber("bytes", Bytes);
    InitJsonClose('}');
}

VOID
InitWritePoolReport(VOID)
{
    MI_POOL_TAG_ROW Row;

    InitJsonOpen("pool", '[');
    for (ULONG Index = 0; MiQueryPoolTag(Index, &Row); Index += 1) {
        const MI_POOL_TAG_ROW *Before = &InitpTagsBefore[Index];

        InitpPoolRow(Row.Tag, "Nonp", Row.NonPagedAllocs - Before->NonPagedAllocs,
                     Row.NonPagedFrees - Before->NonPagedFrees, Row.NonPagedBytes - Before->NonPagedBytes);
        InitpPoolRow(Row.Tag, "Paged", Row.PagedAllocs - Before->PagedAllocs, Row.PagedFrees - Before->PagedFrees,
                     Row.PagedBytes - Before->PagedBytes);
    }
    InitJsonClose(']');
}
