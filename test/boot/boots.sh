#!/bin/sh
# N boots in a row of KERNEL with DRIVER, on 1, 2 and 4 processors in turn, each with a seed of its own; every one must end with
# status 0. Stops at the first that does not, with its text. `make boots` calls it.
set -eu
: "${KERNEL:?names the kernel}" "${DRIVER:?names a driver}" "${N:=100}" "${ACCEL:=tcg}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
start=$(date +%s)
boot=0
while [ $boot -lt "$N" ]; do
    boot=$((boot + 1))
    case $((boot % 3)) in 0) count=4 ;; 1) count=1 ;; 2) count=2 ;; esac
    status=0
    timeout 300 qemu-system-x86_64 -machine q35 -accel "$ACCEL" -cpu max -m 256M -smp $count -display none -nodefaults -no-reboot \
        -serial "file:$folder/text" -serial "file:$folder/report" -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
        -kernel "$KERNEL" -append "seed=$boot" -initrd "$DRIVER" > "$folder/qemu" 2>&1 || status=$?
    [ $status = 33 ] || {
        cat "$folder/qemu" "$folder/text"
        echo "boots: number $boot, on $count processors, ended with QEMU's status $status"
        exit 1
    }
done
echo "# boots: $N in a row, $(($(date +%s) - start)) s"
