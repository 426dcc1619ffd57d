//! A request body that breaks off when it passes a number of bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::exchange::Received;
use crate::fault::{Fault, FaultKind};

/// Ends with [`FaultKind::ClientTooLarge`] at the first byte over the cap, and without trailers.
pub(super) struct Capped<B> {
    inner: B,
    left: u64,
    received: Received,
}

impl<B> Capped<B> {
    pub(super) fn new(inner: B, cap: u64, received: Received) -> Self {
        Self {
            inner,
            left: cap,
            received,
        }
    }
}

impl<B: HttpBody<Data = Bytes, Error = Fault> + Unpin> HttpBody for Capped<B> {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            other => return Poll::Ready(other),
        };
        // Trailers of a request are dropped: nobody has checked them.
        let Ok(data) = frame.into_data() else {
            return Poll::Ready(None);
        };
        self.received.add(data.len());
        match self.left.checked_sub(data.len() as u64) {
            Some(left) => {
                self.left = left;
                Poll::Ready(Some(Ok(Frame::data(data))))
            }
            None => Poll::Ready(Some(Err(Fault::new(
                FaultKind::ClientTooLarge,
                "the request's body passed the action's max_request_bytes",
            )))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
