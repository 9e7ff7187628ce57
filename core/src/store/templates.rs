//! Templates, one row for each language.

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, Queryable};
use diesel_async::RunQueryDsl;

use serde_json::json;

use super::{
    Store, StoreError, audit,
    connection::on,
    schema::{businesses, templates},
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    ids::{AccountId, BusinessId, ResellerId, TemplateId},
};

/// A template in one language, as stored.
#[derive(Debug, Clone, Queryable)]
pub struct StoredTemplate {
    /// Its name.
    pub name: String,
    /// Its language, for example `en_US`.
    pub language: String,
    /// `AUTHENTICATION`, `MARKETING` or `UTILITY`.
    pub category: String,
    /// `APPROVED` and the other states of the Cloud API.
    pub status: String,
    /// The components in the Cloud API's form, as a JSON array.
    pub components: String,
}

impl Store {
    /// Adds a template of `account`.
    ///
    /// # Errors
    /// The database's; a name can be used once in each language.
    pub async fn add_template(
        &self,
        by: &Actor,
        (business, account): (&BusinessId, AccountId),
        template: &StoredTemplate,
        now: Millis,
    ) -> Result<TemplateId, StoreError> {
        let id = TemplateId::generate();
        let mut conn = self.pools.begin().await?;
        let result = async {
            let query = diesel::insert_into(templates::table).values((
                templates::id.eq(id.0),
                templates::account_id.eq(account.0),
                templates::business_id.eq(business.key()),
                templates::name.eq(&template.name),
                templates::language.eq(&template.language),
                templates::category.eq(&template.category),
                templates::status.eq(&template.status),
                templates::components.eq(&template.components),
                templates::created_at.eq(now),
            ));
            on!(conn, c => query.execute(c).await)?;
            let above = businesses::table.filter(businesses::id.eq(business.key())).select(businesses::reseller_id);
            let reseller: Option<String> = on!(conn, c => above.first(c).await.optional())?;
            let entry = Entry {
                reseller: reseller.map(ResellerId::from_key),
                ..Entry::new("template.created", id).of_business(business)
            };
            let what = json!({"name": template.name, "language": template.language, "category": template.category});
            audit::append(&mut conn, by, entry.after(what), now).await
        }
        .await;
        conn.finish(result).await?;
        Ok(id)
    }

    /// The template of `account` with this name and language.
    ///
    /// # Errors
    /// The database's.
    pub async fn template(
        &self,
        account: AccountId,
        name: &str,
        language: &str,
    ) -> Result<Option<StoredTemplate>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = templates::table
            .filter(templates::account_id.eq(account.0))
            .filter(templates::name.eq(name))
            .filter(templates::language.eq(language))
            .select((
                templates::name,
                templates::language,
                templates::category,
                templates::status,
                templates::components,
            ));
        Ok(on!(conn, c => query.first(c).await.optional())?)
    }
}
