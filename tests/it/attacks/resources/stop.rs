//! A stop with much under way.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::crowd;
use crate::world::{Desk, Line, Started, Tap, read_answer, read_head, rest};

const GET: &str = "GET http://api.good.test/item HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:a\n\r\n";

/// A process, with what its clients have under way.
struct Stage {
    desk: Desk,
    tap: Tap,
    started: Started,
}

impl Stage {
    fn new() -> Self {
        let tap = Tap::new();
        let port = tap.address().port();
        let policy = format!(
            "version: 1
actions:
  get_item: {{description: Returns one item., method: GET, url: \"http://api.good.test/item\", allow_http: true, stream: true}}
tunnels:
  packages: {{hosts: [tls.good.test], ports: [443]}}
network:
  allow_private:
    - {{host: api.good.test, addresses: [127.0.0.1/32], port: {port}}}
    - {{host: tls.good.test, addresses: [127.0.0.1/32], port: {port}}}
"
        );
        let desk = Desk::with(&policy);
        let hosts = ["api", "tls"].map(|it| format!("{it}.good.test={}", tap.address()));
        let to = ["--audit", "audit.jsonl", "--drain", "1s"];
        let hosts = ["--host", &*hosts[0], "--host", &*hosts[1]];
        let started = Started::on(&desk, &[to, hosts].concat());
        Self { desk, tap, started }
    }

    /// A request that has reached its server.
    fn asked(&self) -> (TcpStream, Line) {
        let mut stream = self.started.connect();
        stream.write_all(GET.as_bytes()).unwrap();
        let mut line = self.tap.accept();
        line.head();
        (stream, line)
    }

    /// A tunnel in which the first bytes have arrived.
    fn tunnel(&self, hello: &[u8]) -> (TcpStream, Line) {
        let mut stream = self.started.connect();
        let connect = "CONNECT tls.good.test:443 HTTP/1.1\r\nHost: tls.good.test:443\r\n\r\n";
        stream.write_all(connect.as_bytes()).unwrap();
        assert_eq!(read_head(&mut stream).unwrap().status, 200);
        stream.write_all(hello).unwrap();
        let mut line = self.tap.accept();
        assert!(!line.hear().is_empty());
        (stream, line)
    }
}

#[test]
fn l16_a_stop_under_load_lets_end_what_ends_and_cuts_the_rest() {
    let (_turn, _) = crowd(4_000);
    let stage = Stage::new();
    let hello = super::connections::hello("tls.good.test");
    let mut tunnels: Vec<_> = (0..50).map(|_| stage.tunnel(&hello)).collect();
    let mut streams: Vec<_> = (0..10).map(|_| stage.asked()).collect();
    for (stream, line) in &mut streams {
        line.say(STREAM);
        assert_eq!(read_head(stream).unwrap().status, 200);
        stream.read_exact(&mut [0; 8]).unwrap();
    }
    let mut asked: Vec<_> = (0..500).map(|_| stage.asked()).collect();
    let mut cut = asked.split_off(400);
    stage.started.signal("-TERM");
    stage.started.ready("stopping", |it| it["stopping"] == true);
    assert_eq!(stage.started.page("/readyz").status, 503);
    // A worker closes its listener's side before it answers anything more.
    for (_, line) in &mut asked {
        line.say(ANSWER);
    }
    for (stream, _) in &mut asked {
        let answer = read_answer(stream, "GET").unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for listener in [stage.started.proxy, stage.started.tools] {
        assert!(TcpStream::connect(listener).is_err(), "{listener}");
    }
    // Nobody answers these.
    for (stream, _) in cut.iter_mut().chain(&mut tunnels).chain(&mut streams) {
        let _ = rest(stream);
    }
    let (code, _, said) = stage.started.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("cut off"), "{said}");
    let records = stage.desk.records("audit.jsonl");
    let count = |end: &str| records.iter().filter(|it| it["end"] == end).count();
    let ends = ["complete", "abandoned", "stopped"].map(count);
    assert_eq!(ends, [400, 100, 60]);
}
