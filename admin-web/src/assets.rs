//! The style sheet, the script and the icon: an address of an asset never changes its content, so
//! browsers may keep it for ever, and a new build is seen at once.

use std::sync::LazyLock;

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    web,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// Where assets are, within the scope of the dashboard.
pub(crate) const ROUTE: &str = "/assets/{name}";
/// Digits of the content's hash in an address.
const HASH_CHARS: usize = 16;

struct Asset {
    name: String,
    media_type: &'static str,
    body: &'static str,
}

impl Asset {
    fn new(stem: &str, extension: &str, media_type: &'static str, body: &'static str) -> Self {
        let hash = hex::encode(Sha256::digest(body.as_bytes()));
        Self { name: format!("{stem}-{}.{extension}", &hash[..HASH_CHARS]), media_type, body }
    }

    fn path(&self) -> String {
        format!("/admin/assets/{}", self.name)
    }
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", include_str!("../assets/style.css")));
static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("script", "js", "text/javascript; charset=utf-8", include_str!("../assets/script.js")));
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_str!("../assets/icon.svg")));

/// The address of the style sheet.
pub(crate) fn style_path() -> String {
    STYLE.path()
}

/// The address of the script.
pub(crate) fn script_path() -> String {
    SCRIPT.path()
}

/// The hash of the script, as a policy and an `integrity` name it.
pub(crate) fn script_hash() -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(SCRIPT.body)))
}

/// The address of the icon that browsers show beside the title.
pub(crate) fn icon_path() -> String {
    ICON.path()
}

pub(crate) async fn serve(name: web::Path<String>) -> Result<HttpResponse, Failure> {
    let asset = [&STYLE, &SCRIPT, &ICON].into_iter().find(|asset| asset.name == *name).ok_or(Failure::NotFound)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.media_type))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(asset.body))
}
