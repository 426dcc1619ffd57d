//! A reply's body on its way to the client: counted, capped, timed, and with the audit ticket in it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::action::Limits;
use crate::audit::{End, Ending, Ticket, Upstream};
use crate::body::Body;
use crate::exchange::body::Hold;
use crate::exchange::{Carried, Deadline, Received, Sent};
use crate::fault::{Fault, FaultKind};

/// Ends the record when the last byte has been handed on, or with what kept it from coming.
pub(super) struct Metered {
    inner: Body,
    record: Option<Record>,
    limits: Limits,
    deadline: Deadline,
    sent: u64,
    waiting: Option<Waiting>,
    // The room that a reply in hand takes.
    _hold: Hold,
}

/// What the terminal audit record needs when the body ends.
struct Record {
    ticket: Ticket,
    status: StatusCode,
    received: Received,
    dialled: Instant,
    upstream: Upstream,
}

/// A timer, made only when the upstream lets us wait: most replies are there at once and need none.
struct Waiting {
    timer: Pin<Box<Sleep>>,
    /// Whether the timer has been set since the last frame came.
    armed: bool,
}

impl Metered {
    pub(super) fn body(carried: Carried, received: Received, ticket: Ticket) -> Body {
        let Carried { sent, hold, .. } = carried;
        let Sent {
            reply,
            limits,
            deadline,
            dialled,
            attempt: _,
        } = sent;
        let record = Record {
            ticket,
            status: reply.status,
            received,
            dialled,
            upstream: Upstream {
                address: reply.upstream.address,
                took: dialled.elapsed(),
                retries: reply.upstream.retries,
            },
        };
        if reply.body.is_empty() {
            record.close(End::Complete, 0);
            return Body::Empty;
        }
        Body::stream(Self {
            inner: reply.body,
            record: Some(record),
            limits,
            deadline,
            sent: 0,
            waiting: None,
            _hold: hold,
        })
    }

    fn end(&mut self, end: End) {
        if let Some(record) = self.record.take() {
            record.close(end, self.sent);
        }
    }

    fn break_off(&mut self, fault: Fault) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        self.inner = Body::Empty;
        self.end(End::Truncated(fault.clone()));
        Poll::Ready(Some(Err(fault)))
    }

    fn pass(&mut self, frame: Frame<Bytes>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        // Trailers pass only where an action declares them, and none can yet.
        let Ok(data) = frame.into_data() else {
            self.end(End::Complete);
            return Poll::Ready(None);
        };
        if let Some(waiting) = &mut self.waiting {
            waiting.armed = false;
        }
        self.sent += data.len() as u64;
        if self.sent > self.limits.max_response_bytes {
            return self.break_off(Fault::new(
                FaultKind::ReplyTooLarge,
                "the reply passed the action's max_response_bytes",
            ));
        }
        if self.inner.is_end_stream() {
            self.end(End::Complete);
        }
        Poll::Ready(Some(Ok(Frame::data(data))))
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
        match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => self.pass(frame),
            Poll::Ready(Some(Err(fault))) => self.break_off(fault),
            Poll::Ready(None) => {
                self.end(End::Complete);
                Poll::Ready(None)
            }
            Poll::Pending => match self.poll_patience(context) {
                Poll::Ready(()) => self.break_off(Fault::new(
                    FaultKind::Timeout,
                    "the reply stopped before its end, for longer than its timeouts",
                )),
                Poll::Pending => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.record.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// The client went away with the reply half-way: nobody else is left to say so. Part of the ticket's own exception to
/// "no work in `Drop`".
impl Drop for Metered {
    fn drop(&mut self) {
        self.end(End::Aborted);
    }
}
