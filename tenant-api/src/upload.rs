//! Files that come in forms (RFC 7578), read with bounds on everything: the file, the form
//! around it, the time, and how many of one reseller are read at once.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{HttpRequest, dev::Payload, http::header};
use futures_util::TryStreamExt;
use waystation_core::{
    error::{ApiError, Breach, ErrorKind},
    ids::ResellerId,
    media::{Arriving, Declared, File},
    onboarding::{DOCUMENT_MAX_BYTES, DocumentKind},
};

/// How long an upload may take.
const UPLOAD_MAX: Duration = Duration::from_secs(120);
/// Uploads of one reseller that are read at once.
const UPLOADS_MAX_PER_RESELLER: usize = 4;
/// Uploads of one business that are read at once.
pub(crate) const MEDIA_UPLOADS_MAX_PER_BUSINESS: usize = 16;
/// How long the next bytes of a file may take.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How long a file that is fetched may take in all.
pub(crate) const FETCH_MAX: Duration = Duration::from_secs(60);
/// When one that was one too many may come again, in milliseconds.
const RETRY_AFTER_MS: u64 = 1_000;
/// Fields of a form at most.
const FIELDS_MAX: usize = 8;
/// Largest field that is no file, in bytes.
const FIELD_MAX_BYTES: usize = 1_024;

/// The uploads that are being read, by whose they are.
static UPLOADS: LazyLock<Mutex<HashMap<String, usize>>> = LazyLock::new(Mutex::default);

/// A form with a document.
pub(crate) struct UploadForm {
    /// What the document shows.
    pub(crate) kind: DocumentKind,
    /// The name of the file, as the client gave it.
    pub(crate) file_name: String,
    /// Its content.
    pub(crate) content: Vec<u8>,
}

/// One of the uploads that somebody may have read at once.
pub(crate) struct Turn(String);

impl Turn {
    /// One of `most` turns of `owner`.
    pub(crate) fn take(owner: String, most: usize) -> Result<Self, ApiError> {
        let mut uploads = UPLOADS.lock().unwrap_or_else(PoisonError::into_inner);
        let running = uploads.entry(owner.clone()).or_default();
        if *running >= most {
            let details = format!("{most} uploads of {owner} are being read already.");
            return Err(ApiError::new(ErrorKind::RateLimited, details).retry_after_ms(RETRY_AFTER_MS));
        }
        *running += 1;
        Ok(Self(owner))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut uploads = UPLOADS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = uploads.get_mut(&self.0) {
            *running -= 1;
            if *running == 0 {
                uploads.remove(&self.0);
            }
        }
    }
}

/// The form of a request.
pub(crate) async fn read(
    reseller: &ResellerId,
    request: &HttpRequest,
    payload: Payload,
) -> Result<UploadForm, ApiError> {
    if !is_form(request) {
        let details = "A document comes as multipart/form-data with the fields \"kind\" and \"file\".";
        return Err(ApiError::new(ErrorKind::UnsupportedDocument, details));
    }
    let _turn = Turn::take(reseller.to_string(), UPLOADS_MAX_PER_RESELLER)?;
    let reading = fields(Multipart::new(request.headers(), payload));
    match tokio::time::timeout(UPLOAD_MAX, reading).await {
        Ok(form) => form,
        Err(_) => {
            let details = format!("The body did not arrive within {} seconds.", UPLOAD_MAX.as_secs());
            Err(ApiError::new(ErrorKind::BodyTooSlow, details))
        }
    }
}

async fn fields(mut form: Multipart) -> Result<UploadForm, ApiError> {
    let malformed = |error: MultipartError| malformed(&error);
    let (mut kind, mut file) = (None, None);
    let mut count = 0;
    while let Some(mut field) = form.try_next().await.map_err(malformed)? {
        count += 1;
        if count > FIELDS_MAX {
            let details = format!("The form has more than {FIELDS_MAX} fields.");
            return Err(ApiError::new(ErrorKind::MalformedBody, details));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let is_file = name == "file";
        if is_file && file.is_some() {
            return Err(ApiError::new(ErrorKind::MalformedBody, "The form has more than one file."));
        }
        let limit = if is_file { DOCUMENT_MAX_BYTES } else { FIELD_MAX_BYTES };
        let mut content = Vec::new();
        while let Some(chunk) = field.try_next().await.map_err(malformed)? {
            if content.len() + chunk.len() > limit {
                let (kind, what) = if is_file {
                    (ErrorKind::DocumentTooLarge, "The file".to_owned())
                } else {
                    (ErrorKind::BodyTooLarge, "A field of the form".to_owned())
                };
                return Err(ApiError::new(kind, format!("{what} has more than {limit} bytes.")));
            }
            content.extend_from_slice(&chunk);
        }
        match name.as_str() {
            "file" => {
                let disposition = field.content_disposition();
                let file_name = disposition.and_then(|disposition| disposition.get_filename());
                file = Some((file_name.unwrap_or_default().to_owned(), content));
            }
            "kind" => kind = Some(String::from_utf8_lossy(&content).trim().to_owned()),
            _ => {}
        }
    }
    checked(kind.as_deref(), file)
}

/// What a form with a file for a message said of it.
#[derive(Default)]
struct MediaFields {
    product: Option<String>,
    declared: Declared,
}

/// Takes the file of a form in as it comes; what the form and the query say of it may stand
/// before or behind it.
pub(crate) async fn read_media(
    request: &HttpRequest,
    payload: Payload,
    mut arriving: Arriving,
) -> Result<File, ApiError> {
    let _turn = Turn::take(arriving.business().to_string(), MEDIA_UPLOADS_MAX_PER_BUSINESS)?;
    let mut form = Multipart::new(request.headers(), payload);
    let mut said = MediaFields::default();
    let (mut count, mut found) = (0, false);
    while let Some(mut field) = next_in_time(form.try_next()).await? {
        count += 1;
        if count > FIELDS_MAX {
            let details = format!("The form has more than {FIELDS_MAX} fields.");
            return Err(ApiError::new(ErrorKind::MalformedBody, details));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let file_name = field.content_disposition().and_then(|disposition| disposition.get_filename());
        let file_name = file_name.map(ToOwned::to_owned);
        if name != "file" && file_name.is_none() {
            let content = short_field(&mut field).await?;
            match name.as_str() {
                "messaging_product" => said.product = Some(content),
                "type" => said.declared.content_type = Some(content),
                _ => {}
            }
            continue;
        }
        if found {
            return Err(ApiError::new(ErrorKind::MalformedBody, "The form has more than one file."));
        }
        found = true;
        said.declared.file_name = file_name;
        if said.declared.content_type.is_none() {
            said.declared.content_type = field.content_type().map(ToString::to_string);
        }
        while let Some(chunk) = next_in_time(field.try_next()).await? {
            arriving.write(&chunk).await?;
        }
    }
    if said.product.as_deref().is_some_and(|product| product != "whatsapp") {
        return Err(ApiError::breach("/messaging_product", "must be \"whatsapp\""));
    }
    if !found {
        let message = "is required: the file, as a field of a form".to_owned();
        let breach = Breach { pointer: "/file".to_owned(), message, limit: None, actual: None };
        return Err(ApiError::breaches(ErrorKind::ParameterMissing, vec![breach]));
    }
    arriving.finish(said.declared).await
}

async fn short_field(field: &mut Field) -> Result<String, ApiError> {
    let mut content = Vec::new();
    while let Some(chunk) = next_in_time(field.try_next()).await? {
        if content.len() + chunk.len() > FIELD_MAX_BYTES {
            let details = format!("A field of the form has more than {FIELD_MAX_BYTES} bytes.");
            return Err(ApiError::new(ErrorKind::BodyTooLarge, details));
        }
        content.extend_from_slice(&chunk);
    }
    Ok(String::from_utf8_lossy(&content).trim().to_owned())
}

/// The next of a form, unless nothing comes for too long.
async fn next_in_time<T>(next: impl Future<Output = Result<T, MultipartError>>) -> Result<T, ApiError> {
    match tokio::time::timeout(PAUSE_MAX, next).await {
        Ok(next) => next.map_err(|error| malformed(&error)),
        Err(_) => Err(too_slow()),
    }
}

fn malformed(error: &MultipartError) -> ApiError {
    ApiError::new(ErrorKind::MalformedBody, format!("The form cannot be read: {error}."))
}

/// What somebody is told who keeps silent for too long.
pub(crate) fn too_slow() -> ApiError {
    let details = format!("Nothing of the body arrived for {} seconds.", PAUSE_MAX.as_secs());
    ApiError::new(ErrorKind::BodyTooSlow, details)
}

/// Whether a request brings a form.
pub(crate) fn is_form(request: &HttpRequest) -> bool {
    let form = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    form.is_some_and(|form| form.trim_start().to_ascii_lowercase().starts_with("multipart/form-data"))
}

fn checked(kind: Option<&str>, file: Option<(String, Vec<u8>)>) -> Result<UploadForm, ApiError> {
    let mut breaches = Vec::new();
    let mut breach = |pointer: &str, message: String| {
        breaches.push(Breach { pointer: pointer.to_owned(), message, limit: None, actual: None });
    };
    let known = DocumentKind::ALL.map(DocumentKind::name).join(", ");
    let parsed = kind.and_then(DocumentKind::parse);
    match (kind, parsed) {
        (None, _) => breach("/kind", format!("is required: one of {known}")),
        (Some(_), None) => breach("/kind", format!("must be one of {known}")),
        _ => {}
    }
    if file.is_none() {
        breach("/file", "is required".to_owned());
    }
    match (parsed, file) {
        (Some(kind), Some((file_name, content))) => Ok(UploadForm { kind, file_name, content }),
        (parsed, _) => {
            let missing = kind.is_none() || parsed.is_some();
            let kind = if missing { ErrorKind::ParameterMissing } else { ErrorKind::ParameterInvalid };
            Err(ApiError::breaches(kind, breaches))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reseller_has_so_many_turns_and_others_have_their_own() {
        let (one, other) = (ResellerId::generate().to_string(), ResellerId::generate().to_string());
        let take = |owner: &String| Turn::take(owner.clone(), UPLOADS_MAX_PER_RESELLER);
        let turns: Vec<Turn> = (0..UPLOADS_MAX_PER_RESELLER).map(|_| take(&one).unwrap()).collect();
        let refused = take(&one).err().unwrap();
        assert_eq!((refused.kind, refused.retry_after_ms), (ErrorKind::RateLimited, Some(RETRY_AFTER_MS)));
        assert!(take(&other).is_ok());
        drop(turns);
        assert!(take(&one).is_ok());
        assert!(!UPLOADS.lock().unwrap().contains_key(&one), "nothing is kept of who has none");
    }

    #[test]
    fn a_form_says_everything_that_is_missing_of_it() {
        let error = checked(None, None).err().unwrap();
        let pointers: Vec<&str> = error.breaches.iter().map(|breach| breach.pointer.as_str()).collect();
        assert_eq!((error.kind, pointers), (ErrorKind::ParameterMissing, vec!["/kind", "/file"]));
        let error = checked(Some("selfie"), Some((String::new(), vec![]))).err().unwrap();
        assert_eq!((error.kind, error.breaches.len()), (ErrorKind::ParameterInvalid, 1));
        assert!(checked(Some("identity"), Some((String::new(), vec![]))).is_ok());
    }
}
