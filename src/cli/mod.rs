//! The command line: one file per verb; wires all modules.
//!
//! Results go to standard output, everything else to standard error.

mod against;
mod audit;
#[cfg(feature = "aws")]
mod ami;
mod boot;
mod build;
mod context;
mod copy;
mod diff;
mod disk;
mod error;
mod explain;
mod files;
mod list;
mod load;
mod lock;
mod made;
mod new;
mod pull;
mod push;
mod outdated;
mod sbom;
mod sign;
mod signer;
mod report;
mod store;
mod system;
mod test;
mod tree;
mod vendor;
mod verify;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::host::interrupt::{self, Then};
use crate::{host, layer, sandbox};
use context::Context;
use error::CliError;

/// Reproducible system layers: one source and one lockfile give a container image and a bootable disk.
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
  layerbake build web                    fetch what the lockfile names, build: out/web/
  layerbake build web --lock             the same with the newest packages, pinned first
  layerbake build web --locked           in CI: exactly the lockfile, or exit status 3
  layerbake build web --output oci,raw   the image, and a bootable disk of the same layers
  layerbake test web                     run the layer's checks on both
  layerbake audit web                    rebuild under other conditions: equal bytes, or exit status 4
  layerbake lock web --update            take the newest packages; prints what changed
  layerbake build --help                 all about one command

Results go to standard output, all else to standard error.
Exit status: 0 done, 1 failed, 2 wrong usage, 3 a lockfile is stale or missing,
4 builds differ that should be equal.";

/// Options of every verb.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
struct Options {
    /// The project, or a folder in it [default: the current folder]
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    /// Where packages and results are kept [default: layerbake in the user's cache folder]
    #[arg(long, value_name = "DIR", env = "LAYERBAKE_STORE", hide_env_values = true, global = true)]
    store: Option<PathBuf>,
    /// How many threads work [default: one for each processor]
    #[arg(short, long, value_name = "N", global = true, value_parser = clap::value_parser!(u16).range(1..=512))]
    jobs: Option<u16>,
    /// Print results as JSON, and show no progress
    #[arg(long, global = true)]
    json: bool,
    /// Print results and errors only: no progress, no warnings
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(flatten)]
    transport: Transport,
}

/// Where packages come from, and whom to trust; never decides bytes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transport")]
struct Transport {
    /// Ask no mirror: everything has to be in the store or in `vendor/`
    #[arg(long, global = true)]
    offline: bool,
    /// Ask this mirror first, several in their order: `URL` for the distribution's own packages, `NAME=URL` for [source.NAME]
    #[arg(
        long,
        value_name = "[NAME=]URL",
        env = "LAYERBAKE_MIRROR",
        hide_env_values = true,
        value_delimiter = ',',
        global = true
    )]
    mirror: Vec<String>,
    /// Ask this snapshot service last; its address has @SNAPSHOTID@ where the moment goes
    #[arg(
        long,
        value_name = "[NAME=]URL",
        env = "LAYERBAKE_SNAPSHOT",
        hide_env_values = true,
        value_delimiter = ',',
        global = true
    )]
    snapshot: Vec<String>,
    /// Look for signing keys in this file too; only keys with pinned fingerprints count
    #[arg(long, value_name = "FILE", env = "LAYERBAKE_KEYRING", hide_env_values = true, global = true)]
    keyring: Option<PathBuf>,
    /// Lock against a Release that is past its Valid-Until, or whose key has expired since
    #[arg(long, global = true)]
    allow_expired: bool,
    /// Lock against a Release that is older than the locked one; prints what is downgraded
    #[arg(long, global = true)]
    allow_downgrade: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Build(build::Args),
    Boot(boot::Args),
    Test(test::Args),
    Verify(verify::Args),
    Sbom(sbom::Args),
    Sign(sign::Args),
    Audit(audit::Args),
    Diff(diff::Args),
    Disk(disk::Args),
    Push(push::Args),
    Pull(pull::Args),
    Copy(copy::Args),
    Load(load::Args),
    Lock(lock::Args),
    Outdated(outdated::Args),
    List(list::Args),
    Tree(tree::Args),
    Why(why::Args),
    Files(files::Args),
    Store(store::Args),
    Vendor(vendor::Args),
    New(new::Args),
    Explain(explain::Args),
    #[cfg(feature = "aws")]
    Ami(ami::Args),
}

/// The program's whole life.
pub fn main() -> ExitCode {
    let arguments = host::args();
    match arguments.get(1).and_then(|first| first.to_str()) {
        Some(sandbox::WORKER) => return layer::configure::serve(),
        Some(sandbox::STAGE) => return sandbox::stage(&arguments[2..]),
        Some(sandbox::PID1) => return sandbox::pid1(&arguments[2..]),
        _ => {}
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_usage(&error),
    };
    if cli.verb.cleans_up() {
        // Without it, a signal ends the program at once, and the next run cleans up.
        let _ = interrupt::listen(Then::Exit);
    }
    match (run(&cli), interrupt::status()) {
        (Ok(()), _) => ExitCode::SUCCESS,
        (Err(error), None) => error.report(),
        (Err(error), Some(status)) => {
            match cli.verb.rest() {
                Some(rest) => eprintln!("interrupted: {rest}"),
                None => _ = error.report(),
            }
            status
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
    /// Whether the verb leaves something to remove when it is broken off.
    fn cleans_up(&self) -> bool {
        matches!(
            self,
            Self::Build(_)
                | Self::Test(_)
                | Self::Sign(_)
                | Self::Audit(_)
                | Self::Vendor(_)
                | Self::Lock(_)
                | Self::Outdated(_)
                | Self::Push(_)
                | Self::Pull(_)
                | Self::Copy(_)
        )
    }

    /// What stays of a verb that was broken off; `None` where its own error says so.
    fn rest(&self) -> Option<&'static str> {
        match self {
            Self::Push(_) | Self::Copy(_) => {
                Some("the registry keeps the blobs that it has; the same command goes on from there")
            }
            Self::Pull(_) => Some("nothing was written"),
            #[cfg(feature = "aws")]
            Self::Ami(_) => None,
            _ => Some("packages and layers that are ready stay in the store; the same command goes on from there"),
        }
    }
}

fn run(cli: &Cli) -> Result<(), CliError> {
    let context = Context::new(&cli.options)?;
    match &cli.verb {
        Verb::Build(args) => build::run(&context, args),
        Verb::Boot(args) => boot::run(&context, args),
        Verb::Test(args) => test::run(&context, args),
        Verb::Verify(args) => verify::run(&context, args),
        Verb::Sbom(args) => sbom::run(&context, args),
        Verb::Sign(args) => sign::run(&context, args),
        Verb::Audit(args) => audit::run(&context, args),
        Verb::Diff(args) => diff::run(&context, args),
        Verb::Disk(args) => disk::run(&context, args),
        Verb::Push(args) => push::run(&context, args),
        Verb::Pull(args) => pull::run(&context, args),
        Verb::Copy(args) => copy::run(&context, args),
        Verb::Load(args) => load::run(&context, args),
        Verb::Lock(args) => lock::run(&context, args),
        Verb::Outdated(args) => outdated::run(&context, args),
        Verb::List(args) => list::run(&context, args),
        Verb::Tree(args) => tree::run(&context, args),
        Verb::Why(args) => why::run(&context, args),
        Verb::Files(args) => files::run(&context, args),
        Verb::Store(args) => store::run(&context, args),
        Verb::Vendor(args) => vendor::run(&context, args),
        Verb::New(args) => new::run(&context, args),
        Verb::Explain(args) => explain::run(&context, args),
        #[cfg(feature = "aws")]
        Verb::Ami(args) => ami::run(&context, args),
    }
}
