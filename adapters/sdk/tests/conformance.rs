//! The conformance suite on an adapter of this SDK, and its list. `UPDATE_GENERATED=1 cargo test -p
//! waystation-adapter-sdk` rewrites the list.

#![allow(unsafe_code, reason = "hands the table of the model to the suite")]

mod model;

use std::path::Path;

use model::adapter_table;
use waystation_adapter_sdk::caller::Entry;
use waystation_adapter_sdk::conformance::{CASES, Level, Outcome, Sample, as_markdown, run};

#[test]
fn an_adapter_of_this_sdk_conforms() {
    // SAFETY: the table is this binary's own.
    let entry = unsafe { Entry::new(adapter_table()) };
    let report = run(entry, &Sample::default());
    assert!(report.conforms(), "{report}");
    assert_eq!(report.failures(Level::Should).count(), 0, "{report}");
    assert!(report.cases.iter().all(|case| case.outcome == Outcome::Pass), "{report}");
}

#[test]
fn without_a_table_nothing_is_called() {
    // SAFETY: null is allowed.
    let report = run(unsafe { Entry::new(std::ptr::null()) }, &Sample::default());
    assert_eq!(report.cases.len(), CASES.len());
    assert_eq!(report.failures(Level::Must).count(), 3, "{report}");
    assert!(report.cases[3..].iter().all(|case| matches!(case.outcome, Outcome::Skip(_))), "{report}");
}

#[test]
fn the_list_is_what_the_suite_runs() {
    for (position, case) in CASES.iter().enumerate() {
        assert_eq!(case.id, format!("C{:02}", position + 1));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONFORMANCE.md");
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, as_markdown()).expect("the list can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == as_markdown(),
        "{} differs from adapters/sdk/src/conformance/mod.rs: run UPDATE_GENERATED=1 cargo test -p waystation-adapter-sdk",
        path.display()
    );
}
