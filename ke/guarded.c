/*
 * Would an exception be caught? A look at the frames of images outwards from a place, without calling any
 * handler: does one of them have an __except around where it is? Core frames are crossed by their records, as
 * for a real exception (exception.h). No state, no locks.
 */
#include "kep.h"
#include "exception.h"

#define KI_GUARD_FRAMES 64

/* The scope table that __C_specific_handler and its kin find behind a frame's unwind data. */
typedef struct _KI_SCOPES {
    ULONG Count;
    struct {
        ULONG Begin;
        ULONG End;
        ULONG Handler;
        ULONG Target; /* 0: a __finally */
    } Scopes[];
} KI_SCOPES;

/* The frame's table, if it lies in its image as a whole; NULL for a frame without one or of another language.
 */
static const KI_SCOPES *
KipScopesOf(const KI_IMAGE_FRAME *Frame)
{
    const KI_SCOPES *Table = Frame->HandlerData;
    ULONG64 Base, Start = (ULONG_PTR)Table;
    ULONG Size;

    if (Frame->Handler == NULL || (Frame->HandlerFlags & UNW_FLAG_EHANDLER) == 0 ||
        !KiFindImage(Start, &Base, &Size) || Start + sizeof(*Table) > Base + Size ||
        Start + sizeof(*Table) + (ULONG64)Table->Count * sizeof(Table->Scopes[0]) > Base + Size) {
        return NULL;
    }
    return Table;
}

static BOOLEAN
KipCatches(const KI_IMAGE_FRAME *Frame, ULONG64 Rip)
{
    const KI_SCOPES *Table = KipScopesOf(Frame);
    ULONG64 Offset = Rip - Frame->ImageBase;

    for (ULONG Index = 0; Table != NULL && Index < Table->Count; Index += 1) {
        if (Offset >= Table->Scopes[Index].Begin && Offset < Table->Scopes[Index].End &&
            Table->Scopes[Index].Target != 0) {
            return TRUE;
        }
    }
    return FALSE;
}

/* Cross to the next image's frame; FALSE if there is none. */
static BOOLEAN
KipNextImage(PKI_EXCEPTION_WALK Walk)
{
    KI_CROSSING Crossing;
    PVOID Data;

    do {
        Crossing = KiCrossCore(Walk, &Data);
    } while (Crossing == KiCrossedHandler || Crossing == KiCrossedGuard);
    return Crossing == KiCrossedToImage;
}

BOOLEAN
KiIsGuarded(PKTRAP_FRAME TrapFrame)
{
    KI_EXCEPTION_WALK Walk = {.Record = KiCurrentThread()->BoundaryTop};
    KI_IMAGE_FRAME Frame;

    if (KiIsImageAddress(TrapFrame->Rip)) {
        KiTrapToContext(TrapFrame, &Walk.Context);
    } else if (!KiBeginWalk(&Walk)) {
        return FALSE;
    }
    for (ULONG Count = 0; Count < KI_GUARD_FRAMES; Count += 1) {
        ULONG64 Rip;

        if (!KiIsImageAddress(Walk.Context.Rip) && !KipNextImage(&Walk)) {
            return FALSE;
        }
        Rip = Walk.Context.Rip - (Walk.CallSite ? 1 : 0);
        if (!KiUnwindImageFrame(&Walk.Context, Walk.CallSite, &Frame)) {
            return FALSE;
        }
        if (KipCatches(&Frame, Rip)) {
            return TRUE;
        }
        Walk.CallSite = !Frame.MachineFrame;
    }
    return FALSE;
}
