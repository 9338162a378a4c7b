/*
 * jsonutil.h - reading a report without trusting it, and printing one.
 *
 * A driver that ran wild may have damaged what the machine reports. So the getters take any value,
 * also NULL, and give back a plain default where the member is absent or of another type.
 */
#ifndef NTMM_CLI_JSONUTIL_H
#define NTMM_CLI_JSONUTIL_H

#include <stdbool.h>
#include <stdint.h>

#include <cjson/cJSON.h>

#include "text.h"

/* Parse exactly one JSON value that is no deeper than any report; NULL if it is not that. */
cJSON *
JsonParse(const char *Data, size_t Length);

/* The member Name of Object, or NULL. */
const cJSON *
JsonMember(const cJSON *Object, const char *Name);

/* The string Name, or Default. It belongs to Object. */
const char *
JsonString(const cJSON *Object, const char *Name, const char *Default);

/* The number Name as a count, 0 if it is absent, negative or not a number. */
uint64_t
JsonCount(const cJSON *Object, const char *Name);

/* The number or "0x..." string Name; false if it is neither. */
bool
JsonCode(const cJSON *Object, const char *Name, uint64_t *Code);

bool
JsonTrue(const cJSON *Object, const char *Name);

/* Make Value the member Name of Object, in the place of the one it has or else at its end. */
void
JsonSet(cJSON *Object, const char *Name, cJSON *Value);

/* New values; there is no failure to check for. */
cJSON *
JsonNew(cJSON *Value);

/* Append Value to Text as indented JSON: what fits stays on one line, numbers that are whole are
 * printed whole, and what is not UTF-8 becomes U+FFFD. */
void
JsonPrint(const cJSON *Value, TEXT *Text);

#endif
