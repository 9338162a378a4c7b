/*
 * request.c - parse --ioctl.
 *
 * The value is a list of fields separated by commas: the device, unless the first field is a number;
 * the code; then in= and out= in either order, each at most once. A device's or file's name therefore
 * has no comma in it.
 */
#include "request.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diag.h"

#define MAXIMUM_BYTES (16u << 20)
#define MAXIMUM_DEVICE 255

/*
 * A number, decimal or 0x, not above Highest.
 */
static bool
RequestpReadNumber(const char *Text, uint64_t Highest, uint64_t *Number)
{
    bool Hexadecimal = strncasecmp(Text, "0x", 2) == 0;
    char *End;

    if (!isxdigit((unsigned char)Text[Hexadecimal ? 2 : 0])) {
        return false;
    }
    errno = 0;
    *Number = strtoull(Hexadecimal ? Text + 2 : Text, &End, Hexadecimal ? 16 : 10);
    return errno == 0 && *End == 0 && *Number <= Highest;
}

/*
 * A device by its full name, also as programs write it: \\.\Foo is \??\Foo.
 */
static bool
RequestpCheckDevice(const char *Value, const char *Device, char *Name, size_t Size)
{
    const char *Byte;
    int Length;

    for (Byte = Device; *Byte != 0; Byte += 1) {
        if (*Byte < 0x20 || *Byte > 0x7E) {
            Diag("--ioctl: '%s': a device's name has printable ASCII characters only", Value);
            return false;
        }
    }
    if (Device[0] != '\\' || Device[1] == 0) {
        Diag("--ioctl: '%s': '%s' is neither a code nor a device like \\Device\\Foo", Value, Device);
        return false;
    }
    Length = strncmp(Device, "\\\\.\\", 4) == 0 ? snprintf(Name, Size, "\\??\\%s", Device + 4)
                                                   : snprintf(Name, Size, "%s", Device);
    if (Length > MAXIMUM_DEVICE) {
        Diag("--ioctl: the device's name has more than %d characters", MAXIMUM_DEVICE);
        return false;
    }
    return true;
}

static bool
RequestpReadFile(const char *Path, RUN_REQUEST *Request)
{
    struct stat Status;
    int File = open(Path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int Error = File < 0 || fstat(File, &Status) != 0 ? errno : 0;

    if (File >= 0) {
        close(File);
    }
    if (Error != 0) {
        Diag("--ioctl: in=@%s: %s", Path, strerror(Error));
        return false;
    }
    if (!S_ISREG(Status.st_mode) || Status.st_size > MAXIMUM_BYTES) {
        Diag("--ioctl: in=@%s: not a file of at most %u bytes", Path, MAXIMUM_BYTES);
        return false;
    }
    Request->InputFile = strdup(Path);
    return Request->InputFile != NULL;
}

static bool
RequestpReadInput(const char *Value, const char *Input, RUN_REQUEST *Request)
{
    size_t Length = strlen(Input);

    if (Request->InputHex != NULL || Request->InputFile != NULL) {
        Diag("--ioctl: '%s': in= is given twice", Value);
        return false;
    }
    if (*Input == '@') {
        return RequestpReadFile(Input + 1, Request);
    }
    if (Length == 0 || Length % 2 != 0 || strspn(Input, "0123456789abcdefABCDEF") != Length) {
        Diag("--ioctl: '%s': in= takes pairs of hexadecimal digits, or @FILE", Value);
        return false;
    }
    Request->InputHex = strdup(Input);
    return Request->InputHex != NULL;
}

/*
 * The fields behind the code.
 */
static bool
RequestpReadRest(const char *Value, char *Rest, RUN_REQUEST *Request, uint64_t *Output)
{
    bool OutputGiven = false;
    char *Field;

    while ((Field = strsep(&Rest, ",")) != NULL) {
        if (strncmp(Field, "in=", 3) == 0) {
            if (!RequestpReadInput(Value, Field + 3, Request)) {
                return false;
            }
        } else if (strncmp(Field, "out=", 4) == 0 && !OutputGiven) {
            OutputGiven = true;
            if (!RequestpReadNumber(Field + 4, MAXIMUM_BYTES, Output)) {
                Diag("--ioctl: '%s': out= takes a number of bytes, at most %u", Value, MAXIMUM_BYTES);
                return false;
            }
        } else {
            Diag("--ioctl: '%s': '%s' is not in=HEX, in=@FILE or out=N, or is there twice", Value, Field);
            return false;
        }
    }
    return true;
}

/*
 * All of it, taking Copy apart.
 */
static bool
RequestpParse(const char *Value, char *Copy, RUN_REQUEST *Request)
{
    char Device[MAXIMUM_DEVICE + 8] = "";
    char *Rest = Copy;
    char *Field = strsep(&Rest, ",");
    uint64_t Code;
    uint64_t Output = 0;

    if (!RequestpReadNumber(Field, UINT32_MAX, &Code)) {
        if (!RequestpCheckDevice(Value, Field, Device, sizeof(Device))) {
            return false;
        }
        Field = strsep(&Rest, ",");
        if (Field == NULL || !RequestpReadNumber(Field, UINT32_MAX, &Code)) {
            Diag("--ioctl: '%s': a control code, a 32-bit number, must follow the device", Value);
            return false;
        }
    }
    if (!RequestpReadRest(Value, Rest, Request, &Output)) {
        return false;
    }
    return asprintf(&Request->Target, "%" PRIu64 ":%" PRIu64 ":%s", Code, Output, Device) >= 0;
}

bool
RequestParse(const char *Value, RUN_REQUEST *Request)
{
    char *Copy = strdup(Value);
    bool Good;

    *Request = (RUN_REQUEST){0};
    Good = Copy != NULL && RequestpParse(Value, Copy, Request);
    free(Copy);
    return Good;
}

void
RequestFree(RUN_REQUEST *Request)
{
    free(Request->Target);
    free(Request->InputHex);
    free(Request->InputFile);
}
