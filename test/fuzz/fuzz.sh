#!/bin/sh
# Fuzz the PE loader: fuzz.sh [SECONDS]. Builds into $BUILD/fuzz (build/fuzz); the corpus there grows
# from run to run, a crashing input stays there as crash-*. Exit status 0: nothing found.
set -eu
Top=$(cd "$(dirname "$0")/../.." && pwd)
Build=${BUILD:-$Top/build}/fuzz
Seconds=${1:-${SECONDS_TO_FUZZ:-60}}
Clang=${CLANG:-clang-14}
mkdir -p "$Build/seeds" "$Build/corpus"
Flags="-std=gnu17 -g -O1 -ffreestanding -fshort-wchar -mno-red-zone -fno-omit-frame-pointer
    -fno-strict-aliasing -Wall -Wextra -Werror -Wno-unused-parameter -DNTMM_SANITIZED
    -I$Top/include -I$Top
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-sanitize=function"
Objects=
for Source in ldr/pe.c ldr/pedir.c rtl/unwind.c test/fuzz/fuzzpe.c; do
    Object=$Build/$(echo "$Source" | tr / _).o
    "$Clang" $Flags -c "$Top/$Source" -o "$Object"
    Objects="$Objects $Object"
done
"$Clang" -g -fsanitize=fuzzer,address,undefined $Objects -o "$Build/fuzzpe"
python3 "$Top/test/fuzz/mkseeds.py" "$Build/seeds"
cd "$Build"
exec ./fuzzpe -max_total_time="$Seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 \
    -print_final_stats=1 corpus seeds
