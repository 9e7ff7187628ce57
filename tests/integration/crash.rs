//! A message that was answered with success is kept, whatever process is killed and whenever, and
//! none is silently sent twice.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use waystation_testkit::sink::WebhookSink;

use crate::support::{
    Client, DELIVERED_ONLY, Profile, STATUS_FIRST, Server, Site, accepted, all_told, assert_no_silent_repeat, names,
    on_both_profiles,
};
use serde_json::json;

on_both_profiles!(no_accepted_message_is_lost_or_silently_repeated_over_six_kills);

/// Overrides the seed that the instants of the kills are made from.
const SEED_VARIABLE: &str = "WAYSTATION_TEST_SEED";
const KILLS: u64 = 6;
const MESSAGES_PER_KILL: u64 = 120;
const MESSAGES_PER_SECOND: f64 = 240.0;
const CONNECTIONS: usize = 6;
/// A kill comes this long after its round has begun at most: while messages are accepted, sent,
/// reported and told.
const KILL_AFTER_MAX_MS: u64 = 1_200;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn seeded() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let seed = match std::env::var(SEED_VARIABLE) {
            Ok(text) => text.parse().expect("a number"),
            Err(_) => u64::try_from(now).unwrap_or(0),
        };
        println!("{SEED_VARIABLE}={seed}");
        Self(seed)
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// The processes of an installation: the first takes messages.
fn roles(profile: Profile) -> &'static [&'static str] {
    match profile {
        Profile::Embedded => &["api,worker,admin"],
        Profile::Cluster => &["api,admin", "worker"],
    }
}

async fn no_accepted_message_is_lost_or_silently_repeated_over_six_kills(profile: Profile) {
    let mut chance = Chance::seeded();
    let mut site = Site::new(profile).await;
    site.recover_quickly();
    let sink = WebhookSink::start().expect("a sink");
    let info = site.add_business(Some(&sink));
    // A network that takes its time: so that there are attempts that a kill can cut off.
    site.set_connections(&json!({"send_latency_ms": 60})).await;

    let mut servers: Vec<Server> = roles(profile).iter().map(|roles| site.serve(roles)).collect();
    let mut client = Client::new(&info, &servers[0].base_url);
    let (mut delivered, mut read) = (Vec::new(), Vec::new());
    for round in 0..KILLS {
        let (suffix, ids) = match round % 2 {
            0 => (DELIVERED_ONLY, &mut delivered),
            _ => (STATUS_FIRST, &mut read),
        };
        let load = client.load(MESSAGES_PER_KILL, CONNECTIONS, MESSAGES_PER_SECOND, suffix);
        tokio::time::sleep(Duration::from_millis(chance.below(KILL_AFTER_MAX_MS))).await;
        // One of them, or all.
        let victim = chance.below(servers.len() as u64 + 1);
        for (number, server) in servers.iter_mut().enumerate() {
            if victim == number as u64 || victim == roles(profile).len() as u64 {
                server.process.kill9().expect("a kill");
                *server = site.serve(roles(profile)[number]);
            }
        }
        client = client.at(&servers[0].base_url);
        ids.extend(accepted(&load.ended().await));
    }
    assert!(delivered.len() + read.len() > 0, "nothing was accepted");

    let mut ambiguous = 0;
    for (ids, last) in [(delivered, "delivered"), (read, "read")] {
        let messages = client.all_reach(&ids, last).await;
        let histories = client.all_events(&ids).await;
        for (message, events) in messages.iter().zip(&histories) {
            assert_no_silent_repeat(message, events);
            ambiguous += usize::from(names(events).contains(&"ambiguous"));
        }
        all_told(&sink, &ids, &histories).await;
        println!("{} messages are {last}", ids.len());
    }
    println!("{ambiguous} were ambiguous on their way");
    assert_eq!(sink.tally().refused, 0);
}
