/*
 * Kernel stacks: memory for threads and for stack expansion.
 *
 *     guard page | stack, growing down | guard page
 *     no access    Limit ........ Base   no access
 *
 * A stack is nonpageable: frames, commit and resident available are charged when it is made and returned when it is
 * deleted. Deleted stacks are kept in a small cache, charges and all, which MiTrimStacks empties. Documents:
 * "Using the Kernel Stack".
 */
#ifndef MM_STACK_STACK_H
#define MM_STACK_STACK_H

#include <mm/mi.h>

/*
 * Make a stack of KERNEL_STACK_SIZE, or KERNEL_LARGE_STACK_SIZE if Large. <= DISPATCH_LEVEL. The caller owns
 * [*Limit, *Base) until MiDeleteKernelStack. STATUS_NO_MEMORY: no frames, commit or address; nothing is kept.
 */
NTSTATUS MiCreateKernelStack(BOOLEAN Large, PULONG_PTR Limit, PULONG_PTR Base);

/* Give back a stack no processor runs on. <= DISPATCH_LEVEL. */
VOID MiDeleteKernelStack(ULONG_PTR Base, BOOLEAN Large);

/* Empty the cache. */
VOID MiTrimStacks(VOID);

#endif
