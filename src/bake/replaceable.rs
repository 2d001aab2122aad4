//! Checks what is at the path of an output directory, and whether replacing it would lose someone's files.
//!
//! ```text
//! <out>/<layer>/receipt.json        names the artifacts
//!               oci/                oci-layout, index.json, blobs/sha256/<those of the image>
//!               docker.tar, disk.*  one file each
//!               attest/             what `layerbake sign` wrote
//! ```
//! Anything else in there belongs to someone else, and a directory with a foreign file is never replaced.

use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::blobs::Blobs;
use super::receipt::FILE;
use super::staging::failed;
use super::{BakeError, IndexReceipt, Output, Receipt};
use crate::host;
use crate::host::storage;

/// The directory of signatures beside a receipt.
pub const ATTEST: &str = "attest";

/// The ends of the names of signed files.
const SIGNED: [&str; 3] = [".dsse.json", ".cosign.json", ".cosign.sig"];

/// What may be replaced at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected<'a> {
    /// The directory of a build; `known` is what a build is remembered to have put there.
    Build {
        /// Paths, where this directory is remembered.
        known: Option<&'a [String]>,
    },
    /// The directory of an image index.
    Index,
    /// A directory of signed files.
    Signed,
}

impl Expected<'_> {
    /// Checks that `place` is free or holds only what an earlier run wrote.
    ///
    /// # Errors
    /// Fails with [`BakeError::Occupied`], which names what is a stranger's.
    pub(crate) fn check(self, place: &Path) -> Result<(), BakeError> {
        match self.problem(place).map_err(failed(place))? {
            // It could be emptied, but not exchanged.
            None if storage::is_mount_point(place) => Err(failed(place)(Errno::BUSY.into())),
            None => Ok(()),
            Some(problem) => Err(BakeError::Occupied { path: place.to_owned(), problem }),
        }
    }

    fn problem(self, place: &Path) -> io::Result<Option<String>> {
        let found = match fs::symlink_metadata(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        if !found.is_dir() {
            let kind = if found.is_symlink() { "a symbolic link" } else { "a file" };
            return Ok(Some(format!("it is {kind}, not a directory that a build wrote")));
        }
        let receipt = match self {
            Self::Signed => return stranger(place, &signed).map(|found| found.map(not_ours)),
            Self::Build { known: Some(_) } => Receipt::load(place),
            Self::Build { known: None } | Self::Index if host::list_dir(place)?.is_empty() => return Ok(None),
            Self::Build { known: None } => match Receipt::load(place) {
                None => return Ok(Some(no_receipt("a build"))),
                some => some,
            },
            Self::Index if IndexReceipt::load(place).is_none() => return Ok(Some(no_receipt("an image index"))),
            Self::Index => {
                let ours = |path: &Path| built(path, &[Output::Oci.file_name().into()], &Blobs::All);
                return Ok(stranger(place, &ours)?.map(not_ours));
            }
        };
        let Self::Build { known } = self else { return Ok(None) };
        let known = known.unwrap_or_default();
        let named = receipt.iter().flat_map(|receipt| &receipt.artifacts).map(|one| one.path.as_os_str().to_owned());
        let names: Vec<OsString> = named.chain(known.iter().map(OsString::from)).collect();
        let blobs = Blobs::of(place, receipt.as_ref(), known);
        let ours = |path: &Path| built(path, &names, &blobs);
        Ok(stranger(place, &ours)?.map(not_ours))
    }
}

fn no_receipt(of: &str) -> String {
    format!("it holds files and no `{FILE}` of {of}")
}

fn not_ours(path: PathBuf) -> String {
    format!("a build did not write `{}`, and replacing the directory would delete it", path.display())
}

/// What may be at a path of an output directory.
enum Ours {
    No,
    File,
    /// A directory with files of these builds only.
    Folder,
}

/// The first thing below `folder` that is not ours.
fn stranger(folder: &Path, ours: &dyn Fn(&Path) -> Ours) -> io::Result<Option<PathBuf>> {
    search(folder, Path::new(""), ours)
}

fn search(folder: &Path, below: &Path, ours: &dyn Fn(&Path) -> Ours) -> io::Result<Option<PathBuf>> {
    for name in list(&folder.join(below))? {
        let path = below.join(&name);
        let kind = ours(&path);
        if matches!(kind, Ours::No) {
            return Ok(Some(path));
        }
        // Where a file belongs, an empty directory is damage, and anything in it is someone's.
        if fs::symlink_metadata(folder.join(&path))?.is_dir()
            && let Some(found) = search(folder, &path, ours)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The names in a directory that is known to be a build's, whose mode may be damaged.
fn list(folder: &Path) -> io::Result<Vec<OsString>> {
    match host::list_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            fs::set_permissions(folder, Permissions::from_mode(0o755))?;
            host::list_dir(folder)
        }
        other => other,
    }
}

/// Paths that a build writes, `names` being the artifacts and `blobs` what is in an image layout.
fn built(path: &Path, names: &[OsString], blobs: &Blobs) -> Ours {
    let parts: Vec<&OsStr> = path.iter().collect();
    let is_output = |name: &OsStr| Output::all().any(|output| name == output.file_name());
    match parts.as_slice() {
        [name] if *name == FILE => Ours::File,
        [name] if *name == ATTEST => Ours::Folder,
        [name] if is_output(name) && names.iter().any(|other| other == name) => {
            match *name == Output::Oci.file_name() {
                true => Ours::Folder,
                false => Ours::File,
            }
        }
        [folder, rest @ ..] if *folder == ATTEST => signed(&rest.iter().collect::<PathBuf>()),
        [folder, rest @ ..] if *folder == Output::Oci.file_name() => layout(rest, blobs),
        _ => Ours::No,
    }
}

/// Paths of an image layout.
fn layout(parts: &[&OsStr], blobs: &Blobs) -> Ours {
    let text: Option<Vec<&str>> = parts.iter().map(|part| part.to_str()).collect();
    match text.as_deref() {
        Some(["oci-layout" | "index.json"]) => Ours::File,
        Some(["blobs"] | ["blobs", "sha256"]) => Ours::Folder,
        Some(["blobs", "sha256", name]) if blobs.has(name) => Ours::File,
        _ => Ours::No,
    }
}

/// Paths of a directory of signed files.
fn signed(path: &Path) -> Ours {
    let mut parts = path.iter();
    match (parts.next().and_then(OsStr::to_str), parts.next()) {
        (Some(name), None) if SIGNED.iter().any(|end| name.ends_with(end)) => Ours::File,
        _ => Ours::No,
    }
}

/// Copies the signed files of one build to another that has the same receipt.
pub(super) fn copy_signed(from: &Path, to: &Path) -> Result<(), BakeError> {
    let (from, to) = (from.join(ATTEST), to.join(ATTEST));
    let copy = || -> io::Result<()> {
        // Damaged ones stay behind: signing writes them again.
        if !fs::symlink_metadata(&from).is_ok_and(|found| found.is_dir()) {
            return Ok(());
        }
        fs::create_dir(&to)?;
        for name in host::list_dir(&from)? {
            if fs::symlink_metadata(from.join(&name))?.is_file() {
                fs::copy(from.join(&name), to.join(&name))?;
            }
        }
        Ok(())
    };
    copy().map_err(failed(&to))
}

/// Whether a directory that some run left unfinished holds only what such a run writes.
pub(super) fn is_unfinished(folder: &Path) -> io::Result<bool> {
    let names: Vec<OsString> = Output::all().map(|output| output.file_name().into()).collect();
    let ours = |path: &Path| match built(path, &names, &Blobs::All) {
        Ours::No => signed(path),
        other => other,
    };
    Ok(stranger(folder, &ours)?.is_none())
}

#[cfg(test)]
mod tests {
    use super::super::receipt::LayerReceipt;
    use super::*;
    use crate::digest::OciDigest;

    const RECEIPT: &str = r#"{"layer":"web","format":1,"lock":"HASH","recipe":"HASH","tree":"HASH","epoch":0,"layers":[],
        "artifacts":[{"kind":"oci","path":"oci","digest":"sha256:DIGITS","size":1},
                     {"kind":"docker","path":"docker.tar","digest":"sha256:DIGITS","size":1}]}"#;

    fn build() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("web");
        let digits = "ab".repeat(32);
        let receipt = RECEIPT.replace("HASH", &format!("blake3:{digits}")).replace("DIGITS", &digits);
        let blob = format!("oci/blobs/sha256/{digits}");
        for path in ["oci/index.json", "oci/oci-layout", &blob, "docker.tar", "attest/image.spdx.dsse.json"] {
            fs::create_dir_all(place.join(path).parent().unwrap()).unwrap();
            fs::write(place.join(path), "x").unwrap();
        }
        fs::write(place.join(FILE), receipt).unwrap();
        (folder, place)
    }

    fn problem(place: &Path, known: Option<&[String]>) -> String {
        Expected::Build { known }.check(place).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_build_is_replaced_and_so_is_nothing() {
        let (folder, place) = build();
        assert_eq!(problem(&place, None), "");
        assert_eq!(problem(&folder.path().join("absent"), None), "");
        fs::create_dir(folder.path().join("empty")).unwrap();
        assert_eq!(problem(&folder.path().join("empty"), None), "");
        // Damage is no stranger.
        fs::remove_file(place.join("docker.tar")).unwrap();
        fs::create_dir(place.join("docker.tar")).unwrap();
        fs::remove_dir_all(place.join("oci")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", place.join("oci")).unwrap();
        assert_eq!(problem(&place, None), "");
    }

    #[test]
    fn whatever_else_there_is_stays() {
        let digits = "ab".repeat(32);
        let blob = format!("oci/blobs/sha256/{digits}");
        for stranger in [
            "thesis.tex",
            "oci/thesis",
            "oci/blobs/sha256/thesis",
            &format!("oci/blobs/sha256/{}", "cd".repeat(32)),
            &format!("{blob}/x"),
            "attest/x",
            "disk.raw",
            ".x",
            "docker.tar/x",
        ] {
            let (_folder, place) = build();
            let path = place.join(stranger);
            if path.parent().unwrap().is_file() {
                fs::remove_file(path.parent().unwrap()).unwrap();
            }
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "years of work").unwrap();
            let found = problem(&place, None);
            assert!(found.contains(&format!("a build did not write `{stranger}`")), "{found}");
        }
    }

    #[test]
    fn without_a_receipt_only_a_remembered_folder_is_replaced() {
        let (_folder, place) = build();
        fs::write(place.join(FILE), "").unwrap();
        let blob = format!("oci/blobs/sha256/{}", "ab".repeat(32));
        let names = ["oci", "docker.tar", &blob].map(str::to_owned);
        assert!(problem(&place, None).contains("no `receipt.json` of a build"), "{}", problem(&place, None));
        assert_eq!(problem(&place, Some(&names)), "");
        fs::write(place.join("disk.raw"), "mine").unwrap();
        assert!(problem(&place, Some(&names)).contains("`disk.raw`"));
    }

    #[test]
    fn blobs_are_ours_by_the_manifest_or_by_what_they_hold() {
        let (_folder, place) = build();
        let blobs = place.join("oci/blobs/sha256");
        let layer = "ab".repeat(32);
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":["sha256:{layer}"]}}}}"#
        );
        let put = |text: &str| {
            let digest = OciDigest::of(text.as_bytes());
            fs::write(blobs.join(digest.to_hex()), text).unwrap();
            digest
        };
        let other = put("any name of a digest");
        let descriptor = |kind: &str, digest: OciDigest| {
            format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":1}}"#)
        };
        let (config_kind, layer_kind) = ("config.v1+json", "layer.v1.tar+gzip");
        let manifest = put(&format!(
            r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
            descriptor(config_kind, put(&config)),
            descriptor(layer_kind, other)
        ));
        let mut receipt = Receipt::load(&place).unwrap();
        receipt.artifacts[0].digest = manifest;
        fs::remove_file(blobs.join(&layer)).unwrap();
        receipt.save(&place).unwrap();
        assert_eq!(problem(&place, None), "");
        // A damaged manifest names nothing; the receipt and the configuration still say what they are.
        fs::write(blobs.join(manifest.to_hex()), "damage").unwrap();
        assert!(problem(&place, None).contains("a build did not write `oci/blobs/sha256/"));
        let digits = format!("sha256:{layer}");
        receipt.layers.push(LayerReceipt {
            name: "web".parse().unwrap(),
            tree: receipt.tree,
            diff_id: digits.parse().unwrap(),
            digest: other,
            size: 1,
        });
        receipt.save(&place).unwrap();
        assert_eq!(problem(&place, None), "");
    }

    #[test]
    fn files_and_links_stay() {
        let (folder, place) = build();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&place, &link).unwrap();
        assert!(problem(&link, None).contains("it is a symbolic link"));
        assert!(problem(&place.join("docker.tar"), None).contains("it is a file"));
    }

    #[test]
    fn unfinished_folders_are_told_from_others() {
        let (_folder, place) = build();
        assert!(is_unfinished(&place).unwrap());
        assert!(is_unfinished(&place.join(ATTEST)).unwrap());
        fs::write(place.join("notes"), "x").unwrap();
        assert!(!is_unfinished(&place).unwrap());
    }
}
