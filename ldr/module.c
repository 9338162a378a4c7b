/*
 * Module records: who owns an address of the region of images.
 *
 * Records are appended under the loader's lock and never removed, so readers walk the list without a
 * lock at any IRQL: a link is published last.
 */
#include <ldr/ldr.h>
#include <ntexport.h>
#include <rtl/rtl.h>

#define LDR_TAG 'rdLN'

static LIST_ENTRY LdrpModules = {&LdrpModules, &LdrpModules};

PLDR_MODULE
LdrpNewModule(const char *Name, PVOID Base, ULONG Size)
{
    PLDR_MODULE Module;
    ULONG Index;

    Module = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Module), LDR_TAG);
    if (Module == NULL) {
        return NULL;
    }
    for (Index = 0; Name[Index] != 0 && Index < LDR_MODULE_NAME - 1; Index += 1) {
        Module->Name[Index] = Name[Index];
    }
    Module->Base = Base;
    Module->Size = Size;
    return Module;
}

VOID
LdrpInsertModule(PLDR_MODULE Module)
{
    PLIST_ENTRY Last = LdrpModules.Blink;

    Module->Links.Flink = &LdrpModules;
    Module->Links.Blink = Last;
    LdrpModules.Blink = &Module->Links;
    __atomic_store_n(&Last->Flink, &Module->Links, __ATOMIC_RELEASE);
}

PLDR_MODULE
LdrNextModule(PLDR_MODULE Previous)
{
    PLIST_ENTRY Link = Previous == NULL ? &LdrpModules : &Previous->Links;

    Link = __atomic_load_n(&Link->Flink, __ATOMIC_ACQUIRE);
    return Link == &LdrpModules ? NULL : CONTAINING_RECORD(Link, LDR_MODULE, Links);
}

static PLDR_MODULE
LdrpFindModuleOf(const VOID *Address, BOOLEAN User)
{
    PLDR_MODULE Module = NULL;

    while ((Module = LdrNextModule(Module)) != NULL) {
        if (Module->User == User && (ULONG_PTR)Address - (ULONG_PTR)Module->Base < Module->Size) {
            return Module;
        }
    }
    return NULL;
}

PLDR_MODULE
LdrFindModule(const VOID *Address)
{
    return LdrpFindModuleOf(Address, FALSE);
}

PLDR_MODULE
LdrFindUserModule(const VOID *Address)
{
    return LdrpFindModuleOf(Address, TRUE);
}

/*
 * Address of an export by name, or NULL. Follows the documentation of MmGetSystemRoutineAddress: only names of
 * the kernel and the HAL are looked up; case counts. PASSIVE_LEVEL.
 */
PVOID NTAPI
MmGetSystemRoutineAddress(PUNICODE_STRING SystemRoutineName)
{
    CHAR Name[LDRP_MAXIMUM_NAME];
    ULONG Index, Length = SystemRoutineName->Length / sizeof(WCHAR);

    if (Length >= sizeof(Name)) {
        return NULL;
    }
    for (Index = 0; Index < Length; Index += 1) {
        WCHAR Character = SystemRoutineName->Buffer[Index];

        if (Character == 0 || Character > 0x7E) {
            return NULL;
        }
        Name[Index] = (CHAR)Character;
    }
    Name[Length] = 0;
    return LdrExportAddress(Name);
}
NTEXPORT(MmGetSystemRoutineAddress);
