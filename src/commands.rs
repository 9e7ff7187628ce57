//! The subcommands but `demo`.

use std::{
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tracing::{Level, Metadata};
use tracing_subscriber::{EnvFilter, filter::filter_fn, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use waystation_core::{access, clock::now_ms, error, store::Direction};

use crate::{
    cli::{self, Role},
    config::{Config, LogFormat},
    installation::{self, Use},
    server,
};

/// Libraries that write the values they handle into their finer lines: what messages say, keys,
/// codes. No level that is configured makes them do so.
const TELL_VALUES: [&str; 2] = ["handlebars", "tokio_postgres"];

/// The configuration of this process.
pub(crate) fn load_config(file: Option<&Path>) -> anyhow::Result<Config> {
    Ok(Config::load(file, std::env::vars())?)
}

/// Starts logging to standard error.
pub(crate) fn start_logging(config: &Config) {
    let filter = EnvFilter::try_new(&config.log.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let logging = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => logging.with_target(false).finish().with(filter_fn(tells_no_values)).init(),
        LogFormat::Json => logging.json().flatten_event(true).finish().with(filter_fn(tells_no_values)).init(),
    }
}

fn tells_no_values(line: &Metadata<'_>) -> bool {
    let library = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::INFO || !TELL_VALUES.contains(&library)
}

/// `serve`
pub(crate) async fn serve(file: Option<&Path>, options: cli::Serve) -> anyhow::Result<()> {
    let config = load_config(file)?;
    start_logging(&config);
    let running = server::start(config, &options.role, file).await?;
    if running.installation().is_new && options.role.contains(&Role::Admin) {
        let token = access::owner_link(&running.installation().store, false, now_ms()).await?;
        println!("Dashboard: {}", server::dashboard_url(&running.base_url));
        println!("Sign in once, within 24 hours: {}", server::sign_in_url(&running.base_url, token.reveal()));
    }
    running.until_stopped().await
}

/// `migrate`
pub(crate) async fn migrate(file: Option<&Path>, options: cli::Migrate) -> anyhow::Result<()> {
    let config = load_config(file)?;
    start_logging(&config);
    let (store, _lock) = installation::open_database(&config, Use::Work).await?;
    let direction = if options.down { Direction::Down } else { Direction::Up };
    let ran = store.migrate(direction).await?;
    let verb = if options.down { "reverted" } else { "applied" };
    if ran.is_empty() {
        println!("Nothing to do: the {} database is up to date.", store.kind());
    }
    for migration in ran {
        println!("{verb} {migration}");
    }
    Ok(())
}

/// `openapi`
pub(crate) fn openapi(options: &cli::Openapi) -> anyhow::Result<()> {
    let Some(folder) = &options.output else {
        print!("{}", waystation_tenant_api::openapi_text(&waystation_tenant_api::openapi().tenant));
        return Ok(());
    };
    fs::create_dir_all(folder).with_context(|| format!("the folder {} could not be created", folder.display()))?;
    for (name, text) in documents() {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("{} could not be written", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Every document that is generated from the code and committed under openapi/.
fn documents() -> [(&'static str, String); 4] {
    let documents = waystation_tenant_api::openapi();
    [
        ("tenant.json", waystation_tenant_api::openapi_text(&documents.tenant)),
        ("partner.json", waystation_tenant_api::openapi_text(&documents.partner)),
        ("errors.md", error::catalogue()),
        ("permissions.md", access::permissions()),
    ]
}

/// `config`
pub(crate) fn config(file: Option<&Path>, options: &cli::Config) -> anyhow::Result<()> {
    if options.reference {
        print!("{}", Config::reference());
        return Ok(());
    }
    let config = load_config(file)?;
    config.validate()?;
    print!("{}", config.redacted());
    Ok(())
}

/// `sign-in-link`
pub(crate) async fn sign_in_link(file: Option<&Path>, options: cli::SignInLink) -> anyhow::Result<()> {
    let config = load_config(file)?;
    let (store, _) = installation::open_database(&config, Use::Visit).await?;
    store.migrate(Direction::Up).await?;
    let token = access::owner_link(&store, options.reset_two_factor, now_ms()).await?;
    println!("{}", server::sign_in_url(&server::expected_base_url(&config), token.reveal()));
    Ok(())
}

/// `audit verify`
pub(crate) async fn audit(file: Option<&Path>, options: cli::Audit) -> anyhow::Result<()> {
    let cli::AuditCommand::Verify { noted } = options.command;
    let config = load_config(file)?;
    let (store, _) = installation::open_database(&config, Use::Visit).await?;
    let head = store.verify_audit(noted).await?.context("the audit log does not hold")?;
    println!("The audit log holds: {} entries, each as it was written. It ends with\n{head}", head.seq);
    Ok(())
}

/// A folder of this process, removed when it is dropped.
pub(crate) struct TemporaryFolder(PathBuf);

impl TemporaryFolder {
    /// Creates a folder that nobody else uses.
    pub(crate) fn create(purpose: &str) -> anyhow::Result<Self> {
        let unique = waystation_core::ids::CallbackId::generate();
        let path = std::env::temp_dir().join(format!("waystation-{purpose}-{}", unique.key().to_lowercase()));
        installation::create_private_folder(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "a temporary folder could not be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_documents_are_current() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi");
        for (name, text) in documents() {
            let path = folder.join(name);
            if std::env::var_os("UPDATE_GENERATED").is_some() {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &text).unwrap();
            }
            let committed = fs::read_to_string(&path).unwrap_or_default();
            assert!(
                committed == text,
                "openapi/{name} is not what the code generates; run `cargo run -- openapi --output openapi`"
            );
        }
    }
}
