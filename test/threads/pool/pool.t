# The pools on real threads, under ThreadSanitizer, with their verifier and without.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use Test::More;

my $Build = $ENV{BUILD} // dirname(abs_path(__FILE__)) . '/../../../build';
my $Program = "$Build/tsan/threads-pool";
BAIL_OUT("$Program is not there: test/check.sh builds it") unless -x $Program;
$ENV{TSAN_OPTIONS} = 'exitcode=66:halt_on_error=0';

for my $Options ('--verify 1', '--verify 0', '--verify 0 --nodes 2 --seed 2') {
    my $Text = `$Program --seconds 3 $Options 2>&1`;
    is($?, 0, "no race, nothing lost, nothing left ($Options)") or diag(substr($Text, 0, 4000));
    like($Text, qr/^1\.\.1$/m, '... to its end');
}

done_testing();
