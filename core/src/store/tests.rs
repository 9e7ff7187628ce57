//! The whole store on both databases: a real SQLite file and a real PostgreSQL.

mod administration;
mod contacts;

use std::collections::{BTreeMap, BTreeSet};

use diesel::{
    QueryableByName,
    sql_types::{Bool, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use waystation_testkit::servers::Postgres;

use super::{connection::on, *};
use crate::{
    audit::Actor,
    clock::Millis,
    ids::{AccountId, BusinessId, EndpointId, MessageId, ResellerId, SenderId, SigningSecretId},
    messages::{
        Category,
        address::Address,
        state::{Event, Outcome, Progress, RetryPolicy, State},
    },
    paging::Paging,
    tenancy::{Policy, Subtree},
};

/// A migrated store, and what has to live as long.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    _folder: tempfile::TempDir,
}

/// One store of each kind.
pub(crate) async fn both() -> Vec<Fixture> {
    let mut fixtures = Vec::new();
    let postgres = Postgres::shared().await.unwrap().create_database().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = StoreUrl::Sqlite(folder.path().join("test.db"));
    for (url, folder) in [(file, folder), (StoreUrl::Postgres(postgres), tempfile::tempdir().unwrap())] {
        let store = Store::open(&StoreSettings { url, connections: 4 }).await.unwrap();
        store.migrate(Direction::Up).await.unwrap();
        store.adopt_people(&crate::vault::Vault::for_tests(), 0).await.unwrap();
        fixtures.push(Fixture { store, _folder: folder });
    }
    fixtures
}

/// A reseller with a business in draft with a sender.
pub(crate) struct Tree {
    pub(crate) reseller: ResellerId,
    pub(crate) business: BusinessId,
    pub(crate) account: AccountId,
    pub(crate) sender: SenderId,
}

impl Tree {
    pub(crate) async fn plant(store: &Store) -> Self {
        let (by, policy) = (Actor::system(), Policy::default());
        let reseller = store.add_reseller(&by, "r", &policy, 0).await.unwrap();
        let business = BusinessId::generate();
        let secret = (&SigningSecretId::generate(), vec![1, 2, 3]);
        let account = store.add_business(&by, &reseller, (&business, "b", &policy), secret, 0).await.unwrap();
        let view = store.business(&Subtree::Platform, &business).await.unwrap().unwrap();
        let sender = SenderId::generate();
        let new = NewSender {
            id: sender,
            phone: "15550783881".to_owned(),
            display_name: "B".to_owned(),
            channel: "whatsapp".to_owned(),
            adapter: "sandbox".to_owned(),
            connection: Connection::Clear(serde_json::json!({})),
            phone_verified_at: None,
        };
        assert_eq!(store.add_sender(&by, &view, &new, 100, 0).await.unwrap(), SenderAdded::Yes);
        Self { reseller, business, account, sender }
    }

    /// Adds another sender, on another network.
    pub(crate) async fn add_sender_on(&self, store: &Store, adapter: &str) {
        let view = store.business(&Subtree::Platform, &self.business).await.unwrap().unwrap();
        let new = NewSender {
            id: SenderId::generate(),
            phone: "15550783882".to_owned(),
            display_name: "B".to_owned(),
            channel: "whatsapp".to_owned(),
            adapter: adapter.to_owned(),
            connection: Connection::Clear(serde_json::json!({})),
            phone_verified_at: None,
        };
        assert_eq!(store.add_sender(&Actor::system(), &view, &new, 100, 0).await.unwrap(), SenderAdded::Yes);
    }
}

#[derive(QueryableByName)]
struct Bytes {
    #[diesel(sql_type = diesel::sql_types::Binary)]
    bytes: Vec<u8>,
}

/// Everything that a column of bytes holds.
pub(crate) async fn bytes_in(store: &Store, table: &str, column: &str) -> Vec<Vec<u8>> {
    let query = format!("SELECT {column} AS bytes FROM {table} WHERE {column} IS NOT NULL");
    let mut conn = store.pools.read().await.unwrap();
    let rows: Vec<Bytes> = on!(conn, c => diesel::sql_query(query).load(c).await).unwrap();
    rows.into_iter().map(|row| row.bytes).collect()
}

/// Runs a statement.
pub(crate) async fn execute(store: &Store, statement: &str) {
    let mut conn = store.pools.write().await.unwrap();
    on!(conn, c => c.batch_execute(statement).await).unwrap();
}

pub(crate) fn message(business: &BusinessId, now: Millis) -> NewMessage {
    NewMessage {
        id: MessageId::generate(),
        business_id: business.clone(),
        sender_id: SenderId(7),
        recipient: "16505551234".to_owned(),
        kind: "text",
        category: Category::Service,
        template: None,
        scheduled: None,
        body: r#"{"text":{"body":"hi"}}"#.to_owned(),
        rendered: "hi".to_owned(),
        sealed: None,
        callback_data: Some("order 17".to_owned()),
        accepted_at: now,
        expires_at: now + 1_000_000,
        routing: None,
        idempotency: None,
    }
}

fn with_key(business: &BusinessId, key: &str, fingerprint: &str, now: Millis) -> NewMessage {
    NewMessage {
        idempotency: Some(IdempotencyClaim {
            scope: "key:cloud".to_owned(),
            key: key.to_owned(),
            fingerprint: fingerprint.to_owned(),
            expires_at: now + 1_000,
        }),
        ..message(business, now)
    }
}

fn policy() -> RetryPolicy {
    RetryPolicy {
        max_tries: 3,
        base_ms: 1_000,
        cap_ms: 10_000,
        ambiguous: crate::messages::state::AmbiguousPolicy::Retry,
        settle_ms: 1_000,
    }
}

fn sent(mut progress: Progress, upstream_id: &str, now: Millis) -> Progress {
    let outcome = Outcome::Accepted { upstream_id: upstream_id.to_owned() };
    progress.apply(Event::Concluded { attempt: progress.attempt, outcome }, &policy(), now);
    progress
}

#[derive(QueryableByName, Debug)]
struct Column {
    #[diesel(sql_type = Text)]
    table_name: String,
    #[diesel(sql_type = Text)]
    column_name: String,
    #[diesel(sql_type = Text)]
    data_type: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
}

const POSTGRES_COLUMNS: &str = "SELECT table_name::text, column_name::text, data_type::text, \
     is_nullable = 'YES' AS nullable FROM information_schema.columns WHERE table_schema = 'public'";
const SQLITE_COLUMNS: &str = "SELECT m.name AS table_name, c.name AS column_name, lower(c.type) AS data_type, \
     c.\"notnull\" = 0 AS nullable FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'";

const POSTGRES_INDEXES: &str = "SELECT tablename::text AS table_name, indexname::text AS column_name, \
     indexdef::text AS data_type, false AS nullable FROM pg_indexes WHERE schemaname = 'public'";
const SQLITE_INDEXES: &str = "SELECT tbl_name AS table_name, name AS column_name, coalesce(sql, '') AS data_type, \
     0 AS nullable FROM sqlite_master WHERE type = 'index'";

type Schema = BTreeMap<(String, String), (String, bool)>;

async fn read_schema(store: &Store, postgres: &'static str, sqlite: &'static str) -> Schema {
    let query = if store.kind() == "postgres" { postgres } else { sqlite };
    let mut conn = store.pools.read().await.unwrap();
    let columns: Vec<Column> = on!(conn, c => diesel::sql_query(query).load(c).await).unwrap();
    columns
        .into_iter()
        .filter(|column| !column.table_name.starts_with("__") && !column.table_name.starts_with("sqlite_"))
        .map(|column| ((column.table_name, column.column_name), (column.data_type, column.nullable)))
        .collect()
}

async fn columns(store: &Store) -> Schema {
    read_schema(store, POSTGRES_COLUMNS, SQLITE_COLUMNS).await
}

async fn indexes(store: &Store) -> Schema {
    read_schema(store, POSTGRES_INDEXES, SQLITE_INDEXES).await
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_run_up_down_and_up_and_come_to_the_same_schema() {
    for Fixture { store, .. } in &both().await {
        let first = (columns(store).await, indexes(store).await);
        assert!(first.0.len() > 50 && first.1.len() > 10, "{}: {} columns", store.kind(), first.0.len());
        assert!(!store.migrate(Direction::Down).await.unwrap().is_empty());
        assert_eq!((columns(store).await.len(), indexes(store).await.len()), (0, 0), "{}", store.kind());
        assert!(!store.migrate(Direction::Up).await.unwrap().is_empty());
        assert_eq!((columns(store).await, indexes(store).await), first, "{}", store.kind());
        assert!(store.migrate(Direction::Up).await.unwrap().is_empty(), "a second run has nothing to do");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_databases_have_the_same_columns() {
    let comparable = |schema: Schema| -> BTreeSet<(String, String, &'static str, bool)> {
        schema
            .into_iter()
            .map(|((table, column), (kind, nullable))| {
                let kind = match kind.as_str() {
                    "text" => "text",
                    "bigint" | "integer" | "smallint" => "number",
                    "boolean" => "boolean",
                    "bytea" | "blob" => "bytes",
                    other => panic!("a column type that only one database has: {other}"),
                };
                (table, column, kind, nullable)
            })
            .collect()
    };
    let fixtures = both().await;
    let (sqlite, postgres) = (columns(&fixtures[0].store).await, columns(&fixtures[1].store).await);
    assert_eq!(comparable(sqlite), comparable(postgres));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_message_reads_back_for_its_business_and_for_no_other() {
    for Fixture { store, .. } in &both().await {
        let (ours, theirs) = (BusinessId::generate(), BusinessId::generate());
        let (one, two) = (message(&ours, 1_000), message(&theirs, 1_001));
        let results = store.accept(vec![one.clone(), two.clone()]).await.unwrap();
        assert_eq!(results, [AcceptResult::Created, AcceptResult::Created]);
        let view = store.message(&ours, &one.id).await.unwrap().unwrap();
        assert_eq!((view.progress.state, view.accepted_at), (State::Accepted, 1_000));
        assert_eq!(view.callback_data.as_deref(), Some("order 17"));
        assert!(store.message(&ours, &two.id).await.unwrap().is_none());
        assert!(store.message_history(&ours, &two.id).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_keeps_its_first_request_until_it_expires() {
    for Fixture { store, .. } in &both().await {
        let business = BusinessId::generate();
        let first = with_key(&business, "k", "same", 1_000);
        let twin = with_key(&business, "k", "same", 1_000);
        let other = with_key(&business, "k", "other", 1_000);
        let results = store.accept(vec![first.clone(), twin.clone(), other.clone()]).await.unwrap();
        let replayed = AcceptResult::Replayed(first.id.clone());
        assert_eq!(results, [AcceptResult::Created, replayed.clone(), AcceptResult::KeyReused]);
        assert_eq!(store.accept(vec![twin.clone()]).await.unwrap(), [replayed]);
        assert!(store.message(&business, &twin.id).await.unwrap().is_none());
        let later = with_key(&business, "k", "other", 2_000);
        assert_eq!(store.accept(vec![later]).await.unwrap(), [AcceptResult::Created]);
        assert_eq!(store.forget_idempotency_keys(5_000).await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_requests_with_one_key_at_the_same_time_one_is_created() {
    for Fixture { store, .. } in &both().await {
        let business = BusinessId::generate();
        let requests = (0..8).map(|_| store.accept(vec![with_key(&business, "k", "same", 1_000)]));
        let results: Vec<_> = futures_util::future::join_all(requests).await;
        let created = results.iter().filter(|result| matches!(result.as_deref(), Ok([AcceptResult::Created]))).count();
        assert_eq!(created, 1, "{}: {results:?}", store.kind());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_claimed_once_and_a_late_worker_overwrites_nothing() {
    for Fixture { store, .. } in &both().await {
        let business = BusinessId::generate();
        let new = message(&business, 1_000);
        store.accept(vec![new.clone()]).await.unwrap();
        let claimed = store.claim_messages(&[new.id.key()], "a", 2_000, 60_000).await.unwrap();
        assert_eq!(claimed.len(), 1);
        assert_eq!((claimed[0].row.progress.attempt, claimed[0].body.as_str()), (1, new.body.as_str()));
        assert!(store.claim_messages(&[new.id.key()], "b", 2_000, 60_000).await.unwrap().is_empty());
        let early = message(&business, 5_000);
        store.accept(vec![early.clone()]).await.unwrap();
        let claimed_early = store.claim_messages(&[early.id.key()], "a", 4_999, 60_000).await.unwrap();
        assert!(claimed_early.is_empty(), "it is not due");

        let progress = sent(claimed[0].row.progress.clone(), "up-1", 3_000);
        let record = |attempt, progress: &Progress| MessageRecord {
            id: new.id.clone(),
            attempt,
            progress: progress.clone(),
            events: Vec::new(),
            deliveries: vec![NewDelivery::new(&business, &EndpointId::generate(), &new.id, "{}".to_owned(), 3_000)],
            left: Vec::new(),
            answered: None,
        };
        let written = store.record_messages("b", &[record(1, &progress)], 3_000).await.unwrap();
        assert!(written.is_empty(), "not b's attempt");
        let written = store.record_messages("a", &[record(2, &progress)], 3_000).await.unwrap();
        assert!(written.is_empty(), "not that attempt");
        assert!(
            store.due_deliveries(Millis::MAX, &Place::start(), 10).await.unwrap().is_empty(),
            "nothing follows from a late record"
        );
        let written = store.record_messages("a", &[record(1, &progress)], 3_000).await.unwrap();
        assert_eq!(written.len(), 1);
        assert_eq!(store.due_deliveries(Millis::MAX, &Place::start(), 10).await.unwrap().len(), 1);
        let view = store.message(&business, &new.id).await.unwrap().unwrap();
        assert_eq!((view.progress.state, view.progress.upstream_id.as_deref()), (State::Sent, Some("up-1")));
        let again = store.record_messages("a", &[record(1, &progress)], 3_000).await.unwrap();
        assert!(again.is_empty(), "an attempt is recorded once");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweeps_find_what_waits_and_what_lapsed() {
    for Fixture { store, .. } in &both().await {
        let business = BusinessId::generate();
        let (waiting, running) = (message(&business, 1_000), message(&business, 1_000));
        store.accept(vec![waiting.clone(), running.clone()]).await.unwrap();
        store.claim_messages(&[running.id.key()], "a", 2_000, 60_000).await.unwrap();
        let due = store.due_messages(5_000, 5_000, &Place::start(), 10).await.unwrap();
        assert_eq!(due.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), [waiting.id.key()]);
        assert_eq!((due[0].lane.as_str(), due[0].due_at), ("7", 1_000));
        assert_eq!(
            store.due_messages(59_999, 59_999, &Place::start(), 10).await.unwrap().len(),
            1,
            "the lease still holds"
        );
        let due = store.due_messages(60_000, 60_000, &Place::start(), 10).await.unwrap();
        assert_eq!(due.len(), 2, "the lease is over");
        let rest = store.due_messages(60_000, 60_000, &due[0].place, 10).await.unwrap();
        assert_eq!(rest, due[1..], "a page starts where the last one ended");
        assert!(store.due_messages(60_000, 60_000, &due[1].place, 10).await.unwrap().is_empty());
        let both = [waiting.id.key(), running.id.key()];
        let rows = store.unfinished_among(&both).await.unwrap();
        let ends: BTreeSet<_> = rows.iter().map(|row| (row.progress.state.code(), row.progress.due_at)).collect();
        assert_eq!(ends, BTreeSet::from([(0, Some(1_000)), (2, Some(60_000))]));
        assert_eq!(store.all_running_messages(10).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_leaves_with_what_it_changed_or_stays() {
    for Fixture { store, .. } in &both().await {
        let callback = NewCallback::raw("sandbox", SenderId(7), b"\xff{}".to_vec(), 1_000, 2_000);
        let id = callback.id.clone();
        store.keep_callbacks(vec![callback]).await.unwrap();
        let found = store.callbacks(&[&id]).await.unwrap();
        assert_eq!((found[0].body.as_slice(), found[0].received_at), (b"\xff{}".as_slice(), 1_000));
        assert!(store.due_callbacks(1_999, &Place::start(), 10).await.unwrap().is_empty());
        assert_eq!(store.due_callbacks(2_000, &Place::start(), 10).await.unwrap().len(), 1);
        let aside = NewCallback::aside(&found[0]);
        let batch = ReceiptBatch { done: vec![id.clone()], ..ReceiptBatch::default() };
        let decide = |_| ReceiptOutcome { parked: vec![aside], ..ReceiptOutcome::default() };
        store.apply_receipts(batch, 3_000, decide).await.unwrap();
        assert!(store.callbacks(&[&id]).await.unwrap().is_empty());
        assert!(store.due_callbacks(Millis::MAX, &Place::start(), 10).await.unwrap().is_empty());
        assert_eq!(store.overview(0).await.unwrap().receipts_unmatched, 1, "kept aside, not dropped");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confidential_callback_is_sealed_for_its_adapter_and_sender() {
    for Fixture { store, .. } in &both().await {
        let (vault, body) = (crate::vault::Vault::for_tests(), b"code 739184".to_vec());
        let callback = NewCallback::raw("sandbox", SenderId(7), body.clone(), 1_000, 2_000).sealed_by(&vault);
        let id = callback.id.clone();
        store.keep_callbacks(vec![callback]).await.unwrap();
        let found = store.callbacks(&[&id]).await.unwrap();
        assert!(!found[0].body.windows(6).any(|part| part == b"739184"));
        assert_eq!(found[0].body(&vault).unwrap().as_ref(), body.as_slice());
        assert!(found[0].body(&crate::vault::Vault::for_tests()).is_err());
        let aside = NewCallback::aside(&found[0]);
        let batch = ReceiptBatch { done: vec![id], ..ReceiptBatch::default() };
        let decide = |_| ReceiptOutcome { parked: vec![aside], ..ReceiptOutcome::default() };
        store.apply_receipts(batch, 3_000, decide).await.unwrap();
        for kept in bytes_in(store, "callbacks", "body").await {
            assert!(!kept.windows(6).any(|part| part == b"739184"), "kept aside it stays sealed");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_try_is_recorded_once() {
    for Fixture { store, .. } in &both().await {
        let tree = Tree::plant(store).await;
        let (business, owner) = (tree.business.clone(), (&tree.reseller, &tree.business));
        let endpoint = store.add_endpoint(&Actor::system(), owner, ("http://x.example/", "t"), 10, 0).await;
        let endpoint = endpoint.unwrap().unwrap();
        let delivery = NewDelivery::new(&business, &endpoint, &MessageId::generate(), "{}".to_owned(), 1_000);
        let mut conn = store.pools.write().await.unwrap();
        deliveries::insert(&mut conn, vec![delivery.clone()]).await.unwrap();
        drop(conn);
        let claimed = store.deliveries(&[&delivery.id]).await.unwrap();
        assert_eq!((claimed[0].url.as_str(), claimed[0].business_id.as_str()), ("http://x.example/", business.key()));
        let record = |attempt, state, due_at| DeliveryRecord {
            id: delivery.id.clone(),
            attempt,
            state,
            due_at,
            last_status: Some(500),
            last_error: None,
        };
        store.record_deliveries(vec![record(0, DeliveryState::Pending, Some(9_000))], 2_000).await.unwrap();
        store.record_deliveries(vec![record(0, DeliveryState::Dead, None)], 2_000).await.unwrap();
        assert_eq!(store.deliveries(&[&delivery.id]).await.unwrap()[0].attempt, 1, "a repeat changes nothing");
        store.record_deliveries(vec![record(1, DeliveryState::Delivered, None)], 3_000).await.unwrap();
        assert!(store.deliveries(&[&delivery.id]).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn senders_are_found_by_what_names_them() {
    for Fixture { store, .. } in &both().await {
        let Tree { business, account, sender, .. } = Tree::plant(store).await;
        let found = store.any_sender(sender).await.unwrap().unwrap().sender;
        assert_eq!((found.account, &found.business), (account, &business));
        assert_eq!(store.sender_by_phone(&business, "15550783881").await.unwrap(), Some(sender));
        assert_eq!(store.sender_by_phone(&BusinessId::generate(), "15550783881").await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_is_dropped_leaves_nothing_and_blocks_nobody() {
    for Fixture { store, .. } in &both().await {
        let mut conn = store.pools.begin().await.unwrap();
        let insert = "INSERT INTO resellers (id, name, created_at) VALUES ('x', 'x', 0)";
        on!(conn, c => c.batch_execute(insert).await).unwrap();
        drop(conn);
        assert_eq!(store.overview(0).await.unwrap().resellers, 0, "{}", store.kind());
        store.add_reseller(&Actor::system(), "after", &Policy::default(), 0).await.unwrap();
        assert_eq!(store.overview(0).await.unwrap().resellers, 1, "{}", store.kind());
    }
}

/// Every page of a list, with something that is done between two pages.
async fn walk(
    store: &Store,
    business: &BusinessId,
    filter: &MessageFilter,
    limit: u32,
    mut between: impl AsyncFnMut(),
) -> Vec<MessageView> {
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let paging = Paging::read(cursor.as_deref(), Some(limit)).unwrap();
        let page = store.messages(business, filter, &paging).await.unwrap();
        assert!(page.entries.len() <= limit as usize);
        seen.extend(page.entries);
        cursor = page.next;
        if cursor.is_none() {
            return seen;
        }
        between().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_its_messages_and_no_others() {
    for Fixture { store, .. } in &both().await {
        let (business, other) = (BusinessId::generate(), BusinessId::generate());
        let mut kept = Vec::new();
        for number in 0..60_i64 {
            kept.push(NewMessage {
                id: MessageId::generate_at(number * 1_000),
                sender_id: SenderId(number % 3),
                recipient: format!("1650555{:04}", number % 5),
                category: Category::ALL[usize::try_from(number % 4).unwrap()],
                template: (number % 2 == 0).then(|| format!("t{}", number % 6)),
                callback_data: (number % 7 == 0).then(|| "order 17".to_owned()),
                ..message(&business, number * 1_000)
            });
        }
        store.accept(kept.clone()).await.unwrap();
        store.accept(vec![message(&other, 1)]).await.unwrap();
        let claimed = store.claim_messages(&[kept[7].id.key(), kept[8].id.key()], "w", 60_000, 90_000).await.unwrap();
        assert_eq!(claimed.len(), 2);
        store.cancel_message(&business, &kept[14].id, "No longer needed.", 60_000).await.unwrap();

        type Holds = fn(&NewMessage) -> bool;
        let cases: [(MessageFilter, Holds); 10] = [
            (MessageFilter::default(), |_| true),
            (MessageFilter { sender: Some(SenderId(1)), ..MessageFilter::default() }, |m| m.sender_id.0 == 1),
            (MessageFilter { recipient: Address::phone("+1 650 5550003"), ..MessageFilter::default() }, |m| {
                m.recipient == "16505550003"
            }),
            (MessageFilter { template: Some("t4".to_owned()), ..MessageFilter::default() }, |m| {
                m.template.as_deref() == Some("t4")
            }),
            (MessageFilter { callback_data: Some("order 17".to_owned()), ..MessageFilter::default() }, |m| {
                m.callback_data.is_some()
            }),
            (MessageFilter { category: Some(Category::Marketing), ..MessageFilter::default() }, |m| {
                m.category == Category::Marketing
            }),
            (
                MessageFilter {
                    accepted_from: Some(10_000),
                    accepted_before: Some(20_000),
                    ..MessageFilter::default()
                },
                |m| (10_000..20_000).contains(&m.accepted_at),
            ),
            (MessageFilter { state: Some(State::Sending), ..MessageFilter::default() }, |m| {
                m.accepted_at == 7_000 || m.accepted_at == 8_000
            }),
            (MessageFilter { state: Some(State::Canceled), ..MessageFilter::default() }, |m| m.accepted_at == 14_000),
            (
                MessageFilter {
                    state: Some(State::Accepted),
                    sender: Some(SenderId(0)),
                    category: Some(Category::Service),
                    callback_data: Some("order 17".to_owned()),
                    ..MessageFilter::default()
                },
                |m| {
                    let of = m.sender_id.0 == 0 && m.category == Category::Service && m.callback_data.is_some();
                    of && ![7_000, 8_000, 14_000].contains(&m.accepted_at)
                },
            ),
        ];
        for (filter, holds) in cases {
            let found = walk(store, &business, &filter, 4, async || {}).await;
            let found: Vec<&MessageId> = found.iter().map(|view| &view.id).collect();
            let expected: Vec<&MessageId> = kept.iter().filter(|m| holds(m)).map(|m| &m.id).rev().collect();
            assert!(!expected.is_empty());
            assert_eq!(found, expected, "{}: {filter:?}", store.kind());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_through_a_list_meets_everything_once_while_messages_are_accepted() {
    for Fixture { store, .. } in &both().await {
        let business = BusinessId::generate();
        let kept: Vec<NewMessage> =
            (0..300_i64).map(|at| NewMessage { id: MessageId::generate_at(at), ..message(&business, at) }).collect();
        store.accept(kept.clone()).await.unwrap();
        let mut now = 1_000_000;
        let seen = walk(store, &business, &MessageFilter::default(), 37, async || {
            now += 1;
            let id = MessageId::generate_at(now);
            store.accept(vec![NewMessage { id, ..message(&business, now) }]).await.unwrap();
        })
        .await;
        let seen: Vec<&MessageId> = seen.iter().map(|view| &view.id).collect();
        assert_eq!(seen, kept.iter().map(|m| &m.id).rev().collect::<Vec<_>>(), "{}", store.kind());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_looks_at_a_bounded_number_of_messages_and_the_list_goes_on() {
    for Fixture { store, .. } in &both().await {
        let business = BusinessId::generate();
        let rare = NewMessage { sender_id: SenderId(9), ..message(&business, 0) };
        store.accept(vec![NewMessage { id: MessageId::generate_at(0), ..rare.clone() }]).await.unwrap();
        for chunk in 0..12_i64 {
            let many = (0..500).map(|n| {
                let at = 1 + chunk * 500 + n;
                NewMessage { id: MessageId::generate_at(at), sender_id: SenderId(9), ..message(&business, at) }
            });
            store.accept(many.collect()).await.unwrap();
        }
        let filter = MessageFilter {
            sender: Some(SenderId(9)),
            accepted_before: Some(9_000),
            state: Some(State::Delivered),
            ..MessageFilter::default()
        };
        let first = store.messages(&business, &filter, &Paging::default()).await.unwrap();
        assert!(first.entries.is_empty() && first.next.is_some(), "6,000 are more than a page looks at");
        assert!(walk(store, &business, &filter, 50, async || {}).await.is_empty());
    }
}
