//! A client that writes exact bytes and reads what comes, in cleartext or inside a tunnel.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;

/// The certificates of a PEM text.
pub(super) fn roots(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    roots
}

/// TLS over a connection to the proxy.
type Tunnel = StreamOwned<ClientConnection, TcpStream>;

/// A client of one proxy.
pub struct Client {
    proxy: SocketAddr,
    roots: RootCertStore,
}

/// A reply, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The code of the status line.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// Without framing.
    pub body: Vec<u8>,
}

/// Bytes both ways.
pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Client {
    pub(super) fn new(proxy: SocketAddr, roots: RootCertStore) -> Self {
        Self { proxy, roots }
    }

    /// The same client with other roots.
    pub fn trusting(self, roots: &RootCertStore) -> Self {
        Self {
            roots: roots.clone(),
            ..self
        }
    }

    /// A connection to the proxy.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.proxy).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends exact bytes and reads one reply.
    pub fn raw(&self, bytes: &str) -> Answer {
        self.try_raw(bytes.as_bytes())
            .expect("a reply before the connection ends")
    }

    /// Sends exact bytes and reads one reply, if there is one.
    pub fn try_raw(&self, bytes: &[u8]) -> Option<Answer> {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        read_answer(&mut stream, "GET")
    }

    /// GET in absolute-form.
    pub fn get(&self, url: &str) -> Answer {
        self.send("GET", url, &[], "")
    }

    /// A request in absolute-form.
    pub fn send(&self, method: &str, url: &str, headers: &[&str], body: &str) -> Answer {
        self.send_on(&mut self.connect(), (method, url, headers, body))
    }

    /// As [`Client::send`], on a connection that was there before.
    pub fn send_on(
        &self,
        stream: &mut TcpStream,
        (method, url, headers, body): (&str, &str, &[&str], &str),
    ) -> Answer {
        let bytes = request(method, url, authority(url), headers, body);
        stream.write_all(bytes.as_bytes()).unwrap();
        read_answer(stream, method).unwrap()
    }

    /// The reply to a CONNECT, and the tunnel.
    pub fn open(&self, target: &str, headers: &[&str]) -> (Answer, TcpStream) {
        let mut stream = self.connect();
        let headers: String = headers.iter().map(|it| format!("{it}\r\n")).collect();
        write!(
            stream,
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{headers}\r\n"
        )
        .unwrap();
        let answer = read_head(&mut stream).unwrap();
        (answer, stream)
    }

    /// A TLS session inside a tunnel to a host's port 443.
    pub fn tunnel(&self, host: &str) -> Tunnel {
        self.tunnel_as(host, host, &[])
    }

    /// As [`Client::tunnel`], with a server name and headers of the CONNECT to choose.
    pub fn tunnel_as(&self, host: &str, server_name: &str, headers: &[&str]) -> Tunnel {
        let (answer, stream) = self.open(&format!("{host}:443"), headers);
        assert_eq!(answer.status, 200, "{answer:?}");
        StreamOwned::new(self.session(server_name, &[]), stream)
    }

    /// The client's side of TLS, before its first byte.
    pub fn session(&self, server_name: &str, protocols: &[&str]) -> ClientConnection {
        let mut config = self.tls();
        config.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        let name = ServerName::try_from(server_name.to_owned()).unwrap();
        ClientConnection::new(Arc::new(config), name).unwrap()
    }

    /// Whom it trusts.
    pub fn roots(&self) -> &RootCertStore {
        &self.roots
    }

    /// How this client speaks TLS.
    pub fn tls(&self) -> ClientConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots.clone())
            .with_no_client_auth()
    }

    /// A request inside a fresh tunnel.
    pub fn send_inside(&self, method: &str, url: &str, headers: &[&str], body: &str) -> Answer {
        let host = authority(url);
        let mut stream = self.tunnel(host);
        let path = &url[url.find(host).unwrap() + host.len()..];
        let bytes = request(method, path, host, headers, body);
        stream.write_all(bytes.as_bytes()).unwrap();
        read_answer(&mut stream, method).unwrap()
    }
}

fn authority(url: &str) -> &str {
    url.split("//")
        .nth(1)
        .unwrap()
        .split(['/', '?'])
        .next()
        .unwrap()
}

fn request(method: &str, target: &str, host: &str, headers: &[&str], body: &str) -> String {
    let headers: String = headers.iter().map(|it| format!("{it}\r\n")).collect();
    let framing = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{headers}{framing}\r\n{body}")
}

/// Reads one reply to its end; `None` where the connection ends before a head.
pub fn read_answer(stream: &mut dyn Stream, method: &str) -> Option<Answer> {
    let mut answer = read_head(stream)?;
    let bodyless = method == "HEAD" || [204, 304].contains(&answer.status);
    if bodyless {
        return Some(answer);
    }
    if answer.header("transfer-encoding") == Some("chunked") {
        loop {
            let line = read_until(stream, b"\r\n")?;
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).ok()?;
            answer.body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Some(answer);
            }
        }
    }
    match answer.header("content-length").map(str::to_owned) {
        Some(length) => {
            answer.body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut answer.body).ok()?;
        }
        None => {
            let _ = stream.read_to_end(&mut answer.body);
        }
    }
    Some(answer)
}

/// What is left until the connection ends. A connection that is reset ends too.
pub fn rest(stream: &mut dyn Stream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("the proxy left it open"),
        _ => String::from_utf8_lossy(&bytes).into_owned(),
    }
}

/// The head of a reply; `None` where the connection ends before it does.
pub fn read_head(stream: &mut dyn Stream) -> Option<Answer> {
    let head = read_until(stream, b"\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head,
        body: Vec::new(),
    })
}

/// Byte by byte, so that nothing behind it is taken from a tunnel.
pub fn read_until(stream: &mut dyn Stream, end: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(end) {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).ok()
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self
            .head
            .lines()
            .skip(1)
            .filter_map(|it| it.split_once(": "));
        lines
            .find(|(it, _)| it.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The code of a refusal, which the header and the body agree upon.
    pub fn refusal(&self) -> &str {
        let code = self.header("exeat-refusal").unwrap_or("none");
        if !self.body.is_empty() && code != "none" {
            assert_eq!(self.json()["error"]["code"], code);
        }
        code
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}
