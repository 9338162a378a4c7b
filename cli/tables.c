/*
 * tables.c - the tables of the text report: pool by tag and the states of pages.
 *
 * The columns are those of the tools people know: PoolMon's for pool, RAMMap's for the use of
 * pages. Rows that are all zero are left out, and so is a table that has no rows then.
 */
#include "tables.h"

#include <string.h>

#define PAGE_SIZE_IN_BYTES 4096
#define STANDBY_PRIORITIES 8

void
TablesRenderSize(uint64_t SizeInBytes, TEXT *Text)
{
    static const char *const Units[] = {"bytes", "KB", "MB", "GB", "TB", "PB"};
    unsigned Unit = 0;
    uint64_t Whole = SizeInBytes;
    uint64_t Rest = 0;
    uint64_t Tenths;

    while (Whole >= 1024 && Unit + 1 < sizeof(Units) / sizeof(Units[0])) {
        Rest = Whole % 1024;
        Whole /= 1024;
        Unit += 1;
    }
    Tenths = Rest * 10 / 1024;
    if (SizeInBytes == 1) {
        TextPut(Text, "1 byte");
    } else if (Tenths == 0) {
        TextPrint(Text, "%llu %s", (unsigned long long)Whole, Units[Unit]);
    } else {
        TextPrint(Text, "%llu.%llu %s", (unsigned long long)Whole, (unsigned long long)Tenths,
                  Units[Unit]);
    }
}

/*
 * Append a size, right-aligned in Width columns.
 */
static void
TablespPutSize(uint64_t SizeInBytes, size_t Width, TEXT *Text)
{
    TEXT Size = {0};

    TablesRenderSize(SizeInBytes, &Size);
    TextPrint(Text, "%*s", (int)Width, Size.Data);
    TextFree(&Size);
}

static void
TablespPutNumber(uint64_t Number, size_t Width, TEXT *Text)
{
    TextPrint(Text, "%*llu", (int)Width, (unsigned long long)Number);
}

/*
 * Append foreign text, made printable and padded to Width columns. UTF-8 sequences count as one.
 */
static void
TablespPutName(const char *Name, size_t Width, TEXT *Text)
{
    size_t Start = Text->Length;
    size_t Columns = 0;

    TextPut(Text, Name);
    TextMakePrintable(Text, Start);
    for (; *Name != 0; Name += 1) {
        Columns += ((unsigned char)*Name & 0xC0) != 0x80;
    }
    TextFill(Text, ' ', Columns < Width ? Width - Columns : 0);
}

void
TablesRenderPool(const cJSON *Report, TEXT *Text)
{
    const cJSON *Row;
    bool Titled = false;

    cJSON_ArrayForEach(Row, JsonMember(Report, "pool")) {
        uint64_t Allocs = JsonCount(Row, "allocs");
        uint64_t Frees = JsonCount(Row, "frees");
        uint64_t Diff = JsonCount(Row, "diff");
        uint64_t Bytes = JsonCount(Row, "bytes");

        if (JsonTrue(Row, "system") || (Allocs | Frees | Diff | Bytes) == 0) {
            continue;
        }
        if (!Titled) {
            TextPut(Text, "\nPool by tag\n"
                          "  Tag   Type     Allocs      Frees       Diff          Bytes"
                          "  Per Alloc\n");
            Titled = true;
        }
        TextPut(Text, "  ");
        TablespPutName(JsonString(Row, "tag", "?"), 4, Text);
        TextPut(Text, "  ");
        TablespPutName(JsonString(Row, "type", "?"), 5, Text);
        TablespPutNumber(Allocs, 10, Text);
        TablespPutNumber(Frees, 11, Text);
        TablespPutNumber(Diff, 11, Text);
        TablespPutNumber(Bytes, 15, Text);
        TablespPutNumber(Diff == 0 ? 0 : Bytes / Diff, 11, Text);
        TextPut(Text, "\n");
    }
}

/*
 * One row of the page lists, unless it is zero.
 */
static void
TablespPutList(const char *Name, uint64_t PageCount, TEXT *Text)
{
    if (PageCount == 0) {
        return;
    }
    TextPut(Text, "  ");
    TablespPutName(Name, 22, Text);
    TablespPutNumber(PageCount, 12, Text);
    TablespPutSize(PageCount * PAGE_SIZE_IN_BYTES, 13, Text);
    TextPut(Text, "\n");
}

/*
 * The standby lists: their sum, and each priority under it if there is more than one to tell apart.
 */
static void
TablespPutStandby(const cJSON *Pages, TEXT *Text)
{
    const cJSON *Priorities = JsonMember(Pages, "standby");
    uint64_t Counts[STANDBY_PRIORITIES] = {0};
    uint64_t Total = 0;
    const cJSON *Value;
    size_t Index = 0;

    cJSON_ArrayForEach(Value, Priorities) {
        if (Index < STANDBY_PRIORITIES && cJSON_IsNumber(Value) && Value->valuedouble >= 0 &&
            Value->valuedouble < 0x1p52) {
            Counts[Index] = (uint64_t)Value->valuedouble;
            Total += Counts[Index];
        }
        Index += 1;
    }
    TablespPutList("Standby", Total, Text);
    for (Index = 0; Index < STANDBY_PRIORITIES; Index += 1) {
        char Name[32] = "  Priority 0";

        Name[strlen(Name) - 1] = (char)('0' + Index);
        TablespPutList(Name, Counts[Index], Text);
    }
}

void
TablesRenderPages(const cJSON *Report, TEXT *Text)
{
    const cJSON *Pages = JsonMember(Report, "pages");

    if (JsonCount(Pages, "total") == 0) {
        return;
    }
    TextPut(Text, "\nPage lists                     Pages         Size\n");
    TablespPutList("Active", JsonCount(Pages, "active"), Text);
    TablespPutList("Transition", JsonCount(Pages, "transition"), Text);
    TablespPutStandby(Pages, Text);
    TablespPutList("Modified", JsonCount(Pages, "modified"), Text);
    TablespPutList("Modified no write", JsonCount(Pages, "modified_no_write"), Text);
    TablespPutList("Free", JsonCount(Pages, "free"), Text);
    TablespPutList("Zeroed", JsonCount(Pages, "zeroed"), Text);
    TablespPutList("Zeroed, never touched", JsonCount(Pages, "virgin"), Text);
    TablespPutList("Bad", JsonCount(Pages, "bad"), Text);
    TablespPutList("Total", JsonCount(Pages, "total"), Text);
}

/* The columns of the matrix, as in the report and as shown. */
static const struct {
    const char *Key;
    const char *Title;
    int Width;
} UseColumns[] = {
    {"active", "Active", 10},
    {"standby", "Standby", 10},
    {"modified", "Modified", 10},
    {"transition", "Transition", 12},
    {"zeroed", "Zeroed", 11},
    {"free", "Free", 10},
    {"bad", "Bad", 7},
};

#define USE_COLUMN_COUNT (sizeof(UseColumns) / sizeof(UseColumns[0]))

/*
 * One row of the matrix with its sum, unless it is zero.
 */
static void
TablespPutUse(const char *Name, const uint64_t *Counts, TEXT *Text)
{
    uint64_t Total = 0;
    size_t Column;

    for (Column = 0; Column < USE_COLUMN_COUNT; Column += 1) {
        Total += Counts[Column];
    }
    if (Total == 0) {
        return;
    }
    TextPut(Text, "  ");
    TablespPutName(Name, 16, Text);
    for (Column = 0; Column < USE_COLUMN_COUNT; Column += 1) {
        TablespPutNumber(Counts[Column], (size_t)UseColumns[Column].Width, Text);
    }
    TablespPutNumber(Total, 11, Text);
    TextPut(Text, "\n");
}

void
TablesRenderPageUse(const cJSON *Report, TEXT *Text)
{
    const cJSON *Rows = JsonMember(Report, "page_use");
    uint64_t Sums[USE_COLUMN_COUNT] = {0};
    const cJSON *Row;
    size_t Column;

    if (cJSON_GetArraySize(Rows) == 0) {
        return;
    }
    TextPut(Text, "\nUse of pages      ");
    for (Column = 0; Column < USE_COLUMN_COUNT; Column += 1) {
        TextPrint(Text, "%*s", UseColumns[Column].Width, UseColumns[Column].Title);
    }
    TextPut(Text, "      Total\n");
    cJSON_ArrayForEach(Row, Rows) {
        uint64_t Counts[USE_COLUMN_COUNT];

        for (Column = 0; Column < USE_COLUMN_COUNT; Column += 1) {
            Counts[Column] = JsonCount(Row, UseColumns[Column].Key);
            Sums[Column] += Counts[Column];
        }
        TablespPutUse(JsonString(Row, "use", "?"), Counts, Text);
    }
    TablespPutUse("Total", Sums, Text);
}

void
TablesRenderCounters(const cJSON *Report, TEXT *Text)
{
    const cJSON *Commit = JsonMember(Report, "commit");
    const cJSON *Faults = JsonMember(Report, "faults");
    const cJSON *Time = JsonMember(Report, "time");

    if (cJSON_IsObject(Commit)) {
        TextPut(Text, "\nCommit  ");
        TablesRenderSize(JsonCount(Commit, "charge") * PAGE_SIZE_IN_BYTES, Text);
        TextPut(Text, " charged, ");
        TablesRenderSize(JsonCount(Commit, "peak") * PAGE_SIZE_IN_BYTES, Text);
        TextPut(Text, " at the peak, limit ");
        TablesRenderSize(JsonCount(Commit, "limit") * PAGE_SIZE_IN_BYTES, Text);
        TextPut(Text, "\n");
    }
    if (cJSON_IsObject(Faults)) {
        TextPrint(Text, "Faults  %llu: %llu demand zero, %llu transition\n",
                  (unsigned long long)JsonCount(Faults, "total"),
                  (unsigned long long)JsonCount(Faults, "demand_zero"),
                  (unsigned long long)JsonCount(Faults, "transition"));
    }
    if (cJSON_IsObject(Time)) {
        uint64_t TimeInUs = JsonCount(Time, "virtual_ns") / 1000;

        TextPrint(Text, "Time    %llu.%03llu ms on the machine's clock\n",
                  (unsigned long long)(TimeInUs / 1000), (unsigned long long)(TimeInUs % 1000));
    }
}
