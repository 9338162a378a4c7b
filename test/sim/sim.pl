#!/usr/bin/perl
# sim.pl - run the simulation for many seeds; shrink what fails to a short plan, and print the command that shows it.
#
#   sim.pl [SEEDS=1000] [FIRST=1] [SEED=n] [PLAN='words'] [BUG=flush|reference|leak] [SHRINK=0]
#
# A seed also says how many processors there are and how much memory. PLAN goes to the program (test/sim/sim.c). With SEED
# one run is made and shown in full. The planted bugs are for testing the simulation: each must be found.
# BUILD names the build folder, JOBS how many runs go on at once. Exit status 1: a seed failed.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use Time::HiRes 'time';

my $Top = abs_path(dirname(abs_path(__FILE__)) . '/../..');
my %Word = (SEEDS => 1000, FIRST => 1, PLAN => '', BUG => '', SHRINK => 1, JOBS => $ENV{JOBS} // 2);
for (@ARGV) {
    /^([A-Z]+)=(.*)$/s && (exists $Word{$1} || $1 eq 'SEED') or die "sim.pl: what is '$_'?\n";
    $Word{$1} = $2 if $2 ne '';
}
my $Program = $ENV{SIM} // abs_path($ENV{BUILD} // "$Top/build") . '/ntmm-sim';
-x $Program or die "$Program is not there: make build first\n";

# The command of a run.
sub command {
    my ($Seed, $Plan) = @_;
    my @Memory = (64, 64, 128, 256);
    my $Words = join ' ', grep { $_ ne '' } $Plan, $Word{BUG} ne '' ? "bug=$Word{BUG}" : '';
    return ('timeout', '60', $Program, '--seed', $Seed, '--processors', 1 + $Seed % 4, '--memory',
            $Memory[ ($Seed >> 2) % 4 ] << 20, $Words eq '' ? () : ('--test', $Words));
}

# Run once: status, and all that was printed.
sub once {
    my ($Seed, $Plan) = @_;
    my $Process = open(my $Pipe, '-|') // die "fork: $!";
    if ($Process == 0) {
        open STDERR, '>&', \*STDOUT;
        exec command($Seed, $Plan) or exit 127;
    }
    local $/;
    my $Text = <$Pipe> // '';
    close $Pipe;
    return ($?, $Text);
}

# What failed, without what varies: two runs that fail alike have the same.
sub kind {
    my ($Status, $Text) = @_;
    return '' if $Status == 0;
    return $1 if $Text =~ /^sim: failed: (.*?) \|/m;
    return 'no end' if $Status >> 8 == 124;
    return 'status ' . ($Status >> 8 | ($Status & 127) << 8);
}

sub ranges {
    my (@Steps) = @_;
    my @Parts;
    while (@Steps) {
        my $First = my $Last = shift @Steps;
        $Last = shift @Steps while @Steps && $Steps[0] == $Last + 1;
        push @Parts, $First == $Last ? $First : "$First-$Last";
    }
    return join ',', @Parts;
}

# The fewest steps that still fail alike: halves, quarters, ... are left out as long as that works.
sub shrink {
    my ($Seed, $Kind, $Text) = @_;
    my @Steps = (1 .. 2000);
    my ($Runs, $Pieces) = (0, 2);
    my $Fails = sub { $Runs += 1; kind(once($Seed, join ' ', $Word{PLAN}, 'steps=' . ranges(@_))) eq $Kind };
    # Nothing after the step that failed has happened.
    my ($Last) = $Text =~ /\| round \d+, step ([1-9]\d*)/;
    @Steps = (1 .. $Last + 200) if $Last && $Fails->(1 .. $Last + 200);
    return $Word{PLAN} if !$Fails->(@Steps);
    while (@Steps > 1 && $Runs < 600) {
        my $Size = int((@Steps + $Pieces - 1) / $Pieces);
        my $Smaller;
        for (my $At = 0; $At < @Steps && $Runs < 600; $At += $Size) {
            my @Rest = @Steps;
            splice @Rest, $At, $Size;
            if (@Rest && $Fails->(@Rest)) {
                ($Smaller, @Steps) = (1, @Rest);
                $At -= $Size;
            }
        }
        last if !$Smaller && $Size == 1;
        $Pieces = $Smaller ? ($Pieces > 2 ? $Pieces - 1 : 2) : $Pieces * 2;
        $Pieces = @Steps if $Pieces > @Steps;
    }
    my $Quiet = join ' ', grep { $_ ne '' } $Word{PLAN}, 'steps=' . ranges(@Steps);
    return kind(once($Seed, "$Quiet refuse=0")) eq $Kind ? "$Quiet refuse=0" : $Quiet;
}

sub show {
    my ($Seed, $Status, $Text) = @_;
    my $Kind = kind($Status, $Text);
    print "seed $Seed: $Kind\n";
    my $Plan = $Word{SHRINK} ? shrink($Seed, $Kind, $Text) : $Word{PLAN};
    my (undef, $Short) = once($Seed, $Plan);
    print map { "  $_\n" } grep { /^# |^sim:/ } split /\n/, $Short;
    my $Bug = $Word{BUG} eq '' ? '' : " BUG=$Word{BUG}";
    print "  again: make sim SEED=$Seed$Bug" . ($Plan eq '' ? '' : " PLAN='$Plan'") . "\n";
}

if (defined $Word{SEED}) {
    my ($Status, $Text) = once($Word{SEED}, $Word{PLAN});
    print join(' ', map { / / ? "'$_'" : $_ } command($Word{SEED}, $Word{PLAN})), "\n", $Text;
    show($Word{SEED}, $Status, $Text) if $Status != 0 && $Word{PLAN} eq '' && $Word{SHRINK};
    exit($Status == 0 ? 0 : 1);
}

# Many seeds: each job takes every JOBS-th and tells of those that failed.
my $Started = time;
my @Pipes;
for my $Job (0 .. $Word{JOBS} - 1) {
    my $Process = open($Pipes[$Job], '-|') // die "fork: $!";
    next if $Process != 0;
    my ($Steps, $Refused) = (0, 0);
    for (my $Seed = $Word{FIRST} + $Job; $Seed < $Word{FIRST} + $Word{SEEDS}; $Seed += $Word{JOBS}) {
        my ($Status, $Text) = once($Seed, $Word{PLAN});
        print "failed $Seed\n" if $Status != 0;
        ($Steps, $Refused) = ($Steps + $1, $Refused + $2) if $Text =~ /, (\d+) steps of \d+ operations, (\d+) requests/;
    }
    print "sum $Steps $Refused\n";
    exit 0;
}
my (@Failed, $Steps, $Refused, $Ended);
for my $Pipe (@Pipes) {
    while (<$Pipe>) {
        push @Failed, $1 if /^failed (\d+)/;
        ($Steps, $Refused, $Ended) = (($Steps // 0) + $1, ($Refused // 0) + $2, ($Ended // 0) + 1) if /^sum (\d+) (\d+)/;
    }
    close $Pipe;
}
@Failed = sort { $a <=> $b } @Failed;
printf "sim: %d seeds from %d, %d steps, %d requests refused, %d failed, %.0f s\n", $Word{SEEDS}, $Word{FIRST}, $Steps // 0,
    $Refused // 0, scalar @Failed, time - $Started;
my %Shown;
for my $Seed (@Failed) {
    my ($Status, $Text) = once($Seed, $Word{PLAN});
    next if $Shown{ kind($Status, $Text) }++;
    show($Seed, $Status, $Text);
    last if keys %Shown == 5;
}
exit(@Failed || ($Ended // 0) != $Word{JOBS} ? 1 : 0);
