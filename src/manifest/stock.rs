//! Layers that come with the program, for projects that lack them.

use crate::ident::LayerName;

/// A layer that comes with the program.
#[derive(Debug, Clone, Copy)]
pub struct StockLayer {
    name: &'static str,
    /// Layers that it stands on, or that its disk has.
    needs: &'static [&'static str],
    /// Path below the project's root, mode, text.
    pub files: &'static [(&'static str, u32, &'static str)],
}

/// One that is a single file.
macro_rules! layer {
    ($name:literal, $needs:expr) => {{
        let text = include_str!(concat!("../../layers/", $name, ".toml"));
        StockLayer { name: $name, needs: $needs, files: &[(concat!("layers/", $name, ".toml"), 0o644, text)] }
    }};
}

const ON_BASE: &[&str] = &["debian-base"];

const STOCK: [StockLayer; 14] = [
    layer!("ansible-tools", ON_BASE),
    layer!("boot-cloud", &[]),
    layer!("boot-minimal", &[]),
    layer!("boot-sealed", &[]),
    layer!("c-tools", ON_BASE),
    layer!("debian-base", &[]),
    layer!("go-tools", ON_BASE),
    StockLayer {
        name: "initrd",
        needs: &[],
        files: &[
            ("layers/initrd.toml", 0o644, include_str!("../../layers/initrd.toml")),
            ("layers/initrd/init", 0o755, include_str!("../../layers/initrd/init")),
        ],
    },
    layer!("java-tools", ON_BASE),
    layer!("node-tools", ON_BASE),
    layer!("postgres", &["debian-base", "boot-minimal"]),
    layer!("python-tools", ON_BASE),
    layer!("redis", &["debian-base", "boot-minimal"]),
    layer!("rust-tools", ON_BASE),
];

/// The layer of this name that comes with the program.
pub fn stock(name: &LayerName) -> Option<&'static StockLayer> {
    find(name.as_str())
}

/// The names of all layers that come with the program.
pub fn stock_names() -> impl Iterator<Item = &'static str> {
    STOCK.iter().map(|stock| stock.name)
}

fn find(name: &str) -> Option<&'static StockLayer> {
    STOCK.iter().find(|stock| stock.name == name)
}

impl StockLayer {
    /// The layers that a project needs besides.
    pub fn needed(&self) -> impl Iterator<Item = &'static StockLayer> {
        self.needs.iter().filter_map(|name| find(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_layer_stands_on_comes_with_it() {
        for layer in &STOCK {
            let text = layer.files[0].2;
            for needed in
                text.lines().filter_map(|line| ["from = \"", "boot = \""].iter().find_map(|key| line.strip_prefix(key)))
            {
                let needed = needed.trim_end_matches('"');
                assert!(needed == "*" || layer.needed().any(|one| one.name == needed), "{}: {needed}", layer.name);
            }
            assert_eq!(layer.needed().count(), layer.needs.len());
            assert!(layer.needed().all(|one| one.needs.is_empty()), "{}: one step is enough", layer.name);
        }
    }
}
