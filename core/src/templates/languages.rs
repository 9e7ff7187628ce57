//! The languages that templates can be in.

use crate::messages::request::excerpt;

/// The codes that the Cloud API takes, in order.
pub const LANGUAGES: [&str; 113] = [
    "af", "ar", "ar_AE", "ar_EG", "ar_LB", "ar_MA", "ar_QA", "ar_SA", "az", "be_BY", "bg", "bn", "bn_IN", "ca", "cs",
    "da", "de", "de_AT", "de_CH", "el", "en", "en_AE", "en_AU", "en_CA", "en_GB", "en_GH", "en_IE", "en_IN", "en_JM",
    "en_MY", "en_NZ", "en_QA", "en_SG", "en_UG", "en_US", "en_ZA", "es", "es_AR", "es_CL", "es_CO", "es_CR", "es_DO",
    "es_EC", "es_ES", "es_HN", "es_MX", "es_PA", "es_PE", "es_UY", "es_VE", "et", "fa", "fi", "fil", "fr", "fr_BE",
    "fr_CA", "fr_CH", "fr_CI", "fr_MA", "ga", "gu", "ha", "he", "hi", "hr", "hu", "id", "it", "ja", "ka", "kk", "kn",
    "ko", "ky_KG", "lo", "lt", "lv", "mk", "ml", "mr", "ms", "nb", "nl", "nl_BE", "pa", "pl", "prs_AF", "ps_AF",
    "pt_BR", "pt_PT", "ro", "ru", "rw_RW", "si_LK", "sk", "sl", "sq", "sr", "sv", "sw", "ta", "te", "th", "tr", "uk",
    "ur", "uz", "vi", "zh_CN", "zh_HK", "zh_TW", "zu",
];

/// Codes that one of the Cloud API's sources has and another lacks.
pub const UNCERTAIN: [&str; 2] = ["ar_SA", "es_VE"];

/// Whether templates can be in this language.
#[must_use]
pub fn is_known(code: &str) -> bool {
    LANGUAGES.binary_search(&code).is_ok()
}

/// What to say of a language that templates cannot be in; names the one that was probably meant.
#[must_use]
pub fn unknown(code: &str) -> String {
    let shown = excerpt(code);
    let folded = |code: &str| code.replace('-', "_").to_ascii_lowercase();
    let wanted = folded(code);
    let exact = LANGUAGES.iter().find(|known| folded(known) == wanted);
    let same = || LANGUAGES.iter().find(|known| folded(known).split('_').next() == wanted.split('_').next());
    match exact.or_else(same) {
        Some(known) => format!("\"{shown}\" is not a language of WhatsApp templates; \"{known}\" is"),
        None => format!("\"{shown}\" is not a language of WhatsApp templates"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_is_found_and_a_near_miss_names_what_was_meant() {
        assert!(LANGUAGES.is_sorted());
        assert!(LANGUAGES.iter().all(|code| is_known(code)));
        assert!(UNCERTAIN.iter().all(|code| is_known(code)));
        for (code, meant) in [("en-US", "en_US"), ("PT_br", "pt_BR"), ("de_LI", "de")] {
            assert!(!is_known(code));
            assert!(unknown(code).contains(&format!("\"{meant}\" is")), "{}", unknown(code));
        }
        assert!(!unknown("tlh").contains(';'));
    }
}
