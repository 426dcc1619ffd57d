//! `exeat audit show`: records as a table for people, or those that somebody looks for as lines.

use std::collections::VecDeque;
use std::io::BufRead;
use std::time::Duration;

use clap::Args;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Time};

use crate::app::Age;
use crate::audit::harmless;
use crate::audit::read::Lines;
use crate::cli::audit::{Which, files, is_stdin, open};
use crate::cli::{Verdict, say, say_or_end};

#[derive(Args)]
pub(super) struct Show {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    asked: Asked,
    /// The newest so many of those that fit [default: 200 in a table, all with --json]
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// The lines themselves, for programs
    #[arg(long)]
    json: bool,
}

/// What somebody looks for; all of it must fit.
#[derive(Args)]
struct Asked {
    /// The request of this id, as the agent was told
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// What this agent asked for
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// In this session, by the hash of the record
    #[arg(long, value_name = "HASH")]
    session: Option<String>,
    /// Of this action
    #[arg(long, value_name = "NAME")]
    action: Option<String>,
    /// With this code
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    /// Decided so: allowed, refused or failed
    #[arg(long, value_parser = ["allowed", "refused", "failed"])]
    decision: Option<String>,
    /// To this host
    #[arg(long = "to-host", value_name = "NAME")]
    host: Option<String>,
    /// Not before: a time (RFC 3339), a date, or an age such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<OffsetDateTime>,
    /// Not after
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<OffsetDateTime>,
}

const ROWS: usize = 200;

impl Show {
    pub(super) fn run(self) -> anyhow::Result<Verdict> {
        let path = self.which.path()?;
        let all = match is_stdin(&path) {
            true => vec![path],
            false => files(&path)?.files,
        };
        let most = match self.json {
            true => self.lines,
            false => Some(self.lines.unwrap_or(ROWS)),
        };
        let mut found = Found {
            most,
            rows: VecDeque::new(),
            left_out: 0,
            odd: 0,
        };
        for file in &all {
            if !found.read(open(file)?, &self.asked)? {
                return Ok(Verdict::Good);
            }
        }
        match self.json {
            true => print_lines(&found.rows)?,
            false => print_table(&found.rows, found.left_out)?,
        }
        if found.odd > 0 {
            let odd = found.odd;
            eprintln!("exeat: {odd} lines are not records; `exeat audit verify` tells which");
        }
        Ok(Verdict::Good)
    }
}

/// A record and its line.
type Row = (Map<String, Value>, Vec<u8>);

/// The newest of the records that fit.
struct Found {
    /// So many are kept. Where all are wanted they are printed as they are read.
    most: Option<usize>,
    rows: VecDeque<Row>,
    left_out: usize,
    odd: usize,
}

impl Found {
    /// Whether there is still somebody who reads.
    fn read(&mut self, source: Box<dyn BufRead>, asked: &Asked) -> anyhow::Result<bool> {
        let mut lines = Lines::of(source);
        while let Some(piece) = lines.read()? {
            match serde_json::from_slice(piece.bytes) {
                Ok(Value::Object(record)) if asked.fits(&record) => {
                    if !self.take((record, piece.bytes.to_vec()))? {
                        return Ok(false);
                    }
                }
                Ok(Value::Object(_)) => {}
                _ => self.odd += 1,
            }
        }
        Ok(true)
    }

    fn take(&mut self, row: Row) -> anyhow::Result<bool> {
        let Some(most) = self.most else {
            return say_or_end(harmless(&String::from_utf8_lossy(&row.1)));
        };
        self.rows.push_back(row);
        if self.rows.len() > most {
            self.rows.pop_front();
            self.left_out += 1;
        }
        Ok(true)
    }
}

impl Asked {
    fn fits(&self, record: &Map<String, Value>) -> bool {
        let fields = [
            ("request_id", &self.request_id),
            ("agent", &self.agent),
            ("session", &self.session),
            ("action", &self.action),
            ("code", &self.code),
            ("decision", &self.decision),
            ("host", &self.host),
        ];
        let is_so = |(name, wanted): &(&str, &Option<String>)| {
            let found = record.get(*name).and_then(Value::as_str);
            wanted.is_none() || wanted.as_deref() == found
        };
        fields.iter().all(is_so) && self.is_in_time(record)
    }

    fn is_in_time(&self, record: &Map<String, Value>) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let time = record.get("time").and_then(Value::as_str);
        let time = time.and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok());
        time.is_some_and(|time| {
            self.since.is_none_or(|since| time >= since)
                && self.until.is_none_or(|until| time <= until)
        })
    }
}

fn print_lines(found: &VecDeque<Row>) -> anyhow::Result<()> {
    for (_, line) in found {
        if !say_or_end(harmless(&String::from_utf8_lossy(line)))? {
            break;
        }
    }
    Ok(())
}

fn print_table(found: &VecDeque<Row>, left_out: usize) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header([
        "TIME", "REQUEST", "AGENT", "DOOR", "ACTION", "DECISION", "CODE", "END", "STATUS", "MS",
        "WHAT",
    ]);
    table.add_rows(found.iter().map(|(record, _)| row(record)));
    if left_out > 0 {
        say(format_args!(
            "{left_out} earlier ones are left out; -n says how many are shown"
        ))?;
    }
    match found.is_empty() {
        true => say("there is no such record"),
        false => say(table.trim_fmt()),
    }
}

fn row(record: &Map<String, Value>) -> [String; 11] {
    let cell = |name: &str| match record.get(name) {
        None => String::new(),
        Some(Value::String(text)) => harmless(text).into_owned(),
        Some(other) => harmless(&other.to_string()).into_owned(),
    };
    let end = match record.contains_key("event") {
        true => cell("event"),
        false => cell("end"),
    };
    [
        cell("time"),
        cell("request_id"),
        cell("agent"),
        cell("door"),
        cell("action"),
        cell("decision"),
        cell("code"),
        end,
        cell("status"),
        cell("duration_ms"),
        what(&cell),
    ]
}

/// Method, host, port and path, as far as they are there; of what is no request, its details.
fn what(cell: &impl Fn(&str) -> String) -> String {
    let (method, host, path) = (cell("method"), cell("host"), cell("path"));
    match host.is_empty() {
        true if method.is_empty() => cell("detail"),
        true => method,
        false => format!("{method} {host}:{}{path}", cell("port")),
    }
}

/// A point of time as people write it.
fn moment(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time);
    }
    if let Ok(date) = Date::parse(text, format_description!("[year]-[month]-[day]")) {
        return Ok(date.with_time(Time::MIDNIGHT).assume_utc());
    }
    let age = text.parse().map(|Age(age): Age| age);
    let before = age
        .ok()
        .and_then(|age| OffsetDateTime::now_utc().checked_sub(signed(age)?));
    before
        .ok_or_else(|| "write 2026-11-20T10:15:00Z, 2026-11-20 (UTC), or an age such as 2h".into())
}

fn signed(age: Duration) -> Option<time::Duration> {
    age.try_into().ok()
}
