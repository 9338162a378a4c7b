/*
 * jsonutil.c - reading a report without trusting it, and printing one.
 *
 * The printer exists because cJSON's writes large whole numbers with exponents and has only the
 * choice between one line and one line per value. A report is read by people too: here an array or
 * object is put on one line if it fits, so that a stack is one frame per line.
 */
#include "jsonutil.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diag.h"

#define LINE_LENGTH 160
#define INDENTATION 2
#define MAXIMUM_DEPTH 32

/*
 * Whether no value is nested deeper than a report ever is. That bounds the recursion of everything
 * that walks a report afterwards. Brackets inside strings do not count.
 */
static bool
JsonpIsShallow(const char *Data, size_t Length)
{
    bool Quoted = false;
    int Depth = 0;
    size_t Index;

    for (Index = 0; Index < Length; Index += 1) {
        char Character = Data[Index];

        if (Quoted) {
            if (Character == '\\') {
                Index += 1;
            } else if (Character == '"') {
                Quoted = false;
            }
        } else if (Character == '"') {
            Quoted = true;
        } else if (Character == '[' || Character == '{') {
            Depth += 1;
            if (Depth > MAXIMUM_DEPTH) {
                return false;
            }
        } else if (Character == ']' || Character == '}') {
            Depth -= 1;
        }
    }
    return true;
}

cJSON *
JsonParse(const char *Data, size_t Length)
{
    const char *End = NULL;
    cJSON *Value;

    if (Length == 0 || !JsonpIsShallow(Data, Length)) {
        return NULL;
    }
    Value = cJSON_ParseWithLengthOpts(Data, Length, &End, 0);
    while (Value != NULL && End < Data + Length) {
        if (!isspace((unsigned char)*End)) {
            cJSON_Delete(Value);
            return NULL;
        }
        End += 1;
    }
    return Value;
}

const cJSON *
JsonMember(const cJSON *Object, const char *Name)
{
    return cJSON_GetObjectItemCaseSensitive(Object, Name);
}

const char *
JsonString(const cJSON *Object, const char *Name, const char *Default)
{
    const char *String = cJSON_GetStringValue(JsonMember(Object, Name));

    return String == NULL ? Default : String;
}

uint64_t
JsonCount(const cJSON *Object, const char *Name)
{
    uint64_t Code;

    return cJSON_IsNumber(JsonMember(Object, Name)) && JsonCode(Object, Name, &Code) ? Code : 0;
}

bool
JsonCode(const cJSON *Object, const char *Name, uint64_t *Code)
{
    const cJSON *Value = JsonMember(Object, Name);
    char *End;

    if (cJSON_IsNumber(Value)) {
        /* The comparison also refuses what is not a number at all. */
        if (!(Value->valuedouble >= 0 && Value->valuedouble < 0x1p64)) {
            return false;
        }
        *Code = (uint64_t)Value->valuedouble;
        return true;
    }
    if (!cJSON_IsString(Value) || strncmp(Value->valuestring, "0x", 2) != 0 ||
        !isxdigit((unsigned char)Value->valuestring[2])) {
        return false;
    }
    *Code = strtoull(Value->valuestring, &End, 16);
    return *End == 0;
}

bool
JsonTrue(const cJSON *Object, const char *Name)
{
    return cJSON_IsTrue(JsonMember(Object, Name));
}

void
JsonSet(cJSON *Object, const char *Name, cJSON *Value)
{
    if (JsonMember(Object, Name) != NULL) {
        cJSON_ReplaceItemInObjectCaseSensitive(Object, Name, Value);
    } else if (!cJSON_AddItemToObject(Object, Name, Value)) {
        DiagOutOfMemory();
    }
}

cJSON *
JsonNew(cJSON *Value)
{
    if (Value == NULL) {
        DiagOutOfMemory();
    }
    return Value;
}

/*
 * The length of the well-formed UTF-8 sequence at Bytes, 0 if there is none.
 */
static size_t
JsonpSequenceLength(const unsigned char *Bytes)
{
    /* The second byte of some sequences is limited further: no overlong forms, no surrogates. */
    unsigned char First = Bytes[0];
    unsigned char Low = First == 0xE0 ? 0xA0 : First == 0xF0 ? 0x90 : 0x80;
    unsigned char High = First == 0xED ? 0x9F : First == 0xF4 ? 0x8F : 0xBF;
    size_t Length = First < 0x80 ? 1 : First < 0xC2 ? 0 : First < 0xE0 ? 2
                  : First < 0xF0 ? 3 : First < 0xF5 ? 4 : 0;
    size_t Index;

    for (Index = 1; Index < Length; Index += 1) {
        if (Bytes[Index] < Low || Bytes[Index] > High) {
            return 0;
        }
        Low = 0x80;
        High = 0xBF;
    }
    return Length;
}

static void
JsonpPrintString(const char *String, TEXT *Text)
{
    const unsigned char *Byte = (const unsigned char *)String;

    TextPut(Text, "\"");
    while (*Byte != 0) {
        size_t Length = JsonpSequenceLength(Byte);

        if (Length == 0) {
            TextPut(Text, "\\ufffd");
            Length = 1;
        } else if (*Byte == '"' || *Byte == '\\') {
            TextPrint(Text, "\\%c", *Byte);
        } else if (*Byte < 0x20 || *Byte == 0x7F) {
            TextPrint(Text, "\\u%04x", *Byte);
        } else {
            TextPutBytes(Text, (const char *)Byte, Length);
        }
        Byte += Length;
    }
    TextPut(Text, "\"");
}

static void
JsonpPrintNumber(double Number, TEXT *Text)
{
    if (Number >= -0x1p63 && Number < 0x1p63 && (double)(int64_t)Number == Number) {
        TextPrint(Text, "%lld", (long long)Number);
    } else if (Number >= 0 && Number < 0x1p64 && (double)(uint64_t)Number == Number) {
        TextPrint(Text, "%llu", (unsigned long long)Number);
    } else if (isfinite(Number)) {
        TextPrint(Text, "%.17g", Number);
    } else {
        TextPut(Text, "null");
    }
}

static void
JsonpPrintValue(const cJSON *Value, TEXT *Text, size_t Depth);

/*
 * Print the members of an array or object, all on one line or each on its own.
 */
static void
JsonpPrintMembers(const cJSON *Value, TEXT *Text, size_t Depth, bool OneLine)
{
    bool Object = cJSON_IsObject(Value);
    const cJSON *Member;

    TextPut(Text, Object ? "{" : "[");
    cJSON_ArrayForEach(Member, Value) {
        if (!OneLine) {
            TextPut(Text, "\n");
            TextFill(Text, ' ', (Depth + 1) * INDENTATION);
        }
        if (Object) {
            JsonpPrintString(Member->string == NULL ? "" : Member->string, Text);
            TextPut(Text, ": ");
        }
        JsonpPrintValue(Member, Text, Depth + 1);
        if (Member->next != NULL) {
            TextPut(Text, OneLine ? ", " : ",");
        }
    }
    if (!OneLine && Value->child != NULL) {
        TextPut(Text, "\n");
        TextFill(Text, ' ', Depth * INDENTATION);
    }
    TextPut(Text, Object ? "}" : "]");
}

/*
 * Whether Value could fit on one line: nothing but plain values inside, and not many.
 */
static bool
JsonpIsFlat(const cJSON *Value)
{
    const cJSON *Member;
    int Count = 0;

    cJSON_ArrayForEach(Member, Value) {
        Count += 1;
        if (Member->child != NULL || Count > LINE_LENGTH / 3) {
            return false;
        }
    }
    return true;
}

static void
JsonpPrintContainer(const cJSON *Value, TEXT *Text, size_t Depth)
{
    size_t Start = Text->Length;

    if (Depth > 0 && JsonpIsFlat(Value)) {
        JsonpPrintMembers(Value, Text, Depth, true);
        if (Text->Length - Start + Depth * INDENTATION <= LINE_LENGTH) {
            return;
        }
        Text->Length = Start;
    }
    JsonpPrintMembers(Value, Text, Depth, false);
}

static void
JsonpPrintValue(const cJSON *Value, TEXT *Text, size_t Depth)
{
    if (cJSON_IsString(Value)) {
        JsonpPrintString(Value->valuestring, Text);
    } else if (cJSON_IsNumber(Value)) {
        JsonpPrintNumber(Value->valuedouble, Text);
    } else if (cJSON_IsRaw(Value)) {
        TextPut(Text, Value->valuestring);
    } else if (cJSON_IsArray(Value) || cJSON_IsObject(Value)) {
        JsonpPrintContainer(Value, Text, Depth);
    } else {
        TextPut(Text, cJSON_IsTrue(Value) ? "true" : cJSON_IsFalse(Value) ? "false" : "null");
    }
}

void
JsonPrint(const cJSON *Value, TEXT *Text)
{
    JsonpPrintValue(Value, Text, 0);
    TextPut(Text, "\n");
}
