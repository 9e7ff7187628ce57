//! How a template comes to be sent, played in a browser by its people: written with its preview beside it, refused with a
//! reason, corrected, approved, sent over the API, delivered and read.

use anyhow::{Result, ensure};
use waystation_testkit::browser::Browser;

use crate::support::{Client, Profile, Site, template};

/// How the reviewer and the tenant use their browsers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hands {
    Pointer,
    KeyboardAlone,
    PointerWithoutScripts,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_written_corrected_approved_sent_and_read() -> Result<()> {
    Box::pin(play(Profile::Embedded, Hands::Pointer)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_approved_with_the_keyboard_alone() -> Result<()> {
    Box::pin(play(Profile::Embedded, Hands::KeyboardAlone)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_is_approved_without_scripts_on_postgresql_and_redis() -> Result<()> {
    Box::pin(play(Profile::Cluster, Hands::PointerWithoutScripts)).await
}

/// What the reviewer asks for.
const REASON: &str = "Say which parcel it is about: recipients have more than one.";

async fn play(profile: Profile, hands: Hands) -> Result<()> {
    let site = Site::new(profile).await;
    let demo = site.demo(None);
    let info = demo.info();
    let owner = Browser::start(&info.base_url).await?;
    owner.set_up(&info.sign_in_url, "olga@platform.example").await?;
    owner.open(&format!("/admin/businesses/{}", info.business_id)).await?;
    let tenants = owner.invite("Invite its owner", "Bea Baker", "bea@bakery.example", "").await?;
    owner.press("Users").await?;
    let reviewers = owner.invite("Invite", "Viktor Reviewer", "viktor@platform.example", "Reviewer").await?;

    let tenant = sit_down(&info.base_url, hands).await?;
    tenant.set_up(&tenants, "bea@bakery.example").await?;
    write(&tenant, hands).await?;
    let reviewer = sit_down(&info.base_url, hands).await?;
    reviewer.set_up(&reviewers, "viktor@platform.example").await?;
    reviewer.press("Templates").await?;
    reviewer.sees("Demo Bakery").await?;
    reviewer.press("parcel_news").await?;
    reviewer.sees("Hi Ana, your parcel ships with Swift today.").await?;
    reviewer.fill("reason-changes", REASON).await?;
    reviewer.press("Ask for changes").await?;
    reviewer.sees("Nothing waits").await?;

    tenant.press("Templates").await?;
    tenant.press("parcel_news").await?;
    tenant.sees(REASON).await?;
    tenant.press("Edit").await?;
    let kept = tenant.value_of("body").await?;
    ensure!(kept.contains("your parcel ships"), "{kept}");
    tenant.fill("body", "Hi {{1}}, your blue parcel ships with {{2}} today.").await?;
    tenant.press("Submit for review").await?;
    tenant.sees("in review").await?;

    reviewer.press("Templates").await?;
    reviewer.press("parcel_news").await?;
    reviewer.sees(REASON).await?;
    let came = reviewer.text_of(".difference ins").await?;
    ensure!(came.trim() == "blue", "what came is shown as {came:?}");
    reviewer.press("Approve").await?;
    reviewer.sees("The template is approved.").await?;
    tenant.press("Templates").await?;
    tenant.sees("approved").await?;

    let client = Client::new(info, &info.base_url);
    let message = template("16505550001", "parcel_news", &["Bo", "Swift"]);
    let id = client.send(&message).await.accepted();
    client.reaches(&id, "read").await;
    for browser in [&owner, &tenant, &reviewer] {
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

/// The tenant writes a template and sees beside it what becomes of it: by itself, or without scripts by a button.
async fn write(tenant: &Browser, hands: Hands) -> Result<()> {
    tenant.press("Templates").await?;
    tenant.press("New template").await?;
    tenant.fill("name", "parcel_news").await?;
    tenant.choose("language", "en_US").await?;
    tenant.choose("category", "Utility").await?;
    tenant.fill("body", "Hi {{1}}, your parcel ships with {{2}} today.").await?;
    tenant.fill("samples", "1 = Ana\n2 = Swift").await?;
    tenant.choose("button_0_kind", "Quick reply").await?;
    tenant.fill("button_0_text", "Thanks").await?;
    if hands == Hands::PointerWithoutScripts {
        tenant.press("Preview").await?;
    }
    tenant.sees("Hi Ana, your parcel ships with Swift today.").await?;
    tenant.sees("in 1 part, GSM alphabet").await?;
    ensure!(tenant.value_of("name").await? == "parcel_news", "what was filled in is gone");
    tenant.press("Submit for review").await?;
    tenant.sees("The template is handed in.").await
}
