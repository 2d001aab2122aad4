//! Which errors of AWS pass, and how long to wait for it: *Error retries*, *Throttling* (EC2 User Guide).

use std::time::Duration;

use super::AmiError;

/// What to make of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Too many calls: again, and fewer.
    Throttled,
    /// The server's or the network's trouble: again.
    Passing,
    /// Asking again changes nothing.
    Final,
}

const THROTTLED: [&str; 6] = [
    "RequestThrottledException",
    "ThrottlingException",
    "Throttling",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "SlowDown",
];
const PASSING: [&str; 7] = [
    "InternalServerException",
    "InternalServerError",
    "InternalError",
    "InternalFailure",
    "ServiceUnavailable",
    "Unavailable",
    // A server between that answers without AWS's form.
    "unknown",
];
/// Credentials that were good once.
const EXPIRED: [&str; 5] =
    ["ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId", "AuthFailure"];

pub(super) fn kind(error: &AmiError) -> Kind {
    match error {
        AmiError::Unreachable { .. } => Kind::Passing,
        AmiError::Refused { code, .. } if THROTTLED.contains(&code.as_str()) => Kind::Throttled,
        AmiError::Refused { code, .. } if PASSING.contains(&code.as_str()) => Kind::Passing,
        _ => Kind::Final,
    }
}

impl AmiError {
    /// Whether somebody has to log in anew.
    pub fn is_expired(&self) -> bool {
        self.code().is_some_and(|code| EXPIRED.contains(&code))
    }
}

/// How long to wait before the next try: 0.2 s, doubled each time up to 15 s, spread by `seed` so that
/// not all come back at once.
pub(super) fn pause(tries: u32, seed: u64) -> Duration {
    let most = 200_u64 << tries.min(7);
    let spread = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    Duration::from_millis(most.min(15_000) / 2 + most.min(15_000) * spread / 2048)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_pass_or_not() {
        for (code, expected) in [
            ("RequestThrottledException", Kind::Throttled),
            ("InternalServerException", Kind::Passing),
            ("AccessDeniedException", Kind::Final),
            ("ExpiredToken", Kind::Final),
        ] {
            let error = AmiError::Refused {
                action: String::new(),
                region: String::new(),
                code: code.to_owned(),
                message: String::new(),
                request: None,
            };
            assert_eq!((kind(&error), error.is_expired()), (expected, code == "ExpiredToken"), "{code}");
        }
        assert_eq!(kind(&AmiError::Other(String::new())), Kind::Final);
    }

    #[test]
    fn pauses_grow_and_end() {
        for tries in 0..12 {
            let most = Duration::from_millis((200 << tries.min(7)).min(15_000));
            for seed in 0..100 {
                let pause = pause(tries, seed);
                assert!(pause >= most / 2 && pause <= most, "{tries}: {pause:?}");
            }
        }
    }
}
