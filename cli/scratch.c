/*
 * scratch.c - a place for what a run prints while nobody knows yet whether it is to be seen: two files in memory.
 */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "diag.h"
#include "text.h"

bool
ScratchOpen(SCRATCH *Scratch)
{
    Scratch->Output = memfd_create("ntmm-output", MFD_CLOEXEC);
    Scratch->Error = memfd_create("ntmm-error", MFD_CLOEXEC);
    Scratch->StandardError = fcntl(2, F_DUPFD_CLOEXEC, 3);
    if (Scratch->Output < 0 || Scratch->Error < 0 || Scratch->StandardError < 0) {
        Diag("--fail stacks: no place for what the image prints: %s", strerror(errno));
        return false;
    }
    (void)dup2(Scratch->Error, 2);
    return true;
}

void
ScratchEmpty(const SCRATCH *Scratch)
{
    (void)!ftruncate(Scratch->Output, 0);
    (void)!ftruncate(Scratch->Error, 0);
    (void)lseek(Scratch->Output, 0, SEEK_SET);
    (void)lseek(Scratch->Error, 0, SEEK_SET);
}

static void
ScratchpCopy(int File, int Output)
{
    char Chunk[1 << 14];
    ssize_t Count;
    TEXT Text = {0};

    (void)lseek(File, 0, SEEK_SET);
    while ((Count = read(File, Chunk, sizeof(Chunk))) > 0) {
        TextPutBytes(&Text, Chunk, (size_t)Count);
    }
    if (Text.Length != 0) {
        (void)TextWrite(&Text, Output);
    }
    TextFree(&Text);
}

static void
ScratchpCloseFile(int *File)
{
    if (*File >= 0) {
        close(*File);
        *File = -1;
    }
}

void
ScratchClose(SCRATCH *Scratch, int Output)
{
    if (Scratch->Output >= 0 && Scratch->Error >= 0 && Scratch->StandardError >= 0) {
        (void)dup2(Scratch->StandardError, 2);
        ScratchpCopy(Scratch->Output, Output);
        ScratchpCopy(Scratch->Error, 2);
    }
    ScratchpCloseFile(&Scratch->Output);
    ScratchpCloseFile(&Scratch->Error);
    ScratchpCloseFile(&Scratch->StandardError);
}
