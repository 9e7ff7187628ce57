//! A database that is gone is no reason to lose or to invent anything: what cannot be kept is
//! refused in words that tell clients to come again, and what was kept is delivered.

use std::{process::Command, time::Duration};

use waystation_testkit::{
    servers::{Postgres, Redis},
    sink::WebhookSink,
};

use crate::support::{
    Client, DELIVERED_ONLY, PATIENCE, Site, accepted, all_told, assert_no_silent_repeat, eventually, exchange, text,
};

/// Answers that came while connections broke.
fn is_expected(refusal: &str) -> bool {
    refusal.starts_with("503: ") || refusal.starts_with("no answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_accepted_message_is_lost_when_postgresql_is_killed_under_load() {
    let postgres = Postgres::start().await.expect("a PostgreSQL");
    let mut site = Site::on(&postgres, Redis::shared().await.expect("a Redis")).await;
    site.recover_quickly();
    let sink = WebhookSink::start().expect("a sink");
    let info = site.add_business(Some(&sink));
    let (api, _worker) = (site.serve("api,admin"), site.serve("worker"));
    let client = Client::new(&info, &api.base_url);

    let mut ids = Vec::new();
    for round in 0_usize..2 {
        let load = client.load(200, 4, 200.0, DELIVERED_ONLY);
        sink.reached("sent", ids.len() + 40, PATIENCE).await;
        postgres.kill().expect("a kill");

        let message = text("16505550002", "is anybody there?");
        let mut with_sender = message.clone();
        with_sender["from"] = client.phone_number_id.as_str().into();
        for (path, body) in [(client.cloud_path(), &message), ("/v1/messages".to_owned(), &with_sender)] {
            // The sessions of a killed server end within moments; what one of them still takes is kept.
            let answer = eventually("the database is missed", async || {
                let answer = exchange(client.posting(&path, body)).await.expect("an answer");
                if answer.status / 100 == 2 {
                    ids.push(answer.accepted());
                    return None;
                }
                Some(answer)
            })
            .await;
            assert_eq!(answer.status, 503, "{path}: {}", answer.body);
            assert!(answer.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{path}");
            let body = answer.json();
            let code = if path == "/v1/messages" { &body["code"] } else { &body["error"]["code"] };
            assert_eq!(*code, 131_016, "{path}: {body}");
        }
        let asked = ids.first().map_or("wamid.01JD9Z8W7V6T5S4R3Q2P1N0M9K", String::as_str);
        for (path, status) in [
            (format!("/v1/messages/{asked}"), 503),
            ("/health/ready".to_owned(), 503),
            ("/health/live".to_owned(), 200),
        ] {
            eventually(&format!("{path} is answered {status}"), async || {
                (client.get(&path).await.status == status).then_some(())
            })
            .await;
        }
        tokio::time::sleep(Duration::from_millis(500 * (round as u64))).await;

        postgres.restart().await.expect("a restart");
        eventually("the database is back", async || (client.get("/health/ready").await.status == 200).then_some(()))
            .await;
        let outcome = load.ended().await;
        assert!(outcome.refused.keys().all(|refusal| is_expected(refusal)), "{:?}", outcome.refused);
        ids.extend(accepted(&outcome));
        ids.push(client.send(&text("16505550002", "it is back")).await.accepted());
    }

    let messages = client.all_reach(&ids, "delivered").await;
    let histories = client.all_events(&ids).await;
    for (message, events) in messages.iter().zip(&histories) {
        assert_no_silent_repeat(message, events);
    }
    all_told(&sink, &ids, &histories).await;
    // A commit may have been made although its answer was lost; more than was asked for there never is.
    let kept = site.messages().await;
    assert!(kept >= i64::try_from(ids.len()).unwrap_or(i64::MAX), "{kept} of {}", ids.len());
}

/// The processes of a PostgreSQL, its own first.
fn processes(postgres: &Postgres) -> Vec<String> {
    let file = std::fs::read_to_string(postgres.folder().join("data/postmaster.pid")).expect("a pid file");
    let main = file.lines().next().expect("a pid").to_owned();
    let mut all = vec![main.clone()];
    for entry in std::fs::read_dir("/proc").expect("processes").flatten() {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).map(str::trim);
        if parent == Some(main.as_str()) {
            all.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    all
}

fn signal(signal: &str, processes: &[String]) {
    // One that has ended meanwhile needs no signal.
    Command::new("kill").arg(signal).args(processes).output().expect("kill runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_hangs_leaves_no_request_without_an_answer() {
    let postgres = Postgres::start().await.expect("a PostgreSQL");
    let site = Site::on(&postgres, Redis::shared().await.expect("a Redis")).await;
    let info = site.add_business(None);
    let server = site.serve("api,worker,admin");
    let client = Client::new(&info, &server.base_url);
    let message = text("16505550002", "hi");
    let id = client.post(&client.cloud_path(), &message).await.accepted();
    client.reaches(&id, "delivered").await;

    let frozen = processes(&postgres);
    assert!(frozen.len() > 3, "{frozen:?}");
    signal("-STOP", &frozen);
    let (path, one) = (client.cloud_path(), format!("/v1/messages/{id}"));
    let (sent, read, ready, live) = tokio::join!(
        client.post(&path, &message),
        client.get(&one),
        client.get("/health/ready"),
        client.get("/health/live"),
    );
    signal("-CONT", &frozen);
    assert_eq!((sent.status, read.status, ready.status, live.status), (503, 503, 503, 200), "{}", sent.body);
    for answer in [&sent, &read] {
        assert!(answer.header("retry-after").is_some(), "{}", answer.body);
    }

    let after = eventually("the database is back", async || {
        let answer = client.post(&path, &message).await;
        (answer.status == 200).then(|| answer.accepted())
    })
    .await;
    client.reaches(&after, "delivered").await;
}
