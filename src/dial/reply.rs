//! The answer of a server: its head distrusted, its body tied to the connection that carries it.
//!
//! What of it reaches the agent is the exchange's matter.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::body::Body;
use crate::dial::connection::Connection;
use crate::dial::connection::Content;
use crate::dial::connection::causes;
use crate::dial::http1::Duplex;
use crate::dial::http1::Http1;
use crate::dial::message::Broken;
use crate::dial::pool::Key;
use crate::dial::pool::Pool;
use crate::fault::{Fault, FaultKind};
use crate::wire::{AnswerHead, believed, read_grant};

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
pub struct Switched {
    stream: Box<dyn Duplex>,
    /// What came right behind the 101.
    ahead: Bytes,
}

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
        let (from, to) = tokio::io::split(self.stream);
        (std::io::Cursor::new(self.ahead).chain(from), to)
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
        mut self,
        (head, content): (AnswerHead, Content),
    ) -> Result<(StatusCode, HeaderMap, Body), Fault> {
        believe(&head, &content).map_err(|reason| self.malformed(reason))?;
        if let Connection::Http1(connection) = &mut self.connection
            && let Some(content) = connection.take_content()
        {
            self.give_back();
            return Ok((head.status, head.headers, Body::Bytes(content)));
        }
        let download = Download {
            content,
            lease: Some(self),
        };
        let body = if download.is_end_stream() {
            download.end();
            Body::Empty
        } else {
            Body::stream(download)
        };
        Ok((head.status, head.headers, body))
    }

    /// Takes the connection over from HTTP, if this 101 grants what was asked for.
    pub(super) fn switch(
        self,
        asked: &HeaderMap,
        head: AnswerHead,
    ) -> Result<(HeaderMap, Switched), Fault> {
        read_grant(asked, &head.headers).map_err(|reason| self.malformed(reason))?;
        match self.connection {
            Connection::Http1(connection) => {
                let (stream, ahead) = connection.into_parts();
                let headers = head.headers;
                Ok((headers, Switched { stream, ahead }))
            }
            Connection::Http2(_) => Err(self.malformed("HTTP/2 has no 101")),
        }
    }

    fn malformed(&self, reason: &str) -> Fault {
        self.spoil();
        let detail = format!("the response is not believed: {reason}");
        Fault::new(FaultKind::Malformed, detail).at(self.connection.facts().address)
    }

    /// No other request goes on this connection. One of HTTP/1.1 is closed by being dropped.
    fn spoil(&self) {
        if let Connection::Http2(connection) = &self.connection {
            connection.spoil();
        }
    }

    fn give_back(self) {
        let Some((key, pool)) = self.kept.place else {
            return;
        };
        // The pool has an HTTP/2 connection already, or wanted none.
        if let Connection::Http1(connection) = self.connection
            && connection.may_be_kept()
        {
            pool.park(key, connection, Instant::now());
        }
    }
}

/// What no version of HTTP lets a reply be, whoever has read its framing.
fn believe(head: &AnswerHead, content: &Content) -> Result<(), &'static str> {
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        return Err("it switches protocols, which nobody asked for");
    }
    if !(200..600).contains(&head.status.as_u16()) {
        return Err("its status is not from 200 to 599");
    }
    match content {
        // Its framing was believed when it was read.
        Content::Http1 => Ok(()),
        Content::Http2(_) => believed(head.version, head.status, &head.headers).map(drop),
    }
}

/// A response body. Dropped before its end, it closes its HTTP/1.1 connection or resets its HTTP/2 stream.
struct Download {
    content: Content,
    /// Until the end.
    lease: Option<Lease>,
}

impl Download {
    fn end(mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn poll_content(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match (&mut self.content, &mut self.lease) {
            (Content::Http2(incoming), _) => {
                let frame = ready!(Pin::new(&mut *incoming).poll_frame(context));
                // What hyper gives for an end also where the server resets its stream without an error, or goes away
                // in the midst of it. Behind a whole reply it may do either (RFC 9113 §8.1).
                if frame.is_none() && !incoming.is_end_stream() {
                    return Poll::Ready(Some(Err(broke_off("its stream was reset"))));
                }
                Poll::Ready(frame.map(|it| it.map_err(|error| broke_off(&causes(&error)))))
            }
            (Content::Http1, Some(lease)) => match &mut lease.connection {
                Connection::Http1(connection) => connection.poll_frame(context),
                Connection::Http2(_) => Poll::Ready(None),
            },
            (Content::Http1, None) => Poll::Ready(None),
        }
    }

    /// The reason is the client's if the request broke off first.
    fn fault(&mut self, fault: Fault) -> Fault {
        let lease = self.lease.take();
        if let Some(fault) = lease.as_ref().and_then(|it| it.kept.broken.fault()) {
            return fault;
        }
        if let Some(lease) = &lease {
            lease.spoil();
        }
        Fault {
            address: lease.map(|it| it.connection.facts().address),
            ..fault
        }
    }

    fn http1(&self) -> Option<&Http1> {
        match &self.lease.as_ref()?.connection {
            Connection::Http1(connection) => Some(connection),
            Connection::Http2(_) => None,
        }
    }
}

fn broke_off(reason: &str) -> Fault {
    let detail = format!("the response broke off: {reason}");
    Fault::new(FaultKind::Malformed, detail)
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let frame = match ready!(self.poll_content(context)) {
            Some(Err(fault)) => return Poll::Ready(Some(Err(self.fault(fault)))),
            frame => frame,
        };
        // Whoever knows the length stops asking after the last byte, so the end is not always a `None`.
        if (frame.is_none() || self.is_end_stream())
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Http2(incoming) => incoming.is_end_stream(),
            Content::Http1 => self.http1().is_none_or(Http1::is_over),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Http2(incoming) => incoming.size_hint(),
            Content::Http1 => self
                .http1()
                .map_or(SizeHint::with_exact(0), Http1::size_hint),
        }
    }
}
