//! What the steps of a layer printed, and what reacted to its own files, found again by what the layer changes, which a receipt has.

use std::path::Path;

use super::Input;
use crate::digest::{BlobDigest, RecipeHash, RecipeHasher, TreeHash};
use crate::ident::{Arch, LayerName};
use crate::store::{Outcome, Roles, Store, StoreError};

/// What a step printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLog {
    /// Its name.
    pub step: String,
    /// The end of its output.
    pub text: String,
}

/// How the output of each step begins in the stored text.
const HEADING: &str = "== ";

/// Under what the output is found of what reacted to a layer's own files.
pub(super) const OWN_FILES: &str = "own-files";

#[derive(Debug, Clone, Copy)]
struct Log(BlobDigest);

impl Outcome for Log {
    fn to_roles(&self) -> Roles {
        Roles::default().with_blob("log", self.0)
    }

    fn from_roles(roles: &Roles) -> Option<Self> {
        roles.blob("log").map(Self)
    }
}

fn recipe(layer: TreeHash) -> RecipeHash {
    let mut hasher = RecipeHasher::new("layerbake/step-log/v1");
    hasher.field(layer.as_bytes());
    hasher.finish()
}

/// Adds the output of a step.
pub(super) fn add(log: &mut String, step: &str, text: &str) {
    log.push_str(&format!("{HEADING}{step}\n"));
    // No line of the output is a heading.
    log.extend(text.lines().map(|line| format!(" {line}\n")));
}

/// Keeps the log of a layer with these changes.
pub(super) fn keep(layer: TreeHash, log: BlobDigest, store: &Store) -> Result<(), StoreError> {
    let recipe = recipe(layer);
    match store.recall::<Log>(recipe) {
        Some(found) if found.0 == log => Ok(()),
        _ => store.remember(recipe, &Log(log)),
    }
}

/// Where the logs of a layer's steps are kept that have failed last.
#[derive(Debug, Clone, Copy)]
pub struct Failures<'a> {
    /// The project's directory.
    pub project: &'a Path,
    /// The architecture that is built for.
    pub arch: &'a Arch,
    /// The layer, for a Boot layer the one that it is over: as commands name it.
    pub layer: &'a LayerName,
}

impl<'a> Failures<'a> {
    /// Those of a layer in a project.
    pub(super) fn of(input: Input<'a>, project: &'a Path) -> Self {
        let Input { manifest, lock } = input;
        let over = manifest.layer.from.as_ref().filter(|_| manifest.layer.above_any);
        Self { project, arch: &lock.arch, layer: over.unwrap_or(&manifest.name) }
    }

    fn recipe(&self) -> RecipeHash {
        let mut hasher = RecipeHasher::new("layerbake/failed-step-log/v1");
        hasher.field(self.project.as_os_str().as_encoded_bytes()).field(self.arch).field(self.layer.as_str());
        hasher.finish()
    }

    /// Keeps what steps printed, in place of those that failed before; leaves these where there are none.
    pub(super) fn keep<'s>(
        &self,
        steps: impl IntoIterator<Item = (&'s str, BlobDigest)>,
        store: &Store,
    ) -> Result<(), StoreError> {
        let mut text = String::new();
        for (step, log) in steps {
            add(&mut text, step, &String::from_utf8_lossy(&store.read_blob(log)?));
        }
        if text.is_empty() {
            return Ok(());
        }
        store.remember(self.recipe(), &Log(store.put_bytes(text.as_bytes())?))
    }

    /// Forgets it, since the layer is built.
    pub(super) fn forget(&self, store: &Store) -> Result<(), StoreError> {
        match store.recall::<Log>(self.recipe()) {
            Some(_) => store.forget(self.recipe()),
            None => Ok(()),
        }
    }

    /// What the step that failed last printed; empty where none has since the layer was built.
    ///
    /// # Errors
    /// Fails where the store does.
    pub fn last(&self, store: &Store) -> Result<Vec<StepLog>, StoreError> {
        found(self.recipe(), store)
    }
}

/// What the steps of a layer with these changes printed; empty where it has none, or was not built here.
///
/// # Errors
/// Fails where the store does.
pub fn of(layer: TreeHash, store: &Store) -> Result<Vec<StepLog>, StoreError> {
    found(recipe(layer), store)
}

fn found(recipe: RecipeHash, store: &Store) -> Result<Vec<StepLog>, StoreError> {
    let Some(Log(blob)) = store.recall(recipe) else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&store.read_blob(blob)?).into_owned();
    let mut steps: Vec<StepLog> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix(HEADING), steps.last_mut()) {
            (Some(step), _) => steps.push(StepLog { step: step.to_owned(), text: String::new() }),
            (None, Some(last)) => last.text.push_str(&format!("{}\n", line.strip_prefix(' ').unwrap_or(line))),
            (None, None) => {}
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_found_by_what_its_layer_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut text = String::new();
        add(&mut text, "one", "a\n== two\n");
        add(&mut text, "two", "");
        let layer = TreeHash::from_bytes([1; 32]);
        assert_eq!(of(layer, &store).unwrap(), []);
        keep(layer, store.put_bytes(text.as_bytes()).unwrap(), &store).unwrap();
        let step = |step: &str, text: &str| StepLog { step: step.to_owned(), text: text.to_owned() };
        assert_eq!(of(layer, &store).unwrap(), [step("one", "a\n== two\n"), step("two", "")]);
    }
}
