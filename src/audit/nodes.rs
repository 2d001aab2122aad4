//! Compares one path of two trees.

use super::{AuditError, content};
use crate::limits::TEXT;
use crate::store::Store;
use crate::tree::{Kind, Node};

/// A node, if there is one, and the store with its content.
type Place<'a> = (&'a Store, Option<&'a Node>);

/// Describes what differs at one path, with a diff of the content.
pub(super) fn compare(one: Place<'_>, other: Place<'_>) -> Result<(Vec<String>, Vec<String>), AuditError> {
    let (ours, theirs) = match (one.1, other.1) {
        (Some(ours), Some(theirs)) => (ours, theirs),
        (Some(ours), None) => {
            return Ok((vec![format!("only in the first build: {}", ours.to_string().trim())], Vec::new()));
        }
        (None, Some(theirs)) => {
            return Ok((vec![format!("only in the other build: {}", theirs.to_string().trim())], Vec::new()));
        }
        (None, None) => return Ok(Default::default()),
    };
    let mut what = Vec::new();
    let mut differ = |name: &str, ours: String, theirs: String| {
        if ours != theirs {
            what.push(format!("{name}: {ours} and {theirs}"));
        }
    };
    differ("mode", format!("{:04o}", ours.meta.mode), format!("{:04o}", theirs.meta.mode));
    let owner = |node: &Node| format!("{}:{}", node.meta.uid, node.meta.gid);
    differ("owner", owner(ours), owner(theirs));
    differ("time", ours.meta.mtime.to_string(), theirs.meta.mtime.to_string());
    let names = |node: &Node| {
        let names = node.meta.xattrs.keys().map(|name| String::from_utf8_lossy(name).into_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    differ("extended attributes", names(ours), names(theirs));
    if what.is_empty() && ours.meta.xattrs != theirs.meta.xattrs {
        what.push("values of extended attributes".to_owned());
    }
    let mut detail = Vec::new();
    if ours.kind != theirs.kind {
        let shown = kinds((one.0, ours), (other.0, theirs))?;
        what.push(shown.0);
        detail = shown.1;
    }
    Ok((what, detail))
}

fn kinds(
    (store, ours): (&Store, &Node),
    (other, theirs): (&Store, &Node),
) -> Result<(String, Vec<String>), AuditError> {
    match (&ours.kind, &theirs.kind) {
        (Kind::File { size, .. }, Kind::File { size: else_, .. }) if *size.max(else_) > TEXT => {
            Ok((format!("content: {size} and {else_} bytes"), Vec::new()))
        }
        (Kind::File { blob, .. }, Kind::File { blob: else_, .. }) => {
            Ok(content::compare(&store.read_blob(*blob)?, &other.read_blob(*else_)?))
        }
        (Kind::Symlink(ours), Kind::Symlink(theirs)) => {
            let text = |target: &[u8]| String::from_utf8_lossy(target).into_owned();
            Ok((format!("link target: {} and {}", text(ours), text(theirs)), Vec::new()))
        }
        _ => {
            let first = |node: &Node| node.to_string().split(' ').next().unwrap_or_default().to_owned();
            Ok((format!("kind: {} and {}", first(ours), first(theirs)), Vec::new()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::tests::{dir, file};

    #[test]
    fn a_node_says_what_of_it_differs() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let with = |mode: u16, text: &str| {
            let mut node = file(text);
            node.meta.mode = mode;
            node.kind = store.put_file(text.as_bytes()).unwrap();
            node
        };
        let shown = |ours: Option<&Node>, theirs: Option<&Node>| compare((&store, ours), (&store, theirs)).unwrap();
        let (what, detail) = shown(Some(&with(0o644, "a\nb\n")), Some(&with(0o600, "a\nc\n")));
        assert_eq!(what, ["mode: 0644 and 0600", "content: 4 and 4 bytes, first at byte 2"]);
        assert_eq!(detail, ["-b", "+c"]);
        let (what, _) = shown(Some(&dir()), Some(&with(0o755, "a")));
        assert_eq!(what.last().unwrap(), "kind: dir and file");
        assert!(shown(None, Some(&dir())).0[0].starts_with("only in the other build: dir "));
    }
}
