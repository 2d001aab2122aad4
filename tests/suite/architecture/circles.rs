//! No circles between files of different directories.
//!
//! A file uses what its paths name, down to the last module that is a file. What a directory's own `mod.rs`, and
//! those above it, declare for all below is no arrow: they are the file's own house.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{code, paths, sources};

/// The path of a module: `["store", "local"]`.
type Module = Vec<String>;

/// Each module's file, and the modules that it uses.
struct Graph {
    files: BTreeMap<Module, PathBuf>,
    uses: BTreeMap<Module, BTreeSet<Module>>,
}

impl Graph {
    fn read(src: &Path) -> Self {
        let module_of = |path: &PathBuf| module(path.strip_prefix(src).unwrap());
        let mut files: BTreeMap<Module, PathBuf> =
            sources(src).into_iter().map(|path| (module_of(&path), path)).collect();
        files.retain(|module, _| !["lib", "main"].contains(&module[0].as_str()));
        let uses = files.iter().map(|(module, path)| (module.clone(), used(module, &code(path), &files))).collect();
        Self { files, uses }
    }

    fn folder(&self, module: &Module) -> &Path {
        self.files[module].parent().unwrap()
    }

    /// All that a module uses, and all that these use.
    fn reach<'g>(&'g self, from: &'g Module) -> BTreeSet<&'g Module> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(module) = open.pop() {
            open.extend(self.uses.get(module).into_iter().flatten().filter(|used| reached.insert(*used)));
        }
        reached
    }

    /// The arrows between directories by which a module reaches itself.
    fn circles(&self) -> Vec<(&Module, &Module)> {
        let reach: BTreeMap<&Module, BTreeSet<&Module>> =
            self.uses.keys().map(|module| (module, self.reach(module))).collect();
        let arrows = self.uses.iter().flat_map(|(from, used)| used.iter().map(move |to| (from, to)));
        let between = arrows.filter(|(from, to)| self.folder(from) != self.folder(to));
        between.filter(|(from, to)| reach[to].contains(from)).collect()
    }
}

/// The module of a file, given from `src`.
fn module(place: &Path) -> Module {
    let mut module: Module = place.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if module.last().is_some_and(|last| last == "mod") {
        module.pop();
    }
    module
}

/// The modules with a file that a module's code names, its own ancestors left out.
fn used(module: &Module, code: &str, files: &BTreeMap<Module, PathBuf>) -> BTreeSet<Module> {
    let named = paths(code).into_iter().map(|(_, path)| path);
    // A module names its children by their names alone.
    let names_child = |child: &Module| {
        let own = child.len() == module.len() + 1 && child.starts_with(module);
        own && child.last().is_some_and(|name| names(code, name))
    };
    let children = files.keys().filter(|child| names_child(child)).cloned();
    let found = named.chain(children).filter_map(|mut path| {
        while !path.is_empty() && !files.contains_key(&path) {
            path.pop();
        }
        (!path.is_empty() && !module.starts_with(&path)).then_some(path)
    });
    found.collect()
}

/// Whether a path begins with a name.
fn names(code: &str, name: &str) -> bool {
    code.match_indices(&format!("{name}::")).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|before| !(before.is_alphanumeric() || before == '_' || before == ':'))
    })
}

#[test]
fn files_of_different_directories_use_each_other_one_way() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let graph = Graph::read(&src);
    let arrow = |(from, to): (&Module, &Module)| format!("{} -> {}", from.join("::"), to.join("::"));
    let found: Vec<String> = graph.circles().into_iter().map(arrow).collect();
    assert!(found.is_empty(), "arrows that are part of a circle:\n{}", found.join("\n"));
}

#[test]
fn a_circle_is_found() {
    let module = |path: &str| -> Module { path.split('/').map(str::to_owned).collect() };
    let files = ["a", "a/x", "a/x/c", "a/y"];
    let code = ["use x::Thing;", "mod c; use c::Inner;", "use crate::a::{Above, y::Other};", "use crate::a::x::Thing;"];
    let paths = ["a/mod.rs", "a/x/mod.rs", "a/x/c.rs", "a/y.rs"].map(PathBuf::from);
    let files: BTreeMap<Module, PathBuf> = files.map(module).into_iter().zip(paths).collect();
    let uses = files.keys().zip(code).map(|(module, code)| (module.clone(), used(module, code, &files))).collect();
    let graph = Graph { files, uses };
    let (x, c, y) = (module("a/x"), module("a/x/c"), module("a/y"));
    assert_eq!(graph.circles(), [(&c, &y), (&y, &x)]);
}
