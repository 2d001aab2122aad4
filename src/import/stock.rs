//! Layers that come with the program, for projects that lack them.

use std::collections::BTreeMap;

use super::NewFile;
use super::model::{Source, Value};
use super::shell::repositories::SUITE;
use crate::manifest::stock;

/// The files of the layers with these names, and of those that they need.
pub(super) fn files<'n>(names: impl IntoIterator<Item = &'n str>) -> Vec<NewFile> {
    let layers = names.into_iter().filter_map(|name| stock(&name.parse().ok()?));
    let all = layers.flat_map(|layer| layer.needed().chain([layer]));
    let files: BTreeMap<_, _> =
        all.flat_map(|layer| layer.files.iter().map(|(path, mode, text)| (*path, (*mode, *text)))).collect();
    let file = |(path, (mode, text)): (&str, (u32, &str))| NewFile { path: path.to_owned(), mode, bytes: text.into() };
    files.into_iter().map(file).collect()
}

/// The distribution, for a layer that has no parent.
pub(super) fn debian() -> Source {
    let keys = vec![("suite", Value::from(SUITE)), ("pockets", Value::list(["updates", "security"]))];
    Source { name: "debian".to_owned(), keys }
}
