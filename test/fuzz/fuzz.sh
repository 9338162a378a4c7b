#!/bin/sh
# Fuzz the reader of .reg files, then the PE loader: fuzz.sh [SECONDS], for each. Builds into $BUILD/fuzz (build/fuzz); the corpus there grows
# from run to run, a crashing input stays there as crash-*. Exit status 0: nothing found.
set -eu
Top=$(cd "$(dirname "$0")/../.." && pwd)
Build=${BUILD:-$Top/build}/fuzz
Seconds=${1:-${SECONDS_TO_FUZZ:-60}}
Clang=${CLANG:-clang-14}
mkdir -p "$Build/seeds" "$Build/corpus"
Flags="-std=gnu17 -g -O1 -ffreestanding -fshort-wchar -mno-red-zone -fno-omit-frame-pointer
    -fno-strict-aliasing -Wall -Wextra -Werror -Wno-unused-parameter -DNTMM_SANITIZED
    -I$Top/include -I$Top -I$Top/hal/hosted/include
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-sanitize=function"
# build NAME SOURCE...
build() {
    Name=$1
    Objects=
    shift
    for Source; do
        Object=$Build/$(echo "$Source" | tr / _).o
        "$Clang" $Flags -c "$Top/$Source" -o "$Object"
        Objects="$Objects $Object"
    done
    "$Clang" -g -fsanitize=fuzzer,address,undefined $Objects -o "$Build/$Name"
}
build fuzzreg cm/regfile.c test/fuzz/fuzzreg.c
build fuzzpe ldr/pe.c ldr/pedir.c rtl/unwind.c test/fuzz/fuzzpe.c
python3 "$Top/test/fuzz/mkseeds.py" "$Build/seeds"
cd "$Build"
mkdir -p regcorpus regseeds
printf 'Windows Registry Editor Version 5.00\r\n\r\n[Parameters]\r\n"A"="b\\"c"\r\n"B"=dword:12\n"C"=hex(7):00,\\\n 11\n@=-\n[-x]\n; c\n' \
    > regseeds/plain
(printf '\377\376'; iconv -f UTF-8 -t UTF-16LE regseeds/plain) > regseeds/wide
./fuzzreg -max_total_time="$Seconds" -timeout=10 -rss_limit_mb=2048 -max_len=4096 regcorpus regseeds
exec ./fuzzpe -max_total_time="$Seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 corpus seeds
