/*
 * The loader: the system image that drivers import from, and the drivers.
 *
 * Images lie in the system region of images, at addresses that the seed chooses. A module record outlives
 * its image: addresses in reports are named after an unload, and the address range is not used again.
 */
#ifndef LDR_LDR_H
#define LDR_LDR_H

#include <mm/mi.h>
#include <ldr/pe.h>
#include <rtl/rtl.h>

#define LDR_MODULE_NAME 64

typedef enum _LDR_MODULE_STATE {
    LdrModuleLoaded,   /* everything mapped */
    LdrModuleStarted,  /* discardable sections gone */
    LdrModuleUnloaded  /* nothing mapped; the record and the address range stay */
} LDR_MODULE_STATE;

typedef struct _LDR_MODULE {
    LIST_ENTRY Links;           /* in load order */
    CHAR Name[LDR_MODULE_NAME]; /* last component of the file's path */
    PUCHAR Base;
    ULONG Size;                 /* bytes, whole pages */
    ULONG MissingImports;
    LDR_MODULE_STATE State;
    BOOLEAN IsSystemImage;
    BOOLEAN User;               /* a program's, in its address space: LdrFindModule does not know it */
    PLDRP_IMAGE_INFO Info;      /* NULL for the system image */
} LDR_MODULE, *PLDR_MODULE;

/* Build and map the system image from the linker's table of exports. Once, at PASSIVE_LEVEL, after pools work. */
NTSTATUS LdrInitializeSystemImage(VOID);

/*
 * Load a driver: sections copied, relocated, imports bound, cookie seeded, pages protected. On failure nothing
 * is left behind and *Reason is one clause of English. Imports that do not exist are named on the
 * diagnostic channel, and calling one ends the run. PASSIVE_LEVEL. STATUS_INVALID_IMAGE_* as LdrpCheckImage says,
 * STATUS_INSUFFICIENT_RESOURCES or STATUS_NO_MEMORY when memory is short.
 */
NTSTATUS LdrLoadImage(const HAL_IMAGE_FILE *File, PLDR_MODULE *Module, const char **Reason);

/* DriverEntry is over: give back the sections marked discardable. */
VOID LdrDiscardSections(PLDR_MODULE Module);

/* Unmap everything and give the memory back; the record stays, to name addresses. */
VOID LdrUnloadImage(PLDR_MODULE Module);

/* The module whose range holds the address, unloaded ones included, or NULL. Any IRQL. */
PLDR_MODULE LdrFindModule(const VOID *Address);
/* The same of programs' images. */
PLDR_MODULE LdrFindUserModule(const VOID *Address);
/* Does the address lie in a section of the module that may be paged? Any IRQL. */
BOOLEAN LdrIsPageable(PLDR_MODULE Module, const VOID *Address);
/* Walk the records in load order: NULL begins. */
PLDR_MODULE LdrNextModule(PLDR_MODULE Previous);

/* Where images find an export: its stub, or the variable's place in the system image. NULL if there is none. */
PVOID LdrExportAddress(const char *Name);
/* The name behind an index that a boundary record holds. */
const char *LdrExportName(ULONG Index);

/* Names of the imports that were missing, "module!name", in order of discovery; NULL past the last. */
const char *LdrMissingImport(ULONG Index);

/* --- between the files of ldr/ ------------------------------------------------------------------ */

/* Order of names; the sign counts. (sysimage.c) */
LONG LdrpCompareNames(const char *Left, const char *Right);
/* The rule of an export, all but the routine; FALSE if it has none. (irqllimit.c) */
BOOLEAN LdrpFindExportRule(const char *Name, PKI_EXPORT_RULE Rule);

typedef struct _LDR_BINDING {
    PLDR_MODULE Module;
    LDRP_VIEW View;
} LDR_BINDING;

/* Point every import slot of the image at what it names, or at a stub that ends the run. */
NTSTATUS LdrpBindImports(LDR_BINDING *Binding, const char **Reason);
/* A stub for a name that does not exist; its call stops the run. NULL when there are too many. */
PVOID LdrpMissingStub(const char *ModuleName, const char *Name);
PVOID LdrpExportByOrdinal(USHORT Ordinal);
/* Let stack walks see images (unwind.c), and exceptions (except.c). */
VOID LdrpRegisterUnwinder(VOID);
VOID LdrpRegisterExceptions(VOID);
/* For mm/mdl: the section of a loaded driver that contains an address (load.c). */
struct _MI_IMAGE_SECTION;
BOOLEAN LdrpFindImageSection(PVOID Address, struct _MI_IMAGE_SECTION *ImageSection);
/* The module's unwind data; FALSE if it is not there. Any IRQL. */
BOOLEAN LdrpUnwindImage(PLDR_MODULE Module, PRTLP_UNWIND_IMAGE Image);
/* An RTLP_READ_STACK that reads what is sure to be resident: the thread's stacks and mapped pages. Any IRQL. */
BOOLEAN LdrpReadResident(PVOID Context, ULONG64 Address, PVOID Buffer, ULONG Length);
VOID LdrpInsertModule(PLDR_MODULE Module);
PLDR_MODULE LdrpNewModule(const char *Name, PVOID Base, ULONG Size);

#endif
