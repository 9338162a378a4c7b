/*
 * Object attributes as a service gets them: taken once from where the caller has them, so that nothing can change under the check.
 */
#include "obp.h"
#include <ke/user.h>

#define OBP_CAPTURE_TAG 0x7043624Fu /* "ObCp" */

NTSTATUS
ObCaptureAttributes(const OBJECT_ATTRIBUTES *Attributes, POB_CAPTURED Captured)
{
    KPROCESSOR_MODE Mode = KiPreviousMode();
    NTSTATUS Status;

    Captured->Buffer = NULL;
    Captured->Attributes = NULL;
    if (Attributes == NULL) {
        return STATUS_SUCCESS;
    }
    if (Mode == KernelMode) {
        Captured->Attributes = Attributes;
        return STATUS_SUCCESS;
    }
    Status = KiCopyFromUser(&Captured->Copy, Attributes, sizeof(Captured->Copy));
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (Captured->Copy.Length != sizeof(Captured->Copy)) {
        return STATUS_INVALID_PARAMETER;
    }
    Captured->Copy.Attributes &= ~(ULONG)OBJ_KERNEL_HANDLE;
    Captured->Attributes = &Captured->Copy;
    if (Captured->Copy.ObjectName == NULL) {
        return STATUS_SUCCESS;
    }
    Status = KiCopyFromUser(&Captured->Name, Captured->Copy.ObjectName, sizeof(Captured->Name));
    Captured->Copy.ObjectName = &Captured->Name;
    if (!NT_SUCCESS(Status) || Captured->Name.Length == 0) {
        return Status;
    }
    if ((Captured->Name.Length & 1) != 0) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    Captured->Buffer = ExAllocatePool2(POOL_FLAG_PAGED, Captured->Name.Length, OBP_CAPTURE_TAG);
    if (Captured->Buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Status = KiCopyFromUser(Captured->Buffer, Captured->Name.Buffer, Captured->Name.Length);
    Captured->Name.Buffer = Captured->Buffer;
    Captured->Name.MaximumLength = Captured->Name.Length;
    if (!NT_SUCCESS(Status)) {
        ObReleaseCaptured(Captured);
    }
    return Status;
}

VOID
ObReleaseCaptured(POB_CAPTURED Captured)
{
    if (Captured->Buffer != NULL) {
        ExFreePoolWithTag(Captured->Buffer, OBP_CAPTURE_TAG);
        Captured->Buffer = NULL;
    }
}

NTSTATUS
ObReturnHandle(PHANDLE To, HANDLE Handle)
{
    NTSTATUS Status = KiReturnResult(To, &Handle, sizeof(Handle), KiPreviousMode());

    if (!NT_SUCCESS(Status)) {
        ObCloseHandle(Handle, KernelMode);
    }
    return Status;
}
