//! A message as plain text: what an SMS in its place would say, and what a history shows.
//!
//! Whatever can be tapped stands in brackets, and so does the name of what a text cannot show.

use std::fmt::Write as _;

use super::{
    content::{Contact, Content, Document, Location, Media},
    interactive::{Action, Card, CardAction, Header, Interactive, ReplyButton},
    template::TemplateMessage,
};

/// What is shown of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Rendering {
    /// The text.
    Text(String),
    /// The text is that of the template, with these parameters in.
    Template(TemplateMessage),
}

impl Content {
    /// The message as plain text, as far as it can be known without the template.
    #[must_use]
    pub fn into_rendering(self) -> Rendering {
        Rendering::Text(match self {
            Self::Template(message) => return Rendering::Template(message),
            Self::Text(text) => text.body,
            Self::Image(image) => media("Image", &image.media, image.caption.as_deref()),
            Self::Video(video) => media("Video", &video.media, video.caption.as_deref()),
            Self::Audio(audio) => {
                media(if audio.voice == Some(true) { "Voice message" } else { "Audio" }, &audio.media, None)
            }
            Self::Document(document) => file(&document),
            Self::Sticker(sticker) => media("Sticker", &sticker, None),
            Self::Location(location) => place(&location),
            Self::Contacts(contacts) => contacts.iter().map(card).collect::<Vec<_>>().join("\n"),
            Self::Reaction(reaction) if reaction.emoji.is_empty() => "[Reaction taken back]".to_owned(),
            Self::Reaction(reaction) => format!("[Reaction] {}", reaction.emoji),
            Self::Interactive(interactive) => interactive_text(&interactive),
        })
    }
}

pub(super) fn media(name: &str, media: &Media, caption: Option<&str>) -> String {
    let mut text = format!("[{name}]");
    if let Some(caption) = caption {
        text.push(' ');
        text.push_str(caption);
    }
    if let Some(link) = &media.link {
        text.push('\n');
        text.push_str(link);
    }
    text
}

pub(super) fn file(document: &Document) -> String {
    let caption = document.caption.as_deref();
    match &document.filename {
        Some(name) => media(&format!("Document: {name}"), &document.media, caption),
        None => media("Document", &document.media, caption),
    }
}

pub(super) fn place(location: &Location) -> String {
    let mut text = String::from("[Location]");
    for part in [&location.name, &location.address].into_iter().flatten().filter(|part| !part.is_empty()) {
        text.push(' ');
        text.push_str(part);
        text.push(',');
    }
    // Writing to a String cannot fail.
    let _ = write!(text, " {}, {}", location.latitude, location.longitude);
    text
}

fn card(contact: &Contact) -> String {
    let mut text = format!("[Contact] {}", contact.name.formatted_name);
    if let Some(company) = contact.org.as_ref().and_then(|org| org.company.as_deref()) {
        text.push_str(", ");
        text.push_str(company);
    }
    let ways = contact.phones.iter().map(|phone| phone.phone.as_ref().or(phone.wa_id.as_ref()));
    let ways = ways.chain(contact.emails.iter().map(|email| email.email.as_ref()));
    for way in ways.chain(contact.urls.iter().map(|url| url.url.as_ref())).flatten() {
        text.push('\n');
        text.push_str(way);
    }
    text
}

fn header(header: &Header) -> String {
    match header {
        Header::Text { text } => text.clone(),
        Header::Image { image } => media("Image", image, None),
        Header::Video { video } => media("Video", video, None),
        Header::Document { document } => file(document),
    }
}

fn interactive_text(message: &Interactive) -> String {
    let mut lines: Vec<String> = message.header.iter().map(header).collect();
    lines.extend(message.body.iter().map(|body| body.text.clone()));
    actions(&message.action, &mut lines);
    lines.extend(message.footer.iter().map(|footer| footer.text.clone()));
    lines.join("\n")
}

fn actions(action: &Action, lines: &mut Vec<String>) {
    match action {
        Action::Button(buttons) => lines.extend(buttons.buttons.iter().map(tap)),
        Action::List(list) => {
            lines.push(format!("[{}]", list.button));
            for section in &list.sections {
                lines.extend(section.title.clone());
                lines.extend(section.rows.iter().map(|row| match &row.description {
                    Some(description) => format!("- {}: {description}", row.title),
                    None => format!("- {}", row.title),
                }));
            }
        }
        Action::CtaUrl(button) => {
            lines.push(format!("[{}] {}", button.parameters.display_text, button.parameters.url));
        }
        Action::Flow(flow) => lines.push(format!("[{}]", flow.parameters.flow_cta)),
        Action::LocationRequestMessage(_) => lines.push("[Send location]".to_owned()),
        Action::Product(product) => lines.push(format!("[Product] {}", product.product_retailer_id)),
        Action::ProductList(list) => {
            for section in &list.sections {
                lines.extend(section.title.clone());
                lines.extend(section.product_items.iter().map(|item| format!("- {}", item.product_retailer_id)));
            }
        }
        Action::CatalogMessage(_) => lines.push("[View catalog]".to_owned()),
        Action::AddressMessage(_) => lines.push("[Provide address]".to_owned()),
        Action::Carousel(carousel) => carousel.cards.iter().for_each(|card| card_lines(card, lines)),
        Action::OrderDetails(_) => lines.push("[Review and pay]".to_owned()),
        Action::OrderStatus(_) => lines.push("[Order status]".to_owned()),
        Action::VoiceCall(_) => lines.push("[Call]".to_owned()),
        Action::CallPermissionRequest(_) => lines.push("[Allow calls]".to_owned()),
    }
}

fn tap(button: &ReplyButton) -> String {
    format!("[{}]", button.reply().title)
}

fn card_lines(card: &Card, lines: &mut Vec<String>) {
    lines.extend(card.header.iter().map(header));
    lines.extend(card.body.iter().map(|body| body.text.clone()));
    match &card.action {
        CardAction::Buttons(buttons) => lines.extend(buttons.buttons.iter().map(tap)),
        CardAction::Product(product) => lines.push(format!("[Product] {}", product.product_retailer_id)),
        CardAction::Link(link) => {
            lines.push(format!("[{}] {}", link.parameters.display_text, link.parameters.url));
        }
    }
}
