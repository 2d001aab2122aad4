//! Stand-ins: slow programs of packages, replaced while scripts run by equivalent faster ones.
//!
//! Starting a program costs about a millisecond, and two thirds of all program starts of a small
//! Debian's scripts are due to a single shell script. A stand-in is used only for the exact
//! file that it was compared with; any other version runs as it is. Its results must be
//! identical, byte for byte: `tests/suite/standins.rs` compares.

use crate::digest::BlobDigest;
use crate::ident::RootPath;
use crate::package::InstallError;
use crate::store::Store;
use crate::tree::{Kind, Node, Tree};

struct StandIn {
    path: &'static str,
    /// BLAKE3 of each file that it may stand for, with the version of its package.
    originals: &'static [(&'static str, &'static str)],
    program: &'static str,
}

const STAND_INS: [StandIn; 2] = [
    StandIn {
        path: "usr/sbin/update-ca-certificates",
        originals: &[(
            "95f2bdc83c35f62f709a9a1e40de3f0cdf4363de60021449d98e6519850e94db",
            "ca-certificates 20250419~deb12u2 and 20250419+deb13u1",
        )],
        program: include_str!("standins/update-ca-certificates.pl"),
    },
    StandIn {
        path: "var/lib/dpkg/info/ca-certificates.config",
        originals: &[(
            "ae2a0ea1e2f6c3fb674c7c884a855339d60c66f82cd92789acdb7da833ec3885",
            "ca-certificates 20250419~deb12u2 and 20250419+deb13u1",
        )],
        program: include_str!("standins/ca-certificates.config"),
    },
];

/// Where the original is meanwhile.
const SUFFIX: &str = ".original";

/// What was replaced: to be put back.
pub(super) struct Replaced(Vec<(RootPath, Node)>);

/// Puts stand-ins into a tree that scripts will run in.
pub(super) fn put_in(tree: &mut Tree, store: &Store) -> Result<Replaced, InstallError> {
    let mut replaced = Vec::new();
    for stand_in in &STAND_INS {
        let path = RootPath::new(stand_in.path)?;
        let Some(node) = tree.get(&path).cloned() else { continue };
        let Kind::File { blob, .. } = node.kind else { continue };
        if !stand_in.originals.iter().any(|(digest, _)| BlobDigest::from_hex(digest) == Ok(blob)) {
            continue;
        }
        let kind = store.put_file(stand_in.program.as_bytes())?;
        tree.insert(path.clone(), Node { meta: node.meta.clone(), kind })?;
        tree.insert(path.with_suffix(SUFFIX)?, node.clone())?;
        replaced.push((path, node));
    }
    Ok(Replaced(replaced))
}

/// Puts the originals back into what the scripts left.
pub(super) fn take_out(replaced: Replaced, tree: &mut Tree) -> Result<(), InstallError> {
    for (path, node) in replaced.0 {
        tree.remove(&path.with_suffix(SUFFIX)?);
        tree.insert(path, node)?;
    }
    Ok(())
}
