/*
 * Reading .reg files. Pure: no locks, no allocation; the caller brings the memory and takes what is found.
 *
 * The format is that of version 5.00: a first line "Windows Registry Editor Version 5.00", then
 *
 *     [key]   [-key]              a key that is made, or is deleted with all that is in it
 *     "name"=value   @=value      a value of the last key; @ is the default value
 *     ; comment
 *
 * value: "text" (\\ and \" for those two), dword:hex, hex:bytes, hex(type):bytes, or - to delete the value. Bytes are
 * pairs of digits with commas between; a "\" at the end of a line goes on in the next.
 */
#ifndef CM_REGFILE_H
#define CM_REGFILE_H

#include "cm.h"

#define CM_REGFILE_LIMIT (16u << 20) /* bytes of a file */

/* Who takes what the file says, in order; a status that is no success ends the reading. */
typedef struct _CM_REGFILE_SINK {
    PVOID Context;
    /* Path as it is written. The key of the values that follow, unless Delete. */
    NTSTATUS (*Key)(PVOID Context, PCUNICODE_STRING Path, BOOLEAN Delete);
    NTSTATUS (*Value)(PVOID Context, PCUNICODE_STRING Name, ULONG Type, const VOID *Data, ULONG Length);
    NTSTATUS (*DeleteValue)(PVOID Context, PCUNICODE_STRING Name);
} CM_REGFILE_SINK;

/* The characters that a file can have at most: of what CmpDecodeRegistryFile needs, two bytes each. */
static inline SIZE_T
CmpRegistryFileCharacters(SIZE_T Size)
{
    return Size + 1;
}

/* Turn the bytes (UTF-16LE with its mark, or UTF-8) into characters at Text; *Count of them. FALSE, and *Error. */
BOOLEAN CmpDecodeRegistryFile(const UCHAR *Bytes, SIZE_T Size, PWSTR Text, PULONG Count, PCM_REGFILE_ERROR Error);

/* Read the characters; they are changed. STATUS_INVALID_PARAMETER, and *Error, or what the sink returned, with the
 * line in *Error. */
NTSTATUS CmpReadRegistryFile(PWSTR Text, ULONG Count, const CM_REGFILE_SINK *Sink, PCM_REGFILE_ERROR Error);

#endif
