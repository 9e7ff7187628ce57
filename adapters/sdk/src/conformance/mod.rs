//! Guarantee: an adapter that passes every MUST of this suite keeps its side of the interface as far as calls can show,
//! whatever language it is written in.
//!
//! The suite drives a plugin's table directly and plays the host: it answers the adapter's requests by script, so nothing
//! leaves the process. It cannot stop a call that hangs; run it where that may be killed. The list is in
//! `CONFORMANCE.md`, which is generated from [`CASES`].

mod bench;
mod calls;
mod messages;
mod network;
mod operations;
mod privacy;
mod table;
mod tasks;

use std::fmt;

use serde_json::{Value, json};

use crate::caller::Entry;
use crate::wire::{OP_DELIVER_CODE, OP_REGISTER, OP_REQUEST_CODE, OP_VERIFY_CODE};
use bench::Bench;

/// Steps after which an operation counts as endless.
const STEPS_MAX: usize = 1000;

/// Threads, and operations of each, in the test of concurrency.
const THREADS: usize = 4;
const OPERATIONS_PER_THREAD: usize = 50;

/// The code in operations on numbers.
const SAMPLE_CODE: &str = "739184";

/// The operations on numbers.
const NUMBER_OPS: [&str; 4] = [OP_DELIVER_CODE, OP_REQUEST_CODE, OP_VERIFY_CODE, OP_REGISTER];

/// The file in uploads, and its SHA-256.
const SAMPLE_FILE: &[u8] = b"a file of the conformance suite";
const SAMPLE_FILE_SHA256: &str = "b883d7255e610a469a82c3e496d510cc2d5fded77db278bc99c9f3e5edd1224d";

/// A task number no plugin has given out yet.
const STRANGE_TASK: u64 = u64::MAX - 41;

/// How binding a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A host relies on it.
    Must,
    /// It helps the people who run the adapter.
    Should,
}

impl fmt::Display for Level {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
        })
    }
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it should.
    Pass,
    /// Not as it should, and why.
    Fail(String),
    /// It does not apply, and why.
    Skip(String),
}

/// One case of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its number, such as `C01`. Numbers are never used for something else.
    pub id: &'static str,
    /// What is required.
    pub title: &'static str,
    /// How binding that is.
    pub level: Level,
    /// How it ended.
    pub outcome: Outcome,
}

/// What the suite found, in the order of [`CASES`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Every case.
    pub cases: Vec<Case>,
}

impl Report {
    /// The cases that failed, of one level.
    pub fn failures(&self, level: Level) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(move |case| case.level == level && matches!(case.outcome, Outcome::Fail(_)))
    }

    /// Whether no MUST failed.
    #[must_use]
    pub fn conforms(&self) -> bool {
        self.failures(Level::Must).next().is_none()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for case in &self.cases {
            let (verdict, why) = match &case.outcome {
                Outcome::Pass => ("pass", None),
                Outcome::Fail(why) => ("FAIL", Some(why)),
                Outcome::Skip(why) => ("skip", Some(why)),
            };
            write!(out, "{verdict} {} {} {}", case.id, case.level, case.title)?;
            if let Some(why) = why {
                write!(out, ": {why}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

/// What to send with: something the adapter under test would accept.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Settings valid by the adapter's schema.
    pub connection: Value,
    /// The recipient's number.
    pub recipient_phone: String,
    /// The answer to HTTP requests that succeed; an empty JSON object with status 200 unless the adapter needs more.
    pub http_status: u16,
    /// The body of that answer.
    pub http_body: String,
}

impl Default for Sample {
    fn default() -> Self {
        Self {
            connection: json!({}),
            recipient_phone: "15550000001".to_owned(),
            http_status: 200,
            http_body: "{}".to_owned(),
        }
    }
}

/// A case before it is run.
pub struct Definition {
    /// Its number.
    pub id: &'static str,
    /// How binding it is.
    pub level: Level,
    /// What is required.
    pub title: &'static str,
    check: Check,
}

enum Check {
    /// Looks at the table before it is known to be one.
    Table(fn(Entry) -> Verdict),
    /// Calls the plugin.
    Calls(fn(&Bench<'_>) -> Verdict),
}

enum Not {
    Passed(String),
    Applicable(String),
}

type Verdict = Result<(), Not>;

macro_rules! cases {
    ($($id:ident $level:ident $kind:ident $check:path, $title:literal;)*) => {
        /// Every case, in order.
        pub const CASES: &[Definition] = &[
            $(Definition { id: stringify!($id), level: Level::$level, title: $title, check: Check::$kind($check) },)*
        ];
    };
}

cases! {
    C01 Must Table table::magic, "The table starts with the magic number";
    C02 Must Table table::major, "The table has this major version";
    C03 Must Table table::size, "The table's size covers every function of minor version 0, none of which is null";
    C04 Should Calls table::build_info, "The build info says what was built";
    C05 Must Calls table::describes, "`describe` answers DONE and a description of schema version 1";
    C06 Must Calls table::name, "The name is lower-case letters, digits and `-`, and starts with a letter";
    C07 Should Calls table::version, "The version is not empty";
    C08 Must Calls table::schema, "The connection schema is a JSON object";
    C09 Must Calls table::describes_the_same, "`describe` answers the same every time";
    C10 Must Calls calls::empty_input, "`start` answers empty input with BAD_INPUT";
    C11 Must Calls calls::garbage_input, "`start` answers bytes that are no JSON with BAD_INPUT";
    C12 Must Calls calls::other_json, "`start` answers JSON of another shape with BAD_INPUT";
    C13 Must Calls calls::other_version, "`start` answers a document of another schema version with BAD_INPUT";
    C14 Must Calls calls::unknown_op, "`start` answers an operation it does not know with UNSUPPORTED";
    C15 Must Calls calls::send_without_message, "`start` answers a send without a message with BAD_INPUT";
    C16 Must Calls calls::new_members, "Members it does not know are ignored";
    C17 Must Calls tasks::resume_unknown, "`resume` answers a task that does not exist with UNKNOWN_TASK";
    C18 Must Calls tasks::free_unknown, "`free_task` ignores a task that does not exist";
    C19 Must Calls messages::send_ends, "A send ends with an outcome when the host does what it is asked";
    C20 Must Calls messages::accepted_has_id, "An accepted message has an upstream id";
    C21 Must Calls tasks::requests_have_ids, "Requests of a task have different ids";
    C22 Must Calls tasks::freed_task_is_gone, "A waiting task can be freed, and is gone then";
    C23 Must Calls tasks::ended_task_is_gone, "A task that ended is gone";
    C24 Must Calls tasks::bad_resume_keeps_task, "`resume` answers bytes that are no JSON with BAD_INPUT, and the task goes on";
    C25 Must Calls tasks::strange_result, "A result for a request that was never made is ignored";
    C26 Must Calls tasks::interleaved, "Two tasks that take turns do not mix";
    C27 Must Calls tasks::concurrent, "Functions can be called on several threads at once";
    C28 Must Calls messages::long_text, "A text of 4,096 characters is no problem";
    C29 Must Calls messages::unicode, "Nor is text of any script, with control characters and quotes";
    C30 Must Calls messages::no_phone, "A recipient without a number has an outcome";
    C31 Must Calls messages::no_settings, "A sender without settings has an outcome";
    C32 Must Calls network::nothing_sent, "When no request reached the network, the message is not accepted";
    C33 Must Calls network::unknown_is_not_success, "When no request has an answer, the message is not accepted";
    C34 Should Calls network::unknown_is_ambiguous, "When the one request has no answer, the outcome is `ambiguous`";
    C35 Must Calls network::bad_gateway, "When every answer is an error page, the message is not accepted";
    C36 Must Calls operations::receives_as_described, "`receive` is unsupported if and only if the description says so";
    C37 Must Calls operations::receive_garbage, "A callback that is no text has an outcome";
    C38 Must Calls calls::receive_without_callback, "`start` answers a receive without a callback with BAD_INPUT";
    C39 Must Calls operations::delivers_as_described, "`deliver_code` is unsupported if and only if the description names no way";
    C40 Must Calls operations::verifies_as_described, "Operations on numbers are unsupported if and only if the description says so";
    C41 Must Calls calls::number_without_member, "`start` answers an operation on a number without its member with BAD_INPUT";
    C42 Must Calls operations::no_code_in_log, "What an adapter logs of a code does not have the code in it";
    C43 Must Calls operations::unknown_is_not_done, "When no request has an answer, an operation on a number is not done";
    C44 Must Calls operations::marks_as_described, "`mark_read` is unsupported if and only if the description says so";
    C45 Must Calls calls::mark_without_member, "`start` answers a `mark_read` without a mark with BAD_INPUT";
    C46 Must Calls operations::admits_as_described, "`admit` is unsupported if and only if the description says so";
    C47 Must Calls calls::admit_without_callback, "`start` answers an `admit` without a callback with BAD_INPUT";
    C48 Must Calls operations::strangers_are_turned_away, "A callback that nothing shows to be the network's is not kept";
    C49 Must Calls operations::connects_as_described, "`connect` is unsupported if and only if the description says so";
    C50 Must Calls calls::connect_without_link, "`start` answers a `connect` without a link with BAD_INPUT";
    C51 Must Calls operations::lost_connection_ends, "A connection that cannot be made, or that the peer closes, ends as lost";
    C52 Must Calls operations::uploads_as_described, "`upload_media` is unsupported if and only if the description says so";
    C53 Must Calls operations::uploaded_has_id, "A file that was uploaded has an upstream id";
    C54 Must Calls calls::upload_without_media, "`start` answers an upload without a file with BAD_INPUT";
    C55 Must Calls operations::unread_is_not_uploaded, "When neither a piece of the file nor a request has an answer, it is not uploaded";
    C56 Must Calls calls::null_input, "Input that is null and has a length is BAD_INPUT";
    C57 Must Calls table::null_answer, "A call without a place for its answer, or for its task, is BAD_INPUT";
    C58 Must Calls calls::no_task_is_left, "Unless it answers PENDING, `start` writes 0 as the task";
    C59 Must Calls calls::answers_are_text, "Every answer is one JSON document of this schema version, in UTF-8, without a NUL";
    C60 Should Calls calls::refusals_say_why, "What is refused is told why";
    C61 Must Calls table::listens_and_receives, "An adapter with an address for callbacks reads them";
    C62 Should Calls table::kinds_are_known, "The kinds of messages in the description are known ones, each named once";
    C63 Should Calls table::schema_is_of_an_object, "The connection schema is one of an object";
    C64 Must Calls table::description_is_small, "The description has at most 64 KiB";
    C65 Must Calls table::describes_on_threads, "`describe` answers the same on several threads at once";
    C66 Must Calls calls::message_of_another_shape, "`start` answers a message of another shape with BAD_INPUT";
    C67 Must Calls calls::other_resume_version, "`resume` answers another schema version with BAD_INPUT, and the task goes on";
    C68 Must Calls calls::new_members_of_results, "Members of results that it does not know are ignored";
    C69 Must Calls tasks::result_twice, "A result that comes twice counts once";
    C70 Must Calls tasks::many_wait, "Two hundred and fifty-six tasks can wait at once and end in any order";
    C71 Must Calls tasks::numbers_are_new, "A task's number is never used again";
    C72 Must Calls tasks::other_threads, "A task can be resumed, and freed, on another thread than the one that started it";
    C73 Must Calls tasks::freed_while_others_go_on, "Tasks can be freed while others run on another thread";
    C74 Must Calls tasks::each_its_own, "Operations on several threads at once each get their own outcome";
    C75 Must Calls tasks::connection_is_given_up, "A connection can be given up, and is gone then";
    C76 Must Calls messages::every_kind, "A message of any kind has an outcome";
    C77 Must Calls messages::unknown_kind, "A message of a kind that nobody knows has an outcome";
    C78 Must Calls messages::big_body, "A body of a megabyte has an outcome";
    C79 Must Calls messages::deep_body, "A body that is nested 100 levels deep has an outcome";
    C80 Must Calls messages::strange_times, "Any attempt, at any time, has an outcome";
    C81 Must Calls messages::strange_references, "A reference of any characters, up to 512, has an outcome";
    C82 Should Calls messages::same_again, "The same attempt asks for the same";
    C83 Must Calls messages::reference_is_given, "A network that returns references is given them";
    C84 Should Calls network::not_sent_is_not_ambiguous, "When the one request was surely not sent, the outcome is not `ambiguous`";
    C85 Must Calls network::refusing_statuses, "When every answer has a status of 3xx, 4xx or 5xx, the message is not accepted";
    C86 Should Calls network::too_many_is_waited_out, "When the answer is 429, the message is tried again later";
    C87 Must Calls network::strange_answers, "An answer that is empty, no text, no JSON or a megabyte has an outcome";
    C88 Must Calls network::wrong_kind, "The result of another kind of request is no success";
    C89 Must Calls network::requests_are_well_formed, "HTTP requests have a method in capitals, an absolute URL, and no header that is the host's";
    C90 Must Calls network::text_adds_no_header, "Line breaks in a message get into no header";
    C91 Should Calls network::is_secure, "Requests go over TLS unless the settings say otherwise";
    C92 Must Calls network::few_are_open, "No more than 64 requests are made at once";
    C93 Should Calls network::pauses_are_short, "While its network answers, a send pauses 30 s in all at most";
    C94 Must Calls privacy::no_setting_is_told, "No secret of a sender's settings is in a log or a failure";
    C95 Must Calls privacy::no_text_is_told, "Nothing that a message says is in a log or a failure";
    C96 Should Calls privacy::no_number_is_logged, "No recipient's number is in a log";
    C97 Must Calls operations::any_json_callback, "A callback of any JSON has an outcome";
    C98 Must Calls operations::callback_again, "A callback that is read again says the same";
    C99 Must Calls operations::strange_requests_are_answered, "A request to the address for callbacks has an answer, whatever it is";
    C100 Must Calls operations::error_page_is_not_done, "When every answer is an error page, an operation on a number is not done";
    C101 Must Calls operations::error_page_is_no_upload, "When every answer is an error page, a file is not uploaded";
    C102 Must Calls operations::unknown_is_not_marked, "When no request has an answer, a message is not marked as read";
}

/// Runs every case. Cases that need a working table are skipped without one.
#[must_use]
pub fn run(entry: Entry, sample: &Sample) -> Report {
    let plugin = entry.plugin();
    let cases = CASES.iter().map(|definition| {
        let verdict = match (&definition.check, &plugin) {
            (Check::Table(check), _) => check(entry),
            (Check::Calls(check), Ok(plugin)) => check(&Bench { plugin, sample }),
            (Check::Calls(_), Err(error)) => Err(Not::Applicable(error.to_string())),
        };
        Case {
            id: definition.id,
            title: definition.title,
            level: definition.level,
            outcome: match verdict {
                Ok(()) => Outcome::Pass,
                Err(Not::Passed(why)) => Outcome::Fail(why),
                Err(Not::Applicable(why)) => Outcome::Skip(why),
            },
        }
    });
    Report { cases: cases.collect() }
}

/// The suite's list as a Markdown document.
#[must_use]
pub fn as_markdown() -> String {
    let mut text = "# What an adapter is tested for\n\n\
        Generated from `adapters/sdk/src/conformance/mod.rs`; do not edit. A host relies on every MUST. The suite plays the \
        host and answers\nthe adapter's requests by script. Statuses are those of `include/waystation_adapter.h`.\n\n\
        | Case | Level | Requirement |\n|---|---|---|\n"
        .to_owned();
    for case in CASES {
        text.push_str(&format!("| {} | {} | {} |\n", case.id, case.level, case.title));
    }
    text
}

fn require(holds: bool, why: impl Into<String>) -> Verdict {
    if holds { Ok(()) } else { Err(Not::Passed(why.into())) }
}

fn skip<T>(why: &str) -> Result<T, Not> {
    Err(Not::Applicable(why.to_owned()))
}

const NEVER_WAITS: &str = "the adapter never waits";
const NO_REQUEST: &str = "the adapter makes no HTTP request and stores no callbacks";

const NO_CALLBACKS: &str = "the adapter reads no callbacks";

const NO_FILES: &str = "the adapter takes no files";
const NO_NUMBERS: &str = "the adapter does nothing with numbers that needs the outside";
