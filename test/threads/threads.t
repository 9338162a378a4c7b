# The lock-free parts on real threads, under ThreadSanitizer: kernel tests and stress on the threads plug.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use Test::More;

my $Build = $ENV{BUILD} // dirname(abs_path(__FILE__)) . '/../../build';
my $Program = "$Build/tsan/threads-tests";
BAIL_OUT("$Program is not there: test/check.sh builds it") unless -x $Program;

# Run it, and repeat its results.
sub threads {
    my ($What, @Options) = @_;
    my $Process = open(my $Pipe, '-|') // die "fork: $!";
    if ($Process == 0) {
        open STDERR, '>&', \*STDOUT;
        $ENV{TSAN_OPTIONS} = 'exitcode=66:halt_on_error=0';
        exec $Program, @Options or exit 127;
    }
    my ($Plan, $Seen, @Notes) = (undef, 0);
    while (my $Line = <$Pipe>) {
        chomp $Line;
        if ($Line =~ /^1\.\.(\d+)/) {
            $Plan = $1;
        } elsif ($Line =~ /^(not )?ok \d+ - (.*)$/) {
            $Seen += 1;
            ok(!$1, "$2 ($What)") or diag(map { "$_\n" } @Notes);
            @Notes = ();
        } else {
            push @Notes, $Line;
        }
    }
    close $Pipe;
    is($?, 0, "$What: no race, no failure") or diag(map { "$_\n" } @Notes[0 .. ($#Notes < 40 ? $#Notes : 40)]);
    is($Seen, $Plan // 'no plan', "$What: to the end of the plan");
}

threads('plain', '--seconds', 5);
threads('two nodes, dirty memory', '--nodes', 2, '--dirty', '--seconds', 5, '--seed', 2);

done_testing();
