/*
 * stack.c - stacks: preparing, switching, calling on another, walking.
 *
 * Owns gs and the bounds of the stack each processor stands on (copied to its KPCR), against which
 * a trap checks where it may write its frame. The stack in use is always translated and writable:
 * it is made so before it is entered, and stays so while any processor stands on it (tlb.c),
 * because the signal handler writes the trap frame there and cannot itself fault. Under
 * AddressSanitizer each change of stack is announced. No locks; callers run at an IRQL where the
 * thread keeps its processor. Fails never: a stack without pages ends in a double fault when it is
 * used.
 */
#define _GNU_SOURCE
#include "halp.h"
#include "hostsys.h"

#include <asm/prctl.h>
#include <elf.h>
#include <sys/auxv.h>

#ifdef HALP_ASAN
void __sanitizer_start_switch_fiber(void **FakeStack, const void *Bottom, __SIZE_TYPE__ Size);
void __sanitizer_finish_switch_fiber(void *FakeStack, const void **Bottom, __SIZE_TYPE__ *Size);
#endif

/*
 * --- gs
 * ------------------------------------------------------------------------------------------------
 */

static UCHAR HalpHasGsInstructions; /* 0 not asked yet, 1 yes, 2 no */

/* Have gs point to the region. The instruction where the host allows it, else a system call. */
VOID
HalpLoadPcr(PVOID Base)
{
    if (HalpHasGsInstructions == 0) {
        HalpHasGsInstructions = (getauxval(AT_HWCAP2) & 2) != 0 ? 1 : 2;
    }
    if (HalpHasGsInstructions == 1) {
        __asm__ volatile("wrgsbase %0" ::"r"(Base) : "memory");
    } else {
        HalpCall6(__NR_arch_prctl, ARCH_SET_GS, (ULONG_PTR)Base, 0, 0, 0, 0);
    }
}

/*
 * --- Sanitizer
 * -------------------------------------------------------------------------------------------
 */

VOID
HalpBeforeSwitch(ULONG_PTR Limit, ULONG_PTR Base)
{
#ifdef HALP_ASAN
    __sanitizer_start_switch_fiber(NULL, (PVOID)Limit, Base - Limit);
#else
    (void)Limit;
    (void)Base;
#endif
}

VOID
HalpAfterSwitch(VOID)
{
#ifdef HALP_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}

/*
 * --- Switching
 * ---------------------------------------------------------------------------------------------
 */

/*
 * A pointer for HalSwitchStack to a stack that has not run: its first switch calls Entry(Context).
 * The page below Base must be writable. Any IRQL.
 */
PVOID
HalPrepareStack(ULONG_PTR Limit, ULONG_PTR Base, VOID (*Entry)(PVOID), PVOID Context)
{
    HalUnpoison((PVOID)Limit, Base - Limit);
    return HalpMakeSwitchFrame(Base, Entry, Context);
}

/* First code on a new stack. */
VOID DECLSPEC_NORETURN
HalpThreadMain(VOID (*Entry)(PVOID), PVOID Context)
{
    HalpAfterSwitch();
    Entry(Context);
    HalpInternal("a thread's entry returned", NULL);
}

/* From here on traps are served on [Limit, Base). */
static VOID
HalpStandOn(ULONG_PTR Limit, ULONG_PTR Base)
{
    HalpCurrent->StackLimit = Limit;
    HalpCurrent->StackBase = Base;
    HalpCurrent->Pcr->StackLimit = Limit;
    HalpCurrent->Pcr->StackBase = Base;
}

/*
 * Leave this stack for another. Callers hold what keeps the thread on its processor. *Saved is
 * written while this stack is still in use; nothing can run between that and the switch.
 */
VOID
HalSwitchStack(PVOID *Saved, PVOID Next, ULONG_PTR Limit, ULONG_PTR Base)
{
    HalpHoldStack(Limit, Base);
    *(PVOID volatile *)Saved = NULL; /* a fault on it happens here, not inside the switch */
    HalpStandOn(Limit, Base);
    HalpBeforeSwitch(Limit, Base);
    HalpSwitch(Saved, Next);
    HalpAfterSwitch();
}

typedef struct _HALP_STACK_CALL {
    ULONG_PTR OldLimit;
    ULONG_PTR OldBase;
    VOID (*Routine)(PVOID);
    PVOID Context;
} HALP_STACK_CALL;

/*
 * Runs on the other stack. Meanwhile the thread may have moved to another processor, and the old
 * stack out of reach.
 */
static VOID
HalpOnOtherStack(PVOID Argument)
{
    HALP_STACK_CALL Call;

    Call = *(HALP_STACK_CALL *)Argument;
    HalpAfterSwitch();
    Call.Routine(Call.Context);
    HalpHoldStack(Call.OldLimit, Call.OldBase);
    HalpStandOn(Call.OldLimit, Call.OldBase);
    HalpBeforeSwitch(Call.OldLimit, Call.OldBase);
}

/*
 * Call Routine(Context) on the stack [Limit, Base) and come back. Any IRQL; the pages must be
 * valid.
 */
VOID
HalCallOnStack(ULONG_PTR Limit, ULONG_PTR Base, VOID (*Routine)(PVOID), PVOID Context)
{
    HALP_STACK_CALL Call;

    HalpHoldStack(Limit, Base);
    HalUnpoison((PVOID)Limit, Base - Limit);
    Call.OldLimit = HalpCurrent->StackLimit;
    Call.OldBase = HalpCurrent->StackBase;
    Call.Routine = Routine;
    Call.Context = Context;
    HalpStandOn(Limit, Base);
    HalpBeforeSwitch(Limit, Base);
    HalpCallOn((PVOID)(Base & ~15ull), HalpOnOtherStack, &Call);
    HalpAfterSwitch();
}

/*
 * --- Walking ------------------------------------------------------------------------------------
 * -------------
 */

/*
 * The chain ends where it leaves the stack in use or stops going up: code without frame pointers
 * was met.
 */
__attribute__((noinline)) ULONG
HalpBacktrace(PVOID *Stack, ULONG Maximum)
{
    const ULONG64 *Frame;
    ULONG_PTR Base;
    ULONG Depth;

    Frame = __builtin_frame_address(0);
    Base = HalpCurrent->StackBase;
    for (Depth = 0; Depth < Maximum; Depth += 1) {
        if ((ULONG_PTR)Frame >= Base - 16 || ((ULONG_PTR)Frame & 7) != 0 || Frame[1] == 0) {
            break;
        }
        Stack[Depth] = (PVOID)(ULONG_PTR)Frame[1];
        if (Frame[0] <= (ULONG_PTR)Frame) {
            Depth += 1;
            break;
        }
        Frame = (const ULONG64 *)(ULONG_PTR)Frame[0];
    }
    return Depth;
}
