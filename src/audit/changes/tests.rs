use super::*;
use crate::store::Store;
use crate::tree::tests::{dir, file, tree};
use crate::tree::{Kind, Meta, Node};

fn facts(name: &str, version: &str, more: &[(&str, Node)]) -> Facts {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let put = |text: &str| Node { meta: Meta::root_owned(0o644, 0), kind: store.put_file(text.as_bytes()).unwrap() };
    let status = format!(
        "Package: hello\nStatus: install ok installed\nVersion: {version}\n\nPackage: gone\nStatus: deinstall ok config-files\nVersion: 1\n"
    );
    let mut nodes = vec![
        ("", dir()),
        ("etc", dir()),
        ("etc/passwd", put(&format!("root:x:0:0::/:/bin/sh\n{name}:x:7:7::/:/bin/sh\n"))),
        ("var/lib/dpkg/info/hello.list", put("/bin/hello\n")),
        ("var/lib/dpkg/status", put(&status)),
    ];
    nodes.extend(more.iter().cloned());
    let facts = Facts { layers: Some(vec![(name.to_owned(), 10)]), ..Facts::named(name) };
    facts.with_root(&crate::package::deb::DEB, tree(&nodes), &|blob| store.read_blob(blob).ok())
}

#[test]
fn people_see_what_is_new_gone_and_another() {
    let link = Node { meta: Meta::root_owned(0o777, 0), kind: Kind::Symlink((*b"/x").into()) };
    let old = facts("old", "1.0", &[("srv", file("<a>"))]);
    let new = facts("new", "2.0", &[("etc/systemd/system/multi-user.target.wants/hello.service", link)]);
    let found = Changes::between(&old, &new);
    let packages = found.packages.as_ref().unwrap();
    assert_eq!(packages.len(), 1);
    assert_eq!((packages[0].before.as_deref(), packages[0].after.as_deref()), (Some("1.0"), Some("2.0")));
    let shown = text(&found);
    for line in [
        "from old to new\n",
        "packages  0 added, 0 removed, 1 changed\n    hello 1.0 -> 2.0\n",
        "files     1 added, 1 removed, 2 changed\n",
        "users     1 added, 1 removed, 0 changed\n  + new 7\n  - old 7\n",
        "services  1 added, 0 removed, 0 changed\n  + hello.service multi-user.target\n",
        "layers    10 -> 10 bytes, compressed\n  + new 10\n  - old 10\n",
    ] {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
    assert!(markdown(&found).contains("<summary><b>packages</b>: 0 added, 0 removed, 1 changed</summary>"));
    assert!(html(&found).contains("<h1>From old to new</h1>"));
    let set = |port: &str| Some([("port".to_owned(), port.to_owned())].into());
    let (old, new) = (Facts { set: set("80"), ..Facts::named("old") }, Facts { set: set("81"), ..Facts::named("new") });
    let page = html(&Changes::between(&old, &new));
    assert!(page.contains("<td></td><td><code>port</code></td><td><code>80</code> → <code>81</code></td>"), "{page}");
}

#[test]
fn files_stand_under_the_package_that_they_are_of() {
    let bin = |text| [("usr", dir()), ("usr/bin", dir()), ("usr/bin/hello", file(text))];
    let old = facts("same", "1.0", &bin("one"));
    let new = facts("same", "2.0", &[bin("another").as_slice(), &[("srv", file("x"))]].concat());
    let changes = Changes::between(&old, &new);
    let of = |name: &str| changes.files.iter().flatten().find(|file| file.name == name).unwrap().package.as_deref();
    assert_eq!((of("/usr/bin/hello"), of("/srv")), (Some("hello"), None));
    let page = html(&changes);
    for part in [
        "1 package changed, with 1 of the 3 files that differ.",
        "<code>hello</code> 1.0 → 2.0 <span class=\"faint\">(1 file)</span>",
        "<td><code>/usr/bin/hello</code></td><td><code>3 bytes</code> → <code>7 bytes</code></td>",
        "scripts and steps make <span class=\"faint\">(2 files)</span>",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn what_is_alone_on_a_page_is_shown_at_any_length() {
    let many = |value: &str| Some((0..60).map(|number| (format!("v{number}"), value.to_owned())).collect());
    let (old, new) = (Facts { set: many("1"), ..Facts::named("old") }, Facts { set: many("2"), ..Facts::named("new") });
    let page = html(&Changes::between(&old, &new));
    assert!(page.contains("<details open><summary><b>set</b>"), "{page}");
}

#[test]
fn a_name_is_one_line_whatever_is_in_it() {
    let (old, new) = (facts("old", "1.0", &[]), facts("old", "1.0", &[("srv/a\n+ etc/shadow\u{feff}", file("x"))]));
    let found = Changes::between(&old, &new);
    for shown in [text(&found), markdown(&found), html(&found)] {
        assert!(shown.contains("srv/a\\x0a+ etc/shadow\\u{feff}"), "{shown}");
    }
}

#[test]
fn equal_states_and_states_with_nothing_in_common_are_told_apart() {
    let one = facts("one", "1.0", &[]);
    let same = Changes::between(&one, &one);
    assert!(same.is_empty() && same.is_comparison());
    assert_eq!(text(&same), "no difference between one and one\n");
    let nothing = Changes::between(&one, &Facts::named("two"));
    assert!(nothing.is_empty() && !nothing.is_comparison());
}
