# Requests from a program's process: what a driver sees of user memory, and what it does wrong with it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

my $Neither = '0x222003';
# Case, request, exit status, what must be in standard output, rules of findings.
my @Cases = (
    [ 'describe', $Neither, 0, qr/^requestor mode 1, previous mode 1, system process 0, requestor process 1, user addresses 1 1$/m ],
    [ 'guarded', $Neither, 0, qr/status 0x00000000 \(success\), information 4\n    02 03 04 05\n/ ],
    [ 'locked', $Neither, 0, qr/status 0x00000000 \(success\), information 4\n    02 03 04 05\n/ ],
    [ 'plain', $Neither, 1, qr/user-buffer-not-probed: .*\n    plain\.sys\+0x[0-9a-f]+  TouchPlainly/, 'user-buffer-not-probed' ],
    [ 'copied', $Neither, 1, qr/user-buffer-not-probed: .*\n    .*CopyPlainly/s, 'user-buffer-not-probed' ],
    [ 'unprobed', $Neither, 1, qr/user-buffer-not-probed: /, 'user-buffer-not-probed' ],
    [ 'unguarded', $Neither, 1, qr/^read 01\n.*user-buffer-unguarded: /ms, 'user-buffer-unguarded' ],
    [ 'beyond', $Neither, 0, qr/^caught 0xC0000005\n.*status 0xC0000005/ms ],
    [ 'system', $Neither, 0, qr/^caught 0xC0000005\n.*status 0xC0000005/ms ],
    [ 'beyondplain', $Neither, 3, qr/^\*\*\* STOP: 0x000000(?:1E|3B|7E) \(0x[0-9A-F]{8}C0000005,/m, '*' ],
    [ 'leftlocked', $Neither, 3, qr/^\*\*\* STOP: 0x00000076 \(0x0{16},/m, '*' ],
    [ 'elsewhere', $Neither, 3, qr/^elsewhere\n.*^\*\*\* STOP: 0x000000(?:1E|3B|7E) \(0x[0-9A-F]{8}C0000005,/ms, '*' ],
    [ 'buffered', '0x222000', 0, qr/^system buffer 1, user buffer 1\n.*information 1\n    02\n/ms ],
    [ 'direct', '0x222006', 0, qr/^user memory 1, locked 1\n.*information 4\n    77 77 77 77\n/ms ],
);
for my $Machine (machines()) {
    for (@Cases) {
        my ($Case, $Code, $Status, $Pattern, @Rules) = @$_;
        my $Run = run({ json => 1, machine => $Machine->[1] }, '--ioctl', "$Code,in=01020304,out=4",
            named(image('usermode', 'clang'), $Case));
        is($Run->{status}, $Status, "$Case ($Machine->[0])") or diag($Run->{out}, $Run->{err});
        like($Run->{out}, $Pattern, '... says so');
        next if "@Rules" eq '*';
        is(join(' ', map { $_->{rule} } @{ $Run->{json}{findings} // [] }), "@Rules", '... and finds what it must');
    }
}

# Large buffers, each page of which is touched, and the same addresses for the same seed.
for my $Seed (1 .. 3) {
    my @Runs = map { run({}, '--seed', $Seed, '--ioctl', "$Neither,in=" . '01' x 10000 . ',out=10000',
        named(image('usermode', 'clang'), 'guarded')) } 1 .. 2;
    is($Runs[0]{status}, 0, "three pages, seed $Seed");
    is($Runs[0]{out}, $Runs[1]{out}, '... the same again');
}
done_testing();
