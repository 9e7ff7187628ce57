//! Signing in on both databases, by a clock of the tests' own.

use totp_rs::{Builder, Secret};
use waystation_testkit::servers::Postgres;

use super::*;
use crate::{
    audit::AuditEntry,
    credentials::Issued,
    ids::{BusinessId, SigningSecretId},
    paging::Paging,
    store::{Direction, StoreSettings, StoreUrl},
    tenancy::Policy,
};

const NOW: Millis = 1_795_341_600_000;
const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "correct horse battery staple";
const OTHER_PASSWORD: &str = "seven tulips under glass";

struct Fixture {
    access: Access,
    _folder: tempfile::TempDir,
}

async fn both() -> Vec<Fixture> {
    let postgres = Postgres::shared().await.unwrap().create_database().await.unwrap();
    let mut fixtures = Vec::new();
    for postgres in [None, Some(postgres)] {
        let folder = tempfile::tempdir().unwrap();
        let url = postgres.map_or_else(|| StoreUrl::Sqlite(folder.path().join("test.db")), StoreUrl::Postgres);
        let store = Store::open(&StoreSettings { url, connections: 8 }).await.unwrap();
        store.migrate(Direction::Up).await.unwrap();
        fixtures.push(Fixture { access: Access::new(store, Vault::for_tests()), _folder: folder });
    }
    fixtures
}

fn visitor(address: &str) -> Visitor {
    let origin = Origin { address: Some(address.parse().unwrap()), request_id: Some("req_1".to_owned()) };
    Visitor::new(origin, "Mozilla/5.0")
}

fn here() -> Visitor {
    visitor("192.0.2.7")
}

/// The code that an app with this secret shows at `now`.
fn code(secret: &NewSecret, now: Millis) -> String {
    let secret = Secret::try_from_base32(&secret.text).unwrap();
    let totp = Builder::new().with_secret(secret).build_noncompliant();
    totp.generate(u64::try_from(now / 1_000).unwrap()).to_string()
}

/// A person who is signed in.
struct Person {
    token: Issued,
    secret: NewSecret,
    codes: RecoveryCodes,
}

impl Fixture {
    async fn session(&self, token: &Issued, now: Millis) -> Session {
        self.access.session(token.reveal(), now).await.unwrap().unwrap()
    }

    /// Goes through a link and sets everything up.
    async fn enrol(&self, link: &Issued, email: &str, now: Millis) -> Person {
        let opened = self.access.use_link(link.reveal(), Some(email), PASSWORD, &here(), now).await.unwrap();
        assert_eq!(opened.stage, Stage::Enrol);
        let session = self.session(&opened.token, now).await;
        let secret = self.access.pending_secret(&session).await.unwrap();
        let session = self.session(&opened.token, now).await;
        let (opened, codes) = self.access.finish_two_factor(&session, &code(&secret, now), &here(), now).await.unwrap();
        Person { token: opened.token, secret, codes }
    }

    async fn owner(&self) -> Person {
        let link = owner_link(&self.access.store, false, NOW).await.unwrap();
        self.enrol(&link, EMAIL, NOW).await
    }

    async fn sign_in(&self, email: &str, password: &str, from: &str, now: Millis) -> Result<Opened, AccessError> {
        self.access.sign_in(email, password, &visitor(from), now).await
    }

    /// Signs in with password and code.
    async fn sign_in_fully(&self, person: &Person, now: Millis) -> Issued {
        let opened = self.sign_in(EMAIL, PASSWORD, "192.0.2.7", now).await.unwrap();
        let session = self.session(&opened.token, now).await;
        self.access.second_factor(&session, &code(&person.secret, now), &here(), now).await.unwrap().token
    }

    async fn audit(&self) -> Vec<AuditEntry> {
        self.access.store.audit_entries(&Subtree::Platform, None, 1_000).await.unwrap()
    }

    async fn business(&self) -> (ResellerId, BusinessId) {
        let (store, by, policy) = (&self.access.store, Actor::operator(), Policy::default());
        let reseller = store.add_reseller(&by, "North", &policy, NOW).await.unwrap();
        let (business, secret) = (BusinessId::generate(), SigningSecretId::generate());
        store.add_business(&by, &reseller, (&business, "Bakery", &policy), (&secret, vec![1]), NOW).await.unwrap();
        (reseller, business)
    }

    async fn invite(&self, within: &Subtree, name: &str, email: &str, role: Role) -> Result<UserId, AccessError> {
        let invitation = Invitation { name: name.to_owned(), email: email.to_owned(), role };
        self.access.invite(&Actor::operator(), within, &invitation, NOW).await.map(|(id, _)| id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_works_once_and_looking_at_it_uses_nothing_up() {
    for fixture in both().await {
        let access = &fixture.access;
        let link = owner_link(&access.store, false, NOW).await.unwrap();
        for _ in 0..2 {
            assert!(access.link_user(link.reveal(), NOW).await.unwrap().unwrap().email.is_none());
        }
        let here = here();
        for (email, password) in [(None, PASSWORD), (Some("nobody"), PASSWORD), (Some(EMAIL), "too short")] {
            access.use_link(link.reveal(), email, password, &here, NOW).await.unwrap_err();
        }
        let (one, two) = tokio::join!(
            access.use_link(link.reveal(), Some(EMAIL), PASSWORD, &here, NOW),
            access.use_link(link.reveal(), Some("eve@example.com"), OTHER_PASSWORD, &here, NOW),
        );
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "of two one gets in");
        let again = access.use_link(link.reveal(), Some(EMAIL), PASSWORD, &here, NOW).await;
        assert!(matches!(again, Err(AccessError::LinkRefused)));
        assert!(access.link_user(link.reveal(), NOW).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_ends_with_its_time_and_with_the_next_one() {
    for fixture in both().await {
        let access = &fixture.access;
        let first = owner_link(&access.store, false, NOW).await.unwrap();
        assert!(access.link_user(first.reveal(), NOW + LINK_LIFE_MS - 1).await.unwrap().is_some());
        assert!(access.link_user(first.reveal(), NOW + LINK_LIFE_MS).await.unwrap().is_none());
        let second = owner_link(&access.store, false, NOW).await.unwrap();
        assert!(access.link_user(first.reveal(), NOW).await.unwrap().is_none());
        assert!(access.link_user(second.reveal(), NOW).await.unwrap().is_some());
        assert_eq!(
            access.users(&Subtree::Platform, &Paging::default()).await.unwrap().entries.len(),
            1,
            "the owner is added once"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_alone_opens_nothing() {
    for fixture in both().await {
        let person = fixture.owner().await;
        let opened = fixture.sign_in(" ADA@example.com ", PASSWORD, "192.0.2.7", NOW).await.unwrap();
        assert_eq!(opened.stage, Stage::SecondFactor);
        let session = fixture.session(&opened.token, NOW).await;
        assert_eq!(session.stage, Stage::SecondFactor);
        assert!(matches!(fixture.access.pending_secret(&session).await, Err(AccessError::NotFound)));
        assert!(fixture.access.session(opened.token.reveal(), NOW + PENDING_LIFE_MS).await.unwrap().is_none());

        let later = NOW + 60_000;
        let open = fixture.access.second_factor(&session, &code(&person.secret, later), &here(), later).await.unwrap();
        assert_eq!(fixture.session(&open.token, later).await.stage, Stage::Open);
        assert!(fixture.access.session(opened.token.reveal(), later).await.unwrap().is_none(), "its token changed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_works_once() {
    for fixture in both().await {
        let person = fixture.owner().await;
        let first = fixture.sign_in(EMAIL, PASSWORD, "192.0.2.7", NOW).await.unwrap();
        let session = fixture.session(&first.token, NOW).await;
        let enrolled_with = code(&person.secret, NOW);
        let again = fixture.access.second_factor(&session, &enrolled_with, &here(), NOW).await;
        assert!(matches!(again, Err(AccessError::Refused)), "it was used to set up");
        let later = NOW + 30_000;
        fixture.access.second_factor(&session, &code(&person.secret, later), &here(), later).await.unwrap();
        let second = fixture.sign_in(EMAIL, PASSWORD, "192.0.2.7", later).await.unwrap();
        let session = fixture.session(&second.token, later).await;
        for used in [code(&person.secret, later), enrolled_with] {
            let again = fixture.access.second_factor(&session, &used, &here(), later).await;
            assert!(matches!(again, Err(AccessError::Refused)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_works_once_and_new_ones_replace_the_old() {
    for fixture in both().await {
        let person = fixture.owner().await;
        let try_code = async |text: &str| {
            let opened = fixture.sign_in(EMAIL, PASSWORD, "192.0.2.7", NOW).await.unwrap();
            let session = fixture.session(&opened.token, NOW).await;
            fixture.access.second_factor(&session, text, &here(), NOW).await
        };
        let codes = person.codes.reveal();
        let opened = try_code(&codes[3]).await.unwrap();
        assert!(matches!(try_code(&codes[3]).await, Err(AccessError::Refused)));
        let session = fixture.session(&opened.token, NOW).await;
        assert_eq!(fixture.access.recovery_codes_left(&session).await.unwrap(), 9);
        let wrong = fixture.access.renew_recovery_codes(&session, OTHER_PASSWORD, &here(), NOW).await;
        assert!(matches!(wrong, Err(AccessError::Refused)));
        let new = fixture.access.renew_recovery_codes(&session, PASSWORD, &here(), NOW).await.unwrap();
        assert!(matches!(try_code(&codes[4]).await, Err(AccessError::Refused)));
        try_code(&new.reveal()[0]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_gets_slower_whether_or_not_the_account_is_there() {
    for fixture in both().await {
        fixture.owner().await;
        for (email, from) in [(EMAIL, "198.51.100.1"), ("nobody@example.com", "198.51.100.2")] {
            let (mut now, mut waits) = (NOW, Vec::new());
            for _ in 0..10 {
                match fixture.sign_in(email, "wrong password", from, now).await {
                    Err(AccessError::Refused) => {}
                    Err(AccessError::TooMany { wait_ms }) => {
                        waits.push(wait_ms);
                        now += wait_ms;
                        let after = fixture.sign_in(email, "wrong password", from, now).await;
                        assert!(matches!(after, Err(AccessError::Refused)), "the wait is over");
                    }
                    other => panic!("{other:?}"),
                }
            }
            assert_eq!(waits, [2_000, 4_000, 8_000, 16_000, 32_000], "{email}");
        }
        // At another process, and with the right password, one waits as well.
        let other = Access::new(fixture.access.store.clone(), fixture.access.vault.clone());
        let there = visitor("198.51.100.1");
        let right = other.sign_in(EMAIL, PASSWORD, &there, NOW + 30_001).await;
        assert!(matches!(right, Err(AccessError::TooMany { .. })));
        // Whoever guesses keeps the account's owner out nowhere else.
        other.sign_in(EMAIL, PASSWORD, &here(), NOW + 30_001).await.unwrap();
        other.sign_in(EMAIL, PASSWORD, &there, NOW + 1_000_000).await.unwrap();
        let wrong = other.sign_in(EMAIL, "wrong password", &there, NOW + 1_000_000).await;
        assert!(matches!(wrong, Err(AccessError::Refused)), "the account is forgiven");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_guesses_at_once_gain_nothing() {
    for fixture in both().await {
        fixture.owner().await;
        let guesses = (0..40).map(|n| {
            let fixture = &fixture;
            async move { fixture.sign_in(EMAIL, &format!("wrong password {n}"), "192.0.2.9", NOW).await }
        });
        let answers = futures_util::future::join_all(guesses).await;
        let looked_at = answers.iter().filter(|answer| matches!(answer, Err(AccessError::Refused))).count();
        assert_eq!(looked_at, 5);
        assert!(answers.iter().all(|a| matches!(a, Err(AccessError::Refused | AccessError::TooMany { .. }))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_tries_many_accounts_waits() {
    for fixture in both().await {
        for n in 0..20 {
            let answer = fixture.sign_in(&format!("user{n}@example.com"), "wrong password", "192.0.2.9", NOW).await;
            assert!(matches!(answer, Err(AccessError::Refused)), "{n}");
        }
        let next = fixture.sign_in("user20@example.com", "wrong password", "192.0.2.9", NOW).await;
        assert!(matches!(next, Err(AccessError::TooMany { wait_ms: 2_000 })), "{next:?}");
        let elsewhere = fixture.sign_in("user21@example.com", "wrong password", "192.0.2.10", NOW).await;
        assert!(matches!(elsewhere, Err(AccessError::Refused)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_its_time_and_without_visits() {
    for fixture in both().await {
        let person = fixture.owner().await;
        let mut now = NOW;
        while now + SESSION_IDLE_MS - 1 < NOW + SESSION_LIFE_MS {
            now += SESSION_IDLE_MS - 1;
            fixture.session(&person.token, now).await;
        }
        assert!(fixture.access.session(person.token.reveal(), NOW + SESSION_LIFE_MS).await.unwrap().is_none());

        let start = NOW + SESSION_LIFE_MS;
        let idle = fixture.sign_in_fully(&person, start).await;
        assert!(fixture.access.session(idle.reveal(), start + SESSION_IDLE_MS).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_other_sessions() {
    for fixture in both().await {
        let person = fixture.owner().await;
        let other = fixture.sign_in_fully(&person, NOW + 30_000).await;
        let session = fixture.session(&person.token, NOW).await;
        let access = &fixture.access;
        assert_eq!(access.sessions(&session, NOW).await.unwrap().len(), 2);
        for (present, new) in [(OTHER_PASSWORD, OTHER_PASSWORD), (PASSWORD, "password1234"), (PASSWORD, PASSWORD)] {
            access.change_password(&session, present, new, &here(), NOW).await.unwrap_err();
        }
        access.change_password(&session, PASSWORD, OTHER_PASSWORD, &here(), NOW).await.unwrap();
        assert!(access.session(other.reveal(), NOW).await.unwrap().is_none());
        assert!(access.session(person.token.reveal(), NOW).await.unwrap().is_some());
        assert!(matches!(fixture.sign_in(EMAIL, PASSWORD, "192.0.2.7", NOW).await, Err(AccessError::Refused)));
        fixture.sign_in(EMAIL, OTHER_PASSWORD, "192.0.2.7", NOW).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_and_ends_their_own_sessions_only() {
    for fixture in both().await {
        let person = fixture.owner().await;
        let access = &fixture.access;
        fixture.sign_in_fully(&person, NOW + 30_000).await;
        let session = fixture.session(&person.token, NOW + 30_000).await;
        let listed = access.sessions(&session, NOW + 30_000).await.unwrap();
        assert_eq!(listed[0].address.as_deref(), Some("192.0.2.7"));
        assert_eq!(listed[0].device, "Mozilla/5.0");

        let (_, link) = {
            let invitation = Invitation { name: "Eve".into(), email: "eve@example.com".into(), role: Role::Reviewer };
            access.invite(&Actor::operator(), &Subtree::Platform, &invitation, NOW).await.unwrap()
        };
        let eve = fixture.enrol(&link, "", NOW).await;
        let eves = fixture.session(&eve.token, NOW).await;
        let foreign = access.end_own_session(&eves, &listed[0].id, &here(), NOW).await;
        assert!(matches!(foreign, Err(AccessError::NotFound)));
        access.end_own_session(&session, &listed[0].id, &here(), NOW).await.unwrap();
        assert_eq!(access.sessions(&session, NOW).await.unwrap().len(), 1);
        fixture.sign_in_fully(&person, NOW + 60_000).await;
        access.end_other_sessions(&session, &here(), NOW).await.unwrap();
        assert_eq!(access.sessions(&session, NOW).await.unwrap()[0].id, session.id);
        assert!(access.session(eve.token.reveal(), NOW).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_resets_the_second_factor_only_when_it_was_issued_to() {
    for fixture in both().await {
        let person = fixture.owner().await;
        let access = &fixture.access;
        let link = owner_link(&access.store, false, NOW).await.unwrap();
        assert!(access.session(person.token.reveal(), NOW).await.unwrap().is_some(), "issuing changes nothing");
        let opened = access.use_link(link.reveal(), None, OTHER_PASSWORD, &here(), NOW).await.unwrap();
        assert_eq!(opened.stage, Stage::SecondFactor);
        assert!(access.session(person.token.reveal(), NOW).await.unwrap().is_none());
        let session = fixture.session(&opened.token, NOW).await;
        access.second_factor(&session, &person.codes.reveal()[0], &here(), NOW).await.unwrap();

        let link = owner_link(&access.store, true, NOW).await.unwrap();
        let opened = access.use_link(link.reveal(), None, PASSWORD, &here(), NOW).await.unwrap();
        assert_eq!(opened.stage, Stage::Enrol);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_second_factor_needs_password_and_the_present_one() {
    for fixture in both().await {
        let person = fixture.owner().await;
        let access = &fixture.access;
        let later = NOW + 30_000;
        let session = fixture.session(&person.token, later).await;
        let present = code(&person.secret, later);
        for (password, code) in [(OTHER_PASSWORD, present.as_str()), (PASSWORD, "000000")] {
            let refused = access.begin_new_two_factor(&session, password, code, &here(), later).await;
            assert!(matches!(refused, Err(AccessError::Refused)));
        }
        assert!(matches!(access.pending_secret(&session).await, Err(AccessError::NotFound)));
        access.begin_new_two_factor(&session, PASSWORD, &present, &here(), later).await.unwrap();
        let session = fixture.session(&person.token, later).await;
        let secret = access.pending_secret(&session).await.unwrap();
        assert_eq!(access.pending_secret(&session).await.unwrap().text, secret.text);
        assert_ne!(secret.text, person.secret.text);
        let (opened, _) = access.finish_two_factor(&session, &code(&secret, later), &here(), later).await.unwrap();
        assert_eq!(fixture.session(&opened.token, later).await.stage, Stage::Open);
        let person = Person { secret, ..person };
        fixture.sign_in_fully(&person, later + 60_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_platform_owner_stays() {
    for fixture in both().await {
        fixture.owner().await;
        let access = &fixture.access;
        let first = access.users(&Subtree::Platform, &Paging::default()).await.unwrap().entries.remove(0).id;
        let by = Actor::operator();
        let last = access.remove_user(&by, &Subtree::Platform, &first, NOW).await;
        assert!(matches!(last, Err(AccessError::LastOwner)));
        let second = fixture.invite(&Subtree::Platform, "Bea", "", Role::PlatformOwner).await.unwrap();
        let (one, two) = tokio::join!(
            access.remove_user(&by, &Subtree::Platform, &first, NOW),
            access.remove_user(&by, &Subtree::Platform, &second, NOW),
        );
        assert_eq!(usize::from(one.is_ok()) + usize::from(two.is_ok()), 1, "of two who remove each other one stays");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resellers_admin_reaches_their_own_subtree_only() {
    for fixture in both().await {
        let access = &fixture.access;
        let (north, bakery) = fixture.business().await;
        let (south, florist) = fixture.business().await;
        let own = Subtree::Reseller(north.clone());
        let admin = fixture.invite(&own, "Nora", "nora@example.com", Role::ResellerAdmin(north)).await.unwrap();
        let owner = fixture.invite(&own, "Ben", "ben@example.com", Role::BusinessOwner(bakery.clone())).await.unwrap();
        for role in [Role::PlatformOwner, Role::Reviewer] {
            let beyond = fixture.invite(&own, "Eve", "", role).await;
            assert!(matches!(beyond, Err(AccessError::RoleNotAllowed)));
        }
        for role in [Role::ResellerAdmin(south.clone()), Role::BusinessOwner(florist)] {
            assert!(matches!(fixture.invite(&own, "Eve", "", role).await, Err(AccessError::NotFound)));
        }
        let foreign = fixture.invite(&Subtree::Platform, "Sue", "", Role::ResellerAdmin(south)).await.unwrap();
        let listed = access.users(&own, &Paging::default()).await.unwrap();
        let listed: Vec<UserId> = listed.entries.into_iter().map(|user| user.id).collect();
        assert_eq!(listed, [owner.clone(), admin]);
        let of_business = access.users(&Subtree::Business(bakery), &Paging::default()).await.unwrap();
        assert_eq!(of_business.entries[0].id, owner);
        let by = Actor::operator();
        assert!(matches!(access.user(&own, &foreign).await, Err(AccessError::NotFound)));
        assert!(matches!(access.issue_link(&by, &own, &foreign, false, NOW).await, Err(AccessError::NotFound)));
        assert!(matches!(access.sign_user_out(&by, &own, &foreign, NOW).await, Err(AccessError::NotFound)));
        assert!(matches!(access.remove_user(&by, &own, &foreign, NOW).await, Err(AccessError::NotFound)));
        access.remove_user(&by, &own, &owner, NOW).await.unwrap();
        let taken = fixture.invite(
            &own,
            "Nora",
            " NORA@example.com",
            Role::ResellerAdmin(match own.clone() {
                Subtree::Reseller(id) => id,
                _ => unreachable!(),
            }),
        );
        assert!(matches!(taken.await, Err(AccessError::EmailTaken)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_leaves_an_entry_and_none_says_what_was_typed() {
    for fixture in both().await {
        let person = fixture.owner().await;
        fixture.sign_in_fully(&person, NOW + 30_000).await;
        let typed = "hunter2hunter2";
        for _ in 0..5 {
            fixture.sign_in(EMAIL, typed, "203.0.113.5", NOW).await.unwrap_err();
        }
        fixture.sign_in("nobody@example.com", typed, "203.0.113.5", NOW).await.unwrap_err();
        let entries = fixture.audit().await;
        let actions: Vec<&str> = entries.iter().rev().map(|entry| entry.action.as_str()).collect();
        assert_eq!(
            actions,
            [
                "user.invited",
                "user.link_issued",
                "user.password_set",
                "user.two_factor_set",
                "sign_in.succeeded",
                "sign_in.failed",
                "sign_in.failed",
                "sign_in.failed",
                "sign_in.failed",
                "sign_in.failed",
                "sign_in.failed",
            ]
        );
        let fifth = &entries[1];
        assert_eq!(fifth.address.as_deref(), Some("203.0.113.5"));
        assert_eq!(fifth.after.as_deref(), Some(r#"{"next_try_in_ms":2000,"wrong":"password"}"#));
        assert!(fifth.subject.starts_with("usr_") && entries[0].subject.is_empty());
        let all = format!("{entries:?}");
        for secret in [typed, PASSWORD, "nobody@example.com", person.token.reveal(), &person.secret.text] {
            assert!(!all.contains(secret), "{secret}");
        }
    }
}
