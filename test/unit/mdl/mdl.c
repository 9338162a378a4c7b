/* MDLs themselves: sizes, chains, partial ones, nonpaged pool, advancing. */
#include "mdltest.h"

KTEST(MdlSizes)
{
    CHECK_EQ(MmSizeOfMdl(NULL, 0), sizeof(MDL));
    CHECK_EQ(MmSizeOfMdl(NULL, 1), sizeof(MDL) + 8);
    CHECK_EQ(MmSizeOfMdl((PVOID)0xFFF, 1), sizeof(MDL) + 8);
    CHECK_EQ(MmSizeOfMdl((PVOID)0xFFF, 2), sizeof(MDL) + 16);
    CHECK_EQ(MmSizeOfMdl((PVOID)1, 2 * PAGE_SIZE), sizeof(MDL) + 24);
    CHECK_EQ(MmSizeOfMdl(NULL, 1ull << 40), sizeof(MDL) + (8ull << 28));
}

KTEST(MdlDescribesItsRange)
{
    PMDL Mdl = IoAllocateMdl((PVOID)0x123456, 0x3000, FALSE, FALSE, NULL);

    REQUIRE(Mdl != NULL);
    CHECK(Mdl->Next == NULL);
    CHECK_EQ(Mdl->MdlFlags, 0);
    CHECK_EQ((ULONG_PTR)MmGetMdlBaseVa(Mdl), 0x123000);
    CHECK_EQ(MmGetMdlByteOffset(Mdl), 0x456);
    CHECK_EQ(MmGetMdlByteCount(Mdl), 0x3000);
    CHECK_EQ((ULONG_PTR)MmGetMdlVirtualAddress(Mdl), 0x123456);
    CHECK_EQ(Mdl->Size, sizeof(MDL) + 4 * 8);
    CHECK(Mdl->MappedSystemVa == NULL && Mdl->Process == NULL);
    IoFreeMdl(Mdl);
}

KTEST(MdlSizeFieldIsTheLimit)
{
    SIZE_T TooMany = (0x10000 - sizeof(MDL)) / sizeof(PFN_NUMBER);
    PMDL Mdl;

    CHECK(IoAllocateMdl(NULL, (ULONG)(TooMany << PAGE_SHIFT), FALSE, FALSE, NULL) == NULL);
    CHECK(IoAllocateMdl(NULL, 0x80000000, FALSE, FALSE, NULL) == NULL);
    CHECK(IoAllocateMdl(NULL, 0xFFFFFFFF, FALSE, FALSE, NULL) == NULL);
    Mdl = IoAllocateMdl(NULL, (ULONG)((TooMany - 1) << PAGE_SHIFT), FALSE, FALSE, NULL);
    REQUIRE(Mdl != NULL);
    IoFreeMdl(Mdl);
}

KTEST(MdlJoinsItsIrp)
{
    IRP Irp = {0};
    PMDL First = IoAllocateMdl((PVOID)0x1000, 1, FALSE, FALSE, &Irp);
    PMDL Second = IoAllocateMdl((PVOID)0x2000, 1, TRUE, FALSE, &Irp);
    PMDL Third = IoAllocateMdl((PVOID)0x3000, 1, TRUE, FALSE, &Irp);
    PMDL Fourth;

    REQUIRE(First != NULL && Second != NULL && Third != NULL);
    CHECK(Irp.MdlAddress == First && First->Next == Second && Second->Next == Third && Third->Next == NULL);
    Fourth = IoAllocateMdl((PVOID)0x4000, 1, FALSE, FALSE, &Irp);
    CHECK(Irp.MdlAddress == Fourth && Fourth->Next == NULL);
    IoFreeMdl(First);
    CHECK(Second->Next == Third);
    IoFreeMdl(Second);
    IoFreeMdl(Third);
    IoFreeMdl(Fourth);
}

KTEST(MdlCreate)
{
    ULONG64 Storage[8];
    PMDL Mdl = MmCreateMdl((PMDL)Storage, (PVOID)0x5678, 10);

    CHECK(Mdl == (PMDL)Storage);
    CHECK_EQ(Mdl->ByteOffset, 0x678);
    Mdl = MmCreateMdl(NULL, (PVOID)0x5678, 0x2000);
    REQUIRE(Mdl != NULL);
    CHECK_EQ(Mdl->Size, sizeof(MDL) + 3 * 8);
    ExFreePool(Mdl);
}

KTEST(MdlAllocateFails)
{
    ULONG64 Nth = 0;
    PMDL Mdl;

    do {
        Nth += 1;
        MiTrimPools();
        PtFailNth(Nth, FALSE);
        Mdl = IoAllocateMdl(NULL, 100 * PAGE_SIZE, FALSE, FALSE, NULL);
        if (Mdl != NULL) {
            IoFreeMdl(Mdl);
        }
    } while (PtStopFailing());
    CHECK(Mdl != NULL && Nth > 1);
}

/* --- Nonpaged pool ---------------------------------------------------------------------------- */

KTEST(MdlOfNonPagedPool)
{
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE + 5);

    REQUIRE(Buffer.Mdl != NULL);
    MmBuildMdlForNonPagedPool(Buffer.Mdl);
    CHECK_EQ(Buffer.Mdl->MdlFlags, MDL_SOURCE_IS_NONPAGED_POOL);
    CHECK(MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority) == Buffer.Va);
    for (ULONG Page = 0; Page < 4; Page += 1) {
        CHECK_EQ(MtFrames(Buffer.Mdl)[Page], MtFrameOf(Buffer.Va + Page * PAGE_SIZE));
    }
    MtFreeBuffer(&Buffer);
}

static VOID
MdlBuild(PVOID Mdl)
{
    MmBuildMdlForNonPagedPool(Mdl);
}

KTEST(MdlOfPagedPoolIsRefused)
{
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_PAGED, 2 * PAGE_SIZE);

    REQUIRE(Buffer.Mdl != NULL);
    Buffer.Va[0] = 1;
    CHECK_BUGCHECK_CALL(DRIVER_VERIFIER_DETECTED_VIOLATION, 0x7F, MdlBuild, Buffer.Mdl);
    KiVerifierOn = FALSE;
    MT_BUGCHECK2(MEMORY_MANAGEMENT, 0x1240, (ULONG_PTR)Buffer.Mdl, MdlBuild, Buffer.Mdl);
    Buffer.Va[PAGE_SIZE] = 1;
    MmBuildMdlForNonPagedPool(Buffer.Mdl);
    KiVerifierOn = TRUE;
    CHECK_EQ(Buffer.Mdl->MdlFlags, MDL_SOURCE_IS_NONPAGED_POOL);
    MtFreeBuffer(&Buffer);
}

/* --- Partial MDLs ----------------------------------------------------------------------------- */

KTEST(MdlPartialHasTheSourcesFrames)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_PAGED, 4 * PAGE_SIZE);
    PUCHAR Part = Buffer.Va + PAGE_SIZE + 0x100;
    PMDL Target = IoAllocateMdl(Part, PAGE_SIZE, FALSE, FALSE, NULL);

    REQUIRE(Buffer.Mdl != NULL && Target != NULL);
    IoBuildPartialMdl(Buffer.Mdl, Target, Part, PAGE_SIZE);
    CHECK_EQ(Target->MdlFlags, MDL_PARTIAL);
    CHECK(MmGetMdlVirtualAddress(Target) == Part);
    CHECK_EQ(MtFrames(Target)[0], MtFrames(Buffer.Mdl)[1]);
    CHECK_EQ(MtFrames(Target)[1], MtFrames(Buffer.Mdl)[2]);
    IoFreeMdl(Target);

    /* Length 0 is the rest. */
    Target = IoAllocateMdl(Buffer.Va, 4 * PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Target != NULL);
    IoBuildPartialMdl(Buffer.Mdl, Target, Part, 0);
    CHECK_EQ(MmGetMdlByteCount(Target), 3 * PAGE_SIZE - 0x100);
    IoFreeMdl(Target);
    MtFreeLocked(&Buffer);
}

/* A partial MDL uses the mapping its source has, or makes one that goes with it. */
KTEST(MdlPartialMappings)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_PAGED, 2 * PAGE_SIZE);
    PMDL Target = IoAllocateMdl(Buffer.Va, PAGE_SIZE, FALSE, FALSE, NULL);
    PUCHAR Own, Source;

    REQUIRE(Buffer.Mdl != NULL && Target != NULL);
    Buffer.Va[PAGE_SIZE] = 0x5A;
    IoBuildPartialMdl(Buffer.Mdl, Target, Buffer.Va + PAGE_SIZE, 16);
    Own = MmGetSystemAddressForMdlSafe(Target, NormalPagePriority);
    REQUIRE(Own != NULL);
    CHECK_EQ(Own[0], 0x5A);
    CHECK(Target->MdlFlags & MDL_PARTIAL_HAS_BEEN_MAPPED);
    MmPrepareMdlForReuse(Target);
    CHECK_EQ(Target->MdlFlags, MDL_PARTIAL);
    CHECK(MtFrameOf(Own) == MI_NO_FRAME);

    Source = MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority);
    IoBuildPartialMdl(Buffer.Mdl, Target, Buffer.Va + PAGE_SIZE, 16);
    CHECK(MmGetSystemAddressForMdlSafe(Target, NormalPagePriority) == Source + PAGE_SIZE);
    MmPrepareMdlForReuse(Target);
    IoFreeMdl(Target);
    CHECK_EQ(Source[PAGE_SIZE], 0x5A);

    Target = IoAllocateMdl(Buffer.Va, PAGE_SIZE, FALSE, FALSE, NULL);
    REQUIRE(Target != NULL);
    MmUnmapLockedPages(Source, Buffer.Mdl);
    IoBuildPartialMdl(Buffer.Mdl, Target, Buffer.Va, 1);
    CHECK(MmGetSystemAddressForMdlSafe(Target, NormalPagePriority) != NULL);
    IoFreeMdl(Target); /* takes its mapping along */
    MtFreeLocked(&Buffer);
}

KTEST(MdlPartialOfNonPagedPool)
{
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE);
    PMDL Target = IoAllocateMdl(Buffer.Va, PAGE_SIZE, FALSE, FALSE, NULL);

    REQUIRE(Buffer.Mdl != NULL && Target != NULL);
    MmBuildMdlForNonPagedPool(Buffer.Mdl);
    IoBuildPartialMdl(Buffer.Mdl, Target, Buffer.Va + PAGE_SIZE + 7, 100);
    CHECK_EQ(Target->MdlFlags, MDL_PARTIAL | MDL_SOURCE_IS_NONPAGED_POOL);
    CHECK(MmGetSystemAddressForMdlSafe(Target, NormalPagePriority) == Buffer.Va + PAGE_SIZE + 7);
    IoFreeMdl(Target);
    MtFreeBuffer(&Buffer);
}

typedef struct _MDL_PARTIAL_CALL {
    PMDL Source, Target;
    PVOID Va;
    ULONG Length;
} MDL_PARTIAL_CALL;

static VOID
MdlBuildPartial(PVOID Context)
{
    MDL_PARTIAL_CALL *Call = Context;

    IoBuildPartialMdl(Call->Source, Call->Target, Call->Va, Call->Length);
}

KTEST(MdlPartialOutOfBounds)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, 4 * PAGE_SIZE);
    PMDL Target = IoAllocateMdl(Buffer.Va, PAGE_SIZE, FALSE, FALSE, NULL);
    MDL_PARTIAL_CALL Call = {Buffer.Mdl, Target, Buffer.Va, 2 * PAGE_SIZE};

    REQUIRE(Buffer.Mdl != NULL && Target != NULL);
    CHECK_BUGCHECK_CALL(TARGET_MDL_TOO_SMALL, 0, MdlBuildPartial, &Call);
    Call.Length = 4 * PAGE_SIZE + 1;
    MT_BUGCHECK2(INVALID_MDL_RANGE, (ULONG_PTR)Buffer.Mdl, (ULONG_PTR)Target, MdlBuildPartial, &Call);
    Call.Va = Buffer.Va - 1;
    Call.Length = 1;
    MT_BUGCHECK2(INVALID_MDL_RANGE, (ULONG_PTR)Buffer.Mdl, (ULONG_PTR)Target, MdlBuildPartial, &Call);
    Call.Va = Buffer.Va + 4 * PAGE_SIZE;
    MT_BUGCHECK2(INVALID_MDL_RANGE, (ULONG_PTR)Buffer.Mdl, (ULONG_PTR)Target, MdlBuildPartial, &Call);
    IoFreeMdl(Target);
    MtFreeLocked(&Buffer);
}

static VOID
MdlFree(PVOID Mdl)
{
    IoFreeMdl(Mdl);
}

KTEST(MdlFreeWhileMapped)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_NON_PAGED, PAGE_SIZE);

    REQUIRE(Buffer.Mdl != NULL && MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority) != NULL);
    MT_BUGCHECK2(DRIVER_VERIFIER_DETECTED_VIOLATION, 0xB8, (ULONG_PTR)Buffer.Mdl, MdlFree, Buffer.Mdl);
    MtFreeLocked(&Buffer);
}

/* --- Advancing -------------------------------------------------------------------------------- */

KTEST(MdlAdvanceUnlocksAndUnmaps)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_PAGED, 4 * PAGE_SIZE);
    PFN_NUMBER Frames[4];
    PUCHAR Mapped;

    REQUIRE(Buffer.Mdl != NULL);
    Mapped = MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority);
    REQUIRE(Mapped != NULL);
    RtlCopyMemory(Frames, MtFrames(Buffer.Mdl), sizeof(Frames));
    CHECK_STATUS(STATUS_INVALID_PARAMETER_2, MmAdvanceMdl(Buffer.Mdl, 4 * PAGE_SIZE + 1));

    /* Inside the first page nothing is given up. */
    CHECK_STATUS(STATUS_SUCCESS, MmAdvanceMdl(Buffer.Mdl, 0x10));
    CHECK_EQ(MmGetMdlByteOffset(Buffer.Mdl), 0x10);
    CHECK_EQ(MiFrameReferenceCount(Frames[0]), 2);
    CHECK(MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority) == Mapped + 0x10);

    CHECK_STATUS(STATUS_SUCCESS, MmAdvanceMdl(Buffer.Mdl, 2 * PAGE_SIZE));
    CHECK(MmGetMdlVirtualAddress(Buffer.Mdl) == Buffer.Va + 2 * PAGE_SIZE + 0x10);
    CHECK_EQ(MmGetMdlByteCount(Buffer.Mdl), 2 * PAGE_SIZE - 0x10);
    CHECK_EQ(MtFrames(Buffer.Mdl)[0], Frames[2]);
    CHECK_EQ(MtFrames(Buffer.Mdl)[1], Frames[3]);
    CHECK_EQ(MiFrameReferenceCount(Frames[0]), 1);
    CHECK_EQ(MiFrameReferenceCount(Frames[2]), 2);
    CHECK(MtFrameOf(Mapped) == MI_NO_FRAME && MtFrameOf(Mapped + 2 * PAGE_SIZE) == Frames[2]);
    CHECK(Buffer.Mdl->MdlFlags & MDL_FREE_EXTRA_PTES);
    CHECK_STATUS(STATUS_SUCCESS, MmAdvanceMdl(Buffer.Mdl, PAGE_SIZE));
    CHECK_EQ(MtFrames(Buffer.Mdl)[0], Frames[3]);
    MtFreeLocked(&Buffer);
}

KTEST(MdlAdvanceToTheEnd)
{
    MT_BUFFER Buffer = MtMakeLocked(POOL_FLAG_PAGED, 2 * PAGE_SIZE);

    REQUIRE(Buffer.Mdl != NULL);
    CHECK_STATUS(STATUS_SUCCESS, MmAdvanceMdl(Buffer.Mdl, 2 * PAGE_SIZE));
    CHECK_EQ(MmGetMdlByteCount(Buffer.Mdl), 0);
    CHECK_STATUS(STATUS_INVALID_PARAMETER_2, MmAdvanceMdl(Buffer.Mdl, 1));
    MtFreeLocked(&Buffer);
}

KTEST(MdlAdvanceNonPagedPool)
{
    MT_BUFFER Buffer = MtMakeBuffer(POOL_FLAG_NON_PAGED, 3 * PAGE_SIZE);

    REQUIRE(Buffer.Mdl != NULL);
    MmBuildMdlForNonPagedPool(Buffer.Mdl);
    CHECK_STATUS(STATUS_SUCCESS, MmAdvanceMdl(Buffer.Mdl, PAGE_SIZE + 3));
    CHECK(MmGetSystemAddressForMdlSafe(Buffer.Mdl, NormalPagePriority) == Buffer.Va + PAGE_SIZE + 3);
    CHECK_EQ(MtFrames(Buffer.Mdl)[0], MtFrameOf(Buffer.Va + PAGE_SIZE));
    MtFreeBuffer(&Buffer);
}
