# Drivers that break the rules: each ends in the documented bug check with the documented parameters, exit status 3.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

my %Families = (misuse => 50, misusemdl => 20, misuseirql => 20);

for my $Family (map { my $Name = $_; map { [ $Name, $_ ] } 'gcc', 'clang' } sort keys %Families) {
    my ($Driver, $Compiler) = @$Family;
    my $Image = image($Driver, $Compiler);
    my $List = run({}, '--quiet', $Image);
    is($List->{status}, 0, "$Driver ($Compiler): the list of cases");
    my @Cases = $List->{out} =~ /^case (\S+)$/mg;
    cmp_ok(scalar @Cases, '>=', $Families{$Driver}, 'all are there');
    for my $Machine (machines()) {
        next if $Compiler eq 'clang' && $Machine->[1];
        for my $Case (@Cases) {
            my $Run = run({ machine => $Machine->[1] }, '--quiet', '--timeout', '30s', named($Image, $Case));
            my $Name = "$Case ($Compiler, $Machine->[0])";
            my ($Code, @Wanted) = split ' ', ($Run->{out} =~ /^expect (.*)$/m)[0] // 'nothing';
            my ($Got, $Parameters) = $Run->{out} =~ /^\*\*\* STOP: 0x([0-9A-F]{8}) \((0x[0-9A-F]{16}(?:,0x[0-9A-F]{16}){3})\)$/m;
            my @Got = split /,/, $Parameters // '';
            s/^0x// for @Got;
            my $Good = $Run->{status} == 3 && defined $Got && $Got eq $Code;
            for (0 .. 3) {
                $Good &&= $Wanted[$_] eq '-' || $Wanted[$_] eq $Got[$_];
            }
            ok($Good, $Name) or diag("wanted $Code @Wanted\nstatus $Run->{status}\n", 
                join "\n", grep { defined } (split /\n/, "$Run->{out}$Run->{err}")[0 .. 12]);
        }
    }
}

done_testing();
