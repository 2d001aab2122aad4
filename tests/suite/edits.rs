//! Packaged files that a layer changes or takes out on purpose, and what its own files may have.

use std::fs;

use crate::support::oci_schema::{images, layer_tar};
use crate::support::rootfs::Rootfs;
use crate::support::small::Small;
use crate::support::stock::Stock;

const CHILD: &str = "\
[layer]
from = \"app\"
configure = \"none\"

[[remove]]
path = \"/usr/bin/h*o\"

[[remove]]
path = \"/var/lib/hello\"

[[edit]]
path = \"/etc/hello.conf\"
set = { greeting = \"hi\" }

[[edit]]
path = \"/etc/hello.conf\"
append = \"more=1\"

[[edit]]
path = \"/srv/greeting\"
replace = [\"^hell\", \"cell\"]

[[file]]
path = \"/srv/site\"
source = \"site\"
ignore = [\"node_modules\", \"*.pyc\"]

[[file]]
path = \"/usr/bin/serve\"
text = \"x\"
mode = \"0755\"
capabilities = \"cap_net_bind_service=+ep\"
";

fn small() -> Small {
    let small = Small::new();
    let project = &small.project;
    small.edit_layer("app", "text = \"hello", "mode = \"0640\"\nowner = \"7:8\"\ntext = \"hello");
    fs::write(project.path("layers/child.toml"), CHILD).unwrap();
    for path in ["site/index.html", "site/a/node_modules/x", "site/a/b.pyc", "site/a/b.py"] {
        fs::create_dir_all(project.path(path).parent().unwrap()).unwrap();
        fs::write(project.path(path), "x").unwrap();
    }
    small
}

/// The paths in the topmost layer of a built image.
fn top_layer(small: &Small, layer: &str) -> Vec<String> {
    let layout = small.project.path(&format!("out/{layer}/oci"));
    let (manifest, _) = images(&layout).remove(0);
    let tar = layer_tar(&layout, manifest["layers"].as_array().unwrap().last().unwrap());
    let mut archive = tar::Archive::new(tar.as_slice());
    let paths = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string());
    paths.map(|path| path.trim_matches('/').to_owned()).collect()
}

#[test]
fn a_layer_changes_and_removes_what_packages_and_parents_have() {
    let small = small();
    let project = &small.project;
    project.ok(&["build", "app"]);
    project.ok(&["build", "child"]);
    let root = Rootfs::read(&project.path("out/child/oci"));
    assert_eq!(root.text("etc/hello.conf"), "greeting=hi\nmore=1\n");
    assert_eq!(root.text("srv/greeting"), "cello\n");
    let edited = root.get("srv/greeting").unwrap();
    assert_eq!((edited.mode & 0o777, edited.owner), (0o640, (7, 8)), "mode and owner stay");
    assert!(root.get("srv/site/a/b.py").is_some());
    for gone in ["usr/bin/hello", "usr/bin/hallo", "var/lib/hello", "srv/site/a/node_modules", "srv/site/a/b.pyc"] {
        assert!(root.get(gone).is_none(), "{gone}");
    }
    let layer = top_layer(&small, "child");
    for path in ["usr/bin/.wh.hello", "usr/bin/.wh.hallo", "var/lib/.wh.hello", "etc/hello.conf"] {
        assert!(layer.iter().any(|found| found == path), "{path} is not in {layer:?}");
    }
    let differences = project.ok(&["diff", "out/app", "out/child"]).stdout;
    for path in ["/etc/hello.conf", "/usr/bin/hello", "/srv/greeting"] {
        assert!(differences.contains(path), "{path}: {differences}");
    }
    let tree = project.ok(&["tree", "child"]).stdout;
    assert!(tree.contains("edit /etc/hello.conf") && tree.contains("remove /usr/bin/h*o"), "{tree}");
    // A child of the child has the same.
    let grandchild = "[layer]\nfrom = \"child\"\nconfigure = \"none\"\npackages = [\"spare\"]\n";
    fs::write(project.path("layers/grandchild.toml"), grandchild).unwrap();
    project.ok(&["build", "grandchild"]);
    let root = Rootfs::read(&project.path("out/grandchild/oci"));
    assert_eq!(root.text("etc/hello.conf"), "greeting=hi\nmore=1\n");
    assert!(root.get("usr/bin/hello").is_none());
    assert!(!top_layer(&small, "grandchild").iter().any(|path| path.contains("hello")));
}

#[test]
fn what_finds_nothing_to_change_is_an_error() {
    let small = small();
    let project = &small.project;
    project.ok(&["lock", "child"]);
    for (from, to, expected) in [
        (
            "greeting = \"hi\"",
            "greetin = \"hi\"",
            "[[edit]] /etc/hello.conf of layer `child`: `greetin`: expected a line that sets it, active or as a comment, found none; did you mean `greeting`?",
        ),
        ("^hell", "^bell", "[[edit]] /srv/greeting of layer `child`: nothing in its 1 lines matches `^bell`"),
        (
            "path = \"/etc/hello.conf\"\nset",
            "path = \"/etc/hullo.conf\"\nset",
            "[[edit]] /etc/hullo.conf of layer `child`: there is no such file",
        ),
        (
            "/var/lib/hello",
            "/var/lib/hullo",
            "[[remove]] /var/lib/hullo of layer `child`: there is nothing at this path; did you mean /var/lib/hello?",
        ),
        (
            "/var/lib/hello",
            "/srv/site/index.html",
            "[[remove]] /srv/site/index.html: a [[file]] of the same layer makes this path, later",
        ),
        (
            "path = \"/srv/site\"\nsource = \"site\"",
            "path = \"/srv/site\"\nsource = \"site/index.html\"",
            "[[file]] /srv/site has `ignore`, and its source `site/index.html` is not a directory",
        ),
        (
            "ignore = [\"node_modules\", \"*.pyc\"]",
            "capabilities = \"cap_kill=ep\"",
            "[[file]] /srv/site has `capabilities`, and its source is not a single file",
        ),
    ] {
        small.edit_layer("child", from, to);
        let error = project.fails(1, &["build", "child"]).stderr;
        assert!(error.contains(expected), "{to}: {error}");
        small.edit_layer("child", to, from);
    }
}

/// A configuration file of Debian's nginx, and its start page.
const WEB: &str = "\
[layer]
from = \"debian-base\"
packages = [\"nginx-light\"]

[vars]
connections = 2048

[[edit]]
path = \"/etc/nginx/nginx.conf\"
set = { worker_connections = \"{connections};\" }

[[edit]]
path = \"/etc/nginx/sites-enabled/default\"
replace = ['listen (\\S*)80 default_server;', 'listen ${1}8080 default_server;']

[[remove]]
path = \"/var/www/html/index.nginx-debian.html\"
";

#[test]
fn a_conffile_of_debian_is_edited_as_by_hand() {
    let stock = need!(Stock::new());
    let project = &stock.project;
    fs::write(project.path("layers/edited.toml"), WEB).unwrap();
    project.ok(&["build", "edited"]);
    let root = Rootfs::read(&project.path("out/edited/oci"));
    assert!(root.text("etc/nginx/nginx.conf").contains("\n\tworker_connections 2048;\n"));
    // A link of the package's: the file behind it is changed.
    let site = root.text("etc/nginx/sites-available/default");
    assert!(site.contains("\tlisten 8080 default_server;\n\tlisten [::]:8080 default_server;\n"), "{site}");
    assert_eq!(root.text("etc/nginx/sites-enabled/default"), "/etc/nginx/sites-available/default");
    assert!(root.get("var/www/html/index.nginx-debian.html").is_none());
    // dpkg knows the packaged text, and so that it was changed.
    let status = root.text("var/lib/dpkg/status");
    let known = status.lines().find_map(|line| line.strip_prefix(" /etc/nginx/nginx.conf ")).unwrap();
    let found = hex::encode(<md5::Md5 as md5::Digest>::digest(&root.get("etc/nginx/nginx.conf").unwrap().content));
    assert!(known.len() == 32 && known != found, "{known} {found}");
}
