//! The network: what is asked of it, and what its answers, and its silence, are taken for.

use serde_json::json;

use super::messages::http;
use super::{Bench, NO_REQUEST, Not, STEPS_MAX, Verdict, require, skip};
use crate::testing;
use crate::types::SendError;
use crate::wire::{IoAnswer, IoOp, IoRequest, SendAnswer};

/// Requests that an operation may have open at once.
const OPEN_REQUESTS_MAX: usize = 64;

/// How long a send may pause in all while its network answers, in milliseconds.
const PAUSES_MAX_MS: u64 = 30_000;

/// The body of a long answer, in bytes.
const LONG_ANSWER_BYTES: usize = 1024 * 1024;

const NO_HTTP: &str = "the adapter makes no HTTP request";

pub(super) fn asked_for_the_outside(requests: &[IoRequest]) -> bool {
    requests.iter().any(|request| !matches!(request.op, IoOp::Sleep { .. }))
}

pub(super) fn not_accepted(bench: &Bench<'_>, answer: impl Fn(&IoOp) -> IoAnswer) -> Verdict {
    let (outcome, requests) = bench.send(&bench.send_document(), answer)?;
    if !asked_for_the_outside(&requests) {
        return skip(NO_REQUEST);
    }
    require(matches!(outcome, SendAnswer::Failed(_)), "it was accepted")
}

pub(super) fn nothing_sent(bench: &Bench<'_>) -> Verdict {
    not_accepted(bench, |op| testing::fail(op, false))
}

pub(super) fn unknown_is_not_success(bench: &Bench<'_>) -> Verdict {
    not_accepted(bench, |op| testing::fail(op, true))
}

pub(super) fn unknown_is_ambiguous(bench: &Bench<'_>) -> Verdict {
    let (outcome, requests) = bench.send(&bench.send_document(), |op| testing::fail(op, true))?;
    let http = requests.iter().filter(|request| matches!(request.op, IoOp::Http(_))).count();
    if http != 1 {
        return skip(&format!("the adapter made {http} HTTP requests"));
    }
    require(matches!(outcome, SendAnswer::Failed(SendError::Ambiguous { .. })), format!("it is {outcome:?}"))
}

pub(super) fn bad_gateway(bench: &Bench<'_>) -> Verdict {
    let (outcome, requests) = bench.send(&bench.send_document(), |op| match op {
        IoOp::Http(_) => testing::json_response(502, "<html><h1>502 Bad Gateway</h1></html>"),
        other => testing::agree(other),
    })?;
    if !requests.iter().any(|request| matches!(request.op, IoOp::Http(_))) {
        return skip("the adapter makes no HTTP request");
    }
    require(matches!(outcome, SendAnswer::Failed(_)), "it was accepted")
}

pub(super) fn not_sent_is_not_ambiguous(bench: &Bench<'_>) -> Verdict {
    let (outcome, requests) = bench.send(&bench.send_document(), |op| testing::fail(op, false))?;
    let asked = http(&requests).count();
    if asked != 1 {
        return skip(&format!("the adapter made {asked} HTTP requests"));
    }
    let known = !matches!(outcome, SendAnswer::Failed(SendError::Ambiguous { .. }));
    require(known, "the request was surely not sent, and the outcome is `ambiguous`")
}

fn with_status(bench: &Bench<'_>, status: u16) -> Result<Option<SendAnswer>, Not> {
    let (outcome, requests) = bench.send(&bench.send_document(), |op| match op {
        IoOp::Http(_) => testing::json_response(status, "{\"error\":{\"message\":\"no\",\"code\":1}}"),
        other => testing::agree(other),
    })?;
    Ok((http(&requests).count() > 0).then_some(outcome))
}

pub(super) fn refusing_statuses(bench: &Bench<'_>) -> Verdict {
    for status in [301, 302, 400, 401, 403, 404, 409, 413, 429, 500, 501, 503, 599] {
        let Some(outcome) = with_status(bench, status)? else { return skip(NO_HTTP) };
        require(matches!(outcome, SendAnswer::Failed(_)), format!("with the status {status} it was accepted"))?;
    }
    Ok(())
}

pub(super) fn too_many_is_waited_out(bench: &Bench<'_>) -> Verdict {
    let Some(outcome) = with_status(bench, 429)? else { return skip(NO_HTTP) };
    let waits = matches!(outcome, SendAnswer::Failed(SendError::RateLimited { .. } | SendError::RetryAfter { .. }));
    require(waits, format!("it is {outcome:?}"))
}

pub(super) fn strange_answers(bench: &Bench<'_>) -> Verdict {
    let long = "x".repeat(LONG_ANSWER_BYTES);
    let bodies = [
        Vec::new(),
        vec![0xff, 0x00, 0x80],
        long.into_bytes(),
        b"null".to_vec(),
        b"[[]]".to_vec(),
        b"{\"messages\":7}".to_vec(),
        b"{".to_vec(),
    ];
    for body in bodies {
        bench.send(&bench.send_document(), |op| match op {
            IoOp::Http(_) => IoAnswer::Http(crate::io::HttpResponse {
                status: 200,
                headers: vec![("x".to_owned(), String::new()), ("x".to_owned(), "\u{fffd}".to_owned())],
                body: body.clone().into(),
            }),
            other => testing::agree(other),
        })?;
    }
    Ok(())
}

pub(super) fn wrong_kind(bench: &Bench<'_>) -> Verdict {
    let (outcome, requests) = bench.send(&bench.send_document(), |op| match op {
        IoOp::Sleep { .. } => IoAnswer::Slept,
        _ => IoAnswer::Concluded,
    })?;
    if !asked_for_the_outside(&requests) {
        return skip(NO_REQUEST);
    }
    require(matches!(outcome, SendAnswer::Failed(_)), "it was accepted")
}

/// Letters, digits and what else a token of HTTP may have.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

pub(super) fn requests_are_well_formed(bench: &Bench<'_>) -> Verdict {
    let (_, requests) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
    for request in http(&requests) {
        let method = &request.method;
        require(is_token(method) && *method == method.to_uppercase(), format!("the method is {method:?}"))?;
        let absolute = request.url.starts_with("https://") || request.url.starts_with("http://");
        let clean = !request.url.contains(|c: char| c.is_whitespace() || c.is_control());
        require(absolute && clean, format!("the URL is {:?}", request.url))?;
        for (name, _) in &request.headers {
            require(is_token(name), format!("a header is called {name:?}"))?;
            let own = ["host", "content-length", "transfer-encoding", "connection"];
            require(!own.contains(&name.to_lowercase().as_str()), format!("the header {name} is the host's"))?;
        }
    }
    if http(&requests).count() == 0 { skip(NO_HTTP) } else { Ok(()) }
}

pub(super) fn text_adds_no_header(bench: &Bench<'_>) -> Verdict {
    let mut document = bench.with_text("a\r\nx-conformance: 1\r\n\r\n{}");
    document["message"]["attempt_ref"] = json!("r\r\nx-conformance: 1");
    let (_, requests) = bench.send(&document, |op| bench.agree(op))?;
    for (name, value) in http(&requests).flat_map(|request| &request.headers) {
        let clean = ![name, value].iter().any(|text| text.contains(['\r', '\n', '\0']));
        require(clean, format!("the header {name:?} has the value {value:?}"))?;
    }
    if http(&requests).count() == 0 { skip(NO_HTTP) } else { Ok(()) }
}

pub(super) fn is_secure(bench: &Bench<'_>) -> Verdict {
    if bench.sample.connection.to_string().contains("http://") {
        return skip("the settings name an address without TLS");
    }
    let (_, requests) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
    let clear = http(&requests).find(|request| !request.url.starts_with("https://"));
    require(clear.is_none(), format!("it asks {:?}", clear.map(|request| &request.url)))
}

pub(super) fn few_are_open(bench: &Bench<'_>) -> Verdict {
    let mut state = bench.start(&bench.send_document())?;
    for _ in 0..STEPS_MAX {
        let super::bench::Started::Waits(waiting) = state else { return Ok(()) };
        let open = waiting.requests.len();
        require(open <= OPEN_REQUESTS_MAX, format!("{open} requests are made at once"))?;
        require(open > 0, "a task waits, and every request it made has its result")?;
        let results = waiting
            .requests
            .iter()
            .map(|request| crate::wire::IoResult { id: request.id, result: bench.agree(&request.op) });
        state = bench.resume(&waiting, results.collect())?;
    }
    Err(Not::Passed(format!("the operation was not over after {STEPS_MAX} steps")))
}

pub(super) fn pauses_are_short(bench: &Bench<'_>) -> Verdict {
    let (_, requests) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
    let pause = |request: &IoRequest| match request.op {
        IoOp::Sleep { ms } => ms,
        _ => 0,
    };
    let pauses = requests.iter().map(pause).fold(0, u64::saturating_add);
    require(pauses <= PAUSES_MAX_MS, format!("it pauses {pauses} ms"))
}
