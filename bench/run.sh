#!/bin/sh
# Run the benchmarks and print the tables: bench/README.md says what they mean.
#   BUILD   build directory (default build)
#   ONLY    some of "time count waste boot kernel" (default all), and "linux", which takes the Linux column (linux.sh)
# Other allocators take part if Debian's packages are installed, instructions are counted if valgrind is:
#   apt-get install valgrind libmimalloc2.0 libjemalloc2 libtcmalloc-minimal4
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-build}
only=${ONLY:-time count waste boot kernel}
out=$build/bench/figures
program=$build/bench-threads
mkdir -p "$out"
rm -f "$out"/*

wants() { case " $only " in *" $1 "*) true ;; *) false ;; esac; }

# Addresses are part of what is measured (hash collisions, cache sets): keep them the same in every run.
fixed=
setarch -R true 2> /dev/null && fixed='setarch -R'

library() {
    case $1 in
    glibc) echo none ;;
    mimalloc) name=libmimalloc.so.2 ;;
    jemalloc) name=libjemalloc.so.2 ;;
    tcmalloc) name=libtcmalloc_minimal.so.4 ;;
    esac
    [ "$1" = glibc ] || ldconfig -p 2> /dev/null | awk -v name="$name" '$1 == name { print $NF; exit }'
}

# peer, then the command: with that malloc in it
with() {
    peer=$1
    path=$(library "$peer")
    shift
    if [ "$path" = none ]; then
        BENCH_PEER=$peer "$@"
    else
        BENCH_PEER=$peer LD_PRELOAD=$path "$@"
    fi
}

peers=
for peer in glibc mimalloc jemalloc tcmalloc; do
    if [ -n "$(library $peer)" ]; then peers="$peers $peer"; else echo "# $peer is not installed"; fi
done

for peer in $peers; do
    if wants time; then
        with "$peer" $fixed "$program" time > "$out/time.$peer"
    fi
    if wants waste; then
        for size in 16 64 100 1000 5000; do
            with "$peer" $fixed "$program" waste $size >> "$out/waste.$peer"
        done
    fi
done
if wants time; then
    $fixed "$program" time --verify > "$out/time.verify"
fi

count() { # file, peer, options
    file=$1
    peer=$2
    shift 2
    with "$peer" $fixed valgrind --tool=callgrind --collect-atstart=no --combine-dumps=yes \
        --callgrind-out-file="$out/$file" "$program" count "$@" > "$out/$file.log" 2>&1 ||
        { cat "$out/$file.log"; exit 1; }
}

if wants count; then
    if command -v valgrind > /dev/null; then
        for peer in $peers; do count "count.$peer" "$peer"; done
        count count.verify glibc --verify
    else
        echo "# valgrind is not installed: no instructions are counted"
    fi
fi

# RAM that start-up touches: blocks of the memory file while a driver spins.
boot() {
    "$build/ntmm" run --quiet --memory "$1" --timeout 2s "$build/bench/spin.sys" > /dev/null 2>&1 &
    supervisor=$!
    sleep 1
    for child in $(pgrep -P "$supervisor"); do
        for file in /proc/"$child"/fd/*; do
            case $(readlink "$file") in
            /memfd:ntmm-ram*) echo "boot	$1	ntmm	$(($(stat -L -c %b "$file") * 512))" ;;
            esac
        done
    done
    wait "$supervisor" || true
}

if wants boot; then
    { boot 256M; boot 1T; } > "$out/boot"
fi

if wants kernel; then
    if command -v qemu-system-x86_64 > /dev/null; then
        for words in "verified"; do
            name=${words%% *} words=${words#"$name"}
            # shellcheck disable=SC2086
            "$here/kernel.sh" "$build/bench-amd64" 1 $words > "$out/kernel.$name"
            # shellcheck disable=SC2086
            "$here/kernel.sh" "$build/bench-amd64" 2 $words test=empty.shootdown.of.one.page > "$out/kernel.${name}2"
        done
    else
        echo "# qemu-system-x86_64 is not installed: nothing is counted in the kernel"
    fi
fi
if wants linux; then
    sh "$here/linux.sh" "$build/bench/linux" > "$out/linux"
fi

python3 "$here/report.py" "$here/targets.tsv" "$out"
python3 "$here/kernel.py" table "$here/targets.tsv" "$out"
