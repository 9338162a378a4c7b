/*
 * Kernel tests: they register in the linker section "ktests" and run, in order of name, in a system
 * thread at PASSIVE_LEVEL on the booted machine, hosted and amd64 alike, reporting TAP.
 *
 *   KTEST(PfnGetAndFree)
 *   {
 *       CHECK(MiAvailablePages() != 0);
 *       CHECK_EQ(Actual, Expected);
 *       CHECK_STATUS(STATUS_SUCCESS, KeWaitForSingleObject(...));
 *       CHECK_BUGCHECK_CALL(BAD_POOL_CALLER, 7, FreeTwice, Block);
 *   }
 *
 * After each test the runner compares available pages, commit and live pool allocations with what
 * they were before, checks that IRQL is PASSIVE and no lock is held, and runs the validators; KTEST_KEEPS(Name)
 * declares a test that may keep resources (first use of a cache that stays).
 */
#ifndef TEST_KTEST_H
#define TEST_KTEST_H

#include <ke/ke.h>

typedef struct _KTEST_ENTRY {
    const char *Name;
    const char *File;
    VOID (*Routine)(VOID);
    ULONG Flags;
} KTEST_ENTRY;

#define KTEST_MAY_KEEP 0x1
#define KTEST_BY_NAME 0x2 /* runs only alone, for the filter "Name=ARGUMENT" */

#define KTEST_WITH(TestName, TestFlags)                                                       \
    static VOID TestName(VOID);                                                               \
    static const KTEST_ENTRY KTestEntry_##TestName                                            \
        __attribute__((used, section("ktests"), aligned(8))) = {#TestName, __FILE__, TestName, \
                                                                TestFlags};                   \
    static VOID TestName(VOID)
#define KTEST(TestName) KTEST_WITH(TestName, 0)
#define KTEST_KEEPS(TestName) KTEST_WITH(TestName, KTEST_MAY_KEEP)

/* A failed check is recorded and the test goes on; REQUIRE leaves the test's routine. */
VOID KTestFail(const char *File, int Line, const char *Text);
VOID KTestFailValues(const char *File, int Line, const char *Text, ULONG64 Actual, ULONG64 Expected);
/* What stands behind the name of a KTEST_BY_NAME in the filter. */
extern const char *KTestArgument;

/* A diagnostic line ("# ...") in the TAP stream. */
VOID NTAPI KTestNote(const char *Format, ...);

#define CHECK(Expression)                                    \
    do {                                                     \
        if (!(Expression)) {                                 \
            KTestFail(__FILE__, __LINE__, #Expression);      \
        }                                                    \
    } while (0)
#define REQUIRE(Expression)                                  \
    do {                                                     \
        if (!(Expression)) {                                 \
            KTestFail(__FILE__, __LINE__, #Expression);      \
            return;                                          \
        }                                                    \
    } while (0)
#define CHECK_EQ(Actual, Expected)                                                            \
    do {                                                                                      \
        ULONG64 KTestActual_ = (ULONG64)(Actual), KTestExpected_ = (ULONG64)(Expected);       \
        if (KTestActual_ != KTestExpected_) {                                                 \
            KTestFailValues(__FILE__, __LINE__, #Actual " == " #Expected, KTestActual_,       \
                            KTestExpected_);                                                  \
        }                                                                                     \
    } while (0)
#define CHECK_STATUS(Expected, Actual) CHECK_EQ((ULONG)(Actual), (ULONG)(Expected))

/*
 * The statement must bug-check with Code and first parameter. It runs in a thread of its own, which the bug
 * check ends: locks it held and memory it owned are lost, so such a test prepares and cleans up outside.
 */
typedef struct _KTEST_BUGCHECK {
    ULONG Code;
    ULONG_PTR Parameters[4];
} KTEST_BUGCHECK;

BOOLEAN KTestExpectBugCheck(VOID (*Routine)(PVOID), PVOID Context, KTEST_BUGCHECK *Caught);

#define CHECK_BUGCHECK_CALL(ExpectedCode, ExpectedP1, Routine, Context)                       \
    do {                                                                                      \
        KTEST_BUGCHECK KTestCaught_;                                                          \
        if (!KTestExpectBugCheck((Routine), (Context), &KTestCaught_)) {                      \
            KTestFail(__FILE__, __LINE__, "no bug check: " #ExpectedCode);                    \
        } else {                                                                              \
            CHECK_EQ(KTestCaught_.Code, (ExpectedCode));                                      \
            CHECK_EQ(KTestCaught_.Parameters[0], (ExpectedP1));                               \
        }                                                                                     \
    } while (0)

/* Run all tests whose name or file contains Filter (NULL: all); returns how many failed. */
ULONG KTestRunAll(const char *Filter);

#endif
