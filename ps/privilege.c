/*
 * Privileges. There are no tokens: kernel mode has every privilege, programs have the one that everybody has.
 *
 * Document: SeSinglePrivilegeCheck.
 */
#include "psp.h"
#include <ntexport.h>

/* Does the caller, in that mode, have the privilege? PASSIVE_LEVEL. */
BOOLEAN NTAPI
SeSinglePrivilegeCheck(LUID PrivilegeValue, KPROCESSOR_MODE PreviousMode)
{
    return PreviousMode == KernelMode ||
           (PrivilegeValue.HighPart == 0 && PrivilegeValue.LowPart == SE_CHANGE_NOTIFY_PRIVILEGE);
}
NTEXPORT(SeSinglePrivilegeCheck);
