# The benchmark kernel counts: every row of the tables is there, and another run gives the same figures.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use Test::More;

my $Top = abs_path(dirname(abs_path(__FILE__)) . '/../..');
my $Kernel = ($ENV{BUILD} // "$Top/build") . '/bench-amd64';
my $Qemu = 'qemu-system-x86_64';
grep { -x "$_/$Qemu" } split /:/, $ENV{PATH} or plan skip_all => "$Qemu is not installed";

my @Runs = map { scalar `$Top/bench/kernel.sh $Kernel 1` } 1, 2;
is($?, 0, 'the kernel ends well') or diag($Runs[1]);
is($Runs[1], $Runs[0], 'two runs, the same figures');
my %Figure = map { my @Fields = split /\t/; (($Fields[0] =~ s/, verified//r) . "\t$Fields[1]" => $Fields[3]) } split /\n/, $Runs[0];
open my $Targets, '<', "$Top/bench/targets.tsv" or die "targets.tsv: $!";
for (grep { /^(frames|pools|memory|flushes)\t/ && !/(two processors|2 threads)/ } <$Targets>) {
    my ($Group, $Row) = split /\t/;
    cmp_ok($Figure{"$Group\t$Row"} // 0, '>', 1, "$Group: $Row");
}
my $Two = `$Top/bench/kernel.sh $Kernel 2 test=empty.shootdown.of.one.page`;
like($Two, qr/^flushes(?:, verified)?\tempty shootdown of one page\tntmm\t\d/, 'with two processors');
is(`$Top/bench/kernel.sh $Kernel 2 test=empty.shootdown.of.one.page`, $Two, '... the same again');

done_testing();
