//! The audit log. Entries get their place under the lock of the chain's head, so their
//! order is that of their commits: who has read up to a place has missed nothing before it.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::RunQueryDsl;

use super::{
    Store, StoreError,
    connection::{Conn, on},
    schema::{audit_head, audit_log},
};
use crate::{
    audit::{Actor, AuditEntry, ChainFault, ChainHead, ChainWalk, Entry},
    clock::Millis,
    ids::{BusinessId, ResellerId},
    paging::{Page, Paging},
    tenancy::Subtree,
};

/// Entries read at once while the chain is walked.
const WALK_ROWS: i64 = 1_000;

#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = audit_log)]
struct StoredEntry {
    seq: i64,
    at: i64,
    actor_kind: String,
    actor_id: String,
    actor_name: String,
    address: Option<String>,
    request_id: Option<String>,
    action: String,
    reseller_id: Option<String>,
    business_id: Option<String>,
    subject: String,
    before: Option<String>,
    after: Option<String>,
    hash: String,
}

impl From<StoredEntry> for AuditEntry {
    fn from(row: StoredEntry) -> Self {
        Self {
            seq: row.seq,
            at: row.at,
            actor_kind: row.actor_kind,
            actor_id: row.actor_id,
            actor_name: row.actor_name,
            address: row.address,
            request_id: row.request_id,
            action: row.action,
            reseller: row.reseller_id.map(ResellerId::from_key),
            business: row.business_id.map(BusinessId::from_key),
            subject: row.subject,
            before: row.before,
            after: row.after,
            hash: row.hash,
        }
    }
}

/// A change that caches have to know of.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) seq: i64,
    pub(crate) business: Option<BusinessId>,
    pub(crate) action: String,
}

/// Appends an entry inside the transaction of the change it tells of. Without a
/// transaction it would be a promise that nobody keeps.
pub(super) async fn append(conn: &mut Conn, by: &Actor, entry: Entry, now: Millis) -> Result<(), StoreError> {
    // Takes the head's lock, on either database, before its value is read.
    let lock = diesel::update(audit_head::table.filter(audit_head::id.eq(1)))
        .set(audit_head::seq.eq(audit_head::seq + 1))
        .returning((audit_head::seq, audit_head::hash));
    let (seq, previous): (i64, String) = on!(*conn, c => lock.get_result(c).await)?;
    let mut entry = AuditEntry {
        seq,
        at: now,
        actor_kind: by.kind.name().to_owned(),
        actor_id: by.id.clone(),
        actor_name: by.name.clone(),
        address: by.address.map(|address| address.to_string()),
        request_id: by.request_id.clone(),
        action: entry.action.to_owned(),
        reseller: entry.reseller,
        business: entry.business,
        subject: entry.subject,
        before: entry.before.map(|value| value.to_string()),
        after: entry.after.map(|value| value.to_string()),
        hash: String::new(),
    };
    entry.hash = entry.hash_after(&previous);
    let insert = diesel::insert_into(audit_log::table).values((
        audit_log::seq.eq(entry.seq),
        audit_log::at.eq(entry.at),
        audit_log::actor_kind.eq(&entry.actor_kind),
        audit_log::actor_id.eq(&entry.actor_id),
        audit_log::actor_name.eq(&entry.actor_name),
        audit_log::address.eq(&entry.address),
        audit_log::request_id.eq(&entry.request_id),
        audit_log::action.eq(&entry.action),
        audit_log::reseller_id.eq(entry.reseller.as_ref().map(ResellerId::key)),
        audit_log::business_id.eq(entry.business.as_ref().map(BusinessId::key)),
        audit_log::subject.eq(&entry.subject),
        audit_log::before.eq(&entry.before),
        audit_log::after.eq(&entry.after),
        audit_log::hash.eq(&entry.hash),
    ));
    on!(*conn, c => insert.execute(c).await)?;
    let head = diesel::update(audit_head::table.filter(audit_head::id.eq(1))).set(audit_head::hash.eq(&entry.hash));
    on!(*conn, c => head.execute(c).await)?;
    Ok(())
}

impl Store {
    /// Appends an entry about something that changes no row of its own, such as a failed
    /// sign-in.
    pub(crate) async fn note(&self, by: &Actor, entry: Entry, now: Millis) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = append(&mut conn, by, entry, now).await;
        conn.finish(result).await
    }

    /// Notes that a process of this version started, with the settings that are not the
    /// default, without secrets: so the log says when which configuration took effect.
    ///
    /// # Errors
    /// The database's.
    pub async fn note_start(&self, version: &str, settings: serde_json::Value, now: Millis) -> Result<(), StoreError> {
        let entry = Entry::new("process.started", format!("waystation {version}")).after(settings);
        self.note(&Actor::operator(), entry, now).await
    }

    /// Entries of `subtree` that come before the place `before`, newest first, at most
    /// `limit`.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit_entries(
        &self,
        subtree: &Subtree,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        let mut conn = self.pools.read().await?;
        let rows: Vec<StoredEntry> = on!(conn, c => {
            let mut query = audit_log::table
                .select(StoredEntry::as_select())
                .into_boxed()
                .filter(audit_log::seq.lt(before.unwrap_or(i64::MAX)))
                .order(audit_log::seq.desc())
                .limit(limit);
            match subtree {
                Subtree::Platform => {}
                Subtree::Reseller(own) => query = query.filter(audit_log::reseller_id.eq(own.key())),
                Subtree::Business(own) => query = query.filter(audit_log::business_id.eq(own.key())),
            }
            query.load(c).await
        })?;
        Ok(rows.into_iter().map(|row| AuditEntry::from(row).seen_from(subtree)).collect())
    }

    /// A page of the entries of `subtree`, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn audit_page(&self, subtree: &Subtree, paging: &Paging) -> Result<Page<AuditEntry>, StoreError> {
        let before = paging.after.as_ref().and_then(|seq| seq.parse().ok());
        let entries = self.audit_entries(subtree, before, paging.rows()).await?;
        Ok(Page::new(entries, paging, |entry| entry.seq.to_string()))
    }

    /// Walks the whole chain. `noted` is a place that was noted down earlier and has to be
    /// in it.
    ///
    /// # Errors
    /// The database's. What is wrong with the chain is part of the answer.
    pub async fn verify_audit(&self, noted: Option<ChainHead>) -> Result<Result<ChainHead, ChainFault>, StoreError> {
        let mut walk = ChainWalk::new(noted);
        let mut conn = self.pools.read().await?;
        loop {
            let query = audit_log::table.filter(audit_log::seq.gt(walk.seq())).order(audit_log::seq).limit(WALK_ROWS);
            let rows: Vec<StoredEntry> = on!(conn, c => query.select(StoredEntry::as_select()).load(c).await)?;
            if rows.is_empty() {
                // Read after the rows: what it knows of beyond them was appended meanwhile.
                let head = self.audit_head().await?;
                if head.seq > walk.seq() && self.has_entry_after(walk.seq()).await? {
                    continue;
                }
                return Ok(walk.end(head));
            }
            for row in rows {
                if let Err(fault) = walk.step(&row.into()) {
                    return Ok(Err(fault));
                }
            }
        }
    }

    /// The end of the chain.
    pub(crate) async fn audit_head(&self) -> Result<ChainHead, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = audit_head::table.filter(audit_head::id.eq(1)).select((audit_head::seq, audit_head::hash));
        let row: Option<(i64, String)> = on!(conn, c => query.first(c).await.optional())?;
        let (seq, hash) = row.unwrap_or_default();
        Ok(ChainHead { seq, hash })
    }

    async fn has_entry_after(&self, seq: i64) -> Result<bool, StoreError> {
        Ok(!self.changes_after(seq, i64::MAX, 1).await?.is_empty())
    }

    /// What changed after the place `seq`, up to the place `end`, at most `limit` of it.
    pub(crate) async fn changes_after(&self, seq: i64, end: i64, limit: i64) -> Result<Vec<Change>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = audit_log::table
            .filter(audit_log::seq.gt(seq))
            .filter(audit_log::seq.le(end))
            .order(audit_log::seq)
            .limit(limit)
            .select((audit_log::seq, audit_log::business_id, audit_log::action));
        let rows: Vec<(i64, Option<String>, String)> = on!(conn, c => query.load(c).await)?;
        Ok(rows
            .into_iter()
            .map(|(seq, business, action)| Change { seq, business: business.map(BusinessId::from_key), action })
            .collect())
    }
}
