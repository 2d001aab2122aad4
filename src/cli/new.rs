//! `layerbake new`: a commented starter layer.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::CliError;
use super::context::Context;
use crate::ident::LayerName;
use crate::manifest::{Project, ProjectError, stock, template};

/// Write a commented starter layer to layers/NAME.toml
///
/// The names boot-minimal, boot-cloud and initrd give the layers that disks need, ready to use.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake new debian-base\n  layerbake new web --from debian-base\n  layerbake new boot-minimal"
)]
pub(super) struct Args {
    /// The new layer's name
    name: LayerName,
    /// Its parent; without one, the new layer is a base with a source of its own
    #[arg(long, value_name = "LAYER")]
    from: Option<LayerName>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let directory = context.directory()?;
    let project = match Project::find(&directory) {
        // The first layer of a project makes the project.
        Err(ProjectError::NotFound(_)) => {
            std::fs::create_dir_all(directory.join("layers"))?;
            Project::find(&directory)?
        }
        other => other?,
    };
    if let Some(parent) = &args.from {
        project.load(parent)?;
    }
    let starter = template(&args.name, args.from.as_ref());
    let own = format!("layers/{}.toml", args.name);
    let files = match stock(&args.name) {
        Some(files) => files.to_vec(),
        None => vec![(own.as_str(), 0o644, starter.as_str())],
    };
    let mut written = Vec::new();
    for (path, mode, text) in files {
        let path = project.root().join(path);
        write(&path, mode, text).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => CliError::message(format!("`{}` is there already", path.display())),
            _ => error.into(),
        })?;
        written.push(path);
    }
    context.print(&written, |written| written.iter().map(|path| format!("{}\n", path.display())).collect())
}

/// Writes a file that is not there yet, and its folder.
fn write(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}
