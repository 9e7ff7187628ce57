//! Every limit of the Cloud API that a message is checked against, in one place.
//!
//! Where the sources disagree the wider limit is the one that refuses and the narrower one warns: what any source takes is
//! taken. Characters are Unicode scalar values.

/// A limit: what is refused, and what is warned of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Most {
    /// More than this is refused.
    pub refused_over: usize,
    /// More than this is accepted with a warning, where sources disagree.
    pub warned_over: Option<usize>,
}

const fn most(limit: usize) -> Most {
    Most { refused_over: limit, warned_over: None }
}

const fn disputed(refused_over: usize, warned_over: usize) -> Most {
    Most { refused_over, warned_over: Some(warned_over) }
}

/// No limit is known; the size of a body is the bound.
pub const UNLIMITED: Most = most(usize::MAX);

/// `biz_opaque_callback_data`. The Cloud API names no limit; this one keeps a webhook well under a kilobyte of it.
pub const CALLBACK_DATA_MAX_CHARS: Most = most(512);
/// Text messages: `body`.
pub const TEXT_MAX_CHARS: Most = most(4_096);
/// Image, video and document messages: `caption`.
pub const CAPTION_MAX_CHARS: Most = most(1_024);
/// Contacts messages: the page has 257, the OpenAPI document 5.
pub const CONTACTS_MAX: Most = disputed(257, 5);

/// Interactive messages: a header's `text`.
pub const HEADER_MAX_CHARS: Most = most(60);
/// Interactive messages: the footer's `text`.
pub const FOOTER_MAX_CHARS: Most = most(60);
/// Interactive messages: the body's `text`.
pub const BODY_MAX_CHARS: Most = most(1_024);
/// Interactive list messages: the page has 4,096 for the body, the OpenAPI document 1,024.
pub const LIST_BODY_MAX_CHARS: Most = disputed(4_096, 1_024);
/// Reply buttons: how many.
pub const BUTTONS_MAX: Most = most(3);
/// Reply buttons: `id`.
pub const BUTTON_ID_MAX_CHARS: Most = most(256);
/// Reply buttons, also on the cards of a carousel: `title`.
pub const BUTTON_TITLE_MAX_CHARS: Most = most(20);
/// Lists: the `button` that opens them.
pub const LIST_BUTTON_MAX_CHARS: Most = most(20);
/// Lists: sections.
pub const LIST_SECTIONS_MAX: Most = most(10);
/// Lists: rows, over all sections.
pub const LIST_ROWS_MAX: usize = 10;
/// Lists: a section's `title`.
pub const SECTION_TITLE_MAX_CHARS: Most = most(24);
/// Lists: a row's `id`.
pub const ROW_ID_MAX_CHARS: Most = most(200);
/// Lists: a row's `title`.
pub const ROW_TITLE_MAX_CHARS: Most = most(24);
/// Lists: a row's `description`.
pub const ROW_DESCRIPTION_MAX_CHARS: Most = most(72);
/// Link buttons: `display_text`.
pub const DISPLAY_TEXT_MAX_CHARS: Most = most(20);
/// Flows: `flow_cta`; the OpenAPI document has 30, client libraries 20.
pub const FLOW_CTA_MAX_CHARS: Most = disputed(30, 20);
/// Flows: the one version of `flow_message_version`.
pub const FLOW_MESSAGE_VERSION: &str = "3";
/// Product lists: sections.
pub const PRODUCT_SECTIONS_MAX: Most = most(10);
/// Product lists: products, over all sections.
pub const PRODUCTS_MAX: usize = 30;
/// Carousels: cards, at least.
pub const CARDS_MIN: usize = 2;
/// Carousels: cards, at most.
pub const CARDS_MAX: Most = most(10);
/// Carousels: the text of a card.
pub const CARD_BODY_MAX_CHARS: Most = most(160);
/// Carousels: line breaks in the text of a card.
pub const CARD_LINE_BREAKS_MAX: usize = 2;
/// Address messages are for these countries.
pub const ADDRESS_COUNTRIES: &[&str] = &["IN", "SG"];

/// Templates: `name`.
pub const TEMPLATE_NAME_MAX_CHARS: Most = most(512);
/// Templates: buttons, and so one more than the largest `index`.
pub const TEMPLATE_BUTTONS_MAX: usize = 10;
/// Templates: `coupon_code`; 20 since the changelog of December 2025, 15 on the page of components.
pub const COUPON_CODE_MAX_CHARS: Most = disputed(20, 15);

/// Business-scoped user ids: what follows the country code and the dot.
pub const USER_ID_MAX_CHARS: usize = 128;
/// Degrees north or south.
pub const LATITUDE_MAX_DEGREES: f64 = 90.0;
/// Degrees east or west.
pub const LONGITUDE_MAX_DEGREES: f64 = 180.0;
