/*
 * The language handler of C: __try, __except, __finally.
 *
 * A function with any has a scope table: for each range of instructions that a __try guards, innermost first, a filter and
 * the place where its __except block begins, or, where that place is 0, a termination handler. A range that the compiler
 * split has an entry for each part. Called by the dispatcher through the image's import, so everything it is given is the
 * image's word: the table is read only inside the image. Document: "x64 exception handling", "Language-specific handler".
 */
#include "kep.h"
#include "exception.h"
#include <ntexport.h>

/* A filter's place may also be the answer itself. */
#define KI_FILTER_ALWAYS 1

typedef struct _KI_SCOPE {
    ULONG BeginAddress; /* relative to the image, like all addresses here */
    ULONG EndAddress;
    ULONG HandlerAddress; /* filter, KI_FILTER_ALWAYS, or termination handler */
    ULONG JumpTarget;     /* the __except block, 0: __finally */
} KI_SCOPE;
_Static_assert(sizeof(KI_SCOPE) == 16, "of the compilers");

/* The table of one function. */
typedef struct _KI_SCOPES {
    const KI_SCOPE *Scope;
    ULONG Count;
    ULONG Pc; /* of the frame */
} KI_SCOPES;

static BOOLEAN
KipFindScopes(const DISPATCHER_CONTEXT *Dispatcher, KI_SCOPES *Scopes)
{
    ULONG64 Data = (ULONG_PTR)Dispatcher->HandlerData, Base;
    ULONG Size;

    if (!KiFindImage(Dispatcher->ImageBase, &Base, &Size) || Data - Base >= Size ||
        Size - (Data - Base) < sizeof(ULONG) || (Data & 3) != 0) {
        return FALSE;
    }
    Scopes->Count = *(const ULONG *)Data;
    Scopes->Scope = (const KI_SCOPE *)(Data + sizeof(ULONG));
    Scopes->Pc = (ULONG)(Dispatcher->ControlPc - Dispatcher->ImageBase);
    return Scopes->Count <= (Size - (Data - Base) - sizeof(ULONG)) / sizeof(KI_SCOPE);
}

static BOOLEAN
KipInScope(const KI_SCOPE *Scope, ULONG64 Pc)
{
    return Pc >= Scope->BeginAddress && Pc < Scope->EndAddress;
}

/* Is Target in a part of the same __try as Scope? */
static BOOLEAN
KipStaysInside(const KI_SCOPES *Scopes, const KI_SCOPE *Scope, ULONG64 Target)
{
    const KI_SCOPE *Other;
    ULONG Index;

    for (Index = 0; Index < Scopes->Count; Index += 1) {
        Other = &Scopes->Scope[Index];
        if (Other->HandlerAddress == Scope->HandlerAddress && Other->JumpTarget == Scope->JumpTarget &&
            KipInScope(Other, Target)) {
            return TRUE;
        }
    }
    return FALSE;
}

/* First pass: ask the filters of the ranges that the frame is in. One that takes the exception begins the unwind. */
static EXCEPTION_DISPOSITION
KipAskFilters(const KI_SCOPES *Scopes, PEXCEPTION_RECORD Record, PCONTEXT Context, PDISPATCHER_CONTEXT Dispatcher)
{
    EXCEPTION_POINTERS Pointers = {Record, Context};
    const KI_SCOPE *Scope;
    LONG Answer;
    ULONG Index;

    for (Index = Dispatcher->ScopeIndex; Index < Scopes->Count; Index += 1) {
        Scope = &Scopes->Scope[Index];
        if (!KipInScope(Scope, Scopes->Pc) || Scope->JumpTarget == 0) {
            continue;
        }
        Answer = EXCEPTION_EXECUTE_HANDLER;
        if (Scope->HandlerAddress != KI_FILTER_ALWAYS) {
            Answer = (LONG)KiCallImage((PVOID)(Dispatcher->ImageBase + Scope->HandlerAddress), (ULONG_PTR)&Pointers,
                                       Dispatcher->EstablisherFrame, 0, 0);
        }
        if (Answer < 0) {
            return ExceptionContinueExecution;
        }
        if (Answer > 0) {
            KiUnwindTo(Dispatcher->EstablisherFrame, Dispatcher->ImageBase + Scope->JumpTarget, Record,
                       (ULONG)Record->ExceptionCode);
        }
    }
    return ExceptionContinueSearch;
}

/* Second pass: run the termination handlers of the ranges that are left, up to the one where the target is. */
static VOID
KipTerminate(const KI_SCOPES *Scopes, ULONG Flags, PDISPATCHER_CONTEXT Dispatcher)
{
    ULONG64 Target = Dispatcher->TargetIp - Dispatcher->ImageBase;
    const KI_SCOPE *Scope;
    ULONG Index;

    for (Index = Dispatcher->ScopeIndex; Index < Scopes->Count; Index += 1) {
        Scope = &Scopes->Scope[Index];
        if (!KipInScope(Scope, Scopes->Pc)) {
            continue;
        }
        if ((Flags & EXCEPTION_TARGET_UNWIND) != 0 &&
            (KipStaysInside(Scopes, Scope, Target) || (Scope->JumpTarget != 0 && Scope->JumpTarget == Target))) {
            return;
        }
        if (Scope->JumpTarget == 0) {
            Dispatcher->ScopeIndex = Index + 1; /* an exception in the handler goes on with the next */
            KiCallImage((PVOID)(Dispatcher->ImageBase + Scope->HandlerAddress), TRUE, Dispatcher->EstablisherFrame, 0, 0);
        }
    }
}

EXCEPTION_ROUTINE __C_specific_handler;

/*
 * Ask filters or run termination handlers of the frame that Dispatcher describes, by ExceptionFlags. A filter's answer
 * EXCEPTION_EXECUTE_HANDLER begins the unwind and does not return. <= DISPATCH_LEVEL.
 */
EXCEPTION_DISPOSITION NTAPI
__C_specific_handler(PEXCEPTION_RECORD ExceptionRecord, PVOID EstablisherFrame, PCONTEXT ContextRecord,
                     PVOID DispatcherContext)
{
    PDISPATCHER_CONTEXT Dispatcher = DispatcherContext;
    KI_SCOPES Scopes;

    UNREFERENCED_PARAMETER(EstablisherFrame);
    if (!KipFindScopes(Dispatcher, &Scopes)) {
        return ExceptionContinueSearch;
    }
    if ((ExceptionRecord->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND)) == 0) {
        return KipAskFilters(&Scopes, ExceptionRecord, ContextRecord, Dispatcher);
    }
    KipTerminate(&Scopes, ExceptionRecord->ExceptionFlags, Dispatcher);
    return ExceptionContinueSearch;
}
NTEXPORT(__C_specific_handler);
