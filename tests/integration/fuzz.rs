//! A bounded run of the fuzz targets, on a stable compiler: the bodies that cargo-fuzz runs for as long as one likes are
//! run here with their corpus and a fixed number of changes of it. The seed is told where something fails; setting
//! `FUZZ_SEED` repeats a run, and `FUZZ_ROUNDS` makes it longer.

use std::{
    env, fs,
    panic::{self, AssertUnwindSafe},
    path::Path,
};

use serde_json::{Value, json};

#[path = "../../fuzz/bodies.rs"]
mod bodies;

/// Inputs of a run when nobody says otherwise.
const ROUNDS: u64 = 20_000;
/// Where the numbers of a run start when nobody says otherwise.
const SEED: u64 = 0x5761_7973_7461;
/// Changes of one input at most.
const CHANGES_MAX: u64 = 6;

/// Numbers that only look drawn (xorshift64*), the same after the same seed.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 32).unwrap_or_default() % bound.max(1)
    }
}

/// A value that nobody expects.
fn odd(draw: &mut Draw) -> Value {
    let number = draw.next();
    let lengths = [0, 1, 20, 21, 60, 61, 256, 1_024, 1_025, 4_096, 4_097];
    let length = lengths[draw.below(lengths.len())];
    match draw.below(12) {
        0 => Value::Null,
        1 => json!(number),
        2 => json!(-1),
        3 => json!(1e308),
        4 => json!(""),
        5 => json!("x".repeat(length)),
        6 => json!("😀\u{200d}".repeat(length / 2)),
        7 => json!("\u{0}\n\t{{1}}\u{202e}"),
        8 => json!([]),
        9 => json!({}),
        10 => (0..draw.below(200)).fold(json!(1), |inner, _| json!([inner])),
        _ => json!(true),
    }
}

/// Changes one place of a value: puts something odd there, takes it out, or doubles it.
fn change_value(value: &mut Value, draw: &mut Draw) {
    let deeper = draw.below(4) > 0;
    match value {
        Value::Object(members) if deeper && !members.is_empty() => {
            let name = members.keys().nth(draw.below(members.len())).cloned().unwrap_or_default();
            match draw.below(8) {
                0 => drop(members.remove(&name)),
                1 => drop(members.insert(format!("{name}_"), odd(draw))),
                _ => change_value(&mut members[name.as_str()], draw),
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let index = draw.below(items.len());
            match draw.below(6) {
                0 => drop(items.remove(index)),
                1 => items.extend(vec![items[index].clone(); draw.below(40)]),
                _ => change_value(&mut items[index], draw),
            }
        }
        other => *other = odd(draw),
    }
}

/// Changes some bytes.
fn change_bytes(bytes: &mut Vec<u8>, other: &[u8], draw: &mut Draw) {
    let at = draw.below(bytes.len());
    match draw.below(5) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << draw.below(8),
        1 if !bytes.is_empty() => drop(bytes.remove(at)),
        2 => bytes.truncate(at),
        3 => bytes.insert(at, u8::try_from(draw.below(256)).unwrap_or_default()),
        _ => bytes.extend_from_slice(&other[draw.below(other.len())..]),
    }
}

fn setting(name: &str, usual: u64) -> u64 {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Runs `body` with every file of a corpus, and with changes of them.
fn run(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(&folder).expect("a corpus").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).expect("a file")).collect();
    assert!(corpus.len() > 20, "{} files in {}", corpus.len(), folder.display());
    let seed = setting("FUZZ_SEED", SEED).max(1);
    let mut draw = Draw(seed);
    let whole = corpus.iter().cloned().map(|input| (input, 0));
    let rounds = (1..=setting("FUZZ_ROUNDS", ROUNDS)).map(|round| {
        let mut input = corpus[draw.below(corpus.len())].clone();
        let other = &corpus[draw.below(corpus.len())];
        for _ in 0..=draw.next() % CHANGES_MAX {
            match serde_json::from_slice::<Value>(&input) {
                Ok(mut value) if draw.below(5) > 0 => {
                    change_value(&mut value, &mut draw);
                    input = value.to_string().into_bytes();
                }
                _ => change_bytes(&mut input, other, &mut draw),
            }
        }
        (input, round)
    });
    for (input, round) in whole.chain(rounds) {
        let done = panic::catch_unwind(AssertUnwindSafe(|| body(&input)));
        if done.is_err() {
            panic!("{target}: FUZZ_SEED={seed} fails in round {round} with {}", String::from_utf8_lossy(&input));
        }
    }
}

#[test]
fn no_body_of_a_message_is_read_in_two_ways_or_brings_the_reader_down() {
    run("message", bodies::message);
}
