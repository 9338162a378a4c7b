#!/bin/sh
# Stress in QEMU: SECONDS of it on each number of processors in PROCESSORS, by KERNEL; then the same with a shootdown forgotten,
# which must be found. Prints what was done; status 0 only if all is well. `make stress` calls it.
set -eu
: "${KERNEL:?names the test kernel}" "${SECONDS_EACH:=60}" "${PROCESSORS:=1 2 4}" "${ACCEL:=tcg}"
report=$(mktemp)
trap 'rm -f "$report"' EXIT

# run PROCESSORS TEST: the status of the machine
run() {
    status=0
    timeout $((SECONDS_EACH * 4 + 300)) qemu-system-x86_64 -machine q35 -accel "$ACCEL" -cpu max -m 512M -smp "$1" -display none \
        -nodefaults -no-reboot -serial stdio -serial "file:$report" -device isa-debug-exit,iobase=0xf4,iosize=0x04 \
        -kernel "$KERNEL" -append "test=$2 seed=$(date +%s)" || status=$?
    return $((status == 33 ? 0 : status == 35 ? 1 : 5))
}

for count in $PROCESSORS; do
    echo "# stress: $SECONDS_EACH s on $count processors"
    run "$count" "Stress=$SECONDS_EACH" || { echo "stress: failed on $count processors"; exit 1; }
done
echo "# stress: two processors, with shootdowns that are forgotten"
status=0
run 2 Stress=60,forget || status=$?
[ $status = 1 ] || { echo "stress: a missing shootdown was not found"; exit 1; }
echo "# stress: found, as it must be"
