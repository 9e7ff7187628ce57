//! Who uses the dashboard, and who may change that: a platform owner manages everybody, a
//! reseller's admin the users of that reseller and of its businesses.

use super::{Access, AccessError, Role, User, email};
use crate::{
    audit::Actor,
    clock::Millis,
    credentials::Issued,
    ids::UserId,
    paging::{Page, Paging},
    store::{NewUser, Store},
    tenancy::Subtree,
};

/// Most characters of a person's name.
pub const NAME_MAX_CHARS: usize = 80;
/// What the first user is called until they are renamed.
const FIRST_OWNER: &str = "Owner";

/// Somebody who is to use the dashboard.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// Their name.
    pub name: String,
    /// Their e-mail address; they choose it when it is empty.
    pub email: String,
    /// Whom they stand for.
    pub role: Role,
}

/// A link for the first platform owner, who is added when there is none: the way in for
/// whoever has the server's command line.
///
/// # Errors
/// The database's.
pub async fn owner_link(store: &Store, reset_two_factor: bool, now: Millis) -> Result<Issued, AccessError> {
    let token = Issued::token();
    let first = NewUser {
        id: UserId::generate(),
        email: None,
        name: FIRST_OWNER.to_owned(),
        role: Role::PlatformOwner,
        reseller: None,
    };
    store.add_owner_link(&Actor::operator(), &first, &token.hash(), reset_two_factor, now).await?;
    Ok(token)
}

impl Access {
    /// Adds a user in `within`, the subtree of whoever invites, and issues their link.
    ///
    /// # Errors
    /// What is wrong with the invitation; [`AccessError::RoleNotAllowed`] and
    /// [`AccessError::NotFound`] when it reaches beyond the subtree.
    pub async fn invite(
        &self,
        by: &Actor,
        within: &Subtree,
        invitation: &Invitation,
        now: Millis,
    ) -> Result<(UserId, Issued), AccessError> {
        let name = invitation.name.trim();
        if name.is_empty() || name.chars().count() > NAME_MAX_CHARS || name.contains(char::is_control) {
            return Err(AccessError::NameInvalid);
        }
        let address = match invitation.email.trim() {
            "" => None,
            address => Some(email(address)?),
        };
        let reseller = match &invitation.role {
            Role::PlatformOwner | Role::Reviewer => None,
            Role::ResellerAdmin(reseller) => {
                Some(self.store.reseller(within, reseller).await?.ok_or(AccessError::NotFound)?.id)
            }
            Role::BusinessOwner(business) => {
                Some(self.store.business(within, business).await?.ok_or(AccessError::NotFound)?.reseller)
            }
        };
        match (within, &reseller) {
            (Subtree::Platform, _) => {}
            (Subtree::Reseller(own), Some(reseller)) if own == reseller => {}
            (Subtree::Reseller(_), Some(_)) => return Err(AccessError::NotFound),
            (Subtree::Reseller(_), None) | (Subtree::Business(_), _) => return Err(AccessError::RoleNotAllowed),
        }
        let token = Issued::token();
        let user = NewUser {
            id: UserId::generate(),
            email: address,
            name: name.to_owned(),
            role: invitation.role.clone(),
            reseller,
        };
        self.store.add_user(by, &user, &token.hash(), now).await?;
        Ok((user.id, token))
    }

    /// Users of `within`, newest first.
    ///
    /// # Errors
    /// The database's.
    pub async fn users(&self, within: &Subtree, paging: &Paging) -> Result<Page<User>, AccessError> {
        Ok(self.store.users(within, paging).await?)
    }

    /// A user of `within`.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] when there is no such user in it.
    pub async fn user(&self, within: &Subtree, id: &UserId) -> Result<User, AccessError> {
        self.store.user(within, id).await?.ok_or(AccessError::NotFound)
    }

    /// Issues a new link for a user of `within`; an older one stops working. Their
    /// password and sessions stay as they are until it is used.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub async fn issue_link(
        &self,
        by: &Actor,
        within: &Subtree,
        id: &UserId,
        reset_two_factor: bool,
        now: Millis,
    ) -> Result<Issued, AccessError> {
        let user = self.user(within, id).await?;
        let token = Issued::token();
        self.store.add_sign_in_link(by, &user, &token.hash(), reset_two_factor, now).await?;
        Ok(token)
    }

    /// Ends all sessions of a user of `within`.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub async fn sign_user_out(
        &self,
        by: &Actor,
        within: &Subtree,
        id: &UserId,
        now: Millis,
    ) -> Result<(), AccessError> {
        let user = self.user(within, id).await?;
        self.store.end_sessions_of(by, &user, None, None, now).await?;
        Ok(())
    }

    /// Removes a user of `within`, with their sessions.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], and [`AccessError::LastOwner`].
    pub async fn remove_user(&self, by: &Actor, within: &Subtree, id: &UserId, now: Millis) -> Result<(), AccessError> {
        let user = self.user(within, id).await?;
        if self.store.remove_user(by, &user, now).await? { Ok(()) } else { Err(AccessError::LastOwner) }
    }
}
