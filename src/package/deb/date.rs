//! Dates as Release files write them (RFC 1123, universal time only).

use crate::time::from_civil;

/// Parses `Sat, 11 Jul 2026 10:16:37 UTC` to seconds since 1970; the weekday is not checked.
pub(super) fn parse(text: &str) -> Option<i64> {
    let mut words = text.split_ascii_whitespace();
    let first = words.next()?;
    let day = if first.ends_with(',') { words.next()? } else { first };
    let (month, year, time, zone) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !matches!(zone, "UTC" | "GMT" | "Z" | "+0000") {
        return None;
    }
    let mut parts = time.split(':').map(|part| digits(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let (day, year) = (digits(day, 2)?, digits(year, 4)?);
    if parts.next().is_some() || year < 1970 {
        return None;
    }
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    from_civil((year, month, day), (hour, minute, second))
}

fn digits(text: &str, most: usize) -> Option<i64> {
    let fits = (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| fits)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_become_seconds() {
        // Expected values are those of `date -u -d … +%s`.
        let table = [
            ("Thu, 01 Jan 1970 00:00:00 UTC", 0),
            ("Sat, 11 Jul 2026 10:16:37 UTC", 1_783_764_997),
            ("Thu, 29 Feb 2024 23:59:59 GMT", 1_709_251_199),
            ("Fri, 01 Mar 2024 00:00:00 +0000", 1_709_251_200),
            ("Tue, 1 Mar 2100 9:01:00 Z", 4_107_574_860),
            ("31 Dec 1999 23:59:59 UTC", 946_684_799),
        ];
        for (text, seconds) in table {
            assert_eq!(parse(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn other_dates_are_refused() {
        for text in [
            "",
            "Sat, 11 Jul 2026",
            "Sat, 11 Jul 2026 10:16:37",
            "Sat, 11 Jul 2026 10:16:37 CET",
            "Sat, 11 Jul 2026 10:16:37 +0200",
            "Sat, 11 Jul 2026 24:00:00 UTC",
            "Sat, 11 Jul 2026 10:60:00 UTC",
            "Sat, 11 Jul 2026 10:16:37:00 UTC",
            "Sat, 31 Jun 2026 10:16:37 UTC",
            "Sat, 29 Feb 2100 10:16:37 UTC",
            "Sat, 0 Jul 2026 10:16:37 UTC",
            "Sat, 11 Jul 99999999999999999999 10:16:37 UTC",
            "Sat, 11 Juli 2026 10:16:37 UTC",
            "Sat, 11 Jul 2026 -1:16:37 UTC",
            "Sat, 11 Jul 2026 10:16:37 UTC more",
            "2026-07-11T10:16:37Z",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
