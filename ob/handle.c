/*
 * Handles.
 *
 * The table of the System process has the kernel handles; a program's process has one of its own. A value is its index times
 * four, and in the first with OBJ_KERNEL_HANDLE the sign-extended bit 31 besides: 0xFFFFFFFF8000xxxx. Where the current process has no
 * table of its own both forms name the same entry. A handle holds a reference and counts in
 * HandleCount; closing the last one lets a temporary name go. NtCurrentProcess() and NtCurrentThread() are
 * understood without an entry.
 *
 * An image's handle remembers the stack that opened it, so that those left open can be reported.
 *
 * Document: "Object Handles".
 */
#include "obp.h"
#include <ke/user.h>
#include <ntexport.h>
#include <mm/phys/inject.h>
#include <mm/pool/pool.h>

#define OBP_KERNEL_BITS 0xFFFFFFFF80000000ull
#define OBP_HANDLE_STEP 4
#define OBP_PROTECT_CLOSE 0x1u /* in OB_ENTRY.Attributes, beside OBJ_INHERIT */
#define OBP_STACK_FRAMES 12
#define OBP_TABLES_TAG 0x6C62744Fu /* "Otbl" */

PVOID (*ObpPseudoHandleObject)(HANDLE Handle);

static OB_TABLE ObpHandleTable;

/* The table that a handle, or a new one with these attributes, belongs to, in the process whose address space is in force. */
static POB_TABLE
ObpCurrentTable(BOOLEAN Kernel)
{
    PKPROCESS Process = KiCurrentThread()->ActiveProcess;

    return Kernel || Process == NULL || Process->HandleTable == NULL ? &ObpHandleTable : Process->HandleTable;
}

static POB_TABLE
ObpTableOfHandle(HANDLE Handle)
{
    return ObpCurrentTable((LONG_PTR)Handle < 0);
}

/* --- Values ----------------------------------------------------------------------------------- */

static inline HANDLE
ObpHandleOfIndex(ULONG Index, ULONG Attributes)
{
    ULONG64 Value = (ULONG64)Index * OBP_HANDLE_STEP;

    return (HANDLE)((Attributes & OBJ_KERNEL_HANDLE) != 0 ? Value | OBP_KERNEL_BITS : Value);
}

static inline ULONG64
ObpIndexOfHandle(HANDLE Handle)
{
    ULONG64 Value = (ULONG64)Handle;

    if ((Value & OBP_KERNEL_BITS) == OBP_KERNEL_BITS) {
        Value &= ~OBP_KERNEL_BITS;
    }
    return Value / OBP_HANDLE_STEP;
}

static inline PVOID
ObpPseudoObject(HANDLE Handle)
{
    return ObpPseudoHandleObject != NULL ? ObpPseudoHandleObject(Handle) : NULL;
}

/* --- Making ----------------------------------------------------------------------------------- */

/* The rights that a handle gets: in kernel mode whatever is asked for and exists. */
static ACCESS_MASK
ObpGrantedAccess(POBJECT_TYPE Type, ACCESS_MASK Desired)
{
    ACCESS_MASK Granted = Desired;

    if ((Desired & GENERIC_READ) != 0) {
        Granted |= Type->Mapping.GenericRead;
    }
    if ((Desired & GENERIC_WRITE) != 0) {
        Granted |= Type->Mapping.GenericWrite;
    }
    if ((Desired & GENERIC_EXECUTE) != 0) {
        Granted |= Type->Mapping.GenericExecute;
    }
    if ((Desired & (GENERIC_ALL | MAXIMUM_ALLOWED)) != 0) {
        Granted |= Type->ValidAccess;
    }
    return Granted & (Type->ValidAccess | ACCESS_SYSTEM_SECURITY);
}

NTSTATUS
ObMakeHandle(PVOID Object, ACCESS_MASK DesiredAccess, ULONG Attributes, PHANDLE Handle)
{
    POBJECT_TYPE Type = ObTypeOf(Object);
    OB_ENTRY Entry = {.Object = Object};
    PVOID Frames[OBP_STACK_FRAMES];
    ULONG Index;
    NTSTATUS Status;

    if (MiInjectRequest()) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Entry.Access = ObpGrantedAccess(Type, DesiredAccess);
    Entry.Attributes = Attributes & (OBJ_INHERIT | OBJ_KERNEL_HANDLE);
    if (KiInImageCode()) {
        Entry.Image = TRUE;
        Entry.StackId = MiNotePoolStack(Frames, KiCaptureImageStack(Frames, OBP_STACK_FRAMES));
    }
    ObfReferenceObject(Object);
    __atomic_fetch_add(&ObHeaderOf(Object)->HandleCount, 1, __ATOMIC_RELAXED);
    Status = ObTableInsert(ObpCurrentTable((Attributes & OBJ_KERNEL_HANDLE) != 0), &Entry, &Index);
    if (!NT_SUCCESS(Status)) {
        __atomic_fetch_sub(&ObHeaderOf(Object)->HandleCount, 1, __ATOMIC_RELAXED);
        ObfDereferenceObject(Object);
        return Status;
    }
    InterlockedIncrement(&Type->HandleCount);
    *Handle = ObpHandleOfIndex(Index, Attributes);
    return STATUS_SUCCESS;
}

NTSTATUS
ObInsertNewObject(PVOID Object, const OBJECT_ATTRIBUTES *Attributes, ACCESS_MASK DesiredAccess,
                  PHANDLE Handle)
{
    PVOID Target = Object;
    HANDLE Made;
    NTSTATUS NameStatus = ObNameObject(Object, Attributes, &Target);
    NTSTATUS Status = NameStatus;

    if (NT_SUCCESS(NameStatus)) {
        Status = ObMakeHandle(Target, DesiredAccess, Attributes == NULL ? 0 : Attributes->Attributes, &Made);
        if (NT_SUCCESS(Status)) {
            *Handle = Made;
            Status = NameStatus;
        }
    }
    if (Target != Object) {
        ObfDereferenceObject(Target);
    } else if (!NT_SUCCESS(Status) && (ObHeaderOf(Object)->Flags & OB_FLAG_PERMANENT) != 0) {
        /* Named for good a moment ago: take that back. */
        ObHeaderOf(Object)->Flags &= (UCHAR)~OB_FLAG_PERMANENT;
        ObfDereferenceObject(Object);
    }
    ObfDereferenceObject(Object);
    return Status;
}

/* --- Using ------------------------------------------------------------------------------------ */

/*
 * Reference the object of a handle. ObjectType NULL: of any type. In user mode the handle must have the
 * rights of DesiredAccess and not be a kernel handle; in kernel mode rights are not looked at.
 * STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_ACCESS_DENIED. The caller gives the reference
 * back. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
ObReferenceObjectByHandle(HANDLE Handle, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                          KPROCESSOR_MODE AccessMode, PVOID *Object,
                          POBJECT_HANDLE_INFORMATION HandleInformation)
{
    PVOID Pseudo = ObpPseudoObject(Handle);
    OB_ENTRY Entry = {.Object = Pseudo};
    NTSTATUS Status = STATUS_SUCCESS;

    if (Pseudo != NULL) {
        Entry.Access = ObTypeOf(Pseudo)->ValidAccess;
        ObfReferenceObject(Pseudo);
    } else if ((AccessMode != KernelMode && (LONG_PTR)Handle < 0) ||
               !ObTableLookup(ObpTableOfHandle(Handle), ObpIndexOfHandle(Handle), &Entry, TRUE)) {
        return STATUS_INVALID_HANDLE;
    }
    if (ObjectType != NULL && ObTypeOf(Entry.Object) != ObjectType) {
        Status = STATUS_OBJECT_TYPE_MISMATCH;
    } else if (AccessMode != KernelMode && (DesiredAccess & ~Entry.Access) != 0) {
        Status = STATUS_ACCESS_DENIED;
    }
    if (!NT_SUCCESS(Status)) {
        ObfDereferenceObject(Entry.Object);
        return Status;
    }
    if (HandleInformation != NULL) {
        HandleInformation->HandleAttributes = Entry.Attributes & (OBJ_INHERIT | OBP_PROTECT_CLOSE);
        HandleInformation->GrantedAccess = Entry.Access;
    }
    *Object = Entry.Object;
    return STATUS_SUCCESS;
}
NTEXPORT(ObReferenceObjectByHandle);

NTSTATUS NTAPI
ObReferenceObjectByHandleWithTag(HANDLE Handle, ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType,
                                 KPROCESSOR_MODE AccessMode, ULONG Tag, PVOID *Object,
                                 POBJECT_HANDLE_INFORMATION HandleInformation)
{
    UNREFERENCED_PARAMETER(Tag);
    return ObReferenceObjectByHandle(Handle, DesiredAccess, ObjectType, AccessMode, Object,
                                     HandleInformation);
}
NTEXPORT(ObReferenceObjectByHandleWithTag);

/*
 * Make a handle to an object the caller refers to. HandleAttributes: OBJ_*. STATUS_OBJECT_TYPE_MISMATCH,
 * STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES. The handle is the caller's to close.
 * PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
ObOpenObjectByPointer(PVOID Object, ULONG HandleAttributes, PACCESS_STATE PassedAccessState,
                      ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                      PHANDLE Handle)
{
    UNREFERENCED_PARAMETER(PassedAccessState);
    if ((HandleAttributes & ~OBJ_VALID_ATTRIBUTES) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    if (ObTypeOf(Object) != ObjectType && (ObjectType != NULL || AccessMode != KernelMode)) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    return ObMakeHandle(Object, DesiredAccess, HandleAttributes, Handle);
}
NTEXPORT(ObOpenObjectByPointer);

NTSTATUS NTAPI
ObOpenObjectByPointerWithTag(PVOID Object, ULONG HandleAttributes, PACCESS_STATE PassedAccessState,
                             ACCESS_MASK DesiredAccess, POBJECT_TYPE ObjectType, KPROCESSOR_MODE AccessMode,
                             ULONG Tag, PHANDLE Handle)
{
    UNREFERENCED_PARAMETER(Tag);
    return ObOpenObjectByPointer(Object, HandleAttributes, PassedAccessState, DesiredAccess, ObjectType,
                                 AccessMode, Handle);
}
NTEXPORT(ObOpenObjectByPointerWithTag);

/* --- Closing ---------------------------------------------------------------------------------- */

VOID
ObpReleaseHandle(PVOID Object)
{
    InterlockedDecrement(&ObTypeOf(Object)->HandleCount);
    if (__atomic_sub_fetch(&ObHeaderOf(Object)->HandleCount, 1, __ATOMIC_ACQ_REL) == 0) {
        ObpLastHandleClosed(Object);
    }
    ObfDereferenceObject(Object);
}

/* Close a handle; a pseudo handle needs none. STATUS_INVALID_HANDLE. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ObCloseHandle(HANDLE Handle, KPROCESSOR_MODE PreviousMode)
{
    OB_ENTRY Entry;

    ObRequirePassive();
    if (ObpPseudoObject(Handle) != NULL) {
        return STATUS_SUCCESS;
    }
    if ((PreviousMode != KernelMode && (LONG_PTR)Handle < 0) ||
        !ObTableRemove(ObpTableOfHandle(Handle), ObpIndexOfHandle(Handle), &Entry)) {
        return STATUS_INVALID_HANDLE;
    }
    ObpReleaseHandle(Entry.Object);
    return STATUS_SUCCESS;
}
NTEXPORT(ObCloseHandle);

/* Close a handle. STATUS_INVALID_HANDLE. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwClose(HANDLE Handle)
{
    return ObCloseHandle(Handle, KiPreviousMode());
}
NTEXPORT(ZwClose);
NTEXPORT_AS("NtClose", ZwClose);

/*
 * Make another handle to the object of SourceHandle, with DesiredAccess or, with DUPLICATE_SAME_ACCESS, its
 * rights. Both processes must be the System process. DUPLICATE_CLOSE_SOURCE closes the source in any case.
 * TargetHandle NULL: only that. STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH,
 * STATUS_INSUFFICIENT_RESOURCES. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
ZwDuplicateObject(HANDLE SourceProcessHandle, HANDLE SourceHandle, HANDLE TargetProcessHandle,
                  PHANDLE TargetHandle, ACCESS_MASK DesiredAccess, ULONG HandleAttributes, ULONG Options)
{
    OBJECT_HANDLE_INFORMATION Information;
    HANDLE Processes[2] = {SourceProcessHandle, TargetProcessHandle};
    NTSTATUS Status = STATUS_SUCCESS;
    PVOID Object;

    ObRequirePassive();
    for (ULONG Index = 0; Index < (TargetHandle == NULL ? 1u : 2u) && NT_SUCCESS(Status); Index += 1) {
        Status = ObReferenceObjectByHandle(Processes[Index], PROCESS_DUP_HANDLE, PsProcessType, KernelMode,
                                           &Object, NULL);
        if (NT_SUCCESS(Status)) {
            ObfDereferenceObject(Object);
        }
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = ObReferenceObjectByHandle(SourceHandle, 0, NULL, KernelMode, &Object, &Information);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (TargetHandle != NULL) {
        if ((Options & DUPLICATE_SAME_ATTRIBUTES) != 0) {
            HandleAttributes =
                Information.HandleAttributes | ((LONG_PTR)SourceHandle < 0 ? OBJ_KERNEL_HANDLE : 0);
        }
        Status = ObMakeHandle(
            Object, (Options & DUPLICATE_SAME_ACCESS) != 0 ? Information.GrantedAccess : DesiredAccess,
            HandleAttributes, TargetHandle);
    }
    ObfDereferenceObject(Object);
    if ((Options & DUPLICATE_CLOSE_SOURCE) != 0) {
        ZwClose(SourceHandle);
    }
    return Status;
}
NTEXPORT(ZwDuplicateObject);
NTEXPORT_AS("NtDuplicateObject", ZwDuplicateObject);

/* --- Tables of programs ------------------------------------------------------------------------- */

NTSTATUS
ObCreateHandleTable(PKPROCESS Process)
{
    Process->HandleTable = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(OB_TABLE), OBP_TABLES_TAG);
    return Process->HandleTable == NULL ? STATUS_INSUFFICIENT_RESOURCES : STATUS_SUCCESS;
}

VOID
ObDeleteHandleTable(PKPROCESS Process)
{
    POB_TABLE Table = Process->HandleTable;
    OB_ENTRY Entry;

    if (Table == NULL) {
        return;
    }
    for (ULONG Index = 1; Index < ObTableLimit(Table); Index += 1) {
        if (ObTableRemove(Table, Index, &Entry)) {
            ObpReleaseHandle(Entry.Object);
        }
    }
    ObTableFree(Table);
    Process->HandleTable = NULL;
    ExFreePoolWithTag(Table, OBP_TABLES_TAG);
}

/* --- For reports ------------------------------------------------------------------------------ */

VOID
ObEnumerateHandles(VOID (*Visitor)(const OB_HANDLE_INFO *Info, PVOID Context), PVOID Context)
{
    for (ULONG Index = 1; Index < ObTableLimit(&ObpHandleTable); Index += 1) {
        OB_HANDLE_INFO Info;
        OB_ENTRY Entry;

        if (!ObTableLookup(&ObpHandleTable, Index, &Entry, TRUE)) {
            continue;
        }
        Info.Handle = ObpHandleOfIndex(Index, Entry.Attributes);
        Info.Object = Entry.Object;
        Info.TypeName = ObTypeOf(Entry.Object)->Name;
        Info.Access = Entry.Access;
        Info.Image = Entry.Image != 0;
        Info.StackId = Entry.StackId;
        Visitor(&Info, Context);
        ObfDereferenceObject(Entry.Object);
    }
}
