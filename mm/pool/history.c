/*
 * The history of pool blocks, for bug checks that are about one: who allocated it, and who freed it before.
 *
 * A live block knows its allocator's stack. Of blocks that images free the last MI_FREE_RECORDS are remembered here,
 * with both stacks; the newest record of an address counts. MiWatchPoolFree sees each call of ExFreePool and its kin
 * before the call is judged. MiDescribePoolStop turns a bug check into words and stacks; it runs when the machine is about
 * to stop, at any IRQL, takes no lock and looks only where the segment table says there is pool.
 *
 * Records are written without a lock: one that is being written while the machine stops may be lost.
 */
#include "poolp.h"
#include <rtl/rtl.h>

#define MI_FREE_RECORDS 4096u

typedef struct _MIP_FREE_RECORD {
    PUCHAR Address;
    SIZE_T Size;
    ULONG Tag;
    ULONG Allocated; /* stack ids */
    ULONG Freed;
    ULONG Reserved;
} MIP_FREE_RECORD, *PMIP_FREE_RECORD;

static MIP_FREE_RECORD MipFreeRecords[MI_FREE_RECORDS];
static ULONG MipFreeCount; /* (A) all there ever were */

/* Can a block at the address be looked at, at this IRQL? */
static BOOLEAN
MipMayLook(PVOID Address)
{
    MI_SYSTEM_REGION Region;

    return MiRegionOf(Address, &Region) && (HalGetIrql() <= APC_LEVEL || Region != MiRegionPagedPool);
}

/* A timer that is set must not go away with its block: 0xC4/0x15. */
static VOID
MipCheckTimers(const MI_POOL_BLOCK *Block)
{
    PKTIMER Timer;

    if ((Block->PoolType & PagedPool) != 0 || Block->Size < sizeof(KTIMER) || HalGetIrql() > DISPATCH_LEVEL) {
        return;
    }
    Timer = KiFindTimer((ULONG_PTR)Block->Address, (ULONG_PTR)Block->Address + Block->Size);
    if (Timer != NULL) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x15, (ULONG_PTR)Timer, Block->PoolType,
                     (ULONG_PTR)Block->Address);
    }
}

VOID
MiWatchPoolFree(ULONG64 Address)
{
    PMIP_FREE_RECORD Record;
    MI_POOL_BLOCK Block;

    if (!MiPoolTrack || HalGetIrql() > DISPATCH_LEVEL || !MipMayLook((PVOID)Address) || !MiFindPoolBlock((PVOID)Address, &Block) ||
        Block.Address != (PVOID)Address) {
        return;
    }
    MipCheckTimers(&Block);
    Record = &MipFreeRecords[__atomic_fetch_add(&MipFreeCount, 1, __ATOMIC_RELAXED) % MI_FREE_RECORDS];
    Record->Address = Block.Address;
    Record->Size = Block.Size;
    Record->Tag = Block.Tag;
    Record->Allocated = Block.StackId;
    Record->Freed = MipCaptureImageStack();
}

/* The newest record of a freed block that contained the address; NULL if there is none. */
static const MIP_FREE_RECORD *
MipFindFreed(ULONG64 Address)
{
    ULONG Count = MIN(MipFreeCount, MI_FREE_RECORDS);

    for (ULONG Index = 1; Index <= Count; Index += 1) {
        const MIP_FREE_RECORD *Record = &MipFreeRecords[(MipFreeCount - Index) % MI_FREE_RECORDS];

        if (Address - (ULONG_PTR)Record->Address < MAX(Record->Size, 1)) {
            return Record;
        }
    }
    return NULL;
}

/* --- Telling ---------------------------------------------------------------------------------- */

static VOID
MipTellStack(const char *What, ULONG StackId)
{
    PKI_STOP_EVENT Event;

    if (StackId != 0) {
        Event = KiAddStopEvent(What);
        Event->FrameCount = MiQueryPoolStack(StackId, Event->Frames, KI_STOP_EVENT_FRAMES);
    }
}

static CHAR
MipTagChar(ULONG Tag, ULONG Index)
{
    UCHAR Char = (UCHAR)(Tag >> (Index * 8));

    return Char >= ' ' && Char < 0x7F ? (CHAR)Char : '.';
}

/* "freed twice: byte 0 of a block of 100 at 0x..., tag 'Tag '" */
static VOID
MipTell(const char *What, ULONG64 Address, PVOID Block, SIZE_T Size, ULONG Tag)
{
    CHAR Text[KI_STOP_TEXT];

    RtlpPrintBuffer(Text, sizeof(Text), "%s: byte %I64u of a block of %I64u at 0x%p, tag '%c%c%c%c'", What,
                    Address - (ULONG_PTR)Block, (ULONG64)Size, Block, MipTagChar(Tag, 0), MipTagChar(Tag, 1),
                    MipTagChar(Tag, 2), MipTagChar(Tag, 3));
    KiExplainStop(Text);
}

static BOOLEAN
MipTellFreed(const char *What, ULONG64 Address)
{
    const MIP_FREE_RECORD *Record = MipFindFreed(Address);

    if (Record == NULL) {
        return FALSE;
    }
    MipTell(What, Address, Record->Address, Record->Size, Record->Tag);
    MipTellStack("allocated", Record->Allocated);
    MipTellStack("freed", Record->Freed);
    return TRUE;
}

/* About: the address that is meant; Inside: one in the block that it has to do with. */
static VOID
MipTellLive(const char *What, ULONG64 About, ULONG64 Inside)
{
    MI_POOL_BLOCK Block;

    if (MipMayLook((PVOID)Inside) && MiFindPoolBlock((PVOID)Inside, &Block)) {
        MipTell(What, About, Block.Address, Block.Size, Block.Tag);
        MipTellStack("allocated", Block.StackId);
    }
}

static VOID
MipDescribeBadCaller(const ULONG64 *Parameters)
{
    switch (Parameters[0]) {
    case 7:
        MipTellFreed("freed twice", Parameters[3]);
        break;
    case 0xA:
        MipTellLive("freed with the wrong tag", Parameters[1], Parameters[1]);
        break;
    case 9:
        MipTellLive("freed at too high an IRQL", Parameters[3], Parameters[3]);
        break;
    case 0x41286:
        MipTellLive("freed in its middle", Parameters[3], Parameters[3]);
        break;
    case 0x99:
        MipTellLive("freed in its middle", Parameters[1], Parameters[1]);
        break;
    case 0x41:
    case 0x44:
    case 0x50:
        MipTellFreed("freed twice", Parameters[1]);
        break;
    default:
        break;
    }
}

static VOID
MipDescribeBadHeader(const ULONG64 *Parameters)
{
    switch (Parameters[0]) {
    case 0x20:
        /* Who destroys a header is most likely the block before it. */
        MipTellLive("the header behind the block was overwritten", Parameters[1], Parameters[1] - 1);
        break;
    case 0x21:
        MipTellLive("written behind its end", Parameters[1] + Parameters[2], Parameters[1]);
        break;
    case 0xD:
        MipTellFreed("written after it was freed", Parameters[1]);
        break;
    default:
        break;
    }
}

VOID
MiDescribePoolStop(ULONG Code, const ULONG64 *Parameters)
{
    switch (Code) {
    case BAD_POOL_CALLER:
        MipDescribeBadCaller(Parameters);
        break;
    case BAD_POOL_HEADER:
        MipDescribeBadHeader(Parameters);
        break;
    case PAGE_FAULT_IN_FREED_SPECIAL_POOL:
    case DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL:
    case PAGE_FAULT_IN_NONPAGED_AREA:
        MipTellFreed("touched after it was freed", Parameters[0]);
        break;
    case PAGE_FAULT_BEYOND_END_OF_ALLOCATION:
    case DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION:
        MipTellLive("touched beyond its end", Parameters[0], (ULONG_PTR)MipSpecialNear((PVOID)Parameters[0]));
        break;
    case SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION:
        MipTellLive("surroundings overwritten", Parameters[1], Parameters[0]);
        break;
    default:
        break;
    }
}
