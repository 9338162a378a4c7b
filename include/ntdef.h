/*
 * ntdef.h - base types, common structures and macros of the kernel interface.
 *
 * The same sizes on every compiler: ULONG and LONG have 32 bits, pointers and SIZE_T have 64, WCHAR
 * has 16. Two users: the core, built by gcc or clang for ELF, where public routines carry the
 * Microsoft calling convention through NTAPI; and drivers, built as PE (_WIN32), where that is the
 * only convention. Needs no C library. Never use `long` in the core: it has 64 bits there.
 */
#ifndef NTMM_NTDEF_H
#define NTMM_NTDEF_H

#include "ntsal.h"

#if !defined(__x86_64__) && !defined(_M_X64)
#error "ntmm's headers describe x64 only"
#endif

/* What a driver's own code tests to learn the architecture. */
#if defined(_WIN32) && !defined(_AMD64_)
#define _AMD64_ 1
#endif

/* ---- Linkage, calling convention, attributes ---- */

#ifdef __cplusplus
#define EXTERN_C extern "C"
#define EXTERN_C_START extern "C" {
#define EXTERN_C_END }
#else
#define EXTERN_C extern
#define EXTERN_C_START
#define EXTERN_C_END
#endif

#ifdef _WIN32
/* Prefix of routines and data that an image imports; the system's own images (ntdll.dll) define them. */
#ifdef _NTSYSTEM_
#define DECLSPEC_IMPORT
#else
#define DECLSPEC_IMPORT __attribute__((dllimport))
#endif
#define NTAPI
#else
#define DECLSPEC_IMPORT
/* The Microsoft x64 convention: public routines and driver callbacks. */
#define NTAPI __attribute__((ms_abi))
#endif
#define NTKERNELAPI DECLSPEC_IMPORT
/*
 * A variable of the kernel that the documents declare as a pointer to it (`*PsThreadType`). In a
 * driver the name stands for the import slot, which holds the variable's address, whatever linker
 * is used; the core has the variable itself.
 */
#ifdef _WIN32
#define NT_IMPORTED_POINTER(Type, Name) extern Type *const Name __asm__("__imp_" #Name)
#else
#define NT_IMPORTED_POINTER(Type, Name) extern Type Name
#endif
#define NTSYSAPI DECLSPEC_IMPORT
#define NTSYSCALLAPI DECLSPEC_IMPORT
#define NTHALAPI DECLSPEC_IMPORT
#define FASTCALL NTAPI

#define FORCEINLINE static inline __attribute__((always_inline, unused))
#define CFORCEINLINE FORCEINLINE
#define DECLSPEC_ALIGN(x) __attribute__((aligned(x)))
#define DECLSPEC_NORETURN __attribute__((noreturn))
#define DECLSPEC_NOINLINE __attribute__((noinline))
#define DECLSPEC_NOINITALL
#define DECLSPEC_DEPRECATED_DDK
#define DECLSPEC_CACHEALIGN DECLSPEC_ALIGN(64)
#define POINTER_ALIGNMENT DECLSPEC_ALIGN(8)
#define UNALIGNED
#define RESTRICTED_POINTER __restrict
#define SYSTEM_CACHE_ALIGNMENT_SIZE 64
#define MEMORY_ALLOCATION_ALIGNMENT 16

#ifdef _WIN32
#ifndef IN
#define IN
#define OUT
#define OPTIONAL
#endif
#ifndef CONST
#define CONST const
#endif
/* Built into MSVC-compatible compilers, a spelling of long long elsewhere. */
#if !defined(_MSC_VER) && !defined(__int64)
#define __int64 long long
#endif
#endif

#ifdef __cplusplus
#define C_ASSERT(e) static_assert(e, #e)
#else
#define C_ASSERT(e) _Static_assert(e, #e)
#endif

EXTERN_C_START

/* ---- Scalars ---- */

#ifndef NULL
#ifdef __cplusplus
#define NULL 0
#else
#define NULL ((void *)0)
#endif
#endif
#ifndef TRUE
#define TRUE 1
#define FALSE 0
#endif

#ifndef VOID
#define VOID void
#endif
typedef void *PVOID;
typedef void *PVOID64;
typedef const void *PCVOID;
typedef PVOID HANDLE, *PHANDLE;

typedef char CHAR, *PCHAR, *PSTR, *LPSTR, CCHAR, *PCCHAR;
typedef const char *PCCH;
typedef const char *PCSTR, *PCSZ, *LPCSTR;
typedef char *PSZ;
typedef signed char INT8, *PINT8, SCHAR, *PSCHAR;
typedef unsigned char UCHAR, *PUCHAR, UINT8, *PUINT8, BYTE, *PBYTE;
typedef unsigned char BOOLEAN, *PBOOLEAN;
typedef short SHORT, *PSHORT, INT16, *PINT16, CSHORT, *PCSHORT;
typedef unsigned short USHORT, *PUSHORT, UINT16, *PUINT16, WORD, *PWORD;
typedef unsigned short WCHAR, *PWCHAR, *PWSTR, *LPWSTR;
typedef const unsigned short *PCWSTR, *PCWCHAR, *PCWCH, *LPCWSTR;
typedef WCHAR *PWCH;
typedef int INT, *PINT, INT32, *PINT32, LONG32, *PLONG32;
typedef unsigned int UINT, *PUINT, UINT32, *PUINT32, ULONG32, *PULONG32, DWORD32;
#ifdef _WIN32
typedef long LONG, *PLONG;
typedef unsigned long ULONG, *PULONG, DWORD, *PDWORD, CLONG, *PCLONG;
#else
typedef int LONG, *PLONG;
typedef unsigned int ULONG, *PULONG, DWORD, *PDWORD, CLONG, *PCLONG;
#endif
typedef int BOOL, *PBOOL;
typedef long long LONGLONG, *PLONGLONG, LONG64, *PLONG64, INT64, *PINT64;
typedef unsigned long long ULONGLONG, *PULONGLONG, ULONG64, *PULONG64, UINT64, *PUINT64, DWORDLONG,
    DWORD64, *PDWORD64;
typedef long long INT_PTR, *PINT_PTR, LONG_PTR, *PLONG_PTR, SSIZE_T, *PSSIZE_T;
typedef unsigned long long UINT_PTR, *PUINT_PTR, ULONG_PTR, *PULONG_PTR, DWORD_PTR, *PDWORD_PTR;
typedef unsigned long long SIZE_T, *PSIZE_T, KAFFINITY, *PKAFFINITY;
typedef unsigned long long PFN_NUMBER, *PPFN_NUMBER;
typedef long long SPFN_NUMBER, *PSPFN_NUMBER;

C_ASSERT(sizeof(ULONG) == 4 && sizeof(LONG) == 4 && sizeof(PVOID) == 8 && sizeof(SIZE_T) == 8);

/* A status: negative is an error, see ntstatus.h. */
typedef _Return_type_success_(return >= 0) LONG NTSTATUS, *PNTSTATUS;
typedef UCHAR KIRQL, *PKIRQL;
typedef CCHAR KPROCESSOR_MODE;
typedef LONG KPRIORITY;
typedef ULONG LOGICAL, *PLOGICAL;
typedef ULONG ACCESS_MASK, *PACCESS_MASK;
typedef ULONG DEVICE_TYPE;
typedef ULONG LCID, *PLCID;
typedef ULONG EXECUTION_STATE;

#define MINCHAR 0x80
#define MAXCHAR 0x7f
#define MAXUCHAR 0xff
#define MINSHORT 0x8000
#define MAXSHORT 0x7fff
#define MAXUSHORT 0xffff
#define MINLONG 0x80000000
#define MAXLONG 0x7fffffff
#define MAXULONG 0xffffffff
#define MAXLONGLONG 0x7fffffffffffffffLL
#define MAXULONGLONG 0xffffffffffffffffULL
#define MAXULONG_PTR 0xffffffffffffffffULL
#define MAXSIZE_T MAXULONG_PTR
#ifndef UNICODE_NULL
#define UNICODE_NULL ((WCHAR)0)
#endif
#define ANSI_NULL ((CHAR)0)

/* ---- Status tests: severity is in the two top bits ---- */

#define NT_SUCCESS(Status) ((NTSTATUS)(Status) >= 0)
#define NT_INFORMATION(Status) (((ULONG)(Status) >> 30) == 1)
#define NT_WARNING(Status) (((ULONG)(Status) >> 30) == 2)
#define NT_ERROR(Status) (((ULONG)(Status) >> 30) == 3)

/* ---- Integers of 64 bits in two halves ---- */

typedef union _LARGE_INTEGER {
    struct {
        ULONG LowPart;
        LONG HighPart;
    };
    struct {
        ULONG LowPart;
        LONG HighPart;
    } u;
    LONGLONG QuadPart;
} LARGE_INTEGER, *PLARGE_INTEGER;

typedef union _ULARGE_INTEGER {
    struct {
        ULONG LowPart;
        ULONG HighPart;
    };
    struct {
        ULONG LowPart;
        ULONG HighPart;
    } u;
    ULONGLONG QuadPart;
} ULARGE_INTEGER, *PULARGE_INTEGER;

/* A byte address in RAM or on the bus, signed by tradition. */
typedef LARGE_INTEGER PHYSICAL_ADDRESS, *PPHYSICAL_ADDRESS;

typedef struct _LUID {
    ULONG LowPart;
    LONG HighPart;
} LUID, *PLUID;

typedef struct DECLSPEC_ALIGN(16) _M128A {
    ULONGLONG Low;
    LONGLONG High;
} M128A, *PM128A;

#ifndef GUID_DEFINED
#define GUID_DEFINED
typedef struct _GUID {
    ULONG Data1;
    USHORT Data2;
    USHORT Data3;
    UCHAR Data4[8];
} GUID, *LPGUID;
typedef const GUID *LPCGUID;
#endif

C_ASSERT(sizeof(LARGE_INTEGER) == 8 && sizeof(LUID) == 8 && sizeof(GUID) == 16);

/* ---- Strings: lengths in bytes, no terminator promised ---- */

typedef struct _STRING {
    USHORT Length;        /* bytes in use */
    USHORT MaximumLength; /* bytes allocated */
    PCHAR Buffer;
} STRING, *PSTRING, ANSI_STRING, *PANSI_STRING, OEM_STRING, *POEM_STRING, UTF8_STRING,
    *PUTF8_STRING;
typedef const STRING *PCSTRING, *PCANSI_STRING, *PCOEM_STRING, *PCUTF8_STRING;

typedef struct _UNICODE_STRING {
    USHORT Length;        /* bytes in use, even */
    USHORT MaximumLength; /* bytes allocated */
    PWCH Buffer;
} UNICODE_STRING, *PUNICODE_STRING;
typedef const UNICODE_STRING *PCUNICODE_STRING;

C_ASSERT(sizeof(UNICODE_STRING) == 16 && sizeof(ANSI_STRING) == 16);

#define UNICODE_STRING_MAX_BYTES ((USHORT)65534)
#define UNICODE_STRING_MAX_CHARS 32767

/* Initializers from a literal; the terminator counts only in MaximumLength. */
#define RTL_CONSTANT_STRING(s)                                                                     \
    {                                                                                              \
        sizeof(s) - sizeof((s)[0]), sizeof(s), (void *)(s)                                         \
    }
#define DECLARE_CONST_UNICODE_STRING(Variable, Literal)                                            \
    const WCHAR Variable##_buffer[] = Literal;                                                     \
    const UNICODE_STRING Variable = {sizeof(Literal) - sizeof(WCHAR), sizeof(Literal),             \
                                     (PWCH)Variable##_buffer}
#define DECLARE_UNICODE_STRING_SIZE(Variable, Chars)                                               \
    WCHAR Variable##_buffer[Chars];                                                                \
    UNICODE_STRING Variable = {0, (Chars) * sizeof(WCHAR), Variable##_buffer}

/* ---- Lists ---- */

typedef struct _LIST_ENTRY {
    struct _LIST_ENTRY *Flink; /* next; the head itself when empty */
    struct _LIST_ENTRY *Blink; /* previous */
} LIST_ENTRY, *PLIST_ENTRY;

typedef struct _SINGLE_LIST_ENTRY {
    struct _SINGLE_LIST_ENTRY *Next;
} SINGLE_LIST_ENTRY, *PSINGLE_LIST_ENTRY;

/* An element of an interlocked stack; its address's low four bits are zero. */
typedef struct DECLSPEC_ALIGN(16) _SLIST_ENTRY {
    struct _SLIST_ENTRY *Next;
} SLIST_ENTRY, *PSLIST_ENTRY;

/* An interlocked stack, changed by one 16-byte compare-exchange. */
typedef union DECLSPEC_ALIGN(16) _SLIST_HEADER {
    struct {
        ULONGLONG Alignment;
        ULONGLONG Region;
    };
    struct {
        ULONGLONG Depth : 16;
        ULONGLONG Sequence : 48;
        ULONGLONG Reserved : 4;
        ULONGLONG NextEntry : 60; /* address of the first element, shifted right by four */
    } HeaderX64;
} SLIST_HEADER, *PSLIST_HEADER;

C_ASSERT(sizeof(LIST_ENTRY) == 16 && sizeof(SLIST_ENTRY) == 16 && sizeof(SLIST_HEADER) == 16);

/* ---- Objects and processors ---- */

typedef struct _CLIENT_ID {
    HANDLE UniqueProcess;
    HANDLE UniqueThread;
} CLIENT_ID, *PCLIENT_ID;

/* The name and the attributes of an object to open or make. */
typedef struct _OBJECT_ATTRIBUTES {
    ULONG Length;
    HANDLE RootDirectory;
    PUNICODE_STRING ObjectName;
    ULONG Attributes; /* OBJ_* */
    PVOID SecurityDescriptor;
    PVOID SecurityQualityOfService;
} OBJECT_ATTRIBUTES, *POBJECT_ATTRIBUTES;
typedef const OBJECT_ATTRIBUTES *PCOBJECT_ATTRIBUTES;
C_ASSERT(sizeof(OBJECT_ATTRIBUTES) == 0x30 && sizeof(CLIENT_ID) == 16);

#define OBJ_INHERIT 0x00000002
#define OBJ_PERMANENT 0x00000010
#define OBJ_EXCLUSIVE 0x00000020
#define OBJ_CASE_INSENSITIVE 0x00000040
#define OBJ_OPENIF 0x00000080
#define OBJ_OPENLINK 0x00000100
#define OBJ_KERNEL_HANDLE 0x00000200
#define OBJ_FORCE_ACCESS_CHECK 0x00000400
#define OBJ_IGNORE_IMPERSONATED_DEVICEMAP 0x00000800
#define OBJ_DONT_REPARSE 0x00001000
#define OBJ_VALID_ATTRIBUTES 0x00001ff2

#define InitializeObjectAttributes(p, n, a, r, s)                                                  \
    do {                                                                                           \
        (p)->Length = sizeof(OBJECT_ATTRIBUTES);                                                   \
        (p)->RootDirectory = (r);                                                                  \
        (p)->Attributes = (a);                                                                     \
        (p)->ObjectName = (n);                                                                     \
        (p)->SecurityDescriptor = (s);                                                             \
        (p)->SecurityQualityOfService = NULL;                                                      \
    } while (0)

typedef struct _PROCESSOR_NUMBER {
    USHORT Group;
    UCHAR Number;
    UCHAR Reserved;
} PROCESSOR_NUMBER, *PPROCESSOR_NUMBER;

typedef struct _GROUP_AFFINITY {
    KAFFINITY Mask;
    USHORT Group;
    USHORT Reserved[3];
} GROUP_AFFINITY, *PGROUP_AFFINITY;
C_ASSERT(sizeof(GROUP_AFFINITY) == 16);

typedef enum _EVENT_TYPE { NotificationEvent, SynchronizationEvent } EVENT_TYPE;
typedef enum _TIMER_TYPE { NotificationTimer, SynchronizationTimer } TIMER_TYPE;
typedef enum _WAIT_TYPE { WaitAll, WaitAny, WaitNotification, WaitDequeue, WaitDpc } WAIT_TYPE;
typedef enum _MODE { KernelMode, UserMode, MaximumMode } MODE;

#if !defined(offsetof)
#define offsetof(Type, Field) __builtin_offsetof(Type, Field)
#endif
#define FIELD_OFFSET(Type, Field) ((LONG)__builtin_offsetof(Type, Field))
#define UFIELD_OFFSET(Type, Field) ((ULONG)__builtin_offsetof(Type, Field))
#define FIELD_SIZE(Type, Field) (sizeof(((Type *)0)->Field))
#define RTL_FIELD_SIZE(Type, Field) FIELD_SIZE(Type, Field)
#define RTL_SIZEOF_THROUGH_FIELD(Type, Field) (offsetof(Type, Field) + FIELD_SIZE(Type, Field))
#define RTL_NUMBER_OF(Array) (sizeof(Array) / sizeof((Array)[0]))
#define CONTAINING_RECORD(Address, Type, Field)                                                    \
    ((Type *)((PCHAR)(Address) - __builtin_offsetof(Type, Field)))
#ifndef ARRAYSIZE
#define ARRAYSIZE(Array) RTL_NUMBER_OF(Array)
#endif

/* ---- Small arithmetic ---- */

#ifndef MIN
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#ifndef MAX
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif
/* Alignment is a power of two. */
#define ALIGN_DOWN_BY(Value, Alignment) ((ULONG_PTR)(Value) & ~((ULONG_PTR)(Alignment)-1))
#define ALIGN_UP_BY(Value, Alignment)                                                              \
    (((ULONG_PTR)(Value) + (ULONG_PTR)(Alignment)-1) & ~((ULONG_PTR)(Alignment)-1))
#define ALIGN_DOWN(Value, Type) ALIGN_DOWN_BY(Value, sizeof(Type))
#define ALIGN_UP(Value, Type) ALIGN_UP_BY(Value, sizeof(Type))
#define ALIGN_DOWN_POINTER_BY(Address, Alignment) ((PVOID)ALIGN_DOWN_BY(Address, Alignment))
#define ALIGN_UP_POINTER_BY(Address, Alignment) ((PVOID)ALIGN_UP_BY(Address, Alignment))
#define ALIGN_DOWN_POINTER(Address, Type) ALIGN_DOWN_POINTER_BY(Address, sizeof(Type))
#define ALIGN_UP_POINTER(Address, Type) ALIGN_UP_POINTER_BY(Address, sizeof(Type))
#define Add2Ptr(Address, Bytes) ((PVOID)((PUCHAR)(Address) + (Bytes)))
#define PtrOffset(Base, Address) ((ULONG)((ULONG_PTR)(Address) - (ULONG_PTR)(Base)))
#define FlagOn(Flags, Bits) ((Flags) & (Bits))
#define BooleanFlagOn(Flags, Bits) ((BOOLEAN)(((Flags) & (Bits)) != 0))
#define SetFlag(Flags, Bits) ((Flags) |= (Bits))
#define ClearFlag(Flags, Bits) ((Flags) &= ~(Bits))
#define LOBYTE(Value) ((UCHAR)((ULONG_PTR)(Value) & 0xff))
#define HIBYTE(Value) ((UCHAR)(((ULONG_PTR)(Value) >> 8) & 0xff))
#define LOWORD(Value) ((USHORT)((ULONG_PTR)(Value) & 0xffff))
#define HIWORD(Value) ((USHORT)(((ULONG_PTR)(Value) >> 16) & 0xffff))
#define PtrToUlong(p) ((ULONG)(ULONG_PTR)(p))
#define PtrToLong(p) ((LONG)(LONG_PTR)(p))
#define PtrToUint(p) ((UINT)(ULONG_PTR)(p))
#define HandleToUlong(h) ((ULONG)(ULONG_PTR)(h))
#define HandleToULong(h) ((ULONG)(ULONG_PTR)(h))
#define HandleToLong(h) ((LONG)(LONG_PTR)(h))
#define ULongToPtr(v) ((PVOID)(ULONG_PTR)(v))
#define UlongToPtr(v) ((PVOID)(ULONG_PTR)(v))
#define ULongToHandle(v) ((HANDLE)(ULONG_PTR)(v))
#define UlongToHandle(v) ((HANDLE)(ULONG_PTR)(v))
#define LongToPtr(v) ((PVOID)(LONG_PTR)(v))
#define LongToHandle(v) ((HANDLE)(LONG_PTR)(v))

#define UNREFERENCED_PARAMETER(p) ((void)(p))
#define UNREFERENCED_LOCAL_VARIABLE(v) ((void)(v))
#define DBG_UNREFERENCED_PARAMETER(p) ((void)(p))
#define DBG_UNREFERENCED_LOCAL_VARIABLE(v) ((void)(v))
#define DEFAULT_UNREACHABLE                                                                        \
    default:                                                                                       \
        __builtin_unreachable()

#define ANYSIZE_ARRAY 1

/* ---- Variable arguments of an NTAPI routine ---- */

#ifdef _WIN32
typedef __builtin_va_list NT_VA_LIST;
#define NT_VA_START(List, Last) __builtin_va_start(List, Last)
#define NT_VA_END(List) __builtin_va_end(List)
#define NT_VA_COPY(To, From) __builtin_va_copy(To, From)
#else
typedef __builtin_ms_va_list NT_VA_LIST;
#define NT_VA_START(List, Last) __builtin_ms_va_start(List, Last)
#define NT_VA_END(List) __builtin_ms_va_end(List)
#define NT_VA_COPY(To, From) __builtin_ms_va_copy(To, From)
#endif
#define NT_VA_ARG(List, Type) __builtin_va_arg(List, Type)

/* ---- Fast fail: ends the system with bug check 0x139 and this code as first parameter ---- */

#define FAST_FAIL_LEGACY_GS_VIOLATION 0
#define FAST_FAIL_STACK_COOKIE_CHECK_FAILURE 2
#define FAST_FAIL_CORRUPT_LIST_ENTRY 3
#define FAST_FAIL_INCORRECT_STACK 4
#define FAST_FAIL_INVALID_ARG 5
#define FAST_FAIL_GS_COOKIE_INIT 6
#define FAST_FAIL_FATAL_APP_EXIT 7
#define FAST_FAIL_RANGE_CHECK_FAILURE 8
#define FAST_FAIL_INVALID_REFERENCE_COUNT 14
#define FAST_FAIL_INVALID_BALANCED_TREE 29
#define FAST_FAIL_UNEXPECTED_CALL 56

DECLSPEC_NORETURN FORCEINLINE VOID
RtlFailFast(_In_ ULONG Code)
{
    __asm__ __volatile__("int $0x29" : : "c"(Code) : "memory");
    __builtin_unreachable();
}

EXTERN_C_END

#endif
