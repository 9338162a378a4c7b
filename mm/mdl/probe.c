/* Probing buffers of user mode. Documents: ProbeForRead, ProbeForWrite. */
#include "mdlp.h"
#include <ke/user.h>

/* Raise unless [Address, Address + Length) is user space and Address is aligned. */
static VOID
MipProbeRange(ULONG_PTR Address, SIZE_T Length, ULONG Alignment)
{
    if ((Address & (Alignment - 1)) != 0) {
        ExRaiseDatatypeMisalignment();
    }
    if (Address + Length < Address || Address + Length > MmUserProbeAddress) {
        ExRaiseAccessViolation();
    }
}

/* Raise unless the range is in user space and aligned; nothing is touched. Length 0 checks nothing. */
VOID NTAPI
ProbeForRead(const volatile VOID *Address, SIZE_T Length, ULONG Alignment)
{
    if (Length != 0) {
        MipProbeRange((ULONG_PTR)Address, Length, Alignment);
        KiNoteUserProbe(Address, Length, KiProbedForRead);
    }
}
NTEXPORT(ProbeForRead);

/* The same, and write a byte of every page back, raising what that raises. */
VOID NTAPI
ProbeForWrite(volatile VOID *Address, SIZE_T Length, ULONG Alignment)
{
    volatile UCHAR *Byte = Address;
    ULONG_PTR Last = (ULONG_PTR)Address + Length - 1;

    if (Length == 0) {
        return;
    }
    MipProbeRange((ULONG_PTR)Address, Length, Alignment);
    for (;;) {
        *Byte = *Byte;
        if ((ULONG_PTR)PAGE_ALIGN(Byte) == (ULONG_PTR)PAGE_ALIGN(Last)) {
            break;
        }
        Byte = (volatile UCHAR *)PAGE_ALIGN(Byte) + PAGE_SIZE;
    }
    KiNoteUserProbe(Address, Length, KiProbedForWrite);
}
NTEXPORT(ProbeForWrite);
