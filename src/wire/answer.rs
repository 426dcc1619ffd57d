//! The head of a reply, read from a buffer that may hold any part of it, and where the reply ends.
//!
//! Read as strictly as that of a request: servers are distrusted as clients are, and a reply that
//! two readers could end in two places ends nowhere. What servers do send passes: bytes outside
//! ASCII and tabs in values, underscores in names.
//!
//! Not here: interim answers, and what of a reply reaches a client.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};

use crate::wire::Malformed;
use crate::wire::connection;
use crate::wire::framing;
use crate::wire::line::{self, Room};

/// A reply's head that has one reading.
#[derive(Clone, Debug)]
pub struct AnswerHead {
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// From 100 to 999.
    pub status: StatusCode,
    /// All headers, in the order in which their names came; hop-by-hop ones too.
    pub headers: HeaderMap,
}

/// Where the content of a reply ends (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// There is none.
    None,
    /// After that many bytes, at least one.
    Length(u64),
    /// With an empty chunk.
    Chunked,
    /// Where the connection ends.
    UntilClose,
}

/// Why a reply is not believed. The text quotes nothing of it.
pub type Disbelief = &'static str;

/// Reads one head after the other from the buffer of a connection, as
/// [`HeadReader`](crate::wire::HeadReader) reads those of requests.
#[derive(Debug)]
pub struct AnswerReader {
    /// Bytes from the status line to the blank line.
    head_bytes: usize,
    /// Header lines.
    most_headers: usize,
    scanned: usize,
    line_start: usize,
    first: Option<(Version, StatusCode)>,
    fields: Vec<(HeaderName, Range<usize>)>,
}

impl AnswerReader {
    /// A reader at the start of a connection, for heads of so many bytes and header lines.
    #[must_use]
    pub fn new(head_bytes: usize, most_headers: usize) -> Self {
        Self {
            head_bytes,
            most_headers,
            scanned: 0,
            line_start: 0,
            first: None,
            fields: Vec::new(),
        }
    }

    /// Takes one head off the front of `buf`, or `None` while its end has not come. Between two
    /// calls that return `None`, the caller may only append to `buf`. What follows the head stays
    /// in `buf`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, in the order of the bytes. The connection is of no more use.
    pub fn read(&mut self, buf: &mut BytesMut) -> Result<Option<AnswerHead>, Disbelief> {
        while let Some(end) = self.line_end(buf).map_err(Malformed::reason)? {
            let line = &buf[self.line_start..end - 2];
            match self.first {
                None => self.first = Some(status_line(line)?),
                Some(first) if line.is_empty() => {
                    return self.finish(first, buf.split_to(end)).map(Some);
                }
                Some(_) => self.keep_field(line)?,
            }
            self.line_start = end;
        }
        Ok(None)
    }

    fn line_end(&mut self, buf: &[u8]) -> Result<Option<usize>, Malformed> {
        let room = Room {
            bytes: self.head_bytes,
            excess: Malformed::HeadTooLarge,
        };
        line::line_end(buf, self.line_start, &mut self.scanned, room)
    }

    fn keep_field(&mut self, line: &[u8]) -> Result<(), Disbelief> {
        if self.fields.len() == self.most_headers {
            return Err(Malformed::TooManyHeaders.reason());
        }
        let (name, value) = line::answer_field(line).map_err(Malformed::reason)?;
        let start = self.line_start;
        self.fields
            .push((name, start + value.start..start + value.end));
        Ok(())
    }

    fn finish(
        &mut self,
        (version, status): (Version, StatusCode),
        head: BytesMut,
    ) -> Result<AnswerHead, Disbelief> {
        let head = head.freeze();
        (self.scanned, self.line_start, self.first) = (0, 0, None);
        let mut headers = HeaderMap::with_capacity(self.fields.len() + ADDED);
        for (name, value) in self.fields.drain(..) {
            headers.append(name, answer_value(head.slice(value))?);
        }
        Ok(AnswerHead {
            version,
            status,
            headers,
        })
    }
}

impl AnswerHead {
    /// Where the content ends, of a reply to a request with this method.
    ///
    /// # Errors
    ///
    /// What makes it end in more than one place.
    pub fn content(&self, method: &Method) -> Result<Content, Disbelief> {
        let length = believed(self.version, self.status, &self.headers)?;
        let bodyless = method == Method::HEAD
            || self.status.is_informational()
            || matches!(
                self.status,
                StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
            );
        Ok(match length {
            _ if bodyless => Content::None,
            None if self.headers.contains_key(TRANSFER_ENCODING) => Content::Chunked,
            None => Content::UntilClose,
            Some(0) => Content::None,
            Some(length) => Content::Length(length),
        })
    }

    /// Whether the connection may carry another request. Never for HTTP/1.0, as for clients.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        let closes = connection::asks_to_close(&self.headers).unwrap_or(true);
        self.version == Version::HTTP_11 && !closes
    }
}

/// Finds what makes a reply readable in more than one way; else tells its length, where it has one.
///
/// # Errors
///
/// What is wrong with its framing.
pub fn believed(
    version: Version,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<u64>, Disbelief> {
    let coding = only(headers, &TRANSFER_ENCODING, "it has two transfer codings")?;
    let length = only(headers, &CONTENT_LENGTH, "it has two lengths")?;
    let empty = status == StatusCode::NO_CONTENT || status.is_informational();
    match (coding, length) {
        (Some(_), Some(_)) => Err("it has both a length and a transfer coding"),
        (Some(_), None) if version != Version::HTTP_11 => {
            Err("it has a transfer coding, which its version of HTTP has not")
        }
        (Some(coding), None) if !framing::is_chunked(coding) => {
            Err("its transfer coding is not chunked")
        }
        (Some(_), None) if empty => Err("it has a transfer coding where no content can be"),
        (Some(_), None) | (None, None) => Ok(None),
        (None, Some(length)) => match framing::content_length(length) {
            None => Err("its length is not a plain number"),
            Some(1..) if empty => Err("it has a length where no content can be"),
            Some(length) if length > LONGEST => Err("its length is not one of any reply"),
            length => Ok(length),
        },
    }
}

/// Room for headers that whoever passes a reply on adds to it: growing later would hash all of them again.
const ADDED: usize = 4;

/// Nobody counts further; parsers that do with 53 or 63 bits read another number beyond.
const LONGEST: u64 = 999_999_999_999_999;

fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    twice: Disbelief,
) -> Result<Option<&'a HeaderValue>, Disbelief> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    values.next().map_or(Ok(first), |_| Err(twice))
}

/// RFC 9112 §4. The phrase may be missing, and the space before it too, as many servers have it.
fn status_line(line: &[u8]) -> Result<(Version, StatusCode), Disbelief> {
    const WRONG: Disbelief = "its status line is not HTTP/1.1, a space, three digits and a phrase";
    let (version, rest) = line.split_at_checked(9).ok_or(WRONG)?;
    let version = match version {
        b"HTTP/1.1 " => Version::HTTP_11,
        b"HTTP/1.0 " => Version::HTTP_10,
        _ => return Err(WRONG),
    };
    let (digits, phrase) = rest.split_at_checked(3).ok_or(WRONG)?;
    let status = StatusCode::from_bytes(digits).map_err(|_| WRONG)?;
    match phrase {
        [] => Ok((version, status)),
        [b' ', words @ ..] if words.iter().all(|it| is_text(*it)) => Ok((version, status)),
        _ => Err(WRONG),
    }
}

/// A value as it stands: what RFC 9110 §5.5 lets a value hold, bytes outside ASCII included.
fn answer_value(bytes: Bytes) -> Result<HeaderValue, Disbelief> {
    HeaderValue::from_maybe_shared(bytes).map_err(|_| "a header value holds a control character")
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<AnswerHead, Disbelief> {
        let whole = read_in(text, usize::MAX);
        // How the bytes are cut changes nothing.
        for segment in [1, 2, 7] {
            let cut = read_in(text, segment);
            assert_eq!(format!("{cut:?}"), format!("{whole:?}"), "{text:?}");
        }
        whole
    }

    fn read_in(text: &str, segment: usize) -> Result<AnswerHead, Disbelief> {
        let mut reader = AnswerReader::new(4096, 10);
        let mut buf = BytesMut::new();
        for bytes in text.as_bytes().chunks(segment.min(text.len())) {
            buf.extend_from_slice(bytes);
            if let Some(head) = reader.read(&mut buf)? {
                return Ok(head);
            }
        }
        Err("no end")
    }

    #[test]
    fn a_status_line_has_one_form() {
        for (line, status) in [
            ("HTTP/1.1 200 OK", Some(200)),
            ("HTTP/1.1 200 ", Some(200)),
            ("HTTP/1.1 200", Some(200)),
            ("HTTP/1.0 404 Not\tF\u{f6}und", Some(404)),
            ("HTTP/1.1 999 Odd", Some(999)),
            ("HTTP/1.1 099 Low", None),
            ("HTTP/1.1 1000 High", None),
            ("HTTP/1.1 20 OK", None),
            ("HTTP/1.1  200 OK", None),
            ("HTTP/1.1 200OK", None),
            ("HTTP/1.1\t200 OK", None),
            ("HTTP/1.2 200 OK", None),
            ("HTTP/2 200", None),
            ("http/1.1 200 OK", None),
            ("HTTP/1.1 200 O\rK", None),
            ("HTTP/1.1 200 O\x1bK", None),
            (" HTTP/1.1 200 OK", None),
            ("", None),
            ("ICY 200 OK", None),
        ] {
            let head = read(&format!("{line}\r\nX: y\r\n\r\n"));
            let got = head.map(|it| it.status.as_u16()).ok();
            assert_eq!(got, status, "{line:?}");
        }
    }

    #[test]
    fn a_header_line_has_one_form() {
        for (line, value) in [
            ("x: a b", Some("a b")),
            ("x:a", Some("a")),
            ("x:  \ta\t ", Some("a")),
            ("x: a\tb", Some("a\tb")),
            ("x_y: a", Some("a")),
            ("x: \u{e9}", Some("\u{e9}")),
            ("x:", Some("")),
            ("x : a", None),
            ("x\t: a", None),
            (": a", None),
            ("x", None),
            (" x: a", None),
            ("x: a\r\n b", None),
            ("x: a\n", None),
            ("x: a\rb", None),
            ("x: a\0b", None),
            ("x: a\x1bb", None),
            ("x: a\x7fb", None),
            ("x\u{e9}: a", None),
        ] {
            let head = read(&format!("HTTP/1.1 200 OK\r\n{line}\r\n\r\n"));
            let got = head.ok().map(|it| {
                let value = it.headers.values().next().unwrap();
                String::from_utf8(value.as_bytes().to_vec()).unwrap()
            });
            assert_eq!(got.as_deref(), value, "{line:?}");
        }
    }

    #[test]
    fn a_head_has_bounds() {
        for head in [
            "x: y\r\n".repeat(11),
            format!("x: {}\r\n", "y".repeat(5000)),
        ] {
            let whole = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
            assert!(read(&whole).is_err());
        }
        // Also where its end never comes.
        assert_ne!(read(&"y".repeat(5000)).unwrap_err(), "no end");
        assert_eq!(read(&"y".repeat(4000)).unwrap_err(), "no end");
    }

    #[test]
    fn content_ends_in_one_place_or_is_not_believed() {
        use Content::{Chunked, Length, None as Nothing, UntilClose};
        for (status, fields, expected) in [
            (200, "", Some(UntilClose)),
            (200, "Content-Length: 0\r\n", Some(Nothing)),
            (200, "Content-Length: 12\r\n", Some(Length(12))),
            (200, "Transfer-Encoding: chunked\r\n", Some(Chunked)),
            (200, "Transfer-Encoding: Chunked\r\n", Some(Chunked)),
            (204, "", Some(Nothing)),
            (204, "Content-Length: 0\r\n", Some(Nothing)),
            (304, "Content-Length: 12\r\n", Some(Nothing)),
            (103, "", Some(Nothing)),
            (
                200,
                "Content-Length: 12\r\nTransfer-Encoding: chunked\r\n",
                None,
            ),
            (200, "Content-Length: 12\r\nContent-Length: 12\r\n", None),
            (200, "Content-Length: 12\r\nContent-Length: 13\r\n", None),
            (200, "Content-Length: 12, 12\r\n", None),
            (200, "Content-Length: +12\r\n", None),
            (200, "Content-Length: 012\r\n", None),
            (200, "Content-Length:\r\n", None),
            (200, "Content-Length: 12a\r\n", None),
            (200, "Content-Length: 9999999999999999999\r\n", None),
            (200, "Transfer-Encoding: gzip, chunked\r\n", None),
            (
                200,
                "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                None,
            ),
            (200, "Transfer-Encoding: identity\r\n", None),
            (204, "Content-Length: 5\r\n", None),
            (204, "Transfer-Encoding: chunked\r\n", None),
        ] {
            let head = read(&format!("HTTP/1.1 {status} X\r\n{fields}\r\n")).unwrap();
            assert_eq!(
                head.content(&Method::GET).ok(),
                expected,
                "{status} {fields:?}"
            );
            if expected.is_some() {
                assert_eq!(head.content(&Method::HEAD), Ok(Nothing));
            }
        }
        let old = read("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        assert!(old.content(&Method::GET).is_err());
    }

    #[test]
    fn a_connection_goes_on_only_where_both_sides_know_it() {
        for (head, keeps) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", true),
            ("HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n", false),
            ("HTTP/1.1 200 OK\r\nConnection: a b\r\n\r\n", false),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false),
        ] {
            assert_eq!(read(head).unwrap().keeps_alive(), keeps, "{head:?}");
        }
    }
}
