/*
 * exports.c - the linker gathers the export table: names, addresses, sizes, several names for one
 * routine; variadic NTAPI routines work. Prints the table, sorted out by the test.
 */
#include <ntexport.h>
#include <stdio.h>

ULONG Answer = 42;
NTEXPORT_DATA(Answer);
static ULONGLONG Wide[3];
NTEXPORT_DATA_AS("WideTable", Wide);

static ULONG NTAPI
Routine(ULONG Value)
{
    return Value + 1;
}
NTEXPORT(Routine);
NTEXPORT_AS("memcpy", Routine);
NTEXPORT_AS("_snprintf", Routine);

int
main(void)
{
    const NT_EXPORT *Export;

    for (Export = __start_ntexports; Export < __stop_ntexports; Export += 1) {
        if (Export->Size == 0) {
            printf("%s()=%u\n", Export->Name, ((ULONG(NTAPI *)(ULONG))Export->Address)(1));
        } else {
            printf("%s[%u]=%u\n", Export->Name, Export->Size, *(const ULONG *)Export->Address);
        }
    }
    return 0;
}
