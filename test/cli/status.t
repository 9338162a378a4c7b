# Exit statuses: each one, which of several wins, and the lines that go with them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use JSON::PP;
use Machine;
use Test::More;

my $Frame = { address => '0x0000400000011A2C', module => 'test.sys', offset => '0x1A2C' };
my $Finding = { rule => 'pool-leak', text => '64 bytes of pool were not freed', address => undef,
                size => 64, tag => 'Leak', type => 'NonPagedNx', count => 1, stack => [ $Frame ] };
my $BugCheck = { code => '0x000000C2', name => 'BAD_POOL_CALLER', stack => [ $Frame ],
                 parameters => [ map { sprintf '0x%016X', $_ } 7, 1, 2, 3 ] };
my $Stop = { reason => 'import', text => 'ntoskrnl.exe!FooBar is not implemented', stack => [ $Frame ] };
my %Failed = (driver => { %{ report()->{driver} }, entry => '0xC0000001' });

# Run an image that prints a line and sends this report.
sub with {
    my ($Report, @Options) = @_;
    return run('run', @Options, image('print "hello\n"; ' . sending(json($Report))));
}

my $Run = with(report());
is($Run->{status}, 0, 'nothing found');
like($Run->{out}, qr/\Ahello\n== ntmm report: test\.sys, hosted, seed 1, 256 MB, 2 processors\n/,
     'the text, then the report');
like($Run->{out}, qr/\n== nothing found\n\z/, 'the verdict');
is($Run->{err}, '', 'nothing to say');

$Run = with(report(findings => [ $Finding ]));
is($Run->{status}, 1, 'a finding');
like($Run->{out}, qr/^1\. pool-leak: 64 bytes of pool were not freed\n    test\.sys\+0x1a2c\n/m,
     'with its stack');
like($Run->{out}, qr/\n== 1 finding\n\z/, 'counted');

$Run = with(report(bugcheck => $BugCheck));
is($Run->{status}, 3, 'a bug check');
my $Line = '*** STOP: 0x000000C2 (0x0000000000000007,0x0000000000000001,0x0000000000000002,'
         . '0x0000000000000003)';
like($Run->{out}, qr/\Ahello\n\Q$Line\E\n\*\*\* BAD_POOL_CALLER\n    test\.sys\+0x1a2c\n== /,
     'printed before the report');
like($Run->{out}, qr/\n== bug check BAD_POOL_CALLER \(0x000000C2\)\n\z/, 'and summed up');

$Run = with(report(%Failed));
is($Run->{status}, 4, 'DriverEntry failed');
is($Run->{err}, "ntmm: DriverEntry failed: 0xC0000001\n", 'its status is printed');

for my $Entry ('0x00000000', '0x00000103', '0x40000000', undef) {
    $Run = with(report(driver => { %{ report()->{driver} }, entry => $Entry }));
    is($Run->{status}, 0, 'DriverEntry returned ' . ($Entry // 'nothing'));
}

$Run = with(report(stop => $Stop));
is($Run->{status}, 5, 'a stop');
is($Run->{err}, "ntmm: ntoskrnl.exe!FooBar is not implemented\n    test.sys+0x1a2c\n",
   'why, and where it was');

# The highest that applies wins; what the machine computed itself counts, but cannot lower it.
my @Parts = ([ 1, findings => [ $Finding ] ], [ 3, bugcheck => $BugCheck ], [ 4, %Failed ],
             [ 5, stop => $Stop ]);
for my $Mask (0 .. 15) {
    my ($Expected, @Changes) = (0);
    for my $Index (0 .. 3) {
        next unless $Mask >> $Index & 1;
        my ($Status, @Change) = @{ $Parts[$Index] };
        $Expected = $Status;
        push @Changes, @Change;
    }
    is(with(report(@Changes))->{status}, $Expected, "combination $Mask gives $Expected");
}
is(with(report(exit => 4))->{status}, 4, q(the machine's own status));
is(with(report(exit => 1, stop => $Stop))->{status}, 5, 'cannot lower it');
is(with(report(exit => 77))->{status}, 0, 'and must be one of ours');

# Missing imports are no failure by themselves.
$Run = with(report(missing_imports => [ 'ntoskrnl.exe!FooBar' ]));
is($Run->{status}, 0, 'a missing import');
like($Run->{out}, qr/^Not implemented: ntoskrnl\.exe!FooBar$/m, 'is in the report');

# An image that cannot be loaded: the machine says why and there is no report.
my $Bad = image('print STDERR "ntmm: x.sys: not a PE file\n"; exit 2;');
$Run = run('run', '--json', folder() . '/none.json', $Bad);
is($Run->{status}, 2, 'an image that cannot be loaded');
is($Run->{err}, "ntmm: x.sys: not a PE file\n", 'one line, the machine\'s');
is($Run->{out}, '', 'and no report');
ok(!-e folder() . '/none.json', 'not in a file either');

done_testing;
