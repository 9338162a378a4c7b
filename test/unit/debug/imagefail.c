/* Failures for images: what counts as a request, who is refused, what is kept of it. */
#include "../pool/pooltest.h"
#include <mm/debug/imagefail.h>
#include <rtl/rtl.h>

#define PLACE 0x1234

/* One call of an image's that allocates twice. */
static ULONG
ImageAllocates(ULONG64 Rip)
{
    ULONG Got = 0;

    TestEnterImage(Rip);
    for (ULONG Index = 0; Index < 2; Index += 1) {
        PVOID Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TEST_TAG);

        if (Block != NULL) {
            ExFreePool(Block);
            Got += 1;
        }
    }
    TestLeaveImage();
    return Got;
}

KTEST(ImageFailTexts)
{
    static const char *const Wrong[] = {"", "stack", "stacksx", "stacks:g", "stacks:,", "stacks:1,,2", "nth:0",
                                        "nth:", "rate:2", "from:x", "stacks:12345678123456781"};

    for (ULONG Index = 0; Index < RTL_NUMBER_OF(Wrong); Index += 1) {
        CHECK_STATUS(STATUS_INVALID_PARAMETER, MiInjectStartImages(Wrong[Index], 1));
        CHECK(!MiInjectIsActive());
    }
    CHECK_STATUS(STATUS_SUCCESS, MiInjectStartImages("stacks:0,FfFfFfFfFfFfFfFf,12", 1));
    MiInjectStop(NULL);
}

/* The core's own allocations are neither counted nor refused; an image's call counts once. */
KTEST(ImageFailCountsCalls)
{
    ULONG64 Requests;
    PVOID Block;

    REQUIRE(NT_SUCCESS(MiInjectStartImages("nth:2", 1)));
    Block = ExAllocatePool2(POOL_FLAG_NON_PAGED, 64, TEST_TAG);
    CHECK(Block != NULL);
    CHECK_EQ(ImageAllocates(PLACE), 2);
    CHECK_EQ(ImageAllocates(PLACE + 1), 1);
    CHECK_EQ(ImageAllocates(PLACE + 2), 2);
    TestEnterImage(PLACE + 3);
    KiEnterBoundary();
    CHECK(!MiInjectRequest());
    KiLeaveBoundary();
    MiInjectExempt();
    CHECK(!MiInjectRequest());
    TestLeaveImage();
    CHECK_EQ(MiInjectStop(&Requests), 1);
    CHECK_EQ(Requests, 3);
    REQUIRE(MiGetInjectRecord(0) != NULL);
    CHECK_EQ(MiGetInjectRecord(0)->Request, 2);
    CHECK(MiGetInjectRecord(1) == NULL);
    ExFreePool(Block);
}

/* While images are refused, the frames and charges behind their requests are not. */
KTEST(ImageFailLeavesTheCoreAlone)
{
    PFN_NUMBER Frame;

    REQUIRE(NT_SUCCESS(MiInjectStartImages("from:1", 1)));
    Frame = MiGetFrame(0, MM_ANY_NODE_OK, MiUseSystemPte);
    CHECK(MiChargeCommit(1));
    CHECK_EQ(MiInjectStop(NULL), 0);
    MiReturnCommit(1);
    REQUIRE(Frame != MI_NO_FRAME);
    MiFreeFrame(Frame);
}

/* Each stack once: known ones pass, and one run refuses one. */
KTEST(ImageFailStacks)
{
    CHAR Text[64];
    ULONG64 First;

    REQUIRE(NT_SUCCESS(MiInjectStartImages("stacks", 1)));
    CHECK_EQ(ImageAllocates(PLACE), 1);
    CHECK_EQ(ImageAllocates(PLACE + 1), 2);
    CHECK_EQ(MiInjectStop(NULL), 1);
    REQUIRE(MiGetInjectRecord(0) != NULL);
    First = MiGetInjectRecord(0)->StackHash;
    RtlpPrintBuffer(Text, sizeof(Text), "stacks:%016I64x", First);
    REQUIRE(NT_SUCCESS(MiInjectStartImages(Text, 1)));
    CHECK(MiGetInjectRecord(0) == NULL);
    CHECK_EQ(ImageAllocates(PLACE), MiGetInjectRecord(0) == NULL ? 2 : 1);
    MiInjectStop(NULL);
}

/* A rate is the seed's. */
KTEST(ImageFailRate)
{
    ULONG Got[2] = {0, 0};

    for (ULONG Pass = 0; Pass < 2; Pass += 1) {
        REQUIRE(NT_SUCCESS(MiInjectStartImages("rate:0.5", 77)));
        for (ULONG Index = 0; Index < 32; Index += 1) {
            Got[Pass] = Got[Pass] * 3 + ImageAllocates(PLACE);
        }
        CHECK(MiInjectStop(NULL) > 4);
    }
    CHECK_EQ(Got[0], Got[1]);
}
