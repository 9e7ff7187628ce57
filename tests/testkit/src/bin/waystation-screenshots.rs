//! Writes a picture of every page of the dashboard, as each role sees it, in light, in dark and
//! on a phone, so that a person can look at them. What a browser has to complain about is said,
//! and makes the command fail.

#![forbid(unsafe_code)]

use std::{fs, path::PathBuf};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use waystation_testkit::{
    browser::{Browser, Look, PASSWORD, walk},
    process::Waystation,
    scene,
    sink::WebhookSink,
};

/// Pages of the owner that are about one thing: enough for one in every state.
const OF_THINGS: usize = 10;
/// All others that differ only in ids and values.
const OF_A_KIND: usize = 2;

#[derive(Parser)]
#[command(version, about = "Writes screenshots of every page of the dashboard, as each role sees it")]
struct Arguments {
    /// The folder for the pictures; created where there is none.
    #[arg(default_value = "screenshots")]
    folder: PathBuf,
    /// The program.
    #[arg(long, value_name = "FILE")]
    bin: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    fs::create_dir_all(&arguments.folder)
        .with_context(|| format!("cannot create the folder {}", arguments.folder.display()))?;
    let sink = WebhookSink::start()?;
    let data = tempfile::Builder::new().prefix("waystation-screenshots-").tempdir()?;
    let path = data.path().display().to_string();
    let demo = ["demo", "--json", "--port", "0", "--data", &path, "--webhook", &sink.url()];
    let demo = Waystation::spawn(&arguments.bin, demo, scene::ENVIRONMENT)?;
    let info = demo.info();
    let mut album = Album { folder: arguments.folder, pictures: 0, complaints: Vec::new() };

    let owner = Browser::start(&info.base_url).await?;
    album.way_in(&owner, &info.sign_in_url).await?;
    let links = scene::set(info, &owner).await?;
    album.take_all(&owner, "owner").await?;
    album.answers(&owner, &info.business_id).await?;
    for (role, link, email) in [
        ("reviewer", &links.reviewer, "viktor@platform.example"),
        ("reseller", &links.admin, "rita@reseller.example"),
        ("business", &links.business_owner, "bea@bakery.example"),
    ] {
        let browser = Browser::start(&info.base_url).await?;
        browser.set_up(link, email).await?;
        album.take_all(&browser, role).await?;
    }

    println!("{} pictures in {}", album.pictures, album.folder.display());
    ensure!(album.complaints.is_empty(), "what is wrong with the pages:\n{}", album.complaints.join("\n"));
    Ok(())
}

/// The pictures, and what is wrong with what is on them.
struct Album {
    folder: PathBuf,
    pictures: usize,
    complaints: Vec<String>,
}

impl Album {
    /// Takes pictures of every page that `role` gets to.
    async fn take_all(&mut self, browser: &Browser, role: &str) -> Result<()> {
        let shows_states = |kind: &str| role == "owner" && (kind.ends_with("ID") || kind.ends_with("review"));
        let of_a_kind = |kind: &str| if shows_states(kind) { OF_THINGS } else { OF_A_KIND };
        walk(browser, "/admin/", of_a_kind, async |stop| {
            let number = if stop.number == 1 { String::new() } else { format!("-{}", stop.number) };
            self.take(browser, &format!("{role}-{}{number}", stop.kind)).await
        })
        .await?;
        Ok(())
    }

    /// Takes pictures of the page that is open.
    async fn take(&mut self, browser: &Browser, name: &str) -> Result<()> {
        for look in [Look::Dark, Look::Phone, Look::Light] {
            browser.look(look).await?;
            let name = format!("{name}-{}.png", look.name());
            fs::write(self.folder.join(&name), browser.screenshot().await?)?;
            self.pictures += 1;
            let complaints = browser.complaints().await?;
            self.complaints.extend(complaints.into_iter().map(|complaint| format!("{name}: {complaint}")));
        }
        Ok(())
    }

    /// The same of a page that says that something is wrong, which the browser notes as an error.
    async fn take_refusal(&mut self, browser: &Browser, name: &str) -> Result<()> {
        browser.console().await?;
        self.take(browser, name).await
    }

    /// What somebody sees on their way in, who then is.
    async fn way_in(&mut self, browser: &Browser, link: &str) -> Result<()> {
        let email = "owner@platform.example";
        browser.open("/admin/sign-in").await?;
        self.take(browser, "way-in-1-sign-in").await?;
        browser.open("/admin/sign-in?token=of-yesterday").await?;
        self.take_refusal(browser, "way-in-2-link-refused").await?;
        browser.open(link).await?;
        self.take(browser, "way-in-3-password").await?;
        browser.fill("email", email).await?;
        browser.press("Continue").await?;
        self.take_refusal(browser, "way-in-4-password-refused").await?;
        browser.choose_password(email).await?;
        self.take(browser, "way-in-5-two-factor").await?;
        let mut app = browser.scan().await?;
        browser.fill("code", &app.code().await?).await?;
        browser.press("Turn on two-factor").await?;
        self.take(browser, "way-in-6-recovery-codes").await?;
        browser.press("Continue").await?;
        browser.press("Sign out").await?;
        self.take(browser, "way-out").await?;
        browser.fill("email", email).await?;
        browser.fill("password", "not the password").await?;
        browser.press("Sign in").await?;
        self.take_refusal(browser, "way-in-7-refused").await?;
        browser.fill("password", PASSWORD).await?;
        browser.press("Sign in").await?;
        self.take(browser, "way-in-8-code").await?;
        browser.fill("code", &app.code().await?).await?;
        browser.press("Sign in").await
    }

    /// What comes of sending forms, and of addresses that lead nowhere.
    async fn answers(&mut self, browser: &Browser, business: &str) -> Result<()> {
        let of = |path: &str| format!("/admin/businesses/{business}{path}");
        for (name, page, button) in [
            ("invitation", "/admin/users/new".to_owned(), "Invite"),
            ("reseller", "/admin/resellers/new".to_owned(), "Add reseller"),
            ("business", "/admin/businesses/new".to_owned(), "Add business"),
            ("key", of("/credentials/keys/new"), "Create key"),
            ("client", of("/credentials/clients/new"), "Create client"),
        ] {
            browser.open(&page).await?;
            browser.press_in("main form", button).await?;
            self.take_refusal(browser, &format!("answer-{name}-refused")).await?;
        }
        browser.open("/admin/users").await?;
        browser.invite("Invite", "Nora New", "", "Reviewer").await?;
        self.take(browser, "answer-invitation").await?;
        browser.open(&of("")).await?;
        browser.issue_key("a picture", "Live", &["messages:send"]).await?;
        self.take(browser, "answer-key").await?;
        for (name, path) in [("nothing-there", "/admin/nothing"), ("no-such-business", "/admin/businesses/biz_x")] {
            browser.open(path).await?;
            self.take_refusal(browser, &format!("answer-{name}")).await?;
        }
        Ok(())
    }
}
