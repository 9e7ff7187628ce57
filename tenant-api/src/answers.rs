//! The answers that operations have in common. Each is described once, out of the table of
//! errors, and operations name it by a type: [`Guarded`] with the scope that its handler's
//! extractor asks for, [`Absent`], [`Bodied`] and so on.

use std::{
    collections::{BTreeMap, BTreeSet},
    marker::PhantomData,
};

use serde_json::{Value, json};
use utoipa::{
    IntoResponses,
    openapi::{
        ContentBuilder, Header, HeaderBuilder, ObjectBuilder, OpenApi, PathItem, Ref, RefOr, Response, ResponseBuilder,
        SchemaFormat, Type,
        example::ExampleBuilder,
        extensions::ExtensionsBuilder,
        path::Operation,
        security::{
            ClientCredentials, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Scopes as SchemeScopes, SecurityRequirement,
            SecurityScheme,
        },
    },
};
use waystation_core::{
    error::{ApiError, ErrorKind},
    tenancy::{Level, Scope},
};

use crate::{auth::Needs, failure, oauth};

/// The scheme of API keys and access tokens.
const API_KEY: &str = "api_key";
/// The scheme of access tokens, with where they come from.
const OAUTH2: &str = "oauth2";
/// The scheme of OAuth clients.
const CLIENT: &str = "client";
/// Where an operation's scope is noted until the document is finished.
const SCOPE_NOTE: &str = "x-required-scope";

/// The form of an error's body.
pub(crate) trait Form: 'static {
    /// What its components' names begin with.
    const PREFIX: &'static str;
    /// The schema of its body.
    const SCHEMA: &'static str;
    /// Its media type.
    const MEDIA_TYPE: &'static str;

    /// The status of this kind of error.
    fn status(kind: ErrorKind) -> u16;

    /// The body that says `error`.
    fn body(error: &ApiError) -> Value;
}

/// Problem documents (RFC 9457).
#[derive(Debug)]
pub(crate) struct Problems;

/// The Cloud API's error objects.
#[derive(Debug)]
pub(crate) struct CloudErrors;

/// The request id in examples.
const EXAMPLE_REQUEST_ID: &str = "01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C";

impl Form for Problems {
    const PREFIX: &'static str = "";
    const SCHEMA: &'static str = "Problem";
    const MEDIA_TYPE: &'static str = "application/problem+json";

    fn status(kind: ErrorKind) -> u16 {
        kind.row().status
    }

    fn body(error: &ApiError) -> Value {
        json!(failure::problem(error, EXAMPLE_REQUEST_ID))
    }
}

impl Form for CloudErrors {
    const PREFIX: &'static str = "Cloud";
    const SCHEMA: &'static str = "CloudErrorBody";
    const MEDIA_TYPE: &'static str = "application/json";

    fn status(kind: ErrorKind) -> u16 {
        kind.row().cloud_status
    }

    fn body(error: &ApiError) -> Value {
        json!(failure::cloud_error(error, EXAMPLE_REQUEST_ID))
    }
}

/// An answer that many operations give: its component, and the errors it stands for.
struct Common {
    name: &'static str,
    says: &'static str,
    kinds: &'static [ErrorKind],
}

const UNAUTHENTICATED: Common = Common {
    name: "Unauthenticated",
    says: "There is no credential, or none that holds.",
    kinds: &[ErrorKind::Unauthenticated, ErrorKind::KeyExpired, ErrorKind::KeyRevoked, ErrorKind::SignatureInvalid],
};
const RATE_LIMITED: Common = Common {
    name: "RateLimited",
    says: "Too many requests, or too many of something else.",
    kinds: &[ErrorKind::RateLimited],
};
const UNAVAILABLE: Common =
    Common { name: "Unavailable", says: "The database does not answer in time.", kinds: &[ErrorKind::Unavailable] };
const NOT_FOUND: Common =
    Common { name: "NotFound", says: "It is not there, or is another's.", kinds: &[ErrorKind::NotFound] };
const CONFLICT: Common = Common {
    name: "Conflict",
    says: "What is there stands in the way.",
    kinds: &[ErrorKind::Conflict, ErrorKind::IllegalTransition],
};
const MALFORMED: Common =
    Common { name: "Malformed", says: "The body cannot be read.", kinds: &[ErrorKind::MalformedBody] };
const TOO_SLOW: Common =
    Common { name: "TooSlow", says: "The body did not arrive in time.", kinds: &[ErrorKind::BodyTooSlow] };
const TOO_LARGE: Common =
    Common { name: "TooLarge", says: "The body is too large.", kinds: &[ErrorKind::BodyTooLarge] };
const INVALID: Common = Common {
    name: "Invalid",
    says: "Something is wrong with the request; `errors` lists all of it.",
    kinds: &[ErrorKind::ParameterInvalid, ErrorKind::ParameterMissing, ErrorKind::ParameterTooLong],
};
/// What a message that cannot be sent adds to [`INVALID`].
const UNSENDABLE: Common = Common {
    name: "Unsendable",
    says: "Something is wrong with the message; `errors` lists all of it.",
    kinds: &[
        ErrorKind::ParameterInvalid,
        ErrorKind::ParameterMissing,
        ErrorKind::ParameterTooLong,
        ErrorKind::UnsupportedType,
        ErrorKind::RecipientIsSender,
        ErrorKind::RecipientOptedOut,
        ErrorKind::MarketingOptedOut,
        ErrorKind::ConsentMissing,
        ErrorKind::WindowClosed,
        ErrorKind::RecipientBlocked,
        ErrorKind::RecipientUnsupported,
        ErrorKind::NumberDeregistered,
        ErrorKind::TemplateMissing,
        ErrorKind::TemplateParameterCount,
        ErrorKind::TemplateParameterFormat,
        ErrorKind::TemplateTextTooLong,
        ErrorKind::IdempotencyKeyReused,
    ],
};
/// What a message that is one too many adds to [`RATE_LIMITED`].
const TOO_MANY_MESSAGES: Common = Common {
    name: "TooManyMessages",
    says: "Too many requests, or the messages of the day are used up.",
    kinds: &[ErrorKind::RateLimited, ErrorKind::DailyCapReached],
};
/// What a one-time password that is one too many adds to [`TOO_MANY_MESSAGES`].
const TOO_MANY_PASSWORDS: Common = Common {
    name: "TooManyPasswords",
    says: "Too many requests, too many one-time passwords to this person, or the messages of the day are used up.",
    kinds: &[ErrorKind::RateLimited, ErrorKind::TooManyCodes, ErrorKind::DailyCapReached],
};
/// What a list of fields adds to [`INVALID`].
const UNSELECTABLE: Common = Common {
    name: "Unselectable",
    says: "Something is wrong with the query, or a field does not exist.",
    kinds: &[ErrorKind::FieldUnknown, ErrorKind::ParameterInvalid],
};
const UNSUPPORTED_DOCUMENT: Common = Common {
    name: "UnsupportedDocument",
    says: "The file is of a type that is not taken, or it does not come in a form.",
    kinds: &[ErrorKind::UnsupportedDocument],
};
const DOCUMENT_TOO_LARGE: Common = Common {
    name: "DocumentTooLarge",
    says: "The file is too large.",
    kinds: &[ErrorKind::DocumentTooLarge, ErrorKind::BodyTooLarge],
};
const UNSUPPORTED_MEDIA: Common = Common {
    name: "UnsupportedMedia",
    says: "No message can carry a file of this type.",
    kinds: &[ErrorKind::MediaUnsupported, ErrorKind::MediaUnplayable],
};
const MEDIA_TOO_LARGE: Common = Common {
    name: "MediaTooLarge",
    says: "The file, or the form around it, is too large.",
    kinds: &[ErrorKind::MediaTooLarge, ErrorKind::BodyTooLarge],
};
const MEDIA_QUOTA: Common = Common {
    name: "MediaQuota",
    says: "The business's files are as many bytes as it may keep.",
    kinds: &[ErrorKind::MediaQuotaReached, ErrorKind::Conflict],
};
/// What a file that has to be fetched adds to [`INVALID`].
const UNFETCHED: Common = Common {
    name: "Unfetched",
    says: "The file could not be fetched, or something is wrong with the request.",
    kinds: &[ErrorKind::ParameterInvalid, ErrorKind::ParameterMissing, ErrorKind::MediaUnreachable],
};
/// What can be wrong with a file, as the Cloud API says it: with one status.
const MEDIA_REFUSED: Common = Common {
    name: "MediaRefused",
    says: "The form cannot be read, or no message can carry the file.",
    kinds: &[
        ErrorKind::MediaUnsupported,
        ErrorKind::MediaTooLarge,
        ErrorKind::MediaUnplayable,
        ErrorKind::MediaQuotaReached,
        ErrorKind::MalformedBody,
        ErrorKind::ParameterInvalid,
        ErrorKind::ParameterMissing,
    ],
};
const TOO_MANY_CODES: Common = Common {
    name: "TooManyCodes",
    says: "Too many requests, or too many codes to this number.",
    kinds: &[ErrorKind::RateLimited, ErrorKind::TooManyCodes],
};
const CODE_UNDELIVERABLE: Common = Common {
    name: "CodeUndeliverable",
    says: "The number cannot be reached, or the database does not answer in time.",
    kinds: &[ErrorKind::CodeUndeliverable, ErrorKind::Unavailable],
};
const NUMBER_REFUSED: Common = Common {
    name: "NumberRefused",
    says: "The code shows nothing, or the network refuses; or something is wrong with the request.",
    kinds: &[
        ErrorKind::CodeInvalid,
        ErrorKind::NumberRefused,
        ErrorKind::NumberUnverified,
        ErrorKind::PinMismatch,
        ErrorKind::ParameterInvalid,
        ErrorKind::ParameterMissing,
    ],
};
const FORBIDDEN_KINDS: &[ErrorKind] = &[
    ErrorKind::ScopeMissing,
    ErrorKind::PermissionDenied,
    ErrorKind::AddressNotAllowed,
    ErrorKind::Suspended,
    ErrorKind::NotVerified,
];

impl Common {
    /// One for each status: an error may have another on the Cloud API routes.
    fn by_status<S: Form>(&self) -> BTreeMap<u16, Vec<ErrorKind>> {
        let mut by_status: BTreeMap<u16, Vec<ErrorKind>> = BTreeMap::new();
        for kind in self.kinds {
            by_status.entry(S::status(*kind)).or_default().push(*kind);
        }
        by_status
    }

    fn component<S: Form>(&self, status: u16) -> String {
        let main = self.kinds.first().map(|kind| S::status(*kind));
        let suffix = if main == Some(status) { String::new() } else { status.to_string() };
        format!("{}{}{suffix}", S::PREFIX, self.name)
    }

    fn references<S: Form>(&self) -> BTreeMap<String, RefOr<Response>> {
        let refer = |status: u16| Ref::from_response_name(self.component::<S>(status)).into();
        self.by_status::<S>().into_keys().map(|status| (status.to_string(), refer(status))).collect()
    }
}

/// An answer with these errors, of which the first `examples` are shown.
fn refusal<S: Form>(says: &str, kinds: &[ErrorKind], examples: usize, detail: Option<&str>) -> ResponseBuilder {
    let names: Vec<String> = kinds.iter().map(|kind| format!("`{}`", kind.row().name)).collect();
    let examples = kinds.iter().take(examples).map(|kind| {
        let detail = detail.filter(|_| *kind == ErrorKind::ScopeMissing).unwrap_or_else(|| example_detail(*kind));
        let example = ExampleBuilder::new().summary(kind.row().title);
        (kind.row().name, example.value(Some(S::body(&ApiError::new(*kind, detail)))).build())
    });
    let content =
        ContentBuilder::new().schema(Some(Ref::from_schema_name(S::SCHEMA))).examples_from_iter(examples).build();
    ResponseBuilder::new().description(format!("{says} {}", names.join(", "))).content(S::MEDIA_TYPE, content)
}

fn example_detail(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unauthenticated => "The API key is not known.",
        ErrorKind::KeyExpired => "It expired at 2026-11-22T10:00:00.000Z.",
        ErrorKind::KeyRevoked => "It was revoked at 2026-11-22T10:00:00.000Z.",
        ErrorKind::AddressNotAllowed => "This credential is not to be used from 198.51.100.1.",
        ErrorKind::Suspended => "The business is suspended.",
        ErrorKind::NotFound => "There is no business biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C that you can see.",
        ErrorKind::ParameterInvalid => "/name must have 1 to 200 characters, none of them a control character",
        ErrorKind::ParameterMissing => "/name is required",
        other => other.row().advice,
    }
}

macro_rules! families {
    ($($(#[doc = $doc:literal])+ $name:ident: $($common:ident),+;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(crate) struct $name<S = Problems>(PhantomData<S>);

        impl<S: Form> IntoResponses for $name<S> {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                [$($common),+].iter().flat_map(Common::references::<S>).collect()
            }
        }
    )+};
}

families! {
    /// What an id in the path can lead to.
    Absent: NOT_FOUND;
    /// What can be wrong with a body.
    Bodied: MALFORMED, TOO_SLOW, TOO_LARGE, INVALID;
    /// What can be wrong with a query.
    Asked: INVALID;
    /// What can be wrong with a list of fields.
    Selectable: UNSELECTABLE;
    /// What can stand in the way.
    Conflicting: CONFLICT;
    /// What can be wrong with a message.
    Sendable: MALFORMED, TOO_SLOW, TOO_LARGE, UNSENDABLE, TOO_MANY_MESSAGES;
    /// What can be wrong with a one-time password that is to be sent.
    SendablePassword: MALFORMED, TOO_SLOW, TOO_LARGE, UNSENDABLE, TOO_MANY_PASSWORDS;
    /// What can be wrong with an uploaded document.
    Uploaded: MALFORMED, TOO_SLOW, DOCUMENT_TOO_LARGE, UNSUPPORTED_DOCUMENT, INVALID;
    /// What can be wrong with a file.
    MediaSent: MALFORMED, TOO_SLOW, MEDIA_TOO_LARGE, UNSUPPORTED_MEDIA, MEDIA_QUOTA, UNFETCHED;
    /// What can be wrong with a file, as the Cloud API says it.
    MediaUploaded: TOO_SLOW, TOO_LARGE, MEDIA_REFUSED;
    /// What can come of asking a phone or its network for something.
    Numbered: MALFORMED, TOO_SLOW, TOO_LARGE, NUMBER_REFUSED, TOO_MANY_CODES, CODE_UNDELIVERABLE;
}

/// Every answer that components are made of.
const ALL: &[Common] = &[
    UNAUTHENTICATED,
    RATE_LIMITED,
    UNAVAILABLE,
    NOT_FOUND,
    CONFLICT,
    MALFORMED,
    TOO_SLOW,
    TOO_LARGE,
    INVALID,
    UNSELECTABLE,
    UNSENDABLE,
    TOO_MANY_MESSAGES,
    TOO_MANY_PASSWORDS,
    TOO_MANY_CODES,
    CODE_UNDELIVERABLE,
    NUMBER_REFUSED,
    UNSUPPORTED_DOCUMENT,
    DOCUMENT_TOO_LARGE,
    UNSUPPORTED_MEDIA,
    MEDIA_TOO_LARGE,
    MEDIA_QUOTA,
    UNFETCHED,
    MEDIA_REFUSED,
];

/// What stands between a request and a handler that needs `N`. The operation's security is
/// read off this.
#[derive(Debug)]
pub(crate) struct Guarded<N, S = Problems>(PhantomData<(N, S)>);

impl<N: Needs, S: Form> IntoResponses for Guarded<N, S> {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let (says, detail) = match N::SCOPE {
            Some(scope) => {
                let name = scope.name();
                let detail = format!("This needs the scope \"{name}\"; the credential has \"\".");
                (format!("The credential may not do this: it needs the scope `{name}`."), Some(detail))
            }
            None => ("The credential may not do this.".to_owned(), None),
        };
        let kinds = if N::SCOPE.is_some() { FORBIDDEN_KINDS } else { &FORBIDDEN_KINDS[1..] };
        let note = ExtensionsBuilder::new().add(SCOPE_NOTE, N::SCOPE.map(Scope::name)).build();
        let forbidden = refusal::<S>(&says, kinds, 1, detail.as_deref()).extensions(Some(note)).build();
        let mut responses: BTreeMap<_, _> =
            [UNAUTHENTICATED, RATE_LIMITED, UNAVAILABLE].iter().flat_map(Common::references::<S>).collect();
        responses.insert("403".to_owned(), forbidden.into());
        responses
    }
}

fn header(description: &str, example: Value) -> Header {
    HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some(description))
        .example(Some(example))
        .build()
}

/// The headers that answers refer to.
fn headers() -> [(&'static str, Header); 5] {
    [
        (
            "RateLimit",
            header(
                "How much is left of each limit, and in how many seconds there is more.",
                json!("\"key\";r=49;t=1, \"business\";r=199;t=1"),
            ),
        ),
        (
            "RateLimit-Policy",
            header(
                "The limits: so many requests in so many seconds.",
                json!("\"key\";q=50;w=1, \"business\";q=200;w=1"),
            ),
        ),
        (
            "Retry-After",
            HeaderBuilder::new()
                .schema(Some(
                    ObjectBuilder::new()
                        .schema_type(Type::Integer)
                        .format(Some(SchemaFormat::Custom("int64".to_owned()))),
                ))
                .description(Some("When the same request may succeed, in seconds from now."))
                .example(Some(json!(1)))
                .build(),
        ),
        ("WWW-Authenticate", header("How to authenticate.", json!("Bearer realm=\"waystation\""))),
        (
            "Location",
            header("The path of what was created.", json!("/partner/v1/businesses/biz_01JDC7M1Q2ZJ3W4X5Y6Z7A8B9C")),
        ),
    ]
}

fn refer_to(response: &mut Response, name: &str) {
    response.headers.insert(name.to_owned(), RefOr::Ref(Ref::new(format!("#/components/headers/{name}"))));
}

/// Finishes a document for credentials of `level`: its components, its schemes, and of each
/// operation the security that its handler asks for.
pub(crate) fn finish(document: &mut OpenApi, level: Level) {
    let mut used = BTreeSet::new();
    for operation in document.paths.paths.values_mut().flat_map(operations) {
        secure(operation);
        used.extend(operation.responses.responses.values().filter_map(|response| match response {
            RefOr::Ref(reference) => reference.ref_location.rsplit('/').next().map(ToOwned::to_owned),
            RefOr::T(_) => None,
        }));
    }
    let components = document.components.get_or_insert_with(Default::default);
    for (name, header) in headers() {
        components.headers.insert(name.to_owned(), header.into());
    }
    for common in ALL {
        for (name, response) in responses::<Problems>(common).into_iter().chain(responses::<CloudErrors>(common)) {
            if used.contains(&name) {
                components.responses.insert(name, response.into());
            }
        }
    }
    let scopes = Scope::ALL.iter().filter(|scope| scope.level() == Level::Any || scope.level() == level);
    let scopes = SchemeScopes::from_iter(scopes.map(|scope| (scope.name(), scope.meaning())));
    let key = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "An API key (`ws_live_…`, `ws_test_…`, of a reseller `ws_reseller_…`), or an access token (`ws_at_…`).",
    ));
    components.add_security_scheme(API_KEY, SecurityScheme::Http(key.build()));
    let flow = Flow::ClientCredentials(ClientCredentials::new(oauth::TOKEN_PATH, scopes));
    let oauth2 = OAuth2::with_description([flow], "Access tokens, for OAuth clients. They hold for an hour.");
    components.add_security_scheme(OAUTH2, SecurityScheme::OAuth2(oauth2));
    let client =
        HttpBuilder::new().scheme(HttpAuthScheme::Basic).description(Some("The id and the secret of an OAuth client."));
    components.add_security_scheme(CLIENT, SecurityScheme::Http(client.build()));
}

fn responses<S: Form>(common: &Common) -> Vec<(String, Response)> {
    let mut responses = Vec::new();
    for (status, kinds) in common.by_status::<S>() {
        let mut response = refusal::<S>(common.says, &kinds, kinds.len(), None).build();
        match status {
            401 => refer_to(&mut response, "WWW-Authenticate"),
            429 => {
                for name in ["Retry-After", "RateLimit", "RateLimit-Policy"] {
                    refer_to(&mut response, name);
                }
            }
            503 => refer_to(&mut response, "Retry-After"),
            _ => {}
        }
        responses.push((common.component::<S>(status), response));
    }
    responses
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete].into_iter().flatten()
}

/// An operation without a guard takes OAuth clients themselves.
fn secure(operation: &mut Operation) {
    let Some(note) = operation.responses.responses.get_mut("403").and_then(scope_note) else {
        operation.security = Some(vec![SecurityRequirement::new(CLIENT, Vec::<String>::new())]);
        return;
    };
    let scopes: Vec<String> = note.as_str().map(ToOwned::to_owned).into_iter().collect();
    let schemes = [API_KEY, OAUTH2].map(|scheme| SecurityRequirement::new(scheme, scopes.clone()));
    operation.security = Some(schemes.to_vec());
    for (status, response) in &mut operation.responses.responses {
        if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
            ["RateLimit", "RateLimit-Policy"].iter().for_each(|name| refer_to(response, name));
            if status == "201" {
                refer_to(response, "Location");
            }
        }
    }
}

/// Takes the note of [`Guarded`] off a response.
fn scope_note(response: &mut RefOr<Response>) -> Option<Value> {
    let RefOr::T(response) = response else { return None };
    let note = response.extensions.as_mut()?.remove(SCOPE_NOTE)?;
    response.extensions = None;
    Some(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adds the places of `schema` that have no example.
    type Names = BTreeSet<String>;

    /// Adds what has no example to `found`; a schema is looked at once.
    fn without_example(document: &Value, schema: &Value, at: &str, (seen, found): (&mut Names, &mut Names)) {
        if let Some(name) = schema["$ref"].as_str().and_then(|place| place.rsplit('/').next()) {
            if seen.insert(name.to_owned()) {
                without_example(document, &document["components"]["schemas"][name], name, (seen, found));
            }
            return;
        }
        if ["example", "examples", "enum", "const"].iter().any(|member| schema.get(member).is_some()) {
            return;
        }
        for member in ["allOf", "oneOf", "anyOf"] {
            if let Some(parts) = schema[member].as_array() {
                return parts.iter().for_each(|part| without_example(document, part, at, (seen, found)));
            }
        }
        let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("anything");
        match (kind, schema["properties"].as_object()) {
            ("object", Some(members)) => {
                for (name, part) in members {
                    without_example(document, part, &format!("{at}.{name}"), (seen, found));
                }
            }
            ("array", _) => without_example(document, &schema["items"], at, (seen, found)),
            ("boolean" | "null", _) => {}
            _ if schema["format"] == "binary" => {}
            _ => drop(found.insert(at.to_owned())),
        }
    }

    #[test]
    fn every_body_has_an_example_and_every_operation_documents_how_it_is_refused() {
        let crate::Documents { tenant, partner } = crate::openapi();
        for document in [json!(tenant), json!(partner)] {
            let (mut seen, mut found) = (Names::new(), Names::new());
            for (path, item) in document["paths"].as_object().unwrap() {
                for operation in item.as_object().unwrap().values() {
                    let id = operation["operationId"].as_str().unwrap();
                    let responses = operation["responses"].as_object().unwrap();
                    let body = &operation["requestBody"];
                    let mut expected = vec!["401", "429", "503"];
                    if id != "getAccessToken" {
                        expected.push("403");
                        expected.extend(path.contains('{').then_some("404"));
                        expected.extend(body.is_object().then_some(["400", "408", "413"]).into_iter().flatten());
                    }
                    for status in expected {
                        assert!(responses.contains_key(status), "{id} documents no {status}");
                    }
                    let contents = responses.values().chain([body]).filter_map(|one| one["content"].as_object());
                    // Files are their own.
                    let read = contents.flatten().filter(|(kind, _)| !kind.contains('*') && !kind.contains("octet"));
                    for (_, content) in read {
                        if content.get("example").or(content.get("examples")).is_none() {
                            without_example(&document, &content["schema"], id, (&mut seen, &mut found));
                        }
                    }
                }
            }
            assert!(found.is_empty(), "without an example: {found:?}");
        }
    }
}
