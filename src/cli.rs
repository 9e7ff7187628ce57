//! The command line: what can be asked for, and the help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use waystation_core::audit::ChainHead;

use crate::config::{DatabaseUrl, QueueUrl};

/// Self-hosted WhatsApp Business provider platform.
///
/// Without a configuration everything runs in one process: a SQLite database and an
/// in-process queue in the folder waystation-data. Name database.url and queue.url
/// to run many processes on PostgreSQL and Redis. `waystation config --reference`
/// prints every setting with its meaning; each can also be given in the environment,
/// as WAYSTATION__SECTION__KEY.
#[derive(Debug, Parser)]
#[command(version, about, long_about, max_term_width = 100)]
pub(crate) struct Cli {
    /// The configuration file (TOML).
    #[arg(long, short, global = true, value_name = "FILE", env = "WAYSTATION_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// What to do; `serve` when left out.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What can be asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the API and the dashboard, and deliver messages.
    ///
    /// Migrates the database first. On a new database it prints the dashboard's address
    /// with a one-time sign-in link. Stops on Ctrl-C or SIGTERM, after what is under way
    /// has ended.
    Serve(Serve),
    /// Bring the database to this version's tables.
    Migrate(Migrate),
    /// Try everything out: a demo business that can send at once.
    ///
    /// Starts everything on the embedded profile in a fresh folder, creates a reseller, a
    /// verified business, a sender on the sandbox network, an API key and the approved
    /// template order_update (en_US, two variables), prints a curl line that sends a
    /// message, and keeps serving.
    Demo(Demo),
    /// Print the OpenAPI document for tenant developers.
    Openapi(Openapi),
    /// Print the configuration in effect, without secrets.
    Config(Config),
    /// List the adapters that the configuration names, check one, or have the running
    /// processes load them anew.
    Adapters(Adapters),
    /// Check the audit log.
    Audit(Audit),
    /// Issue a one-time link for the platform owner.
    ///
    /// Its holder chooses a password and, the first time, sets up a second factor. A link
    /// of before stops working; the owner's password and sessions stay as they are until
    /// this one is used.
    SignInLink(SignInLink),
}

impl Default for Command {
    fn default() -> Self {
        Self::Serve(Serve { role: Role::ALL.to_vec() })
    }
}

/// A part of the work that a process can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Accepts messages and answers questions about them.
    Api,
    /// Delivers messages and webhooks.
    Worker,
    /// Serves the dashboard.
    Admin,
}

impl Role {
    /// Every role.
    pub(crate) const ALL: [Self; 3] = [Self::Api, Self::Worker, Self::Admin];
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// What this process does. With the in-process queue, api and worker go together.
    #[arg(long, value_delimiter = ',', value_name = "ROLE,…", default_values_t = [Role::Api, Role::Worker, Role::Admin])]
    pub(crate) role: Vec<Role>,
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Admin => "admin",
        })
    }
}

/// Options of `migrate`.
#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Go back to an empty database instead. All data is lost.
    #[arg(long, requires = "yes_lose_all_data")]
    pub(crate) down: bool,
    /// Confirms --down.
    #[arg(long)]
    pub(crate) yes_lose_all_data: bool,
}

/// Options of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// The data folder; a fresh temporary one, removed at the end, when left out.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The port to listen on; 0 takes any free one.
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub(crate) port: u16,
    /// An endpoint to tell of every status. It must answer the Cloud API's
    /// GET ?hub.challenge=… check while the demo starts.
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
    /// Use this database instead: postgres://USER:PASSWORD@HOST:PORT/DATABASE. Goes with
    /// --queue.
    #[arg(long, value_name = "URL", requires = "queue")]
    pub(crate) database: Option<DatabaseUrl>,
    /// Use this queue instead: redis://HOST:PORT.
    #[arg(long, value_name = "URL")]
    pub(crate) queue: Option<QueueUrl>,
    /// Print one JSON object on the first line of standard output once everything is
    /// ready, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Options of `sign-in-link`.
#[derive(Debug, Args)]
pub(crate) struct SignInLink {
    /// Also reset the second factor: for an owner who lost their app and their recovery codes.
    #[arg(long)]
    pub(crate) reset_two_factor: bool,
}

/// Options of `openapi`.
#[derive(Debug, Args)]
pub(crate) struct Openapi {
    /// Write every generated document into this folder instead of printing one.
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// Options of `config`.
#[derive(Debug, Args)]
pub(crate) struct Config {
    /// Print every setting with its meaning and its default instead.
    #[arg(long)]
    pub(crate) reference: bool,
}

/// Options of `adapters`.
#[derive(Debug, Args)]
pub(crate) struct Adapters {
    /// What to do; lists what is named when left out.
    #[command(subcommand)]
    pub(crate) command: Option<AdaptersCommand>,
}

/// What can be done with adapters.
#[derive(Debug, Subcommand)]
pub(crate) enum AdaptersCommand {
    /// Run the conformance suite on a shared library. Fails when a MUST fails.
    Check {
        /// The shared library.
        file: PathBuf,
        /// Settings of a sender that the adapter would accept, as a JSON object.
        #[arg(long, value_name = "JSON", default_value = "{}")]
        connection: String,
    },
    /// Have every running process load the adapters that its configuration names now.
    ///
    /// Each process reads its configuration file again and nothing else of it than which
    /// adapters there are. A new build is loaded beside the old one: it gets the new work,
    /// and the old one finishes what it has. A process that cannot load all of them keeps
    /// those that it had, and says why. Settings of the environment stay as they were when
    /// the process started.
    Reload {
        /// How long to wait for answers, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
        wait_seconds: u64,
    },
}

/// Options of `audit`.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

/// What can be done with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Prove that no entry was altered, removed or inserted: walk the chain of hashes from
    /// the first entry to the last, and print its end. Fails at the first entry that does
    /// not fit.
    ///
    /// Note the end down in a place of its own. Given with --noted the next time, it proves
    /// that not even the whole chain was rewritten since.
    Verify {
        /// An end that an earlier run printed: it has to be in the chain.
        #[arg(long, value_name = "SEQ:HASH")]
        noted: Option<ChainHead>,
    },
}
