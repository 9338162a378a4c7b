/* What the trap handler knows of sequenced lists. */
#ifndef EX_SLIST_H
#define EX_SLIST_H

#include <wdm.h>

/*
 * A read fault at *Rip: if it is the one a pop expects (the entry was popped and its memory unmapped by
 * another processor), set *Rip to where the pop begins again and return TRUE. Any IRQL.
 */
BOOLEAN ExpRecoverSListFault(ULONG64 *Rip);

#endif
