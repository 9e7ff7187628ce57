//! The database is the truth and Redis its clock: what Redis forgets, or never heard of because it
//! was down, is delivered all the same.

use waystation_testkit::{
    servers::{Postgres, Redis},
    sink::WebhookSink,
};

use crate::support::{Client, DELIVERED_ONLY, PATIENCE, Site, accepted, all_told, assert_no_silent_repeat, text};

/// An installation on a Redis of its own, which may be wiped and killed, with one business.
struct Stage {
    redis: Redis,
    site: Site,
    sink: WebhookSink,
    client: Client,
}

impl Stage {
    async fn set() -> Self {
        let redis = Redis::start().await.expect("a Redis");
        let mut site = Site::on(Postgres::shared().await.expect("a PostgreSQL"), &redis).await;
        site.recover_quickly();
        let sink = WebhookSink::start().expect("a sink");
        let info = site.add_business(Some(&sink));
        let client = Client::new(&info, "");
        Self { redis, site, sink, client }
    }

    /// Waits until all of these messages have arrived and were told, none of them repeated silently.
    async fn all_arrive(&self, client: &Client, ids: &[String]) {
        let messages = client.all_reach(ids, "delivered").await;
        let histories = client.all_events(ids).await;
        for (message, events) in messages.iter().zip(&histories) {
            assert_no_silent_repeat(message, events);
        }
        all_told(&self.sink, ids, &histories).await;
        assert_eq!(self.site.messages().await, i64::try_from(ids.len()).unwrap_or(i64::MAX));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_a_wiped_redis_forgot_while_no_worker_ran_are_delivered() {
    let stage = Stage::set().await;
    let api = stage.site.serve("api,admin");
    let client = stage.client.at(&api.base_url);
    let ids = accepted(&client.load(200, 4, 1_000.0, DELIVERED_ONLY).ended().await);
    assert_eq!(ids.len(), 200);
    stage.redis.wipe().await.expect("a wipe");
    let late = client.send(&text("16505550002", "after the wipe")).await.accepted();
    let _worker = stage.site.serve("worker");
    stage.all_arrive(&client, &[ids, vec![late]].concat()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_delivered_although_redis_is_wiped_and_killed_under_load() {
    let stage = Stage::set().await;
    let (api, _worker) = (stage.site.serve("api,admin"), stage.site.serve("worker"));
    let client = stage.client.at(&api.base_url);
    let load = client.load(400, 4, 200.0, DELIVERED_ONLY);
    stage.sink.reached("sent", 20, PATIENCE).await;
    stage.redis.wipe().await.expect("a wipe");
    stage.sink.reached("sent", 120, PATIENCE).await;
    stage.redis.kill().expect("a kill");
    stage.redis.restart().await.expect("a restart");
    let outcome = load.ended().await;
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    stage.all_arrive(&client, &accepted(&outcome)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_accepted_while_redis_is_down_and_delivered_once_it_is_back() {
    let stage = Stage::set().await;
    let (api, _worker) = (stage.site.serve("api,admin"), stage.site.serve("worker"));
    let client = stage.client.at(&api.base_url);
    stage.redis.kill().expect("a kill");
    let outcome = client.load(100, 4, 200.0, DELIVERED_ONLY).ended().await;
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    let ids = accepted(&outcome);
    assert_eq!(ids.len(), 100);
    assert_eq!(stage.site.messages().await, 100);
    assert_eq!(client.get("/health/ready").await.status, 200);
    stage.redis.restart().await.expect("a restart");
    stage.all_arrive(&client, &ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_start_while_redis_is_down() {
    let stage = Stage::set().await;
    stage.redis.kill().expect("a kill");
    let (api, _worker) = (stage.site.serve("api,admin"), stage.site.serve("worker"));
    let client = stage.client.at(&api.base_url);
    let id = client.send(&text("16505550002", "hi")).await.accepted();
    stage.redis.restart().await.expect("a restart");
    stage.all_arrive(&client, &[id]).await;
}
