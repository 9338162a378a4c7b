/* The executive under load: work items, timers and DPCs, threads, larger stacks, objects with names and handles. */
#include "sim.h"
#include <ex/ex.h>
#include <mm/stack/stack.h>
#include <ob/ob.h>
#include <ps/ps.h>
#include <rtl/rtl.h>

/* --- Work items ----------------------------------------------------------------------------------- */

#define WORK_ITEMS 6

typedef struct _WORK_UNIT {
    WORK_QUEUE_ITEM Item;
    KEVENT Done;
    PVOID Block;
} WORK_UNIT, *PWORK_UNIT;

typedef struct _WORK_STATE {
    WORK_UNIT Units[WORK_ITEMS];
} WORK_STATE, *PWORK_STATE;

/* In a worker: a paged block comes and goes, and the one of the unit is replaced. */
static VOID NTAPI
WorkRoutine(PVOID Context)
{
    PWORK_UNIT Unit = Context;
    PVOID Paged = ExAllocatePool2(POOL_FLAG_PAGED, 3000, SIM_TAG);

    SIM_CHECK(Paged != NULL);
    SimPaint(Paged, 3000, 9);
    SIM_CHECK(SimIsPainted(Paged, 3000, 9));
    ExFreePoolWithTag(Paged, SIM_TAG);
    if (Unit->Block != NULL) {
        SIM_CHECK(SimIsPainted(Unit->Block, 500, 4));
        ExFreePoolWithTag(Unit->Block, SIM_TAG);
        Unit->Block = NULL;
    }
    KeSetEvent(&Unit->Done, 0, FALSE);
}

static VOID
WorkStep(PSIM_THREAD Thread)
{
    static const WORK_QUEUE_TYPE Queues[] = {DelayedWorkQueue, CriticalWorkQueue};
    PWORK_STATE State = SimState(Thread);
    ULONG Count = 1 + SimRandom(Thread, WORK_ITEMS);

    for (ULONG Index = 0; Index < Count; Index += 1) {
        PWORK_UNIT Unit = &State->Units[Index];

        KeInitializeEvent(&Unit->Done, NotificationEvent, FALSE);
        Unit->Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 500, SIM_TAG);
        if (Unit->Block != NULL) {
            SimPaint(Unit->Block, 500, 4);
        }
        ExInitializeWorkItem(&Unit->Item, WorkRoutine, Unit);
        ExQueueWorkItem(&Unit->Item, Queues[SimRandom(Thread, 2)]);
    }
    for (ULONG Index = 0; Index < Count; Index += 1) {
        KeWaitForSingleObject(&State->Units[Index].Done, Executive, KernelMode, FALSE, NULL);
        SIM_CHECK(State->Units[Index].Block == NULL);
    }
}

SIM_OPERATION("work", 6, sizeof(WORK_STATE), WorkStep, NULL);

/* --- Timers and DPCs --------------------------------------------------------------------------------- */

typedef struct _TIMER_STATE {
    KTIMER Timer;
    KDPC Dpc, Queued;
    KEVENT Ran;
    volatile LONG Runs;
    PVOID Block; /* freed at DISPATCH_LEVEL */
} TIMER_STATE, *PTIMER_STATE;

static VOID NTAPI
TimerRoutine(PKDPC Dpc, PVOID Context, PVOID First, PVOID Second)
{
    PTIMER_STATE State = Context;
    PVOID Block = __atomic_exchange_n(&State->Block, NULL, __ATOMIC_ACQ_REL);

    if (Block != NULL) {
        SIM_CHECK(SimIsPainted(Block, 100, 5));
        ExFreePoolWithTag(Block, SIM_TAG);
    }
    InterlockedIncrement(&State->Runs);
    KeSetEvent(&State->Ran, 0, FALSE);
}

static VOID
TimerStep(PSIM_THREAD Thread)
{
    PTIMER_STATE State = SimState(Thread);
    LARGE_INTEGER Due = {.QuadPart = -(LONGLONG)(1 + SimRandom(Thread, 50)) * 1000};
    PVOID Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 100, SIM_TAG);

    State->Runs = 0;
    State->Block = NULL;
    KeInitializeEvent(&State->Ran, NotificationEvent, FALSE);
    KeInitializeTimerEx(&State->Timer, SimRandom(Thread, 2) ? NotificationTimer : SynchronizationTimer);
    KeInitializeDpc(&State->Dpc, TimerRoutine, State);
    KeInitializeDpc(&State->Queued, TimerRoutine, State);
    if (Block != NULL) {
        SimPaint(Block, 100, 5);
        State->Block = Block;
    }
    KeSetTimerEx(&State->Timer, Due, SimRandom(Thread, 2) ? 1 : 0, &State->Dpc);
    if (SimRandom(Thread, 2)) {
        KeInsertQueueDpc(&State->Queued, NULL, NULL);
    }
    if (SimRandom(Thread, 3) == 0) {
        KeCancelTimer(&State->Timer);
        KeFlushQueuedDpcs();
    } else {
        KeWaitForSingleObject(&State->Ran, Executive, KernelMode, FALSE, NULL);
        SIM_CHECK(State->Runs > 0);
    }
    KeCancelTimer(&State->Timer);
    KeRemoveQueueDpc(&State->Dpc);
    KeRemoveQueueDpc(&State->Queued);
    KeFlushQueuedDpcs();
    Block = __atomic_exchange_n(&State->Block, NULL, __ATOMIC_ACQ_REL);
    if (Block != NULL) {
        ExFreePoolWithTag(Block, SIM_TAG);
    }
}

SIM_OPERATION("timer", 6, sizeof(TIMER_STATE), TimerStep, NULL);

/* --- Threads and stacks -------------------------------------------------------------------------------- */

typedef struct _BIRTH {
    volatile LONG Ran;
    ULONG Depth;
} BIRTH, *PBIRTH;

static VOID NTAPI
ThreadOnMoreStack(PVOID Parameter)
{
    volatile UCHAR Room[9000];

    for (ULONG Index = 0; Index < sizeof(Room); Index += 100) {
        Room[Index] = (UCHAR)Index;
    }
    InterlockedIncrement(&((PBIRTH)Parameter)->Ran);
}

static VOID NTAPI
ThreadMain(PVOID Context)
{
    LARGE_INTEGER Delay = {.QuadPart = -2000};

    KeDelayExecutionThread(KernelMode, FALSE, &Delay);
    InterlockedIncrement(&((PBIRTH)Context)->Ran);
}

static VOID
ThreadStep(PSIM_THREAD Thread)
{
    BIRTH Birth = {0};
    HANDLE Handles[3];
    ULONG Count = 1 + SimRandom(Thread, 3), Made = 0;

    while (Made < Count &&
           NT_SUCCESS(PsCreateSystemThread(&Handles[Made], THREAD_ALL_ACCESS, NULL, NULL, NULL, ThreadMain, &Birth))) {
        Made += 1;
    }
    if (Made < Count) {
        SIM_REFUSED(Thread);
    }
    if (NT_SUCCESS(KeExpandKernelStackAndCalloutEx(ThreadOnMoreStack, &Birth, MAXIMUM_EXPANSION_SIZE, TRUE, NULL))) {
        Count = Made + 1;
    } else {
        SIM_REFUSED(Thread);
        Count = Made;
    }
    while (Made-- > 0) {
        SIM_CHECK(ZwWaitForSingleObject(Handles[Made], FALSE, NULL) == STATUS_SUCCESS);
        SIM_CHECK(NT_SUCCESS(ZwClose(Handles[Made])));
    }
    SIM_CHECK((ULONG)Birth.Ran == Count);
}

SIM_OPERATION("thread", 4, 0, ThreadStep, NULL);

/* --- Objects ------------------------------------------------------------------------------------------ */

#define OBJECT_SLOTS 8

typedef struct _OBJECT_STATE {
    HANDLE Handles[OBJECT_SLOTS];
    PVOID Objects[OBJECT_SLOTS];
} OBJECT_STATE, *POBJECT_STATE;

/* Few names, so that threads meet. */
static NTSTATUS
ObjectCreate(PSIM_THREAD Thread, PHANDLE Handle)
{
    WCHAR Buffer[] = u"\\BaseNamedObjects\\SimX";
    UNICODE_STRING Name;
    OBJECT_ATTRIBUTES Attributes;

    Buffer[RTL_NUMBER_OF(Buffer) - 2] = (WCHAR)(u'A' + SimRandom(Thread, 4));
    RtlInitUnicodeString(&Name, Buffer);
    InitializeObjectAttributes(&Attributes, SimRandom(Thread, 3) ? &Name : NULL, OBJ_KERNEL_HANDLE | OBJ_OPENIF, NULL, NULL);
    return ZwCreateEvent(Handle, EVENT_ALL_ACCESS, &Attributes, NotificationEvent, FALSE);
}

static VOID
ObjectRelease(PSIM_THREAD Thread, POBJECT_STATE State, ULONG Slot)
{
    if (State->Objects[Slot] != NULL) {
        if (!SimHasBug(Thread, "reference")) {
            ObDereferenceObject(State->Objects[Slot]);
        }
        State->Objects[Slot] = NULL;
    }
    if (State->Handles[Slot] != NULL) {
        SIM_CHECK(NT_SUCCESS(ZwClose(State->Handles[Slot])));
        State->Handles[Slot] = NULL;
    }
}

static VOID
ObjectStep(PSIM_THREAD Thread)
{
    POBJECT_STATE State = SimState(Thread);

    for (ULONG Count = 1 + SimRandom(Thread, 8); Count != 0; Count -= 1) {
        ULONG Slot = SimRandom(Thread, OBJECT_SLOTS);

        if (State->Handles[Slot] == NULL) {
            if (!NT_SUCCESS(ObjectCreate(Thread, &State->Handles[Slot]))) {
                SIM_REFUSED(Thread);
                State->Handles[Slot] = NULL;
            }
        } else if (State->Objects[Slot] == NULL) {
            SIM_CHECK(NT_SUCCESS(ObReferenceObjectByHandle(State->Handles[Slot], EVENT_MODIFY_STATE, ExEventObjectType,
                                                           KernelMode, &State->Objects[Slot], NULL)));
            KeSetEvent(State->Objects[Slot], 0, FALSE);
        } else {
            ObjectRelease(Thread, State, Slot);
        }
    }
}

static VOID
ObjectEnd(PSIM_THREAD Thread)
{
    POBJECT_STATE State = SimState(Thread);

    for (ULONG Slot = 0; Slot < OBJECT_SLOTS; Slot += 1) {
        ObjectRelease(Thread, State, Slot);
    }
}

SIM_OPERATION("object", 8, sizeof(OBJECT_STATE), ObjectStep, ObjectEnd);

/* --- Strings and resources ------------------------------------------------------------------------------- */

static ERESOURCE ResourceShared;
static volatile LONG ResourceReady; /* 0, 1 while it is made, 2 */
static ULONG64 ResourceGuarded[2];

/* All threads share one resource; two words change only together. */
static VOID
ResourceStep(PSIM_THREAD Thread)
{
    LARGE_INTEGER Delay = {.QuadPart = -100};

    if (InterlockedCompareExchange(&ResourceReady, 1, 0) == 0) {
        ExInitializeResourceLite(&ResourceShared);
        __atomic_store_n(&ResourceReady, 2, __ATOMIC_RELEASE);
    }
    while (__atomic_load_n(&ResourceReady, __ATOMIC_ACQUIRE) != 2) {
        KeDelayExecutionThread(KernelMode, FALSE, &Delay);
    }
    KeEnterCriticalRegion();
    if (SimRandom(Thread, 2)) {
        SIM_CHECK(ExAcquireResourceExclusiveLite(&ResourceShared, TRUE));
        ResourceGuarded[0] += 1;
        KeDelayExecutionThread(KernelMode, FALSE, &Delay);
        ResourceGuarded[1] += 1;
    } else {
        SIM_CHECK(ExAcquireResourceSharedLite(&ResourceShared, TRUE));
        SIM_CHECK(ResourceGuarded[0] == ResourceGuarded[1]);
        KeDelayExecutionThread(KernelMode, FALSE, &Delay);
        SIM_CHECK(ResourceGuarded[0] == ResourceGuarded[1]);
    }
    ExReleaseResourceLite(&ResourceShared);
    KeLeaveCriticalRegion();
}

/* The first thread that ends deletes it: nobody makes steps any more. */
static VOID
ResourceEnd(PSIM_THREAD Thread)
{
    if (InterlockedCompareExchange(&ResourceReady, 0, 2) == 2) {
        SIM_CHECK(NT_SUCCESS(ExDeleteResourceLite(&ResourceShared)));
    }
}

SIM_OPERATION("resource", 3, 0, ResourceStep, ResourceEnd);

static VOID
StringStep(PSIM_THREAD Thread)
{
    UNICODE_STRING Source, Copy;
    ANSI_STRING Narrow;

    RtlInitUnicodeString(&Source, u"The quick brown fox jumps over the lazy dog" + SimRandom(Thread, 20));
    if (NT_SUCCESS(RtlUpcaseUnicodeString(&Copy, &Source, TRUE))) {
        SIM_CHECK(RtlEqualUnicodeString(&Copy, &Source, TRUE));
        RtlFreeUnicodeString(&Copy);
    } else {
        SIM_REFUSED(Thread);
    }
    if (NT_SUCCESS(RtlUnicodeStringToAnsiString(&Narrow, &Source, TRUE))) {
        SIM_CHECK(Narrow.Length * sizeof(WCHAR) == Source.Length);
        RtlFreeAnsiString(&Narrow);
    } else {
        SIM_REFUSED(Thread);
    }
}

SIM_OPERATION("string", 2, 0, StringStep, NULL);
