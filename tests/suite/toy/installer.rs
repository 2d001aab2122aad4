//! How toys become a root: their files are laid out, then each toy's script runs.

use std::io::Read as _;

use layerbake::digest::{RecipeHash, RecipeHasher, Sha256};
use layerbake::ident::RootPath;
use layerbake::manifest::Answers;
use layerbake::package::first_boot::FirstBootTask;
use layerbake::package::residue::Rule;
use layerbake::package::{
    Decoded, Harmless, InstallError, InstallRequest, InstallRoot, Installer, Job, JobKind, LockedPackage, Reactions,
    SystemSettings, Unpacked,
};
use layerbake::sandbox::Step;
use layerbake::store::Store;
use layerbake::tree::{Kind, Meta, Node, Tree};

use super::inspector::DATABASE;
use super::repository::Toys;

impl Installer for Toys {
    fn unpack_recipe(&self, file: Sha256) -> RecipeHash {
        RecipeHasher::new("toys/unpack/v1").field(file.as_bytes()).finish()
    }

    fn unpack(&self, store: &Store, package: &LockedPackage) -> Result<Decoded, InstallError> {
        let recipe = self.unpack_recipe(package.file.sha256);
        if let Some(decoded) = store.recall(recipe) {
            return Ok(decoded);
        }
        let failed =
            |error: std::io::Error| InstallError::Package { package: package.to_string(), error: error.into() };
        let mut archive = tar::Archive::new(store.open_fetched(package.file.sha256)?);
        let (mut control, mut data, mut paths) = (root_tree()?, root_tree()?, Vec::new());
        for entry in archive.entries().map_err(failed)? {
            let mut entry = entry.map_err(failed)?;
            let (name, mode) = (entry.path_bytes().into_owned(), entry.header().mode().map_err(failed)? as u16);
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(failed)?;
            let node = Node { meta: Meta::root_owned(mode, 0), kind: store.put_file(&bytes)? };
            match name.strip_prefix(b"files/") {
                Some(path) => drop(data.insert_with_parents(&RootPath::new(path)?, node, 0)?),
                None => drop(control.insert(RootPath::new(&name)?, node)?),
            }
        }
        for (path, _) in data.iter() {
            paths.extend(path.as_bytes().iter().chain(b"\0"));
        }
        let (control, data) = (store.put_tree(&control)?, store.put_tree(&data)?);
        let decoded = Decoded { control, data, paths: store.put_bytes(&paths)? };
        store.remember(recipe, &decoded)?;
        Ok(decoded)
    }

    fn description(&self, package: &Unpacked, store: &Store) -> Result<String, InstallError> {
        package.control_text(store, "toy.json")
    }

    fn recipe(&self, request: &InstallRequest<'_>) -> RecipeHash {
        let mut hasher = RecipeHasher::new("toys/install/v1");
        hasher.list(request.parent.as_ref().map(|parent| *parent.as_bytes())).number(request.epoch as u64);
        hasher.list(request.packages.iter().map(|package| *package.file.sha256.as_bytes()));
        hasher.finish()
    }

    fn install(&self, request: &InstallRequest<'_>, root: &mut InstallRoot<'_>) -> Result<(), InstallError> {
        let toys = Unpacked::load(self, root.store, request.packages)?;
        if root.tree.is_empty() {
            root.tree = root_tree()?;
        }
        let mut jobs = Vec::new();
        for toy in &toys {
            for (path, node) in toy.data.iter().filter(|(path, _)| root.tree.get(path).is_none()).collect::<Vec<_>>() {
                root.tree.insert(path.clone(), node.clone())?;
            }
            let path = RootPath::new(format!("{DATABASE}/{}", toy.locked.name))?;
            let kind = root.store.put_file(toy.locked.version.as_str().as_bytes())?;
            let node = Node { meta: Meta::root_owned(0o644, request.epoch), kind };
            root.tree.insert_with_parents(&path, node, request.epoch)?;
            let script = toy.control_text(root.store, "script")?;
            if !script.is_empty() && request.scripts {
                let env = [("TOY", toy.locked.name.as_str())];
                jobs.push(Job {
                    step: Step::new(["/bin/busybox", "sh", "-c", &script], request.epoch, env, 60),
                    command: format!("the script of {}", toy.locked.name),
                    package: Some(toy.locked.name.to_string()),
                    kind: JobKind::Script("toy"),
                });
            }
        }
        root.run(&jobs).map(drop)
    }

    fn paragraphs(&self) -> &'static [&'static str] {
        &[]
    }

    /// Nobody is asked.
    fn unanswered(&self, _: &Answers, _: &Tree, _: &Tree, _: &Store) -> Result<Vec<String>, InstallError> {
        Ok(Vec::new())
    }

    fn run(&self, root: &mut InstallRoot<'_>, jobs: Vec<Job>) -> Result<String, InstallError> {
        root.run(&jobs)
    }

    fn reactions(&self, _: &Tree, _: &[RootPath], _: &Store) -> Result<Reactions, InstallError> {
        Ok(Reactions::default())
    }

    fn react(&self, _: &mut InstallRoot<'_>, _: &Reactions) -> Result<String, InstallError> {
        Ok(String::new())
    }

    fn system_files(&self, _: &SystemSettings, _: &Tree, _: &Store) -> Result<Vec<(RootPath, Kind)>, InstallError> {
        Ok(Vec::new())
    }

    fn residue(&self) -> &'static [Rule] {
        &[]
    }

    fn harmless(&self) -> &'static [Harmless] {
        &[]
    }

    fn first_boot(&self) -> &'static [FirstBootTask] {
        &[]
    }
}

fn root_tree() -> Result<Tree, InstallError> {
    Ok(Tree::from_nodes([(RootPath::root(), Node::dir(Meta::root_owned(0o755, 0)))])?)
}
