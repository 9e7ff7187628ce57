//! What the Cloud API's routes have in common: bodies that may be JSON or a form, pages, and
//! the ids in their paths.

use actix_web::HttpResponse;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};
use url::form_urlencoded;
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    error::ApiError,
    ids::AccountId,
    paging::{PAGE_MAX_ENTRIES, Paging},
    store::BusinessView,
    tenancy::Tenant,
};

use super::fields::Fields;
use crate::{
    auth::{By, SentByTenant},
    input,
};

/// A sender in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
pub(super) struct InNumber {
    /// Any version of the Graph API; it can be left out.
    #[param(example = "v24.0", pattern = r"^v[0-9]+\.[0-9]+$")]
    version: String,
    /// The sender.
    #[param(example = "106540352242922", pattern = "^[0-9]+$")]
    phone_number_id: String,
}

/// An account in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
pub(super) struct InAccount {
    /// Any version of the Graph API; it can be left out.
    #[param(example = "v24.0", pattern = r"^v[0-9]+\.[0-9]+$")]
    version: String,
    /// The WhatsApp Business account of your business.
    #[param(example = "102290129340398", pattern = "^[0-9]+$")]
    waba_id: String,
}

/// Which fields, and of a list which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// The fields to answer, with commas between them; the usual ones when left out.
    #[param(example = "id,display_phone_number")]
    fields: Option<String>,
    /// Entries of the page, from 1; 50 when left out, and never more than 200.
    #[param(minimum = 1, example = 50)]
    limit: Option<u32>,
    /// `paging.cursors.after` of the page before; the first page without it.
    after: Option<String>,
}

impl ListQuery {
    pub(super) fn fields(&self) -> Result<Option<Fields>, ApiError> {
        Fields::read(self.fields.as_deref())
    }

    pub(super) fn paging(&self) -> Result<Paging, ApiError> {
        Paging::read(self.after.as_deref(), self.limit.map(|limit| limit.min(PAGE_MAX_ENTRIES)))
    }
}

/// It was done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Done {
    /// Always true.
    #[schema(example = true)]
    success: bool,
}

/// The answer that says that it was done.
pub(super) fn done() -> HttpResponse {
    HttpResponse::Ok().json(Done { success: true })
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CloudPage<T> {
    pub(super) data: Vec<T>,
    /// Where the list goes on; not there on an empty page, so that following it comes to an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) paging: Option<CloudPaging>,
}

/// Where a list goes on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct CloudPaging {
    cursors: CloudCursors,
    /// The address of the next page; not there at the end of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://whatsapp.example/v24.0/102290129340398/phone_numbers?after=MTA2NTQw")]
    next: Option<String>,
}

/// The ends of a page.
#[derive(Debug, Serialize, ToSchema)]
struct CloudCursors {
    /// Its first entry.
    #[schema(example = "MTA2NTQw")]
    before: String,
    /// Its last entry: `after` of the next page.
    #[schema(example = "MTA2NTQw")]
    after: String,
}

impl<T> CloudPage<T> {
    /// A page of `data`, whose first and last entries have these keys. `more` says whether
    /// the list goes on.
    pub(super) fn new<P>(by: &By<P, impl Sized>, data: Vec<T>, keys: Option<(String, String)>, more: bool) -> Self {
        let paging = keys.map(|(first, last)| {
            let cursors = CloudCursors { before: Paging::cursor(&first), after: Paging::cursor(&last) };
            let next = more.then(|| next_page(by, &cursors.after));
            CloudPaging { cursors, next }
        });
        Self { data, paging }
    }
}

/// The address of this request with another `after`.
fn next_page<P>(by: &By<P, impl Sized>, after: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let asked = form_urlencoded::parse(by.request.query_string().as_bytes());
    query.extend_pairs(asked.filter(|(name, _)| name != "after" && name != "access_token"));
    query.append_pair("after", after);
    format!("{}{}?{}", by.api.base_url, by.request.path(), query.finish())
}

/// The body as `T`: JSON or a form, completed by the query, as the Graph API has it.
pub(super) fn body<T: DeserializeOwned, N>(sent: &SentByTenant<N>) -> Result<T, ApiError> {
    let mut members = match sent.body.trim_ascii() {
        [] => Map::new(),
        text if is_form(sent) => pairs(text),
        text => input::json(text)?,
    };
    for (name, value) in pairs(sent.by.request.query_string().as_bytes()) {
        members.entry(name).or_insert(value);
    }
    input::value(Value::Object(members))
}

fn is_form<N>(sent: &SentByTenant<N>) -> bool {
    let kind = sent.by.request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.starts_with("application/x-www-form-urlencoded") && !sent.body.trim_ascii().starts_with(b"{")
}

fn pairs(text: &[u8]) -> Map<String, Value> {
    form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()
}

/// The business of whoever asks.
pub(super) async fn own_business<N>(by: &By<Tenant, N>) -> Result<BusinessView, ApiError> {
    by.api.registry.business(&by.subtree(), by.principal.business()).await
}

/// The business of whoever asks, when the account in the path is its own.
pub(super) async fn own_account<N>(by: &By<Tenant, N>) -> Result<BusinessView, ApiError> {
    let id: AccountId = by.id("waba_id")?;
    let business = own_business(by).await?;
    if business.account == id { Ok(business) } else { Err(ApiError::missing("account", &id)) }
}
