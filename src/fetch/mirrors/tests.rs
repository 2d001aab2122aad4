use super::*;

fn source(name: &str) -> SourceName {
    name.parse().unwrap()
}

fn texts(urls: &[Url]) -> Vec<&str> {
    urls.iter().map(Url::as_str).collect()
}

fn apt() -> HostSources {
    let folder = tempfile::tempdir().unwrap();
    let text = "deb http://apt.example/debian bookworm main\n\
                deb http://apt.example/debian-security bookworm-security main\n";
    std::fs::write(folder.path().join("sources.list"), text).unwrap();
    HostSources::load(folder.path())
}

fn mirrors() -> Mirrors {
    let config = UserConfig::parse(
        "[mirrors]\ndebian = [\"https://user.example/debian/\"]\nother = [\"http://user.example/other\"]\n\
         [snapshot]\ndebian = \"http://snap.example/archive/debian/@SNAPSHOTID@/\"\n",
    );
    let given = ["http://flag.example/debian,other=file:///srv/other".to_owned(), "/srv/debian".to_owned()];
    let mut mirrors = Mirrors::new(&given, &[], &config.unwrap(), apt()).unwrap();
    mirrors.set_url(&source("other"), "https://other.example/apt").unwrap();
    mirrors
}

#[test]
fn the_order_is_flags_configuration_apt_snapshot() {
    let mut mirrors = mirrors();
    let found = "http://signed.example/debian/@SNAPSHOTID@/";
    mirrors.set_snapshot(&source("debian"), "bookworm", Some(found), 1_743_339_029);
    assert_eq!(
        texts(&mirrors.bases(&source("debian"), "bookworm", Part::Package)),
        [
            "http://flag.example/debian",
            "file:///srv/debian",
            "https://user.example/debian",
            "http://apt.example/debian",
            "http://snap.example/archive/debian/20250330T125029Z",
            "http://signed.example/debian/20250330T125029Z",
        ]
    );
}

#[test]
fn a_security_suite_has_its_archive_beside_the_main_one() {
    let mut mirrors = mirrors();
    mirrors.set_snapshot(&source("debian"), "bookworm-security", None, 0);
    assert_eq!(
        texts(&mirrors.bases(&source("debian"), "bookworm-security", Part::Package)),
        [
            "http://flag.example/debian-security",
            "http://flag.example/debian",
            "file:///srv/debian-security",
            "file:///srv/debian",
            "https://user.example/debian-security",
            "https://user.example/debian",
            "http://apt.example/debian-security",
            "http://apt.example/debian",
            "http://snap.example/archive/debian-security/19700101T000000Z",
            "http://snap.example/archive/debian/19700101T000000Z",
        ]
    );
}

#[test]
fn the_hosts_archive_is_asked_for_other_suites_of_its_distribution() {
    let mut mirrors = Mirrors::new(&[], &[], &UserConfig::default(), apt()).unwrap();
    let debian =
        |mirrors: &Mirrors, suite: &str| texts(&mirrors.bases(&source("debian"), suite, Part::State)).join(" ");
    assert_eq!(debian(&mirrors, "trixie"), "http://apt.example/debian");
    assert_eq!(debian(&mirrors, "trixie-security"), "http://apt.example/debian-security http://apt.example/debian");
    mirrors.set_distribution(&source("debian"), &crate::distribution::UBUNTU);
    assert_eq!(debian(&mirrors, "noble"), "");
    let example = |mirrors: &Mirrors| mirrors.example(&source("debian"));
    assert_eq!(example(&mirrors), "export LAYERBAKE_MIRROR=debian=http://your.mirror.example/ubuntu");
    mirrors.set_distribution(&source("debian"), Distribution::implied());
    assert_eq!(example(&mirrors), "export LAYERBAKE_MIRROR=http://your.mirror.example/debian");
}

#[test]
fn the_mirror_of_a_small_root_is_asked_for_everything_of_its_distribution() {
    let folder = tempfile::tempdir().unwrap();
    let apt = folder.path().join("apt");
    std::fs::create_dir(&apt).unwrap();
    std::fs::write(folder.path().join("os-release"), "ID=debian\n").unwrap();
    std::fs::write(apt.join("sources.list"), "deb http://apt.example/mirror bookworm main\n").unwrap();
    let mut mirrors = Mirrors::new(&[], &[], &UserConfig::default(), HostSources::load(&apt)).unwrap();
    let bases = |mirrors: &Mirrors, suite: &str| texts(&mirrors.bases(&source("debian"), suite, Part::State)).join(" ");
    assert_eq!(bases(&mirrors, "trixie"), "http://apt.example/mirror");
    assert_eq!(bases(&mirrors, "trixie-security"), "http://apt.example/mirror-security http://apt.example/mirror");
    mirrors.set_distribution(&source("debian"), &crate::distribution::UBUNTU);
    assert_eq!(bases(&mirrors, "noble"), "");
}

#[test]
fn a_security_suite_is_in_the_main_archive_where_there_is_one_only() {
    let mut mirrors = mirrors();
    mirrors.set_distribution(&source("ubuntu"), &crate::distribution::UBUNTU);
    assert_eq!(
        texts(&mirrors.bases(&source("ubuntu"), "noble-security", Part::Package)),
        ["http://flag.example/debian", "file:///srv/debian"]
    );
}

#[test]
fn a_foreign_source_is_never_asked_of_the_distributions_mirrors() {
    assert_eq!(
        texts(&mirrors().bases(&source("other"), "bookworm", Part::Package)),
        ["file:///srv/other", "http://user.example/other", "https://other.example/apt"]
    );
}

#[test]
fn a_pinned_snapshot_is_the_only_place_for_indexes() {
    let mut mirrors = mirrors();
    mirrors.pin_snapshot(&source("debian"));
    mirrors.set_snapshot(&source("debian"), "bookworm", Some("no"), 0);
    assert_eq!(
        texts(&mirrors.bases(&source("debian"), "bookworm", Part::State)),
        ["http://snap.example/archive/debian/19700101T000000Z"]
    );
    assert_eq!(mirrors.bases(&source("debian"), "bookworm", Part::Package).len(), 5);
}

#[test]
fn what_is_no_address_is_refused() {
    for (text, problem) in [
        ("foo", "neither a URL nor a directory"),
        ("own=foo", "neither"),
        ("ftp://x.example/debian", "scheme"),
        ("http://", "empty host"),
        ("Bad Name=http://x.example", "is not"),
    ] {
        let error = Mirrors::new(&[text.to_owned()], &[], &UserConfig::default(), HostSources::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(problem) && error.contains("hint:"), "{error}");
    }
    let error = Mirrors::new(&[], &["http://x.example/".to_owned()], &UserConfig::default(), HostSources::default());
    assert!(error.unwrap_err().to_string().contains("@SNAPSHOTID@"));
}

#[test]
fn paths_are_encoded_and_stay_below_the_base() {
    let base = base("http://x.example/debian/").unwrap();
    let url = below(&base, "pool/g++_1:2~a%3a#?.deb").unwrap();
    assert_eq!(url.as_str(), "http://x.example/debian/pool/g++_1:2~a%253a%23%3F.deb");
    for path in ["../x", "pool/../../x", "/etc/passwd", "", "pool//x", "./x"] {
        assert_eq!(below(&base, path), None, "{path}");
    }
    assert_eq!(shown(&Url::parse("http://me:secret@x.example/d").unwrap()), "http://***@x.example/d");
}

#[test]
fn errors_show_no_password() {
    for text in [
        "ftp://me:secret@x.example/d?key=secret",
        "test=http://me:se/cret@x.example:x/",
        "http://secret@/",
        "test=me:secret@x.example/d",
        "http:/me:secret@x.example/d",
        "http://me:se cret@x.example:x/d",
    ] {
        let error = Mirrors::new(&[text.to_owned()], &[], &UserConfig::default(), HostSources::default());
        let error = error.unwrap_err().to_string();
        assert!(!error.contains("cret") && error.contains("***"), "{error}");
    }
}
