/*
 * Start of physical memory: the runs of the loader block become ranges, and nothing else is
 * touched.
 *
 * What the manager itself needs for good (a byte per extent, the nodes' list heads, the processors'
 * caches) is cut from the end of the largest usable run. A byte per extent is 512 KB for a
 * terabyte, and that is not touched either where the run reads as zero.
 *
 * On the first processor, before anything else of mm; single-threaded. Memory too small for this is
 * bug check 0x7D.
 */
#include "physp.h"

volatile SIZE_T MiTotalPages;

/* Cuts aligned pieces out of the area taken for good. */
typedef struct _MI_BOOT_AREA {
    PUCHAR Next;
    PUCHAR End;
} MI_BOOT_AREA, *PMI_BOOT_AREA;

static SIZE_T
MipAlignUp(SIZE_T Value, SIZE_T Alignment)
{
    return (Value + Alignment - 1) & ~(Alignment - 1);
}

static PVOID
MipCut(PMI_BOOT_AREA Area, SIZE_T Bytes)
{
    PUCHAR Piece = Area->Next;

    Area->Next += MipAlignUp(Bytes, 64);
    NT_VERIFY(Area->Next <= Area->End);
    return Piece;
}

static BOOLEAN
MipRunIsUsable(const HAL_MEMORY_RUN *Run)
{
    return Run->Type == HalMemoryZero || Run->Type == HalMemoryFree;
}

/* What MipCut will be asked for. */
static SIZE_T
MipBootAreaBytes(const HAL_LOADER_BLOCK *LoaderBlock, ULONG64 *Nodes)
{
    SIZE_T Bytes = 2 * 64;  /* the area's own range, and a split of the run it is cut from */

    *Nodes = 0;
    for (ULONG Index = 0; Index < LoaderBlock->RunCount; Index++) {
        const HAL_MEMORY_RUN *Run = &LoaderBlock->Runs[Index];

        NT_VERIFY(Run->Node < MI_MAXIMUM_NODES);
        Bytes += MipAlignUp(MipExtentCountOf(Run->BasePage, Run->PageCount), 64);
        *Nodes |= 1ull << Run->Node;
    }
    Bytes += (SIZE_T)__builtin_popcountll(*Nodes) * MipAlignUp(sizeof(MI_NODE), 64);
    Bytes += HalProcessorCount() * MipAlignUp(sizeof(MI_PAGE_CACHE), 64);
    return MipAlignUp(Bytes, PAGE_SIZE);
}

/* The run that gives the area: the largest. */
static ULONG
MipChooseRun(const HAL_LOADER_BLOCK *LoaderBlock, SIZE_T AreaPages)
{
    ULONG Best = HAL_MAXIMUM_RUNS;
    SIZE_T Usable = 0;

    for (ULONG Index = 0; Index < LoaderBlock->RunCount; Index++) {
        const HAL_MEMORY_RUN *Run = &LoaderBlock->Runs[Index];

        Usable += MipRunIsUsable(Run) ? Run->PageCount : 0;
        if (MipRunIsUsable(Run) && Run->PageCount > AreaPages &&
            (Best == HAL_MAXIMUM_RUNS || Run->PageCount > LoaderBlock->Runs[Best].PageCount)) {
            Best = Index;
        }
    }
    if (Best == HAL_MAXIMUM_RUNS) {
        KeBugCheckEx(INSTALL_MORE_MEMORY, Usable, LoaderBlock->Runs[0].BasePage, AreaPages, 0);
    }
    return Best;
}

/*
 * Where links of a node count from: 0 where 32 bits reach every frame, which leaves room for memory
 * added below; else the node's first frame.
 */
static PFN_NUMBER
MipNodeBase(const HAL_LOADER_BLOCK *LoaderBlock, ULONG Node)
{
    PFN_NUMBER Base = 0;
    PFN_NUMBER End = 0;
    BOOLEAN First = TRUE;

    for (ULONG Index = 0; Index < LoaderBlock->RunCount; Index++) {
        const HAL_MEMORY_RUN *Run = &LoaderBlock->Runs[Index];

        if (Run->Node == Node) {
            Base = First ? Run->BasePage : Base;
            End = Run->BasePage + Run->PageCount;
            First = FALSE;
        }
    }
    NT_VERIFY(End - Base < MAXULONG);
    return End < MAXULONG ? 0 : Base;
}

static VOID
MipMakeNodes(const HAL_LOADER_BLOCK *LoaderBlock, ULONG64 Nodes, PMI_BOOT_AREA Area)
{
    for (ULONG Number = 0; Number < MI_MAXIMUM_NODES; Number++) {
        if ((Nodes & (1ull << Number)) == 0) {
            continue;
        }
        MiNodes[Number] = MipCut(Area, sizeof(MI_NODE));
        MipInitializeNode(MiNodes[Number], Number, MipNodeBase(LoaderBlock, Number));
        MiHighestNode = Number;
    }
}

/* A processor without memory of its own uses that of the next node that has some. */
static ULONG
MipNodeForProcessor(ULONG Node)
{
    for (ULONG Step = 0; Step <= MiHighestNode; Step++) {
        ULONG Number = (Node + Step) % (MiHighestNode + 1);

        if (MiNodes[Number] != NULL) {
            return Number;
        }
    }
    return 0;
}

/* Caches together never hold more than about a thirtieth of memory. */
static VOID
MipMakeCaches(SIZE_T UsablePages, PMI_BOOT_AREA Area)
{
    ULONG Processors = HalProcessorCount();
    SIZE_T Capacity = UsablePages / (64ull * Processors);

    Capacity = Capacity > MI_CACHE_FRAMES ? MI_CACHE_FRAMES : Capacity;
    Capacity = Capacity < 4 ? 4 : Capacity;
    for (ULONG Number = 0; Number < Processors; Number++) {
        PKPCR Pcr = HalProcessorPcr(Number);
        PMI_PAGE_CACHE Cache = MipCut(Area, sizeof(MI_PAGE_CACHE));

        Cache->Node = MipNodeForProcessor(Pcr->Node);
        Cache->Where = MipWhereOf(Cache->Node, 0);
        Cache->Capacity = (ULONG)Capacity;
        Cache->Batch = (ULONG)Capacity / 2;
        Pcr->Slots.PageCache = Cache;
    }
}

static VOID
MipMakeRange(PFN_NUMBER Base, SIZE_T PageCount, HAL_MEMORY_TYPE Type, ULONG Node,
             PMI_BOOT_AREA Area)
{
    PMI_RANGE Range;

    Range = MipAddRange(Base, PageCount, Type, MiNodes[Node],
                        MipCut(Area, MipExtentCountOf(Base, PageCount)));
    NT_VERIFY(Range != NULL);
    MiTotalPages += PageCount;
    if (MipRangeIsUsable(Range)) {
        MiListedPages += (LONG64)PageCount;
    }
}

/* Frames kept back for those who free memory by using some: a 256th, 8 to 64. */
static SIZE_T
MipReserveFor(SIZE_T UsablePages)
{
    SIZE_T Reserve = UsablePages / 256;

    Reserve = Reserve > 64 ? 64 : Reserve;
    return Reserve < 8 ? 8 : Reserve;
}

VOID
MiInitializePhysical(PHAL_LOADER_BLOCK LoaderBlock)
{
    MI_BOOT_AREA Area;
    ULONG64 Nodes;
    SIZE_T AreaPages = MipBootAreaBytes(LoaderBlock, &Nodes) / PAGE_SIZE;
    ULONG Chosen = MipChooseRun(LoaderBlock, AreaPages);
    PHAL_MEMORY_RUN Run = &LoaderBlock->Runs[Chosen];
    PFN_NUMBER AreaFrame = Run->BasePage + Run->PageCount - AreaPages;

    MmPfnDatabase = (PMMPFN)LoaderBlock->PfnDatabase;
    Area.Next = HalFrameAddress(AreaFrame);
    Area.End = Area.Next + AreaPages * PAGE_SIZE;
    if (Run->Type != HalMemoryZero) {
        RtlZeroMemory(Area.Next, AreaPages * PAGE_SIZE);
    }

    MipMakeNodes(LoaderBlock, Nodes, &Area);
    for (ULONG Index = 0; Index < LoaderBlock->RunCount; Index++) {
        Run = &LoaderBlock->Runs[Index];
        if (Index == Chosen) {
            MipMakeRange(Run->BasePage, Run->PageCount - AreaPages, Run->Type, Run->Node, &Area);
            MipMakeRange(AreaFrame, AreaPages, HalMemoryPermanent, Run->Node, &Area);
        } else {
            MipMakeRange(Run->BasePage, Run->PageCount, Run->Type, Run->Node, &Area);
        }
    }
    MipMakeCaches((SIZE_T)MiListedPages, &Area);
    MiReservePages = MipReserveFor((SIZE_T)MiListedPages);
    MipInitializeCommit((SIZE_T)MiListedPages, LoaderBlock->PageFileBytes / PAGE_SIZE);
}
