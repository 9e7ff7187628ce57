//! The `template` object of a message.

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;
use utoipa::ToSchema;

use super::content::{Document, Location, Media, Members, index, list};
use super::{interactive::ProductSection, render};

/// A template message: which template, and what to put into it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateObject)]
pub struct TemplateMessage {
    /// Its name.
    #[schema(example = "order_update", max_length = 512)]
    pub name: String,
    /// Its language.
    pub language: Language,
    /// One for each part of the template that has parameters.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub components: Vec<Component>,
    /// What the template's expressions are evaluated on: then no component has to be given for the texts that have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = json!({"customer": {"first_name": "Ana"}}))]
    pub data: Option<Members>,
}

/// A language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateLanguage)]
pub struct Language {
    /// As the template has it.
    #[schema(example = "en_US")]
    pub code: String,
}

/// The parameters of one component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateComponent)]
pub struct Component {
    /// `header`, `body`, `button`, `limited_time_offer`, `carousel`, `tap_target_configuration`; in either case.
    #[serde(rename = "type", deserialize_with = "lower_case")]
    #[schema(example = "body")]
    pub kind: String,
    /// Of a button: `quick_reply`, `url`, `copy_code`, `flow`, `catalog`, `mpm`, …; in either case.
    #[serde(default, deserialize_with = "maybe_lower_case", skip_serializing_if = "Option::is_none")]
    pub sub_type: Option<String>,
    /// Of a button: its position from 0, as a number or as a string.
    #[serde(default, deserialize_with = "index", skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 9)]
    pub index: Option<usize>,
    /// What to put in, in order; by name where the template has names.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub parameters: Vec<Parameter>,
    /// Of a carousel: its cards, two to ten.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub cards: Vec<CardComponents>,
}

/// The components of a carousel's card.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateCard)]
pub struct CardComponents {
    /// Its position, from 0.
    #[serde(default, deserialize_with = "index", skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 9, required = true)]
    pub card_index: Option<usize>,
    /// Header, body and buttons.
    #[serde(default, deserialize_with = "list")]
    #[schema(no_recursion)]
    pub components: Vec<Component>,
}

/// One value. Which member it has is what its type says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateParameter)]
pub struct Parameter {
    /// `text`, `currency`, `date_time`, `image`, `video`, `document`, `location`, `product`, `payload`, `coupon_code`,
    /// `action`, `limited_time_offer`, `tap_target_configuration`.
    #[serde(rename = "type", deserialize_with = "lower_case")]
    #[schema(example = "text")]
    pub kind: String,
    /// The name, for templates with named parameters.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub parameter_name: Option<String>,
    /// Of a `text`: no new line, no tab, at most four spaces in a row.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    #[schema(example = "Ana")]
    pub text: Option<String>,
    /// Of a `currency`.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub currency: Option<Currency>,
    /// Of a `date_time`.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub date_time: Option<DateTime>,
    /// Of an `image`.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub image: Option<Media>,
    /// Of a `video`.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub video: Option<Media>,
    /// Of a `document`.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub document: Option<Document>,
    /// Of a `location`.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub location: Option<Location>,
    /// Of a `product`.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub product: Option<Product>,
    /// Of a quick reply button: comes back in the webhook.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Of a button that copies a code: at most 20 characters; over 15 are warned of.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 20)]
    pub coupon_code: Option<String>,
    /// Of a button that opens a flow or products.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub action: Option<ButtonAction>,
    /// Of a `limited_time_offer`.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Option::is_none")]
    pub limited_time_offer: Option<LimitedTimeOffer>,
    /// Of a `tap_target_configuration`.
    #[serde(default, deserialize_with = "fitting", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub tap_target_configuration: Vec<TapTarget>,
}

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateCurrency)]
pub struct Currency {
    /// What stands in the text.
    #[schema(example = "€12.50")]
    pub fallback_value: String,
    /// ISO 4217.
    #[schema(example = "EUR")]
    pub code: String,
    /// The amount, times 1,000.
    #[schema(example = 12500)]
    pub amount_1000: i64,
}

/// A time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateDateTime)]
pub struct DateTime {
    /// What stands in the text.
    #[schema(example = "25 February, 7 pm")]
    pub fallback_value: String,
}

/// A product in the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateProduct)]
pub struct Product {
    /// The product in the catalog.
    #[schema(example = "sku-17")]
    pub product_retailer_id: String,
    /// The catalog.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalog_id: Option<String>,
}

/// What a button opens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = TemplateButtonAction)]
pub struct ButtonAction {
    /// Of a flow: your own mark of this conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_token: Option<String>,
    /// Of a flow: what it starts with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_action_data: Option<Members>,
    /// Of a catalog or products: the one whose picture is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnail_product_retailer_id: Option<String>,
    /// Of several products: at most ten sections with 30 products together.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub sections: Vec<ProductSection>,
}

/// When an offer ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LimitedTimeOffer {
    /// Milliseconds since the Unix epoch.
    #[schema(example = 1_767_225_600_000_i64)]
    pub expiration_time_ms: i64,
}

/// Where a tap on the message leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TapTarget {
    /// The address.
    #[schema(example = "https://shop.example/offer")]
    pub url: String,
    /// What it is called.
    #[schema(example = "The offer")]
    pub title: String,
}

impl Parameter {
    /// What stands in the text for it, if it can stand in a text.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self.kind.as_str() {
            "text" => self.text.as_deref(),
            "currency" => self.currency.as_ref().map(|currency| currency.fallback_value.as_str()),
            "date_time" => self.date_time.as_ref().map(|time| time.fallback_value.as_str()),
            _ => None,
        }
    }

    /// What is shown of it outside of a text, for the kinds that can be shown.
    #[must_use]
    pub fn as_line(&self) -> Option<String> {
        match self.kind.as_str() {
            "image" => self.image.as_ref().map(|image| render::media("Image", image, None)),
            "video" => self.video.as_ref().map(|video| render::media("Video", video, None)),
            "document" => self.document.as_ref().map(render::file),
            "location" => self.location.as_ref().map(render::place),
            "product" => self.product.as_ref().map(|product| format!("[Product] {}", product.product_retailer_id)),
            _ => None,
        }
    }
}

fn lower_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let mut text = String::deserialize(deserializer)?;
    text.make_ascii_lowercase();
    Ok(text)
}

fn maybe_lower_case<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text: Option<String> = fitting(deserializer)?;
    Ok(text.map(|text| text.to_ascii_lowercase()))
}

/// A member, if it is what its name says. Of a type that is not known, or that has no such member, it may be anything.
fn fitting<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(T::deserialize(Value::deserialize(deserializer)?).unwrap_or_default())
}
