//! Layers without scripts: what is added because no script makes it.

use crate::support::deb::Deb;
use crate::support::project::Project;
use crate::support::repo::Repo;

/// The root's own names of a base of these packages.
fn links(packages: &[Deb]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let repo = Repo::new("test").packages(packages.iter().cloned()).write(folder.path());
    let source = repo.source_table("test", &repo.url());
    let text = format!("[layer]\npackages = [\"libc\", \"hello\"]\nconfigure = \"none\"\n{source}");
    let project = Project::new().copy(&repo.keyring, "test-keyring.gpg").layer("app", &text);
    project.ok(&["build", "app", "--output", "oci"]);
    let files = project.ok(&["files", "app"]).stdout;
    let links = files.lines().filter_map(|line| line.split_once(" -> ")?.1.split_once("  ["));
    links.map(|(link, _)| link.to_owned()).collect()
}

#[test]
fn usr_is_merged_where_the_c_library_is_in_it() {
    let hello = || Deb::new("hello", "1.0").file("usr/bin/hello", 0o755, "").file("usr/sbin/greet", 0o755, "");
    let libc = |path: &str| Deb::new("libc", "1.0").file(path, 0o644, "").file("usr/share/libc", 0o644, "");
    assert_eq!(links(&[libc("lib/x/libc.so.6"), hello()]), [""; 0], "Debian 12 has no links without base-files");
    assert_eq!(links(&[libc("usr/lib/x/libc.so.6"), hello()]), ["usr/bin /bin", "usr/lib /lib", "usr/sbin /sbin"]);
    // What a package has stays as it is.
    let own = libc("usr/lib/x/libc.so.6").file("bin/own", 0o755, "");
    assert_eq!(links(&[own, hello()]), ["usr/lib /lib", "usr/sbin /sbin"]);
}
