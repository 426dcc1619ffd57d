//! An origin that writes down the bytes it got and answers with the bytes it was given.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Makes the reply to a request.
type Answering = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;

/// Bytes, and what becomes of the connection behind them. Bytes alone leave it open.
pub struct Reply {
    bytes: Vec<u8>,
    then: Then,
}

/// What an origin does after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Waits for the next request.
    Stay,
    /// Closes as TLS wants it, so that the end can be trusted.
    Close,
    /// Closes TCP alone, as anybody on the way could.
    Cut,
}

impl Reply {
    /// Ends the connection after these bytes.
    pub fn and(bytes: &str, then: Then) -> Self {
        Self {
            bytes: bytes.into(),
            then,
        }
    }
}

impl From<Vec<u8>> for Reply {
    fn from(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            then: Then::Stay,
        }
    }
}

/// One request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Request line and headers, with their line ends.
    pub head: String,
    /// What followed, without chunk framing.
    pub body: Vec<u8>,
}

impl Seen {
    /// The request line.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    /// All values of a header.
    pub fn header(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1);
        lines
            .filter_map(|line| line.split_once(": "))
            .filter(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A listening origin. Its threads end with the process.
pub struct Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<Mutex<usize>>,
}

impl Origin {
    pub(super) fn over_tls(config: Arc<ServerConfig>, reply: Answering) -> Self {
        Self::listen(Some(config), reply)
    }

    pub(super) fn in_cleartext(reply: Answering) -> Self {
        Self::listen(None, reply)
    }

    /// Where it really listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    /// The only request so far.
    pub fn only(&self) -> Seen {
        let mut seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen.remove(0)
    }

    fn listen(config: Option<Arc<ServerConfig>>, reply: Answering) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let desk = Arc::new(Desk {
            reply,
            seen: origin.seen.clone(),
        });
        let connections = origin.connections.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                *connections.lock().unwrap() += 1;
                let (desk, config) = (desk.clone(), config.clone());
                std::thread::spawn(move || desk.serve(stream, config));
            }
        });
        origin
    }
}

/// What every connection of an origin shares.
struct Desk {
    reply: Answering,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Desk {
    fn serve(&self, stream: TcpStream, config: Option<Arc<ServerConfig>>) {
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        match config {
            None => {
                self.converse(stream);
            }
            Some(config) => {
                let session = ServerConnection::new(config).unwrap();
                let mut stream = StreamOwned::new(session, stream);
                if self.converse(&mut stream) == Then::Close {
                    stream.conn.send_close_notify();
                    let _ = stream.flush();
                }
            }
        }
    }

    fn converse(&self, mut stream: impl Read + Write) -> Then {
        let mut buffer = Vec::new();
        while let Some(seen) = read_request(&mut stream, &mut buffer) {
            self.seen.lock().unwrap().push(seen.clone());
            let reply = (self.reply)(&seen);
            if stream
                .write_all(&reply.bytes)
                .and_then(|()| stream.flush())
                .is_err()
            {
                return Then::Cut;
            }
            if reply.then != Then::Stay {
                return reply.then;
            }
        }
        Then::Close
    }
}

/// One request, or `None` where the connection ends.
fn read_request(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Option<Seen> {
    let head_end = loop {
        if let Some(at) = find(buffer, b"\r\n\r\n") {
            break at + 4;
        }
        fill(stream, buffer)?;
    };
    let head = String::from_utf8(buffer.drain(..head_end).collect()).unwrap();
    let mut seen = Seen {
        head,
        body: Vec::new(),
    };
    if seen.header("transfer-encoding") == ["chunked"] {
        seen.body = read_chunks(stream, buffer)?;
    } else if let [length] = seen.header("content-length")[..] {
        let length: usize = length.parse().unwrap();
        while buffer.len() < length {
            fill(stream, buffer)?;
        }
        seen.body = buffer.drain(..length).collect();
    }
    Some(seen)
}

fn read_chunks(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = find(buffer, b"\r\n") {
                break at;
            }
            fill(stream, buffer)?;
        };
        let line: Vec<u8> = buffer.drain(..end + 2).collect();
        let size = usize::from_str_radix(std::str::from_utf8(&line[..end]).unwrap(), 16).unwrap();
        while buffer.len() < size + 2 {
            fill(stream, buffer)?;
        }
        body.extend(buffer.drain(..size));
        buffer.drain(..2);
        if size == 0 {
            return Some(body);
        }
    }
}

fn fill(stream: &mut impl Read, buffer: &mut Vec<u8>) -> Option<()> {
    let mut block = [0; 16 * 1024];
    let read = stream.read(&mut block).ok().filter(|read| *read > 0)?;
    buffer.extend_from_slice(&block[..read]);
    Some(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|it| it == needle)
}

/// The CA of the origins, which exeat trusts in this world.
pub(super) struct OriginCa(CertifiedIssuer<'static, KeyPair>);

impl OriginCa {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub(super) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        roots
    }

    /// As others trust it.
    pub(super) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A good certificate for one host, HTTP/1.1 only.
    pub(super) fn config(&self, host: &str) -> Arc<ServerConfig> {
        self.issue(CertificateParams::new(vec![host.to_owned()]).unwrap())
    }

    /// A good certificate for one host and its key, as PEM.
    pub(super) fn certificate(&self, host: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    /// A certificate as somebody wishes it.
    pub(super) fn issue(&self, params: CertificateParams) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key);
        Arc::new(config.unwrap())
    }
}
