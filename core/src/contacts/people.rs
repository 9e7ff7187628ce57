//! An address is found by a keyed hash of it, so what has to outlive a person's data, that they
//! want no more of it, says nothing about who they are to anyone without the key.
//!
//! Notations of one line hash alike: some countries write mobile numbers with a digit more abroad
//! than at home, and WhatsApp knows one of the two. Nothing is ever sent to a number that was
//! rewritten; the other notation is only recognised.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{ids::BusinessId, messages::address::Address};

/// Length of the key in bytes.
pub(crate) const KEY_BYTES: usize = 32;

/// Hashes the addresses of one installation's people.
#[derive(Clone)]
pub(crate) struct People([u8; KEY_BYTES]);

impl std::fmt::Debug for People {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("People")
    }
}

impl People {
    pub(crate) fn new(key: [u8; KEY_BYTES]) -> Self {
        Self(key)
    }

    /// What stands for `address` at `business`: 64 hexadecimal digits. Another business has another
    /// one for the same person.
    pub(crate) fn hash(&self, business: &BusinessId, address: &Address) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            // HMAC takes keys of any length.
            return String::new();
        };
        mac.update(business.key().as_bytes());
        mac.update(b"\0");
        match address {
            Address::Phone(digits) => mac.update(line(digits).as_bytes()),
            Address::UserId(id) => mac.update(id.as_bytes()),
        }
        hex::encode(mac.finalize().into_bytes())
    }
}

/// One notation for all notations of the line with these digits: of Brazil without the ninth digit
/// of mobile numbers that had eight, of Mexico without the 1 and of Argentina without the 9 that
/// mark mobile numbers.
pub(crate) fn line(digits: &str) -> String {
    let without = |at: usize| format!("{}{}", &digits[..at], &digits[at + 1..]);
    match digits.as_bytes() {
        [b'5', b'5', _, _, b'9', b'6'..=b'9', ..] if digits.len() == 13 => without(4),
        [b'5', b'2', b'1', ..] if digits.len() == 13 => without(2),
        [b'5', b'4', b'9', ..] if digits.len() == 13 => without(2),
        _ => digits.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notations_of_one_line_are_one_and_lines_stay_apart() {
        for (one, other) in
            [("5511987654321", "551187654321"), ("5215512345678", "525512345678"), ("5491123456789", "541123456789")]
        {
            assert_eq!(line(one), line(other));
        }
        // A landline in São Paulo has no mobile twin, and a mobile number that never had eight digits no landline.
        assert_ne!(line("551132165498"), line("5511932165498"));
        assert_eq!(line("5511932165498"), "5511932165498");
        assert_eq!(line("16505551234"), "16505551234");
    }

    #[test]
    fn a_hash_is_of_one_business_and_one_key() {
        let (one, other) = (BusinessId::generate(), BusinessId::generate());
        let (phone, user) = (Address::phone("16505551234").unwrap(), Address::user_id("US.1").unwrap());
        let people = People::new([1; KEY_BYTES]);
        assert_eq!(people.hash(&one, &phone), people.hash(&one, &Address::phone("+1 650 555 1234").unwrap()));
        assert_ne!(people.hash(&one, &phone), people.hash(&other, &phone));
        assert_ne!(people.hash(&one, &phone), people.hash(&one, &user));
        assert_ne!(people.hash(&one, &phone), People::new([2; KEY_BYTES]).hash(&one, &phone));
    }
}
