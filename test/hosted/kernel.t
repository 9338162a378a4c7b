# The kernel tests, on the hosted machine: under the sanitizers, and the plain checked build with several seeds and
# numbers of processors. Each kernel test is a test here; T names those that are wanted.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use Test::More;

my $Build = $ENV{BUILD} // dirname(abs_path(__FILE__)) . '/../../build';
my $Filter = $ENV{T} // '';
my @Test = $Filter eq '' ? () : ('--test', $Filter);

# Run a kernel-tests program, and repeat its results.
sub kernel {
    my ($Program, $What, @Options) = @_;
    my $Process = open(my $Pipe, '-|') // die "fork: $!";
    if ($Process == 0) {
        open STDERR, '>&', \*STDOUT;
        exec $Program, @Options, @Test or exit 127;
    }
    my ($Plan, $Seen, @Notes, $Bad) = (undef, 0);
    while (my $Line = <$Pipe>) {
        chomp $Line;
        if ($Line =~ /^1\.\.(\d+)/) {
            $Plan = $1;
        } elsif ($Line =~ /^(not )?ok \d+ - (.*)$/) {
            $Seen += 1;
            ok(!$1, "$2 ($What)") or diag(@Notes);
            $Bad = 1 if $1;
            @Notes = ();
        } else {
            push @Notes, "$Line\n";
        }
    }
    close $Pipe;
    my $Status = $?;
    is($Status >> 8 | $Status & 127, $Bad ? 256 >> 8 : 0, "$What: exit status") or diag(@Notes);
    is($Seen, $Plan // 'no plan', "$What: to the end of the plan") or diag(@Notes);
}

my $San = "$Build/san/kernel-tests";
if (-x $San) {
    kernel($San, 'sanitized, seed 1', '--seed', 1);
    kernel($San, 'sanitized, seed 2, 4 processors', '--seed', 2, '--processors', 4);
} else {
    fail("$San is there");
}
my $Plain = "$Build/kernel-tests";
for my $Run ([ 1, 2, 256 ], [ 2, 1, 256 ], [ 3, 4, 64 ], [ 4, 16, 256 ], [ 5, 3, 1024 ]) {
    my ($Seed, $Processors, $Megabytes) = @$Run;
    kernel($Plain, "seed $Seed, $Processors processors, $Megabytes MB", '--seed', $Seed, '--processors', $Processors,
           '--memory', $Megabytes << 20);
}

# The same seed, the same text.
my @Texts = map { scalar `$Plain --seed 9 @Test 2>&1` } 1, 2;
is($Texts[1], $Texts[0], 'a seed repeats, byte for byte');

done_testing();
