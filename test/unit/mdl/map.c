/* Mapping MDLs: aliases, rights, cache types, refusals, misuse. */
#include "mdltest.h"

KTEST(MapAliases)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_PAGED, 3 * PAGE_SIZE);
    PMDL Other = IoAllocateMdl(Buffer.Va + 0x123, PAGE_SIZE, FALSE, FALSE, NULL);
    PUCHAR One, Two;

    REQUIRE(Buffer.Mdl != NULL && Other != NULL);
    MmProbeAndLockPages(Other, KernelMode, IoReadAccess);
    One = MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority);
    Two = MmMapLockedPagesSpecifyCache(Other, KernelMode, MmCached, NULL, FALSE, HighPagePriority);
    REQUIRE(One != NULL && Two != NULL);
    CHECK_EQ(BYTE_OFFSET(Two), 0x123);
    CHECK(Buffer.Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA);
    CHECK(Buffer.Mdl->MappedSystemVa == One);
    CHECK(MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority) == One);
    *(volatile ULONG *)(One + 0x123) = 0xCAFE;
    CHECK_EQ(*(volatile ULONG *)(Buffer.Va + 0x123), 0xCAFE);
    CHECK_EQ(*(volatile ULONG *)Two, 0xCAFE);
    *(volatile ULONG *)(Two + PAGE_SIZE - 4) = 0xF00D;
    CHECK_EQ(*(volatile ULONG *)(Buffer.Va + 0x123 + PAGE_SIZE - 4), 0xF00D);
    MmUnmapLockedPages(Two, Other);
    CHECK_EQ(Other->MdlFlags, MDL_PAGES_LOCKED);
    CHECK(MtFrameOf(Two) == MI_NO_FRAME);
    CHECK_EQ(*(volatile ULONG *)(One + 0x123), 0xCAFE);
    MmUnlockPages(Other);
    IoFreeMdl(Other);
    MmUnlockPages(Buffer.Mdl); /* takes the mapping along */
    CHECK(MtFrameOf(One) == MI_NO_FRAME);
    MtFreeBuffer(&Buffer);
}

static VOID
MapCheckRights(PMDL Mdl, ULONG Flags, BOOLEAN Write, BOOLEAN Execute)
{
    PUCHAR Va =
        MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority | Flags);

    REQUIRE(Va != NULL);
    CHECK_EQ(MiPteIsWritable(PtEntry(Va)), Write);
    CHECK_EQ(MiPteIsExecutable(PtEntry(Va)), Execute);
    MmUnmapLockedPages(Va, Mdl);
}

KTEST(MapRights)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, 2 * PAGE_SIZE);

    REQUIRE(Buffer.Mdl != NULL);
    MapCheckRights(Buffer.Mdl, 0, TRUE, TRUE);
    MapCheckRights(Buffer.Mdl, MdlMappingNoExecute, TRUE, FALSE);
    MapCheckRights(Buffer.Mdl, MdlMappingNoWrite, FALSE, TRUE);
    MapCheckRights(Buffer.Mdl, MdlMappingNoWrite | MdlMappingNoExecute, FALSE, FALSE);
    MtFreeLocked(&Buffer);
}

KTEST(MapGuardPages)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, 2 * PAGE_SIZE);
    SIZE_T Reserved = MiReservedPages(MiRegionSystemPtes);
    PUCHAR Va;

    REQUIRE(Buffer.Mdl != NULL);
    Va = MmMapLockedPagesSpecifyCache(Buffer.Mdl, KernelMode, MmCached, NULL, FALSE,
                                      NormalPagePriority | MdlMappingWithGuardPtes);
    REQUIRE(Va != NULL);
    CHECK_EQ(MiReservedPages(MiRegionSystemPtes), Reserved + 4);
    CHECK(!MmIsAddressValid(Va - 1) && MmIsAddressValid(Va) && !MmIsAddressValid(Va + 2 * PAGE_SIZE));
    MmUnmapLockedPages(Va, Buffer.Mdl);
    CHECK_EQ(MiReservedPages(MiRegionSystemPtes), Reserved);
    MtFreeLocked(&Buffer);
}

/* Who maps a page first decides; pools are cached whatever is asked for. */
KTEST(MapCacheTypes)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE);
    PMDL Pages = MmAllocatePagesForMdlEx(MtPhysical(0), MtPhysical(~0ull), MtPhysical(0), PAGE_SIZE,
                                         MmWriteCombined, 0);
    PMDL Free = MmAllocatePagesForMdl(MtPhysical(0), MtPhysical(~0ull), MtPhysical(0), PAGE_SIZE);
    PUCHAR Va;

    REQUIRE(Buffer.Mdl != NULL && Pages != NULL && Free != NULL);
    Va = MmMapLockedPagesSpecifyCache(Buffer.Mdl, KernelMode, MmNonCached, NULL, FALSE, NormalPagePriority);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), MmCached);
    CHECK(MmAreMdlPagesCached(Buffer.Mdl));
    Va = MmMapLockedPagesSpecifyCache(Pages, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), MmWriteCombined);
    CHECK(!MmAreMdlPagesCached(Pages));
    CHECK(MmMapLockedPagesSpecifyCache(Free, KernelMode, MmMaximumCacheType, NULL, FALSE, 0) == NULL);
    Va = MmMapLockedPagesSpecifyCache(Free, KernelMode, MmNonCached, NULL, FALSE, NormalPagePriority);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), MmNonCached);
    MmFreePagesFromMdl(Pages);
    MmFreePagesFromMdl(Free);
    ExFreePool(Pages);
    ExFreePool(Free);
    MtFreeLocked(&Buffer);
}

/* --- What may not be mapped ------------------------------------------------------------------- */

static VOID
MapIt(PVOID Mdl)
{
    MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
}

/* Failing to map into user space is an exception. */
static VOID
MapForUser(PVOID Mdl)
{
    MmMapLockedPagesSpecifyCache(Mdl, UserMode, MmCached, (PVOID)0x1000, FALSE, NormalPagePriority);
}

KTEST(MapMisuse)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE);
    PMDL Other = IoAllocateMdl(Buffer.Va, PAGE_SIZE, FALSE, FALSE, NULL);

    REQUIRE(Buffer.Mdl != NULL && Other != NULL);
    MtFrames(Other)[0] = 0;
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB3, (ULONG_PTR)Other, MapIt, Other);
    MmBuildMdlForNonPagedPool(Other);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB2, (ULONG_PTR)Other, MapIt, Other);
    CHECK_BUGCHECK_CALL(KMODE_EXCEPTION_NOT_HANDLED, (ULONG_PTR)(LONG_PTR)STATUS_INVALID_ADDRESS, MapForUser,
                        Buffer.Mdl);
    REQUIRE(MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority) != NULL);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB2, (ULONG_PTR)Buffer.Mdl, MapIt, Buffer.Mdl);
    IoFreeMdl(Other);
    MtFreeLocked(&Buffer);
}

KTEST(MapOfPagesNobodyKeeps)
{
    PFN_NUMBER Frame = MiGetFrame(0, 0, MiUseDriverLocked);
    PMDL Mdl = IoAllocateMdl(NULL, PAGE_SIZE, FALSE, FALSE, NULL);

    REQUIRE(Frame != MI_NO_FRAME && Mdl != NULL);
    MiFreeFrame(Frame);
    MtFrames(Mdl)[0] = Frame;
    Mdl->MdlFlags = MDL_PAGES_LOCKED;
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x85, (ULONG_PTR)Mdl, MapIt, Mdl);
    KiVerifierOn = FALSE;
    MT_BUGCHECK2(MEMORY_MANAGEMENT, 0x1233, Frame, MapIt, Mdl);
    KiVerifierOn = TRUE;
    MtFrames(Mdl)[0] = 0xFFFFFFF;
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x89, (ULONG_PTR)Mdl, MapIt, Mdl);
    Mdl->MdlFlags = 0;
    IoFreeMdl(Mdl);
}

/* --- Unmapping -------------------------------------------------------------------------------- */

typedef struct _MAP_UNMAP {
    PVOID Va;
    PMDL Mdl;
} MAP_UNMAP;

static VOID
MapUndo(PVOID Context)
{
    MAP_UNMAP *Unmap = Context;

    MmUnmapLockedPages(Unmap->Va, Unmap->Mdl);
}

KTEST(UnmapMisuse)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE);
    MAP_UNMAP Unmap = {Buffer.Va, Buffer.Mdl};
    PMDL Partial = IoAllocateMdl(Buffer.Va, PAGE_SIZE, FALSE, FALSE, NULL);
    PFN_NUMBER First;
    PUCHAR Va;

    REQUIRE(Buffer.Mdl != NULL && Partial != NULL);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB6, (ULONG_PTR)Buffer.Mdl, MapUndo, &Unmap);
    KiVerifierOn = FALSE;
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 6, (ULONG_PTR)Buffer.Mdl, MapUndo, &Unmap);
    KiVerifierOn = TRUE;
    Va = MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority);
    REQUIRE(Va != NULL);
    Unmap.Va = (PVOID)0x10000;
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB9, (ULONG_PTR)Buffer.Mdl, MapUndo, &Unmap);
    Unmap.Va = Va + PAGE_SIZE;
    CHECK_BUGCHECK_CALL(SYSTEM_PTE_MISUSE, 3, MapUndo, &Unmap);
    Unmap.Va = Va;
    Buffer.Mdl->ByteCount -= PAGE_SIZE;
    CHECK_BUGCHECK_CALL(SYSTEM_PTE_MISUSE, 2, MapUndo, &Unmap);
    Buffer.Mdl->ByteCount += PAGE_SIZE;
    First = MtFrames(Buffer.Mdl)[0];
    MtFrames(Buffer.Mdl)[0] += 1;
    CHECK_BUGCHECK_CALL(SYSTEM_PTE_MISUSE, 4, MapUndo, &Unmap);
    MtFrames(Buffer.Mdl)[0] = First;
    Buffer.Mdl->StartVa = (PUCHAR)Buffer.Mdl->StartVa + PAGE_SIZE;
    CHECK_BUGCHECK_CALL(SYSTEM_PTE_MISUSE, 5, MapUndo, &Unmap);
    Buffer.Mdl->StartVa = (PUCHAR)Buffer.Mdl->StartVa - PAGE_SIZE;
    IoBuildPartialMdl(Buffer.Mdl, Partial, Buffer.Va, 1);
    Unmap.Mdl = Partial;
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB5, (ULONG_PTR)Partial, MapUndo, &Unmap);
    IoFreeMdl(Partial);
    MtFreeLocked(&Buffer);
}

/* --- Shortage --------------------------------------------------------------------------------- */

static VOID
MapOrDie(PVOID Mdl)
{
    MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, TRUE, HighPagePriority);
}

/* A large reservation may leave the directory of a new gigabyte behind. */
KTEST_KEEPS(MapWithoutAddress)
{
    SIZE_T Bytes = 700 * PAGE_SIZE;
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, Bytes);
    ULONG Limit;

    REQUIRE(Buffer.Mdl != NULL);
    Limit = MiLimitRegion(MiRegionSystemPtes, 0);
    CHECK(MmGetSystemAddressForMdlSafe(Buffer.Mdl, HighPagePriority) == NULL);
    CHECK_EQ(Buffer.Mdl->MdlFlags, MDL_PAGES_LOCKED | MDL_WRITE_OPERATION);
    MT_BUGCHECK2(NO_MORE_SYSTEM_PTES, 0, 700, MapOrDie, Buffer.Mdl);
    MiSetMdlFlags(Buffer.Mdl, MDL_MAPPING_CAN_FAIL);
    MapOrDie(Buffer.Mdl);
    MiLimitRegion(MiRegionSystemPtes, Limit);
    CHECK(MmGetSystemAddressForMdlSafe(Buffer.Mdl, LowPagePriority) != NULL);
    MtFreeLocked(&Buffer);
}

/* The last pages are for those who ask with a high priority. */
KTEST(MapPriorities)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE);
    PFN_NUMBER Head = MI_NO_FRAME, Frame;
    PVOID Low, Normal, High;

    REQUIRE(Buffer.Mdl != NULL);
    if (MtIsLargeMachine()) {
        MtFreeLocked(&Buffer);
        return;
    }
    MmUnmapLockedPages(MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority), Buffer.Mdl);
    while (MiAvailablePages() > 40 &&
           (Frame = MiGetFrame(MI_GET_RESERVE, MM_ANY_NODE_OK, MiUseDriverLocked)) != MI_NO_FRAME) {
        *(PFN_NUMBER *)HalFrameAddress(Frame) = Head;
        Head = Frame;
    }
    Low = MmGetSystemAddressForMdlSafe(Buffer.Mdl, LowPagePriority);
    Normal = MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority);
    if (Normal != NULL) {
        MmUnmapLockedPages(Normal, Buffer.Mdl);
    }
    while (MiAvailablePages() > 10 &&
           (Frame = MiGetFrame(MI_GET_RESERVE, MM_ANY_NODE_OK, MiUseDriverLocked)) != MI_NO_FRAME) {
        *(PFN_NUMBER *)HalFrameAddress(Frame) = Head;
        Head = Frame;
    }
    High = MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority);
    CHECK(High == NULL);
    High = MmGetSystemAddressForMdlSafe(Buffer.Mdl, HighPagePriority);
    while (Head != MI_NO_FRAME) {
        Frame = Head;
        Head = *(PFN_NUMBER *)HalFrameAddress(Frame);
        MiFreeFrame(Frame);
    }
    CHECK(Low == NULL && Normal != NULL && High != NULL);
    MtFreeLocked(&Buffer);
}

KTEST(MapFailNth)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, 300 * PAGE_SIZE);
    ULONG64 Nth = 0;
    PVOID Va;

    REQUIRE(Buffer.Mdl != NULL);
    do {
        PT_FIGURES Before;

        Nth += 1;
        Before = MtMeasure();
        PtFailNth(Nth, FALSE);
        Va = MmMapLockedPagesSpecifyCache(Buffer.Mdl, KernelMode, MmCached, NULL, FALSE, HighPagePriority);
        if (Va != NULL) {
            MmUnmapLockedPages(Va, Buffer.Mdl);
        }
        PtStopFailing();
        MT_CHECK_SAME(Before);
        CHECK_EQ(Buffer.Mdl->MdlFlags, MDL_PAGES_LOCKED | MDL_WRITE_OPERATION);
    } while (MiInject.Failures != 0);
    CHECK(Va != NULL && Nth > 1);
    MtFreeLocked(&Buffer);
}

/* --- Protection ------------------------------------------------------------------------------- */

KTEST(MapProtect)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_PAGED, 2 * PAGE_SIZE);
    PUCHAR Va;

    REQUIRE(Buffer.Mdl != NULL);
    CHECK_STATUS(STATUS_NOT_MAPPED_VIEW, MmProtectMdlSystemAddress(Buffer.Mdl, PAGE_READONLY));
    Va = MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority);
    REQUIRE(Va != NULL);
    Va[0] = 9;
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, MmProtectMdlSystemAddress(Buffer.Mdl, 0));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, MmProtectMdlSystemAddress(Buffer.Mdl, PAGE_WRITECOPY));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION,
                 MmProtectMdlSystemAddress(Buffer.Mdl, PAGE_READWRITE | PAGE_GUARD));
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION,
                 MmProtectMdlSystemAddress(Buffer.Mdl, PAGE_READWRITE | PAGE_READONLY));
    CHECK_STATUS(STATUS_SUCCESS, MmProtectMdlSystemAddress(Buffer.Mdl, PAGE_READONLY));
    CHECK(!MiPteIsWritable(PtEntry(Va + PAGE_SIZE)) && !MiPteIsExecutable(PtEntry(Va)));
    CHECK_STATUS(STATUS_SUCCESS, MmProtectMdlSystemAddress(Buffer.Mdl, PAGE_NOACCESS));
    CHECK(!MmIsAddressValid(Va));
    CHECK_STATUS(STATUS_SUCCESS, MmProtectMdlSystemAddress(Buffer.Mdl, PAGE_READWRITE));
    CHECK_EQ(Va[0], 9);
    Va[PAGE_SIZE] = 8;
    CHECK_EQ(Buffer.Va[PAGE_SIZE], 8);
    CHECK_STATUS(STATUS_SUCCESS, MmProtectMdlSystemAddress(Buffer.Mdl, PAGE_NOACCESS));
    MtFreeLocked(&Buffer);
}

static VOID
MapProtectIt(PVOID Mdl)
{
    MmProtectMdlSystemAddress(Mdl, PAGE_READONLY);
}

KTEST(MapProtectOfBadMapping)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE);
    PUCHAR Va;

    REQUIRE(Buffer.Mdl != NULL);
    Va = MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority);
    REQUIRE(Va != NULL);
    Buffer.Mdl->MappedSystemVa = Buffer.Va;
    MT_BUGCHECK2(MEMORY_MANAGEMENT, 0x1235, (ULONG_PTR)Buffer.Mdl, MapProtectIt, Buffer.Mdl);
    Buffer.Mdl->MappedSystemVa = Va;
    MtFreeLocked(&Buffer);
}

typedef struct _MAP_CALLED {
    PUCHAR Va;
    ULONG Count;
    BOOLEAN Writable;
} MAP_CALLED;

static VOID NTAPI
MapCallback(PVOID Context, PVOID Va)
{
    MAP_CALLED *Called = Context;

    Called->Va = Va;
    Called->Count += 1;
    Called->Writable = MiPteIsWritable(PtEntry(Va));
}

KTEST(MapForACall)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE + 40);
    MAP_CALLED Called = {0};

    REQUIRE(Buffer.Mdl != NULL);
    CHECK_STATUS(STATUS_SUCCESS, MmMapMdl(Buffer.Mdl, PAGE_READONLY, MapCallback, &Called));
    CHECK_EQ(Called.Count, 1);
    CHECK(!Called.Writable);
    CHECK_EQ(BYTE_OFFSET(Called.Va), BYTE_OFFSET(Buffer.Va));
    CHECK(MtFrameOf(Called.Va) == MI_NO_FRAME);
    CHECK_EQ(Buffer.Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA, 0);
    CHECK_STATUS(STATUS_INVALID_PAGE_PROTECTION, MmMapMdl(Buffer.Mdl, PAGE_WRITECOPY, MapCallback, &Called));
    CHECK_EQ(Called.Count, 1);
    MtFreeLocked(&Buffer);
}

/* --- The tracker ------------------------------------------------------------------------------ */

typedef struct _MAP_SEEN {
    PVOID Object;
    SIZE_T Size;
    ULONG Count[MiTrackMaximum];
} MAP_SEEN;

static VOID
MapSee(const MI_TRACKED *Tracked, PVOID Context)
{
    MAP_SEEN *Seen = Context;

    Seen->Count[Tracked->Kind] += 1;
    if (Tracked->Object == Seen->Object) {
        Seen->Size = Tracked->Size;
    }
}

KTEST(TrackerKnowsWhatIsHeld)
{
    MAP_SEEN Before = {0}, During = {0};
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_NON_PAGED, 2 * PAGE_SIZE);
    MI_TRACKED Record;

    REQUIRE(Buffer.Mdl != NULL);
    MiEnumerateTracked(MapSee, &Before);
    MmProbeAndLockPages(Buffer.Mdl, KernelMode, IoReadAccess);
    REQUIRE(MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority) != NULL);
    During.Object = Buffer.Mdl;
    MiEnumerateTracked(MapSee, &During);
    CHECK_EQ(During.Count[MiTrackLockedPages], Before.Count[MiTrackLockedPages] + 1);
    CHECK_EQ(During.Count[MiTrackMapping], Before.Count[MiTrackMapping] + 1);
    CHECK_EQ(During.Size, 2 * PAGE_SIZE);
    CHECK(MiFindTrackedAround(MiTrackMapping, (PUCHAR)Buffer.Mdl->MappedSystemVa + PAGE_SIZE + 1, &Record));
    CHECK(Record.Object == Buffer.Mdl->MappedSystemVa && !Record.Image);
    CHECK(!MiFindTrackedAround(MiTrackMapping, (PUCHAR)Buffer.Mdl->MappedSystemVa + 2 * PAGE_SIZE, &Record));
    MmUnlockPages(Buffer.Mdl);
    CHECK(!MiFindTracked(MiTrackLockedPages, Buffer.Mdl, &Record));
    MtFreeBuffer(&Buffer);
}
