//! The record of what was asked and decided: one JSON object per line, one terminal line per request.
//!
//! A request opens a [`Ticket`], which holds a place in a bounded queue. Where there is none, [`WhenBlocked`] says
//! whether the request is refused, since what can't be recorded is not done, or its record may be lost. Each step of
//! the request tells the ticket what it has learnt, and whoever ends the request closes it. A thread of its own writes,
//! so that a slow disk never holds up a request that has its place. Deciding what may be shown of a value is not done
//! here: whoever gives a path or a name answers for it.
//!
//! Lines are chained by their hashes ([`Head`]), over restarts and over the files of one name; [`verify`] reads
//! them again.
//!
//! | Field | Meaning |
//! |---|---|
//! | `time` | when the line's event happened, in UTC; of a terminal line, the end of the request |
//! | `request_id` | the request's ULID, as in refusals |
//! | `seq`, `prev_hash`, `hash` | the line's number in its chain, from 1; the hash of the line before; and its own |
//! | `trace_id`, `span_id`, `parent_id` | the W3C trace, where the caller traces: our span in it, and the caller's |
//! | `event` | on a line that is not terminal: `opened`, a tunnel, a WebSocket or an event stream has begun; `policy_refused`, another policy was not put in force; `started`, `stopped` and `lost` are of the writer |
//! | `version` | of `started`: that of exeat |
//! | `torn`, `torn_hash` | of `started`: how many bytes before this line are not whole lines, and their hash |
//! | `lost` | of `lost`: how many records could not be written |
//! | `problems` | of `policy_refused`: how many mistakes its files have; `detail` tells the first |
//! | `policy_hash`, `door` | the policy that decided, and the way in |
//! | `agent`, `session`, `environment` | who asked, in which session: a hash of the id that was named |
//! | `action`, `decision`, `code` | what for; `allowed`, `refused` or `failed`; and why not |
//! | `method`, `host`, `port` | what was asked of whom |
//! | `path`, `query` | where; names of parameters only. Both are left out for an undeclared host |
//! | `parameters` | the names of what was given for the action |
//! | `values` | their values, if asked for, and as far as they may be shown |
//! | `status` | the status that the client got |
//! | `outcome` | what the policy calls the reply |
//! | `end` | how it ended: see [`End`] |
//! | `upstream_addr`, `upstream_ms`, `retries` | the address that was dialled, the server's part of the time, what was sent again |
//! | `bytes_in`, `bytes_out` | of the bodies, from and to the client |
//! | `duration_ms` | from the opening of the ticket to `time` |
//! | `tls`, `http_version` | of the client's connection |
//! | `replaced`, `dropped` | names of the client's credentials that were removed, and of headers not let through |
//! | `redactions` | places of the reply where a known secret was masked, if any |
//! | `body`, `body_sha256` | `unread` where the action passes bodies through unread; `unparsed` where nobody can read it |
//! | `detail` | the operator's words of a fault |
//! | `left_out` | names of fields that this line lacks, all or in part, since it would have more than 32 KiB |
//!
//! What is unknown or does not apply is left out.

mod chain;
mod past;
mod sink;
mod file;
mod ticket;
mod quote;
mod line;
mod writer;
pub mod read;
pub mod verify;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use ulid::Ulid;

use crate::audit::file::{Beginning, FileSink};
use crate::audit::writer::{Counters, Message, Shared, Start};
use crate::metrics::Metrics;
use crate::refusal::{Code, Refusal};
use crate::request::Door;

pub use chain::{Hash, Head, SEAL, chain_place};
pub use file::Rotation;
pub use past::head;
pub use quote::harmless;
pub use sink::{MemorySink, Sink, StreamSink};
pub use ticket::{Asked, End, Ending, Given, Opening, Prepared, Target, Ticket, Upstream};

/// Places in the queue, and so the most requests in flight and records unwritten, together.
///
/// A record has 576 bytes in memory and its texts, some 1 KiB together, so a full queue has 16 MiB. What a request can
/// make of one is its head (64 KiB at most, in lists of at most 65 names) and 4 KiB of values, which are some 100 KiB
/// as a tree: 3 GiB, if every one is made so. The lines have a bound of their own, 32 KiB. It is far above what one
/// process serves at a time, and is reached in a fraction of a second once the disk no longer takes anything.
pub const PLACES: usize = 16_384;

/// What becomes of requests for whose record there is no place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenBlocked {
    /// They are refused: an agent that waits is a smaller harm than one that acts unseen, and it is told to try again.
    #[default]
    Refuse,
    /// They go on, and their records are lost; the next line that can be written says how many.
    Drop,
}

/// The queue between requests and the thread that writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// So many records may be open or unwritten.
    pub places: usize,
    /// What becomes of requests when they are.
    pub when_blocked: WhenBlocked,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            places: PLACES,
            when_blocked: WhenBlocked::Refuse,
        }
    }
}

/// The audit log: where tickets come from.
pub struct Audit(Arc<Desk>);

/// What tickets share.
struct Desk {
    queue: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    when_blocked: WhenBlocked,
}

/// A policy that was read while exeat runs, and not put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRefused {
    /// The one that stays in force.
    pub in_force: Arc<str>,
    /// How many mistakes there are.
    pub problems: usize,
    /// The first of them, with its place and no line of the files.
    pub first: String,
}

/// The identity of one request, in the audit record, in refusals and in logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId([u8; ulid::ULID_LEN]);

impl RequestId {
    /// A new one: the time and 80 random bits.
    pub fn new() -> Self {
        let mut text = [0; ulid::ULID_LEN];
        Ulid::new().array_to_str(&mut text);
        Self(text)
    }

    /// As a number: the time, and 80 random bits at the end.
    pub fn bits(&self) -> u128 {
        Ulid::from_string(self.as_str()).map_or(0, |ulid| ulid.0)
    }

    /// Its 26 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a ULID is written in ASCII")
    }
}

impl Default for RequestId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Audit {
    /// Records go to standard output, in a chain of this process.
    ///
    /// # Errors
    /// Standard output is closed, or the writer's thread could not be started.
    pub fn to_stdout(queue: Queue, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let start = Start {
            at: Beginning::NEW,
            announced: true,
        };
        Self::start(StreamSink::stdout()?, start, queue, metrics)
    }

    /// Records go to standard error, in a chain of this process. A command says other things there as well, so neither
    /// its start nor its end has a line of its own.
    ///
    /// # Errors
    /// Standard error is closed, or the writer's thread could not be started.
    pub fn to_stderr(queue: Queue, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let start = Start {
            at: Beginning::NEW,
            announced: false,
        };
        Self::start(StreamSink::stderr()?, start, queue, metrics)
    }

    /// Records are added to the end of a file, which is made with mode 0600 where it is missing, and go on with its
    /// chain. A pipe or a device has no past: there they are a chain of this process.
    ///
    /// # Errors
    /// The file could not be opened, another process writes it, it holds something else than records, or the writer's
    /// thread could not be started.
    pub fn to_file(
        path: &Path,
        rotation: Rotation,
        queue: Queue,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let announced = |at| Start {
            at,
            announced: true,
        };
        if std::fs::metadata(path).is_ok_and(|it| !it.is_file()) {
            let (sink, start) = (StreamSink::named(path)?, announced(Beginning::NEW));
            return Self::start(sink, start, queue, metrics);
        }
        let (sink, beginning) = FileSink::open(path, rotation)?;
        Self::start(sink, announced(beginning), queue, metrics)
    }

    /// Records stay in memory: for tests and benches.
    ///
    /// # Errors
    /// The writer's thread could not be started.
    pub fn to_memory(metrics: &Arc<Metrics>) -> io::Result<(Self, MemorySink)> {
        let memory = MemorySink::default();
        let audit = Self::to(memory.clone(), Queue::default(), metrics);
        Ok((audit?, memory))
    }

    /// Records go wherever `sink` puts them, and nothing else does.
    ///
    /// # Errors
    /// The writer's thread could not be started.
    pub fn to(sink: impl Sink, queue: Queue, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let start = Start {
            at: Beginning::NEW,
            announced: false,
        };
        Self::start(sink, start, queue, metrics)
    }

    fn start(
        sink: impl Sink,
        start: Start,
        queue: Queue,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        let (sender, messages) = mpsc::channel(queue.places);
        let counters = Counters {
            errors: metrics.audit_errors(),
            losses: metrics.audit_losses(),
        };
        Ok(Self(Arc::new(Desk {
            queue: sender,
            shared: writer::start(sink, messages, start, counters)?,
            metrics: Arc::clone(metrics),
            when_blocked: queue.when_blocked,
        })))
    }

    /// Has the line written that says that this process has begun, where there is one. Otherwise it comes with the
    /// first record.
    pub fn begin(&self) {
        self.0.shared.begin();
    }

    /// Opens the record of one request. It keeps its place in the queue until it is closed.
    ///
    /// # Errors
    /// [`Code::Overloaded`] where no place is free and no record may be lost: as many requests as there are places are
    /// in flight or unwritten.
    pub fn open(&self, opening: Opening) -> Result<Ticket, Refusal> {
        let place = self.0.queue.clone().try_reserve_owned().ok();
        if place.is_none() {
            self.0.without_place(opening.door)?;
        }
        Ok(Ticket::open(opening, place, &self.0))
    }

    /// Has a line written that says that the policy in the files was not put in force. Where the queue has no place it
    /// is lost, and counted: whoever reads policies does not wait for a disk.
    pub fn policy_refused(&self, refused: PolicyRefused) {
        let line = Message::PolicyRefused(Box::new(refused));
        if self.0.queue.try_send(line).is_err() {
            self.0.shared.lose();
        }
    }

    /// How many places there are for records that are open or not yet written.
    pub fn places(&self) -> usize {
        self.0.queue.max_capacity()
    }

    /// How many records are open or not yet written.
    pub fn open_records(&self) -> usize {
        let queue = &self.0.queue;
        let without_place = self.0.shared.without_place.load(Ordering::Relaxed);
        queue.max_capacity() - queue.capacity() + without_place
    }

    /// The newest line that has gone out: whoever keeps it elsewhere sees later whether lines were cut off.
    pub fn head(&self) -> Head {
        self.0.shared.head()
    }

    /// Has a file opened anew under its name, where it was moved or removed meanwhile. It is done between two lines,
    /// not at once.
    pub fn reopen(&self) {
        self.0.shared.reopen();
    }

    /// Waits until every record that is closed by now is written and, in a file, on the disk.
    ///
    /// Where the sink takes nothing this does not come back: whoever shuts down sets a deadline.
    pub async fn flush(&self) {
        self.send(Message::Flush).await;
    }

    /// The same at the end of the process, which gets a line of its own: where that is missing, the process did not end
    /// by itself.
    pub async fn close(&self) {
        self.send(Message::Close).await;
    }

    async fn send(&self, message: fn(oneshot::Sender<()>) -> Message) {
        let (done, written) = oneshot::channel();
        if self.0.queue.send(message(done)).await.is_ok() {
            // An error means that the writer is gone, and with it everything there was to wait for.
            let _ = written.await;
        }
    }
}

impl Desk {
    /// A request whose record has no place yet.
    fn without_place(&self, door: Door) -> Result<(), Refusal> {
        match self.when_blocked {
            WhenBlocked::Drop => Ok(()),
            WhenBlocked::Refuse => {
                self.metrics.turned_away(door, Code::Overloaded);
                Err(no_place())
            }
        }
    }

    /// A line that there is no place for.
    fn without_line(&self) -> Result<(), Refusal> {
        match self.when_blocked {
            WhenBlocked::Drop => {
                self.shared.lose();
                Ok(())
            }
            WhenBlocked::Refuse => Err(no_place()),
        }
    }
}

fn no_place() -> Refusal {
    Refusal::new(
        Code::Overloaded,
        "exeat cannot record more requests at the moment; try again in a few seconds",
    )
}

#[cfg(test)]
mod tests;
