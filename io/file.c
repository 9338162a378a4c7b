/*
 * File objects: their type and their end; create.c opens them, service.c and its kin send requests through handles.
 *
 *     open: IRP_MJ_CREATE --> handle --last handle closed--> IRP_MJ_CLEANUP --last reference--> IRP_MJ_CLOSE
 *
 * A file object refers to its device and counts in its OpenCount. Requests go to the top of the device's stack, with a
 * reference to the file object for as long as they are on the way.
 *
 * Document: "Introduction to File Objects".
 */
#include "iop.h"

#define IOP_FILE_TAG 0x656C6946u /* "File" */

POBJECT_TYPE IoFileObjectType;
NTEXPORT_DATA(IoFileObjectType);

/* --- Requests about the file itself ------------------------------------------------------------------------ */

PIRP
IopMakeFileIrp(PFILE_OBJECT File, PDEVICE_OBJECT Top, UCHAR MajorFunction, UCHAR Flags)
{
    PIRP Irp;

    KiEnterBoundary();
    Irp = IopAllocateIrp(Top->StackSize, IOP_IRP_OWNED | Flags);
    KiLeaveBoundary();
    if (Irp != NULL) {
        Irp->Tail.Overlay.OriginalFileObject = File;
        Irp->RequestorMode = KernelMode;
        IoGetNextIrpStackLocation(Irp)->MajorFunction = MajorFunction;
        IoGetNextIrpStackLocation(Irp)->FileObject = File;
    }
    return Irp;
}

/* Cleanup and close must not fail for want of memory: wait for some. */
static VOID
IopSendEnd(PFILE_OBJECT File, UCHAR MajorFunction)
{
    LARGE_INTEGER Interval = {.QuadPart = -10 * 10000};
    PDEVICE_OBJECT Top = IoGetAttachedDeviceReference(File->DeviceObject);
    PIRP Irp;

    while ((Irp = IopMakeFileIrp(File, Top, MajorFunction, IOP_IRP_WAITED)) == NULL) {
        KeDelayExecutionThread(KernelMode, FALSE, &Interval);
    }
    Irp->Flags |= IRP_SYNCHRONOUS_API | (MajorFunction == IRP_MJ_CLOSE ? IRP_CLOSE_OPERATION : 0);
    IopCallAndWait(Top, Irp, NULL);
    ObfDereferenceObject(Top);
}

/* --- The type ------------------------------------------------------------------------------------------- */

VOID
IopCloseFile(PVOID Object)
{
    PIOP_FILE File = Object;

    if (File->Opened) {
        IopSendEnd(&File->Object, IRP_MJ_CLEANUP);
        File->Object.Flags |= FO_CLEANUP_COMPLETE;
    }
}

VOID
IopCountOpen(PDEVICE_OBJECT Device, LONG Change)
{
    KIRQL OldIrql = IopAcquireLock();

    Device->DeviceObjectExtension->OpenCount += Change;
    Device->ReferenceCount += Change;
    IopReleaseLock(OldIrql);
}

/* Where requests for a file go: the top of its device's stack. No reference is taken. IRQL <= DISPATCH_LEVEL. */
PDEVICE_OBJECT NTAPI
IoGetRelatedDeviceObject(PFILE_OBJECT FileObject)
{
    return IoGetAttachedDevice(FileObject->DeviceObject);
}
NTEXPORT(IoGetRelatedDeviceObject);

static VOID
IopDeleteFile(PVOID Object)
{
    PIOP_FILE File = Object;

    if (File->Opened) {
        IopSendEnd(&File->Object, IRP_MJ_CLOSE);
    }
    if (File->Object.FileName.Buffer != NULL) {
        /* A driver may have put another there. */
        ExFreePool(File->Object.FileName.Buffer);
    }
    IopCountOpen(File->Object.DeviceObject, -1);
    ObfDereferenceObject(File->Object.DeviceObject);
}

static const OBJECT_TYPE IopFileTemplate = {
    .Name = L"File",
    .Tag = IOP_FILE_TAG,
    .ValidAccess = STANDARD_RIGHTS_ALL | 0x1FF,
    .Mapping = {STANDARD_RIGHTS_READ | SYNCHRONIZE | 0x89, STANDARD_RIGHTS_WRITE | SYNCHRONIZE | 0x116,
                STANDARD_RIGHTS_EXECUTE | SYNCHRONIZE | 0xA0, STANDARD_RIGHTS_ALL | 0x1FF},
    .WaitOffset = FIELD_OFFSET(FILE_OBJECT, Event),
    .Delete = IopDeleteFile,
    .Close = IopCloseFile,
};

VOID
IopInitializeFiles(VOID)
{
    IoFileObjectType = ObMakeType(&IopFileTemplate);
}
