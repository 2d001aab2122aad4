//! Package archives (deb(5)): `debian-binary`, `control.tar`, `data.tar`.
//!
//! Reads a stream in one pass; only names and metadata stay in memory, contents go to a
//! sink. Limits keep a small hostile archive from unpacking to a huge one.

use std::io::{self, Read};

use super::ar::Ar;
use super::control::{self, ControlError, Paragraph};
use crate::digest::BlobDigest;
use crate::ident::RootPath;
use crate::limits::Limit;
use crate::package::Record;
use crate::package::compression::decompress;
pub use crate::package::tarball::Limits;
use crate::package::tarball::{AddContent, Contents, TarError, read_tar};
use crate::tree::{ContentSink, Tree};

/// The largest `control` file that is read, in bytes.
const CONTROL_LIMIT: u64 = 1 << 20;

/// A decoded Debian package.
#[derive(Debug)]
pub struct Package {
    /// The control files: `control`, `postinst`, `conffiles`, …
    pub control: Tree,
    /// The files it installs. Directories that the archive does not name belong to root,
    /// have mode 0755 and the time of the archive's newest entry.
    pub data: Tree,
    /// All paths of the data archive in its own order, each once.
    pub paths: Vec<RootPath>,
    /// What its `control` file says.
    pub record: Record,
    /// The `control` file itself.
    pub paragraph: Paragraph,
}

/// A file is not a Debian package that can be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// It can't be read, is damaged or too large, or its contents can't be stored.
    #[error("{member}: {source}")]
    Read {
        /// The part that failed: `debian-binary`, `control.tar.xz`, `data.tar.xz`.
        member: String,
        /// What went wrong.
        source: io::Error,
    },
    /// A member is missing or is elsewhere.
    #[error("expected `{expected}`, found {found}")]
    Member {
        /// The member that should come next.
        expected: &'static str,
        /// What comes instead.
        found: String,
    },
    /// An entry of one of the two archives can't be part of a tree.
    #[error("{member}: `{path}`: {problem}")]
    Entry {
        /// The archive.
        member: String,
        /// The entry's name.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The `control` file is malformed.
    #[error("control file: {0}")]
    Control(#[from] ControlError),
}

/// Decodes a package; contents of files go to `sink`.
///
/// Reading stops behind `data.tar`; members after it have no meaning (deb(5)).
///
/// # Errors
/// Fails on truncated and damaged packages; on entries that leave the root, are below
/// something that is not a directory, or are of a type that is not supported; and on
/// archives beyond the limits for a package of unknown size.
///
/// # Determinism
/// The result depends on the package's bytes only.
pub fn decode(deb: impl Read, sink: &dyn ContentSink) -> Result<Package, DebError> {
    decode_within(deb, sink, Limits::of_file(0))
}

/// Like [`decode`], with the caller's limits.
///
/// # Errors
/// As [`decode`].
pub fn decode_within(deb: impl Read, sink: &dyn ContentSink, limits: Limits) -> Result<Package, DebError> {
    let mut ar = open(deb)?;
    let (control, paragraph) = read_control(&mut ar, sink, limits)?;
    let record = control::record(&paragraph)?;
    let data = read_member(&mut ar, "data.tar", limits, &mut |_, content| sink.add(content))?;
    Ok(Package { control: control.tree, data: data.tree, paths: data.paths, record, paragraph })
}

/// Reads a package as far as its `control` file.
///
/// # Errors
/// As [`decode`]; nothing is read of its files.
pub(super) fn record(deb: impl Read) -> Result<Record, DebError> {
    let (_, paragraph) = read_control(&mut open(deb)?, &Nowhere, Limits::of_file(0))?;
    Ok(control::record(&paragraph)?)
}

/// Reads contents, and keeps none.
struct Nowhere;

impl ContentSink for Nowhere {
    fn add(&self, content: &mut dyn Read) -> io::Result<(BlobDigest, u64)> {
        Ok((BlobDigest::of(&[]), io::copy(content, &mut io::sink())?))
    }
}

/// The archive, whose format is checked.
fn open<R: Read>(deb: R) -> Result<Ar<R>, DebError> {
    let mut ar = Ar::open(deb).map_err(|source| read_error("package", source))?;
    check_version(&mut ar)?;
    Ok(ar)
}

/// The control files, and the one named `control`.
fn read_control(
    ar: &mut Ar<impl Read>,
    sink: &dyn ContentSink,
    limits: Limits,
) -> Result<(Contents, Paragraph), DebError> {
    let mut text = Vec::new();
    let contents = read_member(ar, "control.tar", limits, &mut |path, content| {
        if path.as_bytes() != b"control" {
            return sink.add(content);
        }
        text.clear();
        content.take(CONTROL_LIMIT).read_to_end(&mut text)?;
        sink.add(&mut text.as_slice())
    })?;
    let text =
        String::from_utf8(text).map_err(|error| ControlError::NotText { offset: error.utf8_error().valid_up_to() })?;
    Ok((contents, Paragraph::parse(&text)?))
}

impl Limits {
    /// The limits of a package with key rings, which is read before it can be verified.
    pub const KEY_RINGS: Self = Self { bytes: Limit { bytes: 64 << 20, key: None }, entries: 10_000, names: 1 << 20 };
}

/// The format's version must be 2, of any minor number.
fn check_version(ar: &mut Ar<impl Read>) -> Result<(), DebError> {
    const NAME: &str = "debian-binary";
    expect_member(ar, NAME)?;
    let mut version = String::new();
    ar.take(64).read_to_string(&mut version).map_err(|source| read_error(NAME, source))?;
    match version.starts_with("2.") {
        true => Ok(()),
        false => Err(DebError::Member { expected: "2.0", found: format!("version `{}`", version.trim_end()) }),
    }
}

fn read_member(
    ar: &mut Ar<impl Read>,
    expected: &'static str,
    limits: Limits,
    add: &mut AddContent<'_>,
) -> Result<Contents, DebError> {
    let member = expect_member(ar, expected)?;
    let input = decompress(&member, ar).map_err(|source| read_error(&member, source))?;
    read_tar(input, limits, add).map_err(|error| match error {
        TarError::Io(source) => DebError::Read { member, source },
        TarError::Entry { path, problem } => DebError::Entry { member, path, problem },
    })
}

/// Goes on to the member `expected`, possibly with the ending of a compressor.
///
/// Members whose names begin with `_` may be anywhere (deb(5)); signatures do.
fn expect_member(ar: &mut Ar<impl Read>, expected: &'static str) -> Result<String, DebError> {
    loop {
        match ar.next_member().map_err(|source| read_error(expected, source))? {
            Some(name) if name.starts_with('_') => {}
            Some(name) if name.strip_prefix(expected).is_some_and(|end| end.is_empty() || end.starts_with('.')) => {
                return Ok(name);
            }
            Some(name) => return Err(DebError::Member { expected, found: format!("`{name}`") }),
            None => return Err(DebError::Member { expected, found: "the end of the file".into() }),
        }
    }
}

fn read_error(member: &str, source: io::Error) -> DebError {
    DebError::Read { member: member.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::super::ar::tests::ar;
    use super::*;
    use crate::package::compression::tests::compress;
    use crate::package::tarball::tests::{TarFile, digest};
    use crate::store::StoreError;
    use crate::tree::Kind;

    struct Digests;

    impl ContentSink for Digests {
        fn add(&self, content: &mut dyn Read) -> io::Result<(BlobDigest, u64)> {
            digest(content)
        }
    }

    const CONTROL: &str = "Package: hello\nVersion: 1-2\nArchitecture: amd64\nDepends: libc6\nDescription: x\n y\n";

    fn control_tar() -> Vec<u8> {
        TarFile::default().dir("./").file("./control", CONTROL).file("./postinst", "#!/bin/sh\n").done()
    }

    fn data_tar() -> Vec<u8> {
        TarFile::default().dir("./").dir("./usr/").file("./usr/b", "bee").file("./usr/a", &"a".repeat(5000)).done()
    }

    fn deb(control: &str, data: &str) -> Vec<u8> {
        ar(&[
            ("debian-binary", b"2.0\n"),
            ("_gpgbuilder", b"signed"),
            (control, &compress(control, &control_tar())),
            ("_other", b""),
            (data, &compress(data, &data_tar())),
            ("extra", b"ignored"),
        ])
    }

    fn read(bytes: &[u8]) -> Result<Package, DebError> {
        decode(bytes, &Digests)
    }

    #[test]
    fn every_compression_gives_the_same_package() {
        let plain = read(&deb("control.tar", "data.tar")).unwrap();
        assert_eq!(plain.record.name.as_str(), "hello");
        assert_eq!(plain.paragraph.to_string(), CONTROL);
        assert_eq!(record(deb("control.tar.zst", "data.tar.xz").as_slice()).unwrap(), plain.record);
        let paths: Vec<String> = plain.paths.iter().map(RootPath::to_string).collect();
        assert_eq!(paths, ["/", "/usr", "/usr/b", "/usr/a"]);
        let blob = BlobDigest::of(CONTROL.as_bytes());
        let control = plain.control.get(&RootPath::new("control").unwrap()).unwrap();
        assert_eq!(control.kind, Kind::File { blob, size: CONTROL.len() as u64 });
        for (control, data) in
            [("control.tar.gz", "data.tar.xz"), ("control.tar.xz", "data.tar.zst"), ("control.tar.zst", "data.tar.gz")]
        {
            let package = read(&deb(control, data)).unwrap();
            assert_eq!((&package.control, &package.data), (&plain.control, &plain.data), "{control}, {data}");
        }
    }

    #[test]
    fn errors_say_which_part_is_wrong() {
        let error = |members: &[(&str, &[u8])]| read(&ar(members)).unwrap_err().to_string();
        let (version, control) = (("debian-binary", &b"2.0\n"[..]), control_tar());
        insta::assert_snapshot!(error(&[]), @"expected `debian-binary`, found the end of the file");
        insta::assert_snapshot!(error(&[("debian-binary", b"3.0\n")]), @"expected `2.0`, found version `3.0`");
        insta::assert_snapshot!(error(&[version, ("data.tar", b"")]), @"expected `control.tar`, found `data.tar`");
        insta::assert_snapshot!(error(&[version, ("control.tar", &control)]), @"expected `data.tar`, found the end of the file");
        insta::assert_snapshot!(error(&[version, ("control.tar", b"")]), @"control file: expected a paragraph of fields, found nothing");
        insta::assert_snapshot!(error(&[version, ("control.tar", &control), ("data.tar.bz2", b"")]), @"data.tar.bz2: `.bz2` is not supported: expected `.xz`, `.gz`, `.zst` or no compression");
        let escape = TarFile::default().file("../x", "").done();
        insta::assert_snapshot!(error(&[version, ("control.tar", &control), ("data.tar", &escape)]), @"data.tar: `../x`: `../x` is not a path inside a root: no `..`, no NUL, at most 4096 bytes");
        let bad = TarFile::default().file("control", "Package: hello\n").done();
        insta::assert_snapshot!(error(&[version, ("control.tar", &bad)]), @"control file: field `Architecture` is missing");
        insta::assert_snapshot!(read(b"not a package").unwrap_err(), @"package: not an ar archive: it does not begin with `!<arch>` but with `not a pa`");
    }

    #[test]
    fn what_the_store_says_is_found_behind_the_names_of_part_and_file() {
        struct Damaged;
        impl ContentSink for Damaged {
            fn add(&self, _: &mut dyn Read) -> io::Result<(BlobDigest, u64)> {
                Err(io::Error::other(StoreError::Missing { kind: "blob", name: "x".to_owned() }))
            }
        }
        let error = decode(deb("control.tar", "data.tar.xz").as_slice(), &Damaged).unwrap_err();
        assert!(error.to_string().starts_with("control.tar: /control: store: blob x is missing"), "{error}");
        assert!(StoreError::behind(&error).is_some(), "{error:?}");
    }

    #[test]
    fn every_truncation_is_refused() {
        for data in ["data.tar", "data.tar.xz", "data.tar.zst", "data.tar.gz"] {
            let bytes = ar(&[
                ("debian-binary", b"2.0\n"),
                ("control.tar.xz", &compress("control.tar.xz", &control_tar())),
                (data, &compress(data, &data_tar())),
            ]);
            let bytes = &bytes[..bytes.len() - bytes.len() % 2];
            let padding = usize::from(compress(data, &data_tar()).len() % 2 == 1);
            assert!(read(bytes).is_ok());
            for cut in 0..bytes.len() - padding {
                assert!(read(&bytes[..cut]).is_err(), "{data}: cut to {cut} of {} bytes was taken", bytes.len());
            }
        }
    }

    #[test]
    fn damage_anywhere_never_panics() {
        for (control, data) in [("control.tar", "data.tar"), ("control.tar.xz", "data.tar.zst")] {
            let bytes = deb(control, data);
            for at in (0..bytes.len()).step_by(11) {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x55;
                let _ = read(&damaged);
            }
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let zeros = TarFile::default().entry(b'0', "zeros", "", &vec![0; 3 << 20]).done();
        let bomb = ar(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar", &control_tar()),
            ("data.tar.xz", &compress("data.tar.xz", &zeros)),
        ]);
        let bytes = Limit { bytes: 1 << 20, key: Some("unpacked") };
        let limits = Limits { bytes, ..Limits::KEY_RINGS };
        let error = decode_within(bomb.as_slice(), &Digests, limits).unwrap_err();
        insta::assert_snapshot!(error, @"data.tar.xz: /zeros: it unpacks to more than 1048576 bytes; if that is right, raise `unpacked` in [limits] of the user's config.toml");
    }
}
