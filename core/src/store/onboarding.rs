//! Businesses on their way to being verified: profile, documents, steps, the queue of
//! those that wait for a reviewer.
//!
//! Whatever changes one of them holds the lock of its row in `businesses`, so a step is
//! taken from the state that was looked at or not at all, and what is submitted is what
//! was checked.

use diesel::{
    ExpressionMethods, JoinOnDsl, NullableExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper,
};
use diesel_async::RunQueryDsl;
use serde_json::{Value, json};

use super::{
    Store, StoreError, audit,
    connection::{Conn, on},
    schema::{
        business_profiles, business_steps, businesses, document_contents, documents, resellers, review_queue, senders,
        submissions,
    },
};
use crate::{
    audit::{Actor, Entry},
    clock::Millis,
    error::{ApiError, ErrorKind},
    ids::{BusinessId, DocumentId, ResellerId, SubmissionId},
    onboarding::{
        Action, By, Check, CheckOutcome, DOCUMENTS_MAX, Document, DocumentKind, DocumentType, HistoryEntry, Profile,
        ReviewCase, Side, State, Step, Submission,
    },
    paging::{Page, Paging},
    tenancy::Subtree,
};

/// A business as onboarding sees it.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) business: BusinessId,
    pub(crate) reseller: ResellerId,
    pub(crate) name: String,
    pub(crate) state: State,
    /// When the profile was saved last.
    pub(crate) updated_at: Option<Millis>,
}

/// What a submission is made of: checked outside of the transaction, and compared inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dossier {
    pub(crate) profile: Profile,
    pub(crate) documents: Vec<Document>,
    /// The numbers that were shown to be the business's.
    pub(crate) senders: Vec<VerifiedSender>,
}

/// A number that was shown to be the business's.
#[derive(Debug, Clone, PartialEq, Eq, Queryable)]
pub(crate) struct VerifiedSender {
    pub(crate) id: i64,
    pub(crate) phone: String,
    pub(crate) adapter: String,
}

/// The names of a business, for comparison.
#[derive(Debug, Clone)]
pub(crate) struct BusinessNames {
    pub(crate) business: BusinessId,
    pub(crate) state: State,
    pub(crate) names: Vec<String>,
}

/// What locking the row of a business gives.
struct Locked {
    reseller: ResellerId,
    name: String,
    state: State,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = documents)]
struct StoredDocument {
    id: String,
    kind: String,
    file_name: String,
    content_type: String,
    size_bytes: i64,
    sha256: String,
    uploaded_by: String,
    uploaded_at: Millis,
}

impl TryFrom<StoredDocument> for Document {
    type Error = StoreError;

    fn try_from(row: StoredDocument) -> Result<Self, StoreError> {
        let unreadable =
            |what: &str| StoreError::Unreadable { table: "documents", reason: format!("{what} of {}", row.id) };
        Ok(Self {
            kind: DocumentKind::parse(&row.kind).ok_or_else(|| unreadable("kind"))?,
            content_type: DocumentType::parse(&row.content_type).ok_or_else(|| unreadable("content_type"))?,
            id: DocumentId::from_key(row.id),
            file_name: row.file_name,
            size_bytes: row.size_bytes.unsigned_abs(),
            sha256: row.sha256,
            uploaded_by: row.uploaded_by,
            uploaded_at: row.uploaded_at,
        })
    }
}

#[derive(Queryable)]
struct StoredStep {
    at: Millis,
    action: String,
    from_state: String,
    to_state: String,
    reason: Option<String>,
    submission_id: Option<String>,
    actor_kind: String,
    actor_id: String,
    actor_name: String,
}

impl TryFrom<StoredStep> for HistoryEntry {
    type Error = StoreError;

    fn try_from(row: StoredStep) -> Result<Self, StoreError> {
        Ok(Self {
            at: row.at,
            action: Action::parse(&row.action).ok_or_else(|| unreadable("business_steps", &row.action))?,
            from: read_state("business_steps", &row.from_state)?,
            to: read_state("business_steps", &row.to_state)?,
            reason: row.reason,
            submission: row.submission_id.map(SubmissionId::from_key),
            by: By { kind: row.actor_kind, id: row.actor_id, name: row.actor_name },
        })
    }
}

fn unreadable(table: &'static str, what: &str) -> StoreError {
    StoreError::Unreadable { table, reason: format!("{what:?} is not known to this version") }
}

fn read_state(table: &'static str, name: &str) -> Result<State, StoreError> {
    State::parse(name).ok_or_else(|| unreadable(table, name))
}

fn read_json<T: serde::de::DeserializeOwned>(table: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::Unreadable { table, reason: error.to_string() })
}

fn text_of(value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Unreadable { table: "(to be written)", reason: error.to_string() })
}

fn no_business(id: &BusinessId) -> ApiError {
    ApiError::missing("business", id)
}

/// Changes are possible before submission, and where they were asked for.
fn require_open(locked: &Locked, what: &str) -> Result<(), ApiError> {
    if locked.state.is_open() {
        return Ok(());
    }
    let possible = locked.state.possible(Side::Applicant);
    let names: Vec<&str> = possible.iter().map(|action| action.name()).collect();
    let next = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    let details = format!(
        "The business is in the state {}: its {what} can be changed in the states draft and changes_requested only. \
         Possible for its own side now: {next}.",
        locked.state
    );
    Err(ApiError::new(ErrorKind::IllegalTransition, details))
}

impl Store {
    /// The business `id`, if it lies in `subtree`.
    pub(crate) async fn onboarding_case(&self, subtree: &Subtree, id: &BusinessId) -> Result<Case, ApiError> {
        let mut conn = self.pools.read().await?;
        let query = businesses::table
            .left_join(business_profiles::table.on(business_profiles::business_id.eq(businesses::id)))
            .filter(businesses::id.eq(id.key()))
            .select((
                businesses::reseller_id,
                businesses::name,
                businesses::state,
                business_profiles::updated_at.nullable(),
            ));
        type Row = (String, String, String, Option<Millis>);
        let row: Option<Row> = on!(conn, c => query.first(c).await.optional())?;
        let Some((reseller, name, state, updated_at)) = row.filter(|(reseller, ..)| subtree.holds(reseller, id.key()))
        else {
            return Err(no_business(id));
        };
        Ok(Case {
            business: id.clone(),
            reseller: ResellerId::from_key(reseller),
            name,
            state: read_state("businesses", &state)?,
            updated_at,
        })
    }

    /// Replaces the profile by what `change` makes of it.
    pub(crate) async fn save_profile(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: &BusinessId,
        change: impl FnOnce(&Profile) -> Result<Profile, ApiError> + Send,
        now: Millis,
    ) -> Result<(), ApiError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let locked = lock(&mut conn, subtree, id).await?;
            require_open(&locked, "profile")?;
            let before = stored_profile(&mut conn, id).await?;
            let basis = before.clone().unwrap_or_else(|| Profile::of_business(&locked.name));
            let after = change(&basis)?;
            let text = text_of(&after)?;
            let query = diesel::insert_into(business_profiles::table)
                .values((
                    business_profiles::business_id.eq(id.key()),
                    business_profiles::profile.eq(text.clone()),
                    business_profiles::updated_at.eq(now),
                ))
                .on_conflict(business_profiles::business_id)
                .do_update()
                .set((business_profiles::profile.eq(text), business_profiles::updated_at.eq(now)));
            on!(conn, c => query.execute(c).await)?;
            if before.as_ref() != Some(&after) {
                let mut entry = entry("business.profile_saved", id, &locked).after(json!(after));
                entry.before = before.as_ref().map(|profile| json!(profile));
                audit::append(&mut conn, by, entry, now).await?;
            }
            Ok(())
        }
        .await;
        conn.finish(result).await
    }

    /// Adds a document with its sealed content.
    pub(crate) async fn add_document(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: &BusinessId,
        document: &Document,
        sealed: Vec<u8>,
    ) -> Result<(), ApiError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let locked = lock(&mut conn, subtree, id).await?;
            require_open(&locked, "documents")?;
            let counting = documents::table.filter(documents::business_id.eq(id.key())).count();
            let there: i64 = on!(conn, c => counting.get_result(c).await)?;
            if usize::try_from(there).unwrap_or(usize::MAX) >= DOCUMENTS_MAX {
                let details = format!("A business has at most {DOCUMENTS_MAX} documents; delete one first.");
                return Err(ApiError::new(ErrorKind::Conflict, details));
            }
            let row = diesel::insert_into(documents::table).values((
                documents::id.eq(document.id.key()),
                documents::business_id.eq(id.key()),
                documents::kind.eq(document.kind.name()),
                documents::file_name.eq(&document.file_name),
                documents::content_type.eq(document.content_type.media_type()),
                documents::size_bytes.eq(i64::try_from(document.size_bytes).unwrap_or(i64::MAX)),
                documents::sha256.eq(&document.sha256),
                documents::uploaded_by.eq(&document.uploaded_by),
                documents::uploaded_at.eq(document.uploaded_at),
            ));
            on!(conn, c => row.execute(c).await)?;
            let content = diesel::insert_into(document_contents::table)
                .values((document_contents::document_id.eq(document.id.key()), document_contents::sealed.eq(sealed)));
            on!(conn, c => content.execute(c).await)?;
            let entry = entry_on("document.added", &document.id, id, &locked).after(about(document));
            audit::append(&mut conn, by, entry, document.uploaded_at).await?;
            Ok(())
        }
        .await;
        conn.finish(result).await
    }

    /// The documents of a business, oldest first.
    pub(crate) async fn documents(&self, subtree: &Subtree, id: &BusinessId) -> Result<Vec<Document>, ApiError> {
        self.onboarding_case(subtree, id).await?;
        let mut conn = self.pools.read().await?;
        Ok(stored_documents(&mut conn, id).await?)
    }

    /// A document with its sealed content, and a note that `by` has read it.
    pub(crate) async fn read_document(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: &BusinessId,
        document: &DocumentId,
        now: Millis,
    ) -> Result<(Document, Vec<u8>), ApiError> {
        let case = self.onboarding_case(subtree, id).await?;
        let mut conn = self.pools.begin().await?;
        let result = async {
            let about_it = stored_document(&mut conn, id, document).await?;
            let query = document_contents::table
                .filter(document_contents::document_id.eq(document.key()))
                .select(document_contents::sealed);
            let sealed: Vec<u8> = on!(conn, c => query.first(c).await)?;
            let entry = Entry::new("document.read", document).of_reseller(&case.reseller).of_business(id);
            audit::append(&mut conn, by, entry, now).await?;
            Ok((about_it, sealed))
        }
        .await;
        conn.finish(result).await
    }

    /// Deletes a document with its content.
    pub(crate) async fn delete_document(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: &BusinessId,
        document: &DocumentId,
        now: Millis,
    ) -> Result<(), ApiError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let locked = lock(&mut conn, subtree, id).await?;
            require_open(&locked, "documents")?;
            let gone = stored_document(&mut conn, id, document).await?;
            let content = document_contents::table.filter(document_contents::document_id.eq(document.key()));
            on!(conn, c => diesel::delete(content).execute(c).await)?;
            let row = documents::table.filter(documents::id.eq(document.key()));
            on!(conn, c => diesel::delete(row).execute(c).await)?;
            let entry = entry_on("document.deleted", document, id, &locked).before(about(&gone));
            audit::append(&mut conn, by, entry, now).await?;
            Ok(())
        }
        .await;
        conn.finish(result).await
    }

    /// What a submission of `id` would be made of.
    pub(crate) async fn dossier(&self, subtree: &Subtree, id: &BusinessId) -> Result<(Case, Dossier), ApiError> {
        let case = self.onboarding_case(subtree, id).await?;
        let mut conn = self.pools.read().await?;
        let dossier = dossier(&mut conn, id, &case.name).await?;
        Ok((case, dossier))
    }

    /// Who else has shown one of `phones` to be theirs.
    pub(crate) async fn others_with_numbers(
        &self,
        id: &BusinessId,
        phones: &[&str],
    ) -> Result<Vec<(String, BusinessId)>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = senders::table
            .filter(senders::phone.eq_any(phones))
            .filter(senders::business_id.ne(id.key()))
            .filter(senders::phone_verified_at.is_not_null())
            .order((senders::phone, senders::id))
            .select((senders::phone, senders::business_id))
            .limit(OTHERS_MAX_ROWS);
        let rows: Vec<(String, String)> = on!(conn, c => query.load(c).await)?;
        Ok(rows.into_iter().map(|(phone, business)| (phone, BusinessId::from_key(business))).collect())
    }

    /// The names of a page of businesses behind `after`; closed ones have none.
    pub(crate) async fn names_after(&self, after: &str, rows: i64) -> Result<Vec<BusinessNames>, StoreError> {
        let mut conn = self.pools.read().await?;
        let query = businesses::table
            .left_join(business_profiles::table.on(business_profiles::business_id.eq(businesses::id)))
            .filter(businesses::id.gt(after))
            .order(businesses::id)
            .limit(rows)
            .select((businesses::id, businesses::name, businesses::state, business_profiles::profile.nullable()));
        let rows: Vec<(String, String, String, Option<String>)> = on!(conn, c => query.load(c).await)?;
        rows.into_iter()
            .map(|(id, name, state, profile)| {
                let state = read_state("businesses", &state)?;
                let mut names = vec![name];
                if let Some(profile) = profile {
                    let profile: Profile = read_json("business_profiles", &profile)?;
                    names.extend([profile.legal_name, profile.trade_name]);
                }
                if state == State::Closed {
                    names.clear();
                }
                Ok(BusinessNames { business: BusinessId::from_key(id), state, names })
            })
            .collect()
    }

    /// Hands a business in, as `checked`, with the results of its checks; and, when
    /// `unseen`, approves it at once.
    pub(crate) async fn submit(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: &BusinessId,
        (checked, checks): (&Dossier, &[Check]),
        unseen: bool,
        now: Millis,
    ) -> Result<State, ApiError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let locked = lock(&mut conn, subtree, id).await?;
            let next = locked.state.step(Action::Submit, Side::Applicant)?;
            if dossier(&mut conn, id, &locked.name).await? != *checked {
                let details = "Profile, documents or numbers were changed meanwhile: look at them, and submit again.";
                return Err(ApiError::new(ErrorKind::Conflict, details));
            }
            let submission = SubmissionId::generate();
            let query = diesel::insert_into(submissions::table).values((
                submissions::id.eq(submission.key()),
                submissions::business_id.eq(id.key()),
                submissions::submitted_at.eq(now),
                submissions::actor_kind.eq(by.kind.name()),
                submissions::actor_id.eq(&by.id),
                submissions::actor_name.eq(&by.name),
                submissions::profile.eq(text_of(&checked.profile)?),
                submissions::documents.eq(text_of(&checked.documents)?),
                submissions::checks.eq(text_of(&checks)?),
            ));
            on!(conn, c => query.execute(c).await)?;
            let worst = checks.iter().map(|check| check.outcome).max().unwrap_or(CheckOutcome::Pass);
            let mut at = Standpoint { locked, submission: Some(submission), now };
            take(&mut conn, by, id, &mut at, (Action::Submit, next), None, json!({"checks": worst})).await?;
            if unseen {
                let system = Actor::system();
                for action in [Action::StartReview, Action::Approve] {
                    let next = at.locked.state.step(action, Side::Reviewer)?;
                    take(&mut conn, &system, id, &mut at, (action, next), Some("Every check passed."), json!({}))
                        .await?;
                }
            }
            Ok(at.locked.state)
        }
        .await;
        conn.finish(result).await
    }

    /// Takes a step from the state `seen`. Whoever comes second finds another state, and is
    /// told what happened.
    pub(crate) async fn step(
        &self,
        (by, subtree): (&Actor, &Subtree),
        id: &BusinessId,
        (step, side): (&Step, Side),
        seen: State,
        now: Millis,
    ) -> Result<State, ApiError> {
        let mut conn = self.pools.begin().await?;
        let result = async {
            let locked = lock(&mut conn, subtree, id).await?;
            if locked.state != seen {
                return Err(overtaken(&mut conn, id, seen, locked.state).await?);
            }
            let next = locked.state.step(step.action, side)?;
            if step.action.is_judgement() && has_submitted(&mut conn, id, by).await? {
                let details = "You have submitted this business yourself: somebody else has to judge it.";
                return Err(ApiError::new(ErrorKind::PermissionDenied, details));
            }
            let submission = last_submission(&mut conn, id).await?;
            let mut at = Standpoint { locked, submission, now };
            take(&mut conn, by, id, &mut at, (step.action, next), step.reason.as_deref(), json!({})).await?;
            Ok(next)
        }
        .await;
        conn.finish(result).await
    }

    /// Every step of a business, oldest first.
    pub(crate) async fn history(&self, subtree: &Subtree, id: &BusinessId) -> Result<Vec<HistoryEntry>, ApiError> {
        self.onboarding_case(subtree, id).await?;
        let mut conn = self.pools.read().await?;
        let query = steps_of(id).order(business_steps::id).limit(HISTORY_MAX_ROWS);
        let rows: Vec<StoredStep> = on!(conn, c => query.load(c).await)?;
        Ok(rows.into_iter().map(TryInto::try_into).collect::<Result<_, StoreError>>()?)
    }

    /// What was handed in last, with the results of its checks.
    pub(crate) async fn last_submission(
        &self,
        subtree: &Subtree,
        id: &BusinessId,
    ) -> Result<Option<Submission>, ApiError> {
        self.onboarding_case(subtree, id).await?;
        let mut conn = self.pools.read().await?;
        let Some(last) = last_submission(&mut conn, id).await? else { return Ok(None) };
        let query = submissions::table.filter(submissions::id.eq(last.key())).select((
            submissions::id,
            submissions::submitted_at,
            (submissions::actor_kind, submissions::actor_id, submissions::actor_name),
            submissions::profile,
            submissions::documents,
            submissions::checks,
        ));
        type Row = (String, Millis, (String, String, String), String, String, String);
        let row: Option<Row> = on!(conn, c => query.first(c).await.optional())?;
        let Some((key, submitted_at, (kind, by, name), profile, documents, checks)) = row else { return Ok(None) };
        Ok(Some(Submission {
            id: SubmissionId::from_key(key),
            submitted_at,
            by: By { kind, id: by, name },
            profile: read_json("submissions", &profile)?,
            documents: read_json("submissions", &documents)?,
            checks: read_json("submissions", &checks)?,
        }))
    }

    /// The businesses of `subtree` that wait for a reviewer, the longest waiting first.
    pub(crate) async fn review_queue(&self, subtree: &Subtree, paging: &Paging) -> Result<Page<ReviewCase>, ApiError> {
        let after = match &paging.after {
            None => None,
            Some(key) => {
                let read = |key: &str| {
                    let (at, id) = key.split_once('.')?;
                    Some((at.parse::<Millis>().ok()?, id.to_owned()))
                };
                Some(read(key).ok_or_else(|| ApiError::breach("?cursor", "is not a cursor of this list"))?)
            }
        };
        let mut conn = self.pools.read().await?;
        type Row = (String, String, String, String, String, Millis, Millis, String, String);
        let rows: Vec<Row> = on!(conn, c => {
            let mut query = review_queue::table
                .inner_join(businesses::table.on(businesses::id.eq(review_queue::business_id)))
                .inner_join(resellers::table.on(resellers::id.eq(businesses::reseller_id)))
                .inner_join(submissions::table.on(submissions::id.eq(review_queue::submission_id)))
                .select((
                    businesses::id,
                    businesses::name,
                    resellers::id,
                    resellers::name,
                    businesses::state,
                    review_queue::submitted_at,
                    review_queue::state_since,
                    submissions::id,
                    submissions::checks,
                ))
                .order((review_queue::submitted_at, review_queue::business_id))
                .limit(paging.rows())
                .into_boxed();
            if let Some((at, id)) = &after {
                let later = review_queue::submitted_at.gt(*at);
                let same = review_queue::submitted_at.eq(*at);
                query = query.filter(diesel::BoolExpressionMethods::or(
                    later,
                    diesel::BoolExpressionMethods::and(same, review_queue::business_id.gt(id)),
                ));
            }
            match subtree {
                Subtree::Platform => {}
                Subtree::Reseller(own) => query = query.filter(businesses::reseller_id.eq(own.key())),
                Subtree::Business(own) => query = query.filter(businesses::id.eq(own.key())),
            }
            query.load(c).await
        })?;
        let cases: Vec<ReviewCase> = rows
            .into_iter()
            .map(|(id, name, reseller, reseller_name, state, submitted_at, state_since, submission, checks)| {
                let checks: Vec<Check> = read_json("submissions", &checks)?;
                Ok(ReviewCase {
                    business: BusinessId::from_key(id),
                    name,
                    reseller: ResellerId::from_key(reseller),
                    reseller_name,
                    state: read_state("businesses", &state)?,
                    submission: SubmissionId::from_key(submission),
                    submitted_at,
                    state_since,
                    worst: checks.iter().map(|check| check.outcome).max().unwrap_or(CheckOutcome::Pass),
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Page::new(cases, paging, |case| format!("{}.{}", case.submitted_at, case.business.key())))
    }
}

/// Others with the same number that are named at most.
const OTHERS_MAX_ROWS: i64 = 20;
/// Steps of one business that are read at most.
const HISTORY_MAX_ROWS: i64 = 1_000;

/// Where a business stands subtree a transaction.
struct Standpoint {
    locked: Locked,
    submission: Option<SubmissionId>,
    now: Millis,
}

/// Locks the row of a business and reads its state.
async fn lock(conn: &mut Conn, subtree: &Subtree, id: &BusinessId) -> Result<Locked, ApiError> {
    let row = businesses::table.filter(businesses::id.eq(id.key()));
    let query = diesel::update(row).set(businesses::state.eq(businesses::state)).returning((
        businesses::reseller_id,
        businesses::name,
        businesses::state,
    ));
    let row: Option<(String, String, String)> = on!(*conn, c => query.get_result(c).await.optional())?;
    let Some((reseller, name, state)) = row.filter(|(reseller, ..)| subtree.holds(reseller, id.key())) else {
        return Err(no_business(id));
    };
    Ok(Locked { reseller: ResellerId::from_key(reseller), name, state: read_state("businesses", &state)? })
}

/// Writes a step that was found legal: the state, the history, the queue, the audit log.
async fn take(
    conn: &mut Conn,
    by: &Actor,
    id: &BusinessId,
    at: &mut Standpoint,
    (action, next): (Action, State),
    reason: Option<&str>,
    mut said: Value,
) -> Result<(), StoreError> {
    let (before, now) = (at.locked.state, at.now);
    let row = diesel::update(businesses::table.filter(businesses::id.eq(id.key())));
    let query = row.set(businesses::state.eq(next.name()));
    on!(*conn, c => query.execute(c).await)?;
    let submission = at.submission.as_ref();
    note_step(conn, by, id, (action, before, next), (reason, submission), now).await?;
    let waiting = review_queue::table.filter(review_queue::business_id.eq(id.key()));
    match (next, submission) {
        (State::Submitted, Some(submission)) => {
            let query = diesel::insert_into(review_queue::table).values((
                review_queue::business_id.eq(id.key()),
                review_queue::submission_id.eq(submission.key()),
                review_queue::submitted_at.eq(now),
                review_queue::state_since.eq(now),
            ));
            on!(*conn, c => query.execute(c).await)?;
        }
        (next, _) if next.is_waiting() => {
            let query = diesel::update(waiting).set(review_queue::state_since.eq(now));
            on!(*conn, c => query.execute(c).await)?;
        }
        _ => {
            on!(*conn, c => diesel::delete(waiting).execute(c).await)?;
        }
    }
    if let Value::Object(said) = &mut said {
        said.insert("state".to_owned(), json!(next));
        if let Some(reason) = reason {
            said.insert("reason".to_owned(), json!(reason));
        }
    }
    let entry = entry(action.audited_as(), id, &at.locked).before(json!({"state": before})).after(said);
    audit::append(conn, by, entry, now).await?;
    at.locked.state = next;
    Ok(())
}

/// Writes a line of a business's history.
pub(super) async fn note_step(
    conn: &mut Conn,
    by: &Actor,
    id: &BusinessId,
    (action, from, to): (Action, State, State),
    (reason, submission): (Option<&str>, Option<&SubmissionId>),
    now: Millis,
) -> Result<(), StoreError> {
    let query = diesel::insert_into(business_steps::table).values((
        business_steps::business_id.eq(id.key()),
        business_steps::at.eq(now),
        business_steps::action.eq(action.name()),
        business_steps::from_state.eq(from.name()),
        business_steps::to_state.eq(to.name()),
        business_steps::reason.eq(reason),
        business_steps::submission_id.eq(submission.map(SubmissionId::key)),
        business_steps::actor_kind.eq(by.kind.name()),
        business_steps::actor_id.eq(&by.id),
        business_steps::actor_name.eq(&by.name),
    ));
    on!(*conn, c => query.execute(c).await)?;
    Ok(())
}

/// What to tell somebody who has looked at a state that is no longer.
async fn overtaken(conn: &mut Conn, id: &BusinessId, seen: State, found: State) -> Result<ApiError, ApiError> {
    let query = steps_of(id).order(business_steps::id.desc());
    let last: Option<StoredStep> = on!(*conn, c => query.first(c).await.optional())?;
    let happened = match last.map(HistoryEntry::try_from).transpose()? {
        Some(step) => format!("somebody has taken the step {}", step.action),
        None => "somebody else was faster".to_owned(),
    };
    let details = format!("The business was in the state {seen} and is now in {found}: {happened} meanwhile.");
    Ok(ApiError::new(ErrorKind::Conflict, details))
}

/// The steps of a business.
#[diesel::dsl::auto_type(no_type_alias)]
fn steps_of(id: &BusinessId) -> _ {
    let key: &str = id.key();
    business_steps::table.filter(business_steps::business_id.eq(key)).select((
        business_steps::at,
        business_steps::action,
        business_steps::from_state,
        business_steps::to_state,
        business_steps::reason,
        business_steps::submission_id,
        business_steps::actor_kind,
        business_steps::actor_id,
        business_steps::actor_name,
    ))
}

/// Whether `by` has ever handed this business in. Who has no id of their own is nobody in
/// particular.
async fn has_submitted(conn: &mut Conn, id: &BusinessId, by: &Actor) -> Result<bool, StoreError> {
    if by.id.is_empty() {
        return Ok(false);
    }
    let query = submissions::table
        .filter(submissions::business_id.eq(id.key()))
        .filter(submissions::actor_kind.eq(by.kind.name()))
        .filter(submissions::actor_id.eq(&by.id))
        .count();
    let times: i64 = on!(*conn, c => query.get_result(c).await)?;
    Ok(times > 0)
}

/// What was handed in last. Steps are numbered under the lock of the business; ids go by the
/// clock of the process that made them.
async fn last_submission(conn: &mut Conn, id: &BusinessId) -> Result<Option<SubmissionId>, StoreError> {
    let query = business_steps::table
        .filter(business_steps::business_id.eq(id.key()))
        .filter(business_steps::action.eq(Action::Submit.name()))
        .order(business_steps::id.desc())
        .select(business_steps::submission_id);
    let key: Option<Option<String>> = on!(*conn, c => query.first(c).await.optional())?;
    Ok(key.flatten().map(SubmissionId::from_key))
}

async fn stored_profile(conn: &mut Conn, id: &BusinessId) -> Result<Option<Profile>, StoreError> {
    let query =
        business_profiles::table.filter(business_profiles::business_id.eq(id.key())).select(business_profiles::profile);
    let text: Option<String> = on!(*conn, c => query.first(c).await.optional())?;
    text.map(|text| read_json("business_profiles", &text)).transpose()
}

async fn stored_documents(conn: &mut Conn, id: &BusinessId) -> Result<Vec<Document>, StoreError> {
    let query =
        documents::table.filter(documents::business_id.eq(id.key())).order((documents::uploaded_at, documents::id));
    let rows: Vec<StoredDocument> = on!(*conn, c => query.select(StoredDocument::as_select()).load(c).await)?;
    rows.into_iter().map(TryInto::try_into).collect()
}

async fn stored_document(conn: &mut Conn, id: &BusinessId, document: &DocumentId) -> Result<Document, ApiError> {
    let query = documents::table.filter(documents::business_id.eq(id.key())).filter(documents::id.eq(document.key()));
    let row: Option<StoredDocument> =
        on!(*conn, c => query.select(StoredDocument::as_select()).first(c).await.optional())?;
    let row = row.ok_or_else(|| ApiError::missing("document", document))?;
    Ok(row.try_into()?)
}

async fn dossier(conn: &mut Conn, id: &BusinessId, name: &str) -> Result<Dossier, StoreError> {
    let query = senders::table
        .filter(senders::business_id.eq(id.key()))
        .filter(senders::phone_verified_at.is_not_null())
        .order(senders::id)
        .select((senders::id, senders::phone, senders::adapter));
    Ok(Dossier {
        profile: stored_profile(conn, id).await?.unwrap_or_else(|| Profile::of_business(name)),
        documents: stored_documents(conn, id).await?,
        senders: on!(*conn, c => query.load(c).await)?,
    })
}

fn entry(action: &'static str, id: &BusinessId, locked: &Locked) -> Entry {
    entry_on(action, id, id, locked)
}

fn entry_on(action: &'static str, subject: impl ToString, id: &BusinessId, locked: &Locked) -> Entry {
    Entry::new(action, subject).of_reseller(&locked.reseller).of_business(id)
}

/// What the audit log says of a document.
fn about(document: &Document) -> Value {
    json!({
        "kind": document.kind,
        "file_name": document.file_name,
        "content_type": document.content_type,
        "size_bytes": document.size_bytes,
        "sha256": document.sha256,
    })
}
