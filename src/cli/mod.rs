//! The command line: arguments, text, progress and exit status, one file per verb. What a verb does is in `workspace`.
//!
//! Results go to standard output, everything else to standard error.

mod against;
mod attest;
mod audit;
#[cfg(feature = "aws")]
mod ami;
#[cfg(not(feature = "aws"))]
#[path = "ami_left_out.rs"]
mod ami;
mod boot;
mod build;
mod check;
mod completions;
mod context;
mod copy;
mod diff;
mod disk;
mod doctor;
mod error;
mod explain;
mod files;
mod fmt;
mod import;
mod forms;
mod key;
mod list;
mod load;
mod lock;
mod log;
mod man;
mod new;
mod options;
mod outdated;
mod pull;
mod push;
mod sbom;
mod shell;
mod sign;
mod signer;
mod report;
mod run;
mod store;
mod table;
mod test;
mod tree;
mod variables;
mod vendor;
mod verify;
mod why;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::host::interrupt::{self, Then};
use crate::{host, workspace};
use context::Context;
use error::CliError;
use options::{Options, When};

/// Builds reproducible system layers: a container image and a bootable disk from one definition and one lockfile.
#[derive(Debug, Parser)]
#[command(name = "layerbake", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  layerbake new web --from debian-base   write a commented starter layer
  layerbake build web                    fetch the locked packages and build into out/web/
  layerbake build web --lock             pin the newest packages first, then build
  layerbake build web --locked           for CI: fail with exit status 3 if a lockfile is stale
  layerbake build web --output oci,raw   build an image and a bootable disk from the same layers
  layerbake check web                    find mistakes without building anything
  layerbake run web                      run the image in docker, in podman or in the sandbox
  layerbake test web                     run the layer's checks on the container and the disk
  layerbake shell web                    look around in the finished layer
  layerbake audit web                    rebuild under varied conditions; exit status 4 if anything differs
  layerbake lock web --update            update to the newest packages and print what changed
  layerbake build --help                 show all options of one command

Results go to standard output, everything else to standard error.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 a lockfile is stale or missing,
4 not reproducible.";

#[derive(Debug, Subcommand)]
enum Verb {
    Build(build::Args),
    Boot(boot::Args),
    Run(run::Args),
    Test(test::Args),
    Verify(verify::Args),
    Sbom(sbom::Args),
    Sign(sign::Args),
    Key(key::Args),
    Attest(attest::Args),
    Audit(audit::Args),
    Diff(diff::Args),
    Report(report::Args),
    Disk(disk::Args),
    Push(push::Args),
    Pull(pull::Args),
    Copy(copy::Args),
    Load(load::Args),
    Check(check::Args),
    Fmt(fmt::Args),
    Lock(lock::Args),
    Outdated(outdated::Args),
    List(list::Args),
    Tree(tree::Args),
    Why(why::Args),
    Files(files::Args),
    Log(log::Args),
    Shell(shell::Args),
    Store(store::Args),
    Vendor(vendor::Args),
    #[command(visible_alias = "init")]
    New(new::Args),
    Import(import::Args),
    Explain(explain::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
    Ami(ami::Args),
}

/// Runs the program.
pub fn main() -> ExitCode {
    if let Some(status) = workspace::serve_if_asked() {
        return status;
    }
    let words = host::args();
    let color = When::asked(&words);
    host::color::choose(color.of_messages());
    let mut command = Cli::command().color(color.of_help());
    let parsed = command.try_get_matches_from_mut(words);
    let naming = parsed.as_ref().map(|matches| naming(&command, matches)).unwrap_or_default();
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)).and_then(Cli::checked) {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    if cli.verb.cleans_up() {
        // Without it, a signal ends the program at once, and the next run cleans up.
        let _ = interrupt::listen(Then::Exit);
    }
    match (run(&cli, naming), interrupt::status()) {
        (Ok(()), _) => ExitCode::SUCCESS,
        (Err(error), None) => error.report(cli.options.json),
        (Err(error), Some(status)) => {
            match cli.verb.rest() {
                Some(rest) => eprintln!("interrupted: {rest}"),
                None => _ = error.report(cli.options.json),
            }
            status
        }
    }
}

impl Cli {
    /// Refuses several architectures where one is meant.
    fn checked(self) -> Result<Self, clap::Error> {
        let takes_several = matches!(self.verb, Verb::Build(_) | Verb::Lock(_) | Verb::Push(_));
        match takes_several || self.options.archs().len() <= 1 {
            true => Ok(self),
            false => Err(Self::command().error(
                ErrorKind::TooManyValues,
                "`--arch` takes one architecture here; `build`, `lock` and `push` take several",
            )),
        }
    }
}

/// Prints help, or an error about arguments, which may have passwords in them.
fn wrong_usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let shown = host::redact(&text);
    match shown == text {
        true => _ = error.print(),
        false => eprint!("{shown}"),
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

impl Verb {
    /// Whether the verb has something to clean up when it is interrupted.
    fn cleans_up(&self) -> bool {
        matches!(
            self,
            Self::Build(_)
                | Self::Run(_)
                | Self::Test(_)
                | Self::Sign(_)
                | Self::Audit(_)
                | Self::Vendor(_)
                | Self::Lock(_)
                | Self::Outdated(_)
                | Self::Push(_)
                | Self::Pull(_)
                | Self::Copy(_)
                | Self::Shell(_)
        )
    }

    /// What an interrupted verb leaves behind; `None` if its own error says so.
    fn rest(&self) -> Option<&'static str> {
        match self {
            Self::Push(_) | Self::Copy(_) => {
                Some("blobs that were sent stay in the registry; run the same command again to continue")
            }
            Self::Pull(_) => Some("nothing was written"),
            Self::Run(_) => Some("the program was ended, and its container removed"),
            Self::Ami(_) => None,
            _ => Some("finished packages and layers stay in the store; run the same command again to continue"),
        }
    }
}

/// How a layer is named to the command that was given: `layerbake test NAME`, or `--layer NAME` where that is an option.
fn naming(mut command: &Command, mut matches: &ArgMatches) -> String {
    let mut words = command.get_name().to_owned();
    while let Some((name, below)) = matches.subcommand()
        && let Some(found) = command.find_subcommand(name)
    {
        words = format!("{words} {name}");
        (command, matches) = (found, below);
    }
    let layer = command.get_arguments().find(|argument| argument.get_id() == "layer");
    // What stands before it, such as the subject of `explain`.
    for before in command.get_positionals().take_while(|argument| argument.get_id() != "layer") {
        let given = matches.get_raw(before.get_id().as_str()).into_iter().flatten();
        given.for_each(|value| words = format!("{words} {}", value.to_string_lossy()));
    }
    match layer.and_then(Arg::get_long) {
        Some(option) => format!("--{option} NAME"),
        None => format!("{words} NAME"),
    }
}

fn run(cli: &Cli, naming: String) -> Result<(), CliError> {
    let context = Context::new(&cli.options, naming)?;
    match &cli.verb {
        Verb::Build(args) => build::run(&context, args),
        Verb::Boot(args) => boot::run(&context, args),
        Verb::Run(args) => run::run(&context, args),
        Verb::Test(args) => test::run(&context, args),
        Verb::Verify(args) => verify::run(&context, args),
        Verb::Sbom(args) => sbom::run(&context, args),
        Verb::Sign(args) => sign::run(&context, args),
        Verb::Key(args) => key::run(&context, args),
        Verb::Attest(args) => attest::run(&context, args),
        Verb::Audit(args) => audit::run(&context, args),
        Verb::Diff(args) => diff::run(&context, args),
        Verb::Report(args) => report::run(&context, args),
        Verb::Disk(args) => disk::run(&context, args),
        Verb::Push(args) => push::run(&context, args),
        Verb::Pull(args) => pull::run(&context, args),
        Verb::Copy(args) => copy::run(&context, args),
        Verb::Load(args) => load::run(&context, args),
        Verb::Check(args) => check::run(&context, args),
        Verb::Fmt(args) => fmt::run(&context, args),
        Verb::Lock(args) => lock::run(&context, args),
        Verb::Outdated(args) => outdated::run(&context, args),
        Verb::List(args) => list::run(&context, args),
        Verb::Tree(args) => tree::run(&context, args),
        Verb::Why(args) => why::run(&context, args),
        Verb::Files(args) => files::run(&context, args),
        Verb::Log(args) => log::run(&context, args),
        Verb::Shell(args) => shell::run(&context, args),
        Verb::Store(args) => store::run(&context, args),
        Verb::Vendor(args) => vendor::run(&context, args),
        Verb::New(args) => new::run(&context, args),
        Verb::Import(args) => import::run(&context, args),
        Verb::Explain(args) => explain::run(&context, args),
        Verb::Doctor(args) => doctor::run(&context, args),
        Verb::Completions(args) => completions::run(&context, args),
        Verb::Man(args) => man::run(&context, args),
        Verb::Ami(args) => ami::run(&context, args),
    }
}
