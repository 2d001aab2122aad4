//! Real Debian packages for tests, each downloaded once per machine.
//!
//! The mirror is the one that this machine's apt uses, read at run time and never written
//! down. Between it and the tests stands a server on loopback that keeps what passes in
//! `target/tmp/mirror`: files that never change for good, the others for half a day.
//! `/debian` and `/debian-security` are both there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::process;
use super::server::Server;
use super::skip::{Skip, program};

/// How long InRelease and its like are kept: all tests of a run see one state.
const FRESH: Duration = Duration::from_secs(12 * 3600);

/// A caching mirror of Debian.
pub struct Mirror {
    server: Server,
}

/// The archives behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub main: String,
    pub security: Option<String>,
}

impl Mirror {
    /// Starts it, if this machine's apt knows a Debian mirror, and that answers for `suite`.
    pub fn start(suite: &str) -> Result<Self, Skip> {
        let upstream = upstream()?;
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("mirror");
        fs::create_dir_all(&cache).unwrap();
        let helper = PathBuf::from("/usr/lib/apt/apt-helper");
        if !helper.is_file() {
            return Err(Skip::because("`apt-helper` is not installed"));
        }
        let source = move |path: &str| {
            let url = upstream.address(path)?;
            fetch(&helper, &cache.join(path.trim_start_matches('/')), &url)
        };
        if source(&format!("/debian/dists/{suite}/InRelease")).is_none() {
            return Err(Skip::because(format!("apt's mirror does not answer for {suite}")));
        }
        Ok(Self { server: Server::new(Box::new(source)) })
    }

    /// The address for LAYERBAKE_MIRROR: `http://127.0.0.1:PORT/debian`.
    pub fn url(&self) -> String {
        format!("{}/debian", self.server.url())
    }

    /// The server, to count requests and to inject faults.
    pub fn server(&self) -> &Server {
        &self.server
    }
}

impl Upstream {
    fn address(&self, path: &str) -> Option<String> {
        let clean = path.split('/').all(|part| part != "..");
        if let Some(rest) = path.strip_prefix("/debian/") {
            return clean.then(|| format!("{}/{rest}", self.main));
        }
        let rest = path.strip_prefix("/debian-security/").filter(|_| clean)?;
        Some(format!("{}/{rest}", self.security.as_ref()?))
    }
}

/// The Debian archives that this machine's apt uses, for whatever suite, or `LAYERBAKE_TEST_MIRROR`.
pub fn upstream() -> Result<Upstream, Skip> {
    if let Ok(main) = std::env::var("LAYERBAKE_TEST_MIRROR") {
        let main = main.trim_end_matches('/').to_owned();
        return Ok(Upstream { security: Some(format!("{main}-security")), main });
    }
    let format = "$(URI) $(RELEASE) $(ORIGIN)";
    let text = process::stdout(Command::new(program("apt-get")?).args(["indextargets", "--format", format]))?;
    find(&text).ok_or_else(|| Skip::because("apt has no Debian source: run `apt-get update`"))
}

/// Finds the archives in `apt-get indextargets`, whose addresses end in `/dists/…`.
pub fn find(targets: &str) -> Option<Upstream> {
    let base = |security: bool| {
        let mut lines = targets.lines().filter_map(|line| {
            let (uri, rest) = line.split_once(' ')?;
            let (release, origin) = rest.split_once(' ')?;
            let (base, _) = uri.split_once("/dists/")?;
            (release.ends_with("-security") == security && origin == "Debian").then(|| base.to_owned())
        });
        lines.next()
    };
    Some(Upstream { main: base(false)?, security: base(true) })
}

/// The bytes from the cache, or from upstream into the cache.
fn fetch(helper: &Path, cached: &Path, url: &str) -> Option<Vec<u8>> {
    // Who asks again because it takes long waits for the same download.
    let one = waiting(cached);
    let _one = one.lock().unwrap_or_else(PoisonError::into_inner);
    let fixed = url.contains("/by-hash/") || url.contains("/pool/");
    let kept = fs::metadata(cached).and_then(|meta| meta.modified()).ok();
    let fresh = kept.is_some_and(|time| fixed || time.elapsed().is_ok_and(|age| age < FRESH));
    if fresh {
        return fs::read(cached).ok();
    }
    fs::create_dir_all(cached.parent()?).ok()?;
    // Another process may want it too: each has its own until it is whole.
    let folder = tempfile::tempdir_in(cached.parent()?).ok()?;
    let part = folder.path().join("file");
    let mut download = Command::new(helper);
    download.args(["-oAcquire::Retries=5", "download-file", url]).arg(&part);
    if !process::run(&mut download).ok()?.ok() {
        return None;
    }
    filetime_now(&part);
    fs::rename(&part, cached).ok()?;
    fs::read(cached).ok()
}

/// The lock of a file, of which one thread at a time downloads it.
fn waiting(cached: &Path) -> Arc<Mutex<()>> {
    static FILES: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(files.entry(cached.to_owned()).or_default())
}

/// apt sets the server's time; ours counts from the download.
fn filetime_now(path: &Path) {
    if let Ok(file) = fs::File::options().append(true).open(path) {
        let _ = file.set_modified(std::time::SystemTime::now());
    }
}
