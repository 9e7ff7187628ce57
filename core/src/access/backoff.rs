//! Guessing gets slower with every miss: a try is charged before it is looked at, so
//! that many at once gain nothing, and what it is charged to is kept in the database, so
//! that it holds across processes.
//!
//! Each try is charged to the address it comes from, and to the account: passwords to the
//! account as it is tried from there, so that nobody can keep its owner out from elsewhere;
//! codes to the account alone, because whoever tries them knows the password. An account
//! that is not there is charged all the same: the answer does not tell.

use std::net::IpAddr;

use crate::{clock::Millis, credentials::KeyHash, ids::UserId};

/// Failures in a row of one account that cost no wait.
const ACCOUNT_FREE_FAILURES: i32 = 5;
/// Failures from one address that cost no wait: an office shares one.
const ADDRESS_FREE_FAILURES: i32 = 20;
/// The first wait, in milliseconds; each further failure doubles it.
const WAIT_FIRST_MS: Millis = 2_000;
/// The longest wait, in milliseconds.
const WAIT_MAX_MS: Millis = 15 * 60 * 1_000;
/// How long failures are remembered after the last try, in milliseconds.
pub(crate) const MEMORY_MS: Millis = 24 * 60 * 60 * 1_000;

/// What a try is charged to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Meter {
    /// What it is kept under: a hash, so that no address or account is read off it.
    pub(crate) name: String,
    free: i32,
}

impl Meter {
    /// Passwords tried from an address on the account with this e-mail address, there or not.
    pub(super) fn password(email: &str, from: Option<IpAddr>) -> Self {
        let from = from.map_or_else(String::new, network);
        Self::new("password", &format!("{email} {from}"), ACCOUNT_FREE_FAILURES)
    }

    /// Second factors tried on an account.
    pub(super) fn code(user: &UserId) -> Self {
        Self::new("code", user.key(), ACCOUNT_FREE_FAILURES)
    }

    /// Everything that comes from an address; of IPv6 the network of 64 bits, which is
    /// one customer's.
    pub(super) fn address(address: IpAddr) -> Self {
        Self::new("address", &network(address), ADDRESS_FREE_FAILURES)
    }

    fn new(kind: &str, of: &str, free: i32) -> Self {
        Self { name: KeyHash::of(&format!("{kind} {of}")).hex(), free }
    }

    /// How long the next try has to wait after `failures`.
    pub(crate) fn wait_ms(&self, failures: i32) -> Millis {
        let over = failures - self.free;
        match u32::try_from(over) {
            Ok(doublings) => WAIT_FIRST_MS.checked_shl(doublings.min(16)).map_or(WAIT_MAX_MS, |ms| ms.min(WAIT_MAX_MS)),
            Err(_) => 0,
        }
    }
}

fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:x?}", &address.segments()[..4]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let meter = Meter::password("ada@example.com", None);
        let waits: Vec<Millis> = [0, 4, 5, 6, 7, 13, 14, 40, i32::MAX].map(|failures| meter.wait_ms(failures)).to_vec();
        assert_eq!(waits, [0, 0, 2_000, 4_000, 8_000, 512_000, 900_000, 900_000, 900_000]);
        assert_eq!(Meter::address([192, 0, 2, 1].into()).wait_ms(19), 0);
    }

    #[test]
    fn what_a_try_is_charged_to_is_kept_as_a_hash() {
        let address = |text: &str| Meter::address(text.parse().unwrap());
        let tried = |from: &str| Meter::password("ada@example.com", Some(from.parse().unwrap()));
        assert_eq!(tried("192.0.2.1").name.len(), 64);
        assert_ne!(tried("192.0.2.1"), tried("192.0.2.2"), "who tries from elsewhere keeps nobody out");
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
    }
}
