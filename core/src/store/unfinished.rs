//! What the engine has yet to finish, as the reconciler goes through it.

use diesel::{BoolExpressionMethods, ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl;

use super::{
    Store, StoreError,
    connection::on,
    schema::{callbacks, deliveries},
};
use crate::clock::Millis;

/// A row that the engine has yet to finish, as the reconciler sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfinished {
    pub(crate) id: String,
    pub(crate) lane: String,
    /// When it has to be looked at.
    pub(crate) due_at: Millis,
    /// Where it stands in the order of overdue rows.
    pub(crate) place: Place,
}

/// A place in the order of overdue rows: by due time, then by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) due_at: Millis,
    pub(crate) id: String,
}

impl Place {
    /// Before every row.
    pub(crate) fn start() -> Self {
        Self { due_at: Millis::MIN, id: String::new() }
    }
}

impl Unfinished {
    pub(super) fn new(id: String, lane: String, due_at: Option<Millis>) -> Self {
        let due_at = due_at.unwrap_or(0);
        Self { place: Place { due_at, id: id.clone() }, id, lane, due_at }
    }
}

/// The rows of `$table` that come after the place `$after`.
macro_rules! comes_after {
    ($table:ident, $after:expr) => {
        // The first bound says nothing new, but databases look it up in the index.
        $table::due_at.ge($after.due_at).and($table::due_at.gt($after.due_at).or($table::id.gt(&$after.id)))
    };
}
pub(super) use comes_after;

/// The way to go through what is unfinished in a table, in the order of [`Place`]s.
macro_rules! sweeps {
    ($due:ident, $table:ident, $lane:ident: $Lane:ty) => {
        impl Store {
            /// Unfinished rows whose time comes by `before`, oldest first.
            pub(crate) async fn $due(
                &self,
                before: Millis,
                after: &Place,
                limit: i64,
            ) -> Result<Vec<Unfinished>, StoreError> {
                let mut conn = self.pools.read().await?;
                let query = $table::table
                    .filter($table::due_at.le(before))
                    .filter(comes_after!($table, after))
                    .order(($table::due_at, $table::id))
                    .limit(limit)
                    .select(($table::id, $table::$lane, $table::due_at));
                let rows: Vec<(String, $Lane, Option<Millis>)> = on!(conn, c => query.load(c).await)?;
                Ok(rows.into_iter().map(|(id, lane, due_at)| Unfinished::new(id, lane.to_string(), due_at)).collect())
            }
        }
    };
}

sweeps!(due_callbacks, callbacks, sender_id: i64);
sweeps!(due_deliveries, deliveries, endpoint_id: String);
