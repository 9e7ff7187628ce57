//! Contacts: found by keyed hashes of their addresses, written in batches, listed by what they are
//! tagged with.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, NullableExpressionMethods, OptionalExtension, QueryDsl,
    Queryable, Selectable, SelectableHelper,
    query_builder::AsChangeset,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::RunQueryDsl;
use serde_json::json;
use waystation_adapter_sdk::Person;

use super::{
    Store, StoreError, audit,
    connection::{Conn, on},
    consents, reseller_of,
    schema::{contact_attributes, contact_terms, contacts, suppressions as rows_of_suppressions},
    statement::Statement,
    suppressions,
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    contacts::{
        AttributeKind, Contact, ContactChange, Details, NAME_MAX_CHARS, People, TAGS_MAX,
        details::{Definitions, attribute_term, tag_term},
    },
    error::Breach,
    ids::{BusinessId, ContactId},
    messages::address::Address,
    paging::{Page, Paging},
};

/// How often a batch is looked up again because somebody else added one of its people.
const RACES_MAX: usize = 3;

/// A row.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = contacts, treat_none_as_null = true)]
struct StoredContact {
    id: String,
    business_id: String,
    phone: Option<String>,
    phone_hash: Option<String>,
    user_id: Option<String>,
    user_hash: Option<String>,
    profile_name: Option<String>,
    given_name: Option<String>,
    language: Option<String>,
    time_zone: Option<String>,
    tags: String,
    attributes: String,
    created_at: Millis,
    updated_at: Millis,
}

impl StoredContact {
    fn of(contact: &Contact, business: &BusinessId, people: &People) -> Self {
        let details = &contact.details;
        let hash = |address: Option<Address>| address.map(|address| people.hash(business, &address));
        Self {
            id: contact.id.key().to_owned(),
            business_id: business.key().to_owned(),
            phone_hash: hash(details.phone.clone().map(Address::Phone)),
            phone: details.phone.clone(),
            user_hash: hash(details.user_id.clone().map(Address::UserId)),
            user_id: details.user_id.clone(),
            profile_name: details.profile_name.clone(),
            given_name: details.given_name.clone(),
            language: details.language.clone(),
            time_zone: details.time_zone.clone(),
            tags: json!(details.tags).to_string(),
            attributes: json!(details.attributes).to_string(),
            created_at: contact.created_at,
            updated_at: contact.updated_at,
        }
    }

    fn hashes(&self) -> impl Iterator<Item = &String> {
        self.phone_hash.iter().chain(&self.user_hash)
    }
}

impl TryFrom<StoredContact> for Contact {
    type Error = StoreError;

    fn try_from(row: StoredContact) -> Result<Self, StoreError> {
        let unreadable = |error: serde_json::Error| StoreError::Unreadable {
            table: "contacts",
            reason: format!("{}: {error}", row.id),
        };
        Ok(Self {
            details: Details {
                tags: serde_json::from_str(&row.tags).map_err(unreadable)?,
                attributes: serde_json::from_str(&row.attributes).map_err(unreadable)?,
                phone: row.phone,
                user_id: row.user_id,
                profile_name: row.profile_name,
                given_name: row.given_name,
                language: row.language,
                time_zone: row.time_zone,
            },
            id: ContactId::from_key(row.id),
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Which contacts a list has.
#[derive(Debug, Clone, Default)]
pub(crate) struct ContactFilter {
    /// With all of these terms.
    pub(crate) terms: Vec<String>,
    /// With this address.
    pub(crate) address: Option<Address>,
    /// ContactChanged at this time or later; then the list is in the order of changes.
    pub(crate) updated_since: Option<Millis>,
    /// With a suppression, or without any.
    pub(crate) opted_out: Option<bool>,
}

/// What became of one contact of a batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Upserted {
    Created(Contact),
    Updated(Contact),
    Refused(Breach),
}

/// What became of a change to a contact.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ContactChanged {
    Yes(Box<Contact>),
    NoSuch,
    /// Nothing would be left to find it by.
    WithoutAddress,
    /// Another contact has its phone number or user id.
    Taken(ContactId),
}

/// What became of an attribute to define.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defined {
    Yes,
    Already(AttributeKind),
    TooMany,
}

/// What became of an attribute to remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undefined {
    Yes,
    NoSuch,
    InUse,
}

/// An attribute that a business has defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeView {
    /// Its name.
    pub name: String,
    /// What kind of value it has.
    pub kind: AttributeKind,
    /// Since when.
    pub created_at: Millis,
}

impl Store {
    /// The attributes that `business` has defined, by name.
    pub(crate) async fn attributes(&self, business: &BusinessId) -> Result<Vec<AttributeView>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = contact_attributes::table
            .filter(contact_attributes::business_id.eq(business.key()))
            .order(contact_attributes::name)
            .select((contact_attributes::name, contact_attributes::kind, contact_attributes::created_at));
        let rows: Vec<(String, String, Millis)> = on!(conn, c => query.load(c).await)?;
        rows.into_iter()
            .map(|(name, kind, created_at)| Ok(AttributeView { kind: read_kind(&name, &kind)?, name, created_at }))
            .collect()
    }

    /// The same, as what values are checked against.
    pub(crate) async fn definitions(&self, business: &BusinessId) -> Result<Definitions, StoreError> {
        Ok(self.attributes(business).await?.into_iter().map(|view| (view.name, view.kind)).collect())
    }

    /// Defines an attribute, of which a business has at most `most`.
    pub(crate) async fn define_attribute(
        &self,
        by: &Actor,
        business: &BusinessId,
        (name, kind): (&str, AttributeKind),
        most: usize,
        now: Millis,
    ) -> Result<Defined, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let all = contact_attributes::table.filter(contact_attributes::business_id.eq(business.key()));
            let query = all.select((contact_attributes::name, contact_attributes::kind));
            let known: Vec<(String, String)> = on!(conn, c => query.load(c).await)?;
            if let Some((_, known)) = known.iter().find(|(known, _)| known == name) {
                return Ok(Defined::Already(read_kind(name, known)?));
            }
            if known.len() >= most {
                return Ok(Defined::TooMany);
            }
            let insert = diesel::insert_into(contact_attributes::table)
                .values((
                    contact_attributes::business_id.eq(business.key()),
                    contact_attributes::name.eq(name),
                    contact_attributes::kind.eq(kind.name()),
                    contact_attributes::created_at.eq(now),
                ))
                .on_conflict_do_nothing();
            if on!(conn, c => insert.execute(c).await)? == 0 {
                // Defined by somebody else a moment ago.
                let row = all.filter(contact_attributes::name.eq(name)).select(contact_attributes::kind);
                let kind: String = on!(conn, c => row.first(c).await)?;
                return Ok(Defined::Already(read_kind(name, &kind)?));
            }
            let reseller = reseller_of(&mut conn, business).await?;
            let entry = Entry { reseller, ..Entry::new("contact_attribute.defined", name).of_business(business) };
            audit::append(&mut conn, by, entry.after(json!({"type": kind.name()})), now).await?;
            Ok(Defined::Yes)
        }
        .await;
        conn.finish(result).await
    }

    /// Removes the definition of an attribute that no contact has.
    pub(crate) async fn undefine_attribute(
        &self,
        by: &Actor,
        business: &BusinessId,
        name: &str,
        now: Millis,
    ) -> Result<Undefined, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            // What follows "=" is ">": between the two are all values.
            let used = contact_terms::table
                .filter(contact_terms::business_id.eq(business.key()))
                .filter(contact_terms::term.ge(format!("{name}=")))
                .filter(contact_terms::term.lt(format!("{name}>")))
                .select(contact_terms::contact_id)
                .limit(1);
            let used: Option<String> = on!(conn, c => used.first(c).await.optional())?;
            if used.is_some() {
                return Ok(Undefined::InUse);
            }
            let row = contact_attributes::table
                .filter(contact_attributes::business_id.eq(business.key()))
                .filter(contact_attributes::name.eq(name));
            if on!(conn, c => diesel::delete(row).execute(c).await)? == 0 {
                return Ok(Undefined::NoSuch);
            }
            let reseller = reseller_of(&mut conn, business).await?;
            let entry = Entry { reseller, ..Entry::new("contact_attribute.removed", name).of_business(business) };
            audit::append(&mut conn, by, entry, now).await?;
            Ok(Undefined::Yes)
        }
        .await;
        conn.finish(result).await
    }

    /// A contact of `business`.
    pub(crate) async fn contact(&self, business: &BusinessId, id: &ContactId) -> Result<Option<Contact>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = contacts::table.filter(contacts::id.eq(id.key())).filter(contacts::business_id.eq(business.key()));
        let row: Option<StoredContact> =
            on!(conn, c => query.select(StoredContact::as_select()).first(c).await.optional())?;
        row.map(TryInto::try_into).transpose()
    }

    /// The contacts of `business` that have one of `addresses`.
    #[cfg(test)]
    pub(crate) async fn contacts_at(
        &self,
        business: &BusinessId,
        addresses: &[Address],
    ) -> Result<Vec<Contact>, StoreError> {
        let people = self.people()?;
        let hashes = addresses.iter().map(|address| people.hash(business, address)).collect();
        let mut conn = self.pools.read().await?;
        find(&mut conn, hashes, false).await?.into_iter().map(TryInto::try_into).collect()
    }

    /// Adds a contact, unless somebody has one of its addresses already.
    pub(crate) async fn add_contact(
        &self,
        business: &BusinessId,
        details: Details,
        now: Millis,
    ) -> Result<ContactChanged, StoreError> {
        let people = self.people()?;
        let contact = Contact { id: ContactId::generate(), details, created_at: now, updated_at: now };
        let row = StoredContact::of(&contact, business, people);
        let mut conn = self.pools.begin().await?;
        let result = async {
            if insert(&mut conn, vec![row.clone()]).await?.is_empty() {
                let taken = find(&mut conn, row.hashes().cloned().collect(), false).await?;
                let taken =
                    taken.into_iter().next().map_or_else(|| contact.id.clone(), |row| ContactId::from_key(row.id));
                return Ok(ContactChanged::Taken(taken));
            }
            write_terms(&mut conn, business, &[&contact], &[]).await?;
            Ok(ContactChanged::Yes(Box::new(contact)))
        }
        .await;
        conn.finish(result).await
    }

    /// Changes a contact. What its old addresses want no more of, its new ones want no more of.
    pub(crate) async fn change_contact(
        &self,
        business: &BusinessId,
        id: &ContactId,
        change: &ContactChange,
        now: Millis,
    ) -> Result<ContactChanged, StoreError> {
        let people = self.people()?;
        let mut conn = self.pools.begin().await?;
        let result = async {
            let Some(before) = lock(&mut conn, business, id).await? else { return Ok(ContactChanged::NoSuch) };
            let mut contact = Contact::try_from(before.clone())?;
            change.apply(&mut contact.details);
            if contact.details.addresses().next().is_none() {
                return Ok(ContactChanged::WithoutAddress);
            }
            contact.updated_at = now;
            let after = StoredContact::of(&contact, business, people);
            let others = find(&mut conn, after.hashes().cloned().collect(), false).await?;
            if let Some(other) = others.into_iter().find(|other| other.id != before.id) {
                return Ok(ContactChanged::Taken(ContactId::from_key(other.id)));
            }
            let gained = after.hashes().any(|hash| !before.hashes().any(|known| known == hash));
            update(&mut conn, vec![after]).await?;
            write_terms(&mut conn, business, &[&contact], &[id.key()]).await?;
            if gained {
                let known = before.hashes().cloned().collect();
                suppressions::extend(&mut conn, people, business, known, &contact.details).await?;
            }
            Ok(ContactChanged::Yes(Box::new(contact)))
        }
        .await;
        conn.finish(result).await
    }

    /// Adds or changes many contacts in one transaction, and says what became of each, in order. Each
    /// change names who it is about by a phone number, a user id or both.
    pub(crate) async fn upsert_contacts(
        &self,
        business: &BusinessId,
        changes: &[ContactChange],
        now: Millis,
    ) -> Result<Vec<Upserted>, StoreError> {
        let people = self.people()?;
        let mut conn = self.pools.begin().await?;
        let result = upsert(&mut conn, people, business, changes, now).await;
        conn.finish(result).await
    }

    /// Erases a contact: what remains of it are suppressions, and they name nobody any more.
    pub(crate) async fn erase_contact(
        &self,
        by: &Actor,
        business: &BusinessId,
        id: &ContactId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let Some(row) = lock(&mut conn, business, id).await? else { return Ok(false) };
            suppressions::forget_addresses(&mut conn, row.hashes().cloned().collect()).await?;
            remove(&mut conn, id).await?;
            let reseller = reseller_of(&mut conn, business).await?;
            let entry = Entry { reseller, ..Entry::new("contact.erased", id).of_business(business) };
            audit::append(&mut conn, by, entry, now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Makes one contact out of two; `survivor` keeps its id. None when one of them is not there.
    pub(crate) async fn merge_contacts(
        &self,
        by: &Actor,
        business: &BusinessId,
        (survivor, other): (&ContactId, &ContactId),
        now: Millis,
    ) -> Result<Option<Contact>, StoreError> {
        let people = self.people()?;
        let mut conn = self.pools.begin().await?;
        let result = async {
            // In one order everywhere, so that two merges never wait for each other.
            let mut rows = BTreeMap::new();
            for id in BTreeSet::from([survivor, other]) {
                let Some(row) = lock(&mut conn, business, id).await? else { return Ok(None) };
                rows.insert(id, row);
            }
            let (Some(kept), Some(gone)) = (rows.remove(survivor), rows.remove(other)) else { return Ok(None) };
            let merged = merge(&mut conn, people, business, kept, gone, now).await?;
            let reseller = reseller_of(&mut conn, business).await?;
            let entry = Entry { reseller, ..Entry::new("contact.merged", survivor).of_business(business) };
            audit::append(&mut conn, by, entry.after(json!({"merged": other})), now).await?;
            Ok(Some(merged))
        }
        .await;
        conn.finish(result).await
    }

    /// A page of the contacts of `business`.
    pub(crate) async fn contacts(
        &self,
        business: &BusinessId,
        filter: &ContactFilter,
        paging: &Paging,
    ) -> Result<Page<Contact>, StoreError> {
        let hash = match &filter.address {
            Some(address) => Some(self.people()?.hash(business, address)),
            None => None,
        };
        let after = paging.after.as_deref().map(|after| match after.split_once('.') {
            Some((at, id)) => (at.parse::<Millis>().unwrap_or(0), id),
            None => (0, after),
        });
        let mut conn = self.pools.read().await?;
        let rows: Vec<StoredContact> = on!(conn, c => {
            let mut query = contacts::table
                .filter(contacts::business_id.eq(business.key()))
                .select(StoredContact::as_select())
                .limit(paging.rows())
                .into_boxed();
            query = match (filter.updated_since, after) {
                (None, None) => query.order(contacts::id),
                (None, Some((_, id))) => query.filter(contacts::id.gt(id)).order(contacts::id),
                (Some(since), None) => {
                    query.filter(contacts::updated_at.ge(since)).order((contacts::updated_at, contacts::id))
                }
                (Some(_), Some((at, id))) => query
                    .filter(contacts::updated_at.ge(at))
                    .filter(contacts::updated_at.gt(at).or(contacts::id.gt(id)))
                    .order((contacts::updated_at, contacts::id)),
            };
            for term in &filter.terms {
                let tagged = contact_terms::table
                    .filter(contact_terms::business_id.eq(business.key()))
                    .filter(contact_terms::term.eq(term))
                    .select(contact_terms::contact_id);
                query = query.filter(contacts::id.eq_any(tagged));
            }
            if let Some(hash) = &hash {
                query = query.filter(contacts::phone_hash.eq(hash).or(contacts::user_hash.eq(hash)));
            }
            if let Some(opted_out) = filter.opted_out {
                let people = || {
                    let own = rows_of_suppressions::table.filter(rows_of_suppressions::business_id.eq(business.key()));
                    own.select(rows_of_suppressions::person.nullable())
                };
                let (phone, user) = (contacts::phone_hash, contacts::user_hash);
                query = if opted_out {
                    query.filter(phone.eq_any(people()).or(user.eq_any(people())))
                } else {
                    query
                        .filter(phone.is_null().or(phone.ne_all(people())))
                        .filter(user.is_null().or(user.ne_all(people())))
                };
            }
            query.load(c).await
        })?;
        let rows: Vec<Contact> = rows.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
        let by_change = filter.updated_since.is_some();
        Ok(Page::new(rows, paging, |contact| {
            if by_change { format!("{}.{}", contact.updated_at, contact.id.key()) } else { contact.id.key().to_owned() }
        }))
    }
}

fn read_kind(name: &str, kind: &str) -> Result<AttributeKind, StoreError> {
    AttributeKind::parse(kind).ok_or_else(|| StoreError::Unreadable {
        table: "contact_attributes",
        reason: format!("type {kind} of {name}; was it written by a newer version?"),
    })
}

/// The rows that have one of `hashes` for an address, locked or not.
async fn find(conn: &mut Conn, hashes: Vec<String>, lock: bool) -> Result<Vec<StoredContact>, StoreError> {
    let query = contacts::table
        .filter(contacts::phone_hash.eq_any(&hashes))
        .or_filter(contacts::user_hash.eq_any(&hashes))
        .order(contacts::id);
    Ok(match conn {
        Conn::Pg(c) if lock => query.select(StoredContact::as_select()).for_update().load(&mut ***c).await?,
        Conn::Pg(c) => query.select(StoredContact::as_select()).load(&mut ***c).await?,
        // The one writer is the lock.
        Conn::Sqlite(c) => query.select(StoredContact::as_select()).load(&mut **c).await?,
    })
}

/// A row of `business`, locked until the transaction ends.
async fn lock(conn: &mut Conn, business: &BusinessId, id: &ContactId) -> Result<Option<StoredContact>, StoreError> {
    let query = contacts::table.filter(contacts::id.eq(id.key())).filter(contacts::business_id.eq(business.key()));
    Ok(match conn {
        Conn::Pg(c) => query.select(StoredContact::as_select()).for_update().first(&mut ***c).await.optional()?,
        Conn::Sqlite(c) => query.select(StoredContact::as_select()).first(&mut **c).await.optional()?,
    })
}

/// Whether a contact is one of `business`.
pub(super) async fn is_there(conn: &mut Conn, business: &BusinessId, id: &ContactId) -> Result<bool, StoreError> {
    Ok(lock(conn, business, id).await?.is_some())
}

/// `addresses` and everything else that whoever has one of them can be reached at.
pub(super) async fn addresses_of(
    conn: &mut Conn,
    people: &People,
    business: &BusinessId,
    addresses: &[Address],
) -> Result<Vec<Address>, StoreError> {
    let hashes = addresses.iter().map(|address| people.hash(business, address)).collect();
    let mut all = addresses.to_vec();
    for row in find(conn, hashes, false).await? {
        let known = row.phone.map(Address::Phone).into_iter().chain(row.user_id.map(Address::UserId));
        for address in known {
            // Another notation of a number that is there already adds nothing.
            if !all.iter().any(|one| people.hash(business, one) == people.hash(business, &address)) {
                all.push(address);
            }
        }
    }
    Ok(all)
}

async fn remove(conn: &mut Conn, id: &ContactId) -> Result<(), StoreError> {
    let row = diesel::delete(contacts::table.filter(contacts::id.eq(id.key())));
    on!(*conn, c => row.execute(c).await)?;
    Ok(())
}

/// Inserts what is not there yet, and says which rows it inserted.
async fn insert(conn: &mut Conn, rows: Vec<StoredContact>) -> Result<HashSet<String>, StoreError> {
    if rows.is_empty() {
        return Ok(HashSet::new());
    }
    match conn {
        Conn::Pg(c) => {
            let inserted: Vec<Inserted> = columns(
                Statement::new(
                    "INSERT INTO contacts (id, business_id, phone, phone_hash, user_id, user_hash, profile_name, \
                     given_name, language, time_zone, tags, attributes, created_at, updated_at) \
                     SELECT * FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING id",
                ),
                &rows,
            )
            .get_results(&mut ***c)
            .await?;
            Ok(inserted.into_iter().map(|row| row.id).collect())
        }
        Conn::Sqlite(c) => {
            let inserted = c
                .spawn_blocking(move |c| {
                    let mut inserted = HashSet::with_capacity(rows.len());
                    for row in rows {
                        let insert = diesel::insert_into(contacts::table).values(&row).on_conflict_do_nothing();
                        if diesel::RunQueryDsl::execute(insert, c)? == 1 {
                            inserted.insert(row.id);
                        }
                    }
                    Ok(inserted)
                })
                .await?;
            Ok(inserted)
        }
    }
}

#[derive(diesel::QueryableByName)]
struct Inserted {
    #[diesel(sql_type = Text)]
    id: String,
}

async fn update(conn: &mut Conn, rows: Vec<StoredContact>) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    match conn {
        Conn::Pg(c) => {
            columns(
                Statement::new(
                    "UPDATE contacts SET phone = b.phone, phone_hash = b.phone_hash, user_id = b.user_id, \
                     user_hash = b.user_hash, profile_name = b.profile_name, given_name = b.given_name, \
                     language = b.language, time_zone = b.time_zone, tags = b.tags, attributes = b.attributes, \
                     updated_at = b.updated_at \
                     FROM unnest(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) AS b (id, business_id, phone, phone_hash, \
                     user_id, user_hash, profile_name, given_name, language, time_zone, tags, attributes, created_at, \
                     updated_at) WHERE contacts.id = b.id",
                ),
                &rows,
            )
            .execute(&mut ***c)
            .await?;
        }
        Conn::Sqlite(c) => {
            c.spawn_blocking(move |c| {
                for row in rows {
                    let update = diesel::update(contacts::table.filter(contacts::id.eq(&row.id))).set(&row);
                    diesel::RunQueryDsl::execute(update, c)?;
                }
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

/// Binds the columns of `rows`, in their order.
fn columns<'a>(statement: Statement<'a>, rows: &'a [StoredContact]) -> Statement<'a> {
    macro_rules! texts {
        ($($column:ident),+) => {
            statement$(.array::<Text, _>(rows.iter().map(|row| row.$column.as_str()).collect::<Vec<_>>()))+
        };
    }
    macro_rules! options {
        ($statement:expr, $($column:ident),+) => {
            $statement$(
                .array::<Nullable<Text>, _>(rows.iter().map(|row| row.$column.as_deref()).collect::<Vec<_>>())
            )+
        };
    }
    let statement = texts!(id, business_id);
    let statement =
        options!(statement, phone, phone_hash, user_id, user_hash, profile_name, given_name, language, time_zone);
    statement
        .array::<Text, _>(rows.iter().map(|row| row.tags.as_str()).collect::<Vec<_>>())
        .array::<Text, _>(rows.iter().map(|row| row.attributes.as_str()).collect::<Vec<_>>())
        .array::<BigInt, _>(rows.iter().map(|row| row.created_at).collect::<Vec<_>>())
        .array::<BigInt, _>(rows.iter().map(|row| row.updated_at).collect::<Vec<_>>())
}

/// Writes what `contacts` can be listed by; those of `known` had terms before.
async fn write_terms(
    conn: &mut Conn,
    business: &BusinessId,
    contacts: &[&Contact],
    known: &[&str],
) -> Result<(), StoreError> {
    if !known.is_empty() {
        let old = diesel::delete(contact_terms::table.filter(contact_terms::contact_id.eq_any(known)));
        on!(*conn, c => old.execute(c).await)?;
    }
    let rows: Vec<(String, String)> = contacts
        .iter()
        .flat_map(|contact| contact.details.terms().map(|term| (term, contact.id.key().to_owned())))
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    match conn {
        Conn::Pg(c) => {
            Statement::new(
                "INSERT INTO contact_terms (business_id, term, contact_id) SELECT ?, * FROM unnest(?, ?) \
                 ON CONFLICT DO NOTHING",
            )
            .bind::<Text, _>(business.key())
            .array::<Text, _>(rows.iter().map(|(term, _)| term.as_str()).collect::<Vec<_>>())
            .array::<Text, _>(rows.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>())
            .execute(&mut ***c)
            .await?;
        }
        Conn::Sqlite(c) => {
            let business = business.key().to_owned();
            c.spawn_blocking(move |c| {
                for (term, id) in rows {
                    let insert = diesel::insert_into(contact_terms::table)
                        .values((
                            contact_terms::business_id.eq(&business),
                            contact_terms::term.eq(term),
                            contact_terms::contact_id.eq(id),
                        ))
                        .on_conflict_do_nothing();
                    diesel::RunQueryDsl::execute(insert, c)?;
                }
                Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

/// A contact of a batch that is being put together.
struct Draft {
    contact: Contact,
    /// As it is on disk; none while it is new.
    stored: Option<StoredContact>,
}

/// See [`Store::upsert_contacts`].
async fn upsert(
    conn: &mut Conn,
    people: &People,
    business: &BusinessId,
    changes: &[ContactChange],
    now: Millis,
) -> Result<Vec<Upserted>, StoreError> {
    let keys: Vec<Vec<String>> = changes
        .iter()
        .map(|change| change.addresses().iter().map(|address| people.hash(business, address)).collect())
        .collect();
    let mut created = HashSet::new();
    for _ in 0..RACES_MAX {
        let known = find(conn, keys.iter().flatten().cloned().collect(), true).await?;
        let mut drafts = Vec::with_capacity(changes.len());
        let mut by_hash: HashMap<String, usize> = HashMap::new();
        for row in known {
            by_hash.extend(row.hashes().map(|hash| (hash.clone(), drafts.len())));
            drafts.push(Draft { contact: row.clone().try_into()?, stored: Some(row) });
        }
        let mut places = Vec::with_capacity(changes.len());
        for (change, keys) in changes.iter().zip(&keys) {
            let found: BTreeSet<usize> = keys.iter().filter_map(|key| by_hash.get(key).copied()).collect();
            let place = match found.len() {
                0 => {
                    let id = ContactId::generate();
                    let contact = Contact { id, details: Details::default(), created_at: now, updated_at: now };
                    drafts.push(Draft { contact, stored: None });
                    drafts.len() - 1
                }
                1 => found.into_iter().next().unwrap_or_default(),
                _ => {
                    let message = "belongs to another contact than the phone number does; merge the two first";
                    places.push(Err(refusal("/user_id", message.to_owned())));
                    continue;
                }
            };
            let contact = &mut drafts[place].contact;
            let mut details = contact.details.clone();
            change.apply(&mut details);
            if details.tags.len() > TAGS_MAX {
                let message = format!("would give the contact {} tags; {TAGS_MAX} are the most", details.tags.len());
                places.push(Err(refusal("/tags", message)));
                continue;
            }
            if details != contact.details {
                contact.details = details;
                contact.updated_at = now;
            }
            by_hash.extend(keys.iter().map(|key| (key.clone(), place)));
            places.push(Ok(place));
        }
        let lost = write(conn, people, business, &drafts, &mut created).await?;
        if lost {
            continue;
        }
        return Ok(places
            .into_iter()
            .map(|place| match place {
                Err(breach) => Upserted::Refused(breach),
                Ok(place) => {
                    let contact = drafts[place].contact.clone();
                    // Of several changes to one new contact the first made it.
                    if created.remove(contact.id.key()) {
                        Upserted::Created(contact)
                    } else {
                        Upserted::Updated(contact)
                    }
                }
            })
            .collect());
    }
    Err(raced())
}

fn refusal(pointer: &str, message: String) -> Breach {
    Breach { pointer: pointer.to_owned(), message, limit: None, actual: None }
}

/// Writes the drafts that are new or changed. True when somebody else added one of the new ones
/// meanwhile.
async fn write(
    conn: &mut Conn,
    people: &People,
    business: &BusinessId,
    drafts: &[Draft],
    created: &mut HashSet<String>,
) -> Result<bool, StoreError> {
    let row = |draft: &Draft| StoredContact::of(&draft.contact, business, people);
    // One that was refused before it had an address is not written.
    let new: Vec<&Draft> = drafts
        .iter()
        .filter(|draft| draft.stored.is_none() && draft.contact.details.addresses().next().is_some())
        .collect();
    let changed: Vec<&Draft> =
        drafts.iter().filter(|draft| draft.stored.as_ref().is_some_and(|stored| *stored != row(draft))).collect();
    let inserted = insert(conn, new.iter().map(|draft| row(draft)).collect()).await?;
    update(conn, changed.iter().map(|draft| row(draft)).collect()).await?;
    let added = new.iter().filter(|draft| inserted.contains(draft.contact.id.key()));
    let written: Vec<&Contact> = added.chain(&changed).map(|draft| &draft.contact).collect();
    let known: Vec<&str> = changed.iter().map(|draft| draft.contact.id.key()).collect();
    write_terms(conn, business, &written, &known).await?;
    for draft in &changed {
        let Some(stored) = &draft.stored else { continue };
        let after = row(draft);
        if after.hashes().any(|hash| !stored.hashes().any(|known| known == hash)) {
            let known = stored.hashes().cloned().collect();
            suppressions::extend(conn, people, business, known, &draft.contact.details).await?;
        }
    }
    // One with two addresses may be new although one of them has a suppression.
    for draft in new.iter().filter(|draft| inserted.contains(draft.contact.id.key())) {
        if draft.contact.details.addresses().count() > 1 {
            let known = row(draft).hashes().cloned().collect();
            suppressions::extend(conn, people, business, known, &draft.contact.details).await?;
        }
    }
    let lost = inserted.len() < new.len();
    created.extend(inserted);
    Ok(lost)
}

/// Who `person` is: the contact that has their number or user id, brought up to date. Two contacts, of
/// which one has the number and the other the user id, become one. None without either.
pub(super) async fn recognise(
    conn: &mut Conn,
    people: &People,
    business: &BusinessId,
    person: &Person,
    now: Millis,
) -> Result<Option<Contact>, StoreError> {
    let phone = person.phone.clone().map(Address::Phone);
    let user_id = person.user_id.clone().map(Address::UserId);
    let hashes: Vec<String> = phone.iter().chain(&user_id).map(|address| people.hash(business, address)).collect();
    if hashes.is_empty() {
        return Ok(None);
    }
    let profile_name = person.profile_name.as_ref().map(|name| name.chars().take(NAME_MAX_CHARS).collect::<String>());
    let update_details = |details: &mut Details| {
        // Another notation of the number that is known is no other number.
        let same = |known: &String| {
            let known = people.hash(business, &Address::Phone(known.clone()));
            phone.as_ref().is_some_and(|phone| people.hash(business, phone) == known)
        };
        if let Some(heard) = &person.phone
            && !details.phone.as_ref().is_some_and(same)
        {
            details.phone = Some(heard.clone());
        }
        if let Some(id) = &person.user_id {
            details.user_id = Some(id.clone());
        }
        if let Some(name) = &profile_name {
            details.profile_name = Some(name.clone());
        }
    };
    for _ in 0..RACES_MAX {
        let mut rows = find(conn, hashes.clone(), true).await?.into_iter();
        let (before, mut contact) = match (rows.next(), rows.next()) {
            (None, _) => {
                let mut details = Details::default();
                update_details(&mut details);
                let contact = Contact { id: ContactId::generate(), details, created_at: now, updated_at: now };
                let row = StoredContact::of(&contact, business, people);
                if insert(conn, vec![row]).await?.is_empty() {
                    continue;
                }
                suppressions::extend(conn, people, business, hashes, &contact.details).await?;
                return Ok(Some(contact));
            }
            (Some(row), None) => (row.clone(), Contact::try_from(row)?),
            (Some(kept), Some(gone)) => {
                let merged = merge(conn, people, business, kept, gone, now).await?;
                (StoredContact::of(&merged, business, people), merged)
            }
        };
        update_details(&mut contact.details);
        let mut after = StoredContact::of(&contact, business, people);
        if after != before {
            contact.updated_at = now;
            after.updated_at = now;
            let gained = after.hashes().any(|hash| !before.hashes().any(|known| known == hash));
            let known = before.hashes().cloned().collect();
            update(conn, vec![after]).await?;
            if gained {
                suppressions::extend(conn, people, business, known, &contact.details).await?;
            }
        }
        return Ok(Some(contact));
    }
    Err(raced())
}

/// Whoever tries again finds what was in the way.
fn raced() -> StoreError {
    StoreError::Query(diesel::result::Error::DatabaseError(
        diesel::result::DatabaseErrorKind::SerializationFailure,
        Box::new("contacts were added by others at the same time".to_owned()),
    ))
}

/// Puts two locked rows together under the id of `kept`.
async fn merge(
    conn: &mut Conn,
    people: &People,
    business: &BusinessId,
    kept: StoredContact,
    gone: StoredContact,
    now: Millis,
) -> Result<Contact, StoreError> {
    let hashes = kept.hashes().chain(gone.hashes()).cloned().collect();
    let (mut contact, other) = (Contact::try_from(kept)?, Contact::try_from(gone)?);
    consents::unite(conn, &contact.id, &other.id, now).await?;
    remove(conn, &other.id).await?;
    let mut all = contact.details.clone();
    contact.details.absorb(other.details.clone());
    contact.updated_at = now;
    update(conn, vec![StoredContact::of(&contact, business, people)]).await?;
    write_terms(conn, business, &[&contact], &[contact.id.key()]).await?;
    suppressions::extend(conn, people, business, hashes, &contact.details).await?;
    // Nor does an address that only the other one had get a message after all.
    all.phone = other.details.phone;
    all.user_id = other.details.user_id;
    let known = contact.details.addresses().map(|address| people.hash(business, &address)).collect();
    suppressions::extend(conn, people, business, known, &all).await?;
    Ok(contact)
}

/// The term that `filter` stands for: a tag.
pub(crate) fn term_of_tag(tag: &str) -> String {
    tag_term(tag)
}

/// The same for an attribute that has to have a value.
pub(crate) fn term_of_attribute(name: &str, value: &serde_json::Value) -> String {
    attribute_term(name, value)
}
