# What a machine may do to us: run too long, die, lie, flood, refuse to end. And what it starts with.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use JSON::PP;
use Machine;
use Test::More;
use Time::HiRes 'sleep';

my $Report = json(report());
my $Stopped = json(report(exit => 5, stop => { reason => 'timeout', text => 'the time ran out',
    stack => [ { address => '0x0000400000011234', module => 'test.sys', offset => '0x1234' } ] }));

# Exit 5, a line on standard error, and a report that says the same.
sub broken {
    my ($Code, $Pattern, $Name, @Options) = @_;
    my $File = folder() . '/broken.json';
    unlink $File;
    my $Run = run('run', '--json', $File, @Options, image($Code));
    is($Run->{status}, 5, "$Name: exit 5");
    like($Run->{err}, qr/^ntmm: $Pattern/m, "$Name: said on standard error");
    like($Run->{out}, qr/^== ntmm report: test\.sys.*^Stopped: $Pattern.*^== stopped/ms,
         "$Name: in the text report");
    my $Json = eval { decode_json(slurp($File)) } // {};
    like($Json->{stop}{text}, qr/$Pattern/, "$Name: in the JSON report");
    is_deeply([ sort grep { $_ ne 'open_line' } keys %$Json ], [ sort keys %{ report() } ],
              "$Name: with every key");
    is($Json->{exit}, 5, "$Name: and its status");
    return $Run;
}

# Time-out.
my $Answering = '$SIG{TERM} = sub { ' . sending($Stopped) . ' exit 5 }; sleep 60;';
my $Run = run('run', '--timeout', '300ms', image($Answering));
is($Run->{status}, 5, 'time-out');
is($Run->{err}, "ntmm: the time ran out\n    test.sys+0x1234\n", 'and where it was');
cmp_ok($Run->{seconds}, '<', 2, 'soon');
cmp_ok($Run->{seconds}, '>=', 0.3, 'but not too soon');

# The slow cases run while the others are tested.
my $Deaf = start('run', '--timeout', '200ms',
                 image('$SIG{TERM} = "IGNORE"; sleep 1 while 1;', 'deaf.sys'));
my $Slow = start('run', image('$SIG{TERM} = "IGNORE"; ' . sending($Report)
                              . 'sleep 1 while 1;', 'slow.sys'));
broken('sleep 60;', 'the time ran out and the machine did not answer',
       'time-out without an answer', '--timeout', '200ms');

# Half a report, no report, the wrong report.
broken('kill 11, $$; sleep 9;', 'the machine died of signal 11 \(Segmentation fault\)', 'a crash');
broken('print $Report q(' . $Report . '); close $Report; kill 6, $$; sleep 9;',
       'the machine died of signal 6 \(Aborted\)', 'a crash after the report');
broken('exit 0;', 'the machine ended with status 0 and sent no report', 'no report');
broken('exit 99;', 'the machine ended with status 99 and sent no report', 'no report, odd status');
broken(sending($Report) . 'exit 99;', 'the machine ended with status 99 after its report',
       'an odd status after the report');
broken(sending(substr $Report, 0, -20), q(the machine's report of \d+ bytes is not valid JSON),
       'a truncated report');
broken(sending(substr $Report, 0, -20) . 'exit 2;', q(the machine's report of),
       'a truncated report with status 2');
broken(sending("$Report\{}"), 'the machine.s report of', 'two reports');
broken('&send("[" x 100000);', 'the machine.s report of', 'a deep report');
broken('&send("\0\xFF\xFE");', 'the machine.s report of', 'bytes');
broken('&send("[]");', 'the machine.s report has no proper .ntmm.', 'an array');
broken(sending(json(report(ntmm => 2))), 'the machine.s report is of another version',
       'another version');
for my $Key (sort keys %{ report() }) {
    my $Damaged = report();
    delete $Damaged->{$Key};
    broken(sending(json($Damaged)), "the machine's report has no proper '$Key'",
           "without $Key") if $Key =~ /^(findings|pages|seed)$/;
}
broken(sending(json(report(findings => 'many'))), q(.*no proper 'findings'), 'a wrong type');

# Members of any type below the top are survived.
for my $Junk (7, 'x', undef, [ 1, 'x', [] ], { stack => 5, code => [] }) {
    my $List = [ $Junk, { stack => [ $Junk, { module => 'test.sys', offset => $Junk } ] } ];
    $Run = run('run', image(sending(json(report(
        findings => $List, pool => $List, page_use => $List, modules => $List,
        missing_imports => $List, pages => { total => 5, standby => $Junk, free => $Junk })))));
    is($Run->{status}, 1, 'survives ' . json([ $Junk ]));
}
$Run = run('run', image(sending(json(report(image => "a\e[2Jb",
    findings => [ { rule => "x\e]0;y\a", text => "two\nlines" } ])))));
unlike($Run->{out}, qr/[\e\a]/, 'no control character gets through');
like($Run->{out}, qr/two\.lines/, 'and a line stays a line');

# A machine that leaves a process behind, one that does not hear, one that does not end.
$Run = run('run', image('if (fork == 0) { sleep 5; exit } ' . sending($Report)));
is($Run->{status}, 0, 'a machine that leaves a process behind');
cmp_ok($Run->{seconds}, '<', 2, 'is not waited for');
$Run = finish($Deaf);
is($Run->{status}, 5, 'a deaf machine');
like($Run->{err}, qr/^ntmm: the time ran out and the machine did not answer\n/, 'is killed');
cmp_ok($Run->{seconds}, '>=', 2.1, 'after two seconds');
$Run = finish($Slow);
is($Run->{status}, 5, 'a machine that does not end');
like($Run->{err}, qr/did not end after its report and was killed/, 'is killed');
like($Run->{out}, qr/^Pool by tag/m, 'its report is shown');

# Much output, on both ways.
my $Lines = 'print "x" x 99, "\n" for 1 .. 50000;';
my $Many = json(report(findings => [ map { { rule => 'pool-leak', text => "number $_", count => 1,
    stack => [ { address => sprintf('0x%016X', $_), module => 'test.sys',
                 offset => sprintf '0x%X', $_ } ] } }
    1 .. 20000 ]));
$Run = run('run', image($Lines . sending($Many)));
is($Run->{status}, 1, 'much output');
is(() = $Run->{out} =~ /^x{99}$/mg, 50000, 'all of the text');
like($Run->{out}, qr/^100\. pool-leak: number 100\n.*^\.\.\. and 19900 more/ms, 'the first findings');
like($Run->{out}, qr/\n== 20000 findings\n\z/, 'and how many there are');

# Interrupts. The image says in a file which process it is, once it runs.
sub marking {
    my ($Mark) = @_;
    my $Running = start('run', image(qq(open my \$F, '>', '$Mark.new'; print \$F \$\$; close \$F;)
                                   . qq(rename '$Mark.new', '$Mark'; sleep 60;)));
    for (1 .. 500) { last if -e $Mark; sleep 0.02 }
    return $Running;
}
for my $Case ([ INT => 130 ], [ TERM => 143 ], [ HUP => 129 ]) {
    my ($Signal, $Status) = @$Case;
    my $Mark = folder() . "/mark$Signal";
    my $Running = marking($Mark);
    kill $Signal, $Running->{process};
    $Run = finish($Running);
    is($Run->{status}, $Status, "SIG$Signal");
    is($Run->{out} . $Run->{err}, '', 'without a word');
    ok(!kill(0, slurp($Mark)), 'and the machine is gone');
}
my $Mark = folder() . '/markKILL';
my $Running = marking($Mark);
kill 'KILL', $Running->{process};
finish($Running);
for (1 .. 100) { last unless kill 0, slurp($Mark); sleep 0.02 }
my ($State) = (slurp('/proc/' . slurp($Mark) . '/stat') // '0 (gone) Z') =~ /\) (\S)/;
is($State, 'Z', 'the machine does not outlive a killed supervisor');

# What a machine starts with.
$ENV{SECRET} = 'value';
open my $Extra, '<', '/dev/null' or die;
$Run = run('run', '--quiet', image(
    'print join(",", map { "$_=$ENV{$_}" } sort keys %ENV), "\n";'
  . 'print readlink("/proc/self/fd/0"), "\n";'
  . 'print join(",", grep { defined readlink "/proc/self/fd/$_" } 0 .. 100), "\n";'
  . 'open my $P, "<", "/proc/self/personality"; print <$P>;'
  . 'print "$SIG{PIPE}\n" if defined $SIG{PIPE}; ' . sending($Report)));
my ($Environment, $Input, $Descriptors, $Persona) = split /\n/, $Run->{out};
is($Environment, 'LC_ALL=C,PATH=/usr/bin:/bin,TZ=UTC0', 'a fixed environment');
is($Input, '/dev/null', 'no input');
like($Descriptors, qr/^0,1,2,3(,4)?(,5)?$/, 'no descriptors but its own');
SKIP: {
    skip 'personality is not allowed here', 1 if defined $Persona && hex($Persona) == 0;
    is(hex($Persona // '0x40000') & 0x40000, 0x40000, 'no address randomization');
}

# The machine itself missing.
$ENV{NTMM_HOSTED} = '/nonexistent/machine';
$Run = run('run', image(''));
is($Run->{status}, 5, 'no machine');
like($Run->{err}, qr{^ntmm: cannot start the machine /nonexistent/machine: No such file}, 'said so');

done_testing;
