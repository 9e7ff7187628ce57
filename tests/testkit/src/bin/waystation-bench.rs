//! What the real binary does on this machine, as one table.
//!
//! Every figure is taken from outside, the way a client sees it: answers over
//! HTTP, webhooks with both signatures checked, processor time from /proc, the
//! generator's and the sink's own told apart from the platform's. A message
//! that was accepted and never told makes the run fail, because a rate reached
//! by losing messages is none. All traffic stays on 127.0.0.1.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use waystation_testkit::{
    load::{self, Histogram, Outcome, Pace, Plan, Target, per_second},
    process::{self, Waystation},
    servers::{Postgres, Redis, RedisOptions},
    sink::WebhookSink,
};

/// Starts a waystation binary as a demo on each profile, sends messages through
/// it, and prints a table in Markdown.
#[derive(Parser)]
struct Arguments {
    /// The binary to measure.
    #[arg(long, default_value = "target/release/waystation")]
    bin: PathBuf,
    /// What it runs on.
    #[arg(long, value_enum, default_value = "all")]
    profile: Profiles,
    /// The scenarios to run, by number; all when none is named.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=4))]
    scenarios: Vec<u8>,
    /// The most messages of one scenario.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
    /// The longest that messages of one scenario are sent, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How long to wait for the webhooks of a scenario once all is sent, in
    /// seconds.
    #[arg(long, default_value_t = 60)]
    drain_seconds: u64,
    /// Connections that send messages.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// The rate of the open loop, in messages a second.
    #[arg(long, default_value_t = 1_000.0)]
    rate: f64,
    /// Messages sent through each process before anything is measured.
    #[arg(long, default_value_t = 500)]
    warm_up: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Profiles {
    /// SQLite and the queue in memory.
    Embedded,
    /// A private PostgreSQL with fsync and a private Redis with its log.
    Cluster,
    /// One after the other.
    All,
}

/// Accepted and sent, and nothing is heard of it afterwards.
const SENT_ONLY: &str = "0007";
/// Accepted, sent and delivered.
const DELIVERED: &str = "0002";

#[derive(Clone, Copy)]
struct Scenario {
    number: u8,
    name: &'static str,
    suffix: &'static str,
    /// The status whose webhook ends a message; none when sending is held back
    /// and only answers are looked at.
    last_status: Option<&'static str>,
    open_loop: bool,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario { number: 1, name: "accept only", suffix: SENT_ONLY, last_status: None, open_loop: false },
    Scenario {
        number: 2,
        name: "accept > sent > webhook",
        suffix: SENT_ONLY,
        last_status: Some("sent"),
        open_loop: false,
    },
    Scenario {
        number: 3,
        name: "accept > delivered > webhook",
        suffix: DELIVERED,
        last_status: Some("delivered"),
        open_loop: false,
    },
    Scenario { number: 4, name: "open loop", suffix: SENT_ONLY, last_status: Some("sent"), open_loop: true },
];

/// Settings that hold sending back, for the scenario that measures accepting.
const HELD_BACK: [(&str, &str); 3] = [
    ("WAYSTATION__WORKER__MESSAGES_IN_FLIGHT", "1"),
    ("WAYSTATION__WORKER__CALLBACKS_IN_FLIGHT", "1"),
    ("WAYSTATION__WORKER__WEBHOOKS_IN_FLIGHT", "1"),
];

/// The servers of the cluster profile, and the runtime that talks to them.
struct Servers {
    runtime: Runtime,
    postgres: Postgres,
    redis: Redis,
    postgres_pid: u32,
    redis_pid: u32,
}

impl Servers {
    fn start() -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let (postgres, redis) = runtime.block_on(async {
            let redis = Redis::start_with(RedisOptions { append_only: true }).await?;
            anyhow::Ok((Postgres::start().await?, redis))
        })?;
        let pid = |name: &str| process::descendant_named(name)?.with_context(|| format!("{name} is not in /proc"));
        Ok(Self { runtime, postgres, redis, postgres_pid: pid("postgres")?, redis_pid: pid("redis-server")? })
    }
}

/// One demo with its webhook endpoint.
struct Bench<'a> {
    process: Waystation,
    sink: WebhookSink,
    target: Target,
    servers: Option<&'a Servers>,
    _data: TempDir,
}

impl<'a> Bench<'a> {
    fn start(bin: &Path, servers: Option<&'a Servers>, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let sink = WebhookSink::start_counting()?;
        let data = TempDir::with_prefix("waystation-bench-")?;
        let mut args: Vec<String> = ["demo", "--json", "--port", "0", "--webhook"].map(str::to_owned).into();
        args.push(sink.url());
        if let Some(servers) = servers {
            // A queue of its own is a prefix of its own: the folder's name is.
            let database = servers.runtime.block_on(servers.postgres.create_database())?;
            args.extend(["--database".to_owned(), database]);
            args.extend(["--queue".to_owned(), servers.redis.url()]);
        }
        let prefix = data.path().file_name().map(|name| name.to_string_lossy().replace('.', "-")).unwrap_or_default();
        let own = [
            ("WAYSTATION__DATA_DIR", data.path().to_string_lossy().into_owned()),
            ("WAYSTATION__QUEUE__PREFIX", prefix),
            ("WAYSTATION__EGRESS__ALLOW_PRIVATE_NETWORKS", "true".to_owned()),
            // Limits are kept, and never reached.
            ("WAYSTATION__LIMITS__KEY_REQUESTS_PER_SECOND", "1000000".to_owned()),
            ("WAYSTATION__LIMITS__BUSINESS_REQUESTS_PER_SECOND", "1000000".to_owned()),
        ];
        let given = settings.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let process = Waystation::spawn(bin, args, own.into_iter().chain(given))?;
        let info = process.info();
        sink.set_app_secret(&info.app_secret);
        sink.set_verify_token(&info.verify_token);
        let target = Target {
            base_url: info.base_url.trim_end_matches('/').to_owned(),
            phone_number_id: info.phone_number_id.clone(),
            token: info.token.clone(),
        };
        Ok(Self { process, sink, target, servers, _data: data })
    }

    fn warm_up(&self, arguments: &Arguments) -> anyhow::Result<()> {
        if arguments.warm_up == 0 {
            return Ok(());
        }
        let mut plan = plan_of(&SCENARIOS[1], arguments);
        plan.messages = arguments.warm_up;
        let outcome = load::run(&self.target, &plan)?;
        if outcome.accepted.is_empty() {
            bail!("no message of the warm-up was accepted: {:?}\nthe log:\n{}", outcome.refused, self.process.log()?);
        }
        self.drain("sent", outcome.accepted.len(), arguments);
        Ok(())
    }

    fn drain(&self, status: &str, count: usize, arguments: &Arguments) {
        let timeout = Duration::from_secs(arguments.drain_seconds);
        self.sink.wait_for(status, count, timeout);
    }

    fn measure(&self, scenario: &Scenario, arguments: &Arguments) -> anyhow::Result<Row> {
        self.sink.clear();
        let before = self.processor_time()?;
        let outcome = load::run(&self.target, &plan_of(scenario, arguments))?;
        if let Some(status) = scenario.last_status {
            self.drain(status, outcome.accepted.len(), arguments);
        }
        let mut spent = self.processor_time()?.since(&before);
        spent.load = outcome.cpu_seconds;
        Ok(Row::of(scenario, &outcome, &self.sink, spent))
    }

    fn processor_time(&self) -> anyhow::Result<ProcessorTime> {
        let of_tree = |pid: fn(&Servers) -> u32| match self.servers {
            Some(servers) => process::tree_cpu_seconds(pid(servers)).map(Some),
            None => Ok(None),
        };
        Ok(ProcessorTime {
            waystation: process::tree_cpu_seconds(self.process.pid())?,
            postgres: of_tree(|servers| servers.postgres_pid)?,
            redis: of_tree(|servers| servers.redis_pid)?,
            sink: self.sink.cpu_seconds()?,
            load: 0.0,
        })
    }
}

fn plan_of(scenario: &Scenario, arguments: &Arguments) -> Plan {
    Plan {
        connections: arguments.connections,
        pace: match scenario.open_loop {
            true => Pace::Open { per_second: arguments.rate },
            false => Pace::Closed,
        },
        messages: arguments.messages,
        time_limit: Duration::from_secs(arguments.seconds),
        recipient_suffix: scenario.suffix.to_owned(),
    }
}

/// Seconds, by who took them.
#[derive(Clone, Copy)]
struct ProcessorTime {
    waystation: f64,
    postgres: Option<f64>,
    redis: Option<f64>,
    sink: f64,
    load: f64,
}

impl ProcessorTime {
    fn since(&self, before: &Self) -> Self {
        let less = |now: Option<f64>, then: Option<f64>| now.zip(then).map(|(now, then)| now - then);
        Self {
            waystation: self.waystation - before.waystation,
            postgres: less(self.postgres, before.postgres),
            redis: less(self.redis, before.redis),
            sink: self.sink - before.sink,
            load: self.load - before.load,
        }
    }
}

/// One line of the table, and what is wrong with it.
struct Row {
    name: &'static str,
    accepted: usize,
    accepted_per_second: f64,
    /// Webhooks a second, from the first accepted message to the last webhook.
    sent_per_second: Option<f64>,
    delivered_per_second: Option<f64>,
    accept: Histogram,
    /// From the answer to the webhook that ends the message.
    webhook: Option<Histogram>,
    spent: ProcessorTime,
    complaints: Vec<String>,
}

impl Row {
    fn of(scenario: &Scenario, outcome: &Outcome, sink: &WebhookSink, spent: ProcessorTime) -> Self {
        let mut complaints: Vec<String> =
            outcome.refused.iter().map(|(what, count)| format!("{count} not accepted: {what}")).collect();
        let refused = sink.tally().refused;
        if refused > 0 {
            complaints.push(format!("{refused} webhooks with a wrong signature"));
        }
        let mut webhook = None;
        if let Some(status) = scenario.last_status {
            let told = sink.told(status);
            let mut latency = Histogram::new();
            for message in &outcome.accepted {
                if let Some(at) = told.get(&message.id) {
                    // The webhook may overtake the answer.
                    latency.record(at.saturating_duration_since(message.answered));
                }
            }
            let lost = outcome.accepted.len() as u64 - latency.count();
            if lost > 0 {
                complaints.push(format!("{lost} accepted and not told to be {status}"));
            }
            webhook = Some(latency);
        }
        let rate_of = |status: &str| rate_of(status, outcome, sink);
        let delivered = scenario.last_status == Some("delivered");
        Self {
            name: scenario.name,
            accepted: outcome.accepted.len(),
            accepted_per_second: outcome.accepted_per_second(),
            sent_per_second: scenario.last_status.and_then(|_| rate_of("sent")),
            delivered_per_second: delivered.then(|| rate_of("delivered")).flatten(),
            accept: outcome.latency.clone(),
            webhook,
            spent,
            complaints,
        }
    }

    fn write(&self, profile: &str, out: &mut String) {
        let rate = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{rate:.0}"));
        let latency = |histogram: Option<&Histogram>| match histogram {
            Some(h) if h.count() > 0 => {
                format!("{:.1} / {:.1}", h.percentile_ms(50.0), h.percentile_ms(99.0))
            }
            _ => "-".to_owned(),
        };
        let thousands = self.accepted.max(1) as f64 / 1_000.0;
        let cpu =
            |seconds: Option<f64>| seconds.map_or("-".to_owned(), |seconds| format!("{:.3}", seconds / thousands));
        let _ = writeln!(
            out,
            "| {profile} | {} | {} | {:.0} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            self.name,
            self.accepted,
            self.accepted_per_second,
            rate(self.sent_per_second),
            rate(self.delivered_per_second),
            latency(Some(&self.accept)),
            latency(self.webhook.as_ref()),
            cpu(Some(self.spent.waystation)),
            cpu(self.spent.postgres),
            cpu(self.spent.redis),
            cpu(Some(self.spent.load)),
            cpu(Some(self.spent.sink)),
        );
    }
}

/// Messages told to be `status` a second, from the first accepted message to
/// the last such webhook; none when there are none.
fn rate_of(status: &str, outcome: &Outcome, sink: &WebhookSink) -> Option<f64> {
    let told = sink.told(status);
    let first: Instant = outcome.accepted.iter().map(|message| message.answered).min()?;
    let times = outcome.accepted.iter().filter_map(|message| told.get(&message.id));
    let (count, last) = times.fold((0, None), |(count, last), at| (count + 1, last.max(Some(*at))));
    Some(per_second(count, last?.saturating_duration_since(first)))
}

const HEADINGS: [&str; 13] = [
    "profile",
    "scenario",
    "accepted",
    "accepted/s",
    "sent/s",
    "delivered/s",
    "accept p50 / p99 ms",
    "accept to webhook p50 / p99 ms",
    "CPU s per 1,000: waystation",
    "PostgreSQL",
    "Redis",
    "generator",
    "sink",
];

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("waystation-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False when something is wrong with a figure.
fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let mut table = format!("| {} |\n|", HEADINGS.join(" | "));
    for (column, _) in HEADINGS.iter().enumerate() {
        table.push_str(if column < 2 { "---|" } else { "---:|" });
    }
    table.push('\n');
    let mut complaints = Vec::new();
    for (profile, name) in [(Profiles::Embedded, "embedded"), (Profiles::Cluster, "cluster")] {
        if arguments.profile != Profiles::All && arguments.profile != profile {
            continue;
        }
        for row in run_profile(profile, arguments).with_context(|| format!("profile {name}"))? {
            row.write(name, &mut table);
            let told = row.complaints.iter();
            complaints.extend(told.map(|what| format!("- {name}, {}: {what}", row.name)));
        }
    }
    println!(
        "{}\n{} connections; at most {} messages or {} s a scenario; open loop at {}/s.\n\n{table}",
        machine(),
        arguments.connections,
        arguments.messages,
        arguments.seconds,
        arguments.rate,
    );
    for complaint in &complaints {
        println!("{complaint}");
    }
    Ok(complaints.is_empty())
}

fn run_profile(profile: Profiles, arguments: &Arguments) -> anyhow::Result<Vec<Row>> {
    let servers = match profile {
        Profiles::Cluster => Some(Servers::start()?),
        _ => None,
    };
    let (whole, held_back): (Vec<&Scenario>, Vec<&Scenario>) = SCENARIOS
        .iter()
        .filter(|s| arguments.scenarios.is_empty() || arguments.scenarios.contains(&s.number))
        .partition(|scenario| scenario.last_status.is_some());
    let mut rows = Vec::new();
    for (scenarios, settings) in [(held_back, &HELD_BACK[..]), (whole, &[])] {
        if scenarios.is_empty() {
            continue;
        }
        let bench = Bench::start(&arguments.bin, servers.as_ref(), settings)?;
        bench.warm_up(arguments)?;
        for scenario in scenarios {
            eprintln!("{} ...", scenario.name);
            rows.push(bench.measure(scenario, arguments)?);
        }
    }
    Ok(rows)
}

/// What this ran on, in a line.
fn machine() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| rest.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores, {model}; everything on them, the generator and the sink included.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_as_many_cells_as_the_table_has_columns() {
        let mut accept = Histogram::new();
        accept.record(Duration::from_micros(1_500));
        let row = Row {
            name: "accept only",
            accepted: 2_000,
            accepted_per_second: 1_234.5,
            sent_per_second: None,
            delivered_per_second: Some(10.0),
            accept,
            webhook: None,
            spent: ProcessorTime { waystation: 0.5, postgres: None, redis: Some(0.02), sink: 0.0, load: 0.01 },
            complaints: Vec::new(),
        };
        let mut line = String::new();
        row.write("embedded", &mut line);
        assert_eq!(
            line,
            "| embedded | accept only | 2000 | 1234 | - | 10 | 1.5 / 1.5 | - \
             | 0.250 | - | 0.010 | 0.005 | 0.000 |\n"
        );
        assert_eq!(line.matches('|').count(), HEADINGS.len() + 1);
    }

    #[test]
    fn the_arguments_parse() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
        let parsed = Arguments::parse_from(["bench", "--scenarios", "1,3"]);
        assert_eq!(parsed.scenarios, [1, 3]);
    }
}
