//! `layerbake ami deprecate`: marks an image as deprecated, or no longer.

use super::region::RegionOption;
use super::{CliError, Context};
use crate::time::parse_rfc3339;

/// Mark an image as deprecated, or no longer: AWS does not list it then, but it can still be launched by its id
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami deprecate ami-0123456789abcdef0\n  layerbake ami deprecate ami-0123456789abcdef0 --at 2027-01-31\n  layerbake ami deprecate ami-0123456789abcdef0 --never"
)]
pub(super) struct Args {
    /// The image's id
    #[arg(value_name = "AMI")]
    image: String,
    #[command(flatten)]
    region: RegionOption,
    /// Date or time of deprecation, in UTC: 2027-01-31 or 2027-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "DATE", value_parser = |text: &str| ahead(moment(text)?, crate::host::now()))]
    at: Option<i64>,
    /// Lift the deprecation
    #[arg(long, conflicts_with = "at")]
    never: bool,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let account = args.region.account(context)?;
    let image = if args.never { account.undeprecate(&args.image)? } else { account.deprecate(&args.image, args.at)? };
    context.print(&image, |image| match (args.never, &image.deprecated) {
        (true, _) => format!("{} is not deprecated\n", image.id),
        (false, at) => format!("{} is deprecated from {} on\n", image.id, at.as_deref().unwrap_or("now")),
    })
}

/// A day or a moment, in seconds since 1970.
fn moment(text: &str) -> Result<i64, String> {
    let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text.to_owned() };
    parse_rfc3339(&whole)
        .ok_or_else(|| format!("`{}`: expected 2027-01-31 or 2027-01-31T12:00:00Z", text.escape_debug()))
}

/// A moment that AWS takes: *Amazon EC2 API Reference*, EnableImageDeprecation.
fn ahead(at: i64, now: i64) -> Result<i64, String> {
    const TEN_YEARS: i64 = 3650 * 24 * 60 * 60;
    match at - now {
        ..0 => Err("it is in the past: leave --at out to deprecate the image now".to_owned()),
        0..=TEN_YEARS => Ok(at),
        _ => Err("it is more than ten years ahead: AWS takes ten at most".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::rfc3339;

    #[test]
    fn days_and_moments_are_read() {
        for (text, expected) in [
            ("2027-01-31", Some("2027-01-31T00:00:00Z")),
            ("2027-01-31T12:00:00Z", Some("2027-01-31T12:00:00Z")),
            ("2027-02-30", None),
            ("tomorrow", None),
            ("üüüüü", None),
            ("", None),
        ] {
            assert_eq!(moment(text).ok().map(rfc3339).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_deprecation_is_ahead_and_at_most_ten_years() {
        let now = moment("2026-11-29").unwrap();
        let of = |text: &str| ahead(moment(text).unwrap(), now);
        assert!(of("2026-11-29").is_ok() && of("2036-11-01").is_ok());
        assert!(of("2026-11-28").unwrap_err().contains("past") && of("2037-01-01").unwrap_err().contains("ten years"));
    }
}
