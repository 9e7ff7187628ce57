//! How senders present themselves: profiles and QR codes.

use diesel::{ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl;
use serde_json::json;

use super::{
    SenderView, Store, StoreError, audit,
    connection::{Conn, on},
    schema::{businesses, qr_codes, sender_profiles, senders},
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    ids::{BusinessId, ResellerId, SenderId},
    paging::{Page, Paging},
    senders::{QrCode, QrTarget, SenderProfile, SenderProfileChange},
};

type StoredQrCode = (String, i64, String, Millis, Millis);

const QR_CODE: (
    qr_codes::code,
    qr_codes::sender_id,
    qr_codes::prefilled_message,
    qr_codes::created_at,
    qr_codes::updated_at,
) = (qr_codes::code, qr_codes::sender_id, qr_codes::prefilled_message, qr_codes::created_at, qr_codes::updated_at);

fn qr_code((code, sender, prefilled_message, created_at, updated_at): StoredQrCode) -> QrCode {
    QrCode { code, sender: SenderId(sender), prefilled_message, created_at, updated_at }
}

impl Store {
    /// The profile of a sender; an empty one when none was set.
    pub(crate) async fn sender_profile(&self, sender: SenderId) -> Result<SenderProfile, StoreError> {
        let mut conn = self.pools.read().await?;
        profile(&mut conn, sender).await
    }

    /// Changes the profile of a sender; answers the whole of it.
    pub(crate) async fn change_sender_profile(
        &self,
        by: &Actor,
        view: &SenderView,
        change: &SenderProfileChange,
        now: Millis,
    ) -> Result<SenderProfile, StoreError> {
        let id = view.sender.id;
        let mut conn = self.pools.begin().await?;
        let result = async {
            lock_sender(&mut conn, id).await?;
            let before = profile(&mut conn, id).await?;
            let after = change.applied_to(before.clone());
            let row = (sender_profiles::profile.eq(json!(after).to_string()), sender_profiles::updated_at.eq(now));
            let query = diesel::insert_into(sender_profiles::table)
                .values((sender_profiles::sender_id.eq(id.0), row.clone()))
                .on_conflict(sender_profiles::sender_id)
                .do_update()
                .set(row);
            on!(conn, c => query.execute(c).await)?;
            let entry = Entry::new("sender.profile_changed", id)
                .of_reseller(&view.reseller)
                .of_business(&view.sender.business)
                .before(json!(before))
                .after(json!(after));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(after)
        }
        .await;
        conn.finish(result).await
    }

    /// The QR codes of `business`, by code; those of one sender where it is given.
    pub(crate) async fn qr_codes(
        &self,
        business: &BusinessId,
        sender: Option<SenderId>,
        paging: &Paging,
    ) -> Result<Page<QrCode>, StoreError> {
        let mut conn = self.pools.read().await?;
        let rows: Vec<StoredQrCode> = on!(conn, c => {
            let mut query = qr_codes::table
                .filter(qr_codes::business_id.eq(business.key()))
                .order(qr_codes::code)
                .limit(paging.rows())
                .select(QR_CODE)
                .into_boxed();
            if let Some(sender) = sender {
                query = query.filter(qr_codes::sender_id.eq(sender.0));
            }
            if let Some(after) = &paging.after {
                query = query.filter(qr_codes::code.gt(after));
            }
            query.load(c).await
        })?;
        Ok(Page::new(rows.into_iter().map(qr_code).collect(), paging, |code: &QrCode| code.code.clone()))
    }

    /// The QR code `code` of `business`.
    pub(crate) async fn qr_code(&self, business: &BusinessId, code: &str) -> Result<Option<QrCode>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = qr_codes::table
            .filter(qr_codes::code.eq(code))
            .filter(qr_codes::business_id.eq(business.key()))
            .select(QR_CODE);
        let row: Option<StoredQrCode> = on!(conn, c => query.first(c).await.optional())?;
        Ok(row.map(qr_code))
    }

    /// Adds a QR code; false when its sender has `most` already.
    pub(crate) async fn add_qr_code(
        &self,
        by: &Actor,
        view: &SenderView,
        code: &QrCode,
        most: i64,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            lock_sender(&mut conn, code.sender).await?;
            let there = qr_codes::table.filter(qr_codes::sender_id.eq(code.sender.0)).count();
            let there: i64 = on!(conn, c => there.get_result(c).await)?;
            if there >= most {
                return Ok(false);
            }
            let query = diesel::insert_into(qr_codes::table).values((
                qr_codes::code.eq(&code.code),
                qr_codes::business_id.eq(view.sender.business.key()),
                qr_codes::sender_id.eq(code.sender.0),
                qr_codes::prefilled_message.eq(&code.prefilled_message),
                qr_codes::created_at.eq(code.created_at),
                qr_codes::updated_at.eq(code.updated_at),
            ));
            on!(conn, c => query.execute(c).await)?;
            let entry = entry("qr_code.created", &code.code, (&view.reseller, &view.sender.business));
            audit::append(&mut conn, by, entry.after(json!({"message": code.prefilled_message})), code.created_at)
                .await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Changes the message of a QR code of `business`; none when there is no such code.
    pub(crate) async fn change_qr_code(
        &self,
        by: &Actor,
        business: &BusinessId,
        code: &str,
        message: &str,
        now: Millis,
    ) -> Result<Option<QrCode>, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row = qr_codes::table.filter(qr_codes::code.eq(code)).filter(qr_codes::business_id.eq(business.key()));
            let query = diesel::update(row)
                .set((qr_codes::prefilled_message.eq(message), qr_codes::updated_at.eq(now)))
                .returning(QR_CODE);
            let changed: Option<StoredQrCode> = on!(conn, c => query.get_result(c).await.optional())?;
            if changed.is_some() {
                let reseller = reseller_of(&mut conn, business).await?;
                let entry = entry("qr_code.changed", code, (&reseller, business)).after(json!({"message": message}));
                audit::append(&mut conn, by, entry, now).await?;
            }
            Ok(changed.map(qr_code))
        }
        .await;
        conn.finish(result).await
    }

    /// Removes a QR code of `business`; false when there is no such code.
    pub(crate) async fn remove_qr_code(
        &self,
        by: &Actor,
        business: &BusinessId,
        code: &str,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let row = qr_codes::table.filter(qr_codes::code.eq(code)).filter(qr_codes::business_id.eq(business.key()));
            if on!(conn, c => diesel::delete(row).execute(c).await)? == 0 {
                return Ok(false);
            }
            let reseller = reseller_of(&mut conn, business).await?;
            audit::append(&mut conn, by, entry("qr_code.removed", code, (&reseller, business)), now).await?;
            Ok(true)
        }
        .await;
        conn.finish(result).await
    }

    /// Where a QR code leads, whoever scans it.
    pub(crate) async fn qr_target(&self, code: &str) -> Result<Option<QrTarget>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = qr_codes::table
            .inner_join(senders::table.on(senders::id.eq(qr_codes::sender_id)))
            .filter(qr_codes::code.eq(code))
            .select((senders::phone, qr_codes::prefilled_message));
        let row: Option<(String, String)> = on!(conn, c => query.first(c).await.optional())?;
        Ok(row.map(|(phone, prefilled_message)| QrTarget { phone, prefilled_message }))
    }
}

async fn profile(conn: &mut Conn, sender: SenderId) -> Result<SenderProfile, StoreError> {
    let query = sender_profiles::table.filter(sender_profiles::sender_id.eq(sender.0)).select(sender_profiles::profile);
    let text: Option<String> = on!(*conn, c => query.first(c).await.optional())?;
    let Some(text) = text else { return Ok(SenderProfile::default()) };
    let unreadable = |error: serde_json::Error| StoreError::Unreadable {
        table: "sender_profiles",
        reason: format!("profile of {sender}: {error}"),
    };
    serde_json::from_str(&text).map_err(unreadable)
}

/// Makes whoever else changes something of a sender wait until this transaction is over.
async fn lock_sender(conn: &mut Conn, sender: SenderId) -> Result<(), StoreError> {
    let row = senders::table.filter(senders::id.eq(sender.0));
    let query = diesel::update(row).set(senders::phone.eq(senders::phone));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

async fn reseller_of(conn: &mut Conn, business: &BusinessId) -> Result<ResellerId, StoreError> {
    let query = businesses::table.filter(businesses::id.eq(business.key())).select(businesses::reseller_id);
    let id: String = on!(*conn, c => query.first(c).await)?;
    Ok(ResellerId::from_key(id))
}

fn entry(action: &'static str, code: &str, (reseller, business): (&ResellerId, &BusinessId)) -> Entry {
    Entry::new(action, code.to_owned()).of_reseller(reseller).of_business(business)
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{Fixture, Tree, both},
        *,
    };
    use crate::tenancy::Subtree;

    #[tokio::test(flavor = "multi_thread")]
    async fn qr_codes_belong_to_their_business_and_lead_anybody_to_its_chat() {
        for Fixture { store, .. } in &both().await {
            let (own, other) = (Tree::plant(store).await, Tree::plant(store).await);
            let by = Actor::operator();
            let view = store.sender(&Subtree::Platform, own.sender).await.unwrap().unwrap();
            let code = |code: &str| QrCode {
                code: code.to_owned(),
                sender: own.sender,
                prefilled_message: "Bread?".to_owned(),
                created_at: 1,
                updated_at: 1,
            };
            let codes: Vec<QrCode> =
                ["A", "B", "C"].iter().map(|name| code(&format!("{name}{}", own.sender))).collect();
            for (index, code) in codes.iter().enumerate() {
                assert!(store.add_qr_code(&by, &view, code, 3).await.unwrap(), "{index}");
            }
            assert!(!store.add_qr_code(&by, &view, &code("D"), 3).await.unwrap(), "one more than there may be");

            let paging = Paging { after: Some(codes[0].code.clone()), limit: 1 };
            let page = store.qr_codes(&own.business, Some(own.sender), &paging).await.unwrap();
            assert_eq!((&page.entries[..], page.next.is_some()), (&codes[1..2], true), "{}", store.kind());
            let all = Paging::default();
            assert_eq!(store.qr_codes(&own.business, Some(other.sender), &all).await.unwrap().entries, []);
            assert_eq!(store.qr_codes(&other.business, None, &all).await.unwrap().entries, []);

            let first = &codes[0].code;
            assert_eq!(store.qr_code(&other.business, first).await.unwrap(), None);
            assert_eq!(store.change_qr_code(&by, &other.business, first, "Cake?", 2).await.unwrap(), None);
            assert!(!store.remove_qr_code(&by, &other.business, first, 2).await.unwrap());
            let changed = store.change_qr_code(&by, &own.business, first, "Cake?", 2).await.unwrap().unwrap();
            assert_eq!((&*changed.prefilled_message, changed.created_at, changed.updated_at), ("Cake?", 1, 2));
            let target = store.qr_target(first).await.unwrap().unwrap();
            assert_eq!((target.phone, &*target.prefilled_message), (view.sender.phone.clone(), "Cake?"));
            assert!(store.remove_qr_code(&by, &own.business, first, 3).await.unwrap());
            assert_eq!(store.qr_target(first).await.unwrap(), None);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn changes_of_a_profile_at_once_are_all_kept() {
        for Fixture { store, .. } in &both().await {
            let tree = Tree::plant(store).await;
            let view = store.sender(&Subtree::Platform, tree.sender).await.unwrap().unwrap();
            let by = Actor::operator();
            let about = SenderProfileChange { about: Some("Bread".to_owned()), ..Default::default() };
            let email = SenderProfileChange { email: Some("a@b.example".to_owned()), ..Default::default() };
            let (one, two) = tokio::join!(
                store.change_sender_profile(&by, &view, &about, 1),
                store.change_sender_profile(&by, &view, &email, 1),
            );
            one.unwrap();
            two.unwrap();
            let profile = store.sender_profile(tree.sender).await.unwrap();
            assert_eq!((&*profile.about, &*profile.email), ("Bread", "a@b.example"), "{}", store.kind());
        }
    }
}
