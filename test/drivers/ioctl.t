# Requests from the command line: every transfer method, waiting, cancelling, stacks, and what drivers do wrong with them.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

my $Sample = build() . '/samples/ioctl.sys';
my $File = spew(folder() . '/input', "\x01\x02\x03");

# [ name, options, [ device, code, status, information, output ]... ]
my @Good = (
    [ 'buffered', ['0x222000,in=68656C6C6F,out=16'], [ '\Device\Ioctl', '0x00222000', '0x00000000', 5, '6F6C6C6568' ] ],
    [ 'from a file', ["0x222000,in=\@$File,out=3"], [ '\Device\Ioctl', '0x00222000', '0x00000000', 3, '030201' ] ],
    [ 'too small', ['0x222000,in=0102,out=1'], [ '\Device\Ioctl', '0x00222000', '0xC0000023', 0, '' ] ],
    [ 'in direct', ['\Device\Ioctl,0x222005,in=20,out=8'], [ '\Device\Ioctl', '0x00222005', '0x00000000', 0, '' ] ],
    [ 'out direct', ['\??\Ioctl,0x22200A,in=2A,out=4'], [ '\??\Ioctl', '0x0022200A', '0x00000000', 4, '2A2A2A2A' ] ],
    [ 'out direct, pages', ['\dosdevices\ioctl,0x22200A,in=2A,out=9000'],
        [ '\dosdevices\ioctl', '0x0022200A', '0x00000000', 9000, '2A' x 9000 ] ],
    [ 'out direct, no buffer', ['0x22200A,in=2A'], [ '\Device\Ioctl', '0x0022200A', '0xC000000D', 0, '' ] ],
    [ 'neither', ['\\\\.\Ioctl,0x22200F,in=010203FF,out=4'],
        [ '\??\Ioctl', '0x0022200F', '0x00000000', 4, '02030400' ] ],
    [ 'unknown code', ['0x222FFC'], [ '\Device\Ioctl', '0x00222FFC', '0xC0000010', 0, '' ] ],
    [ 'unknown device', ['\Device\Nope,1'], [ '\Device\Nope', '0x00000001', '0xC0000034', 0, '' ] ],
    [ 'no such folder', ['\Nope\Nope,1'], [ '\Nope\Nope', '0x00000001', '0xC000003A', 0, '' ] ],
    [ 'no device', ['\Device,1'], [ '\Device', '0x00000001', '0xC0000024', 0, '' ] ],
    [ 'a path behind the device', ['\Device\Ioctl\a\b,0x222000,in=41,out=1'],
        [ '\Device\Ioctl\a\b', '0x00222000', '0x00000000', 1, '41' ] ],
    [ 'cancelled', ['0x222010'], [ '\Device\Ioctl', '0x00222010', '0xC0000120', 0, '' ] ],
    [ 'released by another', [ '0x222010', '0x222014' ], [ '\Device\Ioctl', '0x00222010', '0x00000000', 0, '' ],
        [ '\Device\Ioctl', '0x00222014', '0x00000000', 0, '' ] ],
);
for my $Machine (machines()) {
    for (@Good) {
        my ($Name, $Options, @Wanted) = @$_;
        my $Run = run({ json => 1, machine => $Machine->[1] }, (map { ('--ioctl', $_) } @$Options), $Sample);
        is($Run->{status}, 0, "$Name ($Machine->[0])") or diag($Run->{out}, $Run->{err});
        my @Got = map { [ @$_{qw(device code status information output)} ] } @{ $Run->{json}{requests} // [] };
        is_deeply(\@Got, \@Wanted, '... with the right result');
    }
}
my $Run = run({}, '--ioctl', '0x222000,in=68656C6C6F,out=16', '--ioctl', '\Device\Nope,1', $Sample);
like($Run->{out}, qr/^create\ncleanup\nclose\n== /m, 'one handle, opened and closed');
like($Run->{out}, qr/^Requests\n  \\Device\\Ioctl  0x00222000  status 0x00000000 \(success\), information 5\n    6F 6C 6C 65 68\n/m,
    'the text report shows the output');
like($Run->{out}, qr/^  \\Device\\Nope  0x00000001  status 0xC0000034 \(there is no such device\)/m, 'and the unknown device');

# Cases of the test driver: name, exit status, what must be in standard output, rules of findings.
my @Cases = (
    [ 'work', 0, qr/status 0x00000000 \(success\), information 4\n    78 56 34 12\n/ ],
    [ 'cancel', 0, qr/^cancelled 1\n.*status 0xC0000120 \(cancelled\)/ms ],
    [ 'never', 1, qr/0x00222000  not completed\n/, 'request-not-completed' ],
    [ 'cleanup', 1, qr/status 0x00000000 \(success\)/, 'request-not-completed' ],
    [ 'information', 1, qr/information 100\n/, 'request-information' ],
    [ 'leakdevice', 1, qr/device-leak: the device \\Device\\Requests was not deleted\n    leakdevice.sys\+0x/, 'device-leak' ],
    [ 'leaklink', 1, qr/symlink-leak: the symbolic link \\\?\?\\Requests was not deleted\n    leaklink.sys\+0x/, 'symlink-leak' ],
    [ 'leakirp', 1, qr/pool-leak: /, 'pool-leak' ],
    [ 'filter', 0, qr/^stack size 2, below 1\n.*^passed up: filter, context 7\n/ms ],
    [ 'nameless', 0, qr/\(the driver has no named device\)  0x00222000  status 0xC000000E/ ],
    [ 'exclusive', 0, qr/status 0x00000000 \(success\)/ ],
    [ 'invalid', 0, qr/status 0xC0000010 \(invalid device request\)/ ],
    [ 'look', 0, qr/^not ready: 0xC000000E\nagain: 0xC0000035\nlink again: 0xC0000035\nready: 0x00000000\nfound 1, open 1\nopen 0\n/m ],
    [ 'double', 3, qr/^\*\*\* STOP: 0x00000044 \(/m ],
    [ 'pending', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{15}6,0x0000000000000103,/m ],
    [ 'cancelset', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{15}7,/m ],
    [ 'irql', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{15}5,0x[0-9A-F]{16},0x0{16},0x0{15}2\)/m ],
    [ 'unmarked', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{13}23D,0x[0-9A-F]{16},0x[0-9A-F]{16},0x0{13}103\)/m ],
    [ 'unmarkedlater', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{13}23D,0x[0-9A-F]{16},0x[0-9A-F]{16},0x0{13}103\)/m ],
    [ 'marked', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{13}23E,/m ],
    [ 'mismatch', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{13}224,0x[0-9A-F]{16},0x[0-9A-F]{16},0x0{16}\)/m ],
    [ 'garbage', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{13}225,/m ],
    [ 'forgotten', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{13}226,/m ],
    [ 'forgetful', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{13}228,/m ],
    [ 'passcancel', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{13}203,/m ],
    [ 'freebuffer', 3, qr/^\*\*\* STOP: 0x000000C2 \(0x0{15}7,/m ],
    [ 'freeirp', 3, qr/^\*\*\* STOP: 0x000000C9 \(0x0{15}2,/m ],
    [ 'nolocation', 3, qr/^\*\*\* STOP: 0x00000035 \(/m ],
);
for my $Compiler ('gcc', 'clang') {
    for my $Machine (machines()) {
        next if $Compiler eq 'clang' && $Machine->[1];
        for (@Cases) {
            my ($Case, $Status, $Pattern, @Rules) = @$_;
            my $Run = run({ json => 1, machine => $Machine->[1] }, '--ioctl', '0x222000,in=00,out=8',
                named(image('requests', $Compiler), $Case));
            is($Run->{status}, $Status, "$Case ($Compiler, $Machine->[0])") or diag($Run->{out}, $Run->{err});
            like($Run->{out}, $Pattern, '... says so');
            is(join(' ', map { $_->{rule} } @{ $Run->{json}{findings} // [] }), "@Rules", '... and finds what it must');
        }
    }
}
done_testing();
