/* Leaves everything behind: memory, handles, threads; returns from its start routine. */
#include "program.h"

static NTSTATUS
Sleep(void *Argument)
{
    long long Interval = -10000000ll * 1000;

    (void)Argument;
    return NtDelayExecution(0, &Interval);
}

void
NtProcessStartup(void *Peb)
{
    HANDLE Event;

    (void)Peb;
    for (U32 Index = 0; Index < 300; Index += 1) {
        void *Base = 0;
        SIZE Size = 0x5000 + Index * 0x1000;

        STATUS("memory", NtAllocateVirtualMemory(PROCESS, &Base, 0, &Size, RESERVE | COMMIT, READWRITE), 0);
        *(volatile char *)((char *)Base + Size / 2) = 1;
        STATUS("handle", NtCreateEvent(&Event, 0x1F0003, 0, 0, 0), 0);
    }
    STATUS("thread", RtlCreateUserThread(PROCESS, 0, 0, 0, 0, 0, Sleep, 0, 0, 0), 0);
    DbgPrint("leaver: done\n");
    NtTerminateProcess(PROCESS, 0x40000000);
}
