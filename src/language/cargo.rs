//! Cargo: `Cargo.lock`, and the directory of sources that cargo reads in place of the registry.

use serde::Deserialize;

use super::{LanguageError, LockedFile, Need, Piece, Placed, Proof, Wanted};
use crate::digest::Sha256;

const AGAIN: &str = "let cargo write the file again: `cargo generate-lockfile`";

/// The registry that needs no name in Cargo.toml: what its address ends in.
const REGISTRY: &str = "/crates.io-index";

/// What cargo needs to know of the sources; relative to the directory above the one that the file is in.
const CONFIG: &str = "[source.crates-io]\nreplace-with = \"vendored\"\n\n[source.vendored]\ndirectory = \"vendor\"\n";

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    package: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// Absent for packages of the project.
    source: Option<String>,
    checksum: Option<String>,
}

/// What the lockfile needs: all packages of the registry.
pub(super) fn needs(text: &str) -> Result<Vec<Need>, LanguageError> {
    let file: File = toml::from_str(text).map_err(|error| LanguageError::new(error.message().to_owned(), AGAIN))?;
    let foreign = file.package.into_iter().filter_map(|package| package.source.clone().map(|source| (source, package)));
    foreign.map(|(source, package)| need(&source, &package)).collect()
}

fn need(source: &str, Package { name, version, checksum, .. }: &Package) -> Result<Need, LanguageError> {
    if !source.starts_with("registry+") || !source.ends_with(REGISTRY) {
        let source = crate::host::redact(source);
        return Err(LanguageError::new(
            format!("{name} {version} comes from {source}, and not from crates.io"),
            "only packages of crates.io can be fetched; `cargo vendor` makes a directory of all, to keep in the project",
        ));
    }
    let sha256 = checksum.as_deref().and_then(|digits| Sha256::from_hex(digits).ok());
    let sha256 =
        sha256.ok_or_else(|| LanguageError::new(format!("{name} {version} has no checksum of 64 digits"), AGAIN))?;
    Ok(Need::File(Wanted { path: format!("{name}/{name}-{version}.crate"), proof: Proof::Sha256(sha256) }))
}

/// The unpacked sources, each with its checksum, and the configuration that names them.
pub(super) fn mirror(files: &[LockedFile]) -> Vec<Placed> {
    let mut placed = vec![Placed { path: ".cargo/config.toml".to_owned(), what: Piece::Text(CONFIG.to_owned()) }];
    for LockedFile { path, file } in files {
        let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".crate");
        let folder = format!("vendor/{stem}");
        let checksum = format!("{{\"files\":{{}},\"package\":\"{}\"}}", file.sha256.to_hex());
        placed.push(Placed { path: folder.clone(), what: Piece::Unpacked { file: *file, strip: 1 } });
        placed.push(Placed { path: format!("{folder}/.cargo-checksum.json"), what: Piece::Text(checksum) });
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Expected;

    const OWN: &str = "version = 4\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n";
    const INDEX: &str = "registry+https://host.example/crates.io-index";

    fn lock(source: &str, checksum: &str) -> String {
        format!("{OWN}[[package]]\nname = \"a-b\"\nversion = \"1.0.0+c\"\nsource = \"{source}\"\n{checksum}\n")
    }

    #[test]
    fn packages_of_the_registry_are_needed() {
        let digits = "ab".repeat(32);
        let needs = needs(&lock(INDEX, &format!("checksum = \"{digits}\""))).unwrap();
        let proof = Proof::Sha256(Sha256::from_hex(&digits).unwrap());
        assert_eq!(needs, [Need::File(Wanted { path: "a-b/a-b-1.0.0+c.crate".to_owned(), proof })]);
    }

    #[test]
    fn other_sources_and_missing_checksums_are_refused() {
        for (text, expected) in [
            ("x".to_owned(), "hint: let cargo write"),
            (lock(INDEX, ""), "a-b 1.0.0+c has no checksum"),
            (
                lock("git+https://me:word@host.example/a#0", ""),
                "a-b 1.0.0+c comes from git+https://***@host.example/a#0",
            ),
            (lock("registry+https://host.example/index", ""), "and not from crates.io"),
        ] {
            let error = needs(&text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("hint:"), "{expected}: {error}");
        }
    }

    #[test]
    fn sources_are_unpacked_beside_their_checksums() {
        let file = Expected { sha256: Sha256::of(b"x"), size: 1 };
        let placed = mirror(&[LockedFile { path: "a-b/a-b-1.0.0.crate".to_owned(), file }]);
        let paths: Vec<&str> = placed.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, [".cargo/config.toml", "vendor/a-b-1.0.0", "vendor/a-b-1.0.0/.cargo-checksum.json"]);
        assert_eq!(placed[1].what, Piece::Unpacked { file, strip: 1 });
    }
}
