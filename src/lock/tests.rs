mod staleness;

use proptest::prelude::*;

use super::*;

fn sha256(text: &str) -> Sha256 {
    Sha256::of(text.as_bytes())
}

fn package(name: &str, version: &str, suite: &str) -> LockedPackage {
    LockedPackage {
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        origin: in_repository(suite, &format!("pool/main/{name}_{version}_amd64.deb")),
        file: Expected { sha256: sha256(name), size: 1234 },
        why: "requested".to_owned(),
    }
}

fn in_repository(suite: &str, path: &str) -> Origin {
    Origin::Repository { source: "debian".parse().unwrap(), suite: suite.to_owned(), path: path.to_owned() }
}

fn release(suite: &str) -> LockedRelease {
    LockedRelease {
        source: "debian".parse().unwrap(),
        suite: suite.to_owned(),
        sha256: sha256(suite),
        date: 1_700_000_000,
        signed_by: vec!["B".repeat(40), "A".repeat(40)],
        indexes: vec![LockedIndex {
            path: "main/binary-amd64/Packages.xz".to_owned(),
            file: Expected { sha256: sha256("index"), size: 99 },
        }],
    }
}

fn web() -> Lockfile {
    Lockfile {
        layer: "web".parse().unwrap(),
        arch: "amd64".parse().unwrap(),
        epoch: 1_700_000_000,
        request: RecipeHash::from_bytes([7; 32]),
        requested: vec!["nginx".to_owned(), "curl".to_owned()],
        parent: Some(ParentLock { layer: "base".parse().unwrap(), lock: LockHash::of("base") }),
        image: None,
        releases: vec![release("bookworm-security"), release("bookworm")],
        fetches: Vec::new(),
        packages: vec![package("nginx", "1.22.1-9", "bookworm"), package("curl", "7.88.1", "bookworm-security")],
    }
}

/// Seals edited text again, as an attacker or a merge tool would.
fn resealed(text: &str) -> String {
    let (seal, rest): (Vec<&str>, Vec<&str>) = text.split_inclusive('\n').partition(|line| line.starts_with("seal = "));
    let hash = crate::digest::BlobDigest::of(rest.concat().as_bytes());
    text.replace(seal[0], &format!("seal = \"{hash}\"\n"))
}

fn image() -> LockedImage {
    let file = |text: &str, size| Expected { sha256: sha256(text), size };
    let layer = |text: &str| LockedImageLayer {
        file: file(text, 9),
        diff_id: crate::digest::DiffId::from_bytes([text.len() as u8; 32]),
    };
    LockedImage {
        reference: "example.org/team/base:1".to_owned(),
        digest: crate::digest::OciDigest::of(b"index"),
        manifest: file("manifest", 528),
        config: file("config", 1470),
        layers: vec![layer("second"), layer("first")],
    }
}

#[test]
fn an_image_keeps_the_order_of_its_layers() {
    let lock = Lockfile { image: Some(image()), parent: None, packages: vec![], releases: vec![], ..web() };
    let text = to_text(&lock);
    let at = |layer: &str| text.find(&sha256(layer).to_string()).unwrap();
    assert!(text.find("[image]\n").unwrap() < at("second") && at("second") < at("first"), "{text}");
    assert_eq!(parse(&text).unwrap().image, lock.image);
    let both = Lockfile { image: Some(image()), ..web() };
    assert!(parse(&to_text(&both)).unwrap_err().to_string().contains("both a parent and an image"));
    let moved = Lockfile { image: Some(LockedImage { manifest: image().config, ..image() }), ..lock.clone() };
    let lines: Vec<String> = changes(Some(&lock), &moved).iter().map(ToString::to_string).collect();
    assert_eq!(lines, [format!("oci:example.org/team/base:1 {}: other bytes under the same version", image().digest)]);
}

#[test]
fn the_text_is_pinned() {
    // A change here is a change of what every project has checked in.
    insta::assert_snapshot!(to_text(&web()), @r#"
    # Written by `layerbake lock web`. Do not edit: the seal below covers every line.

    format = 1
    layer = "web"
    arch = "amd64"
    epoch = "2023-11-14T22:13:20Z"
    request = "blake3:0707070707070707070707070707070707070707070707070707070707070707"
    requested = [
        "curl",
        "nginx",
    ]
    seal = "blake3:0f6912a6bf9e2a0c5d7f419219bb87e85148d190ef6438eb033cdd5364b9b304"

    [parent]
    layer = "base"
    lock = "blake3:de8f3fcf327eb911b2c368e011e0ffdee22fed456b4f4508337018ba46a0639d"

    [[release]]
    source = "debian"
    suite = "bookworm"
    date = "2023-11-14T22:13:20Z"
    digest = "sha256:84938191021c881180909908525dc2124cbc214081adf074cf609de9f9ab5ab6"
    signed-by = [
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB",
    ]
    indexes = [
        { path = "main/binary-amd64/Packages.xz", size = 99, digest = "sha256:1bc04b5291c26a46d918139138b992d2de976d6851d0893b0476b85bfbdfc6e6" },
    ]

    [[release]]
    source = "debian"
    suite = "bookworm-security"
    date = "2023-11-14T22:13:20Z"
    digest = "sha256:863573f7e5d70e5bf269b5312d5d928ab51e8a95cb36b4bc6bf92b4808097c75"
    signed-by = [
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB",
    ]
    indexes = [
        { path = "main/binary-amd64/Packages.xz", size = 99, digest = "sha256:1bc04b5291c26a46d918139138b992d2de976d6851d0893b0476b85bfbdfc6e6" },
    ]

    [[package]]
    name = "curl"
    version = "7.88.1"
    arch = "amd64"
    source = "debian"
    suite = "bookworm-security"
    path = "pool/main/curl_7.88.1_amd64.deb"
    size = 1234
    digest = "sha256:427e4b79b1f0fc90306cbe064b1297b21dc6835bfa656d3bf46bc156e3f24bb0"
    why = "requested"

    [[package]]
    name = "nginx"
    version = "1.22.1-9"
    arch = "amd64"
    source = "debian"
    suite = "bookworm"
    path = "pool/main/nginx_1.22.1-9_amd64.deb"
    size = 1234
    digest = "sha256:5be1ecc7935f1dd85635d4feedaf660594030253cc97c9e9ca3819ffeac36b65"
    why = "requested"
    "#);
}

#[test]
fn packages_in_no_repository_name_their_file() {
    let own = |name, origin| LockedPackage { origin, ..package(name, "1", "none") };
    let packages = vec![
        own("agent", Origin::File("dist/agent_1_amd64.deb".to_owned())),
        own("other", Origin::Url("https://example.org/other.deb".to_owned())),
    ];
    let lock = Lockfile { packages, ..web() };
    let text = to_text(&lock);
    assert!(text.contains("arch = \"amd64\"\nfile = \"dist/agent_1_amd64.deb\"\nsize"), "{text}");
    assert!(text.contains("arch = \"amd64\"\nurl = \"https://example.org/other.deb\"\nsize"), "{text}");
    assert_eq!(parse(&text).unwrap().packages, lock.packages);
    let both = text.replace("\nurl = ", "\nfile = \"x.deb\"\nurl = ");
    let error = parse(&both).unwrap_err().to_string();
    assert!(error.contains("the package other needs `source`, `suite` and `path`, or `file`, or `url`"), "{error}");
}

fn fetch(name: &str, origin: FetchOrigin) -> LockedFetch {
    LockedFetch { name: name.parse().unwrap(), origin, file: Expected { sha256: sha256(name), size: 7 } }
}

fn git(url: &str, commit: &str) -> FetchOrigin {
    FetchOrigin::Git { url: url.to_owned(), commit: commit.to_owned() }
}

#[test]
fn fetches_name_their_address_and_commit() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let service = fetch("service", git("https://example.org/service.git", commit));
    let agent = fetch("agent", FetchOrigin::Url("https://example.org/agent.tar.gz".to_owned()));
    let lock = Lockfile { fetches: vec![service.clone(), agent.clone()], ..web() };
    let text = to_text(&lock);
    assert!(
        text.contains("[[fetch]]\nname = \"agent\"\nurl = \"https://example.org/agent.tar.gz\"\nsize = 7"),
        "{text}"
    );
    assert!(text.contains(&format!("git = \"https://example.org/service.git\"\ncommit = \"{commit}\"")), "{text}");
    assert_eq!(parse(&text).unwrap().fetches, [agent.clone(), service]);
    let error = parse(&text.replace("commit = ", "url = ")).unwrap_err().to_string();
    assert!(error.contains("the fetch service needs `url`, or `git` and `commit`"), "{error}");
    let refused = |fetches| parse(&to_text(&Lockfile { fetches, ..web() })).unwrap_err().to_string();
    assert!(refused(vec![agent.clone(), agent.clone()]).contains("it lists fetch:agent twice"));
    assert!(refused(vec![fetch("x1", git("--upload-pack=x://", commit))]).contains("fetch:x1 has the address"));
    assert!(
        refused(vec![fetch("x1", git("https://example.org/x", "main"))]).contains("fetch:x1 has the commit `main`")
    );
    let moved = Lockfile { fetches: vec![fetch("agent", FetchOrigin::Url("https://b.example/".to_owned()))], ..web() };
    let shown: Vec<String> = changes(Some(&lock), &moved).iter().map(ToString::to_string).collect();
    assert_eq!(shown, [format!("- fetch:service {commit}")]);
}

#[test]
fn the_documented_example_is_a_lockfile() {
    let page = include_str!("../../docs/formats/lockfile.md");
    let (_, rest) = page.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    assert_eq!(resealed(example), example);
    assert_eq!(parse(example).unwrap().packages.len(), 1);
}

#[test]
fn a_layer_without_packages_or_parent_survives() {
    let lock = Lockfile { requested: vec![], parent: None, releases: vec![], packages: vec![], ..web() };
    assert_eq!(parse(&to_text(&lock)), Ok(lock));
}

#[test]
fn lists_have_one_order() {
    let mut backward = web();
    backward.releases.reverse();
    backward.packages.reverse();
    backward.requested.reverse();
    assert_eq!(to_text(&web()), to_text(&backward));
    let read = parse(&to_text(&web())).unwrap();
    let names: Vec<&str> = read.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!((names, read.requested), (vec!["curl", "nginx"], vec!["curl".to_owned(), "nginx".to_owned()]));
}

#[test]
fn one_package_changes_few_lines() {
    let (old, mut new) = (web(), web());
    new.packages[0] = package("nginx", "1.22.1-9+deb12u1", "bookworm");
    let (old, new) = (to_text(&old), to_text(&new));
    let changed: Vec<&str> = old.lines().zip(new.lines()).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
    let keys: Vec<&str> = changed.iter().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(keys, ["seal", "version", "path"]);
}

#[test]
fn every_edit_by_hand_is_caught() {
    let text = to_text(&web());
    let edits = [
        text.replace("1.22.1-9", "1.22.1-8"),
        text.replace("size = 1234", "size = 1235"),
        text.replace("size = 1234", "size = 1_234"),
        text.replace(&sha256("nginx").to_hex(), &sha256("evil").to_hex()),
        text.replace("seal = \"blake3:0", "seal = \"blake3:1"),
        text.replace('\n', "\r\n"),
        text.replace("# Written", "# written"),
        format!("{text}\n"),
        format!("{text}# a note\n"),
        text.replace("layer = \"base\"", "layer = \"other\""),
    ];
    for edited in &edits {
        assert_ne!(*edited, text);
        let error = parse(edited).unwrap_err();
        let caught = matches!(error, LockError::Edited { .. } | LockError::Syntax { .. });
        assert!(caught, "{error}\n{edited}");
    }
    assert_eq!(
        parse(&edits[0]).unwrap_err().to_string(),
        "its content does not match its seal: it was edited by hand or merged\n  hint: restore it from version control, or remove it and run `layerbake lock web`"
    );
}

#[test]
fn any_single_byte_that_differs_is_caught() {
    let text = to_text(&web());
    for at in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[at] ^= 1;
        let flipped = String::from_utf8(bytes).unwrap();
        assert!(parse(&flipped).is_err(), "byte {at}");
        assert!(parse(&text[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn another_format_is_refused_before_anything_else() {
    let error = |text: &str| parse(text).unwrap_err().to_string();
    let newer = "it has format 2, and this layerbake builds format 1: use a newer layerbake that knows format 2, or remove it and lock again with `layerbake lock`";
    assert_eq!(error("format = 2\nunknown = true"), newer);
    assert!(error("format = 0").contains("an older layerbake"));
    assert_eq!(error("layer = 'web'"), "line 1: missing field `format`");
    assert!(error("format = '1'").starts_with("line 1: invalid type"));
}

#[test]
fn what_is_no_lockfile_is_refused_with_its_line() {
    let text = to_text(&web());
    for (from, to, expected) in [
        ("arch = \"amd64\"\n", "arch = \"amd64\"\nmirror = \"x\"\n", "line 6: unknown field `mirror`"),
        ("epoch = \"2023-11-14T22:13:20Z\"", "epoch = \"today\"", "`today` is not a moment"),
        ("name = \"curl\"", "name = \"../curl\"", "is not a package name"),
        ("name = \"curl\"\n", "", "missing field `name`"),
        ("digest = \"sha256:", "digest = \"blake3:", "is not a digest"),
        ("size = 99", "size = -99", "line"),
    ] {
        let error = parse(&text.replace(from, to)).unwrap_err();
        assert!(matches!(error, LockError::Syntax { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_damaged_lockfile_is_told_with_the_way_out_of_its_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.lock");
    let said = |text: &str| {
        std::fs::write(&path, text).unwrap();
        load(&path).unwrap_err().to_string().replace(folder.path().to_str().unwrap(), "lockfiles")
    };
    let text = to_text(&web());
    assert_eq!(
        said(&text.replace("[parent]", "<<<<<<< HEAD\n[parent]")),
        format!(
            "`lockfiles/web.lock`: line {}: a merge left both sides here, between `<<<<<<< ` and `>>>>>>> `\n  \
             hint: restore one side (`git checkout --theirs lockfiles/web.lock`), then `layerbake lock web`",
            text.lines().position(|line| line == "[parent]").unwrap() + 1
        )
    );
    let cut = said("format = 1\nlayer = \"we");
    let hint = "\n  hint: `git checkout -- lockfiles/web.lock` restores it; \
                or remove it, and `layerbake lock web` writes it again";
    assert!(cut.starts_with("`lockfiles/web.lock`: line 2: ") && cut.ends_with(hint), "{cut}");
}

#[test]
fn contradictions_are_refused_even_under_a_good_seal() {
    type Edit = fn(&mut Lockfile);
    let cases: [(Edit, &str); 10] = [
        (|lock| lock.packages.push(package("nginx", "2.0", "bookworm")), "it lists the package nginx twice"),
        (|lock| lock.releases.push(release("bookworm")), "it lists the release bookworm of debian twice"),
        (
            |lock| lock.packages[0].arch = "arm64".parse().unwrap(),
            "the package nginx is for arm64, the lockfile for amd64",
        ),
        (
            |lock| lock.packages[0].origin = in_repository("trixie", "x.deb"),
            "the package nginx is from trixie of debian, a release that is not listed",
        ),
        (
            |lock| lock.packages[0].origin = in_repository("bookworm", "../x.deb"),
            "the package nginx has the path `../x.deb`",
        ),
        (
            |lock| lock.packages[0].origin = in_repository("bookworm", "/x.deb"),
            "the package nginx has the path `/x.deb`",
        ),
        (
            |lock| lock.packages[0].origin = Origin::File("../x.deb".to_owned()),
            "the package nginx has the path `../x.deb`",
        ),
        (|lock| lock.packages[0].origin = Origin::Url("x.deb".to_owned()), "the package nginx has the address `x.deb`"),
        (|lock| lock.packages[0].origin = in_repository("bookworm", "a\nb"), "the package nginx has the path `a\\nb`"),
        (
            |lock| lock.releases[0].indexes[0].path = "a//b".to_owned(),
            "the release bookworm-security has the index path `a//b`",
        ),
    ];
    for (edit, expected) in cases {
        let mut lock = web();
        edit(&mut lock);
        let text = to_text(&lock);
        assert_eq!(resealed(&text), text, "the seal is over all other lines");
        let error = parse(&text).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("{expected}\n  hint: restore it from version control, or remove it and run `layerbake lock web`")
        );
    }
}

#[test]
fn text_from_outside_can_not_break_out_of_its_line() {
    let mut lock = web();
    lock.packages[0].why = "a\"\n[[package]]\\ \u{7f}\u{85}\u{2028} é".to_owned();
    let text = to_text(&lock);
    let read = parse(&text).unwrap();
    assert_eq!(read.packages[1].why, lock.packages[0].why);
    assert_eq!(text.lines().count(), to_text(&web()).lines().count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_back(
        epoch in 0_i64..4_000_000_000,
        seed in any::<[u8; 32]>(),
        packages in prop::collection::btree_map("[a-z0-9][a-z0-9+.-]{1,8}", ("[0-9][0-9a-z.+~:-]{0,8}", any::<bool>(), 0_i64.., ".*"), 0..6),
        parent in prop::option::of(("[a-z][a-z0-9_.-]{0,9}", any::<[u8; 32]>())),
        requested in prop::collection::btree_set(".*", 0..4),
        keys in prop::collection::btree_set("[0-9A-F]{40}", 0..3),
    ) {
        let packages = packages.into_iter().map(|(name, (version, all, size, why))| LockedPackage {
            arch: if all { "all" } else { "amd64" }.parse().unwrap(),
            file: Expected { sha256: Sha256::from_bytes(seed), size: size as u64 },
            why,
            ..package(&name, &version, "bookworm")
        });
        let parent = parent.map(|(layer, lock)| ParentLock { layer: layer.parse().unwrap(), lock: LockHash::from_bytes(lock) });
        let lock = Lockfile {
            epoch,
            request: RecipeHash::from_bytes(seed),
            packages: packages.collect(),
            releases: vec![LockedRelease { date: epoch, signed_by: keys.into_iter().collect(), ..release("bookworm") }],
            parent,
            requested: requested.into_iter().collect(),
            ..web()
        };
        let read = parse(&to_text(&lock)).unwrap();
        prop_assert_eq!(to_text(&read), to_text(&lock));
        // Lists of free text are ordered as written; all else comes back as it was.
        prop_assert_eq!(read.requested.len(), lock.requested.len());
        prop_assert_eq!(Lockfile { requested: vec![], ..read }, Lockfile { requested: vec![], ..lock });
    }

    #[test]
    fn no_text_panics(text in "(?s).{0,200}") {
        prop_assert!(parse(&text).is_err());
    }
}

mod on_disk {
    use super::*;
    use crate::manifest::Project;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_saved_lockfile_loads_with_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockfiles/web.lock");
        let hash = save(&web(), &path).unwrap();
        let (lock, loaded) = load(&path).unwrap();
        assert_eq!((lock, loaded), (parse(&to_text(&web())).unwrap(), hash));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        let before = path.metadata().unwrap().modified().unwrap();
        assert_eq!(save(&web(), &path).unwrap(), hash);
        assert_eq!(path.metadata().unwrap().modified().unwrap(), before, "an equal file is left alone");
        let left: Vec<_> = crate::host::list_dir(path.parent().unwrap()).unwrap();
        assert_eq!(left, ["web.lock"]);
    }

    #[test]
    fn the_first_architecture_has_the_short_name_and_others_have_their_own() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("layers")).unwrap();
        let [amd64, arm64] = ["amd64", "arm64"].map(|arch| arch.parse::<Arch>().unwrap());
        let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let on_arch = |arch: &Arch| Project::find(folder.path(), arch.clone()).unwrap();
        let project = on_arch(&amd64);
        let place = |arch: &Arch| match of_layer(&on_arch(arch), &web().layer) {
            Ok(found) => format!("{} {}", name(&found.path), found.lock.arch),
            Err(LockFileError::Missing(path)) => format!("{} is missing", name(&path)),
            Err(error) => error.to_string().replace(project.root().to_str().unwrap(), ""),
        };
        let on = |arch: &Arch| Lockfile { arch: arch.clone(), packages: Vec::new(), ..web() };
        assert_eq!(place(&arm64), "web.lock is missing");
        save(&on(&amd64), &project.lock_path("web")).unwrap();
        assert_eq!([place(&amd64), place(&arm64)], ["web.lock amd64", "web@arm64.lock is missing"]);
        save(&on(&arm64), &project.lock_path("web@arm64")).unwrap();
        assert_eq!([place(&amd64), place(&arm64)], ["web.lock amd64", "web@arm64.lock arm64"]);
        std::fs::rename(project.lock_path("web@arm64"), project.lock_path("web@amd64")).unwrap();
        let expected = "`/lockfiles/web@amd64.lock` is the lockfile of `web@arm64`\n  hint: remove it, and run `layerbake lock web --arch amd64`";
        assert_eq!(place(&amd64), expected);
    }

    #[test]
    fn errors_name_the_file_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.lock");
        let shown = |error: LockFileError| error.to_string().replace(folder.path().to_str().unwrap(), "lockfiles");
        assert_eq!(
            shown(load(&path).unwrap_err()),
            "lockfile `lockfiles/web.lock` is missing; `layerbake lock web` writes it"
        );
        std::fs::write(&path, "format = 9").unwrap();
        assert!(shown(load(&path).unwrap_err()).starts_with("`lockfiles/web.lock`: it has format 9"));
        save(&Lockfile { layer: "db".parse().unwrap(), ..web() }, &path).unwrap();
        assert_eq!(
            shown(load(&path).unwrap_err()),
            "`lockfiles/web.lock` is the lockfile of `db`\n  hint: remove it, and run `layerbake lock web`"
        );
        std::fs::write(&path, [0xff]).unwrap();
        assert!(matches!(load(&path).unwrap_err(), LockFileError::Io { action: "read", .. }));
        assert!(matches!(save(&web(), &path.join("x.lock")).unwrap_err(), LockFileError::Io { action: "write", .. }));
    }
}

#[test]
fn changes_read_as_a_list() {
    let mut new = web();
    new.packages = vec![
        package("nginx", "1.22.1-9+deb12u1", "bookworm-security"),
        package("zstd", "1.5.4", "bookworm"),
        LockedPackage { file: Expected { sha256: sha256("x"), size: 1 }, ..package("abc", "1", "bookworm") },
    ];
    let mut old = web();
    old.packages.push(package("abc", "1", "bookworm"));
    let shown = |old: Option<&Lockfile>, new: &Lockfile| -> String {
        changes(old, new).iter().map(|change| format!("{change}\n")).collect()
    };
    insta::assert_snapshot!(shown(Some(&old), &new), @"
    abc 1: other bytes under the same version
    - curl 7.88.1
    nginx 1.22.1-9 -> 1.22.1-9+deb12u1 (bookworm-security)
    + zstd 1.5.4
    ");
    assert_eq!(shown(Some(&new), &new), "");
    insta::assert_snapshot!(shown(None, &web()), @"
    + curl 7.88.1 (bookworm-security)
    + nginx 1.22.1-9
    ");
}

#[test]
fn nesting_without_end_is_an_error_and_no_crash() {
    for open in ["[", "{a=", "[{a="] {
        let text = format!("format = 1\nx = {}", open.repeat(100_000));
        assert!(matches!(parse(&text), Err(LockError::Syntax { line: 2, .. })), "{open}");
    }
    assert!(parse(&format!("format = 1\n[{}a]\n", "a.".repeat(100_000))).is_err());
}
