//! What is known of a person, and what may be changed about it: everything that is wrong with a
//! change is told at once, and then nothing of it is done.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::zones::{is_zone, zone_of_phone};
use crate::{
    clock::Millis,
    error::{ApiError, Breach, ErrorKind},
    ids::ContactId,
    messages::{address::Address, phone},
};

/// Longest name of a person, in characters.
pub const NAME_MAX_CHARS: usize = 200;
/// Tags of a contact at most.
pub const TAGS_MAX: usize = 50;
/// Longest tag, in characters.
pub const TAG_MAX_CHARS: usize = 64;
/// Attributes that a business may define.
pub const ATTRIBUTES_MAX: usize = 50;
/// Longest name of an attribute, in characters.
pub const ATTRIBUTE_NAME_MAX_CHARS: usize = 40;
/// Longest text of an attribute, in characters.
pub const ATTRIBUTE_TEXT_MAX_CHARS: usize = 255;
/// Longest time zone name, in characters.
const ZONE_MAX_CHARS: usize = 64;

/// What kind of value an attribute has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributeKind {
    /// A text of 1 to 255 characters.
    String,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A date, `2026-11-22`.
    Date,
}

impl AttributeKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::String, Self::Number, Self::Boolean, Self::Date];

    /// The name that rows and answers carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Date => "date",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What is wrong with `value` as one of this kind.
    fn fault(self, value: &Value) -> Option<String> {
        let fits = match self {
            Self::String => value.as_str().is_some_and(|text| {
                (1..=ATTRIBUTE_TEXT_MAX_CHARS).contains(&text.chars().count()) && !text.chars().any(char::is_control)
            }),
            Self::Number => value.as_f64().is_some_and(f64::is_finite),
            Self::Boolean => value.is_boolean(),
            Self::Date => value.as_str().is_some_and(|text| crate::clock::day_of_date(text).is_some()),
        };
        let expected = match self {
            Self::String => format!("a text of 1 to {ATTRIBUTE_TEXT_MAX_CHARS} characters"),
            Self::Number => "a number".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Date => "a date such as 2026-11-22".to_owned(),
        };
        (!fits).then(|| format!("must be {expected}"))
    }

    /// The value that `text` stands for, as far as it can be one.
    pub(crate) fn value_of_text(self, text: &str) -> Value {
        let text = text.trim();
        let number = || {
            let number = text.parse::<i64>().ok().map(serde_json::Number::from);
            number.or_else(|| text.parse().ok().and_then(serde_json::Number::from_f64)).map(Value::Number)
        };
        let truth = || match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Some(Value::Bool(true)),
            "false" | "no" | "0" => Some(Value::Bool(false)),
            _ => None,
        };
        let value = match self {
            Self::Number => number(),
            Self::Boolean => truth(),
            Self::String | Self::Date => None,
        };
        value.unwrap_or_else(|| text.into())
    }
}

/// The attributes that a business has defined.
pub(crate) type Definitions = BTreeMap<String, AttributeKind>;

/// What is known of a person.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// Their phone number in digits, if it is known.
    pub phone: Option<String>,
    /// Their business-scoped user id, if it is known.
    pub user_id: Option<String>,
    /// The name in their profile, as the network told it.
    pub profile_name: Option<String>,
    /// What the business calls them.
    pub given_name: Option<String>,
    /// Their language, for example `en_US`.
    pub language: Option<String>,
    /// Their time zone in the IANA database, as far as it was given.
    pub time_zone: Option<String>,
    /// Their tags.
    pub tags: BTreeSet<String>,
    /// Their attributes, each defined by the business.
    pub attributes: BTreeMap<String, Value>,
}

/// A person that a business knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    /// The contact's id.
    pub id: ContactId,
    /// What is known of them.
    pub details: Details,
    /// When they became known.
    pub created_at: Millis,
    /// When something about them last changed.
    pub updated_at: Millis,
}

impl Details {
    /// Their time zone: as it was given, or of their number's country if it has only one.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        let derived = || self.phone.as_deref().and_then(zone_of_phone);
        self.time_zone.as_deref().or_else(derived)
    }

    /// Where they can be reached.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Address> {
        let phone = self.phone.clone().map(Address::Phone);
        phone.into_iter().chain(self.user_id.clone().map(Address::UserId))
    }

    /// Takes over what is known of `other`, who is the same person: what is known here wins, tags are
    /// united.
    pub(crate) fn absorb(&mut self, other: Self) {
        let fill = |own: &mut Option<String>, others: Option<String>| {
            if own.is_none() {
                *own = others;
            }
        };
        fill(&mut self.phone, other.phone);
        fill(&mut self.user_id, other.user_id);
        fill(&mut self.profile_name, other.profile_name);
        fill(&mut self.given_name, other.given_name);
        fill(&mut self.language, other.language);
        fill(&mut self.time_zone, other.time_zone);
        self.tags.extend(other.tags);
        for (name, value) in other.attributes {
            self.attributes.entry(name).or_insert(value);
        }
    }

    /// What lists can be filtered by.
    pub(crate) fn terms(&self) -> impl Iterator<Item = String> {
        let tags = self.tags.iter().map(|tag| tag_term(tag));
        tags.chain(self.attributes.iter().map(|(name, value)| attribute_term(name, value)))
    }
}

/// The term of a tag.
pub(crate) fn tag_term(tag: &str) -> String {
    format!("#{tag}")
}

/// The term of an attribute with a value. Numbers that are equal have the same one.
pub(crate) fn attribute_term(name: &str, value: &Value) -> String {
    let value = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map(|number| number.to_string()).unwrap_or_default(),
        other => other.to_string(),
    };
    format!("{name}={value}")
}

/// What is to be changed of a contact. What is left out stays; `null` removes.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({
    "phone": "+16505551234", "given_name": "Ana", "language": "en_US", "tags": ["regular"],
    "attributes": {"loyalty_points": 120}
}))]
pub struct ContactChange {
    /// The phone number with its country code; `+`, blanks, hyphens and brackets are tolerated.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "+16505551234")]
    pub phone: Option<Option<String>>,
    /// The business-scoped user id.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "US.13491208655302741918")]
    pub user_id: Option<Option<String>>,
    /// What the business calls the person, of 1 to 200 characters.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "Ana")]
    pub given_name: Option<Option<String>>,
    /// Their language, for example `en_US`.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "en_US")]
    pub language: Option<Option<String>>,
    /// Their time zone, by its name in the IANA database. Without one, that of the number's country counts, if it has
    /// only one.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>, example = "America/Los_Angeles")]
    pub time_zone: Option<Option<String>>,
    /// All their tags: at most 50, of 1 to 64 characters.
    #[schema(example = json!(["regular"]))]
    pub tags: Option<Vec<String>>,
    /// Attributes by their names, each of the type that the business defined. Those left out stay; `null` removes one.
    #[schema(value_type = Option<Object>, example = json!({"loyalty_points": 120}))]
    pub attributes: Option<Map<String, Value>>,
    /// Whether the tags are added to those that are there.
    #[serde(skip)]
    #[schema(ignore)]
    pub(crate) adds_tags: bool,
}

/// A member that is there, if only as `null`.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl ContactChange {
    /// The change in one form, with everything that is wrong with it.
    ///
    /// # Errors
    /// The breaches, with pointers into the body.
    pub(crate) fn checked(mut self, definitions: &Definitions) -> Result<Self, Vec<Breach>> {
        let mut breaches = Vec::new();
        let mut breach = |pointer: String, message: String| {
            breaches.push(Breach { pointer, message, limit: None, actual: None });
        };
        if let Some(Some(text)) = &mut self.phone {
            match phone::digits(text) {
                Some(digits) => *text = digits,
                None => breach("/phone".to_owned(), "must be a phone number with its country code".to_owned()),
            }
        }
        if let Some(Some(text)) = &self.user_id
            && Address::user_id(text).is_none()
        {
            let message = "must be a country's two letters, \".\" and up to 128 letters and digits";
            breach("/user_id".to_owned(), message.to_owned());
        }
        if let Some(Some(name)) = &mut self.given_name {
            *name = name.trim().to_owned();
            if !is_line(name, NAME_MAX_CHARS) {
                breach("/given_name".to_owned(), line_of(NAME_MAX_CHARS));
            }
        }
        if let Some(Some(language)) = &self.language
            && !is_language(language)
        {
            breach("/language".to_owned(), "must be a language such as \"en\", \"en_US\" or \"pt-BR\"".to_owned());
        }
        if let Some(Some(zone)) = &self.time_zone
            && (zone.len() > ZONE_MAX_CHARS || !is_zone(zone))
        {
            breach(
                "/time_zone".to_owned(),
                "must be a zone of the IANA database, such as \"Europe/Berlin\"".to_owned(),
            );
        }
        if let Some(tags) = &mut self.tags {
            for (index, tag) in tags.iter_mut().enumerate() {
                *tag = tag.trim().to_owned();
                if !is_line(tag, TAG_MAX_CHARS) {
                    breach(format!("/tags/{index}"), line_of(TAG_MAX_CHARS));
                }
            }
            let different = tags.iter().collect::<BTreeSet<_>>().len();
            if different > TAGS_MAX {
                breach("/tags".to_owned(), format!("must have at most {TAGS_MAX} entries, has {different}"));
            }
        }
        for (name, value) in self.attributes.iter().flatten() {
            let pointer = format!("/attributes/{}", name.replace('~', "~0").replace('/', "~1"));
            match definitions.get(name) {
                None => breach(pointer, "is not defined; define it at /v1/contact_attributes first".to_owned()),
                Some(_) if value.is_null() => {}
                Some(kind) => {
                    if let Some(fault) = kind.fault(value) {
                        breach(pointer, fault);
                    }
                }
            }
        }
        if breaches.is_empty() { Ok(self) } else { Err(breaches) }
    }

    /// Changes `details`. The change is one that was [`Self::checked`].
    pub(crate) fn apply(&self, details: &mut Details) {
        let set = |place: &mut Option<String>, value: &Option<Option<String>>| {
            if let Some(value) = value {
                place.clone_from(value);
            }
        };
        set(&mut details.phone, &self.phone);
        set(&mut details.user_id, &self.user_id);
        set(&mut details.given_name, &self.given_name);
        set(&mut details.language, &self.language);
        set(&mut details.time_zone, &self.time_zone);
        if let Some(tags) = &self.tags {
            if !self.adds_tags {
                details.tags.clear();
            }
            details.tags.extend(tags.iter().cloned());
        }
        for (name, value) in self.attributes.iter().flatten() {
            if value.is_null() {
                details.attributes.remove(name);
            } else {
                details.attributes.insert(name.clone(), value.clone());
            }
        }
    }

    /// The addresses that it names, by which somebody is found.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let phone = self.phone.clone().flatten().map(Address::Phone);
        phone.into_iter().chain(self.user_id.clone().flatten().map(Address::UserId)).collect()
    }
}

/// The error for a contact that nobody could ever find.
pub(crate) fn without_address() -> ApiError {
    let message = "is required, or \"user_id\": a contact is found by one of them".to_owned();
    let breach = Breach { pointer: "/phone".to_owned(), message, limit: None, actual: None };
    ApiError::breaches(ErrorKind::ParameterMissing, vec![breach])
}

/// Whether `text` is one line of 1 to `most` characters.
pub(crate) fn is_line(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

pub(crate) fn line_of(most: usize) -> String {
    format!("must have 1 to {most} characters, none of them a control character")
}

/// Whether `text` looks like a language with or without a script or country.
fn is_language(text: &str) -> bool {
    let mut parts = text.split(['_', '-']);
    let language = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_lowercase())
        && rest.len() <= 2
        && rest
            .iter()
            .all(|part| (2..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// What is wrong with the name of an attribute.
pub(crate) fn attribute_name_fault(name: &str) -> Option<String> {
    let simple = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = (1..=ATTRIBUTE_NAME_MAX_CHARS).contains(&name.len())
        && name.bytes().all(simple)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !COLUMNS.contains(&name);
    let reserved = COLUMNS.join(", ");
    (!fits).then(|| {
        format!(
            "must have 1 to {ATTRIBUTE_NAME_MAX_CHARS} characters of a to z, 0 to 9 and \"_\", begin with a letter, and \
             be none of {reserved}"
        )
    })
}

/// What contacts have of themselves, under these names in tables: no attribute is called so.
pub(crate) const COLUMNS: [&str; 15] = [
    "id",
    "phone",
    "user_id",
    "profile_name",
    "given_name",
    "language",
    "time_zone",
    "tags",
    "attributes",
    "created_at",
    "updated_at",
    "consent",
    "consent_source",
    "consent_text_version",
    "consent_at",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn definitions() -> Definitions {
        let kinds = [("points", AttributeKind::Number), ("vip", AttributeKind::Boolean)];
        let more = [("city", AttributeKind::String), ("birthday", AttributeKind::Date)];
        kinds.into_iter().chain(more).map(|(name, kind)| (name.to_owned(), kind)).collect()
    }

    fn change(value: Value) -> ContactChange {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn everything_that_is_wrong_with_a_change_is_told_at_once() {
        let wrong = change(json!({
            "phone": "12", "user_id": "x", "given_name": " ", "language": "English", "time_zone": "Mars/Olympus",
            "tags": ["fine", ""], "attributes": {"points": "many", "vip": 1, "birthday": "2026-02-30", "nope": 1}
        }));
        let breaches = wrong.checked(&definitions()).unwrap_err();
        let mut pointers: Vec<&str> = breaches.iter().map(|breach| breach.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(
            pointers,
            [
                "/attributes/birthday",
                "/attributes/nope",
                "/attributes/points",
                "/attributes/vip",
                "/given_name",
                "/language",
                "/phone",
                "/tags/1",
                "/time_zone",
                "/user_id"
            ]
        );
        let many: Vec<String> = (0..=TAGS_MAX).map(|n| n.to_string()).collect();
        assert_eq!(change(json!({"tags": many})).checked(&definitions()).unwrap_err()[0].pointer, "/tags");
    }

    #[test]
    fn what_is_left_out_stays_and_null_removes() {
        let mut details = Details::default();
        let first = json!({"phone": "+1 650 555 1234", "given_name": "Ana", "tags": ["a", "b", "a"],
            "attributes": {"points": 3, "city": "Lima"}});
        change(first).checked(&definitions()).unwrap().apply(&mut details);
        assert_eq!((details.phone.as_deref(), details.tags.len()), (Some("16505551234"), 2));
        let second = json!({"given_name": null, "attributes": {"city": null, "vip": true}});
        change(second).checked(&definitions()).unwrap().apply(&mut details);
        assert_eq!((details.given_name.as_deref(), details.phone.is_some()), (None, true));
        assert_eq!(json!(details.attributes), json!({"points": 3, "vip": true}));
        assert_eq!(details.tags.len(), 2);
    }

    #[test]
    fn of_two_who_are_one_the_survivor_wins_and_tags_are_united() {
        let mut survivor = Details { given_name: Some("Ana".to_owned()), ..Details::default() };
        survivor.tags.insert("a".to_owned());
        survivor.attributes.insert("city".to_owned(), json!("Lima"));
        let mut other =
            Details { given_name: Some("Anna".to_owned()), user_id: Some("US.1".to_owned()), ..Details::default() };
        other.tags.insert("b".to_owned());
        other.attributes.insert("city".to_owned(), json!("Cusco"));
        other.attributes.insert("points".to_owned(), json!(1));
        survivor.absorb(other);
        assert_eq!((survivor.given_name.as_deref(), survivor.user_id.as_deref()), (Some("Ana"), Some("US.1")));
        assert_eq!(survivor.tags.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(json!(survivor.attributes), json!({"city": "Lima", "points": 1}));
    }

    #[test]
    fn equal_values_have_the_same_term_and_a_tag_is_no_attribute() {
        assert_eq!(attribute_term("points", &json!(3)), attribute_term("points", &json!(3.0)));
        assert_ne!(tag_term("points=3"), attribute_term("points", &json!(3)));
        for (kind, text, value) in [
            (AttributeKind::Number, " 3.5", json!(3.5)),
            (AttributeKind::Number, "17", json!(17)),
            (AttributeKind::Boolean, "Yes", json!(true)),
            (AttributeKind::String, "17", json!("17")),
        ] {
            assert_eq!(kind.value_of_text(text), value);
        }
        assert!(AttributeKind::Number.fault(&AttributeKind::Number.value_of_text("NaN")).is_some());
    }

    #[test]
    fn a_zone_is_what_was_given_or_of_a_country_with_one_clock() {
        let of = |phone: &str, zone: Option<&str>| Details {
            phone: Some(phone.to_owned()),
            time_zone: zone.map(ToOwned::to_owned),
            ..Details::default()
        };
        assert_eq!(of("4915112345678", None).zone(), Some("Europe/Berlin"));
        assert_eq!(of("4915112345678", Some("Asia/Tokyo")).zone(), Some("Asia/Tokyo"));
        assert_eq!(of("16505551234", None).zone(), None);
    }

    #[test]
    fn an_attribute_has_a_simple_name_that_is_no_column() {
        assert_eq!(attribute_name_fault("loyalty_points2"), None);
        for name in ["", "2points", "Points", "a-b", "phone", "tags", &"a".repeat(41)] {
            assert!(attribute_name_fault(name).is_some(), "{name}");
        }
    }
}
