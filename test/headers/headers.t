#!/usr/bin/perl
# The public headers: each compiles alone for every compiler and both object formats, layouts and
# constants agree with the documents and with mingw-w64's headers, inline routines do what they say,
# a driver that uses them links to kernel imports only.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(basename dirname);
use File::Temp qw(tempdir);
use Test::More;

my $here    = dirname(abs_path(__FILE__));
my $include = abs_path("$here/../../include");
my $tmp     = tempdir(CLEANUP => 1);
my $theirs  = '/usr/share/mingw-w64/include';

sub found
{
    my ($program) = @_;
    return scalar grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

# The standard output and error of a command, and whether it succeeded.
sub run
{
    my ($command) = @_;
    my $text = `$command 2>&1`;
    return ($? == 0, $text);
}

sub compiles
{
    my ($command, $name) = @_;
    my ($good, $text) = run($command);
    ok($good, $name) or diag("$command\n$text");
    return $good;
}

my $warn  = '-std=gnu17 -Wall -Wextra -Werror -Wno-multichar';
my $core  = "$warn -ffreestanding -mgeneral-regs-only -mno-red-zone -fshort-wchar -fno-strict-aliasing";
my $clang = (grep { found($_) } qw(clang clang-14 clang-16 clang-19))[0];
my $gcc   = found('gcc') ? 'gcc' : undef;
my $mingw = found('x86_64-w64-mingw32-gcc') ? 'x86_64-w64-mingw32-gcc' : undef;

my %elf;
$elf{'gcc, ELF'} = "$gcc $core" if $gcc;
$elf{'clang, ELF'} = "$clang $core -Wthread-safety -DNTMM_THREAD_SAFETY" if $clang;
my %pe;
$pe{'mingw gcc, PE'} = "$mingw $warn" if $mingw;
$pe{'clang, PE, gnu'} = "$clang -target x86_64-w64-windows-gnu $warn -fms-extensions" if $clang;
$pe{'clang, PE, msvc'} = "$clang -target x86_64-pc-windows-msvc $warn" if $clang;
my %all = (%elf, %pe);

# 1. Each header alone, twice in one unit.
for my $header (sort map { basename($_) } glob "$include/*.h") {
    my $source = "$tmp/alone.c";
    open my $file, '>', $source or die;
    print $file "#include \"$header\"\n#include \"$header\"\n";
    close $file;
    for my $name (sort keys %all) {
        next if $header eq 'ntexport.h' && $pe{$name};
        compiles("$all{$name} -DDBG=1 -I$include -fsyntax-only $source", "$header alone ($name)");
    }
}
if ($clang) {
    compiles("$clang -target x86_64-w64-windows-gnu -x c++ -std=c++17 -Wall -Wextra -Werror -I$include "
             . "-fsyntax-only -include ntifs.h /dev/null", 'ntifs.h in C++');
}

# 2. Layouts.
for my $name (sort keys %all) {
    compiles("$all{$name} -I$include -fsyntax-only $here/layout.c", "layout.c ($name)");
}
SKIP: {
    skip 'no gcc', 1 unless $gcc;
    my ($good) = run("$elf{'gcc, ELF'} -DBROKEN -I$include -fsyntax-only $here/layout.c");
    ok(!$good, 'a wrong size is noticed');
}
SKIP: {
    skip 'mingw-w64 and its DDK are not installed', 1 unless $mingw && -e "$theirs/ddk/ntifs.h";
    compiles("$mingw -std=gnu17 -DTHEIRS -I$theirs/ddk -fsyntax-only $here/layout.c",
             "layout.c with mingw-w64's own headers");
}

# 3. Constants: ours are evaluated here, theirs by static assertions where they have the name.
SKIP: {
    skip 'no gcc or no mingw-w64', 2 unless $gcc && $mingw && -e "$theirs/ddk/ntifs.h";
    my %names;
    for my $header (grep { !/ntexport/ } glob "$include/*.h") {
        open my $file, '<', $header or die;
        while (<$file>) {
            $names{$1} = 1 if /^#define ([A-Z][A-Za-z0-9_]+) (?=[0-9(A-Z])([\sA-Z0-9_x()|a-fUL-]+)$/
                || /^#define ([A-Z][A-Z0-9_]+) \(\((?:NTSTATUS|ULONG)\)0x[0-9A-F]+\)$/;
        }
    }
    # The kernel's own choices, types, and names that mean something else in those older headers.
    delete @names{qw(DBG NULL VOID CONST CFORCEINLINE FASTCALL MM_HIGHEST_USER_ADDRESS
        MM_USER_PROBE_ADDRESS MM_SYSTEM_RANGE_START NTHALAPI NTSYSAPI NTKERNELAPI NTSYSCALLAPI
        DECLSPEC_IMPORT KD_DEBUGGER_ENABLED KD_DEBUGGER_NOT_PRESENT DECLSPEC_CACHEALIGN
        POINTER_ALIGNMENT LOOKASIDE_ALIGN MM_BAD_POINTER)};
    my @names = sort keys %names;
    open my $file, '>', "$tmp/ours.c" or die;
    print $file "#include <ntifs.h>\n#include <stdio.h>\nint main(void)\n{\n";
    print $file "    printf(\"%s %lld\\n\", \"$_\", (long long)($_));\n" for @names;
    print $file "}\n";
    close $file;
    my ($built, $text) = run("$gcc -w -fshort-wchar -I$include -o $tmp/ours $tmp/ours.c");
    ok($built, 'our constants are constants') or diag($text);
    my @values = $built ? split /\n/, `$tmp/ours` : ();
    cmp_ok(scalar @values, '>', 500, 'there are many of them');
    open $file, '>', "$tmp/theirs.c" or die;
    print $file "#include <ntifs.h>\n#include <bugcodes.h>\n";
    for (@values) {
        my ($name, $value) = split / /;
        print $file "#ifdef $name\n",
            "_Static_assert((unsigned)($name) == (unsigned)${value}ll, \"$name\");\n#endif\n";
    }
    close $file;
    compiles("$mingw -w -I$theirs/ddk -fsyntax-only $tmp/theirs.c", 'constants agree');
}

# 4. Inline routines, run.
for my $compiler (grep { defined } $gcc, $clang) {
    my $options = '-std=gnu17 -Wall -Wextra -Werror -Wno-multichar -fshort-wchar -fno-strict-aliasing -g -O1';
    $options .= ' -fsanitize=address,undefined -fno-sanitize-recover=all' if $compiler ne 'gcc';
    my $program = "$tmp/inline-" . basename($compiler);
    compiles("$compiler $options -I$include -o $program $here/inline.c", "inline.c ($compiler)") or next;
    my ($good, $text) = run("ASAN_OPTIONS=handle_segv=0 $program");
    ok($good, "inline routines ($compiler)");
    is($text, "0 failures\n", "no failure ($compiler)");

    $program = "$tmp/exports-" . basename($compiler);
    compiles("$compiler $options -I$include -o $program $here/exports.c", "exports.c ($compiler)") or next;
    ($good, $text) = run($program);
    is(join(' ', sort split /\n/, $text),
       'Answer[4]=42 Routine()=2 WideTable[24]=0 _snprintf()=2 memcpy()=2', "export table ($compiler)");
}

# 5. A driver.
for my $name (sort keys %pe) {
    for my $debug (0, 1) {
        compiles("$pe{$name} -O2 -DDBG=$debug -I$include -c -o $tmp/driver.o $here/driver.c",
                 "driver.c, DBG=$debug ($name)") or next;
        next if $name =~ /msvc/ || !$mingw;
        my %import = map { $_ => 1 } `x86_64-w64-mingw32-nm -u $tmp/driver.o` =~ /U (\S+)/g;
        delete @import{qw(memcpy memset memmove memcmp)};
        is(join(' ', grep { !/^__imp_/ } sort keys %import), '', "every name is imported ($name)");
        ok($import{__imp_PsThreadType}, "a pointer variable is read from its slot ($name)");
        s/^__imp_// for my @imported = sort keys %import;
        open my $file, '>', "$tmp/k.def" or die;
        print $file "LIBRARY ntoskrnl.exe\nEXPORTS\n", map { "$_\n" } @imported, qw(memcpy memset);
        close $file;
        compiles("x86_64-w64-mingw32-dlltool -d $tmp/k.def -l $tmp/libk.a && "
                 . "x86_64-w64-mingw32-gcc -shared -nostdlib -Wl,--subsystem,native -Wl,--entry,DriverEntry "
                 . "-Wl,--disable-runtime-pseudo-reloc -o $tmp/d.sys $tmp/driver.o $tmp/libk.a",
                 "driver.sys links, DBG=$debug ($name)") or next;
        my $dump = `x86_64-w64-mingw32-objdump -p $tmp/d.sys`;
        is(join(' ', $dump =~ /DLL Name: (\S+)/g), 'ntoskrnl.exe', 'it imports from the kernel');
    }
}

done_testing();
