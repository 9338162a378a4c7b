/*
 * The first process of the Linux column (linux.sh): system calls that come nearest to the rows of kernel.c, counted by the
 * time-stamp counter, which counts guest instructions here. A figure is the mean of the second of two passes.
 *
 * What differs: these are user mappings, made by system calls. A write fault is the same work on both sides: trap, walk,
 * a cleared page, the entry.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/reboot.h>
#include <unistd.h>
#include <x86intrin.h>

#define PAGE 4096ul
#define MEGABYTE (1ul << 20)

static volatile char *Pages;
static int File;

static volatile char *
Map(size_t Length, int Flags, int Descriptor)
{
    void *Address = mmap(NULL, Length, PROT_READ | PROT_WRITE, Flags, Descriptor, 0);

    if (Address == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return Address;
}

static void
Touch(unsigned Rounds)
{
    for (unsigned Round = 0; Round < Rounds; Round++) {
        Pages[Round * PAGE] = 1;
    }
}

static void
MakeFresh(void)
{
    Pages = Map(MEGABYTE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    madvise((void *)Pages, MEGABYTE, MADV_NOHUGEPAGE);
}

static void
MakeTouched(void)
{
    MakeFresh();
    Touch(16);
}

static void
Drop(void)
{
    munmap((void *)Pages, MEGABYTE);
}

static void
MakeTouchDrop(unsigned Rounds)
{
    for (unsigned Round = 0; Round < Rounds; Round++) {
        MakeFresh();
        Touch(16);
        Drop();
    }
}

static void
Lock(unsigned Rounds)
{
    for (unsigned Round = 0; Round < Rounds; Round++) {
        mlock((void *)Pages, 16 * PAGE);
        munlock((void *)Pages, 16 * PAGE);
    }
}

static void
MapPages(unsigned Rounds, size_t Count)
{
    for (unsigned Round = 0; Round < Rounds; Round++) {
        munmap((void *)Map(Count * PAGE, MAP_SHARED | MAP_POPULATE, File), Count * PAGE);
    }
}

static void
MapOne(unsigned Rounds)
{
    MapPages(Rounds, 1);
}

static void
MapMany(unsigned Rounds)
{
    MapPages(Rounds, 16);
}

static void
MakeFile(void)
{
    char Zeros[PAGE] = {1};

    File = memfd_create("pages", 0);
    for (unsigned Page = 0; Page < 16; Page++) {
        if (write(File, Zeros, sizeof(Zeros)) != sizeof(Zeros)) {
            perror("write");
        }
    }
}

static void
CloseFile(void)
{
    close(File);
}

static const struct {
    const char *Name;
    void (*Before)(void);
    void (*Run)(unsigned Rounds);
    void (*After)(void);
    unsigned Rounds;
} Rows[] = {
    {"write fault on fresh paged pool, clear included", MakeFresh, Touch, Drop, MEGABYTE / PAGE},
    {"1 MB of paged pool, 16 pages touched, freed", NULL, MakeTouchDrop, NULL, 32},
    {"lock and unlock 64 KB, touched", MakeTouched, Lock, Drop, 200},
    {"map and unmap one page", MakeFile, MapOne, CloseFile, 500},
    {"map and unmap 16 pages", MakeFile, MapMany, CloseFile, 200},
};

int
main(void)
{
    for (unsigned Row = 0; Row < sizeof(Rows) / sizeof(Rows[0]); Row++) {
        uint64_t Count = 0;

        for (unsigned Pass = 0; Pass < 2; Pass++) {
            if (Rows[Row].Before != NULL) {
                Rows[Row].Before();
            }
            Count = __rdtsc();
            Rows[Row].Run(Rows[Row].Rounds);
            Count = __rdtsc() - Count;
            if (Rows[Row].After != NULL) {
                Rows[Row].After();
            }
        }
        printf("memory\t%s\tLinux\t%.1f\n", Rows[Row].Name, (double)Count / Rows[Row].Rounds);
    }
    fflush(stdout);
    sync();
    reboot(RB_POWER_OFF);
    return 0;
}
