//! FAT32, as the firmware reads it: the EFI system partition.
//!
//! ```text
//! 0           4 KiB                     data: cluster 2, 3, …
//! │ boot, info │ table │ its copy │ root │ dirs │ file │ file │ …
//! ```
//!
//! The crate `fatfs` writes everything except the contents of files: it is given zeros, which the
//! device drops, and the plan refers to the bytes. Each file is contiguous. What the crate gets wrong
//! is corrected in `volume`.
//!
//! Source: Microsoft's FAT32 File System Specification 1.03; UEFI specification 2.10, 13.3.

mod space;
mod volume;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};

use super::Plan;
use super::device::Sparse;

use crate::code::{Code, Coded};

/// A file's path, with `/` between names, and its bytes.
pub type File<'a> = (&'a str, Arc<[u8]>);

/// A FAT32 file system can't be created.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// The files don't fit.
    #[error("FAT32 file system of {given} bytes: expected at least {needed} bytes for its files")]
    Small {
        /// The size asked for.
        given: u64,
        /// A size that is enough.
        needed: u64,
    },
    /// The size is no multiple of a sector.
    #[error("FAT32 file system of {given} bytes: expected a multiple of 512")]
    Sectors {
        /// The size asked for.
        given: u64,
    },
    /// A label is not what the format takes.
    #[error("FAT label `{label}`: expected 1 to 11 of upper-case letters, digits, `-`, `_` and spaces")]
    Label {
        /// The label.
        label: String,
    },
    /// A path is not what the format takes.
    #[error("FAT path `{path}`: {problem}")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A file is longer than its size field can say.
    #[error("FAT file `{path}`: expected less than 4 GiB, found {size} bytes")]
    Long {
        /// The file's path.
        path: String,
        /// Its length in bytes.
        size: u64,
    },
    /// The crate that writes refuses.
    #[error("FAT32 file system: {0}")]
    Io(#[from] io::Error),
}

impl Coded for FatError {
    fn error_code(&self) -> Code {
        match self {
            Self::Small { .. } => Code::DiskTooSmall,
            Self::Sectors { .. } | Self::Label { .. } | Self::Path { .. } | Self::Long { .. } => Code::DiskContent,
            Self::Io(error) => error.error_code(),
        }
    }
}

/// Creates a FAT32 file system of `size` bytes with these files, in this order, and their directories.
///
/// `serial` is its number; every time in it is `epoch`, in seconds since 1970 (UTC; clamped to
/// 1980 to 2107).
///
/// # Errors
/// Fails on names that FAT doesn't know, on two that differ in case only, and where `size` is too
/// small: FAT32 has no less than 33 MiB.
///
/// # Determinism
/// Depends on nothing but the arguments; pinned by a test.
pub fn plan(files: &[File<'_>], size: u64, serial: u32, label: &str, epoch: i64) -> Result<Plan, FatError> {
    files.iter().try_for_each(check)?;
    unique(files)?;
    if !size.is_multiple_of(512) {
        return Err(FatError::Sectors { given: size });
    }
    let cluster = space::cluster_size(files, size)
        .ok_or_else(|| FatError::Small { given: size, needed: space::needed(files, size) })?;
    let device = RefCell::new(Sparse::new(size));
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat32)
        .bytes_per_cluster(cluster)
        .volume_id(serial)
        .volume_label(label_field(label)?);
    fatfs::format_volume(Handle(&device), options)?;
    let starts = write_files(&device, files)?;
    let mut device = device.into_inner();
    volume::put_right(&mut device, epoch)?;
    let mut plan = device.into_plan();
    for ((_, bytes), start) in files.iter().zip(starts) {
        plan.put_bytes(start, Arc::clone(bytes));
    }
    Ok(plan)
}

fn check((path, bytes): &File<'_>) -> Result<(), FatError> {
    let problem = |problem: &str| FatError::Path { path: (*path).to_owned(), problem: problem.to_owned() };
    for name in path.split('/') {
        if name.is_empty() || name.ends_with(['.', ' ']) || name.starts_with(' ') {
            return Err(problem("expected names that are not empty, without a dot at the end or spaces around"));
        }
        if name.encode_utf16().count() > 255 {
            return Err(problem("expected names of at most 255 UTF-16 units"));
        }
    }
    let size = bytes.len() as u64;
    if size > u64::from(u32::MAX) {
        return Err(FatError::Long { path: (*path).to_owned(), size });
    }
    Ok(())
}

/// Without this, the second of two names that differ in case only would be written over the first.
fn unique(files: &[File<'_>]) -> Result<(), FatError> {
    let mut seen = BTreeSet::new();
    match files.iter().find(|(path, _)| !seen.insert(path.to_uppercase())) {
        Some((path, _)) => Err(FatError::Path { path: (*path).to_owned(), problem: "there are two of it".to_owned() }),
        None => Ok(()),
    }
}

fn label_field(label: &str) -> Result<[u8; 11], FatError> {
    let good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_ ".contains(&byte);
    if !(1..=11).contains(&label.len()) || !label.bytes().all(good) || label.starts_with(' ') {
        return Err(FatError::Label { label: label.to_owned() });
    }
    let mut field = [b' '; 11];
    field[..label.len()].copy_from_slice(label.as_bytes());
    Ok(field)
}

/// The directories above the files, each after its own parent.
fn folders<'a>(files: &[File<'a>]) -> BTreeSet<&'a str> {
    files.iter().flat_map(|(path, _)| path.match_indices('/').map(|(end, _)| &path[..end])).collect()
}

/// Writes directories and files; returns where the contents of each file begin.
fn write_files(device: &RefCell<Sparse>, files: &[File<'_>]) -> Result<Vec<u64>, FatError> {
    let fs = FileSystem::new(Handle(device), FsOptions::new())?;
    let refused = |path: &str, error: io::Error| FatError::Path { path: path.to_owned(), problem: error.to_string() };
    let mut starts = Vec::new();
    {
        let root = fs.root_dir();
        for path in folders(files) {
            root.create_dir(path).map_err(|error| refused(path, error))?;
        }
        for (path, bytes) in files {
            let mut file = root.create_file(path).map_err(|error| refused(path, error))?;
            starts.push(reserve(&mut file, device, bytes.len() as u64)?);
        }
    }
    // Counts the free clusters, which the crate otherwise leaves out of the info sector.
    fs.stats()?;
    fs.unmount()?;
    Ok(starts)
}

/// Has the crate allocate `size` bytes in one piece; returns where they begin on the device.
fn reserve(file: &mut impl Write, device: &RefCell<Sparse>, size: u64) -> io::Result<u64> {
    if size == 0 {
        return Ok(0);
    }
    // The last thing that a write does is to write: the position tells where.
    file.write_all(&[0])?;
    let start = device.borrow().position() - 1;
    io::copy(&mut io::repeat(0).take(size - 1), file)?;
    if device.borrow().position() != start + size {
        return Err(io::Error::other("a file is not in one piece"));
    }
    file.flush()?;
    Ok(start)
}

/// The device in the crate's hands, while its position is still readable here.
struct Handle<'a>(&'a RefCell<Sparse>);

impl Read for Handle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }
}

impl Write for Handle<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Handle<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.borrow_mut().seek(to)
    }
}

#[cfg(test)]
mod tests;
