//! Templates, as the Cloud API has them. It knows no drafts: what is created is handed in at once, and what a reviewer
//! sent back is rejected here.

use actix_web::{HttpResponse, delete, get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::now_ms,
    error::{ApiError, ErrorKind},
    ids::TemplateId,
    messages::Category,
    paging::{PAGE_MAX_ENTRIES, Paging},
    templates::{Draft, ParameterFormat, State, TemplateFilter, TemplateView},
};

use super::{
    fields::{Fields, chosen},
    shapes::{CloudPage, Done, InAccount, body, done, own_account},
};
use crate::{
    answers::{Absent, Bodied, CloudErrors, Conflicting, Guarded, Selectable},
    auth::{ByTenant, SentByTenant, TemplatesWrite},
    failure::Failure,
};

/// What the Graph API calls it.
pub(super) const KIND: &str = "WhatsAppMessageTemplate";
/// The fields that are answered when none are asked for.
pub(super) const USUAL_FIELDS: &[&str] =
    &["name", "parameter_format", "components", "language", "status", "category", "previous_category", "id"];

/// A template to create.
#[derive(Deserialize, ToSchema)]
struct CloudTemplateRequest {
    /// Lower case letters, digits and underscores.
    #[schema(example = "order_shipped", max_length = 512)]
    name: String,
    /// One of the network's languages.
    #[schema(example = "en_US")]
    language: String,
    /// `AUTHENTICATION`, `MARKETING` or `UTILITY`.
    #[schema(example = "UTILITY")]
    category: String,
    /// Whether variables are numbers or names.
    #[serde(default)]
    #[schema(required = false)]
    parameter_format: ParameterFormat,
    /// Its parts, with examples for their variables.
    #[schema(value_type = Vec<Object>, example = json!([
        {"type": "BODY", "text": "Hi {{1}}, it is on its way.", "example": {"body_text": [["Ana"]]}},
    ]))]
    components: Vec<Value>,
    /// How long a message is worth delivering, in seconds; -1 is thirty days.
    #[schema(example = 3600)]
    message_send_ttl_seconds: Option<i64>,
}

/// What was created.
#[derive(Serialize, ToSchema)]
struct CloudTemplateCreated {
    #[schema(example = "546151681022936")]
    id: String,
    /// `PENDING` until it was reviewed.
    #[schema(example = "PENDING")]
    status: &'static str,
    #[schema(example = "UTILITY")]
    category: String,
}

/// A template: the fields that were asked for.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "id": "546151681022936", "name": "order_shipped", "language": "en_US", "status": "APPROVED", "category": "UTILITY",
    "parameter_format": "POSITIONAL", "components": [{"type": "BODY", "text": "It is on its way."}],
}))]
struct CloudTemplate(Map<String, Value>);

/// A page of templates.
#[derive(Serialize, ToSchema)]
struct CloudTemplates {
    #[serde(flatten)]
    page: CloudPage<CloudTemplate>,
    /// There if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<CloudTemplateSummary>,
}

/// How many templates the account has.
#[derive(Serialize, ToSchema)]
struct CloudTemplateSummary {
    /// Those that the list has.
    #[schema(example = 12)]
    total_count: u64,
    /// All of them, each language counted.
    #[schema(example = 12)]
    message_template_count: u64,
    /// How many there may be.
    #[schema(example = 250)]
    message_template_limit: u64,
}

/// Which templates.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CloudTemplateQuery {
    /// The fields to answer, with commas between them; the usual ones when left out.
    #[param(example = "id,name,status")]
    fields: Option<String>,
    /// Entries of the page, from 1; 50 when left out, and never more than 200.
    #[param(minimum = 1, example = 50)]
    limit: Option<u32>,
    /// `paging.cursors.after` of the page before; the first page without it.
    after: Option<String>,
    /// What the name contains.
    #[param(example = "order")]
    name: Option<String>,
    /// The status, or several with commas between them.
    #[param(example = "APPROVED")]
    status: Option<String>,
    /// The category, or several with commas between them.
    #[param(example = "UTILITY")]
    category: Option<String>,
    /// The language, or several with commas between them.
    #[param(example = "en_US")]
    language: Option<String>,
    /// `total_count`, `message_template_count` and `message_template_limit` where anything is asked for.
    #[param(example = "total_count")]
    summary: Option<String>,
}

/// What to delete.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct CloudTemplateNamed {
    /// The name: it goes in all its languages.
    #[param(example = "order_shipped")]
    name: String,
    /// The id of one language: only that one goes.
    #[param(example = "546151681022936")]
    hsm_id: Option<String>,
}

/// What is to change about a template.
#[derive(Default, Deserialize, ToSchema)]
pub(super) struct CloudTemplateChange {
    /// The category; of one that is approved it stays.
    #[schema(example = "UTILITY")]
    pub(super) category: Option<String>,
    /// All components, as they are to be.
    #[schema(value_type = Option<Vec<Object>>, example = json!([{"type": "BODY", "text": "It is on its way."}]))]
    pub(super) components: Option<Vec<Value>>,
    /// Whether variables are numbers or names.
    pub(super) parameter_format: Option<ParameterFormat>,
    /// How long a message is worth delivering, in seconds.
    #[schema(example = 3600)]
    pub(super) message_send_ttl_seconds: Option<i64>,
}

fn upper(category: Category) -> String {
    category.name().to_ascii_uppercase()
}

/// Everything that can be asked of a template. What is shown is the version in use, or else the newest.
pub(super) fn all_fields(view: &TemplateView) -> Map<String, Value> {
    let shown = view.shown();
    let mut all = Map::new();
    let mut put = |name: &str, value: Value| drop(all.insert(name.to_owned(), value));
    put("id", view.id.to_string().into());
    put("name", view.name.as_str().into());
    put("language", view.language.as_str().into());
    put("status", shown.state.cloud_status().into());
    put("category", upper(shown.category).into());
    put("previous_category", shown.previous_category.map(upper).into());
    put("parameter_format", shown.parameter_format.name().to_ascii_uppercase().into());
    put("components", shown.components.clone().into());
    put("quality_score", json!({"score": view.quality, "date": view.updated_at / 1_000}));
    put("rejected_reason", shown.rejection.as_deref().unwrap_or("NONE").into());
    put("rejection_info", json!({"reason": shown.reason, "recommendation": shown.recommendation}));
    put("message_send_ttl_seconds", shown.ttl_seconds.into());
    all
}

fn filter(query: &CloudTemplateQuery) -> Result<TemplateFilter, ApiError> {
    let words = |text: &Option<String>| -> Vec<String> {
        let text = text.as_deref().unwrap_or_default().trim_matches(['[', ']']);
        let words = text.split(',').map(|word| word.trim().trim_matches('"').to_owned());
        words.filter(|word| !word.is_empty()).collect()
    };
    let mut states = Vec::new();
    for word in words(&query.status) {
        let same = |state: &State| state.cloud_status().eq_ignore_ascii_case(&word);
        let found: Vec<State> = State::ALL.into_iter().filter(same).collect();
        if found.is_empty() {
            return Err(ApiError::breach("?status", "is not a status of templates"));
        }
        states.extend(found);
    }
    let categories = words(&query.category);
    let categories = categories.iter().map(|word| {
        Category::parse(word).ok_or_else(|| ApiError::breach("?category", "is not a category of templates"))
    });
    Ok(TemplateFilter {
        name_contains: query.name.clone().filter(|name| !name.is_empty()),
        languages: words(&query.language),
        states,
        categories: categories.collect::<Result<_, _>>()?,
        without_new_drafts: true,
        ..TemplateFilter::default()
    })
}

/// Create a template
///
/// It is handed in for review at once. Every rule that it breaks is named; `GET` it to follow the review, or wait for
/// `message_template_status_update`.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudCreateTemplate",
    path = "/{version}/{waba_id}/message_templates",
    params(InAccount),
    request_body = CloudTemplateRequest,
    responses(
        (status = 200, description = "It waits for its review.", body = CloudTemplateCreated),
        Guarded<TemplatesWrite, CloudErrors>, Absent<CloudErrors>, Bodied<CloudErrors>, Conflicting<CloudErrors>,
    ),
)]
#[post("/{version:(?:v[0-9]+\\.[0-9]+/)?}{waba_id:[0-9]+}/message_templates")]
pub(crate) async fn create_template(sent: SentByTenant<TemplatesWrite>) -> Result<HttpResponse, Failure> {
    let by = &sent.by;
    by.answer(async {
        let (business, request) = (own_account(by).await?, body::<CloudTemplateRequest, _>(&sent)?);
        let draft = Draft {
            name: request.name,
            language: request.language,
            category: request.category,
            parameter_format: request.parameter_format,
            components: request.components,
            message_send_ttl_seconds: request.message_send_ttl_seconds,
            ..Draft::default()
        };
        let (actor, subtree) = (by.actor(), by.subtree());
        let view = by.api.templates.create((&actor, &subtree), &business.id, &draft, true, now_ms()).await?;
        Ok(HttpResponse::Ok().json(CloudTemplateCreated {
            id: view.id.to_string(),
            status: view.shown().state.cloud_status(),
            category: upper(view.shown().category),
        }))
    })
    .await
}

/// List templates
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudListTemplates",
    path = "/{version}/{waba_id}/message_templates",
    params(InAccount, CloudTemplateQuery),
    responses(
        (status = 200, description = "A page of templates, newest first.", body = CloudTemplates),
        Guarded<TemplatesWrite, CloudErrors>, Absent<CloudErrors>, Selectable<CloudErrors>,
    ),
)]
#[get("/{version:(?:v[0-9]+\\.[0-9]+/)?}{waba_id:[0-9]+}/message_templates")]
pub(crate) async fn list_templates(by: ByTenant<TemplatesWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let (business, query) = (own_account(&by).await?, by.query::<CloudTemplateQuery>()?);
        let (fields, filter) = (Fields::read(query.fields.as_deref())?, filter(&query)?);
        let limit = query.limit.map(|limit| limit.min(PAGE_MAX_ENTRIES));
        let paging = Paging::read(query.after.as_deref(), limit)?;
        let page = by.api.templates.list(&by.subtree(), &filter, &paging).await?;
        let key = |view: &TemplateView| format!("{}.{}", view.created_at, view.id);
        let keys = page.entries.first().map(key).zip(page.entries.last().map(key));
        let data: Vec<CloudTemplate> = page
            .entries
            .iter()
            .map(|view| Ok(CloudTemplate(select(view, fields.as_ref())?)))
            .collect::<Result<_, ApiError>>()?;
        let summary = match query.summary.filter(|summary| !summary.is_empty()) {
            None => None,
            Some(_) => {
                let counts = by.api.templates.counts(&business.id, &filter).await?;
                Some(CloudTemplateSummary {
                    total_count: counts.matching,
                    message_template_count: counts.total,
                    message_template_limit: counts.limit,
                })
            }
        };
        let page = CloudPage::new(&by, data, keys, page.next.is_some());
        Ok(HttpResponse::Ok().json(CloudTemplates { page, summary }))
    })
    .await
}

/// Of everything about a template what was asked for.
pub(super) fn select(view: &TemplateView, fields: Option<&Fields>) -> Result<Map<String, Value>, ApiError> {
    match serde_json::to_value(chosen(fields, KIND, USUAL_FIELDS, all_fields(view))?) {
        Ok(Value::Object(mut fields)) => {
            // One that never was in another category has no previous one.
            fields.retain(|name, value| name != "previous_category" || !value.is_null());
            Ok(fields)
        }
        _ => Err(ApiError::new(ErrorKind::Internal, "The template could not be shown.")),
    }
}

/// Delete a template
///
/// In all its languages, or with `hsm_id` in one.
#[utoipa::path(
    tag = "Cloud API",
    operation_id = "cloudDeleteTemplates",
    path = "/{version}/{waba_id}/message_templates",
    params(InAccount, CloudTemplateNamed),
    responses(
        (status = 200, description = "It is deleted.", body = Done),
        Guarded<TemplatesWrite, CloudErrors>, Absent<CloudErrors>, Selectable<CloudErrors>,
    ),
)]
#[delete("/{version:(?:v[0-9]+\\.[0-9]+/)?}{waba_id:[0-9]+}/message_templates")]
pub(crate) async fn delete_templates(by: ByTenant<TemplatesWrite>) -> Result<HttpResponse, Failure> {
    by.answer(async {
        let (business, query) = (own_account(&by).await?, by.query::<CloudTemplateNamed>()?);
        let only = match query.hsm_id.filter(|id| !id.is_empty()) {
            None => None,
            Some(id) => {
                let id = id.parse::<TemplateId>();
                Some(id.map_err(|_| ApiError::breach("?hsm_id", "is not the id of a template"))?)
            }
        };
        let (actor, subtree) = (by.actor(), by.subtree());
        let named = (query.name.as_str(), only);
        by.api.templates.delete((&actor, &subtree), &business.id, named, now_ms()).await?;
        Ok(done())
    })
    .await
}
