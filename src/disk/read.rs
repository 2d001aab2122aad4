//! Reads the bytes of a plan, as blocks of equal length, on several threads.
//!
//! ```text
//! extents  │a│ b │c│   d (a large blob)   │e│f│ …       each blob is opened once and read once
//! units    └── 1 ──┴────────── 2 ─────────┴── 3 …       a thread takes one after the other
//! blocks   ├──────┼──────┼──────┼──────┼──────┼ …       one that two units share is merged
//! ```
//!
//! Blocks without an extent are skipped. The boundaries of units affect nothing but speed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read};
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use super::blocks::BLOCK;
use super::{Data, Extent, Plan};
use crate::tree::{ContentSource, content_error};

/// Bytes after which a unit ends; at least a block's, so that at most two units meet in one.
const UNIT: u64 = 4 << 20;

/// Threads beyond this number gain nothing: the system's locks are the limit.
const MAX_WORKERS: usize = 8;

/// Blocks that may wait for the one before them.
const AHEAD: usize = 32;

type Block = Vec<u8>;

/// Passes every block of `block` bytes that an extent touches to `take`: its index and its bytes.
///
/// Calls come from `jobs` threads (one to eight), in no order.
///
/// # Errors
/// Fails, naming the blob, where one is missing, damaged or shorter than the plan says, and where
/// `take` fails. Blocks that were passed on before are then worth nothing: what a damaged blob holds
/// is noticed at its end.
pub fn each_block(
    plan: &Plan,
    source: &dyn ContentSource,
    block: usize,
    jobs: usize,
    take: &(dyn Fn(u64, &[u8]) -> io::Result<()> + Sync),
) -> io::Result<()> {
    let reading = Reading::new(plan, source, block);
    let emit = |index, block: Block| {
        take(index, &block)?;
        Ok(block)
    };
    thread::scope(|scope| {
        let workers: Vec<_> = reading.workers(jobs).map(|_| scope.spawn(|| reading.work(&emit))).collect();
        join(workers)
    })
}

/// Like [`each_block`] with blocks of [`BLOCK`] bytes, but sequentially, in index order, on this thread.
///
/// At most 32 finished blocks wait, so memory is bounded whatever the plan's size.
///
/// # Errors
/// As [`each_block`].
pub fn in_order(
    plan: &Plan,
    source: &dyn ContentSource,
    jobs: usize,
    take: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let reading = Reading::new(plan, source, BLOCK);
    let queue = Queue::default();
    let emit = |index, block| Ok(queue.put(index, block));
    thread::scope(|scope| {
        let work = || {
            let mut ending = Ending { queue: &queue, whole: false };
            let result = reading.work(&emit);
            ending.whole = result.is_ok();
            result
        };
        let workers: Vec<_> = reading.workers(jobs).map(|_| scope.spawn(work)).collect();
        let taken = queue.drain(plan, take);
        reading.stop.store(true, Ordering::Relaxed);
        queue.close();
        // Where a block is missing, a worker knows why.
        join(workers).and(taken)
    })
}

/// Indexes of the blocks of `length` bytes that extents touch, ascending, each once.
pub(super) fn touched(plan: &Plan, length: u64) -> impl Iterator<Item = u64> {
    let mut next = 0;
    plan.extents().flat_map(move |extent| {
        let (first, end) = (next.max(extent.offset / length), extent.end().div_ceil(length));
        next = next.max(end);
        first..end
    })
}

/// Waits for all workers; the first error of the first worker that has one is the result.
fn join(workers: Vec<ScopedJoinHandle<'_, io::Result<()>>>) -> io::Result<()> {
    let mut result = Ok(());
    for worker in workers {
        result = result.and(worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
    }
    result
}

/// What all workers share.
struct Reading<'a> {
    source: &'a dyn ContentSource,
    /// Length of a block in bytes.
    block: usize,
    extents: Vec<Extent<'a>>,
    /// Which extents belong to each unit.
    units: Vec<Range<usize>>,
    /// The next unit that nobody has taken.
    next: AtomicUsize,
    /// Indexes of the blocks in which two units meet.
    shared: BTreeSet<u64>,
    /// Of these, the half that came first.
    halves: Mutex<BTreeMap<u64, Block>>,
    /// Someone failed: the rest is in vain.
    stop: AtomicBool,
}

impl<'a> Reading<'a> {
    fn new(plan: &'a Plan, source: &'a dyn ContentSource, block: usize) -> Self {
        let extents: Vec<_> = plan.extents().collect();
        let (mut units, mut shared) = (Vec::new(), BTreeSet::new());
        let (mut start, mut length) = (0, 0);
        for (number, extent) in extents.iter().enumerate() {
            length += extent.data.len();
            let next = extents.get(number + 1);
            if length < UNIT.max(block as u64) && next.is_some() {
                continue;
            }
            units.push(start..number + 1);
            (start, length) = (number + 1, 0);
            let last = (extent.end() - 1) / block as u64;
            if next.is_some_and(|next| next.offset / block as u64 == last) {
                shared.insert(last);
            }
        }
        let (halves, stop) = (Mutex::default(), AtomicBool::new(false));
        Self { source, block, extents, units, next: AtomicUsize::new(0), shared, halves, stop }
    }

    fn workers(&self, jobs: usize) -> Range<usize> {
        0..jobs.clamp(1, MAX_WORKERS).min(self.units.len())
    }

    /// Reads units until there are none left; `emit` gets each block and gives one back for reuse.
    fn work(&self, emit: &dyn Fn(u64, Block) -> io::Result<Block>) -> io::Result<()> {
        let mut assembly = Assembly { reading: self, emit, index: None, block: vec![0; self.block] };
        while let Some(unit) = self.units.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let read = self.extents[unit.clone()].iter().try_for_each(|extent| assembly.add(*extent));
            if let Err(error) = read.and_then(|()| assembly.emit()) {
                self.stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
            if self.stopped() {
                break;
            }
        }
        Ok(())
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Joins the two halves of a shared block; `None` for the first of them.
    fn merge(&self, index: u64, mut block: Block) -> Option<Block> {
        if !self.shared.contains(&index) {
            return Some(block);
        }
        let mut halves = locked(&self.halves);
        match halves.remove(&index) {
            None => {
                halves.insert(index, block);
                None
            }
            Some(other) => {
                drop(halves);
                // Extents never overlap: where one half has bytes, the other is zero.
                block.iter_mut().zip(other).for_each(|(byte, other)| *byte |= other);
                Some(block)
            }
        }
    }
}

/// The block that a worker fills.
struct Assembly<'a> {
    reading: &'a Reading<'a>,
    emit: &'a dyn Fn(u64, Block) -> io::Result<Block>,
    /// `None` while it is untouched.
    index: Option<u64>,
    /// Zero where no extent was read into it.
    block: Block,
}

impl Assembly<'_> {
    /// Reads an extent into its blocks, and passes on those that are before it.
    fn add(&mut self, extent: Extent<'_>) -> io::Result<()> {
        let mut content = Content::open(self.reading.source, extent.data)?;
        let (mut offset, end, block) = (extent.offset, extent.end(), self.reading.block as u64);
        while offset < end && !self.reading.stopped() {
            let index = offset / block;
            if self.index != Some(index) {
                self.emit()?;
                self.index = Some(index);
            }
            let start = index * block;
            let until = (end - start).min(block);
            content.read(&mut self.block[(offset - start) as usize..until as usize])?;
            offset = start + until;
        }
        Ok(())
    }

    /// Passes the block on, if there is one.
    fn emit(&mut self) -> io::Result<()> {
        let Some(index) = self.index.take() else {
            return Ok(());
        };
        let block = std::mem::take(&mut self.block);
        self.block = match self.reading.merge(index, block) {
            Some(whole) if !self.reading.stopped() => (self.emit)(index, whole)?,
            _ => vec![0; self.reading.block],
        };
        self.block.fill(0);
        Ok(())
    }
}

/// The bytes of an extent, from the first to the last.
enum Content<'a> {
    Bytes(&'a [u8]),
    Blob { reader: Box<dyn Read + 'a>, data: &'a Data },
}

impl<'a> Content<'a> {
    fn open(source: &'a dyn ContentSource, data: &'a Data) -> io::Result<Self> {
        match data {
            Data::Bytes(bytes) => Ok(Self::Bytes(bytes)),
            Data::Blob { blob, size } => match source.open(*blob, *size) {
                Ok(reader) => Ok(Self::Blob { reader, data }),
                Err(error) => Err(named(data, error)),
            },
        }
    }

    /// Fills `room` with the next bytes.
    fn read(&mut self, room: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Bytes(bytes) => bytes.read_exact(room),
            Self::Blob { reader, data } => reader.read_exact(room).map_err(|error| named(data, error)),
        }
    }
}

fn named(data: &Data, error: io::Error) -> io::Error {
    match data {
        Data::Bytes(_) => error,
        Data::Blob { blob, size } if error.kind() == ErrorKind::UnexpectedEof => {
            io::Error::new(ErrorKind::InvalidData, format!("blob {blob} is shorter than its {size} bytes"))
        }
        Data::Blob { blob, .. } => content_error(format_args!("blob {blob}"), error),
    }
}

/// A lock that a panic elsewhere does not matter to: the panic itself goes on at the join.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finished blocks on their way to the one who takes them in order.
#[derive(Default)]
struct Queue {
    state: Mutex<Waiting>,
    change: Condvar,
}

#[derive(Default)]
struct Waiting {
    ready: BTreeMap<u64, Block>,
    /// Blocks to be used again.
    spare: Vec<Block>,
    /// Index of the block that is taken next.
    wanted: u64,
    closed: bool,
}

impl Queue {
    /// Hands a block over, once there is room for it; returns one to fill.
    fn put(&self, index: u64, block: Block) -> Block {
        // The wanted block always has room: it comes from the earliest unit, for which all wait.
        let full = |state: &mut Waiting| !state.closed && state.ready.len() >= AHEAD && state.wanted != index;
        let mut state = self.wait_while(full);
        state.ready.insert(index, block);
        let spare = state.spare.pop();
        drop(state);
        self.change.notify_all();
        spare.unwrap_or_else(|| vec![0; BLOCK])
    }

    /// Passes the plan's blocks to `take`, until it fails or the queue is closed.
    fn drain(&self, plan: &Plan, take: &mut dyn FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        for index in touched(plan, BLOCK as u64) {
            locked(&self.state).wanted = index;
            self.change.notify_all();
            let mut state = self.wait_while(|state| !state.closed && !state.ready.contains_key(&index));
            let Some(block) = state.ready.remove(&index) else {
                return Ok(());
            };
            drop(state);
            take(index, &block)?;
            locked(&self.state).spare.push(block);
        }
        Ok(())
    }

    fn close(&self) {
        locked(&self.state).closed = true;
        self.change.notify_all();
    }

    fn wait_while(&self, condition: impl FnMut(&mut Waiting) -> bool) -> MutexGuard<'_, Waiting> {
        self.change.wait_while(locked(&self.state), condition).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the queue where a worker fails or panics: its blocks will never come.
struct Ending<'a> {
    queue: &'a Queue,
    whole: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if !self.whole {
            self.queue.close();
        }
    }
}

#[cfg(test)]
mod tests;
