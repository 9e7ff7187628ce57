//! Guarantee: every message that was taken is concluded by the SMSC's response, or by what is known when there is none;
//! and what the SMSC delivers is acknowledged only when it is on disk.
//!
//! One coroutine, one list of what is under way. The clock is a tick: all that is measured here is patience.

use std::collections::{BTreeMap, VecDeque};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use rusmpp_core::CommandId;
use rusmpp_core::pdus::owned::Pdu;
use waystation_adapter_sdk::sms::{Encoding, PARTS_MAX, split};
use waystation_adapter_sdk::{
    Accepted, CallbacksError, Disconnected, Endpoint, Handed, Io, Level, Link, RateScope, ScheduledCallback, SendError,
    Stream, StreamError, UpstreamError,
};

use crate::pdu::{self, Delivery, Frame, Submission, status};
use crate::receipt;
use crate::settings::{LongMessages, Settings};

/// The longest time between two looks at the clock, in milliseconds.
const TICK_MAX_MS: u64 = 1_000;
/// A wait is measured in at least so many ticks.
const TICKS_PER_WAIT: u64 = 4;
/// Deliveries that may wait to be stored; with more, nothing is read.
const UNSTORED_MAX: usize = 256;
/// Outcomes that are being told to the host at once at most.
const TELLING_MAX: usize = 16;
/// Messages of people that may wait for their other parts.
const PARTIAL_MAX: usize = 64;
/// How long they wait, in milliseconds; then what is there is taken as it is.
const PARTIAL_WAIT_MS: u64 = 5_000;
/// Octets that may wait to be written; with more, nothing is taken.
const UNWRITTEN_MAX_BYTES: usize = 256 * 1024;

enum Event {
    Read(Result<Vec<u8>, StreamError>),
    Wrote(Result<(), StreamError>),
    Stored(Vec<Vec<Frame>>, Result<(), CallbacksError>),
    Next(Option<Handed>),
    Tick,
    Told,
}

type Activity<'a> = Pin<Box<dyn Future<Output = Event> + Send + 'a>>;

/// A message that waits for the response to one of its parts.
struct Outstanding {
    ticket: u64,
    to: String,
    encoding: Encoding,
    parts: Vec<Vec<u8>>,
    /// Which part was submitted last.
    part: usize,
    /// Ticks since.
    age: u64,
    /// Ticks until the part is submitted again, once the SMSC had enough.
    again_in: Option<u64>,
}

/// A message of a person that is not all there. Its parts are not acknowledged: after a cut they come again.
struct Partial {
    total: usize,
    parts: BTreeMap<u8, Frame>,
    age: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Binding,
    Bound,
    /// No more messages; what is outstanding is waited for.
    Draining,
    Unbinding,
}

struct Session<'a> {
    io: &'a Io,
    stream: &'a Stream,
    settings: &'a Settings,
    from: String,
    under_way: Vec<Activity<'a>>,
    phase: Phase,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// What the SMSC delivered: the PDUs of one message together.
    unstored: Vec<Vec<Frame>>,
    /// Messages of which parts are missing, by sender and reference.
    partial: BTreeMap<(String, u16), Partial>,
    /// Outcomes that are not told yet, and those that are being told.
    untold: VecDeque<(u64, Result<Accepted, SendError>)>,
    telling: Vec<Activity<'a>>,
    outstanding: BTreeMap<u32, Outstanding>,
    sequence: u32,
    reading: bool,
    writing: bool,
    storing: bool,
    asking: bool,
    /// Ticks since something came, and whether it was asked if the SMSC is there.
    silence: u64,
    enquired: bool,
    phase_age: u64,
    tick: Duration,
}

/// Connects, and keeps the connection until it is lost or not wanted any more.
pub(crate) async fn keep(io: &Io, link: &Link, settings: &Settings) -> Disconnected {
    let endpoint = Endpoint { host: settings.host.clone(), port: settings.port, tls: settings.tls };
    let stream = match io.open(endpoint).await {
        Ok(stream) => stream,
        Err(error) => return lost("The SMSC cannot be reached", error.details, false),
    };
    let shortest = settings.enquire_link_ms.min(settings.response_timeout_ms).min(settings.throttle_pause_ms);
    let mut session = Session {
        io,
        stream: &stream,
        settings,
        from: settings.source.clone().unwrap_or_else(|| link.sender.phone.clone()),
        under_way: Vec::new(),
        phase: Phase::Binding,
        incoming: Vec::new(),
        outgoing: Vec::new(),
        unstored: Vec::new(),
        partial: BTreeMap::new(),
        untold: VecDeque::new(),
        telling: Vec::new(),
        outstanding: BTreeMap::new(),
        sequence: 0,
        reading: false,
        writing: false,
        storing: false,
        asking: false,
        silence: 0,
        enquired: false,
        phase_age: 0,
        tick: Duration::from_millis((shortest / TICKS_PER_WAIT).clamp(1, TICK_MAX_MS)),
    };
    let end = session.run().await;
    session.tell_the_rest().await;
    // What was delivered and is not stored stays unacknowledged: the SMSC delivers it again.
    drop(session);
    end
}

fn lost(title: &str, details: String, needs_operator: bool) -> Disconnected {
    Disconnected::Lost { error: UpstreamError::new(title).details(details), needs_operator }
}

impl<'a> Session<'a> {
    async fn run(&mut self) -> Disconnected {
        let sequence = self.next_sequence();
        self.outgoing.extend(pdu::bind(self.settings, sequence));
        self.start(Self::pause(self.io, self.tick));
        loop {
            self.start_what_can_be();
            let event = self.next_event().await;
            if let Err(end) = self.handle(event) {
                return end;
            }
            let is_idle = self.outstanding.is_empty() && self.unstored.is_empty() && !self.storing;
            if self.phase == Phase::Draining && is_idle {
                self.enter(Phase::Unbinding);
                let sequence = self.next_sequence();
                self.outgoing.extend(pdu::encode(status::OK, sequence, Pdu::Unbind));
            }
        }
    }

    fn start(&mut self, activity: impl Future<Output = Event> + Send + 'a) {
        self.under_way.push(Box::pin(activity));
    }

    async fn pause(io: &Io, tick: Duration) -> Event {
        io.sleep(tick).await;
        Event::Tick
    }

    fn start_what_can_be(&mut self) {
        let (io, stream) = (self.io, self.stream);
        if !self.reading && self.unstored.len() < UNSTORED_MAX {
            self.reading = true;
            self.start(async move { Event::Read(stream.read().await) });
        }
        if !self.writing && !self.outgoing.is_empty() {
            self.writing = true;
            let octets = std::mem::take(&mut self.outgoing);
            self.start(async move { Event::Wrote(stream.write(octets).await) });
        }
        if !self.storing && !self.unstored.is_empty() {
            self.storing = true;
            let messages = std::mem::take(&mut self.unstored);
            self.start(async move {
                let bodies = messages.iter().map(|frames| ScheduledCallback {
                    after_ms: 0,
                    body: frames.iter().flat_map(|frame| frame.bytes.iter().copied()).collect::<Vec<u8>>().into(),
                    confidential: false,
                });
                let stored = io.callbacks(bodies.collect()).await;
                Event::Stored(messages, stored)
            });
        }
        while self.telling.len() < TELLING_MAX
            && let Some((ticket, outcome)) = self.untold.pop_front()
        {
            self.telling.push(Box::pin(async move {
                io.conclude(ticket, outcome).await;
                Event::Told
            }));
        }
        let has_room = self.outstanding.len() < usize::try_from(self.settings.window).unwrap_or(usize::MAX)
            && self.outgoing.len() < UNWRITTEN_MAX_BYTES;
        if self.phase == Phase::Bound && !self.asking && has_room {
            self.asking = true;
            self.start(async move { Event::Next(io.next_send().await) });
        }
    }

    async fn next_event(&mut self) -> Event {
        let (telling, under_way) = (&mut self.telling, &mut self.under_way);
        poll_fn(|context| {
            for activities in [&mut *telling, &mut *under_way] {
                for place in 0..activities.len() {
                    if let Poll::Ready(event) = activities[place].as_mut().poll(context) {
                        drop(activities.swap_remove(place));
                        return Poll::Ready(event);
                    }
                }
            }
            Poll::Pending
        })
        .await
    }

    /// What is known of a message is told also when the connection is lost in the same moment.
    async fn tell_the_rest(&mut self) {
        for telling in std::mem::take(&mut self.telling) {
            telling.await;
        }
        while let Some((ticket, outcome)) = self.untold.pop_front() {
            self.io.conclude(ticket, outcome).await;
        }
    }

    fn handle(&mut self, event: Event) -> Result<(), Disconnected> {
        match event {
            Event::Read(Ok(octets)) if octets.is_empty() && self.phase == Phase::Unbinding => Err(Disconnected::Asked),
            Event::Read(Ok(octets)) if octets.is_empty() => {
                Err(lost("The SMSC closed the connection", "while it was in use".to_owned(), false))
            }
            Event::Read(Ok(octets)) => {
                self.reading = false;
                self.silence = 0;
                self.enquired = false;
                self.incoming.extend(octets);
                while let Some(frame) = Frame::take(&mut self.incoming)
                    .map_err(|details| lost("The SMSC does not speak SMPP", details, false))?
                {
                    self.receive(frame)?;
                }
                Ok(())
            }
            Event::Read(Err(_)) if self.phase == Phase::Unbinding => Err(Disconnected::Asked),
            Event::Read(Err(error)) | Event::Wrote(Err(error)) => {
                Err(lost("The connection to the SMSC broke", error.details, false))
            }
            Event::Wrote(Ok(())) => {
                self.writing = false;
                Ok(())
            }
            Event::Stored(messages, stored) => {
                self.storing = false;
                // Refused for now (ESME_RX_T_APPN): the SMSC delivers it again.
                let said = if stored.is_ok() { status::OK } else { status::TEMPORARY };
                for frame in messages.into_iter().flatten() {
                    self.outgoing.extend(pdu::acknowledge(frame.id, said, frame.sequence));
                }
                Ok(())
            }
            Event::Next(Some(handed)) => {
                self.asking = false;
                self.take(handed);
                Ok(())
            }
            Event::Next(None) => {
                self.enter(Phase::Draining);
                Ok(())
            }
            Event::Tick => {
                self.start(Self::pause(self.io, self.tick));
                self.look_at_the_clock()
            }
            Event::Told => Ok(()),
        }
    }

    fn enter(&mut self, phase: Phase) {
        (self.phase, self.phase_age) = (phase, 0);
    }

    fn take(&mut self, handed: Handed) {
        let Handed { ticket, message } = handed;
        let reject = |code, title: &str| SendError::Rejected { error: UpstreamError::with_code(code, title) };
        let Some(to) = message.recipient.phone.clone() else {
            return self.conclude(ticket, Err(reject(131_026, "An SMS needs a phone number")));
        };
        if message.text.is_empty() {
            return self.conclude(ticket, Err(reject(131_051, "The message has no text to send as an SMS")));
        }
        let (encoding, parts) = split(&message.text);
        if parts.len() > PARTS_MAX {
            return self.conclude(ticket, Err(reject(131_009, "The text is too long for an SMS")));
        }
        let whole = self.settings.long_messages == LongMessages::Payload || parts.len() == 1;
        let parts = if whole { vec![parts.concat()] } else { with_headers(parts, self.sequence) };
        self.submit(Outstanding { ticket, to, encoding, parts, part: 0, age: 0, again_in: None });
    }

    fn submit(&mut self, mut message: Outstanding) {
        (message.age, message.again_in) = (0, None);
        let user_data = &message.parts[message.part];
        let sequence = self.next_sequence();
        let submission = Submission {
            from: &self.from,
            to: &message.to,
            encoding: message.encoding,
            user_data,
            has_header: message.parts.len() > 1,
            in_payload: message.parts.len() == 1 && is_long(message.encoding, user_data),
            // The last part's id is the message's: one receipt for all of it.
            wants_receipt: message.part + 1 == message.parts.len(),
        };
        self.outgoing.extend(pdu::submit(&submission, self.settings.submit_with, sequence));
        self.outstanding.insert(sequence, message);
    }

    fn conclude(&mut self, ticket: u64, outcome: Result<Accepted, SendError>) {
        self.untold.push_back((ticket, outcome));
    }

    /// Something was delivered: by itself, or with the other parts of its message.
    fn delivered(&mut self, frame: Frame) {
        let part = Delivery::read(&frame).ok().and_then(|delivery| Some((delivery.part()?, delivery.from)));
        let Some((part, from)) = part.filter(|(part, _)| part.total > 1) else {
            return self.unstored.push(vec![frame]);
        };
        let key = (from, part.reference);
        if !self.partial.contains_key(&key) && self.partial.len() >= PARTIAL_MAX {
            return self.unstored.push(vec![frame]);
        }
        let partial = self.partial.entry(key.clone()).or_insert_with(|| Partial {
            total: usize::from(part.total),
            parts: BTreeMap::new(),
            age: 0,
        });
        partial.age = 0;
        if let Some(repeated) = partial.parts.insert(part.number, frame) {
            self.unstored.push(vec![repeated]);
        }
        if partial.parts.len() >= partial.total
            && let Some(whole) = self.partial.remove(&key)
        {
            self.unstored.push(whole.parts.into_values().collect());
        }
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence % 0x7fff_ffff + 1;
        self.sequence
    }

    fn receive(&mut self, frame: Frame) -> Result<(), Disconnected> {
        if self.phase == Phase::Binding {
            return self.bound(&frame);
        }
        if frame.is(CommandId::SubmitSmResp) || frame.is(CommandId::DataSmResp) || frame.is(CommandId::GenericNack) {
            self.responded(&frame);
            return Ok(());
        }
        if frame.is(CommandId::DeliverSm) || frame.is(CommandId::DataSm) {
            self.delivered(frame);
            return Ok(());
        }
        if frame.is(CommandId::UnbindResp) {
            return Err(Disconnected::Asked);
        }
        if frame.is(CommandId::Unbind) {
            return Err(lost("The SMSC ended the session", "it sent an unbind".to_owned(), false));
        }
        if frame.is(CommandId::EnquireLink) {
            self.outgoing.extend(pdu::encode(status::OK, frame.sequence, Pdu::EnquireLinkResp));
        } else if !frame.is_response() && !frame.is(CommandId::AlertNotification) {
            // ESME_RINVCMDID
            self.outgoing.extend(pdu::encode(0x03, frame.sequence, Pdu::GenericNack));
        }
        Ok(())
    }

    fn bound(&mut self, frame: &Frame) -> Result<(), Disconnected> {
        if !frame.is(CommandId::BindTransceiverResp) && !frame.is(CommandId::GenericNack) {
            return Ok(());
        }
        if frame.status != status::OK {
            let by_hand = matches!(frame.status, status::INVALID_PASSWORD | status::INVALID_SYSTEM_ID);
            let details = format!("command_status {:#010x}", frame.status);
            return Err(lost("The SMSC refuses the bind", details, by_hand));
        }
        self.enter(Phase::Bound);
        self.io.log(Level::Info, "bound to the SMSC");
        Ok(())
    }

    fn responded(&mut self, frame: &Frame) {
        let Some(mut message) = self.outstanding.remove(&frame.sequence) else { return };
        let is_first = message.part == 0;
        if frame.status == status::OK {
            if message.part + 1 < message.parts.len() {
                message.part += 1;
                return self.submit(message);
            }
            let outcome = match frame.message_id() {
                Some(id) => {
                    let upstream_id = receipt::of_response(&id, self.settings.message_ids);
                    Ok(Accepted { upstream_id, recipient_id: None })
                }
                None => Err(SendError::Ambiguous { error: UpstreamError::new("The SMSC gave the message no id") }),
            };
            return self.conclude(message.ticket, outcome);
        }
        let is_throttle = matches!(frame.status, status::THROTTLED | status::QUEUE_FULL);
        if is_throttle && !is_first {
            // The others are on their way: the rest follows as soon as it may.
            message.again_in = Some(self.ticks(self.settings.throttle_pause_ms));
            self.outstanding.insert(frame.sequence, message);
            return;
        }
        let code = if frame.status == status::INVALID_DESTINATION { Some(131_026) } else { None };
        let title = "The SMSC refused the message".to_owned();
        let details = format!("command_status {:#010x}", frame.status);
        let error = UpstreamError { code, ..UpstreamError::new(title).details(details) };
        let failure = match frame.status {
            _ if is_throttle => {
                SendError::RateLimited { after_ms: self.settings.throttle_pause_ms, scope: RateScope::Sender, error }
            }
            status::SYSTEM_ERROR | status::SUBMIT_FAILED | status::TEMPORARY if is_first => {
                SendError::RetryAfter { after_ms: None, error }
            }
            status::INVALID_BIND_STATUS if is_first => SendError::ChannelDown { error, needs_operator: false },
            _ => SendError::Rejected { error },
        };
        self.conclude(message.ticket, Err(failure));
    }

    fn ticks(&self, ms: u64) -> u64 {
        ms / u64::try_from(self.tick.as_millis()).unwrap_or(TICK_MAX_MS).max(1)
    }

    fn look_at_the_clock(&mut self) -> Result<(), Disconnected> {
        let patience = self.ticks(self.settings.response_timeout_ms);
        self.phase_age += 1;
        self.silence += 1;
        if self.phase == Phase::Binding && self.phase_age > patience {
            return Err(lost("The SMSC does not answer the bind", "no response in time".to_owned(), false));
        }
        if self.phase == Phase::Unbinding && self.phase_age > patience {
            return Err(Disconnected::Asked);
        }
        let quiet = self.ticks(self.settings.enquire_link_ms);
        if self.enquired && self.silence > quiet + patience {
            return Err(lost("The SMSC is silent", "it did not answer an enquire_link".to_owned(), false));
        }
        if self.phase != Phase::Binding && !self.enquired && self.silence > quiet {
            self.enquired = true;
            let sequence = self.next_sequence();
            self.outgoing.extend(pdu::encode(status::OK, sequence, Pdu::EnquireLink));
        }
        let wait = self.ticks(PARTIAL_WAIT_MS);
        for partial in self.partial.values_mut() {
            partial.age += 1;
        }
        for (_, partial) in self.partial.extract_if(.., |_, partial| partial.age > wait) {
            self.unstored.push(partial.parts.into_values().collect());
        }
        let (mut overdue, mut again) = (Vec::new(), Vec::new());
        for (sequence, message) in &mut self.outstanding {
            match &mut message.again_in {
                Some(0) => again.push(*sequence),
                Some(left) => *left -= 1,
                None => {
                    message.age += 1;
                    if message.age > patience {
                        overdue.push(*sequence);
                    }
                }
            }
        }
        for sequence in again {
            if let Some(message) = self.outstanding.remove(&sequence) {
                self.submit(message);
            }
        }
        for sequence in overdue {
            if let Some(message) = self.outstanding.remove(&sequence) {
                let error = UpstreamError::new("The SMSC did not respond").details("no response in time");
                self.conclude(message.ticket, Err(SendError::Ambiguous { error }));
            }
        }
        Ok(())
    }
}

/// Whether a text of one part is too long for `short_message`: it then goes in `message_payload`.
fn is_long(encoding: Encoding, user_data: &[u8]) -> bool {
    let most = match encoding {
        Encoding::Gsm7 => waystation_adapter_sdk::sms::GSM7_SINGLE_SEPTETS,
        Encoding::Ucs2 => 2 * waystation_adapter_sdk::sms::UCS2_SINGLE_UNITS,
    };
    user_data.len() > most
}

/// Parts with the header that puts them together (3GPP TS 23.040, 9.2.3.24.1).
fn with_headers(parts: Vec<Vec<u8>>, reference: u32) -> Vec<Vec<u8>> {
    let total = u8::try_from(parts.len()).unwrap_or(u8::MAX);
    let reference = reference.to_be_bytes()[3];
    let number = |place: usize| u8::try_from(place + 1).unwrap_or(u8::MAX);
    let headed = |(place, part): (usize, Vec<u8>)| [&[5, 0, 3, reference, total, number(place)][..], &part].concat();
    parts.into_iter().enumerate().map(headed).collect()
}
