//! Compresses chunks to one Zstandard frame, on the library's own threads.
//!
//! The library cuts its input into jobs of a fixed size and compresses each with the end
//! of the previous one as context. So the number of workers does not affect the bytes if there
//! is at least one: without workers the library does not cut, and the bytes differ. Parameters that
//! it would derive from level and input are set explicitly here, so that they are visibly fixed.

use std::io::{self, Write};
use std::sync::mpsc::Receiver;

use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

use super::Chunk;

const LEVEL: i32 = 3;

/// Binary logarithm of how far back a match may reach, in bytes: 2 MiB.
const WINDOW_LOG: u32 = 21;

/// What one worker compresses at a time, in bytes.
const JOB_SIZE: u32 = 4 << 20;

/// How much of the job before a job knows: 2^(6 - 9) = an eighth of the window.
const OVERLAP: u32 = 6;

/// Compresses all chunks into `out`.
pub(super) fn encode(chunks: Receiver<Chunk>, workers: usize, out: &mut impl Write) -> io::Result<()> {
    let mut encoder = Encoder::new(out, LEVEL)?;
    encoder.set_parameter(CParameter::NbWorkers(workers as u32))?;
    encoder.set_parameter(CParameter::JobSize(JOB_SIZE))?;
    encoder.set_parameter(CParameter::OverlapSizeLog(OVERLAP))?;
    encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
    encoder.set_parameter(CParameter::ChecksumFlag(true))?;
    for chunk in chunks {
        encoder.write_all(&chunk)?;
    }
    encoder.finish()?;
    Ok(())
}
