/*
 * Images of programs: see user.c.
 */
#ifndef LDR_USER_H
#define LDR_USER_H

#include <ldr/ldr.h>

typedef struct _LDR_USER_IMAGE {
    const HAL_IMAGE_FILE *File; /* in */
    PLDRP_IMAGE_INFO Info;
    PUCHAR Bytes;   /* as mapped, in the kernel: until LdrForgetUserImage */
    ULONG_PTR Base; /* in the process */
} LDR_USER_IMAGE, *PLDR_USER_IMAGE;

/*
 * Map an image into the current process and bind its imports to ntdll.dll, which is loaded first, with NULL. On failure *Reason is one
 * clause of English; in any case LdrForgetUserImage gives back what the kernel holds. STATUS_INVALID_IMAGE_* as LdrpCheckImage says,
 * STATUS_DLL_NOT_FOUND, STATUS_CONFLICTING_ADDRESSES, STATUS_INSUFFICIENT_RESOURCES, STATUS_COMMITMENT_LIMIT, STATUS_NO_MEMORY.
 */
NTSTATUS LdrLoadUserImage(PLDR_USER_IMAGE Image, const LDR_USER_IMAGE *Ntdll, const char **Reason);
VOID LdrForgetUserImage(PLDR_USER_IMAGE Image);

/* The address of an export of a loaded image; 0: there is none. */
ULONG_PTR LdrUserExport(const LDR_USER_IMAGE *Image, const char *Name);

/* ntdll.dll is mapped: where exceptions land, and room for imports that are missing. */
NTSTATUS LdrInitializeUserLoader(const LDR_USER_IMAGE *Ntdll);

#endif
