/*
 * What is told of keys and values: the information classes.
 *
 * An answer is pieces at their offsets, the first of them a fixed header. A buffer that does not take the header gets
 * nothing (STATUS_BUFFER_TOO_SMALL), one that takes no more than a part gets that (STATUS_BUFFER_OVERFLOW); the whole
 * length is told in any case. Nodes and values are referenced under the lock and copied out without it.
 *
 * Documents: ZwQueryKey, ZwEnumerateKey, ZwQueryValueKey, ZwEnumerateValueKey, KEY_XXX_INFORMATION.
 */
#include "cmp.h"
#include <ntexport.h>

/* Where an answer goes. */
typedef struct _CMP_ANSWER {
    PVOID Buffer;
    ULONG Length;
    PULONG ResultLength;
} CMP_ANSWER;

/* Bytes of an answer; in order of offset. */
typedef struct _CMP_PIECE {
    const VOID *Bytes;
    ULONG Offset;
    ULONG Length;
} CMP_PIECE;

/* Numbers about a key. */
typedef struct _CMP_COUNTS {
    LARGE_INTEGER LastWriteTime;
    ULONG SubKeys, MaxNameLength, MaxClassLength;
    ULONG Values, MaxValueNameLength, MaxValueDataLength;
} CMP_COUNTS;

/* The first piece is the header. */
static NTSTATUS
CmpAnswer(const CMP_ANSWER *Answer, const CMP_PIECE *Pieces, ULONG Count)
{
    ULONG Total = 0;

    for (ULONG Index = 0; Index < Count; Index += 1) {
        if (Pieces[Index].Length != 0) {
            Total = Pieces[Index].Offset + Pieces[Index].Length;
        }
    }
    *Answer->ResultLength = Total;
    if (Answer->Length < Pieces[0].Length) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    for (ULONG Index = 0; Index < Count; Index += 1) {
        const CMP_PIECE *Piece = &Pieces[Index];

        if (Piece->Length != 0 && Piece->Offset < Answer->Length) {
            RtlCopyMemory((PUCHAR)Answer->Buffer + Piece->Offset, Piece->Bytes,
                          MIN(Piece->Length, Answer->Length - Piece->Offset));
        }
    }
    return Answer->Length < Total ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

/* --- Keys -------------------------------------------------------------------------------------- */

static VOID
CmpCount(PCMP_NODE Node, CMP_COUNTS *Counts)
{
    PRTLP_AVL_NODE Child;

    CmpLockShared();
    Counts->LastWriteTime = Node->LastWriteTime;
    Counts->SubKeys = (ULONG)Node->SubKeys.Count;
    Counts->Values = Node->ValueCount;
    for (Child = RtlpAvlFirst(&Node->SubKeys); Child != NULL; Child = RtlpAvlNext(Child)) {
        PCMP_NODE SubKey = CONTAINING_RECORD(Child, CMP_NODE, Links);

        Counts->MaxNameLength = MAX(Counts->MaxNameLength, SubKey->Name.Length);
        Counts->MaxClassLength = MAX(Counts->MaxClassLength, SubKey->Class.Length);
    }
    for (PLIST_ENTRY Entry = Node->Values.Flink; Entry != &Node->Values; Entry = Entry->Flink) {
        PCMP_VALUE Value = CONTAINING_RECORD(Entry, CMP_VALUE, Links);

        Counts->MaxValueNameLength = MAX(Counts->MaxValueNameLength, Value->Name.Length);
        Counts->MaxValueDataLength = MAX(Counts->MaxValueDataLength, Value->DataLength);
    }
    CmpUnlockShared();
}

static NTSTATUS
CmpAnswerNode(PCMP_NODE Node, const CMP_COUNTS *Counts, const CMP_ANSWER *Answer)
{
    KEY_NODE_INFORMATION Header = {.LastWriteTime = Counts->LastWriteTime, .ClassOffset = MAXULONG,
                                   .ClassLength = Node->Class.Length, .NameLength = Node->Name.Length};
    CMP_PIECE Pieces[] = {{&Header, 0, FIELD_OFFSET(KEY_NODE_INFORMATION, Name)},
                          {Node->Name.Buffer, FIELD_OFFSET(KEY_NODE_INFORMATION, Name), Node->Name.Length},
                          {Node->Class.Buffer, 0, Node->Class.Length}};

    if (Node->Class.Length != 0) {
        Pieces[2].Offset = ALIGN_UP_BY(Pieces[1].Offset + Pieces[1].Length, sizeof(ULONG));
        Header.ClassOffset = Pieces[2].Offset;
    }
    return CmpAnswer(Answer, Pieces, RTL_NUMBER_OF(Pieces));
}

static NTSTATUS
CmpAnswerFull(PCMP_NODE Node, const CMP_COUNTS *Counts, const CMP_ANSWER *Answer)
{
    const ULONG HeaderLength = FIELD_OFFSET(KEY_FULL_INFORMATION, Class);
    KEY_FULL_INFORMATION Header = {
        .LastWriteTime = Counts->LastWriteTime, .ClassOffset = Node->Class.Length != 0 ? HeaderLength : MAXULONG,
        .ClassLength = Node->Class.Length, .SubKeys = Counts->SubKeys, .MaxNameLen = Counts->MaxNameLength,
        .MaxClassLen = Counts->MaxClassLength, .Values = Counts->Values,
        .MaxValueNameLen = Counts->MaxValueNameLength, .MaxValueDataLen = Counts->MaxValueDataLength};
    CMP_PIECE Pieces[] = {{&Header, 0, HeaderLength}, {Node->Class.Buffer, HeaderLength, Node->Class.Length}};

    return CmpAnswer(Answer, Pieces, RTL_NUMBER_OF(Pieces));
}

static NTSTATUS
CmpAnswerBasic(PCMP_NODE Node, const CMP_COUNTS *Counts, const CMP_ANSWER *Answer)
{
    const ULONG HeaderLength = FIELD_OFFSET(KEY_BASIC_INFORMATION, Name);
    KEY_BASIC_INFORMATION Header = {.LastWriteTime = Counts->LastWriteTime, .NameLength = Node->Name.Length};
    CMP_PIECE Pieces[] = {{&Header, 0, HeaderLength}, {Node->Name.Buffer, HeaderLength, Node->Name.Length}};

    return CmpAnswer(Answer, Pieces, RTL_NUMBER_OF(Pieces));
}

static NTSTATUS
CmpAnswerCached(PCMP_NODE Node, const CMP_COUNTS *Counts, const CMP_ANSWER *Answer)
{
    KEY_CACHED_INFORMATION Header = {
        .LastWriteTime = Counts->LastWriteTime, .SubKeys = Counts->SubKeys, .MaxNameLen = Counts->MaxNameLength,
        .Values = Counts->Values, .MaxValueNameLen = Counts->MaxValueNameLength,
        .MaxValueDataLen = Counts->MaxValueDataLength, .NameLength = Node->Name.Length};
    CMP_PIECE Pieces[] = {{&Header, 0, sizeof(Header)}};

    return CmpAnswer(Answer, Pieces, RTL_NUMBER_OF(Pieces));
}

static NTSTATUS
CmpAnswerName(PCMP_NODE Node, const CMP_ANSWER *Answer)
{
    PUNICODE_STRING Path;
    ULONG Length;
    NTSTATUS Status = CmpQueryPath(Node, &Path);

    if (NT_SUCCESS(Status)) {
        CMP_PIECE Pieces[] = {{&Length, 0, sizeof(Length)}, {Path->Buffer, sizeof(Length), Path->Length}};

        Length = Path->Length;
        Status = CmpAnswer(Answer, Pieces, RTL_NUMBER_OF(Pieces));
        CmpFree(Path);
    }
    return Status;
}

/* A class that a subkey is not asked for is refused by ZwEnumerateKey. */
static NTSTATUS
CmpAnswerKey(PCMP_NODE Node, KEY_INFORMATION_CLASS Class, const CMP_ANSWER *Answer)
{
    static const ULONG Zero; /* neither virtualized nor tagged */
    static const CMP_PIECE Flags[] = {{&Zero, 0, sizeof(Zero)}};
    CMP_COUNTS Counts = {0};

    CmpCount(Node, &Counts);
    switch (Class) {
    case KeyBasicInformation:
        return CmpAnswerBasic(Node, &Counts, Answer);
    case KeyNodeInformation:
        return CmpAnswerNode(Node, &Counts, Answer);
    case KeyFullInformation:
        return CmpAnswerFull(Node, &Counts, Answer);
    case KeyCachedInformation:
        return CmpAnswerCached(Node, &Counts, Answer);
    case KeyNameInformation:
        return CmpAnswerName(Node, Answer);
    case KeyVirtualizationInformation:
    case KeyHandleTagsInformation:
        return CmpAnswer(Answer, Flags, RTL_NUMBER_OF(Flags));
    default:
        return STATUS_INVALID_PARAMETER;
    }
}

static NTSTATUS
CmpEnumerate(PCMP_NODE Node, ULONG Index, KEY_INFORMATION_CLASS Class, const CMP_ANSWER *Answer)
{
    PCMP_NODE SubKey = NULL;
    BOOLEAN Deleted;
    NTSTATUS Status;

    if ((ULONG)Class > KeyFullInformation) {
        return STATUS_INVALID_PARAMETER;
    }
    CmpLockShared();
    Deleted = Node->Deleted;
    if (!Deleted) {
        SubKey = CmpSubKeyAt(Node, Index);
    }
    if (SubKey != NULL) {
        CmpReferenceNode(SubKey);
    }
    CmpUnlockShared();
    if (SubKey == NULL) {
        return Deleted ? STATUS_KEY_DELETED : STATUS_NO_MORE_ENTRIES;
    }
    Status = CmpAnswerKey(SubKey, Class, Answer);
    CmpDereferenceNode(SubKey);
    return Status;
}

/* --- Values ------------------------------------------------------------------------------------ */

static NTSTATUS
CmpAnswerFullValue(PCMP_VALUE Value, ULONG Alignment, const CMP_ANSWER *Answer)
{
    const ULONG HeaderLength = FIELD_OFFSET(KEY_VALUE_FULL_INFORMATION, Name);
    const ULONG DataOffset = (ULONG)ALIGN_UP_BY(HeaderLength + Value->Name.Length, Alignment);
    KEY_VALUE_FULL_INFORMATION Header = {.Type = Value->Type, .DataOffset = DataOffset,
                                         .DataLength = Value->DataLength, .NameLength = Value->Name.Length};
    CMP_PIECE Pieces[] = {{&Header, 0, HeaderLength},
                          {Value->Name.Buffer, HeaderLength, Value->Name.Length},
                          {Value->Data, DataOffset, Value->DataLength}};

    return CmpAnswer(Answer, Pieces, RTL_NUMBER_OF(Pieces));
}

static NTSTATUS
CmpAnswerValue(PCMP_VALUE Value, KEY_VALUE_INFORMATION_CLASS Class, const CMP_ANSWER *Answer)
{
    KEY_VALUE_BASIC_INFORMATION Basic = {.Type = Value->Type, .NameLength = Value->Name.Length};
    KEY_VALUE_PARTIAL_INFORMATION Partial = {.Type = Value->Type, .DataLength = Value->DataLength};
    KEY_VALUE_PARTIAL_INFORMATION_ALIGN64 Aligned = {.Type = Value->Type, .DataLength = Value->DataLength};
    CMP_PIECE Pieces[2];

    switch (Class) {
    case KeyValueBasicInformation:
        Pieces[0] = (CMP_PIECE){&Basic, 0, FIELD_OFFSET(KEY_VALUE_BASIC_INFORMATION, Name)};
        Pieces[1] = (CMP_PIECE){Value->Name.Buffer, Pieces[0].Length, Value->Name.Length};
        break;
    case KeyValuePartialInformation:
        Pieces[0] = (CMP_PIECE){&Partial, 0, FIELD_OFFSET(KEY_VALUE_PARTIAL_INFORMATION, Data)};
        Pieces[1] = (CMP_PIECE){Value->Data, Pieces[0].Length, Value->DataLength};
        break;
    case KeyValuePartialInformationAlign64:
        Pieces[0] = (CMP_PIECE){&Aligned, 0, FIELD_OFFSET(KEY_VALUE_PARTIAL_INFORMATION_ALIGN64, Data)};
        Pieces[1] = (CMP_PIECE){Value->Data, Pieces[0].Length, Value->DataLength};
        break;
    case KeyValueFullInformation:
        return CmpAnswerFullValue(Value, sizeof(ULONG), Answer);
    case KeyValueFullInformationAlign64:
        return CmpAnswerFullValue(Value, sizeof(ULONG64), Answer);
    default:
        return STATUS_INVALID_PARAMETER;
    }
    return CmpAnswer(Answer, Pieces, RTL_NUMBER_OF(Pieces));
}

static PCMP_VALUE
CmpValueAt(PCMP_NODE Node, ULONG Index)
{
    PLIST_ENTRY Entry = Node->Values.Flink;

    for (; Entry != &Node->Values && Index != 0; Index -= 1) {
        Entry = Entry->Flink;
    }
    return Entry == &Node->Values ? NULL : CONTAINING_RECORD(Entry, CMP_VALUE, Links);
}

/* The value of that name, or with Name NULL the one of that number; Missing is the status if there is none. */
static NTSTATUS
CmpTellValue(PCMP_NODE Node, PCUNICODE_STRING Name, ULONG Index, KEY_VALUE_INFORMATION_CLASS Class,
             const CMP_ANSWER *Answer, NTSTATUS Missing)
{
    PCMP_VALUE Value;
    NTSTATUS Status;

    if ((ULONG)Class > KeyValuePartialInformationAlign64) {
        return STATUS_INVALID_PARAMETER;
    }
    CmpLockShared();
    Status = Node->Deleted ? STATUS_KEY_DELETED : Missing;
    Value = Node->Deleted ? NULL : Name != NULL ? CmpFindValue(Node, Name) : CmpValueAt(Node, Index);
    if (Value != NULL) {
        InterlockedIncrement(&Value->References);
    }
    CmpUnlockShared();
    if (Value != NULL) {
        Status = CmpAnswerValue(Value, Class, Answer);
        CmpDereferenceValue(Value);
    }
    return Status;
}

/* --- Services ---------------------------------------------------------------------------------- */

static NTSTATUS
CmpDoQueryKey(PCMP_NODE Node, PVOID Context)
{
    PREG_QUERY_KEY_INFORMATION Information = Context;
    const CMP_ANSWER Answer = {Information->KeyInformation, Information->Length, Information->ResultLength};

    return CmpAnswerKey(Node, Information->KeyInformationClass, &Answer);
}

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwQueryKey(HANDLE KeyHandle, KEY_INFORMATION_CLASS KeyInformationClass, PVOID KeyInformation, ULONG Length,
           PULONG ResultLength)
{
    REG_QUERY_KEY_INFORMATION Information = {.KeyInformationClass = KeyInformationClass,
                                             .KeyInformation = KeyInformation, .Length = Length,
                                             .ResultLength = ResultLength};
    CMP_OPERATION Operation = CMP_OPERATION_OF(Information, RegNtPreQueryKey, RegNtPostQueryKey);

    return CmpCall(KeyHandle, &Operation, CmpDoQueryKey);
}
NTEXPORT(ZwQueryKey);

static NTSTATUS
CmpDoEnumerateKey(PCMP_NODE Node, PVOID Context)
{
    PREG_ENUMERATE_KEY_INFORMATION Information = Context;
    const CMP_ANSWER Answer = {Information->KeyInformation, Information->Length, Information->ResultLength};

    return CmpEnumerate(Node, Information->Index, Information->KeyInformationClass, &Answer);
}

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwEnumerateKey(HANDLE KeyHandle, ULONG Index, KEY_INFORMATION_CLASS KeyInformationClass, PVOID KeyInformation,
               ULONG Length, PULONG ResultLength)
{
    REG_ENUMERATE_KEY_INFORMATION Information = {.Index = Index, .KeyInformationClass = KeyInformationClass,
                                                 .KeyInformation = KeyInformation, .Length = Length,
                                                 .ResultLength = ResultLength};
    CMP_OPERATION Operation = CMP_OPERATION_OF(Information, RegNtPreEnumerateKey, RegNtPostEnumerateKey);

    return CmpCall(KeyHandle, &Operation, CmpDoEnumerateKey);
}
NTEXPORT(ZwEnumerateKey);

static NTSTATUS
CmpDoQueryValueKey(PCMP_NODE Node, PVOID Context)
{
    PREG_QUERY_VALUE_KEY_INFORMATION Information = Context;
    const CMP_ANSWER Answer = {Information->KeyValueInformation, Information->Length, Information->ResultLength};

    return CmpTellValue(Node, Information->ValueName, 0, Information->KeyValueInformationClass, &Answer,
                        STATUS_OBJECT_NAME_NOT_FOUND);
}

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwQueryValueKey(HANDLE KeyHandle, PUNICODE_STRING ValueName, KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                PVOID KeyValueInformation, ULONG Length, PULONG ResultLength)
{
    UNICODE_STRING Default = {0};
    REG_QUERY_VALUE_KEY_INFORMATION Information = {
        .ValueName = ValueName == NULL ? &Default : ValueName, .KeyValueInformationClass = KeyValueInformationClass,
        .KeyValueInformation = KeyValueInformation, .Length = Length, .ResultLength = ResultLength};
    CMP_OPERATION Operation = CMP_OPERATION_OF(Information, RegNtPreQueryValueKey, RegNtPostQueryValueKey);

    return CmpCall(KeyHandle, &Operation, CmpDoQueryValueKey);
}
NTEXPORT(ZwQueryValueKey);

static NTSTATUS
CmpDoEnumerateValueKey(PCMP_NODE Node, PVOID Context)
{
    PREG_ENUMERATE_VALUE_KEY_INFORMATION Information = Context;
    const CMP_ANSWER Answer = {Information->KeyValueInformation, Information->Length, Information->ResultLength};

    return CmpTellValue(Node, NULL, Information->Index, Information->KeyValueInformationClass, &Answer,
                        STATUS_NO_MORE_ENTRIES);
}

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
ZwEnumerateValueKey(HANDLE KeyHandle, ULONG Index, KEY_VALUE_INFORMATION_CLASS KeyValueInformationClass,
                    PVOID KeyValueInformation, ULONG Length, PULONG ResultLength)
{
    REG_ENUMERATE_VALUE_KEY_INFORMATION Information = {
        .Index = Index, .KeyValueInformationClass = KeyValueInformationClass,
        .KeyValueInformation = KeyValueInformation, .Length = Length, .ResultLength = ResultLength};
    CMP_OPERATION Operation = CMP_OPERATION_OF(Information, RegNtPreEnumerateValueKey, RegNtPostEnumerateValueKey);

    return CmpCall(KeyHandle, &Operation, CmpDoEnumerateValueKey);
}
NTEXPORT(ZwEnumerateValueKey);
