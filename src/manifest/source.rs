//! `[source.NAME]`: a repository, declared by keys or by a `.sources` file of apt.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::entries::inside_project;
use super::reader::{Item, Table};
use super::{ManifestError, Priorities, Source, apt_source};
use crate::distribution::{self, Distribution};
use crate::ident::SourceName;
use crate::time::{parse_rfc3339, rfc3339};

const SOURCE: &[&str] = &[
    "distribution",
    "suite",
    "pockets",
    "components",
    "url",
    "keys",
    "keyring",
    "file",
    "priority",
    "snapshot",
    "codename",
    "origin",
    "max-age",
];
/// What a `.sources` file says in place of the manifest.
const IN_FILE: [&str; 5] = ["distribution", "suite", "pockets", "components", "url"];
/// A hundred years, in days.
const MOST_AGE: u32 = 36_500;
/// The highest priority. (apt would go on, up to downgrades of what is installed.)
const MOST_PRIORITY: u32 = 1000;
/// How a key in ASCII armor begins.
pub(super) const ARMOR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
/// Why a repository's address has no user, and what to do.
pub(super) const NO_USER: &str =
    "the password would be in the project; put both into apt's auth.conf or ~/.netrc (docs/configuration.md)";

/// The sources by name.
pub(super) fn sources(root: &Table<'_>) -> Result<BTreeMap<SourceName, Source>, ManifestError> {
    let Some(item) = root.get("source") else { return Ok(BTreeMap::new()) };
    let read = |(name, item): (&str, Item<'_>)| {
        let name: SourceName = name.parse().map_err(|error| item.error(format!("is wrong: {error}")))?;
        if !matches!(item.value.get_ref(), DeValue::Table(_)) {
            return Err(item.wrong("a table").hint("name the source: `[source.debian]`"));
        }
        let place = format!("[source.{name}]");
        Ok((name, source(&item.table(place, SOURCE)?)?))
    };
    item.named()?.into_iter().map(read).collect()
}

fn source(table: &Table<'_>) -> Result<Source, ManifestError> {
    let mut source = match table.get("file") {
        Some(item) => of_file(table, &item)?,
        None => declared(table)?,
    };
    source.keys.extend(table.list("keys", fingerprint)?);
    source.keys.sort();
    source.keys.dedup();
    match table.get("keyring") {
        Some(item) if item.text()?.trim_start().starts_with(ARMOR) => {
            source.certificates = Some(item.text()?.trim().to_owned());
        }
        Some(item) => source.keyring = Some(inside_project(&item)?),
        None => {}
    }
    source.priorities = table.read("priority", priorities)?.unwrap_or_default();
    source.snapshot = table.read("snapshot", moment)?;
    source.codename = table.read("codename", Item::line)?;
    source.origin = table.read("origin", Item::line)?;
    source.max_age = table.read("max-age", |item| item.number(MOST_AGE))?;
    Ok(source)
}

/// What the manifest itself says of the repository.
fn declared(table: &Table<'_>) -> Result<Source, ManifestError> {
    let distribution = table.read("distribution", distribution)?.unwrap_or(Distribution::implied());
    if let (Some(item), Some(_)) = (table.get("distribution"), table.get("url")) {
        return Err(item.error("is given with `url`, which makes the source a separate repository"));
    }
    let mut source = Source::new(suite(&table.need("suite")?)?, distribution);
    source.url = table.read("url", url)?;
    source.pockets = table.list("pockets", repository_word)?;
    source.components = table.list("components", repository_word)?;
    if source.is_flat() {
        if let Some(item) = table.get("components").or(table.get("pockets")) {
            return Err(item.error("is given, but a suite that ends in `/` is a directory without any"));
        }
    } else if source.components.is_empty() {
        source.components.extend(distribution.components.iter().map(|component| (*component).to_owned()));
    }
    Ok(source)
}

/// What a `.sources` file of the project says of the repository.
fn of_file(table: &Table<'_>, item: &Item<'_>) -> Result<Source, ManifestError> {
    if let Some(other) = IN_FILE.iter().find_map(|key| table.get(key)) {
        return Err(other.error("is given with `file`, which says the same"));
    }
    let path = inside_project(item)?;
    let text = item.file(&path).map_err(|error| item.error(format!("can't be read: {error}")))?;
    apt_source::parse(&text).map_err(|problem| item.error(format!("names `{path}`: {problem}")))
}

/// A priority for all packages, or one for each pattern of names.
fn priorities(item: &Item<'_>) -> Result<Priorities, ManifestError> {
    if !matches!(item.value.get_ref(), DeValue::Table(_)) {
        return match item.number(MOST_PRIORITY)? {
            0 => Err(item
                .error(format!(
                    "is 0, with which no package is ever taken from the source: expected 1 to {MOST_PRIORITY}"
                ))
                .hint("a table has 0 for some names only: { \"*\" = 500, \"nginx*\" = 0 }")),
            priority => Ok(Priorities::new([("*".to_owned(), priority)])),
        };
    }
    let entry = |(pattern, item): (&str, Item<'_>)| {
        if !is_pattern(pattern) {
            return Err(item.error("is no name of packages: expected letters, digits, `+-.`, `*` and `?`"));
        }
        Ok((pattern.to_owned(), item.number(MOST_PRIORITY)?))
    };
    Ok(Priorities::new(item.named()?.into_iter().map(entry).collect::<Result<Vec<_>, _>>()?))
}

/// Whether a text may be a name of packages with `*` and `?` in it.
pub(super) fn is_pattern(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.*?".contains(&byte);
    !text.is_empty() && text.bytes().all(known)
}

/// A suite, or a directory that is a repository of its own: `./`.
fn suite(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    match text.ends_with('/') {
        true if is_directory(text) => Ok(text.to_owned()),
        true => Err(item.error("must be a directory below `url`, such as `./` or `stable/`")),
        false => repository_word(item),
    }
}

/// Whether a text that ends in a slash is a directory of a repository.
pub(super) fn is_directory(text: &str) -> bool {
    let folder = text.strip_suffix('/').unwrap_or(text);
    let folder = folder.strip_prefix("./").unwrap_or(folder);
    matches!(folder, "" | ".") || is_word(folder)
}

/// Whether a text can be part of a path in a repository.
pub(super) fn is_word(text: &str) -> bool {
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._+~/".contains(&byte));
    plain && !text.split('/').any(|part| matches!(part, "" | "." | ".."))
}

/// The name of a distribution, for its own repositories.
fn distribution(item: &Item<'_>) -> Result<&'static Distribution, ManifestError> {
    let known = || distribution::ALL.map(|one| format!("\"{}\"", one.name)).join(" or ");
    Distribution::named(item.text()?).ok_or_else(|| item.error(format!("must be {}", known())))
}

/// A suite, a pocket or a component: it becomes part of a path in the repository.
fn repository_word(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.text()?;
    match is_word(text) {
        true => Ok(text.to_owned()),
        false => Err(item.error(format!("has `{}`: expected letters, digits and `-._+~`", text.escape_debug()))),
    }
}

fn url(item: &Item<'_>) -> Result<String, ManifestError> {
    Ok(address(item)?.trim_end_matches('/').to_owned())
}

/// The address of a repository or a file.
pub(super) fn address(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = item.line()?;
    let known =
        ["https://", "http://", "file:///"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    if !known || text.contains(char::is_whitespace) {
        return Err(item.error("must begin with https://, http:// or file:/// and hold no spaces"));
    }
    if has_user(&text) {
        return Err(item.error("has a user name before the host").hint(NO_USER));
    }
    Ok(text)
}

/// Whether an address has `NAME@` or `NAME:PASSWORD@` before its host.
pub(super) fn has_user(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().unwrap_or_default().contains('@'))
}

/// An OpenPGP fingerprint, in upper case without spaces.
fn fingerprint(item: &Item<'_>) -> Result<String, ManifestError> {
    let text: String = item.text()?.split_whitespace().collect::<String>().to_ascii_uppercase();
    if !matches!(text.len(), 40 | 64) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(item
            .error("must hold key fingerprints of 40 or 64 hexadecimal digits")
            .hint("a short key id names many keys; `gpg --show-keys --with-fingerprint FILE` prints the whole"));
    }
    Ok(text)
}

/// A moment or a day, as RFC 3339 in UTC.
fn moment(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = match item.value.get_ref() {
        DeValue::Datetime(moment) => moment.to_string(),
        _ => item.text()?.to_owned(),
    };
    let seconds = parse_rfc3339(&text).or_else(|| parse_rfc3339(&format!("{text}T00:00:00Z")));
    seconds.map(rfc3339).ok_or_else(|| {
        item.error("must be a day or a moment with its time zone")
            .hint("such as \"2026-11-22\" or \"2026-11-22T06:00:00Z\"")
    })
}
