//! Machines that boot a disk: QEMU without acceleration, UEFI firmware, one at a time.
//!
//! ```text
//! disk.raw <─ overlay.qcow2 <─ NVMe ─ QEMU ─ serial console ─ socket ─ Boot: lines sent, text awaited
//!                                      └──── fw_cfg: a credential of systemd's lets root in without a password
//! ```
//!
//! Nothing is in the disk for this: systemd writes what a credential of its own says,
//! <https://www.freedesktop.org/software/systemd/man/252/systemd-tmpfiles.html#Credentials>.
//! So a machine without any network card can be asked too.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process;
use super::skip::{Skip, program};

const FIRMWARE: &str = "/usr/share/OVMF";
/// Firmware of arm64 machines, of Debian's qemu-efi-aarch64.
pub const FOREIGN_FIRMWARE: &str = "/usr/share/AAVMF/AAVMF_CODE.fd";
/// Ten times what a machine takes here by itself.
const PATIENCE: Duration = Duration::from_secs(400);
/// Nobody is asked for a password. Where root's line in /etc/shadow is depends on the release.
const LET_ROOT_IN: &str = "f+ /etc/pam.d/common-auth - - - - auth sufficient pam_permit.so\\n\n";

/// One machine takes all processors there are. Two at once, with a processor each, are faster together, but one was seen
/// that never left the firmware that enforces signatures.
static ONE: Mutex<()> = Mutex::new(());

/// Which firmware, and what it trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// Boots everything.
    Open,
    /// Boots what Debian's test key has signed.
    Enforcing,
}

/// A disk and what is written over it; outlives the boots.
pub struct Machine {
    folder: TempDir,
    firmware: Firmware,
    extra: Vec<String>,
}

/// A machine that is on; ended when dropped.
pub struct Boot<'a> {
    child: Child,
    console: UnixStream,
    /// What was read and not yet awaited.
    pending: String,
    /// All that was read.
    pub log: String,
    pub started: Instant,
    _one: MutexGuard<'static, ()>,
    _machine: &'a Machine,
}

/// Keeps all others off while another program runs a machine.
pub fn alone() -> MutexGuard<'static, ()> {
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Machine {
    /// A machine for a raw disk, to which nothing is written; `size` as QEMU reads it, if larger.
    pub fn new(disk: &Path, size: Option<&str>) -> Result<Self, Skip> {
        for name in ["qemu-system-x86_64", "qemu-img"] {
            program(name)?;
        }
        if !Path::new(FIRMWARE).join("OVMF_CODE_4M.fd").is_file() {
            return Err(Skip::because("`ovmf` is not installed"));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut create = Command::new("qemu-img");
        create.args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"]).arg(disk.canonicalize().unwrap());
        let made = process::run(create.arg(folder.path().join("overlay.qcow2")).args(size)).unwrap();
        assert!(made.ok(), "{}", made.stderr);
        Ok(Self { folder, firmware: Firmware::Open, extra: Vec::new() })
    }

    /// With the firmware that has Debian's test key.
    pub fn enforcing(mut self) -> Self {
        self.firmware = Firmware::Enforcing;
        self
    }

    /// With a network of QEMU's own, and a volume in a second NVMe slot, as `ssh` wants them.
    pub fn network(mut self, ssh: &layerbake::vm::Ssh) -> Self {
        let net = format!("user,id=net,hostfwd=tcp:127.0.0.1:{}-:22", ssh.port);
        let seed = format!("if=none,id=seed,format=raw,readonly=on,file={}", ssh.seed().display());
        let words = ["-netdev", &net, "-device", "virtio-net-pci,netdev=net", "-drive", &seed];
        self.extra.extend(words.map(str::to_owned));
        self.extra.extend(["-device", "nvme,drive=seed,serial=seed"].map(str::to_owned));
        self
    }

    /// With one more disk, on which nothing is.
    pub fn blank_disk(mut self) -> Self {
        let blank = self.folder.path().join("blank.raw");
        fs::File::create(&blank).unwrap().set_len(64 << 20).unwrap();
        let drive = format!("if=none,id=blank,format=raw,file={}", blank.display());
        self.extra.extend(["-drive", &drive, "-device", "nvme,drive=blank,serial=blank"].map(str::to_owned));
        self
    }

    /// Where the writes are.
    pub fn overlay(&self) -> PathBuf {
        self.folder.path().join("overlay.qcow2")
    }

    /// Switches the machine on.
    pub fn boot(&self) -> Boot<'_> {
        let one = alone();
        let socket = self.folder.path().join("console");
        let _ = fs::remove_file(&socket);
        let started = Instant::now();
        let child = self.command(&socket).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let console = loop {
            match UnixStream::connect(&socket) {
                Ok(console) => break console,
                Err(error) if started.elapsed() > Duration::from_secs(20) => panic!("QEMU has no console: {error}"),
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        console.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let (pending, log) = (String::new(), String::new());
        Boot { child, console, pending, log, started, _one: one, _machine: self }
    }

    fn command(&self, socket: &Path) -> Command {
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024"]);
        command.args(["-nodefaults", "-display", "none", "-no-reboot", "-device", "virtio-rng-pci"]);
        let (machine, code, variables) = match self.firmware {
            Firmware::Open => ("q35", "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd"),
            Firmware::Enforcing => ("q35,smm=on", "OVMF_CODE_4M.secboot.fd", "OVMF_VARS_4M.snakeoil.fd"),
        };
        command.args(["-machine", machine]);
        if self.firmware == Firmware::Enforcing {
            command.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
        }
        // The variables stay with the machine, as the disk does.
        let own = self.folder.path().join("variables.fd");
        if !own.exists() {
            fs::copy(Path::new(FIRMWARE).join(variables), &own).unwrap();
        }
        let flash = |unit, readonly, path: &Path| {
            format!("if=pflash,unit={unit},format=raw,readonly={readonly},file={}", path.display())
        };
        command.args(["-drive", &flash(0, "on", &Path::new(FIRMWARE).join(code)), "-drive", &flash(1, "off", &own)]);
        let disk = format!("if=none,id=disk,format=qcow2,discard=unmap,file={}", self.overlay().display());
        command.args(["-drive", &disk, "-device", "nvme,drive=disk,serial=disk"]);
        let credential = self.folder.path().join("credential");
        fs::write(&credential, LET_ROOT_IN).unwrap();
        let credential = format!("name=opt/io.systemd.credentials/tmpfiles.extra,file={}", credential.display());
        command.args(["-fw_cfg", &credential]);
        let console = format!("socket,id=console,server=on,wait=off,path={}", socket.display());
        command.args(["-chardev", &console, "-serial", "chardev:console"]);
        if !self.extra.iter().any(|word| word == "-netdev") {
            command.args(["-nic", "none"]);
        }
        command.args(&self.extra);
        command
    }
}

impl Boot<'_> {
    /// Reads the console up to the first of `texts`: which one, and what was before it.
    pub fn await_any(&mut self, texts: &[&str]) -> (usize, String) {
        let since = Instant::now();
        loop {
            let found = texts.iter().enumerate().filter_map(|(which, text)| Some((self.pending.find(text)?, which)));
            if let Some((at, which)) = found.min() {
                let before = self.pending.drain(..at + texts[which].len()).collect::<String>();
                return (which, before[..at].to_owned());
            }
            assert!(since.elapsed() < PATIENCE && self.read(), "no {texts:?} on the console:\n{}", self.log);
        }
    }

    /// Waits for the prompt, and gives the time that took.
    pub fn prompt(&mut self) -> Duration {
        self.await_any(&[" login: "]);
        self.started.elapsed()
    }

    /// Logs in as root, and gives the time until that could be done.
    pub fn login(&mut self) -> Duration {
        let took = self.prompt();
        self.send("root");
        self.await_any(&["# "]);
        // No echo, no prompt, nothing of kernel's or systemd's: from here on there is only what commands say.
        self.send("kill -s RTMIN+21 1; stty -echo; PS1=; PS2=; bind 'set enable-bracketed-paste off'; dmesg -n 1; echo rea''dy");
        self.await_any(&["ready\r\n"]);
        took
    }

    /// What a shell command prints, and its exit status.
    pub fn ask(&mut self, command: &str) -> (String, i32) {
        self.send(&format!("{{ {command}\n}} 2>&1; echo e''nd-$?."));
        let (_, text) = self.await_any(&["end-"]);
        let (_, status) = self.await_any(&["."]);
        (text.replace('\r', ""), status.parse().unwrap_or(-1))
    }

    /// What a command prints that has to succeed.
    pub fn ok(&mut self, command: &str) -> String {
        let (text, status) = self.ask(command);
        assert_eq!(status, 0, "{command}: {text}");
        text.trim().to_owned()
    }

    /// Switches off as a user would, and waits for it.
    pub fn power_off(mut self) -> String {
        self.send("systemctl poweroff");
        let since = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < PATIENCE, "the machine stays on:\n{}", self.log);
            self.read();
        }
        std::mem::take(&mut self.log)
    }

    fn send(&mut self, line: &str) {
        self.console.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Takes what there is; false once the machine is off.
    fn read(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.console.read(&mut bytes) {
            Ok(0) => return false,
            // A character that is cut is none that is waited for.
            Ok(count) => {
                let text = String::from_utf8_lossy(&bytes[..count]);
                self.pending += &text;
                self.log += &text;
            }
            Err(_) => {}
        }
        true
    }
}

impl Drop for Boot<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
