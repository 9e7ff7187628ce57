//! What each role may do, as one table: every page and every operation asks it, and a
//! test walks it role by role.
//!
//! A permission says *what* may be done; *on what* is the role's [`Subtree`], which every
//! query takes. So a reseller's admin manages users, and those of another reseller are
//! not found.

use std::fmt;

use crate::{
    ids::{BusinessId, ResellerId},
    tenancy::Subtree,
};

/// Whom a user stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Runs the installation.
    PlatformOwner,
    /// Staff of the platform who verifies businesses, and manages neither credentials
    /// nor users.
    Reviewer,
    /// Runs a reseller and what is below it.
    ResellerAdmin(ResellerId),
    /// Runs a business.
    BusinessOwner(BusinessId),
}

/// What can be done in the dashboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Permission {
    /// Use the own account: password, second factor, sessions.
    OwnAccount,
    /// See how the installation stands.
    SeePlatform,
    /// See, add, suspend and resume resellers.
    ManageResellers,
    /// See businesses: their state, senders, endpoints and limits.
    SeeBusinesses,
    /// Add businesses, and pause and resume their senders.
    ManageBusinesses,
    /// Fill in a business's profile, documents and numbers, and submit it.
    Onboard,
    /// Open the documents that a business handed in: for those who verify it.
    SeeDocuments,
    /// See the verification queue and decide; suspend, resume and close businesses.
    Verify,
    /// Write templates, hand them in and put them away.
    ManageTemplates,
    /// See the queue of templates and decide.
    ReviewTemplates,
    /// See and manage keys, clients and signing secrets.
    ManageCredentials,
    /// See the audit log.
    SeeAudit,
    /// See, invite and remove users.
    ManageUsers,
}

/// The role's name and nothing of whom it stands for: a column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoleKind {
    /// [`Role::PlatformOwner`].
    PlatformOwner,
    /// [`Role::Reviewer`].
    Reviewer,
    /// [`Role::ResellerAdmin`].
    ResellerAdmin,
    /// [`Role::BusinessOwner`].
    BusinessOwner,
}

use Permission::{
    ManageBusinesses, ManageCredentials, ManageResellers, ManageTemplates, ManageUsers, Onboard, OwnAccount,
    ReviewTemplates, SeeAudit, SeeBusinesses, SeeDocuments, SeePlatform, Verify,
};

/// The table: each permission, and whether owner, reviewer, reseller's admin and business's
/// owner have it.
const MATRIX: [(Permission, [bool; 4]); 13] = [
    (OwnAccount, [true, true, true, true]),
    (SeePlatform, [true, true, false, false]),
    (ManageResellers, [true, false, false, false]),
    (SeeBusinesses, [true, true, true, true]),
    (ManageBusinesses, [true, false, true, false]),
    (Onboard, [true, false, true, true]),
    (SeeDocuments, [true, true, false, false]),
    (Verify, [true, true, false, false]),
    (ManageTemplates, [true, false, true, true]),
    (ReviewTemplates, [true, true, false, false]),
    (ManageCredentials, [true, false, true, true]),
    (SeeAudit, [true, false, true, true]),
    (ManageUsers, [true, false, true, false]),
];

impl RoleKind {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 4] = [Self::PlatformOwner, Self::Reviewer, Self::ResellerAdmin, Self::BusinessOwner];

    /// As rows and forms carry it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PlatformOwner => "platform_owner",
            Self::Reviewer => "reviewer",
            Self::ResellerAdmin => "reseller_admin",
            Self::BusinessOwner => "business_owner",
        }
    }

    /// The one with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether the table grants `permission`.
    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        MATRIX.iter().any(|(of, granted)| *of == permission && granted[self as usize])
    }

    /// For people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::PlatformOwner => "Platform owner",
            Self::Reviewer => "Reviewer",
            Self::ResellerAdmin => "Reseller admin",
            Self::BusinessOwner => "Business owner",
        }
    }
}

impl Role {
    /// Without whom it stands for.
    #[must_use]
    pub fn kind(&self) -> RoleKind {
        match self {
            Self::PlatformOwner => RoleKind::PlatformOwner,
            Self::Reviewer => RoleKind::Reviewer,
            Self::ResellerAdmin(_) => RoleKind::ResellerAdmin,
            Self::BusinessOwner(_) => RoleKind::BusinessOwner,
        }
    }

    /// Whether it may do what `permission` says, within its [`Role::subtree`].
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.kind().may(permission)
    }

    /// What it may see and act on.
    #[must_use]
    pub fn subtree(&self) -> Subtree {
        match self {
            Self::PlatformOwner | Self::Reviewer => Subtree::Platform,
            Self::ResellerAdmin(reseller) => Subtree::Reseller(reseller.clone()),
            Self::BusinessOwner(business) => Subtree::Business(business.clone()),
        }
    }
}

impl fmt::Display for RoleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Permission {
    /// What it allows, for the published table.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            OwnAccount => "Use the own account: password, second factor, sessions",
            SeePlatform => "See how the installation stands",
            ManageResellers => "See, add, limit, suspend and resume resellers",
            SeeBusinesses => "See businesses: their state, senders, endpoints and limits",
            ManageBusinesses => "Add businesses, limit them, pause and resume their senders",
            Onboard => "Fill in a business's profile, documents and numbers, and submit it",
            SeeDocuments => "Open the documents that a business handed in",
            Verify => "See the verification queue and cases, and decide; suspend, resume and close businesses",
            ManageTemplates => "Write templates, hand them in and put them away",
            ReviewTemplates => "See the queue of templates, and approve, send back or reject; never one of one's own",
            ManageCredentials => "See and manage keys, clients, signing secrets and webhook endpoints",
            SeeAudit => "See the audit log",
            ManageUsers => "See, invite and remove users",
        }
    }
}

/// The table for people, as Markdown.
#[must_use]
pub fn permissions() -> String {
    use std::fmt::Write;

    let mut text = String::from(
        "# Who may do what in the dashboard\n\n\
         Everybody acts within their own part of the tree: a reseller's admin in the reseller and its businesses, a\n\
         business's owner in the business. Whatever lies outside of it is not found.\n\n| |",
    );
    // Writing to a String cannot fail.
    let heads = RoleKind::ALL.map(RoleKind::label);
    let _ = writeln!(text, " {} |\n|---|{}", heads.join(" | "), ":-:|".repeat(heads.len()));
    for (permission, granted) in MATRIX {
        let marks = granted.map(|granted| if granted { "yes" } else { "–" });
        let _ = writeln!(text, "| {} | {} |", permission.meaning(), marks.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `kind` is granted, in the order of the table.
    fn granted(kind: RoleKind) -> Vec<Permission> {
        MATRIX.into_iter().map(|(permission, _)| permission).filter(|permission| kind.may(*permission)).collect()
    }

    #[test]
    fn each_role_may_do_what_it_is_for_and_nothing_else() {
        assert_eq!(granted(RoleKind::PlatformOwner).len(), MATRIX.len());
        assert_eq!(
            granted(RoleKind::Reviewer),
            [OwnAccount, SeePlatform, SeeBusinesses, SeeDocuments, Verify, ReviewTemplates]
        );
        assert_eq!(
            granted(RoleKind::ResellerAdmin),
            [
                OwnAccount,
                SeeBusinesses,
                ManageBusinesses,
                Onboard,
                ManageTemplates,
                ManageCredentials,
                SeeAudit,
                ManageUsers
            ]
        );
        assert_eq!(
            granted(RoleKind::BusinessOwner),
            [OwnAccount, SeeBusinesses, Onboard, ManageTemplates, ManageCredentials, SeeAudit]
        );
    }

    #[test]
    fn each_permission_is_in_the_table_once() {
        for (permission, _) in MATRIX {
            assert_eq!(MATRIX.iter().filter(|(other, _)| *other == permission).count(), 1, "{permission:?}");
        }
    }

    #[test]
    fn a_role_reads_back_from_its_name() {
        for kind in RoleKind::ALL {
            assert_eq!(RoleKind::parse(kind.name()), Some(kind));
        }
        assert_eq!(RoleKind::parse("owner"), None);
    }

    #[test]
    fn only_staff_of_the_platform_sees_beyond_one_reseller() {
        let (reseller, business) = (ResellerId::generate(), BusinessId::generate());
        assert_eq!(Role::PlatformOwner.subtree(), Subtree::Platform);
        assert_eq!(Role::Reviewer.subtree(), Subtree::Platform);
        assert_eq!(Role::ResellerAdmin(reseller.clone()).subtree(), Subtree::Reseller(reseller));
        assert_eq!(Role::BusinessOwner(business.clone()).subtree(), Subtree::Business(business));
    }
}
