/*
 * An image's own changes of the IRQL: which bytes are changed, and what they do then, for every register.
 */
#include <hal/irqlwatch.h>
#include <ktest.h>

#define WATCH_VECTOR 0x38

KTEST(Amd64WatchFindsEveryRegister)
{
    for (ULONG Rex = 0; Rex < 16; Rex += 1) {
        for (ULONG Register = 0; Register < 8; Register += 1) {
            UCHAR Code[7] = {0x90, (UCHAR)(0x40 | Rex), 0x0F, 0x22, (UCHAR)(0xC0 | Register), 0x90, 0x44};
            BOOLEAN Cr8 = (Rex & 4) != 0 && (Rex & 2) == 0;

            HalWatchIrql(Code, sizeof(Code));
            CHECK_EQ(Code[0], 0x90);
            CHECK_EQ(Code[1], Cr8 ? 0xCD : 0x40 | Rex);
            CHECK_EQ(Code[2], Cr8 ? WATCH_VECTOR : 0x0F);
            CHECK_EQ(Code[3], Cr8 ? Register + (Rex & 1) * 8 : 0x22);
            CHECK_EQ(Code[4], Cr8 ? 0x90 : 0xC0 | Register);
            CHECK_EQ(Code[5], 0x90);
        }
    }
}

KTEST(Amd64WatchLeavesTheRest)
{
    static const UCHAR Others[][4] = {
        {0x44, 0x0F, 0x20, 0xC0}, /* mov rax, cr8 */
        {0x40, 0x0F, 0x22, 0xC0}, /* mov cr0, rax */
        {0x44, 0x0F, 0x22, 0xC8}, /* mov cr9, rax */
        {0x44, 0x0F, 0x22, 0x00},
        {0x0F, 0x22, 0xC0, 0x44},
    };

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Others); Index += 1) {
        UCHAR Code[4];

        RtlCopyMemory(Code, Others[Index], sizeof(Code));
        HalWatchIrql(Code, sizeof(Code));
        CHECK(RtlCompareMemory(Code, Others[Index], sizeof(Code)) == sizeof(Code));
    }
    /* Three bytes of it at the end of a section. */
    UCHAR End[3] = {0x44, 0x0F, 0x22};

    HalWatchIrql(End, sizeof(End));
    CHECK_EQ(End[0], 0x44);
}

/* What the changed bytes do, with the level in each register but the stack pointer, which cannot hold one. */
#define RAISE_BY(Name, Number)                                                                                \
    {                                                                                                         \
        __asm__ volatile("pushq %%rbp; pushq %%rbx; movq %0, %%" Name "; int $0x38; .byte " #Number           \
                         ", 0x90; popq %%rbx; popq %%rbp"                                                     \
                         :                                                                                    \
                         : "i"(DISPATCH_LEVEL)                                                                \
                         : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",  \
                           "r15", "memory", "cc");                                                            \
        CHECK_EQ(HalGetIrql(), DISPATCH_LEVEL);                                                               \
        KeLowerIrql(PASSIVE_LEVEL);                                                                           \
    }

KTEST(Amd64WatchTakesEveryRegister)
{
    RAISE_BY("rax", 0);
    RAISE_BY("rcx", 1);
    RAISE_BY("rdx", 2);
    RAISE_BY("rbx", 3);
    RAISE_BY("rbp", 5);
    RAISE_BY("rsi", 6);
    RAISE_BY("rdi", 7);
    RAISE_BY("r8", 8);
    RAISE_BY("r9", 9);
    RAISE_BY("r10", 10);
    RAISE_BY("r11", 11);
    RAISE_BY("r12", 12);
    RAISE_BY("r13", 13);
    RAISE_BY("r14", 14);
    RAISE_BY("r15", 15);
}

static volatile ULONG WatchDpcRuns;

static VOID NTAPI
WatchDpc(struct _KDPC *Dpc, PVOID Context, PVOID Argument1, PVOID Argument2)
{
    WatchDpcRuns += 1;
}

/* Lowering lets in what has waited. */
KTEST(Amd64WatchLowers)
{
    KDPC Dpc;
    KIRQL OldIrql;

    WatchDpcRuns = 0;
    KeInitializeDpc(&Dpc, WatchDpc, NULL);
    KeRaiseIrql(DISPATCH_LEVEL, &OldIrql);
    KeInsertQueueDpc(&Dpc, NULL, NULL);
    CHECK_EQ(WatchDpcRuns, 0);
    __asm__ volatile("xorl %%eax, %%eax; int $0x38; .byte 0, 0x90" ::: "rax", "memory", "cc");
    CHECK_EQ(HalGetIrql(), PASSIVE_LEVEL);
    CHECK_EQ(WatchDpcRuns, 1);
}
