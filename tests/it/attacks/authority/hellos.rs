//! ClientHellos that name whomever a test wants, in bytes that no library would write.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;

use crate::world::Client;

/// Where the length of a handshake message stands in a record, in three bytes.
const MESSAGE: usize = 6;

/// The first flight of a client that asks for `host`, with this in the place of the name.
pub fn naming(client: &Client, host: &str, name: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut session = client.session(host, &["http/1.1"]);
    session.write_tls(&mut bytes).unwrap();
    let found = bytes
        .windows(host.len())
        .position(|it| it == host.as_bytes());
    let at = found.unwrap();
    // From the inside out: the name, the list of names, the extension, all extensions, the message, the record.
    for place in [at - 2, at - 5, at - 7, extensions(&bytes), MESSAGE + 1, 3] {
        let old = u16::from_be_bytes([bytes[place], bytes[place + 1]]);
        let new = usize::from(old) - host.len() + name.len();
        bytes[place..place + 2].copy_from_slice(&u16::try_from(new).unwrap().to_be_bytes());
    }
    bytes.splice(at..at + host.len(), name.iter().copied());
    bytes
}

/// Where the length of the extensions stands: behind version, random, session, suites and compressions.
fn extensions(hello: &[u8]) -> usize {
    let session = MESSAGE + 3 + 2 + 32;
    let suites = session + 1 + usize::from(hello[session]);
    let length = u16::from_be_bytes([hello[suites], hello[suites + 1]]);
    let compressions = suites + 2 + usize::from(length);
    compressions + 1 + usize::from(hello[compressions])
}

/// What comes back for these bytes in a tunnel, up to its end.
pub fn answer_to(client: &Client, target: &str, bytes: &[u8]) -> Vec<u8> {
    let (answer, mut stream) = client.open(target, &[]);
    assert_eq!(answer.status, 200, "{answer:?}");
    stream.write_all(bytes).unwrap();
    let _ = stream.shutdown(Shutdown::Write);
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back);
    back
}

/// Whether what comes back begins with a ServerHello.
pub fn is_welcome(back: &[u8]) -> bool {
    (back.first(), back.get(5)) == (Some(&22), Some(&2))
}
