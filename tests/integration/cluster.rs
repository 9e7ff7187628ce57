//! Many processes are one installation: any of them takes a message and answers questions about
//! it, and of those that deliver, one sends it.

use std::collections::BTreeSet;

use waystation_testkit::sink::WebhookSink;

use crate::support::{Client, DELIVERED_ONLY, PATIENCE, Profile, Site, accepted, all_told, names};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_api_processes_and_two_workers_deliver_each_message_once() {
    const MESSAGES: u64 = 250;
    let site = Site::new(Profile::Cluster).await;
    let sink = WebhookSink::start().expect("a sink");
    let info = site.add_business(Some(&sink));
    site.delay_receipts().await;
    let apis = [site.serve("api,admin"), site.serve("api")];
    let _workers = [site.serve("worker"), site.serve("worker")];
    let clients = apis.each_ref().map(|api| Client::new(&info, &api.base_url));

    let loads = clients.each_ref().map(|client| client.load(MESSAGES, 4, 250.0, DELIVERED_ONLY));
    let mut ids = Vec::new();
    for load in loads {
        let outcome = load.ended().await;
        assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
        ids.extend(accepted(&outcome));
    }
    assert_eq!(ids.len(), 500);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 500);
    // Each process knows what the other took.
    let other = &clients[1];
    let messages = other.all_reach(&ids, "delivered").await;
    let histories = other.all_events(&ids).await;
    for (message, events) in messages.iter().zip(&histories) {
        assert_eq!(message["attempts"], 1, "{message}");
        assert_eq!(names(events), ["accepted", "sent", "delivered"]);
    }
    all_told(&sink, &ids, &histories).await;
    assert_eq!((sink.reached("sent", 500, PATIENCE).await, sink.count("delivered")), (500, 500));
    let told: BTreeSet<_> =
        sink.deliveries().iter().map(|delivery| delivery.header("webhook-id").map(str::to_owned)).collect();
    assert_eq!(told.len(), 1_000, "each status of each message is a webhook of its own");
    assert_eq!(sink.tally().repeated, 0);
    assert_eq!(sink.tally().received, 1_000);
}
