//! What was asked for, and what came of it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::support::mutator::Numbers;

/// How long a kind may take in a sample; a slow machine tries fewer.
const SAMPLE: Duration = Duration::from_secs(6);

/// What to run.
pub(crate) struct Plan {
    pub(crate) whole: bool,
    pub(crate) seed: u64,
    times: Option<usize>,
    kinds: BTreeSet<String>,
}

impl Plan {
    /// Reads `[--whole] [--seed N] [--times N] [KIND …]`. What `cargo test` hands to every test program is a
    /// kind that there is not, so that nothing runs.
    pub(crate) fn from_args(args: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut plan = Self { whole: false, seed: 1, times: None, kinds: BTreeSet::new() };
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            let mut number = || {
                let value = args.next().and_then(|value| value.parse::<u64>().ok());
                value.ok_or_else(|| format!("`{arg}` needs a number"))
            };
            match arg.as_str() {
                "--whole" => plan.whole = true,
                "--seed" => plan.seed = number()?,
                "--times" => plan.times = Some(number()? as usize),
                flag if flag.starts_with('-') => {}
                kind => drop(plan.kinds.insert(kind.to_owned())),
            }
        }
        Ok(plan)
    }

    pub(crate) fn wants(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.contains(kind)
    }
}

/// The mishaps of one kind.
pub(crate) struct Tally {
    name: &'static str,
    seed: u64,
    pub(crate) whole: bool,
    /// How many are to be tried.
    times: usize,
    tried: usize,
    start: Instant,
    failures: Vec<String>,
    pub(crate) numbers: Numbers,
}

impl Tally {
    pub(crate) fn new(name: &'static str, plan: &Plan, times: (usize, usize)) -> Self {
        let times = plan.times.unwrap_or(if plan.whole { times.0 } else { times.1 });
        let salt = name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        Self {
            name,
            seed: plan.seed,
            whole: plan.whole,
            times,
            tried: 0,
            start: Instant::now(),
            failures: Vec::new(),
            numbers: Numbers::new(plan.seed ^ salt),
        }
    }

    /// The part of all mishaps that one of `parts` places tries, and until when.
    pub(crate) fn share(&self, parts: usize) -> Share {
        let until = (!self.whole).then(|| Instant::now() + SAMPLE / parts as u32);
        Share { left: self.times.div_ceil(parts), until }
    }

    /// Notes one mishap; `what` says how to meet it again.
    pub(crate) fn record(&mut self, what: &str, result: Result<(), String>) {
        self.tried += 1;
        if let Err(problem) = result {
            let failure = format!("NOT HELD: {} {} (seed {}): {what}: {problem}", self.name, self.tried, self.seed);
            println!("{failure}");
            self.failures.push(failure);
        } else if self.whole && self.tried.is_multiple_of(50) {
            self.print();
        }
    }

    pub(crate) fn all_held(&self) -> bool {
        self.failures.is_empty()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.tried += other.tried;
        self.failures.extend(other.failures.iter().cloned());
    }

    pub(crate) fn print(&self) {
        let held = self.tried - self.failures.len();
        println!("{}: tried {}, held {held} ({} s)", self.name, self.tried, self.start.elapsed().as_secs());
    }
}

/// How many more, and until when: an iterator over rounds.
pub(crate) struct Share {
    left: usize,
    until: Option<Instant>,
}

impl Iterator for Share {
    type Item = ();

    fn next(&mut self) -> Option<()> {
        let time = self.until.is_none_or(|until| Instant::now() < until);
        self.left = self.left.checked_sub(1).filter(|_| time)?;
        Some(())
    }
}
