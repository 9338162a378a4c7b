/*
 * The highest IRQL that an image may call each export at, as the routine's page says. Any routine that is not here may
 * be called at any IRQL as far as this table goes: its page says so, or it depends on whether its arguments are
 * resident, or the routine checks itself. ZwXxx and NtXxx are for PASSIVE_LEVEL, all of them. Where a page says
 * PASSIVE_LEVEL only because the routine or its tables are pageable (RtlXxx), APC_LEVEL does no harm and is allowed.
 *
 * The violation is the first parameter of bug check 0xC4 where the documents have one for the routine (the rules of
 * DDI compliance among them), else the general one.
 */
#include <ldr/ldr.h>
#include <mm/pool/pool.h>

/* Names by level, each list in the order of the alphabet; the violation follows the name where it is not the general one. */
typedef struct _LDRP_IRQL_LIMIT {
    const char *Name;
    ULONG Violation;
} LDRP_IRQL_LIMIT;

#define GENERAL KI_IRQL_VIOLATION

static const LDRP_IRQL_LIMIT LdrpPassiveRoutines[] = {
    {"ExCreateCallback", 0x20008},
    {"ExCreatePool", GENERAL},
    {"ExDestroyPool", GENERAL},
    {"ExUuidCreate", 0x20008},
    {"IoAttachDevice", 0x2000A},
    {"IoCheckShareAccess", 0x2000B},
    {"IoCreateNotificationEvent", 0x2000D},
    {"IoCreateSymbolicLink", 0x2000D},
    {"IoCreateSynchronizationEvent", 0x2000D},
    {"IoCreateUnprotectedSymbolicLink", 0x2000D},
    {"IoDeleteSymbolicLink", 0x2000D},
    {"IoDetachDevice", 0x2000C},
    {"IoGetDeviceObjectPointer", GENERAL},
    {"IoGetDeviceProperty", GENERAL},
    {"IoOpenDeviceRegistryKey", GENERAL},
    {"IoRegisterDeviceInterface", 0x2000C},
    {"IoRegisterLastChanceShutdownNotification", GENERAL},
    {"IoRegisterShutdownNotification", GENERAL},
    {"IoRemoveShareAccess", GENERAL},
    {"IoSetDeviceInterfaceState", 0x2000A},
    {"IoSetShareAccess", GENERAL},
    {"IoUnregisterShutdownNotification", GENERAL},
    {"IoUpdateShareAccess", GENERAL},
    {"KeFlushQueuedDpcs", GENERAL},
    {"KeInitializeSemaphore", GENERAL},
    {"KeQueryPriorityThread", GENERAL},
    {"KeSetBasePriorityThread", GENERAL},
    {"KeSetPriorityThread", GENERAL},
    {"MmGetPhysicalMemoryRanges", GENERAL},
    {"MmGetPhysicalMemoryRangesEx", GENERAL},
    {"MmGetPhysicalMemoryRangesEx2", GENERAL},
    {"MmGetSystemRoutineAddress", GENERAL},
    {"ObCloseHandle", GENERAL},
    {"ObReferenceObjectByHandle", 0x2001B},
    {"ObReferenceObjectByHandleWithTag", GENERAL},
    {"PsCreateSystemThread", 0x2001C},
    {"PsGetVersion", 0x2001C},
    {"PsTerminateSystemThread", 0x2001C},
    {"RtlDeleteRegistryValue", 0x2001E},
};

static const LDRP_IRQL_LIMIT LdrpApcRoutines[] = {
    {"CmGetCallbackVersion", GENERAL},
    {"CmRegisterCallbackEx", GENERAL},
    {"CmUnRegisterCallback", 0x20006},
    {"ExAllocateFromPagedLookasideList", 0x20006},
    {"ExConvertExclusiveToSharedLite", 0x20007},
    {"ExDeletePagedLookasideList", 0x20006},
    {"ExDeleteResourceLite", 0x20007},
    {"ExEnterCriticalRegionAndAcquireResourceExclusive", GENERAL},
    {"ExFreeToPagedLookasideList", 0x20006},
    {"ExInitializePagedLookasideList", 0x20006},
    {"ExInitializeRundownProtection", GENERAL},
    {"ExRaiseAccessViolation", 0x20008},
    {"ExRaiseDatatypeMisalignment", 0x20008},
    {"ExRaiseStatus", 0x20008},
    {"ExReInitializeRundownProtection", GENERAL},
    {"ExRegisterCallback", 0x20006},
    {"ExReleaseResourceAndLeaveCriticalRegion", GENERAL},
    {"ExRundownCompleted", GENERAL},
    {"ExUnregisterCallback", 0x20006},
    {"ExWaitForRundownProtectionRelease", GENERAL},
    {"IoBuildAsynchronousFsdRequest", GENERAL},
    {"IoBuildDeviceIoControlRequest", 0x2000A},
    {"IoBuildSynchronousFsdRequest", GENERAL},
    {"IoCreateDevice", 0x2000A},
    {"IoDeleteDevice", 0x20009},
    {"IoGetInitialStack", 0x20009},
    {"KeAcquireGuardedMutex", 0x2000F},
    {"KeEnterCriticalRegion", 0x11A},
    {"KeEnterGuardedRegion", 0x20010},
    {"KeInitializeGuardedMutex", GENERAL},
    {"KeLeaveCriticalRegion", 0x11B},
    {"KeLeaveGuardedRegion", 0x20010},
    {"KeReleaseGuardedMutex", 0x2000F},
    {"KeStackAttachProcess", GENERAL},
    {"KeTryToAcquireGuardedMutex", 0x2000F},
    {"KeUnstackDetachProcess", GENERAL},
    {"MmAddPhysicalMemory", GENERAL},
    {"MmAllocateMappingAddress", GENERAL},
    {"MmAllocateMappingAddressEx", GENERAL},
    {"MmAllocateNonCachedMemory", 0x20019},
    {"MmCopyMemory", GENERAL},
    {"MmCopyVirtualMemory", GENERAL},
    {"MmFreeMappingAddress", GENERAL},
    {"MmFreeNonCachedMemory", 0x20019},
    {"MmGrowKernelStack", GENERAL},
    {"MmIsDriverSuspectForVerifier", GENERAL},
    {"MmIsDriverVerifying", GENERAL},
    {"MmIsDriverVerifyingByAddress", GENERAL},
    {"MmLockPagableDataSection", 0x20019},
    {"MmLockPagableSectionByHandle", 0x20019},
    {"MmMapVideoDisplay", GENERAL},
    {"MmMarkPhysicalMemoryAsBad", GENERAL},
    {"MmMarkPhysicalMemoryAsGood", GENERAL},
    {"MmPageEntireDriver", 0x20019},
    {"MmRemovePhysicalMemory", GENERAL},
    {"MmResetDriverPaging", 0x20019},
    {"MmSecureVirtualMemory", 0x20019},
    {"MmSecureVirtualMemoryEx", GENERAL},
    {"MmUnlockPagableImageSection", 0x20019},
    {"MmUnmapVideoDisplay", GENERAL},
    {"MmUnsecureVirtualMemory", 0x20019},
    {"ObOpenObjectByPointer", GENERAL},
    {"ProbeForRead", 0x20006},
    {"ProbeForWrite", 0x20006},
    {"PsChargePoolQuota", GENERAL},
    {"PsGetThreadExitStatus", GENERAL},
    {"PsLookupProcessByProcessId", GENERAL},
    {"PsLookupThreadByThreadId", GENERAL},
    {"PsReturnPoolQuota", GENERAL},
    {"RtlAnsiStringToUnicodeString", GENERAL},
    {"RtlAppendStringToString", GENERAL},
    {"RtlCharToInteger", GENERAL},
    {"RtlCompareString", GENERAL},
    {"RtlCompareUnicodeString", GENERAL},
    {"RtlCreateUnicodeString", GENERAL},
    {"RtlDowncaseUnicodeChar", GENERAL},
    {"RtlDowncaseUnicodeString", GENERAL},
    {"RtlEqualString", GENERAL},
    {"RtlEqualUnicodeString", GENERAL},
    {"RtlFreeAnsiString", GENERAL},
    {"RtlFreeUnicodeString", GENERAL},
    {"RtlGUIDFromString", GENERAL},
    {"RtlGetVersion", GENERAL},
    {"RtlHashUnicodeString", GENERAL},
    {"RtlInt64ToUnicodeString", GENERAL},
    {"RtlIntegerToUnicodeString", GENERAL},
    {"RtlIsNtDdiVersionAvailable", GENERAL},
    {"RtlPrefixUnicodeString", GENERAL},
    {"RtlQueryRegistryValues", GENERAL},
    {"RtlRandom", GENERAL},
    {"RtlRandomEx", GENERAL},
    {"RtlStringFromGUID", GENERAL},
    {"RtlUnicodeStringToAnsiString", GENERAL},
    {"RtlUnicodeStringToInteger", GENERAL},
    {"RtlUpcaseUnicodeChar", GENERAL},
    {"RtlUpcaseUnicodeString", GENERAL},
    {"RtlUpperChar", GENERAL},
    {"RtlUpperString", GENERAL},
    {"RtlWriteRegistryValue", GENERAL},
    {"RtlxAnsiStringToUnicodeSize", GENERAL},
    {"RtlxUnicodeStringToAnsiSize", GENERAL},
};

static const LDRP_IRQL_LIMIT LdrpDispatchRoutines[] = {
    {"ExAllocateFromLookasideListEx", GENERAL},
    {"ExAllocateFromNPagedLookasideList", GENERAL},
    {"ExAllocateTimer", GENERAL},
    {"ExCancelTimer", GENERAL},
    {"ExDeleteLookasideListEx", GENERAL},
    {"ExDeleteNPagedLookasideList", GENERAL},
    {"ExFlushLookasideListEx", GENERAL},
    {"ExFreeToLookasideListEx", GENERAL},
    {"ExFreeToNPagedLookasideList", GENERAL},
    {"ExGetExclusiveWaiterCount", GENERAL},
    {"ExGetPreviousMode", GENERAL},
    {"ExGetSharedWaiterCount", GENERAL},
    {"ExInitializeFastMutex", GENERAL},
    {"ExInitializeLookasideListEx", GENERAL},
    {"ExInitializeNPagedLookasideList", GENERAL},
    {"ExInitializeResourceLite", GENERAL},
    {"ExInterlockedFlushSList", GENERAL},
    {"ExIsResourceAcquiredExclusiveLite", GENERAL},
    {"ExIsResourceAcquiredSharedLite", GENERAL},
    {"ExQueueWorkItem", GENERAL},
    {"ExReinitializeResourceLite", GENERAL},
    {"ExSecurePoolUpdate", GENERAL},
    {"ExSecurePoolValidate", GENERAL},
    {"ExSetResourceOwnerPointer", GENERAL},
    {"ExSetTimer", GENERAL},
    {"IoAllocateDriverObjectExtension", GENERAL},
    {"IoAllocateErrorLogEntry", GENERAL},
    {"IoAllocateIrp", GENERAL},
    {"IoAllocateMdl", GENERAL},
    {"IoAllocateWorkItem", GENERAL},
    {"IoAttachDeviceToDeviceStack", GENERAL},
    {"IoAttachDeviceToDeviceStackSafe", GENERAL},
    {"IoBuildPartialMdl", GENERAL},
    {"IoCancelIrp", GENERAL},
    {"IoCsqInsertIrp", GENERAL},
    {"IoCsqInsertIrpEx", GENERAL},
    {"IoCsqRemoveIrp", GENERAL},
    {"IoCsqRemoveNextIrp", GENERAL},
    {"IoFreeIrp", GENERAL},
    {"IoFreeMdl", GENERAL},
    {"IoFreeWorkItem", GENERAL},
    {"IoGetAttachedDevice", GENERAL},
    {"IoGetAttachedDeviceReference", GENERAL},
    {"IoGetDriverObjectExtension", GENERAL},
    {"IoGetLowerDeviceObject", GENERAL},
    {"IoGetRelatedDeviceObject", GENERAL},
    {"IoGetRequestorProcess", GENERAL},
    {"IoGetTopLevelIrp", GENERAL},
    {"IoInitializeIrp", GENERAL},
    {"IoIs32bitProcess", GENERAL},
    {"IoIsSystemThread", GENERAL},
    {"IoMakeAssociatedIrp", GENERAL},
    {"IoQueueWorkItem", GENERAL},
    {"IoQueueWorkItemEx", GENERAL},
    {"IoReuseIrp", GENERAL},
    {"IoSetCompletionRoutineEx", GENERAL},
    {"IoSetTopLevelIrp", GENERAL},
    {"IoStartNextPacketByKey", GENERAL},
    {"IoStartPacket", GENERAL},
    {"IoThreadToProcess", GENERAL},
    {"IoWriteErrorLogEntry", GENERAL},
    {"KeAreAllApcsDisabled", GENERAL},
    {"KeAreApcsDisabled", GENERAL},
    {"KeCancelTimer", 0x20011},
    {"KeClearEvent", 0x20011},
    {"KeInitializeDeviceQueue", 0x20011},
    {"KeInitializeTimer", 0x20011},
    {"KeInitializeTimerEx", 0x20011},
    {"KeReadStateEvent", 0x20011},
    {"KeReadStateMutex", GENERAL},
    {"KeReadStateTimer", 0x20011},
    {"KeReleaseMutex", 0x20011},
    {"KeRemoveEntryDeviceQueue", 0x20011},
    {"KeResetEvent", 0x20011},
    {"KeRestoreFloatingPointState", GENERAL},
    {"KeRevertToUserAffinityThreadEx", GENERAL},
    {"KeRevertToUserGroupAffinityThread", GENERAL},
    {"KeSaveFloatingPointState", 0x20011},
    {"KeSetCoalescableTimer", GENERAL},
    {"KeSetSystemAffinityThreadEx", GENERAL},
    {"KeSetSystemGroupAffinityThread", GENERAL},
    {"KeSetTimer", 0x20011},
    {"KeSetTimerEx", 0x20011},
    {"MmAdvanceMdl", GENERAL},
    {"MmAllocateContiguousMemory", GENERAL},
    {"MmAllocateContiguousMemoryEx", GENERAL},
    {"MmAllocateContiguousMemorySpecifyCache", GENERAL},
    {"MmAllocateContiguousMemorySpecifyCacheNode", GENERAL},
    {"MmAllocateContiguousNodeMemory", GENERAL},
    {"MmAllocateIndependentPages", GENERAL},
    {"MmAllocateMdlForIoSpace", GENERAL},
    {"MmAreMdlPagesCached", GENERAL},
    {"MmBuildMdlForNonPagedPool", GENERAL},
    {"MmCreateMdl", GENERAL},
    {"MmFreeContiguousMemory", 0x2001A},
    {"MmFreeContiguousMemorySpecifyCache", GENERAL},
    {"MmFreeIndependentPages", GENERAL},
    {"MmGetCacheAttribute", GENERAL},
    {"MmIsAddressValid", GENERAL},
    {"MmIsIoSpaceActive", GENERAL},
    {"MmIsNonPagedSystemAddressValid", GENERAL},
    {"MmProtectMdlSystemAddress", GENERAL},
    {"MmSetPageProtection", GENERAL},
    {"ObDereferenceObject", GENERAL},
    {"ObDereferenceObjectDeferDelete", GENERAL},
    {"ObDereferenceObjectDeferDeleteWithTag", GENERAL},
    {"ObReferenceObject", GENERAL},
    {"ObReferenceObjectByPointer", GENERAL},
    {"ObReferenceObjectByPointerWithTag", GENERAL},
    {"ObReferenceObjectSafe", GENERAL},
    {"ObfReferenceObject", GENERAL},
    {"PoStartNextPowerIrp", GENERAL},
    {"PsChargeProcessPoolQuota", GENERAL},
    {"PsGetThreadId", GENERAL},
    {"PsIsSystemThread", GENERAL},
    {"PsIsThreadTerminating", GENERAL},
    {"PsReturnProcessNonPagedPoolQuota", GENERAL},
    {"PsReturnProcessPagedPoolQuota", GENERAL},
    {"RtlCaptureContext", GENERAL},
};

static const struct {
    KIRQL Limit;
    ULONG Count;
    const LDRP_IRQL_LIMIT *Routines;
} LdrpIrqlLimits[] = {
    {PASSIVE_LEVEL, RTL_NUMBER_OF(LdrpPassiveRoutines), LdrpPassiveRoutines},
    {APC_LEVEL, RTL_NUMBER_OF(LdrpApcRoutines), LdrpApcRoutines},
    {DISPATCH_LEVEL, RTL_NUMBER_OF(LdrpDispatchRoutines), LdrpDispatchRoutines},
};

static const LDRP_IRQL_LIMIT *
LdrpFindLimit(const LDRP_IRQL_LIMIT *Routines, ULONG Count, const char *Name)
{
    ULONG Low = 0, High = Count;

    while (Low < High) {
        ULONG Middle = (Low + High) / 2;
        LONG Order = LdrpCompareNames(Routines[Middle].Name, Name);

        if (Order == 0) {
            return &Routines[Middle];
        }
        if (Order < 0) {
            Low = Middle + 1;
        } else {
            High = Middle;
        }
    }
    return NULL;
}

/* ZwClose, NtClose: a service and not some other routine whose name begins so. */
static BOOLEAN
LdrpIsService(const char *Name)
{
    return ((Name[0] == 'Z' && Name[1] == 'w') || (Name[0] == 'N' && Name[1] == 't')) && Name[2] >= 'A' &&
           Name[2] <= 'Z';
}

/* ExFreePool, ExFreePoolWithTag, ExFreePool2 */
static BOOLEAN
LdrpFreesPool(const char *Name)
{
    static const char Prefix[] = "ExFreePool";

    for (ULONG Index = 0; Prefix[Index] != 0; Index += 1) {
        if (Name[Index] != Prefix[Index]) {
            return FALSE;
        }
    }
    return TRUE;
}

BOOLEAN
LdrpFindExportRule(const char *Name, PKI_EXPORT_RULE Rule)
{
    const LDRP_IRQL_LIMIT *Found;

    Rule->Name = Name;
    Rule->Limit = PASSIVE_LEVEL;
    Rule->Violation = KI_IRQL_VIOLATION_ZW;
    Rule->Watch = NULL;
    if (LdrpIsService(Name)) {
        return TRUE;
    }
    if (LdrpFreesPool(Name)) {
        Rule->Limit = HIGH_LEVEL; /* judged where it is known which pool */
        Rule->Watch = MiWatchPoolFree;
        return TRUE;
    }
    for (ULONG Index = 0; Index < RTL_NUMBER_OF(LdrpIrqlLimits); Index += 1) {
        Found = LdrpFindLimit(LdrpIrqlLimits[Index].Routines, LdrpIrqlLimits[Index].Count, Name);
        if (Found != NULL) {
            Rule->Limit = LdrpIrqlLimits[Index].Limit;
            Rule->Violation = Found->Violation;
            return TRUE;
        }
    }
    return FALSE;
}
