//! Files: their rows, the bytes that rows share, what networks call them, and uploads that
//! may be resumed.
//!
//! The bytes lie in the object store, which knows no transactions; so a blob's row is there
//! before its object is written and until after it is gone, and says itself whether it may be
//! used. How many files use a blob is counted in its row, and whoever changes the count holds
//! the row: what is counted down to nothing cannot be taken up again.

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper,
    result::DatabaseErrorKind,
};
use diesel_async::RunQueryDsl;

use super::{
    Store, StoreError,
    connection::{Conn, on},
    schema::{media, media_blobs, media_copies, media_uploads},
};
use crate::{
    clock::Millis,
    ids::{BusinessId, MediaId, SenderId, UploadId},
    media::{File, Origin},
    paging::{Page, Paging},
};

/// How often it is tried to share a blob that somebody else makes at the same time.
const SHARE_TRIES: u32 = 3;

/// A file on its way into the database.
#[derive(Debug, Clone)]
pub(crate) struct NewMedia(pub(crate) File);

/// A file with where its bytes lie.
#[derive(Debug, Clone)]
pub(crate) struct StoredMedia {
    pub(crate) file: File,
    pub(crate) blob: String,
}

/// What the network of a sender calls a file.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable)]
#[diesel(table_name = media_copies)]
pub(crate) struct MediaCopy {
    pub(crate) media_id: i64,
    pub(crate) sender_id: i64,
    pub(crate) adapter: String,
    pub(crate) upstream_id: String,
    pub(crate) uploaded_at: Millis,
    pub(crate) expires_at: Option<Millis>,
}

/// An upload that may be resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResumableUpload {
    pub(crate) id: UploadId,
    pub(crate) file_name: Option<String>,
    pub(crate) content_type: String,
    pub(crate) length_bytes: u64,
    pub(crate) received_bytes: u64,
    /// The blobs that hold what arrived, in order.
    pub(crate) parts: Vec<String>,
    pub(crate) handle: Option<String>,
    pub(crate) expires_at: Millis,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = media)]
struct MediaRow {
    id: i64,
    business_id: String,
    sender_id: Option<i64>,
    blob_key: String,
    origin: String,
    content_type: String,
    file_name: Option<String>,
    sha256: String,
    size_bytes: i64,
    created_at: Millis,
    expires_at: Option<Millis>,
}

impl TryFrom<MediaRow> for StoredMedia {
    type Error = StoreError;

    fn try_from(row: MediaRow) -> Result<Self, StoreError> {
        let unreadable = |reason: String| StoreError::Unreadable { table: "media", reason };
        let origin = Origin::parse(&row.origin).ok_or_else(|| unreadable(format!("origin {:?}", row.origin)))?;
        Ok(Self {
            file: File {
                id: MediaId(row.id),
                business: BusinessId::from_key(row.business_id),
                sender: row.sender_id.map(SenderId),
                origin,
                content_type: row.content_type,
                file_name: row.file_name,
                sha256: row.sha256,
                size_bytes: u64::try_from(row.size_bytes).unwrap_or_default(),
                created_at: row.created_at,
                expires_at: row.expires_at,
            },
            blob: row.blob_key,
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = media_uploads)]
struct UploadRow {
    id: String,
    file_name: Option<String>,
    content_type: String,
    length_bytes: i64,
    received_bytes: i64,
    parts: String,
    handle: Option<String>,
    expires_at: Millis,
}

impl TryFrom<UploadRow> for ResumableUpload {
    type Error = StoreError;

    fn try_from(row: UploadRow) -> Result<Self, StoreError> {
        let unreadable =
            |error: serde_json::Error| StoreError::Unreadable { table: "media_uploads", reason: error.to_string() };
        Ok(Self {
            id: UploadId::from_key(row.id),
            file_name: row.file_name,
            content_type: row.content_type,
            length_bytes: u64::try_from(row.length_bytes).unwrap_or_default(),
            received_bytes: u64::try_from(row.received_bytes).unwrap_or_default(),
            parts: serde_json::from_str(&row.parts).map_err(unreadable)?,
            handle: row.handle,
            expires_at: row.expires_at,
        })
    }
}

impl Store {
    /// Announces an object that is about to be written; it is cleared away at `discard_at`
    /// unless it is used by then.
    pub(crate) async fn announce_blob(
        &self,
        business: &BusinessId,
        key: &str,
        discard_at: Millis,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::insert_into(media_blobs::table).values((
            media_blobs::key.eq(key),
            media_blobs::business_id.eq(business.key()),
            media_blobs::size_bytes.eq(0),
            media_blobs::uses.eq(0),
            media_blobs::discard_at.eq(Some(discard_at)),
            media_blobs::created_at.eq(now),
        ));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// Adds a file whose bytes the business has already. False when it has none like them.
    pub(crate) async fn add_media_again(&self, file: &NewMedia) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let shared = share_blob(&mut conn, file).await?;
            if let Some(blob) = &shared {
                insert(&mut conn, file, blob).await?;
            }
            Ok(shared.is_some())
        }
        .await;
        conn.finish(result).await
    }

    /// Adds a file with the bytes in the blob `written`, or in one with the same content that
    /// the business has already: then `written` is cleared away.
    pub(crate) async fn add_media(&self, file: &NewMedia, written: &str) -> Result<(), StoreError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.try_to_add_media(file, written).await {
                // The same content came in twice at once: the next try shares it.
                Err(StoreError::Query(diesel::result::Error::DatabaseError(DatabaseErrorKind::UniqueViolation, _)))
                    if tries < SHARE_TRIES => {}
                result => return result,
            }
        }
    }

    async fn try_to_add_media(&self, file: &NewMedia, written: &str) -> Result<(), StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let of_key = media_blobs::table.filter(media_blobs::key.eq(written));
            if let Some(shared) = share_blob(&mut conn, file).await? {
                let query = diesel::update(of_key).set(media_blobs::discard_at.eq(Some(file.0.created_at)));
                on!(conn, c => query.execute(c).await)?;
                return insert(&mut conn, file, &shared).await;
            }
            let query = diesel::update(of_key).set((
                media_blobs::sha256.eq(Some(&file.0.sha256)),
                media_blobs::size_bytes.eq(size(&file.0)),
                media_blobs::uses.eq(1),
                media_blobs::discard_at.eq(None::<Millis>),
            ));
            if on!(conn, c => query.execute(c).await)? == 0 {
                let reason = "a blob was cleared away while it was written".to_owned();
                return Err(StoreError::Unreadable { table: "media_blobs", reason });
            }
            insert(&mut conn, file, written).await
        }
        .await;
        conn.finish(result).await
    }

    /// The bytes that a business keeps.
    pub(crate) async fn media_bytes(&self, business: &BusinessId) -> Result<i64, StoreError> {
        let mut conn = self.pools.read().await?;
        let sizes = media_blobs::table.filter(media_blobs::business_id.eq(business.key()));
        let sizes = sizes.filter(media_blobs::discard_at.is_null()).select(media_blobs::size_bytes);
        let sizes: Vec<i64> = on!(conn, c => sizes.load(c).await)?;
        Ok(sizes.iter().sum())
    }

    /// A file of the business that has not expired.
    pub(crate) async fn media(
        &self,
        business: &BusinessId,
        id: MediaId,
        now: Millis,
    ) -> Result<Option<StoredMedia>, StoreError> {
        Ok(self.media_among(business, &[id.0], now).await?.pop())
    }

    /// Those of `ids` that are files of the business and have not expired.
    pub(crate) async fn media_among(
        &self,
        business: &BusinessId,
        ids: &[i64],
        now: Millis,
    ) -> Result<Vec<StoredMedia>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = media::table.filter(media::id.eq_any(ids)).filter(media::business_id.eq(business.key()));
        let rows: Vec<MediaRow> = on!(conn, c => query.select(MediaRow::as_select()).load(c).await)?;
        rows.into_iter().filter(|row| row.expires_at.is_none_or(|at| at > now)).map(TryInto::try_into).collect()
    }

    /// A file whatever its business is, also one that has expired: for what holds a promise
    /// about it already.
    pub(crate) async fn any_media(&self, id: MediaId) -> Result<Option<StoredMedia>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = media::table.filter(media::id.eq(id.0));
        let row: Option<MediaRow> = on!(conn, c => query.select(MediaRow::as_select()).first(c).await.optional())?;
        row.map(TryInto::try_into).transpose()
    }

    /// The files of a business that have not expired, the newest first.
    pub(crate) async fn list_media(
        &self,
        business: &BusinessId,
        paging: &Paging,
        now: Millis,
    ) -> Result<Page<File>, StoreError> {
        use diesel::BoolExpressionMethods;
        let after = paging.after.as_deref().and_then(|key| key.split_once('.'));
        let after = after.and_then(|(at, id)| Some((at.parse::<i64>().ok()?, id.parse::<i64>().ok()?)));
        let (at, id) = after.unwrap_or((i64::MAX, i64::MAX));
        let mut conn = self.pools.read().await?;
        let query = media::table
            .filter(media::business_id.eq(business.key()))
            .filter(media::created_at.le(at))
            .filter(media::created_at.lt(at).or(media::id.lt(id)))
            .filter(media::expires_at.is_null().or(media::expires_at.gt(now)))
            .order((media::created_at.desc(), media::id.desc()))
            .limit(paging.rows());
        let rows: Vec<MediaRow> = on!(conn, c => query.select(MediaRow::as_select()).load(c).await)?;
        let files: Result<Vec<File>, StoreError> =
            rows.into_iter().map(|row| StoredMedia::try_from(row).map(|stored| stored.file)).collect();
        Ok(Page::new(files?, paging, |file| format!("{}.{}", file.created_at, file.id)))
    }

    /// Removes a file of the business. False when there is none.
    pub(crate) async fn remove_media(
        &self,
        business: &BusinessId,
        id: MediaId,
        now: Millis,
    ) -> Result<bool, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = remove(&mut conn, id.0, Some(business), now).await;
        conn.finish(result).await
    }

    /// Removes up to `rows` files that expired before `before`, and says how many there were.
    pub(crate) async fn remove_expired_media(
        &self,
        before: Millis,
        rows: i64,
        now: Millis,
    ) -> Result<usize, StoreError> {
        let query = media::table.filter(media::expires_at.le(before)).limit(rows).select(media::id);
        let ids: Vec<i64> = {
            let mut conn = self.pools.read().await?;
            on!(conn, c => query.load(c).await)?
        };
        for id in &ids {
            let mut conn = self.pools.begin().await?;
            let result = remove(&mut conn, *id, None, now).await;
            conn.finish(result).await?;
        }
        Ok(ids.len())
    }

    /// Up to `rows` blobs that nobody uses any more.
    pub(crate) async fn blobs_to_discard(&self, now: Millis, rows: i64) -> Result<Vec<String>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = media_blobs::table.filter(media_blobs::discard_at.le(now)).limit(rows).select(media_blobs::key);
        Ok(on!(conn, c => query.load(c).await)?)
    }

    /// Forgets blobs whose objects are gone.
    pub(crate) async fn forget_blobs(&self, keys: &[String]) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let gone =
            media_blobs::table.filter(media_blobs::key.eq_any(keys)).filter(media_blobs::discard_at.is_not_null());
        on!(conn, c => diesel::delete(gone).execute(c).await)?;
        Ok(())
    }

    /// Has a blob cleared away that nothing uses.
    pub(crate) async fn discard_blob(&self, key: &str, now: Millis) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let unused = media_blobs::table.filter(media_blobs::key.eq(key)).filter(media_blobs::discard_at.is_not_null());
        let query = diesel::update(unused).set(media_blobs::discard_at.eq(Some(now)));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// What the network of `sender` calls a file.
    pub(crate) async fn media_copy(&self, id: MediaId, sender: SenderId) -> Result<Option<MediaCopy>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = media_copies::table.find((id.0, sender.0));
        Ok(on!(conn, c => query.select(MediaCopy::as_select()).first(c).await.optional())?)
    }

    /// Notes what the network of a sender calls a file from now on.
    pub(crate) async fn note_media_copy(&self, copy: &MediaCopy) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::insert_into(media_copies::table)
            .values(copy.clone())
            .on_conflict((media_copies::media_id, media_copies::sender_id))
            .do_update()
            .set((
                media_copies::adapter.eq(&copy.adapter),
                media_copies::upstream_id.eq(&copy.upstream_id),
                media_copies::uploaded_at.eq(copy.uploaded_at),
                media_copies::expires_at.eq(copy.expires_at),
            ));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// Forgets what the network of `sender` called a file, if it is still `upstream_id`.
    pub(crate) async fn forget_media_copy(
        &self,
        id: MediaId,
        sender: SenderId,
        upstream_id: &str,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let stale = media_copies::table.find((id.0, sender.0)).filter(media_copies::upstream_id.eq(upstream_id));
        on!(conn, c => diesel::delete(stale).execute(c).await)?;
        Ok(())
    }

    /// Starts an upload that may be resumed.
    pub(crate) async fn start_upload(
        &self,
        business: &BusinessId,
        upload: &ResumableUpload,
        now: Millis,
    ) -> Result<(), StoreError> {
        let mut conn = self.pools.write().await?;
        let query = diesel::insert_into(media_uploads::table).values((
            media_uploads::id.eq(upload.id.key()),
            media_uploads::business_id.eq(business.key()),
            media_uploads::file_name.eq(&upload.file_name),
            media_uploads::content_type.eq(&upload.content_type),
            media_uploads::length_bytes.eq(i64::try_from(upload.length_bytes).unwrap_or(i64::MAX)),
            media_uploads::received_bytes.eq(0),
            media_uploads::parts.eq("[]"),
            media_uploads::created_at.eq(now),
            media_uploads::expires_at.eq(upload.expires_at),
        ));
        on!(conn, c => query.execute(c).await)?;
        Ok(())
    }

    /// An upload of the business whose time is not over.
    pub(crate) async fn upload(
        &self,
        business: &BusinessId,
        id: &UploadId,
        now: Millis,
    ) -> Result<Option<ResumableUpload>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = media_uploads::table
            .filter(media_uploads::id.eq(id.key()))
            .filter(media_uploads::business_id.eq(business.key()))
            .filter(media_uploads::expires_at.gt(now));
        let row: Option<UploadRow> = on!(conn, c => query.select(UploadRow::as_select()).first(c).await.optional())?;
        row.map(TryInto::try_into).transpose()
    }

    /// Adds what arrived to an upload that stands at `before`. False when it stands elsewhere.
    pub(crate) async fn grow_upload(
        &self,
        before: &ResumableUpload,
        part: &str,
        bytes: u64,
    ) -> Result<bool, StoreError> {
        let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let parts: Vec<&str> = before.parts.iter().map(String::as_str).chain([part]).collect();
        let mut conn = self.pools.write().await?;
        let as_it_was = media_uploads::table
            .filter(media_uploads::id.eq(before.id.key()))
            .filter(media_uploads::received_bytes.eq(number(before.received_bytes)));
        let query = diesel::update(as_it_was).set((
            media_uploads::received_bytes.eq(number(before.received_bytes + bytes)),
            media_uploads::parts.eq(serde_json::json!(parts).to_string()),
        ));
        Ok(on!(conn, c => query.execute(c).await)? == 1)
    }

    /// Notes which file an upload became, and that its handle holds until `expires_at`. Answers
    /// the handle, which is an earlier one's if it had become a file before.
    pub(crate) async fn finish_upload(
        &self,
        id: &UploadId,
        file: MediaId,
        handle: &str,
        expires_at: Option<Millis>,
    ) -> Result<Option<String>, StoreError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let of_id = media_uploads::table.filter(media_uploads::id.eq(id.key()));
            let query = diesel::update(of_id.filter(media_uploads::handle.is_null())).set((
                media_uploads::media_id.eq(Some(file.0)),
                media_uploads::handle.eq(Some(handle)),
                media_uploads::expires_at.eq(expires_at.unwrap_or(Millis::MAX)),
            ));
            on!(conn, c => query.execute(c).await)?;
            let query = of_id.select(media_uploads::handle);
            let kept: Option<Option<String>> = on!(conn, c => query.first(c).await.optional())?;
            Ok(kept.flatten())
        }
        .await;
        conn.finish(result).await
    }

    /// The file of the business that a handle names.
    pub(crate) async fn media_of_handle(
        &self,
        business: &BusinessId,
        handle: &str,
        now: Millis,
    ) -> Result<Option<StoredMedia>, StoreError> {
        let id: Option<Option<i64>> = {
            let mut conn = self.pools.read().await?;
            let query = media_uploads::table
                .filter(media_uploads::handle.eq(handle))
                .filter(media_uploads::business_id.eq(business.key()))
                .select(media_uploads::media_id);
            on!(conn, c => query.first(c).await.optional())?
        };
        match id.flatten() {
            Some(id) => self.media(business, MediaId(id), now).await,
            None => Ok(None),
        }
    }

    /// Forgets up to `rows` uploads whose time is over.
    pub(crate) async fn forget_uploads(&self, now: Millis, rows: i64) -> Result<usize, StoreError> {
        let mut conn = self.pools.write().await?;
        let query =
            media_uploads::table.filter(media_uploads::expires_at.le(now)).limit(rows).select(media_uploads::id);
        let ids: Vec<String> = on!(conn, c => query.load(c).await)?;
        let gone = media_uploads::table.filter(media_uploads::id.eq_any(&ids));
        on!(conn, c => diesel::delete(gone).execute(c).await)?;
        Ok(ids.len())
    }
}

/// Counts one more use of the blob with this content, if the business has one; its row is
/// locked from then on.
async fn share_blob(conn: &mut Conn, file: &NewMedia) -> Result<Option<String>, StoreError> {
    let same = media_blobs::table
        .filter(media_blobs::business_id.eq(file.0.business.key()))
        .filter(media_blobs::sha256.eq(&file.0.sha256));
    let query = diesel::update(same).set(media_blobs::uses.eq(media_blobs::uses + 1)).returning(media_blobs::key);
    Ok(on!(*conn, c => query.get_result(c).await.optional())?)
}

async fn insert(conn: &mut Conn, NewMedia(file): &NewMedia, blob: &str) -> Result<(), StoreError> {
    let query = diesel::insert_into(media::table).values((
        media::id.eq(file.id.0),
        media::business_id.eq(file.business.key()),
        media::sender_id.eq(file.sender.map(|sender| sender.0)),
        media::blob_key.eq(blob),
        media::origin.eq(file.origin.name()),
        media::content_type.eq(&file.content_type),
        media::file_name.eq(&file.file_name),
        media::sha256.eq(&file.sha256),
        media::size_bytes.eq(size(file)),
        media::created_at.eq(file.created_at),
        media::expires_at.eq(file.expires_at),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

fn size(file: &File) -> i64 {
    i64::try_from(file.size_bytes).unwrap_or(i64::MAX)
}

/// Removes a file, of `business` if one is named, and counts its blob down: the last one to
/// leave has it cleared away.
async fn remove(conn: &mut Conn, id: i64, business: Option<&BusinessId>, now: Millis) -> Result<bool, StoreError> {
    let query = media::table.filter(media::id.eq(id)).select((media::business_id, media::blob_key));
    let row: Option<(String, String)> = on!(*conn, c => query.first(c).await.optional())?;
    let Some((owner, blob)) = row else { return Ok(false) };
    if business.is_some_and(|business| business.key() != owner) {
        return Ok(false);
    }
    let copies = diesel::delete(media_copies::table.filter(media_copies::media_id.eq(id)));
    on!(*conn, c => copies.execute(c).await)?;
    // Nobody else removed it meanwhile.
    if on!(*conn, c => diesel::delete(media::table.filter(media::id.eq(id))).execute(c).await)? == 0 {
        return Ok(false);
    }
    let of_key = || media_blobs::table.filter(media_blobs::key.eq(&blob));
    let query = diesel::update(of_key()).set(media_blobs::uses.eq(media_blobs::uses - 1)).returning(media_blobs::uses);
    let left: i32 = on!(*conn, c => query.get_result(c).await)?;
    if left <= 0 {
        let unusable = (media_blobs::sha256.eq(None::<String>), media_blobs::discard_at.eq(Some(now)));
        let query = diesel::update(of_key()).set(unusable);
        on!(*conn, c => query.execute(c).await)?;
    }
    Ok(true)
}
