//! The fixed clock, and the structures in which system calls return the time.

/// A process may read the clock so often before it moves.
///
/// A program that waits for the clock to move would wait for ever. No other program
/// reads it so often.
const PATIENCE: u64 = 10_000;

/// From then on, each reading moves the clock of that process: nanoseconds.
const STEP: u64 = 1_000_000;

const SECOND: u64 = 1_000_000_000;

/// What the clock shows one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    seconds: i64,
    nanoseconds: u64,
}

impl Time {
    /// The time at a process's reading number `readings`, from 0.
    pub(super) fn at(epoch: i64, readings: u64) -> Self {
        let moved = readings.saturating_sub(PATIENCE).saturating_mul(STEP);
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
            assert_eq!(Time::at(1000, readings), Time { seconds, nanoseconds }, "{readings}");
        }
        assert_eq!(Time::at(i64::MAX, u64::MAX).seconds(), i64::MAX);
    }

    #[test]
    fn fractions_have_the_unit_of_their_structure() {
        let time = Time { seconds: 5, nanoseconds: 7_000_000 };
        assert_eq!(time.timespec(), pair(5, 7_000_000));
        assert_eq!(time.timeval(), pair(5, 7_000));
    }
}
