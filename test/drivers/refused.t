# Failure injection (--fail): each request of the driver is refused once, what became of it is told, and what the run
# prints is enough to see it again.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

my $All = 13; # requests of the driver's that can fail

sub sweep {
    my ($Name, $Compiler, @Options) = @_;
    return run({ json => 1 }, '--fail', 'stacks', @Options, named(image('refused', $Compiler), $Name));
}

# The one run that was not survived, by the routine that was refused.
sub lost {
    my ($Run) = @_;
    my @Lost = grep { !$_->{survived} } @{ $Run->{json}{fail}{runs} };
    return @Lost == 1 ? $Lost[0] : { routine => scalar(@Lost) . ' runs' };
}

for my $Compiler ('gcc', 'clang') {
    my $Run = sweep('clean', $Compiler);
    is($Run->{status}, 0, "a driver that copes ($Compiler)") or diag($Run->{out}, $Run->{err});
    my $Fail = $Run->{json}{fail};
    my @Runs = @{ $Fail->{runs} };
    is(scalar @Runs, $All, '... every request was refused');
    is(scalar(grep { $_->{survived} && $_->{entry} eq '0xC000009A' && $_->{exit} == 0 } @Runs), $All, '... and survived');
    my %Routines = map { $_->{routine} => 1 } @Runs;
    is_deeply([ grep { !$Routines{$_} } qw(ExAllocatePool2 ExAllocatePoolWithTag IoAllocateMdl MmAllocatePagesForMdlEx
               MmMapLockedPagesSpecifyCache MmAllocateContiguousMemory MmAllocateMappingAddress IoCreateDevice
               IoAllocateWorkItem ZwCreateEvent IoAllocateIrp PsCreateSystemThread) ], [], '... of every kind');
    is_deeply([ $Fail->{what}, $Fail->{refused}, $Fail->{complete} ], [ 'stacks', 0, JSON::PP::true ],
              '... until none was new');
    like($Run->{out}, qr/^\s.*TakePool \(refused\.c:\d+\)/m, '... and where it asked is told');
    is(scalar(() = $Run->{out} =~ /^started$/mg), 1, '... while it speaks once');

    $Run = sweep('keeps', $Compiler);
    my $Lost = lost($Run);
    is($Run->{status}, 1, "a driver that leaks when it is refused ($Compiler)");
    is($Lost->{routine}, 'ExAllocatePoolWithTag', '... the request');
    is_deeply([ map { [ $_->{rule}, $_->{size} ] } @{ $Lost->{findings} } ], [ [ 'pool-leak', 100 ] ], '... what it kept');
    like($Run->{out}, qr/nth:2\): 1 finding\n(?: .*\n)*  pool-leak: /m, '... in the report');
    my ($Replay) = $Run->{out} =~ /\((--seed \d+ --fail nth:\d+)\): 1 finding/;
    my $Again = run({ json => 1 }, split(/ /, $Replay // ''), named(image('refused', $Compiler), 'keeps'));
    is($Again->{status}, 1, '... and again by its number');
    is_deeply($Again->{json}{fail}{failures}[0]{stack}, $Lost->{stack}, '... at the same place');
    is_deeply([ map { $_->{rule} } @{ $Again->{json}{findings} } ], ['pool-leak'], '... with the same end');
    like($Again->{out}, qr/^Failures: 1 of \d+ requests.*\n  request 2, ExAllocatePoolWithTag /m, '... named first');

    $Run = sweep('trusts', $Compiler);
    $Lost = lost($Run);
    is($Run->{status}, 3, "a driver that uses what it did not get ($Compiler)");
    is($Lost->{routine}, 'MmMapLockedPagesSpecifyCache', '... the request');
    is($Lost->{bugcheck}{code}, '0x0000007E', '... the bug check');
    like($Run->{out}, qr/^\*\*\* refused: request \d+, MmMapLocked.*\n\*\*\* STOP: 0x0000007E /m, '... on the console');
    is(scalar(() = $Run->{out} =~ /^\*\*\* STOP/mg), 1, '... once');

    $Run = sweep('waits', $Compiler);
    is($Run->{status}, 5, "a driver that waits for what was never made ($Compiler)");
    is(lost($Run)->{routine}, 'PsCreateSystemThread', '... the request');

    $Run = sweep('raises', $Compiler);
    is(scalar @{ $Run->{json}{fail}{runs} }, $All + 1, "a request that raises ($Compiler)");
    is(lost($Run)->{routine}, 'ExAllocatePool2', '... is refused by raising');
    is(substr(lost($Run)->{bugcheck}{parameters}[0], -8), 'C000009A', '... the documented status');

    $Run = sweep('never', $Compiler);
    is(scalar @{ $Run->{json}{fail}{runs} }, $All, "what cannot fail is not refused ($Compiler)");
    is(scalar(grep { $_->{bugcheck} || $_->{stop} } @{ $Run->{json}{fail}{runs} }), 0, '... nor stops');
}

# The other rules.
my $Clean = named(image('refused'), 'clean');
for my $Rule ('nth:1', "nth:$All", 'from:5', 'rate:1', 'rate:0.3') {
    my @Runs = map { run({ json => 1 }, '--fail', $Rule, '--seed', 3, $Clean) } 1, 2;
    is($Runs[0]{status}, 0, "$Rule is survived");
    cmp_ok($Runs[0]{json}{fail}{refused}, '>', 0, '... and refuses');
    is_deeply($Runs[1]{json}, $Runs[0]{json}, '... the same again');
}
my $Run = run({ json => 1 }, '--fail', 'nth:99', $Clean);
is_deeply([ $Run->{status}, @{ $Run->{json}{fail} }{qw(refused requests)} ], [ 0, 0, $All ], 'past the last request');
my %Refused = map { $_ => run({ json => 1 }, '--fail', 'rate:0.2', '--seed', $_, $Clean)->{json}{fail}{refused} } 1 .. 20;
cmp_ok(scalar(grep { $_ == 0 } values %Refused), '<', 20, 'the seed decides whom a rate hits');
is(run({}, '--quiet', '--fail', 'nth:99', named(image('endings'), 'fails'))->{status}, 4,
   'a driver that fails without having been refused anything has failed');

# The sanitized machine, if it is there: what the core does on those paths.
for my $Machine (grep { $_->[1] } machines()) {
    $Run = run({ machine => $Machine->[1] }, '--quiet', '--fail', 'stacks', $Clean);
    is($Run->{status}, 0, 'sanitized');
}

# --no-verify: no findings, and what Windows itself stops for still stops.
$Run = run({ json => 1 }, '--no-verify', named(image('leaks'), 'nonpaged'));
is_deeply([ $Run->{status}, $Run->{json}{findings}, $Run->{json}{verifier} ], [ 0, [], JSON::PP::false ],
          'without the verifier nobody looks for leaks');
like($Run->{out}, qr/^Verifier: off$/m, '... and the report says so');

done_testing();
