//! What a client gets, read as strictly as what it sends.

use bytes::BytesMut;
use exeat::wire::ChunkedReader;
use exeat::wire::Piece;
use httparse::Header;
use httparse::Response;
use httparse::Status;

/// How many final answers came; it panics where something else stands among them. An aborted connection may end in the
/// middle of one.
pub(super) fn count(bytes: &[u8], was_aborted: bool) -> usize {
    let (mut count, mut rest) = (0, bytes);
    while !rest.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 64];
        let mut head = Response::new(&mut fields);
        let end = match head.parse(rest) {
            Ok(Status::Complete(end)) => end,
            Ok(Status::Partial) if was_aborted => break,
            other => panic!("{other:?}: {}", bytes.escape_ascii()),
        };
        let code = head.code.expect("it has been read");
        assert!((100..600).contains(&code) && code != 500, "{code}");
        rest = &rest[end..];
        count += usize::from(code >= 200);
        if code == 101 || head.reason == Some("Connection Established") {
            assert_tls(rest, was_aborted);
            break;
        }
        if code >= 200 {
            let Some(after) = behind_body(head.headers, rest) else {
                assert!(was_aborted, "{}", bytes.escape_ascii());
                break;
            };
            rest = after;
        }
    }
    count
}

/// What follows a body; `None` where it is cut off.
fn behind_body<'b>(fields: &[Header<'_>], rest: &'b [u8]) -> Option<&'b [u8]> {
    let value = |name: &str| {
        let mut named = fields
            .iter()
            .filter(|it| it.name.eq_ignore_ascii_case(name));
        let first = named.next().map(|it| it.value);
        assert!(named.next().is_none(), "{name} twice");
        first
    };
    // An answer to HEAD has no body, whatever it says; no body of ours begins like an answer.
    if rest.is_empty() || rest.starts_with(b"HTTP/1.") {
        return Some(rest);
    }
    match (value("content-length"), value("transfer-encoding")) {
        (Some(length), None) => {
            let length = std::str::from_utf8(length)
                .ok()
                .and_then(|it| it.parse().ok());
            rest.get(length.expect("a number")..)
        }
        (None, Some(coding)) => {
            assert_eq!(coding, b"chunked");
            behind_chunks(rest)
        }
        (None, None) => Some(&[]),
        (Some(_), Some(_)) => panic!("two framings"),
    }
}

fn behind_chunks(rest: &[u8]) -> Option<&[u8]> {
    let (mut reader, mut buffer) = (ChunkedReader::new(), BytesMut::from(rest));
    loop {
        match reader.read(&mut buffer).expect("well-formed chunks")? {
            Piece::Data(_) => {}
            Piece::End => return Some(&rest[rest.len() - buffer.len()..]),
        }
    }
}

/// That nothing but TLS is spoken in a tunnel.
fn assert_tls(mut rest: &[u8], was_aborted: bool) {
    while let [kind, 3, 1..=4, high, low, after @ ..] = rest {
        assert!((20..=23).contains(kind), "{}", rest.escape_ascii());
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        match after.get(length..) {
            Some(next) => rest = next,
            None => break,
        }
    }
    assert!(rest.is_empty() || was_aborted, "{}", rest.escape_ascii());
}
