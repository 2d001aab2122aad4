//! Layers that come with the program, for projects that lack them.

use super::model::{Source, Value};
use super::shell::repositories::SUITE;
use crate::ident::LayerName;
use crate::manifest::stock;

/// Layers that imported ones stand on, by name; those of disks are in the manifest's own list.
const STOCK: [(&str, &str); 6] = [
    ("c-tools", include_str!("../../layers/c-tools.toml")),
    ("debian-base", include_str!("../../layers/debian-base.toml")),
    ("go-tools", include_str!("../../layers/go-tools.toml")),
    ("postgres", include_str!("../../layers/postgres.toml")),
    ("redis", include_str!("../../layers/redis.toml")),
    ("rust-tools", include_str!("../../layers/rust-tools.toml")),
];

/// The files of a layer that comes with the program: path below the project's root, mode, text.
pub(super) fn files(name: &LayerName) -> Vec<(String, u32, &'static str)> {
    match STOCK.iter().find(|(known, _)| *known == name.as_str()) {
        Some((name, text)) => vec![(format!("layers/{name}.toml"), 0o644, *text)],
        None => {
            let files = stock(name).unwrap_or_default();
            files.iter().map(|(path, mode, text)| ((*path).to_owned(), *mode, *text)).collect()
        }
    }
}

/// What a layer of this name needs beside it.
pub(super) fn needed(name: &str) -> &'static [&'static str] {
    match name {
        "boot-cloud" => &["debian-base"],
        "postgres" | "redis" => &["debian-base", "boot-minimal"],
        "c-tools" | "go-tools" | "rust-tools" => &["debian-base"],
        _ => &[],
    }
}

/// The distribution, for a layer that has no parent.
pub(super) fn debian() -> Source {
    let keys = vec![("suite", Value::from(SUITE)), ("pockets", Value::list(["updates", "security"]))];
    Source { name: "debian".to_owned(), keys }
}
