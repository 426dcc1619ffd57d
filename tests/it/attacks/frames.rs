//! A request of HTTP/2, frame by frame and with names that no library would send.

use std::io::Write as _;

use rustls::StreamOwned;

use crate::attacks::stage::{Line, Stage};
use crate::world::Stream;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What became of a stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Told {
    /// The content of its answer.
    Answer(String),
    /// It was reset, or the connection ended: framing that HTTP/2 itself refuses.
    Reset,
}

/// A connection that speaks HTTP/2 in a tunnel to `api.good.test`.
pub struct Frames<'s> {
    stage: &'s Stage,
    stream: Box<dyn Line>,
    next: u32,
}

impl<'s> Frames<'s> {
    /// Opens one, with these lines in its CONNECT.
    pub fn open(stage: &'s Stage, lines: &[&str]) -> Self {
        let client = stage.world.client();
        let (answer, stream) = client.open("api.good.test:443", lines);
        assert_eq!(answer.status, 200, "{answer:?}");
        let session = client.session("api.good.test", &["h2"]);
        let mut stream = StreamOwned::new(session, stream);
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        frame(&mut bytes, (SETTINGS, 0, 0), &[]);
        stream.write_all(&bytes).unwrap();
        Self {
            stage,
            stream: Box::new(stream),
            next: 1,
        }
    }

    /// A GET on a stream of its own: this `:authority`, if any, and these fields behind it.
    pub fn get(&mut self, authority: Option<&[u8]>, fields: &[(&str, &[u8])]) -> Told {
        let mut block = Vec::new();
        field(&mut block, ":method", b"GET");
        field(&mut block, ":scheme", b"https");
        field(&mut block, ":path", b"/v1/items/1");
        if let Some(authority) = authority {
            field(&mut block, ":authority", authority);
        }
        for (name, value) in fields {
            field(&mut block, name, value);
        }
        let id = self.next;
        self.next += 2;
        let mut bytes = Vec::new();
        frame(&mut bytes, (HEADERS, END_STREAM | END_HEADERS, id), &block);
        self.stream.write_all(&bytes).unwrap();
        let told = answer_of(&mut self.stream, id);
        if let Told::Answer(text) = &told {
            self.stage.keep(text.as_bytes());
        }
        told
    }

    /// Says that nothing more comes.
    pub fn finish(mut self) {
        self.stream.finish();
    }
}

/// A GET in a tunnel of its own.
pub fn get(stage: &Stage, authority: Option<&[u8]>, fields: &[(&str, &[u8])]) -> Told {
    let mut frames = Frames::open(stage, &[]);
    let told = frames.get(authority, fields);
    frames.finish();
    told
}

/// A field that is added to no table (RFC 7541 §6.2.2), spelled out.
fn field(block: &mut Vec<u8>, name: &str, value: &[u8]) {
    block.push(0);
    for text in [name.as_bytes(), value] {
        length(block, text.len());
        block.extend_from_slice(text);
    }
}

/// A length in seven bits and, where they are not enough, in further bytes (RFC 7541 §5.1).
fn length(block: &mut Vec<u8>, length: usize) {
    let Some(mut left) = length.checked_sub(127) else {
        return block.push(length as u8);
    };
    block.push(127);
    while left >= 128 {
        block.push((left % 128) as u8 | 128);
        left /= 128;
    }
    block.push(left as u8);
}

fn frame(bytes: &mut Vec<u8>, (kind, flags, stream): (u8, u8, u32), payload: &[u8]) {
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

fn answer_of(stream: &mut dyn Stream, asked: u32) -> Told {
    let mut content = Vec::new();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).is_err() {
            return Told::Reset;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        if stream.read_exact(&mut payload).is_err() {
            return Told::Reset;
        }
        let (kind, flags) = (head[3], head[4]);
        let id = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match (kind, id == asked) {
            (RST_STREAM, true) | (GOAWAY, _) => return Told::Reset,
            (DATA, true) => content.extend_from_slice(&payload),
            _ => {}
        }
        if id == asked && flags & END_STREAM != 0 {
            return Told::Answer(String::from_utf8(content).unwrap());
        }
    }
}
