//! The people that a business writes to: contacts, their consents, and what they want no more of.

use std::time::Duration;

use actix_web::{
    HttpResponse, delete, get, patch, post, put,
    web::{self, Bytes},
};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::{now_ms, rfc3339},
    contacts::{
        AttributeKind, Consent, ConsentRequest, ContactChange, ContactQuery, ContactView, OptOut, Reach, Suppression,
        SuppressionRequest, SuppressionSource,
    },
    error::{ApiError, ErrorKind},
    ids::ContactId,
    messages::Category,
    store::{AttributeView, ImportFault, ImportView},
};

use crate::{
    answers::{Absent, Asked, Bodied, Conflicting, Guarded},
    auth::{ByTenant, ContactsWrite, SentByTenant},
    bodies::{PageOf, PageQuery},
    failure::Failure,
    input,
};

/// How long an import may take.
const IMPORT_MAX: Duration = Duration::from_secs(15 * 60);
/// How long the next piece of a table may take to arrive.
const PIECE_MAX: Duration = Duration::from_secs(30);
/// Largest table, in bytes.
const TABLE_MAX_BYTES: usize = 256 * 1024 * 1024;

type Answer = Result<HttpResponse, Failure>;

/// A contact in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InContact {
    /// The contact.
    #[param(example = "con_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    contact: String,
}

/// An attribute in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InAttribute {
    /// The name of the attribute.
    #[param(example = "loyalty_points")]
    attribute: String,
}

/// An import in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InImport {
    /// The import.
    #[param(example = "imp_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    import: String,
}

/// A suppression in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InSuppression {
    /// The suppression.
    #[param(example = "sup_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    suppression: String,
}

/// Which contacts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ContactsQuery {
    /// `next` of the page before; the first page without it.
    cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// Those with this tag.
    #[param(example = "regular")]
    tag: Option<String>,
    /// Those with this value of an attribute: its name, `=` and the value.
    #[param(example = "loyalty_points=120")]
    attribute: Option<String>,
    /// The one with this phone number.
    #[param(example = "16505551234")]
    phone: Option<String>,
    /// The one with this user id.
    #[param(example = "US.13491208655302741918")]
    user_id: Option<String>,
    /// Those that changed at this time or later, in the order of their changes. RFC 3339.
    #[param(example = "2026-11-22T10:00:00Z")]
    updated_since: Option<String>,
    /// Those that want no more of something, or, with `false`, the others.
    #[param(example = false)]
    opted_out: Option<bool>,
}

/// Which suppressions.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SuppressionsQuery {
    /// `next` of the page before; the first page without it.
    cursor: Option<String>,
    /// Entries of the page, from 1 to 200; 50 when left out.
    #[param(minimum = 1, maximum = 200, example = 50)]
    limit: Option<u32>,
    /// Those of this phone number.
    #[param(example = "16505551234")]
    phone: Option<String>,
    /// Those of this user id.
    #[param(example = "US.13491208655302741918")]
    user_id: Option<String>,
}

/// A person that the business knows.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": "con_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C", "phone": "16505551234", "user_id": "US.13491208655302741918",
    "profile_name": "Ana R.", "given_name": "Ana", "language": "en_US", "time_zone": "America/Los_Angeles",
    "tags": ["regular"], "attributes": {"loyalty_points": 120},
    "consents": [
        {"channel": "whatsapp", "category": "marketing", "granted": true, "at": "2026-11-22T10:00:00.000Z"},
    ],
    "opt_outs": [], "created_at": "2026-11-22T10:00:00.000Z", "updated_at": "2026-11-22T10:00:00.000Z",
}))]
pub(crate) struct ContactBody {
    #[schema(example = "con_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    /// Their phone number, digits without `+`; null for somebody who is known by a user id only.
    #[schema(example = "16505551234")]
    phone: Option<String>,
    /// Their business-scoped user id.
    #[schema(example = "US.13491208655302741918")]
    user_id: Option<String>,
    /// The name in their profile, as the network told it.
    #[schema(example = "Ana R.")]
    profile_name: Option<String>,
    /// What the business calls them.
    #[schema(example = "Ana")]
    given_name: Option<String>,
    #[schema(example = "en_US")]
    language: Option<String>,
    /// Their time zone as it was given, or else that of their number's country if it has only one.
    #[schema(example = "America/Los_Angeles")]
    time_zone: Option<String>,
    #[schema(example = json!(["regular"]))]
    tags: Vec<String>,
    #[schema(value_type = Object)]
    attributes: Value,
    /// What they agreed to, or took back, as it stands.
    consents: Vec<ConsentState>,
    /// What they want no more of.
    opt_outs: Vec<OptOutBody>,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    updated_at: String,
}

/// What a person agreed to, or took back.
#[derive(Debug, Serialize, ToSchema)]
struct ConsentState {
    #[schema(example = "whatsapp")]
    channel: String,
    category: Category,
    #[schema(example = true)]
    granted: bool,
    /// When they said so. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    at: String,
}

/// Something that a person wants no more of.
#[derive(Debug, Serialize, ToSchema)]
struct OptOutBody {
    /// On which channel; `all` for all of them.
    #[schema(example = "whatsapp")]
    channel: String,
    /// What is held back.
    category: Reach,
    source: SuppressionSource,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    since: String,
}

impl From<OptOut> for OptOutBody {
    fn from(opt_out: OptOut) -> Self {
        Self {
            channel: opt_out.channel,
            category: opt_out.reach,
            source: opt_out.source,
            since: rfc3339(opt_out.since),
        }
    }
}

impl From<ContactView> for ContactBody {
    fn from(view: ContactView) -> Self {
        let ContactView { contact, consents, opt_outs } = view;
        let time_zone = contact.details.zone().map(ToOwned::to_owned);
        let details = contact.details;
        let state = |consent: Consent| ConsentState {
            channel: consent.channel,
            category: consent.category,
            granted: consent.granted,
            at: rfc3339(consent.at),
        };
        Self {
            id: contact.id.to_string(),
            phone: details.phone,
            user_id: details.user_id,
            profile_name: details.profile_name,
            given_name: details.given_name,
            language: details.language,
            time_zone,
            tags: details.tags.into_iter().collect(),
            attributes: Value::Object(details.attributes.into_iter().collect()),
            consents: consents.into_iter().map(state).collect(),
            opt_outs: opt_outs.into_iter().map(Into::into).collect(),
            created_at: rfc3339(contact.created_at),
            updated_at: rfc3339(contact.updated_at),
        }
    }
}

/// A line in the history of a contact's consents.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsentBody {
    #[schema(example = "cst_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    #[schema(example = "whatsapp")]
    channel: String,
    category: Category,
    /// Whether they agreed, or took it back.
    #[schema(example = true)]
    granted: bool,
    /// Where they said so.
    #[schema(example = "checkout form")]
    source: String,
    /// Which text they agreed to.
    #[schema(example = "2026-03")]
    text_version: Option<String>,
    /// What shows it.
    #[schema(example = "order 1042, 198.51.100.7")]
    evidence: Option<String>,
    /// When they said so. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    at: String,
    /// When it was written down. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    recorded_at: String,
}

impl From<Consent> for ConsentBody {
    fn from(consent: Consent) -> Self {
        Self {
            id: consent.id.to_string(),
            channel: consent.channel,
            category: consent.category,
            granted: consent.granted,
            source: consent.source,
            text_version: consent.text_version,
            evidence: consent.evidence,
            at: rfc3339(consent.at),
            recorded_at: rfc3339(consent.recorded_at),
        }
    }
}

/// The contact that is one with another.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MergeRequest {
    /// The contact that goes; what only it has is kept.
    #[schema(value_type = String, example = "con_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9D")]
    other: ContactId,
}

/// An attribute that contacts may have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AttributeBody {
    #[schema(example = "loyalty_points")]
    name: String,
    /// What kind of value it has.
    #[serde(rename = "type")]
    kind: AttributeKind,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
}

impl From<AttributeView> for AttributeBody {
    fn from(view: AttributeView) -> Self {
        Self { name: view.name, kind: view.kind, created_at: rfc3339(view.created_at) }
    }
}

/// What kind of value an attribute is to have.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"type": "number"}))]
pub(crate) struct AttributeRequest {
    #[serde(rename = "type")]
    kind: AttributeKind,
}

/// Somebody to protect: a phone number or a user id.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"phone": "+16505551234", "category": "marketing", "reason": "asked on the phone"}))]
pub(crate) struct SuppressionBodyRequest {
    #[serde(default)]
    phone: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    /// On which channel; on all of them when left out.
    #[serde(default)]
    channel: Option<String>,
    /// From what; from everything when left out.
    #[serde(default)]
    category: Option<Reach>,
    /// Why, of 1 to 200 characters.
    #[serde(default)]
    reason: Option<String>,
}

/// Somebody who must not be written to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SuppressionBody {
    #[schema(example = "sup_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    /// The phone number or user id; null once the contact was erased.
    #[schema(example = "16505551234")]
    address: Option<String>,
    /// On which channel; `all` for all of them.
    #[schema(example = "whatsapp")]
    channel: String,
    /// What is held back.
    category: Reach,
    source: SuppressionSource,
    #[schema(example = json!(null))]
    reason: Option<String>,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    created_at: String,
}

impl From<Suppression> for SuppressionBody {
    fn from(suppression: Suppression) -> Self {
        Self {
            id: suppression.id.to_string(),
            address: suppression.address,
            channel: suppression.channel,
            category: suppression.reach,
            source: suppression.source,
            reason: suppression.detail,
            created_at: rfc3339(suppression.created_at),
        }
    }
}

/// What a person is told once.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"stop_text": "You get no more messages from us. Write START to get them again."}))]
pub(crate) struct OptOutTextsBody {
    /// When they opt out, of 1 to 1024 characters; nothing without it.
    #[serde(default)]
    stop_text: Option<String>,
    /// When they opt in again, of 1 to 1024 characters; nothing without it.
    #[serde(default)]
    start_text: Option<String>,
}

/// How far a table of contacts was read.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportBody {
    #[schema(example = "imp_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    /// `running`, `finished` or `broken_off`.
    #[schema(example = "finished")]
    state: &'static str,
    /// Rows read, without that of the names of the columns.
    #[schema(example = 100_000)]
    rows: u64,
    /// Rows that made a contact.
    #[schema(example = 99_000)]
    created: u64,
    /// Rows that were about a contact that was there.
    #[schema(example = 998)]
    updated: u64,
    /// Rows that were wrong; `/errors` says how.
    #[schema(example = 2)]
    failed: u64,
    /// Why it broke off.
    #[schema(example = json!(null))]
    failure: Option<String>,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    started_at: String,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:09.000Z")]
    updated_at: String,
}

impl From<ImportView> for ImportBody {
    fn from(view: ImportView) -> Self {
        Self {
            id: view.id.to_string(),
            state: view.state,
            rows: view.counts.read,
            created: view.counts.created,
            updated: view.counts.updated,
            failed: view.counts.failed,
            failure: view.failure,
            started_at: rfc3339(view.started_at),
            updated_at: rfc3339(view.updated_at),
        }
    }
}

/// Something that was wrong with a row.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportErrorBody {
    /// The line in the file, from 1; the first one has the names of the columns.
    #[schema(example = 17)]
    line: u64,
    /// The column; null for the whole row.
    #[schema(example = "phone")]
    column: Option<String>,
    #[schema(example = "must be a phone number with its country code")]
    message: String,
}

impl From<ImportFault> for ImportErrorBody {
    fn from(fault: ImportFault) -> Self {
        Self {
            line: fault.line,
            column: Some(fault.column).filter(|column| !column.is_empty()),
            message: fault.message,
        }
    }
}

fn created<T: Serialize>(location: String, body: &T) -> HttpResponse {
    HttpResponse::Created().insert_header(("location", location)).json(body)
}

/// List contacts
#[utoipa::path(
    tag = "Contacts",
    operation_id = "listContacts",
    params(ContactsQuery),
    responses(
        (status = 200, description = "A page of contacts.", body = PageOf<ContactBody>),
        Guarded<ContactsWrite>, Asked,
    ),
)]
#[get("/v1/contacts")]
pub(crate) async fn list_contacts(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let query: ContactsQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        let which = ContactQuery {
            tag: query.tag,
            attribute: query.attribute,
            phone: query.phone,
            user_id: query.user_id,
            updated_since: query.updated_since,
            opted_out: query.opted_out,
        };
        let page = by.api.contacts.list(by.principal.business(), &which, &paging).await?;
        Ok(HttpResponse::Ok().json(PageOf::<ContactBody>::from(page)))
    })
    .await
}

/// Add a contact
#[utoipa::path(
    tag = "Contacts",
    operation_id = "addContact",
    request_body = ContactChange,
    responses(
        (status = 201, description = "The contact.", body = ContactBody),
        Guarded<ContactsWrite>, Bodied, Conflicting,
    ),
)]
#[post("/v1/contacts")]
pub(crate) async fn add_contact(sent: SentByTenant<ContactsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let change = input::json::<ContactChange>(&sent.body)?;
        let view = by.api.contacts.add(by.principal.business(), change, now_ms()).await?;
        let location = format!("/v1/contacts/{}", view.contact.id);
        Ok(created(location, &ContactBody::from(view)))
    })
    .await
}

/// Add a contact, or change the one with the same phone number or user id
#[utoipa::path(
    tag = "Contacts",
    operation_id = "upsertContact",
    request_body = ContactChange,
    responses(
        (status = 200, description = "The contact.", body = ContactBody),
        Guarded<ContactsWrite>, Bodied, Conflicting,
    ),
)]
#[put("/v1/contacts")]
pub(crate) async fn upsert_contact(sent: SentByTenant<ContactsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let change = input::json::<ContactChange>(&sent.body)?;
        let view = by.api.contacts.upsert(by.principal.business(), change, now_ms()).await?;
        Ok(HttpResponse::Ok().json(ContactBody::from(view)))
    })
    .await
}

/// Export all contacts
///
/// As CSV in UTF-8, in the order in which they became known. Tags are separated by `|`.
#[utoipa::path(
    tag = "Contacts",
    operation_id = "exportContacts",
    responses(
        (
            status = 200, description = "The table.", body = String, content_type = "text/csv",
            example = "id,phone,user_id,profile_name,given_name,language,time_zone,tags,created_at,updated_at\r\n",
        ),
        Guarded<ContactsWrite>,
    ),
)]
#[get("/v1/contacts/export")]
pub(crate) async fn export_contacts(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let (contacts, business) = (by.api.contacts.clone(), by.principal.business().clone());
        let (attributes, head) = contacts.export_head(&business).await?;
        let rest = futures_util::stream::try_unfold(Some(None), move |place: Option<Option<String>>| {
            let (contacts, business, attributes) = (contacts.clone(), business.clone(), attributes.clone());
            async move {
                let Some(after) = place else { return Ok(None) };
                let (lines, next) = contacts.export_lines(&business, &attributes, after).await?;
                Ok::<_, ApiError>(Some((Bytes::from(lines), next.map(Some))))
            }
        });
        let first = futures_util::stream::once(async { Ok(Bytes::from(head)) });
        Ok(HttpResponse::Ok()
            .content_type("text/csv; charset=utf-8")
            .insert_header(("content-disposition", "attachment; filename=\"contacts.csv\""))
            .streaming(first.chain(rest)))
    })
    .await
}

/// Import contacts
///
/// A table as CSV in UTF-8, of at most 100,000 rows, separated by comma, semicolon or tab. The first line names the
/// columns: `phone`, `user_id`, `given_name`, `language`, `time_zone`, `tags` (separated by `|`), and attributes that
/// are defined. Rows are added to what is known; empty cells leave it as it is. Rows that are wrong are told at
/// `/errors`, all others are kept. Nobody who opted out is opted in again by an import. Answers when all is read.
#[utoipa::path(
    tag = "Contacts",
    operation_id = "importContacts",
    request_body(
        content = String, content_type = "text/csv",
        example = "phone,given_name,tags\n+16505551234,Ana,regular|newsletter\n",
    ),
    responses(
        (status = 201, description = "How the import stands: it is finished.", body = ImportBody),
        Guarded<ContactsWrite>, Bodied,
    ),
)]
#[post("/v1/contacts/imports")]
pub(crate) async fn import_contacts(by: ByTenant<ContactsWrite>, body: web::Payload) -> Answer {
    let work = async {
        let mut import = by.api.contacts.import(&by.actor(), by.principal.business()).await?;
        match read_table(&mut import, body).await {
            Ok(()) => {
                let view = import.finish().await?;
                let location = format!("/v1/contacts/imports/{}", view.id);
                Ok(created(location, &ImportBody::from(view)))
            }
            Err(error) => {
                import.break_off(&error).await;
                Err(error)
            }
        }
    };
    crate::shared::within(IMPORT_MAX, &by.request, work).await
}

async fn read_table(import: &mut waystation_core::contacts::Import, mut body: web::Payload) -> Result<(), ApiError> {
    let mut read = 0;
    loop {
        let piece = match tokio::time::timeout(PIECE_MAX, body.next()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(piece))) => piece,
            Ok(Some(Err(_))) => {
                let details = "The body ended early, or its chunks are not well formed.";
                return Err(ApiError::new(ErrorKind::MalformedBody, details));
            }
            Err(_) => {
                let details = format!("Nothing of the body arrived for {} seconds.", PIECE_MAX.as_secs());
                return Err(ApiError::new(ErrorKind::BodyTooSlow, details));
            }
        };
        read += piece.len();
        if read > TABLE_MAX_BYTES {
            let details = format!("The body has more than {TABLE_MAX_BYTES} bytes; what came before is imported.");
            return Err(ApiError::new(ErrorKind::BodyTooLarge, details));
        }
        import.feed(&piece).await?;
    }
}

/// Read how an import stands
#[utoipa::path(
    tag = "Contacts",
    operation_id = "getContactImport",
    params(InImport),
    responses((status = 200, description = "The import.", body = ImportBody), Guarded<ContactsWrite>, Absent),
)]
#[get("/v1/contacts/imports/{import}")]
pub(crate) async fn get_import(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let view = by.api.contacts.import_view(by.principal.business(), &by.id("import")?).await?;
        Ok(HttpResponse::Ok().json(ImportBody::from(view)))
    })
    .await
}

/// List what was wrong with the rows of an import
#[utoipa::path(
    tag = "Contacts",
    operation_id = "listContactImportErrors",
    params(InImport, PageQuery),
    responses(
        (status = 200, description = "A page of errors, in the order of the lines.", body = PageOf<ImportErrorBody>),
        Guarded<ContactsWrite>, Absent, Asked,
    ),
)]
#[get("/v1/contacts/imports/{import}/errors")]
pub(crate) async fn list_import_errors(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let page: PageQuery = by.query()?;
        let paging = input::paging(page.cursor.as_deref(), page.limit)?;
        let faults = by.api.contacts.import_faults(by.principal.business(), &by.id("import")?, &paging).await?;
        Ok(HttpResponse::Ok().json(PageOf::<ImportErrorBody>::from(faults)))
    })
    .await
}

/// Read a contact
#[utoipa::path(
    tag = "Contacts",
    operation_id = "getContact",
    params(InContact),
    responses((status = 200, description = "The contact.", body = ContactBody), Guarded<ContactsWrite>, Absent),
)]
#[get("/v1/contacts/{contact}")]
pub(crate) async fn get_contact(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let view = by.api.contacts.get(by.principal.business(), &by.id("contact")?).await?;
        Ok(HttpResponse::Ok().json(ContactBody::from(view)))
    })
    .await
}

/// Change a contact
///
/// What is left out stays as it is; `null` removes.
#[utoipa::path(
    tag = "Contacts",
    operation_id = "changeContact",
    params(InContact),
    request_body = ContactChange,
    responses(
        (status = 200, description = "The contact.", body = ContactBody),
        Guarded<ContactsWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[patch("/v1/contacts/{contact}")]
pub(crate) async fn change_contact(sent: SentByTenant<ContactsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (id, change) = (by.id("contact")?, input::json::<ContactChange>(&sent.body)?);
        let view = by.api.contacts.change(by.principal.business(), &id, change, now_ms()).await?;
        Ok(HttpResponse::Ok().json(ContactBody::from(view)))
    })
    .await
}

/// Erase a contact
///
/// The contact, its consents and what it could be found by. What remains is that it wants no more messages, if it
/// does, under a keyed hash of its addresses. Messages stay.
#[utoipa::path(
    tag = "Contacts",
    operation_id = "eraseContact",
    params(InContact),
    responses((status = 204, description = "It is gone."), Guarded<ContactsWrite>, Absent),
)]
#[delete("/v1/contacts/{contact}")]
pub(crate) async fn erase_contact(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        by.api.contacts.erase(&by.actor(), by.principal.business(), &by.id("contact")?, now_ms()).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

/// Merge another contact into this one
///
/// Fields of this one win, tags are united, and the stricter consent of both holds.
#[utoipa::path(
    tag = "Contacts",
    operation_id = "mergeContacts",
    params(InContact),
    request_body = MergeRequest,
    responses(
        (status = 200, description = "The contact that both are now.", body = ContactBody),
        Guarded<ContactsWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/v1/contacts/{contact}/merge")]
pub(crate) async fn merge_contacts(sent: SentByTenant<ContactsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (id, request) = (by.id("contact")?, input::json::<MergeRequest>(&sent.body)?);
        let pair = (&id, &request.other);
        let view = by.api.contacts.merge(&by.actor(), by.principal.business(), pair, now_ms()).await?;
        Ok(HttpResponse::Ok().json(ContactBody::from(view)))
    })
    .await
}

/// List what a contact agreed to and took back
#[utoipa::path(
    tag = "Contacts",
    operation_id = "listConsents",
    params(InContact, PageQuery),
    responses(
        (status = 200, description = "A page of the history, oldest first.", body = PageOf<ConsentBody>),
        Guarded<ContactsWrite>, Absent, Asked,
    ),
)]
#[get("/v1/contacts/{contact}/consents")]
pub(crate) async fn list_consents(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let page: PageQuery = by.query()?;
        let paging = input::paging(page.cursor.as_deref(), page.limit)?;
        let history = by.api.contacts.consents(by.principal.business(), &by.id("contact")?, &paging).await?;
        Ok(HttpResponse::Ok().json(PageOf::<ConsentBody>::from(history)))
    })
    .await
}

/// Record what a contact agreed to, or took back
///
/// The history is only ever added to. What holds is what the person said last.
#[utoipa::path(
    tag = "Contacts",
    operation_id = "recordConsent",
    params(InContact),
    request_body = ConsentRequest,
    responses(
        (status = 201, description = "The line that was added.", body = ConsentBody),
        Guarded<ContactsWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/v1/contacts/{contact}/consents")]
pub(crate) async fn record_consent(sent: SentByTenant<ContactsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (id, request) = (by.id("contact")?, input::json::<ConsentRequest>(&sent.body)?);
        let line = by.api.contacts.record_consent(by.principal.business(), &id, &request, now_ms()).await?;
        Ok(created(format!("/v1/contacts/{id}/consents"), &ConsentBody::from(line)))
    })
    .await
}

/// List the attributes that contacts may have
#[utoipa::path(
    tag = "Contacts",
    operation_id = "listContactAttributes",
    responses(
        (status = 200, description = "All of them, on one page.", body = PageOf<AttributeBody>),
        Guarded<ContactsWrite>,
    ),
)]
#[get("/v1/contact_attributes")]
pub(crate) async fn list_attributes(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let attributes = by.api.contacts.attributes(by.principal.business()).await?;
        Ok(HttpResponse::Ok().json(PageOf::<AttributeBody>::whole(attributes)))
    })
    .await
}

/// Define an attribute of contacts
///
/// At most 50. The type of one that is defined cannot change.
#[utoipa::path(
    tag = "Contacts",
    operation_id = "defineContactAttribute",
    params(InAttribute),
    request_body = AttributeRequest,
    responses(
        (status = 200, description = "The attribute.", body = AttributeBody),
        Guarded<ContactsWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[put("/v1/contact_attributes/{attribute}")]
pub(crate) async fn define_attribute(sent: SentByTenant<ContactsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (name, request) = (by.id::<String>("attribute")?, input::json::<AttributeRequest>(&sent.body)?);
        let what = (name.as_str(), request.kind);
        let view = by.api.contacts.define(&by.actor(), by.principal.business(), what, now_ms()).await?;
        Ok(HttpResponse::Ok().json(AttributeBody::from(view)))
    })
    .await
}

/// Remove an attribute that no contact has
#[utoipa::path(
    tag = "Contacts",
    operation_id = "removeContactAttribute",
    params(InAttribute),
    responses((status = 204, description = "It is gone."), Guarded<ContactsWrite>, Absent, Conflicting),
)]
#[delete("/v1/contact_attributes/{attribute}")]
pub(crate) async fn remove_attribute(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let name = by.id::<String>("attribute")?;
        by.api.contacts.undefine(&by.actor(), by.principal.business(), &name, now_ms()).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

/// List who must not be written to
#[utoipa::path(
    tag = "Suppressions",
    operation_id = "listSuppressions",
    params(SuppressionsQuery),
    responses(
        (status = 200, description = "A page of suppressions.", body = PageOf<SuppressionBody>),
        Guarded<ContactsWrite>, Asked,
    ),
)]
#[get("/v1/suppressions")]
pub(crate) async fn list_suppressions(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let query: SuppressionsQuery = by.query()?;
        let paging = input::paging(query.cursor.as_deref(), query.limit)?;
        let who = (query.phone.as_deref(), query.user_id.as_deref());
        let page = by.api.contacts.suppressions(by.principal.business(), who, &paging).await?;
        Ok(HttpResponse::Ok().json(PageOf::<SuppressionBody>::from(page)))
    })
    .await
}

/// Write to somebody no more
///
/// Holds for every message that is not on its way yet; what is scheduled for them is canceled.
#[utoipa::path(
    tag = "Suppressions",
    operation_id = "addSuppression",
    request_body = SuppressionBodyRequest,
    responses(
        (status = 201, description = "The suppression.", body = SuppressionBody),
        Guarded<ContactsWrite>, Bodied,
    ),
)]
#[post("/v1/suppressions")]
pub(crate) async fn add_suppression(sent: SentByTenant<ContactsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let body = input::json::<SuppressionBodyRequest>(&sent.body)?;
        let request = SuppressionRequest {
            phone: body.phone,
            user_id: body.user_id,
            channel: body.channel,
            reach: body.category,
            reason: body.reason,
        };
        let added = by.api.contacts.suppress(&by.actor(), by.principal.business(), &request, now_ms()).await?;
        Ok(created(format!("/v1/suppressions/{}", added.id), &SuppressionBody::from(added)))
    })
    .await
}

/// Read a suppression
#[utoipa::path(
    tag = "Suppressions",
    operation_id = "getSuppression",
    params(InSuppression),
    responses(
        (status = 200, description = "The suppression.", body = SuppressionBody),
        Guarded<ContactsWrite>, Absent,
    ),
)]
#[get("/v1/suppressions/{suppression}")]
pub(crate) async fn get_suppression(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let found = by.api.contacts.suppression(by.principal.business(), &by.id("suppression")?).await?;
        Ok(HttpResponse::Ok().json(SuppressionBody::from(found)))
    })
    .await
}

/// End a suppression
///
/// Only with the person's consent: it may be one that they asked for.
#[utoipa::path(
    tag = "Suppressions",
    operation_id = "removeSuppression",
    params(InSuppression),
    responses((status = 204, description = "It is gone."), Guarded<ContactsWrite>, Absent),
)]
#[delete("/v1/suppressions/{suppression}")]
pub(crate) async fn remove_suppression(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        by.api.contacts.lift(&by.actor(), by.principal.business(), &by.id("suppression")?, now_ms()).await?;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}

/// Read what people are told when they opt out
#[utoipa::path(
    tag = "Suppressions",
    operation_id = "getOptOutTexts",
    responses((status = 200, description = "The texts.", body = OptOutTextsBody), Guarded<ContactsWrite>),
)]
#[get("/v1/opt_out_texts")]
pub(crate) async fn get_opt_out_texts(by: ByTenant<ContactsWrite>) -> Answer {
    by.answer(async {
        let (stop_text, start_text) = by.api.contacts.opt_out_texts(by.principal.business()).await?;
        Ok(HttpResponse::Ok().json(OptOutTextsBody { stop_text, start_text }))
    })
    .await
}

/// Set what people are told when they opt out
///
/// Once, when they opt out by a keyword or a button, and when they opt in again.
#[utoipa::path(
    tag = "Suppressions",
    operation_id = "setOptOutTexts",
    request_body = OptOutTextsBody,
    responses(
        (status = 200, description = "The texts.", body = OptOutTextsBody),
        Guarded<ContactsWrite>, Bodied,
    ),
)]
#[put("/v1/opt_out_texts")]
pub(crate) async fn set_opt_out_texts(sent: SentByTenant<ContactsWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let texts = input::json::<OptOutTextsBody>(&sent.body)?;
        let given = (texts.stop_text.clone(), texts.start_text.clone());
        by.api.contacts.set_opt_out_texts(&by.actor(), by.principal.business(), given, now_ms()).await?;
        Ok(HttpResponse::Ok().json(texts))
    })
    .await
}
