//! Any bytes as a client's HTTP/1 connection, however they are cut: heads and bodies come out the same, another reader
//! finds the same in them, and what is written of them is read as the same.

use std::num::NonZeroUsize;

use bytes::Bytes;
use bytes::BytesMut;
use exeat::wire::CHUNK_END;
use exeat::wire::ChunkedReader;
use exeat::wire::Framing;
use exeat::wire::Head;
use exeat::wire::HeadLimits;
use exeat::wire::HeadReader;
use exeat::wire::LAST_CHUNK;
use exeat::wire::Malformed;
use exeat::wire::Piece;
use exeat::wire::ReplyFraming;
use exeat::wire::chunk_size;
use exeat::wire::reply_head;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::header::CONNECTION;
use http::header::CONTENT_LENGTH;
use http::header::TRANSFER_ENCODING;

use super::cuts;

/// Small, so that inputs reach them.
const LIMITS: HeadLimits = HeadLimits {
    head_bytes: 1500,
    headers: 20,
    target_bytes: 300,
};

/// Reads the bytes whole, in pieces and byte by byte, and then message by message.
pub fn check(bytes: &[u8]) {
    let Some((lengths, bytes)) = cuts::of(bytes) else {
        return;
    };
    let whole = Connection::reading(bytes, &[bytes.len().max(1)]);
    for lengths in [&lengths[..], &[1]] {
        let cut = Connection::reading(bytes, lengths);
        assert_eq!(cut.messages, whole.messages, "in {lengths:?}");
        assert_eq!(cut.broken, whole.broken, "in {lengths:?}");
    }
    let mut rest = bytes;
    for message in &whole.messages {
        check_head(message, &mut rest);
        if message.complete {
            check_body(message, &mut rest);
        }
    }
}

/// A connection as far as its bytes can be read.
#[derive(Default)]
struct Connection {
    messages: Vec<Message>,
    broken: Option<Malformed>,
}

struct Message {
    head: Head,
    body: Vec<u8>,
    complete: bool,
}

impl Connection {
    fn reading(bytes: &[u8], lengths: &[usize]) -> Self {
        let mut connection = Self::default();
        let mut state = Next::Head(HeadReader::new(LIMITS));
        let mut buffer = BytesMut::new();
        for piece in cuts::pieces(bytes, lengths) {
            buffer.extend_from_slice(piece);
            match connection.advance(state, &mut buffer) {
                Ok(Some(next)) => state = next,
                Ok(None) => break,
                Err(malformed) => {
                    connection.broken = Some(malformed);
                    break;
                }
            }
        }
        connection
    }

    /// Reads what has come; nothing after a CONNECT, behind which there is no HTTP.
    fn advance(
        &mut self,
        mut state: Next,
        buffer: &mut BytesMut,
    ) -> Result<Option<Next>, Malformed> {
        loop {
            state = match state {
                Next::Head(mut reader) => match reader.read(buffer)? {
                    None => return Ok(Some(Next::Head(reader))),
                    Some(head) if head.method == Method::CONNECT => {
                        self.begin(head);
                        return Ok(None);
                    }
                    Some(head) => {
                        let rest = Rest::of(head.framing);
                        self.begin(head);
                        Next::Body(reader, rest)
                    }
                },
                Next::Body(reader, mut rest) => match rest.read(buffer)? {
                    None => return Ok(Some(Next::Body(reader, rest))),
                    Some(Piece::Data(bytes)) => {
                        self.last().body.extend_from_slice(&bytes);
                        Next::Body(reader, rest)
                    }
                    Some(Piece::End) => {
                        self.last().complete = true;
                        Next::Head(reader)
                    }
                },
            }
        }
    }

    fn begin(&mut self, head: Head) {
        let complete = head.method == Method::CONNECT;
        self.messages.push(Message {
            head,
            body: Vec::new(),
            complete,
        });
    }

    fn last(&mut self) -> &mut Message {
        self.messages.last_mut().expect("a body follows its head")
    }
}

/// What is expected next.
enum Next {
    Head(HeadReader),
    Body(HeadReader, Rest),
}

/// What is left of a body.
enum Rest {
    Length(u64),
    Chunks(ChunkedReader),
}

impl Rest {
    fn of(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunks(ChunkedReader::new()),
        }
    }

    fn read(&mut self, buffer: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
        match self {
            Self::Length(0) => Ok(Some(Piece::End)),
            Self::Length(_) if buffer.is_empty() => Ok(None),
            Self::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX);
                let bytes = buffer.split_to(length.min(buffer.len())).freeze();
                *left -= bytes.len() as u64;
                Ok(Some(Piece::Data(bytes)))
            }
            Self::Chunks(reader) => reader.read(buffer),
        }
    }
}

/// What a head says, without how it was written.
type Said<'h> = (
    (&'h str, &'h str, &'h str),
    Vec<(&'h str, &'h [u8])>,
    Framing,
    (bool, bool),
);

fn said(head: &Head) -> Said<'_> {
    let version = match head.version {
        http::Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    };
    (
        (head.method.as_str(), head.target.as_str(), version),
        lines(&head.headers),
        head.framing,
        (head.keep_alive, head.expect_continue),
    )
}

/// All header lines, those of one name in their order.
fn lines(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    let lines = headers.iter();
    let mut lines: Vec<_> = lines
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    lines.sort_by_key(|(name, _)| *name);
    lines
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        said(&self.head) == said(&other.head)
            && self.body == other.body
            && self.complete == other.complete
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (body, complete) = (self.body.escape_ascii(), self.complete);
        write!(f, "{:?} \"{body}\" {complete}", said(&self.head))
    }
}

/// Another reader, and the same reader of what is written; `rest` goes on behind the head.
fn check_head(message: &Message, rest: &mut &[u8]) {
    let head = &message.head;
    let (first, ours, ..) = said(head);
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut other = httparse::Request::new(&mut fields);
    let read = other.parse(rest).expect("another reader takes it");
    let httparse::Status::Complete(end) = read else {
        panic!("another reader waits for more of {message:?}");
    };
    let version = other.version.expect("a version");
    assert_eq!(
        (other.method, other.path, &*format!("HTTP/1.{version}")),
        (Some(first.0), Some(first.1), first.2)
    );
    assert_same_fields(other.headers, &ours);
    *rest = &rest[end..];

    let lines = ours.iter().flat_map(|(name, value)| field(name, value));
    let request_line = format!("{} {} {}\r\n", first.0, first.1, first.2).into_bytes();
    let written: Vec<u8> = request_line.into_iter().chain(lines).collect();
    let mut buffer = BytesMut::from(&[&written, &b"\r\nNEXT"[..]].concat()[..]);
    let again = HeadReader::new(HeadLimits::default()).read(&mut buffer);
    let again = again.expect("it can be read").expect("it is whole");
    assert_eq!((said(&again), &buffer[..]), (said(head), &b"NEXT"[..]));
    check_reply(head);
}

fn field(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b": ", value, b"\r\n"].concat()
}

fn assert_same_fields(theirs: &[httparse::Header<'_>], ours: &[(&str, &[u8])]) {
    let lowered: Vec<_> = theirs
        .iter()
        .map(|it| (it.name.to_ascii_lowercase(), it.value))
        .collect();
    let mut theirs: Vec<_> = lowered
        .iter()
        .map(|(name, value)| (&**name, *value))
        .collect();
    theirs.sort_by_key(|(name, _)| *name);
    assert_eq!(theirs, ours);
}

/// A reply with the same headers is one to another reader, with nothing about its framing but what we say.
fn check_reply(head: &Head) {
    let framing = ReplyFraming::choose(&head.method, head.version, StatusCode::OK, Some(7));
    let mut out = BytesMut::new();
    reply_head(&mut out, StatusCode::OK, &head.headers, framing, true);
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut reply = httparse::Response::new(&mut fields);
    let read = reply.parse(&out).expect("another reader takes it");
    assert_eq!(read, httparse::Status::Complete(out.len()));
    let mut headers = head.headers.clone();
    headers.remove(TRANSFER_ENCODING);
    headers.insert(CONTENT_LENGTH, 7.into());
    headers.insert(CONNECTION, http::HeaderValue::from_static("close"));
    assert_same_fields(reply.headers, &lines(&headers));
}

/// A whole body; `rest` goes on behind it.
fn check_body(message: &Message, rest: &mut &[u8]) {
    match message.head.framing {
        Framing::None => assert!(message.body.is_empty()),
        Framing::Length(length) => {
            assert_eq!(message.body.len() as u64, length);
            *rest = &rest[message.body.len()..];
        }
        Framing::Chunked => {
            assert_eq!(unchunked(rest), message.body);
            assert_eq!(rewritten(&message.body), message.body);
        }
    }
}

/// The chunks as another reader finds them.
fn unchunked(rest: &mut &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(rest) else {
            panic!("another reader finds no size at {}", rest.escape_ascii());
        };
        *rest = &rest[start..];
        if size == 0 {
            break;
        }
        let size = usize::try_from(size).expect("it was read");
        body.extend_from_slice(&rest[..size]);
        *rest = rest[size..].strip_prefix(b"\r\n").expect("an end of line");
    }
    let mut trailers = [httparse::EMPTY_HEADER; 2048];
    match httparse::parse_headers(rest, &mut trailers) {
        Ok(httparse::Status::Complete((end, _))) => *rest = &rest[end..],
        other => panic!("another reader finds no end: {other:?}"),
    }
    body
}

/// The same body in other chunks, as we would write and read it.
fn rewritten(body: &[u8]) -> Bytes {
    let mut buffer = BytesMut::new();
    for chunk in body.chunks(17) {
        let length = NonZeroUsize::new(chunk.len()).expect("chunks are not empty");
        chunk_size(&mut buffer, length);
        buffer.extend_from_slice(chunk);
        buffer.extend_from_slice(CHUNK_END);
    }
    buffer.extend_from_slice(LAST_CHUNK);
    let mut reader = ChunkedReader::new();
    let mut read = BytesMut::new();
    loop {
        match reader.read(&mut buffer) {
            Ok(Some(Piece::Data(data))) => read.extend_from_slice(&data),
            Ok(Some(Piece::End)) => return read.freeze(),
            other => panic!("{other:?}"),
        }
    }
}
