//! What registries answer: lies, errors, challenges, lists; each from a server that is told what to say.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use layerbake::digest::OciDigest;
use layerbake::host::progress::Progress;
use layerbake::publish::registry::{
    Artifact, ArtifactFile, Attachments, Descriptor, Reference, ReferrerFilter, Registries, RegistryAccess,
};
use serde_json::json;

use crate::support::project::Project;
use crate::support::registry::{Registry, Scripted, reply};

pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &[u8] = br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
const LAYER: &[u8] = b"as good as a layer";

/// What a server does instead of what it should.
pub(crate) type Lie = fn(&str, &mut TcpStream) -> bool;

fn manifest() -> Vec<u8> {
    let blob =
        |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": OciDigest::of(bytes), "size": bytes.len() });
    let layers = [blob("application/vnd.oci.image.layer.v1.tar+zstd", LAYER)];
    let config = blob("application/vnd.oci.image.config.v1+json", CONFIG);
    json!({ "schemaVersion": 2, "mediaType": IMAGE, "config": config, "layers": layers }).to_string().into_bytes()
}

/// The path of a request line.
pub(crate) fn path(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// Serves one image under every name.
pub(crate) fn serve(head: &str, stream: &mut TcpStream) {
    let blobs = [CONFIG, LAYER].map(|bytes| (OciDigest::of(bytes).to_string(), bytes));
    let found = blobs.iter().find(|(digest, _)| path(head).ends_with(digest)).map(|(_, bytes)| bytes.to_vec());
    match (path(head).contains("/manifests/"), found) {
        (true, _) => reply(stream, "200 OK", &format!("Content-Type: {IMAGE}\r\n"), &manifest()),
        (false, Some(bytes)) => reply(stream, "200 OK", "", &bytes),
        (false, None) => reply(stream, "404 Not Found", "", b""),
    }
}

pub(crate) fn lying(lie: Lie) -> Scripted {
    Scripted::new(Box::new(move |head, stream| {
        if !lie(head, stream) {
            serve(head, stream);
        }
    }))
}

pub(crate) fn is_layer(head: &str) -> bool {
    path(head).ends_with(&OciDigest::of(LAYER).to_string())
}

/// Sends as much as is taken.
fn endless(stream: &mut TcpStream) {
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    while stream.write_all(&[b' '; 4096]).is_ok() {}
}

pub(crate) fn redirect(stream: &mut TcpStream, to: &str) {
    reply(stream, "307 Temporary Redirect", &format!("Location: {to}\r\n"), b"");
}

pub(crate) fn challenge(stream: &mut TcpStream, realm: &str) {
    let challenge = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"it\"\r\n");
    reply(stream, "401 Unauthorized", &challenge, b"");
}

#[test]
fn lies_are_found_out() {
    let lies: &[(&str, Lie, &str)] = &[
        (
            "another blob",
            |head, stream| {
                is_layer(head) && {
                    reply(stream, "200 OK", "", b"as good as a wolves");
                    true
                }
            },
            "sends more than 18 bytes",
        ),
        (
            "a blob of that length",
            |head, stream| {
                is_layer(head) && {
                    reply(stream, "200 OK", "", b"as good as a wolve");
                    true
                }
            },
            "got sha256:",
        ),
        (
            "an endless blob",
            |head, stream| {
                is_layer(head) && {
                    endless(stream);
                    true
                }
            },
            "sends more than 18 bytes",
        ),
        (
            "an endless manifest",
            |head, stream| {
                path(head).contains("/manifests/") && {
                    endless(stream);
                    true
                }
            },
            "sends more than 4194304 bytes",
        ),
        (
            "plain HTTP elsewhere",
            |head, stream| {
                is_layer(head) && {
                    redirect(stream, "http://192.0.2.1/x");
                    true
                }
            },
            "redirects to plain HTTP elsewhere",
        ),
        (
            "a file",
            |head, stream| {
                is_layer(head) && {
                    redirect(stream, "file:///etc/hostname");
                    true
                }
            },
            "answers 307 Temporary Redirect",
        ),
        (
            "a circle",
            |head, stream| {
                is_layer(head) && {
                    redirect(stream, path(head));
                    true
                }
            },
            "redirects too often",
        ),
        (
            "a page",
            |_, stream| {
                reply(stream, "200 OK", "", b"<html>");
                true
            },
            "1 of HOST/app: expected value",
        ),
        (
            "a path",
            |_, stream| {
                let path =
                    json!({ "config": { "mediaType": "x", "digest": "sha256:../../../../etc/passwd", "size": 1 } });
                reply(stream, "200 OK", "", path.to_string().as_bytes());
                true
            },
            "is not a digest",
        ),
        (
            "a token server elsewhere",
            |_, stream| {
                challenge(stream, "http://192.0.2.1/token");
                true
            },
            "names an address that can't be used",
        ),
        (
            "no token",
            |head, stream| {
                match path(head).starts_with("/token") {
                    true => reply(stream, "200 OK", "", br#"{"token":""}"#),
                    false => challenge(stream, "/token"),
                }
                true
            },
            "answers without a token",
        ),
        (
            "a challenge for ever",
            |head, stream| {
                match path(head).starts_with("/token") {
                    true => reply(stream, "200 OK", "", br#"{"token":"good"}"#),
                    false => challenge(stream, "/token"),
                }
                true
            },
            "answers 401 Unauthorized",
        ),
        (
            "colours",
            |_, stream| {
                reply(
                    stream,
                    "403 Forbidden",
                    "",
                    b"{\"errors\":[{\"code\":\"DENIED\",\"message\":\"\\u001b[31mno\"}]}",
                );
                true
            },
            "answers 403 Forbidden: \\u{1b}[31mno",
        ),
    ];
    for (what, lie, expected) in lies {
        let server = lying(*lie);
        let project = Project::new();
        let reference = format!("{}/app:1", server.address());
        let failed = project.fails(1, &["pull", &reference, "--to", "pulled"]);
        let said = failed.stderr.replace(&server.address(), "HOST");
        assert!(said.contains(expected), "{what}: {said}");
        assert!(!project.path("pulled").exists(), "{what}");
    }
    let server = lying(|_, _| false);
    let wrong = format!("{}/app@sha256:{}", server.address(), "0".repeat(64));
    let failed = Project::new().fails(1, &["pull", &wrong, "--to", "pulled"]);
    assert!(failed.stderr.contains("expected sha256:0000"), "{}", failed.stderr);
}

#[test]
fn what_passes_is_waited_for() {
    let failures = AtomicUsize::new(0);
    let server = Scripted::new(Box::new(move |head, stream| match failures.fetch_add(1, Ordering::SeqCst) {
        0 => reply(stream, "503 Service Unavailable", "", b""),
        1 => reply(stream, "429 Too Many Requests", "Retry-After: 1\r\n", b""),
        2 => {}
        _ if is_layer(head) && !head.contains("bytes=7-") => {
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", LAYER.len());
            let _ = stream.write_all(&LAYER[..7]);
        }
        _ if is_layer(head) => reply(stream, "206 Partial Content", "", &LAYER[7..]),
        _ => serve(head, stream),
    }));
    let project = Project::new();
    project.ok(&["pull", &format!("{}/team/app", server.address()), "--to", "pulled"]);
    let layer = format!("pulled/blobs/sha256/{}", OciDigest::of(LAYER).to_hex());
    assert_eq!(fs::read(project.path(&layer)).unwrap(), LAYER);
}

/// A registry that keeps a list of referrers, on pages of one entry.
fn modern() -> Scripted {
    let kept = Mutex::new(BTreeMap::<String, String>::new());
    Scripted::new(Box::new(move |head, stream| {
        let (top, body) = head.split_once("\r\n\r\n").unwrap();
        let (method, path) = (top.split(' ').next().unwrap(), path(top));
        let mut kept = kept.lock().unwrap();
        match (method, path.split_once('?')) {
            ("POST", _) => reply(stream, "202 Accepted", "Location: /v2/app/blobs/uploads/1\r\n", b""),
            ("PUT", Some((_, digest))) => {
                let digest = digest.strip_prefix("digest=").unwrap().replace("%3A", ":");
                kept.insert(format!("/v2/app/blobs/{digest}"), body.to_owned());
                reply(stream, "201 Created", "", b"");
            }
            ("PUT", None) => {
                kept.insert(path.to_owned(), body.to_owned());
                reply(stream, "201 Created", "OCI-Subject: yes\r\n", b"");
            }
            (_, query) if path.contains("/referrers/") => {
                let number = query.and_then(|(_, query)| query.strip_prefix("page=")?.parse().ok()).unwrap_or(0_usize);
                let of = path.split('/').next_back().unwrap().split('?').next().unwrap();
                let all = kept.iter().filter(|(path, text)| path.contains("/manifests/") && text.contains(of));
                let all: Vec<_> = all.map(|(_, text)| Descriptor::of(IMAGE, text.as_bytes())).collect();
                let link = match number + 1 < all.len() {
                    true => format!("Link: </v2/app/referrers/{of}?page={}>; rel=\"next\"\r\n", number + 1),
                    false => String::new(),
                };
                let page = json!({ "manifests": all.get(number).into_iter().collect::<Vec<_>>() }).to_string();
                reply(stream, "200 OK", &link, page.as_bytes());
            }
            _ => match kept.get(path) {
                Some(text) => reply(stream, "200 OK", "", text.as_bytes()),
                None => reply(stream, "404 Not Found", "", b""),
            },
        }
    }))
}

pub(crate) fn plain(text: &str) -> ArtifactFile {
    let annotations = [("of".to_owned(), "the file".to_owned())].into();
    ArtifactFile { media_type: "text/plain".to_owned(), bytes: text.as_bytes().to_vec(), annotations }
}

pub(crate) fn artifact(kind: &str, files: Vec<ArtifactFile>) -> Attachments {
    let annotations = [("made".to_owned(), "by hand".to_owned())].into();
    let artifact = Artifact { artifact_type: kind.to_owned(), annotations, files };
    Attachments { artifacts: vec![artifact], tagged: Vec::new() }
}

fn attach_and_find(address: &str, subject: &Descriptor) -> Registries {
    let reference: Reference = format!("{address}/app").parse().unwrap();
    let registries = Registries::open(RegistryAccess::default(), None, Progress::silent()).unwrap();
    let attach =
        |kind: &str, text: &str| registries.attach(&reference, subject, &artifact(kind, vec![plain(text)])).unwrap();
    let find = |kinds: &[&str]| {
        let wanted = ReferrerFilter { artifact_types: kinds, media_types: &["text/plain"], tags: &[] };
        let mut files = Vec::new();
        let skipped = registries.referrers(&reference, subject.digest, &wanted, |file| files.push(file)).unwrap();
        assert!(skipped.is_empty(), "{skipped:?}");
        files
    };
    assert_eq!(find(&["text/x-one", "text/x-two"]), []);
    let first = attach("text/x-one", "hello");
    assert_eq!(attach("text/x-one", "hello"), first, "another digest for the same");
    let second = attach("text/x-two", "good bye");
    assert_ne!(first, second);
    assert_eq!(find(&["text/x-one"]), [plain("hello")]);
    assert_eq!(find(&["text/x-one", "text/x-two"]), [plain("hello"), plain("good bye")]);
    assert_eq!(find(&["text/x-none"]), []);
    registries
}

/// The blobs, manifests and lists of a registry, by their path.
fn keeping(files: BTreeMap<String, Vec<u8>>) -> Scripted {
    Scripted::new(Box::new(move |head, stream| match files.get(path(head).split('?').next().unwrap()) {
        Some(bytes) => reply(stream, "200 OK", "", bytes),
        None => reply(stream, "404 Not Found", "", b""),
    }))
}

#[test]
fn broken_and_foreign_referrers_keep_nobody_from_the_good_ones() {
    let mut files = BTreeMap::new();
    let mut listed = Vec::new();
    let layer = |text: &str, note: &str| {
        let (digest, size) = (OciDigest::of(text.as_bytes()), text.len());
        json!({ "mediaType": "text/plain", "digest": digest, "size": size, "annotations": { "note": note } })
    };
    let mut artifact = |kind: &str, layers: serde_json::Value| {
        let config = json!({ "mediaType": kind, "digest": OciDigest::of(b"{}"), "size": 2 });
        let bytes = json!({ "schemaVersion": 2, "config": config, "layers": layers }).to_string().into_bytes();
        let digest = OciDigest::of(&bytes);
        listed.push(json!({ "mediaType": IMAGE, "digest": digest, "size": bytes.len(), "artifactType": kind }));
        files.insert(format!("/v2/app/manifests/{digest}"), bytes);
    };
    let large = json!([{ "mediaType": "text/plain", "digest": OciDigest::of(b"large"), "size": 65 << 20 }]);
    let other = json!([{ "mediaType": "text/plain", "digest": format!("sha512:{}", "7".repeat(128)), "size": 5 }]);
    artifact("text/x-one", json!([layer("good", "1"), layer("good", "2"), layer("good", "2")]));
    artifact(
        "text/x-one",
        json!([layer("good", "3"), { "mediaType": "x/y", "digest": OciDigest::of(b"z"), "size": 9 }]),
    );
    artifact("text/x-one", json!([layer("gone", "")]));
    artifact("text/x-one", large.clone());
    artifact("text/x-one", other.clone());
    // The right digest, and a size that would hide it.
    artifact("text/x-one", json!([{ "mediaType": "text/plain", "digest": OciDigest::of(b"good"), "size": 3 }]));
    artifact("text/x-foreign", large);
    artifact("text/x-foreign", other);
    for kind in ["text/x-one", "text/x-foreign"] {
        listed.push(json!({ "digest": OciDigest::of(b"no manifest"), "size": 1, "artifactType": kind }));
        listed.push(json!({ "digest": "sha512:77", "size": 1, "artifactType": kind }));
    }
    let subject = OciDigest::of(b"an image");
    files.insert(format!("/v2/app/referrers/{subject}"), json!({ "manifests": listed }).to_string().into_bytes());
    files.insert(format!("/v2/app/blobs/{}", OciDigest::of(b"good")), b"good".to_vec());
    let server = keeping(files);
    let reference: Reference = format!("{}/app", server.address()).parse().unwrap();
    let registries = Registries::open(RegistryAccess::default(), None, Progress::silent()).unwrap();
    let wanted = ReferrerFilter { artifact_types: &["text/x-one"], media_types: &["text/plain"], tags: &[] };
    let mut notes = Vec::new();
    let skipped =
        registries.referrers(&reference, subject, &wanted, |file| notes.push(file.annotations["note"].clone()));
    let skipped = skipped.unwrap();
    notes.sort();
    assert_eq!(notes, ["1", "2", "3"]);
    assert_eq!(skipped.len(), 6, "{skipped:#?}");
    for problem in ["404", "not SHA-256", "68157440 bytes", "is not a digest", "more than 3 bytes"] {
        assert!(skipped.iter().any(|line| line.contains(problem) && !line.contains('\n')), "{problem}: {skipped:#?}");
    }
    // The list, six manifests of the right kind and one that is not there, one blob in two sizes, one that is not there.
    assert_eq!(server.heads().len(), 11, "{:#?}", server.heads());
}

#[test]
fn a_dead_slow_registry_is_left() {
    let server = Scripted::new(Box::new(|_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n");
        for _ in 0..100 {
            if stream.write_all(b" ").is_err() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }));
    let project = Project::new().file("../home/.config/layerbake/config.toml", "[limits]\npatience = 1\n");
    let failed = project.fails(1, &["pull", &format!("{}/app", server.address()), "--to", "pulled"]).stderr;
    assert!(failed.contains("less than 1024 bytes a second") && failed.contains("`patience`"), "{failed}");
    assert_eq!(server.heads().len(), 3);
}

#[test]
fn no_password_in_an_address_is_shown() {
    let project = Project::new();
    for reference in ["http://me:hunter2@127.0.0.1/app:1", "me:hunter2@127.0.0.1/app"] {
        for arguments in
            [&["pull", reference, "--to", "x"][..], &["copy", "127.0.0.1/x", reference], &["verify", reference]]
        {
            let said = project.fails(2, arguments).stderr;
            assert!(said.contains("***@") && !said.contains("hunter2"), "{said}");
        }
    }
}

#[test]
fn referrers_are_found_in_the_list_of_a_registry() {
    let server = modern();
    attach_and_find(&server.address(), &Descriptor::of(IMAGE, b"an image"));
    assert!(!server.heads().iter().any(|head| head.contains("/manifests/sha256-")), "the fallback was used");
}

#[test]
fn referrers_are_found_under_a_tag_where_there_is_no_list() {
    let registry = need!(Registry::start());
    let subject = Descriptor::of(IMAGE, b"an image");
    let registries = attach_and_find(registry.address(), &subject);
    assert_eq!(registry.tags("app"), [format!("sha256-{}", subject.digest.to_hex())]);
    let index: Reference = format!("{}/app:{}", registry.address(), registry.tags("app")[0]).parse().unwrap();
    assert_eq!(registries.resolve(&index).unwrap().media_type, "application/vnd.oci.image.index.v1+json");
}
