/*
 * wdm.h - the Windows Driver Model's interface: what every kernel-mode driver may use.
 *
 * Routines, structures and constants are in the headers below by family, each with a word on
 * units, IRQL, statuses and ownership. ntddk.h adds what older kernel drivers may use, ntifs.h
 * what file systems may; each includes the one before. All compile without a C library.
 */
#ifndef NTMM_WDM_H
#define NTMM_WDM_H

#include "ntdef.h"    /* types, strings, lists, small macros */
#include "ntstatus.h" /* STATUS_* */
#include "bugcodes.h" /* bug-check codes */
#include "wdmintl.h"  /* interlocked operations, lists */
#include "wdmrtl.h"   /* memory, strings, bitmaps, debug text */
#include "wdmke.h"    /* IRQL, spin locks, events, timers, DPCs, waits, time */
#include "wdmex.h"    /* mutexes, push locks, resources, rundown, work items */
#include "wdmpool.h"  /* pool, lookaside lists */
#include "wdmmm.h"    /* MDLs, mappings, physical memory, kernel stacks */
#include "wdmob.h"    /* objects, handles, system threads */
#include "wdmexs.h"   /* executive timers, callback objects, named events, versions */
#include "wdmio.h"    /* drivers, devices, requests */
#include "wdmetw.h"   /* event tracing */
#include "wdmcm.h"    /* the registry */
#include "wdmdev.h"   /* queues, remove locks, requests of one's own, error log */
#include "wdmfile.h"  /* files by handle */
#include "wdmcpu.h"   /* contexts, trap frames, exceptions, unwind data */

#endif
