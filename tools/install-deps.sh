#!/bin/sh
# Install the Debian packages that building and testing need, if any is missing. Prints nothing when
# all are there. As root, or through sudo without a password; otherwise says what to install.
set -u
packages="gcc libc6-dev make cmake ninja-build pkg-config perl python3
clang-14 libclang-rt-14-dev llvm-14 clang-19 lld-19
gcc-mingw-w64-x86-64-win32 mingw-w64-x86-64-dev
libzydis-dev libseccomp-dev libcjson-dev qemu-system-x86 grub-common grub-pc-bin xorriso"
missing=
for p in $packages; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
command -v apt-get > /dev/null || { echo "ntmm: needs these (Debian's names):$missing" >&2; exit 1; }
run=
if [ "$(id -u)" != 0 ]; then
    sudo -n true 2> /dev/null || { echo "ntmm: as root, run: apt-get install$missing" >&2; exit 1; }
    run="sudo -n"
fi
echo "installing:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
install() { $run apt-get install -y -q --no-install-recommends $missing > "$log" 2>&1; }
install || { $run apt-get update -q > /dev/null 2>&1; install; } ||
    { tail -5 "$log" >&2; echo "ntmm: could not install:$missing" >&2; rm -f "$log"; exit 1; }
rm -f "$log"
