//! The request as it is written.
//!
//! Framing and the name of the server are set here and nowhere else, whatever the request held before.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::action::Passes;
use crate::body::Body;
use crate::fault::{Fault, FaultKind};
use crate::request::Destination;
use crate::wire;
use crate::wire::{Framing, RequestHead};

/// A request on its way to one server, in no version of HTTP yet: it stays here until it is answered, so that it can be
/// written a second time.
pub(super) struct Message {
    pub(super) method: Method,
    /// Of which path and query count.
    target: Uri,
    /// End-to-end ones. Framing fields and `Host` in them are not written.
    pub(super) headers: HeaderMap,
    pub(super) body: Upload,
    to: Destination,
    passes: Passes,
}

/// A request body on its way out, which remembers why it broke off.
///
/// hyper says only that a body failed; the exchange has to know whether the client went away or sent too much.
#[derive(Default)]
pub(super) struct Upload {
    body: Body,
    broken: Broken,
}

/// Why a request body broke off, if it did. Only streams can.
#[derive(Clone, Default)]
pub(super) struct Broken(Option<Arc<OnceLock<Fault>>>);

impl Broken {
    pub(super) fn fault(&self) -> Option<Fault> {
        self.0.as_ref().and_then(|it| it.get().cloned())
    }
}

impl Upload {
    fn of(body: Body) -> Self {
        let broken = match &body {
            Body::Stream(_) => Broken(Some(Arc::default())),
            Body::Empty | Body::Bytes(_) => Broken::default(),
        };
        Self { body, broken }
    }

    /// All of the body, where it is in hand.
    pub(super) fn whole(&self) -> Option<Bytes> {
        match &self.body {
            Body::Empty => Some(Bytes::new()),
            Body::Bytes(bytes) => Some(bytes.clone()),
            Body::Stream(_) => None,
        }
    }

    /// The body, to be sent: one that is in hand stays there too.
    fn handed_over(&mut self) -> Self {
        match self.body.copy() {
            Some(body) => Self::of(body),
            None => std::mem::take(self),
        }
    }
}

impl HttpBody for Upload {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let (Poll::Ready(Some(Err(fault))), Some(broken)) = (&frame, &self.broken.0) {
            broken.get_or_init(|| fault.clone());
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Message {
    pub(super) fn new(request: Request<Body>, to: Destination, passes: Passes) -> Self {
        let (head, body) = request.into_parts();
        Self {
            method: head.method,
            target: head.uri,
            headers: head.headers,
            body: Upload::of(body),
            to,
            passes,
        }
    }

    /// Why its body broke off, once it has.
    pub(super) fn broken(&self) -> Broken {
        self.body.broken.clone()
    }

    /// Whether it can be written as often as one likes.
    pub(super) fn is_in_hand(&self) -> bool {
        !matches!(self.body.body, Body::Stream(_))
    }

    /// How the body ends. What has no body says so only where the method makes one expect it (RFC 9110 §8.6).
    pub(super) fn framing(&self) -> Framing {
        let has_content = [Method::POST, Method::PUT, Method::PATCH].contains(&self.method);
        match self.body.body.length() {
            Some(0) if !has_content => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        }
    }

    /// The head as HTTP/1.1 has it.
    pub(super) fn head(&self, framing: Framing) -> BytesMut {
        let path = self.target.path_and_query();
        let head = RequestHead {
            method: &self.method,
            target: path.map_or("/", |it| it.as_str()),
            host: (self.to.host.as_str(), self.to.said_port()),
            headers: &self.headers,
            asks: self.asks(),
            framing,
        };
        let mut out = BytesMut::with_capacity(512);
        wire::request_head(&mut out, &head);
        out
    }

    /// The message as HTTP/2 has it, with the body where that is not in hand.
    ///
    /// # Errors
    /// [`FaultKind::Internal`]: what goes to a destination has a target.
    pub(super) fn http2(&mut self) -> Result<Request<Upload>, Fault> {
        let no_target =
            |_| Fault::new(FaultKind::Internal, "the target can't be written in HTTP/2");
        let path = self.target.path_and_query();
        let target = Uri::builder()
            .scheme(self.to.scheme.as_str())
            .authority(self.to.authority())
            .path_and_query(path.map_or("/", |it| it.as_str()))
            .build()
            .map_err(no_target)?;
        let mut request = Request::new(self.body.handed_over());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target;
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        for name in [HOST, CONTENT_LENGTH, TRANSFER_ENCODING] {
            headers.remove(name);
        }
        if let Some((name, value)) = self.asks() {
            headers.insert(name, HeaderValue::from_static(value));
            // HTTP/2 has no such header, and lets `TE` stand without it (RFC 9113 §8.2.2).
            headers.remove(CONNECTION);
        }
        Ok(request)
    }

    /// What the action lets through beside a reply has to be asked for.
    fn asks(&self) -> Option<(HeaderName, &'static str)> {
        if self.passes.websocket {
            Some((UPGRADE, "websocket"))
        } else {
            self.passes.trailers.then_some((TE, "trailers"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(destination: &str) -> Message {
        let request = Request::get("/v1?x=y").header(HOST, "evil.test");
        Message::new(
            request.body(Body::Empty).unwrap(),
            Destination::of_connect(destination).unwrap(),
            Passes::default(),
        )
    }

    #[test]
    fn the_server_is_named_once_and_in_the_way_of_the_version() {
        let mut message = to("api.good.test:8443");
        // There and back: what came back unsent may leave by the other version.
        for _ in 0..2 {
            let request = message.http2().unwrap();
            let expected = "https://api.good.test:8443/v1?x=y";
            assert_eq!(request.uri().to_string(), expected);
            assert!(!request.headers().contains_key(HOST));
            let head = message.head(Framing::None);
            let expected = "GET /v1?x=y HTTP/1.1\r\nhost: api.good.test:8443\r\n\r\n";
            assert_eq!(head, expected);
        }
        let own_port = to("api.good.test:443");
        let expected = "GET /v1?x=y HTTP/1.1\r\nhost: api.good.test\r\n\r\n";
        assert_eq!(own_port.head(Framing::None), expected);
    }
}
