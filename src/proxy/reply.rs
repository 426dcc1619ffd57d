//! Writing an answer to an HTTP/1 client.
//!
//! A small answer leaves in one write. A stream is passed on piece by piece as it comes, and nothing waits for more. An
//! answer that breaks off never ends as if it were whole.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, StatusCode, Version};
use http_body::{Body as HttpBody, Frame};

use crate::body::Body;
use crate::exchange::Answer;
use crate::fault::Fault;
use crate::proxy::line::{ClientStream, Line};
use crate::wire;
use crate::wire::{CHUNK_END, Head, LAST_CHUNK, ReplyFraming, Upgrade, chunk_size, reply_head};

/// What of a request the form of its answer depends on.
pub(super) struct Terms {
    method: Method,
    version: Version,
    /// Whether the client takes trailers.
    trailers: bool,
    /// Whether the client would send another request.
    pub(super) keep_alive: bool,
}

/// How the writing of an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// All of it.
    Whole,
    /// The answer broke off, and the client sees by its framing that something is missing.
    Cut,
    /// The client takes nothing more, or would take the end of the connection for that of the answer.
    Broken,
}

/// Why an answer was not written to its end.
enum Broken {
    /// Its body broke off.
    Body(String),
    /// The client's connection did.
    Connection(io::Error),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body(why) => write!(f, "its body broke off: {why}"),
            Self::Connection(error) => write!(f, "the client's connection: {error}"),
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl Terms {
    pub(super) fn of(head: &Head) -> Self {
        Self {
            method: head.method.clone(),
            version: head.version,
            trailers: head.takes_trailers,
            // What follows an upgrade may be frames, and is never read as a request.
            keep_alive: head.keep_alive && head.upgrade == Upgrade::Nothing,
        }
    }

    /// For an answer to what was no request.
    pub(super) fn unread() -> Self {
        Self {
            method: Method::GET,
            version: Version::HTTP_11,
            trailers: false,
            keep_alive: false,
        }
    }
}

/// Writes the head and the body.
pub(super) async fn write<S: ClientStream>(
    line: &Line<S>,
    terms: &Terms,
    answer: Answer,
    stall: Duration,
) -> Sent {
    let length = length(terms, &answer);
    let framing = ReplyFraming::choose(&terms.method, terms.version, answer.status, length);
    let mut head = BytesMut::with_capacity(512);
    let close = !terms.keep_alive;
    reply_head(&mut head, answer.status, &answer.headers, framing, close);
    let written = match answer.body {
        Body::Bytes(bytes) if framing.has_body() => {
            let written = line.write(head.chain(bytes), stall).await;
            written.map_err(Broken::Connection)
        }
        Body::Stream(mut stream) if framing.has_body() => {
            let writing = Writing {
                line,
                stall,
                waiting: head,
                left: match framing {
                    ReplyFraming::Length(length) => Some(length),
                    _ => None,
                },
                chunked: framing == ReplyFraming::Chunked,
                trailers: terms.trailers,
            };
            writing.stream(&mut stream).await
        }
        _ => line.write(head, stall).await.map_err(Broken::Connection),
    };
    let Err(broken) = written else {
        return Sent::Whole;
    };
    tracing::debug!(%broken, "an answer was not written to its end");
    match broken {
        Broken::Body(_) if framing != ReplyFraming::UntilClose => Sent::Cut,
        _ => Sent::Broken,
    }
}

/// The length of the body; for an answer without one, what the server says that it would be (RFC 9110 §8.6).
fn length(terms: &Terms, answer: &Answer) -> Option<u64> {
    let told = || {
        let value = answer.headers.get(CONTENT_LENGTH)?;
        value.to_str().ok()?.parse().ok()
    };
    match &answer.body {
        Body::Empty if terms.method == Method::HEAD => told(),
        Body::Empty if answer.status == StatusCode::NOT_MODIFIED => told(),
        body => body.length(),
    }
}

/// An answer that comes as a stream.
struct Writing<'a, S> {
    line: &'a Line<S>,
    stall: Duration,
    /// What goes in front of the next data: the head, and the size of a chunk.
    waiting: BytesMut,
    /// Of the length that was promised.
    left: Option<u64>,
    chunked: bool,
    trailers: bool,
}

type Stream = http_body_util::combinators::UnsyncBoxBody<Bytes, Fault>;

impl<S: ClientStream> Writing<'_, S> {
    async fn stream(mut self, stream: &mut Stream) -> Result<(), Broken> {
        loop {
            let frame = match self.frame_at_hand(stream).await {
                Poll::Ready(frame) => frame,
                Poll::Pending => {
                    self.flush(&[]).await?;
                    self.frame(stream).await?
                }
            };
            match frame {
                Some(Ok(frame)) => {
                    let last = stream.is_end_stream();
                    self.pass(frame, last).await?
                }
                Some(Err(fault)) => {
                    // The client sees a head without the end of a body.
                    self.flush(&[]).await?;
                    return Err(Broken::Body(fault.to_string()));
                }
                None => return self.end().await,
            }
        }
    }

    async fn pass(&mut self, frame: Frame<Bytes>, last: bool) -> Result<(), Broken> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => {
                return self
                    .end_with(frame.into_trailers().unwrap_or_default())
                    .await;
            }
        };
        let Some(length) = std::num::NonZeroUsize::new(data.len()) else {
            return Ok(());
        };
        if let Some(left) = &mut self.left {
            let rest = left.checked_sub(data.len() as u64);
            *left = rest.ok_or_else(|| Broken::Body("longer than it said".into()))?;
        }
        if !self.chunked {
            return Ok(self.flush(&data).await?);
        }
        chunk_size(&mut self.waiting, length);
        let head = self.waiting.split();
        if last {
            self.chunked = false;
            let tail = CHUNK_END.chain(LAST_CHUNK);
            return Ok(self.write(head.chain(data).chain(tail)).await?);
        }
        Ok(self.write(head.chain(data).chain(CHUNK_END)).await?)
    }

    /// Trailers end a chunked body, for a client that takes them.
    async fn end_with(&mut self, trailers: HeaderMap) -> Result<(), Broken> {
        if self.chunked && self.trailers {
            self.chunked = false;
            wire::trailers(&mut self.waiting, &trailers);
            self.flush(&[]).await?;
        }
        Ok(())
    }

    async fn end(mut self) -> Result<(), Broken> {
        match self.left {
            Some(1..) => Err(Broken::Body("shorter than it said".into())),
            _ if self.chunked => Ok(self.flush(LAST_CHUNK).await?),
            _ => Ok(self.flush(&[]).await?),
        }
    }

    async fn flush(&mut self, data: &[u8]) -> io::Result<()> {
        let head = self.waiting.split();
        if head.is_empty() && data.is_empty() {
            return Ok(());
        }
        self.write(head.chain(data)).await
    }

    async fn write(&self, bytes: impl Buf) -> io::Result<()> {
        self.line.write(bytes, self.stall).await
    }

    /// What is there already.
    async fn frame_at_hand(
        &self,
        stream: &mut Stream,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        poll_fn(|context| Poll::Ready(Pin::new(&mut *stream).poll_frame(context))).await
    }

    /// What comes next, unless the client goes away first.
    async fn frame(&self, stream: &mut Stream) -> io::Result<Option<Result<Frame<Bytes>, Fault>>> {
        poll_fn(|context| match Pin::new(&mut *stream).poll_frame(context) {
            Poll::Ready(frame) => Poll::Ready(Ok(frame)),
            Poll::Pending => {
                let gone = self.line.poll_gone(context);
                gone.map(|()| Err(io::ErrorKind::ConnectionAborted.into()))
            }
        })
        .await
    }
}
