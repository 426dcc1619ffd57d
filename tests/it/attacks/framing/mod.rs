//! Group F: where a request ends, in HTTP/1: in the clear, inside a tunnel, behind a good request, and at the listeners
//! of exeat's own pages, which are read as strictly: behind a proxy of the operator's that is not, agents share a
//! connection, and where a request ends decides whose token the next one has.
//!
//! Comments say what hyper would have made of it, which is not asked: it repairs much of this without a word.

mod chunks;
mod connections;
mod heads;
mod repaired;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::stage::{Door, Stage};
use crate::world::{read_answer, rest};

/// What is refused, and how.
type Refused = (u16, &'static str);

const MALFORMED: Refused = (400, "request_malformed");
const TOO_LARGE: Refused = (431, "head_too_large");

/// A request whose target is spelled `{target}`.
struct Raw(Vec<u8>);

impl Raw {
    /// As it is written.
    fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(bytes.as_ref().to_vec())
    }

    /// A POST with these bytes behind its `Host`: more lines, the blank one and a body.
    fn post(lines: impl AsRef<[u8]>) -> Self {
        let start = b"POST {target} HTTP/1.1\r\nHost: api.good.test\r\n";
        Self([start, lines.as_ref()].concat())
    }

    /// As it is sent at a door.
    fn at(&self, door: Door) -> Vec<u8> {
        self.to(match door {
            Door::Proxy => "http://api.good.test/v1/items",
            Door::Tunnel => "/v1/items",
        })
    }

    /// As it is sent to this page of a listener.
    fn at_a_page(&self, listener: SocketAddr, path: &str) -> Vec<u8> {
        Self(self.to(path)).with("api.good.test", &listener.to_string())
    }

    fn to(&self, target: &str) -> Vec<u8> {
        self.with("{target}", target)
    }

    fn with(&self, marks: &str, text: &str) -> Vec<u8> {
        let at = self
            .0
            .windows(marks.len())
            .position(|it| it == marks.as_bytes());
        match at {
            Some(at) => {
                let (start, end) = (&self.0[..at], &self.0[at + marks.len()..]);
                [start, text.as_bytes(), end].concat()
            }
            None => self.0.clone(),
        }
    }
}

/// Each is refused so at both doors, first on its connection or behind a good request, and ends the connection: what
/// stands behind it is no request to anybody.
fn refused(expected: Refused, cases: impl IntoIterator<Item = Raw>) {
    let stage = Stage::usual();
    for case in cases {
        for door in Door::ALL {
            let bytes = case.at(door);
            stage.refuses_and_closes(door, &bytes, expected);
            behind_a_good_one(&stage, door, &bytes, expected);
        }
        let (tools, admin) = (stage.world.tools(), stage.world.admin());
        let bytes = case.at_a_page(tools, "/v1/actions/create_item");
        let page = "/v1/openapi.json";
        let records = stage.world.recorded();
        let code = at_a_listener((tools, page), &bytes, expected.0);
        assert_eq!(code, expected.1, "{:?}", shown(&bytes));
        let written = stage.world.records_behind(records, 2);
        assert_eq!(written.len(), 2, "{:?}", shown(&bytes));
        assert_eq!(written[1]["code"], expected.1, "{:?}", shown(&bytes));
        // Which has no body that it reads: where only that is wrong, the request is no page there.
        if !is_about_a_body(&bytes) {
            let bytes = case.at_a_page(admin, "/healthz");
            at_a_listener((admin, "/healthz"), &bytes, expected.0);
        }
    }
}

/// Whether the head is good.
fn is_about_a_body(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains("application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
}

/// Refused behind a good request, at a listener of exeat's own pages; the code of the refusal comes back.
fn at_a_listener((listener, page): (SocketAddr, &str), bytes: &[u8], status: u16) -> String {
    let good = format!("GET {page} HTTP/1.1\r\nHost: {listener}\r\n\r\n");
    let mut stream = TcpStream::connect(listener).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let _ = stream.write_all(&[good.as_bytes(), bytes, good.as_bytes()].concat());
    assert_eq!(read_answer(&mut stream, "GET").unwrap().status, 200);
    let shown = shown(bytes);
    let answer = read_answer(&mut stream, "POST").unwrap_or_else(|| panic!("silence: {shown:?}"));
    assert_eq!(answer.status, status, "{shown:?}: {answer:?}");
    assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
    assert_eq!(rest(&mut stream), "", "{shown:?}");
    answer.header("exeat-refusal").unwrap_or("none").to_owned()
}

/// As [`refused`], for lines behind the `Host` of a POST.
fn posts_refused(expected: Refused, lines: &[&str]) {
    refused(expected, lines.iter().map(Raw::post));
}

/// As [`posts_refused`], for lines of a head whose body is two bytes or an empty one in chunks, by what they say.
fn lines_refused(lines: &[&str]) {
    let whole = |it: &&str| {
        let body = match it.to_ascii_lowercase().contains("length") {
            true => "ab",
            false => "0\r\n\r\n",
        };
        Raw::post(format!("{it}\r\n\r\n{body}"))
    };
    refused(MALFORMED, lines.iter().map(whole));
}

fn behind_a_good_one(stage: &Stage, door: Door, bytes: &[u8], expected: Refused) {
    let shown = shown(bytes);
    let (records, seen) = (stage.world.recorded(), stage.seen().len());
    let mut stream = stage.open(door);
    let good = door.get("/v1/items/1");
    let _ = stream.write_all(&[&good, bytes, &good].concat());
    assert_eq!(read_answer(&mut stream, "GET").unwrap().status, 200);
    let answer = read_answer(&mut stream, "POST").unwrap_or_else(|| panic!("silence: {shown:?}"));
    let got = (answer.status, answer.refusal());
    assert_eq!(got, expected, "{door:?} {shown:?}: {answer:?}");
    assert_eq!(answer.header("connection"), Some("close"), "{shown:?}");
    assert_eq!(rest(&mut stream), "", "{shown:?}");
    assert_eq!(stage.seen().len(), seen + 1, "{shown:?}");
    assert_eq!(stage.world.records_behind(records, 2).len(), 2);
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}
