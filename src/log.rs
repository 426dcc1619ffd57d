//! The log of this process, on standard error: for what goes wrong with exeat itself.
//!
//! Nobody waits for it. Whoever reads standard error may have stalled, and a thread that writes a line would stall with
//! it, and everything that the thread serves. So lines wait in a queue for a thread of their own; one that has no room
//! is lost, counted, and told of once there is room again.

use std::collections::VecDeque;
use std::io;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// What may wait: some thousands of lines, a few seconds of a process in great trouble.
const BYTES: usize = 1024 * 1024;

/// How long the end of a process waits for what has not been written.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// There is one log, since there is one standard error.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How many lines were lost since the process started.
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Where lines go in. Clones are the same log.
#[derive(Clone)]
pub struct Log(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Since it was last told.
    lost: u64,
    /// Whether a line is on its way out.
    writing: bool,
}

impl Log {
    /// A log that a thread of its own writes to this.
    ///
    /// # Errors
    /// The thread cannot be had.
    pub fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let log = Self(Arc::new(Shared {
            waiting: Mutex::default(),
            changed: Condvar::new(),
        }));
        let writer = log.clone();
        std::thread::Builder::new()
            .name("exeat-log".into())
            .spawn(move || writer.run(out))?;
        Ok(log)
    }

    /// Waits until all is written, though not for long.
    pub fn finish(&self) {
        let is_busy = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        let changed = &self.0.changed;
        // However it ends, the process does.
        let _ = changed.wait_timeout_while(self.lock(), LAST_WORDS, is_busy);
    }

    fn push(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.bytes + line.len() > BYTES {
            waiting.lost += 1;
            LOST.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.to_vec());
        drop(waiting);
        self.0.changed.notify_all();
    }

    fn run(&self, mut out: impl Write) {
        loop {
            let line = self.next();
            // Nobody may be reading any more, and there is nobody else to tell.
            let _ = out.write_all(&line).and_then(|()| out.flush());
            let mut waiting = self.lock();
            waiting.writing = false;
            waiting.bytes -= line.len();
            let lost = std::mem::take(&mut waiting.lost);
            drop(waiting);
            self.0.changed.notify_all();
            if lost > 0 {
                tracing::warn!(lost, "lines of this log were lost: nobody has read it");
            }
        }
    }

    fn next(&self) -> Vec<u8> {
        let nothing = |waiting: &mut Waiting| waiting.lines.is_empty();
        let woken = self.0.changed.wait_while(self.lock(), nothing);
        let mut waiting = woken.unwrap_or_else(PoisonError::into_inner);
        waiting.writing = true;
        waiting.lines.pop_front().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        let waiting = self.0.waiting.lock();
        waiting.unwrap_or_else(PoisonError::into_inner)
    }
}

/// One line, which comes in one piece.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Takes a line whenever it is told to.
    struct Reader {
        turns: mpsc::Receiver<()>,
        read: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turns.recv().map_err(io::Error::other)?;
            self.read.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_has_no_room_is_lost_and_nobody_waits() {
        let ((turn, turns), (read, lines)) = (mpsc::channel(), mpsc::channel());
        let log = Log::to(Reader { turns, read }).unwrap();
        let before = lost();
        let line = vec![b'x'; 1024];
        for _ in 0..3000 {
            (&mut log.clone()).write_all(&line).unwrap();
        }
        let gone = lost() - before;
        assert_eq!(gone, 3000 - BYTES as u64 / 1024);
        for _ in gone..3000 {
            turn.send(()).unwrap();
            assert_eq!(lines.recv().unwrap(), line);
        }
        (&mut log.clone()).write_all(b"again").unwrap();
        turn.send(()).unwrap();
        assert_eq!(lines.recv().unwrap(), b"again");
        log.finish();
        assert_eq!(log.lock().bytes, 0);
    }
}
