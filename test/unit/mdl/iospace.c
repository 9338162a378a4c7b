/* Device memory: mappings, cache types, counts, MDLs. The window is the hosted machine's; elsewhere a note is
 * left. */
#include "mdltest.h"

#define IO_ADDRESS (MDL_IO_FRAME << PAGE_SHIFT)

static BOOLEAN
IoMissing(VOID)
{
    if (!MtHasIoSpace()) {
        KTestNote("no device memory");
        return TRUE;
    }
    return FALSE;
}

KTEST(IoMapsAndAliases)
{
    PUCHAR One, Two;

    if (IoMissing()) {
        return;
    }
    One = MmMapIoSpace(MtPhysical(IO_ADDRESS + 0x10), PAGE_SIZE, MmNonCached);
    Two = MmMapIoSpaceEx(MtPhysical(IO_ADDRESS), 3 * PAGE_SIZE, PAGE_READWRITE | PAGE_NOCACHE);
    REQUIRE(One != NULL && Two != NULL);
    CHECK_EQ(BYTE_OFFSET(One), 0x10);
    CHECK(MiPteIsExecutable(PtEntry(One)) && !MiPteIsExecutable(PtEntry(Two)));
    CHECK_EQ(MiGetPteCacheType(PtEntry(One)), MmNonCached);
    CHECK_EQ(MmGetPhysicalAddress(One).QuadPart, IO_ADDRESS + 0x10);
    *(volatile ULONG *)One = 0x12345678;
    CHECK_EQ(*(volatile ULONG *)(Two + 0x10), 0x12345678);
    *(volatile ULONG *)One = 0;
    CHECK(MmIsIoSpaceActive(MtPhysical(IO_ADDRESS + 2 * PAGE_SIZE), 1));
    MmUnmapIoSpace(One, PAGE_SIZE);
    CHECK(MmIsIoSpaceActive(MtPhysical(IO_ADDRESS), PAGE_SIZE));
    MmUnmapIoSpace(Two, 3 * PAGE_SIZE);
    CHECK(!MmIsIoSpaceActive(MtPhysical(IO_ADDRESS), 256 * PAGE_SIZE));
    CHECK(MtFrameOf(Two) == MI_NO_FRAME);
}

/* The first mapping decides, until the last one is gone. */
KTEST(IoCacheTypesMustAgree)
{
    MEMORY_CACHING_TYPE CacheType;
    PVOID One, Two;

    if (IoMissing()) {
        return;
    }
    One = MmMapIoSpace(MtPhysical(IO_ADDRESS + PAGE_SIZE), PAGE_SIZE, MmWriteCombined);
    REQUIRE(One != NULL);
    CHECK(MmMapIoSpace(MtPhysical(IO_ADDRESS), 4 * PAGE_SIZE, MmNonCached) == NULL);
    CHECK_STATUS(STATUS_SUCCESS, MmGetCacheAttribute(MtPhysical(IO_ADDRESS), &CacheType));
    CHECK_EQ(CacheType, MmNotMapped);
    CHECK_STATUS(STATUS_SUCCESS, MmGetCacheAttribute(MtPhysical(IO_ADDRESS + PAGE_SIZE), &CacheType));
    CHECK_EQ(CacheType, MmWriteCombined);
    Two = MmMapIoSpace(MtPhysical(IO_ADDRESS), 4 * PAGE_SIZE, MmWriteCombined);
    REQUIRE(Two != NULL);
    MmUnmapIoSpace(One, PAGE_SIZE);
    CHECK(MmMapIoSpace(MtPhysical(IO_ADDRESS + PAGE_SIZE), 1, MmCached) == NULL);
    MmUnmapIoSpace(Two, 4 * PAGE_SIZE);
    One = MmMapIoSpace(MtPhysical(IO_ADDRESS + PAGE_SIZE), 1, MmCached);
    REQUIRE(One != NULL);
    MmUnmapIoSpace(One, 1);
}

KTEST(IoRefusals)
{
    if (IoMissing()) {
        return;
    }
    CHECK(MmMapIoSpace(MtPhysical(IO_ADDRESS), 0, MmNonCached) == NULL);
    CHECK(MmMapIoSpace(MtPhysical(IO_ADDRESS), PAGE_SIZE, MmMaximumCacheType) == NULL);
    CHECK(MmMapIoSpace(MtPhysical(IO_ADDRESS + 255 * PAGE_SIZE), 2 * PAGE_SIZE, MmNonCached) == NULL);
    CHECK(MmMapIoSpace(MtPhysical(0x7FFFFFFFF000), PAGE_SIZE, MmNonCached) == NULL);
    CHECK(MmMapIoSpace(MtPhysical(~0ull), PAGE_SIZE, MmNonCached) == NULL);
    CHECK(MmMapIoSpaceEx(MtPhysical(IO_ADDRESS), PAGE_SIZE, 0) == NULL);
    CHECK(MmMapIoSpaceEx(MtPhysical(IO_ADDRESS), PAGE_SIZE, PAGE_NOACCESS) == NULL);
    CHECK(MmMapIoSpaceEx(MtPhysical(IO_ADDRESS), PAGE_SIZE,
                         PAGE_READWRITE | PAGE_NOCACHE | PAGE_WRITECOMBINE) == NULL);
    CHECK(!MmIsIoSpaceActive(MtPhysical(IO_ADDRESS), 256 * PAGE_SIZE));
}

typedef struct _IO_CALL {
    PVOID Va;
    SIZE_T Bytes;
    ULONG64 Physical;
} IO_CALL;

static VOID
IoUnmap(PVOID Context)
{
    IO_CALL *Call = Context;

    MmUnmapIoSpace(Call->Va, Call->Bytes);
}

static VOID
IoUnmapAtDispatch(PVOID Context)
{
    KiRaiseIrql(DISPATCH_LEVEL);
    IoUnmap(Context);
}

static VOID
IoMap(PVOID Context)
{
    IO_CALL *Call = Context;

    MmMapIoSpace(MtPhysical(Call->Physical), Call->Bytes, MmCached);
}

KTEST(IoWrongUnmaps)
{
    IO_CALL Call = {.Bytes = PAGE_SIZE};

    if (IoMissing()) {
        return;
    }
    Call.Va = MmMapIoSpace(MtPhysical(IO_ADDRESS), 2 * PAGE_SIZE, MmNonCached);
    REQUIRE(Call.Va != NULL);
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x400, (ULONG_PTR)Call.Va, IoUnmap, &Call);
    Call.Bytes = 2 * PAGE_SIZE;
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x7B, IoUnmapAtDispatch, &Call);
    MmUnmapIoSpace(Call.Va, Call.Bytes);
    MT_BUGCHECK2(SYSTEM_PTE_MISUSE, 0x400, (ULONG_PTR)Call.Va, IoUnmap, &Call);
}

/* RAM may be mapped while somebody keeps it, and stays cached as it is. */
KTEST(IoMapsOwnedRam)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_PAGED, PAGE_SIZE);
    PUCHAR Pages = MmAllocateContiguousMemorySpecifyCache(2 * PAGE_SIZE, MtPhysical(0), MtPhysical(~0ull),
                                                          MtPhysical(0), MmWriteCombined);
    IO_CALL Call = {.Bytes = PAGE_SIZE};
    PUCHAR Va;

    REQUIRE(Pages != NULL && Buffer.Mdl != NULL);
    Va = MmMapIoSpace(MmGetPhysicalAddress(Pages), 2 * PAGE_SIZE, MmCached);
    REQUIRE(Va != NULL);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), MmWriteCombined);
    Va[PAGE_SIZE] = 0x61;
    CHECK_EQ(Pages[PAGE_SIZE], 0x61);
    MmUnmapIoSpace(Va, 2 * PAGE_SIZE);
    Va = MmMapIoSpace(MmGetPhysicalAddress(Buffer.Va), 8, MmNonCached);
    REQUIRE(Va != NULL);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), MmCached);
    MmUnmapIoSpace(Va, 8);
    Call.Physical = MtFrameOf(Buffer.Va) << PAGE_SHIFT;
    MmUnlockPages(Buffer.Mdl);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x83, Call.Physical, IoMap, &Call);
    KiVerifierOn = FALSE;
    CHECK(MmMapIoSpace(MtPhysical(Call.Physical), PAGE_SIZE, MmCached) == NULL);
    KiVerifierOn = TRUE;
    MtFreeBuffer(&Buffer);
    MmFreeContiguousMemory(Pages);
}

static VOID
IoDereference(PVOID Context)
{
    MiDereferenceIoPages(MDL_IO_FRAME, 3);
}

KTEST(IoCountUnderflow)
{
    REQUIRE(MiReferenceIoPages(MDL_IO_FRAME, 2, MmCached, TRUE));
    MT_BUGCHECK2(MEMORY_MANAGEMENT, 0x61948, MDL_IO_FRAME, IoDereference, NULL);
    MiDereferenceIoPages(MDL_IO_FRAME, 2);
    CHECK_EQ(MiIoPageCacheType(MDL_IO_FRAME), MmNotMapped);
}

/* Counts span the blocks they are kept in. */
KTEST(IoCountManyPages)
{
    REQUIRE(MiReferenceIoPages(0x1000100, 5000, MmNonCached, TRUE));
    CHECK_EQ(MiIoPageCacheType(0x1000100 + 4999), MmNonCached);
    CHECK_EQ(MiIoPageCacheType(0x1000100 + 5000), MmNotMapped);
    CHECK(!MiReferenceIoPages(0x1000000, 5000, MmCached, TRUE));
    CHECK_EQ(MiIoPageCacheType(0x1000000), MmNotMapped);
    CHECK(MiReferenceIoPages(0x1000000, 5000, MmCached, FALSE));
    CHECK_EQ(MiIoPageCacheType(0x1000000), MmCached);
    CHECK_EQ(MiIoPageCacheType(0x1000100), MmNonCached);
    MiDereferenceIoPages(0x1000000, 5000);
    MiDereferenceIoPages(0x1000100, 5000);
    CHECK_EQ(MiIoPageCacheType(0x1000100), MmNotMapped);
}

KTEST(IoMdl)
{
    MM_PHYSICAL_ADDRESS_LIST List[2] = {{MtPhysical(IO_ADDRESS + 8 * PAGE_SIZE), 2 * PAGE_SIZE},
                                        {MtPhysical(IO_ADDRESS + 4 * PAGE_SIZE), PAGE_SIZE}};
    PUCHAR Va, Direct;
    PMDL Mdl = NULL;

    if (IoMissing()) {
        return;
    }
    CHECK_STATUS(STATUS_SUCCESS, MmAllocateMdlForIoSpace(List, 2, &Mdl));
    REQUIRE(Mdl != NULL);
    CHECK_EQ(Mdl->MdlFlags, MDL_IO_SPACE);
    CHECK_EQ(MmGetMdlByteCount(Mdl), 3 * PAGE_SIZE);
    CHECK_EQ(MtFrames(Mdl)[1], MDL_IO_FRAME + 9);
    CHECK_EQ(MtFrames(Mdl)[2], MDL_IO_FRAME + 4);
    Direct = MmMapIoSpace(List[1].PhysicalAddress, PAGE_SIZE, MmNonCached);
    Va = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority);
    REQUIRE(Va != NULL && Direct != NULL);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va)), MmCached);
    CHECK_EQ(MiGetPteCacheType(PtEntry(Va + 2 * PAGE_SIZE)), MmNonCached);
    Va[2 * PAGE_SIZE + 5] = 0x21;
    CHECK_EQ(Direct[5], 0x21);
    Direct[5] = 0;
    MmUnmapIoSpace(Direct, PAGE_SIZE);
    MmUnmapLockedPages(Va, Mdl);
    CHECK(!MmIsIoSpaceActive(MtPhysical(IO_ADDRESS), 256 * PAGE_SIZE));
    IoFreeMdl(Mdl);
}

KTEST(IoMdlRefusals)
{
    MM_PHYSICAL_ADDRESS_LIST Entry = {MtPhysical(IO_ADDRESS), PAGE_SIZE};
    PMDL Mdl = (PMDL)1;

    if (IoMissing()) {
        return;
    }
    CHECK_STATUS(STATUS_INVALID_PARAMETER_1, MmAllocateMdlForIoSpace(&Entry, 0, &Mdl));
    Entry.NumberOfBytes = PAGE_SIZE + 1;
    CHECK_STATUS(STATUS_INVALID_PARAMETER_1, MmAllocateMdlForIoSpace(&Entry, 1, &Mdl));
    Entry.NumberOfBytes = 257 * PAGE_SIZE;
    CHECK_STATUS(STATUS_INVALID_PARAMETER_1, MmAllocateMdlForIoSpace(&Entry, 1, &Mdl));
    Entry.NumberOfBytes = PAGE_SIZE;
    Entry.PhysicalAddress.QuadPart += 0x10;
    CHECK_STATUS(STATUS_INVALID_PARAMETER_1, MmAllocateMdlForIoSpace(&Entry, 1, &Mdl));
    Entry.PhysicalAddress.QuadPart = 0x200000;
    CHECK_STATUS(STATUS_INVALID_PARAMETER_1, MmAllocateMdlForIoSpace(&Entry, 1, &Mdl));
    CHECK(Mdl == (PMDL)1);
}

KTEST(IoFailNth)
{
    ULONG64 Nth = 0, Failures;
    PVOID Va;

    if (IoMissing()) {
        return;
    }
    do {
        PT_FIGURES Before;

        Nth += 1;
        Before = MtMeasure();
        PtFailNth(Nth, FALSE);
        Va = MmMapIoSpace(MtPhysical(IO_ADDRESS), 200 * PAGE_SIZE, MmNonCached);
        PtStopFailing();
        Failures = MiInject.Failures;
        if (Va != NULL) {
            MmUnmapIoSpace(Va, 200 * PAGE_SIZE);
        }
        CHECK(!MmIsIoSpaceActive(MtPhysical(IO_ADDRESS), 256 * PAGE_SIZE));
        MT_CHECK_SAME(Before);
    } while (Failures != 0);
    CHECK(Va != NULL && Nth > 2);
}
