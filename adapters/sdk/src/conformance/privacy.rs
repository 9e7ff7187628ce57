//! What must show in no log, and in no error, which people read and keep.

use serde_json::{Value, json};

use super::{Bench, Verdict, require};
use crate::io::LogLine;
use crate::testing;
use crate::wire::{IoAnswer, IoOp, SendAnswer};

/// A setting that no adapter knows.
const SECRET: &str = "c0nf0rmance-s3cret-of-a-setting";

/// What a message says that nobody else does.
const TEXT: &str = "conformance words that nobody logs";

/// Sends with every answer that a network may give; what was logged, and what was said of failures.
fn told(bench: &Bench<'_>, document: &Value) -> Result<(Vec<LogLine>, Vec<String>), super::Not> {
    let (mut log, mut errors) = (Vec::new(), Vec::new());
    let answers: [&dyn Fn(&IoOp) -> IoAnswer; 5] = [
        &|op| bench.agree(op),
        &|op| testing::fail(op, true),
        &|op| testing::fail(op, false),
        &|op| match op {
            IoOp::Http(_) => testing::json_response(400, "{\"error\":{\"message\":\"no\",\"code\":100}}"),
            other => testing::agree(other),
        },
        &|op| match op {
            IoOp::Http(_) => testing::json_response(200, "not json"),
            other => testing::agree(other),
        },
    ];
    for answer in answers {
        let ended = bench.drive(document, answer)?;
        log.extend(ended.log);
        if let Some(SendAnswer::Failed(error)) = ended.step.send {
            errors.push(serde_json::to_string(&error).unwrap_or_default());
        }
    }
    Ok((log, errors))
}

fn none_says(log: &[LogLine], errors: &[String], secret: &str) -> Verdict {
    let line = log.iter().find(|line| line.text.contains(secret));
    require(line.is_none(), format!("it logs {:?}", line.map(|line| &line.text)))?;
    let error = errors.iter().find(|error| error.contains(secret));
    require(error.is_none(), format!("a failure is told as {error:?}"))
}

pub(super) fn no_setting_is_told(bench: &Bench<'_>) -> Verdict {
    let mut document = bench.send_document();
    document["message"]["connection"]["conformance_secret"] = json!(SECRET);
    let (log, errors) = told(bench, &document)?;
    none_says(&log, &errors, SECRET)?;
    // Those of the sample's own settings that are secrets by their names.
    for (name, value) in bench.sample.connection.as_object().into_iter().flatten() {
        let secret = ["token", "secret", "password", "key"].iter().any(|word| name.contains(word));
        if let Some(value) = value.as_str().filter(|value| secret && value.len() >= 4) {
            none_says(&log, &errors, value)?;
        }
    }
    Ok(())
}

pub(super) fn no_text_is_told(bench: &Bench<'_>) -> Verdict {
    let (log, errors) = told(bench, &bench.with_text(TEXT))?;
    none_says(&log, &errors, TEXT)
}

pub(super) fn no_number_is_logged(bench: &Bench<'_>) -> Verdict {
    let (log, _) = told(bench, &bench.send_document())?;
    none_says(&log, &[], &bench.sample.recipient_phone)
}
