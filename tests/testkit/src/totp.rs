//! The app on a person's phone that shows codes: each code it gives can be used where
//! every earlier one has been used up.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use totp_rs::{Builder, Secret, Totp};

use crate::secrets;

/// How long a code is shown, in seconds.
const STEP_SECONDS: u64 = 30;

/// An account in the app.
pub struct Authenticator {
    totp: Totp,
    /// The step of the code that was given last.
    last: u64,
}

impl Authenticator {
    /// An account with the secret that a page shows: base32, in groups or not.
    ///
    /// # Errors
    /// It is not base32, or shorter than 128 bits.
    pub fn new(secret: &str) -> anyhow::Result<Self> {
        let compact: String = secret.chars().filter(|letter| !letter.is_whitespace()).collect();
        let secret = Secret::try_from_base32(compact.to_uppercase())
            .map_err(|error| anyhow::anyhow!("not a secret in base32: {error:?}"))?;
        let totp = Builder::new().with_secret(secret).with_step_duration(STEP_SECONDS).build();
        let totp = totp.map_err(|error| anyhow::anyhow!("not a secret for TOTP: {error:?}"))?;
        Ok(Self { totp, last: 0 })
    }

    /// The next code that is good: that of this step, or of the one after it, which a
    /// server takes from clocks that are ahead. Where both were given before, waits for
    /// the step to pass.
    ///
    /// # Errors
    /// The clock stands before 1970.
    pub async fn code(&mut self) -> anyhow::Result<String> {
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock")?;
            let step = now.as_secs() / STEP_SECONDS;
            if self.last <= step {
                self.last = step.max(self.last + 1);
                let code = self.totp.generate(self.last * STEP_SECONDS).to_string();
                secrets::keep("code of an app", &code);
                return Ok(code);
            }
            let next = Duration::from_secs((step + 1) * STEP_SECONDS);
            tokio::time::sleep(next.saturating_sub(now)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of RFC 6238's examples.
    const SECRET: &str = "GEZD GNBV GY3T QOJQ gezd gnbv gy3t qojq";

    #[test]
    fn codes_are_those_of_the_standard() {
        let app = Authenticator::new(SECRET).unwrap();
        assert_eq!(app.totp.generate(59).to_string(), "287082");
        assert_eq!(app.totp.generate(1_111_111_109).to_string(), "081804");
        assert!(Authenticator::new("GEZD 1").is_err());
        assert!(Authenticator::new("GEZDGNBV").is_err(), "too short to be a secret");
    }

    #[tokio::test]
    async fn no_code_is_given_twice() {
        let mut app = Authenticator::new(SECRET).unwrap();
        let step = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / STEP_SECONDS;
        app.code().await.unwrap();
        let first = app.last;
        app.code().await.unwrap();
        assert!(app.last > first && app.last <= step() + 1, "a later step, and no later than a server takes");
    }
}
