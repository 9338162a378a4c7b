/*
 * main.c - the hosted machine's process: options, files, and the order in which it is put
 * together.
 *
 *   ntmm-hosted --memory BYTES --processors N --seed N [--pagefile BYTES] [--nodes N]
 *               [--report-fd FD] [--timeout-ms N] [--drive L:=DIR]...
 *               [--ioctl CODE:OUTPUT:DEVICE [--ioctl-hex BYTES | --ioctl-file FILE]]...
 *               [--registry FILE] [--fail RULE] [--no-verify] [--test WORDS] [IMAGE...]
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

#include <hal/option.h>
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

VOID DECLSPEC_NORETURN
HalpRefuseOption(const char *Option, const char *Value, const char *Why)
{
    if (Value == NULL) {
        HalpRefuse("--%s %s", Option, Why);
    }
    HalpRefuse("--%s: \"%s\" %s", Option, Value, Why);
}

/*
 * --- Files ----------------------------------------------------------------------------------------
 */

/* The whole of it, read before anything is given up. */
const VOID *
HalpOptionFile(const char *Option, const char *Path, PSIZE_T Size)
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

/*
 * --- Options ------------------------------------------------------------------------------------
 * ---------------
 */

/* An option that only this machine has. */
static BOOLEAN
HalpParseOwn(HALP_OPTIONS *Options, const char *Name, const char *Value)
{
    struct {
        const char *Name;
        PULONG64 Place;
        ULONG64 Lowest;
        ULONG64 Highest;
    } const Numbers[] = {
        {"memory", &Options->Memory, 0, MAXULONGLONG},
        {"processors", &Options->Processors, 1, HAL_MAXIMUM_PROCESSORS},
        {"nodes", &Options->Nodes, 1, 16},
        {"report-fd", &Options->ReportFd, 0, 1023},
        {"timeout-ms", &Options->Timeout, 0, 1000000000000ull},
    };
    ULONG Index;

    for (Index = 0; Index < RTL_NUMBER_OF(Numbers); Index += 1) {
        if (strcmp(Name, Numbers[Index].Name) == 0) {
            *Numbers[Index].Place = HalpOptionNumber(Name, Value, Numbers[Index].Lowest, Numbers[Index].Highest);
            return TRUE;
        }
    }
    return FALSE;
}

static VOID
HalpParse(HALP_OPTIONS *Options, int Count, char **Words)
{
    int Index;

    for (Index = 1; Index < Count; Index += 1) {
        const char *Name = Words[Index] + 2;

        if (strncmp(Words[Index], "--", 2) != 0) {
            HalpTakeOption(&HalpLoaderBlock, "image", Words[Index]);
        } else if (HalpOptionIsFlag(Name)) {
            HalpTakeOption(&HalpLoaderBlock, Name, NULL);
        } else if (Index + 1 == Count) {
            HalpRefuseOption(Name, NULL, "needs a value");
        } else {
            Index += 1;
            if (!HalpParseOwn(Options, Name, Words[Index]) &&
                !HalpTakeOption(&HalpLoaderBlock, Name, Words[Index])) {
                HalpRefuseOption(Name, NULL, "does not exist");
            }
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
    HALP_OPTIONS Options = {256ull << 20, 2, 1, MAXULONG, 0};

    if (Count == 2 && strcmp(Words[1], "--exports") == 0) {
        return HalpPrintExports();
    }
    HalpStopRandomization(Words);
    HalpLoaderBlock.Seed = 1;
    HalpParse(&Options, Count, Words);
    HalpInitializeConsole(Options.ReportFd == MAXULONG ? -1 : (int)Options.ReportFd);
    HalpInitializeSeed(HalpLoaderBlock.Seed);
    HalpLoaderBlock.MemoryBytes = Options.Memory;
    HalpLoaderBlock.MachineName = "hosted";
    HalpLoaderBlock.Isolation = "none";
    HalpInitializeTlb();
    HalpInitializeMemory(&HalpLoaderBlock, (ULONG)Options.Nodes, (ULONG)Options.Processors);
    HalpInitializeEmulation();
    HalpInitializeTraps(Options.Timeout);
    HalpConfine();
    HalpStartCore(&HalpLoaderBlock);
}
