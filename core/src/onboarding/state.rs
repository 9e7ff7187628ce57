//! How far a business has come, as a pure state machine: from a state and an action
//! follows the next state, or what would have been possible instead.
//!
//! Pure, so that every path can be tried out; the store is the only caller, inside the
//! transaction that also writes the history.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a business stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BusinessState)]
pub enum State {
    /// Its profile is being filled in.
    Draft,
    /// It waits for a reviewer.
    Submitted,
    /// A reviewer looks at it.
    InReview,
    /// The reviewer wants something changed; it is being filled in again.
    ChangesRequested,
    /// It may send.
    Approved,
    /// It will not be taken.
    Rejected,
    /// It was approved, and is stopped.
    Suspended,
    /// It is over.
    Closed,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Draft,
        Self::Submitted,
        Self::InReview,
        Self::ChangesRequested,
        Self::Approved,
        Self::Rejected,
        Self::Suspended,
        Self::Closed,
    ];

    /// Its name in rows and answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::InReview => "in_review",
            Self::ChangesRequested => "changes_requested",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether profile and documents can be changed.
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Draft | Self::ChangesRequested)
    }

    /// Whether it waits for a reviewer.
    #[must_use]
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Submitted | Self::InReview)
    }

    /// Where `action` leads to, whoever takes it.
    #[must_use]
    pub fn after(self, action: Action) -> Option<Self> {
        match (self, action) {
            (Self::Draft | Self::ChangesRequested, Action::Submit) => Some(Self::Submitted),
            (Self::Submitted, Action::StartReview) => Some(Self::InReview),
            (Self::InReview, Action::RequestChanges) => Some(Self::ChangesRequested),
            (Self::InReview, Action::Approve) | (Self::Suspended, Action::Resume) => Some(Self::Approved),
            (Self::InReview, Action::Reject) => Some(Self::Rejected),
            (Self::Approved, Action::Suspend) => Some(Self::Suspended),
            (state, Action::Close) if state != Self::Closed => Some(Self::Closed),
            _ => None,
        }
    }

    /// What `side` can do from here.
    #[must_use]
    pub fn possible(self, side: Side) -> Vec<Action> {
        Action::ALL.into_iter().filter(|action| self.permits(*action, side)).collect()
    }

    fn permits(self, action: Action, side: Side) -> bool {
        let sides_own = match side {
            Side::Applicant => action == Action::Submit || (action == Action::Close && self == Self::Draft),
            Side::Reviewer => action != Action::Submit,
        };
        sides_own && self.after(action).is_some()
    }

    /// The state that follows when `side` takes `action`.
    ///
    /// # Errors
    /// [`Refusal::NotYours`] when the action is never this side's, [`Refusal::Illegal`]
    /// with what is possible when it is not possible now.
    pub fn step(self, action: Action, side: Side) -> Result<Self, Refusal> {
        if self.permits(action, side)
            && let Some(next) = self.after(action)
        {
            return Ok(next);
        }
        if Self::ALL.into_iter().any(|state| state.permits(action, side)) {
            Err(Refusal::Illegal { state: self, action, possible: self.possible(side) })
        } else {
            Err(Refusal::NotYours { action, side })
        }
    }
}

/// Why a step was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It is never this side's.
    NotYours {
        /// The step.
        action: Action,
        /// Who wanted to take it.
        side: Side,
    },
    /// The state does not allow it.
    Illegal {
        /// The state.
        state: State,
        /// The step.
        action: Action,
        /// The steps that it does allow to this side.
        possible: Vec<Action>,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotYours { action, side: Side::Applicant } => {
                write!(f, "The step {action} is a reviewer's; the business's own side cannot take it.")
            }
            Self::NotYours { action, side: Side::Reviewer } => {
                write!(f, "The step {action} is the business's own side's; a reviewer cannot take it.")
            }
            Self::Illegal { state, action, possible } => {
                write!(f, "The business is in the state {state}, which does not allow the step {action}. ")?;
                if possible.is_empty() {
                    return f.write_str("No step is possible from there.");
                }
                let names: Vec<&str> = possible.iter().map(|action| action.name()).collect();
                write!(f, "Possible: {}.", names.join(", "))
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A step from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = BusinessAction)]
pub enum Action {
    /// Hand profile and documents in, the first time or again.
    Submit,
    /// Take it up for review.
    StartReview,
    /// Hand it back, with what has to change.
    RequestChanges,
    /// Let it send.
    Approve,
    /// Turn it down.
    Reject,
    /// Stop an approved one.
    Suspend,
    /// Let a suspended one send again.
    Resume,
    /// End it for good.
    Close,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 8] = [
        Self::Submit,
        Self::StartReview,
        Self::RequestChanges,
        Self::Approve,
        Self::Reject,
        Self::Suspend,
        Self::Resume,
        Self::Close,
    ];

    /// Its name in rows and requests.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::StartReview => "start_review",
            Self::RequestChanges => "request_changes",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Close => "close",
        }
    }

    /// The action with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Whether it has to be said why.
    #[must_use]
    pub fn needs_reason(self) -> bool {
        matches!(self, Self::RequestChanges | Self::Reject | Self::Suspend | Self::Close)
    }

    /// Whether it brings a business closer to sending: not for whoever submitted it.
    #[must_use]
    pub fn is_judgement(self) -> bool {
        matches!(self, Self::StartReview | Self::RequestChanges | Self::Approve | Self::Reject | Self::Resume)
    }

    /// Its name in the audit log.
    pub(crate) fn audited_as(self) -> &'static str {
        match self {
            Self::Submit => "business.submitted",
            Self::StartReview => "business.review_started",
            Self::RequestChanges => "business.changes_requested",
            Self::Approve => "business.approved",
            Self::Reject => "business.rejected",
            Self::Suspend => "business.suspended",
            Self::Resume => "business.resumed",
            Self::Close => "business.closed",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whose step it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The business itself, or its reseller.
    Applicant,
    /// A reviewer, or the platform itself.
    Reviewer,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn step() -> impl Strategy<Value = (Action, Side)> {
        let side = prop_oneof![Just(Side::Applicant), Just(Side::Reviewer)];
        (proptest::sample::select(Action::ALL.to_vec()), side)
    }

    proptest! {
        #[test]
        fn every_path_keeps_to_the_rules(steps in proptest::collection::vec(step(), 0..60)) {
            let mut state = State::Draft;
            let mut path = vec![state];
            for (action, side) in steps {
                let possible = state.possible(side);
                match state.step(action, side) {
                    Ok(next) => {
                        prop_assert!(possible.contains(&action));
                        prop_assert_ne!(next, state);
                        if action == Action::Submit {
                            prop_assert!(side == Side::Applicant && state.is_open());
                        } else if side == Side::Applicant {
                            prop_assert_eq!((action, state), (Action::Close, State::Draft));
                        }
                        state = next;
                        path.push(state);
                    }
                    Err(refusal) => {
                        prop_assert!(!possible.contains(&action));
                        if let Refusal::Illegal { possible: named, .. } = &refusal {
                            prop_assert_eq!(named, &possible);
                            let text = refusal.to_string();
                            prop_assert!(text.contains(state.name()));
                            prop_assert!(possible.iter().all(|legal| text.contains(legal.name())), "{}", text);
                        }
                    }
                }
            }
            for pair in path.windows(2) {
                match pair[1] {
                    State::Approved => prop_assert!(matches!(pair[0], State::InReview | State::Suspended)),
                    State::Suspended => prop_assert_eq!(pair[0], State::Approved),
                    State::InReview => prop_assert_eq!(pair[0], State::Submitted),
                    State::Rejected | State::ChangesRequested => prop_assert_eq!(pair[0], State::InReview),
                    State::Submitted => prop_assert!(pair[0].is_open()),
                    State::Draft => prop_assert!(false, "nothing goes back to being a draft"),
                    State::Closed => {}
                }
                prop_assert_ne!(pair[0], State::Closed, "nothing follows the end");
            }
        }
    }

    #[test]
    fn what_is_never_a_sides_own_is_denied_and_what_is_too_early_names_what_is_possible() {
        let refused = |state: State, action, side| state.step(action, side).unwrap_err();
        for (action, side) in [(Action::Approve, Side::Applicant), (Action::Submit, Side::Reviewer)] {
            assert_eq!(refused(State::Draft, action, side), Refusal::NotYours { action, side });
        }
        let early = refused(State::Submitted, Action::Approve, Side::Reviewer).to_string();
        assert!(early.contains("state submitted") && early.contains("Possible: start_review, close."), "{early}");
        let late = refused(State::Closed, Action::Close, Side::Reviewer).to_string();
        assert!(late.contains("No step is possible"), "{late}");
        let own = refused(State::Approved, Action::Close, Side::Applicant);
        assert!(matches!(own, Refusal::Illegal { .. }), "closing is a step of the applicant's, from a draft");
    }

    #[test]
    fn names_read_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.name()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        for action in Action::ALL {
            assert_eq!(Action::parse(action.name()), Some(action));
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
        assert_eq!((State::parse("verified"), Action::parse("")), (None, None));
    }
}
