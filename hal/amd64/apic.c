/*
 * apic.c - the local APIC and its timer; the old interrupt controllers, shut up.
 *
 * Registers are in a page of physical memory, mapped uncached at a fixed place for all processors. Only four
 * things interrupt: the timer, other processors, software on this one, and the nonmaskable pin. Owns no
 * state. Sending waits until the last one has left, with interrupts off, so that an interrupt cannot change
 * the registers half-way.
 */
#include "halp.h"

#define HALP_APIC_END          0x0B0
#define HALP_APIC_SPURIOUS     0x0F0
#define HALP_APIC_COMMAND_LOW  0x300
#define HALP_APIC_COMMAND_HIGH 0x310
#define HALP_APIC_TIMER        0x320
#define HALP_APIC_THERMAL      0x330
#define HALP_APIC_COUNTERS     0x340
#define HALP_APIC_PIN0         0x350
#define HALP_APIC_PIN1         0x360
#define HALP_APIC_ERROR        0x370
#define HALP_APIC_INITIAL      0x380
#define HALP_APIC_CURRENT      0x390
#define HALP_APIC_DIVIDE       0x3E0

#define HALP_APIC_ENABLE        0x100u
#define HALP_APIC_MASKED        0x10000u
#define HALP_APIC_NMI           0x400u
#define HALP_APIC_INIT          0x500u
#define HALP_APIC_STARTUP       0x600u
#define HALP_APIC_SENDING       0x1000u
#define HALP_APIC_ASSERT        0x4000u
#define HALP_APIC_SELF          0x40000u
#define HALP_APIC_DIVIDE_BY_16  0x3u
#define HALP_APIC_BASE_ENABLE   0x800ull
#define HALP_APIC_BASE_EXTENDED 0x400ull

#define HALP_CPUID_APIC (1u << 9)

#define HALP_PIC1_COMMAND 0x20
#define HALP_PIC1_DATA    0x21
#define HALP_PIC2_COMMAND 0xA0
#define HALP_PIC2_DATA    0xA1

static volatile ULONG *
HalpApicRegister(ULONG Offset)
{
    return (volatile ULONG *)(HALP_LOCAL_APIC + Offset);
}

static VOID
HalpWriteApic(ULONG Offset, ULONG Value)
{
    *HalpApicRegister(Offset) = Value;
}

/* What they still send, by mistake, goes to vectors that stand for no IRQL in use. */
static VOID
HalpSilenceOldControllers(VOID)
{
    HalpOut8(HALP_PIC1_COMMAND, 0x11);
    HalpOut8(HALP_PIC2_COMMAND, 0x11);
    HalpOut8(HALP_PIC1_DATA, 0x30);
    HalpOut8(HALP_PIC2_DATA, 0x38);
    HalpOut8(HALP_PIC1_DATA, 4);
    HalpOut8(HALP_PIC2_DATA, 2);
    HalpOut8(HALP_PIC1_DATA, 1);
    HalpOut8(HALP_PIC2_DATA, 1);
    HalpOut8(HALP_PIC1_DATA, 0xFF);
    HalpOut8(HALP_PIC2_DATA, 0xFF);
}

/*
 * On each processor. One that firmware has put into extended mode must be off in between. The nonmaskable pin, by which
 * whoever watches the machine stops it, is the first processor's.
 */
VOID
HalpInitializeApic(VOID)
{
    ULONG64 Base;

    if ((HalpCpuid(1).Edx & HALP_CPUID_APIC) == 0) {
        HalpRefuse("the processor has no local APIC");
    }
    if (HalpThisProcessor()->Number == 0) {
        HalpSilenceOldControllers();
    }
    Base = HalpReadMsr(HALP_MSR_APIC_BASE);
    if ((Base & HALP_APIC_BASE_EXTENDED) != 0) {
        HalpWriteMsr(HALP_MSR_APIC_BASE, Base & ~(HALP_APIC_BASE_EXTENDED | HALP_APIC_BASE_ENABLE));
    }
    HalpWriteMsr(HALP_MSR_APIC_BASE, (Base & ~HALP_APIC_BASE_EXTENDED) | HALP_APIC_BASE_ENABLE);
    HalpWriteApic(HALP_APIC_SPURIOUS, HALP_APIC_ENABLE | HALP_VECTOR_SPURIOUS);
    HalpWriteApic(HALP_APIC_THERMAL, HALP_APIC_MASKED);
    HalpWriteApic(HALP_APIC_COUNTERS, HALP_APIC_MASKED);
    HalpWriteApic(HALP_APIC_PIN0, HALP_APIC_MASKED);
    HalpWriteApic(HALP_APIC_PIN1, HalpThisProcessor()->Number == 0 ? HALP_APIC_NMI : HALP_APIC_MASKED);
    HalpWriteApic(HALP_APIC_ERROR, HALP_APIC_MASKED);
    HalpWriteApic(HALP_APIC_DIVIDE, HALP_APIC_DIVIDE_BY_16);
    HalpWriteApic(HALP_APIC_INITIAL, 0);
    HalpWriteApic(HALP_APIC_TIMER, HALP_VECTOR_CLOCK);
    HalpEndInterrupt();
}

VOID
HalpEndInterrupt(VOID)
{
    HalpWriteApic(HALP_APIC_END, 0);
}

static VOID
HalpSendCommand(ULONG ApicId, ULONG Command)
{
    BOOLEAN Enabled;

    Enabled = HalDisableInterrupts();
    while ((*HalpApicRegister(HALP_APIC_COMMAND_LOW) & HALP_APIC_SENDING) != 0) {
        HalPause();
    }
    HalpWriteApic(HALP_APIC_COMMAND_HIGH, ApicId << 24);
    HalpWriteApic(HALP_APIC_COMMAND_LOW, Command | HALP_APIC_ASSERT);
    HalRestoreInterrupts(Enabled);
}

VOID
HalpSendInterrupt(ULONG ApicId, ULONG Vector)
{
    HalpSendCommand(ApicId, Vector);
}

VOID
HalpSendSelfInterrupt(ULONG Vector)
{
    HalpSendCommand(0, HALP_APIC_SELF | Vector);
}

VOID
HalpSendNmi(ULONG ApicId)
{
    HalpSendCommand(ApicId, HALP_APIC_NMI);
}

VOID
HalpSendInit(ULONG ApicId)
{
    HalpSendCommand(ApicId, HALP_APIC_INIT);
}

VOID
HalpSendStartup(ULONG ApicId, ULONG Page)
{
    HalpSendCommand(ApicId, HALP_APIC_STARTUP | Page);
}

VOID
HalpSetApicTimer(ULONG Ticks)
{
    HalpWriteApic(HALP_APIC_INITIAL, Ticks);
}

ULONG
HalpReadApicTimer(VOID)
{
    return *HalpApicRegister(HALP_APIC_CURRENT);
}
