/*
 * UTF-16 to UTF-8. Surrogates that are not a pair become U+FFFD. Document: RtlUnicodeToUTF8N.
 */
#include <ntifs.h>
#include <ntexport.h>
#include <rtl/rtl.h>

#define RTLP_REPLACEMENT 0xFFFDu

/* The bytes of one character, in Bytes; how many. */
static ULONG
RtlpEncodeUtf8(ULONG Character, UCHAR Bytes[4])
{
    if (Character < 0x80) {
        Bytes[0] = (UCHAR)Character;
        return 1;
    }
    if (Character < 0x800) {
        Bytes[0] = (UCHAR)(0xC0 | Character >> 6);
        Bytes[1] = (UCHAR)(0x80 | (Character & 0x3F));
        return 2;
    }
    if (Character < 0x10000) {
        Bytes[0] = (UCHAR)(0xE0 | Character >> 12);
        Bytes[1] = (UCHAR)(0x80 | (Character >> 6 & 0x3F));
        Bytes[2] = (UCHAR)(0x80 | (Character & 0x3F));
        return 3;
    }
    Bytes[0] = (UCHAR)(0xF0 | Character >> 18);
    Bytes[1] = (UCHAR)(0x80 | (Character >> 12 & 0x3F));
    Bytes[2] = (UCHAR)(0x80 | (Character >> 6 & 0x3F));
    Bytes[3] = (UCHAR)(0x80 | (Character & 0x3F));
    return 4;
}

/*
 * Convert SourceBytes of UTF-16 to at most MaxBytes of UTF-8, whole characters; how many bytes goes to *ActualBytes. Destination NULL: only count.
 * STATUS_SUCCESS; STATUS_SOME_NOT_MAPPED if a surrogate stood alone; STATUS_BUFFER_TOO_SMALL if not all fitted;
 * STATUS_INVALID_PARAMETER_5 for half a character. Any IRQL at which the memory is resident.
 */
NTSTATUS NTAPI
RtlUnicodeToUTF8N(PCHAR Destination, ULONG MaxBytes, PULONG ActualBytes, PCWCH Source, ULONG SourceBytes)
{
    ULONG Count = SourceBytes / sizeof(WCHAR), Written = 0;
    NTSTATUS Status = STATUS_SUCCESS;

    if ((SourceBytes & 1) != 0) {
        return STATUS_INVALID_PARAMETER_5;
    }
    for (ULONG Index = 0; Index < Count; Index += 1) {
        ULONG Character = Source[Index];
        UCHAR Bytes[4];
        ULONG Length;

        if ((Character & 0xFC00) == 0xD800 && Index + 1 < Count && (Source[Index + 1] & 0xFC00) == 0xDC00) {
            Index += 1;
            Character = 0x10000 + ((Character & 0x3FF) << 10) + (Source[Index] & 0x3FF);
        } else if ((Character & 0xF800) == 0xD800) {
            Character = RTLP_REPLACEMENT;
            Status = STATUS_SOME_NOT_MAPPED;
        }
        Length = RtlpEncodeUtf8(Character, Bytes);
        if (Destination != NULL) {
            if (Written + Length > MaxBytes) {
                Status = STATUS_BUFFER_TOO_SMALL;
                break;
            }
            RtlCopyMemory(Destination + Written, Bytes, Length);
        }
        Written += Length;
    }
    *ActualBytes = Written;
    return Status;
}
NTEXPORT(RtlUnicodeToUTF8N);
