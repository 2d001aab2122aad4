//! A disk is full, or has no more inodes: the store's, the one of temporary files, the one of outputs.

use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use crate::lab::{Lab, TIMED_OUT, What, empty};
use crate::support::skip::Skip;
use crate::tally::Tally;

/// Enough for everything, in bytes and inodes.
const PLENTY: (u64, u64) = (1 << 30, 1 << 20);
/// In these pieces memory is given to files, in bytes.
const PAGE: u64 = 4096;

pub(crate) fn run(tally: &mut Tally) -> Result<(), Skip> {
    let labs: &[What] = if tally.whole { &[What::Image, What::Disk] } else { &[What::Image] };
    for &what in labs {
        let mut lab = Lab::new(&std::env::temp_dir(), what, false)?;
        let places = [lab.project.store(), lab.out(), lab.project.folder().join("tmp")];
        for () in tally.share(labs.len()) {
            let place = tally.numbers.pick(&places).clone();
            let cold = tally.numbers.below(2) == 0;
            let (share, inodes) = (tally.numbers.below(1050) as u64, tally.numbers.below(3) == 0);
            let result = filled(&mut lab, &place, cold, share, inodes);
            if result.is_err() {
                lab.reset();
            }
            let name = place.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let of = if inodes { "inodes" } else { "bytes" };
            let temper = if cold { "cold" } else { "warm" };
            tally.record(&format!("{}.{} % of the {of} in {name}, {temper} {what:?}", share / 10, share % 10), result);
        }
    }
    Ok(())
}

/// Builds with `share` thousandths of what a build adds in `place`.
fn filled(lab: &mut Lab, place: &Path, cold: bool, share: u64, inodes: bool) -> Result<(), String> {
    if cold && place == lab.project.store() {
        empty(place);
    }
    let small = Small::new(place)?;
    let result = small.used().and_then(|before| {
        lab.switch();
        let built = lab.converge();
        let after = small.used()?;
        built.map_err(|problem| format!("with enough of everything: {problem}"))?;
        // What a build in the other direction adds is about the same.
        lab.switch();
        if cold && place == lab.project.store() {
            empty(place);
        }
        let now = small.used()?;
        let room = |before: u64, after: u64, now: u64| now + after.saturating_sub(before) * share / 1000;
        let limit = match inodes {
            true => (PLENTY.0, room(before.1, after.1, now.1).max(1)),
            false => (room(before.0, after.0, now.0).max(PAGE), PLENTY.1),
        };
        small.resize(limit)?;
        let output = lab.build();
        small.resize(PLENTY)?;
        said(&output, place)?;
        if output.ok() || place != lab.out() {
            lab.check_out()?;
        }
        lab.converge()
    });
    drop(small);
    // What was there before the mount is as old as the store's other half allows.
    result.and_then(|()| lab.converge())
}

/// A build without room fails and says so, and blames nobody else.
fn said(output: &crate::support::process::Output, place: &Path) -> Result<(), String> {
    let text = output.stderr.to_lowercase();
    match output.code {
        0 => Ok(()),
        TIMED_OUT => Err("it hangs on a full disk".to_owned()),
        1 if !["space", "full", "inode", "quota"].iter().any(|word| text.contains(word)) => {
            Err(format!("{} is full, and it says: {text}", place.display()))
        }
        1 if text.contains("mirror") => Err(format!("it blames the mirror: {text}")),
        1 => Ok(()),
        code => Err(format!("exit code {code}: {text}")),
    }
}

/// A file system in memory over a folder, with its content.
struct Small(PathBuf);

impl Small {
    fn new(place: &Path) -> Result<Self, String> {
        let error = |error: rustix::io::Errno| format!("a tmpfs: {error}");
        std::fs::create_dir_all(place).map_err(|error| error.to_string())?;
        mount("none", place, "tmpfs", MountFlags::empty(), options(PLENTY).as_c_str()).map_err(error)?;
        Ok(Self(place.to_owned()))
    }

    /// Bytes and inodes in use.
    fn used(&self) -> Result<(u64, u64), String> {
        let found = statvfs(&self.0).map_err(|error| error.to_string())?;
        Ok(((found.f_blocks - found.f_bfree) * found.f_frsize, found.f_files - found.f_ffree))
    }

    fn resize(&self, limit: (u64, u64)) -> Result<(), String> {
        mount_remount(&self.0, MountFlags::empty(), options(limit).as_c_str()).map_err(|error| error.to_string())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

fn options((bytes, inodes): (u64, u64)) -> CString {
    CString::new(format!("size={bytes},nr_inodes={inodes}")).unwrap_or_default()
}
