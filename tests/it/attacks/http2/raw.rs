//! HTTP/2 by hand, on either side: frames as bytes, and heads in the one encoding that every decoder takes.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

use rustls::ClientConnection;

use crate::attacks::stage::Stage;
use crate::world::Stream;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

/// Flags: of `SETTINGS` and `PING`, of `DATA` and `HEADERS`, of heads.
pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// Codes of errors (RFC 9113 §7).
pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const INTERNAL_ERROR: u32 = 2;
pub const CANCEL: u32 = 8;
pub const ENHANCE_YOUR_CALM: u32 = 11;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Names and values of a head, in their order.
pub type Fields<'a> = [(&'a str, &'a str)];

/// One frame as it came.
#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub content: Vec<u8>,
}

impl Frame {
    /// The number that ends the content of `RST_STREAM`, and stands second in a `GOAWAY`.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.content[at..at + 4].try_into().unwrap())
    }
}

/// How a stream ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer: its status and its content.
    Answer(u16, String),
    /// With `RST_STREAM`, which has a code.
    Reset(u32),
    /// With the connection, after a `GOAWAY` with a code if there was one.
    Gone(Option<u32>),
}

impl Outcome {
    /// The status and the code of a refusal.
    pub fn refusal(&self) -> (u16, String) {
        let Self::Answer(status, content) = self else {
            panic!("{self:?}");
        };
        let json: serde_json::Value = serde_json::from_str(content).unwrap();
        (*status, json["error"]["code"].as_str().unwrap().to_owned())
    }
}

/// A connection of a client inside a tunnel, or of a server.
pub struct Raw<S> {
    line: S,
    /// What came on streams that have not ended.
    open: BTreeMap<u32, (u16, Vec<u8>)>,
    last: Option<u32>,
}

/// A client's TLS that can still be read when nobody takes what it writes.
pub struct Tls {
    session: ClientConnection,
    stream: TcpStream,
    /// What was read before anybody asked for it.
    ahead: VecDeque<u8>,
}

impl Tls {
    /// Takes what is there, so that the other side can go on writing.
    fn take_all(&mut self) -> io::Result<()> {
        self.stream.set_nonblocking(true)?;
        while let Ok(1..) = self.session.read_tls(&mut self.stream) {
            self.session
                .process_new_packets()
                .map_err(io::Error::other)?;
            let mut bytes = Vec::new();
            // There is no more for now, or never.
            let _ = self.session.reader().read_to_end(&mut bytes);
            self.ahead.extend(bytes);
        }
        self.stream.set_nonblocking(false)
    }
}

impl Read for Tls {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.ahead.is_empty() {
            return self.ahead.read(buffer);
        }
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
            if self.session.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            self.session
                .process_new_packets()
                .map_err(io::Error::other)?;
        }
    }
}

impl Write for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while self.session.is_handshaking() {
            self.session.complete_io(&mut self.stream)?;
        }
        let written = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(&mut self.stream)?;
        }
        Ok(())
    }
}

impl Raw<Tls> {
    /// A tunnel to `api.good.test`, with the preface said.
    pub fn client(stage: &Stage) -> Self {
        Self::client_with(stage, &[])
    }

    /// With these settings of the client's, beside a table of heads that remembers nothing.
    pub fn client_with(stage: &Stage, settings: &[(u16, u32)]) -> Self {
        let client = stage.world.client();
        let (answer, stream) = client.open("api.good.test:443", &[]);
        assert_eq!(answer.status, 200, "{answer:?}");
        let session = client.session("api.good.test", &["h2"]);
        let ahead = VecDeque::new();
        let mut raw = Raw::of(Tls {
            session,
            stream,
            ahead,
        });
        let no_table = (1, 0);
        let settings: Vec<_> = settings.iter().copied().chain([no_table]).collect();
        raw.send(&[PREFACE, &self::settings(&settings)].concat());
        raw
    }

    /// As [`Raw::try_send`], and takes what has come meanwhile.
    pub fn try_send_and_take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.try_send(bytes)?;
        self.line.take_all()
    }
}

impl<S: Stream> Raw<S> {
    fn of(line: S) -> Self {
        Self {
            line,
            open: BTreeMap::new(),
            last: None,
        }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes to somebody who may have left.
    pub fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.line.write_all(bytes)?;
        self.line.flush()
    }

    /// The next frame; none where the connection ends.
    pub fn frame(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.line.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut content = vec![0; length as usize];
        self.line.read_exact(&mut content).ok()?;
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..9].try_into().unwrap()),
            content,
        };
        if frame.kind == GOAWAY {
            self.last = Some(frame.code());
        }
        Some(frame)
    }

    /// The next frame of this kind; what comes before it is passed over.
    pub fn frame_of(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.frame()?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// Reads until this stream has ended, which must be the next to end.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        let (ended, outcome) = self.any_outcome();
        assert!(
            ended == stream || ended == 0,
            "{stream}: {ended} {outcome:?}"
        );
        outcome
    }

    /// Reads until a stream has ended, or all have with their connection, and grants whatever answers need.
    pub fn any_outcome(&mut self) -> (u32, Outcome) {
        loop {
            let Some(frame) = self.frame() else {
                return (0, Outcome::Gone(self.last));
            };
            self.answer(&frame);
            if frame.kind == RST_STREAM {
                self.open.remove(&frame.stream);
                return (frame.stream, Outcome::Reset(frame.code()));
            }
            if matches!(frame.kind, DATA | HEADERS) && frame.flags & END_STREAM != 0 {
                let (status, content) = self.open.remove(&frame.stream).unwrap();
                let content = String::from_utf8(content).unwrap();
                return (frame.stream, Outcome::Answer(status, content));
            }
        }
    }

    /// What a frame demands of who gets it.
    fn answer(&mut self, frame: &Frame) {
        let answer = match frame.kind {
            SETTINGS if frame.flags & ACK == 0 => self::frame(SETTINGS, ACK, 0, &[]),
            PING if frame.flags & ACK == 0 => self::frame(PING, ACK, 0, &frame.content),
            HEADERS => {
                let begun = self.open.entry(frame.stream).or_default();
                if begun.0 == 0 {
                    begun.0 = status(&frame.content);
                }
                return;
            }
            DATA if !frame.content.is_empty() => {
                let begun = self.open.entry(frame.stream).or_default();
                begun.1.extend_from_slice(&frame.content);
                let room = frame.content.len() as u32;
                [window_update(0, room), window_update(frame.stream, room)].concat()
            }
            _ => return,
        };
        // Who has gone needs none.
        let _ = self.try_send(&answer);
    }

    /// Reads to the end of the connection: the code of the `GOAWAY`, if there was one.
    pub fn end(mut self) -> Option<u32> {
        while self.frame().is_some() {}
        self.last
    }

    /// As [`Raw::outcome`], for a GET of this path that is sent now.
    pub fn get(&mut self, stream: u32, path: &str) -> Outcome {
        self.send(&headers(stream, END_STREAM, &asking("GET", path)));
        self.outcome(stream)
    }
}

impl Raw<&mut dyn Stream> {
    /// The server's side of a connection, with the client's preface read and ours said.
    pub fn server(line: &mut dyn Stream) -> Raw<&mut dyn Stream> {
        let mut preface = [0; PREFACE.len()];
        let mut raw = Raw::of(line);
        raw.line.read_exact(&mut preface).unwrap();
        assert_eq!(preface, PREFACE);
        raw.send(&settings(&[]));
        raw
    }
}

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head, &stream.to_be_bytes()[..], content].concat()
}

/// A whole head in one frame.
pub fn headers(stream: u32, flags: u8, fields: &Fields<'_>) -> Vec<u8> {
    frame(HEADERS, flags | END_HEADERS, stream, &block(fields))
}

/// A part of a body.
pub fn data(stream: u32, flags: u8, content: &[u8]) -> Vec<u8> {
    frame(DATA, flags, stream, content)
}

/// Settings by their numbers.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let content: Vec<u8> = values
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &content)
}

/// More room for a stream, or for all with 0.
pub fn window_update(stream: u32, room: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &room.to_be_bytes())
}

/// The end of a stream, by who does not want it any more.
pub fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())
}

/// The usual head of a request to `api.good.test`.
pub fn asking<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [
        (":method", method),
        (":scheme", "https"),
        (":authority", "api.good.test"),
        (":path", path),
    ]
}

/// Literals that nobody is to remember (RFC 7541 §6.2.2), not compressed. A character stands for a byte, so that bytes
/// that are no UTF-8 can be said too.
pub fn block(fields: &Fields<'_>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            let bytes: Vec<u8> = text.chars().map(|it| u8::try_from(it).unwrap()).collect();
            length(&mut block, bytes.len());
            block.extend(bytes);
        }
    }
    block
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn length(block: &mut Vec<u8>, mut length: usize) {
    if length < 127 {
        return block.push(length as u8);
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push(length as u8 | 128);
        length >>= 7;
    }
    block.push(length as u8);
}

/// The status, which stands first: out of the static table, or three digits that are compressed (RFC 7541 §B).
fn status(block: &[u8]) -> u16 {
    // The size of the table stands before the first head of all.
    let block = if block[0] & 0xe0 == 0x20 {
        &block[1..]
    } else {
        block
    };
    if block[0] & 0x80 != 0 {
        return [200, 204, 206, 304, 400, 404, 500][usize::from(block[0] & 0x7f) - 8];
    }
    assert_eq!(block[0] & 0xf, 8, "{block:x?}");
    let text = &block[2..2 + usize::from(block[1] & 0x7f)];
    if block[1] & 0x80 == 0 {
        return std::str::from_utf8(text).unwrap().parse().unwrap();
    }
    let bits: Vec<u8> = text
        .iter()
        .flat_map(|it| (0..8).rev().map(move |at| it >> at & 1))
        .collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |all, bit| all << 1 | u16::from(*bit));
    let (mut status, mut at) = (0, 0);
    for _ in 0..3 {
        let short = number(&bits[at..at + 5]);
        let (digit, width) = if short < 3 {
            (short, 5)
        } else {
            (number(&bits[at..at + 6]) - 0x16, 6)
        };
        status = status * 10 + digit;
        at += width;
    }
    status
}
