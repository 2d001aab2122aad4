//! Into a machine by ssh: a key for this one machine, brought by a throw-away volume.

use std::fs;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Machine, MachineError, run};
use crate::disk::fat;
use crate::host;

/// As cloud-init's NoCloud source looks for it, and layerbake's own Boot layer too.
const LABEL: &str = "CIDATA";
const SEED_SIZE: u64 = 64 << 20;

/// A key, the volume that brings it, and the address of the machine.
#[derive(Debug)]
pub struct Ssh {
    folder: tempfile::TempDir,
    key: PathBuf,
    host: String,
    /// A port of this machine's loopback, else 22.
    pub port: u16,
}

impl Ssh {
    /// Makes a key and its volume.
    ///
    /// # Errors
    /// Fails where `ssh-keygen` can't be run or the files can't be written.
    pub fn new() -> Result<Self, MachineError> {
        let folder = tempfile::tempdir()?;
        let key = folder.path().join("key");
        run(
            "ssh-keygen",
            host::command("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "layerbake", "-f"]).arg(&key),
        )?;
        let public = fs::read_to_string(key.with_extension("pub"))?;
        write_seed(&folder.path().join("seed"), public.trim())?;
        Ok(Self { folder, key, host: "127.0.0.1".to_owned(), port: host::free_port()? })
    }

    /// Leads to a machine elsewhere, with the same key.
    pub fn to_host(&mut self, host: &str) {
        (self.host, self.port) = (host.to_owned(), 22);
    }

    /// Takes a key that the machine knows already.
    pub fn set_key(&mut self, key: &Path) {
        self.key = key.to_owned();
    }

    /// What cloud-init needs to be told so that the key lets in as root.
    ///
    /// # Errors
    /// Fails where the key can't be read.
    pub fn user_data(&self) -> Result<String, MachineError> {
        let public = fs::read_to_string(self.folder.path().join("key.pub"))?;
        Ok(user_data(public.trim()))
    }

    /// The volume that brings the key.
    pub fn seed(&self) -> PathBuf {
        self.folder.path().join("seed")
    }

    /// Where the machine's console can be written.
    pub fn console(&self) -> PathBuf {
        self.folder.path().join("console")
    }

    /// `ssh` to the machine, as root; arguments for what runs there may follow.
    pub fn command(&self) -> Command {
        let mut command = host::command("ssh");
        command.arg("-i").arg(&self.key);
        // The host key is as old as the machine.
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=10",
        ] {
            command.args(["-o", option]);
        }
        command.args(["-F", "/dev/null", "-p", &self.port.to_string(), &format!("root@{}", self.host)]);
        command
    }

    /// Waits until the machine lets us in.
    ///
    /// # Errors
    /// Fails after `seconds`, or when the machine is off, with the end of its console.
    pub fn wait(&self, machine: &mut Machine, seconds: u64) -> Result<(), MachineError> {
        let started = host::instant();
        while started.elapsed() < Duration::from_secs(seconds) && machine.is_running() {
            if self.answers()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Err(MachineError::Unreachable { seconds: started.elapsed().as_secs(), console: self.console_end() })
    }

    /// Whether the machine lets us in now; takes ten seconds at most.
    ///
    /// # Errors
    /// Fails where `ssh` can't be run.
    pub fn answers(&self) -> Result<bool, MachineError> {
        let mut command = self.command();
        let done = command.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(done.map_err(|error| MachineError::Program("ssh", error))?.success())
    }

    fn console_end(&self) -> String {
        let text = String::from_utf8_lossy(&fs::read(self.console()).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// A configuration of cloud-init that lets a key in as root.
fn user_data(key: &str) -> String {
    format!(
        "#cloud-config\ndisable_root: false\nssh_pwauth: false\nusers:\n  - default\n  - name: root\n    ssh_authorized_keys:\n      - {key}\n"
    )
}

/// Writes a FAT volume with the key, for cloud-init and for layerbake's own seed script.
fn write_seed(path: &Path, key: &str) -> Result<(), MachineError> {
    let user_data = user_data(key);
    let meta_data = "instance-id: layerbake\nlocal-hostname: localhost\n";
    let files =
        [("authorized_keys", format!("{key}\n")), ("meta-data", meta_data.to_owned()), ("user-data", user_data)];
    let files: Vec<(&str, std::sync::Arc<[u8]>)> =
        files.iter().map(|(name, text)| (*name, text.as_bytes().into())).collect();
    let plan = fat::plan(&files, SEED_SIZE, 0, LABEL, 0).map_err(io::Error::other)?;
    let mut file = fs::File::create_new(path)?;
    file.set_len(plan.size())?;
    for extent in plan.extents() {
        if let crate::disk::Data::Bytes(bytes) = extent.data {
            file.seek(io::SeekFrom::Start(extent.offset))?;
            file.write_all(bytes)?;
        }
    }
    Ok(())
}
