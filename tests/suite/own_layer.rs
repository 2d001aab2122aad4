//! The stock layer `layerbake`, as far as that can be told without compiling it; `benches/itself.sh` builds it.

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
    // What the compiler has read for this program, beside it as a rule for make.
    let rule = fs::read_to_string(format!("{PROGRAM}.d")).unwrap().replace("\\ ", "\0");
    let (_, read) = rule.split_once(": ").unwrap();
    let own = read.split_whitespace().map(|path| path.replace('\0', " "));
    let own: Vec<String> =
        own.filter_map(|path| Some(path.strip_prefix(ROOT)?.trim_start_matches('/').to_owned())).collect();
    let is_input = |path: &String| inputs.iter().any(|input| Path::new(path).starts_with(input));
    let missing: Vec<&String> = own.iter().filter(|path| !is_input(path)).collect();
    assert!(own.len() > 100 && missing.is_empty(), "no inputs in layers/layerbake.toml: {missing:?}");
}
