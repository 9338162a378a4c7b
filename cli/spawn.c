/*
 * spawn.c - start a machine.
 *
 * The machine begins like a program started by hand, with nothing of ours but the descriptors it is to have. A pipe of its
 * own, which closes by itself when the program is executed, tells why it could not be.
 */
#include "spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "diag.h"

#define MACHINE_STACK_LIMIT ((rlim_t)8 << 20)
#define MAXIMUM_DESCRIPTORS 16

/* Both ends of every pipe while the machine is started; -1: closed, or never opened. */
typedef struct _SPAWN_PIPES {
    int Ours[SpawnPipeCount];
    int Its[SpawnPipeCount];
} SPAWN_PIPES;

/* The same few variables for every machine: what it does must not depend on who starts it. */
static char *const MachineEnvironment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC0", NULL};

/*
 * In the child: give signals back their defaults, so that the machine starts like a program
 * started by hand.
 */
static void
SpawnpResetSignals(void)
{
    sigset_t None;
    int Number;

    for (Number = 1; Number < NSIG; Number += 1) {
        (void)signal(Number, SIG_DFL);
    }
    sigemptyset(&None);
    sigprocmask(SIG_SETMASK, &None, NULL);
}

/*
 * In the child: make the address space the same for each run. A container may forbid personality;
 * the machine's own addresses come from its seed, so that is no reason to stop. An unlimited stack
 * would make Linux lay out mappings from the bottom, in the way of the machine's user range.
 */
static void
SpawnpFixLayout(void)
{
    struct rlimit Stack;
    int Persona = personality(0xFFFFFFFF);

    if (Persona != -1) {
        (void)personality((unsigned long)Persona | ADDR_NO_RANDOMIZE);
    }
    if (getrlimit(RLIMIT_STACK, &Stack) == 0) {
        Stack.rlim_cur = Stack.rlim_max < MACHINE_STACK_LIMIT ? Stack.rlim_max
                                                              : MACHINE_STACK_LIMIT;
        (void)setrlimit(RLIMIT_STACK, &Stack);
    }
}

/* The pipe that a descriptor stands for; SpawnPipeCount if it stands for none. */
static SPAWN_PIPE
SpawnpPipe(int Descriptor)
{
    switch (Descriptor) {
    case CHILD_REPORT:
        return SpawnReport;
    case CHILD_ERRORS:
        return SpawnErrors;
    case CHILD_TEXT:
        return SpawnText;
    case CHILD_LINES:
        return SpawnLines;
    case CHILD_CONTROL:
        return SpawnControl;
    default:
        return SpawnPipeCount;
    }
}

/*
 * In the child: put the descriptors where the machine expects them, and ErrorEnd behind them, and close all others. All
 * are first moved out of the way of the numbers they will get.
 */
static bool
SpawnpArrangeDescriptors(const CHILD_COMMAND *Command, const SPAWN_PIPES *Pipes, int ErrorEnd)
{
    int Null = open("/dev/null", O_RDWR);
    int Count = (int)Command->DescriptorCount;
    int Copies[MAXIMUM_DESCRIPTORS + 1];
    int Index;

    for (Index = 0; Index < Count; Index += 1) {
        int Wanted = Command->Descriptors[Index];
        SPAWN_PIPE Pipe = SpawnpPipe(Wanted);
        int Source = Wanted == CHILD_NOTHING ? Null : Pipe == SpawnPipeCount ? Wanted : Pipes->Its[Pipe];

        Copies[Index] = fcntl(Source, F_DUPFD_CLOEXEC, MAXIMUM_DESCRIPTORS + 1);
        if (Copies[Index] < 0) {
            return false;
        }
    }
    Copies[Count] = fcntl(ErrorEnd, F_DUPFD_CLOEXEC, MAXIMUM_DESCRIPTORS + 1);
    for (Index = 0; Index < Count; Index += 1) {
        if (dup2(Copies[Index], Index) != Index) {
            return false;
        }
    }
    return dup3(Copies[Count], Count, O_CLOEXEC) == Count && close_range((unsigned)Count + 1, ~0U, 0) == 0;
}

/*
 * In the child: become the machine, or tell ErrorEnd why not.
 */
static _Noreturn void
SpawnpBecomeMachine(const CHILD_COMMAND *Command, pid_t Parent, const SPAWN_PIPES *Pipes, int ErrorEnd)
{
    int Error;

    SpawnpResetSignals();
    SpawnpFixLayout();
    if (!SpawnpArrangeDescriptors(Command, Pipes, ErrorEnd)) {
        Error = errno;
    } else {
        ErrorEnd = (int)Command->DescriptorCount;
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != Parent) {
            _exit(EXIT_STOPPED);
        }
        execve(Command->Path, Command->Arguments, MachineEnvironment);
        Error = errno;
    }
    (void)!write(ErrorEnd, &Error, sizeof(Error));
    _exit(EXIT_STOPPED);
}

/*
 * Wait until the machine has been started. Returns 0, or the errno it failed with.
 */
static int
SpawnpAwaitStart(int ErrorPipe)
{
    int Error = 0;
    ssize_t Length;

    do {
        Length = read(ErrorPipe, &Error, sizeof(Error));
    } while (Length < 0 && errno == EINTR);
    return Length == (ssize_t)sizeof(Error) ? Error : 0;
}

static void
SpawnpClose(int *Ends)
{
    int Index;

    for (Index = 0; Index < SpawnPipeCount; Index += 1) {
        if (Ends[Index] >= 0) {
            close(Ends[Index]);
            Ends[Index] = -1;
        }
    }
}

/*
 * Open the pipes that Command names. False with errno set, and some of them open.
 */
static bool
SpawnpOpenPipes(const CHILD_COMMAND *Command, SPAWN_PIPES *Pipes)
{
    unsigned Index;
    int Pipe;

    for (Pipe = 0; Pipe < SpawnPipeCount; Pipe += 1) {
        Pipes->Ours[Pipe] = Pipes->Its[Pipe] = -1;
    }
    for (Index = 0; Index < Command->DescriptorCount; Index += 1) {
        SPAWN_PIPE Kind = SpawnpPipe(Command->Descriptors[Index]);
        int Ends[2];

        if (Kind == SpawnPipeCount) {
            continue;
        }
        if (pipe2(Ends, O_CLOEXEC) != 0) {
            return false;
        }
        Pipes->Ours[Kind] = Ends[Kind == SpawnControl];
        Pipes->Its[Kind] = Ends[Kind != SpawnControl];
        (void)fcntl(Pipes->Ours[Kind], F_SETFL, O_NONBLOCK);
    }
    return true;
}

int
SpawnMachine(const CHILD_COMMAND *Command, SPAWN *Spawn)
{
    pid_t Parent = getpid();
    SPAWN_PIPES Pipes;
    int Errors[2] = {-1, -1};
    int Error = 0;
    int Index;

    if (!SpawnpOpenPipes(Command, &Pipes) || pipe2(Errors, O_CLOEXEC) != 0) {
        Error = errno;
        goto ClosePipes;
    }
    Spawn->ProcessId = fork();
    if (Spawn->ProcessId == 0) {
        SpawnpBecomeMachine(Command, Parent, &Pipes, Errors[1]);
    }
    Error = Spawn->ProcessId < 0 ? errno : 0;
    close(Errors[1]);
    if (Error == 0) {
        Error = SpawnpAwaitStart(Errors[0]);
        if (Error != 0) {
            while (waitpid(Spawn->ProcessId, NULL, 0) < 0 && errno == EINTR) {
            }
        }
    }
    close(Errors[0]);

ClosePipes:
    SpawnpClose(Pipes.Its);
    if (Error != 0) {
        SpawnpClose(Pipes.Ours);
    }
    for (Index = 0; Index < SpawnPipeCount; Index += 1) {
        Spawn->Pipes[Index] = Pipes.Ours[Index];
    }
    return Error;
}
