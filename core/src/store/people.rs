//! What addresses of people are hashed with: drawn once for an installation, sealed by the vault, and
//! sealed anew by its key of the day, so that an older vault key can go.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;

use super::{Store, StoreError, connection::on, schema::hash_keys};
use crate::{
    clock::Millis,
    contacts::{PEOPLE_KEY_BYTES, People},
    ids::BusinessId,
    messages::address::Address,
    vault::Vault,
};

/// The row of the key.
const NAME: &str = "people";
/// What its sealed form is bound to.
const CONTEXT: &str = "hash key people";

impl Store {
    /// What stands for somebody in suppressions.
    pub(crate) fn person(&self, business: &BusinessId, address: &Address) -> Result<String, StoreError> {
        Ok(self.people()?.hash(business, address))
    }

    /// What hashes addresses.
    pub(super) fn people(&self) -> Result<&People, StoreError> {
        self.people.get().ok_or_else(|| unreadable("no vault has opened it".to_owned()))
    }

    /// Opens the key, or draws it where there is none yet.
    pub(super) async fn adopt_people(&self, vault: &Vault, now: Millis) -> Result<(), StoreError> {
        if self.people.get().is_some() {
            return Ok(());
        }
        let mut drawn = [0; PEOPLE_KEY_BYTES];
        crate::credentials::fill_random(&mut drawn);
        let mut conn = self.pools.begin().await?;
        let result: Result<People, StoreError> = async {
            let insert = diesel::insert_into(hash_keys::table)
                .values((
                    hash_keys::name.eq(NAME),
                    hash_keys::sealed.eq(vault.seal(CONTEXT, &drawn)),
                    hash_keys::created_at.eq(now),
                ))
                .on_conflict_do_nothing();
            on!(conn, c => insert.execute(c).await)?;
            let row = hash_keys::table.filter(hash_keys::name.eq(NAME));
            let sealed: Option<Vec<u8>> = on!(conn, c => row.select(hash_keys::sealed).first(c).await.optional())?;
            let sealed = sealed.ok_or_else(|| unreadable("it is not there".to_owned()))?;
            let opened = vault.open(CONTEXT, &sealed).map_err(|error| unreadable(error.to_string()))?;
            let key: [u8; PEOPLE_KEY_BYTES] =
                opened.as_slice().try_into().map_err(|_| unreadable("it has another length".to_owned()))?;
            if !vault.sealed_by_first(&sealed) {
                let update = diesel::update(row).set(hash_keys::sealed.eq(vault.seal(CONTEXT, &key)));
                on!(conn, c => update.execute(c).await)?;
            }
            Ok(People::new(key))
        }
        .await;
        let people = conn.finish(result).await?;
        // Whoever was first opened the same key.
        drop(self.people.set(people));
        Ok(())
    }
}

fn unreadable(reason: String) -> StoreError {
    StoreError::Unreadable { table: "hash_keys", reason: format!("the key that addresses are hashed with: {reason}") }
}
