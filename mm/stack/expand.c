/*
 * Running a routine with more stack. If what is left of the current segment will do, the routine runs on it;
 * else on a large stack of its own, made before and deleted after the call. All of a large stack is resident
 * from the start. Document: KeExpandKernelStackAndCalloutEx.
 */
#include "stack.h"
#include <ke/exception.h>
#include <mm/phys/inject.h>
#include <ntexport.h>

/* Segments that one thread may stand on, the first one counted. */
#define MI_MAXIMUM_SEGMENTS_OF_THREAD 16

/* What the call itself and an interrupt may need on top of what the routine asked for. */
#define MI_STACK_SLACK (PAGE_SIZE / 2)

typedef struct _MI_CALLOUT {
    PEXPAND_STACK_CALLOUT Routine;
    PVOID Parameter;
} MI_CALLOUT;

static VOID
MipCallOut(PVOID Context)
{
    const MI_CALLOUT *Callout = Context;

    KiCallRoutine((PVOID)Callout->Routine, (ULONG_PTR)Callout->Parameter, 0, 0, 0);
}

static ULONG
MipCountSegments(VOID)
{
    ULONG Count = 0;

    for (const KI_STACK_SEGMENT *Segment = &KiCurrentThread()->Stack; Segment != NULL;
         Segment = Segment->Previous) {
        Count += 1;
    }
    return Count;
}

/* A large stack; for a caller who may wait, also what is kept for speed elsewhere is given up for it. */
static NTSTATUS
MipMakeSegment(BOOLEAN Wait, PULONG_PTR Limit, PULONG_PTR Base)
{
    NTSTATUS Status = MiCreateKernelStack(TRUE, Limit, Base);

    if (!NT_SUCCESS(Status) && Wait) {
        MiTrimStacks();
        Status = MiCreateKernelStack(TRUE, Limit, Base);
    }
    return NT_SUCCESS(Status) ? Status : STATUS_NO_MEMORY;
}

/*
 * Call Callout(Parameter) with at least Size bytes of stack. STATUS_SUCCESS if and only if it was called.
 * Context is reserved. STATUS_INVALID_PARAMETER_3: more than MAXIMUM_EXPANSION_SIZE; _4: Wait at
 * DISPATCH_LEVEL; STATUS_STACK_OVERFLOW: expanded too often; STATUS_NO_MEMORY. <= DISPATCH_LEVEL. The thread
 * must not end inside.
 */
NTSTATUS NTAPI
KeExpandKernelStackAndCalloutEx(PEXPAND_STACK_CALLOUT Callout, PVOID Parameter, SIZE_T Size, BOOLEAN Wait,
                                PVOID Context)
{
    MI_CALLOUT Call = {Callout, Parameter};
    KI_UNWIND_GUARD Guard;
    ULONG_PTR Limit, Base;
    NTSTATUS Status;
    BOOLEAN Unwound;

    if (Size > MAXIMUM_EXPANSION_SIZE) {
        return STATUS_INVALID_PARAMETER_3;
    }
    if (Wait && HalGetIrql() >= DISPATCH_LEVEL) {
        return STATUS_INVALID_PARAMETER_4;
    }
    if (KiRemainingStack() >= Size + MI_STACK_SLACK) {
        MipCallOut(&Call);
        return STATUS_SUCCESS;
    }
    if (MipCountSegments() >= MI_MAXIMUM_SEGMENTS_OF_THREAD) {
        return STATUS_STACK_OVERFLOW;
    }
    Status = MiInjectRequest() ? STATUS_NO_MEMORY : MipMakeSegment(Wait, &Limit, &Base);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }
    Unwound = KiCallOnStack(Limit, Base, MipCallOut, &Call, &Guard);
    MiDeleteKernelStack(Base, TRUE);
    if (Unwound) {
        KiContinueUnwind(&Guard);
    }
    return STATUS_SUCCESS;
}
NTEXPORT(KeExpandKernelStackAndCalloutEx);

/* The same for callers <= APC_LEVEL. */
NTSTATUS NTAPI
KeExpandKernelStackAndCallout(PEXPAND_STACK_CALLOUT Callout, PVOID Parameter, SIZE_T Size)
{
    return KeExpandKernelStackAndCalloutEx(Callout, Parameter, Size, HalGetIrql() < DISPATCH_LEVEL, NULL);
}
NTEXPORT(KeExpandKernelStackAndCallout);

/*
 * Make the current stack reach down to CurrentStack. It does already, or cannot: STATUS_STACK_OVERFLOW for an
 * address that is not in it. <= APC_LEVEL.
 */
NTSTATUS NTAPI
MmGrowKernelStack(PVOID CurrentStack)
{
    const KI_STACK_SEGMENT *Segment = &KiCurrentThread()->Stack;

    if ((ULONG_PTR)CurrentStack < Segment->Limit || (ULONG_PTR)CurrentStack > Segment->Base) {
        return STATUS_STACK_OVERFLOW;
    }
    return STATUS_SUCCESS;
}
NTEXPORT(MmGrowKernelStack);
