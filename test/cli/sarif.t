# SARIF: the rules of the 2.1.0 schema that matter here, and what the results say.
use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use JSON::PP;
use Machine;
use Test::More;

# --- The schema's rules: each object has what it must have, nothing that it cannot have, of the right type.

my %Rules = (
    log => { '$schema' => 'uri', version => 'text!', runs => 'run*!' },
    run => { tool => 'tool!', invocations => 'invocation*', results => 'result*', properties => 'any' },
    tool => { driver => 'component!' },
    component => { name => 'text!', version => 'text', rules => 'rule*' },
    rule => { id => 'text!', shortDescription => 'message', fullDescription => 'message', help => 'message',
              defaultConfiguration => 'configuration' },
    configuration => { level => 'level' },
    invocation => { commandLine => 'text', exitCode => 'number', executionSuccessful => 'boolean!',
                    toolExecutionNotifications => 'notification*' },
    notification => { level => 'level', message => 'message!', locations => 'location*' },
    result => { ruleId => 'text', ruleIndex => 'number', level => 'level', message => 'message!',
                locations => 'location*', stacks => 'stack*', codeFlows => 'flow*', occurrenceCount => 'positive',
                partialFingerprints => 'any', properties => 'any' },
    message => { text => 'text!' },
    location => { physicalLocation => 'physical', logicalLocations => 'logical*' },
    physical => { artifactLocation => 'artifact', region => 'region' },
    artifact => { uri => 'uri' },
    region => { startLine => 'positive' },
    logical => { name => 'text', fullyQualifiedName => 'text', kind => 'text' },
    stack => { message => 'message', frames => 'frame*!' },
    frame => { location => 'location', module => 'text', properties => 'any' },
    flow => { threadFlows => 'threadflow*!' },
    threadflow => { locations => 'step*!' },
    step => { location => 'location', nestingLevel => 'number' },
);
my %Plain = (
    text => sub { !ref $_[0] && length $_[0] },
    uri => sub { !ref $_[0] && $_[0] =~ m{\A(?:[A-Za-z][A-Za-z0-9+.-]*:)?[A-Za-z0-9\-._~/:%\#?&=+]*\z} && $_[0] !~ /%(?![0-9A-F]{2})/ },
    number => sub { !ref $_[0] && $_[0] =~ /\A\d+\z/ },
    positive => sub { !ref $_[0] && $_[0] =~ /\A[1-9]\d*\z/ },
    boolean => sub { JSON::PP::is_bool($_[0]) },
    level => sub { !ref $_[0] && $_[0] =~ /\A(?:none|note|warning|error)\z/ },
    any => sub { ref $_[0] eq 'HASH' },
);

sub faults {
    my ($Kind, $Value, $Where) = @_;
    return $Plain{$Kind}->($Value) ? () : "$Where is no $Kind" if $Plain{$Kind};
    return "$Where is no object" if ref $Value ne 'HASH';
    my $Rule = $Rules{$Kind};
    my @Faults = map { "$Where.$_ does not belong there" } grep { !$Rule->{$_} } sort keys %$Value;
    for my $Name (sort keys %$Rule) {
        my ($Type, $Many, $Needed) = $Rule->{$Name} =~ /\A(\w+)(\*?)(!?)\z/;
        if (!exists $Value->{$Name}) {
            push @Faults, "$Where.$Name is missing" if $Needed;
        } elsif (!$Many) {
            push @Faults, faults($Type, $Value->{$Name}, "$Where.$Name");
        } elsif (ref $Value->{$Name} ne 'ARRAY') {
            push @Faults, "$Where.$Name is no array";
        } else {
            my $Index = 0;
            push @Faults, map { faults($Type, $_, "$Where.$Name\[" . $Index++ . ']') } @{ $Value->{$Name} };
        }
    }
    return @Faults;
}

# Run an image that sends this report; the document, checked.
sub sarif {
    my ($Name, $Report, @Options) = @_;
    my $File = folder() . "/$Name.sarif";
    my $Run = run('run', '--quiet', '--sarif', $File, @Options, image(sending(json($Report))));
    my $Log = eval { decode_json(slurp($File) // '') };
    ok($Log, "$Name: a JSON document") or diag($Run->{err});
    is_deeply([ faults('log', $Log, $Name) ], [], "$Name: as the schema has it");
    is($Log->{version}, '2.1.0', "$Name: the version");
    my $Driver = $Log->{runs}[0]{tool}{driver};
    my %Ids = map { $_->{id} => 1 } @{ $Driver->{rules} };
    is(scalar keys %Ids, scalar @{ $Driver->{rules} }, "$Name: no rule twice");
    is_deeply([ grep { $Driver->{rules}[ $_->{ruleIndex} ]{id} ne $_->{ruleId} } @{ $Log->{runs}[0]{results} } ], [],
              "$Name: each result leads to its rule");
    return ($Log->{runs}[0], $Run);
}

my @Stack = ({ address => '0x00004000000111A2', module => 'test.sys', offset => '0x11A2' },
             { address => '0x00000000DEADBEEF', module => undef, offset => undef });
my %Leak = (rule => 'pool-leak', text => '64 bytes', address => '0x0000400000020010', size => 64, tag => 'Leak',
            type => 'NonPagedNx', count => 3, stack => \@Stack);

my ($Run, $Process) = sarif('leak', report(image => 'test.sys', exit => 1, findings => [ \%Leak ]), '--seed', 77);
is($Process->{status}, 1, 'the exit status is that of the run');
my ($Result) = @{ $Run->{results} };
is_deeply([ @$Result{qw(ruleId level occurrenceCount)} ], [ 'pool-leak', 'warning', 3 ], 'what was found');
is($Result->{message}{text}, '64 bytes', 'in words');
is($Result->{locations}[0]{logicalLocations}[0]{fullyQualifiedName}, 'test.sys+0x11A2', 'where, without symbols');
ok(!exists $Result->{locations}[0]{physicalLocation}, 'no file is invented');
is(scalar @{ $Result->{stacks}[0]{frames} }, 2, 'the whole stack');
is($Result->{codeFlows}[0]{threadFlows}[0]{locations}[-1]{location}{logicalLocations}[0]{fullyQualifiedName},
   'test.sys+0x11A2', 'the flow ends there');
is_deeply([ @{ $Result->{properties} }{qw(tag size type)} ], [ 'Leak', 64, 'NonPagedNx' ], 'the object');
like($Result->{properties}{replay}, qr{^ntmm run --seed 77 \S+$}, 'how to see it again');
is($Run->{invocations}[0]{executionSuccessful}, JSON::PP::true, 'the run came to its end');

# The print does not depend on addresses.
my ($Again) = sarif('again', report(image => 'test.sys', exit => 1, findings => [ { %Leak, stack => [ { %{ $Stack[0] }, address => '0x0000500000011' . '1A2' }, $Stack[1] ] } ]));
is_deeply($Again->{results}[0]{partialFingerprints}, $Result->{partialFingerprints}, 'the same finding has the same print');
like($Again->{results}[0]{properties}{replay}, qr/--seed 1 /, 'the seed is said even if it was not given');

# A rule that is new, strings that need care, no stack.
($Run) = sarif('odd', report(image => 'test.sys', exit => 1, findings => [ { %Leak, rule => 'brand-new', text => "\"q\"\\\x{1}", stack => [] } ]));
is($Run->{results}[0]{ruleId}, 'brand-new', 'a rule without help');
is_deeply($Run->{results}[0]{locations}, [], 'no place');

# A bug check is a result, an early end a notification.
($Run) = sarif('bugcheck', report(image => 'test.sys', exit => 3, bugcheck => { code => '0x000000C2', name => 'BAD_POOL_CALLER',
                 parameters => [ '0x0000000000000007', ('0x0000000000000000') x 3 ], stack => \@Stack }));
is($Run->{results}[0]{ruleId}, 'bug-check', 'a bug check');
like($Run->{results}[0]{message}{text}, qr/^BAD_POOL_CALLER \(0x000000C2: 0x0000000000000007 /, 'its name and parameters');
($Run) = sarif('stop', report(image => 'test.sys', exit => 5, stop => { reason => 'timeout', text => 'time ran out', stack => \@Stack }));
is_deeply($Run->{results}, [], 'an early end is no result');
is($Run->{invocations}[0]{toolExecutionNotifications}[0]{message}{text}, 'time ran out', 'but said');
is($Run->{invocations}[0]{executionSuccessful}, JSON::PP::false, 'the run was no success');

# Standard output, and who else wants it.
my $Alone = run('run', '--sarif', '-', image(sending(json(report(image => 'test.sys')))));
ok(eval { decode_json($Alone->{out}) }, '--sarif - alone on standard output');
for my $Other ('--json', '--report') {
    my $Both = run('run', '--sarif', '-', $Other, '-', image(sending(json(report()))));
    is($Both->{status}, 2, "not with $Other -");
    like($Both->{err}, qr/^ntmm: [^\n]*cannot both[^\n]*\n\z/, 'one line');
}
my $Lost = run('run', '--quiet', '--sarif', '/nowhere/x.sarif', image(sending(json(report()))));
is($Lost->{status}, 5, 'a file that cannot be written');

done_testing();
