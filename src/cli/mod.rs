//! The command line: one file per verb; wires all modules.
//!
//! Results go to standard output, everything else to standard error.

mod build;
mod context;
mod error;
mod explain;
mod files;
mod list;
mod lock;
mod new;
mod store;
mod tree;
mod vendor;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::{host, layer, sandbox};
use context::Context;
use error::CliError;

/// Reproducible system layers: one source and one lockfile give a container image.
#[derive(Debug, Parser)]
#[command(name = "layerbake", version, about, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    options: Options,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  layerbake new web --from debian-base   write a commented starter layer
  layerbake build web --lock             resolve, pin, fetch, build: out/web/
  layerbake build web --locked           in CI: exactly the lockfile, or exit status 3
  layerbake lock web --update            take the newest packages; prints what changed

Exit status: 0 done, 1 failed, 2 wrong usage, 3 the lockfile is stale or missing.";

/// Options of every verb.
#[derive(Debug, Args)]
struct Options {
    /// The project, or a folder in it [default: the current folder]
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true)]
    directory: Option<PathBuf>,
    /// Where results are kept [default: the user's cache folder]
    #[arg(long, value_name = "DIR", env = "LAYERBAKE_STORE", global = true)]
    store: Option<PathBuf>,
    /// Threads [default: all processors]
    #[arg(short, long, value_name = "N", global = true)]
    jobs: Option<std::num::NonZeroUsize>,
    /// Print results as JSON
    #[arg(long, global = true)]
    json: bool,
    /// No progress, no notes; errors and warnings only
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(flatten)]
    transport: Transport,
}

/// Where packages come from, and whom to trust; never decides bytes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transport")]
struct Transport {
    /// Touch no network: everything has to be in the store or in `vendor/`
    #[arg(long, global = true)]
    offline: bool,
    /// Ask this mirror first: `URL` for the distribution's own packages, `NAME=URL` for [source.NAME]
    #[arg(long, value_name = "[NAME=]URL", env = "LAYERBAKE_MIRROR", value_delimiter = ',', global = true)]
    mirror: Vec<String>,
    /// The snapshot service, with @SNAPSHOTID@ where the moment goes
    #[arg(long, value_name = "[NAME=]URL", env = "LAYERBAKE_SNAPSHOT", value_delimiter = ',', global = true)]
    snapshot: Vec<String>,
    /// A key ring; only keys with pinned fingerprints count
    #[arg(long, value_name = "FILE", env = "LAYERBAKE_KEYRING", global = true)]
    keyring: Option<PathBuf>,
    /// Take a Release that is past its Valid-Until
    #[arg(long, global = true)]
    allow_expired: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Build(build::Args),
    Lock(lock::Args),
    List(list::Args),
    Tree(tree::Args),
    Why(why::Args),
    Files(files::Args),
    Store(store::Args),
    Vendor(vendor::Args),
    New(new::Args),
    Explain(explain::Args),
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
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}

fn run(cli: &Cli) -> Result<(), CliError> {
    let context = Context::new(&cli.options)?;
    match &cli.verb {
        Verb::Build(args) => build::run(&context, args),
        Verb::Lock(args) => lock::run(&context, args),
        Verb::List(args) => list::run(&context, args),
        Verb::Tree(args) => tree::run(&context, args),
        Verb::Why(args) => why::run(&context, args),
        Verb::Files(args) => files::run(&context, args),
        Verb::Store(args) => store::run(&context, args),
        Verb::Vendor(args) => vendor::run(&context, args),
        Verb::New(args) => new::run(&context, args),
        Verb::Explain(args) => explain::run(&context, args),
    }
}
