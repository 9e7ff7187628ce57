//! The dashboard opens to those who hold a link, once; the documentation is open to all, and
//! nothing that is served asks another host for anything.

use std::collections::BTreeSet;

use reqwest::Method;

use crate::support::{
    Answer, Client, PATIENCE, Profile, Site, committed, exchange, http, on_both_profiles, set_up_account, stop, text,
    words,
};

on_both_profiles!(a_sign_in_link_opens_the_dashboard_once, the_command_line_issues_further_links,);

async fn get(url: &str, cookie: Option<&str>) -> Answer {
    let mut request = http().request(Method::GET, url);
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    exchange(request).await.expect("an answer")
}

/// Uses a link up and opens the page it leads to.
async fn sign_in(base_url: &str, link: &str) -> (String, Answer) {
    let cookie = set_up_account(base_url, link, "owner@example.com").await;
    let page = get(&format!("{base_url}/admin/"), Some(&cookie)).await;
    (cookie, page)
}

async fn a_sign_in_link_opens_the_dashboard_once(profile: Profile) {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let info = demo.info();
    let dashboard = &info.dashboard_url;
    assert_eq!(*dashboard, format!("{}/admin/", info.base_url));

    for stranger in [None, Some("waystation_session=made-up")] {
        let refused = get(dashboard, stranger).await;
        assert_eq!((refused.status, refused.header("location")), (303, Some("/admin/sign-in")));
        assert!(!refused.body.contains("Demo"), "{}", refused.body);
    }
    let form = get(&format!("{dashboard}sign-in"), None).await;
    assert_eq!(form.status, 200);
    assert!(form.body.contains("Sign in"), "{}", form.body);
    assert_eq!(get(&format!("{dashboard}sign-in?token=made-up"), None).await.status, 403);

    let (cookie, page) = sign_in(&info.base_url, &info.sign_in_url).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("Overview") && page.body.contains("sandbox"), "{}", page.body);
    let again = get(&info.sign_in_url, None).await;
    assert_eq!(again.status, 403, "a link is used up");
    assert_eq!(again.header("set-cookie"), None);

    let client = Client::new(info, &info.base_url);
    let id = client.send(&text("16505550002", "hi")).await.accepted();
    client.reaches(&id, "delivered").await;
    let page = get(dashboard, Some(&cookie)).await;
    assert_eq!(page.status, 200, "the session stays open");
    assert!(page.body.contains("delivered"), "{}", page.body);
    for page in [&form, &page] {
        assert_stays_at_home(&page.body);
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("default-src 'none'"), "{policy}");
    }
    // The API key is no way in, and the session no key.
    let with_key = exchange(client.request(Method::GET, "/admin/")).await.expect("an answer");
    assert_eq!(with_key.status, 303);
    let with_session = get(&format!("{}/v1/messages/{id}", info.base_url), Some(&cookie)).await;
    assert_eq!(with_session.status, 401);
}

async fn the_command_line_issues_further_links(profile: Profile) {
    let site = Site::new(profile).await;
    let mut server = site.serve("api,worker,admin");
    // A new installation prints its first link by itself.
    let first = server.process.next_line(PATIENCE).expect("a line");
    assert_eq!(first, format!("Dashboard: {}/admin/", server.base_url));
    let second = server.process.next_line(PATIENCE).expect("a line");
    let (_, printed) = second.split_once(": ").expect("a link");
    assert_eq!(get(printed, None).await.status, 200);

    let output = site.run(&["sign-in-link"]);
    assert!(output.status.success(), "{}", words(&output));
    let link = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (_, token) = link.split_once("/admin/sign-in?token=").unwrap_or_else(|| panic!("{link}"));
    let link = format!("{}/admin/sign-in?token={token}", server.base_url);
    assert_eq!(get(printed, None).await.status, 403, "the newest link counts");
    assert_eq!(sign_in(&server.base_url, &link).await.1.status, 200);
    stop(&mut server.process);
}

/// Checks that a page or a style sheet loads nothing from another host.
fn assert_stays_at_home(text: &str) {
    for loading in ["src=\"", "href=\"", "url(", "@import \"", "action=\""] {
        for (_, rest) in text.match_indices(loading).map(|(at, _)| text.split_at(at + loading.len())) {
            let target = rest.trim_start_matches(['"', '\'']);
            assert!(
                !target.starts_with("http:") && !target.starts_with("https:") && !target.starts_with("//"),
                "{loading}{}",
                &target[..target.len().min(80)]
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documentation_is_served_without_another_host() {
    let site = Site::new(Profile::Embedded).await;
    let server = site.serve("api,worker,admin");
    let base_url = &server.base_url;
    let moved = get(&format!("{base_url}/docs"), None).await;
    assert_eq!((moved.status, moved.header("location")), (302, Some("/docs/")));
    let page = get(&format!("{base_url}/docs/"), None).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("swagger-ui"), "{}", page.body);
    assert_stays_at_home(&page.body);
    let mut assets = BTreeSet::new();
    for attribute in ["src=\"", "href=\""] {
        assets.extend(page.body.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()));
    }
    assert!(assets.len() >= 5, "{assets:?}");
    for asset in assets {
        let answer = get(&format!("{base_url}/docs/{}", asset.trim_start_matches("./")), None).await;
        assert_eq!(answer.status, 200, "{asset}");
        if asset.ends_with(".css") || asset.ends_with("initializer.js") {
            assert_stays_at_home(&answer.body);
            assert!(!answer.body.contains("https://"), "{asset}");
        }
        if asset.ends_with("initializer.js") {
            for document in ["\"/openapi/tenant.json\"", "\"/openapi/partner.json\""] {
                assert!(answer.body.contains(document), "{}", answer.body);
            }
        }
    }
    for (name, path) in [("openapi/tenant.json", "/v1/messages"), ("openapi/partner.json", "/partner/v1/businesses")] {
        let document = get(&format!("{base_url}/{name}"), None).await;
        assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")), "{name}");
        assert!(document.json()["paths"].get(path).is_some(), "{name}");
        if let Some(committed) = committed(name) {
            assert!(document.body == committed, "{name} is not what is served");
        }
    }
    let errors = get(&format!("{base_url}/docs/errors"), None).await;
    assert_eq!(errors.status, 200);
    assert!(errors.body.contains("132000"));
}
