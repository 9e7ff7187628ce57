//! Guarantee: whatever way a network says where a template stands, by itself or when it is asked, as often as it likes and
//! in any order, leads to the same steps, and to none twice: they follow from where the template stands here.

use serde_json::Value;
use waystation_adapter_sdk::{Change as NetworkChange, TemplateReport, TemplateStatus};

use super::{NetworkEvent, State, Templates, Verdict};
use crate::{clock::Millis, error::ApiError, ids::AccountId, messages::Category};

/// The fields of what a network says of templates.
const STATUS: &str = "message_template_status_update";
const QUALITY: &str = "message_template_quality_update";
const COMPONENTS: &str = "message_template_components_update";
const CATEGORY: &str = "template_category_update";

/// What a pause is called that the network has not named.
const PAUSE: &str = "PAUSED";
/// The word for no reason.
const NONE: &str = "NONE";

/// Something that a network said of a template by itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// What the network calls the template.
    pub(crate) upstream_id: Option<String>,
    pub(crate) name: String,
    pub(crate) language: String,
    /// Where it stands; none when only something else was said.
    pub(crate) report: TemplateReport,
    /// Which pause it is.
    pub(crate) pause: Option<String>,
    /// The category that it will be in, and when.
    pub(crate) announced: Option<(Category, Millis)>,
    /// Whether it says nothing that is kept here: then it is passed on.
    pub(crate) is_news: bool,
}

/// What is left to be told of a change after it was written down.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ByNetwork {
    /// Nothing: what followed has been told.
    Settled,
    /// It is passed on, as it is or with our id of the template.
    PassOn(NetworkChange),
}

impl Told {
    /// Reads a change; none when it is about no template.
    pub(crate) fn read(change: &NetworkChange) -> Option<Self> {
        let value = &change.value;
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
        let owned = |pointer: &str| text(pointer).map(str::to_owned);
        if !matches!(change.field.as_str(), STATUS | QUALITY | COMPONENTS | CATEGORY) {
            return None;
        }
        let upstream_id = match value.get("message_template_id")? {
            Value::String(id) => id.clone(),
            id => id.as_i64()?.to_string(),
        };
        let mut report = TemplateReport::new(Some(upstream_id.clone()), TemplateStatus::Pending);
        // A quality comes under the field of a status too; what it says tells.
        report.quality = owned("/new_quality_score");
        report.category = owned("/message_template_category");
        let (mut announced, mut is_news) = (None, report.quality.is_some());
        if let Some(event) = text("/event").filter(|_| change.field == STATUS) {
            let status = match event {
                "APPROVED" | "REINSTATED" | "UNARCHIVED" | "UNPAUSED" => Some(TemplateStatus::Approved),
                "REJECTED" => Some(TemplateStatus::Rejected),
                "PAUSED" => Some(TemplateStatus::Paused),
                "DISABLED" | "ARCHIVED" | "LOCKED" => Some(TemplateStatus::Disabled),
                "DELETED" | "PENDING_DELETION" => Some(TemplateStatus::Missing),
                _ => None,
            };
            is_news |= status.is_some();
            report.status = status.unwrap_or(TemplateStatus::Pending);
            report.rejection = owned("/reason").filter(|reason| reason != NONE);
            report.reason = owned("/rejection_info/reason").or_else(|| owned("/other_info/description"));
            report.recommendation = owned("/rejection_info/recommendation");
        }
        if change.field == CATEGORY {
            let seconds = value.get("category_update_timestamp").and_then(|at| match at {
                Value::String(digits) => digits.parse().ok(),
                number => number.as_i64(),
            });
            match (text("/correct_category").and_then(Category::parse), seconds) {
                (Some(correct), Some(seconds)) => announced = Some((correct, seconds.saturating_mul(1_000))),
                _ => report.category = owned("/new_category"),
            }
            is_news = announced.is_some() || report.category.is_some();
        }
        Some(Self {
            upstream_id: Some(upstream_id),
            name: owned("/message_template_name").unwrap_or_default(),
            // Written with a hyphen here and nowhere else.
            language: text("/message_template_language").unwrap_or_default().replace('-', "_"),
            report,
            pause: owned("/other_info/title"),
            announced,
            is_news,
        })
    }
}

/// The steps that follow when a network says `report` of a template: its newest version is in the state `latest`, and the
/// one in use, if any, in `used`. `is_latest` says whether the network has the newest version.
pub(crate) fn follow(
    report: &TemplateReport,
    pause: Option<&str>,
    (latest, is_latest): (State, bool),
    (used, asked): (Option<State>, Category),
) -> Vec<NetworkEvent> {
    let category = report.category.as_deref().and_then(Category::parse);
    let reason = |otherwise: &str| {
        let said = report.reason.as_deref().or(report.rejection.as_deref());
        said.unwrap_or(otherwise).to_owned()
    };
    let approved = || NetworkEvent::Decided(Verdict::Approved(category.unwrap_or(asked)));
    let rejected = |otherwise: Option<&str>| {
        NetworkEvent::Decided(Verdict::Rejected {
            reason: report.rejection.clone().unwrap_or_else(|| NONE.to_owned()),
            details: report.reason.clone().or(otherwise.map(str::to_owned)),
            recommendation: report.recommendation.clone(),
        })
    };
    let paused = || NetworkEvent::Paused {
        title: pause.unwrap_or(PAUSE).to_owned(),
        reason: reason("The network has paused the template."),
    };
    let disabled = |why: &str| NetworkEvent::Disabled { reason: reason(why) };
    const DISABLED: &str = "The network has disabled the template.";
    const MISSING: &str = "The network has no such template any more.";
    let is_asked = is_latest && latest == State::Submitted;
    let mut events = match (report.status, used) {
        (TemplateStatus::Pending, _) => Vec::new(),
        (TemplateStatus::Approved, _) if is_asked || (is_latest && latest == State::Rejected) => vec![approved()],
        (TemplateStatus::Rejected, _) if is_asked => vec![rejected(None)],
        (TemplateStatus::Missing, _) if is_asked => vec![rejected(Some(MISSING))],
        (TemplateStatus::Paused, _) if is_asked => vec![approved(), paused()],
        (TemplateStatus::Disabled, _) if is_asked => vec![approved(), disabled(DISABLED)],
        (TemplateStatus::Approved, Some(State::Paused)) => vec![NetworkEvent::Unpaused],
        (TemplateStatus::Approved, Some(State::Disabled)) => vec![NetworkEvent::Reinstated],
        (TemplateStatus::Paused, Some(State::Approved)) => vec![paused()],
        (TemplateStatus::Disabled, Some(State::Approved | State::Paused)) => vec![disabled(DISABLED)],
        (TemplateStatus::Missing, Some(State::Approved | State::Paused)) => vec![disabled(MISSING)],
        // While another version is asked about, this is not about the one in use.
        (TemplateStatus::Rejected, Some(State::Approved | State::Paused)) if latest != State::Submitted => {
            vec![rejected(None)]
        }
        _ => Vec::new(),
    };
    let is_used =
        used.is_some() || events.iter().any(|event| matches!(event, NetworkEvent::Decided(Verdict::Approved(_))));
    if let Some(category) = category.filter(|_| is_used && !is_asked) {
        events.push(NetworkEvent::CategoryChanged(category));
    }
    events.extend(report.quality.clone().map(NetworkEvent::Quality));
    events
}

impl Templates {
    /// Writes down what a network said by itself of a template of `account`, and says what is still to be told of it.
    ///
    /// # Errors
    /// When it could not be written down: then nothing of it is.
    pub(crate) async fn told_by_network(
        &self,
        account: AccountId,
        adapter: &str,
        change: &NetworkChange,
        now: Millis,
    ) -> Result<ByNetwork, ApiError> {
        let Some(told) = Told::read(change) else { return Ok(ByNetwork::PassOn(change.clone())) };
        let Some(changed) = self.store.template_told((account, adapter), &told, now).await? else {
            return Ok(ByNetwork::PassOn(change.clone()));
        };
        self.spread(&changed);
        if told.is_news {
            return Ok(ByNetwork::Settled);
        }
        let mut change = change.clone();
        change.value["message_template_id"] = changed.id.0.into();
        Ok(ByNetwork::PassOn(change))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(field: &str, value: Value) -> Option<Told> {
        Told::read(&NetworkChange { field: field.to_owned(), value, at_ms: 0 })
    }

    fn named(mut value: Value) -> Value {
        value["message_template_id"] = json!(1_689_556_908_129_835_i64);
        value["message_template_name"] = json!("abandoned_cart");
        value["message_template_language"] = json!("en-US");
        value
    }

    #[test]
    fn every_word_of_a_status_is_read_and_others_are_passed_on() {
        for (event, status) in [
            ("APPROVED", TemplateStatus::Approved),
            ("REINSTATED", TemplateStatus::Approved),
            ("REJECTED", TemplateStatus::Rejected),
            ("PAUSED", TemplateStatus::Paused),
            ("DISABLED", TemplateStatus::Disabled),
            ("PENDING_DELETION", TemplateStatus::Missing),
        ] {
            let told = told(STATUS, named(json!({"event": event, "reason": "NONE"}))).unwrap();
            assert_eq!((told.report.status, told.is_news), (status, true), "{event}");
            assert_eq!(told.upstream_id.as_deref(), Some("1689556908129835"));
            assert_eq!((told.name.as_str(), told.language.as_str()), ("abandoned_cart", "en_US"));
            assert_eq!(told.report.rejection, None);
        }
        for event in ["FLAGGED", "IN_APPEAL", "NEWS_OF_TOMORROW"] {
            assert!(!told(STATUS, named(json!({"event": event}))).unwrap().is_news, "{event}");
        }
        assert_eq!(told("account_update", named(json!({}))), None);
        assert_eq!(told(STATUS, json!({"event": "APPROVED"})), None, "of which it is not said");
    }

    #[test]
    fn a_quality_is_one_under_either_field() {
        for field in [STATUS, QUALITY] {
            let value = named(json!({"previous_quality_score": "GREEN", "new_quality_score": "YELLOW"}));
            let told = told(field, value).unwrap();
            assert_eq!((told.report.quality.as_deref(), told.is_news), (Some("YELLOW"), true));
            assert_eq!(told.report.status, TemplateStatus::Pending);
        }
    }

    #[test]
    fn a_category_is_changed_or_announced() {
        let changed = named(json!({"previous_category": "UTILITY", "new_category": "MARKETING"}));
        let changed = told(CATEGORY, changed).unwrap();
        assert_eq!((changed.report.category.as_deref(), changed.announced), (Some("MARKETING"), None));
        let value = named(json!({
            "new_category": "UTILITY", "correct_category": "MARKETING", "category_update_timestamp": "1746169200",
        }));
        let announced = told(CATEGORY, value).unwrap();
        assert_eq!(announced.announced, Some((Category::Marketing, 1_746_169_200_000)));
        assert_eq!(announced.report.category, None, "until then it stays");
    }

    #[test]
    fn steps_follow_from_where_the_template_stands_and_none_follows_twice() {
        use State::{Approved, Disabled, Paused, Rejected, Submitted};
        let steps = |status, latest: (State, bool), used: Option<State>| -> Vec<&'static str> {
            let report = TemplateReport::new(None, status);
            let events = follow(&report, None, latest, (used, Category::Utility));
            let name = |event: &NetworkEvent| match event {
                NetworkEvent::Decided(Verdict::Approved(_)) => "accept",
                NetworkEvent::Decided(Verdict::Rejected { .. }) => "refuse",
                NetworkEvent::Paused { .. } => "pause",
                NetworkEvent::Unpaused => "unpause",
                NetworkEvent::Disabled { .. } => "disable",
                NetworkEvent::Reinstated => "reinstate",
                other => panic!("{other:?}"),
            };
            events.iter().map(name).collect()
        };
        let none: [&str; 0] = [];
        let asked = (Submitted, true);
        assert_eq!(steps(TemplateStatus::Pending, asked, None), none);
        assert_eq!(steps(TemplateStatus::Approved, asked, None), ["accept"]);
        assert_eq!(steps(TemplateStatus::Approved, asked, Some(Approved)), ["accept"]);
        assert_eq!(steps(TemplateStatus::Rejected, asked, Some(Approved)), ["refuse"]);
        assert_eq!(steps(TemplateStatus::Missing, asked, None), ["refuse"]);
        assert_eq!(steps(TemplateStatus::Paused, asked, None), ["accept", "pause"]);
        assert_eq!(steps(TemplateStatus::Disabled, asked, None), ["accept", "disable"]);
        for (status, used, step) in [
            (TemplateStatus::Approved, Paused, "unpause"),
            (TemplateStatus::Approved, Disabled, "reinstate"),
            (TemplateStatus::Paused, Approved, "pause"),
            (TemplateStatus::Disabled, Paused, "disable"),
            (TemplateStatus::Missing, Approved, "disable"),
            (TemplateStatus::Rejected, Approved, "refuse"),
        ] {
            assert_eq!(steps(status, (used, true), Some(used)), [step], "{status:?} {used:?}");
        }
        // What is so already, and what is about another version.
        assert_eq!(steps(TemplateStatus::Approved, (Approved, true), Some(Approved)), none);
        assert_eq!(steps(TemplateStatus::Paused, (Paused, true), Some(Paused)), none);
        assert_eq!(steps(TemplateStatus::Disabled, (Disabled, true), Some(Disabled)), none);
        assert_eq!(steps(TemplateStatus::Rejected, (Rejected, true), None), none);
        assert_eq!(steps(TemplateStatus::Approved, (Rejected, true), None), ["accept"], "after an appeal");
        assert_eq!(steps(TemplateStatus::Approved, (Rejected, false), None), none, "a reviewer's word stands");
        assert_eq!(steps(TemplateStatus::Approved, (State::ApprovedInternal, false), Some(Approved)), none);
        assert_eq!(steps(TemplateStatus::Rejected, (Submitted, false), Some(Approved)), none);
    }
}
