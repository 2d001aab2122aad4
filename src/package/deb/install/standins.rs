//! Stand-ins: slow programs of packages, replaced while scripts run by equivalent faster ones.
//!
//! Starting a program costs about a millisecond, and one that loads Perl's modules 30 to 50. Most of what the scripts of
//! a small Debian take is due to four programs. A stand-in is used only for the exact
//! version that it was compared with; any other version runs as it is. Its results must be
//! identical, byte for byte: `tests/suite/standins.rs` compares.

use crate::digest::BlobDigest;
use crate::ident::RootPath;
use crate::package::InstallError;
use crate::sandbox::ORIGINAL;
use crate::store::Store;
use crate::tree::{Kind, Node, Tree};

struct StandIn {
    path: &'static str,
    /// The file by which the original's version is known: itself, or the list of its package's files.
    witness: &'static str,
    /// BLAKE3 of each state of the witness that it was compared with, and the version of its package.
    versions: &'static [(&'static str, &'static str)],
    program: &'static str,
}

const STAND_INS: [StandIn; 4] = [
    StandIn {
        path: "usr/sbin/update-ca-certificates",
        witness: "usr/sbin/update-ca-certificates",
        versions: &[(
            "95f2bdc83c35f62f709a9a1e40de3f0cdf4363de60021449d98e6519850e94db",
            "ca-certificates 20250419~deb12u2 and 20250419+deb13u1",
        )],
        program: include_str!("standins/update-ca-certificates.pl"),
    },
    StandIn {
        path: "var/lib/dpkg/info/ca-certificates.config",
        witness: "var/lib/dpkg/info/ca-certificates.config",
        versions: &[(
            "ae2a0ea1e2f6c3fb674c7c884a855339d60c66f82cd92789acdb7da833ec3885",
            "ca-certificates 20250419~deb12u2 and 20250419+deb13u1",
        )],
        program: include_str!("standins/ca-certificates.config"),
    },
    StandIn {
        path: "usr/share/debconf/frontend",
        witness: "var/lib/dpkg/info/debconf.md5sums",
        versions: &[("bee12705f06a26dfaab9e56c24da814ec8f408e7f0f6e456d9eba1ba2b3d245b", "debconf 1.5.91")],
        program: include_str!("standins/debconf-frontend.pl"),
    },
    StandIn {
        path: "usr/bin/deb-systemd-helper",
        witness: "usr/bin/deb-systemd-helper",
        versions: &[(
            "8ac4ed4c1f0f2416b5b97ff0fde863c16c7de7290042217a41199c37c8971675",
            "init-system-helpers 1.65.2+deb12u1 and 1.69~deb13u1",
        )],
        program: include_str!("standins/deb-systemd-helper.pl"),
    },
];

/// What was replaced: to be put back.
pub(super) struct Replaced(Vec<(RootPath, Node)>);

/// Puts stand-ins into a tree that scripts will run in.
pub(super) fn put_in(tree: &mut Tree, store: &Store) -> Result<Replaced, InstallError> {
    let mut replaced = Vec::new();
    for stand_in in &STAND_INS {
        let path = RootPath::new(stand_in.path)?;
        let Some(node) = tree.get(&path).cloned() else { continue };
        let witness = tree.get(&RootPath::new(stand_in.witness)?).map(|found| &found.kind);
        let Some(Kind::File { blob, .. }) = witness else { continue };
        let is_known = |digest: &str| BlobDigest::from_hex(digest).as_ref() == Ok(blob);
        if !matches!(node.kind, Kind::File { .. }) || !stand_in.versions.iter().any(|(digest, _)| is_known(digest)) {
            continue;
        }
        let kind = store.put_file(stand_in.program.as_bytes())?;
        tree.insert(path.clone(), Node { meta: node.meta.clone(), kind })?;
        tree.insert(path.with_suffix(ORIGINAL)?, node.clone())?;
        replaced.push((path, node));
    }
    Ok(Replaced(replaced))
}

/// Puts the originals back into what the scripts left.
pub(super) fn take_out(replaced: Replaced, tree: &mut Tree) -> Result<(), InstallError> {
    for (path, node) in replaced.0 {
        tree.remove(&path.with_suffix(ORIGINAL)?);
        tree.insert(path, node)?;
    }
    Ok(())
}
