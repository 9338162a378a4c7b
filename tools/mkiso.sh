#!/bin/sh
# mkiso.sh KERNEL ISO [DRIVER...]: a CD image that GRUB boots on a PC with a BIOS. The kernel shows the memory map and the
# report on the first serial port. With one driver it runs that. With several there is a menu, on the serial port too, in which
# 1 to 9 choose: a run has a machine of its own, here as everywhere. Without any the kernel says that it has none.
set -eu
[ $# -ge 2 ] || { echo "usage: mkiso.sh KERNEL ISO [DRIVER...]" >&2; exit 2; }
kernel=$1 iso=$2
shift 2
for tool in grub-mkrescue xorriso; do
    command -v $tool > /dev/null || { echo "mkiso: $tool is missing; install grub-common, grub-pc-bin and xorriso" >&2; exit 1; }
done
tree=$(mktemp -d)
log=$tree.log
trap 'rm -rf "$tree" "$log"' EXIT
mkdir -p "$tree/boot/grub"
cp "$kernel" "$tree/boot/ntmm"
config=$tree/boot/grub/grub.cfg
cat > "$config" << END
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=$([ $# -gt 1 ] && echo 5 || echo 0)
END
# entry TITLE HOTKEY [FILE]
entry() {
    printf 'menuentry "%s" --hotkey=%s {\n    multiboot2 /boot/ntmm show=serial\n' "$1" "$2"
    [ $# -lt 3 ] || printf '    module2 /boot/%s %s\n' "$3" "$3"
    printf '}\n'
} >> "$config"
number=0
for driver; do
    number=$((number + 1))
    name=$(basename "$driver" | tr ' "' '__')
    [ ! -e "$tree/boot/$name" ] || { echo "mkiso: two drivers are called $name" >&2; exit 1; }
    cp "$driver" "$tree/boot/$name"
    entry "$name" $number "$name"
done
[ $number != 0 ] || entry "no driver" 1
grub-mkrescue -o "$iso" "$tree" > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
