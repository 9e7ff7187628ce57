//! The service on both databases: what is kept, who may judge it, what is in use, and what the tenant is told.

use serde_json::{Value, json};

use super::*;
use crate::{
    audit::{Actor, ActorKind},
    clock::Millis,
    delivery::Enqueuer,
    ids::{BusinessId, EndpointId, TemplateId},
    onboarding::Reviewer,
    paging::Paging,
    queue::EmbeddedQueue,
    store::{
        Store,
        tests::{Fixture, Tree, both},
    },
    tenancy::{Directory, Policy, Subtree},
    vault::Vault,
};

fn actor(kind: ActorKind, id: &str) -> Actor {
    Actor { kind, id: id.to_owned(), name: id.to_owned(), ..Actor::system() }
}

/// A place where templates are made.
struct Desk<'s> {
    store: &'s Store,
    templates: Templates,
    tree: Tree,
    own: Subtree,
    writer: Actor,
    judge: Reviewer,
    endpoint: EndpointId,
}

impl<'s> Desk<'s> {
    async fn new(store: &'s Store) -> Self {
        let tree = Tree::plant(store).await;
        let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
        let enqueuer = Enqueuer::start(std::sync::Arc::new(EmbeddedQueue::new()));
        let owner = (&tree.reseller, &tree.business);
        let endpoint = store.add_endpoint(&Actor::system(), owner, ("http://x.example/", "t"), 10, 0).await;
        Self {
            store,
            templates: Templates::new(store.clone(), directory, enqueuer),
            own: Subtree::Business(tree.business.clone()),
            tree,
            writer: actor(ActorKind::Key, "key_1"),
            judge: Reviewer::vouched(actor(ActorKind::Staff, "usr_judge")),
            endpoint: endpoint.unwrap().unwrap(),
        }
    }

    fn owner(&self) -> (&Actor, &Subtree) {
        (&self.writer, &self.own)
    }

    async fn written(&self, name: &str, submit: bool) -> TemplateView {
        self.templates.create(self.owner(), &self.tree.business, &draft(name), submit, 1_000).await.unwrap()
    }

    async fn approved(&self, name: &str) -> TemplateView {
        let template = self.written(name, true).await;
        self.decide(template.id, Action::Approve).await.unwrap()
    }

    async fn decide(&self, id: TemplateId, action: Action) -> Result<TemplateView, ApiError> {
        let reason = action.needs_reason().then(|| "It says too little.".to_owned());
        let decision = Decision { action, reason, version: None };
        self.templates.decide(&self.judge, &Subtree::Platform, id, &decision, 2_000).await
    }

    async fn heard(&self, id: TemplateId, event: NetworkEvent) -> Result<TemplateView, ApiError> {
        self.templates.heard(id, &event, 3_000).await
    }

    /// What the endpoint of the business is to be told: fields and values, oldest first.
    async fn told(&self) -> Vec<(String, Value)> {
        let due = self.store.due_deliveries(Millis::MAX, &crate::store::Place::start(), 100).await.unwrap();
        let mut ids: Vec<&str> = due.iter().map(|one| one.id.as_str()).collect();
        ids.sort_unstable();
        let mut deliveries = self.store.deliveries(&ids).await.unwrap();
        deliveries.sort_by(|one, other| one.id.cmp(&other.id));
        deliveries
            .iter()
            .map(|delivery| {
                assert_eq!(delivery.endpoint_id, self.endpoint.key());
                let body: Value = serde_json::from_str(&delivery.payload).unwrap();
                let change = &body["entry"][0]["changes"][0];
                (change["field"].as_str().unwrap().to_owned(), change["value"].clone())
            })
            .collect()
    }

    /// Gives the account a sender on a network that is not the sandbox's.
    async fn go_live(&self) {
        self.tree.add_sender_on(self.store, "another").await;
    }
}

fn draft(name: &str) -> Draft {
    Draft {
        name: name.to_owned(),
        language: "en_US".to_owned(),
        category: "UTILITY".to_owned(),
        components: vec![json!({
            "type": "BODY",
            "text": format!("Hi {{{{1}}}}, this is what {name} says to you."),
            "example": {"body_text": [["Ana"]]},
        })],
        ..Draft::default()
    }
}

fn new_body(text: &str) -> Change {
    Change { components: Some(vec![json!({"type": "BODY", "text": text})]), ..Change::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_sandbox_what_a_reviewer_approves_can_be_sent_at_once() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        let template = desk.written("hello", true).await;
        assert_eq!(template.latest.state, State::PendingInternal);
        assert!(template.in_use.is_none());
        let view = desk.decide(template.id, Action::Approve).await.unwrap();
        assert_eq!(view.latest.state, State::Approved);
        assert_eq!(view.in_use.as_ref().map(|version| version.number), Some(1));
        assert_eq!(view.latest.network.as_deref(), Some("sandbox"));
        let told = desk.told().await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((told[0].0.as_str(), &told[0].1["event"]), ("message_template_status_update", &json!("APPROVED")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_ask_the_sandbox_for_it_are_rejected_recategorised_paused_and_disabled() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        for (prefix, state) in SANDBOX_NAMES {
            let view = desk.approved(&format!("{prefix}x")).await;
            assert_eq!(view.latest.state, state, "{prefix}");
        }
        let rejected = desk.approved("reject_y").await;
        assert_eq!(rejected.latest.rejection.as_deref(), Some("INVALID_FORMAT"));
        assert!(rejected.latest.reason.unwrap().contains("reject_"));
        let moved = desk.approved("recat_y").await;
        assert_eq!(moved.latest.category.name(), "marketing");
        assert_eq!(moved.latest.previous_category.unwrap().name(), "utility");
        // What happens within a millisecond has no order; what is told of each template is all there.
        let mut told: Vec<(String, String)> = desk
            .told()
            .await
            .into_iter()
            .map(|(_, value)| {
                let word = |member: &str| value[member].as_str().unwrap_or_default().to_owned();
                (word("message_template_name"), word("event"))
            })
            .collect();
        told.sort_unstable();
        let expected = [
            ("disable_x", "APPROVED"),
            ("disable_x", "DISABLED"),
            ("pause_x", "APPROVED"),
            ("pause_x", "PAUSED"),
            ("recat_x", "APPROVED"),
            ("recat_y", "APPROVED"),
            ("reject_x", "REJECTED"),
            ("reject_y", "REJECTED"),
        ];
        let told: Vec<(&str, &str)> = told.iter().map(|(name, event)| (name.as_str(), event.as_str())).collect();
        assert_eq!(told, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_another_network_it_waits_until_that_has_decided() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        desk.go_live().await;
        let view = desk.approved("hello").await;
        assert_eq!(view.latest.state, State::ApprovedInternal);
        let decided = NetworkEvent::Decided(Verdict::Approved(crate::messages::Category::Utility));
        let early = desk.heard(view.id, decided.clone()).await.unwrap_err();
        assert_eq!(early.kind, ErrorKind::IllegalTransition);
        let forwarded = NetworkEvent::Forwarded { network: "another".to_owned() };
        assert_eq!(desk.heard(view.id, forwarded).await.unwrap().latest.state, State::Submitted);
        let view = desk.heard(view.id, decided).await.unwrap();
        assert_eq!((view.latest.state, view.latest.network.as_deref()), (State::Approved, Some("another")));
        let paused = NetworkEvent::Paused { title: "FIRST_PAUSE".to_owned(), reason: "Low quality".to_owned() };
        assert_eq!(desk.heard(view.id, paused).await.unwrap().shown().state, State::Paused);
        assert_eq!(desk.heard(view.id, NetworkEvent::Unpaused).await.unwrap().shown().state, State::Approved);
        let view = desk.heard(view.id, NetworkEvent::Quality("YELLOW".to_owned())).await.unwrap();
        assert_eq!(view.quality, "YELLOW");
        let moved = NetworkEvent::CategoryChanged(crate::messages::Category::Marketing);
        assert_eq!(desk.heard(view.id, moved).await.unwrap().shown().category.name(), "marketing");
        let fields: Vec<String> = desk.told().await.into_iter().map(|(field, _)| field).collect();
        let status = "message_template_status_update";
        assert_eq!(fields, [status, status, status, "message_template_quality_update", "template_category_update"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_judges_what_they_have_written_or_handed_in() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        let (platform, approve) =
            (Subtree::Platform, Decision { action: Action::Approve, reason: None, version: None });
        let denied = async |by: &Actor, id| {
            let by = Reviewer::vouched(by.clone());
            let error = desk.templates.decide(&by, &platform, id, &approve, 2_000).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::PermissionDenied, "{error}");
        };
        let (ada, bob) = (actor(ActorKind::Staff, "usr_ada"), actor(ActorKind::Staff, "usr_bob"));

        // Ada writes it, Bob hands it in: neither judges it.
        let business = &desk.tree.business;
        let template = desk.templates.create((&ada, &platform), business, &draft("a"), false, 1).await.unwrap();
        desk.templates.submit((&bob, &platform), template.id, 2).await.unwrap();
        denied(&ada, template.id).await;
        denied(&bob, template.id).await;
        // Nor is a version by somebody else hers to judge: most of it may be what she wrote.
        desk.templates.withdraw((&bob, &platform), template.id, 3).await.unwrap();
        desk.templates.change(desk.owner(), template.id, new_body("Hello there."), true, 4).await.unwrap();
        denied(&ada, template.id).await;
        // A program judges nothing, and neither does a person of the business's side.
        denied(&actor(ActorKind::Key, "key_other"), template.id).await;
        denied(&actor(ActorKind::User, "usr_tenant"), template.id).await;
        assert_eq!(desk.decide(template.id, Action::Approve).await.unwrap().latest.state, State::Approved);
        // An id says who it is only together with what it is.
        let template = desk.templates.create(desk.owner(), business, &draft("b"), true, 5).await.unwrap();
        let other = Reviewer::vouched(actor(ActorKind::Staff, "key_1"));
        assert!(desk.templates.decide(&other, &platform, template.id, &approve, 6).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_back_says_why_and_can_be_handed_in_again() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        let template = desk.written("hello", true).await;
        let unsaid = Decision { action: Action::RequestChanges, reason: Some("  ".to_owned()), version: None };
        let refused =
            desk.templates.decide(&desk.judge, &Subtree::Platform, template.id, &unsaid, 2).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::ParameterMissing);
        let view = desk.decide(template.id, Action::RequestChanges).await.unwrap();
        assert_eq!((view.latest.state, view.latest.reason.as_deref()), (State::Draft, Some("It says too little.")));
        let told = desk.told().await;
        assert_eq!((&told[0].1["event"], &told[0].1["reason"]), (&json!("REJECTED"), &json!("INVALID_FORMAT")));
        let view = desk.templates.change(desk.owner(), template.id, new_body("Much more."), true, 3).await.unwrap();
        assert_eq!((view.latest.number, view.latest.state), (2, State::PendingInternal));
        let versions = desk.templates.versions(&desk.own, template.id).await.unwrap();
        assert_eq!((versions.len(), versions[1].state), (2, State::Archived));
        assert_eq!(versions[1].reason.as_deref(), Some("It says too little."), "what was said of it stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_approved_version_stays_in_use_until_the_next_one_is_approved() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        let template = desk.approved("hello").await;
        let stored = async || store.template(desk.tree.account, "hello", "en_US").await.unwrap().unwrap();
        let view = desk.templates.change(desk.owner(), template.id, new_body("New text."), true, 3).await.unwrap();
        assert!(view.has_change_pending());
        assert_eq!((view.shown().number, view.latest.state), (1, State::PendingInternal));
        assert!(stored().await.components.contains("this is what hello says"));
        let again = desk.templates.change(desk.owner(), template.id, new_body("Newer."), true, 4).await.unwrap_err();
        assert_eq!(again.kind, ErrorKind::IllegalTransition, "one change after the other");
        let rejected = desk.decide(template.id, Action::Reject).await.unwrap();
        assert_eq!((rejected.shown().number, rejected.latest.state), (1, State::Rejected));
        desk.templates.change(desk.owner(), template.id, new_body("Newest."), true, 5).await.unwrap();
        let view = desk.decide(template.id, Action::Approve).await.unwrap();
        assert_eq!((view.shown().number, view.has_change_pending()), (3, false));
        assert!(stored().await.components.contains("Newest."));
        let states: Vec<State> = desk
            .templates
            .versions(&desk.own, template.id)
            .await
            .unwrap()
            .iter()
            .map(|version| version.state)
            .collect();
        assert_eq!(states, [State::Approved, State::Archived, State::Archived]);
        let moved = Change { category: Some("MARKETING".to_owned()), ..Change::default() };
        let error = desk.templates.change(desk.owner(), template.id, moved, true, 6).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::IllegalTransition, "the category of an approved one stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reviewer_judges_the_version_that_was_looked_at() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        let template = desk.written("hello", true).await;
        desk.templates.withdraw(desk.owner(), template.id, 2).await.unwrap();
        desk.templates.change(desk.owner(), template.id, new_body("Other words."), true, 3).await.unwrap();
        let decision = Decision { action: Action::Approve, reason: None, version: Some(1) };
        let late = desk.templates.decide(&desk.judge, &Subtree::Platform, template.id, &decision, 4).await.unwrap_err();
        assert_eq!(late.kind, ErrorKind::Conflict);
        let decision = Decision { version: Some(2), ..decision };
        assert!(desk.templates.decide(&desk.judge, &Subtree::Platform, template.id, &decision, 5).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_there_once_in_each_language_and_one_that_a_network_knew_stays_reserved() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        let business = &desk.tree.business;
        desk.written("hello", false).await;
        let create = async |draft: &Draft, now| desk.templates.create(desk.owner(), business, draft, true, now).await;
        assert_eq!(create(&draft("hello"), 2).await.unwrap_err().kind, ErrorKind::TemplateExists);
        let german = Draft { language: "de".to_owned(), ..draft("hello") };
        let german = create(&german, 2).await.unwrap();
        desk.decide(german.id, Action::Approve).await.unwrap();
        assert_eq!(
            desk.templates.delete(desk.owner(), business, ("hello", Some(german.id)), 3).await.unwrap().len(),
            1
        );
        assert_eq!(desk.templates.delete(desk.owner(), business, ("hello", None), 3).await.unwrap().len(), 1);
        let gone = desk.templates.delete(desk.owner(), business, ("hello", None), 3).await.unwrap_err();
        assert_eq!(gone.kind, ErrorKind::NotFound);
        // Only the sandbox knew it.
        let again = create(&draft("hello"), 4).await.unwrap();
        desk.go_live().await;
        desk.decide(again.id, Action::Approve).await.unwrap();
        desk.heard(again.id, NetworkEvent::Forwarded { network: "another".to_owned() }).await.unwrap();
        desk.templates.delete(desk.owner(), business, ("hello", None), 5).await.unwrap();
        let reserved = create(&draft("hello"), 6).await.unwrap_err();
        assert_eq!(reserved.kind, ErrorKind::TemplateNameReserved);
        let thirty_days = 30 * 24 * 3_600_000;
        assert!(create(&draft("hello"), 5 + thirty_days).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_has_as_many_templates_as_its_network_takes() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        let business = &desk.tree.business;
        for n in 0..limits::PER_ACCOUNT_UNVERIFIED {
            let now = 1_000 + n * 60_000;
            desk.templates.create(desk.owner(), business, &draft(&format!("t{n}")), false, now).await.unwrap();
        }
        let create = async |now| desk.templates.create(desk.owner(), business, &draft("more"), false, now).await;
        assert_eq!(create(i64::MAX / 2).await.unwrap_err().kind, ErrorKind::TemplateLimit);
        desk.templates.delete(desk.owner(), business, ("t0", None), 0).await.unwrap();
        let last = 1_000 + (limits::PER_ACCOUNT_UNVERIFIED - 1) * 60_000;
        desk.templates.delete(desk.owner(), business, ("t1", None), 0).await.unwrap();
        assert!(create(last).await.is_ok(), "the sandbox takes them as fast as they come");
        desk.go_live().await;
        let counts = desk.templates.counts(business, &TemplateFilter::default()).await.unwrap();
        assert_eq!((counts.total, counts.limit), (249, 250));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_takes_so_many_new_ones_in_an_hour_and_so_many_changes_in_a_day() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        desk.go_live().await;
        let business = &desk.tree.business;
        let create =
            async |name: String, now| desk.templates.create(desk.owner(), business, &draft(&name), true, now).await;
        for n in 0..limits::CREATED_PER_HOUR {
            create(format!("t{n}"), 10_000_000).await.unwrap();
        }
        let many = create("more".to_owned(), 10_000_001).await.unwrap_err();
        assert_eq!(many.kind, ErrorKind::RateLimited);
        let template = create("later".to_owned(), 10_000_000 + 3_600_001).await.unwrap();
        desk.decide(template.id, Action::Approve).await.unwrap();
        desk.heard(template.id, NetworkEvent::Forwarded { network: "another".to_owned() }).await.unwrap();
        let taken = NetworkEvent::Decided(Verdict::Approved(crate::messages::Category::Utility));
        desk.heard(template.id, taken).await.unwrap();
        let day = 24 * 3_600_000;
        let change = async |now| desk.templates.change(desk.owner(), template.id, new_body("Else."), false, now).await;
        let now = 50_000_000;
        change(now).await.unwrap();
        assert_eq!(change(now + 1).await.unwrap_err().kind, ErrorKind::RateLimited);
        assert!(change(now + day + 1).await.is_ok());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_goes_both_ways_and_is_narrowed_by_everything_that_is_shown() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        let business = &desk.tree.business;
        for (n, name) in ["one", "two_10", "three", "four", "five"].into_iter().enumerate() {
            let now = 1_000 + i64::try_from(n).unwrap();
            desk.templates.create(desk.owner(), business, &draft(name), name != "five", now).await.unwrap();
        }
        let names = |page: &[TemplateView]| page.iter().map(|view| view.name.clone()).collect::<Vec<_>>();
        let everything = TemplateFilter::default();
        let first = desk.templates.list(&desk.own, &everything, &Paging::read(None, Some(2)).unwrap()).await.unwrap();
        assert_eq!(names(&first.entries), ["five", "four"]);
        let paging = Paging::read(first.next.as_deref(), Some(2)).unwrap();
        let second = desk.templates.list(&desk.own, &everything, &paging).await.unwrap();
        assert_eq!(names(&second.entries), ["three", "two_10"]);
        let range = crate::store::ListRange { place: Some(place_of(&second.entries[0])), backwards: true, limit: 1 };
        let (before, more) = desk.templates.range(&desk.own, &everything, &range).await.unwrap();
        assert_eq!((names(&before), more), (vec!["four".to_owned()], true));

        let four = &first.entries[1];
        desk.decide(four.id, Action::Approve).await.unwrap();
        let found = async |filter: TemplateFilter| {
            let page = desk.templates.list(&desk.own, &filter, &Paging::default()).await.unwrap();
            names(&page.entries)
        };
        let filter = TemplateFilter::default;
        assert_eq!(found(TemplateFilter { states: vec![State::Approved], ..filter() }).await, ["four"]);
        assert_eq!(found(TemplateFilter { states: vec![State::Draft], ..filter() }).await, ["five"]);
        assert_eq!(found(TemplateFilter { name: Some("one".to_owned()), ..filter() }).await, ["one"]);
        assert_eq!(found(TemplateFilter { name_contains: Some("o_1".to_owned()), ..filter() }).await, ["two_10"]);
        assert!(found(TemplateFilter { name_contains: Some("%".to_owned()), ..filter() }).await.is_empty());
        assert!(found(TemplateFilter { languages: vec!["de".to_owned()], ..filter() }).await.is_empty());
        assert_eq!(
            found(TemplateFilter { categories: vec![crate::messages::Category::Utility], ..filter() }).await.len(),
            5
        );
        assert_eq!(found(TemplateFilter { without_new_drafts: true, ..filter() }).await.len(), 4);

        let stranger = Subtree::Business(BusinessId::generate());
        assert!(desk.templates.list(&stranger, &everything, &Paging::default()).await.unwrap().entries.is_empty());
        assert_eq!(desk.templates.template(&stranger, four.id).await.unwrap_err().kind, ErrorKind::NotFound);
        let denied = desk.templates.archive((&desk.writer, &stranger), four.id, 9).await.unwrap_err();
        assert_eq!(denied.kind, ErrorKind::NotFound);
        assert!(desk.templates.delete((&desk.writer, &stranger), business, ("four", None), 9).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_shows_what_waits_longest_first() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        let business = &desk.tree.business;
        for (name, now) in [("late", 3_000), ("early", 1_000), ("middle", 2_000)] {
            desk.templates.create(desk.owner(), business, &draft(name), true, now).await.unwrap();
        }
        desk.written("draft", false).await;
        let queue = async |subtree: &Subtree, paging: &Paging| {
            desk.templates.review_queue(&desk.judge, subtree, &WaitingFilter::default(), paging).await.unwrap()
        };
        let first = queue(&Subtree::Platform, &Paging::read(None, Some(2)).unwrap()).await;
        let names: Vec<&str> = first.entries.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["early", "middle"]);
        let rest = queue(&desk.own, &Paging::read(first.next.as_deref(), Some(2)).unwrap()).await;
        assert_eq!((rest.entries[0].name.as_str(), rest.next), ("late", None));
        assert!(queue(&Subtree::Business(BusinessId::generate()), &Paging::default()).await.entries.is_empty());
        let narrowed = async |filter: WaitingFilter| {
            let page = desk.templates.review_queue(&desk.judge, &desk.own, &filter, &Paging::default()).await.unwrap();
            page.entries.into_iter().map(|one| one.name).collect::<Vec<_>>()
        };
        let search = |text: &str| WaitingFilter { search: Some(text.to_owned()), ..WaitingFilter::default() };
        assert_eq!(narrowed(search("ARL")).await, ["early"]);
        assert_eq!(narrowed(search("%")).await.len(), 0);
        assert_eq!(narrowed(search("b")).await.len(), 3, "the business's name is b");
        let utility = Some(crate::messages::Category::Utility);
        assert_eq!(narrowed(WaitingFilter { category: utility, ..WaitingFilter::default() }).await.len(), 3);
        let german = Some("de".to_owned());
        assert_eq!(narrowed(WaitingFilter { language: german, ..WaitingFilter::default() }).await.len(), 0);
        desk.decide(rest.entries[0].id, Action::Reject).await.unwrap();
        assert_eq!(queue(&desk.own, &Paging::default()).await.entries.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_in_the_audit_log_with_who_took_it() {
    for Fixture { store, .. } in &both().await {
        let desk = Desk::new(store).await;
        let template = desk.approved("hello").await;
        desk.templates.set_fallback(desk.owner(), &desk.tree.business, ("hello", &["de".to_owned()]), 3).await.unwrap();
        desk.templates.archive(desk.owner(), template.id, 4).await.unwrap();
        desk.templates.delete(desk.owner(), &desk.tree.business, ("hello", None), 5).await.unwrap();
        let head = store.audit_head().await.unwrap().seq;
        let mut actions = Vec::new();
        for change in
            store.audit_page(&Subtree::Platform, &Paging::read(None, Some(200)).unwrap()).await.unwrap().entries
        {
            assert!(change.seq <= head);
            if change.action.starts_with("template.") {
                actions.push((change.action, change.actor_id));
            }
        }
        actions.reverse();
        let actions: Vec<(&str, &str)> = actions.iter().map(|(action, by)| (action.as_str(), by.as_str())).collect();
        assert_eq!(
            actions,
            [
                ("template.created", "key_1"),
                ("template.submitted", "key_1"),
                ("template.approved_internally", "usr_judge"),
                ("template.forwarded", ""),
                ("template.approved", ""),
                ("template.fallback_set", "key_1"),
                ("template.archived", "key_1"),
                ("template.deleted", "key_1"),
            ]
        );
    }
}
