# Machine.pm - what the tests of the command share: a made-up machine, reports for it to send, and a
# way to run the command and see everything that came of it.
#
# The machine is a Perl script, which runs the "image" as Perl code: so each test writes the
# behaviour it needs into its image. That code sees $Report (the pipe), %Option and @Drive (its
# command line), $Image, and send(TEXT).
package Machine;

use strict;
use warnings;
use Exporter 'import';
use File::Temp 'tempdir';
use JSON::PP;
use POSIX ();
use Time::HiRes 'time';

our @EXPORT = qw(folder image machine report json sending run start finish slurp spew);

my $Ntmm = $ENV{NTMM} or die "NTMM must name the command to test\n";
my $Folder = tempdir('ntmm-cli-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $Runs = 0;

sub folder { return $Folder }

sub slurp {
    my ($Path) = @_;
    open my $File, '<:raw', $Path or return undef;
    local $/;
    my $Data = <$File>;
    return $Data // '';
}

sub spew {
    my ($Path, $Data) = @_;
    open my $File, '>:raw', $Path or die "$Path: $!";
    print $File $Data;
    close $File or die "$Path: $!";
    return $Path;
}

# Write an image whose "code" is Perl, and return its path.
sub image {
    my ($Code, $Name) = @_;
    return spew("$Folder/" . ($Name // 'test.sys'), $Code);
}

# Write a program that stands for ntmm-hosted, and use it from now on.
sub machine {
    my ($Code) = @_;
    my $Path = "$Folder/machine" . ++$Runs;
    spew($Path, "#!/usr/bin/perl\n$Code");
    chmod 0755, $Path;
    $ENV{NTMM_HOSTED} = $Path;
    return $Path;
}

machine(<<'END');
use strict;
use warnings;
our (%Option, @Drive, $Image, $Report, @Words);
@Words = @ARGV;
while (@ARGV > 1) {
    if ($ARGV[0] eq '--no-verify') { $Option{shift @ARGV} = 1; next }
    my ($Name, $Value) = splice @ARGV, 0, 2;
    if ($Name eq '--drive') { push @Drive, $Value } else { $Option{$Name} = $Value }
}
$Image = $ARGV[0];
$| = 1;
open $Report, '>&=', $Option{'--report-fd'} or exit 97;
sub send { my ($Text) = @_; print $Report $Text; close $Report; }
my $Code = do { open my $File, '<', $Image or exit 96; local $/; <$File> };
eval $Code;
print STDERR $@ if $@;
exit($@ ? 95 : 0);
END

# A report as the machine sends it, some members replaced.
sub report {
    my (%Changes) = @_;
    return {
        ntmm => 1, image => 'test.sys', machine => 'hosted', seed => 1, replayable => JSON::PP::true,
        isolation => 'none', memory => 268435456, processors => 2, verifier => JSON::PP::true, exit => 0,
        program => undef,
        driver => { name => 'test.sys', base => '0x0000400000010000', size => 24576,
                    entry => '0x00000000', unloaded => JSON::PP::true },
        modules => [ { name => 'test.sys', base => '0x0000400000010000', size => 24576 } ],
        bugcheck => undef, stop => undef, missing_imports => [], fail => undef, findings => [],
        pool => [ { tag => 'Tour', type => 'Nonp', allocs => 3, frees => 3, diff => 0, bytes => 0 } ],
        pages => { total => 65536, virgin => 65000, zeroed => 100, free => 36,
                   standby => [ 0, 0, 0, 0, 0, 0, 0, 0 ], modified => 0, modified_no_write => 0,
                   bad => 0, transition => 0, active => 400 },
        page_use => [], commit => { charge => 400, limit => 196608, peak => 410 },
        faults => { total => 7, demand_zero => 6, transition => 1 }, time => { virtual_ns => 1234567 },
        %Changes,
    };
}

# The bytes a machine sends for a report.
sub json {
    my ($Report) = @_;
    return JSON::PP->new->utf8->canonical->encode($Report);
}

# The code of an image that sends these bytes, whatever they are.
sub sending {
    my ($Bytes) = @_;
    return "&send(pack 'H*', '" . unpack('H*', $Bytes) . "');";
}

# Start the command; finish waits for it and returns status, signal, out, err and seconds.
sub start {
    my (@Words) = @_;
    my $Name = "$Folder/run" . ++$Runs;
    my $Started = time;
    my $Process = fork // die "fork: $!";
    if ($Process == 0) {
        open STDOUT, '>', "$Name.out" or POSIX::_exit(98);
        open STDERR, '>', "$Name.err" or POSIX::_exit(98);
        exec { $Ntmm } $Ntmm, @Words or POSIX::_exit(98);
    }
    return { process => $Process, name => $Name, started => $Started };
}

sub finish {
    my ($Run) = @_;
    waitpid $Run->{process}, 0;
    return {
        status => $? >> 8, signal => $? & 127, seconds => time - $Run->{started},
        out => slurp("$Run->{name}.out"), err => slurp("$Run->{name}.err"),
    };
}

sub run { return finish(start(@_)) }

1;
