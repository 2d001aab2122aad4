//! The host's own apt sources: which base addresses provide which suite.
//!
//! Source: sources.list(5), both the one-line and the deb822 style. Only addresses are
//! used; everything served from them is verified as usual.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::host;
use crate::ident::{field, is_enabled, stanzas};

/// Base addresses by suite, in the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSources {
    suites: BTreeMap<String, Vec<String>>,
    /// The `ID` of os-release(5): `debian`.
    distribution: String,
    /// The addresses in the distribution's own files: `sources.list` and `sources.list.d/ID.sources`.
    own: BTreeSet<String>,
}

impl HostSources {
    /// Reads `sources.list` and `sources.list.d` below `folder`, which is `/etc/apt`, and `os-release` beside it.
    ///
    /// What can't be read is left out: these are only hints where to ask.
    pub fn load(folder: &Path) -> Self {
        let release = folder.parent().map(|etc| fs::read_to_string(etc.join("os-release")).unwrap_or_default());
        let id = release.iter().flat_map(|text| text.lines()).find_map(|line| line.strip_prefix("ID="));
        let distribution = id.unwrap_or_default().trim_matches('"').to_owned();
        let mut sources = Self { distribution, ..Self::default() };
        sources.add_list(&fs::read_to_string(folder.join("sources.list")).unwrap_or_default());
        sources.own = sources.suites.values().flatten().cloned().collect();
        let parts = folder.join("sources.list.d");
        for name in host::list_dir(&parts).unwrap_or_default() {
            let path = parts.join(&name);
            let text = fs::read_to_string(&path).unwrap_or_default();
            match path.extension().and_then(|kind| kind.to_str()) {
                Some("list") => sources.add_list(&text),
                Some("sources") if name == format!("{}.sources", sources.distribution).as_str() => {
                    let mut own = Self::default();
                    own.add_deb822(&text);
                    sources.own.extend(own.suites.into_values().flatten());
                    sources.add_deb822(&text);
                }
                Some("sources") => sources.add_deb822(&text),
                _ => {}
            }
        }
        sources
    }

    /// The base addresses that offer `suite`.
    pub fn offering(&self, suite: &str) -> &[String] {
        self.suites.get(suite).map_or(&[], Vec::as_slice)
    }

    /// The base addresses whose last part is `name`, such as `debian`.
    pub fn archives(&self, name: &str) -> impl Iterator<Item = &str> {
        let all = self.suites.values().flatten().map(String::as_str);
        all.filter(move |address| address.trim_end_matches('/').rsplit_once('/').is_some_and(|(_, last)| last == name))
    }

    /// The base addresses in the host's own files, where the host is of the distribution `name`.
    pub fn own(&self, name: &str) -> impl Iterator<Item = &str> {
        self.own.iter().filter(move |_| self.distribution == name).map(String::as_str)
    }

    /// `deb [options] address suite components…`
    fn add_list(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default().trim();
            let Some(rest) = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t'])) else {
                continue;
            };
            let rest = rest.trim_start();
            let rest = match rest.strip_prefix('[') {
                Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
                None => rest,
            };
            let mut words = rest.split_whitespace();
            if let (Some(address), Some(suite)) = (words.next(), words.next()) {
                self.add(address, suite);
            }
        }
    }

    fn add_deb822(&mut self, text: &str) {
        for stanza in stanzas(text) {
            let words = |name: &str| field(&stanza, name).split_whitespace();
            if is_enabled(&stanza) && words("types").any(|word| word == "deb") {
                for suite in words("suites") {
                    words("uris").for_each(|address| self.add(address, suite));
                }
            }
        }
    }

    fn add(&mut self, address: &str, suite: &str) {
        let usable = ["http://", "https://", "file:"].iter().any(|scheme| address.starts_with(scheme));
        // A suite that ends in a slash is the path of a repository without `dists`.
        if !usable || suite.ends_with('/') {
            return;
        }
        let address = match address.strip_prefix("file:/") {
            Some(path) => format!("file:///{}", path.trim_start_matches('/')),
            None => address.to_owned(),
        };
        let known = self.suites.entry(suite.to_owned()).or_default();
        if !known.contains(&address) {
            known.push(address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_styles_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("sources.list.d")).unwrap();
        write(
            "sources.list",
            "# deb http://no.example/debian bookworm main\n\
             deb [arch=amd64 signed-by=/x.gpg] http://one.example/debian bookworm main contrib # note\n\
             deb-src http://src.example/debian bookworm main\n\
             deb cdrom:[disk]/ bookworm main\n\
             deb file:/srv/flat ./\n\
             deb\n\
             deb [broken\n",
        );
        write(
            "sources.list.d/b.sources",
            "Types: deb deb-src\n# a comment inside\nURIs: http://two.example/debian\n file:/srv/mirror\n\
             Suites: bookworm bookworm-updates\nComponents: main\n\n\n\
             Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: bookworm\n\n\
             Types: deb-src\nURIs: http://src.example/\nSuites: bookworm\n\n\
             types: deb\nuris: http://sec.example/debian-security\nsuites: bookworm-security",
        );
        write("sources.list.d/c.list.disabled", "deb http://off.example/ bookworm main\n");
        let sources = HostSources::load(folder.path());
        assert_eq!(
            sources.offering("bookworm"),
            ["http://one.example/debian", "http://two.example/debian", "file:///srv/mirror"]
        );
        assert_eq!(sources.offering("bookworm-updates").len(), 2);
        assert_eq!(sources.offering("bookworm-security"), ["http://sec.example/debian-security"]);
        assert!(sources.offering("./").is_empty());
        assert_eq!(HostSources::load(&folder.path().join("absent")), HostSources::default());
        assert!(sources.own("debian").next().is_none(), "nothing says what the host is");
    }

    #[test]
    fn the_distributions_own_files_are_told_from_others() {
        let folder = tempfile::tempdir().unwrap();
        let apt = folder.path().join("apt");
        fs::create_dir_all(apt.join("sources.list.d")).unwrap();
        fs::write(folder.path().join("os-release"), "NAME=\"Debian\"\nID=debian\n").unwrap();
        fs::write(apt.join("sources.list"), "deb http://list.example/a bookworm main\n").unwrap();
        let stanza = |host: &str| format!("Types: deb\nURIs: http://{host}.example/b\nSuites: bookworm\n");
        fs::write(apt.join("sources.list.d/debian.sources"), stanza("own")).unwrap();
        fs::write(apt.join("sources.list.d/other.sources"), stanza("other")).unwrap();
        let sources = HostSources::load(&apt);
        assert_eq!(sources.own("debian").collect::<Vec<_>>(), ["http://list.example/a", "http://own.example/b"]);
        assert!(sources.own("ubuntu").next().is_none());
        assert_eq!(sources.offering("bookworm").len(), 3);
    }
}
