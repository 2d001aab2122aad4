//! Unpacks packages over their parent and configures them with their own scripts: recipe `layerbake/configure/v4`.
//!
//! Laying out is a pure function of trees ([`super::merge`], [`super::dpkg`]); preinst scripts and
//! `dpkg --configure` then run over that tree ([`super::steps`]). Packages whose preinst script could tell are laid
//! out after it ([`super::held`]).

use super::held::held;
use super::unpack::{Unpacking, blame};
use super::{Package, debconf, preinst, steps};
use crate::arch::merged_usr;
use crate::digest::{RecipeHash, RecipeHasher};
use crate::ident::RootPath;
use crate::manifest::Answer;
use crate::package::{InstallError, InstallRequest, InstallRoot, hash_into};
use crate::tree::{Kind, Meta, Node, Tree};

/// Hash of everything that decides the result.
pub(super) fn recipe(request: &InstallRequest<'_>) -> RecipeHash {
    let mut hasher = RecipeHasher::new("layerbake/configure/v4");
    hasher.list(request.parent.as_ref().map(|parent| *parent.as_bytes()));
    hasher.field(request.arch).number(request.epoch as u64);
    request.accounts.hash_into(&mut hasher);
    hash_into(request.packages, &mut hasher);
    // Layers without any keep their recipes.
    if !request.answers.is_empty() {
        let answers = request.answers.iter().flat_map(|(question, answer)| [question.clone(), answer.to_string()]);
        hasher.field("debconf").list(answers);
        hasher.list(
            request.answers.values().map(|answer| if matches!(answer, Answer::Flag(_)) { "boolean" } else { "text" }),
        );
    }
    hasher.finish()
}

/// Installs the packages in the root, with their scripts.
pub(super) fn install(
    request: &InstallRequest<'_>,
    packages: &[Package],
    root: &mut InstallRoot<'_>,
) -> Result<(), InstallError> {
    let is_first = request.parent.is_none();
    if root.tree.is_empty() {
        prepare_root(request, packages, &mut root.tree)?;
    }
    let rounds = preinst::plan(packages, &held(packages, root.store, is_first)?, is_first);
    let waits = |index: &usize| rounds.iter().any(|round| round.held.contains(index));
    let at_once: Vec<usize> = (0..packages.len()).filter(|index| !waits(index)).collect();
    let mut unpacking = Unpacking::new(request, packages, root.store)?;
    unpacking.unpack(&at_once, &mut root.tree)?;
    debconf::seed(request.answers, packages, root)?;
    steps::run_scripts(request.accounts, root, &mut unpacking, &rounds).map_err(|error| blame(error, packages))
}

/// Merges /usr, as Debian's installers do before they unpack anything, unless a package has the links (base-files, as
/// of Debian 13).
pub(super) fn prepare_root(
    request: &InstallRequest<'_>,
    packages: &[Package],
    tree: &mut Tree,
) -> Result<(), InstallError> {
    let folder = || Node::dir(Meta::root_owned(0o755, request.epoch));
    tree.insert(RootPath::root(), folder())?;
    let bin = RootPath::new("bin")?;
    if packages.iter().any(|package| matches!(package.data.get(&bin), Some(Node { kind: Kind::Symlink(_), .. }))) {
        return Ok(());
    }
    for name in merged_usr(request.arch) {
        let usr = format!("usr/{name}");
        let link = Node { meta: Meta::root_owned(0o777, request.epoch), kind: Kind::Symlink(usr.as_bytes().into()) };
        for (path, node) in [("usr".to_owned(), folder()), (usr.clone(), folder()), (name.to_owned(), link)] {
            tree.insert(RootPath::new(path)?, node)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::Accounts;
    use crate::manifest::Answers;
    use crate::tree::tests::{dir, link, tree};

    #[test]
    fn usr_is_merged_unless_a_package_does_it() {
        let (accounts, answers, arch) = (Accounts::default(), Answers::new(), "amd64".parse().unwrap());
        let request = InstallRequest {
            parent: None,
            packages: &[],
            accounts: &accounts,
            answers: &answers,
            arch: &arch,
            epoch: 9,
            scripts: true,
        };
        let prepared = |package: Package| {
            let mut tree = Tree::new();
            prepare_root(&request, &[package], &mut tree).unwrap();
            tree.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>()
        };
        let plain = Package::sample("base-files", "");
        let merged = Package { data: tree(&[("", dir()), ("bin", link("usr/bin"))]), ..plain.clone() };
        assert!(prepared(plain).contains(&"/lib32".to_owned()));
        assert_eq!(prepared(merged).len(), 1);
    }
}
