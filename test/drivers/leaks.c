/*
 * Drivers that leave something behind. The name of the image file chooses what; an image called leaks.sys
 * lists the names, each with the rule of the finding it must lead to. The routine that leaks is two calls
 * deep, and its line is printed, so that leaks.t can look for both in the report.
 */
#include "check.h"

#define TAG      'kaeL'
#define ANYWHERE Physical(0), Physical(~0ull >> 1)
/* The statement that leaks, and its line. Not a tail call, or the frame would be gone. */
#define LEAK(Statement)                                                                                      \
    DbgPrint("line %u\n", __LINE__);                                                                         \
    Statement;                                                                                               \
    __asm__ volatile("")

static PVOID Kept[4];

static VOID __attribute__((noinline)) LeakNonPaged(VOID)
{
    LEAK(Kept[0] = ExAllocatePool2(POOL_FLAG_NON_PAGED, 321, TAG));
}

static VOID __attribute__((noinline)) LeakPaged(VOID)
{
    LEAK(Kept[0] = ExAllocatePoolWithTag(PagedPool, 12345, TAG));
}

static VOID __attribute__((noinline)) LeakLocked(VOID)
{
    PMDL Mdl = IoAllocateMdl(Kept[1] = ExAllocatePoolWithTag(PagedPool, 5000, TAG), 5000, FALSE, FALSE, NULL);

    LEAK(MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess));
}

static VOID __attribute__((noinline)) LeakMapping(VOID)
{
    PMDL Mdl = MmAllocatePagesForMdlEx(ANYWHERE, Physical(0), PAGE_SIZE, MmCached, 0);

    LEAK(Kept[0] = MmMapLockedPagesSpecifyCache(Mdl, KernelMode, MmCached, NULL, FALSE, NormalPagePriority));
}

static VOID __attribute__((noinline)) LeakReserved(VOID)
{
    LEAK(Kept[0] = MmAllocateMappingAddress(PAGE_SIZE, TAG));
}

static VOID __attribute__((noinline)) LeakIoSpace(VOID)
{
    LEAK(Kept[0] = MmMapIoSpace(Physical(0xFED00000), 0x1000, MmNonCached));
}

static VOID __attribute__((noinline)) LeakPages(VOID)
{
    LEAK(Kept[0] = MmAllocatePagesForMdlEx(ANYWHERE, Physical(0), 3 * PAGE_SIZE, MmCached, 0));
}

static VOID __attribute__((noinline)) LeakContiguous(VOID)
{
    LEAK(Kept[0] = MmAllocateContiguousMemory(2 * PAGE_SIZE, Physical(~0ull >> 1)));
}

static NPAGED_LOOKASIDE_LIST List;

static VOID __attribute__((noinline)) LeakLookaside(VOID)
{
    LEAK(ExInitializeNPagedLookasideList(&List, NULL, NULL, 0, 64, TAG, 0));
}

static KTIMER Timer;
static KDPC Dpc;

static VOID NTAPI
Tick(PKDPC This, PVOID Context, PVOID One, PVOID Two)
{
}

static VOID __attribute__((noinline)) LeakTimer(VOID)
{
    LARGE_INTEGER Time;

    Time.QuadPart = -100000000000ll;
    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Dpc, Tick, NULL);
    KeSetTimer(&Timer, Time, &Dpc);
}

static KEVENT Never;

static VOID NTAPI
Sleeper(PVOID Context)
{
    KeWaitForSingleObject(&Never, Executive, KernelMode, FALSE, NULL);
}

static VOID __attribute__((noinline)) LeakThread(VOID)
{
    HANDLE Handle;

    KeInitializeEvent(&Never, NotificationEvent, FALSE);
    LEAK(PsCreateSystemThread(&Handle, THREAD_ALL_ACCESS, NULL, NULL, NULL, Sleeper, NULL));
    ZwClose(Handle);
}

static VOID __attribute__((noinline)) FreeLockedMdl(VOID)
{
    PMDL Mdl;

    Kept[0] = ExAllocatePoolWithTag(NonPagedPoolNx, 100, TAG);
    Mdl = IoAllocateMdl(Kept[0], 100, FALSE, FALSE, NULL);
    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    LEAK(IoFreeMdl(Mdl));
}

/* The partial MDL goes in order, only too late. */
static VOID __attribute__((noinline)) UnlockMapped(VOID)
{
    PUCHAR P = ExAllocatePoolWithTag(NonPagedPoolNx, 2 * PAGE_SIZE, TAG);
    PMDL Mdl = IoAllocateMdl(P, 2 * PAGE_SIZE, FALSE, FALSE, NULL);
    PMDL Partial = IoAllocateMdl(P + PAGE_SIZE, 100, FALSE, FALSE, NULL);

    MmProbeAndLockPages(Mdl, KernelMode, IoWriteAccess);
    IoBuildPartialMdl(Mdl, Partial, P + PAGE_SIZE, 100);
    MmGetSystemAddressForMdlSafe(Partial, NormalPagePriority);
    LEAK(MmUnlockPages(Mdl));
    IoFreeMdl(Partial);
    IoFreeMdl(Mdl);
    ExFreePoolWithTag(P, TAG);
}

static REGHANDLE Provider;

static VOID __attribute__((noinline)) LeakProvider(VOID)
{
    static const GUID Id = {1, 2, 3, {4, 5, 6, 7, 8, 9, 10, 11}};

    LEAK(EtwRegister(&Id, NULL, NULL, &Provider));
}

static const struct {
    const char *Name;
    const char *Rule;
    const char *Text; /* the routine that the stack must name; empty if the finding has no stack */
    VOID (*Routine)(VOID);
} Leaks[] = {
    {"nonpaged", "pool-leak", "LeakNonPaged", LeakNonPaged},
    {"paged", "pool-leak", "LeakPaged", LeakPaged},
    {"locked", "locked-pages", "LeakLocked", LeakLocked},
    {"mapping", "mapping-leak", "LeakMapping", LeakMapping},
    {"reserved", "reserved-mapping-leak", "LeakReserved", LeakReserved},
    {"iospace", "io-space-leak", "LeakIoSpace", LeakIoSpace},
    {"pages", "pages-leak", "LeakPages", LeakPages},
    {"contiguous", "contiguous-leak", "LeakContiguous", LeakContiguous},
    {"lookaside", "lookaside-leak", "LeakLookaside", LeakLookaside},
    {"timer", "timer-left", "", LeakTimer},
    {"provider", "callback-left", "LeakProvider", LeakProvider},
    {"thread", "thread-leak", "LeakThread", LeakThread},
    {"freelocked", "locked-mdl-freed", "FreeLockedMdl", FreeLockedMdl},
    {"unlockmapped", "unlocked-while-mapped", "UnlockMapped", UnlockMapped},
};

static VOID __attribute__((noinline)) Middle(ULONG Index)
{
    Leaks[Index].Routine();
    __asm__ volatile("");
}

static BOOLEAN
Named(PDRIVER_OBJECT DriverObject, const char *Name)
{
    const UNICODE_STRING *Full = &DriverObject->DriverName;
    USHORT Index;

    for (Index = 0; Name[Index] != 0; Index += 1) {
        if ((Index + 8) * sizeof(WCHAR) >= Full->Length || Full->Buffer[Index + 8] != (WCHAR)Name[Index]) {
            return FALSE;
        }
    }
    return (Index + 8) * sizeof(WCHAR) == Full->Length;
}

NTSTATUS NTAPI
DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    ULONG Index;

    DriverObject->DriverUnload = CheckUnload;
    for (Index = 0; Index < RTL_NUMBER_OF(Leaks); Index += 1) {
        if (Named(DriverObject, "leaks")) {
            DbgPrint("leak %s %s %s\n", Leaks[Index].Name, Leaks[Index].Rule, Leaks[Index].Text);
        } else if (Named(DriverObject, Leaks[Index].Name)) {
            Middle(Index);
            return STATUS_SUCCESS;
        }
    }
    return Named(DriverObject, "leaks") ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
