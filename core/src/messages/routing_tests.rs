//! Chains of channels, event by event and over any events.

use proptest::prelude::*;
use waystation_adapter_sdk::{ReceiptStatus, UpstreamError};

use super::{
    route::{Condition, Routing, Step, When},
    state::{AmbiguousPolicy, Effect, Event, Outcome, Progress, RetryPolicy, State},
};
use crate::{clock::Millis, ids::SenderId};

const EXPIRES_AT: Millis = 1_000_000_000;

fn policy() -> RetryPolicy {
    RetryPolicy { max_tries: 2, base_ms: 1_000, cap_ms: 60_000, ambiguous: AmbiguousPolicy::Fail, settle_ms: 5_000 }
}

fn routed(conditions: &[(When, u32)]) -> Progress {
    let conditions = conditions.iter().map(|(when, after_s)| Condition { when: *when, after_s: *after_s }).collect();
    let steps = vec![Step { sender: SenderId(2), adapter: "sms".to_owned(), conditions }];
    let routing = Routing::new("whatsapp-cloud".to_owned(), steps, 0);
    let look_at = routing.look_at(false, 0);
    Progress { routing: Some(Box::new(routing)), look_at, ..Progress::accepted(0, EXPIRES_AT) }
}

fn error(code: i64) -> UpstreamError {
    UpstreamError { code: Some(code), title: "no".to_owned(), details: None, raw: None }
}

fn accepted(id: &str) -> Outcome {
    Outcome::Accepted { upstream_id: id.to_owned() }
}

fn claim(progress: &mut Progress, now: Millis) {
    assert!(progress.due_at.is_some_and(|due| due <= now), "{progress:?}");
    progress.apply(Event::Claimed { until: now + 60_000 }, &policy(), now);
}

fn conclude(progress: &mut Progress, outcome: Outcome, now: Millis) -> Vec<Effect> {
    claim(progress, now);
    progress.apply(Event::Concluded { attempt: progress.attempt, outcome }, &policy(), now)
}

fn receipt(progress: &mut Progress, id: &str, status: ReceiptStatus, code: Option<i64>) -> Vec<Effect> {
    let event = Event::Receipt { status, upstream_id: id.to_owned(), attempt: None, error: code.map(error) };
    progress.apply(event, &policy(), 50)
}

fn via(progress: &Progress) -> Option<SenderId> {
    progress.routing.as_ref().and_then(|routing| routing.via())
}

fn names(effects: &[Effect]) -> Vec<&'static str> {
    let name = |effect: &Effect| match effect {
        Effect::Record(note) => note.name,
        Effect::Tell(state) => state.name(),
        Effect::Left(_) => "left",
    };
    effects.iter().map(name).collect()
}

#[test]
fn a_failure_takes_the_next_channel_and_tells_nobody_that_it_failed() {
    let mut progress = routed(&[(When::Failed, 0)]);
    let effects = conclude(&mut progress, Outcome::Rejected { error: error(131_047) }, 10);
    assert_eq!(names(&effects), ["channel_failed", "fallback"]);
    assert_eq!((progress.state, progress.due_at, via(&progress)), (State::Queued, Some(10), Some(SenderId(2))));
    let Effect::Record(note) = &effects[1] else { panic!("{effects:?}") };
    assert_eq!(note.says.as_deref(), Some("Over to sms (sender 2): it failed there: (131047) no."));
    assert_eq!(names(&conclude(&mut progress, accepted("sms-1"), 20)), ["sent", "sent"]);
    assert_eq!(names(&receipt(&mut progress, "sms-1", ReceiptStatus::Delivered, None)), ["delivered", "delivered"]);
}

#[test]
fn a_failure_that_the_network_reports_later_takes_the_next_channel_too() {
    let mut progress = routed(&[(When::Undeliverable, 0)]);
    conclude(&mut progress, accepted("wa-1"), 10);
    let effects = receipt(&mut progress, "wa-1", ReceiptStatus::Failed, Some(131_026));
    assert_eq!(names(&effects), ["channel_failed", "fallback", "left"]);
    assert_eq!(progress.routing.as_ref().unwrap().left_ids, ["wa-1"]);

    let mut other = routed(&[(When::Undeliverable, 0)]);
    conclude(&mut other, accepted("wa-1"), 10);
    receipt(&mut other, "wa-1", ReceiptStatus::Failed, Some(131_053));
    assert_eq!(other.state, State::Failed, "the person could have been reached");
}

#[test]
fn nobody_gets_by_another_channel_what_they_do_not_want() {
    let mut progress = routed(&[(When::Failed, 0)]);
    conclude(&mut progress, Outcome::Rejected { error: error(131_050) }, 10);
    assert_eq!((progress.state, via(&progress)), (State::Failed, None));
    let mut refused = routed(&[(When::Failed, 0)]);
    conclude(&mut refused, Outcome::Refused { error: error(131_050) }, 10);
    assert_eq!((refused.state, via(&refused)), (State::Failed, None));
}

#[test]
fn what_is_not_delivered_in_time_goes_over_the_next_channel_once() {
    let mut progress = routed(&[(When::NotDeliveredWithin, 60)]);
    conclude(&mut progress, accepted("wa-1"), 10);
    assert_eq!(progress.look_at, Some(60_000));
    assert_eq!(progress.apply(Event::TimeUp { channel_down: false }, &policy(), 59_999), []);
    let effects = progress.apply(Event::TimeUp { channel_down: false }, &policy(), 60_000);
    assert_eq!(names(&effects), ["fallback", "left"]);
    assert_eq!(progress.apply(Event::TimeUp { channel_down: false }, &policy(), 60_001), []);
    conclude(&mut progress, accepted("sms-1"), 60_001);
    let late = receipt(&mut progress, "wa-1", ReceiptStatus::Delivered, None);
    assert_eq!(names(&late), ["delivered_late"], "recorded and shown, and nothing else");
    assert_eq!(progress.state, State::Sent);
    receipt(&mut progress, "sms-1", ReceiptStatus::Failed, Some(1));
    assert_eq!(progress.state, State::Delivered, "the first channel did bring it");
}

#[test]
fn what_is_delivered_in_time_stays_where_it_is() {
    let mut progress = routed(&[(When::NotDeliveredWithin, 60)]);
    conclude(&mut progress, accepted("wa-1"), 10);
    receipt(&mut progress, "wa-1", ReceiptStatus::Delivered, None);
    assert_eq!(progress.look_at, None);
    assert_eq!(progress.apply(Event::TimeUp { channel_down: true }, &policy(), 90_000), []);
}

#[test]
fn a_receipt_that_comes_before_the_other_channel_was_tried_wins() {
    let mut progress = routed(&[(When::NotDeliveredWithin, 60)]);
    conclude(&mut progress, accepted("wa-1"), 10);
    progress.apply(Event::TimeUp { channel_down: false }, &policy(), 60_000);
    let effects = receipt(&mut progress, "wa-1", ReceiptStatus::Read, None);
    assert_eq!((names(&effects), progress.due_at), (vec!["read", "read"], None));
    progress.apply(Event::Claimed { until: 90_000 }, &policy(), 60_100);
    assert_eq!(progress.state, State::Read);
}

#[test]
fn an_attempt_that_runs_is_waited_for() {
    let mut progress = routed(&[(When::NotDeliveredWithin, 1)]);
    claim(&mut progress, 10);
    assert_eq!(progress.apply(Event::TimeUp { channel_down: true }, &policy(), 5_000), []);
    assert_eq!((via(&progress), progress.look_at), (None, Some(6_000)));
}

#[test]
fn a_channel_that_is_down_is_left_when_its_time_is_over() {
    let mut progress = routed(&[(When::ChannelDown, 30)]);
    let down = || Outcome::ChannelDown { after_ms: 100, needs_operator: false, error: error(190) };
    assert_eq!(names(&conclude(&mut progress, down(), 1_000)), ["channel_down"]);
    progress.apply(Event::TimeUp { channel_down: false }, &policy(), 30_000);
    assert_eq!(
        (via(&progress), progress.look_at),
        (None, Some(31_000)),
        "it works again, and the message waits its turn"
    );
    assert_eq!(names(&progress.apply(Event::TimeUp { channel_down: true }, &policy(), 31_000)), ["fallback"]);
    assert_eq!(via(&progress), Some(SenderId(2)));

    let mut at_once = routed(&[(When::ChannelDown, 0)]);
    assert_eq!(names(&conclude(&mut at_once, down(), 1_000)), ["channel_down", "fallback"]);
}

#[test]
fn what_may_have_been_sent_goes_elsewhere_only_when_nothing_is_heard_of_it() {
    let ambiguous = || Outcome::Ambiguous { error: error(1) };
    let mut never = routed(&[(When::Failed, 0), (When::ChannelDown, 0)]);
    conclude(&mut never, ambiguous(), 10);
    assert_eq!((never.state, via(&never)), (State::Failed, None));

    let mut later = routed(&[(When::NotDeliveredWithin, 60)]);
    conclude(&mut later, ambiguous(), 10);
    assert_eq!((later.state, later.due_at), (State::Queued, Some(60_000)), "a receipt may settle it until then");
    let settled = Event::Receipt {
        status: ReceiptStatus::Delivered,
        upstream_id: "wa-9".to_owned(),
        attempt: Some(1),
        error: None,
    };
    assert_eq!(names(&later.apply(settled, &policy(), 100)), ["delivered", "delivered"]);
    assert_eq!(later.due_at, None);
}

#[test]
fn an_answer_that_comes_after_the_takeover_is_recorded_and_its_id_is_kept() {
    let mut progress = routed(&[(When::NotDeliveredWithin, 60)]);
    claim(&mut progress, 10);
    progress.apply(
        Event::LeaseLapsed { attempt: 1 },
        &RetryPolicy { ambiguous: AmbiguousPolicy::Retry, ..policy() },
        70_000,
    );
    progress.apply(Event::TimeUp { channel_down: false }, &policy(), 70_000);
    let answer = Event::Concluded { attempt: 1, outcome: accepted("wa-1") };
    assert_eq!(names(&progress.apply(answer, &policy(), 70_001)), ["sent_late", "left"]);
    assert_eq!((progress.state, progress.upstream_id.as_deref()), (State::Queued, None));
}

fn any_event() -> impl Strategy<Value = Event> {
    let outcome = prop_oneof![
        3 => (1..4_u32).prop_map(|n| accepted(&format!("up-{n}"))),
        1 => Just(Outcome::Retry { after_ms: None, error: error(131_000) }),
        1 => Just(Outcome::Throttled { after_ms: 10, error: error(130_429) }),
        2 => Just(Outcome::ChannelDown { after_ms: 10, needs_operator: false, error: error(190) }),
        2 => Just(Outcome::Rejected { error: error(131_026) }),
        1 => Just(Outcome::Ambiguous { error: error(1) }),
        1 => Just(Outcome::Expired),
    ];
    let statuses = vec![ReceiptStatus::Sent, ReceiptStatus::Delivered, ReceiptStatus::Read, ReceiptStatus::Failed];
    prop_oneof![
        4 => Just(Event::Claimed { until: 0 }),
        4 => (0..5_u32, outcome).prop_map(|(attempt, outcome)| Event::Concluded { attempt, outcome }),
        1 => (0..5_u32).prop_map(|attempt| Event::LeaseLapsed { attempt }),
        3 => (prop::sample::select(statuses), 1..4_u32, prop::option::of(0..5_u32)).prop_map(|(status, n, attempt)| {
            Event::Receipt { status, upstream_id: format!("up-{n}"), attempt, error: None }
        }),
        3 => any::<bool>().prop_map(|channel_down| Event::TimeUp { channel_down }),
    ]
}

fn any_conditions() -> impl Strategy<Value = Vec<(When, u32)>> {
    let one = prop_oneof![
        Just((When::Failed, 0)),
        Just((When::Undeliverable, 0)),
        (1..4_u32).prop_map(|after| (When::NotDeliveredWithin, after)),
        (0..4_u32).prop_map(|after| (When::ChannelDown, after)),
    ];
    prop::collection::vec(one, 1..4)
}

proptest! {
    /// Exactly one channel wins, whatever happens in whichever order.
    #[test]
    fn over_any_events_one_channel_at_a_time_and_each_once(
        conditions in any_conditions(),
        events in prop::collection::vec((any_event(), 0..3_000_i64), 0..40),
    ) {
        let mut progress = routed(&conditions);
        let mut now = 0;
        let mut arrived = false;
        for (event, passed) in events {
            now += passed;
            let before = progress.clone();
            let effects = progress.apply(event.clone(), &policy(), now);
            let taken = |progress: &Progress| progress.routing.as_ref().map_or(0, |routing| routing.taken);
            let step = taken(&progress) - taken(&before);
            prop_assert!(step <= 1, "{before:?} --{event:?}--> {progress:?}");
            if step == 1 {
                // Nothing of the channel before runs, and it is not known to have arrived.
                let concluded = match &event {
                    Event::Concluded { attempt, .. } | Event::LeaseLapsed { attempt } => *attempt == before.attempt,
                    // The network's word on the attempt may come before its answer.
                    Event::Receipt { status, .. } => *status == ReceiptStatus::Failed,
                    _ => false,
                };
                prop_assert!(concluded || before.state != State::Sending, "{before:?} --{event:?}--> {progress:?}");
                prop_assert!(!arrived, "{before:?} --{event:?}--> {progress:?}");
                prop_assert_eq!(progress.routing.as_ref().unwrap().left_attempt, progress.attempt);
                prop_assert!(progress.state == State::Queued && progress.due_at.is_some());
            }
            if matches!(progress.state, State::Delivered | State::Read | State::Played) {
                arrived = true;
            }
            if arrived {
                prop_assert_eq!(progress.due_at, None, "{:?} --{:?}--> {:?}", before, event, progress);
                prop_assert_eq!(progress.look_at, None);
                prop_assert!(!matches!(progress.state, State::Failed | State::Expired));
            }
            prop_assert_eq!(progress.state.is_pending(), progress.due_at.is_some());
            if !progress.state.is_pending() && progress.state != State::Sent {
                prop_assert_eq!(progress.look_at, None);
            }
            // Whatever is told is where it stands.
            for effect in &effects {
                if let Effect::Tell(state) = effect {
                    prop_assert_eq!(*state, progress.state);
                }
            }
        }
    }
}
