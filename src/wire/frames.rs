//! The frames of an HTTP/2 connection, counted as they come: how many streams begin, and how many frames carry nothing.
//!
//! h2 answers or ignores frames of control without end, each at the cost of a turn. A peer has so many of them ahead,
//! and earns more by what it takes and by what it sends; who spends them all is flooding (CVE-2019-9512 to 9518).
//!
//! Not here: what the frames say, which is h2's, and time.

use std::time::Duration;

/// How many frames that carry nothing a peer may be ahead. A client that cancels a hundred streams at a time and pings
/// with each answer is far below it, and ten thousand of them cost a few milliseconds.
const AHEAD: i64 = 10_000;

/// How many bytes that are written to a peer earn it a frame. `PING` and `SETTINGS` are answered with fewer, so that
/// they don't pay for themselves; a client that reads a stream makes room for it once in several kilobytes.
const EARNED_BY: usize = 64;

/// How many frames that carry nothing a peer may send in a second, for as long as it likes.
const PER_SECOND: f64 = 100.0;

/// What a client sends before its first frame (RFC 9113 §3.4).
const PREFACE: usize = 24;

const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

/// The frames of one direction.
#[derive(Debug)]
pub struct Frames {
    /// Bytes that are passed over: the preface, and the content of a frame.
    skipped: usize,
    head: [u8; HEAD],
    /// How much of it is there.
    read: usize,
    last: u32,
    opened: u64,
    left: i64,
    /// Bytes written that have not earned a frame yet.
    written: usize,
}

impl Frames {
    /// Those of a client.
    #[must_use]
    pub fn of_client() -> Self {
        Self {
            skipped: PREFACE,
            head: [0; HEAD],
            read: 0,
            last: 0,
            opened: 0,
            left: AHEAD,
            written: 0,
        }
    }

    /// Those of a server.
    #[must_use]
    pub fn of_server() -> Self {
        Self {
            skipped: 0,
            ..Self::of_client()
        }
    }

    /// The next bytes.
    pub fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let passed = self.skipped.min(bytes.len());
            self.skipped -= passed;
            bytes = &bytes[passed..];
            let taken = (HEAD - self.read).min(bytes.len());
            self.head[self.read..self.read + taken].copy_from_slice(&bytes[..taken]);
            self.read += taken;
            bytes = &bytes[taken..];
            if self.read == HEAD {
                self.read = 0;
                self.frame();
            }
        }
    }

    fn frame(&mut self) {
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        self.skipped = u32::from_be_bytes([0, a, b, c]) as usize;
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        let ends = flags & END_STREAM != 0;
        match kind {
            DATA if self.skipped > 0 => self.earn(1),
            DATA if ends => {}
            HEADERS => {
                if stream > self.last {
                    self.last = stream;
                    self.opened += 1;
                }
                // Content pays for it. What is an interim answer has none.
                self.left -= i64::from(!ends);
            }
            // h2 counts these itself.
            CONTINUATION => {}
            _ => self.left -= 1,
        }
    }

    /// So many bytes went to the peer.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        self.earn((self.written / EARNED_BY) as i64);
        self.written %= EARNED_BY;
    }

    /// So much time has passed. It need not be told before the peer has spent all that it had.
    pub fn waited(&mut self, time: Duration) {
        self.earn((time.as_secs_f64() * PER_SECOND) as i64);
    }

    fn earn(&mut self, frames: i64) {
        self.left = self.left.saturating_add(frames).min(AHEAD);
    }

    /// Whether the peer has spent all that it had.
    pub fn is_flood(&self) -> bool {
        self.left < 0
    }

    /// How many streams the peer has begun.
    pub fn opened(&self) -> u64 {
        self.opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, content: usize) -> Vec<u8> {
        let length = u32::try_from(content).unwrap().to_be_bytes();
        let head = [length[1], length[2], length[3], kind, flags];
        [&head, &stream.to_be_bytes()[..], &vec![b'x'; content]].concat()
    }

    fn fed(bytes: &[u8], piece: usize) -> Frames {
        let mut frames = Frames::of_client();
        frames.read(&[b'P'; PREFACE]);
        for piece in bytes.chunks(piece) {
            frames.read(piece);
        }
        frames
    }

    #[test]
    fn streams_are_counted_once_however_their_bytes_come() {
        let bytes = [
            frame(4, 0, 0, 12),
            frame(HEADERS, 4, 1, 300),
            frame(DATA, 0, 1, 20_000),
            frame(HEADERS, 5, 1, 10),
            frame(HEADERS, 5, 3, 0),
            frame(HEADERS, 0, 9, 40),
            frame(CONTINUATION, 4, 9, 40),
        ]
        .concat();
        for piece in [1, 5, 4096, usize::MAX] {
            let frames = fed(&bytes, piece);
            assert_eq!((frames.opened(), frames.is_flood()), (3, false));
        }
    }

    #[test]
    fn frames_that_carry_nothing_have_an_end_and_others_have_none() {
        let many = AHEAD as usize + 1;
        for (carries_nothing, bytes) in [
            (true, frame(6, 0, 0, 8)),
            (true, frame(6, 1, 0, 8)),
            (true, frame(4, 0, 0, 0)),
            (true, frame(2, 0, 5, 5)),
            (true, frame(8, 0, 0, 4)),
            (true, frame(3, 0, 1, 4)),
            (true, frame(0xfa, 0, 0, 100)),
            (true, frame(DATA, 0, 1, 0)),
            (true, frame(HEADERS, 4, 1, 3)),
            (false, frame(DATA, 0, 1, 1)),
            (false, frame(HEADERS, 5, 1, 3)),
            (
                false,
                [frame(HEADERS, 4, 1, 3), frame(DATA, 1, 1, 1)].concat(),
            ),
        ] {
            let flood = bytes.repeat(many);
            assert_eq!(
                fed(&flood, usize::MAX).is_flood(),
                carries_nothing,
                "{bytes:x?}"
            );
        }
    }

    #[test]
    fn who_takes_much_may_say_so_often_and_an_answer_to_a_ping_is_not_much() {
        let mut frames = Frames::of_server();
        for _ in 0..5 * AHEAD {
            frames.read(&[frame(8, 0, 0, 4), frame(8, 0, 1, 4)].concat());
            frames.wrote(4096);
        }
        assert!(!frames.is_flood());
        for _ in 0..2 * AHEAD {
            frames.read(&frame(6, 0, 0, 8));
            frames.wrote(17);
        }
        assert!(frames.is_flood());
        frames.waited(Duration::from_secs(60));
        assert!(!frames.is_flood());
    }
}
