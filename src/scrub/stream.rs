//! The same for a text that comes in chunks.
//!
//! A form may begin in one chunk and end in the next, so the end of what has come is held back: as many bytes as the
//! longest form has, less one, but nothing before the last line feed, which is in no form. It is so many whatever they
//! are. Holding back only what looks like the beginning of a secret would confirm guesses: whoever can make a server
//! repeat a text would see by the delay whether it begins as the secret does.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use memchr::memrchr;
use zeroize::Zeroizing;

use crate::scrub::{Forms, MASK};

/// One text on its way through.
pub struct Scrubber {
    forms: Arc<Forms>,
    /// As it came, since what is found in it may only be the end of something longer.
    held: Zeroizing<Vec<u8>>,
    /// How much of what is held belongs to a form that began before it: nothing (`None`), or that the last byte that
    /// went on did, and so many after it.
    begun: Option<usize>,
    masked: u64,
}

impl Scrubber {
    /// The beginning of a text.
    pub fn new(forms: Arc<Forms>) -> Self {
        Self {
            forms,
            held: Zeroizing::default(),
            begun: None,
            masked: 0,
        }
    }

    /// Looks for these from now on: a text may last longer than the secrets that were known when it began.
    pub fn look_for(&mut self, forms: Arc<Forms>) {
        self.forms = forms;
    }

    /// Takes a chunk, and gives what may go on: any number of bytes, or none.
    pub fn push(&mut self, chunk: Bytes) -> Bytes {
        if chunk.is_empty() || (self.forms.is_empty() && self.held.is_empty()) {
            return chunk;
        }
        let line = memrchr(b'\n', &chunk).map(|at| self.held.len() + at + 1);
        let text = self.joined(chunk);
        let open = text.len() - line.unwrap_or(0);
        let kept = open.min(self.forms.longest().saturating_sub(1));
        self.release(text, kept)
    }

    /// The end of the text: what was held back.
    pub fn finish(&mut self) -> Bytes {
        let text = self.joined(Bytes::new());
        self.release(text, 0)
    }

    /// The last chunk, and with it everything that was held back.
    pub fn last(&mut self, chunk: Bytes) -> Bytes {
        let text = self.joined(chunk);
        self.release(text, 0)
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How many places have been masked so far.
    pub fn masked(&self) -> u64 {
        self.masked
    }

    fn joined(&mut self, chunk: Bytes) -> Bytes {
        if self.held.is_empty() {
            return chunk;
        }
        let mut text = Vec::with_capacity(self.held.len() + chunk.len());
        text.extend_from_slice(&self.held);
        text.extend_from_slice(&chunk);
        text.into()
    }

    /// Masks a text, and keeps so much of its end.
    fn release(&mut self, mut text: Bytes, kept: usize) -> Bytes {
        let found = self.forms.find(&text);
        let going = text.len() - kept;
        self.held = Zeroizing::new(text[going..].to_vec());
        text.truncate(going);
        let mut begun = self.begun.take();
        if found.is_empty() && begun.is_none_or(|it| it == 0) {
            if going == 0 {
                self.begun = begun;
            }
            return text;
        }
        let mut masked = Vec::from(text);
        let mut fill =
            |end: usize, start: usize| masked[start.min(going)..end.min(going)].fill(MASK);
        fill(begun.unwrap_or(0), 0);
        for range in found.iter().filter(|it| it.start < going) {
            match &mut begun {
                Some(end) if range.start <= *end => *end = range.end.max(*end),
                _ => {
                    self.masked += 1;
                    begun = Some(range.end);
                }
            }
            fill(range.end, range.start);
        }
        self.begun = begun.and_then(|end| end.checked_sub(going));
        masked.into()
    }
}

/// What is held may be a part of a secret.
impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scrubber({:?}, {} held)", self.forms, self.held.len())
    }
}
