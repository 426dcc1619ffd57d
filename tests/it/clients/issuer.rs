//! A real OAuth2 server, `oidc-provider` from npm, behind TLS of our own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use exeat::request::encode;
use http::Response;
use http_body_util::Full;
use serde_json::Value;

use super::installed;
use super::origin::{Asked, Origin, Reply};

/// The server, until it is dropped.
pub(super) struct Issuer {
    process: Child,
    // It says more than its port, and does not survive to be unheard.
    _stdout: BufReader<ChildStdout>,
    address: SocketAddr,
    login: String,
}

impl Issuer {
    /// Starts it with two clients that have one secret: this one, and the same with `-by-body` behind its id, which
    /// shows it in the form.
    pub(super) fn start(host: &str, client_id: &str, client_secret: &str) -> Arc<Self> {
        let mut process = Command::new(installed::program("node"))
            .arg(installed::script("oidc.cjs"))
            .args([&format!("https://{host}"), client_id, client_secret])
            .env("NODE_PATH", installed::node_modules())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It warns about all that makes it fit for tests only.
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("the port on the first line");
        let pair = format!("{}:{}", encode(client_id), encode(client_secret));
        Arc::new(Self {
            process,
            _stdout: stdout,
            address: (Ipv4Addr::LOCALHOST, port).into(),
            login: format!("Basic {}", STANDARD.encode(pair)),
        })
    }

    /// Its origin, over TLS, which passes everything on.
    pub(super) fn over_tls(self: &Arc<Self>, host: &str) -> Origin {
        let issuer = self.clone();
        Origin::start(host, move |asked| issuer.pass_on(asked))
    }

    /// Whether a token is one of its own and still good, and for which scopes (RFC 7662).
    pub(super) fn scope_of(&self, token: &str) -> Option<String> {
        let (_, answer) = self.tell("/token/introspection", token);
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let is_active = answer["active"].as_bool().unwrap();
        is_active.then(|| answer["scope"].as_str().unwrap().to_owned())
    }

    /// Makes a token worthless (RFC 7009).
    pub(super) fn revoke(&self, token: &str) {
        let (status, _) = self.tell("/token/revocation", token);
        assert_eq!(status, 200);
    }

    fn tell(&self, path: &str, token: &str) -> (u16, Vec<u8>) {
        let form = format!("token={}", encode(token));
        let login = format!("authorization: {}\r\n", self.login);
        let (head, body) = self.ask("POST", path, &(login + FORM), form.as_bytes());
        (status(&head), body)
    }

    fn pass_on(&self, asked: &Asked) -> Reply {
        let mut headers = String::new();
        for name in ["authorization", "content-type", "accept", "accept-encoding"] {
            for value in asked.header(name) {
                headers += &format!("{name}: {value}\r\n");
            }
        }
        let (head, body) = self.ask(asked.method.as_str(), &asked.target, &headers, &asked.body);
        let fields = head.lines().skip(1).filter_map(|it| it.split_once(": "));
        let kind = fields
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        Response::builder()
            .status(status(&head))
            .header("content-type", kind.map_or("", |(_, value)| value))
            .body(Full::from(Bytes::from(body)))
            .unwrap()
    }

    /// One request in cleartext, as from a terminator of TLS.
    fn ask(&self, method: &str, target: &str, headers: &str, body: &[u8]) -> (String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {target} HTTP/1.0\r\nhost: localhost\r\nx-forwarded-proto: https\r\n\
             content-length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let body = answer.split_off(end + 4);
        (String::from_utf8(answer).unwrap(), body)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}
