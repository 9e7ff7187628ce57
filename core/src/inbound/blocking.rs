//! Whom a business wants to hear nothing from. What they send is counted and dropped, and nothing is sent to them.

use super::{Inbox, inbox::person_named};
use crate::{
    clock::Millis,
    error::{ApiError, ErrorKind},
    ids::{BusinessId, SenderId},
    messages::address::Address,
    paging::{Page, Paging},
};

/// People who can be blocked at one sender.
pub const BLOCKED_MAX: i64 = 64_000;
/// People who can be blocked, or let in again, by one request.
pub const BLOCK_AT_ONCE_MAX: usize = 100;

/// What became of blocking somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blocking {
    /// They are blocked.
    Done,
    /// They did not write within the last 24 hours.
    NotLately,
    /// Nobody else fits.
    Full,
}

/// Somebody who is blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockView {
    pub(crate) id: String,
    /// Their number.
    pub phone: Option<String>,
    /// Their user id.
    pub user_id: Option<String>,
    /// Since when.
    pub blocked_at: Millis,
    /// How many messages of theirs were dropped.
    pub dropped: i64,
}

/// What became of one person of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockOutcome {
    /// The person, as the request wrote them.
    pub input: String,
    /// Who that is, where it says who.
    pub person: Option<Address>,
    /// Whether it was done, or why not.
    pub result: Result<(), ApiError>,
}

impl Inbox {
    /// Blocks people at a sender of `business`: those who wrote to it within the last 24 hours. Answers for each.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the sender is not the business's; nobody, or more than [`BLOCK_AT_ONCE_MAX`].
    pub async fn block(
        &self,
        business: &BusinessId,
        sender: SenderId,
        people: &[String],
        now: Millis,
    ) -> Result<Vec<BlockOutcome>, ApiError> {
        let sender = self.sender(business, sender).await?;
        check_count(people)?;
        let mut outcomes = Vec::with_capacity(people.len());
        for input in people {
            let person = person_named(input);
            let result = match &person {
                None => Err(nobody()),
                Some(person) => match self.store.block(business, sender.id, person, now).await? {
                    Blocking::Done => Ok(()),
                    Blocking::NotLately => Err(ApiError::new(
                        ErrorKind::WindowClosed,
                        "Only people who wrote to this number within the last 24 hours can be blocked.",
                    )),
                    Blocking::Full => Err(ApiError::new(
                        ErrorKind::BlocklistFull,
                        format!("There are {BLOCKED_MAX} people blocked at this number already."),
                    )),
                },
            };
            outcomes.push(BlockOutcome { input: input.clone(), person, result });
        }
        Ok(outcomes)
    }

    /// Lets people reach a sender of `business` again. Answers for each; somebody who was not blocked is let in.
    ///
    /// # Errors
    /// As [`Self::block`].
    pub async fn unblock(
        &self,
        business: &BusinessId,
        sender: SenderId,
        people: &[String],
    ) -> Result<Vec<BlockOutcome>, ApiError> {
        let sender = self.sender(business, sender).await?;
        check_count(people)?;
        let mut outcomes = Vec::with_capacity(people.len());
        for input in people {
            let person = person_named(input);
            let result = match &person {
                None => Err(nobody()),
                Some(person) => self.store.unblock(business, sender.id, person).await.map(drop).map_err(Into::into),
            };
            outcomes.push(BlockOutcome { input: input.clone(), person, result });
        }
        Ok(outcomes)
    }

    /// Lets one person in again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when they are not blocked, or the sender is not the business's.
    pub async fn unblock_one(&self, business: &BusinessId, sender: SenderId, person: &str) -> Result<(), ApiError> {
        let sender = self.sender(business, sender).await?;
        let known = match person_named(person) {
            Some(person) => self.store.unblock(business, sender.id, &person).await?,
            None => false,
        };
        if known { Ok(()) } else { Err(ApiError::new(ErrorKind::NotFound, "This person is not blocked.")) }
    }

    /// Who is blocked at a sender of `business`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when the sender is not the business's.
    pub async fn blocked(
        &self,
        business: &BusinessId,
        sender: SenderId,
        paging: &Paging,
    ) -> Result<Page<BlockView>, ApiError> {
        let sender = self.sender(business, sender).await?;
        Ok(self.store.blocked(business, sender.id, paging).await?)
    }
}

fn nobody() -> ApiError {
    let details = "This is neither a phone number with its country code nor a user id.";
    ApiError::new(ErrorKind::ParameterInvalid, details)
}

fn check_count(people: &[String]) -> Result<(), ApiError> {
    if (1..=BLOCK_AT_ONCE_MAX).contains(&people.len()) {
        return Ok(());
    }
    let details = format!("One request names 1 to {BLOCK_AT_ONCE_MAX} people; this one names {}.", people.len());
    Err(ApiError::new(ErrorKind::ParameterInvalid, details))
}
