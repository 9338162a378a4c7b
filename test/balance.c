/* The balance of everything a test may take; see balance.h. */
#include <balance.h>
#include <mm/mdl/track.h>
#include <mm/pte/pte.h>
#include <mm/stack/stack.h>
#include <ps/ps.h>
#include <rtl/rtl.h>

static VOID
KTestpCountHandle(const OB_HANDLE_INFO *Info, PVOID Context)
{
    *(PULONG)Context += 1;
}

static VOID
KTestpCountTracked(const MI_TRACKED *Tracked, PVOID Context)
{
    *(PULONG)Context += 1;
}

VOID
KTestMeasure(PKTEST_BALANCE Balance)
{
    LARGE_INTEGER Interval = {.QuadPart = -10 * 10000};
    MI_POOL_TAG_ROW Row;
    MI_POOL_USAGE Usage;
    SIZE_T Limit, Peak;

    for (ULONG Round = 0; Round < 3; Round += 1) {
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
        PsFlushEndedThreads();
        MiTrimStacks();
        MiTrimPools();
        MiTrimSystemSpace();
    }
    MiQueryPoolUsage(&Usage);
    MiQueryCommit(&Balance->Commit, &Limit, &Peak);
    Balance->Available = MiAvailablePages() + Usage.MetadataPages;
    Balance->Commit -= Usage.MetadataPages;
    Balance->Handles = Balance->Tracked = 0;
    ObEnumerateHandles(KTestpCountHandle, &Balance->Handles);
    MiEnumerateTracked(KTestpCountTracked, &Balance->Tracked);
    for (Balance->Tags = 0; MiQueryPoolTag(Balance->Tags, &Row); Balance->Tags += 1) {
        Balance->Live[Balance->Tags] =
            (LONG)(Row.NonPagedAllocs - Row.NonPagedFrees + Row.PagedAllocs - Row.PagedFrees);
    }
}

/* The first tag of which there are more or fewer blocks. */
static BOOLEAN
KTestpCompareTags(const KTEST_BALANCE *Before, const KTEST_BALANCE *After, CHAR *Text, SIZE_T TextBytes)
{
    MI_POOL_TAG_ROW Row;

    for (ULONG Index = 0; Index < After->Tags; Index += 1) {
        LONG Was = Index < Before->Tags ? Before->Live[Index] : 0;

        if (Was != After->Live[Index] && MiQueryPoolTag(Index, &Row)) {
            RtlpPrintBuffer(Text, TextBytes, "blocks of pool with tag %.4s: %d, before %d", (const char *)&Row.Tag,
                            After->Live[Index], Was);
            return FALSE;
        }
    }
    return TRUE;
}

BOOLEAN
KTestCompareBalance(const KTEST_BALANCE *Before, const KTEST_BALANCE *After, CHAR *Text, SIZE_T TextBytes)
{
    const struct {
        const char *What;
        ULONG64 Before, After;
    } Figures[] = {
        {"handles", Before->Handles, After->Handles},
        {"tracked resources", Before->Tracked, After->Tracked},
        {"pages of commit", Before->Commit, After->Commit},
        {"available pages", Before->Available, After->Available},
    };

    if (!KTestpCompareTags(Before, After, Text, TextBytes)) {
        return FALSE;
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Figures); Index += 1) {
        if (Figures[Index].Before != Figures[Index].After) {
            RtlpPrintBuffer(Text, TextBytes, "%s: %I64u, before %I64u", Figures[Index].What, Figures[Index].After,
                            Figures[Index].Before);
            return FALSE;
        }
    }
    return TRUE;
}
