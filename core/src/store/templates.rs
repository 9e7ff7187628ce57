//! Templates: a row for each language, a row for each version of it, and what holds for all languages of a name.
//!
//! Whatever changes a template holds the lock of its row, so a step is taken from the state that was looked at or not at
//! all; new ones hold the lock of their account, so that limits hold. What a tenant is told of a change is written with
//! it.

use std::collections::HashMap;

use diesel::{
    BoolExpressionMethods, EscapeExpressionMethods, ExpressionMethods, JoinOnDsl, NullableExpressionMethods,
    OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper, TextExpressionMethods,
};
use diesel_async::RunQueryDsl;
use serde_json::json;

use super::{
    NewDelivery, Store, StoreError, audit,
    connection::{Conn, on},
    deliveries, network_templates,
    schema::{accounts, businesses, endpoints, resellers, senders, template_names, template_versions, templates},
    tenancy::lower,
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    error::{ApiError, ErrorKind},
    ids::{AccountId, BusinessId, EndpointId, ResellerId, TemplateId},
    messages::Category,
    onboarding::{By, State as BusinessState},
    paging::{Page, Paging},
    templates::{
        Action, Content, NetworkEvent, ParameterFormat, Side, State, TemplateCounts, TemplateFilter, TemplateView,
        Verdict, VersionView, WaitingFilter, WaitingTemplate, limits, sandbox_review,
    },
    tenancy::{SANDBOX, Subtree, WHATSAPP},
    webhooks::templates::Notice,
};

/// Versions of one template that are kept at most; older ones are deleted.
const VERSIONS_MAX: i32 = 100;
/// Languages of one name that are deleted at once at most.
const LANGUAGES_MAX_ROWS: i64 = 1_000;
/// An hour, a day and thirty days, in milliseconds.
const HOUR_MS: Millis = 3_600_000;
const DAY_MS: Millis = 24 * HOUR_MS;
const MONTH_MS: Millis = 30 * DAY_MS;

/// A template in one language, as intake needs it.
#[derive(Debug, Clone, Queryable)]
pub struct StoredTemplate {
    /// Its name.
    pub name: String,
    /// Its language, for example `en_US`.
    pub language: String,
    /// The state of this version.
    pub state: String,
    /// What its messages are for.
    pub category: String,
    /// The network that approved it.
    pub network: Option<String>,
    /// The components in the Cloud API's form, as a JSON array.
    pub components: String,
    /// What each parameter is made of, as a JSON array.
    pub variables: String,
}

/// A template to add.
pub(crate) struct NewTemplate<'n> {
    pub(crate) name: &'n str,
    pub(crate) language: &'n str,
    pub(crate) content: &'n Content,
    /// Whether it is handed in at once.
    pub(crate) submit: bool,
}

/// What a change leaves behind.
pub(crate) struct TemplateChanged {
    pub(crate) id: TemplateId,
    pub(crate) business: BusinessId,
    /// What tells the tenant, for the queue.
    pub(crate) deliveries: Vec<NewDelivery>,
}

/// A place in a list of templates, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPlace {
    /// When the template there was created, in Unix milliseconds.
    pub created_at: Millis,
    /// Its id.
    pub id: TemplateId,
}

/// What is asked of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListRange {
    /// Begins after, or ends before, this place.
    pub place: Option<ListPlace>,
    /// Ends before the place instead of beginning after it.
    pub backwards: bool,
    /// Entries at most.
    pub limit: u32,
}

/// A template's row under its lock.
pub(super) struct Locked {
    id: TemplateId,
    account: AccountId,
    business: BusinessId,
    reseller: ResellerId,
    name: String,
    language: String,
    pub(super) category: Category,
    pub(super) latest: i32,
    pub(super) state: State,
    in_use: Option<i32>,
    pub(super) used_state: Option<State>,
    deliveries: Vec<NewDelivery>,
}

/// What is said with a step.
#[derive(Default)]
struct Said<'s> {
    reason: Option<&'s str>,
    /// One of the Cloud API's words.
    rejection: Option<&'s str>,
    recommendation: Option<&'s str>,
    network: Option<&'s str>,
    /// What a pause is, for the tenant.
    title: Option<&'s str>,
}

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = templates)]
struct Row {
    id: i64,
    account_id: i64,
    business_id: String,
    name: String,
    language: String,
    created_at: Millis,
    latest: i32,
    in_use: Option<i32>,
    quality: String,
    updated_at: Millis,
}

#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = template_versions)]
pub(super) struct VersionRow {
    template_id: i64,
    number: i32,
    state: String,
    category: String,
    previous_category: Option<String>,
    parameter_format: String,
    components: String,
    source: Option<String>,
    variables: String,
    samples: Option<String>,
    ttl_seconds: Option<i64>,
    author_kind: String,
    author_id: String,
    author_name: String,
    created_at: Millis,
    submitter_kind: Option<String>,
    submitter_id: Option<String>,
    submitter_name: Option<String>,
    submitted_at: Option<Millis>,
    decided_at: Option<Millis>,
    network: Option<String>,
    reason: Option<String>,
    rejection: Option<String>,
    recommendation: Option<String>,
}

fn unreadable(what: &str) -> StoreError {
    StoreError::Unreadable { table: "template_versions", reason: format!("{what:?} is not known to this version") }
}

fn read_state(name: &str) -> Result<State, StoreError> {
    State::parse(name).ok_or_else(|| unreadable(name))
}

fn read_category(name: &str) -> Result<Category, StoreError> {
    Category::parse(name).ok_or_else(|| unreadable(name))
}

fn read_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Unreadable { table: "template_versions", reason: error.to_string() })
}

fn text_of(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Unreadable { table: "(to be written)", reason: error.to_string() })
}

fn missing(id: TemplateId) -> ApiError {
    ApiError::missing("template", &id)
}

impl VersionRow {
    pub(super) fn content(&self) -> Result<Content, StoreError> {
        Ok(Content {
            category: read_category(&self.category)?,
            parameter_format: ParameterFormat::parse(&self.parameter_format)
                .ok_or_else(|| unreadable(&self.parameter_format))?,
            components: read_json(&self.components)?,
            source: self.source.as_deref().map(read_json).transpose()?,
            variables: read_json(&self.variables)?,
            samples: self.samples.as_deref().map(read_json).transpose()?,
            ttl_seconds: self.ttl_seconds,
        })
    }

    fn view(self, name: &str, language: &str) -> Result<VersionView, StoreError> {
        let content = self.content()?;
        let submitter = match (self.submitter_kind, self.submitter_id, self.submitter_name) {
            (Some(kind), Some(id), Some(name)) => Some(By { kind, id, name }),
            _ => None,
        };
        Ok(VersionView {
            number: self.number,
            state: read_state(&self.state)?,
            category: content.category,
            previous_category: self.previous_category.as_deref().map(read_category).transpose()?,
            parameter_format: content.parameter_format,
            draft: content.to_draft(name, language),
            components: content.components,
            variables: content.variables,
            ttl_seconds: content.ttl_seconds,
            author: By { kind: self.author_kind, id: self.author_id, name: self.author_name },
            created_at: self.created_at,
            submitter,
            submitted_at: self.submitted_at,
            decided_at: self.decided_at,
            network: self.network,
            reason: self.reason,
            rejection: self.rejection,
            recommendation: self.recommendation,
        })
    }
}

/// Narrows a boxed query on `templates` to a subtree and a filter.
macro_rules! narrow {
    ($query:ident, $subtree:expr, $filter:expr) => {{
        match $subtree {
            Subtree::Platform => {}
            Subtree::Reseller(own) => {
                let below = businesses::table.filter(businesses::reseller_id.eq(own.key())).select(businesses::id);
                $query = $query.filter(templates::business_id.eq_any(below));
            }
            Subtree::Business(own) => $query = $query.filter(templates::business_id.eq(own.key())),
        }
        if let Some(business) = &$filter.business {
            $query = $query.filter(templates::business_id.eq(business.key()));
        }
        if let Some(name) = &$filter.name {
            $query = $query.filter(templates::name.eq(name));
        }
        if let Some(part) = &$filter.name_contains {
            $query = $query.filter(templates::name.like(pattern(part)).escape('\\'));
        }
        if !$filter.languages.is_empty() {
            $query = $query.filter(templates::language.eq_any(&$filter.languages));
        }
        if !$filter.categories.is_empty() {
            let names: Vec<String> =
                $filter.categories.iter().map(|category| category.name().to_ascii_uppercase()).collect();
            $query = $query.filter(templates::category.eq_any(names));
        }
        if !$filter.states.is_empty() {
            let names: Vec<&'static str> = $filter.states.iter().map(|state| state.name()).collect();
            let used = templates::used_state.is_not_null().and(templates::used_state.eq_any(names.clone()));
            let newest = templates::used_state.is_null().and(templates::state.eq_any(names));
            $query = $query.filter(used.assume_not_null().or(newest));
        }
        if $filter.without_new_drafts {
            let handed_in = template_versions::table
                .filter(template_versions::template_id.eq(templates::id))
                .filter(template_versions::submitted_at.is_not_null());
            let in_use = templates::in_use.is_not_null();
            $query = $query.filter(in_use.or(diesel::dsl::exists(handed_in)));
        }
    }};
}

/// What finds names that contain `part`.
fn pattern(part: &str) -> String {
    let mut pattern = String::from("%");
    for character in part.chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

impl Store {
    /// The account of `business`, if it lies in `subtree`.
    pub(crate) async fn account_of(&self, subtree: &Subtree, business: &BusinessId) -> Result<AccountId, ApiError> {
        let mut conn = self.pools.read().await?;
        let query = accounts::table
            .inner_join(businesses::table.on(businesses::id.eq(accounts::business_id)))
            .filter(accounts::business_id.eq(business.key()))
            .order((accounts::created_at, accounts::id))
            .select((accounts::id, businesses::reseller_id));
        let row: Option<(i64, String)> = on!(conn, c => query.first(c).await.optional())?;
        row.filter(|(_, reseller)| subtree.holds(reseller, business.key()))
            .map(|(id, _)| AccountId(id))
            .ok_or_else(|| ApiError::missing("business", business))
    }

    /// Whether `account` is one of `business`.
    ///
    /// # Errors
    /// The database's.
    pub async fn has_account(&self, business: &BusinessId, account: AccountId) -> Result<bool, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = accounts::table
            .filter(accounts::id.eq(account.0))
            .filter(accounts::business_id.eq(business.key()))
            .select(accounts::id);
        let row: Option<i64> = on!(conn, c => query.first(c).await.optional())?;
        Ok(row.is_some())
    }

    /// Adds a template to the account of a business.
    pub(crate) async fn add_template(
        &self,
        (by, subtree): (&Actor, &Subtree),
        business: &BusinessId,
        new: &NewTemplate<'_>,
        now: Millis,
    ) -> Result<TemplateChanged, ApiError> {
        let account = self.account_of(subtree, business).await?;
        let id = TemplateId::generate();
        let mut conn = self.pools.begin().await?;
        let result = async {
            let lock = diesel::update(accounts::table.filter(accounts::id.eq(account.0)))
                .set(accounts::created_at.eq(accounts::created_at));
            on!(conn, c => lock.execute(c).await)?;
            check_room(&mut conn, account, business, (new.name, new.language), now).await?;
            let category = new.content.category;
            let query = diesel::insert_into(templates::table).values((
                templates::id.eq(id.0),
                templates::account_id.eq(account.0),
                templates::business_id.eq(business.key()),
                templates::name.eq(new.name),
                templates::language.eq(new.language),
                templates::category.eq(category.name().to_ascii_uppercase()),
                templates::created_at.eq(now),
                templates::updated_at.eq(now),
                templates::latest.eq(1),
                templates::state.eq(State::Draft.name()),
            ));
            on!(conn, c => query.execute(c).await)?;
            let mut at = lock_template(&mut conn, subtree, id, now).await?;
            add_version(&mut conn, by, &at, new.content, now).await?;
            let what = json!({"name": new.name, "language": new.language, "category": category.name()});
            audit::append(&mut conn, by, entry("template.created", &at).after(what), now).await?;
            if new.submit {
                take(&mut conn, by, &mut at, (Action::Submit, Side::Author), &Said::default(), now).await?;
            }
            Ok(at.changed())
        }
        .await;
        conn.finish(result).await
    }

    /// Adds a version to a template, made of what is there by `change`.
    pub(crate) async fn change_template(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: TemplateId,
        (content, basis): (&Content, i32),
        submit: bool,
        now: Millis,
    ) -> Result<TemplateChanged, ApiError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let mut at = lock_template(&mut conn, subtree, id, now).await?;
            if at.latest != basis {
                return Err(overtaken(basis, at.latest));
            }
            check_change(&mut conn, &at, content, now).await?;
            let (before, old) = (at.state, at.latest);
            at.latest += 1;
            at.state = State::Draft;
            add_version(&mut conn, by, &at, content, now).await?;
            if at.in_use != Some(old) && before != State::Archived {
                let reason = format!("Replaced by version {}.", at.latest);
                put_away(&mut conn, id, old, &reason, now).await?;
            }
            if at.in_use.is_none() {
                at.category = content.category;
            }
            let kept = template_versions::table
                .filter(template_versions::template_id.eq(id.0))
                .filter(template_versions::number.le(at.latest - VERSIONS_MAX))
                .filter(template_versions::number.ne(at.in_use.unwrap_or(0)));
            on!(conn, c => diesel::delete(kept).execute(c).await)?;
            write_row(&mut conn, &at, now).await?;
            let what = json!({"version": at.latest, "category": content.category.name()});
            let entry = entry("template.changed", &at).before(json!({"version": old, "state": before})).after(what);
            audit::append(&mut conn, by, entry, now).await?;
            if submit {
                take(&mut conn, by, &mut at, (Action::Submit, Side::Author), &Said::default(), now).await?;
            }
            Ok(at.changed())
        }
        .await;
        conn.finish(result).await
    }

    /// Takes a step of the template's own side.
    pub(crate) async fn step_template(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: TemplateId,
        action: Action,
        now: Millis,
    ) -> Result<TemplateChanged, ApiError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let mut at = lock_template(&mut conn, subtree, id, now).await?;
            take(&mut conn, by, &mut at, (action, Side::Author), &Said::default(), now).await?;
            if action == Action::Unpause {
                network_templates::unpause_there(&mut conn, id, now).await?;
            }
            Ok(at.changed())
        }
        .await;
        conn.finish(result).await
    }

    /// Takes a reviewer's step. What the sandbox's network has to review, it reviews at once.
    pub(crate) async fn review_template(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: TemplateId,
        (action, reason, version): (Action, Option<&str>, Option<i32>),
        now: Millis,
    ) -> Result<TemplateChanged, ApiError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let mut at = lock_template(&mut conn, subtree, id, now).await?;
            if let Some(seen) = version
                && seen != at.latest
            {
                return Err(overtaken(seen, at.latest));
            }
            if wrote(&mut conn, id, by).await? {
                let details = "You have written or handed in a version of this template yourself: somebody else has \
                               to judge it.";
                return Err(ApiError::new(ErrorKind::PermissionDenied, details));
            }
            let said = Said { reason, rejection: action.needs_reason().then_some("INVALID_FORMAT"), ..Said::default() };
            take(&mut conn, by, &mut at, (action, Side::Reviewer), &said, now).await?;
            if action == Action::Approve && network_of(&mut conn, at.account).await? == SANDBOX {
                let system = Actor::system();
                let said = Said { network: Some(SANDBOX), ..Said::default() };
                take(&mut conn, &system, &mut at, (Action::Forward, Side::Network), &said, now).await?;
                for event in sandbox_review(&at.name, at.category_of_latest(&mut conn).await?) {
                    apply(&mut conn, &system, &mut at, &event, now).await?;
                }
            }
            Ok(at.changed())
        }
        .await;
        conn.finish(result).await
    }

    /// Writes down what a network says of a template that it has.
    pub(crate) async fn template_event(
        &self,
        by: &Actor,
        id: TemplateId,
        event: &NetworkEvent,
        now: Millis,
    ) -> Result<TemplateChanged, ApiError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let mut at = lock_template(&mut conn, &Subtree::Platform, id, now).await?;
            apply(&mut conn, by, &mut at, event, now).await?;
            Ok(at.changed())
        }
        .await;
        conn.finish(result).await
    }

    /// Deletes a template in one language, or `name` in all.
    pub(crate) async fn delete_templates(
        &self,
        (by, subtree): (&Actor, &Subtree),
        business: &BusinessId,
        (name, only): (&str, Option<TemplateId>),
        now: Millis,
    ) -> Result<Vec<TemplateId>, ApiError> {
        let account = self.account_of(subtree, business).await?;
        let mut conn = self.pools.begin().await?;
        let result = async {
            let ids: Vec<i64> = on!(conn, c => {
                let mut query = templates::table
                    .filter(templates::account_id.eq(account.0))
                    .filter(templates::name.eq(name))
                    .order(templates::id)
                    .limit(LANGUAGES_MAX_ROWS)
                    .select(templates::id)
                    .into_boxed();
                if let Some(only) = only {
                    query = query.filter(templates::id.eq(only.0));
                }
                query.load(c).await
            })?;
            for id in &ids {
                let id = TemplateId(*id);
                let at = lock_template(&mut conn, subtree, id, now).await?;
                if was_approved_by_a_network(&mut conn, id).await? {
                    reserve_name(&mut conn, account, name, now + i64::from(limits::DELETED_NAME_DAYS) * DAY_MS).await?;
                }
                network_templates::delete_there(&mut conn, id, now).await?;
                let versions = template_versions::table.filter(template_versions::template_id.eq(id.0));
                on!(conn, c => diesel::delete(versions).execute(c).await)?;
                let row = templates::table.filter(templates::id.eq(id.0));
                on!(conn, c => diesel::delete(row).execute(c).await)?;
                let what = json!({"name": at.name, "language": at.language, "state": at.shown()});
                audit::append(&mut conn, by, entry("template.deleted", &at).before(what), now).await?;
            }
            Ok(ids.into_iter().map(TemplateId).collect())
        }
        .await;
        conn.finish(result).await
    }

    /// Sets which languages are tried when one of `name` cannot be sent.
    pub(crate) async fn set_template_fallback(
        &self,
        (by, subtree): (&Actor, &Subtree),
        business: &BusinessId,
        (name, languages): (&str, &[String]),
        now: Millis,
    ) -> Result<(), ApiError> {
        let account = self.account_of(subtree, business).await?;
        let text = text_of(&languages)?;
        let mut conn = self.pools.begin().await?;
        let result = async {
            let known = templates::table
                .filter(templates::account_id.eq(account.0))
                .filter(templates::name.eq(name))
                .select(templates::id);
            let known: Option<i64> = on!(conn, c => known.first(c).await.optional())?;
            if known.is_none() {
                return Err(ApiError::missing("template", &crate::messages::request::excerpt(name)));
            }
            let query = diesel::insert_into(template_names::table)
                .values((
                    template_names::account_id.eq(account.0),
                    template_names::name.eq(name),
                    template_names::fallback.eq(text.clone()),
                ))
                .on_conflict((template_names::account_id, template_names::name))
                .do_update()
                .set(template_names::fallback.eq(text));
            on!(conn, c => query.execute(c).await)?;
            let above = businesses::table.filter(businesses::id.eq(business.key())).select(businesses::reseller_id);
            let reseller: String = on!(conn, c => above.first(c).await)?;
            let entry = Entry::new("template.fallback_set", name)
                .of_reseller(&ResellerId::from_key(reseller))
                .of_business(business)
                .after(json!({"languages": languages}));
            Ok(audit::append(&mut conn, by, entry, now).await?)
        }
        .await;
        conn.finish(result).await
    }

    /// Which languages are tried when one of `name` cannot be sent.
    ///
    /// # Errors
    /// The database's.
    pub async fn template_fallback(&self, account: AccountId, name: &str) -> Result<Vec<String>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = template_names::table
            .filter(template_names::account_id.eq(account.0))
            .filter(template_names::name.eq(name))
            .select(template_names::fallback);
        let text: Option<String> = on!(conn, c => query.first(c).await.optional())?;
        text.as_deref().map_or_else(|| Ok(Vec::new()), read_json)
    }

    /// The template of `account` with this name and language: the version in use, or else the newest.
    ///
    /// # Errors
    /// The database's.
    pub async fn template(
        &self,
        account: AccountId,
        name: &str,
        language: &str,
    ) -> Result<Option<StoredTemplate>, StoreError> {
        let mut conn = self.pools.read().await?;
        let used = template_versions::number.nullable().eq(templates::in_use);
        let newest = templates::in_use.is_null().and(template_versions::number.eq(templates::latest));
        let query = templates::table
            .inner_join(template_versions::table.on(template_versions::template_id.eq(templates::id)))
            .filter(templates::account_id.eq(account.0))
            .filter(templates::name.eq(name))
            .filter(templates::language.eq(language))
            .filter(used.assume_not_null().or(newest))
            .select((
                templates::name,
                templates::language,
                template_versions::state,
                template_versions::category,
                template_versions::network,
                template_versions::components,
                template_versions::variables,
            ));
        Ok(on!(conn, c => query.first(c).await.optional())?)
    }

    /// A template, if it is of a business in `subtree`.
    pub(crate) async fn template_view(&self, subtree: &Subtree, id: TemplateId) -> Result<TemplateView, ApiError> {
        let mut conn = self.pools.read().await?;
        let query = templates::table
            .inner_join(businesses::table.on(businesses::id.eq(templates::business_id)))
            .filter(templates::id.eq(id.0));
        let row: Option<(Row, String)> = on!(conn, c => {
            query.select((Row::as_select(), businesses::reseller_id)).first(c).await.optional()
        })?;
        let (row, _) =
            row.filter(|(row, reseller)| subtree.holds(reseller, &row.business_id)).ok_or_else(|| missing(id))?;
        let views = with_versions(&mut conn, vec![row]).await?;
        views.into_iter().next().ok_or_else(|| missing(id))
    }

    /// Templates, newest first, and whether there are more in the direction that was asked for.
    pub(crate) async fn template_list(
        &self,
        subtree: &Subtree,
        filter: &TemplateFilter,
        range: &ListRange,
    ) -> Result<(Vec<TemplateView>, bool), ApiError> {
        let mut conn = self.pools.read().await?;
        let mut rows: Vec<Row> = on!(conn, c => {
            let mut query = templates::table.select(Row::as_select()).into_boxed();
            narrow!(query, subtree, filter);
            if let Some(ListPlace { created_at, id }) = range.place {
                let same = templates::created_at.eq(created_at);
                query = if range.backwards {
                    query.filter(templates::created_at.gt(created_at).or(same.and(templates::id.gt(id.0))))
                } else {
                    query.filter(templates::created_at.lt(created_at).or(same.and(templates::id.lt(id.0))))
                };
            }
            query = if range.backwards {
                query.order((templates::created_at, templates::id))
            } else {
                query.order((templates::created_at.desc(), templates::id.desc()))
            };
            query.limit(i64::from(range.limit) + 1).load(c).await
        })?;
        let more = rows.len() > range.limit as usize;
        rows.truncate(range.limit as usize);
        if range.backwards {
            rows.reverse();
        }
        Ok((with_versions(&mut conn, rows).await?, more))
    }

    /// How many templates a business has, and how many pass `filter`.
    pub(crate) async fn template_counts(
        &self,
        business: &BusinessId,
        filter: &TemplateFilter,
    ) -> Result<TemplateCounts, ApiError> {
        let subtree = Subtree::Business(business.clone());
        let mut conn = self.pools.read().await?;
        let matching: i64 = on!(conn, c => {
            let mut query = templates::table.count().into_boxed();
            narrow!(query, &subtree, filter);
            query.get_result(c).await
        })?;
        let all = templates::table.filter(templates::business_id.eq(business.key())).count();
        let total: i64 = on!(conn, c => all.get_result(c).await)?;
        let limit = most_templates(&mut conn, business).await?;
        Ok(TemplateCounts {
            total: total.unsigned_abs(),
            matching: matching.unsigned_abs(),
            limit: limit.unsigned_abs(),
        })
    }

    /// The versions of a template that are kept, newest first.
    pub(crate) async fn template_versions(
        &self,
        subtree: &Subtree,
        id: TemplateId,
    ) -> Result<Vec<VersionView>, ApiError> {
        let view = self.template_view(subtree, id).await?;
        let mut conn = self.pools.read().await?;
        let query = template_versions::table
            .filter(template_versions::template_id.eq(id.0))
            .order(template_versions::number.desc())
            .limit(i64::from(VERSIONS_MAX) + 1);
        let rows: Vec<VersionRow> = on!(conn, c => query.select(VersionRow::as_select()).load(c).await)?;
        Ok(rows.into_iter().map(|row| row.view(&view.name, &view.language)).collect::<Result<_, StoreError>>()?)
    }

    /// The versions in `subtree` that wait for a reviewer, the longest waiting first.
    pub(crate) async fn waiting_templates(
        &self,
        subtree: &Subtree,
        filter: &WaitingFilter,
        paging: &Paging,
    ) -> Result<Page<WaitingTemplate>, ApiError> {
        let after = match &paging.after {
            None => None,
            Some(key) => {
                Some(read_place(key).ok_or_else(|| ApiError::breach("?cursor", "is not a cursor of this list"))?)
            }
        };
        let mut conn = self.pools.read().await?;
        type Found = (i64, i32, String, String, String, Option<i32>, String, String, String, String, Option<Millis>);
        let rows: Vec<Found> = on!(conn, c => {
            let mut query = template_versions::table
                .inner_join(templates::table.on(templates::id.eq(template_versions::template_id)))
                .inner_join(businesses::table.on(businesses::id.eq(templates::business_id)))
                .inner_join(resellers::table.on(resellers::id.eq(businesses::reseller_id)))
                .filter(template_versions::state.eq(State::PendingInternal.name()))
                .order((template_versions::submitted_at, template_versions::template_id))
                .limit(paging.rows())
                .select((
                    templates::id,
                    template_versions::number,
                    templates::name,
                    templates::language,
                    template_versions::category,
                    templates::in_use,
                    businesses::id,
                    businesses::name,
                    resellers::id,
                    resellers::name,
                    template_versions::submitted_at,
                ))
                .into_boxed();
            if let Some(ListPlace { created_at, id }) = after {
                let same = template_versions::submitted_at.eq(created_at);
                let later = template_versions::submitted_at.gt(created_at);
                let next = later.or(same.and(template_versions::template_id.gt(id.0)));
                query = query.filter(next.assume_not_null());
            }
            match subtree {
                Subtree::Platform => {}
                Subtree::Reseller(own) => query = query.filter(businesses::reseller_id.eq(own.key())),
                Subtree::Business(own) => query = query.filter(businesses::id.eq(own.key())),
            }
            if let Some(category) = filter.category {
                query = query.filter(template_versions::category.eq(category.name().to_ascii_uppercase()));
            }
            if let Some(language) = &filter.language {
                query = query.filter(templates::language.eq(language));
            }
            if let Some(search) = &filter.search {
                let search = pattern(&search.to_lowercase());
                let named = templates::name.like(search.clone()).escape('\\');
                query = query.filter(named.or(lower(businesses::name).like(search).escape('\\')));
            }
            query.load(c).await
        })?;
        let waiting: Vec<WaitingTemplate> = rows
            .into_iter()
            .map(|(id, version, name, language, category, in_use, business, business_name, reseller, above, at)| {
                Ok(WaitingTemplate {
                    id: TemplateId(id),
                    version,
                    name,
                    language,
                    category: read_category(&category)?,
                    business: BusinessId::from_key(business),
                    business_name,
                    reseller: ResellerId::from_key(reseller),
                    reseller_name: above,
                    submitted_at: at.unwrap_or_default(),
                    is_change: in_use.is_some(),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Page::new(waiting, paging, |one| format!("{}.{}", one.submitted_at, one.id)))
    }

    /// Names of other templates of the account in the same language that say the same.
    pub(crate) async fn template_twins(
        &self,
        account: AccountId,
        (name, language): (&str, &str),
        fingerprint: &str,
    ) -> Result<Vec<String>, StoreError> {
        if fingerprint.is_empty() {
            return Ok(Vec::new());
        }
        let mut conn = self.pools.read().await?;
        let query = templates::table
            .inner_join(template_versions::table.on(template_versions::template_id.eq(templates::id)))
            .filter(templates::account_id.eq(account.0))
            .filter(templates::language.eq(language))
            .filter(templates::name.ne(name))
            .filter(template_versions::fingerprint.eq(fingerprint))
            .filter(template_versions::state.ne(State::Archived.name()))
            .order(templates::name)
            .limit(1)
            .select(templates::name);
        Ok(on!(conn, c => query.load(c).await)?)
    }
}

/// The place that a cursor of a list names.
pub(crate) fn read_place(key: &str) -> Option<ListPlace> {
    let (at, id) = key.split_once('.')?;
    Some(ListPlace { created_at: at.parse().ok()?, id: id.parse().ok()? })
}

impl Locked {
    /// The state that is shown where there is room for one.
    fn shown(&self) -> State {
        self.used_state.unwrap_or(self.state)
    }

    pub(super) fn changed(self) -> TemplateChanged {
        TemplateChanged { id: self.id, business: self.business, deliveries: self.deliveries }
    }

    pub(super) async fn category_of_latest(&self, conn: &mut Conn) -> Result<Category, StoreError> {
        let query = template_versions::table
            .filter(template_versions::template_id.eq(self.id.0))
            .filter(template_versions::number.eq(self.latest))
            .select(template_versions::category);
        let name: String = on!(*conn, c => query.first(c).await)?;
        read_category(&name)
    }

    /// The version that `action` is about, and its state.
    fn target(&self, action: Action) -> (i32, State) {
        let used = self.in_use.zip(self.used_state);
        let newest = (self.latest, self.state);
        let about_use = action.is_about_use() || (action == Action::Refuse && self.state != State::Submitted);
        if about_use { used.unwrap_or(newest) } else { newest }
    }
}

/// Locks a template's row and reads it.
pub(super) async fn lock_template(
    conn: &mut Conn,
    subtree: &Subtree,
    id: TemplateId,
    now: Millis,
) -> Result<Locked, ApiError> {
    let query =
        diesel::update(templates::table.filter(templates::id.eq(id.0))).set(templates::updated_at.eq(now)).returning((
            templates::account_id,
            templates::business_id,
            templates::name,
            templates::language,
            templates::category,
            templates::latest,
            templates::state,
            templates::in_use,
            templates::used_state,
        ));
    type Found = (i64, String, String, String, String, i32, String, Option<i32>, Option<String>);
    let row: Option<Found> = on!(*conn, c => query.get_result(c).await.optional())?;
    let Some((account, business, name, language, category, latest, state, in_use, used_state)) = row else {
        return Err(missing(id));
    };
    let above = businesses::table.filter(businesses::id.eq(&business)).select(businesses::reseller_id);
    let reseller: String = on!(*conn, c => above.first(c).await)?;
    if !subtree.holds(&reseller, &business) {
        return Err(missing(id));
    }
    Ok(Locked {
        id,
        account: AccountId(account),
        business: BusinessId::from_key(business),
        reseller: ResellerId::from_key(reseller),
        name,
        language,
        category: read_category(&category)?,
        latest,
        state: read_state(&state)?,
        in_use,
        used_state: used_state.as_deref().map(read_state).transpose()?,
        deliveries: Vec::new(),
    })
}

fn entry(action: &'static str, at: &Locked) -> Entry {
    Entry::new(action, at.id).of_reseller(&at.reseller).of_business(&at.business)
}

fn overtaken(seen: i32, found: i32) -> ApiError {
    let details = format!("You have looked at version {seen}; the newest is {found} by now.");
    ApiError::new(ErrorKind::Conflict, details)
}

/// Writes what a lock holds.
async fn write_row(conn: &mut Conn, at: &Locked, now: Millis) -> Result<(), StoreError> {
    let query = diesel::update(templates::table.filter(templates::id.eq(at.id.0))).set((
        templates::category.eq(at.category.name().to_ascii_uppercase()),
        templates::latest.eq(at.latest),
        templates::state.eq(at.state.name()),
        templates::in_use.eq(at.in_use),
        templates::used_state.eq(at.used_state.map(State::name)),
        templates::updated_at.eq(now),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

/// Writes the newest version.
async fn add_version(
    conn: &mut Conn,
    by: &Actor,
    at: &Locked,
    content: &Content,
    now: Millis,
) -> Result<(), StoreError> {
    let query = diesel::insert_into(template_versions::table).values((
        template_versions::template_id.eq(at.id.0),
        template_versions::number.eq(at.latest),
        template_versions::state.eq(State::Draft.name()),
        template_versions::category.eq(content.category.name().to_ascii_uppercase()),
        template_versions::parameter_format.eq(content.parameter_format.name()),
        template_versions::components.eq(text_of(&content.components)?),
        template_versions::source.eq(content.source.as_ref().map(text_of).transpose()?),
        template_versions::variables.eq(text_of(&content.variables)?),
        template_versions::samples.eq(content.samples.as_ref().map(text_of).transpose()?),
        template_versions::ttl_seconds.eq(content.ttl_seconds),
        template_versions::fingerprint.eq(content.fingerprint()),
        template_versions::author_kind.eq(by.kind.name()),
        template_versions::author_id.eq(&by.id),
        template_versions::author_name.eq(&by.name),
        template_versions::created_at.eq(now),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

/// Puts a version away that another one takes the place of.
async fn put_away(conn: &mut Conn, id: TemplateId, number: i32, reason: &str, now: Millis) -> Result<(), StoreError> {
    let row = || {
        template_versions::table
            .filter(template_versions::template_id.eq(id.0))
            .filter(template_versions::number.eq(number))
    };
    let query = diesel::update(row())
        .set((template_versions::state.eq(State::Archived.name()), template_versions::decided_at.eq(Some(now))));
    on!(*conn, c => query.execute(c).await)?;
    // What a reviewer said of it says more.
    let unsaid = row().filter(template_versions::reason.is_null());
    let query = diesel::update(unsaid).set(template_versions::reason.eq(Some(reason)));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

/// Takes a step: the version, the template's row, the audit log, what the tenant is told.
async fn take(
    conn: &mut Conn,
    by: &Actor,
    at: &mut Locked,
    (action, side): (Action, Side),
    said: &Said<'_>,
    now: Millis,
) -> Result<(), ApiError> {
    let (number, before) = at.target(action);
    let next = before.step(action, side)?;
    let id = at.id;
    let row = || {
        template_versions::table
            .filter(template_versions::template_id.eq(id.0))
            .filter(template_versions::number.eq(number))
    };
    let query = diesel::update(row()).set(template_versions::state.eq(next.name()));
    on!(*conn, c => query.execute(c).await)?;
    match action {
        Action::Submit => {
            let query = diesel::update(row()).set((
                template_versions::submitter_kind.eq(Some(by.kind.name())),
                template_versions::submitter_id.eq(Some(&by.id)),
                template_versions::submitter_name.eq(Some(&by.name)),
                template_versions::submitted_at.eq(Some(now)),
            ));
            on!(*conn, c => query.execute(c).await)?;
        }
        Action::Forward => {
            let query = diesel::update(row()).set(template_versions::network.eq(said.network));
            on!(*conn, c => query.execute(c).await)?;
        }
        Action::Withdraw => {}
        _ => {
            let query = diesel::update(row()).set((
                template_versions::decided_at.eq(Some(now)),
                template_versions::reason.eq(said.reason),
                template_versions::rejection.eq(said.rejection),
                template_versions::recommendation.eq(said.recommendation),
            ));
            on!(*conn, c => query.execute(c).await)?;
        }
    }
    if number == at.latest {
        at.state = next;
    }
    if next.is_in_use() {
        if let Some(old) = at.in_use.filter(|old| *old != number) {
            put_away(conn, id, old, &format!("Replaced by version {number}."), now).await?;
        }
        at.in_use = Some(number);
        at.used_state = Some(next);
        at.category = version_category(conn, id, number).await?;
    } else if action == Action::Archive {
        if let Some(old) = at.in_use.filter(|old| *old != number) {
            put_away(conn, id, old, "Put away.", now).await?;
        }
        at.in_use = None;
        at.used_state = None;
    } else if at.in_use == Some(number) {
        at.in_use = None;
        at.used_state = None;
    }
    write_row(conn, at, now).await?;
    let mut after = json!({"version": number, "state": next});
    for (name, value) in [("reason", said.reason), ("rejection", said.rejection), ("network", said.network)] {
        if let Some(value) = value {
            after[name] = value.into();
        }
    }
    let entry = entry(action.audited_as(), at).before(json!({"version": number, "state": before})).after(after);
    audit::append(conn, by, entry, now).await?;
    let event = match action {
        Action::Accept | Action::Unpause => "APPROVED",
        Action::Refuse | Action::Reject | Action::RequestChanges => "REJECTED",
        Action::Pause => "PAUSED",
        Action::Disable => "DISABLED",
        Action::Reinstate => "REINSTATED",
        Action::Submit | Action::Withdraw | Action::Approve | Action::Forward | Action::Archive => return Ok(()),
    };
    let notice = Notice::Status {
        event,
        category: version_category(conn, id, number).await?,
        rejection: said.rejection,
        reason: said.reason,
        recommendation: said.recommendation,
        title: said.title,
    };
    Ok(tell(conn, at, &notice, now).await?)
}

/// Writes down what a network says.
pub(super) async fn apply(
    conn: &mut Conn,
    by: &Actor,
    at: &mut Locked,
    event: &NetworkEvent,
    now: Millis,
) -> Result<(), ApiError> {
    let network = Side::Network;
    match event {
        NetworkEvent::Forwarded { network: name } => {
            let said = Said { network: Some(name), ..Said::default() };
            take(conn, by, at, (Action::Forward, network), &said, now).await
        }
        NetworkEvent::Decided(verdict) => {
            let (number, state) = at.target(Action::Accept);
            if state == State::Rejected && network_of_version(conn, at.id, number).await?.is_none() {
                let details = "No network has this version: the platform has turned it down.";
                return Err(ApiError::new(ErrorKind::IllegalTransition, details));
            }
            match verdict {
                Verdict::Approved(category) => {
                    let asked = version_category(conn, at.id, number).await?;
                    if asked != *category {
                        set_category(conn, at.id, number, (asked, *category)).await?;
                    }
                    take(conn, by, at, (Action::Accept, network), &Said::default(), now).await
                }
                Verdict::Rejected { reason, details, recommendation } => {
                    let said = Said {
                        reason: details.as_deref(),
                        rejection: Some(reason),
                        recommendation: recommendation.as_deref(),
                        ..Said::default()
                    };
                    take(conn, by, at, (Action::Refuse, network), &said, now).await
                }
            }
        }
        NetworkEvent::Paused { title, reason } => {
            let said = Said { title: Some(title), reason: Some(reason), ..Said::default() };
            take(conn, by, at, (Action::Pause, network), &said, now).await
        }
        NetworkEvent::Unpaused => take(conn, by, at, (Action::Unpause, network), &Said::default(), now).await,
        NetworkEvent::Disabled { reason } => {
            let said = Said { reason: Some(reason), ..Said::default() };
            take(conn, by, at, (Action::Disable, network), &said, now).await
        }
        NetworkEvent::Reinstated => take(conn, by, at, (Action::Reinstate, network), &Said::default(), now).await,
        NetworkEvent::Quality(score) => {
            let row = templates::table.filter(templates::id.eq(at.id.0));
            let query = row.select(templates::quality);
            let before: String = on!(*conn, c => query.first(c).await)?;
            if before == *score {
                return Ok(());
            }
            let query =
                diesel::update(templates::table.filter(templates::id.eq(at.id.0))).set(templates::quality.eq(score));
            on!(*conn, c => query.execute(c).await)?;
            let entry = entry("template.quality_changed", at);
            let entry = entry.before(json!({"quality": before})).after(json!({"quality": score}));
            audit::append(conn, by, entry, now).await?;
            Ok(tell(conn, at, &Notice::Quality { before: &before, now: score }, now).await?)
        }
        NetworkEvent::CategoryChanged(category) => {
            let (number, _) = at.target(Action::Pause);
            let before = version_category(conn, at.id, number).await?;
            if before == *category {
                return Ok(());
            }
            set_category(conn, at.id, number, (before, *category)).await?;
            at.category = *category;
            write_row(conn, at, now).await?;
            let entry = entry("template.category_changed", at);
            let entry = entry.before(json!({"category": before.name()})).after(json!({"category": category.name()}));
            audit::append(conn, by, entry, now).await?;
            Ok(tell(conn, at, &Notice::Category { before, now: *category }, now).await?)
        }
        NetworkEvent::CategoryAnnounced { correct, at: when } => {
            let notice = Notice::CategoryAnnounced { now: at.category, correct: *correct, at: *when };
            Ok(tell(conn, at, &notice, now).await?)
        }
    }
}

/// Writes a notice for every endpoint of the business.
async fn tell(conn: &mut Conn, at: &mut Locked, notice: &Notice<'_>, now: Millis) -> Result<(), StoreError> {
    let query = endpoints::table
        .filter(endpoints::business_id.eq(at.business.key()))
        .order(endpoints::id)
        .select(endpoints::id);
    let ids: Vec<String> = on!(*conn, c => query.load(c).await)?;
    if ids.is_empty() {
        return Ok(());
    }
    let body = notice.body(at.account, (at.id, &at.name, &at.language), now);
    let rows: Vec<NewDelivery> = ids
        .into_iter()
        .map(|endpoint| NewDelivery::of_no_message(&at.business, &EndpointId::from_key(endpoint), body.clone(), now))
        .collect();
    deliveries::insert(conn, rows.clone()).await?;
    at.deliveries.extend(rows);
    Ok(())
}

async fn version_category(conn: &mut Conn, id: TemplateId, number: i32) -> Result<Category, StoreError> {
    let query = template_versions::table
        .filter(template_versions::template_id.eq(id.0))
        .filter(template_versions::number.eq(number))
        .select(template_versions::category);
    let name: String = on!(*conn, c => query.first(c).await)?;
    read_category(&name)
}

async fn network_of_version(conn: &mut Conn, id: TemplateId, number: i32) -> Result<Option<String>, StoreError> {
    let query = template_versions::table
        .filter(template_versions::template_id.eq(id.0))
        .filter(template_versions::number.eq(number))
        .select(template_versions::network);
    Ok(on!(*conn, c => query.first(c).await)?)
}

async fn set_category(
    conn: &mut Conn,
    id: TemplateId,
    number: i32,
    (before, after): (Category, Category),
) -> Result<(), StoreError> {
    let row = template_versions::table
        .filter(template_versions::template_id.eq(id.0))
        .filter(template_versions::number.eq(number));
    let query = diesel::update(row).set((
        template_versions::category.eq(after.name().to_ascii_uppercase()),
        template_versions::previous_category.eq(Some(before.name().to_ascii_uppercase())),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

/// Whether `by` has written or handed in any version of a template that is kept. Who has no id of their own is nobody in
/// particular.
async fn wrote(conn: &mut Conn, id: TemplateId, by: &Actor) -> Result<bool, StoreError> {
    if by.id.is_empty() {
        return Ok(false);
    }
    let kind = by.kind.name();
    let author = template_versions::author_kind.eq(kind).and(template_versions::author_id.eq(&by.id));
    let submitter = template_versions::submitter_kind.eq(kind).and(template_versions::submitter_id.eq(&by.id));
    let query = template_versions::table
        .filter(template_versions::template_id.eq(id.0))
        .filter(author.nullable().or(submitter))
        .count();
    let times: i64 = on!(*conn, c => query.get_result(c).await)?;
    Ok(times > 0)
}

/// The network that reviews the templates of an account: that of its senders, or the sandbox's where they reach no
/// other. Templates that the sandbox approved are good for the sandbox only.
pub(super) async fn network_of(conn: &mut Conn, account: AccountId) -> Result<String, StoreError> {
    let query = senders::table
        .filter(senders::account_id.eq(account.0))
        .filter(senders::adapter.ne(SANDBOX))
        .filter(senders::channel.eq(WHATSAPP))
        .order((senders::created_at, senders::id))
        .select(senders::adapter);
    let adapter: Option<String> = on!(*conn, c => query.first(c).await.optional())?;
    Ok(adapter.unwrap_or_else(|| SANDBOX.to_owned()))
}

async fn was_approved_by_a_network(conn: &mut Conn, id: TemplateId) -> Result<bool, StoreError> {
    let query = template_versions::table
        .filter(template_versions::template_id.eq(id.0))
        .filter(template_versions::network.is_not_null())
        .filter(template_versions::network.ne(SANDBOX))
        .count();
    let times: i64 = on!(*conn, c => query.get_result(c).await)?;
    Ok(times > 0)
}

/// Keeps a name from being used before `until`.
async fn reserve_name(conn: &mut Conn, account: AccountId, name: &str, until: Millis) -> Result<(), StoreError> {
    let query = diesel::insert_into(template_names::table)
        .values((
            template_names::account_id.eq(account.0),
            template_names::name.eq(name),
            template_names::fallback.eq("[]"),
            template_names::reusable_at.eq(Some(until)),
        ))
        .on_conflict((template_names::account_id, template_names::name))
        .do_update()
        .set(template_names::reusable_at.eq(Some(until)));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

/// How many templates a business may have, each language counted.
async fn most_templates(conn: &mut Conn, business: &BusinessId) -> Result<i64, StoreError> {
    let query = businesses::table.filter(businesses::id.eq(business.key())).select(businesses::state);
    let state: String = on!(*conn, c => query.first(c).await)?;
    let verified = state == BusinessState::Approved.name();
    Ok(if verified { limits::PER_ACCOUNT_VERIFIED } else { limits::PER_ACCOUNT_UNVERIFIED })
}

/// Whether there is room for one more template of this name and language.
async fn check_room(
    conn: &mut Conn,
    account: AccountId,
    business: &BusinessId,
    (name, language): (&str, &str),
    now: Millis,
) -> Result<(), ApiError> {
    let own = || templates::table.filter(templates::account_id.eq(account.0));
    let same = own().filter(templates::name.eq(name)).filter(templates::language.eq(language)).select(templates::id);
    let same: Option<i64> = on!(*conn, c => same.first(c).await.optional())?;
    if same.is_some() {
        let details = format!("There is a template {name} in {language} already; change that one, or delete it first.");
        return Err(ApiError::new(ErrorKind::TemplateExists, details));
    }
    let reserved = template_names::table
        .filter(template_names::account_id.eq(account.0))
        .filter(template_names::name.eq(name))
        .filter(template_names::reusable_at.gt(now))
        .select(template_names::reusable_at);
    let reserved: Option<Option<Millis>> = on!(*conn, c => reserved.first(c).await.optional())?;
    if let Some(until) = reserved.flatten() {
        let details = format!(
            "A template {name} was deleted; the name can be used again from {} on.",
            crate::clock::rfc3339(until)
        );
        return Err(ApiError::new(ErrorKind::TemplateNameReserved, details));
    }
    let limit = most_templates(conn, business).await?;
    let there: i64 = on!(*conn, c => own().count().get_result(c).await)?;
    if there >= limit {
        let details = format!("The account has {there} templates, each language counted; it may have {limit}.");
        return Err(ApiError::new(ErrorKind::TemplateLimit, details));
    }
    if network_of(conn, account).await? != SANDBOX {
        let recent = own().filter(templates::created_at.gt(now - HOUR_MS)).count();
        let recent: i64 = on!(*conn, c => recent.get_result(c).await)?;
        if recent >= limits::CREATED_PER_HOUR {
            let details = format!("{recent} templates were created within an hour; the network takes no more.");
            let wait = u64::try_from(HOUR_MS).unwrap_or_default();
            return Err(ApiError::new(ErrorKind::RateLimited, details).retry_after_ms(wait));
        }
    }
    Ok(())
}

/// Whether a template can be changed now, and to this.
async fn check_change(conn: &mut Conn, at: &Locked, content: &Content, now: Millis) -> Result<(), ApiError> {
    if at.state.is_waiting() || at.shown() == State::Disabled {
        let details = format!(
            "Version {} of the template is in the state {}: it can be changed once that was decided on.",
            at.latest,
            if at.state.is_waiting() { at.state } else { at.shown() }
        );
        return Err(ApiError::new(ErrorKind::IllegalTransition, details));
    }
    if at.in_use.is_none() {
        return Ok(());
    }
    if content.category != at.category {
        let details = format!(
            "The template is approved as {}; its category cannot be changed any more.",
            at.category.name().to_ascii_uppercase()
        );
        return Err(ApiError::new(ErrorKind::IllegalTransition, details));
    }
    if network_of(conn, at.account).await? == SANDBOX {
        return Ok(());
    }
    for (within, most, words) in
        [(DAY_MS, limits::EDITS_PER_DAY, "24 hours"), (MONTH_MS, limits::EDITS_PER_MONTH, "30 days")]
    {
        let edits = template_versions::table
            .filter(template_versions::template_id.eq(at.id.0))
            .filter(template_versions::number.gt(1))
            .filter(template_versions::created_at.gt(now - within))
            .count();
        let edits: i64 = on!(*conn, c => edits.get_result(c).await)?;
        if edits >= most {
            let details = format!("An approved template can be changed {most} times in {words}.");
            return Err(ApiError::new(ErrorKind::RateLimited, details));
        }
    }
    Ok(())
}

/// The templates of `rows` with the versions that are shown of them.
async fn with_versions(conn: &mut Conn, rows: Vec<Row>) -> Result<Vec<TemplateView>, StoreError> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let shown = template_versions::number
        .eq(templates::latest)
        .nullable()
        .or(template_versions::number.nullable().eq(templates::in_use));
    let query = template_versions::table
        .inner_join(templates::table.on(templates::id.eq(template_versions::template_id)))
        .filter(template_versions::template_id.eq_any(ids))
        .filter(shown);
    let versions: Vec<VersionRow> = on!(*conn, c => query.select(VersionRow::as_select()).load(c).await)?;
    let mut versions: HashMap<(i64, i32), VersionRow> =
        versions.into_iter().map(|version| ((version.template_id, version.number), version)).collect();
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        let used = row.in_use.filter(|used| *used != row.latest).and_then(|used| versions.remove(&(row.id, used)));
        let Some(latest) = versions.remove(&(row.id, row.latest)) else {
            // It was deleted meanwhile.
            continue;
        };
        let latest = latest.view(&row.name, &row.language)?;
        let in_use = match used {
            Some(used) => Some(used.view(&row.name, &row.language)?),
            None => row.in_use.map(|_| latest.clone()),
        };
        views.push(TemplateView {
            id: TemplateId(row.id),
            business: BusinessId::from_key(row.business_id),
            account: AccountId(row.account_id),
            name: row.name,
            language: row.language,
            quality: row.quality,
            latest,
            in_use,
            created_at: row.created_at,
            updated_at: row.updated_at,
        });
    }
    Ok(views)
}
