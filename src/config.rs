//! A configuration that loads is one the platform can run with: every value
//! was checked, and what is wrong is refused before anything starts, with the
//! file and line, or the environment variable, and what to write instead.
//!
//! Three layers, the later over the earlier: the defaults below, one TOML file,
//! and the environment, where `WAYSTATION__SECTION__KEY` sets `key` of
//! `[section]`. Nothing is ignored: a misspelt key that silently keeps its
//! default is an outage found later.
//!
//! The types below are the one source: their doc comments and bounds make the
//! reference, `waystation.default.toml`, and the bounds are enforced from the
//! same schema ([`schema`]).

mod address;
mod schema;
mod secret;

use std::{
    collections::BTreeSet,
    fmt::{self, Write as _},
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use tracing_subscriber::EnvFilter;
use waystation_core::vault::{KEY_BYTES, VaultKey};

use schema::{Fault, Kind, Schema, closest};
use secret::redact;

pub use address::{AddressError, DatabaseUrl, MediaUrl, PublicUrl, QueueUrl};
pub use secret::Secret;

/// What the name of every environment variable that sets a key starts with.
pub const ENVIRONMENT_PREFIX: &str = "WAYSTATION__";

/// The SQLite file inside the data directory, when no database is named.
const DATABASE_FILE: &str = "waystation.db";

/// The folder of files inside the data directory, when no store is named.
const MEDIA_FOLDER: &str = "media";

const THREADS_MAX: usize = 1_024;
const BODY_MIN_BYTES: usize = 1_024;
const BODY_MAX_BYTES: usize = 100 * 1_024 * 1_024;
const CONNECTIONS_MAX: usize = 1_000;
const PREFIX_MAX_CHARACTERS: usize = 32;
const IN_FLIGHT_MAX: usize = 100_000;
const LEASE_MIN_SECONDS: u64 = 5;
const HOUR_SECONDS: u64 = 3_600;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 86_400_000;
const MONTH_SECONDS: u64 = 2_592_000;
const MESSAGE_TTL_MIN_SECONDS: u64 = 30;
const ATTEMPTS_MAX: u32 = 100;
const RETRY_MIN_MS: u64 = 10;
const TIMEOUT_MIN_MS: u64 = 10;
const TIMEOUT_MAX_MS: u64 = 300_000;
const RETRIES_MAX_ENTRIES: usize = 50;
const ADAPTERS_MAX_ENTRIES: usize = 64;
const PROXIES_MAX_ENTRIES: usize = 64;
const VAULT_KEYS_MAX_ENTRIES: usize = 16;
const RATE_MAX: u32 = 1_000_000;
const DAILY_MAX: u64 = 1_000_000_000_000;
const FILTER_MAX_CHARACTERS: usize = 4_096;
const NAME_MAX_CHARACTERS: usize = 128;
const NETWORKS_MAX_ENTRIES: usize = 64;
const KEEP_MAX_DAYS: u32 = 36_500;
const KEEP_MAX_MEGABYTES: u64 = 1_000_000_000;

/// The configuration of one process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder for everything kept on disk: the SQLite database and media.
    /// Created when it does not exist. A relative path starts at the working
    /// directory.
    #[schemars(with = "String", length(min = 1, max = 4_096))]
    pub data_dir: PathBuf,
    /// The HTTP server: the API, the upstream's callbacks and the dashboard.
    pub server: Server,
    /// Where everything accepted is kept.
    pub database: Database,
    /// What decides when work is due. It may be lost at any time: the database
    /// is the truth, and the queue is rebuilt from it.
    pub queue: Queue,
    /// How much one worker process does at a time.
    pub worker: Worker,
    /// How messages are sent, and sent again.
    pub delivery: Delivery,
    /// How events reach the tenants' own servers.
    pub webhooks: Webhooks,
    /// The plugins that carry messages.
    pub adapters: Adapters,
    /// What connections to other servers are allowed.
    pub egress: Egress,
    /// What encrypts secrets and documents in the database.
    pub vault: Vault,
    /// Where the files that businesses send and receive are kept, and how long.
    pub media: Media,
    /// How often tenants may ask, unless their reseller or their own limits say less.
    pub limits: Limits,
    /// When a sender is paused for what its recipients and the network say of it.
    pub abuse: Abuse,
    /// How businesses are verified, and whose a phone number is.
    pub onboarding: Onboarding,
    /// What is logged, and how.
    pub log: Log,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address and port to listen on. Port 0 takes a free one. Behind a
    /// reverse proxy keep it local; TLS is the proxy's.
    #[serde(deserialize_with = "socket_address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// The address clients and upstreams reach this server at, as
    /// "https://api.example.com". It stands in links, callback addresses and
    /// media addresses. Empty: http:// and the address listened on.
    #[serde(with = "blank_is_none")]
    #[schemars(with = "String")]
    pub public_url: Option<PublicUrl>,
    /// Threads that serve requests. 0: one for each core.
    #[schemars(range(min = 0, max = THREADS_MAX))]
    pub threads: usize,
    /// The largest request body accepted, in bytes.
    #[schemars(range(min = BODY_MIN_BYTES, max = BODY_MAX_BYTES))]
    pub body_limit_bytes: usize,
    /// The reverse proxies whose X-Forwarded-For is believed, as addresses or
    /// networks: ["10.0.0.0/8"]. Without them the address of a connection is
    /// that of the client, which is what allow-lists and back-off look at.
    #[schemars(with = "Vec<String>", length(min = 0, max = PROXIES_MAX_ENTRIES))]
    pub trusted_proxies: Vec<Network>,
}

/// `[database]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// The database: "sqlite:PATH" for one process, or
    /// "postgres://USER:PASSWORD@HOST:PORT/DATABASE" for many ("postgresql:" is
    /// the same). Empty: the SQLite file waystation.db in data_dir.
    #[serde(with = "blank_is_none")]
    #[schemars(with = "String")]
    pub url: Option<DatabaseUrl>,
    /// The most connections this process holds to the database.
    #[schemars(range(min = 1, max = CONNECTIONS_MAX))]
    pub connections: usize,
}

/// `[queue]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// The queue: "memory:" for one process, or
    /// "redis://USER:PASSWORD@HOST:PORT/NUMBER" for many ("rediss:" for TLS).
    #[schemars(with = "String")]
    pub url: QueueUrl,
    /// What the name of every key in Redis starts with, so that installations
    /// can share a server. Letters, digits, "-", "_" and ".".
    #[serde(deserialize_with = "key_prefix")]
    #[schemars(length(min = 1, max = PREFIX_MAX_CHARACTERS))]
    pub prefix: String,
}

/// `[worker]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Worker {
    /// The most messages being sent at a time.
    #[schemars(range(min = 1, max = IN_FLIGHT_MAX))]
    pub messages_in_flight: usize,
    /// The most upstream callbacks being processed at a time.
    #[schemars(range(min = 1, max = IN_FLIGHT_MAX))]
    pub callbacks_in_flight: usize,
    /// The most webhooks being delivered at a time.
    #[schemars(range(min = 1, max = IN_FLIGHT_MAX))]
    pub webhooks_in_flight: usize,
    /// How long claimed work belongs to this worker, in seconds. After a crash
    /// it takes this long until another worker takes the work over. It must be
    /// longer than an operation of an adapter and than a webhook may take.
    #[schemars(range(min = LEASE_MIN_SECONDS, max = HOUR_SECONDS))]
    pub lease_seconds: u64,
    /// How often the queue is compared with the database, in seconds: what a
    /// crash or an emptied Redis lost is back after at most this long.
    #[schemars(range(min = 1, max = HOUR_SECONDS))]
    pub reconcile_seconds: u64,
    /// How long a network has to say by itself what became of a template
    /// before it is asked, in seconds. The wait doubles with each question, up
    /// to six hours; however many templates wait, an account's network is asked
    /// a hundred times an hour at most.
    #[schemars(range(min = 1, max = HOUR_SECONDS))]
    pub template_check_seconds: u64,
}

/// `[delivery]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// How often one message is tried before it fails, the first time
    /// included.
    #[schemars(range(min = 1, max = ATTEMPTS_MAX))]
    pub max_attempts: u32,
    /// The wait before the second attempt, in milliseconds; it doubles with
    /// each further one.
    #[schemars(range(min = RETRY_MIN_MS, max = HOUR_MS))]
    pub retry_base_ms: u64,
    /// The longest wait between two attempts, in milliseconds.
    #[schemars(range(min = RETRY_MIN_MS, max = DAY_MS))]
    pub retry_cap_ms: u64,
    /// The age at which a message that is not sent yet fails, in seconds.
    #[schemars(range(min = MESSAGE_TTL_MIN_SECONDS, max = MONTH_SECONDS))]
    pub message_ttl_seconds: u64,
    /// What happens to a message of which a crash or a cut connection left
    /// unknown whether it was sent: "retry" sends it again, so that it may
    /// arrive twice; "fail" reports it failed, so that it may arrive after all.
    pub ambiguous: AmbiguousPolicy,
    /// How long a receipt may still settle such a message before the policy
    /// does, in milliseconds.
    #[schemars(range(min = 0, max = HOUR_MS))]
    pub ambiguous_settle_ms: u64,
    /// The most messages of one sender being sent at a time.
    #[schemars(range(min = 1, max = IN_FLIGHT_MAX))]
    pub sender_in_flight: usize,
    /// How long a receipt that came before its message is known waits for it,
    /// in seconds.
    #[schemars(range(min = 1, max = MONTH_SECONDS))]
    pub receipt_wait_seconds: u64,
}

/// What happens to an attempt of unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AmbiguousPolicy {
    /// Send again: at least once.
    Retry,
    /// Report it failed: at most once.
    Fail,
}

/// `[onboarding]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Onboarding {
    /// Whether a business is approved without a reviewer when every automatic
    /// check passes. One that is flagged always waits for a reviewer.
    pub auto_approve: bool,
    /// The adapters that carry verification codes to phone numbers, by name, in
    /// the order in which they are tried. Numbers of the sandbox get theirs from
    /// the sandbox, and the official upstream sends its own.
    #[schemars(length(min = 0, max = ADAPTERS_MAX_ENTRIES))]
    pub code_adapters: Vec<String>,
}

/// `[webhooks]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Webhooks {
    /// How long an endpoint may take to answer, in milliseconds.
    #[schemars(range(min = TIMEOUT_MIN_MS, max = TIMEOUT_MAX_MS))]
    pub timeout_ms: u64,
    /// The most requests to one endpoint at a time.
    #[schemars(range(min = 1, max = IN_FLIGHT_MAX))]
    pub endpoint_in_flight: usize,
    /// The wait before each further attempt, in seconds, none shorter than the
    /// one before it. After the last attempt the event is given up.
    #[schemars(
        length(min = 0, max = RETRIES_MAX_ENTRIES),
        inner(range(min = 1, max = MONTH_SECONDS))
    )]
    pub retry_seconds: Vec<u64>,
}

/// `[adapters]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adapters {
    /// The adapters built with this binary that are loaded, by name.
    #[schemars(length(min = 0, max = ADAPTERS_MAX_ENTRIES))]
    pub bundled: Vec<String>,
    /// Further adapters, each a shared library and its SHA-256 as 64
    /// hexadecimal digits: [{ path = "/opt/ws/libacme.so", sha256 = "9f86..." }].
    /// A library with another sum is not loaded.
    #[schemars(length(min = 0, max = ADAPTERS_MAX_ENTRIES))]
    pub libraries: Vec<Library>,
    /// How long one call into an adapter may compute, in milliseconds. An
    /// adapter that takes longer is sick and gets no work.
    #[schemars(range(min = TIMEOUT_MIN_MS, max = TIMEOUT_MAX_MS))]
    pub call_deadline_ms: u64,
    /// How long one operation of an adapter may take in all, what it waits for
    /// included, in milliseconds.
    #[schemars(range(min = TIMEOUT_MIN_MS, max = TIMEOUT_MAX_MS))]
    pub operation_deadline_ms: u64,
}

/// One adapter library, pinned to its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Library {
    /// The shared library.
    #[schemars(with = "String", length(min = 1, max = 4_096))]
    pub path: PathBuf,
    /// The SHA-256 of the file.
    #[schemars(with = "String")]
    pub sha256: Sha256,
}

/// A SHA-256 sum, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha256(pub [u8; 32]);

/// `[egress]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// Whether webhooks and adapters may reach loopback, private and link-local
    /// addresses. Leave it off where tenants choose the addresses: with it they
    /// can reach your internal servers.
    pub allow_private_networks: bool,
    /// Private addresses and networks that may be reached all the same:
    /// ["10.1.2.0/24"].
    #[schemars(with = "Vec<String>", length(min = 0, max = NETWORKS_MAX_ENTRIES))]
    pub allow_networks: Vec<Network>,
    /// How long a connection may take to be made, in milliseconds.
    #[schemars(range(min = TIMEOUT_MIN_MS, max = TIMEOUT_MAX_MS))]
    pub connect_timeout_ms: u64,
}

/// `[vault]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Vault {
    /// The key: 32 random bytes in base64, as `openssl rand -base64 32` prints
    /// them. Every process of an installation needs the same. Empty: the file
    /// vault.key in data_dir, made when it does not exist. Keep a copy apart
    /// from the database's: without the key, what it encrypted is lost.
    #[serde(with = "blank_is_none")]
    #[schemars(with = "String")]
    pub key: Option<VaultKeyText>,
    /// Keys that were used before, so that what they encrypted can be read.
    #[schemars(with = "Vec<String>", length(min = 0, max = VAULT_KEYS_MAX_ENTRIES))]
    pub older_keys: Vec<VaultKeyText>,
}

/// `[media]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Media {
    /// Where the bytes are: "folder:PATH", or "s3://BUCKET/PREFIX" for a bucket
    /// of a store that speaks S3; the prefix may be left out. Every process of
    /// an installation needs the same. Empty: the folder media in data_dir. Have
    /// the bucket abort incomplete multipart uploads after a day: what a crash
    /// leaves of them cannot be seen from here.
    #[serde(with = "blank_is_none")]
    #[schemars(with = "String")]
    pub url: Option<MediaUrl>,
    /// The address of the store, as "https://s3.example.com". Empty: Amazon's.
    #[serde(with = "blank_is_none")]
    #[schemars(with = "String")]
    pub s3_endpoint: Option<PublicUrl>,
    /// The region of the bucket.
    #[schemars(length(min = 1, max = NAME_MAX_CHARACTERS))]
    pub s3_region: String,
    /// The id of the access key. Empty: what the environment (AWS_ACCESS_KEY_ID
    /// and so on) or the role of the machine gives.
    #[schemars(length(min = 0, max = NAME_MAX_CHARACTERS))]
    pub s3_access_key_id: String,
    /// The access key's secret.
    #[serde(with = "blank_is_none")]
    #[schemars(with = "String")]
    pub s3_secret_access_key: Option<SecretText>,
    /// How long a file is kept that a business uploaded, in days. Its bytes stay
    /// for delivery.message_ttl_seconds longer, for messages that name it
    /// already. 0: until it is deleted.
    #[schemars(range(min = 0, max = KEEP_MAX_DAYS))]
    pub uploads_keep_days: u32,
    /// How long a file is kept that a person sent, in days. 0: until it is
    /// deleted.
    #[schemars(range(min = 0, max = KEEP_MAX_DAYS))]
    pub received_keep_days: u32,
    /// How much one business may keep in files before it cannot upload more, in
    /// megabytes (1,048,576 bytes). 0: no limit.
    #[schemars(range(min = 0, max = KEEP_MAX_MEGABYTES))]
    pub business_max_megabytes: u64,
}

/// A secret as a text. Printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Secret<String>);

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests a second of one business, over all its credentials. 0: no limit.
    #[schemars(range(min = 0, max = RATE_MAX))]
    pub business_requests_per_second: u32,
    /// Requests a second of one credential. 0: no limit.
    #[schemars(range(min = 0, max = RATE_MAX))]
    pub key_requests_per_second: u32,
    /// Messages that one business may have accepted in a day (UTC). 0: no limit.
    #[schemars(range(min = 0, max = DAILY_MAX))]
    pub business_messages_per_day: u64,
    /// Refused credentials a minute from one address before it has to wait.
    #[schemars(range(min = 1, max = RATE_MAX))]
    pub refused_per_minute: u32,
}

/// `[abuse]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Abuse {
    /// Messages of a sender in two days below which it is not judged.
    #[schemars(range(min = 1, max = DAILY_MAX))]
    pub messages_min: u64,
    /// The share of messages that the network may take for spam, in
    /// thousandths. A sender that reaches it is paused, and a case opened for a
    /// reviewer.
    #[schemars(range(min = 1, max = 1_000))]
    pub spam_permille: u32,
    /// The share of recipients who may opt out, in thousandths.
    #[schemars(range(min = 1, max = 1_000))]
    pub opt_out_permille: u32,
    /// The share of recipients who may block the sender, in thousandths.
    #[schemars(range(min = 1, max = 1_000))]
    pub block_permille: u32,
}

/// An address or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

/// A key of the vault. Printed nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultKeyText(Secret<[u8; KEY_BYTES]>);

/// `[log]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least level that is logged: "error", "warn", "info", "debug" or
    /// "trace"; also by module, as "info,waystation_core::delivery=debug".
    #[serde(deserialize_with = "log_filter")]
    #[schemars(length(min = 1, max = FILTER_MAX_CHARACTERS))]
    pub filter: String,
    /// "text" for people, "json" for machines: one object a line.
    pub format: LogFormat,
}

/// How a log line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("waystation-data"),
            server: Server::default(),
            database: Database::default(),
            queue: Queue::default(),
            worker: Worker::default(),
            delivery: Delivery::default(),
            webhooks: Webhooks::default(),
            adapters: Adapters::default(),
            egress: Egress::default(),
            vault: Vault::default(),
            media: Media::default(),
            limits: Limits::default(),
            abuse: Abuse::default(),
            onboarding: Onboarding::default(),
            log: Log::default(),
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            public_url: None,
            threads: 0,
            body_limit_bytes: 1_048_576,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, connections: 16 }
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self { url: QueueUrl::Memory, prefix: "ws".to_owned() }
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            messages_in_flight: 4_096,
            callbacks_in_flight: 1_024,
            webhooks_in_flight: 4_096,
            lease_seconds: 60,
            reconcile_seconds: 10,
            template_check_seconds: 300,
        }
    }
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            max_attempts: 8,
            retry_base_ms: 1_000,
            retry_cap_ms: 300_000,
            message_ttl_seconds: MONTH_SECONDS,
            ambiguous: AmbiguousPolicy::Retry,
            ambiguous_settle_ms: 5_000,
            sender_in_flight: 80,
            receipt_wait_seconds: 600,
        }
    }
}

impl Default for Webhooks {
    fn default() -> Self {
        Self {
            timeout_ms: 15_000,
            endpoint_in_flight: 20,
            retry_seconds: vec![5, 30, 120, 600, 1_800, 7_200, 21_600, 43_200, 86_400],
        }
    }
}

impl Default for Adapters {
    fn default() -> Self {
        Self {
            bundled: vec!["sandbox".to_owned(), "whatsapp-cloud".to_owned()],
            libraries: Vec::new(),
            call_deadline_ms: 2_000,
            operation_deadline_ms: 30_000,
        }
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self { allow_private_networks: false, allow_networks: Vec::new(), connect_timeout_ms: 5_000 }
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            url: None,
            s3_endpoint: None,
            s3_region: "us-east-1".to_owned(),
            s3_access_key_id: String::new(),
            s3_secret_access_key: None,
            uploads_keep_days: 30,
            received_keep_days: 90,
            business_max_megabytes: 10_240,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            business_requests_per_second: 1_000,
            key_requests_per_second: 1_000,
            business_messages_per_day: 0,
            refused_per_minute: 20,
        }
    }
}

impl Default for Abuse {
    fn default() -> Self {
        Self { messages_min: 100, spam_permille: 10, opt_out_permille: 30, block_permille: 30 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".to_owned(), format: LogFormat::Text }
    }
}

impl Config {
    /// Reads the defaults, then `file` if there is one, then the variables of
    /// `environment` whose names start with [`ENVIRONMENT_PREFIX`].
    ///
    /// Each value is checked by itself; call [`Config::validate`] once flags
    /// have had their say too.
    ///
    /// # Errors
    /// The file cannot be read, or it or a variable holds an unknown key or a
    /// value that is refused. All unknown keys and all values out of bounds are
    /// told at once.
    pub fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let schema = Schema::of::<Self>();
        let mut table = match file {
            Some(path) => read_file(&schema, path)?,
            None => toml::Table::new(),
        };
        let mut faults = Vec::new();
        for (variable, value) in environment {
            let Some(name) = variable.strip_prefix(ENVIRONMENT_PREFIX) else {
                continue;
            };
            match read_variable(&schema, name, &value) {
                Ok(setting) => merge(&mut table, setting),
                Err(why) => faults.push(format!("{variable}: {why}")),
            }
        }
        if !faults.is_empty() {
            faults.sort();
            return Err(ConfigError::Environment(faults));
        }
        Self::deserialize(table).map_err(|error| ConfigError::Invalid(vec![redact(error.message())]))
    }

    /// Checks what no value can tell alone, and every bound once more, since
    /// flags may have changed values after they were read.
    ///
    /// # Errors
    /// All the contradictions there are, not only the first.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let mut problems: Vec<String> = match toml::to_string(self) {
            Ok(text) => Schema::of::<Self>().inspect(&text).iter().map(ToString::to_string).collect(),
            Err(error) => vec![error.to_string()],
        };
        self.find_contradictions(&mut problems);
        if problems.is_empty() { Ok(()) } else { Err(ConfigError::Invalid(problems)) }
    }

    fn find_contradictions(&self, problems: &mut Vec<String>) {
        let lease_ms = self.worker.lease_seconds.saturating_mul(1_000);
        let ttl_ms = self.delivery.message_ttl_seconds.saturating_mul(1_000);
        // (key, its value, key it must not exceed, that one's value, why)
        let ordered = [
            (
                "delivery.retry_base_ms",
                self.delivery.retry_base_ms,
                "delivery.retry_cap_ms",
                self.delivery.retry_cap_ms,
                "the first wait is longer than the longest",
            ),
            (
                "delivery.retry_base_ms",
                self.delivery.retry_base_ms,
                "delivery.message_ttl_seconds",
                ttl_ms,
                "a message would expire before its second attempt",
            ),
            (
                "delivery.ambiguous_settle_ms",
                self.delivery.ambiguous_settle_ms,
                "delivery.message_ttl_seconds",
                ttl_ms,
                "a message would expire before it is settled",
            ),
            (
                "adapters.call_deadline_ms",
                self.adapters.call_deadline_ms,
                "adapters.operation_deadline_ms",
                self.adapters.operation_deadline_ms,
                "an operation consists of calls",
            ),
            (
                "egress.connect_timeout_ms",
                self.egress.connect_timeout_ms,
                "adapters.operation_deadline_ms",
                self.adapters.operation_deadline_ms,
                "an operation would end before its connection is made",
            ),
            (
                "egress.connect_timeout_ms",
                self.egress.connect_timeout_ms,
                "webhooks.timeout_ms",
                self.webhooks.timeout_ms,
                "a webhook would be given up before its connection is made",
            ),
            (
                "adapters.operation_deadline_ms",
                self.adapters.operation_deadline_ms,
                "worker.lease_seconds",
                lease_ms,
                "another worker would take over a message still being sent",
            ),
            (
                "webhooks.timeout_ms",
                self.webhooks.timeout_ms,
                "worker.lease_seconds",
                lease_ms,
                "another worker would take over a webhook still being delivered",
            ),
        ];
        for (low_key, low_ms, high_key, high_ms, why) in ordered {
            if low_ms > high_ms {
                problems.push(format!("`{low_key}` ({low_ms} ms) must not exceed `{high_key}` ({high_ms} ms): {why}"));
            }
        }
        if !self.webhooks.retry_seconds.is_sorted() {
            problems.push(
                "`webhooks.retry_seconds`: a wait is shorter than the one before it; \
                 write them in ascending order"
                    .to_owned(),
            );
        }
        if self.media.s3_access_key_id.is_empty() != self.media.s3_secret_access_key.is_none() {
            problems.push(
                "`media.s3_access_key_id` and `media.s3_secret_access_key`: one is set and the other is not; \
                 set both or neither"
                    .to_owned(),
            );
        }
        let mut names = BTreeSet::new();
        for name in &self.adapters.bundled {
            if name.is_empty() || !names.insert(name) {
                problems.push(format!("`adapters.bundled`: \"{name}\" is empty or listed twice; remove it"));
            }
        }
        let mut paths = BTreeSet::new();
        for library in &self.adapters.libraries {
            if !paths.insert(&library.path) {
                problems
                    .push(format!("`adapters.libraries`: {} is listed twice; keep one sum", library.path.display()));
            }
        }
    }

    /// The database, be it named or the default.
    pub fn database_url(&self) -> DatabaseUrl {
        match &self.database.url {
            Some(url) => url.clone(),
            None => DatabaseUrl::file_in(&self.data_dir, DATABASE_FILE),
        }
    }

    /// Where the bytes of files are, be it named or the default.
    pub fn media_url(&self) -> MediaUrl {
        self.media.url.clone().unwrap_or_else(|| MediaUrl::Folder(self.data_dir.join(MEDIA_FOLDER)))
    }

    /// The address clients reach this server at, with no slash at its end, once
    /// it listens on `bound`.
    pub fn public_url(&self, bound: SocketAddr) -> String {
        if let Some(url) = &self.server.public_url {
            return url.as_str().to_owned();
        }
        let reachable = match bound.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        format!("http://{}", SocketAddr::new(reachable, bound.port()))
    }

    /// The configuration in effect, as TOML, without secrets.
    pub fn redacted(&self) -> String {
        // Its values are strings, integers that fit, booleans, and lists of those.
        toml::to_string_pretty(self).unwrap_or_else(|error| format!("# {error}\n"))
    }

    /// The settings that differ from their defaults, by their dotted names, without secrets.
    pub fn changed(&self) -> serde_json::Value {
        let flat = |config: &Self| -> serde_json::Map<String, serde_json::Value> {
            let sections = serde_json::to_value(config).unwrap_or_default();
            let mut keys = serde_json::Map::new();
            for (section, value) in sections.as_object().into_iter().flatten() {
                match value {
                    serde_json::Value::Object(of_section) => {
                        keys.extend(of_section.iter().map(|(key, value)| (format!("{section}.{key}"), value.clone())));
                    }
                    value => drop(keys.insert(section.clone(), value.clone())),
                }
            }
            keys
        };
        let defaults = flat(&Self::default());
        flat(self).into_iter().filter(|(key, value)| defaults.get(key) != Some(value)).collect()
    }

    /// The reference: every key with what it means, its bounds and its default,
    /// as a file that changes nothing until a line is uncommented.
    pub fn reference() -> String {
        let schema = Schema::of::<Self>();
        let defaults = toml::to_string(&Self::default()).unwrap_or_default();
        let mut out = String::from(
            "# The configuration of Waystation: every key, what it means, and its default.\n\
             # Generated from src/config.rs; do not edit.\n\
             #\n\
             # Copy this file and uncomment what you change. A key can be set in the\n\
             # environment as well, and there it wins:\n\
             #     WAYSTATION__SERVER__LISTEN=0.0.0.0:8080\n\
             #     WAYSTATION__ADAPTERS__BUNDLED=sandbox,sms\n",
        );
        let mut section = None;
        for line in defaults.lines().filter(|line| !line.is_empty()) {
            out.push('\n');
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = schema.root().property(name);
                push_comment(&mut out, section.and_then(schema::Node::description));
                out.push_str(line);
                out.push('\n');
                continue;
            }
            let key = line.split(" =").next().unwrap_or_default();
            let node = section.unwrap_or_else(|| schema.root()).property(key);
            push_comment(&mut out, node.and_then(schema::Node::description));
            push_comment(&mut out, node.and_then(schema::Node::bounds).as_deref());
            let _ = writeln!(out, "#{line}");
        }
        out
    }
}

fn push_comment(out: &mut String, text: Option<&str>) {
    for line in text.unwrap_or_default().lines() {
        let _ = writeln!(out, "{}", format!("# {line}").trim_end());
    }
}

fn read_file(schema: &Schema, path: &Path) -> Result<toml::Table, ConfigError> {
    let text = fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    read_text(schema, &text)
        .map_err(|faults| ConfigError::File { faults: faults.iter().map(|fault| quote(path, &text, fault)).collect() })
}

/// Checks `text` as a whole configuration and returns it as it stands: without
/// the defaults, so that a later layer can be laid over it.
fn read_text(schema: &Schema, text: &str) -> Result<toml::Table, Vec<Fault>> {
    let faults = schema.inspect(text);
    if !faults.is_empty() {
        return Err(faults);
    }
    toml::from_str::<Config>(text).map_err(|error| vec![Fault::from(error)])?;
    toml::from_str::<toml::Table>(text).map_err(|error| vec![Fault::from(error)])
}

/// Reads the variable `WAYSTATION__{name}` as a configuration of one key.
fn read_variable(schema: &Schema, name: &str, value: &str) -> Result<toml::Table, String> {
    let dotted = name.to_ascii_lowercase().replace("__", ".");
    let (section, key) = match dotted.split_once('.') {
        Some((section, key)) => (Some(section), key),
        None => (None, dotted.as_str()),
    };
    let parent = match section {
        Some(section) => schema.root().property(section),
        None => Some(schema.root()),
    };
    let node = parent.and_then(|parent| parent.property(key));
    let Some(node) = node.filter(|node| node.kind() != Kind::Section) else {
        let keys = schema.keys();
        let meant = closest(&dotted, &keys).or_else(|| {
            let inside = format!("{dotted}.");
            keys.iter().map(String::as_str).find(|key| key.starts_with(&inside))
        });
        return Err(match meant {
            Some(key) => format!("sets no key; did you mean {}?", variable_of(key)),
            None => "sets no key; see waystation.default.toml for those there are".to_owned(),
        });
    };
    let literal = literal_of(node, value);
    let text = match section {
        Some(section) => format!("[{section}]\n{key} = {literal}\n"),
        None => format!("{key} = {literal}\n"),
    };
    read_text(schema, &text).map_err(|faults| {
        let messages: Vec<String> = faults.iter().map(|fault| redact(&fault.message)).collect();
        messages.join("; ")
    })
}

fn variable_of(key: &str) -> String {
    let name = key.replace('.', "__").to_ascii_uppercase();
    format!("{ENVIRONMENT_PREFIX}{name}")
}

/// `value` as TOML: a text as it is, a list also with commas alone.
fn literal_of(node: schema::Node<'_>, value: &str) -> toml::Value {
    let parsed = || value.trim().parse::<toml::Value>().ok();
    let text = || toml::Value::String(value.to_owned());
    match node.kind() {
        Kind::Text | Kind::Section => text(),
        Kind::Bare => parsed().unwrap_or_else(text),
        Kind::List if value.trim_start().starts_with('[') => parsed().unwrap_or_else(text),
        Kind::List => {
            let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
            match node.items() {
                Some(item) => items.map(|value| literal_of(item, value)).collect::<Vec<_>>().into(),
                None => text(),
            }
        }
    }
}

fn merge(table: &mut toml::Table, setting: toml::Table) {
    for (name, value) in setting {
        match (table.get_mut(&name), value) {
            (Some(toml::Value::Table(section)), toml::Value::Table(keys)) => section.extend(keys),
            (_, value) => {
                table.insert(name, value);
            }
        }
    }
}

/// The fault with its place and the line it stands on, without secrets.
fn quote(path: &Path, text: &str, fault: &Fault) -> String {
    let message = redact(&fault.message);
    let Some(span) = &fault.span else {
        return format!("{}: {message}", path.display());
    };
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
    let line = text[line_start..line_end].trim_end_matches('\r');
    let number = text[..line_start].matches('\n').count() + 1;
    let column = text[line_start..start].chars().count();

    let shown = redact(line);
    let width = if shown == line {
        let end = text.floor_char_boundary(span.end.clamp(start, line_end));
        text[start..end].chars().count()
    } else {
        1
    };
    let gutter = " ".repeat(number.to_string().len());
    format!(
        "{}:{number}:{}: {message}\n {gutter} |\n {number} | {shown}\n {gutter} | {}{}",
        path.display(),
        column + 1,
        " ".repeat(column),
        "^".repeat(width.max(1)),
    )
}

/// Why there is no configuration. Its text holds no password.
#[derive(Debug)]
pub enum ConfigError {
    /// The file could not be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file holds something that is refused.
    File {
        /// Each with file, line and column, and the line itself.
        faults: Vec<String>,
    },
    /// Variables set no key, or a value that is refused; each by its name.
    Environment(Vec<String>),
    /// Values contradict each other.
    Invalid(Vec<String>),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(f, "cannot read the configuration file {}: {source}", path.display())
            }
            Self::File { faults } => f.write_str(&faults.join("\n")),
            Self::Environment(faults) => f.write_str(&faults.join("\n")),
            Self::Invalid(problems) => {
                write!(f, "the configuration cannot work:")?;
                for problem in problems {
                    write!(f, "\n  - {problem}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
        let (pairs, odd) = text.as_bytes().as_chunks::<2>();
        let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        bytes.filter(|_| odd.is_empty()).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is no SHA-256: write its 64 hexadecimal digits, as sha256sum does"))
        })
    }
}

impl VaultKeyText {
    /// The key itself.
    pub fn key(&self) -> VaultKey {
        VaultKey::from_bytes(*self.0.expose())
    }
}

impl fmt::Debug for VaultKeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for VaultKeyText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl FromStr for VaultKeyText {
    type Err = String;

    /// The text is not repeated: it may be most of a key.
    fn from_str(text: &str) -> Result<Self, String> {
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        let refusal = "a vault key must be 32 bytes in base64: write what `openssl rand -base64 32` prints";
        bytes.map(|bytes| Self(Secret::new(bytes))).ok_or_else(|| refusal.to_owned())
    }
}

impl<'de> Deserialize<'de> for VaultKeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl SecretText {
    /// The secret itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl FromStr for SecretText {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Secret::new(text.to_owned())))
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map(Self).map_err(|_| {
            D::Error::custom(format!("`{text}` is no address or network: write one like 10.0.0.0/8 or ::1"))
        })
    }
}

fn socket_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!("`{text}` is no address with a port: write one like 127.0.0.1:8080 or [::]:8080"))
    })
}

fn key_prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.chars().all(plain) {
        Ok(text)
    } else {
        Err(D::Error::custom(format!("`{text}` is no prefix: use letters, digits, \"-\", \"_\" and \".\" alone")))
    }
}

fn log_filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    match EnvFilter::builder().parse(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            Err(D::Error::custom(format!("`{text}` is no log filter ({error}): write info, or info,MODULE=debug")))
        }
    }
}

/// An optional setting whose absence is the empty text, so that it has a line
/// in the reference and an environment can unset it.
mod blank_is_none {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        match String::deserialize(deserializer)?.as_str() {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests;
