# Every sample with a mistake is found out on every seed, by what its source says; every other sample never.
# SEEDS: how many.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use File::Basename 'basename';
use Test::More;

my $Samples = "$FindBin::Bin/../../samples";
my $Seeds = $ENV{SEEDS} // 50;

# How many seeds pass, and what the first that does not has printed.
sub seeds {
    my ($Image, $Options, $Good) = @_;
    my ($Passed, $First) = (0, '');
    for my $Seed (1 .. $Seeds) {
        my $Run = run({ json => 1 }, '--quiet', '--seed', $Seed, '--processors', 1 + $Seed % 4, @$Options, $Image);
        if ($Good->($Run)) {
            $Passed += 1;
        } elsif ($First eq '') {
            $First = "seed $Seed, status $Run->{status}\n$Run->{out}$Run->{err}";
        }
    }
    return ($Passed, $First);
}

# Does a stack name the function?
sub names {
    my ($Stack, $Function) = @_;
    return 1 if $Function eq '-';
    return scalar grep { ($_->{function} // '') eq $Function } map { ($_, @{ $_->{inlined_into} // [] }) } @$Stack;
}

for my $Source (sort glob "$Samples/mistakes/*.c") {
    my ($Name) = basename($Source) =~ /^(.*)\.c$/;
    my $Text = slurp($Source);
    my @Options = split ' ', ($Text =~ /^ \* Run with: (.*)$/m)[0] // '';
    my ($Kind, $Rule, $Function) = $Text =~ /^ \* Found as: (finding|bug check) (\S+(?: \S+)?) in (\S+)$/m
        or BAIL_OUT("$Source does not say what is found");
    my ($Also) = $Text =~ /^ \* And also: (\S+)$/m;
    my ($Passed, $First) = seeds(build() . "/samples/mistakes/$Name.sys", \@Options, sub {
        my $Json = $_[0]{json} or return 0;
        if ($Kind eq 'finding') {
            my ($Found) = grep { $_->{rule} eq $Rule } @{ $Json->{findings} };
            return $_[0]{status} == 1 && $Found && names($Found->{stack}, $Function)
                && join(' ', sort map { $_->{rule} } @{ $Json->{findings} }) eq join ' ', sort $Rule, $Also // ();
        }
        my ($Code, $First) = split ' ', $Rule;
        my $Stop = $Json->{bugcheck} or return 0;
        return $_[0]{status} == 3 && $Stop->{code} eq $Code && ($First eq '-' || $Stop->{parameters}[0] eq $First)
            && names($Stop->{stack}, $Function);
    });
    is($Passed, $Seeds, "$Name: $Kind $Rule on every seed") or diag($First);
}

my %Clean = (
    hello => [],
    tour => [],
    ioctl => [ map { ('--ioctl', $_) } '0x222000,in=68656C6C6F,out=16', '0x222005,in=20,out=8', '0x22200A,in=2A,out=8',
               '0x22200F,in=01020304,out=4', '0x222010', '0x222014' ],
);
for my $Name (sort keys %Clean) {
    my ($Passed, $First) = seeds(build() . "/samples/$Name.sys", $Clean{$Name}, sub {
        return $_[0]{status} == 0 && $_[0]{json} && @{ $_[0]{json}{findings} } == 0;
    });
    is($Passed, $Seeds, "$Name: nothing on any seed") or diag($First);
}

done_testing();
