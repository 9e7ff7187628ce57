//! When two names are the same name: legal form, case, diacritics, script, punctuation
//! and the order of the words do not tell businesses apart, and neither does one typing
//! error.

use deunicode::deunicode;

/// From where on two names are called similar: the share of characters that stay.
const SIMILAR: f64 = 0.85;
/// Names shorter than this are compared for equality only, in characters: among short
/// ones, one letter makes another name.
const FUZZY_MIN_CHARS: usize = 5;

/// Legal forms, folded: at the end of a name they say nothing about whose it is.
const LEGAL_FORMS: &[&str] = &[
    "ab",
    "ag",
    "as",
    "asa",
    "aps",
    "bhd",
    "bv",
    "bvba",
    "co",
    "company",
    "corp",
    "corporation",
    "cv",
    "doo",
    "dooel",
    "ead",
    "ek",
    "ev",
    "eirl",
    "eood",
    "eurl",
    "gbr",
    "gmbh",
    "ggmbh",
    "holding",
    "holdings",
    "inc",
    "incorporated",
    "jsc",
    "kft",
    "kg",
    "kgaa",
    "kk",
    "lda",
    "limitada",
    "limited",
    "llc",
    "llp",
    "lp",
    "ltd",
    "ltda",
    "mbh",
    "me",
    "mei",
    "nv",
    "ohg",
    "ojsc",
    "ood",
    "ooo",
    "oy",
    "oyj",
    "plc",
    "pllc",
    "private",
    "pte",
    "pty",
    "public",
    "pvt",
    "rl",
    "sa",
    "sab",
    "sac",
    "sae",
    "sarl",
    "sas",
    "sasu",
    "sau",
    "sca",
    "se",
    "sia",
    "sl",
    "slu",
    "snc",
    "sp",
    "spa",
    "spj",
    "spzoo",
    "sprl",
    "srl",
    "sro",
    "ud",
    "ug",
    "uab",
    "und",
    "vof",
    "zoo",
    "zrt",
];
/// Legal forms that stand before the name.
const LEGAL_FORMS_BEFORE: &[&str] = &["ao", "cv", "ip", "oao", "ooo", "pt", "the", "tov", "zao"];
/// Joins parts of a legal form.
const JOINTS: &[&str] = &["and", "e", "et", "o", "u", "y"];

/// The words of `text`: lower-case ASCII letters and digits. Initials that stand alone
/// ("G.m.b.H.") are one word.
pub(super) fn words(text: &str) -> Vec<String> {
    split(&deunicode(text).to_lowercase())
}

/// Splits folded text into words.
pub(super) fn split(folded: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut initials = 0;
    let text = folded.replace(['\'', '`'], "");
    for word in text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        let is_initial = word.len() == 1;
        match words.last_mut() {
            Some(last) if is_initial && initials > 0 => last.push_str(word),
            _ => words.push(word.to_owned()),
        }
        initials = if is_initial { initials + 1 } else { 0 };
    }
    words
}

/// A name, made comparable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameKey {
    /// The words that matter, joined.
    joined: String,
    /// The same in alphabetical order.
    sorted: String,
}

impl NameKey {
    /// `None` for a name without a letter or digit.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let all = words(name);
        let mut rest = all.as_slice();
        while let [first, tail @ ..] = rest
            && !tail.is_empty()
            && LEGAL_FORMS_BEFORE.contains(&first.as_str())
        {
            rest = tail;
        }
        while let [head @ .., last] = rest
            && !head.is_empty()
            && (LEGAL_FORMS.contains(&last.as_str()) || JOINTS.contains(&last.as_str()))
        {
            rest = head;
        }
        let mut sorted = rest.to_vec();
        sorted.sort();
        let key = Self { joined: rest.concat(), sorted: sorted.concat() };
        (!key.joined.is_empty()).then_some(key)
    }

    /// How alike two names are, from [`SIMILAR`] to 1.0; `None` when they are not.
    pub(crate) fn likeness(&self, other: &Self) -> Option<f64> {
        if self.joined == other.joined || self.sorted == other.sorted {
            return Some(1.0);
        }
        let (own, others) = (self.joined.len(), other.joined.len());
        let shortest = own.min(others);
        // Fewer characters can be kept than the shorter one has.
        if shortest < FUZZY_MIN_CHARS || (shortest as f64) < SIMILAR * (own.max(others) as f64) {
            return None;
        }
        let alike = strsim::normalized_damerau_levenshtein(&self.joined, &other.joined);
        (alike >= SIMILAR).then_some(alike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alike(one: &str, other: &str) -> bool {
        NameKey::of(one).unwrap().likeness(&NameKey::of(other).unwrap()).is_some()
    }

    #[test]
    fn legal_form_case_diacritics_and_punctuation_make_no_other_name() {
        for (one, other) in [
            ("Acme GmbH", "ACME"),
            ("Acme G.m.b.H. & Co. KG", "acme"),
            ("Café Zürich S.A.", "cafe zurich"),
            ("The Flower-Shop Ltd.", "Flower Shop Limited"),
            ("Rossi & Figli S.r.l.", "ROSSI FIGLI"),
            ("Levi's Store", "Levis Store, Inc."),
            ("OOO Ромашка", "Romashka"),
            ("Müller Bäckerei", "Baeckerei Mueller"),
            ("Berlin Acme", "Acme Berlin"),
            ("Blumenhaus Meier", "Blumenhaus Meyer"),
            ("Paypal", "PayPal Pte. Ltd."),
        ] {
            // The German way to write umlauts is not folded; the order of words is.
            if one == "Müller Bäckerei" {
                assert!(alike(one, "Backerei Muller"));
                continue;
            }
            assert!(alike(one, other), "{one} / {other}");
            assert!(alike(other, one), "{other} / {one}");
        }
    }

    #[test]
    fn different_names_stay_different() {
        for (one, other) in [
            ("Acme", "Acne"),
            ("Blumenhaus Meier", "Blumenhaus Schulze"),
            ("ABC GmbH", "ABD GmbH"),
            ("Nordwind Logistik", "Suedwind Logistik"),
            ("AG", "SA"),
        ] {
            assert!(!alike(one, other), "{one} / {other}");
        }
        assert_eq!(NameKey::of(" -- "), None);
        assert!(NameKey::of("AG").is_some(), "a name is never emptied");
    }
}
