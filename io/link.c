/*
 * Symbolic links, and the way from a path to a device.
 *
 *     \DosDevices\Foo, \GLOBAL??\Foo, \??\Foo --> link "Foo" in \?? --> its target, then the rest of the path
 *     \Device\Foo\bar                         --> device Foo, "\bar" is left for the driver
 *
 * A link is an object whose body holds the target. It lives from IoCreateSymbolicLink to IoDeleteSymbolicLink; the list
 * of links decides between two who delete the same one. At most IOP_MAXIMUM_LINKS links are followed.
 *
 * Lock: IopLock for the list. Document: "Introduction to MS-DOS Device Names".
 */
#include "iop.h"

#define IOP_LINK_TAG 0x6B6E694Cu /* "Link" */
#define IOP_MAXIMUM_LINKS 32
#define IOP_DOS_DEVICES u"\\??"

POBJECT_TYPE IopLinkType;

typedef struct _IOP_LINK {
    LIST_ENTRY Links; /* IopLinks; IopLock */
    UNICODE_STRING Target;
    UNICODE_STRING Name;
    BOOLEAN Image;
    ULONG StackId;
} IOP_LINK, *PIOP_LINK;

static LIST_ENTRY IopLinks = {&IopLinks, &IopLinks};

static VOID
IopDeleteLink(PVOID Object)
{
    PIOP_LINK Link = Object;

    IopFreeString(&Link->Target);
    IopFreeString(&Link->Name);
}

static const OBJECT_TYPE IopLinkTemplate = {
    .Name = L"SymbolicLink",
    .Tag = IOP_LINK_TAG,
    .ValidAccess = STANDARD_RIGHTS_REQUIRED | 1,
    .WaitOffset = OB_NOT_WAITABLE,
    .Delete = IopDeleteLink,
};

/* --- Paths ---------------------------------------------------------------------------------------------- */

/* Take Prefix and a "\" behind it off the path, if it begins so; case does not matter. */
static BOOLEAN
IopSkipPrefix(PUNICODE_STRING Path, const WCHAR *Prefix)
{
    UNICODE_STRING Text;

    RtlInitUnicodeString(&Text, Prefix);
    if (Path->Length < Text.Length + sizeof(WCHAR) || !RtlPrefixUnicodeString(&Text, Path, TRUE) ||
        Path->Buffer[Text.Length / sizeof(WCHAR)] != L'\\') {
        return FALSE;
    }
    Path->Buffer += Text.Length / sizeof(WCHAR);
    Path->Length -= Text.Length;
    Path->MaximumLength = Path->Length;
    return TRUE;
}

static NTSTATUS
IopJoin(const UNICODE_STRING *First, const UNICODE_STRING *Second, PUNICODE_STRING Path)
{
    UNICODE_STRING Long = {.Buffer = First->Buffer, .Length = First->Length};

    if ((ULONG)First->Length + Second->Length > 0xFFFC) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    /* Copied from where both fit. */
    Long.Length = (USHORT)(First->Length + Second->Length);
    KiEnterBoundary();
    Long.Buffer = ExAllocatePool2(POOL_FLAG_NON_PAGED, (SIZE_T)Long.Length + sizeof(WCHAR), IOP_LINK_TAG);
    KiLeaveBoundary();
    if (Long.Buffer == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlCopyMemory(Long.Buffer, First->Buffer, First->Length);
    if (Second->Length != 0) { /* else there may be no buffer */
        RtlCopyMemory((PUCHAR)Long.Buffer + First->Length, Second->Buffer, Second->Length);
    }
    Long.MaximumLength = Long.Length;
    *Path = Long;
    return STATUS_SUCCESS;
}

static VOID
IopFreePath(PUNICODE_STRING Path)
{
    ExFreePoolWithTag(Path->Buffer, IOP_LINK_TAG);
}

/* A copy of the path with all the names of \?? made one. IopFreePath. */
static NTSTATUS
IopNormalize(const UNICODE_STRING *Path, PUNICODE_STRING Normal)
{
    static const WCHAR *const Aliases[] = {u"\\DosDevices", u"\\GLOBAL??", IOP_DOS_DEVICES};
    UNICODE_STRING Rest = *Path, Prefix = {0};

    if ((Path->Length & 1) != 0 || (Path->Length != 0 && Path->Buffer == NULL)) {
        return STATUS_OBJECT_NAME_INVALID;
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Aliases); Index += 1) {
        if (IopSkipPrefix(&Rest, Aliases[Index])) {
            RtlInitUnicodeString(&Prefix, IOP_DOS_DEVICES);
            (VOID)IopSkipPrefix(&Rest, u"\\Global");
            break;
        }
    }
    return IopJoin(&Prefix, &Rest, Normal);
}

static VOID
IopSetAttributes(POBJECT_ATTRIBUTES Attributes, PUNICODE_STRING Path, HANDLE Root)
{
    InitializeObjectAttributes(Attributes, Path, OBJ_CASE_INSENSITIVE, Root, NULL);
}

NTSTATUS
IopNameObject(PVOID Object, PCUNICODE_STRING Path)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Normal;
    PVOID Existing;
    NTSTATUS Status = IopNormalize(Path, &Normal);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    IopSetAttributes(&Attributes, &Normal, NULL);
    KiEnterBoundary();
    Status = Normal.Length == 0 ? STATUS_OBJECT_PATH_SYNTAX_BAD : ObNameObject(Object, &Attributes, &Existing);
    KiLeaveBoundary();
    IopFreePath(&Normal);
    return Status;
}

/* The object of the longest part of the path that names one; the rest stays. */
static NTSTATUS
IopFindLongest(const UNICODE_STRING *Path, HANDLE Root, PVOID *Object, PUNICODE_STRING Rest)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Part = *Path;
    NTSTATUS First = STATUS_SUCCESS, Status;

    for (;;) {
        IopSetAttributes(&Attributes, &Part, Root);
        Status = ObFindObject(&Attributes, NULL, Object);
        if (NT_SUCCESS(Status)) {
            break;
        }
        First = NT_SUCCESS(First) ? Status : First;
        do {
            if (Part.Length <= sizeof(WCHAR)) {
                return First;
            }
            Part.Length -= sizeof(WCHAR);
        } while (Part.Buffer[Part.Length / sizeof(WCHAR)] != L'\\');
    }
    if (ObTypeOf(*Object) != IopDeviceType && ObTypeOf(*Object) != IopLinkType) {
        ObfDereferenceObject(*Object);
        return NT_SUCCESS(First) ? STATUS_OBJECT_TYPE_MISMATCH : First;
    }
    Rest->Buffer = Path->Buffer + Part.Length / sizeof(WCHAR);
    Rest->Length = (USHORT)(Path->Length - Part.Length);
    Rest->MaximumLength = Rest->Length;
    return STATUS_SUCCESS;
}

/* One step: *Device is the device if the path leads to one, else Current is replaced by where its link leads. */
static NTSTATUS
IopFollow(PUNICODE_STRING Current, HANDLE Root, PDEVICE_OBJECT *Device, PUNICODE_STRING Rest)
{
    UNICODE_STRING Left, Next;
    PVOID Object;
    NTSTATUS Status = IopFindLongest(Current, Root, &Object, &Left);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    if (ObTypeOf(Object) == IopDeviceType) {
        Status = IopCopyString(&Left, Rest) ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
        if (!NT_SUCCESS(Status)) {
            ObfDereferenceObject(Object);
        } else {
            *Device = Object;
        }
        return Status;
    }
    Status = IopJoin(&((PIOP_LINK)Object)->Target, &Left, &Next);
    ObfDereferenceObject(Object);
    if (NT_SUCCESS(Status)) {
        UNICODE_STRING Joined = Next;

        Status = IopNormalize(&Joined, &Next);
        IopFreePath(&Joined);
    }
    if (NT_SUCCESS(Status)) {
        IopFreePath(Current);
        *Current = Next;
    }
    return Status;
}

NTSTATUS
IopFindDevice(PCUNICODE_STRING Path, HANDLE Root, PDEVICE_OBJECT *DeviceObject, PUNICODE_STRING Rest)
{
    PDEVICE_OBJECT Device = NULL;
    UNICODE_STRING Current;
    NTSTATUS Status = IopNormalize(Path, &Current);

    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    for (ULONG Links = 0; NT_SUCCESS(Status) && Device == NULL; Links += 1) {
        Status = Links == IOP_MAXIMUM_LINKS ? STATUS_OBJECT_NAME_INVALID : IopFollow(&Current, Root, &Device, Rest);
        Root = NULL;
    }
    IopFreePath(&Current);
    if (NT_SUCCESS(Status)) {
        *DeviceObject = Device;
    }
    return Status;
}

/* --- Services ------------------------------------------------------------------------------------------- */

/*
 * Make SymbolicLinkName lead to DeviceName, until IoDeleteSymbolicLink; whether DeviceName exists is not asked.
 * STATUS_OBJECT_NAME_COLLISION, STATUS_INSUFFICIENT_RESOURCES, and what a bad path may bring. PASSIVE_LEVEL.
 */
NTSTATUS NTAPI
IoCreateSymbolicLink(PUNICODE_STRING SymbolicLinkName, PUNICODE_STRING DeviceName)
{
    PIOP_LINK Link;
    PVOID Object;
    BOOLEAN Image;
    ULONG StackId;
    KIRQL OldIrql;
    NTSTATUS Status;

    ObRequirePassive();
    Status = IopMakeObject(IopLinkType, sizeof(IOP_LINK), &Object, &Image, &StackId);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Link = Object;
    Link->Image = Image;
    Link->StackId = StackId;
    Status = STATUS_INSUFFICIENT_RESOURCES;
    if (IopCopyString(DeviceName, &Link->Target) && IopCopyString(SymbolicLinkName, &Link->Name)) {
        Status = IopNameObject(Link, SymbolicLinkName);
    }
    if (!NT_SUCCESS(Status)) {
        ObfDereferenceObject(Link);
        return Status;
    }
    OldIrql = IopAcquireLock();
    InsertTailList(&IopLinks, &Link->Links);
    IopReleaseLock(OldIrql);
    return STATUS_SUCCESS;
}
NTEXPORT(IoCreateSymbolicLink);

/* The same; that everybody may use the link goes without saying here. */
NTSTATUS NTAPI
IoCreateUnprotectedSymbolicLink(PUNICODE_STRING SymbolicLinkName, PUNICODE_STRING DeviceName);

NTSTATUS NTAPI
IoCreateUnprotectedSymbolicLink(PUNICODE_STRING SymbolicLinkName, PUNICODE_STRING DeviceName)
{
    return IoCreateSymbolicLink(SymbolicLinkName, DeviceName);
}
NTEXPORT(IoCreateUnprotectedSymbolicLink);

/* End a link. STATUS_OBJECT_NAME_NOT_FOUND, STATUS_OBJECT_TYPE_MISMATCH if it is something else, and what a bad path
 * may bring. PASSIVE_LEVEL. */
NTSTATUS NTAPI
IoDeleteSymbolicLink(PUNICODE_STRING SymbolicLinkName)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Path;
    PIOP_LINK Link;
    PVOID Object;
    BOOLEAN Linked;
    KIRQL OldIrql;
    NTSTATUS Status;

    ObRequirePassive();
    Status = IopNormalize(SymbolicLinkName, &Path);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    IopSetAttributes(&Attributes, &Path, NULL);
    Status = ObFindObject(&Attributes, IopLinkType, &Object);
    IopFreePath(&Path);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Link = Object;
    OldIrql = IopAcquireLock();
    Linked = Link->Links.Flink != NULL;
    if (Linked) {
        RemoveEntryList(&Link->Links);
        Link->Links.Flink = NULL;
    }
    IopReleaseLock(OldIrql);
    if (Linked) {
        ObForgetName(Link);
        ObfDereferenceObject(Link);
    }
    ObfDereferenceObject(Link);
    return Linked ? STATUS_SUCCESS : STATUS_OBJECT_NAME_NOT_FOUND;
}
NTEXPORT(IoDeleteSymbolicLink);

/* --- For reports ---------------------------------------------------------------------------------------- */

/* The link after one (NULL: the first), referenced; the previous is dereferenced. */
static PIOP_LINK
IopNextLink(PIOP_LINK Previous)
{
    PIOP_LINK Next = NULL;
    KIRQL OldIrql = IopAcquireLock();
    PLIST_ENTRY Entry = Previous == NULL ? IopLinks.Flink : Previous->Links.Flink;

    if (Entry != &IopLinks) {
        Next = CONTAINING_RECORD(Entry, IOP_LINK, Links);
        ObfReferenceObject(Next);
    }
    IopReleaseLock(OldIrql);
    if (Previous != NULL) {
        ObfDereferenceObject(Previous);
    }
    return Next;
}

VOID
IoEnumerateLinks(VOID (*Visitor)(const IO_LEFT *Left, PVOID Context), PVOID Context)
{
    PIOP_LINK Link = NULL;

    while ((Link = IopNextLink(Link)) != NULL) {
        IO_LEFT Left = {.Object = Link, .Name = &Link->Name, .Image = Link->Image, .StackId = Link->StackId};

        Visitor(&Left, Context);
    }
}

/* --- Start ---------------------------------------------------------------------------------------------- */

VOID
IopInitializeLinks(VOID)
{
    OBJECT_ATTRIBUTES Attributes;
    UNICODE_STRING Name;
    HANDLE Handle;

    IopLinkType = ObMakeType(&IopLinkTemplate);
    RtlInitUnicodeString(&Name, IOP_DOS_DEVICES);
    InitializeObjectAttributes(&Attributes, &Name, OBJ_PERMANENT | OBJ_KERNEL_HANDLE, NULL, NULL);
    if (!NT_SUCCESS(ZwCreateDirectoryObject(&Handle, STANDARD_RIGHTS_REQUIRED, &Attributes))) {
        ObFailStart();
    }
    ZwClose(Handle);
}
