//! What every queue promises, tried on each: the same tests run on the one in process memory and
//! on a real Redis, and random sequences of operations must give the same answers on both.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use waystation_testkit::servers::{Redis, RedisOptions};

use super::{
    Claim, ClaimOptions, Claimed, Depth, EmbeddedQueue, Job, LANE_TURN_JOBS, Lane, Queue, QueueError, STEP_JOBS_MAX,
    Seen, Settle, Topic, connect,
};

const TOPIC: Topic = Topic::Messages;
const NOW: i64 = 1_800_000_000_000;
const LEASE_MS: i64 = 30_000;
/// Far less than the time after which a claimer would look on its own.
const WOKEN_WITHIN: Duration = Duration::from_secs(2);
const LONG: Duration = Duration::from_secs(60);

/// Two handles on one store, as two processes would have them.
struct Bench {
    one: Arc<dyn Queue>,
    two: Arc<dyn Queue>,
    embedded: Option<Arc<EmbeddedQueue>>,
    prefix: String,
}

impl Bench {
    fn embedded() -> Self {
        let queue = Arc::new(EmbeddedQueue::new());
        Self { one: queue.clone(), two: queue.clone(), embedded: Some(queue), prefix: String::new() }
    }

    async fn redis() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let prefix = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let url = Redis::shared().await.unwrap().url();
        Self {
            one: Arc::new(connect(&url, &prefix).await.unwrap()),
            two: Arc::new(connect(&url, &prefix).await.unwrap()),
            embedded: None,
            prefix,
        }
    }

    async fn wipe(&self) {
        if let Some(embedded) = &self.embedded {
            embedded.wipe();
            return;
        }
        let client = redis::Client::open(Redis::shared().await.unwrap().url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> =
            redis::cmd("KEYS").arg(format!("{}:*", self.prefix)).query_async(&mut connection).await.unwrap();
        redis::cmd("DEL").arg(keys).query_async::<()>(&mut connection).await.unwrap();
    }

    async fn push(&self, jobs: &[Job]) {
        self.one.push(TOPIC, jobs).await.unwrap();
    }

    async fn claim(&self, now_ms: i64, max: usize) -> Claim {
        self.one.claim(TOPIC, now_ms, &options(max)).await.unwrap()
    }

    async fn settle(&self, claimed: &Claimed, settle: Settle) {
        let settled = [(claimed.clone(), settle)];
        self.one.settle(TOPIC, &settled).await.unwrap();
    }

    async fn hold(&self, lane: &str, until_ms: i64) {
        let lane = Lane::from(lane);
        self.one.hold(TOPIC, &lane, until_ms).await.unwrap();
    }

    async fn depth(&self) -> Depth {
        self.one.depth(TOPIC).await.unwrap()
    }
}

fn options(max: usize) -> ClaimOptions {
    ClaimOptions { max, lease_ms: LEASE_MS, lane_in_flight: usize::MAX >> 12 }
}

fn job(lane: &str, id: &str, due_ms: i64) -> Job {
    Job { lane: lane.into(), id: id.into(), due_ms }
}

fn flood(lane: &str, jobs: usize) -> Vec<Job> {
    (0..jobs).map(|n| job(lane, &format!("{lane}{n:06}"), NOW)).collect()
}

fn ids(claim: &Claim) -> Vec<&str> {
    claim.jobs.iter().map(|claimed| claimed.id.as_str()).collect()
}

macro_rules! contract {
    ($($test:ident)+) => {
        mod on_embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Bench::embedded()).await;
            })+
        }

        mod on_redis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(super::Bench::redis().await).await;
            })+
        }
    };
}

contract! {
    an_empty_queue_has_nothing
    a_push_may_be_repeated
    a_lane_is_served_by_due_time_then_id
    a_job_is_not_served_before_it_is_due
    topics_do_not_mix
    a_flood_does_not_delay_another_lane
    a_lane_that_pauses_neither_gains_nor_loses
    heavy_lanes_share_equally
    more_lanes_than_one_step_are_all_served
    a_lane_keeps_to_its_limit
    a_lane_at_its_limit_leaves_room_for_others
    a_lease_that_ran_out_gives_the_job_back
    a_late_settle_changes_nothing
    a_settle_after_the_lease_counts_while_nobody_else_has_the_job
    again_reschedules
    a_push_leaves_a_leased_job_alone
    a_held_lane_waits_and_goes_on
    a_hold_counts_for_jobs_pushed_later
    a_lane_with_a_rate_is_served_at_it_and_delays_no_other
    what_came_in_counts_against_the_rate
    a_rate_that_was_halved_climbs_back
    missing_names_what_is_unknown
    wiped_is_reported_until_it_is_filled
    a_wipe_during_the_fill_is_reported_again
    a_push_through_another_handle_wakes
    a_push_between_claim_and_wait_is_not_slept_through
    a_freed_slot_and_a_released_lane_wake
    waiting_ends_by_itself
    depth_counts
    claimers_never_share_a_job
}

async fn an_empty_queue_has_nothing(bench: Bench) {
    let claim = bench.claim(NOW, 16).await;
    assert_eq!(claim.jobs, []);
    assert_eq!(claim.next_due_ms, None);
    assert_eq!(bench.depth().await, Depth::default());
    bench.push(&[]).await;
    bench.one.settle(TOPIC, &[]).await.unwrap();
    assert_eq!(bench.one.missing(TOPIC, &[]).await.unwrap(), []);
}

async fn a_push_may_be_repeated(bench: Bench) {
    bench.push(&[job("a", "1", NOW + 50)]).await;
    bench.push(&[job("a", "1", NOW + 90)]).await;
    bench.push(&[job("a", "1", NOW + 20), job("a", "1", NOW + 70)]).await;
    assert_eq!(bench.depth().await.waiting, 1);
    assert_eq!(bench.claim(NOW + 19, 16).await.next_due_ms, Some(NOW + 20));
    assert_eq!(ids(&bench.claim(NOW + 20, 16).await), ["1"]);
}

async fn a_lane_is_served_by_due_time_then_id(bench: Bench) {
    bench.push(&[job("a", "4", NOW), job("a", "3", NOW), job("a", "9", NOW - 5), job("a", "1", NOW + 1)]).await;
    assert_eq!(ids(&bench.claim(NOW + 5, 3).await), ["9", "3", "4"]);
    assert_eq!(ids(&bench.claim(NOW + 5, 3).await), ["1"]);
}

async fn a_job_is_not_served_before_it_is_due(bench: Bench) {
    bench.push(&[job("a", "1", NOW + 1000)]).await;
    let early = bench.claim(NOW + 999, 16).await;
    assert_eq!(early.jobs, []);
    assert_eq!(early.next_due_ms, Some(NOW + 1000));
    let due = bench.claim(NOW + 1000, 16).await;
    assert_eq!(ids(&due), ["1"]);
    assert_eq!(due.jobs[0].lease_until_ms, NOW + 1000 + LEASE_MS);
    assert_eq!(due.next_due_ms, Some(NOW + 1000 + LEASE_MS));
}

async fn topics_do_not_mix(bench: Bench) {
    bench.push(&[job("a", "1", NOW)]).await;
    for other in [Topic::Callbacks, Topic::Webhooks] {
        let claim = bench.one.claim(other, NOW, &options(16)).await.unwrap();
        assert_eq!(claim.jobs, []);
        assert_eq!(bench.one.depth(other).await.unwrap(), Depth::default());
    }
    assert_eq!(ids(&bench.claim(NOW, 16).await), ["1"]);
}

async fn a_flood_does_not_delay_another_lane(bench: Bench) {
    bench.push(&flood("a", 10_000)).await;
    for _ in 0..10 {
        assert_eq!(bench.claim(NOW, 16).await.jobs.len(), 16);
    }
    bench.push(&[job("b", "single", NOW)]).await;
    let claim = bench.claim(NOW, 16).await;
    assert!(ids(&claim).contains(&"single"), "{:?}", ids(&claim));
    assert_eq!(claim.jobs.len(), 16);
}

async fn a_lane_that_pauses_neither_gains_nor_loses(bench: Bench) {
    bench.push(&flood("heavy", 4_000)).await;
    let mut served = BTreeMap::new();
    for round in 0..200 {
        // Always pushed when the lane has just run empty, and named to win every tie.
        let jobs: Vec<_> = (0..LANE_TURN_JOBS).map(|n| job("a", &format!("{round:03}{n}"), NOW - 100)).collect();
        bench.push(&jobs).await;
        for claimed in bench.claim(NOW, LANE_TURN_JOBS).await.jobs {
            *served.entry(claimed.lane.to_string()).or_insert(0) += 1;
        }
    }
    assert!(served["heavy"] >= 750, "{served:?}");
    assert!(served["a"] >= 750, "{served:?}");
}

async fn heavy_lanes_share_equally(bench: Bench) {
    for n in 0..20 {
        bench.push(&flood(&format!("lane{n:02}"), 300)).await;
    }
    let mut served: BTreeMap<Lane, usize> = BTreeMap::new();
    for _ in 0..20 {
        for claimed in bench.claim(NOW, 100).await.jobs {
            *served.entry(claimed.lane).or_default() += 1;
        }
    }
    assert_eq!(served.values().sum::<usize>(), 2_000);
    assert!(served.values().all(|jobs| jobs.abs_diff(100) <= LANE_TURN_JOBS), "{served:?}");
}

async fn more_lanes_than_one_step_are_all_served(bench: Bench) {
    let lanes = STEP_JOBS_MAX * 3 + 7;
    let jobs: Vec<_> = (0..lanes).map(|n| job(&format!("lane{n:05}"), "only", NOW)).collect();
    bench.push(&jobs).await;
    assert_eq!(bench.depth().await.lanes, lanes as u64);
    let mut served = HashSet::new();
    loop {
        let claim = bench.claim(NOW, STEP_JOBS_MAX * 2).await;
        assert!(claim.jobs.len() <= STEP_JOBS_MAX);
        served.extend(claim.jobs.into_iter().map(|claimed| claimed.lane));
        if claim.next_due_ms != Some(NOW) {
            break;
        }
    }
    assert_eq!(served.len(), lanes);
}

async fn a_lane_keeps_to_its_limit(bench: Bench) {
    let limited = ClaimOptions { lane_in_flight: 3, ..options(16) };
    bench.push(&flood("a", 10)).await;
    let first = bench.one.claim(TOPIC, NOW, &limited).await.unwrap();
    assert_eq!(first.jobs.len(), 3);
    assert_eq!(first.next_due_ms, Some(NOW + LEASE_MS));
    let other = bench.two.claim(TOPIC, NOW + 1, &limited).await.unwrap();
    assert_eq!(other.jobs, []);
    bench.settle(&first.jobs[1], Settle::Done).await;
    let next = bench.two.claim(TOPIC, NOW + 2, &limited).await.unwrap();
    assert_eq!(ids(&next), ["a000003"]);
    // The two leases that began first run out; their jobs come first, and no third joins them.
    let expired = NOW + LEASE_MS;
    let last = bench.one.claim(TOPIC, expired, &limited).await.unwrap();
    assert_eq!(ids(&last), ["a000000", "a000002"]);
}

async fn a_lane_at_its_limit_leaves_room_for_others(bench: Bench) {
    let limited = ClaimOptions { lane_in_flight: 2, ..options(16) };
    bench.push(&flood("slow", 1_000)).await;
    bench.push(&flood("well", 2)).await;
    let claim = bench.one.claim(TOPIC, NOW, &limited).await.unwrap();
    assert_eq!(ids(&claim), ["slow000000", "slow000001", "well000000", "well000001"]);
    bench.push(&[job("well", "x", NOW)]).await;
    bench.settle(&claim.jobs[2], Settle::Done).await;
    let claim = bench.one.claim(TOPIC, NOW, &limited).await.unwrap();
    assert_eq!(ids(&claim), ["x"]);
}

async fn a_lease_that_ran_out_gives_the_job_back(bench: Bench) {
    bench.push(&[job("a", "1", NOW)]).await;
    let first = bench.claim(NOW, 16).await;
    let until = NOW + LEASE_MS;
    assert_eq!(first.next_due_ms, Some(until));
    assert_eq!(bench.claim(until - 1, 16).await.jobs, []);
    let again = bench.claim(until, 16).await;
    assert_eq!(ids(&again), ["1"]);
    assert!(again.jobs[0].lease_until_ms > first.jobs[0].lease_until_ms);
    assert_eq!(bench.claim(until, 16).await.jobs, []);
}

async fn a_late_settle_changes_nothing(bench: Bench) {
    bench.push(&[job("a", "1", NOW)]).await;
    let first = bench.claim(NOW, 16).await;
    let second = bench.claim(NOW + LEASE_MS, 16).await;
    bench.settle(&first.jobs[0], Settle::Done).await;
    bench.settle(&first.jobs[0], Settle::Again { due_ms: NOW }).await;
    assert_eq!(bench.depth().await.leased, 1);
    assert_eq!(bench.claim(NOW + LEASE_MS, 16).await.jobs, []);
    bench.settle(&second.jobs[0], Settle::Done).await;
    assert_eq!(bench.depth().await, Depth::default());
    bench.settle(&second.jobs[0], Settle::Again { due_ms: NOW }).await;
    assert_eq!(bench.depth().await, Depth::default());
}

async fn a_settle_after_the_lease_counts_while_nobody_else_has_the_job(bench: Bench) {
    bench.push(&[job("a", "1", NOW)]).await;
    let claim = bench.claim(NOW, 16).await;
    bench.settle(&claim.jobs[0], Settle::Done).await;
    let after = bench.claim(NOW + LEASE_MS * 2, 16).await;
    assert_eq!(after.jobs, []);
    assert_eq!(after.next_due_ms, None);
}

async fn again_reschedules(bench: Bench) {
    bench.push(&flood("a", 2)).await;
    let claim = bench.claim(NOW, 16).await;
    let due_ms = NOW + 5_000;
    bench.settle(&claim.jobs[0], Settle::Again { due_ms }).await;
    bench.settle(&claim.jobs[1], Settle::Done).await;
    let early = bench.claim(due_ms - 1, 16).await;
    assert_eq!(early.jobs, []);
    assert_eq!(early.next_due_ms, Some(due_ms));
    assert_eq!(ids(&bench.claim(due_ms, 16).await), ["a000000"]);
}

async fn a_push_leaves_a_leased_job_alone(bench: Bench) {
    bench.push(&[job("a", "1", NOW)]).await;
    let claim = bench.claim(NOW, 16).await;
    bench.push(&[job("a", "1", NOW)]).await;
    assert_eq!(bench.claim(NOW, 16).await.jobs, []);
    bench.settle(&claim.jobs[0], Settle::Done).await;
    assert_eq!(bench.depth().await, Depth::default());
}

async fn a_held_lane_waits_and_goes_on(bench: Bench) {
    bench.push(&flood("a", 20)).await;
    bench.push(&flood("b", 1)).await;
    bench.hold("a", NOW + 1_000).await;
    let claim = bench.claim(NOW, 16).await;
    assert_eq!(ids(&claim), ["b000000"]);
    assert_eq!(claim.next_due_ms, Some(NOW + 1_000));
    bench.hold("a", NOW + 3_000).await;
    assert_eq!(bench.claim(NOW + 1_000, 4).await.jobs, []);
    assert_eq!(bench.claim(NOW + 3_000, 4).await.jobs.len(), 4);
    // In the middle of its turn, with jobs leased.
    bench.hold("a", NOW + 9_000).await;
    let held = bench.claim(NOW + 4_000, 4).await;
    assert_eq!(held.jobs, []);
    assert_eq!(held.next_due_ms, Some(NOW + 9_000));
    bench.hold("a", 0).await;
    assert_eq!(bench.claim(NOW + 4_000, 4).await.jobs.len(), 4);
}

async fn a_hold_counts_for_jobs_pushed_later(bench: Bench) {
    bench.hold("a", NOW + 1_000).await;
    bench.push(&flood("a", 1)).await;
    let claim = bench.claim(NOW, 16).await;
    assert_eq!(claim.jobs, []);
    assert_eq!(claim.next_due_ms, Some(NOW + 1_000));
    assert_eq!(bench.claim(NOW + 1_000, 16).await.jobs.len(), 1);
    // A hold that never ends is still a hold that can be released.
    bench.hold("a", i64::MAX).await;
    bench.push(&[job("a", "x", NOW)]).await;
    assert_eq!(bench.claim(NOW + 2_000, 16).await.jobs, []);
    bench.hold("a", 0).await;
    assert_eq!(ids(&bench.claim(NOW + 2_000, 16).await), ["x"]);
}

/// How many jobs of each lane are served between two times, claimed every 5 ms.
async fn served(bench: &Bench, from: i64, to: i64) -> BTreeMap<String, usize> {
    let mut served = BTreeMap::new();
    for now in (from..to).step_by(5) {
        let claim = bench.claim(now, 100).await;
        assert!(claim.next_due_ms.is_none_or(|at| at > now) || claim.jobs.len() == 100, "it does not spin");
        for claimed in &claim.jobs {
            *served.entry(claimed.lane.to_string()).or_insert(0) += 1;
            bench.settle(claimed, Settle::Done).await;
        }
    }
    served
}

async fn a_lane_with_a_rate_is_served_at_it_and_delays_no_other(bench: Bench) {
    bench.one.pace(TOPIC, &"a".into(), 50).await.unwrap();
    bench.push(&flood("a", 300)).await;
    bench.push(&flood("b", 60)).await;
    let first = served(&bench, NOW, NOW + 1_000).await;
    assert_eq!(first.get("b"), Some(&60));
    assert!((50..=56).contains(&first["a"]), "its rate, and a tenth of a second's worth: {first:?}");
    assert_eq!(served(&bench, NOW + 1_000, NOW + 2_000).await["a"], 50);
    bench.two.pace(TOPIC, &"a".into(), 0).await.unwrap();
    assert_eq!(served(&bench, NOW + 2_000, NOW + 2_100).await["a"], 300 - 50 - first["a"], "no limit any more");
}

async fn what_came_in_counts_against_the_rate(bench: Bench) {
    bench.one.pace(TOPIC, &"a".into(), 50).await.unwrap();
    bench.two.spend(TOPIC, &"a".into(), 30, NOW).await.unwrap();
    bench.one.spend(TOPIC, &"nobody".into(), 30, NOW).await.unwrap();
    bench.push(&flood("a", 300)).await;
    assert!((20..=26).contains(&served(&bench, NOW, NOW + 1_000).await["a"]));
}

async fn a_rate_that_was_halved_climbs_back(bench: Bench) {
    bench.one.pace(TOPIC, &"a".into(), 100).await.unwrap();
    bench.push(&flood("a", 9_000)).await;
    for _ in 0..5 {
        bench.two.halve(TOPIC, &"a".into(), NOW).await.unwrap();
    }
    let halved = served(&bench, NOW, NOW + 1_000).await["a"];
    assert!((50..=58).contains(&halved), "halved once: {halved}");
    let later = served(&bench, NOW + 15_000, NOW + 16_000).await["a"];
    assert!((75..=90).contains(&later), "{later}");
    let whole = served(&bench, NOW + 40_000, NOW + 41_000).await["a"];
    assert!((100..=111).contains(&whole), "{whole}");
}

async fn missing_names_what_is_unknown(bench: Bench) {
    let mut asked = flood("a", 600);
    asked.extend(flood("b", 5));
    asked.push(job("a", "unknown", NOW));
    asked.push(job("b", "a000001", NOW));
    bench.push(&asked[..605]).await;
    let claim = bench.claim(NOW, 100).await;
    let mut missing = bench.one.missing(TOPIC, &asked).await.unwrap();
    missing.sort_by(|one, other| one.lane.cmp(&other.lane));
    assert_eq!(missing, asked[605..]);
    bench.settle(&claim.jobs[0], Settle::Done).await;
    assert_eq!(bench.one.missing(TOPIC, &asked).await.unwrap().len(), 3);
}

async fn wiped_is_reported_until_it_is_filled(bench: Bench) {
    // Whoever asked first may crash before the fill is complete.
    assert!(bench.one.wiped().await.unwrap());
    assert!(bench.two.wiped().await.unwrap());
    bench.two.push(TOPIC, &flood("a", 1)).await.unwrap();
    assert!(bench.two.mark_filled().await.unwrap());
    assert!(!bench.one.wiped().await.unwrap());
    assert!(!bench.two.wiped().await.unwrap());
    bench.wipe().await;
    assert_eq!(bench.one.missing(TOPIC, &flood("a", 1)).await.unwrap().len(), 1);
    assert!(bench.two.wiped().await.unwrap());
    assert!(bench.one.wiped().await.unwrap());
    assert!(bench.one.mark_filled().await.unwrap());
    assert!(!bench.two.wiped().await.unwrap());
}

async fn a_wipe_during_the_fill_is_reported_again(bench: Bench) {
    assert!(bench.one.wiped().await.unwrap());
    bench.wipe().await;
    assert!(!bench.one.mark_filled().await.unwrap());
    assert!(bench.one.wiped().await.unwrap());
    assert!(bench.one.mark_filled().await.unwrap());
    assert!(!bench.one.wiped().await.unwrap());
}

/// Lets a subscription that is being made come about.
async fn settle_down(bench: &Bench) {
    tokio::time::sleep(Duration::from_millis(200)).await;
    let seen = bench.claim(NOW, 0).await.seen;
    bench.one.wait(TOPIC, seen, Duration::from_millis(100)).await;
}

/// Waits as a worker does, and returns the first jobs and how long they took.
async fn next_jobs(queue: &Arc<dyn Queue>, options: &ClaimOptions) -> (Claim, Duration) {
    let started = Instant::now();
    loop {
        let claim = queue.claim(TOPIC, NOW, options).await.unwrap();
        if !claim.jobs.is_empty() || started.elapsed() > LONG {
            return (claim, started.elapsed());
        }
        queue.wait(TOPIC, claim.seen, LONG).await;
    }
}

async fn a_push_through_another_handle_wakes(bench: Bench) {
    settle_down(&bench).await;
    // A job that is due much later must not make the next push look unimportant.
    bench.push(&[job("a", "later", NOW + 60_000)]).await;
    let queue = Arc::clone(&bench.one);
    let worker = tokio::spawn(async move { next_jobs(&queue, &options(16)).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    bench.two.push(TOPIC, &flood("b", 1)).await.unwrap();
    let (claim, took) = worker.await.unwrap();
    assert_eq!(ids(&claim), ["b000000"]);
    assert!(took < WOKEN_WITHIN, "{took:?}");
}

async fn a_push_between_claim_and_wait_is_not_slept_through(bench: Bench) {
    settle_down(&bench).await;
    let claim = bench.claim(NOW, 16).await;
    bench.two.push(TOPIC, &flood("a", 1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let started = Instant::now();
    bench.one.wait(TOPIC, claim.seen, LONG).await;
    assert!(started.elapsed() < WOKEN_WITHIN);
}

async fn a_freed_slot_and_a_released_lane_wake(bench: Bench) {
    settle_down(&bench).await;
    let limited = ClaimOptions { lane_in_flight: 1, ..options(16) };
    bench.push(&flood("a", 2)).await;
    let first = bench.one.claim(TOPIC, NOW, &limited).await.unwrap();
    assert_eq!(ids(&first), ["a000000"]);
    let queue = Arc::clone(&bench.one);
    let worker = tokio::spawn(async move { next_jobs(&queue, &limited).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let done = [(first.jobs[0].clone(), Settle::Done)];
    bench.two.settle(TOPIC, &done).await.unwrap();
    let (claim, took) = worker.await.unwrap();
    assert_eq!(ids(&claim), ["a000001"]);
    assert!(took < WOKEN_WITHIN, "{took:?}");

    bench.hold("b", NOW + 60_000).await;
    bench.push(&flood("b", 1)).await;
    let queue = Arc::clone(&bench.one);
    let worker = tokio::spawn(async move { next_jobs(&queue, &limited).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    bench.two.hold(TOPIC, &"b".into(), 0).await.unwrap();
    let (claim, took) = worker.await.unwrap();
    assert_eq!(ids(&claim), ["b000000"]);
    assert!(took < WOKEN_WITHIN, "{took:?}");
}

async fn waiting_ends_by_itself(bench: Bench) {
    settle_down(&bench).await;
    let claim = bench.claim(NOW, 16).await;
    let started = Instant::now();
    bench.one.wait(TOPIC, claim.seen, Duration::from_millis(150)).await;
    assert!(started.elapsed() >= Duration::from_millis(149));
    assert!(started.elapsed() < WOKEN_WITHIN);
}

async fn depth_counts(bench: Bench) {
    bench.push(&flood("a", 5)).await;
    bench.push(&[job("b", "1", NOW - 7), job("c", "1", NOW + 7)]).await;
    let depth = bench.depth().await;
    let expected = Depth { lanes: 3, waiting: 7, leased: 0, oldest_due_ms: Some(NOW - 7) };
    assert_eq!(depth, expected);
    let claim = bench.claim(NOW, 16).await;
    let expected = Depth { lanes: 3, waiting: 1, leased: 6, oldest_due_ms: Some(NOW + 7) };
    assert_eq!(bench.depth().await, expected);
    for claimed in &claim.jobs {
        bench.settle(claimed, Settle::Done).await;
    }
    let expected = Depth { lanes: 1, waiting: 1, leased: 0, oldest_due_ms: Some(NOW + 7) };
    assert_eq!(bench.depth().await, expected);
}

async fn claimers_never_share_a_job(bench: Bench) {
    const LANES: usize = 20;
    const LANE_JOBS: usize = 150;
    const CLAIMERS: usize = 12;
    for n in 0..LANES {
        bench.push(&flood(&format!("lane{n:02}:"), LANE_JOBS)).await;
    }
    let limited = ClaimOptions { lane_in_flight: 10, ..options(7) };
    let mut claimers = Vec::new();
    for n in 0..CLAIMERS {
        let queue = Arc::clone(if n % 2 == 0 { &bench.one } else { &bench.two });
        claimers.push(tokio::spawn(async move {
            let mut got = Vec::new();
            let started = Instant::now();
            loop {
                let claim = queue.claim(TOPIC, NOW, &limited).await.unwrap();
                if claim.next_due_ms.is_none() || started.elapsed() > LONG {
                    return got;
                }
                if claim.jobs.is_empty() {
                    queue.wait(TOPIC, claim.seen, Duration::from_millis(20)).await;
                }
                tokio::task::yield_now().await;
                let settled: Vec<_> = claim.jobs.into_iter().map(|job| (job, Settle::Done)).collect();
                queue.settle(TOPIC, &settled).await.unwrap();
                got.extend(settled.into_iter().map(|(claimed, _)| claimed.id));
            }
        }));
    }
    let mut all = Vec::new();
    for claimer in claimers {
        all.extend(claimer.await.unwrap());
    }
    assert_eq!(all.len(), LANES * LANE_JOBS);
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), LANES * LANE_JOBS);
    assert_eq!(bench.depth().await, Depth::default());
}

/// One random operation. Lanes and ids are few, so that operations meet.
#[derive(Clone, Debug)]
enum Op {
    Push(Vec<(u8, u8, i16)>),
    Claim { max: usize, lease_ms: i64 },
    Settle { picks: Vec<(usize, Option<i16>)> },
    Hold { lane: u8, until: Option<i16> },
    Advance(i64),
}

fn op() -> impl Strategy<Value = Op> {
    let due = -100_i16..200;
    let pushed = (0..4_u8, 0..12_u8, due.clone());
    let pick = (0..64_usize, proptest::option::of(due));
    prop_oneof![
        3 => proptest::collection::vec(pushed, 1..8).prop_map(Op::Push),
        4 => (0..24_usize, 1..120_i64).prop_map(|(max, lease_ms)| Op::Claim { max, lease_ms }),
        3 => proptest::collection::vec(pick, 1..6).prop_map(|picks| Op::Settle { picks }),
        1 => (0..4_u8, proptest::option::of(1..200_i16))
            .prop_map(|(lane, until)| Op::Hold { lane, until }),
        2 => (0..120_i64).prop_map(Op::Advance),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting(i64),
    Leased(i64),
}

/// The promises, written down as plainly as possible. It does not know whose turn it is, only
/// what may and what must be handed out.
#[derive(Default)]
struct Model {
    jobs: BTreeMap<(String, String), State>,
    holds: BTreeMap<String, i64>,
    in_flight: usize,
}

impl Model {
    fn lanes(&self) -> BTreeSet<&str> {
        self.jobs.keys().map(|(lane, _)| lane.as_str()).collect()
    }

    fn held_until(&self, lane: &str) -> i64 {
        self.holds.get(lane).copied().unwrap_or(0)
    }

    fn in_lane<'a>(&'a self, lane: &'a str) -> impl Iterator<Item = (&'a str, State)> {
        self.jobs.iter().filter(move |((of, _), _)| of == lane).map(|((_, id), state)| (id.as_str(), *state))
    }

    fn busy(&self, lane: &str, now: i64) -> usize {
        self.in_lane(lane).filter(|(_, state)| matches!(state, State::Leased(until) if *until > now)).count()
    }

    /// What a lane must hand out, in this order, as far as it is asked.
    fn due(&self, lane: &str, now: i64) -> Vec<String> {
        if self.held_until(lane) > now {
            return Vec::new();
        }
        let mut due: Vec<_> = self
            .in_lane(lane)
            .filter_map(|(id, state)| match state {
                State::Leased(until) if until <= now => Some((0, until, id)),
                State::Waiting(due) if due <= now => Some((1, due, id)),
                _ => None,
            })
            .collect();
        due.sort_unstable();
        due.truncate(self.in_flight - self.busy(lane, now).min(self.in_flight));
        due.into_iter().map(|(_, _, id)| id.to_owned()).collect()
    }

    /// When something becomes due, after everything due has been handed out.
    fn next(&self, now: i64) -> Option<i64> {
        self.lanes()
            .into_iter()
            .filter_map(|lane| {
                let full = self.busy(lane, now) >= self.in_flight;
                let at = self
                    .in_lane(lane)
                    .filter_map(|(_, state)| match state {
                        State::Leased(until) => Some(until),
                        State::Waiting(due) => (!full).then_some(due),
                    })
                    .min()?;
                Some(at.max(self.held_until(lane)))
            })
            .min()
    }

    fn check_claim(&mut self, claim: &Claim, now: i64, max: usize, lease_ms: i64) {
        let mut by_lane: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for claimed in &claim.jobs {
            assert_eq!(claimed.lease_until_ms, now + lease_ms);
            by_lane.entry(&claimed.lane).or_default().push(&claimed.id);
        }
        assert!(claim.jobs.len() <= max);
        let drained = claim.jobs.len() < max;
        for lane in self.lanes() {
            let due = self.due(lane, now);
            let got = by_lane.remove(lane).unwrap_or_default();
            assert!(got.len() <= due.len(), "{lane}: {got:?} of {due:?}");
            assert_eq!(got, due[..got.len()], "{lane}");
            assert!(!drained || got.len() == due.len(), "{lane}: {got:?} of {due:?}");
        }
        assert!(by_lane.is_empty(), "unknown lanes: {by_lane:?}");
        for claimed in &claim.jobs {
            let key = (claimed.lane.to_string(), claimed.id.to_string());
            self.jobs.insert(key, State::Leased(claimed.lease_until_ms));
        }
        if drained {
            // It may be told to look too early, never too late, and never at once for nothing.
            let next = self.next(now);
            assert_eq!(claim.next_due_ms.is_some(), next.is_some());
            assert!(claim.next_due_ms <= next, "{:?} {next:?}", claim.next_due_ms);
            assert!(claim.next_due_ms.is_none_or(|at| at > now));
        } else {
            assert_eq!(claim.next_due_ms, Some(now));
        }
    }

    fn depth(&self) -> Depth {
        let waiting = |state: &State| match state {
            State::Waiting(due) => Some(*due),
            State::Leased(_) => None,
        };
        let waiting_jobs = self.jobs.values().filter_map(waiting).count();
        Depth {
            lanes: self.lanes().len() as u64,
            waiting: waiting_jobs as u64,
            leased: (self.jobs.len() - waiting_jobs) as u64,
            oldest_due_ms: self.jobs.values().filter_map(waiting).min(),
        }
    }
}

async fn play(ops: Vec<Op>, in_flight: usize) {
    let embedded = Bench::embedded();
    let redis = Bench::redis().await;
    let mut model = Model { in_flight, ..Model::default() };
    let mut now = NOW;
    let mut handed_out: Vec<Claimed> = Vec::new();
    let at = |now: i64, offset: i16| now + i64::from(offset);
    for op in ops {
        match op {
            Op::Push(jobs) => {
                let jobs: Vec<Job> = jobs
                    .iter()
                    .map(|(lane, id, due)| job(&format!("l{lane}"), &format!("j{id:02}"), at(now, *due)))
                    .collect();
                embedded.push(&jobs).await;
                redis.push(&jobs).await;
                for job in jobs {
                    let key = (job.lane.to_string(), job.id.to_string());
                    let state = model.jobs.entry(key).or_insert(State::Waiting(job.due_ms));
                    if let State::Waiting(due) = state {
                        *due = job.due_ms.min(*due);
                    }
                }
            }
            Op::Claim { max, lease_ms } => {
                let options = ClaimOptions { max, lease_ms, lane_in_flight: in_flight };
                let claim = embedded.one.claim(TOPIC, now, &options).await.unwrap();
                let other = redis.one.claim(TOPIC, now, &options).await.unwrap();
                assert_eq!(claim.jobs, other.jobs);
                assert_eq!(claim.next_due_ms, other.next_due_ms);
                model.check_claim(&claim, now, max, lease_ms);
                handed_out.extend(claim.jobs);
            }
            Op::Settle { picks } => {
                if handed_out.is_empty() {
                    continue;
                }
                // Recent claims mostly, but also old ones whose lease is over or settled.
                let settled: Vec<_> = picks
                    .iter()
                    .map(|(pick, again)| {
                        let back = pick % handed_out.len();
                        let claimed = handed_out[handed_out.len() - 1 - back].clone();
                        let settle = again.map_or(Settle::Done, |offset| Settle::Again { due_ms: at(now, offset) });
                        (claimed, settle)
                    })
                    .collect();
                embedded.one.settle(TOPIC, &settled).await.unwrap();
                redis.one.settle(TOPIC, &settled).await.unwrap();
                for (claimed, settle) in settled {
                    let key = (claimed.lane.to_string(), claimed.id.to_string());
                    if model.jobs.get(&key) == Some(&State::Leased(claimed.lease_until_ms)) {
                        match settle {
                            Settle::Done => model.jobs.remove(&key),
                            Settle::Again { due_ms } => model.jobs.insert(key, State::Waiting(due_ms)),
                        };
                    }
                }
            }
            Op::Hold { lane, until } => {
                let lane = format!("l{lane}");
                let until_ms = until.map_or(0, |offset| at(now, offset));
                embedded.hold(&lane, until_ms).await;
                redis.hold(&lane, until_ms).await;
                model.holds.insert(lane, until_ms);
            }
            Op::Advance(ms) => now += ms,
        }
        let depth = model.depth();
        assert_eq!(embedded.depth().await, depth);
        assert_eq!(redis.depth().await, depth);
    }
    let asked: Vec<Job> = (0..48).map(|n| job(&format!("l{}", n / 12), &format!("j{:02}", n % 12), NOW)).collect();
    let unknown = |job: &&Job| {
        let key = (job.lane.to_string(), job.id.to_string());
        !model.jobs.contains_key(&key)
    };
    let missing: Vec<Job> = asked.iter().filter(unknown).cloned().collect();
    assert_eq!(embedded.one.missing(TOPIC, &asked).await.unwrap(), missing);
    assert_eq!(redis.one.missing(TOPIC, &asked).await.unwrap(), missing);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_keep_rates_to_the_same_job(
        per_second in 1..200_u32,
        steps in proptest::collection::vec((0..400_i64, 0..6_u8), 1..40),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let (embedded, redis) = (Bench::embedded(), Bench::redis().await);
            for queue in [&embedded, &redis] {
                queue.one.pace(TOPIC, &"a".into(), per_second).await.unwrap();
                queue.push(&flood("a", 400)).await;
            }
            let mut now = NOW;
            for (passed, what) in steps {
                now += passed;
                for queue in [&embedded, &redis] {
                    match what {
                        0 => queue.one.halve(TOPIC, &"a".into(), now).await.unwrap(),
                        1 => queue.one.spend(TOPIC, &"a".into(), 3, now).await.unwrap(),
                        _ => {}
                    }
                }
                let (one, other) = (embedded.claim(now, 20).await, redis.claim(now, 20).await);
                assert_eq!(one.jobs, other.jobs);
                assert_eq!(one.next_due_ms, other.next_due_ms);
            }
        });
    }
}

#[test]
fn both_behave_as_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let ops = proptest::collection::vec(op(), 1..80);
    proptest!(config, |(ops in ops, in_flight in 1..6_usize)| {
        runtime.block_on(play(ops, in_flight));
    });
}

mod redis_alone {
    use super::*;

    /// Calls until one succeeds, as the engine does.
    async fn until_it_works(queue: &impl Queue) {
        let started = Instant::now();
        while let Err(error) = queue.depth(TOPIC).await {
            assert!(error.is_retryable(), "{error}");
            assert!(started.elapsed() < LONG, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_outage_gives_errors_that_say_where_and_then_it_works_again() {
        let server = Redis::start().await.unwrap();
        let queue = connect(&server.url(), "ws").await.unwrap();
        assert!(queue.wiped().await.unwrap());
        assert!(queue.mark_filled().await.unwrap());
        queue.push(TOPIC, &flood("a", 3)).await.unwrap();

        server.kill().unwrap();
        for _ in 0..3 {
            let started = Instant::now();
            let error = queue.push(TOPIC, &flood("a", 3)).await.unwrap_err();
            assert!(matches!(error, QueueError::Unavailable(_)), "{error}");
            assert!(error.to_string().contains(&server.port().to_string()));
            assert!(started.elapsed() < Duration::from_secs(5));
        }
        let seen = Seen::default();
        queue.wait(TOPIC, seen, Duration::from_millis(50)).await;

        server.restart().await.unwrap();
        until_it_works(&queue).await;
        assert!(queue.wiped().await.unwrap());
        queue.push(TOPIC, &flood("a", 3)).await.unwrap();
        assert!(queue.mark_filled().await.unwrap());
        assert!(!queue.wiped().await.unwrap());
        let claim = queue.claim(TOPIC, NOW, &options(16)).await.unwrap();
        assert_eq!(claim.jobs.len(), 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn wake_ups_work_again_after_an_outage() {
        let server = Redis::start().await.unwrap();
        let queue: Arc<dyn Queue> = Arc::new(connect(&server.url(), "ws").await.unwrap());
        let other = connect(&server.url(), "ws").await.unwrap();
        until_it_works(&other).await;
        server.restart().await.unwrap();
        until_it_works(&other).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let _ = queue.depth(TOPIC).await;
        let worker = tokio::spawn({
            let queue = Arc::clone(&queue);
            async move { next_jobs(&queue, &options(16)).await }
        });
        tokio::time::sleep(Duration::from_millis(300)).await;
        other.push(TOPIC, &flood("a", 1)).await.unwrap();
        let (claim, took) = worker.await.unwrap();
        assert_eq!(claim.jobs.len(), 1);
        assert!(took < WOKEN_WITHIN, "{took:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_restart_that_kept_its_data_asks_for_a_fill_all_the_same() {
        let server = Redis::start_with(RedisOptions { append_only: true }).await.unwrap();
        let queue = connect(&server.url(), "ws").await.unwrap();
        assert!(queue.wiped().await.unwrap());
        queue.push(TOPIC, &flood("a", 3)).await.unwrap();
        assert!(queue.mark_filled().await.unwrap());
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        server.restart().await.unwrap();
        until_it_works(&queue).await;
        assert!(queue.wiped().await.unwrap());
        assert_eq!(queue.missing(TOPIC, &flood("a", 3)).await.unwrap(), []);
        assert!(queue.mark_filled().await.unwrap());
        assert!(!queue.wiped().await.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn forgotten_scripts_are_sent_again() {
        let server = Redis::start().await.unwrap();
        let queue = connect(&server.url(), "ws").await.unwrap();
        queue.push(TOPIC, &flood("a", 3)).await.unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("SCRIPT").arg("FLUSH").query_async::<()>(&mut connection).await.unwrap();
        let claim = queue.claim(TOPIC, NOW, &options(16)).await.unwrap();
        assert_eq!(claim.jobs.len(), 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_lost_turn_order_is_mended() {
        let server = Redis::start().await.unwrap();
        let queue = connect(&server.url(), "ws").await.unwrap();
        queue.push(TOPIC, &flood("a", 30)).await.unwrap();
        queue.push(TOPIC, &flood("b", 30)).await.unwrap();
        queue.claim(TOPIC, NOW, &options(16)).await.unwrap();
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        redis::cmd("DEL").arg("ws:{messages}:turns").query_async::<()>(&mut connection).await.unwrap();
        let mut served = 16;
        for _ in 0..10 {
            served += queue.claim(TOPIC, NOW, &options(16)).await.unwrap().jobs.len();
        }
        assert_eq!(served, 60);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_without_tls_is_an_error_when_tls_is_asked_for() {
        let server = Redis::shared().await.unwrap();
        let url = format!("rediss://127.0.0.1:{}/", server.port());
        let queue = connect(&url, "ws").await.unwrap();
        assert!(queue.depth(TOPIC).await.unwrap_err().is_retryable());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_will_not_help_itself_is_refused() {
        let error = connect("http://127.0.0.1/", "ws").await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        let server = Redis::shared().await.unwrap();
        let url = format!("redis://:not-needed@127.0.0.1:{}/", server.port());
        let queue = connect(&url, "ws").await.unwrap();
        let error = queue.depth(TOPIC).await.unwrap_err();
        assert!(!error.is_retryable(), "{error}");
        assert!(!error.to_string().contains("not-needed"), "{error}");
    }
}
