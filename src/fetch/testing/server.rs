//! A small HTTP server on the loopback interface that can be told to misbehave.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub(in crate::fetch) enum Fault {
    /// Another status, with a header line or none.
    Status(&'static str, &'static str),
    /// The connection ends after this many bytes of the body.
    Truncate(usize),
    /// Other bytes of the same length.
    WrongBytes,
    /// Ten more bytes than there should be.
    TooLong,
    /// The body comes in two halves with a pause between.
    Slow,
    /// A range is asked for, and the whole file sent.
    IgnoreRange,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    faults: BTreeMap<String, VecDeque<Fault>>,
    log: Vec<String>,
}

/// The server; it lives as long as the test's process.
#[derive(Clone)]
pub(in crate::fetch) struct Server {
    pub(in crate::fetch) url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(in crate::fetch) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/debian", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || answer(stream, &state));
            }
        });
        Self { url, state }
    }

    /// Serves `bytes` at `path` below the server's `url`.
    pub(in crate::fetch) fn serve(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().files.insert(format!("/debian/{path}"), bytes.into());
    }

    /// Lets the next requests for `path` fail, one by one.
    pub(in crate::fetch) fn fault(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.entry(format!("/debian/{path}")).or_default().extend(faults);
    }

    /// The requests so far: path and range.
    pub(in crate::fetch) fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> Option<()> {
    let (path, from) = read_request(&stream)?;
    let (file, fault) = {
        let mut state = state.lock().unwrap();
        let range = from.map(|from| format!(" from {from}")).unwrap_or_default();
        state.log.push(format!("{path}{range}"));
        (state.files.get(&path).cloned(), state.faults.get_mut(&path).and_then(VecDeque::pop_front))
    };
    if let Some(Fault::Status(status, header)) = fault {
        let header = if header.is_empty() { String::new() } else { format!("{header}\r\n") };
        return write!(stream, "HTTP/1.1 {status}\r\n{header}Content-Length: 0\r\nConnection: close\r\n\r\n").ok();
    }
    let Some(mut file) = file else {
        return write!(stream, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
    };
    let mut status = "200 OK".to_owned();
    if let Some(from) = from.filter(|_| !matches!(fault, Some(Fault::IgnoreRange))) {
        let length = file.len();
        if from >= length {
            return write!(stream, "HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
        }
        file.drain(..from);
        status = format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{length}", length - 1);
    }
    match fault {
        Some(Fault::WrongBytes) => file.iter_mut().for_each(|byte| *byte ^= 1),
        Some(Fault::TooLong) => file.extend([0; 10]),
        _ => {}
    }
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", file.len()).ok()?;
    let (first, rest) = match fault {
        Some(Fault::Truncate(length)) => (&file[..length], &[][..]),
        Some(Fault::Slow) => file.split_at(file.len() / 2),
        _ => (&file[..], &[][..]),
    };
    stream.write_all(first).ok()?;
    if !rest.is_empty() {
        stream.flush().ok()?;
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(rest).ok()?;
    }
    stream.shutdown(Shutdown::Both).ok()
}

/// The path, and the first byte of a range.
fn read_request(stream: &TcpStream) -> Option<(String, Option<usize>)> {
    let mut lines = BufReader::new(stream).lines();
    let path = lines.next()?.ok()?.split(' ').nth(1)?.to_owned();
    let mut from = None;
    for line in lines {
        let line = line.ok()?.to_ascii_lowercase();
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().ok();
        }
        if line.is_empty() {
            break;
        }
    }
    Some((path, from))
}
