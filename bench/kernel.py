#!/usr/bin/env python3
"""Tables of the benchmark kernel.

kernel.py table TARGETS FOLDER         from FOLDER/kernel.* and, if it is there, FOLDER/linux
kernel.py where KERNEL ROW [WORD...]   where a row's instructions go, by function
"""
import bisect
import collections
import os
import subprocess
import sys

import report  # beside this file

HERE = os.path.dirname(os.path.abspath(__file__))
GROUPS = (("frames", "Page frames"), ("pools", "Pools, per pair"), ("memory", "Paged pool, mappings, the boundary"),
          ("flushes", "Flushes"))


def read(path, suffix=""):
    """(group, row) -> figure."""
    figures = {}
    if os.path.exists(path):
        for line in open(path):
            fields = line.rstrip("\n").split("\t")
            if len(fields) >= 4:
                figures[fields[0].replace(", verified", ""), fields[1] + suffix] = float(fields[3])
    return figures


def table(targets_path, folder):
    targets = report.read_targets(targets_path)
    plain = read(os.path.join(folder, "kernel.plain"))
    verified = read(os.path.join(folder, "kernel.verified"))
    for figures, name in ((plain, "kernel.plain2"), (verified, "kernel.verified2")):
        figures.update((key, figure) for key, figure in read(os.path.join(folder, name), ", two processors").items())
    linux = read(os.path.join(folder, "linux"))
    plain = plain or verified
    for group, title in GROUPS:
        rows = []
        for (of, row), target in targets.items():
            ours = plain.get((of, row))
            if of != group or ours is None:
                continue
            here = linux.get((of, row))
            rows.append([row, "%.1f" % ours, target.aim, report.ratio(ours, report.number(target.aim)),
                         "%s %s" % (target.best, target.best_count),
                         report.ratio(ours, report.number(target.best_count)),
                         "%.1f" % verified[of, row] if (of, row) in verified else "-"] +
                        (["%.0f" % here if here else "-"] if linux else []))
        if rows:
            print("%s: guest instructions per operation, loop included\n" % title)
            report.show(["row", "ntmm", "aim", "of aim", "best published", "of it", "verifier on"] +
                        (["Linux here"] if linux else []), rows)


def read_symbols(kernel):
    """Addresses and names of functions, in ascending order."""
    found = []
    for line in subprocess.run(["nm", "-n", kernel], check=True, capture_output=True, text=True).stdout.splitlines():
        address, kind, name = line.split(None, 2)
        if kind in "tT":
            found.append((int(address, 16), name.split(".constprop")[0].split(".part")[0]))
    return [address for address, _ in found], [name for _, name in found]


def where(kernel, row, words):
    """Step the row's second run through QEMU one instruction a block, and count by function."""
    addresses, names = read_symbols(kernel)
    clock = addresses[names.index("BenchClock")]
    command = [os.path.join(HERE, "kernel.sh"), kernel, "1", "test=" + row.replace(" ", "."), *words, "--", "-singlestep",
               "-d", "exec,nochain"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1 << 20)
    passed, counts = 0, collections.Counter()
    for line in run.stderr:
        if not line.startswith("Trace"):
            continue
        address = int(line.split("/", 2)[1], 16)
        if address == clock:
            passed += 1
        if passed == 3:
            counts[address] += 1
    figure = run.stdout.read().rstrip("\n").split("\t")
    if run.wait() != 0 or passed != 4:
        sys.exit("kernel.py: there is no row '%s'" % row)
    by_name = collections.Counter()
    for address, count in counts.items():
        by_name[names[bisect.bisect_right(addresses, address) - 1]] += count
    operations = int(figure[4])
    print("%s: %s" % (row, figure[3]))
    for name, count in by_name.most_common():
        if count / operations >= 0.5:
            print("  %8.1f  %s" % (count / operations, name))


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "table":
        table(sys.argv[2], sys.argv[3])
    elif len(sys.argv) >= 4 and sys.argv[1] == "where":
        where(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        sys.exit(__doc__)
