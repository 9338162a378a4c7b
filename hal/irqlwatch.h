/*
 * An image's own changes of the IRQL: drivers change it by calls, and by the instruction that headers inline for KeRaiseIrql
 * and KeLowerIrql, mov cr8, reg. The machine has those go through KfRaiseIrql and KeLowerIrql.
 */
#ifndef HAL_IRQLWATCH_H
#define HAL_IRQLWATCH_H

#include <hal/hal.h>

/* Prepare code of an image, still writable, that is to run from now on. PASSIVE_LEVEL. */
VOID HalWatchIrql(PVOID Code, SIZE_T Size);

#endif
