/*
 * console.c - what leaves the machine: text on the first serial port, the report on the second, lines for a person on QEMU's
 * debug port, the exit status.
 *
 * Owns the two 16550s, polled: a byte is given to the hardware before the call returns, so nothing is lost
 * whatever happens next. A port that is not there is found at start and ignored. Lines are written as they
 * are, with
 * "\n" only. The debug port takes a byte at a time without being asked, and reads as its own number where it exists; without
 * it, lines for a person go the way of the text. Any IRQL. A port has a lock, held with interrupts off for the text of one call, so
 * that two do not mix or overrun the hardware; who ends the run does not ask for it. The status goes to QEMU's
 * isa-debug-exit device at port 0xF4; QEMU ends with (value << 1) | 1, and value is the status plus
 * HALP_EXIT_BASE, so that it cannot be taken for a failure of QEMU's own. Without the device the processor
 * halts.
 */
#include "halp.h"

#define HALP_COM1      0x3F8
#define HALP_COM2      0x2F8
#define HALP_DEBUG_PORT 0xE9
#define HALP_EXIT_PORT 0xF4
#define HALP_EXIT_BASE 16

/* Registers of a 16550, from its port. */
#define HALP_UART_DATA      0
#define HALP_UART_INTERRUPT 1
#define HALP_UART_FIFO      2
#define HALP_UART_LINE      3
#define HALP_UART_MODEM     4
#define HALP_UART_STATUS    5
#define HALP_UART_SCRATCH   7

#define HALP_UART_EMPTY      0x20
#define HALP_UART_FIFO_BYTES 16

typedef struct _HALP_UART {
    USHORT Port;
    BOOLEAN Present;
    volatile ULONG Owner; /* (A) processor number + 1 of the one that writes */
} HALP_UART, *PHALP_UART;

BOOLEAN HalpShowOnSerial;

static HALP_UART HalpConsoleUart = {HALP_COM1, FALSE, 0};
static HALP_UART HalpReportUart = {HALP_COM2, FALSE, 0};

/* 115200 baud, 8 bits, no parity, FIFOs on, no interrupts. */
static VOID
HalpInitializeUart(PHALP_UART Uart)
{
    HalpOut8(Uart->Port + HALP_UART_SCRATCH, 0x5A);
    if (HalpIn8(Uart->Port + HALP_UART_SCRATCH) != 0x5A) {
        return;
    }
    HalpOut8(Uart->Port + HALP_UART_INTERRUPT, 0);
    HalpOut8(Uart->Port + HALP_UART_LINE, 0x80);
    HalpOut8(Uart->Port + HALP_UART_DATA, 1);
    HalpOut8(Uart->Port + HALP_UART_INTERRUPT, 0);
    HalpOut8(Uart->Port + HALP_UART_LINE, 0x03);
    HalpOut8(Uart->Port + HALP_UART_FIFO, 0x07);
    HalpOut8(Uart->Port + HALP_UART_MODEM, 0x03);
    Uart->Present = TRUE;
}

VOID
HalpInitializeConsole(VOID)
{
    HalpInitializeUart(&HalpConsoleUart);
    HalpInitializeUart(&HalpReportUart);
}

static VOID
HalpWaitForUart(const HALP_UART *Uart)
{
    while ((HalpIn8(Uart->Port + HALP_UART_STATUS) & HALP_UART_EMPTY) == 0) {
        HalPause();
    }
}

/*
 * FALSE: it is to be used without, because there are no other processors yet or any more, or because it is this one's
 * and a nonmaskable interrupt is on top.
 */
static BOOLEAN
HalpLockUart(PHALP_UART Uart)
{
    ULONG Self;
    ULONG Owner;

    if (!HalpAlive) {
        return FALSE;
    }
    Self = PcrRead32(Number) + 1;
    for (;;) {
        Owner = 0;
        if (__atomic_compare_exchange_n(&Uart->Owner, &Owner, Self, FALSE, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
            return TRUE;
        }
        if (Owner == Self || HalpIsFreezing()) {
            return FALSE;
        }
        HalPause();
    }
}

/* An empty transmitter takes a FIFO's worth without being asked again. */
static VOID
HalpWriteLocked(const HALP_UART *Uart, const char *Text, SIZE_T Length)
{
    SIZE_T Index;

    for (Index = 0; Index < Length; Index += 1) {
        if (Index % HALP_UART_FIFO_BYTES == 0) {
            HalpWaitForUart(Uart);
        }
        HalpOut8(Uart->Port + HALP_UART_DATA, (UCHAR)Text[Index]);
    }
}

static VOID
HalpWrite(PHALP_UART Uart, const char *Text, SIZE_T Length)
{
    BOOLEAN Enabled;
    BOOLEAN Locked;

    if (!Uart->Present) {
        return;
    }
    Enabled = HalDisableInterrupts();
    Locked = HalpLockUart(Uart);
    HalpWriteLocked(Uart, Text, Length);
    if (Locked) {
        __atomic_store_n(&Uart->Owner, 0, __ATOMIC_RELEASE);
    }
    HalRestoreInterrupts(Enabled);
}

/* The image's text, verbatim. */
VOID
HalPutConsole(const char *Text, SIZE_T Length)
{
    HalpWrite(&HalpConsoleUart, Text, Length);
}

/* A line for a person. */
VOID
HalPutDiagnostic(const char *Text, SIZE_T Length)
{
    SIZE_T Index;

    if (HalpIn8(HALP_DEBUG_PORT) != HALP_DEBUG_PORT) {
        HalpWrite(&HalpConsoleUart, Text, Length);
        return;
    }
    for (Index = 0; Index < Length; Index += 1) {
        HalpOut8(HALP_DEBUG_PORT, (UCHAR)Text[Index]);
    }
}

/* A piece of the report, on the second serial port. */
VOID
HalPutReport(const char *Text, SIZE_T Length)
{
    HalpWrite(HalpShowOnSerial ? &HalpConsoleUart : &HalpReportUart, Text, Length);
}

/* Wait until everything is sent, then stop the machine. */
VOID DECLSPEC_NORETURN
HalExit(ULONG Status)
{
    HalDisableInterrupts();
    if (HalpConsoleUart.Present) {
        HalpWaitForUart(&HalpConsoleUart);
    }
    if (HalpReportUart.Present) {
        HalpWaitForUart(&HalpReportUart);
    }
    HalpOut32(HALP_EXIT_PORT, HALP_EXIT_BASE + Status);
    for (;;) {
        __asm__ volatile("cli; hlt");
    }
}

VOID DECLSPEC_NORETURN
HalpRefuse(const char *Text)
{
    SIZE_T Length;

    HalpInitializeConsole();
    Length = 0;
    while (Text[Length] != 0) {
        Length += 1;
    }
    HalPutDiagnostic("ntmm: ", 6);
    HalPutDiagnostic(Text, Length);
    HalPutDiagnostic("\n", 1);
    HalExit(2);
}
