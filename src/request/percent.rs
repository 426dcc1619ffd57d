//! Percent-encoding (RFC 3986 §2.1), read strictly and written in one way.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986 §2.3. One set serves path segments and query values alike, so a
/// value looks the same wherever it stands and no delimiter of either place can come from a value.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why a text cannot be decoded in one way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadEncoding {
    /// `%` without two hexadecimal digits after it.
    Truncated,
    /// What comes out is not UTF-8, overlong forms among it.
    NotUtf8,
    /// A control character, encoded or not.
    Control,
    /// A character that has to be percent-encoded and is not.
    Raw(char),
}

impl fmt::Display for BadEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("`%` must be followed by two hexadecimal digits"),
            Self::NotUtf8 => f.write_str("percent-encoded bytes must be UTF-8"),
            Self::Control => f.write_str("control characters are refused"),
            Self::Raw(c) => write!(f, "{c:?} must be percent-encoded"),
        }
    }
}

/// Encodes a value for a path segment, a query name or a query value.
pub fn encode(value: &str) -> String {
    utf8_percent_encode(value, RESERVED).to_string()
}

/// As [`encode`], at the end of a text.
pub fn encode_into(value: &str, out: &mut String) {
    let is_unreserved =
        |it: u8| it.is_ascii_alphanumeric() || matches!(it, b'-' | b'.' | b'_' | b'~');
    match value.bytes().all(is_unreserved) {
        true => out.push_str(value),
        false => out.extend(utf8_percent_encode(value, RESERVED)),
    }
}

/// Whether a text may be the value of a query entry or a form field: lines of text, but no other control characters.
pub fn fits_query_value(value: &str) -> bool {
    let is_plain = value.bytes().all(|it| matches!(it, b' '..=b'~'));
    is_plain || !value.contains(|c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n'))
}

/// Where a text stands: it decides what `+` means and which control characters may come out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// `+` is itself; no control characters.
    Segment,
    /// `+` is a space, as in HTML's form encoding; no control characters.
    QueryName,
    /// As a name, but a value may be text of several lines.
    QueryValue,
}

/// Decodes once, at the end of `out`.
pub(super) fn decode_into(text: &str, place: Place, out: &mut String) -> Result<(), BadEncoding> {
    let classes = text.bytes().map(|byte| CLASSES[usize::from(byte)]);
    match classes.max().unwrap_or(Class::Itself) {
        Class::Itself => {
            out.push_str(text);
            return Ok(());
        }
        Class::Coded => {}
        Class::Odd => return Err(odd(text)),
    }
    let decoded = decode(text.as_bytes(), place != Place::Segment)?;
    let decoded = std::str::from_utf8(&decoded).map_err(|_| BadEncoding::NotUtf8)?;
    let fits = match place {
        Place::QueryValue => fits_query_value(decoded),
        Place::Segment | Place::QueryName => !decoded.contains(char::is_control),
    };
    if !fits {
        return Err(BadEncoding::Control);
    }
    out.push_str(decoded);
    Ok(())
}

fn decode(bytes: &[u8], plus_is_space: bool) -> Result<Vec<u8>, BadEncoding> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let (byte, next) = match (first, after) {
            (b'%', [high, low, next @ ..]) => (hex(*high)? << 4 | hex(*low)?, next),
            (b'%', _) => return Err(BadEncoding::Truncated),
            (b'+', next) if plus_is_space => (b' ', next),
            (other, next) => (*other, next),
        };
        decoded.push(byte);
        rest = next;
    }
    Ok(decoded)
}

fn hex(digit: u8) -> Result<u8, BadEncoding> {
    let value = char::from(digit)
        .to_digit(16)
        .ok_or(BadEncoding::Truncated)?;
    Ok(u8::try_from(value).unwrap_or_default())
}

/// What a byte is in a path or a query.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    /// Means itself.
    Itself,
    /// `%`, and `+`, which means a space in a query.
    Coded,
    /// Has to be percent-encoded.
    Odd,
}

/// Means itself: what RFC 3986 lets stand in a path or a query, and `[ ]`, which browsers and `requests` leave alone in
/// queries.
static CLASSES: [Class; 256] = {
    let mut classes = [Class::Odd; 256];
    let plain =
        b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-._~!$&'()*,=:@/?;[]";
    let mut at = 0;
    while at < plain.len() {
        classes[plain[at] as usize] = Class::Itself;
        at += 1;
    }
    classes[b'%' as usize] = Class::Coded;
    classes[b'+' as usize] = Class::Coded;
    classes
};

fn odd(text: &str) -> BadEncoding {
    let is_odd = |c: &char| !u8::try_from(*c).is_ok_and(|it| CLASSES[usize::from(it)] < Class::Odd);
    match text.chars().find(is_odd) {
        Some(odd) if !odd.is_ascii_control() => BadEncoding::Raw(odd),
        _ => BadEncoding::Control,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(text: &str) -> Result<String, BadEncoding> {
        let mut out = String::new();
        decode_into(text, Place::QueryName, &mut out).map(|()| out)
    }

    #[test]
    fn decoding_happens_once_and_strictly() {
        for (text, expected) in [
            ("New%20York", Ok("New York")),
            ("New+York", Ok("New York")),
            ("%2B", Ok("+")),
            ("%252e", Ok("%2e")),
            ("caf%C3%A9", Ok("café")),
            ("%zz", Err(BadEncoding::Truncated)),
            ("%", Err(BadEncoding::Truncated)),
            ("%4", Err(BadEncoding::Truncated)),
            ("%u002e", Err(BadEncoding::Truncated)),
            ("%+1", Err(BadEncoding::Truncated)),
            ("%c0%ae", Err(BadEncoding::NotUtf8)),
            ("%e0%80%ae", Err(BadEncoding::NotUtf8)),
            ("%00", Err(BadEncoding::Control)),
            ("%0d%0aX", Err(BadEncoding::Control)),
            ("%7f", Err(BadEncoding::Control)),
            ("a\tb", Err(BadEncoding::Control)),
            ("é", Err(BadEncoding::Raw('é'))),
            ("a b", Err(BadEncoding::Raw(' '))),
            ("a\\b", Err(BadEncoding::Raw('\\'))),
            ("a\"b", Err(BadEncoding::Raw('"'))),
            ("a#b", Err(BadEncoding::Raw('#'))),
        ] {
            assert_eq!(decoded(text), expected.map(str::to_owned), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in "\\PC*") {
            prop_assume!(!value.chars().any(char::is_control));
            let mut written = String::new();
            encode_into(&value, &mut written);
            prop_assert_eq!(&written, &encode(&value));
            prop_assert_eq!(decoded(&written), Ok(value));
        }
    }
}
