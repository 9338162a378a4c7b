/* A stack that overflows with nobody to handle it. */
#include "program.h"

int
Deep(volatile char *Before, int Depth)
{
    volatile char Room[2000];

    Room[0] = Before == 0 ? 1 : Before[0];
    return Depth == 0 ? 1 : Deep(Room, Depth - 1) + Room[0];
}

void
NtProcessStartup(void *Peb)
{
    (void)Peb;
    DbgPrint("overflow: begin\n");
    DbgPrint("not ok %d\n", Deep(0, 1000000));
    NtTerminateProcess(PROCESS, 0);
}
