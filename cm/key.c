/*
 * Key objects: opening, making and deleting keys by handle.
 *
 * Each open makes an object of type Key that refers to the node. It is made, with its handle, before the tree is
 * changed, so that nothing can fail afterwards; until then it refers to no node, and its handle to nothing.
 *
 * Document: ZwCreateKey, ZwOpenKey, ZwDeleteKey, ZwSetValueKey, ZwDeleteValueKey.
 */
#include "cmp.h"
#include <ke/boundary.h>
#include <ntexport.h>

#define CMP_KEY_TAG 0x79654B43u /* "CKey" */

POBJECT_TYPE CmKeyObjectType;
NTEXPORT_DATA(CmKeyObjectType);

static CMP_KEY *CmpRootKey; /* \REGISTRY, what absolute paths are relative to */

static VOID CmpDeleteKeyObject(PVOID Object);

static const OBJECT_TYPE CmpKeyTemplate = {
    .Name = L"Key",
    .Tag = CMP_KEY_TAG,
    .ValidAccess = KEY_ALL_ACCESS,
    .Mapping = {KEY_READ, KEY_WRITE, KEY_EXECUTE, KEY_ALL_ACCESS},
    .WaitOffset = OB_NOT_WAITABLE,
    .Delete = CmpDeleteKeyObject,
};

/* --- Objects ----------------------------------------------------------------------------------- */

static NTSTATUS
CmpMakeKeyObject(PCMP_KEY *Key)
{
    PVOID Object;
    NTSTATUS Status;

    /* An image that leaves it has left a handle, not memory. */
    KiEnterBoundary();
    Status = ObMakeObject(CmKeyObjectType, sizeof(CMP_KEY), &Object);
    KiLeaveBoundary();
    if (NT_SUCCESS(Status)) {
        *Key = Object;
        InitializeListHead(&(*Key)->Contexts);
    }
    return Status;
}

/* The last reference is gone, which is when filters hear that the handle is closed. */
static VOID
CmpDeleteKeyObject(PVOID Object)
{
    PCMP_KEY Key = Object;
    REG_KEY_HANDLE_CLOSE_INFORMATION Information = {.Object = Key};
    CMP_OPERATION Operation = CMP_OPERATION_OF(Information, RegNtPreKeyHandleClose, RegNtPostKeyHandleClose);

    if (Key->Node != NULL) {
        Operation.Key = Key;
        /* A close cannot be refused. */
        if (NT_SUCCESS(CmpBegin(&Operation))) {
            CmpEnd(&Operation, STATUS_SUCCESS);
        }
        CmpCleanUpContexts(Key);
        CmpDereferenceNode(Key->Node);
    }
    if (Key->Path != NULL) {
        CmpFree(Key->Path);
    }
}

NTSTATUS
CmpReferenceKey(HANDLE Handle, PCMP_KEY *Key)
{
    PVOID Object;
    PCMP_NODE Node;
    NTSTATUS Status = ObReferenceObjectByHandle(Handle, 0, CmKeyObjectType, KernelMode, &Object, NULL);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Node = ((PCMP_KEY)Object)->Node;
    if (Node == NULL || Node->Deleted) {
        ObfDereferenceObject(Object);
        return Node == NULL ? STATUS_INVALID_HANDLE : STATUS_KEY_DELETED;
    }
    *Key = Object;
    return STATUS_SUCCESS;
}

/* Run a service on the key of a handle, the filters around it. */
NTSTATUS
CmpCall(HANDLE KeyHandle, PCMP_OPERATION Operation, NTSTATUS (*Work)(PCMP_NODE Node, PVOID Information))
{
    NTSTATUS Status;

    ObRequirePassive();
    Status = CmpReferenceKey(KeyHandle, &Operation->Key);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    *Operation->Object = Operation->Key;
    Status = CmpBegin(Operation);
    if (NT_SUCCESS(Status)) {
        Status = CmpEnd(Operation, Work(Operation->Key->Node, Operation->Information));
    }
    ObfDereferenceObject(Operation->Key);
    return Status == STATUS_CALLBACK_BYPASS ? STATUS_SUCCESS : Status;
}

/* --- Opening ----------------------------------------------------------------------------------- */

/* An open on the way. */
typedef struct _CMP_OPEN {
    PHANDLE Handle; /* the caller's */
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;
    UNICODE_STRING Path; /* below Root */
    PCMP_KEY Root;       /* referenced */
    BOOLEAN Create;
    PUNICODE_STRING Class;
    ULONG Options;
    PULONG Disposition;  /* may be NULL */
    ULONG Disposed;
    ACCESS_MASK Access;
    PVOID Result;        /* the key object: ours or a filter's, referenced */
    HANDLE Made;
} CMP_OPEN, *PCMP_OPEN;

/* Look at the attributes and find where the path begins. */
static NTSTATUS
CmpBeginOpen(PCMP_OPEN Open, const OBJECT_ATTRIBUTES *Attributes)
{
    PVOID Other;
    NTSTATUS Status;

    if (Attributes == NULL || Attributes->Length != sizeof(*Attributes) ||
        (Attributes->Attributes & ~OBJ_VALID_ATTRIBUTES) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    Open->Attributes = *Attributes;
    if (Attributes->ObjectName != NULL) {
        Open->Name = *Attributes->ObjectName;
    }
    if (Open->Name.Length % sizeof(WCHAR) != 0) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    Open->Path = Open->Name;
    if (Attributes->RootDirectory != NULL) {
        if (Open->Name.Length != 0 && Open->Name.Buffer[0] == L'\\') {
            return STATUS_OBJECT_PATH_SYNTAX_BAD;
        }
        return CmpReferenceKey(Attributes->RootDirectory, &Open->Root);
    }
    if (CmpIsRegistryPath(&Open->Name, &Open->Path)) {
        ObfReferenceObject(CmpRootKey);
        Open->Root = CmpRootKey;
        return STATUS_SUCCESS;
    }
    /* Whatever else the path may lead to is no key. */
    Status = ObFindObject(Attributes, CmKeyObjectType, &Other);
    if (NT_SUCCESS(Status)) {
        ObfDereferenceObject(Other);
        Status = STATUS_OBJECT_TYPE_MISMATCH;
    }
    return Status;
}

/* May this key be made here? The lock is held. */
static NTSTATUS
CmpCheckCreate(PCMP_OPEN Open, PCMP_NODE Parent, PCUNICODE_STRING Name)
{
    if (Parent->Master || Name->Length > CMP_MAXIMUM_NAME || Parent->Depth >= CMP_MAXIMUM_DEPTH) {
        return STATUS_INVALID_PARAMETER;
    }
    if (Parent->Volatile && (Open->Options & REG_OPTION_VOLATILE) == 0) {
        return STATUS_CHILD_MUST_BE_VOLATILE;
    }
    return STATUS_SUCCESS;
}

/* Find the node, or put *Fresh, named as the last component, where it belongs; the node gets a reference. */
static NTSTATUS
CmpLocateLocked(PCMP_OPEN Open, PCMP_NODE *Fresh, PCMP_NODE *Node)
{
    UNICODE_STRING Rest = Open->Path, Component;
    PCMP_NODE Step = Open->Root->Node, Next;
    NTSTATUS Status;

    if (Step->Deleted) {
        return STATUS_KEY_DELETED;
    }
    for (; CmpNextComponent(&Rest, &Component); Step = Next) {
        UNICODE_STRING After = Rest, More;

        Next = CmpFindSubKey(Step, &Component);
        if (Next != NULL) {
            continue;
        }
        if (!Open->Create || CmpNextComponent(&After, &More)) {
            return STATUS_OBJECT_NAME_NOT_FOUND;
        }
        Status = CmpCheckCreate(Open, Step, &Component);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
        Next = *Fresh;
        *Fresh = NULL;
        Next->Volatile = (Open->Options & REG_OPTION_VOLATILE) != 0;
        CmpLinkNode(Step, Next);
        Open->Disposed = REG_CREATED_NEW_KEY;
        *Node = Next;
        return STATUS_SUCCESS;
    }
    CmpReferenceNode(Step);
    Open->Disposed = REG_OPENED_EXISTING_KEY;
    *Node = Step;
    return STATUS_SUCCESS;
}

/* A node that the path's last component would name. */
static PCMP_NODE
CmpMakeFreshNode(PCMP_OPEN Open)
{
    UNICODE_STRING Rest = Open->Path, Component, Last = {0};

    while (CmpNextComponent(&Rest, &Component)) {
        Last = Component;
    }
    return CmpMakeNode(&Last, Open->Class);
}

/* Open or make the key. Everything that can fail comes before the tree is changed. */
static NTSTATUS
CmpDoOpen(PCMP_OPEN Open)
{
    PCMP_NODE Fresh = NULL, Node = NULL;
    PCMP_KEY Key;
    NTSTATUS Status = CmpMakeKeyObject(&Key);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = ObMakeHandle(Key, Open->Access, Open->Attributes.Attributes, &Open->Made);
    if (!NT_SUCCESS(Status)) {
        ObfDereferenceObject(Key);
        return Status;
    }
    if (Open->Create) {
        Fresh = CmpMakeFreshNode(Open);
        Status = Fresh == NULL ? STATUS_INSUFFICIENT_RESOURCES : STATUS_SUCCESS;
    }
    if (NT_SUCCESS(Status)) {
        CmpLockExclusive();
        Status = CmpLocateLocked(Open, &Fresh, &Node);
        Key->Node = Node;
        CmpUnlockExclusive();
    }
    if (Fresh != NULL) {
        CmpDereferenceNode(Fresh);
    }
    if (!NT_SUCCESS(Status)) {
        ZwClose(Open->Made);
        ObfDereferenceObject(Key);
        Open->Made = NULL;
        return Status;
    }
    Open->Result = Key;
    return STATUS_SUCCESS;
}

/* A filter has opened the key: a handle to its object, whose reference it gave us. */
static NTSTATUS
CmpTakeResult(PCMP_OPEN Open)
{
    NTSTATUS Status;

    if (Open->Result == NULL || ObTypeOf(Open->Result) != CmKeyObjectType) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    Status = ObMakeHandle(Open->Result, Open->Access, Open->Attributes.Attributes, &Open->Made);
    return Status;
}

/* Open with the filters before and after. */
static NTSTATUS
CmpFilterOpen(PCMP_OPEN Open)
{
    REG_CREATE_KEY_INFORMATION_V1 Information = {
        .CompleteName = &Open->Name, .RootObject = Open->Root, .ObjectType = CmKeyObjectType,
        .Options = Open->Options, .Class = Open->Class, .SecurityDescriptor = Open->Attributes.SecurityDescriptor,
        .SecurityQualityOfService = Open->Attributes.SecurityQualityOfService, .DesiredAccess = Open->Access,
        .Disposition = &Open->Disposed, .ResultObject = &Open->Result, .Version = 1, .RemainingName = &Open->Path,
        .Attributes = Open->Attributes.Attributes, .CheckAccessMode = KernelMode};
    CMP_OPERATION Operation = {.Pre = Open->Create ? RegNtPreCreateKeyEx : RegNtPreOpenKeyEx,
                               .Post = Open->Create ? RegNtPostCreateKeyEx : RegNtPostOpenKeyEx,
                               .Information = &Information, .CallContext = &Information.CallContext,
                               .ObjectContext = &Information.RootObjectContext, .Key = Open->Root,
                               .Object = &Open->Result};
    NTSTATUS Status = CmpBegin(&Operation);

    if (Status == STATUS_CALLBACK_BYPASS) {
        return CmpTakeResult(Open);
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Status = CmpEnd(&Operation, CmpDoOpen(Open));
    if (!NT_SUCCESS(Status) && Open->Made != NULL) {
        /* A filter made a failure of it. */
        ZwClose(Open->Made);
    } else if (NT_SUCCESS(Status) && Open->Made == NULL) {
        Status = CmpTakeResult(Open);
    }
    return Status;
}

static NTSTATUS
CmpOpenKey(PCMP_OPEN Open, const OBJECT_ATTRIBUTES *Attributes)
{
    NTSTATUS Status;

    ObRequirePassive();
    Status = CmpBeginOpen(Open, Attributes);
    if (NT_SUCCESS(Status)) {
        Status = CmpFilterOpen(Open);
    }
    if (NT_SUCCESS(Status)) {
        *Open->Handle = Open->Made;
        if (Open->Disposition != NULL) {
            *Open->Disposition = Open->Disposed;
        }
    }
    if (Open->Result != NULL) {
        ObfDereferenceObject(Open->Result);
    }
    if (Open->Root != NULL) {
        ObfDereferenceObject(Open->Root);
    }
    return Status;
}

/* --- Services ---------------------------------------------------------------------------------- */

/* See wdmcm.h; TitleIndex has no meaning. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwCreateKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes, ULONG TitleIndex,
            PUNICODE_STRING Class, ULONG CreateOptions, PULONG Disposition)
{
    CMP_OPEN Open = {.Handle = KeyHandle, .Create = TRUE, .Class = Class, .Options = CreateOptions,
                     .Disposition = Disposition, .Access = DesiredAccess};

    UNREFERENCED_PARAMETER(TitleIndex);
    /* There are no links. */
    if ((CreateOptions & ~(ULONG)(REG_OPTION_VOLATILE | REG_OPTION_BACKUP_RESTORE | REG_OPTION_OPEN_LINK)) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    return CmpOpenKey(&Open, ObjectAttributes);
}
NTEXPORT(ZwCreateKey);

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwOpenKeyEx(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes, ULONG OpenOptions)
{
    CMP_OPEN Open = {.Handle = KeyHandle, .Options = OpenOptions, .Access = DesiredAccess};

    if ((OpenOptions & ~(ULONG)(REG_OPTION_BACKUP_RESTORE | REG_OPTION_OPEN_LINK)) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    return CmpOpenKey(&Open, ObjectAttributes);
}
NTEXPORT(ZwOpenKeyEx);

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwOpenKey(PHANDLE KeyHandle, ACCESS_MASK DesiredAccess, POBJECT_ATTRIBUTES ObjectAttributes)
{
    return ZwOpenKeyEx(KeyHandle, DesiredAccess, ObjectAttributes, 0);
}
NTEXPORT(ZwOpenKey);

static NTSTATUS
CmpDoDelete(PCMP_NODE Node, PVOID Information)
{
    UNREFERENCED_PARAMETER(Information);
    return CmpDeleteNode(Node);
}

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwDeleteKey(HANDLE KeyHandle)
{
    REG_DELETE_KEY_INFORMATION Information = {0};
    CMP_OPERATION Operation = CMP_OPERATION_OF(Information, RegNtPreDeleteKey, RegNtPostDeleteKey);

    return CmpCall(KeyHandle, &Operation, CmpDoDelete);
}
NTEXPORT(ZwDeleteKey);

static NTSTATUS
CmpDoFlush(PCMP_NODE Node, PVOID Information)
{
    UNREFERENCED_PARAMETER(Node);
    UNREFERENCED_PARAMETER(Information);
    return STATUS_SUCCESS;
}

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwFlushKey(HANDLE KeyHandle)
{
    REG_FLUSH_KEY_INFORMATION Information = {0};
    CMP_OPERATION Operation = CMP_OPERATION_OF(Information, RegNtPreFlushKey, RegNtPostFlushKey);

    return CmpCall(KeyHandle, &Operation, CmpDoFlush);
}
NTEXPORT(ZwFlushKey);

static NTSTATUS
CmpDoSetValue(PCMP_NODE Node, PVOID Context)
{
    PREG_SET_VALUE_KEY_INFORMATION Information = Context;

    return CmpSetNodeValue(Node, Information->ValueName, Information->Type, Information->Data, Information->DataSize);
}

/* See wdmcm.h; TitleIndex has no meaning. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwSetValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, ULONG TitleIndex, ULONG Type, PVOID Data, ULONG DataSize)
{
    REG_SET_VALUE_KEY_INFORMATION Information = {.ValueName = ValueName, .TitleIndex = TitleIndex, .Type = Type,
                                                 .Data = Data, .DataSize = DataSize};
    CMP_OPERATION Operation = CMP_OPERATION_OF(Information, RegNtPreSetValueKey, RegNtPostSetValueKey);

    return CmpCall(KeyHandle, &Operation, CmpDoSetValue);
}
NTEXPORT(ZwSetValueKey);

static NTSTATUS
CmpDoDeleteValue(PCMP_NODE Node, PVOID Context)
{
    PREG_DELETE_VALUE_KEY_INFORMATION Information = Context;

    return CmpDeleteNodeValue(Node, Information->ValueName);
}

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwDeleteValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName)
{
    REG_DELETE_VALUE_KEY_INFORMATION Information = {.ValueName = ValueName};
    CMP_OPERATION Operation = CMP_OPERATION_OF(Information, RegNtPreDeleteValueKey, RegNtPostDeleteValueKey);

    return CmpCall(KeyHandle, &Operation, CmpDoDeleteValue);
}
NTEXPORT(ZwDeleteValueKey);

/* --- Start ------------------------------------------------------------------------------------- */

VOID
CmpInitializeKeys(VOID)
{
    CmKeyObjectType = ObMakeType(&CmpKeyTemplate);
    if (!NT_SUCCESS(CmpMakeKeyObject(&CmpRootKey))) {
        ObFailStart();
    }
    CmpReferenceNode(CmpRoot);
    CmpRootKey->Node = CmpRoot;
}
