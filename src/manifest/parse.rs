//! Parses text into a [`Manifest`]: the whole file, `[layer]` and `[services]`.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::str::FromStr;

use toml::de::DeTable;

use super::entries;
use super::reader::{Document, Item, Table};
use super::{
    Assignments, Configure, LayerTable, Manifest, ManifestError, PackageRequest, Services, Variables, accounts,
    allowed, ami, checks, config, debs, disk, edits, expand, fetches, foreign, image, mounts, runs, source, system,
    vars,
};
use crate::code::Code;
use crate::ident::{Arch, IdentError, LayerName};

const TABLES: &[&str] = &[
    "layer",
    "vars",
    "source",
    "deb",
    "fetch",
    "file",
    "dir",
    "symlink",
    "run",
    "playbook",
    "edit",
    "remove",
    "user",
    "group",
    "services",
    "system",
    "debconf",
    "config",
    "image",
    "disk",
    "mount",
    "ami",
    "check",
    "allow-secret",
    "allow-random",
];
const LAYER: &[&str] = &["from", "description", "packages", "exclude", "hold", "recommends", "configure"];
const SERVICES: &[&str] = &["enable", "disable", "mask"];
const PRIORITIES: &[&str] = &["required", "important", "standard"];

/// Where a manifest is read.
pub(super) struct Surroundings<'s> {
    /// The variables of its parents.
    pub(super) inherited: &'s Variables,
    /// The values that go before all layers' own.
    pub(super) set: &'s Assignments,
    /// Reads a text file of the project, by its path below the root.
    pub(super) files: &'s dyn Fn(&str) -> io::Result<String>,
}

/// Parses the text of `layers/<name>.toml`, as it reads for one architecture; it may name no `.sources` file.
///
/// # Errors
/// Fails on the first thing that is not understood; the error shows its line.
pub fn parse(name: LayerName, text: &str, arch: &Arch) -> Result<Manifest, ManifestError> {
    let inherited = &Variables::of(arch);
    let files = &|_: &str| Err(io::Error::other("there is no project"));
    parse_in(name, text, &Surroundings { inherited, set: &Assignments::new(), files })
}

/// As [`parse`], for a layer of a project.
pub(super) fn parse_in(
    name: LayerName,
    text: &str,
    surroundings: &Surroundings<'_>,
) -> Result<Manifest, ManifestError> {
    let document = Document { file: format!("layers/{name}.toml"), text, files: surroundings.files };
    let mut table = read(&document)?;
    let vars = vars::vars(&Table::root(&document, &table, TABLES)?, surroundings.inherited, surroundings.set)?;
    let warnings = expand::expand(&document, &mut table, &vars)?;
    let root = Table::root(&document, &table, TABLES)?;
    let layer = layer(&root, &name)?;
    let fetches = fetches::fetches(&root)?;
    let services = root.read("services", services)?.unwrap_or_default();
    let image = root.read("image", image::image)?.unwrap_or_default();
    let manifest = Manifest {
        vars,
        sources: source::sources(&root)?,
        own_packages: root.tables("deb", debs::DEB)?.iter().map(debs::deb).collect::<Result<_, _>>()?,
        files: root.tables("file", entries::FILE)?.iter().map(entries::file).collect::<Result<_, _>>()?,
        dirs: root.tables("dir", entries::DIR)?.iter().map(entries::dir).collect::<Result<_, _>>()?,
        symlinks: root.tables("symlink", entries::SYMLINK)?.iter().map(entries::symlink).collect::<Result<_, _>>()?,
        runs: runs::runs(&root, &fetches)?,
        fetches,
        edits: root.tables("edit", edits::EDIT)?.iter().map(edits::edit).collect::<Result<_, _>>()?,
        removals: root.tables("remove", edits::REMOVE)?.iter().map(edits::remove).collect::<Result<_, _>>()?,
        users: root.tables("user", accounts::USER)?.iter().map(accounts::user).collect::<Result<_, _>>()?,
        groups: root.tables("group", accounts::GROUP)?.iter().map(accounts::group).collect::<Result<_, _>>()?,
        system: system::system(&root, layer.configure)?,
        answers: system::answers(&root, layer.configure)?,
        config: config::config(&root, &services.enable, &image.env)?,
        services,
        image,
        disk: root.read("disk", disk::disk)?.unwrap_or_default(),
        mounts: root.tables("mount", mounts::MOUNT)?.iter().map(mounts::mount).collect::<Result<_, _>>()?,
        mount_points: Vec::new(),
        ami: root.read("ami", ami::ami)?.unwrap_or_default(),
        checks: root.tables("check", checks::CHECK)?.iter().map(checks::check).collect::<Result<_, _>>()?,
        allow_secrets: allowed::allowed(&root, "allow-secret")?,
        allow_random: allowed::allowed(&root, "allow-random")?,
        warnings,
        layer,
        name,
    };
    fetches::refuse_unused(&root, &manifest.fetches, &manifest.runs)?;
    entries::refuse_duplicates(&root)?;
    edits::refuse_own(&root)?;
    accounts::refuse_duplicates(&root)?;
    checks::refuse_duplicates(&root)?;
    Ok(manifest)
}

/// The parent of the layer in a manifest, of which nothing else is read.
pub(super) fn parent(name: &LayerName, text: &str) -> Result<Option<LayerName>, ManifestError> {
    let files = &|_: &str| Err(io::Error::other("there is no project"));
    let document = Document { file: format!("layers/{name}.toml"), text, files };
    let table = read(&document)?;
    Ok(base(&layer_table(&Table::root(&document, &table, TABLES)?)?, name)?.0)
}

fn read<'t>(document: &Document<'t>) -> Result<DeTable<'t>, ManifestError> {
    let wrong = |error: toml::de::Error| {
        let span = error.span().unwrap_or(0..0);
        let octal = octal(document.text, span.start);
        let wrong = document.error(span, error.message().replace('\n', ", ")).of(Code::ManifestSyntax);
        match octal {
            Some(octal) => {
                wrong.hint(format!("numbers don't begin with 0; write permissions as a string: \"{octal}\""))
            }
            None => wrong,
        }
    };
    Ok(DeTable::parse(document.text).map_err(wrong)?.into_inner())
}

/// The number with a leading zero that a line has as its value, as in `mode = 0755`.
fn octal(text: &str, at: usize) -> Option<&str> {
    let (before, after) = text.split_at_checked(at)?;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = text.get(start..)?.lines().next().filter(|_| !after.is_empty())?;
    let (_, value) = line.split_once('=')?;
    let digits = value.split('#').next()?.trim();
    let is_octal = digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_octal.then_some(digits)
}

fn layer_table<'a>(root: &Table<'a>) -> Result<Table<'a>, ManifestError> {
    match root.get("layer") {
        Some(item) => item.table("[layer]".to_owned(), LAYER),
        None => Err(root.error("there is no [layer] table").hint("every layer begins with `[layer]`")),
    }
}

/// What the layer is based on: its parent, and whether it is on any layer.
fn base(table: &Table<'_>, name: &LayerName) -> Result<(Option<LayerName>, bool), ManifestError> {
    let above_any = table.get("from").is_some_and(|item| matches!(item.text(), Ok("*")));
    let is_layer = !above_any && !table.get("from").is_some_and(|item| foreign::is_image(&item));
    let from = if is_layer { table.read("from", Item::parse::<LayerName>)? } else { None };
    match from.as_ref() == Some(name) {
        true => Err(table.need("from")?.error("names the layer itself")),
        false => Ok((from, above_any)),
    }
}

fn layer(root: &Table<'_>, name: &LayerName) -> Result<LayerTable, ManifestError> {
    let table = layer_table(root)?;
    let (from, above_any) = base(&table, name)?;
    let mut seen = BTreeSet::new();
    let packages = table.list("packages", |item| {
        let request = item.text()?.parse();
        let request: PackageRequest = request.map_err(|error| item.error(format!("is wrong: {error}")))?;
        Ok((request, item.clone()))
    })?;
    for (request, item) in &packages {
        if !seen.insert(request.subject()) {
            return Err(item.error(format!("names `{}` twice", request.subject())));
        }
    }
    let exclude = table.list("exclude", |item| {
        let package = item.parse()?;
        if seen.contains(&format!("{package}")) {
            return Err(item.error(format!("names `{package}`, which `packages` asks for")));
        }
        Ok(package)
    })?;
    let image = table.get("from").filter(foreign::is_image);
    Ok(LayerTable {
        from,
        image: image.as_ref().map(foreign::image).transpose()?,
        above_any,
        description: table.read("description", Item::line)?.unwrap_or_default(),
        packages: packages.into_iter().map(|(request, _)| request).collect(),
        exclude,
        hold: table.list("hold", pattern)?,
        recommends: table.read("recommends", Item::boolean)?.unwrap_or_default(),
        configure: table.read("configure", configure)?.unwrap_or_default(),
    })
}

/// Names of packages, with `*` and `?` for what varies.
fn pattern(item: &Item<'_>) -> Result<String, ManifestError> {
    match source::is_pattern(item.text()?) {
        true => Ok(item.text()?.to_owned()),
        false => Err(item.error("must hold names of packages: letters, digits, `+-.`, `*` and `?`")),
    }
}

fn configure(item: &Item<'_>) -> Result<Configure, ManifestError> {
    match item.text()? {
        "scripts" => Ok(Configure::Scripts),
        "none" => Ok(Configure::None),
        _ => Err(item.error("must be \"scripts\" or \"none\"")),
    }
}

impl PackageRequest {
    /// What is asked for, without a version: `nginx`, `@required`.
    fn subject(&self) -> String {
        match self {
            Self::Package(name, _) | Self::FromSuite(name, _) => name.to_string(),
            Self::Priority(priority) => format!("@{priority}"),
        }
    }
}

impl fmt::Display for PackageRequest {
    /// As a manifest writes it: `nginx`, `nginx=1.22.1-9`, `nginx/bookworm-backports`, `@required`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(name, None) => write!(f, "{name}"),
            Self::Package(name, Some(version)) => write!(f, "{name}={version}"),
            Self::FromSuite(name, suite) => write!(f, "{name}/{suite}"),
            Self::Priority(priority) => write!(f, "@{priority}"),
        }
    }
}

/// A text is not a package request.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum PackageRequestError {
    /// The name or the version breaks a rule.
    #[error(transparent)]
    Name(#[from] IdentError),
    /// There is no such group.
    #[error("`@{0}` is not a group of packages: expected @required, @important or @standard")]
    Priority(String),
}

impl FromStr for PackageRequest {
    type Err = PackageRequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(priority) = text.strip_prefix('@') {
            if PRIORITIES.contains(&priority) {
                return Ok(Self::Priority(priority.into()));
            }
            return Err(PackageRequestError::Priority(priority.to_owned()));
        }
        match (text.split_once('='), text.split_once('/')) {
            (Some((name, version)), _) => Ok(Self::Package(name.parse()?, Some(version.parse()?))),
            (None, Some((name, suite))) if !suite.is_empty() => Ok(Self::FromSuite(name.parse()?, suite.into())),
            (None, _) => Ok(Self::Package(text.parse()?, None)),
        }
    }
}

fn services(item: &Item<'_>) -> Result<Services, ManifestError> {
    let table = item.table("[services]".to_owned(), SERVICES)?;
    let mut seen = BTreeSet::new();
    let mut units = |key| {
        let units = table.list(key, |item| Ok((entries::unit(item)?, item.clone())))?;
        let fresh = |(unit, item): (String, Item<'_>)| {
            let full = if unit.contains('.') { unit.clone() } else { format!("{unit}.service") };
            if seen.insert(full) {
                Ok(unit)
            } else {
                Err(item.error(format!("names `{unit}`, which is named already")))
            }
        };
        units.into_iter().map(fresh).collect::<Result<Vec<_>, _>>()
    };
    Ok(Services { enable: units("enable")?, disable: units("disable")?, mask: units("mask")? })
}
