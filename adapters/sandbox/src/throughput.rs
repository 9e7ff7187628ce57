//! The limits of a number, pretended as strictly as they are documented: messages a second, and messages in a row to one
//! person. A host that keeps to them never meets them.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use waystation_adapter_sdk::{Outbound, RateScope, SendError};

use crate::{
    Connection,
    behaviour::{self, PAIR_LIMIT, SENDER_LIMIT},
};

/// The highest rate that can be asked for, in messages a second.
pub(crate) const RATE_MAX: u32 = 100_000;
/// Messages in a row to one person, and the time in which one more is allowed, in microseconds.
const PAIR_BURST: i64 = 45;
const PAIR_EVERY_US: i64 = 6_000_000;
/// Pairs that are remembered at most.
const REMEMBERED_MAX: usize = 100_000;

/// When each bucket would be full again, in microseconds since 1970. It lives as long as the library is loaded.
static FULL_AT: Mutex<Option<HashMap<String, i64>>> = Mutex::new(None);

/// Takes one from the bucket of `key`, which holds `burst` and gets one more every `every_us`; else says how long it takes
/// until there is one, in milliseconds.
fn take(key: String, burst: i64, every_us: i64, now_ms: i64) -> Result<(), u64> {
    let mut buckets = FULL_AT.lock().unwrap_or_else(PoisonError::into_inner);
    let buckets = buckets.get_or_insert_default();
    let now_us = now_ms.saturating_mul(1_000);
    if buckets.len() >= REMEMBERED_MAX {
        buckets.retain(|_, full_at| *full_at > now_us);
    }
    let full_at = buckets.entry(key).or_insert(now_us);
    let after = (*full_at).max(now_us) + every_us;
    let too_much_us = after - now_us - burst * every_us;
    if too_much_us > 0 {
        return Err(u64::try_from(too_much_us.div_euclid(1_000) + 1).unwrap_or(1));
    }
    *full_at = after;
    Ok(())
}

/// Refuses what is too fast for the number, or for one person.
pub(crate) fn refuse(connection: &Connection, message: &Outbound) -> Result<(), SendError> {
    let (sender, now) = (&message.sender.id, message.attempt_at_ms);
    let limited =
        |code, scope| move |after_ms| SendError::RateLimited { after_ms, scope, error: behaviour::error(code) };
    if connection.limit_pairs {
        let person = message.recipient.phone.as_ref().or(message.recipient.user_id.as_ref());
        let key = format!("{sender}/{}", person.map(String::as_str).unwrap_or_default());
        take(key, PAIR_BURST, PAIR_EVERY_US, now).map_err(limited(PAIR_LIMIT, RateScope::Pair))?;
    }
    if let Some(rate) = connection.messages_per_second {
        let rate = i64::from(rate.max(1));
        take(sender.clone(), rate, 1_000_000 / rate, now).map_err(limited(SENDER_LIMIT, RateScope::Sender))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_burst_and_fills_at_its_rate() {
        let take = |now| take("test".to_owned(), 80, 12_500, now);
        assert_eq!((0..100).filter(|_| take(1_000_000).is_ok()).count(), 80);
        assert_eq!(take(1_000_000), Err(13));
        assert_eq!((0..100).filter(|_| take(1_000_500).is_ok()).count(), 40);
    }
}
