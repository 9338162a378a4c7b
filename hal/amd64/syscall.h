/*
 * What assembly and C of the way to user mode share.
 */
#ifndef HAL_AMD64_SYSCALL_H
#define HAL_AMD64_SYSCALL_H

/* Selectors with their privilege, where the x64 interface has them; `sysret` wants data 8 below code. */
#define HALP_SELECTOR_USER_DATA 0x2B
#define HALP_SELECTOR_USER_CODE 0x33

#define HALP_PCR_USER_RSP 0x178 /* ULONG64, inside Reserved2: the user's stack pointer for two instructions */

#endif
