//! A PostgreSQL statement for a whole batch, prepared once per connection.
//!
//! Diesel's query builder has no arrays-as-tables (`unnest`), and its `sql_query`
//! prepares anew on every call, which costs a round trip. A [`Statement`] is text
//! with `?` for each bound array, cached by its text like any query of the builder.

use diesel::{
    QueryResult,
    expression::AsExpression,
    pg::Pg,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::{Array, SqlType, Untyped},
};

type Bind<'a> = Box<dyn QueryFragment<Pg> + Send + 'a>;

/// See the module's comment.
pub(super) struct Statement<'a> {
    text: &'static str,
    binds: Vec<Bind<'a>>,
}

impl<'a> Statement<'a> {
    pub(super) fn new(text: &'static str) -> Self {
        Self { text, binds: Vec::new() }
    }

    /// Binds the next `?` to an array of `ST`.
    pub(super) fn array<ST, U>(self, values: Vec<U>) -> Self
    where
        ST: SqlType + diesel::query_builder::QueryId + 'static,
        Array<ST>: SqlType + diesel::expression::TypedExpressionType,
        Vec<U>: AsExpression<Array<ST>>,
        <Vec<U> as AsExpression<Array<ST>>>::Expression: QueryFragment<Pg> + Send + 'a,
    {
        self.bind::<Array<ST>, _>(values)
    }

    /// Binds the next `?` to one value.
    pub(super) fn bind<ST, U>(mut self, value: U) -> Self
    where
        ST: SqlType + diesel::expression::TypedExpressionType,
        U: AsExpression<ST>,
        U::Expression: QueryFragment<Pg> + Send + 'a,
    {
        self.binds.push(Box::new(value.as_expression()));
        self
    }
}

impl QueryFragment<Pg> for Statement<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let mut binds = self.binds.iter();
        for (index, piece) in self.text.split('?').enumerate() {
            if index > 0 {
                let bind = binds.next().ok_or_else(|| {
                    diesel::result::Error::QueryBuilderError("fewer values than question marks".into())
                })?;
                bind.walk_ast(out.reborrow())?;
            }
            out.push_sql(piece);
        }
        Ok(())
    }
}

impl QueryId for Statement<'_> {
    type QueryId = ();
    // Cached by its text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl Query for Statement<'_> {
    type SqlType = Untyped;
}

impl<Conn> diesel::RunQueryDsl<Conn> for Statement<'_> {}
