//! How far a version of a template has come, as a pure state machine: nothing is in use that was not approved by a
//! reviewer here and by the network after that, and what is possible instead of a step is said with its refusal.
//!
//! One table decides; it is small enough to be read, and tests walk every cell of it.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateState)]
pub enum State {
    /// It is being written, for the first time or after a reviewer wanted something changed.
    Draft,
    /// It waits for a reviewer of the platform.
    PendingInternal,
    /// The platform takes it; its network has yet to get it.
    ApprovedInternal,
    /// Its network reviews it.
    Submitted,
    /// It can be sent.
    Approved,
    /// The platform or the network will not have it.
    Rejected,
    /// The network has stopped it for a while.
    Paused,
    /// The network has stopped it for good.
    Disabled,
    /// It is out of use: put away by its owner, or replaced.
    Archived,
}

/// A step from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = TemplateAction)]
pub enum Action {
    /// Hand it in.
    Submit,
    /// Take it back before it was reviewed.
    Withdraw,
    /// Let it go to the network.
    Approve,
    /// Hand it back, with what has to change.
    RequestChanges,
    /// Turn it down.
    Reject,
    /// The network has got it.
    Forward,
    /// The network takes it.
    Accept,
    /// The network turns it down.
    Refuse,
    /// The network stops it for a while.
    Pause,
    /// It goes on after a pause.
    Unpause,
    /// The network stops it for good.
    Disable,
    /// The network lets it go on after all.
    Reinstate,
    /// Put it away.
    Archive,
}

/// Whose step it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The business itself, or its reseller.
    Author,
    /// A reviewer of the platform.
    Reviewer,
    /// The network, as its adapter tells it.
    Network,
}

use Action::{
    Accept, Approve, Archive, Disable, Forward, Pause, Refuse, Reinstate, Reject, RequestChanges, Submit, Unpause,
    Withdraw,
};
use Side::{Author, Network, Reviewer};
use State::{Approved, ApprovedInternal, Archived, Disabled, Draft, Paused, PendingInternal, Rejected, Submitted};

/// The table: from where, by which step of whom, to where.
const TRANSITIONS: &[(State, Action, &[Side], State)] = &[
    (Draft, Submit, &[Author], PendingInternal),
    (PendingInternal, Withdraw, &[Author], Draft),
    (PendingInternal, Approve, &[Reviewer], ApprovedInternal),
    (PendingInternal, RequestChanges, &[Reviewer], Draft),
    (PendingInternal, Reject, &[Reviewer], Rejected),
    (ApprovedInternal, Reject, &[Reviewer], Rejected),
    (ApprovedInternal, Forward, &[Network], Submitted),
    (Submitted, Accept, &[Network], Approved),
    (Submitted, Refuse, &[Network], Rejected),
    (Approved, Refuse, &[Network], Rejected),
    (Paused, Refuse, &[Network], Rejected),
    (Rejected, Accept, &[Network], Approved),
    (Approved, Pause, &[Network], Paused),
    (Paused, Unpause, &[Author, Network], Approved),
    (Approved, Disable, &[Network], Disabled),
    (Paused, Disable, &[Network], Disabled),
    (Disabled, Reinstate, &[Network], Approved),
    (Draft, Archive, &[Author], Archived),
    (PendingInternal, Archive, &[Author], Archived),
    (ApprovedInternal, Archive, &[Author], Archived),
    (Submitted, Archive, &[Author], Archived),
    (Approved, Archive, &[Author], Archived),
    (Rejected, Archive, &[Author], Archived),
    (Paused, Archive, &[Author], Archived),
    (Disabled, Archive, &[Author], Archived),
];

impl State {
    /// Every state.
    pub const ALL: [Self; 9] =
        [Draft, PendingInternal, ApprovedInternal, Submitted, Approved, Rejected, Paused, Disabled, Archived];

    /// Its name in rows and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Draft => "draft",
            PendingInternal => "pending_internal",
            ApprovedInternal => "approved_internal",
            Submitted => "submitted",
            Approved => "approved",
            Rejected => "rejected",
            Paused => "paused",
            Disabled => "disabled",
            Archived => "archived",
        }
    }

    /// The state with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Its status in the Cloud API's words, which know no drafts: what a reviewer sent back is rejected there.
    #[must_use]
    pub const fn cloud_status(self) -> &'static str {
        match self {
            PendingInternal | ApprovedInternal | Submitted => "PENDING",
            Approved => "APPROVED",
            Draft | Rejected => "REJECTED",
            Paused => "PAUSED",
            Disabled => "DISABLED",
            Archived => "ARCHIVED",
        }
    }

    /// Whether somebody else has it to decide on: until then it cannot be changed.
    #[must_use]
    pub const fn is_waiting(self) -> bool {
        matches!(self, PendingInternal | ApprovedInternal | Submitted)
    }

    /// Whether a version in this state takes the place of the one in use.
    #[must_use]
    pub const fn is_in_use(self) -> bool {
        matches!(self, Approved | Paused | Disabled)
    }

    /// Where `action` by `side` leads to.
    ///
    /// # Errors
    /// [`Refusal`], with what this side can do instead.
    pub fn step(self, action: Action, side: Side) -> Result<Self, Refusal> {
        let row =
            TRANSITIONS.iter().find(|(from, step, sides, _)| (*from, *step) == (self, action) && sides.contains(&side));
        row.map(|(.., to)| *to).ok_or_else(|| Refusal { state: self, action, side, possible: self.possible(side) })
    }

    /// What `side` can do from here.
    #[must_use]
    pub fn possible(self, side: Side) -> Vec<Action> {
        let rows = TRANSITIONS.iter().filter(|(from, _, sides, _)| *from == self && sides.contains(&side));
        rows.map(|(_, action, ..)| *action).collect()
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 13] = [
        Submit,
        Withdraw,
        Approve,
        RequestChanges,
        Reject,
        Forward,
        Accept,
        Refuse,
        Pause,
        Unpause,
        Disable,
        Reinstate,
        Archive,
    ];

    /// Its name in requests and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Submit => "submit",
            Withdraw => "withdraw",
            Approve => "approve",
            RequestChanges => "request_changes",
            Reject => "reject",
            Forward => "forward",
            Accept => "accept",
            Refuse => "refuse",
            Pause => "pause",
            Unpause => "unpause",
            Disable => "disable",
            Reinstate => "reinstate",
            Archive => "archive",
        }
    }

    /// Whether it has to be said why.
    #[must_use]
    pub const fn needs_reason(self) -> bool {
        matches!(self, RequestChanges | Reject)
    }

    /// Whether it is done to the version in use, where there is one, and not to the newest.
    #[must_use]
    pub const fn is_about_use(self) -> bool {
        matches!(self, Pause | Unpause | Disable | Reinstate)
    }

    /// Its name in the audit log.
    pub(crate) const fn audited_as(self) -> &'static str {
        match self {
            Submit => "template.submitted",
            Withdraw => "template.withdrawn",
            Approve => "template.approved_internally",
            RequestChanges => "template.changes_requested",
            Reject => "template.rejected_internally",
            Forward => "template.forwarded",
            Accept => "template.approved",
            Refuse => "template.rejected",
            Pause => "template.paused",
            Unpause => "template.unpaused",
            Disable => "template.disabled",
            Reinstate => "template.reinstated",
            Archive => "template.archived",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A step that the state does not allow to a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The state.
    pub state: State,
    /// The step.
    pub action: Action,
    /// Who wanted to take it.
    pub side: Side,
    /// The steps that this side can take instead.
    pub possible: Vec<Action>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = match self.side {
            Author => "by its own side",
            Reviewer => "by a reviewer",
            Network => "by its network",
        };
        write!(
            f,
            "The template is in the state {}, which does not allow the step {} {whose}. ",
            self.state, self.action
        )?;
        if self.possible.is_empty() {
            return f.write_str("No step is possible from there.");
        }
        let names: Vec<&str> = self.possible.iter().map(|action| action.name()).collect();
        write!(f, "Possible: {}.", names.join(", "))
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIDES: [Side; 3] = [Author, Reviewer, Network];

    #[test]
    fn every_cell_of_the_table_leads_where_it_says_and_every_other_is_refused() {
        let mut allowed = 0;
        for state in State::ALL {
            for action in Action::ALL {
                for side in SIDES {
                    let row = TRANSITIONS
                        .iter()
                        .find(|(from, step, sides, _)| *from == state && *step == action && sides.contains(&side));
                    match (state.step(action, side), row) {
                        (Ok(next), Some((.., to))) => {
                            allowed += 1;
                            assert_eq!(next, *to);
                            assert_ne!(next, state, "{state} {action}: a step leads somewhere");
                        }
                        (Err(refusal), None) => {
                            assert_eq!(refusal.possible, state.possible(side));
                            let said = refusal.to_string();
                            assert!(said.contains(state.name()) && said.contains(action.name()), "{said}");
                            assert!(refusal.possible.iter().all(|one| said.contains(one.name())), "{said}");
                        }
                        (found, row) => panic!("{state} {action} {side:?}: {found:?} is not {row:?}"),
                    }
                }
            }
        }
        assert_eq!(allowed, TRANSITIONS.iter().map(|(_, _, sides, _)| sides.len()).sum::<usize>());
    }

    /// Each transition by name, so that one which is taken out or turned around fails here.
    macro_rules! leads {
        ($($name:ident: $from:ident $action:ident by $side:ident to $to:ident;)+) => {$(
            #[test]
            fn $name() {
                assert_eq!($from.step($action, $side), Ok($to));
            }
        )+};
    }

    leads! {
        a_draft_is_handed_in: Draft Submit by Author to PendingInternal;
        what_was_handed_in_can_be_taken_back: PendingInternal Withdraw by Author to Draft;
        a_reviewer_lets_it_go_on: PendingInternal Approve by Reviewer to ApprovedInternal;
        a_reviewer_sends_it_back: PendingInternal RequestChanges by Reviewer to Draft;
        a_reviewer_turns_it_down: PendingInternal Reject by Reviewer to Rejected;
        a_reviewer_can_still_turn_it_down_while_no_network_has_it: ApprovedInternal Reject by Reviewer to Rejected;
        the_network_gets_it: ApprovedInternal Forward by Network to Submitted;
        the_network_takes_it: Submitted Accept by Network to Approved;
        the_network_turns_it_down: Submitted Refuse by Network to Rejected;
        the_network_turns_it_down_later: Approved Refuse by Network to Rejected;
        the_network_turns_it_down_while_paused: Paused Refuse by Network to Rejected;
        the_network_takes_it_after_an_appeal: Rejected Accept by Network to Approved;
        the_network_pauses_it: Approved Pause by Network to Paused;
        the_network_ends_the_pause: Paused Unpause by Network to Approved;
        its_owner_ends_the_pause: Paused Unpause by Author to Approved;
        the_network_disables_it: Approved Disable by Network to Disabled;
        the_network_disables_it_after_a_pause: Paused Disable by Network to Disabled;
        the_network_lets_it_go_on_after_all: Disabled Reinstate by Network to Approved;
        a_draft_is_put_away: Draft Archive by Author to Archived;
        what_waits_here_is_put_away: PendingInternal Archive by Author to Archived;
        what_waits_for_its_network_is_put_away: ApprovedInternal Archive by Author to Archived;
        what_the_network_reviews_is_put_away: Submitted Archive by Author to Archived;
        what_is_in_use_is_put_away: Approved Archive by Author to Archived;
        what_was_turned_down_is_put_away: Rejected Archive by Author to Archived;
        what_is_paused_is_put_away: Paused Archive by Author to Archived;
        what_is_disabled_is_put_away: Disabled Archive by Author to Archived;
    }

    proptest! {
        #[test]
        fn nothing_is_approved_that_both_have_not_approved(
            steps in proptest::collection::vec(
                (proptest::sample::select(Action::ALL.to_vec()), proptest::sample::select(SIDES.to_vec())), 0..80)
        ) {
            let mut state = Draft;
            let (mut reviewed, mut networked, mut ended) = (false, false, false);
            for (action, side) in steps {
                let Ok(next) = state.step(action, side) else { continue };
                prop_assert!(!ended, "nothing follows the end");
                match action {
                    Submit => reviewed = false,
                    Approve => reviewed = true,
                    Forward => prop_assert!(reviewed, "no network sees what no reviewer has let go"),
                    // What a reviewer turned down comes back by an appeal at the network only, and the store lets no
                    // network decide on what it never got.
                    Accept => networked = true,
                    Archive => ended = true,
                    _ => {}
                }
                if matches!(next, Paused | Disabled) || (next == Approved && action != Accept) {
                    prop_assert!(networked, "{state} {action}");
                }
                if side == Author {
                    prop_assert!(next != Approved || state == Paused, "its own side never approves it");
                }
                state = next;
            }
        }
    }

    #[test]
    fn names_read_back() {
        for state in State::ALL {
            assert_eq!(State::parse(state.name()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
        }
        for action in Action::ALL {
            assert_eq!(serde_json::to_value(action).unwrap(), action.name());
        }
        assert_eq!(State::parse("verified"), None);
    }
}
