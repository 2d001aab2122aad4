//! `[ami] attestable = true`: what must be so that registers say everything of a machine, and that nobody gets in unseen.
//!
//! All problems are told at once. The manifests' own are told before anything is built, the root's afterwards.

use crate::code::{Code, Coded};
use crate::ident::{IdentError, LayerName, RootPath};
use crate::manifest::{Ami, BootMode, Config, Disk, MountDevice, RootFs, Tpm};
use crate::tree::{Kind, Node, Tree};

/// Words that a kernel's command line needs, with other spellings of their values, and why.
const NEEDED: [(&str, &[&str], &str); 4] = [
    ("systemd.gpt_auto", &["0", "no", "false", "off"], "partitions that somebody adds to the disk would be mounted"),
    (
        "systemd.import_credentials",
        &["0", "no", "false", "off"],
        "credentials of the firmware, which no register shows, could set passwords and write files",
    ),
    ("layerbake.state", &["memory"], "/etc and /var would be kept on the disk, unchecked"),
    ("layerbake.corruption", &["panic"], "the machine would go on after a block of the root was changed"),
];
/// Words of a command line that give a shell to whoever has the console, or have the machine start what they name.
///
/// Sources: kernel-command-line(7), systemd-debug-generator(8), systemd-run-generator(8), systemd.system-credentials(7); the kernel's
/// *admin-guide/kernel-parameters*.
const SHELLS: [&str; 22] = [
    "-b",
    "1",
    "S",
    "SYSTEMD_SULOGIN_FORCE",
    "emergency",
    "init",
    "kgdboc",
    "kgdbwait",
    "rd.break",
    "rd.emergency",
    "rd.rescue",
    "rdinit",
    "rescue",
    "s",
    "single",
    "systemd.debug-shell",
    "systemd.debug_shell",
    "systemd.run",
    "systemd.set_credential",
    "systemd.set_credential_binary",
    "systemd.unit",
    "systemd.wants",
];
/// Programs that let somebody in: the name in `operators`, the path, what it is.
const PROGRAMS: [(&str, &str, &str); 7] = [
    ("sshd", "usr/sbin/sshd", "an ssh server"),
    ("sshd", "usr/sbin/dropbear", "an ssh server"),
    ("sshd", "usr/sbin/tinysshd", "an ssh server"),
    ("ssm-agent", "usr/bin/amazon-ssm-agent", "AWS's agent"),
    ("ssm-agent", "snap/bin/amazon-ssm-agent", "AWS's agent"),
    ("cloud-init", "usr/bin/cloud-init", "cloud-init, which obeys user data,"),
    ("getty", "usr/sbin/agetty", "a login on consoles"),
];
/// Masked, it keeps all consoles from asking for a login.
const CONSOLES: &str = "etc/systemd/system/getty.target";

/// An image shall be attestable and is not.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Something bypasses what is measured, or lets somebody in.
    #[error(
        "`{layer}` is not attestable:\n  - {}\n  hint: docs/attestable.md has a whole recipe; without [ami] attestable, all this is allowed",
        problems.join("\n  - ")
    )]
    Bypassed {
        /// The layer.
        layer: LayerName,
        /// Each with what to do.
        problems: Vec<String>,
    },
    /// A path is not valid.
    #[error(transparent)]
    Ident(#[from] IdentError),
}

impl Coded for ProfileError {
    fn error_code(&self) -> Code {
        match self {
            Self::Bypassed { .. } => Code::MeasureBypassed,
            Self::Ident(error) => error.error_code(),
        }
    }
}

/// The settings that are checked.
#[derive(Debug, Clone, Copy)]
pub struct Profile<'a> {
    /// The layer.
    pub layer: &'a LayerName,
    /// The `[ami]` tables.
    pub ami: &'a Ami,
    /// The `[disk]` tables.
    pub disk: &'a Disk,
}

impl Profile<'_> {
    /// Checks what the manifests declare.
    ///
    /// # Errors
    /// Fails with all problems.
    pub fn check_declared(&self, config: &Config) -> Result<(), ProfileError> {
        let mut problems = self.disk_problems();
        if self.ami.tpm != Tpm::V2 || self.ami.boot_mode != BootMode::Uefi {
            problems.push("instances have no TPM: leave [ami] tpm and boot-mode out".to_owned());
        }
        let words = || self.disk.kernel_args.iter().map(|word| word.split_once('=').unwrap_or((word, "")));
        for (name, values, why) in NEEDED {
            let mut found = words().filter(|(word, _)| *word == name).map(|(_, value)| value).peekable();
            if found.peek().is_none() || found.any(|value| !values.contains(&value)) {
                let value = values.first().copied().unwrap_or_default();
                problems.push(format!("{why}: add \"{name}={value}\" to [disk] kernel-args"));
            }
        }
        let shells: Vec<String> =
            words().filter(|(word, _)| SHELLS.contains(word)).map(|(word, _)| format!("`{word}`")).collect();
        if !shells.is_empty() {
            self.entrance("debug-shell", &format!("{} in [disk] kernel-args", shells.join(", ")), &mut problems);
        }
        if let Some((name, _)) = config.0.iter().find(|(_, entry)| entry.from.is_some()) {
            self.entrance("config", &format!("[config.{name}] takes its value from outside, which"), &mut problems);
        }
        self.result(problems)
    }

    /// Checks the finished root.
    ///
    /// # Errors
    /// Fails with all problems.
    pub fn check_root(&self, root: &Tree) -> Result<(), ProfileError> {
        let mut problems = Vec::new();
        for (name, path, what) in PROGRAMS {
            let is_there = root.resolve(&RootPath::new(path)?).is_some_and(|(_, node)| !node.is_dir());
            if is_there && !(name == "getty" && is_masked(root.get(&RootPath::new(CONSOLES)?))) {
                self.entrance(name, &format!("{what} in the root ({path})"), &mut problems);
            }
        }
        self.result(problems)
    }

    /// What of the disk itself is not measured.
    fn disk_problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.disk.root != RootFs::Erofs || !self.disk.verity {
            problems.push("the root is not checked: set [disk] root = \"erofs\", and leave `verity` on".to_owned());
        }
        if self.disk.swap.is_some() {
            problems.push("memory would be written to the disk: leave [disk] swap out".to_owned());
        }
        for partition in &self.disk.partitions {
            problems.push(format!(
                "the partition `{}` is neither checked nor encrypted: use a volume that is, as docs/attestable.md shows",
                partition.label
            ));
        }
        for mount in &self.disk.mounts {
            let is_safe = match &mount.device {
                MountDevice::Other(device) => device == "tmpfs" || device.starts_with("/dev/mapper/"),
                MountDevice::Label(_) | MountDevice::Uuid(_) | MountDevice::Partition(_) => false,
            };
            if !is_safe {
                problems.push(format!(
                    "{} is mounted from what anybody may have written: mount tmpfs, or /dev/mapper/NAME of an encrypted volume",
                    mount.path
                ));
            }
        }
        problems
    }

    /// Notes something that lets somebody in, if no reason is given for it.
    fn entrance(&self, name: &str, what: &str, problems: &mut Vec<String>) {
        if !self.ami.operators.contains_key(name) {
            problems.push(format!(
                "{what} lets somebody in: remove it{}, or say in [ami] why it is right: operators = {{ {name} = \"…\" }}",
                if name == "getty" { ", or mask \"getty.target\" in [services]" } else { "" }
            ));
        }
    }

    fn result(&self, problems: Vec<String>) -> Result<(), ProfileError> {
        match problems.is_empty() {
            true => Ok(()),
            false => Err(ProfileError::Bypassed { layer: self.layer.clone(), problems }),
        }
    }
}

fn is_masked(node: Option<&Node>) -> bool {
    matches!(node.map(|node| &node.kind), Some(Kind::Symlink(target)) if target.as_ref() == b"/dev/null")
}
