/*
 * What the test programs need of the native interface, declared here once: neither our headers nor mingw's, so that they are a third
 * opinion. Whatever fails prints a line that begins "not ok".
 */
#ifndef TEST_PROGRAM_H
#define TEST_PROGRAM_H

typedef int NTSTATUS;
typedef void *HANDLE;
typedef unsigned long long SIZE;
typedef unsigned int U32;

typedef struct { unsigned short Length, MaximumLength; unsigned short *Buffer; } STRING16;
typedef struct { void *Base, *AllocationBase; U32 AllocationProtect; unsigned short Partition; SIZE Size; U32 State, Protect, Type; } REGION;
typedef struct RECORD { U32 Code, Flags; struct RECORD *Next; void *Address; U32 Count, Pad; SIZE Information[15]; } RECORD;
typedef struct { SIZE Home[6]; U32 Flags, MxCsr; unsigned short Selectors[6]; U32 EFlags; SIZE Debug[6];
                 SIZE Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15, Rip; } REGISTERS; /* of CONTEXT, its beginning */
typedef struct { RECORD *Record; REGISTERS *Registers; } POINTERS;

#define API __declspec(dllimport)
API U32 DbgPrint(const char *Format, ...);
API NTSTATUS NtAllocateVirtualMemory(HANDLE Process, void **Base, SIZE ZeroBits, SIZE *Size, U32 Type, U32 Protect);
API NTSTATUS NtFreeVirtualMemory(HANDLE Process, void **Base, SIZE *Size, U32 Type);
API NTSTATUS NtProtectVirtualMemory(HANDLE Process, void **Base, SIZE *Size, U32 Protect, U32 *Old);
API NTSTATUS NtQueryVirtualMemory(HANDLE Process, void *Base, int Class, void *Information, SIZE Length, SIZE *Returned);
API NTSTATUS NtTerminateProcess(HANDLE Process, NTSTATUS Status);
API NTSTATUS NtTerminateThread(HANDLE Thread, NTSTATUS Status);
API NTSTATUS NtDisplayString(STRING16 *Text);
API NTSTATUS NtClose(HANDLE Handle);
API NTSTATUS NtCreateEvent(HANDLE *Event, U32 Access, void *Attributes, int Type, unsigned char State);
API NTSTATUS NtSetEvent(HANDLE Event, int *Previous);
API NTSTATUS NtWaitForSingleObject(HANDLE Handle, unsigned char Alertable, long long *Timeout);
API NTSTATUS NtDelayExecution(unsigned char Alertable, long long *Interval);
API NTSTATUS NtQueryInformationProcess(HANDLE Process, int Class, void *Information, U32 Length, U32 *Returned);
API NTSTATUS NtQueryInformationThread(HANDLE Thread, int Class, void *Information, U32 Length, U32 *Returned);
API NTSTATUS RtlCreateUserThread(HANDLE Process, void *Security, unsigned char Suspended, U32 ZeroBits, SIZE MaximumStack, SIZE Stack,
                                 void *Start, void *Argument, HANDLE *Thread, void *Id);
API void *RtlAddVectoredExceptionHandler(U32 First, int (*Handler)(POINTERS *));
API U32 RtlRemoveVectoredExceptionHandler(void *Handle);
API void RtlRaiseException(RECORD *Record);
API void RtlRaiseStatus(NTSTATUS Status);
API void *RtlAllocateHeap(void *Heap, U32 Flags, SIZE Size);
API void *RtlReAllocateHeap(void *Heap, U32 Flags, void *Block, SIZE Size);
API unsigned char RtlFreeHeap(void *Heap, U32 Flags, void *Block);
API SIZE RtlSizeHeap(void *Heap, U32 Flags, void *Block);
API unsigned char RtlValidateHeap(void *Heap, U32 Flags, void *Block);

#define PROCESS ((HANDLE)-1)
#define THREAD ((HANDLE)-2)
#define COMMIT 0x1000
#define RESERVE 0x2000
#define DECOMMIT 0x4000
#define RELEASE 0x8000
#define NOACCESS 1
#define READONLY 2
#define READWRITE 4
#define GUARD 0x100

#define IS(Text, Got, Expected)                                                                                     \
    do {                                                                                                            \
        unsigned long long Got_ = (unsigned long long)(Got), Expected_ = (unsigned long long)(Expected);            \
        if (Got_ != Expected_) {                                                                                    \
            DbgPrint("not ok %s, line %u: %llx, not %llx\n", Text, __LINE__, Got_, Expected_);                      \
        }                                                                                                           \
    } while (0)
#define STATUS(Text, Got, Expected) IS(Text, (U32)(Got), (U32)(Expected))

#endif
