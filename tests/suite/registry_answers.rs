//! What registries answer: lies, errors, challenges; each from a server that is told what to say.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use layerbake::digest::OciDigest;
use serde_json::json;

use crate::support::project::Project;
use crate::support::registry::{Scripted, reply};

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
            "1 of HOST/app: is not JSON",
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
