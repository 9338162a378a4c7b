/*
 * What is in the registry before the driver runs: the hives, its service key, and what a .reg file brings.
 *
 * Nothing here tells a filter: there is none yet.
 */
#include "cmp.h"
#include "regfile.h"

/* --- Hives ------------------------------------------------------------------------------------- */

static PCMP_NODE
CmpMakeFixed(PCMP_NODE Parent, const WCHAR *Path)
{
    UNICODE_STRING Name;
    PCMP_NODE Node;

    RtlInitUnicodeString(&Name, Path);
    if (!NT_SUCCESS(CmpOpenPath(Parent, &Name, TRUE, &Node))) {
        ObFailStart();
    }
    Node->Fixed = TRUE;
    CmpDereferenceNode(Node); /* the tree's reference stays: it cannot be deleted */
    return Node;
}

VOID
CmInitialize(VOID)
{
    static const WCHAR *const Hives[] = {L"HARDWARE", L"SAM", L"SECURITY", L"SOFTWARE", L"SYSTEM"};
    static const WCHAR *const Keys[] = {
        L"HARDWARE\\DESCRIPTION\\System",        L"HARDWARE\\DEVICEMAP",
        L"SOFTWARE\\Classes",                    L"SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion",
        L"SYSTEM\\CurrentControlSet\\Control",   L"SYSTEM\\CurrentControlSet\\Enum",
        L"SYSTEM\\CurrentControlSet\\Services",  L"SYSTEM\\CurrentControlSet\\Hardware Profiles\\Current"};
    UNICODE_STRING RootName = RTL_CONSTANT_STRING(L"REGISTRY");
    PCMP_NODE Machine, User;

    CmpRoot = CmpMakeNode(&RootName, NULL);
    if (CmpRoot == NULL) {
        ObFailStart();
    }
    CmpRoot->Fixed = TRUE;
    Machine = CmpMakeFixed(CmpRoot, L"MACHINE");
    User = CmpMakeFixed(CmpRoot, L"USER");
    CmpMakeFixed(User, L".DEFAULT");
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Hives); Index += 1) {
        CmpMakeFixed(Machine, Hives[Index])->Trusted = TRUE;
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Keys); Index += 1) {
        CmpMakeFixed(Machine, Keys[Index]);
    }
    CmpRoot->Master = TRUE;
    Machine->Master = TRUE;
    User->Master = TRUE;
    CmpInitializeKeys();
}

/* --- Keys by path ------------------------------------------------------------------------------ */

NTSTATUS
CmMakeKey(PCUNICODE_STRING Path)
{
    UNICODE_STRING Rest;
    PCMP_NODE Node;
    NTSTATUS Status = STATUS_INVALID_PARAMETER;

    if (CmpIsRegistryPath(Path, &Rest)) {
        Status = CmpOpenPath(CmpRoot, &Rest, TRUE, &Node);
    }
    if (NT_SUCCESS(Status)) {
        CmpDereferenceNode(Node);
    }
    return Status;
}

NTSTATUS
CmSetValue(PCUNICODE_STRING Path, PCUNICODE_STRING Name, ULONG Type, const VOID *Data, ULONG Length)
{
    UNICODE_STRING Rest;
    PCMP_NODE Node;
    NTSTATUS Status = STATUS_INVALID_PARAMETER;

    if (CmpIsRegistryPath(Path, &Rest)) {
        Status = CmpOpenPath(CmpRoot, &Rest, FALSE, &Node);
    }
    if (NT_SUCCESS(Status)) {
        Status = CmpSetNodeValue(Node, Name, Type, Data, Length);
        CmpDereferenceNode(Node);
    }
    return Status;
}

static NTSTATUS
CmpSetNumber(PCUNICODE_STRING Path, const WCHAR *NameText, ULONG Number)
{
    UNICODE_STRING Name;

    RtlInitUnicodeString(&Name, NameText);
    return CmSetValue(Path, &Name, REG_DWORD, &Number, sizeof(Number));
}

NTSTATUS
CmMakeServiceKey(PCUNICODE_STRING Path, const char *Image)
{
    static const WCHAR Folder[] = L"\\SystemRoot\\System32\\drivers\\";
    UNICODE_STRING Name = RTL_CONSTANT_STRING(L"ImagePath");
    WCHAR Text[RTL_NUMBER_OF(Folder) + 256];
    ULONG Count = RTL_NUMBER_OF(Folder) - 1;
    NTSTATUS Status = CmMakeKey(Path);

    RtlCopyMemory(Text, Folder, sizeof(Folder));
    for (; *Image != 0 && Count + 1 < RTL_NUMBER_OF(Text); Image += 1) {
        Text[Count++] = (UCHAR)*Image;
    }
    Text[Count++] = 0;
    if (NT_SUCCESS(Status)) {
        Status = CmpSetNumber(Path, L"Type", 1);          /* a kernel driver */
    }
    if (NT_SUCCESS(Status)) {
        Status = CmpSetNumber(Path, L"Start", 3);         /* on demand */
    }
    if (NT_SUCCESS(Status)) {
        Status = CmpSetNumber(Path, L"ErrorControl", 1);  /* normal */
    }
    if (NT_SUCCESS(Status)) {
        Status = CmSetValue(Path, &Name, REG_EXPAND_SZ, Text, Count * (ULONG)sizeof(WCHAR));
    }
    return Status;
}

/* --- .reg files -------------------------------------------------------------------------------- */

typedef struct _CMP_LOAD {
    UNICODE_STRING Service; /* below the root */
    PCMP_NODE Node;         /* of the values to come, referenced; NULL: they lie in the service key */
} CMP_LOAD, *PCMP_LOAD;

/* The roots of .reg files, and those of paths as drivers write them. */
static const struct {
    const WCHAR *Name;
    const WCHAR *Path; /* below \REGISTRY */
} CmpHiveNames[] = {
    {L"HKEY_LOCAL_MACHINE", L"MACHINE"},
    {L"HKLM", L"MACHINE"},
    {L"HKEY_USERS", L"USER"},
    {L"HKU", L"USER"},
    {L"HKEY_CURRENT_USER", L"USER\\.DEFAULT"},
    {L"HKCU", L"USER\\.DEFAULT"},
    {L"HKEY_CLASSES_ROOT", L"MACHINE\\SOFTWARE\\Classes"},
    {L"HKCR", L"MACHINE\\SOFTWARE\\Classes"},
    {L"HKEY_CURRENT_CONFIG", L"MACHINE\\SYSTEM\\CurrentControlSet\\Hardware Profiles\\Current"},
};

/* Split a path into a place to begin at, below the root, and the rest. */
static VOID
CmpSplitPath(PCMP_LOAD Load, PCUNICODE_STRING Path, PUNICODE_STRING Base, PUNICODE_STRING Rest)
{
    UNICODE_STRING First, Name;

    RtlInitUnicodeString(Base, NULL);
    if (CmpIsRegistryPath(Path, Rest)) {
        return;
    }
    *Rest = *Path;
    CmpNextComponent(Rest, &First);
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(CmpHiveNames); Index += 1) {
        RtlInitUnicodeString(&Name, CmpHiveNames[Index].Name);
        if (RtlEqualUnicodeString(&First, &Name, TRUE)) {
            RtlInitUnicodeString(Base, CmpHiveNames[Index].Path);
            return;
        }
    }
    *Base = Load->Service;
    *Rest = *Path;
}

static NTSTATUS
CmpOpenForLoad(PCMP_LOAD Load, PCUNICODE_STRING Path, BOOLEAN Create, PCMP_NODE *Node)
{
    UNICODE_STRING BasePath, Rest;
    PCMP_NODE Base;
    NTSTATUS Status;

    CmpSplitPath(Load, Path, &BasePath, &Rest);
    Status = CmpOpenPath(CmpRoot, &BasePath, Create, &Base);
    if (NT_SUCCESS(Status)) {
        Status = CmpOpenPath(Base, &Rest, Create, Node);
        CmpDereferenceNode(Base);
    }
    return Status;
}

/* Delete a key and all below it, leaves first. */
static NTSTATUS
CmpDeleteTree(PCMP_NODE Top)
{
    NTSTATUS Status = STATUS_SUCCESS;
    PCMP_NODE Leaf;

    do {
        CmpLockShared();
        for (Leaf = Top; Leaf->SubKeys.Count != 0;) {
            Leaf = CmpSubKeyAt(Leaf, 0);
        }
        CmpReferenceNode(Leaf);
        CmpUnlockShared();
        Status = CmpDeleteNode(Leaf);
        CmpDereferenceNode(Leaf);
    } while (NT_SUCCESS(Status) && Leaf != Top);
    return Status;
}

static VOID
CmpSetLoadNode(PCMP_LOAD Load, PCMP_NODE Node)
{
    if (Load->Node != NULL) {
        CmpDereferenceNode(Load->Node);
    }
    Load->Node = Node;
}

static NTSTATUS
CmpLoadKey(PVOID Context, PCUNICODE_STRING Path, BOOLEAN Delete)
{
    PCMP_LOAD Load = Context;
    PCMP_NODE Node;
    NTSTATUS Status = CmpOpenForLoad(Load, Path, !Delete, &Node);

    if (Delete && Status == STATUS_OBJECT_NAME_NOT_FOUND) {
        return STATUS_SUCCESS;
    }
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (Delete) {
        Status = CmpDeleteTree(Node);
        CmpDereferenceNode(Node);
    } else {
        CmpSetLoadNode(Load, Node);
    }
    return Status;
}

/* Values before the first key are the service's. */
static NTSTATUS
CmpRequireLoadNode(PCMP_LOAD Load)
{
    return Load->Node != NULL ? STATUS_SUCCESS : CmpOpenPath(CmpRoot, &Load->Service, TRUE, &Load->Node);
}

static NTSTATUS
CmpLoadValue(PVOID Context, PCUNICODE_STRING Name, ULONG Type, const VOID *Data, ULONG Length)
{
    PCMP_LOAD Load = Context;
    NTSTATUS Status = CmpRequireLoadNode(Load);

    return NT_SUCCESS(Status) ? CmpSetNodeValue(Load->Node, Name, Type, Data, Length) : Status;
}

static NTSTATUS
CmpLoadDeleteValue(PVOID Context, PCUNICODE_STRING Name)
{
    PCMP_LOAD Load = Context;
    NTSTATUS Status = CmpRequireLoadNode(Load);

    if (NT_SUCCESS(Status)) {
        Status = CmpDeleteNodeValue(Load->Node, Name);
    }
    return Status == STATUS_OBJECT_NAME_NOT_FOUND ? STATUS_SUCCESS : Status;
}

NTSTATUS
CmLoadRegistryFile(const UCHAR *Bytes, SIZE_T Size, PCUNICODE_STRING Service, PCM_REGFILE_ERROR Error)
{
    CMP_LOAD Load = {0};
    CM_REGFILE_SINK Sink = {&Load, CmpLoadKey, CmpLoadValue, CmpLoadDeleteValue};
    PWSTR Text;
    ULONG Count;
    NTSTATUS Status = STATUS_INVALID_PARAMETER;

    if (!CmpIsRegistryPath(Service, &Load.Service)) {
        return STATUS_INVALID_PARAMETER;
    }
    /* What is larger is refused before it is looked at. */
    Text = CmpAllocate(CmpRegistryFileCharacters(MIN(Size, CM_REGFILE_LIMIT)) * sizeof(WCHAR));
    if (Text == NULL) {
        *Error = (CM_REGFILE_ERROR){1, "no memory to read it"};
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if (CmpDecodeRegistryFile(Bytes, Size, Text, &Count, Error)) {
        Status = CmpReadRegistryFile(Text, Count, &Sink, Error);
    }
    CmpSetLoadNode(&Load, NULL);
    CmpFree(Text);
    return Status;
}
