/*
 * filter.c - give a helper program its input and take its output.
 *
 * Both pipes are served by one poll: a helper answers while it still reads, and either side may
 * fill its pipe.
 */
#include "filter.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_LENGTH ((size_t)1 << 16)

/*
 * A running helper. A pipe that is done is -1.
 */
typedef struct _FILTER {
    pid_t ProcessId;
    int InputPipe;
    int OutputPipe;
    const TEXT *Input;
    size_t InputDone;
    TEXT *Output;
} FILTER;

static int64_t
FilterpNowInMs(void)
{
    struct timespec Time;

    clock_gettime(CLOCK_MONOTONIC, &Time);
    return (int64_t)Time.tv_sec * 1000 + Time.tv_nsec / 1000000;
}

static void
FilterpClose(int *Pipe)
{
    if (*Pipe >= 0) {
        close(*Pipe);
        *Pipe = -1;
    }
}

/*
 * Start Path between two pipes whose other ends are ours.
 */
static int
FilterpSpawn(FILTER *Filter, const char *Path, char *const *Arguments, const int *Input,
             const int *Output)
{
    static char *const Environment[] = {"PATH=/usr/bin:/bin", "LC_ALL=C", NULL};
    posix_spawn_file_actions_t Actions;
    posix_spawnattr_t Attributes;
    sigset_t Defaults;
    int Error;

    if (posix_spawn_file_actions_init(&Actions) != 0) {
        return ENOMEM;
    }
    posix_spawnattr_init(&Attributes);
    sigemptyset(&Defaults);
    sigaddset(&Defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&Attributes, &Defaults);
    posix_spawnattr_setflags(&Attributes, POSIX_SPAWN_SETSIGDEF);
    Error = posix_spawn_file_actions_adddup2(&Actions, Input[0], 0);
    if (Error == 0) {
        Error = posix_spawn_file_actions_adddup2(&Actions, Output[1], 1);
    }
    if (Error == 0) {
        Error = posix_spawn_file_actions_addopen(&Actions, 2, "/dev/null", O_WRONLY, 0);
    }
    if (Error == 0) {
        Error = posix_spawn(&Filter->ProcessId, Path, &Actions, &Attributes, Arguments,
                            Environment);
    }
    posix_spawnattr_destroy(&Attributes);
    posix_spawn_file_actions_destroy(&Actions);
    return Error;
}

static void
FilterpFeed(FILTER *Filter)
{
    const TEXT *Input = Filter->Input;
    ssize_t Length = write(Filter->InputPipe, Input->Data + Filter->InputDone,
                           Input->Length - Filter->InputDone);

    if (Length >= 0) {
        Filter->InputDone += (size_t)Length;
    }
    if (Filter->InputDone == Input->Length || (Length < 0 && errno != EAGAIN && errno != EINTR)) {
        FilterpClose(&Filter->InputPipe);
    }
}

static void
FilterpDrain(FILTER *Filter)
{
    TEXT *Output = Filter->Output;
    char *Room = TextReserve(Output, CHUNK_LENGTH);
    ssize_t Length = read(Filter->OutputPipe, Room, CHUNK_LENGTH);

    if (Length > 0) {
        Output->Length += (size_t)Length;
        Output->Data[Output->Length] = 0;
    } else if (Length == 0 || (errno != EAGAIN && errno != EINTR)) {
        FilterpClose(&Filter->OutputPipe);
    }
}

/*
 * Serve both pipes until the output has ended. False when the time is over before that.
 */
static bool
FilterpServe(FILTER *Filter, int LimitInMs)
{
    int64_t Deadline = FilterpNowInMs() + LimitInMs;

    while (Filter->OutputPipe >= 0) {
        struct pollfd Polls[2] = {
            {.fd = Filter->InputPipe, .events = POLLOUT},
            {.fd = Filter->OutputPipe, .events = POLLIN},
        };
        int64_t Left = Deadline - FilterpNowInMs();

        if (Left <= 0) {
            return false;
        }
        if (poll(Polls, 2, (int)Left) <= 0) {
            continue;
        }
        if (Polls[0].revents != 0) {
            FilterpFeed(Filter);
        }
        if (Polls[1].revents != 0) {
            FilterpDrain(Filter);
        }
    }
    return true;
}

bool
FilterRun(const char *Path, char *const *Arguments, const TEXT *Input, int LimitInMs,
          TEXT *Output)
{
    FILTER Filter = {.InputPipe = -1, .OutputPipe = -1, .Input = Input, .Output = Output};
    int In[2];
    int Out[2];
    int Status = -1;
    bool Served = false;

    if (pipe2(In, O_CLOEXEC) != 0) {
        return false;
    }
    if (pipe2(Out, O_CLOEXEC) != 0) {
        close(In[0]);
        close(In[1]);
        return false;
    }
    if (FilterpSpawn(&Filter, Path, Arguments, In, Out) != 0) {
        Filter.ProcessId = -1;
    }
    close(In[0]);
    close(Out[1]);
    Filter.InputPipe = In[1];
    Filter.OutputPipe = Out[0];
    if (Filter.ProcessId > 0) {
        (void)fcntl(Filter.InputPipe, F_SETFL, O_NONBLOCK);
        (void)fcntl(Filter.OutputPipe, F_SETFL, O_NONBLOCK);
        Served = FilterpServe(&Filter, LimitInMs);
        if (!Served) {
            (void)kill(Filter.ProcessId, SIGKILL);
        }
        while (waitpid(Filter.ProcessId, &Status, 0) < 0 && errno == EINTR) {
        }
    }
    FilterpClose(&Filter.InputPipe);
    FilterpClose(&Filter.OutputPipe);
    return Served && WIFEXITED(Status) && WEXITSTATUS(Status) == 0;
}
