//! What a message says, typed: one variant for each type of the Cloud API.
//!
//! A value of these types has passed the table of [`super::rules`]; members that the types do not name are in the message
//! object, which travels on whole.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::{check, interactive::Interactive, template::TemplateMessage};

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Plain text.
    Text(Text),
    /// An approved template with its parameters.
    Template(TemplateMessage),
    /// A picture.
    Image(CaptionedMedia),
    /// A video.
    Video(CaptionedMedia),
    /// A recording.
    Audio(Audio),
    /// A file.
    Document(Document),
    /// A sticker.
    Sticker(Media),
    /// A place.
    Location(Location),
    /// Cards of an address book.
    Contacts(Vec<Contact>),
    /// An emoji on an earlier message.
    Reaction(Reaction),
    /// Something to tap on.
    Interactive(Box<Interactive>),
}

impl Content {
    /// The Cloud API's name of the type.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Template(_) => "template",
            Self::Image(_) => "image",
            Self::Video(_) => "video",
            Self::Audio(_) => "audio",
            Self::Document(_) => "document",
            Self::Sticker(_) => "sticker",
            Self::Location(_) => "location",
            Self::Contacts(_) => "contacts",
            Self::Reaction(_) => "reaction",
            Self::Interactive(_) => "interactive",
        }
    }

    /// The template that it is made of.
    #[must_use]
    pub fn template_name(&self) -> Option<&str> {
        match self {
            Self::Template(message) => Some(&message.name),
            _ => None,
        }
    }
}

/// A text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TextObject)]
pub struct Text {
    /// At most 4,096 characters.
    #[schema(example = "Your order has shipped.", max_length = 4096, min_length = 1)]
    pub body: String,
    /// Whether the first address in the text is shown with a preview.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview_url: Option<bool>,
}

/// A file at the network, or at an address: exactly one of both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = MediaObject)]
pub struct Media {
    /// The id of an uploaded file, digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "1013859600285441", pattern = "^[0-9]+$")]
    pub id: Option<String>,
    /// Where the network fetches it: `https` or `http`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://shop.example/banner.png")]
    pub link: Option<String>,
}

/// A picture or a video: exactly one of `id` and `link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CaptionedMediaObject)]
pub struct CaptionedMedia {
    /// The file.
    #[serde(flatten)]
    pub media: Media,
    /// The text below, at most 1,024 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub caption: Option<String>,
}

/// A recording: exactly one of `id` and `link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = AudioObject)]
pub struct Audio {
    /// The file.
    #[serde(flatten)]
    pub media: Media,
    /// Whether it is a voice message: OGG with OPUS, mono.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<bool>,
}

/// A file: exactly one of `id` and `link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DocumentObject)]
pub struct Document {
    /// The file.
    #[serde(flatten)]
    pub media: Media,
    /// The text below, at most 1,024 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub caption: Option<String>,
    /// Its name; the ending decides which icon is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "invoice-17.pdf")]
    pub filename: Option<String>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LocationObject)]
pub struct Location {
    /// Degrees north, -90 to 90; as a number or as a string.
    #[serde(deserialize_with = "degrees")]
    #[schema(example = 37.4421)]
    pub latitude: f64,
    /// Degrees east, -180 to 180; as a number or as a string.
    #[serde(deserialize_with = "degrees")]
    #[schema(example = -122.1615)]
    pub longitude: f64,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A reaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReactionObject)]
pub struct Reaction {
    /// The message that it is for.
    #[schema(example = "wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K")]
    pub message_id: String,
    /// One emoji; empty to take the reaction back.
    #[schema(example = "👍")]
    pub emoji: String,
}

/// A card of an address book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ContactObject)]
pub struct Contact {
    /// Who it is.
    pub name: ContactName,
    /// Phone numbers.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub phones: Vec<ContactPhone>,
    /// Mail addresses.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub emails: Vec<ContactEmail>,
    /// Web addresses.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub urls: Vec<ContactUrl>,
    /// Where they live or work.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub addresses: Vec<ContactAddress>,
    /// Where they work.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<ContactOrganisation>,
    /// As `2001-02-03`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "1999-01-23")]
    pub birthday: Option<String>,
}

/// A contact's name: as it is shown, and at least one of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ContactName {
    /// As it is shown.
    #[schema(example = "Ana Kovač")]
    pub formatted_name: String,
    /// Given name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "Ana")]
    pub first_name: Option<String>,
    /// Family name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// What stands between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub middle_name: Option<String>,
    /// What stands before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What stands behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

macro_rules! texts {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident $(as $wire:literal)?,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        pub struct $name {
            $($(#[$member_doc])*
            $(#[serde(rename = $wire)])?
            #[serde(skip_serializing_if = "Option::is_none")]
            pub $member: Option<String>,)+
        }
    };
}

texts! {
    /// A phone number of a contact.
    ContactPhone {
        /// The number.
        phone,
        /// `WORK`, `HOME`, …
        kind as "type",
        /// The number at WhatsApp: then the card has a button to write to it.
        wa_id,
    }
}

texts! {
    /// A mail address of a contact.
    ContactEmail {
        /// The address.
        email,
        /// `WORK`, `HOME`, …
        kind as "type",
    }
}

texts! {
    /// A web address of a contact.
    ContactUrl {
        /// The address.
        url,
        /// `WORK`, `HOME`, …
        kind as "type",
    }
}

texts! {
    /// An address of a contact.
    ContactAddress {
        /// Street and number.
        street,
        /// City.
        city,
        /// State.
        state,
        /// Postal code.
        zip,
        /// Country.
        country,
        /// Country, in two letters.
        country_code,
        /// `WORK`, `HOME`, …
        kind as "type",
    }
}

texts! {
    /// Where a contact works.
    ContactOrganisation {
        /// The company.
        company,
        /// The department.
        department,
        /// The position.
        title,
    }
}

/// Any members.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Object)]
pub struct Members(pub Map<String, Value>);

pub(super) fn degrees<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    check::degrees(&value).ok_or_else(|| serde::de::Error::custom("no number of degrees"))
}

/// A position, which clients write as a number or as a string.
pub(super) fn index<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    Ok(Option::<Value>::deserialize(deserializer)?.as_ref().and_then(check::index))
}

/// A list, which clients may write as null.
pub(super) fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
