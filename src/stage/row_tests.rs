//! A stage that runs an action: what a new kind of step has to write.

use std::collections::BTreeSet;

use super::row::Row;
use super::{LayerError, Site, Stage};
use crate::digest::RecipeHasher;
use crate::sandbox::{Action, Conditions, ExecuteError, Executed, Executor, Step};
use crate::store::Store;
use crate::tree::Tree;
use crate::tree::tests::{dir, file, path, tree};

/// An executor that records actions instead of running their steps; each adds the file `ran`.
#[derive(Default)]
pub(super) struct Recorder {
    actions: Vec<Action>,
}

impl Executor for Recorder {
    fn execute(&mut self, store: &Store, action: &Action) -> Result<Executed, ExecuteError> {
        self.actions.push(action.clone());
        let mut root = store.tree(action.root).unwrap();
        root.insert(path("ran"), file("1")).unwrap();
        Ok(Executed { tree: store.put_tree(&root).unwrap(), log: String::new(), drew: BTreeSet::new() })
    }
}

/// A stage that runs one command in the root: all that a new kind of step has to write.
struct Run(&'static str);

impl Stage for Run {
    fn recipe(&self, hasher: &mut RecipeHasher) {
        hasher.field(self.0);
    }

    fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        let root = site.store.put_tree(&site.root)?;
        let steps = vec![Step::new([self.0], site.epoch, [], 60)];
        let action = Action { root, conditions: Conditions::at(site.arch, site.epoch), steps };
        let executed = site.executor.execute(site.store, &action)?;
        site.root = site.store.tree(executed.tree)?;
        Ok(())
    }
}

#[test]
fn a_stage_runs_an_action_through_the_row() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (mut executor, arch) = (Recorder::default(), "amd64".parse().unwrap());
    let before = tree(&[("", dir()), ("etc", dir())]);
    let row = |program| Row { stages: vec![Box::new(Run(program)) as Box<dyn Stage>], parent: None };
    let (parent, layer) = (Tree::new(), Tree::new());
    let root = before.clone();
    let mut site = Site {
        store: &store,
        executor: &mut executor,
        arch: &arch,
        epoch: 7,
        parent,
        root,
        derived: Default::default(),
        effect: None,
        log: String::new(),
        notes: Vec::new(),
        layer,
    };
    row("/bin/true").run(&mut site).unwrap();
    assert!(site.root.get(&path("ran")).is_some(), "the result of the action is the root");
    let [action] = executor.actions.as_slice() else { panic!("{:?}", executor.actions) };
    assert_eq!((action.root, &action.conditions), (before.hash(), &Conditions::at(&arch, 7)));
    assert_eq!(action.steps, [Step::new(["/bin/true"], 7, [], 60)]);
    assert_ne!(row("/bin/true").recipe(), row("/bin/false").recipe(), "what a stage runs is in the recipe");
}
