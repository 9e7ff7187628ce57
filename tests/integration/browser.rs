//! The dashboard in a real browser: what a person sees and does, with a pointer, with a
//! keyboard alone, and without scripts; and every page as a browser finds it: no request to
//! another host, nothing in its console, nothing wider than a narrow phone.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use waystation_testkit::browser::{Browser, Key, Look, walk};

use crate::support::{Profile, Site};

/// Pages that differ only in what they show which are looked at.
const OF_A_KIND: usize = 3;
/// What the owner signs in with.
const EMAIL: &str = "owner@example.com";

/// Every page that links lead to from `start` has nothing to complain about, in any look.
/// Returns their kinds.
async fn all_pages_are_sound(browser: &Browser, start: &str) -> Result<BTreeSet<String>> {
    let mut complaints = Vec::new();
    let stops = walk(
        browser,
        start,
        |_| OF_A_KIND,
        async |_| {
            for look in [Look::Dark, Look::Phone, Look::Narrow, Look::Light] {
                browser.look(look).await?;
                complaints
                    .extend(browser.complaints().await?.into_iter().map(|fault| format!("{} {fault}", look.name())));
            }
            Ok(())
        },
    )
    .await?;
    ensure!(complaints.is_empty(), "{complaints:#?}");
    Ok(stops.into_iter().map(|stop| stop.kind).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_signs_in_and_the_button_signs_out() -> Result<()> {
    let site = Site::new(Profile::Embedded).await;
    let demo = site.demo(None);
    let info = demo.info();
    let browser = Browser::start(&info.base_url).await?;

    browser.open("/admin/").await?;
    browser.arrives("/admin/sign-in").await?;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    browser.click("I have a sign-in link").await?;
    browser.fill("token", &info.sign_in_url).await?;
    browser.press("Open the link").await?;
    browser.sees("Choose a password").await?;
    let mut account = browser.set_up(&info.sign_in_url, EMAIL).await?;
    browser.arrives("/admin/").await?;
    assert_eq!(browser.text_of("h1").await?, "Overview");
    browser.press("Refresh").await?;
    assert_eq!(browser.text_of("h1").await?, "Overview");

    browser.press("Sign out").await?;
    browser.arrives("/admin/sign-in").await?;
    browser.open("/admin/").await?;
    browser.arrives("/admin/sign-in").await?;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());

    // From then on, password and code.
    browser.sign_in(&mut account).await?;
    browser.arrives("/admin/").await?;
    browser.press("Sign out").await?;

    // A link that was used up is refused with a page that says so.
    browser.open(&info.sign_in_url).await?;
    browser.sees("This link does not work").await?;
    assert_eq!(browser.faults().await?, Vec::<String>::new());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_sound_on_every_screen() -> Result<()> {
    let site = Site::new(Profile::Embedded).await;
    let demo = site.demo(None);
    let browser = Browser::start(&demo.info().base_url).await?;
    assert!(all_pages_are_sound(&browser, "/admin/sign-in").await?.contains("sign-in"));
    browser.set_up(&demo.info().sign_in_url, EMAIL).await?;
    assert!(all_pages_are_sound(&browser, "/admin/").await?.contains("overview"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_reaches_everything_in_order_and_shows_where_it_is() -> Result<()> {
    let site = Site::new(Profile::Embedded).await;
    let demo = site.demo(None);
    let browser = Browser::start(&demo.info().base_url).await?;
    browser.set_up(&demo.info().sign_in_url, EMAIL).await?;
    browser.arrives("/admin/").await?;

    browser.key(&[], Key::Tab).await?;
    let skip = browser.focus().await?;
    assert!(skip.visible && skip.text == "Skip to the content", "{skip:?}");
    browser.key(&[], Key::Enter).await?;
    assert_eq!(browser.focus().await?.id, "main");
    browser.key(&[], Key::Tab).await?;
    let first = browser.focus().await?;
    assert_eq!(first.text, "Refresh", "the first in the content");

    // From the top again: each place once, in the order of the page, and marked.
    browser.open("/admin/").await?;
    let expected = browser.script(TABBABLE, vec![]).await?;
    let expected: Vec<String> = serde_json::from_value(expected)?;
    assert!(expected.len() >= 4, "{expected:?}");
    let mut reached = Vec::new();
    for _ in &expected {
        browser.key(&[], Key::Tab).await?;
        let focus = browser.focus().await?;
        assert!(focus.visible, "nothing marks {focus:?}");
        reached.push(focus.text);
    }
    assert_eq!(reached, expected);

    browser.use_keyboard(true);
    browser.press("Sign out").await?;
    browser.arrives("/admin/sign-in").await?;
    Ok(())
}

/// The texts of all that the Tab key can come to, in the order of the page.
const TABBABLE: &str = r"
return [...document.querySelectorAll('a[href], button, summary, input:not([type=hidden]), select, textarea')]
    .filter((element) => !element.disabled && element.checkVisibility({ visibilityProperty: true }))
    .map((element) => (element.getAttribute('aria-label') || element.innerText || '').replace(/\s+/g, ' ').trim());
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_works_without_scripts() -> Result<()> {
    let site = Site::new(Profile::Embedded).await;
    let demo = site.demo(None);
    let browser = Browser::start(&demo.info().base_url).await?;
    browser.scripts(false).await?;
    browser.set_up(&demo.info().sign_in_url, EMAIL).await?;
    browser.arrives("/admin/").await?;
    // On a phone the navigation is behind a button.
    browser.look(Look::Phone).await?;
    browser.click("Menu").await?;
    browser.press("Sign out").await?;
    browser.arrives("/admin/sign-in").await?;
    Ok(())
}
