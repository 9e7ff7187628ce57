//! What people write when they want no more of it, or want it again.
//!
//! A text counts only if it is nothing but such a word: "please stop by tomorrow" is no opt-out.
//! Case, diacritics, and punctuation and blanks around it do not matter. Left out are words that are
//! an everyday answer in another language, like the Finnish for "stop" that is the Spanish for "six".

use std::{collections::HashMap, sync::LazyLock};

use deunicode::deunicode;

/// Longest text that is looked at, in bytes: no keyword is longer, whatever its script.
const TEXT_MAX_BYTES: usize = 200;

/// The payload of a quick reply button that is an opt-out, whatever the button says.
pub const STOP_PAYLOAD: &str = "waystation:stop";
/// The payload of a quick reply button that is an opt-out of marketing.
pub const STOP_MARKETING_PAYLOAD: &str = "waystation:stop:marketing";
/// The payload of a quick reply button that ends an opt-out.
pub const START_PAYLOAD: &str = "waystation:start";

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// No more messages.
    Stop,
    /// No more marketing.
    StopMarketing,
    /// Messages again.
    Start,
}

/// Opt-outs, by language, as people may type them.
const STOP: &[(&str, &[&str])] = &[
    ("en", &["STOP", "STOP ALL", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "OPT OUT", "OPTOUT", "REVOKE"]),
    ("es", &["BAJA", "DAR DE BAJA", "DARME DE BAJA", "PARAR", "CANCELAR", "DETENER"]),
    ("pt", &["PARAR", "PARE", "SAIR", "CANCELAR", "DESCADASTRAR", "REMOVER"]),
    ("fr", &["ARRET", "ARRÊT", "ARRETER", "ARRÊTER", "STOPPER", "DESABONNER", "DÉSABONNER", "DESINSCRIRE"]),
    ("de", &["STOPP", "ABMELDEN", "ABBESTELLEN", "AUSTRAGEN", "BEENDEN"]),
    ("it", &["FERMA", "BASTA", "ANNULLA", "DISISCRIVIMI", "CANCELLAMI"]),
    ("nl", &["STOP", "AFMELDEN", "UITSCHRIJVEN", "STOPPEN"]),
    ("sv", &["STOPP", "AVSLUTA", "AVREGISTRERA"]),
    ("da", &["STOP", "AFMELD", "FRAMELD"]),
    ("nb", &["STOPP", "AVSLUTT", "MELD AV"]),
    ("fi", &["LOPETA", "PERUUTA"]),
    ("pl", &["STOP", "ZATRZYMAJ", "REZYGNUJĘ", "WYPISZ"]),
    ("cs", &["STOP", "ODHLÁSIT", "ZRUŠIT"]),
    ("ro", &["STOP", "DEZABONARE", "OPREȘTE"]),
    ("hu", &["STOP", "LEIRATKOZÁS", "LEIRATKOZOM"]),
    ("tr", &["DURDUR", "IPTAL", "İPTAL", "RET", "IPTAL ET"]),
    ("id", &["BERHENTI", "STOP", "HENTIKAN"]),
    ("sw", &["SIMAMA", "ONDOA"]),
    ("ru", &["СТОП", "ОТПИСАТЬСЯ", "ОТПИСКА"]),
    ("uk", &["СТОП", "ВІДПИСАТИСЯ"]),
    ("el", &["ΣΤΟΠ", "ΔΙΑΓΡΑΦΗ"]),
    ("he", &["הסר", "הסרה", "עצור"]),
    ("ar", &["إلغاء", "الغاء", "توقف", "إيقاف"]),
    ("hi", &["रोकें", "बंद करें", "बंद"]),
    ("zh", &["停止", "退订", "退訂", "取消订阅"]),
    ("ja", &["停止", "配信停止", "解除"]),
    ("ko", &["중지", "수신거부", "거부"]),
];

/// What ends an opt-out, by language.
const START: &[(&str, &[&str])] = &[
    ("en", &["START", "UNSTOP", "SUBSCRIBE", "RESUME", "OPT IN", "OPTIN"]),
    ("es", &["ALTA", "INICIAR", "SUSCRIBIR", "REANUDAR"]),
    ("pt", &["INICIAR", "VOLTAR", "ASSINAR", "RETOMAR"]),
    ("fr", &["DÉBUT", "REPRENDRE", "ABONNER", "REACTIVER", "RÉACTIVER"]),
    ("de", &["START", "ANMELDEN", "FORTSETZEN"]),
    ("it", &["INIZIA", "RIPRENDI", "ISCRIVIMI"]),
    ("nl", &["START", "AANMELDEN", "HERVATTEN"]),
    ("pl", &["START", "WZNÓW"]),
    ("tr", &["BASLA", "BAŞLA", "BAŞLAT"]),
    ("id", &["MULAI"]),
    ("ru", &["СТАРТ", "ПОДПИСАТЬСЯ"]),
    ("uk", &["СТАРТ", "ПІДПИСАТИСЯ"]),
    ("he", &["התחל"]),
    ("ar", &["ابدأ", "اشتراك"]),
    ("hi", &["शुरू"]),
    ("zh", &["开始", "開始", "订阅"]),
    ("ja", &["開始", "再開"]),
    ("ko", &["시작"]),
];

/// The tables as they are looked up.
static KEYWORDS: LazyLock<HashMap<String, Wish>> = LazyLock::new(|| {
    let of = |table: &'static [(&str, &[&str])], wish: Wish| {
        table.iter().flat_map(|(_, words)| *words).map(move |word| (normalised(word), wish))
    };
    // A word of both would be an opt-out.
    of(START, Wish::Start).chain(of(STOP, Wish::Stop)).collect()
});

/// What a text says, if it is a keyword.
#[must_use]
pub fn wish_of_text(text: &str) -> Option<Wish> {
    if text.len() > TEXT_MAX_BYTES {
        return None;
    }
    KEYWORDS.get(&normalised(text)).copied()
}

/// What the payload of a button says.
#[must_use]
pub fn wish_of_payload(payload: &str) -> Option<Wish> {
    match payload {
        STOP_PAYLOAD => Some(Wish::Stop),
        STOP_MARKETING_PAYLOAD => Some(Wish::StopMarketing),
        START_PAYLOAD => Some(Wish::Start),
        _ => None,
    }
}

/// One form for all ways to type a text: Latin letters without diacritics, other scripts as they
/// are, in lower case, without what stands around, with single blanks between words.
fn normalised(text: &str) -> String {
    let around = |c: char| !c.is_alphanumeric();
    let trimmed = text.trim_matches(around);
    let latin = trimmed.chars().all(|c| c.is_ascii() || ('\u{a0}'..'\u{250}').contains(&c) || is_mark(c));
    let folded = if latin {
        let plain: String = trimmed.chars().filter(|c| !is_mark(*c)).collect();
        deunicode(&plain).to_lowercase()
    } else {
        trimmed.to_lowercase()
    };
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a character is a diacritic that stands behind its letter.
fn is_mark(c: char) -> bool {
    ('\u{300}'..'\u{370}').contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_table_is_recognised_as_what_it_is() {
        for (language, words) in STOP {
            for word in *words {
                assert_eq!(wish_of_text(word), Some(Wish::Stop), "{language}: {word}");
                assert_eq!(
                    wish_of_text(&format!(" {}! ", word.to_lowercase())),
                    Some(Wish::Stop),
                    "{language}: {word}"
                );
            }
        }
        for (language, words) in START {
            for word in *words {
                assert_eq!(wish_of_text(word), Some(Wish::Start), "{language}: {word}");
            }
        }
    }

    #[test]
    fn case_diacritics_blanks_and_punctuation_do_not_matter() {
        for text in [
            "stop",
            "Stop.",
            "  STOP!!! ",
            "\"stop\"",
            "«arrêt»",
            "Arre\u{302}t",
            "arret",
            "ARRÊT…",
            "opt   out",
            "Stop 🛑",
        ] {
            assert_eq!(wish_of_text(text), Some(Wish::Stop), "{text}");
        }
        for text in ["Start", "¡alta!", "débuT"] {
            assert_eq!(wish_of_text(text), Some(Wish::Start), "{text}");
        }
    }

    #[test]
    fn a_text_with_more_than_the_word_is_a_text() {
        let long = format!("stop{}", "!".repeat(300));
        for text in ["", "…", "please stop by", "stop it", "nonstop", "s t o p", "start-up", "unstoppable", "1", &long]
        {
            assert_eq!(wish_of_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_button_says_what_its_payload_says() {
        assert_eq!(wish_of_payload(STOP_PAYLOAD), Some(Wish::Stop));
        assert_eq!(wish_of_payload(STOP_MARKETING_PAYLOAD), Some(Wish::StopMarketing));
        assert_eq!(wish_of_payload(START_PAYLOAD), Some(Wish::Start));
        assert_eq!(wish_of_payload("STOP"), None, "a payload of the business's own is its own");
    }
}
