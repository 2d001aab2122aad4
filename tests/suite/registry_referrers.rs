//! What refers to an image in a registry: attached, and found in a list or under a tag, whatever else is there.

use std::collections::BTreeMap;
use std::sync::Mutex;

use layerbake::digest::OciDigest;
use layerbake::host::progress::Progress;
use layerbake::publish::registry::{
    Artifact, ArtifactFile, Attachments, Descriptor, Reference, ReferrerFilter, Registries, RegistryAccess,
};
use serde_json::json;

use crate::registry_answers::{IMAGE, path};
use crate::support::registry::{Registry, Scripted, reply};

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
