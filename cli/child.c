/*
 * child.c - the machine as a child process.
 *
 * Several things can happen while a machine runs, and one poll waits for all of them: something arrives on one of its
 * pipes, there is room to pass the image's text on, a signal arrives (blocked and read from a signalfd, so that none can
 * slip in between a check and a wait), or the time runs out. The machine's life as seen from here:
 *
 *     ChildRunning --time-out: asked to end--> ChildTerminating --grace: SIGKILL--> ChildKilled
 *     ChildRunning --end of report-----------> ChildEnding      --grace: SIGKILL--> ChildKilled
 *
 * Everything ends with the machine's exit; what it wrote to its pipes before that is read first, and passed on. A process
 * that inherited a pipe from the machine and lives on is not waited for.
 *
 * The image's text goes through a buffer that is written in pieces which a pipe with room takes at once, so that a reader
 * who stands still holds up the machine, but neither its time-out nor a signal to us.
 */
#include "child.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "diag.h"
#include "spawn.h"

#define MAXIMUM_REPORT_LENGTH ((size_t)1 << 30)
#define MAXIMUM_ERRORS_LENGTH ((size_t)1 << 16)
#define MAXIMUM_TAIL_LENGTH ((size_t)1 << 10)
#define CHUNK_LENGTH ((size_t)1 << 16)

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
    const CHILD_COMMAND *Command;
    CHILD_RESULT *Result;
    CHILD_PHASE Phase;
    SPAWN Spawn;
    bool Exited;
    bool OutputGone; /* nobody reads it any more */
    int SignalPipe;
    int64_t Deadline; /* of this phase, in nanoseconds of the monotonic clock; -1: none */
    TEXT Line;        /* for a person, not ended yet */
    size_t TextUsed;  /* of Text, not passed on yet */
    char Text[CHUNK_LENGTH];
} CHILD;

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

static void
ChildpKill(CHILD *Child)
{
    if (!Child->Exited) {
        (void)kill(Child->Spawn.ProcessId, SIGKILL);
    }
    Child->Phase = ChildKilled;
    Child->Deadline = -1;
}

static int64_t
ChildpGrace(const CHILD *Child)
{
    return ChildpNow() + (int64_t)Child->Command->GraceInMs * 1000000;
}

static void
ChildpClose(CHILD *Child, SPAWN_PIPE Pipe)
{
    if (Child->Spawn.Pipes[Pipe] >= 0) {
        close(Child->Spawn.Pipes[Pipe]);
        Child->Spawn.Pipes[Pipe] = -1;
    }
}

/*
 * Read a piece from a pipe. Returns its length; 0 if there is nothing now, or if the pipe has ended and was closed.
 */
static size_t
ChildpRead(CHILD *Child, SPAWN_PIPE Pipe, char *Buffer, size_t Size)
{
    ssize_t Length;

    do {
        Length = read(Child->Spawn.Pipes[Pipe], Buffer, Size);
    } while (Length < 0 && errno == EINTR);
    if (Length == 0 || (Length < 0 && errno != EAGAIN)) {
        ChildpClose(Child, Pipe);
    }
    return Length > 0 ? (size_t)Length : 0;
}

/*
 * Read what the report's pipe holds. At its end the machine has nothing more to say, and its grace to exit.
 */
static void
ChildpReadReport(CHILD *Child)
{
    TEXT *Report = &Child->Result->Report;
    size_t Length;

    while (Child->Spawn.Pipes[SpawnReport] >= 0 &&
           (Length = ChildpRead(Child, SpawnReport, TextReserve(Report, CHUNK_LENGTH), CHUNK_LENGTH)) != 0) {
        Report->Length += Length;
        Report->Data[Report->Length] = 0;
        if (Report->Length > MAXIMUM_REPORT_LENGTH) {
            Child->Result->TooLarge = true;
            ChildpKill(Child);
            ChildpClose(Child, SpawnReport);
        }
    }
    if (Child->Spawn.Pipes[SpawnReport] < 0 && Child->Phase == ChildRunning) {
        Child->Phase = ChildEnding;
        Child->Deadline = ChildpGrace(Child);
    }
}

/*
 * Keep the beginning of what it complains about, and let the rest go.
 */
static void
ChildpReadErrors(CHILD *Child)
{
    TEXT *Errors = &Child->Result->Errors;
    const char *Fatal = Child->Command->FatalError;
    char Chunk[4096];
    size_t Length;

    while (Child->Spawn.Pipes[SpawnErrors] >= 0 &&
           (Length = ChildpRead(Child, SpawnErrors, Chunk, sizeof(Chunk))) != 0) {
        if (Errors->Length < MAXIMUM_ERRORS_LENGTH) {
            TextPutBytes(Errors, Chunk, Length);
        }
    }
    if (Fatal != NULL && Errors->Length != 0 && !Child->Result->Failed && strstr(Errors->Data, Fatal) != NULL) {
        Child->Result->Failed = true;
        ChildpKill(Child);
    }
}

/*
 * Pass on what it tells a person, in whole lines.
 */
static void
ChildpReadLines(CHILD *Child)
{
    char Chunk[1024];
    size_t Length;

    while (Child->Spawn.Pipes[SpawnLines] >= 0 && (Length = ChildpRead(Child, SpawnLines, Chunk, sizeof(Chunk))) != 0) {
        TextPutBytes(&Child->Line, Chunk, Length);
        if (memchr(Chunk, '\n', Length) != NULL || Child->Line.Length > MAXIMUM_TAIL_LENGTH) {
            (void)TextWrite(&Child->Line, 2);
            Child->Line.Length = 0;
        }
    }
}

/*
 * Remember the end of the text.
 */
static void
ChildpNoteTail(TEXT *Tail, const char *Bytes, size_t Length)
{
    TextPutBytes(Tail, Bytes, Length);
    if (Tail->Length > MAXIMUM_TAIL_LENGTH) {
        const char *Start = Tail->Data + Tail->Length - MAXIMUM_TAIL_LENGTH;
        const char *Line = memchr(Start, '\n', MAXIMUM_TAIL_LENGTH - 1);

        Start = Line == NULL ? Start : Line + 1;
        Tail->Length = (size_t)(Tail->Data + Tail->Length - Start);
        memmove(Tail->Data, Start, Tail->Length + 1);
    }
}

/*
 * Take as much of the image's text as there is room for.
 */
static void
ChildpReadText(CHILD *Child)
{
    while (Child->Spawn.Pipes[SpawnText] >= 0 && Child->TextUsed < CHUNK_LENGTH) {
        size_t Length = ChildpRead(Child, SpawnText, Child->Text + Child->TextUsed, CHUNK_LENGTH - Child->TextUsed);

        if (Length == 0) {
            break;
        }
        ChildpNoteTail(&Child->Result->Tail, Child->Text + Child->TextUsed, Length);
        Child->TextUsed = Child->OutputGone ? 0 : Child->TextUsed + Length;
    }
}

/*
 * The output has room for at least a piece.
 */
static void
ChildpPassText(CHILD *Child)
{
    size_t Length = Child->TextUsed < PIPE_BUF ? Child->TextUsed : PIPE_BUF;
    ssize_t Done = write(Child->Command->OutputDescriptor, Child->Text, Length);

    if (Done < 0 && (errno == EINTR || errno == EAGAIN)) {
        return;
    }
    Child->OutputGone = Done < 0;
    Child->TextUsed -= Done < 0 ? Child->TextUsed : (size_t)Done;
    memmove(Child->Text, Child->Text + (Done < 0 ? 0 : Done), Child->TextUsed);
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
    Ended = waitpid(Child->Spawn.ProcessId, &Child->Result->WaitStatus, WNOHANG);
    if (Ended == Child->Spawn.ProcessId) {
        Child->Exited = true;
    }
}

static void
ChildpAskToEnd(const CHILD *Child)
{
    const char *Request = Child->Command->EndRequest;

    if (Request == NULL) {
        (void)kill(Child->Spawn.ProcessId, SIGTERM);
    } else {
        (void)!write(Child->Spawn.Pipes[SpawnControl], Request, strlen(Request));
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
        ChildpAskToEnd(Child);
        Child->Phase = ChildTerminating;
        Child->Deadline = ChildpGrace(Child);
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
 * Wait for something to happen, at most until the deadline; do not wait if the machine has gone and only Text is left,
 * unless the output has no room. Returns false at the deadline. *Room says whether text can be passed on.
 */
static bool
ChildpAwait(CHILD *Child, bool *Room)
{
    struct pollfd Polls[] = {
        {.fd = Child->SignalPipe, .events = POLLIN},
        {.fd = Child->Spawn.Pipes[SpawnReport], .events = POLLIN},
        {.fd = Child->Spawn.Pipes[SpawnErrors], .events = POLLIN},
        {.fd = Child->Spawn.Pipes[SpawnLines], .events = POLLIN},
        {.fd = Child->TextUsed < CHUNK_LENGTH ? Child->Spawn.Pipes[SpawnText] : -1, .events = POLLIN},
        {.fd = Child->TextUsed != 0 ? Child->Command->OutputDescriptor : -1, .events = POLLOUT},
    };
    struct timespec Left;
    int64_t LeftInNs;
    int Ready;

    *Room = false;
    if (Child->Deadline >= 0) {
        LeftInNs = Child->Deadline - ChildpNow();
        if (LeftInNs <= 0) {
            return false;
        }
        Left.tv_sec = LeftInNs / 1000000000;
        Left.tv_nsec = LeftInNs % 1000000000;
    }
    Ready = ppoll(Polls, sizeof(Polls) / sizeof(Polls[0]), Child->Deadline >= 0 ? &Left : NULL, NULL);
    *Room = Ready > 0 && Polls[5].revents != 0;
    return Ready != 0;
}

static void
ChildpReadAll(CHILD *Child)
{
    ChildpReadText(Child);
    ChildpReadLines(Child);
    ChildpReadReport(Child);
    ChildpReadErrors(Child);
}

/*
 * Until the machine has gone, and all it said has been passed on. Who interrupts us does not want to see the rest.
 */
static void
ChildpWatch(CHILD *Child)
{
    bool Room;
    int Pipe;

    while (!Child->Exited || (Child->TextUsed != 0 && Child->Result->Interrupt == 0)) {
        if (!ChildpAwait(Child, &Room)) {
            ChildpRunOut(Child);
        }
        if (Room) {
            ChildpPassText(Child);
        }
        ChildpReadSignals(Child);
        /* After its exit all that the machine wrote is in the pipes, also if somebody else holds them open. */
        ChildpReadAll(Child);
        if (Child->Exited) {
            Child->Deadline = -1;
        }
    }
    (void)TextWrite(&Child->Line, 2);
    TextFree(&Child->Line);
    for (Pipe = 0; Pipe < SpawnPipeCount; Pipe += 1) {
        ChildpClose(Child, Pipe);
    }
}

void
ChildRun(const CHILD_COMMAND *Command, CHILD_RESULT *Result)
{
    CHILD *Child = calloc(1, sizeof(*Child));
    sigset_t Signals;
    sigset_t Before;

    if (Child == NULL) {
        DiagOutOfMemory();
    }
    *Result = (CHILD_RESULT){0};
    Child->Command = Command;
    Child->Result = Result;
    Child->Deadline = -1;
    (void)signal(SIGCHLD, SIG_DFL);
    ChildpChooseSignals(&Signals);
    sigprocmask(SIG_BLOCK, &Signals, &Before);
    Child->SignalPipe = signalfd(-1, &Signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (Child->SignalPipe < 0) {
        Result->SpawnError = errno;
        goto RestoreSignals;
    }
    Result->SpawnError = SpawnMachine(Command, &Child->Spawn);
    if (Result->SpawnError == 0) {
        if (Command->TimeoutInMs != 0) {
            Child->Deadline = ChildpNow() + (int64_t)Command->TimeoutInMs * 1000000;
        }
        ChildpWatch(Child);
    }
    close(Child->SignalPipe);

RestoreSignals:
    sigprocmask(SIG_SETMASK, &Before, NULL);
    free(Child);
}

void
ChildFreeResult(CHILD_RESULT *Result)
{
    TextFree(&Result->Report);
    TextFree(&Result->Errors);
    TextFree(&Result->Tail);
    TextFree(&Result->Failure);
}
