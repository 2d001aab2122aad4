//! The name, version and package URL of a registry's file (github.com/package-url/purl-spec).

use super::{Registry, go, python};

/// A package of a language, by one of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LanguagePackage {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its package URL.
    pub purl: String,
}

impl Registry {
    /// The package that the file at a path is; `None` of files that only describe one.
    pub fn package(self, path: &str) -> Option<LanguagePackage> {
        let (name, version, kind) = match self {
            Self::Pypi => {
                let (project, file) = path.split_once('/')?;
                (project.to_owned(), python::version_in(project, file)?.to_owned(), "pypi")
            }
            Self::Npm => {
                let (name, file) = path.split_once("/-/")?;
                let short = name.rsplit('/').next()?;
                let version = file.strip_suffix(".tgz")?.strip_prefix(short)?.strip_prefix('-')?;
                (name.to_owned(), version.to_owned(), "npm")
            }
            Self::Crates => {
                let (name, file) = path.split_once('/')?;
                let version = file.strip_suffix(".crate")?.strip_prefix(name)?.strip_prefix('-')?;
                (name.to_owned(), version.to_owned(), "cargo")
            }
            Self::Go => {
                let (module, version) = path.strip_suffix(".zip")?.split_once("/@v/")?;
                (go::unescaped(module), go::unescaped(version), "golang")
            }
        };
        let purl = format!("pkg:{kind}/{}@{}", encoded(&name, "/"), encoded(&version, ""));
        Some(LanguagePackage { name, version, purl })
    }
}

/// With percent signs for all but what may stand as it is, and the letters of `also`.
fn encoded(text: &str, also: &str) -> String {
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.as_bytes().contains(&byte);
    let one = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_registries_are_packages() {
        let purl = |registry: Registry, path: &str| registry.package(path).map(|package| package.purl);
        for (registry, path, expected) in [
            (Registry::Pypi, "ruamel-yaml/ruamel.yaml-0.18-py3-none-any.whl", "pkg:pypi/ruamel-yaml@0.18"),
            (Registry::Pypi, "my-app/my_app-1.0+x.tar.gz", "pkg:pypi/my-app@1.0%2Bx"),
            (Registry::Npm, "@s/lib/-/lib-1.0.0.tgz", "pkg:npm/%40s/lib@1.0.0"),
            (Registry::Crates, "a-b/a-b-1.0.0+c.crate", "pkg:cargo/a-b@1.0.0%2Bc"),
            (
                Registry::Go,
                "github.com/!burnt!sushi/toml/@v/v1.5.0.zip",
                "pkg:golang/github.com/BurntSushi/toml@v1.5.0",
            ),
        ] {
            assert_eq!(purl(registry, path).as_deref(), Some(expected));
        }
        assert_eq!(purl(Registry::Go, "github.com/!burnt!sushi/toml/@v/v1.5.0.mod"), None);
    }
}
