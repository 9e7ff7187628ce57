//! Guarantee: a file goes up as it is, in one form around its bytes, and comes down from where the upstream says, with a
//! token that is shown to nobody over a connection that others can read.

use serde_json::Value;
use url::{Url, form_urlencoded::Serializer};
use waystation_adapter_sdk::{
    HttpRequest, Io, ManagementError, MediaLocation, MediaPurpose, MediaQuery, MediaUpload, SendError, UploadedMedia,
    UpstreamError,
};

use crate::{
    connection::{Connection, TIMEOUT_MAX_MS},
    graph::{self, Failure},
    manage, send,
};

/// How long the upstream keeps a file that was given to it, in milliseconds: 30 days.
const MEDIA_LIFE_MS: i64 = 30 * 24 * 60 * 60 * 1_000;
/// What a file is called that has no name.
const NAMELESS: &str = "file";
/// What a message that names a file may call it.
const KINDS: [&str; 5] = ["image", "video", "audio", "document", "sticker"];
/// "Media upload error": of a file that is named by its id, that the upstream cannot use it.
const MEDIA_UPLOAD_ERROR: i64 = 131_053;
/// Codes of a parameter that is wrong.
const WRONG_PARAMETER: [i64; 3] = [100, 131_008, 131_009];
/// How upstreams say that an id names no file of theirs, in lower case.
const NO_SUCH_FILE: [&str; 2] = ["media attachment id", "is not the id of a file"];

/// Gives a file to the upstream.
pub(crate) async fn upload(io: &Io, upload: &MediaUpload) -> Result<UploadedMedia, SendError> {
    let connection = Connection::read(&upload.connection).map_err(|details| SendError::ChannelDown {
        error: UpstreamError::new("The connection's settings are wrong").details(details),
        needs_operator: true,
    })?;
    let given = match upload.purpose {
        MediaPurpose::Message => for_messages(io, &connection, upload).await,
        MediaPurpose::Sample => as_sample(io, &connection, upload).await,
    };
    given.map_err(|failure| send::judge(failure, 1))
}

async fn for_messages(io: &Io, connection: &Connection, upload: &MediaUpload) -> Result<UploadedMedia, Failure> {
    // No file holds its own hash, so this cannot stand in it.
    let boundary = format!("waystation-{}", upload.sha256);
    let mut before = String::new();
    for (name, value) in [("messaging_product", "whatsapp"), ("type", upload.content_type.as_str())] {
        before += &format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
    }
    let name = quoted(upload.file_name.as_deref().unwrap_or(NAMELESS));
    before += &format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: {}\r\n\r\n",
        upload.content_type
    );
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: connection.url(&format!("{}/media", connection.phone_number_id)),
        headers: vec![
            connection.authorization(),
            ("content-type".to_owned(), format!("multipart/form-data; boundary={boundary}")),
        ],
        body: before.into(),
        timeout_ms: Some(TIMEOUT_MAX_MS),
    };
    let answer = graph::read(io.http_with_media(request, format!("\r\n--{boundary}--\r\n").into()).await)?;
    let upstream_id = id_in(answer, "/id")?;
    Ok(UploadedMedia { upstream_id, expires_at_ms: Some(upload.at_ms + MEDIA_LIFE_MS) })
}

/// A session, and the bytes in one request.
async fn as_sample(io: &Io, connection: &Connection, upload: &MediaUpload) -> Result<UploadedMedia, Failure> {
    let query = Serializer::new(String::new())
        .append_pair("file_length", &upload.size_bytes.to_string())
        .append_pair("file_type", &upload.content_type)
        .append_pair("file_name", upload.file_name.as_deref().unwrap_or(NAMELESS))
        .finish();
    let session = graph::call(io, connection, "POST", &format!("app/uploads?{query}"), None).await?;
    let session = id_in(session, "/id")?;
    let request = HttpRequest {
        method: "POST".to_owned(),
        url: connection.url(&session),
        headers: vec![
            connection.upload_authorization(),
            ("content-type".to_owned(), "application/octet-stream".to_owned()),
            ("file_offset".to_owned(), "0".to_owned()),
        ],
        body: "".into(),
        timeout_ms: Some(TIMEOUT_MAX_MS),
    };
    let answer = graph::read(io.http_with_media(request, "".into()).await)?;
    Ok(UploadedMedia { upstream_id: id_in(answer, "/h")?, expires_at_ms: None })
}

fn id_in(answer: Value, pointer: &str) -> Result<String, Failure> {
    let id = answer.pointer(pointer).and_then(Value::as_str);
    match id.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic())) {
        Some(id) => Ok(id.to_owned()),
        None => {
            let error = UpstreamError { raw: Some(answer), ..UpstreamError::new("The answer names no file") };
            Err(Failure::Unknown(error))
        }
    }
}

/// A name between quotes in a form, as browsers write it.
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// Asks where a file is that a person sent. The number is not named: it was not the one to upload the file.
pub(crate) async fn locate(io: &Io, query: &MediaQuery) -> Result<MediaLocation, ManagementError> {
    let connection = manage::connection(&query.connection)?;
    let rejected = |details: &str| ManagementError::Rejected {
        error: UpstreamError::new("The file cannot be had").details(details),
    };
    if query.upstream_id.is_empty() || !query.upstream_id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(rejected("Its id is none of the Cloud API's."));
    }
    let answer = graph::call(io, &connection, "GET", &query.upstream_id, None).await.map_err(manage::judge)?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).map(str::to_owned);
    let Some(url) = text("url").and_then(|url| Url::parse(&url).ok()) else {
        return Err(manage::unreadable(answer, "The answer does not say where the file is"));
    };
    if url.scheme() != "https" && url.scheme() != connection.scheme() {
        return Err(rejected("It is not at an address that begins with https://."));
    }
    // A number in one version, a text in another.
    let size_bytes = answer.get("file_size").and_then(|size| match size {
        Value::String(digits) => digits.parse().ok(),
        number => number.as_u64(),
    });
    let is_hash = |text: &String| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Ok(MediaLocation {
        request: HttpRequest {
            method: "GET".to_owned(),
            url: url.into(),
            headers: vec![connection.authorization()],
            body: "".into(),
            timeout_ms: Some(TIMEOUT_MAX_MS),
        },
        content_type: text("mime_type"),
        size_bytes,
        sha256: text("sha256").filter(is_hash).map(|hash| hash.to_ascii_lowercase()),
    })
}

/// Whether a message was refused because the upstream does not know a file that it names, or knows it no longer.
pub(crate) fn is_gone(error: &UpstreamError, body: &Value, kind: &str, attempt: u32) -> bool {
    let Some(code) = error.code else { return false };
    if !body.get(kind).is_some_and(|content| names_file(kind, content)) {
        return false;
    }
    // Of a file that it has just been given again, it means what it says.
    if code == MEDIA_UPLOAD_ERROR {
        return attempt <= 1;
    }
    let said = error.raw.as_ref().map(Value::to_string).unwrap_or_default().to_lowercase();
    WRONG_PARAMETER.contains(&code) && NO_SUCH_FILE.iter().any(|words| said.contains(words))
}

fn names_file(name: &str, value: &Value) -> bool {
    match value {
        Value::Object(members) => {
            KINDS.contains(&name) && members.get("id").is_some_and(Value::is_string)
                || members.iter().any(|(name, value)| names_file(name, value))
        }
        Value::Array(items) => items.iter().any(|item| names_file("", item)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
