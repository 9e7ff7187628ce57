//! Writes a picture of every page of the dashboard, as each role sees it, in light, in dark and
//! on a phone, so that a person can look at them. What a browser has to complain about is said,
//! and makes the command fail.

#![forbid(unsafe_code)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use waystation_testkit::{
    browser::{Browser, Look, Stop, walk},
    process::{NO_ENV, Waystation},
};

/// Pages that differ only in what they show: enough for one in every state.
const OF_A_KIND: usize = 12;

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
    let demo = Waystation::spawn(&arguments.bin, ["demo", "--json", "--port", "0"], NO_ENV)?;
    let browser = Browser::start(&demo.info().base_url).await?;
    let mut album = Album { folder: &arguments.folder, browser: &browser, pictures: 0, complaints: Vec::new() };

    album.take_all("nobody", "/admin/sign-in").await?;
    browser.set_up(&demo.info().sign_in_url, "owner@example.com").await?;
    album.take_all("owner", "/admin/").await?;

    println!("{} pictures in {}", album.pictures, arguments.folder.display());
    ensure!(album.complaints.is_empty(), "what is wrong with the pages:\n{}", album.complaints.join("\n"));
    Ok(())
}

/// The pictures, and what is wrong with what is on them.
struct Album<'a> {
    folder: &'a Path,
    browser: &'a Browser,
    pictures: usize,
    complaints: Vec<String>,
}

impl Album<'_> {
    /// Takes pictures of every page that `role` gets to from `start`.
    async fn take_all(&mut self, role: &str, start: &str) -> Result<()> {
        walk(self.browser, start, OF_A_KIND, async |stop| self.take(role, stop).await).await?;
        Ok(())
    }

    async fn take(&mut self, role: &str, stop: &Stop) -> Result<()> {
        let number = if stop.number == 1 { String::new() } else { format!("-{}", stop.number) };
        for look in [Look::Dark, Look::Phone, Look::Light] {
            self.browser.look(look).await?;
            let name = format!("{role}-{}{number}-{}.png", stop.kind, look.name());
            fs::write(self.folder.join(&name), self.browser.screenshot().await?)?;
            self.pictures += 1;
            let complaints = self.browser.complaints().await?;
            self.complaints.extend(complaints.into_iter().map(|complaint| format!("{name}: {complaint}")));
        }
        Ok(())
    }
}
