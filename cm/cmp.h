/* Private to cm/. */
#ifndef CM_CMP_H
#define CM_CMP_H

#include "cm.h"
#include <ke/push.h>
#include <rtl/rtl.h>

#define CMP_TAG 0x20204D43u         /* "CM  " */
#define CMP_MAXIMUM_NAME (255 * 2)  /* bytes of a key's name */
#define CMP_MAXIMUM_VALUE_NAME (16383 * 2)
#define CMP_MAXIMUM_DEPTH 512
#define CMP_MAXIMUM_CALLBACKS 32

/* --- The tree (node.c) ------------------------------------------------------------------------ */

/* A value. All (C) but Links. */
typedef struct _CMP_VALUE {
    LIST_ENTRY Links;         /* CmpLock: CMP_NODE.Values */
    volatile LONG References; /* (A) the key's, and whoever copies it out */
    ULONG Type;
    ULONG DataLength;
    UNICODE_STRING Name;
    PUCHAR Data;              /* name and data follow the structure */
} CMP_VALUE, *PCMP_VALUE;

/* A key. Names (C); the rest CmpLock. */
typedef struct _CMP_NODE {
    RTLP_AVL_NODE Links;      /* in Parent->SubKeys */
    struct _CMP_NODE *Parent; /* NULL: the root, or deleted */
    volatile LONG References; /* (A) the tree's, and key objects' */
    BOOLEAN Deleted;
    BOOLEAN Volatile;
    BOOLEAN Fixed;            /* cannot be deleted */
    BOOLEAN Master;           /* \REGISTRY, MACHINE, USER: no drivers' keys directly below */
    BOOLEAN Trusted;          /* a system hive, or in one */
    ULONG Depth;
    UNICODE_STRING Name;
    UNICODE_STRING Class;
    LARGE_INTEGER LastWriteTime;
    RTLP_AVL_TREE SubKeys;
    LIST_ENTRY Values;        /* in the order they were first set */
    ULONG ValueCount;
} CMP_NODE, *PCMP_NODE;

extern EX_PUSH_LOCK CmpLock;
extern PCMP_NODE CmpRoot;

static inline VOID
CmpLockShared(VOID)
{
    KiAcquirePushLockShared(&CmpLock, LockRankRegistry);
}

static inline VOID
CmpUnlockShared(VOID)
{
    KiReleasePushLockShared(&CmpLock);
}

static inline VOID
CmpLockExclusive(VOID)
{
    KiAcquirePushLockExclusive(&CmpLock, LockRankRegistry);
}

static inline VOID
CmpUnlockExclusive(VOID)
{
    KiReleasePushLockExclusive(&CmpLock);
}

/* Zeroed memory of the core's own; NULL. */
PVOID CmpAllocate(SIZE_T Size);
VOID CmpFree(PVOID Block);

/* The registry's memory comes and goes at PASSIVE_LEVEL, with or without the lock. */
PCMP_NODE CmpMakeNode(PCUNICODE_STRING Name, PCUNICODE_STRING Class);
VOID CmpReferenceNode(PCMP_NODE Node);
VOID CmpDereferenceNode(PCMP_NODE Node);
PCMP_VALUE CmpMakeValue(PCUNICODE_STRING Name, ULONG Type, const VOID *Data, ULONG Length);
VOID CmpDereferenceValue(PCMP_VALUE Value);

/* Take the next component of a path, not counting separators; FALSE at its end. */
BOOLEAN CmpNextComponent(PUNICODE_STRING Rest, PUNICODE_STRING Component);

/* Does the path, which is absolute, lead to the registry? Rest is what follows \Registry. */
BOOLEAN CmpIsRegistryPath(PCUNICODE_STRING Path, PUNICODE_STRING Rest);

/* The lock is held (to link, unlink, put and take: exclusively). */
PCMP_NODE CmpFindSubKey(PCMP_NODE Node, PCUNICODE_STRING Name);
PCMP_NODE CmpSubKeyAt(PCMP_NODE Node, ULONG Index);
VOID CmpLinkNode(PCMP_NODE Parent, PCMP_NODE Node);
VOID CmpUnlinkNode(PCMP_NODE Node);
PCMP_VALUE CmpFindValue(PCMP_NODE Node, PCUNICODE_STRING Name);
/* Put a new value in the place of *Old, which may be NULL; who calls gives back *Old afterwards. */
VOID CmpPutValue(PCMP_NODE Node, PCMP_VALUE Value, PCMP_VALUE *Old);
VOID CmpTakeValue(PCMP_NODE Node, PCMP_VALUE Value);

/* Delete a key that has no subkeys; STATUS_CANNOT_DELETE. Takes the lock. */
NTSTATUS CmpDeleteNode(PCMP_NODE Node);

/* Set a value; takes the lock. STATUS_KEY_DELETED, STATUS_INSUFFICIENT_RESOURCES. */
NTSTATUS CmpSetNodeValue(PCMP_NODE Node, PCUNICODE_STRING Name, ULONG Type, const VOID *Data, ULONG Length);
/* STATUS_OBJECT_NAME_NOT_FOUND, STATUS_KEY_DELETED. */
NTSTATUS CmpDeleteNodeValue(PCMP_NODE Node, PCUNICODE_STRING Name);

/* The key of a path below Start, referenced; Create: make what is missing. No filter is told. */
NTSTATUS CmpOpenPath(PCMP_NODE Start, PCUNICODE_STRING Path, BOOLEAN Create, PCMP_NODE *Node);

/* The full path, terminated, in a block for CmpFree that begins with the string. STATUS_KEY_DELETED,
 * STATUS_INSUFFICIENT_RESOURCES. */
NTSTATUS CmpQueryPath(PCMP_NODE Node, PUNICODE_STRING *Path);

/* --- Key objects (key.c) ---------------------------------------------------------------------- */

/* What a handle stands for: each open makes one. */
typedef struct _CMP_KEY {
    PCMP_NODE Node;        /* referenced; NULL while it is being opened */
    LIST_ENTRY Contexts;   /* CmpCallbackLock: CMP_CONTEXT.KeyLinks */
    PUNICODE_STRING Path;  /* for CmCallbackGetKeyObjectID; made when it is asked for */
} CMP_KEY, *PCMP_KEY;

extern POBJECT_TYPE CmKeyObjectType;

VOID CmpInitializeKeys(VOID);

/* The key object of a handle, referenced. STATUS_INVALID_HANDLE, STATUS_OBJECT_TYPE_MISMATCH, STATUS_KEY_DELETED. */
NTSTATUS CmpReferenceKey(HANDLE Handle, PCMP_KEY *Key);

/* --- Filters (callback.c) --------------------------------------------------------------------- */

typedef struct _CMP_CALLBACK *PCMP_CALLBACK;

/* A registry call in progress, on its caller's stack. */
typedef struct _CMP_OPERATION {
    REG_NOTIFY_CLASS Pre, Post;
    PVOID Information;    /* for the filters: REG_..._INFORMATION */
    PVOID *CallContext;   /* in it */
    PVOID *ObjectContext; /* in it */
    PCMP_KEY Key;         /* whose contexts go to *ObjectContext; NULL: none */
    PVOID *Object;        /* the object for the post-notification */
    ULONG Count;          /* filters that are to have a post-notification */
    struct {
        PCMP_CALLBACK Callback;
        PVOID CallContext;
    } Called[CMP_MAXIMUM_CALLBACKS];
} CMP_OPERATION, *PCMP_OPERATION;

#define CMP_OPERATION_OF(Fields, PreClass, PostClass)                                                       \
    {                                                                                                       \
        .Pre = (PreClass), .Post = (PostClass), .Information = &(Fields), .CallContext = &(Fields).CallContext, \
        .ObjectContext = &(Fields).ObjectContext, .Object = &(Fields).Object                                \
    }

/* Run Work on the node of a handle, the filters around it; the status for the caller (key.c). PASSIVE_LEVEL. */
NTSTATUS CmpCall(HANDLE KeyHandle, PCMP_OPERATION Operation,
                 NTSTATUS (*Work)(PCMP_NODE Node, PVOID Information));

/*
 * Tell the filters what is going to happen. STATUS_SUCCESS: go on, and end with CmpEnd. Anything else: a filter has
 * refused it or, with STATUS_CALLBACK_BYPASS, done it; CmpEnd must not be called.
 */
NTSTATUS CmpBegin(PCMP_OPERATION Operation);

/* Tell them what has happened; returns the status for the caller. */
NTSTATUS CmpEnd(PCMP_OPERATION Operation, NTSTATUS Status);

/* The key object goes: tell the filters that tied a context to it. */
VOID CmpCleanUpContexts(PCMP_KEY Key);

/* --- The run-time library's forms (rtlkey.c) -------------------------------------------------- */

/* The key that RelativeTo and Path mean: a handle for CmpCloseRelative. Create: made if only the last part is missing. */
NTSTATUS CmpOpenRelative(ULONG RelativeTo, PCWSTR Path, BOOLEAN Create, PHANDLE Handle);
VOID CmpCloseRelative(ULONG RelativeTo, HANDLE Handle);

/* The key of that path below Root. */
NTSTATUS CmpOpenBelow(HANDLE Root, PCWSTR Path, PHANDLE Handle);

#endif
