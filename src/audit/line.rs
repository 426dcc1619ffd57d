//! One record as one line of JSON. Nothing in a value can end the line or change how a terminal shows it.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::ser::Formatter;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::audit::ticket::{Event, Record, Steps};
use crate::name::{ActionName, AgentName, OutcomeName};
use crate::refusal::Code;
use crate::request::SessionId;

/// RFC 3339, in UTC, to the microsecond.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// Appends the line of a record. The fields stand in an order that does not change; a chain of hashes will take the
/// bytes as they are here.
pub(super) fn append(out: &mut Vec<u8>, record: &Record, seq: u64) {
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Inert);
    write(&mut serializer, record, seq).expect("text and numbers go into memory");
    out.push(b'\n');
}

fn write<S: Serializer>(serializer: S, record: &Record, seq: u64) -> Result<S::Ok, S::Error> {
    let mut line = serializer.serialize_map(None)?;
    write_identity(&mut line, record, seq)?;
    write_decision(&mut line, record)?;
    write_asked(&mut line, &record.steps)?;
    write_ending(&mut line, record)?;
    write_upstream(&mut line, record)?;
    write_connection(&mut line, &record.steps)?;
    write_prepared(&mut line, &record.steps)?;
    let redactions = record.steps.redactions;
    optional(
        &mut line,
        "redactions",
        (redactions > 0).then_some(redactions),
    )?;
    optional(&mut line, "detail", detail(&record.event))?;
    line.end()
}

fn write_identity<M: SerializeMap>(
    line: &mut M,
    record: &Record,
    seq: u64,
) -> Result<(), M::Error> {
    let time = record.time.format(TIME);
    line.serialize_entry("time", &time.expect("a time in UTC has every part"))?;
    line.serialize_entry("request_id", record.steps.request_id.as_str())?;
    line.serialize_entry("seq", &seq)?;
    if let Some(trace) = &record.steps.trace {
        line.serialize_entry("trace_id", &trace.trace_id())?;
        line.serialize_entry("span_id", &trace.span_id())?;
        optional(line, "parent_id", trace.parent_id())?;
    }
    let opened = matches!(record.event, Event::Opened).then_some("opened");
    optional(line, "event", opened)
}

fn write_decision<M: SerializeMap>(line: &mut M, record: &Record) -> Result<(), M::Error> {
    let steps = &record.steps;
    line.serialize_entry("policy_hash", &*steps.opening.policy_hash)?;
    line.serialize_entry("door", steps.opening.door.as_str())?;
    if let Some(caller) = &steps.caller {
        optional(line, "agent", caller.agent.as_ref().map(AgentName::as_str))?;
        optional(
            line,
            "session",
            caller.session.as_ref().map(SessionId::hash),
        )?;
        line.serialize_entry("environment", caller.environment.as_str())?;
    }
    optional(
        line,
        "action",
        steps.action.as_ref().map(ActionName::as_str),
    )?;
    line.serialize_entry("decision", record.decision())?;
    optional(line, "code", record.event.code().map(Code::as_str))
}

fn write_asked<M: SerializeMap>(line: &mut M, steps: &Steps) -> Result<(), M::Error> {
    if let Some(asked) = &steps.asked {
        line.serialize_entry("method", asked.method.as_str())?;
        line.serialize_entry("host", asked.destination.host.as_str())?;
        line.serialize_entry("port", &asked.destination.port)?;
    }
    if let Some(target) = &steps.target {
        line.serialize_entry("path", &*target.path)?;
        line.serialize_entry("query", &target.query)?;
    }
    Ok(())
}

fn write_ending<M: SerializeMap>(line: &mut M, record: &Record) -> Result<(), M::Error> {
    let outcome = record.steps.outcome.as_ref();
    optional(line, "outcome", outcome.map(OutcomeName::as_str))?;
    optional(line, "end", record.event.end())?;
    if let Event::Closed(ending) = &record.event {
        optional(line, "status", ending.status.map(|status| status.as_u16()))?;
        line.serialize_entry("bytes_in", &ending.bytes_in)?;
        line.serialize_entry("bytes_out", &ending.bytes_out)?;
    }
    line.serialize_entry("duration_ms", &milliseconds(record.duration))
}

/// The address of a dial that failed stands in the fault, since nothing was reached.
fn write_upstream<M: SerializeMap>(line: &mut M, record: &Record) -> Result<(), M::Error> {
    let Some(upstream) = &record.steps.upstream else {
        let dialled = record.event.fault().and_then(|fault| fault.address);
        return optional(line, "upstream_addr", dialled);
    };
    line.serialize_entry("upstream_addr", &upstream.address)?;
    line.serialize_entry("upstream_ms", &milliseconds(upstream.took))?;
    line.serialize_entry("retries", &upstream.retries)
}

fn write_connection<M: SerializeMap>(line: &mut M, steps: &Steps) -> Result<(), M::Error> {
    optional(line, "tls", steps.opening.tls)?;
    let version = steps.asked.as_ref().and_then(|asked| asked.version);
    optional(line, "http_version", version.map(|it| format!("{it:?}")))
}

fn write_prepared<M: SerializeMap>(line: &mut M, steps: &Steps) -> Result<(), M::Error> {
    let Some(prepared) = &steps.prepared else {
        return Ok(());
    };
    for (name, list) in [
        ("replaced", &prepared.replaced),
        ("dropped", &prepared.dropped),
    ] {
        optional(line, name, (!list.is_empty()).then_some(list))?;
    }
    optional(line, "body", prepared.unread.then_some("unread"))
}

fn detail(event: &Event) -> Option<&str> {
    match event {
        Event::Abandoned { panicked: true } => {
            Some("a task panicked; the log has the place, please report it")
        }
        _ => event.fault().map(|fault| fault.detail.as_str()),
    }
}

fn optional<M: SerializeMap>(
    line: &mut M,
    name: &'static str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => line.serialize_entry(name, &value),
        None => Ok(()),
    }
}

/// To the microsecond.
fn milliseconds(duration: Duration) -> f64 {
    let microseconds = u32::try_from(duration.as_micros());
    microseconds.map_or(duration.as_millis() as f64, |it| f64::from(it) / 1000.0)
}

/// Escapes what JSON lets through but readers trip over: DEL and C1 controls, which terminals obey, the separators
/// U+2028 and U+2029, which some take for line ends, and the marks that turn the direction of text.
struct Inert;

impl Formatter for Inert {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut plain = 0;
        for (at, character) in fragment.char_indices().filter(|(_, it)| is_odd(*it)) {
            writer.write_all(&fragment.as_bytes()[plain..at])?;
            write!(writer, "\\u{:04x}", u32::from(character))?;
            plain = at + character.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[plain..])
    }
}

fn is_odd(character: char) -> bool {
    matches!(
        character,
        '\u{7f}'..='\u{9f}'
            | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
    )
}
