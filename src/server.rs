//! Puts the HTTP faces in front of an installation, and takes everything down again in
//! an order that loses nothing: first no new requests, then no new work.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    sync::Arc,
    time::Duration,
};

use actix_web::{App, HttpServer, dev::ServerHandle, middleware::from_fn, web};
use anyhow::{Context, bail};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::JoinHandle,
};
use waystation_admin_web::{AdapterCard, Dashboard};
use waystation_core::{access::Access, clock::now_ms, contacts::Contacts, delivery::Runtime, plugins::Health};
use waystation_tenant_api::{Api, Guard, TrustedProxies};

use crate::{
    adapters,
    cli::Role,
    config::{Config, QueueUrl},
    installation::Installation,
};

/// How long an idle client connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long requests that run may take to end when the process stops, in seconds.
const SHUTDOWN_SECONDS: u64 = 15;

/// A process at work.
pub(crate) struct Running {
    /// The address that clients reach it at.
    pub(crate) base_url: String,
    installation: Installation,
    worker: Option<Runtime>,
    server: ServerHandle,
    serving: JoinHandle<std::io::Result<()>>,
    stop: StopSignals,
}

/// Opens the installation and starts the parts of `roles`. `file` is where the configuration came from: it is read again
/// when adapters are to be loaded anew.
pub(crate) async fn start(config: Config, roles: &[Role], file: Option<&Path>) -> anyhow::Result<Running> {
    let (api, worker) = (roles.contains(&Role::Api), roles.contains(&Role::Worker));
    if config.queue.url == QueueUrl::Memory && api != worker {
        bail!(
            "the in-process queue needs the roles api and worker in one process; name both, or set queue.url to a Redis"
        );
    }
    // Before anything is announced: who reads that it is ready may tell it to stop.
    let stop = StopSignals::listen().context("signals cannot be listened for")?;
    let installation = Installation::open(config).await?;
    let named = roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    adapters::follow_reloads(&installation, &named, file.map(Path::to_owned));
    let mut settings = installation.config.changed();
    settings["roles"] = roles.iter().map(ToString::to_string).collect();
    installation.store.note_start(env!("CARGO_PKG_VERSION"), settings, now_ms()).await?;
    let listen = installation.config.server.listen;
    let listener = TcpListener::bind(listen)
        .with_context(|| format!("{listen} cannot be listened on; choose another with server.listen or --port"))?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let base_url = installation.config.public_url(bound);

    let worker = if worker { Some(installation.start_worker().await) } else { None };
    let api = api.then(|| installation.start_intake()).map(|intake| Api {
        one_time_passwords: installation.one_time_passwords(&intake),
        intake,
        inbox: installation.inbox(),
        contacts: Contacts::new(installation.store.clone()),
        store: installation.store.clone(),
        directory: installation.directory.clone(),
        limiter: installation.limiter.clone(),
        guard: Arc::new(Guard::new(installation.config.limits.refused_per_minute)),
        registry: installation.registry.clone(),
        credentials: installation.credentials.clone(),
        abuse: installation.abuse.clone(),
        listener: installation.start_listener(),
        onboarding: installation.onboarding.clone(),
        senders: installation.senders.clone(),
        media: installation.media.clone(),
        base_url: base_url.clone(),
        templates: installation.templates.clone(),
        body_limit_bytes: installation.config.server.body_limit_bytes,
    });
    let admin = roles.contains(&Role::Admin);
    let server = serve(listener, &installation, api, admin, &base_url)?;
    let handle = server.handle();
    tracing::info!(
        address = %bound,
        roles = named,
        database = installation.store.kind(),
        queue = installation.queue.name(),
        "serving"
    );
    Ok(Running { base_url, installation, worker, server: handle, serving: tokio::spawn(server), stop })
}

fn serve(
    listener: TcpListener,
    installation: &Installation,
    api: Option<Api>,
    admin: bool,
    base_url: &str,
) -> anyhow::Result<actix_web::dev::Server> {
    let store = installation.store.clone();
    let adapters = installation.adapters.clone();
    let proxies = installation.config.server.trusted_proxies.iter().map(|network| network.0).collect();
    let proxies = web::Data::new(TrustedProxies(proxies));
    let (registry, credentials) = (installation.registry.clone(), installation.credentials.clone());
    let abuse = installation.abuse.clone();
    let onboarding = installation.onboarding.clone();
    let templates = installation.templates.clone();
    let access = Access::new(store.clone(), installation.vault.clone());
    let base_url = base_url.to_owned();
    let secure_cookies = base_url.starts_with("https:");
    let threads = match installation.config.server.threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    };
    let server = HttpServer::new(move || {
        let mut app = App::new()
            .wrap(from_fn(waystation_tenant_api::identify))
            .app_data(web::Data::new(store.clone()))
            .app_data(proxies.clone())
            .service(waystation_tenant_api::health())
            .default_service(web::to(waystation_tenant_api::no_such_route));
        if let Some(api) = &api {
            app = waystation_tenant_api::configure(app, api.clone());
        }
        if admin {
            let adapters = adapters.clone();
            app = app.configure(waystation_admin_web::configure(Dashboard {
                store: store.clone(),
                access: access.clone(),
                registry: registry.clone(),
                credentials: credentials.clone(),
                abuse: abuse.clone(),
                onboarding: onboarding.clone(),
                templates: templates.clone(),
                base_url: base_url.clone(),
                version: env!("CARGO_PKG_VERSION"),
                adapters: Arc::new(move || adapters.list().iter().map(|adapter| card(adapter)).collect()),
                secure_cookies,
            }));
        }
        app
    });
    Ok(server
        .workers(threads)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN_SECONDS)
        .disable_signals()
        .listen(listener)?
        .run())
}

fn card(adapter: &waystation_core::plugins::Adapter) -> AdapterCard {
    let description = adapter.description();
    AdapterCard {
        name: description.name.clone(),
        version: description.version.clone(),
        channel: format!("{:?}", description.channel).to_lowercase(),
        health: match adapter.health() {
            Health::Ready => "ready".to_owned(),
            Health::Sick { why, .. } => why,
        },
    }
}

impl Running {
    /// What it works with.
    pub(crate) fn installation(&self) -> &Installation {
        &self.installation
    }

    /// Runs until the process is told to stop, then stops.
    pub(crate) async fn until_stopped(self) -> anyhow::Result<()> {
        let Self { worker, server, mut serving, mut stop, .. } = self;
        tokio::select! {
            ended = &mut serving => {
                ended.context("the HTTP server failed")?.context("the HTTP server failed")?;
                bail!("the HTTP server ended by itself");
            }
            signal = stop.received() => tracing::info!(signal, "stopping"),
        }
        let in_order = async {
            server.stop(true).await;
            if let Some(worker) = worker {
                worker.stop().await;
            }
        };
        tokio::select! {
            () = in_order => tracing::info!("stopped"),
            signal = stop.received() => bail!("stopped at once by a second {signal}; what was under way is ambiguous"),
        }
        Ok(())
    }
}

/// The signals that ask a process to stop.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The address of the dashboard below `base_url`.
pub(crate) fn dashboard_url(base_url: &str) -> String {
    format!("{base_url}/admin/")
}

/// The address that uses a sign-in link up.
pub(crate) fn sign_in_url(base_url: &str, token: &str) -> String {
    format!("{base_url}/admin/sign-in?token={token}")
}

/// The address under which a process with this configuration is reached, before it
/// listens.
pub(crate) fn expected_base_url(config: &Config) -> String {
    let listen: SocketAddr = config.server.listen;
    config.public_url(listen)
}
