//! The ticket of one request: each step says what it knows in a small struct of its own, the last one closes it.
//!
//! How a record is written is the matter of `line`, and when, that of `writer`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Method, StatusCode, Version};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::sync::mpsc;

use crate::audit::chain::Hash;
use crate::audit::writer::Message;
use crate::audit::{Desk, RequestId};
use crate::fault::Fault;
use crate::metrics::{Labels, Measured, NONE};
use crate::name::{ActionName, OutcomeName};
use crate::redact::bound;
use crate::refusal::{Code, Refusal};
use crate::request::{Caller, Destination, Door};
use crate::trace::{Claimed, Trace};

/// What is known of a request before anything of it is read.
#[derive(Clone, Debug)]
pub struct Opening {
    /// The way it came in.
    pub door: Door,
    /// The policy that decides.
    pub policy_hash: Arc<str>,
    /// The version of TLS on the client's connection, such as `1.3`, or none where it is cleartext.
    pub tls: Option<&'static str>,
}

/// What a request's head asks for, whether or not it is declared.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// Of whom.
    pub destination: Destination,
    /// On the client's connection, if HTTP brought it.
    pub version: Option<Version>,
}

/// Where on a *declared* host. For an undeclared one neither is recorded: what an agent sends to a host that nobody
/// knows may be what somebody tries to carry out.
#[derive(Clone, Debug)]
pub struct Target {
    /// As the record may show it.
    pub path: Arc<str>,
    /// The names in the query, without their values.
    pub query: Vec<String>,
}

/// The parameters of a request, as far as its record may show them.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Their names.
    pub names: Vec<String>,
    /// Their values, where records have values.
    pub values: Option<Map<String, Value>>,
}

/// What was done to a permitted request before it was sent. Telling this is what makes the decision `allowed`.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Names of the client's own credentials that were removed.
    pub replaced: Vec<String>,
    /// Names of headers that were not let through.
    pub dropped: Vec<String>,
    /// Whether the body goes through unread.
    pub unread: bool,
}

/// What the way to the server and back was like.
#[derive(Clone, Copy, Debug)]
pub struct Upstream {
    /// The address that was dialled, or that of the pooled connection.
    pub address: SocketAddr,
    /// From the beginning of the dial to the last byte of the reply, as far as it came.
    pub took: Duration,
    /// How often the request was sent again.
    pub retries: u32,
}

/// How a request ended, with what broke where something did.
///
/// There is one more that nobody tells: `abandoned`, of a ticket that was dropped unclosed. The client left before
/// there was a reply, a stop did not wait any longer for it, or a task panicked.
#[derive(Clone, Debug)]
pub enum End {
    /// `complete`: the whole reply went to the client.
    Complete,
    /// `aborted`: the client went away while the reply was on its way.
    Aborted,
    /// `truncated`: the reply had begun and broke off on our side or the server's.
    Truncated(Fault),
    /// `withdrawn`: it lasted longer than the policy that permitted it, and than the grace after it.
    Withdrawn,
    /// `stopped`: exeat stopped, and did not wait any longer.
    Stopped,
    /// `refused`: by decision, with this code.
    Refused(Code),
    /// `failed`: something broke before there was a reply.
    Failed(Fault),
}

/// The last words on a request.
#[derive(Clone, Debug)]
pub struct Ending {
    /// How it ended.
    pub end: End,
    /// The status that the client got, if it came so far.
    pub status: Option<StatusCode>,
    /// Bytes of body from the client.
    pub bytes_in: u64,
    /// Bytes of body to the client.
    pub bytes_out: u64,
}

impl Ending {
    /// Of a request that got a refusal for its reply. Whoever read or wrote some of a body adds the bytes.
    pub fn refused(code: Code) -> Self {
        Self {
            end: End::Refused(code),
            status: Some(code.status()),
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    /// Of a request that broke, and got the fault's refusal for its reply.
    pub fn failed(fault: Fault) -> Self {
        Self {
            status: Some(fault.kind.code().status()),
            end: End::Failed(fault),
            bytes_in: 0,
            bytes_out: 0,
        }
    }
}

/// Everything that the steps have told.
#[derive(Clone)]
pub(super) struct Steps {
    pub(super) request_id: RequestId,
    pub(super) opening: Opening,
    pub(super) trace: Option<Trace>,
    pub(super) caller: Option<Caller>,
    pub(super) asked: Option<Asked>,
    pub(super) target: Option<Target>,
    pub(super) hides_host: bool,
    pub(super) given: Option<Box<Given>>,
    /// Bytes of body that have come from the client so far.
    pub(super) received: Option<Arc<AtomicU64>>,
    /// Of a body that could not be read.
    pub(super) unparsed: Option<Box<Hash>>,
    pub(super) action: Option<ActionName>,
    pub(super) outcome: Option<OutcomeName>,
    pub(super) prepared: Option<Prepared>,
    pub(super) upstream: Option<Upstream>,
    pub(super) redactions: u64,
}

impl Steps {
    pub(super) fn of(request_id: RequestId, opening: Opening) -> Self {
        Self {
            request_id,
            opening,
            trace: None,
            caller: None,
            asked: None,
            target: None,
            hides_host: false,
            given: None,
            received: None,
            unparsed: None,
            action: None,
            outcome: None,
            prepared: None,
            upstream: None,
            redactions: 0,
        }
    }

    pub(super) fn received(&self) -> u64 {
        let counted = self.received.as_ref();
        counted.map_or(0, |it| it.load(Ordering::Relaxed))
    }
}

/// One line to be: what the steps told, and the event that makes the line.
pub(super) struct Record {
    pub(super) steps: Steps,
    pub(super) event: Event,
    pub(super) time: OffsetDateTime,
    pub(super) duration: Duration,
}

/// What a line is about.
pub(super) enum Event {
    Opened,
    Closed(Ending),
    Abandoned { panicked: bool },
}

impl Record {
    fn new(steps: Steps, event: Event, began: Instant) -> Box<Self> {
        Box::new(Self {
            steps,
            event,
            time: OffsetDateTime::now_utc(),
            duration: began.elapsed(),
        })
    }

    fn labels(&self) -> Labels {
        let Steps {
            opening,
            caller,
            action,
            outcome,
            ..
        } = &self.steps;
        Labels {
            door: opening.door,
            action: action.clone(),
            agent: caller.as_ref().and_then(|caller| caller.agent.clone()),
            code: self.event.code(),
            outcome: outcome.clone(),
            end: self.event.end().unwrap_or(NONE),
        }
    }

    fn measured(&self) -> Measured {
        let bytes = match &self.event {
            Event::Closed(ending) => (ending.bytes_in, ending.bytes_out),
            Event::Abandoned { .. } => (self.steps.received(), 0),
            Event::Opened => (0, 0),
        };
        Measured {
            duration: self.duration,
            upstream: self.steps.upstream.map(|upstream| upstream.took),
            bytes_in: bytes.0,
            bytes_out: bytes.1,
            scrubbed: self.steps.redactions,
        }
    }

    /// The word for the decision: what was decided, not how it went on.
    pub(super) fn decision(&self) -> &'static str {
        match &self.event {
            Event::Closed(ending) => match ending.end {
                End::Complete
                | End::Aborted
                | End::Truncated(_)
                | End::Withdrawn
                | End::Stopped => "allowed",
                End::Refused(_) => "refused",
                End::Failed(_) => "failed",
            },
            Event::Opened => "allowed",
            Event::Abandoned { .. } if self.steps.prepared.is_some() => "allowed",
            Event::Abandoned { .. } => "failed",
        }
    }
}

impl Event {
    /// The word for the end, on a terminal line.
    pub(super) fn end(&self) -> Option<&'static str> {
        match self {
            Self::Opened => None,
            Self::Abandoned { .. } => Some("abandoned"),
            Self::Closed(ending) => Some(match ending.end {
                End::Complete => "complete",
                End::Aborted => "aborted",
                End::Truncated(_) => "truncated",
                End::Withdrawn => "withdrawn",
                End::Stopped => "stopped",
                End::Refused(_) => "refused",
                End::Failed(_) => "failed",
            }),
        }
    }

    pub(super) fn code(&self) -> Option<Code> {
        match self {
            Self::Closed(Ending {
                end: End::Refused(code),
                ..
            }) => Some(*code),
            Self::Abandoned { panicked: true } => Some(Code::Internal),
            _ => self.fault().map(|fault| fault.kind.code()),
        }
    }

    pub(super) fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Closed(Ending {
                end: End::Failed(fault) | End::Truncated(fault),
                ..
            }) => Some(fault),
            _ => None,
        }
    }
}

/// The record of one request while the request lasts.
///
/// It ends in exactly one terminal line: that of [`Ticket::close`], or one with the end `abandoned` where it is
/// dropped unclosed.
#[must_use = "a ticket that is dropped is recorded as abandoned"]
pub struct Ticket(Option<Box<Open>>);

struct Open {
    steps: Steps,
    began: Instant,
    /// In the queue. None where there was none and records may be lost.
    place: Option<mpsc::OwnedPermit<Message>>,
    desk: Arc<Desk>,
}

impl Ticket {
    pub(super) fn open(
        opening: Opening,
        place: Option<mpsc::OwnedPermit<Message>>,
        desk: &Arc<Desk>,
    ) -> Self {
        desk.metrics.begun(opening.door);
        if place.is_none() {
            desk.shared.without_place.fetch_add(1, Ordering::Relaxed);
        }
        let steps = Steps::of(RequestId::new(), opening);
        Self(Some(Box::new(Open {
            steps,
            began: Instant::now(),
            place,
            desk: Arc::clone(desk),
        })))
    }

    /// The request's identity.
    pub fn request_id(&self) -> RequestId {
        self.get().steps.request_id
    }

    /// What the caller says of its trace is known. Told again, the last word counts.
    pub fn traced(&mut self, claimed: Claimed) {
        let steps = self.steps();
        steps.trace = claimed.go_on(steps.request_id.bits());
    }

    /// The trace that this request is of, if the caller traces.
    pub fn trace(&self) -> Option<&Trace> {
        self.get().steps.trace.as_ref()
    }

    /// Who asks is known.
    pub fn known(&mut self, caller: &Caller) {
        self.steps().caller = Some(caller.clone());
    }

    /// The head is read.
    pub fn asked(&mut self, asked: Asked) {
        self.steps().asked = Some(asked);
    }

    /// The host is declared, so the record may say where on it.
    pub fn targeted(&mut self, mut target: Target) {
        bound(&mut target.query);
        self.steps().target = Some(target);
    }

    /// The name of the host holds something that nobody may be shown.
    pub fn hide_host(&mut self) {
        self.steps().hides_host = true;
    }

    /// What was given for the action, whether or not it fits.
    pub fn given(&mut self, mut given: Given) {
        bound(&mut given.names);
        self.steps().given = Some(Box::new(given));
    }

    /// Here the bytes of the body are counted as they come: a record that nobody closes has them from there.
    pub fn receives(&mut self, counted: Arc<AtomicU64>) {
        self.steps().received = Some(counted);
    }

    /// The body is not what its action takes. Nothing of it is shown but its SHA-256, by which it can be found again.
    pub fn unparsed(&mut self, body: &[u8]) {
        self.steps().unparsed = Some(Box::new(Hash::of(body)));
    }

    /// An action fits, whether or not it will be permitted.
    pub fn selected(&mut self, action: &ActionName) {
        self.steps().action = Some(action.clone());
    }

    /// Begins anew as the record of another request: the first one inside an intercepted CONNECT, which has no record
    /// of its own then. The identity and the place in the queue stay, and so does the caller.
    pub fn renew(&mut self, opening: Opening) {
        let open = self.0.as_deref_mut().expect(UNCLOSED);
        open.began = Instant::now();
        open.steps.opening = opening;
        open.steps.asked = None;
    }

    /// The request is permitted and made ready.
    pub fn prepared(&mut self, mut prepared: Prepared) {
        bound(&mut prepared.replaced);
        bound(&mut prepared.dropped);
        self.steps().prepared = Some(prepared);
    }

    /// The server was reached. Told again when more is known, the last word counts.
    pub fn reached(&mut self, upstream: Upstream) {
        self.steps().upstream = Some(upstream);
    }

    /// Secrets were masked in so many places of the reply.
    pub fn redacted(&mut self, places: u64) {
        self.steps().redactions += places;
    }

    /// There is a reply, and this is what the policy calls it.
    pub fn concluded(&mut self, outcome: &OutcomeName) {
        self.steps().outcome = Some(outcome.clone());
    }

    /// A stream or tunnel that may last for long has begun: writes a line with `event: opened`, so that the record
    /// does not wait for its end.
    ///
    /// # Errors
    /// [`Code::Overloaded`] where the queue has no place for that line and none may be lost; the stream must not begin
    /// then.
    pub fn opened(&mut self) -> Result<(), Refusal> {
        let open = self.get();
        let record = Record::new(open.steps.clone(), Event::Opened, open.began);
        match open.desk.queue.try_send(Message::Line(record)) {
            Ok(()) => Ok(()),
            Err(_) => open.desk.without_line(),
        }
    }

    /// Ends the request's record.
    pub fn close(mut self, ending: Ending) {
        self.end(Event::Closed(ending));
    }

    fn end(&mut self, event: Event) {
        let Some(open) = self.0.take() else { return };
        let record = Record::new(open.steps, event, open.began);
        let Desk {
            metrics,
            queue,
            shared,
            ..
        } = &*open.desk;
        metrics.ended(&record.labels(), record.measured());
        let line = Message::Line(record);
        let Some(place) = open.place else {
            if queue.try_send(line).is_err() {
                shared.lose();
            }
            shared.without_place.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        place.send(line);
    }

    fn get(&self) -> &Open {
        self.0.as_deref().expect(UNCLOSED)
    }

    fn steps(&mut self) -> &mut Steps {
        &mut self.0.as_deref_mut().expect(UNCLOSED).steps
    }
}

const UNCLOSED: &str = "only `close`, which consumes the ticket, and `drop` take its content";

/// The one exception to "no work in `Drop`": a future that hyper drops because its client left, or a task that
/// panics, has no other way to say so.
impl Drop for Ticket {
    fn drop(&mut self) {
        let panicked = std::thread::panicking();
        self.end(Event::Abandoned { panicked });
    }
}
