/*
 * Objects: headers, reference counts, types, names and handles.
 *
 * An object is one pool block: a 0x30-byte header, then the body, whose address is the object's. It lives
 * while PointerCount is above zero; each handle holds one reference. With the last handle a temporary name
 * goes, with the last reference the type's delete procedure runs and the block is freed; where IRQL is above
 * PASSIVE_LEVEL a system worker does that.
 *
 * Names form a tree of directories under "\". A name holds no reference: it is removed before the object
 * goes. All handles are kernel handles, of one table. Locks: the name space is guarded by one push lock
 * (LockRankObject), handle tables by leaf spin locks (LockRankHandleTable); reference counts are atomic.
 *
 * Public routines (ObXxx, ZwXxx) are declared in wdm.h, ntddk.h and ntifs.h.
 */
#ifndef OB_OB_H
#define OB_OB_H

#include <ntifs.h>
#include <ke/ke.h>

/* --- Headers and types ------------------------------------------------------------------------ */

typedef struct _OBJECT_HEADER {
    LONG64 PointerCount;              /* 0x00 (A) references; debuggers and tests see it at the body - 0x30 */
    union {
        LONG64 HandleCount;           /* 0x08 (A) */
        struct _OBJECT_HEADER *NextToFree; /* waiting for the worker that deletes it */
    };
    struct _OBP_NAME *Name;           /* 0x10 (name space lock) NULL: none */
    UCHAR TypeIndex;                  /* 0x18 (C) */
    UCHAR TraceFlags;
    UCHAR InfoMask;
    UCHAR Flags;                      /* 0x1B OB_FLAG_* */
    ULONG Reserved;
    PVOID ObjectCreateInfo;           /* 0x20 */
    PVOID SecurityDescriptor;         /* 0x28 */
} OBJECT_HEADER, *POBJECT_HEADER;
_Static_assert(sizeof(OBJECT_HEADER) == 0x30, "the body follows at 0x30");
_Static_assert(FIELD_OFFSET(OBJECT_HEADER, HandleCount) == 0x08, "HandleCount at the body - 0x28");
_Static_assert(FIELD_OFFSET(OBJECT_HEADER, TypeIndex) == 0x18, "TypeIndex");

#define OB_FLAG_KERNEL_OBJECT 0x02
#define OB_FLAG_PERMANENT 0x10

#define ObHeaderOf(Object) ((POBJECT_HEADER)(PVOID)((PUCHAR)(Object) - sizeof(OBJECT_HEADER)))

#define OB_NOT_WAITABLE (~0u)

/* A type. Its owner fills the first part; the rest is ob/'s. Constant but for the counts. */
typedef struct _OBJECT_TYPE {
    const WCHAR *Name;
    ULONG Tag;                        /* pool tag of its objects */
    BOOLEAN Paged;                    /* bodies in paged pool */
    ACCESS_MASK ValidAccess;
    GENERIC_MAPPING Mapping;
    ULONG WaitOffset;                 /* of the dispatcher header in the body; OB_NOT_WAITABLE */
    VOID (*Delete)(PVOID Object);     /* or NULL. PASSIVE_LEVEL, no locks */
    VOID (*Close)(PVOID Object);      /* or NULL. The last handle is closed; PASSIVE_LEVEL, no locks */

    UCHAR Index;                      /* OBJECT_HEADER.TypeIndex */
    volatile LONG ObjectCount;        /* (A) live objects */
    volatile LONG HandleCount;        /* (A) */
} OBJECT_TYPE;

/* First thing of ex/ and ob/, from the boot context, after pools work. Ends the run if memory is too short.
 */
VOID ObInitialize(VOID);

/*
 * Make a type, for good, from ObInitialize on and before any object of it; not concurrently. Its address is
 * the same in every run of a seed. Ends the run if memory is too short: types are made at the start.
 */
POBJECT_TYPE ObMakeType(const OBJECT_TYPE *Template);

/* The type of an object. Any IRQL. */
POBJECT_TYPE ObTypeOf(PVOID Object);

/* A service that must be called at PASSIVE_LEVEL: bug check 0xC4 (0xE6) if it is not. */
VOID ObRequirePassive(VOID);

/* At the start, what cannot be done without: say that memory is too short, and end the run. */
VOID DECLSPEC_NORETURN ObFailStart(VOID);

/*
 * Make an unnamed object, its body of BodySize bytes zeroed, with one reference, the caller's. IRQL <=
 * DISPATCH_LEVEL (Paged types: APC_LEVEL). STATUS_INSUFFICIENT_RESOURCES.
 */
NTSTATUS ObMakeObject(POBJECT_TYPE Type, SIZE_T BodySize, PVOID *Object);

/* --- Names ------------------------------------------------------------------------------------ */

/*
 * Give an object the name in Attributes, if there is one; the caller keeps its reference. A name that is
 * taken: STATUS_OBJECT_NAME_COLLISION, or with OBJ_OPENIF STATUS_OBJECT_NAME_EXISTS and in *Existing a
 * reference to the object that has it, provided its type is the same (else STATUS_OBJECT_TYPE_MISMATCH).
 * STATUS_OBJECT_PATH_SYNTAX_BAD, STATUS_OBJECT_NAME_INVALID, STATUS_OBJECT_PATH_NOT_FOUND,
 * STATUS_INSUFFICIENT_RESOURCES. PASSIVE_LEVEL.
 */
NTSTATUS ObNameObject(PVOID Object, const OBJECT_ATTRIBUTES *Attributes, PVOID *Existing);

/* Find an object by path and reference it. Type NULL: any; a wrong one: STATUS_OBJECT_TYPE_MISMATCH.
 * PASSIVE_LEVEL. */
NTSTATUS ObFindObject(const OBJECT_ATTRIBUTES *Attributes, POBJECT_TYPE Type, PVOID *Object);

/* Forget the object's name, permanent or not. PASSIVE_LEVEL. */
VOID ObForgetName(PVOID Object);

/* --- Handles ---------------------------------------------------------------------------------- */

/*
 * Make a handle to an object, which takes a reference of its own. Attributes: OBJ_*. Generic rights are
 * mapped, and rights that the type does not have are left out. STATUS_INSUFFICIENT_RESOURCES. IRQL <=
 * APC_LEVEL.
 */
NTSTATUS ObMakeHandle(PVOID Object, ACCESS_MASK DesiredAccess, ULONG Attributes, PHANDLE Handle);

/* Name a new object, if Attributes asks for it, and make a handle to it or, with OBJ_OPENIF, to the one that
 * has the name (STATUS_OBJECT_NAME_EXISTS). The caller's reference to Object is used up in any case.
 * PASSIVE_LEVEL. */
NTSTATUS ObInsertNewObject(PVOID Object, const OBJECT_ATTRIBUTES *Attributes, ACCESS_MASK DesiredAccess,
                           PHANDLE Handle);

/*
 * Give a process that has no threads yet a table of its own, and take it away with all its handles when it has no more.
 * PASSIVE_LEVEL. STATUS_INSUFFICIENT_RESOURCES.
 */
NTSTATUS ObCreateHandleTable(PKPROCESS Process);
VOID ObDeleteHandleTable(PKPROCESS Process);

/*
 * The attributes a service was given: Attributes (may be NULL) to work with, until ObReleaseCaptured. What user mode gives is copied, and
 * cannot ask for a kernel handle. STATUS_ACCESS_VIOLATION, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_INVALID,
 * STATUS_INSUFFICIENT_RESOURCES; then there is nothing to release. PASSIVE_LEVEL.
 */
typedef struct _OB_CAPTURED {
    const OBJECT_ATTRIBUTES *Attributes;
    OBJECT_ATTRIBUTES Copy;
    UNICODE_STRING Name;
    PWCHAR Buffer;
} OB_CAPTURED, *POB_CAPTURED;
NTSTATUS ObCaptureAttributes(const OBJECT_ATTRIBUTES *Attributes, POB_CAPTURED Captured);
VOID ObReleaseCaptured(POB_CAPTURED Captured);

/* Hand a new handle to the caller of a service; it is closed again if that fails. */
NTSTATUS ObReturnHandle(PHANDLE To, HANDLE Handle);

/* What a handle stands for, for reports. */
typedef struct _OB_HANDLE_INFO {
    HANDLE Handle;
    PVOID Object;          /* an address only: no reference */
    const WCHAR *TypeName;
    ACCESS_MASK Access;
    BOOLEAN Image;         /* opened while the core worked for an image */
    ULONG StackId;         /* for MiQueryPoolStack */
} OB_HANDLE_INFO, *POB_HANDLE_INFO;

/* Visit every open handle in order of value. IRQL <= APC_LEVEL; the visitor may do what its caller may. */
VOID ObEnumerateHandles(VOID (*Visitor)(const OB_HANDLE_INFO *Info, PVOID Context), PVOID Context);

/* Wait until the objects given up so far are deleted: for balances. PASSIVE_LEVEL. */
VOID ObFlushDeletes(VOID);

/* --- Pseudo handles: by ps/, which is above --------------------------------------------------- */

/* The object behind NtCurrentProcess() or NtCurrentThread(), no reference taken; NULL for any other. */
extern PVOID (*ObpPseudoHandleObject)(HANDLE Handle);

#endif
