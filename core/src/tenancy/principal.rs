//! Who a request comes from, as its credential says, and what it may do.
//!
//! A principal is read from the database once and then answered from memory, so whatever
//! decides over a request is a field here: nothing else is asked.

use std::{fmt, net::IpAddr, ops::Deref, str::FromStr, sync::Arc};

use ipnet::IpNet;

use super::{Standing, Subtree, policy::Limits};
use crate::{
    audit::{Actor, ActorKind, Origin},
    clock::{Millis, rfc3339},
    error::{ApiError, ErrorKind},
    ids::{BusinessId, ResellerId},
};

/// What a credential reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Real networks; for verified businesses.
    Live,
    /// The sandbox only.
    Test,
}

impl Mode {
    /// The name that rows and answers carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }

    /// The mode of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Live, Self::Test].into_iter().find(|mode| mode.name() == name)
    }
}

macro_rules! scopes {
    ($($(#[doc = $doc:literal])+ $scope:ident $name:literal $level:ident;)+) => {
        /// Something that a credential allows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Scope {
            $($(#[doc = $doc])+ $scope,)+
        }

        impl Scope {
            /// Every scope, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$scope),+];

            /// The name that credentials and documentation carry.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$scope => $name,)+ }
            }

            /// What it allows, in words.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$scope => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// Whose credentials can have it.
            #[must_use]
            pub const fn level(self) -> Level {
                match self { $(Self::$scope => Level::$level,)+ }
            }
        }
    };
}

/// Whose credential it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// A business's.
    Business,
    /// A reseller's.
    Reseller,
    /// Either's.
    Any,
}

scopes! {
    /// Everything that the credential's owner may do.
    Admin "admin" Any;
    /// Send messages.
    MessagesSend "messages:send" Business;
    /// Read messages and their history.
    MessagesRead "messages:read" Business;
    /// Create, change and delete templates.
    TemplatesWrite "templates:write" Business;
    /// Upload and delete media.
    MediaWrite "media:write" Business;
    /// Create, change and delete contacts.
    ContactsWrite "contacts:write" Business;
    /// Change the profiles of senders, their QR codes and their registration.
    SendersWrite "senders:write" Business;
    /// Register and remove webhook endpoints.
    WebhooksWrite "webhooks:write" Business;
    /// Read statistics.
    AnalyticsRead "analytics:read" Business;
    /// Read usage and invoices.
    BillingRead "billing:read" Any;
    /// Read businesses, their senders, documents' names and verification.
    BusinessesRead "businesses:read" Reseller;
    /// Create and change businesses and senders, and submit them for verification.
    BusinessesWrite "businesses:write" Reseller;
    /// Issue, rotate and revoke the credentials of businesses.
    CredentialsWrite "credentials:write" Reseller;
    /// Read the audit log.
    AuditRead "audit:read" Any;
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|scope| scope.name() == name).ok_or(())
    }
}

/// A set of scopes. Written as their names with blanks between them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u32);

impl Scopes {
    /// The scopes of `list`.
    #[must_use]
    pub fn of(list: &[Scope]) -> Self {
        Self(list.iter().fold(0, |bits, scope| bits | 1 << *scope as u32))
    }

    /// Everything that the owner may do.
    #[must_use]
    pub fn admin() -> Self {
        Self::of(&[Scope::Admin])
    }

    /// Whether `scope` is in the set, by name or as part of `admin`.
    #[must_use]
    pub const fn allows(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u32 | 1 << Scope::Admin as u32) != 0
    }

    /// Whether everything that `other` allows is allowed here.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.0 & 1 << Scope::Admin as u32 != 0 || other.0 & !self.0 == 0
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The scopes in the set, in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.0 & 1 << *scope as u32 != 0)
    }

    /// The set of these names, or the first name that is no scope.
    ///
    /// # Errors
    /// The name that is not known.
    pub fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, &'n str> {
        names.into_iter().try_fold(Self::default(), |set, name| {
            let scope: Scope = name.parse().map_err(|()| name)?;
            Ok(Self(set.0 | 1 << scope as u32))
        })
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.name())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Who a request comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// The outer id of the key or client.
    pub credential: String,
    /// The name that its owner gave it.
    pub name: String,
    /// The reseller in whose subtree it is.
    pub reseller: ResellerId,
    /// The business it belongs to; none for a reseller's own.
    pub business: Option<BusinessId>,
    /// What it reaches.
    pub mode: Mode,
    /// What it allows.
    pub scopes: Scopes,
    /// The addresses it may be used from; any when there is none.
    pub addresses: Vec<IpNet>,
    /// Whether requests have to be signed.
    pub signed: bool,
    /// When it ends.
    pub expires_at: Option<Millis>,
    /// When it was revoked.
    pub revoked_at: Option<Millis>,
    /// How reseller and business stand.
    pub standing: Standing,
    /// How much it may ask for.
    pub limits: Limits,
}

impl Principal {
    /// Whether a request from `address` may come in at all.
    ///
    /// # Errors
    /// Why it may not: revoked, expired, from an address that is not allowed, suspended, or
    /// a live credential of a business that is not verified.
    pub fn admit(&self, address: Option<IpAddr>, now: Millis) -> Result<(), ApiError> {
        if let Some(at) = self.revoked_at {
            return Err(ApiError::new(ErrorKind::KeyRevoked, format!("It was revoked at {}.", rfc3339(at))));
        }
        if let Some(at) = self.expires_at.filter(|at| *at <= now) {
            return Err(ApiError::new(ErrorKind::KeyExpired, format!("It expired at {}.", rfc3339(at))));
        }
        let known = |address: &IpAddr| self.addresses.iter().any(|net| net.contains(address));
        if !self.addresses.is_empty() && !address.as_ref().is_some_and(known) {
            let from = address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
            let details = format!("This credential is not to be used from {from}.");
            return Err(ApiError::new(ErrorKind::AddressNotAllowed, details));
        }
        match &self.standing {
            Standing::Held(why) => Err(ApiError::new(ErrorKind::Suspended, why.to_string())),
            Standing::Unverified if self.mode == Mode::Live && self.business.is_some() => {
                let details = "The business is not verified; use a test key until it is.";
                Err(ApiError::new(ErrorKind::NotVerified, details))
            }
            Standing::Unverified | Standing::Active => Ok(()),
        }
    }

    /// Whether it may do what needs `scope`.
    ///
    /// # Errors
    /// The scope that is missing.
    pub fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.scopes.allows(scope) {
            return Ok(());
        }
        let details = format!("This needs the scope \"{}\"; the credential has \"{}\".", scope.name(), self.scopes);
        Err(ApiError::new(ErrorKind::ScopeMissing, details))
    }

    /// The part of the tree that it sees and acts on.
    #[must_use]
    pub fn subtree(&self) -> Subtree {
        match &self.business {
            Some(business) => Subtree::Business(business.clone()),
            None => Subtree::Reseller(self.reseller.clone()),
        }
    }

    /// It, as the audit log names it.
    #[must_use]
    pub fn actor(&self, origin: &Origin) -> Actor {
        Actor {
            kind: ActorKind::Key,
            id: self.credential.clone(),
            name: self.name.clone(),
            address: origin.address,
            request_id: origin.request_id.clone(),
        }
    }
}

/// A principal that acts for a business.
#[derive(Debug, Clone)]
pub struct Tenant {
    principal: Arc<Principal>,
    business: BusinessId,
}

/// A principal that acts for a reseller.
#[derive(Debug, Clone)]
pub struct Partner(Arc<Principal>);

impl Tenant {
    /// The principal as one that acts for a business.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] for a reseller's credential.
    pub fn of(principal: Arc<Principal>) -> Result<Self, ApiError> {
        let Some(business) = principal.business.clone() else {
            let details = "This is a reseller's credential; here a business's own is needed.";
            return Err(ApiError::new(ErrorKind::PermissionDenied, details));
        };
        Ok(Self { principal, business })
    }

    /// The business.
    #[must_use]
    pub fn business(&self) -> &BusinessId {
        &self.business
    }
}

impl Partner {
    /// The principal as one that acts for a reseller.
    ///
    /// # Errors
    /// [`ErrorKind::PermissionDenied`] for a business's credential.
    pub fn of(principal: Arc<Principal>) -> Result<Self, ApiError> {
        if principal.business.is_some() {
            let details = "This is a business's credential; here its reseller's is needed.";
            return Err(ApiError::new(ErrorKind::PermissionDenied, details));
        }
        Ok(Self(principal))
    }
}

impl Deref for Tenant {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl Deref for Partner {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenancy::Hold;

    fn principal() -> Principal {
        Principal {
            credential: "key_1".to_owned(),
            name: "shop".to_owned(),
            reseller: ResellerId::generate(),
            business: Some(BusinessId::generate()),
            mode: Mode::Live,
            scopes: Scopes::of(&[Scope::MessagesSend]),
            addresses: Vec::new(),
            signed: false,
            expires_at: None,
            revoked_at: None,
            standing: Standing::Active,
            limits: Limits::default(),
        }
    }

    #[test]
    fn each_reason_to_refuse_a_credential_has_an_error_of_its_own() {
        let (here, there) = (Some("192.0.2.7".parse().unwrap()), Some("198.51.100.1".parse().unwrap()));
        let kind = |principal: &Principal, address| principal.admit(address, 1_000).err().map(|error| error.kind);
        let whole = principal();
        assert_eq!(kind(&whole, here), None);
        assert_eq!(kind(&Principal { revoked_at: Some(1), ..whole.clone() }, here), Some(ErrorKind::KeyRevoked));
        assert_eq!(kind(&Principal { expires_at: Some(1_000), ..whole.clone() }, here), Some(ErrorKind::KeyExpired));
        assert_eq!(kind(&Principal { expires_at: Some(1_001), ..whole.clone() }, here), None);
        let bound = Principal { addresses: vec!["192.0.2.0/24".parse().unwrap()], ..whole.clone() };
        assert_eq!(kind(&bound, here), None);
        assert_eq!(kind(&bound, there), Some(ErrorKind::AddressNotAllowed));
        assert_eq!(kind(&bound, None), Some(ErrorKind::AddressNotAllowed));
        let held = Principal { standing: Standing::Held(Hold::Business), ..whole.clone() };
        assert_eq!(kind(&held, here), Some(ErrorKind::Suspended));
        let early = Principal { standing: Standing::Unverified, ..whole };
        assert_eq!(kind(&early, here), Some(ErrorKind::NotVerified));
        assert_eq!(kind(&Principal { mode: Mode::Test, ..early }, here), None);
    }

    #[test]
    fn a_scope_allows_itself_and_admin_allows_all() {
        for scope in Scope::ALL {
            assert!(Scopes::admin().allows(*scope));
            assert!(Scopes::of(&[*scope]).allows(*scope));
            let others: Vec<Scope> =
                Scope::ALL.iter().copied().filter(|other| other != scope && *other != Scope::Admin).collect();
            assert_eq!(Scopes::of(&others).allows(*scope), *scope == Scope::Admin && others.is_empty());
            let text = Scopes::of(&others).to_string();
            assert_eq!(Scopes::parse(text.split(' ')), Ok(Scopes::of(&others)));
            assert!(Scopes::admin().covers(Scopes::of(&others)) && !Scopes::of(&others).covers(Scopes::admin()));
        }
        assert_eq!(Scopes::parse(["messages:send", "fly"]), Err("fly"));
        let error = principal().require(Scope::MessagesRead).unwrap_err();
        assert!(error.details.contains("messages:read"), "{error}");
    }
}
