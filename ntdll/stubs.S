/*
 * The system services as programs call them: NtName and ZwName, from the list that the kernel is built from.
 */
        .set    ServiceNumber, 0

        .macro  STUB Name
        .globl  Nt\Name
        .def    Nt\Name; .scl 2; .type 32; .endef
        .p2align 4
Nt\Name:
        movq    %rcx, %r10              /* syscall takes rcx for itself */
        movl    $ServiceNumber, %eax
        syscall
        retq
        .section .drectve, "yn"
        .ascii  " -export:\"Nt\Name\" -export:\"Zw\Name\"=\"Nt\Name\""
        .text
        .set    ServiceNumber, ServiceNumber + 1
        .endm

        .text
#define SERVICE(Name, Count) STUB Name
#include <nt/services.h>
#undef SERVICE

/*
 * Where the kernel begins a thread: rcx is the context to go on with, rdx the address of ntdll.dll. LdrpInitializeThread does not
 * return.
 */
        .globl  LdrInitializeThunk
        .def    LdrInitializeThunk; .scl 2; .type 32; .endef
        .seh_proc LdrInitializeThunk
LdrInitializeThunk:
        subq    $40, %rsp
        .seh_stackalloc 40
        .seh_endprologue
        callq   LdrpInitializeThread
        int3
        .seh_endproc

/*
 * Where the kernel lands a thread after an exception: CONTEXT at rsp, the record at rsp + 0x4F0, a machine frame at rsp + 0x590, by
 * which unwinding goes on in the interrupted code.
 */
        .globl  KiUserExceptionDispatcher
        .def    KiUserExceptionDispatcher; .scl 2; .type 32; .endef
        .seh_proc KiUserExceptionDispatcher
        .seh_pushframe
        .seh_stackalloc 0x590
        .seh_endprologue
KiUserExceptionDispatcher:
        cld
        leaq    0x4F0(%rsp), %rcx
        movq    %rsp, %rdx
        callq   RtlpDispatchUserException
        int3
        .seh_endproc

/* VOID RtlCaptureContext(PCONTEXT): registers as the caller has them, Rip and Rsp after the call. */
        .globl  RtlCaptureContext
        .def    RtlCaptureContext; .scl 2; .type 32; .endef
RtlCaptureContext:
        movq    %rax, 0x78(%rcx)
        movq    %rcx, 0x80(%rcx)
        movq    %rdx, 0x88(%rcx)
        movq    %rbx, 0x90(%rcx)
        leaq    8(%rsp), %rax
        movq    %rax, 0x98(%rcx)
        movq    %rbp, 0xA0(%rcx)
        movq    %rsi, 0xA8(%rcx)
        movq    %rdi, 0xB0(%rcx)
        movq    %r8, 0xB8(%rcx)
        movq    %r9, 0xC0(%rcx)
        movq    %r10, 0xC8(%rcx)
        movq    %r11, 0xD0(%rcx)
        movq    %r12, 0xD8(%rcx)
        movq    %r13, 0xE0(%rcx)
        movq    %r14, 0xE8(%rcx)
        movq    %r15, 0xF0(%rcx)
        movq    (%rsp), %rax
        movq    %rax, 0xF8(%rcx)
        fxsave64 0x100(%rcx)
        stmxcsr 0x34(%rcx)
        movw    %cs, 0x38(%rcx)
        movw    %ss, 0x42(%rcx)
        pushfq
        popq    %rax
        movl    %eax, 0x44(%rcx)
        movl    $0x10000F, 0x30(%rcx)   /* CONTEXT_FULL | CONTEXT_SEGMENTS */
        movq    0x78(%rcx), %rax
        retq
        .section .drectve, "yn"
        .ascii  " -export:LdrInitializeThunk -export:KiUserExceptionDispatcher -export:RtlCaptureContext"
        .text

/*
 * EXCEPTION_DISPOSITION RtlpCallHandler(Record, EstablisherFrame, Context, Dispatcher, Handler, IsUnwind). Its own frame has a handler: an exception
 * inside the call finds it and knows that it is nested, or collided with an unwind.
 */
        .globl  RtlpCallHandler
        .seh_proc RtlpCallHandler
        .seh_handler RtlpNestedHandler, @except, @unwind
RtlpCallHandler:
        subq    $40, %rsp
        .seh_stackalloc 40
        .seh_endprologue
        movq    %r9, 32(%rsp)           /* for RtlpNestedHandler: the dispatcher context */
        callq   *80(%rsp)
        nop
        addq    $40, %rsp
        retq
        .seh_endproc

/* VOID RtlpRestoreRegisters(PCONTEXT): integer and vector registers; rcx is free for the target, as no call preserves it. */
        .globl  RtlpRestoreRegisters
RtlpRestoreRegisters:
        fxrstor64 0x100(%rcx)
        ldmxcsr 0x34(%rcx)
        movq    0x90(%rcx), %rbx
        movq    0xA0(%rcx), %rbp
        movq    0xA8(%rcx), %rsi
        movq    0xB0(%rcx), %rdi
        movq    0xB8(%rcx), %r8
        movq    0xC0(%rcx), %r9
        movq    0xD8(%rcx), %r12
        movq    0xE0(%rcx), %r13
        movq    0xE8(%rcx), %r14
        movq    0xF0(%rcx), %r15
        movq    0x78(%rcx), %rax
        movq    0x88(%rcx), %rdx
        movq    0xF8(%rcx), %r11
        movq    0x98(%rcx), %rsp
        jmpq    *%r11
