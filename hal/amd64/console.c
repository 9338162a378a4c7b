/*
 * console.c - what leaves the machine: text on the first serial port, the report on the second, lines for a person on QEMU's
 * debug port, the exit status.
 *
 * Owns the two 16550s, polled: a byte is given to the hardware before the call returns, so nothing is lost
 * whatever happens next. A port that is not there is found at start and ignored. Lines are written as they
 * are, with
 * "\n" only. The debug port takes a byte at a time without being asked, and reads as its own number where it exists; without
 * it, lines for a person go the way of the text. Any IRQL; on several processors, text of two calls may mix. The status goes to QEMU's
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
} HALP_UART, *PHALP_UART;

static HALP_UART HalpConsoleUart = {HALP_COM1, FALSE};
static HALP_UART HalpReportUart = {HALP_COM2, FALSE};

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

/* An empty transmitter takes a FIFO's worth without being asked again. */
static VOID
HalpWrite(const HALP_UART *Uart, const char *Text, SIZE_T Length)
{
    SIZE_T Index;

    if (!Uart->Present) {
        return;
    }
    for (Index = 0; Index < Length; Index += 1) {
        if (Index % HALP_UART_FIFO_BYTES == 0) {
            HalpWaitForUart(Uart);
        }
        HalpOut8(Uart->Port + HALP_UART_DATA, (UCHAR)Text[Index]);
    }
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
    HalpWrite(&HalpReportUart, Text, Length);
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
