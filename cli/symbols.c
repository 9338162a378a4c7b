/*
 * symbols.c - functions and lines for the frames of a report, by llvm-symbolizer.
 *
 * Frames of two files can be resolved: the image itself, and the machine ("ntmm"). The distinct
 * addresses of all frames are sorted and asked in one go; the answers come back one JSON object per
 * line in the same order. A frame holds a return address, so the call is one byte before it.
 *
 * The names are asked for as "short": then they come from debug information or not at all.
 * Otherwise the nearest exported or linker-made symbol would pass for the function, and a stripped
 * image would get names that are wrong.
 *
 * Nothing here is an error: without the tool, or without an answer in time, frames stay as they
 * are.
 */
#include "symbols.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "diag.h"
#include "filter.h"
#include "search.h"

#define LIMIT_IN_MS 5000

/* The files frames can belong to. */
typedef enum _SYMBOL_FILE {
    SymbolFileImage,
    SymbolFileMachine,
    SymbolFileCount
} SYMBOL_FILE;

/* A frame that can be resolved. */
typedef struct _SYMBOL_FRAME {
    SYMBOL_FILE File;
    uint64_t CallOffset; /* from the base of its module, or from 0 */
    cJSON *Frame;
} SYMBOL_FRAME;

typedef struct _SYMBOL_TABLE {
    char *Paths[SymbolFileCount]; /* NULL: this file cannot be asked about */
    bool MachineFixed;            /* the machine runs where it was linked, so its addresses are what to ask about */
    const char *ImageName;
    SYMBOL_FRAME *Frames;
    size_t Count;
    size_t Capacity;
} SYMBOL_TABLE;

/*
 * The path by which to name a file to the symbolizer, owned by the caller. Its input is a line with
 * the path in quotes, without escapes, so some names cannot be said.
 */
static char *
SymbolspNameFile(const char *Path)
{
    char *Real = realpath(Path, NULL);

    if (Real != NULL && strpbrk(Real, "\"\n\r") != NULL) {
        free(Real);
        Real = NULL;
    }
    return Real;
}

/*
 * Find the symbolizer, the newest of several if none is the default. NULL if there is none.
 */
static char *
SymbolspFindTool(void)
{
    static const char *const Names[] = {
        "llvm-symbolizer", "llvm-symbolizer-19", "llvm-symbolizer-18", "llvm-symbolizer-17",
        "llvm-symbolizer-16", "llvm-symbolizer-15", "llvm-symbolizer-14", "llvm-symbolizer-13"
    };
    char *Tool = NULL;
    size_t Index;

    for (Index = 0; Index < sizeof(Names) / sizeof(Names[0]) && Tool == NULL; Index += 1) {
        Tool = SearchProgram(Names[Index]);
    }
    return Tool;
}

/*
 * Give Frame the members that every frame has, and note it if it can be resolved.
 */
static void
SymbolspAddFrame(SYMBOL_TABLE *Table, cJSON *Frame)
{
    const char *Module = JsonString(Frame, "module", "");
    const char *Place = "offset";
    SYMBOL_FILE File;
    uint64_t Offset;

    if (!cJSON_IsObject(Frame)) {
        return;
    }
    JsonSet(Frame, "function", JsonNew(cJSON_CreateNull()));
    JsonSet(Frame, "file", JsonNew(cJSON_CreateNull()));
    JsonSet(Frame, "line", JsonNew(cJSON_CreateNull()));
    JsonSet(Frame, "inlined_into", JsonNew(cJSON_CreateArray()));
    if (strcasecmp(Module, Table->ImageName) == 0) {
        File = SymbolFileImage;
    } else if (strcmp(Module, "ntmm") == 0) {
        File = SymbolFileMachine;
        Place = Table->MachineFixed ? "address" : Place;
    } else {
        return;
    }
    if (Table->Paths[File] == NULL || !JsonCode(Frame, Place, &Offset) || Offset == 0) {
        return;
    }
    if (Table->Count == Table->Capacity) {
        Table->Capacity = Table->Capacity == 0 ? 64 : Table->Capacity * 2;
        Table->Frames = realloc(Table->Frames, Table->Capacity * sizeof(*Table->Frames));
        if (Table->Frames == NULL) {
            DiagOutOfMemory();
        }
    }
    Table->Frames[Table->Count] = (SYMBOL_FRAME){File, Offset - 1, Frame};
    Table->Count += 1;
}

static void
SymbolspAddStack(SYMBOL_TABLE *Table, const cJSON *Owner)
{
    cJSON *Frame;

    cJSON_ArrayForEach(Frame, JsonMember(Owner, "stack")) {
        SymbolspAddFrame(Table, Frame);
    }
}

static int
SymbolspCompare(const void *Left, const void *Right)
{
    const SYMBOL_FRAME *A = Left;
    const SYMBOL_FRAME *B = Right;

    if (A->File != B->File) {
        return A->File < B->File ? -1 : 1;
    }
    return A->CallOffset < B->CallOffset ? -1 : A->CallOffset > B->CallOffset;
}

/*
 * Whether frame Index asks what the frame before it, in sorted order, asks already.
 */
static bool
SymbolspIsRepeated(const SYMBOL_TABLE *Table, size_t Index)
{
    return Index > 0 && SymbolspCompare(&Table->Frames[Index - 1], &Table->Frames[Index]) == 0;
}

/*
 * Set the three members in Target from one entry of an answer.
 */
static void
SymbolspSetPlace(cJSON *Target, const cJSON *Symbol)
{
    const char *Function = JsonString(Symbol, "FunctionName", "");
    const char *File = JsonString(Symbol, "FileName", "");
    uint64_t Line = JsonCount(Symbol, "Line");

    JsonSet(Target, "function",
            JsonNew(*Function == 0 ? cJSON_CreateNull() : cJSON_CreateString(Function)));
    JsonSet(Target, "file", JsonNew(*File == 0 ? cJSON_CreateNull() : cJSON_CreateString(File)));
    JsonSet(Target, "line", JsonNew(Line == 0 ? cJSON_CreateNull()
                                              : cJSON_CreateNumber((double)Line)));
}

/*
 * Give Frame the answer to its question: the innermost function, and those it was inlined into.
 */
static void
SymbolspApply(cJSON *Frame, const cJSON *Answer)
{
    const cJSON *Symbols = JsonMember(Answer, "Symbol");
    const cJSON *Symbol;
    cJSON *Callers;

    if (!cJSON_IsArray(Symbols) || *JsonString(Symbols->child, "FunctionName", "") == 0) {
        return;
    }
    SymbolspSetPlace(Frame, Symbols->child);
    Callers = JsonNew(cJSON_CreateArray());
    for (Symbol = Symbols->child->next; Symbol != NULL; Symbol = Symbol->next) {
        cJSON *Caller = JsonNew(cJSON_CreateObject());

        SymbolspSetPlace(Caller, Symbol);
        cJSON_AddItemToArray(Callers, Caller);
    }
    JsonSet(Frame, "inlined_into", Callers);
}

/*
 * Walk answers and frames side by side. Answers may end early if the time did.
 */
static void
SymbolspApplyAnswers(const SYMBOL_TABLE *Table, const TEXT *Answers)
{
    const char *Line = Answers->Data;
    const char *End = Line + Answers->Length;
    cJSON *Answer = NULL;
    size_t Index;

    for (Index = 0; Index < Table->Count; Index += 1) {
        if (!SymbolspIsRepeated(Table, Index)) {
            const char *LineEnd = memchr(Line, '\n', (size_t)(End - Line));

            cJSON_Delete(Answer);
            Answer = NULL;
            if (LineEnd == NULL) {
                break;
            }
            Answer = JsonParse(Line, (size_t)(LineEnd - Line));
            Line = LineEnd + 1;
        }
        SymbolspApply(Table->Frames[Index].Frame, Answer);
    }
    cJSON_Delete(Answer);
}

/*
 * Ask about all frames of Table and give them the answers.
 */
static void
SymbolspAsk(SYMBOL_TABLE *Table)
{
    char *Tool = SymbolspFindTool();
    char *Arguments[] = {Tool, "--relative-address", "--output-style=JSON", "--functions=short",
                         "--inlines", NULL};
    TEXT Questions = {0};
    TEXT Answers = {0};
    size_t Index;

    if (Tool == NULL) {
        return;
    }
    qsort(Table->Frames, Table->Count, sizeof(*Table->Frames), SymbolspCompare);
    for (Index = 0; Index < Table->Count; Index += 1) {
        const SYMBOL_FRAME *Frame = &Table->Frames[Index];

        if (!SymbolspIsRepeated(Table, Index)) {
            TextPrint(&Questions, "\"%s\" 0x%llx\n", Table->Paths[Frame->File],
                      (unsigned long long)Frame->CallOffset);
        }
    }
    (void)FilterRun(Tool, Arguments, &Questions, LIMIT_IN_MS, &Answers);
    if (Answers.Length != 0) {
        SymbolspApplyAnswers(Table, &Answers);
    }
    TextFree(&Questions);
    TextFree(&Answers);
    free(Tool);
}

static void
SymbolspAddFindings(SYMBOL_TABLE *Table, const cJSON *Owner)
{
    const cJSON *Finding;

    cJSON_ArrayForEach(Finding, JsonMember(Owner, "findings")) {
        SymbolspAddStack(Table, Finding);
    }
}

void
SymbolsResolve(cJSON *Report, const char *ImagePath, const char *MachinePath, bool MachineFixed)
{
    SYMBOL_TABLE Table = {.ImageName = JsonString(Report, "image", ""), .MachineFixed = MachineFixed};
    const cJSON *Member;
    int File;

    Table.Paths[SymbolFileImage] = SymbolspNameFile(ImagePath);
    Table.Paths[SymbolFileMachine] = SymbolspNameFile(MachinePath);
    SymbolspAddStack(&Table, JsonMember(Report, "bugcheck"));
    SymbolspAddStack(&Table, JsonMember(Report, "stop"));
    SymbolspAddStack(&Table, JsonMember(JsonMember(Report, "program"), "exception"));
    cJSON_ArrayForEach(Member, JsonMember(JsonMember(Report, "bugcheck"), "history")) {
        SymbolspAddStack(&Table, Member);
    }
    SymbolspAddFindings(&Table, Report);
    cJSON_ArrayForEach(Member, JsonMember(JsonMember(Report, "fail"), "failures")) {
        SymbolspAddStack(&Table, Member);
    }
    cJSON_ArrayForEach(Member, JsonMember(JsonMember(Report, "fail"), "runs")) {
        SymbolspAddStack(&Table, Member);
        SymbolspAddStack(&Table, JsonMember(Member, "bugcheck"));
        SymbolspAddStack(&Table, JsonMember(Member, "stop"));
        SymbolspAddFindings(&Table, Member);
    }
    if (Table.Count != 0) {
        SymbolspAsk(&Table);
    }
    free(Table.Frames);
    for (File = 0; File < SymbolFileCount; File += 1) {
        free(Table.Paths[File]);
    }
}
