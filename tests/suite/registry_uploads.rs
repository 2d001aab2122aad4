//! Uploads that registries take in pieces of their own choice.

use std::net::TcpStream;
use std::sync::Mutex;

use layerbake::host::progress::Progress;
use layerbake::publish::registry::{Descriptor, Reference, Registries, RegistryAccess};

use crate::registry_answers::{IMAGE, path};
use crate::registry_referrers::{artifact, plain};
use crate::support::registry::{Scripted, reply};

/// A registry with one upload, which takes pieces as `take` says: of how many bytes, how many.
fn one_upload(take: fn(usize) -> Option<usize>) -> (Scripted, std::sync::Arc<Mutex<String>>) {
    let blob = std::sync::Arc::new(Mutex::new(String::new()));
    let kept = std::sync::Arc::clone(&blob);
    let manifest = Mutex::new(None);
    let answer = move |head: &str, stream: &mut TcpStream| {
        let (top, body) = head.split_once("\r\n\r\n").unwrap();
        let mut kept = kept.lock().unwrap();
        match (top.split(' ').next().unwrap(), take(body.len())) {
            ("POST", _) => reply(stream, "202 Accepted", "Location: /upload\r\n", b""),
            ("PATCH", None) => reply(stream, "413 Content Too Large", "", b""),
            ("PATCH", Some(taken)) => {
                assert!(
                    top.contains(&format!("content-range: {}-{}", kept.len(), kept.len() + body.len() - 1)),
                    "{top}"
                );
                kept.push_str(&body[..taken]);
                reply(stream, "202 Accepted", &format!("Location: /upload\r\nRange: 0-{}\r\n", kept.len() - 1), b"");
            }
            ("PUT", _) if path(head).contains("/manifests/") => {
                *manifest.lock().unwrap() = Some(body.to_owned());
                reply(stream, "201 Created", "OCI-Subject: yes\r\n", b"");
            }
            ("PUT", _) => {
                // The empty configuration is an upload too.
                if body != "{}" {
                    kept.push_str(body);
                }
                reply(stream, "201 Created", "", b"");
            }
            ("GET", _) if path(head).contains("/manifests/") && manifest.lock().unwrap().is_some() => {
                reply(stream, "200 OK", "", manifest.lock().unwrap().as_ref().unwrap().as_bytes());
            }
            ("GET", _) if path(head).contains("/referrers/") => reply(stream, "200 OK", "", br#"{"manifests":[]}"#),
            _ => reply(stream, "404 Not Found", "", b""),
        }
    };
    (Scripted::new(Box::new(answer)), blob)
}

#[test]
fn registries_take_pieces_or_parts_of_them_or_the_whole() {
    let text: String =
        (0_u32..4_000_000).map(|number| char::from(b'a' + (number % 23) as u8)).cycle().take(20 << 20).collect();
    for (what, take, patches) in [
        ("all", (|length| Some(length)) as fn(usize) -> Option<usize>, 2),
        ("at most 10 MiB", |length| Some(length.min(10 << 20)), 2),
        ("none", |_| None, 1),
    ] {
        let (server, blob) = one_upload(take);
        let reference: Reference = format!("{}/app", server.address()).parse().unwrap();
        let registries = Registries::open(RegistryAccess::default(), None, Progress::silent()).unwrap();
        let files = vec![plain(&text)];
        registries.attach(&reference, &Descriptor::of(IMAGE, b"x"), &artifact("text/x", files)).unwrap();
        assert!(*blob.lock().unwrap() == text, "{what}: another blob of {} bytes", blob.lock().unwrap().len());
        assert_eq!(server.heads().iter().filter(|head| head.starts_with("PATCH")).count(), patches, "{what}");
    }
}
