# The amd64 machine as the command sees it: what QEMU is handed, how it may end, and that nothing of it stays. QEMU is a Perl
# script here, which runs the "image" as Perl code, as in Machine.pm; drivers on the real one are in test/drivers.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use JSON::PP;
use Machine;
use Test::More;
use Time::HiRes 'sleep';

my $Folder = folder();
$ENV{NTMM_AMD64} = spew("$Folder/kernel", 'not looked at');
$ENV{NTMM_ACCEL} = 'tcg';
$ENV{NTMM_QEMU} = spew("$Folder/qemu-system-x86_64", <<'END');
#!/usr/bin/perl
use strict;
use warnings;
our @Words = @ARGV;
our ($Accelerator) = map { $Words[$_] eq '-accel' ? $Words[$_ + 1] : () } 0 .. $#Words;
our (%Way, %Member, @Names);
for (@Words) { $Way{$1} = $2 if m{id=(\w+),path=/dev/fdset/(\d+)} }
sub out { my ($Name, $Text) = @_; open my $File, '>&=', $Way{$Name} or exit 90; syswrite $File, $Text; close $File; }
sub leave { exit((($_[0] + 16) << 1) | 1) }
sub fails { syswrite STDERR, "qemu-system-x86_64: $_[0]\n"; exit 1 }
sub asked { my $Line = <STDIN>; return $Line }
open my $Pack, '<:raw', $Words[-1] or exit 91;
for (;;) {
    read($Pack, my $Header, 110) == 110 or exit 92;
    my ($Magic, @Numbers) = unpack 'A6 (A8)13', $Header;
    $Magic eq '070701' or exit 93;
    my ($Size, $NameSize) = map { hex } @Numbers[6, 11];
    read $Pack, my $Name, ((110 + $NameSize + 3) & ~3) - 110;
    read $Pack, my $Data, ($Size + 3) & ~3;
    $Name =~ s/\0.*//s;
    last if $Name eq 'TRAILER!!!';
    push @Names, $Name;
    $Member{$Name} = substr $Data // '', 0, $Size;
}
our @Options = split /\0/, $Member{'ntmm-options'};
our ($Image) = map { /^image=(.*)/ ? $1 : () } @Options;
eval $Member{$Image};
print STDERR $@ if $@;
exit 95;
END
chmod 0755, $ENV{NTMM_QEMU};

my $Report = json(report(machine => 'amd64', isolation => 'page tables'));
my $Send = "out('report', pack 'H*', '" . unpack('H*', $Report) . "');";
sub amd64 { return run('run', '--machine', 'amd64', @_) }

# What it is handed.
my $Input = spew("$Folder/input", "\0\1\2" x 3);
my $Run = amd64('--memory', '64M', '--processors', 4, '--seed', 7, '--ioctl', '0x222000,in=00FF,out=4', '--ioctl',
    "\\Device\\Foo,1,in=\@$Input", image("out('lines', join ' ', \@Options, 'MEMBERS', \@Names, 'WORDS', \@Words, unpack('H*', "
    . "\$Member{'$Input'}) . qq(\\n)); out('text', qq(one\\ntwo)); $Send leave(0)"));
is($Run->{status}, 0, 'a run') or diag($Run->{err});
like($Run->{out}, qr/\Aone\ntwo\n?== ntmm report: test\.sys, amd64/, 'its text, then the report');
my $Image = "$Folder/test.sys";
like($Run->{err}, qr/^memory=67108864 processors=4 pagefile=536870912 seed=7 ioctl=2236416:4: ioctl-hex=00FF ioctl=1:0:\\Device\\Foo ioctl-file=\Q$Input\E image=\Q$Image\E MEMBERS/,
     'the options');
like($Run->{err}, qr/ MEMBERS ntmm-options \Q$Input $Image\E WORDS .*size=67108864B -smp 4 .* 000102000102000102\n/, 'the files');

# How it may end.
is(amd64('--quiet', image("out('lines', qq(ntmm: no\\n)); leave(2)"))->{status}, 2, 'an image that is refused');
is(amd64(image(json2('exit', 1)))->{status}, 1, 'a finding');
sub json2 { return "out('report', pack 'H*', '" . unpack('H*', json(report(machine => 'amd64', @_))) . "'); leave(1)" }

sub broken {
    my ($Code, $Pattern, $Name, @Options) = @_;
    my $Got = amd64('--json', "$Folder/broken.json", @Options, image($Code));
    is($Got->{status}, 5, "$Name: exit 5");
    like($Got->{err}, qr/\Antmm: $Pattern[^\n]*\n/, "$Name: said in one line") or diag($Got->{err});
    my $Json = decode_json(slurp("$Folder/broken.json"));
    is_deeply([ @$Json{qw(exit machine isolation)} ], [ 5, 'amd64', 'page tables' ], "$Name: in the report");
    return $Json;
}
broken("fails('cannot set up guest memory: no')", 'qemu-system-x86_64 failed: cannot set up guest memory: no', 'an error');
broken("syswrite STDERR, qq(warning: dull\\nqemu-system-x86_64: warning: x\\n); fails('worse')",
       'qemu-system-x86_64 failed', 'warnings before it');
broken('exit 0', 'the machine was reset', 'a triple fault');
broken('kill 9, $$; sleep 9', 'qemu-system-x86_64 died of signal 9', 'death');
broken("out('text', qq(here\\n)); exit 0", 'the machine was reset', 'a reset after some text');
my $Hang = broken("out('text', qq(a\\n\\xFFb\\x1B)); leave(5) if asked() eq qq(nmi\\n)", 'the machine ended with status 5 and sent no report',
       'asked to end', '--timeout', '300ms');
is_deeply($Hang->{stop}{console}, [ 'a', '.b.' ], '... with the last lines on the console');
is($Hang->{stop}{reason}, 'timeout', '... as a time-out');
my $Slow = start('run', '--machine', 'amd64', '--timeout', '200ms', image("out('text', qq(busy\\n)); asked(); sleep 60", 'slow.sys'));

# KVM that fails is not spoken of, unless the machine had begun.
delete $ENV{NTMM_ACCEL};
SKIP: {
    skip 'no /dev/kvm', 4 unless -r '/dev/kvm' && -w '/dev/kvm';
    $Run = amd64('--quiet', image("fails('error: failed to set MSR') if \$Accelerator eq 'kvm'; out('text', \"\$Accelerator\\n\"); $Send leave(0)"));
    is("$Run->{status} $Run->{out}$Run->{err}", "0 tcg\n", 'another try without KVM');
    $Run = amd64('--quiet', image("if (\$Accelerator eq 'kvm') { syswrite STDERR, qq(KVM internal error. Suberror: 1\\n); sleep 60 } "
                                  . "out('text', \"\$Accelerator\\n\"); $Send leave(0)"));
    is("$Run->{status} $Run->{out}$Run->{err}", "0 tcg\n", 'also when it stands still');
    cmp_ok($Run->{seconds}, '<', 20, 'at once');
    $Run = amd64('--quiet', image("out('text', \"\$Accelerator\\n\"); fails('late')"));
    is("$Run->{status} $Run->{out}", "5 kvm\n", 'a failure later on counts');
}
$ENV{NTMM_ACCEL} = 'tcg';

# An interrupt, and our own death, take QEMU along.
for my $Signal ('INT', 'TERM', 'KILL') {
    my $Mark = "$Folder/process$Signal";
    my $Started = start('run', '--machine', 'amd64', image("open my \$M, '>', '$Mark.new'; print \$M \$\$; close \$M; rename '$Mark.new', '$Mark'; sleep 60"));
    sleep 0.05 until -e $Mark;
    kill $Signal, $Started->{process};
    my $Ended = finish($Started);
    is($Signal eq 'KILL' ? $Ended->{signal} : $Ended->{status}, { INT => 130, TERM => 143, KILL => 9 }->{$Signal}, "SIG$Signal ends us");
    my $Process = slurp($Mark);
    my $Tries = 0;
    sleep 0.1 while kill(0, $Process) && slurp("/proc/$Process/stat") !~ /\) Z/ && $Tries++ < 50;
    ok(!kill(0, $Process) || (slurp("/proc/$Process/stat") // ') Z') =~ /\) Z/, '... and QEMU');
}

# A reader who leaves, and one who is slow.
my $Much = image("out('text', 'x' x 300000); $Send leave(0)", 'much.sys');
is(length(`$ENV{NTMM} run --machine amd64 --quiet $Much | (sleep 0.5; cat)`), 300000, 'much text, read late');
is(system("$ENV{NTMM} run --machine amd64 --quiet --json $Folder/left.json $Much | true"), 0, 'nobody reads');
is(decode_json(slurp("$Folder/left.json"))->{exit}, 0, '... and it is no matter');

my $Ended = finish($Slow);
is($Ended->{status}, 5, 'a machine that does not answer is killed');
like($Ended->{err}, qr/\Antmm: the time ran out and the machine did not answer\n  the last lines on its console:\n    busy\n/, '... and what it said last is told');

# What is missing.
my $Anything = image('leave(0)');
$ENV{NTMM_AMD64} = "$Folder/nowhere";
{
    local $ENV{NTMM_QEMU} = '';
    local $ENV{PATH} = $Folder . '/empty';
    $Run = amd64($Anything);
    is($Run->{status}, 5, 'no QEMU');
    like($Run->{err}, qr/\Antmm: --machine amd64 needs qemu-system-x86_64, which is not installed[^\n]*\n\z/, '... in one line');
}
{
    local $ENV{NTMM_QEMU} = "$Folder/nothing";
    $Run = amd64($Anything);
    is($Run->{status}, 5, 'a QEMU that is not there');
    like($Run->{err}, qr/\Antmm: cannot start [^\n]*\n\z/, '... in one line');
}
is_deeply([ grep { !/\.(sys|out|err|json)$|machine\d|run\d|process|kernel|input|qemu-system/ } map { s{.*/}{}r } glob "$Folder/*" ], [],
          'no file is left behind');

done_testing();
