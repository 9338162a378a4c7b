# Drivers.pm - what the tests of drivers share: where the images and the command are, and a way to run one and see
# everything that came of it.
#
# BUILD names the build folder. $Drivers::San is the sanitized machine, undef if it was not built.
package Drivers;

use strict;
use warnings;
use Cwd 'abs_path';
use Exporter 'import';
use File::Basename 'dirname';
use File::Copy 'copy';
use File::Temp 'tempdir';
use JSON::PP;
use POSIX ();
use Test::More ();

our @EXPORT = qw(build folder image machines named run runs slurp spew);

my $Build = abs_path($ENV{BUILD} // dirname(abs_path(__FILE__)) . '/../../build');
our $Ntmm = $ENV{NTMM} // "$Build/ntmm";
our $San = -x "$Build/san/ntmm-hosted" ? "$Build/san/ntmm-hosted" : undef;
my $Folder = tempdir('ntmm-drivers-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $Runs = 0;

Test::More::BAIL_OUT("$Ntmm is not there: build first") unless -x $Ntmm;

sub build { return $Build }
sub folder { return $Folder }

sub slurp {
    my ($Path) = @_;
    open my $File, '<:raw', $Path or return undef;
    local $/;
    return <$File> // '';
}

sub spew {
    my ($Path, $Data) = @_;
    open my $File, '>:raw', $Path or die "$Path: $!";
    print $File $Data;
    close $File or die "$Path: $!";
    return $Path;
}

# A test driver, as this compiler made it.
sub image {
    my ($Name, $Compiler) = @_;
    return "$Build/test/drivers/" . ($Compiler // 'gcc') . "/$Name.sys";
}

# A copy of an image under another name.
sub named {
    my ($Image, $Name) = @_;
    my $Path = "$Folder/$Name.sys";
    copy($Image, $Path) or die "$Image: $!";
    return $Path;
}

# The machines to run on: name => path of ntmm-hosted, '' for the command's own.
sub machines {
    return ([ 'plain', '' ], $San ? ([ 'sanitized', $San ]) : ());
}

# Run the command with these words; status, signal, standard output and error. Option machine => PATH, json => 1.
sub run { return finish(start(@_)) }

# The same for several at once, each an array of what run takes: their results in this order. Width is how many run at a time.
sub runs {
    my ($Width, @Runs) = @_;
    my (@Started, @Results);
    for my $Index (0 .. $#Runs) {
        $Results[$Index - $Width] = finish($Started[$Index - $Width]) if $Index >= $Width;
        $Started[$Index] = start(@{ $Runs[$Index] });
    }
    $Results[$_] //= finish($Started[$_]) for 0 .. $#Runs;
    return @Results;
}

sub start {
    my ($Options, @Words) = @_;
    my $Name = "$Folder/run" . ++$Runs;
    unshift @Words, '--json', "$Name.json" if $Options->{json};
    my $Process = fork // die "fork: $!";
    if ($Process == 0) {
        $ENV{NTMM_HOSTED} = $Options->{machine} if $Options->{machine};
        open STDOUT, '>', "$Name.out" or POSIX::_exit(98);
        open STDERR, '>', "$Name.err" or POSIX::_exit(98);
        exec { $Ntmm } $Ntmm, 'run', @Words or POSIX::_exit(98);
    }
    return { process => $Process, name => $Name, json => $Options->{json} };
}

sub finish {
    my ($Run) = @_;
    my $Name = $Run->{name};
    waitpid $Run->{process}, 0;
    my $Json = $Run->{json} ? slurp("$Name.json") : undef;
    my $Result = {
        status => $? >> 8, signal => $? & 127, out => slurp("$Name.out"), err => slurp("$Name.err"),
        json => defined $Json ? eval { decode_json($Json) } : undef,
    };
    unlink map { "$Name.$_" } qw(out err json);
    return $Result;
}

1;
