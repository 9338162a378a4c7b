/*
 * tables.h - the tables of the text report: pool by tag and the states of pages.
 */
#ifndef NTMM_CLI_TABLES_H
#define NTMM_CLI_TABLES_H

#include "jsonutil.h"

/* Pool by tag in PoolMon's columns; only what the image allocated. */
void
TablesRenderPool(const cJSON *Report, TEXT *Text);

/* The page lists. */
void
TablesRenderPages(const cJSON *Report, TEXT *Text);

/* RAMMap's matrix: what pages are used for by the list they are on. */
void
TablesRenderPageUse(const cJSON *Report, TEXT *Text);

/* Commit charge, faults and time, one line each. */
void
TablesRenderCounters(const cJSON *Report, TEXT *Text);

/* A number of bytes as people say it, such as "256 MB" or "1.5 KB". */
void
TablesRenderSize(uint64_t SizeInBytes, TEXT *Text);

#endif
