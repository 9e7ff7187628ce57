//! Short links, which anybody may follow: a QR code leads to one, and it leads on to the
//! chat. They are for people and not part of the API's documents.

use actix_web::{HttpRequest, HttpResponse, Resource, web};
use waystation_core::{
    error::{ApiError, ErrorKind},
    limits::Demand,
    qr,
};

use crate::{
    Api,
    failure::Failure,
    request::origin_of,
    shared::{QUERY_MAX, within},
};

/// Links that one address may follow in a second.
const FOLLOWED_PER_SECOND_MAX: u32 = 20;

/// The address of the link with this code.
pub(crate) fn address(base_url: &str, code: &str) -> String {
    format!("{base_url}/q/{code}")
}

/// `GET /q/{code}` leads to the chat; with `.svg` or `.png` it is the QR code.
pub(crate) fn resource() -> Resource {
    web::resource("/q/{link}").route(web::get().to(follow)).default_service(web::to(crate::no_such_route))
}

async fn follow(request: HttpRequest, link: web::Path<String>, api: web::Data<Api>) -> Result<HttpResponse, Failure> {
    within(QUERY_MAX, &request, async {
        if let Some(address) = origin_of(&request).address {
            let demand = Demand::per_second(format!("link:{address}"), FOLLOWED_PER_SECOND_MAX);
            let ruling = api.limiter.take(vec![demand]).await;
            if !ruling.allowed {
                let details = "Too many links are followed from this address.";
                return Err(ApiError::new(ErrorKind::RateLimited, details).retry_after_ms(ruling.retry_after_ms()));
            }
        }
        let (code, format) = match link.split_once('.') {
            Some((code, format)) => (code, Some(format)),
            None => (link.as_str(), None),
        };
        let target = api.senders.qr_target(code).await?;
        let (kind, image) = match format {
            None => return Ok(HttpResponse::Found().insert_header(("location", target.chat_url())).finish()),
            Some("svg") => ("image/svg+xml", qr::svg(&address(&api.base_url, code)).map(String::into_bytes)),
            Some("png") => ("image/png", qr::png(&address(&api.base_url, code))),
            Some(_) => return Err(ApiError::missing("image", &"of this format: there are .svg and .png")),
        };
        let image = image.ok_or_else(|| ApiError::new(ErrorKind::Internal, "The code could not be drawn."))?;
        // An SVG may be opened as a page: nothing in it runs.
        let policy = ("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'");
        let fixed = ("x-content-type-options", "nosniff");
        Ok(HttpResponse::Ok().content_type(kind).insert_header(policy).insert_header(fixed).body(image))
    })
    .await
}
