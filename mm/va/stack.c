/*
 * The growth of a program's stack. The committed part of a stack ends at its limit, below which one guard page lies; a touch of that page
 * makes it an ordinary one, the next page below becomes the guard, and the limit in the TEB moves down. When only the last pages of
 * the reservation are left, which stay for the handler of the overflow, it is STATUS_STACK_OVERFLOW: the guard is gone, so the handler
 * has the page that was touched and what the thread asked to have guaranteed.
 *
 * The TEB is the program's: what it says is checked by nothing but the pages' own state, and reads and writes of it may fail. Called by the
 * fault path when it has given back every lock. Document: "Thread Stack Size", "Creating Guard Pages".
 */
#include <ke/user.h>
#include <mm/va/va.h>
#include <ntpeb.h>

#define MI_OVERFLOW_PAGES 3 /* the touched page, one for the handler, and the last, which is never used */

NTSTATUS
MiGrowUserStack(ULONG_PTR Address)
{
    ULONG_PTR TebBase = KiCurrentThread()->Teb, Page = Address & ~(ULONG_PTR)(PAGE_SIZE - 1);
    MI_ALLOCATE Guard = {.Base = Page - PAGE_SIZE, .Size = PAGE_SIZE, .Type = MEM_COMMIT, .Protect = PAGE_READWRITE | PAGE_GUARD};
    const TEB *Teb = (const TEB *)TebBase;
    NT_TIB Tib;
    ULONG_PTR Lowest;
    ULONG Guaranteed;
    NTSTATUS Status;

    if (TebBase == 0 || KiCurrentThread()->ActiveProcess != KiCurrentThread()->Process ||
        !NT_SUCCESS(KiCopyFromUser(&Tib, &Teb->NtTib, sizeof(Tib))) ||
        !NT_SUCCESS(KiCopyFromUser(&Lowest, &Teb->DeallocationStack, sizeof(Lowest))) ||
        !NT_SUCCESS(KiCopyFromUser(&Guaranteed, &Teb->GuaranteedStackBytes, sizeof(Guaranteed))) ||
        Page < Lowest || Page >= (ULONG_PTR)Tib.StackLimit) {
        return STATUS_GUARD_PAGE_VIOLATION;
    }
    Status = STATUS_STACK_OVERFLOW;
    if (Page - Lowest >= MI_OVERFLOW_PAGES * PAGE_SIZE + ROUND_TO_PAGES((SIZE_T)Guaranteed)) {
        Status = MiAllocateVirtual(MiCurrentSpace(), &Guard);
        Status = NT_SUCCESS(Status) ? STATUS_SUCCESS : STATUS_STACK_OVERFLOW;
    } else if (Page > Lowest + PAGE_SIZE) {
        Guard.Protect = PAGE_READWRITE;
        MiAllocateVirtual(MiCurrentSpace(), &Guard);
        Page -= PAGE_SIZE;
    }
    Tib.StackLimit = (PVOID)Page;
    KiCopyToUser((PVOID)&Teb->NtTib.StackLimit, &Tib.StackLimit, sizeof(Tib.StackLimit));
    return Status;
}
