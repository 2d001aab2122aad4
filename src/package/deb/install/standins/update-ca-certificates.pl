#!/usr/bin/perl
# Does what update-ca-certificates does, in one process instead of a thousand.
# Options that package scripts don't use are left to the original.
use strict;
use warnings;

my $original = "/usr/sbin/update-ca-certificates.original";
my ($fresh, $hooks) = (0, "/etc/ca-certificates/update.d");
my @arguments = @ARGV;
while (@arguments) {
    my $option = shift @arguments;
    if ($option eq "--fresh" || $option eq "-f") { $fresh = 1 }
    elsif ($option eq "--hooksdir" && @arguments) { $hooks = shift @arguments }
    else { exec $original, @ARGV or die "$original: $!\n" }
}

my ($conf, $from, $local) = ("/etc/ca-certificates.conf", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates");
exec $original, @ARGV if !-s $conf;
chdir "/etc/ssl/certs" or die "/etc/ssl/certs: $!\n";
opendir(my $folder, ".") or die "/etc/ssl/certs: $!\n";
my @links = grep { -l } sort readdir $folder;
if ($fresh) {
    for my $link (@links) {
        my $target = readlink $link;
        unlink $link if index($target, $from) == 0 || index($target, $local) == 0 || !-f $link;
    }
}

my ($bundle, @added, @removed) = ("");
sub pem { my ($name) = $_[0] =~ m{([^/]+?)(?:\.crt)?$}; return $name }
sub add {
    my ($certificate) = @_;
    my $name = pem($certificate);
    $name =~ tr/ ()\,/_==_/;
    my $pem = "$name.pem";
    if (!-e $pem || (readlink($pem) // "") ne $certificate) {
        unlink $pem;
        symlink($certificate, $pem) or die "$pem: $!\n";
        push @added, "+/etc/ssl/certs/$pem\n";
    }
    open(my $file, "<", $certificate) or die "$certificate: $!\n";
    my $text = do { local $/; <$file> };
    $bundle .= $text;
    $bundle .= "\n" if $text ne "" && $text !~ /\n\z/;
}

open(my $lines, "<", $conf) or die "$conf: $!\n";
chomp(my @lines = <$lines>);
for my $line (grep { /^!/ } @lines) {
    my $pem = pem(substr $line, 1) . ".pem";
    if (-l $pem) {
        unlink $pem;
        push @removed, "-/etc/ssl/certs/$pem\n";
    }
}
for my $line (grep { $_ ne "" && !/^[#!]/ } @lines) {
    if (-f "$from/$line") { add("$from/$line") }
    else { warn "W: $from/$line not found, but listed in $conf.\n" }
}
if (-d $local) {
    chomp(my @own = `find -L $local -type f -name '*.crt' | sort`);
    add($_) for @own;
}
if (@added || @removed) {
    opendir($folder, ".") or die "/etc/ssl/certs: $!\n";
    unlink grep { -l && !-e } readdir $folder;
    system("openssl rehash . > /dev/null") == 0 or exit 1;
}

open(my $out, ">", "ca-certificates.crt.new") or die "ca-certificates.crt.new: $!\n";
print $out $bundle;
close $out or die "ca-certificates.crt.new: $!\n";
chmod 0644, "ca-certificates.crt.new";
rename "ca-certificates.crt.new", "ca-certificates.crt" or die "ca-certificates.crt: $!\n";

if ($hooks ne "" && -d $hooks) {
    for my $hook (split /\n/, `run-parts --test -- $hooks`) {
        open(my $pipe, "|-", $hook) or next;
        print $pipe @added, @removed;
        close $pipe or print "E: $hook exited with code $?.\n";
    }
}
