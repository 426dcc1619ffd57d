//! Replies to the client and requests to the server, written in one way.
//!
//! Not here: what a reply says. A [`HeaderValue`](http::HeaderValue) holds neither CR nor LF nor
//! NUL, and nothing else of a reply's head is text from outside, so no value can end its line.

use std::num::NonZeroUsize;

use bytes::{BufMut, BytesMut};
use http::{
    HeaderMap, HeaderName, Method, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};

use crate::wire::Framing;
use crate::wire::ReplyFraming;
use crate::wire::framing::says_no_length;

/// Appends the head of a reply to `out`. `Content-Length`, `Transfer-Encoding` and `Connection`
/// come from `framing` and `close` alone; what `headers` says about them is left out. Other
/// hop-by-hop headers are written as they are: [`strip_hop_by_hop`](crate::wire::strip_hop_by_hop)
/// comes first where the headers are somebody else's.
pub fn reply_head(
    out: &mut BytesMut,
    status: StatusCode,
    headers: &HeaderMap,
    framing: ReplyFraming,
    close: bool,
) {
    out.reserve(64 + headers.len() * 48);
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    // The space stays where there is no phrase (RFC 9112 §4).
    out.put_u8(b' ');
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
    for (name, value) in headers {
        if !matches!(*name, CONTENT_LENGTH | TRANSFER_ENCODING | CONNECTION) {
            field(out, name.as_str(), value.as_bytes());
        }
    }
    if !says_no_length(status) {
        framing_field(out, framing);
    }
    if close || framing == ReplyFraming::UntilClose {
        field(out, "connection", b"close");
    }
    out.put_slice(b"\r\n");
}

/// The head of a request, in parts.
pub struct RequestHead<'a> {
    /// Any token.
    pub method: &'a Method,
    /// One that [`Uri`](http::Uri) has parsed, and so holds neither blanks nor line ends.
    pub target: &'a str,
    /// Whom `Host` names, and the port where it has to be said.
    pub host: (&'a str, Option<u16>),
    /// All others. What they say about `Host`, framing and what is asked for is left out.
    pub headers: &'a HeaderMap,
    /// A field that belongs to this connection, and so stands under `Connection` too.
    pub asks: Option<(HeaderName, &'static str)>,
    /// The only source of `Content-Length` and `Transfer-Encoding`.
    pub framing: Framing,
}

/// Appends the head of a request to `out`, each part as it is.
pub fn request_head(out: &mut BytesMut, head: &RequestHead<'_>) {
    out.reserve(128 + head.target.len() + head.host.0.len() + head.headers.len() * 48);
    out.put_slice(head.method.as_str().as_bytes());
    out.put_u8(b' ');
    out.put_slice(head.target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\nhost: ");
    out.put_slice(head.host.0.as_bytes());
    if let Some(port) = head.host.1 {
        out.put_u8(b':');
        out.put_slice(decimal(port.into(), &mut [0; 20]));
    }
    out.put_slice(b"\r\n");
    let asked = head.asks.as_ref().map(|(name, _)| name);
    for (name, value) in head.headers {
        let is_ours = [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
            || asked.is_some_and(|asked| name == asked || name == CONNECTION);
        if !is_ours {
            field(out, name.as_str(), value.as_bytes());
        }
    }
    if let Some((name, value)) = &head.asks {
        field(out, name.as_str(), value.as_bytes());
        field(out, "connection", name.as_str().as_bytes());
    }
    match head.framing {
        Framing::None => {}
        Framing::Length(length) => field(out, "content-length", decimal(length, &mut [0; 20])),
        Framing::Chunked => field(out, "transfer-encoding", b"chunked"),
    }
    out.put_slice(b"\r\n");
}

/// Appends the head of a reply after which the connection speaks another protocol. Its headers name
/// that one under `Upgrade`.
pub fn switching_head(out: &mut BytesMut, headers: &HeaderMap) {
    out.put_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in headers {
        if *name != CONNECTION {
            field(out, name.as_str(), value.as_bytes());
        }
    }
    field(out, "connection", b"Upgrade");
    out.put_slice(b"\r\n");
}

/// Appends the end of a chunked body that has trailers. What may stand among them is
/// [`clean_trailers`](crate::wire::clean_trailers)'s matter.
pub fn trailers(out: &mut BytesMut, trailers: &HeaderMap) {
    out.put_slice(b"0\r\n");
    for (name, value) in trailers {
        field(out, name.as_str(), value.as_bytes());
    }
    out.put_slice(b"\r\n");
}

fn framing_field(out: &mut BytesMut, framing: ReplyFraming) {
    match framing {
        ReplyFraming::Length(length) | ReplyFraming::Bodyless(Some(length)) => {
            field(out, "content-length", decimal(length, &mut [0; 20]));
        }
        ReplyFraming::Chunked => field(out, "transfer-encoding", b"chunked"),
        ReplyFraming::Bodyless(None) | ReplyFraming::UntilClose => {}
    }
}

/// One line. Room is made once for all of it: four pieces put one after the other cost twice as much.
fn field(out: &mut BytesMut, name: &str, value: &[u8]) {
    let start = out.len();
    out.resize(start + name.len() + value.len() + 4, b' ');
    let (head, rest) = out[start..].split_at_mut(name.len());
    let (colon, rest) = rest.split_at_mut(2);
    let (tail, end) = rest.split_at_mut(value.len());
    head.copy_from_slice(name.as_bytes());
    colon.copy_from_slice(b": ");
    tail.copy_from_slice(value);
    end.copy_from_slice(b"\r\n");
}

/// The digits of a number, without the machinery of `format!`.
fn decimal(mut number: u64, room: &mut [u8; 20]) -> &[u8] {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &room[at..];
        }
    }
}

/// Appends the line before a chunk of `length` bytes. Never zero: an empty chunk ends the body.
pub fn chunk_size(out: &mut BytesMut, length: NonZeroUsize) {
    let digits = length.ilog2() / 4;
    for place in (0..=digits).rev() {
        out.put_u8(b"0123456789abcdef"[length.get() >> (place * 4) & 0xf]);
    }
    out.put_slice(b"\r\n");
}

/// The reply to a CONNECT that is let through. It has no framing headers (RFC 9110 §9.3.6): the
/// bytes after it are the tunnel's.
pub const TUNNEL_OPEN: &[u8] = b"HTTP/1.1 200 Connection Established\r\n\r\n";

/// Tells a client that waits for it to send the body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Follows the data of every chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// Ends a chunked body. A body that broke off must end without it.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn written(status: u16, headers: &HeaderMap, framing: ReplyFraming, close: bool) -> String {
        let mut out = BytesMut::new();
        reply_head(
            &mut out,
            StatusCode::from_u16(status).unwrap(),
            headers,
            framing,
            close,
        );
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn a_head_is_written_in_one_way() {
        use ReplyFraming::{Bodyless, Chunked, Length, UntilClose};
        let mut headers = HeaderMap::new();
        headers.insert("x-a", HeaderValue::from_static("1"));
        for (status, framing, close, text) in [
            (
                200,
                Length(3),
                false,
                "HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 3\r\n\r\n",
            ),
            (
                200,
                Length(0),
                false,
                "HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 0\r\n\r\n",
            ),
            (
                200,
                Chunked,
                false,
                "HTTP/1.1 200 OK\r\nx-a: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            ),
            (
                200,
                UntilClose,
                false,
                "HTTP/1.1 200 OK\r\nx-a: 1\r\nconnection: close\r\n\r\n",
            ),
            (
                200,
                Bodyless(Some(9)),
                true,
                "HTTP/1.1 200 OK\r\nx-a: 1\r\ncontent-length: 9\r\nconnection: close\r\n\r\n",
            ),
            (
                204,
                Length(3),
                false,
                "HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n",
            ),
            (
                204,
                Chunked,
                false,
                "HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n",
            ),
            (
                599,
                Length(1),
                false,
                "HTTP/1.1 599 \r\nx-a: 1\r\ncontent-length: 1\r\n\r\n",
            ),
        ] {
            assert_eq!(written(status, &headers, framing, close), text);
        }
    }

    #[test]
    fn framing_of_the_headers_never_shows() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("content-length", "7"),
            ("content-length", "8"),
            ("transfer-encoding", "gzip"),
            ("connection", "keep-alive"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let text = written(200, &headers, ReplyFraming::Length(3), false);
        assert_eq!(text, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n");
    }

    #[test]
    fn no_header_can_end_its_line() {
        for byte in 0..=u8::MAX {
            let Ok(value) = HeaderValue::from_bytes(&[b'a', byte, b'b']) else {
                continue;
            };
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x"), value)]);
            let mut out = BytesMut::new();
            reply_head(
                &mut out,
                StatusCode::OK,
                &headers,
                ReplyFraming::Length(0),
                false,
            );
            let text = [
                b"HTTP/1.1 200 OK\r\nx: a",
                &[byte][..],
                b"b\r\ncontent-length: 0\r\n\r\n",
            ];
            assert_eq!(out, text.concat());
            assert!(!matches!(byte, b'\r' | b'\n' | b'\0'));
        }
    }

    #[test]
    fn a_chunk_size_is_hexadecimal_without_leading_zeros() {
        for length in [
            1,
            9,
            10,
            15,
            16,
            255,
            256,
            4096,
            65_535,
            65_536,
            0x7fff_ffff,
            usize::MAX,
        ] {
            let mut out = BytesMut::new();
            chunk_size(&mut out, NonZeroUsize::new(length).unwrap());
            assert_eq!(out, format!("{length:x}\r\n"));
        }
    }

    #[test]
    fn a_number_has_one_spelling() {
        for number in [0, 1, 9, 10, 99, 100, 1024, 65_535, u64::MAX] {
            let mut out = BytesMut::new();
            decimal(&mut out, number);
            assert_eq!(out, number.to_string());
        }
    }

    #[test]
    fn what_is_ours_stands_once_in_a_request() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "evil.test"),
            ("content-length", "7"),
            ("transfer-encoding", "chunked"),
            ("connection", "keep-alive"),
            ("te", "gzip"),
            ("x-a", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        for (port, asks, framing, text) in [
            (
                None,
                Some((http::header::TE, "trailers")),
                Framing::None,
                "host: a.test\r\nx-a: 1\r\nte: trailers\r\nconnection: te\r\n\r\n",
            ),
            (
                Some(8443),
                None,
                Framing::Length(10),
                "host: a.test:8443\r\nconnection: keep-alive\r\nte: gzip\r\nx-a: 1\r\ncontent-length: 10\r\n\r\n",
            ),
        ] {
            let head = RequestHead {
                method: &Method::GET,
                target: "/v1?x=y",
                host: ("a.test", port),
                headers: &headers,
                asks,
                framing,
            };
            let mut out = BytesMut::new();
            request_head(&mut out, &head);
            assert_eq!(out, format!("GET /v1?x=y HTTP/1.1\r\n{text}"));
        }
    }

    #[test]
    fn a_tunnel_and_an_interim_reply_have_no_headers_at_all() {
        for reply in [TUNNEL_OPEN, CONTINUE] {
            let lines: Vec<&str> = std::str::from_utf8(reply).unwrap().split("\r\n").collect();
            assert!(matches!(lines[..], [status, "", ""] if status.starts_with("HTTP/1.1 ")));
        }
    }
}
