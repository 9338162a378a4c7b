/* User mode: the way there, system calls, traps, and back to the stack that began it. */
#include "scratch.h"

#define USER_CODE  0x200000000000ull /* outside what AddressSanitizer has */
#define USER_STACK (USER_CODE + 0x10000)
#define USER_TEB   0x200000020000ull
#define KERNEL_STACK (SCRATCH_BASE + 0x30000000)
#define KERNEL_PAGES 16
#define USER_BITS  (HALP_PTE_VALID | HALP_PTE_USER)

#define CALL_END 1  /* leave user mode for good */
#define CALL_SUM 2  /* r10 + rdx + r8 + r9 */

static PVOID UserMain, UserOther;
static ULONG_PTR UserMainLimit, UserMainBase;
static volatile ULONG UserCalls, UserReturns;
static volatile ULONG64 UserLast;
static ULONG_PTR UserEntry;

/* Code and a stack of user mode; the code ends with a call that ends it. */
static VOID
UserCode(const UCHAR *Bytes, SIZE_T Length)
{
    static PFN_NUMBER Code;
    PUCHAR Page;

    if (Code == 0) {
        Code = ScratchFrame();
        ScratchMap(USER_CODE, Code, USER_BITS);
        ScratchMap(USER_STACK - PAGE_SIZE, ScratchFrame(), USER_BITS | HALP_PTE_WRITE | HALP_PTE_NX);
        ScratchMap(USER_TEB, ScratchFrame(), USER_BITS | HALP_PTE_WRITE | HALP_PTE_NX);
        for (ULONG Page = 0; Page < KERNEL_PAGES; Page += 1) {
            ScratchMap(KERNEL_STACK + Page * PAGE_SIZE, ScratchFrame(), SCRATCH_READ_WRITE);
        }
    }
    Page = HalFrameAddress(Code);
    for (SIZE_T Index = 0; Index < PAGE_SIZE; Index += 1) {
        Page[Index] = Index < Length ? Bytes[Index] : 0xCC;
    }
}

VOID
KiSystemCall(PKTRAP_FRAME TrapFrame)
{
    CHECK(TrapFrame->PreviousMode == UserMode && HalGetIrql() == PASSIVE_LEVEL);
    CHECK((ULONG_PTR)TrapFrame == KERNEL_STACK + KERNEL_PAGES * PAGE_SIZE - sizeof(KTRAP_FRAME));
    CHECK(KeGetPcr() == HalpCurrent->Pcr);
    UserCalls += 1;
    UserLast = TrapFrame->Rdx;
    if (TrapFrame->Rax == CALL_END) {
        HalSwitchStack(&UserOther, UserMain, UserMainLimit, UserMainBase);
    }
    TrapFrame->Rax = TrapFrame->R10 + TrapFrame->Rdx + TrapFrame->R8 + TrapFrame->R9;
}

VOID
KiReturnToUser(PKTRAP_FRAME TrapFrame)
{
    CHECK(TrapFrame->PreviousMode == UserMode);
    UserReturns += 1;
}

static VOID
UserBegin(PVOID Context)
{
    PKTRAP_FRAME TrapFrame = (PKTRAP_FRAME)(KERNEL_STACK + KERNEL_PAGES * PAGE_SIZE - sizeof(KTRAP_FRAME));

    /* What the machine called first lies there too, but nothing returns to it. */
    HalUnpoison((PVOID)KERNEL_STACK, KERNEL_PAGES * PAGE_SIZE);
    *TrapFrame = (KTRAP_FRAME){.Rip = UserEntry, .Rsp = USER_STACK - 40, .EFlags = 0x202, .MxCsr = 0x1F80, .R8 = 3};
    HalSetTeb(USER_TEB);
    HalEnterUserMode((PKTRAP_FRAME)Context);
}

/* Run the code in user mode until it ends itself; what it had in rdx then. */
static ULONG64
UserRun(const UCHAR *Bytes, SIZE_T Length)
{
    UserCode(Bytes, Length);
    UserEntry = USER_CODE;
    UserMainLimit = HalpCurrent->StackLimit;
    UserMainBase = HalpCurrent->StackBase;
    HalSwitchStack(&UserMain,
                   HalPrepareStack(KERNEL_STACK, KERNEL_STACK + (KERNEL_PAGES - 1) * PAGE_SIZE, UserBegin,
                                   (PVOID)(KERNEL_STACK + KERNEL_PAGES * PAGE_SIZE - sizeof(KTRAP_FRAME))),
                   KERNEL_STACK, KERNEL_STACK + KERNEL_PAGES * PAGE_SIZE);
    return UserLast;
}
#define RUN(...) UserRun((const UCHAR[]){__VA_ARGS__}, sizeof((const UCHAR[]){__VA_ARGS__}))
#define END 0xB8, CALL_END, 0, 0, 0, 0x0F, 0x05 /* mov eax, CALL_END; syscall */

VOID
TestUserMode(VOID)
{
    /* mov edx, 5; mov r10d, 7; mov r9d, 11; mov eax, CALL_SUM; syscall; mov edx, eax */
    CHECK(RUN(0xBA, 5, 0, 0, 0, 0x41, 0xBA, 7, 0, 0, 0, 0x41, 0xB9, 11, 0, 0, 0, 0xB8, CALL_SUM, 0, 0, 0, 0x0F, 0x05, 0x89,
              0xC2, END) == 5 + 7 + 11 + 3);
    CHECK(UserCalls == 2 && UserReturns >= 2); /* a page that is translated comes back that way too */

    /* mov rdx, gs:[0]: the TEB, whose first word is set before; and gs is the processor's again afterwards */
    *(volatile ULONG64 *)USER_TEB = 0x7EB;
    CHECK(RUN(0x65, 0x48, 0x8B, 0x14, 0x25, 0, 0, 0, 0, END) == 0x7EB);
    CHECK(KeGetPcr() == HalpCurrent->Pcr);

    /* ud2: a trap from user mode, skipped */
    ScratchExpect(2);
    RUN(0x0F, 0x0B, END);
    CHECK(ScratchTrap.Vector == 6);
    /* mov cr8, rax: privileged, and no IRQL changes */
    ScratchExpect(4);
    RUN(0x44, 0x0F, 0x22, 0xC0, END);
    CHECK(ScratchTrap.Vector == 13 && HalGetIrql() == PASSIVE_LEVEL);
    /* xor eax, eax; mov edx, [rax]: a fault with the user bit */
    ScratchExpect(2);
    RUN(0x31, 0xC0, 0x8B, 0x10, END);
    CHECK(ScratchTrap.Vector == 14 && ScratchTrap.ErrorCode == HALP_FAULT_USER && ScratchTrap.Address == 0);
    /* rdtsc works; an XMM register survives system calls: movq xmm9, rsp; CALL_SUM; movq rdx, xmm9; sub rdx, rsp */
    CHECK(RUN(0x0F, 0x31, 0x66, 0x4C, 0x0F, 0x6E, 0xCC, 0xB8, CALL_SUM, 0, 0, 0, 0x0F, 0x05, 0x66, 0x4C, 0x0F, 0x7E, 0xCA,
              0x48, 0x29, 0xE2, END) == 0);
    /* push rax; pop rdx on the user's stack, with its own red zone below */
    CHECK(RUN(0xB8, 9, 0, 0, 0, 0x50, 0x5A, END) == 9);
}
