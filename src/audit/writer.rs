//! The thread that writes: takes what is queued in batches, numbers the lines, and never skips one.
//!
//! While the sink fails, the batch is offered again and again, the queue fills, and new requests are refused.

use std::io;
use std::thread;
use std::time::Duration;

use ::metrics::Counter;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::audit::line;
use crate::audit::sink::Sink;
use crate::audit::ticket::Record;

/// About 128 KiB of lines in one system call.
const BATCH: usize = 256;

/// How long lines gather after some were written. To wake the thread for every line costs the one that wakes it more
/// than the line itself.
const GATHER: Duration = Duration::from_millis(2);

/// A full disk is not emptied within less.
const PAUSE: Duration = Duration::from_millis(200);

/// What stands in the queue.
pub(super) enum Message {
    /// A line to write.
    Line(Box<Record>),
    /// Says when everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// Starts the thread. It ends when all senders are gone and everything is written.
pub(super) fn start(
    sink: impl Sink,
    messages: mpsc::Receiver<Message>,
    errors: Counter,
) -> io::Result<()> {
    let writer = Writer {
        sink,
        errors,
        text: Vec::new(),
        seq: 0,
    };
    let thread = thread::Builder::new().name("audit".into());
    thread.spawn(move || writer.run(messages)).map(drop)
}

struct Writer<S> {
    sink: S,
    errors: Counter,
    text: Vec<u8>,
    seq: u64,
}

impl<S: Sink> Writer<S> {
    fn run(mut self, mut messages: mpsc::Receiver<Message>) {
        let mut batch = Vec::with_capacity(BATCH);
        while messages.blocking_recv_many(&mut batch, BATCH) > 0 {
            let more_is_there = batch.len() == BATCH;
            for message in batch.drain(..) {
                match message {
                    Message::Line(record) => self.add(&record),
                    Message::Flush(done) => self.flush(done),
                }
            }
            self.write();
            if !more_is_there {
                thread::sleep(GATHER);
            }
        }
        self.sync();
    }

    fn add(&mut self, record: &Record) {
        self.seq += 1;
        line::append(&mut self.text, record, self.seq);
    }

    fn flush(&mut self, done: oneshot::Sender<()>) {
        self.write();
        self.sync();
        // An error means that nobody waits any longer.
        let _ = done.send(());
    }

    fn write(&mut self) {
        let mut written = 0;
        while written < self.text.len() {
            match self.sink.write(&self.text[written..]) {
                Ok(0) => self.rest(&io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.rest(&error),
            }
        }
        self.text.clear();
    }

    fn sync(&mut self) {
        if let Err(error) = self.sink.sync() {
            self.errors.increment(1);
            tracing::error!(%error, "audit records may not be on the disk yet");
        }
    }

    fn rest(&self, error: &io::Error) {
        self.errors.increment(1);
        tracing::error!(%error, "audit records cannot be written; exeat refuses requests once its queue is full");
        thread::sleep(PAUSE);
    }
}
