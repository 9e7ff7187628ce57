//! A request that is repeated with its idempotency key is carried out once, whichever process it
//! meets and whatever the queue has forgotten.

use serde_json::Value;
use waystation_testkit::{
    servers::{Postgres, Redis},
    sink::WebhookSink,
};

use crate::support::{Answer, Client, PATIENCE, Profile, Site, exchange, on_both_profiles, text};

on_both_profiles!(a_repeated_request_gets_the_first_answer_and_sends_nothing, a_key_outlives_a_crash,);

async fn send(client: &Client, path: &str, key: &str, message: &Value) -> Answer {
    exchange(client.posting(path, message).header("idempotency-key", key)).await.expect("an answer")
}

async fn a_repeated_request_gets_the_first_answer_and_sends_nothing(profile: Profile) {
    let site = Site::new(profile).await;
    let sink = WebhookSink::start().expect("a sink");
    let demo = site.demo(Some(&sink));
    site.delay_receipts().await;
    let client = Client::new(demo.info(), &demo.info().base_url);
    let cloud = client.cloud_path();
    let mut message = text("16505550001", "once");
    message["from"] = client.phone_number_id.as_str().into();

    let mut ids = Vec::new();
    for path in [cloud.as_str(), "/v1/messages"] {
        let first = send(&client, path, "key 1", &message).await;
        assert_eq!(first.header("idempotency-replayed"), None, "keys of different routes are different");
        let id = first.accepted();
        for _ in 0..2 {
            let again = send(&client, path, "key 1", &message).await;
            assert_eq!(again.header("idempotency-replayed"), Some("true"));
            assert_eq!((again.status, again.json()), (first.status, first.json()));
        }
        let mut other = message.clone();
        other["text"]["body"] = "twice".into();
        let refused = send(&client, path, "key 1", &other).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        let code = if path == cloud { &refused.json()["error"]["code"] } else { &refused.json()["code"] };
        assert_eq!(*code, 100);
        // Another key is another request, and a request that was refused takes no key.
        other["text"]["body"] = "".into();
        assert_eq!(send(&client, path, "key 2", &other).await.status / 100, 4);
        let fresh = send(&client, path, "key 2", &message).await;
        assert_eq!(fresh.header("idempotency-replayed"), None);
        assert_ne!(fresh.accepted(), id);
        ids.extend([id, fresh.accepted()]);
    }
    client.all_reach(&ids, "read").await;
    let last = send(&client, &cloud, "key 1", &message).await;
    assert_eq!(last.accepted(), ids[0], "it holds when the message is long done with");
    assert_eq!(site.messages().await, 4);
    assert_eq!(sink.reached("read", 4, PATIENCE).await, 4);
    assert_eq!(sink.tally().received, 12);
}

async fn a_key_outlives_a_crash(profile: Profile) {
    let site = Site::new(profile).await;
    let info = site.add_business(None);
    let message = text("16505550001", "once");
    let mut first = site.serve("api,worker,admin");
    let client = Client::new(&info, &first.base_url);
    let id = send(&client, &client.cloud_path(), "key", &message).await.accepted();
    first.process.kill9().expect("a kill");
    let second = site.serve("api,worker,admin");
    let client = client.at(&second.base_url);
    let again = send(&client, &client.cloud_path(), "key", &message).await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.accepted(), id);
    assert_eq!(site.messages().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_requests_with_one_key_at_two_processes_one_sends_even_if_redis_forgets() {
    const REQUESTS: usize = 20;
    let redis = Redis::start().await.expect("a Redis");
    let mut site = Site::on(Postgres::shared().await.expect("a PostgreSQL"), &redis).await;
    site.recover_quickly();
    let sink = WebhookSink::start().expect("a sink");
    let info = site.add_business(Some(&sink));
    site.delay_receipts().await;
    let servers = [site.serve("api,admin"), site.serve("api")];
    let _worker = site.serve("worker");
    let clients = servers.each_ref().map(|server| Client::new(&info, &server.base_url));
    let message = text("16505550001", "once");

    for (round, wiped) in [(0, false), (1, true)] {
        let burst = |number: usize| {
            let (client, message) = (clients[number % 2].clone(), message.clone());
            tokio::spawn(async move { send(&client, &client.cloud_path(), &format!("key {round}"), &message).await })
        };
        let mut requests: Vec<_> = (0..REQUESTS).map(burst).collect();
        if wiped {
            redis.wipe().await.expect("a wipe");
            requests.extend((0..REQUESTS).map(burst));
        }
        let mut created = 0;
        let mut ids = Vec::new();
        for request in requests {
            let answer = request.await.expect("a request");
            created += usize::from(answer.header("idempotency-replayed").is_none());
            ids.push(answer.accepted());
        }
        ids.dedup();
        assert_eq!((created, ids.len()), (1, 1), "{ids:?}");
        assert_eq!(clients[0].reaches(&ids[0], "read").await["attempts"], 1);
        assert_eq!(site.messages().await, round + 1);
    }
    assert_eq!(sink.reached("read", 2, PATIENCE).await, 2);
    assert_eq!((sink.count("sent"), sink.count("delivered")), (2, 2));
}
