//! The head of a request: request line and headers, read from a buffer that may hold any part of
//! it.
//!
//! Not here: bodies, deadlines, which methods and targets are served.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{
        AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HOST,
        PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
    },
};
use memchr::{memchr, memrchr};

use crate::wire::Framing;
use crate::wire::Malformed;
use crate::wire::Target;
use crate::wire::Upgrade;
use crate::wire::connection;
use crate::wire::line::{self, Room};
use crate::wire::takes_trailers;

/// A request's head that has one reading.
#[derive(Clone)]
pub struct Head {
    /// The method as it was sent; `get` is another method than `GET`.
    pub method: Method,
    /// The target as it was sent.
    pub target: Target,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// All headers, in the order in which their names came; hop-by-hop ones too.
    pub headers: HeaderMap,
    /// Where the body ends.
    pub framing: Framing,
    /// Whether another request may follow. Never on HTTP/1.0: its `keep-alive` is an extension that
    /// proxies misread (RFC 9112 Appendix C.2.2), so such a client is served once.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expect_continue: bool,
    /// What `Upgrade` asks for.
    pub upgrade: Upgrade,
    /// Whether the client takes trailers.
    pub takes_trailers: bool,
}

impl Head {
    /// The `Host` header; `None` only on HTTP/1.0.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.headers.get(HOST)?.to_str().ok()
    }
}

/// Prints no value and no target: both may hold a secret.
impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("version", &self.version)
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("framing", &self.framing)
            .finish_non_exhaustive()
    }
}

/// How large a head may be.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes from the first of the request line to the blank line's last.
    pub head_bytes: usize,
    /// Header lines.
    pub headers: usize,
    /// Bytes of the target.
    pub target_bytes: usize,
}

impl Default for HeadLimits {
    /// - `head_bytes`, 64 KiB: nginx takes 32 KiB and Node 16 KiB, and heads with several signed
    ///   tokens and cookies pass 16 KiB in practice. It is what one connection may make us hold
    ///   before we know who it is.
    /// - `headers`, 100: what Apache and hyper take; browsers send about 20, API clients about 10.
    /// - `target_bytes`, 16 KiB: RFC 9112 §3 asks for 8,000 at least, signed URLs use 2 to 4 KiB,
    ///   and a GraphQL query in a URL stays below 16.
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            headers: 100,
            target_bytes: 16 * 1024,
        }
    }
}

/// The longest registered method, UPDATEREDIRECTREF, has 17 bytes.
const METHOD_BYTES: usize = 32;

impl HeadLimits {
    /// The longest request line, with its spaces, version and CR LF.
    fn request_line_bytes(&self) -> usize {
        (METHOD_BYTES + 1 + self.target_bytes + " HTTP/1.1\r\n".len()).min(self.head_bytes)
    }
}

/// Reads one head after the other from the buffer of a connection.
///
/// Every line is judged once, when its line feed has come; nothing is scanned twice, however the
/// bytes are cut into segments, and how they are cut changes no result. Keep one for each
/// connection: it keeps its memory from request to request.
#[derive(Debug)]
pub struct HeadReader {
    limits: HeadLimits,
    /// Bytes of the buffer that are known to hold no further line feed.
    scanned: usize,
    /// Where the first line that is not judged yet starts.
    line_start: usize,
    request_line: Option<RequestLine>,
    /// The headers so far, each with the place of its value in the buffer.
    fields: Vec<(HeaderName, Range<usize>)>,
}

impl HeadReader {
    /// A reader at the start of a connection.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Self {
        Self {
            limits,
            scanned: 0,
            line_start: 0,
            request_line: None,
            fields: Vec::new(),
        }
    }

    /// Takes one head off the front of `buf`, or `None` while its end has not come. Between two
    /// calls that return `None`, the caller may only append to `buf`. What follows the head stays
    /// in `buf`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, in the order of the bytes. The connection has to close.
    pub fn read(&mut self, buf: &mut BytesMut) -> Result<Option<Head>, Malformed> {
        if self.line_start == 0
            && let Some(first) = buf.first()
        {
            may_open_a_request(*first)?;
        }
        while let Some(end) = self.line_end(buf)? {
            let line = &buf[self.line_start..end - 2];
            match self.request_line.take() {
                None => self.request_line = Some(RequestLine::parse(line, &self.limits)?),
                Some(request_line) if line.is_empty() => {
                    return self.finish(request_line, buf.split_to(end)).map(Some);
                }
                Some(request_line) => {
                    self.request_line = Some(request_line);
                    self.keep_field(line)?;
                }
            }
            self.line_start = end;
        }
        Ok(None)
    }

    fn line_end(&mut self, buf: &[u8]) -> Result<Option<usize>, Malformed> {
        let (bytes, excess) = match self.request_line {
            None => (self.limits.request_line_bytes(), Malformed::TargetTooLong),
            Some(_) => (self.limits.head_bytes, Malformed::HeadTooLarge),
        };
        line::line_end(
            buf,
            self.line_start,
            &mut self.scanned,
            Room { bytes, excess },
        )
    }

    fn keep_field(&mut self, line: &[u8]) -> Result<(), Malformed> {
        if self.fields.len() == self.limits.headers {
            return Err(Malformed::TooManyHeaders);
        }
        let (name, value) = line::field(line)?;
        let start = self.line_start;
        self.fields
            .push((name, start + value.start..start + value.end));
        Ok(())
    }

    /// All lines are there: puts the head together from slices of its bytes, and starts anew.
    fn finish(&mut self, first: RequestLine, head: BytesMut) -> Result<Head, Malformed> {
        let head = head.freeze();
        self.scanned = 0;
        self.line_start = 0;
        let mut headers = HeaderMap::try_with_capacity(self.fields.len())
            .map_err(|_| Malformed::TooManyHeaders)?;
        let mut seen = Seen::default();
        for (name, value) in self.fields.drain(..) {
            seen.note(&name);
            append(&mut headers, name, head.slice(value))?;
        }
        let target = Target::parse(head.slice(first.target), &first.method)?;
        let framing = match seen.framing {
            true => Framing::of_request(&headers, first.version)?,
            false => Framing::None,
        };
        if first.method == Method::CONNECT && !matches!(framing, Framing::None | Framing::Length(0))
        {
            return Err(Malformed::ConnectBody);
        }
        let new = first.version == Version::HTTP_11;
        if new && !seen.host {
            return Err(Malformed::NoHost);
        }
        Ok(Head {
            // RFC 9110 §10.1.1: an expectation from an HTTP/1.0 client is ignored.
            expect_continue: seen.expect && expects_continue(&headers)? && new,
            keep_alive: !(seen.connection && connection::asks_to_close(&headers)?) && new,
            upgrade: match seen.upgrade {
                true => Upgrade::of(&headers),
                false => Upgrade::Nothing,
            },
            takes_trailers: seen.te && takes_trailers(&headers),
            method: first.method,
            target,
            version: first.version,
            headers,
            framing,
        })
    }
}

/// Judges the very first byte, so that a TLS or SOCKS client gets its answer at once instead of a
/// deadline. RFC 9112 §2.2 would have a server skip blank lines here; two that skip differently
/// disagree about where a request starts.
fn may_open_a_request(first: u8) -> Result<(), Malformed> {
    match first {
        b'\r' | b'\n' | b' ' | b'\t' => Err(Malformed::LeadingBlank),
        0x21..=0x7e => Ok(()),
        _ => Err(Malformed::NotHttp),
    }
}

#[derive(Debug)]
struct RequestLine {
    method: Method,
    target: Range<usize>,
    version: Version,
}

impl RequestLine {
    /// RFC 9112 §3, with exactly one space on each side of the target. Judges all but the target's
    /// own bytes.
    fn parse(line: &[u8], limits: &HeadLimits) -> Result<Self, Malformed> {
        let first = memchr(b' ', line).ok_or(Malformed::RequestLine)?;
        let last = memrchr(b' ', line).unwrap_or(first);
        let method = method(&line[..first])?;
        if first == last {
            return Err(Malformed::NoVersion);
        }
        let target = first + 1..last;
        if target.is_empty() || memchr(b' ', &line[target.clone()]).is_some() {
            return Err(Malformed::RequestLine);
        }
        if target.len() > limits.target_bytes {
            return Err(Malformed::TargetTooLong);
        }
        let version = version(&line[last + 1..])?;
        Ok(Self {
            method,
            target,
            version,
        })
    }
}

fn method(bytes: &[u8]) -> Result<Method, Malformed> {
    if bytes.len() > METHOD_BYTES {
        return Err(Malformed::MethodTooLong);
    }
    Method::from_bytes(bytes).map_err(|_| Malformed::Method)
}

fn version(bytes: &[u8]) -> Result<Version, Malformed> {
    match bytes {
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(Malformed::VersionUnsupported)
        }
        _ => Err(Malformed::Version),
    }
}

fn append(headers: &mut HeaderMap, name: HeaderName, value: Bytes) -> Result<(), Malformed> {
    let mut value = HeaderValue::from_maybe_shared(value).map_err(|_| Malformed::ValueBytes)?;
    // `Debug` of a header map hides what is marked so.
    value.set_sensitive(matches!(name, AUTHORIZATION | PROXY_AUTHORIZATION | COOKIE));
    let refusal = repeated(&name);
    match (headers.try_append(name, value), refusal) {
        (Ok(true), Some(refusal)) => Err(refusal),
        (Ok(_), _) => Ok(()),
        (Err(_), _) => Err(Malformed::TooManyHeaders),
    }
}

/// Which of the headers that say something about a message itself it has. Most have none but `Host`, and are not looked
/// through for the others.
#[derive(Default)]
struct Seen {
    host: bool,
    /// `Content-Length` or `Transfer-Encoding`.
    framing: bool,
    expect: bool,
    connection: bool,
    upgrade: bool,
    te: bool,
}

impl Seen {
    fn note(&mut self, name: &HeaderName) {
        match *name {
            HOST => self.host = true,
            CONTENT_LENGTH | TRANSFER_ENCODING => self.framing = true,
            EXPECT => self.expect = true,
            CONNECTION => self.connection = true,
            UPGRADE => self.upgrade = true,
            TE => self.te = true,
            _ => {}
        }
    }
}

/// Headers that stand once, or two readers pick a different one. Equal values do not help: the next
/// reader may join them into a list.
fn repeated(name: &HeaderName) -> Option<Malformed> {
    match *name {
        HOST => Some(Malformed::RepeatedHost),
        CONTENT_LENGTH => Some(Malformed::RepeatedContentLength),
        TRANSFER_ENCODING => Some(Malformed::RepeatedTransferEncoding),
        CONTENT_TYPE => Some(Malformed::RepeatedContentType),
        EXPECT => Some(Malformed::RepeatedExpect),
        AUTHORIZATION => Some(Malformed::RepeatedAuthorization),
        PROXY_AUTHORIZATION => Some(Malformed::RepeatedProxyAuthorization),
        _ => None,
    }
}

fn expects_continue(headers: &HeaderMap) -> Result<bool, Malformed> {
    match headers.get(EXPECT) {
        None => Ok(false),
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Malformed::Expectation),
    }
}
