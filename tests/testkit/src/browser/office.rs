//! What the people of an installation do at the dashboard, each as one step.

use anyhow::Result;

use super::Browser;
use crate::secrets;

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

    /// Invites somebody from the page of users that is open, and returns the link for them.
    /// A role is chosen where there is a choice.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn invite(&self, name: &str, email: &str, role: &str) -> Result<String> {
        self.press("Invite").await?;
        self.fill("name", name).await?;
        self.fill("email", email).await?;
        if self.count("input[name=role]").await? > 0 {
            self.choose("role", role).await?;
        }
        self.press("Invite").await?;
        self.shown_once().await
    }
}
