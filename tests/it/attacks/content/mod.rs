//! Group E: paths, queries, headers and bodies that two readers could read in two ways.

mod bodies;
mod json;
mod paths;
mod queries;
mod schemas;

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::stage::{Door, POLICY, Stage};
use crate::world::{Plan, Revision, read_answer};

/// What is refused, and how.
type Refused = (u16, &'static str);

const NOT_CANONICAL: Refused = (400, "path_not_canonical");
const UNDECLARED_ACTION: Refused = (403, "action_undeclared");
const MALFORMED: Refused = (400, "request_malformed");
const INVALID: Refused = (403, "parameter_invalid");
const UNDECLARED: Refused = (403, "parameter_undeclared");
const MISSING: Refused = (400, "parameter_missing");
const TWICE: Refused = (400, "parameter_duplicate");
const UNREADABLE: Refused = (400, "body_unexpected");
const TYPE: Refused = (415, "content_type_refused");
const TOO_LARGE: Refused = (413, "too_large");

/// The policy of the rows, with more actions.
fn stage_with(actions: &str) -> Stage {
    Stage::of(Plan::of(&format!("{POLICY}{actions}")))
}

/// A GET of each is refused so: in the clear, in a tunnel, and there in HTTP/2 as well.
fn gets_refused(stage: &Stage, expected: Refused, paths: &[&str]) {
    for path in paths {
        for door in Door::ALL {
            stage.refuses(door, &door.get(path), expected);
        }
        let before = Outside::of(stage);
        let answer = stage.world.client().http2("api.good.test", path, &[]);
        assert_eq!(answer.status(), expected.0, "HTTP/2 {path}");
        before.one_refusal_more(stage, expected.1);
    }
}

/// A GET of each is treated as a GET of the canonical one, in the same ways.
fn gets_same(stage: &Stage, canonical: &str, paths: &[&str]) {
    for path in paths {
        for door in Door::ALL {
            stage.same(door, &door.get(path), &door.get(canonical));
        }
        let (records, seen) = (stage.world.recorded(), stage.good.seen().len());
        let mut answer = stage.world.client().http2("api.good.test", path, &[]);
        assert_eq!(answer.status(), 200, "HTTP/2 {path}");
        while answer.next().is_some() {}
        stage.world.records(records + 1);
        let came = stage.good.seen();
        assert_eq!(came.len(), seen + 1, "HTTP/2 {path}");
        assert_eq!(came[seen], came[seen - 1], "HTTP/2 {path}");
    }
}

/// A call of an action is refused so by every tool door, and nothing leaves.
fn calls_refused(stage: &Stage, action: &str, expected: Refused, parameters: &[Value]) {
    for given in parameters {
        let body = serde_json::json!({ "parameters": given }).to_string();
        call_refused(stage, action, expected, body.as_bytes());
        let before = Outside::of(stage);
        let mut web = stage.world.web(Revision::Stateless, "x");
        let answer = web.call(action, given.clone());
        stage.keep(answer.to_string().as_bytes());
        let error = &answer["result"]["structuredContent"]["error"];
        assert_eq!(error["code"], expected.1, "{given}: {answer}");
        before.one_refusal_more(stage, expected.1);
    }
}

/// Exact bytes as the body of a call.
fn call_refused(stage: &Stage, action: &str, expected: Refused, body: &[u8]) {
    let kind = "Content-Type: application/json\r\n";
    call_refused_with(stage, (action, kind), expected, body);
}

fn call_refused_with(stage: &Stage, call: (&str, &str), expected: Refused, body: &[u8]) {
    let before = Outside::of(stage);
    let (tools, (action, lines)) = (stage.world.tools(), call);
    let mut stream = TcpStream::connect(tools).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    let length = body.len();
    let head = format!(
        "POST /v1/actions/{action} HTTP/1.1\r\nHost: {tools}\r\n{lines}Content-Length: {length}\r\n\r\n"
    );
    let _ = stream.write_all(&[head.as_bytes(), body].concat());
    let answer = read_answer(&mut stream, "POST").unwrap();
    stage.keep(&answer.body);
    let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    let got = (answer.status, answer.refusal());
    assert_eq!(got, expected, "{action} {lines:?} {shown}: {answer:?}");
    before.one_refusal_more(stage, expected.1);
}

/// What had left when a call began.
struct Outside {
    records: usize,
    lookups: usize,
    dials: usize,
    fetched: usize,
}

impl Outside {
    fn of(stage: &Stage) -> Self {
        let world = &stage.world;
        Self {
            records: world.recorded(),
            lookups: world.lookups().len(),
            dials: world.dials().len(),
            fetched: world.fetched().len(),
        }
    }

    fn one_refusal_more(&self, stage: &Stage, code: &str) {
        let records = stage.world.records_behind(self.records, 1);
        let now = Self::of(stage);
        assert_eq!(records.len(), 1, "{records:#?}");
        assert_eq!(records[0]["code"], code);
        assert_eq!(now.lookups, self.lookups, "DNS questions");
        assert_eq!(now.dials, self.dials, "dials");
        assert_eq!(now.fetched, self.fetched, "secrets fetched");
    }
}
