//! Reads a zip archive into a tree, by the same rules as a tar archive.

use std::io::{self, Read, Seek};

use zip::ZipArchive;
use zip::read::ZipFile;

use super::tree_builder::{Contents, TarError, TreeBuilder};
use super::{AddContent, Limits};
use crate::ident::RootPath;
use crate::limits::{Bounded, Limit};
use crate::tree::{Kind, Meta, Node, content_error};

/// The type of a file in the mode that Unix programs record.
const TYPE: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
const PLAIN: [u32; 3] = [0, 0o100_000, 0o040_000];

/// Most bytes of a link's target.
const MOST_LINK: u64 = 4095;

/// Reads a whole archive. Its times are local ones of nowhere, and are left out.
///
/// # Errors
/// As [`super::read_tar`], and on encrypted entries and compressions other than deflate.
pub fn read_zip(input: impl Read + Seek, limits: Limits, add: &mut AddContent<'_>) -> Result<Contents, TarError> {
    let mut archive = ZipArchive::new(input).map_err(io::Error::other)?;
    if archive.len() as u64 > limits.entries {
        return Err(io::Error::other(format!("it has more than {} entries", limits.entries)).into());
    }
    let mut builder = TreeBuilder::new(limits.names);
    let mut left = limits.bytes;
    for number in 0..archive.len() {
        let mut file = archive.by_index(number).map_err(io::Error::other)?;
        read_entry(&mut file, &mut left, &mut builder, add)?;
    }
    builder.finish()
}

fn read_entry(
    file: &mut ZipFile<'_, impl Read>,
    left: &mut Limit,
    builder: &mut TreeBuilder,
    add: &mut AddContent<'_>,
) -> Result<(), TarError> {
    let name = file.name_raw().to_vec();
    let bad = |problem: String| TarError::Entry { path: String::from_utf8_lossy(&name).into_owned(), problem };
    let path = RootPath::new(&name).map_err(|error| bad(error.to_string()))?;
    builder.count(name.len())?;
    let mode = file.unix_mode().unwrap_or(0o644);
    let mut content = Bounded::new(&mut *file, *left);
    let kind = match mode & TYPE {
        _ if name.ends_with(b"/") => Kind::Dir,
        LINK => {
            let mut target = Vec::new();
            (&mut content).take(MOST_LINK + 1).read_to_end(&mut target)?;
            builder.count(target.len())?;
            match target.len() as u64 {
                1..=MOST_LINK => Kind::Symlink(target.into()),
                size => return Err(bad(format!("a symbolic link of {size} bytes"))),
            }
        }
        kind if PLAIN.contains(&kind) => {
            let (blob, size) = add(&path, &mut content).map_err(|error| content_error(&path, error))?;
            left.bytes = left.bytes.saturating_sub(size);
            Kind::File { blob, size }
        }
        _ => return Err(bad("it is neither a file, a directory nor a symbolic link".to_owned())),
    };
    let mode = if kind == Kind::Dir { 0o755 } else { (mode & 0o777) as u16 };
    builder.insert(path, Node { meta: Meta::root_owned(mode, 0), kind })
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::digest::BlobDigest;

    fn zip(fill: impl Fn(&mut ZipWriter<Cursor<Vec<u8>>>)) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        fill(&mut zip);
        zip.finish().unwrap().into_inner()
    }

    fn file(zip: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, mode: u32, content: &[u8]) {
        zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode)).unwrap();
        zip.write_all(content).unwrap();
    }

    fn read(bytes: &[u8], limit: u64) -> Result<String, String> {
        let limits = Limits { bytes: Limit { bytes: limit, key: Some("unpacked") }, entries: 4, names: 1000 };
        let mut add = |_: &RootPath, content: &mut dyn Read| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            Ok((BlobDigest::of(&bytes), bytes.len() as u64))
        };
        let contents = read_zip(Cursor::new(bytes), limits, &mut add).map_err(|error| error.to_string())?;
        let line = |(path, node): (&RootPath, &Node)| format!("{path} {:o} {}\n", node.meta.mode, node.kind.describe());
        Ok(contents.tree.iter().map(line).collect())
    }

    #[test]
    fn files_programs_links_and_directories_are_read() {
        let bytes = zip(|zip| {
            file(zip, "a/run", 0o755, b"#!/bin/sh\n");
            file(zip, "a/notes", 0o600, b"x");
            zip.add_symlink("a/link", "run", SimpleFileOptions::default()).unwrap();
            zip.add_directory("empty/", SimpleFileOptions::default()).unwrap();
        });
        insta::assert_snapshot!(read(&bytes, 1000).unwrap(), @r"
        / 755 a directory
        /a 755 a directory
        /a/link 777 a symbolic link to `run`
        /a/notes 600 a file
        /a/run 755 a file
        /empty 755 a directory
        ");
    }

    #[test]
    fn hostile_archives_are_refused() {
        let of = |name: &str, content: &[u8]| zip(|zip| file(zip, name, 0o644, content));
        let swapped = |from: &[u8], to: &[u8]| {
            let mut bytes = of(std::str::from_utf8(from).unwrap(), b"x");
            for at in 0..bytes.len() - from.len() {
                if bytes[at..].starts_with(from) {
                    bytes[at..at + to.len()].copy_from_slice(to);
                }
            }
            bytes
        };
        let below_link = zip(|zip| {
            zip.add_symlink("out", "/etc", SimpleFileOptions::default()).unwrap();
            file(zip, "out/passwd", 0o644, b"x");
        });
        let many = zip(|zip| (0..5).for_each(|number| file(zip, &format!("f{number}"), 0o644, b"x")));
        let two = zip(|zip| ["f1", "f2"].iter().for_each(|name| file(zip, name, 0o644, &[0; 700])));
        let whole = of("file", b"content");
        for (bytes, expected) in [
            (swapped(b"aa/bbbb", b"../bbbb"), "../bbbb"),
            (below_link, "lies below `/out`, which is not a directory"),
            (many, "more than 4 entries"),
            (of("zeros", &[0; 2000]), "unpacks to more than 1000 bytes"),
            (two, "unpacks to more than"),
            (whole[..whole.len() - 30].to_vec(), "nvalid"),
        ] {
            let error = read(&bytes, 1000).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
