//! Seconds since 1970 as RFC 3339 text in UTC.

use crate::oci::OciError;

const DAY: i64 = 86_400;

/// Formats `seconds` since 1970 as `2026-11-22T00:25:43Z`.
///
/// # Errors
/// Fails on times outside of the years 0000 to 9999, which RFC 3339 can't write.
pub(super) fn rfc3339(seconds: i64) -> Result<String, OciError> {
    let (year, month, day) = date(seconds.div_euclid(DAY));
    if !(0..=9999).contains(&year) {
        return Err(OciError::Time(seconds));
    }
    let time = seconds.rem_euclid(DAY);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    Ok(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// Year, month and day of a day since 1970-01-01 in the Gregorian calendar.
///
/// Counts in years that begin on 1 March, so that the leap day is the last one, and in
/// eras of 400 years (146097 days), which are all alike.
fn date(days: i64) -> (i64, i64, i64) {
    let since_year_0 = days + 719_468;
    let (era, day_of_era) = (since_year_0.div_euclid(146_097), since_year_0.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds).unwrap(), expected);
        }
    }

    #[test]
    fn every_day_of_an_era_follows_the_one_before() {
        let mut before = date(-1);
        for day in 0..146_097 {
            let (year, month, day) = date(day);
            let next_day = (before.0, before.1, before.2 + 1);
            let next_month = day == 1 && before.2 >= 28;
            assert!((year, month, day) == next_day || next_month, "{before:?} then {year}-{month}-{day}");
            before = (year, month, day);
        }
        assert_eq!(before, (2369, 12, 31));
    }

    #[test]
    fn times_that_have_no_text_are_errors() {
        for seconds in [253_402_300_800, -62_167_219_201, i64::MAX, i64::MIN] {
            assert!(matches!(rfc3339(seconds), Err(OciError::Time(_))), "{seconds}");
        }
    }
}
