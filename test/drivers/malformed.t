# Images that are none: one line that says why, exit status 2, whatever the bytes are; and never an accident.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

my $Good = slurp(image('format'));
my $Pe = unpack 'V', substr $Good, 0x3C, 4;
my $Optional = $Pe + 24;
my $Sections = $Optional + unpack 'v', substr $Good, $Pe + 20, 2;
my ($Count) = unpack 'v', substr $Good, $Pe + 6, 2;
my $Headers = unpack 'V', substr $Good, $Optional + 60, 4;
my @Machines = machines();

# Refused, by every machine, in one line.
sub refused {
    my ($Bytes, $Name, $Why) = @_;
    my $Path = spew(folder() . '/bad.sys', $Bytes);
    for my $Machine (@Machines) {
        my $Run = run({ machine => $Machine->[1] }, '--quiet', $Path);
        my $Fine = $Run->{status} == 2 && $Run->{out} eq '' && $Run->{err} =~ /\Antmm: [^\n]*bad\.sys[^\n]*\n\z/;
        ok($Fine && (!$Why || $Run->{err} =~ $Why), "$Name ($Machine->[0])")
            or diag("status $Run->{status}\n$Run->{out}$Run->{err}");
    }
}

sub changed {
    my ($Offset, $Bytes) = @_;
    my $Copy = $Good;
    substr $Copy, $Offset, length $Bytes, $Bytes;
    return $Copy;
}

refused('', 'an empty file');
refused('text, not a driver' x 100, 'text');
refused("\0" x 5000, 'zeros');
refused("\x7fELF" . "\0" x 5000, 'an ELF file');
refused(substr($Good, 0, $_), "cut at $_") for sort { $a <=> $b } keys %{ { map { $_ => 1 }
    1, 2, 0x3B, 0x3F, 0x40, $Pe, $Pe + 3, $Pe + 4, $Pe + 23, $Optional, $Optional + 111, $Optional + 112, $Sections - 1,
    $Sections, $Sections + 39, $Sections + 40 * $Count - 1, $Headers - 1, $Headers } };

# Cut at the end of each section's raw data but the last's.
for my $Index (0 .. $Count - 1) {
    my ($Size, $Raw, $Flags) = (unpack 'a8V8', substr $Good, $Sections + 40 * $Index, 40)[3, 4];
    refused(substr($Good, 0, $Raw + $Size / 2), "cut in section $Index") if $Size > 1;
}

refused(changed(0x3C, pack 'V', 0xFFFFFFF0), 'header beyond the end');
refused(changed($Pe, 'NE'), 'a New Executable');
refused(changed($Pe + 4, pack 'v', 0x14C), '32 bits', qr/machine|32|x64|amd64/i);
refused(changed($Pe + 4, pack 'v', 0xAA64), 'ARM64', qr/machine|arm/i);
refused(changed($Optional, pack 'v', 0x10B), 'PE32', qr/32/);
refused(changed($Optional + 68, pack 'v', 2), 'a window program', qr/subsystem|native/i);
refused(changed($Optional + 68, pack 'v', 3), 'a console program', qr/subsystem|native/i);
refused(changed($Optional + 56, pack 'V', 0), 'no size');
refused(changed($Optional + 56, pack 'V', 0xFFFFF000), 'far too large');
refused(changed($Optional + 16, pack 'V', 0x7FFFFFFF), 'an entry point outside');
refused(changed($Pe + 6, pack 'v', 0xFFFF), 'too many sections');
refused(changed($Sections + 12, pack 'V', 0xFFFFF000), 'a section outside');
refused(changed($Sections + 20, pack 'V', 0x7FFFFE00), 'a section whose bytes are not there');
refused(changed($Optional + 112 + 8, pack 'VV', 0xFFFFFF00, 0x1000), 'an import directory outside');

# Bytes flipped at random: whatever happens is one of the contract's endings, and ntmm itself lives.
srand 4711;
my %Seen;
for my $Round (1 .. 120) {
    my $Copy = $Good;
    for (0 .. int rand 4) {
        my $Limit = $Round % 3 ? $Headers : length $Copy;
        substr $Copy, int rand $Limit, 1, chr int rand 256;
    }
    my $Machine = $Machines[$Round % @Machines];
    my $Run = run({ machine => $Machine->[1] }, '--quiet', '--timeout', '5s', spew(folder() . '/bad.sys', $Copy));
    $Seen{ $Run->{status} } += 1;
    next if $Run->{signal} == 0 && $Run->{status} <= 5 && $Run->{err} !~ /Sanitizer|runtime error|assert|internal/i;
    fail("flipped bytes, round $Round");
    diag("status $Run->{status}\n$Run->{err}");
}
ok($Seen{2}, 'some of the flipped were refused');
diag(join ', ', map { "status $_: $Seen{$_}" } sort keys %Seen) if $ENV{TEST_VERBOSE};

done_testing();
