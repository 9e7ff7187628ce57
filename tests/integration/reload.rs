//! Adapters are exchanged while messages flow: each is sent once, what comes later goes by the new build, and a build that
//! is not the pinned one, or none, changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use waystation_testkit::smsc::Smsc;

use crate::{
    sms::{add_sender, gateway},
    support::{Client, Profile, Server, Site, accepted, eventually, library, on_both_profiles, text, words},
};

/// Messages sent while the adapter is exchanged, and how many a second.
const MESSAGES: u64 = 900;
const PER_SECOND: f64 = 120.0;
/// As many have reached the gateway before the exchange.
const BEFORE: usize = 150;

/// Compiles an adapter of the tests that is written in C.
fn compile(source: &str, defines: &[&str], library: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compiled = Command::new("cc")
        .args(["-std=c11", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"])
        .arg(library)
        .arg("-I")
        .arg(root.join("adapters/sdk/include"))
        .args(defines.iter().map(|define| format!("-D{define}")))
        .arg(root.join(format!("tests/plugins/c/{source}.c")))
        .output()
        .expect("the adapters in C need a C compiler named cc");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
}

fn sum_of(library: &Path) -> String {
    hex::encode(Sha256::digest(fs::read(library).expect("a file")))
}

/// A configuration file whose one library is this, with this pin.
fn configure(file: &Path, library: &Path, pin: &str) {
    let text = format!("[adapters]\nlibraries = [{{ path = '{}', sha256 = '{pin}' }}]\n", library.display());
    fs::write(file, text).expect("a file");
}

struct Stage {
    site: Site,
    config: PathBuf,
    library: PathBuf,
    /// What each adapter was compiled to.
    builds: BTreeMap<&'static str, Vec<u8>>,
}

impl Stage {
    /// An installation that loads version 1 of the gateway's adapter.
    async fn set(profile: Profile) -> Self {
        let mut site = Site::new(profile).await;
        let (config, library) = (site.folder().join("waystation.toml"), site.folder().join("libgateway.so"));
        let mut builds = BTreeMap::new();
        for (version, define) in [("1", "VERSION=\"1\""), ("2", "VERSION=\"2\"")] {
            let build = site.folder().join(format!("build-{version}.so"));
            compile("gateway", &[define], &build);
            builds.insert(version, fs::read(build).expect("a file"));
        }
        fs::write(&library, &builds["1"]).expect("a file");
        configure(&config, &library, &sum_of(&library));
        site.read_file(&config);
        Self { site, config, library, builds }
    }

    /// Overwrites the library where it lies, while its code runs, and pins what lies there now.
    fn install(&self, version: &str) {
        fs::write(&self.library, &self.builds[version]).expect("a file");
        configure(&self.config, &self.library, &sum_of(&self.library));
    }

    fn reload(&self) -> String {
        let output = self.site.run(&["adapters", "reload"]);
        assert!(output.status.success(), "{}", words(&output));
        words(&output)
    }

    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.site.run(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", words(&output));
        words(&output)
    }
}

/// What the gateway was given: to whom, and by which version.
fn given(bodies: &[String]) -> Vec<(String, String)> {
    let parsed = bodies.iter().map(|body| serde_json::from_str::<Value>(body).expect("JSON"));
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    parsed.map(|body| (word(&body["to"]), word(&body["via"]))).collect()
}

async fn nothing_is_lost_or_sent_twice_while_an_adapter_is_exchanged(profile: Profile) {
    let stage = Stage::set(profile).await;
    let info = stage.site.add_business(None);
    let servers: Vec<Server> = match profile {
        Profile::Embedded => vec![stage.site.serve("api,worker,admin")],
        Profile::Cluster => ["api,admin", "worker", "worker"].map(|roles| stage.site.serve(roles)).into(),
    };
    let (url, got) = gateway();
    let client = add_sender(&stage.site, &info, &servers[0], "gateway", &json!({"upstream": url})).await;
    let count = || got.lock().expect("no test has failed").len();

    let load = client.load(MESSAGES, 8, PER_SECOND, "0001");
    eventually("some went by the first version", async || (count() >= BEFORE).then_some(())).await;
    stage.install("2");
    let told = stage.reload();
    assert_eq!(told.matches("gateway 2, which replaces 1").count(), servers.len(), "{told}");
    let outcome = load.ended().await;
    assert!(outcome.refused.is_empty(), "{:?}", outcome.refused);
    let ids = accepted(&outcome);
    assert_eq!(ids.len(), usize::try_from(MESSAGES).expect("a count"));
    client.all_reach(&ids, "sent").await;
    let last = client.send(&text("16505559999", "the last")).await.accepted();
    client.reaches(&last, "sent").await;

    let given = given(&got.lock().expect("no test has failed"));
    let recipients: BTreeSet<&str> = given.iter().map(|(to, _)| to.as_str()).collect();
    assert_eq!((given.len(), recipients.len()), (ids.len() + 1, ids.len() + 1), "each was sent once");
    assert_eq!(given.last().map(|(_, via)| via.as_str()), Some("2"));
    let by_first = given.iter().filter(|(_, via)| via == "1").count();
    assert!((BEFORE..ids.len()).contains(&by_first), "{by_first} of {} went by the first version", ids.len());
    for server in &servers {
        if server.process.log().expect("a log").contains("\"roles\":\"api,admin\"") {
            continue;
        }
        eventually("the old one is drained", async || {
            server.process.log().expect("a log").contains("adapter drained").then_some(())
        })
        .await;
    }

    // Asked once more, nothing changes; and the first build is found where it was left.
    assert!(stage.reload().contains("gateway 2, kept"));
    stage.install("1");
    assert!(stage.reload().contains("gateway 1, which replaces 2"));
    let id = client.send(&text("16505559998", "back")).await.accepted();
    client.reaches(&id, "sent").await;
    assert!(got.lock().expect("no test has failed").last().expect("one").contains("\"via\":\"1\""));
}

on_both_profiles!(nothing_is_lost_or_sent_twice_while_an_adapter_is_exchanged);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_loaded_changes_nothing_and_says_why() {
    let stage = Stage::set(Profile::Embedded).await;
    let info = stage.site.add_business(None);
    let server = stage.site.serve("api,worker,admin");
    let (url, got) = gateway();
    let client = add_sender(&stage.site, &info, &server, "gateway", &json!({"upstream": url})).await;
    let reload = ["adapters", "reload"];

    // The file is another than the pinned one.
    fs::write(&stage.library, &stage.builds["2"]).expect("a file");
    let told = stage.refused(&reload);
    assert!(told.contains("nothing was asked") && told.contains("its SHA-256 is") && told.contains("pin"), "{told}");
    // It is pinned, and no adapter of this host's.
    for (source, said) in
        [("wrong_abi", "major version 99"), ("no_symbol", "does not export"), ("silent", "describe itself")]
    {
        compile(source, &[], &stage.library);
        configure(&stage.config, &stage.library, &sum_of(&stage.library));
        let told = stage.refused(&reload);
        assert!(told.contains("nothing was asked") && told.contains(said) && told.contains("libgateway"), "{told}");
    }
    // Whoever asks reads another configuration than the process, whose own is not in order.
    let (other, good) = (stage.site.folder().join("other.toml"), stage.site.folder().join("good.so"));
    fs::write(&good, &stage.builds["2"]).expect("a file");
    configure(&other, &good, &sum_of(&good));
    configure(&stage.config, &good, &"0f".repeat(32));
    let told = stage.refused(&["--config", other.to_str().expect("a path"), "adapters", "reload"]);
    assert!(told.contains("kept what it had") && told.contains(&"0f".repeat(32)), "{told}");
    assert!(told.contains("1 of 1 processes kept"), "{told}");

    let id = client.send(&text("16505550001", "still by the first")).await.accepted();
    client.reaches(&id, "sent").await;
    assert!(got.lock().expect("no test has failed")[0].contains("\"via\":\"1\""));
    let noted = stage.site.number("SELECT count(*) FROM audit_log WHERE action = 'adapters.reload_refused'").await;
    assert_eq!(noted, 1);
}

#[tokio::test]
async fn a_reload_that_nobody_hears_of_says_so() {
    let stage = Stage::set(Profile::Embedded).await;
    let told = stage.refused(&["adapters", "reload", "--wait-seconds", "1"]);
    assert!(told.contains("no process answered within 1 s"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_made_again_by_the_new_build() {
    let mut site = Site::new(Profile::Embedded).await;
    let (config, file) = (site.folder().join("waystation.toml"), site.folder().join("libsms.so"));
    fs::copy(library("waystation_sms"), &file).expect("a copy");
    configure(&config, &file, &sum_of(&file));
    site.read_file(&config);
    let info = site.add_business(None);
    let (smsc, server) = (Smsc::start().expect("an SMSC"), site.serve("api,worker,admin"));
    let client: Client = add_sender(&site, &info, &server, "sms", &smsc.connection()).await;
    let times = |member: &str| smsc.said().iter().filter(|line| line[member] == true).count();
    eventually("it is bound", async || (times("bound") == 1).then_some(())).await;

    // A file is another one as soon as anything stands behind its end; the loader does not mind.
    let mut bytes = fs::read(&file).expect("a file");
    bytes.extend_from_slice(b"the next build");
    fs::write(&file, bytes).expect("a file");
    configure(&config, &file, &sum_of(&file));
    let output = site.run(&["adapters", "reload"]);
    assert!(output.status.success() && words(&output).contains("which replaces"), "{}", words(&output));
    eventually("it is bound again", async || (times("bound") == 2).then_some(())).await;
    assert_eq!(times("unbound"), 1, "the old one left as it should");
    let id = client.send(&text("16505550001", "over the new one")).await.accepted();
    client.reaches(&id, "delivered").await;
    assert_eq!(smsc.taken().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_adapter_in_c_passes_the_suite_and_sends() {
    let stage = Stage::set(Profile::Embedded).await;
    let output = stage.site.run(&["adapters", "check", stage.library.to_str().expect("a path")]);
    assert!(output.status.success() && !words(&output).contains("FAIL"), "{}", words(&output));
    let info = stage.site.add_business(None);
    let server = stage.site.serve("api,worker,admin");
    let (url, got) = gateway();
    let client = add_sender(&stage.site, &info, &server, "gateway", &json!({"upstream": url})).await;
    let words = "Grüße \"an\" \\ alle\n\u{1f469}";
    let id = client.send(&text("16505550001", words)).await.accepted();
    client.reaches(&id, "sent").await;
    let body: Value = serde_json::from_str(&got.lock().expect("no test has failed")[0]).expect("JSON");
    assert_eq!((&body["to"], &body["text"]), (&json!("16505550001"), &json!(words)));
}
