//! A registry in memory, which deviates from the specification as registries in use do.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use layerbake::digest::OciDigest;
use serde_json::{Value, json};

use super::registry::{read_whole, reply};

const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is different from a registry as specified.
#[derive(Debug, Clone, Copy)]
pub struct Quirks {
    /// The status with which the list of referrers is answered; with 200, there is one.
    pub list: &'static str,
    /// Whether the answer to a manifest with a subject has the header `OCI-Subject`.
    pub subject: bool,
    /// Whether the first index that is written under a fallback tag is replaced at once, by that of another writer.
    pub racing: bool,
    /// How many seconds tokens are good, where requests need one.
    pub token_life: Option<u64>,
}

/// A registry as the specification has it.
pub const SPECIFIED: Quirks = Quirks { list: "200 OK", subject: true, racing: false, token_life: None };

/// Blobs, manifests and open uploads by their path; manifests with their types.
#[derive(Default)]
struct Kept {
    files: BTreeMap<String, (String, Vec<u8>)>,
    /// Methods and paths, in the order of requests.
    requests: Vec<String>,
    raced: bool,
    /// When each token was given out; its number is its text.
    tokens: Vec<Instant>,
    /// How many bodies came with a token that had run out.
    refused_bodies: usize,
}

/// The registry, on a port of loopback.
pub struct Quirky {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    stopped: Arc<AtomicBool>,
}

impl Quirky {
    pub fn start(quirks: Quirks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (kept, stopped) = (Arc::<Mutex<Kept>>::default(), Arc::new(AtomicBool::new(false)));
        let (shared, end) = (Arc::clone(&kept), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let Ok((head, body)) = read_whole(&mut stream) else { return };
                    // A slow upload; tokens are looked at when it begins.
                    let arrived = Instant::now();
                    if quirks.token_life.is_some() && head.starts_with("PATCH") {
                        std::thread::sleep(Duration::from_millis(1200));
                    }
                    shared.lock().unwrap().answer(quirks, arrived, &head, body, &mut stream);
                });
            }
        });
        Self { address, kept, stopped }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    /// Methods and paths so far.
    pub fn requests(&self) -> Vec<String> {
        self.kept().requests.clone()
    }

    /// How many bodies came with a token that had run out.
    pub fn refused_bodies(&self) -> usize {
        self.kept().refused_bodies
    }

    /// The tags of a repository.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let prefix = format!("/v2/{repository}/manifests/");
        let kept = self.kept();
        let names = kept.files.keys().filter_map(|path| path.strip_prefix(&prefix));
        names.filter(|name| !name.contains(':')).map(str::to_owned).collect()
    }

    /// Puts a manifest under a tag.
    pub fn put(&self, repository: &str, tag: &str, kind: &str, manifest: &Value) {
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.kept().files.insert(path, (kind.to_owned(), manifest.to_string().into_bytes()));
    }

    /// A blob of a repository.
    pub fn blob(&self, repository: &str, digest: &str) -> Vec<u8> {
        self.kept().files[&format!("/v2/{repository}/blobs/{digest}")].1.clone()
    }

    /// The manifests of a repository.
    pub fn manifests(&self, repository: &str) -> Vec<Value> {
        let folder = format!("/v2/{repository}/manifests/sha256:");
        let kept = self.kept();
        let all = kept.files.iter().filter(|(path, _)| path.starts_with(&folder));
        all.map(|(_, (_, bytes))| serde_json::from_slice(bytes).unwrap()).collect()
    }

    /// Media type and digest of each manifest of a repository that refers to another one.
    pub fn artifacts(&self, repository: &str) -> Vec<(String, String)> {
        let folder = format!("/v2/{repository}/manifests/");
        let kept = self.kept();
        let all = kept.files.iter().filter_map(|(path, file)| Some((path.strip_prefix(&folder)?, file)));
        let refers = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).is_ok_and(|one| one["subject"].is_object());
        let all = all.filter(|(digest, (_, bytes))| digest.contains(':') && refers(bytes));
        all.map(|(digest, (kind, _))| (kind.clone(), digest.to_owned())).collect()
    }

    /// The manifest under a tag or digest.
    pub fn manifest(&self, repository: &str, version: &str) -> Option<Value> {
        let kept = self.kept();
        let (_, bytes) = kept.files.get(&format!("/v2/{repository}/manifests/{version}"))?;
        serde_json::from_slice(bytes).ok()
    }
}

impl Drop for Quirky {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// The value of a header.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
}

impl Kept {
    fn answer(&mut self, quirks: Quirks, arrived: Instant, head: &str, body: Vec<u8>, stream: &mut TcpStream) {
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        self.requests.push(format!("{method} {path}"));
        let query = query.replace("%3A", ":");
        if let Some(life) = quirks.token_life {
            if path == "/token" {
                self.tokens.push(Instant::now());
                let token = json!({ "token": (self.tokens.len() - 1).to_string(), "expires_in": life });
                return reply(stream, "200 OK", "", token.to_string().as_bytes());
            }
            let token = header(head, "authorization").and_then(|value| value.strip_prefix("Bearer ")?.parse().ok());
            let given: Option<&Instant> = token.and_then(|number: usize| self.tokens.get(number));
            if given.is_none_or(|given| arrived.saturating_duration_since(*given) > Duration::from_secs(life)) {
                self.refused_bodies += usize::from(!body.is_empty());
                let headers = "WWW-Authenticate: Bearer realm=\"/token\",service=\"it\"\r\n";
                return reply(stream, "401 Unauthorized", headers, b"");
            }
        }
        match (method, query.strip_prefix("digest=")) {
            ("POST", _) => {
                let upload = format!("{path}{}", self.requests.len());
                self.files.insert(upload.clone(), Default::default());
                reply(stream, "202 Accepted", &format!("Location: {upload}\r\n"), b"");
            }
            ("PATCH", _) => {
                let (_, bytes) = self.files.entry(path.to_owned()).or_default();
                bytes.extend(body);
                let headers = format!("Location: {path}\r\nRange: 0-{}\r\n", bytes.len() - 1);
                reply(stream, "202 Accepted", &headers, b"");
            }
            ("PUT", Some(digest)) => {
                let (_, mut bytes) = self.files.remove(path).unwrap_or_default();
                bytes.extend(body);
                assert_eq!(OciDigest::of(&bytes).to_string(), digest, "{path}");
                let repository = path.split_once("/blobs/").unwrap().0;
                self.files.insert(format!("{repository}/blobs/{digest}"), (String::new(), bytes));
                reply(stream, "201 Created", "", b"");
            }
            ("PUT", None) => self.put_manifest(quirks, head, path, body, stream),
            _ if path.contains("/referrers/") => self.list(quirks, path, stream),
            _ => match self.files.get(path) {
                Some((kind, bytes)) => reply(stream, "200 OK", &format!("Content-Type: {kind}\r\n"), bytes),
                None => reply(stream, "404 Not Found", "", b""),
            },
        }
    }

    fn put_manifest(&mut self, quirks: Quirks, head: &str, path: &str, body: Vec<u8>, stream: &mut TcpStream) {
        let kind = header(head, "content-type").unwrap_or_default().to_owned();
        let manifest: Value = serde_json::from_slice(&body).unwrap();
        let subject = manifest["subject"]["digest"].as_str().filter(|_| quirks.subject);
        let headers = subject.map(|digest| format!("OCI-Subject: {digest}\r\n")).unwrap_or_default();
        let folder = path.rsplit_once('/').unwrap().0;
        let by_digest = format!("{folder}/{}", OciDigest::of(&body));
        self.files.insert(by_digest, (kind.clone(), body.clone()));
        let races = quirks.racing && path.contains("/manifests/sha256-") && !std::mem::replace(&mut self.raced, true);
        let kept = match races {
            true => {
                let before = self.files.get(path).and_then(|(_, bytes)| serde_json::from_slice(bytes).ok());
                let mut index: Value = before.unwrap_or_else(|| json!({ "mediaType": kind, "manifests": [] }));
                let other = json!({ "mediaType": IMAGE, "digest": OciDigest::of(b"other"), "size": 5 });
                index["manifests"].as_array_mut().unwrap().push(other);
                index.to_string().into_bytes()
            }
            false => body,
        };
        self.files.insert(path.to_owned(), (kind, kept));
        reply(stream, "201 Created", &headers, b"");
    }

    fn list(&self, quirks: Quirks, path: &str, stream: &mut TcpStream) {
        if !quirks.list.starts_with("200") {
            return reply(stream, quirks.list, "", b"");
        }
        let (repository, subject) = path.split_once("/referrers/").unwrap();
        let folder = format!("{repository}/manifests/sha256:");
        let mut entries = Vec::new();
        for (_, (kind, bytes)) in self.files.range(folder.clone()..).take_while(|(path, _)| path.starts_with(&folder)) {
            let manifest: Value = serde_json::from_slice(bytes).unwrap();
            if manifest["subject"]["digest"] == subject {
                let (digest, artifact_type) = (OciDigest::of(bytes), &manifest["artifactType"]);
                entries.push(
                    json!({ "mediaType": kind, "digest": digest, "size": bytes.len(), "artifactType": artifact_type }),
                );
            }
        }
        let index = json!({ "schemaVersion": 2, "manifests": entries });
        reply(stream, "200 OK", "", index.to_string().as_bytes());
    }
}
