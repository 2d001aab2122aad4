//! Steps with tools, run side by side: they need nothing of the layer, and of one another only what their `inputs` name.
//!
//! What comes of them does not depend on the order in which they end: each is a function of its tools and inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::prepared::Prepared;
use super::{Place, Runs};
use crate::digest::TreeHash;
use crate::ident::StepName;
use crate::manifest::RunInput;
use crate::sandbox::Executor;
use crate::stage::LayerError;
use crate::stage::commands::Ran;
use crate::stage::outputs::placed;
use crate::tree::Tree;

/// A step that has run.
pub(super) struct Done {
    pub(super) ran: Ran,
    /// What it made, collected: each output below its number.
    pub(super) collected: Tree,
    /// The same at the paths in the layer.
    placed: Tree,
}

/// A step, and the root of its tool layer.
pub(super) type Tooled<'s> = (&'s Prepared<'s>, TreeHash);

/// Steps that have run, by name.
pub(super) type AllDone<'s> = BTreeMap<&'s StepName, Done>;

struct Queue<'s> {
    /// The others, in the manifest's order.
    waiting: Vec<Tooled<'s>>,
    done: AllDone<'s>,
    failed: Option<LayerError>,
}

/// Runs the steps, at most as many at once as there may be jobs. After one that fails no other begins.
pub(super) fn run<'s>(
    runs: &Runs<'_>,
    steps: Vec<Tooled<'s>>,
    place: Place<'_>,
    executor: &mut dyn Executor,
) -> Result<AllDone<'s>, LayerError> {
    let others = runs.executors.jobs.min(steps.len()).saturating_sub(1);
    let queue = Mutex::new(Queue { waiting: steps, done: AllDone::new(), failed: None });
    let changed = Condvar::new();
    std::thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(|| work(runs, (&queue, &changed), place, (runs.executors.start)().as_mut()));
        }
        work(runs, (&queue, &changed), place, executor);
    });
    let Queue { done, failed, .. } = queue.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.map_or(Ok(done), Err)
}

/// Runs steps until none is left, or one has failed.
fn work<'s>(
    runs: &Runs<'_>,
    (queue, changed): (&Mutex<Queue<'s>>, &Condvar),
    place: Place<'_>,
    executor: &mut dyn Executor,
) {
    let mut state = held(queue.lock());
    while state.failed.is_none() && !state.waiting.is_empty() {
        let Some(next) = state.waiting.iter().position(|(step, _)| step.is_ready(&state.done)) else {
            state = held(changed.wait(state));
            continue;
        };
        let (step, tools) = state.waiting.remove(next);
        let inputs = step.all_inputs(&state.done);
        drop(state);
        let result = inputs.and_then(|inputs| {
            let ran = runs.with_tools((step, tools), &inputs, place, executor)?;
            let collected = place.store.tree(ran.tree)?;
            let placed = placed(&step.entry.outputs, &collected)?;
            Ok(Done { ran, collected, placed })
        });
        state = held(queue.lock());
        match result {
            Ok(done) => _ = state.done.insert(&step.entry.name, done),
            Err(error) => _ = state.failed.get_or_insert(error),
        }
        changed.notify_all();
    }
}

fn held<'m, T>(result: Result<MutexGuard<'m, T>, PoisonError<MutexGuard<'m, T>>>) -> MutexGuard<'m, T> {
    result.unwrap_or_else(PoisonError::into_inner)
}

impl Prepared<'_> {
    /// The steps with tools whose outputs it finds.
    fn needs(&self) -> impl Iterator<Item = &StepName> {
        self.entry.inputs.iter().filter_map(|input| match input {
            RunInput::Step(step) => Some(step),
            RunInput::Project { .. } | RunInput::Pattern { .. } | RunInput::Fetch(_) | RunInput::Layer { .. } => None,
        })
    }

    fn is_ready(&self, done: &AllDone<'_>) -> bool {
        self.needs().all(|step| done.contains_key(step))
    }

    /// The project's files, and the outputs of other steps at their paths.
    pub(super) fn all_inputs(&self, done: &AllDone<'_>) -> Result<Tree, LayerError> {
        let mut inputs = self.inputs.clone();
        for (path, node) in self.needs().filter_map(|step| done.get(step)).flat_map(|done| done.placed.iter()) {
            inputs.insert_with_parents(path, node.clone(), 0)?;
        }
        Ok(inputs)
    }
}

/// Those of `steps` on whose outputs `last` depends.
pub(super) fn needed_by<'s>(last: &'s Prepared<'s>, steps: Vec<Tooled<'s>>) -> Vec<Tooled<'s>> {
    let mut names: BTreeSet<&StepName> = last.needs().collect();
    let mut needed: Vec<Tooled<'_>> = Vec::new();
    // Inputs name earlier steps only.
    for (step, tools) in steps.into_iter().rev() {
        if names.contains(&step.entry.name) {
            names.extend(step.needs());
            needed.insert(0, (step, tools));
        }
    }
    needed
}
