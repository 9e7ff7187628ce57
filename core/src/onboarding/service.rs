//! What the partner API and the dashboard call: neither can do what the other would be
//! refused.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{
    checks::{self, Check, OtherName, SenderNumber, Similar, may_approve_unseen},
    documents::{DOCUMENT_MAX_BYTES, Document, DocumentType, safe_file_name},
    profile::{ProfileChange, required},
    state::{Action, Refusal, Side, State},
    views::{Decision, HistoryEntry, ProfileView, ReviewCase, Reviewer, Step, Submission, Upload},
};
use crate::{
    audit::Actor,
    clock::Millis,
    error::{ApiError, Breach, ErrorKind},
    ids::{BusinessId, DocumentId},
    paging::{Page, Paging},
    plugins::AdapterHost,
    store::{Case, Dossier, Store, StoreError},
    tenancy::{Directory, REASON_MAX_CHARS, SANDBOX, Subtree},
    vault::{Vault, VaultError},
};

/// Businesses whose names are compared at once.
const NAMES_PAGE_ROWS: i64 = 1_000;

/// How an installation takes businesses in.
#[derive(Debug, Clone, Default)]
pub struct OnboardingSettings {
    /// Whether a business whose every check passes is approved without a reviewer.
    pub auto_approve: bool,
    /// The adapters that carry codes to numbers whose own network does not, in the order
    /// in which they are tried. The sandbox's senders get theirs from the sandbox anyway.
    pub code_adapters: Vec<String>,
}

/// Takes businesses in: profile, documents, phone numbers, review. Clones share everything.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a bundle of handles")]
pub struct Onboarding {
    pub(super) store: Store,
    pub(super) vault: Vault,
    pub(super) directory: Directory,
    pub(super) adapters: Arc<AdapterHost>,
    pub(super) settings: Arc<OnboardingSettings>,
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::NotYours { .. } => ErrorKind::PermissionDenied,
            Refusal::Illegal { .. } => ErrorKind::IllegalTransition,
        };
        Self::new(kind, refusal.to_string())
    }
}

impl Onboarding {
    /// Onboarding over `store`; documents and codes are sealed by `vault`.
    #[must_use]
    pub fn new(
        store: Store,
        vault: Vault,
        directory: Directory,
        adapters: Arc<AdapterHost>,
        settings: OnboardingSettings,
    ) -> Self {
        Self { store, vault, directory, adapters, settings: Arc::new(settings) }
    }

    /// The profile of a business, what is wrong with it and what is missing.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such business.
    pub async fn profile(&self, subtree: &Subtree, business: &BusinessId) -> Result<ProfileView, ApiError> {
        let (case, dossier) = self.store.dossier(subtree, business).await?;
        Ok(view(&case, dossier))
    }

    /// Saves as much of the profile as `change` has. What cannot stand is kept too, and
    /// listed in the answer.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`] while the business is handed in or after it was
    /// decided on, [`ErrorKind::ParameterTooLong`] with every value that is too long to be
    /// kept.
    pub async fn save_profile(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        change: ProfileChange,
        now: Millis,
    ) -> Result<ProfileView, ApiError> {
        self.store.save_profile((by, subtree), business, |profile| profile.changed(change), now).await?;
        self.profile(subtree, business).await
    }

    /// Adds a document.
    ///
    /// # Errors
    /// [`ErrorKind::UnsupportedDocument`] when its bytes are no PDF, JPEG or PNG,
    /// [`ErrorKind::DocumentTooLarge`], [`ErrorKind::IllegalTransition`] as with the profile,
    /// [`ErrorKind::Conflict`] when there are as many as may be.
    pub async fn add_document(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        upload: Upload,
        now: Millis,
    ) -> Result<Document, ApiError> {
        let size = upload.content.len();
        if size > DOCUMENT_MAX_BYTES {
            let details = format!("A document has at most {DOCUMENT_MAX_BYTES} bytes; this one has {size}.");
            return Err(ApiError::new(ErrorKind::DocumentTooLarge, details));
        }
        let Some(content_type) = DocumentType::of(&upload.content) else {
            let details = "The bytes are those of no PDF, JPEG or PNG, whatever the file is called.";
            return Err(ApiError::new(ErrorKind::UnsupportedDocument, details));
        };
        let id = DocumentId::generate();
        let (vault, context) = (self.vault.clone(), document_context(&id));
        let content = upload.content;
        let sealing = tokio::task::spawn_blocking(move || {
            (hex::encode(Sha256::digest(&content)), vault.seal(&context, &content))
        });
        let (sha256, sealed) = sealing.await.map_err(|error| failed("a document could not be sealed", &error))?;
        let document = Document {
            file_name: safe_file_name(&upload.file_name, upload.kind, content_type),
            id,
            kind: upload.kind,
            content_type,
            size_bytes: size as u64,
            sha256,
            uploaded_by: by.name.clone(),
            uploaded_at: now,
        };
        self.store.add_document((by, subtree), business, &document, sealed).await?;
        Ok(document)
    }

    /// The documents of a business, oldest first, without their content.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such business.
    pub async fn list_documents(&self, subtree: &Subtree, business: &BusinessId) -> Result<Vec<Document>, ApiError> {
        self.store.documents(subtree, business).await
    }

    /// A document with its content. That it was read is noted in the audit log.
    ///
    /// # Errors
    /// There is no such document of this business.
    pub async fn read_document(
        &self,
        by: &Reviewer,
        subtree: &Subtree,
        business: &BusinessId,
        id: &DocumentId,
        now: Millis,
    ) -> Result<(Document, Vec<u8>), ApiError> {
        let (document, sealed) = self.store.read_document((by.actor(), subtree), business, id, now).await?;
        let (vault, context) = (self.vault.clone(), document_context(id));
        let opening = tokio::task::spawn_blocking(move || vault.open(&context, &sealed));
        let content = opening.await.map_err(|error| failed("a document could not be opened", &error))?;
        let content = content.map_err(|error: VaultError| failed("a document could not be opened", &error))?;
        Ok((document, content))
    }

    /// Deletes a document for good.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`] as with the profile: what was handed in stays.
    pub async fn delete_document(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        id: &DocumentId,
        now: Millis,
    ) -> Result<(), ApiError> {
        self.store.delete_document((by, subtree), business, id, now).await
    }

    /// Hands a business in: runs the checks and puts it into the reviewers' queue, or
    /// approves it at once where the installation wants that and every check passes.
    ///
    /// # Errors
    /// [`ErrorKind::ParameterMissing`] or [`ErrorKind::ParameterInvalid`] with everything
    /// that is missing or wrong; [`ErrorKind::IllegalTransition`]; [`ErrorKind::Conflict`]
    /// when something was changed while it was checked.
    pub async fn submit(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        now: Millis,
    ) -> Result<State, ApiError> {
        let (case, dossier) = self.store.dossier(subtree, business).await?;
        case.state.step(Action::Submit, Side::Applicant)?;
        let mut breaches = missing(&dossier);
        let kind = if breaches.is_empty() { ErrorKind::ParameterInvalid } else { ErrorKind::ParameterMissing };
        breaches.extend(dossier.profile.breaches());
        if !breaches.is_empty() {
            return Err(ApiError::breaches(kind, breaches));
        }
        let checks = self.check(business, &dossier).await?;
        let unseen = may_approve_unseen(self.settings.auto_approve, &checks);
        let state = self.store.submit((by, subtree), business, (&dossier, &checks), unseen, now).await?;
        self.directory.forget_business(business);
        Ok(state)
    }

    /// Takes a reviewer's step.
    ///
    /// # Errors
    /// [`ErrorKind::ParameterMissing`] without a reason where one is needed,
    /// [`ErrorKind::IllegalTransition`] with the steps that are possible,
    /// [`ErrorKind::Conflict`] when somebody else was faster, and
    /// [`ErrorKind::PermissionDenied`] for whoever submitted the business themselves.
    pub async fn decide(
        &self,
        by: &Reviewer,
        subtree: &Subtree,
        business: &BusinessId,
        decision: &Decision,
        now: Millis,
    ) -> Result<State, ApiError> {
        let step = read_step(decision.action, decision.reason.as_deref())?;
        let seen = match decision.seen {
            Some(seen) => seen,
            None => self.store.onboarding_case(subtree, business).await?.state,
        };
        let state = self.store.step((by.actor(), subtree), business, (&step, Side::Reviewer), seen, now).await?;
        self.directory.forget_business(business);
        Ok(state)
    }

    /// Gives a draft up, for its own side.
    ///
    /// # Errors
    /// As [`Onboarding::decide`]; what was handed in once is closed by a reviewer only.
    pub async fn close_draft(
        &self,
        by: &Actor,
        subtree: &Subtree,
        business: &BusinessId,
        reason: &str,
        now: Millis,
    ) -> Result<State, ApiError> {
        let step = read_step(Action::Close, Some(reason))?;
        let seen = self.store.onboarding_case(subtree, business).await?.state;
        let state = self.store.step((by, subtree), business, (&step, Side::Applicant), seen, now).await?;
        self.directory.forget_business(business);
        Ok(state)
    }

    /// Every step that a business has taken, oldest first. Who the reviewers were is for the
    /// platform to know.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such business.
    pub async fn history(&self, subtree: &Subtree, business: &BusinessId) -> Result<Vec<HistoryEntry>, ApiError> {
        let history = self.store.history(subtree, business).await?;
        if *subtree == Subtree::Platform {
            return Ok(history);
        }
        Ok(history.into_iter().map(HistoryEntry::without_reviewer).collect())
    }

    /// What was handed in last, with the results of its checks: for reviewers, since the
    /// evidence names other businesses.
    ///
    /// # Errors
    /// Outside of `subtree` there is no such business.
    pub async fn checks(
        &self,
        _by: &Reviewer,
        subtree: &Subtree,
        business: &BusinessId,
    ) -> Result<Option<Submission>, ApiError> {
        self.store.last_submission(subtree, business).await
    }

    /// The businesses that wait for a reviewer, the longest waiting first.
    ///
    /// # Errors
    /// A cursor of another list.
    pub async fn review_queue(
        &self,
        _by: &Reviewer,
        subtree: &Subtree,
        paging: &Paging,
    ) -> Result<Page<ReviewCase>, ApiError> {
        self.store.review_queue(subtree, paging).await
    }

    async fn check(&self, business: &BusinessId, dossier: &Dossier) -> Result<Vec<Check>, StoreError> {
        let phones: Vec<&str> = dossier.senders.iter().map(|sender| sender.phone.as_str()).collect();
        let others = self.store.others_with_numbers(business, &phones).await?;
        let senders: Vec<SenderNumber> = dossier
            .senders
            .iter()
            .map(|sender| SenderNumber {
                phone: sender.phone.clone(),
                is_pretend: sender.adapter == SANDBOX,
                also_of: others
                    .iter()
                    .filter(|(phone, _)| *phone == sender.phone)
                    .map(|(_, business)| business.clone())
                    .collect(),
            })
            .collect();
        let mut similar = Similar::to(&dossier.profile);
        let mut after = String::new();
        loop {
            let page = self.store.names_after(&after, NAMES_PAGE_ROWS).await?;
            let Some(last) = page.last() else { break };
            last.business.key().clone_into(&mut after);
            for other in page.into_iter().filter(|other| other.business != *business) {
                similar.consider(other.names.into_iter().map(|name| OtherName {
                    business: other.business.clone(),
                    state: other.state,
                    name,
                }));
            }
        }
        Ok(checks::run(&dossier.profile, &senders, &similar))
    }
}

/// What is missing before a business can be handed in.
fn missing(dossier: &Dossier) -> Vec<Breach> {
    let mut missing = dossier.profile.missing();
    if dossier.documents.is_empty() {
        missing.push(Breach { message: "at least one document is required".to_owned(), ..required("/documents") });
    }
    if dossier.senders.is_empty() {
        let message = "at least one phone number has to be shown to be the business's, by a code".to_owned();
        missing.push(Breach { message, ..required("/senders") });
    }
    missing
}

fn view(case: &Case, dossier: Dossier) -> ProfileView {
    ProfileView {
        business: case.business.clone(),
        state: case.state,
        possible: case.state.possible(Side::Applicant),
        breaches: dossier.profile.breaches(),
        missing: missing(&dossier),
        profile: dossier.profile,
        updated_at: case.updated_at,
    }
}

fn read_step(action: Action, reason: Option<&str>) -> Result<Step, ApiError> {
    let reason = reason.map(str::trim).filter(|reason| !reason.is_empty());
    let Some(reason) = reason else {
        if action.needs_reason() {
            let message = format!("is required: the business is told why by the step {action}");
            return Err(ApiError::breaches(
                ErrorKind::ParameterMissing,
                vec![Breach { message, ..required("/reason") }],
            ));
        }
        return Ok(Step { action, reason: None });
    };
    let chars = reason.chars().count();
    if chars > REASON_MAX_CHARS {
        let breach = Breach {
            pointer: "/reason".to_owned(),
            message: format!("must have at most {REASON_MAX_CHARS} characters, has {chars}"),
            limit: Some(REASON_MAX_CHARS as u64),
            actual: Some(chars as u64),
        };
        return Err(ApiError::breaches(ErrorKind::ParameterTooLong, vec![breach]));
    }
    Ok(Step { action, reason: Some(reason.replace('\0', "")) })
}

fn document_context(id: &DocumentId) -> String {
    format!("document:{}", id.key())
}

/// A failure that is ours, for the log.
pub(super) fn failed(what: &'static str, error: &dyn std::fmt::Display) -> ApiError {
    tracing::error!(%error, "{what}");
    ApiError::new(ErrorKind::Internal, "The request could not be carried out.")
}
