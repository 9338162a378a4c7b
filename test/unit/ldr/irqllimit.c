/* The IRQL limits of exports: what has a rule, which, and that the lists are searched right. */
#include <ktest.h>
#include <ldr/ldr.h>
#include <ntexport.h>

static VOID
CheckRule(const char *Name, KIRQL Limit, ULONG Violation)
{
    KI_EXPORT_RULE Rule = {0};

    REQUIRE(LdrpFindExportRule(Name, &Rule));
    CHECK_EQ(Rule.Limit, Limit);
    CHECK_EQ(Rule.Violation, Violation);
}

KTEST(IrqlLimitsAreFound)
{
    KI_EXPORT_RULE Rule = {0};

    CheckRule("ZwClose", PASSIVE_LEVEL, KI_IRQL_VIOLATION_ZW);
    CheckRule("ZwNoSuchService", PASSIVE_LEVEL, KI_IRQL_VIOLATION_ZW);
    CheckRule("NtClose", PASSIVE_LEVEL, KI_IRQL_VIOLATION_ZW);
    CheckRule("IoCreateSymbolicLink", PASSIVE_LEVEL, 0x2000D);
    CheckRule("MmAllocateMappingAddress", APC_LEVEL, KI_IRQL_VIOLATION);
    CheckRule("MmLockPagableDataSection", APC_LEVEL, 0x20019);
    CheckRule("KeLeaveCriticalRegion", APC_LEVEL, 0x11B);
    CheckRule("RtlUpcaseUnicodeString", APC_LEVEL, KI_IRQL_VIOLATION);
    CheckRule("IoAllocateIrp", DISPATCH_LEVEL, KI_IRQL_VIOLATION);
    CheckRule("MmFreeContiguousMemory", DISPATCH_LEVEL, 0x2001A);
    CHECK(!LdrpFindExportRule("KeBugCheckEx", &Rule));
    CHECK(!LdrpFindExportRule("MmProbeAndLockPages", &Rule));
    CHECK(!LdrpFindExportRule("", &Rule));
    CHECK(!LdrpFindExportRule("zzz", &Rule));
}

/* Every system service that is exported has the services' rule. */
KTEST(IrqlLimitsOfServices)
{
    ULONG Services = 0;

    for (const NT_EXPORT *Export = __start_ntexports; Export < __stop_ntexports; Export += 1) {
        if (Export->Size == 0 && Export->Name[0] == 'Z' && Export->Name[1] == 'w') {
            CheckRule(Export->Name, PASSIVE_LEVEL, KI_IRQL_VIOLATION_ZW);
            Services += 1;
        }
    }
    CHECK(Services > 5);
}
