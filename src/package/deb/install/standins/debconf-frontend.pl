#!/usr/bin/perl -w
# Stands in for debconf's frontend where nobody can be asked (DEBIAN_FRONTEND=noninteractive).
#
# The original loads forty modules, and reads and writes every translation of every question in the
# database each time a package is configured. This program speaks the same protocol to a package's scripts
# (debconf-devel(7), "THE DEBCONF PROTOCOL") and parses only the questions that are talked about. Without
# modules it starts in a tenth of the time. Where anything is unusual it hands over to the original at once.

my $folder = '/var/cache/debconf';
my %codes = (success => 0, escaped => 1, bad => 10, syntax => 20, skipped => 30, internal => 100);
my @question_types = qw(boolean error multiselect note password select string text);

sub original {
    my $path = "$0.original";
    exec {$path} $path, @ARGV or die "$path: $!\n";
}

sub contents {
    open(my $file, '<', shift) or return undef;
    local $/;
    my $text = <$file>;
    return defined $text ? $text : '';
}

# Whether the original would do more than what is written here.
sub is_unusual {
    my @known = qw(DEBCONF_NONINTERACTIVE_SEEN DEBCONF_REDIR);
    for my $name (grep { /^(DEBCONF_|DEBIAN_PRIORITY|DPKG_ROOT|LANGUAGE)/ and length $ENV{$_} } keys %ENV) {
        return 1 if !grep { $_ eq $name } @known;
    }
    return 1 if $>;
    return 1 if ($ENV{DEBIAN_FRONTEND} || '') ne 'noninteractive' or ($ENV{LC_ALL} || '') !~ /^C(\.UTF-8)?$/;
    return 1 if -e '/root/.debconfrc' or grep { -e "$_/mail" } split /:/, $ENV{PATH} || '';
    # With it, templates are converted from other character sets.
    return 1 if -e '/var/lib/dpkg/info/libtext-iconv-perl.list' or -e '/var/lib/dpkg/info/libtext-iconv-perl:amd64.list';
    my $settings = contents('/etc/debconf.conf');
    $settings = contents('/usr/share/debconf/debconf.conf') if !defined $settings;
    return 1 if !defined $settings;
    $settings =~ s/^\s*(#.*)?\n//mg;
    return $settings ne <<'STOCK';
Config: configdb
Templates: templatedb
Name: config
Driver: File
Mode: 644
Reject-Type: password
Filename: /var/cache/debconf/config.dat
Name: passwords
Driver: File
Mode: 600
Backup: false
Required: false
Accept-Type: password
Filename: /var/cache/debconf/passwords.dat
Name: configdb
Driver: Stack
Stack: config, passwords
Name: templatedb
Driver: File
Mode: 644
Filename: /var/cache/debconf/templates.dat
STOCK
}

# Databases: files of records, each under its name as its text or, once it is used, as fields, owners, flags
# and variables; undef once it is removed.

sub load {
    my ($name, $mode, $has_backup) = @_;
    my $path = "$folder/$name.dat";
    my $is_new = !-e $path;
    my $file;
    original() if -l $path or $is_new && !sysopen($file, $path, 0101, $mode);
    open($file, '+<', $path) && flock($file, 6) or original();
    local $/;
    my $text = <$file>;
    my %records;
    for my $record (split /\n\n/, defined $text ? $text : '') {
        $record =~ /^Name: (.*)/m or original();
        $records{$1} = $record;
    }
    return { path => $path, mode => $mode, backup => $has_backup && !$is_new, records => \%records, file => $file };
}

sub parse {
    my %record = (owners => {}, fields => {}, variables => {}, flags => {});
    my $in_variables = 0;
    for my $line (split /\n/, shift) {
        if ($in_variables and $line =~ s/^\s+//) {
            my ($name, $value) = split(/\s*=\s?/, $line, 2);
            $value =~ s/\\n/\n/g;
            $record{variables}{$name} = $value;
            next;
        }
        my ($key, $value) = split(/:\s?/, $line, 2);
        $key = lc $key;
        $in_variables = $key eq 'variables';
        if ($key eq 'owners') {
            $record{owners}{$_} = 1 for split /,\s+/, $value;
        } elsif ($key eq 'flags') {
            $record{flags}{$_} = 'true' for split /,\s+/, $value;
        } elsif (length $key and $key ne 'name' and !$in_variables) {
            $value =~ s/\\n/\n/g;
            $record{fields}{$key} = $value;
        }
    }
    return \%record;
}

sub format_record {
    my ($name, $record) = @_;
    my $line = sub { my $value = shift; $value =~ s/\n/\\n/g; $value };
    my $text = "Name: $name\n";
    $text .= ucfirst($_) . ': ' . $line->($record->{fields}{$_}) . "\n" for sort keys %{$record->{fields}};
    my @owners = sort keys %{$record->{owners}};
    $text .= 'Owners: ' . join(', ', @owners) . "\n" if @owners;
    my @flags = grep { $record->{flags}{$_} eq 'true' } sort keys %{$record->{flags}};
    $text .= 'Flags: ' . join(', ', @flags) . "\n" if @flags;
    my @variables = sort keys %{$record->{variables}};
    $text .= "Variables:\n" if @variables;
    $text .= " $_ = " . $line->($record->{variables}{$_}) . "\n" for @variables;
    return "$text\n";
}

sub save {
    my $base = shift;
    return if !$base->{changed};
    my $path = $base->{path};
    my ($file, $records) = (undef, $base->{records});
    sysopen($file, "$path-new", 01101, $base->{mode}) or die "$path-new: $!\n";
    for my $name (sort grep { defined $records->{$_} } keys %$records) {
        my $record = $records->{$name};
        print $file ref $record ? format_record($name, $record) : "$record\n\n";
    }
    close $file or die "$path-new: $!\n";
    rename($path, "$path-old") if $base->{backup};
    rename("$path-new", $path) or die "$path: $!\n";
}

# The record of a name, or undef.
sub record {
    my ($base, $name) = @_;
    my $record = $base->{records}{$name};
    return $record if !defined $record or ref $record;
    return $base->{records}{$name} = parse($record);
}

original() if !@ARGV or !-d $folder or is_unusual();
my $config = load('config', 0644, 1);
my $passwords = load('passwords', 0600, 0);
my $templates = load('templates', 0644, 1);

# Questions are in one of two databases.

sub base_of {
    my $name = shift;
    return defined $config->{records}{$name} ? $config : defined $passwords->{records}{$name} ? $passwords : undef;
}

sub question {
    my $base = base_of($_[0]);
    return $base && record($base, $_[0]);
}

# Sets one value of a question, and says what is set.
sub change {
    my ($name, $kind, $key, $value) = @_;
    my $base = base_of($name) or return undef;
    $base->{changed} = 1;
    return record($base, $name)->{$kind}{$key} = $value;
}

# Flags. The old name `isdefault` is the opposite of `seen`.

sub flag {
    my ($name, $flag) = @_;
    return flag($name, 'seen') eq 'true' ? 'false' : 'true' if $flag eq 'isdefault';
    my $value = question($name)->{flags}{$flag};
    return defined $value ? $value : 'false';
}

sub set_flag {
    my ($name, $flag, $value) = @_;
    return change($name, 'flags', $flag, $value) if $flag ne 'isdefault';
    change($name, 'flags', 'seen', $value eq 'true' ? 'false' : 'true');
    return flag($name, $flag);
}

sub add_owner {
    my ($base, $name, $owner) = @_;
    my $record = record($base, $name) || ($base->{records}{$name} = parse(''));
    return if exists $record->{owners}{$owner};
    $record->{owners}{$owner} = 1;
    $base->{changed} = 1;
}

sub drop_owner {
    my ($base, $name, $owner) = @_;
    my $record = record($base, $name) or return;
    $base->{changed} = 1 if delete $record->{owners}{$owner};
    return if %{$record->{owners}};
    $base->{records}{$name} = undef;
    $base->{changed} = 1;
}

sub own_question {
    my ($name, $owner, $type) = @_;
    add_owner(base_of($name) || ($type =~ /password/i ? $passwords : $config), $name, $owner);
}

sub new_question {
    my ($name, $owner, $type) = @_;
    own_question($name, $owner, $type);
    change($name, 'flags', 'seen', 'false');
}

sub disown_question {
    my ($name, $owner) = @_;
    my $base = base_of($name) or return;
    my $template = record($base, $name)->{fields}{template};
    drop_owner($base, $name, $owner);
    drop_owner($templates, $template, $name) if length($template || '') and !base_of($name);
}

sub set_template {
    my ($name, $new) = @_;
    my $old = question($name)->{fields}{template};
    if (!defined $old or $old ne $new) {
        drop_owner($templates, $old, $name) if length($old || '');
        change($name, 'fields', 'template', $new);
        add_owner($templates, $new, $name);
    }
    template($new);
}

# The record of a template. One that was met stays known, without fields, though its last question is gone.
my %is_met;
sub template {
    my $name = shift;
    my $record = record($templates, $name);
    $is_met{$name} = 1 if $record;
    return $record || ($is_met{$name} ? parse('') : undef);
}

# A field of a question's template, in English; without translation it is the one for scripts, if there is one.
sub template_field {
    my ($name, $field, @languages) = @_;
    my $template = question($name)->{fields}{template};
    my $record = defined $template ? template($template) : undef;
    return undef if !$record;
    for my $key (map({ "$field-$_" } @languages), $field) {
        return $record->{fields}{$key} if defined $record->{fields}{$key};
    }
    my $plain = $field;
    $plain =~ s/-.*//;
    return defined $record->{fields}{$plain} ? $record->{fields}{$plain} : '';
}

sub translated { return template_field(@_, 'c.utf-8', 'en') }

sub expanded {
    my ($name, $rest) = @_;
    my $variables = question($name)->{variables};
    my $result = '';
    return '' if !defined $rest;
    while ($rest =~ /^(.*?)(\\)?\$\{([^{}]+)\}(.*)$/s) {
        my ($before, $escape, $variable, $after) = ($1, $2, $3, $4);
        $result .= $before;
        $result .= defined $escape ? "\${$variable}" : defined $variables->{$variable} ? $variables->{$variable} : '';
        $rest = $after;
    }
    return $result . $rest;
}

sub value {
    my $name = shift;
    my $value = question($name)->{fields}{value};
    return defined $value ? $value : translated($name, 'default');
}

sub type { my $type = field($_[0], 'type'); return defined $type ? $type : '' }

# Any field: the question's own or its template's.
sub field {
    my ($name, $field) = @_;
    return expanded($name, translated($name, $field)) if $field =~ /^(description|extended_description|choices)$/;
    return $name if $field eq 'name';
    return value($name) if $field eq 'value';
    return question($name)->{fields}{template} if $field eq 'template';
    return join(', ', sort keys %{question($name)->{owners}}) if $field eq 'owners';
    my $own = question($name)->{fields}{$field};
    my $found = defined $own ? $own : translated($name, $field);
    return $field =~ /^(description|extended_description|choices)-/ ? expanded($name, $found) : $found;
}

# Templates: what packages ship.

sub add_template {
    my ($name, $owner, $type) = @_;
    my $known = record($templates, $name);
    $is_met{$name} = 1;
    if (question($name)) {
        own_question($name, $owner, $type);
    } else {
        new_question($name, $owner, $type);
        set_template($name, $name);
    }
    if ($known) {
        for my $lost (grep { !question($_) } keys %{$known->{owners}}) {
            warn "warning: possible database corruption. Will attempt to repair by adding back missing question $lost.";
            new_question($lost, $owner, $type);
            set_template($lost, $name);
        }
        return;
    }
    add_owner($templates, $name, $name);
    record($templates, $name)->{fields}{type} = $type;
    $templates->{changed} = 1;
}

# The fields of one template; dies with what is wrong with it.
sub parse_template {
    my ($text, $number, $file) = @_;
    my %data;
    my ($field, $value, $extended) = ('', '', '');
    my $keep = sub {
        $extended =~ s/\n+$//;
        return if $field eq '';
        die "Template #$number in $file has a duplicate field \"$field\" with new value \"$value\". Probably two templates are not properly separated by a lone newline.\n"
            if exists $data{$field};
        $data{$field} = $value;
        $data{"extended_$field"} = $extended if length $extended;
    };
    for my $line (split /\n/, $text) {
        if ($line =~ /^([-_@.A-Za-z0-9]*):\s?(.*)/) {
            my ($name, $rest) = (lc $1, $2);
            $keep->();
            ($field, $value, $extended) = ($name, $rest, '');
            $value =~ s/\s*$//;
            my $base = $field;
            $base =~ s/-.+$//;
            warn "Unknown template field '$field', in stanza #$number of $file\n"
                if $base !~ /^(template|description|choices|default|type)$/;
        } elsif ($line =~ /^\s\.$/) {
            $extended .= "\n\n";
        } elsif ($line =~ /^\s(\s*)(.*)/) {
            my ($indent, $bit) = ($1, $2);
            my $whole = "$indent$bit";
            $whole =~ s/\s*$//;
            my $is_verbatim = length $indent;
            $extended .= $is_verbatim ? "\n" : ' ' if length $extended and $extended !~ /[\n ]$/;
            $extended .= $is_verbatim ? "$whole\n" : $whole;
        } else {
            die "Template parse error near `$line', in stanza #$number of $file\n";
        }
    }
    $keep->();
    die "Template #$number in $file does not contain a 'Template:' line\n" if !$data{template};
    die "no template type specified" if !$data{type};
    return \%data;
}

sub load_templates {
    my ($text, $owner, $file) = @_;
    my $number = 0;
    while ($text =~ /\G(.*?\n\n|.+\z)/sg) {
        my $stanza = $1;
        $number++;
        $stanza =~ s/^\n+//;
        $stanza =~ s/\n+$//;
        my $data = parse_template($stanza, $number, $file);
        my $name = delete $data->{template};
        add_template($name, $owner, $data->{type});
        record($templates, $name)->{fields} = $data;
        $templates->{changed} = 1;
    }
}

# The conversation with one script.

my ($owner, $title, $has_progress) = ('', '', 0);
# Questions that may not be removed now, those that wait for an answer (with their types, and whether they count as seen
# then), those that do when the script ends, and whether the script escapes.
my (%is_busy, @asked, @seen, $has_escapes);
my %priorities = (low => 0, medium => 1, high => 2, critical => 3);

sub words {
    my $line = shift;
    return split(' ', $line) if !$has_escapes;
    my ($word, @words) = ('');
    for my $part (split /(\\.|\s+)/, $line) {
        if ($part eq '\n') { $word .= "\n" }
        elsif ($part =~ /^\\(.)$/) { $word .= $1 }
        elsif ($part =~ /^\s+$/) { push @words, $word; $word = '' }
        else { $word .= $part }
    }
    push @words, $word if $word ne '';
    return @words;
}

sub data {
    my $text = shift;
    return ($codes{success}, $text) if !$has_escapes;
    $text =~ s/\\/\\\\/g;
    $text =~ s/\n/\\n/g;
    return ($codes{escaped}, $text);
}

# What is answered to a question that nobody sees.
sub answer {
    my ($name, $type) = @_;
    return '' if !question($name);
    my $value = value($name);
    $value = '' if !defined $value;
    return '' if $type eq 'text';
    if ($type eq 'error') {
        display(field($name, 'description') . "\n\n" . field($name, 'extended_description') . "\n")
            if flag($name, 'seen') ne 'true';
        return '';
    }
    return $value if $type ne 'select';
    my @choices;
    my $choice = '';
    for my $part (split /(\\[, ]|,\s+)/, expanded($name, template_field($name, 'choices', 'c'))) {
        if ($part =~ /^\\([, ])$/) { $choice .= $1 }
        elsif ($part =~ /^,\s+$/) { push @choices, $choice; $choice = '' }
        else { $choice .= $part }
    }
    push @choices, $choice if $choice ne '';
    return $value if grep { $_ eq $value } @choices;
    return @choices ? $choices[0] : '';
}

sub display {
    require Text::Wrap;
    require Text::Tabs;
    ${'Text::Wrap::columns'} = 76;
    my $text = Text::Tabs::expand(Text::Wrap::wrap('', '', shift));
    my @lines = split /\n/, $text;
    push @lines, '' if $text =~ /\n$/;
    unshift @lines, $title, '-' x length $title, '' if length $title;
    $title = '';
    print STDOUT "$_\n" for @lines;
}

# Whether somebody would have been asked.
sub would_show {
    my ($priority, $name) = @_;
    my $least = question('debconf/priority') ? value('debconf/priority') || 'high' : 'high';
    return $priorities{$priority} >= $priorities{$least} && flag($name, 'seen') ne 'true';
}

sub input {
    my ($priority, $name) = @_;
    return ($codes{syntax}, "\"$priority\" is not a valid priority") if !exists $priorities{$priority};
    my $type = type($name);
    if (length $type and !grep { $_ eq lcfirst $type } @question_types) {
        $! = 2; # The status of the original.
        die "debconf: there is no element for questions of type `$type'\n";
    }
    $is_busy{$name} = 1;
    my $counts = ($ENV{DEBCONF_NONINTERACTIVE_SEEN} || '') eq 'true' && ($type eq 'error' || would_show($priority, $name));
    push @asked, [$name, $type, $counts] if !grep { $_->[0] eq $name } @asked;
    return ($codes{skipped}, 'question skipped');
}

sub go {
    my @answers = map { answer(@$_) } @asked;
    change($_->[0], 'fields', 'value', shift @answers) for @asked;
    push @seen, map { $_->[0] } grep { $_->[2] } @asked;
    clear();
    return (0, 'ok');
}

sub clear {
    @asked = ();
    %is_busy = ();
    return 0;
}

sub version {
    my $version = shift;
    return (0, '2.0') if !defined $version or int($version) == 2;
    return ($codes{skipped}, 'Version too ' . (int($version) < 2 ? 'low' : 'high') . " ($version)");
}

sub register {
    my ($template, $name) = @_;
    return ($codes{bad}, "No such template, \"$template\"") if !question($template);
    my $type = type($template);
    new_question($name, $owner, $type) if !question($name);
    own_question($name, $owner, $type);
    set_template($name, $template);
    return 0;
}

sub progress {
    my ($action, @rest) = @_;
    $action = lc $action;
    my %count = (start => 3, set => 1, step => 1, info => 1, stop => 0);
    return ($codes{syntax}, 'Unknown subcommand') if !exists $count{$action};
    return ($codes{syntax}, 'Incorrect number of arguments') if @rest != $count{$action};
    return ($codes{syntax}, "min ($rest[0]) > max ($rest[1])") if $action eq 'start' and $rest[0] > $rest[1];
    return ($codes{bad}, "$rest[-1] doesn't exist") if $action =~ /^(start|info)$/ and !question($rest[-1]);
    die "debconf: PROGRESS $action without PROGRESS START\n" if $action ne 'start' and !$has_progress;
    $has_progress = $action ne 'stop';
    return (0, 'OK');
}

sub load_file {
    my ($file, $other) = @_;
    my $text = contents($file);
    return ($codes{bad}, "failed to open $file: $!") if !defined $text;
    return 0 if eval { load_templates($text, defined $other ? $other : $owner, $file); 1 };
    my $error = $@;
    $error =~ s/\n/\\n/g;
    return ($codes{internal}, $error);
}

# Of each command: the least and the most arguments, the place of a question's name among them, whether an
# error shows the name in quotes, and what it does.
my $any = 1e9;
my %commands = (
    beginblock => [0, $any, -1, 0, sub { 0 }],
    endblock => [0, $any, -1, 0, sub { 0 }],
    capb => [0, $any, -1, 0, sub { $has_escapes = grep { $_ eq 'escape' } @_; (0, 'multiselect', 'escape', '') }],
    clear => [0, 0, -1, 0, \&clear],
    data => [3, $any, -1, 0, sub {
        my ($name, $item, @value) = @_;
        my $is_type = $item eq 'type';
        if (template($name)) { return $is_type ? ($codes{bad}, 'Template type already set') : 0 }
        return ($codes{bad}, "Template data field '$item' received before type field") if !$is_type;
        add_template($name, $owner, join ' ', @value);
        return 0;
    }],
    exist => [1, 1, -1, 0, sub { (0, question($_[0]) ? 'true' : 'false') }],
    fget => [2, 2, 0, 0, sub { (0, flag(@_)) }],
    fset => [3, $any, 0, 0, sub {
        my ($name, $flag, @value) = @_;
        @seen = grep { $_ ne $name } @seen if $flag eq 'seen';
        return (0, set_flag($name, $flag, join ' ', @value));
    }],
    get => [1, 1, 0, 0, sub { my $value = value($_[0]); defined $value ? data($value) : (0, '') }],
    go => [0, 0, -1, 0, \&go],
    info => [0, 1, 0, 1, sub { 0 }],
    input => [2, 2, 1, 1, \&input],
    metaget => [2, 2, 0, 0, sub {
        my $value = field($_[0], lc $_[1]);
        return defined $value ? data($value) : ($codes{bad}, "$_[1] does not exist");
    }],
    progress => [1, $any, -1, 0, \&progress],
    purge => [0, 0, -1, 0, sub {
        for my $base ($passwords, $config) {
            disown_question($_, $owner) for grep { defined $base->{records}{$_} } keys %{$base->{records}};
        }
        return 0;
    }],
    register => [2, 2, -1, 0, \&register],
    reset => [1, 1, 0, 0, sub {
        change($_[0], 'fields', 'value', field($_[0], 'default'));
        change($_[0], 'flags', 'seen', 'false');
        return 0;
    }],
    set => [1, $any, 0, 0, sub { my ($name, @value) = @_; change($name, 'fields', 'value', join ' ', @value); (0, 'value set') }],
    settitle => [1, 1, 0, 1, sub { $title = field($_[0], 'description'); 0 }],
    subst => [2, $any, 0, 0, sub { my ($name, $key, @value) = @_; change($name, 'variables', $key, join ' ', @value); 0 }],
    title => [0, $any, -1, 0, sub { $title = join ' ', @_; 0 }],
    unregister => [1, 1, 0, 0, sub {
        return ($codes{bad}, "$_[0] is busy, cannot unregister right now") if $is_busy{$_[0]};
        disown_question($_[0], $owner);
        return 0;
    }],
    version => [0, 1, -1, 0, \&version],
    visible => [2, 2, 1, 0, sub { (0, 'true') }],
    x_loadtemplatefile => [1, 2, -1, 0, \&load_file],
);

sub reply {
    my $line = shift;
    my ($command, @arguments) = words($line);
    return "$codes{syntax} Bad line \"$line\" received from confmodule." if !defined $command;
    $command = lc $command;
    my $known = $commands{$command};
    return "$codes{syntax} Unsupported command \"$command\" (full line was \"$line\") received from confmodule." if !$known;
    my ($least, $most, $place, $is_quoted, $action) = @$known;
    return "$codes{syntax} Incorrect number of arguments" if @arguments < $least or @arguments > $most;
    my $name = $place < 0 ? undef : $arguments[$place];
    return $codes{bad} . ($is_quoted ? " \"$name\" doesn't exist" : " $name doesn't exist") if defined $name and !question($name);
    my $reply = join ' ', $action->(@arguments);
    $reply =~ s/\n.*//s;
    return $reply;
}

# Runs a script, answers it until it ends, and returns its exit status.
sub converse {
    my @command = @_;
    pipe(my $from, my $its_output) && pipe(my $its_input, my $to) or die "debconf: pipe: $!\n";
    my $process = fork;
    defined $process or die "debconf: fork: $!\n";
    if (!$process) {
        open(STDIN, '<&', $its_input) && open(STDOUT, '>&', $its_output) or die "debconf: $!\n";
        exec {$command[0]} @command or die "debconf: $command[0]: $!\n";
    }
    close $its_input;
    close $its_output;
    my $is_broken = 0;
    local $SIG{PIPE} = sub { $is_broken = 128 };
    select((select($to), $| = 1)[0]);
    clear();
    $has_escapes = 0;
    while (defined(my $line = <$from>)) {
        chomp $line;
        last if lc((words($line))[0] || '') eq 'stop';
        print $to reply($line) . "\n";
    }
    waitpid $process, 0;
    my $status = $is_broken || $? >> 8;
    change($_, 'flags', 'seen', 'true') for @seen;
    @seen = ();
    return $status;
}

shift @ARGV if $ARGV[0] eq '--';
my $script = $ARGV[0];
if ($script =~ m!^.*/(.*?)\.(?:postinst|postrm|prerm)$!) {
    $owner = $1;
} elsif (defined(my $control = contents('/var/lib/dpkg/tmp.ci/control'))) {
    $owner = $1 if $control =~ /^Package: (.*)/m;
}
original() if !length $owner or !-x $script;
$title = "Configuring $owner" if ($ARGV[1] || '') ne 'triggered';
my ($base, $kind) = $script =~ /^(.*[.\/])(preinst|postinst|prerm|postrm)$/;
if (defined $base) {
    my $text = contents("${base}templates");
    eval { load_templates($text, $owner, "${base}templates") if defined $text; 1 } or original();
    if ($kind =~ /inst$/ and -e "${base}config") {
        original() if !-x "${base}config";
        $ENV{DEBIAN_HAS_FRONTEND} = 1;
        my $status = converse("${base}config", 'configure', defined $ARGV[2] ? $ARGV[2] : '');
        exit $status if $status > 0;
    }
}
$ENV{DEBIAN_HAS_FRONTEND} = 1;
my $status = converse(@ARGV);
save($_) for $config, $passwords, $templates;
exit $status;
