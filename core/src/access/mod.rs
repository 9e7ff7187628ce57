//! Who may open the dashboard, and what they may do there.
//!
//! A person gets in with a password and a second factor, both of their own choosing; the
//! first time, and whenever they lost one, with a link that somebody who may manage them
//! issues, and that works once. Only a session that went all the way opens anything.
//! Tokens, links and recovery codes are kept as hashes, passwords as slow hashes, the
//! second factor's secret sealed.

mod backoff;
mod passwords;
mod roles;
mod sign_in;
#[cfg(test)]
mod tests;
mod two_factor;
mod users;

pub(crate) use backoff::{MEMORY_MS, Meter};
pub use passwords::{PASSWORD_MAX_CHARS, PASSWORD_MIN_CHARS, PasswordFault};
pub use roles::{Permission, Role, RoleKind, permissions};
pub use sign_in::Opened;
pub use two_factor::{NewSecret, RECOVERY_CODES, RecoveryCodes};
pub use users::{Invitation, NAME_MAX_CHARS, owner_link};

use crate::{
    audit::{Actor, ActorKind, Origin},
    clock::Millis,
    ids::{ResellerId, SessionId, UserId},
    store::{Store, StoreError},
    tenancy::Subtree,
    vault::{Vault, VaultError},
};

/// How long a sign-in link can be used, in milliseconds.
pub const LINK_LIFE_MS: Millis = 24 * 60 * 60 * 1_000;
/// How long a session lasts, in milliseconds.
pub const SESSION_LIFE_MS: Millis = 12 * 60 * 60 * 1_000;
/// How long a session lasts without a visit, in milliseconds.
pub const SESSION_IDLE_MS: Millis = 2 * 60 * 60 * 1_000;
/// How long the steps of signing in may take together, in milliseconds.
pub const PENDING_LIFE_MS: Millis = 15 * 60 * 1_000;
/// How exactly the time of the last visit is kept, in milliseconds.
const SEEN_STEP_MS: Millis = 60 * 1_000;
/// Sessions of one person that may be open at once; the oldest give way.
pub(crate) const SESSIONS_MAX: usize = 20;
/// How much is kept of what a browser says that it is, in characters.
const DEVICE_MAX_CHARS: usize = 250;

/// A person who uses the dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// What they sign in with, in lower case. `None` until they signed in for the first
    /// time, if whoever invited them did not know it.
    pub email: Option<String>,
    /// Their name.
    pub name: String,
    /// Whom they stand for.
    pub role: Role,
    /// The reseller that they or their business belong to.
    pub reseller: Option<ResellerId>,
    /// Whether they chose a password.
    pub has_password: bool,
    /// Whether they set up a second factor.
    pub has_two_factor: bool,
    /// When they were added.
    pub created_at: Millis,
    /// When they last signed in.
    pub seen_at: Option<Millis>,
}

impl User {
    /// Whether they may do what `permission` says, within their [`User::subtree`].
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// What they may see and act on.
    #[must_use]
    pub fn subtree(&self) -> Subtree {
        self.role.subtree()
    }

    /// As the one who acts, by a request from `origin`.
    #[must_use]
    pub fn actor(&self, origin: &Origin) -> Actor {
        Actor {
            kind: match self.role {
                Role::PlatformOwner | Role::Reviewer => ActorKind::Staff,
                Role::ResellerAdmin(_) | Role::BusinessOwner(_) => ActorKind::User,
            },
            id: self.id.to_string(),
            name: self.name.clone(),
            address: origin.address,
            request_id: origin.request_id.clone(),
        }
    }
}

/// How far a person has come with signing in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The password was right, and there is no second factor yet.
    Enrol,
    /// The password was right, and the second factor is asked for.
    SecondFactor,
    /// Signed in.
    Open,
}

impl Stage {
    /// As rows carry it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::SecondFactor => "second_factor",
            Self::Open => "open",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        [Self::Enrol, Self::SecondFactor, Self::Open].into_iter().find(|stage| stage.name() == name)
    }
}

/// A session, whatever its stage.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its id: names it to its person, and opens nothing.
    pub id: SessionId,
    /// Whose it is.
    pub user: User,
    /// How far they have come.
    pub stage: Stage,
    /// The sealed secret of a second factor that is being set up.
    pub(crate) pending_secret: Option<Vec<u8>>,
}

/// A session in the list that its person sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionView {
    /// Its id.
    pub id: SessionId,
    /// The address it was opened from.
    pub address: Option<String>,
    /// What the browser said that it is.
    pub device: String,
    /// When it was opened.
    pub created_at: Millis,
    /// When it was last used, to the minute.
    pub seen_at: Millis,
    /// When it ends at the latest.
    pub expires_at: Millis,
}

/// From where somebody signs in.
#[derive(Debug, Clone, Default)]
pub struct Visitor {
    /// Where the request came from.
    pub origin: Origin,
    /// What the browser says that it is.
    pub device: String,
}

impl Visitor {
    /// A visitor; a long description of the browser is cut.
    #[must_use]
    pub fn new(origin: Origin, device: &str) -> Self {
        Self { origin, device: device.chars().filter(|c| !c.is_control()).take(DEVICE_MAX_CHARS).collect() }
    }
}

/// Why somebody does not get in, or does not get what they asked for.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The link is unknown, used or too old.
    #[error("the link is unknown, was used already, or is too old")]
    LinkRefused,
    /// E-mail address, password or code is wrong; which one is not told.
    #[error("what was entered does not match")]
    Refused,
    /// Too many failures: the next try is looked at after the wait.
    #[error("too many failures; the next try is looked at in {wait_ms} ms")]
    TooMany {
        /// How long that is, in milliseconds.
        wait_ms: Millis,
    },
    /// The password cannot be set.
    #[error("the password {0}")]
    Password(#[from] PasswordFault),
    /// The e-mail address is none.
    #[error("the e-mail address cannot be one")]
    EmailInvalid,
    /// Somebody else signs in with it.
    #[error("the e-mail address is another user's")]
    EmailTaken,
    /// The name is empty or too long.
    #[error("the name must have 1 to {NAME_MAX_CHARS} characters")]
    NameInvalid,
    /// There is no such thing, or not for this person.
    #[error("there is no such thing")]
    NotFound,
    /// This person may not give or take that role.
    #[error("the role is not theirs to give")]
    RoleNotAllowed,
    /// Without a platform owner nobody could manage the installation.
    #[error("the last platform owner cannot be removed")]
    LastOwner,
    /// Too many sign-ins at once.
    #[error("too many sign-ins at once")]
    Busy,
    /// A kept secret cannot be used.
    #[error("a kept secret cannot be used")]
    Unreadable,
    /// A kept secret cannot be opened.
    #[error("a kept secret cannot be opened: {0}")]
    Vault(#[from] VaultError),
    /// The database's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The way in. Clones share the database.
#[derive(Debug, Clone)]
pub struct Access {
    store: Store,
    vault: Vault,
}

impl Access {
    /// The way into what `store` holds; `vault` seals the second factors' secrets.
    #[must_use]
    pub fn new(store: Store, vault: Vault) -> Self {
        Self { store, vault }
    }
}

/// Where a sealed secret of `user` belongs.
fn secret_context(user: &UserId) -> String {
    format!("totp:{}", user.key())
}

/// An e-mail address as it is kept and compared.
fn email(text: &str) -> Result<String, AccessError> {
    /// Most characters of an e-mail address (RFC 5321).
    const EMAIL_MAX_CHARS: usize = 254;
    let text = text.trim().to_lowercase();
    let valid = text.chars().count() <= EMAIL_MAX_CHARS
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && domain.contains('.')
                && !domain.starts_with('.')
                && !domain.ends_with('.')
                && !domain.contains('@')
        })
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ',' | ';' | '"'));
    if valid { Ok(text) } else { Err(AccessError::EmailInvalid) }
}
