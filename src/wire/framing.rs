//! Where a message's body ends (RFC 9112 §6), and how a reply says so.
//!
//! Not here: reading the body, and whether a method may have one.

use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

use crate::wire::Malformed;

/// What a request's head says about its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body: neither `Content-Length` nor `Transfer-Encoding`.
    None,
    /// That many bytes; zero too, where the head says zero.
    Length(u64),
    /// Chunks up to an empty one.
    Chunked,
}

impl Framing {
    /// Reads it from a request's headers. Repeated lines were refused before.
    pub(super) fn of_request(headers: &HeaderMap, version: Version) -> Result<Self, Malformed> {
        let length = headers.get(CONTENT_LENGTH);
        let Some(coding) = headers.get(TRANSFER_ENCODING) else {
            let length = length.map(|it| content_length(it).ok_or(Malformed::ContentLength));
            return Ok(length.transpose()?.map_or(Self::None, Self::Length));
        };
        if length.is_some() {
            return Err(Malformed::LengthAndCoding);
        }
        if version == Version::HTTP_10 {
            return Err(Malformed::TransferEncodingOnOld);
        }
        if is_chunked(coding) {
            return Ok(Self::Chunked);
        }
        Err(why_not_chunked(coding))
    }
}

/// The number in a `Content-Length`: digits in their one canonical spelling, so that no two parsers
/// read two numbers (`+2`, `0x2` and `002` are octal, hexadecimal or an error elsewhere).
pub(super) fn content_length(value: &HeaderValue) -> Option<u64> {
    let digits = value.as_bytes();
    let canonical = match digits {
        [b'0'] => true,
        [b'0', ..] | [] => false,
        _ => digits.iter().all(u8::is_ascii_digit),
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Exactly one coding, `chunked`, in any case of ASCII letters.
pub(super) fn is_chunked(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"chunked")
}

/// 501 (RFC 9112 §6.1) is for an honest client that compresses: registered codings, each once, then
/// `chunked`. Everything else is a trick.
#[cold]
fn why_not_chunked(value: &HeaderValue) -> Malformed {
    let Ok(text) = value.to_str() else {
        return Malformed::TransferEncoding;
    };
    let codings: Vec<String> = text
        .split(',')
        .map(|it| it.trim().to_ascii_lowercase())
        .collect();
    match codings.as_slice() {
        [coding, last]
            if last == "chunked" && ["gzip", "deflate", "compress"].contains(&coding.as_str()) =>
        {
            Malformed::TransferCoding
        }
        _ => Malformed::TransferEncoding,
    }
}

/// How a reply's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFraming {
    /// No body follows. A length is what the same request would have got with GET (HEAD, 304).
    Bodyless(Option<u64>),
    /// That many bytes follow.
    Length(u64),
    /// Chunks follow.
    Chunked,
    /// The body ends where the connection does: an HTTP/1.0 client, and a length that nobody knows.
    UntilClose,
}

impl ReplyFraming {
    /// The framing of a reply with `status` to a request with `method` in `version`, whose body is
    /// `length` bytes long, if that is known (RFC 9112 §6.3). `length` zero is an empty body.
    #[must_use]
    pub fn choose(
        method: &Method,
        version: Version,
        status: StatusCode,
        length: Option<u64>,
    ) -> Self {
        if says_no_length(status) {
            return Self::Bodyless(None);
        }
        if method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
            return Self::Bodyless(length);
        }
        match length {
            Some(length) => Self::Length(length),
            None if version == Version::HTTP_10 => Self::UntilClose,
            None => Self::Chunked,
        }
    }

    /// Whether bytes of a body may be written after the head.
    #[must_use]
    pub fn has_body(self) -> bool {
        !matches!(self, Self::Bodyless(_))
    }
}

/// RFC 9110 §8.6: no `Content-Length` in 1xx and 204; RFC 9112 §6.1: no `Transfer-Encoding` either.
pub(super) fn says_no_length(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_one_spelling() {
        for (text, length) in [
            ("0", Some(0)),
            ("2", Some(2)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("18446744073709551617", None),
            ("99999999999999999999999", None),
            ("", None),
            ("00", None),
            ("002", None),
            ("+2", None),
            ("-1", None),
            ("-0", None),
            ("0x2", None),
            ("2 2", None),
            ("2,2", None),
            ("2, 2", None),
            ("2;", None),
            ("1e1", None),
            ("2.0", None),
            ("1_0", None),
        ] {
            assert_eq!(
                content_length(&HeaderValue::from_static(text)),
                length,
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_framing_of_a_reply_follows_method_status_and_version() {
        use ReplyFraming::{Bodyless, Chunked, Length, UntilClose};
        let (new, old) = (Version::HTTP_11, Version::HTTP_10);
        for (method, version, status, length, framing) in [
            (Method::GET, new, 200, Some(3), Length(3)),
            (Method::GET, new, 200, Some(0), Length(0)),
            (Method::GET, new, 200, None, Chunked),
            (Method::GET, old, 200, None, UntilClose),
            (Method::GET, old, 200, Some(3), Length(3)),
            (Method::HEAD, new, 200, Some(3), Bodyless(Some(3))),
            (Method::HEAD, old, 200, None, Bodyless(None)),
            (Method::GET, new, 304, Some(3), Bodyless(Some(3))),
            (Method::GET, new, 204, Some(0), Bodyless(None)),
            (Method::HEAD, new, 204, Some(3), Bodyless(None)),
            (Method::GET, new, 103, None, Bodyless(None)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let chosen = ReplyFraming::choose(&method, version, status, length);
            assert_eq!(chosen, framing, "{method} {status} {length:?}");
            assert_eq!(chosen.has_body(), !matches!(framing, Bodyless(_)));
        }
    }
}
