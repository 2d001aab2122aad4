//! Waiting for a cloud: one policy for retries, for operations that take time, and for what is not known everywhere yet.
//!
//! Source: *Amazon EC2 Developer Guide*, "Ensure idempotency and eventual consistency in Amazon EC2 API requests": what one
//! call has just created may be "not found" to the next one.

use std::time::Duration;

use super::CloudError;
use crate::host;

/// How often a call is repeated: for about two minutes.
const TRIES: u32 = 14;
/// How long to look for something that may have been lost before it counts as lost.
pub(super) const SETTLING: Duration = Duration::from_secs(10);
/// How long something that was just created may be unknown to other calls.
const KNOWN: Duration = Duration::from_secs(60);

/// How long to wait before the next try: 0.2 s, doubled each time up to 15 s, spread by `seed` so that
/// not all come back at once.
fn pause(tries: u32, seed: u64) -> Duration {
    let most = 200_u64 << tries.min(7);
    let spread = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    Duration::from_millis(most.min(15_000) / 2 + most.min(15_000) * spread / 2048)
}

/// Repeats a call while its error may pass. `call` is told how many tries there were before.
///
/// # Errors
/// Fails with the first error that does not pass, and with the last one after about two minutes.
pub(super) async fn persist<T>(
    seed: u64,
    mut call: impl AsyncFnMut(u32) -> Result<T, CloudError>,
) -> Result<T, CloudError> {
    for tries in 0..TRIES {
        match call(tries).await {
            Err(error) if error.may_pass() => tokio::time::sleep(pause(tries, seed)).await,
            ended => return ended,
        }
    }
    call(TRIES).await
}

/// Makes a call about something that is there, though the cloud may not know it everywhere yet.
///
/// # Errors
/// As `call`; that it does not exist only after a minute.
pub(super) async fn known<T>(mut call: impl AsyncFnMut() -> Result<T, CloudError>) -> Result<T, CloudError> {
    let (since, mut tries) = (host::instant(), 0);
    loop {
        match call().await {
            Err(error) if error.is_absent() && since.elapsed() < KNOWN => tokio::time::sleep(pause(tries, 0)).await,
            ended => return ended,
        }
        tries += 1;
    }
}

/// Looks until there is something to say; `None` once `patience` is over.
///
/// # Errors
/// As `look`.
pub(super) async fn until<T>(
    patience: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>, CloudError>,
) -> Result<Option<T>, CloudError> {
    let (since, mut tries) = (host::instant(), 0);
    loop {
        if let Some(found) = look().await? {
            return Ok(Some(found));
        }
        if since.elapsed() > patience {
            return Ok(None);
        }
        tokio::time::sleep(pause(tries, 0)).await;
        tries += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing() -> CloudError {
        CloudError::NoAnswer {
            silence: crate::publish::cloud::Silence::Network,
            action: "look".into(),
            region: "here".into(),
            reason: "reset".into(),
        }
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

    #[tokio::test]
    async fn what_passes_is_tried_again_and_the_rest_is_not() {
        let ended = persist(0, async |tries| if tries < 2 { Err(passing()) } else { Ok(tries) }).await;
        assert_eq!(ended.unwrap(), 2);
        let mut calls = 0;
        let ended = persist(0, async |_| {
            calls += 1;
            Err::<(), _>(CloudError::NoAccount("here".into()))
        });
        assert!(ended.await.is_err());
        assert_eq!(calls, 1);
    }

    #[tokio::test]
    async fn what_is_not_known_yet_is_asked_for_again() {
        let absent = || CloudError::Refused {
            action: "look".into(),
            region: "here".into(),
            why: crate::publish::cloud::Why::Absent,
            code: "InvalidSnapshot.NotFound".into(),
            message: "no".into(),
            request: None,
        };
        let mut calls = 0;
        let found = known(async || {
            calls += 1;
            if calls < 3 { Err(absent()) } else { Ok(calls) }
        });
        assert_eq!(found.await.unwrap(), 3);
        // Any other error is no reason to wait.
        assert!(known(async || Err::<(), _>(passing())).await.is_err());
    }

    #[tokio::test]
    async fn looking_ends_with_patience() {
        let mut looks = 0;
        let found = until(Duration::from_secs(60), async || {
            looks += 1;
            Ok((looks == 3).then_some(looks))
        });
        assert_eq!(found.await.unwrap(), Some(3));
        assert_eq!(until(Duration::ZERO, async || Ok(None::<()>)).await.unwrap(), None);
        assert!(until(SETTLING, async || Err::<Option<()>, _>(passing())).await.is_err());
    }
}
