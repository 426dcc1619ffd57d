//! The chunked coding (RFC 9112 §7.1), read strictly: data comes out as slices. Trailers of requests
//! are dropped, those of replies are kept.
//!
//! Not here: how many bytes a body may have in all.

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};

use crate::wire::Malformed;
use crate::wire::line::{self, Room};

/// One step of a chunked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The next bytes of the body, never empty. A chunk may come in several pieces.
    Data(Bytes),
    /// The body is complete, trailers included; what is left in the buffer is not part of it.
    End,
}

/// A chunk's largest size. A parser with 32 signed bits reads a larger one as negative, and no
/// client holds 2 GiB in memory to send them as one chunk. Sixteen digits are thus eight that count
/// and eight leading zeros, enough for clients that write the size into a padded field.
const CHUNK_BYTES: u64 = 0x7fff_ffff;

/// The most digits of a size, leading zeros included.
const SIZE_DIGITS: u8 = 16;

/// All trailers together: those of requests are read to find the end and then dropped, so a client gains
/// nothing from sending more; those of replies are a status and a checksum.
const TRAILER_BYTES: usize = 8 * 1024;

/// Reads one chunked body. Refused beside plain errors: whitespace, signs and `0x` in a size, line
/// feeds without a carriage return, and chunk extensions. RFC 9112 §7.1.1 would have extensions
/// ignored, but parsers disagree on where one ends (CVE-2025-22871 and its kin), and no client of
/// an API sends any.
#[derive(Debug)]
pub struct ChunkedReader {
    state: State,
    /// Bytes of trailer lines so far.
    trailer_bytes: usize,
    /// The trailers of a reply.
    trailers: Option<HeaderMap>,
    /// Bytes of the trailer line at the front of the buffer that hold no line feed.
    scanned: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size { value: u64, digits: u8 },
    SizeLineFeed { value: u64 },
    Data { left: u64 },
    DataReturn,
    DataLineFeed,
    Trailers,
    Done,
}

impl Default for ChunkedReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ChunkedReader {
    /// A reader at the first byte of a body.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Size {
                value: 0,
                digits: 0,
            },
            trailer_bytes: 0,
            trailers: None,
            scanned: 0,
        }
    }

    /// A reader of a reply's body, which keeps the trailers.
    #[must_use]
    pub fn of_reply() -> Self {
        Self {
            trailers: Some(HeaderMap::new()),
            ..Self::new()
        }
    }

    /// The trailers of a reply whose end has come; empty the second time, and for requests.
    pub fn take_trailers(&mut self) -> HeaderMap {
        self.trailers.take().unwrap_or_default()
    }

    /// Takes the next piece off the front of `buf`, or `None` if more bytes have to come first.
    /// Between two calls the caller may only append to `buf`. After the end, it is the end again.
    ///
    /// # Errors
    ///
    /// What is wrong with the coding or with a trailer's syntax. The body is then incomplete, and
    /// the request that carries it must be aborted, not ended.
    pub fn read(&mut self, buf: &mut BytesMut) -> Result<Option<Piece>, Malformed> {
        loop {
            match self.state {
                State::Data { left } => return Ok(self.take_data(left, buf)),
                State::Done => return Ok(Some(Piece::End)),
                State::Trailers => {
                    if !self.read_trailers(buf)? {
                        return Ok(None);
                    }
                    self.state = State::Done;
                }
                _ if buf.is_empty() => return Ok(None),
                _ => self.step_through(buf)?,
            }
        }
    }

    fn take_data(&mut self, left: u64, buf: &mut BytesMut) -> Option<Piece> {
        if buf.is_empty() {
            return None;
        }
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        let left = left - length as u64;
        self.state = if left == 0 {
            State::DataReturn
        } else {
            State::Data { left }
        };
        Some(Piece::Data(buf.split_to(length).freeze()))
    }

    /// The bytes between two chunks' data.
    fn step_through(&mut self, buf: &mut BytesMut) -> Result<(), Malformed> {
        let mut used = 0;
        for byte in buf.iter() {
            self.state = step(self.state, *byte)?;
            used += 1;
            if matches!(self.state, State::Data { .. } | State::Trailers) {
                break;
            }
        }
        buf.advance(used);
        Ok(())
    }

    /// Whether the blank line after the trailers has come.
    fn read_trailers(&mut self, buf: &mut BytesMut) -> Result<bool, Malformed> {
        loop {
            let room = Room {
                bytes: TRAILER_BYTES - self.trailer_bytes,
                excess: Malformed::TrailersTooLarge,
            };
            let Some(end) = line::line_end(buf, 0, &mut self.scanned, room)? else {
                return Ok(false);
            };
            self.trailer_bytes += end;
            self.scanned = 0;
            let trailer = buf.split_to(end);
            match (&trailer[..end - 2], &mut self.trailers) {
                ([], _) => return Ok(true),
                (trailer, None) => drop(line::field(trailer)?),
                (trailer, Some(kept)) => keep(trailer, kept)?,
            }
        }
    }
}

/// Trailers fit into [`TRAILER_BYTES`], so they are never too many.
fn keep(trailer: &[u8], kept: &mut HeaderMap) -> Result<(), Malformed> {
    let (name, value) = line::answer_field(trailer)?;
    let value = HeaderValue::from_bytes(&trailer[value]).map_err(|_| Malformed::ValueBytes)?;
    kept.append(name, value);
    Ok(())
}

fn step(state: State, byte: u8) -> Result<State, Malformed> {
    match (state, byte) {
        (State::Size { digits: 1.., value }, b'\r') => Ok(State::SizeLineFeed { value }),
        (State::Size { digits: 1.., .. }, b';') => Err(Malformed::ChunkExtension),
        (State::Size { value, digits }, _) => more_size(value, digits, byte),
        (State::SizeLineFeed { value: 0 }, b'\n') => Ok(State::Trailers),
        (State::SizeLineFeed { value }, b'\n') => Ok(State::Data { left: value }),
        (State::SizeLineFeed { .. }, _) => Err(Malformed::ChunkSize),
        (State::DataReturn, b'\r') => Ok(State::DataLineFeed),
        (State::DataLineFeed, b'\n') => Ok(State::Size {
            value: 0,
            digits: 0,
        }),
        (State::DataReturn | State::DataLineFeed, _) => Err(Malformed::ChunkEnd),
        (State::Data { .. } | State::Trailers | State::Done, _) => Ok(state),
    }
}

fn more_size(value: u64, digits: u8, byte: u8) -> Result<State, Malformed> {
    let digit = char::from(byte).to_digit(16).ok_or(Malformed::ChunkSize)?;
    let value = value * 16 + u64::from(digit);
    if digits == SIZE_DIGITS || value > CHUNK_BYTES {
        return Err(Malformed::ChunkTooLarge);
    }
    Ok(State::Size {
        value,
        digits: digits + 1,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::write::{CHUNK_END, LAST_CHUNK, chunk_size};

    /// A body, and what is left of the bytes behind it.
    type Body = (Vec<u8>, Vec<u8>);

    /// Reads a body whose bytes come in segments of these lengths, over and over.
    fn read(bytes: &[u8], segments: &[usize]) -> Result<Option<Body>, Malformed> {
        let (mut reader, mut buf, mut body) = (ChunkedReader::new(), BytesMut::new(), Vec::new());
        let mut rest = bytes;
        let mut segments = segments.iter().cycle();
        while !rest.is_empty() {
            let (segment, later) = rest.split_at(rest.len().min(*segments.next().unwrap()));
            buf.extend_from_slice(segment);
            rest = later;
            while let Some(piece) = reader.read(&mut buf)? {
                match piece {
                    Piece::Data(data) => {
                        assert!(!data.is_empty());
                        body.extend_from_slice(&data);
                    }
                    Piece::End => return Ok(Some((body, [&buf[..], rest].concat()))),
                }
            }
        }
        Ok(None)
    }

    fn check(input: &[u8], expected: Result<&str, Malformed>) {
        for segments in [&[usize::MAX][..], &[1], &[2], &[3, 1]] {
            let outcome = read(input, segments);
            let shown = String::from_utf8_lossy(&input[..input.len().min(60)]);
            match expected {
                Ok(body) => {
                    let (got, left) = outcome.unwrap().expect(&shown);
                    assert_eq!(
                        (got.as_slice(), left.as_slice()),
                        (body.as_bytes(), &b"NEXT"[..])
                    );
                }
                Err(why) => assert_eq!(outcome, Err(why), "{shown:?} in {segments:?}"),
            }
        }
    }

    #[test]
    fn a_plain_body_is_read_and_nothing_beyond_it() {
        for (input, body) in [
            ("0\r\n\r\nNEXT", ""),
            ("2\r\nab\r\n0\r\n\r\nNEXT", "ab"),
            ("2\r\nab\r\n3\r\n\r\n0\r\n0\r\n\r\nNEXT", "ab\r\n0"),
            ("A\r\n0123456789\r\n00\r\n\r\nNEXT", "0123456789"),
            ("00000002\r\nab\r\n00000000\r\n\r\nNEXT", "ab"),
            ("0000000000000002\r\nab\r\n0\r\n\r\nNEXT", "ab"),
        ] {
            check(input.as_bytes(), Ok(body));
        }
    }

    #[test]
    fn trailers_are_dropped() {
        for trailers in [
            "Authorization: evil\r\n",
            "Content-Length: 5\r\nHost: evil.test\r\n",
            "Transfer-Encoding: x\r\n",
        ] {
            check(
                format!("1\r\na\r\n0\r\n{trailers}\r\nNEXT").as_bytes(),
                Ok("a"),
            );
        }
    }

    #[test]
    fn a_size_has_digits_and_nothing_else() {
        let zeros = "0".repeat(1000);
        for (size, why) in [
            ("", Malformed::ChunkSize),
            ("2 ", Malformed::ChunkSize),
            ("2\t", Malformed::ChunkSize),
            (" 2", Malformed::ChunkSize),
            ("+2", Malformed::ChunkSize),
            ("-2", Malformed::ChunkSize),
            ("0x2", Malformed::ChunkSize),
            ("2_0", Malformed::ChunkSize),
            ("2h", Malformed::ChunkSize),
            ("\u{ff12}", Malformed::ChunkSize),
            ("2\r", Malformed::ChunkSize),
            ("2;a=b", Malformed::ChunkExtension),
            ("2;", Malformed::ChunkExtension),
            (";a", Malformed::ChunkSize),
            ("ffffffffffffffff1", Malformed::ChunkTooLarge),
            ("ffffffffffffffff", Malformed::ChunkTooLarge),
            ("7fffffffffffffff", Malformed::ChunkTooLarge),
            ("80000000", Malformed::ChunkTooLarge),
            (&zeros, Malformed::ChunkTooLarge),
            (&format!("{zeros}2"), Malformed::ChunkTooLarge),
            ("00000000000000002", Malformed::ChunkTooLarge),
        ] {
            check(
                format!("{size}\r\nab\r\n0\r\n\r\nNEXT").as_bytes(),
                Err(why),
            );
        }
        check(b"2\nab\r\n0\r\n\r\n", Err(Malformed::ChunkSize));
        check(b"1\r\na\r\n0\n\r\n", Err(Malformed::ChunkSize));
    }

    #[test]
    fn data_ends_with_a_carriage_return_and_a_line_feed() {
        for input in [
            "2\r\nabX\r\n0\r\n\r\n",
            "2\r\nab\n0\r\n\r\n",
            "2\r\nab\rX0\r\n\r\n",
            "2\r\nab0\r\n\r\n",
        ] {
            check(input.as_bytes(), Err(Malformed::ChunkEnd));
        }
    }

    #[test]
    fn a_malformed_trailer_is_refused_although_it_is_dropped() {
        let long = format!("x: {}\r\n", "a".repeat(TRAILER_BYTES));
        let many = "x: a\r\n".repeat(TRAILER_BYTES / 6 + 1);
        for (trailers, why) in [
            ("x: a\n", Malformed::BareLineFeed),
            ("\n", Malformed::BareLineFeed),
            (" x: a\r\n", Malformed::Folded),
            ("x: a\r\n b\r\n", Malformed::Folded),
            ("x : a\r\n", Malformed::SpaceBeforeColon),
            ("GET / HTTP/1.1\r\n", Malformed::NoColon),
            ("x: a\rb\r\n", Malformed::ValueBytes),
            (&long, Malformed::TrailersTooLarge),
            (&many, Malformed::TrailersTooLarge),
        ] {
            check(
                format!("1\r\na\r\n0\r\n{trailers}\r\n").as_bytes(),
                Err(why),
            );
        }
    }

    #[test]
    fn a_body_that_breaks_off_never_ends() {
        let whole = b"2\r\nab\r\n0\r\nx: y\r\n\r\n";
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length], &[usize::MAX]), Ok(None), "{length}");
        }
    }

    #[test]
    fn data_is_a_slice_of_what_was_received() {
        let mut buf = BytesMut::from(&b"5\r\nabcde\r\n0\r\n\r\n"[..]);
        let place = buf[3..].as_ptr();
        let Ok(Some(Piece::Data(data))) = ChunkedReader::new().read(&mut buf) else {
            panic!("the first piece is data");
        };
        assert_eq!((data.as_ptr(), &data[..]), (place, &b"abcde"[..]));
    }

    fn encoded(chunks: &[Vec<u8>]) -> BytesMut {
        let mut out = BytesMut::new();
        for chunk in chunks {
            if let Some(length) = std::num::NonZeroUsize::new(chunk.len()) {
                chunk_size(&mut out, length);
                out.extend_from_slice(chunk);
                out.extend_from_slice(CHUNK_END);
            }
        }
        out.extend_from_slice(LAST_CHUNK);
        out
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_under_any_split(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
            segments in prop::collection::vec(1usize..50, 1..10),
        ) {
            let mut bytes = encoded(&chunks);
            bytes.extend_from_slice(b"NEXT");
            prop_assert_eq!(read(&bytes, &segments), Ok(Some((chunks.concat(), b"NEXT".to_vec()))));
        }

        #[test]
        fn a_split_changes_nothing_for_any_bytes(
            bytes in "[0-3a;\r\n: x]{0,6}(\r\n)?[0-3a\r\n: x]{0,12}",
            segments in prop::collection::vec(1usize..5, 1..10),
        ) {
            let bytes = bytes.as_bytes();
            prop_assert_eq!(read(bytes, &segments), read(bytes, &[usize::MAX]));
        }
    }
}
