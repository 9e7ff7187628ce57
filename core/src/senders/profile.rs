//! The profile that people see of a sender: what may stand in it.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::{ApiError, Breach, ErrorKind};

/// The line below the name, in characters.
pub const ABOUT_MAX_CHARS: usize = 139;
/// The postal address, in characters.
pub const ADDRESS_MAX_CHARS: usize = 256;
/// The description, in characters: the page has 512, the OpenAPI document 256.
pub const DESCRIPTION_MAX_CHARS: usize = 512;
/// The mail address, in characters.
pub const EMAIL_MAX_CHARS: usize = 128;
/// Websites.
pub const WEBSITES_MAX: usize = 2;
/// One of them, in characters.
pub const WEBSITE_MAX_CHARS: usize = 256;
/// The handle of an uploaded picture, in characters.
const HANDLE_MAX_CHARS: usize = 1_024;
/// The lines of business that the Cloud API knows.
pub const VERTICALS: &[&str] = &[
    "UNDEFINED",
    "OTHER",
    "AUTO",
    "BEAUTY",
    "APPAREL",
    "EDU",
    "ENTERTAIN",
    "EVENT_PLAN",
    "FINANCE",
    "GROCERY",
    "GOVT",
    "HOTEL",
    "HEALTH",
    "NONPROFIT",
    "PROF_SERVICES",
    "RETAIL",
    "TRAVEL",
    "RESTAURANT",
    "ALCOHOL",
    "ONLINE_GAMBLING",
    "PHYSICAL_GAMBLING",
    "OTC_DRUGS",
];

/// What people see of a sender. What is not there is not shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct SenderProfile {
    /// The line below the name.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "Bread and cake since 1904", max_length = 139)]
    pub about: String,
    /// The postal address.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "1 Hacker Way, Menlo Park, CA 94025", max_length = 256)]
    pub address: String,
    /// What the business does.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "We bake at night.", max_length = 512)]
    pub description: String,
    /// Its mail address.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "ana@bakery.example", max_length = 128)]
    pub email: String,
    /// Its line of business.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "RESTAURANT")]
    pub vertical: String,
    /// Its websites.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["https://bakery.example"]), max_items = 2)]
    pub websites: Vec<String>,
    /// The handle of its picture, as it was uploaded.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "4::aW1hZ2UvcG5n")]
    pub profile_picture_handle: String,
    /// Where its network shows its picture.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schema(example = "https://pps.whatsapp.net/v/t61.24694-24/1")]
    pub profile_picture_url: String,
}

/// What is to be changed of a profile: members that are absent or null stay as they are, an
/// empty text or list clears.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct SenderProfileChange {
    /// The line below the name. Cannot be cleared.
    #[schema(example = "Bread and cake since 1904", min_length = 1, max_length = 139)]
    pub about: Option<String>,
    /// The postal address.
    #[schema(example = "1 Hacker Way, Menlo Park, CA 94025", max_length = 256)]
    pub address: Option<String>,
    /// What the business does.
    #[schema(example = "We bake at night.", max_length = 512)]
    pub description: Option<String>,
    /// Its mail address.
    #[schema(example = "ana@bakery.example", max_length = 128)]
    pub email: Option<String>,
    /// Its line of business: one that the Cloud API knows, in either case.
    #[schema(example = "RESTAURANT")]
    pub vertical: Option<String>,
    /// Its websites, with `http://` or `https://`.
    #[schema(example = json!(["https://bakery.example"]), max_items = 2)]
    pub websites: Option<Vec<String>>,
    /// The handle of an uploaded picture.
    #[schema(example = "4::aW1hZ2UvcG5n")]
    pub profile_picture_handle: Option<String>,
}

impl SenderProfileChange {
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn check(&self) -> Result<(), ApiError> {
        let (mut long, mut invalid) = (Vec::new(), Vec::new());
        for (pointer, value, most) in [
            ("/about", &self.about, ABOUT_MAX_CHARS),
            ("/address", &self.address, ADDRESS_MAX_CHARS),
            ("/description", &self.description, DESCRIPTION_MAX_CHARS),
            ("/email", &self.email, EMAIL_MAX_CHARS),
            ("/profile_picture_handle", &self.profile_picture_handle, HANDLE_MAX_CHARS),
        ] {
            long.extend(value.as_ref().and_then(|text| too_long(pointer.to_owned(), text, most)));
        }
        if self.about.as_ref().is_some_and(String::is_empty) {
            invalid.push(wrong("/about", "must have at least 1 character"));
        }
        if let Some(email) = self.email.as_ref().filter(|email| !email.is_empty())
            && !is_mail_address(email)
        {
            invalid.push(wrong("/email", "must be a mail address"));
        }
        if let Some(vertical) = &self.vertical
            && !vertical.is_empty()
            && !VERTICALS.iter().any(|known| known.eq_ignore_ascii_case(vertical))
        {
            invalid.push(wrong("/vertical", &format!("must be one of {}", VERTICALS.join(", "))));
        }
        let websites = self.websites.as_deref().unwrap_or_default();
        if websites.len() > WEBSITES_MAX {
            let message = format!("must have at most {WEBSITES_MAX} entries, has {}", websites.len());
            let (limit, actual) = (Some(WEBSITES_MAX as u64), Some(websites.len() as u64));
            invalid.push(Breach { pointer: "/websites".to_owned(), message, limit, actual });
        }
        for (index, website) in websites.iter().enumerate() {
            let pointer = format!("/websites/{index}");
            match too_long(pointer.clone(), website, WEBSITE_MAX_CHARS) {
                Some(breach) => long.push(breach),
                None if !is_website(website) => {
                    invalid.push(wrong(&pointer, "must be an address with http:// or https://"));
                }
                None => {}
            }
        }
        let kind = if invalid.is_empty() { ErrorKind::ParameterTooLong } else { ErrorKind::ParameterInvalid };
        invalid.append(&mut long);
        if invalid.is_empty() { Ok(()) } else { Err(ApiError::breaches(kind, invalid)) }
    }

    /// `profile` with this change made.
    pub(crate) fn applied_to(&self, mut profile: SenderProfile) -> SenderProfile {
        for (kept, given) in [
            (&mut profile.about, &self.about),
            (&mut profile.address, &self.address),
            (&mut profile.description, &self.description),
            (&mut profile.email, &self.email),
            (&mut profile.profile_picture_handle, &self.profile_picture_handle),
        ] {
            if let Some(given) = given {
                kept.clone_from(given);
            }
        }
        if let Some(vertical) = &self.vertical {
            profile.vertical = vertical.to_ascii_uppercase();
        }
        if let Some(websites) = &self.websites {
            profile.websites.clone_from(websites);
        }
        profile
    }
}

fn wrong(pointer: &str, message: &str) -> Breach {
    Breach { pointer: pointer.to_owned(), message: message.to_owned(), limit: None, actual: None }
}

fn too_long(pointer: String, text: &str, most: usize) -> Option<Breach> {
    let length = text.chars().count();
    (length > most).then(|| Breach {
        pointer,
        message: format!("must have at most {most} characters, has {length}"),
        limit: Some(most as u64),
        actual: Some(length as u64),
    })
}

fn is_mail_address(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    !local.is_empty() && domain.contains('.') && !text.chars().any(|c| c.is_whitespace() || c.is_control())
}

fn is_website(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, value: &serde_json::Value) -> SenderProfileChange {
        serde_json::from_value(serde_json::json!({ name: value })).unwrap()
    }

    #[test]
    fn every_limit_of_a_profile_is_taken_and_one_more_is_refused() {
        let mail = |length: usize| format!("{}@b.example", "a".repeat(length - "@b.example".len()));
        let site = |length: usize| format!("https://b.example/{}", "a".repeat(length - "https://b.example/".len()));
        for (name, most, text) in [
            ("about", ABOUT_MAX_CHARS, &(|length: usize| "ü".repeat(length)) as &dyn Fn(usize) -> String),
            ("address", ADDRESS_MAX_CHARS, &|length| "ü".repeat(length)),
            ("description", DESCRIPTION_MAX_CHARS, &|length| "ü".repeat(length)),
            ("email", EMAIL_MAX_CHARS, &mail),
            ("profile_picture_handle", HANDLE_MAX_CHARS, &|length| "h".repeat(length)),
        ] {
            change(name, &text(most).into()).check().unwrap();
            let error = change(name, &text(most + 1).into()).check().unwrap_err();
            let breach = &error.breaches[0];
            assert_eq!((error.kind, &*breach.pointer), (ErrorKind::ParameterTooLong, &*format!("/{name}")));
            assert_eq!((breach.limit, breach.actual), (Some(most as u64), Some(most as u64 + 1)));
        }
        change("websites", &vec![site(WEBSITE_MAX_CHARS); WEBSITES_MAX].into()).check().unwrap();
        for (websites, pointer) in [
            (vec![site(WEBSITE_MAX_CHARS + 1)], "/websites/0"),
            (vec![site(30); WEBSITES_MAX + 1], "/websites"),
            (vec![site(30), "bakery.example".to_owned()], "/websites/1"),
            (vec!["ftp://bakery.example".to_owned()], "/websites/0"),
        ] {
            assert_eq!(change("websites", &websites.into()).check().unwrap_err().breaches[0].pointer, pointer);
        }
        for (name, value) in [("about", ""), ("email", "ana"), ("vertical", "BREAD")] {
            assert!(change(name, &value.into()).check().is_err(), "{name}");
        }
        for vertical in VERTICALS {
            change("vertical", &(*vertical).into()).check().unwrap();
            change("vertical", &vertical.to_lowercase().into()).check().unwrap();
        }
    }

    #[test]
    fn a_change_leaves_what_it_does_not_name_and_clears_what_is_empty() {
        let profile =
            SenderProfile { about: "Bread".to_owned(), email: "a@b.example".to_owned(), ..Default::default() };
        let changed = change("email", &"".into()).applied_to(profile.clone());
        assert_eq!((&*changed.about, &*changed.email), ("Bread", ""));
        assert_eq!(change("vertical", &"retail".into()).applied_to(profile).vertical, "RETAIL");
    }
}
