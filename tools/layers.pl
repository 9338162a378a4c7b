#!/usr/bin/perl
# Check that every #include respects tools/layers.txt. Prints each violation; exit 1 if there is one.
use strict;
use warnings;
use File::Find;
use File::Basename;

my $Top = dirname(dirname(__FILE__));
my (%Level, %Plug, %Debug, %Header, $Rank);
$Rank = 0;
open(my $Rules, '<', "$Top/tools/layers.txt") or die "layers.txt: $!\n";
while (<$Rules>) {
    s/#.*//; next unless /\S/;
    my @Word = split;
    if ($Word[0] eq 'plug')      { $Plug{$Word[1]} = 1; }
    elsif ($Word[0] eq 'debug')  { $Debug{$Word[1]} = 1; }
    elsif ($Word[0] eq 'header') { $Header{$Word[1]} = $Word[2]; }
    else                         { $Level{$Word[0]} = $Rank++; }
}

# The level folder a path belongs to: its longest matching prefix.
sub Folder {
    my ($Path) = @_;
    return $Header{$Path} if exists $Header{$Path};
    my $Dir = $Path;
    while (($Dir = dirname($Dir)) ne '.') {
        return $Dir if exists $Level{$Dir} || $Plug{$Dir} || $Debug{$Dir};
    }
    return undef;
}

my ($Bad, $Seen) = (0, 0);
my @Files;
find({ no_chdir => 1, wanted => sub {
    return unless -f $File::Find::name;
    my $Name = substr($File::Find::name, length($Top) + 1);
    push @Files, $Name if $Name =~ /\.[chS]$/ && $Name !~ m{^(build|\.git|cli|samples|test/(drivers|headers|fuzz))/};
}}, $Top);

for my $Name (sort @Files) {
    my $From = Folder($Name);
    if (!defined $From) { print "$Name: in no layer\n"; $Bad++; next; }
    open(my $In, '<', "$Top/$Name") or die "$Name: $!\n";
    while (<$In>) {
        # The machine is asked through hal.h, never by conditional compilation.
        if (/^\s*#\s*if.*\b(HOSTED|AMD64_BARE|__linux__|BARE_METAL)\b/ && !$Plug{$From} && $From ne 'hal') {
            print "$Name:$.: machine conditional above the seam\n"; $Bad++;
        }
        next unless /^\s*#\s*include\s*[<"]([^>"]+)[>"]/;
        my $What = $1;
        my $Path = -e "$Top/$What" ? $What : -e "$Top/" . dirname($Name) . "/$What" ? dirname($Name) . "/$What" :
                   -e "$Top/include/$What" ? "include/$What" : undef;
        next unless defined $Path;
        1 while $Path =~ s{(^|/)[^/.]+/\.\./}{$1};
        $Seen++;
        my $To = Folder($Path);
        next if !defined $To || $To eq $From;
        my $Ok;
        if ($Plug{$From})     { $Ok = !$Plug{$To}; }
        elsif ($Debug{$From}) { $Ok = $Debug{$To} || $To =~ m{^mm/} || (exists $Level{$To} && $Level{$To} <= $Level{'mm/process'}); }
        elsif ($Debug{$To})   { $Ok = $From =~ /^(init|test)/; }
        else                  { $Ok = exists $Level{$To} && $Level{$To} <= $Level{$From}; }
        if (!$Ok) { print "$Name:$.: $From includes $Path, of the higher layer $To\n"; $Bad++; }
    }
}
print "layers: $Seen includes in ", scalar(@Files), " files, $Bad violations\n";
exit($Bad ? 1 : 0);
