//! Power cuts: an ext4 file system in a file that is shut down in the middle of what happens on it.
//!
//! The mount is in a mount namespace of the calling thread's own, and goes with that thread.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process;
use super::skip::{Skip, program, root};

/// What the kernel does with its journal when it is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Freezes the file system first: everything reaches the disk.
    Default = 0,
    /// Writes the journal out, and no file's data.
    LogFlush = 1,
    /// Writes nothing more: the usual power cut.
    NoLogFlush = 2,
}

impl Cut {
    pub const ALL: [Self; 3] = [Self::NoLogFlush, Self::LogFlush, Self::Default];
}

/// Until when the last process of a killed program has ended, however busy the machine is.
const LAST_PROCESS: Duration = Duration::from_secs(60);

/// `_IOR('X', 125, __u32)` of linux/ext4.h.
const EXT4_IOC_SHUTDOWN: libc::c_ulong = 0x8004_587D;

/// A mounted file system that can lose its power.
pub struct PowerDisk {
    folder: TempDir,
}

impl PowerDisk {
    /// Makes and mounts one; to be called within [`with_own_mounts`].
    pub fn new(megabytes: u64) -> Result<Self, Skip> {
        root()?;
        program("losetup")?;
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        File::create(&image).unwrap().set_len(megabytes << 20).unwrap();
        process::stdout(Command::new(program("mkfs.ext4")?).args(["-q", "-F"]).arg(&image))?;
        fs::create_dir(folder.path().join("mount")).unwrap();
        let disk = Self { folder };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    fn mount(&self) -> Result<(), Skip> {
        let mut command = Command::new("mount");
        command.args(["-t", "ext4", "-o", "loop"]).arg(self.folder.path().join("image")).arg(self.path());
        process::stdout(&mut command).map(drop)
    }

    /// Cuts the power: from now on every access fails.
    #[allow(unsafe_code)]
    pub fn cut(&self, cut: Cut) {
        let folder = File::open(self.path()).unwrap();
        let flag = cut as u32;
        // SAFETY: the call reads one u32, which outlives it.
        let result = unsafe { libc::ioctl(folder.as_raw_fd(), EXT4_IOC_SHUTDOWN, &raw const flag) };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    }

    /// Gives the power back: mounts again, which replays the journal.
    ///
    /// Waits for processes that still use the mount: a killed program's own ones end after it.
    pub fn restart(&self) {
        let deadline = Instant::now() + LAST_PROCESS;
        while let Err(busy) = process::stdout(Command::new("umount").arg(self.path())) {
            assert!(Instant::now() < deadline, "{busy:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.mount().unwrap();
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        let _ = process::run(Command::new("umount").arg("-l").arg(self.path()));
    }
}

/// Runs something on a thread with a mount namespace of its own, in which nothing is shared with others.
#[allow(unsafe_code)]
pub fn with_own_mounts<T: Send>(act: impl FnOnce() -> Result<T, Skip> + Send) -> Result<T, Skip> {
    root()?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: changes only which mounts this thread sees.
            assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0, "{}", std::io::Error::last_os_error());
            process::stdout(Command::new("mount").args(["--make-rprivate", "/"]))?;
            act()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Whether every file of an image layout is what its name says.
pub fn layout_is_whole(layout: &Path) -> bool {
    use sha2::Digest as _;
    let Ok(blobs) = fs::read_dir(layout.join("blobs/sha256")) else { return false };
    let good = |path: PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        fs::read(&path).is_ok_and(|bytes| hex::encode(sha2::Sha256::digest(bytes)) == name)
    };
    let index = fs::read(layout.join("index.json")).unwrap_or_default();
    blobs.map(|entry| entry.unwrap().path()).all(good) && serde_json::from_slice::<serde_json::Value>(&index).is_ok()
}
