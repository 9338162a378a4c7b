#!/usr/bin/perl
# The hosted machine by itself, with a scratch core: what it does, that it repeats, and how it ends.
use strict;
use warnings;
use Test::More;

my $machine = $ENV{HOSTED_TESTS} or BAIL_OUT('HOSTED_TESTS must name the program');

# Run it; the text it wrote and its exit status (or 128 + signal).
sub run
{
    my ($mode, @options) = @_;
    local $ENV{SCRATCH_MODE} = $mode if $mode;
    my $pid = open(my $pipe, '-|') // die "fork: $!";
    if ($pid == 0) {
        open STDERR, '>&', \*STDOUT;
        exec $machine, @options or exit 127;
    }
    my $text = do { local $/; <$pipe> };
    close $pipe;
    return ($text, $? & 127 ? 128 + ($? & 127) : $? >> 8);
}

for my $options (['--processors', 1], ['--processors', 4], ['--processors', 64, '--memory', 512 << 20],
                 ['--memory', 6 << 30, '--nodes', 3], ['--memory', 1 << 40]) {
    my ($text, $status) = run(undef, '--seed', 7, @$options);
    is($status, 0, "passes with @$options") or diag($text);
    like($text, qr/^1\.\.12$/m, '... to its end');
}

my %order;
for my $seed (1, 2, 3) {
    my ($first) = run(undef, '--seed', $seed);
    my ($second) = run(undef, '--seed', $seed);
    is($first, $second, "seed $seed repeats");
    $order{$1} = 1 if $first =~ /order (\w+)/;
}
is(scalar keys %order, 3, 'seeds differ');

my @ends = (
    ['double-fault', 8, qr/double fault/],
    ['idle', 5, qr/deadlock: .*no timer/],
    ['spin', 5, qr/deadlock: .*spins/],
    ['image', 5, qr/timeout: .*, in code/, '--timeout-ms', 200],
    ['core', 5, qr/timeout/, '--timeout-ms', 200],
    ['preempt', 0, qr/preempted/],
);
for my $end (@ends) {
    my ($mode, $wanted, $pattern, @options) = @$end;
    my ($text, $status) = run($mode, '--processors', 2, @options);
    is($status, $wanted, "$mode: status") or diag($text);
    like($text, $pattern, "$mode: said so");
}

my @refusals = (
    ['too little memory', qr/at least 16 MB/, '--memory', 1 << 20],
    ['too much memory', qr/at most 4095 GB/, '--memory', 1 << 50],
    ['not a number', qr/"x" is not a number/, '--seed', 'x'],
    ['too many processors', qr/"65" is not/, '--processors', 65],
    ['unknown option', qr/does not exist/, '--frobnicate', 1],
    ['option without value', qr/needs a value/, '--seed'],
    ['no file', qr/No such file/, '/no/such/file.sys'],
    ['a directory', qr/not a file/, '/tmp'],
);
for my $refusal (@refusals) {
    my ($name, $pattern, @options) = @$refusal;
    my ($text, $status) = run(undef, @options);
    is($status, 2, "$name: refused");
    like($text, qr/\Antmm: [^\n]*$pattern[^\n]*\n\z/, "$name: one line says why");
}
my ($text, $status) = run(undef, '--memory', 16 << 20, '--processors', 1);
isnt($status, 2, 'the least memory is enough to start');
done_testing();
