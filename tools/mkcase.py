#!/usr/bin/env python3
"""Write rtl/casetab.h: the simple case mappings of the Basic Multilingual Plane as ranges.

Only pairs that map back to each other count, so that upper and lower case are inverse; the source is
the Unicode data of the Python that runs this.
"""
import unicodedata


def pairs():
    for code in range(0x80, 0x10000):
        if 0xD800 <= code < 0xE000:
            continue
        lower = chr(code)
        upper = lower.upper()
        if len(upper) == 1 and upper != lower and ord(upper) < 0x10000 and upper.lower() == lower:
            yield code, ord(upper)


def ranges(items):
    """Join mappings with one distance whose sources are 1 or 2 apart."""
    out = []
    for source, target in items:
        delta = target - source
        if out:
            last = out[-1]
            gap = source - last[1]
            if delta == last[3] and gap in (1, 2) and last[2] in (0, gap):
                last[1], last[2] = source, gap
                continue
        out.append([source, source, 0, delta])
    return out


def table(name, items):
    print(f"static const RTLP_CASE_RANGE {name}[] = {{")
    for first, last, step, delta in ranges(items):
        print(f"    {{0x{first:04X}, 0x{last:04X}, {step or 1}, {delta}}},")
    print("};\n")


both = list(pairs())
print("/*")
print(" * casetab.h - simple case mappings, written by tools/mkcase.py from Unicode "
      f"{unicodedata.unidata_version}.")
print(" */")
print("#ifndef NTMM_RTL_CASETAB_H\n#define NTMM_RTL_CASETAB_H\n")
print("#include <ntdef.h>\n")
print("/* Each Step-th unit from First to Last maps to itself plus Delta. Sorted. */")
print("typedef struct _RTLP_CASE_RANGE {\n    USHORT First;\n    USHORT Last;\n    USHORT Step;"
      "\n    LONG Delta;\n} RTLP_CASE_RANGE;\n")
table("RtlpUpperRanges", both)
table("RtlpLowerRanges", sorted((upper, lower) for lower, upper in both))
print("#endif")
