//! Lines, and header lines as a name and the place of its value: what heads and trailers have in
//! common.
//!
//! Not here: what any header means.

use std::ops::Range;

use http::HeaderName;
use memchr::memchr;

use crate::wire::Malformed;

/// How far a line may reach, counted from the front of the buffer, and what it is refused for
/// beyond.
pub(super) struct Room {
    pub(super) bytes: usize,
    pub(super) excess: Malformed,
}

/// Finds the end of the line that starts at `start`: the index after its line feed. Bytes before
/// `scanned` were searched by an earlier call, so that a message in 1-byte segments costs no more
/// than one in a single segment. A line without room is refused whether or not its end has come.
///
/// # Errors
///
/// The excess, or [`Malformed::BareLineFeed`]: RFC 9112 §2.2 allows a lone line feed, and parsers
/// that disagree on it see two requests in one.
pub(super) fn line_end(
    buf: &[u8],
    start: usize,
    scanned: &mut usize,
    room: Room,
) -> Result<Option<usize>, Malformed> {
    let within = &buf[..buf.len().min(room.bytes)];
    let Some(at) = memchr(b'\n', &within[*scanned..]) else {
        *scanned = within.len();
        return if buf.len() > room.bytes {
            Err(room.excess)
        } else {
            Ok(None)
        };
    };
    let line_feed = *scanned + at;
    if line_feed == start || buf[line_feed - 1] != b'\r' {
        return Err(Malformed::BareLineFeed);
    }
    *scanned = line_feed + 1;
    Ok(Some(line_feed + 1))
}

/// One header line (RFC 9112 §5), without its CR LF: the name, and where in the line the value
/// stands.
///
/// Values are printable ASCII. A tab is legal, and it is how `chunked\t` became a framing of its
/// own; bytes above 0x7f are legal and read as Latin-1 here and as UTF-8 there. No client needs
/// either.
pub(super) fn field(line: &[u8]) -> Result<(HeaderName, Range<usize>), Malformed> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Malformed::Folded);
    }
    let colon = memchr(b':', line).ok_or(Malformed::NoColon)?;
    let name = name(&line[..colon])?;
    let value = trimmed(line, colon + 1);
    if !is_printable(&line[value.clone()]) {
        return Err(Malformed::ValueBytes);
    }
    Ok((name, value))
}

/// One header line of a reply. Servers do send tabs and bytes outside ASCII in values; what a value may
/// not hold at all is judged where it becomes one.
pub(super) fn answer_field(line: &[u8]) -> Result<(HeaderName, Range<usize>), Malformed> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Malformed::Folded);
    }
    let colon = memchr(b':', line).ok_or(Malformed::NoColon)?;
    let bytes = &line[..colon];
    let name = HeaderName::from_bytes(bytes).map_err(|_| why_no_name(bytes))?;
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = &line[colon + 1..];
    let before = value.iter().take_while(|it| is_blank(it)).count();
    let behind = value[before..].iter().rev().take_while(|it| is_blank(it));
    let end = line.len() - behind.count();
    Ok((name, colon + 1 + before..end))
}

/// A header name; also one that a `Connection` header nominates.
///
/// CGI (RFC 3875 §4.1.18) and what descends from it turn `-` into `_`, so that `X_Api_Key` is
/// `X-Api-Key` for the origin and another name for a policy: names with an underscore are refused.
pub(super) fn name(bytes: &[u8]) -> Result<HeaderName, Malformed> {
    let name = HeaderName::from_bytes(bytes).map_err(|_| why_no_name(bytes))?;
    if memchr(b'_', bytes).is_some() {
        return Err(Malformed::UnderscoreInName);
    }
    Ok(name)
}

#[cold]
fn why_no_name(bytes: &[u8]) -> Malformed {
    match bytes.last() {
        None => Malformed::EmptyName,
        Some(b' ' | b'\t') => Malformed::SpaceBeforeColon,
        Some(_) => Malformed::Name,
    }
}

/// The place of a value without the spaces round it. Tabs are left where they are, to be refused.
fn trimmed(line: &[u8], from: usize) -> Range<usize> {
    let rest = &line[from..];
    let Some(first) = rest.iter().position(|byte| *byte != b' ') else {
        return from..from;
    };
    let last = rest.iter().rposition(|byte| *byte != b' ').unwrap_or(first);
    from + first..from + last + 1
}

/// Without an early exit, so that the compiler makes vector code of it.
pub(super) fn is_printable(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .fold(true, |good, byte| good & matches!(byte, 0x20..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_holds_the_token_characters_but_no_underscore() {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&byte);
        for byte in 0..=u8::MAX {
            for spelled in [
                vec![byte],
                vec![b'x', byte, b'y'],
                [vec![b'x'; 70], vec![byte, b'y']].concat(),
            ] {
                assert_eq!(name(&spelled).is_ok(), token(byte), "{spelled:?}");
            }
        }
    }

    #[test]
    fn a_value_is_printable_ascii_with_spaces_trimmed() {
        for byte in 0..=u8::MAX {
            let line = [b"x:  a", &[byte][..], b"b "].concat();
            match field(&line) {
                Ok((_, value)) => assert_eq!(&line[value], [b'a', byte, b'b']),
                Err(why) => assert_eq!(why, Malformed::ValueBytes),
            }
            assert_eq!(
                field(&line).is_ok(),
                (0x20..0x7f).contains(&byte),
                "{byte:#x}"
            );
        }
        for empty in ["x:", "x: ", "x:    "] {
            assert!(field(empty.as_bytes()).unwrap().1.is_empty(), "{empty:?}");
        }
    }
}
