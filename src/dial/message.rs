//! The request as hyper writes it, and what is not believed about the response that hyper read.
//!
//! Framing and the name of the server are set here and nowhere else, whatever the request held before.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::StatusCode;
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

/// Takes over a request: without the framing it came with, so that hyper's is the only one.
pub(super) fn outgoing(request: Request<Body>) -> (Request<Upload>, Broken) {
    let (mut head, body) = request.into_parts();
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.remove(CONTENT_LENGTH);
    let has_length = [Method::POST, Method::PUT, Method::PATCH].contains(&head.method);
    if has_length && body.is_empty() {
        // RFC 9110 §8.6: where the method gives content a meaning, say that there is none.
        let zero = HeaderValue::from_static("0");
        head.headers.insert(CONTENT_LENGTH, zero);
    }
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

/// Finds what makes a response readable in more than one way. hyper lets all of it pass.
pub(super) fn distrust(
    version: Version,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<(), &'static str> {
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err("it switches protocols, which nobody asked for");
    }
    if !(200..600).contains(&status.as_u16()) {
        return Err("its status is not from 200 to 599");
    }
    let coding = only(headers, &TRANSFER_ENCODING, "it has two transfer codings")?;
    let length = only(headers, &CONTENT_LENGTH, "it has two lengths")?;
    match (coding, length) {
        (Some(_), Some(_)) => Err("it has both a length and a transfer coding"),
        (Some(_), None) if version != Version::HTTP_11 => {
            Err("it has a transfer coding, which its version of HTTP has not")
        }
        (Some(coding), None) if !coding.eq_ignore_ascii_case(b"chunked") => {
            Err("its transfer coding is not chunked")
        }
        (Some(_), None) if status == StatusCode::NO_CONTENT => {
            Err("it has a transfer coding where no content can be")
        }
        (None, Some(length)) if !is_canonical(length) => Err("its length is not a plain number"),
        (None, Some(length)) if status == StatusCode::NO_CONTENT && length != b"0" => {
            Err("it has a length where no content can be")
        }
        _ => Ok(()),
    }
}

fn only<'a>(
    headers: &'a HeaderMap,
    name: &http::HeaderName,
    twice: &'static str,
) -> Result<Option<&'a [u8]>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(HeaderValue::as_bytes);
    values.next().map_or(Ok(first), |_| Err(twice))
}

/// Digits without a sign or a leading zero, and few enough for any parser.
fn is_canonical(length: &[u8]) -> bool {
    length.iter().all(u8::is_ascii_digit)
        && matches!(length, [b'0'] | [b'1'..=b'9', ..])
        && length.len() <= 18
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for &(name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_response_that_reads_in_two_ways_is_not_believed() {
        const CL: &str = "content-length";
        const TE: &str = "transfer-encoding";
        for (status, fields, good) in [
            (200, &[][..], true),
            (200, &[(CL, "0")], true),
            (200, &[(CL, "12")], true),
            (200, &[(TE, "chunked")], true),
            (200, &[(TE, "Chunked")], true),
            (204, &[], true),
            (204, &[(CL, "0")], true),
            (304, &[(CL, "12")], true),
            (200, &[(CL, "12"), (TE, "chunked")], false),
            (200, &[(CL, "12"), (CL, "12")], false),
            (200, &[(CL, "12"), (CL, "13")], false),
            (200, &[(CL, "12, 12")], false),
            (200, &[(CL, "+12")], false),
            (200, &[(CL, "012")], false),
            (200, &[(CL, "")], false),
            (200, &[(CL, "12a")], false),
            (200, &[(CL, "9999999999999999999")], false),
            (200, &[(TE, "gzip, chunked")], false),
            (200, &[(TE, "chunked"), (TE, "chunked")], false),
            (200, &[(TE, "identity")], false),
            (204, &[(CL, "5")], false),
            (204, &[(TE, "chunked")], false),
            (101, &[], false),
            (100, &[], false),
            (600, &[], false),
            (999, &[], false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let believed = distrust(Version::HTTP_11, status, &head(fields));
            assert_eq!(believed.is_ok(), good, "{status} {fields:?}");
        }
        let chunked = head(&[(TE, "chunked")]);
        assert!(distrust(Version::HTTP_10, StatusCode::OK, &chunked).is_err());
        assert!(distrust(Version::HTTP_2, StatusCode::OK, &chunked).is_err());
    }

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

    #[test]
    fn framing_is_ours_and_empty_posts_say_so() {
        for (method, expected) in [
            (Method::GET, None),
            (Method::HEAD, None),
            (Method::DELETE, None),
            (Method::POST, Some("0")),
            (Method::PUT, Some("0")),
            (Method::PATCH, Some("0")),
        ] {
            let request = Request::builder()
                .method(&method)
                .header(CONTENT_LENGTH, "7")
                .header(TRANSFER_ENCODING, "chunked");
            let (request, _) = outgoing(request.body(Body::Empty).unwrap());
            let length = request.headers().get(CONTENT_LENGTH);
            assert_eq!(length.map(|it| it.to_str().unwrap()), expected, "{method}");
            assert!(!request.headers().contains_key(TRANSFER_ENCODING));
        }
    }
}
