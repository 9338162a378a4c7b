/*
 * wdmrtl.h - run-time library: memory, strings, bitmaps, time, debug text. Part of wdm.h.
 *
 * Memory routines run at any IRQL if the memory is resident, else at APC_LEVEL at most. Strings
 * marked "PASSIVE" touch pageable tables and may allocate paged pool.
 */
#ifndef NTMM_WDMRTL_H
#define NTMM_WDMRTL_H

#include "ntdef.h"
#include "ntstatus.h"

EXTERN_C_START

/* ---- Memory ---- */

/* Ranges of Copy must not overlap; Move's may. Fill takes length before value. */
#define RtlCopyMemory(Destination, Source, Length) __builtin_memcpy(Destination, Source, Length)
#define RtlMoveMemory(Destination, Source, Length) __builtin_memmove(Destination, Source, Length)
#define RtlFillMemory(Destination, Length, Fill) __builtin_memset(Destination, Fill, Length)
#define RtlZeroMemory(Destination, Length) __builtin_memset(Destination, 0, Length)
#define RtlCopyBytes RtlCopyMemory
#define RtlFillBytes RtlFillMemory
#define RtlZeroBytes RtlZeroMemory
/* TRUE if the ranges are identical. */
#define RtlEqualMemory(A, B, Length) (!__builtin_memcmp(A, B, Length))

/* The number of leading bytes that are equal: Length if the ranges are identical. */
NTSYSAPI SIZE_T NTAPI RtlCompareMemory(_In_reads_bytes_(Length) const VOID *Source1,
                                       _In_reads_bytes_(Length) const VOID *Source2,
                                       _In_ SIZE_T Length);

/* TRUE if the ranges are identical, in a time that depends on Length only. */
NTSYSAPI ULONG NTAPI RtlConstantTimeEqualMemory(_In_reads_bytes_(Length) const VOID *v1,
                                                _In_reads_bytes_(Length) const VOID *v2,
                                                _In_ ULONG Length);

/* Copy, or fill, past the caches; ranges must not overlap. */
NTSYSAPI VOID NTAPI RtlCopyMemoryNonTemporal(_Out_writes_bytes_(Length) VOID *Destination,
                                             _In_reads_bytes_(Length) const VOID *Source,
                                             _In_ SIZE_T Length);
NTSYSAPI VOID NTAPI RtlFillMemoryNonTemporal(_Out_writes_bytes_(Length) VOID *Destination,
                                             _In_ SIZE_T Length, _In_ UCHAR Value);

/* A hint that [Source, Source + Length) will be read once. Never faults. */
NTSYSAPI VOID NTAPI RtlPrefetchMemoryNonTemporal(_In_ PVOID Source, _In_ SIZE_T Length);

/* Zero memory in a way that the compiler cannot leave out; Destination is returned. */
FORCEINLINE PVOID
RtlSecureZeroMemory(_Out_writes_bytes_(Length) PVOID Destination, _In_ SIZE_T Length)
{
    __builtin_memset(Destination, 0, Length);
    __asm__ __volatile__("" : : "r"(Destination) : "memory");
    return Destination;
}
#define RtlSecureZeroMemory2 RtlSecureZeroMemory

/*
 * Volatile forms: each byte is read once and written once, so another party's changes to the memory
 * cannot make the code see two values.
 */
FORCEINLINE volatile VOID *
RtlCopyVolatileMemory(_Out_writes_bytes_(Length) volatile VOID *Destination,
                      _In_reads_bytes_(Length) const volatile VOID *Source, _In_ SIZE_T Length)
{
    volatile UCHAR *To = (volatile UCHAR *)Destination;
    const volatile UCHAR *From = (const volatile UCHAR *)Source;

    for (SIZE_T Index = 0; Index < Length; Index += 1) {
        To[Index] = From[Index];
    }
    return Destination;
}

FORCEINLINE volatile VOID *
RtlMoveVolatileMemory(_Out_writes_bytes_(Length) volatile VOID *Destination,
                      _In_reads_bytes_(Length) const volatile VOID *Source, _In_ SIZE_T Length)
{
    volatile UCHAR *To = (volatile UCHAR *)Destination;
    const volatile UCHAR *From = (const volatile UCHAR *)Source;

    if ((ULONG_PTR)To - (ULONG_PTR)From >= Length) {
        return RtlCopyVolatileMemory(Destination, Source, Length);
    }
    for (SIZE_T Index = Length; Index != 0; Index -= 1) {
        To[Index - 1] = From[Index - 1];
    }
    return Destination;
}

FORCEINLINE volatile VOID *
RtlSetVolatileMemory(_Out_writes_bytes_(Length) volatile VOID *Destination, _In_ INT Value,
                     _In_ SIZE_T Length)
{
    volatile UCHAR *To = (volatile UCHAR *)Destination;

    for (SIZE_T Index = 0; Index < Length; Index += 1) {
        To[Index] = (UCHAR)Value;
    }
    return Destination;
}
#define RtlFillVolatileMemory(Destination, Length, Fill)                                           \
    RtlSetVolatileMemory(Destination, Fill, Length)
#define RtlZeroVolatileMemory(Destination, Length) RtlSetVolatileMemory(Destination, 0, Length)

FORCEINLINE BOOLEAN
RtlEqualVolatileMemory(_In_reads_bytes_(Length) const volatile VOID *A,
                       _In_reads_bytes_(Length) const volatile VOID *B, _In_ SIZE_T Length)
{
    const volatile UCHAR *Left = (const volatile UCHAR *)A;
    const volatile UCHAR *Right = (const volatile UCHAR *)B;

    for (SIZE_T Index = 0; Index < Length; Index += 1) {
        if (Left[Index] != Right[Index]) {
            return FALSE;
        }
    }
    return TRUE;
}

/* Device memory takes aligned accesses only; bytes are always aligned. */
#define RtlCopyDeviceMemory RtlCopyVolatileMemory
#define RtlSetDeviceMemory RtlSetVolatileMemory
#define RtlFillDeviceMemory RtlFillVolatileMemory
#define RtlZeroDeviceMemory RtlZeroVolatileMemory

/* ---- Byte order and bits ---- */

FORCEINLINE USHORT
RtlUshortByteSwap(_In_ USHORT Source)
{
    return __builtin_bswap16(Source);
}

FORCEINLINE ULONG
RtlUlongByteSwap(_In_ ULONG Source)
{
    return __builtin_bswap32(Source);
}

FORCEINLINE ULONGLONG
RtlUlonglongByteSwap(_In_ ULONGLONG Source)
{
    return __builtin_bswap64(Source);
}

/* Number of the lowest, or highest, bit that is set; -1 if none is. */
NTSYSAPI CCHAR NTAPI RtlFindLeastSignificantBit(_In_ ULONGLONG Set);
NTSYSAPI CCHAR NTAPI RtlFindMostSignificantBit(_In_ ULONGLONG Set);

/* ---- Strings. Buffers are the caller's unless a routine says that it allocates. ---- */

/* Describe a terminated string (NULL: an empty one); nothing is copied. Any IRQL. */
NTSYSAPI VOID NTAPI RtlInitUnicodeString(_Out_ PUNICODE_STRING DestinationString,
                                         _In_opt_z_ PCWSTR SourceString);
NTSYSAPI VOID NTAPI RtlInitAnsiString(_Out_ PANSI_STRING DestinationString,
                                      _In_opt_z_ PCSZ SourceString);
NTSYSAPI VOID NTAPI RtlInitString(_Out_ PSTRING DestinationString, _In_opt_z_ PCSZ SourceString);

/* The same; STATUS_NAME_TOO_LONG instead of truncation. */
NTSYSAPI NTSTATUS NTAPI RtlInitUnicodeStringEx(_Out_ PUNICODE_STRING DestinationString,
                                               _In_opt_z_ PCWSTR SourceString);

/* Describe an empty string in a buffer of BufferSize bytes. */
FORCEINLINE VOID
RtlInitEmptyUnicodeString(_Out_ PUNICODE_STRING UnicodeString, _In_opt_ PWCHAR Buffer,
                          _In_ USHORT BufferSize)
{
    UnicodeString->Length = 0;
    UnicodeString->MaximumLength = BufferSize;
    UnicodeString->Buffer = Buffer;
}

FORCEINLINE VOID
RtlInitEmptyAnsiString(_Out_ PANSI_STRING AnsiString, _In_opt_ PCHAR Buffer, _In_ USHORT BufferSize)
{
    AnsiString->Length = 0;
    AnsiString->MaximumLength = BufferSize;
    AnsiString->Buffer = Buffer;
}

/* Copy as much as fits; a NULL source empties the destination. */
NTSYSAPI VOID NTAPI RtlCopyUnicodeString(_Inout_ PUNICODE_STRING DestinationString,
                                         _In_opt_ PCUNICODE_STRING SourceString);
NTSYSAPI VOID NTAPI RtlCopyString(_Inout_ PSTRING DestinationString,
                                  _In_opt_ const STRING *SourceString);

/* Append; STATUS_BUFFER_TOO_SMALL and no change if the result does not fit. */
NTSYSAPI NTSTATUS NTAPI RtlAppendUnicodeToString(_Inout_ PUNICODE_STRING Destination,
                                                 _In_opt_z_ PCWSTR Source);
NTSYSAPI NTSTATUS NTAPI RtlAppendUnicodeStringToString(_Inout_ PUNICODE_STRING Destination,
                                                       _In_ PCUNICODE_STRING Source);

/* Negative, zero or positive as String1 is less, equal or greater. PASSIVE if case-insensitive. */
NTSYSAPI LONG NTAPI RtlCompareUnicodeString(_In_ PCUNICODE_STRING String1,
                                            _In_ PCUNICODE_STRING String2,
                                            _In_ BOOLEAN CaseInSensitive);

/* TRUE if the strings are equal. PASSIVE if case-insensitive. */
NTSYSAPI BOOLEAN NTAPI RtlEqualUnicodeString(_In_ PCUNICODE_STRING String1,
                                             _In_ PCUNICODE_STRING String2,
                                             _In_ BOOLEAN CaseInSensitive);

#define HASH_STRING_ALGORITHM_DEFAULT 0
#define HASH_STRING_ALGORITHM_X65599 1
#define HASH_STRING_ALGORITHM_INVALID 0xffffffff

/* Hash a string; STATUS_INVALID_PARAMETER for an unknown algorithm or a NULL pointer. */
NTSYSAPI NTSTATUS NTAPI RtlHashUnicodeString(_In_ PCUNICODE_STRING String,
                                             _In_ BOOLEAN CaseInSensitive,
                                             _In_ ULONG HashAlgorithm, _Out_ PULONG HashValue);

/* The upper-case form of one character. PASSIVE. */
NTSYSAPI WCHAR NTAPI RtlUpcaseUnicodeChar(_In_ WCHAR SourceCharacter);

/*
 * Convert. With AllocateDestinationString the buffer is paged pool that RtlFreeUnicodeString or
 * RtlFreeAnsiString gives back (STATUS_NO_MEMORY); else STATUS_BUFFER_OVERFLOW if the result and
 * its terminator do not fit. PASSIVE.
 */
NTSYSAPI NTSTATUS NTAPI RtlAnsiStringToUnicodeString(_Inout_ PUNICODE_STRING DestinationString,
                                                     _In_ PCANSI_STRING SourceString,
                                                     _In_ BOOLEAN AllocateDestinationString);
NTSYSAPI NTSTATUS NTAPI RtlUnicodeStringToAnsiString(_Inout_ PANSI_STRING DestinationString,
                                                     _In_ PCUNICODE_STRING SourceString,
                                                     _In_ BOOLEAN AllocateDestinationString);
NTSYSAPI VOID NTAPI RtlFreeUnicodeString(_Inout_ PUNICODE_STRING UnicodeString);
NTSYSAPI VOID NTAPI RtlFreeAnsiString(_Inout_ PANSI_STRING AnsiString);

/* Bytes that the converted string needs, terminator included. PASSIVE. */
NTSYSAPI ULONG NTAPI RtlxAnsiStringToUnicodeSize(_In_ PCANSI_STRING AnsiString);
NTSYSAPI ULONG NTAPI RtlxUnicodeStringToAnsiSize(_In_ PCUNICODE_STRING UnicodeString);
#define RtlAnsiStringToUnicodeSize(String) RtlxAnsiStringToUnicodeSize(String)
#define RtlUnicodeStringToAnsiSize(String) RtlxUnicodeStringToAnsiSize(String)

/* Numbers. Base 0 asks the text (0x, 0o, 0b); STATUS_INVALID_PARAMETER for another base than 2, 8,
 * 10, 16. STATUS_BUFFER_OVERFLOW if the text does not fit. PASSIVE. */
NTSYSAPI NTSTATUS NTAPI RtlUnicodeStringToInteger(_In_ PCUNICODE_STRING String,
                                                  _In_opt_ ULONG Base, _Out_ PULONG Value);
NTSYSAPI NTSTATUS NTAPI RtlIntegerToUnicodeString(_In_ ULONG Value, _In_opt_ ULONG Base,
                                                  _Inout_ PUNICODE_STRING String);
NTSYSAPI NTSTATUS NTAPI RtlInt64ToUnicodeString(_In_ ULONGLONG Value, _In_opt_ ULONG Base,
                                                _Inout_ PUNICODE_STRING String);

/* "{xxxxxxxx-xxxx-...}" and back. The first allocates paged pool. PASSIVE. */
NTSYSAPI NTSTATUS NTAPI RtlStringFromGUID(_In_ const GUID *Guid, _Out_ PUNICODE_STRING GuidString);
NTSYSAPI NTSTATUS NTAPI RtlGUIDFromString(_In_ PCUNICODE_STRING GuidString, _Out_ GUID *Guid);

/* ---- Bitmaps over the caller's array of ULONGs; bit 0 is the lowest of the first. No lock. ---- */

typedef struct _RTL_BITMAP {
    ULONG SizeOfBitMap; /* bits */
    PULONG Buffer;
} RTL_BITMAP, *PRTL_BITMAP;
C_ASSERT(sizeof(RTL_BITMAP) == 0x10);

typedef struct _RTL_BITMAP_RUN {
    ULONG StartingIndex;
    ULONG NumberOfBits;
} RTL_BITMAP_RUN, *PRTL_BITMAP_RUN;

/* Describe a bitmap of SizeOfBitMap bits; the bits are left as they are. */
NTSYSAPI VOID NTAPI RtlInitializeBitMap(_Out_ PRTL_BITMAP BitMapHeader,
                                        _In_opt_ PULONG BitMapBuffer,
                                        _In_opt_ ULONG SizeOfBitMap);

/* One bit, all bits, a range: the range must lie in the bitmap. */
NTSYSAPI VOID NTAPI RtlClearBit(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG BitNumber);
NTSYSAPI VOID NTAPI RtlSetBit(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG BitNumber);
NTSYSAPI BOOLEAN NTAPI RtlTestBit(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG BitNumber);
NTSYSAPI VOID NTAPI RtlClearAllBits(_In_ PRTL_BITMAP BitMapHeader);
NTSYSAPI VOID NTAPI RtlSetAllBits(_In_ PRTL_BITMAP BitMapHeader);
NTSYSAPI VOID NTAPI RtlClearBits(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG StartingIndex,
                                 _In_ ULONG NumberToClear);
NTSYSAPI VOID NTAPI RtlSetBits(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG StartingIndex,
                               _In_ ULONG NumberToSet);

/*
 * Index of a run of NumberToFind clear (set) bits, looked for from HintIndex on and then from the
 * start; 0xFFFFFFFF if there is none. The AndXxx forms change the run they find.
 */
NTSYSAPI ULONG NTAPI RtlFindClearBits(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG NumberToFind,
                                      _In_ ULONG HintIndex);
NTSYSAPI ULONG NTAPI RtlFindSetBits(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG NumberToFind,
                                    _In_ ULONG HintIndex);
NTSYSAPI ULONG NTAPI RtlFindClearBitsAndSet(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG NumberToFind,
                                            _In_ ULONG HintIndex);
NTSYSAPI ULONG NTAPI RtlFindSetBitsAndClear(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG NumberToFind,
                                            _In_ ULONG HintIndex);

/* Runs of clear bits: up to SizeOfRunArray of them (the longest ones if asked), their number; the
 * longest; the first; the next from FromIndex on; the last before it. 0 if there is none. */
NTSYSAPI ULONG NTAPI RtlFindClearRuns(
    _In_ PRTL_BITMAP BitMapHeader,
    _Out_writes_to_(SizeOfRunArray, return) PRTL_BITMAP_RUN RunArray, _In_ ULONG SizeOfRunArray,
    _In_ BOOLEAN LocateLongestRuns);
NTSYSAPI ULONG NTAPI RtlFindLongestRunClear(_In_ PRTL_BITMAP BitMapHeader,
                                            _Out_ PULONG StartingIndex);
NTSYSAPI ULONG NTAPI RtlFindFirstRunClear(_In_ PRTL_BITMAP BitMapHeader,
                                          _Out_ PULONG StartingIndex);
NTSYSAPI ULONG NTAPI RtlFindNextForwardRunClear(_In_ PRTL_BITMAP BitMapHeader,
                                                _In_ ULONG FromIndex,
                                                _Out_ PULONG StartingRunIndex);
NTSYSAPI ULONG NTAPI RtlFindLastBackwardRunClear(_In_ PRTL_BITMAP BitMapHeader,
                                                 _In_ ULONG FromIndex,
                                                 _Out_ PULONG StartingRunIndex);

/* Counts, and tests of a range (FALSE for an empty range or one that leaves the bitmap). */
NTSYSAPI ULONG NTAPI RtlNumberOfClearBits(_In_ PRTL_BITMAP BitMapHeader);
NTSYSAPI ULONG NTAPI RtlNumberOfSetBits(_In_ PRTL_BITMAP BitMapHeader);
NTSYSAPI BOOLEAN NTAPI RtlAreBitsClear(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG StartingIndex,
                                       _In_ ULONG Length);
NTSYSAPI BOOLEAN NTAPI RtlAreBitsSet(_In_ PRTL_BITMAP BitMapHeader, _In_ ULONG StartingIndex,
                                     _In_ ULONG Length);

/* ---- Calendar. System time counts 100 ns units since 1601-01-01, UTC. ---- */

typedef struct _TIME_FIELDS {
    CSHORT Year;         /* 1601 and later */
    CSHORT Month;        /* 1-12 */
    CSHORT Day;          /* 1-31 */
    CSHORT Hour;         /* 0-23 */
    CSHORT Minute;       /* 0-59 */
    CSHORT Second;       /* 0-59 */
    CSHORT Milliseconds; /* 0-999 */
    CSHORT Weekday;      /* 0 is Sunday */
} TIME_FIELDS, *PTIME_FIELDS;
C_ASSERT(sizeof(TIME_FIELDS) == 16);

/* Split a time; FALSE from the second if the fields are no date (Weekday is not looked at). */
NTSYSAPI VOID NTAPI RtlTimeToTimeFields(_In_ PLARGE_INTEGER Time, _Out_ PTIME_FIELDS TimeFields);
NTSYSAPI BOOLEAN NTAPI RtlTimeFieldsToTime(_In_ PTIME_FIELDS TimeFields, _Out_ PLARGE_INTEGER Time);

/* ---- Version ---- */

typedef struct _OSVERSIONINFOW {
    ULONG dwOSVersionInfoSize;
    ULONG dwMajorVersion;
    ULONG dwMinorVersion;
    ULONG dwBuildNumber;
    ULONG dwPlatformId;
    WCHAR szCSDVersion[128];
} OSVERSIONINFOW, *POSVERSIONINFOW, RTL_OSVERSIONINFOW, *PRTL_OSVERSIONINFOW;

typedef struct _OSVERSIONINFOEXW {
    ULONG dwOSVersionInfoSize;
    ULONG dwMajorVersion;
    ULONG dwMinorVersion;
    ULONG dwBuildNumber;
    ULONG dwPlatformId;
    WCHAR szCSDVersion[128];
    USHORT wServicePackMajor;
    USHORT wServicePackMinor;
    USHORT wSuiteMask;
    UCHAR wProductType;
    UCHAR wReserved;
} OSVERSIONINFOEXW, *POSVERSIONINFOEXW, RTL_OSVERSIONINFOEXW, *PRTL_OSVERSIONINFOEXW;
C_ASSERT(sizeof(OSVERSIONINFOW) == 0x114 && sizeof(OSVERSIONINFOEXW) == 0x11c);

/* Fill the structure whose size dwOSVersionInfoSize names. PASSIVE. STATUS_SUCCESS. */
NTSYSAPI NTSTATUS NTAPI RtlGetVersion(_Inout_ PRTL_OSVERSIONINFOW VersionInformation);

/* TRUE if the system is at least Version (an NTDDI_* value). PASSIVE. */
NTSYSAPI BOOLEAN NTAPI RtlIsNtDdiVersionAvailable(_In_ ULONG Version);

/* ---- Debug text and assertions ---- */

#define DPFLTR_ERROR_LEVEL 0
#define DPFLTR_WARNING_LEVEL 1
#define DPFLTR_TRACE_LEVEL 2
#define DPFLTR_INFO_LEVEL 3
#define DPFLTR_MASK 0x80000000

/* The components that a driver names; others pass their number. */
#define DPFLTR_SYSTEM_ID 0
#define DPFLTR_IHVDRIVER_ID 77
#define DPFLTR_IHVVIDEO_ID 78
#define DPFLTR_IHVAUDIO_ID 79
#define DPFLTR_IHVNETWORK_ID 80
#define DPFLTR_IHVSTREAMING_ID 81
#define DPFLTR_IHVBUS_ID 82
#define DPFLTR_DEFAULT_ID 101

/* Print formatted text to the debugger. Any IRQL; %ws, %wZ and the like at PASSIVE. Returns
 * STATUS_SUCCESS. The Ex forms take a component and a level or mask that may filter the text. */
NTSYSAPI ULONG NTAPI DbgPrint(_In_z_ _Printf_format_string_ PCSTR Format, ...);
NTSYSAPI ULONG NTAPI DbgPrintEx(_In_ ULONG ComponentId, _In_ ULONG Level,
                          _In_z_ _Printf_format_string_ PCSTR Format, ...);
NTSYSAPI ULONG NTAPI vDbgPrintEx(_In_ ULONG ComponentId, _In_ ULONG Level, _In_z_ PCSTR Format,
                                 _In_ NT_VA_LIST Arguments);
NTSYSAPI ULONG NTAPI vDbgPrintExWithPrefix(_In_z_ PCSTR Prefix, _In_ ULONG ComponentId,
                                           _In_ ULONG Level, _In_z_ PCSTR Format,
                                           _In_ NT_VA_LIST Arguments);

/* Whether text of that component and level is printed: TRUE, FALSE, or an error status. */
NTSYSAPI NTSTATUS NTAPI DbgQueryDebugFilterState(_In_ ULONG ComponentId, _In_ ULONG Level);

/* Stop in the debugger; without one, an unhandled breakpoint exception. */
NTSYSAPI VOID NTAPI DbgBreakPoint(VOID);
NTSYSAPI VOID NTAPI DbgBreakPointWithStatus(_In_ ULONG Status);

/* Report a failed assertion and stop in the debugger. */
NTSYSAPI VOID NTAPI RtlAssert(_In_ PVOID VoidFailedAssertion, _In_ PVOID VoidFileName,
                              _In_ ULONG LineNumber, _In_opt_ PSTR MutableMessage);

/* The assertion interrupt. */
FORCEINLINE VOID
DbgRaiseAssertionFailure(VOID)
{
    __asm__ __volatile__("int $0x2c" : : : "memory");
}

/*
 * Text and assertions of checked drivers (DBG is 1), nothing in others. The core has assertions of
 * its own in ke/ke.h.
 */
#ifdef _WIN32
#ifndef DBG
#define DBG 0
#endif
#if DBG
#define KdPrint(Arguments) DbgPrint Arguments
#define KdPrintEx(Arguments) DbgPrintEx Arguments
#define KdBreakPoint() DbgBreakPoint()
#define ASSERT(e)                                                                                  \
    ((e) ? TRUE                                                                                    \
         : (RtlAssert((PVOID)(ULONG_PTR) #e, (PVOID)(ULONG_PTR)__FILE__, __LINE__, NULL), FALSE))
#define ASSERTMSG(Message, e)                                                                      \
    ((e) ? TRUE                                                                                    \
         : (RtlAssert((PVOID)(ULONG_PTR) #e, (PVOID)(ULONG_PTR)__FILE__, __LINE__,                 \
                      (PSTR)(ULONG_PTR)(Message)),                                                 \
            FALSE))
#define RTL_VERIFY(e) ASSERT(e)
#define NT_ASSERT(e) ((e) ? TRUE : (DbgRaiseAssertionFailure(), FALSE))
#define NT_VERIFY(e) NT_ASSERT(e)
#else
#define KdPrint(Arguments) ((void)0)
#define KdPrintEx(Arguments) ((void)0)
#define KdBreakPoint() ((void)0)
#define ASSERT(e) ((void)0)
#define ASSERTMSG(Message, e) ((void)0)
#define RTL_VERIFY(e) ((e) ? TRUE : FALSE)
#define NT_ASSERT(e) ((void)0)
#define NT_VERIFY(e) ((e) ? TRUE : FALSE)
#endif
#define NT_ASSERTMSG(Message, e) NT_ASSERT(e)
#define RTL_SOFT_ASSERT(e) ASSERT(e)
#define RTL_SOFT_ASSERTMSG(Message, e) ASSERTMSG(Message, e)
#endif

EXTERN_C_END

#endif
