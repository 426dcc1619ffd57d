//! What a message carries: nothing, bytes in hand, or a stream that is read once.
//!
//! The three are kept apart because most requests carry nothing and most checked bodies are in hand: neither pays for
//! a boxed stream. Caps and deadlines are not here; whoever makes a stream puts them in.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

use crate::fault::Fault;

/// A request's or a reply's content, in either direction.
#[derive(Default)]
pub enum Body {
    /// No content.
    #[default]
    Empty,
    /// All of it, in memory.
    Bytes(Bytes),
    /// Read once, frame by frame. An error means that the message is broken off, never that it is complete.
    Stream(UnsyncBoxBody<Bytes, Fault>),
}

impl Body {
    /// Wraps a stream.
    pub fn stream(body: impl HttpBody<Data = Bytes, Error = Fault> + Send + 'static) -> Self {
        Self::Stream(UnsyncBoxBody::new(body))
    }

    /// The length in bytes, where it is known before reading.
    pub fn length(&self) -> Option<u64> {
        match self {
            Self::Empty => Some(0),
            Self::Bytes(bytes) => Some(bytes.len() as u64),
            Self::Stream(stream) => stream.size_hint().exact(),
        }
    }

    /// The same content again, where it is in hand.
    pub fn copy(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Stream(_) => None,
        }
    }

    /// Whether nothing at all will come.
    pub fn is_empty(&self) -> bool {
        self.length() == Some(0)
    }
}

/// What is left of a stream of which so many bytes were taken and have yet to be handed on.
pub fn with_held(mut left: SizeHint, held: u64) -> SizeHint {
    if let Some(upper) = left.upper() {
        left.set_upper(upper + held);
    }
    left.set_lower(left.lower() + held);
    left
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Bytes(bytes.into())
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Stream(stream) => Pin::new(stream).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(stream) => stream.size_hint(),
        }
    }
}
