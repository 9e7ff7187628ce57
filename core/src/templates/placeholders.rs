//! Texts with `{{1}}` or `{{name}}` in them.

use std::ops::Range;

/// A text and where its placeholders are.
#[derive(Debug, Default)]
pub(super) struct Text {
    source: String,
    names: Vec<String>,
    /// Each place, and which of the names stands there.
    places: Vec<(Range<usize>, usize)>,
}

#[derive(Debug, thiserror::Error)]
#[error("a placeholder is not closed or has no name, at character {at}")]
pub(super) struct Malformed {
    at: usize,
}

impl Text {
    /// Positional names are sorted by number, others stay in the order of their first
    /// appearance; a name that appears twice is one parameter.
    pub(super) fn parse(source: &str) -> Result<Self, Malformed> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(open) = source[at..].find("{{").map(|offset| at + offset) {
            let malformed = || Malformed { at: source[..open].chars().count() };
            let close = source[open..].find("}}").map(|offset| open + offset).ok_or_else(malformed)?;
            let name = source[open + 2..close].trim();
            if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err(malformed());
            }
            found.push((open..close + 2, name.to_owned()));
            at = close + 2;
        }
        let mut names: Vec<String> = Vec::new();
        for (_, name) in &found {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        if names.iter().all(|name| name.parse::<u32>().is_ok()) {
            names.sort_by_key(|name| name.parse::<u32>().unwrap_or(u32::MAX));
        }
        let places = found
            .into_iter()
            .filter_map(|(range, name)| names.iter().position(|known| *known == name).map(|index| (range, index)))
            .collect();
        Ok(Self { source: source.to_owned(), names, places })
    }

    /// The parameters it asks for.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// What stands before, between and after the places.
    pub(super) fn gaps(&self) -> Vec<&str> {
        let mut gaps = Vec::with_capacity(self.places.len() + 1);
        let mut at = 0;
        for (range, _) in &self.places {
            gaps.push(&self.source[at..range.start]);
            at = range.end;
        }
        gaps.push(&self.source[at..]);
        gaps
    }

    /// The text with `values`, one for each name, in their places.
    pub(super) fn fill(&self, values: &[&str]) -> String {
        let mut text = String::with_capacity(self.source.len() + 32);
        let mut at = 0;
        for (range, index) in &self.places {
            text.push_str(&self.source[at..range.start]);
            text.push_str(values.get(*index).copied().unwrap_or_default());
            at = range.end;
        }
        text.push_str(&self.source[at..]);
        text
    }
}
