//! What it costs to hold a template against every rule, as each keystroke in the editor does. Run with
//! `cargo bench --package waystation-core --bench lint`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use waystation_core::templates::{Draft, Syntax, lint::lint};

fn draft(components: &Value) -> Draft {
    Draft {
        name: "order_update".to_owned(),
        language: "en_US".to_owned(),
        category: "MARKETING".to_owned(),
        components: components.as_array().cloned().unwrap_or_default(),
        ..Draft::default()
    }
}

/// As large as templates get: ten cards with two buttons each.
fn carousel() -> Draft {
    let card = json!({"components": [
        {"type": "HEADER", "format": "IMAGE", "example": {"header_handle": ["4::aW"]}},
        {"type": "BODY", "text": "Now {{1}} instead of {{2}}, as long as there is any.", "example": {"body_text": [["5", "9"]]}},
        {"type": "BUTTONS", "buttons": [
            {"type": "QUICK_REPLY", "text": "Tell me more"},
            {"type": "URL", "text": "Shop", "url": "https://shop.example/{{1}}", "example": ["https://shop.example/a"]},
        ]},
    ]});
    draft(&json!([
        {"type": "BODY", "text": format!("{}for {{{{1}}}} now.", "x ".repeat(490)), "example": {"body_text": [["Ana"]]}},
        {"type": "CAROUSEL", "cards": vec![card; 10]},
    ]))
}

fn written() -> Draft {
    let text = "Hi {{customer.name}}, your order {{upper order.id}} of {{money order.total \"EUR\"}} ships on \
                {{date order.ships_at}}. Thank you for shopping with us.";
    Draft {
        syntax: Syntax::Handlebars,
        samples: Some(json!({"customer": {"name": "Ana"}, "order": {
            "id": "a17", "total": "12.50", "ships_at": "2026-12-24T09:00:00Z",
        }})),
        ..draft(&json!([{"type": "BODY", "text": text}]))
    }
}

fn lints(criterion: &mut Criterion) {
    for (name, draft) in [("a carousel of ten cards", carousel()), ("a text in Handlebars", written())] {
        criterion.bench_function(name, |bench| bench.iter(|| black_box(lint(black_box(&draft)))));
    }
}

criterion_group!(benches, lints);
criterion_main!(benches);
