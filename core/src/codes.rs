//! Codes that go to a phone, to show whose it is or who holds it: how they are drawn, what is
//! kept of them, how often one may be sent. Nothing that is kept says what a code is. Pure;
//! the store counts in the database, so in every process.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::{
    clock::Millis,
    credentials::fill_random,
    vault::{Vault, VaultError},
};

/// Digits of a code to a sender's own number, and of a PIN.
pub const CODE_DIGITS: usize = 6;
/// Digits of any code, at least.
pub(crate) const CODE_MIN_DIGITS: usize = 4;
/// Digits of any code, at most.
pub(crate) const CODE_MAX_DIGITS: usize = 8;
/// How long a code to a sender's own number can be used, in milliseconds.
pub const CODE_LIFE_MS: Millis = 10 * 60 * 1_000;
/// How often a code may be guessed.
pub const CODE_TRIES_MAX: i32 = 5;
/// The wait between two codes to one number, in milliseconds.
pub const SEND_GAP_MS: Millis = 60 * 1_000;
/// Codes to one number in an hour, over all tenants, at most.
pub const SENDS_PER_HOUR_MAX: usize = 3;
/// Codes to one number in a day, over all tenants, at most.
pub const SENDS_PER_DAY_MAX: usize = 10;
/// The wait between two one-time passwords of one business to one person, in milliseconds.
pub const PASSWORD_GAP_MS: Millis = 30 * 1_000;
/// One-time passwords of one business to one person in an hour at most.
pub const PASSWORDS_PER_HOUR_MAX: usize = 5;
/// One-time passwords of one business to one person in a day at most.
pub const PASSWORDS_PER_DAY_MAX: usize = 20;
/// Registrations of one number with the upstream in 72 hours at most: it takes no more.
pub const REGISTRATIONS_MAX: usize = 10;

const HOUR_MS: Millis = 60 * 60 * 1_000;
const DAY_MS: Millis = 24 * HOUR_MS;
/// How long registrations count, in milliseconds.
const REGISTRATIONS_SPAN_MS: Millis = 72 * HOUR_MS;

/// How often something may be done: at most `most` times in any `span_ms`.
type Limit = (usize, Millis);

const SEND_LIMITS: [Limit; 3] = [(1, SEND_GAP_MS), (SENDS_PER_HOUR_MAX, HOUR_MS), (SENDS_PER_DAY_MAX, DAY_MS)];
const PASSWORD_LIMITS: [Limit; 3] =
    [(1, PASSWORD_GAP_MS), (PASSWORDS_PER_HOUR_MAX, HOUR_MS), (PASSWORDS_PER_DAY_MAX, DAY_MS)];
const REGISTRATION_LIMITS: [Limit; 1] = [(REGISTRATIONS_MAX, REGISTRATIONS_SPAN_MS)];

/// When something was done with a number, oldest first; what is too old to count is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Times(Vec<Millis>);

/// What is counted of a number, or of a business's person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CodeCounts {
    /// When codes were sent to it.
    #[serde(default)]
    sends: Times,
    /// When it was registered with the upstream.
    #[serde(default)]
    registrations: Times,
    /// When one-time passwords were sent to it.
    #[serde(default)]
    passwords: Times,
}

impl CodeCounts {
    /// Notes a code that is sent now, or says from when on it may be.
    pub(crate) fn send(&mut self, now: Millis) -> Result<(), Millis> {
        self.sends.note(&SEND_LIMITS, now)
    }

    /// From when on the next code may be sent.
    pub(crate) fn next_send(&self, now: Millis) -> Millis {
        self.sends.free_at(&SEND_LIMITS, now)
    }

    /// Notes a registration that is made now, or says from when on it may be.
    pub(crate) fn register(&mut self, now: Millis) -> Result<(), Millis> {
        self.registrations.note(&REGISTRATION_LIMITS, now)
    }

    /// Notes a one-time password that is sent now, or says from when on it may be.
    pub(crate) fn send_password(&mut self, now: Millis) -> Result<(), Millis> {
        self.passwords.note(&PASSWORD_LIMITS, now)
    }

    /// From when on nothing of this counts any more.
    pub(crate) const LIFE_MS: Millis = REGISTRATIONS_SPAN_MS;
}

impl Times {
    /// Notes `now`, when every limit leaves room; else when the last one does.
    fn note(&mut self, limits: &[Limit], now: Millis) -> Result<(), Millis> {
        let longest = limits.iter().map(|(_, span)| *span).max().unwrap_or_default();
        self.0.retain(|at| *at > now - longest);
        let free_at = self.free_at(limits, now);
        if free_at > now {
            return Err(free_at);
        }
        // Other processes' clocks may be ahead.
        let place = self.0.partition_point(|at| *at <= now);
        self.0.insert(place, now);
        Ok(())
    }

    /// From when on every limit leaves room; `now` if they do already.
    fn free_at(&self, limits: &[Limit], now: Millis) -> Millis {
        let room = |(most, span): &Limit| {
            let counted = self.0.iter().filter(|at| **at > now - span).count();
            let blocking = self.0.len().checked_sub(*most).filter(|_| counted >= *most);
            blocking.map_or(now, |blocking| self.0[blocking] + span)
        };
        limits.iter().map(room).max().unwrap_or(now).max(now)
    }
}

/// A new code or PIN of so many digits, at most [`CODE_MAX_DIGITS`], from the operating
/// system's generator, each equally likely.
pub(crate) fn random_digits(digits: usize) -> String {
    let span = 10_u32.pow(u32::try_from(digits.min(CODE_MAX_DIGITS)).unwrap_or_default());
    let fair = u32::MAX - u32::MAX % span;
    loop {
        let mut bytes = [0; 4];
        fill_random(&mut bytes);
        let drawn = u32::from_le_bytes(bytes);
        if drawn < fair {
            return format!("{:0digits$}", drawn % span);
        }
    }
}

/// The digits of a code as somebody typed it, if it can be one: blanks and hyphens between
/// the digits are how networks show them.
pub(crate) fn read_digits(typed: &str) -> Option<String> {
    let digits: String = typed.chars().filter(|c| !c.is_whitespace() && *c != '-').take(CODE_MAX_DIGITS + 1).collect();
    let fits = (CODE_MIN_DIGITS..=CODE_MAX_DIGITS).contains(&digits.len());
    (fits && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// What is kept of a code of the row `id`, whose place `context` names: a hash, sealed.
///
/// A million codes are tried in no time, whatever the hash; so the hash is sealed by the
/// vault, whose key is not in the database. A copy of the database says nothing of a code,
/// and what the vault gives out is still not the code itself.
pub(crate) fn seal(vault: &Vault, context: &str, id: &str, code: &str) -> Vec<u8> {
    vault.seal(context, &fingerprint(id, code))
}

/// Whether `typed` is the code that [`seal`] made `sealed` of. Takes as long for a code that
/// is nearly right as for any other.
pub(crate) fn is_code(vault: &Vault, context: &str, id: &str, sealed: &[u8], typed: &str) -> Result<bool, VaultError> {
    let kept = vault.open(context, sealed)?;
    Ok(fingerprint(id, typed).as_slice().ct_eq(&kept).into())
}

fn fingerprint(id: &str, code: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(id);
    hash.update([0]);
    hash.update(code);
    hash.finalize().into()
}

/// The sentence that brings a code of `from`, which holds for `life_ms`.
pub(crate) fn text(code: &str, language: &str, from: &str, life_ms: Millis) -> String {
    let minutes = life_ms / 60_000;
    match language.split(['_', '-']).next().unwrap_or_default() {
        "de" => format!("{code} ist Ihr Code für {from}. Er gilt {minutes} Minuten. Geben Sie ihn nicht weiter."),
        "es" => format!("{code} es su código de {from}. Vale {minutes} minutos. No lo comparta."),
        "fr" => format!("{code} est votre code {from}. Il est valable {minutes} minutes. Ne le partagez pas."),
        "pt" => format!("{code} é o seu código {from}. Vale por {minutes} minutos. Não o partilhe."),
        _ => format!("{code} is your {from} code. It is valid for {minutes} minutes. Don't share it."),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const MINUTE_MS: Millis = 60_000;

    #[test]
    fn a_number_gets_one_code_a_minute_three_an_hour_ten_a_day() {
        let start = 1_000_000_000;
        let mut counts = CodeCounts::default();
        assert_eq!(counts.send(start), Ok(()));
        assert_eq!(counts.send(start), Err(start + MINUTE_MS));
        assert_eq!(counts.send(start + MINUTE_MS - 1), Err(start + MINUTE_MS));
        assert_eq!(counts.send(start + MINUTE_MS), Ok(()));
        assert_eq!(counts.send(start + 2 * MINUTE_MS), Ok(()));
        assert_eq!(counts.next_send(start + 3 * MINUTE_MS), start + HOUR_MS);
        assert_eq!(counts.send(start + 3 * MINUTE_MS), Err(start + HOUR_MS));
        let mut now = start + HOUR_MS;
        for sent in 3..10 {
            let free = counts.next_send(now);
            now = free.max(now);
            assert_eq!(counts.send(now), Ok(()), "the {sent}th");
        }
        assert!(now < start + DAY_MS);
        assert_eq!(counts.send(now + HOUR_MS), Err(start + DAY_MS));
        assert_eq!(counts.send(start + DAY_MS), Ok(()));
    }

    #[test]
    fn a_number_is_registered_ten_times_in_72_hours() {
        let mut counts = CodeCounts::default();
        for turn in 0..10 {
            assert_eq!(counts.register(1_000 + turn), Ok(()));
        }
        assert_eq!(counts.register(HOUR_MS), Err(1_000 + REGISTRATIONS_SPAN_MS));
        assert_eq!(counts.send(HOUR_MS), Ok(()), "codes are counted apart");
        assert_eq!(counts.register(1_000 + REGISTRATIONS_SPAN_MS), Ok(()));
        let read: CodeCounts = serde_json::from_str(&serde_json::to_string(&counts).unwrap()).unwrap();
        assert_eq!(read, counts);
        assert_eq!(serde_json::from_str::<CodeCounts>("{}").unwrap(), CodeCounts::default());
    }

    proptest! {
        #[test]
        fn no_order_of_requests_gets_more_codes_out(waits in proptest::collection::vec(0..3 * HOUR_MS, 1..200)) {
            let (mut counts, mut now) = (CodeCounts::default(), 1_000_000_000);
            let mut sent: Vec<Millis> = Vec::new();
            for wait in waits {
                now += wait;
                let within = |span: Millis| sent.iter().filter(|at| **at > now - span).count();
                let allowed = within(SEND_GAP_MS) < 1 && within(HOUR_MS) < 3 && within(DAY_MS) < 10;
                match counts.send(now) {
                    Ok(()) => {
                        prop_assert!(allowed);
                        sent.push(now);
                    }
                    Err(free_at) => {
                        prop_assert!(!allowed && free_at > now);
                        prop_assert_eq!(counts.clone().send(free_at), Ok(()), "the wait that was named is enough");
                        prop_assert!(counts.clone().send(free_at - 1).is_err(), "and no less is");
                    }
                }
                prop_assert!(counts.sends.0.len() <= SENDS_PER_DAY_MAX, "what is kept is bounded");
            }
        }
    }

    #[test]
    fn a_person_gets_one_password_in_30_seconds_five_an_hour_twenty_a_day() {
        let start = 1_000_000_000;
        let mut counts = CodeCounts::default();
        assert_eq!(counts.send_password(start), Ok(()));
        assert_eq!(counts.send_password(start + 1), Err(start + PASSWORD_GAP_MS));
        for turn in 1..5 {
            assert_eq!(counts.send_password(start + turn * PASSWORD_GAP_MS), Ok(()));
        }
        assert_eq!(counts.send_password(start + 5 * PASSWORD_GAP_MS), Err(start + HOUR_MS));
        for turn in 5..20 {
            assert_eq!(counts.send_password(start + turn * HOUR_MS / 2), Ok(()), "the {turn}th");
        }
        assert_eq!(counts.send_password(start + 12 * HOUR_MS), Err(start + DAY_MS));
        assert_eq!(counts.send(start), Ok(()), "codes to one's own number are counted apart");
    }

    #[test]
    fn codes_have_their_digits_and_differ() {
        for digits in CODE_MIN_DIGITS..=CODE_MAX_DIGITS {
            let codes: BTreeSet<String> = (0..200).map(|_| random_digits(digits)).collect();
            assert!(codes.len() > 180, "{digits}: {}", codes.len());
            assert!(codes.iter().all(|code| code.len() == digits && read_digits(code).as_ref() == Some(code)));
        }
        assert_eq!(read_digits(" 123-456 ").as_deref(), Some("123456"));
        for bad in ["", "123", "123456789", "12345a", "１２３４５６", "123456 123456"] {
            assert_eq!(read_digits(bad), None, "{bad}");
        }
        for language in ["en_US", "de", "pt_BR", "xx"] {
            assert!(text("012345", language, "Waystation", CODE_LIFE_MS).contains("012345"));
        }
    }

    #[test]
    fn what_is_kept_of_a_code_opens_in_its_row_and_with_its_key_only() {
        let vault = Vault::for_tests();
        let sealed = seal(&vault, "place", "a", "123456");
        assert_eq!(is_code(&vault, "place", "a", &sealed, "123456"), Ok(true));
        assert_eq!(is_code(&vault, "place", "a", &sealed, "123457"), Ok(false));
        assert_eq!(is_code(&vault, "place", "b", &sealed, "123456"), Ok(false), "the same code in another row");
        assert!(is_code(&vault, "elsewhere", "a", &sealed, "123456").is_err());
        assert!(is_code(&Vault::for_tests(), "place", "a", &sealed, "123456").is_err());
    }
}
