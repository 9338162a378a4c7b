/*
 * ntstatus.h - status codes.
 *
 * Bits 31-30 are the severity (0 success, 1 information, 2 warning, 3 error), 29 marks customers'
 * codes, 27-16 the facility, 15-0 the code. Values follow the public list; the comments say what
 * the memory manager and its neighbours mean by them. "Raised" means delivered as an exception.
 */
#ifndef NTMM_NTSTATUS_H
#define NTMM_NTSTATUS_H

#include "ntdef.h"

/* ---- Success and information ---- */

/* Done */
#define STATUS_SUCCESS ((NTSTATUS)0x00000000)
/* A wait ended because its first (or only) object was signaled */
#define STATUS_WAIT_0 ((NTSTATUS)0x00000000)
/* As WAIT_0 for the second object */
#define STATUS_WAIT_1 ((NTSTATUS)0x00000001)
/* As WAIT_0 for the third object */
#define STATUS_WAIT_2 ((NTSTATUS)0x00000002)
/* As WAIT_0 for the fourth object */
#define STATUS_WAIT_3 ((NTSTATUS)0x00000003)
/* As WAIT_0 for the sixty-fourth object */
#define STATUS_WAIT_63 ((NTSTATUS)0x0000003F)
/* A wait ended with a mutex whose owner died */
#define STATUS_ABANDONED ((NTSTATUS)0x00000080)
/* As ABANDONED, first object */
#define STATUS_ABANDONED_WAIT_0 ((NTSTATUS)0x00000080)
/* As ABANDONED, sixty-fourth object */
#define STATUS_ABANDONED_WAIT_63 ((NTSTATUS)0x000000BF)
/* A wait was broken to run a user-mode APC */
#define STATUS_USER_APC ((NTSTATUS)0x000000C0)
/* The operation had finished before */
#define STATUS_ALREADY_COMPLETE ((NTSTATUS)0x000000FF)
/* A wait was broken to run a kernel APC */
#define STATUS_KERNEL_APC ((NTSTATUS)0x00000100)
/* An alertable wait was broken by an alert */
#define STATUS_ALERTED ((NTSTATUS)0x00000101)
/* The time given to a wait ran out */
#define STATUS_TIMEOUT ((NTSTATUS)0x00000102)
/* The request goes on and completes later */
#define STATUS_PENDING ((NTSTATUS)0x00000103)
/* A name led into a reparse point */
#define STATUS_REPARSE ((NTSTATUS)0x00000104)
/* An enumeration has more to give */
#define STATUS_MORE_ENTRIES ((NTSTATUS)0x00000105)
/* Not every privilege asked for is held */
#define STATUS_NOT_ALL_ASSIGNED ((NTSTATUS)0x00000106)
/* Some of the names were not translated */
#define STATUS_SOME_NOT_MAPPED ((NTSTATUS)0x00000107)
/* An oplock is being broken */
#define STATUS_OPLOCK_BREAK_IN_PROGRESS ((NTSTATUS)0x00000108)
/* Fault solved: the page was on a list or in flight */
#define STATUS_PAGE_FAULT_TRANSITION ((NTSTATUS)0x00000110)
/* Fault solved: a zero page was supplied */
#define STATUS_PAGE_FAULT_DEMAND_ZERO ((NTSTATUS)0x00000111)
/* Fault solved: a private copy was made */
#define STATUS_PAGE_FAULT_COPY_ON_WRITE ((NTSTATUS)0x00000112)
/* Fault solved: a stack's guard page was moved */
#define STATUS_PAGE_FAULT_GUARD_PAGE ((NTSTATUS)0x00000113)
/* Fault solved: the page was read from its backing store */
#define STATUS_PAGE_FAULT_PAGING_FILE ((NTSTATUS)0x00000114)
/* A pinned page could not be invalidated (a success) */
#define STATUS_CACHE_PAGE_LOCKED ((NTSTATUS)0x00000115)
/* Combined or compressed data turned out to be all zero */
#define STATUS_BUFFER_ALL_ZEROS ((NTSTATUS)0x00000117)
/* The process belongs to no job */
#define STATUS_PROCESS_NOT_IN_JOB ((NTSTATUS)0x00000123)
/* The process belongs to a job */
#define STATUS_PROCESS_IN_JOB ((NTSTATUS)0x00000124)
/* This is the copy of a cloned process */
#define STATUS_PROCESS_CLONED ((NTSTATUS)0x00000129)
/* The request waits for an oplock */
#define STATUS_WAIT_FOR_OPLOCK ((NTSTATUS)0x00000367)
/* A debugger handled the exception */
#define DBG_EXCEPTION_HANDLED ((NTSTATUS)0x00010001)
/* A debugger lets the program continue */
#define DBG_CONTINUE ((NTSTATUS)0x00010002)
/* Create by name opened an existing object */
#define STATUS_OBJECT_NAME_EXISTS ((NTSTATUS)0x40000000)
/* The thread ends while suspended */
#define STATUS_THREAD_WAS_SUSPENDED ((NTSTATUS)0x40000001)
/* Working-set limits were moved into the legal range */
#define STATUS_WORKING_SET_LIMIT_RANGE ((NTSTATUS)0x40000002)
/* The image view is not at its preferred base */
#define STATUS_IMAGE_NOT_AT_BASE ((NTSTATUS)0x40000003)
/* The image is for another machine than the process */
#define STATUS_IMAGE_MACHINE_TYPE_MISMATCH ((NTSTATUS)0x4000000E)
/* Some page was already locked */
#define STATUS_WAS_LOCKED ((NTSTATUS)0x40000019)
/* No other thread was ready */
#define STATUS_NO_YIELD_PERFORMED ((NTSTATUS)0x40000024)

/* ---- Warnings ---- */

/* Raised: first touch of a guard page; the guard is gone */
#define STATUS_GUARD_PAGE_VIOLATION ((NTSTATUS)0x80000001)
/* Raised: an address is not aligned for its type */
#define STATUS_DATATYPE_MISALIGNMENT ((NTSTATUS)0x80000002)
/* Raised: a breakpoint instruction was executed */
#define STATUS_BREAKPOINT ((NTSTATUS)0x80000003)
/* Raised: the trap flag or a data breakpoint fired */
#define STATUS_SINGLE_STEP ((NTSTATUS)0x80000004)
/* The result did not fit and was truncated */
#define STATUS_BUFFER_OVERFLOW ((NTSTATUS)0x80000005)
/* A directory listing is finished */
#define STATUS_NO_MORE_FILES ((NTSTATUS)0x80000006)
/* A copy stopped midway; the byte count is valid */
#define STATUS_PARTIAL_COPY ((NTSTATUS)0x8000000D)
/* The device cannot take the request now */
#define STATUS_DEVICE_BUSY ((NTSTATUS)0x80000011)
/* An enumeration is finished */
#define STATUS_NO_MORE_ENTRIES ((NTSTATUS)0x8000001A)
/* An unwind caused by a long jump */
#define STATUS_LONGJUMP ((NTSTATUS)0x80000026)
/* An unwind that ends in a call of a consolidation routine */
#define STATUS_UNWIND_CONSOLIDATE ((NTSTATUS)0x80000029)

/* ---- Errors ---- */

/* Failed, no better reason known */
#define STATUS_UNSUCCESSFUL ((NTSTATUS)0xC0000001)
/* The function does not exist here */
#define STATUS_NOT_IMPLEMENTED ((NTSTATUS)0xC0000002)
/* Unknown class of a query or set call */
#define STATUS_INVALID_INFO_CLASS ((NTSTATUS)0xC0000003)
/* The buffer's size does not fit the class */
#define STATUS_INFO_LENGTH_MISMATCH ((NTSTATUS)0xC0000004)
/* Raised: a disallowed memory access; also: a user pointer faulted */
#define STATUS_ACCESS_VIOLATION ((NTSTATUS)0xC0000005)
/* Raised: the backing store of a page could not be read */
#define STATUS_IN_PAGE_ERROR ((NTSTATUS)0xC0000006)
/* A page-file quota stops the fault */
#define STATUS_PAGEFILE_QUOTA ((NTSTATUS)0xC0000007)
/* No such handle, or a wrong one */
#define STATUS_INVALID_HANDLE ((NTSTATUS)0xC0000008)
/* A new thread's stack is unusable */
#define STATUS_BAD_INITIAL_STACK ((NTSTATUS)0xC0000009)
/* A new thread's start address is unusable */
#define STATUS_BAD_INITIAL_PC ((NTSTATUS)0xC000000A)
/* No such process or thread id */
#define STATUS_INVALID_CID ((NTSTATUS)0xC000000B)
/* An argument is out of range or inconsistent */
#define STATUS_INVALID_PARAMETER ((NTSTATUS)0xC000000D)
/* No such device */
#define STATUS_NO_SUCH_DEVICE ((NTSTATUS)0xC000000E)
/* No such file */
#define STATUS_NO_SUCH_FILE ((NTSTATUS)0xC000000F)
/* The device does not serve this request */
#define STATUS_INVALID_DEVICE_REQUEST ((NTSTATUS)0xC0000010)
/* At or beyond the end of the file */
#define STATUS_END_OF_FILE ((NTSTATUS)0xC0000011)
/* Another volume is in the drive */
#define STATUS_WRONG_VOLUME ((NTSTATUS)0xC0000012)
/* No medium in the drive */
#define STATUS_NO_MEDIA_IN_DEVICE ((NTSTATUS)0xC0000013)
/* Beyond the end of the medium */
#define STATUS_NONEXISTENT_SECTOR ((NTSTATUS)0xC0000015)
/* A completion routine keeps the IRP */
#define STATUS_MORE_PROCESSING_REQUIRED ((NTSTATUS)0xC0000016)
/* No address range of that size, or no pages */
#define STATUS_NO_MEMORY ((NTSTATUS)0xC0000017)
/* The range overlaps, or spans reservations */
#define STATUS_CONFLICTING_ADDRESSES ((NTSTATUS)0xC0000018)
/* No view there; the MDL is not mapped */
#define STATUS_NOT_MAPPED_VIEW ((NTSTATUS)0xC0000019)
/* The range cannot be freed this way */
#define STATUS_UNABLE_TO_FREE_VM ((NTSTATUS)0xC000001A)
/* A section view cannot be freed like private memory */
#define STATUS_UNABLE_TO_DELETE_SECTION ((NTSTATUS)0xC000001B)
/* No such system service */
#define STATUS_INVALID_SYSTEM_SERVICE ((NTSTATUS)0xC000001C)
/* Raised: undefined instruction */
#define STATUS_ILLEGAL_INSTRUCTION ((NTSTATUS)0xC000001D)
/* Raised: a lock prefix where none is allowed */
#define STATUS_INVALID_LOCK_SEQUENCE ((NTSTATUS)0xC000001E)
/* The view does not fit the section */
#define STATUS_INVALID_VIEW_SIZE ((NTSTATUS)0xC000001F)
/* The file cannot back a section */
#define STATUS_INVALID_FILE_FOR_SECTION ((NTSTATUS)0xC0000020)
/* The range is committed already */
#define STATUS_ALREADY_COMMITTED ((NTSTATUS)0xC0000021)
/* The handle or the caller lacks the right */
#define STATUS_ACCESS_DENIED ((NTSTATUS)0xC0000022)
/* The fixed part of the result does not fit */
#define STATUS_BUFFER_TOO_SMALL ((NTSTATUS)0xC0000023)
/* The object is of another type */
#define STATUS_OBJECT_TYPE_MISMATCH ((NTSTATUS)0xC0000024)
/* Raised: a handler tried to continue what cannot continue */
#define STATUS_NONCONTINUABLE_EXCEPTION ((NTSTATUS)0xC0000025)
/* Raised: an exception handler returned nonsense */
#define STATUS_INVALID_DISPOSITION ((NTSTATUS)0xC0000026)
/* An unwind is in progress */
#define STATUS_UNWIND ((NTSTATUS)0xC0000027)
/* Raised: the stack is unusable for exception dispatch */
#define STATUS_BAD_STACK ((NTSTATUS)0xC0000028)
/* Raised: the frame to unwind to does not exist */
#define STATUS_INVALID_UNWIND_TARGET ((NTSTATUS)0xC0000029)
/* The page is not locked */
#define STATUS_NOT_LOCKED ((NTSTATUS)0xC000002A)
/* A page of the range is only reserved */
#define STATUS_NOT_COMMITTED ((NTSTATUS)0xC000002D)
/* The arguments exclude each other */
#define STATUS_INVALID_PARAMETER_MIX ((NTSTATUS)0xC0000030)
/* Malformed name */
#define STATUS_OBJECT_NAME_INVALID ((NTSTATUS)0xC0000033)
/* No object of that name */
#define STATUS_OBJECT_NAME_NOT_FOUND ((NTSTATUS)0xC0000034)
/* An object of that name exists */
#define STATUS_OBJECT_NAME_COLLISION ((NTSTATUS)0xC0000035)
/* The other end has gone */
#define STATUS_PORT_DISCONNECTED ((NTSTATUS)0xC0000037)
/* Malformed path */
#define STATUS_OBJECT_PATH_INVALID ((NTSTATUS)0xC0000039)
/* A directory of the path does not exist */
#define STATUS_OBJECT_PATH_NOT_FOUND ((NTSTATUS)0xC000003A)
/* The path does not start as one */
#define STATUS_OBJECT_PATH_SYNTAX_BAD ((NTSTATUS)0xC000003B)
/* More data than room */
#define STATUS_DATA_OVERRUN ((NTSTATUS)0xC000003C)
/* The data are damaged */
#define STATUS_DATA_ERROR ((NTSTATUS)0xC000003E)
/* A checksum is wrong */
#define STATUS_CRC_ERROR ((NTSTATUS)0xC000003F)
/* Larger than the system or the file allows */
#define STATUS_SECTION_TOO_BIG ((NTSTATUS)0xC0000040)
/* Another opener excludes this access */
#define STATUS_SHARING_VIOLATION ((NTSTATUS)0xC0000043)
/* A quota is used up */
#define STATUS_QUOTA_EXCEEDED ((NTSTATUS)0xC0000044)
/* No such protection, or not allowed here */
#define STATUS_INVALID_PAGE_PROTECTION ((NTSTATUS)0xC0000045)
/* The mutex is released by a thread that does not own it */
#define STATUS_MUTANT_NOT_OWNED ((NTSTATUS)0xC0000046)
/* The release would pass the semaphore's limit */
#define STATUS_SEMAPHORE_LIMIT_EXCEEDED ((NTSTATUS)0xC0000047)
/* The section is not an image section */
#define STATUS_SECTION_NOT_IMAGE ((NTSTATUS)0xC0000049)
/* The thread is ending */
#define STATUS_THREAD_IS_TERMINATING ((NTSTATUS)0xC000004B)
/* Impossible working-set limits */
#define STATUS_BAD_WORKING_SET_LIMIT ((NTSTATUS)0xC000004C)
/* The section's protection does not fit the file's */
#define STATUS_INCOMPATIBLE_FILE_MAP ((NTSTATUS)0xC000004D)
/* The view asks for more than the section gives */
#define STATUS_SECTION_PROTECTION ((NTSTATUS)0xC000004E)
/* A byte-range lock is in the way */
#define STATUS_FILE_LOCK_CONFLICT ((NTSTATUS)0xC0000054)
/* The lock was refused */
#define STATUS_LOCK_NOT_GRANTED ((NTSTATUS)0xC0000055)
/* The object is being deleted */
#define STATUS_DELETE_PENDING ((NTSTATUS)0xC0000056)
/* Not a possible owner */
#define STATUS_INVALID_OWNER ((NTSTATUS)0xC000005A)
/* The caller lacks a privilege */
#define STATUS_PRIVILEGE_NOT_HELD ((NTSTATUS)0xC0000061)
/* The password is too old */
#define STATUS_PASSWORD_EXPIRED ((NTSTATUS)0xC0000071)
/* Malformed security descriptor */
#define STATUS_INVALID_SECURITY_DESCR ((NTSTATUS)0xC0000079)
/* No such routine */
#define STATUS_PROCEDURE_NOT_FOUND ((NTSTATUS)0xC000007A)
/* Not a valid image */
#define STATUS_INVALID_IMAGE_FORMAT ((NTSTATUS)0xC000007B)
/* No room on the disk */
#define STATUS_DISK_FULL ((NTSTATUS)0xC000007F)
/* Not an authority */
#define STATUS_INVALID_ID_AUTHORITY ((NTSTATUS)0xC0000084)
/* The section cannot grow */
#define STATUS_SECTION_NOT_EXTENDED ((NTSTATUS)0xC0000087)
/* Not a view of a data file */
#define STATUS_NOT_MAPPED_DATA ((NTSTATUS)0xC0000088)
/* The image has no resources */
#define STATUS_RESOURCE_DATA_NOT_FOUND ((NTSTATUS)0xC0000089)
/* Raised: an index is out of bounds */
#define STATUS_ARRAY_BOUNDS_EXCEEDED ((NTSTATUS)0xC000008C)
/* Raised: denormal operand */
#define STATUS_FLOAT_DENORMAL_OPERAND ((NTSTATUS)0xC000008D)
/* Raised: floating division by zero */
#define STATUS_FLOAT_DIVIDE_BY_ZERO ((NTSTATUS)0xC000008E)
/* Raised: inexact result */
#define STATUS_FLOAT_INEXACT_RESULT ((NTSTATUS)0xC000008F)
/* Raised: invalid floating operation */
#define STATUS_FLOAT_INVALID_OPERATION ((NTSTATUS)0xC0000090)
/* Raised: floating overflow */
#define STATUS_FLOAT_OVERFLOW ((NTSTATUS)0xC0000091)
/* Raised: x87 stack fault */
#define STATUS_FLOAT_STACK_CHECK ((NTSTATUS)0xC0000092)
/* Raised: floating underflow */
#define STATUS_FLOAT_UNDERFLOW ((NTSTATUS)0xC0000093)
/* Raised: integer division by zero */
#define STATUS_INTEGER_DIVIDE_BY_ZERO ((NTSTATUS)0xC0000094)
/* A sum or product does not fit; raised by into */
#define STATUS_INTEGER_OVERFLOW ((NTSTATUS)0xC0000095)
/* Raised: an instruction that needs ring 0 */
#define STATUS_PRIVILEGED_INSTRUCTION ((NTSTATUS)0xC0000096)
/* No more page files are possible */
#define STATUS_TOO_MANY_PAGING_FILES ((NTSTATUS)0xC0000097)
/* The file changed so that the handle is void */
#define STATUS_FILE_INVALID ((NTSTATUS)0xC0000098)
/* Pool or system PTEs are used up */
#define STATUS_INSUFFICIENT_RESOURCES ((NTSTATUS)0xC000009A)
/* The medium returned bad data */
#define STATUS_DEVICE_DATA_ERROR ((NTSTATUS)0xC000009C)
/* The device is gone */
#define STATUS_DEVICE_NOT_CONNECTED ((NTSTATUS)0xC000009D)
/* The device lost power */
#define STATUS_DEVICE_POWER_FAILURE ((NTSTATUS)0xC000009E)
/* The release does not start at the reservation */
#define STATUS_FREE_VM_NOT_AT_BASE ((NTSTATUS)0xC000009F)
/* No reservation covers the range */
#define STATUS_MEMORY_NOT_ALLOCATED ((NTSTATUS)0xC00000A0)
/* Locking would exceed the working set */
#define STATUS_WORKING_SET_QUOTA ((NTSTATUS)0xC00000A1)
/* The medium is write-protected */
#define STATUS_MEDIA_WRITE_PROTECTED ((NTSTATUS)0xC00000A2)
/* The device is not ready */
#define STATUS_DEVICE_NOT_READY ((NTSTATUS)0xC00000A3)
/* Impersonation is too weak */
#define STATUS_BAD_IMPERSONATION_LEVEL ((NTSTATUS)0xC00000A5)
/* No such instance */
#define STATUS_INSTANCE_NOT_AVAILABLE ((NTSTATUS)0xC00000AB)
/* All instances are in use */
#define STATUS_PIPE_BUSY ((NTSTATUS)0xC00000AE)
/* The device did not answer in time */
#define STATUS_IO_TIMEOUT ((NTSTATUS)0xC00000B5)
/* A file was expected */
#define STATUS_FILE_IS_A_DIRECTORY ((NTSTATUS)0xC00000BA)
/* This system does not have the feature */
#define STATUS_NOT_SUPPORTED ((NTSTATUS)0xC00000BB)
/* The network is busy */
#define STATUS_NETWORK_BUSY ((NTSTATUS)0xC00000BF)
/* No such device any more */
#define STATUS_DEVICE_DOES_NOT_EXIST ((NTSTATUS)0xC00000C0)
/* The files are on different devices, or different files */
#define STATUS_NOT_SAME_DEVICE ((NTSTATUS)0xC00000D4)
/* The file has a new name */
#define STATUS_FILE_RENAMED ((NTSTATUS)0xC00000D5)
/* The operation would block and may not */
#define STATUS_CANT_WAIT ((NTSTATUS)0xC00000D8)
/* An inconsistency inside the system */
#define STATUS_INTERNAL_ERROR ((NTSTATUS)0xC00000E5)
/* A generic right was not translated */
#define STATUS_GENERIC_NOT_MAPPED ((NTSTATUS)0xC00000E6)
/* The user's buffer is not usable */
#define STATUS_INVALID_USER_BUFFER ((NTSTATUS)0xC00000E8)
/* An I/O error that was not expected */
#define STATUS_UNEXPECTED_IO_ERROR ((NTSTATUS)0xC00000E9)
/* The first argument is bad */
#define STATUS_INVALID_PARAMETER_1 ((NTSTATUS)0xC00000EF)
/* The second argument is bad */
#define STATUS_INVALID_PARAMETER_2 ((NTSTATUS)0xC00000F0)
/* The third argument is bad */
#define STATUS_INVALID_PARAMETER_3 ((NTSTATUS)0xC00000F1)
/* The fourth argument is bad */
#define STATUS_INVALID_PARAMETER_4 ((NTSTATUS)0xC00000F2)
/* The fifth argument is bad */
#define STATUS_INVALID_PARAMETER_5 ((NTSTATUS)0xC00000F3)
/* The sixth argument is bad */
#define STATUS_INVALID_PARAMETER_6 ((NTSTATUS)0xC00000F4)
/* The seventh argument is bad */
#define STATUS_INVALID_PARAMETER_7 ((NTSTATUS)0xC00000F5)
/* The eighth argument is bad */
#define STATUS_INVALID_PARAMETER_8 ((NTSTATUS)0xC00000F6)
/* The ninth argument is bad */
#define STATUS_INVALID_PARAMETER_9 ((NTSTATUS)0xC00000F7)
/* The tenth argument is bad */
#define STATUS_INVALID_PARAMETER_10 ((NTSTATUS)0xC00000F8)
/* The eleventh argument is bad */
#define STATUS_INVALID_PARAMETER_11 ((NTSTATUS)0xC00000F9)
/* The twelfth argument is bad */
#define STATUS_INVALID_PARAMETER_12 ((NTSTATUS)0xC00000FA)
/* No redirector */
#define STATUS_REDIRECTOR_NOT_STARTED ((NTSTATUS)0xC00000FB)
/* Raised: the stack is used up; also: it cannot be extended */
#define STATUS_STACK_OVERFLOW ((NTSTATUS)0xC00000FD)
/* No such package */
#define STATUS_NO_SUCH_PACKAGE ((NTSTATUS)0xC00000FE)
/* Raised: unwind data are damaged */
#define STATUS_BAD_FUNCTION_TABLE ((NTSTATUS)0xC00000FF)
/* No such variable */
#define STATUS_VARIABLE_NOT_FOUND ((NTSTATUS)0xC0000100)
/* The directory has entries */
#define STATUS_DIRECTORY_NOT_EMPTY ((NTSTATUS)0xC0000101)
/* The file system is damaged */
#define STATUS_FILE_CORRUPT_ERROR ((NTSTATUS)0xC0000102)
/* A directory was expected */
#define STATUS_NOT_A_DIRECTORY ((NTSTATUS)0xC0000103)
/* The name is too long */
#define STATUS_NAME_TOO_LONG ((NTSTATUS)0xC0000106)
/* The process is ending */
#define STATUS_PROCESS_IS_TERMINATING ((NTSTATUS)0xC000010A)
/* No such kind of logon */
#define STATUS_INVALID_LOGON_TYPE ((NTSTATUS)0xC000010B)
/* The GUID was not translated */
#define STATUS_NO_GUID_TRANSLATION ((NTSTATUS)0xC000010C)
/* A 16-bit NE image */
#define STATUS_INVALID_IMAGE_NE_FORMAT ((NTSTATUS)0xC000011B)
/* The transaction is in a wrong state */
#define STATUS_RXACT_INVALID_STATE ((NTSTATUS)0xC000011C)
/* An empty file and no size given */
#define STATUS_MAPPED_FILE_SIZE_ZERO ((NTSTATUS)0xC000011E)
/* Too many files are open */
#define STATUS_TOO_MANY_OPENED_FILES ((NTSTATUS)0xC000011F)
/* The request was cancelled */
#define STATUS_CANCELLED ((NTSTATUS)0xC0000120)
/* The object may not be deleted now */
#define STATUS_CANNOT_DELETE ((NTSTATUS)0xC0000121)
/* The file is deleted */
#define STATUS_FILE_DELETED ((NTSTATUS)0xC0000123)
/* The file object is closed */
#define STATUS_FILE_CLOSED ((NTSTATUS)0xC0000128)
/* Too many threads */
#define STATUS_TOO_MANY_THREADS ((NTSTATUS)0xC0000129)
/* The thread belongs to another process */
#define STATUS_THREAD_NOT_IN_PROCESS ((NTSTATUS)0xC000012A)
/* The process's page-file quota is used up */
#define STATUS_PAGEFILE_QUOTA_EXCEEDED ((NTSTATUS)0xC000012C)
/* The commit limit is reached */
#define STATUS_COMMITMENT_LIMIT ((NTSTATUS)0xC000012D)
/* A 16-bit LE image */
#define STATUS_INVALID_IMAGE_LE_FORMAT ((NTSTATUS)0xC000012E)
/* The file does not begin with MZ */
#define STATUS_INVALID_IMAGE_NOT_MZ ((NTSTATUS)0xC000012F)
/* A protected image of another system */
#define STATUS_INVALID_IMAGE_PROTECT ((NTSTATUS)0xC0000130)
/* A 16-bit Windows image */
#define STATUS_INVALID_IMAGE_WIN_16 ((NTSTATUS)0xC0000131)
/* An imported image does not exist */
#define STATUS_DLL_NOT_FOUND ((NTSTATUS)0xC0000135)
/* An image could not be opened */
#define STATUS_OPEN_FAILED ((NTSTATUS)0xC0000136)
/* An imported ordinal does not exist */
#define STATUS_ORDINAL_NOT_FOUND ((NTSTATUS)0xC0000138)
/* An imported name does not exist */
#define STATUS_ENTRYPOINT_NOT_FOUND ((NTSTATUS)0xC0000139)
/* Ended by Ctrl+C */
#define STATUS_CONTROL_C_EXIT ((NTSTATUS)0xC000013A)
/* Not an address of a view or an allocation */
#define STATUS_INVALID_ADDRESS ((NTSTATUS)0xC0000141)
/* An image's initialization failed */
#define STATUS_DLL_INIT_FAILED ((NTSTATUS)0xC0000142)
/* The program could not be started */
#define STATUS_APP_INIT_FAILURE ((NTSTATUS)0xC0000145)
/* The page file could not be made */
#define STATUS_PAGEFILE_CREATE_FAILED ((NTSTATUS)0xC0000146)
/* There is no page file */
#define STATUS_NO_PAGEFILE ((NTSTATUS)0xC0000147)
/* The other end of the pipe is gone */
#define STATUS_PIPE_BROKEN ((NTSTATUS)0xC000014B)
/* The registry is damaged */
#define STATUS_REGISTRY_CORRUPT ((NTSTATUS)0xC000014C)
/* The thread has no event pair */
#define STATUS_NO_EVENT_PAIR ((NTSTATUS)0xC000014E)
/* A character has no place in the code page */
#define STATUS_UNMAPPABLE_CHARACTER ((NTSTATUS)0xC0000162)
/* The key was deleted */
#define STATUS_KEY_DELETED ((NTSTATUS)0xC000017C)
/* No room in the registry log */
#define STATUS_NO_LOG_SPACE ((NTSTATUS)0xC000017D)
/* A lasting key under one that does not last */
#define STATUS_CHILD_MUST_BE_VOLATILE ((NTSTATUS)0xC0000181)
/* The device is in the wrong state */
#define STATUS_INVALID_DEVICE_STATE ((NTSTATUS)0xC0000184)
/* The device reports an error */
#define STATUS_IO_DEVICE_ERROR ((NTSTATUS)0xC0000185)
/* The log is full */
#define STATUS_LOG_FILE_FULL ((NTSTATUS)0xC0000188)
/* Raised: a mutex is acquired too often by its owner */
#define STATUS_MUTANT_LIMIT_EXCEEDED ((NTSTATUS)0xC0000191)
/* Raised: a wait would probably never end */
#define STATUS_POSSIBLE_DEADLOCK ((NTSTATUS)0xC0000194)
/* The server lacks resources */
#define STATUS_INSUFF_SERVER_RESOURCES ((NTSTATUS)0xC0000205)
/* The buffer's size is wrong */
#define STATUS_INVALID_BUFFER_SIZE ((NTSTATUS)0xC0000206)
/* The connection has ended */
#define STATUS_CONNECTION_DISCONNECTED ((NTSTATUS)0xC000020C)
/* Not a server session */
#define STATUS_NOT_SERVER_SESSION ((NTSTATUS)0xC0000216)
/* A hive cannot be read */
#define STATUS_CANNOT_LOAD_REGISTRY_FILE ((NTSTATUS)0xC0000218)
/* Base or offset is not on a 64 KB boundary */
#define STATUS_MAPPED_ALIGNMENT ((NTSTATUS)0xC0000220)
/* The image's checksum is wrong */
#define STATUS_IMAGE_CHECKSUM_MISMATCH ((NTSTATUS)0xC0000221)
/* The password must be changed */
#define STATUS_PASSWORD_MUST_CHANGE ((NTSTATUS)0xC0000224)
/* No such element */
#define STATUS_NOT_FOUND ((NTSTATUS)0xC0000225)
/* The stack limit was hit by a read */
#define STATUS_STACK_OVERFLOW_READ ((NTSTATUS)0xC0000228)
/* The operation must be repeated */
#define STATUS_RETRY ((NTSTATUS)0xC000022D)
/* The handle is protected from close */
#define STATUS_HANDLE_NOT_CLOSABLE ((NTSTATUS)0xC0000235)
/* The request was given up */
#define STATUS_REQUEST_ABORTED ((NTSTATUS)0xC0000240)
/* The file has a user-mapped section */
#define STATUS_USER_MAPPED_FILE ((NTSTATUS)0xC0000243)
/* Not served here */
#define STATUS_PATH_NOT_COVERED ((NTSTATUS)0xC0000257)
/* A driver imports an ordinal that does not exist */
#define STATUS_DRIVER_ORDINAL_NOT_FOUND ((NTSTATUS)0xC0000262)
/* A driver imports a name that does not exist */
#define STATUS_DRIVER_ENTRYPOINT_NOT_FOUND ((NTSTATUS)0xC0000263)
/* Raised: a resource is released by a thread that does not own it */
#define STATUS_RESOURCE_NOT_OWNED ((NTSTATUS)0xC0000264)
/* The file's data are elsewhere */
#define STATUS_FILE_IS_OFFLINE ((NTSTATUS)0xC0000267)
/* The driver image cannot be loaded */
#define STATUS_DRIVER_UNABLE_TO_LOAD ((NTSTATUS)0xC000026C)
/* Nothing fits */
#define STATUS_NO_MATCH ((NTSTATUS)0xC0000272)
/* No reparse point */
#define STATUS_NOT_A_REPARSE_POINT ((NTSTATUS)0xC0000275)
/* Several floating-point exceptions at once */
#define STATUS_FLOAT_MULTIPLE_TRAPS ((NTSTATUS)0xC00002B5)
/* The device has been removed */
#define STATUS_DEVICE_REMOVED ((NTSTATUS)0xC00002B6)
/* No debugger */
#define STATUS_DEBUGGER_INACTIVE ((NTSTATUS)0xC0000354)
/* A 32-bit Windows image */
#define STATUS_INVALID_IMAGE_WIN_32 ((NTSTATUS)0xC0000359)
/* A 64-bit Windows image */
#define STATUS_INVALID_IMAGE_WIN_64 ((NTSTATUS)0xC000035A)
/* Not this device object */
#define STATUS_INVALID_DEVICE_OBJECT_PARAMETER ((NTSTATUS)0xC0000369)
/* Raised: a fast fail */
#define STATUS_STACK_BUFFER_OVERRUN ((NTSTATUS)0xC0000409)
/* Raised: an assertion failed */
#define STATUS_ASSERTION_FAILURE ((NTSTATUS)0xC0000420)
/* The signature check failed */
#define STATUS_INVALID_IMAGE_HASH ((NTSTATUS)0xC0000428)
/* Raised: an enclave was touched wrongly */
#define STATUS_ENCLAVE_VIOLATION ((NTSTATUS)0xC00004A2)
/* A filter of registry calls has done the call */
#define STATUS_CALLBACK_BYPASS ((NTSTATUS)0xC0000503)
/* Policy forbids executable memory here */
#define STATUS_DYNAMIC_CODE_BLOCKED ((NTSTATUS)0xC0000604)
/* Two filters at one altitude */
#define STATUS_FLT_INSTANCE_ALTITUDE_COLLISION ((NTSTATUS)0xC01C0011)

#endif
