//! QR codes and short links that open a chat with a sender.

use actix_web::{HttpResponse, delete, get, patch, post};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::{now_ms, rfc3339},
    error::ApiError,
    ids::SenderId,
    senders,
};

use crate::{
    answers::{Absent, Asked, Bodied, Conflicting, Guarded},
    auth::{ByTenant, NoScope, SendersWrite, SentByTenant},
    bodies::PageOf,
    failure::Failure,
    input, links,
};

/// A code in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InCode {
    /// The code.
    #[param(example = "4O4YGZEG3RIVE7")]
    qr_code: String,
}

/// Which codes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct CodesQuery {
    /// Those of this sender.
    #[param(example = "106540352242922")]
    sender: Option<String>,
    /// `next` of the page before; the first page without it.
    cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
}

/// A code that opens a chat with a sender.
#[derive(Debug, Serialize, ToSchema)]
struct QrCode {
    #[schema(example = "4O4YGZEG3RIVE7")]
    code: String,
    /// The sender's phone number id.
    #[schema(example = "106540352242922")]
    sender: String,
    /// What is typed when the chat opens.
    #[schema(example = "Do you have bread today?")]
    prefilled_message: String,
    /// The short link, which the code holds as well.
    #[schema(example = "https://whatsapp.example/q/4O4YGZEG3RIVE7")]
    url: String,
    /// The QR code as an SVG image.
    #[schema(example = "https://whatsapp.example/q/4O4YGZEG3RIVE7.svg")]
    svg_url: String,
    /// The QR code as a PNG image.
    #[schema(example = "https://whatsapp.example/q/4O4YGZEG3RIVE7.png")]
    png_url: String,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    updated_at: String,
}

impl QrCode {
    fn new(base_url: &str, code: senders::QrCode) -> Self {
        let url = links::address(base_url, &code.code);
        Self {
            sender: code.sender.to_string(),
            prefilled_message: code.prefilled_message,
            svg_url: format!("{url}.svg"),
            png_url: format!("{url}.png"),
            url,
            created_at: rfc3339(code.created_at),
            updated_at: rfc3339(code.updated_at),
            code: code.code,
        }
    }
}

/// A code to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QrCodeRequest {
    /// The sender's phone number id.
    #[schema(example = "106540352242922")]
    sender: String,
    /// What is typed when the chat opens.
    #[schema(example = "Do you have bread today?", min_length = 1, max_length = 140)]
    prefilled_message: String,
}

/// What is to be changed of a code.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QrCodeChange {
    /// What is typed when the chat opens.
    #[schema(example = "Do you have bread today?", min_length = 1, max_length = 140)]
    prefilled_message: String,
}

/// List the QR codes
#[utoipa::path(
    tag = "Senders",
    operation_id = "listQrCodes",
    params(CodesQuery),
    responses(
        (status = 200, description = "A page of codes.", body = PageOf<QrCode>),
        Guarded<NoScope>, Absent, Asked,
    ),
)]
#[get("/v1/qr_codes")]
pub(crate) async fn list_qr_codes(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let query: CodesQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        let sender = query.sender.map(|text| text.parse::<SenderId>().map_err(|_| no_sender(&text))).transpose()?;
        let page = by.api.senders.qr_codes(by.principal.business(), sender, &paging).await?;
        let page = page.map(|code| QrCode::new(&by.api.base_url, code));
        Ok(HttpResponse::Ok().json(PageOf::<QrCode>::from(page)))
    })
    .await
}

/// Make a QR code
#[utoipa::path(
    tag = "Senders",
    operation_id = "createQrCode",
    request_body = QrCodeRequest,
    responses(
        (status = 201, description = "The code.", body = QrCode),
        Guarded<SendersWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/v1/qr_codes")]
pub(crate) async fn create_qr_code(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let request: QrCodeRequest = input::json(&sent.body)?;
        let sender = request.sender.parse::<SenderId>().map_err(|_| no_sender(&request.sender))?;
        let (actor, subtree, message) = (by.actor(), by.subtree(), &request.prefilled_message);
        let code = by.api.senders.create_qr_code(&actor, &subtree, sender, message, now_ms()).await?;
        let location = format!("/v1/qr_codes/{}", code.code);
        let code = QrCode::new(&by.api.base_url, code);
        Ok(HttpResponse::Created().insert_header(("location", location)).json(code))
    })
    .await
}

/// Read a QR code
#[utoipa::path(
    tag = "Senders",
    operation_id = "getQrCode",
    params(InCode),
    responses((status = 200, description = "The code.", body = QrCode), Guarded<NoScope>, Absent),
)]
#[get("/v1/qr_codes/{qr_code}")]
pub(crate) async fn get_qr_code(by: ByTenant<NoScope>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let code = by.api.senders.qr_code(by.principal.business(), &by.id::<String>("qr_code")?).await?;
        Ok(HttpResponse::Ok().json(QrCode::new(&by.api.base_url, code)))
    })
    .await
}

/// Change a QR code
///
/// What is printed already leads to the new message.
#[utoipa::path(
    tag = "Senders",
    operation_id = "changeQrCode",
    params(InCode),
    request_body = QrCodeChange,
    responses((status = 200, description = "The code.", body = QrCode), Guarded<SendersWrite>, Absent, Bodied),
)]
#[patch("/v1/qr_codes/{qr_code}")]
pub(crate) async fn change_qr_code(sent: SentByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let (code, change) = (by.id::<String>("qr_code")?, input::json::<QrCodeChange>(&sent.body)?);
        let (business, message) = (by.principal.business(), &change.prefilled_message);
        let code = by.api.senders.change_qr_code(&by.actor(), business, &code, message, now_ms()).await?;
        Ok(HttpResponse::Ok().json(QrCode::new(&by.api.base_url, code)))
    })
    .await
}

/// Delete a QR code
///
/// What is printed leads nowhere from then on.
#[utoipa::path(
    tag = "Senders",
    operation_id = "deleteQrCode",
    params(InCode),
    responses((status = 204, description = "It is gone."), Guarded<SendersWrite>, Absent),
)]
#[delete("/v1/qr_codes/{qr_code}")]
pub(crate) async fn delete_qr_code(by: ByTenant<SendersWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let code = by.id::<String>("qr_code")?;
        by.api.senders.remove_qr_code(&by.actor(), by.principal.business(), &code, now_ms()).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

fn no_sender(given: &str) -> ApiError {
    ApiError::missing("sender", &waystation_core::messages::request::excerpt(given))
}
