//! What the documentation says is what the loader enforces: both read one
//! schema, derived from the types, their doc comments and their bounds.
//!
//! Hence no bound is written twice, every unknown key and every value out of
//! range is found at its place in the text, all of them at once, and a key
//! without a doc comment cannot reach the reference (a test sees to it).

use std::{fmt, ops::Range};

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

/// Two keys this close to each other (edits, at most) may be each other's typo.
const TYPO_DISTANCE_EDITS: usize = 3;

/// The schema of the whole configuration.
pub(super) struct Schema(Value);

/// The schema of one key or section.
#[derive(Clone, Copy)]
pub(super) struct Node<'s> {
    root: &'s Value,
    /// The key's own entry: its doc comment and its bounds.
    own: &'s Value,
    /// The type it refers to; the same as `own` where it refers to none.
    kind: &'s Value,
}

/// What a key holds, as far as writing a value for it is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Section,
    List,
    Text,
    /// An integer or a boolean: written without quotes.
    Bare,
}

/// Something wrong with one place of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    /// The bytes it concerns, where they are known.
    pub(super) span: Option<Range<usize>>,
}

impl Schema {
    pub(super) fn of<T: schemars::JsonSchema>() -> Self {
        Self(schemars::schema_for!(T).to_value())
    }

    pub(super) fn root(&self) -> Node<'_> {
        Node::resolve(&self.0, &self.0)
    }

    /// Everything wrong with `text` that the schema can tell: its syntax,
    /// unknown keys, numbers and lengths out of bounds.
    pub(super) fn inspect(&self, text: &str) -> Vec<Fault> {
        match DeTable::parse(text) {
            Ok(table) => {
                let mut inspection = Inspection { known: self.keys(), faults: Vec::new() };
                inspection.table(self.root(), table.get_ref(), "");
                inspection.faults
            }
            Err(error) => vec![Fault::from(error)],
        }
    }

    /// The dotted names of all keys outside lists: `data_dir`, `server.listen`.
    pub(super) fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for (name, node) in self.root().properties() {
            if node.kind() == Kind::Section {
                keys.extend(node.properties().map(|(key, _)| format!("{name}.{key}")));
            } else {
                keys.push(name.to_owned());
            }
        }
        keys
    }
}

impl<'s> Node<'s> {
    fn resolve(root: &'s Value, own: &'s Value) -> Self {
        let kind =
            own["$ref"].as_str().and_then(|reference| root.pointer(reference.trim_start_matches('#'))).unwrap_or(own);
        Self { root, own, kind }
    }

    pub(super) fn property(self, name: &str) -> Option<Self> {
        let entry = self.kind["properties"].get(name)?;
        Some(Self::resolve(self.root, entry))
    }

    pub(super) fn properties(self) -> impl Iterator<Item = (&'s str, Self)> {
        let properties = self.kind["properties"].as_object();
        properties.into_iter().flatten().map(move |(name, entry)| (name.as_str(), Self::resolve(self.root, entry)))
    }

    pub(super) fn items(self) -> Option<Self> {
        let entry = self.own.get("items")?;
        Some(Self::resolve(self.root, entry))
    }

    pub(super) fn kind(self) -> Kind {
        match self.kind["type"].as_str() {
            Some("object") => Kind::Section,
            Some("array") => Kind::List,
            Some("integer" | "boolean" | "number") => Kind::Bare,
            _ => Kind::Text,
        }
    }

    /// The doc comment, as its author wrote it.
    pub(super) fn description(self) -> Option<&'s str> {
        self.own["description"].as_str()
    }

    /// The bounds in words, for the reference: `From 1 to 100.`
    pub(super) fn bounds(self) -> Option<String> {
        let mut sentences = Vec::new();
        let limits = |node: Self, low: &str, high: &str| Some((node.own[low].as_i64()?, node.own[high].as_i64()?));
        if let Some((low, high)) = limits(self, "minimum", "maximum") {
            sentences.push(format!("From {low} to {high}."));
        }
        if let Some((low, high)) = limits(self, "minItems", "maxItems") {
            sentences.push(format!("From {low} to {high} entries."));
        }
        if let Some((low, high)) = limits(self, "minLength", "maxLength") {
            sentences.push(format!("From {low} to {high} characters."));
        }
        if let Some((low, high)) = self.items().and_then(|item| limits(item, "minimum", "maximum")) {
            sentences.push(format!("Each from {low} to {high}."));
        }
        (!sentences.is_empty()).then(|| sentences.join(" "))
    }
}

struct Inspection {
    known: Vec<String>,
    faults: Vec<Fault>,
}

impl Inspection {
    fn table(&mut self, node: Node<'_>, table: &DeTable<'_>, path: &str) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let full = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            match node.property(name) {
                Some(child) => self.value(child, value, &full),
                None => self.unknown(node, key.span(), &full, path),
            }
        }
    }

    fn unknown(&mut self, node: Node<'_>, span: Range<usize>, full: &str, path: &str) {
        let siblings =
            node.properties().map(|(name, _)| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") });
        let candidates: Vec<String> = siblings.chain(self.known.iter().cloned()).collect();
        let hint = match closest(full, &candidates) {
            Some(key) => format!("did you mean `{key}`?"),
            None => {
                let mut names: Vec<&str> = node.properties().map(|(name, _)| name).collect();
                names.sort_unstable();
                format!("known here: {}", names.join(", "))
            }
        };
        self.faults.push(Fault { message: format!("unknown key `{full}`; {hint}"), span: Some(span) });
    }

    /// A value of another type than the schema's is left to deserialization,
    /// which says it better.
    fn value(&mut self, node: Node<'_>, value: &Spanned<DeValue<'_>>, path: &str) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(node, table, path),
            DeValue::Array(items) => {
                let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
                self.bound(node, "Items", " entries", count, value.span(), path);
                if let Some(item_node) = node.items() {
                    for item in items {
                        self.value(item_node, item, path);
                    }
                }
            }
            DeValue::Integer(integer) => {
                let number = as_i64(integer);
                self.bound(node, "imum", "", number, value.span(), path);
            }
            DeValue::String(text) => {
                let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
                self.bound(node, "Length", " characters", length, value.span(), path);
            }
            _ => {}
        }
    }

    fn bound(&mut self, node: Node<'_>, keyword: &str, unit: &str, found: i64, span: Range<usize>, path: &str) {
        let limit = |side: &str| node.own[format!("{side}{keyword}")].as_i64();
        let (low, high) = (limit("min"), limit("max"));
        if low.is_some_and(|low| found < low) || high.is_some_and(|high| found > high) {
            let low = low.unwrap_or(0);
            let high = high.map_or("any number".to_owned(), |high| high.to_string());
            self.faults.push(Fault {
                message: format!("`{path}` must be from {low} to {high}{unit}, not {found}"),
                span: Some(span),
            });
        }
    }
}

/// Clamped where it does not fit: then it is out of every bound as well.
fn as_i64(integer: &DeInteger<'_>) -> i64 {
    let text = integer.as_str();
    i64::from_str_radix(text, integer.radix()).unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX })
}

/// The candidate a person most likely meant by `name`: the same last part in
/// another section, else the one with the fewest edits.
pub(super) fn closest<'c>(name: &str, candidates: &'c [String]) -> Option<&'c str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let mut same_key = candidates.iter().filter(|key| last(key) == last(name));
    if let (Some(only), None) = (same_key.next(), same_key.next()) {
        return Some(only);
    }
    let allowed = TYPO_DISTANCE_EDITS.min(name.chars().count() / 2);
    candidates
        .iter()
        .map(|key| (edits(name, key), key.as_str()))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, key)| key)
}

/// The Levenshtein distance.
fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let substituted = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

impl From<toml::de::Error> for Fault {
    fn from(error: toml::de::Error) -> Self {
        Self { message: error.message().to_owned(), span: error.span() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_recognized_and_a_stranger_is_not() {
        let known = ["data_dir", "server.listen", "server.threads", "queue.url", "database.url"].map(str::to_owned);
        assert_eq!(closest("server.lissten", &known), Some("server.listen"));
        assert_eq!(closest("threads", &known), Some("server.threads"));
        assert_eq!(closest("datadir", &known), Some("data_dir"));
        assert_eq!(closest("quue.url", &known), Some("queue.url"));
        assert_eq!(closest("telemetry.endpoint", &known), None);
    }

    #[test]
    fn edits_are_counted() {
        for (left, right, count) in [("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)] {
            assert_eq!(edits(left, right), count);
            assert_eq!(edits(right, left), count);
        }
    }
}
