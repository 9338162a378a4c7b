/*
 * descriptor.c - segments, the task state and the interrupt descriptor table.
 *
 * The table is one for all processors: every vector has its stub (trap.S), an interrupt gate; only those that programs
 * have instructions for may be called from user mode. Double fault, nonmaskable interrupt and machine check run on stacks of their own, each
 * processor's, because the one in use may be the trouble. Selectors are where the x64 interface has them.
 * Written once, before a processor takes traps.
 */
#include "halp.h"

#define HALP_GATE_PRESENT_INTERRUPT 0x8E00ull
#define HALP_GATE_USER              0x6000ull
#define HALP_TASK_PRESENT           0x890000000000ull

typedef struct _HALP_GATE {
    ULONG64 Low;
    ULONG64 High;
} HALP_GATE;

typedef struct __attribute__((packed)) _HALP_TABLE_POINTER {
    USHORT Limit;
    ULONG64 Base;
} HALP_TABLE_POINTER;

static HALP_GATE HalpGates[256];

static VOID
HalpSetGate(ULONG Vector, ULONG Stack)
{
    ULONG64 Address;

    Address = HalpTrapStubs[Vector];
    HalpGates[Vector].Low = (Address & 0xFFFF) | (ULONG64)HALP_SELECTOR_CODE << 16 | (ULONG64)Stack << 32 |
                            HALP_GATE_PRESENT_INTERRUPT << 32 | (Address & 0xFFFF0000) << 32;
    HalpGates[Vector].High = Address >> 32;
}

static VOID
HalpMakeGates(VOID)
{
    static const UCHAR User[] = {0x03, 0x04, 0x29, 0x2C, 0x2D}; /* int3, into, fast fail, assertion, debug service */
    ULONG Vector;
    ULONG Index;

    for (Vector = 0; Vector < RTL_NUMBER_OF(HalpGates); Vector += 1) {
        HalpSetGate(Vector, 0);
    }
    for (Index = 0; Index < RTL_NUMBER_OF(User); Index += 1) {
        HalpGates[User[Index]].Low |= HALP_GATE_USER << 32;
    }
    HalpSetGate(HALP_VECTOR_DOUBLE_FAULT, HALP_STACK_DOUBLE_FAULT);
    HalpSetGate(HALP_VECTOR_NMI, HALP_STACK_NMI);
    HalpSetGate(HALP_VECTOR_MACHINE_CHECK, HALP_STACK_MACHINE_CHECK);
}

static VOID
HalpMakeSegments(PHALP_PROCESSOR Processor)
{
    ULONG64 Task;

    Task = (ULONG_PTR)&Processor->Task;
    Processor->Gdt[HALP_SELECTOR_CODE / 8] = 0x00209B0000000000ull;
    Processor->Gdt[HALP_SELECTOR_DATA / 8] = 0x00CF93000000FFFFull;
    Processor->Gdt[HALP_SELECTOR_USER_DATA / 8] = 0x00CFF3000000FFFFull;
    Processor->Gdt[HALP_SELECTOR_USER_CODE / 8] = 0x0020FB0000000000ull;
    Processor->Gdt[HALP_SELECTOR_TASK / 8] = (sizeof(HALP_TASK_STATE) - 1) | (Task & 0xFFFFFF) << 16 |
                                             HALP_TASK_PRESENT | (Task & 0xFF000000) << 32;
    Processor->Gdt[HALP_SELECTOR_TASK / 8 + 1] = Task >> 32;
    Processor->Task.IoMapBase = sizeof(HALP_TASK_STATE);
}

/* Load the tables. gs keeps its base only if it is written afterwards. */
static VOID
HalpUseTables(PHALP_PROCESSOR Processor)
{
    HALP_TABLE_POINTER Gdt = {sizeof(Processor->Gdt) - 1, (ULONG_PTR)Processor->Gdt};
    HALP_TABLE_POINTER Idt = {sizeof(HalpGates) - 1, (ULONG_PTR)HalpGates};

    __asm__ volatile("lgdt %0\n\t"
                     "pushq %2\n\t"
                     "leaq 1f(%%rip), %%rax\n\t"
                     "pushq %%rax\n\t"
                     "lretq\n"
                     "1:\n\t"
                     "movl %3, %%eax\n\t"
                     "movl %%eax, %%ds\n\t"
                     "movl %%eax, %%es\n\t"
                     "movl %%eax, %%ss\n\t"
                     "xorl %%eax, %%eax\n\t"
                     "movl %%eax, %%fs\n\t"
                     "movl %%eax, %%gs\n\t"
                     "lidt %1\n\t"
                     "movl %4, %%eax\n\t"
                     "ltr %%ax"
                     :
                     : "m"(Gdt), "m"(Idt), "i"(HALP_SELECTOR_CODE), "i"(HALP_SELECTOR_DATA),
                       "i"(HALP_SELECTOR_TASK)
                     : "rax", "memory");
}

VOID
HalpLoadDescriptors(PHALP_PROCESSOR Processor)
{
    if (HalpGates[0].Low == 0) {
        HalpMakeGates();
    }
    HalpMakeSegments(Processor);
    HalpUseTables(Processor);
}
