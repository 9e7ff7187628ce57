//! Requests to load adapters anew, and what each process made of them: entries of the audit log and nothing else.

use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;
use serde_json::Value;

use super::{Store, StoreError, connection::on, schema::audit_log};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    plugins::ReloadAnswer,
};

/// The action by which processes know the request.
pub(crate) const RELOAD_REQUESTED: &str = "adapters.reload_requested";
const RELOADED: &str = "adapters.reloaded";
const RELOAD_REFUSED: &str = "adapters.reload_refused";

/// Answers read at once.
const ANSWERS_MAX: i64 = 1_000;

impl Store {
    /// Asks every process to load its adapters anew, and answers the place of the request. `expected` is what the asker's
    /// own configuration names, for the record.
    ///
    /// # Errors
    /// The database's.
    pub async fn request_reload(&self, expected: Value, now: Millis) -> Result<i64, StoreError> {
        let entry = Entry::new(RELOAD_REQUESTED, "adapters").after(expected);
        self.note(&Actor::operator(), entry, now).await?;
        let mut conn = self.pools.read().await?;
        // One that somebody else made right after it asks for the same.
        let query = audit_log::table
            .filter(audit_log::action.eq(RELOAD_REQUESTED))
            .order(audit_log::seq.desc())
            .select(audit_log::seq)
            .limit(1);
        Ok(on!(conn, c => query.first(c).await)?)
    }

    /// Notes what a process made of a request.
    pub(crate) async fn note_reload(
        &self,
        process: &str,
        done: bool,
        details: Value,
        now: Millis,
    ) -> Result<(), StoreError> {
        let action = if done { RELOADED } else { RELOAD_REFUSED };
        self.note(&Actor::system(), Entry::new(action, process).after(details), now).await
    }

    /// What processes have answered to the request at the place `request`, or to one after it.
    ///
    /// # Errors
    /// The database's.
    pub async fn reload_answers(&self, request: i64) -> Result<Vec<ReloadAnswer>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = audit_log::table
            .filter(audit_log::seq.gt(request))
            .filter(audit_log::action.eq_any([RELOADED, RELOAD_REFUSED]))
            .order(audit_log::seq)
            .select((audit_log::subject, audit_log::after))
            .limit(ANSWERS_MAX);
        let rows: Vec<(String, Option<String>)> = on!(conn, c => query.load(c).await)?;
        Ok(rows
            .into_iter()
            .filter_map(|(process, after)| Some((process, serde_json::from_str::<Value>(&after?).ok()?)))
            .filter(|(_, details)| details["request"].as_i64().is_some_and(|answered| answered >= request))
            .map(|(process, details)| ReloadAnswer::read(process, &details))
            .collect())
    }
}
