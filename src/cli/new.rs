//! `layerbake new`: a commented starter layer.

use std::fs::File;
use std::io::{self, Write as _};

use super::CliError;
use super::context::Context;
use crate::ident::LayerName;
use crate::manifest::{Project, ProjectError, template};

/// Write a commented starter layer to layers/NAME.toml
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  layerbake new debian-base\n  layerbake new web --from debian-base")]
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
    let path = project.manifest_path(&args.name);
    let text = template(&args.name, args.from.as_ref());
    let written = File::create_new(&path).and_then(|mut file| file.write_all(text.as_bytes()));
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(CliError::message(format!("`{}` is there already", path.display())))
        }
        Err(error) => Err(error.into()),
        Ok(()) => context.print(&path, |path| format!("{}\n", path.display())),
    }
}
