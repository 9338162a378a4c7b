/* __try in a program: filters, termination handlers, nesting, faults of the processor and statuses that are raised. */
#include "program.h"

static volatile int Order;
int _fltused;

static void
Fault(void)
{
    *(volatile int *)16 = 1;
}

static void
Middle(void)
{
    __try {
        Fault();
    } __finally {
        Order = Order * 10 + 2;
    }
}

static int
Filter(U32 Code, U32 Wanted)
{
    Order = Order * 10 + 1;
    return Code == Wanted;
}

static void
Nested(void)
{
    __try {
        __try {
            __try {
                RtlRaiseStatus((int)0xC0000123);
            } __except (Filter(_exception_code(), 0xC0000999)) {
                Order = 99999;
            }
        } __finally {
            Order = Order * 10 + 3;
        }
    } __except (Filter(_exception_code(), 0xC0000123)) {
        Order = Order * 10 + 4;
    }
}

static void
Continued(void)
{
    RECORD Record = {.Code = 0x40000055};
    volatile int After = 0;

    __try {
        RtlRaiseException(&Record);
        After = 1;
    } __except (Order = 7, -1) {
        After = 2;
    }
    IS("continued", After, 1);
    IS("asked", Order, 7);
}

static void
Divide(volatile int Zero)
{
    volatile int Result = 5;

    __try {
        Result = 10 / Zero;
    } __except (_exception_code() == 0xC0000094) {
        Result = 6;
    }
    IS("division", Result, 6);
}

void
NtProcessStartup(void *Peb)
{
    (void)Peb;
    Order = 0;
    __try {
        Middle();
    } __except (Filter(_exception_code(), 0xC0000005)) {
        Order = Order * 10 + 5;
    }
    IS("filter, finally, handler", Order, 125);
    Order = 0;
    Nested();
    IS("nested", Order, 1134);
    Continued();
    Divide(0);
    DbgPrint("unwind: done\n");
    NtTerminateProcess(PROCESS, 0);
}
