/* An import that our ntdll.dll does not have yet, called at the end. */
#include "program.h"

API NTSTATUS NtCreateKeyedEvent(HANDLE *Event, U32 Access, void *Attributes, U32 Flags);

void
NtProcessStartup(void *Peb)
{
    (void)Peb;
    DbgPrint("missing: before\n");
    NtCreateKeyedEvent(0, 0, 0, 0);
    DbgPrint("not ok: after\n");
    NtTerminateProcess(PROCESS, 0);
}
