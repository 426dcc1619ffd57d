//! How exeat stops: what is let in no more, what may come to its end, what is cut, and what is written down.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::{Desk, Line, Plan, Started, Tap, json_reply, read_answer, read_head, rest};

/// Cleartext, so that a test can play the server itself; at an address that the settings give.
fn policy(tap: &Tap) -> String {
    let port = tap.address().port();
    format!(
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
    )
}

const GET: &str = "GET http://api.good.test/item HTTP/1.1\r\nHost: api.good.test\r\n\r\n";
pub const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// A process whose server is played by the test.
pub struct Stage {
    pub desk: Desk,
    pub tap: Tap,
    pub started: Started,
}

impl Stage {
    pub fn with(arguments: &[&str]) -> Self {
        let tap = Tap::new();
        let desk = Desk::with(&policy(&tap));
        let hosts = ["api", "tls"].map(|it| format!("{it}.good.test={}", tap.address()));
        let mut all = vec![
            "--audit",
            "audit.jsonl",
            "--host",
            &hosts[0],
            "--host",
            &hosts[1],
        ];
        all.extend(arguments);
        let started = Started::on(&desk, &all);
        Self { desk, tap, started }
    }

    /// A request that has reached its server and has no answer yet.
    pub fn asked(&self) -> (TcpStream, Line) {
        let mut stream = self.started.connect();
        stream.write_all(GET.as_bytes()).unwrap();
        let mut line = self.tap.accept();
        line.head();
        (stream, line)
    }

    /// Told to stop, and heard.
    pub fn stopping(&self, signal: &str) {
        self.started.signal(signal);
        self.started.ready("stopping", |it| it["stopping"] == true);
    }
}

#[test]
fn what_has_begun_comes_to_its_end_and_nothing_begins() {
    let stage = Stage::with(&["--drain", "1h"]);
    // One that is kept by its client, after an answer.
    let (mut idle, mut line) = stage.asked();
    line.say(ANSWER);
    let answer = read_answer(&mut idle, "GET").unwrap();
    assert_eq!(answer.header("connection"), None);
    drop(line);
    let (mut asked, mut line) = stage.asked();
    stage.stopping("-TERM");
    let page = stage.started.page("/readyz");
    assert_eq!(page.status, 503);
    assert_eq!(
        (&page.json()["ready"], &page.json()["stopping"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(stage.started.page("/healthz").status, 200);
    assert_eq!(rest(&mut idle), "");
    // Once the kept one is closed nothing is accepted: the listener is gone.
    for listener in [stage.started.proxy, stage.started.tools] {
        assert!(TcpStream::connect(listener).is_err(), "{listener}");
    }
    line.say(ANSWER);
    let answer = read_answer(&mut asked, "GET").unwrap();
    assert_eq!((answer.status, answer.text()), (200, "{}"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert_eq!(rest(&mut asked), "");
    let (code, out, said) = stage.started.end();
    assert_eq!((code, out.as_str(), said.as_str()), (Some(0), "", ""));
    let records = stage.desk.records("audit.jsonl");
    assert_eq!(records.len(), 2);
    assert!(
        records.iter().all(|it| it["end"] == "complete"),
        "{records:#?}"
    );
}

#[test]
fn an_answer_that_is_a_stream_ends_its_connection_when_it_ends() {
    let stage = Stage::with(&["--drain", "1h"]);
    let (mut asked, mut line) = stage.asked();
    line.say("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    assert_eq!(read_head(&mut asked).unwrap().header("connection"), None);
    stage.stopping("-INT");
    line.say("cd");
    assert_eq!(rest(&mut asked), "abcd");
    assert_eq!(stage.started.end().0, Some(0));
}

#[test]
fn what_has_not_ended_in_time_is_cut_and_says_so() {
    let stage = Stage::with(&["--drain", "100ms"]);
    let (mut asked, _line) = stage.asked();
    let (mut stream, mut streaming) = stage.asked();
    streaming.say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
    read_head(&mut stream).unwrap();
    stream.read_exact(&mut [0; 2]).unwrap();
    let mut tunnel = stage.started.connect();
    tunnel
        .write_all(b"CONNECT tls.good.test:443 HTTP/1.1\r\nHost: tls.good.test:443\r\n\r\n")
        .unwrap();
    read_head(&mut tunnel).unwrap();
    tunnel.write_all(&hello("tls.good.test")).unwrap();
    let mut far = stage.tap.accept();
    assert!(!far.hear().is_empty());
    stage.started.signal("-TERM");
    assert_eq!(
        rest(&mut asked) + &rest(&mut stream) + &rest(&mut tunnel),
        ""
    );
    let (code, _, said) = stage.started.end();
    assert_eq!(code, Some(0));
    assert!(said.contains("cut off"), "{said}");
    let records = stage.desk.records("audit.jsonl");
    let mut ends: Vec<&str> = records.iter().filter_map(|it| it["end"].as_str()).collect();
    ends.sort_unstable();
    assert_eq!(ends, ["abandoned", "stopped", "stopped"], "{records:#?}");
}

#[test]
fn what_has_not_ended_in_time_is_cut_also_while_nobody_reads_the_log() {
    let mut stage = Stage::with(&["--drain", "100ms"]);
    let (mut asked, _line) = stage.asked();
    stage.started.stall_log();
    stage.started.signal("-TERM");
    assert_eq!(rest(&mut asked), "");
    let mut output = stage.started.output();
    // Ends with the process, while the log is still full.
    output.read_to_end(&mut Vec::new()).unwrap();
    let records = stage.desk.records("audit.jsonl");
    assert_eq!(records[0]["end"], "abandoned");
    assert_eq!(stage.started.end().0, Some(0));
}

#[test]
fn a_log_that_is_closed_ends_nothing() {
    let desk = Desk::with(&policy(&Tap::new()));
    let free = ["--proxy-listen", "--tools-listen", "--admin-listen"];
    let free = free.map(|it| [it, "127.0.0.1:0"]).concat();
    let mut child = desk
        .command(&["run", "--audit", "audit.jsonl", "--drain", "0s"])
        .args(free)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    let deadline = Instant::now() + Duration::from_secs(20);
    let has_begun = || std::fs::read_to_string(desk.path("audit.jsonl"));
    while !has_begun().is_ok_and(|it| it.contains("started")) {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// The first message of TLS.
fn hello(name: &str) -> Vec<u8> {
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut session = rustls::ClientConnection::new(config.into(), name).unwrap();
    let mut bytes = Vec::new();
    session.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_second_signal_stops_at_once() {
    for (first, second, expected) in [
        ("-TERM", "-TERM", 143),
        ("-TERM", "-INT", 130),
        ("-INT", "-INT", 130),
    ] {
        let stage = Stage::with(&["--drain", "1h"]);
        let (mut asked, _line) = stage.asked();
        stage.stopping(first);
        stage.started.signal(second);
        assert_eq!(rest(&mut asked), "");
        assert_eq!(stage.started.end().0, Some(expected));
        let records = stage.desk.records("audit.jsonl");
        assert_eq!(records.len(), 1);
        assert_eq!(records[0]["end"], "abandoned");
    }
}

#[test]
fn during_the_delay_of_a_stop_everything_but_readiness_is_as_before() {
    let stage = Stage::with(&["--stop-delay", "1h"]);
    stage.stopping("-TERM");
    assert_eq!(stage.started.page("/readyz").status, 503);
    let (mut asked, mut line) = stage.asked();
    line.say(ANSWER);
    let answer = read_answer(&mut asked, "GET").unwrap();
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    // A reload is no stop, and not done any more.
    stage.started.signal("-HUP");
    assert_eq!(stage.started.page("/readyz").json()["reload"], json!(null));
    stage.started.signal("-TERM");
    assert_eq!(stage.started.end().0, Some(143));
}

#[test]
fn a_connection_that_was_made_for_a_request_gets_its_answer() {
    let stage = Stage::with(&["--drain", "1h"]);
    let mut fresh = stage.started.connect();
    let (mut asked, mut line) = stage.asked();
    stage.stopping("-TERM");
    fresh.write_all(GET.as_bytes()).unwrap();
    let mut second = stage.tap.accept();
    second.head();
    second.say(ANSWER);
    let answer = read_answer(&mut fresh, "GET").unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    line.say(ANSWER);
    assert_eq!(read_answer(&mut asked, "GET").unwrap().status, 200);
    assert_eq!(stage.started.end().0, Some(0));
}

#[test]
fn calls_of_tools_come_to_their_end_as_well() {
    let stage = Stage::with(&["--drain", "1h"]);
    let mut idle = TcpStream::connect(stage.started.tools).unwrap();
    let list = format!(
        "GET /v1/actions HTTP/1.1\r\nHost: {}\r\n\r\n",
        stage.started.tools
    );
    idle.write_all(list.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut idle, "GET").unwrap().status, 200);
    let mut stream = TcpStream::connect(stage.started.tools).unwrap();
    let call = format!(
        "POST /v1/actions/get_item HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
        stage.started.tools
    );
    stream.write_all(call.as_bytes()).unwrap();
    let mut line = stage.tap.accept();
    line.head();
    stage.stopping("-TERM");
    assert_eq!(rest(&mut idle), "");
    line.say(ANSWER);
    let answer = read_answer(&mut stream, "POST").unwrap();
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    assert_eq!(stage.started.end().0, Some(0));
}

/// What clients of MCP leave open for as long as they are there holds nothing up.
#[test]
fn event_streams_of_mcp_end_when_a_stop_begins() {
    for revision in crate::world::Revision::ALL {
        let policy = "version: 1\nactions: {a: {description: Does something., method: GET, url: \"https://a.good.test/\"}}\n";
        let mut world = Plan::of(policy).drain(Duration::from_secs(3600)).start();
        let mut web = world.web(revision, "");
        let mut events = web.listen();
        if revision == crate::world::Revision::Stateless {
            events.next();
        }
        let _ = web;
        world.stop();
        events.end();
    }
}

#[test]
fn an_idle_tunnel_of_ours_is_closed_and_one_with_a_request_waits_for_it() {
    let mut world = Plan::of(crate::world::POLICY)
        .drain(Duration::from_secs(3600))
        .start();
    world.origin("api.good.test", |_| json_reply("{}"));
    let mut tunnel = world.client().tunnel("api.good.test");
    tunnel
        .write_all(b"GET /v1/items/1 HTTP/1.1\r\nHost: api.good.test\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut tunnel, "GET").unwrap().status, 200);
    let records = world.last_records();
    assert_eq!(rest(&mut tunnel), "");
    assert_eq!(records.len(), 1);
    assert_eq!(records[0]["end"], "complete");
}
