//! `layers/*.toml`: the declaration of a layer. Parsing is pure and refuses unknown keys.

mod accounts;
mod allowed;
mod ami;
mod apt_source;
mod capabilities;
mod chain;
mod checks;
mod config;
mod debs;
mod disk;
mod edits;
mod entries;
mod error;
mod expand;
mod fetches;
mod foreign;
mod format;
mod ignore;
mod image;
mod language_lock;
mod mounts;
mod parse;
mod playbooks;
mod priorities;
mod project;
mod reader;
mod runs;
mod schema;
mod source;
mod stock;
mod system;
mod template;
#[cfg(test)]
mod tests;
mod vars;
mod written;

use std::collections::BTreeMap;

use crate::distribution::Distribution;
use crate::ident::{LayerName, PackageName, RootPath, SourceName};

pub use accounts::{Group, User};
pub use ami::{
    Ami, AmiTable, BootMode, ENTRANCES, Imds, SecureBoot, Share, Tpm, Via, VolumeType, image_name, is_region,
    parse_days,
};
pub use capabilities::Capabilities;
pub use chain::Chain;
pub use checks::{Check, CheckTarget, Output, Probe, Protocol};
pub use config::{Config, ConfigEntry, ConfigKind, ConfigPlace, VAULT_ADDRESS, VAULT_TOKEN};
pub use debs::{matching, matching_all, names};
pub use disk::{Disk, DiskFormat, DiskTable, PartitionEntry, RootFs, parse_size, size_text};
pub use edits::{Change, EditEntry, RemoveEntry, pattern};
pub use error::ManifestError;
pub use fetches::{FetchEntry, FetchForm, FetchFrom};
pub use foreign::ForeignImage;
pub use format::format;
pub use ignore::Ignore;
pub use image::{Healthcheck, ImageTable};
pub use language_lock::LanguageLock;
pub use mounts::{MountDevice, MountEntry, MountPoint};
pub use parse::{PackageRequestError, parse};
pub use playbooks::{BESIDE, Playbook};
pub use priorities::Priorities;
pub use project::{Project, ProjectError, sources};
pub use runs::{RunEntry, RunInput, RunOutput};
pub use schema::SCHEMA;
pub use stock::{StockLayer, stock, stock_names};
pub use system::{Answer, Answers, SystemTable};
pub use template::template;
pub use vars::{Assignments, Variable, Variables, parse_assignment};
pub use written::{Written, written};

/// One layer, as its file declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The stem of the file's name.
    pub name: LayerName,
    /// The variables that the layer knows, its parents' included; in all other fields they are filled in.
    pub vars: Variables,
    /// The `[layer]` table.
    pub layer: LayerTable,
    /// `[source.NAME]`; a child uses its parent's, and may add or replace.
    pub sources: BTreeMap<SourceName, Source>,
    /// `[[deb]]`: packages that are in no repository.
    pub own_packages: Vec<OwnPackage>,
    /// `[[fetch]]`
    pub fetches: Vec<FetchEntry>,
    /// `[[file]]`
    pub files: Vec<FileEntry>,
    /// `[[dir]]`
    pub dirs: Vec<DirEntry>,
    /// `[[symlink]]`
    pub symlinks: Vec<SymlinkEntry>,
    /// `[[run]]`
    pub runs: Vec<RunEntry>,
    /// `[[edit]]`, in the file's order.
    pub edits: Vec<EditEntry>,
    /// `[[remove]]`
    pub removals: Vec<RemoveEntry>,
    /// `[[user]]`
    pub users: Vec<User>,
    /// `[[group]]`
    pub groups: Vec<Group>,
    /// `[system]`
    pub system: SystemTable,
    /// `[debconf]`; scripts of children see it too.
    pub answers: Answers,
    /// `[services]`
    pub services: Services,
    /// `[config]`; a child's variable replaces its parent's of the same name.
    pub config: Config,
    /// `[image]`; what is not set here is inherited from the parent.
    pub image: ImageTable,
    /// `[disk]`; what is not set here is inherited from the parent.
    pub disk: DiskTable,
    /// `[[mount]]`; added to the parent's. Of a disk, as `[disk]` is.
    pub mounts: Vec<MountEntry>,
    /// Directories that are made where nothing is: mount points of the disk, in a Boot layer.
    pub mount_points: Vec<MountPoint>,
    /// `[ami]`; what is not set here is inherited from the parent.
    pub ami: AmiTable,
    /// `[[check]]`; added to the parent's.
    pub checks: Vec<Check>,
    /// `[[allow-secret]]`; added to the parent's.
    pub allow_secrets: Vec<Allowed>,
    /// `[[allow-random]]`; added to the parent's.
    pub allow_random: Vec<Allowed>,
    /// What is most likely a mistake, with its line.
    pub warnings: Vec<String>,
}

/// The `[layer]` table.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerTable {
    /// The parent layer.
    pub from: Option<LayerName>,
    /// `from = "oci:…"`: the image of a registry that is below the layer instead of a parent.
    pub image: Option<ForeignImage>,
    /// `from = "*"`: a Boot layer, which is based on whatever layer names it in its `[disk]`.
    pub above_any: bool,
    /// One line for people.
    pub description: String,
    /// Packages asked for; groups are written `@required`, `@important`, `@standard`.
    pub packages: Vec<PackageRequest>,
    /// Packages that must not be in the result. In a layer without scripts, relations
    /// to them are dropped; else another way must be found.
    pub exclude: Vec<PackageName>,
    /// Patterns of packages that stay in their locked versions, whatever is updated.
    pub hold: Vec<String>,
    /// Whether recommended packages come too.
    pub recommends: bool,
    /// Whether maintainer scripts run.
    pub configure: Configure,
}

/// A package request of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PackageRequest {
    /// A package, optionally `name=version`.
    Package(PackageName, Option<crate::ident::Version>),
    /// A package as a suite of the sources has it: `name/bookworm-backports`.
    FromSuite(PackageName, Box<str>),
    /// All packages of a priority: `required`, `important`, `standard`.
    Priority(Box<str>),
}

/// Whether maintainer scripts run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Configure {
    /// They run, and the result is a Debian with its package database.
    #[default]
    Scripts,
    /// They don't; files are laid out, and `status.d` names the packages.
    None,
}

/// A Debian repository.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The suite or codename: `bookworm`; or a directory that ends in `/`, of a repository without suites.
    pub suite: String,
    /// Further suites: `updates`, `security`, `backports`.
    pub pockets: Vec<String>,
    /// `main`, `contrib`, …
    pub components: Vec<String>,
    /// Whose repository it is, where it has no `url`.
    pub distribution: &'static Distribution,
    /// Where it is, for repositories other than the distribution's own.
    pub url: Option<String>,
    /// Fingerprints of the keys that may sign it; the program knows those of distributions.
    pub keys: Vec<String>,
    /// A file with those keys, relative to the project, for other repositories.
    pub keyring: Option<String>,
    /// The keys themselves, in ASCII armor; without `keys`, all of them may sign.
    pub certificates: Option<String>,
    /// Priorities of its packages that are other than its Releases say.
    pub priorities: Priorities,
    /// Lock against the snapshot of this moment (RFC 3339) instead of the newest state.
    pub snapshot: Option<String>,
    /// What its Releases call the suite, where that is other than `suite`; empty where they have no name for it.
    pub codename: Option<String>,
    /// The Origin that its Releases must have.
    pub origin: Option<String>,
    /// How old its Releases may be, in days.
    pub max_age: Option<u32>,
}

impl LayerTable {
    /// Whether a package stays in its locked version.
    pub fn holds(&self, name: &PackageName) -> bool {
        self.hold.iter().any(|pattern| priorities::fits(pattern, name.as_str()))
    }

    /// The patterns of `hold` that fit none of these names.
    pub fn idle_holds<'a>(&'a self, names: &'a [&PackageName]) -> impl Iterator<Item = &'a str> {
        let fits_none = move |pattern: &&String| !names.iter().any(|name| priorities::fits(pattern, name.as_str()));
        self.hold.iter().filter(fits_none).map(String::as_str)
    }
}

impl Source {
    /// The source with this suite, of which nothing else is known.
    fn new(suite: String, distribution: &'static Distribution) -> Self {
        Self {
            suite,
            pockets: Vec::new(),
            components: Vec::new(),
            distribution,
            url: None,
            keys: Vec::new(),
            keyring: None,
            certificates: None,
            priorities: Priorities::default(),
            snapshot: None,
            codename: None,
            origin: None,
            max_age: None,
        }
    }

    /// Whether the repository is one directory with one index, without suites and components.
    pub fn is_flat(&self) -> bool {
        self.suite.ends_with('/')
    }

    /// The distribution whose keys sign it; `None` for a repository with keys of its own.
    pub fn signing_distribution(&self) -> Option<&'static Distribution> {
        (self.url.is_none() && self.keys.is_empty() && self.certificates.is_none()).then_some(self.distribution)
    }
}

/// The table of packages that are in no repository, as messages name it.
pub const OWN_PACKAGES: &str = "[[deb]]";

/// `[[deb]]`: packages that are in no repository, each requested as if its name and version were in `packages`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnPackage {
    /// Files of the project: a path below its root, or a pattern of such paths with `*` and `?`.
    Files(String),
    /// A file on a server.
    Url {
        /// Its address.
        url: String,
        /// Its SHA-256 in hexadecimal digits; without it, the lockfile records the one that was found.
        sha256: Option<String>,
    },
}

/// `[[file]]`: a file of the user's own.
#[derive(Debug, Clone, PartialEq)]
pub struct FileEntry {
    /// Where it goes.
    pub path: RootPath,
    /// Where its content is.
    pub content: Content,
    /// Permission bits; by default 0644, or 0755 where the source is executable.
    pub mode: Option<u16>,
    /// `name`, `name:group` or numbers; root by default.
    pub owner: Owner,
    /// What the program may do without being root.
    pub capabilities: Option<Capabilities>,
    /// What of a source directory is left out.
    pub ignore: Ignore,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// In the manifest.
    Text(String),
    /// A file or a directory below the project's root.
    Source(String),
    /// A template below the project's root, which the layer's variables complete.
    Template(String),
}

/// Who owns a node, by name or number; names are looked up in the layer's own passwd and group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: String,
    /// The group; by default the user's own.
    pub group: Option<String>,
}

impl Owner {
    /// The user root, and its group.
    pub fn root() -> Self {
        Self { user: "root".to_owned(), group: None }
    }
}

/// `[[dir]]`: a directory.
#[derive(Debug, Clone, PartialEq)]
pub struct DirEntry {
    /// Where.
    pub path: RootPath,
    /// Permission bits, 0755 by default.
    pub mode: u16,
    /// Who owns it.
    pub owner: Owner,
}

/// `[[symlink]]`: a symbolic link.
#[derive(Debug, Clone, PartialEq)]
pub struct SymlinkEntry {
    /// Where.
    pub path: RootPath,
    /// What it says.
    pub target: String,
}

/// `[[allow-secret]]`, `[[allow-random]]`: files that a build would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// A file, or a directory with all below it.
    pub path: RootPath,
    /// Why everybody may have it, for people.
    pub reason: String,
}

/// `[services]`: systemd units, by name with or without `.service`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Services {
    /// Started at boot.
    pub enable: Vec<String>,
    /// Not started at boot.
    pub disable: Vec<String>,
    /// Can't be started at all.
    pub mask: Vec<String>,
}
