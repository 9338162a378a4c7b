/*
 * Exceptions of programs: from the kernel's landing to a handler.
 *
 * An exception is first shown to the vectored handlers, in order, then to the frames of the stack, innermost first, whose language
 * handlers __except belongs to; one that takes it unwinds to its frame (unwind.c) and does not come back. A handler may also change the
 * context and have it go on. What nobody takes goes to the kernel again, as a second chance, and ends the process. An exception inside a
 * handler meets RtlpNestedHandler on its way, and frames up to the older exception's are marked as nested.
 * Documents: "x64 exception handling", "Vectored Exception Handling".
 */
#include "ntdll.h"
#include <ntexport.h>

/* --- Vectored handlers --------------------------------------------------------------------------------- */

typedef struct _RTLP_VECTORED {
    LIST_ENTRY Links;
    PVECTORED_EXCEPTION_HANDLER Handler;
    ULONG References; /* while it is called it stays */
} RTLP_VECTORED, *PRTLP_VECTORED;

typedef struct _RTLP_VECTORED_LIST {
    LIST_ENTRY Head;
} RTLP_VECTORED_LIST;

static RTLP_VECTORED_LIST RtlpExceptionHandlers = {{&RtlpExceptionHandlers.Head, &RtlpExceptionHandlers.Head}};
static RTLP_VECTORED_LIST RtlpContinueHandlers = {{&RtlpContinueHandlers.Head, &RtlpContinueHandlers.Head}};
static RTL_CRITICAL_SECTION RtlpVectoredLock = {.LockCount = -1};

static PVOID
RtlpAddVectored(RTLP_VECTORED_LIST *List, ULONG First, PVECTORED_EXCEPTION_HANDLER Handler)
{
    PRTLP_VECTORED Entry = RtlAllocateHeap(NtCurrentPeb()->ProcessHeap, 0, sizeof(*Entry));

    if (Entry == NULL) {
        return NULL;
    }
    Entry->Handler = Handler;
    Entry->References = 1;
    RtlEnterCriticalSection(&RtlpVectoredLock);
    if (First != 0) {
        InsertHeadList(&List->Head, &Entry->Links);
    } else {
        InsertTailList(&List->Head, &Entry->Links);
    }
    RtlLeaveCriticalSection(&RtlpVectoredLock);
    return Entry;
}

/* Lock held. */
static VOID
RtlpReleaseVectored(PRTLP_VECTORED Entry)
{
    Entry->References -= 1;
    if (Entry->References == 0) {
        RemoveEntryList(&Entry->Links);
        RtlFreeHeap(NtCurrentPeb()->ProcessHeap, 0, Entry);
    }
}

static ULONG
RtlpRemoveVectored(RTLP_VECTORED_LIST *List, PVOID Handle)
{
    PLIST_ENTRY Link;
    ULONG Found = 0;

    RtlEnterCriticalSection(&RtlpVectoredLock);
    for (Link = List->Head.Flink; Link != &List->Head; Link = Link->Flink) {
        PRTLP_VECTORED Entry = CONTAINING_RECORD(Link, RTLP_VECTORED, Links);

        if (Entry == Handle && Entry->Handler != NULL) {
            Entry->Handler = NULL;
            RtlpReleaseVectored(Entry);
            Found = 1;
            break;
        }
    }
    RtlLeaveCriticalSection(&RtlpVectoredLock);
    return Found;
}

/* Call the handlers until one says that execution continues. */
static BOOLEAN
RtlpCallVectored(RTLP_VECTORED_LIST *List, PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    EXCEPTION_POINTERS Pointers = {Record, Context};
    LONG Answer = EXCEPTION_CONTINUE_SEARCH;
    PLIST_ENTRY Link, Next;

    if (List->Head.Flink == &List->Head) {
        return FALSE;
    }
    RtlEnterCriticalSection(&RtlpVectoredLock);
    for (Link = List->Head.Flink; Link != &List->Head && Answer != EXCEPTION_CONTINUE_EXECUTION; Link = Next) {
        PRTLP_VECTORED Entry = CONTAINING_RECORD(Link, RTLP_VECTORED, Links);
        PVECTORED_EXCEPTION_HANDLER Handler = Entry->Handler;

        Entry->References += 1;
        RtlLeaveCriticalSection(&RtlpVectoredLock);
        if (Handler != NULL) {
            Answer = Handler(&Pointers);
        }
        RtlEnterCriticalSection(&RtlpVectoredLock);
        Next = Link->Flink;
        RtlpReleaseVectored(Entry);
    }
    RtlLeaveCriticalSection(&RtlpVectoredLock);
    return Answer == EXCEPTION_CONTINUE_EXECUTION;
}

/* Add a handler that is asked before all frames: First not 0, before the others too. NULL: no memory. What it returns takes it out again. */
PVOID NTAPI
RtlAddVectoredExceptionHandler(ULONG First, PVECTORED_EXCEPTION_HANDLER Handler)
{
    return RtlpAddVectored(&RtlpExceptionHandlers, First, Handler);
}
NTEXPORT(RtlAddVectoredExceptionHandler);

/* 1 if it was there. */
ULONG NTAPI
RtlRemoveVectoredExceptionHandler(PVOID Handle)
{
    return RtlpRemoveVectored(&RtlpExceptionHandlers, Handle);
}
NTEXPORT(RtlRemoveVectoredExceptionHandler);

/* The same for handlers that are told when execution continues. */
PVOID NTAPI
RtlAddVectoredContinueHandler(ULONG First, PVECTORED_EXCEPTION_HANDLER Handler)
{
    return RtlpAddVectored(&RtlpContinueHandlers, First, Handler);
}
NTEXPORT(RtlAddVectoredContinueHandler);

ULONG NTAPI
RtlRemoveVectoredContinueHandler(PVOID Handle)
{
    return RtlpRemoveVectored(&RtlpContinueHandlers, Handle);
}
NTEXPORT(RtlRemoveVectoredContinueHandler);

/* --- Frames ---------------------------------------------------------------------------------------------- */

BOOLEAN
RtlpIsOnStack(ULONG64 Address)
{
    PNT_TIB Tib = &NtCurrentTeb()->NtTib;

    return Address >= (ULONG64)Tib->StackLimit && Address < (ULONG64)Tib->StackBase && (Address & 7) == 0;
}

/* An exception of the dispatch's own: a handler answered what it must not. */
static VOID
RtlpRaiseAbout(PEXCEPTION_RECORD About, NTSTATUS Status)
{
    EXCEPTION_RECORD Record = {.ExceptionCode = Status, .ExceptionFlags = EXCEPTION_NONCONTINUABLE, .ExceptionRecord = About};

    RtlRaiseException(&Record);
}

static BOOLEAN
RtlpSearchFrames(PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    CONTEXT Walk = *Context;
    DISPATCHER_CONTEXT Dispatcher = {0};
    ULONG64 NestedFrame = 0;
    ULONG Flags = Record->ExceptionFlags & EXCEPTION_NONCONTINUABLE;
    RTLP_USER_FRAME Frame;

    for (;;) {
        ULONG64 ControlPc = Walk.Rip;

        if (!RtlpStepFrame(&Walk, UNW_FLAG_EHANDLER, &Frame)) {
            break;
        }
        if (!RtlpIsOnStack(Frame.EstablisherFrame)) {
            Record->ExceptionFlags |= EXCEPTION_STACK_INVALID;
            break;
        }
        while (Frame.Handler != NULL) {
            BOOLEAN Again = FALSE;

            Dispatcher.ControlPc = ControlPc;
            Dispatcher.ImageBase = Frame.ImageBase;
            Dispatcher.FunctionEntry = Frame.Entry;
            Dispatcher.EstablisherFrame = Frame.EstablisherFrame;
            Dispatcher.ContextRecord = &Walk;
            Dispatcher.LanguageHandler = Frame.Handler;
            Dispatcher.HandlerData = Frame.HandlerData;
            Record->ExceptionFlags = Flags;
            switch (RtlpCallHandler(Record, (PVOID)Frame.EstablisherFrame, Context, &Dispatcher, Frame.Handler, FALSE)) {
            case ExceptionContinueExecution:
                if ((Record->ExceptionFlags & EXCEPTION_NONCONTINUABLE) != 0) {
                    RtlpRaiseAbout(Record, STATUS_NONCONTINUABLE_EXCEPTION);
                }
                return TRUE;
            case ExceptionContinueSearch:
                break;
            case ExceptionNestedException:
                Flags |= EXCEPTION_NESTED_CALL;
                NestedFrame = MAX(NestedFrame, Dispatcher.EstablisherFrame);
                break;
            case ExceptionCollidedUnwind:
                /* The dispatcher context is now that of the unwind under way: go on with its frame. */
                Walk = *Dispatcher.ContextRecord;
                ControlPc = Dispatcher.ControlPc;
                Frame.ImageBase = Dispatcher.ImageBase;
                Frame.Entry = Dispatcher.FunctionEntry;
                Frame.EstablisherFrame = Dispatcher.EstablisherFrame;
                Frame.Handler = Dispatcher.LanguageHandler;
                Frame.HandlerData = Dispatcher.HandlerData;
                Again = TRUE;
                break;
            default:
                RtlpRaiseAbout(Record, STATUS_INVALID_DISPOSITION);
            }
            if (!Again) {
                break;
            }
        }
        if (NestedFrame == Frame.EstablisherFrame) {
            Flags &= ~(ULONG)EXCEPTION_NESTED_CALL;
            NestedFrame = 0;
        }
        Dispatcher.ScopeIndex = 0;
    }
    Record->ExceptionFlags = Flags | (Record->ExceptionFlags & EXCEPTION_STACK_INVALID);
    return FALSE;
}

BOOLEAN
RtlpDispatchException(PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    if (RtlpCallVectored(&RtlpExceptionHandlers, Record, Context) || RtlpSearchFrames(Record, Context)) {
        RtlpCallVectored(&RtlpContinueHandlers, Record, Context);
        return TRUE;
    }
    return FALSE;
}

/*
 * The handler of RtlpCallHandler's own frame: an exception (or an unwind) has come to the call of another handler. The
 * dispatcher context of that call is on its frame.
 */
EXCEPTION_DISPOSITION NTAPI
RtlpNestedHandler(PEXCEPTION_RECORD Record, PVOID EstablisherFrame, PCONTEXT Context, PVOID DispatcherContext)
{
    PDISPATCHER_CONTEXT Dispatcher = DispatcherContext;
    PDISPATCHER_CONTEXT Older = *(PDISPATCHER_CONTEXT *)((ULONG64)EstablisherFrame + 32);

    UNREFERENCED_PARAMETER(Context);
    if ((Record->ExceptionFlags & (EXCEPTION_UNWINDING | EXCEPTION_EXIT_UNWIND)) != 0) {
        return ExceptionContinueSearch;
    }
    if (Older->TargetIp != 0 || Older->ScopeIndex != 0) {
        /* It was an unwind: go on where that one had come to. */
        *Dispatcher = *Older;
        return ExceptionCollidedUnwind;
    }
    Dispatcher->EstablisherFrame = Older->EstablisherFrame;
    return ExceptionNestedException;
}

/* From the landing (stubs.S): does not return. */
VOID NTAPI
RtlpDispatchUserException(PEXCEPTION_RECORD Record, PCONTEXT Context)
{
    EXCEPTION_RECORD Failed = {.ExceptionFlags = EXCEPTION_NONCONTINUABLE, .ExceptionRecord = Record};

    Failed.ExceptionCode = RtlpDispatchException(Record, Context) ? NtContinue(Context, FALSE)
                                                                  : NtRaiseException(Record, Context, FALSE);
    RtlRaiseException(&Failed);
}

/* --- Raising --------------------------------------------------------------------------------------------- */

/*
 * Raise Record, whose ExceptionAddress becomes the place of the call. Returns if a handler says that execution continues.
 */
VOID NTAPI
RtlRaiseException(PEXCEPTION_RECORD Record)
{
    CONTEXT Context;
    RTLP_USER_FRAME Frame;

    RtlCaptureContext(&Context);
    RtlpStepFrame(&Context, UNW_FLAG_NHANDLER, &Frame);
    Record->ExceptionAddress = (PVOID)Context.Rip;
    if (RtlpDispatchException(Record, &Context)) {
        NtContinue(&Context, FALSE);
    }
    NtRaiseException(Record, &Context, FALSE);
}
NTEXPORT(RtlRaiseException);

/* Raise a status as an exception that cannot be continued. */
VOID NTAPI
RtlRaiseStatus(NTSTATUS Status)
{
    EXCEPTION_RECORD Record = {.ExceptionCode = Status, .ExceptionFlags = EXCEPTION_NONCONTINUABLE};
    CONTEXT Context;
    RTLP_USER_FRAME Frame;

    RtlCaptureContext(&Context);
    RtlpStepFrame(&Context, UNW_FLAG_NHANDLER, &Frame);
    Record.ExceptionAddress = (PVOID)Context.Rip;
    if (!RtlpDispatchException(&Record, &Context)) {
        NtRaiseException(&Record, &Context, FALSE);
    }
    RtlpRaiseAbout(&Record, STATUS_NONCONTINUABLE_EXCEPTION);
}
NTEXPORT(RtlRaiseStatus);
