//! An adapter that is not what it should be is refused before anything starts, by its file.

use std::{fs, path::Path};

use sha2::{Digest, Sha256};

use crate::support::{Client, Profile, Site, sandbox_library, text, words};

fn sum_of(path: &Path) -> String {
    hex::encode(Sha256::digest(fs::read(path).expect("a file")))
}

/// A configuration that names `library` with `sum`.
fn configure(site: &mut Site, library: &Path, sum: &str) {
    site.set("adapters.libraries", format!("[{{ path = '{}', sha256 = '{sum}' }}]", library.display()));
}

#[tokio::test]
async fn a_broken_library_is_refused_at_the_start_by_its_file() {
    let mut site = Site::new(Profile::Embedded).await;
    let sandbox = sandbox_library();
    let notes = site.folder().join("libnotes.so");
    fs::write(&notes, "not a library").expect("a file");
    let missing = site.folder().join("libmissing.so");
    let other_sum = "0f".repeat(32);
    for (library, sum, said) in [
        (&notes, sum_of(&notes), "is not a shared library"),
        (&missing, other_sum.clone(), "cannot be read"),
        (&sandbox, other_sum.clone(), "its SHA-256 is"),
    ] {
        configure(&mut site, library, &sum);
        for command in ["serve", "demo", "adapters"] {
            let mut arguments = vec![command];
            if command == "demo" {
                arguments.extend(["--port", "0"]);
            }
            let output = site.run(&arguments);
            let refusal = words(&output);
            assert_eq!(output.status.code(), Some(1), "{command}: {refusal}");
            let file = library.file_name().expect("a name").to_string_lossy();
            assert!(refusal.contains(said) && refusal.contains(&*file), "{command}: {refusal}");
        }
    }
    assert!(words(&site.run(&["serve"])).contains(&other_sum), "the sum that was asked for is named");
}

#[tokio::test]
async fn an_adapter_that_was_not_built_in_is_refused_with_those_that_were() {
    let mut site = Site::new(Profile::Embedded).await;
    site.set("adapters.bundled", "pigeon");
    let refusal = words(&site.run(&["serve"]));
    assert!(refusal.contains("\"pigeon\"") && refusal.contains("sandbox"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pinned_library_carries_messages_as_a_bundled_one_does() {
    let mut site = Site::new(Profile::Embedded).await;
    let copy = site.folder().join("libcopy.so");
    fs::copy(sandbox_library(), &copy).expect("a copy");
    site.set("adapters.bundled", "");
    configure(&mut site, &copy, &sum_of(&copy));
    let demo = site.demo(None);
    let client = Client::new(demo.info(), &demo.info().base_url);
    let id = client.send(&text("16505550002", "hi")).await.accepted();
    client.reaches(&id, "delivered").await;
    assert!(demo.log().expect("a log").contains("libcopy.so"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_wait_for_an_adapter_that_is_not_loaded() {
    let mut site = Site::new(Profile::Embedded).await;
    let info = site.add_business(None);
    site.set("adapters.bundled", "");
    let mut without = site.serve("api,worker,admin");
    let client = Client::new(&info, &without.base_url);
    let id = client.send(&text("16505550002", "hi")).await.accepted();
    let events = crate::support::eventually("the message waits", async || {
        let events = client.events(&id).await;
        crate::support::names(&events).contains(&"channel_down").then_some(events)
    })
    .await;
    assert!(events[1]["retry_at"].is_string(), "{events:?}");
    assert_eq!(client.message(&id).await["status"], "queued");
    without.process.kill9().expect("a kill");
    site.set("adapters.bundled", "sandbox");
    let with = site.serve("api,worker,admin");
    client.at(&with.base_url).reaches(&id, "delivered").await;
}
