//! A template as its recipient sees it: header, text with WhatsApp's marks for bold, italic, struck and monospace, footer
//! and buttons, with sample values filled in.
//!
//! What comes out is text with flags and never HTML, so whatever a template says is escaped by the page like any value.

use serde::Serialize;
use serde_json::Value;
use waystation_core::messages::sms::{Alphabet, Sms};

/// The longest text that is laid out, in characters: four times what a body may have.
const TEXT_MAX_CHARS: usize = 4_096;
/// Cards of a carousel that are shown at most: what the network takes.
const CARDS_MAX: usize = 10;
/// What stands for a code that nobody has drawn yet.
const SAMPLE_CODE: &str = "123456";

/// A template as its recipient sees it.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Bubble {
    media: Option<&'static str>,
    title: Vec<Span>,
    body: Vec<Span>,
    footer: String,
    buttons: Vec<Button>,
    cards: Vec<Bubble>,
}

/// A run of text that looks the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Span {
    text: String,
    bold: bool,
    italic: bool,
    strike: bool,
    mono: bool,
    /// Whether it is a sample of what a message brings.
    sample: bool,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Button {
    kind: &'static str,
    text: String,
    target: String,
}

/// The same as SMS.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SmsView {
    text: String,
    units: usize,
    parts: usize,
    plain: bool,
}

impl Bubble {
    /// Of `components` in the Cloud API's form, with the examples that stand in them or else the `samples` of the draft.
    pub(crate) fn of(components: &[Value], samples: Option<&Value>) -> Self {
        let mut bubble = Self::default();
        for component in components {
            let kind = component["type"].as_str().unwrap_or_default().to_ascii_uppercase();
            let text = component["text"].as_str().unwrap_or_default();
            match kind.as_str() {
                "HEADER" => {
                    bubble.media = media(component["format"].as_str().unwrap_or("TEXT"));
                    let marked = fill(text, &Examples::of_header(component), samples);
                    bubble.title = spans(&marked, false);
                }
                "BODY" => {
                    let fixed = code_text(component);
                    let text = if text.is_empty() { fixed.as_deref().unwrap_or_default() } else { text };
                    bubble.body = spans(&fill(text, &Examples::of_body(component), samples), true);
                }
                "FOOTER" => {
                    bubble.footer = match component["code_expiration_minutes"].as_u64() {
                        Some(minutes) if text.is_empty() => format!("This code expires in {minutes} minutes."),
                        _ => text.chars().take(TEXT_MAX_CHARS).collect(),
                    };
                }
                "BUTTONS" => {
                    let buttons = component["buttons"].as_array().map(Vec::as_slice).unwrap_or_default();
                    bubble.buttons = buttons.iter().map(|button| Button::of(button, samples)).collect();
                }
                "CAROUSEL" => {
                    let cards = component["cards"].as_array().map(Vec::as_slice).unwrap_or_default();
                    let inside = |card: &Value| card["components"].as_array().cloned().unwrap_or_default();
                    bubble.cards = cards.iter().take(CARDS_MAX).map(|card| Self::of(&inside(card), samples)).collect();
                }
                _ => {}
            }
        }
        bubble
    }

    /// As plain text: what a channel without rich messages is given.
    pub(crate) fn sms(&self) -> SmsView {
        let mut lines = Vec::new();
        self.lines(&mut lines);
        let text = lines.join("\n");
        let Sms { alphabet, units, parts } = Sms::of(&text);
        SmsView { text, units, parts, plain: alphabet == Alphabet::Gsm7 }
    }

    fn lines(&self, lines: &mut Vec<String>) {
        for text in [&self.title, &self.body] {
            let line: String = text.iter().map(|span| span.text.as_str()).collect();
            lines.extend(Some(line).filter(|line| !line.is_empty()));
        }
        lines.extend(Some(self.footer.clone()).filter(|line| !line.is_empty()));
        lines.extend(self.buttons.iter().map(|button| format!("[{}]", button.text)));
        self.cards.iter().for_each(|card| card.lines(lines));
    }
}

impl Button {
    fn of(button: &Value, samples: Option<&Value>) -> Self {
        let text = |member: &str| button[member].as_str().unwrap_or_default();
        let (kind, target) = match text("type").to_ascii_uppercase().as_str() {
            "QUICK_REPLY" => ("reply", String::new()),
            "URL" => ("link", plain(&fill(text("url"), &Examples::of_button(button), samples))),
            "PHONE_NUMBER" => ("call", text("phone_number").to_owned()),
            "COPY_CODE" => ("copy", first_text(&button["example"]).unwrap_or_default()),
            "OTP" => ("copy", SAMPLE_CODE.to_owned()),
            "FLOW" => ("form", String::new()),
            "CATALOG" | "MPM" | "SPM" => ("shop", String::new()),
            _ => ("other", String::new()),
        };
        let label = Some(text("text")).filter(|text| !text.is_empty());
        Self { kind, text: label.unwrap_or(if kind == "copy" { "Copy code" } else { "…" }).to_owned(), target }
    }
}

fn media(format: &str) -> Option<&'static str> {
    match format.to_ascii_uppercase().as_str() {
        "IMAGE" => Some("Image"),
        "VIDEO" => Some("Video"),
        "DOCUMENT" => Some("Document"),
        "LOCATION" => Some("Location"),
        "PRODUCT" => Some("Product"),
        _ => None,
    }
}

/// The body that the network writes for one-time passwords.
fn code_text(component: &Value) -> Option<String> {
    let security = component["add_security_recommendation"].as_bool()?;
    let advice = if security { " For your security, do not share this code." } else { "" };
    Some(format!("{{{{1}}}} is your verification code.{advice}"))
}

/// The examples of a text's parameters: by position, and by name.
#[derive(Debug, Default)]
struct Examples {
    counted: Vec<String>,
    named: Vec<(String, String)>,
}

impl Examples {
    fn of_header(component: &Value) -> Self {
        let example = &component["example"];
        Self { counted: texts(&example["header_text"]), named: named(&example["header_text_named_params"]) }
    }

    fn of_body(component: &Value) -> Self {
        let example = &component["example"];
        let mut counted = texts(&example["body_text"][0]);
        if counted.is_empty() && component["add_security_recommendation"].is_boolean() {
            counted.push(SAMPLE_CODE.to_owned());
        }
        Self { counted, named: named(&example["body_text_named_params"]) }
    }

    fn of_button(button: &Value) -> Self {
        // Of a link, the example is the whole address or what goes in.
        let whole = first_text(&button["example"]).unwrap_or_default();
        let before = button["url"].as_str().unwrap_or_default().split("{{").next().unwrap_or_default();
        let value = whole.strip_prefix(before).unwrap_or(&whole).to_owned();
        Self { counted: Some(value).filter(|value| !value.is_empty()).into_iter().collect(), named: Vec::new() }
    }

    fn value(&self, name: &str) -> Option<&str> {
        if let Ok(position) = name.parse::<usize>() {
            return self.counted.get(position.checked_sub(1)?).map(String::as_str);
        }
        self.named.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn texts(list: &Value) -> Vec<String> {
    let texts = list.as_array().map(Vec::as_slice).unwrap_or_default();
    texts.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

fn named(list: &Value) -> Vec<(String, String)> {
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |entry: &Value, member: &str| entry[member].as_str().map(ToOwned::to_owned);
    entries.iter().filter_map(|entry| Some((text(entry, "param_name")?, text(entry, "example")?))).collect()
}

fn first_text(example: &Value) -> Option<String> {
    example.as_str().or_else(|| example[0].as_str()).map(ToOwned::to_owned)
}

/// A character, and whether it is part of a sample.
type Marked = (char, bool);

/// `text` with each `{{…}}` replaced by its example, or else by what the samples hold at that path; what has neither
/// stays as it is.
fn fill(text: &str, examples: &Examples, samples: Option<&Value>) -> Vec<Marked> {
    let mut filled: Vec<Marked> = Vec::new();
    let mut rest = text;
    while let Some((before, inside, after)) = next_variable(rest) {
        filled.extend(before.chars().map(|c| (c, false)));
        // Of a helper's call, the last word is the value that it formats.
        let path = inside.split_whitespace().next_back().unwrap_or_default();
        let sample = || samples.and_then(|samples| at_path(samples, path));
        match examples.value(inside.trim()).map(ToOwned::to_owned).or_else(sample) {
            Some(value) => filled.extend(value.chars().map(|c| (c, true))),
            None => filled.extend(format!("{{{{{inside}}}}}").chars().map(|c| (c, true))),
        }
        rest = after;
    }
    filled.extend(rest.chars().map(|c| (c, false)));
    filled.truncate(TEXT_MAX_CHARS);
    filled
}

fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (inside, after) = rest.split_once("}}")?;
    Some((before, inside, after))
}

fn at_path(samples: &Value, path: &str) -> Option<String> {
    let found = path.split('.').try_fold(samples, |value, member| value.get(member))?;
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn plain(marked: &[Marked]) -> String {
    marked.iter().map(|(c, _)| c).collect()
}

/// The marks of WhatsApp, the longest first.
const MARKS: [(&str, Mark); 5] =
    [("```", Mark::Mono), ("`", Mark::Mono), ("*", Mark::Bold), ("_", Mark::Italic), ("~", Mark::Strike)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Bold,
    Italic,
    Strike,
    Mono,
}

/// Lays a text out; `rich` where WhatsApp heeds its marks.
fn spans(text: &[Marked], rich: bool) -> Vec<Span> {
    let mut spans = Vec::new();
    if rich {
        lay(text, &Span::default(), &mut spans);
    } else {
        push(text, &Span::default(), &mut spans);
    }
    spans
}

/// Lays `text` out in the look of `outer`.
fn lay(text: &[Marked], outer: &Span, spans: &mut Vec<Span>) {
    let mut plain_from = 0;
    let mut at = 0;
    while at < text.len() {
        let Some((mark, inside, end)) = marked_at(text, at, outer) else {
            at += 1;
            continue;
        };
        push(&text[plain_from..at], outer, spans);
        let mut inner = outer.clone();
        *flag(&mut inner, mark) = true;
        if mark == Mark::Mono {
            push(&text[inside.0..inside.1], &inner, spans);
        } else {
            lay(&text[inside.0..inside.1], &inner, spans);
        }
        plain_from = end;
        at = end;
    }
    push(&text[plain_from..], outer, spans);
}

fn flag(span: &mut Span, mark: Mark) -> &mut bool {
    match mark {
        Mark::Bold => &mut span.bold,
        Mark::Italic => &mut span.italic,
        Mark::Strike => &mut span.strike,
        Mark::Mono => &mut span.mono,
    }
}

/// The mark that begins at `at`, what is inside of it, and where it is over: it stands at the edge of a word, and what is
/// inside begins and ends with no blank, all on one line but for a block of monospace.
fn marked_at(text: &[Marked], at: usize, outer: &Span) -> Option<(Mark, (usize, usize), usize)> {
    let starts =
        |sign: &str, at: usize| sign.chars().enumerate().all(|(n, c)| text.get(at + n).is_some_and(|(d, _)| *d == c));
    let (sign, mark) = MARKS.into_iter().find(|(sign, _)| starts(sign, at))?;
    let taken = match mark {
        Mark::Bold => outer.bold,
        Mark::Italic => outer.italic,
        Mark::Strike => outer.strike,
        Mark::Mono => outer.mono,
    };
    let word = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|(c, _)| c.is_alphanumeric());
    let blank = |at: usize| text.get(at).is_none_or(|(c, _)| c.is_whitespace());
    let inside = at + sign.len();
    let block = sign.len() > 1;
    if taken || word(at.checked_sub(1)) || (!block && blank(inside)) || starts(sign, inside) {
        return None;
    }
    let end = (inside + 1..text.len())
        .take_while(|end| block || text[end - 1].0 != '\n')
        .find(|end| starts(sign, *end) && (block || !blank(end - 1)) && !word(Some(end + sign.len())))?;
    Some((mark, (inside, end), end + sign.len()))
}

fn push(text: &[Marked], look: &Span, spans: &mut Vec<Span>) {
    for (c, sample) in text {
        match spans.last_mut() {
            Some(last) if Span { text: String::new(), ..last.clone() } == Span { sample: *sample, ..look.clone() } => {
                last.text.push(*c);
            }
            _ => spans.push(Span { text: c.to_string(), sample: *sample, ..look.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The text with its looks as letters: `b` bold, `i` italic, `s` struck, `m` monospace, `x` a sample.
    fn looks(text: &str) -> String {
        let marked: Vec<Marked> = text.chars().map(|c| (c, false)).collect();
        shown(&spans(&marked, true))
    }

    fn shown(spans: &[Span]) -> String {
        let look = |span: &Span| {
            let flags =
                [(span.bold, 'b'), (span.italic, 'i'), (span.strike, 's'), (span.mono, 'm'), (span.sample, 'x')];
            flags.into_iter().filter(|(on, _)| *on).map(|(_, letter)| letter).collect::<String>()
        };
        spans.iter().map(|span| format!("{}<{}>", look(span), span.text)).collect()
    }

    #[test]
    fn marks_are_heeded_where_whatsapp_heeds_them() {
        for (text, expected) in [
            ("plain", "<plain>"),
            ("a *bold* word", "<a >b<bold>< word>"),
            ("*all* _of_ ~them~", "b<all>< >i<of>< >s<them>"),
            ("*_both_*", "bi<both>"),
            ("```a *b* c```", "m<a *b* c>"),
            ("`x*y*z`", "m<x*y*z>"),
            ("```two\nlines```", "m<two\nlines>"),
            ("2*3*4", "<2*3*4>"),
            ("snake_case_name", "<snake_case_name>"),
            ("* not bold*", "<* not bold*>"),
            ("*not\nbold*", "<*not\nbold*>"),
            ("**", "<**>"),
            ("*a", "<*a>"),
            ("(*x*)", "<(>b<x><)>"),
            ("```", "<```>"),
        ] {
            assert_eq!(looks(text), expected, "{text}");
        }
    }

    #[test]
    fn samples_are_filled_in_and_marked() {
        let components = [
            json!({"type": "HEADER", "format": "TEXT", "text": "Order {{1}}", "example": {"header_text": ["A-17"]}}),
            json!({"type": "BODY", "text": "Hi *{{1}}*, {{2}}{{3}}", "example": {"body_text": [["Ana", "<b>"]]}}),
            json!({"type": "FOOTER", "text": "Bakery"}),
            json!({"type": "BUTTONS", "buttons": [
                {"type": "URL", "text": "Track", "url": "https://x.example/{{1}}", "example": ["https://x.example/7"]},
                {"type": "QUICK_REPLY", "text": "Stop"},
            ]}),
        ];
        let bubble = Bubble::of(&components, None);
        assert_eq!(shown(&bubble.title), "<Order >x<A-17>");
        assert_eq!(shown(&bubble.body), "<Hi >bx<Ana><, >x<<b>{{3}}>");
        assert_eq!(bubble.buttons[0].target, "https://x.example/7");
        let sms = bubble.sms();
        assert_eq!(sms.text, "Order A-17\nHi Ana, <b>{{3}}\nBakery\n[Track]\n[Stop]");
        assert_eq!((sms.parts, sms.plain), (1, true));
    }

    #[test]
    fn a_draft_in_handlebars_takes_its_samples_by_their_paths() {
        let body = json!({"type": "BODY", "text": "{{customer.name}}: {{date order.at}} {{missing}} {{order}}"});
        let samples = json!({"customer": {"name": "Ana"}, "order": {"at": "25 May", "n": 3}});
        let bubble = Bubble::of(&[body], Some(&samples));
        assert_eq!(shown(&bubble.body), "x<Ana><: >x<25 May>< >x<{{missing}}>< >x<{{order}}>");
    }

    #[test]
    fn a_one_time_password_reads_as_the_network_writes_it() {
        let components = [
            json!({"type": "BODY", "add_security_recommendation": true}),
            json!({"type": "FOOTER", "code_expiration_minutes": 5}),
            json!({"type": "BUTTONS", "buttons": [{"type": "OTP", "otp_type": "COPY_CODE", "text": "Copy code"}]}),
        ];
        let text = Bubble::of(&components, None).sms().text;
        assert_eq!(
            text,
            "123456 is your verification code. For your security, do not share this code.\nThis code expires in 5 \
             minutes.\n[Copy code]"
        );
    }

    #[test]
    fn whatever_a_template_holds_is_laid_out_and_bounded() {
        for odd in [json!(null), json!({"type": 7}), json!({"type": "BODY", "text": 1}), json!({"type": "BUTTONS"})] {
            Bubble::of(&[odd], None);
        }
        let long = json!({"type": "BODY", "text": "*".repeat(100_000)});
        let body = Bubble::of(&[long], None).body;
        assert_eq!(body.iter().map(|span| span.text.chars().count()).sum::<usize>(), TEXT_MAX_CHARS);
        let nested = json!({"type": "BODY", "text": "*_~".repeat(1_000) + &"~_*".repeat(1_000)});
        Bubble::of(&[nested], None);
    }
}
