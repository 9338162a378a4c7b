/* Event tracing, for reports; the routines are in wdmetw.h. */
#ifndef EX_TRACE_H
#define EX_TRACE_H

#include <ntifs.h>

/* A provider that an image registered and did not unregister. */
typedef struct _ETW_LEFT {
    GUID Id;
    PVOID Provider; /* its address, for the report only */
    ULONG StackId;  /* for MiQueryPoolStack */
} ETW_LEFT, *PETW_LEFT;

/* Unregister one for an image that is gone; FALSE if there is none. <= DISPATCH_LEVEL. */
BOOLEAN EtwTakeLeft(PETW_LEFT Left);

#endif
