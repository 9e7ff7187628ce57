//! Templates at networks: what is to be done about each, by whom and until when, and what the networks said.
//!
//! A task is claimed by moving its due time to the end of a lease, if nobody else has moved it meanwhile. What came of it
//! is written in one transaction with what follows for the template, and only while the task is still the one that was
//! claimed: what changed meanwhile stays.

use std::collections::HashMap;

use diesel::{
    BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
    dsl::{count_star, exists, max, not},
};
use diesel_async::RunQueryDsl;
use waystation_adapter_sdk::{TemplateReport, UpstreamError};

use super::{
    Store, StoreError,
    connection::{Conn, on},
    schema::{network_templates, senders, template_versions, templates},
    templates::{Locked, TemplateChanged, VersionRow, apply, lock_template, network_of},
};
use crate::{
    audit::Actor,
    clock::Millis,
    error::ApiError,
    ids::{AccountId, SenderId, TemplateId},
    templates::{Content, NetworkEvent, State, Told, Verdict, follow, limits::CREATED_PER_HOUR},
    tenancy::{SANDBOX, Subtree, WHATSAPP},
};

const HOUR_MS: Millis = 3_600_000;
/// How long an account waits that has submitted as many templates as it may, before it is looked again, in milliseconds.
const QUOTA_WAIT_MS: Millis = 60_000;
/// Longest reason of a failure that is kept, in characters.
const ERROR_MAX_CHARS: usize = 500;

/// What is to be done about a template at its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Submit,
    Check,
    Unpause,
    Delete,
}

impl Task {
    const fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Check => "check",
            Self::Unpause => "unpause",
            Self::Delete => "delete",
        }
    }

    fn parse(name: &str) -> Result<Self, StoreError> {
        [Self::Submit, Self::Check, Self::Unpause, Self::Delete]
            .into_iter()
            .find(|task| task.name() == name)
            .ok_or_else(|| StoreError::Unreadable { table: "network_templates", reason: format!("task {name:?}") })
    }
}

/// A task that was claimed.
#[derive(Debug, Clone)]
pub(crate) struct NetworkTask {
    pub(crate) template: TemplateId,
    pub(crate) account: AccountId,
    pub(crate) name: String,
    pub(crate) language: String,
    pub(crate) adapter: String,
    pub(crate) upstream_id: Option<String>,
    pub(crate) task: Task,
    pub(crate) version: i32,
    /// How often it was tried, with this time.
    pub(crate) attempts: i32,
    /// When it was claimed.
    pub(crate) claimed_at: Millis,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = network_templates)]
struct Row {
    template_id: i64,
    account_id: i64,
    name: String,
    language: String,
    adapter: String,
    upstream_id: Option<String>,
    task: String,
    version: i32,
    due_at: Option<Millis>,
    attempts: i32,
}

impl Row {
    fn claimed(self, now: Millis) -> Result<NetworkTask, StoreError> {
        Ok(NetworkTask {
            template: TemplateId(self.template_id),
            account: AccountId(self.account_id),
            name: self.name,
            language: self.language,
            adapter: self.adapter,
            upstream_id: self.upstream_id,
            task: Task::parse(&self.task)?,
            version: self.version,
            attempts: self.attempts + 1,
            claimed_at: now,
        })
    }
}

/// The row of a template while a task of it is the one that was claimed.
macro_rules! still {
    ($task:expr) => {
        network_templates::table
            .filter(network_templates::template_id.eq($task.template.0))
            .filter(network_templates::task.eq($task.task.name()))
            .filter(network_templates::version.eq($task.version))
    };
}

impl Store {
    /// Notes up to `rows` templates that reviewers here have let go and that their networks have yet to get. How many there
    /// were.
    pub(crate) async fn enlist_templates(&self, rows: i64, now: Millis) -> Result<usize, StoreError> {
        let reached = senders::table
            .filter(senders::account_id.eq(templates::account_id))
            .filter(senders::adapter.ne(SANDBOX))
            .filter(senders::channel.eq(WHATSAPP));
        let noted = network_templates::table
            .filter(network_templates::template_id.eq(templates::id))
            .filter(network_templates::task.eq(Task::Submit.name()))
            .filter(network_templates::version.eq(templates::latest));
        let query = templates::table
            .filter(templates::state.eq(State::ApprovedInternal.name()))
            .filter(exists(reached))
            .filter(not(exists(noted)))
            .order(templates::id)
            .limit(rows)
            .select((templates::id, templates::account_id, templates::name, templates::language, templates::latest));
        type Found = (i64, i64, String, String, i32);
        let found: Vec<Found> = {
            let mut conn = self.pools.read().await?;
            on!(conn, c => query.load(c).await)?
        };
        for (id, account, name, language, latest) in &found {
            let mut conn = self.pools.begin().await?;
            let result = async {
                let adapter = network_of(&mut conn, AccountId(*account)).await?;
                let insert = diesel::insert_into(network_templates::table)
                    .values((
                        network_templates::template_id.eq(id),
                        network_templates::account_id.eq(account),
                        network_templates::name.eq(name),
                        network_templates::language.eq(language),
                        network_templates::adapter.eq(&adapter),
                        network_templates::task.eq(Task::Submit.name()),
                        network_templates::version.eq(latest),
                        network_templates::due_at.eq(Some(now)),
                        network_templates::attempts.eq(0),
                    ))
                    .on_conflict_do_nothing();
                on!(conn, c => insert.execute(c).await)?;
                // One that is there is turned to the new version, once.
                let other = network_templates::task.ne(Task::Submit.name()).or(network_templates::version.ne(latest));
                let row = network_templates::table
                    .filter(network_templates::template_id.eq(id))
                    .filter(network_templates::task.ne(Task::Delete.name()))
                    .filter(other);
                let query = diesel::update(row).set((
                    network_templates::adapter.eq(&adapter),
                    network_templates::task.eq(Task::Submit.name()),
                    network_templates::version.eq(latest),
                    network_templates::due_at.eq(Some(now)),
                    network_templates::attempts.eq(0),
                    network_templates::error.eq(None::<String>),
                ));
                on!(conn, c => query.execute(c).await)?;
                Ok::<(), StoreError>(())
            }
            .await;
            conn.finish(result).await?;
        }
        Ok(found.len())
    }

    /// Claims up to `rows` tasks that are due, until `now + lease_ms`. Those of one account that would ask the network too
    /// often are put off: a question every `spacing_ms`, and so many new templates an hour as the network takes.
    pub(crate) async fn claim_template_tasks(
        &self,
        rows: i64,
        (lease_ms, spacing_ms): (Millis, Millis),
        now: Millis,
    ) -> Result<Vec<NetworkTask>, StoreError> {
        let query = network_templates::table
            .filter(network_templates::due_at.le(now))
            .order((network_templates::due_at, network_templates::template_id))
            .limit(rows);
        let due: Vec<Row> = {
            let mut conn = self.pools.read().await?;
            on!(conn, c => query.select(Row::as_select()).load(c).await)?
        };
        let mut next_question: HashMap<i64, Millis> = HashMap::new();
        let mut room: HashMap<i64, i64> = HashMap::new();
        let mut claimed = Vec::with_capacity(due.len());
        for row in due {
            let put_off = match Task::parse(&row.task)? {
                Task::Unpause | Task::Delete => None,
                Task::Check => {
                    let next = match next_question.get(&row.account_id) {
                        Some(next) => *next,
                        None => self.last_question(row.account_id).await?.map_or(now, |last| last + spacing_ms),
                    };
                    let slot = next.max(now);
                    next_question.insert(row.account_id, slot + spacing_ms);
                    (slot > now).then_some(slot)
                }
                Task::Submit => {
                    let left = match room.get(&row.account_id) {
                        Some(left) => *left,
                        None => CREATED_PER_HOUR - self.submitted_since(row.account_id, now - HOUR_MS).await?,
                    };
                    room.insert(row.account_id, left - 1);
                    (left <= 0).then_some(now + QUOTA_WAIT_MS)
                }
            };
            let as_seen = network_templates::table
                .filter(network_templates::template_id.eq(row.template_id))
                .filter(network_templates::due_at.eq(row.due_at));
            let mut conn = self.pools.write().await?;
            if let Some(at) = put_off {
                let query = diesel::update(as_seen).set(network_templates::due_at.eq(Some(at)));
                on!(conn, c => query.execute(c).await)?;
                continue;
            }
            let query = diesel::update(as_seen).set((
                network_templates::due_at.eq(Some(now + lease_ms)),
                network_templates::attempts.eq(network_templates::attempts + 1),
            ));
            if on!(conn, c => query.execute(c).await)? == 1 {
                claimed.push(row.claimed(now)?);
            }
        }
        Ok(claimed)
    }

    async fn last_question(&self, account: i64) -> Result<Option<Millis>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = network_templates::table
            .filter(network_templates::account_id.eq(account))
            .select(max(network_templates::checked_at));
        Ok(on!(conn, c => query.first(c).await)?)
    }

    async fn submitted_since(&self, account: i64, since: Millis) -> Result<i64, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = network_templates::table
            .filter(network_templates::account_id.eq(account))
            .filter(network_templates::submitted_at.gt(since))
            .select(count_star());
        Ok(on!(conn, c => query.first(c).await)?)
    }

    /// A sender of an account through which its network can be asked: the oldest one there.
    pub(crate) async fn network_sender(
        &self,
        account: AccountId,
        adapter: &str,
    ) -> Result<Option<SenderId>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = senders::table
            .filter(senders::account_id.eq(account.0))
            .filter(senders::adapter.eq(adapter))
            .filter(senders::channel.eq(WHATSAPP))
            .order((senders::created_at, senders::id))
            .select(senders::id);
        let id: Option<i64> = on!(conn, c => query.first(c).await.optional())?;
        Ok(id.map(SenderId))
    }

    /// What the version says that a task is about; none when it is not there any more.
    pub(crate) async fn version_at_network(&self, task: &NetworkTask) -> Result<Option<Content>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = template_versions::table
            .filter(template_versions::template_id.eq(task.template.0))
            .filter(template_versions::number.eq(task.version));
        let row: Option<VersionRow> = on!(conn, c => query.select(VersionRow::as_select()).first(c).await.optional())?;
        row.map(|row| row.content()).transpose()
    }

    /// Writes down that the network has got the version of `task`, and what it says of it. None when the template was
    /// deleted meanwhile, or is somewhere else by now.
    pub(crate) async fn template_submitted(
        &self,
        task: &NetworkTask,
        outcome: &Result<TemplateReport, UpstreamError>,
        (check_ms, now): (Millis, Millis),
    ) -> Result<Option<TemplateChanged>, ApiError> {
        let upstream_id = outcome.as_ref().ok().and_then(|report| report.upstream_id.as_deref());
        let mut conn = self.pools.begin().await?;
        let result = async {
            if upstream_id.is_some() {
                let row = network_templates::table.filter(network_templates::template_id.eq(task.template.0));
                let query = diesel::update(row).set(network_templates::upstream_id.eq(upstream_id));
                on!(conn, c => query.execute(c).await)?;
            }
            let query = still!(task).select(network_templates::heard_at);
            let heard_at: Option<Option<Millis>> = on!(conn, c => query.first(c).await.optional())?;
            let Some(heard_at) = heard_at else { return Ok(None) };
            let mut at = lock_template(&mut conn, &Subtree::Platform, task.template, now).await?;
            if (at.latest, at.state) != (task.version, State::ApprovedInternal) {
                put_down(&mut conn, task, next_check(&at, check_ms, 0, now)).await?;
                return Ok(None);
            }
            let system = Actor::system();
            let forwarded = NetworkEvent::Forwarded { network: task.adapter.clone() };
            apply(&mut conn, &system, &mut at, &forwarded, now).await?;
            let asked = at.category_of_latest(&mut conn).await?;
            let events = match outcome {
                Ok(report) => follow(report, None, (at.state, true), (at.used_state, asked)),
                Err(error) => vec![NetworkEvent::Decided(Verdict::Rejected {
                    reason: "INVALID_FORMAT".to_owned(),
                    details: Some(excerpt(&error.to_string())),
                    recommendation: None,
                })],
            };
            for event in &events {
                apply(&mut conn, &system, &mut at, event, now).await?;
            }
            // What it said while this was under way is asked for at once.
            let was_heard = heard_at.is_some_and(|heard| heard >= task.claimed_at);
            let due_at = if was_heard { Some(now) } else { next_check(&at, check_ms, 0, now) };
            let query = diesel::update(still!(task)).set((
                network_templates::task.eq(Task::Check.name()),
                network_templates::due_at.eq(due_at),
                network_templates::attempts.eq(0),
                network_templates::error.eq(None::<String>),
                network_templates::submitted_at.eq(Some(now)),
            ));
            on!(conn, c => query.execute(c).await)?;
            Ok(Some(at.changed()))
        }
        .await;
        conn.finish(result).await
    }

    /// Writes down what the network said when it was asked about the template of `task`.
    pub(crate) async fn template_reported(
        &self,
        task: &NetworkTask,
        report: &TemplateReport,
        (check_ms, now): (Millis, Millis),
    ) -> Result<Option<TemplateChanged>, ApiError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let query = still!(task).select(network_templates::template_id);
            let there: Option<i64> = on!(conn, c => query.first(c).await.optional())?;
            if there.is_none() {
                return Ok(None);
            }
            let mut at = lock_template(&mut conn, &Subtree::Platform, task.template, now).await?;
            let asked = at.category;
            let events = follow(report, None, (at.state, at.latest == task.version), (at.used_state, asked));
            for event in &events {
                apply(&mut conn, &Actor::system(), &mut at, event, now).await?;
            }
            let due_at = next_check(&at, check_ms, task.attempts, now);
            let query = diesel::update(still!(task)).set((
                network_templates::due_at.eq(due_at),
                network_templates::checked_at.eq(Some(now)),
                network_templates::error.eq(None::<String>),
            ));
            on!(conn, c => query.execute(c).await)?;
            if report.upstream_id.is_some() {
                let query =
                    diesel::update(still!(task)).set(network_templates::upstream_id.eq(report.upstream_id.as_deref()));
                on!(conn, c => query.execute(c).await)?;
            }
            Ok(Some(at.changed()))
        }
        .await;
        conn.finish(result).await
    }

    /// Puts a task off to `due_at`, without one for good. `counts` says whether it was a try.
    pub(crate) async fn template_task_failed(
        &self,
        task: &NetworkTask,
        (due_at, counts): (Option<Millis>, bool),
        error: &str,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let attempts = if counts { task.attempts } else { task.attempts - 1 };
        let query = diesel::update(still!(task)).set((
            network_templates::due_at.eq(due_at),
            network_templates::attempts.eq(attempts),
            network_templates::error.eq(Some(excerpt(error))),
        ));
        on!(conn, c => query.execute(c).await)?;
        if task.task == Task::Check {
            let query = diesel::update(still!(task)).set(network_templates::checked_at.eq(Some(now)));
            on!(conn, c => query.execute(c).await)?;
        }
        Ok(())
    }

    /// Ends a task; the network is asked about its template from `due_at` on, without one not at all.
    pub(crate) async fn end_template_task(&self, task: &NetworkTask, due_at: Option<Millis>) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        put_down(&mut conn, task, due_at).await
    }

    /// Forgets a template that its network has deleted.
    pub(crate) async fn template_deleted_at_network(&self, task: &NetworkTask) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        on!(conn, c => diesel::delete(still!(task)).execute(c).await)?;
        Ok(())
    }

    /// Writes down what a network said by itself of a template of an account. None when that went there through nobody
    /// here.
    pub(crate) async fn template_told(
        &self,
        (account, adapter): (AccountId, &str),
        told: &Told,
        now: Millis,
    ) -> Result<Option<TemplateChanged>, ApiError> {
        let own = || {
            network_templates::table
                .filter(network_templates::account_id.eq(account.0))
                .filter(network_templates::adapter.eq(adapter.to_owned()))
                .filter(network_templates::task.ne(Task::Delete.name()))
        };
        let named =
            network_templates::name.eq(told.name.clone()).and(network_templates::language.eq(told.language.clone()));
        let mut conn = self.pools.begin().await?;
        let result = async {
            let by_id = own().filter(network_templates::upstream_id.eq(&told.upstream_id));
            let columns = (network_templates::template_id, network_templates::version);
            let mut found: Option<(i64, i32)> = on!(conn, c => by_id.select(columns).first(c).await.optional())?;
            if found.is_none() {
                // Whose id has not come back yet.
                let unnamed = own().filter(network_templates::upstream_id.is_null()).filter(named);
                found = on!(conn, c => unnamed.select(columns).first(c).await.optional())?;
            }
            let Some((id, version)) = found else { return Ok(None) };
            let mut at = lock_template(&mut conn, &Subtree::Platform, TemplateId(id), now).await?;
            let asked =
                if at.state == State::Submitted { at.category_of_latest(&mut conn).await? } else { at.category };
            let latest = (at.state, at.latest == version);
            let mut events = follow(&told.report, told.pause.as_deref(), latest, (at.used_state, asked));
            events.extend(told.announced.map(|(correct, at)| NetworkEvent::CategoryAnnounced { correct, at }));
            for event in &events {
                apply(&mut conn, &Actor::system(), &mut at, event, now).await?;
            }
            let row = network_templates::table.filter(network_templates::template_id.eq(id));
            let query = diesel::update(row).set(network_templates::heard_at.eq(Some(now)));
            on!(conn, c => query.execute(c).await)?;
            Ok(Some(at.changed()))
        }
        .await;
        conn.finish(result).await
    }
}

/// Has the network delete a template that is being deleted here, in the transaction of `conn`.
pub(super) async fn delete_there(conn: &mut Conn, id: TemplateId, now: Millis) -> Result<(), StoreError> {
    let row = network_templates::table.filter(network_templates::template_id.eq(id.0));
    let query = diesel::update(row).set((
        network_templates::task.eq(Task::Delete.name()),
        network_templates::due_at.eq(Some(now)),
        network_templates::attempts.eq(0),
        network_templates::error.eq(None::<String>),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

/// Has the network end the pause of a template that was ended here, in the transaction of `conn`.
pub(super) async fn unpause_there(conn: &mut Conn, id: TemplateId, now: Millis) -> Result<(), StoreError> {
    let row = network_templates::table
        .filter(network_templates::template_id.eq(id.0))
        .filter(network_templates::task.eq(Task::Check.name()));
    let query = diesel::update(row).set((
        network_templates::task.eq(Task::Unpause.name()),
        network_templates::due_at.eq(Some(now)),
        network_templates::attempts.eq(0),
        network_templates::error.eq(None::<String>),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

/// Nothing else is to be done than to ask from `due_at` on.
async fn put_down(conn: &mut Conn, task: &NetworkTask, due_at: Option<Millis>) -> Result<(), StoreError> {
    let query = diesel::update(still!(task)).set((
        network_templates::task.eq(Task::Check.name()),
        network_templates::due_at.eq(due_at),
        network_templates::attempts.eq(0),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

/// The longest wait between two questions about a version that is under review, in milliseconds.
const REVIEW_CHECK_MAX_MS: Millis = 6 * HOUR_MS;
/// How often it is asked about one that is in use, in milliseconds.
const USE_CHECK_MS: Millis = 24 * HOUR_MS;
/// Doublings of the wait at most.
const DOUBLINGS_MAX: i32 = 16;

/// When a template is asked about next, after `times` questions; never while the network has nothing to decide.
fn next_check(at: &Locked, check_ms: Millis, times: i32, now: Millis) -> Option<Millis> {
    if at.state == State::Submitted {
        let doubled = check_ms.saturating_mul(1 << times.clamp(0, DOUBLINGS_MAX));
        return Some(now + doubled.min(REVIEW_CHECK_MAX_MS));
    }
    at.used_state.map(|_| now + USE_CHECK_MS)
}

fn excerpt(text: &str) -> String {
    text.chars().take(ERROR_MAX_CHARS).collect()
}
