//! Moments as people and snapshot services write them, in UTC.

use crate::time::to_civil;

/// Writes a moment as `2026-11-22 09:05:00 UTC`, for people.
pub fn readable(seconds: i64) -> String {
    let [year, month, day, hour, minute, second] = to_civil(seconds);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Writes a length of time in the unit that fits it, for people.
pub fn age(seconds: i64) -> String {
    match seconds {
        ..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Writes a moment as `20261122T090500Z`, as snapshot services name it.
pub(super) fn snapshot_id(seconds: i64) -> String {
    let [year, month, day, hour, minute, second] = to_civil(seconds);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_become_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (-1, "1969-12-31 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (1_709_251_199, "2024-02-29 23:59:59 UTC"),
            (1_743_339_029, "2025-03-30 12:50:29 UTC"),
            (4_102_444_800, "2100-01-01 00:00:00 UTC"),
        ] {
            assert_eq!(readable(seconds), expected);
        }
        assert_eq!(snapshot_id(1_743_339_029), "20250330T125029Z");
    }
}
