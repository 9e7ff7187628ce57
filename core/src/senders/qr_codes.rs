//! Codes that open a chat with a sender, with a message already typed. What is printed holds
//! the code and not the message, so the message can be changed afterwards.

use url::form_urlencoded;

use crate::{
    clock::Millis,
    credentials::fill_random,
    error::{ApiError, Breach, ErrorKind},
    ids::SenderId,
};

/// Characters of a code.
pub const QR_CODE_CHARS: usize = 14;
/// The typed message, in characters.
pub const PREFILLED_MAX_CHARS: usize = 140;
/// Codes of one sender at most.
pub const QR_CODES_MAX_PER_SENDER: i64 = 2_000;

/// What codes are made of: 32 characters, so that every five random bits are one.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// A code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrCode {
    /// The code: capital letters and digits.
    pub code: String,
    /// Whose chat it opens.
    pub sender: SenderId,
    /// What is typed there.
    pub prefilled_message: String,
    /// When it was made.
    pub created_at: Millis,
    /// When its message was changed last.
    pub updated_at: Millis,
}

/// Where a code leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QrTarget {
    /// The sender's number: digits, without `+`.
    pub phone: String,
    /// What is typed.
    pub prefilled_message: String,
}

impl QrTarget {
    /// The address that opens the chat in WhatsApp's app.
    #[must_use]
    pub fn chat_url(&self) -> String {
        let typed: String = form_urlencoded::byte_serialize(self.prefilled_message.as_bytes()).collect();
        // A blank as `+` is for forms; an app may type it as it stands.
        format!("https://wa.me/{}?text={}", self.phone, typed.replace('+', "%20"))
    }
}

/// A new code, of 70 random bits.
pub(super) fn new_code() -> String {
    let mut bytes = [0; QR_CODE_CHARS];
    fill_random(&mut bytes);
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

/// The message without the blanks around it, if it may be typed.
pub(super) fn check_message(message: &str) -> Result<&str, ApiError> {
    let message = message.trim();
    let length = message.chars().count();
    if (1..=PREFILLED_MAX_CHARS).contains(&length) {
        return Ok(message);
    }
    let kind = if length == 0 { ErrorKind::ParameterMissing } else { ErrorKind::ParameterTooLong };
    Err(ApiError::breaches(
        kind,
        vec![Breach {
            pointer: "/prefilled_message".to_owned(),
            message: format!("must have 1 to {PREFILLED_MAX_CHARS} characters, has {length}"),
            limit: Some(PREFILLED_MAX_CHARS as u64),
            actual: Some(length as u64),
        }],
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_fourteen_characters_that_nobody_can_guess() {
        let codes: std::collections::HashSet<String> = (0..1_000).map(|_| new_code()).collect();
        assert_eq!(codes.len(), 1_000);
        assert!(codes.iter().all(|code| code.len() == 14 && code.bytes().all(|byte| ALPHABET.contains(&byte))));
    }

    #[test]
    fn a_message_has_one_to_140_characters() {
        assert_eq!(check_message(" Hi ").unwrap(), "Hi");
        check_message(&"ü".repeat(PREFILLED_MAX_CHARS)).unwrap();
        let error = check_message(&"ü".repeat(PREFILLED_MAX_CHARS + 1)).unwrap_err();
        assert_eq!((error.kind, error.breaches[0].actual), (ErrorKind::ParameterTooLong, Some(141)));
        assert_eq!(check_message("  ").unwrap_err().kind, ErrorKind::ParameterMissing);
    }

    #[test]
    fn a_code_leads_to_the_chat_with_its_message_typed() {
        let target = QrTarget { phone: "15550783881".to_owned(), prefilled_message: "Bread & cake?".to_owned() };
        assert_eq!(target.chat_url(), "https://wa.me/15550783881?text=Bread%20%26%20cake%3F");
    }
}
