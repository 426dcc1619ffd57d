//! The record of what was asked and decided: one JSON object per line, one terminal line per request.
//!
//! A request opens a [`Ticket`], which holds a place in a bounded queue; where there is none, the request is refused,
//! since what can't be recorded is not done. Each step of the request tells the ticket what it has learnt, and whoever
//! ends the request closes it. A thread of its own writes, so that a slow disk never holds up a request that has its
//! place. Deciding what may be shown of a value is not done here: whoever gives a path or a name answers for it.
//!
//! | Field | Meaning |
//! |---|---|
//! | `time` | when the line's event happened, in UTC; of a terminal line, the end of the request |
//! | `request_id`, `seq` | the request's ULID, as in refusals; the line's number since the process started, from 1 |
//! | `trace_id`, `span_id`, `parent_id` | the W3C trace, where the caller traces: our span in it, and the caller's |
//! | `event` | `opened` on a line that is not terminal: a tunnel, a WebSocket or an event stream has begun |
//! | `policy_hash`, `door` | the policy that decided, and the way in |
//! | `agent`, `session`, `environment` | who asked, in which session: a hash of the id that was named |
//! | `action`, `decision`, `code` | what for; `allowed`, `refused` or `failed`; and why not |
//! | `method`, `host`, `port` | what was asked of whom |
//! | `path`, `query` | where; names of parameters only. Both are left out for an undeclared host |
//! | `status` | the status that the client got |
//! | `outcome` | what the policy calls the reply |
//! | `end` | how it ended: see [`End`] |
//! | `upstream_addr`, `upstream_ms`, `retries` | the address that was dialled, the server's part of the time, what was sent again |
//! | `bytes_in`, `bytes_out` | of the bodies, from and to the client |
//! | `duration_ms` | from the opening of the ticket to `time` |
//! | `tls`, `http_version` | of the client's connection |
//! | `replaced`, `dropped` | names of the client's credentials that were removed, and of headers not let through |
//! | `redactions` | places of the reply where a known secret was masked, if any |
//! | `body` | `unread` where the action passes bodies through unread |
//! | `detail` | the operator's words of a fault |
//!
//! What is unknown or does not apply is left out.

mod sink;
mod ticket;
mod line;
mod writer;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::oneshot;
use ulid::Ulid;

use crate::audit::writer::Message;
use crate::metrics::Metrics;
use crate::refusal::{Code, Refusal};

pub use sink::{FileSink, MemorySink, Sink, StreamSink};
pub use ticket::{Asked, End, Ending, Opening, Prepared, Target, Ticket, Upstream};

/// Places in the queue, and so the most requests in flight and records unwritten, together.
///
/// A record is about half a kilobyte, so a full queue has eight megabytes. It is far above what one process serves at
/// a time, and is reached in a fraction of a second once the disk no longer takes anything.
pub const PLACES: usize = 16_384;

/// The audit log: where tickets come from.
pub struct Audit {
    queue: mpsc::Sender<Message>,
    metrics: Arc<Metrics>,
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
    /// Records go to standard output.
    ///
    /// # Errors
    /// Standard output is closed, or the writer's thread could not be started.
    pub fn to_stdout(metrics: &Arc<Metrics>) -> io::Result<Self> {
        Self::to(StreamSink::stdout()?, PLACES, metrics)
    }

    /// Records go to standard error.
    ///
    /// # Errors
    /// Standard error is closed, or the writer's thread could not be started.
    pub fn to_stderr(metrics: &Arc<Metrics>) -> io::Result<Self> {
        Self::to(StreamSink::stderr()?, PLACES, metrics)
    }

    /// Records are added to the end of a file, which is made with mode 0600 where it is missing.
    ///
    /// # Errors
    /// The file could not be opened for writing, or the writer's thread not started.
    pub fn to_file(path: &Path, metrics: &Arc<Metrics>) -> io::Result<Self> {
        Self::to(FileSink::open(path)?, PLACES, metrics)
    }

    /// Records stay in memory: for tests and `demo`.
    ///
    /// # Errors
    /// The writer's thread could not be started.
    pub fn to_memory(metrics: &Arc<Metrics>) -> io::Result<(Self, MemorySink)> {
        let memory = MemorySink::default();
        Ok((Self::to(memory.clone(), PLACES, metrics)?, memory))
    }

    /// Records go wherever `sink` puts them, by way of a queue with so many places.
    ///
    /// # Errors
    /// The writer's thread could not be started.
    pub fn to(sink: impl Sink, places: usize, metrics: &Arc<Metrics>) -> io::Result<Self> {
        let (queue, messages) = mpsc::channel(places);
        writer::start(sink, messages, metrics.audit_errors())?;
        Ok(Self {
            queue,
            metrics: Arc::clone(metrics),
        })
    }

    /// Opens the record of one request. It keeps its place in the queue until it is closed.
    ///
    /// # Errors
    /// [`Code::Overloaded`] where no place is free: as many requests as there are places are in flight or unwritten.
    pub fn open(&self, opening: Opening) -> Result<Ticket, Refusal> {
        match self.queue.clone().try_reserve_owned() {
            Ok(place) => Ok(Ticket::open(opening, place, self)),
            Err(_) => {
                self.metrics.turned_away(opening.door, Code::Overloaded);
                Err(no_place())
            }
        }
    }

    /// How many places there are for records that are open or not yet written.
    pub fn places(&self) -> usize {
        self.queue.max_capacity()
    }

    /// How many records are open or not yet written.
    pub fn open_records(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Waits until every record that is closed by now is written and, in a file, on the disk.
    ///
    /// Where the sink takes nothing this does not come back: whoever shuts down sets a deadline.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Message::Flush(done)).await.is_ok() {
            // An error means that the writer is gone, and with it everything there was to wait for.
            let _ = written.await;
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
