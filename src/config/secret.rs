//! A secret is printed nowhere: not by `Debug`, not by serialization, not in
//! an error that quotes the line it stood on.
//!
//! Configuration is the one place where secrets and error messages meet: a
//! mistyped scheme makes the loader quote the very line that holds a password.
//! So whatever quotes input passes through [`redact`], which would rather hide
//! too much than too little.

use std::fmt;

use serde::{Serialize, Serializer};

/// What stands in the place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// Names whose value is hidden wherever one is assigned to them.
const SECRET_NAMES: [&str; 4] = ["password", "passwd", "secret", "token"];

/// A value that only [`Secret::expose`] shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps `value`.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself; for the driver that needs it and never for a log.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl<T> Serialize for Secret<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// `text` without the passwords of its URLs and without values assigned to a
/// name that says it is secret. Hides up to the last `@` of a line, because a
/// password may hold any character, an `@` included.
pub(super) fn redact(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(|line| redact_assignments(&redact_user_info(line))).collect();
    lines.join("\n")
}

fn redact_user_info(line: &str) -> String {
    let Some(authority) = line.find("://").map(|at| at + "://".len()) else {
        return line.to_owned();
    };
    let rest = &line[authority..];
    let Some(end) = rest.rfind('@') else {
        return line.to_owned();
    };
    match rest[..end].find(':') {
        Some(colon) => format!("{}{}{REDACTED}{}", &line[..authority], &rest[..=colon], &rest[end..]),
        None => line.to_owned(),
    }
}

fn redact_assignments(line: &str) -> String {
    // ASCII lowering keeps every byte offset valid in the original.
    let lower = line.to_ascii_lowercase();
    let mut shown = String::with_capacity(line.len());
    let mut from = 0;
    while let Some((name_end, value)) = next_secret_assignment(&lower, from) {
        let value_end = end_of_value(line, value);
        shown.push_str(&line[from..name_end]);
        shown.push_str(&line[name_end..value]);
        if value_end > value {
            shown.push_str(REDACTED);
        }
        from = value_end;
    }
    shown.push_str(&line[from..]);
    shown
}

/// The end of the next secret name at or after `from` that is assigned to, and
/// where its value starts.
fn next_secret_assignment(lower: &str, from: usize) -> Option<(usize, usize)> {
    let mut candidates: Vec<(usize, usize)> = Vec::new();
    for name in SECRET_NAMES {
        for (at, _) in lower[from..].match_indices(name) {
            let name_end = from + at + name.len();
            let after = lower[name_end..].trim_start_matches([' ', '\t', '"', '\'']);
            if let Some(value) = after.strip_prefix('=') {
                let value = value.trim_start_matches([' ', '\t']);
                candidates.push((name_end, lower.len() - value.len()));
                break;
            }
        }
    }
    candidates.into_iter().min()
}

fn end_of_value(line: &str, start: usize) -> usize {
    let rest = &line[start..];
    let end = match rest.chars().next() {
        Some(quote @ ('"' | '\'')) => rest[1..].find(quote).map(|at| at + 2),
        _ => rest.find(['&', ' ', '\t', '"', '\'']),
    };
    end.map_or(line.len(), |end| start + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), REDACTED);
        assert_eq!(serde_json::to_string(&secret).unwrap(), format!("\"{REDACTED}\""));
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn the_password_of_a_url_is_hidden_whatever_it_holds() {
        for (plain, shown) in [
            ("postgres://ada:pw@db/ws", "postgres://ada:[redacted]@db/ws"),
            ("url = \"postgres://ada:p@:/w@db/ws\"", "url = \"postgres://ada:[redacted]@db/ws\""),
            ("redis://:pw@cache:6379/0", "redis://:[redacted]@cache:6379/0"),
            ("redis://cache:6379/0", "redis://cache:6379/0"),
            ("postgres://ada@db/ws", "postgres://ada@db/ws"),
            (
                "postgres://db/ws?user=ada&password=pw&sslmode=require",
                "postgres://db/ws?user=ada&password=[redacted]&sslmode=require",
            ),
        ] {
            assert_eq!(redact(plain), shown);
            assert_eq!(redact(&redact(plain)), shown);
        }
    }

    #[test]
    fn a_value_assigned_to_a_secret_name_is_hidden() {
        for (plain, shown) in [
            ("password = \"hunter 2\" # mine", "password = [redacted] # mine"),
            ("host=db password=hunter2 user=a", "host=db password=[redacted] user=a"),
            ("APP_SECRET = 'x'\nnext = 1", "APP_SECRET = [redacted]\nnext = 1"),
            ("api_token=", "api_token="),
            ("no password here", "no password here"),
        ] {
            assert_eq!(redact(plain), shown);
        }
    }
}
