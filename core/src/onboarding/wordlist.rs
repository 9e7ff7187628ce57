//! Words in a business's name that the upstream's commerce policy has something to say
//! about. A match is a question for the reviewer, not a verdict: "Gin" is a surname, too.
//! Only names that pose as the upstream's own brands fail.
//!
//! Words are matched whole, whatever their case, diacritics and script, and with digits
//! and signs in the place of letters ("C4$1NO"). The list is ours, has a version, and a
//! check's result names it.

use deunicode::deunicode;

use super::names::split;

/// Changes whenever the list does.
pub const WORD_LIST_VERSION: &str = "2026-11-24";

/// The part of the commerce policy that a word belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Area {
    Adult,
    Alcohol,
    Animals,
    BodyParts,
    Counterfeit,
    Currency,
    Dating,
    Deceptive,
    Drugs,
    Gambling,
    Hazardous,
    Health,
    Impersonation,
    Tobacco,
    Weapons,
}

impl Area {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Adult => "adult products and services",
            Self::Alcohol => "alcohol",
            Self::Animals => "sale of animals",
            Self::BodyParts => "body parts and fluids",
            Self::Counterfeit => "counterfeit or unlicensed goods",
            Self::Currency => "currency, real or virtual",
            Self::Dating => "dating",
            Self::Deceptive => "misleading or exploitative offers",
            Self::Drugs => "drugs",
            Self::Gambling => "gambling for money",
            Self::Hazardous => "hazardous goods",
            Self::Health => "medical and healthcare products",
            Self::Impersonation => "names of the upstream itself",
            Self::Tobacco => "tobacco",
            Self::Weapons => "weapons, ammunition and explosives",
        }
    }
}

/// Folded words and phrases, by area.
const WORDS: &[(Area, &[&str])] = &[
    (
        Area::Adult,
        &[
            "adult",
            "bordell",
            "brothel",
            "escort",
            "erotic",
            "erotica",
            "erotik",
            "erotico",
            "fetish",
            "nude",
            "porn",
            "porno",
            "pornography",
            "prostitution",
            "sex",
            "sexshop",
            "sexual",
            "sexy",
            "strip club",
            "striptease",
            "xxx",
        ],
    ),
    (
        Area::Alcohol,
        &[
            "alcohol",
            "alkohol",
            "beer",
            "bier",
            "brandy",
            "brewery",
            "brauerei",
            "cerveza",
            "cerveja",
            "champagne",
            "cognac",
            "distillery",
            "gin",
            "liquor",
            "rum",
            "schnaps",
            "spirituosen",
            "tequila",
            "vodka",
            "whiskey",
            "whisky",
            "wine",
            "winery",
            "wein",
            "vino",
            "vinho",
        ],
    ),
    (
        Area::Animals,
        &["breeder", "exotic animal", "ivory", "kitten", "livestock", "pet shop", "puppies", "puppy", "tierhandel"],
    ),
    (Area::BodyParts, &["blood plasma", "human hair", "kidney", "organ donor", "sperm", "surrogacy"]),
    (
        Area::Counterfeit,
        &[
            "counterfeit",
            "cracked",
            "fake",
            "first copy",
            "hacked",
            "imitation",
            "iptv",
            "jailbreak",
            "pirated",
            "replica",
        ],
    ),
    (
        Area::Currency,
        &[
            "bitcoin",
            "bureau de change",
            "crypto",
            "cryptocurrency",
            "ethereum",
            "forex",
            "ico",
            "money exchange",
            "nft",
            "stablecoin",
            "usdt",
            "wechselstube",
        ],
    ),
    (Area::Dating, &["dating", "hookup", "matchmaker", "matchmaking", "mail order bride", "singles", "sugar daddy"]),
    (
        Area::Deceptive,
        &[
            "bail bond",
            "binary option",
            "debt collection",
            "debt collector",
            "fast cash",
            "fast loan",
            "get rich",
            "inkasso",
            "instant loan",
            "loan shark",
            "mlm",
            "multi level marketing",
            "payday",
            "payday loan",
            "peer to peer lending",
            "pyramid",
            "quick cash",
        ],
    ),
    (
        Area::Drugs,
        &[
            "cannabis",
            "cbd",
            "cocaine",
            "codeine",
            "drug",
            "droga",
            "drogen",
            "ecstasy",
            "ganja",
            "hashish",
            "hemp",
            "heroin",
            "ketamine",
            "kratom",
            "lsd",
            "magic mushroom",
            "marihuana",
            "marijuana",
            "mdma",
            "meth",
            "opium",
            "shroom",
            "steroid",
            "thc",
            "weed",
        ],
    ),
    (
        Area::Gambling,
        &[
            "apuesta",
            "bet",
            "betting",
            "bingo",
            "blackjack",
            "bookmaker",
            "casino",
            "gamble",
            "gambling",
            "jackpot",
            "kasino",
            "loteria",
            "lottery",
            "lotto",
            "poker",
            "roulette",
            "slot machine",
            "sportsbook",
            "sportwetten",
            "wetten",
        ],
    ),
    (Area::Hazardous, &["asbestos", "fireworks", "pesticide", "poison", "radioactive", "toxic"]),
    (
        Area::Health,
        &[
            "abortion",
            "apotheke",
            "botox",
            "cialis",
            "diet pill",
            "farmacia",
            "miracle cure",
            "pharma",
            "pharmacy",
            "pharmacie",
            "slimming pill",
            "supplement",
            "viagra",
            "weight loss",
        ],
    ),
    (Area::Impersonation, &["facebook", "instagram", "meta platforms", "waba", "watsapp", "whats app", "whatsapp"]),
    (
        Area::Tobacco,
        &[
            "cigar",
            "cigarette",
            "cigarillo",
            "hookah",
            "iqos",
            "nicotine",
            "shisha",
            "snus",
            "tabac",
            "tabaco",
            "tabak",
            "tobacco",
            "vape",
            "vaping",
            "zigarette",
            "zigarre",
        ],
    ),
    (
        Area::Weapons,
        &[
            "ammo",
            "ammunition",
            "arms dealer",
            "explosive",
            "firearm",
            "grenade",
            "gun",
            "munition",
            "pistol",
            "revolver",
            "rifle",
            "shotgun",
            "taser",
            "waffen",
            "weapon",
        ],
    ),
];

/// A word of the list, found in a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    pub(super) word: &'static str,
    pub(super) area: Area,
}

/// Every word of the list in `name`, once each.
pub(super) fn find(name: &str) -> Vec<Match> {
    let spoken: Vec<Vec<String>> =
        split(&signs_as_letters(&deunicode(name).to_lowercase())).iter().map(|word| readings(word)).collect();
    let mut found = Vec::new();
    for (area, words) in WORDS {
        for word in *words {
            let phrase: Vec<&str> = word.split(' ').collect();
            let matches = |part: &[Vec<String>]| part.iter().zip(&phrase).all(|(readings, word)| says(readings, word));
            if spoken.windows(phrase.len()).any(matches) {
                found.push(Match { word, area: *area });
            }
        }
    }
    found
}

fn says(readings: &[String], word: &str) -> bool {
    readings.iter().any(|reading| {
        reading == word || reading.strip_suffix('s') == Some(word) || reading.strip_suffix("es") == Some(word)
    })
}

/// Signs that stand for a letter, where they are part of a word rather than around it.
fn signs_as_letters(folded: &str) -> String {
    let chars: Vec<char> = folded.chars().collect();
    let in_word = |at: Option<&char>| at.is_some_and(|c| c.is_ascii_alphanumeric() || "@$!|".contains(*c));
    let mut text = String::with_capacity(folded.len());
    for (at, c) in chars.iter().enumerate() {
        let before = in_word(at.checked_sub(1).and_then(|before| chars.get(before)));
        let after = in_word(chars.get(at + 1));
        text.push(match c {
            '@' if after => 'a',
            '$' if before || after => 's',
            '!' | '|' if before && after => '1',
            other => *other,
        });
    }
    text
}

/// What a word may be read as. A number is a number.
fn readings(word: &str) -> Vec<String> {
    let mut readings = vec![word.to_owned()];
    let has_letter = word.bytes().any(|byte| byte.is_ascii_alphabetic());
    if has_letter && word.bytes().any(|byte| byte.is_ascii_digit()) {
        for one in ['i', 'l'] {
            let letter = |digit| match digit {
                '0' => 'o',
                '1' => one,
                '3' => 'e',
                '4' => 'a',
                '5' => 's',
                '7' => 't',
                '8' => 'b',
                other => other,
            };
            readings.push(word.chars().map(letter).collect());
        }
    }
    readings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn areas(name: &str) -> Vec<Area> {
        find(name).into_iter().map(|found| found.area).collect()
    }

    #[test]
    fn a_word_is_found_whatever_it_is_dressed_in() {
        for name in [
            "Royal Casino",
            "ROYAL CASINOS Ltd",
            "Cásïno Royal",
            "c4s1n0 royal",
            "Royal ca$ino!",
            "C A S I N O",
            "C.A.S.I.N.O. Royal",
            "Казино/casino",
        ] {
            assert!(areas(name).contains(&Area::Gambling), "{name}: {:?}", find(name));
        }
        assert_eq!(areas("V1agra direkt"), [Area::Health]);
        assert_eq!(areas("Gl0ck & Gun$"), [Area::Weapons]);
        assert_eq!(areas("Vаре Shop"), [], "another script's letters are read by their sound");
        assert_eq!(areas("Multi-Level Marketing Group"), [Area::Deceptive]);
        assert_eq!(areas("WhatsApp Support"), [Area::Impersonation]);
        assert_eq!(areas("Whats App 24"), [Area::Impersonation]);
    }

    #[test]
    fn a_word_inside_another_word_is_not_found() {
        for name in
            ["Essex Bakery", "Middlesex Cabs", "Virginia Florist", "Alphabet Books", "Begun Design", "Sexton", "911"]
        {
            assert_eq!(find(name), [], "{name}");
        }
    }

    #[test]
    fn the_list_is_folded_and_has_no_word_twice() {
        let mut seen = BTreeSet::new();
        for (area, words) in WORDS {
            for word in *words {
                assert_eq!(super::super::names::words(word).join(" "), *word, "{area:?}");
                assert!(seen.insert(word), "{word} is listed twice");
                assert!(find(word).iter().any(|found| found.word == *word), "{word} finds itself");
            }
        }
        assert!(seen.len() > 150);
    }
}
