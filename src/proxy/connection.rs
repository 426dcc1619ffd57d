//! The HTTP/1 loop: one head after the other, each judged, served and answered before the next is read.

use std::future::pending;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use http::HeaderMap;
use tokio::time::sleep;

use crate::audit::{End, Ending};
use crate::body::Body;
use crate::drain::{Drain, Phase};
use crate::exchange::{Answer, Arrival, Begun, Socket, Stop, unless_panicked};
use crate::fault::{Fault, FaultKind};
use crate::patience::Patience;
use crate::proxy::ClientLimits;
use crate::proxy::Place;
use crate::proxy::arrival;
use crate::proxy::line::{ClientStream, Line, Received};
use crate::proxy::reply;
use crate::proxy::reply::{Sent, Terms};
use crate::proxy::tunnel::Tunnel;
use crate::proxy::upload::Upload;
use crate::refusal::{Code, Refusal};
use crate::request::Door;
use crate::seats::Seat;
use crate::wire::{Head, Malformed, Offered, Upgrade, switching_head};

/// When a stop begins, a connection that has not said anything yet may be one that was just made for a request, which
/// is on its way then. One that has had an answer is closed at once.
const FIRST_WORDS: Duration = Duration::from_secs(1);

/// A client's connection that speaks HTTP/1.
pub(super) struct Connection<S> {
    place: Place,
    line: Line<S>,
    scope: Scope,
}

/// Where the connection is, which settles what its heads may say.
pub(super) enum Scope {
    /// In the clear: any destination, each request with its own caller.
    Open,
    /// In a tunnel: one destination, one caller.
    Within(Arc<Tunnel>),
}

/// A CONNECT with everything that has come of its connection.
pub(super) struct Connect<S> {
    pub(super) begun: Begun,
    pub(super) head: Box<Head>,
    pub(super) line: Line<S>,
}

/// What becomes of the connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Head,
    Close,
    /// Without a word, and without discarding what is on its way.
    Drop,
    Abort,
}

impl Next {
    pub(super) fn after(sent: Sent, terms: &Terms) -> Self {
        match sent {
            Sent::Whole if terms.keep_alive => Self::Head,
            Sent::Whole => Self::Close,
            Sent::Cut => Self::Drop,
            Sent::Broken => Self::Abort,
        }
    }
}

impl<S: ClientStream> Connection<S> {
    pub(super) fn new(place: Place, line: Line<S>, scope: Scope) -> Self {
        Self { place, line, scope }
    }

    /// Serves requests until the connection is over, or becomes a tunnel.
    pub(super) async fn run(self) -> Option<Connect<S>> {
        let (limits, seat) = (&self.place.limits, &self.place.seat);
        let drain = Some(&self.place.gate.services.drain);
        let mut wait = Patience::new(limits.head);
        let mut is_new = true;
        // Made for the first request and for all others: to subscribe to a stop costs more than to ask about it.
        let mut leaving = pin!(leaves(drain, seat, is_new));
        loop {
            seat.waits();
            let leaving_or_wanted = (leaving.as_mut(), seat.wanted());
            let received = self
                .line
                .head((&mut wait, limits.head), leaving_or_wanted)
                .await;
            seat.works();
            let head = match received {
                Received::Head(head) => head,
                Received::Nothing => {
                    self.line.close(limits, seat).await;
                    return None;
                }
                other => {
                    Box::pin(self.unreadable(&other)).await;
                    return None;
                }
            };
            let begun = match self.begin() {
                Ok(begun) => begun,
                Err(answer) => {
                    Box::pin(self.last_words(*answer)).await;
                    return None;
                }
            };
            if head.method == http::Method::CONNECT && matches!(self.scope, Scope::Open) {
                let line = self.line;
                return Some(Connect { begun, head, line });
            }
            // On the heap, and only for as long as there is a request: connections wait for most of their lives.
            let next = made_on_heap(|| self.exchange(begun, head)).await;
            if !self.line.goes_on(next, limits, seat).await {
                return None;
            }
            wait.renew_for(limits.keep_alive);
            if mem::take(&mut is_new) {
                leaving.set(leaves(drain, seat, is_new));
            }
        }
    }

    async fn exchange(&self, mut begun: Begun, head: Box<Head>) -> Next {
        let mut terms = Terms::of(&head);
        let offered = match head.upgrade {
            Upgrade::Nothing => Offered::default(),
            Upgrade::WebSocket | Upgrade::Other => Offered::of(&head.headers),
        };
        let body = Upload::body(&self.line, &head, &self.place.limits);
        let id = begun.ticket.request_id();
        let judged = {
            let judging = pin!(self.judge(&mut begun, *head, body));
            unless_panicked(Some(id), judging).await
        };
        let answer = match judged {
            Ok(arrival) => {
                self.place.seat.asked();
                // Pinned here: handed over by value, its ten kilobytes would be copied, and have room twice.
                let serving = pin!(self.place.gate.serve(begun, arrival));
                match self.line.unless_gone(serving).await {
                    Some(answer) => answer,
                    None => return Next::Abort,
                }
            }
            Err(Stop::Refused(refusal)) => begun.refuse(refusal),
            Err(Stop::Broke(fault)) => begun.fail(fault),
        };
        let mut answer = answer;
        if let Some(socket) = answer.socket.take() {
            offered.limit(&mut answer.headers);
            return self.switch(*socket, answer.headers).await;
        }
        // What is unread of a body could be taken for the next request, so there is none (RFC 9112 §9.6).
        terms.keep_alive &= self.line.is_at_end();
        terms.keep_alive &= !self.place.gate.services.drain.has_reached(Phase::Draining);
        let stall = self.place.limits.write_stall;
        Next::after(
            reply::write(&self.line, &terms, answer, stall).await,
            &terms,
        )
    }

    /// Answers 101, and lends the connection to a WebSocket until that is over.
    async fn switch(&self, socket: Socket, headers: HeaderMap) -> Next {
        let mut head = BytesMut::with_capacity(512);
        switching_head(&mut head, &headers);
        let stall = self.place.limits.write_stall;
        match (self.line.write(head, stall).await, self.line.take()) {
            (Ok(()), Some((stream, ahead))) => socket.carry(stream, ahead, stall).await,
            _ => socket.abandon(),
        }
        Next::Drop
    }

    async fn judge(&self, begun: &mut Begun, head: Head, body: Body) -> Result<Arrival, Stop> {
        match &self.scope {
            Scope::Open => arrival::in_the_clear(&self.place.gate, begun, head, body).await,
            Scope::Within(tunnel) => {
                let gate = &self.place.gate;
                let arrival = arrival::in_a_tunnel(gate, (tunnel, begun), head, body)?;
                tunnel.vouch(gate, &begun.policy, &arrival.caller).await?;
                Ok(arrival)
            }
        }
    }

    /// Answers what was no request, records it, and closes.
    async fn unreadable(&self, received: &Received) {
        let begun = match self.begin() {
            Ok(begun) => begun,
            Err(answer) => return self.last_words(*answer).await,
        };
        match unreadable(received, &self.place.limits) {
            Stop::Refused(refusal) => self.last_words(begun.refuse(refusal)).await,
            Stop::Broke(fault) => begun.ticket.close(Ending {
                end: End::Failed(fault),
                status: None,
                bytes_in: 0,
                bytes_out: 0,
            }),
        }
    }

    async fn last_words(&self, answer: Answer) {
        let place = (&*self.place.limits, &*self.place.seat);
        last_words(place, &self.line, answer).await;
    }

    fn begin(&self) -> Result<Begun, Box<Answer>> {
        match &self.scope {
            Scope::Open => self.place.gate.begin(Door::Proxy, None),
            Scope::Within(tunnel) => tunnel.begin(&self.place.gate),
        }
    }
}

/// Writes an answer after which nothing of the client is understood any more.
pub(super) async fn last_words<S: ClientStream>(
    (limits, seat): (&ClientLimits, &Seat),
    line: &Line<S>,
    answer: Answer,
) {
    line.give_up_reading();
    match reply::write(line, &Terms::unread(), answer, limits.write_stall).await {
        Sent::Whole => line.close(limits, seat).await,
        Sent::Cut | Sent::Broken => line.abort(),
    }
}

/// A future on the heap, made where it stays: `Box::pin` has it made on the stack and copied, and that of an exchange has
/// ten kilobytes.
pub(super) fn made_on_heap<F>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}

/// When a connection that waits for a request is to close: exeat stops, or its place is wanted.
pub(super) async fn leaves(drain: Option<&Drain>, seat: &Seat, is_new: bool) {
    let stops = async {
        match drain {
            Some(drain) => drain.reached(Phase::Draining).await,
            None => pending().await,
        }
    };
    tokio::select! {
        biased;
        () = stops => {}
        () = seat.wanted() => return,
    }
    if is_new {
        sleep(FIRST_WORDS).await;
    }
}

/// What is wrong with what came where a head was expected.
pub(super) fn unreadable(received: &Received, limits: &ClientLimits) -> Stop {
    match received {
        Received::Malformed(malformed) => to_refusal(*malformed).into(),
        Received::Slow => {
            let within = limits.head;
            let message = format!("the head must be here {within:?} after its first byte");
            Refusal::new(Code::ClientTooSlow, message).into()
        }
        Received::Crowded => {
            let message = "exeat needed the place of this connection, which had not asked yet";
            let refusal = Refusal::new(Code::Overloaded, message);
            refusal.after_waiting(FIRST_WORDS).into()
        }
        Received::Cut | Received::Head(_) | Received::Nothing => {
            let cut = "the client closed before the end of a head";
            Fault::new(FaultKind::ClientGone, cut).into()
        }
    }
}

fn to_refusal(malformed: Malformed) -> Refusal {
    let code = match malformed.status().as_u16() {
        431 => Code::HeadTooLarge,
        414 => Code::TargetTooLong,
        417 => Code::ExpectationFailed,
        _ => Code::RequestMalformed,
    };
    Refusal::new(code, malformed.reason())
}
