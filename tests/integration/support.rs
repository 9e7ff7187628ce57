//! A place for an installation, processes on it, a client, and a look into its database.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Once,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use diesel::{
    Connection as _, QueryableByName, RunQueryDsl as _, connection::SimpleConnection as _, sql_types::BigInt,
};
use futures_util::{StreamExt as _, stream};
use reqwest::{
    Method,
    header::HeaderMap,
    multipart::{Form, Part},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use waystation_testkit::{
    load::{self, Outcome, Pace, Plan, Target},
    process::{DemoInfo, Waystation},
    secrets,
    servers::{Postgres, Redis},
    sink::WebhookSink,
    totp::Authenticator,
};

/// How long anything may take that has to happen. Far more than it needs, because the machine
/// that runs the tests may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// How often it is looked whether something has happened.
const POLL: Duration = Duration::from_millis(20);

/// Requests that are under way at once when many messages are read.
const READERS: usize = 8;

/// The last digits of the phones that report a delivery and nothing after it.
pub(crate) const DELIVERED_ONLY: &str = "0002";
/// The last digits of the phones whose receipts come before the send is answered.
pub(crate) const STATUS_FIRST: &str = "0005";

/// The program under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_waystation"))
}

/// How an installation is made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// SQLite and the queue inside the process.
    Embedded,
    /// PostgreSQL and Redis.
    Cluster,
}

/// Makes a test for each profile of every function that takes one.
macro_rules! on_both_profiles {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    Box::pin(super::$name($crate::support::Profile::Embedded)).await;
                }
            )+
        }
        mod cluster {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    Box::pin(super::$name($crate::support::Profile::Cluster)).await;
                }
            )+
        }
    };
}
pub(crate) use on_both_profiles;

/// Where an installation keeps what it knows, and how it is configured. Processes come and go on
/// it; it is removed at the end of the test.
pub(crate) struct Site {
    folder: TempDir,
    servers: Option<Servers>,
    settings: BTreeMap<String, String>,
}

struct Servers {
    database: String,
    queue: String,
}

impl Site {
    /// A new one, on the servers that all tests share.
    pub(crate) async fn new(profile: Profile) -> Self {
        match profile {
            Profile::Embedded => Self::with(None),
            Profile::Cluster => {
                let postgres = Postgres::shared().await.expect("a PostgreSQL");
                let redis = Redis::shared().await.expect("a Redis");
                Self::on(postgres, redis).await
            }
        }
    }

    /// A new one on these servers.
    pub(crate) async fn on(postgres: &Postgres, redis: &Redis) -> Self {
        let database = postgres.create_database().await.expect("a database");
        Self::with(Some(Servers { database, queue: redis.url() }))
    }

    fn with(servers: Option<Servers>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut site = Self {
            folder: TempDir::with_prefix("waystation-site-").expect("a folder"),
            servers,
            settings: BTreeMap::new(),
        };
        site.set("server.listen", "127.0.0.1:0");
        site.set("egress.allow_private_networks", true);
        site.set("queue.prefix", format!("test{number}"));
        // The address that a process listens on is read from its log.
        site.set("log.format", "json");
        site
    }

    /// Sets a key of the configuration, as `section.key`, for the processes started from now on.
    pub(crate) fn set(&mut self, key: &str, value: impl ToString) {
        self.settings.insert(variable(key), value.to_string());
    }

    /// Has the processes started from now on read this file besides.
    pub(crate) fn read_file(&mut self, file: &Path) {
        self.settings.insert("WAYSTATION_CONFIG".to_owned(), file.display().to_string());
    }

    /// Shorter waits after a crash, as far as the configuration allows: leases of five seconds
    /// instead of a minute.
    pub(crate) fn recover_quickly(&mut self) {
        self.set("worker.lease_seconds", 5);
        self.set("worker.reconcile_seconds", 1);
        self.set("adapters.operation_deadline_ms", 3_000);
        self.set("egress.connect_timeout_ms", 2_000);
        self.set("webhooks.timeout_ms", 3_000);
        self.set("webhooks.retry_seconds", "1,1,2,2,4");
        self.set("delivery.ambiguous_settle_ms", 1_000);
    }

    /// The folder for everything that an installation keeps on disk.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the processes are given in their environment.
    pub(crate) fn environment(&self) -> Vec<(String, OsString)> {
        let mut environment: Vec<(String, OsString)> =
            self.settings.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        environment.push((variable("data_dir"), self.folder().into()));
        if let Some(servers) = &self.servers {
            environment.push((variable("database.url"), (&servers.database).into()));
            environment.push((variable("queue.url"), (&servers.queue).into()));
        }
        environment
    }

    /// The arguments of a demo on this site.
    pub(crate) fn demo_arguments(&self, webhook: Option<&WebhookSink>) -> Vec<String> {
        let mut arguments = ["demo", "--port", "0", "--data"].map(str::to_owned).to_vec();
        arguments.push(self.folder().display().to_string());
        if let Some(servers) = &self.servers {
            arguments.extend(["--database", &servers.database, "--queue", &servers.queue].map(str::to_owned));
        }
        if let Some(sink) = webhook {
            arguments.extend(["--webhook".to_owned(), sink.url()]);
        }
        arguments
    }

    /// Starts a demo: a new business on this site, and a process that does everything.
    pub(crate) fn demo(&self, webhook: Option<&WebhookSink>) -> Waystation {
        let mut arguments = self.demo_arguments(webhook);
        arguments.push("--json".to_owned());
        let demo = Waystation::spawn(binary(), arguments, self.environment()).expect("a demo");
        if let Some(sink) = webhook {
            sink.set_app_secret(&demo.info().app_secret);
        }
        demo
    }

    /// Adds a business to this site by a demo that is gone when this returns: killed, because
    /// whatever it has told is kept.
    pub(crate) fn add_business(&self, webhook: Option<&WebhookSink>) -> DemoInfo {
        let mut demo = self.demo(webhook);
        demo.kill9().expect("a kill");
        demo.info().clone()
    }

    /// Starts a process that does what `roles` say, and waits until it listens.
    pub(crate) fn serve(&self, roles: &str) -> Server {
        let mut process = Waystation::run(binary(), ["serve", "--role", roles], self.environment()).expect("a process");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = process.log().expect("a log");
            if let Some(address) = address_in(&log) {
                return Server { process, base_url: format!("http://{address}") };
            }
            if let Ok(status) = process.wait(POLL) {
                panic!("serve --role {roles} ended ({status}):\n{log}");
            }
            assert!(Instant::now() < deadline, "serve --role {roles} does not listen:\n{log}");
        }
    }

    /// Runs a subcommand to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(binary());
        command.args(arguments).envs(self.environment()).current_dir(self.folder());
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
        let pid = child.id().to_string();
        let (ended, end) = mpsc::channel();
        let reader = thread::spawn(move || {
            let output = child.wait_with_output().expect("its output");
            // Nobody waits for it any more when it has been given up.
            let _ = ended.send(());
            output
        });
        let given_up = end.recv_timeout(PATIENCE).is_err();
        if given_up {
            // It has not been waited for, so the number is still its own.
            drop(Command::new("kill").args(["-KILL", &pid]).status());
        }
        let output = reader.join().expect("a reader");
        assert!(!given_up, "{arguments:?} does not end:\n{}", words(&output));
        String::from_utf8_lossy(&output.stdout).lines().for_each(secrets::keep_printed);
        secrets::assert_none_in(&format!("the log of {arguments:?}"), &String::from_utf8_lossy(&output.stderr));
        output
    }

    /// The one number that `query` finds in the database.
    pub(crate) async fn number(&self, query: &str) -> i64 {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = BigInt)]
            number: i64,
        }
        let query = format!("SELECT ({query}) AS number");
        match &self.servers {
            None => {
                let rows: Vec<Row> = diesel::sql_query(query).load(&mut self.sqlite()).expect("an answer");
                rows[0].number
            }
            Some(servers) => {
                let row = postgres(&servers.database).await.query_one(&query, &[]).await;
                row.expect("an answer").get(0)
            }
        }
    }

    /// How many messages there are in the database.
    pub(crate) async fn messages(&self) -> i64 {
        self.number("SELECT count(*) FROM messages").await
    }

    /// Waits until nothing is left to do: no message waits, no receipt, no webhook.
    pub(crate) async fn settled(&self) {
        eventually("nothing is left to do", async || {
            let mut left = 0;
            for waiting in
                ["messages WHERE state < 3", "callbacks WHERE due_at IS NOT NULL", "deliveries WHERE state = 0"]
            {
                left += self.number(&format!("SELECT count(*) FROM {waiting}")).await;
            }
            (left == 0).then_some(())
        })
        .await;
    }

    /// Gives every sender these settings of the pretend network. Processes see it within moments;
    /// those that have not used the sender yet, at once.
    pub(crate) async fn set_connections(&self, settings: &Value) {
        self.execute(&format!("UPDATE senders SET connection = '{settings}'")).await;
    }

    /// Changes the database behind the back of every process.
    pub(crate) async fn execute(&self, statement: &str) {
        match &self.servers {
            None => self.sqlite().batch_execute(statement).expect("a change"),
            Some(servers) => postgres(&servers.database).await.batch_execute(statement).await.expect("a change"),
        }
    }

    /// Has the processes started from now on load an adapter of the tests, beside the sandbox.
    pub(crate) fn load_adapter(&mut self, crate_name: &str) {
        let library = library(crate_name);
        let sum = hex::encode(Sha256::digest(fs::read(&library).expect("a file")));
        self.set("adapters.libraries", format!("[{{ path = '{}', sha256 = '{sum}' }}]", library.display()));
    }

    /// Receipts that come so late that the engine has noted the answer to the send before, however
    /// busy the machine is: then every status is told.
    pub(crate) async fn delay_receipts(&self) {
        self.set_connections(&json!({"delivered_after_ms": 2_000, "read_after_ms": 3_000, "jitter_percent": 0})).await;
    }

    /// Everything that the database holds, as text; what is bytes, in hexadecimal digits as well.
    pub(crate) async fn dump(&self) -> String {
        match &self.servers {
            // The file itself, with what is not merged into it yet.
            None => {
                let parts = ["waystation.db", "waystation.db-wal"].map(|name| fs::read(self.folder().join(name)));
                parts.into_iter().flatten().map(|part| String::from_utf8_lossy(&part).into_owned()).collect()
            }
            Some(servers) => {
                let client = postgres(&servers.database).await;
                let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
                let mut dump = String::new();
                for table in client.query(tables, &[]).await.expect("tables") {
                    let table: String = table.get(0);
                    let rows = client.query(&format!("SELECT t::text FROM \"{table}\" t"), &[]).await.expect("rows");
                    rows.iter().for_each(|row| dump.extend([row.get(0), "\n"]));
                }
                dump
            }
        }
    }

    fn sqlite(&self) -> diesel::SqliteConnection {
        let file = self.folder().join("waystation.db");
        let mut connection = diesel::SqliteConnection::establish(&file.to_string_lossy()).expect("the database");
        connection.batch_execute("PRAGMA busy_timeout = 10000").expect("a setting");
        connection
    }
}

/// The environment variable that sets `key`.
fn variable(key: &str) -> String {
    format!("WAYSTATION__{}", key.replace('.', "__").to_uppercase())
}

async fn postgres(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// Where the process with this log listens, once it does.
fn address_in(log: &str) -> Option<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let serving = lines.into_iter().find(|line| line["message"] == "serving")?;
    serving["address"].as_str().map(str::to_owned)
}

/// A process of `serve`.
pub(crate) struct Server {
    pub(crate) process: Waystation,
    pub(crate) base_url: String,
}

/// Stops a process as its operator would.
pub(crate) fn stop(process: &mut Waystation) {
    process.terminate().expect("a signal");
    let status = process.wait(PATIENCE).expect("an end");
    assert!(status.success(), "it stopped with {status}");
}

/// A client of one business.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) base_url: String,
    pub(crate) token: String,
    pub(crate) phone_number_id: String,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The body, which is JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The name of the error on the platform's own routes.
    pub(crate) fn problem(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["type"].as_str().and_then(|text| text.strip_prefix("/docs/errors#")).unwrap_or_default().to_owned()
    }

    /// The id of the message that was accepted, on either kind of route.
    pub(crate) fn accepted(&self) -> String {
        let body = self.json();
        let id = match self.status {
            200 => &body["messages"][0]["id"],
            202 => &body["id"],
            status => panic!("not accepted, but {status}: {}", self.body),
        };
        id.as_str().unwrap_or_else(|| panic!("no id: {}", self.body)).to_owned()
    }
}

/// A file of each kind that a message can carry by its id: the kind, a name, and how it begins.
const FILES: [(&str, &str, &[u8]); 5] = [
    ("image", "image.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
    ("video", "video.mp4", b"\0\0\0\x20ftypisom"),
    ("audio", "audio.mp3", b"ID3\x04"),
    ("document", "document.pdf", b"%PDF-1.7\n"),
    ("sticker", "sticker.webp", b"RIFF\0\0\0\0WEBPVP8 "),
];

/// The ids of files that a business has uploaded, one of each kind.
#[derive(Debug)]
pub(crate) struct Files(HashMap<&'static str, String>);

impl Files {
    /// Has a message that names files by ids that are nobody's name these.
    pub(crate) fn put_into(&self, message: &mut Value) {
        match message {
            Value::Array(parts) => parts.iter_mut().for_each(|part| self.put_into(part)),
            Value::Object(members) => {
                for (name, member) in members {
                    match (self.0.get(name.as_str()), member.get_mut("id")) {
                        (Some(file), Some(id)) => *id = file.as_str().into(),
                        _ => self.put_into(member),
                    }
                }
            }
            _ => {}
        }
    }
}

impl Client {
    /// Uploads a file of each kind.
    pub(crate) async fn files(&self) -> Files {
        let mut files = HashMap::new();
        for (kind, name, head) in FILES {
            let mut bytes = head.to_vec();
            bytes.resize(1_024, 0);
            let form =
                Form::new().part("file", Part::bytes(bytes).file_name(name)).text("messaging_product", "whatsapp");
            let path = format!("/v24.0/{}/media", self.phone_number_id);
            let answer = exchange(self.request(Method::POST, &path).multipart(form)).await.expect("an answer");
            let id = answer.json()["id"].as_str().unwrap_or_else(|| panic!("{kind}: {}", answer.body)).to_owned();
            files.insert(kind, id);
        }
        Files(files)
    }
}

/// An HTTP client that follows no redirect and keeps no cookie.
pub(crate) fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .expect("an HTTP client")
}

/// Makes a request and reads its answer; an error when there is none. No log may have what either
/// has of secrets and of people.
pub(crate) async fn exchange(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let answer = Answer { status, headers, body: response.text().await? };
    // What an OpenAPI document has of secrets are their names and examples.
    if let Ok(document) = serde_json::from_str::<Value>(&answer.body)
        && document.get("openapi").is_none()
    {
        secrets::keep_json(&document);
    }
    for cookie in answer.headers.get_all("set-cookie") {
        let pair = cookie.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=')
            && name.contains("session")
        {
            secrets::keep("session", value);
        }
    }
    Ok(answer)
}

impl Client {
    /// The client of the business that a demo made, on the process at `base_url`.
    pub(crate) fn new(info: &DemoInfo, base_url: &str) -> Self {
        Self {
            http: http(),
            base_url: base_url.to_owned(),
            token: info.token.clone(),
            phone_number_id: info.phone_number_id.clone(),
        }
    }

    /// The client of a business with this key and this sender.
    pub(crate) fn with_key(base_url: &str, key: &str, sender: &str) -> Self {
        Self { http: http(), base_url: base_url.to_owned(), token: key.to_owned(), phone_number_id: sender.to_owned() }
    }

    /// A client with another credential for the same business.
    pub(crate) fn with(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// The same on another process.
    pub(crate) fn at(&self, base_url: &str) -> Self {
        Self { base_url: base_url.to_owned(), ..self.clone() }
    }

    /// A request with the key and without a body.
    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}{path}", self.base_url);
        self.http.request(method, url).header("authorization", format!("Bearer {}", self.token))
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        exchange(self.request(Method::GET, path)).await.expect("an answer")
    }

    /// A POST of JSON that is still to be sent.
    pub(crate) fn posting(&self, path: &str, body: &Value) -> reqwest::RequestBuilder {
        secrets::keep_json(body);
        self.request(Method::POST, path).header("content-type", "application/json").body(body.to_string())
    }

    /// POST of JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        exchange(self.posting(path, body)).await.expect("an answer")
    }

    /// A POST of JSON that has to succeed with `status`, and what it answers.
    pub(crate) async fn made(&self, status: u16, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body).await;
        assert_eq!(answer.status, status, "POST {path}: {}", answer.body);
        answer.json()
    }

    /// Where the Cloud API takes this business's messages.
    pub(crate) fn cloud_path(&self) -> String {
        format!("/v24.0/{}/messages", self.phone_number_id)
    }

    /// Sends a message by the Cloud API's route.
    pub(crate) async fn send(&self, message: &Value) -> Answer {
        self.post(&self.cloud_path(), message).await
    }

    /// The message, as `/v1` has it.
    pub(crate) async fn message(&self, id: &str) -> Value {
        let answer = self.get(&format!("/v1/messages/{id}")).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.body);
        answer.json()
    }

    /// Its history.
    pub(crate) async fn events(&self, id: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v1/messages/{id}/events")).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.body);
        match answer.json()["data"].take() {
            Value::Array(events) => events,
            other => panic!("{other}"),
        }
    }

    /// Waits until the message has this status.
    pub(crate) async fn reaches(&self, id: &str, status: &str) -> Value {
        eventually(&format!("{id} is {status}"), async || {
            Some(self.message(id).await).filter(|message| message["status"] == status)
        })
        .await
    }

    /// Waits until each of the messages has this status, and returns them in order.
    pub(crate) async fn all_reach(&self, ids: &[String], status: &str) -> Vec<Value> {
        stream::iter(ids).map(|id| self.reaches(id, status)).buffered(READERS).collect().await
    }

    /// The histories of many messages, in order.
    pub(crate) async fn all_events(&self, ids: &[String]) -> Vec<Vec<Value>> {
        stream::iter(ids).map(|id| self.events(id)).buffered(READERS).collect().await
    }

    /// Sends `messages` texts over `connections` at the pace given, in the background.
    pub(crate) fn load(&self, messages: u64, connections: usize, per_second: f64, suffix: &str) -> Load {
        let target = Target {
            base_url: self.base_url.clone(),
            phone_number_id: self.phone_number_id.clone(),
            token: self.token.clone(),
        };
        let plan = Plan {
            connections,
            pace: Pace::Open { per_second },
            messages,
            time_limit: PATIENCE,
            recipient_suffix: suffix.to_owned(),
        };
        Load(tokio::task::spawn_blocking(move || load::run(&target, &plan)))
    }
}

/// Messages being sent.
pub(crate) struct Load(tokio::task::JoinHandle<anyhow::Result<Outcome>>);

impl Load {
    /// Waits for its end.
    pub(crate) async fn ended(self) -> Outcome {
        self.0.await.expect("a load generator").expect("a connection")
    }
}

/// The ids of the messages that were accepted.
pub(crate) fn accepted(outcome: &Outcome) -> Vec<String> {
    outcome.accepted.iter().map(|message| message.id.clone()).collect()
}

/// Waits until `probe` finds something.
pub(crate) async fn eventually<T>(what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// A text to `recipient`, as the Cloud API takes it.
pub(crate) fn text(recipient: &str, body: &str) -> Value {
    json!({"messaging_product": "whatsapp", "to": recipient, "type": "text", "text": {"body": body}})
}

/// A message of the demo's template with these parameters.
pub(crate) fn template(recipient: &str, name: &str, parameters: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters.iter().map(|text| json!({"type": "text", "text": text})).collect();
    json!({
        "messaging_product": "whatsapp",
        "to": recipient,
        "type": "template",
        "template": {
            "name": name,
            "language": {"code": "en_US"},
            "components": [{"type": "body", "parameters": parameters}],
        },
    })
}

/// The names of the events of a history.
pub(crate) fn names(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["event"].as_str()).collect()
}

/// The statuses that a business is told of, each higher on the ladder than the one before.
const TOLD: [&str; 4] = ["sent", "failed", "delivered", "read"];

/// The statuses that a business has to be told of a message with this history: each that was
/// higher than all before it.
pub(crate) fn told_by(events: &[Value]) -> Vec<&str> {
    let mut highest = None;
    let mut told = Vec::new();
    for name in names(events) {
        let rung = TOLD.iter().position(|status| *status == name);
        if rung > highest {
            highest = rung;
            told.push(name);
        }
    }
    told
}

/// Waits until the endpoint was told of every status that follows from the histories of `ids`.
pub(crate) async fn all_told(sink: &WebhookSink, ids: &[String], histories: &[Vec<Value>]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told: BTreeMap<&str, _> = TOLD.iter().map(|status| (*status, sink.told(status))).collect();
        let missing = ids.iter().zip(histories).find_map(|(id, events)| {
            let untold = told_by(events).into_iter().find(|status| !told[status].contains_key(id));
            untold.map(|status| format!("{id} is {status}, after {:?}", names(events)))
        });
        let Some(missing) = missing else { return };
        assert!(Instant::now() < deadline, "not told within {PATIENCE:?}: {missing}; {:?}", sink.tally());
        tokio::time::sleep(POLL).await;
    }
}

/// Checks that no message was tried more often than its history explains: once, and again after
/// each attempt of which it was not known how it ended, or which failed.
pub(crate) fn assert_no_silent_repeat(message: &Value, events: &[Value]) {
    let again = ["ambiguous", "retry", "throttled", "channel_down", "internal_error"];
    let reasons = names(events).iter().filter(|name| again.contains(name)).count() as u64;
    let attempts = message["attempts"].as_u64().expect("a number of attempts");
    assert!(attempts <= 1 + reasons, "{attempts} attempts, {reasons} reasons: {message} {events:?}");
}

/// The shared library of the sandbox adapter that was built with the program.
pub(crate) fn sandbox_library() -> PathBuf {
    library("waystation_sandbox")
}

/// The shared library of a crate that was built with the program.
pub(crate) fn library(crate_name: &str) -> PathBuf {
    let folder = binary().parent().expect("a folder");
    let file = format!("{}{crate_name}{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    let found = [folder.join("deps").join(&file), folder.join(&file)].into_iter().find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{file} is not below {}", folder.display()))
}

/// What the program wrote to both of its outputs.
pub(crate) fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A document of the repository that is generated from the program; none where it is not kept.
pub(crate) fn committed(name: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).ok()
}

/// Goes through a sign-in link as a person does, choosing a password and setting up a second
/// factor, and answers the cookie of the session.
pub(crate) async fn set_up_account(base_url: &str, link: &str, email: &str) -> String {
    const PASSWORD: &str = "seven tulips under glass";
    secrets::keep("password", PASSWORD);
    let cookie_of = |answer: &Answer| {
        let set = answer.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {answer:?}"));
        assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"), "{set}");
        set.split(';').next().unwrap_or_default().to_owned()
    };
    let post = async |path: &str, cookie: &str, fields: &[(&str, &str)]| {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = http().post(format!("{base_url}{path}")).header("cookie", cookie).body(body);
        exchange(request.header("content-type", "application/x-www-form-urlencoded")).await.expect("an answer")
    };
    let between = |page: &str, before: &str, after: &str| {
        let (_, rest) = page.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {page}"));
        rest.split_once(after).map(|(text, _)| text.to_owned()).expect("an end")
    };
    let (_, token) = link.split_once("token=").expect("a link with a token");
    let page = exchange(http().get(link)).await.expect("an answer");
    assert_eq!(page.status, 200, "{}", page.body);
    let fields = [("token", token), ("email", email), ("password", PASSWORD), ("password_again", PASSWORD)];
    let chosen = post("/admin/sign-in/link", "", &fields).await;
    assert_eq!((chosen.status, chosen.header("location")), (303, Some("/admin/sign-in/enrol")), "{}", chosen.body);
    let pending = cookie_of(&chosen);

    let page = http().get(format!("{base_url}/admin/sign-in/enrol")).header("cookie", &pending);
    let page = exchange(page).await.expect("an answer");
    let secret = between(&between(&page.body, "id=\"totp-secret\"", "/code>"), ">", "<");
    secrets::keep("TOTP secret", &secret.replace(' ', ""));
    let code = Authenticator::new(&secret).expect("a secret").code().await.expect("a code");
    let csrf = between(&page.body, "name=\"csrf\" value=\"", "\"");
    let done = post("/admin/sign-in/enrol", &pending, &[("csrf", &csrf), ("code", &code)]).await;
    assert!(done.status == 200 && done.body.contains("id=\"recovery-codes\""), "{}", done.body);
    for code in between(&done.body, "id=\"recovery-codes\"", "</ol>").split("<code>").skip(1) {
        secrets::keep("recovery code", code.split('<').next().unwrap_or_default());
    }
    cookie_of(&done)
}

/// Somebody who is signed in to the dashboard, with a browser that runs no scripts.
pub(crate) struct Dashboard {
    base_url: String,
    cookie: String,
}

impl Dashboard {
    /// Uses a sign-in link up and sets an account up, with a second factor.
    pub(crate) async fn sign_in(base_url: &str, link: &str, email: &str) -> Self {
        Self { base_url: base_url.to_owned(), cookie: set_up_account(base_url, link, email).await }
    }

    /// The page at `path`.
    pub(crate) async fn get(&self, path: &str) -> String {
        let request = http().get(format!("{}{path}", self.base_url)).header("cookie", &self.cookie);
        let answer = exchange(request).await.expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// Sends a form of the page at `page`, and follows where it leads to.
    pub(crate) async fn post(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> String {
        let body = self.get(page).await;
        assert!(body.contains(&format!("action=\"{action}\"")), "no form for {action} on {page}: {body}");
        let (_, rest) = body.split_once("name=\"csrf\" value=\"").expect("a form of this session");
        let csrf = rest.split('"').next().unwrap_or_default();
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", csrf).extend_pairs(fields);
        let request = http().post(format!("{}{action}", self.base_url)).header("cookie", &self.cookie);
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.finish());
        let answer = exchange(request).await.expect("an answer");
        assert_eq!(answer.status, 303, "{action}: {}", answer.body);
        let next = answer.header("location").expect("a page to go to").to_owned();
        self.get(&next).await
    }
}
