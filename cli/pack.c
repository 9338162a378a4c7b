/*
 * pack.c - files in one, for a machine that can be given one file. It lies in a memory file, so nothing of it is left behind
 * whatever happens to us. The format is described in cpio(5); any cpio can list it. A member is a header of 110 characters,
 * the name with its zero byte, and the contents, the last two filled up to multiples of four bytes.
 */
#include "pack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAXIMUM_FILE_LENGTH ((uint64_t)1 << 30)

static void
PackpWrite(PACK *Pack, const TEXT *Bytes)
{
    if (Pack->Error == 0) {
        Pack->Error = TextWrite(Bytes, Pack->Descriptor);
        Pack->Length += Bytes->Length;
    }
}

static void
PackpAlign(PACK *Pack)
{
    TEXT Zeros = {.Data = "\0\0\0", .Length = (size_t)(-Pack->Length & 3)};

    PackpWrite(Pack, &Zeros);
}

static void
PackpAddHeader(PACK *Pack, const char *Name, uint64_t Length)
{
    TEXT Header = {0};

    TextPrint(&Header, "070701%08X%08X%08X%08X%08X%08X%08llX%08X%08X%08X%08X%08zX%08X%s", 0, 0100444, 0, 0, 1, 0,
              (unsigned long long)Length, 0, 0, 0, 0, strlen(Name) + 1, 0, Name);
    TextPutBytes(&Header, "", 1);
    PackpWrite(Pack, &Header);
    TextFree(&Header);
    PackpAlign(Pack);
}

void
PackBegin(PACK *Pack)
{
    *Pack = (PACK){.Descriptor = memfd_create("ntmm-pack", MFD_CLOEXEC)};
    Pack->Error = Pack->Descriptor < 0 ? errno : 0;
}

void
PackAddText(PACK *Pack, const char *Name, const TEXT *Contents)
{
    PackpAddHeader(Pack, Name, Contents->Length);
    PackpWrite(Pack, Contents);
    PackpAlign(Pack);
}

/*
 * Copy Length bytes. Returns 0, or an errno of reading: a file that has become shorter is one of those.
 */
static int
PackpCopy(PACK *Pack, int File, uint64_t Length)
{
    while (Length != 0) {
        ssize_t Done = sendfile(Pack->Descriptor, File, NULL, Length);

        if (Done < 0 && errno == EINTR) {
            continue;
        }
        if (Done <= 0) {
            return Done < 0 ? errno : ESTALE;
        }
        Pack->Length += (uint64_t)Done;
        Length -= (uint64_t)Done;
    }
    return 0;
}

int
PackAddFile(PACK *Pack, const char *Path)
{
    struct stat Status = {0};
    int File = open(Path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int Error = File < 0 || fstat(File, &Status) != 0 ? errno : 0;

    if (Error == 0 && (!S_ISREG(Status.st_mode) || (uint64_t)Status.st_size > MAXIMUM_FILE_LENGTH)) {
        Error = S_ISREG(Status.st_mode) ? EFBIG : EINVAL;
    }
    if (Error == 0) {
        PackpAddHeader(Pack, Path, (uint64_t)Status.st_size);
        if (Pack->Error == 0) {
            Error = PackpCopy(Pack, File, (uint64_t)Status.st_size);
        }
        PackpAlign(Pack);
    }
    if (File >= 0) {
        close(File);
    }
    return Error;
}

void
PackEnd(PACK *Pack)
{
    PackpAddHeader(Pack, "TRAILER!!!", 0);
}
