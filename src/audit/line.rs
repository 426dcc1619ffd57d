//! One line of JSON in the chain: a record, or an event of the writer. Nothing in a value can end the line or change
//! how a terminal shows it.
//!
//! It is written straight into the bytes that leave, once for each request: see `benches/audit.rs`.

use std::borrow::Cow;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use http::Version;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::audit::PolicyRefused;
use crate::audit::chain;
use crate::audit::chain::{Head, Torn};
use crate::audit::quote::{are_plain, quote};
use crate::audit::ticket::{Event, Record, Steps};
use crate::name::{ActionName, AgentName, OutcomeName};
use crate::redact::MARK;
use crate::refusal::Code;
use crate::request::SessionId;

/// What a line tells.
pub(super) enum Entry<'a> {
    /// Of a request.
    Record(&'a Record),
    /// Of a policy that was not put in force.
    PolicyRefused(&'a PolicyRefused),
    /// This process begins to write, behind these bytes that are not whole lines.
    Started(Option<Torn>),
    /// It ends.
    Stopped,
    /// So many records were not written.
    Lost(u64),
}

/// Writes lines, one behind the other.
pub(super) struct Pen {
    head: Head,
    second: i64,
    /// RFC 3339 up to the point behind the second, which most lines share with the one before.
    stamp: String,
}

/// The most bytes of a line before its hash. Readers look for lines in windows of 64 KiB first, and whoever collects
/// logs cuts lines somewhere; what is not made to be long has a tenth of this.
const MOST_BYTES: usize = 32 * 1024;

/// How much of a record its line has: less where it would be too long.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    All,
    NoValues,
    NoLists,
    /// Texts that the client or the server made have so many characters.
    Short,
}

/// Of a text that is cut; at worst each is written in twelve.
const SHORT: usize = 512;

/// RFC 3339, in UTC; the microseconds follow.
const SECOND: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].");

impl Pen {
    pub(super) fn behind(head: Head) -> Self {
        Self {
            head,
            second: i64::MIN,
            stamp: String::new(),
        }
    }

    /// The newest line that was written.
    pub(super) fn head(&self) -> Head {
        self.head
    }

    /// Appends one line. The fields stand in an order that does not change.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, entry: &Entry<'_>) {
        let start = out.len();
        for share in [Share::All, Share::NoValues, Share::NoLists, Share::Short] {
            out.truncate(start);
            self.write(out, entry, share);
            if out.len() - start <= MOST_BYTES {
                break;
            }
        }
        let seq = self.head.seq + 1;
        let hash = chain::seal(out, start);
        self.head = Head { seq, hash };
    }

    fn write(&mut self, out: &mut Vec<u8>, entry: &Entry<'_>, share: Share) {
        let mut line = Line(out);
        self.write_time(&mut line, entry);
        if let Entry::Record(record) = entry {
            line.plain("request_id", record.steps.request_id.as_str());
        }
        line.number("seq", self.head.seq + 1);
        line.plain("prev_hash", self.head.hash.as_str());
        match entry {
            Entry::Record(record) => write_record(&mut line, record, share),
            Entry::PolicyRefused(refused) => write_policy_refused(&mut line, refused),
            Entry::Started(torn) => write_start(&mut line, torn.as_ref()),
            Entry::Stopped => line.plain("event", "stopped"),
            Entry::Lost(count) => {
                line.plain("event", "lost");
                line.number("lost", *count);
            }
        }
    }

    fn write_time(&mut self, line: &mut Line<'_>, entry: &Entry<'_>) {
        let time = match entry {
            Entry::Record(record) => record.time,
            _ => OffsetDateTime::now_utc(),
        };
        if self.second != time.unix_timestamp() {
            self.second = time.unix_timestamp();
            let stamp = time.format(SECOND);
            self.stamp = stamp.expect("a time in UTC has every part");
        }
        line.0.extend_from_slice(b"{\"time\":\"");
        line.0.extend_from_slice(self.stamp.as_bytes());
        line.padded::<6>(time.microsecond());
        line.0.extend_from_slice(b"Z\"");
    }
}

fn write_start(line: &mut Line<'_>, torn: Option<&Torn>) {
    line.plain("event", "started");
    line.plain("version", env!("CARGO_PKG_VERSION"));
    if let Some(torn) = torn {
        line.number("torn", torn.bytes);
        line.plain("torn_hash", torn.hash.as_str());
    }
}

/// Names in a policy may be as long as its files: their beginning is enough to find them.
fn write_policy_refused(line: &mut Line<'_>, refused: &PolicyRefused) {
    line.plain("event", "policy_refused");
    line.text("policy_hash", &refused.in_force);
    line.number("problems", refused.problems as u64);
    line.text("detail", &shortened(&refused.first, Share::Short));
}

fn write_record(line: &mut Line<'_>, record: &Record, share: Share) {
    if let Some(trace) = &record.steps.trace {
        line.plain("trace_id", &trace.trace_id());
        line.plain("span_id", &trace.span_id());
        line.optional("parent_id", trace.parent_id().as_deref());
    }
    if matches!(record.event, Event::Opened) {
        line.plain("event", "opened");
    }
    write_decision(line, record);
    write_asked(line, &record.steps, share);
    write_ending(line, record);
    write_upstream(line, record);
    write_connection(line, &record.steps);
    write_prepared(line, &record.steps, share);
    if let Some(hash) = &record.steps.unparsed {
        line.plain("body", "unparsed");
        line.plain("body_sha256", hash.as_str());
    }
    if record.steps.redactions > 0 {
        line.number("redactions", record.steps.redactions);
    }
    let detail = detail(&record.event).map(|it| shortened(it, share));
    line.optional("detail", detail.as_deref());
    let left_out = left_out(record, share);
    if !left_out.is_empty() {
        line.list("left_out", &left_out);
    }
}

/// What the line of this share lacks, all or in part.
fn left_out(record: &Record, share: Share) -> Vec<&'static str> {
    let steps = &record.steps;
    let given = steps.given.as_deref();
    let prepared = steps.prepared.as_ref();
    let has_values = given.is_some_and(|it| it.values.is_some());
    let has_replaced = prepared.is_some_and(|it| !it.replaced.is_empty());
    let has_dropped = prepared.is_some_and(|it| !it.dropped.is_empty());
    let fields = [
        ("values", Share::NoValues, has_values),
        ("parameters", Share::NoLists, given.is_some()),
        ("query", Share::NoLists, steps.target.is_some()),
        ("replaced", Share::NoLists, has_replaced),
        ("dropped", Share::NoLists, has_dropped),
        ("method", Share::Short, steps.asked.is_some()),
        ("path", Share::Short, steps.target.is_some()),
        ("detail", Share::Short, detail(&record.event).is_some()),
    ];
    let lacks = fields
        .iter()
        .filter(|(_, at, is_there)| *is_there && share >= *at);
    lacks.map(|(name, _, _)| *name).collect()
}

fn shortened(text: &str, share: Share) -> Cow<'_, str> {
    match text.char_indices().nth(SHORT) {
        Some((at, _)) if share == Share::Short => format!("{}…", &text[..at]).into(),
        _ => text.into(),
    }
}

fn write_decision(line: &mut Line<'_>, record: &Record) {
    let steps = &record.steps;
    line.text("policy_hash", &steps.opening.policy_hash);
    line.plain("door", steps.opening.door.as_str());
    if let Some(caller) = &steps.caller {
        line.optional("agent", caller.agent.as_ref().map(AgentName::as_str));
        let session = caller.session.as_ref().map(SessionId::hash);
        line.optional("session", session.as_deref());
        line.text("environment", caller.environment.as_str());
    }
    line.optional("action", steps.action.as_ref().map(ActionName::as_str));
    line.plain("decision", record.decision());
    line.optional("code", record.event.code().map(Code::as_str));
}

fn write_asked(line: &mut Line<'_>, steps: &Steps, share: Share) {
    if let Some(asked) = &steps.asked {
        line.text("method", &shortened(asked.method.as_str(), share));
        let host = asked.destination.host.as_str();
        line.text("host", if steps.hides_host { MARK } else { host });
        line.number("port", u64::from(asked.destination.port));
    }
    if let Some(target) = &steps.target {
        line.text("path", &shortened(&target.path, share));
        if share < Share::NoLists {
            line.list("query", &target.query);
        }
    }
    if let Some(given) = &steps.given {
        if share < Share::NoLists {
            line.list("parameters", &given.names);
        }
        if let Some(values) = given.values.as_ref().filter(|_| share < Share::NoValues) {
            line.name("values");
            write_members(line.0, values);
        }
    }
}

fn write_members(out: &mut Vec<u8>, members: &Map<String, Value>) {
    out.push(b'{');
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        quote(out, name);
        out.push(b':');
        write_value(out, value);
    }
    out.push(b'}');
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Object(members) => write_members(out, members),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::String(text) => quote(out, text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            write!(out, "{value}").expect("a vector takes every byte");
        }
    }
}

fn write_ending(line: &mut Line<'_>, record: &Record) {
    let outcome = record.steps.outcome.as_ref();
    line.optional("outcome", outcome.map(OutcomeName::as_str));
    line.optional("end", record.event.end());
    match &record.event {
        Event::Closed(ending) => {
            if let Some(status) = ending.status {
                line.number("status", u64::from(status.as_u16()));
            }
            line.number("bytes_in", ending.bytes_in);
            line.number("bytes_out", ending.bytes_out);
        }
        // Nothing has gone out.
        Event::Abandoned { .. } => line.number("bytes_in", record.steps.received()),
        Event::Opened => {}
    }
    line.milliseconds("duration_ms", record.duration);
}

/// The address of a dial that failed stands in the fault, since nothing was reached.
fn write_upstream(line: &mut Line<'_>, record: &Record) {
    let Some(upstream) = &record.steps.upstream else {
        if let Some(dialled) = record.event.fault().and_then(|fault| fault.address) {
            line.address("upstream_addr", dialled);
        }
        return;
    };
    line.address("upstream_addr", upstream.address);
    line.milliseconds("upstream_ms", upstream.took);
    line.number("retries", u64::from(upstream.retries));
}

fn write_connection(line: &mut Line<'_>, steps: &Steps) {
    line.optional("tls", steps.opening.tls);
    let version = steps.asked.as_ref().and_then(|asked| asked.version);
    line.optional("http_version", version.map(version_in_words));
}

fn version_in_words(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_11 => "HTTP/1.1",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "unknown",
    }
}

fn write_prepared(line: &mut Line<'_>, steps: &Steps, share: Share) {
    let Some(prepared) = &steps.prepared else {
        return;
    };
    for (name, list) in [
        ("replaced", &prepared.replaced),
        ("dropped", &prepared.dropped),
    ] {
        if !list.is_empty() && share < Share::NoLists {
            line.list(name, list);
        }
    }
    line.optional("body", prepared.unread.then_some("unread"));
}

fn detail(event: &Event) -> Option<&str> {
    match event {
        Event::Abandoned { panicked: true } => {
            Some("a task panicked; the log has the place, please report it")
        }
        _ => event.fault().map(|fault| fault.detail.as_str()),
    }
}

/// The bytes of a line whose object is open. Names of fields are ours and need no escape.
struct Line<'a>(&'a mut Vec<u8>);

impl Line<'_> {
    fn name(&mut self, name: &str) {
        self.0.extend_from_slice(b",\"");
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b"\":");
    }

    /// A text of our own, which has nothing to escape.
    fn plain(&mut self, name: &str, value: &str) {
        debug_assert!(are_plain(value), "{value}");
        self.name(name);
        self.0.push(b'"');
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'"');
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        quote(self.0, value);
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    fn list(&mut self, name: &str, values: &[impl AsRef<str>]) {
        self.name(name);
        self.0.push(b'[');
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            quote(self.0, value.as_ref());
        }
        self.0.push(b']');
    }

    fn number(&mut self, name: &str, value: u64) {
        self.name(name);
        self.digits(value);
    }

    fn digits(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = digit(value);
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[start..]);
    }

    /// So many digits, with noughts in front.
    fn padded<const COUNT: usize>(&mut self, mut value: u32) {
        let mut digits = [0; COUNT];
        for place in digits.iter_mut().rev() {
            *place = digit(u64::from(value));
            value /= 10;
        }
        self.0.extend_from_slice(&digits);
    }

    /// To the microsecond, with a point and no needless noughts.
    fn milliseconds(&mut self, name: &str, duration: Duration) {
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.number(name, microseconds / 1000);
        let rest = microseconds % 1000;
        self.0.push(b'.');
        let digits = [rest / 100, rest / 10 % 10, rest % 10];
        let last = digits.iter().rposition(|digit| *digit > 0).unwrap_or(0);
        self.0.extend(digits[..=last].iter().copied().map(digit));
    }

    fn address(&mut self, name: &str, address: SocketAddr) {
        self.name(name);
        self.0.push(b'"');
        match address {
            SocketAddr::V4(address) => {
                for (octet, end) in address.ip().octets().into_iter().zip(*b"...:") {
                    self.digits(u64::from(octet));
                    self.0.push(end);
                }
                self.digits(u64::from(address.port()));
            }
            SocketAddr::V6(address) => {
                write!(self.0, "{address}").expect("a vector takes every byte");
            }
        }
        self.0.push(b'"');
    }
}

/// The last digit of a number.
fn digit(value: u64) -> u8 {
    b"0123456789"[(value % 10) as usize]
}
