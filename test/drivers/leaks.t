# Drivers that leak: a finding of the right rule with the leaking routine and its line on the stack, exit status 1.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

for my $Compiler ('gcc', 'clang') {
    my $Image = image('leaks', $Compiler);
    my $List = run({}, '--quiet', $Image);
    is($List->{status}, 0, "$Compiler: the list of leaks");
    my @Leaks = map { [ split / / ] } $List->{out} =~ /^leak (.*)$/mg;
    cmp_ok(scalar @Leaks, '>=', 11, 'all are there');
    for my $Leak (@Leaks) {
        my ($Name, $Rule, $Routine) = @$Leak;
        my $Run = run({ json => 1 }, named($Image, $Name));
        is($Run->{status}, 1, "$Name ($Compiler): exit status 1") or diag($Run->{out}, $Run->{err});
        my @Findings = grep { $_->{rule} eq $Rule } @{ $Run->{json}{findings} // [] };
        is(scalar @Findings, 1, "... one $Rule") or diag(map { "$_->{rule}: $_->{text}\n" } @{ $Run->{json}{findings} });
        next if !@Findings || !$Routine;
        my ($Line) = $Run->{out} =~ /^line (\d+)$/m;
        my $Inner = $Findings[0]{stack}[0] // {};
        is($Inner->{module}, "$Name.sys", '... the innermost frame is in the driver');
        # A breakpoint of the compiler's may count a call's last line: one more is close enough.
        my ($At) = $Run->{out} =~ /^\s.*\b\Q$Routine\E \(leaks\.c:(\d+)\)/m;
        ok(defined $At && $At >= $Line && $At <= $Line + 1, "... $Routine, line $Line, in the report")
            or diag($Run->{out});
        like($Run->{out}, qr/^\s.*\bMiddle \(leaks\.c:\d+\)/m, '... and its caller');
        like($Run->{out}, qr/DriverEntry \(leaks\.c:\d+\)/, '... up to DriverEntry');
    }
}

# For code review: the place is a line of the driver's source.
my $Sarif = folder() . '/leaks.sarif';
run({}, '--quiet', '--sarif', $Sarif, named(image('leaks'), 'nonpaged'));
my $Review = JSON::PP::decode_json(slurp($Sarif))->{runs}[0]{results}[0];
is($Review->{ruleId}, 'pool-leak', 'SARIF has the finding');
like($Review->{locations}[0]{physicalLocation}{artifactLocation}{uri}, qr{^file:///\S+/leaks\.c$}, 'its file');
cmp_ok($Review->{locations}[0]{physicalLocation}{region}{startLine}, '>', 10, 'its line');

# The sizes and tags of pool blocks.
my $Run = run({ json => 1 }, named(image('leaks'), 'nonpaged'));
my ($Finding) = @{ $Run->{json}{findings} };
is($Finding->{size}, 321, 'the size of a block');
is($Finding->{tag}, 'Leak', 'its tag');
ok($Run->{out} =~ /^\s+Leak\s+Nonp\s+1\s+0\s+1\s+(\d+)\b/m && $1 >= 321 && $1 < 400, 'its row among the tags')
    or diag($Run->{out});

# What was there is given in the report, and the verifier can be told to keep quiet.
is(run({}, '--quiet', image('pool'))->{status}, 0, 'nothing is found in a clean driver');

done_testing();
