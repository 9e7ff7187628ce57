//! A form with a file (RFC 7578), from a page of the session that sends it. The form's token
//! comes first, and without it no file is read; everything has a bound.

use std::{future::Future, pin::Pin, time::Duration};

use actix_multipart::Multipart;
use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::TryStreamExt;
use tokio::sync::Semaphore;
use waystation_core::onboarding::DOCUMENT_MAX_BYTES;

use crate::{
    failure::Failure,
    forms::Fields,
    session::{SignedIn, prove},
};

/// How long an upload may take.
const UPLOAD_MAX: Duration = Duration::from_secs(120);
/// Uploads that are read at once in this process.
const UPLOADS_AT_ONCE: usize = 8;
/// Fields of a form at most.
const FIELDS_MAX: usize = 16;
/// Largest field that is no file, in bytes.
const FIELD_MAX_BYTES: usize = 4 * 1024;
/// How much of a file that is too large is read away, so that the browser gets to see the
/// answer, in bytes.
const READ_AWAY_MAX_BYTES: usize = 8 * DOCUMENT_MAX_BYTES;

static TURNS: Semaphore = Semaphore::const_new(UPLOADS_AT_ONCE);

/// The file of a form.
pub(crate) enum File {
    /// None was chosen.
    None,
    /// It is larger than a document may be.
    TooLarge,
    /// It was read.
    Read {
        /// Its name, as the browser gave it.
        name: String,
        /// Its content.
        content: Vec<u8>,
    },
}

/// A form with a file.
pub(crate) struct Uploaded {
    /// Who sent it.
    pub(crate) by: SignedIn,
    /// What they filled in.
    pub(crate) fields: Fields,
    /// The file.
    pub(crate) file: File,
}

impl FromRequest for Uploaded {
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Failure>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let by = SignedIn::extract(&request).await?;
            let Ok(_turn) = TURNS.try_acquire() else { return Err(Failure::Busy) };
            let csrf = by.csrf();
            let reading = read(Multipart::new(request.headers(), payload), &csrf);
            let (fields, file) = tokio::time::timeout(UPLOAD_MAX, reading).await.map_err(|_| Failure::BadRequest)??;
            prove(&fields, &csrf)?;
            Ok(Self { by, fields, file })
        })
    }
}

async fn read(mut form: Multipart, csrf: &str) -> Result<(Fields, File), Failure> {
    let (mut fields, mut file) = (Fields::default(), File::None);
    let mut count = 0;
    while let Some(mut field) = form.try_next().await.map_err(|_| Failure::BadRequest)? {
        count += 1;
        if count > FIELDS_MAX {
            return Err(Failure::BadRequest);
        }
        let name = field.name().unwrap_or_default().to_owned();
        let given = field.content_disposition().and_then(|disposition| disposition.get_filename());
        let Some(file_name) = given.map(str::to_owned) else {
            let value = content(&mut field, FIELD_MAX_BYTES).await?.ok_or(Failure::BadRequest)?;
            fields.add(name, String::from_utf8(value).map_err(|_| Failure::BadRequest)?);
            continue;
        };
        prove(&fields, csrf)?;
        file = match content(&mut field, DOCUMENT_MAX_BYTES).await? {
            None => File::TooLarge,
            Some(content) if content.is_empty() && file_name.is_empty() => File::None,
            Some(content) => File::Read { name: file_name, content },
        };
    }
    Ok((fields, file))
}

/// What a field holds; `None` when that is more than `limit` bytes.
async fn content(field: &mut actix_multipart::Field, limit: usize) -> Result<Option<Vec<u8>>, Failure> {
    let (mut content, mut read) = (Vec::new(), 0_usize);
    while let Some(chunk) = field.try_next().await.map_err(|_| Failure::BadRequest)? {
        read += chunk.len();
        if read > READ_AWAY_MAX_BYTES {
            return Err(Failure::BadRequest);
        }
        if read > limit {
            content = Vec::new();
        } else {
            content.extend_from_slice(&chunk);
        }
    }
    Ok((read <= limit).then_some(content))
}
