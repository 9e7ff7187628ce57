//! A sender whose recipients want no more of it is stopped, and a person decides what follows.

use serde_json::json;

use crate::support::{Client, Dashboard, Profile, Site, eventually, exchange, http, on_both_profiles, text};

on_both_profiles!(a_sender_that_recipients_opt_out_of_is_paused_until_a_reviewer_releases_it,);

async fn a_sender_that_recipients_opt_out_of_is_paused_until_a_reviewer_releases_it(profile: Profile) {
    let mut site = Site::new(profile).await;
    site.set("abuse.messages_min", 10);
    site.set("worker.reconcile_seconds", 1);
    let demo = site.demo(None);
    let info = demo.info();
    let tenant = Client::new(info, &info.base_url);
    let platform = Dashboard::sign_in(&info.base_url, &info.sign_in_url, "owner@example.com").await;
    let partner = async |method: reqwest::Method, path: &str| {
        let request = http().request(method, format!("{}/partner/v1{path}", info.base_url));
        exchange(request.bearer_auth(&info.partner_token)).await.expect("an answer")
    };

    // Of ten recipients one has stopped the business's marketing: too many.
    let mut ids = Vec::new();
    for number in 0..9 {
        ids.push(tenant.send(&text("16505550002", &format!("Offer {number}"))).await.accepted());
    }
    tenant.all_reach(&ids, "delivered").await;
    let last = tenant.send(&text("16505550050", "Offer 9")).await.accepted();
    tenant.reaches(&last, "failed").await;
    // Looked for in the database: every message more would make the share smaller.
    let cases = "SELECT count(*) FROM abuse_cases";
    eventually("the sender is paused", async || (site.number(cases).await == 1).then_some(())).await;
    let refusal = eventually("the sender is refused", async || {
        let answer = tenant.send(&text("16505550002", "One more")).await;
        (answer.status == 403).then_some(answer)
    })
    .await;
    assert_eq!(refusal.json()["error"]["code"], 131_031, "{}", refusal.body);
    assert!(refusal.body.contains("opted out"), "{}", refusal.body);

    // The reseller sees why, and cannot wave it through.
    let cases = partner(reqwest::Method::GET, "/cases").await.json();
    let case = &cases["data"][0];
    assert_eq!((&case["sender"], &case["evidence"]["opt_outs"]), (&json!(info.phone_number_id), &json!(1)), "{cases}");
    let resumed = partner(reqwest::Method::POST, &format!("/senders/{}/resume", info.phone_number_id)).await;
    assert_eq!(resumed.status, 403, "{}", resumed.body);

    // A reviewer does, and it is not paused again for the same thing.
    let case = case["id"].as_str().expect("an id");
    let page = format!("/admin/cases/{case}");
    assert!(platform.get("/admin/cases").await.contains(case));
    assert!(platform.get(&page).await.contains("opted out"));
    let decision = [("verdict", "release"), ("reason", "One recipient of ten is chance")];
    platform.post(&page, &format!("{page}/decision"), &decision).await;
    let id = eventually("the sender goes on", async || {
        let answer = tenant.send(&text("16505550002", "Back again")).await;
        (answer.status == 200).then(|| answer.accepted())
    })
    .await;
    tenant.reaches(&id, "delivered").await;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(tenant.send(&text("16505550002", "And again")).await.status, 200);
    let cases = partner(reqwest::Method::GET, "/cases").await.json();
    assert_eq!(cases["data"].as_array().map(Vec::len), Some(1), "{cases}");
}
