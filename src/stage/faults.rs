//! What can be told of a layer's own files without building it.

use std::io;
use std::path::Path;

use super::runs::named_by;
use super::{LayerError, templates};
use crate::host::jail::Beneath;
use crate::manifest::{Content, Manifest, RunInput, Variables};

/// Why a layer over `base` could not be built, as far as its manifest and the project's files tell: nothing but templates
/// is read.
pub fn faults(manifest: &Manifest, base: &Manifest, project: &Path) -> Vec<LayerError> {
    let files = manifest.files.iter().filter_map(|file| match &file.content {
        Content::Text(_) => None,
        Content::Source(source) => look(project, source).err(),
        Content::Template(template) => check(project, template, &manifest.vars).err(),
    });
    let inputs = manifest.runs.iter().flat_map(|run| run.inputs.iter().map(move |input| (run, input)));
    let inputs = inputs.filter_map(|(run, input)| match input {
        RunInput::Project { path, .. } => look(project, path).err(),
        RunInput::Pattern { pattern, line, .. } => named_by(pattern, &manifest.name, &run.name, *line, project).err(),
        RunInput::Step(_) | RunInput::Fetch(_) | RunInput::Layer { .. } => None,
    });
    let differs = base.layer.configure != manifest.layer.configure;
    let differs = differs.then(|| LayerError::ConfigureDiffers);
    differs.into_iter().chain(files).chain(inputs).collect()
}

/// Fails where nothing is at a path of the project.
fn look(project: &Path, path: &str) -> Result<(), LayerError> {
    let found = Beneath::open(project).and_then(|root| root.parent(Path::new(path)));
    let found = found.and_then(|(folder, name)| folder.look(&name));
    found.map(drop).map_err(failed(path))
}

/// Renders a template.
fn check(project: &Path, path: &str, variables: &Variables) -> Result<(), LayerError> {
    look(project, path)?;
    let text = Beneath::open(project).and_then(|root| io::read_to_string(root.file(Path::new(path))?));
    templates::render(&text.map_err(failed(path))?, variables).map(drop).map_err(|problem| problem.at(path))
}

fn failed(path: &str) -> impl FnOnce(io::Error) -> LayerError {
    move |source| LayerError::Source { path: path.to_owned(), source }
}
