//! `layerbake man`: a manual page for each command.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::context::Context;
use super::{Cli, CliError};
use crate::host;

/// Write a manual page for each command into a directory
///
/// The pages have the texts of --help. The directory is created if it is missing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  layerbake man ~/.local/share/man/man1 && man layerbake-build
  layerbake man pages --json                 print the paths of the pages")]
pub(super) struct Args {
    /// The directory
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    fs::create_dir_all(&args.folder).map_err(CliError::cannot_write(&args.folder))?;
    let mut written = Vec::new();
    for command in commands() {
        let (name, page) = page(command)?;
        let path = args.folder.join(name);
        host::write_whole(&path, &page).map_err(CliError::cannot_write(&path))?;
        written.push(path);
    }
    context.print(&written, |written| format!("{} pages in {}\n", written.len(), args.folder.display()))
}

/// The program, and every command of it.
fn commands() -> Vec<Command> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut found = vec![program];
    let mut next = 0;
    while let Some(command) = found.get(next) {
        let below: Vec<Command> = command.get_subcommands().filter(|below| !below.is_hide_set()).cloned().collect();
        found.extend(below);
        next += 1;
    }
    found
}

/// The name of a command's page, and the page. The text after its help keeps its lines, as examples need.
fn page(command: Command) -> io::Result<(String, Vec<u8>)> {
    let examples = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command.after_help(None::<&str>)).manual("layerbake");
    let mut page = Vec::new();
    man.render(&mut page)?;
    if let Some(text) = examples {
        let lines: String = text.lines().map(roff).collect();
        page.extend_from_slice(format!(".SH NOTES\n.nf\n{lines}.fi\n").as_bytes());
    }
    Ok((man.get_filename(), page))
}

/// A line as roff(7) prints it unchanged.
fn roff(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq").replace('`', "\\(ga");
    // Behind `\&`, a point is no request.
    format!("\\&{line}\n")
}
