# Both machines say the same of the same driver: every sample and every black-box driver, each of its cases, runs hosted and
# on amd64, and the two must agree in the driver's text, the exit status, the bug check, the findings and the pool table.
#
# What need not agree, and is made equal before it is compared:
#   * addresses: 16 hexadecimal digits of system space (hosted from 0x400000000000 on, amd64 from 0xFFFF800000000000 on),
#     in text, parameters and findings, are all written as ADDRESS; the address of a finding is left out;
#   * call stacks: only frames in the image count (module, offset, function, line); the core's own differ by compiler;
#   * the frame in a page-table entry that a bug check shows, page numbers and physical addresses in some;
#   * of the text, only what the driver printed: up to the STOP line, without blank lines at the end, and without the line
#     that says which bug check is expected, with such parameters: it is held against the one that came.
# In addition the drivers' own words are held against what happened on amd64: their TAP, and the bug check that a driver of
# the misuse kind expects, with its parameters.
#
# NTMM_AMD64_ONLY=REGEX picks runs by name.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../drivers";
use Drivers;
use Test::More;

my $Qemu = 'qemu-system-x86_64';
grep { -x "$_/$Qemu" } split /:/, $ENV{PATH} or plan skip_all => "$Qemu is not installed";
$ENV{NTMM_ACCEL} //= 'tcg';
my $Width = 3;

# Words before the image, by driver or "driver case"; run with more than one set if it has several.
my %Options = (
    requests => [ '--ioctl', '0x222000,in=00,out=8' ],
    'endings spins' => [ '--timeout', '2s' ], 'endings polls' => [ '--timeout', '2s' ], 'endings waits' => [ '--timeout', '2s' ],
    'sample ioctl' => [ '--ioctl', '0x222000,in=68656C6C6F,out=16', '--ioctl', '\??\Ioctl,0x22200A,in=2A,out=9000',
                        '--ioctl', '\\\\.\Ioctl,0x22200F,in=010203FF,out=4', '--ioctl', '0x222010', '--ioctl', '\Device\Nope,1' ],
    oom => [ '--memory', '48M', '--pagefile', 0 ],
);
# What drivers that do not list their cases are called to be.
my %Cases = (
    requests => [ qw(work cancel never cleanup information leakdevice leaklink leakirp filter nameless exclusive invalid look
                     double pending cancelset irql nolocation) ],
    endings => [ qw(endings fails spins polls waits calls ordinal stays) ],
);
# How the machine is filled is not the same to the page, so neither is how often a driver that fills it allocates.
# A lookaside list adjusts its depth as time passes, which on bare metal is the host's.
my %NoPool = (oom => 1, lookaside => 1);

# Bug checks whose second parameter is a page-table entry, and those with page numbers or physical addresses: which ones.
my %ShowsPte = ('0x000000BE' => 1, '0x000000FC' => 1);
my %ShowsPages = ('0x0000004E' => [ 1 ], '0x000000C4 0x0000000000000083' => [ 1, 3 ]);

# Every run: [ name, driver, image, words... ].
my @Runs;
sub add {
    my ($Name, $Driver, $Image) = @_;
    push @Runs, [ $Name, $Driver, $Image, @{ $Options{$Name} // $Options{$Driver} // [] } ];
}

for my $Name (map { m{([^/]+)\.c$} } sort map { glob "$FindBin::Bin/../drivers/$_" } '*.c', '*/*.c') {
    for my $Compiler ('gcc', 'clang') {
        my $Image = image($Name, $Compiler);
        next unless -e $Image;
        my @Listed = $Cases{$Name} ? @{ $Cases{$Name} }
                                   : run({}, '--quiet', '--timeout', '20s', $Image)->{out} =~ /^(?:case|leak) (\S+)/mg;
        if (!@Listed) {
            add("$Name ($Compiler)", $Name, $Image);
        } elsif ($Compiler eq 'gcc' || !-e image($Name, 'gcc')) {
            add("$Name $_", $Name, named($Image, $_)) for @Listed;
        }
    }
}
add("sample $_", 'sample', build() . "/samples/$_.sys") for map { m{([^/]+)\.sys$} } sort glob build() . '/samples/*.sys';
@Runs = grep { $_->[0] =~ /$ENV{NTMM_AMD64_ONLY}/ } @Runs if $ENV{NTMM_AMD64_ONLY};
cmp_ok(scalar @Runs, '>=', 150, 'the runs') unless $ENV{NTMM_AMD64_ONLY};

# --- What is compared ---

sub place {
    my ($Text) = @_;
    $Text =~ s/\b(?:0x)?(?:0000[4-7][0-9A-Fa-f]{11}|[Ff]{4}[89A-Fa-f][0-9A-Fa-f]{11})\b/ADDRESS/g;
    return $Text;
}

sub said {
    my ($Run) = @_;
    my $Text = $Run->{out} =~ s/^\*\*\* STOP.*//msr;
    $Text =~ s/^expect [0-9A-F]{8} .*\n//mg;
    $Text =~ s/^# kind .*\n//mg; # oom: how much there was of everything
    return place($Text =~ s/\n+\z//r);
}

sub finding {
    my %Finding = %{ $_[0] };
    delete $Finding{address};
    $Finding{text} = place($Finding{text});
    $Finding{stack} = [ map { "$_->{module}+$_->{offset} " . join ' ', map { $_ // '-' } @$_{qw(function line)} }
                        grep { defined $_->{module} && $_->{module} =~ /\.sys$/ } @{ $Finding{stack} } ];
    return \%Finding;
}

sub bugcheck {
    my ($Check) = @_;
    return undef if !$Check;
    my @Parameters = @{ $Check->{parameters} };
    $Parameters[1] =~ s/.{10}(?=...$)// if $ShowsPte{ $Check->{code} };
    my $Pages = $ShowsPages{ $Check->{code} } // $ShowsPages{"$Check->{code} $Parameters[0]"} // [];
    @Parameters[@$Pages] = ('PAGE') x @$Pages;
    return place(join ' ', $Check->{code}, $Check->{name} // '', @Parameters);
}

sub summary {
    my ($Run, $Driver) = @_;
    my $Json = $Run->{json} // {};
    return {
        exit => $Json->{exit}, status => $Run->{status}, text => said($Run), bugcheck => bugcheck($Json->{bugcheck}),
        findings => [ map { finding($_) } @{ $Json->{findings} // [] } ],
        requests => $Json->{requests}, missing => $Json->{missing_imports},
        pool => $NoPool{$Driver} ? undef : $Json->{pool},
    };
}

# --- What the driver itself says of the run ---

sub keeps_its_word {
    my ($Run) = @_;
    if ($Run->{out} =~ /^expect ([0-9A-F]{8}) (.*)$/m) {
        my ($Code, @Wanted) = ($1, split ' ', $2);
        my @Got = @{ $Run->{json}{bugcheck}{parameters} // [] };
        return 0 if ($Run->{json}{bugcheck}{code} // '') ne "0x$Code" || $Run->{status} != 3;
        return !grep { $Wanted[$_] ne '-' && "0x$Wanted[$_]" ne $Got[$_] } 0 .. 3;
    }
    if ($Run->{out} =~ /^1\.\.(\d+)$/m) {
        my $Plan = $1;
        my @Good = $Run->{out} =~ /^ok \d+ /mg;
        return $Run->{status} == 0 && @Good == $Plan && $Run->{out} !~ /^not ok/m && $Run->{out} =~ /^# unloaded$/m;
    }
    return 1;
}

# --- The runs ---

my @Words = map { my (undef, undef, $Image, @Words) = @$_; [ '--quiet', '--timeout', '60s', @Words, $Image ] } @Runs;
my @Hosted = runs($Width, map { [ { json => 1 }, @$_ ] } @Words);
my @Amd64 = runs($Width, map { [ { json => 1 }, '--machine', 'amd64', @$_ ] } @Words);
for my $Index (0 .. $#Runs) {
    my ($Name, $Driver) = @{ $Runs[$Index] };
    my ($Hosted, $Amd64) = ($Hosted[$Index], $Amd64[$Index]);
    is($Amd64->{json}{machine}, 'amd64', "$Name: runs on amd64") or diag($Amd64->{err});
    is_deeply(summary($Amd64, $Driver), summary($Hosted, $Driver), "$Name: both machines agree")
        or diag(map { "$_\n" } grep { /^not ok|STOP|^ntmm/ } split /\n/, "$Amd64->{out}$Amd64->{err}");
    ok(keeps_its_word($Amd64), "$Name: and it is what the driver expects") or diag($Amd64->{out}, $Amd64->{err});
}

done_testing();
