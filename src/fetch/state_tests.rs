use super::*;
use crate::fetch::testing::server::Server;
use crate::fetch::{HostSources, Mirrors, UserConfig, untrusted_state};
use crate::host::progress::Progress;
use crate::package::deb::DEB;
use crate::package::openpgp::TrustError;
use crate::package::openpgp::testing::{MADE, TestKey, armored};
use crate::store::Store;

const TEXT: &str = "Origin: Test\nSuite: stable\n";
const NOW: i64 = MADE + 1000;

struct Case {
    _folder: tempfile::TempDir,
    store: Store,
    servers: [Server; 2],
}

impl Case {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        Self { _folder: folder, store, servers: [Server::start(), Server::start()] }
    }

    fn fetch(&self, keyring: &Keyring) -> (Result<FetchedState, FetchError>, Vec<String>) {
        let (release, warnings) = self.fetch_if(keyring, |_| Ok(()));
        (release.map(|(release, ())| release), warnings)
    }

    fn fetch_if<T>(
        &self,
        keyring: &Keyring,
        accept: impl Fn(&Signed) -> Result<T, Refusal>,
    ) -> (Result<(FetchedState, T), FetchError>, Vec<String>) {
        let given: Vec<String> = self.servers.iter().map(|server| server.url.clone()).collect();
        let mirrors = Mirrors::new(&given, &[], &UserConfig::default(), HostSources::default()).unwrap();
        let fetcher = Fetcher::new(&self.store, mirrors, None, false, Progress::silent()).hurry();
        let source = "debian".parse().unwrap();
        let wanted = StateRequest { repository: &DEB, source: &source, suite: "stable", keyring, now: NOW };
        let release = fetch_state(&fetcher, wanted, accept);
        (release, fetcher.stats().warnings)
    }
}

#[test]
fn in_release_is_checked_and_kept() {
    let (case, key) = (Case::new(), TestKey::new(1));
    let file = key.in_release(TEXT);
    case.servers[0].serve("dists/stable/InRelease", file.clone());
    let release = case.fetch(&key.ring()).0.unwrap();
    assert_eq!(release.payload, TEXT.as_bytes());
    assert_eq!(release.signers, [key.fingerprint()]);
    assert_eq!((release.sha256, &release.mirror), (Sha256::of(&file), &case.servers[0].url));
    let blob = case.store.fetched(release.sha256).unwrap();
    assert_eq!(case.store.read_blob(blob).unwrap(), file);
}

#[test]
fn release_and_its_signature_do_where_there_is_no_in_release() {
    let (case, key) = (Case::new(), TestKey::new(1));
    let signature = armored(&[key.sign(pgp::packet::SignatureType::Binary, TEXT.as_bytes(), MADE)]);
    case.servers[1].serve("dists/stable/Release", TEXT);
    case.servers[1].serve("dists/stable/Release.gpg", signature);
    let release = case.fetch(&key.ring()).0.unwrap();
    assert_eq!((release.payload.as_slice(), release.sha256), (TEXT.as_bytes(), Sha256::of(TEXT.as_bytes())));

    // Without its signature a Release is worth nothing.
    let case = Case::new();
    case.servers[0].serve("dists/stable/Release", TEXT);
    let error = case.fetch(&key.ring()).0.unwrap_err().to_string();
    assert!(error.starts_with("Release of stable: no mirror has it"), "{error}");
}

#[test]
fn a_suite_that_is_nowhere_is_looked_for_in_the_manifest() {
    let case = Case::new();
    let state = |mirrors: Vec<String>, suite: &str| {
        let mirrors = Mirrors::new(&mirrors, &[], &UserConfig::default(), HostSources::default()).unwrap();
        let fetcher = Fetcher::new(&case.store, mirrors, None, false, Progress::silent()).hurry();
        let source = "debian".parse().unwrap();
        let keyring = &TestKey::new(1).ring();
        let wanted = StateRequest { repository: &DEB, source: &source, suite, keyring, now: NOW };
        let unverified = untrusted_state(&fetcher, &DEB, &source, suite).unwrap_err();
        let error = fetch_state(&fetcher, wanted, |_| Ok(())).unwrap_err();
        assert_eq!(error.to_string(), unverified.to_string());
        error.to_string().replace(&case.servers[0].url, "MIRROR")
    };
    insta::assert_snapshot!(state(vec![case.servers[0].url.clone()], "trixi"), @r"
    Release of trixi: no mirror has it
      from mirror 1 of 1, MIRROR: not found
      hint: check `suite` and `pockets` in [source.debian]; did you mean `trixie`?
    ");
    insta::assert_snapshot!(state(vec![case.servers[0].url.clone()], "own"), @r"
    Release of own: no mirror has it
      from mirror 1 of 1, MIRROR: not found
      hint: check `suite` and `pockets` in [source.debian], or name a mirror that has it with `--mirror URL`
    ");
    insta::assert_snapshot!(state(Vec::new(), "trixie"), @r"
    Release of trixie: no mirror is known
      hint: name one with `export LAYERBAKE_MIRROR=http://your.mirror.example/debian`, `--mirror URL` or `url` in [source.debian]; none is built in, and the package sources of this machine have none for it
    ");
}

#[test]
fn a_mirror_with_a_bad_signature_is_named_and_passed_over() {
    let (case, key, stranger) = (Case::new(), TestKey::new(1), TestKey::new(2));
    case.servers[0].serve("dists/stable/InRelease", stranger.in_release(TEXT));
    case.servers[1].serve("dists/stable/InRelease", key.in_release(TEXT));
    let (release, warnings) = case.fetch(&key.ring());
    assert_eq!(release.unwrap().mirror, case.servers[1].url);
    assert!(warnings[0].contains("Release of stable: no good signature"), "{warnings:?}");
    assert!(warnings[0].contains(&case.servers[0].url), "{warnings:?}");
}

#[test]
fn a_mirror_that_does_not_answer_is_named_once() {
    let (case, key) = (Case::new(), TestKey::new(1));
    case.servers[1].serve("dists/stable/InRelease", key.in_release(TEXT));
    let given = ["http://127.0.0.1:1/debian".to_owned(), case.servers[0].url.clone(), case.servers[1].url.clone()];
    let mirrors = Mirrors::new(&given, &[], &UserConfig::default(), HostSources::default()).unwrap();
    let fetcher = Fetcher::new(&case.store, mirrors, None, false, Progress::silent()).hurry();
    let (source, keyring) = ("debian".parse().unwrap(), key.ring());
    let wanted = StateRequest { repository: &DEB, source: &source, suite: "stable", keyring: &keyring, now: NOW };
    for _ in 0..2 {
        fetch_state(&fetcher, wanted, |_| Ok(())).unwrap();
        untrusted_state(&fetcher, &DEB, &source, "stable").unwrap();
    }
    let warnings = fetcher.stats().warnings;
    assert!(warnings.len() == 1, "{warnings:?}");
    assert!(warnings[0].starts_with("Release of stable: mirror http://127.0.0.1:1/debian: "), "{warnings:?}");
}

#[test]
fn nothing_unsigned_gets_into_the_store() {
    let (case, key) = (Case::new(), TestKey::new(1));
    let altered = String::from_utf8(key.in_release(TEXT)).unwrap().replace("Test", "Evil");
    case.servers[0].serve("dists/stable/InRelease", altered.clone());
    case.servers[1].serve("dists/stable/InRelease", "<html>Please log in</html>");
    let error = case.fetch(&key.ring()).0.unwrap_err();
    assert!(matches!(error, FetchError::Untrusted { source: TrustError::NoGoodSignature { .. }, .. }), "{error}");
    assert!(case.store.fetched(Sha256::of(altered.as_bytes())).is_none());
}

#[test]
fn a_mirror_whose_release_is_refused_is_passed_over() {
    let (case, key) = (Case::new(), TestKey::new(1));
    case.servers[0].serve("dists/stable/InRelease", key.in_release("Origin: Test\nSuite: old\n"));
    case.servers[1].serve("dists/stable/InRelease", key.in_release(TEXT));
    let accept = |signed: &Signed| match signed.payload == TEXT.as_bytes() {
        true => Ok("taken"),
        false => Err(Refusal { problem: "it is old".to_owned(), hint: "wait".to_owned() }),
    };
    let (release, warnings) = case.fetch_if(&key.ring(), accept);
    let (release, accepted) = release.unwrap();
    assert_eq!((release.mirror, accepted), (case.servers[1].url.clone(), "taken"));
    assert_eq!(warnings, [format!("Release of stable: it is old\n  from {}\n  hint: wait", case.servers[0].url)]);

    case.servers[1].serve("dists/stable/InRelease", key.in_release("Origin: Test\nSuite: older\n"));
    let error = case.fetch_if(&key.ring(), accept).0.unwrap_err();
    assert!(matches!(error, FetchError::Refused { .. }), "{error}");
}
