/*
 * Binding imports: every slot of a driver's import tables gets the address of what it names.
 *
 * Routines and variables of ntoskrnl.exe and hal.dll come from the system image (one table serves both names,
 * as drivers spell either). A name that does not exist is told on the diagnostic channel, every one of
 * them, and its slot leads to a stub that ends the run when called: the driver still loads.
 */
#include <ldr/ldr.h>
#include <rtl/rtl.h>

static CHAR
LdrpLower(CHAR Character)
{
    return Character >= 'A' && Character <= 'Z' ? (CHAR)(Character - 'A' + 'a') : Character;
}

/* Module names are compared without case and without the extension. */
static BOOLEAN
LdrpIsModule(const char *Name, const char *Stem)
{
    while (*Stem != 0) {
        if (LdrpLower(*Name) != *Stem) {
            return FALSE;
        }
        Name += 1;
        Stem += 1;
    }
    return *Name == 0 || *Name == '.';
}

static PVOID
LdrpResolveImport(const LDRP_IMPORT *Import)
{
    static const char *const Stems[] = {"ntoskrnl", "hal", "ntkrnlmp", "ntkrnlpa"};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Stems); Index += 1) {
        if (LdrpIsModule(Import->Module, Stems[Index])) {
            return Import->Name != NULL ? LdrExportAddress(Import->Name) : LdrpExportByOrdinal(Import->Ordinal);
        }
    }
    return NULL;
}

/* Say that an import is missing and make a stub for it. */
static PVOID
LdrpReportMissing(PLDR_MODULE Module, const LDRP_IMPORT *Import)
{
    CHAR Line[LDRP_MAXIMUM_NAME * 3], Ordinal[16];
    const char *Name = Import->Name;
    LONG Length;

    if (Name == NULL) {
        RtlpPrintBuffer(Ordinal, sizeof(Ordinal), "#%u", (ULONG)Import->Ordinal);
        Name = Ordinal;
    }
    Length = RtlpPrintBuffer(Line, sizeof(Line), "ntmm: %s imports %s!%s, which is not implemented\n", Module->Name,
                        Import->Module, Name);
    HalPutDiagnostic(Line, (SIZE_T)Length);
    Module->MissingImports += 1;
    return LdrpMissingStub(Import->Module, Name);
}

static NTSTATUS
LdrpBindImport(void *Context, const LDRP_IMPORT *Import)
{
    LDR_BINDING *Binding = Context;
    PVOID Address = LdrpResolveImport(Import);

    if (Address == NULL) {
        Address = LdrpReportMissing(Binding->Module, Import);
        if (Address == NULL) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
    }
    RtlCopyMemory(Binding->Module->Base + Import->SlotRva, &Address, sizeof(Address));
    return STATUS_SUCCESS;
}

NTSTATUS
LdrpBindImports(LDR_BINDING *Binding, const char **Reason)
{
    return LdrpEnumerateImports(&Binding->View, LdrpBindImport, Binding, Reason);
}
