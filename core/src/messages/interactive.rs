//! The `interactive` object of a message.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::content::{Document, Media, Members, index, list};

/// Something to tap on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = InteractiveObject)]
pub struct Interactive {
    /// What stands on top; which kinds are possible depends on the type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// The text; only products and requests to call can be without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Part>,
    /// What stands at the bottom, at most 60 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub footer: Option<Part>,
    /// The type, and what can be done.
    #[serde(flatten)]
    pub action: Action,
}

/// A text of an interactive message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = InteractiveText)]
pub struct Part {
    /// At most 1,024 characters in a body (4,096 in that of a list), 60 in a footer, 160 on a card.
    #[schema(example = "Which day suits you?")]
    pub text: String,
}

/// The header of an interactive message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = InteractiveHeader)]
pub enum Header {
    /// At most 60 characters.
    Text {
        /// The text.
        text: String,
    },
    /// A picture.
    Image {
        /// The file.
        image: Media,
    },
    /// A video.
    Video {
        /// The file.
        video: Media,
    },
    /// A file.
    Document {
        /// The file.
        document: Document,
    },
}

/// What can be done, by the interactive type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", content = "action", rename_all = "snake_case")]
#[schema(as = InteractiveAction)]
pub enum Action {
    /// Reply buttons.
    Button(ReplyButtons),
    /// A list to choose from.
    List(ChoiceList),
    /// A button with a link.
    CtaUrl(Named<LinkButton>),
    /// A flow.
    Flow(Named<FlowButton>),
    /// Asks where somebody is.
    LocationRequestMessage(Name),
    /// One product.
    Product(ProductReference),
    /// Several products.
    ProductList(ProductList),
    /// The whole catalog.
    CatalogMessage(MaybeNamed<CatalogParameters>),
    /// Asks for an address.
    AddressMessage(Named<AddressParameters>),
    /// Cards side by side.
    Carousel(Carousel),
    /// Asks for a payment; its parameters are the network's to judge.
    OrderDetails(Named<Members>),
    /// Tells of an order; its parameters are the network's to judge.
    OrderStatus(Named<Members>),
    /// A button to call.
    VoiceCall(MaybeNamed<Members>),
    /// Asks whether one may call.
    CallPermissionRequest(Name),
}

/// An action with only a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Name {
    /// `send_location` or `call_permission_request`.
    pub name: String,
}

/// An action with a name and parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Named<P> {
    /// The interactive type's own name; `review_and_pay` and `review_order` for orders.
    pub name: String,
    /// What it needs.
    pub parameters: P,
}

/// An action with a name, and parameters that may be left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MaybeNamed<P> {
    /// The interactive type's own name.
    pub name: String,
    /// What it can have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<P>,
}

/// Reply buttons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplyButtons {
    /// One to three, with different ids and titles.
    #[schema(min_items = 1, max_items = 3)]
    pub buttons: Vec<ReplyButton>,
}

/// A reply button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ReplyButton {
    /// As the type `button` has it.
    Reply {
        /// What comes back.
        reply: Reply,
    },
    /// As the cards of a carousel have it.
    QuickReply {
        /// What comes back.
        quick_reply: Reply,
    },
}

impl ReplyButton {
    /// What comes back.
    #[must_use]
    pub fn reply(&self) -> &Reply {
        match self {
            Self::Reply { reply } | Self::QuickReply { quick_reply: reply } => reply,
        }
    }
}

/// What a tap on a button sends back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reply {
    /// At most 256 characters; comes back in the webhook.
    #[schema(example = "yes", max_length = 256)]
    pub id: String,
    /// At most 20 characters.
    #[schema(example = "Yes, please", max_length = 20)]
    pub title: String,
}

/// A list to choose from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChoiceList {
    /// What opens the list, at most 20 characters.
    #[schema(example = "Choose a day", max_length = 20)]
    pub button: String,
    /// One to ten, with at most ten rows together.
    #[schema(min_items = 1, max_items = 10)]
    pub sections: Vec<ChoiceSection>,
}

/// A section of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChoiceSection {
    /// At most 24 characters; required when there is more than one section.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 24)]
    pub title: Option<String>,
    /// What can be chosen.
    #[schema(min_items = 1, max_items = 10)]
    pub rows: Vec<ChoiceRow>,
}

/// A row of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChoiceRow {
    /// At most 200 characters, unlike every other's; comes back in the webhook.
    #[schema(example = "monday", max_length = 200)]
    pub id: String,
    /// At most 24 characters.
    #[schema(example = "Monday", max_length = 24)]
    pub title: String,
    /// At most 72 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 72)]
    pub description: Option<String>,
}

/// A button with a link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkButton {
    /// At most 20 characters.
    #[schema(example = "See dates", max_length = 20)]
    pub display_text: String,
    /// Where it leads: `https` or `http`.
    #[schema(example = "https://shop.example/dates")]
    pub url: String,
}

/// A button that opens a flow: exactly one of `flow_id` and `flow_name`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlowButton {
    /// `3`.
    #[schema(example = "3")]
    pub flow_message_version: String,
    /// Which flow, by its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<String>,
    /// Which flow, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_name: Option<String>,
    /// The button, at most 30 characters; over 20 are warned of.
    #[schema(example = "Book", max_length = 30)]
    pub flow_cta: String,
    /// Your own mark of this conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_token: Option<String>,
    /// `published`, the default, or `draft`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// `navigate`, the default, or `data_exchange`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_action: Option<String>,
    /// Where `navigate` leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_action_payload: Option<FlowPayload>,
}

/// Where a flow starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FlowPayload {
    /// Which screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screen: Option<String>,
    /// With what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Members>,
}

/// A product of a catalog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductReference {
    /// The catalog.
    #[schema(example = "194836987003835")]
    pub catalog_id: String,
    /// The product in it.
    #[schema(example = "sku-17")]
    pub product_retailer_id: String,
}

/// Several products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductList {
    /// The catalog.
    #[schema(example = "194836987003835")]
    pub catalog_id: String,
    /// One to ten, with at most 30 products together.
    #[schema(min_items = 1, max_items = 10)]
    pub sections: Vec<ProductSection>,
}

/// A section of products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductSection {
    /// Required when there is more than one section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The products.
    #[schema(min_items = 1, max_items = 30)]
    pub product_items: Vec<ProductItem>,
}

/// A product in a section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductItem {
    /// The product in the catalog.
    #[schema(example = "sku-17")]
    pub product_retailer_id: String,
}

/// What a message with a catalog can have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CatalogParameters {
    /// The product whose picture is shown; else that of the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "sku-17")]
    pub thumbnail_product_retailer_id: Option<String>,
}

/// What is asked for an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AddressParameters {
    /// `IN` or `SG`.
    #[schema(example = "IN")]
    pub country: String,
    /// What is filled in already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Members>,
    /// Addresses to choose from.
    #[serde(default, deserialize_with = "list", skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub saved_addresses: Vec<SavedAddress>,
    /// What is wrong with the values, by their names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_errors: Option<Members>,
}

/// An address to choose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SavedAddress {
    /// Comes back in the webhook.
    pub id: String,
    /// The address.
    pub value: Members,
}

/// Cards side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Carousel {
    /// Two to ten, all of the same kind.
    #[schema(min_items = 2, max_items = 10)]
    pub cards: Vec<Card>,
}

/// A card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CarouselCard)]
pub struct Card {
    /// Its position, from 0.
    #[serde(default, deserialize_with = "index", skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 9)]
    pub card_index: Option<usize>,
    /// `cta_url`, also for cards with reply buttons, or `product`.
    #[serde(rename = "type")]
    #[schema(example = "cta_url")]
    pub kind: String,
    /// A picture or a video; required unless it is a product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<Header>,
    /// At most 160 characters and 2 line breaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<Part>,
    /// What can be done.
    pub action: CardAction,
}

/// What can be done with a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum CardAction {
    /// Reply buttons, of the type `quick_reply`.
    Buttons(ReplyButtons),
    /// A product.
    Product(ProductReference),
    /// A button with a link.
    Link(LinkAction),
}

/// A link on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LinkAction {
    /// `cta_url`.
    #[schema(example = "cta_url")]
    pub name: String,
    /// The link.
    pub parameters: LinkButton,
}
