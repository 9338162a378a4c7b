/*
 * pe.h - reading PE32+ images: the structures of the file format and a parser over bytes.
 *
 * Two phases. LdrpCheckImage judges a whole file and fills an LDRP_IMAGE_INFO, which afterwards is
 * the only source of geometry: nothing is read twice from bytes that an image could change. The
 * walkers (relocations, imports, exports) then work on an LDRP_VIEW, either of the file or of the
 * image as mapped, and never read outside the headers and sections that the information describes.
 *
 * Pure: no allocation, no locks, no state; any IRQL at which the bytes are resident. Follows the
 * "PE Format" page of the Microsoft documentation.
 */
#ifndef NTMM_LDR_PE_H
#define NTMM_LDR_PE_H

#include <ntdef.h>
#include <ntstatus.h>

/* ---- The file format ---- */

#define IMAGE_DOS_SIGNATURE 0x5A4D     /* MZ */
#define IMAGE_OS2_SIGNATURE 0x454E     /* NE */
#define IMAGE_OS2_SIGNATURE_LE 0x454C  /* LE */
#define IMAGE_OS2_SIGNATURE_LX 0x584C  /* LX */
#define IMAGE_NT_SIGNATURE 0x00004550  /* PE\0\0 */

#define IMAGE_FILE_MACHINE_UNKNOWN 0
#define IMAGE_FILE_MACHINE_I386 0x014C
#define IMAGE_FILE_MACHINE_ARMNT 0x01C4
#define IMAGE_FILE_MACHINE_IA64 0x0200
#define IMAGE_FILE_MACHINE_AMD64 0x8664
#define IMAGE_FILE_MACHINE_ARM64 0xAA64

#define IMAGE_FILE_RELOCS_STRIPPED 0x0001
#define IMAGE_FILE_EXECUTABLE_IMAGE 0x0002
#define IMAGE_FILE_LARGE_ADDRESS_AWARE 0x0020
#define IMAGE_FILE_SYSTEM 0x1000
#define IMAGE_FILE_DLL 0x2000

#define IMAGE_NT_OPTIONAL_HDR32_MAGIC 0x10B
#define IMAGE_NT_OPTIONAL_HDR64_MAGIC 0x20B

#define IMAGE_SUBSYSTEM_UNKNOWN 0
#define IMAGE_SUBSYSTEM_NATIVE 1
#define IMAGE_SUBSYSTEM_WINDOWS_GUI 2
#define IMAGE_SUBSYSTEM_WINDOWS_CUI 3

#define IMAGE_DIRECTORY_ENTRY_EXPORT 0
#define IMAGE_DIRECTORY_ENTRY_IMPORT 1
#define IMAGE_DIRECTORY_ENTRY_RESOURCE 2
#define IMAGE_DIRECTORY_ENTRY_EXCEPTION 3
#define IMAGE_DIRECTORY_ENTRY_SECURITY 4 /* a file offset, the only one that is no RVA */
#define IMAGE_DIRECTORY_ENTRY_BASERELOC 5
#define IMAGE_DIRECTORY_ENTRY_DEBUG 6
#define IMAGE_DIRECTORY_ENTRY_TLS 9
#define IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG 10
#define IMAGE_DIRECTORY_ENTRY_BOUND_IMPORT 11
#define IMAGE_DIRECTORY_ENTRY_IAT 12
#define IMAGE_DIRECTORY_ENTRY_DELAY_IMPORT 13
#define IMAGE_DIRECTORY_ENTRY_COM_DESCRIPTOR 14
#define IMAGE_NUMBEROF_DIRECTORY_ENTRIES 16

#define IMAGE_SCN_CNT_CODE 0x00000020
#define IMAGE_SCN_CNT_INITIALIZED_DATA 0x00000040
#define IMAGE_SCN_CNT_UNINITIALIZED_DATA 0x00000080
#define IMAGE_SCN_MEM_DISCARDABLE 0x02000000
#define IMAGE_SCN_MEM_NOT_CACHED 0x04000000
#define IMAGE_SCN_MEM_NOT_PAGED 0x08000000
#define IMAGE_SCN_MEM_SHARED 0x10000000
#define IMAGE_SCN_MEM_EXECUTE 0x20000000
#define IMAGE_SCN_MEM_READ 0x40000000
#define IMAGE_SCN_MEM_WRITE 0x80000000

#define IMAGE_REL_BASED_ABSOLUTE 0
#define IMAGE_REL_BASED_DIR64 10

#define IMAGE_ORDINAL_FLAG64 0x8000000000000000ULL
#define IMAGE_SIZEOF_SHORT_NAME 8

typedef struct _IMAGE_DOS_HEADER {
    USHORT e_magic;
    USHORT e_cblp;
    USHORT e_cp;
    USHORT e_crlc;
    USHORT e_cparhdr;
    USHORT e_minalloc;
    USHORT e_maxalloc;
    USHORT e_ss;
    USHORT e_sp;
    USHORT e_csum;
    USHORT e_ip;
    USHORT e_cs;
    USHORT e_lfarlc;
    USHORT e_ovno;
    USHORT e_res[4];
    USHORT e_oemid;
    USHORT e_oeminfo;
    USHORT e_res2[10];
    LONG e_lfanew; /* file offset of the PE signature */
} IMAGE_DOS_HEADER, *PIMAGE_DOS_HEADER;

typedef struct _IMAGE_FILE_HEADER {
    USHORT Machine;
    USHORT NumberOfSections;
    ULONG TimeDateStamp;
    ULONG PointerToSymbolTable;
    ULONG NumberOfSymbols;
    USHORT SizeOfOptionalHeader;
    USHORT Characteristics;
} IMAGE_FILE_HEADER, *PIMAGE_FILE_HEADER;

typedef struct _IMAGE_DATA_DIRECTORY {
    ULONG VirtualAddress;
    ULONG Size;
} IMAGE_DATA_DIRECTORY, *PIMAGE_DATA_DIRECTORY;

typedef struct _IMAGE_OPTIONAL_HEADER64 {
    USHORT Magic;
    UCHAR MajorLinkerVersion;
    UCHAR MinorLinkerVersion;
    ULONG SizeOfCode;
    ULONG SizeOfInitializedData;
    ULONG SizeOfUninitializedData;
    ULONG AddressOfEntryPoint;
    ULONG BaseOfCode;
    ULONG64 ImageBase;
    ULONG SectionAlignment;
    ULONG FileAlignment;
    USHORT MajorOperatingSystemVersion;
    USHORT MinorOperatingSystemVersion;
    USHORT MajorImageVersion;
    USHORT MinorImageVersion;
    USHORT MajorSubsystemVersion;
    USHORT MinorSubsystemVersion;
    ULONG Win32VersionValue;
    ULONG SizeOfImage;
    ULONG SizeOfHeaders;
    ULONG CheckSum;
    USHORT Subsystem;
    USHORT DllCharacteristics;
    ULONG64 SizeOfStackReserve;
    ULONG64 SizeOfStackCommit;
    ULONG64 SizeOfHeapReserve;
    ULONG64 SizeOfHeapCommit;
    ULONG LoaderFlags;
    ULONG NumberOfRvaAndSizes;
    IMAGE_DATA_DIRECTORY DataDirectory[IMAGE_NUMBEROF_DIRECTORY_ENTRIES];
} IMAGE_OPTIONAL_HEADER64, *PIMAGE_OPTIONAL_HEADER64;

typedef struct _IMAGE_NT_HEADERS64 {
    ULONG Signature;
    IMAGE_FILE_HEADER FileHeader;
    IMAGE_OPTIONAL_HEADER64 OptionalHeader;
} IMAGE_NT_HEADERS64, *PIMAGE_NT_HEADERS64;

typedef struct _IMAGE_SECTION_HEADER {
    UCHAR Name[IMAGE_SIZEOF_SHORT_NAME];
    union {
        ULONG PhysicalAddress;
        ULONG VirtualSize;
    } Misc;
    ULONG VirtualAddress;
    ULONG SizeOfRawData;
    ULONG PointerToRawData;
    ULONG PointerToRelocations;
    ULONG PointerToLinenumbers;
    USHORT NumberOfRelocations;
    USHORT NumberOfLinenumbers;
    ULONG Characteristics;
} IMAGE_SECTION_HEADER, *PIMAGE_SECTION_HEADER;

typedef struct _IMAGE_BASE_RELOCATION {
    ULONG VirtualAddress; /* page that the block's entries are relative to */
    ULONG SizeOfBlock;    /* with this header; then 16-bit entries: type 4, offset 12 */
} IMAGE_BASE_RELOCATION, *PIMAGE_BASE_RELOCATION;

typedef struct _IMAGE_IMPORT_DESCRIPTOR {
    ULONG OriginalFirstThunk; /* RVA of the names; 0 when FirstThunk holds them */
    ULONG TimeDateStamp;      /* not 0: bound */
    ULONG ForwarderChain;
    ULONG Name; /* RVA of the module's name */
    ULONG FirstThunk;
} IMAGE_IMPORT_DESCRIPTOR, *PIMAGE_IMPORT_DESCRIPTOR;

typedef struct _IMAGE_EXPORT_DIRECTORY {
    ULONG Characteristics;
    ULONG TimeDateStamp;
    USHORT MajorVersion;
    USHORT MinorVersion;
    ULONG Name;
    ULONG Base;
    ULONG NumberOfFunctions;
    ULONG NumberOfNames;
    ULONG AddressOfFunctions;
    ULONG AddressOfNames;
    ULONG AddressOfNameOrdinals;
} IMAGE_EXPORT_DIRECTORY, *PIMAGE_EXPORT_DIRECTORY;

C_ASSERT(sizeof(IMAGE_DOS_HEADER) == 64 && offsetof(IMAGE_DOS_HEADER, e_lfanew) == 60);
C_ASSERT(sizeof(IMAGE_FILE_HEADER) == 20 && sizeof(IMAGE_DATA_DIRECTORY) == 8);
C_ASSERT(sizeof(IMAGE_OPTIONAL_HEADER64) == 240 && sizeof(IMAGE_NT_HEADERS64) == 264);
C_ASSERT(offsetof(IMAGE_OPTIONAL_HEADER64, ImageBase) == 24);
C_ASSERT(offsetof(IMAGE_OPTIONAL_HEADER64, Subsystem) == 68);
C_ASSERT(offsetof(IMAGE_OPTIONAL_HEADER64, DataDirectory) == 112);
C_ASSERT(sizeof(IMAGE_SECTION_HEADER) == 40 && sizeof(IMAGE_BASE_RELOCATION) == 8);
C_ASSERT(sizeof(IMAGE_IMPORT_DESCRIPTOR) == 20 && sizeof(IMAGE_EXPORT_DIRECTORY) == 40);

/* ---- What the check found out ---- */

#define LDRP_MAXIMUM_SECTIONS 96      /* the documented limit */
#define LDRP_MAXIMUM_MODULES 1024     /* import descriptors of one image */
#define LDRP_MAXIMUM_IMPORTS 65536    /* imported symbols of one image */
#define LDRP_MAXIMUM_EXPORTS 65536    /* an ordinal has 16 bits */
#define LDRP_MAXIMUM_NAME 512         /* bytes of a symbol or module name, with terminator */
#define LDRP_MAXIMUM_IMAGE 0x20000000 /* bytes of an image in memory */

typedef struct _LDRP_SECTION {
    CHAR Name[IMAGE_SIZEOF_SHORT_NAME]; /* zero-padded, perhaps without terminator */
    ULONG VirtualAddress;               /* RVA, a multiple of the section alignment */
    ULONG VirtualSize;                  /* bytes as declared, never 0 */
    ULONG FileOffset;                   /* first byte in the file */
    ULONG FileSize;                     /* bytes to copy from there; the rest is zero */
    ULONG Characteristics;              /* IMAGE_SCN_* */
} LDRP_SECTION, *PLDRP_SECTION;

typedef struct _LDRP_IMAGE_INFO {
    const char *Reason;     /* why the image was refused: one clause of English; NULL on success */
    ULONG64 PreferredBase;  /* where it runs without relocation, a multiple of 64 KB */
    ULONG ImageSize;        /* bytes in memory, whole pages */
    ULONG HeaderSize;       /* bytes of the file mapped at RVA 0 */
    ULONG EntryPoint;       /* RVA, inside an executable section */
    ULONG TimeDateStamp;    /* as in the file */
    ULONG CheckSum;         /* as in the file, not verified */
    USHORT Characteristics; /* IMAGE_FILE_* */
    USHORT DllCharacteristics;
    USHORT SectionCount;
    ULONG SecurityCookie;  /* RVA of the 8 bytes to seed, 0: none */
    ULONG RelocationCount; /* addresses to adjust when moved */
    ULONG ImportCount;     /* symbols imported, over all modules */
    ULONG FunctionCount;   /* entries of the exception directory */
    IMAGE_DATA_DIRECTORY Directory[IMAGE_NUMBEROF_DIRECTORY_ENTRIES];
    LDRP_SECTION Section[LDRP_MAXIMUM_SECTIONS];
} LDRP_IMAGE_INFO, *PLDRP_IMAGE_INFO;

/*
 * Judge the Size bytes at File: can this be loaded as a driver or native program for x64? On
 * success fills *Info. On failure Info->Reason is the only field that means something:
 *   STATUS_INVALID_IMAGE_NOT_MZ     empty, or no MZ at the start
 *   STATUS_INVALID_IMAGE_PROTECT    a DOS program
 *   STATUS_INVALID_IMAGE_WIN_16, _LE_FORMAT   a 16-bit Windows program, an LE/LX image
 *   STATUS_INVALID_IMAGE_WIN_32     a 32-bit x86 image
 *   STATUS_NOT_SUPPORTED            valid but beyond this loader: .NET, thread-local storage,
 *                                   delay-loaded imports, sections that share pages
 *   STATUS_INVALID_IMAGE_FORMAT     anything else, truncation and other processors included
 */
NTSTATUS
LdrpCheckImage(_In_ const void *File, _In_ SIZE_T Size, _Out_ PLDRP_IMAGE_INFO Info);

/*
 * Copy headers and sections of a checked file to Image, which has Info->ImageSize bytes, all zero.
 * Gaps between sections are not touched.
 */
VOID
LdrpCopyImage(_In_ const void *File, _In_ const LDRP_IMAGE_INFO *Info, _Out_ void *Image);

/* The section that contains Rva (rounded up to whole pages), or NULL: a header or a gap. */
const LDRP_SECTION *
LdrpFindSection(_In_ const LDRP_IMAGE_INFO *Info, _In_ ULONG Rva);

/* ---- Walking the directories ---- */

/* The bytes of an image, addressed by RVA. */
typedef struct _LDRP_VIEW {
    const LDRP_IMAGE_INFO *Info;
    UCHAR *Bytes;   /* the image, or the file when Mapped is FALSE (then never written) */
    BOOLEAN Mapped; /* each section lies at its RVA */
} LDRP_VIEW, *PLDRP_VIEW;

/* Describe an image that lies at Image as LdrpCopyImage left it. */
FORCEINLINE LDRP_VIEW
LdrpMappedView(_In_ const LDRP_IMAGE_INFO *Info, _In_ void *Image)
{
    LDRP_VIEW View = {Info, (UCHAR *)Image, TRUE};

    return View;
}

/*
 * Copy Length bytes at Rva to Buffer, zeros where a section is longer than its bytes in the file.
 * FALSE, and nothing copied, when the range is not inside the headers or one section.
 */
BOOLEAN
LdrpReadView(_In_ const LDRP_VIEW *View, _In_ ULONG Rva, _Out_ void *Buffer, _In_ ULONG Length);

/*
 * Copy the terminated string at Rva. FALSE when it leaves its section or does not fit into
 * Capacity bytes with its terminator.
 */
BOOLEAN
LdrpReadName(_In_ const LDRP_VIEW *View, _In_ ULONG Rva, _Out_ char *Buffer, _In_ ULONG Capacity);

/*
 * Add Delta (actual minus preferred base) to every address that the image lists. All entries are
 * checked before the first is changed. STATUS_CONFLICTING_ADDRESSES: Delta is not 0 and relocations
 * were stripped. STATUS_INVALID_IMAGE_FORMAT: the list is damaged; *Reason, if given, says how.
 */
NTSTATUS
LdrpRelocateImage(_In_ const LDRP_VIEW *View, _In_ LONGLONG Delta, _Out_opt_ const char **Reason);

/* One imported symbol; the strings live only for the call that receives it. */
typedef struct _LDRP_IMPORT {
    const char *Module; /* as spelled in the image */
    const char *Name;   /* NULL: imported by Ordinal */
    USHORT Ordinal;     /* the hint when Name is given */
    ULONG SlotRva;      /* where the 8-byte address goes */
} LDRP_IMPORT, *PLDRP_IMPORT;

/* Called for each import, in the image's order; an error ends the walk and is its result. */
typedef NTSTATUS LDRP_IMPORT_ROUTINE(_In_opt_ void *Context, _In_ const LDRP_IMPORT *Import);

/*
 * Call Routine for every import of the image. Slots may be written as they are reported. Imports
 * that were bound are reported like all others. STATUS_INVALID_IMAGE_FORMAT: the directory is
 * damaged or beyond the limits above; *Reason, if given, says how.
 */
NTSTATUS
LdrpEnumerateImports(_In_ const LDRP_VIEW *View, _In_ LDRP_IMPORT_ROUTINE *Routine,
                     _In_opt_ void *Context, _Out_opt_ const char **Reason);

typedef struct _LDRP_EXPORT {
    ULONG Rva;                         /* of the routine or variable; 0: Forwarder says where */
    USHORT Ordinal;                    /* with the directory's base added */
    CHAR Forwarder[LDRP_MAXIMUM_NAME]; /* "Module.Symbol" or "Module.#Ordinal", else empty */
} LDRP_EXPORT, *PLDRP_EXPORT;

/*
 * Look an export up by name (case counts; binary search, as the names are sorted).
 * STATUS_DRIVER_ENTRYPOINT_NOT_FOUND: there is none. STATUS_INVALID_IMAGE_FORMAT: damaged.
 */
NTSTATUS
LdrpFindExportByName(_In_ const LDRP_VIEW *View, _In_ const char *Name, _Out_ PLDRP_EXPORT Export);

/*
 * Look an export up by ordinal. STATUS_DRIVER_ORDINAL_NOT_FOUND: there is none, or the slot is
 * empty. STATUS_INVALID_IMAGE_FORMAT: damaged.
 */
NTSTATUS
LdrpFindExportByOrdinal(_In_ const LDRP_VIEW *View, _In_ USHORT Ordinal, _Out_ PLDRP_EXPORT Export);

#endif
