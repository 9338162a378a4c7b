# Functions and lines, from a real image with debug information.
use strict;
use warnings;
no warnings 'portable';
use FindBin;
use lib $FindBin::Bin;
use JSON::PP;
use Machine;
use Test::More;
use Time::HiRes 'time';

my $Compiler = 'x86_64-w64-mingw32-gcc';
plan skip_all => "$Compiler is not installed" if system("$Compiler --version >/dev/null 2>&1") != 0;
plan skip_all => 'llvm-symbolizer is not installed'
    if !grep { -x } map { my $Bin = $_; map { "$Bin/llvm-symbolizer$_" } '', map { "-$_" } 13 .. 19 }
       split /:/, $ENV{PATH};

my $Folder = folder();
spew("$Folder/leaky.c", <<'END');
__attribute__((noinline)) int Other(int Count) { volatile int Kept = Count; return Kept * 2; }
static __attribute__((noinline)) int
LeakSome(int Count)
{
    int Sum = Other(Count);
    return Sum + 1;
}
static inline __attribute__((always_inline)) int
Outer(int Count)
{
    int Sum = LeakSome(Count);
    return Sum + 3;
}
__attribute__((ms_abi)) int
DriverEntry(void *Driver, void *Path)
{
    (void)Driver;
    (void)Path;
    return Outer(5) + 1;
}
END
is(system("cd $Folder && $Compiler -g -O1 -shared -nostdlib -Wl,--subsystem,native "
        . "-Wl,--entry,DriverEntry -o leaky.sys leaky.c && x86_64-w64-mingw32-strip -o bare.sys leaky.sys"),
   0, 'an image with symbols');

# The return addresses of the two calls, from the disassembly.
my $Code = `cd $Folder && x86_64-w64-mingw32-objdump -d leaky.sys`;
my ($Base) = `cd $Folder && x86_64-w64-mingw32-objdump -p leaky.sys` =~ /^ImageBase\s+([0-9a-f]+)/m;
my @Returns;
while ($Code =~ /\tcall .*\n\s*([0-9a-f]+):/g) { push @Returns, hex($1) - hex($Base) }
is(scalar @Returns, 2, 'with two calls');

# Run a machine that sends a canned report, whatever the image.
sub canned { return finish(canning(@_)) }

sub canning {
    my ($Name) = @_;
    my @Stack = map { { address => sprintf('0x%016X', 0x400000000000 + $_), module => $Name,
                        offset => sprintf('0x%X', $_) } } @Returns;
    my $Report = json(report(image => $Name,
        findings => [ map { { rule => 'pool-leak', text => 'x', count => 1,
                              stack => [ @Stack, { address => '0x1', module => 'ntoskrnl.exe',
                                                   offset => '0x1005' } ] } } 1 .. 2 ],
        bugcheck => { code => '0x000000E2', name => 'MANUALLY_INITIATED_CRASH', stack => [ $Stack[0] ],
                      parameters => [ ('0x0000000000000000') x 4 ] }));
    machine("open my \$Report, '>&=', 3; print \$Report pack 'H*', '" . unpack('H*', $Report) . "';");
    return start('run', '--json', "$Folder/out.json", "$Folder/$Name");
}

# The slow case goes on while the others are tested: a tool that hangs.
mkdir "$Folder/bin";
mkdir "$Folder/hung";
spew("$Folder/hung/llvm-symbolizer", "#!/bin/sh\nexec sleep 60\n");
chmod 0755, "$Folder/hung/llvm-symbolizer";
spew("$Folder/hung.sys", 'x');
my $Hung = do { local $ENV{PATH} = "$Folder/hung"; canning('hung.sys') };

my $Run = canned('leaky.sys');
is($Run->{status}, 3, 'runs');
my ($Inner, $Outer) = map { sprintf 'leaky.sys+0x%x', $_ } @Returns;
like($Run->{out}, qr/^    \Q$Inner\E  LeakSome \(leaky\.c:5\)$/m, 'a static function with its line');
like($Run->{out},
     qr/^    \Q$Outer\E  Outer \(leaky\.c:11\)\n     +inlined into  DriverEntry \(leaky\.c:19\)$/m,
     'an inlined one with its caller');
like($Run->{out}, qr/^    ntoskrnl\.exe\+0x1005$/m, 'the system image has none');
is(() = $Run->{out} =~ /LeakSome \(leaky\.c:5\)/g, 3, 'in each stack');
like($Run->{out}, qr/\*\*\* STOP[^\n]*\n[^\n]*\n    \Q$Inner\E  LeakSome/, 'in the bug check');
my $Frame = decode_json(slurp("$Folder/out.json"))->{findings}[1]{stack}[1];
is("$Frame->{function} $Frame->{line}", 'Outer 11', 'in the JSON report');
like($Frame->{file}, qr{/leaky\.c$}, 'with the file as recorded');
is_deeply([ map { "$_->{function} $_->{line}" } @{ $Frame->{inlined_into} } ], [ 'DriverEntry 19' ],
          'and what it was inlined into');

# The machine's own frames, when it has symbols.
SKIP: {
    spew("$Folder/own.c", <<'END');
#include <unistd.h>
#include <fcntl.h>
static __attribute__((noinline)) int
Copy(int From)
{
    static char Bytes[65536];
    ssize_t Length;
    while ((Length = read(From, Bytes, sizeof(Bytes))) > 0) {
        if (write(3, Bytes, (size_t)Length) != Length) { return 1; }
    }
    return 0;
}
int main(int Count, char **Words) { return Copy(open(Words[Count - 1], O_RDONLY)); }
END
    skip 'no host compiler', 1
        if system("cd $Folder && cc -g -O1 -fno-inline -o own own.c 2>/dev/null") != 0;
    my ($Start) = `nm $Folder/own` =~ /^([0-9a-f]+) t Copy$/m;
    local $ENV{NTMM_HOSTED} = "$Folder/own";
    my $Image = spew("$Folder/own.sys", json(report(image => 'own.sys',
        stop => { reason => 'internal', text => 'x', stack => [ { address => '0x1', module => 'ntmm',
                  offset => sprintf('0x%X', hex($Start) + 1) } ] })));
    like(run('run', $Image)->{err}, qr/^    ntmm\+0x\w+  Copy \(own\.c:\d\)$/m,
         'a frame of the machine itself');
}

# Without symbols there is no guessing, and without the tool no complaint.
$Run = canned('bare.sys');
like($Run->{out}, qr/^    bare\.sys\+0x[0-9a-f]+$/m, 'an image without symbols');
unlike($Run->{out}, qr/Other|DriverEntry \(/, 'gets no wrong names');
is($Run->{err}, '', 'and no complaint');

rename "$Folder/leaky.sys", "$Folder/it's \"odd\".sys";
is(canned(q(it's "odd".sys))->{status}, 3, 'a name that cannot be asked for');
rename "$Folder/it's \"odd\".sys", "$Folder/one two.sys";
like(canned('one two.sys')->{out}, qr/one two\.sys\+0x\w+  LeakSome \(leaky\.c:5\)/, 'a name with a space');

{
    local $ENV{PATH} = "$Folder/bin";
    $Run = canned('one two.sys');
    is($Run->{status}, 3, 'without the tool');
    is($Run->{err}, '', 'no complaint');
    spew("$Folder/bin/llvm-symbolizer", "#!/bin/sh\necho nonsense; echo '{\"Symbol\":[7]}'; exit 3\n");
    chmod 0755, "$Folder/bin/llvm-symbolizer";
    $Run = canned('one two.sys');
    is($Run->{status}, 3, 'with a tool that answers nonsense');
}
$Run = finish($Hung);
is($Run->{status}, 3, 'with a tool that hangs');
cmp_ok($Run->{seconds}, '<', 8, 'it is not waited for');

done_testing;
