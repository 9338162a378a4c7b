#!/bin/sh
# Every test; `make check` calls this when the ordinary build is done. BUILD: the build folder; JOBS: how many at once;
# T: only the test files whose path contains this word, or, if none does, the kernel tests that match it.
#
# Builds two more trees first: $BUILD/san, the hosted machine and its kernel tests under AddressSanitizer and
# UndefinedBehaviorSanitizer, and $BUILD/tsan, the tests on real threads under ThreadSanitizer. Then prove has the word,
# and the last. Exit status 0 only if all is well.
set -eu
Top=$(cd "$(dirname "$0")/.." && pwd)
: "${JOBS:=$(nproc 2> /dev/null || echo 2)}" "${T:=}" "${BUILD:=$Top/build}"
mkdir -p "$BUILD"
BUILD=$(cd "$BUILD" && pwd)
export BUILD JOBS T
export NTMM="$BUILD/ntmm" HOSTED_TESTS="$BUILD/hosted-tests"
export KERNEL_TESTS_AMD64="$BUILD/kernel-tests-amd64" NTMM_AMD64="$BUILD/ntmm-amd64" SAMPLE="$BUILD/samples/hello.sys"

perl "$Top/tools/layers.pl"

# tree FOLDER OPTION TARGET...: a build tree by clang with this option, up to these targets.
tree() {
    Tree=$1 Option=$2
    shift 2
    [ -f "$Tree/build.ninja" ] || cmake -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang-14 \
        "-D$Option=ON" -S "$Top" -B "$Tree" --log-level=WARNING > "$Tree.log" 2>&1 || { cat "$Tree.log"; exit 1; }
    ninja -C "$Tree" -j "$JOBS" --quiet "$@"
}

# The files to run.
Tests=$(find "$Top/test" -name '*.t' | sort)
if [ -n "$T" ]; then
    Chosen=$(echo "$Tests" | grep -F -- "$T" || true)
    [ -z "$Chosen" ] || unset T
    Tests=${Chosen:-$Top/test/hosted/kernel.t}
fi

mkdir -p "$BUILD/san" "$BUILD/tsan"
case $Tests in
*/test/drivers/* | */hosted/kernel.t*) tree "$BUILD/san" NTMM_SANITIZE kernel-tests ntmm-hosted ;;
esac
case $Tests in
*/test/threads/*) tree "$BUILD/tsan" NTMM_TSAN threads-tests threads-pool ;;
esac

cd "$Top"
# shellcheck disable=SC2086
exec prove --timer -j "$JOBS" -I test/cli -I test/drivers $(echo "$Tests" | sed "s|^$Top/||")
