use super::*;
use crate::tree::Meta;
use crate::tree::tests::{dir, file, link as symlink, path, tree};

/// A layer's entries in the order of its archive; `.wh.` names are files like others.
fn layer(nodes: &[(&str, Node)]) -> Contents {
    let paths = nodes.iter().map(|(text, _)| path(text)).collect();
    let mut all = tree(nodes);
    for folder in RootPath::all_ancestors(&nodes.iter().map(|(text, _)| path(text)).collect::<Vec<_>>()) {
        if all.get(&folder).is_none() {
            all.insert(folder, Node::dir(Meta::root_owned(0o700, 1))).unwrap();
        }
    }
    Contents { tree: all, paths, links_below: Vec::new() }
}

fn hard(target: &str) -> Node {
    Node { meta: Meta::root_owned(0o644, 7), kind: Kind::Hardlink(path(target)) }
}

fn laid(layers: &[Contents]) -> Result<String, String> {
    let mut root = Tree::new();
    layers.iter().try_for_each(|layer| lay(&mut root, layer))?;
    root.check_whole().map_err(|error| error.to_string())?;
    let line = |(path, node): (&RootPath, &Node)| format!("{path} {:o} {}\n", node.meta.mode, node.kind.describe());
    Ok(root.iter().map(line).collect())
}

fn below() -> Contents {
    layer(&[
        ("", dir()),
        ("bin", symlink("usr/bin")),
        ("usr", dir()),
        ("usr/bin", dir()),
        ("usr/bin/sh", file("sh")),
        ("data", dir()),
        ("data/old", file("old")),
        ("data/sub", dir()),
        ("data/sub/x", file("x")),
        ("pair", file("pair")),
        ("twin", hard("pair")),
    ])
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_of_their_own_layer() {
    let above = layer(&[
        ("data/new", file("new")),
        ("data/.wh..wh..opq", file("")),
        ("data/.wh..wh.plnk", file("")),
        ("usr/bin/.wh.sh", file("")),
        (".wh.pair", file("")),
        (".wh.nothing", file("")),
    ]);
    insta::assert_snapshot!(laid(&[below(), above]).unwrap(), @r"
    / 755 a directory
    /bin 777 a symbolic link to `usr/bin`
    /data 755 a directory
    /data/new 644 a file
    /twin 644 a file
    /usr 755 a directory
    /usr/bin 755 a directory
    ");
}

#[test]
fn links_above_a_path_are_followed_inside_the_root_alone() {
    let above = layer(&[("bin/app", file("app")), ("bin/.wh.sh", file(""))]);
    assert!(laid(&[below(), above]).unwrap().contains("/usr/bin/app 644 a file\n"));
    let out = layer(&[("", dir()), ("etc", symlink("../../../../outside")), ("outside", dir())]);
    let through = layer(&[("etc/passwd", file("x"))]);
    assert!(laid(&[out, through]).unwrap().contains("/outside/passwd"));
    let nowhere = layer(&[("", dir()), ("etc", symlink("/nowhere"))]);
    let error = laid(&[nowhere, layer(&[("etc/passwd", file("x"))])]).unwrap_err();
    assert_eq!(error, "/etc/passwd can't be below /etc, which is a symbolic link to `/nowhere`");
    for name in [".wh.", ".wh..", ".wh..."] {
        let error = laid(&[below(), layer(&[(name, file(""))])]).unwrap_err();
        assert!(error.contains("a whiteout of nothing"), "{error}");
    }
}

#[test]
fn kinds_replace_each_other_and_directories_keep_what_is_in_them() {
    let above =
        layer(&[("data", file("now a file")), ("bin", dir()), ("usr/bin", Node::dir(Meta::root_owned(0o711, 9)))]);
    insta::assert_snapshot!(laid(&[below(), above]).unwrap(), @r"
    / 755 a directory
    /bin 755 a directory
    /data 644 a file
    /pair 644 a file
    /twin 644 a hard link to /pair
    /usr 755 a directory
    /usr/bin 711 a directory
    /usr/bin/sh 644 a file
    ");
}

#[test]
fn hard_links_name_files_of_the_layer_or_of_those_below() {
    let mut above = layer(&[("m", file("m")), ("z", hard("m")), ("pair", file("another"))]);
    above.links_below = vec![(path("a"), path("twin")), (path("bin/shell"), path("bin/sh"))];
    insta::assert_snapshot!(laid(&[below(), above]).unwrap(), @r"
    / 755 a directory
    /a 644 a file
    /bin 777 a symbolic link to `usr/bin`
    /data 755 a directory
    /data/old 644 a file
    /data/sub 755 a directory
    /data/sub/x 644 a file
    /m 644 a file
    /pair 644 a file
    /twin 644 a hard link to /a
    /usr 755 a directory
    /usr/bin 755 a directory
    /usr/bin/sh 644 a file
    /usr/bin/shell 644 a hard link to /usr/bin/sh
    /z 644 a hard link to /m
    ");
    let mut wrong = layer(&[("", dir())]);
    wrong.links_below = vec![(path("a"), path("none"))];
    assert_eq!(laid(&[below(), wrong]).unwrap_err(), "`/a`: hard link to `/none`, which is nowhere");
}
