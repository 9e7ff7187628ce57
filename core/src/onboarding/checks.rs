//! What is checked by itself when a business is handed in, for the reviewer to see.
//!
//! A check decides nothing: it passes, flags, or fails, and says why and on what
//! evidence. Only when every check passes may a business be approved without a person,
//! and only where the installation wants that ([`may_approve_unseen`]).

use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    address::{Numbering, is_disposable, mail_host, numbering, website_fault},
    category::{Category, Trade},
    names::NameKey,
    profile::Profile,
    state::State,
    wordlist::{self, Area, WORD_LIST_VERSION},
};
use crate::ids::BusinessId;

/// Similar names that are shown at most.
const SIMILAR_SHOWN_MAX: usize = 10;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckId {
    /// Whether the contact's number exists, and in the claimed country.
    ContactPhone,
    /// The same of the numbers to send from, and whether others claim them.
    SenderPhone,
    /// Whether the contact's mail address is one for longer.
    ContactEmail,
    /// Whether the names hold words that the commerce policy is about.
    NamePolicy,
    /// Whether another business is called the same or nearly so.
    NameSimilarity,
    /// Whether the trade is regulated or prohibited.
    Category,
    /// Whether the website has an address that anybody can open.
    Website,
}

impl CheckId {
    /// Every check, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::ContactPhone,
        Self::SenderPhone,
        Self::ContactEmail,
        Self::NamePolicy,
        Self::NameSimilarity,
        Self::Category,
        Self::Website,
    ];
}

/// How a check came out. The later the worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// Nothing to see.
    Pass,
    /// A reviewer should look at it.
    Flag,
    /// It is wrong, or against the policy.
    Fail,
}

/// A check and how it came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Check {
    /// What was checked.
    pub id: CheckId,
    /// How it came out.
    pub outcome: CheckOutcome,
    /// What that means, in a sentence for the reviewer.
    pub explanation: String,
    /// What was found, piece by piece.
    pub evidence: Vec<String>,
}

/// Another business, as far as its name goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherName {
    pub(crate) business: BusinessId,
    pub(crate) state: State,
    pub(crate) name: String,
}

/// A number that the business wants to send from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SenderNumber {
    pub(crate) phone: String,
    /// Whether it is a pretend number on the sandbox.
    pub(crate) is_pretend: bool,
    /// Other businesses that have shown it to be theirs.
    pub(crate) also_of: Vec<BusinessId>,
}

/// The names of other businesses that are like those of one, found in pages so that not
/// all need be in memory.
#[derive(Debug, Default)]
pub(crate) struct Similar {
    own: Vec<NameKey>,
    found: Vec<(f64, OtherName)>,
}

impl Similar {
    pub(crate) fn to(profile: &Profile) -> Self {
        let own = [&profile.legal_name, &profile.trade_name].into_iter().filter_map(|name| NameKey::of(name)).collect();
        Self { own, found: Vec::new() }
    }

    /// Keeps the name of another business that is most like, if one is and it is among the
    /// most alike of all.
    pub(crate) fn consider(&mut self, names: impl IntoIterator<Item = OtherName>) {
        let likeness = |other: &OtherName| {
            let key = NameKey::of(&other.name)?;
            self.own.iter().filter_map(|own| own.likeness(&key)).max_by(f64::total_cmp)
        };
        let alike = names.into_iter().filter_map(|other| Some((likeness(&other)?, other)));
        let Some(best) = alike.max_by(|(one, _), (other, _)| one.total_cmp(other)) else { return };
        let place = self.found.partition_point(|(found, _)| *found >= best.0);
        self.found.insert(place, best);
        self.found.truncate(SIMILAR_SHOWN_MAX);
    }
}

/// Checks what is handed in. The profile has no breach and misses nothing.
pub(crate) fn run(profile: &Profile, senders: &[SenderNumber], similar: &Similar) -> Vec<Check> {
    vec![
        contact_phone(profile),
        sender_phone(profile, senders),
        contact_email(profile),
        name_policy(profile),
        name_similarity(similar),
        category(profile),
        website(profile),
    ]
}

/// Whether a business with these results may be approved without a person, `wanted` being
/// the installation's setting: only when every check there is was made and passed.
#[must_use]
pub fn may_approve_unseen(wanted: bool, checks: &[Check]) -> bool {
    let passed = |id: &CheckId| checks.iter().any(|check| check.id == *id && check.outcome == CheckOutcome::Pass);
    wanted && CheckId::ALL.iter().all(passed) && checks.iter().all(|check| check.outcome == CheckOutcome::Pass)
}

/// The worst of several findings with its explanation, and everything that was found.
fn conclude(id: CheckId, findings: Vec<(CheckOutcome, String)>, nothing: &str, explanations: [&str; 2]) -> Check {
    let outcome = findings.iter().map(|(outcome, _)| *outcome).max().unwrap_or(CheckOutcome::Pass);
    let explanation = match outcome {
        CheckOutcome::Pass => nothing,
        CheckOutcome::Flag => explanations[0],
        CheckOutcome::Fail => explanations[1],
    };
    let evidence = findings.into_iter().map(|(_, text)| text).collect();
    Check { id, outcome, explanation: explanation.to_owned(), evidence }
}

fn number_finding(number: &str, country: &str) -> (CheckOutcome, String) {
    match numbering(number) {
        Numbering::Invalid => (CheckOutcome::Fail, format!("{number} is in no numbering plan")),
        Numbering::Of(Some(of)) if of == country => (CheckOutcome::Pass, format!("{number} is a number of {of}")),
        Numbering::Of(Some(of)) => (CheckOutcome::Flag, format!("{number} is a number of {of}, not of {country}")),
        Numbering::Of(None) => (CheckOutcome::Flag, format!("{number} is a number of no one country")),
    }
}

fn contact_phone(profile: &Profile) -> Check {
    conclude(
        CheckId::ContactPhone,
        vec![number_finding(&profile.contact.phone, &profile.country)],
        "The contact's number exists in the country that was given.",
        [
            "The contact's number is not one of the country that was given: ask why.",
            "The contact's number cannot exist.",
        ],
    )
}

fn sender_phone(profile: &Profile, senders: &[SenderNumber]) -> Check {
    let mut findings = Vec::new();
    for sender in senders {
        if sender.is_pretend {
            findings.push((CheckOutcome::Pass, format!("{} is a pretend number on the sandbox", sender.phone)));
        } else {
            findings.push(number_finding(&format!("+{}", sender.phone), &profile.country));
        }
        for other in &sender.also_of {
            findings.push((CheckOutcome::Flag, format!("{} was also shown to be {other}'s", sender.phone)));
        }
    }
    conclude(
        CheckId::SenderPhone,
        findings,
        "The numbers to send from exist in the country that was given, and nobody else claims them.",
        [
            "A number to send from is of another country, or is another business's too: ask why.",
            "A number to send from cannot exist.",
        ],
    )
}

fn contact_email(profile: &Profile) -> Check {
    let host = mail_host(&profile.contact.email);
    let findings = match host {
        Some(host) if is_disposable(&host) => {
            vec![(CheckOutcome::Flag, format!("{host} gives addresses to anybody for a few minutes"))]
        }
        Some(_) => Vec::new(),
        None => vec![(CheckOutcome::Fail, "it is not a mail address".to_owned())],
    };
    conclude(
        CheckId::ContactEmail,
        findings,
        "The contact's mail address is not of a known service for disposable ones.",
        ["The contact's mail address is disposable.", "The contact's mail address is none."],
    )
}

fn name_policy(profile: &Profile) -> Check {
    let mut findings = Vec::new();
    for name in [&profile.legal_name, &profile.trade_name] {
        for found in wordlist::find(name) {
            let outcome = if found.area == Area::Impersonation { CheckOutcome::Fail } else { CheckOutcome::Flag };
            let text = format!("\"{}\" in \"{name}\": {}", found.word, found.area.title());
            if !findings.contains(&(outcome, text.clone())) {
                findings.push((outcome, text));
            }
        }
    }
    let mut check = conclude(
        CheckId::NamePolicy,
        findings,
        "The names hold no word that the commerce policy is about.",
        [
            "The names hold words that the commerce policy is about: see whether the business is, too.",
            "The names pose as the upstream's own.",
        ],
    );
    check.evidence.push(format!("word list of {WORD_LIST_VERSION}"));
    check
}

fn name_similarity(similar: &Similar) -> Check {
    let finding = |(likeness, other): &(f64, OtherName)| {
        let how = if *likeness >= 1.0 { "the same as" } else { "like" };
        (CheckOutcome::Flag, format!("{how} \"{}\", {} ({})", other.name, other.business, other.state))
    };
    conclude(
        CheckId::NameSimilarity,
        similar.found.iter().map(finding).collect(),
        "No other business has such a name.",
        ["Other businesses are called the same or nearly so: see whether one poses as another.", ""],
    )
}

fn category(profile: &Profile) -> Check {
    let findings = match Category::parse(&profile.category) {
        None => vec![(CheckOutcome::Fail, format!("{} is no category", profile.category))],
        Some(category) => match category.trade {
            Trade::Open => Vec::new(),
            Trade::Regulated => vec![(CheckOutcome::Flag, category.title.to_owned())],
            Trade::Prohibited => vec![(CheckOutcome::Fail, category.title.to_owned())],
        },
    };
    conclude(
        CheckId::Category,
        findings,
        "The trade is not regulated.",
        ["The trade is regulated: ask for the licence, and see what may be sent.", "The trade is against the policy."],
    )
}

fn website(profile: &Profile) -> Check {
    let findings = if profile.website.is_empty() {
        vec![(CheckOutcome::Flag, "no website was given".to_owned())]
    } else {
        let fault = match Url::parse(&profile.website) {
            Ok(url) => website_fault(&url),
            Err(error) => Some(error.to_string()),
        };
        fault.into_iter().map(|fault| (CheckOutcome::Fail, format!("{}: {fault}", profile.website))).collect()
    };
    conclude(
        CheckId::Website,
        findings,
        "The website has an address that anybody can open. It was not opened.",
        ["There is no website to look at.", "The website's address is none that anybody can open."],
    )
}

#[cfg(test)]
mod tests {
    use super::{super::profile::tests::complete, *};

    fn run_on(profile: &Profile) -> Vec<Check> {
        run(profile, &[number("493012345678")], &Similar::to(profile))
    }

    fn number(phone: &str) -> SenderNumber {
        SenderNumber { phone: phone.to_owned(), is_pretend: false, also_of: Vec::new() }
    }

    fn outcome(checks: &[Check], id: CheckId) -> CheckOutcome {
        checks.iter().find(|check| check.id == id).unwrap().outcome
    }

    /// The one check that does not pass.
    fn only_fault(profile: &Profile) -> Check {
        let mut faults: Vec<Check> =
            run_on(profile).into_iter().filter(|check| check.outcome != CheckOutcome::Pass).collect();
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults.remove(0)
    }

    #[test]
    fn a_business_without_fault_passes_every_check() {
        let checks = run_on(&complete());
        assert_eq!(checks.iter().map(|check| check.id).collect::<Vec<_>>(), CheckId::ALL);
        assert!(checks.iter().all(|check| check.outcome == CheckOutcome::Pass), "{checks:?}");
    }

    #[test]
    fn each_fault_is_found_by_its_own_check_with_evidence() {
        let mut foreign = complete();
        foreign.contact.phone = "+1 650 555 1234".to_owned();
        let mut impossible = complete();
        impossible.contact.phone = "+49 1".repeat(2);
        let mut disposable = complete();
        disposable.contact.email = "ada@mail.yopmail.com".to_owned();
        let cases = [
            (foreign, CheckId::ContactPhone, CheckOutcome::Flag, "US"),
            (impossible, CheckId::ContactPhone, CheckOutcome::Fail, "numbering plan"),
            (disposable, CheckId::ContactEmail, CheckOutcome::Flag, "yopmail.com"),
            (
                Profile { trade_name: "Blumen & Ca$ino".to_owned(), ..complete() },
                CheckId::NamePolicy,
                CheckOutcome::Flag,
                "gambling",
            ),
            (
                Profile { legal_name: "WhatsApp Deutschland".to_owned(), ..complete() },
                CheckId::NamePolicy,
                CheckOutcome::Fail,
                "upstream",
            ),
            (
                Profile { category: "pharmacy".to_owned(), ..complete() },
                CheckId::Category,
                CheckOutcome::Flag,
                "Pharmacy",
            ),
            (
                Profile { category: "weapons".to_owned(), ..complete() },
                CheckId::Category,
                CheckOutcome::Fail,
                "Weapons",
            ),
            (Profile { website: String::new(), ..complete() }, CheckId::Website, CheckOutcome::Flag, "no website"),
            (
                Profile { website: "https://10.0.0.1/".to_owned(), ..complete() },
                CheckId::Website,
                CheckOutcome::Fail,
                "IP address",
            ),
        ];
        for (profile, id, outcome, says) in cases {
            let check = only_fault(&profile);
            assert_eq!((check.id, check.outcome), (id, outcome), "{check:?}");
            assert!(check.evidence.iter().any(|evidence| evidence.contains(says)), "{check:?}");
        }
    }

    #[test]
    fn numbers_to_send_from_are_checked_one_by_one() {
        let checks = |senders: &[SenderNumber]| run(&complete(), senders, &Similar::default());
        let pretend = SenderNumber { is_pretend: true, ..number("15550783881") };
        assert_eq!(outcome(&checks(std::slice::from_ref(&pretend)), CheckId::SenderPhone), CheckOutcome::Pass);
        let unreal = SenderNumber { is_pretend: false, ..pretend };
        assert_eq!(outcome(&checks(&[number("493012345678"), unreal]), CheckId::SenderPhone), CheckOutcome::Fail);
        let shared = SenderNumber { also_of: vec![BusinessId::generate()], ..number("493012345678") };
        assert_eq!(outcome(&checks(&[shared]), CheckId::SenderPhone), CheckOutcome::Flag);
    }

    #[test]
    fn similar_names_are_named_the_most_alike_first() {
        let mut similar = Similar::to(&complete());
        let other =
            |name: &str| OtherName { business: BusinessId::generate(), state: State::Approved, name: name.to_owned() };
        similar.consider([other("Autohaus Schulze")]);
        for _ in 0..20 {
            similar.consider([other("Blumenhaus Meyer Ltd"), other("Something else")]);
        }
        let same = other("BLUMENHAUS-MEIER");
        similar.consider([other("Blumenhaus Mayer"), same.clone()]);
        let check = name_similarity(&similar);
        assert_eq!((check.outcome, check.evidence.len()), (CheckOutcome::Flag, SIMILAR_SHOWN_MAX));
        let first = &check.evidence[0];
        assert!(first.starts_with("the same as") && first.contains(&same.business.to_string()), "{check:?}");
        assert!(check.evidence[1].starts_with("like \"Blumenhaus Meyer Ltd\""), "{check:?}");
        assert!(!check.evidence.iter().any(|evidence| evidence.contains("Schulze")));
    }

    #[test]
    fn a_flagged_or_failed_business_is_never_approved_unseen() {
        let checks = run_on(&complete());
        assert!(may_approve_unseen(true, &checks));
        assert!(!may_approve_unseen(false, &checks), "only where the installation wants it");
        assert!(!may_approve_unseen(true, &[]));
        assert!(!may_approve_unseen(true, &checks[1..]), "a check that was not made did not pass");
        for position in 0..checks.len() {
            for worse in [CheckOutcome::Flag, CheckOutcome::Fail] {
                let mut checks = checks.clone();
                checks[position].outcome = worse;
                assert!(!may_approve_unseen(true, &checks), "{:?}", checks[position]);
            }
        }
    }
}
