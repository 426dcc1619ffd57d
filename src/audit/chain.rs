//! The chain of lines: each carries the hash of the line before it and its own.
//!
//! A line ends in `,"hash":"…"}`, and that hash is the SHA-256, in small hexadecimal letters, of all bytes of the line
//! before this ending. `prev_hash` is the hash of the line before, and 64 zeros on the first. So whoever changes,
//! removes, adds or moves a line has to write every later line anew, and then the newest hash is another one.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;

const OPENING: &[u8] = b",\"hash\":\"";
const CLOSING: &[u8] = b"\"}";
const HEX: usize = 64;

/// The bytes of a line's ending, without its line feed.
pub const SEAL: usize = OPENING.len() + HEX + CLOSING.len();

/// A SHA-256 as it is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; HEX]);

/// Where a chain has come to: the number and the hash of its newest line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The line's number, from 1; 0 of a chain without a line.
    pub seq: u64,
    /// The line's hash.
    pub hash: Hash,
}

/// What a whole line says of its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    /// The number and the hash that the line claims.
    pub(super) head: Head,
    /// The hash of the line before.
    pub(super) prev: Hash,
    /// Whether the hash is that of the line's bytes.
    pub(super) intact: bool,
    /// When it was written, as it is written there.
    pub(super) time: String,
    /// What a line is about that is no terminal record.
    pub(super) event: Option<Mark>,
}

/// The events of the chain itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// A process has begun to write, behind these bytes that are not whole lines.
    Started(Option<Torn>),
    /// A process has come to its end.
    Stopped,
    /// So many records could not be written.
    Lost(u64),
    /// Another, which is no process's: a request has begun, or a policy was refused.
    Other,
}

/// Bytes between the last whole line and a start: a line in the middle of which a process was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Torn {
    /// How many, with the line feed that ends them.
    pub(super) bytes: u64,
    /// Of all of them.
    pub(super) hash: Hash,
}

impl Torn {
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self {
            bytes: bytes.len() as u64,
            hash: Hash::of(bytes),
        })
    }
}

impl Hash {
    /// What stands in the place of a hash before the first line.
    pub const ZERO: Self = Self([b'0'; HEX]);

    /// That of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; HEX];
        for (pair, byte) in text
            .chunks_exact_mut(2)
            .zip(digest(&SHA256, bytes).as_ref())
        {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self(text)
    }

    /// Reads 64 small hexadecimal letters.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let text: [u8; HEX] = text.try_into().ok()?;
        text.iter().all(is_hex).then_some(Self(text))
    }

    /// Its letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal letters are ASCII")
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Head {
    /// Before the first line.
    pub const NONE: Self = Self {
        seq: 0,
        hash: Hash::ZERO,
    };
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash.as_str())
    }
}

impl FromStr for Head {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const FORM: &str = "a head is SEQ:HASH, as `exeat audit head` prints it";
        let (seq, hash) = text.trim().split_once(':').ok_or(FORM)?;
        Ok(Self {
            seq: seq.parse().map_err(|_| FORM)?,
            hash: Hash::parse(hash.as_bytes()).ok_or(FORM)?,
        })
    }
}

/// Ends the line that begins at `start`, and gives back its hash.
pub(super) fn seal(out: &mut Vec<u8>, start: usize) -> Hash {
    let hash = Hash::of(&out[start..]);
    out.extend_from_slice(OPENING);
    out.extend_from_slice(&hash.0);
    out.extend_from_slice(CLOSING);
    out.push(b'\n');
    hash
}

impl Sealed {
    /// Reads a line without its line feed. There is none if it is not one JSON object that ends in a hash.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let (body, ending) = line.split_at_checked(line.len().checked_sub(SEAL)?)?;
        let claimed = ending.strip_prefix(OPENING)?.strip_suffix(CLOSING)?;
        let claimed = Hash::parse(claimed)?;
        let said: Said<'_> = serde_json::from_slice(line).ok()?;
        Some(Self {
            intact: Hash::of(body) == claimed,
            head: Head {
                seq: said.seq,
                hash: claimed,
            },
            prev: Hash::parse(said.prev_hash.as_bytes())?,
            event: said.mark(),
            time: said.time.into_owned(),
        })
    }

    /// Whether it stands behind that line.
    pub(super) fn follows(&self, head: &Head) -> bool {
        self.head.seq == head.seq.saturating_add(1) && self.prev == head.hash
    }

    /// Whether it is the first of a chain.
    pub(super) fn begins(&self) -> bool {
        self.follows(&Head::NONE)
    }
}

/// The number of a line, whether or not it is as it was written.
pub fn chain_place(line: &[u8]) -> Option<u64> {
    Sealed::read(line).map(|sealed| sealed.head.seq)
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    prev_hash: Cow<'a, str>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    torn: Option<u64>,
    #[serde(borrow)]
    torn_hash: Option<Cow<'a, str>>,
    lost: Option<u64>,
}

impl Said<'_> {
    fn torn(&self) -> Option<Torn> {
        Some(Torn {
            bytes: self.torn?,
            hash: Hash::parse(self.torn_hash.as_deref()?.as_bytes())?,
        })
    }

    fn mark(&self) -> Option<Mark> {
        Some(match self.event.as_deref()? {
            "started" => Mark::Started(self.torn()),
            "stopped" => Mark::Stopped,
            "lost" => Mark::Lost(self.lost.unwrap_or(0)),
            _ => Mark::Other,
        })
    }
}
