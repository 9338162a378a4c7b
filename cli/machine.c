/*
 * machine.c - what the machines a run can have share.
 */
#include "machine.h"

#include <stdlib.h>

void
MachineFreeEnd(MACHINE_END *End)
{
    ChildFreeResult(&End->Child);
    free(End->Executable);
    End->Executable = NULL;
}
