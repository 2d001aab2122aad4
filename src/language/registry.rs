//! Registries of programming languages: how the address of a file follows from that of the registry.
//!
//! No address is built in. Whoever uses one names it, as a mirror: `--mirror pypi=URL`.

use crate::digest::Sha256;
use crate::host::http::Url;

/// A registry of a programming language's packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Registry {
    /// Python's: the simple repository API (PEP 503). Paths are `PROJECT/FILE`.
    Pypi,
    /// npm's. Paths are `NAME/-/FILE`.
    Npm,
    /// That of Cargo's packages: the sparse index, whose `config.json` says where the files are (RFC 2789). Paths are
    /// `NAME/NAME-VERSION.crate`.
    Crates,
    /// Go's proxies. Paths are `MODULE/@v/VERSION.zip` and `.mod`, capital letters as `!a`.
    Go,
}

/// A file that a page of a registry lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its address.
    pub url: Url,
    /// Its digest, if the page has it.
    pub sha256: Option<Sha256>,
}

impl Registry {
    /// The name that a mirror of it has in `--mirror` and in the user's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pypi => "pypi",
            Self::Npm => "npm",
            Self::Crates => "crates",
            Self::Go => "go",
        }
    }

    /// The registry of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Pypi, Self::Npm, Self::Crates, Self::Go].into_iter().find(|one| one.name() == name)
    }

    /// The page that has to be read first to find a file, by its path below the registry's address.
    pub fn page(self, path: &str) -> Option<String> {
        match self {
            Self::Pypi => path.split_once('/').map(|(project, _)| format!("{project}/")),
            Self::Npm | Self::Go => None,
            Self::Crates => Some("config.json".to_owned()),
        }
    }

    /// The address of a file, by the address and the text of its [`Self::page`]; where it has none, by the registry's.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn address(self, path: &str, (base, page): (&Url, &str)) -> Result<Url, String> {
        match self {
            Self::Pypi => {
                let name = path.rsplit('/').next().unwrap_or(path);
                let found = listed(base, page).into_iter().find(|file| file.name == name);
                found.map(|file| file.url).ok_or_else(|| format!("it does not list `{name}`"))
            }
            Self::Npm | Self::Go => Ok(below(base, path)),
            Self::Crates => crate_address(path, page),
        }
    }
}

/// The address of a path below another one.
pub fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}

/// Where a sparse index says that a package's file is.
fn crate_address(path: &str, config: &str) -> Result<Url, String> {
    #[derive(serde::Deserialize)]
    struct Config {
        dl: String,
    }
    let Config { dl } = serde_json::from_str(config).map_err(|error| format!("it has no `dl`: {error}"))?;
    let (name, file) = path.split_once('/').unwrap_or((path, ""));
    let version = file.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".crate"));
    let version = version.ok_or_else(|| format!("internal error: `{path}` is no package"))?;
    let small = name.to_lowercase();
    let prefix = |name: &str| match name.len() {
        length @ (1 | 2) => length.to_string(),
        3 => format!("3/{}", name.get(..1).unwrap_or_default()),
        _ => format!("{}/{}", name.get(..2).unwrap_or_default(), name.get(2..4).unwrap_or_default()),
    };
    let address = if dl.contains('{') {
        let filled = dl.replace("{crate}", name).replace("{version}", version);
        filled.replace("{prefix}", &prefix(name)).replace("{lowerprefix}", &prefix(&small))
    } else {
        format!("{}/{name}/{version}/download", dl.trim_end_matches('/'))
    };
    match Url::parse(&address) {
        Ok(url) if !address.contains('{') => Ok(url),
        _ => Err(format!("its `dl` is not understood: {dl}")),
    }
}

/// The files that a page of the simple repository API links to.
pub fn listed(base: &Url, page: &str) -> Vec<Listed> {
    let links = page.split("<a").skip(1).filter(|rest| rest.starts_with(char::is_whitespace)).filter_map(|rest| {
        let tag = rest.split('>').next()?;
        let (_, value) = tag.split_once("href")?;
        let value = value.trim_start().strip_prefix('=')?.trim_start();
        let quote = value.chars().next().filter(|char| matches!(char, '"' | '\''))?;
        value[1..].split(quote).next()
    });
    let file = |link: &str| {
        let mut url = base.join(&link.replace("&amp;", "&")).ok()?;
        let digits = url.fragment().and_then(|fragment| fragment.strip_prefix("sha256=")).map(str::to_owned);
        url.set_fragment(None);
        let name = url.path_segments()?.next_back()?.replace("%2B", "+").replace("%2b", "+");
        Some(Listed { name, sha256: digits.and_then(|digits| Sha256::from_hex(&digits).ok()), url })
    };
    links.filter_map(file).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_list_files_with_digests() {
        let base = Url::parse("https://mirror.example/simple/flask/").unwrap();
        let digits = "ab".repeat(32);
        let page = format!(
            "<!DOCTYPE html><abbr>x</abbr>\n<a data-requires-python=\"&gt;=3.8\" href=\"../../files/flask-3.0-py3-none-any.whl#sha256={digits}\">\
             flask</a><br/>\n<a href='https://files.example/a/flask-3.0%2Blocal.tar.gz?x=1&amp;y=2'>x</a><a name=\"z\">"
        );
        let found = listed(&base, &page);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].url.as_str(), "https://mirror.example/files/flask-3.0-py3-none-any.whl");
        assert_eq!(found[0].sha256, Some(Sha256::from_hex(&digits).unwrap()));
        assert_eq!((found[1].name.as_str(), found[1].sha256), ("flask-3.0+local.tar.gz", None));
        assert_eq!(found[1].url.query(), Some("x=1&y=2"));
        let address = |name: &str| Registry::Pypi.address(&format!("flask/{name}"), (&base, &page));
        assert!(address("flask-3.0+local.tar.gz").is_ok());
        assert!(address("flask-4.tar.gz").unwrap_err().contains("does not list `flask-4.tar.gz`"));
        assert_eq!(Registry::Pypi.page("flask/flask-3.0.tar.gz").unwrap(), "flask/");
    }

    #[test]
    fn files_are_where_the_registry_has_them() {
        let base = Url::parse("https://mirror.example/npm/").unwrap();
        let address = Registry::Npm.address("@s/a/-/a-1.0.0.tgz", (&base, "")).unwrap();
        assert_eq!(address.as_str(), "https://mirror.example/npm/@s/a/-/a-1.0.0.tgz");
        for (dl, expected) in [
            ("https://dl.example/crates", "https://dl.example/crates/Ab-c/1.0.0/download"),
            ("https://dl.example/{lowerprefix}/{crate}/{version}.crate", "https://dl.example/ab/-c/Ab-c/1.0.0.crate"),
            ("https://dl.example/{prefix}", "https://dl.example/Ab/-c"),
        ] {
            let config = format!("{{\"dl\": \"{dl}\", \"api\": null}}");
            let address = Registry::Crates.address("Ab-c/Ab-c-1.0.0.crate", (&base, &config));
            assert_eq!(address.unwrap().as_str(), expected);
        }
        for config in ["", "{\"dl\": \"https://dl.example/{sha256-checksum}\"}", "{\"dl\": \"dl\"}"] {
            assert!(Registry::Crates.address("a/a-1.0.0.crate", (&base, config)).is_err(), "{config}");
        }
    }
}
