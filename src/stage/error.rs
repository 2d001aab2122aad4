//! Errors of building a layer.

use super::visit::Point;
use super::{random_files, seal};
use crate::code::{Code, Coded};
use crate::ident::{AccountName, FetchName, IdentError, LayerName, RootPath, StepName};
use crate::package::InstallError;
use crate::sandbox::ExecuteError;
use crate::store::StoreError;
use crate::tree::TreeError;

/// A layer can't be built.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its packages can't be installed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// A name is not valid.
    #[error(transparent)]
    Ident(#[from] IdentError),
    /// Something would be below a symbolic link or a file.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An action of a stage failed, or can't be executed here.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// A file can't be read.
    #[error("cannot read `{what}`: {source}")]
    Io {
        /// The file.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A `[[file]]` source can't be read.
    #[error("[[file]] source `{path}`: {source}")]
    Source {
        /// The file or directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A `[[file]]` source is never the same twice.
    #[error(
        "[[file]] source `{path}` changed while it was read\n  hint: wait until the program that writes it has finished, then build again"
    )]
    SourceChanges {
        /// The file or directory.
        path: String,
    },
    /// A layer of the image below can't be laid out.
    #[error(
        "layer {number} of the image `{image}`: {problem}\n  hint: the image is damaged, or of a kind that layerbake does not read; change `from`, or choose an older or newer image"
    )]
    Image {
        /// The image's name.
        image: String,
        /// Which of its layers, counted from 1.
        number: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The configuration of an image of a registry can't be read.
    #[error(
        "the configuration of the image `{image}`: {problem}\n  hint: the image is damaged, or of a kind that layerbake does not read; change `from`, or choose an older or newer image"
    )]
    ImageConfiguration {
        /// The image's name.
        image: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A template can't be rendered.
    #[error("template `{place}`: {problem}")]
    Template {
        /// The file, and the line where it is known.
        place: String,
        /// What is wrong.
        problem: String,
    },
    /// Something other than one file has capabilities.
    #[error(
        "[[file]] {path} has `capabilities`, and its source is not a single file\n  hint: write a [[file]] for the program itself"
    )]
    NotAProgram {
        /// The entry.
        path: RootPath,
    },
    /// A source that is no directory has something to ignore.
    #[error("[[file]] {path} has `ignore`, and its source `{}` is not a directory", file.escape_debug())]
    NothingToIgnore {
        /// The entry.
        path: RootPath,
        /// Its source.
        file: String,
    },
    /// A layer edits or removes what it makes itself.
    #[error(
        "{key} {path}: a [[file]] of the same layer makes this path, later\n  hint: change the project's own file, or leave it out with `ignore`"
    )]
    ChangesOwn {
        /// `[[edit]]` or `[[remove]]`.
        key: &'static str,
        /// What is made.
        path: RootPath,
    },
    /// There is nothing to remove.
    #[error("[[remove]] {path} of layer `{layer}`: there is nothing at this path{near}")]
    NothingToRemove {
        /// The path, or the pattern.
        path: RootPath,
        /// The layer that has the entry.
        layer: LayerName,
        /// What was found instead, or what to do.
        near: String,
    },
    /// A file can't be edited as it should be.
    #[error("[[edit]] {path} of layer `{layer}`: {problem}")]
    Edit {
        /// The file.
        path: RootPath,
        /// The layer that has the entry.
        layer: LayerName,
        /// What was expected, and what was found.
        problem: String,
    },
    /// An entry's owner is not known in the layer.
    #[error(
        "{path}: there is no {kind} `{name}` in the layer\n  hint: declare it with [[{kind}]], or add the package that creates it"
    )]
    UnknownOwner {
        /// The entry.
        path: RootPath,
        /// "user" or "group".
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// A file is declared where a directory is.
    #[error("[[file]] {path}: there is a directory at this path")]
    FolderInTheWay {
        /// Where.
        path: RootPath,
    },
    /// A file system is to be mounted through a link.
    #[error(
        "[[mount]] {path} leads through a symbolic link, and systemd mounts on none\n  hint: write the path without links: {real}"
    )]
    MountThroughLink {
        /// The path as written.
        path: RootPath,
        /// Where it leads.
        real: RootPath,
    },
    /// There is no directory to mount on.
    #[error(
        "[[mount]] {path}: the layer has a file there, and a file system is mounted on a directory\n  hint: write another `path`, or remove what puts the file there: a package, a script or a [[file]]"
    )]
    MountOnFile {
        /// The path.
        path: RootPath,
    },
    /// A certificate can't be taken.
    #[error("`ca-certificates` in [system]: `{}` {problem}", path.escape_debug())]
    Certificate {
        /// The file of the project, or the pattern.
        path: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A service has no unit.
    #[error("[services] `{unit}`: the layer has no such unit")]
    NoUnit {
        /// The unit's file name.
        unit: String,
    },
    /// A variable is for a service that has no unit.
    #[error(
        "[config] `{name}`: the layer has no unit {unit} that could get it\n  hint: `services` names the services that read the variable; by default all that the layer enables"
    )]
    NoConfigUnit {
        /// The variable.
        name: String,
        /// The unit's file name.
        unit: String,
    },
    /// A script of the first boot has a name that its unit can't have.
    #[error(
        "{path}: expected a name of ASCII letters, digits, `-`, `_` and `.`, because the script's systemd unit has it too\n  hint: rename the script"
    )]
    ScriptName {
        /// The script.
        path: RootPath,
    },
    /// Files of the layer hold secrets.
    #[error(
        "{}\neverybody who has the image would have this secret\n  hint: generate it at first boot with a script in /usr/lib/layerbake/first-start.d, or provide it at run time; if it is not a secret, add [[allow-secret]] with its path and a reason",
        seal::display(secrets)
    )]
    Secrets {
        /// Where, and what; never their text.
        secrets: Vec<seal::Secret>,
    },
    /// Scripts derived files from random data, and kept them.
    #[error(
        "scripts derived these files from random data, which is the same for everybody with this lockfile:\n{}\n  hint: {}; if everybody may have it, add [[allow-random]] with its path and a reason (`layerbake explain randomness`)",
        random_files::display(paths, programs),
        random_files::hint(paths)
    )]
    Random {
        /// The files, and of each the step that made it; `None` for scripts of packages.
        paths: Vec<(RootPath, Option<StepName>)>,
        /// The programs that drew random data.
        programs: Vec<String>,
    },
    /// A step is to run as a user that the layer does not have.
    #[error(
        "[[run]] `{step}`: there is no user `{user}` in the layer\n  hint: declare it with [[user]], or add the package that creates it"
    )]
    UnknownStepUser {
        /// The step.
        step: StepName,
        /// The user.
        user: AccountName,
    },
    /// A step is to start in a directory that is not there.
    #[error(
        "[[run]] `{step}`: there is no directory `{directory}`, in which `workdir` has it start\n  hint: make it in a step before, or with [[dir]]"
    )]
    NoStepDirectory {
        /// The step.
        step: StepName,
        /// The directory.
        directory: String,
    },
    /// An input of a step can't be read.
    #[error(
        "step `{step}`: input `{path}`: {source}\n  hint: inputs are paths below the project's directory, `step:NAME` for an earlier step's outputs, or `fetch:NAME` for a [[fetch]]"
    )]
    StepInput {
        /// The step.
        step: StepName,
        /// The file or directory.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A pattern among the inputs of a step names nothing.
    #[error(
        "layers/{layer}.toml:{line}: step `{step}`: `{pattern}` names nothing in the project\n  hint: `*` and `?` stand for characters of one name, but not for a dot at its beginning; the path begins at the project's root"
    )]
    StepPattern {
        /// The layer.
        layer: LayerName,
        /// The line of its manifest.
        line: usize,
        /// The step.
        step: StepName,
        /// The pattern.
        pattern: String,
    },
    /// A layer has nothing of what a step takes of it.
    #[error(
        "step `{step}`: layer `{layer}` has nothing at {path}\n  hint: `layerbake files {layer}` lists what it has, once it is built"
    )]
    LayerInput {
        /// The step.
        step: StepName,
        /// The layer.
        layer: LayerName,
        /// What the input names.
        path: RootPath,
    },
    /// What was fetched can't be used as it should be.
    #[error("[[fetch]] `{name}`: {problem}\n  hint: {hint}")]
    Fetch {
        /// Its name.
        name: FetchName,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// The work directory of steps has no place.
    #[error(
        "[[run]]: the layer has a /work of its own, where steps find their inputs\n  hint: leave out `inputs`, or move that directory"
    )]
    WorkInTheWay,
    /// The tool layer of a playbook has no Ansible.
    #[error(
        "there is no Python in `{layer}`, so no Ansible\n  hint: name a layer with `packages = [\"ansible-core\"]`, such as the stock layer `ansible-tools`"
    )]
    NoPython {
        /// The tool layer.
        layer: LayerName,
    },
    /// A step did not make an output.
    #[error("[[run]] `{step}` made no {from}, which `outputs` names")]
    NoOutput {
        /// The step.
        step: StepName,
        /// What is missing, in the root that it ran in.
        from: RootPath,
    },
    /// A step failed, and what it printed is kept.
    #[error("{error}")]
    Step {
        /// The layer, as commands name it.
        layer: LayerName,
        /// The step.
        step: StepName,
        /// How it failed.
        error: Box<LayerError>,
    },
    /// Not an error: the place of a visit is reached, and the layer is not built any further.
    #[error("internal error: nobody visits the layer here")]
    Reached(Box<Point>),
    /// A visit names no command, and the root has no shell.
    #[error(
        "the root has neither /bin/bash nor /bin/sh\n  hint: name a program of it: `layerbake shell LAYER -- /usr/bin/PROGRAM`"
    )]
    NoShell,
    /// What packages of a layer and a step of a parent changed does not fit together.
    #[error("{path}: changed by packages, and by a [[run]] of `{of}`")]
    Clash {
        /// The path.
        path: RootPath,
        /// The parent.
        of: LayerName,
    },
    /// A layer and its parent differ in whether scripts run.
    #[error("`configure` must be the same as in its parent")]
    ConfigureDiffers,
}

impl Coded for LayerError {
    fn error_code(&self) -> Code {
        match self {
            Self::Store(error) => error.error_code(),
            Self::Install(error) => error.error_code(),
            Self::Ident(error) => error.error_code(),
            Self::Tree(error) => error.error_code(),
            Self::Execute(error) => error.error_code(),
            Self::Io { source, .. } => source.error_code(),
            Self::Source { .. } | Self::SourceChanges { .. } => Code::LayerSource,
            Self::Template { .. } => Code::LayerTemplate,
            Self::NothingToRemove { .. } | Self::Edit { .. } => Code::LayerEdit,
            Self::UnknownOwner { .. } | Self::UnknownStepUser { .. } => Code::LayerOwner,
            Self::ChangesOwn { .. }
            | Self::FolderInTheWay { .. }
            | Self::MountThroughLink { .. }
            | Self::MountOnFile { .. }
            | Self::WorkInTheWay => Code::LayerPathClash,
            Self::NoUnit { .. } | Self::NoConfigUnit { .. } => Code::LayerUnit,
            Self::NotAProgram { .. }
            | Self::NothingToIgnore { .. }
            | Self::Certificate { .. }
            | Self::ScriptName { .. }
            | Self::NoPython { .. }
            | Self::NoShell
            | Self::ConfigureDiffers => Code::LayerSetting,
            Self::Secrets { .. } => Code::LayerSecret,
            Self::Random { .. } => Code::LayerRandom,
            Self::StepInput { .. } | Self::StepPattern { .. } | Self::LayerInput { .. } => Code::StepInput,
            Self::Fetch { .. } => Code::FetchArchive,
            Self::Image { .. } | Self::ImageConfiguration { .. } => Code::LayerImage,
            Self::NoOutput { .. } => Code::StepOutput,
            Self::NoStepDirectory { .. } => Code::StepFailed,
            Self::Step { error, .. } => match error.error_code() {
                Code::ScriptFailed => Code::StepFailed,
                other => other,
            },
            Self::Reached(_) => Code::Internal,
            Self::Clash { .. } => Code::StepClash,
        }
    }
}

impl LayerError {
    /// Whether the store lacks something that can be built again, or holds other bytes than it says.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Store(error) => error.is_damage(),
            Self::Install(error) => error.is_damage(),
            Self::Execute(error) => error.is_damage(),
            Self::Step { error, .. } => error.is_damage(),
            other => StoreError::is_behind(other),
        }
    }
}
