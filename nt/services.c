/*
 * The table of system services, made from the one list that ntdll.dll is made from too.
 */
#include "nt.h"

VOID
NtInitializeServices(VOID)
{
#define SERVICE(Name, Count) {(PVOID)Zw##Name, Count},
    static const KI_SERVICE Services[] = {
#include "services.h"
    };
#undef SERVICE

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Services); Index += 1) {
        NT_ASSERT(Services[Index].ArgumentCount <= KI_SERVICE_ARGUMENTS);
    }
    KiServiceTable = Services;
    KiServiceCount = RTL_NUMBER_OF(Services);
}

NTSTATUS
NtpReturnInformation(PVOID To, ULONG Length, PULONG ReturnLength, const VOID *Information, ULONG Size)
{
    KPROCESSOR_MODE Mode = KiPreviousMode();
    NTSTATUS Status = Length == Size ? KiReturnResult(To, Information, Size, Mode) : STATUS_INFO_LENGTH_MISMATCH;

    if (ReturnLength != NULL && (NT_SUCCESS(Status) || Status == STATUS_INFO_LENGTH_MISMATCH)) {
        NTSTATUS Second = KiReturnResult(ReturnLength, &Size, sizeof(Size), Mode);

        Status = NT_SUCCESS(Status) ? Second : Status;
    }
    return Status;
}
