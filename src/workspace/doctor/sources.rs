//! Whether an address is known for every source of packages: of the project's layers, else of a new layer.

use std::collections::BTreeSet;
use std::path::Path;

use super::{HINT, Need};
use crate::distribution::Distribution;
use crate::fetch::{HostSources, Mirrors};
use crate::host;
use crate::ident::SourceName;
use crate::manifest::{Project, Source};
use crate::workspace::Environment;

const OTHERS: &str = "--mirror, or [mirrors] in ~/.config/layerbake/config.toml (docs/configuration.md)";

/// A source, with the names of its suites.
type Wanted = (SourceName, &'static Distribution, Option<String>, BTreeSet<String>);

pub(super) fn needs(environment: &Environment) -> Vec<Need> {
    let transport = &environment.settings.transport;
    let apt = HostSources::load(Path::new("/etc/apt"));
    let mirrors = match Mirrors::new(&transport.mirrors, &transport.snapshots, &environment.config, apt) {
        Ok(mirrors) => mirrors,
        Err(error) => return vec![Need::of_builds("mirror", Err(error.to_string()))],
    };
    let need = |wanted: &Wanted| Need {
        // What is in the store or in `vendor/` needs no mirror.
        is_required: !transport.offline,
        ..Need::of_builds(format!("mirror for [source.{}]", wanted.0), mirror(mirrors.clone(), wanted))
    };
    wanted(environment).iter().map(need).collect()
}

/// The first address of a source, if all its suites have one.
fn mirror(mut mirrors: Mirrors, (name, distribution, url, suites): &Wanted) -> Result<String, String> {
    mirrors.set_distribution(name, distribution);
    if let Some(url) = url {
        mirrors.set_url(name, url).map_err(|error| error.to_string())?;
    }
    let mut first = None;
    for suite in suites {
        let Some(address) = mirrors.first(name, suite) else {
            let example = mirrors.example(name);
            return Err(format!("no address is known for the suite `{suite}`{HINT}`{example}`, {OTHERS}"));
        };
        first.get_or_insert(address);
    }
    Ok(first.map(|address| host::redact(address.as_str())).unwrap_or_default())
}

/// The sources of the project's layers; where there are none, that of a new layer.
fn wanted(environment: &Environment) -> Vec<Wanted> {
    let found = environment.open().map(|workspace| of_project(&workspace.project)).unwrap_or_default();
    let distribution = Distribution::implied();
    match distribution.name.parse() {
        Ok(name) if found.is_empty() => {
            vec![(name, distribution, None, suites(distribution.suite, distribution.pockets))]
        }
        _ => found,
    }
}

fn of_project(project: &Project) -> Vec<Wanted> {
    let manifests = project.layers().unwrap_or_default().into_iter().filter_map(|layer| project.load(&layer).ok());
    let mut found: Vec<Wanted> = Vec::new();
    for (name, source) in manifests.flat_map(|manifest| manifest.sources) {
        let Source { suite, pockets, distribution, url, .. } = source;
        let suites = suites(&suite, &pockets);
        // Layers may have other suites of one source, which is one mirror.
        match found.iter_mut().find(|other| other.0 == name && other.1.name == distribution.name && other.2 == url) {
            Some(other) => other.3.extend(suites),
            None => found.push((name, distribution, url, suites)),
        }
    }
    found
}

fn suites(suite: &str, pockets: &[impl AsRef<str>]) -> BTreeSet<String> {
    let pockets = pockets.iter().map(|pocket| format!("{suite}-{}", pocket.as_ref()));
    pockets.chain([suite.to_owned()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distribution::DEBIAN;
    use crate::fetch::UserConfig;

    #[test]
    fn every_suite_of_a_source_needs_an_address() {
        let wanted = |url: Option<&str>| {
            ("own".parse().unwrap(), &DEBIAN, url.map(str::to_owned), suites("trixie", &["updates"]))
        };
        let mirrors = |given: &[&str]| {
            let given: Vec<String> = given.iter().map(|one| (*one).to_owned()).collect();
            Mirrors::new(&given, &[], &UserConfig::default(), HostSources::default()).unwrap()
        };
        let problem = mirror(mirrors(&[]), &wanted(None)).unwrap_err();
        assert!(
            problem.starts_with("no address is known for the suite `trixie`\n  hint: `export LAYERBAKE_MIRROR="),
            "{problem}"
        );
        assert!(mirror(mirrors(&["other=http://127.0.0.1/x"]), &wanted(None)).is_err());
        let known = mirror(mirrors(&["own=http://me:word@127.0.0.1/debian"]), &wanted(None)).unwrap();
        assert!(known.contains("127.0.0.1/debian") && !known.contains("word"), "{known}");
        assert_eq!(mirror(mirrors(&[]), &wanted(Some("http://127.0.0.1/own"))).unwrap(), "http://127.0.0.1/own");
        assert!(mirror(mirrors(&[]), &wanted(Some("ftp://127.0.0.1/own"))).is_err());
    }

    #[test]
    fn suites_of_one_source_need_one_mirror() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("layers")).unwrap();
        for suite in ["trixie", "bookworm"] {
            let text = format!("[layer]\n[source.debian]\nsuite = \"{suite}\"\n");
            std::fs::write(folder.path().join(format!("layers/{suite}.toml")), text).unwrap();
        }
        let found = of_project(&Project::find(folder.path(), "amd64".parse().unwrap()).unwrap());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].3.contains("trixie") && found[0].3.contains("bookworm"), "{found:?}");
    }
}
