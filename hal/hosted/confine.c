/*
 * confine.c - giving up what the machine does not need, before foreign code is loaded.
 *
 * After this the process can change its own mappings, write to what it has open, take signals and
 * end: no new files, programs, processes or sockets. A call outside the list arrives as SIGSYS
 * (trap.c): made by an image it is an invalid instruction, made by the host's libraries an
 * internal fault. Sanitized builds are not confined: their run-time library opens files to report,
 * and they serve tests. Called once, at boot; may use libraries.
 */
#include "halp.h"

#ifdef HALP_ASAN

VOID
HalpConfine(VOID)
{
}

#else

#include <seccomp.h>

VOID
HalpConfine(VOID)
{
    static const int Allowed[] = {
        SCMP_SYS(mmap),           SCMP_SYS(munmap),     SCMP_SYS(mprotect),   SCMP_SYS(madvise),
        SCMP_SYS(write),          SCMP_SYS(exit_group), SCMP_SYS(exit),       SCMP_SYS(rt_sigreturn),
        SCMP_SYS(rt_sigprocmask), SCMP_SYS(setitimer),  SCMP_SYS(arch_prctl), SCMP_SYS(restart_syscall),
    };
    scmp_filter_ctx Filter;
    ULONG Index;
    int Failed;

    Filter = seccomp_init(SCMP_ACT_TRAP);
    Failed = Filter == NULL;
    for (Index = 0; Index < RTL_NUMBER_OF(Allowed) && !Failed; Index += 1) {
        Failed = seccomp_rule_add(Filter, SCMP_ACT_ALLOW, Allowed[Index], 0);
    }
    if (Failed || seccomp_load(Filter) != 0) {
        HalpRefuse("the host refused to confine the machine (seccomp)");
    }
    seccomp_release(Filter);
}

#endif
