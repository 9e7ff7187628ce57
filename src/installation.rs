//! Puts the rooms of the core together as the configuration says.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use waystation_core::{
    abuse::{Abuse, AbuseRule},
    clock::now_ms,
    credentials::Credentials,
    delivery::{self, DeliverySettings, Enqueuer, Equipment, Listener, PluginIo, WebhookSettings},
    egress::{Egress, EgressSettings},
    eligibility::Eligibility,
    inbound::Inbox,
    limits::Limiter,
    media::{BlobAddress, Media, MediaSettings, S3Address},
    messages::{
        intake::Intake,
        state::{self, RetryPolicy},
    },
    onboarding::{Onboarding, OnboardingSettings},
    otp::OneTimePasswords,
    plugins::{AdapterHost, AdapterSource, HostSettings},
    queue::{self, EmbeddedQueue, Queue, QueueError, Topic},
    senders::{ProfileNetworks, Senders},
    store::{Direction, Store, StoreSettings, StoreUrl},
    templates::Templates,
    tenancy::{Directory, Policy, Registry},
    vault::{Vault, VaultKey},
};

use crate::config::{self, AmbiguousPolicy, Config, DatabaseUrl, MediaUrl, QueueUrl, VaultKeyText};

/// The version of the migration that makes the first tables.
const FIRST_MIGRATION: &str = "20261122000000";
const DAY_SECONDS: u64 = 86_400;
/// The file with the vault's key, in the data folder.
const KEY_FILE: &str = "vault.key";

/// The adapters whose libraries are built with this binary: the name in the
/// configuration, the crate, and which build of it.
const BUNDLED: [(&str, &str, &str); 4] = [
    ("sandbox", "waystation-sandbox", waystation_sandbox::BUILD_INFO),
    ("sms", "waystation-sms", waystation_sms::BUILD_INFO),
    ("sms-http", "waystation-sms-http", waystation_sms_http::BUILD_INFO),
    ("whatsapp-cloud", "waystation-whatsapp-cloud", waystation_whatsapp_cloud::BUILD_INFO),
];

/// Everything that a process works with.
pub(crate) struct Installation {
    /// The configuration it was made from.
    pub(crate) config: Config,
    /// The database.
    pub(crate) store: Store,
    /// The cache over it.
    pub(crate) directory: Directory,
    /// The queue.
    pub(crate) queue: Arc<dyn Queue>,
    /// The way into it.
    pub(crate) enqueuer: Enqueuer,
    /// The adapters.
    pub(crate) adapters: Arc<AdapterHost>,
    /// The way out.
    pub(crate) egress: Egress,
    /// What seals.
    pub(crate) vault: Vault,
    /// The tree.
    pub(crate) registry: Registry,
    /// What issues credentials.
    pub(crate) credentials: Credentials,
    /// The rule against spam.
    pub(crate) abuse: Abuse,
    /// What takes businesses in.
    pub(crate) onboarding: Onboarding,
    /// How senders present themselves.
    pub(crate) senders: Senders,
    /// The templates of businesses.
    pub(crate) templates: Templates,
    /// The files.
    pub(crate) media: Media,
    /// How often tenants may ask.
    pub(crate) limiter: Limiter,
    /// Whether the database had no tables when it was opened.
    pub(crate) is_new: bool,
    alone: Option<File>,
}

impl Installation {
    /// Opens the database, migrates it, connects to the queue and loads the adapters.
    pub(crate) async fn open(config: Config) -> anyhow::Result<Self> {
        config.validate()?;
        let (store, alone) = open_database(&config, Use::Work).await?;
        let ran = store.migrate(Direction::Up).await?;
        let is_new = ran.iter().any(|version| version == FIRST_MIGRATION);
        let vault = open_vault(&config)?;
        store.adopt_vault(&vault, now_ms()).await?;
        let queue: Arc<dyn Queue> = match &config.queue.url {
            QueueUrl::Memory => Arc::new(EmbeddedQueue::new()),
            QueueUrl::Redis(url) => Arc::new(queue::connect(url.expose(), &config.queue.prefix).await?),
        };
        // One that cannot be reached may come back; one that refuses needs its settings mended.
        match queue.depth(Topic::Messages).await {
            Err(QueueError::Refused(reason)) => bail!("the queue at queue.url refuses to work: {reason}"),
            Err(error) => tracing::warn!(%error, "the queue cannot be reached; messages are accepted and wait for it"),
            Ok(_) => {}
        }
        let egress = Egress::new(&EgressSettings {
            allow_private_networks: config.egress.allow_private_networks,
            allow_networks: config.egress.allow_networks.iter().map(|network| network.0).collect(),
            connect_timeout: Duration::from_millis(config.egress.connect_timeout_ms),
        })
        .map_err(anyhow::Error::msg)?;
        let enqueuer = Enqueuer::start(queue.clone());
        let adapters = load_adapters(&config, &store, &vault, &egress, &enqueuer)?;
        let limiter = match &config.queue.url {
            QueueUrl::Memory => Limiter::local(store.clone()),
            QueueUrl::Redis(url) => {
                Limiter::shared(store.clone(), url.expose(), &config.queue.prefix).map_err(anyhow::Error::msg)?
            }
        };
        let directory = Directory::new(store.clone(), vault.clone(), default_policy(&config));
        directory.follow();
        let registry = Registry::new(store.clone(), vault.clone(), directory.clone(), adapters.clone(), egress.clone());
        registry.seal_what_is_clear().await?;
        let media = open_media(&config, &store, &egress, &vault)?;
        Ok(Self {
            credentials: Credentials::new(store.clone(), vault.clone(), directory.clone()),
            abuse: Abuse::new(store.clone(), directory.clone(), abuse_rule(&config)),
            onboarding: Onboarding::new(
                store.clone(),
                vault.clone(),
                directory.clone(),
                adapters.clone(),
                onboarding_settings(&config, &adapters)?,
            ),
            senders: Senders::new(
                store.clone(),
                ProfileNetworks { directory: directory.clone(), adapters: adapters.clone(), media: media.clone() },
            ),
            templates: Templates::new(store.clone(), directory.clone(), enqueuer.clone()),
            registry,
            media,
            limiter,
            vault,
            directory,
            config,
            store,
            queue,
            enqueuer,
            adapters,
            egress,
            is_new,
            alone,
        })
    }

    /// Starts the couriers of a worker.
    pub(crate) async fn start_worker(&self) -> delivery::Runtime {
        let equipment = Equipment {
            store: self.store.clone(),
            directory: self.directory.clone(),
            eligibility: self.eligibility(),
            queue: self.queue.clone(),
            enqueuer: self.enqueuer.clone(),
            adapters: self.adapters.clone(),
            vault: self.vault.clone(),
            egress: self.egress.clone(),
            abuse: self.abuse.clone(),
            media: self.media.clone(),
            limiter: self.limiter.clone(),
        };
        delivery::start(equipment, delivery_settings(&self.config, self.alone.is_some())).await
    }

    /// Starts listening for what the networks behind the adapters call back.
    pub(crate) fn start_listener(&self) -> Listener {
        Listener::start(self.store.clone(), self.directory.clone(), self.adapters.clone(), self.enqueuer.clone())
    }

    /// Who may get a message now.
    fn eligibility(&self) -> Eligibility {
        Eligibility::new(self.store.clone(), self.directory.clone())
    }

    /// What sends and checks one-time passwords.
    pub(crate) fn one_time_passwords(&self, intake: &Intake) -> OneTimePasswords {
        OneTimePasswords::new(self.store.clone(), self.vault.clone(), self.limiter.clone(), intake.clone())
    }

    /// What businesses received.
    pub(crate) fn inbox(&self) -> Inbox {
        Inbox::new(self.store.clone(), self.directory.clone(), self.adapters.clone(), self.enqueuer.clone())
    }

    /// Starts the way in for messages.
    pub(crate) fn start_intake(&self) -> Intake {
        let ttl = Duration::from_secs(self.config.delivery.message_ttl_seconds);
        Intake::start(
            self.store.clone(),
            self.directory.clone(),
            self.vault.clone(),
            self.eligibility(),
            self.limiter.clone(),
            self.enqueuer.clone(),
            self.media.clone(),
            ttl,
        )
    }
}

/// What a database is opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// To work on it: a SQLite file serves one such process at a time.
    Work,
    /// To look something up or note something down beside such a process.
    Visit,
}

/// Opens the database; the file that is locked while a SQLite file is worked on goes
/// along.
pub(crate) async fn open_database(config: &Config, purpose: Use) -> anyhow::Result<(Store, Option<File>)> {
    let (url, lock) = match config.database_url() {
        DatabaseUrl::Postgres(url) => (StoreUrl::Postgres(url.expose().clone()), None),
        DatabaseUrl::Sqlite(path) => {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                create_private_folder(folder)?;
            }
            create_private_file(&path)?;
            let lock = if purpose == Use::Work { Some(lock(&path)?) } else { None };
            (StoreUrl::Sqlite(path), lock)
        }
    };
    let store = Store::open(&StoreSettings { url, connections: config.database.connections }).await?;
    Ok((store, lock))
}

/// The files, in a folder that is made when it does not exist, or in a bucket that must.
fn open_media(config: &Config, store: &Store, egress: &Egress, vault: &Vault) -> anyhow::Result<Media> {
    let media = &config.media;
    let address = match config.media_url() {
        MediaUrl::Folder(path) => {
            create_private_folder(&path)?;
            BlobAddress::Folder(path)
        }
        MediaUrl::S3 { bucket, prefix } => BlobAddress::S3(S3Address {
            bucket,
            prefix,
            endpoint: media.s3_endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned()),
            region: media.s3_region.clone(),
            credentials: media
                .s3_secret_access_key
                .as_ref()
                .map(|secret| (media.s3_access_key_id.clone(), secret.expose().to_owned())),
        }),
    };
    let days = |days: u32| (days > 0).then(|| Duration::from_secs(u64::from(days) * DAY_SECONDS));
    let settings = MediaSettings {
        uploads_life: days(media.uploads_keep_days),
        received_life: days(media.received_keep_days),
        message_ttl: Duration::from_secs(config.delivery.message_ttl_seconds),
        business_max_bytes: Some(media.business_max_megabytes).filter(|most| *most > 0).map(|most| most << 20),
    };
    Media::open(&address, store.clone(), egress.clone(), vault.clone(), settings)
        .map_err(|why| anyhow::anyhow!("the files at media.url cannot be opened: {why}"))
}

/// The vault with the keys of the configuration, or else with that of a file beside the
/// data, which is made when it does not exist.
fn open_vault(config: &Config) -> anyhow::Result<Vault> {
    let key = match &config.vault.key {
        Some(key) => key.key(),
        None => key_file(&config.data_dir)?,
    };
    let older: Vec<VaultKey> = config.vault.older_keys.iter().map(VaultKeyText::key).collect();
    Ok(Vault::new(&key, &older))
}

fn key_file(folder: &Path) -> anyhow::Result<VaultKey> {
    create_private_folder(folder)?;
    let path = folder.join(KEY_FILE);
    let unreadable = || format!("{} holds no vault key; put the key back that was there", path.display());
    // Written beside its place and linked into it, so that nobody reads half a key and of
    // two processes that start together one key stays.
    if !path.exists() {
        let draft = folder.join(format!("{KEY_FILE}.{}", std::process::id()));
        let text = format!("{}\n", STANDARD.encode(VaultKey::generate().bytes()));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let written =
            file.as_mut().map_err(|error| std::io::Error::new(error.kind(), error.to_string())).and_then(|file| {
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                fs::hard_link(&draft, &path)
            });
        let _ = fs::remove_file(&draft);
        match written {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| format!("{} could not be created", path.display()));
            }
            _ => {}
        }
    }
    let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let key: VaultKeyText = text.parse().map_err(anyhow::Error::msg).with_context(unreadable)?;
    Ok(key.key())
}

/// What holds above every reseller.
fn default_policy(config: &Config) -> Policy {
    let limits = &config.limits;
    Policy {
        requests_per_second: Some(limits.business_requests_per_second).filter(|rate| *rate > 0),
        requests_per_second_and_key: Some(limits.key_requests_per_second).filter(|rate| *rate > 0),
        messages_per_day: Some(limits.business_messages_per_day).filter(|cap| *cap > 0),
        ..Policy::default()
    }
}

fn abuse_rule(config: &Config) -> AbuseRule {
    let abuse = &config.abuse;
    AbuseRule {
        messages_min: i64::try_from(abuse.messages_min).unwrap_or(i64::MAX),
        spam_permille: abuse.spam_permille.into(),
        opt_out_permille: abuse.opt_out_permille.into(),
        block_permille: abuse.block_permille.into(),
    }
}

/// Creates a folder that only this user can enter. One that exists stays as it is.
pub(crate) fn create_private_folder(folder: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("the folder {} could not be created", folder.display()))
}

/// Creates the database file so that only this user can read it, before SQLite does; its
/// other files take after it.
fn create_private_file(path: &Path) -> anyhow::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error).with_context(|| format!("{} could not be created", path.display())),
    }
}

/// Makes sure that no other process works on the SQLite file. The lock ends with the
/// process, however that ends.
fn lock(database: &Path) -> anyhow::Result<File> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let file = File::create(&path).with_context(|| format!("{} could not be created", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => bail!(
            "another process works on {}; stop it, or use PostgreSQL and Redis to run several",
            database.display()
        ),
        Err(fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{} could not be locked", path.display()))
        }
    }
}

/// How businesses are taken in, with adapters that are there.
fn onboarding_settings(config: &Config, adapters: &AdapterHost) -> anyhow::Result<OnboardingSettings> {
    let config::Onboarding { auto_approve, code_adapters } = config.onboarding.clone();
    if let Some(missing) = code_adapters.iter().find(|name| adapters.get(name).is_none()) {
        let loaded: Vec<String> = adapters.list().iter().map(|adapter| adapter.description().name.clone()).collect();
        bail!("onboarding.code_adapters names \"{missing}\"; the adapters that are loaded are {}", loaded.join(", "));
    }
    Ok(OnboardingSettings { auto_approve, code_adapters })
}

fn load_adapters(
    config: &Config,
    store: &Store,
    vault: &Vault,
    egress: &Egress,
    enqueuer: &Enqueuer,
) -> anyhow::Result<Arc<AdapterHost>> {
    let operation = Duration::from_millis(config.adapters.operation_deadline_ms);
    let io = PluginIo::start(store.clone(), vault.clone(), egress.clone(), enqueuer.clone(), operation);
    let host = AdapterHost::new(Arc::new(io), host_settings(config));
    host.adopt(host.stage(&adapter_sources(config)?)?);
    Ok(Arc::new(host))
}

/// The limits that the configuration sets to adapters.
pub(crate) fn host_settings(config: &Config) -> HostSettings {
    HostSettings {
        deadline: Duration::from_millis(config.adapters.call_deadline_ms),
        call_deadline: Duration::from_millis(config.adapters.operation_deadline_ms),
        ..HostSettings::default()
    }
}

/// The adapters that the configuration names.
pub(crate) fn adapter_sources(config: &Config) -> anyhow::Result<Vec<AdapterSource>> {
    let mut sources = Vec::new();
    for name in &config.adapters.bundled {
        let Some((_, library, build)) = BUNDLED.iter().find(|(known, _, _)| known == name) else {
            let known: Vec<&str> = BUNDLED.iter().map(|(known, _, _)| *known).collect();
            bail!("adapters.bundled names \"{name}\"; this binary was built with {}", known.join(", "));
        };
        sources.push(AdapterSource::Bundled { library: (*library).to_owned(), build: (*build).to_owned() });
    }
    let libraries = config.adapters.libraries.iter();
    sources.extend(libraries.map(|it| AdapterSource::File { path: it.path.clone(), sha256: it.sha256.0 }));
    Ok(sources)
}

fn delivery_settings(config: &Config, alone: bool) -> DeliverySettings {
    let (worker, delivery, webhooks) = (&config.worker, &config.delivery, &config.webhooks);
    DeliverySettings {
        messages_in_flight: worker.messages_in_flight,
        sender_in_flight: delivery.sender_in_flight,
        callbacks_in_flight: worker.callbacks_in_flight,
        webhooks_in_flight: worker.webhooks_in_flight,
        endpoint_in_flight: webhooks.endpoint_in_flight,
        lease: Duration::from_secs(worker.lease_seconds),
        reconcile: Duration::from_secs(worker.reconcile_seconds),
        template_check: Duration::from_secs(worker.template_check_seconds),
        retry: RetryPolicy {
            max_tries: delivery.max_attempts,
            base_ms: delivery.retry_base_ms,
            cap_ms: delivery.retry_cap_ms,
            ambiguous: match delivery.ambiguous {
                AmbiguousPolicy::Retry => state::AmbiguousPolicy::Retry,
                AmbiguousPolicy::Fail => state::AmbiguousPolicy::Fail,
            },
            settle_ms: delivery.ambiguous_settle_ms,
        },
        receipt_wait: Duration::from_secs(delivery.receipt_wait_seconds),
        webhooks: WebhookSettings {
            timeout: Duration::from_millis(webhooks.timeout_ms),
            retries: webhooks.retry_seconds.iter().map(|seconds| Duration::from_secs(*seconds)).collect(),
        },
        alone,
    }
}
