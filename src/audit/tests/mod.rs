//! Behaviours of the record: what a line says, that there is exactly one, and what happens when nothing can be written.
//! The chain and its files have tests of their own.

mod anything;
mod chained;
mod odd_files;

use std::sync::mpsc as std_mpsc;
use std::time::Duration;

use http::{Method, StatusCode, Version};
use serde_json::{Value, json};

use super::*;
use crate::fault::{Fault, FaultKind};
use crate::name::{ActionName, AgentName, EnvironmentName, OutcomeName};
use crate::request::{Caller, Destination, Door, SessionId};

fn opening() -> Opening {
    Opening {
        door: Door::Proxy,
        policy_hash: "abcd".into(),
        tls: Some("1.3"),
    }
}

fn asked() -> Asked {
    Asked {
        method: Method::GET,
        destination: Destination::of_connect("api.good.test:443").unwrap(),
        version: Some(Version::HTTP_11),
    }
}

fn ending(end: End, status: u16) -> Ending {
    Ending {
        end,
        status: StatusCode::from_u16(status).ok(),
        bytes_in: 3,
        bytes_out: 5,
    }
}

fn caller() -> Caller {
    Caller {
        agent: AgentName::parse("support-bot").ok(),
        environment: EnvironmentName::parse("production").unwrap(),
        session: Some(SessionId::of_random([7; 16])),
    }
}

struct World {
    audit: Audit,
    memory: MemorySink,
    metrics: Arc<Metrics>,
}

impl World {
    fn new() -> Self {
        let metrics = Arc::new(Metrics::new());
        let (audit, memory) = Audit::to_memory(&metrics).unwrap();
        Self {
            audit,
            memory,
            metrics,
        }
    }

    async fn lines(&self) -> Vec<Value> {
        self.audit.flush().await;
        let lines = self.memory.lines();
        lines
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// Takes out what differs from run to run, after looking at its form.
fn settle(mut line: Value) -> Value {
    let fields = line.as_object_mut().unwrap();
    let time = fields.shift_remove("time").unwrap();
    let time = time.as_str().unwrap();
    assert_eq!(time.len(), "2026-11-20T07:46:52.123456Z".len(), "{time}");
    let id = fields.shift_remove("request_id").unwrap();
    assert_eq!(id.as_str().unwrap().len(), 26);
    assert!(fields.shift_remove("duration_ms").unwrap().is_f64());
    for name in ["prev_hash", "hash"] {
        let hash = fields.shift_remove(name).unwrap();
        assert!(Hash::parse(hash.as_str().unwrap().as_bytes()).is_some());
    }
    line
}

#[tokio::test]
async fn a_line_says_what_the_steps_knew() {
    let world = World::new();
    let mut ticket = world.audit.open(opening()).unwrap();
    ticket.known(&caller());
    ticket.asked(asked());
    ticket.targeted(Target {
        path: "/data".into(),
        query: vec!["q".into()],
    });
    ticket.selected(&ActionName::parse("get_weather").unwrap());
    ticket.prepared(Prepared {
        replaced: vec!["authorization".into()],
        dropped: vec!["x-debug".into()],
        unread: true,
    });
    ticket.reached(Upstream {
        address: "203.0.113.7:443".parse().unwrap(),
        took: Duration::from_micros(12_345),
        retries: 1,
    });
    ticket.concluded(&OutcomeName::parse("cached").unwrap());
    ticket.close(ending(End::Complete, 200));
    let lines = world.lines().await;
    assert_eq!(lines.len(), 1);
    assert_eq!(
        settle(lines[0].clone()),
        json!({"seq": 1, "policy_hash": "abcd", "door": "proxy", "agent": "support-bot",
            "session": "d761d406af2a4a5a", "environment": "production", "action": "get_weather",
            "decision": "allowed", "method": "GET", "outcome": "cached",
            "host": "api.good.test", "port": 443, "path": "/data", "query": ["q"], "end": "complete",
            "status": 200, "bytes_in": 3, "bytes_out": 5, "upstream_addr": "203.0.113.7:443",
            "upstream_ms": 12.345, "retries": 1, "tls": "1.3", "http_version": "HTTP/1.1",
            "replaced": ["authorization"], "dropped": ["x-debug"], "body": "unread"})
    );
}

#[tokio::test]
async fn what_is_unknown_is_left_out() {
    let world = World::new();
    let mut ticket = world.audit.open(opening()).unwrap();
    ticket.asked(asked());
    ticket.close(Ending {
        bytes_in: 3,
        ..Ending::refused(Code::HostUndeclared)
    });
    assert_eq!(
        settle(world.lines().await.remove(0)),
        json!({"seq": 1, "policy_hash": "abcd", "door": "proxy", "decision": "refused",
            "code": "host_undeclared", "method": "GET", "host": "api.good.test", "port": 443,
            "end": "refused", "status": 403, "bytes_in": 3, "bytes_out": 0, "tls": "1.3",
            "http_version": "HTTP/1.1"})
    );
}

#[tokio::test]
async fn an_end_has_its_words() {
    let world = World::new();
    let fault = |kind| Fault::new(kind, "the operator's words").at(([203, 0, 113, 7], 443).into());
    let cases = [
        (End::Complete, ["allowed", "complete", ""]),
        (End::Aborted, ["allowed", "aborted", ""]),
        (
            End::Truncated(fault(FaultKind::Malformed)),
            ["allowed", "truncated", "upstream_malformed"],
        ),
        (End::Withdrawn, ["allowed", "withdrawn", ""]),
        (End::Stopped, ["allowed", "stopped", ""]),
        (
            End::Refused(Code::TooLarge),
            ["refused", "refused", "too_large"],
        ),
        (
            End::Failed(fault(FaultKind::Timeout)),
            ["failed", "failed", "upstream_timeout"],
        ),
    ];
    for (end, _) in &cases {
        let ticket = world.audit.open(opening()).unwrap();
        ticket.close(ending(end.clone(), 200));
    }
    for (line, (end, words)) in world.lines().await.iter().zip(&cases) {
        let got = ["decision", "end", "code"].map(|name| line[name].as_str().unwrap_or(""));
        assert_eq!(&got, words);
        let broke = matches!(end, End::Truncated(_) | End::Failed(_));
        assert_eq!(line["detail"] == "the operator's words", broke);
        assert_eq!(line["upstream_addr"] == "203.0.113.7:443", broke);
    }
}

#[tokio::test]
async fn a_ticket_that_nobody_closes_is_abandoned() {
    let world = World::new();
    drop(world.audit.open(opening()).unwrap());
    let mut permitted = world.audit.open(opening()).unwrap();
    permitted.prepared(Prepared::default());
    drop(permitted);
    let ticket = world.audit.open(opening()).unwrap();
    let task = tokio::spawn(async move {
        let _ticket = ticket;
        panic!("on purpose");
    });
    assert!(task.await.unwrap_err().is_panic());
    let lines = world.lines().await;
    let words = lines
        .iter()
        .map(|line| ["decision", "end", "code"].map(|name| line[name].as_str().unwrap_or("")));
    assert_eq!(
        words.collect::<Vec<_>>(),
        [
            ["failed", "abandoned", ""],
            ["allowed", "abandoned", ""],
            ["failed", "abandoned", "internal"],
        ]
    );
    assert!(
        world
            .metrics
            .render(&[])
            .contains("exeat_requests_in_flight{door=\"proxy\"} 0")
    );
}

#[tokio::test]
async fn a_stream_has_a_line_at_its_beginning_and_one_at_its_end() {
    let world = World::new();
    let mut ticket = world.audit.open(opening()).unwrap();
    let id = ticket.request_id();
    ticket.prepared(Prepared::default());
    ticket.opened().unwrap();
    ticket.close(ending(End::Aborted, 101));
    let lines = world.lines().await;
    assert_eq!(lines.len(), 2);
    for (line, (event, end)) in lines.iter().zip([("opened", ""), ("", "aborted")]) {
        assert_eq!(line["request_id"], id.as_str());
        assert_eq!(line["event"].as_str().unwrap_or(""), event);
        assert_eq!(line["end"].as_str().unwrap_or(""), end);
    }
    assert!(world.metrics.render(&[]).contains("end=\"aborted\""));
}

#[tokio::test]
async fn no_value_can_forge_a_line() {
    let world = World::new();
    let evil = "/a\n{\"seq\":1}\r\0\u{1b}[2J\u{7f}\u{9b}\u{85}\u{2028}\u{2029}\u{202e}é\"\\";
    let mut ticket = world.audit.open(opening()).unwrap();
    ticket.targeted(Target {
        path: evil.into(),
        query: vec![evil.into()],
    });
    ticket.close(ending(End::Complete, 200));
    let parsed = world.lines().await;
    let lines = world.memory.lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(parsed[0]["path"], evil, "nothing is lost");
    let odd = lines[0]
        .chars()
        .find(|c| c.is_control() || (!c.is_ascii() && *c != 'é'));
    assert_eq!(odd, None, "{}", lines[0]);
}

fn few(when_blocked: WhenBlocked) -> Queue {
    Queue {
        places: 4,
        when_blocked,
    }
}

/// Takes nothing until it is told to, and then first fails.
struct Stuck {
    release: std_mpsc::Receiver<()>,
    failures: usize,
    memory: MemorySink,
}

impl Sink for Stuck {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // An error means that everything is released.
        let _ = self.release.recv();
        if self.failures > 0 {
            self.failures -= 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.memory.write(&bytes[..bytes.len().min(7)])
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_cannot_be_recorded_is_refused_and_nothing_is_lost() {
    let metrics = Arc::new(Metrics::new());
    let (release, stuck) = std_mpsc::channel();
    let memory = MemorySink::default();
    let sink = Stuck {
        release: stuck,
        failures: 1,
        memory: memory.clone(),
    };
    let audit = Audit::to(sink, few(WhenBlocked::Refuse), &metrics).unwrap();
    let mut open = Vec::new();
    let refusal = loop {
        match audit.open(opening()) {
            Ok(ticket) => open.push(ticket),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(open.len(), 4);
    assert_eq!(refusal.code, Code::Overloaded);
    assert_eq!(open[0].opened().unwrap_err().code, Code::Overloaded);
    let ids: Vec<String> = open.iter().map(|it| it.request_id().to_string()).collect();
    drop(open);
    drop(release);
    audit.flush().await;
    let lines = memory.lines();
    assert_eq!(lines.len(), 4);
    for (index, (line, id)) in lines.iter().zip(ids).enumerate() {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["seq"], index + 1);
        assert_eq!(line["request_id"], id);
    }
    assert!(
        metrics
            .render(&[])
            .contains("exeat_audit_write_errors_total 1")
    );
    assert!(metrics.render(&[]).contains("code=\"overloaded\""));
    assert!(audit.open(opening()).is_ok(), "places are free again");
}

#[tokio::test]
async fn what_may_be_lost_is_counted_and_the_next_line_says_so() {
    let metrics = Arc::new(Metrics::new());
    let (release, stuck) = std_mpsc::channel();
    let memory = MemorySink::default();
    let sink = Stuck {
        release: stuck,
        failures: 2,
        memory: memory.clone(),
    };
    let audit = Audit::to(sink, few(WhenBlocked::Drop), &metrics).unwrap();
    let mut open = Vec::new();
    for _ in 0..10 {
        open.push(audit.open(opening()).unwrap());
    }
    assert_eq!(audit.open_records(), 10);
    let last = open.len() - 1;
    open[last].opened().unwrap();
    // Those with a place come first, so that none is free when the others end.
    drop(open);
    drop(release);
    audit.close().await;
    let lines: Vec<Value> = memory
        .lines()
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let lost: u64 = lines.iter().filter_map(|it| it["lost"].as_u64()).sum();
    let told = lines.iter().find(|it| it["event"] == "lost").unwrap();
    assert_eq!(told.get("request_id"), None);
    let counted = format!("exeat_audit_lost_records_total {lost}\n");
    assert!(
        metrics.render(&[]).contains(&counted),
        "{}",
        metrics.render(&[])
    );
    let ends = lines.iter().filter(|it| it.get("end").is_some()).count();
    assert_eq!(ends as u64 + lost, 10 + 1, "{lines:#?}");
    assert!(
        lost > 1,
        "the queue and what the writer had taken hold eight"
    );
    assert_eq!(audit.open_records(), 0);
    assert_eq!(audit.head().seq, lines.len() as u64);
}

#[test]
fn identities_are_unique_and_tell_their_time_first() {
    let mut ids: Vec<String> = (0..100).map(|_| RequestId::new().to_string()).collect();
    assert!(
        ids.iter()
            .all(|id| id.len() == 26 && id[..4] == ids[0][..4])
    );
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 100);
}
