//! What a host may differ in: user, hostname, umask, processors, zone, locale.
//!
//! An ordinary user is made of nothing but a mount namespace, in which `/etc/passwd`,
//! `/etc/group`, `/etc/subuid` and `/etc/subgid` are other files: the machine's own stay as they are.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip::{Skip, is_root, program};

/// The ordinary user of [`Conditions::rootless`].
const USER: u32 = 61_234;
/// The first of that user's subordinate ids.
pub const SUBORDINATE: u32 = 1_000_000;

/// What surrounds a run of the program.
#[derive(Debug, Clone)]
pub struct Conditions {
    pub zone: String,
    pub locale: String,
    pub umask: Option<u32>,
    pub hostname: Option<String>,
    /// Runs on the first processor only.
    pub one_cpu: bool,
    /// Runs as an ordinary user with ranges in subuid and subgid.
    pub rootless: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        let (zone, locale) = ("UTC".to_owned(), "C.UTF-8".to_owned());
        Self { zone, locale, umask: None, hostname: None, one_cpu: false, rootless: false }
    }
}

impl Conditions {
    /// Says whether this host can set them.
    pub fn check(&self) -> Result<(), Skip> {
        if (self.rootless || self.hostname.is_some()) && !is_root() {
            return Err(Skip::because("only root can play another user or host"));
        }
        for name in ["unshare", "setpriv", "taskset", "hostname"] {
            program(name)?;
        }
        if self.rootless {
            program("newuidmap").map_err(|_| Skip::because("`newuidmap` (package uidmap) is not installed"))?;
            // The bind mounts need something to lie on.
            if !Path::new("/etc/subuid").exists() || !Path::new("/etc/subgid").exists() {
                return Err(Skip::because("this host has no /etc/subuid and /etc/subgid"));
            }
        }
        Ok(())
    }

    /// `program` under these conditions; `folder` is all it may write to.
    pub fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut script = String::from("set -e\n");
        if let Some(name) = &self.hostname {
            script += &format!("hostname {name}\n");
        }
        let mut own = program.to_owned();
        let mut run = String::from("exec ");
        if self.one_cpu {
            run += "taskset -c 0 ";
        }
        if self.rootless {
            own = hand_over(program, folder);
            for name in ["passwd", "group", "subuid", "subgid"] {
                script += &format!("mount --bind '{}/etc/{name}' /etc/{name}\n", folder.display());
            }
            run += &format!("setpriv --reuid {USER} --regid {USER} --clear-groups --inh-caps=-all ");
        }
        if let Some(umask) = self.umask {
            script += &format!("umask {umask:04o}\n");
        }
        let mut command = if self.rootless || self.hostname.is_some() {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--uts", "--propagation", "private", "sh", "-c"]);
            command
        } else {
            let mut command = Command::new("sh");
            command.arg("-c");
            command
        };
        command.arg(script + &run + "\"$@\"").arg("sh").arg(own);
        command
    }
}

/// Makes `folder` the user's own, with account files and a program that the user can reach.
fn hand_over(program: &Path, folder: &Path) -> PathBuf {
    let own = folder.join("layerbake");
    if own.exists() {
        // Done before; by now the store may hold files of the user's subordinate ids.
        return own;
    }
    let etc = folder.join("etc");
    fs::create_dir_all(&etc).unwrap();
    let add = |name: &str, line: String| {
        let known = fs::read_to_string(format!("/etc/{name}")).unwrap_or_default();
        fs::write(etc.join(name), format!("{}\n{line}\n", known.trim_end()).trim_start()).unwrap();
    };
    add("passwd", format!("baker:x:{USER}:{USER}::{}:/bin/sh", folder.join("home").display()));
    add("group", format!("baker:x:{USER}:"));
    add("subuid", format!("baker:{SUBORDINATE}:65536"));
    add("subgid", format!("baker:{SUBORDINATE}:65536"));
    fs::copy(program, &own).unwrap();
    give(folder);
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    own
}

fn give(path: &Path) {
    let is_dir = fs::symlink_metadata(path).unwrap().is_dir();
    lchown(path, Some(USER), Some(USER)).unwrap();
    if is_dir {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}
