#!/usr/bin/env python3
"""Make the seed corpus of the PE fuzzer: small images of all the kinds that the parser knows.

    mkseeds.py FOLDER

Most are compiled from the sources below by the cross compiler; some are those, damaged on purpose so
that the fuzzer starts near the interesting refusals. Without a cross compiler only the handmade ones
are written.
"""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

PLAIN = r"""
__declspec(dllimport) unsigned long DbgPrint(const char *, ...);
static int Counter = 7;
int *Pointer = &Counter;
int (*Table[3])(int);
static int Twice(int x) { return x * 2; }
int DriverEntry(void *d, void *r) { (void)d; (void)r; Table[0] = Twice; *Pointer += Table[0](3);
                                    DbgPrint("hello %d\n", Counter); return 0; }
"""

FRAMES = r"""
__declspec(dllimport) unsigned long DbgPrint(const char *, ...);
__declspec(dllimport) void *ExAllocatePoolWithTag(int, unsigned long long, unsigned);
double Global;
__attribute__((noinline)) double Floats(double a, double b, int n) {
  double c = a; while (n--) { c = c * b + a; DbgPrint("x"); } return c + Global; }
__attribute__((noinline)) int Large(int n) { volatile char b[9000]; b[n] = 1; DbgPrint("y"); return b[0]; }
__attribute__((noinline)) int Alloca(int n) { volatile char *p = __builtin_alloca(n); p[0] = 1;
                                              DbgPrint("z"); return p[0]; }
__attribute__((noinline)) int Tail(int n) { if (n > 3) DbgPrint("w"); return Large(n); }
__declspec(dllexport) int Exported(int n) { return Tail(n) + Alloca(n); }
__declspec(dllexport) int Another = 5;
unsigned long long __security_cookie = 0x2B992DDFA232ull;
struct { unsigned size; char pad[0x54]; void *cookie; char rest[0x20]; } _load_config_used =
  {0x80, {0}, &__security_cookie, {0}};
int _fltused = 1;
int DriverEntry(void *d, void *r) { (void)d; (void)r; Global = Floats(1, 2, 3);
  ExAllocatePoolWithTag(0, 5, 1); return Exported(4); }
__asm__(".globl ___chkstk_ms\n___chkstk_ms: ret\n");
"""

DEFINITIONS = "LIBRARY ntoskrnl.exe\nEXPORTS\nDbgPrint\nExAllocatePoolWithTag @77 NONAME\n"


def run(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def compile_all(folder):
    cc = shutil.which("x86_64-w64-mingw32-gcc")
    dlltool = shutil.which("x86_64-w64-mingw32-dlltool")
    if not cc or not dlltool:
        return
    with tempfile.TemporaryDirectory() as work:
        for name, text in (("plain.c", PLAIN), ("frames.c", FRAMES), ("k.def", DEFINITIONS)):
            with open(os.path.join(work, name), "w") as file:
                file.write(text)
        library = os.path.join(work, "libk.a")
        run(dlltool, "-d", os.path.join(work, "k.def"), "-l", library)
        kinds = {
            "o0": ["-O0"],
            "o2": ["-O2"],
            "os": ["-Os", "-fno-asynchronous-unwind-tables"],
            "frame": ["-O1", "-fno-omit-frame-pointer", "-Wl,--section-alignment,8192"],
            "file4k": ["-O2", "-Wl,--file-alignment,4096"],
            "norel": ["-O2", "-Wl,--disable-dynamicbase", "-Wl,--disable-reloc-section"],
            "flat": ["-O2", "-Wl,--section-alignment,512", "-Wl,--file-alignment,512"],
            "console": ["-O2", "-Wl,--subsystem,console"],
        }
        for source in ("plain", "frames"):
            for kind, options in kinds.items():
                run(cc, "-shared", "-nostdlib", "-s", "-fno-builtin", "-Wl,--subsystem,native",
                    "-Wl,--entry,DriverEntry", *options, os.path.join(work, source + ".c"), library,
                    "-o", os.path.join(folder, f"{source}-{kind}.sys"))
        compile_other(folder, work, library)


def compile_other(folder, work, library):
    """The other tool chain, whose linker knows the load configuration (the security cookie)."""
    clang, linker = shutil.which("clang"), shutil.which("lld-link")
    if not clang or not linker:
        return
    for source in ("plain", "frames"):
        code, target = os.path.join(work, source + ".c"), os.path.join(work, source + ".obj")
        options = ["-fno-builtin", "-ffreestanding", "-mno-stack-arg-probe",
                   "-funwind-tables", "-O1"]
        run(clang, "-target", "x86_64-pc-windows-msvc", *options, "-c", code, "-o", target)
        run(linker, "/driver", "/dll", "/subsystem:native", "/entry:DriverEntry", "/nodefaultlib",
            target, library, "/out:" + os.path.join(folder, source + "-lld.sys"))


def write(folder, name, data):
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)


def handmade(folder):
    """Refusals of each kind, and damaged copies of what was compiled."""
    mz = b"MZ" + bytes(58)
    write(folder, "empty", b"")
    write(folder, "dos", mz + struct.pack("<I", 0) + bytes(64))
    for name, signature in (("ne", b"NE\0\0"), ("le", b"LE\0\0"), ("pe", b"PE\0\0")):
        write(folder, name, mz + struct.pack("<I", 64) + signature + bytes(300))
    for name in sorted(os.listdir(folder)):
        if not name.endswith("-o2.sys"):
            continue
        with open(os.path.join(folder, name), "rb") as file:
            data = bytearray(file.read())
        header = struct.unpack_from("<I", data, 60)[0]
        write(folder, name + ".cut", data[: len(data) * 2 // 3])
        for label, offset, form, value in (
            ("x86", 4, "<H", 0x14C), ("arm64", 4, "<H", 0xAA64), ("pe32", 24, "<H", 0x10B),
            ("entry", 24 + 16, "<I", 0xFFFFFF00), ("huge", 24 + 56, "<I", 0x7FFFFFFF),
            ("dirs", 24 + 108, "<I", 3), ("imports", 24 + 120, "<I", 0x1008),
            ("pdata", 24 + 136, "<I", 0x1000), ("reloc", 24 + 152, "<I", 0x1000),
        ):
            copy = bytearray(data)
            struct.pack_into(form, copy, header + offset, value)
            write(folder, f"{name}.{label}", copy)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    os.makedirs(sys.argv[1], exist_ok=True)
    compile_all(sys.argv[1])
    handmade(sys.argv[1])
    print(f"{len(os.listdir(sys.argv[1]))} seeds in {sys.argv[1]}")


main()
