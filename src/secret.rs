//! A secret in memory: it does not print, it is zeroed when dropped, and [`Secret::expose`] is the only door.
//!
//! Where secrets come from is the vault's matter, not this file's.

use std::fmt;
use std::sync::{Arc, Weak};

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The bytes of one secret, shared by reference.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<Vec<u8>>>);

/// Why bytes can't be a secret: each of these would change the message into which it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadSecret {
    /// Nothing at all; a request without its credential is never sent.
    Empty,
    /// CR, LF or NUL, which would end a header.
    ControlCharacter,
}

impl fmt::Display for BadSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the secret is empty",
            Self::ControlCharacter => "the secret holds CR, LF or NUL",
        })
    }
}

impl std::error::Error for BadSecret {}

impl Secret {
    /// Takes over the bytes of a secret.
    ///
    /// # Errors
    /// Nothing, or a CR, LF or NUL anywhere in it. A refused value is zeroed as well.
    pub fn new(bytes: Vec<u8>) -> Result<Self, BadSecret> {
        let bytes = Zeroizing::new(bytes);
        if bytes.is_empty() {
            return Err(BadSecret::Empty);
        }
        if bytes.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
            return Err(BadSecret::ControlCharacter);
        }
        Ok(Self(Arc::new(bytes)))
    }

    /// The value itself. Whoever calls this answers for where it goes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are the same value in the same place in memory: never true of two that were read one after another.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// By what this very copy is known again, for as long as it is anywhere in memory.
    pub fn mark(&self) -> SecretMark {
        SecretMark(Arc::downgrade(&self.0))
    }

    /// Compares without telling by the time taken where the first difference is.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.as_slice().ct_eq(presented).into()
    }
}

/// Where a secret stands in memory, without keeping it there.
#[derive(Clone)]
pub struct SecretMark(Weak<Zeroizing<Vec<u8>>>);

impl SecretMark {
    /// Whether it is the mark of this copy, and so of this value. Its place is nobody else's while there is a mark of it.
    pub fn is_of(&self, secret: &Secret) -> bool {
        std::ptr::eq(self.0.as_ptr(), Arc::as_ptr(&secret.0))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print() {
        let secret = Secret::new(b"hunter2".to_vec()).unwrap();
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.expose(), b"hunter2");
    }

    #[test]
    fn what_would_break_a_header_is_not_a_secret() {
        for (bytes, expected) in [
            (&b""[..], BadSecret::Empty),
            (b"a\r", BadSecret::ControlCharacter),
            (b"a\nb", BadSecret::ControlCharacter),
            (b"\0", BadSecret::ControlCharacter),
        ] {
            assert_eq!(Secret::new(bytes.to_vec()).err(), Some(expected));
        }
    }

    #[test]
    fn a_mark_is_of_one_copy_and_keeps_none() {
        let secret = Secret::new(b"hunter2".to_vec()).unwrap();
        let mark = secret.mark();
        assert!(mark.is_of(&secret.clone()));
        assert!(!mark.is_of(&Secret::new(b"hunter2".to_vec()).unwrap()));
        drop(secret);
        assert!(mark.0.upgrade().is_none());
        assert!(!mark.is_of(&Secret::new(b"hunter2".to_vec()).unwrap()));
    }

    #[test]
    fn comparison_is_of_the_whole_value() {
        let secret = Secret::new(b"hunter2".to_vec()).unwrap();
        assert!(secret.matches(b"hunter2"));
        for wrong in [&b"hunter"[..], b"hunter22", b"Hunter2", b""] {
            assert!(!secret.matches(wrong));
        }
    }
}
