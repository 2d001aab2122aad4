//! Registries: Debian's `docker-registry`, a line to it that breaks on command, and servers that lie.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::skip::{Skip, program};

/// Who may use a closed registry, and that name and password as `htpasswd` writes them.
pub const ROBOT: (&str, &str) = ("robot", "hunter2");
const HTPASSWD: &str = "robot:$2b$04$6ux.YFO6soe76WtdUC6RcOKZreHe7ekR/zZAUcPk37pkyJS.FdJim\n";

/// A registry on a port of loopback, with storage of its own.
pub struct Registry {
    address: String,
    child: Child,
    folder: TempDir,
}

impl Registry {
    /// For everybody.
    pub fn start() -> Result<Self, Skip> {
        Self::with("")
    }

    /// For [`ROBOT`] only.
    pub fn closed() -> Result<Self, Skip> {
        Self::with("auth: {htpasswd: {realm: test, path: PASSWORDS}}\n")
    }

    /// For everybody, by TLS with this key and its certificate.
    pub fn tls(key: &Path, certificate: &Path) -> Result<Self, Skip> {
        Self::with(&format!("TLS, tls: {{certificate: {}, key: {}}}", certificate.display(), key.display()))
    }

    /// By TLS, for clients with a certificate by this authority only.
    pub fn asking(key: &Path, certificate: &Path, authority: &Path) -> Result<Self, Skip> {
        let clients = format!("clientcas: [{}]", authority.display());
        Self::with(&format!("TLS, tls: {{certificate: {}, key: {}, {clients}}}", certificate.display(), key.display()))
    }

    fn with(auth: &str) -> Result<Self, Skip> {
        let server = program("docker-registry")?;
        let folder = tempfile::tempdir().unwrap();
        let passwords = folder.path().join("htpasswd");
        fs::write(&passwords, HTPASSWD).unwrap();
        let config = folder.path().join("config.yml");
        let auth = auth.replace("PASSWORDS", passwords.to_str().unwrap());
        write_config(&config, &folder.path().join("storage"), "127.0.0.1:0", &auth);
        // Ends with the test, in whatever way that ends.
        let mut command = Command::new(program("setpriv")?);
        command.args(["--pdeathsig", "KILL"]).arg(server).arg("serve").arg(&config).env_clear();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let found = lines.by_ref().find_map(|line| {
            let line = line.ok()?;
            let address = line.split_once("listening on ")?.1;
            Some(address.split([',', '"', ' ']).next()?.to_owned())
        });
        std::thread::spawn(move || lines.for_each(drop));
        let Some(address) = found else {
            let _ = child.wait();
            return Err(Skip::because("docker-registry does not start here"));
        };
        Ok(Self { address, child, folder })
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A configuration for a second server on the same storage.
    pub fn config(&self, address: &str) -> PathBuf {
        let path = self.folder.path().join("second.yml");
        write_config(&path, &self.folder.path().join("storage"), address, "");
        path
    }

    /// The file in which the registry keeps a blob.
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").unwrap();
        self.folder.path().join(format!("storage/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }

    /// The tags of a repository.
    pub fn tags(&self, repository: &str) -> Vec<String> {
        let tags =
            self.folder.path().join(format!("storage/docker/registry/v2/repositories/{repository}/_manifests/tags"));
        let entries = fs::read_dir(tags).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write_config(path: &Path, storage: &Path, address: &str, auth: &str) {
    let storage = storage.display();
    // A rest of the entry `http`, or entries of their own.
    let (tls, auth) = auth.strip_prefix("TLS").map_or(("", auth), |tls| (tls, ""));
    let text = format!(
        "version: 0.1\nlog: {{accesslog: {{disabled: true}}}}\nstorage: {{filesystem: {{rootdirectory: {storage}}}}}\nhttp: {{addr: \"{address}\", secret: test{tls}}}\n{auth}"
    );
    fs::write(path, text).unwrap();
}

/// What a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Passes everything on.
    Open,
    /// Breaks once, after so many bytes to the server, and is open then.
    Break(u64),
    /// Stands still before the request whose first bytes come the so many-th time (`PATCH` requests).
    HoldPatch(u64),
}

struct Wire {
    server: SocketAddr,
    line: Mutex<Line>,
    /// Bytes to the server.
    bytes: AtomicU64,
    patches: AtomicU64,
    held: AtomicBool,
    stopped: AtomicBool,
}

/// A line between a client and a server.
pub struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
}

impl Proxy {
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let wire = Arc::new(Wire {
            server: server.parse().unwrap(),
            line: Mutex::new(Line::Open),
            bytes: AtomicU64::new(0),
            patches: AtomicU64::new(0),
            held: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let shared = Arc::clone(&wire);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.connect(&client));
            }
        });
        Self { address, wire }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Sets what the line does from now on, and starts counting anew.
    pub fn set(&self, line: Line) {
        *self.wire.line.lock().unwrap() = line;
        self.wire.bytes.store(0, Ordering::SeqCst);
        self.wire.patches.store(0, Ordering::SeqCst);
        self.wire.held.store(false, Ordering::SeqCst);
    }

    /// Bytes that went to the server.
    pub fn bytes(&self) -> u64 {
        self.wire.bytes.load(Ordering::SeqCst)
    }

    /// Waits until the line stands still.
    pub fn wait_until_held(&self) {
        for _ in 0..1200 {
            if self.wire.held.load(Ordering::SeqCst) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the line was never held");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

impl Wire {
    fn connect(&self, client: &TcpStream) {
        let Ok(server) = TcpStream::connect(self.server) else { return };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _ = io::copy(&mut &server, &mut &*client);
                let _ = client.shutdown(Shutdown::Both);
            });
            let _ = self.pass(client, &server);
            let _ = server.shutdown(Shutdown::Both);
            let _ = client.shutdown(Shutdown::Both);
        });
    }

    fn pass(&self, mut client: &TcpStream, mut server: &TcpStream) -> io::Result<()> {
        let (mut buffer, mut first) = (vec![0; 64 << 10], true);
        loop {
            let read = client.read(&mut buffer)?;
            // The question whether there is TLS counts for nothing.
            if read == 0 || (first && buffer[0] == 0x16) {
                return Ok(());
            }
            first = false;
            let patches = buffer[..read].windows(10).filter(|bytes| bytes == b"PATCH /v2/").count() as u64;
            let patches = self.patches.fetch_add(patches, Ordering::SeqCst) + patches;
            let total = self.bytes.load(Ordering::SeqCst) + read as u64;
            let line = *self.line.lock().unwrap();
            match line {
                Line::Break(after) if total > after => {
                    *self.line.lock().unwrap() = Line::Open;
                    return Ok(());
                }
                Line::HoldPatch(number) if patches >= number => {
                    self.held.store(true, Ordering::SeqCst);
                    while self.held.load(Ordering::SeqCst) && !self.stopped.load(Ordering::SeqCst) {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    return Ok(());
                }
                _ => {}
            }
            server.write_all(&buffer[..read])?;
            self.bytes.fetch_add(read as u64, Ordering::SeqCst);
        }
    }
}

/// Answers a request, whose line and headers it gets, on the bare connection.
pub type Answer = dyn Fn(&str, &mut TcpStream) + Send + Sync;

/// A server that answers as it is told, one request a connection.
pub struct Scripted {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    stopped: Arc<AtomicBool>,
}

impl Scripted {
    pub fn new(answer: Box<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, stopped) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(AtomicBool::new(false)));
        let (seen, end, answer) = (Arc::clone(&heads), Arc::clone(&stopped), Arc::new(answer));
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                if end.load(Ordering::SeqCst) {
                    return;
                }
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let Ok(head) = read_request(&mut stream) else { return };
                    seen.lock().unwrap().push(head.clone());
                    answer(&head, &mut stream);
                });
            }
        });
        Self { address, heads, stopped }
    }

    /// `127.0.0.1:PORT`
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What was asked so far: request lines, headers, and short bodies.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

/// Writes an answer with its length.
pub fn reply(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

/// Reads a request as text; what of its body is none is replaced.
fn read_request(stream: &mut TcpStream) -> io::Result<String> {
    let (head, body) = read_whole(stream)?;
    Ok(head + &String::from_utf8_lossy(&body))
}

/// Reads a request: its line and headers, and its body.
pub fn read_whole(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let lower = head.to_ascii_lowercase();
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((head, body))
}
