//! Group L: what a client could use up, with thousands of connections.
//!
//! Where memory or descriptors are judged exeat is a process of its own. Bounds are those of `docs/settings.md`, with a
//! factor of safety, since these processes are not built as a release is.

mod connections;
mod panics;
mod rates;
mod sinks;
mod slow;
mod stop;
mod tables;
mod waiting;

use std::io::{BufReader, Read, Result, Write};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::world::{
    Answer, Desk, Memory, Origin, Started, json_reply, plain_origin_apart, read_answer,
};

const MIB: usize = 1024 * 1024;

/// What an idle connection may take of memory, after the documentation and twice.
const IDLE: usize = 2 * 16 * 1024;

/// What a process may take beside, whatever is done to it: buffers of threads, code that was never run before, pages
/// that the allocator keeps.
const BESIDE: usize = 32 * MIB;

/// Held by a test with thousands of sockets: one after another, so that this process can open them.
static CROWD: Mutex<()> = Mutex::new(());

/// Room for so many sockets, or for half of what this process may open.
fn crowd(most: usize) -> (MutexGuard<'static, ()>, usize) {
    let turn = CROWD.lock().unwrap_or_else(PoisonError::into_inner);
    exeat::app::raise_file_limit();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let half = limit.current.map_or(usize::MAX, |it| it as usize / 2);
    (turn, most.min(half))
}

/// A process, and its server.
struct Apart {
    desk: Desk,
    started: Started,
    _origin: Origin,
}

impl Apart {
    fn with(reply: Vec<u8>, arguments: &[&str]) -> Self {
        let (origin, desk) = Self::prepared(reply);
        let hosts = Self::hosts(&origin);
        let mut all: Vec<&str> = hosts.iter().map(String::as_str).collect();
        all.extend(arguments);
        let started = Started::on(&desk, &all);
        Self {
            desk,
            started,
            _origin: origin,
        }
    }

    /// With no more than so many descriptors.
    fn with_descriptors(number: usize) -> Self {
        let (origin, desk) = Self::prepared(json_reply("{}"));
        let hosts = Self::hosts(&origin);
        let all: Vec<&str> = hosts.iter().map(String::as_str).collect();
        let started = Started::by(desk.through_shell(&format!("ulimit -n {number}")), &all);
        Self {
            desk,
            started,
            _origin: origin,
        }
    }

    fn prepared(reply: Vec<u8>) -> (Origin, Desk) {
        let origin = plain_origin_apart(reply);
        let port = origin.address().port();
        let policy = format!(
            "version: 1
actions:
  get_item:
    description: Returns one item.
    method: GET
    url: http://api.good.test/item
    allow_http: true
    max_response_bytes: 1GiB
  over_tls: {{description: Is there as well., method: GET, url: \"https://tls.good.test/item\"}}
network:
  allow_private:
    - {{host: api.good.test, addresses: [127.0.0.1/32], port: {port}}}
    - {{host: tls.good.test, addresses: [127.0.0.1/32], port: {port}}}
"
        );
        (origin, Desk::with(&policy))
    }

    fn hosts(origin: &Origin) -> [String; 6] {
        let to = |host: &str| format!("{host}.good.test={}", origin.address());
        let [host, audit] = ["--host", "--audit"].map(str::to_owned);
        [
            host.clone(),
            to("api"),
            host,
            to("tls"),
            audit,
            "audit.jsonl".into(),
        ]
    }

    /// A request on a connection of its own.
    fn get(&self) -> Answer {
        self.started.get(ITEM)
    }

    /// A request on a connection that was there before.
    fn get_on(stream: &mut TcpStream) -> Answer {
        let get = format!("GET {ITEM} HTTP/1.1\r\nHost: api.good.test\r\n\r\n");
        stream.write_all(get.as_bytes()).unwrap();
        read_answer(stream, "GET").unwrap()
    }

    /// How many connections of the proxy are open.
    fn open(&self) -> usize {
        self.started.figure("exeat_connections_open", "proxy") as usize
    }

    /// How many connections there have been, with those that were turned away.
    fn arrived(&self) -> usize {
        let of = |name: &str| self.started.figure(name, "proxy") as usize;
        of("exeat_connections_accepted_total") + of("exeat_connections_closed_unread_total")
    }

    /// Is as it was when nothing had happened: whole, serving, and not grown by more than it may.
    fn is_well_after(&self, before: Memory, growth: usize) {
        let after = self.started.memory();
        let grown = after.most.saturating_sub(before.most);
        assert!(
            grown <= growth + BESIDE,
            "grown by {} MiB of {} MiB: {before:?} {after:?}",
            grown / MIB,
            (growth + BESIDE) / MIB
        );
        until("few connections are open", || self.open() <= 1);
        assert_eq!(self.get().status, 200);
        assert_eq!(self.started.page("/healthz").status, 200);
    }
}

const ITEM: &str = "http://api.good.test/item";

/// A connection on which many answers are read.
struct Busy(BufReader<TcpStream>);

impl Busy {
    fn on(stream: TcpStream) -> Self {
        Self(BufReader::new(stream))
    }

    /// Sends so many requests at once and reads what comes for them: statuses, until there are no more answers.
    fn ask(&mut self, requests: &[String]) -> Vec<u16> {
        // The connection may end before all are sent.
        let _ = self.write_all(requests.concat().as_bytes());
        let answers = requests.iter().map_while(|_| read_answer(self, "GET"));
        answers.map(|it| it.status).collect()
    }
}

impl Read for Busy {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        self.0.read(into)
    }
}

impl Write for Busy {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.0.get_mut().write(bytes)
    }

    fn flush(&mut self) -> Result<()> {
        self.0.get_mut().flush()
    }
}

/// Looks again and again until it is so.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}
