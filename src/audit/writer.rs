//! The thread that writes: takes what is queued in batches, numbers and chains the lines, and never skips one.
//!
//! While the sink fails, the batch is offered again and again and the queue fills. What happens then is the matter of
//! `ticket`.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use ::metrics::Counter;
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;
use tokio::time::timeout_at;

use crate::audit::PolicyRefused;
use crate::audit::chain::Head;
use crate::audit::file::Beginning;
use crate::audit::line::{Entry, Pen};
use crate::audit::sink::Sink;
use crate::audit::ticket::Record;

/// About 150 KiB of lines in one system call.
const BATCH: usize = 256;

/// How long lines gather after some were written. To wake the thread for every line costs the one that wakes it more
/// than the line itself.
const GATHER: Duration = Duration::from_millis(2);

/// A full disk is not emptied within less.
const PAUSE: Duration = Duration::from_millis(200);

/// How long lines may be with the operating system only. They outlive the process there, and not a loss of power; to
/// wait for the disk more often would cost more than the lines.
const SYNC: Duration = Duration::from_secs(1);

/// What stands in the queue.
pub(super) enum Message {
    /// A line to write.
    Line(Box<Record>),
    /// A line about a policy.
    PolicyRefused(Box<PolicyRefused>),
    /// Says when everything before it is written.
    Flush(oneshot::Sender<()>),
    /// The same, with a line that says that the process ends.
    Close(oneshot::Sender<()>),
}

/// What the thread shares with those who hand it lines.
pub(super) struct Shared {
    reopen: AtomicBool,
    /// Wakes the thread for what does not stand in the queue.
    wake: Notify,
    lost: AtomicU64,
    losses: Counter,
    /// Tickets that are open without a place in the queue.
    pub(super) without_place: AtomicUsize,
    head: Mutex<Head>,
}

impl Shared {
    pub(super) fn new(head: Head, losses: Counter) -> Self {
        Self {
            reopen: AtomicBool::new(false),
            wake: Notify::new(),
            lost: AtomicU64::new(0),
            losses,
            without_place: AtomicUsize::new(0),
            head: Mutex::new(head),
        }
    }

    /// The newest line that has gone out.
    pub(super) fn head(&self) -> Head {
        *self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record could not be queued.
    pub(super) fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.losses.increment(1);
    }

    /// Have the line written with which the process begins.
    pub(super) fn begin(&self) {
        self.wake.notify_one();
    }

    /// Have the sink opened anew.
    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }
}

/// Where the chain begins, and whether its beginning and its end have lines of their own.
pub(super) struct Start {
    pub(super) at: Beginning,
    pub(super) announced: bool,
}

/// What is counted.
pub(super) struct Counters {
    pub(super) errors: Counter,
    pub(super) losses: Counter,
}

/// Starts the thread. It ends when all senders are gone and everything is written.
pub(super) fn start(
    sink: impl Sink,
    messages: mpsc::Receiver<Message>,
    start: Start,
    counters: Counters,
) -> io::Result<Arc<Shared>> {
    let shared = Arc::new(Shared::new(start.at.head, counters.losses));
    let writer = Writer::of(sink, &start, counters.errors, shared.clone());
    // Its clock is all that is wanted of it: files and pipes are written to without it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let thread = thread::Builder::new().name("audit".into());
    thread.spawn(move || writer.run(messages, &runtime))?;
    Ok(shared)
}

pub(super) struct Writer<S> {
    sink: S,
    errors: Counter,
    shared: Arc<Shared>,
    pen: Pen,
    text: Vec<u8>,
    /// Where the lines of the text end.
    ends: Vec<usize>,
    /// When what was written has to be on the disk.
    unsynced: Option<Instant>,
    announced: bool,
    /// What the line says with which this process begins, before it is written.
    begins: Option<Entry<'static>>,
}

impl<S: Sink> Writer<S> {
    pub(super) fn of(sink: S, start: &Start, errors: Counter, shared: Arc<Shared>) -> Self {
        Self {
            sink,
            errors,
            shared,
            pen: Pen::behind(start.at.head),
            text: Vec::new(),
            ends: Vec::new(),
            unsynced: None,
            announced: start.announced,
            begins: start.announced.then_some(Entry::Started(start.at.torn)),
        }
    }

    fn run(mut self, mut messages: mpsc::Receiver<Message>, runtime: &Runtime) {
        let mut batch = Vec::with_capacity(BATCH);
        while runtime.block_on(self.receive(&mut messages, &mut batch)) {
            let more_is_there = batch.len() == BATCH;
            self.reopen();
            self.begin();
            self.tell_lost();
            for message in batch.drain(..) {
                match message {
                    Message::Line(record) => self.add(&Entry::Record(&record)),
                    Message::PolicyRefused(it) => self.add(&Entry::PolicyRefused(&it)),
                    Message::Flush(done) => self.flush(done),
                    Message::Close(done) => self.close(done),
                }
            }
            self.write();
            self.tell_lost();
            self.write();
            if self.unsynced.is_some_and(|at| at <= Instant::now()) {
                self.sync();
            }
            if !more_is_there {
                thread::sleep(GATHER);
            }
        }
        self.sync();
    }

    /// Waits for messages, for somebody who wants something else, or until what was written has to be on the disk.
    /// Says whether there is more to come.
    async fn receive(
        &self,
        messages: &mut mpsc::Receiver<Message>,
        batch: &mut Vec<Message>,
    ) -> bool {
        let came = async {
            tokio::select! {
                biased;
                count = messages.recv_many(batch, BATCH) => count > 0,
                () = self.shared.wake.notified() => true,
            }
        };
        match self.unsynced {
            Some(at) => timeout_at(at, came).await.unwrap_or(true),
            None => came.await,
        }
    }

    /// Nothing is written by a process that does not come so far as to have something to write, or to be told.
    pub(super) fn begin(&mut self) {
        if let Some(entry) = self.begins.take() {
            self.add(&entry);
        }
    }

    pub(super) fn add(&mut self, entry: &Entry<'_>) {
        self.pen.append(&mut self.text, entry);
        self.ends.push(self.text.len());
    }

    pub(super) fn tell_lost(&mut self) {
        match self.shared.lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => self.add(&Entry::Lost(lost)),
        }
    }

    pub(super) fn reopen(&mut self) {
        if self.shared.reopen.swap(false, Ordering::Relaxed)
            && let Err(error) = self.sink.reopen(self.pen.head().seq + 1)
        {
            self.errors.increment(1);
            tracing::error!(%error, "the audit file cannot be opened anew; records still go to the one before");
        }
    }

    fn flush(&mut self, done: oneshot::Sender<()>) {
        self.write();
        self.sync();
        // An error means that nobody waits any longer.
        let _ = done.send(());
    }

    fn close(&mut self, done: oneshot::Sender<()>) {
        self.tell_lost();
        if std::mem::take(&mut self.announced) {
            self.add(&Entry::Stopped);
        }
        self.flush(done);
    }

    /// Writes all lines, as many at a time as the sink has room for.
    pub(super) fn write(&mut self) {
        let first = self.pen.head().seq + 1 - self.ends.len() as u64;
        let (mut index, mut start, mut turned) = (0, 0, false);
        while index < self.ends.len() {
            let room = self.sink.room();
            let fits = |end: &&usize| (**end - start) as u64 <= room;
            let count = self.ends[index..].iter().take_while(fits).count();
            if count == 0 && !turned {
                self.turn(first + index as u64);
                turned = true;
                continue;
            }
            // A line that fits nowhere goes somewhere all the same.
            index += count.max(1);
            let end = self.ends[index - 1];
            self.put(start..end);
            (start, turned) = (end, false);
        }
        if index > 0 {
            self.text.clear();
            self.ends.clear();
            *self
                .shared
                .head
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = self.pen.head();
            self.unsynced.get_or_insert_with(|| Instant::now() + SYNC);
        }
    }

    fn turn(&mut self, seq: u64) {
        if let Err(error) = self.sink.turn(seq) {
            self.errors.increment(1);
            tracing::error!(%error, "the audit file cannot be put aside; records still go to it");
        }
    }

    fn put(&mut self, lines: Range<usize>) {
        let mut written = lines.start;
        let mut failed = false;
        while written < lines.end {
            let error = match self.sink.write(&self.text[written..lines.end]) {
                Ok(0) => io::ErrorKind::WriteZero.into(),
                Ok(count) => {
                    written += count;
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error,
            };
            self.errors.increment(1);
            if !failed {
                failed = true;
                tracing::error!(%error, "audit records cannot be written; exeat tries again until they can");
            }
            thread::sleep(PAUSE);
        }
        if failed {
            tracing::warn!("audit records are written again");
        }
    }

    fn sync(&mut self) {
        self.unsynced = None;
        if let Err(error) = self.sink.sync() {
            self.errors.increment(1);
            tracing::error!(%error, "audit records may not be on the disk yet");
        }
    }
}
