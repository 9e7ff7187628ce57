//! A process that is asked to stop ends what it has begun: nothing is lost, and nothing is left
//! in doubt.

use serde_json::json;
use waystation_testkit::{
    process::{NO_ENV, Waystation},
    sink::WebhookSink,
};

use crate::support::{
    Client, DELIVERED_ONLY, PATIENCE, Profile, Site, accepted, all_told, binary, names, on_both_profiles, stop,
};

on_both_profiles!(a_process_that_is_told_to_stop_under_load_leaves_nothing_in_doubt);

async fn a_process_that_is_told_to_stop_under_load_leaves_nothing_in_doubt(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.recover_quickly();
    let sink = WebhookSink::start().expect("a sink");
    let info = site.add_business(Some(&sink));
    // So that at any time attempts are under way.
    site.set_connections(&json!({"send_latency_ms": 100})).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut server = site.serve("api,worker,admin");
        let client = Client::new(&info, &server.base_url);
        let load = client.load(3_000, 6, 200.0, DELIVERED_ONLY);
        sink.reached("sent", sink.count("sent") + 60, PATIENCE).await;
        stop(&mut server.process);
        let outcome = load.ended().await;
        assert!(!outcome.accepted.is_empty() && !outcome.refused.is_empty(), "it stopped under load: {outcome:?}");
        ids.extend(accepted(&outcome));
    }
    let server = site.serve("api,worker,admin");
    let client = Client::new(&info, &server.base_url);
    let messages = client.all_reach(&ids, "delivered").await;
    let histories = client.all_events(&ids).await;
    for (message, events) in messages.iter().zip(&histories) {
        assert!(!names(events).contains(&"ambiguous"), "{message} {events:?}");
        assert_eq!((&message["attempts"], &message["ambiguous"]), (&json!(1), &json!(false)), "{message} {events:?}");
    }
    all_told(&sink, &ids, &histories).await;
}

#[test]
fn a_process_that_is_told_to_stop_as_soon_as_it_is_ready_stops_in_order() {
    for _ in 0..5 {
        let mut demo = Waystation::spawn(binary(), ["demo", "--json", "--port", "0"], NO_ENV).expect("a demo");
        stop(&mut demo);
    }
}
