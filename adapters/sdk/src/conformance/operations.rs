//! What an adapter may do besides sending: callbacks, numbers, files, marks, connections.

use serde_json::{Value, json};

use super::network::asked_for_the_outside;
use super::{Bench, NO_CALLBACKS, NO_FILES, NO_NUMBERS, NUMBER_OPS, SAMPLE_CODE, Verdict, require, skip};
use crate::link::Disconnected;
use crate::testing;
use crate::wire::{
    AdmitAnswer, IoAnswer, IoOp, MarkAnswer, MediaAnswer, NumberAnswer, OP_DELIVER_CODE, OP_REGISTER, OP_REQUEST_CODE,
    OP_VERIFY_CODE,
};

pub(super) fn receives_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.receives;
    let supported = bench.receive(&json!("{}"))?.is_some();
    require(described == supported, format!("the description says {described}, the outcome {supported}"))
}

pub(super) fn receive_garbage(bench: &Bench<'_>) -> Verdict {
    for body in [json!(""), json!("{"), json!({"base64": "/wCA"}), json!("[".repeat(4096))] {
        bench.receive(&body)?;
    }
    Ok(())
}

pub(super) fn connects_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.connects;
    let end = bench.connect(|op| testing::fail(op, true))?;
    let supported = end != Disconnected::Unsupported;
    require(described == supported, format!("the description says {described}, the outcome is {end:?}"))
}

pub(super) fn lost_connection_ends(bench: &Bench<'_>) -> Verdict {
    if !bench.description()?.capabilities.connects {
        return skip("the adapter keeps no connections");
    }
    for end in [bench.connect(|op| testing::fail(op, true))?, bench.connect(|op| bench.agree(op))?] {
        require(matches!(end, Disconnected::Lost { .. }), format!("it ended as {end:?}"))?;
    }
    Ok(())
}

pub(super) fn delivers_as_described(bench: &Bench<'_>) -> Verdict {
    let described = !bench.description()?.capabilities.delivers_codes.is_empty();
    let supported = bench.number(OP_DELIVER_CODE, |op| bench.agree(op))?.is_some();
    require(described == supported, format!("the description says {described}, the outcome {supported}"))
}

pub(super) fn verifies_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.verifies_numbers;
    for op in [OP_REQUEST_CODE, OP_VERIFY_CODE, OP_REGISTER] {
        let supported = bench.number(op, |op| bench.agree(op))?.is_some();
        require(described == supported, format!("the description says {described}, the outcome of {op} {supported}"))?;
    }
    Ok(())
}

pub(super) fn uploads_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.uploads_media;
    let supported = bench.upload(|op| bench.hand_over(op))?.is_some();
    require(described == supported, format!("the description says {described}, the outcome {supported}"))
}

pub(super) fn uploaded_has_id(bench: &Bench<'_>) -> Verdict {
    match bench.upload(|op| bench.hand_over(op))? {
        None => skip(NO_FILES),
        Some((MediaAnswer::Uploaded(uploaded), _)) => require(!uploaded.upstream_id.is_empty(), "it is empty"),
        Some((MediaAnswer::Failed(error), _)) => skip(&format!("the adapter did not take the file: {error}")),
    }
}

pub(super) fn unread_is_not_uploaded(bench: &Bench<'_>) -> Verdict {
    let Some((outcome, ended)) = bench.upload(|op| testing::fail(op, true))? else { return skip(NO_FILES) };
    require(asked_for_the_outside(&ended.requests), "it asked for nothing of the file")?;
    require(matches!(outcome, MediaAnswer::Failed(_)), "it was uploaded")
}

pub(super) fn no_code_in_log(bench: &Bench<'_>) -> Verdict {
    let mut supported = false;
    for op in NUMBER_OPS {
        for answer in [|op: &IoOp| testing::agree(op), |op: &IoOp| testing::fail(op, true)] {
            let Some((_, ended)) = bench.number(op, answer)? else { continue };
            supported = true;
            let shown = ended.log.iter().find(|line| line.text.contains(SAMPLE_CODE));
            require(shown.is_none(), format!("{op} logs {:?}", shown.map(|line| &line.text)))?;
        }
    }
    if supported { Ok(()) } else { skip(NO_NUMBERS) }
}

pub(super) fn unknown_is_not_done(bench: &Bench<'_>) -> Verdict {
    let mut asked = false;
    for op in NUMBER_OPS {
        let Some((outcome, ended)) = bench.number(op, |op| testing::fail(op, true))? else { continue };
        if asked_for_the_outside(&ended.requests) {
            asked = true;
            require(matches!(outcome, NumberAnswer::Failed(_)), format!("{op} was done"))?;
        }
    }
    if asked { Ok(()) } else { skip(NO_NUMBERS) }
}

pub(super) fn marks_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.marks_read;
    let supported = bench.mark(|op| bench.agree(op))?.is_some();
    require(described == supported, format!("the description says {described}, the outcome {supported}"))
}

pub(super) fn admits_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.listens;
    let supported = bench.admit("POST", &json!("{}"))?.is_some();
    require(described == supported, format!("the description says {described}, the outcome {supported}"))
}

pub(super) fn strangers_are_turned_away(bench: &Bench<'_>) -> Verdict {
    for (method, body) in
        [("POST", json!("{}")), ("POST", json!("")), ("GET", json!("")), ("DELETE", json!("{\"entry\":[]}"))]
    {
        match bench.admit(method, &body)? {
            None => return skip("the adapter has no address for callbacks"),
            Some(AdmitAnswer::Admitted(admission)) => {
                require(!admission.keep, format!("a {method} with the body {body} is kept"))?;
            }
            Some(AdmitAnswer::Failed(_)) => {}
        }
    }
    Ok(())
}

pub(super) fn any_json_callback(bench: &Bench<'_>) -> Verdict {
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner])).to_string();
    let bodies = ["null", "[]", "7", "\"x\"", "{\"entry\":7}", "{\"entry\":[{\"changes\":[{\"value\":null}]}]}", &deep];
    for body in bodies {
        if bench.receive(&json!(body))?.is_none() {
            return skip(NO_CALLBACKS);
        }
    }
    Ok(())
}

pub(super) fn callback_again(bench: &Bench<'_>) -> Verdict {
    for body in ["{}", "{\"entry\":[]}", "id=1&status=delivered"] {
        let Some(first) = bench.receive(&json!(body))? else { return skip(NO_CALLBACKS) };
        require(bench.receive(&json!(body))? == Some(first), "the second time it says something else")?;
    }
    Ok(())
}

pub(super) fn strange_requests_are_answered(bench: &Bench<'_>) -> Verdict {
    let bodies: [Value; 3] = [json!({"base64": "/wCA"}), json!("["), json!("x".repeat(1024 * 1024))];
    for method in ["POST", "PUT", "get", ""] {
        for body in &bodies {
            if bench.admit(method, body)?.is_none() {
                return skip("the adapter has no address for callbacks");
            }
        }
    }
    Ok(())
}

/// The answer of a network behind which nothing works.
fn error_page(op: &IoOp) -> IoAnswer {
    match op {
        IoOp::Http(_) | IoOp::HttpWithMedia { .. } => {
            testing::json_response(502, "<html><h1>502 Bad Gateway</h1></html>")
        }
        other => testing::agree(other),
    }
}

pub(super) fn error_page_is_not_done(bench: &Bench<'_>) -> Verdict {
    let mut asked = false;
    for op in NUMBER_OPS {
        let Some((outcome, ended)) = bench.number(op, error_page)? else { continue };
        if super::messages::http(&ended.requests).count() > 0 {
            asked = true;
            require(matches!(outcome, NumberAnswer::Failed(_)), format!("{op} was done"))?;
        }
    }
    if asked { Ok(()) } else { skip(NO_NUMBERS) }
}

pub(super) fn error_page_is_no_upload(bench: &Bench<'_>) -> Verdict {
    let answer = |op: &IoOp| match op {
        IoOp::ReadMedia { .. } => bench.hand_over(op),
        other => error_page(other),
    };
    match bench.upload(answer)? {
        None => skip(NO_FILES),
        Some((_, ended)) if super::messages::http(&ended.requests).count() == 0 => {
            skip("the adapter makes no HTTP request")
        }
        Some((outcome, _)) => require(matches!(outcome, MediaAnswer::Failed(_)), "it was uploaded"),
    }
}

pub(super) fn unknown_is_not_marked(bench: &Bench<'_>) -> Verdict {
    match bench.mark(|op| testing::fail(op, true))? {
        Some((outcome, ended)) if asked_for_the_outside(&ended.requests) => {
            require(matches!(outcome, MarkAnswer::Failed(_)), "it was marked")
        }
        _ => skip("the adapter marks nothing at a network"),
    }
}
