//! What checking a known key costs beyond hashing it: `key check` minus `one hash` is what
//! to look at. Run with `cargo bench --package waystation-core`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::FutureExt;
use waystation_core::{
    audit::Actor,
    clock::now_ms,
    credentials::{Credentials, GrantRequest, KeyHash},
    store::{Direction, Owner, Store, StoreSettings, StoreUrl},
    tenancy::{Directory, Policy, Scope},
    vault::Vault,
};

fn key_check(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let (directory, key) = runtime.block_on(async {
        let url = StoreUrl::Sqlite(folder.path().join("bench.db"));
        let store = Store::open(&StoreSettings { url, connections: 2 }).await.expect("a database");
        store.migrate(Direction::Up).await.expect("tables");
        let reseller = store.add_reseller(&Actor::system(), "r", &Policy::default(), 0).await.expect("a reseller");
        let directory = Directory::new(store.clone(), Vault::for_tests(), Policy::default());
        directory.follow();
        let credentials = Credentials::new(store, Vault::for_tests(), directory.clone());
        let owner = Owner { reseller, business: None };
        let request = GrantRequest { name: "bench".to_owned(), ..GrantRequest::default() };
        let (_, key) = credentials.issue_key(&Actor::system(), &owner, &request, now_ms()).await.expect("a key");
        (directory, key)
    });
    let (key, address) = (key.reveal(), "192.0.2.7".parse().ok());

    criterion.bench_function("one hash", |bench| bench.iter(|| black_box(KeyHash::of(black_box(key)))));
    criterion.bench_function("key check", |bench| {
        bench.iter(|| {
            // Answered from memory it is ready at once; now and then it has to be loaded.
            let answer = directory.principal_of_request(black_box(key), address).now_or_never();
            let principal = answer.unwrap_or_else(|| runtime.block_on(directory.principal_of_request(key, address)));
            let principal = principal.expect("an answer").expect("a principal");
            principal.admit(address, now_ms()).expect("it may come in");
            principal.require(Scope::BillingRead).expect("it has the scope");
            black_box(principal)
        });
    });
}

criterion_group!(benches, key_check);
criterion_main!(benches);
