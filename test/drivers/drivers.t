# Drivers that test the kernel from inside: each image of each compiler runs on the plain and on the sanitized machine,
# and must report no failure, leave nothing behind and say the same on both.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;

my @Names = grep { $_ ne 'oom' && slurp("$FindBin::Bin/$_.c") =~ /^CHECK_DRIVER$/m }
            map { m{([^/]+)\.c$} } sort glob "$FindBin::Bin/*.c";
cmp_ok(scalar @Names, '>=', 11, 'the test drivers');

# Run one; its TAP in words.
sub passes {
    my ($Name, $Compiler, $Machine, @Options) = @_;
    my $Run = run({ machine => $Machine->[1] }, '--quiet', '--timeout', '120s', @Options, image($Name, $Compiler));
    my ($Plan) = $Run->{out} =~ /^1\.\.(\d+)$/m;
    my @Good = $Run->{out} =~ /^ok (\d+) /mg;
    my @Bad = $Run->{out} =~ /^(not ok .*)$/mg;
    my $Unloaded = $Run->{out} =~ /^# unloaded$/m;
    ok($Run->{status} == 0 && defined $Plan && $Plan > 0 && @Good == $Plan && !@Bad && $Unloaded,
       join ' ', $Name, "($Compiler, $Machine->[0])", @Options)
        or diag("status $Run->{status}\n", map { "$_\n" } @Bad, $Run->{err},
                $Run->{out} =~ /^(\*\*\* STOP.*(?:\n.*){0,12})/m ? $1 : '');
    return $Run;
}

for my $Name (@Names) {
    for my $Compiler ('gcc', 'clang') {
        my @Said = map { passes($Name, $Compiler, $_)->{out} } machines();
        is($Said[1], $Said[0], "$Name ($Compiler) says the same on both") if @Said > 1;
    }
}

# Formats: what was wanted and what came.
my $Out = run({}, '--quiet', image('format'))->{out};
my @Wanted = $Out =~ /^want \[(.*)\]$/mg;
my @Got = $Out =~ /^got  \[(.*)\]$/mg;
is_deeply(\@Got, \@Wanted, 'DbgPrint\'s formats') or diag($Out);
cmp_ok(scalar @Wanted, '>=', 13, 'all of them');

# More processors, one processor, and little and much memory.
for my $Options ([ '--processors', 1 ], [ '--processors', 16 ], [ '--seed', 77, '--processors', 4 ]) {
    passes($_, 'gcc', [ 'plain', '' ], @$Options) for qw(sync lookaside pool mdl xmm);
}
passes('pool', 'gcc', [ 'plain', '' ], '--memory', '1T');
passes('oom', $_, [ 'plain', '' ], '--memory', '32M', '--pagefile', 0) for 'gcc', 'clang';
passes('oom', 'gcc', [ 'plain', '' ], '--memory', '32M');

done_testing();
