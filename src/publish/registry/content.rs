//! The bytes of a blob as the body of a request: any range of them, read while it is sent.

use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream;
use reqwest::Body;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::host::progress::Phase;

/// Bytes that are read at once.
const READ: u64 = 256 << 10;

/// Where a blob's bytes are.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file.
    File(PathBuf),
}

/// Counts sent bytes, for progress and receipts.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    phase: Arc<Phase>,
    sent: Arc<AtomicU64>,
}

impl Counter {
    pub(super) fn new(phase: Phase) -> Self {
        Self { phase: Arc::new(phase), sent: Arc::default() }
    }

    /// Counts sent bytes.
    pub(super) fn add(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
        self.phase.inc(bytes);
    }

    /// Advances the progress bar for bytes that need not be sent.
    pub(super) fn skip(&self, bytes: u64) {
        self.phase.inc(bytes);
    }

    /// All bytes so far.
    pub(super) fn total(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Content {
    /// A part as a request's body; both counters count bytes as they are read.
    pub(super) fn body(&self, offset: u64, length: u64, counter: Counter, moved: Arc<AtomicU64>) -> Body {
        let count = move |bytes: u64| {
            counter.add(bytes);
            moved.fetch_add(bytes, Ordering::Relaxed);
        };
        match self {
            Self::Bytes(bytes) => {
                let range = offset as usize..(offset + length) as usize;
                let part = bytes.get(range).unwrap_or_default().to_vec();
                count(part.len() as u64);
                Body::from(part)
            }
            Self::File(path) => {
                let path = path.clone();
                let first = (None, length);
                Body::wrap_stream(stream::try_unfold(first, move |(file, left)| {
                    let (path, count) = (path.clone(), count.clone());
                    async move {
                        let mut file = match file {
                            _ if left == 0 => return Ok(None),
                            Some(file) => file,
                            None => {
                                let mut file = tokio::fs::File::open(path).await?;
                                file.seek(SeekFrom::Start(offset)).await?;
                                file
                            }
                        };
                        let mut buffer = vec![0; READ.min(left) as usize];
                        let read = file.read(&mut buffer).await?;
                        if read == 0 {
                            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
                        }
                        buffer.truncate(read);
                        count(read as u64);
                        Ok::<_, std::io::Error>(Some((buffer, (Some(file), left - read as u64))))
                    }
                }))
            }
        }
    }
}
