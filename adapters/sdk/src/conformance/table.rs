//! The table, and what an adapter says that it is.

use super::{Bench, Not, THREADS, Verdict, require, skip};
use crate::abi::{Status, WAYSTATION_ADAPTER_MAGIC, WAYSTATION_ADAPTER_MAJOR};
use crate::caller::Entry;
use crate::types::Description;

/// The longest description, in bytes.
const DESCRIPTION_MAX_BYTES: usize = 64 * 1024;

/// The kinds of messages that there are.
pub(super) const KINDS: [&str; 12] = [
    "text",
    "template",
    "image",
    "video",
    "audio",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "reaction",
    "order",
];

pub(super) fn magic(entry: Entry) -> Verdict {
    let header = entry.header().ok_or_else(|| Not::Passed("there is no table".to_owned()))?;
    require(header.magic == WAYSTATION_ADAPTER_MAGIC, format!("it starts with {:#010x}", header.magic))
}

pub(super) fn major(entry: Entry) -> Verdict {
    let header = entry.header().ok_or_else(|| Not::Passed("there is no table".to_owned()))?;
    require(header.major == WAYSTATION_ADAPTER_MAJOR, format!("it has {}", header.major))
}

pub(super) fn size(entry: Entry) -> Verdict {
    match entry.plugin() {
        Ok(_) => Ok(()),
        Err(error) => Err(Not::Passed(error.to_string())),
    }
}

pub(super) fn build_info(bench: &Bench<'_>) -> Verdict {
    require(!bench.plugin.build_info().trim().is_empty(), "it is empty")
}

pub(super) fn describes(bench: &Bench<'_>) -> Verdict {
    bench.description().map(drop)
}

pub(super) fn name(bench: &Bench<'_>) -> Verdict {
    let name = bench.description()?.name;
    require(Description::is_valid_name(&name), format!("it is {name:?}"))
}

pub(super) fn version(bench: &Bench<'_>) -> Verdict {
    require(!bench.description()?.version.trim().is_empty(), "it is empty")
}

pub(super) fn schema(bench: &Bench<'_>) -> Verdict {
    let schema = bench.description()?.connection_schema;
    require(schema.is_object(), format!("it is {schema}"))
}

pub(super) fn describes_the_same(bench: &Bench<'_>) -> Verdict {
    let first = bench.description()?;
    for _ in 0..3 {
        require(bench.description()? == first, "it changed")?;
    }
    Ok(())
}

pub(super) fn describes_on_threads(bench: &Bench<'_>) -> Verdict {
    let alone = bench.description()?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..50 {
                        require(bench.description()? == alone, "it changed")?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("the suite does not panic"))
    })
}

pub(super) fn description_is_small(bench: &Bench<'_>) -> Verdict {
    let (_, answer) = bench.plugin.describe();
    require(answer.len() <= DESCRIPTION_MAX_BYTES, format!("it has {} bytes", answer.len()))
}

pub(super) fn schema_is_of_an_object(bench: &Bench<'_>) -> Verdict {
    let schema = bench.description()?.connection_schema;
    require(schema["type"] == "object", format!("its type is {}", schema["type"]))
}

pub(super) fn listens_and_receives(bench: &Bench<'_>) -> Verdict {
    let capabilities = bench.description()?.capabilities;
    if !capabilities.listens {
        return skip("the adapter has no address for callbacks");
    }
    require(capabilities.receives, "it would have them kept and cannot read them")
}

pub(super) fn kinds_are_known(bench: &Bench<'_>) -> Verdict {
    let mut kinds = bench.description()?.capabilities.kinds;
    let count = kinds.len();
    let strange = kinds.iter().find(|kind| !KINDS.contains(&kind.as_str()));
    require(strange.is_none(), format!("{strange:?} is none"))?;
    kinds.sort();
    kinds.dedup();
    require(kinds.len() == count, "one is named twice")
}

pub(super) fn null_answer(bench: &Bench<'_>) -> Verdict {
    let document = bench.send_document().to_string();
    for (call, status) in bench.plugin.calls_without_a_place_for_the_answer(document.as_bytes()) {
        require(status == Status::BadInput as i32, format!("`{call}` answered status {status}"))?;
    }
    Ok(())
}
