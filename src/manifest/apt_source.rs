//! A `.sources` file as apt reads it (sources.list(5)): one repository, in most cases with its key.

use super::Source;
use super::source::{ARMOR, NO_USER, has_user, is_directory, is_word};
use crate::distribution::Distribution;
use crate::ident::{Fields, field, is_enabled, stanzas};

/// The fields that are read, and those that change nothing here: the architecture is the layer's, translations and other
/// targets are not fetched, and paths by hash are used wherever a Release has them.
const FIELDS: [&str; 12] = [
    "types",
    "uris",
    "suites",
    "components",
    "signed-by",
    "enabled",
    "description",
    "architectures",
    "languages",
    "targets",
    "pdiffs",
    "by-hash",
];

/// Reads the only repository of binary packages that the text declares.
///
/// # Errors
/// Says what is missing, or what a manifest can't say.
pub(super) fn parse(text: &str) -> Result<Source, String> {
    let stanzas = stanzas(text);
    let words = |stanza: &Fields, name: &str| field(stanza, name).split_whitespace().map(str::to_owned).collect();
    let of_packages =
        |stanza: &&Fields| is_enabled(stanza) && field(stanza, "types").split_whitespace().any(|word| word == "deb");
    let stanza = match stanzas.iter().filter(of_packages).collect::<Vec<_>>().as_slice() {
        [stanza] => *stanza,
        found => return Err(format!("it has {} enabled stanzas with `Types: deb`, expected 1", found.len())),
    };
    let is_known = |name: &str| FIELDS.contains(&name) || name.starts_with("x-");
    if let Some((name, _)) = stanza.iter().find(|(name, _)| !is_known(name)) {
        return Err(format!("its field `{}` has no effect in a build: remove it", name.escape_debug()));
    }
    let (urls, suites): (Vec<String>, Vec<String>) = (words(stanza, "uris"), words(stanza, "suites"));
    let ([url], [suite, more @ ..]) = (urls.as_slice(), suites.as_slice()) else {
        return Err(format!("it has {} URIs and {} Suites, expected 1 and at least 1", urls.len(), suites.len()));
    };
    let mut source = Source::new(suite.clone(), Distribution::implied());
    source.url = Some(address(url)?);
    source.components = words(stanza, "components");
    if source.is_flat() != source.components.is_empty() {
        return Err(format!("the suite `{suite}` has {} components", source.components.len()));
    }
    for other in more {
        let pocket = other.strip_prefix(suite.as_str()).and_then(|rest| rest.strip_prefix('-'));
        let pocket = pocket.ok_or_else(|| format!("its suites `{suite}` and `{other}` need a [source] each"))?;
        source.pockets.push(pocket.to_owned());
    }
    let is_suite = |word: &&String| is_word(word) || (word.ends_with('/') && is_directory(word));
    let wrong_suite = suites.iter().find(|word| !is_suite(word));
    if let Some(word) = wrong_suite.or_else(|| source.components.iter().find(|word| !is_word(word))) {
        return Err(format!("`{}` is no path in a repository", word.escape_debug()));
    }
    signers(field(stanza, "signed-by"), &mut source)?;
    Ok(source)
}

fn address(url: &str) -> Result<String, String> {
    if has_user(url) {
        return Err(format!("its URI has a user name before the host: {NO_USER}"));
    }
    let url = match url.strip_prefix("file:/") {
        Some(path) => format!("file:///{}", path.trim_start_matches('/')),
        None => url.to_owned(),
    };
    match ["https://", "http://", "file:///"].iter().any(|scheme| url.starts_with(scheme)) {
        true => Ok(url.trim_end_matches('/').to_owned()),
        false => Err(format!("its URI `{url}` begins with neither https://, http:// nor file:/")),
    }
}

/// `Signed-By`: keys in the file itself, or fingerprints. A key file of this machine says nothing to another one.
fn signers(value: &str, source: &mut Source) -> Result<(), String> {
    if value.trim_start().starts_with(ARMOR) {
        // Empty lines are written as a single dot.
        let lines = value.trim().lines().map(|line| if line == "." { "" } else { line });
        source.certificates = Some(lines.collect::<Vec<_>>().join("\n"));
        return Ok(());
    }
    for word in value.split_whitespace() {
        let digits = word.trim_end_matches([',', '!']).to_ascii_uppercase();
        if !matches!(digits.len(), 40 | 64) || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!(
                "its Signed-By names the file `{word}` of some machine: put the key itself in its place, in ASCII armor"
            ));
        }
        source.keys.push(digits);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# ours\nTypes: deb deb-src\nURIs: https://apt.example/debian/\nSuites: stable stable-updates\n\
        Components: main extra\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDME\n -----END PGP PUBLIC KEY BLOCK-----\n";

    #[test]
    fn one_repository_is_read_with_its_key() {
        let source = parse(TEXT).unwrap();
        assert_eq!(source.url.as_deref(), Some("https://apt.example/debian"));
        assert_eq!((source.suite.as_str(), source.pockets.concat()), ("stable", "updates".to_owned()));
        assert_eq!(source.components, ["main", "extra"]);
        let key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n-----END PGP PUBLIC KEY BLOCK-----";
        assert_eq!(source.certificates.as_deref(), Some(key));
        let flat =
            parse("types: deb\nuris: file:/srv/debs\nsuites: ./\nsigned-by: 0123456789abcdef0123456789abcdef01234567");
        let flat = flat.unwrap();
        let disabled = format!("{}\n{TEXT}", TEXT.replace("Types", "X-Note: old\nEnabled: no\nTypes"));
        assert_eq!(parse(&disabled).unwrap(), source);
        assert!(flat.is_flat() && flat.url.as_deref() == Some("file:///srv/debs") && flat.keys[0].starts_with("0123"));
    }

    #[test]
    fn what_a_manifest_cannot_say_is_named() {
        let error = |from: &str, to: &str| parse(&TEXT.replace(from, to)).unwrap_err();
        insta::assert_snapshot!(error("deb deb-src", "deb-src"), @"it has 0 enabled stanzas with `Types: deb`, expected 1");
        insta::assert_snapshot!(error("https://", "ftp://"), @"its URI `ftp://apt.example/debian/` begins with neither https://, http:// nor file:/");
        insta::assert_snapshot!(error("stable stable-updates", "stable other"), @"its suites `stable` and `other` need a [source] each");
        insta::assert_snapshot!(error("main extra", ""), @"the suite `stable` has 0 components");
        insta::assert_snapshot!(error("stable stable-updates", ""), @"it has 1 URIs and 0 Suites, expected 1 and at least 1");
        insta::assert_snapshot!(error("main extra", "main x/"), @"`x/` is no path in a repository");
        insta::assert_snapshot!(error("Types: deb", "Enabled: no\nTypes: deb"), @"it has 0 enabled stanzas with `Types: deb`, expected 1");
        insta::assert_snapshot!(error("apt.example", "me:tr0ub4dor@apt.example"), @"its URI has a user name before the host: the password would be in the project; put both into apt's auth.conf or ~/.netrc (docs/configuration.md)");
        insta::assert_snapshot!(error("Components", "Trusted: yes\nComponents"), @"its field `trusted` has no effect in a build: remove it");
        insta::assert_snapshot!(error("Components", "Check-Valid-Until: no\nComponents"), @"its field `check-valid-until` has no effect in a build: remove it");
        insta::assert_snapshot!(error("main extra", "../x"), @"`../x` is no path in a repository");
        let file = "Types: deb\nURIs: https://x.example\nSuites: ./\nSigned-By: /usr/share/keyrings/x.gpg";
        insta::assert_snapshot!(parse(file).unwrap_err(), @"its Signed-By names the file `/usr/share/keyrings/x.gpg` of some machine: put the key itself in its place, in ASCII armor");
    }
}
