/*
 * A program of the core's own: a process with user memory and a thread, whose system services are asked for
 * from user mode. It makes the requests of the command line.
 */
#ifndef INIT_PROGRAM_H
#define INIT_PROGRAM_H

#include <ntifs.h>

/*
 * Run Routine(Context) in the thread of a new process, and return when it has returned. Routine answers
 * whether the program can end: then the process is gone when this returns (bug check 0x76 if a driver still
 * has pages of its locked), else thread and process stay for good, as a program does whose request nobody
 * completes. PASSIVE_LEVEL. STATUS_INSUFFICIENT_RESOURCES, STATUS_NO_MEMORY: not run.
 */
NTSTATUS InitRunProgram(BOOLEAN (*Routine)(PVOID Context), PVOID Context);

/*
 * In the program: user memory of Length bytes, which ends, up to 15 bytes, where its pages end; behind them
 * is nothing. *Buffer is NULL for Length 0. It goes with the process. PASSIVE_LEVEL. STATUS_NO_MEMORY and its
 * like.
 */
NTSTATUS InitAllocateUser(SIZE_T Length, PVOID *Buffer);

/* In the program: have the next touch of each page of user memory be a page fault. What is locked stays.
 * PASSIVE_LEVEL. */
VOID InitHideUser(PVOID Buffer, SIZE_T Length);

#endif
