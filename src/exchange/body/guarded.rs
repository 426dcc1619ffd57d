//! A body that passes unread, and breaks off where a known secret stands in it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::body::with_held;
use crate::fault::{Fault, FaultKind};
use crate::known::Known;
use crate::scrub::Scrubber;

/// Ends with [`FaultKind::ClientSecret`] before the first byte of a secret has gone on.
pub(super) struct Guarded<B> {
    inner: B,
    known: Arc<Known>,
    /// Made with the first byte: by then the request's own secrets are known too.
    scrubber: Option<Scrubber>,
    over: bool,
}

impl<B> Guarded<B> {
    pub(super) fn new(inner: B, known: Arc<Known>) -> Self {
        Self {
            inner,
            known,
            scrubber: None,
            over: false,
        }
    }

    fn held(&self) -> u64 {
        self.scrubber.as_ref().map_or(0, |it| it.held() as u64)
    }
}

impl<B: HttpBody<Data = Bytes, Error = Fault> + Unpin> HttpBody for Guarded<B> {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let this = &mut *self;
        while !this.over {
            let frame = ready!(Pin::new(&mut this.inner).poll_frame(context)).transpose()?;
            let forms = || Scrubber::new(this.known.forms());
            let scrubber = this.scrubber.get_or_insert_with(forms);
            let data = match frame.map(Frame::into_data) {
                Some(Ok(data)) => scrubber.push(data),
                Some(Err(_)) | None => {
                    this.over = true;
                    scrubber.finish()
                }
            };
            if scrubber.masked() > 0 {
                this.over = true;
                return Poll::Ready(Some(Err(Fault::new(
                    FaultKind::ClientSecret,
                    "the request's body holds a known secret",
                ))));
            }
            if !data.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.over || (self.inner.is_end_stream() && self.held() == 0)
    }

    fn size_hint(&self) -> SizeHint {
        with_held(self.inner.size_hint(), self.held())
    }
}
