/*
 * The name space: directories, and finding objects by path.
 *
 *     \                 \BaseNamedObjects   \Callback   \Device   \Driver   \KernelObjects
 *
 * A path is absolute, beginning with "\", or relative to a directory's handle. A directory's names are a list
 * in order of insertion; they are compared exactly, or without case if OBJ_CASE_INSENSITIVE is asked for.
 * Everything is guarded by one push lock. A name refers to its object without a reference and to its
 * directory with one.
 *
 * Document: "Object Names", "Object Directories".
 */
#include "obp.h"
#include <ntexport.h>
#include <ke/push.h>

#define OBP_NAME_TAG 0x6D4E624Fu /* "ObNm" */
#define OBP_DIRECTORY_ACCESS (STANDARD_RIGHTS_REQUIRED | 0xF)

OBP_DIRECTORY *ObpRoot;

static POBJECT_TYPE ObpDirectoryType;
static EX_PUSH_LOCK ObpNameLock;

static const OBJECT_TYPE ObpDirectoryTemplate = {
    .Name = L"Directory",
    .Tag = 0x69446A4Fu, /* "OjDi" */
    .ValidAccess = OBP_DIRECTORY_ACCESS,
    .Mapping = {STANDARD_RIGHTS_READ | 0x3, STANDARD_RIGHTS_WRITE | 0xC, STANDARD_RIGHTS_EXECUTE | 0x3,
                OBP_DIRECTORY_ACCESS},
    .WaitOffset = OB_NOT_WAITABLE,
};

static NTSTATUS
ObpMakeDirectory(OBP_DIRECTORY **Directory)
{
    PVOID Object;
    NTSTATUS Status = ObMakeObject(ObpDirectoryType, sizeof(OBP_DIRECTORY), &Object);

    if (NT_SUCCESS(Status)) {
        *Directory = Object;
        InitializeListHead(&(*Directory)->Names);
    }
    return Status;
}

/* --- Names; the name space is locked ---------------------------------------------------------- */

static POBP_NAME
ObpAllocateName(const UNICODE_STRING *Component)
{
    POBP_NAME Name = ExAllocatePool2(POOL_FLAG_NON_PAGED, sizeof(*Name) + Component->Length + sizeof(WCHAR),
                                     OBP_NAME_TAG);

    if (Name != NULL) {
        Name->Name.Buffer = (PWSTR)(Name + 1);
        Name->Name.Length = Component->Length;
        Name->Name.MaximumLength = Component->Length;
        RtlCopyMemory(Name->Name.Buffer, Component->Buffer, Component->Length);
    }
    return Name;
}

static VOID
ObpLinkName(OBP_DIRECTORY *Directory, POBP_NAME Name, PVOID Object)
{
    ObfReferenceObject(Directory);
    Name->Directory = Directory;
    Name->Object = Object;
    ObHeaderOf(Object)->Name = Name;
    InsertTailList(&Directory->Names, &Name->Links);
}

static POBP_NAME
ObpFindName(OBP_DIRECTORY *Directory, const UNICODE_STRING *Component, BOOLEAN IgnoreCase)
{
    for (PLIST_ENTRY Entry = Directory->Names.Flink; Entry != &Directory->Names; Entry = Entry->Flink) {
        POBP_NAME Name = CONTAINING_RECORD(Entry, OBP_NAME, Links);

        if (RtlEqualUnicodeString(&Name->Name, Component, IgnoreCase)) {
            return Name;
        }
    }
    return NULL;
}

/* --- At the start ----------------------------------------------------------------------------- */

VOID
ObpNameBootObject(OBP_DIRECTORY *Parent, const WCHAR *Text, PVOID Object)
{
    UNICODE_STRING Component;
    POBP_NAME Name;

    RtlInitUnicodeString(&Component, Text);
    Name = ObpAllocateName(&Component);
    if (Name == NULL) {
        ObFailStart();
    }
    ObHeaderOf(Object)->Flags |= OB_FLAG_PERMANENT;
    ObpLinkName(Parent, Name, Object);
}

OBP_DIRECTORY *
ObpMakeBootDirectory(OBP_DIRECTORY *Parent, const WCHAR *Text)
{
    OBP_DIRECTORY *Directory;

    if (!NT_SUCCESS(ObpMakeDirectory(&Directory))) {
        ObFailStart();
    }
    ObpNameBootObject(Parent, Text, Directory);
    return Directory;
}

VOID
ObpInitializeNames(VOID)
{
    ObpDirectoryType = ObMakeType(&ObpDirectoryTemplate);
    if (!NT_SUCCESS(ObpMakeDirectory(&ObpRoot))) {
        ObFailStart();
    }
    ObpMakeBootDirectory(ObpRoot, L"BaseNamedObjects");
    ObpMakeBootDirectory(ObpRoot, L"Device");
    ObpMakeBootDirectory(ObpRoot, L"Driver");
    ObpMakeBootDirectory(ObpRoot, L"KernelObjects");
}

/* --- Paths ------------------------------------------------------------------------------------ */

NTSTATUS
ObpCheckAttributes(const OBJECT_ATTRIBUTES *Attributes)
{
    if (Attributes->Length != sizeof(OBJECT_ATTRIBUTES) ||
        (Attributes->Attributes & ~OBJ_VALID_ATTRIBUTES) != 0) {
        return STATUS_INVALID_PARAMETER;
    }
    return STATUS_SUCCESS;
}

static inline BOOLEAN
ObpHasName(const OBJECT_ATTRIBUTES *Attributes)
{
    return Attributes != NULL && Attributes->ObjectName != NULL && Attributes->ObjectName->Length != 0;
}

/* A path on the way through the name space. */
typedef struct _OBP_WALK {
    UNICODE_STRING Rest;      /* not looked at yet */
    UNICODE_STRING Component; /* the last one taken */
    OBP_DIRECTORY *Directory; /* where Component is to be found */
    BOOLEAN IgnoreCase;
} OBP_WALK;

/* Take the next component; STATUS_OBJECT_NAME_INVALID for an empty one. */
static NTSTATUS
ObpNextComponent(OBP_WALK *Walk)
{
    USHORT Count = Walk->Rest.Length / sizeof(WCHAR);
    USHORT Length = 0;
    USHORT Skip;

    while (Length < Count && Walk->Rest.Buffer[Length] != L'\\') {
        Length += 1;
    }
    if (Length == 0) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    Walk->Component.Buffer = Walk->Rest.Buffer;
    Walk->Component.Length = (USHORT)(Length * sizeof(WCHAR));
    Walk->Component.MaximumLength = Walk->Component.Length;
    Skip = Length < Count ? (USHORT)(Length + 1) : Length;
    if (Length < Count && Skip == Count) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    Walk->Rest.Buffer += Skip;
    Walk->Rest.Length -= (USHORT)(Skip * sizeof(WCHAR));
    return STATUS_SUCCESS;
}

/* Where the path begins, referenced; the leading "\" is taken off. */
static NTSTATUS
ObpBeginWalk(const OBJECT_ATTRIBUTES *Attributes, OBP_WALK *Walk)
{
    const UNICODE_STRING *Path = Attributes->ObjectName;
    PVOID Root = ObpRoot;
    NTSTATUS Status;

    if ((Path->Length & 1) != 0 || Path->Buffer == NULL) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    Walk->Rest = *Path;
    Walk->IgnoreCase = (Attributes->Attributes & OBJ_CASE_INSENSITIVE) != 0;
    if ((Path->Buffer[0] == L'\\') == (Attributes->RootDirectory != NULL)) {
        return STATUS_OBJECT_PATH_SYNTAX_BAD;
    }
    if (Attributes->RootDirectory == NULL) {
        Walk->Rest.Buffer += 1;
        Walk->Rest.Length -= sizeof(WCHAR);
        ObfReferenceObject(Root);
    } else {
        Status = ObReferenceObjectByHandle(Attributes->RootDirectory, 0, ObpDirectoryType, KernelMode, &Root,
                                           NULL);
        if (!NT_SUCCESS(Status)) {
            return Status;
        }
    }
    Walk->Directory = Root;
    return STATUS_SUCCESS;
}

/* Go down to the directory of the last component. The name space is locked; a directory that holds the next
 * is safe. */
static NTSTATUS
ObpWalkLocked(OBP_WALK *Walk)
{
    NTSTATUS Status = ObpNextComponent(Walk);

    while (NT_SUCCESS(Status) && Walk->Rest.Length != 0) {
        POBP_NAME Name = ObpFindName(Walk->Directory, &Walk->Component, Walk->IgnoreCase);

        if (Name == NULL) {
            return STATUS_OBJECT_PATH_NOT_FOUND;
        }
        if (ObTypeOf(Name->Object) != ObpDirectoryType) {
            return STATUS_OBJECT_TYPE_MISMATCH;
        }
        Walk->Directory = Name->Object;
        Status = ObpNextComponent(Walk);
    }
    return Status;
}

/* Find the object of a walk that has begun, and reference it. */
static NTSTATUS
ObpFindLocked(OBP_WALK *Walk, PVOID *Object)
{
    NTSTATUS Status = STATUS_SUCCESS;
    POBP_NAME Name;

    if (Walk->Rest.Length == 0) {
        ObfReferenceObject(Walk->Directory);
        *Object = Walk->Directory;
        return STATUS_SUCCESS;
    }
    Status = ObpWalkLocked(Walk);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Name = ObpFindName(Walk->Directory, &Walk->Component, Walk->IgnoreCase);
    if (Name == NULL || !ObReferenceObjectSafe(Name->Object)) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    *Object = Name->Object;
    return STATUS_SUCCESS;
}

NTSTATUS
ObFindObject(const OBJECT_ATTRIBUTES *Attributes, POBJECT_TYPE Type, PVOID *Object)
{
    PVOID Found = NULL;
    OBP_DIRECTORY *Start;
    OBP_WALK Walk;
    NTSTATUS Status;

    if (Attributes == NULL) {
        return STATUS_INVALID_PARAMETER;
    }
    Status = ObpCheckAttributes(Attributes);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (!ObpHasName(Attributes)) {
        return STATUS_OBJECT_PATH_SYNTAX_BAD;
    }
    Status = ObpBeginWalk(Attributes, &Walk);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Start = Walk.Directory;
    KiAcquirePushLockShared(&ObpNameLock, LockRankObject);
    Status = ObpFindLocked(&Walk, &Found);
    KiReleasePushLockShared(&ObpNameLock);
    ObfDereferenceObject(Start);
    if (NT_SUCCESS(Status) && Type != NULL && ObTypeOf(Found) != Type) {
        ObfDereferenceObject(Found);
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (NT_SUCCESS(Status)) {
        *Object = Found;
    }
    return Status;
}

/* --- Naming and forgetting -------------------------------------------------------------------- */

/* The name is taken: by an object that may be opened instead? */
static NTSTATUS
ObpCollision(PVOID Object, POBP_NAME Taken, ULONG Attributes, PVOID *Existing)
{
    if ((Attributes & OBJ_OPENIF) == 0) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    if (ObTypeOf(Taken->Object) != ObTypeOf(Object)) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    if (!ObReferenceObjectSafe(Taken->Object)) {
        return STATUS_OBJECT_NAME_COLLISION;
    }
    *Existing = Taken->Object;
    return STATUS_OBJECT_NAME_EXISTS;
}

static NTSTATUS
ObpNameLocked(PVOID Object, OBP_WALK *Walk, ULONG Attributes, PVOID *Existing)
{
    NTSTATUS Status = ObpWalkLocked(Walk);
    POBP_NAME Name;

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Name = ObpFindName(Walk->Directory, &Walk->Component, Walk->IgnoreCase);
    if (Name != NULL) {
        return ObpCollision(Object, Name, Attributes, Existing);
    }
    Name = ObpAllocateName(&Walk->Component);
    if (Name == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    if ((Attributes & OBJ_PERMANENT) != 0) {
        ObHeaderOf(Object)->Flags |= OB_FLAG_PERMANENT;
        ObfReferenceObject(Object);
    }
    ObpLinkName(Walk->Directory, Name, Object);
    return STATUS_SUCCESS;
}

NTSTATUS
ObNameObject(PVOID Object, const OBJECT_ATTRIBUTES *Attributes, PVOID *Existing)
{
    OBP_DIRECTORY *Start;
    OBP_WALK Walk;
    NTSTATUS Status;

    if (Attributes == NULL) {
        return STATUS_SUCCESS;
    }
    Status = ObpCheckAttributes(Attributes);
    if (!NT_SUCCESS(Status) || !ObpHasName(Attributes)) {
        return Status;
    }
    Status = ObpBeginWalk(Attributes, &Walk);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Start = Walk.Directory;
    KiAcquirePushLockExclusive(&ObpNameLock, LockRankObject);
    Status = ObpNameLocked(Object, &Walk, Attributes->Attributes, Existing);
    KiReleasePushLockExclusive(&ObpNameLock);
    ObfDereferenceObject(Start);
    return Status;
}

VOID
ObForgetName(PVOID Object)
{
    POBJECT_HEADER Header = ObHeaderOf(Object);
    POBP_NAME Name;

    KiAcquirePushLockExclusive(&ObpNameLock, LockRankObject);
    Name = Header->Name;
    if (Name != NULL) {
        Header->Name = NULL;
        RemoveEntryList(&Name->Links);
    }
    KiReleasePushLockExclusive(&ObpNameLock);
    if (Name != NULL) {
        ObfDereferenceObject(Name->Directory);
        ExFreePoolWithTag(Name, OBP_NAME_TAG);
    }
}

VOID
ObpLastHandleClosed(PVOID Object)
{
    POBJECT_HEADER Header = ObHeaderOf(Object);
    POBJECT_TYPE Type = ObTypeOf(Object);

    if (Header->Name != NULL && (Header->Flags & OB_FLAG_PERMANENT) == 0) {
        ObForgetName(Object);
    }
    if (Type->Close != NULL) {
        Type->Close(Object);
    }
}

/* --- Services --------------------------------------------------------------------------------- */

/*
 * Make a directory, or with OBJ_OPENIF open one; the handle is the caller's. STATUS_OBJECT_NAME_EXISTS,
 * STATUS_OBJECT_NAME_COLLISION and what the path may bring. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
ZwCreateDirectoryObject(PHANDLE DirectoryHandle, ACCESS_MASK DesiredAccess,
                        POBJECT_ATTRIBUTES ObjectAttributes)
{
    OBP_DIRECTORY *Directory;
    NTSTATUS Status;

    ObRequirePassive();
    Status = ObpMakeDirectory(&Directory);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    return ObInsertNewObject(Directory, ObjectAttributes, DesiredAccess, DirectoryHandle);
}
NTEXPORT(ZwCreateDirectoryObject);
NTEXPORT_AS("NtCreateDirectoryObject", ZwCreateDirectoryObject);

/* Let the name of a permanent object go with its last handle. STATUS_INVALID_HANDLE. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwMakeTemporaryObject(HANDLE Handle)
{
    PVOID Object;
    BOOLEAN Was;
    NTSTATUS Status;

    ObRequirePassive();
    Status = ObReferenceObjectByHandle(Handle, DELETE, NULL, KernelMode, &Object, NULL);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    KiAcquirePushLockExclusive(&ObpNameLock, LockRankObject);
    Was = (ObHeaderOf(Object)->Flags & OB_FLAG_PERMANENT) != 0;
    ObHeaderOf(Object)->Flags &= (UCHAR)~OB_FLAG_PERMANENT;
    KiReleasePushLockExclusive(&ObpNameLock);
    if (Was) {
        ObfDereferenceObject(Object);
    }
    ObfDereferenceObject(Object);
    return STATUS_SUCCESS;
}
NTEXPORT(ZwMakeTemporaryObject);
NTEXPORT_AS("NtMakeTemporaryObject", ZwMakeTemporaryObject);
