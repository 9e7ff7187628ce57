//! What speaks against senders, and the cases that reviewers decide.

use std::collections::BTreeMap;

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

use super::{
    SenderView, Store, StoreError, audit,
    connection::{Conn, on},
    schema::{abuse_cases, sender_signals, senders, usage_days},
    tenancy::pause_sender,
};
use crate::{
    abuse::{Signal, Tally},
    audit::{Actor, Entry},
    clock::Millis,
    ids::{BusinessId, CaseId, ResellerId, SenderId},
    paging::{Page, Paging},
    tenancy::Subtree,
};

/// Senders looked at in one sweep at most.
const SWEEP_SENDERS: i64 = 10_000;

/// A case of suspected abuse.
#[derive(Debug, Clone)]
pub struct CaseView {
    /// Its id.
    pub id: CaseId,
    /// The reseller above the sender.
    pub reseller: ResellerId,
    /// The business of the sender.
    pub business: BusinessId,
    /// The sender that was paused.
    pub sender: SenderId,
    /// Why, in a sentence.
    pub reason: String,
    /// The numbers behind it.
    pub evidence: Value,
    /// When it was opened.
    pub opened_at: Millis,
    /// When it was decided.
    pub closed_at: Option<Millis>,
    /// `released` or `upheld`, with the reviewer's words.
    pub resolution: Option<String>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = abuse_cases)]
struct StoredCase {
    id: String,
    reseller_id: String,
    business_id: String,
    sender_id: i64,
    reason: String,
    evidence: String,
    opened_at: Millis,
    closed_at: Option<Millis>,
    resolution: Option<String>,
}

impl From<StoredCase> for CaseView {
    fn from(row: StoredCase) -> Self {
        Self {
            id: CaseId::from_key(row.id),
            reseller: ResellerId::from_key(row.reseller_id),
            business: BusinessId::from_key(row.business_id),
            sender: SenderId(row.sender_id),
            reason: row.reason,
            evidence: serde_json::from_str(&row.evidence).unwrap_or_default(),
            opened_at: row.opened_at,
            closed_at: row.closed_at,
            resolution: row.resolution,
        }
    }
}

/// Something that speaks against a sender, on its way into the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewSignal {
    pub(crate) sender: SenderId,
    pub(crate) day: i32,
    pub(crate) signal: Signal,
}

/// Counts signals inside the transaction of what gave rise to them.
pub(super) async fn count_signals(conn: &mut Conn, signals: impl Iterator<Item = NewSignal>) -> Result<(), StoreError> {
    // In one order everywhere, so that two batches never wait for each other.
    let mut counts: BTreeMap<(i64, i32, &'static str), i64> = BTreeMap::new();
    for NewSignal { sender, day, signal } in signals {
        *counts.entry((sender.0, day, signal.name())).or_default() += 1;
    }
    for ((sender, day, kind), count) in counts {
        let query = diesel::insert_into(sender_signals::table)
            .values((
                sender_signals::sender_id.eq(sender),
                sender_signals::day.eq(day),
                sender_signals::kind.eq(kind),
                sender_signals::count.eq(count),
            ))
            .on_conflict((sender_signals::sender_id, sender_signals::day, sender_signals::kind))
            .do_update()
            .set(sender_signals::count.eq(sender_signals::count + count));
        on!(*conn, c => query.execute(c).await)?;
    }
    Ok(())
}

/// How a case stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaseState {
    Open,
    Upheld,
    Released,
}

const RELEASED: &str = "released";
const UPHELD: &str = "upheld";

/// The last case against a sender, if it is open or was decided since `paused_at`.
pub(super) async fn case_since(
    conn: &mut Conn,
    sender: SenderId,
    paused_at: Millis,
) -> Result<Option<CaseState>, StoreError> {
    let query = abuse_cases::table
        .filter(abuse_cases::sender_id.eq(sender.0))
        .order(abuse_cases::id.desc())
        .select((abuse_cases::closed_at, abuse_cases::resolution));
    let last: Option<(Option<Millis>, Option<String>)> = on!(*conn, c => query.first(c).await.optional())?;
    Ok(match last {
        Some((None, _)) => Some(CaseState::Open),
        Some((Some(closed_at), resolution)) if closed_at >= paused_at => {
            let upheld = resolution.is_some_and(|words| words.starts_with(UPHELD));
            Some(if upheld { CaseState::Upheld } else { CaseState::Released })
        }
        _ => None,
    })
}

impl Store {
    /// Counts one signal by itself.
    pub(crate) async fn count_signal(&self, signal: NewSignal) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        count_signals(&mut conn, std::iter::once(signal)).await
    }

    /// Senders that are not paused and have something against them since `day`.
    pub(crate) async fn suspects(&self, day: i32) -> Result<Vec<SenderId>, StoreError> {
        let mut conn = self.pools.read().await?;
        let with_signals = sender_signals::table.filter(sender_signals::day.ge(day)).select(sender_signals::sender_id);
        let query = senders::table
            .filter(senders::paused_at.is_null())
            .filter(senders::id.eq_any(with_signals))
            .order(senders::id)
            .limit(SWEEP_SENDERS)
            .select(senders::id);
        let ids: Vec<i64> = on!(conn, c => query.load(c).await)?;
        Ok(ids.into_iter().map(SenderId).collect())
    }

    /// What a sender did and what speaks against it since `day`.
    pub(crate) async fn tally(&self, view: &SenderView, day: i32) -> Result<Tally, StoreError> {
        let mut conn = self.pools.read().await?;
        let sent = usage_days::table
            .filter(usage_days::business_id.eq(view.sender.business.key()))
            .filter(usage_days::day.ge(day))
            .filter(usage_days::sender_id.eq(view.sender.id.0))
            .select(usage_days::messages);
        let messages: Vec<i64> = on!(conn, c => sent.load(c).await)?;
        let against = sender_signals::table
            .filter(sender_signals::sender_id.eq(view.sender.id.0))
            .filter(sender_signals::day.ge(day))
            .select((sender_signals::kind, sender_signals::count));
        let counts: Vec<(String, i64)> = on!(conn, c => against.load(c).await)?;
        let of = |signal: Signal| counts.iter().filter(|(kind, _)| kind == signal.name()).map(|(_, n)| n).sum();
        Ok(Tally {
            messages: messages.iter().sum(),
            spam: of(Signal::Spam),
            opt_outs: of(Signal::OptOut),
            blocks: of(Signal::Block),
        })
    }

    /// Pauses a sender and opens a case for a reviewer, both or neither. False when it is
    /// paused or has an open case already.
    pub(crate) async fn open_case(
        &self,
        view: &SenderView,
        reason: &str,
        tally: &Tally,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let id = CaseId::generate();
        let by = Actor::system();
        let mut conn = self.pools.begin().await?;
        let result = async {
            let query = diesel::insert_into(abuse_cases::table)
                .values((
                    abuse_cases::id.eq(id.key()),
                    abuse_cases::reseller_id.eq(view.reseller.key()),
                    abuse_cases::business_id.eq(view.sender.business.key()),
                    abuse_cases::sender_id.eq(view.sender.id.0),
                    abuse_cases::reason.eq(reason),
                    abuse_cases::evidence.eq(json!(tally).to_string()),
                    abuse_cases::opened_at.eq(now),
                ))
                .on_conflict_do_nothing();
            if on!(conn, c => query.execute(c).await)? == 0 {
                return Ok(false);
            }
            pause_sender(&mut conn, &by, view, Some(reason), now).await?;
            let entry = Entry::new("case.opened", &id)
                .of_reseller(&view.reseller)
                .of_business(&view.sender.business)
                .after(json!({"sender": view.sender.id, "reason": reason, "evidence": tally}));
            audit::append(&mut conn, &by, entry, now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// The cases of `subtree`, newest first, or only those that wait for a decision.
    pub(crate) async fn cases(
        &self,
        subtree: &Subtree,
        open: bool,
        paging: &Paging,
    ) -> Result<Page<CaseView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let rows: Vec<StoredCase> = on!(conn, c => {
            let mut query = abuse_cases::table
                .select(StoredCase::as_select())
                .into_boxed()
                .order(abuse_cases::id.desc())
                .limit(paging.rows());
            if let Some(after) = &paging.after {
                query = query.filter(abuse_cases::id.lt(after));
            }
            if open {
                query = query.filter(abuse_cases::closed_at.is_null());
            }
            match subtree {
                Subtree::Platform => {}
                Subtree::Reseller(own) => query = query.filter(abuse_cases::reseller_id.eq(own.key())),
                Subtree::Business(own) => query = query.filter(abuse_cases::business_id.eq(own.key())),
            }
            query.load(c).await
        })?;
        Ok(Page::new(rows.into_iter().map(CaseView::from).collect(), paging, |case| case.id.key().to_owned()))
    }

    /// The case `id`, for the staff who decide it.
    pub(crate) async fn case(&self, id: &CaseId) -> Result<Option<CaseView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = abuse_cases::table.filter(abuse_cases::id.eq(id.key()));
        let row: Option<StoredCase> = on!(conn, c => query.select(StoredCase::as_select()).first(c).await.optional())?;
        Ok(row.map(Into::into))
    }

    /// Closes an open case; with `release` the sender goes on. False when it was decided
    /// already. What spoke against a released sender up to now is forgotten, so that it is
    /// not paused again for the same thing.
    pub(crate) async fn close_case(
        &self,
        by: &Actor,
        case: &CaseView,
        view: &SenderView,
        (release, words): (bool, &str),
        now: Millis,
    ) -> Result<bool, StoreError> {
        let verdict = if release { RELEASED } else { UPHELD };
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row =
                abuse_cases::table.filter(abuse_cases::id.eq(case.id.key())).filter(abuse_cases::closed_at.is_null());
            let query = diesel::update(row).set((
                abuse_cases::closed_at.eq(Some(now)),
                abuse_cases::resolution.eq(Some(format!("{verdict}: {words}"))),
            ));
            if on!(conn, c => query.execute(c).await)? == 0 {
                return Ok(false);
            }
            if release {
                pause_sender(&mut conn, by, view, None, now).await?;
                let past = sender_signals::table.filter(sender_signals::sender_id.eq(case.sender.0));
                on!(conn, c => diesel::delete(past).execute(c).await)?;
            }
            let entry = Entry::new("case.closed", &case.id)
                .of_reseller(&case.reseller)
                .of_business(&case.business)
                .after(json!({"verdict": verdict, "reason": words}));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Deletes signals from before `day`.
    pub(crate) async fn forget_signals(&self, day: i32) -> Result<usize, StoreError> {
        let mut conn = self.pools.write().await?;
        let old = sender_signals::table.filter(sender_signals::day.lt(day));
        Ok(on!(conn, c => diesel::delete(old).execute(c).await)?)
    }
}
