/*
 * MDLs and mappings as other parts use them: the verifier's switch, the hook by which the loader tells where
 * an image's sections lie, and locking without raising. Public routines are declared in wdm.h and ntddk.h,
 * the tracker of what images hold in track.h.
 */
#ifndef MM_MDL_MDL_H
#define MM_MDL_MDL_H

#include <mm/mi.h>

/*
 * MmProbeAndLockPages with a status instead of an exception, and without the verifier's checks:
 * STATUS_ACCESS_VIOLATION, STATUS_WORKING_SET_QUOTA, STATUS_INSUFFICIENT_RESOURCES; on failure nothing is
 * locked and the MDL is unchanged.
 */
NTSTATUS MiProbeAndLockPages(PMDL Mdl, KPROCESSOR_MODE AccessMode, LOCK_OPERATION Operation);

/* --- Sections of images (imgsect.c) ----------------------------------------------------------- */

typedef struct _MI_IMAGE_SECTION {
    PVOID Base; /* first page */
    SIZE_T PageCount;
    BOOLEAN Pageable; /* FALSE: its pages are resident anyway */
    PVOID ImageBase;
} MI_IMAGE_SECTION, *PMI_IMAGE_SECTION;

/* By ldr: the section of a loaded image that contains an address; FALSE if there is none. <= APC_LEVEL. */
extern BOOLEAN (*MiFindImageSection)(PVOID Address, PMI_IMAGE_SECTION Section);

/* By ldr: the image's pages go now. Forget its sections and drop the locks that are left. <= APC_LEVEL. */
VOID MiForgetImageSections(PVOID ImageBase, SIZE_T Size);

#endif
