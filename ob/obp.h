/* Private to ob/. */
#ifndef OB_OBP_H
#define OB_OBP_H

#include "ob.h"
#include "table.h"

/* --- Names (name.c) --------------------------------------------------------------------------- */

/* Directories: an object whose body is a list of names. */
typedef struct _OBP_DIRECTORY {
    LIST_ENTRY Names; /* OBP_NAME.Links, in order of insertion; name space lock */
} OBP_DIRECTORY;

/* An object's name in its directory. Name space lock. */
typedef struct _OBP_NAME {
    LIST_ENTRY Links;
    PVOID Object;             /* no reference */
    OBP_DIRECTORY *Directory; /* referenced */
    UNICODE_STRING Name;      /* the last component; the characters follow */
} OBP_NAME, *POBP_NAME;

VOID ObpInitializeNames(VOID);

/* At the start, before anybody else runs: make a permanent directory, or name an object, in a directory. */
OBP_DIRECTORY *ObpMakeBootDirectory(OBP_DIRECTORY *Parent, const WCHAR *Name);
VOID ObpNameBootObject(OBP_DIRECTORY *Parent, const WCHAR *Name, PVOID Object);

extern OBP_DIRECTORY *ObpRoot;

/* Length, root and flags of object attributes as far as they do not depend on the name. */
NTSTATUS ObpCheckAttributes(const OBJECT_ATTRIBUTES *Attributes);

/* --- Objects, handles, events, callbacks ------------------------------------------------------ */

/* The last handle of an object was closed. PASSIVE_LEVEL. */
VOID ObpLastHandleClosed(PVOID Object);

/* Release a handle's reference and count. */
VOID ObpReleaseHandle(PVOID Object);

VOID ObpInitializeEvents(VOID);
VOID ObpInitializeCallbacks(VOID);

#endif
