//! Where lines end: a stream of the process, memory. Files are the matter of `file`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Takes whole and partial lines, in order, from the one thread that writes.
pub trait Sink: Send + 'static {
    /// Takes as many of the bytes as it can, at least one, and says how many; waits where it has to.
    ///
    /// # Errors
    /// None of the bytes were taken. They will be offered again.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Makes what was taken last.
    ///
    /// # Errors
    /// It may not last.
    fn sync(&mut self) -> io::Result<()>;

    /// Bytes of whole lines that should still go where the last ones went.
    fn room(&self) -> u64 {
        u64::MAX
    }

    /// Puts what was taken aside and begins anew, with the line of this number. Asked between two lines, when they do
    /// not fit.
    ///
    /// # Errors
    /// It goes on where it was.
    fn turn(&mut self, _seq: u64) -> io::Result<()> {
        Ok(())
    }

    /// Goes to where its name leads by now, with the line of this number: what was there may have been moved. Asked
    /// between two lines.
    ///
    /// # Errors
    /// It goes on where it was.
    fn reopen(&mut self, _seq: u64) -> io::Result<()> {
        Ok(())
    }
}

/// Standard output or standard error of the process, past the buffer that std puts before it: that one could keep back
/// the end of a batch, or take lines and then fail.
#[derive(Debug)]
pub struct StreamSink(File);

impl StreamSink {
    /// A pipe or a device that has a name.
    pub(super) fn named(path: &Path) -> io::Result<Self> {
        OpenOptions::new().append(true).open(path).map(Self)
    }

    /// Takes a handle of its own to standard output.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn stdout() -> io::Result<Self> {
        let stdout = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Self(stdout.into()))
    }

    /// Takes a handle of its own to standard error.
    ///
    /// # Errors
    /// Standard error is closed.
    pub fn stderr() -> io::Result<Self> {
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        Ok(Self(stderr.into()))
    }
}

impl Sink for StreamSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    /// Nothing: where a stream goes is not ours, and a pipe or terminal has no disk.
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines in memory, for whoever holds a clone.
#[derive(Clone, Debug, Default)]
pub struct MemorySink(Arc<Mutex<Vec<u8>>>);

impl MemorySink {
    /// The lines so far. After `Audit::flush` those of every closed ticket are among them.
    pub fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        text.split_terminator('\n').map(str::to_owned).collect()
    }
}

impl Sink for MemorySink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}
