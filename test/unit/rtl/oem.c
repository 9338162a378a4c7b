/* The OEM code page. */
#include <ktest.h>
#include <ntifs.h>
#include <rtl/rtl.h>

KTEST(OemBytes)
{
    UCHAR Byte;

    for (ULONG Each = 0; Each < 256; Each += 1) {
        CHECK(RtlpWideToOem(RtlpOemToWide((UCHAR)Each), &Byte) && Byte == Each);
    }
    CHECK(!RtlpWideToOem(0x4E00, &Byte) && Byte == '?');
    CHECK_EQ(RtlpOemToWide(0x81), 0xFC);
    CHECK_EQ(RtlpOemToWide(0xE1), 0xDF);
}

KTEST(OemCounts)
{
    CHAR Oem[4] = {'a', (CHAR)0x81, 'z', 'q'};
    WCHAR Wide[4] = {0};
    ULONG Bytes = 0;

    CHECK_STATUS(STATUS_SUCCESS, RtlOemToUnicodeN(Wide, sizeof(Wide), &Bytes, Oem, 3));
    CHECK(Bytes == 6 && Wide[0] == 'a' && Wide[1] == 0xFC && Wide[2] == 'z' && Wide[3] == 0);
    CHECK_STATUS(STATUS_BUFFER_OVERFLOW, RtlOemToUnicodeN(Wide, 5, &Bytes, Oem, 3));
    CHECK_EQ(Bytes, 4);
    CHECK_STATUS(STATUS_SUCCESS, RtlUpcaseUnicodeToOemN(Oem, 4, &Bytes, Wide, 6));
    CHECK(Bytes == 3 && Oem[0] == 'A' && (UCHAR)Oem[1] == 0x9A && Oem[2] == 'Z' && Oem[3] == 'q');
    CHECK_STATUS(STATUS_BUFFER_OVERFLOW, RtlUnicodeToOemN(Oem, 1, NULL, Wide, 6));
    CHECK(Oem[0] == 'a' && (UCHAR)Oem[1] == 0x9A);
}

KTEST(OemStrings)
{
    CHAR Room[4];
    OEM_STRING Oem = {0, sizeof(Room), Room}, Source = {2, 2, (PCHAR)"h\x81"};
    UNICODE_STRING Wide = {0}, Chinese = RTL_CONSTANT_STRING(L"a\x4E00");

    CHECK_STATUS(STATUS_SUCCESS, RtlOemStringToUnicodeString(&Wide, &Source, TRUE));
    CHECK(Wide.Length == 4 && Wide.MaximumLength == 6 && Wide.Buffer[1] == 0xFC && Wide.Buffer[2] == 0);
    CHECK_STATUS(STATUS_SUCCESS, RtlUpcaseUnicodeStringToCountedOemString(&Oem, &Wide, FALSE));
    CHECK(Oem.Length == 2 && Room[0] == 'H' && (UCHAR)Room[1] == 0x9A);
    RtlFreeUnicodeString(&Wide);
    CHECK_STATUS(STATUS_SUCCESS, RtlOemStringToCountedUnicodeString(&Wide, &Source, TRUE));
    CHECK(Wide.Length == 4 && Wide.MaximumLength == 4);
    Oem.MaximumLength = 2;
    CHECK_STATUS(STATUS_SUCCESS, RtlUnicodeStringToCountedOemString(&Oem, &Wide, FALSE));
    CHECK_STATUS(STATUS_BUFFER_OVERFLOW, RtlUnicodeStringToOemString(&Oem, &Wide, FALSE));
    RtlFreeUnicodeString(&Wide);
    Oem.MaximumLength = sizeof(Room);
    CHECK_STATUS(STATUS_UNMAPPABLE_CHARACTER, RtlUnicodeStringToCountedOemString(&Oem, &Chinese, FALSE));
    CHECK_STATUS(STATUS_SUCCESS, RtlUpcaseUnicodeStringToOemString(&Oem, &Chinese, FALSE));
    CHECK(Oem.Length == 2 && Room[0] == 'A' && Room[1] == '?' && Room[2] == 0);
    CHECK_STATUS(STATUS_SUCCESS, RtlUnicodeStringToOemString(&Oem, &Chinese, TRUE));
    CHECK_EQ(Oem.MaximumLength, 3);
    RtlFreeOemString(&Oem);
    CHECK(Oem.Buffer == NULL);
    CHECK(RtlOemStringToUnicodeSize(&Source) == 6 && RtlUnicodeStringToOemSize(&Chinese) == 3 &&
          RtlOemStringToCountedUnicodeSize(&Source) == 4);
}
