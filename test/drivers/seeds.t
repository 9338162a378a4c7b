# A run is a function of its seed: the same seed gives the same bytes, another seed other addresses and another schedule,
# and no seed makes a right driver fail. NTMM_SEEDS says how many are tried.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

my $Seeds = $ENV{NTMM_SEEDS} // 200;

for my $Name (qw(pool sync mdl xmm)) {
    my @Runs = map { run({ json => 1 }, '--seed', 5, image($Name)) } 1 .. 3;
    is($Runs[0]{status}, 0, "$Name, seed 5");
    is($Runs[$_]{out}, $Runs[0]{out}, '... again the same, byte for byte') for 1, 2;
    is_deeply($Runs[1]{json}, $Runs[0]{json}, '... and the same report');
    ok($Runs[0]{json}{replayable}, '... which says so');
}

my (%Bases, %Times, @Failed);
for my $Seed (1 .. $Seeds) {
    my $Name = (qw(sync pool lookaside mdl xmm))[$Seed % 5];
    my $Run = run({ json => 1 }, '--seed', $Seed, '--processors', 1 + $Seed % 4, image($Name, $Seed % 2 ? 'gcc' : 'clang'));
    if ($Run->{status} != 0) {
        push @Failed, "$Name with seed $Seed: status $Run->{status}\n" .
            join '', map { "  $_\n" } grep { /^not ok|STOP|^\d+\. |^ntmm/ } split /\n/, $Run->{out} . $Run->{err};
    }
    $Bases{ $Run->{json}{driver}{base} // '' } = 1;
    $Times{ $Run->{json}{time}{virtual_ns} // '' } = 1;
}
is(scalar @Failed, 0, "$Seeds seeds") or diag(@Failed);
cmp_ok(scalar keys %Bases, '>', $Seeds * 0.9, 'each has its own addresses');
cmp_ok(scalar keys %Times, '>', $Seeds * 0.5, 'and its own schedule');

done_testing();
