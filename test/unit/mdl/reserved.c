/* Reserved mappings. */
#include "mdltest.h"

#define RESERVED_TAG 0x76736552

typedef struct _RESERVED_CALL {
    PVOID Va;
    ULONG Tag;
    PMDL Mdl;
} RESERVED_CALL;

static VOID
ReservedFree(PVOID Context)
{
    RESERVED_CALL *Call = Context;

    MmFreeMappingAddress(Call->Va, Call->Tag);
}

static VOID
ReservedMap(PVOID Context)
{
    RESERVED_CALL *Call = Context;

    MmMapLockedPagesWithReservedMapping(Call->Va, Call->Tag, Call->Mdl, MmCached);
}

static VOID
ReservedUnmap(PVOID Context)
{
    RESERVED_CALL *Call = Context;

    MmUnmapReservedMapping(Call->Va, Call->Tag, Call->Mdl);
}

static VOID
ReservedNothing(PVOID Context)
{
    MmAllocateMappingAddress(0, RESERVED_TAG);
}

KTEST(ReservedMapsAndUnmaps)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_PAGED, 2 * PAGE_SIZE);
    PUCHAR Va = MmAllocateMappingAddress(4 * PAGE_SIZE, RESERVED_TAG), Mapped;

    REQUIRE(Buffer.Mdl != NULL && Va != NULL);
    CHECK_STATUS(STATUS_SUCCESS, MmAdvanceMdl(Buffer.Mdl, 0x20));
    for (ULONG Round = 0; Round < 3; Round += 1) {
        Mapped = MmMapLockedPagesWithReservedMapping(Va + Round, RESERVED_TAG, Buffer.Mdl, MmCached);
        CHECK(Mapped == Va + 0x20);
        CHECK(Buffer.Mdl->MappedSystemVa == Va);
        CHECK(Buffer.Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA);
        Mapped[0] = (UCHAR)(Round + 5);
        CHECK_EQ(Buffer.Va[0x20], Round + 5);
        CHECK(!MmIsAddressValid(Va + 2 * PAGE_SIZE));
        MmUnmapReservedMapping(Va, RESERVED_TAG, Buffer.Mdl);
        CHECK(!(Buffer.Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA));
        CHECK(!MmIsAddressValid(Va));
    }
    MmFreeMappingAddress(Va + 7, RESERVED_TAG);
    MtFreeLocked(&Buffer);
}

/* Mapping needs nothing that could be short. */
KTEST(ReservedMapCannotFail)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE);
    PUCHAR Va = MmAllocateMappingAddress(3 * PAGE_SIZE, RESERVED_TAG);

    REQUIRE(Buffer.Mdl != NULL && Va != NULL);
    PtFailNth(1, TRUE);
    CHECK(MmMapLockedPagesWithReservedMapping(Va, RESERVED_TAG, Buffer.Mdl, MmCached) == Va);
    MmUnmapReservedMapping(Va, RESERVED_TAG, Buffer.Mdl);
    CHECK(!PtStopFailing());
    MmFreeMappingAddress(Va, RESERVED_TAG);
    MtFreeLocked(&Buffer);
}

KTEST(ReservedRefusals)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE);
    PUCHAR Va = MmAllocateMappingAddress(2 * PAGE_SIZE, 1);

    REQUIRE(Buffer.Mdl != NULL && Va != NULL);
    CHECK(MmAllocateMappingAddress(PAGE_SIZE, 0) == NULL);
    CHECK(MmAllocateMappingAddressEx(PAGE_SIZE, RESERVED_TAG, 0x10) == NULL);
    CHECK(MmAllocateMappingAddress(1ull << 50, RESERVED_TAG) == NULL);
    CHECK(MmMapLockedPagesWithReservedMapping(Va, 1, Buffer.Mdl, MmCached) == NULL);
    CHECK_EQ(Buffer.Mdl->MdlFlags & MDL_MAPPED_TO_SYSTEM_VA, 0);
    MmFreeMappingAddress(Va, 1);
    CHECK_BUGCHECK_CALL(SYSTEM_PTE_MISUSE, 0x100, ReservedNothing, NULL);
    MtFreeLocked(&Buffer);
}

KTEST(ReservedMisuse)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, 2 * PAGE_SIZE);
    MT_BUFFER Small = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE);
    MT_BUFFER Large = MtMakeLocked(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE);
    MT_BUFFER Huge = MtMakeLocked(POOL_FLAG_NON_PAGED, 5 * PAGE_SIZE);
    PUCHAR Va = MmAllocateMappingAddress(4 * PAGE_SIZE, RESERVED_TAG);
    RESERVED_CALL Call = {Va, RESERVED_TAG, Buffer.Mdl};

    REQUIRE(Buffer.Mdl != NULL && Small.Mdl != NULL && Large.Mdl != NULL && Huge.Mdl != NULL && Va != NULL);
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x109, (ULONG_PTR)Va, ReservedUnmap, &Call);
    Call.Tag = 7;
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x101, (ULONG_PTR)Va, ReservedFree, &Call);
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x104, (ULONG_PTR)Va, ReservedMap, &Call);
    Call.Tag = RESERVED_TAG;
    Call.Va = Va + PAGE_SIZE;
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x102, (ULONG_PTR)Call.Va, ReservedFree, &Call);
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x105, (ULONG_PTR)Call.Va, ReservedMap, &Call);
    Call.Va = Va;
    REQUIRE(MmMapLockedPagesWithReservedMapping(Va, RESERVED_TAG, Buffer.Mdl, MmCached) != NULL);
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x103, (ULONG_PTR)Va, ReservedFree, &Call);
    Call.Mdl = Small.Mdl;
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x107, (ULONG_PTR)Va, ReservedMap, &Call);
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x10C, (ULONG_PTR)Va, ReservedUnmap, &Call);
    Call.Mdl = Large.Mdl;
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x10B, (ULONG_PTR)Va, ReservedUnmap, &Call);
    Call.Mdl = Huge.Mdl;
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x10A, (ULONG_PTR)Va, ReservedUnmap, &Call);
    Call.Mdl = Buffer.Mdl;
    Call.Tag = 7;
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x108, (ULONG_PTR)Va, ReservedUnmap, &Call);
    MmUnmapReservedMapping(Va, RESERVED_TAG, Buffer.Mdl);
    MmFreeMappingAddress(Va, RESERVED_TAG);
    MtFreeLocked(&Buffer);
    MtFreeLocked(&Small);
    MtFreeLocked(&Large);
    MtFreeLocked(&Huge);
}

static VOID
ReservedUnmapLocked(PVOID Context)
{
    RESERVED_CALL *Call = Context;

    MmUnmapLockedPages(Call->Va, Call->Mdl);
}

KTEST(ReservedIsNotUnmappedOtherwise)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE);
    PUCHAR Va = MmAllocateMappingAddress(PAGE_SIZE, RESERVED_TAG);
    RESERVED_CALL Call = {Va, RESERVED_TAG, Buffer.Mdl};

    REQUIRE(Buffer.Mdl != NULL && Va != NULL);
    REQUIRE(MmMapLockedPagesWithReservedMapping(Va, RESERVED_TAG, Buffer.Mdl, MmCached) != NULL);
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x301, (ULONG_PTR)Va, ReservedUnmapLocked, &Call);
    CHECK_STATUS(STATUS_SUCCESS, MmProtectMdlSystemAddress(Buffer.Mdl, PAGE_READONLY));
    CHECK(!MiPteIsWritable(PtEntry(Va)));
    MmUnmapReservedMapping(Va, RESERVED_TAG, Buffer.Mdl);
    MmFreeMappingAddress(Va, RESERVED_TAG);
    MtFreeLocked(&Buffer);
}

KTEST(ReservedDivisible)
{
    MT_BUFFER One = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE);
    MT_BUFFER Two = MtMakeLocked(POOL_FLAG_NON_PAGED, 2 * PAGE_SIZE);
    PUCHAR Va = MmAllocateMappingAddressEx(4 * PAGE_SIZE, RESERVED_TAG, MM_MAPPING_ADDRESS_DIVISIBLE);
    RESERVED_CALL Call = {Va + PAGE_SIZE, RESERVED_TAG, One.Mdl};

    REQUIRE(One.Mdl != NULL && Two.Mdl != NULL && Va != NULL);
    CHECK(MmMapLockedPagesWithReservedMapping(Va + 3 * PAGE_SIZE, RESERVED_TAG, Two.Mdl, MmCached) == NULL);
    CHECK(MmMapLockedPagesWithReservedMapping(Va + PAGE_SIZE, RESERVED_TAG, Two.Mdl, MmCached) ==
          Va + PAGE_SIZE);
    CHECK(MmMapLockedPagesWithReservedMapping(Va + 3 * PAGE_SIZE, RESERVED_TAG, One.Mdl, MmCached) != NULL);
    MmUnmapReservedMapping(Va + 3 * PAGE_SIZE, RESERVED_TAG, One.Mdl);
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x107, (ULONG_PTR)Call.Va, ReservedMap, &Call);
    MmUnmapReservedMapping(Va + PAGE_SIZE, RESERVED_TAG, Two.Mdl);
    MmFreeMappingAddress(Va, RESERVED_TAG);
    MtFreeLocked(&One);
    MtFreeLocked(&Two);
}

KTEST(ReservedFailNth)
{
    ULONG64 Nth = 0;
    PVOID Va;

    do {
        Nth += 1;
        MiTrimPools();
        MiTrimSystemSpace();
        PtFailNth(Nth, FALSE);
        Va = MmAllocateMappingAddress(300 * PAGE_SIZE, RESERVED_TAG);
        if (Va != NULL) {
            MmFreeMappingAddress(Va, RESERVED_TAG);
        }
    } while (PtStopFailing());
    CHECK(Va != NULL && Nth > 1);
    MiTrimSystemSpace();
}
