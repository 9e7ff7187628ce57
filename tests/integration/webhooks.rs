//! Every status reaches the business's own server, however unreliable that is, and one business's
//! broken server is not another's delay.

use std::{collections::BTreeSet, time::Duration};

use waystation_testkit::sink::{Fault, WebhookSink};

use crate::support::{Client, DELIVERED_ONLY, PATIENCE, Profile, Site, accepted, on_both_profiles, text};

on_both_profiles!(
    an_endpoint_that_fails_at_first_is_told_later,
    an_endpoint_that_is_dead_slow_delays_nobody_elses_webhooks,
    an_endpoint_that_never_takes_a_webhook_is_given_up_in_the_end,
);

async fn an_endpoint_that_fails_at_first_is_told_later(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.recover_quickly();
    site.set("webhooks.timeout_ms", 2_000);
    site.set("webhooks.retry_seconds", "1,1,2");
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    let client = Client::new(demo.info(), &demo.info().base_url);
    site.delay_receipts().await;
    for (number, fault) in [Fault::Status(500), Fault::Status(302), Fault::Close, Fault::Delay(Duration::from_secs(4))]
        .into_iter()
        .enumerate()
    {
        // The next two tries meet it.
        sink.fail_next(2, fault);
        let before = sink.deliveries().len();
        let id = client.send(&text("16505550002", "hi")).await.accepted();
        client.reaches(&id, "delivered").await;
        assert_eq!(sink.reached("delivered", number + 1, PATIENCE).await, number + 1, "{fault:?}");
        assert_eq!(sink.reached("sent", number + 1, PATIENCE).await, number + 1, "{fault:?}");
        let deliveries = sink.deliveries().split_off(before);
        let mut tries = 0;
        let mut webhooks = BTreeSet::new();
        for delivery in deliveries.iter().filter(|delivery| delivery.statuses[0].status == "sent") {
            tries += 1;
            webhooks.insert(delivery.header("webhook-id").map(str::to_owned));
        }
        assert!(tries >= 2, "{fault:?}");
        assert_eq!(webhooks.len(), 1, "{fault:?}: a further try carries the same id");
    }
    assert_eq!(sink.tally().refused, 0, "every try is signed anew");
    assert_eq!(site.number("SELECT count(*) FROM deliveries WHERE state = 2").await, 0, "none was given up");
}

async fn an_endpoint_that_is_dead_slow_delays_nobody_elses_webhooks(profile: Profile) {
    const MESSAGES: u64 = 150;
    let mut site = Site::new(profile).await;
    site.recover_quickly();
    let (slow, quick) = (WebhookSink::start().expect("a sink"), WebhookSink::start().expect("a sink"));
    let info_of_slow = site.add_business(Some(&slow));
    // It takes longer than a webhook may, every time, for as long as the test runs.
    slow.fail_always(Some(Fault::Delay(PATIENCE * 2)));
    let demo = site.demo(Some(&quick));
    let base_url = &demo.info().base_url;
    let of_slow = Client::new(&info_of_slow, base_url);
    let of_quick = Client::new(demo.info(), base_url);

    let flood = accepted(&of_slow.load(MESSAGES, 4, 500.0, DELIVERED_ONLY).ended().await);
    of_slow.all_reach(&flood, "delivered").await;
    let id = of_quick.send(&text("16505550002", "hi")).await.accepted();
    assert_eq!(quick.reached("delivered", 1, PATIENCE).await, 1);
    assert!(quick.told("delivered").contains_key(&id));
    // All this while most of the slow one's webhooks still wait for their first try.
    let waiting = site.number("SELECT count(*) FROM deliveries WHERE due_at IS NOT NULL AND attempt = 0").await;
    assert!(waiting > i64::try_from(MESSAGES / 2).unwrap_or(0), "{waiting} wait");
    assert_eq!(slow.count("delivered"), 0);
}

async fn an_endpoint_that_never_takes_a_webhook_is_given_up_in_the_end(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.set("webhooks.retry_seconds", "1");
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    let client = Client::new(demo.info(), &demo.info().base_url);
    site.delay_receipts().await;
    sink.fail_always(Some(Fault::Status(503)));
    let id = client.send(&text("16505550002", "hi")).await.accepted();
    client.reaches(&id, "delivered").await;
    crate::support::eventually("both webhooks are given up", async || {
        (site.number("SELECT count(*) FROM deliveries WHERE state = 2 AND due_at IS NULL").await == 2).then_some(())
    })
    .await;
    assert_eq!(sink.tally().received, 4, "each was tried twice");
    // An endpoint that is well again is told of what happens from then on.
    sink.fail_always(None);
    let id = client.send(&text("16505550002", "hi")).await.accepted();
    assert_eq!(sink.reached("delivered", 1, PATIENCE).await, 1);
    assert!(sink.told("delivered").contains_key(&id));
}
