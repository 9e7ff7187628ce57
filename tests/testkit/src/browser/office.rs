//! What the people of an installation do at the dashboard, each as one step: they go where
//! its links lead, as a person does who knows no address by heart.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::Browser;
use crate::{papers, secrets};

/// The longest name of a shop's host before its domain.
const HOST_MAX_CHARS: usize = 24;

/// What a business says of itself, by the names of the fields.
#[derive(Clone, Debug)]
pub struct Profile(pub Vec<(&'static str, String)>);

impl Profile {
    /// The whole profile of a shop with this name, of which nothing is to be remarked.
    #[must_use]
    pub fn of_shop(name: &str) -> Self {
        let host: String =
            name.chars().filter(char::is_ascii_alphanumeric).take(HOST_MAX_CHARS).collect::<String>().to_lowercase();
        Self(vec![
            ("legal_name", format!("{name} GmbH")),
            ("trade_name", name.to_owned()),
            ("registration_number", "HRB 4711 B".to_owned()),
            ("category", "retail".to_owned()),
            ("website", format!("https://www.{host}.de")),
            ("address", "Hauptstraße 1, 10115 Berlin".to_owned()),
            ("country", "DE".to_owned()),
            ("contact_name", "Ada Meier".to_owned()),
            ("contact_email", format!("ada@{host}.de")),
            ("contact_phone", "+49 30 23125000".to_owned()),
        ])
    }

    /// The same with another value for a field.
    #[must_use]
    pub fn with(mut self, field: &str, value: &str) -> Self {
        for (name, known) in &mut self.0 {
            if *name == field {
                value.clone_into(known);
            }
        }
        self
    }

    /// The first `count` fields only.
    #[must_use]
    pub fn first(&self, count: usize) -> Self {
        Self(self.0[..count].to_vec())
    }
}

impl Browser {
    /// What a page shows once: a key, a link. From now on it is a secret.
    ///
    /// # Errors
    /// It does not within a minute.
    pub async fn shown_once(&self) -> Result<String> {
        let shown = self.text_of("code.secret-value").await?;
        secrets::keep("shown once", &shown);
        secrets::keep_printed(&shown);
        Ok(shown)
    }

    /// Invites somebody, by the link with this text, and returns the link for them. A role is
    /// chosen where there is a choice.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn invite(&self, link: &str, name: &str, email: &str, role: &str) -> Result<String> {
        self.press(link).await?;
        self.fill("name", name).await?;
        self.fill("email", email).await?;
        if self.count("input[name=role]").await? > 0 {
            self.choose("role", role).await?;
        }
        self.press_in("main form", "Invite").await?;
        self.shown_once().await
    }

    /// Adds a reseller, and is at its page.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn add_reseller(&self, name: &str) -> Result<()> {
        self.press("Resellers").await?;
        self.press("Add reseller").await?;
        self.fill("name", name).await?;
        self.press_in("main form", "Add reseller").await
    }

    /// Adds a business of one's own, and is at the first step of its onboarding. Returns the
    /// secret that signs its webhooks.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn add_business(&self, name: &str) -> Result<String> {
        self.press("Businesses").await?;
        self.press("Add business").await?;
        self.fill("name", name).await?;
        self.press_in("main form", "Add business").await?;
        let secret = self.shown_once().await?;
        self.press("Go on with the onboarding").await?;
        Ok(secret)
    }

    /// Goes on with the onboarding of the business with this name, where it was left.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn resume(&self, name: &str) -> Result<()> {
        self.press("Businesses").await?;
        self.press(name).await?;
        self.press("Continue onboarding").await
    }

    /// Fills in the profile as far as it is given; nothing is sent.
    ///
    /// # Errors
    /// A field is not there within a minute.
    pub async fn fill_profile(&self, profile: &Profile) -> Result<()> {
        for (field, value) in &profile.0 {
            match *field {
                "category" => self.choose(field, value).await?,
                _ => self.fill(field, value).await?,
            }
        }
        Ok(())
    }

    /// Hands in a PDF of this name with one line on it.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn upload_pdf(&self, kind: &str, name: &str, line: &str) -> Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join(name);
        std::fs::write(&file, papers::pdf(&[line]))?;
        self.upload_file(kind, &file).await
    }

    /// Hands in a file.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn upload_file(&self, kind: &str, file: &Path) -> Result<()> {
        self.choose("kind", kind).await?;
        self.upload("file", file).await?;
        self.press("Upload").await
    }

    /// Adds a phone number of the sandbox, has a code sent to it, reads that from the pretend
    /// phone, and confirms it.
    ///
    /// # Errors
    /// A page is not what it should be, or no code arrives within a minute.
    pub async fn add_number(&self, phone: &str) -> Result<()> {
        self.fill("phone", phone).await?;
        self.press("Add number").await?;
        self.press("Send code").await?;
        let code = self.read_code().await?;
        self.fill("code", &code).await?;
        self.press("Confirm code").await?;
        self.sees("confirmed").await
    }

    /// Opens the pretend phone, reads the code that arrived last, and comes back.
    ///
    /// # Errors
    /// None arrives within a minute.
    pub async fn read_code(&self) -> Result<String> {
        self.press("Open its pretend phone").await?;
        let code = self
            .wait("a code arrives at the pretend phone", async || {
                if self.count(".message").await? == 0 {
                    let here = self.path().await?;
                    self.open(&here).await?;
                }
                let text = self.script("return document.querySelector('.message')?.textContent || ''", vec![]).await?;
                Ok(papers::code_in(text.as_str().unwrap_or_default()))
            })
            .await?;
        self.press("Back to the number").await?;
        Ok(code)
    }

    /// Decides about the business whose verification is open.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn decide(&self, decision: &str, reason: &str) -> Result<()> {
        self.choose("decision", decision).await?;
        self.fill("reason", reason).await?;
        self.press("Decide").await
    }

    /// Issues an API key of the business that is open, and returns it.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn issue_key(&self, name: &str, mode: &str, scopes: &[&str]) -> Result<String> {
        self.press("Credentials").await?;
        self.press("New API key").await?;
        self.fill("name", name).await?;
        self.choose("mode", mode).await?;
        for scope in scopes {
            self.choose("scopes", scope).await?;
        }
        self.press("Create key").await?;
        self.shown_once().await.context("the key is not shown")
    }
}
