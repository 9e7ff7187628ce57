//! QR codes and short links that open a chat with a phone number.

use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{clock::now_ms, error::ApiError, ids::SenderId, senders::QrCode, tenancy::Tenant};

use super::{
    fields::{Fields, chosen},
    shapes::{CloudPage, Done, InNumber, ListQuery, body, done},
};
use crate::{
    answers::{Absent, Bodied, CloudErrors, Conflicting, Guarded, Selectable},
    auth::{By, ByTenant, NoScope, SendersWrite, SentByTenant},
    failure::Failure,
    links,
};

const KIND: &str = "WhatsAppMessageLink";
const USUAL_FIELDS: &[&str] = &["code", "prefilled_message", "deep_link_url"];

/// A code in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InQrCode {
    /// Any version of the Graph API; it can be left out.
    #[param(example = "v24.0", pattern = r"^v[0-9]+\.[0-9]+$")]
    version: String,
    /// The sender.
    #[param(example = "106540352242922", pattern = "^[0-9]+$")]
    phone_number_id: String,
    /// The code.
    #[param(example = "4O4YGZEG3RIVE7")]
    code: String,
}

/// A code, with the fields that were asked for.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
struct MessageLink {
    #[schema(example = "4O4YGZEG3RIVE7")]
    code: Option<String>,
    /// What is typed when the chat opens.
    #[schema(example = "Do you have bread today?")]
    prefilled_message: Option<String>,
    /// The short link, which the code holds as well.
    #[schema(example = "https://whatsapp.example/q/4O4YGZEG3RIVE7")]
    deep_link_url: Option<String>,
    /// The QR code as an image; only when it was asked for.
    #[schema(example = "https://whatsapp.example/q/4O4YGZEG3RIVE7.svg")]
    qr_image_url: Option<String>,
}

/// A code in a list of one.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "for the documentation")]
struct MessageLinks {
    data: Vec<MessageLink>,
}

/// A code to make, or to change.
#[derive(Deserialize, ToSchema)]
struct MessageLinkRequest {
    /// What is typed when the chat opens.
    #[schema(example = "Do you have bread today?", min_length = 1, max_length = 140)]
    prefilled_message: String,
    /// `SVG` or `PNG`: answers the address of an image as well.
    #[schema(example = "SVG")]
    generate_qr_image: Option<String>,
    /// The code to change; a new one is made without it.
    #[schema(example = json!(null))]
    code: Option<String>,
}

/// How a picture is wanted.
fn image_format(wanted: Option<&str>, at: &str) -> Result<Option<&'static str>, ApiError> {
    match wanted {
        None => Ok(None),
        Some(format) if format.eq_ignore_ascii_case("svg") => Ok(Some("svg")),
        Some(format) if format.eq_ignore_ascii_case("png") => Ok(Some("png")),
        Some(_) => Err(ApiError::breach(at, "must be SVG or PNG")),
    }
}

fn all_fields(base_url: &str, code: &QrCode, image: Option<&str>) -> Map<String, Value> {
    let link = links::address(base_url, &code.code);
    let image_url = image.map(|format| format!("{link}.{format}"));
    let all = json!({
        "code": code.code,
        "prefilled_message": code.prefilled_message,
        "deep_link_url": link,
        "qr_image_url": image_url,
    });
    match all {
        Value::Object(mut all) => {
            if image.is_none() {
                all.remove("qr_image_url");
            }
            all
        }
        _ => Map::new(),
    }
}

/// A code as a list shows it.
fn listed(by: &By<Tenant, NoScope>, fields: Option<&Fields>, code: &QrCode) -> Result<Value, ApiError> {
    let wanted = fields.filter(|fields| fields.names("qr_image_url"));
    let wanted = wanted.map(|fields| fields.modifier("qr_image_url", "format").unwrap_or("SVG"));
    let image = image_format(wanted, "?fields")?.unwrap_or("svg");
    let all = all_fields(&by.api.base_url, code, Some(image));
    Ok(Value::Object(chosen(fields, KIND, USUAL_FIELDS, all)?))
}

/// List the QR codes of a phone number
///
/// `qr_image_url.format(SVG)` or `.format(PNG)` among the fields answers images as well.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudListQrCodes",
    path = "/{version}/{phone_number_id}/message_qrdls",
    params(InNumber, ListQuery),
    responses(
        (status = 200, description = "A page of codes.", body = CloudPage<MessageLink>),
        Guarded<NoScope, CloudErrors>, Absent<CloudErrors>, Selectable<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/message_qrdls")]
pub(crate) async fn list_qr_codes(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let (id, query) = (by.id::<SenderId>("phone_number_id")?, by.query::<ListQuery>()?);
        let fields = query.fields()?;
        let page = by.api.senders.qr_codes(by.principal.business(), Some(id), &query.paging()?).await?;
        let key = |code: &QrCode| code.code.clone();
        let keys = page.entries.first().map(key).zip(page.entries.last().map(key));
        let data: Result<Vec<Value>, ApiError> =
            page.entries.iter().map(|code| listed(&by, fields.as_ref(), code)).collect();
        Ok(HttpResponse::Ok().json(CloudPage::new(&by, data?, keys, page.next.is_some())))
    })
    .await
}

/// Read a QR code
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudReadQrCode",
    path = "/{version}/{phone_number_id}/message_qrdls/{code}",
    params(InQrCode, ListQuery),
    responses(
        (status = 200, description = "The code.", body = MessageLinks),
        Guarded<NoScope, CloudErrors>, Absent<CloudErrors>, Selectable<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/message_qrdls/{code}")]
pub(crate) async fn read_qr_code(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let fields = by.query::<ListQuery>()?.fields()?;
        let code = found(&by).await?;
        Ok(HttpResponse::Ok().json(json!({"data": [listed(&by, fields.as_ref(), &code)?]})))
    })
    .await
}

/// Make a QR code, or change one
///
/// What is printed already leads to the message as it was changed last.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudWriteQrCode",
    path = "/{version}/{phone_number_id}/message_qrdls",
    params(InNumber),
    request_body = MessageLinkRequest,
    responses(
        (status = 200, description = "The code.", body = MessageLink),
        Guarded<SendersWrite, CloudErrors>, Absent<CloudErrors>, Bodied<CloudErrors>, Conflicting<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/message_qrdls")]
pub(crate) async fn write_qr_code(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let request: MessageLinkRequest = body(&sent)?;
        let image = image_format(request.generate_qr_image.as_deref(), "/generate_qr_image")?;
        let (actor, senders, now) = (by.actor(), &by.api.senders, now_ms());
        let code = match request.code.as_deref().filter(|code| !code.is_empty()) {
            Some(code) => {
                of_number(by, code).await?;
                senders.change_qr_code(&actor, by.principal.business(), code, &request.prefilled_message, now).await?
            }
            None => {
                let id = by.id::<SenderId>("phone_number_id")?;
                senders.create_qr_code(&actor, &by.subtree(), id, &request.prefilled_message, now).await?
            }
        };
        Ok(HttpResponse::Ok().json(all_fields(&by.api.base_url, &code, image)))
    })
    .await
}

/// Change a QR code
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudChangeQrCode",
    path = "/{version}/{phone_number_id}/message_qrdls/{code}",
    params(InQrCode),
    request_body = MessageLinkRequest,
    responses(
        (status = 200, description = "The code.", body = MessageLink),
        Guarded<SendersWrite, CloudErrors>, Absent<CloudErrors>, Bodied<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/message_qrdls/{code}")]
pub(crate) async fn change_qr_code(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let code = found(by).await?.code;
        let request: MessageLinkRequest = body(&sent)?;
        let image = image_format(request.generate_qr_image.as_deref(), "/generate_qr_image")?;
        let (business, message) = (by.principal.business(), &request.prefilled_message);
        let code = by.api.senders.change_qr_code(&by.actor(), business, &code, message, now_ms()).await?;
        Ok(HttpResponse::Ok().json(all_fields(&by.api.base_url, &code, image)))
    })
    .await
}

/// Delete a QR code
///
/// What is printed leads nowhere from then on.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudDeleteQrCode",
    path = "/{version}/{phone_number_id}/message_qrdls/{code}",
    params(InQrCode),
    responses(
        (status = 200, description = "It is gone.", body = Done),
        Guarded<SendersWrite, CloudErrors>, Absent<CloudErrors>,
    ),
)]
#[delete("/{version:(?:v[0-9]+\\.[0-9]+/)?}{phone_number_id:[0-9]+}/message_qrdls/{code}")]
pub(crate) async fn delete_qr_code(by: ByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let code = found(&by).await?.code;
        by.api.senders.remove_qr_code(&by.actor(), by.principal.business(), &code, now_ms()).await?;
        Ok(done())
    })
    .await
}

/// The code in the path, if it is one of the number in the path.
async fn found<N>(by: &By<Tenant, N>) -> Result<QrCode, ApiError> {
    of_number(by, by.request.match_info().get("code").unwrap_or_default()).await
}

async fn of_number<N>(by: &By<Tenant, N>, code: &str) -> Result<QrCode, ApiError> {
    let sender = by.id::<SenderId>("phone_number_id")?;
    let found = by.api.senders.qr_code(by.principal.business(), code).await?;
    if found.sender == sender { Ok(found) } else { Err(ApiError::missing("QR code", &found.code)) }
}
