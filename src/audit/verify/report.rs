//! What reading a chain has shown.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::audit::chain::Head;

/// Findings and notes that are kept, each; the rest is counted.
const MOST: usize = 100;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// As it was named.
    pub file: Arc<str>,
    /// From 1; 0 of what has no line.
    pub line: u64,
}

/// What is wrong with a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What.
    pub what: Break,
    /// The number of the line that should be there, where one is known.
    pub expected: Option<u64>,
}

/// The kinds of what can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    /// The line's hash is not that of its bytes.
    Changed,
    /// The line does not carry the hash of the line before: one of the two was written anew.
    Unchained,
    /// These numbers are not there.
    Missing {
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The chain goes on without this line.
    Inserted,
    /// The line stands elsewhere than it was written.
    Reordered,
    /// This number was there already.
    Duplicate,
    /// What stands there is not lines of exeat.
    Malformed {
        /// How many.
        lines: u64,
    },
    /// A start has recorded bytes that are not whole lines, and they are not there.
    TornGone,
    /// The file has a name of the chain's files, and no lines that can be read.
    Unread,
    /// The chain ends before a head that was kept.
    CutOff(Head),
    /// The line of a head that was kept has another hash.
    HeadReplaced(Head),
    /// The line of a head that was kept is not in these files.
    HeadNotHere(Head),
}

/// What is no tampering, and worth to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A process began although the one before had not said that it ends, with the line of this number.
    Unclean {
        /// The last line before.
        seq: u64,
    },
    /// A process was ended in the middle of these bytes; the next one has recorded them.
    Torn {
        /// With their line feeds.
        bytes: u64,
    },
    /// The last line has no end: it is being written, or its process was ended.
    Partial {
        /// So far.
        bytes: u64,
    },
    /// A chain begins although one was there: of a process that did not know of it. Nothing says what came behind the
    /// last line before.
    NewChain {
        /// The last line before.
        seq: u64,
    },
}

/// All that there is to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Lines that were read, whatever they are.
    pub lines: u64,
    /// Terminal records among them.
    pub records: u64,
    /// Chains that begin there: more than one where processes did not know of each other.
    pub chains: u64,
    /// Processes that began to write.
    pub starts: u64,
    /// Records that processes have said they lost.
    pub lost: u64,
    /// The number of the first line.
    pub first: Option<u64>,
    /// The last line.
    pub head: Option<Head>,
    /// The time of the last line.
    pub time: String,
    /// Whether the last process has not said that it ends: it is running, or was ended.
    pub is_running: bool,
    /// The first of the findings.
    pub findings: Vec<Finding>,
    /// How many there are.
    pub finding_count: u64,
    /// The first of the notes.
    pub notes: Vec<(Place, Note)>,
    /// How many there are.
    pub note_count: u64,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            file: "".into(),
            line: 0,
        }
    }
}

impl Report {
    pub(super) fn find(&mut self, finding: Finding) {
        self.finding_count += 1;
        if self.findings.len() < MOST {
            self.findings.push(finding);
        }
    }

    pub(super) fn note(&mut self, place: Place, note: Note) {
        self.note_count += 1;
        if self.notes.len() < MOST {
            self.notes.push((place, note));
        }
    }

    /// Whether the chain is whole, as far as it goes.
    pub fn is_good(&self) -> bool {
        self.finding_count == 0
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        let findings = self.findings.iter().map(|it| {
            json!({
                "file": *it.place.file, "line": it.place.line, "kind": it.what.word(), "expected_seq": it.expected,
                "message": it.what.to_string(),
            })
        });
        let notes = self.notes.iter().map(|(place, note)| {
            json!({"file": *place.file, "line": place.line, "kind": note.word(), "message": note.to_string()})
        });
        json!({
            "good": self.is_good(), "lines": self.lines, "records": self.records, "chains": self.chains,
            "starts": self.starts, "lost": self.lost, "first_seq": self.first,
            "head": self.head.map(|head| json!({"seq": head.seq, "hash": head.hash.as_str()})),
            "stopped": !self.is_running,
            "findings": findings.collect::<Vec<_>>(), "finding_count": self.finding_count,
            "notes": notes.collect::<Vec<_>>(), "note_count": self.note_count,
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 if self.file.is_empty() => f.write_str("the chain"),
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.what.word(), self.what)?;
        match (self.expected, self.place.line) {
            (Some(expected), 1..) => write!(f, " (seq {expected} belongs here)"),
            _ => Ok(()),
        }
    }
}

impl Break {
    /// One word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Unchained => "unchained",
            Self::Missing { .. } => "missing",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Duplicate => "duplicate",
            Self::Malformed { .. } => "malformed",
            Self::TornGone => "torn_gone",
            Self::Unread => "unread",
            Self::CutOff(_) => "cut_off",
            Self::HeadReplaced(_) => "head_replaced",
            Self::HeadNotHere(_) => "head_not_here",
        }
    }
}

impl fmt::Display for Break {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed => f.write_str("the hash is not that of the line's bytes"),
            Self::Unchained => f.write_str(
                "prev_hash is not the hash of the line before: one of the two was written anew",
            ),
            Self::Missing { from, to } if from == to => write!(f, "seq {from} is not there"),
            Self::Missing { from, to } => write!(f, "seq {from} to {to} are not there"),
            Self::Inserted => f.write_str("the chain goes on without this line"),
            Self::Reordered => f.write_str("the line was written at another place"),
            Self::Duplicate => f.write_str("a line of this seq was there already"),
            Self::Malformed { lines: 1 } => f.write_str("this is not a line of exeat"),
            Self::Malformed { lines } => {
                write!(
                    f,
                    "this and the lines up to {lines} on are not lines of exeat"
                )
            }
            Self::TornGone => {
                f.write_str("the torn bytes that this start has recorded are not before it")
            }
            Self::Unread => f.write_str("it holds no line that can be read, and is not compressed"),
            Self::CutOff(head) => {
                write!(
                    f,
                    "it ends before seq {}, which was there when {head} was kept",
                    head.seq
                )
            }
            Self::HeadReplaced(head) => {
                write!(
                    f,
                    "seq {} has another hash than when {head} was kept",
                    head.seq
                )
            }
            Self::HeadNotHere(head) => {
                write!(
                    f,
                    "seq {} is not in these files; name those that hold it",
                    head.seq
                )
            }
        }
    }
}

impl Note {
    /// One word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unclean { .. } => "unclean_end",
            Self::Torn { .. } => "torn",
            Self::Partial { .. } => "partial",
            Self::NewChain { .. } => "new_chain",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclean { seq } => {
                write!(
                    f,
                    "the process before did not end by itself; its last line is seq {seq}"
                )
            }
            Self::Torn { bytes } => write!(
                f,
                "a process was ended in the middle of a line, and the next one has recorded it ({bytes} bytes)"
            ),
            Self::Partial { bytes } => write!(
                f,
                "the last line has no end ({bytes} bytes): it is being written, or its process was ended"
            ),
            Self::NewChain { seq } => write!(
                f,
                "new chain: a process began at 1 again, without regard to the lines before, of which the last is seq {seq}"
            ),
        }
    }
}
