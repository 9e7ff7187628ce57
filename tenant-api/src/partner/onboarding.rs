//! What a business says of itself, its documents, and how far its verification has come.
//! The content of a document goes in here and never comes out: it is for reviewers.

use actix_web::{delete, get, patch, post};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use waystation_core::{
    clock::{now_ms, rfc3339},
    error::{ApiError, Breach},
    ids::{BusinessId, DocumentId},
    onboarding::{
        Action, By, Document, DocumentKind, DocumentType, HistoryEntry, Profile, ProfileChange, ProfileView, State,
        Upload,
    },
};

use super::{Answer, InBusiness, created, nothing, ok};
use crate::{
    answers::{Absent, Asked, Bodied, Conflicting, Guarded, Uploaded},
    auth::{BusinessesRead, BusinessesWrite, ByPartner, SentByPartner, UploadedByPartner},
    bodies::{PageOf, ReasonRequest},
    input,
};

/// A document in the path.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[allow(dead_code, reason = "for the documentation")]
struct InDocument {
    /// The business.
    #[param(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: String,
    /// The document.
    #[param(example = "doc_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    document: String,
}

/// A business's profile, and how far it is from being handed in.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SavedProfile {
    #[schema(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: String,
    /// What was typed so far.
    profile: Profile,
    /// What is wrong with it.
    breaches: Vec<Breach>,
    /// What is missing before the business can be handed in, documents and phone numbers included.
    missing: Vec<Breach>,
    /// When it was saved last. RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    updated_at: Option<String>,
}

impl From<ProfileView> for SavedProfile {
    fn from(view: ProfileView) -> Self {
        Self {
            business: view.business.to_string(),
            profile: view.profile,
            breaches: view.breaches,
            missing: view.missing,
            updated_at: view.updated_at.map(rfc3339),
        }
    }
}

/// A document, without its content.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DocumentBody {
    #[schema(example = "doc_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    id: String,
    /// What it shows.
    kind: DocumentKind,
    /// Its name, made harmless.
    #[schema(example = "register.pdf")]
    file_name: String,
    /// What it is made of, read off its bytes.
    content_type: DocumentType,
    #[schema(example = 48_213)]
    size_bytes: u64,
    /// The SHA-256 of its content, in hexadecimal digits.
    #[schema(example = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    sha256: String,
    /// The name of who uploaded it.
    #[schema(example = "web shop")]
    uploaded_by: String,
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    uploaded_at: String,
}

impl From<Document> for DocumentBody {
    fn from(document: Document) -> Self {
        Self {
            id: document.id.to_string(),
            kind: document.kind,
            file_name: document.file_name,
            content_type: document.content_type,
            size_bytes: document.size_bytes,
            sha256: document.sha256,
            uploaded_by: document.uploaded_by,
            uploaded_at: rfc3339(document.uploaded_at),
        }
    }
}

/// A document to upload, as a form.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "read from the form itself; here for the documentation")]
pub(super) struct DocumentForm {
    /// What it shows.
    kind: DocumentKind,
    /// A PDF, JPEG or PNG of at most 10 MB.
    #[schema(value_type = String, format = Binary, content_media_type = "application/octet-stream")]
    file: Vec<u8>,
}

/// A step that a business has taken.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct VerificationStep {
    /// RFC 3339, UTC.
    #[schema(example = "2026-11-22T10:00:00.000Z")]
    at: String,
    action: Action,
    from: State,
    to: State,
    /// Why, in the words of who took it.
    #[schema(example = "The register extract is older than a year.")]
    reason: Option<String>,
    /// Who took it, as it was then.
    by: By,
}

/// How far a business's verification has come.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Verification {
    #[schema(example = "biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")]
    business: String,
    state: State,
    /// The steps that you can take now.
    possible: Vec<Action>,
    /// What is wrong with the profile.
    breaches: Vec<Breach>,
    /// What is missing before the business can be handed in.
    missing: Vec<Breach>,
    /// Every step so far, oldest first.
    history: Vec<VerificationStep>,
}

impl From<HistoryEntry> for VerificationStep {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            at: rfc3339(entry.at),
            action: entry.action,
            from: entry.from,
            to: entry.to,
            reason: entry.reason,
            by: entry.by,
        }
    }
}

/// How far the business is now.
async fn verification<N>(by: &ByPartner<N>, business: &BusinessId) -> Result<Verification, ApiError> {
    let (onboarding, subtree) = (&by.api.onboarding, by.subtree());
    let view = onboarding.profile(&subtree, business).await?;
    let history = onboarding.history(&subtree, business).await?;
    Ok(Verification {
        business: business.to_string(),
        state: view.state,
        possible: view.possible,
        breaches: view.breaches,
        missing: view.missing,
        history: history.into_iter().map(Into::into).collect(),
    })
}

/// Read a business's profile
#[utoipa::path(
    tag = "Verification",
    operation_id = "getProfile",
    params(InBusiness),
    responses((status = 200, description = "The profile.", body = SavedProfile), Guarded<BusinessesRead>, Absent),
)]
#[get("/partner/v1/businesses/{business}/profile")]
pub(super) async fn get_profile(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let view = by.api.onboarding.profile(&by.subtree(), &by.id("business")?).await?;
        Ok(ok(SavedProfile::from(view)))
    })
    .await
}

/// Change a business's profile
///
/// Members that are left out or null stay as they are; an empty text clears. What cannot stand is kept all the same and
/// listed in `breaches`, so that a form can be saved half-done.
#[utoipa::path(
    tag = "Verification",
    operation_id = "changeProfile",
    params(InBusiness),
    request_body = ProfileChange,
    responses(
        (status = 200, description = "The profile.", body = SavedProfile),
        Guarded<BusinessesWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[patch("/partner/v1/businesses/{business}/profile")]
pub(super) async fn change_profile(sent: SentByPartner<BusinessesWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (id, change) = (by.id("business")?, input::json::<ProfileChange>(&sent.body)?);
        let onboarding = &by.api.onboarding;
        let view = onboarding.save_profile(&by.actor(), &by.subtree(), &id, change, now_ms()).await?;
        Ok(ok(SavedProfile::from(view)))
    })
    .await
}

/// List a business's documents
///
/// Oldest first, without their content, which is for reviewers.
#[utoipa::path(
    tag = "Verification",
    operation_id = "listDocuments",
    params(InBusiness),
    responses(
        (status = 200, description = "All of them, on one page.", body = PageOf<DocumentBody>),
        Guarded<BusinessesRead>, Absent,
    ),
)]
#[get("/partner/v1/businesses/{business}/documents")]
pub(super) async fn list_documents(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let documents = by.api.onboarding.list_documents(&by.subtree(), &by.id("business")?).await?;
        Ok(ok(PageOf::<DocumentBody>::whole(documents)))
    })
    .await
}

/// Upload a document of a business
///
/// A form with the fields `kind` and `file`. The file is kept encrypted and shown to reviewers only.
#[utoipa::path(
    tag = "Verification",
    operation_id = "uploadDocument",
    params(InBusiness),
    request_body(content = DocumentForm, content_type = "multipart/form-data"),
    responses(
        (status = 201, description = "The document.", body = DocumentBody),
        Guarded<BusinessesWrite>, Absent, Uploaded, Conflicting,
    ),
)]
#[post("/partner/v1/businesses/{business}/documents")]
pub(super) async fn upload_document(uploaded: UploadedByPartner<BusinessesWrite>) -> Answer {
    let (by, form) = (uploaded.by, uploaded.form);
    by.answer(async {
        let business = by.id("business")?;
        let upload = Upload { kind: form.kind, file_name: form.file_name, content: form.content };
        let onboarding = &by.api.onboarding;
        let document = onboarding.add_document(&by.actor(), &by.subtree(), &business, upload, now_ms()).await?;
        let location = format!("/partner/v1/businesses/{business}/documents/{}", document.id);
        Ok(created(&location, DocumentBody::from(document)))
    })
    .await
}

/// Read what is known of a document
#[utoipa::path(
    tag = "Verification",
    operation_id = "getDocument",
    params(InDocument),
    responses((status = 200, description = "The document.", body = DocumentBody), Guarded<BusinessesRead>, Absent),
)]
#[get("/partner/v1/businesses/{business}/documents/{document}")]
pub(super) async fn get_document(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async {
        let (business, id): (_, DocumentId) = (by.id("business")?, by.id("document")?);
        let documents = by.api.onboarding.list_documents(&by.subtree(), &business).await?;
        let found = documents.into_iter().find(|document| document.id == id);
        found.map(|document| ok(DocumentBody::from(document))).ok_or_else(|| ApiError::missing("document", &id))
    })
    .await
}

/// Delete a document of a business
///
/// For good, and only before it was handed in.
#[utoipa::path(
    tag = "Verification",
    operation_id = "deleteDocument",
    params(InDocument),
    responses(
        (status = 204, description = "It is gone."), Guarded<BusinessesWrite>, Absent, Conflicting,
    ),
)]
#[delete("/partner/v1/businesses/{business}/documents/{document}")]
pub(super) async fn delete_document(by: ByPartner<BusinessesWrite>) -> Answer {
    by.answer(async {
        let (business, id) = (by.id("business")?, by.id("document")?);
        by.api.onboarding.delete_document(&by.actor(), &by.subtree(), &business, &id, now_ms()).await?;
        Ok(nothing())
    })
    .await
}

/// Read how far a business's verification has come
#[utoipa::path(
    tag = "Verification",
    operation_id = "getVerification",
    params(InBusiness),
    responses(
        (status = 200, description = "State, history and what is missing.", body = Verification),
        Guarded<BusinessesRead>, Absent,
    ),
)]
#[get("/partner/v1/businesses/{business}/verification")]
pub(super) async fn get_verification(by: ByPartner<BusinessesRead>) -> Answer {
    by.answer(async { Ok(ok(verification(&by, &by.id("business")?).await?)) }).await
}

/// Hand a business in
///
/// Profile, documents and phone numbers go to a reviewer of the platform and cannot be changed until they have decided.
#[utoipa::path(
    tag = "Verification",
    operation_id = "submitBusiness",
    params(InBusiness),
    responses(
        (status = 200, description = "It is handed in.", body = Verification),
        Guarded<BusinessesWrite>, Absent, Asked, Conflicting,
    ),
)]
#[post("/partner/v1/businesses/{business}/submit")]
pub(super) async fn submit(by: ByPartner<BusinessesWrite>) -> Answer {
    by.answer(async {
        let business = by.id("business")?;
        by.api.onboarding.submit(&by.actor(), &by.subtree(), &business, now_ms()).await?;
        Ok(ok(verification(&by, &business).await?))
    })
    .await
}

/// Give a business up
///
/// For a draft only: what was handed in once is closed by the platform.
#[utoipa::path(
    tag = "Verification",
    operation_id = "closeBusiness",
    params(InBusiness),
    request_body = ReasonRequest,
    responses(
        (status = 200, description = "It is closed.", body = Verification),
        Guarded<BusinessesWrite>, Absent, Bodied, Conflicting,
    ),
)]
#[post("/partner/v1/businesses/{business}/close")]
pub(super) async fn close(sent: SentByPartner<BusinessesWrite>) -> Answer {
    let by = &sent.by;
    by.answer(async {
        let (business, request) = (by.id("business")?, input::json::<ReasonRequest>(&sent.body)?);
        let (actor, subtree) = (by.actor(), by.subtree());
        by.api.onboarding.close_draft(&actor, &subtree, &business, &request.reason, now_ms()).await?;
        Ok(ok(verification(by, &business).await?))
    })
    .await
}
