/* Private to nt/: what the services on virtual memory have in common. */
#ifndef NT_VMCALL_H
#define NT_VMCALL_H

#include <ke/user.h>
#include <mm/va/va.h>
#include <ob/ob.h>

/* Who asks, for what, of which process. */
typedef struct _NTP_VM_CALL {
    KPROCESSOR_MODE Mode;
    ULONG_PTR Base;
    SIZE_T Size;
    PVOID Process; /* referenced */
    PMI_ADDRESS_SPACE Space;
} NTP_VM_CALL, *PNTP_VM_CALL;

/* The address space that a process handle names; Call->Process is the caller's to dereference. */
NTSTATUS NtpReferenceSpace(PNTP_VM_CALL Call, HANDLE ProcessHandle, ACCESS_MASK Access);

#endif
