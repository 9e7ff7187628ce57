//! What each type of message must look like, as the Cloud API has it: the table that [`super::check`] works off.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    check::{List, Object, Report, Rule, Shape, Tagged, Types, member, optional, refused, required},
    limits::{
        ADDRESS_COUNTRIES, BODY_MAX_CHARS, BUTTON_ID_MAX_CHARS, BUTTON_TITLE_MAX_CHARS, BUTTONS_MAX, CAPTION_MAX_CHARS,
        CARD_BODY_MAX_CHARS, CARD_LINE_BREAKS_MAX, CARDS_MAX, CARDS_MIN, CONTACTS_MAX, COUPON_CODE_MAX_CHARS,
        DISPLAY_TEXT_MAX_CHARS, FLOW_CTA_MAX_CHARS, FLOW_MESSAGE_VERSION, FOOTER_MAX_CHARS, HEADER_MAX_CHARS,
        LATITUDE_MAX_DEGREES, LIST_BODY_MAX_CHARS, LIST_BUTTON_MAX_CHARS, LIST_ROWS_MAX, LIST_SECTIONS_MAX,
        LONGITUDE_MAX_DEGREES, PRODUCT_SECTIONS_MAX, PRODUCTS_MAX, ROW_DESCRIPTION_MAX_CHARS, ROW_ID_MAX_CHARS,
        ROW_TITLE_MAX_CHARS, SECTION_TITLE_MAX_CHARS, TEMPLATE_BUTTONS_MAX, TEMPLATE_NAME_MAX_CHARS, TEXT_MAX_CHARS,
        UNLIMITED,
    },
};

/// An object of texts that need not show anything.
macro_rules! texts {
    ($($name:literal),+) => {
        Shape::Object(&Object { members: &[$(optional($name, Shape::AnyText)),+], rules: &[] })
    };
}

macro_rules! texts_list {
    ($($name:literal),+) => {
        Shape::List(&List { min: 0, max: UNLIMITED, items: texts!($($name),+), rules: &[] })
    };
}

/// `{"text": …}`.
macro_rules! part {
    ($most:expr) => {
        Object { members: &[required("text", Shape::Text($most))], rules: &[] }
    };
}

/// An action that is known by its name.
macro_rules! named {
    ($name:literal $(, $member:expr)*) => {
        Object { members: &[required("name", Shape::Word(&[$name])) $(, $member)*], rules: &[] }
    };
}

/// Buttons of one type, each with an id and a title of its own.
macro_rules! buttons {
    ($type:literal, $most:expr) => {
        Object {
            members: &[required(
                "buttons",
                Shape::List(&List {
                    min: 1,
                    max: $most,
                    items: Shape::Object(&Object {
                        members: &[required("type", Shape::Word(&[$type])), required($type, Shape::Object(&REPLY))],
                        rules: &[],
                    }),
                    rules: &[|buttons, at, report| {
                        distinct(buttons, at, concat!("/", $type, "/title"), report);
                        distinct(buttons, at, concat!("/", $type, "/id"), report);
                    }],
                }),
            )],
            rules: &[],
        }
    };
}

/// An interactive object with a header, a body and a footer.
macro_rules! interactive {
    ($header:expr, $body:expr, $action:expr) => {
        Object {
            members: &[
                optional("header", $header),
                required("body", Shape::Object(&part!($body))),
                optional("footer", Shape::Object(&part!(FOOTER_MAX_CHARS))),
                required("action", $action),
            ],
            rules: &[],
        }
    };
}

/// A template's parameter with an object of its own.
macro_rules! parameter {
    ($name:literal, $($member:expr),+) => {
        Object {
            members: &[required($name, Shape::Object(&Object { members: &[$($member),+], rules: &[] }))],
            rules: &[],
        }
    };
}

/// The types of messages and what their objects must look like; the object is the member with the type's name.
pub(super) const TYPES: [(&str, Shape); 11] = [
    ("text", Shape::Object(&TEXT)),
    ("template", Shape::Object(&TEMPLATE)),
    ("image", Shape::Object(&CAPTIONED)),
    ("video", Shape::Object(&CAPTIONED)),
    ("audio", Shape::Object(&AUDIO)),
    ("document", Shape::Object(&DOCUMENT)),
    ("sticker", Shape::Object(&MEDIA)),
    ("location", Shape::Object(&LOCATION)),
    ("contacts", Shape::List(&List { min: 1, max: CONTACTS_MAX, items: Shape::Object(&CONTACT), rules: &[] })),
    ("reaction", Shape::Object(&REACTION)),
    ("interactive", Shape::Tagged(&INTERACTIVE)),
];

/// A member `status`: the same route marks messages as read.
pub(super) const MARK_AS_READ: Object = Object {
    members: &[
        required("status", Shape::Word(&["read"])),
        required("message_id", SHOWN),
        optional(
            "typing_indicator",
            Shape::Object(&Object { members: &[required("type", Shape::Word(&["text"]))], rules: &[] }),
        ),
    ],
    rules: &[],
};

/// The message that is answered.
pub(super) const CONTEXT: Shape = Shape::Object(&Object { members: &[required("message_id", SHOWN)], rules: &[] });

/// A text that shows something, of any length.
const SHOWN: Shape = Shape::Text(UNLIMITED);

const TEXT: Object = Object {
    members: &[optional("preview_url", Shape::Bool), required("body", Shape::Text(TEXT_MAX_CHARS))],
    rules: &[],
};

const ONE_SOURCE: &[Rule] = &[Rule::ExactlyOne(&["id", "link"])];

const MEDIA: Object =
    Object { members: &[optional("id", Shape::Digits), optional("link", Shape::Link)], rules: ONE_SOURCE };

const CAPTIONED: Object = Object {
    members: &[
        optional("id", Shape::Digits),
        optional("link", Shape::Link),
        optional("caption", Shape::Text(CAPTION_MAX_CHARS)),
    ],
    rules: ONE_SOURCE,
};

const DOCUMENT: Object = Object {
    members: &[
        optional("id", Shape::Digits),
        optional("link", Shape::Link),
        optional("caption", Shape::Text(CAPTION_MAX_CHARS)),
        optional("filename", SHOWN),
    ],
    rules: ONE_SOURCE,
};

const AUDIO: Object = Object {
    members: &[
        optional("id", Shape::Digits),
        optional("link", Shape::Link),
        optional("voice", Shape::Bool),
        refused("caption"),
    ],
    rules: ONE_SOURCE,
};

const LOCATION: Object = Object {
    members: &[
        required("latitude", Shape::Degrees(LATITUDE_MAX_DEGREES)),
        required("longitude", Shape::Degrees(LONGITUDE_MAX_DEGREES)),
        optional("name", Shape::AnyText),
        optional("address", Shape::AnyText),
    ],
    rules: &[],
};

const REACTION: Object =
    Object { members: &[required("message_id", SHOWN), required("emoji", Shape::AnyText)], rules: &[] };

const CONTACT: Object = Object {
    members: &[
        required(
            "name",
            Shape::Object(&Object {
                members: &[
                    required("formatted_name", SHOWN),
                    optional("first_name", Shape::AnyText),
                    optional("last_name", Shape::AnyText),
                    optional("middle_name", Shape::AnyText),
                    optional("prefix", Shape::AnyText),
                    optional("suffix", Shape::AnyText),
                ],
                rules: &[Rule::AtLeastOne(&["first_name", "last_name", "middle_name", "prefix", "suffix"])],
            }),
        ),
        optional("phones", texts_list!("phone", "type", "wa_id")),
        optional("emails", texts_list!("email", "type")),
        optional("urls", texts_list!("url", "type")),
        optional("addresses", texts_list!("street", "city", "state", "zip", "country", "country_code", "type")),
        optional("org", texts!("company", "department", "title")),
        optional("birthday", Shape::Day),
    ],
    rules: &[],
};

const INTERACTIVE: Tagged = Tagged {
    types: Types::Exact,
    shapes: &[
        ("button", &interactive!(Shape::Tagged(&ANY_HEADER), BODY_MAX_CHARS, Shape::Object(&BUTTONS))),
        ("list", &interactive!(Shape::Tagged(&TEXT_HEADER), LIST_BODY_MAX_CHARS, Shape::Object(&LIST))),
        ("cta_url", &interactive!(Shape::Tagged(&ANY_HEADER), BODY_MAX_CHARS, Shape::Object(&CTA_URL))),
        ("flow", &interactive!(Shape::Tagged(&ANY_HEADER), BODY_MAX_CHARS, Shape::Object(&FLOW))),
        (
            "location_request_message",
            &Object {
                members: &[
                    refused("header"),
                    required("body", Shape::Object(&part!(BODY_MAX_CHARS))),
                    refused("footer"),
                    required("action", Shape::Object(&named!("send_location"))),
                ],
                rules: &[],
            },
        ),
        (
            "product",
            &Object {
                members: &[
                    refused("header"),
                    optional("body", Shape::Object(&part!(BODY_MAX_CHARS))),
                    optional("footer", Shape::Object(&part!(FOOTER_MAX_CHARS))),
                    required("action", Shape::Object(&PRODUCT)),
                ],
                rules: &[],
            },
        ),
        (
            "product_list",
            &Object {
                members: &[
                    required("header", Shape::Tagged(&TEXT_HEADER)),
                    required("body", Shape::Object(&part!(BODY_MAX_CHARS))),
                    optional("footer", Shape::Object(&part!(FOOTER_MAX_CHARS))),
                    required("action", Shape::Object(&PRODUCT_LIST)),
                ],
                rules: &[],
            },
        ),
        ("catalog_message", &interactive!(Shape::Tagged(&ANY_HEADER), BODY_MAX_CHARS, Shape::Object(&CATALOG))),
        ("address_message", &interactive!(Shape::Tagged(&ANY_HEADER), BODY_MAX_CHARS, Shape::Object(&ADDRESS))),
        (
            "carousel",
            &Object {
                members: &[
                    refused("header"),
                    required("body", Shape::Object(&part!(BODY_MAX_CHARS))),
                    refused("footer"),
                    required("action", Shape::Object(&CAROUSEL)),
                ],
                rules: &[],
            },
        ),
        ("order_details", &interactive!(Shape::Tagged(&ANY_HEADER), BODY_MAX_CHARS, Shape::Object(&REVIEW_AND_PAY))),
        ("order_status", &interactive!(Shape::Tagged(&ANY_HEADER), BODY_MAX_CHARS, Shape::Object(&REVIEW_ORDER))),
        ("voice_call", &interactive!(Shape::Tagged(&ANY_HEADER), BODY_MAX_CHARS, Shape::Object(&VOICE_CALL))),
        (
            "call_permission_request",
            &Object {
                members: &[
                    optional("header", Shape::Tagged(&ANY_HEADER)),
                    optional("body", Shape::Object(&part!(BODY_MAX_CHARS))),
                    optional("footer", Shape::Object(&part!(FOOTER_MAX_CHARS))),
                    required("action", Shape::Object(&named!("call_permission_request"))),
                ],
                rules: &[],
            },
        ),
    ],
};

const TEXT_HEADER: Tagged = Tagged { types: Types::Exact, shapes: &[("text", &HEADER_TEXT)] };

const ANY_HEADER: Tagged = Tagged {
    types: Types::Exact,
    shapes: &[
        ("text", &HEADER_TEXT),
        ("image", &Object { members: &[required("image", Shape::Object(&MEDIA))], rules: &[] }),
        ("video", &Object { members: &[required("video", Shape::Object(&MEDIA))], rules: &[] }),
        ("document", &Object { members: &[required("document", Shape::Object(&DOCUMENT))], rules: &[] }),
    ],
};

/// The header of a carousel's card.
const CARD_HEADER: Tagged = Tagged {
    types: Types::Exact,
    shapes: &[
        ("image", &Object { members: &[required("image", Shape::Object(&MEDIA))], rules: &[] }),
        ("video", &Object { members: &[required("video", Shape::Object(&MEDIA))], rules: &[] }),
    ],
};

const HEADER_TEXT: Object = part!(HEADER_MAX_CHARS);

const BUTTONS: Object = buttons!("reply", BUTTONS_MAX);

const REPLY: Object = Object {
    members: &[
        required("id", Shape::Text(BUTTON_ID_MAX_CHARS)),
        required("title", Shape::Text(BUTTON_TITLE_MAX_CHARS)),
    ],
    rules: &[],
};

const LIST: Object = Object {
    members: &[
        required("button", Shape::Text(LIST_BUTTON_MAX_CHARS)),
        required(
            "sections",
            Shape::List(&List {
                min: 1,
                max: LIST_SECTIONS_MAX,
                items: Shape::Object(&Object {
                    members: &[
                        optional("title", Shape::Text(SECTION_TITLE_MAX_CHARS)),
                        required(
                            "rows",
                            Shape::List(&List { min: 1, max: UNLIMITED, items: Shape::Object(&ROW), rules: &[] }),
                        ),
                    ],
                    rules: &[],
                }),
                rules: &[titled_sections, |sections, at, report| {
                    total(sections, at, "rows", LIST_ROWS_MAX, report);
                    distinct_in(sections, at, "rows", "/id", report);
                }],
            }),
        ),
    ],
    rules: &[],
};

const ROW: Object = Object {
    members: &[
        required("id", Shape::Text(ROW_ID_MAX_CHARS)),
        required("title", Shape::Text(ROW_TITLE_MAX_CHARS)),
        optional("description", Shape::Text(ROW_DESCRIPTION_MAX_CHARS)),
    ],
    rules: &[],
};

const CTA_URL: Object = named!(
    "cta_url",
    required(
        "parameters",
        Shape::Object(&Object {
            members: &[required("display_text", Shape::Text(DISPLAY_TEXT_MAX_CHARS)), required("url", Shape::Link)],
            rules: &[],
        }),
    )
);

const FLOW: Object = named!(
    "flow",
    required(
        "parameters",
        Shape::Object(&Object {
            members: &[
                required("flow_message_version", Shape::Word(&[FLOW_MESSAGE_VERSION])),
                optional("flow_id", SHOWN),
                optional("flow_name", SHOWN),
                required("flow_cta", Shape::Text(FLOW_CTA_MAX_CHARS)),
                optional("flow_token", Shape::AnyText),
                optional("mode", Shape::Word(&["published", "draft"])),
                optional("flow_action", Shape::Word(&["navigate", "data_exchange"])),
                optional(
                    "flow_action_payload",
                    Shape::Object(&Object {
                        members: &[optional("screen", SHOWN), optional("data", Shape::AnyObject)],
                        rules: &[],
                    }),
                ),
            ],
            rules: &[Rule::ExactlyOne(&["flow_id", "flow_name"])],
        }),
    )
);

const PRODUCT: Object =
    Object { members: &[required("catalog_id", SHOWN), required("product_retailer_id", SHOWN)], rules: &[] };

const PRODUCT_LIST: Object = Object {
    members: &[required("catalog_id", SHOWN), required("sections", Shape::List(&PRODUCT_SECTIONS))],
    rules: &[],
};

const PRODUCT_SECTIONS: List = List {
    min: 1,
    max: PRODUCT_SECTIONS_MAX,
    items: Shape::Object(&Object {
        members: &[
            optional("title", SHOWN),
            required(
                "product_items",
                Shape::List(&List {
                    min: 1,
                    max: UNLIMITED,
                    items: Shape::Object(&Object { members: &[required("product_retailer_id", SHOWN)], rules: &[] }),
                    rules: &[],
                }),
            ),
        ],
        rules: &[],
    }),
    rules: &[titled_sections, |sections, at, report| total(sections, at, "product_items", PRODUCTS_MAX, report)],
};

const CATALOG: Object = named!(
    "catalog_message",
    optional(
        "parameters",
        Shape::Object(&Object { members: &[optional("thumbnail_product_retailer_id", SHOWN)], rules: &[] }),
    )
);

const ADDRESS: Object = named!(
    "address_message",
    required(
        "parameters",
        Shape::Object(&Object {
            members: &[
                required("country", Shape::Word(ADDRESS_COUNTRIES)),
                optional("values", Shape::AnyObject),
                optional(
                    "saved_addresses",
                    Shape::List(&List {
                        min: 0,
                        max: UNLIMITED,
                        items: Shape::Object(&Object {
                            members: &[required("id", SHOWN), required("value", Shape::AnyObject)],
                            rules: &[],
                        }),
                        rules: &[],
                    }),
                ),
                optional("validation_errors", Shape::AnyObject),
            ],
            rules: &[],
        }),
    )
);

const VOICE_CALL: Object = named!("voice_call", optional("parameters", Shape::AnyObject));
const REVIEW_AND_PAY: Object = named!("review_and_pay", required("parameters", Shape::AnyObject));
const REVIEW_ORDER: Object = named!("review_order", required("parameters", Shape::AnyObject));

const CAROUSEL: Object = Object {
    members: &[required(
        "cards",
        Shape::List(&List {
            min: CARDS_MIN,
            max: CARDS_MAX,
            items: Shape::Tagged(&CARD),
            rules: &[numbered_cards, cards_of_one_kind],
        }),
    )],
    rules: &[],
};

const CARD: Tagged = Tagged {
    types: Types::Exact,
    shapes: &[
        (
            "cta_url",
            &Object {
                members: &[
                    optional("card_index", CARD_INDEX),
                    required("header", Shape::Tagged(&CARD_HEADER)),
                    optional("body", Shape::Object(&CARD_BODY)),
                    required(
                        "action",
                        Shape::Either(&[("buttons", Shape::Object(&CARD_BUTTONS)), ("name", Shape::Object(&CTA_URL))]),
                    ),
                ],
                rules: &[],
            },
        ),
        (
            "product",
            &Object {
                members: &[
                    optional("card_index", CARD_INDEX),
                    optional("header", Shape::Tagged(&CARD_HEADER)),
                    optional("body", Shape::Object(&CARD_BODY)),
                    required("action", Shape::Object(&PRODUCT)),
                ],
                rules: &[],
            },
        ),
    ],
};

const CARD_INDEX: Shape = Shape::Index { under: CARDS_MAX.refused_over };

const CARD_BODY: Object = Object {
    members: &[required("text", Shape::Text(CARD_BODY_MAX_CHARS))],
    rules: &[Rule::Also(|body, at, report| {
        let breaks = body.get("text").and_then(Value::as_str).map_or(0, |text| text.matches('\n').count());
        if breaks > CARD_LINE_BREAKS_MAX {
            report.too_many(&format!("{at}/text"), "line breaks", CARD_LINE_BREAKS_MAX, breaks);
        }
    })],
};

const CARD_BUTTONS: Object = buttons!("quick_reply", UNLIMITED);

const TEMPLATE: Object = Object {
    members: &[
        required("name", Shape::Text(TEMPLATE_NAME_MAX_CHARS)),
        required("language", Shape::Object(&Object { members: &[required("code", SHOWN)], rules: &[] })),
        optional("data", Shape::AnyObject),
        optional(
            "components",
            Shape::List(&List { min: 0, max: UNLIMITED, items: Shape::Tagged(&COMPONENT), rules: &[] }),
        ),
    ],
    rules: &[],
};

const COMPONENT: Tagged = Tagged {
    types: Types::Open,
    shapes: &[
        ("header", &PARAMETERS),
        ("body", &PARAMETERS),
        ("footer", &PARAMETERS),
        ("button", &BUTTON_PARAMETERS),
        ("limited_time_offer", &PARAMETERS),
        ("tap_target_configuration", &PARAMETERS),
        (
            "carousel",
            &Object {
                members: &[required(
                    "cards",
                    Shape::List(&List {
                        min: CARDS_MIN,
                        max: CARDS_MAX,
                        items: Shape::Object(&Object {
                            members: &[
                                required("card_index", CARD_INDEX),
                                required(
                                    "components",
                                    Shape::List(&List {
                                        min: 0,
                                        max: UNLIMITED,
                                        items: Shape::Tagged(&CARD_COMPONENT),
                                        rules: &[],
                                    }),
                                ),
                            ],
                            rules: &[],
                        }),
                        rules: &[numbered_cards],
                    }),
                )],
                rules: &[],
            },
        ),
    ],
};

const CARD_COMPONENT: Tagged = Tagged {
    types: Types::Open,
    shapes: &[("header", &PARAMETERS), ("body", &PARAMETERS), ("button", &BUTTON_PARAMETERS)],
};

const PARAMETER_LIST: Shape =
    Shape::List(&List { min: 0, max: UNLIMITED, items: Shape::Tagged(&PARAMETER), rules: &[] });

const PARAMETERS: Object = Object { members: &[optional("parameters", PARAMETER_LIST)], rules: &[] };

const BUTTON_PARAMETERS: Object = Object {
    members: &[
        required("sub_type", SHOWN),
        required("index", Shape::Index { under: TEMPLATE_BUTTONS_MAX }),
        optional("parameters", PARAMETER_LIST),
    ],
    rules: &[],
};

const PARAMETER: Tagged = Tagged {
    types: Types::Open,
    shapes: &[
        (
            "text",
            &Object { members: &[required("text", Shape::AnyText), optional("parameter_name", SHOWN)], rules: &[] },
        ),
        (
            "currency",
            &parameter!(
                "currency",
                required("fallback_value", SHOWN),
                required("code", SHOWN),
                required("amount_1000", Shape::Integer)
            ),
        ),
        ("date_time", &parameter!("date_time", required("fallback_value", SHOWN))),
        ("image", &Object { members: &[required("image", Shape::Object(&MEDIA))], rules: &[] }),
        ("video", &Object { members: &[required("video", Shape::Object(&MEDIA))], rules: &[] }),
        ("document", &Object { members: &[required("document", Shape::Object(&DOCUMENT))], rules: &[] }),
        ("location", &Object { members: &[required("location", Shape::Object(&LOCATION))], rules: &[] }),
        ("product", &parameter!("product", required("product_retailer_id", SHOWN), optional("catalog_id", SHOWN))),
        ("payload", &Object { members: &[required("payload", SHOWN)], rules: &[] }),
        (
            "coupon_code",
            &Object { members: &[required("coupon_code", Shape::Text(COUPON_CODE_MAX_CHARS))], rules: &[] },
        ),
        ("action", &Object { members: &[required("action", Shape::Object(&ACTION))], rules: &[] }),
        ("limited_time_offer", &parameter!("limited_time_offer", required("expiration_time_ms", Shape::Integer))),
        (
            "tap_target_configuration",
            &Object {
                members: &[required(
                    "tap_target_configuration",
                    Shape::List(&List {
                        min: 1,
                        max: UNLIMITED,
                        items: Shape::Object(&Object {
                            members: &[required("url", Shape::Link), required("title", SHOWN)],
                            rules: &[],
                        }),
                        rules: &[],
                    }),
                )],
                rules: &[],
            },
        ),
    ],
};

/// What a template's button opens: a flow, or the products of a catalog.
const ACTION: Object = Object {
    members: &[
        optional("flow_token", Shape::AnyText),
        optional("flow_action_data", Shape::AnyObject),
        optional("thumbnail_product_retailer_id", SHOWN),
        optional("sections", Shape::List(&PRODUCT_SECTIONS)),
    ],
    rules: &[],
};

/// With more than one section each must have a title.
fn titled_sections(sections: &[Value], at: &str, report: &mut Report) {
    if sections.len() < 2 {
        return;
    }
    for (position, section) in sections.iter().enumerate() {
        if section.as_object().is_some_and(|section| member(section, "title").is_none()) {
            let message = "is required when there is more than one section";
            report.add(crate::error::ErrorKind::ParameterMissing, format!("{at}/{position}/title"), message);
        }
    }
}

/// Entries of all sections together.
fn total(sections: &[Value], at: &str, name: &str, most: usize, report: &mut Report) {
    let count = sections.iter().filter_map(|section| section.get(name)?.as_array()).map(Vec::len).sum();
    if count > most {
        report.too_many(at, &format!("{name} in all sections together"), most, count);
    }
}

fn distinct(items: &[Value], at: &str, place: &str, report: &mut Report) {
    let mut seen = HashSet::new();
    for (position, item) in items.iter().enumerate() {
        if let Some(text) = item.pointer(place).and_then(Value::as_str)
            && !seen.insert(text)
        {
            report.invalid(format!("{at}/{position}{place}"), "repeats another one; they must differ");
        }
    }
}

fn distinct_in(sections: &[Value], at: &str, list: &str, place: &str, report: &mut Report) {
    let mut seen = HashSet::new();
    for (section, value) in sections.iter().enumerate() {
        for (position, item) in value.get(list).and_then(Value::as_array).into_iter().flatten().enumerate() {
            if let Some(text) = item.pointer(place).and_then(Value::as_str)
                && !seen.insert(text)
            {
                let pointer = format!("{at}/{section}/{list}/{position}{place}");
                report.invalid(pointer, "repeats another one; they must differ");
            }
        }
    }
}

fn numbered_cards(cards: &[Value], at: &str, report: &mut Report) {
    let mut seen = HashSet::new();
    for (position, card) in cards.iter().enumerate() {
        if let Some(index) = card.get("card_index").and_then(super::check::index)
            && !seen.insert(index)
        {
            report.invalid(format!("{at}/{position}/card_index"), "repeats another one; they must differ");
        }
    }
}

/// What a card of a carousel can be: a product, one with a link, one with buttons.
fn kind_of_card(card: &Map<String, Value>) -> (Option<&str>, bool) {
    let buttons =
        card.get("action").and_then(Value::as_object).is_some_and(|action| member(action, "buttons").is_some());
    (card.get("type").and_then(Value::as_str), buttons)
}

fn cards_of_one_kind(cards: &[Value], at: &str, report: &mut Report) {
    let mut kinds = cards.iter().map(|card| card.as_object().map(kind_of_card)).enumerate();
    let Some((_, first)) = kinds.next() else { return };
    for (position, kind) in kinds {
        if kind != first {
            report.invalid(format!("{at}/{position}"), "is of another kind than the first card; all must be alike");
        }
    }
}
