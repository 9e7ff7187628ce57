//! Guarantee: an operation ends within its deadline with an outcome that is true: whoever fails, and whenever, the
//! message is reported unsent only if nothing had been asked for that could have sent it.
//!
//! The operation's requests are futures of the caller's own task: dropped with it, never detached.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use futures_util::stream::{FuturesUnordered, StreamExt};
use futures_util::{FutureExt, future::BoxFuture};
use waystation_adapter_sdk::wire::{
    IoAnswer, IoOp, IoRequest, IoResult, LocateAnswer, MarkAnswer, MediaAnswer, ReceiveAnswer, Resume, SCHEMA_VERSION,
    SendAnswer, StartRef, Step, TemplateAnswer,
};
use waystation_adapter_sdk::{
    Accepted, Admission, Callback, Code, CodeCheck, CodeDelivery, CodeRequest, Description, Disconnected, Event,
    HttpError, HttpRequest, HttpResponse, Level, Link, MEDIA_READ_MAX_BYTES, ManagementError, MarkError, MediaLocation,
    MediaQuery, MediaUpload, NumberDone, NumberError, Outbound, Payload, PretendText, Profile, ProfileRequest,
    ReadMark, ReceiveError, Received, Registration, SendError, TemplateRef, TemplateReport, TemplateSubmission,
    UploadedMedia, UpstreamError,
};

use super::library::{Library, LoadError};
use super::link::{Links, Run, Streams};
use super::pool::{CallFault, CallResult, Called, Pool, Watchdog};
use super::{CallbackOrigin, HostIo, HostSettings, MediaSource};

/// Requests of one operation that may be open at once.
const OPEN_REQUESTS_MAX: usize = 64;

/// Steps of one operation.
const STEPS_MAX: usize = 10_000;

/// Longest pause of a connection.
const LINK_SLEEP_MAX: Duration = Duration::from_secs(3_600);

/// What an operation is told that asks for a file and is about none.
const NO_MEDIA: &str = "this operation has no file";

/// Longest log line of an adapter that is passed on.
const LOG_TEXT_MAX_BYTES: usize = 2048;

/// How soon to try again when too many calls wait.
const BUSY_RETRY_AFTER_MS: u64 = 250;

/// A loaded adapter with its threads.
pub struct Adapter {
    library: Library,
    description: Description,
    pool: Pool,
    io: Arc<dyn HostIo>,
    operation_deadline: Duration,
    links: Links,
    retired: AtomicBool,
}

/// Whether an adapter is fit for work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Every call returns in time.
    Ready,
    /// At least one call has not returned. Others are served as long as there are threads to replace it.
    Sick {
        /// Since when.
        since: SystemTime,
        /// What happened first.
        why: String,
    },
}

/// Why a callback gave no events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiveFailure {
    /// The adapter refused it.
    Refused(ReceiveError),
    /// The adapter failed: a defect. Trying again may help only after a repair.
    Fault {
        /// What happened.
        details: String,
    },
    /// The adapter takes no calls now; try again.
    Down {
        /// Why.
        details: String,
    },
}

impl fmt::Display for ReceiveFailure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(out),
            Self::Fault { details } | Self::Down { details } => out.write_str(details),
        }
    }
}

impl std::error::Error for ReceiveFailure {}

/// An operation without an outcome of its own.
#[derive(Debug)]
struct Fault {
    kind: FaultKind,
    may_have_left: bool,
    text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultKind {
    Defect,
    Unsupported,
    Down,
    Busy,
}

/// An operation under way.
struct Operation<'a> {
    /// Whom callbacks are for.
    sender_id: &'a str,
    /// What must show in no log and no error.
    secret: Option<&'a str>,
    /// The file that it may read.
    media: Option<&'a dyn MediaSource>,
    /// Whether it asked for anything that could carry a message out.
    may_have_left: bool,
    /// The streams that it opened.
    streams: Arc<Streams>,
    /// The connection that it is, which may take as many steps and as long as it likes.
    run: Option<Arc<Run>>,
}

impl<'a> Operation<'a> {
    fn of(sender_id: &'a str) -> Self {
        Self { sender_id, secret: None, media: None, may_have_left: false, streams: Arc::default(), run: None }
    }

    fn redact(&self, text: String) -> String {
        match self.secret {
            Some(secret) if text.contains(secret) => text.replace(secret, "(code)"),
            _ => text,
        }
    }

    fn defect(&self, text: impl Into<String>) -> Fault {
        Fault { kind: FaultKind::Defect, may_have_left: self.may_have_left, text: text.into() }
    }
}

impl Adapter {
    pub(super) fn new(
        library: Library,
        io: Arc<dyn HostIo>,
        settings: HostSettings,
        watchdog: &Watchdog,
    ) -> Result<Self, LoadError> {
        let description = library.describe(settings.deadline)?;
        let pool = Pool::start(
            &description.name,
            library.plugin().clone(),
            settings.deadline,
            settings.call_deadline,
            settings.threads_per_adapter,
            watchdog,
        )
        .map_err(|source| LoadError::NoThread { path: library.path().to_owned(), source })?;
        Ok(Self {
            library,
            description,
            pool,
            io,
            operation_deadline: settings.call_deadline,
            links: Links::default(),
            retired: AtomicBool::new(false),
        })
    }

    /// Notes that it gets no new work.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// What the adapter said it is, when it was loaded.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The shared library's absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.library.path()
    }

    /// The shared library's SHA-256.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.library.sha256()
    }

    /// What was built, as the library says.
    #[must_use]
    pub fn build_info(&self) -> &str {
        self.library.build_info()
    }

    /// Whether the adapter is fit for work.
    #[must_use]
    pub fn health(&self) -> Health {
        self.pool.sick().map_or(Health::Ready, |sick| Health::Sick { since: sick.since, why: sick.why })
    }

    /// Sends a message. Dropping the future gives the operation up, wherever it is.
    ///
    /// # Errors
    /// What the adapter answered. Or, if it failed: [`SendError::Internal`] when it had asked for nothing that leaves
    /// this process, [`SendError::Ambiguous`] when it had; [`SendError::ChannelDown`] when it could not be called at
    /// all, [`SendError::RetryAfter`] when too many calls wait for it.
    pub async fn send(&self, message: &Outbound) -> Result<Accepted, SendError> {
        if self.description.capabilities.connects {
            return self.links.hand_over(message, self.operation_deadline).await;
        }
        let input = encode(&StartRef::send(message));
        let mut operation = Operation::of(&message.sender.id);
        let step = match self.operate(input, &mut operation).await {
            Ok(step) => step,
            Err(fault) => return Err(self.conclude(fault)),
        };
        match step.send {
            Some(SendAnswer::Accepted(accepted)) if !is_fit_id(&accepted.upstream_id) => {
                // It claims success, so the message may well have left by whatever means.
                let text = format!("it accepted the message with an upstream id that is none: {UPSTREAM_ID_RULE}");
                operation.may_have_left = true;
                Err(self.conclude(operation.defect(text)))
            }
            Some(answer) => answer.into(),
            None => Err(self.conclude(operation.defect("it ended a send without an outcome"))),
        }
    }

    /// Asks how a callback is answered.
    ///
    /// # Errors
    /// If the adapter turns it away, fails, or cannot be called.
    pub async fn admit(&self, sender_id: &str, callback: &Callback) -> Result<Admission, ReceiveFailure> {
        let input = encode(&StartRef::admit(callback));
        let step = match self.operate(input, &mut Operation::of(sender_id)).await {
            Ok(step) => step,
            // It is older than the operation.
            Err(fault) if fault.kind == FaultKind::Unsupported => {
                return Err(ReceiveFailure::Refused(ReceiveError::Unsupported));
            }
            Err(fault) => return Err(self.unheard(fault)),
        };
        match step.admit {
            Some(answer) => Result::from(answer).map_err(ReceiveFailure::Refused),
            None => Err(ReceiveFailure::Fault {
                details: format!("adapter `{}`: it ended an admission without an outcome", self.description.name),
            }),
        }
    }

    fn unheard(&self, fault: Fault) -> ReceiveFailure {
        let details = format!("adapter `{}`: {}", self.description.name, fault.text);
        match fault.kind {
            FaultKind::Defect | FaultKind::Unsupported => ReceiveFailure::Fault { details },
            FaultKind::Down | FaultKind::Busy => ReceiveFailure::Down { details },
        }
    }

    /// Has a callback read. `sender_id` is whom further callbacks would be for.
    ///
    /// # Errors
    /// If the adapter refuses it, fails, or cannot be called.
    pub async fn receive(&self, sender_id: &str, callback: &Callback) -> Result<Received, ReceiveFailure> {
        let input = encode(&StartRef::receive(callback));
        let step = self.operate(input, &mut Operation::of(sender_id)).await.map_err(|fault| self.unheard(fault))?;
        match step.receive {
            Some(ReceiveAnswer::Received(received)) => {
                let unfit = received.events.iter().any(|event| match event {
                    Event::Status(status) => {
                        !is_fit_id(&status.upstream_id)
                            || status.attempt_ref.as_deref().is_some_and(|id| !is_fit_id(id))
                    }
                    // Looked at one by one, where they are filed.
                    Event::Inbound(_) | Event::UserPreference(_) => false,
                    Event::Change(_) | Event::PretendPhone(_) | Event::Unknown { .. } => false,
                });
                if unfit {
                    let details = format!("a receipt carries an id that is none: {UPSTREAM_ID_RULE}");
                    return Err(ReceiveFailure::Refused(ReceiveError::Malformed { details }));
                }
                let unfit = |event: &Event| matches!(event, Event::PretendPhone(text) if !is_fit_text(text));
                if received.events.iter().any(unfit) {
                    let details = format!("a text for a pretend phone is none: {PRETEND_TEXT_RULE}");
                    return Err(ReceiveFailure::Refused(ReceiveError::Malformed { details }));
                }
                Ok(received)
            }
            Some(ReceiveAnswer::Failed(error)) => Err(ReceiveFailure::Refused(error)),
            None => Err(ReceiveFailure::Fault {
                details: format!("adapter `{}`: it ended a receive without an outcome", self.description.name),
            }),
        }
    }

    /// Has the network told that a message was read.
    ///
    /// # Errors
    /// What the adapter answered; [`MarkError::Unavailable`] if it failed or could not be called.
    pub async fn mark_read(&self, mark: &ReadMark) -> Result<(), MarkError> {
        let mut operation = Operation::of(&mark.sender.id);
        let fault = match self.operate(encode(&StartRef::mark_read(mark)), &mut operation).await {
            Ok(Step { mark: Some(MarkAnswer::Done), .. }) => return Ok(()),
            Ok(Step { mark: Some(MarkAnswer::Failed(error)), .. }) => return Err(error),
            Ok(_) => operation.defect("it ended a mark without an outcome"),
            Err(fault) => fault,
        };
        if fault.kind == FaultKind::Unsupported {
            return Err(MarkError::Unsupported);
        }
        let details = format!("adapter `{}`: {}", self.description.name, fault.text);
        Err(MarkError::Unavailable { error: UpstreamError::new("The adapter failed").details(details) })
    }

    /// Has a file given to the network, so that messages can name it. Dropping the future gives the operation up.
    ///
    /// # Errors
    /// What the adapter answered. Or, if it failed, what [`Adapter::send`] says of a message that was surely not sent: a
    /// file that is given twice does no harm.
    pub async fn upload_media(
        &self,
        upload: &MediaUpload,
        source: &dyn MediaSource,
    ) -> Result<UploadedMedia, SendError> {
        let mut operation = Operation { media: Some(source), ..Operation::of(&upload.sender.id) };
        let result = self.operate(encode(&StartRef::upload_media(upload)), &mut operation).await;
        operation.may_have_left = false;
        let fault = match result.map(|step| step.media) {
            Ok(Some(MediaAnswer::Uploaded(uploaded))) if !is_fit_id(&uploaded.upstream_id) => {
                operation.defect(format!("it uploaded a file and gave an id that is none: {UPSTREAM_ID_RULE}"))
            }
            Ok(Some(answer)) => return answer.into(),
            Ok(None) => operation.defect("it ended an upload without an outcome"),
            Err(fault) => Fault { may_have_left: false, ..fault },
        };
        Err(self.conclude(fault))
    }

    /// Asks the network where a file is that a person sent.
    ///
    /// # Errors
    /// What the adapter answered; [`ManagementError::Unavailable`] if it failed or could not be called.
    pub async fn locate_media(&self, query: &MediaQuery) -> Result<MediaLocation, ManagementError> {
        let result = self.manage(&StartRef::locate_media(query), &query.sender.id).await;
        match result.map(|step| step.location) {
            Ok(Some(LocateAnswer::Located(location))) => Ok(location),
            Ok(Some(LocateAnswer::Failed(error))) => Err(error),
            Ok(None) => Err(self.without_outcome()),
            // It asked for nothing that changes anything.
            Err(ManagementError::Ambiguous { error }) => {
                Err(ManagementError::Unavailable { error, needs_operator: false })
            }
            Err(error) => Err(error),
        }
    }

    /// Gives a template to the network.
    ///
    /// # Errors
    /// What the adapter answered. Or, if it failed: [`ManagementError::Ambiguous`] when it had asked for anything that
    /// leaves this process, else [`ManagementError::Unavailable`].
    pub async fn submit_template(&self, submission: &TemplateSubmission) -> Result<TemplateReport, ManagementError> {
        self.template(&StartRef::submit_template(submission), &submission.sender.id).await
    }

    /// Asks the network where a template stands.
    ///
    /// # Errors
    /// As [`Adapter::submit_template`].
    pub async fn read_template(&self, template: &TemplateRef) -> Result<TemplateReport, ManagementError> {
        self.template(&StartRef::read_template(template), &template.sender.id).await
    }

    /// Has the network end the pause of a template.
    ///
    /// # Errors
    /// As [`Adapter::submit_template`].
    pub async fn unpause_template(&self, template: &TemplateRef) -> Result<TemplateReport, ManagementError> {
        self.template(&StartRef::unpause_template(template), &template.sender.id).await
    }

    /// Has the network delete a template.
    ///
    /// # Errors
    /// As [`Adapter::submit_template`].
    pub async fn delete_template(&self, template: &TemplateRef) -> Result<TemplateReport, ManagementError> {
        self.template(&StartRef::delete_template(template), &template.sender.id).await
    }

    /// Reads or changes the profile that people see of a sender.
    ///
    /// # Errors
    /// As [`Adapter::submit_template`].
    pub async fn profile(&self, request: &ProfileRequest) -> Result<Profile, ManagementError> {
        let step = self.manage(&StartRef::profile(request), &request.sender.id).await?;
        step.profile.map_or_else(|| Err(self.without_outcome()), Into::into)
    }

    async fn template(&self, start: &StartRef<'_>, sender_id: &str) -> Result<TemplateReport, ManagementError> {
        match self.manage(start, sender_id).await?.template {
            Some(TemplateAnswer::Reported(report))
                if report.upstream_id.as_deref().is_some_and(|id| !is_fit_id(id)) =>
            {
                let details = format!(
                    "adapter `{}`: it reported a template with an id that is none: {UPSTREAM_ID_RULE}",
                    self.description.name
                );
                let error = UpstreamError::new("The adapter failed").details(details);
                Err(ManagementError::Unavailable { error, needs_operator: true })
            }
            Some(answer) => answer.into(),
            None => Err(self.without_outcome()),
        }
    }

    async fn manage(&self, start: &StartRef<'_>, sender_id: &str) -> Result<Step, ManagementError> {
        let mut operation = Operation::of(sender_id);
        let fault = match self.operate(encode(start), &mut operation).await {
            Ok(step) => return Ok(step),
            Err(fault) => fault,
        };
        let details = format!("adapter `{}`: {}", self.description.name, fault.text);
        let error = UpstreamError::new("The adapter failed").details(details);
        Err(match fault.kind {
            FaultKind::Unsupported => ManagementError::Unsupported,
            _ if fault.may_have_left => ManagementError::Ambiguous { error },
            kind => ManagementError::Unavailable { error, needs_operator: kind == FaultKind::Defect },
        })
    }

    fn without_outcome(&self) -> ManagementError {
        let details = format!("adapter `{}`: it ended an operation without an outcome", self.description.name);
        ManagementError::Ambiguous { error: UpstreamError::new("The adapter failed").details(details) }
    }

    /// Has a code of ours brought to a phone. `sender_id` is whose number it is about.
    ///
    /// # Errors
    /// What the adapter answered. Or, if it failed: [`NumberError::Ambiguous`] when it had asked for anything that
    /// leaves this process, else [`NumberError::Unavailable`]; [`NumberError::Unsupported`] when it does not know the
    /// operation.
    pub async fn deliver_code(&self, sender_id: &str, delivery: &CodeDelivery) -> Result<NumberDone, NumberError> {
        self.number(&StartRef::deliver_code(delivery), sender_id, Some(&delivery.code)).await
    }

    /// Has the network send a code of its own to a sender's number.
    ///
    /// # Errors
    /// As [`Adapter::deliver_code`].
    pub async fn request_code(&self, request: &CodeRequest) -> Result<NumberDone, NumberError> {
        self.number(&StartRef::request_code(request), &request.sender.id, None).await
    }

    /// Has the network check the code that it sent.
    ///
    /// # Errors
    /// As [`Adapter::deliver_code`], and [`NumberError::WrongCode`].
    pub async fn verify_code(&self, check: &CodeCheck) -> Result<NumberDone, NumberError> {
        self.number(&StartRef::verify_code(check), &check.sender.id, Some(&check.code)).await
    }

    /// Has the network register a sender's number.
    ///
    /// # Errors
    /// As [`Adapter::deliver_code`].
    pub async fn register(&self, registration: &Registration) -> Result<NumberDone, NumberError> {
        self.number(&StartRef::register(registration), &registration.sender.id, Some(&registration.pin)).await
    }

    /// Makes a connection and keeps it until it ends, without a deadline.
    pub(super) async fn connect(&self, link: &Link, run: Arc<Run>) -> Disconnected {
        let mut operation = Operation { run: Some(run), ..Operation::of(&link.sender.id) };
        let lost = |title: &str, details: String, needs_operator: bool| Disconnected::Lost {
            error: UpstreamError::new(title).details(format!("adapter `{}`: {details}", self.description.name)),
            needs_operator,
        };
        match self.run(encode(&StartRef::connect(link)), &mut operation).await {
            Ok(Step { connect: Some(end), .. }) => end,
            Ok(_) => lost("The adapter failed", "it ended a connection without saying how".to_owned(), true),
            Err(fault) => lost("The adapter failed", fault.text, fault.kind != FaultKind::Busy),
        }
    }

    pub(super) fn links(&self) -> &Links {
        &self.links
    }

    async fn number(
        &self,
        start: &StartRef<'_>,
        sender_id: &str,
        secret: Option<&Code>,
    ) -> Result<NumberDone, NumberError> {
        let mut operation = Operation { secret: secret.map(Code::reveal), ..Operation::of(sender_id) };
        let result = self.operate(encode(start), &mut operation).await;
        let fault = match result {
            Ok(Step { number: Some(answer), .. }) => return answer.into(),
            Ok(_) => operation.defect("it ended an operation on a number without an outcome"),
            Err(fault) => fault,
        };
        let details = format!("adapter `{}`: {}", self.description.name, fault.text);
        Err(match fault.kind {
            FaultKind::Unsupported => NumberError::Unsupported,
            _ if fault.may_have_left => {
                NumberError::Ambiguous { error: UpstreamError::new("The adapter failed after asking").details(details) }
            }
            kind => NumberError::Unavailable {
                error: UpstreamError::new("The adapter failed before asking").details(details),
                needs_operator: kind == FaultKind::Defect,
            },
        })
    }

    fn conclude(&self, fault: Fault) -> SendError {
        let name = &self.description.name;
        let text = fault.text;
        if fault.may_have_left {
            let details =
                format!("adapter `{name}`: {text}; it had used the network, so the message may have been sent");
            return SendError::Ambiguous {
                error: UpstreamError::new("The adapter failed after sending").details(details),
            };
        }
        let details = format!("adapter `{name}`: {text}; the message was not sent");
        match fault.kind {
            FaultKind::Defect | FaultKind::Unsupported => {
                SendError::Internal { error: UpstreamError::new("The adapter failed before sending").details(details) }
            }
            FaultKind::Down => SendError::ChannelDown {
                error: UpstreamError::new("The adapter takes no calls").details(details),
                needs_operator: false,
            },
            FaultKind::Busy => SendError::RetryAfter {
                after_ms: Some(BUSY_RETRY_AFTER_MS),
                error: UpstreamError::new("The adapter is busy").details(details),
            },
        }
    }

    /// Runs one operation to its last step.
    async fn operate(&self, input: Vec<u8>, operation: &mut Operation<'_>) -> Result<Step, Fault> {
        let running = self.run(input, operation);
        match tokio::time::timeout(self.operation_deadline, running).await {
            Ok(result) => result,
            Err(_) => {
                let text = format!("it was not done within {} ms", self.operation_deadline.as_millis());
                Err(operation.defect(text))
            }
        }
    }

    async fn run(&self, input: Vec<u8>, operation: &mut Operation<'_>) -> Result<Step, Fault> {
        let called = self.take(self.pool.call_start(input).await, operation)?;
        let Some(task) = called.task else {
            self.pass_on_log(&called.step, operation);
            return Ok(called.step);
        };
        // Boxed, so that the usual operation, which does not wait, is a small future.
        let waiting = Box::pin(self.go_on(task, called.step, operation));
        waiting.await
    }

    async fn go_on(&self, task: u64, first: Step, operation: &mut Operation<'_>) -> Result<Step, Fault> {
        let mut guard = TaskGuard { pool: &self.pool, task: Some(task) };
        let origin =
            CallbackOrigin { adapter: self.description.name.clone(), sender_id: operation.sender_id.to_owned() };
        let mut open: FuturesUnordered<BoxFuture<'_, IoResult>> = FuturesUnordered::new();
        let mut step = first;
        let mut steps = 0;
        while steps < STEPS_MAX {
            steps += usize::from(operation.run.is_none());
            self.pass_on_log(&step, operation);
            if open.len() + step.io.len() > OPEN_REQUESTS_MAX {
                return Err(operation.defect(format!("it has more than {OPEN_REQUESTS_MAX} requests open")));
            }
            for request in step.io {
                operation.may_have_left |= !matches!(request.op, IoOp::Sleep { .. } | IoOp::ReadMedia { .. });
                open.push(self.perform(&origin, operation.media, &operation.streams, operation.run.as_ref(), request));
            }
            if open.is_empty() {
                return Err(operation.defect("it waits for nothing"));
            }
            let first = open.next().await;
            let mut results: Vec<IoResult> = first.into_iter().collect();
            while let Some(Some(result)) = open.next().now_or_never() {
                results.push(result);
            }

            let input = encode(&Resume { v: SCHEMA_VERSION, results });
            // While it runs, or waits to, the thread that gets the call answers for the task.
            guard.task = None;
            let called = match self.take(self.pool.call_resume(task, input).await, operation) {
                Ok(called) => called,
                Err(fault) => {
                    guard.task = (fault.kind != FaultKind::Defect).then_some(task);
                    return Err(fault);
                }
            };
            guard.task = called.task;
            step = called.step;
            if guard.task.is_none() {
                self.pass_on_log(&step, operation);
                return Ok(step);
            }
        }
        Err(operation.defect(format!("it was not done after {STEPS_MAX} steps")))
    }

    fn take(
        &self,
        answer: Result<CallResult, tokio::sync::oneshot::error::RecvError>,
        operation: &Operation<'_>,
    ) -> Result<Called, Fault> {
        let fault = match answer {
            Ok(Ok(called)) => return Ok(called),
            Ok(Err(fault)) => fault,
            Err(_) => CallFault::Garbage("its thread ended during the call".to_owned()),
        };
        let (kind, text) = match fault {
            CallFault::Panicked(text) => (FaultKind::Defect, format!("it panicked: {text}")),
            CallFault::Garbage(text) => (FaultKind::Defect, format!("it answered garbage: {text}")),
            CallFault::Unsupported(text) => (FaultKind::Unsupported, format!("it does not know the operation: {text}")),
            CallFault::Hung(text) => (FaultKind::Defect, format!("it hangs: {text}")),
            CallFault::Down(text) => (FaultKind::Down, text),
            CallFault::Busy(text) => (FaultKind::Busy, text),
        };
        let (text, may_have_left) = (operation.redact(text), operation.may_have_left);
        if kind == FaultKind::Defect {
            tracing::warn!(adapter = self.description.name, may_have_left, "adapter failed: {text}");
        }
        Err(Fault { kind, may_have_left, text })
    }

    fn perform<'a>(
        &'a self,
        origin: &'a CallbackOrigin,
        media: Option<&'a dyn MediaSource>,
        streams: &Arc<Streams>,
        run: Option<&Arc<Run>>,
        request: IoRequest,
    ) -> BoxFuture<'a, IoResult> {
        let (streams, run) = (Arc::clone(streams), run.cloned());
        Box::pin(async move {
            let result = match request.op {
                IoOp::Http(http) => match self.io.http(http).await {
                    Ok(response) => IoAnswer::Http(response),
                    Err(error) => IoAnswer::HttpFailed(error),
                },
                IoOp::HttpWithMedia { request, after } => match self.http_with_media(media, request, after).await {
                    Ok(response) => IoAnswer::Http(response),
                    Err(error) => IoAnswer::HttpFailed(error),
                },
                IoOp::ReadMedia { offset, max_bytes } => {
                    let piece = match media {
                        Some(media) => media.piece(offset, max_bytes.min(MEDIA_READ_MAX_BYTES)).await,
                        None => Err(NO_MEDIA.to_owned()),
                    };
                    match piece {
                        Ok(bytes) => IoAnswer::Media { bytes: bytes.into() },
                        Err(details) => IoAnswer::MediaFailed { details },
                    }
                }
                IoOp::Sleep { ms } => {
                    // Past the operation's own end there is nothing to wake for.
                    let longest = if run.is_some() { LINK_SLEEP_MAX } else { self.operation_deadline * 2 };
                    let pause = Duration::from_millis(ms).min(longest);
                    tokio::time::sleep(pause).await;
                    IoAnswer::Slept
                }
                IoOp::Callbacks(callbacks) => match self.io.callbacks(origin, callbacks).await {
                    Ok(()) => IoAnswer::Stored,
                    Err(details) => IoAnswer::StoreFailed { details },
                },
                IoOp::Open(endpoint) => match self.io.open(&endpoint).await {
                    Ok(stream) => streams.add(stream),
                    Err(details) => IoAnswer::StreamFailed { details },
                },
                IoOp::Read { stream } => streams.read(stream).await,
                IoOp::Write { stream, bytes } => streams.write(stream, bytes.as_bytes()).await,
                IoOp::Close { stream } => streams.close(stream),
                IoOp::NextSend => match &run {
                    Some(run) => run.next_send().await,
                    None => IoAnswer::NoMoreSends,
                },
                IoOp::Conclude { ticket, answer } => {
                    let fit = !matches!(&answer, SendAnswer::Accepted(accepted) if !is_fit_id(&accepted.upstream_id));
                    if let Some(run) = &run {
                        run.conclude(ticket, if fit { answer.into() } else { Err(unfit_acceptance()) });
                    }
                    IoAnswer::Concluded
                }
            };
            IoResult { id: request.id, result }
        })
    }

    async fn http_with_media(
        &self,
        media: Option<&dyn MediaSource>,
        request: HttpRequest,
        after: Payload,
    ) -> Result<HttpResponse, HttpError> {
        let not_sent = |details: String| HttpError::NotSent { details };
        let media = media.ok_or_else(|| not_sent(NO_MEDIA.to_owned()))?;
        let whole = media.whole().await.map_err(not_sent)?;
        self.io.http_with_media(request, whole, after).await
    }

    fn pass_on_log(&self, step: &Step, operation: &Operation<'_>) {
        let adapter = self.description.name.as_str();
        for line in &step.log {
            let text = operation.redact(line.text.clone());
            let text = &text[..text.floor_char_boundary(LOG_TEXT_MAX_BYTES)];
            match line.level {
                Level::Trace => tracing::trace!(adapter, "{text}"),
                Level::Debug => tracing::debug!(adapter, "{text}"),
                Level::Info => tracing::info!(adapter, "{text}"),
                Level::Warn => tracing::warn!(adapter, "{text}"),
                Level::Error => tracing::error!(adapter, "{text}"),
            }
        }
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        if self.retired.load(Ordering::Relaxed) {
            let Description { name, version, .. } = &self.description;
            tracing::info!(adapter = name, version, sha256 = hex::encode(self.sha256()), "adapter drained");
        }
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Adapter")
            .field("name", &self.description.name)
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

/// Frees a task that will not be resumed: the operation was given up, or failed.
struct TaskGuard<'a> {
    pool: &'a Pool,
    task: Option<u64>,
}

impl Drop for TaskGuard<'_> {
    fn drop(&mut self) {
        if let Some(task) = self.task {
            self.pool.free_task(task);
        }
    }
}

/// What an id of a network must be, so that both databases can keep and look it up.
const UPSTREAM_ID_RULE: &str = "it must have 1 to 512 bytes and no control character";
/// Longest id of a network, in bytes.
const UPSTREAM_ID_MAX_BYTES: usize = 512;

fn unfit_acceptance() -> SendError {
    let details = format!("it accepted the message with an upstream id that is none: {UPSTREAM_ID_RULE}");
    SendError::Ambiguous { error: UpstreamError::new("The adapter failed after sending").details(details) }
}

pub(crate) fn is_fit_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= UPSTREAM_ID_MAX_BYTES && !id.chars().any(char::is_control)
}

/// What a text at a pretend phone must be, so that both databases can keep it.
const PRETEND_TEXT_RULE: &str =
    "the phone must be one, `from` at most 128 and `text` at most 16,384 bytes, without NUL";
const PRETEND_FROM_MAX_BYTES: usize = 128;
const PRETEND_TEXT_MAX_BYTES: usize = 16_384;

fn is_fit_text(text: &PretendText) -> bool {
    crate::messages::phone::digits(&text.phone).as_ref() == Some(&text.phone)
        && text.from.len() <= PRETEND_FROM_MAX_BYTES
        && text.text.len() <= PRETEND_TEXT_MAX_BYTES
        && ![&text.from, &text.text].iter().any(|text| text.contains('\0'))
}

fn encode(document: &impl serde::Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    serde_json::to_writer(&mut bytes, document).expect("the documents of the interface are JSON");
    bytes
}
