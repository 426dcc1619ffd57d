//! The HTTP/1 loop of listeners that serve pages of exeat's own: one strict head after the other, as at the proxy, but
//! without CONNECT, upgrades and whole URLs as targets.
//!
//! Such a listener may stand behind somebody's own proxy, on whose connections several agents take turns. Where the two
//! disagreed about the end of one agent's request, the rest of it would take the next one's token.

use std::future::Future;
use std::mem;
use std::pin::pin;

use bytes::BytesMut;
use http::{Request, Response, Uri};

use crate::body::Body;
use crate::drain::{Drain, Phase};
use crate::exchange::{Answer, Stop};
use crate::patience::Patience;
use crate::proxy::ClientLimits;
use crate::proxy::connection::{Next, last_words, leaves, made_on_heap, unreadable};
use crate::proxy::line::{ClientStream, Line, Received};
use crate::proxy::reply;
use crate::proxy::reply::Terms;
use crate::proxy::upload::Upload;
use crate::refusal::{Code, Refusal};
use crate::seats::Seat;
use crate::wire::{Form, Head};

/// What is served on a listener.
pub trait Pages: Sync {
    /// The answer to a request. Where the client goes away before it is there, the future is dropped.
    fn answer(&self, request: Request<Body>) -> impl Future<Output = Response<Body>> + Send;

    /// The answer to what is no request.
    fn turn_away(&self, stop: Stop) -> Response<Body>;
}

/// Serves one connection to its end, or until its place is wanted while it waits. Where there is a drain, it closes
/// after its answer once that has begun.
pub async fn serve_pages<P: Pages>(
    pages: &P,
    stream: impl ClientStream,
    limits: &ClientLimits,
    (drain, seat): (Option<&Drain>, &Seat),
) {
    let visit = Visit {
        pages,
        line: Line::new(stream, BytesMut::new()),
        limits,
        drain,
        seat,
    };
    visit.run().await;
}

/// One connection.
struct Visit<'a, P, S> {
    pages: &'a P,
    line: Line<S>,
    limits: &'a ClientLimits,
    drain: Option<&'a Drain>,
    seat: &'a Seat,
}

impl<P: Pages, S: ClientStream> Visit<'_, P, S> {
    async fn run(self) {
        let mut wait = Patience::new(self.limits.head);
        let mut is_new = true;
        let mut leaving = pin!(leaves(self.drain, self.seat, is_new));
        loop {
            self.seat.waits();
            let leaving_or_wanted = (leaving.as_mut(), self.seat.wanted());
            let waits = (&mut wait, self.limits.head);
            let received = self.line.head(waits, leaving_or_wanted).await;
            self.seat.works();
            let head = match received {
                Received::Head(head) => head,
                Received::Nothing => return self.line.close(self.limits, self.seat).await,
                other => {
                    let stop = unreadable(&other, self.limits);
                    tracing::debug!(code = %stop.code(), "what came for a page was no request");
                    let answer = answer(self.pages.turn_away(stop));
                    let place = (self.limits, self.seat);
                    return last_words(place, &self.line, answer).await;
                }
            };
            // On the heap, and only for as long as there is a request: connections wait for most of their lives.
            let next = made_on_heap(|| self.exchange(head)).await;
            if !self.line.goes_on(next, self.limits, self.seat).await {
                return;
            }
            wait.renew_for(self.limits.keep_alive);
            if mem::take(&mut is_new) {
                leaving.set(leaves(self.drain, self.seat, is_new));
            }
        }
    }

    async fn exchange(&self, head: Box<Head>) -> Next {
        let mut terms = Terms::of(&head);
        let body = Upload::body(&self.line, &head, self.limits);
        let response = match request(*head, body) {
            Ok(request) => {
                let answering = pin!(self.pages.answer(request));
                match self.line.unless_gone(answering).await {
                    Some(response) => response,
                    None => return Next::Abort,
                }
            }
            Err(refusal) => {
                // What follows was meant for whoever the client took exeat for.
                terms.keep_alive = false;
                self.pages.turn_away(refusal.into())
            }
        };
        if response.status().is_success() {
            self.seat.asked();
        }
        terms.keep_alive &= self.line.is_at_end();
        terms.keep_alive &= self.drain.is_none_or(|it| !it.has_reached(Phase::Draining));
        let stall = self.limits.write_stall;
        let sent = reply::write(&self.line, &terms, answer(response), stall).await;
        Next::after(sent, &terms)
    }
}

fn request(head: Head, body: Body) -> Result<Request<Body>, Refusal> {
    let path = match head.target.form() {
        Form::Origin => head.target.as_str().parse::<Uri>().ok(),
        Form::Absolute | Form::Authority | Form::Asterisk => None,
    };
    let Some(path) = path else {
        let message = "this listener has pages of its own and carries nothing elsewhere; send the path of one";
        return Err(Refusal::new(Code::RequestMalformed, message));
    };
    let mut request = Request::new(body);
    *request.method_mut() = head.method;
    *request.uri_mut() = path;
    *request.version_mut() = head.version;
    *request.headers_mut() = head.headers;
    Ok(request)
}

fn answer(response: Response<Body>) -> Answer {
    let (head, body) = response.into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body,
        socket: None,
    }
}
