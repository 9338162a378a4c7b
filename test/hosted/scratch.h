/*
 * A core that is only just one: what the tests of the hosted machine have instead of ke and mm.
 *
 * The machine is tested alone, because some of what it must do cannot be seen from kernel tests:
 * double faults, ends of runs, flushes that are forgotten on purpose. The tests run in
 * KiSystemStartup on processor 0 and report TAP.
 */
#ifndef TEST_HOSTED_SCRATCH_H
#define TEST_HOSTED_SCRATCH_H

#include <hal/hosted/halp.h>

#define SCRATCH_BASE       0x410000000000ull /* the tests' part of system space: 1 GB */
#define SCRATCH_READ_WRITE (HALP_PTE_VALID | HALP_PTE_WRITE | HALP_PTE_NX)
#define SCRATCH_READ       (HALP_PTE_VALID | HALP_PTE_NX)
#define SCRATCH_EXECUTE    HALP_PTE_VALID

typedef ULONG_PTR(NTAPI *SCRATCH_CODE)(ULONG_PTR First, ULONG_PTR Second);

/* The next trap is expected: what it was, and how much of the instruction to skip. */
typedef struct _SCRATCH_TRAP {
    BOOLEAN Armed;
    ULONG Vector; /* 14: the page tables do not allow it */
    ULONG ErrorCode;
    ULONG_PTR Address;
    ULONG Skip;
} SCRATCH_TRAP;

/* What one processor besides the first does while the tests run on that one. */
typedef VOID (*SCRATCH_JOB)(ULONG Number);

extern PHAL_LOADER_BLOCK ScratchLoader;
extern volatile SCRATCH_TRAP ScratchTrap;
extern volatile ULONG ScratchClocks, ScratchIpis, ScratchSoftware, ScratchDemands;
extern volatile ULONG64 ScratchTick; /* interrupt time between clock interrupts, 0: none follows */
extern ULONG_PTR ScratchDemandStart, ScratchDemandEnd; /* faults here are answered with new frames */
extern volatile ULONG_PTR ScratchNested;               /* touched while answering the next of those */
extern volatile ULONG ScratchStale, ScratchStaleDepth;
extern volatile ULONG_PTR ScratchStaleVa;
extern const char *ScratchMode;

VOID ScratchCheck(BOOLEAN Passed, const char *File, int Line, const char *Text);
#define CHECK(Expression) ScratchCheck((Expression) ? TRUE : FALSE, __FILE__, __LINE__, #Expression)

PFN_NUMBER ScratchFrame(VOID);
/* The 4 KB entry for an address, its tables made on the way. */
volatile ULONG64 *ScratchEntry(ULONG_PTR Va);
volatile ULONG64 *ScratchDirectoryEntry(ULONG_PTR Va);
VOID ScratchMap(ULONG_PTR Va, PFN_NUMBER Frame, ULONG64 Bits);
VOID ScratchFlush(ULONG_PTR Va, HAL_AFFINITY Processors);
/* Machine code that runs as an image's: in a page of system space. */
SCRATCH_CODE ScratchCode(const VOID *Bytes, SIZE_T Length);
#define CODE(...) ScratchCode((const UCHAR[]){__VA_ARGS__}, sizeof((const UCHAR[]){__VA_ARGS__}))
VOID ScratchExpect(ULONG Skip);
/* Read a byte, out of the compiler's sight: the machine's own counts may change. */
VOID ScratchTouch(ULONG_PTR Va);
/* Give every other processor a job, and wait until all have done it. */
VOID ScratchStartJob(SCRATCH_JOB Job);
VOID ScratchFinishJob(VOID);

VOID TestMemory(VOID);
VOID TestFaults(VOID);
VOID TestRights(VOID);
VOID TestLarge(VOID);
VOID TestTraps(VOID);
VOID TestEmulation(VOID);
VOID TestSharedData(VOID);
VOID TestStacks(VOID);
VOID TestClock(VOID);
VOID TestProcessors(VOID);
VOID TestStale(VOID);
VOID TestUserMode(VOID);
VOID DECLSPEC_NORETURN TestStop(const char *Mode);

#endif
