# The samples do what the README says.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

sub sample { return build() . "/samples/$_[0].sys" }

my $Run = run({}, sample('hello'));
is($Run->{status}, 0, 'hello');
like($Run->{out}, qr/\Ahello from \\Driver\\hello\ngoodbye from \\Driver\\hello\n== ntmm report: hello\.sys/, 'says so');
like($Run->{out}, qr/\n== nothing found\n\z/, 'and nothing is found');

$Run = run({}, sample('tour'));
is($Run->{status}, 0, 'the tour') or diag($Run->{out}, $Run->{err});
like($Run->{out}, qr/is page 20 there\? no; now that it was written to\? yes/, 'paged pool comes when it is touched');
like($Run->{out}, qr/the block that was freed comes back: yes/, 'lookaside lists hand out the newest');
like($Run->{out}, qr/second mapping: "written through the first"\n.*first: "and back"/, 'mappings alias');
like($Run->{out}, qr/two threads counted to 2000 together/, 'threads and mutexes');
unlike($Run->{out}, qr/: no$/m, 'everything else held');
like($Run->{out}, qr/\n== nothing found\n\z/, 'nothing is left behind');
is(run({}, sample('tour'), )->{out}, $Run->{out}, 'twice the same');
isnt(run({}, '--seed', 2, sample('tour'))->{out}, $Run->{out}, 'another seed, another run');

$Run = run({ json => 1 }, sample('leaky'));
is($Run->{status}, 1, 'leaky leaks');
my %Rules;
$Rules{ $_->{rule} } += 1 for @{ $Run->{json}{findings} };
is_deeply(\%Rules, { 'pool-leak' => 3, 'locked-pages' => 1, 'mapping-leak' => 1 }, 'three bugs, five findings');
like($Run->{out}, qr/^\d\. pool-leak: 64 bytes.*\n.*LeakyCreateRequest \(leaky\.c:\d+\)\n.*LeakyParse \(leaky\.c:\d+\)\n.*DriverEntry/m,
     'two calls deep');
like($Run->{out}, qr/^\d\. locked-pages: 12288 bytes.*\n.*LeakyStart \(leaky\.c:\d+\)/m, 'the lock');

done_testing();
