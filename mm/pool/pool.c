/*
 * The pools' public side: what a caller asks for becomes a request, and the request a block.
 *
 * Three pools: nonpaged no-execute, nonpaged executable, paged. A block of at most PAGE_SIZE - 32
 * bytes is a slot with a 16-byte header in front (block.c); a larger one is whole pages (segment.c);
 * either may lie in special pool instead (special.c). Every allocation is, in this order: checked
 * (what Windows stops for, stops), asked of failure injection, given a stack and an owner (track.c),
 * held against its priority, charged to quota, made. A step that fails undoes those before it, so a
 * NULL leaves nothing behind.
 *
 *      request --> special pool? --yes and room--> page between guards
 *                       | no
 *                       +--> Size <= MI_SMALL_LIMIT --> magazine --> class --> span --> segment
 *                       +--> one page             --> magazine of the page class ...
 *                       +--> up to MI_RUN_LIMIT   --> run of a segment
 *                       +--> larger               --> a segment of its own
 *
 * Locks: none here. Paged pool at <= APC_LEVEL, nonpaged at <= DISPATCH_LEVEL; nothing blocks, except
 * for the faults of paged memory. Documents: ExAllocatePool2, ExAllocatePool3, ExAllocatePoolWithTag,
 * ExAllocatePoolWithQuotaTag, ExAllocatePoolWithTagPriority, FsRtlAllocatePoolWithTag.
 */
#include "poolp.h"
#include <ntexport.h>

BOOLEAN MiPoolVerify = TRUE;
const MI_POOL_QUOTA *MiPoolQuota;

#define MIP_TAG_BIG  0x00474942 /* "BIG" */
#define MIP_TAG_BIG4 0x20474942 /* "BIG " */
#define MIP_TAG_NONE 0x656E6F4E /* "None", of untagged requests */

/* --- Checks ----------------------------------------------------------------------------------- */

/* Where the image that asked was, or else who called us: the third fact of bug checks about bad requests. */
static ULONG_PTR
MipCallerAddress(PVOID ReturnAddress)
{
    PKI_BOUNDARY_RECORD Record = KiInImageCode() ? KiFindBoundaryRecord(KI_BOUNDARY_EXPORT) : NULL;

    return Record != NULL ? Record->Rip : (ULONG_PTR)ReturnAddress;
}

static BOOLEAN
MipTagHasWordCharacter(ULONG Tag)
{
    UCHAR Byte;

    for (; Tag != 0; Tag >>= 8) {
        Byte = (UCHAR)Tag;
        if ((UCHAR)((Byte | 0x20) - 'a') < 26 || (UCHAR)(Byte - '0') < 10) {
            return TRUE;
        }
    }
    return FALSE;
}

/* What the older routines stop for: must-succeed types and tags that name nobody. */
static VOID
MipCheckLegacyRequest(ULONG PoolType, SIZE_T Size, ULONG Tag, PVOID ReturnAddress)
{
    if (PoolType & 2) {
        KeBugCheckEx(BAD_POOL_CALLER, 0x9A, PoolType, Size, Tag);
    }
    if (Tag == 0) {
        KeBugCheckEx(BAD_POOL_CALLER, 0x9B, PoolType, Size, MipCallerAddress(ReturnAddress));
    }
    if (Tag == MIP_TAG_BIG || Tag == MIP_TAG_BIG4) {
        KeBugCheckEx(BAD_POOL_CALLER, 0x9C, PoolType, Size, MipCallerAddress(ReturnAddress));
    }
    if (!MipTagHasWordCharacter(Tag)) {
        KeBugCheckEx(BAD_POOL_CALLER, 0x9D, Tag, PoolType, MipCallerAddress(ReturnAddress));
    }
    if (Size == 0 && MiPoolVerify && KiInImageCode()) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0, HalGetIrql(), PoolType, 0);
    }
}

static VOID
MipCheckIrql(const MI_POOL_REQUEST *Request)
{
    KIRQL Irql = HalGetIrql();

    if (Irql > (Request->Kind == MiPoolPaged ? APC_LEVEL : DISPATCH_LEVEL)) {
        KeBugCheckEx(BAD_POOL_CALLER, 8, Irql, Request->PoolType, Request->Size);
    }
    if (Request->Quota && MiPoolVerify && PcrRead8(DpcRoutineActive) != 0) {
        KeBugCheckEx(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x10B, Irql, Request->PoolType, Request->Size);
    }
}

/*
 * Is there more memory than a request of its priority must leave? Low leaves a thirty-second of what there
 * was at boot, normal a hundred-and-twenty-eighth, high nothing.
 */
static BOOLEAN
MipPriorityAllows(const MI_POOL_REQUEST *Request)
{
    SIZE_T Charge, Limit, Peak, Left, Keep;

    if (Request->Priority >= HighPoolPriority) {
        return TRUE;
    }
    MiQueryCommit(&Charge, &Limit, &Peak);
    Left = Limit > Charge ? Limit - Charge : 0;
    if (Request->Kind != MiPoolPaged) {
        Left = MIN(Left, MiAvailablePages());
    }
    Keep = Limit / (Request->Priority < NormalPoolPriority ? 32 : 128);
    return Left >= Keep && Left - Keep >= Request->Size >> PAGE_SHIFT;
}

/* --- From request to block -------------------------------------------------------------------------------
 */

/* Bytes of the slot a small request takes, its header included; 0: the request is for pages. */
static SIZE_T
MipSlotBytes(PMI_POOL_REQUEST Request)
{
    SIZE_T Bytes;

    if (Request->Size > MI_SMALL_LIMIT) {
        return 0;
    }
    Bytes = ALIGN_UP_BY(MAX(Request->Size, 1), 16) + MI_HEADER_SIZE;
    if (Request->CacheAligned) {
        if (Bytes + 48 <= MiSlotSize[MI_SMALL_CLASSES - 1]) {
            return Bytes + 48;
        }
        /* Best effort: no slot can hold so much and be aligned. */
        Request->CacheAligned = FALSE;
    }
    return Bytes;
}

static PVOID
MipMakeSmall(const MI_POOL_REQUEST *Request, SIZE_T SlotBytes, ULONG StackId, BOOLEAN Image, PNTSTATUS Status)
{
    SIZE_T Charge = MiSlotSize[MiClassOfUnits[SlotBytes / 16]];
    BOOLEAN Paged = Request->Kind == MiPoolPaged;
    PVOID Process = NULL;
    PVOID Block;

    if (Request->Quota && MiPoolQuota != NULL) {
        *Status = STATUS_SUCCESS;
        Process = MiPoolQuota->Charge(Paged, Charge, Status);
        if (!NT_SUCCESS(*Status)) {
            return NULL;
        }
    }
    Block = MipAllocateSmall(Request, Process, SlotBytes, StackId, Image);
    if (Block == NULL) {
        if (Process != NULL) {
            MiPoolQuota->Return(Process, Paged, Charge);
        }
        *Status = STATUS_INSUFFICIENT_RESOURCES;
    }
    return Block;
}

/* The block, or NULL and why. Bug-checks for the wrong IRQL. */
static PVOID
MipAllocate(PMI_POOL_REQUEST Request, PNTSTATUS Status)
{
    SIZE_T SlotBytes;
    BOOLEAN Image;
    ULONG StackId;
    PVOID Block;

    MipCheckIrql(Request);
    *Status = STATUS_INSUFFICIENT_RESOURCES;
    if (MiInjectFailure()) {
        return NULL;
    }
    StackId = MipCaptureOwner(&Image);
    if (!MipPriorityAllows(Request)) {
        return NULL;
    }
    if (MipSpecialIsOn(Request->WantSpecial) && MipSpecialWanted(Request)) {
        Block = MipAllocateSpecial(Request, StackId, Image);
        if (Block != NULL) {
            return Block;
        }
    }
    SlotBytes = MipSlotBytes(Request);
    if (SlotBytes != 0) {
        return MipMakeSmall(Request, SlotBytes, StackId, Image, Status);
    }
    return MipAllocatePages(Request, StackId, Image);
}

static VOID
MipSetLegacyType(PMI_POOL_REQUEST Request, ULONG PoolType)
{
    Request->Kind = (PoolType & PagedPool)        ? MiPoolPaged
                    : (PoolType & NonPagedPoolNx) ? MiPoolNonPagedNx
                                                  : MiPoolNonPagedExecute;
    Request->PoolType =
        PoolType & (PagedPool | NonPagedPoolCacheAligned | NonPagedPoolSession | NonPagedPoolNx);
    Request->CacheAligned = (PoolType & NonPagedPoolCacheAligned) != 0;
    Request->Zero = (PoolType & POOL_ZERO_ALLOCATION) != 0;
    Request->AnyNode = TRUE;
}

/* May a request of this size be served by MipAllocateFromMagazine? */
static inline BOOLEAN
MipIsCommonSize(SIZE_T Size)
{
    return ((Size - 1) | (MiUnusual & ~MI_UNUSUAL_VERIFY)) < MI_SMALL_LIMIT;
}

/* The older routines in one: checks, then the block, then what failing means for this type. */
static PVOID
MipAllocateLegacy(ULONG PoolType, SIZE_T Size, ULONG Tag, ULONG Priority, BOOLEAN Quota, BOOLEAN Raise,
                  PVOID ReturnAddress)
{
    MI_POOL_REQUEST Request = {.Size = Size, .Tag = Tag, .Quota = Quota, .Priority = Priority & ~0xFu};
    NTSTATUS Status;
    PVOID Block;

    MipCheckLegacyRequest(PoolType, Size, Tag, ReturnAddress);
    MipSetLegacyType(&Request, PoolType);
    if (!Quota && !Request.CacheAligned && Priority == HighPoolPriority && MipIsCommonSize(Size)) {
        Block = MipAllocateFromMagazine(Request.Kind, (Request.PoolType & 0x27) + 1, Size, Tag, Request.Zero);
        if (Block != NULL) {
            return Block;
        }
    }
    if (Priority & 8) {
        Request.SpecialWhere = (Priority & 1) ? MI_SPECIAL_UNDERRUN : MI_SPECIAL_OVERRUN;
    }
    Block = MipAllocate(&Request, &Status);
    if (Block == NULL && Raise) {
        KiRaiseStatus(Status);
    }
    return Block;
}

/* --- The older routines -----------------------------------------------------------------------------------
 */

/*
 * A block of NumberOfBytes with undefined contents (POOL_ZERO_ALLOCATION: zeros), the caller's until freed.
 * NULL without memory; with POOL_RAISE_IF_ALLOCATION_FAILURE raises STATUS_INSUFFICIENT_RESOURCES. Zero bytes
 * give the smallest block. Bug check 0xC2: 8 wrong IRQL, 0x9A must-succeed type, 0x9B to 0x9D bad tag.
 * Nonpaged <= DISPATCH_LEVEL, paged <= APC_LEVEL.
 */
PVOID NTAPI
ExAllocatePoolWithTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return MipAllocateLegacy(PoolType, NumberOfBytes, Tag, HighPoolPriority, FALSE,
                             (PoolType & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0, __builtin_return_address(0));
}
NTEXPORT(ExAllocatePoolWithTag);

/* The same with the tag "None". */
PVOID NTAPI
ExAllocatePool(POOL_TYPE PoolType, SIZE_T NumberOfBytes)
{
    return MipAllocateLegacy(PoolType, NumberOfBytes, MIP_TAG_NONE, HighPoolPriority, FALSE,
                             (PoolType & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0, __builtin_return_address(0));
}
NTEXPORT(ExAllocatePool);

/*
 * As ExAllocatePoolWithTag, but low and normal priority fail while memory is getting scarce. The special-pool
 * part of the priority says where in its page a block lies if it happens to be in special pool.
 */
PVOID NTAPI
ExAllocatePoolWithTagPriority(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag, EX_POOL_PRIORITY Priority)
{
    return MipAllocateLegacy(PoolType, NumberOfBytes, Tag, Priority, FALSE,
                             (PoolType & POOL_RAISE_IF_ALLOCATION_FAILURE) != 0, __builtin_return_address(0));
}
NTEXPORT(ExAllocatePoolWithTagPriority);

/*
 * As ExAllocatePoolWithTag, charged to the current process unless it is exempt or the block is a page or
 * more; the charge goes back to that process when the block is freed. Raises STATUS_QUOTA_EXCEEDED or
 * STATUS_INSUFFICIENT_RESOURCES; NULL instead with POOL_QUOTA_FAIL_INSTEAD_OF_RAISE. From a DPC: 0xC4/0x10B.
 */
PVOID NTAPI
ExAllocatePoolWithQuotaTag(POOL_TYPE PoolType, SIZE_T NumberOfBytes, ULONG Tag)
{
    return MipAllocateLegacy(PoolType, NumberOfBytes, Tag, HighPoolPriority, TRUE,
                             (PoolType & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE) == 0, __builtin_return_address(0));
}
NTEXPORT(ExAllocatePoolWithQuotaTag);

/* The same with the tag "None"; it never returns NULL but with POOL_QUOTA_FAIL_INSTEAD_OF_RAISE. */
PVOID NTAPI
ExAllocatePoolWithQuota(POOL_TYPE PoolType, SIZE_T NumberOfBytes)
{
    return MipAllocateLegacy(PoolType, NumberOfBytes, MIP_TAG_NONE, HighPoolPriority, TRUE,
                             (PoolType & POOL_QUOTA_FAIL_INSTEAD_OF_RAISE) == 0, __builtin_return_address(0));
}
NTEXPORT(ExAllocatePoolWithQuota);

/* As ExAllocatePoolWithTag, raising STATUS_INSUFFICIENT_RESOURCES rather than returning NULL. */
PVOID NTAPI
FsRtlAllocatePoolWithTag(POOL_TYPE PoolType, ULONG NumberOfBytes, ULONG Tag)
{
    return MipAllocateLegacy(PoolType, NumberOfBytes, Tag, HighPoolPriority, FALSE, TRUE,
                             __builtin_return_address(0));
}
NTEXPORT(FsRtlAllocatePoolWithTag);

/* The same, charged to the current process; a quota failure raises STATUS_QUOTA_EXCEEDED. */
PVOID NTAPI
FsRtlAllocatePoolWithQuotaTag(POOL_TYPE PoolType, ULONG NumberOfBytes, ULONG Tag)
{
    return MipAllocateLegacy(PoolType, NumberOfBytes, Tag, HighPoolPriority, TRUE, TRUE,
                             __builtin_return_address(0));
}
NTEXPORT(FsRtlAllocatePoolWithQuotaTag);

/* --- ExAllocatePool2 and 3 -------------------------------------------------------------------- */

#define MIP_KNOWN_FLAGS                                                                                      \
    (POOL_FLAG_USE_QUOTA | POOL_FLAG_UNINITIALIZED | POOL_FLAG_SESSION | POOL_FLAG_CACHE_ALIGNED |           \
     POOL_FLAG_RAISE_ON_FAILURE | POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED)
#define MIP_SELECTORS      (POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED)
#define MIP_REQUIRED_FLAGS 0xFFFFFFFFull

/* Flags to request; FALSE if a required flag is not known or not exactly one pool is named. */
static BOOLEAN
MipDecodeFlags(POOL_FLAGS Flags, PMI_POOL_REQUEST Request)
{
    switch (Flags & MIP_SELECTORS) {
    case POOL_FLAG_NON_PAGED:
        Request->Kind = MiPoolNonPagedNx;
        Request->PoolType = NonPagedPoolNx;
        break;
    case POOL_FLAG_NON_PAGED_EXECUTE:
        Request->Kind = MiPoolNonPagedExecute;
        Request->PoolType = NonPagedPoolExecute;
        break;
    case POOL_FLAG_PAGED:
        Request->Kind = MiPoolPaged;
        Request->PoolType = PagedPool;
        break;
    default:
        return FALSE;
    }
    if (Flags & MIP_REQUIRED_FLAGS & ~MIP_KNOWN_FLAGS) {
        return FALSE;
    }
    if (Flags & POOL_FLAG_SESSION) {
        Request->PoolType |= NonPagedPoolSession;
    }
    if (Flags & POOL_FLAG_CACHE_ALIGNED) {
        Request->PoolType |= NonPagedPoolCacheAligned;
        Request->CacheAligned = TRUE;
    }
    Request->Zero = (Flags & POOL_FLAG_UNINITIALIZED) == 0;
    Request->Quota = (Flags & POOL_FLAG_USE_QUOTA) != 0;
    Request->WantSpecial = (Flags & POOL_FLAG_SPECIAL_POOL) != 0;
    Request->Priority = HighPoolPriority;
    Request->AnyNode = TRUE;
    return TRUE;
}

/* A node asked for by number, perhaps with leave to use others. */
static BOOLEAN
MipDecodeNode(ULONG Preferred, PMI_POOL_REQUEST Request)
{
    ULONG Node = Preferred & ~MM_ANY_NODE_OK;

    if (Request->Kind == MiPoolPaged) {
        return FALSE;
    }
    if (Node >= MiPoolNodeCount) {
        return (Preferred & MM_ANY_NODE_OK) != 0;
    }
    Request->Node = Node;
    Request->AnyNode = FALSE;
    return TRUE;
}

/* One extended parameter; FALSE if it is not known or cannot be had. */
static BOOLEAN
MipDecodeParameter(PCPOOL_EXTENDED_PARAMETER Parameter, PMI_POOL_REQUEST Request)
{
    if (Parameter->Reserved != 0) {
        return FALSE;
    }
    switch (Parameter->Type) {
    case PoolExtendedParameterPriority:
        Request->Priority = (ULONG)Parameter->Priority & ~0xFu;
        if (Parameter->Priority & 8) {
            Request->SpecialWhere = (Parameter->Priority & 1) ? MI_SPECIAL_UNDERRUN : MI_SPECIAL_OVERRUN;
        }
        return TRUE;
    case PoolExtendedParameterNumaNode:
        return MipDecodeNode(Parameter->PreferredNode, Request);
    default:
        return FALSE; /* secure pool too: it needs a hypervisor */
    }
}

/*
 * As ExAllocatePool2, with ExtendedParametersCount parameters: priority, NUMA node (of nonpaged pool; without
 * MM_ANY_NODE_OK no other node will do). A parameter that is not known or cannot be had fails the call unless
 * it is marked optional.
 */
PVOID NTAPI
ExAllocatePool3(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag,
                PCPOOL_EXTENDED_PARAMETER ExtendedParameters, ULONG ExtendedParametersCount)
{
    MI_POOL_REQUEST Request = {.Size = NumberOfBytes, .Tag = Tag};
    NTSTATUS Status = STATUS_INVALID_PARAMETER;
    BOOLEAN Valid = NumberOfBytes != 0 && Tag != 0 && MipDecodeFlags(Flags, &Request);
    PVOID Block = NULL;
    ULONG Index;

    for (Index = 0; Valid && Index < ExtendedParametersCount; Index += 1) {
        Valid =
            MipDecodeParameter(&ExtendedParameters[Index], &Request) || ExtendedParameters[Index].Optional;
    }
    if (Valid) {
        Block = MipAllocate(&Request, &Status);
    }
    if (Block == NULL && (Flags & POOL_FLAG_RAISE_ON_FAILURE)) {
        KiRaiseStatus(Status);
    }
    return Block;
}
NTEXPORT(ExAllocatePool3);

/*
 * A block of NumberOfBytes zeros (POOL_FLAG_UNINITIALIZED: undefined contents), the caller's until freed.
 * NULL without memory or quota, for zero bytes, tag 0 and unknown flags of the lower half; with
 * POOL_FLAG_RAISE_ON_FAILURE raises STATUS_INSUFFICIENT_RESOURCES, STATUS_QUOTA_EXCEEDED or
 * STATUS_INVALID_PARAMETER instead. Unknown flags of the upper half are ignored. Wrong IRQL: bug check
 * 0xC2/8.
 */
PVOID NTAPI
ExAllocatePool2(POOL_FLAGS Flags, SIZE_T NumberOfBytes, ULONG Tag)
{
    BOOLEAN Zero = (Flags & POOL_FLAG_UNINITIALIZED) == 0;
    PVOID Block = NULL;

    if (Tag != 0 && MipIsCommonSize(NumberOfBytes)) {
        switch (Flags & ~POOL_FLAG_UNINITIALIZED) {
        case POOL_FLAG_NON_PAGED:
            Block = MipAllocateFromMagazine(MiPoolNonPagedNx, (NonPagedPoolNx & 0x27) + 1, NumberOfBytes, Tag, Zero);
            break;
        case POOL_FLAG_PAGED:
            Block = MipAllocateFromMagazine(MiPoolPaged, PagedPool + 1, NumberOfBytes, Tag, Zero);
            break;
        default:
            break;
        }
    }
    return Block != NULL ? Block : ExAllocatePool3(Flags, NumberOfBytes, Tag, NULL, 0);
}
NTEXPORT(ExAllocatePool2);

/* --- Secure pool ------------------------------------------------------------------------------ */

/* Secure pool needs a hypervisor that keeps the kernel out: STATUS_NOT_SUPPORTED, *PoolHandle untouched. */
NTSTATUS NTAPI
ExCreatePool(ULONG Flags, ULONG_PTR Tag, POOL_CREATE_EXTENDED_PARAMS *Params, HANDLE *PoolHandle)
{
    UNREFERENCED_PARAMETER(Tag);
    UNREFERENCED_PARAMETER(PoolHandle);
    if ((Flags & ~POOL_CREATE_FLG_VALID_FLAGS) != 0 ||
        (Params != NULL && Params->Version != POOL_CREATE_PARAMS_VERSION)) {
        return STATUS_INVALID_PARAMETER;
    }
    return STATUS_NOT_SUPPORTED;
}
NTEXPORT(ExCreatePool);

/* No pool was ever created, so no handle can be right. */
VOID NTAPI
ExDestroyPool(HANDLE PoolHandle)
{
    KeBugCheckEx(BAD_POOL_CALLER, 0x46, (ULONG_PTR)PoolHandle, 0, 0);
}
NTEXPORT(ExDestroyPool);

/* No block is in a secure pool: STATUS_INVALID_PARAMETER. */
NTSTATUS NTAPI
ExSecurePoolUpdate(HANDLE SecurePoolHandle, ULONG Tag, PVOID Allocation, ULONG_PTR Cookie, SIZE_T Offset,
                   SIZE_T Size, PVOID Buffer)
{
    UNREFERENCED_PARAMETER(SecurePoolHandle);
    UNREFERENCED_PARAMETER(Tag);
    UNREFERENCED_PARAMETER(Allocation);
    UNREFERENCED_PARAMETER(Cookie);
    UNREFERENCED_PARAMETER(Offset);
    UNREFERENCED_PARAMETER(Size);
    UNREFERENCED_PARAMETER(Buffer);
    return STATUS_INVALID_PARAMETER;
}
NTEXPORT(ExSecurePoolUpdate);

/* TRUE if the facts describe a live block of that secure pool: none can. Never raises. */
BOOLEAN NTAPI
ExSecurePoolValidate(HANDLE SecurePoolHandle, ULONG Tag, PVOID Allocation, ULONG_PTR Cookie)
{
    UNREFERENCED_PARAMETER(SecurePoolHandle);
    UNREFERENCED_PARAMETER(Tag);
    UNREFERENCED_PARAMETER(Allocation);
    UNREFERENCED_PARAMETER(Cookie);
    return FALSE;
}
NTEXPORT(ExSecurePoolValidate);

/* --- Start ------------------------------------------------------------------------------------ */

/* After frames and system space, before any allocation, on the first processor. Nothing is taken from the
 * pools. */
VOID
MiInitializePools(PHAL_LOADER_BLOCK LoaderBlock)
{
    ULONG Index;

    for (Index = 0; Index < LoaderBlock->RunCount; Index += 1) {
        MiPoolNodeCount = MAX(MiPoolNodeCount, LoaderBlock->Runs[Index].Node + 1);
    }
    MiPoolNodeCount = MIN(MiPoolNodeCount, MI_POOL_NODES);
    MiPoolCookie = HalRandom() | 1;
    MiSetUnusual(MI_UNUSUAL_VERIFY, MiPoolVerify);
    MiSetSpecialPool(&MiSpecialPoolOption);
    MipInitializeSegments();
    MipInitializeClasses();
    MipInitializeCaches();
}
