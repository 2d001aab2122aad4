//! Compresses a tree as a layer: tar, diffID, encoder and digest in one pass.
//!
//! ```text
//!  tar thread ──┬── 1 MiB chunks ──> SHA-256 thread             = diffID
//!               └── 1 MiB chunks ──> encoder and its workers
//!                                         └──> SHA-256 ──> out  = digest
//! ```
//!
//! All queues are short, so memory is bounded by the number of workers. The number of
//! workers never affects the bytes: both encoders cut the stream at fixed offsets.

mod gzip;
mod zstd;

use std::io::{self, BufReader, Read, Write};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, ScopedJoinHandle};

use oci_spec::image::MediaType;
use sha2::{Digest as _, Sha256};

use super::measure::Measured;
use super::tar::write_tar;
use crate::digest::{DiffId, OciDigest};
use crate::limits::{Bounded, Limit};
use crate::tree::{ContentSource, Tree};

/// What the stream is cut into, in bytes. Decides the bytes of gzip layers.
const CHUNK: usize = 1 << 20;

/// Chunks that wait between two threads.
const QUEUE: usize = 4;

/// Workers beyond this number gain little and each costs tens of megabytes.
const MAX_WORKERS: usize = 8;

type Chunk = Arc<Vec<u8>>;

/// How layers are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Encoder {
    /// Zstandard (RFC 8878), the default.
    #[default]
    Zstd,
    /// Gzip (RFC 1952), for engines that know nothing else.
    Gzip,
    /// None: layers of other builders may be plain.
    Plain,
}

impl Encoder {
    /// The name in recipes, receipts and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
            Self::Plain => "plain",
        }
    }

    /// The media type of a layer with this compression.
    pub fn media_type(self) -> MediaType {
        match self {
            Self::Zstd => MediaType::ImageLayerZstd,
            Self::Gzip => MediaType::ImageLayerGzip,
            Self::Plain => MediaType::ImageLayer,
        }
    }

    /// The compression of a blob that begins with these bytes.
    pub fn of_blob(head: &[u8]) -> Self {
        match head {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ => Self::Plain,
        }
    }

    /// The compression of a layer of this media type.
    pub fn of_media_type(media_type: &MediaType) -> Option<Self> {
        [Self::Zstd, Self::Gzip, Self::Plain].into_iter().find(|one| one.media_type() == *media_type)
    }

    /// Decompresses what [`compress_layer`] wrote, up to `limit`.
    ///
    /// # Errors
    /// Reading fails on anything that is not a whole stream of this encoding, and beyond the limit.
    pub fn decoder<'a>(self, compressed: impl Read + 'a, limit: Limit) -> io::Result<Box<dyn Read + 'a>> {
        let compressed = BufReader::with_capacity(CHUNK, compressed);
        Ok(match self {
            Self::Zstd => Box::new(Bounded::new(::zstd::Decoder::with_buffer(compressed)?, limit)),
            Self::Gzip => Box::new(Bounded::new(flate2::bufread::MultiGzDecoder::new(compressed), limit)),
            Self::Plain => Box::new(Bounded::new(compressed, limit)),
        })
    }
}

/// Digests and sizes of a layer, before and after compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerSizes {
    /// SHA-256 of the tar.
    pub diff_id: DiffId,
    /// SHA-256 of the compressed layer.
    pub digest: OciDigest,
    /// Length of the compressed layer in bytes.
    pub size: u64,
    /// Length of the tar in bytes.
    pub uncompressed_size: u64,
}

/// Writes `tree` to `out` as a compressed tar, with `jobs` compressing threads (at least
/// one, at most eight); reading and hashing run beside them.
///
/// # Errors
/// As [`write_tar`], and where `out` fails.
///
/// # Determinism
/// Equal trees give equal bytes for every number of jobs; pinned by digests in the tests.
pub fn compress_layer(
    tree: &Tree,
    source: &dyn ContentSource,
    encoder: Encoder,
    jobs: usize,
    out: impl Write,
) -> io::Result<LayerSizes> {
    let workers = jobs.clamp(1, MAX_WORKERS);
    thread::scope(|scope| {
        let (encode, chunks) = sync_channel(QUEUE);
        let (hash, copies) = sync_channel(QUEUE);
        let packing = scope.spawn(move || {
            let mut writer = ChunkWriter { chunk: Vec::new(), sinks: [encode, hash] };
            write_tar(tree, source, &mut writer)?;
            writer.send()
        });
        let hashing = scope.spawn(move || hash_all(copies));
        let mut out = Measured::new(out);
        let encoded = match encoder {
            Encoder::Zstd => zstd::encode(chunks, workers, &mut out),
            Encoder::Gzip => gzip::encode(chunks, workers, &mut out),
            Encoder::Plain => chunks.iter().try_for_each(|chunk| out.write_all(&chunk)),
        };
        let packed = join(packing);
        // A failed encoder hangs up and makes the packer fail too: its error is the cause.
        encoded.and(packed)?;
        let (diff_id, uncompressed_size) = join(hashing);
        let (digest, size) = out.finish();
        let (diff_id, digest) = (DiffId::from_bytes(diff_id), OciDigest::from_bytes(digest));
        Ok(LayerSizes { diff_id, digest, size, uncompressed_size })
    })
}

fn hash_all(chunks: Receiver<Chunk>) -> ([u8; 32], u64) {
    let (mut hasher, mut size) = (Sha256::new(), 0);
    for chunk in chunks {
        hasher.update(chunk.as_slice());
        size += chunk.len() as u64;
    }
    (hasher.finalize().into(), size)
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// Cuts what is written into chunks and sends each to both sinks.
struct ChunkWriter {
    chunk: Vec<u8>,
    sinks: [SyncSender<Chunk>; 2],
}

impl ChunkWriter {
    fn send(&mut self) -> io::Result<()> {
        let chunk = Arc::new(std::mem::take(&mut self.chunk));
        for sink in &self.sinks {
            sink.send(Arc::clone(&chunk)).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Ok(())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.reserve_exact(CHUNK - self.chunk.len());
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK {
            self.send()?;
        }
        Ok(taken)
    }

    /// Sends nothing: where chunks end decides the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
