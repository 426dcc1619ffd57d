//! Any bytes as the beginning of a TLS connection, however they are cut into segments and records: the same decision,
//! and no other name than rustls reads.

use exeat::proxy::hello::Bad;
use exeat::proxy::hello::HelloReader;
use exeat::request::Host;
use rustls::server::Acceptor;

use super::cuts;

/// What is found: a name, nothing yet, or why it is refused.
type Found = Result<Option<String>, Bad>;

/// Reads the bytes whole, in pieces, byte by byte, and in other records.
pub fn check(bytes: &[u8]) {
    let Some((lengths, bytes)) = cuts::of(bytes) else {
        return;
    };
    let found = read(bytes, &[bytes.len().max(1)]);
    assert_eq!(read(bytes, &lengths), found, "in {lengths:?}");
    assert_eq!(read(bytes, &[1]), found, "byte by byte");
    if let Some(named) = named_by_another(bytes) {
        assert_agrees(&found, named.as_deref());
    }
    if found.is_ok() && found != Ok(None) {
        let message = message(bytes).expect("it was read");
        for lengths in [&[message.len()][..], &lengths] {
            let cut: Vec<u8> = cuts::pieces(&message, lengths).flat_map(record).collect();
            if cut.len() <= 16 * 1024 {
                assert_eq!(read(&cut, &[usize::MAX]), found, "records of {lengths:?}");
            }
        }
    }
}

fn read(bytes: &[u8], lengths: &[usize]) -> Found {
    let mut reader = HelloReader::default();
    let mut come = 0;
    for piece in cuts::pieces(bytes, lengths) {
        come += piece.len();
        let found = reader.read(&bytes[..come]);
        if found != Ok(None) {
            return found;
        }
    }
    Ok(None)
}

/// The server name that rustls reads, if it reads a ClientHello.
fn named_by_another(mut bytes: &[u8]) -> Option<Option<String>> {
    let mut acceptor = Acceptor::default();
    while acceptor.read_tls(&mut bytes).ok()? > 0 {
        if let Some(accepted) = acceptor.accept().ok()? {
            return Some(accepted.client_hello().server_name().map(str::to_owned));
        }
    }
    None
}

fn assert_agrees(found: &Found, named: Option<&str>) {
    match found {
        Ok(Some(name)) => {
            // What is no name of a host leads nowhere, and rustls passes over it.
            let host = Host::parse(name).ok();
            let other = named.and_then(|it| Host::parse(it).ok());
            assert_eq!(host, other, "{name:?} {named:?}");
        }
        Ok(None) => panic!("rustls does not wait for more"),
        Err(Bad::NoName) => assert_eq!(named, None),
        Err(Bad::NotTls | Bad::TooOld | Bad::Encrypted) => {}
    }
}

/// The first message of the handshake.
fn message(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut message, mut rest) = (Vec::new(), bytes);
    loop {
        if let Some(&[_, high, middle, low]) = message.get(..4) {
            let length = 4 + u32::from_be_bytes([0, high, middle, low]) as usize;
            if message.len() >= length {
                message.truncate(length);
                return Some(message);
            }
        }
        let (head, after) = rest.split_at_checked(5)?;
        let length = u16::from_be_bytes([head[3], head[4]]);
        let (fragment, after) = after.split_at_checked(length.into())?;
        message.extend_from_slice(fragment);
        rest = after;
    }
}

fn record(fragment: &[u8]) -> Vec<u8> {
    let length = u16::try_from(fragment.len()).expect("no record is longer");
    let [high, low] = length.to_be_bytes();
    [&[22, 3, 1, high, low], fragment].concat()
}
