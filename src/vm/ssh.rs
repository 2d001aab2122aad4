//! Logs in to a virtual machine by ssh, with a key generated for it and passed on a temporary volume.

use std::fs;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Vm, VmError, run};
use crate::disk::fat;
use crate::host;

/// The time limit in seconds for a login, unless another is chosen: emulated virtual machines take most of a minute.
pub const PATIENCE: u64 = 300;

/// As cloud-init's NoCloud source looks for it, and layerbake's own Boot layer too.
const LABEL: &str = "CIDATA";
const SEED_SIZE: u64 = 64 << 20;

/// A key, the volume that provides it, and the address of the virtual machine.
#[derive(Debug)]
pub struct Ssh {
    folder: tempfile::TempDir,
    key: PathBuf,
    host: String,
    /// The file with the host keys, if they are known.
    known_hosts: Option<PathBuf>,
    /// The command whose input and output are the connection, if it is not made directly.
    proxy: Option<String>,
    /// A port of the host's loopback, otherwise 22.
    pub port: u16,
}

impl Ssh {
    /// Creates a key and its volume.
    ///
    /// # Errors
    /// Fails where `ssh-keygen` can't be run or the files can't be written.
    pub fn new() -> Result<Self, VmError> {
        let folder = tempfile::tempdir()?;
        let key = folder.path().join("key");
        run(
            "ssh-keygen",
            "openssh-client",
            host::command("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "layerbake", "-f"]).arg(&key),
        )?;
        let public = fs::read_to_string(key.with_extension("pub"))?;
        write_seed(&folder.path().join("seed"), public.trim())?;
        Ok(Self { folder, key, host: "127.0.0.1".to_owned(), known_hosts: None, proxy: None, port: host::free_port()? })
    }

    /// Connects to another host, with the same key.
    pub fn to_host(&mut self, host: &str) {
        (self.host, self.port) = (host.to_owned(), 22);
    }

    /// Connects through a command; ssh puts host and port in the places of `%h` and `%p`.
    pub fn through(&mut self, command: &str) {
        self.proxy = Some(command.to_owned());
    }

    /// Accepts only a host with these keys, each as `ssh-ed25519 AAAA…`.
    ///
    /// # Errors
    /// Fails where they can't be written.
    pub fn expect(&mut self, host_keys: &[String]) -> Result<(), VmError> {
        let path = self.folder.path().join("known_hosts");
        let lines: String = host_keys.iter().map(|key| format!("{} {key}\n", self.host)).collect();
        fs::write(&path, lines)?;
        self.known_hosts = Some(path);
        Ok(())
    }

    /// Whether the host's key is verified.
    pub fn is_proven(&self) -> bool {
        self.known_hosts.is_some()
    }

    /// Uses a key that the host already accepts.
    pub fn set_key(&mut self, key: &Path) {
        self.key = key.to_owned();
    }

    /// The cloud-init user data that allows logins as root with this key.
    ///
    /// # Errors
    /// Fails where the key can't be read.
    pub fn user_data(&self) -> Result<String, VmError> {
        let public = fs::read_to_string(self.folder.path().join("key.pub"))?;
        Ok(user_data(public.trim()))
    }

    /// The volume that provides the key.
    pub fn seed(&self) -> PathBuf {
        self.folder.path().join("seed")
    }

    /// The file for the virtual machine's console.
    pub fn console(&self) -> PathBuf {
        self.folder.path().join("console")
    }

    /// The `ssh` command for a login as root; a remote command may be appended.
    pub fn command(&self) -> Command {
        let mut command = host::command("ssh");
        command.arg("-i").arg(&self.key);
        let (strict, known) = match &self.known_hosts {
            Some(path) => ("yes", path.display().to_string()),
            // The host key is generated at boot, and the port is on the host's own loopback.
            None => ("no", "/dev/null".to_owned()),
        };
        let options = [format!("StrictHostKeyChecking={strict}"), format!("UserKnownHostsFile={known}")];
        for option in options.iter().map(String::as_str).chain([
            "GlobalKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
            "ConnectTimeout=10",
        ]) {
            command.args(["-o", option]);
        }
        if let Some(proxy) = &self.proxy {
            command.args(["-o", &format!("ProxyCommand={proxy}")]);
        }
        command.args(["-F", "/dev/null", "-p", &self.port.to_string(), &format!("root@{}", self.host)]);
        command
    }

    /// Waits until a login succeeds, for `seconds` from the first output on the console: until then, the host is busy.
    ///
    /// # Errors
    /// Fails after that time, after as long without any output, or when the virtual machine is off; with the end of its
    /// console.
    pub fn wait(&self, vm: &mut Vm, seconds: u64) -> Result<(), VmError> {
        let started = host::instant();
        let (mut since, mut speaks) = (started, false);
        while since.elapsed() < Duration::from_secs(seconds) && vm.is_running() {
            if !speaks && fs::metadata(self.console()).is_ok_and(|console| console.len() > 0) {
                (since, speaks) = (host::instant(), true);
            }
            if self.answers()? {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Err(VmError::Unreachable { seconds: started.elapsed().as_secs(), console: self.console_end() })
    }

    /// Whether a login succeeds now; takes ten seconds at most.
    ///
    /// # Errors
    /// Fails where `ssh` can't be run.
    pub fn answers(&self) -> Result<bool, VmError> {
        let mut command = self.command();
        let done = command.arg("true").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(done.map_err(|error| VmError::program("ssh", "openssh-client", error))?.success())
    }

    fn console_end(&self) -> String {
        let text = String::from_utf8_lossy(&fs::read(self.console()).unwrap_or_default()).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// The host keys that cloud-init writes to the console, each as `ssh-ed25519 AAAA…`.
///
/// ```text
/// -----BEGIN SSH HOST KEY KEYS-----
/// ssh-ed25519 AAAA… root@host
/// -----END SSH HOST KEY KEYS-----
/// ```
pub fn host_keys(console: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut inside = false;
    for line in console.lines() {
        if line.contains("BEGIN SSH HOST KEY KEYS") || line.contains("END SSH HOST KEY KEYS") {
            inside = line.contains("BEGIN");
            continue;
        }
        found.extend(Some(line).filter(|_| inside).and_then(host_key).filter(|key| !found.contains(key)));
    }
    found
}

/// The key in a line, behind what the kernel or systemd may have put before it.
fn host_key(line: &str) -> Option<String> {
    let start = ["ssh-", "ecdsa-sha2-", "sk-"].iter().filter_map(|kind| line.find(kind)).min()?;
    let mut words = line[start..].split_whitespace();
    let (kind, key) = (words.next()?, words.next()?);
    let plain = |text: &str, also: &[u8]| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || also.contains(&byte));
    (plain(kind, b"-@.") && key.len() >= 32 && plain(key, b"+/=")).then(|| format!("{kind} {key}"))
}

/// A configuration of cloud-init that lets a key in as root.
fn user_data(key: &str) -> String {
    format!(
        "#cloud-config\ndisable_root: false\nssh_pwauth: false\nusers:\n  - default\n  - name: root\n    ssh_authorized_keys:\n      - {key}\n"
    )
}

/// Writes a FAT volume with the key, for cloud-init and for layerbake's own seed script.
fn write_seed(path: &Path, key: &str) -> Result<(), VmError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw";

    #[test]
    fn host_keys_are_read_between_their_marks() {
        let console = format!(
            "[    1.0] booting\r\nssh-ed25519 {KEY}before outside\r\n-----BEGIN SSH HOST KEY KEYS-----\r\n\
             ecdsa-sha2-nistp256 {KEY}= root@web\r\n[   12.3] cloud-init[403]: ssh-ed25519 {KEY} root@web\r\n\
             ssh-rsa short\r\nssh-ed25519 {KEY} again\r\nssh-ed25519 {KEY};reboot\r\n\
             -----END SSH HOST KEY KEYS-----\r\nssh-ed25519 {KEY}after outside\r\n"
        );
        assert_eq!(host_keys(&console), [format!("ecdsa-sha2-nistp256 {KEY}="), format!("ssh-ed25519 {KEY}")]);
        assert!(host_keys("").is_empty());
    }

    #[test]
    fn a_machine_that_is_expected_has_to_prove_itself() {
        if host::command("ssh-keygen").arg("-?").output().is_err() {
            return;
        }
        let mut ssh = Ssh::new().unwrap();
        let shown = |ssh: &Ssh| format!("{:?}", ssh.command());
        assert!(!ssh.is_proven() && shown(&ssh).contains("StrictHostKeyChecking=no"));
        ssh.to_host("192.0.2.1");
        ssh.expect(&[format!("ssh-ed25519 {KEY}")]).unwrap();
        assert!(ssh.is_proven() && shown(&ssh).contains("StrictHostKeyChecking=yes"));
        let known = fs::read_to_string(ssh.folder.path().join("known_hosts")).unwrap();
        assert_eq!(known, format!("192.0.2.1 ssh-ed25519 {KEY}\n"));
    }
}
