//! `adapters`: what is loaded, whether a library conforms, and having every running process load them anew.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use serde_json::json;
use waystation_adapter_sdk::conformance::Sample;
use waystation_core::{
    clock::now_ms,
    plugins::{AdapterHost, Library, NoIo, ReloadAnswer, Reloads, Staged, Wanted},
    store::{Direction, Store},
};

use crate::{
    cli::{self, AdaptersCommand},
    commands::{load_config, start_logging},
    config::Config,
    installation::{self, Installation, Use},
};

/// How often it is looked who has answered.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// When nobody has answered for so long since the last answer, no more are waited for.
const QUIET: Duration = Duration::from_secs(3);

/// `adapters`
pub(crate) async fn run(file: Option<&Path>, options: cli::Adapters) -> anyhow::Result<()> {
    match options.command {
        Some(AdaptersCommand::Check { file, connection }) => {
            tokio::task::spawn_blocking(move || check(&file, &connection)).await?
        }
        Some(AdaptersCommand::Reload { wait_seconds }) => reload(file, Duration::from_secs(wait_seconds)).await,
        None => list(file).await,
    }
}

/// Has `installation` load its adapters anew, by the configuration as it is then, whenever that is asked for.
pub(crate) fn follow_reloads(installation: &Installation, roles: &str, file: Option<PathBuf>) {
    let reloads = Reloads {
        host: installation.adapters.clone(),
        directory: installation.directory.clone(),
        store: installation.store.clone(),
        process: format!("{roles} on {}, process {}", host_name(), std::process::id()),
    };
    let read =
        move || load_config(file.as_deref()).and_then(|config| wanted(&config)).map_err(|why| format!("{why:#}"));
    tokio::spawn(reloads.follow(read));
}

fn wanted(config: &Config) -> anyhow::Result<Wanted> {
    config.validate()?;
    let needed = config.onboarding.code_adapters.iter();
    Ok(Wanted {
        sources: installation::adapter_sources(config)?,
        needed: needed.map(|name| (name.clone(), "onboarding.code_adapters")).collect(),
    })
}

/// The machine's name, as far as the system tells it.
fn host_name() -> String {
    let told = fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    told.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).unwrap_or_else(|| "this machine".to_owned())
}

/// Loads what the configuration names into this process, where it does nothing.
async fn stage(config: &Config) -> anyhow::Result<Staged> {
    let wanted = wanted(config)?;
    let settings = installation::host_settings(config);
    tokio::task::spawn_blocking(move || Ok(AdapterHost::new(Arc::new(NoIo), settings).stage(&wanted.sources)?)).await?
}

async fn list(file: Option<&Path>) -> anyhow::Result<()> {
    let config = load_config(file)?;
    start_logging(&config);
    for adapter in stage(&config).await?.adapters() {
        let description = adapter.description();
        println!(
            "{} {} ({:?})\n  library  {}\n  sha256   {}\n  build    {}",
            description.name,
            description.version,
            description.channel,
            adapter.path().display(),
            hex(&adapter.sha256()),
            adapter.build_info(),
        );
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn check(file: &Path, connection: &str) -> anyhow::Result<()> {
    let connection = serde_json::from_str(connection).context("--connection is not valid JSON")?;
    let report = Library::check(file, &Sample { connection, ..Sample::default() })?;
    print!("{report}");
    if !report.conforms() {
        bail!("{} does not conform: a MUST failed", file.display());
    }
    Ok(())
}

/// Asks every running process, once the adapters have proved here that they can be loaded.
async fn reload(file: Option<&Path>, wait: Duration) -> anyhow::Result<()> {
    let config = load_config(file)?;
    start_logging(&config);
    let staged = stage(&config).await.context("nothing was asked of the running processes")?;
    let named: Vec<_> = staged
        .adapters()
        .map(|adapter| {
            let description = adapter.description();
            json!({"name": description.name, "version": description.version, "sha256": hex(&adapter.sha256())})
        })
        .collect();
    drop(staged);
    let (store, _) = installation::open_database(&config, Use::Visit).await?;
    store.migrate(Direction::Up).await?;
    let request = store.request_reload(json!({"adapters": named}), now_ms()).await?;
    let answers = answers(&store, request, wait).await?;
    if answers.is_empty() {
        bail!(
            "no process answered within {} s: none runs, or none follows this database; whichever starts now loads what \
             its configuration names",
            wait.as_secs()
        );
    }
    let refused = answers.iter().filter(|answer| answer.outcome.is_err()).count();
    if refused > 0 {
        bail!("{refused} of {} processes kept the adapters that they had", answers.len());
    }
    println!(
        "{} answered.",
        if answers.len() == 1 { "1 process".to_owned() } else { format!("{} processes", answers.len()) }
    );
    Ok(())
}

/// Shows each answer as it comes.
async fn answers(store: &Store, request: i64, wait: Duration) -> anyhow::Result<Vec<ReloadAnswer>> {
    let (begun, mut last) = (Instant::now(), None::<Instant>);
    let (mut answers, mut seen) = (Vec::new(), HashSet::new());
    while begun.elapsed() < wait && last.is_none_or(|last| last.elapsed() < QUIET) {
        for answer in store.reload_answers(request).await? {
            if !seen.insert(answer.process.clone()) {
                continue;
            }
            match &answer.outcome {
                Ok(adapters) => {
                    println!("{}", answer.process);
                    adapters.iter().for_each(|line| println!("  {line}"));
                }
                Err(why) => println!("{}\n  kept what it had: {why}", answer.process),
            }
            answers.push(answer);
            last = Some(Instant::now());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(answers)
}
