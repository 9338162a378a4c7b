/*
 * What file systems and drivers of removable media tell each other: the lock of volume parameter blocks, and the device that
 * a thread's request found to need verification.
 *
 * Documents: IoAcquireVpbSpinLock, IoSetHardErrorOrVerifyDevice, IoSetDeviceToVerify.
 */
#include "iop.h"

static KSPIN_LOCK IopVpbLock;

/* Guard the fields of volume parameter blocks. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoAcquireVpbSpinLock(PKIRQL Irql)
{
    KeAcquireSpinLock(&IopVpbLock, Irql);
}
NTEXPORT(IoAcquireVpbSpinLock);

VOID NTAPI
IoReleaseVpbSpinLock(KIRQL Irql)
{
    KeReleaseSpinLock(&IopVpbLock, Irql);
}
NTEXPORT(IoReleaseVpbSpinLock);

/* Note with the thread that made the request, which must have one, the device to be verified. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoSetHardErrorOrVerifyDevice(PIRP Irp, PDEVICE_OBJECT DeviceObject)
{
    IoSetDeviceToVerify(Irp->Tail.Overlay.Thread, DeviceObject);
}
NTEXPORT(IoSetHardErrorOrVerifyDevice);

/* The device noted for a thread's request, or NULL. IRQL <= DISPATCH_LEVEL. */
PDEVICE_OBJECT NTAPI
IoGetDeviceToVerify(PETHREAD Thread)
{
    return __atomic_load_n(&((PKTHREAD)Thread)->DeviceToVerify, __ATOMIC_RELAXED);
}
NTEXPORT(IoGetDeviceToVerify);

/* Note it; NULL forgets it. IRQL <= DISPATCH_LEVEL. */
VOID NTAPI
IoSetDeviceToVerify(PETHREAD Thread, PDEVICE_OBJECT DeviceObject)
{
    __atomic_store_n(&((PKTHREAD)Thread)->DeviceToVerify, DeviceObject, __ATOMIC_RELAXED);
}
NTEXPORT(IoSetDeviceToVerify);
