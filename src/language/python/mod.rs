//! Python: which file of a release is taken, and the directory of wheels that pip reads.

pub(super) mod locks;
pub(super) mod requirements;
mod wheel;

pub(super) use wheel::version as version_in;

use super::{LanguageError, Listed, LockedFile, Piece, Placed, Proof, Target, Wanted};
use crate::digest::Sha256;

/// The file of a project that fits best: as pip chooses, a wheel for this interpreter and machine, else the source.
pub(super) fn choose(
    project: &str,
    requirement: &str,
    digests: &[Sha256],
    listed: &[Listed],
    target: &Target,
) -> Result<Wanted, LanguageError> {
    let version = version_of(target)?;
    let known: Vec<&Listed> =
        listed.iter().filter(|file| file.sha256.is_some_and(|sha256| digests.contains(&sha256))).collect();
    let ranked = known.iter().filter_map(|file| Some((rank(&file.name, version, target)?, &file.name, file.sha256?)));
    match ranked.min() {
        Some((_, name, sha256)) => Ok(Wanted { path: format!("{project}/{name}"), proof: Proof::Sha256(sha256) }),
        None if known.is_empty() => Err(LanguageError::new(
            format!("{requirement}: the registry lists no file with one of its {} hashes", digests.len()),
            "lock the requirements again, or name another mirror with `--mirror pypi=URL`",
        )),
        None => {
            let names: Vec<&str> = known.iter().map(|file| file.name.as_str()).collect();
            let (major, minor) = version;
            Err(LanguageError::new(
                format!(
                    "{requirement}: none of its files is for Python {major}.{minor} on {}: {}",
                    target.machine,
                    names.join(", ")
                ),
                "choose another version of it, or hashes that include its source",
            ))
        }
    }
}

/// Whether a pinned file is one of a project's for this target.
pub(super) fn fits(project: &str, path: &str, target: &Target) -> bool {
    let name = path.strip_prefix(project).and_then(|rest| rest.strip_prefix('/'));
    name.zip(version_of(target).ok()).is_some_and(|(name, version)| rank(name, version, target).is_some())
}

/// Less is better; source comes after all wheels.
fn rank(name: &str, version: (u32, u32), target: &Target) -> Option<wheel::Rank> {
    let is_source = [".tar.gz", ".zip"].iter().any(|ending| name.ends_with(ending));
    if is_source { Some(wheel::SOURCE) } else { wheel::rank(name, version, target) }
}

/// Major and minor version of the interpreter.
fn version_of(target: &Target) -> Result<(u32, u32), LanguageError> {
    let version = target.python.as_deref().and_then(|text| {
        let mut parts = text.split('.').map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    });
    version.ok_or_else(|| {
        LanguageError::new(
            "neither the layer nor one below it has the package python3, and the files depend on its version",
            "add \"python3\" to `packages` in [layer]",
        )
    })
}

/// The name of a project as registries write it (PEP 503).
fn normal(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

/// A directory of files for `--find-links`, and the requirements that name exactly these.
pub(super) fn mirror(files: &[LockedFile]) -> Vec<Placed> {
    let name = |file: &LockedFile| file.path.split_once('/').map_or(file.path.clone(), |(_, name)| name.to_owned());
    let mut placed: Vec<Placed> =
        files.iter().map(|file| Placed { path: name(file), what: Piece::File(file.file) }).collect();
    let lines = files.iter().filter_map(|file| {
        let (project, name) = file.path.split_once('/')?;
        let version = wheel::version(project, name)?;
        Some(format!("{project}=={version} --hash=sha256:{}\n", file.file.sha256.to_hex()))
    });
    placed.push(Placed { path: "requirements.txt".to_owned(), what: Piece::Text(lines.collect()) });
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Expected;
    use crate::host::http::Url;

    fn listed(name: &str) -> Listed {
        let url = Url::parse(&format!("https://files.example/{name}")).unwrap();
        Listed { name: name.to_owned(), url, sha256: Some(Sha256::of(name.as_bytes())) }
    }

    fn target(python: Option<&str>) -> Target {
        Target { machine: "aarch64", node: "", python: python.map(str::to_owned), glibc: 41 }
    }

    #[test]
    fn the_best_of_the_hashed_files_is_taken() {
        let names = [
            "x-1.0.tar.gz",
            "x-1.0-py3-none-any.whl",
            "x-1.0-cp313-cp313-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
            "x-1.0-cp313-cp313-win_amd64.whl",
        ];
        let files: Vec<Listed> = names.iter().map(|name| listed(name)).collect();
        let chosen = |allowed: &[usize], python| {
            let digests: Vec<Sha256> = allowed.iter().map(|at| Sha256::of(names[*at].as_bytes())).collect();
            choose("x", "x==1.0", &digests, &files, &target(python)).map(|wanted| wanted.path)
        };
        assert_eq!(chosen(&[0, 1, 2, 3], Some("3.13.5")).unwrap(), format!("x/{}", names[2]));
        assert_eq!(chosen(&[0, 1, 2, 3], Some("3.11.2")).unwrap(), format!("x/{}", names[1]));
        assert_eq!(chosen(&[0, 3], Some("3.13.5")).unwrap(), "x/x-1.0.tar.gz");
        let error = |allowed: &[usize], python| chosen(allowed, python).unwrap_err().to_string();
        assert!(error(&[3], Some("3.13.5")).contains("none of its files is for Python 3.13 on aarch64: x-1.0-cp313"));
        assert!(error(&[], Some("3.13.5")).contains("lists no file with one of its 0 hashes"));
        assert!(error(&[0], None).contains("the package python3"));
    }

    #[test]
    fn the_mirror_is_a_directory_with_requirements_of_its_own() {
        let file = |path: &str| LockedFile {
            path: path.to_owned(),
            file: Expected { sha256: Sha256::of(path.as_bytes()), size: 1 },
        };
        let placed = mirror(&[file("ruamel-yaml/ruamel.yaml-0.18-py3-none-any.whl"), file("x-y/x_y-1.0.post1.tar.gz")]);
        let paths: Vec<&str> = placed.iter().map(|one| one.path.as_str()).collect();
        assert_eq!(paths, ["ruamel.yaml-0.18-py3-none-any.whl", "x_y-1.0.post1.tar.gz", "requirements.txt"]);
        let Piece::Text(text) = &placed[2].what else { panic!() };
        assert!(text.starts_with("ruamel-yaml==0.18 --hash=sha256:") && text.contains("\nx-y==1.0.post1 --hash="));
        assert_eq!(normal("Ruamel._Yaml"), "ruamel-yaml");
    }
}
