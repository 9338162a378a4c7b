/*
 * child.c - the machine as a child process.
 *
 * Three things can happen while a machine runs, and one poll waits for all of them: the report
 * arrives on its pipe, a signal arrives (blocked and read from a signalfd, so that none can slip in
 * between a check and a wait), or the time runs out. The machine's life as seen from here:
 *
 *     ChildRunning --time-out: SIGTERM--> ChildTerminating --2 s: SIGKILL--> ChildKilled
 *     ChildRunning --end of report------> ChildEnding      --2 s: SIGKILL--> ChildKilled
 *
 * Everything ends with the machine's exit; what it wrote to the pipe before that is read first. A
 * process that inherited the pipe from the machine and lives on is not waited for.
 */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "diag.h"

#define GRACE_IN_NS INT64_C(2000000000)
#define MAXIMUM_REPORT_LENGTH ((size_t)1 << 30)
#define CHUNK_LENGTH ((size_t)1 << 16)
#define MACHINE_STACK_LIMIT ((rlim_t)8 << 20)

/* Where the machine tells us why it could not be started; closes by itself when it was. */
#define ERROR_DESCRIPTOR (CHILD_REPORT_DESCRIPTOR + 1)

typedef enum _CHILD_PHASE {
    ChildRunning,
    ChildTerminating,
    ChildEnding,
    ChildKilled
} CHILD_PHASE;

/*
 * A machine being watched. Descriptors are -1 once closed.
 */
typedef struct _CHILD {
    CHILD_RESULT *Result;
    CHILD_PHASE Phase;
    pid_t ProcessId;
    bool Exited;
    int ReportPipe;
    int SignalPipe;
    int64_t Deadline; /* of this phase, in nanoseconds of the monotonic clock; -1: none */
} CHILD;

/* The same few variables for every machine: what it does must not depend on who starts it. */
static char *const MachineEnvironment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC0", NULL};

static int64_t
ChildpNow(void)
{
    struct timespec Time;

    clock_gettime(CLOCK_MONOTONIC, &Time);
    return (int64_t)Time.tv_sec * 1000000000 + Time.tv_nsec;
}

/*
 * Fill Set with the signals we answer ourselves. One that our caller had us ignore (nohup, a
 * background job of a script) stays ignored: reading it from a signalfd would undo that.
 */
static void
ChildpChooseSignals(sigset_t *Set)
{
    static const int Numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction Action;
    size_t Index;

    sigemptyset(Set);
    sigaddset(Set, SIGCHLD);
    for (Index = 0; Index < sizeof(Numbers) / sizeof(Numbers[0]); Index += 1) {
        if (sigaction(Numbers[Index], NULL, &Action) == 0 && Action.sa_handler != SIG_IGN) {
            sigaddset(Set, Numbers[Index]);
        }
    }
}

/*
 * In the child: give signals back their defaults, so that the machine starts like a program
 * started by hand.
 */
static void
ChildpResetSignals(void)
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
ChildpFixLayout(void)
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

/*
 * In the child: put the descriptors where the machine expects them and close all others. The pipes
 * are first moved out of the way of the numbers they will get.
 */
static bool
ChildpArrangeDescriptors(const CHILD_COMMAND *Command, int ReportEnd, int ErrorEnd)
{
    int Null = open("/dev/null", O_RDONLY);
    int Input = fcntl(Null, F_DUPFD_CLOEXEC, 16);
    int Output = fcntl(Command->OutputDescriptor, F_DUPFD_CLOEXEC, 16);
    int Report = fcntl(ReportEnd, F_DUPFD_CLOEXEC, 16);
    int Error = fcntl(ErrorEnd, F_DUPFD_CLOEXEC, 16);

    return Input >= 0 && Output >= 0 && Report >= 0 && Error >= 0 &&
           dup2(Input, 0) == 0 && dup2(Output, 1) == 1 &&
           dup2(Report, CHILD_REPORT_DESCRIPTOR) == CHILD_REPORT_DESCRIPTOR &&
           dup3(Error, ERROR_DESCRIPTOR, O_CLOEXEC) == ERROR_DESCRIPTOR &&
           close_range(ERROR_DESCRIPTOR + 1, ~0U, 0) == 0;
}

/*
 * In the child: become the machine, or tell ErrorEnd why not.
 */
static _Noreturn void
ChildpBecomeMachine(const CHILD_COMMAND *Command, pid_t Parent, int ReportEnd, int ErrorEnd)
{
    int Error;

    ChildpResetSignals();
    ChildpFixLayout();
    if (!ChildpArrangeDescriptors(Command, ReportEnd, ErrorEnd)) {
        Error = errno;
    } else {
        ErrorEnd = ERROR_DESCRIPTOR;
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
ChildpAwaitStart(int ErrorPipe)
{
    int Error = 0;
    ssize_t Length;

    do {
        Length = read(ErrorPipe, &Error, sizeof(Error));
    } while (Length < 0 && errno == EINTR);
    return Length == (ssize_t)sizeof(Error) ? Error : 0;
}

/*
 * Start the machine. Returns 0 with Child's process and report pipe set, or an errno.
 */
static int
ChildpSpawn(const CHILD_COMMAND *Command, CHILD *Child)
{
    pid_t Parent = getpid();
    int Report[2];
    int Errors[2];
    int Error;

    if (pipe2(Report, O_CLOEXEC) != 0) {
        return errno;
    }
    if (pipe2(Errors, O_CLOEXEC) != 0) {
        Error = errno;
        goto CloseReport;
    }
    Child->ProcessId = fork();
    if (Child->ProcessId == 0) {
        ChildpBecomeMachine(Command, Parent, Report[1], Errors[1]);
    }
    Error = Child->ProcessId < 0 ? errno : 0;
    close(Errors[1]);
    if (Error == 0) {
        Error = ChildpAwaitStart(Errors[0]);
        if (Error != 0) {
            while (waitpid(Child->ProcessId, NULL, 0) < 0 && errno == EINTR) {
            }
        }
    }
    close(Errors[0]);
    if (Error == 0) {
        close(Report[1]);
        (void)fcntl(Report[0], F_SETFL, O_NONBLOCK);
        Child->ReportPipe = Report[0];
        return 0;
    }

CloseReport:
    close(Report[0]);
    close(Report[1]);
    return Error;
}

static void
ChildpKill(CHILD *Child)
{
    if (!Child->Exited) {
        (void)kill(Child->ProcessId, SIGKILL);
    }
    Child->Phase = ChildKilled;
    Child->Deadline = -1;
}

static void
ChildpCloseReport(CHILD *Child)
{
    close(Child->ReportPipe);
    Child->ReportPipe = -1;
}

/*
 * Read what the pipe holds. At its end the machine has nothing more to say, and two seconds to
 * exit.
 */
static void
ChildpReadReport(CHILD *Child)
{
    TEXT *Report = &Child->Result->Report;

    for (;;) {
        char *Room = TextReserve(Report, CHUNK_LENGTH);
        ssize_t Length = read(Child->ReportPipe, Room, CHUNK_LENGTH);

        if (Length > 0) {
            Report->Length += (size_t)Length;
            Report->Data[Report->Length] = 0;
        } else if (Length < 0 && errno == EAGAIN) {
            return;
        } else if (Length == 0 || errno != EINTR) {
            break;
        }
        if (Report->Length > MAXIMUM_REPORT_LENGTH) {
            Child->Result->TooLarge = true;
            ChildpKill(Child);
            break;
        }
    }
    ChildpCloseReport(Child);
    if (Child->Phase == ChildRunning) {
        Child->Phase = ChildEnding;
        Child->Deadline = ChildpNow() + GRACE_IN_NS;
    }
}

/*
 * Take all signals that have arrived. An interrupt at the keyboard reaches the machine too; it is
 * read here before the machine's death is, because its number is lower.
 */
static void
ChildpReadSignals(CHILD *Child)
{
    struct signalfd_siginfo Information;
    pid_t Ended;

    while (read(Child->SignalPipe, &Information, sizeof(Information)) ==
           (ssize_t)sizeof(Information)) {
        if (Information.ssi_signo != SIGCHLD && Child->Result->Interrupt == 0) {
            Child->Result->Interrupt = (int)Information.ssi_signo;
            ChildpKill(Child);
        }
    }
    Ended = waitpid(Child->ProcessId, &Child->Result->WaitStatus, WNOHANG);
    if (Ended == Child->ProcessId) {
        Child->Exited = true;
    }
}

/*
 * The deadline of the phase has passed.
 */
static void
ChildpRunOut(CHILD *Child)
{
    switch (Child->Phase) {
    case ChildRunning:
        Child->Result->TimedOut = true;
        (void)kill(Child->ProcessId, SIGTERM);
        Child->Phase = ChildTerminating;
        Child->Deadline = ChildpNow() + GRACE_IN_NS;
        break;
    case ChildTerminating:
    case ChildEnding:
        Child->Result->Unanswering = true;
        ChildpKill(Child);
        break;
    case ChildKilled:
        break;
    }
}

/*
 * Wait for something to happen, at most until the deadline. Returns false at the deadline.
 */
static bool
ChildpAwait(CHILD *Child)
{
    struct pollfd Polls[2] = {
        {.fd = Child->SignalPipe, .events = POLLIN},
        {.fd = Child->ReportPipe, .events = POLLIN},
    };
    struct timespec Left;
    int64_t LeftInNs;
    int Ready;

    if (Child->Deadline >= 0) {
        LeftInNs = Child->Deadline - ChildpNow();
        if (LeftInNs <= 0) {
            return false;
        }
        Left.tv_sec = LeftInNs / 1000000000;
        Left.tv_nsec = LeftInNs % 1000000000;
    }
    Ready = ppoll(Polls, 2, Child->Deadline >= 0 ? &Left : NULL, NULL);
    return Ready != 0;
}

static void
ChildpWatch(CHILD *Child)
{
    while (!Child->Exited) {
        if (!ChildpAwait(Child)) {
            ChildpRunOut(Child);
        }
        ChildpReadSignals(Child);
        if (Child->ReportPipe >= 0) {
            ChildpReadReport(Child);
        }
    }
    /* All that the machine wrote is in the pipe by now, also if somebody else holds it open. */
    if (Child->ReportPipe >= 0) {
        ChildpReadReport(Child);
    }
    if (Child->ReportPipe >= 0) {
        ChildpCloseReport(Child);
    }
}

void
ChildRun(const CHILD_COMMAND *Command, CHILD_RESULT *Result)
{
    CHILD Child = {.Result = Result, .ReportPipe = -1, .Deadline = -1};
    sigset_t Signals;
    sigset_t Before;

    *Result = (CHILD_RESULT){0};
    (void)signal(SIGCHLD, SIG_DFL);
    ChildpChooseSignals(&Signals);
    sigprocmask(SIG_BLOCK, &Signals, &Before);
    Child.SignalPipe = signalfd(-1, &Signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (Child.SignalPipe < 0) {
        Result->SpawnError = errno;
        goto RestoreSignals;
    }
    Result->SpawnError = ChildpSpawn(Command, &Child);
    if (Result->SpawnError == 0) {
        if (Command->TimeoutInMs != 0) {
            Child.Deadline = ChildpNow() + (int64_t)Command->TimeoutInMs * 1000000;
        }
        ChildpWatch(&Child);
    }
    close(Child.SignalPipe);

RestoreSignals:
    sigprocmask(SIG_SETMASK, &Before, NULL);
}
