/* The virtual memory services as a program calls them: results, statuses, bad pointers, faults. */
#include "program.h"

static volatile U32 Faults, LastCode;
static volatile SIZE LastKind, LastAddress;

/* Make a page that was touched without the right to accessible, and go on. */
static int
Repair(POINTERS *Pointers)
{
    RECORD *Record = Pointers->Record;
    void *Base = (void *)Record->Information[1];
    SIZE Size = 1;
    U32 Old;

    Faults += 1;
    LastCode = Record->Code;
    LastKind = Record->Count > 0 ? Record->Information[0] : 99;
    LastAddress = Record->Count > 1 ? Record->Information[1] : 0;
    if (Record->Code == 0x80000001) {
        return -1; /* the guard is off now */
    }
    return Record->Code == 0xC0000005 && NtProtectVirtualMemory(PROCESS, &Base, &Size, READWRITE, &Old) >= 0 ? -1 : 0;
}

static void
Allocate(void)
{
    void *Base = 0;
    SIZE Size = 100000, Returned;
    volatile char *Bytes;
    REGION Region;
    U32 Old;

    STATUS("allocate", NtAllocateVirtualMemory(PROCESS, &Base, 0, &Size, RESERVE | COMMIT, READWRITE), 0);
    IS("rounded", Size, 0x19000);
    IS("aligned", (SIZE)Base & 0xFFFF, 0);
    Bytes = Base;
    for (SIZE At = 0; At < Size; At += 4096) {
        IS("zero", Bytes[At], 0);
        Bytes[At] = (char)(At >> 12);
    }
    STATUS("query", NtQueryVirtualMemory(PROCESS, (char *)Base + 0x3000, 0, &Region, sizeof(Region), &Returned), 0);
    IS("base", Region.Base, (SIZE)Base + 0x3000);
    IS("allocation", Region.AllocationBase, Base);
    IS("size", Region.Size, 0x16000);
    IS("state", Region.State, COMMIT);
    IS("protection", Region.Protect, READWRITE);
    IS("type", Region.Type, 0x20000);
    STATUS("protect", NtProtectVirtualMemory(PROCESS, &Base, &Size, READONLY, &Old), 0);
    IS("old protection", Old, READWRITE);
    Faults = 0;
    Bytes[0x2005] = 7;
    IS("one fault", Faults, 1);
    IS("access violation", LastCode, 0xC0000005);
    IS("of a write", LastKind, 1);
    IS("there", LastAddress, Base + 0x2005);
    IS("then written", Bytes[0x2005], 7);
    IS("contents stay", Bytes[0x2000], 2);
    Size = 0x1000;
    Base = (void *)&Bytes[0x4000];
    STATUS("guard", NtProtectVirtualMemory(PROCESS, &Base, &Size, READWRITE | GUARD, &Old), 0);
    Faults = 0;
    Bytes[0x4001] = Bytes[0x4002];
    IS("guard once", Faults, 1);
    IS("its code", LastCode, 0x80000001);
    STATUS("decommit", NtFreeVirtualMemory(PROCESS, &Base, &Size, DECOMMIT), 0);
    STATUS("commit again", NtAllocateVirtualMemory(PROCESS, &Base, 0, &Size, COMMIT, READWRITE), 0);
    IS("zero again", Bytes[0x4001], 0);
    Base = (void *)Bytes;
    Size = 0;
    STATUS("release", NtFreeVirtualMemory(PROCESS, &Base, &Size, RELEASE), 0);
    Size = 0;
    STATUS("twice", NtFreeVirtualMemory(PROCESS, &Base, &Size, RELEASE), 0xC00000A0);
}

static void
Refusals(void)
{
    void *Base = 0;
    SIZE Size = 0x1000;
    REGION Region;
    U32 Old;

    STATUS("base pointer", NtAllocateVirtualMemory(PROCESS, (void **)16, 0, &Size, RESERVE, READWRITE), 0xC0000005);
    STATUS("size pointer", NtAllocateVirtualMemory(PROCESS, &Base, 0, (SIZE *)16, RESERVE, READWRITE), 0xC0000005);
    STATUS("system pointer", NtAllocateVirtualMemory(PROCESS, (void **)0xFFFFF78000000000, 0, &Size, RESERVE, READWRITE), 0xC0000005);
    STATUS("type", NtAllocateVirtualMemory(PROCESS, &Base, 0, &Size, 0, READWRITE), 0xC00000F3);
    STATUS("protection", NtAllocateVirtualMemory(PROCESS, &Base, 0, &Size, RESERVE, 0x999), 0xC0000045);
    STATUS("handle", NtAllocateVirtualMemory((HANDLE)0x1234560, &Base, 0, &Size, RESERVE, READWRITE), 0xC0000008);
    Size = 0;
    STATUS("no size", NtAllocateVirtualMemory(PROCESS, &Base, 0, &Size, RESERVE, READWRITE), 0xC00000F2);
    STATUS("class", NtQueryVirtualMemory(PROCESS, 0, 77, &Region, sizeof(Region), 0), 0xC0000003);
    STATUS("length", NtQueryVirtualMemory(PROCESS, 0, 0, &Region, 3, 0), 0xC0000004);
    Size = 0x1000;
    Base = (void *)0x10000;
    STATUS("not there", NtProtectVirtualMemory(PROCESS, &Base, &Size, READONLY, &Old), 0xC0000018);
    IS("nothing changed", Size, 0x1000);
}

/* A terabyte reserved costs what is touched of it. */
static void
Sparse(void)
{
    void *Base = 0, *Page;
    SIZE Size = 1ull << 40, Part;

    STATUS("reserve", NtAllocateVirtualMemory(PROCESS, &Base, 0, &Size, RESERVE, READWRITE), 0);
    for (SIZE Index = 0; Index < 200; Index += 1) {
        Page = (char *)Base + Index * (Size / 200 & ~0xFFFull);
        Part = 1;
        STATUS("commit", NtAllocateVirtualMemory(PROCESS, &Page, 0, &Part, COMMIT, READWRITE), 0);
        *(volatile SIZE *)Page = Index;
    }
    Page = (char *)Base + 100 * (Size / 200 & ~0xFFFull);
    IS("kept", *(volatile SIZE *)Page, 100);
    Size = 0;
    STATUS("release", NtFreeVirtualMemory(PROCESS, &Base, &Size, RELEASE), 0);
}

/* The command line, from the process parameters: printed, for programs.t to see. */
static void
CommandLine(void *Peb)
{
    char *Parameters = ((void **)Peb)[4];

    DbgPrint("memory: [%wZ]\n", Parameters + 0x70);
}

void
NtProcessStartup(void *Peb)
{
    void *Handler = RtlAddVectoredExceptionHandler(1, Repair);

    CommandLine(Peb);
    Allocate();
    Refusals();
    Sparse();
    IS("handler", RtlRemoveVectoredExceptionHandler(Handler), 1);
    DbgPrint("memory: done\n");
    NtTerminateProcess(PROCESS, 0);
}
