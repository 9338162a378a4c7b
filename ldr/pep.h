/*
 * pep.h - what pe.c and pedir.c share and nobody else sees.
 */
#ifndef NTMM_LDR_PEP_H
#define NTMM_LDR_PEP_H

#include "pe.h"

#define LDRP_FUNCTION_ENTRY_SIZE 12u /* of the exception directory */

/* Whether all of the range lies in the headers or in one section, whole pages counted. */
BOOLEAN
LdrpRangeIsBacked(_In_ const LDRP_IMAGE_INFO *Info, _In_ ULONG Rva, _In_ ULONG Length);

/* Judge the relocations and count the addresses they adjust. Status as LdrpRelocateImage. */
NTSTATUS
LdrpCheckRelocations(_In_ const LDRP_VIEW *View, _Out_ ULONG *Count, _Out_ const char **Reason);

/* Judge the ranges of the export directory. STATUS_INVALID_IMAGE_FORMAT when damaged. */
NTSTATUS
LdrpCheckExports(_In_ const LDRP_VIEW *View, _Out_ const char **Reason);

#endif
