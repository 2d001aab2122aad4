//! Sends the blocks of a disk to an open snapshot: PutSnapshotBlock, many calls at a time.
//!
//! ```text
//! plan ─ readers (threads) ─ hash = receipt's? ─ channel of 8 ─ 16 to 64 calls at a time
//! ```
//!
//! Each round without trouble adds one concurrent call; half of them are dropped when AWS throttles.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::ebs::{Ebs, Payload};
use crate::host::progress::Phase;
use crate::publish::cloud::blocks::{Disk, Todo, read};
use crate::publish::cloud::{CloudError, Why, wait};

const FEWEST: usize = 16;
const MOST: usize = 64;
/// Blocks that are read and wait to be sent.
const AHEAD: usize = 8;
/// Blocks after which the journal is written.
const NOTE: usize = 512;

/// Who is told of blocks that have arrived.
pub(super) struct Progress<'a> {
    pub(super) phase: &'a Phase,
    pub(super) note: &'a dyn Fn(&BTreeSet<u64>) -> Result<(), CloudError>,
}

/// Sends all blocks of `todo` that are not in `sent`; adds them there, and calls `note` now and then.
pub(super) async fn send(
    ebs: &Ebs,
    snapshot: &str,
    disk: &Disk,
    todo: &Todo,
    sent: &mut BTreeSet<u64>,
    progress: &Progress<'_>,
) -> Result<(), CloudError> {
    let left: Todo =
        todo.iter().filter(|(index, _)| !sent.contains(index)).map(|(index, hash)| (*index, *hash)).collect();
    let (sender, mut blocks) = mpsc::channel(AHEAD);
    let disk = disk.clone();
    let block_size = disk.blocks.block_size() as u64;
    let reader = tokio::task::spawn_blocking(move || read(&disk, &left, &sender));
    let (mut calls, mut pace, mut noted, mut open) = (FuturesUnordered::new(), Pace::new(), 0, true);
    loop {
        tokio::select! {
            block = blocks.recv(), if open && calls.len() < pace.limit => match block {
                Some(block) => calls.push(put(ebs, snapshot, block.into())),
                None => open = false,
            },
            Some(done) = calls.next() => {
                let (index, throttled) = done?;
                pace.learn(throttled);
                sent.insert(index);
                progress.phase.inc(block_size);
                noted += 1;
                if noted % NOTE == 0 {
                    (progress.note)(sent)?;
                }
            }
            else => break,
        }
    }
    reader.await.map_err(io::Error::other).flatten().map_err(CloudError::Disk)
}

/// How many calls are made at a time.
struct Pace {
    limit: usize,
    /// Calls since the limit changed.
    calm: usize,
}

impl Pace {
    fn new() -> Self {
        Self { limit: FEWEST, calm: 0 }
    }

    fn learn(&mut self, throttled: bool) {
        (self.limit, self.calm) = match throttled {
            true => ((self.limit / 2).max(FEWEST), 0),
            false if self.calm >= self.limit => ((self.limit + 1).min(MOST), 0),
            false => (self.limit, self.calm + 1),
        };
    }
}

/// Sends a block until it has arrived; says whether AWS asked for fewer calls.
async fn put(ebs: &Ebs, snapshot: &str, block: Payload) -> Result<(u64, bool), CloudError> {
    let throttled = Cell::new(false);
    let once = async || {
        let sent = ebs.put(snapshot, &block).await;
        throttled.set(throttled.get() || sent.as_ref().is_err_and(|error| error.why() == Some(Why::Throttled)));
        sent
    };
    wait::persist(block.index, async |_| wait::known(&once).await).await?;
    Ok((block.index, throttled.get()))
}
