/*
 * main.c - the hosted machine's process: options, images, and the order in which it is put
 * together.
 *
 *   ntmm-hosted --memory BYTES --processors N --seed N [--pagefile BYTES] [--nodes N]
 *               [--report-fd FD] [--timeout-ms N] [--drive L:=DIR]...
 *               [--ioctl CODE:OUTPUT:DEVICE [--ioctl-hex BYTES | --ioctl-file FILE]]... [IMAGE...]
 *   ntmm-hosted --exports      what images can import, as a .def file for an import library
 *
 * The supervisor (cli/) starts it and has checked what a person typed; here a mistake is one line
 * and exit 2. Images are read whole before anything is given up; with none, the kernel's own tests
 * are what runs. Then memory, traps, confinement, and the core on the first processor's stack. May
 * use libraries: nothing of the core runs yet.
 */
#define _GNU_SOURCE
#include "halp.h"
#include "hostsys.h"

#include <ntexport.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <unistd.h>

#define HALP_MAXIMUM_IMAGE_BYTES (1ull << 30)

static HAL_LOADER_BLOCK HalpLoaderBlock;

typedef struct _HALP_OPTIONS {
    ULONG64 Memory;
    ULONG64 Processors;
    ULONG64 PageFile;
    ULONG64 Seed;
    ULONG64 Nodes;
    ULONG64 ReportFd;
    ULONG64 Timeout;
} HALP_OPTIONS;

VOID DECLSPEC_NORETURN
HalpRefuse(const char *Format, ...)
{
    char Line[512];
    va_list Arguments;
    int Length;

    va_start(Arguments, Format);
    Length = vsnprintf(Line, sizeof(Line) - 1, Format, Arguments);
    va_end(Arguments);
    if (Length > (int)sizeof(Line) - 2) {
        Length = (int)sizeof(Line) - 2;
    }
    Line[Length] = '\n';
    HalPutDiagnostic("ntmm: ", 6);
    HalPutDiagnostic(Line, (SIZE_T)Length + 1);
    HalExit(2);
}

static ULONG64
HalpParseNumber(const char *Option, const char *Text, ULONG64 Lowest, ULONG64 Highest)
{
    ULONG64 Value;
    char *End;

    errno = 0;
    Value = strtoull(Text, &End, 0);
    if (errno != 0 || End == Text || *End != 0 || *Text == '-' || Value < Lowest || Value > Highest) {
        HalpRefuse("%s: \"%s\" is not a number from %llu to %llu", Option, Text, Lowest, Highest);
    }
    return Value;
}

/*
 * --- Images -------------------------------------------------------------------------------------
 * -------------
 */

static PVOID
HalpReadFile(const char *Path, PSIZE_T Size)
{
    struct stat Status;
    PUCHAR Bytes;
    ssize_t Got;
    SIZE_T Read;
    int File;

    File = open(Path, O_RDONLY | O_CLOEXEC);
    if (File < 0 || fstat(File, &Status) != 0) {
        HalpRefuse("%s: %s", Path, strerror(errno));
    }
    if (!S_ISREG(Status.st_mode)) {
        HalpRefuse("%s: not a file", Path);
    }
    if ((ULONG64)Status.st_size > HALP_MAXIMUM_IMAGE_BYTES) {
        HalpRefuse("%s: larger than any image can be", Path);
    }
    *Size = (SIZE_T)Status.st_size;
    Bytes = mmap(NULL, *Size + PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (Bytes == MAP_FAILED) {
        HalpRefuse("%s: no memory to read it", Path);
    }
    for (Read = 0; Read < *Size; Read += (SIZE_T)Got) {
        Got = read(File, Bytes + Read, *Size - Read);
        if (Got < 0 && errno == EINTR) {
            Got = 0;
        } else if (Got <= 0) {
            HalpRefuse("%s: %s", Path, Got < 0 ? strerror(errno) : "it shrank while it was read");
        }
    }
    close(File);
    return Bytes;
}

static VOID
HalpAddImage(const char *Path)
{
    PHAL_IMAGE_FILE Image;
    const char *Slash;

    if (HalpLoaderBlock.ImageCount == HAL_MAXIMUM_IMAGES) {
        HalpRefuse("at most %d images can be loaded", HAL_MAXIMUM_IMAGES);
    }
    Image = &HalpLoaderBlock.Images[HalpLoaderBlock.ImageCount];
    Slash = strrchr(Path, '/');
    Image->Name = Slash == NULL ? Path : Slash + 1;
    Image->Bytes = HalpReadFile(Path, &Image->Size);
    HalpLoaderBlock.ImageCount += 1;
}

/*
 * --- Requests -------------------------------------------------------------------------------------
 */

/* CODE:OUTPUT:DEVICE, the numbers in decimal; DEVICE may be empty. */
static VOID
HalpAddRequest(const char *Value)
{
    PHAL_REQUEST Request;
    ULONG64 Code;
    ULONG64 OutputLength;
    char *Colon;

    if (HalpLoaderBlock.RequestCount == HAL_MAXIMUM_REQUESTS) {
        HalpRefuse("at most %d requests can be made", HAL_MAXIMUM_REQUESTS);
    }
    Code = strtoull(Value, &Colon, 10);
    OutputLength = *Colon == ':' ? strtoull(Colon + 1, &Colon, 10) : 0;
    if (*Colon != ':' || Code > MAXULONG || OutputLength > HAL_MAXIMUM_REQUEST_BYTES) {
        HalpRefuse("--ioctl: \"%s\" is not CODE:OUTPUT:DEVICE", Value);
    }
    Request = &HalpLoaderBlock.Requests[HalpLoaderBlock.RequestCount];
    Request->Code = (ULONG)Code;
    Request->OutputLength = (ULONG)OutputLength;
    Request->Device = Colon + 1;
    HalpLoaderBlock.RequestCount += 1;
}

static ULONG
HalpHexDigit(char Digit)
{
    const char *Digits = "0123456789abcdef";
    const char *Place;

    Place = Digit == 0 ? NULL : strchr(Digits, Digit | (Digit >= 'A' ? 0x20 : 0));
    if (Place == NULL) {
        HalpRefuse("--ioctl-hex: not pairs of hexadecimal digits");
    }
    return (ULONG)(Place - Digits);
}

/* The input of the last request: digits, or a file. */
static VOID
HalpAddInput(const char *Value, BOOLEAN File)
{
    PHAL_REQUEST Request;
    PUCHAR Bytes;
    SIZE_T Size;
    SIZE_T Index;

    if (HalpLoaderBlock.RequestCount == 0) {
        HalpRefuse("input without --ioctl");
    }
    Request = &HalpLoaderBlock.Requests[HalpLoaderBlock.RequestCount - 1];
    if (File) {
        Bytes = HalpReadFile(Value, &Size);
    } else {
        Size = (strlen(Value) + 1) / 2;
        Bytes = malloc(Size + 1);
        if (Bytes == NULL) {
            HalpRefuse("--ioctl-hex: no memory");
        }
        for (Index = 0; Index < Size; Index += 1) {
            Bytes[Index] = (UCHAR)(HalpHexDigit(Value[2 * Index]) << 4 | HalpHexDigit(Value[2 * Index + 1]));
        }
    }
    if (Size > HAL_MAXIMUM_REQUEST_BYTES) {
        HalpRefuse("%s: more than a request's input can be", Value);
    }
    Request->Input = Bytes;
    Request->InputLength = (ULONG)Size;
}

/*
 * --- Options ------------------------------------------------------------------------------------
 * ---------------
 */

static VOID
HalpParseOption(HALP_OPTIONS *Options, const char *Option, const char *Value)
{
    struct {
        const char *Name;
        PULONG64 Place;
        ULONG64 Lowest;
        ULONG64 Highest;
    } const Numbers[] = {
        {"--memory", &Options->Memory, 0, MAXULONGLONG},
        {"--processors", &Options->Processors, 1, HAL_MAXIMUM_PROCESSORS},
        {"--pagefile", &Options->PageFile, 0, MAXULONGLONG},
        {"--seed", &Options->Seed, 0, MAXULONGLONG},
        {"--nodes", &Options->Nodes, 1, 16},
        {"--report-fd", &Options->ReportFd, 0, 1023},
        {"--timeout-ms", &Options->Timeout, 0, 1000000000000ull},
    };
    ULONG Index;

    if (strcmp(Option, "--drive") == 0) {
        return; /* no file is mapped yet; the supervisor says so */
    }
    if (strcmp(Option, "--ioctl") == 0) {
        HalpAddRequest(Value);
        return;
    }
    if (strcmp(Option, "--ioctl-hex") == 0 || strcmp(Option, "--ioctl-file") == 0) {
        HalpAddInput(Value, Option[8] == 'f');
        return;
    }
    for (Index = 0; Index < RTL_NUMBER_OF(Numbers); Index += 1) {
        if (strcmp(Option, Numbers[Index].Name) == 0) {
            *Numbers[Index].Place =
                HalpParseNumber(Option, Value, Numbers[Index].Lowest, Numbers[Index].Highest);
            return;
        }
    }
    HalpRefuse("%s: no such option", Option);
}

static VOID
HalpParse(HALP_OPTIONS *Options, int Count, char **Words)
{
    int Index;

    for (Index = 1; Index < Count; Index += 1) {
        if (strncmp(Words[Index], "--", 2) != 0) {
            HalpAddImage(Words[Index]);
        } else if (Index + 1 == Count) {
            HalpRefuse("%s: a value is missing", Words[Index]);
        } else {
            HalpParseOption(Options, Words[Index], Words[Index + 1]);
            Index += 1;
        }
    }
}

/*
 * Host addresses must not vary, in case one shows: start again without address-space
 * randomization.
 */
static VOID
HalpStopRandomization(char **Words)
{
    int Persona;

    Persona = personality(0xFFFFFFFF);
    if (Persona >= 0 && (Persona & ADDR_NO_RANDOMIZE) == 0 &&
        personality((unsigned long)Persona | ADDR_NO_RANDOMIZE) >= 0) {
        execv("/proc/self/exe", Words);
    }
}

#ifdef HALP_ASAN
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
    return "exitcode=99:detect_leaks=0:detect_stack_use_after_return=0:handle_segv=0:handle_sigbus=0:"
           "handle_sigill=0:handle_sigfpe=0:use_sigaltstack=0:allow_user_segv_handler=1";
}
#endif

/* The tests of the machine itself link no core, so have no table. */
#pragma weak __start_ntexports
#pragma weak __stop_ntexports

static int
HalpPrintExports(VOID)
{
    const NT_EXPORT *Export;

    puts("LIBRARY ntoskrnl.exe\nEXPORTS");
    for (Export = __start_ntexports; Export < __stop_ntexports; Export += 1) {
        printf("%s%s\n", Export->Name, Export->Size != 0 ? " DATA" : "");
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

int
main(int Count, char **Words)
{
    HALP_OPTIONS Options = {256ull << 20, 2, 0, 1, 1, MAXULONG, 0};

    if (Count == 2 && strcmp(Words[1], "--exports") == 0) {
        return HalpPrintExports();
    }
    HalpStopRandomization(Words);
    HalpParse(&Options, Count, Words);
    HalpInitializeConsole(Options.ReportFd == MAXULONG ? -1 : (int)Options.ReportFd);
    HalpInitializeSeed(Options.Seed);
    HalpLoaderBlock.Seed = Options.Seed;
    HalpLoaderBlock.MemoryBytes = Options.Memory;
    HalpLoaderBlock.PageFileBytes = Options.PageFile;
    HalpLoaderBlock.MachineName = "hosted";
    HalpLoaderBlock.Isolation = "none";
    HalpInitializeTlb();
    HalpInitializeMemory(&HalpLoaderBlock, (ULONG)Options.Nodes, (ULONG)Options.Processors);
    HalpInitializeEmulation();
    HalpInitializeTraps(Options.Timeout);
    HalpConfine();
    HalpStartCore(&HalpLoaderBlock);
}
