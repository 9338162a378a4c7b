/*
 * DbgPrint's formats. Each line prints a text after its expectation; drivers.t compares the two.
 */
#include "check.h"

#define SHOW(Expected, ...)                                                                                  \
    do {                                                                                                     \
        DbgPrint("want [%s]\n", Expected);                                                                   \
        DbgPrint("got  [");                                                                                  \
        DbgPrint(__VA_ARGS__);                                                                               \
        DbgPrint("]\n");                                                                                     \
    } while (0)

static VOID
Test(VOID)
{
    UNICODE_STRING Wide;
    ANSI_STRING Narrow;

    RtlInitUnicodeString(&Wide, L"counted wide");
    RtlInitAnsiString(&Narrow, "counted narrow");
    SHOW("42 -7 4294967295", "%d %i %u", 42, -7, -1);
    SHOW("ff FF 0xff 17", "%x %X %#x %o", 255, 255, 255, 15);
    SHOW("   5|5   |00005|+5", "%4d|%-4d|%05d|%+d", 5, 5, 5, 5);
    SHOW("123456789abcdef 81985529216486895", "%I64x %I64d", 0x123456789ABCDEFll, 0x123456789ABCDEFll);
    SHOW("1311768467463790320", "%lld", 0x123456789ABCDEF0ll);
    SHOW("-1 65535 255", "%ld %hu %hhu", -1, 0xFFFFF, 0xFFF);
    SHOW("text|   text|text   |te", "%s|%7s|%-7s|%.2s", "text", "text", "text", "text");
    SHOW("wide|wide|c|W", "%ws|%S|%c|%C", L"wide", L"wide", 'c', L'W');
    SHOW("counted wide|counted narrow", "%wZ|%Z", &Wide, &Narrow);
    SHOW("0000000012345678", "%p", (PVOID)(ULONG_PTR)0x12345678);
    SHOW("100%", "%d%%", 100);
    SHOW("    3|3    |003", "%*d|%-*d|%.*d", 5, 3, 5, 3, 3, 3);
    SHOW("1 2 3 4 5 6 7 8 9 10 11 12", "%d %d %d %d %d %d %d %d %d %d %d %d", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
         11, 12);
    SHOW("DPFLTR 3", "%s %d", "DPFLTR", 3);
    CHECK_STATUS(DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, "# an error\n"), STATUS_SUCCESS);
}

CHECK_DRIVER
