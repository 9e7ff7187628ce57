//! Phone numbers as the Cloud API takes them: with or without `+`, with blanks,
//! hyphens, dots and brackets between the digits.

/// Fewest digits of a number with its country code.
const DIGITS_MIN: usize = 5;
/// Most digits, by E.164.
const DIGITS_MAX: usize = 15;

/// The digits of `text`, if it is a phone number.
#[must_use]
pub fn digits(text: &str) -> Option<String> {
    let text = text.trim();
    let number = text.strip_prefix('+').unwrap_or(text);
    let mut digits = String::with_capacity(DIGITS_MAX);
    for character in number.chars() {
        match character {
            '0'..='9' => digits.push(character),
            ' ' | '-' | '.' | '(' | ')' | '\u{a0}' => {}
            _ => return None,
        }
    }
    (DIGITS_MIN..=DIGITS_MAX).contains(&digits.len()).then_some(digits)
}

/// A number of these digits as people write it: with `+`, and grouped as in its country.
#[must_use]
pub fn display(digits: &str) -> String {
    let plain = format!("+{digits}");
    match phonenumber::parse(None, &plain) {
        Ok(number) => number.format().mode(phonenumber::Mode::International).to_string(),
        Err(_) => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::{digits, display};

    #[test]
    fn a_number_is_shown_as_people_write_it() {
        assert_eq!(display("15550783881"), "+1 555-078-3881");
        assert_eq!(display("493012345678"), "+49 30 12345678");
        assert_eq!(display("00000"), "+00000");
    }

    #[test]
    fn the_notations_that_the_cloud_api_takes_give_the_same_digits() {
        for text in ["16505551234", "+16505551234", "+1 (650) 555-1234", "1.650.555.1234", " +1 650 5551234 "] {
            assert_eq!(digits(text).as_deref(), Some("16505551234"), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_gives_none() {
        for text in ["", "+", "1234", "1234567890123456", "+1650555CALL", "++16505551234", "US.1349120865530274"] {
            assert_eq!(digits(text), None, "{text}");
        }
    }
}
