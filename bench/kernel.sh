#!/bin/sh
# Boot the benchmark kernel in QEMU so that its time-stamp counter counts guest instructions, and print what it prints.
#   kernel.sh KERNEL PROCESSORS [WORD...] [-- QEMU OPTION...]
# Words are the kernel's: test=ROW (dots for blanks), no-verify. Two runs give the same figures. The processor is one without
# fast string instructions, so that clearing a page counts 512 repetitions, as for the Linux column.
set -eu
kernel=$1 processors=$2
shift 2
words=
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    words="$words $1"
    shift
done
[ $# -eq 0 ] || shift
status=0
qemu-system-x86_64 -machine q35 -accel tcg,thread=single -icount shift=0,sleep=off -seed 1 -cpu qemu64 -m 1G \
    -smp "$processors" -rtc base=2020-01-01,clock=vm -display none -nodefaults -no-user-config -no-reboot \
    -serial stdio -serial null -device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$kernel" -append "seed=1$words" "$@" \
    < /dev/null || status=$?
# (0 + 16) << 1 | 1: the kernel's own status is 0.
[ $status -eq 33 ]
