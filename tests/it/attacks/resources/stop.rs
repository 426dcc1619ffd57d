//! A stop with much under way.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::crowd;
use crate::stop::{ANSWER, Stage};
use crate::world::{Line, read_answer, read_head, rest};

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n:a\n\r\n";

/// A tunnel in which the first bytes have arrived.
fn tunnel(stage: &Stage, hello: &[u8]) -> (TcpStream, Line) {
    let mut stream = stage.started.connect();
    let connect = "CONNECT tls.good.test:443 HTTP/1.1\r\nHost: tls.good.test:443\r\n\r\n";
    stream.write_all(connect.as_bytes()).unwrap();
    assert_eq!(read_head(&mut stream).unwrap().status, 200);
    stream.write_all(hello).unwrap();
    let mut line = stage.tap.accept();
    assert!(!line.hear().is_empty());
    (stream, line)
}

/// 50 tunnels, 10 streams and 500 requests, none of which has ended.
struct Load {
    tunnels: Vec<(TcpStream, Line)>,
    streams: Vec<(TcpStream, Line)>,
    asked: Vec<(TcpStream, Line)>,
}

impl Load {
    fn on(stage: &Stage) -> Self {
        let hello = super::connections::hello("tls.good.test");
        let tunnels = (0..50).map(|_| tunnel(stage, &hello)).collect();
        let mut streams: Vec<_> = (0..10).map(|_| stage.asked()).collect();
        for (stream, line) in &mut streams {
            line.say(STREAM);
            assert_eq!(read_head(stream).unwrap().status, 200);
            stream.read_exact(&mut [0; 8]).unwrap();
        }
        Self {
            tunnels,
            streams,
            asked: (0..500).map(|_| stage.asked()).collect(),
        }
    }
}

/// The process has ended well; so many records have each end.
fn ended(stage: Stage) -> [usize; 3] {
    let (code, _, said) = stage.started.end();
    assert_eq!(code, Some(0), "{said}");
    let records = stage.desk.records("audit.jsonl");
    let records = records.iter().filter(|it| it["event"] != "opened");
    let ends: Vec<_> = records.map(|it| it["end"].clone()).collect();
    ["complete", "abandoned", "stopped"].map(|end| ends.iter().filter(|it| *it == end).count())
}

#[test]
fn l16_a_stop_under_load_lets_all_come_to_its_end() {
    let (_turn, _) = crowd(4_000);
    let stage = Stage::with(&["--drain", "1h"]);
    let mut load = Load::on(&stage);
    stage.stopping("-TERM");
    assert_eq!(stage.started.page("/readyz").status, 503);
    let mut closes = None;
    for (stream, line) in &mut load.asked {
        line.say(ANSWER);
        let answer = read_answer(stream, "GET").unwrap();
        assert_eq!(answer.status, 200);
        closes = answer.header("connection").map(str::to_owned);
    }
    // The first may have been written before their worker heard of the stop.
    assert_eq!(closes.as_deref(), Some("close"));
    // By now the listeners are gone.
    for listener in [stage.started.proxy, stage.started.tools] {
        assert!(TcpStream::connect(listener).is_err(), "{listener}");
    }
    for (stream, line) in &mut load.streams {
        line.say("0\r\n\r\n");
        assert_eq!(rest(stream), "0\r\n\r\n");
    }
    for (mut stream, line) in load.tunnels {
        drop(line);
        assert_eq!(rest(&mut stream), "");
    }
    assert_eq!(ended(stage), [560, 0, 0]);
}

#[test]
fn l16_a_stop_under_load_cuts_what_does_not_end() {
    let (_turn, _) = crowd(4_000);
    let stage = Stage::with(&["--drain", "100ms"]);
    let mut load = Load::on(&stage);
    stage.started.signal("-TERM");
    let all = load.tunnels.iter_mut().chain(&mut load.streams);
    for (stream, _) in all.chain(&mut load.asked) {
        let _ = rest(stream);
    }
    assert_eq!(ended(stage), [0, 500, 60]);
}
