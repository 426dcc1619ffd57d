//! The answer of a server: its head distrusted, its body tied to the connection that carries it.
//!
//! What of it reaches the agent is the exchange's matter.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::body::Body;
use crate::dial::connection::Connection;
use crate::dial::connection::Http1;
use crate::dial::connection::causes;
use crate::dial::message::Broken;
use crate::dial::message::distrust;
use crate::dial::pool::Key;
use crate::dial::pool::Pool;
use crate::fault::{Fault, FaultKind};
use crate::wire::read_grant;

/// How long a connection whose response is over may take to get rid of its request. A server that answers without
/// reading all of a request would read the rest of it as the next one.
const LAST_BYTES: Duration = Duration::from_secs(1);

/// A server's answer.
#[derive(Debug)]
pub struct Reply {
    /// From 200 to 599.
    pub status: StatusCode,
    /// As the server sent them, framing and hop-by-hop fields included.
    pub headers: HeaderMap,
    /// Breaks off with [`FaultKind::Malformed`] if the server ends it before its end.
    pub body: Body,
    /// Where it came from.
    pub upstream: Upstream,
    /// The connection, where it speaks WebSocket from now on: the status is 101 then, and only then.
    pub switched: Option<Switched>,
}

/// A connection to a server that has switched to another protocol: bytes both ways.
pub struct Switched(Box<dyn Duplex>);

trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl fmt::Debug for Switched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Switched")
    }
}

impl Switched {
    /// Both directions of it.
    pub fn split(
        self,
    ) -> (
        impl AsyncRead + Send + Unpin,
        impl AsyncWrite + Send + Unpin,
    ) {
        tokio::io::split(self.0)
    }
}

/// The way that a request took, for the audit record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// The vetted address.
    pub address: SocketAddr,
    /// The version of TLS, such as `TLSv1.3`.
    pub tls: Option<&'static str>,
    /// The version of HTTP in which the server answered.
    pub http_version: Version,
    /// Whether the connection had carried a request before.
    pub reused: bool,
    /// How often the request was sent again: 0 or 1.
    pub retries: u32,
}

/// What a response has to give back when it is over.
pub(super) struct Lease {
    pub(super) connection: Connection,
    pub(super) kept: Kept,
}

/// What is kept for the end of a response.
pub(super) struct Kept {
    /// Where the connection goes, if it is to be used again.
    pub(super) place: Option<(Key, Pool)>,
    pub(super) broken: Broken,
}

impl Lease {
    /// Reads the head of a response. One that is not believed takes its connection with it.
    pub(super) fn receive(
        self,
        response: Response<Incoming>,
    ) -> Result<(StatusCode, HeaderMap, Body), Fault> {
        let (head, incoming) = response.into_parts();
        let address = self.connection.facts().address;
        distrust(head.version, head.status, &head.headers).map_err(|reason| {
            let detail = format!("the response is not believed: {reason}");
            Fault::new(FaultKind::Malformed, detail).at(address)
        })?;
        let body = if incoming.is_end_stream() {
            self.give_back();
            Body::Empty
        } else {
            Body::stream(Download {
                incoming,
                lease: Some(self),
            })
        };
        Ok((head.status, head.headers, body))
    }

    /// Takes the connection over from HTTP, if this 101 grants what was asked for.
    pub(super) async fn switch(
        self,
        asked: &HeaderMap,
        mut response: Response<Incoming>,
    ) -> Result<(HeaderMap, Switched), Fault> {
        let address = self.connection.facts().address;
        let malformed = |detail: String| Fault::new(FaultKind::Malformed, detail).at(address);
        let granted = read_grant(asked, response.headers());
        granted.map_err(|reason| malformed(format!("the response is not believed: {reason}")))?;
        let upgraded = hyper::upgrade::on(&mut response).await;
        let upgraded = upgraded.map_err(|error| {
            malformed(format!(
                "the protocol could not be switched: {}",
                causes(&error)
            ))
        })?;
        let switched = Switched(Box::new(TokioIo::new(upgraded)));
        Ok((response.into_parts().0.headers, switched))
    }

    fn give_back(self) {
        let Some((key, pool)) = self.kept.place else {
            return;
        };
        match self.connection {
            Connection::Http1(connection) if connection.is_ready() => {
                pool.park(&key, connection, Instant::now());
            }
            Connection::Http1(connection) => {
                tokio::spawn(park_when_ready(connection, key, pool));
            }
            // The pool has it, or wanted none.
            Connection::Http2(_) => {}
        }
    }
}

async fn park_when_ready(mut connection: Http1, key: Key, pool: Pool) {
    if let Ok(true) = tokio::time::timeout(LAST_BYTES, connection.ready()).await {
        pool.park(&key, connection, Instant::now());
    }
}

/// A response body. Dropped before its end, it closes its HTTP/1.1 connection or resets its HTTP/2 stream.
struct Download {
    incoming: Incoming,
    lease: Option<Lease>,
}

impl Download {
    /// The reason is the client's if the request broke off first.
    fn fault(&mut self, error: &hyper::Error) -> Fault {
        let lease = self.lease.take();
        if let Some(fault) = lease.as_ref().and_then(|it| it.kept.broken.fault()) {
            return fault;
        }
        let detail = format!("the response broke off: {}", causes(error));
        Fault {
            address: lease.map(|it| it.connection.facts().address),
            ..Fault::new(FaultKind::Malformed, detail)
        }
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let frame = match Pin::new(&mut self.incoming).poll_frame(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(self.fault(&error)))),
            Poll::Ready(frame) => frame.and_then(Result::ok),
        };
        // Whoever knows the length stops asking after the last byte, so the end is not always a `None`.
        if (frame.is_none() || self.incoming.is_end_stream())
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
