//! The helpers: one table of what each takes, which is checked when a text is compiled, as far as it stands in the text.

use jiff::tz::TimeZone;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Node,
    locale::{DateStyle, is_currency, is_locale},
};
use crate::messages::request::excerpt;

/// Characters that `truncate` leaves at most.
const TRUNCATE_MAX_CHARS: u64 = 1_024;

/// Something that makes a text of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Helper {
    /// The value, or another where there is none.
    Default,
    /// In capitals, as the template's language has them.
    Upper,
    /// Its first characters.
    Truncate,
    /// A time, in a zone, as the template's language writes it.
    Date,
    /// An amount of a currency, as the template's language writes it.
    Money,
    /// One of several words, by a number.
    Plural,
}

/// A helper, for those who write templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = TemplateHelper)]
pub struct HelperDoc {
    /// Its name.
    #[schema(example = "date")]
    pub name: &'static str,
    /// How it is written.
    #[schema(example = "{{date order.ships_at \"long\" zone=\"Europe/Berlin\"}}")]
    pub usage: &'static str,
    /// What it makes.
    #[schema(example = "A time as the template's language writes it.")]
    pub explanation: &'static str,
    /// Arguments without a name: at least, and at most.
    #[serde(skip)]
    arguments: (usize, usize),
    /// Arguments with a name.
    #[serde(skip)]
    named: &'static [&'static str],
    #[serde(skip)]
    helper: Helper,
}

/// Every helper.
pub const HELPERS: &[HelperDoc] = &[
    HelperDoc {
        name: "default",
        usage: "{{default customer.first_name \"friend\"}}",
        explanation: "The first value, or the second where the first is missing or empty.",
        arguments: (2, 2),
        named: &[],
        helper: Helper::Default,
    },
    HelperDoc {
        name: "upper",
        usage: "{{upper order.id}}",
        explanation: "A text in capitals, as the template's language has them.",
        arguments: (1, 1),
        named: &[],
        helper: Helper::Upper,
    },
    HelperDoc {
        name: "truncate",
        usage: "{{truncate product.title 40}}",
        explanation: "A text that has at most so many characters, with … in the place of what was cut off.",
        arguments: (2, 2),
        named: &[],
        helper: Helper::Truncate,
    },
    HelperDoc {
        name: "date",
        usage: "{{date order.ships_at \"long\" zone=\"Europe/Berlin\"}}",
        explanation: "A date or a time in RFC 3339, as a language writes it: \"short\", \"medium\", \"long\" (the usual), \
                      \"full\", \"time\" or \"datetime\". In `zone`, or else as it is written; in the template's \
                      language, or else in that of `locale`.",
        arguments: (1, 2),
        named: &["zone", "locale"],
        helper: Helper::Date,
    },
    HelperDoc {
        name: "money",
        usage: "{{money order.total \"EUR\"}}",
        explanation: "An amount, a number or a decimal number in a text, of a currency of ISO 4217, rounded as that \
                      currency is. In the template's language, or else in that of `locale`.",
        arguments: (2, 2),
        named: &["locale"],
        helper: Helper::Money,
    },
    HelperDoc {
        name: "plural",
        usage: "{{plural order.items one=\"# item\" other=\"# items\"}}",
        explanation: "One of several words by a number: which of `zero`, `one`, `two`, `few`, `many` and `other` the \
                      language takes. `other` is there for all that is not given; # stands for the number.",
        arguments: (1, 1),
        named: &["zero", "one", "two", "few", "many", "other", "locale"],
        helper: Helper::Plural,
    },
];

impl Helper {
    pub(super) fn parse(name: &str) -> Option<Self> {
        HELPERS.iter().find(|doc| doc.name == name).map(|doc| doc.helper)
    }

    /// Its row.
    #[must_use]
    pub fn doc(self) -> &'static HelperDoc {
        &HELPERS[self as usize]
    }

    /// Whether `node` can be the argument at `position`; what it should be.
    pub(super) fn check(self, position: usize, node: &Node) -> Result<(), String> {
        let HelperDoc { name, usage, arguments: (_, most), .. } = self.doc();
        if position >= *most {
            return Err(format!("{name} takes no more than {most} values without a name, as in {usage}"));
        }
        match (self, position, node) {
            (Self::Default, 1, _) | (_, 1, Node::Literal(_)) => {}
            (_, 0, Node::Literal(_)) => {
                return Err(format!("{name} takes a place in your data first, as in {usage}"));
            }
            _ => {}
        }
        let Node::Literal(literal) = node else { return Ok(()) };
        match (self, position) {
            (Self::Truncate, 1) if !literal.as_u64().is_some_and(|chars| (1..=TRUNCATE_MAX_CHARS).contains(&chars)) => {
                Err(format!("truncate takes a number from 1 to {TRUNCATE_MAX_CHARS}, as in {usage}"))
            }
            (Self::Date, 1) if literal.as_str().and_then(DateStyle::parse).is_none() => {
                Err(format!("the style of a date is one of {}", DateStyle::names()))
            }
            (Self::Money, 1) if !literal.as_str().is_some_and(is_currency) => {
                Err("a currency is three capital letters of ISO 4217, for example \"EUR\"".to_owned())
            }
            (Self::Default, 1)
                if literal.as_str().is_none_or(|text| text.trim().is_empty()) && !literal.is_number() =>
            {
                Err("default takes a text or a number that is not empty for what is missing".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Whether it takes an argument `name`, and `node` can be it; what it should be.
    pub(super) fn check_named(self, name: &str, node: &Node) -> Result<(), String> {
        let doc = self.doc();
        if !doc.named.contains(&name) {
            let shown = excerpt(name);
            return Err(match doc.named {
                [] => format!("{} takes nothing with a name; it has \"{shown}\"", doc.name),
                named => format!("{} takes no \"{shown}\"; it takes {}", doc.name, named.join(", ")),
            });
        }
        let Node::Literal(literal) = node else {
            return if name == "zone" || name == "locale" { Ok(()) } else { words_stand_here(name) };
        };
        let text = literal.as_str();
        match name {
            "zone" if text.is_none_or(|zone| TimeZone::get(zone).is_err()) => {
                Err("zone is the name of a time zone, for example \"Europe/Berlin\"".to_owned())
            }
            "locale" if !text.is_some_and(is_locale) => {
                Err("locale is a language tag, for example \"de\" or \"pt-BR\"".to_owned())
            }
            "zone" | "locale" => Ok(()),
            _ if text.is_none() => words_stand_here(name),
            _ => Ok(()),
        }
    }

    /// Whether it has all that it needs; what is missing.
    pub(super) fn check_whole(self, arguments: usize, has: impl Fn(&str) -> bool) -> Result<(), String> {
        let HelperDoc { name, usage, arguments: (least, _), .. } = self.doc();
        if arguments < *least {
            let hint = if arguments == 0 { "; a member of this name has to stand in an object" } else { "" };
            return Err(format!("{name} takes {least} values, as in {usage}{hint}"));
        }
        if self == Self::Plural && !has("other") {
            return Err(format!("plural needs the word for \"other\", as in {usage}"));
        }
        Ok(())
    }
}

fn words_stand_here(name: &str) -> Result<(), String> {
    Err(format!("the word for \"{name}\" stands in quotation marks: reviewers have to see it"))
}
