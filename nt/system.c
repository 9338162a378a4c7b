/*
 * Services that ask the system, let time pass, or print. Documents: "NtQuerySystemInformation", "NtQuerySystemTime",
 * "KeQueryPerformanceCounter", "KeDelayExecutionThread".
 */
#include "nt.h"
#include <ke/thread.h>
#include <mm/mi.h>

#define NTP_TEXT_BYTES 256

/* --- Text --------------------------------------------------------------------------------------------------- */

/* Print a string of UTF-16 on the console, verbatim, as UTF-8. STATUS_ACCESS_VIOLATION. */
NTSTATUS NTAPI
ZwDisplayString(PUNICODE_STRING String)
{
    KPROCESSOR_MODE Mode = KiPreviousMode();
    UNICODE_STRING Text;
    WCHAR Wide[NTP_TEXT_BYTES / 4];
    CHAR Narrow[NTP_TEXT_BYTES];
    ULONG Bytes;
    NTSTATUS Status = KiCaptureArgument(&Text, String, sizeof(Text), Mode);

    for (ULONG At = 0; NT_SUCCESS(Status) && At < Text.Length;) {
        ULONG Chunk = MIN(sizeof(Wide), Text.Length - At) & ~1u;

        if (Chunk == 0) {
            break;
        }
        Status = KiCaptureArgument(Wide, (PUCHAR)Text.Buffer + At, Chunk, Mode);
        if (NT_SUCCESS(Status)) {
            /* A pair that a chunk would cut stays whole. */
            if (At + Chunk < Text.Length && Chunk > 2 && (Wide[Chunk / 2 - 1] & 0xFC00) == 0xD800) {
                Chunk -= 2;
            }
            RtlUnicodeToUTF8N(Narrow, sizeof(Narrow), &Bytes, Wide, Chunk);
            HalPutConsole(Narrow, Bytes);
            At += Chunk;
        }
    }
    return Status;
}

/* --- Time --------------------------------------------------------------------------------------------------- */

/* Let an interval pass (negative), or a time come. STATUS_SUCCESS, STATUS_ACCESS_VIOLATION. */
NTSTATUS NTAPI
ZwDelayExecution(BOOLEAN Alertable, PLARGE_INTEGER DelayInterval)
{
    KPROCESSOR_MODE Mode = KiPreviousMode();
    LARGE_INTEGER Interval;
    NTSTATUS Status = KiCaptureArgument(&Interval, DelayInterval, sizeof(Interval), Mode);

    return NT_SUCCESS(Status) ? KeDelayExecutionThread(Mode, Alertable, &Interval) : Status;
}

/* Give the processor to another ready thread. STATUS_SUCCESS. */
NTSTATUS NTAPI
ZwYieldExecution(VOID)
{
    KiYield();
    return STATUS_SUCCESS;
}

/* The time since 1601, in 100 ns. STATUS_ACCESS_VIOLATION. */
NTSTATUS NTAPI
ZwQuerySystemTime(PLARGE_INTEGER SystemTime)
{
    LARGE_INTEGER Now;

    KeQuerySystemTimePrecise(&Now);
    return KiReturnResult(SystemTime, &Now, sizeof(Now), KiPreviousMode());
}

/* The counter, and how often it ticks in a second (may be NULL). STATUS_ACCESS_VIOLATION. */
NTSTATUS NTAPI
ZwQueryPerformanceCounter(PLARGE_INTEGER Counter, PLARGE_INTEGER PerformanceFrequency)
{
    KPROCESSOR_MODE Mode = KiPreviousMode();
    LARGE_INTEGER Frequency, Now = KeQueryPerformanceCounter(&Frequency);
    NTSTATUS Status = KiReturnResult(Counter, &Now, sizeof(Now), Mode);

    if (NT_SUCCESS(Status) && PerformanceFrequency != NULL) {
        Status = KiReturnResult(PerformanceFrequency, &Frequency, sizeof(Frequency), Mode);
    }
    return Status;
}

/* --- Figures ------------------------------------------------------------------------------------------------ */

typedef struct _NTP_BASIC {
    ULONG Reserved;
    ULONG TimerResolution;
    ULONG PageSize;
    ULONG NumberOfPhysicalPages;
    ULONG LowestPhysicalPageNumber;
    ULONG HighestPhysicalPageNumber;
    ULONG AllocationGranularity;
    ULONG_PTR MinimumUserModeAddress;
    ULONG_PTR MaximumUserModeAddress;
    ULONG_PTR ActiveProcessorsAffinityMask;
    CHAR NumberOfProcessors;
} NTP_BASIC;
C_ASSERT(sizeof(NTP_BASIC) == 0x40);

#define NTP_SYSTEM_BASIC_INFORMATION 0
#define NTP_TIMER_RESOLUTION 156250

/* Basic information of the system (0). STATUS_INVALID_INFO_CLASS, STATUS_INFO_LENGTH_MISMATCH, STATUS_ACCESS_VIOLATION. */
NTSTATUS NTAPI
ZwQuerySystemInformation(ULONG SystemInformationClass, PVOID SystemInformation, ULONG Length, PULONG ReturnLength)
{
    const HAL_LOADER_BLOCK *Loader = KiLoaderBlock;
    NTP_BASIC Basic = {.TimerResolution = NTP_TIMER_RESOLUTION, .PageSize = PAGE_SIZE, .AllocationGranularity = 0x10000,
                       .MinimumUserModeAddress = Loader->UserStart, .MaximumUserModeAddress = (ULONG_PTR)MmHighestUserAddress,
                       .NumberOfProcessors = (CHAR)HalProcessorCount()};
    MI_PAGE_COUNTS Counts;

    if (SystemInformationClass != NTP_SYSTEM_BASIC_INFORMATION) {
        return STATUS_INVALID_INFO_CLASS;
    }
    MiQueryPageCounts(&Counts);
    Basic.NumberOfPhysicalPages = (ULONG)Counts.Total;
    Basic.LowestPhysicalPageNumber = (ULONG)Loader->Runs[0].BasePage;
    Basic.HighestPhysicalPageNumber =
        (ULONG)(Loader->Runs[Loader->RunCount - 1].BasePage + Loader->Runs[Loader->RunCount - 1].PageCount - 1);
    Basic.ActiveProcessorsAffinityMask = NtpAllProcessors();
    return NtpReturnInformation(SystemInformation, Length, ReturnLength, &Basic, sizeof(Basic));
}
NTEXPORT(ZwQuerySystemInformation);
NTEXPORT_AS("NtQuerySystemInformation", ZwQuerySystemInformation);
