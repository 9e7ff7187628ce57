//! One table of errors. The Cloud API's shape, the problem documents of `/v1` and
//! the published catalogue are all read off it, so they cannot disagree.
//!
//! What a client sees is an [`ApiError`]: a row of the table and details written for
//! the person who made the request. Internal failures have no way in: they become
//! [`ErrorKind::Internal`] or [`ErrorKind::Unavailable`], whose details are fixed.

use serde::Serialize;

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorRow {
    /// Which row.
    pub kind: ErrorKind,
    /// The name on `/v1` and the anchor in the catalogue.
    pub name: &'static str,
    /// The Cloud API's code.
    pub code: i64,
    /// The Cloud API's error type.
    pub error_type: &'static str,
    /// The HTTP status on the Cloud API routes.
    pub cloud_status: u16,
    /// The HTTP status on `/v1`.
    pub status: u16,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// What it means, in a few words.
    pub title: &'static str,
    /// What to do about it.
    pub advice: &'static str,
}

macro_rules! errors {
    ($($(#[$doc:meta])* $kind:ident {
        name: $name:literal, code: $code:literal, kind_of: $error_type:literal,
        cloud: $cloud:literal, v1: $v1:literal, retryable: $retryable:literal,
        title: $title:literal, advice: $advice:literal $(,)?
    })+) => {
        /// What can be wrong with a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorKind {
            $($(#[$doc])* $kind,)+
        }

        /// The table, in the order of the catalogue.
        pub const ERRORS: &[ErrorRow] = &[
            $(ErrorRow {
                kind: ErrorKind::$kind,
                name: $name,
                code: $code,
                error_type: $error_type,
                cloud_status: $cloud,
                status: $v1,
                retryable: $retryable,
                title: $title,
                advice: $advice,
            },)+
        ];
    };
}

errors! {
    /// No key, or one that is not live.
    Unauthenticated {
        name: "unauthenticated", code: 190, kind_of: "OAuthException",
        cloud: 401, v1: 401, retryable: false,
        title: "Invalid access token",
        advice: "Send a live API key as \"Authorization: Bearer ws_live_…\".",
    }
    /// The key was live once, and its time is over.
    KeyExpired {
        name: "key_expired", code: 190, kind_of: "OAuthException",
        cloud: 401, v1: 401, retryable: false,
        title: "Access token has expired",
        advice: "Use the key's successor, or a new access token.",
    }
    /// The key was live once, and was revoked.
    KeyRevoked {
        name: "key_revoked", code: 190, kind_of: "OAuthException",
        cloud: 401, v1: 401, retryable: false,
        title: "Access token was revoked",
        advice: "Use another key; a revoked one never comes back.",
    }
    /// The request is not signed, or not with a live secret, or not in time.
    SignatureInvalid {
        name: "signature_invalid", code: 190, kind_of: "OAuthException",
        cloud: 401, v1: 401, retryable: false,
        title: "Request signature is not valid",
        advice: "Sign method, path, timestamp and body with a live signing secret, and send the timestamp's own time.",
    }
    /// The key is not for this address.
    AddressNotAllowed {
        name: "address_not_allowed", code: 10, kind_of: "OAuthException",
        cloud: 403, v1: 403, retryable: false,
        title: "Address not allowed",
        advice: "Use the key from an address in its allow-list, or add this one.",
    }
    /// The key lacks a scope.
    ScopeMissing {
        name: "scope_missing", code: 10, kind_of: "OAuthException",
        cloud: 403, v1: 403, retryable: false,
        title: "Permission denied: scope missing",
        advice: "Use a key that has the scope in the details.",
    }
    /// The key may not do this.
    PermissionDenied {
        name: "permission_denied", code: 10, kind_of: "OAuthException",
        cloud: 403, v1: 403, retryable: false,
        title: "Permission denied",
        advice: "The details say what is not allowed, and what would be.",
    }
    /// The business is not verified, or the key is a test key.
    NotVerified {
        name: "not_verified", code: 10, kind_of: "OAuthException",
        cloud: 403, v1: 403, retryable: false,
        title: "Business not verified",
        advice: "Send through a sandbox sender until the business is verified; then use a live key.",
    }
    /// The reseller, the business or the sender is stopped.
    Suspended {
        name: "suspended", code: 131031, kind_of: "OAuthException",
        cloud: 403, v1: 403, retryable: false,
        title: "Account has been locked",
        advice: "The details say what is suspended and why. What is queued is kept and goes out once it is resumed.",
    }
    /// Too many requests.
    RateLimited {
        name: "rate_limited", code: 130429, kind_of: "OAuthException",
        cloud: 429, v1: 429, retryable: true,
        title: "Rate limit hit",
        advice: "Wait for the time in Retry-After; the RateLimit headers say how much is left.",
    }
    /// The day's messages are used up.
    DailyCapReached {
        name: "daily_cap_reached", code: 80007, kind_of: "OAuthException",
        cloud: 429, v1: 429, retryable: true,
        title: "Daily cap reached",
        advice: "Wait for the time in Retry-After, when the day (UTC) is over, or have the cap raised.",
    }
    /// The object is not there, or is another tenant's.
    NotFound {
        name: "not_found", code: 803, kind_of: "GraphMethodException",
        cloud: 404, v1: 404, retryable: false,
        title: "Object not found",
        advice: "Check the id in the path: it is not one that this key can see.",
    }
    /// No such route.
    NoSuchRoute {
        name: "no_such_route", code: 2500, kind_of: "OAuthException",
        cloud: 404, v1: 404, retryable: false,
        title: "Unknown path",
        advice: "The API reference at /docs lists every path.",
    }
    /// The route does not know this method.
    MethodNotAllowed {
        name: "method_not_allowed", code: 100, kind_of: "GraphMethodException",
        cloud: 405, v1: 405, retryable: false,
        title: "Method not allowed",
        advice: "The API reference at /docs lists the methods of every path.",
    }
    /// The body is not JSON, or not an object of the expected form.
    MalformedBody {
        name: "malformed_body", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 400, retryable: false,
        title: "Malformed request body",
        advice: "Send one JSON object; the details say where reading stopped.",
    }
    /// The body is larger than the server reads.
    BodyTooLarge {
        name: "body_too_large", code: 100, kind_of: "OAuthException",
        cloud: 413, v1: 413, retryable: false,
        title: "Request body too large",
        advice: "Send a smaller body; the details name the limit.",
    }
    /// The body did not arrive in time.
    BodyTooSlow {
        name: "body_too_slow", code: 100, kind_of: "OAuthException",
        cloud: 408, v1: 408, retryable: true,
        title: "Request body did not arrive in time",
        advice: "Send the request again; the details name the limit.",
    }
    /// A parameter that must be there is not.
    ParameterMissing {
        name: "parameter_missing", code: 131008, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Required parameter is missing",
        advice: "Add the parameter that the details name.",
    }
    /// A parameter has a value that cannot be.
    ParameterInvalid {
        name: "parameter_invalid", code: 131009, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Parameter value is not valid",
        advice: "Correct the value that the details name.",
    }
    /// A parameter is longer than its limit.
    ParameterTooLong {
        name: "parameter_too_long", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Invalid parameter",
        advice: "Shorten the value to the limit that the details name.",
    }
    /// A message type that is not known.
    UnsupportedType {
        name: "unsupported_type", code: 131051, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Unsupported message type",
        advice: "Send one of the types in the API reference.",
    }
    /// The recipient is the sender.
    RecipientIsSender {
        name: "recipient_is_sender", code: 131021, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Recipient cannot be sender",
        advice: "Send to another number than the sender's own.",
    }
    /// The recipient cannot be reached by a user id with this message.
    RecipientUnsupported {
        name: "recipient_unsupported", code: 131062, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Business-scoped user id recipients are not supported for this message",
        advice: "Send it to a phone number, in \"to\".",
    }
    /// The person is blocked.
    RecipientBlocked {
        name: "recipient_blocked", code: 131026, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Message undeliverable",
        advice: "This person is blocked at the sender; unblock them to write to them again.",
    }
    /// Some people could not be blocked, or let in again.
    BlockFailed {
        name: "block_failed", code: 139100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Failed to block/unblock users",
        advice: "The answer says for each person what became of it.",
    }
    /// Nobody else can be blocked.
    BlocklistFull {
        name: "blocklist_full", code: 139101, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Blocklist limit reached",
        advice: "Unblock somebody first.",
    }
    /// Free-form outside of the customer-care window.
    WindowClosed {
        name: "window_closed", code: 131047, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Re-engagement message",
        advice: "Send an approved template; the details name some. Anything else can be sent within 24 hours of the person's last message.",
    }
    /// The recipient wants no more messages.
    RecipientOptedOut {
        name: "recipient_opted_out", code: 131050, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Recipient opted out",
        advice: "Write to this person no more, until they write a word such as START or the suppression is removed.",
    }
    /// The recipient wants no more marketing.
    MarketingOptedOut {
        name: "marketing_opted_out", code: 131050, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "User stopped marketing messages",
        advice: "Send this person no marketing, until they ask for it again; other messages still reach them.",
    }
    /// Marketing to somebody who is not known to have agreed.
    ConsentMissing {
        name: "consent_missing", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "No consent to marketing",
        advice: "Record the person's consent at /v1/contacts/{contact}/consents first; the policy of this business asks for it.",
    }
    /// The template does not take as many parameters as were given.
    TemplateParameterCount {
        name: "template_parameter_count", code: 132000, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Number of parameters does not match the expected number of params",
        advice: "Give each component the parameters that the details name.",
    }
    /// No approved template of this name in this language.
    TemplateMissing {
        name: "template_missing", code: 132001, kind_of: "OAuthException",
        cloud: 404, v1: 422, retryable: false,
        title: "Template name does not exist in the translation",
        advice: "Check name and language; a template can be sent once it is approved.",
    }
    /// The text is too long once the parameters are in.
    TemplateTextTooLong {
        name: "template_text_too_long", code: 132005, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Translated text too long",
        advice: "Shorten the parameters; the details name component, limit and length.",
    }
    /// A parameter is of another type than the template's.
    TemplateParameterFormat {
        name: "template_parameter_format", code: 132012, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Parameter format does not match format in the created template",
        advice: "Give the parameter the type or name that the details ask for.",
    }
    /// The template is paused for low quality.
    TemplatePaused {
        name: "template_paused", code: 132015, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: true,
        title: "Template is paused",
        advice: "Wait until the pause is over, or send another template; what people reported is in the template's reason.",
    }
    /// The template is disabled for low quality.
    TemplateDisabled {
        name: "template_disabled", code: 132016, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Template is disabled",
        advice: "Create another template: one that is disabled cannot be used again.",
    }
    /// A value for a template in Handlebars is missing, empty or not what its helper takes.
    TemplateDataInvalid {
        name: "template_data_invalid", code: 132018, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Template parameters are not valid",
        advice: "Give template.data the value that the details name, or let the template have a default for it.",
    }
    /// A template breaks a rule that has no code of its own.
    TemplateInvalid {
        name: "template_invalid", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Template is not valid",
        advice: "Correct what the details name.",
    }
    /// A text of a template is too long.
    TemplateTooLong {
        name: "template_too_long", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Message template character limit exceeded",
        advice: "Shorten the text to the limit that the details name.",
    }
    /// The header of a template is not what it may be.
    TemplateHeaderInvalid {
        name: "template_header_invalid", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Message template header format is incorrect",
        advice: "Correct the header as the details say.",
    }
    /// The body of a template is not what it may be.
    TemplateBodyInvalid {
        name: "template_body_invalid", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Message template body format is incorrect",
        advice: "Correct the body as the details say.",
    }
    /// The footer of a template is not what it may be.
    TemplateFooterInvalid {
        name: "template_footer_invalid", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Message template footer format is incorrect",
        advice: "Correct the footer as the details say.",
    }
    /// A template's text is too short for its variables.
    TemplateTooManyVariables {
        name: "template_too_many_variables", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Parameters-words ratio exceeds the limit",
        advice: "Add words to the text, or take variables out of it.",
    }
    /// A template's text begins or ends with a variable.
    TemplateVariableAtEdge {
        name: "template_variable_at_edge", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Leading or trailing parameters are not allowed",
        advice: "Put words before the first and after the last variable.",
    }
    /// There is a template of this name in this language.
    TemplateExists {
        name: "template_exists", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 409, retryable: false,
        title: "Content in this language already exists",
        advice: "Change the template that is there, or use another name.",
    }
    /// A template of this name was deleted not long ago.
    TemplateNameReserved {
        name: "template_name_reserved", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 409, retryable: false,
        title: "Message template language is being deleted",
        advice: "Use another name until the day that the details name.",
    }
    /// The account has as many templates as it may have.
    TemplateLimit {
        name: "template_limit", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 409, retryable: false,
        title: "Message template limit exceeded",
        advice: "Delete templates that are not used; a verified business may have more.",
    }
    /// What was asked for stands against what is there.
    Conflict {
        name: "conflict", code: 100, kind_of: "OAuthException",
        cloud: 409, v1: 409, retryable: false,
        title: "Conflict",
        advice: "Read the object again: the details say what stands in the way.",
    }
    /// A step that the state does not allow.
    IllegalTransition {
        name: "illegal_transition", code: 100, kind_of: "OAuthException",
        cloud: 409, v1: 409, retryable: false,
        title: "Not possible in this state",
        advice: "Take one of the steps that the details name.",
    }
    /// A wrong or expired code, or none was asked for.
    CodeInvalid {
        name: "code_invalid", code: 136025, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Code is not valid",
        advice: "Compare the code, or have a new one sent.",
    }
    /// Too many codes were sent to a number.
    TooManyCodes {
        name: "too_many_codes", code: 136024, kind_of: "OAuthException",
        cloud: 429, v1: 429, retryable: true,
        title: "Too many codes",
        advice: "Wait for the time in Retry-After before another code is sent to this number.",
    }
    /// A document of a type that is not taken.
    UnsupportedDocument {
        name: "unsupported_document", code: 100, kind_of: "OAuthException",
        cloud: 415, v1: 415, retryable: false,
        title: "Unsupported document",
        advice: "Upload a PDF, JPEG or PNG; the type is read off the bytes, not the name.",
    }
    /// A document that is too large.
    DocumentTooLarge {
        name: "document_too_large", code: 100, kind_of: "OAuthException",
        cloud: 413, v1: 413, retryable: false,
        title: "Document too large",
        advice: "Upload a smaller file; the details name the limit.",
    }
    /// A file of a type that no message can carry.
    MediaUnsupported {
        name: "media_unsupported", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 415, retryable: false,
        title: "Unsupported media type",
        advice: "Upload a file of a type that the details name; the type is read off the bytes, not the name.",
    }
    /// A file of the right type that no phone can play.
    MediaUnplayable {
        name: "media_unplayable", code: 131053, kind_of: "OAuthException",
        cloud: 400, v1: 415, retryable: false,
        title: "Media upload error",
        advice: "Code the recording as the details say, and upload it again.",
    }
    /// A file that is larger than its type may be.
    MediaTooLarge {
        name: "media_too_large", code: 131053, kind_of: "OAuthException",
        cloud: 400, v1: 413, retryable: false,
        title: "Media upload error",
        advice: "Upload a smaller file; the details name the limit of its type.",
    }
    /// The files of a business are as many bytes as it may keep.
    MediaQuotaReached {
        name: "media_quota_reached", code: 131053, kind_of: "OAuthException",
        cloud: 400, v1: 409, retryable: false,
        title: "Media upload error",
        advice: "Delete files that are not needed any more, or have the quota raised.",
    }
    /// A file that could not be fetched from its address.
    MediaUnreachable {
        name: "media_unreachable", code: 131053, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: true,
        title: "Media upload error",
        advice: "The details say what the address answered; correct it, or upload the file itself.",
    }
    /// Nothing here can bring a code to the number, or ask its network, now.
    CodeUndeliverable {
        name: "code_undeliverable", code: 131016, kind_of: "OAuthException",
        cloud: 503, v1: 503, retryable: true,
        title: "The number cannot be reached",
        advice: "The details say what is in the way, and whether the operator has to do something about it.",
    }
    /// The network refuses something about a number.
    NumberRefused {
        name: "number_refused", code: 136024, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "The network refuses the number",
        advice: "The details are what the network said: correct that, then ask again.",
    }
    /// A member was asked for that the object does not have.
    FieldUnknown {
        name: "field_unknown", code: 100, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Tried accessing nonexisting field",
        advice: "Ask for the fields that the details list.",
    }
    /// The PIN is not the one that is kept of the number.
    PinMismatch {
        name: "pin_mismatch", code: 133005, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Two-step verification PIN mismatch",
        advice: "Give the PIN that was set for the number, or set another one first.",
    }
    /// The number has to be shown to be the business's first.
    NumberUnverified {
        name: "number_unverified", code: 133006, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Phone number needs to be verified",
        advice: "Have a code sent to the number and read it back, then register it.",
    }
    /// The number was deregistered.
    NumberDeregistered {
        name: "number_deregistered", code: 133010, kind_of: "OAuthException",
        cloud: 400, v1: 422, retryable: false,
        title: "Phone number is not registered",
        advice: "Register the number, with its PIN; what is queued is kept until then.",
    }
    /// The idempotency key belongs to another request.
    IdempotencyKeyReused {
        name: "idempotency_key_reused", code: 100, kind_of: "OAuthException",
        cloud: 422, v1: 422, retryable: false,
        title: "Idempotency key was used for another request",
        advice: "Use a new key for a new request; a key repeats exactly one request for 24 hours.",
    }
    /// A request with the idempotency key is being worked on.
    IdempotencyInProgress {
        name: "idempotency_in_progress", code: 131016, kind_of: "OAuthException",
        cloud: 409, v1: 409, retryable: true,
        title: "A request with this idempotency key is in progress",
        advice: "Ask again after the time in Retry-After: the answer is then that of the first request.",
    }
    /// The database cannot be reached, or does not answer in time.
    Unavailable {
        name: "unavailable", code: 131016, kind_of: "OAuthException",
        cloud: 503, v1: 503, retryable: true,
        title: "Service unavailable",
        advice: "It is not known whether the request was kept. Repeat it with the same Idempotency-Key: then it is one message.",
    }
    /// A defect of ours.
    Internal {
        name: "internal", code: 131000, kind_of: "OAuthException",
        cloud: 500, v1: 500, retryable: true,
        title: "Something went wrong",
        advice: "Send the request again; if it fails again, report the request id.",
    }
}

impl ErrorKind {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static ErrorRow {
        &ERRORS[self as usize]
    }

    /// The Cloud API's `error_subcode`, which says more than the code where templates are created and changed.
    #[must_use]
    pub fn subcode(self) -> Option<i64> {
        match self {
            Self::TemplateLimit => Some(2_388_019),
            Self::TemplateNameReserved => Some(2_388_023),
            Self::TemplateExists => Some(2_388_024),
            Self::TemplateTooLong => Some(2_388_040),
            Self::TemplateHeaderInvalid => Some(2_388_047),
            Self::TemplateBodyInvalid => Some(2_388_072),
            Self::TemplateFooterInvalid => Some(2_388_073),
            Self::TemplateTooManyVariables => Some(2_388_293),
            Self::TemplateVariableAtEdge => Some(2_388_299),
            _ => None,
        }
    }
}

/// One thing that is wrong with a request body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Breach {
    /// Where, as a JSON pointer.
    #[schema(example = "/text/body")]
    pub pointer: String,
    /// What is wrong, in a sentence.
    #[schema(example = "must have at most 4096 characters, has 4097")]
    pub message: String,
    /// The limit that was passed, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 4_096)]
    pub limit: Option<u64>,
    /// What was found in its place: a length or a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = 4_097)]
    pub actual: Option<u64>,
}

impl Breach {
    /// One without a number.
    #[must_use]
    pub fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into(), limit: None, actual: None }
    }
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {details}", kind.row().title)]
pub struct ApiError {
    /// Which row of the table.
    pub kind: ErrorKind,
    /// What was wrong with this very request.
    pub details: String,
    /// Everything that is wrong with its body.
    pub breaches: Vec<Breach>,
    /// When the same request may succeed, in milliseconds from now, where that is known.
    pub retry_after_ms: Option<u64>,
}

impl ApiError {
    /// An error with details for the person who made the request.
    #[must_use]
    pub fn new(kind: ErrorKind, details: impl Into<String>) -> Self {
        Self { kind, details: details.into(), breaches: Vec::new(), retry_after_ms: None }
    }

    /// The same error with the time until the request may succeed.
    #[must_use]
    pub fn retry_after_ms(mut self, wait: u64) -> Self {
        self.retry_after_ms = Some(wait);
        self
    }

    /// The object `id` is not there, as far as whoever asks can see.
    #[must_use]
    pub fn missing(kind: &str, id: &dyn std::fmt::Display) -> Self {
        Self::new(ErrorKind::NotFound, format!("There is no {kind} {id} that you can see."))
    }

    /// The same error about what stands below `place`.
    #[must_use]
    pub fn below(mut self, place: &str) -> Self {
        for breach in &mut self.breaches {
            breach.pointer.insert_str(0, place);
        }
        if self.breaches.is_empty() {
            return self;
        }
        Self { retry_after_ms: self.retry_after_ms, ..Self::breaches(self.kind, self.breaches) }
    }

    /// An error about one place of the body.
    #[must_use]
    pub fn breach(pointer: &str, message: impl Into<String>) -> Self {
        let breach = Breach { pointer: pointer.to_owned(), message: message.into(), limit: None, actual: None };
        Self::breaches(ErrorKind::ParameterInvalid, vec![breach])
    }

    /// An error about the body, with everything that is wrong with it. The details
    /// are made of the breaches.
    #[must_use]
    pub fn breaches(kind: ErrorKind, breaches: Vec<Breach>) -> Self {
        let details = breaches
            .iter()
            .map(|breach| format!("{} {}", breach.pointer, breach.message))
            .collect::<Vec<_>>()
            .join("; ");
        Self { kind, details, breaches, retry_after_ms: None }
    }
}

impl From<crate::store::StoreError> for ApiError {
    fn from(error: crate::store::StoreError) -> Self {
        let transient = error.is_transient();
        tracing::error!(error = %error, transient, "the database failed a request");
        if transient {
            Self::new(ErrorKind::Unavailable, "The database does not answer right now.")
        } else {
            Self::new(ErrorKind::Internal, "The request could not be carried out.")
        }
    }
}

impl From<diesel::result::Error> for ApiError {
    fn from(error: diesel::result::Error) -> Self {
        crate::store::StoreError::from(error).into()
    }
}

impl From<crate::batch::Stopped> for ApiError {
    fn from(_: crate::batch::Stopped) -> Self {
        Self::new(ErrorKind::Unavailable, "The server is shutting down.")
    }
}

/// The catalogue for tenant developers, as Markdown.
#[must_use]
pub fn catalogue() -> String {
    use std::fmt::Write;

    let mut text = String::from(
        "# Errors\n\n\
         The Cloud API routes answer with Meta's error object: `code` and `error_data.details`. `/v1` and `/partner/v1`\n\
         answer with a problem document (RFC 9457) whose `type` ends in the name below and whose `code` is the same\n\
         number; `/oauth/token` as RFC 6749 has it. Build logic on `code` or name; texts may change.\n\n\
         | name | code | HTTP, Cloud API | HTTP, elsewhere | retry | meaning | what to do |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in ERRORS {
        let retry = if row.retryable { "yes" } else { "no" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| <a id=\"{0}\"></a>`{0}` | {1} | {2} | {3} | {4} | {5} | {6} |",
            row.name, row.code, row.cloud_status, row.status, retry, row.title, row.advice
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_finds_its_own_row_and_every_name_is_unique() {
        for row in ERRORS {
            assert_eq!(row.kind.row(), row);
            assert_eq!(ERRORS.iter().filter(|other| other.name == row.name).count(), 1);
        }
    }
}
