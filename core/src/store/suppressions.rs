//! Suppressions, by the keyed hash of the address that they protect. A person with two addresses has
//! a row for each, so that whoever was erased, and is no contact any more, stays protected at both.

use diesel::{ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper};
use diesel_async::RunQueryDsl;
use serde_json::json;

use super::{
    EventRow, Store, StoreError, audit,
    connection::{Conn, on},
    contacts::addresses_of,
    reseller_of,
    schedule::cancel_scheduled,
    schema::{opt_out_settings, suppressions},
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    contacts::{DEFAULT_CHANNEL, Details, People, Reach, Suppression, SuppressionSource, suppression::Suppressed},
    ids::{BusinessId, SuppressionId},
    messages::address::Address,
    paging::{Page, Paging},
};

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = suppressions)]
struct StoredSuppression {
    id: String,
    business_id: String,
    person: String,
    address: Option<String>,
    channel: String,
    category: String,
    source: String,
    detail: Option<String>,
    confirmation_id: Option<String>,
    created_at: Millis,
}

impl From<StoredSuppression> for Suppression {
    fn from(row: StoredSuppression) -> Self {
        Self {
            id: SuppressionId::from_key(row.id),
            address: row.address,
            channel: row.channel,
            reach: Reach::parse(&row.category),
            source: SuppressionSource::parse(&row.source),
            detail: row.detail,
            created_at: row.created_at,
        }
    }
}

impl From<StoredSuppression> for Suppressed {
    fn from(row: StoredSuppression) -> Self {
        Self {
            reach: Reach::parse(&row.category),
            source: SuppressionSource::parse(&row.source),
            person: row.person,
            channel: row.channel,
            created_at: row.created_at,
            confirmation_id: row.confirmation_id,
        }
    }
}

/// Somebody wants no more of something.
#[derive(Debug, Clone)]
pub(crate) struct NewSuppression {
    pub(crate) channel: String,
    pub(crate) reach: Reach,
    pub(crate) source: SuppressionSource,
    pub(crate) detail: Option<String>,
    /// The one message that may still go out.
    pub(crate) confirmation_id: Option<String>,
}

/// What a person is told once, if anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OptOutTexts {
    /// When they opt out.
    pub(crate) stop: Option<String>,
    /// When they opt in again.
    pub(crate) start: Option<String>,
}

impl Store {
    /// What holds messages back from the people with these hashes. One query, by an index.
    pub(crate) async fn suppressed(&self, people: &[String]) -> Result<Vec<Suppressed>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = suppressions::table.filter(suppressions::person.eq_any(people));
        let rows: Vec<StoredSuppression> = on!(conn, c => query.select(StoredSuppression::as_select()).load(c).await)?;
        Ok(rows.into_iter().map(Into::into).collect())
    }

    /// A page of the suppressions of `business`.
    pub(crate) async fn suppressions(
        &self,
        business: &BusinessId,
        address: Option<&Address>,
        paging: &Paging,
    ) -> Result<Page<Suppression>, StoreError> {
        let hash = match address {
            Some(address) => Some(self.people()?.hash(business, address)),
            None => None,
        };
        let mut conn = self.pools.read().await?;
        let rows: Vec<StoredSuppression> = on!(conn, c => {
            let mut query = suppressions::table
                .filter(suppressions::business_id.eq(business.key()))
                .select(StoredSuppression::as_select())
                .order(suppressions::id)
                .limit(paging.rows())
                .into_boxed();
            if let Some(after) = &paging.after {
                query = query.filter(suppressions::id.gt(after));
            }
            if let Some(hash) = &hash {
                query = query.filter(suppressions::person.eq(hash));
            }
            query.load(c).await
        })?;
        let rows = rows.into_iter().map(Suppression::from).collect();
        Ok(Page::new(rows, paging, |row| row.id.key().to_owned()))
    }

    /// A suppression of `business`.
    pub(crate) async fn suppression(
        &self,
        business: &BusinessId,
        id: &SuppressionId,
    ) -> Result<Option<Suppression>, StoreError> {
        let mut conn = self.pools.read().await?;
        Ok(row_of(&mut conn, business, id).await?.map(Into::into))
    }

    /// Adds a suppression by hand, for everything that is known of whoever has `address`. Returns the
    /// one of this address, and whether it is new.
    pub(crate) async fn suppress(
        &self,
        by: &Actor,
        business: &BusinessId,
        address: &Address,
        new: &NewSuppression,
        now: Millis,
    ) -> Result<(Suppression, bool), StoreError> {
        let people = self.people()?;
        let mut conn = self.pools.begin().await?;
        let result = async {
            let addresses = addresses_of(&mut conn, people, business, std::slice::from_ref(address)).await?;
            let is_new = add(&mut conn, people, business, &addresses, new, now).await?;
            let row = suppressions::table
                .filter(suppressions::person.eq(people.hash(business, address)))
                .filter(suppressions::channel.eq(&new.channel))
                .filter(suppressions::category.eq(new.reach.name()));
            let row: StoredSuppression = on!(conn, c => row.select(StoredSuppression::as_select()).first(c).await)?;
            let suppression = Suppression::from(row);
            if is_new {
                cancel_what_is_held(&mut conn, business, &addresses, new.reach, now).await?;
                let reseller = reseller_of(&mut conn, business).await?;
                let entry =
                    Entry { reseller, ..Entry::new("suppression.added", &suppression.id).of_business(business) };
                let what = json!({"channel": new.channel, "category": new.reach.name(), "reason": new.detail});
                audit::append(&mut conn, by, entry.after(what), now).await?;
            }
            Ok((suppression, is_new))
        }
        .await;
        conn.finish(result).await
    }

    /// Ends a suppression, at all addresses that are known of its person. False when it is not there.
    pub(crate) async fn lift_suppression(
        &self,
        by: &Actor,
        business: &BusinessId,
        id: &SuppressionId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let people = self.people()?;
        let mut conn = self.pools.begin().await?;
        let result = async {
            let Some(row) = row_of(&mut conn, business, id).await? else { return Ok(false) };
            let mut hashes = vec![row.person.clone()];
            if let Some(address) = row.address.clone().map(Address::from_stored) {
                let all = addresses_of(&mut conn, people, business, &[address]).await?;
                hashes.extend(all.iter().map(|address| people.hash(business, address)));
            }
            let rows = suppressions::table
                .filter(suppressions::person.eq_any(hashes))
                .filter(suppressions::channel.eq(&row.channel))
                .filter(suppressions::category.eq(&row.category));
            on!(conn, c => diesel::delete(rows).execute(c).await)?;
            let reseller = reseller_of(&mut conn, business).await?;
            let entry = Entry { reseller, ..Entry::new("suppression.removed", id).of_business(business) };
            let what = json!({"channel": row.channel, "category": row.category, "source": row.source});
            audit::append(&mut conn, by, entry.before(what), now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// What people of `business` are told when they opt out and in.
    pub(crate) async fn opt_out_texts(&self, business: &BusinessId) -> Result<OptOutTexts, StoreError> {
        let mut conn = self.pools.read().await?;
        texts(&mut conn, business).await
    }

    /// Sets what people of `business` are told.
    pub(crate) async fn set_opt_out_texts(
        &self,
        by: &Actor,
        business: &BusinessId,
        texts: &OptOutTexts,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let values = (
                opt_out_settings::stop_text.eq(&texts.stop),
                opt_out_settings::start_text.eq(&texts.start),
                opt_out_settings::updated_at.eq(now),
            );
            let query = diesel::insert_into(opt_out_settings::table)
                .values((opt_out_settings::business_id.eq(business.key()), values))
                .on_conflict(opt_out_settings::business_id)
                .do_update()
                .set(values);
            on!(conn, c => query.execute(c).await)?;
            let reseller = reseller_of(&mut conn, business).await?;
            let entry = Entry { reseller, ..Entry::new("opt_out_texts.changed", business).of_business(business) };
            audit::append(&mut conn, by, entry.after(json!({"stop": texts.stop, "start": texts.start})), now).await
        }
        .await;
        conn.finish(result).await
    }
}

async fn row_of(
    conn: &mut Conn,
    business: &BusinessId,
    id: &SuppressionId,
) -> Result<Option<StoredSuppression>, StoreError> {
    let query =
        suppressions::table.filter(suppressions::id.eq(id.key())).filter(suppressions::business_id.eq(business.key()));
    Ok(on!(*conn, c => query.select(StoredSuppression::as_select()).first(c).await.optional())?)
}

/// See [`Store::opt_out_texts`].
pub(super) async fn texts(conn: &mut Conn, business: &BusinessId) -> Result<OptOutTexts, StoreError> {
    let query = opt_out_settings::table
        .filter(opt_out_settings::business_id.eq(business.key()))
        .select((opt_out_settings::stop_text, opt_out_settings::start_text));
    let row: Option<(Option<String>, Option<String>)> = on!(*conn, c => query.first(c).await.optional())?;
    Ok(row.map(|(stop, start)| OptOutTexts { stop, start }).unwrap_or_default())
}

/// Adds a suppression at each of `addresses`; true when at least one of them had none.
pub(super) async fn add(
    conn: &mut Conn,
    people: &People,
    business: &BusinessId,
    addresses: &[Address],
    new: &NewSuppression,
    now: Millis,
) -> Result<bool, StoreError> {
    let rows = addresses.iter().map(|address| StoredSuppression {
        id: SuppressionId::generate().key().to_owned(),
        business_id: business.key().to_owned(),
        person: people.hash(business, address),
        address: Some(address.as_str().to_owned()),
        channel: new.channel.clone(),
        category: new.reach.name().to_owned(),
        source: new.source.name().to_owned(),
        detail: new.detail.clone(),
        confirmation_id: new.confirmation_id.clone(),
        created_at: now,
    });
    insert(conn, rows.collect()).await
}

/// Notes of whom the network says in `events` that it refused marketing to them, since they stopped it
/// in WhatsApp's settings.
pub(super) async fn told_by_network(conn: &mut Conn, people: &People, events: &[EventRow]) -> Result<(), StoreError> {
    let new = NewSuppression {
        channel: DEFAULT_CHANNEL.to_owned(),
        reach: Reach::Marketing,
        source: SuppressionSource::Network,
        detail: None,
        confirmation_id: None,
    };
    for event in events {
        let Some((business, person)) = &event.opted_out else { continue };
        let addresses = addresses_of(conn, people, business, std::slice::from_ref(person)).await?;
        add(conn, people, business, &addresses, &new, event.at).await?;
    }
    Ok(())
}

/// Takes back what is scheduled for somebody who wants nothing more. Marketing is refused when it is due:
/// not everything that is scheduled is marketing.
pub(super) async fn cancel_what_is_held(
    conn: &mut Conn,
    business: &BusinessId,
    addresses: &[Address],
    reach: Reach,
    now: Millis,
) -> Result<(), StoreError> {
    if reach == Reach::All {
        for address in addresses {
            cancel_scheduled(conn, business, address, "The recipient wants no more messages.", now).await?;
        }
    }
    Ok(())
}

/// Inserts what is not there yet; true when that was something.
async fn insert(conn: &mut Conn, mut rows: Vec<StoredSuppression>) -> Result<bool, StoreError> {
    // In one order everywhere, so that two who add the same never wait for each other.
    rows.sort_by(|one, other| {
        (&one.person, &one.channel, &one.category).cmp(&(&other.person, &other.channel, &other.category))
    });
    let mut added = false;
    for row in rows {
        let insert = diesel::insert_into(suppressions::table).values(&row).on_conflict_do_nothing();
        added |= on!(*conn, c => insert.execute(c).await)? > 0;
    }
    Ok(added)
}

/// What the person ends themselves: everything on `channel` that was not added by hand. With
/// `marketing_only`, what holds back marketing. True when there was something.
pub(super) async fn lift(
    conn: &mut Conn,
    people: &People,
    business: &BusinessId,
    addresses: &[Address],
    (channel, marketing_only): (&str, bool),
) -> Result<bool, StoreError> {
    let hashes: Vec<String> = addresses.iter().map(|address| people.hash(business, address)).collect();
    let categories: &[&str] =
        if marketing_only { &[Reach::Marketing.name()] } else { &[Reach::Marketing.name(), Reach::All.name()] };
    let rows = suppressions::table
        .filter(suppressions::person.eq_any(hashes))
        .filter(suppressions::channel.eq(channel))
        .filter(suppressions::category.eq_any(categories))
        .filter(suppressions::source.ne(SuppressionSource::Manual.name()));
    Ok(on!(*conn, c => diesel::delete(rows).execute(c).await)? > 0)
}

/// Has what holds at the addresses with the hashes `known`, or at one of `details`, hold at all of
/// `details`: they are one person's.
pub(super) async fn extend(
    conn: &mut Conn,
    people: &People,
    business: &BusinessId,
    mut known: Vec<String>,
    details: &Details,
) -> Result<(), StoreError> {
    let all: Vec<(String, Address)> =
        details.addresses().map(|address| (people.hash(business, &address), address)).collect();
    known.extend(all.iter().map(|(hash, _)| hash.clone()));
    let query = suppressions::table.filter(suppressions::person.eq_any(known)).order(suppressions::created_at);
    let held: Vec<StoredSuppression> = on!(*conn, c => query.select(StoredSuppression::as_select()).load(c).await)?;
    let copies = held.iter().flat_map(|row| {
        all.iter().filter(|(hash, _)| *hash != row.person).map(|(hash, address)| StoredSuppression {
            id: SuppressionId::generate().key().to_owned(),
            person: hash.clone(),
            address: Some(address.as_str().to_owned()),
            ..row.clone()
        })
    });
    insert(conn, copies.collect()).await.map(drop)
}

/// Takes away what says whose suppressions these are.
pub(super) async fn forget_addresses(conn: &mut Conn, hashes: Vec<String>) -> Result<(), StoreError> {
    let rows = suppressions::table.filter(suppressions::person.eq_any(hashes));
    let query =
        diesel::update(rows).set((suppressions::address.eq(None::<String>), suppressions::detail.eq(None::<String>)));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}
