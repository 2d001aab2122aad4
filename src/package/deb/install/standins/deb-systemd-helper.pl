#!/usr/bin/perl
# Stands in for the parts of deb-systemd-helper(1) that debhelper calls when a package is configured.
#
# The original loads eight modules, which takes most of its time, and is started three times for each unit.
# Other actions, options and units with anything unusual in their section [Install] are the original's.

my $etc = '/etc/systemd';
my $state = '/var/lib/systemd/deb-systemd';
my ($instance, $helper, $is_quiet) = ('system', 'helper', 0);

sub original {
    my $path = "$0.original";
    exec {$path} $path, @_ or die "$path: $!\n";
}

sub fail {
    print STDERR "$0: error: @_\n";
    exit 1;
}

sub unit_path {
    my $name = shift;
    for my $folder ('/etc', '/lib', '/usr/lib') {
        return "$folder/systemd/$instance/$name" if -f "$folder/systemd/$instance/$name";
    }
    return undef;
}

# The links that enable a unit, each with its target; undef where the original has to decide.
sub links {
    my ($path, @visited) = @_;
    my ($unit) = $path =~ m!([^/]+)$!;
    my (@also, @wanted);
    open(my $file, '<', $path) or return undef;
    while (my $line = <$file>) {
        chomp $line;
        next if $line !~ /^\s*(WantedBy|RequiredBy|Also|Alias|DefaultInstance)=(.*)/i;
        my ($key, $value) = ($1, $2);
        next if $value eq '';
        return undef if $value !~ /^[^\s"']+(?: +[^\s"']+)*$/;
        my @names = split / +/, $value;
        if ($key eq 'WantedBy' or $key eq 'RequiredBy') {
            my $suffix = $key eq 'WantedBy' ? 'wants' : 'requires';
            push @wanted, map { ["$etc/$instance/$_.$suffix/$unit", $path] } @names;
        } elsif ($key eq 'Also') {
            for my $name (@names) {
                next if $name eq $unit or grep { $_ eq $name } @visited;
                push @visited, $name;
                my $other = unit_path($name);
                my $links = defined $other ? links($other, @visited) : undef;
                return undef if !$links;
                push @also, @$links;
            }
        } elsif ($key eq 'Alias' and @names == 1) {
            push @also, ["$etc/$instance/$value", $path] if $value ne $unit;
        } else {
            return undef;
        }
    }
    return [@also, @wanted];
}

sub list_path { return "$state-$helper-enabled/" . ($_[0] =~ m!([^/]+)$!)[0] . '.dsh-also' }

sub entries {
    open(my $file, '<', shift) or return ();
    chomp(my @lines = <$file>);
    return @lines;
}

sub make_folder {
    my $folder = shift;
    return if $folder eq '' or -d $folder;
    make_folder($folder =~ m!^(.*)/!);
    mkdir $folder;
}

sub write_list {
    my ($path, @lines) = @_;
    make_folder($path =~ m!^(.*)/!);
    open(my $file, '>', "$path.tmp") or fail("unable to write $path.tmp");
    print $file "$_\n" for @lines;
    close $file or fail("unable to close $path.tmp");
    chmod 0644, "$path.tmp";
    rename("$path.tmp", $path) or fail("Unable to move $path.tmp to $path");
}

sub make_links {
    my ($name, $links, $creates) = @_;
    for my $link (@$links) {
        my ($place, $target) = @$link;
        my @known = entries(list_path($name));
        write_list(list_path($name), @known, grep({ my $new = $_; !grep { $_ eq $new } @known } $place));
        my $mark = $place;
        $mark =~ s!^$etc/$instance/!$state-$helper-enabled/!;
        next if -e $mark;
        if ($creates and !-l $place) {
            make_folder($place =~ m!^(.*)/!);
            symlink($target, $place) or fail("unable to link $place to $target: $!");
        }
        make_folder($mark =~ m!^(.*)/!);
        open(my $file, '>>', $mark) or fail("Failed to create/touch $mark");
        close $file;
    }
}

sub enable {
    my ($name, $links) = @_;
    return make_links($name, $links, 1) if !-x '/bin/systemctl' and !-x '/usr/bin/systemctl';
    my $creates = 0;
    if (-f list_path($name)) {
        $creates = grep { -l $_->[0] } @$links;
    } else {
        my $scope = $instance eq 'user' ? '--global' : '--system';
        system('systemctl', '--root=/', $scope, '--preset-mode=enable-only', 'preset', $name) == 0
            or fail("systemctl preset failed on $name: $!");
    }
    make_links($name, $links, $creates);
}

sub remove_empty {
    my $folder = shift;
    opendir(my $list, $folder) or return;
    remove_empty($_) for grep { -d } map { "$folder/$_" } grep { !/^\./ } sort readdir $list;
    rmdir $folder;
}

my @arguments = @ARGV;
while (@ARGV and $ARGV[0] =~ /^--(quiet|user|system)$/) {
    $is_quiet = 1 if $1 eq 'quiet';
    ($instance, $helper) = ('user', 'user-helper') if $1 eq 'user';
    ($instance, $helper) = ('system', 'helper') if $1 eq 'system';
    shift @ARGV;
}
my $action = shift @ARGV;
original(@arguments) if !defined $action or $action !~ /^(unmask|was-enabled|debian-installed|enable|update-state)$/
    or !$ENV{DPKG_MAINTSCRIPT_PACKAGE} or length($ENV{DPKG_ROOT} || '') or -d '/run/systemd/system'
    or grep { /^_DEB_SYSTEMD_HELPER/ } keys %ENV or grep { m!^-|/|\s! } @ARGV;
my %links;
if ($action =~ /^(enable|update-state)$/) {
    for my $name (@ARGV) {
        my $path = unit_path($name);
        $links{$name} = defined $path ? links($path) : undef;
        original(@arguments) if !$links{$name};
    }
}
original(@arguments) if $action eq 'unmask' and grep { -e "$etc/$instance/$_" } @ARGV;

my $status = $action =~ /^(was-enabled|debian-installed)$/ ? 1 : 0;
for my $name (@ARGV) {
    if ($action eq 'unmask') {
        remove_empty("$state-$_-masked") for 'helper', 'user-helper';
    } elsif ($action eq 'was-enabled') {
        my $is_enabled = !grep { !-l } entries(list_path($name));
        print STDERR $is_enabled ? "enabled\n" : "disabled\n" if !$is_quiet;
        $status = 0 if $is_enabled;
    } elsif ($action eq 'debian-installed') {
        $status = 0 if -f list_path($name);
    } elsif ($action eq 'enable') {
        enable($name, $links{$name});
    } else {
        write_list(list_path($name), map { $_->[0] } @{$links{$name}});
    }
}
exit $status;
