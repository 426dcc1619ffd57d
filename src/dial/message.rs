//! The request as it is written.
//!
//! Framing and the name of the server are set here and nowhere else, whatever the request held before.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderValue;
use http::Request;
use http::Uri;
use http::Version;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::PathAndQuery;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::action::Passes;
use crate::body::Body;
use crate::fault::Fault;
use crate::request::Destination;

/// A request body on its way out, which remembers why it broke off.
///
/// hyper says only that a body failed; the exchange has to know whether the client went away or sent too much.
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
    /// All of the body, where it is in hand.
    pub(super) fn whole(&self) -> Option<Bytes> {
        match &self.body {
            Body::Empty => Some(Bytes::new()),
            Body::Bytes(bytes) => Some(bytes.clone()),
            Body::Stream(_) => None,
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

/// Takes over a request: without the framing it came with, so that ours is the only one.
pub(super) fn outgoing(request: Request<Body>) -> (Request<Upload>, Broken) {
    let (mut head, body) = request.into_parts();
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.remove(CONTENT_LENGTH);
    let broken = match &body {
        Body::Stream(_) => Broken(Some(Arc::default())),
        Body::Empty | Body::Bytes(_) => Broken::default(),
    };
    let upload = Upload {
        body,
        broken: broken.clone(),
    };
    (Request::from_parts(head, upload), broken)
}

/// Names the server once, in the way of the version: `Host`, or `:authority`.
pub(super) fn direct(request: &mut Request<Upload>, to: &Destination, version: Version) {
    let path = request.uri().path_and_query().cloned();
    let mut parts = http::uri::Parts::default();
    parts.path_and_query = Some(path.unwrap_or_else(|| PathAndQuery::from_static("/")));
    let authority = to.authority();
    let headers = request.headers_mut();
    headers.remove(HOST);
    if version == Version::HTTP_2 {
        parts.scheme = to.scheme.as_str().parse().ok();
        parts.authority = authority.parse().ok();
    } else {
        let host = HeaderValue::from_str(&authority);
        headers.insert(
            HOST,
            host.expect("a host is letters, digits, hyphens and dots"),
        );
    }
    *request.version_mut() = version;
    *request.uri_mut() =
        Uri::from_parts(parts).expect("scheme and authority are both there, or both absent");
}

/// Asks for what the action lets through beside a reply, in the way of the version.
pub(super) fn ask_for(request: &mut Request<Upload>, passes: Passes, version: Version) {
    let headers = request.headers_mut();
    let option = if passes.websocket {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        "upgrade"
    } else if passes.trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        "te"
    } else {
        return;
    };
    // HTTP/2 has no such header, and lets `TE` stand without it (RFC 9113 §8.2.2).
    match version {
        Version::HTTP_2 => headers.remove(CONNECTION),
        _ => headers.insert(CONNECTION, HeaderValue::from_static(option)),
    };
}

/// The same request again, where its body is still all there.
pub(super) fn copy(request: &Request<Upload>) -> Option<Request<Upload>> {
    let mut copy = Request::new(Upload {
        body: request.body().body.copy()?,
        broken: Broken::default(),
    });
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_named_once_and_in_the_way_of_the_version() {
        let to = Destination::of_connect("api.good.test:8443").unwrap();
        let request = Request::get("/v1?x=y").header(HOST, "evil.test");
        let (mut request, _) = outgoing(request.body(Body::Empty).unwrap());
        // There and back: a request that came back unsent may leave by the other version.
        for (version, uri, host) in [
            (Version::HTTP_2, "https://api.good.test:8443/v1?x=y", None),
            (Version::HTTP_11, "/v1?x=y", Some("api.good.test:8443")),
            (Version::HTTP_2, "https://api.good.test:8443/v1?x=y", None),
        ] {
            direct(&mut request, &to, version);
            assert_eq!(request.uri().to_string(), uri);
            let sent = request.headers().get(HOST);
            assert_eq!(sent.map(|it| it.to_str().unwrap()), host, "{version:?}");
        }
    }
}
