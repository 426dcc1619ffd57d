//! The body of an HTTP/1 request: read from the client's connection when somebody asks for it, and not before.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::body::Body;
use crate::fault::{Fault, FaultKind};
use crate::patience::Patience;
use crate::proxy::ClientLimits;
use crate::proxy::line::{ClientStream, Line};
use crate::wire::{Framing, Head};

/// Reads what follows a head, in the turn of its request.
pub(super) struct Upload<S> {
    line: Line<S>,
    turn: u64,
    left: Option<u64>,
    /// Whether the client waits for `100 Continue`.
    waits: bool,
    patience: Patience,
}

impl<S: ClientStream> Upload<S> {
    /// The body that a head announces; nothing is read or written yet.
    pub(super) fn body(line: &Line<S>, head: &Head, limits: &ClientLimits) -> Body {
        let turn = line.expect(head.framing);
        let left = match head.framing {
            Framing::None | Framing::Length(0) => return Body::Empty,
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        };
        Body::stream(Self {
            line: line.clone(),
            turn,
            left,
            waits: head.expect_continue,
            patience: Patience::new(limits.body_idle),
        })
    }
}

impl<S: ClientStream> HttpBody for Upload<S> {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if self.left == Some(0) {
            return Poll::Ready(None);
        }
        if std::mem::take(&mut self.waits) {
            self.line.let_continue(self.turn, context);
        }
        match self.line.poll_piece(self.turn, context) {
            Poll::Ready(Some(Ok(data))) => {
                self.patience.renew();
                self.left = self.left.map(|left| left - data.len() as u64);
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            Poll::Ready(Some(Err(fault))) => Poll::Ready(Some(Err(fault))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => self.patience.poll(context).map(|()| {
                self.line.give_up_reading();
                let detail = "the client stopped sending its body";
                Some(Err(Fault::new(FaultKind::ClientSlow, detail)))
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0) || self.line.is_over(self.turn)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
