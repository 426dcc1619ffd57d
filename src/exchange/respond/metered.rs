//! A reply's body on its way to the client: scrubbed, counted, capped, timed, under a lease, and with the audit ticket
//! in it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::action::Limits;
use crate::audit::{End, Ending, Ticket, Upstream};
use crate::body::{Body, with_held};
use crate::exchange::body::Hold;
use crate::exchange::respond::decode::drop_digests;
use crate::exchange::respond::scrubbed::Scrub;
use crate::exchange::shares::Share;
use crate::exchange::{Carried, Deadline, Received, Sent};
use crate::fault::{Fault, FaultKind};
use crate::lease::{Ended, Lease};
use crate::policy::Stake;
use crate::scrub::Scrubber;
use crate::wire::clean_trailers;

/// So much of a reply in hand goes on at a time: what one write of TLS or one buffer of a socket takes easily.
const PIECE: usize = 64 * 1024;

/// Ends the record when the last byte has been handed on, or with what kept it from coming.
pub(super) struct Metered {
    inner: Body,
    /// None where the content is in hand and scrubbed.
    scrubber: Option<Scrubber>,
    scrub: Scrub,
    record: Option<Record>,
    lease: Lease,
    limits: Limits,
    deadline: Deadline,
    sent: u64,
    /// Places that the scrubber has masked, as far as they are counted.
    streamed: u64,
    trailers: Trailers,
    waiting: Option<Waiting>,
    // The room that a reply in hand takes.
    _hold: Hold,
}

/// What becomes of the trailers.
enum Trailers {
    Dropped,
    Awaited,
    /// They go on once everything before them has.
    Here(HeaderMap),
}

/// What a body gives its reader.
type Passed = Poll<Option<Result<Frame<Bytes>, Fault>>>;

/// What the terminal audit record needs when the body ends.
struct Record {
    ticket: Ticket,
    status: StatusCode,
    received: Received,
    dialled: Instant,
    upstream: Upstream,
    // Given back before the client can see the end.
    _share: Option<Share>,
}

/// A timer, made only when the upstream lets us wait: most replies are there at once and need none.
struct Waiting {
    timer: Pin<Box<Sleep>>,
    /// Whether the timer has been set since the last frame came.
    armed: bool,
}

impl Metered {
    pub(super) fn body(
        carried: Carried,
        (received, lease): (Received, impl FnOnce(Stake) -> Lease),
        ticket: Ticket,
    ) -> Body {
        let Carried {
            sent,
            stake,
            mut hold,
            ..
        } = carried;
        let Sent {
            reply,
            limits,
            deadline,
            dialled,
            attempt: _,
            scrub,
            trailers,
        } = sent;
        let mut record = Record {
            ticket,
            status: reply.status,
            received,
            dialled,
            upstream: Upstream {
                address: reply.upstream.address,
                took: dialled.elapsed(),
                retries: reply.upstream.retries,
            },
            _share: hold.share(),
        };
        if reply.body.is_empty() {
            record.ticket.redacted(scrub.masked());
            record.close(End::Complete, 0);
            return Body::Empty;
        }
        Body::stream(Self {
            inner: reply.body,
            scrubber: scrub.scrubber(),
            scrub,
            record: Some(record),
            lease: lease(stake),
            limits,
            deadline,
            sent: 0,
            streamed: 0,
            trailers: match trailers {
                true => Trailers::Awaited,
                false => Trailers::Dropped,
            },
            waiting: None,
            _hold: hold,
        })
    }

    fn end(&mut self, end: End) {
        if let Some(mut record) = self.record.take() {
            record.ticket.redacted(self.scrub.masked());
            record.close(end, self.sent);
        }
    }

    fn break_off(&mut self, fault: Fault) -> Passed {
        self.cut(End::Truncated(fault.clone()), fault)
    }

    fn cut(&mut self, end: End, fault: Fault) -> Passed {
        self.inner = Body::Empty;
        self.scrubber = None;
        self.end(end);
        Poll::Ready(Some(Err(fault)))
    }

    /// The client sees a reply that is not whole; the record says why.
    fn ended(&mut self, ended: Ended) -> Passed {
        let detail = match ended {
            Ended::Withdrawn => "the policy does not permit it any more",
            Ended::Stopped => "exeat stops",
        };
        self.cut(ended.into(), Fault::new(FaultKind::Withdrawn, detail))
    }

    /// What of a frame goes on: nothing (`None`), where all of it is held back.
    fn pass(&mut self, frame: Frame<Bytes>) -> Option<Passed> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return Some(self.end_with(frame.into_trailers().unwrap_or_default())),
        };
        if let Some(waiting) = &mut self.waiting {
            waiting.armed = false;
        }
        let is_last = self.inner.is_end_stream();
        if !is_last && self.is_late() {
            return Some(self.break_off(late()));
        }
        let data = match &mut self.scrubber {
            None => data,
            Some(scrubber) => {
                scrubber.look_for(self.scrub.forms());
                match is_last {
                    true => scrubber.last(data),
                    false => scrubber.push(data),
                }
            }
        };
        if self.sent + data.len() as u64 + self.held() > self.limits.max_response_bytes {
            return Some(self.break_off(Fault::new(
                FaultKind::ReplyTooLarge,
                "the reply passed the action's max_response_bytes",
            )));
        }
        self.hand_on(data, is_last)
    }

    /// The end has come, with trailers. A digest among them would be one of what the server sent.
    fn end_with(&mut self, mut trailers: HeaderMap) -> Passed {
        if matches!(self.trailers, Trailers::Awaited) {
            clean_trailers(&mut trailers);
            drop_digests(&mut trailers);
            self.scrub.refresh();
            if let Err(fault) = self.scrub.headers(&mut trailers) {
                return self.break_off(fault);
            }
            if !trailers.is_empty() {
                self.trailers = Trailers::Here(trailers);
            }
        }
        self.finish()
    }

    /// The end has come: what was held back is the last of it, but for trailers.
    fn finish(&mut self) -> Passed {
        self.inner = Body::Empty;
        let forms = self.scrub.forms();
        let held = self.scrubber.as_mut().map(|scrubber| {
            scrubber.look_for(forms);
            scrubber.finish()
        });
        let is_last = !matches!(self.trailers, Trailers::Here(_));
        if let Some(passed) = self.hand_on(held.unwrap_or_default(), is_last) {
            return passed;
        }
        match std::mem::replace(&mut self.trailers, Trailers::Dropped) {
            Trailers::Here(trailers) => {
                self.end(End::Complete);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Trailers::Dropped | Trailers::Awaited => Poll::Ready(None),
        }
    }

    /// What comes next. Of a reply in hand a piece: its record may say that a client has got all of it once the last
    /// piece is on its way, so that is not to be all there is.
    fn poll_inner(&mut self, context: &mut Context<'_>) -> Passed {
        match &mut self.inner {
            Body::Bytes(bytes) if bytes.len() > PIECE => {
                Poll::Ready(Some(Ok(Frame::data(bytes.split_to(PIECE)))))
            }
            inner => Pin::new(inner).poll_frame(context),
        }
    }

    fn hand_on(&mut self, data: Bytes, is_last: bool) -> Option<Passed> {
        if let Err(fault) = self.note() {
            return Some(self.break_off(fault));
        }
        self.sent += data.len() as u64;
        if is_last {
            self.end(End::Complete);
        }
        (!data.is_empty()).then(|| Poll::Ready(Some(Ok(Frame::data(data)))))
    }

    /// Counts what the scrubber has masked since it was last asked.
    fn note(&mut self) -> Result<(), Fault> {
        let masked = self.scrubber.as_ref().map_or(0, Scrubber::masked);
        let before = std::mem::replace(&mut self.streamed, masked);
        self.scrub.note(masked.saturating_sub(before))
    }

    fn held(&self) -> u64 {
        self.scrubber.as_ref().map_or(0, |it| it.held() as u64)
    }

    /// The idle timeout from now on, and the action's timeout, unless the reply is a stream without an expected end.
    fn give_up_at(&self) -> Instant {
        let idle = Instant::now() + self.limits.idle_timeout;
        if self.limits.stream {
            idle
        } else {
            idle.min(self.deadline.at())
        }
    }

    /// Whether the action's timeout has passed while pieces came all the time: no wait has noticed it.
    fn is_late(&self) -> bool {
        !self.limits.stream && Instant::now() >= self.deadline.at()
    }

    /// Nothing has come of the reply: until when that is waited for.
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Passed {
        if self.poll_patience(context).is_ready() {
            return self.break_off(late());
        }
        match self.lease.poll_ended(context) {
            Poll::Ready(ended) => self.ended(ended),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_patience(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let at = self.give_up_at();
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            timer: Box::pin(sleep_until(at)),
            armed: true,
        });
        if !waiting.armed {
            waiting.timer.as_mut().reset(at);
            waiting.armed = true;
        }
        waiting.timer.as_mut().poll(context)
    }
}

fn late() -> Fault {
    let detail = "the reply had not come to its end within its timeouts";
    Fault::new(FaultKind::Timeout, detail)
}

impl Record {
    fn close(mut self, end: End, sent: u64) {
        self.ticket.reached(Upstream {
            took: self.dialled.elapsed(),
            ..self.upstream
        });
        self.ticket.close(Ending {
            end,
            status: Some(self.status),
            bytes_in: self.received.bytes(),
            bytes_out: sent,
        });
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if self.record.is_some()
            && let Some(ended) = self.lease.check()
        {
            return self.ended(ended);
        }
        loop {
            let passed = match self.poll_inner(context) {
                Poll::Ready(Some(Ok(frame))) => self.pass(frame),
                Poll::Ready(Some(Err(fault))) => Some(self.break_off(fault)),
                Poll::Ready(None) => Some(self.finish()),
                Poll::Pending => Some(self.poll_waiting(context)),
            };
            if let Some(passed) = passed {
                return passed;
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.record.is_none() && self.inner.is_end_stream() && self.held() == 0
    }

    fn size_hint(&self) -> SizeHint {
        with_held(self.inner.size_hint(), self.held())
    }
}

/// The client went away with the reply half-way: nobody else is left to say so. Part of the ticket's own exception to
/// "no work in `Drop`".
impl Drop for Metered {
    fn drop(&mut self) {
        self.end(End::Aborted);
    }
}
