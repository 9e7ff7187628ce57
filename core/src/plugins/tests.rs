//! Real shared libraries, through the system's loader: the bundled sandbox, a Rust adapter that panics, and C adapters
//! that answer garbage, hang, or are no adapters. The C ones are compiled here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};
use waystation_adapter_sdk::conformance::{Level, Report, Sample};
use waystation_adapter_sdk::{
    Callback, CodeCheck, CodeDelivery, CodeMethod, CodeRequest, Event, NumberError, Outbound, Payload, ReceiveError,
    Registration, SendError, Sender,
};

use super::*;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Script {
    requests: AtomicUsize,
    fail_http: Option<HttpError>,
    refuse_callbacks: bool,
    stored: Mutex<Vec<(CallbackOrigin, Vec<ScheduledCallback>)>>,
}

#[async_trait]
impl HostIo for Script {
    async fn http(&self, _request: HttpRequest) -> Result<HttpResponse, HttpError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        match &self.fail_http {
            Some(error) => Err(error.clone()),
            None => Ok(HttpResponse { status: 200, headers: Vec::new(), body: Payload::from("{}") }),
        }
    }

    async fn callbacks(&self, origin: &CallbackOrigin, callbacks: Vec<ScheduledCallback>) -> Result<(), String> {
        if self.refuse_callbacks {
            return Err("the disk is full".to_owned());
        }
        self.stored.lock().unwrap().push((origin.clone(), callbacks));
        Ok(())
    }
}

fn host_with(io: Script, settings: HostSettings) -> (AdapterHost, Arc<Script>) {
    let io = Arc::new(io);
    (AdapterHost::new(Arc::clone(&io) as Arc<dyn HostIo>, settings), io)
}

fn host() -> (AdapterHost, Arc<Script>) {
    host_with(Script::default(), HostSettings::default())
}

fn message(last_digits: &str) -> Outbound {
    serde_json::from_value(json!({
        "message_id": "msg_1", "attempt": 1, "attempt_ref": "msg_1.1", "accepted_at_ms": 0, "attempt_at_ms": 0,
        "sender": {"id": "snd_1", "phone": "15550001111"}, "recipient": {"phone": format!("1555000{last_digits}")},
        "kind": "text", "body": {"type": "text", "text": {"body": "hi \"you\""}}, "text": "hi",
    }))
    .unwrap()
}

/// The shared library of a path dependency, beside this test binary.
fn rust_library(name: &str) -> PathBuf {
    let file = libloading::library_filename(name);
    let found = bundled_dirs().into_iter().map(|dir| dir.join(&file)).find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{} is not beside the test binary", file.display()))
}

/// Compiles a C fixture to a library of its own, since a loaded library stays loaded.
fn c_library(source: &str, defines: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join(libloading::library_filename(source));
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&library)
        .arg("-I")
        .arg(root.join("adapters/sdk/include"))
        .args(defines.iter().map(|define| format!("-D{define}")))
        .arg(root.join(format!("tests/plugins/c/{source}.c")))
        .output()
        .expect("the C fixtures need a C compiler named cc");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    (folder, library)
}

fn details(error: &SendError) -> &str {
    error.error().details.as_deref().unwrap_or_default()
}

#[track_caller]
fn assert_unsent(outcome: Result<waystation_adapter_sdk::Accepted, SendError>, says: &str) {
    match outcome {
        Err(error @ SendError::Internal { .. }) => {
            assert!(details(&error).contains(says), "{error}");
            assert!(details(&error).contains("was not sent"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn assert_ambiguous(outcome: Result<waystation_adapter_sdk::Accepted, SendError>, says: &str) {
    match outcome {
        Err(error @ SendError::Ambiguous { .. }) => {
            assert!(details(&error).contains(says), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_sandbox_sends_and_reads_its_own_receipts() {
    let (host, io) = host();
    let adapter = host.load_bundled("waystation-sandbox", waystation_sandbox::BUILD_INFO).unwrap();
    assert_eq!(adapter.description().name, "sandbox");
    assert_eq!(adapter.build_info(), waystation_sandbox::BUILD_INFO);
    assert!(Arc::ptr_eq(&adapter, &host.get("sandbox").unwrap()));
    assert_eq!(host.list().len(), 1);

    let accepted = adapter.send(&message("0001")).await.unwrap();
    let stored = std::mem::take(&mut *io.stored.lock().unwrap());
    assert_eq!(stored.len(), 1);
    let (origin, callbacks) = &stored[0];
    assert_eq!(*origin, CallbackOrigin { adapter: "sandbox".to_owned(), sender_id: "snd_1".to_owned() });
    assert_eq!(callbacks.len(), 2, "delivered and read");
    for scheduled in callbacks {
        let callback = Callback::new(scheduled.body.clone(), Value::Null, 1);
        let events = adapter.receive("snd_1", &callback).await.unwrap().events;
        assert!(matches!(&events[..], [Event::Status(status)] if status.upstream_id == accepted.upstream_id));
    }
    let callback = Callback::new(vec![0xff], Value::Null, 1);
    let refused = adapter.receive("snd_1", &callback).await;
    assert!(matches!(refused, Err(ReceiveFailure::Refused(ReceiveError::Malformed { .. }))), "{refused:?}");
    assert_eq!(adapter.health(), Health::Ready);
}

#[tokio::test]
async fn the_sandbox_takes_nothing_that_has_no_receipts() {
    let (host, _io) = host_with(Script { refuse_callbacks: true, ..Script::default() }, HostSettings::default());
    let adapter = host.load_bundled("waystation-sandbox", waystation_sandbox::BUILD_INFO).unwrap();
    let refused = adapter.send(&message("0001")).await.unwrap_err();
    assert!(matches!(refused, SendError::RetryAfter { .. }));
    assert!(details(&refused).contains("the disk is full"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_sends_at_once_get_their_own_answers() {
    let (host, _io) = host();
    let adapter = host.load_bundled("waystation-sandbox", waystation_sandbox::BUILD_INFO).unwrap();
    let sends = (0..500).map(|i| {
        let adapter = Arc::clone(&adapter);
        tokio::spawn(async move {
            let outbound = Outbound { attempt_ref: format!("ref {i}"), ..message(&format!("{i:04}")) };
            let outcome = adapter.send(&outbound).await;
            (outbound.recipient.phone, outcome)
        })
    });
    let mut ids = std::collections::HashSet::new();
    for (phone, outcome) in futures_util::future::join_all(sends).await.into_iter().map(Result::unwrap) {
        if let Ok(accepted) = outcome {
            assert_eq!(accepted.recipient_id, phone);
            assert!(ids.insert(accepted.upstream_id));
        }
    }
    assert!(ids.len() > 490);
}

#[test]
fn the_bundled_adapters_conform() {
    let report = Library::check(&rust_library("waystation_sandbox"), &Sample::default()).unwrap();
    assert!(report.conforms(), "{report}");
    assert_eq!(report.failures(Level::Should).count(), 0, "{report}");
}

#[test]
fn an_adapter_in_c_from_the_header_alone_conforms() {
    let (_folder, path) = c_library("gateway", &[]);
    let report = Library::check(&path, &Sample::default()).unwrap();
    assert!(report.conforms(), "{report}");
    assert_eq!(report.failures(Level::Should).count(), 0, "{report}");
}

#[test]
fn the_conformance_suite_finds_a_code_in_a_log() {
    let report = Library::check(&rust_library("waystation_plugin_numbers"), &Sample::default()).unwrap();
    let failures: Vec<_> = report.failures(Level::Must).map(|case| case.id).collect();
    assert_eq!(failures, ["C42"], "{report}");
}

#[test]
fn the_conformance_suite_finds_what_is_wrong() {
    let failures = |report: &Report| report.failures(Level::Must).map(|case| case.id).collect::<Vec<_>>();
    let sample = Sample { recipient_phone: "15550000006".to_owned(), ..Sample::default() };
    let report = Library::check(&rust_library("waystation_plugin_panicking"), &sample).unwrap();
    assert_eq!(failures(&report), ["C35", "C37", "C85"], "{report}");
    let (_folder, path) = c_library("garbage", &[]);
    let report = Library::check(&path, &Sample::default()).unwrap();
    assert!(!report.conforms(), "{report}");
    let (_folder, path) = c_library("wrong_abi", &[]);
    let report = Library::check(&path, &Sample::default()).unwrap();
    assert_eq!(failures(&report), ["C02", "C03"], "{report}");
}

#[test]
fn another_build_is_not_loaded_as_bundled() {
    let (host, _io) = host();
    let error = host.load_bundled("waystation-sandbox", "waystation-sandbox 9.9.9").unwrap_err().to_string();
    assert!(error.contains("9.9.9") && error.contains(waystation_sandbox::BUILD_INFO), "{error}");
    let error = host.load_bundled("no-such-adapter", "x").unwrap_err().to_string();
    assert!(error.contains("libno_such_adapter") || error.contains("no_such_adapter"), "{error}");
    assert!(host.list().is_empty());
}

#[test]
fn only_the_pinned_file_is_loaded() {
    let (host, _io) = host();
    let path = rust_library("waystation_sandbox");
    let error = host.load(&path, Some([7; 32])).unwrap_err();
    assert!(matches!(error, LoadError::PinMismatch { .. }));
    let text = error.to_string();
    assert!(
        text.contains(&"07".repeat(32)) && text.contains("libwaystation_sandbox") && text.contains("pin"),
        "{text}"
    );
    assert!(host.list().is_empty());

    let sha256 = Library::open(&path).unwrap().sha256();
    let adapter = host.load(&path, Some(sha256)).unwrap();
    assert_eq!(adapter.sha256(), sha256);
}

#[test]
fn what_is_no_adapter_is_refused_with_a_reason() {
    let (host, _io) = host();
    let refusal = |source: &str, defines: &[&str]| {
        let (_folder, path) = c_library(source, defines);
        let error = host.load(&path, None).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(source), "the text names the file: {text}");
        (error, text)
    };
    let (error, text) = refusal("wrong_abi", &[]);
    assert!(matches!(error, LoadError::BadTable { .. }) && text.contains("major version 99"), "{text}");
    let (_, text) = refusal("wrong_abi", &["FIXTURE_MAGIC=0x464c457f"]);
    assert!(text.contains("0x464c457f"), "{text}");
    let (_, text) = refusal("wrong_abi", &["FIXTURE_SIZE=40"]);
    assert!(text.contains("ends before `resume`"), "{text}");
    let (error, text) = refusal("no_symbol", &[]);
    assert!(matches!(error, LoadError::NoSymbol { .. }) && text.contains("waystation_adapter_v1"), "{text}");

    for description in [
        "null",
        "not json",
        r#"{"v":1,"adapter":{"name":"../evil","version":"1","channel":"sms","connection_schema":{}}}"#,
        r#"{"v":1,"adapter":{"name":"x","version":"1","channel":"sms","connection_schema":7}}"#,
        r#"{"v":9,"adapter":{"name":"x","version":"1","channel":"sms","connection_schema":{}}}"#,
    ] {
        let (error, text) = refusal("silent", &[&format!("DESCRIPTION={description:?}")]);
        assert!(matches!(error, LoadError::BadDescription { .. }), "{text}");
    }

    let folder = tempfile::tempdir().unwrap();
    let text_file = folder.path().join("notes.so");
    std::fs::write(&text_file, "hello").unwrap();
    assert!(matches!(host.load(&text_file, None), Err(LoadError::NotALibrary { .. })));
    assert!(matches!(host.load(&folder.path().join("none.so"), None), Err(LoadError::Unreadable { .. })));
    assert!(host.list().is_empty());
}

#[tokio::test]
async fn a_panic_is_an_error_of_the_operation() {
    let (host, io) = host();
    let adapter = host.load(&rust_library("waystation_plugin_panicking"), None).unwrap();
    assert_unsent(adapter.send(&message("0001")).await, "before any io");
    assert_eq!(io.requests.load(Ordering::Relaxed), 0);
    assert_ambiguous(adapter.send(&message("0002")).await, "after http");
    assert_unsent(adapter.send(&message("0003")).await, "after a sleep, 11");
    assert_ambiguous(adapter.send(&message("0004")).await, "a panic without a text");

    let empty = Callback::new(Payload::default(), Value::Null, 0);
    let failure = adapter.receive("snd_1", &empty).await;
    assert!(matches!(&failure, Err(ReceiveFailure::Fault { details }) if details.contains("an empty callback")));
    let callback = Callback { body: Payload::from("x"), ..empty };
    assert_eq!(adapter.receive("snd_1", &callback).await, Err(ReceiveFailure::Refused(ReceiveError::BadSignature)));

    assert!(adapter.send(&message("0006")).await.is_ok());
    assert_eq!(adapter.health(), Health::Ready);
}

#[tokio::test]
async fn a_request_that_failed_is_the_adapters_to_judge() {
    for (error, retried) in [
        (HttpError::NotSent { details: "no route".to_owned() }, true),
        (HttpError::Unknown { details: "reset".to_owned() }, false),
    ] {
        let (host, _io) = host_with(Script { fail_http: Some(error), ..Script::default() }, HostSettings::default());
        let adapter = host.load(&rust_library("waystation_plugin_panicking"), None).unwrap();
        let outcome = adapter.send(&message("0006")).await.unwrap_err();
        assert_eq!(matches!(outcome, SendError::RetryAfter { .. }), retried);
        assert_eq!(matches!(outcome, SendError::Ambiguous { .. }), !retried);
    }
}

#[tokio::test]
async fn an_operation_has_a_deadline() {
    let settings = HostSettings { call_deadline: Duration::from_millis(200), ..HostSettings::default() };
    let (host, _io) = host_with(Script::default(), settings);
    let adapter = host.load(&rust_library("waystation_plugin_panicking"), None).unwrap();
    assert_unsent(adapter.send(&message("0005")).await, "not done within 200 ms");
    assert_eq!(adapter.health(), Health::Ready);
}

#[tokio::test]
async fn an_operation_can_be_given_up() {
    let (host, _io) = host();
    let adapter = host.load(&rust_library("waystation_plugin_panicking"), None).unwrap();
    for _ in 0..50 {
        let outbound = message("0005");
        let given_up = tokio::time::timeout(Duration::from_millis(1), adapter.send(&outbound)).await;
        assert!(given_up.is_err());
    }
    assert!(adapter.send(&message("0000")).await.is_ok());
}

#[tokio::test]
async fn garbage_is_an_error_of_the_operation() {
    let (host, _io) = host();
    let (_folder, path) = c_library("garbage", &[]);
    let adapter = host.load(&path, None).unwrap();
    assert_eq!(adapter.build_info(), "fixture garbage");
    assert_unsent(adapter.send(&message("1")).await, "502 Bad Gateway");
    assert_unsent(adapter.send(&message("2")).await, "status 77");
    assert_unsent(adapter.send(&message("3")).await, "no task");
    assert_ambiguous(adapter.send(&message("4")).await, "upstream id that is none");
    assert_ambiguous(adapter.send(&message("5")).await, "not a step");
    assert_unsent(adapter.send(&message("6")).await, "waits for nothing");
    assert_unsent(adapter.send(&message("7")).await, "no bytes");
    assert_unsent(adapter.send(&message("8")).await, "without an outcome");
    assert_unsent(adapter.send(&message("9")).await, "not a step");
    assert_eq!(adapter.send(&message("0")).await.unwrap().upstream_id, "c-1");
}

#[tokio::test]
async fn an_id_that_the_database_could_not_keep_is_refused_at_the_border() {
    let (host, _io) = host();
    let too_long = format!("BAD_ID=\"{}\"", "x".repeat(513));
    for define in ["BAD_ID=\"a\\\\u0000b\"", too_long.as_str()] {
        let (_folder, path) = c_library("garbage", &[define]);
        let adapter = host.load(&path, None).unwrap();
        assert_ambiguous(adapter.send(&message("4")).await, "no control character");
    }
    let sandbox = host.load_bundled("waystation-sandbox", waystation_sandbox::BUILD_INFO).unwrap();
    let body = json!({"entry": [{"changes": [{"value": {"statuses": [{"id": "a\u{0}b", "status": "read"}]}}]}]});
    let callback = Callback::new(body.to_string(), Value::Null, 1);
    let refused = sandbox.receive("snd_1", &callback).await;
    assert!(matches!(refused, Err(ReceiveFailure::Refused(ReceiveError::Malformed { .. }))), "{refused:?}");
}

fn code_to(phone: &str) -> CodeDelivery {
    CodeDelivery {
        reference: "code 1".to_owned(),
        method: CodeMethod::Sms,
        phone: phone.to_owned(),
        code: "739184".into(),
        language: "en_US".to_owned(),
        text: "739184 is your code.".to_owned(),
        from: "Waystation".to_owned(),
        connection: Value::Null,
        at_ms: 1,
    }
}

#[tokio::test]
async fn a_code_goes_through_the_sandbox_to_its_pretend_phone() {
    let (host, io) = host();
    let adapter = host.load_bundled("waystation-sandbox", waystation_sandbox::BUILD_INFO).unwrap();
    adapter.deliver_code("7", &code_to("15550000001")).await.unwrap();
    let (origin, callbacks) = io.stored.lock().unwrap().remove(0);
    assert_eq!(origin, CallbackOrigin { adapter: "sandbox".to_owned(), sender_id: "7".to_owned() });
    assert!(callbacks[0].confidential);
    let body = callbacks[0].body.clone();
    let callback = Callback::new(body, Value::Null, 1);
    let events = adapter.receive("7", &callback).await.unwrap().events;
    assert!(matches!(&events[..], [Event::PretendPhone(text)] if text.text.contains("739184")), "{events:?}");
    let refused = adapter.deliver_code("7", &code_to("15550000190")).await;
    assert!(matches!(refused, Err(NumberError::Unavailable { needs_operator: true, .. })), "{refused:?}");
    let sender = Sender { id: "7".to_owned(), phone: "15550000001".to_owned() };
    let check = CodeCheck { sender, connection: Value::Null, code: "739184".into(), at_ms: 1 };
    assert_eq!(adapter.verify_code(&check).await, Err(NumberError::Unsupported));
}

#[tokio::test]
async fn a_network_that_checks_numbers_is_asked_to() {
    let (host, io) = host();
    let adapter = host.load(&rust_library("waystation_plugin_numbers"), None).unwrap();
    assert!(adapter.description().capabilities.verifies_numbers);
    let sender = |phone: &str| Sender { id: "7".to_owned(), phone: phone.to_owned() };
    let request = |phone: &str| CodeRequest {
        sender: sender(phone),
        connection: Value::Null,
        method: CodeMethod::Voice,
        language: "de".to_owned(),
        at_ms: 1,
    };
    let check = |phone: &str, code: &str| CodeCheck {
        sender: sender(phone),
        connection: Value::Null,
        code: code.into(),
        at_ms: 1,
    };
    adapter.request_code(&request("15550000000")).await.unwrap();
    adapter.verify_code(&check("15550000000", "123456")).await.unwrap();
    let wrong = adapter.verify_code(&check("15550000000", "654321")).await;
    assert!(matches!(wrong, Err(NumberError::WrongCode { .. })), "{wrong:?}");
    let registration =
        Registration { sender: sender("15550000000"), connection: Value::Null, pin: "111222".into(), at_ms: 1 };
    adapter.register(&registration).await.unwrap();
    assert_eq!(io.requests.load(Ordering::Relaxed), 4);
    let refused = adapter.request_code(&request("15550000001")).await;
    assert!(matches!(refused, Err(NumberError::Rejected { .. })), "{refused:?}");
    assert_eq!(adapter.deliver_code("7", &code_to("15550000000")).await, Err(NumberError::Unsupported));

    let panicked = adapter.verify_code(&check("15550000004", "739184")).await.unwrap_err();
    assert!(matches!(panicked, NumberError::Unavailable { needs_operator: true, .. }), "{panicked}");
    assert!(panicked.to_string().contains("about") && !panicked.to_string().contains("739184"), "{panicked}");
}

#[tokio::test]
async fn an_adapter_that_does_not_know_an_operation_did_nothing() {
    let (host, _io) = host();
    let adapter = host.load(&rust_library("waystation_plugin_panicking"), None).unwrap();
    assert_eq!(adapter.deliver_code("7", &code_to("15550000001")).await, Err(NumberError::Unsupported));
    // One that was built before there was such an operation says so with its status.
    let description = r#"{"v":1,"adapter":{"name":"x","version":"1","channel":"sms","connection_schema":{}}}"#;
    let (_folder, path) = c_library("silent", &[&format!("DESCRIPTION={description:?}")]);
    let adapter = host.load(&path, None).unwrap();
    assert_eq!(adapter.deliver_code("7", &code_to("15550000001")).await, Err(NumberError::Unsupported));
    assert_unsent(adapter.send(&message("1")).await, "does not know the operation");
}

fn hang_settings() -> HostSettings {
    HostSettings { deadline: Duration::from_millis(500), ..HostSettings::default() }
}

#[tokio::test]
async fn a_hang_stalls_nobody_else() {
    let (host, _io) = host_with(Script::default(), hang_settings());
    let (_folder, path) = c_library("hang", &[]);
    let adapter = host.load(&path, None).unwrap();
    let sandbox = host.load_bundled("waystation-sandbox", waystation_sandbox::BUILD_INFO).unwrap();

    let started = Instant::now();
    let (for_ever, after_http) = (message("1"), message("3"));
    let (first, second) = tokio::join!(adapter.send(&for_ever), adapter.send(&after_http));
    assert!(started.elapsed() < PATIENCE);
    assert_unsent(first, "did not return within 500 ms");
    assert_ambiguous(second, "`resume` did not return");

    match adapter.health() {
        Health::Sick { why, .. } => assert!(why.contains("did not return"), "{why}"),
        Health::Ready => panic!("a hung adapter is ready"),
    }
    // Both threads are gone, and others have taken their place.
    for _ in 0..20 {
        assert!(adapter.send(&message("0")).await.is_ok());
    }
    assert!(sandbox.send(&message("0001")).await.is_ok());
    assert_eq!(sandbox.health(), Health::Ready);
}

#[tokio::test]
async fn an_adapter_that_always_hangs_is_down_and_says_so_at_once() {
    let (host, _io) = host_with(Script::default(), hang_settings());
    let (_folder, path) = c_library("hang", &[]);
    let adapter = host.load(&path, None).unwrap();

    let threads = hang_settings().threads_per_adapter + pool::HUNG_THREADS_MAX;
    let hanging: Vec<_> = (0..threads)
        .map(|_| {
            let adapter = Arc::clone(&adapter);
            tokio::spawn(async move { adapter.send(&message("1")).await })
        })
        .collect();
    for outcome in futures_util::future::join_all(hanging).await {
        assert_unsent(outcome.unwrap(), "did not return");
    }
    let started = Instant::now();
    let refused = adapter.send(&message("0")).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_millis(100));
    assert!(matches!(refused, SendError::ChannelDown { needs_operator: false, .. }), "{refused}");
    assert!(details(&refused).contains("did not return within 500 ms"), "{refused}");
}

#[tokio::test]
async fn an_adapter_recovers_when_its_calls_return() {
    let (host, _io) = host_with(Script::default(), hang_settings());
    let (_folder, path) = c_library("hang", &[]);
    let adapter = host.load(&path, None).unwrap();
    assert_unsent(adapter.send(&message("2")).await, "did not return");
    assert!(matches!(adapter.health(), Health::Sick { .. }));
    let started = Instant::now();
    while adapter.health() != Health::Ready {
        assert!(started.elapsed() < PATIENCE, "still {:?}", adapter.health());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(adapter.send(&message("0")).await.is_ok());
}
