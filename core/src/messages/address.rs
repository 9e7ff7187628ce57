//! Whom a message is for: a phone number, or somebody whose number nobody here knows.

use super::{limits::USER_ID_MAX_CHARS, phone};

/// Letters of the country code that a user id starts with.
const COUNTRY_CHARS: usize = 2;
/// What marks the id of a parent portfolio.
const PARENT: &str = "ENT.";

/// Whom a message is for. As text a phone number consists of digits and a user id starts with a letter, so that one cannot
/// be taken for the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Digits with the country code, without `+`.
    Phone(String),
    /// A business-scoped user id, `US.13491208655302741918`, or that of a parent portfolio, `US.ENT.118…`.
    UserId(String),
}

impl Address {
    /// Reads a phone number in any notation.
    #[must_use]
    pub fn phone(text: &str) -> Option<Self> {
        phone::digits(text).map(Self::Phone)
    }

    /// Reads a user id.
    #[must_use]
    pub fn user_id(text: &str) -> Option<Self> {
        let (country, rest) = text.split_once('.')?;
        let id = rest.strip_prefix(PARENT).unwrap_or(rest);
        let fits = country.len() == COUNTRY_CHARS
            && country.bytes().all(|byte| byte.is_ascii_uppercase())
            && (1..=USER_ID_MAX_CHARS).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then(|| Self::UserId(text.to_owned()))
    }

    /// What [`Self::as_str`] gave.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        if text.starts_with(|first: char| first.is_ascii_alphabetic()) { Self::UserId(text) } else { Self::Phone(text) }
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(text) | Self::UserId(text) => text,
        }
    }

    /// The phone number, if it is one.
    #[must_use]
    pub fn as_phone(&self) -> Option<&str> {
        match self {
            Self::Phone(digits) => Some(digits),
            Self::UserId(_) => None,
        }
    }

    /// The user id, if it is one.
    #[must_use]
    pub fn as_user_id(&self) -> Option<&str> {
        match self {
            Self::UserId(id) => Some(id),
            Self::Phone(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_id_is_a_country_and_up_to_128_letters_and_digits() {
        let long = |length| format!("US.{}", "a".repeat(length));
        for text in ["US.13491208655302741918", "US.ENT.11815799212886844830", "DE.x", &long(128)] {
            assert_eq!(Address::user_id(text).as_ref().map(Address::as_str), Some(text));
        }
        for text in ["", "US", "US.", "US.ENT.", "us.1", "USA.1", "US.1-2", "16505551234", "US.1.2", &long(129)] {
            assert_eq!(Address::user_id(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_stored_is_read_back_as_what_it_was() {
        for address in [Address::phone("+1 650 555 1234").unwrap(), Address::user_id("US.17").unwrap()] {
            assert_eq!(Address::from_stored(address.as_str().to_owned()), address);
        }
    }
}
