//! Every case of the suite can fail: for each there is an adapter with a fault that it finds.
//!
//! The faults are the model's own, or are put between it and the suite: functions that call the model's and answer
//! something else. One test, since the fault that is set is the process's.

#![allow(unsafe_code, reason = "stands between the suite and the model's table")]

mod model;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::CStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;

use model::{FAULT, adapter_table, fault};
use waystation_adapter_sdk::abi::{AdapterTable, Buffer, Status, WAYSTATION_ADAPTER_MAGIC, WAYSTATION_ADAPTER_MAJOR};
use waystation_adapter_sdk::caller::Entry;
use waystation_adapter_sdk::conformance::{CASES, Outcome, Sample, run};

const ACCEPTED: &str = r#"{"v":1,"send":{"accepted":{"upstream_id":"x"}}}"#;

/// Whether a task was freed that was none.
static BROKEN: AtomicBool = AtomicBool::new(false);
/// Which thread a task was started on.
static STARTED_ON: Mutex<Option<HashMap<u64, ThreadId>>> = Mutex::new(None);
/// The model's numbers of the tasks that wait, by those that are shown.
static SHOWN: Mutex<BTreeMap<u64, u64>> = Mutex::new(BTreeMap::new());
/// The last task that was started.
static LAST: Mutex<u64> = Mutex::new(0);

fn model_start(input: &[u8], task: &mut u64, answer: &mut Buffer) -> i32 {
    let start = adapter_table().start.expect("a function");
    // SAFETY: what the model is given lives for the call.
    unsafe { start(input.as_ptr(), input.len(), task, answer) }
}

fn model_resume(task: u64, input: &[u8], answer: &mut Buffer) -> i32 {
    let resume = adapter_table().resume.expect("a function");
    // SAFETY: what the model is given lives for the call.
    unsafe { resume(task, input.as_ptr(), input.len(), answer) }
}

fn model_free(task: u64) {
    let free = adapter_table().free_task.expect("a function");
    // SAFETY: the model takes any number.
    unsafe { free(task) };
}

/// Puts other bytes in the place of an answer. The model frees them as its own, since both are vectors of one allocator.
fn say(answer: &mut Buffer, bytes: &[u8]) {
    let mut bytes = std::mem::ManuallyDrop::new(bytes.to_vec());
    *answer = Buffer { ptr: bytes.as_mut_ptr(), len: bytes.len(), capacity: bytes.capacity() };
}

fn said(answer: &Buffer) -> Vec<u8> {
    if answer.len == 0 {
        return Vec::new();
    }
    // SAFETY: the model wrote the answer a moment ago.
    unsafe { std::slice::from_raw_parts(answer.ptr, answer.len) }.to_vec()
}

fn reword(answer: &mut Buffer, from: &str, to: &str) {
    let text = String::from_utf8(said(answer)).expect("the model answers text");
    say(answer, text.replace(from, to).as_bytes());
}

fn finish(answer: &mut Buffer) {
    if fault("NUL behind the answer") {
        let mut bytes = said(answer);
        bytes.push(0);
        say(answer, &bytes);
    }
    if fault("no reasons") && String::from_utf8_lossy(&said(answer)).contains("\"error\":\"") {
        say(answer, b"{\"v\":1}");
    }
    if fault("numbers requests alike") {
        reword(answer, "\"id\":2", "\"id\":1");
    }
}

unsafe extern "C" fn describe(answer: *mut Buffer) -> i32 {
    // SAFETY: null or writable, as the interface has it.
    let Some(answer) = (unsafe { answer.as_mut() }) else {
        return if fault("answers nowhere") { Status::Done as i32 } else { Status::BadInput as i32 };
    };
    if fault("no description") || BROKEN.load(Ordering::SeqCst) {
        say(answer, b"{\"v\":1}");
        return Status::Done as i32;
    }
    let describe = adapter_table().describe.expect("a function");
    // SAFETY: the place is writable.
    let status = unsafe { describe(answer) };
    for (name, from, to) in [
        ("hides receives", "\"receives\":true", "\"receives\":false"),
        ("hides codes", "[\"voice\"]", "[]"),
        ("hides numbers", "\"verifies_numbers\":true", "\"verifies_numbers\":false"),
        ("hides marks", "\"marks_read\":true", "\"marks_read\":false"),
        ("hides listens", "\"listens\":true", "\"listens\":false"),
        ("hides connects", "\"connects\":true", "\"connects\":false"),
        ("hides uploads", "\"uploads_media\":true", "\"uploads_media\":false"),
    ] {
        if fault(name) {
            reword(answer, from, to);
        }
    }
    finish(answer);
    status
}

unsafe extern "C" fn start(input: *const u8, len: usize, task: *mut u64, answer: *mut Buffer) -> i32 {
    // SAFETY: null or writable, as the interface has it.
    let (Some(task), Some(answer)) = (unsafe { (task.as_mut(), answer.as_mut()) }) else {
        return if fault("answers nowhere") { Status::Done as i32 } else { Status::BadInput as i32 };
    };
    let before = *task;
    if input.is_null() && len > 0 {
        *task = 0;
        say(answer, b"{\"v\":1,\"error\":\"null\"}");
        return if fault("takes null") { Status::Done as i32 } else { Status::BadInput as i32 };
    }
    // SAFETY: readable for its length, as the interface has it.
    let input = if len == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(input, len) } };
    let text = String::from_utf8_lossy(input);
    if fault("takes any input") || BROKEN.load(Ordering::SeqCst) {
        *task = 0;
        say(answer, ACCEPTED.as_bytes());
        return if fault("takes any input") { Status::Done as i32 } else { Status::Panicked as i32 };
    }
    if fault("knows every member") && text.contains("added_later") {
        *task = 0;
        say(answer, b"{\"v\":1,\"error\":\"what is that\"}");
        return Status::BadInput as i32;
    }
    let status = model_start(input, task, answer);
    if *task != 0 {
        STARTED_ON
            .lock()
            .expect("no test has failed")
            .get_or_insert_default()
            .insert(*task, std::thread::current().id());
        if fault("mixes tasks") {
            *LAST.lock().expect("no test has failed") = *task;
        }
        if fault("uses numbers again") {
            let mut shown = SHOWN.lock().expect("no test has failed");
            let number = (1..).find(|number| !shown.contains_key(number)).expect("numbers do not end");
            shown.insert(number, *task);
            *task = number;
        }
    } else if fault("leaves the task as it was") {
        *task = before;
    }
    finish(answer);
    status
}

unsafe extern "C" fn resume(task: u64, input: *const u8, len: usize, answer: *mut Buffer) -> i32 {
    // SAFETY: null or writable, as the interface has it.
    let Some(answer) = (unsafe { answer.as_mut() }) else {
        return if fault("answers nowhere") { Status::Done as i32 } else { Status::BadInput as i32 };
    };
    if input.is_null() && len > 0 {
        say(answer, b"{\"v\":1,\"error\":\"null\"}");
        return Status::BadInput as i32;
    }
    // SAFETY: readable for its length, as the interface has it.
    let input = if len == 0 { &[][..] } else { unsafe { std::slice::from_raw_parts(input, len) } };
    let text = String::from_utf8_lossy(input);
    let is_known = STARTED_ON.lock().expect("no test has failed").as_ref().is_some_and(|it| it.contains_key(&task));
    let number = SHOWN.lock().expect("no test has failed").get(&task).copied().unwrap_or(task);
    let mut input = input.to_vec();
    if fault("resumes any version") {
        input = text.replace("{\"v\":2", "{\"v\":1").into_bytes();
    }
    let ends = fault("ends at a strange result") && text.contains("\"id\":1000");
    let panics = (fault("knows every member") && text.contains("added_later"))
        || (fault("counts results twice") && text.matches("\"id\":1,").count() > 1);
    let elsewhere = fault("stays on its thread")
        && is_known
        && STARTED_ON.lock().expect("no test has failed").as_ref().expect("a map")[&task]
            != std::thread::current().id();
    if ends || panics || elsewhere {
        model_free(number);
        say(answer, ACCEPTED.as_bytes());
        return if panics || elsewhere { Status::Panicked as i32 } else { Status::Done as i32 };
    }
    let mut status = model_resume(number, &input, answer);
    if status != Status::Pending as i32 && status != Status::BadInput as i32 {
        SHOWN.lock().expect("no test has failed").remove(&task);
    }
    if status == Status::BadInput as i32 && fault("ends at bad input") {
        model_free(number);
    }
    if status == Status::UnknownTask as i32 && fault("ends any task") {
        say(answer, ACCEPTED.as_bytes());
        status = Status::Done as i32;
    }
    finish(answer);
    status
}

unsafe extern "C" fn free_task(task: u64) {
    if fault("breaks at a strange task") {
        BROKEN.store(true, Ordering::SeqCst);
    }
    if fault("frees nothing") {
        return;
    }
    if fault("frees the last one too") {
        model_free(std::mem::take(&mut *LAST.lock().expect("no test has failed")));
    }
    let number = SHOWN.lock().expect("no test has failed").remove(&task).unwrap_or(task);
    model_free(number);
}

unsafe extern "C" fn free_buffer(buffer: Buffer) {
    let free = adapter_table().free_buffer.expect("a function");
    // SAFETY: the buffer is the model's, or one of `say`, which is made alike.
    unsafe { free(buffer) };
}

fn table() -> AdapterTable {
    AdapterTable {
        describe: Some(describe),
        start: Some(start),
        resume: Some(resume),
        free_task: Some(free_task),
        free_buffer: Some(free_buffer),
        ..*adapter_table()
    }
}

/// The ids of the cases that fail.
fn found(name: &'static str, table: AdapterTable) -> BTreeSet<&'static str> {
    *FAULT.write().expect("no test has failed") = name;
    BROKEN.store(false, Ordering::SeqCst);
    let table: &'static AdapterTable = Box::leak(Box::new(table));
    // SAFETY: the table is never freed, and keeps the rules as far as the suite relies on them for its own memory.
    let report = run(unsafe { Entry::new(table) }, &Sample::default());
    let failed = report.cases.into_iter().filter(|case| matches!(case.outcome, Outcome::Fail(_)));
    failed.map(|case| case.id).collect()
}

/// Each fault with the cases that are there for it.
const FAULTS: &[(&str, &[&str])] = &[
    // First, because what others leave behind stays under way.
    ("one at a time", &["C26", "C27", "C74"]),
    ("few at a time", &["C70", "C73"]),
    ("no description", &["C05"]),
    ("name", &["C06"]),
    ("version", &["C07"]),
    ("schema", &["C08"]),
    ("describes otherwise", &["C09", "C65"]),
    ("takes any input", &["C10", "C11", "C12", "C13", "C14", "C15", "C38", "C41", "C45", "C47", "C50", "C54", "C66"]),
    ("knows every member", &["C16", "C68"]),
    ("ends any task", &["C17", "C22", "C23"]),
    ("breaks at a strange task", &["C18"]),
    ("never ends", &["C19"]),
    ("no id", &["C20", "C53"]),
    ("numbers requests alike", &["C21"]),
    ("frees nothing", &["C22", "C72", "C75"]),
    ("ends at bad input", &["C24", "C67"]),
    ("ends at a strange result", &["C25"]),
    ("long text", &["C28"]),
    ("unicode", &["C29"]),
    ("no phone", &["C30"]),
    ("no settings", &["C31"]),
    ("takes silence for success", &["C32", "C33", "C43", "C55", "C88", "C102"]),
    ("never ambiguous", &["C34"]),
    ("takes anything for success", &["C35", "C85", "C100", "C101"]),
    ("hides receives", &["C36", "C61"]),
    ("binary callbacks", &["C37"]),
    ("hides codes", &["C39"]),
    ("hides numbers", &["C40"]),
    ("logs codes", &["C42"]),
    ("hides marks", &["C44"]),
    ("hides listens", &["C46"]),
    ("lets strangers in", &["C48"]),
    ("hides connects", &["C49"]),
    ("ends as asked", &["C51"]),
    ("hides uploads", &["C52"]),
    ("takes null", &["C56"]),
    ("answers nowhere", &["C57"]),
    ("leaves the task as it was", &["C58"]),
    ("NUL behind the answer", &["C59"]),
    ("no reasons", &["C60"]),
    ("kinds twice", &["C62"]),
    ("schema of a list", &["C63"]),
    ("long description", &["C64"]),
    ("resumes any version", &["C67"]),
    ("counts results twice", &["C69"]),
    ("uses numbers again", &["C71"]),
    ("stays on its thread", &["C72"]),
    ("kinds", &["C76"]),
    ("unknown kind", &["C77"]),
    ("big body", &["C78"]),
    ("deep body", &["C79"]),
    ("times", &["C80"]),
    ("references", &["C81"]),
    ("asks otherwise", &["C82"]),
    ("forgets the reference", &["C83"]),
    ("always ambiguous", &["C84"]),
    ("gives up at once", &["C86"]),
    ("binary answers", &["C87"]),
    ("method", &["C89"]),
    ("text in a header", &["C90"]),
    ("no TLS", &["C91"]),
    ("many requests", &["C92"]),
    ("long pause", &["C93"]),
    ("logs settings", &["C94"]),
    ("logs text", &["C95"]),
    ("logs numbers", &["C96"]),
    ("any callback", &["C97"]),
    ("reads otherwise", &["C98"]),
    ("strange callbacks", &["C99"]),
];

#[test]
fn every_case_finds_the_fault_that_it_is_there_for() {
    // What panics below does so on purpose.
    std::panic::set_hook(Box::new(|_| {}));
    let mut found_by_now = BTreeSet::new();
    let mut missed = Vec::new();
    assert_eq!(found("", table()), BTreeSet::new(), "without a fault nothing is found");
    for (broken, ids) in [
        (AdapterTable { magic: WAYSTATION_ADAPTER_MAGIC + 1, ..table() }, "C01"),
        (AdapterTable { major: WAYSTATION_ADAPTER_MAJOR + 1, ..table() }, "C02"),
        (AdapterTable { resume: None, ..table() }, "C03"),
        (AdapterTable { build_info: CStr::as_ptr(c" "), ..table() }, "C04"),
    ] {
        assert!(found("", broken).contains(ids), "{ids}");
        found_by_now.insert(ids);
    }
    for (name, expected) in FAULTS {
        let found = found(name, table());
        for id in *expected {
            if !found.contains(id) {
                missed.push(format!("{name}: {id} passes; found are {found:?}"));
            }
        }
        found_by_now.extend(expected.iter().copied());
    }
    drop(std::panic::take_hook());
    assert!(missed.is_empty(), "{missed:#?}");
    let without: Vec<&str> = CASES.iter().map(|case| case.id).filter(|id| !found_by_now.contains(id)).collect();
    assert!(without.is_empty(), "no fault shows that these can fail: {without:?}");
}
