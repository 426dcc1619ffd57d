//! One open connection, HTTP/1.1 or HTTP/2, and one request on it.
//!
//! Who keeps connections between requests is `pool`; what comes back is read in `reply`.

use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::dial::message::Upload;
use crate::fault::{Fault, FaultKind};
use crate::metrics::{Gauged, Upstreams};

/// The most bytes of a response's head: four times what common servers accept in requests. hyper's own limit of a
/// hundred fields stays, since another would put them on the heap for every response.
const MAX_HEAD: usize = 64 * 1024;

/// The most bytes of a response that hyper holds for a slow client, per HTTP/1.1 connection.
const MAX_BUFFER: usize = 128 * 1024;

/// How much an HTTP/2 server may send ahead of a slow client, per stream and per connection. hyper's 2 MiB and 5 MiB
/// would let a hundred slow clients hold as much as the rest of the process together.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;

/// The most requests at once on an HTTP/2 connection; servers rarely allow more (RFC 9113 §6.5.2 advises at least
/// this many).
const MAX_STREAMS: usize = 100;

/// The most interim answers (RFC 9110 §15.2) to a request over HTTP/1.1. Servers have one or two to give; hyper passes
/// over any number for as long as the request has time.
const MAX_INTERIM: usize = 8;

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
    Http1(Http1),
    Http2(Http2),
}

/// Carries one request at a time. Dropping it closes it at once, also in the middle of a request.
pub(super) struct Http1 {
    sender: http1::SendRequest<Upload>,
    pub(super) facts: Facts,
    /// While the pool has it.
    idle: Option<Gauged>,
    _task: Task,
}

/// Carries many requests; clones share the connection.
#[derive(Clone)]
pub(super) struct Http2 {
    sender: http2::SendRequest<Upload>,
    pub(super) facts: Facts,
    users: Arc<()>,
}

/// Ends hyper's task with the connection. hyper alone would go on writing a request whose response is over.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A request that got no response.
pub(super) struct Unanswered {
    /// The request, if none of it was written.
    pub(super) unsent: Option<Request<Upload>>,
    /// Whether the connection was dead: for a pooled one most likely since before the request.
    pub(super) dead: bool,
    /// What to say if it is not sent again.
    pub(super) fault: Fault,
}

impl Connection {
    /// Starts HTTP/1.1 on an open stream, from which it may switch to another protocol.
    pub(super) async fn http1<S>(
        stream: S,
        facts: Facts,
        (counted, switches): (&Upstreams, bool),
    ) -> Result<Self, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http1::Builder::new();
        builder.max_header_size(MAX_HEAD).max_buf_size(MAX_BUFFER);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| no_answer(&error).at(facts.address))?;
        let open = counted.open();
        let task = tokio::spawn(async move {
            let _open = open;
            let ended = match switches {
                true => connection.with_upgrades().await,
                false => connection.await,
            };
            if let Err(error) = ended {
                tracing::debug!(address = %facts.address, %error, "an upstream connection broke");
            }
        });
        Ok(Self::Http1(Http1 {
            sender,
            facts,
            idle: None,
            _task: Task(task.abort_handle()),
        }))
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
            users: Arc::default(),
        }))
    }

    /// The version in which requests have to be addressed.
    pub(super) fn version(&self) -> Version {
        match self {
            Self::Http1(_) => Version::HTTP_11,
            Self::Http2(_) => Version::HTTP_2,
        }
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
        mut request: Request<Upload>,
    ) -> Result<Response<Incoming>, Box<Unanswered>> {
        let address = self.facts().address;
        let answer = match self {
            Self::Http1(connection) => {
                let flooded = too_many_interim(&mut request);
                tokio::select! {
                    biased;
                    () = flooded.notified() => return Err(Box::new(Unanswered::flooded(address))),
                    answer = connection.sender.try_send_request(request) => answer,
                }
            }
            Self::Http2(connection) => connection.sender.try_send_request(request).await,
        };
        answer.map_err(|error| Box::new(self.unanswered(error, address)))
    }

    fn unanswered(&self, mut error: TrySendError<Request<Upload>>, at: SocketAddr) -> Unanswered {
        let unsent = error.take_message();
        let error = error.into_error();
        let closed = match self {
            Self::Http1(_) => true, // any error ends it
            Self::Http2(connection) => connection.sender.is_closed(),
        };
        Unanswered {
            unsent,
            dead: closed && !error.is_parse() && !error.is_user(),
            fault: no_answer(&error).at(at),
        }
    }
}

impl Unanswered {
    fn flooded(at: SocketAddr) -> Self {
        let detail = format!("the server sent more than {MAX_INTERIM} interim answers");
        Self {
            unsent: None,
            dead: false,
            fault: Fault::new(FaultKind::Malformed, detail).at(at),
        }
    }
}

/// Counts the interim answers to a request, and says when there are too many.
fn too_many_interim(request: &mut Request<Upload>) -> Arc<Notify> {
    let flooded = Arc::new(Notify::new());
    let (seen, notify) = (AtomicUsize::new(0), Arc::clone(&flooded));
    hyper::ext::on_informational(request, move |_| {
        if seen.fetch_add(1, Ordering::Relaxed) == MAX_INTERIM {
            notify.notify_one();
        }
    });
    flooded
}

impl Http1 {
    /// The pool keeps it.
    pub(super) fn parked(&mut self, counted: &Upstreams) {
        self.idle = Some(counted.idle());
    }

    /// Somebody uses it again.
    pub(super) fn taken(mut self) -> Self {
        self.idle = None;
        self
    }

    /// Whether request and response are over, both ways, and nothing came after them.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until [`Http1::is_ready`]; false where that can't be any more.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}

impl Http2 {
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
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
