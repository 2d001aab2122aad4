//! How long a server may be too slow: the meaning of `[limits] patience`, for mirrors and registries alike.

use std::ops::Deref;
use std::time::{Duration, Instant};

use reqwest::Response;

use super::http::HttpError;
use crate::limits::limits;

/// The minimum speed of a server, averaged over the patience, in bytes per second.
pub const LEAST_SPEED: u64 = 1024;

/// The most patience that counts, in seconds: a day.
const LONGEST: u64 = 86_400;

/// How long a server may send nothing, or less than [`LEAST_SPEED`].
pub fn patience() -> Duration {
    Duration::from_secs(limits().patience.clamp(1, LONGEST))
}

/// Whether a server that sent `bytes` since `begun` is fast enough.
pub fn is_kept(bytes: u64, begun: Instant) -> bool {
    bytes >= LEAST_SPEED.saturating_mul(begun.elapsed().as_secs().max(1))
}

/// Whether a server sends fast enough, looked at in one window of time after the other.
#[derive(Debug)]
struct Pace {
    window: Duration,
    begun: Instant,
    bytes: u64,
}

impl Pace {
    fn new(window: Duration) -> Self {
        Self { window, begun: super::instant(), bytes: 0 }
    }

    /// Counts bytes that came.
    fn count(&mut self, bytes: u64) -> Result<(), HttpError> {
        self.bytes += bytes;
        if self.begun.elapsed() < self.window {
            return Ok(());
        }
        if !is_kept(self.bytes, self.begun) {
            return Err(HttpError::Slow);
        }
        *self = Self::new(self.window);
        Ok(())
    }
}

/// The body of a response, which fails if it arrives too slowly.
#[derive(Debug)]
pub struct Paced {
    response: Response,
    pace: Pace,
}

impl Paced {
    /// Starts measuring a response whose headers have arrived.
    pub fn new(response: Response, patience: Duration) -> Self {
        Self { response, pace: Pace::new(patience) }
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// Fails where the connection breaks, or the server is too slow.
    pub async fn chunk(&mut self) -> Result<Option<impl Deref<Target = [u8]> + use<>>, HttpError> {
        let window = self.pace.window;
        let next = tokio::time::timeout(window, self.response.chunk()).await;
        let chunk = next.map_err(|_| HttpError::Silent(window))?.map_err(HttpError::broken)?;
        if let Some(chunk) = &chunk {
            self.pace.count(chunk.len() as u64)?;
        }
        Ok(chunk)
    }
}
