//! ClientHellos by hand (RFC 8446 §4.1.2), good but for what a test changes.

use std::ops::RangeInclusive;

pub const SERVER_NAME: u16 = 0;
pub const SUPPORTED_VERSIONS: u16 = 43;
pub const ENCRYPTED_HELLO: u16 = 0xfe0d;
const PADDING: u16 = 21;

/// A hello that a server of TLS 1.3 takes, with an X25519 key share and the suites of everybody.
#[derive(Clone)]
pub struct Hello {
    pub version: [u8; 2],
    pub suites: Vec<u8>,
    pub extensions: Vec<(u16, Vec<u8>)>,
    pub record_version: [u8; 2],
}

impl Hello {
    /// Without a server name.
    pub fn nameless() -> Self {
        let key = [vec![0, 29], vector(2, &[9; 32])].concat();
        Self {
            version: [3, 3],
            suites: vec![0x13, 1, 0xc0, 0x2b],
            extensions: vec![
                (10, vector(2, &[0, 29, 0, 23])),
                (13, vector(2, &[4, 3, 8, 4, 4, 1])),
                (SUPPORTED_VERSIONS, vector(1, &[3, 4, 3, 3])),
                (51, vector(2, &key)),
            ],
            record_version: [3, 1],
        }
    }

    /// For a server of this name.
    pub fn to(name: impl AsRef<[u8]>) -> Self {
        Self::nameless().with(SERVER_NAME, names(&[(0, name.as_ref())]))
    }

    /// With one more extension, before all others.
    pub fn with(mut self, kind: u16, content: Vec<u8>) -> Self {
        self.extensions.insert(0, (kind, content));
        self
    }

    /// With another content of an extension that it has, or without it.
    pub fn changing(mut self, kind: u16, content: Option<Vec<u8>>) -> Self {
        self.extensions.retain(|(it, _)| *it != kind);
        match content {
            Some(content) => self.with(kind, content),
            None => self,
        }
    }

    /// With so many bytes of padding.
    pub fn padded(self, bytes: usize) -> Self {
        self.with(PADDING, vec![0; bytes])
    }

    /// The handshake message.
    pub fn message(&self) -> Vec<u8> {
        let extensions = self
            .extensions
            .iter()
            .map(|(kind, content)| [&kind.to_be_bytes()[..], &vector(2, content)].concat());
        let extensions: Vec<u8> = extensions.collect::<Vec<_>>().concat();
        let start = [&self.version[..], &[7; 32], &vector(1, &[9; 32])].concat();
        let middle = [vector(2, &self.suites), vector(1, &[0])].concat();
        let body = [start, middle, vector(2, &extensions)].concat();
        [vec![1], vector(3, &body)].concat()
    }

    /// In as few records as may be.
    pub fn bytes(&self) -> Vec<u8> {
        self.records(16 * 1024)
    }

    /// In records of this size.
    pub fn records(&self, size: usize) -> Vec<u8> {
        let message = self.message();
        let records = message.chunks(size);
        records.flat_map(|it| self.record(22, it)).collect()
    }

    /// One record.
    pub fn record(&self, kind: u8, content: &[u8]) -> Vec<u8> {
        [&[kind], &self.record_version[..], &vector(2, content)].concat()
    }
}

/// A list of server names (RFC 6066 §3), each with its type.
pub fn names(names: &[(u8, &[u8])]) -> Vec<u8> {
    let names = names
        .iter()
        .map(|(kind, name)| [vec![*kind], vector(2, name)].concat());
    vector(2, &names.collect::<Vec<_>>().concat())
}

/// Bytes behind their length, which has so many bytes.
pub fn vector(width: usize, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    [&length[8 - width..], content].concat()
}

/// Extensions in which drafts and RFC 9849 hide a name.
pub fn hiding() -> impl Iterator<Item = u16> {
    let drafts: RangeInclusive<u16> = 0xfe08..=ENCRYPTED_HELLO;
    drafts.chain([0xff02, 0xffce])
}
