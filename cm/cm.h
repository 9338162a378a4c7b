/*
 * The registry: keys and values, in memory, for as long as the run lasts.
 *
 *     \REGISTRY \MACHINE \HARDWARE \SAM \SECURITY \SOFTWARE \SYSTEM \CurrentControlSet \Control \Enum \Services
 *               \USER \.Default
 *
 * What is there at first: the hives and the keys that the RtlXxxRegistryXxx prefixes name, the service key of the
 * driver, and what a .reg file brings. Everything is guarded by one push lock (LockRankRegistry). Nothing is copied
 * to or from a caller's memory under it: nodes and values are counted, values never change once they are in a key.
 *
 * Memory of keys is the core's: it is not charged to the image that made them.
 *
 * Public routines (ZwXxxKey, RtlXxxRegistryXxx, CmXxx) are declared in wdmcm.h. Document: "Using the Registry in a
 * Driver", "Filtering Registry Calls".
 */
#ifndef CM_CM_H
#define CM_CM_H

#include <ob/ob.h>

/* Make the hives. PASSIVE_LEVEL, before the first caller. Ends the run if memory is too short. */
VOID CmInitialize(VOID);

/* Make a key, and what is missing above it; Path begins with \Registry. PASSIVE_LEVEL. Notifies no filter.
 * STATUS_INVALID_PARAMETER, STATUS_NAME_TOO_LONG, STATUS_INSUFFICIENT_RESOURCES. */
NTSTATUS CmMakeKey(PCUNICODE_STRING Path);

/* Set a value of a key that is there, likewise; Name NULL or empty: the default value. */
NTSTATUS CmSetValue(PCUNICODE_STRING Path, PCUNICODE_STRING Name, ULONG Type, const VOID *Data, ULONG Length);

/* Make the service key of a driver with the values an installation writes. Image: its file name. PASSIVE_LEVEL. */
NTSTATUS CmMakeServiceKey(PCUNICODE_STRING Path, const char *Image);

/* --- .reg files ------------------------------------------------------------------------------- */

/* Why a file was refused. */
typedef struct _CM_REGFILE_ERROR {
    ULONG Line;       /* from 1 */
    const char *Text; /* no full stop */
} CM_REGFILE_ERROR, *PCM_REGFILE_ERROR;

/*
 * Bring a .reg file into the registry; keys without a root lie below Service, and so do values before the first key.
 * STATUS_INVALID_PARAMETER, and *Error, if a line makes no sense: what stood before it is in the registry.
 * STATUS_INSUFFICIENT_RESOURCES. PASSIVE_LEVEL.
 */
NTSTATUS CmLoadRegistryFile(const UCHAR *Bytes, SIZE_T Size, PCUNICODE_STRING Service, PCM_REGFILE_ERROR Error);

/* --- Filters ---------------------------------------------------------------------------------- */

/* A routine that CmRegisterCallback registered, for reports. */
typedef struct _CM_CALLBACK_INFO {
    PVOID Function;
    ULONG StackId; /* for MiQueryPoolStack; 0: not an image's */
} CM_CALLBACK_INFO, *PCM_CALLBACK_INFO;

/*
 * Take away one filter whose routine lies in [Start, End); FALSE if there is none. For images that are unloaded and left
 * it: nothing may call it. PASSIVE_LEVEL.
 */
BOOLEAN CmRemoveCallback(ULONG_PTR Start, ULONG_PTR End, PCM_CALLBACK_INFO Info);

#endif
