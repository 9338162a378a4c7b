/*
 * RtlQueryRegistryValues: a table of values to read, by routines of the caller or directly into its variables.
 *
 * The key of the moment is the one that RelativeTo and Path mean, or after an entry with RTL_QUERY_REGISTRY_SUBKEY one
 * below it. A key that is not there, and does not have to be, is one without values. All that is held while a
 * caller's routine runs hangs on the state, so that an exception that leaves the routine takes nothing with it.
 *
 * Where the document leaves it open: an expanded REG_EXPAND_SZ is handed on as REG_SZ, and a SUBKEY entry with a routine
 * enumerates the values of the subkey.
 *
 * Document: RtlQueryRegistryValues.
 */
#include "cmp.h"
#include <ke/exception.h>
#include <ntexport.h>

#define CMP_FIRST_READ 256 /* bytes; more if a value needs them */
#define CMP_FAST_FAIL_UNSAFE_ACCESS 9
/* An entry with one of these is none that ends the table. */
#define CMP_SPEAKING_FLAGS (RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_TOPKEY | RTL_QUERY_REGISTRY_DIRECT)

typedef struct _CMP_QUERY {
    ULONG RelativeTo;
    PRTL_QUERY_REGISTRY_TABLE Table;
    PVOID Context;
    const WCHAR *Environment;
    HANDLE Top;     /* NULL: not there, and optional */
    HANDLE Current; /* NULL: not there */
    PKEY_VALUE_FULL_INFORMATION Read; /* the value of the moment */
    PWSTR Name;     /* its name, terminated */
    PVOID Expanded;
    NTSTATUS Status;
} CMP_QUERY, *PCMP_QUERY;

/* A value on its way to the caller. */
typedef struct _CMP_DATA {
    PWSTR Name;
    ULONG Type;
    PVOID Bytes;
    ULONG Length;
} CMP_DATA;

static VOID
CmpFreeBlock(PVOID *Block)
{
    if (*Block != NULL) {
        CmpFree(*Block);
        *Block = NULL;
    }
}

static VOID
CmpForgetValue(PCMP_QUERY Query)
{
    CmpFreeBlock((PVOID *)&Query->Read);
    CmpFreeBlock((PVOID *)&Query->Name);
    CmpFreeBlock(&Query->Expanded);
}

/* --- To the caller ----------------------------------------------------------------------------- */

/* The caller's routine has six arguments. */
static NTSTATUS
CmpCallQueryRoutine(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry, const CMP_DATA *Data)
{
    PRTL_QUERY_REGISTRY_ROUTINE Routine = Entry->QueryRoutine;
    NTSTATUS Status;

    if (KiIsCoreCode((ULONG_PTR)Routine)) {
        Status = Routine(Data->Name, Data->Type, Data->Bytes, Data->Length, Query->Context, Entry->EntryContext);
    } else {
        Status = (NTSTATUS)KiCallImage6((PVOID)(ULONG_PTR)Routine, (ULONG_PTR)Data->Name, Data->Type,
                                        (ULONG_PTR)Data->Bytes, Data->Length, (ULONG_PTR)Query->Context,
                                        (ULONG_PTR)Entry->EntryContext);
    }
    return Status == STATUS_BUFFER_TOO_SMALL ? STATUS_SUCCESS : Status;
}

/* Into a UNICODE_STRING, which gets a buffer of paged pool if it has none. */
static NTSTATUS
CmpStoreString(PUNICODE_STRING String, const CMP_DATA *Data)
{
    USHORT Length;

    if (Data->Length > 0xFFFE) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    if (String->Buffer == NULL) {
        /* The caller's: what it does not free is its leak. */
        PWSTR Buffer = ExAllocatePool2(POOL_FLAG_PAGED, MAX(Data->Length, sizeof(WCHAR)), CMP_TAG);

        if (Buffer == NULL) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        String->Buffer = Buffer;
        String->MaximumLength = (USHORT)Data->Length;
    } else if (String->MaximumLength < Data->Length) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    RtlCopyMemory(String->Buffer, Data->Bytes, Data->Length);
    Length = (USHORT)(Data->Length & ~1u);
    if (Length != 0 && String->Buffer[Length / sizeof(WCHAR) - 1] == 0) {
        Length -= sizeof(WCHAR);
    }
    String->Length = Length;
    return STATUS_SUCCESS;
}

static NTSTATUS
CmpStoreDirect(PVOID Place, const CMP_DATA *Data)
{
    PULONG Words = Place;
    LONG Size;

    if (Data->Type == REG_SZ || Data->Type == REG_EXPAND_SZ || Data->Type == REG_MULTI_SZ) {
        return CmpStoreString(Place, Data);
    }
    if (Data->Length <= sizeof(ULONG)) {
        RtlCopyMemory(Place, Data->Bytes, Data->Length);
        return STATUS_SUCCESS;
    }
    /* The buffer says how large it is: below zero if it is for the data alone. */
    Size = *(PLONG)Place;
    if (Size < 0) {
        if (Data->Length > 0u - (ULONG)Size) {
            return STATUS_BUFFER_TOO_SMALL;
        }
        RtlCopyMemory(Place, Data->Bytes, Data->Length);
        return STATUS_SUCCESS;
    }
    if ((ULONG)Size < 2 * sizeof(ULONG) || Data->Length > (ULONG)Size - 2 * sizeof(ULONG)) {
        return STATUS_BUFFER_TOO_SMALL;
    }
    Words[0] = Data->Length;
    Words[1] = Data->Type;
    RtlCopyMemory(Words + 2, Data->Bytes, Data->Length);
    return STATUS_SUCCESS;
}

static NTSTATUS
CmpHandOver(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry, const CMP_DATA *Data)
{
    if ((Entry->Flags & RTL_QUERY_REGISTRY_DIRECT) != 0) {
        return CmpStoreDirect(Entry->EntryContext, Data);
    }
    return CmpCallQueryRoutine(Query, Entry, Data);
}

/* --- Strings ----------------------------------------------------------------------------------- */

/* The value of a variable of the environment: "name=value" strings, ended by an empty one. NULL: there is none. */
static const WCHAR *
CmpFindVariable(const WCHAR *Environment, const WCHAR *Name, ULONG Length)
{
    UNICODE_STRING Wanted = {(USHORT)(Length * sizeof(WCHAR)), (USHORT)(Length * sizeof(WCHAR)), (PWSTR)(ULONG_PTR)Name};

    while (Environment != NULL && *Environment != 0) {
        UNICODE_STRING Have = {0, 0, (PWSTR)(ULONG_PTR)Environment};

        while (Environment[Have.Length / sizeof(WCHAR)] != 0 && Environment[Have.Length / sizeof(WCHAR)] != L'=') {
            Have.Length += sizeof(WCHAR);
        }
        if (Environment[Have.Length / sizeof(WCHAR)] == L'=' && RtlEqualUnicodeString(&Have, &Wanted, TRUE)) {
            return Environment + Have.Length / sizeof(WCHAR) + 1;
        }
        while (*Environment != 0) {
            Environment += 1;
        }
        Environment += 1;
    }
    return NULL;
}

/* Copy Count characters with %variables% replaced by their values; a variable that is not there stays as it is written.
 * To NULL: only count. Returns the characters. */
static ULONG
CmpExpandText(const WCHAR *Environment, const WCHAR *From, ULONG Count, PWSTR To)
{
    ULONG Made = 0;

    for (ULONG Index = 0; Index < Count;) {
        ULONG End = Index + 1;
        const WCHAR *Value = NULL;

        while (From[Index] == L'%' && End < Count && From[End] != L'%') {
            End += 1;
        }
        if (From[Index] == L'%' && End < Count && End - Index < 0x7FFF) {
            Value = CmpFindVariable(Environment, From + Index + 1, End - Index - 1);
        }
        for (; Value != NULL && *Value != 0; Value += 1, Made += 1) {
            if (To != NULL) {
                To[Made] = *Value;
            }
        }
        if (Value != NULL) {
            Index = End + 1;
            continue;
        }
        if (To != NULL) {
            To[Made] = From[Index];
        }
        Made += 1;
        Index += 1;
    }
    return Made;
}

static NTSTATUS
CmpHandOverExpanded(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry, const CMP_DATA *Data)
{
    ULONG Count = Data->Length / sizeof(WCHAR), Made = CmpExpandText(Query->Environment, Data->Bytes, Count, NULL);
    CMP_DATA Expanded = {Data->Name, REG_SZ, NULL, Made * (ULONG)sizeof(WCHAR)};

    Query->Expanded = CmpAllocate(MAX(Expanded.Length, sizeof(WCHAR)));
    if (Query->Expanded == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    CmpExpandText(Query->Environment, Data->Bytes, Count, Query->Expanded);
    Expanded.Bytes = Query->Expanded;
    return CmpHandOver(Query, Entry, &Expanded);
}

/* Each string of a list by itself. */
static NTSTATUS
CmpHandOverEach(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry, const CMP_DATA *Data)
{
    PWSTR Text = Data->Bytes, End = Text + Data->Length / sizeof(WCHAR);
    NTSTATUS Status = STATUS_SUCCESS;

    while (NT_SUCCESS(Status) && Text < End && *Text != 0) {
        CMP_DATA One = {Data->Name, REG_SZ, Text, 0};

        while (Text < End && *Text != 0) {
            Text += 1;
        }
        Text += Text < End;
        One.Length = (ULONG)((PUCHAR)Text - (PUCHAR)One.Bytes);
        Status = CmpHandOver(Query, Entry, &One);
    }
    return Status;
}

static NTSTATUS
CmpDeliver(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry, const CMP_DATA *Data)
{
    BOOLEAN Raw = (Entry->Flags & RTL_QUERY_REGISTRY_NOEXPAND) != 0;

    if (!Raw && Data->Type == REG_MULTI_SZ) {
        return CmpHandOverEach(Query, Entry, Data);
    }
    if (!Raw && Data->Type == REG_EXPAND_SZ) {
        return CmpHandOverExpanded(Query, Entry, Data);
    }
    return CmpHandOver(Query, Entry, Data);
}

/* --- From the registry ------------------------------------------------------------------------- */

/* Read the value of that name, or with Name NULL the Index-th, into the state. */
static NTSTATUS
CmpReadValue(PCMP_QUERY Query, PUNICODE_STRING Name, ULONG Index)
{
    ULONG Length = CMP_FIRST_READ, Needed = 0;
    NTSTATUS Status;

    CmpForgetValue(Query);
    do {
        CmpFreeBlock((PVOID *)&Query->Read);
        Length = MAX(Length, Needed);
        Query->Read = CmpAllocate(Length);
        if (Query->Read == NULL) {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        Status = Name != NULL
                     ? ZwQueryValueKey(Query->Current, Name, KeyValueFullInformation, Query->Read, Length, &Needed)
                     : ZwEnumerateValueKey(Query->Current, Index, KeyValueFullInformation, Query->Read, Length, &Needed);
    } while (Status == STATUS_BUFFER_OVERFLOW || Status == STATUS_BUFFER_TOO_SMALL);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Query->Name = CmpAllocate(Query->Read->NameLength + sizeof(WCHAR));
    if (Query->Name == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    RtlCopyMemory(Query->Name, Query->Read->Name, Query->Read->NameLength);
    return STATUS_SUCCESS;
}

/* Hand over the value in the state and, if asked for, delete it. */
static NTSTATUS
CmpDeliverRead(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry)
{
    CMP_DATA Data = {Query->Name, Query->Read->Type, (PUCHAR)Query->Read + Query->Read->DataOffset,
                     Query->Read->DataLength};
    UNICODE_STRING Name = {(USHORT)Query->Read->NameLength, (USHORT)Query->Read->NameLength, Query->Read->Name};
    NTSTATUS Status;

    if ((Entry->Flags & RTL_QUERY_REGISTRY_TYPECHECK) != 0 &&
        Entry->DefaultType >> RTL_QUERY_REGISTRY_TYPECHECK_SHIFT != Data.Type) {
        return STATUS_OBJECT_TYPE_MISMATCH;
    }
    Status = CmpDeliver(Query, Entry, &Data);
    if (NT_SUCCESS(Status) && (Entry->Flags & RTL_QUERY_REGISTRY_DELETE) != 0) {
        Status = ZwDeleteValueKey(Query->Current, &Name);
    }
    return Status;
}

/* The bytes of a default whose caller did not count them. */
static ULONG
CmpDefaultLength(ULONG Type, const WCHAR *Data)
{
    ULONG Count = 0;

    if (Type == REG_SZ || Type == REG_EXPAND_SZ) {
        while (Data[Count] != 0) {
            Count += 1;
        }
        return (Count + 1) * (ULONG)sizeof(WCHAR);
    }
    if (Type == REG_MULTI_SZ) {
        while (Data[Count] != 0 || Data[Count + 1] != 0) {
            Count += 1;
        }
        return (Count + 2) * (ULONG)sizeof(WCHAR);
    }
    return 0;
}

static NTSTATUS
CmpDeliverDefault(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry)
{
    CMP_DATA Data = {Entry->Name, Entry->DefaultType & 0xFF, Entry->DefaultData, Entry->DefaultLength};

    if ((Entry->Flags & RTL_QUERY_REGISTRY_REQUIRED) != 0) {
        return STATUS_OBJECT_NAME_NOT_FOUND;
    }
    if (Data.Type == REG_NONE || Data.Bytes == NULL) {
        return STATUS_SUCCESS;
    }
    if (Data.Length == 0) {
        Data.Length = CmpDefaultLength(Data.Type, Data.Bytes);
    }
    return CmpDeliver(Query, Entry, &Data);
}

/* --- The table --------------------------------------------------------------------------------- */

static VOID
CmpLeaveSubKey(PCMP_QUERY Query)
{
    if (Query->Current != NULL && Query->Current != Query->Top) {
        ZwClose(Query->Current);
    }
    Query->Current = Query->Top;
}

static NTSTATUS
CmpEnterSubKey(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry)
{
    HANDLE SubKey = NULL;
    NTSTATUS Status = STATUS_OBJECT_NAME_NOT_FOUND;

    if (Entry->Name == NULL) {
        return STATUS_INVALID_PARAMETER;
    }
    CmpLeaveSubKey(Query);
    if (Query->Top != NULL) {
        Status = CmpOpenBelow(Query->Top, Entry->Name, &SubKey);
    }
    if (Status == STATUS_OBJECT_NAME_NOT_FOUND && (Entry->Flags & RTL_QUERY_REGISTRY_REQUIRED) == 0) {
        Status = STATUS_SUCCESS;
    }
    Query->Current = SubKey;
    return Status;
}

static NTSTATUS
CmpQueryAll(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry)
{
    BOOLEAN Any = FALSE;
    NTSTATUS Status = STATUS_SUCCESS;

    for (ULONG Index = 0; Query->Current != NULL && NT_SUCCESS(Status);) {
        Status = CmpReadValue(Query, NULL, Index);
        if (Status == STATUS_NO_MORE_ENTRIES) {
            break;
        }
        if (NT_SUCCESS(Status)) {
            Any = TRUE;
            Status = CmpDeliverRead(Query, Entry);
        }
        Index += (Entry->Flags & RTL_QUERY_REGISTRY_DELETE) == 0;
    }
    if (Status == STATUS_NO_MORE_ENTRIES) {
        Status = STATUS_SUCCESS;
    }
    if (NT_SUCCESS(Status) && !Any && (Entry->Flags & RTL_QUERY_REGISTRY_REQUIRED) != 0) {
        Status = STATUS_OBJECT_NAME_NOT_FOUND;
    }
    return Status;
}

static NTSTATUS
CmpQueryOne(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry)
{
    UNICODE_STRING Name;
    NTSTATUS Status = RtlInitUnicodeStringEx(&Name, Entry->Name);

    if (NT_SUCCESS(Status)) {
        Status = Query->Current == NULL ? STATUS_OBJECT_NAME_NOT_FOUND : CmpReadValue(Query, &Name, 0);
    }
    if (Status == STATUS_OBJECT_NAME_NOT_FOUND) {
        return CmpDeliverDefault(Query, Entry);
    }
    return NT_SUCCESS(Status) ? CmpDeliverRead(Query, Entry) : Status;
}

/* Reading into a variable without a look at the type is for keys that only the system writes. */
static VOID
CmpRequireTrust(PCMP_QUERY Query)
{
    PCMP_KEY Key;
    BOOLEAN Trusted;

    if (Query->Current == NULL || !NT_SUCCESS(CmpReferenceKey(Query->Current, &Key))) {
        return;
    }
    Trusted = Key->Node->Trusted;
    ObfDereferenceObject(Key);
    if (!Trusted) {
        KeBugCheckEx(KERNEL_SECURITY_CHECK_FAILURE, CMP_FAST_FAIL_UNSAFE_ACCESS, 0, 0, 0);
    }
}

static NTSTATUS
CmpQueryEntry(PCMP_QUERY Query, const RTL_QUERY_REGISTRY_TABLE *Entry)
{
    CMP_DATA None = {Entry->Name, REG_NONE, NULL, 0};
    NTSTATUS Status = STATUS_SUCCESS;

    if ((Entry->Flags & RTL_QUERY_REGISTRY_DIRECT) != 0) {
        if (Entry->Name == NULL || Entry->QueryRoutine != NULL ||
            (Entry->Flags & (RTL_QUERY_REGISTRY_SUBKEY | RTL_QUERY_REGISTRY_NOVALUE)) != 0) {
            return STATUS_INVALID_PARAMETER;
        }
    }
    if ((Entry->Flags & RTL_QUERY_REGISTRY_TOPKEY) != 0) {
        CmpLeaveSubKey(Query);
    }
    if ((Entry->Flags & RTL_QUERY_REGISTRY_SUBKEY) != 0) {
        Status = CmpEnterSubKey(Query, Entry);
        return NT_SUCCESS(Status) && Entry->QueryRoutine != NULL ? CmpQueryAll(Query, Entry) : Status;
    }
    if ((Entry->Flags & RTL_QUERY_REGISTRY_DIRECT) != 0) {
        if ((Entry->Flags & RTL_QUERY_REGISTRY_TYPECHECK) == 0) {
            CmpRequireTrust(Query);
        }
        return CmpQueryOne(Query, Entry);
    }
    if (Entry->QueryRoutine == NULL) {
        return (Entry->Flags & RTL_QUERY_REGISTRY_TOPKEY) != 0 ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;
    }
    if ((Entry->Flags & RTL_QUERY_REGISTRY_NOVALUE) != 0) {
        return CmpCallQueryRoutine(Query, Entry, &None);
    }
    return Entry->Name != NULL ? CmpQueryOne(Query, Entry) : CmpQueryAll(Query, Entry);
}

static VOID
CmpQueryTable(PVOID Context)
{
    PCMP_QUERY Query = Context;

    for (PRTL_QUERY_REGISTRY_TABLE Entry = Query->Table;
         NT_SUCCESS(Query->Status) && (Entry->QueryRoutine != NULL || Entry->Name != NULL ||
                                       (Entry->Flags & CMP_SPEAKING_FLAGS) != 0);
         Entry += 1) {
        Query->Status = CmpQueryEntry(Query, Entry);
        CmpForgetValue(Query);
    }
}

/* See wdmcm.h. PASSIVE_LEVEL. */
NTSTATUS NTAPI
RtlQueryRegistryValues(ULONG RelativeTo, PCWSTR Path, PRTL_QUERY_REGISTRY_TABLE QueryTable, PVOID Context,
                       PVOID Environment)
{
    CMP_QUERY Query = {.RelativeTo = RelativeTo, .Table = QueryTable, .Context = Context, .Environment = Environment};
    KI_UNWIND_GUARD Guard;
    BOOLEAN Unwound;
    NTSTATUS Status;

    ObRequirePassive();
    Status = CmpOpenRelative(RelativeTo, Path, FALSE, &Query.Top);
    if (Status == STATUS_OBJECT_NAME_NOT_FOUND && (RelativeTo & RTL_REGISTRY_OPTIONAL) != 0) {
        Query.Top = NULL;
    } else if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Query.Current = Query.Top;
    Unwound = KiCallGuarded(CmpQueryTable, &Query, &Guard);
    CmpForgetValue(&Query);
    CmpLeaveSubKey(&Query);
    if (Query.Top != NULL) {
        CmpCloseRelative(RelativeTo, Query.Top);
    }
    if (Unwound) {
        KiContinueUnwind(&Guard);
    }
    return Query.Status;
}
NTEXPORT(RtlQueryRegistryValues);
