/*
 * bugcodes.h - bug-check codes, the first argument of KeBugCheckEx, under their documented names.
 * What the four parameters mean is in the debugger's documentation of each code.
 */
#ifndef NTMM_BUGCODES_H
#define NTMM_BUGCODES_H

#include "ntdef.h"

/* ---- Kernel: IRQL, threads, synchronization ---- */

/* A system call or worker returned with APCs disabled */
#define APC_INDEX_MISMATCH ((ULONG)0x00000001)
/* A device queue was removed from while idle */
#define DEVICE_QUEUE_NOT_BUSY ((ULONG)0x00000002)
/* An affinity names no processor */
#define INVALID_AFFINITY_SET ((ULONG)0x00000003)
/* An attach while one is forbidden */
#define INVALID_PROCESS_ATTACH_ATTEMPT ((ULONG)0x00000005)
/* A detach that matches no attach */
#define INVALID_PROCESS_DETACH_ATTEMPT ((ULONG)0x00000006)
/* No such software interrupt */
#define INVALID_SOFTWARE_INTERRUPT ((ULONG)0x00000007)
/* A routine that needs DISPATCH_LEVEL was called elsewhere */
#define IRQL_NOT_DISPATCH_LEVEL ((ULONG)0x00000008)
/* IRQL is lower than the routine needs */
#define IRQL_NOT_GREATER_OR_EQUAL ((ULONG)0x00000009)
/* Pageable or bad memory touched at raised IRQL */
#define IRQL_NOT_LESS_OR_EQUAL ((ULONG)0x0000000A)
/* A wait names too many objects, or too few wait blocks are given */
#define MAXIMUM_WAIT_OBJECTS_EXCEEDED ((ULONG)0x0000000C)
/* A spin lock is taken twice by its owner */
#define SPIN_LOCK_ALREADY_OWNED ((ULONG)0x0000000F)
/* A spin lock is released by someone else */
#define SPIN_LOCK_NOT_OWNED ((ULONG)0x00000010)
/* A mutex is released by a thread that does not own it */
#define THREAD_NOT_MUTEX_OWNER ((ULONG)0x00000011)
/* An unexpected trap */
#define TRAP_CAUSE_UNKNOWN ((ULONG)0x00000012)
/* An object's reference count is wrong */
#define REFERENCE_BY_POINTER ((ULONG)0x00000018)
/* Nobody handled a kernel-mode exception */
#define KMODE_EXCEPTION_NOT_HANDLED ((ULONG)0x0000001E)
/* A shared resource was converted wrongly */
#define SHARED_RESOURCE_CONV_ERROR ((ULONG)0x0000001F)
/* A thread ends with APCs disabled or pending */
#define KERNEL_APC_PENDING_DURING_EXIT ((ULONG)0x00000020)
/* More quota is returned than was charged */
#define QUOTA_UNDERFLOW ((ULONG)0x00000021)
/* A kernel stack overran */
#define PANIC_STACK_SWITCH ((ULONG)0x0000002B)
/* Memory parity error */
#define DATA_BUS_ERROR ((ULONG)0x0000002E)
/* Bus error on a fetch */
#define INSTRUCTION_BUS_ERROR ((ULONG)0x0000002F)
/* A context would put the stack pointer out of bounds */
#define SET_OF_INVALID_CONTEXT ((ULONG)0x00000030)
/* Start-up failed early */
#define PHASE0_INITIALIZATION_FAILED ((ULONG)0x00000031)
/* Start-up failed */
#define PHASE1_INITIALIZATION_FAILED ((ULONG)0x00000032)
/* An IRP was sent on that has no stack location left */
#define NO_MORE_IRP_STACK_LOCATIONS ((ULONG)0x00000035)
/* A worker routine returned owning a mutex */
#define SYSTEM_EXIT_OWNED_MUTEX ((ULONG)0x00000039)
/* An exception left a system service */
#define SYSTEM_SERVICE_EXCEPTION ((ULONG)0x0000003B)
/* Nobody handled an exception in an interrupt */
#define INTERRUPT_EXCEPTION_NOT_HANDLED ((ULONG)0x0000003D)
/* The processors do not match */
#define MULTIPROCESSOR_CONFIGURATION_NOT_SUPPORTED ((ULONG)0x0000003E)
/* An IRP was completed twice */
#define MULTIPLE_IRP_COMPLETE_REQUESTS ((ULONG)0x00000044)
/* A completed IRP has a cancel routine */
#define CANCEL_STATE_IN_COMPLETED_IRP ((ULONG)0x00000048)
/* A page fault with interrupts disabled */
#define PAGE_FAULT_WITH_INTERRUPTS_OFF ((ULONG)0x00000049)
/* Return to user mode at raised IRQL */
#define IRQL_GT_ZERO_AT_SYSTEM_SERVICE ((ULONG)0x0000004A)
/* An exception early in start-up */
#define PHASE0_EXCEPTION ((ULONG)0x00000078)
/* The boot device cannot be read */
#define INACCESSIBLE_BOOT_DEVICE ((ULONG)0x0000007B)
/* A system thread raised and nobody handled it */
#define SYSTEM_THREAD_EXCEPTION_NOT_HANDLED ((ULONG)0x0000007E)
/* A trap the kernel cannot take, e.g. 8: double fault */
#define UNEXPECTED_KERNEL_MODE_TRAP ((ULONG)0x0000007F)
/* A non-maskable interrupt */
#define NMI_HARDWARE_FAILURE ((ULONG)0x00000080)
/* Nobody handled a kernel-mode exception (32 bits) */
#define KERNEL_MODE_EXCEPTION_NOT_HANDLED ((ULONG)0x0000008E)
/* A thread ends with stack swapping disabled */
#define KERNEL_STACK_LOCKED_AT_EXIT ((ULONG)0x00000094)
/* A queued work item is damaged or not nonpaged */
#define INVALID_WORK_QUEUE_ITEM ((ULONG)0x00000096)
/* The processor reports an error */
#define MACHINE_CHECK_EXCEPTION ((ULONG)0x0000009C)
/* A power request hangs */
#define DRIVER_POWER_STATE_FAILURE ((ULONG)0x0000009F)
/* A DPC or a raised-IRQL caller tried to wait */
#define ATTEMPTED_SWITCH_FROM_DPC ((ULONG)0x000000B8)
/* A mutex is acquired by its owner where that is illegal */
#define MUTEX_ALREADY_OWNED ((ULONG)0x000000BF)
/* A timer or DPC lies in freed or unloaded memory */
#define TIMER_OR_DPC_INVALID ((ULONG)0x000000C7)
/* IRQL is not what it must be */
#define IRQL_UNEXPECTED_VALUE ((ULONG)0x000000C8)
/* The verifier found a broken I/O rule */
#define DRIVER_VERIFIER_IOMANAGER_VIOLATION ((ULONG)0x000000C9)
/* Plug and Play found a fatal driver error */
#define PNP_DETECTED_FATAL_ERROR ((ULONG)0x000000CA)
/* A work item returned at raised IRQL */
#define WORKER_THREAD_RETURNED_AT_BAD_IRQL ((ULONG)0x000000E1)
/* Someone asked for it */
#define MANUALLY_INITIATED_CRASH ((ULONG)0x000000E2)
/* A resource is released by a thread that does not own it */
#define RESOURCE_NOT_OWNED ((ULONG)0x000000E3)
/* A work item lies in freed memory */
#define WORKER_INVALID ((ULONG)0x000000E4)
/* A driver loops */
#define THREAD_STUCK_IN_DEVICE_DRIVER ((ULONG)0x000000EA)
/* A process the system needs has ended */
#define CRITICAL_PROCESS_DIED ((ULONG)0x000000EF)
/* A process or thread the system needs has ended */
#define CRITICAL_OBJECT_TERMINATION ((ULONG)0x000000F4)
/* A security cookie is wrong */
#define DRIVER_OVERRAN_STACK_BUFFER ((ULONG)0x000000F7)
/* A processor does not answer */
#define CLOCK_WATCHDOG_TIMEOUT ((ULONG)0x00000101)
/* Kernel code or data were changed */
#define CRITICAL_STRUCTURE_CORRUPTION ((ULONG)0x00000109)
/* A DPC ran, or IRQL was raised, too long */
#define DPC_WATCHDOG_VIOLATION ((ULONG)0x00000133)
/* A fast fail, e.g. 3: a list entry's links disagree */
#define KERNEL_SECURITY_CHECK_FAILURE ((ULONG)0x00000139)
/* A lock is released by a thread that does not own it */
#define KERNEL_AUTO_BOOST_INVALID_LOCK_RELEASE ((ULONG)0x00000162)
/* An object's header is damaged */
#define BAD_OBJECT_HEADER ((ULONG)0x00000189)
/* Exception dispatch met an illegal stack */
#define EXCEPTION_ON_INVALID_STACK ((ULONG)0x000001AA)
/* A thread's initial kernel stack is bad */
#define INVALID_KERNEL_STACK_ADDRESS ((ULONG)0x000001CE)

/* A thread ends owning a mutex */
#define THREAD_TERMINATE_HELD_MUTEX ((ULONG)0x4000008A)

/* ---- Memory: faults ---- */

/* A system address without memory was touched */
#define PAGE_FAULT_IN_NONPAGED_AREA ((ULONG)0x00000050)
/* Kernel write to read-only memory */
#define ATTEMPTED_WRITE_TO_READONLY_MEMORY ((ULONG)0x000000BE)
/* An unloaded driver was called */
#define DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS ((ULONG)0x000000CE)
/* Session memory without session */
#define TERMINAL_SERVER_DRIVER_MADE_INCORRECT_MEMORY_REFERENCE ((ULONG)0x000000CF)
/* Large pool's links are damaged */
#define DRIVER_CORRUPTED_MMPOOL ((ULONG)0x000000D0)
/* A driver touched pageable memory at raised IRQL */
#define DRIVER_IRQL_NOT_LESS_OR_EQUAL ((ULONG)0x000000D1)
/* A driver's pageable section touched at raised IRQL */
#define DRIVER_PORTION_MUST_BE_NONPAGED ((ULONG)0x000000D3)
/* Unloaded driver, raised IRQL */
#define SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD ((ULONG)0x000000D4)
/* System PTEs are damaged */
#define DRIVER_CORRUPTED_SYSPTES ((ULONG)0x000000DB)
/* Stack below the stack pointer was touched */
#define DRIVER_INVALID_STACK_ACCESS ((ULONG)0x000000DC)
/* Kernel fetch from no-execute memory */
#define ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY ((ULONG)0x000000FC)

/* ---- Memory: pages and paging ---- */

/* An inconsistency or a broken contract; parameter 1 says which */
#define MEMORY_MANAGEMENT ((ULONG)0x0000001A)
/* No longer used */
#define PFN_SHARE_COUNT ((ULONG)0x0000001B)
/* A page's reference count under- or overflows */
#define PFN_REFERENCE_COUNT ((ULONG)0x0000001C)
/* No free page can be produced */
#define NO_PAGES_AVAILABLE ((ULONG)0x0000004D)
/* The page lists or counts disagree */
#define PFN_LIST_CORRUPT ((ULONG)0x0000004E)
/* The memory manager could not start */
#define MEMORY1_INITIALIZATION_FAILED ((ULONG)0x00000065)
/* A process ends with pages locked, or unlocked too often */
#define PROCESS_HAS_LOCKED_PAGES ((ULONG)0x00000076)
/* A kernel stack cannot be read back */
#define KERNEL_STACK_INPAGE_ERROR ((ULONG)0x00000077)
/* Paged kernel data cannot be read */
#define KERNEL_DATA_INPAGE_ERROR ((ULONG)0x0000007A)
/* Too little RAM to start */
#define INSTALL_MORE_MEMORY ((ULONG)0x0000007D)
/* Memory changed across sleep */
#define MEMORY_IMAGE_CORRUPT ((ULONG)0x000000A2)
/* As 0x76 with the driver known */
#define DRIVER_LEFT_LOCKED_PAGES_IN_PROCESS ((ULONG)0x000000CB)
/* The lock tracker is damaged */
#define LOCKED_PAGES_TRACKER_CORRUPTION ((ULONG)0x000000D9)
/* As 0x4D, pages of mapped files */
#define DIRTY_MAPPED_PAGES_CONGESTION ((ULONG)0x000000EB)
/* As 0x4D, pages that may not be written */
#define DIRTY_NOWRITE_PAGES_CONGESTION ((ULONG)0x000000FD)
/* A page on the zeroed list is not zero */
#define PAGE_NOT_ZERO ((ULONG)0x00000127)
/* A worker leaks an I/O priority */
#define WORKER_THREAD_RETURNED_WITH_BAD_IO_PRIORITY ((ULONG)0x00000128)
/* A worker leaks a paging priority */
#define WORKER_THREAD_RETURNED_WITH_BAD_PAGING_IO_PRIORITY ((ULONG)0x00000129)
/* A page has a hardware error */
#define FAULTY_HARDWARE_CORRUPTED_PAGE ((ULONG)0x0000012B)
/* The compression store faulted */
#define UNEXPECTED_STORE_EXCEPTION ((ULONG)0x00000154)
/* The IOMMU faulted for a dead address space */
#define ILLEGAL_IOMMU_PAGE_FAULT ((ULONG)0x00000158)
/* A worker leaks a page priority */
#define WORKER_THREAD_RETURNED_WITH_SYSTEM_PAGE_PRIORITY_ACTIVE ((ULONG)0x0000015B)
/* The compression store is damaged */
#define STORE_DATA_STRUCTURE_CORRUPTION ((ULONG)0x000001C7)

/* ---- Memory: pool ---- */

/* Pool structures are damaged */
#define BAD_POOL_HEADER ((ULONG)0x00000019)
/* A must-succeed request failed */
#define MUST_SUCCEED_POOL_EMPTY ((ULONG)0x00000041)
/* Bad zone or region */
#define INVALID_REGION_OR_SEGMENT ((ULONG)0x00000099)
/* A session ends with pool allocated */
#define SESSION_HAS_VALID_POOL_ON_EXIT ((ULONG)0x000000AB)
/* Special pool found an overrun */
#define SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION ((ULONG)0x000000C1)
/* A caller broke the pool contract */
#define BAD_POOL_CALLER ((ULONG)0x000000C2)
/* Small pool's links are damaged */
#define DRIVER_CORRUPTED_EXPOOL ((ULONG)0x000000C5)
/* Freed pool was touched */
#define DRIVER_CAUGHT_MODIFYING_FREED_POOL ((ULONG)0x000000C6)
/* Freed special pool was touched */
#define PAGE_FAULT_IN_FREED_SPECIAL_POOL ((ULONG)0x000000CC)
/* Beyond a special-pool block */
#define PAGE_FAULT_BEYOND_END_OF_ALLOCATION ((ULONG)0x000000CD)
/* As 0xCC, by a driver */
#define DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL ((ULONG)0x000000D5)
/* As 0xCD, by a driver */
#define DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION ((ULONG)0x000000D6)
/* Pool that describes file pages is damaged */
#define POOL_CORRUPTION_IN_FILE_AREA ((ULONG)0x000000DE)
/* A session ends with special pool allocated */
#define SESSION_HAS_VALID_SPECIAL_POOL_ON_EXIT ((ULONG)0x000000EC)
/* The heap found damage */
#define KERNEL_MODE_HEAP_CORRUPTION ((ULONG)0x0000013A)

/* ---- Memory: MDLs, mappings, system PTEs ---- */

/* A mandatory mapping finds no room */
#define NO_MORE_SYSTEM_PTES ((ULONG)0x0000003F)
/* The target of IoBuildPartialMdl is too small */
#define TARGET_MDL_TOO_SMALL ((ULONG)0x00000040)
/* Unmap of what is no view */
#define DRIVER_UNMAPPING_INVALID_VIEW ((ULONG)0x000000D7)
/* As 0x3F with the driver known */
#define DRIVER_USED_EXCESSIVE_PTES ((ULONG)0x000000D8)
/* A system mapping is used or freed wrongly; parameter 1 says how */
#define SYSTEM_PTE_MISUSE ((ULONG)0x000000DA)
/* A partial MDL reaches outside its source */
#define INVALID_MDL_RANGE ((ULONG)0x0000012E)

/* ---- Verifier ---- */

/* A rule is broken; parameter 1 says which */
#define DRIVER_VERIFIER_DETECTED_VIOLATION ((ULONG)0x000000C4)
/* A DMA rule is broken */
#define DRIVER_VERIFIER_DMA_VIOLATION ((ULONG)0x000000E6)

#endif
