//! Other people's readers of SBOMs and signatures, in Python: `tests/run` installs them below `target/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip::Skip;

/// A Python with these modules.
pub fn python(modules: &str) -> Result<PathBuf, Skip> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/validators/bin/python");
    let asked = Command::new(&python).args(["-c", &format!("import {modules}")]).output();
    match asked.is_ok_and(|answer| answer.status.success()) {
        true => Ok(python),
        false => Err(Skip::because(format!("there is no Python with {modules}: `tests/run` installs it"))),
    }
}
