/*
 * What drivers may know of the system's memory as a whole: exported variables, constant after
 * MiInitializeMdls, and a few questions.
 */
#include "mdlp.h"
#include "usermdl.h"

/* The last 64 KB of user space belong to nobody. */
#define MI_USER_GUARD 0x10000

/* Total memory below which a system is small, or medium. */
#define MI_SMALL_SYSTEM_PAGES  (32ull << (20 - PAGE_SHIFT))
#define MI_MEDIUM_SYSTEM_PAGES (128ull << (20 - PAGE_SHIFT))

PVOID MmHighestUserAddress;
ULONG64 MmUserProbeAddress;
PVOID MmSystemRangeStart;
PVOID MmBadPointer;
BOOLEAN Mm64BitPhysicalAddress;
NTEXPORT_DATA(MmHighestUserAddress);
NTEXPORT_DATA(MmUserProbeAddress);
NTEXPORT_DATA(MmSystemRangeStart);
NTEXPORT_DATA(MmBadPointer);
NTEXPORT_DATA(Mm64BitPhysicalAddress);

/* After the pools. A machine too small for one page of address does not get here. */
VOID
MiInitializeMdls(VOID)
{
    PHAL_LOADER_BLOCK Loader = KiLoaderBlock;
    const HAL_MEMORY_RUN *Last = &Loader->Runs[Loader->RunCount - 1];

    MmUserProbeAddress = Loader->UserEnd - MI_USER_GUARD;
    MmHighestUserAddress = (PVOID)(MmUserProbeAddress - 1);
    MmSystemRangeStart = (PVOID)Loader->SystemStart;
    MmBadPointer = MiReserveSystemVa(MiRegionSystemPtes, 1, 1);
    NT_VERIFY(MmBadPointer != NULL);
    MiRemoveUserMapping = MiRemoveMdlFromUser;
    Mm64BitPhysicalAddress = Last->BasePage + Last->PageCount > (1ull << (32 - PAGE_SHIFT));
}

/* A hint at how much memory there is. Any IRQL. */
MM_SYSTEMSIZE NTAPI
MmQuerySystemSize(VOID)
{
    ULONG64 Pages = KiLoaderBlock->MemoryBytes >> PAGE_SHIFT;

    if (Pages < MI_SMALL_SYSTEM_PAGES) {
        return MmSmallSystem;
    }
    return Pages < MI_MEDIUM_SYSTEM_PAGES ? MmMediumSystem : MmLargeSystem;
}
NTEXPORT(MmQuerySystemSize);

/* FALSE: the system presents itself as a workstation. */
BOOLEAN NTAPI
MmIsThisAnNtAsSystem(VOID)
{
    return FALSE;
}
NTEXPORT(MmIsThisAnNtAsSystem);
