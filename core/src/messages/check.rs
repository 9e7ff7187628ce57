//! Holds a JSON value against a [`Shape`]: whatever differs from it is reported, all at once, each with its place.
//!
//! Shapes are constant data, so what a message may look like can be read, and is tested, as a table. Members that a shape
//! does not name are none of its business.

use serde_json::{Map, Value};

use super::{limits::Most, request::excerpt};
use crate::error::{ApiError, Breach, ErrorKind};

/// Breaches and warnings that are reported of one message at most: an answer stays small, however wrong the body.
const REPORTED_MAX: usize = 100;
/// Digits of a position.
const INDEX_DIGITS_MAX: usize = 3;

/// What a value must look like.
pub(super) enum Shape {
    /// A text that shows something, of a length.
    Text(Most),
    /// Any text, an empty one as well.
    AnyText,
    /// Any text of a length, an empty one as well.
    Length(Most),
    /// A text of ASCII digits.
    Digits,
    /// An `http` or `https` address.
    Link,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// A position: a number, or its digits as a text.
    Index {
        /// One more than the largest.
        under: usize,
    },
    /// A number of degrees, or one written as a text.
    Degrees(f64),
    /// A day, `YYYY-MM-DD`.
    Day,
    /// Any object.
    AnyObject,
    /// An object with these members.
    Object(&'static Object),
    /// An array.
    List(&'static List),
    /// An object whose member `type` decides what else it must have.
    Tagged(&'static Tagged),
    /// An object of the first of these shapes whose member it has.
    Either(&'static [(&'static str, Shape)]),
    /// What is not for us to judge.
    Any,
}

/// Members of an object, and what must hold among them.
pub(super) struct Object {
    pub(super) members: &'static [Member],
    pub(super) rules: &'static [Rule],
}

/// One member.
pub(super) struct Member {
    pub(super) name: &'static str,
    pub(super) presence: Presence,
    pub(super) shape: Shape,
}

/// Whether a member must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
    /// The network refuses it here.
    Refused,
}

/// An array of one shape.
pub(super) struct List {
    pub(super) min: usize,
    pub(super) max: Most,
    pub(super) items: Shape,
    pub(super) rules: &'static [fn(&[Value], &str, &mut Report)],
}

/// What must hold among the members of one object.
pub(super) enum Rule {
    /// Exactly one of them is there.
    ExactlyOne(&'static [&'static str]),
    /// At least one of them is there.
    AtLeastOne(&'static [&'static str]),
    /// Something else.
    Also(fn(&Map<String, Value>, &str, &mut Report)),
}

/// Shapes by the member `type`.
pub(super) struct Tagged {
    pub(super) shapes: &'static [(&'static str, &'static Object)],
    pub(super) types: Types,
}

/// How the types of a [`Tagged`] are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Types {
    /// As listed, and no others.
    Exact,
    /// In either case; what is not listed is the network's to judge.
    Open,
}

/// A member that must be there.
pub(super) const fn required(name: &'static str, shape: Shape) -> Member {
    Member { name, presence: Presence::Required, shape }
}

/// A member that may be there.
pub(super) const fn optional(name: &'static str, shape: Shape) -> Member {
    Member { name, presence: Presence::Optional, shape }
}

/// A member that must not be there.
pub(super) const fn refused(name: &'static str) -> Member {
    Member { name, presence: Presence::Refused, shape: Shape::Any }
}

/// What was found.
#[derive(Default)]
pub(super) struct Report {
    breaches: Vec<(ErrorKind, Breach)>,
    warnings: Vec<Breach>,
}

impl Report {
    pub(super) fn add(&mut self, kind: ErrorKind, pointer: impl Into<String>, message: impl Into<String>) {
        self.push(kind, pointer.into(), message.into(), None);
    }

    pub(super) fn invalid(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.add(ErrorKind::ParameterInvalid, pointer, message);
    }

    fn push(&mut self, kind: ErrorKind, pointer: String, message: String, numbers: Option<(usize, usize)>) {
        if self.breaches.len() < REPORTED_MAX {
            self.breaches.push((kind, breach(pointer, message, numbers)));
        }
    }

    pub(super) fn warn(&mut self, pointer: &str, message: String, numbers: Option<(usize, usize)>) {
        if self.warnings.len() < REPORTED_MAX {
            self.warnings.push(breach(pointer.to_owned(), message, numbers));
        }
    }

    /// More of something than there may be.
    pub(super) fn too_many(&mut self, pointer: &str, what: &str, limit: usize, actual: usize) {
        let message = format!("must have at most {limit} {what}, has {actual}");
        self.push(ErrorKind::ParameterInvalid, pointer.to_owned(), message, Some((limit, actual)));
    }

    /// A number that is outside of its bounds, `limit` being the nearest one. Numbers below 0 are told in words only.
    pub(super) fn out_of_bounds(&mut self, pointer: &str, message: String, limit: i64, actual: i64) {
        let numbers = usize::try_from(limit).ok().zip(usize::try_from(actual).ok());
        self.push(ErrorKind::ParameterInvalid, pointer.to_owned(), message, numbers);
    }

    fn most(&mut self, kind: ErrorKind, pointer: &str, what: &str, most: Most, actual: usize) {
        let message = |limit| format!("must have at most {limit} {what}, has {actual}");
        if actual > most.refused_over {
            let numbers = Some((most.refused_over, actual));
            self.push(kind, pointer.to_owned(), message(most.refused_over), numbers);
        } else if let Some(limit) = most.warned_over.filter(|limit| actual > *limit) {
            let message = format!("has {actual} {what}; one source of the Cloud API's limits allows {limit}");
            self.warn(pointer, message, Some((limit, actual)));
        }
    }

    /// The warnings, or the error with every breach under the kind of the first.
    pub(super) fn finish(self) -> Result<Vec<Breach>, ApiError> {
        match self.breaches.first() {
            None => Ok(self.warnings),
            Some((kind, _)) => {
                Err(ApiError::breaches(*kind, self.breaches.into_iter().map(|(_, breach)| breach).collect()))
            }
        }
    }

    /// Holds `value` against `shape`.
    pub(super) fn check(&mut self, value: &Value, pointer: &str, shape: &Shape) {
        match shape {
            Shape::Any => {}
            Shape::AnyText => {
                self.text(value, pointer);
            }
            Shape::Text(most) => {
                if let Some(text) = self.text(value, pointer) {
                    if text.trim().is_empty() {
                        self.invalid(pointer, "must not be empty");
                    }
                    self.length(text, pointer, *most);
                }
            }
            Shape::Length(most) => {
                if let Some(text) = self.text(value, pointer) {
                    self.length(text, pointer, *most);
                }
            }
            Shape::Digits => {
                if let Some(text) = self.text(value, pointer)
                    && (text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()))
                {
                    self.invalid(pointer, "must consist of digits");
                }
            }
            Shape::Link => {
                if let Some(text) = self.text(value, pointer)
                    && !is_link(text)
                {
                    self.invalid(pointer, "must be an address that starts with https:// or http://");
                }
            }
            Shape::Word(words) => {
                if let Some(text) = self.text(value, pointer)
                    && !words.contains(&text)
                {
                    self.invalid(pointer, one_of(text, words.iter().copied()));
                }
            }
            Shape::Bool => {
                if !value.is_boolean() {
                    self.invalid(pointer, "must be true or false");
                }
            }
            Shape::Integer => {
                if value.as_i64().is_none() {
                    self.invalid(pointer, "must be a whole number");
                }
            }
            Shape::Index { under } => match index(value) {
                Some(index) if index < *under => {}
                _ => self.invalid(pointer, format!("must be a position from 0 to {}", under - 1)),
            },
            Shape::Degrees(most) => match degrees(value) {
                Some(degrees) if degrees.abs() <= *most => {}
                _ => self.invalid(pointer, format!("must be a number from -{most} to {most}")),
            },
            Shape::Day => {
                if let Some(text) = self.text(value, pointer)
                    && (text.len() != "2001-02-03".len() || text.parse::<jiff::civil::Date>().is_err())
                {
                    self.invalid(pointer, "must be a day, as 2001-02-03");
                }
            }
            Shape::AnyObject => {
                self.map(value, pointer);
            }
            Shape::Object(object) => {
                if let Some(members) = self.map(value, pointer) {
                    self.object(members, pointer, object);
                }
            }
            Shape::List(list) => self.list(value, pointer, list),
            Shape::Tagged(tagged) => self.tagged(value, pointer, tagged),
            Shape::Either(shapes) => {
                let Some(members) = self.map(value, pointer) else { return };
                match shapes.iter().find(|(name, _)| member(members, name).is_some()) {
                    Some((_, shape)) => self.check(value, pointer, shape),
                    None => {
                        let names: Vec<&str> = shapes.iter().map(|(name, _)| *name).collect();
                        let message = format!("is required: one of {}", names.join(", "));
                        self.add(ErrorKind::ParameterMissing, pointer, message);
                    }
                }
            }
        }
    }

    pub(super) fn object(&mut self, members: &Map<String, Value>, pointer: &str, object: &Object) {
        for Member { name, presence, shape } in object.members {
            match (member(members, name), presence) {
                (None, Presence::Optional | Presence::Refused) => {}
                (None, Presence::Required) => {
                    self.add(ErrorKind::ParameterMissing, format!("{pointer}/{name}"), "is required");
                }
                (Some(_), Presence::Refused) => self.invalid(format!("{pointer}/{name}"), "is not possible here"),
                (Some(value), _) => self.check(value, &format!("{pointer}/{name}"), shape),
            }
        }
        for rule in object.rules {
            match rule {
                Rule::ExactlyOne(names) => match names.iter().filter(|name| member(members, name).is_some()).count() {
                    1 => {}
                    0 => {
                        let message = format!("must have one of {}", names.join(", "));
                        self.add(ErrorKind::ParameterMissing, pointer, message);
                    }
                    _ => self.invalid(pointer, format!("must have only one of {}", names.join(", "))),
                },
                Rule::AtLeastOne(names) => {
                    if !names.iter().any(|name| member(members, name).is_some()) {
                        let message = format!("must have at least one of {}", names.join(", "));
                        self.add(ErrorKind::ParameterMissing, pointer, message);
                    }
                }
                Rule::Also(rule) => rule(members, pointer, self),
            }
        }
    }

    fn list(&mut self, value: &Value, pointer: &str, list: &List) {
        let Some(items) = value.as_array() else {
            self.invalid(pointer, "must be an array");
            return;
        };
        if items.len() < list.min {
            let message = format!("must have at least {} entries, has {}", list.min, items.len());
            self.push(ErrorKind::ParameterInvalid, pointer.to_owned(), message, Some((list.min, items.len())));
        }
        self.most(ErrorKind::ParameterInvalid, pointer, "entries", list.max, items.len());
        for (position, item) in items.iter().enumerate() {
            if self.breaches.len() == REPORTED_MAX {
                return;
            }
            self.check(item, &format!("{pointer}/{position}"), &list.items);
        }
        for rule in list.rules {
            rule(items, pointer, self);
        }
    }

    fn tagged(&mut self, value: &Value, pointer: &str, tagged: &Tagged) {
        let Some(members) = self.map(value, pointer) else { return };
        let Some(kind) = member(members, "type") else {
            self.add(ErrorKind::ParameterMissing, format!("{pointer}/type"), "is required");
            return;
        };
        let at = format!("{pointer}/type");
        let Some(kind) = self.text(kind, &at) else { return };
        let fits = |name: &str| match tagged.types {
            Types::Exact => name == kind,
            Types::Open => name.eq_ignore_ascii_case(kind),
        };
        match tagged.shapes.iter().find(|(name, _)| fits(name)) {
            Some((_, object)) => self.object(members, pointer, object),
            None if tagged.types == Types::Exact => {
                self.invalid(at, one_of(kind, tagged.shapes.iter().map(|(name, _)| *name)));
            }
            None => {}
        }
    }

    fn map<'v>(&mut self, value: &'v Value, pointer: &str) -> Option<&'v Map<String, Value>> {
        if !value.is_object() {
            self.invalid(pointer, "must be an object");
        }
        value.as_object()
    }

    fn text<'v>(&mut self, value: &'v Value, pointer: &str) -> Option<&'v str> {
        if !value.is_string() {
            self.invalid(pointer, "must be a string");
        }
        value.as_str()
    }

    fn length(&mut self, text: &str, pointer: &str, most: Most) {
        // No text has more characters than bytes.
        if text.len() > most.warned_over.unwrap_or(most.refused_over) {
            self.most(ErrorKind::ParameterTooLong, pointer, "characters", most, text.chars().count());
        }
    }
}

fn breach(pointer: String, message: String, numbers: Option<(usize, usize)>) -> Breach {
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    let (limit, actual) = numbers.unzip();
    Breach { pointer, message, limit: limit.map(number), actual: actual.map(number) }
}

/// The member `name`; what client libraries send as null is not there.
pub(super) fn member<'v>(members: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    members.get(name).filter(|value| !value.is_null())
}

fn one_of(given: &str, words: impl Iterator<Item = &'static str>) -> String {
    format!("\"{}\" is not one of {}", excerpt(given), words.collect::<Vec<_>>().join(", "))
}

/// A position, written as a number or as digits.
pub(crate) fn index(value: &Value) -> Option<usize> {
    match value {
        Value::Number(number) => usize::try_from(number.as_u64()?).ok(),
        Value::String(text)
            if text.len() <= INDEX_DIGITS_MAX && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) =>
        {
            text.parse().ok()
        }
        _ => None,
    }
}

/// Degrees, written as a number or as a text.
pub(super) fn degrees(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|degrees: &f64| degrees.is_finite())
}

fn is_link(text: &str) -> bool {
    let rest = |scheme: &str| text.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme));
    let Some(scheme) = rest("https://").or_else(|| rest("http://")) else { return false };
    !text[scheme.len()..].starts_with(['/', '?', '#'])
        && text.len() > scheme.len()
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}
