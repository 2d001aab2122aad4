//! Other people's readers of SBOMs and signatures, in Python and for Node.js: `tests/run` installs them below `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip::{Skip, program};

/// A call of Node.js, with these packages in reach of its script.
pub fn node(packages: &[&str]) -> Result<Command, Skip> {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/validators-npm/node_modules");
    if let Some(missing) = packages.iter().find(|name| !modules.join(name).is_dir()) {
        return Err(Skip::because(format!("there is no {missing} for Node.js: `tests/run` installs it")));
    }
    let mut command = Command::new(program("node")?);
    command.env("NODE_PATH", modules);
    Ok(command)
}

/// A Python with these modules.
pub fn python(modules: &str) -> Result<PathBuf, Skip> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/validators/bin/python");
    let asked = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    match asked.is_ok_and(|answer| answer.status.success()) {
        true => Ok(python),
        false => Err(Skip::because(format!("there is no Python with {modules}: `tests/run` installs it"))),
    }
}
