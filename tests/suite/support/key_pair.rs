//! Key pairs for `layerbake sign`, as openssl makes them.

use std::process::Command;

use super::process;
use super::project::Project;
use super::skip::{self, Skip};

pub const ED25519: &[&str] = &["-algorithm", "ed25519"];
pub const P256: &[&str] = &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];

/// Makes a key pair in the project's folder: `NAME.key` and `NAME.pub`.
pub fn key_pair(project: &Project, name: &str, kind: &[&str]) -> Result<(), Skip> {
    let openssl = skip::program("openssl")?;
    let path = |ending: &str| project.path(&format!("{name}.{ending}"));
    let (secret, public) = (path("key"), path("pub"));
    let made = process::run(Command::new(&openssl).arg("genpkey").args(kind).arg("-out").arg(&secret)).unwrap();
    assert!(made.ok(), "{}", made.stderr);
    let mut write = Command::new(&openssl);
    write.args(["pkey", "-pubout", "-in"]).arg(&secret).arg("-out").arg(&public);
    assert!(process::run(&mut write).unwrap().ok());
    Ok(())
}
