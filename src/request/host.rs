//! Names of hosts: lower-case DNS names, and the patterns in which policies may write them.
//!
//! Addresses are not hosts. A name that some resolver would read as an address (`127.1`, `0x7f000001`) is refused
//! here, since `getaddrinfo` reads it so while address parsers do not.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A DNS name in canonical form: ASCII, lower case, without the root's dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

/// Why a text is not the name of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHost {
    /// Nothing, or nothing between two dots.
    EmptyLabel,
    /// A label of more than 63 bytes, or a name of more than 253 (RFC 1035 §2.3.4).
    TooLong,
    /// Something other than letters, digits and hyphens (RFC 1123 §2.1).
    Character(char),
    /// A label begins or ends with a hyphen.
    Hyphen,
    /// The last label is a number, so some resolvers read the whole as an IPv4 address.
    Numeric,
}

impl fmt::Display for BadHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyLabel => f.write_str("a host has no empty label"),
            Self::TooLong => f.write_str("a host has at most 253 bytes, and 63 in each label"),
            Self::Character(c) if c.is_ascii() => {
                write!(
                    f,
                    "a host has only letters, digits, hyphens and dots, not {c:?}"
                )
            }
            Self::Character(_) => {
                f.write_str("a host is written in ASCII; an international name in its `xn--` form")
            }
            Self::Hyphen => f.write_str("no label of a host begins or ends with a hyphen"),
            Self::Numeric => {
                f.write_str("a host whose last label is a number can be read as an address")
            }
        }
    }
}

impl Host {
    /// Reads a DNS name in any case, with or without the root's dot.
    ///
    /// # Errors
    /// The first rule that the name breaks.
    pub fn parse(text: &str) -> Result<Self, BadHost> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.len() > 253 {
            return Err(BadHost::TooLong);
        }
        let bytes = text.as_bytes();
        if !all(bytes, |byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.')
        }) {
            let is_odd = |c: &char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
            let odd = text.chars().find(is_odd);
            return Err(BadHost::Character(odd.unwrap_or_default()));
        }
        let mut last = bytes;
        while let Some(dot) = memchr::memchr(b'.', last) {
            check_label(&last[..dot])?;
            last = &last[dot + 1..];
        }
        check_label(last)?;
        if is_number(last) {
            return Err(BadHost::Numeric);
        }
        if all(bytes, |byte| !byte.is_ascii_uppercase()) {
            return Ok(Self(text.into()));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The canonical spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows the first dot.
    pub fn parent(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, parent)| parent)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Without an early exit, so that the compiler makes vector code of it.
fn all(bytes: &[u8], is_good: impl Fn(&u8) -> bool) -> bool {
    bytes.iter().fold(true, |good, byte| good & is_good(byte))
}

fn check_label(label: &[u8]) -> Result<(), BadHost> {
    match label {
        [] => Err(BadHost::EmptyLabel),
        bytes if bytes.len() > 63 => Err(BadHost::TooLong),
        [b'-', ..] | [.., b'-'] => Err(BadHost::Hyphen),
        _ => Ok(()),
    }
}

/// The WHATWG URL standard's "ends in a number" of a last label: digits, or `0x` and hexadecimal digits.
fn is_number(last: &[u8]) -> bool {
    match last {
        [b'0', b'x' | b'X', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

/// A host as policies write it: exact, or `*.` in place of exactly one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// Exactly this host.
    Exact(Host),
    /// One label, then this name.
    OneLabel(Host),
}

impl HostPattern {
    /// Reads a host, or `*.` before one. Public suffixes are the policy's matter.
    ///
    /// # Errors
    /// The first rule that the name breaks; a bare `*` is [`BadHost::Character`].
    pub fn parse(text: &str) -> Result<Self, BadHost> {
        match text.strip_prefix("*.") {
            Some(rest) => Host::parse(rest).map(Self::OneLabel),
            None => Host::parse(text).map(Self::Exact),
        }
    }

    /// Whether the pattern covers a host.
    pub fn covers(&self, host: &Host) -> bool {
        match self {
            Self::Exact(exact) => exact == host,
            Self::OneLabel(parent) => host.parent() == Some(parent.as_str()),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(host) => write!(f, "{host}"),
            Self::OneLabel(parent) => write!(f, "*.{parent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_has_one_spelling() {
        for text in ["api.good.test", "API.Good.TEST", "api.good.test."] {
            assert_eq!(Host::parse(text).unwrap().as_str(), "api.good.test");
        }
    }

    #[test]
    fn what_is_no_dns_name_is_refused() {
        let long_label = format!("{}.test", "a".repeat(64));
        let long_name = format!("{}test", "a.".repeat(125));
        for (text, expected) in [
            ("", BadHost::EmptyLabel),
            (".", BadHost::EmptyLabel),
            ("a..b", BadHost::EmptyLabel),
            (".a", BadHost::EmptyLabel),
            ("a.test..", BadHost::EmptyLabel),
            ("a_b.good.test", BadHost::Character('_')),
            ("a,b.test", BadHost::Character(',')),
            ("a;b.test", BadHost::Character(';')),
            ("*.wild.test", BadHost::Character('*')),
            ("evil.test%00.wild.test", BadHost::Character('%')),
            ("api%2egood.test", BadHost::Character('%')),
            ("[api.good.test]", BadHost::Character('[')),
            ("ａpi.good.test", BadHost::Character('ａ')),
            ("api。good.test", BadHost::Character('。')),
            ("apı.good.test", BadHost::Character('ı')),
            ("-a.com", BadHost::Hyphen),
            ("a-.com", BadHost::Hyphen),
            (&long_label, BadHost::TooLong),
            (&long_name, BadHost::TooLong),
            ("127.1", BadHost::Numeric),
            ("0x7f000001", BadHost::Numeric),
            ("0x7f.1", BadHost::Numeric),
            ("a.0x1", BadHost::Numeric),
            ("a.0X", BadHost::Numeric),
            ("2130706433", BadHost::Numeric),
            ("0", BadHost::Numeric),
            ("1.2.3.4.5", BadHost::Numeric),
            ("1.2.3.4", BadHost::Numeric),
            ("foo.1.", BadHost::Numeric),
        ] {
            assert_eq!(Host::parse(text).err(), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn a_star_stands_for_exactly_one_label() {
        let pattern = HostPattern::parse("*.wild.test").unwrap();
        for (host, covered) in [
            ("a.wild.test", true),
            ("wild.test", false),
            ("a.b.wild.test", false),
            ("awild.test", false),
        ] {
            assert_eq!(
                pattern.covers(&Host::parse(host).unwrap()),
                covered,
                "{host}"
            );
        }
        assert!(HostPattern::parse("*").is_err());
        assert!(HostPattern::parse("a.*.test").is_err());
    }
}
