//! How a text travels as SMS (3GPP TS 23.038 and 23.040): which alphabet it takes, and how many parts it is sent and
//! paid as.

/// The characters of the GSM alphabet that take one septet.
const GSM: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZ\
                   ÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
/// Those that take two.
const GSM_EXTENDED: &str = "^{}\\[~]|€\u{c}";
/// Septets of a text that is one part.
const GSM_SINGLE_MAX: usize = 160;
/// Septets of a part of several.
const GSM_PART_MAX: usize = 153;
/// UTF-16 units of a text that is one part.
const UCS2_SINGLE_MAX: usize = 70;
/// UTF-16 units of a part of several.
const UCS2_PART_MAX: usize = 67;

/// The alphabet that a text takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// The GSM 7-bit default alphabet.
    Gsm7,
    /// UCS-2, for everything else: fewer characters a part.
    Ucs2,
}

/// How a text is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sms {
    /// Its alphabet.
    pub alphabet: Alphabet,
    /// Its length: septets, or UTF-16 units.
    pub units: usize,
    /// The parts that it is sent as.
    pub parts: usize,
}

impl Sms {
    /// Of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let septets: Option<Vec<usize>> = text.chars().map(septets).collect();
        let (alphabet, sizes, single, part) = match septets {
            Some(sizes) => (Alphabet::Gsm7, sizes, GSM_SINGLE_MAX, GSM_PART_MAX),
            None => (Alphabet::Ucs2, text.chars().map(char::len_utf16).collect(), UCS2_SINGLE_MAX, UCS2_PART_MAX),
        };
        let units = sizes.iter().sum();
        let parts = if units <= single { usize::from(units > 0) } else { filled(&sizes, part) };
        Self { alphabet, units, parts }
    }
}

fn septets(of: char) -> Option<usize> {
    match of {
        _ if GSM.contains(of) => Some(1),
        _ if GSM_EXTENDED.contains(of) => Some(2),
        _ => None,
    }
}

/// How many parts are filled by characters of these sizes, none of which is cut in two.
fn filled(sizes: &[usize], part: usize) -> usize {
    let (mut parts, mut used) = (1, 0);
    for size in sizes {
        if used + size > part {
            parts += 1;
            used = 0;
        }
        used += size;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_as_many_parts_as_its_alphabet_needs() {
        for (text, alphabet, units, parts) in [
            (String::new(), Alphabet::Gsm7, 0, 0),
            ("a".repeat(160), Alphabet::Gsm7, 160, 1),
            ("a".repeat(161), Alphabet::Gsm7, 161, 2),
            ("a".repeat(306), Alphabet::Gsm7, 306, 2),
            ("a".repeat(307), Alphabet::Gsm7, 307, 3),
            ("€".repeat(80), Alphabet::Gsm7, 160, 1),
            ("ä".repeat(160), Alphabet::Gsm7, 160, 1),
            ("ț".repeat(70), Alphabet::Ucs2, 70, 1),
            ("ț".repeat(71), Alphabet::Ucs2, 71, 2),
            ("🎉".repeat(35), Alphabet::Ucs2, 70, 1),
        ] {
            assert_eq!(Sms::of(&text), Sms { alphabet, units, parts }, "{text}");
        }
    }

    #[test]
    fn no_character_is_cut_in_two() {
        // The 77th euro sign would be half in the first part.
        assert_eq!(Sms::of(&"€".repeat(77 + 76)).parts, 3);
        // 33 of them fill 66 of 67 units.
        assert_eq!(Sms::of(&"🎉".repeat(67)).parts, 3);
        assert_eq!(Sms::of(&"🎉".repeat(66)).parts, 2);
    }
}
