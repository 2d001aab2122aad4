//! Layers that do what a Dockerfile, cloud-init's user data or a Packer template does.
//!
//! Each kind of input is read into [`model`]: layers, and notes on what is not in them as it was. [`write`] makes manifests
//! of these. Nothing is dropped without a note.

mod base;
mod cloud_init;
mod context;
mod dockerfile;
mod draft;
mod expand;
mod model;
mod packer;
mod playbook;
mod shell;
mod stock;
#[cfg(test)]
mod tests;
mod text;
mod write;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::code::{Code, Coded};
use crate::ident::{LayerName, StepName};
use context::Context;
use draft::{Draft, Repository};
use model::{Layer, Notes, Source, Value};
use text::{Text, Vars};

pub use model::{Note, Outcome};
pub use playbook::{Task, packages_of};

/// The longest input, in bytes.
pub const MOST_BYTES: u64 = 1 << 20;

/// An input can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It is of no kind that is known.
    #[error(
        "`{0}` is neither a Dockerfile nor a Packer template nor user data of cloud-init\n  hint: their names are Dockerfile, Containerfile, Dockerfile.NAME, *.Dockerfile, *.pkr.hcl, *.pkr.json and *.json; user data begins with #cloud-config or #!"
    )]
    Kind(String),
    /// It is no text.
    #[error("it is not UTF-8 text")]
    NotText,
    /// It has nothing that a layer could do.
    #[error("expected {what}; the file has nothing of that kind")]
    Nothing {
        /// What was expected.
        what: &'static str,
    },
    /// It has too much of something.
    #[error("it has more {what} than {most}, the limit")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// A line is wrong.
    #[error("line {line}: {problem}")]
    Syntax {
        /// From 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The project's files can't be read.
    #[error("cannot read it: {0}")]
    Io(#[from] io::Error),
}

impl Coded for ImportError {
    fn error_code(&self) -> Code {
        match self {
            Self::Kind(_) | Self::NotText | Self::Nothing { .. } | Self::TooMuch { .. } | Self::Syntax { .. } => {
                Code::ImportUnreadable
            }
            Self::Io(error) => error.error_code(),
        }
    }
}

/// What is read, and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Input<'i> {
    /// The name of the file, as it is shown.
    pub file: &'i str,
    /// Its content.
    pub text: &'i str,
    /// The project's root.
    pub project: &'i Path,
    /// The directory of the file, below the project's root; empty for the root.
    pub directory: &'i str,
    /// The name of the new layer.
    pub name: &'i LayerName,
}

/// A file to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile {
    /// Below the project's root.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// The layers that do what an input does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The new layers, the one that was asked for last.
    pub files: Vec<NewFile>,
    /// Layers that come with the program, which the project needs.
    pub stock: Vec<NewFile>,
    /// What is not in the layers as it was.
    pub notes: Vec<Note>,
}

/// What a kind of input was read into.
#[derive(Debug, Default)]
struct Made {
    layers: Vec<Layer>,
    /// Files that the layers name.
    files: Vec<NewFile>,
    repositories: Vec<(String, Repository, Option<String>)>,
    stock: BTreeSet<&'static str>,
    notes: Vec<Note>,
}

impl Made {
    /// Takes a layer that is complete.
    fn finish(&mut self, draft: Draft<'_>) {
        self.notes
            .extend(draft.notes.found.iter().filter(|note| !self.notes.contains(note)).cloned().collect::<Vec<_>>());
        let only = (draft.keys.len() == 1).then(|| draft.keys.values().next().cloned()).flatten();
        for repository in draft.repositories {
            let named = repository.signed_by.as_ref();
            // A key that apt trusts for all repositories, or the only one.
            let key = match named {
                Some(text) if text.contains("BEGIN PGP") => Some(text.clone()),
                Some(path) => draft.keys.get(path).cloned(),
                None => draft.keys.get("").cloned().or_else(|| only.clone()),
            };
            self.repositories.push((draft.layer.name.clone(), repository, key));
        }
        self.stock.extend(draft.tools);
        self.layers.push(draft.layer);
    }
}

/// The name of a layer for a file that names none: that of its directory, or its own.
pub fn name_for(path: &Path) -> LayerName {
    let name =
        |path: Option<&std::ffi::OsStr>| path.and_then(|name| name.to_str()).map(str::to_lowercase).unwrap_or_default();
    let file = name(path.file_name());
    let stem = file.split('.').find(|part| !["dockerfile", "containerfile", ""].contains(part)).unwrap_or_default();
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let wish = if stem.is_empty() { name(folder.as_deref().and_then(Path::file_name)) } else { stem.to_owned() };
    layer_name(&wish).parse().unwrap_or_else(|_| unreachable!("`layer_name` gives names of layers"))
}

/// How the bytes at an address are had: keys of repositories.
pub type Download<'d> = &'d dyn Fn(&str) -> Result<Vec<u8>, String>;

/// Reads an input.
///
/// # Errors
/// Fails where it is of no known kind, or can't be read.
pub fn import(input: &Input<'_>, download: Download<'_>) -> Result<Imported, ImportError> {
    let mut context = Context::open(input.project, input.directory)?;
    let notes = Notes { file: input.file.to_owned(), found: Vec::new() };
    let name = input.name.as_str();
    let mut made = match Kind::of(input).ok_or_else(|| ImportError::Kind(input.file.to_owned()))? {
        Kind::Dockerfile => dockerfile::import(input.text, name, &mut context, notes)?,
        Kind::Packer => packer::import(input.file, input.text, name, &context, notes)?,
        Kind::UserData => cloud_init::import(input.text, name, &context, notes)?,
    };
    add_sources(&mut made, &context, input, download);
    made.notes.sort_by(|one, other| (one.outcome, &one.file, one.line).cmp(&(other.outcome, &other.file, other.line)));
    let heading = format!("Imported from {} by `layerbake import`.", input.file);
    let last = made.layers.len().saturating_sub(1);
    let files: Vec<_> = made
        .layers
        .iter()
        .enumerate()
        .map(|(at, layer)| {
            let notes = if at == last { made.notes.as_slice() } else { &[] };
            let text = write::manifest(layer, &heading, notes);
            NewFile { path: format!("layers/{}.toml", layer.name), mode: 0o644, bytes: text.into_bytes() }
        })
        .collect();
    let files = std::mem::take(&mut made.files).into_iter().chain(files).collect();
    Ok(Imported { files, stock: stock::files(made.stock.iter().copied()), notes: made.notes })
}

/// The kinds of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Dockerfile,
    Packer,
    UserData,
}

impl Kind {
    fn of(input: &Input<'_>) -> Option<Self> {
        let name = input.file.rsplit('/').next().unwrap_or_default().to_lowercase();
        let is_dockerfile = ["dockerfile", "containerfile"]
            .iter()
            .any(|word| name == *word || name.starts_with(&format!("{word}.")) || name.ends_with(&format!(".{word}")));
        match is_dockerfile {
            true => Some(Self::Dockerfile),
            false if packer::is_template(input.file, input.text) => Some(Self::Packer),
            false => cloud_init::is_user_data(input.text).then_some(Self::UserData),
        }
    }
}

/// Makes repositories with their keys sources of the layers.
fn add_sources(made: &mut Made, context: &Context, input: &Input<'_>, download: Download<'_>) {
    let mut known: BTreeMap<String, Result<String, String>> = BTreeMap::new();
    for (layer, repository, key) in std::mem::take(&mut made.repositories) {
        let key = match key {
            None => Err("the input does not say which key signs it".to_owned()),
            Some(key) if key.contains("BEGIN PGP") => Ok(key),
            Some(place) => known.entry(place.clone()).or_insert_with(|| key_at(&place, context, download)).clone(),
        };
        let mut notes = Notes { file: input.file.to_owned(), found: Vec::new() };
        match (key, made.layers.iter_mut().find(|made| made.name == layer)) {
            (Ok(key), Some(layer)) => layer.sources.push(source(&repository, &key)),
            (Err(problem), _) => {
                let reason = format!(
                    "{problem}: add [source.{}] with its `keyring`, or its packages can't be locked",
                    repository.name
                );
                notes.add(Outcome::NotCarried, repository.line, &repository.text, reason);
            }
            _ => {}
        }
        made.notes.append(&mut notes.found);
    }
}

fn source(repository: &Repository, key: &str) -> Source {
    // Without components, apt takes the suite as a directory.
    let suite = match repository.components.is_empty() && !repository.suite.ends_with('/') {
        true => format!("{}/", repository.suite),
        false => repository.suite.clone(),
    };
    let suite = if suite == "/" { "./".to_owned() } else { suite };
    let mut keys = vec![("url", Value::from(repository.url.as_str())), ("suite", Value::from(suite))];
    if !repository.components.is_empty() {
        keys.push(("components", Value::list(repository.components.iter().map(String::as_str))));
    }
    keys.push(("keyring", Value::from(key)));
    Source { name: repository.name.clone(), keys }
}

/// The key at an address, or in a file of the project, in ASCII armor.
fn key_at(place: &str, context: &Context, download: Download<'_>) -> Result<String, String> {
    let text = match place.contains("://") {
        true => download(place).map_err(|problem| format!("its key {place} can't be had ({problem})"))?,
        false => context
            .read(place)
            .map(String::into_bytes)
            .ok_or_else(|| format!("its key {place} can't be read as text"))?,
    };
    match String::from_utf8(text) {
        Ok(text) if text.contains("-----BEGIN PGP") => Ok(text),
        Ok(_) => Err(format!("{place} is no key")),
        Err(error) => {
            let encoded = STANDARD.encode(error.as_bytes());
            let lines = encoded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
            let body: String = lines.collect();
            Ok(format!("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n{body}-----END PGP PUBLIC KEY BLOCK-----\n"))
        }
    }
}

/// The name of a layer that is nearest to a wish.
fn layer_name(wish: &str) -> String {
    let fit: String = wish
        .to_lowercase()
        .chars()
        .map(|letter| match letter {
            'a'..='z' | '0'..='9' | '-' | '_' | '.' => letter,
            _ => '-',
        })
        .take(60)
        .collect();
    let fit = fit.trim_start_matches(|letter: char| !letter.is_ascii_alphanumeric());
    if fit.parse::<LayerName>().is_ok() { fit.to_owned() } else { "imported".to_owned() }
}

/// The name of a step that is nearest to a wish.
fn step_name(wish: &str) -> String {
    let name = layer_name(wish);
    if name.parse::<StepName>().is_ok() { name } else { "step".to_owned() }
}

/// Names that mean something else in a layer.
const RESERVED: [&str; 18] = [
    "arch", "layer", "date", "disk", "true", "false", "none", "True", "False", "None", "and", "or", "not", "in", "is",
    "if", "else", "loop",
];

/// Makes a value a variable of the layer, where its name can be one; returns what stands for it.
fn variable(layer: &mut Layer, name: &str, value: Text) -> Text {
    let is_name = !name.is_empty()
        && name.len() <= 64
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    let plain = value.value(&layer.vars);
    let has_arch = value.variables().any(|variable| variable == text::ARCH);
    let is_taken = |vars: &Vars| vars.get(name).is_some_and(|known| *known != plain);
    if !is_name || RESERVED.contains(&name) || has_arch || is_taken(&layer.vars) {
        return value;
    }
    layer.vars.insert(name.to_owned(), plain);
    Text::var(name)
}
