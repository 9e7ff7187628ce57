//! Fills a private PostgreSQL with messages and measures what lists of them cost over HTTP, and what their indexes cost
//! whoever accepts a message. Prints two tables; leaves nothing behind.

#![forbid(unsafe_code)]

use std::{
    fmt::Write as _,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::Value;
use tokio_postgres::{Client, NoTls};
use waystation_testkit::{
    process::Waystation,
    servers::{Postgres, PostgresOptions, Redis},
};

/// How long a page may take.
const TARGET: Duration = Duration::from_millis(50);
/// Messages in one statement of the filling.
const CHUNK_ROWS: u64 = 250_000;
/// Messages in one batch of the accept path.
const BATCH_ROWS: u64 = 500;
/// Batches that the accept path is measured with.
const BATCHES: u64 = 100;
/// Lines of plans that are printed.
const PLANS_MAX_LINES: usize = 200;
/// How often each page is asked for; the median counts.
const TIMES: usize = 7;

/// The filters, one and several at a time.
const QUERIES: &[&str] = &[
    "",
    "status=failed",
    "status=expired",
    "status=scheduled",
    "status=queued",
    "status=read",
    "status=played",
    "accepted_from={from}&accepted_before={before}",
    "to=16501000042",
    "template=template_7",
    "biz_opaque_callback_data=order%20123456",
    "category=marketing",
    "category=service",
    "from={sender}",
    "template=template_7&status=failed",
    "category=marketing&status=played",
    "to=16501000042&status=read&category=utility",
];

/// The indexes that serve lists.
const INDEXES: &[&str] = &[
    "messages_by_business",
    "messages_by_recipient",
    "messages_by_sender",
    "messages_by_category",
    "messages_by_template",
    "messages_by_callback_data",
    "messages_pending",
    "messages_in_trouble",
];

#[derive(Parser)]
struct Options {
    /// The program.
    #[arg(long)]
    bin: PathBuf,
    /// Messages.
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    let settings = [
        ("shared_buffers", "1GB"),
        ("max_wal_size", "8GB"),
        ("maintenance_work_mem", "512MB"),
        ("autovacuum", "off"),
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "50"),
    ];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let postgres = Postgres::start_with(PostgresOptions { fsync: true, settings }).await?;
    let redis = Redis::start().await?;
    let database = postgres.create_database().await?;
    let folder = tempfile::tempdir()?;
    let arguments = ["demo", "--json", "--port", "0", "--database", &database, "--queue", &redis.url(), "--data"];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).into();
    arguments.push(folder.path().display().to_string());
    let demo = Waystation::spawn(&options.bin, arguments, Vec::<(String, String)>::new())?;
    let info = demo.info().clone();
    let (business, sender) = (info.business_id.trim_start_matches("biz_").to_owned(), info.phone_number_id.clone());

    let (client, connection) = tokio_postgres::connect(&database, NoTls).await?;
    tokio::spawn(connection);
    let began = Instant::now();
    fill(&client, &business, &sender, options.rows).await?;
    let size: i64 = client.query_one("SELECT pg_total_relation_size('messages')", &[]).await?.get(0);
    println!("{} messages in {:.0?}, {} MB with indexes\n", options.rows, began.elapsed(), size / 1_048_576);

    let pages = measure_pages(&info.base_url, &info.token, &sender).await?;
    println!("{pages}");
    println!("{}", measure_accepting(&client, &business, &sender).await?);
    if pages.contains("OVER") {
        println!(
            "Plans of what took longer than {} ms are in the log of PostgreSQL:\n{}",
            TARGET.as_millis(),
            plans(&postgres)
        );
    }
    drop(demo);
    Ok(())
}

/// The rows from `first` on, as a query. One message a second, the newest now.
fn rows(business: &str, sender: &str, prefix: &str) -> String {
    format!(
        "SELECT {prefix} || lpad(upper(to_hex(n)), 16, '0'), '{business}', \
         CASE WHEN n % 20 = 0 THEN 1 ELSE {sender} END, '1650' || (1000000 + n * 7919 % 100000), \
         CASE WHEN n % 4 = 0 THEN 'text' ELSE 'template' END, \
         (ARRAY['service', 'utility', 'marketing', 'authentication'])[1 + n % 4], \
         '{{\"type\": \"text\", \"text\": {{\"body\": \"Your order has shipped and arrives tomorrow.\"}}}}', \
         'Your order has shipped and arrives tomorrow.', 'order ' || n, \
         CASE WHEN n % 10007 = 0 THEN 5 WHEN n % 997 = 0 THEN 4 WHEN n % 50021 = 0 THEN 9 WHEN n % 3 = 0 THEN 6 ELSE 7 END, \
         1, 1, false, 7, 'up-' || n, CASE WHEN n % 997 = 0 OR n % 10007 = 0 THEN '{{\"title\": \"gone\"}}' END, \
         CASE WHEN n % 50021 = 0 THEN 4000000000000 + n END, at, at, at + 86400000, \
         CASE WHEN n % 4 <> 0 THEN 'template_' || n % 50 END"
    )
}

const COLUMNS: &str = "id, business_id, sender_id, recipient, kind, category, body, rendered, callback_data, state, \
                       attempt, tries, ambiguous, receipts, upstream_id, error, due_at, accepted_at, updated_at, \
                       expires_at, template_name";

/// The first ten characters of a ULID of the moment `at`.
const ULID_TIME: &str = "(SELECT string_agg(substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', \
                         1 + ((at >> (5 * (9 - place))) & 31)::integer, 1), '' ORDER BY place) \
                         FROM generate_series(0, 9) AS place)";

async fn fill(client: &Client, business: &str, sender: &str, count: u64) -> Result<()> {
    for first in (0..count).step_by(usize::try_from(CHUNK_ROWS)?) {
        let last = (first + CHUNK_ROWS).min(count) - 1;
        let select = rows(business, sender, ULID_TIME);
        let statement = format!(
            "INSERT INTO messages ({COLUMNS}) {select} FROM (SELECT n, (extract(epoch from now()) * 1000)::bigint - \
             ({count} - n) * 1000 AS at FROM generate_series({first}::bigint, {last}::bigint) AS n) AS numbers"
        );
        client.batch_execute(&statement).await.with_context(|| format!("rows from {first}"))?;
        eprintln!("{} of {count}", last + 1);
    }
    client.batch_execute("VACUUM ANALYZE messages").await?;
    Ok(())
}

async fn measure_pages(base_url: &str, token: &str, sender: &str) -> Result<String> {
    drop(rustls::crypto::ring::default_provider().install_default());
    let http = reqwest::Client::new();
    let mut table = String::from("| filter | first page | entries | tenth page | entries |\n|---|---|---|---|---|\n");
    for query in QUERIES {
        let ago = |hours| (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string();
        let query = query.replace("{sender}", sender);
        let query = query.replace("{from}", &ago(72)).replace("{before}", &ago(48));
        let get = async |cursor: &str| -> Result<(Duration, Value)> {
            let url = format!("{base_url}/v1/messages?limit=50&{query}&cursor={cursor}");
            let began = Instant::now();
            let answer = http.get(&url).bearer_auth(token).send().await?;
            let (status, body) = (answer.status(), answer.text().await?);
            ensure!(status == 200, "{query}: {status} {body}");
            Ok((began.elapsed(), serde_json::from_str(&body)?))
        };
        let median = async |cursor: &str| -> Result<(String, usize, Value)> {
            let mut times = Vec::new();
            let mut page = Value::Null;
            for _ in 0..TIMES {
                let (time, answer) = get(cursor).await?;
                times.push(time);
                page = answer;
            }
            times.sort_unstable();
            let time = times[TIMES / 2];
            let over = if time > TARGET { " OVER" } else { "" };
            let entries = page["data"].as_array().map_or(0, Vec::len);
            Ok((format!("{:.1} ms{over}", time.as_secs_f64() * 1e3), entries, page["next"].clone()))
        };
        let (first, entries, mut next) = median("").await?;
        let mut deep = ("-".to_owned(), "-".to_owned());
        for page in 1..10 {
            let Some(cursor) = next.as_str().map(ToOwned::to_owned) else { break };
            if page == 9 {
                let (time, entries, _) = median(&cursor).await?;
                deep = (time, entries.to_string());
            } else {
                next = get(&cursor).await?.1["next"].clone();
            }
        }
        let shown = if query.is_empty() { "(none)" } else { &query };
        writeln!(table, "| `{shown}` | {first} | {entries} | {} | {} |", deep.0, deep.1)?;
    }
    Ok(table)
}

/// What batches cost that are written as intake writes them, with the indexes of lists and without.
async fn measure_accepting(client: &Client, business: &str, sender: &str) -> Result<String> {
    let mut table = String::from("| accept path | a batch of 500 | a message |\n|---|---|---|\n");
    for (number, name) in ["with the indexes of lists", "without"].into_iter().enumerate() {
        if number == 1 {
            client.batch_execute(&format!("DROP INDEX {}", INDEXES.join(", "))).await?;
        }
        let began = Instant::now();
        for batch in 0..BATCHES {
            let first = 20_000_000 + (u64::try_from(number)? * BATCHES + batch) * BATCH_ROWS;
            let select = rows(business, sender, &format!("'ZZZZZZZZ{number}Z'"));
            let last = first + BATCH_ROWS - 1;
            let statement = format!(
                "INSERT INTO messages ({COLUMNS}) {select} FROM (SELECT n, 2000000000000 + n AS at \
                 FROM generate_series({first}::bigint, {last}::bigint) AS n) AS numbers"
            );
            client.batch_execute(&statement).await?;
        }
        let each = began.elapsed() / u32::try_from(BATCHES)?;
        let message = each.as_secs_f64() * 1e6 / BATCH_ROWS as f64;
        writeln!(table, "| {name} | {:.1} ms | {message:.0} µs |", each.as_secs_f64() * 1e3)?;
    }
    Ok(table)
}

/// The plans of what took long, as the server noted them down.
fn plans(postgres: &Postgres) -> String {
    let log = fs::read_to_string(postgres.folder().join("log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().skip_while(|line| !line.contains("SELECT \"messages\"")).collect();
    lines[..lines.len().min(PLANS_MAX_LINES)].join("\n")
}
