/* The set of regions: places and gaps, against a plain search. */
#include "vatest.h"

#define TREE_REGIONS 300
#define TREE_PAGES   (TREE_REGIONS * 64ull)

/* The lowest or highest place, found by looking at every slot. */
static ULONG64
TreePlainSearch(PMI_ADDRESS_SPACE Space, const MI_PLACE *Place, BOOLEAN Down)
{
    ULONG64 Best = MI_NO_PAGE;

    for (ULONG64 Page = 0; Page + Place->PageCount <= Place->Highest; Page += Place->Align) {
        if (Page >= Place->Lowest && MiPlaceIsFree(Space, Page, Page + Place->PageCount) &&
            (Best == MI_NO_PAGE || Down)) {
            Best = Page;
        }
    }
    return Best;
}

static VOID
TreeCompare(PMI_ADDRESS_SPACE Space, ULONG64 Random)
{
    MI_PLACE Place = {.PageCount = 1 + Random % 200,
                      .Align = MI_SLOT_PAGES << (Random >> 8) % 5,
                      .Lowest = (Random >> 16) % TREE_PAGES,
                      .Highest = TREE_PAGES - (Random >> 40) % 512};

    CHECK_EQ(MiFindPlaceUp(Space, &Place), TreePlainSearch(Space, &Place, FALSE));
    CHECK_EQ(MiFindPlaceDown(Space, &Place), TreePlainSearch(Space, &Place, TRUE));
}

KTEST(TreeFindsEveryGap)
{
    static MI_ADDRESS_SPACE Space;
    static MMVAD Vads[TREE_REGIONS];

    RtlZeroMemory(&Space, sizeof(Space));
    RtlZeroMemory(Vads, sizeof(Vads));
    MiInitializeVads(&Space);
    for (ULONG Round = 0; Round < 6000; Round += 1) {
        ULONG64 Random = HalRandom();
        PMMVAD Vad = &Vads[Random % TREE_REGIONS];

        if (Vad->EndPage != 0) {
            MiRemoveVad(&Space, Vad);
            Space.VirtualPages -= Vad->EndPage - Vad->StartPage;
            Vad->EndPage = 0;
        } else {
            ULONG64 Start = (Random >> 16) % (TREE_PAGES - 64), End = Start + 1 + (Random >> 48) % 60;
            PMMVAD Next = MiFirstVadBehind(&Space, Start);

            if (Next == NULL || Next->StartPage >= End) {
                Vad->StartPage = Start;
                Vad->EndPage = End;
                Space.VirtualPages += End - Start;
                MiInsertVad(&Space, Vad);
                CHECK(MiFindVad(&Space, Start) == Vad && MiFindVad(&Space, End - 1) == Vad);
            }
        }
        if (Round % 16 == 0) {
            TreeCompare(&Space, HalRandom());
        }
        if (Round % 256 == 0) {
            CHECK(MiValidateVads(&Space));
        }
    }
    for (ULONG Index = 0; Index < TREE_REGIONS; Index += 1) {
        PMMVAD Vad = &Vads[Index];

        if (Vad->EndPage - Vad->StartPage > 2 && Vad->EndPage != 0) {
            MiResizeVad(&Space, Vad, Vad->StartPage + 1, Vad->EndPage - 1);
            Space.VirtualPages -= 2;
        }
    }
    CHECK(MiValidateVads(&Space));
    TreeCompare(&Space, HalRandom());
}

KTEST(TreePlacesFromBelowAndAbove)
{
    PEPROCESS Process = VaMakeProcess();
    PVOID Low = NULL, Next = NULL, High = NULL, Limited = NULL;
    SIZE_T Size = PAGE_SIZE;
    KAPC_STATE State;

    REQUIRE(Process != NULL);
    KeStackAttachProcess(&Process->Pcb, &State);
    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Low, PAGE_SIZE, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&Next, PAGE_SIZE, MEM_RESERVE, PAGE_READWRITE));
    CHECK_STATUS(STATUS_SUCCESS, VaAllocate(&High, PAGE_SIZE, MEM_RESERVE | MEM_TOP_DOWN, PAGE_READWRITE));
    CHECK_EQ((ULONG_PTR)Next, (ULONG_PTR)Low + 0x10000);
    CHECK((ULONG_PTR)High > (ULONG_PTR)Next);
    CHECK((ULONG_PTR)High < MmUserProbeAddress && MmUserProbeAddress - (ULONG_PTR)High <= 257 * 0x10000ull);
    CHECK_STATUS(STATUS_SUCCESS,
                 ZwAllocateVirtualMemory(NtCurrentProcess(), &Limited, 4, &Size, MEM_RESERVE, PAGE_READWRITE));
    CHECK((ULONG_PTR)Limited < 1ull << 28);
    KeUnstackDetachProcess(&State);
    VaEndProcess(Process);
}
