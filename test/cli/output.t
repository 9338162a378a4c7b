# Where the reports go, what they look like, and what happens when they cannot be written.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use JSON::PP;
use Machine;
use Test::More;

my $Leaky = report(
    image => 'test.sys', exit => 1,
    findings => [ { rule => 'pool-leak', text => '64 bytes', address => '0x0000400000020010', size => 64,
                    tag => 'Leak', type => 'NonPagedNx', count => 3, stack => [
                        { address => '0x00004000000111A2', module => 'test.sys', offset => '0x11A2' },
                        { address => '0x00004000000511A2', module => 'ntoskrnl.exe', offset => '0x10' },
                        { address => '0x00000000DEADBEEF', module => undef, offset => undef } ] } ],
    pool => [ { tag => 'Leak', type => 'Nonp', allocs => 5, frees => 2, diff => 3, bytes => 192 },
              { tag => 'Zero', type => 'Paged', allocs => 0, frees => 0, diff => 0, bytes => 0 },
              { tag => 'MmSt', type => 'Nonp', allocs => 9, frees => 1, diff => 8, bytes => 4096,
                system => JSON::PP::true } ],
    pages => { total => 65536, virgin => 65000, zeroed => 0, free => 36,
               standby => [ 0, 0, 0, 0, 0, 7, 0, 0 ],
               modified => 0, modified_no_write => 0, bad => 0, transition => 0, active => 493 },
    page_use => [ { use => 'Nonpaged Pool', active => 12, standby => 0, modified => 0, transition => 0,
                    zeroed => 0, free => 0, bad => 0 },
                  { use => 'Mapped File', active => 0, standby => 0, modified => 0, transition => 0,
                    zeroed => 0, free => 0, bad => 0 },
                  { use => 'Unused', active => 0, standby => 7, modified => 0, transition => 0,
                    zeroed => 65000, free => 36, bad => 0 } ]);
my $BugCheck = { code => '0x0000001A', name => 'MEMORY_MANAGEMENT', stack => [],
                 parameters => [ ('0x0000000000000000') x 4 ] };

sub leaky {
    my (@Options) = @_;
    return run('run', @Options, image('print "hello\n"; ' . sending(json($Leaky))));
}

my $Text = <<'END';
== ntmm report: test.sys, hosted, seed 1, 256 MB, 2 processors
Loaded at 0x0000400000010000, 24 KB; DriverEntry returned 0x00000000; unloaded

1. pool-leak (3 times): 64 bytes
    test.sys+0x11a2
    ntoskrnl.exe+0x10
    0x00000000DEADBEEF

Pool by tag
  Tag   Type     Allocs      Frees       Diff          Bytes  Per Alloc
  Leak  Nonp          5          2          3            192         64

Page lists                     Pages         Size
  Active                         493       1.9 MB
  Standby                          7        28 KB
    Priority 5                     7        28 KB
  Free                            36       144 KB
  Zeroed, never touched        65000     253.9 MB
  Total                        65536       256 MB

Use of pages          Active   Standby  Modified  Transition     Zeroed      Free    Bad      Total
  Nonpaged Pool           12         0         0           0          0         0      0         12
  Unused                   0         7         0           0      65000        36      0      65043
  Total                   12         7         0           0      65000        36      0      65055

Commit  1.5 MB charged, 1.6 MB at the peak, limit 768 MB
Faults  7: 6 demand zero, 1 transition
Time    1.234 ms on the machine's clock

== 1 finding
END

my $Run = leaky();
is($Run->{out}, "hello\n$Text", 'the report behind the text');

$Run = leaky('--quiet');
is($Run->{out}, "hello\n", 'quiet');
is($Run->{status}, 1, 'quiet, but the status is there');

my $File = folder() . '/report.txt';
$Run = leaky('--report', $File);
is($Run->{out}, "hello\n", 'a report in a file is not on standard output');
is(slurp($File), $Text, 'but in the file');
$Run = leaky('--quiet', '--report', $File);
is(slurp($File), $Text, 'also with --quiet');

$Run = leaky('--report', '-');
is($Run->{out}, $Text, 'a report alone');
is($Run->{err}, "hello\n", 'the text elsewhere');

$Run = leaky('--json', '-');
my $Json = decode_json($Run->{out});
is($Json->{findings}[0]{rule}, 'pool-leak', 'JSON alone');
is($Run->{err}, "hello\n", 'the text elsewhere, and no report');
is($Run->{status}, 1, 'with the status');

my $JsonFile = folder() . '/report.json';
$Run = leaky('--json', $JsonFile);
is($Run->{out}, "hello\n$Text", 'JSON in a file beside the report');
my $First = slurp($JsonFile);
is_deeply(decode_json($First), $Json, 'the same object');
leaky('--json', $JsonFile);
is(slurp($JsonFile), $First, 'the same bytes again');
my @Order = $First =~ /^  "(\w+)":/mg;
is("@Order", 'ntmm image machine seed replayable isolation memory processors verifier exit driver program modules '
           . 'bugcheck stop missing_imports fail findings pool pages page_use commit faults time',
   'keys in their documented order');
is_deeply($Json->{findings}[0]{stack}[0],
          { address => '0x00004000000111A2', module => 'test.sys', offset => '0x11A2',
            function => undef, file => undef, line => undef, inlined_into => [] },
          'a frame without symbols');
like($First, qr/^\s+\{"address": "0x00004000000111A2", [^\n]*\},$/m, 'a frame is one line');

# Numbers and strings come out as they went in.
$Run = run('run', '--seed', '18446744073709551615', '--json', '-', image(sending(json(report(
    memory => 1099511627776, seed => 1, time => { virtual_ns => 1000000000000000 },
    extra => { small => -5, half => 0.5, text => "\x{e9}\"\\\x{1F600}\t" })))));
like($Run->{out}, qr/^  "seed": 18446744073709551615,$/m, 'a seed of 64 bits');
like($Run->{out}, qr/^  "memory": 1099511627776,$/m, 'a terabyte');
like($Run->{out}, qr/"virtual_ns": 1000000000000000\}/, 'a large whole number');
$Json = decode_json($Run->{out});
is_deeply($Json->{extra}, { small => -5, half => 0.5, text => "\x{e9}\"\\\x{1F600}\t" },
          'what we do not know is kept');
$Run = run('run', '--json', '-', image(sending(json(report(image => 'XX')) =~ s/XX/a\xFFb\xC0\x80/r)));
is(eval { decode_json($Run->{out})->{image} }, "a\x{FFFD}b\x{FFFD}\x{FFFD}", 'broken UTF-8 is mended');

# A bug check: on the console at once, and in reports that are read without it.
my $Bug = image('print "hello\n"; ' . sending(json(report(bugcheck => $BugCheck))), 'bug.sys');
my $Stop = qr/^\*\*\* STOP: 0x0000001A \((0x0{16},){3}0x0{16}\)\n\*\*\* MEMORY_MANAGEMENT\n/m;
like(run('run', '--quiet', $Bug)->{out}, qr/\Ahello\n$Stop\z/, 'a bug check in spite of --quiet');
is(() = run('run', $Bug)->{out} =~ /$Stop/g, 1, 'once on the console');
$Run = run('run', '--report', '-', $Bug);
like($Run->{out}, qr/\A== /, 'a report by itself');
like($Run->{out}, $Stop, 'has the bug check');
like($Run->{err}, qr/\Ahello\n$Stop\z/, 'and beside the text');
$Run = run('run', '--json', '-', $Bug);
ok(eval { decode_json($Run->{out}) }, 'nothing but JSON');
like($Run->{err}, $Stop, 'the bug check beside the text');

# Text that does not end its last line.
$Run = run('run', image('print "open"; ' . sending(json({ %{ report() }, open_line => JSON::PP::true }))));
like($Run->{out}, qr/\Aopen\n== ntmm report/, 'the report begins a line');

# Files.
my $Old = folder() . '/old.json';
spew($Old, 'old');
symlink $Old, folder() . '/link.json';
leaky('--json', folder() . '/link.json');
ok(-l folder() . '/link.json', 'a link stays a link');
is(slurp($Old), $First, 'and what it leads to is replaced');
umask 027;
unlink $Old;
leaky('--json', $Old);
is((stat $Old)[2] & 0777, 0640, 'a new file has the usual mode');
leaky('--json', '/dev/null');
ok(-c '/dev/null', 'a device stays a device');
$Run = leaky('--json', '/dev/stderr', '--quiet');
like($Run->{err}, qr/^\{\n  "ntmm": 1,/m, '/dev/stderr');

for my $Bad ('/nonexistent/file', folder(), '/dev/full') {
    for my $Option ('--json', '--report') {
        $Run = leaky($Option, $Bad);
        is($Run->{status}, 5, "$Option $Bad: exit 5");
        like($Run->{err}, qr/^ntmm: \Q$Bad\E: /m, "$Option $Bad: one line");
    }
}
is(join(' ', grep { /\.[A-Za-z0-9]{6}$/ } glob(folder() . '/*.json.* ' . folder() . '/*.txt.*')), '',
   'no temporary file is left');
my $Full = system("'$ENV{NTMM}' run --quiet --json - " . folder() . "/test.sys >/dev/full 2>/dev/null");
is($Full >> 8, 5, 'a full standard output');
my $Gone = folder() . '/gone';
system("(sleep 0.1; '$ENV{NTMM}' run --json - " . folder() . "/test.sys 2>/dev/null; echo \$? >$Gone) | true");
like(slurp($Gone), qr/^1$/, 'a reader who has left');

done_testing;
