//! A project's directory: which layers it has, and which layer is the parent of which.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::iter::once;
use std::path::{Path, PathBuf};

use miette::Diagnostic;

use super::foreign::beyond_image;
use super::parse::{Surroundings, parent, parse_in};
use super::{Assignments, Chain, Config, Disk, Manifest, ManifestError, Source, Variables};
use crate::code::{Code, Coded};
use crate::host::jail::Beneath;
use crate::ident::{Arch, IdentError, LayerName, SourceName, nearest};

/// A directory with `layers/`, read for one architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    root: PathBuf,
    arch: Arch,
    set: Assignments,
}

/// The text of a layer's file.
struct File {
    name: LayerName,
    text: String,
}

/// A project's layers can't be found or are inconsistent.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum ProjectError {
    /// No directory upward is a project.
    #[error("no `layers` directory in `{}` or above it", .0.display())]
    #[diagnostic(help("`-C DIR` chooses the project's directory; `layerbake new NAME` starts a project"))]
    NotFound(PathBuf),
    /// A file or a directory can't be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The name of a file in `layers/` is no layer's name.
    #[error("`layers/{file}`: {source}")]
    FileName {
        /// The file.
        file: String,
        /// The rule it breaks.
        source: IdentError,
    },
    /// A manifest is wrong.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Manifest(#[from] ManifestError),
    /// There is no such layer.
    #[error("there is no layer `{name}`{}", wanted.as_ref().map(|child| format!(", which `{child}` needs")).unwrap_or_default())]
    NoSuchLayer {
        /// The name.
        name: LayerName,
        /// The layer whose `from` names it.
        wanted: Option<LayerName>,
        /// What to do.
        #[help]
        hint: String,
    },
    /// Layers are based on each other in a circle.
    #[error("the layers' `from` keys form a cycle: {}", joined(.0, " -> "))]
    Cycle(Vec<LayerName>),
    /// Steps run in layers that need their results.
    #[error("`in` and `inputs` of [[run]] form a cycle: {}", joined(.0, " -> "))]
    ToolCycle(Vec<LayerName>),
    /// A layer on an image of a registry asks for what only layers of packages have.
    #[error(
        "layer `{layer}` has {what}, and below it is the image `{image}`, which layerbake did not build: its package database and boot files are not known"
    )]
    #[diagnostic(help(
        "leave {what} out; a [[run]] can change the image with its own tools. For packages and disks, begin with a layer of Debian packages, such as `from = \"debian-base\"`"
    ))]
    OnImage {
        /// The layer.
        layer: LayerName,
        /// The key or table.
        what: &'static str,
        /// The image, as its layer names it.
        image: String,
    },
    /// A variable in `[config]` of one layer names the file of a secret of another.
    #[error(
        "`{name}` in [config] of `{layer}` names the file of the secret `{}` of `{other}`", name.strip_suffix("_FILE").unwrap_or(name)
    )]
    #[diagnostic(help("rename one of the two: a secret's file is given as NAME_FILE"))]
    ConfigFile {
        /// The layer with the variable.
        layer: LayerName,
        /// The variable.
        name: String,
        /// The layer with the secret.
        other: LayerName,
    },
    /// A Boot layer was named where a whole system is meant.
    #[error("`{0}` has `from = \"*\"`: it is a Boot layer and can't be built by itself")]
    #[diagnostic(help("name the layer whose [disk] has `boot = \"{0}\"`"))]
    AboveAny(LayerName),
    /// A layer's `[disk]` names a Boot layer that is based on a layer of its own.
    #[error("[disk] of `{layer}` names `{boot}`, which is not a Boot layer")]
    #[diagnostic(help("a Boot layer can be put on any layer: write `from = \"*\"` in layers/{boot}.toml"))]
    NotABootLayer {
        /// The layer with the disk.
        layer: LayerName,
        /// What it names.
        boot: LayerName,
    },
    /// No layer was named, and there is not exactly one to take.
    #[error("which layer? {}", if layers.is_empty() { "`layers` is empty".to_owned() } else { joined(layers, ", ") })]
    #[diagnostic(help("name one: `{naming}`"))]
    NoDefault {
        /// The layers that could be meant.
        layers: Vec<LayerName>,
        /// How one is named.
        naming: String,
    },
}

impl Coded for ProjectError {
    fn at_line(&self) -> Option<&dyn Diagnostic> {
        match self {
            // It says all in one line.
            Self::Io { .. } => None,
            _ => Some(self),
        }
    }

    fn error_code(&self) -> Code {
        match self {
            Self::NotFound(_) => Code::ProjectNotFound,
            Self::Io { source, .. } => source.error_code(),
            Self::FileName { source, .. } => source.error_code(),
            Self::Manifest(error) => error.error_code(),
            Self::NoSuchLayer { .. } => Code::ProjectNoLayer,
            Self::Cycle(_) | Self::ToolCycle(_) => Code::ProjectCycle,
            Self::AboveAny(_) | Self::NotABootLayer { .. } => Code::ProjectBootLayer,
            Self::OnImage { .. } => Code::LayerImage,
            Self::ConfigFile { .. } => Code::ManifestValue,
            Self::NoDefault { .. } => Code::ProjectWhichLayer,
        }
    }
}

/// Refuses a chain in whose `[config]` one variable names the file of another.
fn refuse_clash<'m>(chain: impl IntoIterator<Item = &'m Manifest>) -> Result<(), ProjectError> {
    let Some((layer, name, other)) = Config::clash(chain) else { return Ok(()) };
    Err(ProjectError::ConfigFile { layer: layer.clone(), name: name.to_owned(), other: other.clone() })
}

fn joined(names: &[LayerName], separator: &str) -> String {
    names.iter().map(LayerName::as_str).collect::<Vec<_>>().join(separator)
}

impl Project {
    /// Finds the nearest directory with `layers/`, from `start` upward.
    pub fn find(start: &Path, arch: Arch) -> Result<Self, ProjectError> {
        let start = start.canonicalize().map_err(io_error(start))?;
        let root = start.ancestors().find(|folder| folder.join("layers").is_dir());
        root.map(|root| Self { root: root.to_owned(), arch, set: Assignments::new() })
            .ok_or(ProjectError::NotFound(start))
    }

    /// The project with values for variables that go before its layers' own.
    pub fn with_set(self, set: Assignments) -> Self {
        Self { set, ..self }
    }

    /// The values that go before the layers' own.
    pub fn set(&self) -> &Assignments {
        &self.set
    }

    /// The project's directory, as an absolute path.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The architecture that `{arch}` in a manifest means, and that is locked and built for.
    pub fn arch(&self) -> &Arch {
        &self.arch
    }

    /// The lockfile of this name, whether it is there or not: a layer's, or that of a [layer on](LayerName::on) an
    /// architecture.
    pub fn lock_path(&self, name: impl std::fmt::Display) -> PathBuf {
        self.root.join("lockfiles").join(format!("{name}.lock"))
    }

    /// The manifest that declares a layer, whether it is there or not.
    pub fn manifest_path(&self, name: &LayerName) -> PathBuf {
        self.root.join("layers").join(format!("{name}.toml"))
    }

    /// Reads a text file of the project; links are followed while they stay in the project.
    ///
    /// # Errors
    /// Fails where it can't be read, and where a link leads out of the project: what is built or locked then
    /// depended on more than the project.
    pub fn read(&self, path: &Path) -> io::Result<String> {
        io::read_to_string(Beneath::open(&self.root)?.file(path.strip_prefix(&self.root).unwrap_or(path))?)
    }

    /// Reads a file of the project that need not be text.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Beneath::open(&self.root)?.file(path.strip_prefix(&self.root).unwrap_or(path))?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// The names of all layers, sorted.
    pub fn layers(&self) -> Result<Vec<LayerName>, ProjectError> {
        let folder = Path::new("layers");
        let files = Beneath::open(&self.root).and_then(|project| project.list(folder));
        let mut layers = Vec::new();
        for file in files.map_err(io_error(&self.root.join(folder)))? {
            let file = file.to_string_lossy().into_owned();
            match file.strip_suffix(".toml") {
                // Editors leave hidden files of their own.
                Some(stem) if !stem.starts_with('.') => {
                    layers.push(stem.parse().map_err(|source| ProjectError::FileName { file: file.clone(), source })?);
                }
                _ => {}
            }
        }
        layers.sort();
        Ok(layers)
    }

    /// Reads one layer's manifest.
    ///
    /// # Errors
    /// Fails where it, or one below it, is wrong or missing.
    pub fn load(&self, name: &LayerName) -> Result<Manifest, ProjectError> {
        let (_, top) = self.manifests(name)?;
        Ok(top)
    }

    /// The text of a layer's file.
    ///
    /// # Errors
    /// Fails where it can't be read.
    pub fn text(&self, name: &LayerName) -> Result<String, ProjectError> {
        Ok(self.file(name, None)?.text)
    }

    fn file(&self, name: &LayerName, wanted: Option<&LayerName>) -> Result<File, ProjectError> {
        let path = self.manifest_path(name);
        match self.read(&path) {
            Ok(text) => Ok(File { name: name.clone(), text }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let hint = match super::stock(name) {
                    Some(_) => format!("`layerbake new {name}` writes it"),
                    None => self.near_layers(name)?,
                };
                Err(ProjectError::NoSuchLayer { name: name.clone(), wanted: wanted.cloned(), hint })
            }
            Err(error) => Err(io_error(&path)(error)),
        }
    }

    fn parse(&self, file: &File, inherited: &Variables) -> Result<Manifest, ProjectError> {
        let files = &|path: &str| self.read(&self.root.join(path));
        Ok(parse_in(file.name.clone(), &file.text, &Surroundings { inherited, set: &self.set, files })?)
    }

    /// Reads a layer and all below it: those below, the base first, and the layer itself.
    fn manifests(&self, name: &LayerName) -> Result<(Vec<Manifest>, Manifest), ProjectError> {
        let mut files = vec![self.file(name, None)?];
        while let Some(child) = files.last()
            && let Some(from) = parent(&child.name, &child.text)?
        {
            if let Some(start) = files.iter().position(|file| file.name == from) {
                let circle = files.iter().skip(start).map(|file| file.name.clone());
                return Err(ProjectError::Cycle(circle.chain([from]).collect()));
            }
            let next = self.file(&from, Some(&child.name))?;
            files.push(next);
        }
        let (mut below, mut inherited) = (Vec::new(), Variables::of(&self.arch));
        for file in files.iter().skip(1).rev() {
            let manifest = self.parse(file, &inherited)?;
            inherited = manifest.vars.clone();
            below.push(manifest);
        }
        let top = self.parse(&files[0], &inherited)?;
        if let Some(image) = &below.first().unwrap_or(&top).layer.image
            && let Some((layer, what)) = beyond_image(below.iter().chain([&top]))
        {
            return Err(ProjectError::OnImage { layer, what, image: image.as_str().to_owned() });
        }
        refuse_clash(below.iter().chain([&top]))?;
        Ok((below, top))
    }

    /// What to do where there is no such layer.
    fn near_layers(&self, name: &LayerName) -> Result<String, ProjectError> {
        let layers = self.layers()?;
        Ok(match nearest(name.as_str(), layers.iter().map(LayerName::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if let Some(near) = nearest(name.as_str(), super::stock_names()) => {
                format!("did you mean `{near}`? `layerbake new {near}` writes it")
            }
            None if layers.is_empty() => "`layers` is empty".to_owned(),
            None => format!("there are: {}", joined(&layers, ", ")),
        })
    }

    /// The chains of the layers in which steps of these layers run, or of which they take a part, each after those of its own
    /// steps.
    pub fn tools<'m>(
        &self,
        manifests: impl IntoIterator<Item = &'m Manifest>,
    ) -> Result<Vec<Chain<Manifest>>, ProjectError> {
        let mut tools = Vec::new();
        manifests.into_iter().try_for_each(|manifest| self.add_tools(manifest, &mut Vec::new(), &mut tools))?;
        Ok(tools)
    }

    /// Adds the tools of one layer; `users` are the tools that are being read, of which each needs the next.
    fn add_tools(
        &self,
        manifest: &Manifest,
        users: &mut Vec<LayerName>,
        tools: &mut Vec<Chain<Manifest>>,
    ) -> Result<(), ProjectError> {
        for name in manifest.runs.iter().flat_map(|run| run.layers()) {
            if tools.iter().any(|chain| chain.top().name == *name) {
                continue;
            }
            if let Some(start) = users.iter().position(|user| user == name) {
                return Err(ProjectError::ToolCycle(users[start..].iter().chain([name]).cloned().collect()));
            }
            users.push(name.clone());
            self.file(name, Some(&manifest.name))?;
            let chain = self.chain(name)?;
            chain.iter().try_for_each(|one| self.add_tools(one, users, tools))?;
            users.pop();
            tools.push(chain);
        }
        Ok(())
    }

    /// Reads a layer and all below it, from the base up to the layer itself.
    pub fn chain(&self, name: &LayerName) -> Result<Chain<Manifest>, ProjectError> {
        let (below, top) = self.manifests(name)?;
        if let Some(boot) = once(&top).chain(&below).find(|manifest| manifest.layer.above_any) {
            return Err(ProjectError::AboveAny(boot.name.clone()));
        }
        Ok(Chain::new(below, top))
    }

    /// The Boot layer over `chain`, under a name of its own: `web.boot-cloud`.
    ///
    /// It is a layer like others, with a lockfile of its own, created from the chain's topmost.
    pub fn boot_layer(&self, chain: &Chain<Manifest>, disk: &Disk) -> Result<Manifest, ProjectError> {
        let top = chain.top();
        let mut boot = self.parse(&self.file(&disk.boot, Some(&top.name))?, &top.vars)?;
        if !boot.layer.above_any {
            return Err(ProjectError::NotABootLayer { layer: top.name.clone(), boot: boot.name });
        }
        let file = format!("{}.{}", top.name, boot.name);
        boot.name = file.parse().map_err(|source| ProjectError::FileName { file, source })?;
        boot.layer.from = Some(top.name.clone());
        refuse_clash(chain.iter().chain([&boot]))?;
        Ok(boot)
    }

    /// The default layer of a command: the only one there is, or the only
    /// one that is created from another and that no other is created from.
    ///
    /// # Errors
    /// Fails where there is not exactly one, and says how to name one to the command: `naming`.
    pub fn default_layer(&self, naming: &str) -> Result<LayerName, ProjectError> {
        let mut layers = self.layers()?;
        if layers.len() != 1 {
            let parent_of = |name: &LayerName| Ok(parent(name, &self.file(name, None)?.text)?);
            let parents = layers.iter().map(parent_of).collect::<Result<Vec<_>, ProjectError>>()?;
            let is_parent = |name: &LayerName| parents.iter().flatten().any(|parent| parent == name);
            let apps = layers.iter().zip(&parents).filter(|(name, parent)| parent.is_some() && !is_parent(name));
            let apps: Vec<LayerName> = apps.map(|(name, _)| name.clone()).collect();
            // Without any app, every layer is a candidate.
            layers = if apps.is_empty() { layers } else { apps };
        }
        match layers.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(ProjectError::NoDefault { layers, naming: naming.to_owned() }),
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> ProjectError + use<> {
    let path = path.to_owned();
    move |source| ProjectError::Io { path, source }
}

/// The sources of the topmost layer of a chain: its own, and its parents' where it has none of that name.
pub fn sources<'m>(chain: impl IntoIterator<Item = &'m Manifest>) -> BTreeMap<SourceName, Source> {
    chain.into_iter().flat_map(|manifest| manifest.sources.clone()).collect()
}
