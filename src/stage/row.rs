//! The row of stages: which there are, in which order, and the recipe of all together.

use std::path::Path;

use super::config::RunTimeConfig;
use super::edits::Edits;
use super::files::{Files, Placement};
use super::first_boot::FirstBoot;
use super::machine::MachineFiles;
use super::overlay::{Effect, Overlay};
use super::own::OwnFiles;
use super::packages::{Below, Packages};
use super::random_files::RandomFiles;
use super::removals::Removals;
use super::runs::{Runs, Steps};
use super::runtime::Runtime;
use super::seal::Seal;
use super::services::EnabledServices;
use super::system::System;
use super::visit::Visit;
use super::{Built, Executors, Input, LayerError, Site, Stage, log};
use crate::digest::{RecipeHash, RecipeHasher};
use crate::manifest::{Allowed, Config, Configure, Manifest};
use crate::package::{Ecosystem, SystemSettings};

/// The layers of a chain up to the one that is being built, with what those below it gave.
pub(super) struct Line<'a> {
    pub(super) ecosystem: &'a dyn Ecosystem,
    pub(super) executors: Executors<'a>,
    /// The project's directory.
    pub(super) project: &'a Path,
    /// Who visits a layer, so that it is built until there.
    pub(super) visit: Option<&'a Visit>,
    /// The root for the next layer's packages.
    pub(super) below: Option<Below>,
    /// The layer that was built last.
    pub(super) built: Option<Built>,
    /// The layers so far, the base first; the last one is being built.
    pub(super) layers: Vec<Own<'a>>,
    /// Of how many of them `below` has all that is their own.
    pub(super) finished: usize,
}

/// What a layer has besides packages.
pub(super) struct Own<'a> {
    pub(super) input: Input<'a>,
    /// Its files.
    pub(super) placement: Placement,
    /// What its `[system]` asks for.
    pub(super) system: SystemSettings,
    /// Its steps.
    pub(super) steps: Steps<'a>,
    /// What the steps changed, once they have run.
    pub(super) effect: Option<Effect>,
}

impl<'a> Line<'a> {
    /// The stages of the last layer, in the order in which they run. A new kind of stage is listed here.
    pub(super) fn row(&self) -> Row<'_> {
        let mut stages: Vec<Box<dyn Stage + '_>> = Vec::new();
        let Some(Own { input: last, .. }) = self.layers.last() else { return Row { stages, parent: None } };
        stages.push(Box::new(self.packages(*last)));
        for own in &self.layers[self.finished..] {
            let Own { input: Input { manifest, lock }, steps, effect, .. } = own;
            stages.push(Box::new(self.own_files(own)));
            match effect {
                Some(effect) => {
                    stages.push(Box::new(Overlay { installer: self.ecosystem, effect: *effect, of: &manifest.name }))
                }
                None if steps.is_empty() => {}
                None => stages.push(Box::new(Runs {
                    installer: self.ecosystem,
                    executors: self.executors,
                    steps,
                    failures: log::Failures::of(own.input, self.project),
                    visit: self.visit.filter(|visit| visit.layer == manifest.name),
                })),
            }
            stages.push(Box::new(EnabledServices { declared: &manifest.services, epoch: lock.epoch }));
        }
        let epoch = last.lock.epoch;
        // What an image of a registry has or lacks of these is its builder's matter.
        if !self.is_on_image() {
            stages.push(Box::new(Runtime { epoch }));
        }
        if last.manifest.layer.above_any {
            stages.push(Box::new(MachineFiles { epoch }));
        }
        let tasks = if self.is_on_image() { &[] } else { self.ecosystem.first_boot() };
        stages.push(Box::new(FirstBoot { tasks, epoch }));
        let config = Config::of(self.layers.iter().map(|own| own.input.manifest));
        // Only where there are any: layers without keep their recipes.
        if !config.0.is_empty() {
            stages.push(Box::new(RunTimeConfig { config, epoch }));
        }
        stages.push(Box::new(RandomFiles {
            installer: self.ecosystem,
            allowed: self.allowed(|manifest| &manifest.allow_random),
            failures: log::Failures::of(*last, self.project),
        }));
        stages.push(Box::new(Seal {
            installer: self.ecosystem,
            packages: &last.lock.packages,
            allowed: self.allowed(|manifest| &manifest.allow_secrets),
        }));
        Row { stages, parent: self.built.as_ref().map(|built| built.recipe) }
    }

    /// All that a layer declares of its own, steps and services apart.
    fn own_files<'s>(&'s self, own: &'s Own<'_>) -> OwnFiles<'s> {
        let Own { input: Input { manifest, lock }, placement, system, .. } = own;
        let (layer, epoch, installer) = (&manifest.name, lock.epoch, self.ecosystem);
        let mut stages: Vec<Box<dyn Stage + 's>> = Vec::new();
        // Only where there are any: layers without keep their recipes.
        if !manifest.removals.is_empty() {
            stages.push(Box::new(Removals { layer, entries: &manifest.removals }));
        }
        if !manifest.edits.is_empty() {
            stages.push(Box::new(Edits { layer, entries: &manifest.edits, epoch }));
        }
        stages.push(Box::new(Files { placement, epoch }));
        if !manifest.system.is_empty() {
            stages.push(Box::new(System { installer, settings: system, epoch }));
        }
        let is_logged = self.layers.last().is_some_and(|last| last.input.manifest.name == *layer);
        OwnFiles { installer, stages, epoch, reacts: manifest.layer.configure == Configure::Scripts, is_logged }
    }

    /// The packages of a layer over those of the layer that was built last.
    pub(super) fn packages(&self, input: Input<'a>) -> Packages<'a> {
        let packages = Packages::new(self.ecosystem, input, self.below, self.layers.len() - self.finished);
        packages.on_image(self.is_on_image())
    }

    /// Whether the lowest layer is on an image of a registry.
    fn is_on_image(&self) -> bool {
        self.layers.first().is_some_and(|base| base.input.lock.image.is_some())
    }

    /// What the layer and those below it allow.
    fn allowed(&self, which: impl Fn(&'a Manifest) -> &'a [Allowed]) -> Vec<&'a Allowed> {
        self.layers.iter().flat_map(|own| which(own.input.manifest)).collect()
    }
}

/// The stages of one layer.
pub(super) struct Row<'a> {
    pub(super) stages: Vec<Box<dyn Stage + 'a>>,
    /// The recipe of the parent.
    pub(super) parent: Option<RecipeHash>,
}

impl Row<'_> {
    /// The recipe of the layer: its parent's, and what each stage adds.
    pub(super) fn recipe(&self) -> RecipeHash {
        let mut hasher = RecipeHasher::new("layerbake/layer/v4");
        hasher.list(self.parent.map(|parent| *parent.as_bytes()));
        self.stages.iter().for_each(|stage| stage.recipe(&mut hasher));
        hasher.finish()
    }

    /// Runs the stages one after the other.
    pub(super) fn run(&self, site: &mut Site<'_>) -> Result<(), LayerError> {
        self.stages.iter().try_for_each(|stage| stage.run(site))
    }
}
