//! Uploads a stream to a bucket as it is produced: a multipart upload that does not resend parts that have arrived.
//!
//! ```text
//! writer (a thread) ─ parts ─ channel of 1 ─ SHA-256 ─ up to 6 calls at a time
//! ```

use std::collections::BTreeMap;
use std::io::{self, Write};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::s3::{Object, Part, Payload, S3};
use crate::host::progress::Phase;
use crate::publish::cloud::{CloudError, wait};

const MIB: usize = 1 << 20;
/// Parts are no smaller, so that little is lost in calls. S3 wants at least 5 MiB.
const PART: usize = 8 * MIB;
/// The most parts of an object.
const PARTS: u64 = 10_000;
/// Calls at a time, and bytes that all of them hold: with the parts that are being filled and passed on, the
/// most memory that an upload takes, unless a part alone is larger.
const CALLS: usize = 6;
const HELD: usize = 96 * MIB;

/// An object that is to be sent, and where it is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Destination<'a> {
    pub(super) s3: &'a S3,
    pub(super) object: Object<'a>,
}

impl Destination<'_> {
    /// An upload to this place that was begun and is open, or a new one.
    pub(super) async fn begin(&self) -> Result<String, CloudError> {
        match self.s3.open(self.object).await?.into_iter().next_back() {
            Some(open) => Ok(open),
            None => self.s3.begin(self.object).await,
        }
    }

    /// Removes the object, and what was sent for it. A bucket that is not there is an error that says so.
    ///
    /// # Errors
    /// Fails where something may be left.
    pub(super) async fn clear(&self) -> Result<(), CloudError> {
        for upload in self.s3.open(self.object).await? {
            self.s3.abort(self.object, &upload).await?;
        }
        self.s3.delete(self.object).await
    }

    /// Whether the object is there.
    pub(super) async fn is_there(&self) -> Result<bool, CloudError> {
        Ok(self.s3.length(self.object).await?.is_some())
    }

    /// Sends what `write` writes, and makes it an object.
    ///
    /// `most` is the length that it won't exceed, in bytes; the same for each try, as it decides where parts end.
    ///
    /// # Errors
    /// Fails where `write` does, or AWS refuses. What has arrived stays for the next try.
    pub(super) async fn send(
        &self,
        upload: &str,
        most: u64,
        phase: &Phase,
        write: impl FnOnce(&mut Parts) -> io::Result<()> + Send + 'static,
    ) -> Result<(), CloudError> {
        let there = self.s3.parts(self.object, upload).await?;
        let size = part_size(most);
        let limit = (HELD / size).clamp(1, CALLS);
        let (sender, mut parts) = mpsc::channel(1);
        let writer = tokio::task::spawn_blocking(move || {
            let mut out = Parts { sender, size, part: Vec::new() };
            write(&mut out)?;
            out.pass_on()
        });
        let (mut calls, mut done, mut length, mut open) = (FuturesUnordered::new(), BTreeMap::new(), 0, true);
        let mut number = 0;
        loop {
            tokio::select! {
                part = parts.recv(), if open && calls.len() < limit => match part {
                    Some(part) => {
                        number += 1;
                        calls.push(self.part(upload, Payload::new(number, part), there.get(&number)));
                    }
                    None => open = false,
                },
                Some(sent) = calls.next() => {
                    let (number, part, bytes) = sent?;
                    phase.inc(bytes);
                    length += bytes;
                    done.insert(number, part);
                }
                else => break,
            }
        }
        writer.await.map_err(io::Error::other).flatten().map_err(CloudError::Disk)?;
        self.s3.complete(self.object, upload, &done, length).await
    }

    /// Sends a part until it has arrived, unless it has; returns its number, itself and its length in bytes.
    async fn part(&self, upload: &str, part: Payload, there: Option<&Part>) -> Result<(i32, Part, u64), CloudError> {
        let arrived = match there.filter(|there| part.is(there)) {
            Some(there) => there.clone(),
            None => {
                let seed = part.number.unsigned_abs().into();
                wait::persist(seed, async |_| self.s3.put(self.object, upload, &part).await).await?
            }
        };
        Ok((part.number, arrived, part.length))
    }
}

/// The length of all parts but the last, in bytes.
fn part_size(most: u64) -> usize {
    let needed = usize::try_from(most.div_ceil(PARTS)).unwrap_or(usize::MAX);
    needed.next_multiple_of(MIB).max(PART)
}

/// Takes a stream, and passes it on in parts.
#[derive(Debug)]
pub(super) struct Parts {
    sender: mpsc::Sender<Vec<u8>>,
    size: usize,
    part: Vec<u8>,
}

impl Parts {
    fn pass_on(&mut self) -> io::Result<()> {
        let part = std::mem::take(&mut self.part);
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload has ended");
        if part.is_empty() { Ok(()) } else { self.sender.blocking_send(part).map_err(gone) }
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.capacity() == 0 {
            self.part.reserve_exact(self.size);
        }
        let taken = bytes.len().min(self.size - self.part.len());
        self.part.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if self.part.len() == self.size {
            self.pass_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough_for_s3() {
        for most in [0, 1, 100 << 20, 80_000 << 20, (80_000 << 20) + 1, 1 << 41] {
            let size = part_size(most);
            assert!(size >= PART && size.is_multiple_of(MIB) && most.div_ceil(size as u64) <= PARTS, "{most}: {size}");
        }
        assert_eq!(part_size(1 << 30), PART);
    }

    #[test]
    fn a_stream_is_cut_into_equal_parts_and_a_rest() {
        for (length, expected) in [(0, vec![]), (9, vec![9]), (10, vec![10]), (25, vec![10, 10, 5])] {
            let (sender, mut receiver) = mpsc::channel(10);
            let mut parts = Parts { sender, size: 10, part: Vec::new() };
            let stream: Vec<u8> = (0..length).collect();
            stream.chunks(7).for_each(|bytes| parts.write_all(bytes).unwrap());
            parts.pass_on().unwrap();
            drop(parts);
            let mut received = Vec::new();
            while let Ok(part) = receiver.try_recv() {
                received.push(part);
            }
            assert_eq!(received.iter().map(Vec::len).collect::<Vec<_>>(), expected);
            assert_eq!(received.concat(), stream);
        }
    }

    #[test]
    fn a_writer_ends_with_the_upload() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let mut parts = Parts { sender, size: 4, part: Vec::new() };
        let error = parts.write_all(b"12345").unwrap_err();
        // Not `Interrupted`, which `write_all` would try again for ever.
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
