//! The world that the rows assume, what is sent into it, and what must come out on every side.

use std::cell::RefCell;
use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpStream};

use exeat::scrub::Forms;
use exeat::secret::Secret;
use rustls::{ClientConnection, StreamOwned};
use serde_json::Value;

use crate::world::{
    Answer, Origin, Plan, SECRETS, Seen, Stream, World, json_reply, read_answer, rest,
};

/// The policy of the rows: the usual one, with streams, WebSockets and a host with `*.`.
pub const POLICY: &str = concat!(
    include_str!("../world/policy.yaml"),
    r#"  stream:
    description: Tells what happens.
    method: GET
    url: https://api.good.test/v1/stream
    auth: good
    stream: true
  ws:
    description: Talks both ways.
    method: GET
    url: https://api.good.test/v1/ws
    auth: good
    upgrade: websocket
  wild:
    description: Returns a public file.
    method: GET
    url: https://*.wild.test/pub/{{f}}
    parameters:
      properties: {f: {type: string, pattern: "^[a-z]+$"}}
      required: [f]
"#
);

/// Where bytes of HTTP/1 can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// The proxy listener, with targets in absolute-form.
    Proxy,
    /// A tunnel that is intercepted, with targets in origin-form.
    Tunnel,
}

impl Door {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Proxy, Self::Tunnel];

    /// A request as it is sent here. `lines` are headers with their line ends, without `Host`.
    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of a request, in the order in which they are sent"
    )]
    pub fn request(self, method: &str, host: &str, path: &str, lines: &str, body: &str) -> Vec<u8> {
        let origin = match self {
            Self::Proxy => format!("http://{host}"),
            Self::Tunnel => String::new(),
        };
        let head = format!("{method} {origin}{path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
        (head + body).into_bytes()
    }

    /// A GET from `api.good.test`.
    pub fn get(self, path: &str) -> Vec<u8> {
        self.request("GET", "api.good.test", path, "", "")
    }

    /// A POST of JSON to `create_item`.
    pub fn post(self, body: &str) -> Vec<u8> {
        let length = body.len();
        let lines = format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        self.request("POST", "api.good.test", "/v1/items", &lines, body)
    }
}

/// A connection of a client, in cleartext or inside a tunnel.
pub trait Line: Stream {
    /// Says that nothing more comes.
    fn finish(&mut self);
}

impl Line for TcpStream {
    fn finish(&mut self) {
        let _ = self.shutdown(Shutdown::Write);
    }
}

impl Line for StreamOwned<ClientConnection, TcpStream> {
    fn finish(&mut self) {
        self.conn.send_close_notify();
        let _ = self.flush();
        self.sock.finish();
    }
}

/// The world with its origins, and every byte that a client has read in it.
pub struct Stage {
    pub world: World,
    pub good: Origin,
    pub two: Origin,
    pub wild: Origin,
    read: RefCell<Vec<u8>>,
}

impl Stage {
    /// The usual one: every origin answers `{}`.
    pub fn usual() -> Self {
        Self::of(Plan::of(POLICY))
    }

    /// A world that is not the usual one, with the usual origins.
    pub fn of(plan: Plan) -> Self {
        let world = plan.start();
        let origin = |host: &str| world.origin(host, |_| json_reply("{}"));
        Self {
            good: origin("api.good.test"),
            two: origin("api.two.test"),
            wild: origin("a.wild.test"),
            read: RefCell::default(),
            world,
        }
    }

    /// A connection to this door; inside a tunnel it is one to `api.good.test`.
    pub fn open(&self, door: Door) -> Box<dyn Line> {
        match door {
            Door::Proxy => Box::new(self.world.client().connect()),
            Door::Tunnel => Box::new(self.world.client().tunnel("api.good.test")),
        }
    }

    /// Bytes that are refused so: nothing is asked, dialled, fetched or sent, one record says why. What follows the
    /// refusal until the connection ends comes back.
    pub fn refuses(&self, door: Door, sent: &[u8], expected: (u16, &str)) -> String {
        let case = shown(door, sent);
        let before = Before::of(self);
        let mut stream = self.open(door);
        // The refusal may come before the last byte could be written.
        let _ = stream.write_all(sent);
        let answer = self.answer(&mut stream, method(sent));
        let answer = answer.unwrap_or_else(|| panic!("silence: {case}"));
        let got = (answer.status, answer.refusal());
        assert_eq!(got, expected, "{case}: {answer:?}");
        stream.finish();
        let behind = rest(&mut stream);
        self.keep(behind.as_bytes());
        let record = before.one_more(self, &case);
        assert_eq!(record["code"], expected.1, "{case}: {record}");
        before.assert_nothing_left(self, &case);
        behind
    }

    /// Bytes that are refused so, and the connection ends with it: what is behind them is no request.
    pub fn refuses_and_closes(&self, door: Door, sent: &[u8], expected: (u16, &str)) {
        let behind = [sent, &door.get("/v1/items/behind")].concat();
        let case = shown(door, sent);
        assert_eq!(self.refuses(door, &behind, expected), "", "{case}");
    }

    /// The one record of something that asks, dials, fetches and sends nothing.
    pub fn records_alone(&self, case: &str, act: impl FnOnce()) -> Value {
        let before = Before::of(self);
        act();
        let record = before.one_more(self, case);
        before.assert_nothing_left(self, case);
        record
    }

    /// Comes back when what was done has its record, so that the next one is of what is done next.
    pub fn recorded(&self, act: impl FnOnce()) -> Value {
        let before = self.world.recorded();
        act();
        self.world.records_behind(before, 1).remove(0)
    }

    /// Bytes that are answered with 200: what came to an origin, and the record.
    pub fn serves(&self, door: Door, sent: &[u8]) -> (Seen, Value) {
        let case = shown(door, sent);
        let (before, seen) = (Before::of(self), self.seen().len());
        let mut stream = self.open(door);
        stream.write_all(sent).unwrap();
        let answer = self.answer(&mut stream, method(sent));
        let answer = answer.unwrap_or_else(|| panic!("silence: {case}"));
        assert_eq!(answer.status, 200, "{case}: {answer:?}");
        stream.finish();
        self.keep(rest(&mut stream).as_bytes());
        let record = before.one_more(self, &case);
        let mut came = self.seen().split_off(seen);
        assert_eq!(came.len(), 1, "{case}: {came:#?}");
        (came.remove(0), record)
    }

    /// Bytes that are treated exactly as others: an origin sees the same, and the record says the same.
    pub fn same(&self, door: Door, sent: &[u8], canonical: &[u8]) {
        let case = shown(door, sent);
        let (seen, record) = self.serves(door, sent);
        let (expected, its_record) = self.serves(door, canonical);
        assert_eq!(seen, expected, "{case}");
        for field in [
            "action",
            "host",
            "method",
            "status",
            "decision",
            "code",
            "parameters",
        ] {
            assert_eq!(record[field], its_record[field], "{case}: {field}");
        }
    }

    /// What came to any of the origins, host by host.
    pub fn seen(&self) -> Vec<Seen> {
        [&self.good, &self.two, &self.wild]
            .iter()
            .flat_map(|it| it.seen())
            .collect()
    }

    /// An answer; its bytes are searched for secrets in the end.
    pub fn answer(&self, stream: &mut dyn Stream, method: &str) -> Option<Answer> {
        let answer = read_answer(stream, method)?;
        self.keep(answer.head.as_bytes());
        self.keep(&answer.body);
        Some(answer)
    }

    /// Bytes that a client has read.
    pub fn keep(&self, bytes: &[u8]) {
        self.read.borrow_mut().extend_from_slice(bytes);
    }
}

/// Whatever happened, no secret came out in any form.
impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let records = self.world.last_records();
        let secrets = SECRETS.map(|(_, value)| Secret::new(value.as_bytes().to_vec()).unwrap());
        let forms = Forms::of(&secrets);
        for record in records {
            let record = record.to_string();
            assert!(!forms.stand_in(record.as_bytes()), "{record}");
        }
        let read = self.read.borrow();
        let shown = String::from_utf8_lossy(&read);
        assert!(!forms.stand_in(&read), "{shown}");
    }
}

/// What there was before something was sent.
struct Before {
    records: usize,
    lookups: usize,
    dials: Vec<SocketAddr>,
    fetched: usize,
    seen: usize,
}

impl Before {
    fn of(stage: &Stage) -> Self {
        let world = &stage.world;
        Self {
            records: world.recorded(),
            lookups: world.lookups().len(),
            dials: world.dials(),
            fetched: world.fetched().len(),
            seen: stage.seen().len(),
        }
    }

    /// The one record that was written since.
    fn one_more(&self, stage: &Stage, case: &str) -> Value {
        let mut records = stage.world.records_behind(self.records, 1);
        assert_eq!(records.len(), 1, "{case}: {records:#?}");
        records.remove(0)
    }

    fn assert_nothing_left(&self, stage: &Stage, case: &str) {
        let world = &stage.world;
        assert_eq!(world.lookups().len(), self.lookups, "{case}: DNS questions");
        assert_eq!(world.dials(), self.dials, "{case}: dials");
        assert_eq!(
            world.fetched().len(),
            self.fetched,
            "{case}: secrets fetched"
        );
        assert_eq!(
            stage.seen().len(),
            self.seen,
            "{case}: requests at an origin"
        );
    }
}

fn method(sent: &[u8]) -> &str {
    let word = sent.split(|it| *it == b' ').next().unwrap();
    std::str::from_utf8(word).unwrap_or("GET")
}

fn shown(door: Door, sent: &[u8]) -> String {
    let start = String::from_utf8_lossy(&sent[..sent.len().min(300)]).into_owned();
    format!("{door:?} {start:?}")
}
