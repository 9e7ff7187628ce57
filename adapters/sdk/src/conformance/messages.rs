//! Messages of every sort, and what an adapter makes of them.

use serde_json::{Value, json};

use super::table::KINDS;
use super::{Bench, Verdict, require, skip};
use crate::wire::{IoOp, IoRequest, SendAnswer};

/// The body of a big message, in bytes.
const BIG_BYTES: usize = 1024 * 1024;

/// How deep a body is nested in the test of depth.
const DEPTH: usize = 100;

pub(super) fn send_ends(bench: &Bench<'_>) -> Verdict {
    bench.send(&bench.send_document(), |op| bench.agree(op)).map(drop)
}

pub(super) fn accepted_has_id(bench: &Bench<'_>) -> Verdict {
    match bench.send(&bench.send_document(), |op| bench.agree(op))?.0 {
        SendAnswer::Accepted(accepted) => require(!accepted.upstream_id.is_empty(), "it is empty"),
        SendAnswer::Failed(error) => skip(&format!("the sample was not accepted: {error}")),
    }
}

pub(super) fn long_text(bench: &Bench<'_>) -> Verdict {
    bench.send(&bench.with_text(&"x".repeat(4096)), |op| bench.agree(op)).map(drop)
}

pub(super) fn unicode(bench: &Bench<'_>) -> Verdict {
    for text in
        ["\u{1f469}\u{200d}\u{1f680} שלום \u{202e}مرحبا नमस्ते", "\"\\\u{0}\u{1f}\n\t\u{7f}", "\u{10ffff}\u{feff}", ""]
    {
        bench.send(&bench.with_text(text), |op| bench.agree(op))?;
    }
    Ok(())
}

pub(super) fn no_phone(bench: &Bench<'_>) -> Verdict {
    let mut document = bench.send_document();
    document["message"]["recipient"] = json!({"user_id": "US.1"});
    bench.send(&document, |op| bench.agree(op)).map(drop)
}

pub(super) fn no_settings(bench: &Bench<'_>) -> Verdict {
    let mut document = bench.send_document();
    document["message"]["connection"] = Value::Null;
    bench.send(&document, |op| bench.agree(op)).map(drop)
}

/// A message of `kind` whose object is `content`.
fn with_body(bench: &Bench<'_>, kind: &str, content: &Value) -> Value {
    let mut document = bench.send_document();
    document["message"]["kind"] = json!(kind);
    document["message"]["body"] = json!({"type": kind, kind: content});
    document
}

pub(super) fn every_kind(bench: &Bench<'_>) -> Verdict {
    for kind in KINDS {
        let content = match kind {
            "text" => json!({"body": "hello"}),
            "template" => json!({"name": "hello", "language": {"code": "en_US"}, "components": []}),
            "location" => json!({"latitude": "1.5", "longitude": "-1.5", "name": "here"}),
            "reaction" => json!({"message_id": "wamid.x", "emoji": "\u{1f44d}"}),
            "contacts" => json!([{"name": {"formatted_name": "Ana"}}]),
            "interactive" => json!({"type": "button", "body": {"text": "?"}, "action": {"buttons": []}}),
            _ => json!({"id": "1", "caption": "hello"}),
        };
        bench.send(&with_body(bench, kind, &content), |op| bench.agree(op))?;
    }
    Ok(())
}

pub(super) fn unknown_kind(bench: &Bench<'_>) -> Verdict {
    bench.send(&with_body(bench, "hologram", &json!({"depth": 3})), |op| bench.agree(op)).map(drop)
}

pub(super) fn big_body(bench: &Bench<'_>) -> Verdict {
    let document = with_body(bench, "text", &json!({"body": "hello", "added_later": "x".repeat(BIG_BYTES)}));
    bench.send(&document, |op| bench.agree(op)).map(drop)
}

pub(super) fn deep_body(bench: &Bench<'_>) -> Verdict {
    let deep = (0..DEPTH).fold(json!(1), |inner, _| json!([inner]));
    bench
        .send(&with_body(bench, "text", &json!({"body": "hello", "added_later": deep})), |op| bench.agree(op))
        .map(drop)
}

pub(super) fn strange_times(bench: &Bench<'_>) -> Verdict {
    for (attempt, at_ms) in [(u32::MAX, i64::MAX / 2), (1, 0), (2, -62_135_596_800_000)] {
        let mut document = bench.send_document();
        document["message"]["attempt"] = json!(attempt);
        document["message"]["attempt_at_ms"] = json!(at_ms);
        document["message"]["accepted_at_ms"] = json!(at_ms);
        bench.send(&document, |op| bench.agree(op))?;
    }
    Ok(())
}

pub(super) fn strange_references(bench: &Bench<'_>) -> Verdict {
    for reference in ["\"quoted\" \\ back", "%s%n{{}}${x}", &"r".repeat(512), "\u{e9}\u{1f69a}"] {
        let mut document = bench.send_document();
        document["message"]["attempt_ref"] = json!(reference);
        bench.send(&document, |op| bench.agree(op))?;
    }
    Ok(())
}

pub(super) fn same_again(bench: &Bench<'_>) -> Verdict {
    let (_, first) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
    let (_, second) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
    let asked = |requests: Vec<IoRequest>| requests.into_iter().map(|request| request.op).collect::<Vec<_>>();
    require(asked(first) == asked(second), "the second time it asks for something else")
}

pub(super) fn reference_is_given(bench: &Bench<'_>) -> Verdict {
    if !bench.description()?.capabilities.returns_attempt_ref {
        return skip("the adapter's network returns no references");
    }
    let (outcome, requests) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
    let given = requests
        .iter()
        .any(|request| serde_json::to_string(&request.op).is_ok_and(|text| text.contains("msg_conformance.1")));
    match outcome {
        SendAnswer::Failed(error) if !given => skip(&format!("the sample was not accepted: {error}")),
        _ => require(given, "no request has the attempt's reference in it"),
    }
}

/// The requests of HTTP among those that were made.
pub(super) fn http(requests: &[IoRequest]) -> impl Iterator<Item = &crate::io::HttpRequest> {
    requests.iter().filter_map(|request| match &request.op {
        IoOp::Http(http) | IoOp::HttpWithMedia { request: http, .. } => Some(http),
        _ => None,
    })
}
