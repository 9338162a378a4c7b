/*
 * output.c - put a finished document where the user wants it.
 *
 * A regular file is written beside its final name and renamed, so that a reader never sees half of
 * it and a full disk leaves the old one. Devices, pipes and the descriptors under /dev and /proc
 * are written as they are: renaming over those would replace them.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "diag.h"

/*
 * Write to something that exists and is not to be replaced. Returns 0 or an errno.
 */
static int
OutputpWriteInPlace(const char *Path, const TEXT *Text)
{
    int File = open(Path, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY);
    int Error;

    if (File < 0) {
        return errno;
    }
    Error = TextWrite(Text, File);
    if (close(File) != 0 && Error == 0) {
        Error = errno;
    }
    return Error;
}

/*
 * Fill the temporary file and give it the name. Returns 0, or an errno with the file removed.
 */
static int
OutputpFillAndRename(int File, const char *Temporary, const char *Path, const TEXT *Text)
{
    mode_t Mask = umask(0);
    int Error = TextWrite(Text, File);

    umask(Mask);
    if (Error == 0 && fchmod(File, 0666 & ~Mask) != 0) {
        Error = errno;
    }
    if (close(File) != 0 && Error == 0) {
        Error = errno;
    }
    if (Error == 0 && rename(Temporary, Path) != 0) {
        Error = errno;
    }
    if (Error != 0) {
        (void)unlink(Temporary);
    }
    return Error;
}

/*
 * Create or replace a file. A symbolic link stays, and the file it leads to is replaced.
 */
static int
OutputpReplace(const char *Path, const TEXT *Text)
{
    char *Target = realpath(Path, NULL);
    TEXT Temporary = {0};
    int Error;
    int File;

    TextPrint(&Temporary, "%s.XXXXXX", Target == NULL ? Path : Target);
    File = mkostemp(Temporary.Data, O_CLOEXEC);
    Error = File < 0 ? errno
                     : OutputpFillAndRename(File, Temporary.Data, Target == NULL ? Path : Target,
                                            Text);
    TextFree(&Temporary);
    free(Target);
    return Error;
}

bool
OutputWrite(const char *Path, const TEXT *Text)
{
    struct stat Status;
    bool Exists;
    int Error;

    if (strcmp(Path, "-") == 0) {
        Error = TextWrite(Text, 1);
        if (Error != 0 && Error != EPIPE) {
            Diag("standard output: %s", strerror(Error));
        }
        return Error == 0 || Error == EPIPE;
    }
    Exists = stat(Path, &Status) == 0;
    if (Exists && S_ISDIR(Status.st_mode)) {
        Error = EISDIR;
    } else if (Exists && (!S_ISREG(Status.st_mode) || strncmp(Path, "/dev/", 5) == 0 ||
                          strncmp(Path, "/proc/", 6) == 0)) {
        Error = OutputpWriteInPlace(Path, Text);
    } else {
        Error = OutputpReplace(Path, Text);
    }
    if (Error != 0) {
        Diag("%s: %s", Path, strerror(Error));
    }
    return Error == 0;
}
