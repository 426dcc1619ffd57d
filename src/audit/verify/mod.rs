//! Whether a chain of lines is whole: read once from its beginning to its end, line by line, with the memory of two.
//!
//! What was changed, removed, added or moved is a [`Finding`]. A line that a process was ended in the middle of is none
//! where the next process has recorded it.

mod report;

use std::io;
use std::io::BufRead;
use std::sync::Arc;

use serde::de::IgnoredAny;

use crate::audit::chain::{Hash, Head, Mark, Sealed, Torn};
use crate::audit::past::BEGINNING;
use crate::audit::read::{LONGEST_LINE, Lines};

pub use report::{Break, Finding, Note, Place, Report};

/// Reads lines and tells what is wrong with them.
pub struct Verifier {
    expected: Vec<Head>,
    /// Numbers of the expected ones that were there with another hash.
    replaced: Vec<u64>,
    waiting: Option<Item>,
    last: Option<Head>,
    /// The first number of the chain that is read.
    first: u64,
    /// The line before was not what it should be, so that its hash says nothing of this one.
    loose: bool,
    /// A line that was told of already.
    excused: Option<Head>,
    missing: Vec<(u64, u64)>,
    /// The first lines of chains.
    begun: Vec<Hash>,
    junk: Junk,
    running: bool,
    report: Report,
}

/// A line, and what is known of it.
struct Item {
    place: Place,
    /// Of what is no line, with its line feed; not of one that is too long.
    bytes: Vec<u8>,
    /// How many there are.
    length: u64,
    line: Option<Sealed>,
}

/// What stands between two whole lines.
#[derive(Default)]
struct Junk {
    place: Option<Place>,
    lines: u64,
    /// As far as it can be what a start has recorded.
    bytes: Vec<u8>,
    /// How many there are.
    length: u64,
}

/// Gaps and beginnings that are remembered, to tell lines that were moved from lines that were doubled.
const MOST_GAPS: usize = 1000;

/// Lines that a start may record as torn: the one in which a process was ended, and the first one of the next, if that
/// was ended in it. More of them are lines that somebody has spoilt before a start.
const MOST_TORN: u64 = 2;

impl Verifier {
    /// With heads that somebody has kept, which the chain must contain.
    pub fn expecting(expected: Vec<Head>) -> Self {
        Self {
            expected,
            replaced: Vec::new(),
            waiting: None,
            last: None,
            first: 0,
            loose: false,
            excused: None,
            missing: Vec::new(),
            begun: Vec::new(),
            junk: Junk::default(),
            running: false,
            report: Report::default(),
        }
    }

    /// Reads one file, which goes on where the one before ended.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&mut self, name: &str, source: impl BufRead) -> io::Result<()> {
        let file: Arc<str> = name.into();
        let mut lines = Lines::of(source);
        let mut number = 0;
        while let Some(piece) = lines.read()? {
            number += 1;
            let line = Sealed::read(piece.bytes);
            let feed: &[u8] = if piece.ended { b"\n" } else { b"" };
            let is_kept = line.is_none() && piece.length <= LONGEST_LINE as u64;
            let item = Item {
                place: Place {
                    file: file.clone(),
                    line: number,
                },
                bytes: match is_kept {
                    true => [piece.bytes, feed].concat(),
                    false => Vec::new(),
                },
                length: piece.length,
                line,
            };
            if let Some(before) = self.waiting.take() {
                self.judge(before, Some(&item));
            }
            self.waiting = Some(item);
        }
        Ok(())
    }

    /// There is a file of the chain that holds no lines that can be read.
    pub fn unread(&mut self, name: &str) {
        let place = Place {
            file: name.into(),
            line: 0,
        };
        self.report.find(Finding {
            place,
            what: Break::Unread,
            expected: None,
        });
    }

    /// What there is to tell, after the last file.
    pub fn finish(mut self) -> Report {
        if let Some(last) = self.waiting.take() {
            self.judge(last, None);
        }
        let junk = std::mem::take(&mut self.junk);
        if let Some(place) = junk.place {
            let (bytes, length) = (&junk.bytes, junk.length);
            let is_torn = bytes.len() as u64 == length && !bytes.contains(&b'\n');
            if is_torn && junk.lines == 1 && !holds_line(bytes) {
                self.report.note(place, Note::Partial { bytes: length });
            } else {
                self.find(place, Break::Malformed { lines: junk.lines });
            }
        }
        self.report.head = self.last;
        self.report.is_running = self.running;
        self.look_for_expected();
        self.report
    }

    fn look_for_expected(&mut self) {
        let end = self.report.head.map_or(0, |head| head.seq);
        for head in std::mem::take(&mut self.expected) {
            let what = match self.replaced.contains(&head.seq) {
                true => Break::HeadReplaced(head),
                false if head.seq > end => Break::CutOff(head),
                false => Break::HeadNotHere(head),
            };
            self.find(Place::default(), what);
        }
    }

    fn judge(&mut self, item: Item, next: Option<&Item>) {
        self.report.lines += 1;
        let Some(line) = item.line else {
            let junk = &mut self.junk;
            junk.place.get_or_insert(item.place);
            junk.lines += 1;
            junk.length += item.length;
            if junk.bytes.len() <= LONGEST_LINE {
                junk.bytes.extend(item.bytes);
            }
            return;
        };
        if self.excused.take_if(|it| *it == line.head).is_some() {
            return;
        }
        self.settle_junk(&item.place, &line);
        let next = next.and_then(|it| it.line.as_ref());
        match self.look(&line, next) {
            Verdict::Next => self.accept(&item.place, &line),
            Verdict::NewChain => {
                if let Some(last) = self.last {
                    let note = Note::NewChain { seq: last.seq };
                    self.report.note(item.place.clone(), note);
                }
                self.report.chains += 1;
                self.first = line.head.seq;
                if self.begun.len() < MOST_GAPS {
                    self.begun.push(line.head.hash);
                }
                self.accept(&item.place, &line);
            }
            Verdict::Broken(what) => self.broken(item.place, &line, what),
        }
    }

    /// Bytes that are no lines: those that a start has recorded, or a finding.
    fn settle_junk(&mut self, at: &Place, line: &Sealed) {
        let Junk {
            place,
            lines,
            bytes,
            length,
        } = std::mem::take(&mut self.junk);
        let recorded = match line.event {
            Some(Mark::Started(torn)) if line.intact => torn,
            _ => None,
        };
        let follows = line.follows(&self.last.unwrap_or(Head::NONE));
        let Some(place) = place else {
            if recorded.is_some() && follows && self.last.is_some() {
                self.find(at.clone(), Break::TornGone);
            }
            return;
        };
        let is_recorded = recorded.is_some() && recorded == Torn::of(&bytes) && follows;
        let is_torn = bytes.len() as u64 == length && lines <= MOST_TORN && !holds_line(&bytes);
        if is_recorded && is_torn {
            return self.report.note(place, Note::Torn { bytes: length });
        }
        self.find(place, Break::Malformed { lines });
        // They may be lines that somebody has spoilt: what follows is not to be told a second time.
        if let Some(last) = &mut self.last
            && line.head.seq > last.seq
            && line.head.seq - last.seq <= lines.saturating_add(1)
            && !line.follows(last)
        {
            last.seq = line.head.seq - 1;
            self.loose = true;
        }
    }

    fn look(&mut self, line: &Sealed, next: Option<&Sealed>) -> Verdict {
        let Some(last) = self.last else {
            return match line.intact {
                true => Verdict::NewChain,
                false => Verdict::Broken(Break::Changed),
            };
        };
        let goes_on = next.is_some_and(|next| next.intact && next.follows(&last));
        let expected = last.seq.saturating_add(1);
        if !line.intact {
            return Verdict::Broken(if goes_on {
                Break::Inserted
            } else {
                Break::Changed
            });
        }
        if self.begun.contains(&line.head.hash) {
            return Verdict::Broken(Break::Duplicate);
        }
        if line.follows(&last) || (self.loose && line.head.seq == expected) {
            return Verdict::Next;
        }
        if line.begins() && matches!(line.event, Some(Mark::Started(_))) {
            return Verdict::NewChain;
        }
        Verdict::Broken(match line.head.seq {
            _ if next.is_some_and(|next| goes_on && line.follows(&next.head)) => Break::Reordered,
            seq if seq < self.first || self.was_missing(seq) => Break::Reordered,
            seq if seq == last.seq && line.head != last => Break::Inserted,
            seq if seq <= last.seq => Break::Duplicate,
            _ if goes_on => Break::Inserted,
            seq if seq == expected => Break::Unchained,
            seq => Break::Missing {
                from: expected,
                to: seq - 1,
            },
        })
    }

    fn was_missing(&self, seq: u64) -> bool {
        let mut gaps = self.missing.iter();
        gaps.any(|(from, to)| (*from..=*to).contains(&seq))
    }

    fn broken(&mut self, place: Place, line: &Sealed, what: Break) {
        self.find(
            Place {
                file: place.file.clone(),
                ..place
            },
            what,
        );
        let expected = self
            .last
            .map_or(line.head.seq, |last| last.seq.saturating_add(1));
        match what {
            Break::Changed => {
                if self.last.is_none() {
                    self.first = expected;
                    self.report.first.get_or_insert(expected);
                    self.report.chains += 1;
                }
                self.last = Some(Head {
                    seq: expected,
                    ..line.head
                });
                self.loose = true;
            }
            Break::Missing { from, to } => {
                if self.missing.len() < MOST_GAPS {
                    self.missing.push((from, to));
                }
                self.accept(&place, line);
            }
            Break::Unchained => self.accept(&place, line),
            // Two lines that have changed their places: the other one comes now.
            Break::Reordered if line.head.seq > expected => {
                self.excused = Some(Head {
                    seq: expected,
                    hash: line.prev,
                });
                self.accept(&place, line);
            }
            _ => {}
        }
    }

    fn accept(&mut self, place: &Place, line: &Sealed) {
        self.loose = false;
        self.expected.retain(|it| *it != line.head);
        if self.expected.iter().any(|it| it.seq == line.head.seq) {
            self.replaced.push(line.head.seq);
        }
        let before = self.last.replace(line.head);
        self.report.first.get_or_insert(line.head.seq);
        match line.event {
            Some(Mark::Started(_)) => {
                self.report.starts += 1;
                if let Some(last) = before.filter(|_| self.running) {
                    let unclean = Note::Unclean { seq: last.seq };
                    self.report.note(place.clone(), unclean);
                }
            }
            Some(Mark::Lost(count)) => {
                self.report.lost = self.report.lost.saturating_add(count);
            }
            Some(Mark::Stopped | Mark::Other) => {}
            None => self.report.records += 1,
        }
        self.running = line.event != Some(Mark::Stopped);
        self.report.time = line.time.clone();
    }

    fn find(&mut self, place: Place, what: Break) {
        let expected = self.last.map(|last| last.seq.saturating_add(1));
        self.report.find(Finding {
            place,
            what,
            expected,
        });
    }
}

/// Whether a whole line stands anywhere in bytes that are none: nobody was ended in the middle of those.
fn holds_line(bytes: &[u8]) -> bool {
    let mut at = 0;
    while let Some(found) = memchr::memmem::find(&bytes[at..], BEGINNING) {
        at += found;
        let mut values = serde_json::Deserializer::from_slice(&bytes[at..]).into_iter();
        let is_value = matches!(values.next(), Some(Ok(IgnoredAny)));
        let end = at + values.byte_offset();
        if is_value && Sealed::read(&bytes[at..end]).is_some() {
            return true;
        }
        at = if is_value { end } else { at + 1 };
    }
    false
}

/// What a line is to the one before.
enum Verdict {
    Next,
    NewChain,
    Broken(Break),
}
