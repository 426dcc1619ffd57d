//! What passes, in which pieces, and what does not.

use std::sync::Arc;

use bytes::BytesMut;

use crate::scrub::Forms;
use crate::secret::Secret;
use crate::websocket::{Broken, Close, Passing, Side, close};

const SECRET: &str = "SECRET-AAAA";
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn forms() -> Arc<Forms> {
    let secret = Secret::new(SECRET.as_bytes().to_vec()).unwrap();
    Arc::new(Forms::of([&secret]))
}

/// A frame as its side writes it: the first byte, and the content.
fn frame(side: Side, first: u8, content: &[u8]) -> Vec<u8> {
    let masked = if side == Side::Client { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match content.len() {
        short @ 0..=125 => bytes.push(masked | short as u8),
        medium @ 126..=0xffff => {
            bytes.push(masked | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(masked | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    let is_client = side == Side::Client;
    let mask = |(at, byte): (usize, &u8)| byte ^ if is_client { KEY[at % 4] } else { 0 };
    if is_client {
        bytes.extend(KEY);
    }
    bytes.extend(content.iter().enumerate().map(mask));
    bytes
}

fn passing(side: Side) -> Passing {
    Passing::of(side, u64::MAX, forms())
}

/// What comes out where so many bytes come at a time.
fn passed(passing: &mut Passing, bytes: &[u8], segment: usize) -> Result<Vec<u8>, Broken> {
    let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
    for segment in bytes.chunks(segment) {
        input.extend_from_slice(segment);
        passing.push(&mut input, &mut out)?;
    }
    Ok(out.to_vec())
}

/// The messages and control frames in what came out: the opcode, and the whole content.
fn messages(side: Side, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut rest, mut found, mut open) = (bytes, Vec::new(), None);
    while let [first, second, ..] = *rest {
        let (length, mut at) = match second & 0x7f {
            126 => (u16::from_be_bytes([rest[2], rest[3]]) as usize, 4),
            127 => (
                u64::from_be_bytes(rest[2..10].try_into().unwrap()) as usize,
                10,
            ),
            short => (short as usize, 2),
        };
        let mut content;
        if side == Side::Client {
            let key = &rest[at..at + 4];
            at += 4;
            let masked = rest[at..at + length].iter().zip(key.iter().cycle());
            content = masked.map(|(byte, key)| byte ^ key).collect::<Vec<u8>>();
        } else {
            content = rest[at..at + length].to_vec();
        }
        rest = &rest[at + length..];
        match first & 0xf {
            kind @ 8.. => found.push((kind, content)),
            kind => {
                let (kind, mut whole) = open.take().unwrap_or((kind, Vec::new()));
                whole.append(&mut content);
                match first & 0x80 {
                    0 => open = Some((kind, whole)),
                    _ => found.push((kind, whole)),
                }
            }
        }
    }
    assert!(rest.is_empty() && open.is_none(), "{bytes:x?}");
    found
}

#[test]
fn whole_messages_pass_byte_for_byte_however_they_are_cut() {
    for side in [Side::Client, Side::Server] {
        let mut bytes = Vec::new();
        for length in [0, 1, 125, 126, 127, 0xffff, 0x1_0000, 0x1_0001] {
            bytes.extend(frame(side, 0x82, &vec![b'x'; length]));
            bytes.extend(frame(side, 0x89, b"ping"));
        }
        bytes.extend(frame(side, 0x81, "é".as_bytes()));
        bytes.extend(frame(side, 0x88, b"\x03\xe8bye"));
        for segment in [1, 2, 3, 7, 1000, usize::MAX] {
            let mut passing = passing(side);
            let out = passed(&mut passing, &bytes, segment).unwrap();
            assert!(out == bytes, "{side:?} in segments of {segment}");
            assert!(passing.is_closed() && passing.is_between_messages());
            assert_eq!(passing.masked(), 0);
        }
    }
}

#[test]
fn a_secret_of_the_server_is_masked_also_where_frames_cut_it() {
    let text = format!("a {SECRET} b {SECRET}");
    let whole = frame(Side::Server, 0x81, text.as_bytes());
    let mut pieces = frame(Side::Server, 0x01, &text.as_bytes()[..5]);
    pieces.extend(frame(Side::Server, 0x00, &text.as_bytes()[5..6]));
    pieces.extend(frame(Side::Server, 0x00, b""));
    pieces.extend(frame(Side::Server, 0x8a, b"pong"));
    pieces.extend(frame(Side::Server, 0x80, &text.as_bytes()[6..]));
    let masked = text.replace(SECRET, &"*".repeat(SECRET.len()));
    for segment in [1, 3, usize::MAX] {
        for (bytes, expected) in [
            (&whole, vec![(1, masked.clone().into_bytes())]),
            (
                &pieces,
                vec![(10, b"pong".to_vec()), (1, masked.clone().into_bytes())],
            ),
        ] {
            let mut passing = passing(Side::Server);
            let out = passed(&mut passing, bytes, segment).unwrap();
            assert_eq!(messages(Side::Server, &out), expected);
            assert_eq!(passing.masked(), 2);
        }
    }
}

#[test]
fn a_message_without_an_end_is_held_back_by_its_length_alone() {
    let kept = forms().longest() - 1;
    for text in [
        "x".repeat(100),
        format!("{}{}", "x".repeat(95), &SECRET[..5]),
    ] {
        let mut passing = passing(Side::Server);
        let first = frame(Side::Server, 0x01, text.as_bytes());
        let out = passed(&mut passing, &first, usize::MAX).unwrap();
        assert_eq!(out.len(), 2 + 100 - kept);
        assert!(passing.is_between_frames() && !passing.is_between_messages());
        let last = frame(Side::Server, 0x80, b"");
        let rest = passed(&mut passing, &last, usize::MAX).unwrap();
        let all = [out, rest].concat();
        assert_eq!(messages(Side::Server, &all), [(1, text.into_bytes())]);
    }
    // A message of one frame has its head out, and nothing may come between.
    let mut passing = passing(Side::Server);
    let first = frame(Side::Server, 0x81, &[b'x'; 100]);
    let out = passed(&mut passing, &first[..52], usize::MAX).unwrap();
    assert_eq!(out.len(), 2 + 50 - kept.min(50));
    assert!(!passing.is_between_frames());
}

#[test]
fn a_control_frame_of_the_server_is_masked_as_well() {
    let content = format!("\x03\x00{SECRET}");
    let bytes = frame(Side::Server, 0x88, content.as_bytes());
    let mut passing = passing(Side::Server);
    let out = passed(&mut passing, &bytes, 1).unwrap();
    let expected = content.replace(SECRET, "***********").into_bytes();
    assert_eq!(messages(Side::Server, &out), [(8, expected)]);
    assert_eq!(passing.masked(), 1);
}

#[test]
fn a_secret_of_the_client_stops_it_before_its_first_byte() {
    let text = format!("before {SECRET} after");
    let mut pieces = frame(Side::Client, 0x01, &text.as_bytes()[..10]);
    pieces.extend(frame(Side::Client, 0x80, &text.as_bytes()[10..]));
    for bytes in [
        frame(Side::Client, 0x81, text.as_bytes()),
        frame(Side::Client, 0x89, text.as_bytes()),
        pieces,
    ] {
        for segment in [1, 5, usize::MAX] {
            let (mut input, mut out) = (BytesMut::new(), BytesMut::new());
            let mut passing = passing(Side::Client);
            let stopped = bytes.chunks(segment).find_map(|segment| {
                input.extend_from_slice(segment);
                passing.push(&mut input, &mut out).err()
            });
            assert_eq!(stopped, Some(Broken::Secret));
            // At most one head, and "before ".
            assert!(out.len() <= 6 + 7, "{out:x?}");
        }
    }
    let mut pieces = frame(Side::Client, 0x02, b"no secret, and more");
    pieces.extend(frame(Side::Client, 0x00, b" of it than"));
    pieces.extend(frame(Side::Client, 0x80, b" is held back"));
    for segment in [1, 4, usize::MAX] {
        let out = passed(&mut passing(Side::Client), &pieces, segment).unwrap();
        let whole = b"no secret, and more of it than is held back".to_vec();
        assert_eq!(messages(Side::Client, &out), [(2, whole)]);
    }
}

#[test]
fn what_is_not_websocket_ends_it() {
    let server = |first, content: &[u8]| frame(Side::Server, first, content);
    for (bytes, side) in [
        (server(0xc1, b"compressed"), Side::Server),
        (server(0xa1, b""), Side::Server),
        (server(0x91, b""), Side::Server),
        (server(0x83, b""), Side::Server),
        (server(0x8b, b""), Side::Server),
        (server(0x09, b""), Side::Server),
        (server(0x89, &[0; 126]), Side::Server),
        (server(0x80, b""), Side::Server),
        (
            [server(0x01, b"a"), server(0x81, b"b")].concat(),
            Side::Server,
        ),
        (frame(Side::Client, 0x81, b"masked"), Side::Server),
        (server(0x81, b"not masked"), Side::Client),
        (vec![0x82, 126, 0, 125], Side::Server),
        (vec![0x82, 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff], Side::Server),
        (vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0], Side::Server),
        (b"HTTP/1.1 200 OK\r\n".to_vec(), Side::Server),
        (b"GET / HTTP/1.1\r\n".to_vec(), Side::Client),
    ] {
        for segment in [1, usize::MAX] {
            let told = passed(&mut passing(side), &bytes, segment);
            assert!(matches!(told, Err(Broken::Malformed(_))), "{bytes:x?}");
        }
    }
}

#[test]
fn so_many_bytes_pass_and_no_more() {
    let bytes = frame(Side::Server, 0x82, &[0; 10]);
    for (most, passes) in [(12, true), (11, false)] {
        let mut passing = Passing::of(Side::Server, most, forms());
        assert_eq!(passed(&mut passing, &bytes, 1).is_ok(), passes);
    }
    // Said before a byte of it is here.
    let mut passing = Passing::of(Side::Server, 1 << 40, forms());
    let head = [0x82, 127, 0x7f, 0xff, 0, 0, 0, 0, 0, 0];
    assert_eq!(passed(&mut passing, &head, 10), Err(Broken::TooLarge));
}

#[test]
fn nothing_passes_after_a_close() {
    let mut bytes = frame(Side::Server, 0x88, b"\x03\xe8");
    let closed = bytes.clone();
    bytes.extend(frame(Side::Server, 0x81, b"more"));
    bytes.extend(b"\xff\xff\xff");
    let out = passed(&mut passing(Side::Server), &bytes, 3).unwrap();
    assert_eq!(out, closed);
    // Nor is it free.
    for (most, expected) in [
        (bytes.len(), Ok(closed)),
        (bytes.len() - 1, Err(Broken::TooLarge)),
    ] {
        let mut passing = Passing::of(Side::Server, most as u64, forms());
        assert_eq!(passed(&mut passing, &bytes, 3), expected);
    }
}

#[test]
fn a_close_of_ours_is_one_of_its_side() {
    for side in [Side::Server, Side::Client] {
        let frame = close(side, Close::Policy, "secret_outgoing", KEY);
        let mut passing = passing(side);
        let out = passed(&mut passing, &frame, usize::MAX).unwrap();
        assert_eq!(out, frame);
        let content = [&1008_u16.to_be_bytes()[..], b"secret_outgoing"].concat();
        assert_eq!(messages(side, &out), [(8, content)]);
    }
}
