//! What was secret while the tests ran, and whether a log has any of it: a test that uses a
//! secret names it here, and every process of ours is asked for its log when it ends.
//!
//! The list is one for the whole test process: that a secret of one test shows up in the log of
//! another would be no better.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
};

use serde_json::Value;

/// Anything shorter is found in logs by chance.
const SECRET_MIN_CHARS: usize = 4;
/// Numbers up to this long count only where they stand alone, because longer numbers and
/// fractions of a second are full of them.
const ALONE_MAX_DIGITS: usize = 9;
/// What people write is secret from this length on; shorter words are in every log.
const TEXT_MIN_CHARS: usize = 10;
/// How much of a line is shown before and after the start of what it leaks, and how much of its
/// end, where a line in JSON says who wrote it; in bytes.
const EXCERPT_BYTES: usize = 120;

/// Members of JSON objects that hold secrets.
const SECRET_MEMBERS: [&str; 12] = [
    "token",
    "partner_token",
    "secret",
    "api_key",
    "app_secret",
    "client_secret",
    "access_token",
    "verify_token",
    "signing_secret",
    "password",
    "otp",
    "recovery_codes",
];
/// Members that hold what concerns a person.
const PERSONAL_MEMBERS: [&str; 10] =
    ["to", "recipient", "phone", "phone_number", "wa_id", "body", "text", "caption", "legal_name", "file_name"];

static KEPT: Mutex<BTreeMap<String, &'static str>> = Mutex::new(BTreeMap::new());

/// From now on no log may have `secret`, which is a `kind`.
pub fn keep(kind: &'static str, secret: &str) {
    let secret = secret.trim();
    if secret.chars().count() >= SECRET_MIN_CHARS {
        KEPT.lock().unwrap_or_else(PoisonError::into_inner).insert(secret.to_owned(), kind);
    }
}

/// The same for whatever in a JSON document is secret or concerns a person, by the names of
/// its members.
pub fn keep_json(document: &Value) {
    match document {
        Value::Array(items) => items.iter().for_each(keep_json),
        Value::Object(members) => {
            for (name, value) in members {
                keep_member(name, value);
                keep_json(value);
            }
        }
        _ => {}
    }
}

fn keep_member(name: &str, value: &Value) {
    let secret = SECRET_MEMBERS.contains(&name);
    let personal = PERSONAL_MEMBERS.contains(&name);
    match value {
        Value::String(text) if secret => keep("secret member", text),
        Value::String(text) if personal && text.chars().count() >= TEXT_MIN_CHARS => keep("personal member", text),
        Value::Array(items) if secret || personal => items.iter().for_each(|item| keep_member(name, item)),
        _ => {}
    }
}

/// The same for secrets in what the program prints to a person who asked for them.
pub fn keep_printed(line: &str) {
    for before in ["token=", "Bearer ", "app secret "] {
        for (at, _) in line.match_indices(before) {
            let rest = &line[at + before.len()..];
            let end = rest.find(|next: char| !next.is_ascii_alphanumeric() && !"-_.~".contains(next));
            keep("printed secret", rest[..end.unwrap_or(rest.len())].trim_end_matches('.'));
        }
    }
}

/// Every secret that `log` has, with the line that has it. It is looked for as it is, as it
/// stands in an address, and as the numbers of its bytes.
#[must_use]
pub fn leaks(log: &str) -> Vec<String> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut leaks = Vec::new();
    for (secret, kind) in kept {
        let found = forms(&secret).into_iter().find_map(|form| {
            log.match_indices(&form).find_map(|(at, _)| {
                let alone = !secret.bytes().all(|byte| byte.is_ascii_digit())
                    || secret.len() > ALONE_MAX_DIGITS
                    || stands_alone(log, at, at + form.len());
                alone.then_some(at)
            })
        });
        if let Some(at) = found {
            leaks.push(format!("{kind} {secret:?} in {}", excerpt(log, at)));
        }
    }
    leaks
}

/// Checks that a log has none.
///
/// # Panics
/// It has one.
pub fn assert_none_in(what: &str, log: &str) {
    let leaks = leaks(log);
    assert!(leaks.is_empty(), "{} secrets in {what}:\n{}", leaks.len(), leaks.join("\n"));
}

/// The ways in which a careless line would have a secret.
fn forms(secret: &str) -> Vec<String> {
    let mut in_address = String::new();
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            in_address.push(char::from(byte));
        } else {
            let _ = write!(in_address, "%{byte:02X}");
        }
    }
    let escaped = Value::from(secret).to_string();
    let numbers: Vec<String> = secret.bytes().map(|byte| byte.to_string()).collect();
    let mut forms = vec![secret.to_owned(), in_address, escaped.trim_matches('"').to_owned(), numbers.join(", ")];
    forms.sort();
    forms.dedup();
    forms
}

fn stands_alone(log: &str, from: usize, to: usize) -> bool {
    let before = log[..from].chars().next_back();
    let after = log[to..].chars().next();
    !before.is_some_and(|before| before.is_alphanumeric() || before == '.') && !after.is_some_and(char::is_alphanumeric)
}

/// The line around `at`, and its end.
fn excerpt(log: &str, at: usize) -> String {
    let from = log[..at].rfind('\n').map_or(0, |before| before + 1);
    let to = log[at..].find('\n').map_or(log.len(), |after| at + after);
    let near = from.max(at.saturating_sub(EXCERPT_BYTES))..to.min(at + EXCERPT_BYTES);
    let end = near.end.max(to.saturating_sub(EXCERPT_BYTES))..to;
    let shown = [near, end].map(|part| String::from_utf8_lossy(&log.as_bytes()[part]).into_owned());
    shown.join(" … ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Whether a log that is this line leaks anything that has `part` in it.
    fn leaks_of(part: &str, line: &str) -> usize {
        leaks(&format!("start\n{line}\nend")).iter().filter(|leak| leak.contains(part)).count()
    }

    #[test]
    fn a_secret_is_found_however_it_is_written() {
        keep("password", "pa55 \"w\"/ord-one");
        for line in [
            "signing in with pa55 \"w\"/ord-one",
            r#"{"password":"pa55 \"w\"/ord-one"}"#,
            "GET /?p=pa55%20%22w%22%2Ford-one HTTP/1.1",
            "[112, 97, 53, 53, 32, 34, 119, 34, 47, 111, 114, 100, 45, 111, 110, 101]",
        ] {
            assert_eq!(leaks_of("password", line), 1, "{line}");
        }
        assert_eq!(leaks_of("password", "pa55 and word-one"), 0);
        assert!(std::panic::catch_unwind(|| assert_none_in("a log", "pa55 \"w\"/ord-one")).is_err());
    }

    #[test]
    fn a_short_code_counts_where_it_stands_alone() {
        keep("phone code", "804213");
        for line in ["code 804213", "code=804213,", "804213", "\"804213\"", "(804213)"] {
            assert_eq!(leaks_of("phone code", line), 1, "{line}");
        }
        for line in ["12:00:00.804213Z", "id 1804213", "804213ms", "0.804213"] {
            assert_eq!(leaks_of("phone code", line), 0, "{line}");
        }
    }

    #[test]
    fn documents_and_printed_lines_are_searched_for_secrets() {
        keep_json(&json!({
            "data": [{"token": "tok-1-of-json", "id": "not-a-secret-id"}],
            "recovery_codes": ["rec-1-of-json", "rec-2-of-json"],
            "to": "16505557654",
            "text": {"body": "a private text of json"},
            "body": "hi",
        }));
        keep_printed("Sign in once: http://127.0.0.1:1/admin/sign-in?token=link-of-print");
        keep_printed("curl -H 'Authorization: Bearer key_of_print' \\");
        keep_printed("signed with the app secret 0123abcd-of-print.");
        for secret in [
            "tok-1-of-json",
            "rec-1-of-json",
            "rec-2-of-json",
            "16505557654",
            "a private text of json",
            "link-of-print",
            "key_of_print",
            "0123abcd-of-print",
        ] {
            assert_eq!(leaks_of(secret, &format!("careless: {secret}")), 1, "{secret}");
        }
        assert_eq!(leaks(" not-a-secret-id hi "), Vec::<String>::new());
    }
}
