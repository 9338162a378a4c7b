# How runs end: each exit status, and the words that go with it.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Drivers;
use Test::More;
use Time::HiRes 'time';

for my $Compiler ('gcc', 'clang') {
    my $Image = image('endings', $Compiler);

    my $Run = run({ json => 1 }, $Image);
    is($Run->{status}, 0, "missing imports that are not called do no harm ($Compiler)");
    is(scalar(() = $Run->{err} =~ /^ntmm: endings\.sys imports ntoskrnl\.exe!NtmmNoSuch(?:Other)?Routine, /mg), 2,
       'each is named on standard error');
    like($Run->{out}, qr/^started\n# unloaded\n== /, 'the driver was loaded and unloaded');
    is_deeply([ sort grep { /NoSuch/ } map { ref ? $_->{name} : $_ } @{ $Run->{json}{missing_imports} } ],
              [ map { $Run->{json}{missing_imports}[0] =~ /!/ ? "ntoskrnl.exe!$_" : $_ }
                qw(NtmmNoSuchOtherRoutine NtmmNoSuchRoutine) ], 'and in the report') if @{ $Run->{json}{missing_imports} // [] };

    $Run = run({}, '--quiet', named($Image, 'calls'));
    is($Run->{status}, 5, 'calling one ends the run');
    like($Run->{err}, qr/^ntmm: .*\bNtmmNoSuchRoutine\b(?!.*\bimports\b).*$/m, 'it is named');
    like($Run->{err} =~ s/^ntmm: \S+ imports .*\n//mgr, qr/NtmmNoSuchRoutine/, 'in a line of its own');
    like($Run->{err}, qr/calls\.sys\+0x[0-9a-f]+\s+DriverEntry \(endings\.c:\d+\)/, 'with the place');

    $Run = run({}, '--quiet', named($Image, 'ordinal'));
    is($Run->{status}, 5, 'calling a missing ordinal ends the run');
    like($Run->{err} =~ s/^ntmm: \S+ imports .*\n//mgr, qr/#65000/, 'it is named');

    $Run = run({}, named($Image, 'fails'));
    is($Run->{status}, 4, 'DriverEntry fails');
    is(($Run->{err} =~ s/^ntmm: \S+ imports .*\n//mgr), "ntmm: DriverEntry failed: 0xC0000182\n", 'its status is printed');
    like($Run->{out}, qr/^Loaded at .*; DriverEntry returned 0xC0000182; not unloaded$/m, 'and in the report');

    for my $Loop ([ 'spins', 'SpinForEver' ], [ 'polls', 'PollForEver' ]) {
        my $Started = time;
        $Run = run({}, '--quiet', '--timeout', '1s', named($Image, $Loop->[0]));
        is($Run->{status}, 5, "a driver that $Loop->[0] is stopped");
        cmp_ok(time - $Started, '<', 6, 'soon after its time');
        like($Run->{err}, qr/time/, 'the reason is told');
        like($Run->{err}, qr/$Loop->[0]\.sys\+0x[0-9a-f]+/, 'and where it was') or diag($Run->{err});
        like($Run->{err}, qr/$Loop->[1]/, 'by name');
    }

    my $Started = time;
    $Run = run({}, '--quiet', '--timeout', '30s', named($Image, 'waits'));
    is($Run->{status}, 5, 'a wait that nobody ends is noticed');
    cmp_ok(time - $Started, '<', 10, 'at once, not at the time-out');
    like($Run->{err}, qr/deadlock|waits/i, 'the reason is told');
    like($Run->{err}, qr/waits\.sys\+0x[0-9a-f]+\s+WaitForEver \(endings\.c:\d+\)/, 'and who waits where') or diag($Run->{err});

    $Run = run({}, named($Image, 'stays'));
    is($Run->{status}, 0, 'a driver without unload routine');
    like($Run->{out}, qr/; not unloaded$/m, 'stays');
}

done_testing();
