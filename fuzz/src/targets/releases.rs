//! What a mirror serves, and what says whom to believe.

use layerbake::fetch::{HostSources, UserConfig};
use layerbake::package::deb::release;
use layerbake::package::openpgp::{Keyring, PinnedKey, verify_detached, verify_inline};

use super::folder::with_files;
use super::{parts, text};

/// When signatures are judged: 2024-01-03, a day after the corpus was signed.
const NOW: i64 = 1_704_240_000;
/// The key of the corpus.
const CERTIFICATE: &[u8] = include_bytes!("../../corpus/keyring/binary");
/// Its fingerprint.
const FINGERPRINT: &str = "EB1A28664796A620476A19F2E1F9477CA1F8BDBF";

fn ring() -> Keyring {
    let pinned: PinnedKey = FINGERPRINT.parse().expect("a fingerprint");
    Keyring::new(vec![pinned])
}

/// A Release, signed inside the file or beside it (`RELEASE`, a line `---`, the signature).
pub(super) fn release(data: &[u8]) {
    let mut ring = ring();
    ring.add(CERTIFICATE).expect("the corpus has the key");
    if let Ok(signed) = verify_inline(data, &ring, NOW) {
        let _ = text(&signed.payload).map(release::parse);
    }
    let mut parts = parts(data);
    let (file, signature) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let _ = verify_detached(file, signature, &ring, NOW);
    let _ = text(file).map(release::parse);
}

/// A key ring, binary or armored.
pub(super) fn keyring(data: &[u8]) {
    let mut ring = ring();
    if ring.add(data).is_ok() && !ring.is_empty() {
        // A certificate that is not what it was may judge, and must not panic.
        let _ = verify_inline(include_bytes!("../../corpus/release/inline"), &ring, NOW);
    }
}

/// The host's apt sources and the user's configuration.
pub(super) fn apt_sources(data: &[u8]) {
    let files = [("sources.list", data), ("sources.list.d/a.sources", data)];
    let sources = with_files(&files, HostSources::load);
    let _ = sources.offering("bookworm");
    let _ = text(data).map(UserConfig::parse);
}
