//! Guarantee: how a text is encoded and in how many parts it travels is decided here and nowhere else: what is shown in
//! advance is what is sent.
//!
//! A text goes out in the 7-bit alphabet of GSM 03.38 (3GPP TS 23.038) when every character is in it, else in UCS-2. A
//! part has 140 octets: 160 septets or 70 code units; in a text of several parts each gives 6 octets to its header, which
//! leaves 153 and 67. A character of the extension table counts twice. No character is cut in two.

/// Septets in a text of one part.
pub const GSM7_SINGLE_SEPTETS: usize = 160;
/// Septets in each of several parts.
pub const GSM7_PART_SEPTETS: usize = 153;
/// Code units in a text of one part.
pub const UCS2_SINGLE_UNITS: usize = 70;
/// Code units in each of several parts.
pub const UCS2_PART_UNITS: usize = 67;
/// Parts of one text at most: the header numbers them in one octet.
pub const PARTS_MAX: usize = 255;

/// Announces a character of the extension table.
const ESCAPE: u8 = 0x1b;

/// The default alphabet, by code. The place of [`ESCAPE`] has no character.
const ALPHABET: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

/// The extension table.
const EXTENSION: [(u8, char); 10] = [
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// How a text is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The 7-bit alphabet of GSM 03.38.
    Gsm7,
    /// UCS-2; characters beyond it as UTF-16 pairs, which phones understand.
    Ucs2,
}

/// What a text comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How it is encoded.
    pub encoding: Encoding,
    /// Septets, or code units.
    pub units: usize,
    /// Parts; a text without characters is one.
    pub parts: usize,
}

/// Counts a text.
#[must_use]
pub fn size(text: &str) -> Size {
    let (encoding, parts) = split(text);
    Size { encoding, units: parts.iter().map(|part| units(encoding, part)).sum(), parts: parts.len() }
}

/// The parts of a text, each an octet a septet ("unpacked", as SMPP carries them) or two octets a code unit.
#[must_use]
pub fn split(text: &str) -> (Encoding, Vec<Vec<u8>>) {
    let septets: Option<Vec<Vec<u8>>> = text.chars().map(gsm7).collect();
    match septets {
        Some(characters) => (Encoding::Gsm7, pack(characters, GSM7_SINGLE_SEPTETS, GSM7_PART_SEPTETS)),
        None => {
            let mut buffer = [0; 2];
            let characters = text.chars().map(|character| {
                character.encode_utf16(&mut buffer).iter().flat_map(|unit| unit.to_be_bytes()).collect()
            });
            (Encoding::Ucs2, pack(characters.collect(), UCS2_SINGLE_UNITS * 2, UCS2_PART_UNITS * 2))
        }
    }
}

/// The text that unpacked septets say. A code that says nothing becomes a blank.
#[must_use]
pub fn read_gsm7(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut codes = septets.iter().map(|octet| octet & 0x7f);
    while let Some(code) = codes.next() {
        if code != ESCAPE {
            text.push(ALPHABET[usize::from(code)]);
            continue;
        }
        let code = codes.next();
        let extended = EXTENSION.iter().find(|(known, _)| Some(*known) == code).map(|(_, character)| *character);
        // A phone that does not know an extension shows the character of the default alphabet.
        let plain = code.map_or(' ', |code| ALPHABET[usize::from(code)]);
        text.push(extended.unwrap_or(if plain == '\u{1b}' { ' ' } else { plain }));
    }
    text
}

/// The text that octets of UCS-2 say; what is no character becomes U+FFFD.
#[must_use]
pub fn read_ucs2(octets: &[u8]) -> String {
    let units: Vec<u16> = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
    String::from_utf16_lossy(&units)
}

fn gsm7(character: char) -> Option<Vec<u8>> {
    if let Some((code, _)) = EXTENSION.iter().find(|(_, known)| *known == character) {
        return Some(vec![ESCAPE, *code]);
    }
    let code = ALPHABET.iter().position(|known| *known == character).and_then(|code| u8::try_from(code).ok())?;
    (code != ESCAPE).then(|| vec![code])
}

fn pack(characters: Vec<Vec<u8>>, single: usize, each: usize) -> Vec<Vec<u8>> {
    let whole: usize = characters.iter().map(Vec::len).sum();
    let room = if whole <= single { single } else { each };
    let mut parts = vec![Vec::with_capacity(room.min(whole))];
    for character in characters {
        if parts.last().is_none_or(|part| part.len() + character.len() > room) {
            parts.push(Vec::with_capacity(room));
        }
        if let Some(part) = parts.last_mut() {
            part.extend(character);
        }
    }
    parts
}

fn units(encoding: Encoding, part: &[u8]) -> usize {
    match encoding {
        Encoding::Gsm7 => part.len(),
        Encoding::Ucs2 => part.len() / 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str) -> (Encoding, usize, usize) {
        let size = size(text);
        (size.encoding, size.units, size.parts)
    }

    #[test]
    fn parts_are_counted_at_the_bounds_of_both_encodings() {
        for (characters, parts) in [(0, 1), (1, 1), (160, 1), (161, 2), (306, 2), (307, 3)] {
            assert_eq!(counted(&"a".repeat(characters)), (Encoding::Gsm7, characters, parts));
        }
        for (characters, parts) in [(1, 1), (70, 1), (71, 2), (134, 2), (135, 3)] {
            assert_eq!(counted(&"ж".repeat(characters)), (Encoding::Ucs2, characters, parts));
        }
    }

    #[test]
    fn extension_characters_count_twice_and_are_never_cut() {
        assert_eq!(counted(&"€".repeat(80)), (Encoding::Gsm7, 160, 1));
        assert_eq!(counted(&"€".repeat(81)), (Encoding::Gsm7, 162, 2));
        let (_, parts) = split(&format!("{}€{}", "a".repeat(152), "b".repeat(20)));
        assert_eq!((parts[0].len(), &parts[1][..2]), (152, &[ESCAPE, 0x65][..]));
        let (_, parts) = split(&format!("{}😀{}", "ж".repeat(66), "ж".repeat(20)));
        assert_eq!(parts[0].len(), 66 * 2, "a pair is not cut either");
    }

    #[test]
    fn every_character_of_both_tables_comes_back() {
        let all: String = ALPHABET.iter().filter(|c| **c != '\u{1b}').chain(EXTENSION.iter().map(|(_, c)| c)).collect();
        for character in all.chars() {
            let (encoding, parts) = split(&character.to_string());
            assert_eq!(encoding, Encoding::Gsm7, "{character:?}");
            assert_eq!(read_gsm7(&parts[0]), character.to_string());
        }
        assert_eq!(split("@£\n").1, [[0x00, 0x01, 0x0a]]);
        assert_eq!(read_gsm7(&[ESCAPE]), " ");
        let (encoding, parts) = split("été ✓ 😀");
        assert_eq!((encoding, read_ucs2(&parts[0]).as_str()), (Encoding::Ucs2, "été ✓ 😀"));
    }
}
