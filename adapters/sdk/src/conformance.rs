//! Guarantee: an adapter that passes every MUST of this suite keeps its side of the interface as far as calls can show,
//! whatever language it is written in.
//!
//! The suite drives a plugin's table directly and plays the host: it answers the adapter's requests by script, so nothing
//! leaves the process. It cannot stop a call that hangs; run it where that may be killed. The list is in
//! `CONFORMANCE.md`, which is generated from [`CASES`].

use std::collections::HashSet;
use std::fmt;

use serde_json::{Value, json};

use crate::abi::{Status, WAYSTATION_ADAPTER_MAGIC, WAYSTATION_ADAPTER_MAJOR};
use crate::caller::{Entry, Plugin};
use crate::inbound::MarkError;
use crate::io::LogLine;
use crate::link::Disconnected;
use crate::number::NumberError;
use crate::testing;
use crate::types::{Description, ReceiveError, SendError};
use crate::wire::{
    AdmitAnswer, Described, IoAnswer, IoOp, IoRequest, IoResult, MarkAnswer, MediaAnswer, NumberAnswer, OP_ADMIT,
    OP_CONNECT, OP_DELIVER_CODE, OP_MARK_READ, OP_REGISTER, OP_REQUEST_CODE, OP_UPLOAD_MEDIA, OP_VERIFY_CODE,
    ReceiveAnswer, Resume, SCHEMA_VERSION, SendAnswer, Step,
};

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
    C01 Must Table magic, "The table starts with the magic number";
    C02 Must Table major, "The table has this major version";
    C03 Must Table size, "The table's size covers every function of minor version 0, none of which is null";
    C04 Should Calls build_info, "The build info says what was built";
    C05 Must Calls describes, "`describe` answers DONE and a description of schema version 1";
    C06 Must Calls name, "The name is lower-case letters, digits and `-`, and starts with a letter";
    C07 Should Calls version, "The version is not empty";
    C08 Must Calls schema, "The connection schema is a JSON object";
    C09 Must Calls describes_the_same, "`describe` answers the same every time";
    C10 Must Calls empty_input, "`start` answers empty input with BAD_INPUT";
    C11 Must Calls garbage_input, "`start` answers bytes that are no JSON with BAD_INPUT";
    C12 Must Calls other_json, "`start` answers JSON of another shape with BAD_INPUT";
    C13 Must Calls other_version, "`start` answers a document of another schema version with BAD_INPUT";
    C14 Must Calls unknown_op, "`start` answers an operation it does not know with UNSUPPORTED";
    C15 Must Calls send_without_message, "`start` answers a send without a message with BAD_INPUT";
    C16 Must Calls new_members, "Members it does not know are ignored";
    C17 Must Calls resume_unknown, "`resume` answers a task that does not exist with UNKNOWN_TASK";
    C18 Must Calls free_unknown, "`free_task` ignores a task that does not exist";
    C19 Must Calls send_ends, "A send ends with an outcome when the host does what it is asked";
    C20 Must Calls accepted_has_id, "An accepted message has an upstream id";
    C21 Must Calls requests_have_ids, "Requests of a task have different ids";
    C22 Must Calls freed_task_is_gone, "A waiting task can be freed, and is gone then";
    C23 Must Calls ended_task_is_gone, "A task that ended is gone";
    C24 Must Calls bad_resume_keeps_task, "`resume` answers bytes that are no JSON with BAD_INPUT, and the task goes on";
    C25 Must Calls strange_result, "A result for a request that was never made is ignored";
    C26 Must Calls interleaved, "Two tasks that take turns do not mix";
    C27 Must Calls concurrent, "Functions can be called on several threads at once";
    C28 Must Calls long_text, "A text of 4,096 characters is no problem";
    C29 Must Calls unicode, "Nor is text of any script, with control characters and quotes";
    C30 Must Calls no_phone, "A recipient without a number has an outcome";
    C31 Must Calls no_settings, "A sender without settings has an outcome";
    C32 Must Calls nothing_sent, "When no request reached the network, the message is not accepted";
    C33 Must Calls unknown_is_not_success, "When no request has an answer, the message is not accepted";
    C34 Should Calls unknown_is_ambiguous, "When the one request has no answer, the outcome is `ambiguous`";
    C35 Must Calls bad_gateway, "When every answer is an error page, the message is not accepted";
    C36 Must Calls receives_as_described, "`receive` is unsupported if and only if the description says so";
    C37 Must Calls receive_garbage, "A callback that is no text has an outcome";
    C38 Must Calls receive_without_callback, "`start` answers a receive without a callback with BAD_INPUT";
    C39 Must Calls delivers_as_described, "`deliver_code` is unsupported if and only if the description names no way";
    C40 Must Calls verifies_as_described, "Operations on numbers are unsupported if and only if the description says so";
    C41 Must Calls number_without_member, "`start` answers an operation on a number without its member with BAD_INPUT";
    C42 Must Calls no_code_in_log, "What an adapter logs of a code does not have the code in it";
    C43 Must Calls unknown_is_not_done, "When no request has an answer, an operation on a number is not done";
    C44 Must Calls marks_as_described, "`mark_read` is unsupported if and only if the description says so";
    C45 Must Calls mark_without_member, "`start` answers a `mark_read` without a mark with BAD_INPUT";
    C46 Must Calls admits_as_described, "`admit` is unsupported if and only if the description says so";
    C47 Must Calls admit_without_callback, "`start` answers an `admit` without a callback with BAD_INPUT";
    C48 Must Calls strangers_are_turned_away, "A callback that nothing shows to be the network's is not kept";
    C49 Must Calls connects_as_described, "`connect` is unsupported if and only if the description says so";
    C50 Must Calls connect_without_link, "`start` answers a `connect` without a link with BAD_INPUT";
    C51 Must Calls lost_connection_ends, "A connection that cannot be made, or that the peer closes, ends as lost";
    C52 Must Calls uploads_as_described, "`upload_media` is unsupported if and only if the description says so";
    C53 Must Calls uploaded_has_id, "A file that was uploaded has an upstream id";
    C54 Must Calls upload_without_media, "`start` answers an upload without a file with BAD_INPUT";
    C55 Must Calls unread_is_not_uploaded, "When neither a piece of the file nor a request has an answer, it is not uploaded";
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
        Generated from `adapters/sdk/src/conformance.rs`; do not edit. A host relies on every MUST. The suite plays the \
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

const NO_FILES: &str = "the adapter takes no files";
const NO_NUMBERS: &str = "the adapter does nothing with numbers that needs the outside";

struct Bench<'a> {
    plugin: &'a Plugin,
    sample: &'a Sample,
}

struct Waiting {
    task: u64,
    requests: Vec<IoRequest>,
    log: Vec<LogLine>,
}

enum Started {
    Ended(Box<Step>),
    Waits(Waiting),
}

struct Ended {
    step: Step,
    requests: Vec<IoRequest>,
    log: Vec<LogLine>,
}

impl Bench<'_> {
    fn outbound(&self) -> Value {
        json!({
            "message_id": "msg_conformance",
            "attempt": 1,
            "attempt_ref": "msg_conformance.1",
            "accepted_at_ms": 1_750_000_000_000_i64,
            "attempt_at_ms": 1_750_000_000_005_i64,
            "sender": {"id": "snd_conformance", "phone": "15550001111"},
            "connection": self.sample.connection,
            "recipient": {"phone": self.sample.recipient_phone},
            "kind": "text",
            "body": {"type": "text", "text": {"body": "hello"}},
            "text": "hello",
        })
    }

    fn send_document(&self) -> Value {
        json!({"v": SCHEMA_VERSION, "op": "send", "message": self.outbound()})
    }

    fn with_text(&self, text: &str) -> Value {
        let mut document = self.send_document();
        document["message"]["text"] = json!(text);
        document["message"]["body"] = json!({"type": "text", "text": {"body": text}});
        document
    }

    fn receive_document(&self, body: &Value) -> Value {
        json!({
            "v": SCHEMA_VERSION, "op": "receive",
            "callback": {
                "body": body, "headers": [["content-type", "application/json"]],
                "connection": self.sample.connection, "received_at_ms": 1_750_000_000_010_i64,
            },
        })
    }

    fn agree(&self, op: &IoOp) -> IoAnswer {
        match op {
            IoOp::Http(_) => testing::json_response(self.sample.http_status, &self.sample.http_body),
            other => testing::agree(other),
        }
    }

    fn status_of_start(&self, input: &[u8]) -> (i32, u64) {
        let (status, task, _answer) = self.plugin.start(input);
        if task != 0 {
            self.plugin.free_task(task);
        }
        (status, task)
    }

    fn refuses(&self, input: &[u8], expected: Status) -> Verdict {
        let (status, task) = self.status_of_start(input);
        let shown = String::from_utf8_lossy(input);
        require(status == expected as i32, format!("{shown:?} was answered with status {status}"))?;
        require(task == 0, format!("{shown:?} left a task"))
    }

    fn start(&self, document: &Value) -> Result<Started, Not> {
        let (status, task, answer) = self.plugin.start(document.to_string().as_bytes());
        self.read(status, task, &answer)
    }

    fn resume(&self, waiting: &Waiting, results: Vec<IoResult>) -> Result<Started, Not> {
        let input = serde_json::to_vec(&Resume { v: SCHEMA_VERSION, results }).expect("results are JSON");
        let (status, answer) = self.plugin.resume(waiting.task, &input);
        self.read(status, waiting.task, &answer)
    }

    fn read(&self, status: i32, task: u64, answer: &[u8]) -> Result<Started, Not> {
        let step: Step = serde_json::from_slice(answer)
            .map_err(|error| Not::Passed(format!("status {status} came with an answer that is no step: {error}")))?;
        require(step.v == SCHEMA_VERSION, format!("the step has schema version {}", step.v))?;
        match Status::from_raw(status) {
            Some(Status::Done) => {
                require(step.io.is_empty(), "a task that ended makes requests")?;
                Ok(Started::Ended(Box::new(step)))
            }
            Some(Status::Pending) => {
                require(task != 0, "a waiting task has the number 0")?;
                let outcome = step.send.is_some()
                    || step.receive.is_some()
                    || step.mark.is_some()
                    || step.media.is_some()
                    || step.number.is_some();
                require(!outcome, "a waiting task has an outcome")?;
                Ok(Started::Waits(Waiting { task, requests: step.io, log: step.log }))
            }
            _ => Err(Not::Passed(format!("status {status}: {}", step.error.unwrap_or_default()))),
        }
    }

    fn waiting(&self) -> Result<Waiting, Not> {
        match self.start(&self.send_document())? {
            Started::Waits(waiting) => Ok(waiting),
            Started::Ended(_) => skip(NEVER_WAITS),
        }
    }

    fn drive(&self, document: &Value, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Ended, Not> {
        self.finish(self.start(document)?, answer)
    }

    fn finish(&self, mut state: Started, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Ended, Not> {
        let (mut made, mut log): (Vec<IoRequest>, Vec<LogLine>) = (Vec::new(), Vec::new());
        for _ in 0..STEPS_MAX {
            let waiting = match state {
                Started::Ended(mut step) => {
                    log.append(&mut step.log);
                    return Ok(Ended { step: *step, requests: made, log });
                }
                Started::Waits(waiting) => waiting,
            };
            require(!waiting.requests.is_empty(), "a task waits, and every request it made has its result")?;
            let results =
                waiting.requests.iter().map(|request| IoResult { id: request.id, result: answer(&request.op) });
            state = self.resume(&waiting, results.collect())?;
            made.extend(waiting.requests);
            log.extend(waiting.log);
        }
        Err(Not::Passed(format!("the operation was not over after {STEPS_MAX} steps")))
    }

    fn send(&self, document: &Value, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<(SendAnswer, Vec<IoRequest>), Not> {
        let ended = self.drive(document, answer)?;
        match ended.step.send {
            Some(outcome) => Ok((outcome, ended.requests)),
            None => Err(Not::Passed("a send ended without an outcome".to_owned())),
        }
    }

    fn receive(&self, body: &Value) -> Result<ReceiveAnswer, Not> {
        let ended = self.drive(&self.receive_document(body), |op| self.agree(op))?;
        ended.step.receive.ok_or_else(|| Not::Passed("a receive ended without an outcome".to_owned()))
    }

    /// The document of an operation on a number.
    fn number_document(&self, op: &str) -> Value {
        let sender = json!({"id": "snd_conformance", "phone": self.sample.recipient_phone});
        let (connection, at_ms) = (&self.sample.connection, 1_750_000_000_005_i64);
        let mut document = json!({"v": SCHEMA_VERSION, "op": op});
        let (member, content) = match op {
            OP_DELIVER_CODE => (
                "delivery",
                json!({
                    "reference": "conformance", "method": "sms", "phone": self.sample.recipient_phone,
                    "code": SAMPLE_CODE, "language": "en_US", "text": format!("{SAMPLE_CODE} is your code."),
                    "from": "Conformance", "connection": connection, "at_ms": at_ms,
                }),
            ),
            OP_REQUEST_CODE => (
                "request",
                json!({
                    "sender": sender, "connection": connection, "method": "sms", "language": "en_US", "at_ms": at_ms,
                }),
            ),
            OP_VERIFY_CODE => {
                ("check", json!({"sender": sender, "connection": connection, "code": SAMPLE_CODE, "at_ms": at_ms}))
            }
            _ => (
                "registration",
                json!({"sender": sender, "connection": connection, "pin": SAMPLE_CODE, "at_ms": at_ms}),
            ),
        };
        document[member] = content;
        document
    }

    /// Runs an operation on a number; `None` when the adapter does no such thing, by whichever of the two ways it says so.
    fn number(&self, op: &str, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Option<(NumberAnswer, Ended)>, Not> {
        let mut document = self.number_document(op);
        if op == OP_DELIVER_CODE
            && let Some(method) = self.description()?.capabilities.delivers_codes.first()
        {
            document["delivery"]["method"] = json!(method);
        }
        let (status, task, first) = self.plugin.start(document.to_string().as_bytes());
        if status == Status::Unsupported as i32 {
            require(task == 0, "an unsupported operation left a task")?;
            return Ok(None);
        }
        let mut ended = self.finish(self.read(status, task, &first)?, answer)?;
        match ended.step.number.take() {
            Some(NumberAnswer::Failed(NumberError::Unsupported)) => Ok(None),
            Some(outcome) => Ok(Some((outcome, ended))),
            None => Err(Not::Passed(format!("{op} ended without an outcome"))),
        }
    }

    fn connect(&self, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Disconnected, Not> {
        let document = json!({
            "v": SCHEMA_VERSION, "op": OP_CONNECT,
            "link": {"sender": {"id": "snd_conformance", "phone": "15550001111"}, "connection": self.sample.connection},
        });
        let (status, task, first) = self.plugin.start(document.to_string().as_bytes());
        if status == Status::Unsupported as i32 {
            require(task == 0, "an unsupported operation left a task")?;
            return Ok(Disconnected::Unsupported);
        }
        let ended = self.finish(self.read(status, task, &first)?, answer)?;
        ended.step.connect.ok_or_else(|| Not::Passed("a connection ended without saying how".to_owned()))
    }

    /// Uploads the sample file; `None` when the adapter takes none.
    fn upload(&self, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Option<(MediaAnswer, Ended)>, Not> {
        let document = json!({"v": SCHEMA_VERSION, "op": OP_UPLOAD_MEDIA, "media": {
            "media_id": "100000000000001", "sender": {"id": "snd_conformance", "phone": "15550001111"},
            "connection": self.sample.connection, "content_type": "text/plain", "file_name": "conformance.txt",
            "size_bytes": SAMPLE_FILE.len(), "sha256": SAMPLE_FILE_SHA256, "at_ms": 1_750_000_000_000_i64,
        }});
        let (status, task, first) = self.plugin.start(document.to_string().as_bytes());
        if status == Status::Unsupported as i32 {
            require(task == 0, "an unsupported operation left a task")?;
            return Ok(None);
        }
        let mut ended = self.finish(self.read(status, task, &first)?, answer)?;
        let outcome = ended.step.media.take();
        outcome
            .map(|outcome| Some((outcome, ended)))
            .ok_or_else(|| Not::Passed("it ended without an outcome".to_owned()))
    }

    /// Does what it is asked, with the sample file.
    fn hand_over(&self, op: &IoOp) -> IoAnswer {
        match op {
            IoOp::HttpWithMedia { .. } => testing::json_response(self.sample.http_status, &self.sample.http_body),
            IoOp::ReadMedia { offset, max_bytes } => {
                let rest =
                    usize::try_from(*offset).ok().and_then(|offset| SAMPLE_FILE.get(offset..)).unwrap_or_default();
                let most = usize::try_from(*max_bytes).unwrap_or(usize::MAX);
                IoAnswer::Media { bytes: rest[..rest.len().min(most)].to_vec().into() }
            }
            other => self.agree(other),
        }
    }

    fn description(&self) -> Result<Description, Not> {
        let (status, answer) = self.plugin.describe();
        require(status == Status::Done as i32, format!("status {status}"))?;
        let described: Described = serde_json::from_slice(&answer)
            .map_err(|error| Not::Passed(format!("the answer is no description: {error}")))?;
        require(described.v == SCHEMA_VERSION, format!("it has schema version {}", described.v))?;
        Ok(described.adapter)
    }
}

fn magic(entry: Entry) -> Verdict {
    let header = entry.header().ok_or_else(|| Not::Passed("there is no table".to_owned()))?;
    require(header.magic == WAYSTATION_ADAPTER_MAGIC, format!("it starts with {:#010x}", header.magic))
}

fn major(entry: Entry) -> Verdict {
    let header = entry.header().ok_or_else(|| Not::Passed("there is no table".to_owned()))?;
    require(header.major == WAYSTATION_ADAPTER_MAJOR, format!("it has {}", header.major))
}

fn size(entry: Entry) -> Verdict {
    match entry.plugin() {
        Ok(_) => Ok(()),
        Err(error) => Err(Not::Passed(error.to_string())),
    }
}

fn build_info(bench: &Bench<'_>) -> Verdict {
    require(!bench.plugin.build_info().trim().is_empty(), "it is empty")
}

fn describes(bench: &Bench<'_>) -> Verdict {
    bench.description().map(drop)
}

fn name(bench: &Bench<'_>) -> Verdict {
    let name = bench.description()?.name;
    require(Description::is_valid_name(&name), format!("it is {name:?}"))
}

fn version(bench: &Bench<'_>) -> Verdict {
    require(!bench.description()?.version.trim().is_empty(), "it is empty")
}

fn schema(bench: &Bench<'_>) -> Verdict {
    let schema = bench.description()?.connection_schema;
    require(schema.is_object(), format!("it is {schema}"))
}

fn describes_the_same(bench: &Bench<'_>) -> Verdict {
    let first = bench.description()?;
    for _ in 0..3 {
        require(bench.description()? == first, "it changed")?;
    }
    Ok(())
}

fn empty_input(bench: &Bench<'_>) -> Verdict {
    bench.refuses(b"", Status::BadInput)
}

fn garbage_input(bench: &Bench<'_>) -> Verdict {
    for input in [&b"{"[..], b"\xff\xfe\x00\x80", b"hello", b"{\"v\":1,\"op\":\"send\"", &[0; 64], &[b'['; 4096]] {
        bench.refuses(input, Status::BadInput)?;
    }
    Ok(())
}

fn other_json(bench: &Bench<'_>) -> Verdict {
    for input in ["[]", "null", "5", "\"send\"", "{}", "{\"v\":1}", "{\"v\":1,\"op\":7}"] {
        bench.refuses(input.as_bytes(), Status::BadInput)?;
    }
    Ok(())
}

fn other_version(bench: &Bench<'_>) -> Verdict {
    let mut document = bench.send_document();
    document["v"] = json!(SCHEMA_VERSION + 1);
    bench.refuses(document.to_string().as_bytes(), Status::BadInput)
}

fn unknown_op(bench: &Bench<'_>) -> Verdict {
    bench.refuses(b"{\"v\":1,\"op\":\"dance\"}", Status::Unsupported)
}

fn send_without_message(bench: &Bench<'_>) -> Verdict {
    bench.refuses(b"{\"v\":1,\"op\":\"send\"}", Status::BadInput)
}

fn receive_without_callback(bench: &Bench<'_>) -> Verdict {
    bench.refuses(b"{\"v\":1,\"op\":\"receive\"}", Status::BadInput)
}

fn new_members(bench: &Bench<'_>) -> Verdict {
    let mut document = bench.send_document();
    document["added_later"] = json!({"a": [1, 2]});
    document["message"]["added_later"] = json!("x");
    document["message"]["sender"]["added_later"] = json!(1);
    bench.send(&document, |op| bench.agree(op)).map(drop)
}

fn resume_unknown(bench: &Bench<'_>) -> Verdict {
    for task in [STRANGE_TASK, 0] {
        let (status, _) = bench.plugin.resume(task, b"{\"v\":1,\"results\":[]}");
        require(status == Status::UnknownTask as i32, format!("task {task} was answered with status {status}"))?;
    }
    Ok(())
}

fn free_unknown(bench: &Bench<'_>) -> Verdict {
    for task in [STRANGE_TASK, STRANGE_TASK, 0] {
        bench.plugin.free_task(task);
    }
    describes(bench)
}

fn send_ends(bench: &Bench<'_>) -> Verdict {
    bench.send(&bench.send_document(), |op| bench.agree(op)).map(drop)
}

fn accepted_has_id(bench: &Bench<'_>) -> Verdict {
    match bench.send(&bench.send_document(), |op| bench.agree(op))?.0 {
        SendAnswer::Accepted(accepted) => require(!accepted.upstream_id.is_empty(), "it is empty"),
        SendAnswer::Failed(error) => skip(&format!("the sample was not accepted: {error}")),
    }
}

fn requests_have_ids(bench: &Bench<'_>) -> Verdict {
    let (_, requests) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
    if requests.is_empty() {
        return skip(NEVER_WAITS);
    }
    let mut ids = HashSet::new();
    require(requests.iter().all(|request| ids.insert(request.id)), "an id was used twice")
}

fn freed_task_is_gone(bench: &Bench<'_>) -> Verdict {
    let waiting = bench.waiting()?;
    bench.plugin.free_task(waiting.task);
    let (status, _) = bench.plugin.resume(waiting.task, b"{\"v\":1,\"results\":[]}");
    require(status == Status::UnknownTask as i32, format!("`resume` answered status {status}"))?;
    bench.plugin.free_task(waiting.task);
    send_ends(bench)
}

fn ended_task_is_gone(bench: &Bench<'_>) -> Verdict {
    let waiting = bench.waiting()?;
    let task = waiting.task;
    bench.finish(Started::Waits(waiting), |op| bench.agree(op))?;
    let (status, _) = bench.plugin.resume(task, b"{\"v\":1,\"results\":[]}");
    require(status == Status::UnknownTask as i32, format!("`resume` answered status {status}"))
}

fn bad_resume_keeps_task(bench: &Bench<'_>) -> Verdict {
    let waiting = bench.waiting()?;
    for input in [&b""[..], b"}{", b"[]", b"{\"v\":1}"] {
        let (status, _) = bench.plugin.resume(waiting.task, input);
        let shown = String::from_utf8_lossy(input);
        require(status == Status::BadInput as i32, format!("{shown:?} was answered with status {status}"))?;
    }
    bench.finish(Started::Waits(waiting), |op| bench.agree(op)).map(drop)
}

fn strange_result(bench: &Bench<'_>) -> Verdict {
    let mut waiting = bench.waiting()?;
    let unused = waiting.requests.iter().map(|request| request.id).max().unwrap_or_default() + 1_000_000;
    let result = IoResult { id: unused, result: IoAnswer::Slept };
    match bench.resume(&waiting, vec![result])? {
        Started::Ended(_) => Err(Not::Passed("the task ended by it".to_owned())),
        Started::Waits(more) => {
            waiting.requests.extend(more.requests);
            bench.finish(Started::Waits(waiting), |op| bench.agree(op)).map(drop)
        }
    }
}

fn interleaved(bench: &Bench<'_>) -> Verdict {
    let alone = bench.send(&bench.send_document(), |op| bench.agree(op))?.0;
    let (first, second) = (bench.waiting()?, bench.waiting()?);
    require(first.task != second.task, format!("both have the number {}", first.task))?;
    // The later one ends first.
    for waiting in [second, first] {
        let ended = bench.finish(Started::Waits(waiting), |op| bench.agree(op))?;
        require(ended.step.send.as_ref() == Some(&alone), "its outcome is not what it is alone")?;
    }
    Ok(())
}

fn concurrent(bench: &Bench<'_>) -> Verdict {
    let alone = bench.send(&bench.send_document(), |op| bench.agree(op))?.0;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..OPERATIONS_PER_THREAD {
                        let (outcome, _) = bench.send(&bench.send_document(), |op| bench.agree(op))?;
                        require(outcome == alone, "an outcome is not what it is alone")?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("the suite does not panic"))
    })
}

fn long_text(bench: &Bench<'_>) -> Verdict {
    bench.send(&bench.with_text(&"x".repeat(4096)), |op| bench.agree(op)).map(drop)
}

fn unicode(bench: &Bench<'_>) -> Verdict {
    for text in
        ["\u{1f469}\u{200d}\u{1f680} שלום \u{202e}مرحبا नमस्ते", "\"\\\u{0}\u{1f}\n\t\u{7f}", "\u{10ffff}\u{feff}", ""]
    {
        bench.send(&bench.with_text(text), |op| bench.agree(op))?;
    }
    Ok(())
}

fn no_phone(bench: &Bench<'_>) -> Verdict {
    let mut document = bench.send_document();
    document["message"]["recipient"] = json!({"user_id": "US.1"});
    bench.send(&document, |op| bench.agree(op)).map(drop)
}

fn no_settings(bench: &Bench<'_>) -> Verdict {
    let mut document = bench.send_document();
    document["message"]["connection"] = Value::Null;
    bench.send(&document, |op| bench.agree(op)).map(drop)
}

fn asked_for_the_outside(requests: &[IoRequest]) -> bool {
    requests.iter().any(|request| !matches!(request.op, IoOp::Sleep { .. }))
}

fn not_accepted(bench: &Bench<'_>, answer: impl Fn(&IoOp) -> IoAnswer) -> Verdict {
    let (outcome, requests) = bench.send(&bench.send_document(), answer)?;
    if !asked_for_the_outside(&requests) {
        return skip(NO_REQUEST);
    }
    require(matches!(outcome, SendAnswer::Failed(_)), "it was accepted")
}

fn nothing_sent(bench: &Bench<'_>) -> Verdict {
    not_accepted(bench, |op| testing::fail(op, false))
}

fn unknown_is_not_success(bench: &Bench<'_>) -> Verdict {
    not_accepted(bench, |op| testing::fail(op, true))
}

fn unknown_is_ambiguous(bench: &Bench<'_>) -> Verdict {
    let (outcome, requests) = bench.send(&bench.send_document(), |op| testing::fail(op, true))?;
    let http = requests.iter().filter(|request| matches!(request.op, IoOp::Http(_))).count();
    if http != 1 {
        return skip(&format!("the adapter made {http} HTTP requests"));
    }
    require(matches!(outcome, SendAnswer::Failed(SendError::Ambiguous { .. })), format!("it is {outcome:?}"))
}

fn bad_gateway(bench: &Bench<'_>) -> Verdict {
    let (outcome, requests) = bench.send(&bench.send_document(), |op| match op {
        IoOp::Http(_) => testing::json_response(502, "<html><h1>502 Bad Gateway</h1></html>"),
        other => testing::agree(other),
    })?;
    if !requests.iter().any(|request| matches!(request.op, IoOp::Http(_))) {
        return skip("the adapter makes no HTTP request");
    }
    require(matches!(outcome, SendAnswer::Failed(_)), "it was accepted")
}

fn receives_as_described(bench: &Bench<'_>) -> Verdict {
    let receives = bench.description()?.capabilities.receives;
    let outcome = bench.receive(&json!("{}"))?;
    let unsupported = outcome == ReceiveAnswer::Failed(crate::ReceiveError::Unsupported);
    require(receives != unsupported, format!("the description says {receives}, the outcome is {outcome:?}"))
}

fn connects_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.connects;
    let end = bench.connect(|op| testing::fail(op, true))?;
    let supported = end != Disconnected::Unsupported;
    require(described == supported, format!("the description says {described}, the outcome is {end:?}"))
}

fn connect_without_link(bench: &Bench<'_>) -> Verdict {
    bench.refuses(b"{\"v\":1,\"op\":\"connect\"}", Status::BadInput)
}

fn lost_connection_ends(bench: &Bench<'_>) -> Verdict {
    if !bench.description()?.capabilities.connects {
        return skip("the adapter keeps no connections");
    }
    for end in [bench.connect(|op| testing::fail(op, true))?, bench.connect(|op| bench.agree(op))?] {
        require(matches!(end, Disconnected::Lost { .. }), format!("it ended as {end:?}"))?;
    }
    Ok(())
}

fn receive_garbage(bench: &Bench<'_>) -> Verdict {
    for body in [json!(""), json!("{"), json!({"base64": "/wCA"}), json!("[".repeat(4096))] {
        bench.receive(&body)?;
    }
    Ok(())
}

fn delivers_as_described(bench: &Bench<'_>) -> Verdict {
    let described = !bench.description()?.capabilities.delivers_codes.is_empty();
    let supported = bench.number(OP_DELIVER_CODE, |op| bench.agree(op))?.is_some();
    require(described == supported, format!("the description says {described}, the outcome {supported}"))
}

fn verifies_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.verifies_numbers;
    for op in [OP_REQUEST_CODE, OP_VERIFY_CODE, OP_REGISTER] {
        let supported = bench.number(op, |op| bench.agree(op))?.is_some();
        require(described == supported, format!("the description says {described}, the outcome of {op} {supported}"))?;
    }
    Ok(())
}

fn uploads_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.uploads_media;
    let supported = bench.upload(|op| bench.hand_over(op))?.is_some();
    require(described == supported, format!("the description says {described}, the outcome {supported}"))
}

fn uploaded_has_id(bench: &Bench<'_>) -> Verdict {
    match bench.upload(|op| bench.hand_over(op))? {
        None => skip(NO_FILES),
        Some((MediaAnswer::Uploaded(uploaded), _)) => require(!uploaded.upstream_id.is_empty(), "it is empty"),
        Some((MediaAnswer::Failed(error), _)) => skip(&format!("the adapter did not take the file: {error}")),
    }
}

fn upload_without_media(bench: &Bench<'_>) -> Verdict {
    let document = json!({"v": SCHEMA_VERSION, "op": OP_UPLOAD_MEDIA}).to_string();
    let (status, task) = bench.status_of_start(document.as_bytes());
    let refused = status == Status::BadInput as i32 || status == Status::Unsupported as i32;
    require(refused && task == 0, format!("it was answered with status {status}"))
}

fn unread_is_not_uploaded(bench: &Bench<'_>) -> Verdict {
    let Some((outcome, ended)) = bench.upload(|op| testing::fail(op, true))? else { return skip(NO_FILES) };
    require(asked_for_the_outside(&ended.requests), "it asked for nothing of the file")?;
    require(matches!(outcome, MediaAnswer::Failed(_)), "it was uploaded")
}

fn number_without_member(bench: &Bench<'_>) -> Verdict {
    for op in NUMBER_OPS {
        let (status, task) = bench.status_of_start(json!({"v": SCHEMA_VERSION, "op": op}).to_string().as_bytes());
        // One that does not know the operation need not know what belongs to it.
        let refused = status == Status::BadInput as i32 || status == Status::Unsupported as i32;
        require(refused && task == 0, format!("{op} was answered with status {status}"))?;
    }
    Ok(())
}

fn no_code_in_log(bench: &Bench<'_>) -> Verdict {
    let mut supported = false;
    for op in NUMBER_OPS {
        for answer in [|op: &IoOp| testing::agree(op), |op: &IoOp| testing::fail(op, true)] {
            let Some((_, ended)) = bench.number(op, answer)? else { continue };
            supported = true;
            let shown = ended.log.iter().find(|line| line.text.contains(SAMPLE_CODE));
            require(shown.is_none(), format!("{op} logs {:?}", shown.map(|line| &line.text)))?;
        }
    }
    if supported { Ok(()) } else { skip(NO_NUMBERS) }
}

fn unknown_is_not_done(bench: &Bench<'_>) -> Verdict {
    let mut asked = false;
    for op in NUMBER_OPS {
        let Some((outcome, ended)) = bench.number(op, |op| testing::fail(op, true))? else { continue };
        if asked_for_the_outside(&ended.requests) {
            asked = true;
            require(matches!(outcome, NumberAnswer::Failed(_)), format!("{op} was done"))?;
        }
    }
    if asked { Ok(()) } else { skip(NO_NUMBERS) }
}

fn marks_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.marks_read;
    let document = json!({
        "v": SCHEMA_VERSION, "op": OP_MARK_READ,
        "mark": {
            "sender": {"id": "snd_conformance", "phone": bench.sample.recipient_phone},
            "connection": bench.sample.connection, "upstream_id": "wamid.conformance",
            "from": {"phone": bench.sample.recipient_phone}, "typing": true, "at_ms": 1_750_000_000_006_i64,
        },
    });
    let (status, task, first) = bench.plugin.start(document.to_string().as_bytes());
    let supported = if status == Status::Unsupported as i32 {
        require(task == 0, "an unsupported operation left a task")?;
        false
    } else {
        let ended = bench.finish(bench.read(status, task, &first)?, |op| bench.agree(op))?;
        let outcome = ended.step.mark.ok_or_else(|| Not::Passed("a mark ended without an outcome".to_owned()))?;
        outcome != MarkAnswer::Failed(MarkError::Unsupported)
    };
    require(described == supported, format!("the description says {described}, the outcome {supported}"))
}

impl Bench<'_> {
    /// Asks how a callback is answered; `None` when the adapter does no such thing.
    fn admit(&self, method: &str, body: &Value) -> Result<Option<AdmitAnswer>, Not> {
        let mut document = self.receive_document(body);
        document["op"] = json!(OP_ADMIT);
        document["callback"]["method"] = json!(method);
        let (status, task, first) = self.plugin.start(document.to_string().as_bytes());
        if status == Status::Unsupported as i32 {
            require(task == 0, "an unsupported operation left a task")?;
            return Ok(None);
        }
        let ended = self.finish(self.read(status, task, &first)?, |op| self.agree(op))?;
        match ended.step.admit {
            Some(AdmitAnswer::Failed(ReceiveError::Unsupported)) => Ok(None),
            Some(outcome) => Ok(Some(outcome)),
            None => Err(Not::Passed("an admission ended without an outcome".to_owned())),
        }
    }
}

fn admits_as_described(bench: &Bench<'_>) -> Verdict {
    let described = bench.description()?.capabilities.listens;
    let supported = bench.admit("POST", &json!("{}"))?.is_some();
    require(described == supported, format!("the description says {described}, the outcome {supported}"))
}

fn admit_without_callback(bench: &Bench<'_>) -> Verdict {
    let (status, task) = bench.status_of_start(json!({"v": SCHEMA_VERSION, "op": OP_ADMIT}).to_string().as_bytes());
    // One that does not know the operation need not know what belongs to it.
    let refused = status == Status::BadInput as i32 || status == Status::Unsupported as i32;
    require(refused && task == 0, format!("it was answered with status {status}"))
}

fn strangers_are_turned_away(bench: &Bench<'_>) -> Verdict {
    for (method, body) in
        [("POST", json!("{}")), ("POST", json!("")), ("GET", json!("")), ("DELETE", json!("{\"entry\":[]}"))]
    {
        match bench.admit(method, &body)? {
            None => return skip("the adapter has no address for callbacks"),
            Some(AdmitAnswer::Admitted(admission)) => {
                require(!admission.keep, format!("a {method} with the body {body} is kept"))?;
            }
            Some(AdmitAnswer::Failed(_)) => {}
        }
    }
    Ok(())
}

fn mark_without_member(bench: &Bench<'_>) -> Verdict {
    let (status, task) = bench.status_of_start(json!({"v": SCHEMA_VERSION, "op": OP_MARK_READ}).to_string().as_bytes());
    // One that does not know the operation need not know what belongs to it.
    let refused = status == Status::BadInput as i32 || status == Status::Unsupported as i32;
    require(refused && task == 0, format!("it was answered with status {status}"))
}
