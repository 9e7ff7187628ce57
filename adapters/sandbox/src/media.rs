//! Guarantee: the pretend network keeps no file and knows each again: an id says when the file came, and nothing else has
//! to be remembered.

use serde_json::Value;
use sha2::{Digest, Sha256};
use waystation_adapter_sdk::{
    Io, MEDIA_READ_MAX_BYTES, MediaUpload, Outbound, SendError, UploadedMedia, UpstreamError,
};

use crate::Connection;
use crate::receipts::hash;

/// How long the pretend network keeps a file, in milliseconds: 30 days, as the real one does.
const MEDIA_LIFE_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Digits of an id that say when the file came, in Unix milliseconds.
const TIME_DIGITS: usize = 13;

/// Digits behind them that show that the id is one.
const CHECK_DIGITS: usize = 4;

/// What a message that names a file may call it.
const KINDS: [&str; 5] = ["image", "video", "audio", "document", "sticker"];

pub(crate) const MEDIA_UPLOAD_ERROR: i64 = 131_053;

/// Reads the whole file, piece by piece, and holds it against what was said of it.
pub(crate) async fn upload(io: &Io, connection: &Connection, upload: MediaUpload) -> Result<UploadedMedia, SendError> {
    let mut hash = Sha256::new();
    let mut read = 0;
    loop {
        let piece = match io.read_media(read, MEDIA_READ_MAX_BYTES).await {
            Ok(piece) => piece.into_bytes(),
            Err(error) => {
                let error = UpstreamError::new("The file did not arrive").details(error.details);
                return Err(SendError::RetryAfter { after_ms: None, error });
            }
        };
        if piece.is_empty() {
            break;
        }
        hash.update(&piece);
        read += piece.len() as u64;
    }
    let sha256: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if read != upload.size_bytes || sha256 != upload.sha256 {
        let error = UpstreamError::with_code(MEDIA_UPLOAD_ERROR, "Media upload error")
            .details("The file that arrived is not the one that was announced.");
        return Err(SendError::Rejected { error });
    }
    let upstream_id = id(connection.seed, upload.at_ms);
    Ok(UploadedMedia { upstream_id, expires_at_ms: Some(upload.at_ms + MEDIA_LIFE_MS) })
}

/// What a file is called that came at `at_ms`.
fn id(seed: u64, at_ms: i64) -> String {
    let time = format!("{:0width$}", at_ms.max(0), width = TIME_DIGITS);
    let check = hash(seed, &time, "media") % 10_u64.pow(CHECK_DIGITS as u32);
    format!("{time}{check:0width$}", width = CHECK_DIGITS)
}

/// When the file came that an id of this network names.
fn came_at(seed: u64, given: &str) -> Option<i64> {
    let time = given.get(..given.len().checked_sub(CHECK_DIGITS)?)?.parse().ok()?;
    (id(seed, time) == given).then_some(time)
}

/// Refuses a message that names a file which the network does not know, or knows no longer.
pub(crate) fn refuse(connection: &Connection, message: &Outbound) -> Result<(), SendError> {
    if !message.body.get().contains("\"id\"") {
        return Ok(());
    }
    let Ok(body) = serde_json::from_str::<Value>(message.body.get()) else { return Ok(()) };
    let mut named = Vec::new();
    if let Some(content) = body.get(&message.kind) {
        collect(&message.kind, content, &mut named);
    }
    let life = connection.forgets_media_after_ms.map_or(MEDIA_LIFE_MS, |ms| i64::try_from(ms).unwrap_or(MEDIA_LIFE_MS));
    let is_gone = |given: &&str| came_at(connection.seed, given).is_none_or(|at| message.attempt_at_ms - at >= life);
    let gone: Vec<String> = named.into_iter().filter(is_gone).map(str::to_owned).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let error = UpstreamError::with_code(MEDIA_UPLOAD_ERROR, "Media upload error")
        .details("The network does not know a file that the message names, or knows it no longer.");
    Err(SendError::MediaGone { upstream_ids: gone, error })
}

fn collect<'a>(name: &str, value: &'a Value, named: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            if KINDS.contains(&name)
                && let Some(id) = members.get("id").and_then(Value::as_str)
            {
                named.push(id);
                return;
            }
            members.iter().for_each(|(name, value)| collect(name, value, named));
        }
        Value::Array(items) => items.iter().for_each(|item| collect("", item, named)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
