/* Private to mm/mdl: mappings of MDLs in user space (usermdl.c). */
#ifndef MM_MDL_USERMDL_H
#define MM_MDL_USERMDL_H

#include <mm/va/va.h>

/*
 * Map the MDL's pages into the current process: the address of the buffer's first byte. STATUS_INVALID_PARAMETER,
 * STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_MEMORY, STATUS_INVALID_ADDRESS and STATUS_CONFLICTING_ADDRESSES (the one
 * requested), STATUS_PROCESS_IS_TERMINATING. <= APC_LEVEL.
 */
NTSTATUS MiMapMdlToUser(PMDL Mdl, MEMORY_CACHING_TYPE CacheType, PVOID Requested, BOOLEAN Writable, PVOID *Address);

/* Undo it in the same process; FALSE if no mapping of this MDL begins there. <= APC_LEVEL. */
BOOLEAN MiUnmapMdlFromUser(PVOID BaseAddress, PMDL Mdl);

/* What is left of it when its process ends: MiRemoveUserMapping. */
VOID MiRemoveMdlFromUser(PMI_ADDRESS_SPACE Space, PMMVAD Vad);

#endif
