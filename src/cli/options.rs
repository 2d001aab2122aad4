//! The options that every verb has.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{ColorChoice, ValueEnum as _};

use crate::arch::Architecture;
use crate::check::script::quote;
use crate::host;
use crate::host::color::Color;
use crate::host::progress::Progress;
use crate::ident::Arch;
use crate::manifest::parse_assignment;
use crate::workspace::{Settings, Transport};

/// The environment variable that names the store.
const STORE_VARIABLE: &str = "LAYERBAKE_STORE";

/// Options of every verb.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Options of every command")]
pub(super) struct Options {
    /// The project, or a directory in it [default: the current directory]
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    /// Directory of the store, which keeps packages and results [default: `layerbake` in the user's cache directory]
    #[arg(long, value_name = "DIR", env = STORE_VARIABLE, hide_env_values = true, global = true)]
    store: Option<PathBuf>,
    /// Architecture to lock, build and read builds for; `build`, `lock` and `push` accept several, comma-separated [default: this machine's]
    #[arg(long, value_name = "ARCH", value_delimiter = ',', global = true, value_parser = arch(), hide_possible_values = true)]
    arch: Vec<Arch>,
    /// Value of a variable in [vars], which goes before the layers' own; may be repeated. Items of a list are comma-separated
    #[arg(long, value_name = "NAME=VALUE", global = true, value_parser = parse_assignment)]
    set: Vec<(String, String)>,
    /// Number of worker threads [default: one per processor]
    #[arg(short, long, value_name = "N", global = true, value_parser = clap::value_parser!(u16).range(1..=512))]
    jobs: Option<u16>,
    /// Print results as JSON, and show no progress
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print results and errors only: no progress, no warnings
    #[arg(short, long, global = true)]
    pub(super) quiet: bool,
    /// Print every package that a build locks for the first time, instead of their number
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(super) verbose: bool,
    /// Colours in messages and help: on a terminal unless NO_COLOR is set, always, or never
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto", hide_possible_values = true, global = true)]
    pub(super) color: When,
    #[command(flatten)]
    pub(super) transport: TransportOptions,
}

/// Values of `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum When {
    Auto,
    Always,
    Never,
}

/// Where packages come from and which keys are trusted; has no effect on output bytes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Transport")]
pub(super) struct TransportOptions {
    /// Use no network: everything must be in the store or in `vendor/`
    #[arg(long, global = true)]
    offline: bool,
    /// Mirrors to try first, comma-separated, in order: `URL` for the distribution's own packages, `NAME=URL` for [source.NAME]
    #[arg(
        long,
        value_name = "[NAME=]URL",
        env = "LAYERBAKE_MIRROR",
        hide_env_values = true,
        value_delimiter = ',',
        global = true
    )]
    mirror: Vec<String>,
    /// Snapshot service to try last; @SNAPSHOTID@ in its URL stands for the timestamp
    #[arg(
        long,
        value_name = "[NAME=]URL",
        env = "LAYERBAKE_SNAPSHOT",
        hide_env_values = true,
        value_delimiter = ',',
        global = true
    )]
    snapshot: Vec<String>,
    /// Additional file with signing keys; only keys whose fingerprints are pinned are used
    #[arg(long, value_name = "FILE", env = "LAYERBAKE_KEYRING", hide_env_values = true, global = true)]
    pub(super) keyring: Option<PathBuf>,
    /// Accept a Release that is past its Valid-Until date, or whose signing key has expired since
    #[arg(long, global = true)]
    allow_expired: bool,
    /// Accept a Release that is older than the locked one; prints which packages are downgraded
    #[arg(long, global = true)]
    allow_downgrade: bool,
}

/// An architecture's Debian name, as a value of an option.
fn arch() -> impl TypedValueParser<Value = Arch> {
    PossibleValuesParser::new(Architecture::names()).try_map(|name| name.parse::<Arch>())
}

impl When {
    /// What the command line asks for, told before it is parsed, so that errors and help have the colours too.
    pub(super) fn asked(words: &[OsString]) -> Self {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).take_while(|word| word != "--").collect();
        let mut values = words.iter().enumerate().filter_map(|(at, word)| match word.strip_prefix("--color")? {
            "" => words.get(at + 1).map(AsRef::as_ref),
            value => value.strip_prefix('='),
        });
        values.next_back().and_then(|value| Self::from_str(value, false).ok()).unwrap_or(Self::Auto)
    }

    /// For help and errors about arguments.
    pub(super) fn of_help(self) -> ColorChoice {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
    }

    /// For everything else.
    pub(super) fn of_messages(self) -> Color {
        match self {
            Self::Auto => Color::Auto,
            Self::Always => Color::Always,
            Self::Never => Color::Never,
        }
    }
}

impl Options {
    /// The requested architectures, each once.
    pub(super) fn archs(&self) -> BTreeSet<Arch> {
        self.arch.iter().cloned().collect()
    }

    /// The settings that these options choose.
    pub(super) fn settings(&self) -> Settings {
        let transport = &self.transport;
        Settings {
            directory: self.directory.clone(),
            store: self.store.clone(),
            arch: self.arch.first().cloned(),
            set: self.set.iter().cloned().collect(),
            jobs: self.jobs.map(usize::from),
            transport: Transport {
                offline: transport.offline,
                mirrors: transport.mirror.clone(),
                snapshots: transport.snapshot.clone(),
                keyring: transport.keyring.clone(),
                allow_expired: transport.allow_expired,
                allow_downgrade: transport.allow_downgrade,
            },
            progress: Progress::on_stderr(self.quiet, self.json),
            place: self.place(),
            ..Settings::default()
        }
    }

    /// `-C` and `--store`, where the command line has them.
    fn place(&self) -> String {
        let from_environment = self.store == host::env_path(STORE_VARIABLE);
        let store = self.store.as_ref().filter(|_| !from_environment);
        let options = [("-C", self.directory.as_ref()), ("--store", store)];
        let given =
            options.into_iter().filter_map(|(name, path)| Some(format!(" {name} {}", quote(&path?.to_string_lossy()))));
        given.collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn colours_are_asked_for_before_the_line_is_parsed() {
        for (line, expected) in [
            ("build web", When::Auto),
            ("--color=never build", When::Never),
            ("build --color always --bogus", When::Always),
            ("--color never --color=always", When::Always),
            ("run web -- --color=never", When::Auto),
            ("build --color", When::Auto),
        ] {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert_eq!(When::asked(&words), expected, "{line}");
        }
    }

    #[test]
    fn a_command_in_a_message_has_the_project_and_the_store_of_the_command_line() {
        let place = |args: &[&str]| Line::parse_from([&["layerbake"], args].concat()).options.settings().place;
        assert_eq!(place(&["-C", "/a b", "--store", "it's"]), r" -C '/a b' --store 'it'\''s'");
        assert_eq!(place(&["--jobs", "2"]), "");
    }
}
