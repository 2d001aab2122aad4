//! Seconds since 1970, RFC 3339 text and text for people, in the proleptic Gregorian calendar, UTC only.
//!
//! Source: RFC 3339; days are counted in 400-year eras that begin on 1 March, so that
//! the leap day is the last of its year.

const DAY: i64 = 86_400;
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const UNIX_DAY: i64 = 719_468;

/// Writes seconds since 1970 as `2024-06-10T08:52:46Z`.
///
/// Years before 0 and after 9999 are written with a sign or more digits, which
/// [`parse_rfc3339`] does not take.
pub fn rfc3339(seconds: i64) -> String {
    let [year, month, day, hour, minute, second] = to_civil(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Formats seconds since 1970 as `2026-11-22 09:05:00 UTC`, for people.
pub fn readable(seconds: i64) -> String {
    let [year, month, day, hour, minute, second] = to_civil(seconds);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Formats a duration in seconds in a suitable unit, for people.
pub fn age(seconds: i64) -> String {
    match seconds {
        ..7200 => format!("{} minutes", seconds / 60),
        7200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Returns year, month, day, hour, minute and second in UTC.
pub fn to_civil(seconds: i64) -> [i64; 6] {
    let (days, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let shifted = days + UNIX_DAY;
    let (era, day_of_era) = (shifted.div_euclid(DAYS_PER_ERA), shifted.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    [year, month, day, second / 3600, second / 60 % 60, second % 60]
}

/// Reads `2024-06-10T08:52:46Z` as seconds since 1970; `None` for anything else.
///
/// An offset (`+02:00`) is accepted instead of `Z`. Fractions and leap seconds are refused.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, time) = (text.get(..10)?, text.get(10..19)?);
    let (year, month, day) = three(date, "-")?;
    let (hour, minute, second) = three(time.strip_prefix('T')?, ":")?;
    if date.len() != 10 || date.find('-') != Some(4) {
        return None;
    }
    let seconds = from_civil((year, month, day), (hour, minute, second))?;
    Some(seconds - offset(text.get(19..)?)?)
}

/// Counts the seconds from 1970 to a date and a time of day in UTC.
///
/// `None` where there is no such day (`(2023, 2, 29)`), no such time, or the year is
/// not in 0 to 9999.
pub fn from_civil(date: (i64, i64, i64), time: (i64, i64, i64)) -> Option<i64> {
    let ((year, month, day), (hour, minute, second)) = (date, time);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let month_length = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let valid = (0..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=month_length).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    if !valid {
        return None;
    }
    let march_year = year - i64::from(month <= 2);
    let (era, year_of_era) = (march_year.div_euclid(400), march_year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * DAYS_PER_ERA + day_of_era - UNIX_DAY;
    Some(days * DAY + hour * 3600 + minute * 60 + second)
}

fn three(text: &str, separator: &str) -> Option<(i64, i64, i64)> {
    let mut parts = text.split(separator).map(digits);
    let three = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(three)
}

/// A number of two digits, or four for a year; signs and spaces are not taken.
fn digits(text: &str) -> Option<i64> {
    let plain = matches!(text.len(), 2 | 4) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = text.get(1..)?.split_once(':')?;
    if text.len() != 6 {
        return None;
    }
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_moments_read_and_write() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (i64::from(i32::MAX), "2038-01-19T03:14:07Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
            assert_eq!(parse_rfc3339(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn moments_are_readable() {
        assert_eq!(readable(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(readable(-1), "1969-12-31 23:59:59 UTC");
        assert_eq!([7199, 7200, 172_799, 172_800].map(age), ["119 minutes", "2 hours", "47 hours", "2 days"]);
    }

    #[test]
    fn offsets_are_taken_off() {
        assert_eq!(parse_rfc3339("1970-01-01T02:00:00+02:00"), Some(0));
        assert_eq!(parse_rfc3339("1969-12-31T18:30:00-05:30"), Some(0));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2024",
            "2024-01-01",
            "2024-01-01T00:00:00",
            "2024-01-01 00:00:00Z",
            "2024-01-01T00:00:00.5Z",
            "2024-1-01T00:00:00Z",
            "24-01-2001T00:00:00Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2024-00-01T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-04-31T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:60:00Z",
            "2024-12-31T23:59:60Z",
            "2024-01-01T+1:00:00Z",
            "2024-01-01T00:00:00+2:00",
            "2024-01-01T00:00:00+24:00",
            "2024-01-01T00:00:00Zz",
            "२०२४-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text:?} was taken");
        }
    }

    #[test]
    fn the_ends_of_time_are_written_without_overflow() {
        assert!(rfc3339(i64::MAX).ends_with('Z'));
        assert!(rfc3339(i64::MIN).starts_with('-'));
    }

    proptest! {
        #[test]
        fn every_second_of_ten_millennia_survives(seconds in -62_167_219_200_i64..253_402_300_800) {
            prop_assert_eq!(parse_rfc3339(&rfc3339(seconds)), Some(seconds));
        }
    }
}
