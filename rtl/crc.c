/*
 * crc.c - the CRC-32 of Ethernet and zip: polynomial 0x04C11DB7, reflected.
 */
#include <ntdef.h>
#include "rtl.h"

#define RTLP_CRC32_POLYNOMIAL 0xEDB88320u

ULONG
RtlpCrc32(ULONG Crc, PCVOID Buffer, SIZE_T Length)
{
    const UCHAR *At = Buffer;
    SIZE_T i;
    ULONG Bit;

    Crc = ~Crc;
    for (i = 0; i < Length; i++) {
        Crc ^= At[i];
        for (Bit = 0; Bit < 8; Bit++) {
            Crc = Crc >> 1 ^ (RTLP_CRC32_POLYNOMIAL & (0 - (Crc & 1)));
        }
    }
    return ~Crc;
}
