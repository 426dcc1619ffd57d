//! The body of a reply on its way to the client: nothing, one piece, or frames as they come.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use http_body::Body;
use http_body::Frame;
use http_body::SizeHint;
use hyper::body::Incoming;

use crate::bare::upstream::Lease;

/// The body of a reply.
pub(crate) enum Reply {
    Empty,
    /// `None` once it was taken.
    Whole(Option<Bytes>),
    /// The lease, of a connection that is not shared, goes back to the pool with the last frame; a body dropped before
    /// its end closes it.
    Stream(Incoming, Option<Lease>),
}

impl Reply {
    /// A body of one piece.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Whole(Some(bytes))
        }
    }

    /// A body whose frames come over the connection that is leased, or over one that is shared.
    pub(crate) fn stream(body: Incoming, lease: Option<Lease>) -> Self {
        if !body.is_end_stream() {
            return Self::Stream(body, lease);
        }
        lease.into_iter().for_each(Lease::give_back);
        Self::Empty
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let (body, lease) = match self.get_mut() {
            Self::Empty => return Poll::Ready(None),
            Self::Whole(bytes) => {
                return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))));
            }
            Self::Stream(body, lease) => (body, lease),
        };
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        match &frame {
            Some(Err(_)) => *lease = None,
            Some(Ok(_)) if !body.is_end_stream() => {}
            _ => lease.take().into_iter().for_each(Lease::give_back),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Whole(None) => true,
            Self::Whole(Some(_)) => false,
            Self::Stream(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Whole(None) => SizeHint::with_exact(0),
            Self::Whole(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body, _) => body.size_hint(),
        }
    }
}
