//! The tree, its credentials, what is counted and what is logged, on both databases.

use diesel_async::SimpleAsyncConnection;

use super::*;
use crate::{
    abuse::{Abuse, AbuseRule, Signal, Verdict},
    audit::{ActorKind, ChainFault, ChainHead},
    clock::{DAY_MS, now_ms},
    credentials::{Grant, Issued, KeyHash},
    error::ErrorKind,
    ids::ApiKeyId,
    paging::Paging,
    store::abuse::count_signals,
    tenancy::{Directory, Hold, Mode, Scope, Scopes, Standing, connection_context},
    vault::{Vault, VaultKey},
};

fn grant() -> Grant {
    Grant {
        name: "shop".to_owned(),
        mode: Mode::Live,
        scopes: Scopes::of(&[Scope::MessagesSend]),
        addresses: vec!["192.0.2.0/24".parse().unwrap()],
        signed: true,
        expires_at: None,
    }
}

fn actor() -> Actor {
    Actor {
        kind: ActorKind::User,
        id: "usr_1".to_owned(),
        name: "Ana".to_owned(),
        address: Some("192.0.2.7".parse().unwrap()),
        request_id: Some("r1".to_owned()),
    }
}

impl Tree {
    fn owner(&self) -> Owner {
        Owner { reseller: self.reseller.clone(), business: Some(self.business.clone()) }
    }

    async fn key(&self, store: &Store, replaces: Option<(&ApiKeyId, Millis)>) -> (ApiKeyId, KeyHash) {
        let issued = Issued::api_key(Mode::Live);
        let secret = (issued.prefix(), &issued.hash());
        let added = store.add_api_key(&actor(), &self.owner(), &grant(), secret, replaces, 1_000).await.unwrap();
        let Added::Key(id) = added else { panic!("{added:?}") };
        (id, issued.hash())
    }
}

async fn execute(store: &Store, statement: &str) -> Result<(), diesel::result::Error> {
    let mut conn = store.pools.write().await.unwrap();
    on!(conn, c => c.batch_execute(statement).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_an_entry_of_one_chain() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        tree.key(store, None).await;
        let head = store.verify_audit(None).await.unwrap().unwrap();
        let entries = store.audit_entries(&Subtree::Platform, None, 100).await.unwrap();
        let actions: Vec<&str> = entries.iter().rev().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["reseller.created", "business.created", "sender.created", "key.issued"]);
        assert_eq!((head.seq, &head.hash), (4, &entries[0].hash));
        let issued = &entries[0];
        assert_eq!((issued.actor_kind.as_str(), issued.actor_name.as_str()), ("user", "Ana"));
        assert_eq!((issued.address.as_deref(), issued.request_id.as_deref()), (Some("192.0.2.7"), Some("r1")));
        assert!(issued.after.as_ref().unwrap().contains("messages:send"), "{issued:?}");
        // Whoever noted the end down can prove that it is still there.
        assert_eq!(store.verify_audit(Some(head.clone())).await.unwrap(), Ok(head.clone()));
        let noted = ChainHead { seq: head.seq, hash: "0".repeat(64) };
        assert_eq!(store.verify_audit(Some(noted.clone())).await.unwrap(), Err(ChainFault::NotContained(noted)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_audit_log_is_found_and_an_honest_database_refuses_to_alter_it() {
    for Fixture { store, .. } in &both().await {
        for _ in 0..3 {
            Tree::plant(store).await;
        }
        for statement in
            ["UPDATE audit_log SET actor_name = 'Eve' WHERE seq = 2", "DELETE FROM audit_log WHERE seq = 2"]
        {
            let refused = execute(store, statement).await.unwrap_err().to_string();
            assert!(refused.contains("append-only"), "{refused}");
        }
        assert!(store.verify_audit(None).await.unwrap().is_ok());

        let behind = "INSERT INTO audit_log (seq, at, actor_kind, actor_id, actor_name, action, subject, hash) \
                      SELECT 14, at, actor_kind, actor_id, 'Eve', action, subject, hash FROM audit_log WHERE seq = 2";
        assert!(execute(store, behind).await.unwrap_err().to_string().contains("stands at its end"));
        assert!(store.verify_audit(None).await.unwrap().is_ok());

        // Whoever owns the database can take the guard away, but not hide it.
        let unguard = match store.kind() {
            "postgres" => "DROP TRIGGER audit_log_append_only ON audit_log; DROP TRIGGER audit_log_at_end ON audit_log",
            _ => {
                "DROP TRIGGER audit_log_keeps_entries; DROP TRIGGER audit_log_changes_no_entry; \
                 DROP TRIGGER audit_log_at_end"
            }
        };
        execute(store, unguard).await.unwrap();
        execute(store, "UPDATE audit_log SET actor_name = 'Eve' WHERE seq = 2").await.unwrap();
        assert_eq!(store.verify_audit(None).await.unwrap(), Err(ChainFault::Altered(2)));
        execute(store, "UPDATE audit_log SET actor_name = 'Waystation' WHERE seq = 2").await.unwrap();
        assert!(store.verify_audit(None).await.unwrap().is_ok());
        execute(store, behind).await.unwrap();
        assert_eq!(store.verify_audit(None).await.unwrap(), Err(ChainFault::Missing(10)), "one behind the end");
        execute(store, "DELETE FROM audit_log WHERE seq = 14").await.unwrap();
        execute(store, "DELETE FROM audit_log WHERE seq = 9").await.unwrap();
        let cut = store.verify_audit(None).await.unwrap().unwrap_err();
        assert!(matches!(&cut, ChainFault::WrongEnd { found, .. } if found.seq == 8), "{cut}");
        execute(store, "DELETE FROM audit_log WHERE seq = 4").await.unwrap();
        assert_eq!(store.verify_audit(None).await.unwrap(), Err(ChainFault::Missing(4)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_of_changes_at_the_same_time_keep_one_order() {
    for Fixture { store, .. } in &both().await {
        let plants = (0..8).map(|_| Tree::plant(store));
        futures_util::future::join_all(plants).await;
        assert_eq!(store.verify_audit(None).await.unwrap().unwrap().seq, 24);
        let changes = store.changes_after(0, 24, 100).await.unwrap();
        assert!(changes.iter().map(|change| change.seq).eq(1..=24));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subtree_shows_its_own_and_nothing_else() {
    for Fixture { store, .. } in &both().await {
        let (ours, theirs) = (Tree::plant(store).await, Tree::plant(store).await);
        let reseller = Subtree::Reseller(ours.reseller.clone());
        let business = Subtree::Business(ours.business.clone());
        for subtree in [&reseller, &business] {
            assert!(store.business(subtree, &ours.business).await.unwrap().is_some());
            assert!(store.business(subtree, &theirs.business).await.unwrap().is_none());
            assert!(store.sender(subtree, ours.sender).await.unwrap().is_some());
            assert!(store.sender(subtree, theirs.sender).await.unwrap().is_none());
            let paging = Paging::default();
            let listed = store.businesses(subtree, &BusinessFilter::default(), &paging).await.unwrap().entries;
            assert!(listed.iter().map(|view| &view.id).eq([&ours.business]), "{subtree:?}");
            assert!(store.senders(subtree, &theirs.business, &paging).await.unwrap().entries.is_empty());
            let entries = store.audit_entries(subtree, None, 100).await.unwrap();
            assert!(!entries.is_empty());
            assert!(entries.iter().all(|entry| entry.reseller.as_ref() == Some(&ours.reseller)));
        }
        assert!(store.reseller(&reseller, &theirs.reseller).await.unwrap().is_none());
        assert!(store.reseller(&business, &ours.reseller).await.unwrap().is_none());
        let all = store.businesses(&Subtree::Platform, &BusinessFilter::default(), &Paging::default()).await.unwrap();
        assert_eq!(all.entries.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn businesses_are_found_by_a_part_of_their_name_and_in_pages() {
    for Fixture { store, .. } in &both().await {
        let reseller = store.add_reseller(&actor(), "100% Nord_Süd", &Policy::default(), 0).await.unwrap();
        for name in ["Ana's Bakery", "BAKERY of Bo", "Cleo_100%", "Dora"] {
            let id = BusinessId::generate();
            let secret = (&SigningSecretId::generate(), vec![1]);
            let business = (&id, name, &Policy::default());
            store.add_business(&actor(), &reseller, business, secret, 0).await.unwrap();
            // Ids of one millisecond have no order.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let find = async |search: &str, state: Option<&str>| {
            let filter = BusinessFilter {
                search: Some(search.to_owned()),
                state: state.map(str::to_owned),
                ..BusinessFilter::default()
            };
            let page = store.businesses(&Subtree::Platform, &filter, &Paging::default()).await.unwrap();
            page.entries.into_iter().map(|view| view.name).collect::<Vec<_>>()
        };
        assert_eq!(find("bakery", None).await, ["BAKERY of Bo", "Ana's Bakery"]);
        assert_eq!(find("_100%", None).await, ["Cleo_100%"], "{}", store.kind());
        assert_eq!(find("%", None).await, ["Cleo_100%"]);
        assert_eq!(find("'; DROP", None).await, [""; 0]);
        assert_eq!(find("dora", Some("approved")).await, [""; 0]);

        let (mut names, mut cursor) = (Vec::new(), None);
        loop {
            let paging = Paging::read(cursor.as_deref(), Some(3)).unwrap();
            let page = store.businesses(&Subtree::Platform, &BusinessFilter::default(), &paging).await.unwrap();
            names.extend(page.entries.into_iter().map(|view| view.name));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(names, ["Dora", "Cleo_100%", "BAKERY of Bo", "Ana's Bakery"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_says_whose_it_is_and_how_those_above_it_stand() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let (id, hash) = tree.key(store, None).await;
        let defaults = Policy { requests_per_second: Some(7), ..Policy::default() };
        let read = async || store.key_principal(&hash, &defaults).await.unwrap().unwrap();
        let principal = read().await;
        assert_eq!(principal.credential, id.to_string());
        assert_eq!((&principal.reseller, principal.business.as_ref()), (&tree.reseller, Some(&tree.business)));
        assert_eq!(principal.standing, Standing::Unverified);
        assert_eq!(principal.limits.requests_per_second, Some(7));
        assert!(principal.signed && principal.addresses.len() == 1);
        let view = store.business(&Subtree::Platform, &tree.business).await.unwrap().unwrap();
        assert!(store.vouch_for(&actor(), &view, 0).await.unwrap());
        assert_eq!(read().await.standing, Standing::Active);
        let moved = store.set_reseller_status(&actor(), &tree.reseller, ("active", "suspended"), Some("spam"), 0).await;
        assert!(moved.unwrap());
        assert_eq!(read().await.standing, Standing::Held(Hold::Reseller));
        let sender = store.any_sender(tree.sender).await.unwrap().unwrap().sender;
        assert_eq!(sender.hold(), Some(&Hold::Reseller));
        let again = store.set_reseller_status(&actor(), &tree.reseller, ("active", "suspended"), Some("spam"), 0).await;
        assert!(!again.unwrap(), "it is suspended already");
        assert!(store.key_principal(&KeyHash::of("ws_live_other"), &defaults).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_ends_after_its_grace_and_has_one_successor() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let owner = tree.owner();
        let (first, _) = tree.key(store, None).await;
        let (second, _) = tree.key(store, Some((&first, 5_000))).await;
        let old = store.api_key(&owner, &first).await.unwrap().unwrap();
        assert_eq!((old.grant.expires_at, old.successor.as_ref()), (Some(5_000), Some(&second)));
        assert_eq!(store.api_key(&owner, &second).await.unwrap().unwrap().grant, grant());
        let third = Issued::api_key(Mode::Live);
        let secret = (third.prefix(), &third.hash());
        let again = store.add_api_key(&actor(), &owner, &grant(), secret, Some((&first, 9_000)), 1_000).await.unwrap();
        assert_eq!(again, Added::NothingToReplace);
        assert_eq!(
            store.api_keys(&owner, &Paging::default()).await.unwrap().entries.len(),
            2,
            "nothing was left behind"
        );
        assert!(store.revoke_api_key(&actor(), &owner, &second, 6_000).await.unwrap());
        assert!(!store.revoke_api_key(&actor(), &owner, &second, 6_000).await.unwrap());
        // A reseller's own keys are not those of its businesses.
        let above = Owner { business: None, ..owner };
        assert!(store.api_key(&above, &first).await.unwrap().is_none());
        assert!(!store.revoke_api_key(&actor(), &above, &first, 6_000).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_two_secrets_while_one_takes_over_and_its_tokens_end_with_it() {
    for Fixture { store, .. } in &both().await {
        let (tree, defaults) = (Tree::plant(store).await, Policy::default());
        let owner = tree.owner();
        let (old, new, token) = (Issued::client_secret(), Issued::client_secret(), Issued::access_token());
        let id = store.add_client(&actor(), &owner, &grant(), &old.hash(), 0).await.unwrap().unwrap();
        assert!(store.rotate_client(&actor(), &owner, &id, &new.hash(), 5_000, 1_000).await.unwrap());
        let fits =
            async |secret: &Issued, now| store.client_with_secret(&id, &secret.hash(), now).await.unwrap().is_some();
        assert!(fits(&new, 2_000).await && fits(&old, 4_999).await);
        assert!(fits(&new, 9_000).await && !fits(&old, 5_000).await);
        store.add_access_token(&token.hash(), &id, Scopes::of(&[Scope::MessagesRead]), 8_000).await.unwrap();
        let principal = store.token_principal(&token.hash(), &defaults).await.unwrap().unwrap();
        assert_eq!(principal.scopes, Scopes::of(&[Scope::MessagesRead]));
        assert_eq!((principal.expires_at, principal.credential), (Some(8_000), id.to_string()));
        assert!(store.revoke_client(&actor(), &owner, &id, 2_000).await.unwrap());
        let principal = store.token_principal(&token.hash(), &defaults).await.unwrap().unwrap();
        assert_eq!(principal.revoked_at, Some(2_000));
        assert_eq!(store.forget_access_tokens(8_000).await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_signing_secrets_are_live_while_one_takes_over_and_no_more() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let rotate = async |now: Millis| {
            let id = SigningSecretId::generate();
            let owner = (&tree.reseller, &tree.business);
            store.rotate_signing_secret(&actor(), owner, (&id, vec![1]), now + 1_000, now).await.unwrap();
            id
        };
        let live = async |now| {
            let secrets = store.signing_secrets(&tree.business, now).await.unwrap();
            secrets.into_iter().map(|secret| SigningSecretId::from_key(secret.id)).collect::<Vec<_>>()
        };
        let second = rotate(10_000).await;
        assert_eq!(live(10_500).await.len(), 2);
        let third = rotate(10_600).await;
        assert_eq!(live(10_700).await, [third.clone(), second]);
        assert_eq!(live(11_600).await, [third]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_use_of_a_credential_is_noted() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let (id, _) = tree.key(store, None).await;
        let used = Used { credential: id.to_string(), at: 7_000, address: Some("192.0.2.7".to_owned()) };
        store.note_use(&[used]).await.unwrap();
        let view = store.api_key(&tree.owner(), &id).await.unwrap().unwrap();
        assert_eq!((view.last_used_at, view.last_used_address.as_deref()), (Some(7_000), Some("192.0.2.7")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_the_number_of_messages_whatever_batch_they_came_in() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let of = |at: Millis| NewMessage { sender_id: tree.sender, ..message(&tree.business, at) };
        store.accept(vec![of(1), of(2), of(DAY_MS)]).await.unwrap();
        store.accept(vec![of(3)]).await.unwrap();
        let keyed = NewMessage { sender_id: tree.sender, ..with_key(&tree.business, "k", "same", 4) };
        store.accept(vec![keyed.clone(), NewMessage { id: MessageId::generate(), ..keyed }]).await.unwrap();
        let (platform, ours) = (Subtree::Platform, Subtree::Business(tree.business.clone()));
        let usage =
            async |subtree: &Subtree, days| store.usage(subtree, None, days, &Paging::default()).await.unwrap().entries;
        let day = |day, messages| UsageDay { business: tree.business.clone(), sender: tree.sender, day, messages };
        for subtree in [&platform, &ours, &Subtree::Reseller(tree.reseller.clone())] {
            assert_eq!(usage(subtree, (0, 9)).await, [day(0, 4), day(1, 1)]);
        }
        assert_eq!(usage(&ours, (1, 9)).await, [day(1, 1)]);
        assert!(usage(&Subtree::Business(BusinessId::generate()), (0, 9)).await.is_empty());
        assert_eq!(store.accepted_on(&tree.business, 0).await.unwrap(), 4);
        assert_eq!(store.accepted_on(&BusinessId::generate(), 0).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_the_network_calls_a_spammer_is_paused_until_a_reviewer_releases_it() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
        let rule = AbuseRule { messages_min: 10, spam_permille: 100, opt_out_permille: 100, block_permille: 100 };
        let abuse = Abuse::new(store.clone(), directory, rule);
        let now = now_ms();
        let of = || NewMessage { sender_id: tree.sender, ..message(&tree.business, now) };
        store.accept((0..20).map(|_| of()).collect()).await.unwrap();

        // One network error in the history is one signal, written with it.
        let spam = NewSignal { sender: tree.sender, day: day_of(now), signal: Signal::Spam };
        let mut conn = store.pools.begin().await.unwrap();
        let counted = count_signals(&mut conn, [spam].into_iter()).await;
        conn.finish(counted).await.unwrap();
        assert_eq!(abuse.sweep(now).await.unwrap(), 0, "5 % are fewer than 10 %");
        abuse.report(tree.sender, Signal::Spam, now).await.unwrap();
        assert_eq!(abuse.sweep(now).await.unwrap(), 1);
        assert_eq!(abuse.sweep(now).await.unwrap(), 0, "once is enough");

        let sender = async || store.any_sender(tree.sender).await.unwrap().unwrap();
        assert!(matches!(sender().await.sender.hold(), Some(Hold::Sender(why)) if why.contains("2 of 20")));
        let subtree = Subtree::Reseller(tree.reseller.clone());
        let case = abuse.cases(&subtree, true, &Paging::default()).await.unwrap().entries.remove(0);
        assert_eq!((case.sender, case.evidence["spam"].as_i64()), (tree.sender, Some(2)));
        // While it is open, nobody waves it through; once upheld, only the platform.
        let view = sender().await;
        assert_eq!(store.resume_sender(&actor(), &view, true, now).await.unwrap(), Resumed::UnderReview);
        let refused = abuse.decide(&actor(), &subtree, &case.id, Verdict::Release, "We are sorry", now).await;
        assert_eq!(refused.unwrap_err().kind, ErrorKind::PermissionDenied);
        let decide = async |words: &str| {
            abuse.decide(&actor(), &Subtree::Platform, &case.id, Verdict::Release, words, now).await
        };
        assert_eq!(decide("  ").await.unwrap_err().breaches[0].pointer, "/reason");
        assert!(decide("A test account").await.unwrap().closed_at.is_some());
        assert_eq!(decide("again").await.unwrap_err().kind, ErrorKind::Conflict);
        assert_eq!(sender().await.sender.hold(), None);
        assert_eq!(abuse.sweep(now).await.unwrap(), 0, "what was decided does not count again");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_with_another_vault_key_is_told_so_at_once() {
    for Fixture { store, .. } in &both().await {
        let (first, second) = (VaultKey::generate(), VaultKey::generate());
        let vault = Vault::new(&first, &[]);
        store.adopt_vault(&vault, 0).await.unwrap();
        store.adopt_vault(&vault, 0).await.unwrap();
        let error = store.adopt_vault(&Vault::new(&second, &[]), 0).await.unwrap_err();
        assert!(matches!(&error, StoreError::WrongVault { theirs, .. } if *theirs == vault.key_id()), "{error}");
        // A successor that brings the old key along takes over.
        store.adopt_vault(&Vault::new(&second, std::slice::from_ref(&first)), 0).await.unwrap();
        assert!(store.adopt_vault(&vault, 0).await.is_err(), "the old one alone cannot open what the new one seals");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_an_older_version_kept_in_the_clear_is_sealed() {
    for Fixture { store, .. } in &both().await {
        let (tree, vault) = (Tree::plant(store).await, Vault::for_tests());
        let secret = store.signing_secrets(&tree.business, 0).await.unwrap().remove(0);
        store.seal_signing_secret(&secret.id, [&[0], b"hunter2".as_slice()].concat()).await.unwrap();
        crate::credentials::seal_clear_secrets(store, &vault).await.unwrap();
        assert!(store.clear_signing_secrets().await.unwrap().is_empty());
        let directory = Directory::new(store.clone(), vault, Policy::default());
        assert_eq!(*directory.signing_secrets(&tree.business).await.unwrap(), ["hunter2"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_of_a_connection_are_sealed_for_their_sender() {
    for Fixture { store, .. } in &both().await {
        let (tree, vault) = (Tree::plant(store).await, Vault::for_tests());
        let view = store.business(&Subtree::Platform, &tree.business).await.unwrap().unwrap();
        let (ours, other) = (SenderId::generate(), SenderId::generate());
        let sealed = vault.seal(&connection_context(ours), br#"{"token":"hunter2"}"#);
        for id in [ours, other] {
            let sender = NewSender {
                id,
                phone: id.to_string(),
                display_name: "B".to_owned(),
                channel: "whatsapp".to_owned(),
                adapter: "whatsapp-cloud".to_owned(),
                connection: Connection::Sealed(sealed.clone()),
                phone_verified_at: None,
            };
            assert_eq!(store.add_sender(&actor(), &view, &sender, 100, 0).await.unwrap(), SenderAdded::Yes);
        }
        let directory = Directory::new(store.clone(), vault, Policy::default());
        assert_eq!(directory.any_sender(ours).await.unwrap().unwrap().connection["token"], "hunter2");
        let moved = directory.any_sender(other).await.unwrap_err().to_string();
        assert!(moved.contains("sealed for another place"), "{moved}");
        let shown = store.sender(&Subtree::Platform, ours).await.unwrap().unwrap();
        assert!(!format!("{shown:?}").contains("hunter2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_another_process_is_known_within_a_moment() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let issued = Issued::api_key(Mode::Test);
        let secret = (issued.prefix(), &issued.hash());
        let added = store.add_api_key(&actor(), &tree.owner(), &grant(), secret, None, 0).await.unwrap();
        let Added::Key(id) = added else { panic!("{added:?}") };
        let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
        directory.follow();
        let read = async || directory.principal(issued.reveal()).await.unwrap().unwrap();
        // Followed: from here on the key is answered from memory.
        tokio::time::timeout(std::time::Duration::from_secs(20), async {
            while !directory.is_followed() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
        assert!(read().await.revoked_at.is_none());
        assert!(std::sync::Arc::ptr_eq(&read().await, &read().await), "no query while nothing changes");
        // Not through this directory: as if another process did it.
        store.revoke_api_key(&actor(), &tree.owner(), &id, 5_000).await.unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(20), async {
            while read().await.revoked_at.is_none() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        })
        .await
        .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whose_case_was_upheld_goes_on_by_the_platforms_word_only() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
        let rule = AbuseRule { messages_min: 1, spam_permille: 1, opt_out_permille: 1, block_permille: 1 };
        let abuse = Abuse::new(store.clone(), directory, rule);
        let now = now_ms();
        store.accept(vec![NewMessage { sender_id: tree.sender, ..message(&tree.business, now) }]).await.unwrap();
        abuse.report(tree.sender, Signal::Block, now).await.unwrap();
        assert_eq!(abuse.sweep(now).await.unwrap(), 1);
        let case = abuse.cases(&Subtree::Platform, true, &Paging::default()).await.unwrap().entries.remove(0);
        abuse.decide(&actor(), &Subtree::Platform, &case.id, Verdict::Uphold, "It is spam", now + 1).await.unwrap();
        let view = store.any_sender(tree.sender).await.unwrap().unwrap();
        let resume = async |by_platform, now| store.resume_sender(&actor(), &view, by_platform, now).await.unwrap();
        assert_eq!(resume(false, now + 2).await, Resumed::Upheld);
        assert_eq!(resume(true, now + 3).await, Resumed::Yes);
        assert_eq!(resume(true, now + 4).await, Resumed::NotPaused);
        // A pause of another time has nothing to do with that case.
        assert!(store.pause_sender(&actor(), &view, "holidays", now + 5).await.unwrap());
        assert_eq!(resume(false, now + 6).await, Resumed::Yes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_no_more_than_one_after_the_other() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let owner = tree.owner();
        let issue = || async {
            let issued = Issued::api_key(Mode::Test);
            store.add_api_key(&actor(), &owner, &grant(), (issued.prefix(), &issued.hash()), None, 0).await.unwrap()
        };
        let most = usize::try_from(crate::credentials::KEYS_MAX_PER_OWNER).unwrap();
        let added = futures_util::future::join_all((0..most + 5).map(|_| issue())).await;
        assert_eq!(added.iter().filter(|added| matches!(added, Added::Key(_))).count(), most);
        let above = (&tree.reseller, &tree.business);
        let endpoint = || async { store.add_endpoint(&actor(), above, ("http://x.example/", "t"), 3, 0).await };
        let added = futures_util::future::join_all((0..6).map(|_| endpoint())).await;
        assert_eq!(added.into_iter().filter(|added| matches!(added, Ok(Some(_)))).count(), 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_of_the_platform_did_something_is_the_platforms_to_know() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let staff = Actor { kind: ActorKind::Staff, ..actor() };
        let moved = store.set_reseller_status(&staff, &tree.reseller, ("active", "suspended"), Some("spam"), 0).await;
        assert!(moved.unwrap());
        let last = async |subtree: Subtree| store.audit_entries(&subtree, None, 1).await.unwrap().remove(0);
        let told = last(Subtree::Reseller(tree.reseller.clone())).await;
        assert_eq!((told.actor_id.as_str(), told.actor_name.as_str(), told.address), ("", "the platform", None));
        assert_eq!(last(Subtree::Platform).await.actor_name, "Ana");
    }
}
