//! The command line says what it can do, and refuses what cannot work before anything starts, with
//! what to do instead.

use std::{fs, os::unix::fs::PermissionsExt, process::Output};

use serde_json::Value;

use crate::support::{Profile, Site, committed, sandbox_library, stop, words};

async fn embedded() -> Site {
    Site::new(Profile::Embedded).await
}

/// What a command that has to fail says.
fn refusal(output: &Output) -> String {
    let words = words(output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    words
}

/// What a command that has to succeed prints on its standard output.
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", words(output));
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[tokio::test]
async fn the_help_of_every_subcommand_names_its_options() {
    let site = embedded().await;
    for (command, named) in [
        (
            "",
            vec!["serve", "migrate", "demo", "openapi", "config", "adapters", "sign-in-link", "--config", "--version"],
        ),
        ("serve", vec!["--role", "api", "worker", "admin", "--config"]),
        ("migrate", vec!["--down", "--yes-lose-all-data"]),
        ("demo", vec!["--data", "--port", "--webhook", "--database", "--queue", "--json"]),
        ("openapi", vec!["--output"]),
        ("config", vec!["--reference"]),
        ("adapters", vec!["check"]),
        ("adapters check", vec!["<FILE>", "--connection"]),
        ("sign-in-link", vec!["--config"]),
    ] {
        let mut arguments: Vec<&str> = command.split(' ').filter(|word| !word.is_empty()).collect();
        arguments.push("--help");
        let help = printed(&site.run(&arguments));
        for name in named {
            assert!(help.contains(name), "{command} --help does not name {name}:\n{help}");
        }
    }
    assert!(printed(&site.run(&["--version"])).contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(site.run(&["serv"]).status.code(), Some(2));
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused_at_its_line() {
    let site = embedded().await;
    let file = site.folder().join("waystation.toml");
    let place = |line: usize| format!("waystation.toml:{line}:");
    for (text, line, said) in [
        (
            "[server]\nthreads = 1\nlisen = '127.0.0.1:0'\n",
            3,
            "unknown key `server.lisen`; did you mean `server.listen`?",
        ),
        ("# hello\n[database]\nurl = 'mysql://root@db/ws'\n", 3, "unknown scheme `mysql:`"),
        ("[queue]\nurl = 'amqp://q'\n", 2, "unknown scheme `amqp:`"),
        ("[worker]\nlease_seconds = 1\n", 2, "`worker.lease_seconds` must be from 5 to 3600, not 1"),
    ] {
        fs::write(&file, text).expect("a file");
        for command in ["serve", "config", "migrate", "demo", "sign-in-link"] {
            let said_by = refusal(&site.run(&[command, "--config", &file.to_string_lossy()]));
            assert!(said_by.contains(&place(line)) && said_by.contains(said), "{command}: {said_by}");
        }
    }
    fs::write(&file, "[webhooks]\ntimeout_ms = 100000\n").expect("a file");
    let said = refusal(&site.run(&["serve", "--config", &file.to_string_lossy()]));
    assert!(said.contains("`webhooks.timeout_ms` (100000 ms) must not exceed `worker.lease_seconds`"), "{said}");
    let said = refusal(&site.run(&["serve", "--config", "no-such-file.toml"]));
    assert!(said.contains("cannot read the configuration file no-such-file.toml"), "{said}");
    let left: Vec<_> =
        fs::read_dir(site.folder()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["waystation.toml"], "nothing was begun");
}

#[tokio::test]
async fn a_wrong_variable_is_refused_by_its_name() {
    let mut site = embedded().await;
    site.set("server.lisen", "127.0.0.1:0");
    let said = refusal(&site.run(&["serve"]));
    assert!(
        said.contains("WAYSTATION__SERVER__LISEN: sets no key; did you mean WAYSTATION__SERVER__LISTEN?"),
        "{said}"
    );
}

#[tokio::test]
async fn the_configuration_in_effect_is_shown_without_its_secrets() {
    let mut site = embedded().await;
    site.set("database.url", "postgres://ada:hunter2@db.example.com/ws");
    site.set("queue.url", "redis://:hunter3@cache.example.com/1");
    let shown = printed(&site.run(&["config"]));
    assert!(shown.contains("db.example.com/ws") && shown.contains("cache.example.com/1"), "{shown}");
    assert!(!shown.contains("hunter"), "{shown}");
    let reference = printed(&site.run(&["config", "--reference"]));
    assert!(Some(reference) == committed("waystation.default.toml"), "waystation.default.toml is not current");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_named_without_its_password() {
    let mut site = embedded().await;
    site.set("database.url", "postgres://ada:hunter2@127.0.0.1:1/ws");
    site.set("queue.url", "redis://127.0.0.1:1");
    for command in ["serve", "migrate", "sign-in-link"] {
        let said = refusal(&site.run(&[command]));
        assert!(said.contains("127.0.0.1:1/ws does not answer") && !said.contains("hunter2"), "{command}: {said}");
    }
}

#[tokio::test]
async fn roles_that_the_queue_inside_the_process_cannot_serve_are_refused_with_what_to_do() {
    let site = embedded().await;
    for role in ["api", "worker", "api,admin"] {
        let said = refusal(&site.run(&["serve", "--role", role]));
        assert!(said.contains("in-process queue") && said.contains("queue.url"), "{role}: {said}");
    }
    assert_eq!(site.run(&["serve", "--role", "postman"]).status.code(), Some(2));
}

#[tokio::test]
async fn a_second_process_on_a_sqlite_file_is_refused_until_the_first_has_ended() {
    let site = embedded().await;
    let mut first = site.serve("api,worker,admin");
    for command in ["serve", "migrate"] {
        let said = refusal(&site.run(&[command]));
        assert!(said.contains("another process works on") && said.contains("waystation.db"), "{command}: {said}");
    }
    // A sign-in link is issued beside it all the same.
    assert!(printed(&site.run(&["sign-in-link"])).contains("/admin/sign-in?token="));
    assert!(printed(&site.run(&["adapters"])).starts_with("sandbox "));
    first.process.kill9().expect("a kill");
    let mut second = site.serve("api,worker,admin");
    stop(&mut second.process);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let mut site = embedded().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    site.set("server.listen", &address);
    let said = refusal(&site.run(&["serve"]));
    assert!(said.contains(&format!("{address} cannot be listened on")), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrating_twice_changes_nothing_the_second_time() {
    for profile in [Profile::Embedded, Profile::Cluster] {
        let site = Site::new(profile).await;
        assert!(printed(&site.run(&["migrate"])).contains("applied "));
        assert_eq!(site.messages().await, 0);
        let again = printed(&site.run(&["migrate"]));
        assert!(again.starts_with("Nothing to do"), "{again}");
        assert_eq!(site.run(&["migrate", "--down"]).status.code(), Some(2), "it asks whether that is meant");
        assert!(printed(&site.run(&["migrate", "--down", "--yes-lose-all-data"])).contains("reverted "));
        assert!(printed(&site.run(&["migrate"])).contains("applied "));
    }
}

#[tokio::test]
async fn the_openapi_documents_are_the_committed_ones() {
    let site = embedded().await;
    let text = printed(&site.run(&["openapi"]));
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.")), "{}", document["openapi"]);
    for path in
        ["/{version}/{phone_number_id}/messages", "/v1/messages", "/v1/messages/{id}", "/v1/messages/{id}/events"]
    {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    if let Some(committed) = committed("openapi/tenant.json") {
        assert!(text == committed, "openapi/tenant.json is not what the program generates");
    }
    let output = site.folder().join("documents");
    printed(&site.run(&["openapi", "--output", &output.to_string_lossy()]));
    assert_eq!(fs::read_to_string(output.join("tenant.json")).expect("a document"), text);
    let partner = fs::read_to_string(output.join("partner.json")).expect("a document");
    assert!(partner.contains("\"/partner/v1/businesses\""));
    if let Some(committed) = committed("openapi/partner.json") {
        assert!(partner == committed, "openapi/partner.json is not what the program generates");
    }
    assert!(output.join("errors.md").is_file());
}

#[tokio::test]
async fn the_sandbox_is_listed_and_conforms() {
    let site = embedded().await;
    let listed = printed(&site.run(&["adapters"]));
    assert!(listed.starts_with("sandbox ") && listed.contains("sha256"), "{listed}");
    let library = sandbox_library();
    let report = printed(&site.run(&["adapters", "check", &library.to_string_lossy()]));
    assert!(!report.is_empty());
    let with_settings = ["adapters", "check", &library.to_string_lossy(), "--connection", r#"{"send_latency_ms": 5}"#]
        .map(str::to_owned);
    printed(&site.run(&with_settings.each_ref().map(String::as_str)));
    let said = refusal(&site.run(&["adapters", "check", "no-such-library.so"]));
    assert!(said.contains("no-such-library.so"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_on_disk_can_be_read_by_its_owner_only() {
    let mut site = embedded().await;
    let folder = site.folder().join("data");
    site.set("database.url", format!("sqlite:{}", folder.join("ws.db").display()));
    let mode = |path: &std::path::Path| fs::metadata(path).expect("it exists").permissions().mode() & 0o777;
    printed(&site.run(&["migrate"]));
    assert_eq!(mode(&folder), 0o700);
    assert_eq!(mode(&folder.join("ws.db")), 0o600);
}
