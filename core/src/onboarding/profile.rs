//! A business's profile: saved as far as it has been typed, judged when it is handed in.
//!
//! What was typed is never lost: a value that cannot stand is kept, and said to be wrong
//! each time the profile is read, until it is put right. Refused is only what is too long
//! to be kept at all; then nothing of it is saved, and the client still has it.

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    address::{is_country, mail_host},
    category::Category,
};
use crate::{
    error::{ApiError, Breach, ErrorKind},
    messages::phone,
};

/// Longest value that is kept at all, in characters.
const KEPT_MAX_CHARS: usize = 1_000;
/// Longest name of a business or person, in characters.
const NAME_MAX_CHARS: usize = 128;
/// Longest registration number, in characters.
const NUMBER_MAX_CHARS: usize = 64;
/// Longest postal address and web address, in characters: as the upstream's profile has it.
const ADDRESS_MAX_CHARS: usize = 256;
/// Longest mail address, in characters: as the upstream's profile has it.
const EMAIL_MAX_CHARS: usize = 128;

/// A business's profile, as far as it is known. Blank is what is not known yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct Profile {
    /// The name in the register of companies.
    #[schema(example = "Blumenhaus Meier GmbH")]
    pub legal_name: String,
    /// The name that customers know.
    #[schema(example = "Blumenhaus Meier")]
    pub trade_name: String,
    /// The number in the register of companies.
    #[schema(example = "HRB 12345 B")]
    pub registration_number: String,
    /// The code of a category.
    #[schema(example = "retail")]
    pub category: String,
    /// The website: may stay blank, which a reviewer will ask about.
    #[schema(example = "https://www.blumenhaus-meier.de")]
    pub website: String,
    /// Street, town and postal code.
    #[schema(example = "Hauptstraße 1, 10115 Berlin")]
    pub address: String,
    /// The country, as two capital letters (ISO 3166-1).
    #[schema(example = "DE")]
    pub country: String,
    /// Whom to ask.
    pub contact: Contact,
}

/// The person to ask about a business.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
#[schema(as = ContactPerson)]
pub struct Contact {
    /// Their name.
    #[schema(example = "Ada Meier")]
    pub name: String,
    /// Their mail address.
    #[schema(example = "ada@blumenhaus-meier.de")]
    pub email: String,
    /// Their phone number, with the country code.
    #[schema(example = "+49 30 12345678")]
    pub phone: String,
}

/// What is to be changed of a profile: members that are absent or null stay as they are,
/// an empty text clears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProfileChange {
    /// The name in the register of companies.
    #[schema(example = "Blumenhaus Meier GmbH")]
    pub legal_name: Option<String>,
    /// The name that customers know.
    #[schema(example = "Blumenhaus Meier")]
    pub trade_name: Option<String>,
    /// The number in the register of companies.
    #[schema(example = "HRB 12345 B")]
    pub registration_number: Option<String>,
    /// The code of a category.
    #[schema(example = "retail")]
    pub category: Option<String>,
    /// The website: may stay blank, which a reviewer will ask about.
    #[schema(example = "https://www.blumenhaus-meier.de")]
    pub website: Option<String>,
    /// Street, town and postal code.
    #[schema(example = "Hauptstraße 1, 10115 Berlin")]
    pub address: Option<String>,
    /// The country, as two capital letters (ISO 3166-1).
    #[schema(example = "DE")]
    pub country: Option<String>,
    /// Whom to ask.
    pub contact: Option<ContactChange>,
}

/// What is to be changed of the contact, as in [`ProfileChange`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ContactChange {
    /// Their name.
    #[schema(example = "Ada Meier")]
    pub name: Option<String>,
    /// Their mail address.
    #[schema(example = "ada@blumenhaus-meier.de")]
    pub email: Option<String>,
    /// Their phone number, with the country code.
    #[schema(example = "+49 30 12345678")]
    pub phone: Option<String>,
}

impl Profile {
    /// The profile of a business of which nothing is known but its name.
    pub(crate) fn of_business(name: &str) -> Self {
        Self { trade_name: name.to_owned(), ..Self::default() }
    }

    /// The profile with `change` made. Values are kept as they were typed, without the
    /// blanks around them.
    ///
    /// # Errors
    /// [`ErrorKind::ParameterTooLong`] with every value that is too long to be kept.
    pub fn changed(&self, change: ProfileChange) -> Result<Self, ApiError> {
        let contact = change.contact.unwrap_or_default();
        let given = [
            change.legal_name,
            change.trade_name,
            change.registration_number,
            change.category,
            change.website,
            change.address,
            change.country,
            contact.name,
            contact.email,
            contact.phone,
        ];
        let mut profile = self.clone();
        let mut breaches = Vec::new();
        for (field, given) in profile.fields_mut().into_iter().zip(given) {
            let Some(given) = given else { continue };
            // NUL cannot be kept by every database.
            let text = given.replace('\0', "").trim().to_owned();
            let chars = text.chars().count();
            if chars > KEPT_MAX_CHARS {
                breaches.push(too_long(field.pointer, KEPT_MAX_CHARS, chars));
            }
            *field.value = text;
        }
        if breaches.is_empty() { Ok(profile) } else { Err(ApiError::breaches(ErrorKind::ParameterTooLong, breaches)) }
    }

    /// Everything that is wrong with what is given; what is blank is not.
    #[must_use]
    pub fn breaches(&self) -> Vec<Breach> {
        let mut profile = self.clone();
        let fields = profile.fields_mut();
        fields.iter().filter(|field| !field.value.is_empty()).filter_map(Field::breach).collect()
    }

    /// What has to be given before the profile can be handed in, and is not.
    #[must_use]
    pub fn missing(&self) -> Vec<Breach> {
        let mut profile = self.clone();
        let fields = profile.fields_mut();
        fields
            .iter()
            .filter(|field| field.required && field.value.is_empty())
            .map(|field| required(field.pointer))
            .collect()
    }

    /// Every member, always in the same order.
    fn fields_mut(&mut self) -> [Field<'_>; 10] {
        let field = |value, pointer, required, kind| Field { value, pointer, required, kind };
        [
            field(&mut self.legal_name, "/legal_name", true, Kind::Text { max: NAME_MAX_CHARS }),
            field(&mut self.trade_name, "/trade_name", true, Kind::Text { max: NAME_MAX_CHARS }),
            field(&mut self.registration_number, "/registration_number", true, Kind::Text { max: NUMBER_MAX_CHARS }),
            field(&mut self.category, "/category", true, Kind::Category),
            field(&mut self.website, "/website", false, Kind::Website),
            field(&mut self.address, "/address", true, Kind::Text { max: ADDRESS_MAX_CHARS }),
            field(&mut self.country, "/country", true, Kind::Country),
            field(&mut self.contact.name, "/contact/name", true, Kind::Text { max: NAME_MAX_CHARS }),
            field(&mut self.contact.email, "/contact/email", true, Kind::Email),
            field(&mut self.contact.phone, "/contact/phone", true, Kind::Phone),
        ]
    }
}

/// A member that has to be there.
pub(super) fn required(pointer: &str) -> Breach {
    Breach { pointer: pointer.to_owned(), message: "is required".to_owned(), limit: None, actual: None }
}

fn too_long(pointer: &str, limit: usize, actual: usize) -> Breach {
    Breach {
        pointer: pointer.to_owned(),
        message: format!("must have at most {limit} characters, has {actual}"),
        limit: Some(limit as u64),
        actual: Some(actual as u64),
    }
}

struct Field<'p> {
    value: &'p mut String,
    pointer: &'static str,
    required: bool,
    kind: Kind,
}

enum Kind {
    Text { max: usize },
    Category,
    Country,
    Website,
    Email,
    Phone,
}

impl Field<'_> {
    fn breach(&self) -> Option<Breach> {
        let text = self.value.as_str();
        let max = match self.kind {
            Kind::Text { max } => max,
            Kind::Website => ADDRESS_MAX_CHARS,
            Kind::Email => EMAIL_MAX_CHARS,
            Kind::Category | Kind::Country | Kind::Phone => KEPT_MAX_CHARS,
        };
        let chars = text.chars().count();
        if chars > max {
            return Some(too_long(self.pointer, max, chars));
        }
        let message = match self.kind {
            Kind::Text { .. } if text.chars().any(|c| c.is_control() && c != '\n') => Some("has a control character"),
            Kind::Text { .. } => (!text.chars().any(char::is_alphanumeric)).then_some("has no letter and no digit"),
            Kind::Category => Category::parse(text).is_none().then_some("is none of the categories in the list"),
            Kind::Country => (!is_country(text)).then_some("must be a country as two capital letters, such as DE"),
            Kind::Website => (!is_web_address(text)).then_some("must be a web address, such as https://www.acme.com"),
            Kind::Email => mail_host(text).is_none().then_some("must be a mail address, such as ada@acme.com"),
            Kind::Phone => phone::digits(text).is_none().then_some("must be a phone number with its country code"),
        };
        let breach = |message: &str| Breach {
            pointer: self.pointer.to_owned(),
            message: message.to_owned(),
            limit: None,
            actual: None,
        };
        message.map(breach)
    }
}

/// Whether `text` is a web address at all; whether it leads anywhere in public is a
/// question of its own.
fn is_web_address(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::onboarding) fn complete() -> Profile {
        Profile {
            legal_name: "Blumenhaus Meier GmbH".to_owned(),
            trade_name: "Blumenhaus Meier".to_owned(),
            registration_number: "HRB 12345 B".to_owned(),
            category: "retail".to_owned(),
            website: "https://www.blumenhaus-meier.de".to_owned(),
            address: "Hauptstraße 1\n10115 Berlin".to_owned(),
            country: "DE".to_owned(),
            contact: Contact {
                name: "Ada Meier".to_owned(),
                email: "ada@blumenhaus-meier.de".to_owned(),
                phone: "+49 30 12345678".to_owned(),
            },
        }
    }

    fn pointers(breaches: &[Breach]) -> Vec<&str> {
        breaches.iter().map(|breach| breach.pointer.as_str()).collect()
    }

    #[test]
    fn a_complete_profile_has_nothing_wrong_and_nothing_missing() {
        assert_eq!((complete().breaches(), complete().missing()), (Vec::new(), Vec::new()));
        let without_website = Profile { website: String::new(), ..complete() };
        assert_eq!(without_website.missing(), Vec::new(), "a reviewer asks about it");
    }

    #[test]
    fn an_empty_profile_misses_everything_and_has_nothing_wrong() {
        assert_eq!(Profile::default().breaches(), Vec::new());
        assert_eq!(
            pointers(&Profile::default().missing()),
            [
                "/legal_name",
                "/trade_name",
                "/registration_number",
                "/category",
                "/address",
                "/country",
                "/contact/name",
                "/contact/email",
                "/contact/phone",
            ]
        );
    }

    #[test]
    fn everything_wrong_is_told_at_once_and_what_was_typed_is_kept() {
        let change: ProfileChange = serde_json::from_value(serde_json::json!({
            "legal_name": "--", "trade_name": "x".repeat(129), "registration_number": "y".repeat(65),
            "category": "flowers", "website": "blumenhaus", "address": "z".repeat(257), "country": "Germany",
            "contact": {"name": "!", "email": "ada@", "phone": "call me"},
        }))
        .unwrap();
        let profile = Profile::default().changed(change).unwrap();
        assert_eq!(profile.country, "Germany");
        let breaches = profile.breaches();
        assert_eq!(breaches.len(), 10, "{breaches:?}");
        assert_eq!((breaches[1].limit, breaches[1].actual), (Some(128), Some(129)));
        for breach in &breaches {
            let json = serde_json::to_value(&profile).unwrap();
            assert!(json.pointer(&breach.pointer).is_some(), "{}", breach.pointer);
        }
        let read: Profile = serde_json::from_value(serde_json::to_value(&profile).unwrap()).unwrap();
        assert_eq!(read, profile);
    }

    #[test]
    fn absent_members_stay_empty_ones_clear_and_blanks_go() {
        let change: ProfileChange = serde_json::from_value(serde_json::json!({
            "trade_name": "", "legal_name": "  Meier\u{0} AG ", "website": null, "contact": {"phone": "+49 30 999999"},
        }))
        .unwrap();
        let profile = complete().changed(change).unwrap();
        let expected = Profile {
            trade_name: String::new(),
            legal_name: "Meier AG".to_owned(),
            contact: Contact { phone: "+49 30 999999".to_owned(), ..complete().contact },
            ..complete()
        };
        assert_eq!(profile, expected);
    }

    #[test]
    fn what_is_too_long_to_be_kept_is_refused_whole() {
        let change = ProfileChange {
            legal_name: Some("Fine".to_owned()),
            address: Some("a".repeat(1_001)),
            contact: Some(ContactChange { name: Some("b".repeat(5_000)), ..ContactChange::default() }),
            ..ProfileChange::default()
        };
        let error = Profile::default().changed(change).unwrap_err();
        assert_eq!(error.kind, ErrorKind::ParameterTooLong);
        assert_eq!(pointers(&error.breaches), ["/address", "/contact/name"]);
        assert!(
            serde_json::from_str::<ProfileChange>(r#"{"trade_nmae": "x"}"#).is_err(),
            "a misspelt member is refused"
        );
    }
}
