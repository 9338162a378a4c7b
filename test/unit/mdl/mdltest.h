/* What the tests of MDLs share: buffers of each kind with an MDL, and a bug check without the verifier. */
#ifndef TEST_UNIT_MDL_MDLTEST_H
#define TEST_UNIT_MDL_MDLTEST_H

#include "../pte/ptetest.h"
#include <mm/mdl/mdlp.h>
#include <mm/stack/stack.h>

#define MDL_TEST_TAG 0x6C644D54 /* "TMdl" */

/* The one device window that a test may write to: 256 pages from here, on the machine that has it. */
#define MDL_IO_FRAME 0xFED00ull

static inline BOOLEAN
MtHasIoSpace(VOID)
{
    return KiLoaderBlock->MachineName[0] == 'h' && HalIsIoSpace(MDL_IO_FRAME, 256);
}

/* Resident available, and what the pools' own records have taken of it. */
static inline LONG64
MtResidentPages(VOID)
{
    MI_POOL_USAGE Usage;

    MiQueryPoolUsage(&Usage);
    return MiResidentAvailablePages() + (LONG64)Usage.MetadataPages;
}

static inline PHYSICAL_ADDRESS
MtPhysical(ULONG64 Address)
{
    PHYSICAL_ADDRESS Physical = {.QuadPart = (LONGLONG)Address};

    return Physical;
}

/* A buffer of paged or nonpaged pool, and an MDL for it. */
typedef struct _MT_BUFFER {
    PUCHAR Va;
    SIZE_T Size;
    PMDL Mdl;
} MT_BUFFER;

static inline MT_BUFFER
MtMakeBuffer(POOL_FLAGS Flags, SIZE_T Size)
{
    MT_BUFFER Buffer = {.Va = ExAllocatePool2(Flags, Size, MDL_TEST_TAG), .Size = Size};

    Buffer.Mdl = Buffer.Va == NULL ? NULL : IoAllocateMdl(Buffer.Va, (ULONG)Size, FALSE, FALSE, NULL);
    return Buffer;
}

static inline VOID
MtFreeBuffer(MT_BUFFER *Buffer)
{
    IoFreeMdl(Buffer->Mdl);
    ExFreePoolWithTag(Buffer->Va, MDL_TEST_TAG);
}

/* A locked one. */
static inline MT_BUFFER
MtMakeLocked(POOL_FLAGS Flags, SIZE_T Size)
{
    MT_BUFFER Buffer = MtMakeBuffer(Flags, Size);

    if (Buffer.Mdl != NULL) {
        MmProbeAndLockPages(Buffer.Mdl, KernelMode, IoWriteAccess);
    }
    return Buffer;
}

static inline VOID
MtFreeLocked(MT_BUFFER *Buffer)
{
    MmUnlockPages(Buffer->Mdl);
    MtFreeBuffer(Buffer);
}

/* A bug check whose first two parameters count. */
#define MT_BUGCHECK2(ExpectedCode, ExpectedP1, ExpectedP2, Routine, Context)                                 \
    do {                                                                                                     \
        KTEST_BUGCHECK MtCaught_ = {0};                                                                      \
        CHECK(KTestExpectBugCheck((Routine), (Context), &MtCaught_));                                        \
        CHECK_EQ(MtCaught_.Code, (ExpectedCode));                                                            \
        CHECK_EQ(MtCaught_.Parameters[0], (ExpectedP1));                                                     \
        CHECK_EQ(MtCaught_.Parameters[1], (ExpectedP2));                                                     \
    } while (0)

/*
 * The figures once caches are empty and what ended elsewhere has given its memory back, without what the
 * pools keep for themselves, such as the cache of a processor that uses them for the first time.
 */
static inline PT_FIGURES
MtMeasure(VOID)
{
    LARGE_INTEGER Interval = {.QuadPart = -10000};

    for (ULONG Round = 0; Round < 3; Round += 1) {
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
        PsFlushEndedThreads();
        MiTrimStacks();
        MiTrimPools();
    }
    return PtMeasure();
}

#define MT_CHECK_SAME(Before)                                                                                \
    do {                                                                                                     \
        PT_FIGURES MtAfter_ = MtMeasure();                                                                   \
        CHECK_EQ(MtAfter_.Available, (Before).Available);                                                    \
        CHECK_EQ(MtAfter_.Commit, (Before).Commit);                                                          \
    } while (0)

/* Where Bytes of RAM lie that are free now, aligned to their size; 0 if there are none. */
static inline ULONG64
MtFreeWindow(SIZE_T Bytes)
{
    SIZE_T PageCount = Bytes >> PAGE_SHIFT;
    PFN_NUMBER First = MiGetContiguousFrames(0, MM_ANY_NODE_OK, MiUseDriverLocked, PageCount, 0x100,
                                             MI_NO_FRAME - 1, PageCount, 0);

    if (First == MI_NO_FRAME) {
        return 0;
    }
    MiFreeContiguousFrames(First, PageCount);
    return First << PAGE_SHIFT;
}

/* Tests that use all memory up are for small machines. */
static inline BOOLEAN
MtIsLargeMachine(VOID)
{
    if (MiAvailablePages() <= 512 << (20 - PAGE_SHIFT)) {
        return FALSE;
    }
    KTestNote("skipped with so much memory");
    return TRUE;
}

static inline PPFN_NUMBER
MtFrames(PMDL Mdl)
{
    return MmGetMdlPfnArray(Mdl);
}

static inline PFN_NUMBER
MtFrameOf(PVOID Va)
{
    return MiTranslate(Va, NULL);
}

static inline SIZE_T
MtCommit(VOID)
{
    SIZE_T Charge, Limit, Peak;

    MiQueryCommit(&Charge, &Limit, &Peak);
    return Charge;
}

#endif
