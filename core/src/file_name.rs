//! Names of files that strangers give, made harmless: they stand in headers, pages and
//! folders of other people.

/// `given` without folders, control characters and characters that are not seen, not hidden,
/// of at most `max_chars` characters. Empty when nothing of it is left.
#[must_use]
pub(crate) fn harmless(given: &str, max_chars: usize) -> String {
    let last = given.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c) && !"<>:\"|?*".contains(*c))
        .collect();
    let kept: String = kept.trim_matches([' ', '.']).chars().take(max_chars).collect();
    kept.trim_matches([' ', '.']).to_owned()
}

/// Characters that change how the others are shown without being seen.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// `name` in at most `max_chars` characters with its ending, where there is room for it.
#[must_use]
pub(crate) fn shortened(name: &str, max_chars: usize) -> String {
    if name.chars().count() <= max_chars {
        return name.to_owned();
    }
    let ending =
        name.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| ending.chars().count() < max_chars / 2);
    let Some(ending) = ending else { return name.chars().take(max_chars).collect() };
    let room = max_chars - ending.chars().count() - 1;
    let stem: String = name.chars().take(room).collect();
    format!("{}.{ending}", stem.trim_matches([' ', '.']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_name_keeps_its_ending() {
        let long = format!("{}.pdf", "a".repeat(300));
        assert_eq!(shortened(&long, 20), format!("{}.pdf", "a".repeat(16)));
        assert_eq!(shortened("short.pdf", 20), "short.pdf");
        assert_eq!(shortened(&"a".repeat(30), 20), "a".repeat(20));
    }

    proptest! {
        #[test]
        fn no_name_does_harm(given in any::<String>()) {
            let name = harmless(&given, 120);
            prop_assert!(name.chars().count() <= 120 && !name.starts_with(['.', ' ']));
            prop_assert!(!name.contains(['/', '\\', '"']));
            prop_assert!(!name.chars().any(|c| c.is_control() || is_invisible(c)));
            prop_assert_eq!(harmless(&name, 120), name);
        }
    }
}
