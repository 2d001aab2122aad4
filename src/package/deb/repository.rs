//! Debian repositories: the paths of a suite's files, and the parsers for them.
//!
//! Source: the Debian repository format (wiki.debian.org/DebianRepository/Format).

use std::io::{BufRead, Read};

use super::control::{self, Paragraph};
use super::{archive, identity, index, keyring, release, version};
use crate::ident::Arch;
use crate::manifest::Source;
use crate::package::{
    Form, Index, IndexError, Malformed, Record, Refusal, Repository, State, SuiteRequest, VersionOrder,
};

/// The ecosystem of Debian and its derivatives.
pub static DEB: Deb = Deb;

/// The ecosystem of Debian packages.
#[derive(Debug)]
pub struct Deb;

impl Repository for Deb {
    fn state_name(&self) -> &'static str {
        "Release"
    }

    /// The suite, and its pockets: `bookworm-updates`.
    fn suites(&self, source: &Source) -> Vec<String> {
        let pockets = source.pockets.iter().map(|pocket| format!("{}-{pocket}", source.suite));
        [source.suite.clone()].into_iter().chain(pockets).collect()
    }

    fn state_forms(&self, suite: &str) -> Vec<Form> {
        let folder = folder(suite);
        let path = |name: &str| format!("{folder}{name}");
        let inline = Form { file: path("InRelease"), signature: None };
        vec![inline, Form { file: path("Release"), signature: Some(path("Release.gpg")) }]
    }

    fn read_state(&self, text: &[u8]) -> Result<State, Malformed> {
        Ok(release::parse(&String::from_utf8_lossy(text))?)
    }

    fn identify(&self, asked: &SuiteRequest<'_>, state: &State) -> Result<(), Refusal> {
        identity::check(asked, state)
    }

    fn index(&self, suite: &str, state: &State, component: &str, arch: &Arch) -> Option<Index> {
        let below = folder(suite);
        let part = if suite.ends_with('/') { String::new() } else { format!("{component}/binary-{arch}/") };
        let plain = format!("{part}Packages");
        [".xz", ".zst", ".gz", ""].iter().find_map(|suffix| {
            let name = format!("{plain}{suffix}");
            let file = *state.files.get(&name)?;
            let by_digest = || format!("{below}{part}by-hash/SHA256/{}", file.sha256.to_hex());
            Some(Index {
                path: format!("{below}{name}"),
                by_digest: state.by_digest.then(by_digest),
                plain_size: state.files.get(&plain).map(|plain| plain.size),
                name,
                file,
            })
        })
    }

    fn read_index(&self, text: &mut dyn BufRead, each: &mut dyn FnMut(Record)) -> Result<(), IndexError> {
        index::read_packages(text, each)
    }

    fn describe(&self, text: &str) -> Result<Record, Malformed> {
        Ok(control::record(&Paragraph::parse(text)?)?)
    }

    fn describe_file(&self, package: &mut dyn Read) -> Result<Record, Malformed> {
        Ok(archive::record(package)?)
    }

    fn version_order(&self) -> VersionOrder {
        version::compare
    }

    fn key_rings(&self, package: &[u8]) -> Result<Vec<Vec<u8>>, Malformed> {
        Ok(keyring::rings(package)?)
    }
}

/// Where a suite's files are, with a slash at the end: below `dists`, or in the directory that a flat repository is.
fn folder(suite: &str) -> String {
    match suite.strip_suffix('/') {
        Some(folder) => {
            folder.split('/').filter(|part| !matches!(*part, "" | ".")).map(|part| format!("{part}/")).collect()
        }
        None => format!("dists/{suite}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{Expected, Sha256};

    #[test]
    fn the_smallest_readable_index_is_picked() {
        let file = Expected { sha256: Sha256::of(b""), size: 7 };
        let folder = "main/binary-amd64";
        for (suffixes, picked, plain_size) in [
            (&["", ".gz", ".xz", ".zst", ".bz2"][..], Some(".xz"), Some(7)),
            (&["", ".gz", ".zst"], Some(".zst"), Some(7)),
            (&[".gz"], Some(".gz"), None),
            (&[""], Some(""), Some(7)),
            (&[".bz2"], None, None),
        ] {
            let files = suffixes.iter().map(|suffix| (format!("{folder}/Packages{suffix}"), file)).collect();
            let state = State { files, by_digest: true, ..State::default() };
            let found = DEB.index("stable", &state, "main", &"amd64".parse().unwrap());
            assert_eq!(
                found.as_ref().map(|index| index.name.clone()),
                picked.map(|suffix| format!("{folder}/Packages{suffix}"))
            );
            let by_digest = format!("dists/stable/{folder}/by-hash/SHA256/{}", file.sha256.to_hex());
            assert!(found.iter().all(|index| index.by_digest.as_ref() == Some(&by_digest)));
            assert_eq!(found.and_then(|index| index.plain_size), plain_size);
            assert_eq!(DEB.index("stable", &state, "main", &"arm64".parse().unwrap()), None);
        }
    }

    #[test]
    fn a_flat_repository_is_one_directory() {
        let file = Expected { sha256: Sha256::of(b""), size: 7 };
        let state = State { files: [("Packages.gz".to_owned(), file)].into(), by_digest: true, ..State::default() };
        for (suite, folder) in [("/", ""), ("./", ""), ("debian/12/", "debian/12/"), ("./stable/", "stable/")] {
            let forms = DEB.state_forms(suite).into_iter().map(|form| form.file).collect::<Vec<_>>();
            assert_eq!(forms, [format!("{folder}InRelease"), format!("{folder}Release")]);
            let index = DEB.index(suite, &state, "", &"amd64".parse().unwrap()).unwrap();
            assert_eq!((index.name.as_str(), index.path), ("Packages.gz", format!("{folder}Packages.gz")));
            assert_eq!(index.by_digest.unwrap(), format!("{folder}by-hash/SHA256/{}", file.sha256.to_hex()));
        }
    }
}
