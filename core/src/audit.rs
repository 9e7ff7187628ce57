//! What was changed, by whom, from where: every administrative action leaves an entry in
//! the transaction that makes the change, so there is no change without its entry and no
//! entry without its change.
//!
//! Entries are chained: the hash of each covers the one before it, so nobody can alter,
//! remove or insert one without breaking every hash after it. Whoever notes the end of the
//! chain elsewhere can prove later that nothing before it was touched. The database
//! refuses updates and deletions besides. Secrets never get here: whoever writes an entry
//! leaves them out.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    clock::Millis,
    ids::{BusinessId, ResellerId},
    tenancy::Subtree,
};

/// What the platform's people are called where their names are not told.
const PLATFORM: &str = "the platform";

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The client's address.
    pub address: Option<IpAddr>,
    /// The request's id.
    pub request_id: Option<String>,
}

/// What kind of being acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActorKind {
    /// Waystation itself, by a rule.
    System,
    /// Whoever has the command line of the server.
    Operator,
    /// A person of the platform, at the dashboard.
    Staff,
    /// A person of a reseller or a business, at the dashboard.
    User,
    /// A program with an API key or an access token.
    Key,
}

impl ActorKind {
    /// The name that entries carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Operator => "operator",
            Self::Staff => "staff",
            Self::User => "user",
            Self::Key => "key",
        }
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What kind of being.
    pub kind: ActorKind,
    /// Its id; empty for those that have none.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// The address it acted from.
    pub address: Option<IpAddr>,
    /// The request by which it did.
    pub request_id: Option<String>,
}

impl Actor {
    /// Waystation itself.
    #[must_use]
    pub fn system() -> Self {
        Self::without_request(ActorKind::System, "Waystation")
    }

    /// Whoever has the command line of the server.
    #[must_use]
    pub fn operator() -> Self {
        Self::without_request(ActorKind::Operator, "command line")
    }

    fn without_request(kind: ActorKind, name: &str) -> Self {
        Self { kind, id: String::new(), name: name.to_owned(), address: None, request_id: None }
    }

    /// The same actor, by a request from `origin`.
    #[must_use]
    pub fn from(mut self, origin: &Origin) -> Self {
        self.address = origin.address;
        self.request_id.clone_from(&origin.request_id);
        self
    }
}

/// What is done, on its way into the log.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// What happened, as `thing.verb`.
    pub(crate) action: &'static str,
    /// The reseller in whose subtree.
    pub(crate) reseller: Option<ResellerId>,
    /// The business in whose subtree.
    pub(crate) business: Option<BusinessId>,
    /// The outer id of what was changed.
    pub(crate) subject: String,
    /// What it was before, without secrets.
    pub(crate) before: Option<Value>,
    /// What it is now, without secrets.
    pub(crate) after: Option<Value>,
}

impl Entry {
    /// An entry about `subject` that says nothing of before and after.
    pub(crate) fn new(action: &'static str, subject: impl ToString) -> Self {
        Self { action, reseller: None, business: None, subject: subject.to_string(), before: None, after: None }
    }

    /// In the subtree of `reseller`.
    pub(crate) fn of_reseller(mut self, reseller: &ResellerId) -> Self {
        self.reseller = Some(reseller.clone());
        self
    }

    /// In the subtree of `business`.
    pub(crate) fn of_business(mut self, business: &BusinessId) -> Self {
        self.business = Some(business.clone());
        self
    }

    /// With what was there before.
    pub(crate) fn before(mut self, value: Value) -> Self {
        self.before = Some(value);
        self
    }

    /// With what is there now.
    pub(crate) fn after(mut self, value: Value) -> Self {
        self.after = Some(value);
        self
    }
}

/// An entry as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its place in the chain, from 1.
    pub seq: i64,
    /// When.
    pub at: Millis,
    /// [`ActorKind::name`] of who did it.
    pub actor_kind: String,
    /// Who did it.
    pub actor_id: String,
    /// The name of who did it, as it was then.
    pub actor_name: String,
    /// From where.
    pub address: Option<String>,
    /// By which request.
    pub request_id: Option<String>,
    /// What.
    pub action: String,
    /// In the subtree of which reseller.
    pub reseller: Option<ResellerId>,
    /// In the subtree of which business.
    pub business: Option<BusinessId>,
    /// To what.
    pub subject: String,
    /// What it was before, as JSON.
    pub before: Option<String>,
    /// What it became, as JSON.
    pub after: Option<String>,
    /// The hash that the next entry covers, as 64 hexadecimal digits.
    pub hash: String,
}

#[derive(Serialize)]
struct Hashed<'e>(
    &'e str,
    i64,
    Millis,
    &'e str,
    &'e str,
    &'e str,
    Option<&'e str>,
    Option<&'e str>,
    &'e str,
    Option<&'e str>,
    Option<&'e str>,
    &'e str,
    Option<&'e str>,
    Option<&'e str>,
);

impl AuditEntry {
    /// The entry as somebody sees it who sees `subtree`: who of the platform's people did
    /// it, and from where, is the platform's to know.
    #[must_use]
    pub(crate) fn seen_from(mut self, subtree: &Subtree) -> Self {
        let ours = [ActorKind::Staff, ActorKind::Operator].iter().any(|kind| kind.name() == self.actor_kind);
        if *subtree != Subtree::Platform && ours {
            self.actor_id.clear();
            PLATFORM.clone_into(&mut self.actor_name);
            self.address = None;
        }
        self
    }

    /// The hash that this entry must have behind an entry with the hash `previous`: SHA-256
    /// over the JSON array of `previous` and every member.
    #[must_use]
    pub fn hash_after(&self, previous: &str) -> String {
        let hashed = Hashed(
            previous,
            self.seq,
            self.at,
            &self.actor_kind,
            &self.actor_id,
            &self.actor_name,
            self.address.as_deref(),
            self.request_id.as_deref(),
            &self.action,
            self.reseller.as_ref().map(ResellerId::key),
            self.business.as_ref().map(BusinessId::key),
            &self.subject,
            self.before.as_deref(),
            self.after.as_deref(),
        );
        hex::encode(Sha256::digest(serde_json::to_vec(&hashed).unwrap_or_default()))
    }
}

/// A place in the chain: what an auditor notes down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainHead {
    /// How many entries there are.
    pub seq: i64,
    /// The hash of the last one; empty when there is none.
    pub hash: String,
}

impl std::fmt::Display for ChainHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)
    }
}

impl std::str::FromStr for ChainHead {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = "expected the number of entries, a colon, and 64 hexadecimal digits";
        let (seq, hash) = text.split_once(':').ok_or(shape)?;
        let hexadecimal = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        match seq.parse() {
            Ok(seq) if hexadecimal || (seq == 0 && hash.is_empty()) => Ok(Self { seq, hash: hash.to_owned() }),
            _ => Err(shape),
        }
    }
}

/// What is wrong with the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// An entry is missing.
    #[error("entry {0} is missing")]
    Missing(i64),
    /// An entry does not hash to what it says, or does not follow the one before it.
    #[error("entry {0} was altered, or an entry before it was: its hash does not fit")]
    Altered(i64),
    /// The log ends elsewhere than its head says.
    #[error("the log ends with {found}, but its head says {head}: entries at its end were removed or added")]
    WrongEnd {
        /// What the head says.
        head: ChainHead,
        /// Where the log ends.
        found: ChainHead,
    },
    /// The log does not contain a place that was noted down.
    #[error("the log does not contain {0}: everything up to there was rewritten, or entries were removed")]
    NotContained(ChainHead),
}

/// Walks the chain, entry by entry, in order.
#[derive(Debug)]
pub(crate) struct ChainWalk {
    at: ChainHead,
    noted: Option<ChainHead>,
    contained: bool,
}

impl ChainWalk {
    /// Begins before the first entry. `noted` is a place that must turn up.
    pub(crate) fn new(noted: Option<ChainHead>) -> Self {
        let at = ChainHead { seq: 0, hash: String::new() };
        Self { contained: noted.as_ref().is_none_or(|noted| *noted == at), at, noted }
    }

    pub(crate) fn seq(&self) -> i64 {
        self.at.seq
    }

    pub(crate) fn step(&mut self, entry: &AuditEntry) -> Result<(), ChainFault> {
        if entry.seq != self.at.seq + 1 {
            return Err(ChainFault::Missing(self.at.seq + 1));
        }
        if entry.hash != entry.hash_after(&self.at.hash) {
            return Err(ChainFault::Altered(entry.seq));
        }
        self.at = ChainHead { seq: entry.seq, hash: entry.hash.clone() };
        self.contained |= self.noted.as_ref() == Some(&self.at);
        Ok(())
    }

    pub(crate) fn end(self, head: ChainHead) -> Result<ChainHead, ChainFault> {
        if self.at != head {
            return Err(ChainFault::WrongEnd { head, found: self.at });
        }
        match self.noted {
            Some(noted) if !self.contained => Err(ChainFault::NotContained(noted)),
            _ => Ok(head),
        }
    }
}
