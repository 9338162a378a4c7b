#!/usr/bin/perl
# The bare-metal kernel in QEMU: the kernel tests there, what it refuses, how it is stopped, a driver.
# KERNEL_TESTS_AMD64 names the test kernel; NTMM_AMD64 and SAMPLE, both or none, the kernel and a driver for it.
# T=word runs only the kernel tests with that in their name or path.
#
# The machine's time counts its instructions (-icount) and jumps to the next timer when nothing runs, so a run takes
# what it computes, and a busy host does not matter.
use strict;
use warnings;
use File::Temp qw(tempdir);
use IO::Select;
use IPC::Open2;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time sleep);

my $Tests = $ENV{KERNEL_TESTS_AMD64} or BAIL_OUT('KERNEL_TESTS_AMD64 must name the test kernel');
my $Qemu = 'qemu-system-x86_64';
grep { -x "$_/$Qemu" } split /:/, $ENV{PATH} or plan skip_all => "$Qemu is not installed";

my $Folder = tempdir('ntmm-boot-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $Limit = 600;
my $ExitBase = 16;

# Boot a kernel (undef: what is in the drive). Options: memory, smp (processors, two if not said), accel, append, more (words
# for QEMU), real (time of the host), when and monitor (send that line to QEMU's monitor when that text has appeared). Returns text, report, status of the machine (undef: QEMU failed).
sub boot {
    my ($Kernel, %Option) = @_;
    my $Report = "$Folder/report";
    unlink $Report, "$Folder/monitor";
    my @Words = ($Qemu, '-machine', 'q35', '-accel', $Option{accel} // 'tcg', '-cpu', 'max',
                 '-m', $Option{memory} // '256M', '-smp', $Option{smp} // '2',
                 '-display', 'none', '-nodefaults', '-no-reboot', '-serial', 'stdio', '-serial', "file:$Report",
                 '-monitor', "unix:$Folder/monitor,server=on,wait=off",
                 '-device', 'isa-debug-exit,iobase=0xf4,iosize=0x04');
    push @Words, '-kernel', $Kernel, '-append', $Option{append} // '' if defined $Kernel;
    push @Words, @{$Option{more} // []};
    push @Words, '-icount', 'shift=0,sleep=off' unless $Option{real};
    my $Process = open2(my $Out, my $In, @Words);
    my ($Text, $End, $Sent) = ('', time + $Limit, 0);
    my $Select = IO::Select->new($Out);
    while (time < $End) {
        $Select->can_read(1) or next;
        sysread($Out, $Text, 65536, length $Text) or last;
        if (defined $Option{monitor} && !$Sent && $Text =~ $Option{when}) {
            monitor($Option{monitor});
            $Sent = 1;
        }
    }
    kill 'KILL', $Process if time >= $End;
    waitpid $Process, 0;
    my $Code = $? & 127 ? undef : $? >> 8;
    my $Status = defined $Code && $Code & 1 && $Code >> 1 >= $ExitBase ? ($Code >> 1) - $ExitBase : undef;
    diag("QEMU ended with $?\n", substr($Text, -2000)) unless defined $Status;
    return { text => $Text, report => slurp($Report), status => $Status };
}

sub monitor {
    my ($Line) = @_;
    require IO::Socket::UNIX;
    my $Socket = IO::Socket::UNIX->new(Peer => "$Folder/monitor") or die "QEMU's monitor: $!";
    print $Socket "$Line\n";
    sleep 0.5;
    close $Socket;
}

sub slurp {
    my ($Path) = @_;
    open my $File, '<', $Path or return '';
    local $/;
    return <$File> // '';
}

# Every test of the plan ran, in order, and none failed.
sub check_tap {
    my ($Run, $Name) = @_;
    my ($Plan) = $Run->{text} =~ /^1\.\.(\d+)$/m;
    my @Passed = $Run->{text} =~ /^ok (\d+) - /mg;
    my @Failed = $Run->{text} =~ /^(not ok .*)$/mg;
    ok($Plan, "$Name: there is a plan");
    is_deeply(\@Failed, [], "$Name: nothing failed") or diag(join '', $Run->{text} =~ /^((?:#|not).*\n)/mg);
    is_deeply(\@Passed, [1 .. $Plan // 0], "$Name: all of it ran");
    is($Run->{status}, 0, "$Name: status");
    note("$Name: " . @Passed . ' kernel tests');
}

subtest 'kernel tests' => sub {
    my $Run = boot($Tests, append => $ENV{T} ? "test=$ENV{T}" : '',
                   more => ['-rtc', 'base=2024-02-29T12:34:56,clock=vm']);
    check_tap($Run, 'all');
    like($Run->{text}, qr/booted at 2024-02-29 12:34:5[6-9]/, 'the battery clock is read') unless $ENV{T};
};

unless ($ENV{T}) {
    # Whatever firmware or the last system left in memory: records and pages of free frames are not read before they are
    # written. Everything from 16 MB is filled.
    subtest 'dirty memory' => sub {
        open my $Dirt, '>:raw', "$Folder/dirt" or die "dirt: $!";
        print $Dirt "\xA5\x5A\xFF\x01\x80\x7F\xC3\xCC" x 131072 for 1 .. 110;
        close $Dirt;
        check_tap(boot($Tests, memory => '128M', append => 'seed=2 test=unit/p',
                       more => ['-device', "loader,file=$Folder/dirt,addr=0x1000000,force-raw=on"]), 'dirty');
        unlink "$Folder/dirt";
    };

    # The same on processors that really run at the same time (or take turns within one of the host's threads, by the host's
    # time): what only they do, then what shares most.
    subtest 'several processors' => sub {
        for my $Mode (['one', smp => 1], ['two', smp => 2], ['two in turns', smp => 2, accel => 'tcg,thread=single'],
                      ['four', smp => 4]) {
            my ($Name, @Option) = @$Mode;
            my $Run = boot($Tests, append => 'test=Amd64', real => 1, @Option);
            check_tap($Run, $Name);
            my %Processors = @Option;
            my @Lines = $Run->{text} =~ /^# line \d x{64}$/mg;
            is(@Lines, 20 * $Processors{smp}, "$Name: no line is broken");
        }
        check_tap(boot($Tests, append => 'test=pte/tlbflush', real => 1, smp => 4), 'four share page tables');
        my $Run = boot($Tests, append => 'processors=2 test=Amd64EveryProcessorAnswers', smp => 3);
        check_tap($Run, 'processors=2 of 3');
        like($Run->{text}, qr/^# processors: 2,/m, 'only two of three are used');
    };

    # A shootdown that leaves other processors out is noticed by whoever looks through the mapping there.
    subtest 'stress' => sub {
        my $Run = boot($Tests, append => 'test=Stress=2', smp => 2, real => 1);
        check_tap($Run, 'stress');
        $Run = boot($Tests, append => 'test=Stress=60,forget', smp => 2, real => 1);
        is($Run->{status}, 1, 'shootdowns are forgotten: it fails');
        like($Run->{text}, qr/Stale == 0: got/, 'because of a stale translation');
    };

    subtest 'nodes' => sub {
        my $Run = boot($Tests, append => 'test=Amd64', memory => '512M', smp => 4, more =>
                       ['-object', 'memory-backend-ram,size=384M,id=m0', '-object', 'memory-backend-ram,size=128M,id=m1',
                        '-numa', 'node,nodeid=0,memdev=m0,cpus=0-1', '-numa', 'node,nodeid=1,memdev=m1,cpus=2-3']);
        check_tap($Run, 'nodes');
        like($Run->{text}, qr/^# processors: 4, highest node: 1$/m, 'two nodes');
        check_tap(boot($Tests, append => 'test=unit/pool', memory => '512M', smp => 2, more =>
                       ['-object', 'memory-backend-ram,size=256M,id=m0', '-object', 'memory-backend-ram,size=256M,id=m1',
                        '-numa', 'node,nodeid=0,memdev=m0,cpus=0', '-numa', 'node,nodeid=1,memdev=m1,cpus=1']),
                  'pools on two nodes');
    };

    subtest 'memory above 4 GB' => sub {
        check_tap(boot($Tests, memory => '6G', append => 'test=Amd64'), '6 GB');
    };

    subtest 'little memory' => sub {
        check_tap(boot($Tests, memory => '24M', append => 'test=Amd64'), '24 MB');
        my $Run = boot($Tests, memory => '12M');
        is($Run->{status}, 2, 'too little is refused');
        like($Run->{text}, qr/\Antmm: .*memory.*\n\z/, 'in one line');
    };

    subtest 'an older processor and board' => sub {
        check_tap(boot($Tests, append => 'test=Amd64', more => ['-machine', 'pc', '-cpu', 'qemu64']), 'pc');
    };

    subtest 'unsupported processors' => sub {
        for my $Processor (['qemu32', '64-bit'], ['qemu64,-nx', 'execute protection'], ['qemu64,-apic', 'APIC']) {
            my ($Model, $What) = @$Processor;
            my $Run = boot($Tests, more => ['-cpu', $Model], smp => 1);
            is($Run->{status}, 2, "$Model: refused");
            like($Run->{text}, qr/\Antmm: .*\Q$What\E.*\n\z/, "$Model: in one line that says why");
        }
    };

    subtest 'command line' => sub {
        my $Run = boot($Tests, append => 'seed=7 test=Amd64IrqlIsCr8');
        check_tap($Run, 'filter');
        like($Run->{text}, qr/^1\.\.1$/m, 'one test was picked');
        for my $Bad ('colour=red', 'seed=', 'seed=12x', 'seed=99999999999999999999', 'test') {
            $Run = boot($Tests, append => $Bad);
            is($Run->{status}, 2, "$Bad: refused");
            like($Run->{text}, qr/\Antmm: .*\n\z/, "$Bad: in one line");
        }
    };

    # The time-out of whoever started it: a nonmaskable interrupt.
    subtest 'time-out' => sub {
        my $Run = boot($Tests, append => 'test=KeTimersOfAllDistances', real => 1, when => qr/^1\.\.1$/m,
                       monitor => 'nmi');
        is($Run->{status}, 5, 'status');
        my $Report = eval { decode_json($Run->{report}) };
        is($Report->{stop}{reason}, 'timeout', 'the report says so');
        is($Report->{machine}, 'amd64', 'and which machine it was');
        cmp_ok(scalar @{$Report->{stop}{stack} // []}, '>', 0, 'and where');
    };
}

SKIP: {
    skip 'no driver', 1 if $ENV{T} || !$ENV{NTMM_AMD64} || !$ENV{SAMPLE};
    subtest 'a driver' => sub {
        my $Run = boot($ENV{NTMM_AMD64}, append => 'seed=3 image=hello.sys', more => ['-initrd', $ENV{SAMPLE}]);
        is($Run->{status}, 0, 'status');
        like($Run->{text}, qr/hello from .*\n.*goodbye/s, 'its text is on the first serial port');
        my $Report = eval { decode_json($Run->{report}) };
        is($Report->{seed}, 3, 'the report is on the second');
        is($Report->{image}, 'hello.sys', 'and names it');
        is_deeply($Report->{findings}, [], 'nothing found');
        $Run = boot($ENV{NTMM_AMD64});
        is($Run->{status}, 5, 'no image: nothing to do');
    };
}

SKIP: {
    skip 'no driver', 1 if $ENV{T} || !$ENV{NTMM_AMD64} || !$ENV{SAMPLE};
    skip 'grub-mkrescue and xorriso are not installed', 1
        if grep { my $Tool = $_; !grep { -x "$_/$Tool" } split /:/, $ENV{PATH} } qw(grub-mkrescue xorriso);
    subtest 'GRUB' => sub {
        (my $MakeIso = $0) =~ s{test/boot/boot\.t$}{tools/mkiso.sh};
        is(system('sh', $MakeIso, $ENV{NTMM_AMD64}, "$Folder/iso", $ENV{SAMPLE}), 0, 'an image is made');
        my $Run = boot(undef, real => 1, more => ['-vga', 'std', '-cdrom', "$Folder/iso"]);
        is($Run->{status}, 0, 'status');
        like($Run->{text}, qr/^\r?== memory map\n([0-9a-f]{16}-[0-9a-f]{16} .* pages .*\n)+/m, 'the memory map');
        like($Run->{text}, qr/hello from .*\n.*goodbye/s, 'the text of the driver');
        my ($Json) = $Run->{text} =~ /^(\{"ntmm":.*)/ms;
        my $Report = eval { decode_json($Json // '') };
        is($Report->{image}, 'hello.sys', 'the report, which names it');
        is($Report->{processors}, 2, 'and the processors');
        unlink "$Folder/iso";
    };
}

done_testing();
