# --special-pool: which blocks get guard pages, on which side, and what a fault there says about the block.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

# offbyone writes two bytes behind a block of paged pool with tag Mist.
my $Image = build() . '/samples/mistakes/offbyone.sys';

sub stop {
    my ($What, @Rest) = @_;
    return run({ json => 1 }, '--quiet', ($What ? ('--special-pool', $What) : ()), @Rest);
}

my $Run = stop('', $Image);
is($Run->{json}{bugcheck}{code}, '0x00000019', 'without it: found when the block is freed');
my ($Size) = ($Run->{json}{bugcheck}{text} // '') =~ /of a block of (\d+) at /;
ok($Size, 'and the block is described') or diag($Run->{out});
is($Run->{json}{bugcheck}{history}[0]{what}, 'allocated', 'with its history');
ok((grep { ($_->{function} // '') eq 'CopyPath' } @{ $Run->{json}{bugcheck}{history}[0]{stack} }), '... by name');

# The registry path's length need not be a multiple of the alignment: then the slack takes it.
for my $What ('all', 'Mist', 'Mi*', 'M?st', $Size, ($Size - 10) . '-' . ($Size + 10)) {
    my $Stop = stop($What, $Image)->{json}{bugcheck};
    like($Stop->{code}, $Size % 16 ? qr/^0x000000(C1|D6)$/ : qr/^0x000000D6$/, "--special-pool $What");
}
for my $What ('Tsim', 'm*', $Size + 1, '1-' . ($Size - 1)) {
    is(stop($What, $Image)->{json}{bugcheck}{code}, '0x00000019', "--special-pool $What is not about it");
}
is(stop('all,underrun', $Image)->{json}{bugcheck}{code}, '0x000000C1', 'underrun: found when it is freed, by the pattern');

# staledpc touches a freed block.
my $Freed = stop('all', '--ioctl', '0x222000', build() . '/samples/mistakes/staledpc.sys')->{json}{bugcheck};
is($Freed->{code}, '0x000000D5', 'a freed block is caught at the touch');
is(join(',', map { $_->{what} } @{ $Freed->{history} }), 'allocated,freed', 'and has a history');
ok((grep { ($_->{function} // '') eq 'MistakeControl' } @{ $Freed->{history}[1]{stack} }), '... that names who freed it');

for my $What ('tour', 'ioctl', 'hello') {
    is(run({}, '--quiet', '--special-pool', 'all', build() . "/samples/$What.sys")->{status}, 0, "$What is clean with it");
}

for my $Bad ('', 'Tag12', '5000', '0', '9-3', '12x', 'all,', 'all,over', "T\t") {
    $Run = run({}, '--special-pool', $Bad, $Image);
    is($Run->{status}, 2, "'$Bad' is refused");
    like($Run->{err}, qr/\Antmm: [^\n]*--special-pool[^\n]*\n\z/, '... in one line');
}
$Run = run({}, '--special-pool', 'all', '--special-pool', 'all', $Image);
is($Run->{status}, 2, 'twice is refused');

done_testing();
