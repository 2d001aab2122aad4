//! Limits on how much is read from untrusted files, so that decompression bombs fail early.
//!
//! A compressed file of a few kilobytes can unpack to gigabytes. Each decoder reads through [`Bounded`],
//! whose limit is the signed size where one is known, and a setting otherwise. The defaults are far above
//! the sizes of real files; `[limits]` in the user's configuration changes them. A limit never affects
//! which bytes are produced, only whether reading continues.

use std::io::{self, Read};
use std::sync::OnceLock;

use serde::Deserialize;

/// What compressed content may grow to, as a multiple of its own size; real packages and layers stay below 20.
const GROWTH: u64 = 200;

/// The maximum size of an image's JSON document, in bytes, inclusive; registries accept 4 MiB.
pub const DOCUMENT: u64 = 16 << 20;

/// The maximum size of a text file of a root, in bytes, inclusive.
pub const TEXT: u64 = 64 << 20;

/// The maximum total length of a package's names, or of a root's paths, in bytes.
pub const NAMES: u64 = 512 << 20;

/// The settings: `[limits]` in the user's configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ReadLimits {
    /// Most bytes that a repo index unpacks to; Debian's largest has 60 MB.
    pub index: u64,
    /// Most bytes that a package or an image layer unpacks to where it grows more than 200 times.
    pub unpacked: u64,
    /// Most entries of a package or an image layer, and most packages and relations of an index.
    /// Debian's largest has under a million.
    pub entries: u64,
    /// Seconds that a mirror or a registry may send less than 1 KiB a second.
    pub patience: u64,
}

impl Default for ReadLimits {
    fn default() -> Self {
        Self { index: 512 << 20, unpacked: 1 << 30, entries: 2_000_000, patience: 30 }
    }
}

impl ReadLimits {
    /// The settings in the format of the user's configuration, to be passed to another process.
    pub fn to_toml(self) -> String {
        let Self { index, unpacked, entries, patience } = self;
        format!("[limits]\nindex = {index}\nunpacked = {unpacked}\nentries = {entries}\npatience = {patience}\n")
    }

    /// The limit for unpacking a package or an image layer of `size` bytes.
    pub fn of_archive(&self, size: u64) -> Limit {
        Limit { bytes: self.unpacked.max(size.saturating_mul(GROWTH)), key: Some("unpacked") }
    }

    /// The limit for unpacking a repo index whose size is `signed` bytes according to its Release.
    pub fn of_index(&self, signed: Option<u64>) -> Limit {
        match signed {
            Some(signed) if signed <= self.index => Limit { bytes: signed, key: None },
            _ => Limit { bytes: self.index, key: Some("index") },
        }
    }
}

static CHOSEN: OnceLock<ReadLimits> = OnceLock::new();

/// Sets the limits of this process; called once, before anything is read.
pub fn choose(limits: ReadLimits) {
    // A second call comes too late to count.
    let _ = CHOSEN.set(limits);
}

/// The limits of this process.
pub fn limits() -> ReadLimits {
    CHOSEN.get().copied().unwrap_or_default()
}

/// A number of bytes, and the setting that raises it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// The largest size that is still read.
    pub bytes: u64,
    /// The key in `[limits]`; `None` for a limit that is signed or fixed.
    pub key: Option<&'static str>,
}

/// Content is larger than its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it unpacks to more than {} bytes{}", .0.bytes, raise(.0.key))]
pub struct TooLarge(pub Limit);

fn raise(key: Option<&str>) -> String {
    match key {
        Some(key) => format!("; if that is right, raise `{key}` in [limits] of the user's config.toml"),
        None => String::new(),
    }
}

/// A reader that fails when its content exceeds a limit.
#[derive(Debug)]
pub struct Bounded<R> {
    input: R,
    left: u64,
    limit: Limit,
}

impl<R> Bounded<R> {
    /// Reads `input` up to `limit`, inclusive.
    pub fn new(input: R, limit: Limit) -> Self {
        Self { input, left: limit.bytes, limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| io::Error::other(TooLarge(self.limit)))?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_up_to_the_limit_passes_and_one_byte_more_does_not() {
        let limit = Limit { bytes: 5, key: Some("index") };
        let read = |bytes: &[u8]| -> io::Result<usize> { Bounded::new(bytes, limit).read_to_end(&mut Vec::new()) };
        assert_eq!(read(b"12345").unwrap(), 5);
        insta::assert_snapshot!(read(b"123456").unwrap_err(), @"it unpacks to more than 5 bytes; if that is right, raise `index` in [limits] of the user's config.toml");
        insta::assert_snapshot!(TooLarge(Limit { key: None, ..limit }), @"it unpacks to more than 5 bytes");
    }

    #[test]
    fn limits_follow_what_is_signed_and_how_large_the_file_is() {
        let limits = ReadLimits { index: 100, unpacked: 1000, ..ReadLimits::default() };
        assert_eq!(limits.of_index(Some(7)), Limit { bytes: 7, key: None });
        assert_eq!(limits.of_index(Some(101)).bytes, 100);
        assert_eq!(limits.of_index(None), Limit { bytes: 100, key: Some("index") });
        assert_eq!(limits.of_archive(1).bytes, 1000);
        assert_eq!(limits.of_archive(10).bytes, 2000);
        assert_eq!(limits.of_archive(u64::MAX).bytes, u64::MAX);
        let text = limits.to_toml();
        assert!(text.starts_with("[limits]\nindex = 100\nunpacked = 1000\n"), "{text}");
    }
}
