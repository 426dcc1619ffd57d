//! What agents do to exeat: ask, read slowly, leave early, stream, call tools, be refused.
//!
//! A request counts from its first byte. Whoever leaves does so in a way after which exeat has that byte for certain:
//! with what was sent acknowledged, or with an answer begun.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::certs;
use crate::child::{AGENT, Doors};
use crate::origin::{EVENTS, LARGE, Origin, PLAIN, SECURE};

/// Between two requests of one client: agents think.
const THOUGHT: Duration = Duration::from_millis(20);

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client does, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Quick,
    Secure,
    Posts,
    WaitsForSlow,
    ReadsSlowly,
    Streams,
    CallsTools,
    IsRefused,
    LeavesInRequest,
    LeavesBeforeReply,
    LeavesInReply,
    IsCutOff,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::Quick,
        Self::Secure,
        Self::Posts,
        Self::WaitsForSlow,
        Self::ReadsSlowly,
        Self::Streams,
        Self::CallsTools,
        Self::IsRefused,
        Self::LeavesInRequest,
        Self::LeavesBeforeReply,
        Self::LeavesInReply,
        Self::IsCutOff,
    ];
}

/// Requests by what was done with them.
#[derive(Default)]
pub(crate) struct Tally(BTreeMap<Kind, u64>);

impl Tally {
    /// All of them.
    pub(crate) fn requests(&self) -> u64 {
        self.0.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.requests())?;
        for (kind, count) in &self.0 {
            write!(f, "; {count} {kind:?}")?;
        }
        Ok(())
    }
}

/// Where everything is.
struct Place {
    proxy: SocketAddr,
    tools: SocketAddr,
    origin: Origin,
    tls: TlsConnector,
    login: String,
}

/// Runs so many clients until the end, all kinds in turn.
pub(crate) async fn run(
    doors: Doors,
    origin: &Origin,
    (clients, end): (usize, Instant),
) -> anyhow::Result<Tally> {
    let pair = BASE64_STANDARD.encode(format!("{}:{}", AGENT.0, AGENT.1));
    let place = Arc::new(Place {
        proxy: doors.proxy,
        tools: doors.tools,
        origin: *origin,
        tls: TlsConnector::from(Arc::new(certs::client(&doors.ca)?)),
        login: format!("Proxy-Authorization: Basic {pair}\r\n"),
    });
    let kinds = Kind::ALL.iter().cycle().take(clients);
    let running: Vec<_> = kinds
        .map(|&kind| (kind, tokio::spawn(repeat(place.clone(), kind, end))))
        .collect();
    let mut tally = Tally::default();
    for (kind, client) in running {
        let count = client
            .await?
            .with_context(|| format!("a client that {kind:?}"))?;
        *tally.0.entry(kind).or_default() += count;
    }
    Ok(tally)
}

async fn repeat(place: Arc<Place>, kind: Kind, end: Instant) -> anyhow::Result<u64> {
    let mut count = 0;
    while Instant::now() < end {
        count += timeout(PATIENCE, place.ask(kind))
            .await
            .context("no answer")??;
        sleep(THOUGHT).await;
    }
    Ok(count)
}

impl Place {
    /// Does it once, and says how many requests that were.
    async fn ask(&self, kind: Kind) -> anyhow::Result<u64> {
        match kind {
            Kind::Quick => return self.quick().await,
            Kind::Secure => return self.secure().await,
            Kind::Posts => self.post().await?,
            Kind::WaitsForSlow => expect(&self.get("/slow", 0).await?, "200", 1024)?,
            Kind::ReadsSlowly => self.read_slowly().await?,
            Kind::Streams => {
                let reply = self.get("/events", 0).await?;
                let events = reply.windows(5).filter(|it| it == b"data:").count();
                ensure!(events == EVENTS, "{events} events");
            }
            Kind::CallsTools => self.call().await?,
            Kind::IsRefused => expect(&self.get("/undeclared", 0).await?, "403", 0)?,
            Kind::LeavesInRequest => self.leave_in_request().await?,
            Kind::LeavesBeforeReply => drop(self.send(&self.request("GET", "/slow", "")).await?),
            Kind::LeavesInReply => drop(self.get("/large", 1).await?),
            Kind::IsCutOff => drop(self.get("/cut", 0).await?),
        }
        Ok(1)
    }

    fn request(&self, method: &str, path: &str, rest: &str) -> String {
        let authority = format!("{PLAIN}:{}", self.origin.plain);
        let login = &self.login;
        format!(
            "{method} http://{authority}{path} HTTP/1.1\r\nHost: {authority}\r\n{login}{rest}\r\n"
        )
    }

    #[expect(clippy::disallowed_methods, reason = "clients of the bench")]
    async fn connect(&self, to: SocketAddr) -> anyhow::Result<TcpStream> {
        Ok(TcpStream::connect(to).await?)
    }

    async fn send(&self, request: &str) -> anyhow::Result<TcpStream> {
        let mut stream = self.connect(self.proxy).await?;
        stream.write_all(request.as_bytes()).await?;
        Ok(stream)
    }

    /// What comes until the end, or until so many bytes are there.
    async fn get(&self, path: &str, enough: usize) -> anyhow::Result<Vec<u8>> {
        let request = self.request("GET", path, "Connection: close\r\n");
        let mut stream = self.send(&request).await?;
        read(&mut stream, enough).await
    }

    /// Ten on one connection.
    async fn quick(&self) -> anyhow::Result<u64> {
        let mut stream = self.connect(self.proxy).await?;
        converse(&mut stream, &self.request("GET", "/quick", ""), 10).await
    }

    /// Ten inside an intercepted tunnel, which has no record of its own.
    async fn secure(&self) -> anyhow::Result<u64> {
        let authority = format!("{SECURE}:{}", self.origin.tls);
        let connect = format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n",
            self.login
        );
        let mut stream = self.send(&connect).await?;
        let mut opened = [0; 39];
        stream.read_exact(&mut opened).await?;
        ensure!(opened.starts_with(b"HTTP/1.1 200") && opened.ends_with(b"\r\n\r\n"));
        let name = ServerName::try_from(SECURE)?;
        let mut stream = self.tls.connect(name, stream).await?;
        converse(
            &mut stream,
            &format!("GET /quick HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
            10,
        )
        .await
    }

    async fn post(&self) -> anyhow::Result<()> {
        let text = "x".repeat(8 * 1024);
        let body = format!("{{\"text\":\"{text}\"}}");
        let head = format!(
            "Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        let request = self.request("POST", "/post", &head) + &body;
        let mut stream = self.send(&request).await?;
        expect(&read(&mut stream, 0).await?, "200", 1024)
    }

    async fn read_slowly(&self) -> anyhow::Result<()> {
        let request = self.request("GET", "/large", "Connection: close\r\n");
        let mut stream = self.send(&request).await?;
        let (mut piece, mut sum) = (vec![0; LARGE / 16], 0);
        loop {
            let count = stream.read(&mut piece).await?;
            if count == 0 {
                break;
            }
            sum += count;
            sleep(THOUGHT).await;
        }
        ensure!(sum > LARGE, "{sum} bytes of a large reply");
        Ok(())
    }

    async fn call(&self) -> anyhow::Result<()> {
        let (tools, body) = (self.tools, "{}");
        let request = format!(
            "POST /v1/actions/quick HTTP/1.1\r\nHost: {tools}\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            AGENT.1,
            body.len()
        );
        let mut stream = self.connect(tools).await?;
        stream.write_all(request.as_bytes()).await?;
        expect(&read(&mut stream, 0).await?, "200", 1024)
    }

    /// Sends half of a body, then that nothing more comes, and waits until exeat has seen it.
    async fn leave_in_request(&self) -> anyhow::Result<()> {
        let head = "Content-Type: application/json\r\nContent-Length: 100\r\n";
        let request = self.request("POST", "/post", head) + "{\"text\":";
        let mut stream = self.send(&request).await?;
        stream.shutdown().await?;
        read(&mut stream, 0).await.map(drop)
    }
}

/// So many requests one after another, each answered with a kilobyte.
async fn converse(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &str,
    count: u64,
) -> anyhow::Result<u64> {
    let mut buffer = Vec::new();
    for _ in 0..count {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        loop {
            let head = buffer.windows(4).position(|it| it == b"\r\n\r\n");
            if head.is_some_and(|at| buffer.len() >= at + 4 + 1024) {
                break;
            }
            ensure!(
                stream.read_buf(&mut buffer).await? > 0,
                "the connection ended"
            );
        }
        expect(&buffer, "200", 1024)?;
        buffer.clear();
    }
    Ok(count)
}

/// Until the end, or until more than nothing and enough is there. A connection that is reset ends too.
async fn read(stream: &mut TcpStream, enough: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        if enough > 0 && bytes.len() >= enough {
            break;
        }
    }
    ensure!(!bytes.is_empty(), "nothing came");
    Ok(bytes)
}

fn expect(reply: &[u8], status: &str, length: usize) -> anyhow::Result<()> {
    let shown = || String::from_utf8_lossy(&reply[..reply.len().min(400)]).into_owned();
    let begins = reply.starts_with(format!("HTTP/1.1 {status}").as_bytes());
    ensure!(begins && reply.len() > length, "{}", shown());
    Ok(())
}
