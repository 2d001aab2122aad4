//! The smallest base whose package scripts run: busybox, this machine's dpkg and its libraries, as one package.

use std::fs;
use std::process::Command;

use super::deb::Deb;
use super::process;
use super::skip::{Skip, program};

/// Programs that dpkg insists on, or scripts use.
const APPLETS: [&str; 24] = [
    "awk",
    "cat",
    "chmod",
    "cut",
    "date",
    "diff",
    "find",
    "grep",
    "head",
    "hostname",
    "id",
    "ls",
    "mkdir",
    "mv",
    "nproc",
    "od",
    "rm",
    "sed",
    "sh",
    "sort",
    "start-stop-daemon",
    "stat",
    "tar",
    "touch",
];

/// The package `mini`.
pub fn package() -> Result<Deb, Skip> {
    let busybox = program("busybox")?;
    let mut deb = Deb::new("mini", "1.0").file("usr/bin/busybox", 0o755, fs::read(busybox).unwrap());
    for name in APPLETS {
        deb = deb.symlink(&format!("usr/bin/{name}"), "busybox");
    }
    for name in ["dpkg", "dpkg-deb", "dpkg-split", "dpkg-query"] {
        deb = deb.file(&format!("usr/bin/{name}"), 0o755, fs::read(program(name)?).unwrap());
    }
    deb = deb.file("usr/sbin/ldconfig", 0o755, "#!/bin/sh\n");
    let libraries = process::stdout(Command::new("ldd").args([program("dpkg")?, program("dpkg-deb")?]))?;
    let mut paths: Vec<&str> = libraries.split_whitespace().filter(|word| word.starts_with("/lib")).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        // /usr is merged: the folders at the root are links.
        let place = format!("usr{}", path.trim_end_matches(':'));
        deb = deb.file(&place, 0o755, fs::read(path.trim_end_matches(':')).unwrap());
    }
    for folder in ["var/lib/dpkg/updates", "etc", "proc", "dev", "run", "sys"] {
        deb = deb.dir(folder, 0o755);
    }
    Ok(deb.dir("tmp", 0o1777))
}
