//! Signing in to the dashboard, as a person does.

use anyhow::Result;

use super::Browser;
use crate::{secrets, totp::Authenticator};

/// The password that a person of the tests chooses.
pub const PASSWORD: &str = "seven tulips under glass";

/// Somebody who has set up their account.
pub struct Account {
    /// Their e-mail address.
    pub email: String,
    /// Their password.
    pub password: &'static str,
    /// Their app.
    pub app: Authenticator,
    /// Their recovery codes.
    pub recovery_codes: Vec<String>,
}

impl Browser {
    /// Goes through a sign-in link for the first time: chooses a password, sets up a second
    /// factor, and arrives at the dashboard. `email` is filled in where it is asked for.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn set_up(&self, link: &str, email: &str) -> Result<Account> {
        self.open(link).await?;
        let email = self.choose_password(email).await?;
        let (app, recovery_codes) = self.enrol().await?;
        Ok(Account { email, password: PASSWORD, app, recovery_codes })
    }

    /// Chooses a password at the page that a link leads to. Returns the e-mail address that
    /// belongs to it: `email`, unless the page knows another.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn choose_password(&self, email: &str) -> Result<String> {
        secrets::keep("password", PASSWORD);
        let fixed = self.attribute("#email", "readonly").await?.is_some();
        let email = match self.attribute("#email", "value").await? {
            Some(known) if fixed => known,
            _ => {
                self.fill("email", email).await?;
                email.to_owned()
            }
        };
        self.fill("password", PASSWORD).await?;
        self.fill("password_again", PASSWORD).await?;
        self.press("Continue").await?;
        self.arrives("/admin/sign-in/enrol").await?;
        Ok(email)
    }

    /// Sets up the second factor that the page shows, and goes on from there. Returns the app and
    /// the recovery codes.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn enrol(&self) -> Result<(Authenticator, Vec<String>)> {
        let mut app = self.scan().await?;
        self.fill("code", &app.code().await?).await?;
        self.press("Turn on two-factor").await?;
        let codes = self.recovery_codes().await?;
        self.press("Continue").await?;
        Ok((app, codes))
    }

    /// Puts the secret that the page shows into an app.
    ///
    /// # Errors
    /// There is none within a minute.
    pub async fn scan(&self) -> Result<Authenticator> {
        let secret = self.text_of("#totp-secret").await?;
        secrets::keep("TOTP secret", &secret.replace(' ', ""));
        Authenticator::new(&secret)
    }

    /// The recovery codes that the page shows.
    ///
    /// # Errors
    /// There are none within a minute.
    pub async fn recovery_codes(&self) -> Result<Vec<String>> {
        let shown = self.text_of("#recovery-codes").await?;
        let codes: Vec<String> = shown.split_whitespace().map(str::to_owned).collect();
        for code in &codes {
            secrets::keep("recovery code", code);
        }
        Ok(codes)
    }

    /// Signs in with password and code.
    ///
    /// # Errors
    /// A page is not what it should be.
    pub async fn sign_in(&self, account: &mut Account) -> Result<()> {
        self.open("/admin/sign-in").await?;
        self.fill("email", &account.email).await?;
        self.fill("password", account.password).await?;
        self.press("Sign in").await?;
        self.arrives("/admin/sign-in/two-factor").await?;
        let code = account.app.code().await?;
        self.fill("code", &code).await?;
        self.press("Sign in").await
    }
}
