//! Templates at their networks, on both databases: who submits what and when, and what is made of the answers.

use serde_json::{Value, json};
use waystation_adapter_sdk::{Change as NetworkChange, TemplateReport, TemplateStatus, UpstreamError};

use super::*;
use crate::{
    audit::{Actor, ActorKind},
    clock::Millis,
    delivery::Enqueuer,
    ids::TemplateId,
    onboarding::Reviewer,
    queue::EmbeddedQueue,
    store::{
        NetworkTask, Store, Task,
        tests::{Fixture, Tree, both},
    },
    tenancy::{Directory, Policy, Subtree},
    vault::Vault,
};

const NETWORK: &str = "another";
const LEASE_MS: Millis = 1_000;
const SPACING_MS: Millis = 10;
const CHECK_MS: Millis = 5_000;
const HOUR_MS: Millis = 3_600_000;

/// An account with a sender on a network that reviews templates.
struct Office<'s> {
    store: &'s Store,
    templates: Templates,
    tree: Tree,
    own: Subtree,
    writer: Actor,
    judge: Reviewer,
}

impl<'s> Office<'s> {
    async fn new(store: &'s Store) -> Self {
        let tree = Tree::plant(store).await;
        tree.add_sender_on(store, NETWORK).await;
        let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
        let enqueuer = Enqueuer::start(std::sync::Arc::new(EmbeddedQueue::new()));
        let actor = |kind, id: &str| Actor { kind, id: id.to_owned(), name: id.to_owned(), ..Actor::system() };
        let owner = (&tree.reseller, &tree.business);
        store.add_endpoint(&Actor::system(), owner, ("http://x.example/", "t"), 10, 0).await.unwrap().unwrap();
        Self {
            store,
            templates: Templates::new(store.clone(), directory, enqueuer),
            own: Subtree::Business(tree.business.clone()),
            tree,
            writer: actor(ActorKind::Key, "key_1"),
            judge: Reviewer::vouched(actor(ActorKind::Staff, "usr_judge")),
        }
    }

    async fn let_go(&self, name: &str, now: Millis) -> TemplateId {
        let draft = Draft {
            name: name.to_owned(),
            language: "en_US".to_owned(),
            category: "UTILITY".to_owned(),
            components: vec![json!({"type": "BODY", "text": format!("This is what {name} says to you.")})],
            ..Draft::default()
        };
        let owner = (&self.writer, &self.own);
        let id = self.templates.create(owner, &self.tree.business, &draft, true, now).await.unwrap().id;
        self.approve(id, now).await;
        id
    }

    async fn approve(&self, id: TemplateId, now: Millis) {
        let decision = Decision { action: Action::Approve, reason: None, version: None };
        self.templates.decide(&self.judge, &Subtree::Platform, id, &decision, now).await.unwrap();
    }

    async fn claim(&self, now: Millis) -> Vec<NetworkTask> {
        self.store.enlist_templates(1_000, now).await.unwrap();
        self.store.claim_template_tasks(1_000, (LEASE_MS, SPACING_MS), now).await.unwrap()
    }

    /// Claims the one task that is due.
    async fn task(&self, now: Millis) -> NetworkTask {
        let mut tasks = self.claim(now).await;
        assert_eq!(tasks.len(), 1, "{}: {tasks:?}", self.store.kind());
        tasks.remove(0)
    }

    async fn submitted(&self, task: &NetworkTask, status: TemplateStatus, now: Millis) -> bool {
        let outcome = Ok(report(status));
        self.store.template_submitted(task, &outcome, (CHECK_MS, now)).await.unwrap().is_some()
    }

    async fn reported(&self, task: &NetworkTask, report: &TemplateReport, now: Millis) {
        self.store.template_reported(task, report, (CHECK_MS, now)).await.unwrap();
    }

    async fn told(&self, field: &str, value: Value, now: Millis) -> ByNetwork {
        let change = NetworkChange { field: field.to_owned(), value, at_ms: now };
        self.templates.told_by_network(self.tree.account, NETWORK, &change, now).await.unwrap()
    }

    async fn view(&self, id: TemplateId) -> TemplateView {
        self.templates.template(&self.own, id).await.unwrap()
    }

    async fn states(&self, id: TemplateId) -> (State, Option<State>) {
        let view = self.view(id).await;
        (view.latest.state, view.in_use.map(|used| used.state))
    }

    /// What the business is to be told, as events, fields where there are none.
    async fn notices(&self) -> Vec<String> {
        let due = self.store.due_deliveries(Millis::MAX, &crate::store::Place::start(), 100).await.unwrap();
        let mut ids: Vec<&str> = due.iter().map(|one| one.id.as_str()).collect();
        ids.sort_unstable();
        let mut deliveries = self.store.deliveries(&ids).await.unwrap();
        deliveries.sort_by(|one, other| one.id.cmp(&other.id));
        let of = |payload: &str| {
            let body: Value = serde_json::from_str(payload).unwrap();
            let change = &body["entry"][0]["changes"][0];
            change["value"]["event"].as_str().or(change["field"].as_str()).unwrap().to_owned()
        };
        deliveries.iter().map(|delivery| of(&delivery.payload)).collect()
    }
}

fn report(status: TemplateStatus) -> TemplateReport {
    TemplateReport::new(Some("17".to_owned()), status)
}

fn named(event: &str) -> Value {
    json!({
        "message_template_id": 17, "message_template_name": "order", "message_template_language": "en-US",
        "event": event, "reason": "NONE", "message_template_category": "UTILITY",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_submitted_by_one_at_a_time_and_again_after_a_crash_until_its_network_has_it() {
    for Fixture { store, .. } in &both().await {
        let office = Office::new(store).await;
        let id = office.let_go("order", 1_000).await;
        assert_eq!(office.states(id).await.0, State::ApprovedInternal);
        let first = office.task(2_000).await;
        assert_eq!(
            (first.task, first.version, first.attempts, first.upstream_id.as_deref()),
            (Task::Submit, 1, 1, None)
        );
        assert!(office.claim(2_000 + LEASE_MS - 1).await.is_empty(), "it is somebody's");
        let again = office.task(2_000 + LEASE_MS).await;
        assert_eq!((again.task, again.attempts), (Task::Submit, 2));
        assert!(office.submitted(&again, TemplateStatus::Pending, 4_000).await);
        assert!(!office.submitted(&first, TemplateStatus::Pending, 4_001).await, "who was thought dead comes late");
        let view = office.view(id).await;
        assert_eq!((view.latest.state, view.latest.network.as_deref()), (State::Submitted, Some(NETWORK)));
        assert!(office.claim(4_000 + CHECK_MS - 1).await.is_empty(), "it has time to say so by itself");
        let check = office.task(4_000 + CHECK_MS).await;
        assert_eq!((check.task, check.upstream_id.as_deref()), (Task::Check, Some("17")));
        office.reported(&check, &report(TemplateStatus::Pending), 10_000).await;
        assert!(office.claim(10_000 + 2 * CHECK_MS - 1).await.is_empty(), "it is asked less and less often");
        let check = office.task(10_000 + 2 * CHECK_MS).await;
        let taken = TemplateReport { category: Some("MARKETING".to_owned()), ..report(TemplateStatus::Approved) };
        office.reported(&check, &taken, 21_000).await;
        let view = office.view(id).await;
        assert_eq!((view.latest.state, view.latest.category), (State::Approved, Category::Marketing));
        assert_eq!(view.latest.previous_category, Some(Category::Utility));
        assert_eq!(office.notices().await, ["APPROVED"]);
        // From then on it is asked once a day.
        assert!(office.claim(21_000 + 24 * HOUR_MS - 1).await.is_empty());
        let check = office.task(21_000 + 24 * HOUR_MS).await;
        let paused = TemplateReport { quality: Some("RED".to_owned()), ..report(TemplateStatus::Paused) };
        office.reported(&check, &paused, 22_000 + 24 * HOUR_MS).await;
        assert_eq!(office.states(id).await.0, State::Paused);
        // Those of one moment have no order.
        let mut notices = office.notices().await;
        notices.sort_unstable();
        assert_eq!(notices, ["APPROVED", "PAUSED", "message_template_quality_update"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_network_refuses_at_once_is_rejected_with_its_words() {
    for Fixture { store, .. } in &both().await {
        let office = Office::new(store).await;
        let id = office.let_go("order", 1_000).await;
        let task = office.task(2_000).await;
        let refusal = Err(UpstreamError::with_code(2_388_293, "Too many variables").details("Say more."));
        assert!(store.template_submitted(&task, &refusal, (CHECK_MS, 3_000)).await.unwrap().is_some());
        let view = office.view(id).await;
        assert_eq!(view.latest.state, State::Rejected);
        assert_eq!(view.latest.reason.as_deref(), Some("(2388293) Too many variables: Say more."));
        assert_eq!(office.notices().await, ["REJECTED"]);
        assert!(office.claim(Millis::MAX / 2).await.is_empty(), "there is nothing to ask about");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_goes_to_the_template_that_the_network_has_and_the_one_in_use_stays_until_it_is_taken() {
    for Fixture { store, .. } in &both().await {
        let office = Office::new(store).await;
        let id = office.let_go("order", 1_000).await;
        let task = office.task(2_000).await;
        assert!(office.submitted(&task, TemplateStatus::Approved, 3_000).await, "some are taken at once");
        assert_eq!(office.states(id).await, (State::Approved, Some(State::Approved)));
        let components = Some(vec![json!({"type": "BODY", "text": "This is what it says now."})]);
        let change = Change { components, ..Change::default() };
        office.templates.change((&office.writer, &office.own), id, change, true, 4_000).await.unwrap();
        office.approve(id, 5_000).await;
        let task = office.task(6_000).await;
        assert_eq!((task.task, task.version, task.upstream_id.as_deref()), (Task::Submit, 2, Some("17")));
        let content = store.version_at_network(&task).await.unwrap().unwrap();
        assert_eq!(content.components[0]["text"], "This is what it says now.");
        assert!(office.submitted(&task, TemplateStatus::Pending, 7_000).await);
        assert_eq!(office.states(id).await, (State::Submitted, Some(State::Approved)));
        let refused = TemplateReport {
            rejection: Some("PROMOTIONAL".to_owned()),
            reason: Some("It sells.".to_owned()),
            ..report(TemplateStatus::Rejected)
        };
        let check = office.task(7_000 + CHECK_MS).await;
        office.reported(&check, &refused, 13_000).await;
        assert_eq!(office.states(id).await, (State::Rejected, Some(State::Approved)));
        let view = office.view(id).await;
        assert_eq!(
            (view.latest.rejection.as_deref(), view.latest.reason.as_deref()),
            (Some("PROMOTIONAL"), Some("It sells."))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_network_says_by_itself_is_written_down_once_and_told_with_our_id() {
    for Fixture { store, .. } in &both().await {
        let office = Office::new(store).await;
        let id = office.let_go("order", 1_000).await;
        let status = "message_template_status_update";
        let nothing = office.told(status, named("APPROVED"), 1_500).await;
        assert!(matches!(nothing, ByNetwork::PassOn(_)), "what never went there is not ours");
        let task = office.task(2_000).await;
        // The network is quicker than its own answer.
        assert_eq!(office.told(status, named("APPROVED"), 2_001).await, ByNetwork::Settled);
        assert_eq!(office.states(id).await.0, State::ApprovedInternal, "nobody here knows yet that it has it");
        assert!(office.submitted(&task, TemplateStatus::Pending, 2_002).await);
        let check = office.task(2_002).await;
        assert_eq!(check.task, Task::Check, "so it is asked at once");
        office.reported(&check, &report(TemplateStatus::Pending), 2_003).await;
        for _ in 0..3 {
            assert_eq!(office.told(status, named("APPROVED"), 3_000).await, ByNetwork::Settled);
        }
        assert_eq!(office.notices().await, ["APPROVED"], "{}", store.kind());
        assert_eq!(office.told(status, named("PAUSED"), 4_000).await, ByNetwork::Settled);
        assert_eq!(office.states(id).await.0, State::Paused);
        let mut quality = named("");
        quality["new_quality_score"] = json!("RED");
        assert_eq!(office.told(status, quality, 4_500).await, ByNetwork::Settled);
        assert_eq!(office.view(id).await.quality, "RED");
        assert_eq!(office.told(status, named("DELETED"), 5_000).await, ByNetwork::Settled);
        assert_eq!(office.states(id).await.0, State::Disabled);
        // What is not kept here is passed on.
        let mut components = named("");
        components["message_template_element"] = json!("New words.");
        let ByNetwork::PassOn(change) = office.told("message_template_components_update", components, 6_000).await
        else {
            panic!("it is settled")
        };
        assert_eq!(change.value["message_template_id"], id.0);
        assert_eq!(change.value["message_template_element"], "New words.");
        let foreign = NetworkChange { field: status.to_owned(), value: named("APPROVED"), at_ms: 0 };
        let other = office.templates.told_by_network(office.tree.account, "third", &foreign, 7_000).await.unwrap();
        assert_eq!(other, ByNetwork::PassOn(foreign), "another network has templates of its own");
        assert_eq!(office.states(id).await.0, State::Disabled);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_that_is_ended_here_is_ended_there_or_is_one_again() {
    for Fixture { store, .. } in &both().await {
        let office = Office::new(store).await;
        let id = office.let_go("order", 1_000).await;
        let task = office.task(2_000).await;
        assert!(office.submitted(&task, TemplateStatus::Paused, 2_000).await);
        let owner = (&office.writer, &office.own);
        office.templates.unpause(owner, id, 3_000).await.unwrap();
        let task = office.task(3_000).await;
        assert_eq!((task.task, task.upstream_id.as_deref()), (Task::Unpause, Some("17")), "{}", store.kind());
        store.end_template_task(&task, Some(3_500)).await.unwrap();
        let check = office.task(3_500).await;
        assert_eq!(check.task, Task::Check);
        office.reported(&check, &report(TemplateStatus::Paused), 4_000).await;
        assert_eq!(office.states(id).await.0, State::Paused, "its network has the last word");
        assert_eq!(office.notices().await, ["APPROVED", "PAUSED", "APPROVED", "PAUSED"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_here_is_deleted_there_even_if_it_was_just_on_its_way() {
    for Fixture { store, .. } in &both().await {
        let office = Office::new(store).await;
        office.let_go("order", 1_000).await;
        let task = office.task(2_000).await;
        let owner = (&office.writer, &office.own);
        office.templates.delete(owner, &office.tree.business, ("order", None), 2_500).await.unwrap();
        assert!(!office.submitted(&task, TemplateStatus::Pending, 3_000).await);
        let task = office.task(3_000).await;
        assert_eq!((task.task, task.upstream_id.as_deref()), (Task::Delete, Some("17")), "its id came back late");
        store.template_task_failed(&task, (Some(9_000), true), "away", 3_100).await.unwrap();
        assert!(office.claim(8_999).await.is_empty());
        let task = office.task(9_000).await;
        assert_eq!((task.task, task.attempts), (Task::Delete, 2));
        store.template_deleted_at_network(&task).await.unwrap();
        assert!(office.claim(Millis::MAX / 2).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_asks_its_network_no_more_often_than_it_may() {
    for Fixture { store, .. } in &both().await {
        let office = Office::new(store).await;
        for name in ["one", "two", "three"] {
            office.let_go(name, 1_000).await;
        }
        for task in office.claim(2_000).await {
            assert!(office.submitted(&task, TemplateStatus::Pending, 2_000).await);
        }
        let due = 2_000 + CHECK_MS;
        let mut asked = Vec::new();
        for now in [due, due + 1, due + SPACING_MS, due + SPACING_MS + 1, due + 2 * SPACING_MS] {
            for task in office.claim(now).await {
                office.reported(&task, &report(TemplateStatus::Pending), now).await;
                asked.push(now);
            }
        }
        assert_eq!(asked, [due, due + SPACING_MS, due + 2 * SPACING_MS], "{}", store.kind());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_templates_are_submitted_within_an_hour_than_the_network_takes() {
    for Fixture { store, .. } in &both().await {
        let office = Office::new(store).await;
        // Written over hours, and all let go at once.
        for number in 0..=limits::CREATED_PER_HOUR {
            office.let_go(&format!("order_{number}"), number * 60_000).await;
        }
        let now = 3 * HOUR_MS;
        let tasks = office.claim(now).await;
        assert_eq!(tasks.len() as i64, limits::CREATED_PER_HOUR, "{}", store.kind());
        for task in &tasks {
            assert!(office.submitted(task, TemplateStatus::Rejected, now).await);
        }
        assert!(office.claim(now + HOUR_MS / 2).await.is_empty());
        let last = office.task(now + HOUR_MS + 1).await;
        assert_eq!((last.task, last.attempts), (Task::Submit, 1), "waiting was no try");
    }
}
