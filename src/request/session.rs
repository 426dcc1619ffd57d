//! The id of a session, as it travels in the proxy user name, a field of the HTTP door, or a header.
//!
//! Whether there is such a session is the sessions' matter. Who knows an id speaks for the conversation, so it prints
//! nowhere; logs have its hash.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

/// 128 random bits, which only exeat issues: 32 hexadecimal digits, in small letters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

/// A text that no session has as its id. What it was is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSessionId;

impl fmt::Display for BadSessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not the id of a session; use one that exeat has issued")
    }
}

impl std::error::Error for BadSessionId {}

impl SessionId {
    /// An id of these bits. They have to be random: nothing else keeps one agent out of another's conversation.
    pub fn of_random(bits: [u8; 16]) -> Self {
        Self(bits)
    }

    /// Reads an id. It has one spelling.
    ///
    /// # Errors
    /// Anything that exeat does not issue.
    pub fn parse(text: &str) -> Result<Self, BadSessionId> {
        let digits: &[u8; 32] = text.as_bytes().try_into().map_err(|_| BadSessionId)?;
        let mut bits = [0; 16];
        for (byte, pair) in bits.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = [pair[0], pair[1]].map(digit);
            *byte = high.ok_or(BadSessionId)? << 4 | low.ok_or(BadSessionId)?;
        }
        Ok(Self(bits))
    }

    /// The id itself, for whoever opened the session and for nobody else.
    pub fn expose(&self) -> String {
        hex(&self.0)
    }

    /// What logs show: enough to find a session's records, and no way back.
    pub fn hash(&self) -> String {
        hex(&digest(&SHA256, &self.0).as_ref()[..8])
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId(hash {})", self.hash())
    }
}

fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let good = "00112233445566778899aabbccddeeff";
        assert_eq!(SessionId::parse(good).unwrap().expose(), good);
        let upper = good.to_uppercase();
        let (short, long) = (&good[1..], format!("{good}0"));
        let odd = good.replace('f', "g");
        for text in ["", &upper, short, &long, &odd, &good.replace("00", "é")] {
            assert_eq!(SessionId::parse(text), Err(BadSessionId), "{text}");
        }
    }

    #[test]
    fn an_id_does_not_print() {
        let id = SessionId::of_random([0xab; 16]);
        let printed = format!("{id:?}");
        assert!(!printed.contains("abab"), "{printed}");
        assert!(printed.contains(&id.hash()));
        assert_ne!(id.hash(), SessionId::of_random([0xac; 16]).hash());
    }
}
