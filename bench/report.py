#!/usr/bin/env python3
"""Tables from what run.sh gathered: report.py TARGETS FOLDER."""
import collections
import glob
import os
import re
import sys

Target = collections.namedtuple("Target", "aim aim_ns best best_count best_ns")


def read_targets(path):
    """(group, row) -> Target, in the order of the file."""
    targets = {}
    for line in open(path):
        if not line.startswith("#"):
            group, row, *rest = line.rstrip("\n").split("\t")
            targets[group, row] = Target(*rest)
    return targets


def read_lines(pattern):
    """(group, row, who) -> figures, one for each file that has it."""
    figures = collections.defaultdict(list)
    for path in sorted(glob.glob(pattern)):
        for line in open(path):
            group, row, who, figure = line.rstrip("\n").split("\t")
            figures[group, row, who].append(float(figure))
    return figures


def read_callgrind(path):
    """[(group, row, who, operations, {function: instructions})] of the dumps in one file."""
    rows, names, function, callee = [], {}, None, False
    for line in open(path, errors="replace"):
        if line.startswith("desc: Trigger: "):
            label = line.rstrip("\n").split(": ", 3)
            rows.append((label[3] if len(label) == 4 else "", collections.Counter()))
            function = None
            continue
        name = re.match(r"(c?fn)=\((\d+)\)(?: (.*))?$", line)
        if name:
            if name[3]:
                names[name[2]] = name[3].split(".constprop")[0].split(".part")[0]
            if name[1] == "fn":
                function = name[2]
        elif line.startswith("calls="):
            callee = True
        elif rows and function and line[0] in "+-*0123456789":
            if not callee:
                rows[-1][1][function] += int(line.split()[-1])
            callee = False
    result = []
    for label, costs in rows:
        parts = label.split("\t")
        if len(parts) == 4:
            by_name = collections.Counter()
            for function, cost in costs.items():
                by_name[names[function]] += cost
            result.append((parts[0], parts[1], parts[2], int(parts[3]), by_name))
    return result


def ratio(ours, reference):
    return "%.2f" % (ours / reference) if ours and reference else "-"


def number(text):
    return None if text == "-" else float(text)


def show(headings, rows):
    widths = [max(len(str(row[i])) for row in [headings] + rows) for i in range(len(headings))]
    for row in [headings, ["-" * width for width in widths]] + rows:
        print("| " + " | ".join(str(cell).ljust(width) for cell, width in zip(row, widths)) + " |")
    print()


def count_tables(folder, targets):
    counts, functions = {}, {}
    for path in sorted(glob.glob(os.path.join(folder, "count.*"))):
        if path.endswith(".log"):
            continue
        for group, row, who, operations, costs in read_callgrind(path):
            counts[group, row, who] = sum(costs.values()) / operations
            if who == "ntmm":
                functions[group, row] = (operations, costs)
    if not counts:
        return
    peers = sorted({who for _, _, who in counts} - {"ntmm"}, key=["glibc", "mimalloc", "jemalloc", "tcmalloc"].index)
    for title, group in (("Page frames", "frames"), ("Pools", "pools")):
        print("%s: instructions per operation, loop included\n" % title)
        rows = []
        here = peers if group == "pools" else []
        for (of, row), target in targets.items():
            ours = counts.get((of, row, "ntmm"))
            if of != group or ours is None:
                continue
            verified = counts.get((group + ", verified", row, "ntmm"))
            cells = [row, "%.1f" % ours, target.aim, ratio(ours, number(target.aim)),
                     "%s %s" % (target.best, target.best_count), ratio(ours, number(target.best_count))]
            if group == "pools":
                cells.append("%.1f" % verified if verified else "-")
            cells += ["%.0f" % counts[group, row, peer] if (group, row, peer) in counts else "-" for peer in here]
            rows.append(cells)
        show(["row", "ntmm", "aim", "of aim", "best published", "of it"] +
             (["verifier on"] if group == "pools" else []) + ["%s here" % peer for peer in here], rows)
    print("Where the instructions go, rows that miss their aim\n")
    for (group, row), (operations, costs) in functions.items():
        target = targets.get((group, row))
        total = sum(costs.values()) / operations
        if target and number(target.aim) and total > number(target.aim):
            parts = ["%s %.0f" % (name, cost / operations) for name, cost in costs.most_common(12)
                     if cost / operations >= 0.5]
            print("* %s: %s" % (row, ", ".join(parts)))
    print()


def time_tables(folder, targets):
    figures = read_lines(os.path.join(folder, "time.*"))
    if not figures:
        return
    peers = [who for who in ("glibc", "mimalloc", "jemalloc", "tcmalloc")
             if any(key[2] == who for key in figures)]
    print("Page frames: ns\n")
    one = figures["frames", "hot get/put pair", "ntmm"][0]
    rows = [[row, "%.1f" % figures["frames", row, "ntmm"][0]]
            for of, row in targets if of == "frames" and ("frames", row, "ntmm") in figures]
    show(["row", "ntmm"], rows)
    print("Two processors at once against one: %s (aim 1.00)\n"
          % ratio(figures["frames", "hot pair, two processors", "ntmm"][0], one))
    print("Pools: ns per pair; in brackets ntmm's time over the peer's in the same process\n")
    runs = {peer: read_lines(os.path.join(folder, "time." + peer)) for peer in peers}
    rows = []
    for of, row in targets:
        if of != "pools":
            continue
        ours = min(runs[peer]["pools", row, "ntmm"][0] for peer in peers)
        verified = figures.get(("pools, verified", row, "ntmm"))
        cells = [row, "%.1f" % ours, "%.1f" % verified[0] if verified else "-"]
        for peer in peers:
            theirs = runs[peer]["pools", row, peer][0]
            cells.append("%.1f (%s)" % (theirs, ratio(runs[peer]["pools", row, "ntmm"][0], theirs)))
        rows.append(cells)
    show(["row", "ntmm", "verifier on"] + peers, rows)


def waste_table(folder, targets):
    figures = read_lines(os.path.join(folder, "waste.*"))
    peers = [who for who in ("glibc", "mimalloc", "jemalloc", "tcmalloc") if any(key[2] == who for key in figures)]
    if figures:
        print("Waste: bytes for each object beyond those asked for; 16 are the header that the interface wants\n")
        rows = []
        for of, row in targets:
            if of == "waste":
                rows.append([row, "%.1f" % figures[of, row, "ntmm"][0], targets[of, row].aim] +
                            ["%.1f" % figures[of, row, peer][0] for peer in peers])
        show(["size", "ntmm", "aim"] + peers, rows)


def boot_table(folder):
    path = os.path.join(folder, "boot")
    if os.path.exists(path):
        print("RAM touched at start, hosted machine (frame records included)\n")
        rows = []
        for (_, memory, _), figure in read_lines(path).items():
            size = int(memory[:-1]) << {"M": 20, "G": 30, "T": 40}[memory[-1]]
            rows.append([memory, "%d KB" % (figure[0] / 1024), "%.4f %%" % (100 * figure[0] / size), "2 %"])
        show(["memory", "touched", "of it", "aim"], rows)


def main():
    targets = read_targets(sys.argv[1])
    count_tables(sys.argv[2], targets)
    time_tables(sys.argv[2], targets)
    waste_table(sys.argv[2], targets)
    boot_table(sys.argv[2])


if __name__ == "__main__":
    main()
