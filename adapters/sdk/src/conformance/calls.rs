//! Input that is not what it should be, and what is answered to it.

use serde_json::{Value, json};

use super::{Bench, NUMBER_OPS, Not, Verdict, require, skip};
use crate::abi::Status;
use crate::wire::{OP_ADMIT, OP_CONNECT, OP_MARK_READ, OP_RECEIVE, OP_SEND, OP_UPLOAD_MEDIA, SCHEMA_VERSION, Step};

pub(super) fn empty_input(bench: &Bench<'_>) -> Verdict {
    bench.refuses(b"", Status::BadInput)
}

pub(super) fn garbage_input(bench: &Bench<'_>) -> Verdict {
    for input in [&b"{"[..], b"\xff\xfe\x00\x80", b"hello", b"{\"v\":1,\"op\":\"send\"", &[0; 64], &[b'['; 4096]] {
        bench.refuses(input, Status::BadInput)?;
    }
    Ok(())
}

pub(super) fn other_json(bench: &Bench<'_>) -> Verdict {
    for input in ["[]", "null", "5", "\"send\"", "{}", "{\"v\":1}", "{\"v\":1,\"op\":7}"] {
        bench.refuses(input.as_bytes(), Status::BadInput)?;
    }
    Ok(())
}

pub(super) fn other_version(bench: &Bench<'_>) -> Verdict {
    let mut document = bench.send_document();
    document["v"] = json!(SCHEMA_VERSION + 1);
    bench.refuses(document.to_string().as_bytes(), Status::BadInput)
}

pub(super) fn unknown_op(bench: &Bench<'_>) -> Verdict {
    bench.refuses(b"{\"v\":1,\"op\":\"dance\"}", Status::Unsupported)
}

pub(super) fn send_without_message(bench: &Bench<'_>) -> Verdict {
    bench.refuses(b"{\"v\":1,\"op\":\"send\"}", Status::BadInput)
}

pub(super) fn receive_without_callback(bench: &Bench<'_>) -> Verdict {
    lacks_member(bench, OP_RECEIVE)
}

pub(super) fn connect_without_link(bench: &Bench<'_>) -> Verdict {
    lacks_member(bench, OP_CONNECT)
}

pub(super) fn upload_without_media(bench: &Bench<'_>) -> Verdict {
    lacks_member(bench, OP_UPLOAD_MEDIA)
}

pub(super) fn number_without_member(bench: &Bench<'_>) -> Verdict {
    NUMBER_OPS.iter().try_for_each(|op| lacks_member(bench, op))
}

pub(super) fn admit_without_callback(bench: &Bench<'_>) -> Verdict {
    lacks_member(bench, OP_ADMIT)
}

pub(super) fn mark_without_member(bench: &Bench<'_>) -> Verdict {
    lacks_member(bench, OP_MARK_READ)
}

pub(super) fn new_members(bench: &Bench<'_>) -> Verdict {
    let mut document = bench.send_document();
    document["added_later"] = json!({"a": [1, 2]});
    document["message"]["added_later"] = json!("x");
    document["message"]["sender"]["added_later"] = json!(1);
    bench.send(&document, |op| bench.agree(op)).map(drop)
}

/// An operation without the member that goes with it. One that does not know the operation need not know the member.
fn lacks_member(bench: &Bench<'_>, op: &str) -> Verdict {
    let (status, task) = bench.status_of_start(json!({"v": SCHEMA_VERSION, "op": op}).to_string().as_bytes());
    let refused = status == Status::BadInput as i32 || status == Status::Unsupported as i32;
    require(refused && task == 0, format!("{op} was answered with status {status}"))
}

pub(super) fn null_input(bench: &Bench<'_>) -> Verdict {
    let (status, task, _) = bench.plugin.start_without_input(64);
    require(status == Status::BadInput as i32 && task == 0, format!("`start` answered status {status}"))?;
    let (status, _) = bench.plugin.resume_without_input(super::STRANGE_TASK, 64);
    require(status == Status::BadInput as i32, format!("`resume` answered status {status}"))
}

pub(super) fn no_task_is_left(bench: &Bench<'_>) -> Verdict {
    let refused = b"{\"v\":1,\"op\":\"dance\"}";
    for input in [&b""[..], b"}{", b"{}", refused, b"{\"v\":1,\"op\":\"send\"}"] {
        let (status, task, _) = bench.plugin.start_over(input, super::STRANGE_TASK);
        let shown = String::from_utf8_lossy(input);
        require(task == 0, format!("{shown:?} was answered with status {status} and the task {task}"))?;
    }
    Ok(())
}

/// Answers of every kind that need no outcome.
fn answers(bench: &Bench<'_>) -> Vec<(&'static str, Vec<u8>)> {
    let (_, described) = bench.plugin.describe();
    let (_, _, refused) = bench.plugin.start(b"}{");
    let (_, _, unsupported) = bench.plugin.start(b"{\"v\":1,\"op\":\"dance\"}");
    let (_, unknown) = bench.plugin.resume(super::STRANGE_TASK, b"{\"v\":1,\"results\":[]}");
    let (_, task, first) = bench.plugin.start(bench.send_document().to_string().as_bytes());
    if task != 0 {
        bench.plugin.free_task(task);
    }
    vec![
        ("a description", described.to_vec()),
        ("a refusal", refused.to_vec()),
        ("an operation that is not known", unsupported.to_vec()),
        ("a task that is not known", unknown.to_vec()),
        ("the first step of a send", first.to_vec()),
    ]
}

pub(super) fn answers_are_text(bench: &Bench<'_>) -> Verdict {
    for (what, bytes) in answers(bench) {
        let text = String::from_utf8(bytes).map_err(|error| Not::Passed(format!("{what} is not UTF-8: {error}")))?;
        require(!text.contains('\0'), format!("{what} has a NUL"))?;
        let document: Result<Value, _> = serde_json::from_str(&text);
        require(document.is_ok_and(|it| it["v"] == SCHEMA_VERSION), format!("{what} is no document: {text:?}"))?;
    }
    Ok(())
}

pub(super) fn refusals_say_why(bench: &Bench<'_>) -> Verdict {
    for (what, bytes) in answers(bench).into_iter().skip(1).take(3) {
        let step: Step = serde_json::from_slice(&bytes).map_err(|error| Not::Passed(format!("{what}: {error}")))?;
        require(step.error.is_some_and(|why| !why.trim().is_empty()), format!("{what} has no `error`"))?;
    }
    Ok(())
}

pub(super) fn message_of_another_shape(bench: &Bench<'_>) -> Verdict {
    for message in
        [json!(5), json!("hello"), json!([]), json!({}), json!({"message_id": 7}), json!({"recipient": "me"})]
    {
        let document = json!({"v": SCHEMA_VERSION, "op": OP_SEND, "message": message});
        bench.refuses(document.to_string().as_bytes(), Status::BadInput)?;
    }
    Ok(())
}

pub(super) fn other_resume_version(bench: &Bench<'_>) -> Verdict {
    let waiting = bench.waiting()?;
    let (status, _) = bench.plugin.resume(waiting.task, b"{\"v\":2,\"results\":[]}");
    require(status == Status::BadInput as i32, format!("`resume` answered status {status}"))?;
    bench.finish(super::bench::Started::Waits(waiting), |op| bench.agree(op)).map(drop)
}

pub(super) fn new_members_of_results(bench: &Bench<'_>) -> Verdict {
    let waiting = bench.waiting()?;
    let results: Vec<Value> = waiting
        .requests
        .iter()
        .map(|request| {
            let mut result = json!({"id": request.id, "result": bench.agree(&request.op), "added_later": [1]});
            if let Some(http) = result["result"].get_mut("http") {
                http["added_later"] = json!({"x": null});
            }
            result
        })
        .collect();
    if results.is_empty() {
        return skip("the adapter waits for nothing");
    }
    let input = json!({"v": SCHEMA_VERSION, "results": results, "added_later": true}).to_string();
    let (status, answer) = bench.plugin.resume(waiting.task, input.as_bytes());
    bench.finish(bench.read(status, waiting.task, &answer)?, |op| bench.agree(op)).map(drop)
}
