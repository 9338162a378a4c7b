#!/usr/bin/perl
# The registry as a driver meets it: its service key, values from a .reg file, filters; what it leaves behind; .reg files
# that make no sense.
use strict;
use warnings;
use FindBin '$Bin';
use lib $Bin;
use Drivers;
use Test::More;

my $Title = "Windows Registry Editor Version 5.00\r\n";
my $Good = spew(folder() . '/good.reg', $Title . qq{[Parameters]\r\n"Depth"=dword:00000011\r\n"Label"="two words"\r\n});

for my $Compiler ('gcc', 'clang') {
    for my $Machine (machines()) {
        my ($Which, $Path) = @$Machine;
        my $Image = image('registry', $Compiler);
        my $Run = run({ json => 1, machine => $Path }, $Image);

        is($Run->{status}, 0, "$Compiler, $Which: clean") or diag($Run->{out}, $Run->{err});
        like($Run->{out}, qr/^# \\SystemRoot\\System32\\drivers\\registry\.sys$/m, 'the path of the image');
        like($Run->{out}, qr/^# depth 0, label none$/m, 'defaults');
        $Run = run({ machine => $Path }, '--registry', $Good, $Image);
        is($Run->{status}, 0, 'with a .reg file');
        like($Run->{out}, qr/^# depth 17, label two words$/m, 'its values');
    }
}

# What is left behind.
my $Run = run({ json => 1 }, named(image('registry'), 'filterleft'));
is($Run->{status}, 1, 'a filter left registered');
is_deeply([ map { $_->{rule} } @{ $Run->{json}{findings} } ], ['callback-left'], 'is the finding');
ok(scalar(grep { ($_->{function} // '') eq 'Test' } @{ $Run->{json}{findings}[0]{stack} }), 'with who registered it');
$Run = run({ json => 1 }, named(image('registry'), 'keyleft'));
is($Run->{status}, 1, 'a handle left open');
is_deeply([ map { $_->{rule} } @{ $Run->{json}{findings} } ], ['handle-leak'], 'is the finding');
like($Run->{json}{findings}[0]{text}, qr/type Key/, 'to a key');

# Files that are none.
sub refused {
    my ($Name, $Data, $Line, $What) = @_;
    my $File = spew(folder() . "/$Name.reg", $Data);
    my $Bad = run({}, '--registry', $File, image('registry'));
    is($Bad->{status}, 2, "$Name: refused");
    is($Bad->{out}, '', 'nothing runs');
    like($Bad->{err}, qr/^ntmm: \Q$Name\E\.reg, line $Line: [^\n]*\Q$What\E[^\n]*\n\z/, 'one line that says where');
}
refused('empty', '', 1, 'does not begin with');
refused('image', slurp(image('registry')), 1, 'neither UTF-8 nor UTF-16');
refused('value', "$Title\n\n[Parameters]\n\"Depth\"=dword:xyz\n", 5, 'dword:');
refused('cut', "$Title\[Parameters]\n\"Depth\"=hex:01,\\", 4, 'byte is missing');
refused('hive', "$Title\[HKEY_LOCAL_MACHINE\\Mine]\n", 2, 'does not take it');
for my $Case ([ 'missing', [ '--registry', '/nowhere/x.reg' ] ], [ 'folder', [ '--registry', '/' ] ],
              [ 'twice', [ '--registry', $Good, '--registry', $Good ] ]) {
    my $Bad = run({}, @{ $Case->[1] }, image('registry'));
    is($Bad->{status}, 2, "$Case->[0]: refused");
    like($Bad->{err}, qr/^ntmm: [^\n]*--registry[^\n]*\n\z/, 'in one line');
}

done_testing();
