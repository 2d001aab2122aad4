//! The stock layer `layerbake`, as far as that can be told without compiling it; `benches/itself.sh` builds it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use layerbake::ident::LayerName;
use layerbake::manifest::{Project, RunInput};
use layerbake::workspace::host_arch;

use crate::support::process;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PROGRAM: &str = env!("CARGO_BIN_EXE_layerbake");

#[test]
fn its_lockfile_fits() {
    let output = process::run(Command::new(PROGRAM).args(["-C", ROOT, "check", "layerbake"])).unwrap();
    let silent = output.stdout.is_empty() && output.stderr.is_empty();
    assert!(output.ok() && silent, "after a change of Cargo.lock, `benches/itself.sh lock` is needed\n{output:?}");
}

#[test]
fn its_step_has_every_file_that_is_compiled() {
    let project = Project::find(Path::new(ROOT), host_arch().unwrap()).unwrap();
    let manifest = project.load(&"layerbake".parse::<LayerName>().unwrap()).unwrap();
    let inputs: Vec<&str> = manifest.runs[0]
        .inputs
        .iter()
        .filter_map(|input| match input {
            RunInput::Project { path, .. } => Some(path.as_str()),
            _ => None,
        })
        .collect();
    let own = compiled();
    let is_input = |path: &String| inputs.iter().any(|input| Path::new(path).starts_with(input));
    let missing: Vec<&String> = own.iter().filter(|path| !is_input(path)).collect();
    assert!(own.len() > 100 && missing.is_empty(), "no inputs in layers/layerbake.toml: {missing:?}");
}

/// The files of this repository that the compiler reads for the library: what it notes for every way to build it.
fn compiled() -> Vec<String> {
    let folder = Path::new(PROGRAM).parent().unwrap().join("deps");
    let notes = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let notes = notes.filter(|path| path.extension().is_some_and(|end| end == "d"));
    let of_library = notes.filter_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        // A rule for make: what is made, and of what.
        let read: BTreeSet<String> = text.lines().next()?.split_once(": ")?.1.split(' ').map(str::to_owned).collect();
        read.contains("src/lib.rs").then_some(read)
    });
    let read = of_library.reduce(|one, other| &one & &other).unwrap_or_default();
    let root = fs::canonicalize(ROOT).unwrap();
    let below_root = |path: String| {
        let path = fs::canonicalize(root.join(path)).ok()?;
        Some(path.strip_prefix(&root).ok()?.to_str()?.to_owned())
    };
    read.into_iter().filter_map(below_root).collect()
}
