//! Onboarding on both databases, with the real sandbox and a network of its own for numbers.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use waystation_adapter_sdk::{HttpError, HttpRequest, HttpResponse, Payload, ScheduledCallback};

use super::*;
use crate::{
    abuse::{Abuse, AbuseRule},
    audit::{Actor, ActorKind},
    clock::{Millis, now_ms},
    delivery::{self, DeliverySettings, Enqueuer, Equipment, PluginIo, WebhookSettings},
    egress::{Egress, EgressSettings},
    error::{ApiError, ErrorKind},
    ids::{BusinessId, DocumentId, ResellerId, SenderId},
    messages::state::{AmbiguousPolicy, RetryPolicy},
    paging::Paging,
    plugins::{AdapterHost, CallbackOrigin, HostIo, HostSettings, bundled_dirs},
    queue::EmbeddedQueue,
    store::{
        Connection, NewSender, Store,
        tests::{Fixture, Tree, both, bytes_in},
    },
    tenancy::{Directory, Policy, Subtree},
    vault::Vault,
};

const NOW: Millis = 1_800_000_000_000;
const MINUTE_MS: Millis = 60_000;
const HOUR_MS: Millis = 60 * MINUTE_MS;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

const PDF: &[u8] = b"%PDF-1.7\nregister of companies";

/// What a network was asked for; it answers everything with an empty 200.
#[derive(Default)]
struct Network {
    asked: Mutex<Vec<(String, String)>>,
}

#[async_trait]
impl HostIo for Network {
    async fn http(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let what = request.url.rsplit('/').next().unwrap_or_default().to_owned();
        let body = request.body.as_str().unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push((what, body));
        Ok(HttpResponse { status: 200, headers: Vec::new(), body: Payload::from("{}") })
    }

    async fn callbacks(&self, _: &CallbackOrigin, _: Vec<ScheduledCallback>) -> Result<(), String> {
        Ok(())
    }
}

/// A business in draft with a sender on the sandbox, and onboarding over it.
struct World {
    onboarding: Onboarding,
    store: Store,
    network: Arc<Network>,
    tree: Tree,
}

impl World {
    async fn new(fixture: &Fixture) -> Self {
        Self::with(fixture, OnboardingSettings::default()).await
    }

    async fn with(fixture: &Fixture, settings: OnboardingSettings) -> Self {
        let (store, vault, network) = (fixture.store.clone(), Vault::for_tests(), Arc::new(Network::default()));
        let host = AdapterHost::new(network.clone(), HostSettings::default());
        load(&host);
        let directory = Directory::new(store.clone(), vault.clone(), Policy::default());
        let onboarding = Onboarding::new(store.clone(), vault, directory, Arc::new(host), settings);
        Self { onboarding, network, tree: Tree::plant(&store).await, store }
    }

    fn own(&self) -> Subtree {
        Subtree::Business(self.tree.business.clone())
    }

    fn business(&self) -> &BusinessId {
        &self.tree.business
    }

    async fn add_sender(&self, business: &BusinessId, phone: &str, adapter: &str, verified: bool) -> SenderId {
        let view = self.store.business(&Subtree::Platform, business).await.unwrap().unwrap();
        let id = SenderId::generate();
        let sender = NewSender {
            id,
            phone: phone.to_owned(),
            display_name: "B".to_owned(),
            channel: "whatsapp".to_owned(),
            adapter: adapter.to_owned(),
            connection: Connection::Clear(serde_json::json!({})),
            phone_verified_at: verified.then_some(1),
        };
        self.store.add_sender(&Actor::system(), &view, &sender, 100, 0).await.unwrap();
        id
    }

    /// Everything that a submission needs.
    async fn fill_in(&self) {
        self.save(serde_json::to_value(profile::tests::complete()).unwrap()).await.unwrap();
        self.upload(PDF).await.unwrap();
        self.add_sender(self.business(), "493012345678", "sandbox", true).await;
    }

    async fn save(&self, change: serde_json::Value) -> Result<ProfileView, ApiError> {
        let change = serde_json::from_value(change).unwrap();
        self.onboarding.save_profile(&applicant(), &self.own(), self.business(), change, NOW).await
    }

    async fn upload(&self, content: &[u8]) -> Result<Document, ApiError> {
        let upload = Upload {
            kind: DocumentKind::RegistrationCertificate,
            file_name: "../Auszug.PDF".to_owned(),
            content: content.to_vec(),
        };
        self.onboarding.add_document(&applicant(), &self.own(), self.business(), upload, NOW).await
    }

    async fn submit(&self, now: Millis) -> Result<State, ApiError> {
        self.onboarding.submit(&applicant(), &self.own(), self.business(), now).await
    }

    async fn decide(&self, by: &Reviewer, action: Action, now: Millis) -> Result<State, ApiError> {
        let decision = Decision { action, reason: Some("as it looks".to_owned()), seen: None };
        self.onboarding.decide(by, &Subtree::Platform, self.business(), &decision, now).await
    }

    /// What the audit log says was done to the business.
    async fn actions(&self) -> Vec<String> {
        let entries = self.store.audit_entries(&self.own(), None, 200).await.unwrap();
        entries.into_iter().map(|entry| entry.action).collect()
    }
}

fn load(host: &AdapterHost) {
    host.load_bundled("waystation-sandbox", waystation_sandbox::BUILD_INFO).unwrap();
    let file = libloading::library_filename("waystation_plugin_numbers");
    let path = bundled_dirs().into_iter().map(|dir| dir.join(&file)).find(|path| path.exists()).unwrap();
    host.load(&path, None).unwrap();
}

fn user(id: &str) -> Actor {
    Actor { kind: ActorKind::User, id: id.to_owned(), name: format!("User {id}"), address: None, request_id: None }
}

fn applicant() -> Actor {
    user("ada")
}

fn reviewer(id: &str) -> Reviewer {
    Reviewer::vouched(user(id))
}

fn kind<T: std::fmt::Debug>(result: Result<T, ApiError>) -> ErrorKind {
    result.unwrap_err().kind
}

fn pointers(breaches: &[crate::error::Breach]) -> Vec<&str> {
    breaches.iter().map(|breach| breach.pointer.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_saved_half_done_and_resumed() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let first = world.onboarding.profile(&world.own(), world.business()).await.unwrap();
        assert_eq!((first.profile.trade_name.as_str(), first.updated_at), ("b", None), "its name is known");
        let saved = world.save(serde_json::json!({"legal_name": "Meier AG", "country": "Germany"})).await.unwrap();
        assert_eq!((saved.profile.legal_name.as_str(), saved.profile.country.as_str()), ("Meier AG", "Germany"));
        assert_eq!(pointers(&saved.breaches), ["/country"], "what is wrong is kept, and told");
        let missing = ["/registration_number", "/category", "/address", "/contact/name", "/contact/email"];
        let missing = [&missing[..], &["/contact/phone", "/documents", "/senders"]].concat();
        assert_eq!(pointers(&saved.missing), missing);
        assert_eq!((saved.state, saved.possible), (State::Draft, vec![Action::Submit, Action::Close]));
        let next = world.save(serde_json::json!({"country": "DE", "contact": {"name": "Ada"}})).await.unwrap();
        assert_eq!((next.profile.legal_name.as_str(), next.breaches), ("Meier AG", Vec::new()));
        let error = world.save(serde_json::json!({"legal_name": "x".repeat(2_000)})).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ParameterTooLong);
        let kept = world.onboarding.profile(&world.own(), world.business()).await.unwrap();
        assert_eq!(kept.profile, next.profile, "what is refused changes nothing");
        world.save(serde_json::json!({"country": "DE"})).await.unwrap();
        let saves = world.actions().await.iter().filter(|action| *action == "business.profile_saved").count();
        assert_eq!(saves, 2, "{}: what changes nothing leaves no entry", world.store.kind());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_business_is_not_found() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        world.fill_in().await;
        let document = world.onboarding.list_documents(&world.own(), world.business()).await.unwrap().remove(0).id;
        world.submit(NOW).await.unwrap();
        let (o, by, business) = (&world.onboarding, &applicant(), world.business());
        for outside in [Subtree::Business(BusinessId::generate()), Subtree::Reseller(ResellerId::generate())] {
            let outside = &outside;
            let decision = Decision { action: Action::StartReview, reason: None, seen: None };
            let upload = Upload { kind: DocumentKind::Other, file_name: String::new(), content: PDF.to_vec() };
            let (order, proof) = (CodeOrder::default(), CodeProof::default());
            let (r, sender) = (&reviewer("r"), world.tree.sender);
            let kinds = [
                kind(o.profile(outside, business).await),
                kind(o.save_profile(by, outside, business, ProfileChange::default(), NOW).await),
                kind(o.add_document(by, outside, business, upload, NOW).await),
                kind(o.list_documents(outside, business).await),
                kind(o.read_document(r, outside, business, &document, NOW).await),
                kind(o.delete_document(by, outside, business, &document, NOW).await),
                kind(o.submit(by, outside, business, NOW).await),
                kind(o.decide(r, outside, business, &decision, NOW).await),
                kind(o.close_draft(by, outside, business, "why", NOW).await),
                kind(o.history(outside, business).await),
                kind(o.checks(r, outside, business).await),
                kind(o.request_code(by, outside, sender, &order, NOW).await),
                kind(o.verify_code(by, outside, sender, &proof, NOW).await),
                kind(o.register(by, outside, sender, None, NOW).await),
                kind(o.number(outside, sender).await),
            ];
            assert_eq!(kinds, [ErrorKind::NotFound; 15]);
            assert!(o.review_queue(r, outside, &Paging::default()).await.unwrap().entries.is_empty());
        }
        let above = Subtree::Reseller(world.tree.reseller.clone());
        assert_eq!(o.review_queue(&reviewer("r"), &above, &Paging::default()).await.unwrap().entries.len(), 1);
        let other = DocumentId::generate();
        assert_eq!(kind(o.read_document(&reviewer("r"), &above, business, &other, NOW).await), ErrorKind::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_sealed_and_read_by_reviewers_only() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let added = world.upload(PDF).await.unwrap();
        assert_eq!((added.file_name.as_str(), added.content_type), ("Auszug.pdf", DocumentType::Pdf));
        assert_eq!((added.size_bytes, added.sha256.len()), (PDF.len() as u64, 64));
        let listed = world.onboarding.list_documents(&world.own(), world.business()).await.unwrap();
        assert_eq!(listed, std::slice::from_ref(&added));
        let sealed = bytes_in(&world.store, "document_contents", "sealed").await;
        assert!(!sealed[0].windows(8).any(|part| PDF.windows(8).any(|plain| plain == part)), "nothing in the clear");
        let (o, platform, by) = (&world.onboarding, Subtree::Platform, reviewer("r"));
        let (about, content) = o.read_document(&by, &platform, world.business(), &added.id, NOW).await.unwrap();
        assert_eq!((about, content.as_slice()), (added.clone(), PDF));
        assert_eq!(kind(world.upload(b"MZ\x90 not a document").await), ErrorKind::UnsupportedDocument);
        let mut large = PDF.to_vec();
        large.resize(DOCUMENT_MAX_BYTES + 1, 0);
        assert_eq!(kind(world.upload(&large).await), ErrorKind::DocumentTooLarge);
        o.delete_document(&applicant(), &world.own(), world.business(), &added.id, NOW).await.unwrap();
        assert!(bytes_in(&world.store, "document_contents", "sealed").await.is_empty(), "its content is gone, too");
        let actions = world.actions().await;
        for action in ["document.added", "document.read", "document.deleted"] {
            assert!(actions.iter().any(|found| found == action), "{action}: {actions:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_document_is_taken_and_a_business_has_a_bounded_number() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let mut large = PDF.to_vec();
        large.resize(DOCUMENT_MAX_BYTES, 7);
        let added = world.upload(&large).await.unwrap();
        let platform = Subtree::Platform;
        let read = world.onboarding.read_document(&reviewer("r"), &platform, world.business(), &added.id, NOW).await;
        assert!(read.unwrap().1 == large, "{}", world.store.kind());
        let uploads = (0..DOCUMENTS_MAX + 4).map(|_| world.upload(PDF));
        let results = futures_util::future::join_all(uploads).await;
        let refused: Vec<_> = results.into_iter().filter_map(Result::err).map(|error| error.kind).collect();
        assert_eq!(refused, [ErrorKind::Conflict; 5], "of many at once, no more than there is room for");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submission_names_everything_that_is_missing_or_wrong() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        world.save(serde_json::json!({"country": "Germany", "contact": {"email": "ada"}})).await.unwrap();
        let error = world.submit(NOW).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ParameterMissing);
        assert_eq!(
            pointers(&error.breaches),
            [
                "/legal_name",
                "/registration_number",
                "/category",
                "/address",
                "/contact/name",
                "/contact/phone",
                "/documents",
                "/senders",
                "/country",
                "/contact/email",
            ]
        );
        world.fill_in().await;
        world.save(serde_json::json!({"website": "not a website"})).await.unwrap();
        let error = world.submit(NOW).await.unwrap_err();
        assert_eq!((error.kind, pointers(&error.breaches)), (ErrorKind::ParameterInvalid, vec!["/website"]));
        assert!(world.onboarding.history(&world.own(), world.business()).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_goes_all_the_way_and_every_step_is_kept() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        world.fill_in().await;
        let judge = reviewer("judge");
        assert_eq!(world.submit(NOW).await.unwrap(), State::Submitted);
        assert_eq!(kind(world.save(serde_json::json!({"country": "FR"})).await), ErrorKind::IllegalTransition);
        assert_eq!(kind(world.upload(PDF).await), ErrorKind::IllegalTransition);
        let document = world.onboarding.list_documents(&world.own(), world.business()).await.unwrap().remove(0);
        let (o, own, business) = (&world.onboarding, world.own(), world.business());
        let deleted = o.delete_document(&applicant(), &own, business, &document.id, NOW).await;
        assert_eq!(kind(deleted), ErrorKind::IllegalTransition, "what was handed in stays");
        let early = world.decide(&judge, Action::Approve, NOW + 1).await.unwrap_err();
        assert_eq!(early.kind, ErrorKind::IllegalTransition);
        assert!(early.details.contains("start_review"), "{early}");
        let steps = [(Action::StartReview, State::InReview), (Action::RequestChanges, State::ChangesRequested)];
        for (action, state) in steps {
            assert_eq!(world.decide(&judge, action, NOW + 2).await.unwrap(), state);
        }
        world.save(serde_json::json!({"trade_name": "Meier Blumen"})).await.unwrap();
        assert_eq!(world.submit(NOW + 3).await.unwrap(), State::Submitted);
        let steps = [
            (Action::StartReview, State::InReview),
            (Action::Approve, State::Approved),
            (Action::Suspend, State::Suspended),
            (Action::Resume, State::Approved),
            (Action::Close, State::Closed),
        ];
        for (action, state) in steps {
            assert_eq!(world.decide(&judge, action, NOW + 4).await.unwrap(), state);
        }
        let history = o.history(&Subtree::Platform, business).await.unwrap();
        let path: Vec<(State, State)> = history.iter().map(|entry| (entry.from, entry.to)).collect();
        assert_eq!(
            path,
            [
                (State::Draft, State::Submitted),
                (State::Submitted, State::InReview),
                (State::InReview, State::ChangesRequested),
                (State::ChangesRequested, State::Submitted),
                (State::Submitted, State::InReview),
                (State::InReview, State::Approved),
                (State::Approved, State::Suspended),
                (State::Suspended, State::Approved),
                (State::Approved, State::Closed),
            ]
        );
        assert_eq!((history[0].by.name.as_str(), history[2].by.id.as_str()), ("User ada", "judge"));
        assert_eq!((history[2].reason.as_deref(), history[2].at), (Some("as it looks"), NOW + 2));
        assert_eq!(history[1].submission, history[0].submission);
        assert_ne!(history[3].submission, history[0].submission);
        let told = o.history(&own, business).await.unwrap();
        assert_eq!((told[0].by.name.as_str(), told[2].by.name.as_str()), ("User ada", "Reviewer"));
        assert_eq!((told[2].by.id.as_str(), told[2].reason.as_deref()), ("", Some("as it looks")));
        let last = o.checks(&judge, &own, business).await.unwrap().unwrap();
        assert_eq!((last.profile.trade_name.as_str(), last.submitted_at), ("Meier Blumen", NOW + 3));
        assert_eq!((last.documents, last.checks.len()), (vec![document], CheckId::ALL.len()));
        let actions = world.actions().await;
        for action in ["business.submitted", "business.changes_requested", "business.approved", "business.closed"] {
            assert!(actions.iter().any(|found| found == action), "{action}");
        }
        assert!(world.store.verify_audit(None).await.unwrap().is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_is_required_where_somebody_is_hurt() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        for action in [Action::RequestChanges, Action::Reject, Action::Suspend, Action::Close] {
            for reason in [None, Some("  ".to_owned())] {
                let decision = Decision { action, reason, seen: None };
                let result =
                    world.onboarding.decide(&reviewer("r"), &Subtree::Platform, world.business(), &decision, NOW).await;
                let error = result.unwrap_err();
                assert_eq!((error.kind, pointers(&error.breaches)), (ErrorKind::ParameterMissing, vec!["/reason"]));
            }
        }
        let (by, own) = (applicant(), world.own());
        let close = |reason: &'static str| world.onboarding.close_draft(&by, &own, world.business(), reason, NOW);
        assert_eq!(kind(close("").await), ErrorKind::ParameterMissing);
        assert_eq!(close("changed our minds").await.unwrap(), State::Closed);
        assert_eq!(kind(close("again").await), ErrorKind::IllegalTransition);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_judges_a_business_that_they_submitted() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        world.fill_in().await;
        world.submit(NOW).await.unwrap();
        let myself = reviewer("ada");
        let refused = world.decide(&myself, Action::StartReview, NOW).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::PermissionDenied);
        assert!(refused.details.contains("yourself"), "{refused}");
        world.decide(&reviewer("other"), Action::StartReview, NOW).await.unwrap();
        for action in [Action::Approve, Action::Reject, Action::RequestChanges] {
            assert_eq!(kind(world.decide(&myself, action, NOW).await), ErrorKind::PermissionDenied);
        }
        let namesake = Actor { kind: ActorKind::Key, ..applicant() };
        world.decide(&Reviewer::vouched(namesake), Action::Approve, NOW).await.unwrap();
        assert_eq!(world.decide(&myself, Action::Suspend, NOW).await.unwrap(), State::Suspended, "it takes away");
        assert_eq!(kind(world.decide(&myself, Action::Resume, NOW).await), ErrorKind::PermissionDenied);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_reviewers_at_the_same_time_one_decides_and_the_other_is_told() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        world.fill_in().await;
        world.submit(NOW).await.unwrap();
        world.decide(&reviewer("first"), Action::StartReview, NOW).await.unwrap();
        let decide = |who: &'static str, action| {
            let (onboarding, business) = (world.onboarding.clone(), world.business().clone());
            tokio::spawn(async move {
                let decision = Decision { action, reason: Some("so it is".to_owned()), seen: Some(State::InReview) };
                onboarding.decide(&reviewer(who), &Subtree::Platform, &business, &decision, NOW).await
            })
        };
        let deciding =
            [decide("eve", Action::Approve), decide("bob", Action::Reject), decide("joe", Action::RequestChanges)];
        let results: Vec<_> = futures_util::future::join_all(deciding).await.into_iter().map(Result::unwrap).collect();
        let lost: Vec<&ApiError> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert_eq!(lost.len(), 2, "{}: {results:?}", world.store.kind());
        for error in lost {
            assert_eq!(error.kind, ErrorKind::Conflict);
            assert!(error.details.contains("in_review") && error.details.contains("has taken the step"), "{error}");
        }
        let history = world.onboarding.history(&world.own(), world.business()).await.unwrap();
        assert_eq!(history.len(), 3, "{history:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_business_without_a_flag_is_approved_unseen_and_only_where_that_is_wanted() {
    for fixture in &both().await {
        let unseen = || OnboardingSettings { auto_approve: true, ..OnboardingSettings::default() };
        let world = World::with(fixture, unseen()).await;
        world.fill_in().await;
        world.save(serde_json::json!({"category": "alcohol"})).await.unwrap();
        assert_eq!(world.submit(NOW).await.unwrap(), State::Submitted, "a regulated trade waits for a reviewer");

        let clean = World::with(fixture, unseen()).await;
        clean.fill_in().await;
        let names = serde_json::json!({"legal_name": "Sonnenhof Gartenbau", "trade_name": "Sonnenhof"});
        clean.save(names).await.unwrap();
        clean.add_sender(clean.business(), "493011111111", "sandbox", true).await;
        assert_eq!(clean.submit(NOW).await.unwrap(), State::Submitted, "its number is also the first one's");

        let world = World::with(fixture, unseen()).await;
        let names = serde_json::json!({"legal_name": "Nordlicht Optik", "trade_name": "Nordlicht"});
        world.save(serde_json::to_value(profile::tests::complete()).unwrap()).await.unwrap();
        world.save(names).await.unwrap();
        world.upload(PDF).await.unwrap();
        world.add_sender(world.business(), "493022222222", "sandbox", true).await;
        assert_eq!(world.submit(NOW).await.unwrap(), State::Approved);
        let history = world.onboarding.history(&world.own(), world.business()).await.unwrap();
        let by: Vec<&str> = history.iter().map(|entry| entry.by.kind.as_str()).collect();
        assert_eq!(by, ["user", "system", "system"]);
        let queue = world.onboarding.review_queue(&reviewer("r"), &world.own(), &Paging::default()).await.unwrap();
        assert!(queue.entries.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_similar_name_and_a_shared_number_are_found_among_all_businesses() {
    for fixture in &both().await {
        let first = World::new(fixture).await;
        first.fill_in().await;
        let second = World::new(fixture).await;
        second.fill_in().await;
        second.save(serde_json::json!({"legal_name": "BLUMENHAUS MEYER LTD", "trade_name": "Blumen"})).await.unwrap();
        second.submit(NOW).await.unwrap();
        let checks = second.onboarding.checks(&reviewer("r"), &Subtree::Platform, second.business()).await.unwrap();
        let checks = checks.unwrap().checks;
        let evidence = |id: CheckId| {
            let check = checks.iter().find(|check| check.id == id).unwrap();
            assert_eq!(check.outcome, CheckOutcome::Flag, "{check:?}");
            check.evidence.join("\n")
        };
        let other = first.business().to_string();
        assert!(evidence(CheckId::NameSimilarity).contains(&other));
        assert!(evidence(CheckId::SenderPhone).contains(&other));
        first.onboarding.close_draft(&applicant(), &first.own(), first.business(), "gone", NOW).await.unwrap();
        let third = World::new(fixture).await;
        third.fill_in().await;
        third.save(serde_json::json!({"legal_name": "Blumenhaus Meyer GmbH", "trade_name": "Meyer"})).await.unwrap();
        third.submit(NOW).await.unwrap();
        let checks = third.onboarding.checks(&reviewer("r"), &Subtree::Platform, third.business()).await.unwrap();
        let similar = checks.unwrap().checks.into_iter().find(|check| check.id == CheckId::NameSimilarity).unwrap();
        assert!(
            similar.evidence.iter().all(|line| !line.contains(&other)),
            "a closed business has no name: {similar:?}"
        );
        assert!(similar.evidence.iter().any(|line| line.contains(&second.business().to_string())), "{similar:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_shows_who_waits_longest_first() {
    for fixture in &both().await {
        let mut expected = Vec::new();
        for turn in 0..5 {
            let world = World::new(fixture).await;
            world.fill_in().await;
            world.submit(NOW - turn).await.unwrap();
            expected.insert(0, world.business().clone());
            if turn == 4 {
                world.decide(&reviewer("r"), Action::StartReview, NOW + 9).await.unwrap();
            }
            if turn < 4 {
                continue;
            }
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let paging = Paging::read(cursor.as_deref(), Some(2)).unwrap();
                let page = world.onboarding.review_queue(&reviewer("r"), &Subtree::Platform, &paging).await.unwrap();
                seen.extend(page.entries);
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen.iter().map(|case| case.business.clone()).collect::<Vec<_>>(), expected);
            assert_eq!((seen[0].state, seen[0].submitted_at, seen[0].state_since), (State::InReview, NOW - 4, NOW + 9));
            assert_eq!((seen[1].state, seen[1].state_since), (State::Submitted, NOW - 3));
            assert_eq!(seen[1].worst, CheckOutcome::Flag);
            world.decide(&reviewer("r"), Action::Approve, NOW + 10).await.unwrap();
            let page = world.onboarding.review_queue(&reviewer("r"), &Subtree::Platform, &Paging::default()).await;
            assert_eq!(page.unwrap().entries.len(), 4, "what is decided waits no longer");
        }
    }
}

/// Onboarding with everything that brings a code to a pretend phone.
async fn live(fixture: &Fixture, settings: OnboardingSettings) -> (World, delivery::Runtime) {
    // Fails when another test of this process did it before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (store, vault) = (fixture.store.clone(), Vault::for_tests());
    let egress = Egress::new(&EgressSettings {
        allow_private_networks: false,
        allow_networks: Vec::new(),
        connect_timeout: Duration::from_secs(1),
    })
    .unwrap();
    let queue = Arc::new(EmbeddedQueue::new());
    let enqueuer = Enqueuer::start(queue.clone());
    let io = PluginIo::start(store.clone(), vault.clone(), egress.clone(), enqueuer.clone(), Duration::from_secs(5));
    let host = AdapterHost::new(Arc::new(io), HostSettings::default());
    load(&host);
    let adapters = Arc::new(host);
    let directory = Directory::new(store.clone(), vault.clone(), Policy::default());
    let rule = AbuseRule { messages_min: 100, spam_permille: 10, opt_out_permille: 10, block_permille: 10 };
    let equipment = Equipment {
        store: store.clone(),
        directory: directory.clone(),
        eligibility: crate::eligibility::Eligibility::new(store.clone(), directory.clone()),
        queue,
        enqueuer,
        adapters: adapters.clone(),
        vault: vault.clone(),
        egress,
        abuse: Abuse::new(store.clone(), directory.clone(), rule),
        media: crate::media::Media::for_tests(&store, &vault),
        limiter: crate::limits::Limiter::local(store.clone()),
    };
    let settings_of_delivery = DeliverySettings {
        messages_in_flight: 8,
        sender_in_flight: 8,
        callbacks_in_flight: 8,
        webhooks_in_flight: 8,
        endpoint_in_flight: 8,
        lease: Duration::from_secs(60),
        reconcile: Duration::from_secs(60),
        retry: RetryPolicy {
            max_tries: 3,
            base_ms: 100,
            cap_ms: 1_000,
            ambiguous: AmbiguousPolicy::Retry,
            settle_ms: 100,
        },
        receipt_wait: Duration::from_secs(10),
        template_check: Duration::from_secs(300),
        webhooks: WebhookSettings { timeout: Duration::from_secs(1), retries: Vec::new() },
        alone: false,
    };
    let runtime = delivery::start(equipment, settings_of_delivery).await;
    let onboarding = Onboarding::new(store.clone(), vault, directory, adapters, settings);
    (World { onboarding, network: Arc::default(), tree: Tree::plant(&store).await, store }, runtime)
}

impl World {
    /// What arrives at a pretend phone after so many messages.
    async fn arrival(&self, subtree: &Subtree, phone: &str, before: usize) -> PretendMessage {
        let started = Instant::now();
        loop {
            let there = self.onboarding.pretend_phone(subtree, phone, now_ms()).await.unwrap();
            if there.len() > before {
                return there[0].clone();
            }
            assert!(started.elapsed() < PATIENCE, "nothing arrives at the pretend phone");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn code_in(message: &PretendMessage) -> String {
    message.text.chars().filter(char::is_ascii_digit).take(CODE_DIGITS).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_arrives_at_the_pretend_phone_and_nowhere_else_in_the_clear() {
    for fixture in &both().await {
        let (world, runtime) = live(fixture, OnboardingSettings::default()).await;
        let (o, by, own, sender) = (&world.onboarding, applicant(), world.own(), world.tree.sender);
        let now = now_ms();
        let order = CodeOrder { method: CodeWay::Voice, language: Some("de".to_owned()) };
        let sent = o.request_code(&by, &own, sender, &order, now).await.unwrap();
        assert_eq!((sent.expires_at, sent.next_at, sent.certain), (now + CODE_LIFE_MS, now + MINUTE_MS, true));
        let message = world.arrival(&own, "+1 555 078 3881", 0).await;
        assert_eq!((message.from.as_str(), message.at), ("Waystation (call)", now));
        assert!(message.text.contains("ist Ihr Code"), "{}", message.text);
        let code = code_in(&message);
        for (table, column) in [("callbacks", "body"), ("phone_codes", "sealed")] {
            for bytes in bytes_in(&world.store, table, column).await {
                assert!(!bytes.windows(CODE_DIGITS).any(|part| part == code.as_bytes()), "{table}");
            }
        }
        assert!(
            o.pretend_phone(&Subtree::Business(BusinessId::generate()), "15550783881", now).await.unwrap().is_empty()
        );
        assert!(o.pretend_phone(&own, "15550783881", now + 25 * HOUR_MS).await.unwrap().is_empty(), "kept for a day");

        let proof = CodeProof { code: format!("{}-{}", &code[..3], &code[3..]), pin: None };
        let view = o.verify_code(&by, &own, sender, &proof, now + 1).await.unwrap();
        assert_eq!((view.verified_at, view.registered_at), (Some(now + 1), None));
        assert_eq!(o.number(&own, sender).await.unwrap(), view);
        let again = o.verify_code(&by, &own, sender, &proof, now + 2).await;
        assert_eq!(kind(again), ErrorKind::CodeInvalid, "a code is used once");
        runtime.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_code_that_shows_nothing_has_one_answer() {
    for fixture in &both().await {
        let (world, runtime) = live(fixture, OnboardingSettings::default()).await;
        let (o, by, own, sender) = (&world.onboarding, applicant(), world.own(), world.tree.sender);
        let now = now_ms();
        let verify = |code: &str, at: Millis| {
            let proof = CodeProof { code: code.to_owned(), pin: None };
            let (by, own) = (by.clone(), own.clone());
            async move { o.verify_code(&by, &own, sender, &proof, at).await }
        };
        let never = verify("123456", now).await.unwrap_err();
        assert_eq!(never.kind, ErrorKind::CodeInvalid);
        o.request_code(&by, &own, sender, &CodeOrder::default(), now).await.unwrap();
        let code = code_in(&world.arrival(&own, "15550783881", 0).await);
        let wrong = if code == "111111" { "222222" } else { "111111" };
        let life = CODE_LIFE_MS;
        for (typed, at) in [(wrong, now), (code.as_str(), now + life), ("12", now), ("", now)] {
            assert_eq!(verify(typed, at).await.unwrap_err(), never, "{typed}");
        }
        let view = verify(&code, now + life - 1).await.unwrap();
        assert_eq!(view.verified_at, Some(now + life - 1), "four tries left it good");

        let later = now + HOUR_MS;
        o.request_code(&by, &own, sender, &CodeOrder::default(), later).await.unwrap();
        let code = code_in(&world.arrival(&own, "15550783881", 1).await);
        let wrong = if code == "111111" { "222222" } else { "111111" };
        let guesses = (0..8).map(|_| verify(wrong, later));
        for guess in futures_util::future::join_all(guesses).await {
            assert_eq!(guess.unwrap_err(), never);
        }
        assert_eq!(verify(&code, later).await.unwrap_err(), never, "after five tries the right one is no good either");
        runtime.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_code_replaces_the_one_before() {
    for fixture in &both().await {
        let (world, runtime) = live(fixture, OnboardingSettings::default()).await;
        let (o, by, own, sender) = (&world.onboarding, applicant(), world.own(), world.tree.sender);
        let now = now_ms();
        o.request_code(&by, &own, sender, &CodeOrder::default(), now).await.unwrap();
        let first = code_in(&world.arrival(&own, "15550783881", 0).await);
        o.request_code(&by, &own, sender, &CodeOrder::default(), now + MINUTE_MS).await.unwrap();
        let second = code_in(&world.arrival(&own, "15550783881", 1).await);
        if first != second {
            let proof = CodeProof { code: first, pin: None };
            assert_eq!(kind(o.verify_code(&by, &own, sender, &proof, now + MINUTE_MS).await), ErrorKind::CodeInvalid);
        }
        let proof = CodeProof { code: second, pin: None };
        assert!(o.verify_code(&by, &own, sender, &proof, now + MINUTE_MS).await.is_ok());
        runtime.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_gets_no_more_codes_whoever_asks() {
    for fixture in &both().await {
        let (one, other) = (World::new(fixture).await, World::new(fixture).await);
        let by = applicant();
        let ask = |world: &World, at: Millis| {
            let (onboarding, own, sender, by) = (world.onboarding.clone(), world.own(), world.tree.sender, by.clone());
            async move { onboarding.request_code(&by, &own, sender, &CodeOrder::default(), at).await }
        };
        let at_once = futures_util::future::join_all((0..6).map(|turn| ask([&one, &other][turn % 2], NOW))).await;
        assert_eq!(at_once.iter().filter(|result| result.is_ok()).count(), 1, "{}: {at_once:?}", one.store.kind());
        let refused = at_once.into_iter().find_map(Result::err).unwrap();
        assert_eq!((refused.kind, refused.retry_after_ms), (ErrorKind::TooManyCodes, Some(60_000)));
        assert!(refused.details.contains("60 s"), "{refused}");
        assert!(ask(&other, NOW + MINUTE_MS).await.is_ok());
        assert!(ask(&one, NOW + 2 * MINUTE_MS).await.is_ok());
        let refused = ask(&other, NOW + 3 * MINUTE_MS).await.unwrap_err();
        assert_eq!(refused.retry_after_ms, Some(57 * 60_000));
        one.store.forget_numbers(NOW + HOUR_MS).await.unwrap();
        assert!(ask(&one, NOW + HOUR_MS).await.is_ok(), "counts outlive housekeeping");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_else_has_a_number_does_not_show() {
    for fixture in &both().await {
        let (one, other) = (World::new(fixture).await, World::new(fixture).await);
        one.add_sender(one.business(), "15550009999", "sandbox", true).await;
        let taken = other.add_sender(other.business(), "15550009999", "sandbox", false).await;
        let free = other.add_sender(other.business(), "15550008888", "sandbox", false).await;
        let ask = async |sender| {
            let sent =
                other.onboarding.request_code(&applicant(), &other.own(), sender, &CodeOrder::default(), NOW).await;
            CodeSent { sender: SenderId(0), ..sent.unwrap() }
        };
        assert_eq!(ask(taken).await, ask(free).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_adapter_that_carries_codes_it_is_said_what_the_operator_must_do() {
    for fixture in &both().await {
        let by = applicant();
        let world = World::new(fixture).await;
        // An adapter that is not loaded here stands for one that neither checks numbers nor carries codes.
        let sender = world.add_sender(world.business(), "493012345678", "sms", false).await;
        let ask = |world: &World, sender| {
            let (onboarding, own, by) = (world.onboarding.clone(), world.own(), by.clone());
            async move { onboarding.request_code(&by, &own, sender, &CodeOrder::default(), NOW).await }
        };
        let error = ask(&world, sender).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::CodeUndeliverable);
        assert!(error.details.contains("onboarding.code_adapters, which is empty"), "{error}");
        let settings = |names: &[&str]| OnboardingSettings {
            code_adapters: names.iter().map(|name| (*name).to_owned()).collect(),
            ..OnboardingSettings::default()
        };
        let world = World::with(fixture, settings(&["numbers"])).await;
        let sender = world.add_sender(world.business(), "493012345678", "sms", false).await;
        let error = ask(&world, sender).await.unwrap_err();
        assert!(error.details.contains("those that are named do not"), "{error}");
        let world = World::with(fixture, settings(&["numbers", "sandbox"])).await;
        let sender = world.add_sender(world.business(), "493012345678", "sms", false).await;
        assert!(ask(&world, sender).await.unwrap().certain, "the first that can");
        let unwell = world.add_sender(world.business(), "493012340190", "sandbox", false).await;
        let error = ask(&world, unwell).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::CodeUndeliverable);
        assert!(error.details.contains("operator"), "{error}");
        let order = CodeOrder { language: Some("de;drop".to_owned()), ..CodeOrder::default() };
        let error = world.onboarding.request_code(&by, &world.own(), sender, &order, NOW).await.unwrap_err();
        assert_eq!(pointers(&error.breaches), ["/language"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_of_the_upstream_is_verified_and_registered_through_its_network() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let (o, by, own) = (&world.onboarding, applicant(), world.own());
        let sender = world.add_sender(world.business(), "493012345670", "numbers", false).await;
        assert_eq!(kind(o.register(&by, &own, sender, None, NOW).await), ErrorKind::Conflict, "not verified yet");
        let order = CodeOrder { method: CodeWay::Voice, language: Some("de".to_owned()) };
        o.request_code(&by, &own, sender, &order, NOW).await.unwrap();
        let wrong = CodeProof { code: "654321".to_owned(), pin: None };
        assert_eq!(kind(o.verify_code(&by, &own, sender, &wrong, NOW).await), ErrorKind::CodeInvalid);
        let bad_pin = CodeProof { code: "123456".to_owned(), pin: Some("12".to_owned()) };
        let error = o.verify_code(&by, &own, sender, &bad_pin, NOW).await.unwrap_err();
        assert_eq!(pointers(&error.breaches), ["/pin"]);
        let right = CodeProof { code: "123456".to_owned(), pin: Some("204817".to_owned()) };
        let view = o.verify_code(&by, &own, sender, &right, NOW + 1).await.unwrap();
        assert_eq!((view.verified_at, view.registered_at), (Some(NOW + 1), Some(NOW + 1)));
        let asked: Vec<(String, String)> = std::mem::take(&mut *world.network.asked.lock().unwrap());
        let names: Vec<&str> = asked.iter().map(|(what, _)| what.as_str()).collect();
        assert_eq!(names, ["request_code", "verify_code", "verify_code", "register"]);
        assert!(asked[0].1.contains(r#""method":"voice""#) && asked[3].1.contains("204817"), "{asked:?}");
        for sealed in bytes_in(&world.store, "sender_registrations", "pin").await {
            assert!(!sealed.windows(6).any(|part| part == b"204817"), "the PIN is sealed");
        }
        for turn in 1..REGISTRATIONS_MAX {
            let view = o.register(&by, &own, sender, None, NOW + turn as Millis).await.unwrap();
            assert_eq!(view.registered_at, Some(NOW + turn as Millis));
        }
        assert!(world.network.asked.lock().unwrap().iter().all(|(_, body)| body.contains("204817")), "the same PIN");
        let refused = o.register(&by, &own, sender, None, NOW + HOUR_MS).await.unwrap_err();
        assert_eq!((refused.kind, refused.retry_after_ms), (ErrorKind::TooManyCodes, Some(71 * 3_600_000 + 1)));
        assert_eq!(world.network.asked.lock().unwrap().len(), REGISTRATIONS_MAX - 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_refuses_is_told_as_it_said_it() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let (o, by, own) = (&world.onboarding, applicant(), world.own());
        let ask = async |phone: &str| {
            let sender = world.add_sender(world.business(), phone, "numbers", false).await;
            (sender, o.request_code(&by, &own, sender, &CodeOrder::default(), NOW).await)
        };
        let (_, refused) = ask("493012345671").await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::NumberRefused);
        assert!(refused.details.contains("136024") && refused.details.contains("Request code error"), "{refused}");
        let (_, limited) = ask("493012345672").await;
        assert_eq!(limited.unwrap_err().retry_after_ms, Some(60_000));
        let (sender, _) = ask("493012345673").await;
        let proof = CodeProof { code: "123456".to_owned(), pin: None };
        let error = o.verify_code(&by, &own, sender, &proof, NOW).await.unwrap_err();
        assert!(error.details.contains("Two-step PIN mismatch"), "{error}");
        let view = o.number(&own, sender).await.unwrap();
        assert_eq!((view.verified_at, view.registered_at), (Some(NOW), None), "it is verified all the same");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_that_the_operator_vouches_for_has_a_history_too() {
    for fixture in &both().await {
        let world = World::new(fixture).await;
        let view = world.store.business(&Subtree::Platform, world.business()).await.unwrap().unwrap();
        assert!(world.store.vouch_for(&Actor::operator(), &view, NOW).await.unwrap());
        let history = world.onboarding.history(&Subtree::Platform, world.business()).await.unwrap();
        assert_eq!((history.len(), history[0].to, history[0].by.kind.as_str()), (1, State::Approved, "operator"));
    }
}
