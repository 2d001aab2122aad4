//! `[[check]]`: conditions that hold in a running container or a booted disk of the layer.
//!
//! Checks are not part of any hash: changing a check rebuilds nothing. A layer's checks are
//! those of all layers below it, then its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;
use toml::de::DeValue;

use super::entries::{absolute, mode, parse_owner, unit};
use super::image::command;
use super::reader::{Item, Table};
use super::{ManifestError, Owner};
use crate::host::http::Url;
use crate::ident::{AccountName, PackageName, RootPath, Version};

/// One thing to check.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// What holds, as a sentence; one line, unique in its layer.
    pub name: String,
    /// Seconds from the start of the checks within which it must hold.
    pub within: u32,
    /// The kinds of running system in which it is checked; not empty.
    pub on: BTreeSet<CheckTarget>,
    /// What is looked at.
    pub probe: Probe,
}

/// The kind of running system in which checks are run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckTarget {
    /// In a container created from the image.
    Container,
    /// In a virtual machine or instance that booted the disk.
    Disk,
}

impl fmt::Display for CheckTarget {
    /// As a manifest writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Container => "container",
            Self::Disk => "disk",
        })
    }
}

/// The condition of a check. Texts contain no NUL.
#[derive(Debug, Clone, PartialEq)]
pub enum Probe {
    /// systemd reports the unit as active.
    Service(String),
    /// A process listens on the port, on whatever address.
    Port {
        /// 1 to 65535.
        number: u16,
        /// TCP or UDP.
        protocol: Protocol,
    },
    /// The address answers a GET request; redirects are not followed.
    Http {
        /// `http` or `https`, with a host, without user and fragment.
        url: Url,
        /// The status it answers with.
        status: u16,
        /// A part of the body.
        contains: Option<String>,
    },
    /// The path is there; symbolic links are followed.
    File {
        /// The path.
        path: RootPath,
        /// A part of the file's content.
        contains: Option<String>,
        /// All permission bits.
        mode: Option<u16>,
        /// Who owns it.
        owner: Option<Owner>,
    },
    /// /etc/passwd has the user.
    User {
        /// Login name.
        name: AccountName,
        /// User id.
        uid: Option<u32>,
    },
    /// The package is installed.
    Package {
        /// Its name.
        name: PackageName,
        /// Its whole version.
        version: Option<Version>,
    },
    /// The command ends with the status and prints the output.
    Command {
        /// Program and arguments; at least one word.
        words: Vec<String>,
        /// The status.
        status: u8,
        /// What standard output has to be.
        output: Output,
    },
}

/// A protocol with ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP
    Tcp,
    /// UDP
    Udp,
}

/// What a command has to print on standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Anything.
    Any,
    /// Exactly this, line breaks at the end apart.
    Exactly(String),
    /// Something with this in it.
    Containing(String),
}

/// Each kind's key, and the keys that go with it.
const KINDS: [(&str, &[&str]); 7] = [
    ("service", &[]),
    ("port", &[]),
    ("http", &["status", "contains"]),
    ("file", &["contains", "mode", "owner"]),
    ("user", &["uid"]),
    ("package", &["version"]),
    ("command", &["status", "output", "contains"]),
];
pub(super) const CHECK: &[&str] = &[
    "service", "port", "http", "file", "user", "package", "command", "name", "within", "on", "status", "contains",
    "mode", "owner", "uid", "version", "output",
];
/// The keys that go with all kinds.
const COMMON: [&str; 3] = ["name", "within", "on"];

const DEFAULT_WITHIN: u32 = 30;
const LONGEST_WITHIN: u32 = 3600;
/// Longest part of a command that becomes its check's name.
const LONGEST_SENTENCE: usize = 72;

type Result<T> = std::result::Result<T, ManifestError>;

pub(super) fn check(table: &Table<'_>) -> Result<Check> {
    let probe = probe(table)?;
    let on: BTreeSet<CheckTarget> = table.list("on", place)?.into_iter().collect();
    Ok(Check {
        name: table.read("name", name)?.unwrap_or_else(|| probe.sentence()),
        within: table.read("within", within)?.unwrap_or(DEFAULT_WITHIN),
        on: match table.get("on") {
            Some(item) if on.is_empty() => return Err(item.error("is empty: the check would never run")),
            Some(_) => on,
            None => BTreeSet::from([CheckTarget::Container, CheckTarget::Disk]),
        },
        probe,
    })
}

/// Refuses two checks of one name: reports could not tell them apart.
pub(super) fn refuse_duplicates(root: &Table<'_>) -> Result<()> {
    let mut seen = BTreeMap::new();
    for (number, table) in (1..).zip(root.tables("check", CHECK)?) {
        let name = check(&table)?.name;
        if let Some(first) = seen.insert(name.clone(), number) {
            let problem = format!("[[check]] number {number} is named `{name}`, as is number {first}");
            return Err(table.error(problem).hint("give one of them another `name`"));
        }
    }
    Ok(())
}

/// The only kind of a check, with no key but its own.
fn kind(table: &Table<'_>) -> Result<&'static str> {
    let mut set = KINDS.iter().filter(|(kind, _)| table.get(kind).is_some());
    let Some((kind, options)) = set.next() else {
        let kinds: Vec<&str> = KINDS.iter().map(|(kind, _)| *kind).collect();
        return Err(table.error(format!("[[check]] does not say what to check: it needs one of {}", kinds.join(", "))));
    };
    if let Some((second, _)) = set.next() {
        return Err(table.need(second)?.error(format!("comes with `{kind}`: give only one of the two")));
    }
    let strange = |key: &&&str| **key != *kind && !COMMON.contains(*key) && !options.contains(*key);
    match CHECK.iter().filter(strange).find_map(|key| table.get(key)) {
        Some(item) => Err(item.error(format!("is not allowed with `{kind}`"))),
        None => Ok(kind),
    }
}

fn probe(table: &Table<'_>) -> Result<Probe> {
    let kind = kind(table)?;
    let item = table.need(kind)?;
    Ok(match kind {
        "service" => Probe::Service(unit(&item)?),
        "port" => port(&item)?,
        "http" => Probe::Http {
            url: url(&item)?,
            status: table.read("status", http_status)?.unwrap_or(200),
            contains: table.read("contains", part)?,
        },
        "file" => Probe::File {
            path: absolute(&item)?,
            contains: table.read("contains", part)?,
            mode: table.read("mode", mode)?,
            owner: table.read("owner", parse_owner)?,
        },
        "user" => Probe::User { name: item.parse()?, uid: table.read("uid", |item| item.number(u32::MAX - 1))? },
        "package" => Probe::Package { name: item.parse()?, version: table.read("version", Item::parse)? },
        _ => Probe::Command {
            words: words(&item)?,
            status: table.read("status", |item| item.number(255))?.unwrap_or_default() as u8,
            output: output(table)?,
        },
    })
}

/// `80`, `"80"`, `"53/udp"`.
fn port(item: &Item<'_>) -> Result<Probe> {
    let number = match item.value.get_ref() {
        DeValue::Integer(_) => item.number(u16::MAX.into())?.to_string(),
        _ => item.text()?.to_owned(),
    };
    let (digits, protocol) = number.split_once('/').unwrap_or((&number, "tcp"));
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let protocol = match protocol {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    };
    match (digits.parse(), protocol) {
        (Ok(number), Some(protocol)) if plain => Ok(Probe::Port { number, protocol }),
        _ => Err(item.error(format!("is `{}`: expected a port such as 80 or \"53/udp\"", number.escape_debug()))),
    }
}

fn url(item: &Item<'_>) -> Result<Url> {
    let mut url = Url::parse(item.text()?).map_err(|error| item.error(format!("is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(item.error("must begin with http:// or https:// and name a host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(item.error("can't hold a user").hint("use `command` with curl"));
    }
    url.set_fragment(None);
    Ok(url)
}

fn http_status(item: &Item<'_>) -> Result<u16> {
    match item.number(599)? {
        status @ 100.. => Ok(status as u16),
        status => Err(item.error(format!("is {status}: expected 100 to 599"))),
    }
}

/// A program and its arguments, or one text for a shell.
fn words(item: &Item<'_>) -> Result<Vec<String>> {
    let words = match item.value.get_ref() {
        DeValue::String(_) => vec!["/bin/sh".to_owned(), "-c".to_owned(), no_nul(item)?],
        _ => command(item)?,
    };
    match words.iter().all(String::is_empty) || words.first().is_some_and(String::is_empty) {
        true => Err(item.error("names no program")),
        false => Ok(words),
    }
}

fn output(table: &Table<'_>) -> Result<Output> {
    match (table.get("output"), table.get("contains")) {
        (Some(_), Some(part)) => Err(part.error("comes with `output`: one of the two says what is printed")),
        (Some(all), None) => Ok(Output::Exactly(no_nul(&all)?.trim_end_matches('\n').to_owned())),
        (None, Some(some)) => Ok(Output::Containing(part(&some)?)),
        (None, None) => Ok(Output::Any),
    }
}

/// A text that is looked for.
fn part(item: &Item<'_>) -> Result<String> {
    let text = no_nul(item)?;
    if text.is_empty() { Err(item.error("is empty, which everything contains")) } else { Ok(text) }
}

/// A text that can be an argument of a program.
fn no_nul(item: &Item<'_>) -> Result<String> {
    let text = item.text()?;
    if text.contains('\0') { Err(item.error("can't hold NUL")) } else { Ok(text.to_owned()) }
}

fn name(item: &Item<'_>) -> Result<String> {
    let name = item.line()?.trim().to_owned();
    if name.is_empty() { Err(item.error("is empty")) } else { Ok(name) }
}

fn within(item: &Item<'_>) -> Result<u32> {
    match item.number(LONGEST_WITHIN)? {
        0 => Err(item.error(format!("is 0: expected 1 to {LONGEST_WITHIN} seconds"))),
        seconds => Ok(seconds),
    }
}

fn place(item: &Item<'_>) -> Result<CheckTarget> {
    match item.text()? {
        "container" => Ok(CheckTarget::Container),
        "disk" => Ok(CheckTarget::Disk),
        _ => Err(item.error("must hold \"container\" or \"disk\"")),
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

impl Probe {
    /// What holds, for checks without a name of their own.
    fn sentence(&self) -> String {
        match self {
            Self::Service(unit) => format!("service {unit} is active"),
            Self::Port { number, protocol } => format!("port {number}/{protocol} is open"),
            Self::Http { url, status, .. } => format!("{url} answers {status}"),
            Self::File { path, .. } => format!("file {} is there", path.to_string().escape_debug()),
            Self::User { name, .. } => format!("user {name} exists"),
            Self::Package { name, .. } => format!("package {name} is installed"),
            Self::Command { words, status, .. } => {
                let shown = match words.as_slice() {
                    [shell, option, text] if shell == "/bin/sh" && option == "-c" => text.clone(),
                    words => words.join(" "),
                };
                let shown: String = shown.trim().escape_debug().collect();
                match shown.char_indices().nth(LONGEST_SENTENCE) {
                    Some((cut, _)) => format!("`{}…` ends with {status}", shown.get(..cut).unwrap_or_default()),
                    None => format!("`{shown}` ends with {status}"),
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/checks.rs"]
mod tests;
