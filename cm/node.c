/*
 * The tree of keys.
 *
 * A node is in its parent's tree, by name without case, until it is deleted; it goes with its last reference. A value
 * is in its key's list until it is deleted or replaced, by a new one: who has a reference to a value may read it at
 * leisure. Subkeys are numbered in order of name, values in the order in which they were first set.
 *
 * CmpLock guards it all; only allocation can fail, and it comes before anything changes.
 */
#include "cmp.h"
#include <ke/boundary.h>

EX_PUSH_LOCK CmpLock;
PCMP_NODE CmpRoot;

/* --- Memory ------------------------------------------------------------------------------------ */

PVOID
CmpAllocate(SIZE_T Size)
{
    PVOID Block;

    KiEnterBoundary();
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, Size, CMP_TAG);
    KiLeaveBoundary();
    return Block;
}

VOID
CmpFree(PVOID Block)
{
    ExFreePoolWithTag(Block, CMP_TAG);
}

/* A copy of a string at *Place, which moves on. */
static VOID
CmpCopyString(PUNICODE_STRING To, PCUNICODE_STRING From, PUCHAR *Place)
{
    if (From == NULL || From->Length == 0) {
        return;
    }
    To->Length = From->Length;
    To->MaximumLength = From->Length;
    To->Buffer = (PWSTR)(PVOID)*Place;
    RtlCopyMemory(To->Buffer, From->Buffer, From->Length);
    *Place += From->Length;
}

PCMP_NODE
CmpMakeNode(PCUNICODE_STRING Name, PCUNICODE_STRING Class)
{
    ULONG ClassLength = Class == NULL ? 0 : Class->Length;
    PCMP_NODE Node = CmpAllocate(sizeof(*Node) + Name->Length + ClassLength);
    PUCHAR Place;

    if (Node == NULL) {
        return NULL;
    }
    Place = (PUCHAR)(Node + 1);
    Node->References = 1;
    CmpCopyString(&Node->Name, Name, &Place);
    CmpCopyString(&Node->Class, Class, &Place);
    RtlpAvlInitialize(&Node->SubKeys);
    InitializeListHead(&Node->Values);
    KeQuerySystemTime(&Node->LastWriteTime);
    return Node;
}

VOID
CmpReferenceNode(PCMP_NODE Node)
{
    InterlockedIncrement(&Node->References);
}

VOID
CmpDereferenceNode(PCMP_NODE Node)
{
    if (InterlockedDecrement(&Node->References) != 0) {
        return;
    }
    NT_VERIFY(Node->SubKeys.Count == 0);
    while (!IsListEmpty(&Node->Values)) {
        CmpDereferenceValue(CONTAINING_RECORD(RemoveHeadList(&Node->Values), CMP_VALUE, Links));
    }
    CmpFree(Node);
}

PCMP_VALUE
CmpMakeValue(PCUNICODE_STRING Name, ULONG Type, const VOID *Data, ULONG Length)
{
    ULONG NameLength = Name == NULL ? 0 : Name->Length;
    SIZE_T DataOffset = ALIGN_UP_BY(sizeof(CMP_VALUE) + NameLength, 8);
    PCMP_VALUE Value = CmpAllocate(DataOffset + Length);
    PUCHAR Place;

    if (Value == NULL) {
        return NULL;
    }
    Place = (PUCHAR)(Value + 1);
    CmpCopyString(&Value->Name, Name, &Place);
    Value->References = 1;
    Value->Type = Type;
    Value->DataLength = Length;
    Value->Data = (PUCHAR)Value + DataOffset;
    if (Length != 0) {
        RtlCopyMemory(Value->Data, Data, Length);
    }
    return Value;
}

VOID
CmpDereferenceValue(PCMP_VALUE Value)
{
    if (InterlockedDecrement(&Value->References) == 0) {
        CmpFree(Value);
    }
}

/* --- Paths ------------------------------------------------------------------------------------- */

BOOLEAN
CmpNextComponent(PUNICODE_STRING Rest, PUNICODE_STRING Component)
{
    USHORT Count = Rest->Length / sizeof(WCHAR), Start = 0, End;

    if (Count == 0) {
        *Component = *Rest; /* empty, and perhaps without a buffer to point into */
        return FALSE;
    }
    while (Start < Count && Rest->Buffer[Start] == L'\\') {
        Start += 1;
    }
    for (End = Start; End < Count && Rest->Buffer[End] != L'\\'; End += 1) {
    }
    Component->Buffer = Rest->Buffer + Start;
    Component->Length = (USHORT)((End - Start) * sizeof(WCHAR));
    Component->MaximumLength = Component->Length;
    Rest->Buffer += End;
    Rest->Length = (USHORT)((Count - End) * sizeof(WCHAR));
    Rest->MaximumLength = Rest->Length;
    return End != Start;
}

BOOLEAN
CmpIsRegistryPath(PCUNICODE_STRING Path, PUNICODE_STRING Rest)
{
    UNICODE_STRING First, Registry = RTL_CONSTANT_STRING(L"Registry");

    *Rest = *Path;
    return Path->Length >= sizeof(WCHAR) && Path->Buffer[0] == L'\\' && CmpNextComponent(Rest, &First) &&
           RtlEqualUnicodeString(&First, &Registry, TRUE);
}

static LONG
CmpCompareNode(PCVOID Key, const RTLP_AVL_NODE *Node)
{
    return RtlCompareUnicodeString(Key, &CONTAINING_RECORD(Node, CMP_NODE, Links)->Name, TRUE);
}

PCMP_NODE
CmpFindSubKey(PCMP_NODE Node, PCUNICODE_STRING Name)
{
    PRTLP_AVL_NODE Found = RtlpAvlFind(&Node->SubKeys, Name, CmpCompareNode);

    return Found == NULL ? NULL : CONTAINING_RECORD(Found, CMP_NODE, Links);
}

PCMP_NODE
CmpSubKeyAt(PCMP_NODE Node, ULONG Index)
{
    PRTLP_AVL_NODE Found = Index < Node->SubKeys.Count ? RtlpAvlFirst(&Node->SubKeys) : NULL;

    for (; Found != NULL && Index != 0; Index -= 1) {
        Found = RtlpAvlNext(Found);
    }
    return Found == NULL ? NULL : CONTAINING_RECORD(Found, CMP_NODE, Links);
}

NTSTATUS
CmpQueryPath(PCMP_NODE Node, PUNICODE_STRING *Path)
{
    PUNICODE_STRING Made;
    PWSTR Place;
    ULONG Length = 0;
    NTSTATUS Status = STATUS_SUCCESS;

    CmpLockShared();
    for (PCMP_NODE Step = Node; Step != NULL; Step = Step->Parent) {
        Length += sizeof(WCHAR) + Step->Name.Length;
    }
    Made = Node->Deleted || Length > 0xFFFC ? NULL : CmpAllocate(sizeof(*Made) + Length + sizeof(WCHAR));
    if (Made == NULL) {
        Status = Node->Deleted      ? STATUS_KEY_DELETED
                 : Length > 0xFFFC  ? STATUS_NAME_TOO_LONG
                                    : STATUS_INSUFFICIENT_RESOURCES;
        CmpUnlockShared();
        return Status;
    }
    Made->Buffer = (PWSTR)(PVOID)(Made + 1);
    Made->Length = (USHORT)Length;
    Made->MaximumLength = (USHORT)(Length + sizeof(WCHAR));
    Place = Made->Buffer + Length / sizeof(WCHAR);
    for (PCMP_NODE Step = Node; Step != NULL; Step = Step->Parent) {
        Place -= Step->Name.Length / sizeof(WCHAR);
        RtlCopyMemory(Place, Step->Name.Buffer, Step->Name.Length);
        *--Place = L'\\';
    }
    CmpUnlockShared();
    *Path = Made;
    return STATUS_SUCCESS;
}

/* --- Keys -------------------------------------------------------------------------------------- */

VOID
CmpLinkNode(PCMP_NODE Parent, PCMP_NODE Node)
{
    Node->Parent = Parent;
    Node->Depth = Parent->Depth + 1;
    Node->Trusted = Node->Trusted || Parent->Trusted;
    CmpReferenceNode(Node);
    NT_VERIFY(RtlpAvlInsert(&Parent->SubKeys, &Node->Links, &Node->Name, CmpCompareNode));
    KeQuerySystemTime(&Parent->LastWriteTime);
}

VOID
CmpUnlinkNode(PCMP_NODE Node)
{
    RtlpAvlRemove(&Node->Parent->SubKeys, &Node->Links);
    KeQuerySystemTime(&Node->Parent->LastWriteTime);
    Node->Parent = NULL;
    Node->Deleted = TRUE;
}

NTSTATUS
CmpDeleteNode(PCMP_NODE Node)
{
    NTSTATUS Status = STATUS_SUCCESS;

    CmpLockExclusive();
    if (Node->Deleted) {
        Status = STATUS_KEY_DELETED;
    } else if (Node->Fixed || Node->SubKeys.Count != 0) {
        Status = STATUS_CANNOT_DELETE;
    } else {
        CmpUnlinkNode(Node);
    }
    CmpUnlockExclusive();
    if (NT_SUCCESS(Status)) {
        CmpDereferenceNode(Node);
    }
    return Status;
}

/* One step of CmpOpenPath: the subkey, referenced; the reference to Parent is used up. */
static NTSTATUS
CmpOpenStep(PCMP_NODE Parent, PCUNICODE_STRING Name, BOOLEAN Create, PCMP_NODE *Node)
{
    PCMP_NODE Made = Create ? CmpMakeNode(Name, NULL) : NULL, Found;
    NTSTATUS Status = STATUS_SUCCESS;

    CmpLockExclusive();
    Found = CmpFindSubKey(Parent, Name);
    if (Found != NULL) {
        CmpReferenceNode(Found);
    } else if (Parent->Deleted) {
        Status = STATUS_KEY_DELETED;
    } else if (!Create) {
        Status = STATUS_OBJECT_NAME_NOT_FOUND;
    } else if (Made == NULL) {
        Status = STATUS_INSUFFICIENT_RESOURCES;
    } else if (Parent->Master || Name->Length > CMP_MAXIMUM_NAME || Parent->Depth >= CMP_MAXIMUM_DEPTH) {
        Status = STATUS_INVALID_PARAMETER;
    } else {
        CmpLinkNode(Parent, Made);
        Found = Made;
        Made = NULL;
    }
    CmpUnlockExclusive();
    if (Made != NULL) {
        CmpDereferenceNode(Made);
    }
    CmpDereferenceNode(Parent);
    *Node = Found;
    return Status;
}

NTSTATUS
CmpOpenPath(PCMP_NODE Start, PCUNICODE_STRING Path, BOOLEAN Create, PCMP_NODE *Node)
{
    UNICODE_STRING Rest = *Path, Component;
    PCMP_NODE Step = Start;
    NTSTATUS Status = STATUS_SUCCESS;

    CmpReferenceNode(Start);
    while (NT_SUCCESS(Status) && CmpNextComponent(&Rest, &Component)) {
        Status = CmpOpenStep(Step, &Component, Create, &Step);
    }
    if (NT_SUCCESS(Status)) {
        *Node = Step;
    }
    return Status;
}

/* --- Values ------------------------------------------------------------------------------------ */

PCMP_VALUE
CmpFindValue(PCMP_NODE Node, PCUNICODE_STRING Name)
{
    UNICODE_STRING Default = {0};

    for (PLIST_ENTRY Entry = Node->Values.Flink; Entry != &Node->Values; Entry = Entry->Flink) {
        PCMP_VALUE Value = CONTAINING_RECORD(Entry, CMP_VALUE, Links);

        if (RtlEqualUnicodeString(&Value->Name, Name == NULL ? &Default : Name, TRUE)) {
            return Value;
        }
    }
    return NULL;
}

VOID
CmpPutValue(PCMP_NODE Node, PCMP_VALUE Value, PCMP_VALUE *Old)
{
    *Old = CmpFindValue(Node, &Value->Name);
    if (*Old == NULL) {
        InsertTailList(&Node->Values, &Value->Links);
        Node->ValueCount += 1;
    } else {
        /* In the old one's place. */
        InsertTailList(&(*Old)->Links, &Value->Links);
        RemoveEntryList(&(*Old)->Links);
    }
    KeQuerySystemTime(&Node->LastWriteTime);
}

VOID
CmpTakeValue(PCMP_NODE Node, PCMP_VALUE Value)
{
    RemoveEntryList(&Value->Links);
    Node->ValueCount -= 1;
    KeQuerySystemTime(&Node->LastWriteTime);
}

NTSTATUS
CmpSetNodeValue(PCMP_NODE Node, PCUNICODE_STRING Name, ULONG Type, const VOID *Data, ULONG Length)
{
    PCMP_VALUE Value, Old = NULL;
    BOOLEAN Deleted;

    if (Name != NULL && Name->Length > CMP_MAXIMUM_VALUE_NAME) {
        return STATUS_INVALID_PARAMETER;
    }
    Value = CmpMakeValue(Name, Type, Data, Length);
    if (Value == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    CmpLockExclusive();
    Deleted = Node->Deleted;
    if (!Deleted) {
        CmpPutValue(Node, Value, &Old);
    }
    CmpUnlockExclusive();
    if (Deleted) {
        CmpDereferenceValue(Value);
        return STATUS_KEY_DELETED;
    }
    if (Old != NULL) {
        CmpDereferenceValue(Old);
    }
    return STATUS_SUCCESS;
}

NTSTATUS
CmpDeleteNodeValue(PCMP_NODE Node, PCUNICODE_STRING Name)
{
    PCMP_VALUE Value = NULL;
    BOOLEAN Deleted;

    CmpLockExclusive();
    Deleted = Node->Deleted;
    if (!Deleted) {
        Value = CmpFindValue(Node, Name);
    }
    if (Value != NULL) {
        CmpTakeValue(Node, Value);
    }
    CmpUnlockExclusive();
    if (Value == NULL) {
        return Deleted ? STATUS_KEY_DELETED : STATUS_OBJECT_NAME_NOT_FOUND;
    }
    CmpDereferenceValue(Value);
    return STATUS_SUCCESS;
}
