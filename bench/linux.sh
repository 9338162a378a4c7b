#!/bin/sh
# The Linux column: Debian's kernel doing what the rows of kernel.c do, in the same QEMU, counted the same way.
#   linux.sh FOLDER      (apt-get is asked for the kernel's package, which stays in FOLDER)
# Prints lines "group <tab> row <tab> Linux <tab> figure". The kernel's costly defences are off, as ours has none of them.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
cd "$folder"

if ! ls root/boot/vmlinuz-* > /dev/null 2>&1; then
    package=$(apt-cache depends linux-image-cloud-amd64 | awk '$1 == "Depends:" { print $2; exit }')
    apt-get download "${package:-linux-image-cloud-amd64}" > apt.log 2>&1 || { cat apt.log >&2; exit 1; }
    dpkg-deb -x linux-image-*.deb root
    rm -f linux-image-*.deb
fi
kernel=$(ls root/boot/vmlinuz-* | sort -V | tail -1)
gcc -O2 -static -Wall -Wextra -Werror -o init "$here/linuxinit.c"

# One file, /init, as an archive in cpio's newc form.
python3 - init > initrd << 'END'
import sys

def member(name, mode, data):
    name = name.encode() + b"\0"
    head = b"070701" + b"".join(b"%08X" % field for field in
                                (1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0))
    pad = lambda text: text + b"\0" * (-len(text) % 4)
    return pad(head + name) + pad(data)

sys.stdout.buffer.write(member("init", 0o100755, open(sys.argv[1], "rb").read()) + member("TRAILER!!!", 0, b""))
END

qemu-system-x86_64 -machine q35 -accel tcg,thread=single -icount shift=0,sleep=off -seed 1 -cpu qemu64 -m 1G -smp 1 \
    -rtc base=2020-01-01,clock=vm -display none -nodefaults -no-user-config -no-reboot -serial stdio \
    -kernel "$kernel" -initrd initrd -append "console=ttyS0 quiet panic=-1 nokaslr norandmaps mitigations=off init_on_alloc=0 \
randomize_kstack_offset=off random.trust_cpu=off cgroup_disable=memory" < /dev/null > log 2>&1
tr -d '\r' < log | grep -a "$(printf '\tLinux\t')" || { cat log >&2; exit 1; }
