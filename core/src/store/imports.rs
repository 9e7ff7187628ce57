//! Imports of contacts: how far each has come, and what was wrong with its rows.

use diesel::{BoolExpressionMethods, ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;
use serde_json::json;

use super::{
    Store, StoreError, audit,
    connection::on,
    reseller_of,
    schema::{contact_import_errors as errors, contact_imports as imports},
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    ids::{BusinessId, ImportId},
    paging::{Page, Paging},
};

/// How long an import may be silent before it counts as broken off, in milliseconds.
const SILENT_MAX_MS: Millis = 2 * 60 * 1_000;

const RUNNING: &str = "running";
const FINISHED: &str = "finished";
const BROKEN_OFF: &str = "broken_off";

/// Rows of an import.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportCounts {
    /// Read.
    pub read: u64,
    /// That made a contact.
    pub created: u64,
    /// That were about a contact that was there.
    pub updated: u64,
    /// That were wrong.
    pub failed: u64,
}

/// How an import stands.
#[derive(Debug, Clone)]
pub struct ImportView {
    /// Its id.
    pub id: ImportId,
    /// `running`, `finished` or `broken_off`.
    pub state: &'static str,
    /// Its rows.
    pub counts: ImportCounts,
    /// Why it broke off.
    pub failure: Option<String>,
    /// When it began.
    pub started_at: Millis,
    /// When it was last heard of.
    pub updated_at: Millis,
}

/// Something that was wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportFault {
    /// The line in the file, from 1: the first one has the names of the columns.
    pub line: u64,
    /// Its place among the faults of the line.
    pub(crate) place: u64,
    /// The column; empty for the whole row.
    pub column: String,
    /// What was wrong.
    pub message: String,
}

fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Store {
    /// Notes that an import begins.
    pub(crate) async fn begin_import(&self, business: &BusinessId, now: Millis) -> Result<ImportId, StoreError> {
        let id = ImportId::generate();
        let mut conn = self.pools.write().await?;
        let insert = diesel::insert_into(imports::table).values((
            imports::id.eq(id.key()),
            imports::business_id.eq(business.key()),
            imports::state.eq(RUNNING),
            imports::rows_read.eq(0),
            imports::rows_created.eq(0),
            imports::rows_updated.eq(0),
            imports::rows_failed.eq(0),
            imports::started_at.eq(now),
            imports::updated_at.eq(now),
        ));
        on!(conn, c => insert.execute(c).await)?;
        Ok(id)
    }

    /// Notes how far an import has come, and what was wrong since it was last noted.
    pub(crate) async fn note_import(
        &self,
        id: &ImportId,
        counts: &ImportCounts,
        faults: &[ImportFault],
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result: Result<(), StoreError> = async {
            let update = diesel::update(imports::table.filter(imports::id.eq(id.key()))).set((
                imports::rows_read.eq(to_i64(counts.read)),
                imports::rows_created.eq(to_i64(counts.created)),
                imports::rows_updated.eq(to_i64(counts.updated)),
                imports::rows_failed.eq(to_i64(counts.failed)),
                imports::updated_at.eq(now),
            ));
            on!(conn, c => update.execute(c).await)?;
            for fault in faults {
                let insert = diesel::insert_into(errors::table).values((
                    errors::import_id.eq(id.key()),
                    errors::line.eq(to_i64(fault.line)),
                    errors::place.eq(to_i64(fault.place)),
                    errors::name.eq(&fault.column),
                    errors::message.eq(&fault.message),
                ));
                on!(conn, c => insert.execute(c).await)?;
            }
            Ok(())
        }
        .await;
        conn.finish(result).await
    }

    /// Ends an import, finished or broken off for a reason.
    pub(crate) async fn end_import(
        &self,
        by: &Actor,
        business: &BusinessId,
        id: &ImportId,
        failure: Option<&str>,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let state = if failure.is_some() { BROKEN_OFF } else { FINISHED };
            let update = diesel::update(imports::table.filter(imports::id.eq(id.key()))).set((
                imports::state.eq(state),
                imports::failure.eq(failure),
                imports::updated_at.eq(now),
            ));
            on!(conn, c => update.execute(c).await)?;
            let reseller = reseller_of(&mut conn, business).await?;
            let entry = Entry { reseller, ..Entry::new("contacts.imported", id).of_business(business) };
            audit::append(&mut conn, by, entry.after(json!({"state": state})), now).await
        }
        .await;
        conn.finish(result).await
    }

    /// How an import of `business` stands. One that was silent for long has broken off.
    pub(crate) async fn import(
        &self,
        business: &BusinessId,
        id: &ImportId,
        now: Millis,
    ) -> Result<Option<ImportView>, StoreError> {
        type Columns = (String, i64, i64, i64, i64, Option<String>, Millis, Millis);
        let mut conn = self.pools.read().await?;
        let query =
            imports::table.filter(imports::id.eq(id.key())).filter(imports::business_id.eq(business.key())).select((
                imports::state,
                imports::rows_read,
                imports::rows_created,
                imports::rows_updated,
                imports::rows_failed,
                imports::failure,
                imports::started_at,
                imports::updated_at,
            ));
        let row: Option<Columns> = on!(conn, c => query.first(c).await.optional())?;
        Ok(row.map(|(state, read, created, updated, failed, failure, started_at, updated_at)| {
            let counts = ImportCounts {
                read: read.unsigned_abs(),
                created: created.unsigned_abs(),
                updated: updated.unsigned_abs(),
                failed: failed.unsigned_abs(),
            };
            let silent = state == RUNNING && now - updated_at > SILENT_MAX_MS;
            let failure = failure.or_else(|| silent.then(|| "The process that read it ended.".to_owned()));
            let state = match state.as_str() {
                FINISHED => FINISHED,
                RUNNING if !silent => RUNNING,
                _ => BROKEN_OFF,
            };
            ImportView { id: id.clone(), state, counts, failure, started_at, updated_at }
        }))
    }

    /// A page of what was wrong with the rows of an import.
    pub(crate) async fn import_faults(&self, id: &ImportId, paging: &Paging) -> Result<Page<ImportFault>, StoreError> {
        let after = paging.after.as_deref().and_then(|after| {
            let (line, place) = after.split_once('.')?;
            Some((line.parse::<i64>().ok()?, place.parse::<i64>().ok()?))
        });
        let mut conn = self.pools.read().await?;
        let rows: Vec<(i64, i64, String, String)> = on!(conn, c => {
            let mut query = errors::table
                .filter(errors::import_id.eq(id.key()))
                .order((errors::line, errors::place))
                .limit(paging.rows())
                .select((errors::line, errors::place, errors::name, errors::message))
                .into_boxed();
            if let Some((line, place)) = after {
                query = query
                    .filter(errors::line.ge(line))
                    .filter(errors::line.gt(line).or(errors::place.gt(place)));
            }
            query.load(c).await
        })?;
        let faults = rows.into_iter().map(|(line, place, column, message)| ImportFault {
            line: line.unsigned_abs(),
            place: place.unsigned_abs(),
            column,
            message,
        });
        Ok(Page::new(faults.collect(), paging, |fault| format!("{}.{}", fault.line, fault.place)))
    }
}
