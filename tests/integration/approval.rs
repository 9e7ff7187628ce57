//! How a business comes to send, played in a browser by its people, from the first sign-in of an
//! installation to the first message: with a pointer, with the keyboard alone, and without scripts.
//! All is logged that can be, and no log has any of the secrets that come up on the way.

use anyhow::{Context as _, Result, ensure};
use waystation_testkit::{
    browser::{Browser, Profile as BusinessProfile},
    secrets,
};

use crate::support::{Client, PATIENCE, Profile, Server, Site, text};

/// How people use their browsers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hands {
    Pointer,
    KeyboardAlone,
    PointerWithoutScripts,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_business_is_approved_and_sends() -> Result<()> {
    Box::pin(play(Profile::Embedded, Hands::Pointer)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_business_is_approved_with_the_keyboard_alone() -> Result<()> {
    Box::pin(play(Profile::Embedded, Hands::KeyboardAlone)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_business_is_approved_without_scripts_on_postgresql_and_redis() -> Result<()> {
    Box::pin(play(Profile::Cluster, Hands::PointerWithoutScripts)).await
}

const RESELLER: &str = "Nordwind Partners";
const BUSINESS: &str = "Blumenhaus Meier";
/// What the reviewer asks for.
const REASON: &str = "The registration number is not the one on the extract: please put it right.";
/// A number of the sandbox.
const NUMBER: &str = "+1 555 078 4711";
/// What stands on the document.
const LINE: &str = "Extract of the register of companies 86753";

async fn play(profile: Profile, hands: Hands) -> Result<()> {
    let mut site = Site::new(profile).await;
    site.set("log.filter", "trace");
    let mut server = site.serve("api,worker,admin");
    let (admins_link, reviewers_link) = begin(&mut server, hands).await?;
    let business = BusinessProfile::of_shop(BUSINESS).with("registration_number", "HRB 1174 B");

    let admin = sit_down(&server.base_url, hands).await?;
    onboard(&admin, &admins_link, &business).await?;
    let reviewer = sit_down(&server.base_url, hands).await?;
    reviewer.set_up(&reviewers_link, "viktor@platform.example").await?;
    look_at_it(&reviewer).await?;
    reviewer.decide("Ask for changes", REASON).await?;

    correct(&admin).await?;
    reviewer.press("Verification").await?;
    reviewer.press(BUSINESS).await?;
    reviewer.press("Start review").await?;
    reviewer.sees(REASON).await?;
    reviewer.sees("HRB 4711 B").await?;
    reviewer.decide("Approve", "").await?;
    reviewer.press("Verification").await?;
    reviewer.sees("Nobody waits").await?;

    let client = go_live(&admin, &server.base_url).await?;
    let id = client.send(&text("16505550002", "Your flowers are on their way.")).await.accepted();
    client.reaches(&id, "delivered").await;
    for browser in [&admin, &reviewer] {
        let complaints = browser.complaints().await?;
        ensure!(complaints.is_empty(), "{complaints:#?}");
    }
    Ok(())
}

/// A browser of somebody's own.
async fn sit_down(base_url: &str, hands: Hands) -> Result<Browser> {
    let browser = Browser::start(base_url).await?;
    browser.use_keyboard(hands == Hands::KeyboardAlone);
    browser.scripts(hands != Hands::PointerWithoutScripts).await?;
    Ok(browser)
}

/// The owner comes in by the link that a new installation prints, sets up their account, signs in
/// again with it, and invites others: a reseller's admin, and a reviewer. Returns their links.
async fn begin(server: &mut Server, hands: Hands) -> Result<(String, String)> {
    server.process.next_line(PATIENCE)?;
    let printed = server.process.next_line(PATIENCE)?;
    let (_, link) = printed.split_once(": ").context("no link")?;
    let browser = sit_down(&server.base_url, hands).await?;
    let mut owner = browser.set_up(link, "olga@platform.example").await?;
    browser.press("Sign out").await?;
    browser.sign_in(&mut owner).await?;
    browser.arrives("/admin/").await?;

    browser.add_reseller(RESELLER).await?;
    let admins = browser.invite("Invite an admin", "Rita Reseller", "rita@nordwind.example", "").await?;
    browser.press("Users").await?;
    let reviewers = browser.invite("Invite", "Viktor Reviewer", "viktor@platform.example", "Reviewer").await?;
    let complaints = browser.complaints().await?;
    ensure!(complaints.is_empty(), "{complaints:#?}");
    Ok((admins, reviewers))
}

/// The reseller's admin takes a business through all steps, and leaves in the middle.
async fn onboard(admin: &Browser, link: &str, profile: &BusinessProfile) -> Result<()> {
    let mut account = admin.set_up(link, "rita@nordwind.example").await?;
    admin.add_business(BUSINESS).await?;
    let half = profile.first(5);
    admin.fill_profile(&half).await?;
    admin.press("Save").await?;
    admin.press("Sign out").await?;
    admin.sign_in(&mut account).await?;
    admin.resume(BUSINESS).await?;
    for (field, value) in &half.0 {
        let kept = admin.value_of(field).await?;
        ensure!(kept == *value, "{field} was {value:?} and is {kept:?}");
    }

    admin.fill_profile(profile).await?;
    admin.press("Save and continue").await?;
    secrets::keep("document", LINE);
    admin.upload_pdf("Certificate of registration", "register.pdf", LINE).await?;
    admin.sees("register.pdf").await?;
    admin.press("Continue").await?;
    admin.add_number(NUMBER).await?;
    admin.press("Continue").await?;
    admin.press("Submit for review").await?;
    admin.sees("Handed in").await
}

/// The reviewer takes the business from the queue and opens its document where it stands.
async fn look_at_it(reviewer: &Browser) -> Result<()> {
    reviewer.press("Verification").await?;
    reviewer.sees(RESELLER).await?;
    reviewer.press(BUSINESS).await?;
    reviewer.press("Start review").await?;
    reviewer.sees("HRB 1174 B").await?;
    reviewer.requests().await?;
    reviewer.click("register.pdf*").await?;
    reviewer.wait("the document is shown", async || Ok(reviewer.shows_pdf().await?.then_some(()))).await
}

/// The reseller's admin reads what is asked for, does it, and submits again.
async fn correct(admin: &Browser) -> Result<()> {
    admin.resume(BUSINESS).await?;
    admin.sees(REASON).await?;
    admin.press("Business profile*").await?;
    admin.fill("registration_number", "HRB 4711 B").await?;
    admin.press("Save and continue").await?;
    admin.press("Review and submit*").await?;
    admin.press("Submit for review").await?;
    admin.sees("Handed in").await
}

/// The reseller's admin finds the business verified and issues a live key, which is shown once.
async fn go_live(admin: &Browser, base_url: &str) -> Result<Client> {
    admin.press("Businesses").await?;
    admin.press(BUSINESS).await?;
    let sender = admin.text_of("section[aria-labelledby=senders] td code").await?;
    let key = admin.issue_key("shop", "Live", &["messages:send", "messages:read"]).await?;
    ensure!(key.starts_with("ws_live_"), "not a live key");
    admin.press("Done").await?;
    admin.sees("shop").await?;
    ensure!(!admin.source().await?.contains(&key), "the key is shown again");
    Ok(Client::with_key(base_url, &key, &sender))
}
