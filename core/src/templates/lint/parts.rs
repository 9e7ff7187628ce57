//! What the rules say of the smaller parts: buttons, cards, offers, headers with files.

use serde_json::Value;

use super::{RuleId, walk::Walk};
use crate::templates::limits;

/// The formats that headers have.
const HEADER_FORMATS: [&str; 7] = ["TEXT", "IMAGE", "VIDEO", "GIF", "DOCUMENT", "LOCATION", "PRODUCT"];
/// Those that show a file.
const FILE_FORMATS: [&str; 4] = ["IMAGE", "VIDEO", "GIF", "DOCUMENT"];
/// Spaces, and line breaks, in a row at most.
const SPACES_MAX: usize = 4;
const LINE_BREAKS_MAX: usize = 2;

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

impl Walk {
    pub(super) fn header_format(&mut self, component: &Value, pointer: &str) {
        let Some(format) = component["format"].as_str() else { return };
        if !HEADER_FORMATS.contains(&format) {
            let message = format!("must be one of {}", HEADER_FORMATS.join(", "));
            self.find(RuleId::HeaderFormatUnknown, format!("{pointer}/format"), message);
        }
        let example = &component["example"];
        let has_sample = ["header_handle", "header_url"].iter().any(|member| !list(&example[*member]).is_empty());
        if FILE_FORMATS.contains(&format) && !has_sample {
            let message = "has no file in header_handle, which the network's reviewers ask for";
            self.find(RuleId::HeaderSampleMissing, format!("{pointer}/example"), message);
        }
    }

    pub(super) fn spaces(&mut self, text: &str, at: &str) {
        let has_run = |of: char, most: usize| text.contains(&of.to_string().repeat(most + 1));
        if has_run(' ', SPACES_MAX) || has_run('\n', LINE_BREAKS_MAX) {
            let message = format!("has more than {SPACES_MAX} spaces or {LINE_BREAKS_MAX} line breaks in a row");
            self.find(RuleId::BodySpaces, at, message);
        }
    }

    pub(super) fn expiration(&mut self, component: &Value, pointer: &str) {
        let (least, most) = limits::CODE_EXPIRATION_MINUTES;
        let minutes = component["code_expiration_minutes"].as_i64();
        if let Some(minutes) = minutes.filter(|minutes| !(least..=most).contains(minutes)) {
            let message = format!("must be from {least} to {most} minutes, is {minutes}");
            self.find(RuleId::CodeExpiration, format!("{pointer}/code_expiration_minutes"), message);
        }
    }

    pub(super) fn each_button(&mut self, buttons: &[Value], at: &str) {
        let of = |kind: &str| buttons.iter().filter(|button| button["type"] == kind).count();
        self.most(RuleId::PhoneButtonsTooMany, at, "button that calls", (1, of("PHONE_NUMBER")));
        self.most(RuleId::CopyCodeButtonsTooMany, at, "button that copies a code", (1, of("COPY_CODE")));
        for (position, button) in buttons.iter().enumerate().take(limits::BUTTONS_MAX) {
            let at = format!("{at}/{position}");
            let text = button["text"].as_str().filter(|text| !text.is_empty());
            if text.is_some() && buttons[..position].iter().any(|before| before["text"].as_str() == text) {
                self.find(RuleId::ButtonTextRepeated, format!("{at}/text"), "is that of another button");
            }
            match button["type"].as_str() {
                Some("URL") => self.url_button(button, &at),
                Some("PHONE_NUMBER") => {
                    let number = button["phone_number"].as_str().unwrap_or_default();
                    let digits = number.chars().any(|digit| digit.is_ascii_digit());
                    if !digits || number.chars().count() > limits::PHONE_MAX_CHARS {
                        let message =
                            format!("must be a phone number of at most {} characters", limits::PHONE_MAX_CHARS);
                        self.find(RuleId::PhoneButtonInvalid, format!("{at}/phone_number"), message);
                    }
                }
                Some("COPY_CODE") => {
                    let example = &button["example"];
                    let example = list(example).first().unwrap_or(example);
                    let numbers = (limits::COUPON_WARN_CHARS, chars(example));
                    self.most(RuleId::CopyCodeTooLong, &format!("{at}/example"), "characters", numbers);
                }
                _ => {}
            }
        }
    }

    fn url_button(&mut self, button: &Value, at: &str) {
        let pointer = format!("{at}/url");
        let url = button["url"].as_str().unwrap_or_default();
        let is_web = url.starts_with("https://") || url.starts_with("http://");
        if !is_web || url.chars().count() > limits::URL_MAX_CHARS {
            let message =
                format!("must begin with http:// or https:// and have at most {} characters", limits::URL_MAX_CHARS);
            self.find(RuleId::ButtonUrlInvalid, &pointer, message);
            return;
        }
        let host = url.split('/').nth(2).unwrap_or_default();
        if ["wa.me", "api.whatsapp.com", "chat.whatsapp.com"].contains(&host) {
            self.find(RuleId::ButtonUrlChat, &pointer, format!("leads back into WhatsApp, by {host}"));
        }
        let variables = url.matches("{{").count();
        if variables > 1 || variables == 1 && !url.ends_with("}}") {
            self.find(RuleId::ButtonUrlVariable, &pointer, "must have at most one variable, at its end");
        }
        let example = &button["example"];
        if variables > 0 && list(example).is_empty() && example.as_str().is_none_or(str::is_empty) {
            self.find(RuleId::ButtonUrlSample, format!("{at}/example"), "must have an example of the whole address");
        }
    }

    pub(super) fn offer(&mut self, component: &Value, pointer: &str, all: &[Value]) {
        let at = format!("{pointer}/limited_time_offer/text");
        let text = chars(&component["limited_time_offer"]["text"]);
        self.most(RuleId::OfferTooLong, &at, "characters", (limits::OFFER_TEXT_MAX_CHARS, text));
        let body = all.iter().find(|component| component["type"] == "BODY").map_or(0, |body| chars(&body["text"]));
        self.most(RuleId::OfferTooLong, pointer, "characters in the body", (limits::OFFER_BODY_MAX_CHARS, body));
    }

    pub(super) fn carousel(&mut self, component: &Value, pointer: &str) {
        let cards = list(&component["cards"]);
        let (least, most) = limits::CARDS;
        let at = format!("{pointer}/cards");
        if !(least..=most).contains(&cards.len()) {
            let message = format!("must have {least} to {most} cards, has {}", cards.len());
            self.find(RuleId::CarouselCards, &at, message);
        }
        let shapes: Vec<Vec<String>> = cards.iter().take(most).map(shape).collect();
        for (position, (card, its_shape)) in cards.iter().zip(&shapes).enumerate() {
            let at = format!("{at}/{position}");
            if Some(its_shape) != shapes.first() {
                self.find(RuleId::CarouselUneven, &at, "does not have the kinds of components of the first card");
            }
            for (place, part) in list(&card["components"]).iter().enumerate() {
                let at = format!("{at}/components/{place}");
                match part["type"].as_str() {
                    Some("BODY") => {
                        let numbers = (limits::CARD_BODY_MAX_CHARS, chars(&part["text"]));
                        self.most(RuleId::CardBodyTooLong, &format!("{at}/text"), "characters", numbers);
                    }
                    Some("HEADER") => self.header_format(part, &at),
                    Some("BUTTONS") => self.each_button(list(&part["buttons"]), &format!("{at}/buttons")),
                    _ => {}
                }
            }
        }
    }
}

/// The kinds of a card's components and buttons.
fn shape(card: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let parts = list(&card["components"]).iter();
    parts
        .flat_map(|part| {
            let buttons = list(&part["buttons"]).iter().map(|button| word(&button["type"]));
            [word(&part["type"]), word(&part["format"])].into_iter().chain(buttons).collect::<Vec<_>>()
        })
        .collect()
}
