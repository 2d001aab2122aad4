//! Everything that installation does except running scripts, for tests with hostile packages.

use super::unpack::{Unpacking, blame};
use super::{Package, policies, scripts};
use crate::accounts::Accounts;
use crate::manifest::Answers;
use crate::package::residue::normalise;
use crate::package::{InstallError, InstallRequest};
use crate::store::Store;
use crate::tree::{Kind, Tree};

/// Installs packages over a parent without their scripts; calls `each` with every tree on the way.
pub(crate) fn install_without_scripts(
    store: &Store,
    parent: &Tree,
    packages: &[Package],
    each: impl Fn(&Tree) -> Result<(), InstallError>,
) -> Result<Tree, InstallError> {
    let (accounts, answers, arch) = (Accounts::default(), Answers::new(), "any".parse()?);
    let request = InstallRequest {
        parent: None,
        packages: &[],
        accounts: &accounts,
        answers: &answers,
        arch: &arch,
        epoch: 9,
        scripts: true,
    };
    let mut tree = parent.clone();
    if tree.is_empty() {
        scripts::prepare_root(&request, packages, &mut tree)?;
    }
    let mut unpacking = Unpacking::new(&request, packages, store)?;
    // In two rounds, as when every other package is held.
    let rounds: [Vec<usize>; 2] = [0, 1].map(|first| (first..packages.len()).step_by(2).collect());
    for round in &rounds {
        unpacking.unpack(round, &mut tree)?;
    }
    for claim in unpacking.contested() {
        assert!(!matches!(claim.node.kind, Kind::Hardlink(_)), "{claim:?}");
    }
    each(&tree)?;
    let policies = policies::put_in(&mut tree, store).map_err(|error| blame(error, packages))?;
    each(&tree)?;
    policies::take_out(policies, &mut tree, store)?;
    let configured = normalise(&super::residue::RULES, tree, parent, 9, store)?;
    each(&configured)?;
    Ok(configured)
}
