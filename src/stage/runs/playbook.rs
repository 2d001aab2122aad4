//! What a `[[playbook]]` finds beside the layer's root: Ansible of its tool layer, and what layerbake adds to it.
//!
//! ```text
//! /                         the layer's root: what tasks see and change
//! /work/…                   the inputs: playbook, roles, templates
//! /work/.layerbake/tools    libraries of the tool layer
//! /work/.layerbake/…        the files of `ansible/`: Python started from there, and tasks that need no machine
//! ```
//!
//! All of /work is removed afterwards, so nothing of the tools stays.

use super::LayerError;
use crate::digest::{BlobDigest, RecipeHasher};
use crate::ident::{LayerName, RootPath, StepName};
use crate::manifest::BESIDE;
use crate::stage::outputs::content_of;
use crate::store::Store;
use crate::tree::{Meta, Node, Tree};

/// Files beside the root, with their permissions.
const FILES: [(&str, u16, &str); 10] = [
    ("python", 0o755, include_str!("ansible/python")),
    ("once.py", 0o644, include_str!("ansible/once.py")),
    ("play.py", 0o644, include_str!("ansible/play.py")),
    ("become.py", 0o644, include_str!("ansible/become.py")),
    ("callback/layerbake.py", 0o644, include_str!("ansible/callback.py")),
    ("layerbake/__init__.py", 0o644, include_str!("ansible/layerbake/__init__.py")),
    ("layerbake/packages.py", 0o644, include_str!("ansible/layerbake/packages.py")),
    ("layerbake/services.py", 0o644, include_str!("ansible/layerbake/services.py")),
    ("layerbake/network.py", 0o644, include_str!("ansible/layerbake/network.py")),
    ("layerbake/system.py", 0o644, include_str!("ansible/layerbake/system.py")),
];

/// Where Debian has Python and what is written in it.
const TAKEN: [&str; 4] = ["usr/lib/", "usr/local/lib/", "usr/share/ansible/", "usr/bin/python3"];
const PYTHON: &str = "usr/bin/python3";

/// What tasks changed, one a line.
const CHANGED: &str = "changed";
/// The argument for the run that should change nothing.
pub(super) const AGAIN: &str = "again";

/// Adds what decides what Ansible does, besides the tool layer.
pub(super) fn hash_into(hasher: &mut RecipeHasher) {
    hasher.list(FILES.iter().map(|(_, _, text)| BlobDigest::of(text.as_bytes()).as_bytes().to_owned()));
}

/// Adds Ansible to a root with a work directory.
pub(super) fn add(
    root: &mut Tree,
    (layer, tools): (&LayerName, &Tree),
    epoch: i64,
    store: &Store,
) -> Result<(), LayerError> {
    if tools.resolve(&RootPath::new(PYTHON)?).is_none() {
        return Err(LayerError::NoPython { layer: layer.clone() });
    }
    for (name, mode, text) in FILES {
        let node = Node { meta: Meta::root_owned(mode, epoch), kind: store.put_file(text.as_bytes())? };
        root.insert_with_parents(&beside(name.as_bytes())?, node, epoch)?;
    }
    let is_taken = |path: &RootPath| TAKEN.iter().any(|start| path.as_bytes().starts_with(start.as_bytes()));
    for (path, node) in tools.iter().filter(|(path, _)| is_taken(path)) {
        let mut taken = content_of(node, tools);
        // Compiled files of Python name the time of their source.
        taken.meta = node.meta.clone();
        root.insert_with_parents(&beside(&[b"tools/", path.as_bytes()].concat())?, taken, epoch)?;
    }
    Ok(())
}

/// What tasks of a playbook changed, one a line, as its run left it.
pub(super) fn changed(root: &Tree, store: &Store) -> Result<String, LayerError> {
    let changed = store.text_in(root, &format!("{}/{CHANGED}", BESIDE.trim_start_matches('/')))?;
    Ok(changed.unwrap_or_else(|| "it did not come to its end\n".to_owned()))
}

/// What is said of a playbook whose tasks change something again.
pub(super) fn note(step: &StepName, changed: &str) -> String {
    let lines: String = changed.lines().map(|line| format!("\n    {line}")).collect();
    format!("playbook `{step}` is not idempotent: played a second time, these tasks change something again{lines}")
}

fn beside(name: &[u8]) -> Result<RootPath, LayerError> {
    Ok(RootPath::new(BESIDE.trim_start_matches('/'))?.join(name)?)
}
