//! Plays the host for the cases: documents that would be sent, and operations that are run to their end.

use serde_json::{Value, json};

use super::{
    NEVER_WAITS, Not, SAMPLE_CODE, SAMPLE_FILE, SAMPLE_FILE_SHA256, STEPS_MAX, Sample, Verdict, require, skip,
};
use crate::abi::Status;
use crate::caller::Plugin;
use crate::inbound::MarkError;
use crate::io::LogLine;
use crate::link::Disconnected;
use crate::number::NumberError;
use crate::testing;
use crate::types::{Description, ReceiveError};
use crate::wire::{
    AdmitAnswer, Described, IoAnswer, IoOp, IoRequest, IoResult, MarkAnswer, MediaAnswer, NumberAnswer, OP_ADMIT,
    OP_CONNECT, OP_DELIVER_CODE, OP_MARK_READ, OP_REQUEST_CODE, OP_UPLOAD_MEDIA, OP_VERIFY_CODE, ReceiveAnswer, Resume,
    SCHEMA_VERSION, SendAnswer, Step,
};

pub(super) struct Bench<'a> {
    pub(super) plugin: &'a Plugin,
    pub(super) sample: &'a Sample,
}

pub(super) struct Waiting {
    pub(super) task: u64,
    pub(super) requests: Vec<IoRequest>,
    pub(super) log: Vec<LogLine>,
}

pub(super) enum Started {
    Ended(Box<Step>),
    Waits(Waiting),
}

pub(super) struct Ended {
    pub(super) step: Step,
    pub(super) requests: Vec<IoRequest>,
    pub(super) log: Vec<LogLine>,
}

impl Bench<'_> {
    pub(super) fn outbound(&self) -> Value {
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

    pub(super) fn send_document(&self) -> Value {
        json!({"v": SCHEMA_VERSION, "op": "send", "message": self.outbound()})
    }

    pub(super) fn with_text(&self, text: &str) -> Value {
        let mut document = self.send_document();
        document["message"]["text"] = json!(text);
        document["message"]["body"] = json!({"type": "text", "text": {"body": text}});
        document
    }

    pub(super) fn receive_document(&self, body: &Value) -> Value {
        json!({
            "v": SCHEMA_VERSION, "op": "receive",
            "callback": {
                "body": body, "headers": [["content-type", "application/json"]],
                "connection": self.sample.connection, "received_at_ms": 1_750_000_000_010_i64,
            },
        })
    }

    pub(super) fn agree(&self, op: &IoOp) -> IoAnswer {
        match op {
            IoOp::Http(_) => testing::json_response(self.sample.http_status, &self.sample.http_body),
            other => testing::agree(other),
        }
    }

    /// The status of a start, whose task, if there is one, is freed.
    pub(super) fn status_of_start(&self, input: &[u8]) -> (i32, u64) {
        let (status, task, _answer) = self.plugin.start(input);
        if task != 0 {
            self.plugin.free_task(task);
        }
        (status, task)
    }

    pub(super) fn refuses(&self, input: &[u8], expected: Status) -> Verdict {
        let (status, task) = self.status_of_start(input);
        let shown = String::from_utf8_lossy(input);
        require(status == expected as i32, format!("{shown:?} was answered with status {status}"))?;
        require(task == 0, format!("{shown:?} left a task"))
    }

    pub(super) fn start(&self, document: &Value) -> Result<Started, Not> {
        let (status, task, answer) = self.plugin.start(document.to_string().as_bytes());
        self.read(status, task, &answer)
    }

    pub(super) fn resume(&self, waiting: &Waiting, results: Vec<IoResult>) -> Result<Started, Not> {
        let input = serde_json::to_vec(&Resume { v: SCHEMA_VERSION, results }).expect("results are JSON");
        let (status, answer) = self.plugin.resume(waiting.task, &input);
        self.read(status, waiting.task, &answer)
    }

    pub(super) fn read(&self, status: i32, task: u64, answer: &[u8]) -> Result<Started, Not> {
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
                    || step.admit.is_some()
                    || step.connect.is_some()
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

    pub(super) fn waiting(&self) -> Result<Waiting, Not> {
        match self.start(&self.send_document())? {
            Started::Waits(waiting) => Ok(waiting),
            Started::Ended(_) => skip(NEVER_WAITS),
        }
    }

    pub(super) fn drive(&self, document: &Value, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Ended, Not> {
        self.finish(self.start(document)?, answer)
    }

    pub(super) fn finish(&self, mut state: Started, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Ended, Not> {
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

    /// Sends a message to its end: the outcome, and the requests.
    pub(super) fn send(
        &self,
        document: &Value,
        answer: impl Fn(&IoOp) -> IoAnswer,
    ) -> Result<(SendAnswer, Vec<IoRequest>), Not> {
        let ended = self.drive(document, answer)?;
        match ended.step.send {
            Some(outcome) => Ok((outcome, ended.requests)),
            None => Err(Not::Passed("a send ended without an outcome".to_owned())),
        }
    }

    /// Starts an operation and runs it to its end; `None` when the adapter does not know it.
    pub(super) fn run(&self, document: &Value, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Option<Ended>, Not> {
        let (status, task, first) = self.plugin.start(document.to_string().as_bytes());
        if status == Status::Unsupported as i32 {
            require(task == 0, "an unsupported operation left a task")?;
            return Ok(None);
        }
        self.finish(self.read(status, task, &first)?, answer).map(Some)
    }

    /// Has a callback read; `None` when the adapter reads none, by whichever of the two ways it says so.
    pub(super) fn receive(&self, body: &Value) -> Result<Option<ReceiveAnswer>, Not> {
        let Some(ended) = self.run(&self.receive_document(body), |op| self.agree(op))? else { return Ok(None) };
        match ended.step.receive {
            Some(ReceiveAnswer::Failed(ReceiveError::Unsupported)) => Ok(None),
            Some(outcome) => Ok(Some(outcome)),
            None => Err(Not::Passed("a receive ended without an outcome".to_owned())),
        }
    }

    /// Asks how a callback is answered; `None` when the adapter does no such thing.
    pub(super) fn admit(&self, method: &str, body: &Value) -> Result<Option<AdmitAnswer>, Not> {
        let mut document = self.receive_document(body);
        document["op"] = json!(OP_ADMIT);
        document["callback"]["method"] = json!(method);
        let Some(ended) = self.run(&document, |op| self.agree(op))? else { return Ok(None) };
        match ended.step.admit {
            Some(AdmitAnswer::Failed(ReceiveError::Unsupported)) => Ok(None),
            Some(outcome) => Ok(Some(outcome)),
            None => Err(Not::Passed("an admission ended without an outcome".to_owned())),
        }
    }

    /// Marks a message as read; `None` when the adapter does no such thing.
    pub(super) fn mark(&self, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Option<(MarkAnswer, Ended)>, Not> {
        let document = json!({
            "v": SCHEMA_VERSION, "op": OP_MARK_READ,
            "mark": {
                "sender": {"id": "snd_conformance", "phone": self.sample.recipient_phone},
                "connection": self.sample.connection, "upstream_id": "wamid.conformance",
                "from": {"phone": self.sample.recipient_phone}, "typing": true, "at_ms": 1_750_000_000_006_i64,
            },
        });
        let Some(mut ended) = self.run(&document, answer)? else { return Ok(None) };
        match ended.step.mark.take() {
            Some(MarkAnswer::Failed(MarkError::Unsupported)) => Ok(None),
            Some(outcome) => Ok(Some((outcome, ended))),
            None => Err(Not::Passed("a mark ended without an outcome".to_owned())),
        }
    }

    /// The document of an operation on a number.
    pub(super) fn number_document(&self, op: &str) -> Value {
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
    pub(super) fn number(
        &self,
        op: &str,
        answer: impl Fn(&IoOp) -> IoAnswer,
    ) -> Result<Option<(NumberAnswer, Ended)>, Not> {
        let mut document = self.number_document(op);
        if op == OP_DELIVER_CODE
            && let Some(method) = self.description()?.capabilities.delivers_codes.first()
        {
            document["delivery"]["method"] = json!(method);
        }
        let Some(mut ended) = self.run(&document, answer)? else { return Ok(None) };
        match ended.step.number.take() {
            Some(NumberAnswer::Failed(NumberError::Unsupported)) => Ok(None),
            Some(outcome) => Ok(Some((outcome, ended))),
            None => Err(Not::Passed(format!("{op} ended without an outcome"))),
        }
    }

    /// The document that opens a connection.
    pub(super) fn connect_document(&self) -> Value {
        json!({
            "v": SCHEMA_VERSION, "op": OP_CONNECT,
            "link": {"sender": {"id": "snd_conformance", "phone": "15550001111"}, "connection": self.sample.connection},
        })
    }

    /// Runs a connection to its end.
    pub(super) fn connect(&self, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Disconnected, Not> {
        let document = self.connect_document();
        let Some(ended) = self.run(&document, answer)? else { return Ok(Disconnected::Unsupported) };
        ended.step.connect.ok_or_else(|| Not::Passed("a connection ended without saying how".to_owned()))
    }

    /// Uploads the sample file; `None` when the adapter takes none.
    pub(super) fn upload(&self, answer: impl Fn(&IoOp) -> IoAnswer) -> Result<Option<(MediaAnswer, Ended)>, Not> {
        let document = json!({"v": SCHEMA_VERSION, "op": OP_UPLOAD_MEDIA, "media": {
            "media_id": "100000000000001", "sender": {"id": "snd_conformance", "phone": "15550001111"},
            "connection": self.sample.connection, "content_type": "text/plain", "file_name": "conformance.txt",
            "size_bytes": SAMPLE_FILE.len(), "sha256": SAMPLE_FILE_SHA256, "at_ms": 1_750_000_000_000_i64,
        }});
        let Some(mut ended) = self.run(&document, answer)? else { return Ok(None) };
        let outcome = ended.step.media.take();
        outcome
            .map(|outcome| Some((outcome, ended)))
            .ok_or_else(|| Not::Passed("it ended without an outcome".to_owned()))
    }

    /// Does what it is asked, with the sample file.
    pub(super) fn hand_over(&self, op: &IoOp) -> IoAnswer {
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

    pub(super) fn description(&self) -> Result<Description, Not> {
        let (status, answer) = self.plugin.describe();
        require(status == Status::Done as i32, format!("status {status}"))?;
        let described: Described = serde_json::from_slice(&answer)
            .map_err(|error| Not::Passed(format!("the answer is no description: {error}")))?;
        require(described.v == SCHEMA_VERSION, format!("it has schema version {}", described.v))?;
        Ok(described.adapter)
    }
}
