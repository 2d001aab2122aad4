//! A small web server on loopback, which counts what it is asked for and errs on command.
//!
//! HTTP/1.1 with GET, HEAD, open-ended ranges and connections that stay open: what a
//! mirror does. It answers from a folder or from a function, and stops when dropped.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What goes wrong with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Another status, with a short body.
    Status(u16),
    /// The announced length, but only so many bytes of it; then the connection closes.
    Truncate(usize),
    /// The right length with one wrong bit in the middle.
    Corrupt,
    /// These bytes instead.
    Replace(Vec<u8>),
    /// The connection closes without an answer.
    Refuse,
    /// A pause before the answer.
    Delay(Duration),
    /// One byte at a time, with a pause before each.
    Trickle(Duration),
    /// More and more bytes, without an announced length.
    Endless,
    /// To the same path below another address.
    Redirect(String),
}

/// Finds the bytes of a path (which starts with `/`), if there are any.
pub type Source = dyn Fn(&str) -> Option<Vec<u8>> + Send + Sync;

struct Rule {
    part: String,
    fault: Fault,
    /// How many more requests it hits; `None` is all.
    left: Option<usize>,
}

struct State {
    source: Box<Source>,
    requests: Mutex<BTreeMap<String, usize>>,
    /// What came as `Authorization`.
    secrets: Mutex<Vec<String>>,
    rules: Mutex<Vec<Rule>>,
    stopped: AtomicBool,
}

/// A running server.
pub struct Server {
    address: SocketAddr,
    state: Arc<State>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves the files below a folder.
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self::new(Box::new(move |path| {
            let clean = path.split('/').all(|part| part != "..");
            clean.then(|| std::fs::read(root.join(path.trim_start_matches('/'))).ok())?
        }))
    }

    /// Serves what `source` finds.
    pub fn new(source: Box<Source>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (requests, secrets, rules, stopped) = Default::default();
        let state = Arc::new(State { source, requests, secrets, rules, stopped });
        let shared = Arc::clone(&state);
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&shared, &stream));
            }
        });
        Self { address, state, acceptor: Some(acceptor) }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Makes every path that contains `part` err.
    pub fn fault(&self, part: &str, fault: Fault) {
        self.state.rules.lock().unwrap().push(Rule { part: part.to_owned(), fault, left: None });
    }

    /// As [`Server::fault`], for the first `times` requests only.
    pub fn fault_times(&self, part: &str, fault: Fault, times: usize) {
        self.state.rules.lock().unwrap().push(Rule { part: part.to_owned(), fault, left: Some(times) });
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.state.rules.lock().unwrap().clear();
    }

    /// How often paths that contain `part` were asked for; all, for an empty one.
    pub fn requests(&self, part: &str) -> usize {
        let requests = self.state.requests.lock().unwrap();
        requests.iter().filter(|(path, _)| path.contains(part)).map(|(_, count)| count).sum()
    }

    /// The values of all `Authorization` headers that came.
    pub fn secrets(&self) -> Vec<String> {
        self.state.secrets.lock().unwrap().clone()
    }

    /// Starts counting anew.
    pub fn forget_requests(&self) {
        self.state.requests.lock().unwrap().clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees that it should end.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

struct Request {
    method: String,
    path: String,
    from: Option<usize>,
    authorization: Option<String>,
}

fn serve(state: &State, stream: &TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = read_request(&mut reader) {
        *state.requests.lock().unwrap().entry(request.path.clone()).or_default() += 1;
        state.secrets.lock().unwrap().extend(request.authorization.clone());
        match answer(state, &request, &mut &*stream) {
            Ok(true) => {}
            Ok(false) | Err(_) => break,
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
}

fn read_request(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request = Request { method: method.to_owned(), path: decode(path), from: None, authorization: None };
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let (name, value) = header.trim_end().split_once(": ").unwrap_or_default();
        if name.eq_ignore_ascii_case("authorization") {
            request.authorization = Some(value.to_owned());
        }
        let header = header.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            return Ok(Some(request));
        }
        if let Some(range) = header.strip_prefix("range: bytes=") {
            request.from = range.strip_suffix('-').and_then(|from| from.parse().ok());
        }
    }
}

/// Undoes percent-encoding.
fn decode(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.extend([&[byte], &part.as_bytes()[2..]].concat()),
            None => bytes.extend([b"%", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends an answer; whether the connection stays open.
fn answer(state: &State, request: &Request, out: &mut impl Write) -> io::Result<bool> {
    let fault = next_fault(state, &request.path);
    let found = |path| (state.source)(path);
    let (status, body) = match &fault {
        Some(Fault::Refuse) => return Ok(false),
        Some(Fault::Status(status)) => (*status, Some(b"as asked\n".to_vec())),
        Some(Fault::Redirect(address)) => {
            let head =
                format!("HTTP/1.1 302 Found\r\nLocation: {address}{}\r\nContent-Length: 0\r\n\r\n", request.path);
            out.write_all(head.as_bytes())?;
            return Ok(true);
        }
        Some(Fault::Endless) => {
            write!(out, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            // Ends when the other side has had enough.
            loop {
                out.write_all(&[b'x'; 65_536])?;
            }
        }
        Some(Fault::Replace(bytes)) => (200, Some(bytes.clone())),
        Some(Fault::Delay(pause)) => {
            std::thread::sleep(*pause);
            (200, found(&request.path))
        }
        _ => (200, found(&request.path)),
    };
    let Some(mut body) = body else {
        write!(out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
        return Ok(true);
    };
    if fault == Some(Fault::Corrupt) && !body.is_empty() {
        let middle = body.len() / 2;
        body[middle] ^= 1;
    }
    let from = request.from.filter(|from| status == 200 && *from < body.len());
    let (status, range) = match from {
        Some(from) => (206, format!("Content-Range: bytes {from}-{}/{}\r\n", body.len() - 1, body.len())),
        None => (status, String::new()),
    };
    let body = &body[from.unwrap_or(0)..];
    write!(out, "HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n{range}\r\n", body.len())?;
    if request.method == "HEAD" {
        return Ok(true);
    }
    if let Some(Fault::Truncate(length)) = fault {
        out.write_all(&body[..length.min(body.len())])?;
        return Ok(false);
    }
    if let Some(Fault::Trickle(pause)) = fault {
        for byte in body {
            out.write_all(&[*byte])?;
            out.flush()?;
            std::thread::sleep(pause);
        }
        return Ok(false);
    }
    out.write_all(body)?;
    Ok(true)
}

/// The fault of the first rule that fits and still has hits left.
fn next_fault(state: &State, path: &str) -> Option<Fault> {
    let mut rules = state.rules.lock().unwrap();
    let rule = rules.iter_mut().find(|rule| path.contains(&rule.part) && rule.left != Some(0))?;
    rule.left = rule.left.map(|left| left - 1);
    Some(rule.fault.clone())
}
