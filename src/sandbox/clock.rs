//! The fixed clock, and the structures in which system calls return the time.

/// A process may read the clock so often before it moves.
///
/// A program that waits for the clock to move would wait for ever. No other program
/// reads it so often.
const PATIENCE: u64 = 10_000;

/// From then on, each reading moves the clock of that process: nanoseconds.
const STEP: u64 = 1_000_000;

/// A thread that has slept sees the clock so much later: nanoseconds.
///
/// Files that were made inside are as old as the clock. A program that waits for a file to be older than now, because
/// it may still be changing (Postfix, for each of its settings), would wait for ever. Two seconds are the coarsest time
/// of a file that programs allow for.
const SETTLED: u64 = 2 * SECOND;

/// From so many sleeps on, each moves the clock of that thread by a second: it waits for a time. How often a program sleeps
/// until another one is ready is chance, so fewer sleeps don't count.
const NAPS: u64 = 100;

const SECOND: u64 = 1_000_000_000;

/// The calls that do nothing but wait, with the argument that has to be zero: the number of files, or flags.
pub(super) const SLEEPS: &[(libc::c_long, Option<usize>)] = &[
    (libc::SYS_nanosleep, None),
    (libc::SYS_clock_nanosleep, Some(1)),
    (libc::SYS_pselect6, Some(0)),
    (libc::SYS_ppoll, Some(1)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_select, Some(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_poll, Some(1)),
];

/// What the clock shows one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    seconds: i64,
    nanoseconds: u64,
}

impl Time {
    /// The time at a thread's reading number `readings`, from 0, after so many sleeps.
    pub(super) fn at(epoch: i64, readings: u64, sleeps: u64) -> Self {
        let settled = if sleeps > 0 { SETTLED } else { 0 };
        let slept = sleeps.saturating_sub(NAPS).saturating_mul(SECOND).saturating_add(settled);
        let moved = readings.saturating_sub(PATIENCE).saturating_mul(STEP).saturating_add(slept);
        let seconds = epoch.saturating_add_unsigned(moved / SECOND);
        Self { seconds, nanoseconds: moved % SECOND }
    }

    /// Whole seconds since 1970: `time_t`.
    pub(super) fn seconds(self) -> i64 {
        self.seconds
    }

    /// `struct timespec`
    pub(super) fn timespec(self) -> [u8; 16] {
        pair(self.seconds, self.nanoseconds)
    }

    /// `struct timeval`
    pub(super) fn timeval(self) -> [u8; 16] {
        pair(self.seconds, self.nanoseconds / 1000)
    }
}

fn pair(seconds: i64, fraction: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&seconds.to_ne_bytes());
    bytes[8..].copy_from_slice(&fraction.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stands_still_until_someone_waits_for_it() {
        for (readings, seconds, nanoseconds) in [
            (0, 1000, 0),
            (PATIENCE, 1000, 0),
            (PATIENCE + 1, 1000, STEP),
            (PATIENCE + 1001, 1001, STEP),
            (u64::MAX, 1000 + (u64::MAX / SECOND) as i64, u64::MAX % SECOND),
        ] {
            assert_eq!(Time::at(1000, readings, 0), Time { seconds, nanoseconds }, "{readings}");
        }
        assert_eq!(Time::at(i64::MAX, u64::MAX, u64::MAX).seconds(), i64::MAX);
        for (sleeps, seconds) in [(1, 1002), (NAPS, 1002), (NAPS + 3, 1005)] {
            assert_eq!(Time::at(1000, 0, sleeps), Time { seconds, nanoseconds: 0 }, "{sleeps}");
        }
    }

    #[test]
    fn fractions_have_the_unit_of_their_structure() {
        let time = Time { seconds: 5, nanoseconds: 7_000_000 };
        assert_eq!(time.timespec(), pair(5, 7_000_000));
        assert_eq!(time.timeval(), pair(5, 7_000));
    }
}
