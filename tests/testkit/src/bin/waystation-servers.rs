//! Starts a private PostgreSQL and a private Redis and prints their addresses, for
//! working on Waystation's cluster profile. Both end, and leave nothing, when this
//! process does, however that ends.

#![forbid(unsafe_code)]

use waystation_testkit::servers::{Postgres, Redis};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (postgres, redis) = (Postgres::start().await?, Redis::start().await?);
    println!("WAYSTATION__DATABASE__URL={}", postgres.create_database().await?);
    println!("WAYSTATION__QUEUE__URL={}", redis.url());
    println!("# {} {}", postgres.port(), postgres.folder().display());
    println!("# {} {}", redis.port(), redis.folder().display());
    println!("# Ctrl-C ends both.");
    std::future::pending().await
}
