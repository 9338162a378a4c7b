# The size of the machine: from too small to a terabyte, and how long it takes.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;
use Time::HiRes 'time';

for my $Memory ('32M', '256M', '4G', '1T') {
    my $Started = time;
    my $Run = run({}, '--memory', $Memory, image('format'));
    is($Run->{status}, 0, "--memory $Memory") or diag($Run->{out}, $Run->{err});
    cmp_ok(time - $Started, '<', 3, 'starts at once');
}

my $Run = run({}, '--memory', '1M', image('format'));
is($Run->{status}, 2, 'too little memory is refused');
like($Run->{err}, qr/\Antmm: [^\n]*\d+ ?MB?[^\n]*\n\z/, 'one line says how much is needed');

my ($Least) = $Run->{err} =~ /(\d+) ?MB?/;
is(run({}, '--memory', "${Least}M", image('format'))->{status}, 0, 'and that is enough') if $Least;

done_testing();
