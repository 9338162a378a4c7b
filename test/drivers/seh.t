# Structured exceptions: what a driver with __try sees, how exceptions that nobody handles end, and images whose unwind
# data lies.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

my $Image = image('seh', 'clang');
my @Machines = machines();

sub passes {
    my ($Machine, @Options) = @_;
    my $Run = run({ machine => $Machine->[1] }, '--quiet', '--timeout', '120s', @Options, $Image);
    my ($Plan) = $Run->{out} =~ /^1\.\.(\d+)$/m;
    my @Good = $Run->{out} =~ /^ok (\d+) /mg;
    my @Bad = $Run->{out} =~ /^(not ok .*)$/mg;
    ok($Run->{status} == 0 && defined $Plan && $Plan > 80 && @Good == $Plan && !@Bad && $Run->{out} =~ /^# unloaded$/m,
       join ' ', "the driver ($Machine->[0])", @Options)
        or diag("status $Run->{status}\n", map { "$_\n" } @Bad, $Run->{err},
                $Run->{out} =~ /^(\*\*\* STOP.*(?:\n.*){0,12})/m ? $1 : '');
    return $Run->{out};
}

my @Said = map { passes($_) } @Machines;
is($Said[1], $Said[0], 'the same on both') if @Said > 1;
passes([ 'plain', '' ], '--seed', $_, '--processors', 1 + $_ % 4) for 2 .. 11;

# Exceptions that nobody handles, and faults that nobody can.
my $End = image('sehend', 'clang');
my @Cases = run({}, '--quiet', $End)->{out} =~ /^case (\S+)$/mg;
cmp_ok(scalar @Cases, '>=', 11, 'the cases');
my %Where = ('seh-entry' => 'Fault', 'seh-raise' => 'Raise', 'seh-thread' => 'Fault', 'seh-dpc' => 'DpcRoutine',
             'seh-odd' => 'RaiseInFrame', 'seh-dispatch' => 'StoreGuarded');
for my $Machine (@Machines) {
    for my $Case (@Cases) {
        my $Run = run({ machine => $Machine->[1] }, '--quiet', '--timeout', '30s', named($End, $Case));
        my ($Code, @Wanted) = split ' ', ($Run->{out} =~ /^expect (.*)$/m)[0] // 'nothing';
        my ($Got, $Parameters) = $Run->{out} =~ /^\*\*\* STOP: 0x([0-9A-F]{8}) \((0x[0-9A-F]{16}(?:,0x[0-9A-F]{16}){3})\)$/m;
        my @Got = map { s/^0x//r } split /,/, $Parameters // '';
        my $Good = $Run->{status} == 3 && defined $Got && $Got eq $Code && $Run->{out} !~ /^caught/m;
        for (0 .. 3) {
            $Good &&= $Wanted[$_] eq '-' || $Wanted[$_] eq $Got[$_];
        }
        if ($Where{$Case}) {
            my ($First) = $Run->{out} =~ /^\*\*\* [A-Z].*\n\*\*\* .*\n +(\S.*)$/m;
            $Good &&= defined $First && $First =~ /^$Case\.sys\+\S+ +$Where{$Case} /;
        }
        ok($Good, "$Case ($Machine->[0])") or diag("wanted $Code @Wanted\nstatus $Run->{status}\n$Run->{out}$Run->{err}");
    }
}

# Unwind data that lies: bytes of .pdata, and of the codes and scope tables it leads to, changed at random. The driver
# may pass, fail, find nobody to handle an exception, hang; ntmm itself lives.
my $Bytes = slurp($Image);
my $Pe = unpack 'V', substr $Bytes, 0x3C, 4;
my $Table = $Pe + 24 + unpack 'v', substr $Bytes, $Pe + 20, 2;
my %Section;
for my $Index (0 .. unpack('v', substr $Bytes, $Pe + 6, 2) - 1) {
    my ($Name, undef, $Rva, $Size, $Raw) = unpack 'Z8V4', substr $Bytes, $Table + 40 * $Index, 40;
    $Section{$Name} = { rva => $Rva, size => $Size, raw => $Raw };
}
my $Pdata = $Section{'.pdata'};
my ($Data) = grep { unpack('V', substr $Bytes, $Pdata->{raw} + 8, 4) - $_->{rva} < $_->{size}
                        && unpack('V', substr $Bytes, $Pdata->{raw} + 8, 4) >= $_->{rva} } values %Section;
ok($Pdata && $Data, 'the unwind data is found');
my @Infos = map { unpack 'V', substr $Bytes, $Pdata->{raw} + 12 * $_ + 8, 4 } 0 .. 19;
srand 20260;
my (%Endings, $Accidents);
for my $Round (1 .. 60) {
    my $Copy = $Bytes;
    for (0 .. int rand 12) {
        my $At = rand() < 0.3 ? $Pdata->{raw} + int rand(12 * 20)
                              : $Data->{raw} + $Infos[rand @Infos] - $Data->{rva} + int rand 48;
        substr $Copy, $At, 1, chr int rand 256;
    }
    my $Path = spew(folder() . "/lies$Round.sys", $Copy);
    for my $Machine ($Round <= 15 ? @Machines : $Machines[0]) {
        my $Run = run({ machine => $Machine->[1] }, '--quiet', '--timeout', '5s', $Path);
        my $Fine = $Run->{signal} == 0 && $Run->{status} =~ /^[1345]$|^0$/
            && ($Run->{status} != 5 || "$Run->{out}$Run->{err}" =~ /time|not implemented/)
            && $Run->{err} !~ /AddressSanitizer|runtime error|internal|assert/i;
        $Endings{$Run->{status}}++;
        $Accidents += !$Fine;
        diag("round $Round ($Machine->[0]): status $Run->{status} signal $Run->{signal}\n$Run->{out}$Run->{err}") if !$Fine;
    }
}
ok(!$Accidents, 'no lie brings ntmm down');
cmp_ok($Endings{3} // 0, '>', 0, 'some are bug checks');
diag('endings: ' . join ' ', map { "$_: $Endings{$_}" } sort keys %Endings);

done_testing();
