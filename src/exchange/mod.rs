//! One request and its answer: the steps in their order, the same for every door.
//!
//! [`Gate::serve`], the `carry` behind it and its `finish` are the table of contents; [`Gate::call`] joins them at
//! `finish`, from where a request is the same whichever door it came through. Each step takes what the one before
//! returned; a step that says no ends the exchange, and the audit ticket is closed exactly once, by whoever ends it.
//!
//! Which actions buffer: a request's body is read whole ([`Body::Bytes`]) for every action but those with
//! `accept_body: any`, since its parameters have to be checked before anything is sent; those pass a [`Body::Stream`].
//! Replies are streams, except for tools, and where [`Action::reads_reply`](action::Action::reads_reply) says so: those
//! are read whole before their first byte goes on.

mod answer;
mod body;
mod call;
mod deadline;
mod figures;
mod keys;
mod labels;
mod note;
mod outgoing;
mod panicked;
mod renew;
mod respond;
mod shared;
mod shares;
mod socket;
mod steps;
mod stop;
mod traffic;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, Method, StatusCode, Version};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::action;
use crate::action::outcome::Concluded;
use crate::action::requires::AttemptNumber;
use crate::action::{Action, Arguments, Facts, Limits};
use crate::audit::{End, Ending, Opening, Prepared, Ticket, Upstream};
use crate::body::Body;
use crate::dial::{Dialer, Reply};
use crate::fault::{Fault, FaultKind};
use crate::policy;
use crate::policy::{Head, Permit, Policy, Selected, Stake};
use crate::refusal::Refusal;
use crate::request::{Caller, Destination, Door, Host, HostPattern, Intent};
use crate::sessions;
use crate::sessions::Moment;
use crate::trace::Claimed;

pub use answer::Answer;
pub use body::Room;
pub use call::{Call, Called, Denied, Done};
pub use deadline::Deadline;
pub use labels::MAX_DISTINCT_LABELS;
pub use panicked::unless_panicked;
pub use respond::OnEcho;
pub use shared::{Services, Settings};
pub use shares::{AGENT_REQUESTS, AGENT_TUNNELS, Share, Shares};
pub use socket::Socket;
pub use steps::{Seen, Step, Steps};
pub use stop::Stop;
pub use traffic::Traffic;

pub use crate::policy::PlainHttp;

use body::Hold;
use keys::Keys;
use note::Unparsed;
use respond::Scrub;

/// The services as one runtime thread uses them, with connections of its own.
pub struct Gate {
    /// Shared by all threads.
    pub services: Arc<Services>,
    /// This thread's way out.
    pub dialer: Dialer,
}

/// The beginning of an exchange: one policy and one record, for all of it.
pub struct Begun {
    /// The policy in force when it began.
    pub policy: Arc<Policy>,
    /// Its record, unclosed.
    pub ticket: Ticket,
    /// Where a call tells how far it has come.
    pub steps: Steps,
}

/// A request as a door hands it over: read strictly, not yet understood. Its record knows who asks and for what.
pub struct Arrival {
    /// The way it came in.
    pub door: Door,
    /// Who asks; identified by the door.
    pub caller: Caller,
    /// From the CONNECT or the absolute-form target.
    pub destination: Destination,
    /// Any token.
    pub method: Method,
    /// From the first `/` or `?`, as it was sent.
    pub path_and_query: String,
    /// As they were sent.
    pub headers: HeaderMap,
    /// On the client's connection.
    pub version: Version,
    /// Polled only once the head is decided; a client that waits for `100 Continue` gets it then.
    pub body: Body,
}

/// A request that has been understood, at whichever door, and not yet decided.
struct Meant {
    selected: Selected,
    door: Door,
    /// The one that was asked for, which matters only to an action of several hosts.
    host: Host,
    arguments: Arguments,
    prepared: Prepared,
    facts: Facts,
    steps: Steps,
    deadline: Deadline,
    /// The agent's share, and until the head of the reply the body, or what was made of it.
    hold: Hold,
}

/// A reply whose head has come.
struct Sent {
    /// On the heap: a reply is handed on often.
    reply: Box<Reply>,
    limits: Limits,
    deadline: Deadline,
    dialled: Instant,
    /// Where other actions require this one: the session's number of the call.
    attempt: Option<AttemptNumber>,
    scrub: Scrub,
    /// Whether trailers may pass.
    trailers: bool,
}

/// A reply on its way back, and what it means.
struct Carried {
    sent: Sent,
    /// What the rest of it rests on.
    stake: Stake,
    concluded: Concluded,
    /// Variables that the agent is shown, by the names of outputs.
    variables: Map<String, Value>,
    hold: Hold,
}

/// The bytes of the request's body that have come so far.
#[derive(Clone, Debug, Default)]
struct Received(Arc<AtomicU64>);

impl Received {
    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gate {
    /// Takes the policy in force and opens a record. `tls` is the version on the client's connection, such as `1.3`.
    ///
    /// # Errors
    /// The answer where no record can be opened: what can't be recorded is not done.
    pub fn begin(&self, door: Door, tls: Option<&'static str>) -> Result<Begun, Box<Answer>> {
        let opened = self.open(door, tls);
        opened.map_err(|refusal| Box::new(Answer::refused(&refusal, "")))
    }

    /// As [`Gate::begin`], for doors that answer in another form.
    ///
    /// # Errors
    /// [`Code::Overloaded`](crate::refusal::Code::Overloaded).
    pub fn open(&self, door: Door, tls: Option<&'static str>) -> Result<Begun, Refusal> {
        self.open_under(self.services.live.snapshot(), door, tls)
    }

    /// As [`Gate::open`], under the policy by which the door has found out who asks.
    ///
    /// # Errors
    /// [`Code::Overloaded`](crate::refusal::Code::Overloaded).
    pub fn open_under(
        &self,
        policy: Arc<Policy>,
        door: Door,
        tls: Option<&'static str>,
    ) -> Result<Begun, Refusal> {
        let opening = Opening {
            door,
            policy_hash: policy.hash().clone(),
            tls,
        };
        let ticket = self.services.audit.open(opening)?;
        Ok(Begun {
            policy,
            ticket,
            steps: Steps::default(),
        })
    }

    /// Carries one request from its arrival to its answer.
    pub async fn serve(&self, begun: Begun, arrival: Arrival) -> Answer {
        let Begun {
            policy, mut ticket, ..
        } = begun;
        let received = Received::default();
        ticket.receives(received.0.clone());
        let id = ticket.request_id();
        let carried = {
            let carrying = pin!(self.carry(&policy, arrival, &received, &mut ticket));
            unless_panicked(Some(id), carrying).await
        };
        match carried {
            Ok(carried) => {
                let lease = |stake| self.services.leases.lease(&policy, stake);
                respond::reply(carried, (received, lease), ticket)
            }
            Err(stop) => respond::stopped(stop, &received, ticket),
        }
    }

    /// The life of a proxied request, from its head to what it means.
    async fn carry(
        &self,
        policy: &Arc<Policy>,
        arrival: Arrival,
        received: &Received,
        ticket: &mut Ticket,
    ) -> Result<Carried, Stop> {
        self.services
            .note_trace(Claimed::of_headers(&arrival.headers), ticket);
        let mut hold = self.hold(&arrival.caller)?;
        let (intent, body) = self.understand(policy, arrival)?;
        let selected = self.select(policy, &intent, ticket)?;
        let deadline = Deadline::after(selected.action().limits.timeout);
        let content = body::read(&selected, body, deadline, received, &mut hold).await?;
        let content = body::guarded(content, &self.services.known);
        let facts = self.facts(&selected).await?;
        let unparsed = Unparsed::perhaps(&content);
        let recognised = action::recognise(selected.action(), &intent, content, &facts)
            .inspect_err(|refusal| unparsed.note(refusal, ticket))
            .map_err(|refusal| refusal.of_action(&selected.action().name))?;
        let meant = Meant {
            door: intent.door,
            host: intent.destination.host,
            prepared: self.prepared(&selected, &recognised),
            arguments: recognised.arguments,
            selected,
            facts,
            steps: Steps::default(),
            deadline,
            hold,
        };
        self.finish(meant, ticket).await
    }

    /// The life of every request, from what it means to the head of the reply.
    async fn finish(&self, meant: Meant, ticket: &mut Ticket) -> Result<Carried, Stop> {
        let Meant { door, deadline, .. } = meant;
        let caller = meant.selected.caller().clone();
        let mut permit = self.decide(
            meant.selected,
            (&meant.host, &meant.facts),
            meant.arguments,
            ticket,
        )?;
        if let Some(trace) = ticket.trace() {
            permit.tell(trace);
        }
        ticket.prepared(meant.prepared);
        if door != Door::Proxy {
            call::note_planned(&permit, ticket)?;
        }
        if let HostPattern::OneLabel(_) = permit.action().host {
            self.services
                .shares
                .name(caller.agent.as_ref(), &meant.host)?;
        }
        self.services.meter.take(&permit, &meant.facts)?;
        let wanted = self.wanted(&permit, &caller.environment)?;
        let keys = self.keys(wanted, deadline).await?;
        outgoing::refuse_secrets(&permit, &self.services.known.forms())?;
        let action = permit.action().clone();
        meant.steps.tell(Step::Sent);
        let sent = self.send(permit, keys, deadline, ticket).await?;
        meant.steps.tell(Step::Answered(sent.reply.status));
        let hold = meant.hold.emptied();
        let whose = (caller, door, meant.host);
        let carried = self.read(sent, action, whose, hold).await?;
        ticket.concluded(&carried.concluded.outcome);
        Ok(carried)
    }

    /// What the reply means: its name, what of it may go on, and what the session keeps of it. The session has it
    /// before the agent has the first byte, so that the next request can use it.
    async fn read(
        &self,
        mut sent: Sent,
        action: Arc<Action>,
        (caller, door, host): (Caller, Door, Host),
        mut hold: Hold,
    ) -> Result<Carried, Stop> {
        let mut concluded = respond::conclude(&mut sent, &action, door, &mut hold).await?;
        let outputs = std::mem::take(&mut concluded.outputs);
        let variables = call::exposed(&action, &outputs);
        let succeeded = sent.attempt.filter(|_| concluded.success);
        if succeeded.is_some() || !outputs.is_empty() {
            let sessions = &self.services.sessions;
            sessions.learn(&caller, succeeded, outputs).await?;
        }
        let given = self.services.settings.environment.clone();
        let stake = Stake::of_caller(caller, given).on_action(action, door, host);
        Ok(Carried {
            stake: stake.at(sent.reply.upstream.address),
            sent,
            concluded,
            variables,
            hold,
        })
    }

    /// Begins to hold what a request of this caller needs: of memory nothing yet.
    fn hold(&self, caller: &Caller) -> Result<Hold, Refusal> {
        let share = self.services.shares.take(caller.agent.as_ref())?;
        Ok(self.services.room.hold().of(share))
    }

    /// From what was sent to what was meant, in canonical form.
    fn understand(&self, policy: &Policy, arrival: Arrival) -> Result<(Intent, Body), Refusal> {
        let head = Head {
            door: arrival.door,
            caller: arrival.caller,
            method: arrival.method.as_str(),
            destination: arrival.destination,
            path_and_query: &arrival.path_and_query,
            headers: arrival.headers,
        };
        let plain_http = self.services.settings.plain_http;
        let intent = policy::understand(policy, head, plain_http)?;
        Ok((intent, arrival.body))
    }

    async fn facts(&self, selected: &Selected) -> Result<Facts, Fault> {
        let caller = selected.caller();
        let found = self.services.sessions.look(caller).await?;
        let at = Moment {
            now: OffsetDateTime::now_utc(),
            instant: std::time::Instant::now(),
        };
        Ok(sessions::facts(selected.policy(), caller, at, found))
    }

    /// Sends the request, and sends it once more if its token was refused and that does no harm.
    async fn send(
        &self,
        permit: Permit,
        keys: Keys,
        deadline: Deadline,
        ticket: &mut Ticket,
    ) -> Result<Sent, Stop> {
        let action = permit.action().clone();
        let limits = action.limits;
        // Noted before it is sent: it counts as failed, however it ends, until its reply says otherwise.
        let attempt = match permit.remembered() {
            Some(call) => self.services.sessions.begin(permit.caller(), call).await?,
            None => None,
        };
        let again = keys.token.is_some().then(|| permit.again()).flatten();
        let dialled = Instant::now();
        let mut reply = self.dial(&keys, permit, deadline).await?;
        ticket.reached(upstream(&reply, dialled));
        // On the heap: a second way there is rare, and no request should have room for it.
        if reply.status == StatusCode::UNAUTHORIZED
            && let Some((permit, keys)) = Box::pin(self.renewed(again, keys, deadline)).await?
        {
            let sent_before = reply.upstream.retries + 1;
            reply = Box::pin(self.dial(&keys, permit, deadline)).await?;
            reply.upstream.retries += sent_before;
            ticket.reached(upstream(&reply, dialled));
        }
        respond::check(&reply, &limits)?;
        let scrub = self.scrub(&mut reply, &action)?;
        Ok(Sent {
            reply,
            scrub,
            limits,
            deadline,
            dialled,
            attempt,
            trailers: action.passes.trailers,
        })
    }

    /// Makes a reply readable, and its head fit for the agent. With the secrets that are known now: those of this
    /// request are among them.
    fn scrub(&self, reply: &mut Reply, action: &Action) -> Result<Scrub, Fault> {
        let on_echo = self.services.settings.on_echo;
        let scrub = Scrub::new(&self.services.known, on_echo);
        respond::open(reply, action, scrub, self.services.room.hold())
    }

    async fn dial(
        &self,
        keys: &Keys,
        permit: Permit,
        deadline: Deadline,
    ) -> Result<Box<Reply>, Stop> {
        let action = permit.action().clone();
        // Pinned here: handed over by value, it would have room twice in the future of every request.
        let sending = pin!(self.dialer.send(permit.equip(&keys.secrets)?));
        let sent = deadline.wait(FaultKind::Timeout, sending).await;
        let reply = sent.map_err(|fault| body::refused_if_decided(fault, &action))?;
        if reply.status != StatusCode::UNAUTHORIZED {
            keys.accepted();
        }
        Ok(reply)
    }
}

fn upstream(reply: &Reply, dialled: Instant) -> Upstream {
    Upstream {
        address: reply.upstream.address,
        took: dialled.elapsed(),
        retries: reply.upstream.retries,
    }
}

impl Begun {
    /// Ends a request to exeat itself, which has been answered with a page of so many bytes.
    pub fn shown(self, status: StatusCode, bytes: u64) {
        self.ticket.close(Ending {
            end: End::Complete,
            status: Some(status),
            bytes_in: 0,
            bytes_out: bytes,
        });
    }

    /// As [`Begun::refuse`] and [`Begun::fail`], for tools.
    pub fn stop(self, stop: Stop) -> Denied {
        respond::denied(stop, &Received::default(), self.ticket)
    }

    /// Ends the exchange with a refusal, before there was a request that could be carried.
    pub fn refuse(self, refusal: Refusal) -> Answer {
        respond::stopped(Stop::Refused(refusal), &Received::default(), self.ticket)
    }

    /// Ends the exchange with a fault, before there was a request that could be carried.
    pub fn fail(self, fault: Fault) -> Answer {
        respond::stopped(Stop::Broke(fault), &Received::default(), self.ticket)
    }
}
