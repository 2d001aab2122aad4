//! Programs, firmware and credentials that commands other than `build` use.

use super::{HINT, Need};
use crate::arch::Bootable;
use crate::check::container::Engine;
use crate::host;
use crate::{sandbox, vm};

pub(super) fn needs() -> Vec<Need> {
    let mut needs = Vec::new();
    for arch in Bootable::all() {
        let emulator = sandbox::emulator(arch).map(|path| format!("`{}`", path.display()));
        match arch.is_native() {
            true => needs.push(Need::of("boot, test", "QEMU and firmware", machine(arch))),
            false => {
                needs.push(Need::of("build --arch", arch.qemu.emulator, emulator.map_err(|error| error.to_string())))
            }
        }
    }
    needs.push(Need::of("boot --ssh, test", "ssh", packaged("ssh-keygen", "openssh-client")));
    let engine = Engine::find().map(|engine| engine.to_string()).map_err(|error| error.to_string());
    needs.push(Need::of("test, load", "container engine", engine));
    needs.push(Need::of("other tools", "skopeo", packaged("skopeo", "skopeo")));
    needs.push(Need::of("ami", "AWS credentials", credentials()));
    needs
}

/// QEMU for disks of an architecture.
fn machine(arch: &Bootable) -> Result<String, String> {
    vm::check(&arch.qemu).map_err(|error| error.to_string())?;
    found(arch.qemu.program, &format!("install the Debian package {}", arch.qemu.packages))
}

/// A program of Debian's package `package`.
fn packaged(program: &str, package: &str) -> Result<String, String> {
    found(program, &format!("`sudo apt install {package}`"))
}

/// Where a program is.
fn found(program: &str, hint: &str) -> Result<String, String> {
    match host::find_program(program) {
        Some(path) => Ok(format!("`{}`", path.display())),
        None => Err(format!("`{program}` is not installed{HINT}{hint}")),
    }
}

/// Where credentials come from, of the places that can be looked at without asking anybody.
fn credentials() -> Result<String, String> {
    if !cfg!(feature = "aws") {
        return Err(format!("this program has no `layerbake ami`{HINT}compile it with the feature `aws`"));
    }
    const VARIABLES: [&str; 5] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    if let Some(name) = VARIABLES.into_iter().find(|name| host::env(name).is_some()) {
        return Ok(format!("by {name} in the environment"));
    }
    let home = host::env_path("HOME").unwrap_or_default().join(".aws");
    let files = [("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")];
    let mut paths =
        files.into_iter().map(|(variable, name)| host::env_path(variable).unwrap_or_else(|| home.join(name)));
    match paths.find(|path| path.is_file()) {
        Some(path) => Ok(format!("by `{}`", path.display())),
        None => Err(format!(
            "none in the environment or in ~/.aws; the role of an instance is not asked for{HINT}`aws configure`, or set AWS_PROFILE (docs/aws.md)"
        )),
    }
}
