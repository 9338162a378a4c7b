# Native programs as PE files, on both machines: what they print, how they end, and what the report says of it.
use strict;
use warnings;
use JSON::PP;
use Test::More;

my $Build = $ENV{BUILD} or BAIL_OUT('BUILD must name the build folder');
my $Ntmm = $ENV{NTMM} // "$Build/ntmm";

# [ name, exit status, the program's last status, code of the exception that nobody handled ]
my @Programs = (
    [ 'memory',   0, 0 ],
    [ 'threads',  0, 0 ],
    [ 'unwind',   0, 0 ],
    [ 'leaver',   0, 0x40000000 ],
    [ 'overflow', 4, 0xC00000FD, 0xC00000FD ],
    [ 'missing',  5 ],
);

sub run {
    my (@Words) = @_;
    my $Pid = open(my $Pipe, '-|') // die "fork: $!";
    if ($Pid == 0) {
        open STDERR, '>', '/dev/null';
        exec $Ntmm, 'run', @Words or exit 127;
    }
    my $Text = do { local $/; <$Pipe> } // '';
    close $Pipe;
    return ($Text, $? >> 8);
}

my %Committed;
for my $Program (@Programs) {
    my ($Name, $Exit, $Status, $Exception) = @$Program;
    my $Image = "$Build/test/programs/$Name.exe";
    my %Text;
    for my $Machine ('hosted', 'amd64') {
        my ($Text, $Got) = run('--machine', $Machine, '--quiet', $Image);
        is($Got, $Exit, "$Name on $Machine: exit status");
        unlike($Text, qr/^not ok/m, "$Name on $Machine: its own checks");
        like($Text, qr/^$Name: /, "$Name on $Machine: it said so");
        $Text{$Machine} = $Text;
    }
    is($Text{amd64}, $Text{hosted}, "$Name: the same text on both machines");

    my ($Text) = run('--json', '-', '--seed', 3, $Image);
    my $Report = decode_json($Text);
    is($Report->{driver}, undef, "$Name: no driver");
    $Committed{$Name} = $Report->{commit}{charge};
    next if !defined $Status;
    is(hex $Report->{program}{status}, $Status, "$Name: its status in the report");
    if (defined $Exception) {
        is(hex $Report->{program}{exception}{code}, $Exception, "$Name: the exception");
        is($Report->{program}{exception}{stack}[0]{function}, 'Deep', "$Name: where it was");
    } else {
        is($Report->{program}{exception}, undef, "$Name: no exception");
    }
    my ($Again) = run('--json', '-', '--seed', 3, $Image);
    is($Again, $Text, "$Name: the same seed, the same run") if $Name ne 'threads'; # one of its threads never calls
}
cmp_ok(abs($Committed{leaver} - $Committed{memory}), '<', 100, 'what a program leaves behind is given back');

my ($Line) = run('--quiet', "$Build/test/programs/memory.exe", 'one', 'two words', 'quo"te', '');
like($Line, qr/^memory: \[memory\.exe one "two words" "quo\\"te" ""\]$/m, 'arguments are in the command line');
is((run($_, "x$_", "$Build/test/programs/memory.exe"))[1], 2, "$_ is for drivers") for '--ioctl', '--fail', '--registry';

# Bad images.
my ($Text, $Status) = run("$Build/samples/hello.sys.exe");
is($Status, 2, 'no such program');
{
    open my $From, '<:raw', "$Build/test/programs/memory.exe" or die $!;
    read $From, my $Bytes, 3000;
    my $Name = "$Build/test/programs/truncated-$$.exe";
    open my $To, '>:raw', $Name or die $!;
    print $To $Bytes;
    close $To;
    ($Text, $Status) = run($Name);
    unlink $Name;
    is($Status, 2, 'a truncated program');
}
done_testing();
