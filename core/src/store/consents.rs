//! Consents: a history that only grows, until its contact is erased.

use std::collections::HashMap;

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, JoinOnDsl, QueryDsl, Queryable, Selectable, SelectableHelper,
};
use diesel_async::RunQueryDsl;

use super::{
    Store, StoreError,
    connection::{Conn, on},
    schema::{contact_consents, contacts},
};
use crate::{
    clock::Millis,
    contacts::{CONSENTS_MAX_PER_CONTACT, Consent, consent},
    ids::{BusinessId, ConsentId, ContactId},
    messages::Category,
    paging::{Page, Paging},
};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = contact_consents)]
struct StoredConsent {
    id: String,
    business_id: String,
    contact_id: String,
    channel: String,
    category: String,
    granted: bool,
    source: String,
    text_version: Option<String>,
    evidence: Option<String>,
    at: Millis,
    recorded_at: Millis,
}

impl StoredConsent {
    fn of(consent: &Consent, business: &str, contact: &ContactId) -> Self {
        Self {
            id: consent.id.key().to_owned(),
            business_id: business.to_owned(),
            contact_id: contact.key().to_owned(),
            channel: consent.channel.clone(),
            category: consent.category.name().to_owned(),
            granted: consent.granted,
            source: consent.source.clone(),
            text_version: consent.text_version.clone(),
            evidence: consent.evidence.clone(),
            at: consent.at,
            recorded_at: consent.recorded_at,
        }
    }
}

impl TryFrom<StoredConsent> for Consent {
    type Error = StoreError;

    fn try_from(row: StoredConsent) -> Result<Self, StoreError> {
        let category = Category::parse(&row.category).ok_or_else(|| StoreError::Unreadable {
            table: "contact_consents",
            reason: format!("category {} of {}; was it written by a newer version?", row.category, row.id),
        })?;
        Ok(Self {
            id: ConsentId::from_key(row.id),
            channel: row.channel,
            category,
            granted: row.granted,
            source: row.source,
            text_version: row.text_version,
            evidence: row.evidence,
            at: row.at,
            recorded_at: row.recorded_at,
        })
    }
}

/// What became of a consent to add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConsentAdded {
    Yes,
    NoSuchContact,
    TooMany,
}

impl Store {
    /// Adds a line to the history of a contact.
    pub(crate) async fn add_consent(
        &self,
        business: &BusinessId,
        contact: &ContactId,
        consent: &Consent,
    ) -> Result<ConsentAdded, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            if !super::contacts::is_there(&mut conn, business, contact).await? {
                return Ok(ConsentAdded::NoSuchContact);
            }
            let known = contact_consents::table.filter(contact_consents::contact_id.eq(contact.key())).count();
            let known: i64 = on!(conn, c => known.get_result(c).await)?;
            if known >= CONSENTS_MAX_PER_CONTACT {
                return Ok(ConsentAdded::TooMany);
            }
            insert(&mut conn, vec![StoredConsent::of(consent, business.key(), contact)]).await?;
            Ok(ConsentAdded::Yes)
        }
        .await;
        conn.finish(result).await
    }

    /// A page of the history of a contact, oldest first.
    pub(crate) async fn consents(
        &self,
        business: &BusinessId,
        contact: &ContactId,
        paging: &Paging,
    ) -> Result<Page<Consent>, StoreError> {
        let mut conn = self.pools.read().await?;
        let rows: Vec<StoredConsent> = on!(conn, c => {
            let mut query = contact_consents::table
                .filter(contact_consents::contact_id.eq(contact.key()))
                .filter(contact_consents::business_id.eq(business.key()))
                .select(StoredConsent::as_select())
                .order(contact_consents::id)
                .limit(paging.rows())
                .into_boxed();
            if let Some(after) = &paging.after {
                query = query.filter(contact_consents::id.gt(after));
            }
            query.load(c).await
        })?;
        let rows: Vec<Consent> = rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        Ok(Page::new(rows, paging, |row| row.id.key().to_owned()))
    }

    /// The whole history of each of `contacts`.
    pub(crate) async fn histories(
        &self,
        business: &BusinessId,
        contacts: &[&ContactId],
    ) -> Result<HashMap<String, Vec<Consent>>, StoreError> {
        let keys: Vec<&str> = contacts.iter().map(|contact| contact.key()).collect();
        let mut conn = self.pools.read().await?;
        let query = contact_consents::table
            .filter(contact_consents::contact_id.eq_any(keys))
            .filter(contact_consents::business_id.eq(business.key()));
        let rows: Vec<StoredConsent> = on!(conn, c => query.select(StoredConsent::as_select()).load(c).await)?;
        let mut histories: HashMap<String, Vec<Consent>> = HashMap::new();
        for row in rows {
            histories.entry(row.contact_id.clone()).or_default().push(row.try_into()?);
        }
        Ok(histories)
    }

    /// What the people with these hashes said of marketing, by hash. One query, by indexes.
    pub(crate) async fn marketing_histories(
        &self,
        people: &[String],
    ) -> Result<HashMap<String, Vec<Consent>>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = contact_consents::table
            .inner_join(contacts::table.on(contacts::id.eq(contact_consents::contact_id)))
            .filter(contacts::phone_hash.eq_any(people).or(contacts::user_hash.eq_any(people)))
            .filter(contact_consents::category.eq(Category::Marketing.name()));
        let rows: Vec<(StoredConsent, Option<String>, Option<String>)> = on!(conn, c => query
            .select((StoredConsent::as_select(), contacts::phone_hash, contacts::user_hash))
            .load(c)
            .await)?;
        let mut histories: HashMap<String, Vec<Consent>> = HashMap::new();
        for (row, phone, user) in rows {
            let consent = Consent::try_from(row)?;
            for hash in phone.into_iter().chain(user) {
                histories.entry(hash).or_default().push(consent.clone());
            }
        }
        Ok(histories)
    }
}

async fn insert(conn: &mut Conn, rows: Vec<StoredConsent>) -> Result<(), StoreError> {
    for row in rows {
        let insert = diesel::insert_into(contact_consents::table).values(&row);
        on!(*conn, c => insert.execute(c).await)?;
    }
    Ok(())
}

async fn history(conn: &mut Conn, contact: &ContactId) -> Result<(Option<String>, Vec<Consent>), StoreError> {
    let query = contact_consents::table.filter(contact_consents::contact_id.eq(contact.key()));
    let rows: Vec<StoredConsent> = on!(*conn, c => query.select(StoredConsent::as_select()).load(c).await)?;
    let business = rows.as_slice().first().map(|row| row.business_id.clone());
    Ok((business, rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?))
}

/// Puts the histories of two who are one together under `survivor`; whatever one of them took back
/// stays so.
pub(super) async fn unite(
    conn: &mut Conn,
    survivor: &ContactId,
    other: &ContactId,
    now: Millis,
) -> Result<(), StoreError> {
    let (of_survivor, own) = history(conn, survivor).await?;
    let (of_other, others) = history(conn, other).await?;
    let Some(business) = of_survivor.or(of_other) else { return Ok(()) };
    let added = consent::stricter(&own, &others, now);
    let moved = diesel::update(contact_consents::table.filter(contact_consents::contact_id.eq(other.key())))
        .set(contact_consents::contact_id.eq(survivor.key()));
    on!(*conn, c => moved.execute(c).await)?;
    insert(conn, added.iter().map(|line| StoredConsent::of(line, &business, survivor)).collect()).await
}
