# The command line: what is accepted, what it hands to the machine, and how it refuses the rest.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Machine;
use Test::More;

my $Good = image('print STDERR "words: @Words\n"; ' . sending(json(report())));

# Refused with one line that begins "ntmm: " and says what is meant.
sub refused {
    my ($Words, $Pattern, $Name) = @_;
    my $Run = run(@$Words);
    is($Run->{status}, 2, "$Name: exit 2");
    like($Run->{err}, qr/\Antmm: [^\n]*$Pattern[^\n]*\n\z/, "$Name: one line");
    is($Run->{out}, '', "$Name: nothing on standard output");
}

# What the machine was told, as a hash of its options.
sub told {
    my (@Options) = @_;
    my $Run = run('run', @Options, $Good);
    return "status $Run->{status}: $Run->{err}" if $Run->{status} != 0;
    my ($Words) = $Run->{err} =~ /^words: (.*)$/m;
    return $Words;
}

is(told(), "--memory 268435456 --processors 2 --pagefile 536870912 --seed 1 --report-fd 3 "
         . "--timeout-ms 0 $Good", 'defaults');
like(told('--memory', '512K'), qr/--memory 524288 /, 'kilobytes');
like(told('--memory=3g'), qr/--memory 3221225472 /, 'a value behind =, a small suffix');
like(told('--memory', '1T'), qr/--memory 1099511627776 /, 'a terabyte');
like(told('--memory', '8192'), qr/--memory 8192 /, 'plain bytes');
like(told('--processors', '64'), qr/--processors 64 /, 'processors');
like(told('--seed', '18446744073709551615'), qr/--seed 18446744073709551615 /, 'the largest seed');
like(told('--seed', '0xDeadBeef'), qr/--seed 3735928559 /, 'a hexadecimal seed');
like(told('--seed', '0'), qr/--seed 0 /, 'seed zero');
like(told('--seed', '1', '--seed', '2'), qr/--seed 2 /, 'the last of two wins');
like(told('--machine', 'hosted'), qr/--memory/, 'the hosted machine by name');
like(told('--timeout', $_), qr/--timeout-ms 0 /, "timeout $_") for '0', '5000ms', '60s', '2m', '1h';
like(told('--'), qr/--seed 1 /, 'the end of options');

for my $Case ([ '--pagefile', '64M', qr/note: --pagefile/, qr/--pagefile 67108864 / ],
              [ '--drive', 'c:=/tmp', qr/note: --drive C:/, qr/--drive C:=\/tmp / ]) {
    my ($Option, $Value, $Note, $Words) = @$Case;
    my $Run = run('run', $Option, $Value, $Good);
    is($Run->{status}, 0, "$Option is accepted");
    like($Run->{err}, qr/^ntmm: $Note/m, "$Option has a note");
    like($Run->{err}, $Words, "$Option reaches the machine");
}
my $Two = run('run', '--drive', 'D:=/usr', '--drive', 'C:=/tmp', $Good);
like($Two->{err}, qr{--drive C:=/tmp --drive D:=/usr }, 'two drives');

refused([], 'nothing to do', 'no verb');
refused(['walk'], q('walk'), 'an unknown verb');
refused(['run'], 'no image', 'no image');
refused(['run', '--quiet'], 'no image', 'options but no image');
refused(['run', '--bogus', $Good], '--bogus', 'an unknown option');
refused(['run', '-q', $Good], '-q', 'a short option');
refused(['run', '--mem', '1M', $Good], '--mem', 'an abbreviation');
refused(['run', '--memory'], '--memory needs a value', 'a missing value');
refused(['run', '--memory', '--quiet', $Good], '--memory needs a value', 'an option for a value');
refused(['run', '--json=', $Good], '--json needs a value', 'an empty value');
refused(['run', '--quiet=yes', $Good], '--quiet takes no value', 'a value too many');
refused(['run', '--memory', $_, $Good], '--memory', "memory '$_'")
    for '', '0', 'x', '-1', '+1', ' 1', '12Q', '1MB2', '1.5G', '5000', '0x1000', '99999999999T',
        '18446744073709551616';
refused(['run', '--pagefile', '1', $Good], '--pagefile', 'part of a page');
refused(['run', '--processors', $_, $Good], '--processors', "processors '$_'") for '0', '65', '2x';
refused(['run', '--seed', $_, $Good], '--seed', "seed '$_'")
    for '18446744073709551616', '0x', '-1', '0x10000000000000000', '12a', 'abc';
refused(['run', '--timeout', $_, $Good], '--timeout', "timeout '$_'")
    for '60', 's', '1.5s', '-1s', '60x', '99999999999999999s';
refused(['run', '--machine', 'amd64', '--memory', '8M', $Good], '--memory: the amd64 machine needs at least 16M', 'amd64');
refused(['run', '--machine', 'vax', $Good], q('vax'), 'another machine');
refused(['run', '--drive', $_, $Good], '--drive', "drive '$_'")
    for 'C', 'C:', 'C:=', '1:=/tmp', 'C=/tmp', 'C:=/nonexistent', "C:=$Good";
refused(['run', '--drive', 'C:=/tmp', '--drive', 'c:=/usr', $Good], 'C: is given twice', 'one drive twice');
like(told('--fail', $_), qr/--fail \Q$_\E /, "failures $_")
    for 'nth:17', 'nth:999999999999999999', 'from:1', 'rate:0', 'rate:1', 'rate:0.01', 'rate:1.000000', 'rate:0.000001';
like(told('--fail=stacks'), qr/--fail stacks /, 'failures of each call stack');
like(told('--no-verify'), qr/--no-verify /, 'no verifier');
refused(['run', '--fail', $_, $Good], '--fail', "failures '$_'")
    for 'x', 'nth', 'nth:', 'nth:0', 'nth:1x', 'nth:-1', 'nth:0x11', 'nth:9999999999999999999', 'from:', 'from:0',
        'rate:', 'rate:2', 'rate:1.5', 'rate:.5', 'rate:0.', 'rate:0.1234567', 'rate:-0', 'rate:1%', 'stacks:',
        'stacks:1234', 'Stacks', ' stacks';
refused(['run', '--fail', '--no-verify', $Good], '--fail needs a value', 'failures of no kind');
refused(['run', '--no-verify=1', $Good], '--no-verify takes no value', 'a value for --no-verify');
like(told('--ioctl', '0x222003'), qr/--ioctl 2236419:0: /, 'a request by its code alone');
like(told('--ioctl', '\Device\Foo,0x222003,in=00010203,out=64'),
     qr/--ioctl 2236419:64:\\Device\\Foo --ioctl-hex 00010203 /, 'a request in full');
like(told('--ioctl', '\\\\.\Foo,12,out=0x10', '--ioctl', "12,in=\@$Good"),
     qr/--ioctl 12:16:\\\?\?\\Foo --ioctl 12:0: --ioctl-file \Q$Good\E /, 'two requests, a DOS name, a file');
refused(['run', '--ioctl', $_, $Good], '--ioctl', "request '$_'")
    for 'x', '\\', 'Foo,1', '1,', '1,2', '0x100000000', '-1', '\Device\Foo', '\Device\Foo,', '\Device\Foo,x',
        '1,in=', '1,in=0', '1,in=0g', '1,in=00,in=00', '1,in=@/nonexistent', '1,in=@/tmp', '1,out=', '1,out=-1',
        '1,out=1,out=2', '1,out=99999999999', '1,inn=00', '0x', '\Device\\' . 'a' x 300 . ',1';
refused(['run', (map { ('--ioctl', $_) } 1 .. 65), $Good], '--ioctl: at most 64', 'too many requests');
refused(['run', '--json', '-', '--report', '-', $Good], 'standard output', 'two for standard output');
refused(['run', '--quiet', '--report', '-', $Good], '--quiet', 'quiet but a report');
refused(['run', $Good, 'word'], 'takes no arguments: word', 'an argument for a driver');
refused(['run', $Good, '--quiet'], 'options go before', 'an option behind the image');
refused(['run', '--ioctl', '0x222000', image('', 'a.exe')], '--ioctl is for drivers', 'a request for a program');
refused(['run', '/nonexistent/a.sys'], '/nonexistent/a\.sys: No such file', 'a missing image');
refused(['run', folder()], 'not a file', 'a folder for an image');
refused(['run', '/dev/null'], 'not a file', 'a device for an image');
refused(['run', "a\nb.sys"], 'a\.b\.sys', 'a name that would break the line');
SKIP: {
    skip 'root may read everything', 3 if $> == 0;
    my $Secret = image('', 'secret.sys');
    chmod 0, $Secret;
    refused(['run', $Secret], 'Permission denied', 'an unreadable image');
}

my $Help = run('--help');
is($Help->{status}, 0, 'help');
like($Help->{out}, qr/ntmm run/, 'help names the verb');
$Help = run('run', '--help');
is($Help->{status}, 0, 'help of run');
like($Help->{out}, qr/^  \Q$_\E /m, "help of run has $_")
    for qw(--machine --memory --processors --pagefile --drive --seed --timeout --json --report
           --ioctl --fail --no-verify --special-pool --quiet);
my $Version = run('--version');
is($Version->{status}, 0, 'version');
like($Version->{out}, qr/\Antmm \d+\.\d+\S*\n\z/, 'version is one line');

# A file called like an option can still be run.
chdir folder() or die;
image(slurp($Good), '-odd.sys');
is(run('run', '--', '-odd.sys')->{status}, 0, 'an image called -odd.sys');

done_testing;
