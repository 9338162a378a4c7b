# The simulation, short: some seeds pass, the same seed says the same, and a machine with a bug planted does not pass: it is
# found, and shrunk to a plan that shows it again. `make sim` makes the long run.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use Test::More;

my $Here = dirname(abs_path(__FILE__));
my $Build = abs_path($ENV{BUILD} // "$Here/../../build");

sub sim {
    my (@Words) = @_;
    open my $Pipe, '-|', $^X, "$Here/sim.pl", 'JOBS=1', @Words or die $!;
    my $Text = do { local $/; <$Pipe> };
    close $Pipe; # which sets $?
    return ($? >> 8, $Text);
}

$ENV{BUILD} = $Build;
my ($Status, $Text) = sim('SEEDS=30', 'FIRST=' . (1 + 30 * int(rand 1000)));
is($Status, 0, '30 seeds') or diag($Text);
like($Text, qr/^sim: 30 seeds .* [1-9]\d* requests refused, 0 failed/m, 'with requests refused');

($Status, my $First) = sim('SEED=7');
($Status, my $Second) = sim('SEED=7');
is($Second, $First, 'a seed repeats');

for my $Bug ([ 'flush', qr/stale-translation/ ], [ 'reference', qr/the balance at the end/ ],
             [ 'leak', qr/the balance at the end/ ]) {
    ($Status, $Text) = sim('SEEDS=12', "BUG=$Bug->[0]");
    is($Status, 1, "planted: $Bug->[0]");
    like($Text, qr/^seed \d+: $Bug->[1]/m, '... found');
    my ($Seed, $Plan) = $Text =~ /^  again: make sim SEED=(\d+) BUG=\w+ PLAN='(.*)'$/m;
    ok(defined $Plan, '... shrunk') or diag($Text), next;
    my ($Steps) = $Plan =~ /steps=([\d,-]+)/;
    cmp_ok(scalar(split /,/, $Steps), '<=', 4, "... to few steps: $Steps") ;
    my ($Again, $Shown) = sim("SEED=$Seed", "BUG=$Bug->[0]", "PLAN=$Plan", 'SHRINK=0');
    is($Again, 1, '... which show it again');
    ($Again, $Shown) = sim("SEED=$Seed", "PLAN=$Plan", 'SHRINK=0');
    is($Again, 0, '... and are clean without the bug') or diag($Shown);
}

done_testing();
