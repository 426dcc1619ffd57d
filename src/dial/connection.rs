//! One open connection, HTTP/1.1 or HTTP/2, and one request on it.
//!
//! HTTP/1.1 is `http1`'s, HTTP/2 hyper's. Who keeps connections between requests is `pool`; what comes back is read in
//! `reply`.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::dial::http1::Http1;
use crate::dial::http1::MAX_HEAD;
use crate::dial::message::{Message, Upload};
use crate::fault::{Fault, FaultKind};
use crate::flood::{Counted, Tally};
use crate::metrics::Upstreams;
use crate::wire::AnswerHead;

/// How much an HTTP/2 server may send ahead of a slow client, per stream and per connection. hyper's 2 MiB and 5 MiB
/// would let a hundred slow clients hold as much as the rest of the process together.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// The most requests at once on an HTTP/2 connection; servers rarely allow more (RFC 9113 §6.5.2 advises at least
/// this many).
const MAX_STREAMS: usize = 100;

/// How often, and for how long, an HTTP/2 server is asked whether it is still there while it owes an answer. Without
/// it, one connection that a firewall forgot would swallow every request to its host until the kernel gives up.
const PING: Duration = Duration::from_secs(15);
const PING_ANSWER: Duration = Duration::from_secs(10);

/// What is known about a connection beside its protocol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) address: SocketAddr,
    pub(super) tls: Option<&'static str>,
}

/// An open connection.
pub(super) enum Connection {
    /// On the heap: it goes from the pool to a request, to its reply and back.
    Http1(Box<Http1>),
    Http2(Http2),
}

/// Carries many requests; clones share the connection.
#[derive(Clone)]
pub(super) struct Http2 {
    sender: http2::SendRequest<Upload>,
    pub(super) facts: Facts,
    tally: Arc<Tally>,
    /// Whether a reply on it was wrong.
    is_spoiled: Arc<AtomicBool>,
    users: Arc<()>,
}

/// The content of a response.
pub(super) enum Content {
    /// Read from the connection itself.
    Http1,
    /// Read from the stream.
    Http2(Incoming),
}

/// A request that got no response.
pub(super) struct Unanswered {
    /// Whether none of it was written, and all of it is in its message.
    pub(super) unsent: bool,
    /// Whether the connection was dead: for a pooled one most likely since before the request.
    pub(super) dead: bool,
    /// What to say if it is not sent again.
    pub(super) fault: Fault,
}

impl Connection {
    /// Starts HTTP/1.1 on an open stream.
    pub(super) fn http1<S>(stream: S, facts: Facts, counted: &Upstreams) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::Http1(Box::new(Http1::new(Box::new(stream), facts, counted)))
    }

    /// Starts HTTP/2 on an open stream.
    pub(super) async fn http2<S>(
        stream: S,
        facts: Facts,
        counted: &Upstreams,
    ) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING_ANSWER)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEAD as u32);
        let tally = Arc::new(Tally::default());
        let stream = Counted::server(stream, Arc::clone(&tally));
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| no_answer(&error).at(facts.address))?;
        let open = counted.open();
        tokio::spawn(async move {
            let _open = open;
            if let Err(error) = connection.await {
                tracing::debug!(address = %facts.address, %error, "an upstream connection broke");
            }
        });
        Ok(Self::Http2(Http2 {
            sender,
            facts,
            tally,
            is_spoiled: Arc::default(),
            users: Arc::default(),
        }))
    }

    pub(super) fn facts(&self) -> Facts {
        match self {
            Self::Http1(connection) => connection.facts,
            Self::Http2(connection) => connection.facts,
        }
    }

    /// Sends a request and waits for the head of its response.
    pub(super) async fn send(
        &mut self,
        message: &mut Message,
    ) -> Result<(AnswerHead, Content), Box<Unanswered>> {
        match self {
            Self::Http1(connection) => Ok((connection.send(message).await?, Content::Http1)),
            Self::Http2(connection) => {
                let (head, incoming) = connection.send(message).await?.into_parts();
                let head = AnswerHead {
                    version: head.version,
                    status: head.status,
                    headers: head.headers,
                };
                Ok((head, Content::Http2(incoming)))
            }
        }
    }
}

impl Http2 {
    async fn send(&mut self, message: &mut Message) -> Result<Response<Incoming>, Box<Unanswered>> {
        let request = message.http2().map_err(|fault| {
            Box::new(Unanswered {
                unsent: false,
                dead: false,
                fault,
            })
        })?;
        let answer = self.sender.try_send_request(request).await;
        answer.map_err(|error| Box::new(self.unanswered(error, message)))
    }

    fn unanswered(
        &self,
        mut error: TrySendError<Request<Upload>>,
        message: &mut Message,
    ) -> Unanswered {
        let unsent = error.take_message();
        let is_unsent = unsent.is_some();
        match unsent {
            Some(request) => message.body = request.into_body(),
            None => self.spoil(),
        }
        let error = error.into_error();
        let believed = !self.tally.is_flooded() && !error.is_parse() && !error.is_user();
        let dead = self.sender.is_closed() && believed;
        Unanswered {
            unsent: is_unsent,
            dead,
            fault: no_answer(&error).at(self.facts.address),
        }
    }

    /// A reply on it was wrong. What is under way on it comes to its end, and nothing more is sent.
    pub(super) fn spoil(&self) {
        self.is_spoiled.store(true, Ordering::Relaxed);
    }

    /// Whether it takes no more requests.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed() || self.is_spoiled.load(Ordering::Relaxed)
    }

    /// How many hold it, the pool among them.
    pub(super) fn users(&self) -> usize {
        Arc::strong_count(&self.users)
    }

    /// Whether one more request fits on it.
    pub(super) fn has_room(&self) -> bool {
        self.users() <= MAX_STREAMS
    }
}

fn no_answer(error: &hyper::Error) -> Fault {
    let what = if error.is_parse() {
        "the response can't be read"
    } else {
        "the connection ended before the response"
    };
    Fault::new(FaultKind::Malformed, format!("{what}: {}", causes(error)))
}

/// hyper's error with what is behind it, on one line.
pub(super) fn causes(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
