/*
 * The start and the end of a run.
 *
 * KiSystemStartup brings the parts up in layer order on the first processor and leaves the rest to the first
 * system thread: the system image, then the driver's life (run.c) or, in a machine without an image, the kernel
 * tests. Whatever ends a run, the end of the driver's life or a stop (bug check, missing import, time-out),
 * goes through InitWriteReport once, and then the machine exits with the contract's status.
 */
#ifndef INIT_INIT_H
#define INIT_INIT_H

#include <ke/finding.h>
#include <ldr/ldr.h>

/* Exit statuses of the command-line contract. */
#define INIT_EXIT_CLEAN 0
#define INIT_EXIT_FINDING 1
#define INIT_EXIT_UNLOADABLE 2
#define INIT_EXIT_BUGCHECK 3
#define INIT_EXIT_IMAGE_FAILED 4
#define INIT_EXIT_STOPPED 5

/* How far the driver's life has come; what the report says of it. */
typedef struct _INIT_RUN {
    const char *ImageName;
    PLDR_MODULE Module;     /* NULL until it is loaded */
    PKTHREAD Thread;        /* that calls the driver's routines */
    BOOLEAN EntryCalled;
    BOOLEAN EntryReturned;
    NTSTATUS EntryStatus;
    BOOLEAN Unloaded;
    BOOLEAN Program;        /* it is one, not a driver: EntryStatus is its exit status */
    BOOLEAN Crashed;        /* which an exception ended that nobody handled */
    EXCEPTION_RECORD Crash;
    ULONG_PTR CrashRip;
} INIT_RUN;

extern INIT_RUN InitRun;

/* Live the driver's life. PASSIVE_LEVEL, in the first system thread. Returns the exit status without stops. */
ULONG InitRunDriver(const HAL_IMAGE_FILE *File);

/* Is the file a program? And a program's life (native.c). */
BOOLEAN InitIsNative(const HAL_IMAGE_FILE *File);
ULONG InitRunNative(const HAL_IMAGE_FILE *File);

/* Make the requests that were asked for, and wait for their end (ioctl.c). PASSIVE_LEVEL, while the driver is loaded. */
VOID InitSendRequests(PDRIVER_OBJECT Driver);
/* The part of the report about them. Any IRQL. */
VOID InitWriteRequests(VOID);

/* Record a finding about the driver's life, unless the verifier is off. */
VOID InitReportFinding(const KI_FINDING *Finding);

/* Record as findings what the image still holds. PASSIVE_LEVEL, after the image has been unloaded or has failed. */
VOID InitFindLeaks(VOID);

/* Give a finding the stack that MiNotePoolStack noted; 0 is none. */
VOID InitSetFindingStack(PKI_FINDING Finding, ULONG StackId);

/* Write the report. Stop NULL: the run ended by itself. Any IRQL. */
VOID InitWriteReport(const KI_STOP *Stop, ULONG ExitStatus);

/* Between leaks.c and report.c: the pool part of the report, and the tag table to compare with. */
VOID InitWritePoolReport(VOID);
VOID InitNotePoolTags(VOID);
/* Four printable characters of a pool tag, terminated; NULL if the tag is zero. */
const char *InitTagText(ULONG Tag, CHAR Text[5]);

/* Between the start of the driver and the end of its life, refuse the requests that the loader block names (fail.c). */
VOID InitStartFailures(VOID);
VOID InitStopFailures(VOID);
/* How many requests of the image were refused. Any IRQL. */
ULONG64 InitFailures(VOID);
/* The part of the report about them. Any IRQL. */
VOID InitWriteFailures(VOID);
/* A member "stack" of the report. Any IRQL. */
VOID InitWriteStack(PVOID const *Frames, ULONG Count);

/* Tell the trap handler what higher layers know of an address (fault.c). */
VOID InitRegisterFaults(VOID);

/* KiStopHandler: report and exit. */
VOID InitHandleStop(const KI_STOP *Stop);

#endif
