//! Files on `/v1`: uploaded or fetched, listed, read, linked, deleted.

use actix_web::{FromRequest as _, HttpRequest, HttpResponse, Resource, delete, get, post, web};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::rfc3339,
    error::{ApiError, ErrorKind},
    media::{File, LINK_MAX_SECONDS, LINK_MIN_SECONDS, Owner},
};

use crate::{
    Api,
    answers::{Absent, Asked, Guarded, MediaSent},
    auth::{ByTenant, MediaWrite, MessagesRead, StreamedByTenant},
    bodies::{PageOf, PageQuery},
    download,
    failure::Failure,
    input, shared, upload,
};

type Answer = Result<HttpResponse, Failure>;

/// Largest request that names the address of a file, in bytes.
const REQUEST_MAX_BYTES: usize = 16 * 1_024;

/// A file.
#[derive(Serialize, ToSchema)]
pub(crate) struct MediaFile {
    /// What messages name it by.
    #[schema(example = "101385960028544")]
    id: String,
    /// Read off its bytes.
    #[schema(example = "image/jpeg")]
    content_type: String,
    #[schema(example = "banner.jpg")]
    file_name: Option<String>,
    #[schema(example = 303_833)]
    size_bytes: u64,
    /// In hexadecimal digits.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    sha256: String,
    /// `uploaded`, `fetched` from an address, or `received` from a person.
    #[schema(example = "uploaded")]
    origin: &'static str,
    /// The phone number id that it was uploaded by or that received it.
    #[schema(example = json!(null))]
    sender: Option<String>,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
    /// When it goes; null when it stays until it is deleted. RFC 3339, UTC.
    #[schema(example = "2026-12-22T10:00:00.000Z")]
    expires_at: Option<String>,
}

impl From<File> for MediaFile {
    fn from(file: File) -> Self {
        Self {
            id: file.id.to_string(),
            content_type: file.content_type,
            file_name: file.file_name,
            size_bytes: file.size_bytes,
            sha256: file.sha256,
            origin: file.origin.name(),
            sender: file.sender.map(|sender| sender.to_string()),
            created_at: rfc3339(file.created_at),
            expires_at: file.expires_at.map(rfc3339),
        }
    }
}

/// A form with a file.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes a form")]
pub(crate) struct FileForm {
    /// The file's media type; helps where its bytes leave a choice.
    #[schema(example = "image/jpeg")]
    r#type: Option<String>,
    /// The file.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A file to fetch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileAddress {
    /// Where it is: `https` or `http`, on the open internet.
    #[schema(example = "https://shop.example/banner.jpg")]
    url: String,
    /// Its name; the end of the address when left out.
    #[schema(example = "banner.jpg")]
    file_name: Option<String>,
}

/// A link to a file.
#[derive(Serialize, ToSchema)]
pub(crate) struct MediaLink {
    /// Opens the file for whoever has it.
    #[schema(example = "https://api.example.com/media/AbCd")]
    url: String,
    /// Until when. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:15:00.000Z")]
    expires_at: String,
}

/// How long a link holds.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LinkQuery {
    /// In seconds; 900 when left out.
    #[param(minimum = 300, maximum = 3600, example = 900)]
    expires_in_seconds: Option<u32>,
}

const _: () = assert!(LINK_MIN_SECONDS == 300 && LINK_MAX_SECONDS == 3_600);

/// A file.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "describes a path")]
pub(crate) struct InMedia {
    /// The file's id.
    #[param(example = "101385960028544")]
    media: String,
}

/// Upload a file, or have it fetched
///
/// A form with the file, which is read as it comes; or JSON with the address it is fetched from. Its type is read off
/// its bytes. Messages name it by its id until it expires, or is deleted.
#[utoipa::path(
    tag = "Media",
    operation_id = "addMedia",
    request_body(content(
        (FileForm = "multipart/form-data"),
        (FileAddress = "application/json"),
    )),
    responses(
        (status = 201, description = "The file.", body = MediaFile),
        Guarded<MediaWrite>, MediaSent,
    ),
)]
#[post("/v1/media")]
pub(crate) async fn add_media(sent: StreamedByTenant<MediaWrite>) -> Answer {
    let StreamedByTenant { by, payload } = sent;
    let request = by.request.clone();
    let adding = async {
        let owner = Owner { business: by.principal.business().clone(), sender: None };
        let file = if upload::is_form(&request) {
            upload::read_media(&request, payload, by.api.media.begin(owner)).await?
        } else {
            let payload = web::Payload::from_request(&request, &mut { payload }).await;
            let body = shared::read_body_up_to(REQUEST_MAX_BYTES, payload).await?;
            let address: FileAddress = input::json(&body)?;
            let url = address.url.parse();
            let url = url.map_err(|error| ApiError::breach("/url", format!("is not an address: {error}")))?;
            let _turn = upload::Turn::take(owner.business.to_string(), upload::MEDIA_UPLOADS_MAX_PER_BUSINESS)?;
            let fetching = by.api.media.fetch(owner, &url, address.file_name);
            tokio::time::timeout(upload::FETCH_MAX, fetching).await.map_err(|_| {
                let details =
                    format!("The address did not give the file within {} seconds.", upload::FETCH_MAX.as_secs());
                ApiError::new(ErrorKind::MediaUnreachable, details)
            })??
        };
        let location = format!("/v1/media/{}", file.id);
        Ok(HttpResponse::Created().insert_header(("location", location)).json(MediaFile::from(file)))
    };
    adding.await.map_err(|error: ApiError| Failure::new(&request, error))
}

/// List files
///
/// Those that were uploaded, fetched and received, the newest first.
#[utoipa::path(
    tag = "Media",
    operation_id = "listMedia",
    params(PageQuery),
    responses((status = 200, description = "A page of files.", body = PageOf<MediaFile>), Guarded<MessagesRead>, Asked),
)]
#[get("/v1/media")]
pub(crate) async fn list_media(by: ByTenant<MessagesRead>) -> Answer {
    by.answer(async {
        let query: PageQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        let page = by.api.media.list(by.principal.business(), &paging).await?;
        Ok(HttpResponse::Ok().json(PageOf::<MediaFile>::from(page)))
    })
    .await
}

/// Read what is known of a file
#[utoipa::path(
    tag = "Media",
    operation_id = "getMedia",
    params(InMedia),
    responses((status = 200, description = "The file.", body = MediaFile), Guarded<MessagesRead>, Absent),
)]
#[get("/v1/media/{media}")]
pub(crate) async fn get_media(by: ByTenant<MessagesRead>) -> Answer {
    by.answer(async {
        let file = by.api.media.get(by.principal.business(), by.id("media")?).await?;
        Ok(HttpResponse::Ok().json(MediaFile::from(file)))
    })
    .await
}

/// Download a file
///
/// The bytes. `Range` may ask for one part of them, which is answered with the status 206.
#[utoipa::path(
    tag = "Media",
    operation_id = "getMediaContent",
    params(InMedia),
    responses(
        (status = 200, description = "The bytes, with the type of the file.", content_type = "*/*", body = [u8]),
        Guarded<MessagesRead>, Absent,
    ),
)]
#[get("/v1/media/{media}/content")]
pub(crate) async fn get_media_content(by: ByTenant<MessagesRead>) -> Answer {
    by.answer(async {
        let (business, id) = (by.principal.business(), by.id("media")?);
        download::answer(&by.request, |range| by.api.media.read(business, id, range)).await
    })
    .await
}

/// Make a link to a file
///
/// It opens the file for whoever has it, without a credential, until its time is over or the file is gone.
#[utoipa::path(
    tag = "Media",
    operation_id = "linkMedia",
    params(InMedia, LinkQuery),
    responses((status = 200, description = "The link.", body = MediaLink), Guarded<MessagesRead>, Absent, Asked),
)]
#[get("/v1/media/{media}/link")]
pub(crate) async fn link_media(by: ByTenant<MessagesRead>) -> Answer {
    by.answer(async {
        let query: LinkQuery = by.query()?;
        let (business, id) = (by.principal.business(), by.id("media")?);
        let link = by.api.media.link(business, id, query.expires_in_seconds).await?;
        let url = format!("{}/media/{}", by.api.base_url, link.token);
        Ok(HttpResponse::Ok().json(MediaLink { url, expires_at: rfc3339(link.expires_at) }))
    })
    .await
}

/// Delete a file
///
/// Messages that were accepted with it and are not sent yet fail.
#[utoipa::path(
    tag = "Media",
    operation_id = "deleteMedia",
    params(InMedia),
    responses((status = 204, description = "It is gone."), Guarded<MediaWrite>, Absent),
)]
#[delete("/v1/media/{media}")]
pub(crate) async fn delete_media(by: ByTenant<MediaWrite>) -> Answer {
    by.answer(async {
        by.api.media.remove(by.principal.business(), by.id("media")?).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

/// What links open. Not an operation of anybody's: the link itself is what lets somebody in.
pub(crate) fn linked() -> Resource {
    web::resource("/media/{token}").route(web::get().to(follow_link)).default_service(web::to(crate::no_such_route))
}

async fn follow_link(request: HttpRequest, token: web::Path<String>, api: web::Data<Api>) -> Answer {
    let following = download::answer(&request, |range| api.media.follow(&token, range));
    shared::within(shared::QUERY_MAX, &request, following).await
}
