//! Files on the Cloud API's routes: upload, read, download, delete, and uploads that may be
//! resumed.

use actix_web::{HttpResponse, delete, get, post};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    error::{ApiError, ErrorKind},
    ids::{SenderId, UploadId},
    media::{Declared, File, Owner},
    tenancy::Tenant,
};

use super::shapes::{Done, InNumber, done};
use crate::{
    answers::{Absent, Asked, CloudErrors, Guarded, MediaUploaded},
    auth::{By, ByTenant, MediaWrite, MessagesRead, NoScope, StreamedByTenant},
    download,
    failure::Failure,
    upload::{self, Turn},
};

type Answer = Result<HttpResponse, Failure>;

/// A file in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InMedia {
    /// Any version of the Graph API; it can be left out.
    #[param(example = "v24.0", pattern = r"^v[0-9]+\.[0-9]+$")]
    version: String,
    /// The file.
    #[param(example = "101385960028544", pattern = "^[0-9]+$")]
    media_id: String,
}

/// An upload in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InUpload {
    /// Any version of the Graph API; it can be left out.
    #[param(example = "v24.0", pattern = r"^v[0-9]+\.[0-9]+$")]
    version: String,
    /// The upload.
    #[param(example = "upload:01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C", pattern = "^upload:[0-9A-Z]+$")]
    upload_id: String,
}

/// An app in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InApp {
    /// Any version of the Graph API; it can be left out.
    #[param(example = "v24.0", pattern = r"^v[0-9]+\.[0-9]+$")]
    version: String,
    /// The app: any, it is not looked at.
    #[param(example = "app", pattern = "^(app|[0-9]+)$")]
    app_id: String,
}

/// A form with a file.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes a form")]
pub(crate) struct MediaForm {
    /// `whatsapp`; may be left out.
    #[schema(example = "whatsapp")]
    messaging_product: Option<String>,
    /// The file's media type; helps where its bytes leave a choice.
    #[schema(example = "image/jpeg")]
    r#type: Option<String>,
    /// The file.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A file that was uploaded.
#[derive(Serialize, ToSchema)]
pub(crate) struct CloudMediaId {
    /// What messages name it by.
    #[schema(example = "101385960028544")]
    id: String,
}

/// A file, and where its bytes are.
#[derive(Serialize, ToSchema)]
pub(crate) struct CloudMedia {
    #[schema(example = "whatsapp")]
    messaging_product: &'static str,
    /// Where its bytes are, for requests with this credential.
    #[schema(example = "https://api.example.com/v24.0/101385960028544/content")]
    url: String,
    #[schema(example = "image/jpeg")]
    mime_type: String,
    /// In hexadecimal digits.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    sha256: String,
    /// In bytes.
    #[schema(example = 303_833)]
    file_size: u64,
    #[schema(example = "101385960028544")]
    id: String,
}

/// An upload that may be resumed.
#[derive(Serialize, ToSchema)]
pub(crate) struct CloudUploadId {
    #[schema(example = "upload:01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
}

/// How far an upload has come.
#[derive(Serialize, ToSchema)]
pub(crate) struct CloudUpload {
    #[schema(example = "upload:01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    /// How many bytes are here.
    #[schema(example = 1_048_576)]
    file_offset: u64,
}

/// What came of a request that goes on with an upload.
#[derive(Serialize, ToSchema)]
pub(crate) struct CloudUploaded {
    /// The handle of the file; missing while bytes are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "4::aW1hZ2UvanBlZw")]
    h: Option<String>,
    /// How many bytes are here, while some are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = json!(null))]
    file_offset: Option<u64>,
}

/// Which number a file has to be of.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfNumber {
    /// The number that the file was uploaded by; the request fails if it was another.
    #[param(example = "106540352242922")]
    phone_number_id: Option<String>,
}

/// What an upload is going to be.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct NewUpload {
    /// The file's length, in bytes.
    #[param(example = 303_833)]
    file_length: u64,
    /// Its media type.
    #[param(example = "image/jpeg")]
    file_type: Option<String>,
    /// Its name.
    #[param(example = "banner.jpg")]
    file_name: Option<String>,
}

/// Upload a file
///
/// A form with the file, which is read as it comes. Its type is read off its bytes. Messages name it by the id in the
/// answer until it expires, or is deleted.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudUploadMedia",
    path = "/{version}/{phone_number_id}/media",
    params(InNumber),
    request_body(content = MediaForm, content_type = "multipart/form-data"),
    responses(
        (status = 200, description = "It is there.", body = CloudMediaId),
        Guarded<MediaWrite, CloudErrors>, Absent<CloudErrors>, MediaUploaded<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/media")]
pub(crate) async fn upload_media(sent: StreamedByTenant<MediaWrite>) -> Answer {
    let StreamedByTenant { by, payload } = sent;
    let request = by.request.clone();
    let storing = async {
        let sender: SenderId = by.id("phone_number_id")?;
        let business = by.principal.business();
        if by.api.directory.sender(business, sender).await?.is_none() {
            return Err(ApiError::missing("phone number", &sender));
        }
        if !upload::is_form(&request) {
            let details = "A file comes as multipart/form-data, in the field \"file\".";
            return Err(ApiError::new(ErrorKind::MalformedBody, details));
        }
        let arriving = by.api.media.begin(Owner { business: business.clone(), sender: Some(sender) });
        let file = upload::read_media(&request, payload, arriving).await?;
        Ok(HttpResponse::Ok().json(CloudMediaId { id: file.id.to_string() }))
    };
    storing.await.map_err(|error| Failure::new(&request, error))
}

/// What is known of a file, and where its bytes are: what `GET /{version}/{media_id}` answers.
pub(super) fn shown(by: &By<Tenant, NoScope>, file: File) -> Result<HttpResponse, ApiError> {
    of_number(&by.query()?, &file)?;
    let version = by.request.match_info().get("version").unwrap_or_default();
    Ok(HttpResponse::Ok().json(CloudMedia {
        messaging_product: "whatsapp",
        url: format!("{}/{version}{}/content", by.api.base_url, file.id),
        mime_type: file.content_type,
        sha256: file.sha256,
        file_size: file.size_bytes,
        id: file.id.to_string(),
    }))
}

/// A file that a person sent is of no number, and so is not one of the number that received it.
fn of_number(query: &OfNumber, file: &File) -> Result<(), ApiError> {
    match &query.phone_number_id {
        Some(given) if file.sender.is_none_or(|sender| sender.to_string() != *given) => {
            Err(ApiError::breach("?phone_number_id", "is not the number that the file was uploaded by"))
        }
        _ => Ok(()),
    }
}

/// Download a file
///
/// The bytes. `Range` may ask for one part of them, which is answered with the status 206.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudDownloadMedia",
    path = "/{version}/{media_id}/content",
    params(InMedia),
    responses(
        (status = 200, description = "The bytes, with the type of the file.", content_type = "*/*", body = [u8]),
        Guarded<MessagesRead, CloudErrors>, Absent<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}{media_id:[0-9]+}/content")]
pub(crate) async fn download_media(by: ByTenant<MessagesRead>) -> Answer {
    by.answer(async {
        let (business, id) = (by.principal.business(), by.id("media_id")?);
        download::answer(&by.request, |range| by.api.media.read(business, id, range)).await
    })
    .await
}

/// Delete a file
///
/// Messages that were accepted with it and are not sent yet fail.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudDeleteMedia",
    path = "/{version}/{media_id}",
    params(InMedia, OfNumber),
    responses(
        (status = 200, description = "It is gone.", body = Done),
        Guarded<MediaWrite, CloudErrors>, Absent<CloudErrors>, Asked<CloudErrors>,
    ),
)]
#[delete("/{version:(?:v[0-9]+\\.[0-9]+/)?}{media_id:[0-9]+}")]
pub(crate) async fn delete_media(by: ByTenant<MediaWrite>) -> Answer {
    by.answer(async {
        let (business, id) = (by.principal.business(), by.id("media_id")?);
        of_number(&by.query()?, &by.api.media.get(business, id).await?)?;
        by.api.media.remove(business, id).await?;
        Ok(done())
    })
    .await
}

/// Start an upload that may be resumed
///
/// For samples of templates and profile pictures, which are named by handles. The session is open for a day.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudStartUpload",
    path = "/{version}/{app_id}/uploads",
    params(InApp, NewUpload),
    responses(
        (status = 200, description = "Bytes can come.", body = CloudUploadId),
        Guarded<MediaWrite, CloudErrors>, Absent<CloudErrors>, Asked<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{app_id:app|[0-9]+}/uploads")]
pub(crate) async fn start_upload(by: ByTenant<MediaWrite>) -> Answer {
    by.answer(async {
        let query: NewUpload = by.query()?;
        let declared = Declared { content_type: query.file_type, file_name: query.file_name };
        let id = by.api.media.start_upload(by.principal.business(), query.file_length, declared).await?;
        Ok(HttpResponse::Ok().json(CloudUploadId { id: id.to_string() }))
    })
    .await
}

/// Go on with an upload
///
/// The body is the file from `file_offset` on, or the next part of it. What arrives is kept, also when the connection
/// breaks; with the last byte the answer has the handle.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudResumeUpload",
    path = "/{version}/{upload_id}",
    params(
        InUpload,
        ("file_offset" = Option<u64>, Header, description = "Where the body starts in the file; 0 when left out."),
    ),
    request_body(content = [u8], content_type = "application/octet-stream"),
    responses(
        (status = 200, description = "It arrived.", body = CloudUploaded),
        Guarded<MediaWrite, CloudErrors>, Absent<CloudErrors>, MediaUploaded<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{upload_id:upload:[^/]+}")]
pub(crate) async fn resume_upload(sent: StreamedByTenant<MediaWrite>) -> Answer {
    let StreamedByTenant { by, mut payload } = sent;
    let request = by.request.clone();
    let going_on = async {
        let business = by.principal.business();
        let _turn = Turn::take(business.to_string(), upload::MEDIA_UPLOADS_MAX_PER_BUSINESS)?;
        let id: UploadId = by.id("upload_id")?;
        let offset = match request.headers().get("file_offset").map(|value| value.to_str()) {
            None => 0,
            Some(text) => text
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .ok_or_else(|| ApiError::breach("file_offset", "must be a number of bytes"))?,
        };
        let mut resumed = by.api.media.resume(business, &id, offset).await?;
        let broken = loop {
            match tokio::time::timeout(upload::PAUSE_MAX, payload.next()).await {
                Ok(None) => break None,
                Ok(Some(Ok(chunk))) => resumed.write(&chunk).await?,
                Ok(Some(Err(_))) => {
                    let details = "The body ended early; what arrived is kept, and the upload can be resumed.";
                    break Some(ApiError::new(ErrorKind::MalformedBody, details));
                }
                Err(_) => break Some(upload::too_slow()),
            }
        };
        let upload = resumed.finish().await?;
        if let Some(error) = broken {
            return Err(error);
        }
        let file_offset = upload.handle.is_none().then_some(upload.file_offset);
        Ok(HttpResponse::Ok().json(CloudUploaded { h: upload.handle, file_offset }))
    };
    going_on.await.map_err(|error| Failure::new(&request, error))
}

/// Read how far an upload has come
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudGetUpload",
    path = "/{version}/{upload_id}",
    params(InUpload),
    responses(
        (status = 200, description = "The upload.", body = CloudUpload),
        Guarded<MediaWrite, CloudErrors>, Absent<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}{upload_id:upload:[^/]+}")]
pub(crate) async fn get_upload(by: ByTenant<MediaWrite>) -> Answer {
    by.answer(async {
        let upload = by.api.media.upload(by.principal.business(), &by.id("upload_id")?).await?;
        let body = CloudUpload { id: upload.id.to_string(), file_offset: upload.file_offset };
        Ok(HttpResponse::Ok().json(body))
    })
    .await
}
