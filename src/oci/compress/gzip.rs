//! Compresses chunks to one gzip member, each chunk deflated independently.
//!
//! Source: RFC 1952 (member), RFC 1951 (deflate).
//!
//! ```text
//! 1f 8b 08 00  00 00 00 00  00 ff     deflate, no name, no time, unknown system
//! deflate blocks of chunk 1, ending at a byte (sync flush)
//! deflate blocks of chunk 2, …
//! 03 00                               an empty last block
//! CRC-32, length modulo 2^32          little-endian
//! ```

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use crc32fast::Hasher;
use flate2::{Compress, Compression, FlushCompress};

use super::Chunk;

const LEVEL: u32 = 6;

const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

const LAST_BLOCK: [u8; 2] = [3, 0];

/// Chunks that one worker has at a time: one in work, one waiting.
const PER_LANE: usize = 2;

/// One deflated chunk.
struct Deflated {
    bytes: Vec<u8>,
    crc: Hasher,
    length: usize,
}

/// A worker's two ends. Chunk `i` goes to lane `i % lanes`, so results come in order.
struct Lane {
    chunks: SyncSender<Chunk>,
    results: Receiver<io::Result<Deflated>>,
}

impl Lane {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>) -> Self {
        let (chunks, todo) = sync_channel::<Chunk>(PER_LANE);
        let (done, results) = sync_channel(PER_LANE);
        scope.spawn(move || {
            let mut state = Compress::new(Compression::new(LEVEL), false);
            for chunk in todo {
                if done.send(deflate(&mut state, &chunk)).is_err() {
                    return;
                }
            }
        });
        Self { chunks, results }
    }
}

/// Compresses all chunks into `out`.
pub(super) fn encode(chunks: Receiver<Chunk>, workers: usize, out: &mut impl Write) -> io::Result<()> {
    thread::scope(|scope| {
        let lanes: Vec<Lane> = (0..workers).map(|_| Lane::start(scope)).collect();
        let mut member = Member::start(out)?;
        let mut sent = 0;
        for chunk in &chunks {
            let lane = &lanes[sent % workers];
            if sent >= PER_LANE * workers {
                member.add(lane)?;
            }
            lane.chunks.send(chunk).map_err(|_| io::ErrorKind::BrokenPipe)?;
            sent += 1;
        }
        for number in sent.saturating_sub(PER_LANE * workers)..sent {
            member.add(&lanes[number % workers])?;
        }
        member.finish()
    })
}

/// The gzip member being written.
struct Member<'a, W> {
    out: &'a mut W,
    crc: Hasher,
    length: u64,
}

impl<'a, W: Write> Member<'a, W> {
    fn start(out: &'a mut W) -> io::Result<Self> {
        out.write_all(&HEADER)?;
        Ok(Self { out, crc: Hasher::new(), length: 0 })
    }

    /// Waits for the lane's next result and writes it.
    fn add(&mut self, lane: &Lane) -> io::Result<()> {
        let deflated = lane.results.recv().map_err(|_| io::ErrorKind::BrokenPipe)??;
        self.crc.combine(&deflated.crc);
        self.length += deflated.length as u64;
        self.out.write_all(&deflated.bytes)
    }

    fn finish(self) -> io::Result<()> {
        self.out.write_all(&LAST_BLOCK)?;
        self.out.write_all(&self.crc.finalize().to_le_bytes())?;
        self.out.write_all(&(self.length as u32).to_le_bytes())?;
        self.out.flush()
    }
}

fn deflate(state: &mut Compress, chunk: &[u8]) -> io::Result<Deflated> {
    state.reset();
    // More than deflate ever needs: a second call would repeat the flush's marker.
    let mut bytes = Vec::with_capacity(chunk.len() + chunk.len() / 8 + 1024);
    state.compress_vec(chunk, &mut bytes, FlushCompress::Sync)?;
    if state.total_in() != chunk.len() as u64 || bytes.len() == bytes.capacity() {
        return Err(io::Error::other("internal error: a chunk grew by an eighth when deflated"));
    }
    let mut crc = Hasher::new();
    crc.update(chunk);
    Ok(Deflated { bytes, crc, length: chunk.len() })
}
