//! A ClientHello (RFC 8446 §4.1.2), read as far as a tunnel that is not opened needs it: whom does it name, and does
//! it hide another name.
//!
//! Strict, since the server behind the tunnel reads the same bytes: what two parsers could read in two ways is refused.
//! Intercepted tunnels are rustls's.
//!
//! Pure: it is handed the bytes that have come, and waits for none.

use rustls::AlertDescription;

/// The content type of a TLS record that holds a handshake.
pub(super) const HANDSHAKE: u8 = 22;

/// Of all records. A hello with post-quantum key shares has 2 KiB; rustls takes 64 KiB, and nobody sends half of this.
const MOST_BYTES: usize = 16 * 1024;

const CLIENT_HELLO: u8 = 1;
/// As a hello says it; TLS 1.3 says the same in this place (RFC 8446 §4.1.2).
const TLS_1_2: [u8; 2] = [3, 3];
const SERVER_NAME: u16 = 0;

/// Why a ClientHello is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// Not TLS, or not a ClientHello that can be read in one way.
    NotTls,
    /// TLS 1.1 or older, which RFC 8996 forbids and no server behind an action is reached with either.
    TooOld,
    /// It has no server name.
    NoName,
    /// The name that counts is encrypted, so nobody here can know it.
    Encrypted,
}

/// The alerts that we send before a handshake has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alert {
    /// The server name is not the host of the CONNECT.
    UnrecognizedName,
    /// There is no server name.
    MissingExtension,
    /// What came is no ClientHello.
    DecodeError,
    /// What came is older than TLS 1.2.
    ProtocolVersion,
}

impl Alert {
    /// The alert as a record of its own, fatal (RFC 8446 §6).
    pub(super) fn record(self) -> [u8; 7] {
        let description = match self {
            Self::UnrecognizedName => AlertDescription::UnrecognisedName,
            Self::MissingExtension => AlertDescription::MissingExtension,
            Self::DecodeError => AlertDescription::DecodeError,
            Self::ProtocolVersion => AlertDescription::ProtocolVersion,
        };
        [21, 3, 3, 0, 2, 2, u8::from(description)]
    }
}

/// Puts a ClientHello together from records, however they and the segments are cut.
#[derive(Debug, Default)]
pub struct HelloReader {
    /// Where in the bytes the next record begins.
    at: usize,
    message: Vec<u8>,
}

impl HelloReader {
    /// Reads what has come of the stream since its beginning: the server name, or `None` while more has to come. How
    /// the bytes are cut into calls changes no result.
    ///
    /// # Errors
    /// Why it can't be passed on.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Option<String>, Bad> {
        if bytes.first().is_some_and(|first| *first != HANDSHAKE) {
            return Err(Bad::NotTls);
        }
        while let Some((fragment, end)) = record(bytes, self.at)? {
            if end > MOST_BYTES {
                return Err(Bad::NotTls);
            }
            self.message.extend_from_slice(fragment);
            self.at = end;
            if let Some(hello) = whole(&self.message)? {
                return server_name(hello).map(Some);
            }
        }
        if bytes.len() > MOST_BYTES {
            return Err(Bad::NotTls);
        }
        Ok(None)
    }
}

/// The fragment in the record at a place, and where the record ends.
fn record(bytes: &[u8], at: usize) -> Result<Option<(&[u8], usize)>, Bad> {
    let Some(&[kind, major, minor, high, low]) = bytes.get(at..at + 5) else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    // No empty fragments of a handshake (RFC 8446 §5.1); 3.0 in a record is older than any TLS we speak.
    let good = kind == HANDSHAKE && major == 3 && (1..=4).contains(&minor);
    if !good || !(1..=MOST_BYTES).contains(&length) {
        return Err(Bad::NotTls);
    }
    let start = at + 5;
    Ok(bytes
        .get(start..start + length)
        .map(|it| (it, start + length)))
}

/// The body of the ClientHello once it is all there, and nothing behind it.
fn whole(message: &[u8]) -> Result<Option<&[u8]>, Bad> {
    let Some(&[kind, high, middle, low]) = message.get(..4) else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    if kind != CLIENT_HELLO || length > MOST_BYTES || message.len() > 4 + length {
        return Err(Bad::NotTls);
    }
    Ok(message[4..].get(..length))
}

fn server_name(hello: &[u8]) -> Result<String, Bad> {
    if hello.get(..2).is_some_and(|version| version < &TLS_1_2[..]) {
        return Err(Bad::TooOld);
    }
    let extensions = extensions(hello).ok_or(Bad::NotTls)?;
    let mut seen = Vec::new();
    let mut name = None;
    let mut rest = extensions;
    while !rest.is_empty() {
        let (kind, content) = extension(&mut rest).ok_or(Bad::NotTls)?;
        if seen.contains(&kind) {
            return Err(Bad::NotTls);
        }
        seen.push(kind);
        if kind == SERVER_NAME {
            name = Some(only_name(content).ok_or(Bad::NotTls)?);
        }
    }
    if seen.iter().any(|kind| hides_a_name(*kind)) {
        return Err(Bad::Encrypted);
    }
    name.ok_or(Bad::NoName)
}

/// Encrypted Client Hello (RFC 9849, the last in the range) and what its drafts were called, which some servers still
/// understand.
fn hides_a_name(extension: u16) -> bool {
    matches!(extension, 0xfe08..=0xfe0d | 0xff02 | 0xffce)
}

/// The extensions, which end where the message does.
fn extensions(hello: &[u8]) -> Option<&[u8]> {
    let mut rest = hello;
    take(&mut rest, 2 + 32)?;
    let session = vector(&mut rest, 1)?;
    let suites = vector(&mut rest, 2)?;
    let compressions = vector(&mut rest, 1)?;
    let good = session.len() <= 32 && !suites.is_empty() && !compressions.is_empty();
    let extensions = vector(&mut rest, 2)?;
    (good && rest.is_empty()).then_some(extensions)
}

fn extension<'a>(rest: &mut &'a [u8]) -> Option<(u16, &'a [u8])> {
    let kind = take(rest, 2)?;
    Some((u16::from_be_bytes([kind[0], kind[1]]), vector(rest, 2)?))
}

/// A list of server names (RFC 6066 §3) with one name in it: servers differ on which of two they take.
fn only_name(mut content: &[u8]) -> Option<String> {
    let mut list = vector(&mut content, 2)?;
    let is_host = take(&mut list, 1)? == [0];
    let name = vector(&mut list, 2)?;
    let only = is_host && content.is_empty() && list.is_empty();
    only.then(|| String::from_utf8(name.to_vec()).ok())
        .flatten()
}

/// A vector behind its length, which has so many bytes.
fn vector<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let length = take(rest, width)?;
    let length = length
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    take(rest, length)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(width: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[8 - width..], content].concat()
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &vector(2, content)].concat()
    }

    fn names(names: &[&str]) -> Vec<u8> {
        let names = names
            .iter()
            .map(|it| [&[0][..], &vector(2, it.as_bytes())].concat());
        extension(SERVER_NAME, &vector(2, &names.collect::<Vec<_>>().concat()))
    }

    fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
        let start = [&[3, 3][..], &[7; 32], &vector(1, &[9; 32])].concat();
        let middle = [vector(2, &[0x13, 1]), vector(1, &[0])].concat();
        let body = [start, middle, vector(2, &extensions.concat())].concat();
        [vec![CLIENT_HELLO], vector(3, &body)].concat()
    }

    fn records(message: &[u8], size: usize) -> Vec<u8> {
        let records = message.chunks(size);
        let record = |it: &[u8]| [&[HANDSHAKE, 3, 1][..], &vector(2, it)].concat();
        records.flat_map(record).collect()
    }

    fn read(bytes: &[u8], segment: usize) -> Result<Option<String>, Bad> {
        let mut reader = HelloReader::default();
        for end in (0..bytes.len())
            .step_by(segment)
            .skip(1)
            .chain([bytes.len()])
        {
            if let Some(name) = reader.read(&bytes[..end])? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_name_is_found_however_the_hello_is_cut() {
        let message = message(&[extension(10, &[0, 2, 0, 29]), names(&["a.test"])]);
        for size in [1, 2, 7, 1000] {
            for segment in [1, 3, 10_000] {
                let found = read(&records(&message, size), segment);
                assert_eq!(found, Ok(Some("a.test".into())), "C6: {size} {segment}");
            }
        }
        let whole = records(&message, 20);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length], 1), Ok(None), "{length}");
        }
    }

    #[test]
    fn a_hello_that_is_too_long_is_refused_also_where_all_of_it_comes_at_once() {
        let message = message(&[names(&["a.test"]), extension(21, &[0; 3000])]);
        let bytes = records(&message, 1);
        assert!(message.len() < MOST_BYTES && bytes.len() > MOST_BYTES);
        for segment in [1, 5000, bytes.len()] {
            assert_eq!(read(&bytes, segment), Err(Bad::NotTls), "{segment}");
        }
    }

    #[test]
    fn what_has_no_name_or_two_readings_is_not_passed_on() {
        let encrypted = extension(0xfe0d, &[0; 40]);
        for (extensions, bad) in [
            (vec![], Bad::NoName),
            (vec![extension(10, &[])], Bad::NoName),
            (vec![names(&["a.test"]), encrypted], Bad::Encrypted),
            (vec![names(&["a.test", "b.test"])], Bad::NotTls),
            (vec![names(&["a.test"]), names(&["b.test"])], Bad::NotTls),
            (vec![names(&[])], Bad::NotTls),
            (vec![extension(SERVER_NAME, &[])], Bad::NotTls),
            (
                vec![extension(SERVER_NAME, &[0, 4, 1, 0, 1, 97])],
                Bad::NotTls,
            ),
            (vec![names(&["a.test"]), vec![0]], Bad::NotTls),
        ] {
            let bytes = records(&message(&extensions), 1000);
            assert_eq!(read(&bytes, 10_000), Err(bad), "C2, C4, C5: {extensions:?}");
        }
    }

    #[test]
    fn what_is_older_than_tls_1_2_is_not_passed_on() {
        for (version, expected) in [
            ([0, 2], Err(Bad::TooOld)),
            ([3, 0], Err(Bad::TooOld)),
            ([3, 1], Err(Bad::TooOld)),
            ([3, 2], Err(Bad::TooOld)),
            ([3, 3], Ok(Some("a.test".into()))),
        ] {
            let mut message = message(&[names(&["a.test"])]);
            message[4..6].copy_from_slice(&version);
            let found = read(&records(&message, 1000), 10_000);
            assert_eq!(found, expected, "C8: {version:?}");
        }
    }

    #[test]
    fn what_is_no_hello_is_not_waited_for() {
        let good = records(&message(&[names(&["a.test"])]), 1000);
        let changed = |at: usize, to: u8| {
            let mut bytes = good.clone();
            bytes[at] = to;
            bytes
        };
        let behind = [message(&[names(&["a.test"])]), vec![0]].concat();
        for bytes in [
            b"SSH-2.0-x".to_vec(),
            b"\x80\x2e\x01".to_vec(),
            changed(1, 2),
            changed(2, 0),
            changed(5, 2),
            changed(6, 1),
            [&[HANDSHAKE, 3, 1, 0, 0], &good[..]].concat(),
            [&[HANDSHAKE, 3, 1, 0xff, 0xff], &good[..]].concat(),
            records(&behind, 1000),
            records(&[&[CLIENT_HELLO, 0, 0x40, 0][..], &[0; 20_000]].concat(), 1),
        ] {
            let start = &bytes[..bytes.len().min(20)];
            assert_eq!(read(&bytes, 10_000), Err(Bad::NotTls), "{start:x?}");
        }
    }
}
