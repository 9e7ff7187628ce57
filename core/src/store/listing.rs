//! Lists of messages, newest first: a page takes bounded time, however many messages there are and however few of them
//! it is about.
//!
//! The filter that is likely to leave least decides on the index that is walked; the others are held against each message
//! on the way. A page looks at no more than [`PAGE_MAX_ROWS`] of them and may therefore have fewer entries than it could
//! have, even none, and a next page all the same.

use diesel::{ExpressionMethods, QueryDsl, SelectableHelper};
use diesel_async::RunQueryDsl;

use super::{
    MessageView, Store, StoreError,
    connection::on,
    messages::{MessageRow, StoredMessage},
    overview::first_id_at,
    schema::messages,
};
use crate::{
    clock::Millis,
    ids::{BusinessId, SenderId},
    messages::{Category, address::Address, state::State},
    paging::{Page, Paging},
};

/// Messages that a page looks at, at most.
const PAGE_MAX_ROWS: i64 = 5_000;

/// Which messages. What is left out holds for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Where they stand.
    pub state: Option<State>,
    /// Those accepted at this time or later.
    pub accepted_from: Option<Millis>,
    /// Those accepted before this time.
    pub accepted_before: Option<Millis>,
    /// Whom they are for.
    pub recipient: Option<Address>,
    /// Who sends them.
    pub sender: Option<SenderId>,
    /// The template that they are made of.
    pub template: Option<String>,
    /// The tenant's own data, as a whole.
    pub callback_data: Option<String>,
    /// What they are for.
    pub category: Option<Category>,
}

/// The filter whose index is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Walk {
    CallbackData,
    Recipient,
    InTrouble,
    Pending,
    Template,
    Sender,
    Category,
    All,
}

impl MessageFilter {
    fn walk(&self) -> Walk {
        let by_state = match self.state {
            Some(State::Failed | State::Expired | State::Canceled) => Some(Walk::InTrouble),
            Some(state) if state.is_pending() => Some(Walk::Pending),
            _ => None,
        };
        [
            self.callback_data.is_some().then_some(Walk::CallbackData),
            self.recipient.is_some().then_some(Walk::Recipient),
            by_state,
            self.template.is_some().then_some(Walk::Template),
            self.sender.is_some().then_some(Walk::Sender),
            self.category.is_some().then_some(Walk::Category),
        ]
        .into_iter()
        .flatten()
        .next()
        .unwrap_or(Walk::All)
    }

    /// Whether everything that is met on the walk belongs to the list.
    fn is_walked_whole(&self) -> bool {
        let filters = [
            self.state.is_some(),
            self.recipient.is_some(),
            self.sender.is_some(),
            self.template.is_some(),
            self.callback_data.is_some(),
            self.category.is_some(),
        ];
        match filters.iter().filter(|given| **given).count() {
            0 => true,
            1 => self.state.is_none(),
            _ => false,
        }
    }
}

/// The messages of `$business` on the walk of `$filter`, between its times and before the cursor, newest first.
macro_rules! walked {
    ($business:expr, $filter:expr, $paging:expr) => {{
        let filter: &MessageFilter = $filter;
        let mut query =
            messages::table.filter(messages::business_id.eq($business.key())).order(messages::id.desc()).into_boxed();
        if let Some(from) = filter.accepted_from {
            query = query.filter(messages::id.ge(first_id_at(from)));
        }
        if let Some(before) = filter.accepted_before {
            query = query.filter(messages::id.lt(first_id_at(before)));
        }
        if let Some(after) = &$paging.after {
            query = query.filter(messages::id.lt(after));
        }
        match filter.walk() {
            Walk::CallbackData => query = query.filter(messages::callback_data.eq(filter.callback_data.as_deref())),
            Walk::Recipient => {
                let recipient = filter.recipient.as_ref().map_or("", Address::as_str);
                query = query.filter(messages::recipient.eq(recipient));
            }
            Walk::InTrouble => query = query.filter(messages::error.is_not_null()),
            Walk::Pending => query = query.filter(messages::due_at.is_not_null()),
            Walk::Template => query = query.filter(messages::template_name.eq(filter.template.as_deref())),
            Walk::Sender => query = query.filter(messages::sender_id.eq(filter.sender.map_or(0, |sender| sender.0))),
            Walk::Category => {
                let category = filter.category.map_or("", Category::name);
                query = query.filter(messages::category.eq(category));
            }
            Walk::All => {}
        }
        query
    }};
}

impl Store {
    /// A page of the messages of `business` that `filter` names, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn messages(
        &self,
        business: &BusinessId,
        filter: &MessageFilter,
        paging: &Paging,
    ) -> Result<Page<MessageView>, StoreError> {
        let mut conn = self.pools.read().await?;
        // The last message that this page looks at, if there may be more behind it.
        let last: Option<String> = if filter.is_walked_whole() {
            None
        } else {
            let ids: Vec<String> = on!(conn, c => walked!(business, filter, paging)
                .select(messages::id)
                .offset(PAGE_MAX_ROWS - 1)
                .limit(1)
                .load(c)
                .await)?;
            ids.into_iter().next()
        };
        let rows: Vec<StoredMessage> = on!(conn, c => {
            let mut query = walked!(business, filter, paging).limit(paging.rows());
            if let Some(last) = &last {
                query = query.filter(messages::id.ge(last));
            }
            if let Some(state) = filter.state {
                query = query.filter(messages::state.eq(state.code()));
            }
            if let Some(recipient) = &filter.recipient {
                query = query.filter(messages::recipient.eq(recipient.as_str()));
            }
            if let Some(sender) = filter.sender {
                query = query.filter(messages::sender_id.eq(sender.0));
            }
            if let Some(template) = &filter.template {
                query = query.filter(messages::template_name.eq(template));
            }
            if let Some(category) = filter.category {
                query = query.filter(messages::category.eq(category.name()));
            }
            query.select(StoredMessage::as_select()).load(c).await
        })?;
        let views: Vec<MessageView> =
            rows.into_iter().map(|row| MessageRow::try_from(row).map(Into::into)).collect::<Result<_, _>>()?;
        Ok(Page::new(views, paging, |view| view.id.key().to_owned()).going_on_after(last))
    }
}
