/*
 * search.c - where programs are.
 */
#include "search.h"

#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "text.h"

char *
SearchPart(const char *Variable, const char *Name)
{
    static const char *const Places[] = {"", "../libexec/ntmm/"};
    const char *Given = getenv(Variable);
    char Own[PATH_MAX];
    ssize_t Length;
    size_t Index;

    if (Given != NULL && *Given != 0) {
        return strdup(Given);
    }
    Length = readlink("/proc/self/exe", Own, sizeof(Own) - 1);
    if (Length < 0) {
        return NULL;
    }
    Own[Length] = 0;
    (void)dirname(Own);
    for (Index = 0; Index < sizeof(Places) / sizeof(Places[0]); Index += 1) {
        TEXT Path = {0};

        TextPrint(&Path, "%s/%s%s", Own, Places[Index], Name);
        if (access(Path.Data, R_OK) == 0) {
            return Path.Data;
        }
        TextFree(&Path);
    }
    return NULL;
}

char *
SearchProgram(const char *Name)
{
    const char *Folder = getenv("PATH");

    Folder = Folder == NULL ? "/usr/bin:/bin" : Folder;
    for (;;) {
        size_t Length = strcspn(Folder, ":");
        TEXT Candidate = {0};

        TextPrint(&Candidate, "%.*s/%s", (int)Length, Folder, Name);
        if (Length != 0 && access(Candidate.Data, X_OK) == 0) {
            return Candidate.Data;
        }
        TextFree(&Candidate);
        if (Folder[Length] == 0) {
            return NULL;
        }
        Folder += Length + 1;
    }
}
