//! Private PostgreSQL, Redis and ChromeDriver servers for tests.
//!
//! A server lives as long as the value that started it: on a free port of 127.0.0.1, with its data
//! in a folder of its own, never touching a server that runs on the machine already. Neither the
//! process nor the folder outlives the test process, however that one ends, because a watchdog
//! waits for its death. A server that cannot be started is an error, never a skipped test.

mod chromedriver;
mod postgres;
mod redis;
mod watchdog;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

pub use self::chromedriver::ChromeDriver;
pub use self::postgres::{Postgres, PostgresOptions};
pub use self::redis::{Redis, RedisOptions};

/// How long a server may take until it answers.
const START_TIMEOUT_SECS: u64 = 30;
/// How often a starting server is looked at.
const START_POLL_MS: u64 = 10;
/// How many ports are tried: a free one may be taken before the server has it.
const PORT_ATTEMPTS_MAX: usize = 8;

const POLL: Duration = Duration::from_millis(START_POLL_MS);

/// A port that is free now. Somebody else may take it before it is used.
fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?.port())
}

fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpStream};

    use futures_util::future::try_join_all;

    use super::*;

    fn answers(port: u16) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    }

    async fn query(url: &str, text: &str) -> anyhow::Result<Vec<String>> {
        let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await?;
        let driver = tokio::spawn(connection);
        let rows = client.simple_query(text).await;
        driver.abort();
        let texts = rows?.into_iter().filter_map(|message| match message {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        });
        Ok(texts.collect())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn postgres_keeps_what_was_committed_through_a_kill_and_leaves_nothing() {
        let postgres = Postgres::start().await.unwrap();
        let url = postgres.create_database().await.unwrap();
        assert_eq!(query(&url, "SHOW fsync").await.unwrap(), ["on"]);
        query(&url, "CREATE TABLE kept (n int)").await.unwrap();
        query(&url, "INSERT INTO kept VALUES (42)").await.unwrap();
        postgres.kill().unwrap();
        assert!(query(&url, "SELECT 1").await.is_err());
        postgres.restart().await.unwrap();
        assert_eq!(query(&url, "SELECT n FROM kept").await.unwrap(), ["42"]);
        let (port, folder) = (postgres.port(), postgres.folder().to_owned());
        drop(postgres);
        assert!(!answers(port));
        assert!(!folder.exists());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn databases_made_at_once_are_different_and_empty() {
        let postgres = Postgres::shared().await.unwrap();
        let mut urls = try_join_all((0..4).map(|_| postgres.create_database())).await.unwrap();
        for url in &urls {
            query(url, "CREATE TABLE mine (n int)").await.unwrap();
        }
        urls.sort();
        urls.dedup();
        assert_eq!(urls.len(), 4);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn redis_is_wiped_killed_and_restarted_and_leaves_nothing() {
        let redis = Redis::start_with(RedisOptions { append_only: true }).await.unwrap();
        let client = ::redis::Client::open(redis.url()).unwrap();
        let set = async |value: &str| {
            let mut connection = client.get_multiplexed_async_connection().await?;
            ::redis::cmd("SET").arg("key").arg(value).query_async::<()>(&mut connection).await
        };
        let get = async || {
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            ::redis::cmd("GET").arg("key").query_async::<Option<String>>(&mut connection).await.unwrap()
        };
        set("kept").await.unwrap();
        // The file is flushed every second.
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        redis.kill().unwrap();
        assert!(set("lost").await.is_err());
        redis.restart().await.unwrap();
        assert_eq!(get().await.as_deref(), Some("kept"));
        redis.wipe().await.unwrap();
        assert_eq!(get().await, None);
        let (port, folder) = (redis.port(), redis.folder().to_owned());
        drop(redis);
        assert!(!answers(port));
        assert!(!folder.exists());
    }
}
