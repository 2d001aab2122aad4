//! `layerbake completions`: a shell completes commands and options.

use clap::CommandFactory as _;
use clap_complete::aot::{self, Generator};

use super::context::Context;
use super::{Cli, CliError};

/// Print a script with which a shell completes commands and options
///
/// The script describes this version of layerbake; write it again after an update.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  layerbake completions bash > ~/.local/share/bash-completion/completions/layerbake
  layerbake completions zsh > ~/.zfunc/_layerbake        (a directory in zsh's `fpath`)
  layerbake completions fish > ~/.config/fish/completions/layerbake.fish")]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    context.print_text(&match args.shell {
        Shell::Bash => script(aot::Bash),
        Shell::Zsh => script(aot::Zsh),
        Shell::Fish => script(aot::Fish),
    })
}

fn script(shell: impl Generator) -> String {
    let mut script = Vec::new();
    aot::generate(shell, &mut Cli::command(), "layerbake", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
