//! Handshakes: a connection, a CONNECT, TLS inside of it, and the end. Nothing is asked there.
//!
//! Each client waits for the other side's end, since the tickets for its next handshake come before that.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context;
use anyhow::ensure;
use rustls::HandshakeKind;
use rustls::client::Resumption;
use rustls_pki_types::ServerName;
use serde::Deserialize;
use serde::Serialize;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use crate::certs;
use crate::load::DEADLINE;
use crate::load::wait_for_a_line;
use crate::process;

/// Clients that come, shake hands and go.
#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    /// Address of the proxy.
    #[arg(long)]
    address: SocketAddr,
    /// Name of the origin.
    #[arg(long)]
    host: String,
    /// The first of as many hosts as there are handshakes: a number goes before the name.
    #[arg(long)]
    first: Option<usize>,
    /// Port of the origin.
    #[arg(long)]
    port: u16,
    /// Certificate of the CA that signs intercepted hosts.
    #[arg(long)]
    trust: PathBuf,
    /// `Proxy-Authorization`, where it is asked for.
    #[arg(long)]
    authorization: Option<String>,
    /// Show the ticket of an earlier handshake.
    #[arg(long)]
    resume: bool,
    /// Handshakes.
    #[arg(long)]
    count: usize,
}

/// What came of them.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Those that resumed an earlier session.
    pub(crate) resumed: usize,
    /// From the first connection to the last one's end.
    pub(crate) elapsed: Duration,
}

/// Clients at a time: enough that the proxy always has one to serve.
const AT_ONCE: usize = 8;

/// Waits for a line on standard input, shakes hands, says how often an earlier session was resumed.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        tokio::time::timeout(DEADLINE, shake(args))
            .await
            .context("the handshakes took too long")?
    })
}

async fn shake(args: &Args) -> anyhow::Result<()> {
    let mut config = certs::client(&args.trust)?;
    if !args.resume {
        config.resumption = Resumption::disabled();
    }
    let client = Client {
        args: Arc::new(args.clone()),
        connector: TlsConnector::from(Arc::new(config)),
    };
    // Whoever resumes needs a ticket; and nobody's first connection is measured.
    client.clone().shake_until(&AtomicUsize::new(0), 1).await?;
    process::print_ready(&"warm")?;
    wait_for_a_line()?;
    let (start, next) = (Instant::now(), Arc::new(AtomicUsize::new(1)));
    let mut clients = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (client, next, end) = (client.clone(), next.clone(), 1 + args.count);
        clients.spawn(async move { client.shake_until(&next, end).await });
    }
    let mut resumed = 0;
    while let Some(done) = clients.join_next().await {
        resumed += done??;
    }
    process::print_ready(&Tally {
        resumed,
        elapsed: start.elapsed(),
    })?;
    wait_for_a_line()
}

#[derive(Clone)]
struct Client {
    args: Arc<Args>,
    connector: TlsConnector,
}

impl Client {
    /// Takes numbers until they come to an end. Returns how many sessions were resumed.
    async fn shake_until(self, next: &AtomicUsize, end: usize) -> anyhow::Result<usize> {
        let mut resumed = 0;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return Ok(resumed);
            }
            resumed += usize::from(self.once(number).await?);
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a client of the proxy, which has no `dial`"
    )]
    async fn once(&self, number: usize) -> anyhow::Result<bool> {
        let args = &self.args;
        let host = match args.first {
            None => args.host.clone(),
            Some(first) => format!("n{}.{}", first + number, args.host),
        };
        let mut socket = TcpStream::connect(args.address).await?;
        socket.set_nodelay(true)?;
        let authority = format!("{host}:{}", args.port);
        let credential = args.authorization.as_ref();
        let credential = credential.map(|it| format!("Proxy-Authorization: {it}\r\n"));
        let connect = format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{}\r\n",
            credential.unwrap_or_default()
        );
        socket.write_all(connect.as_bytes()).await?;
        opened(&mut socket).await?;
        let name = ServerName::try_from(host)?;
        let mut inside = self.connector.connect(name, socket).await?;
        inside.shutdown().await?;
        let mut rest = Vec::new();
        // Some servers end without a word of it, which does not matter here.
        let _ = inside.read_to_end(&mut rest).await;
        ensure!(rest.is_empty(), "something was said in the tunnel");
        Ok(inside.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed))
    }
}

/// Reads the answer to a CONNECT, which has no body.
async fn opened(socket: &mut TcpStream) -> anyhow::Result<()> {
    let mut head = Vec::with_capacity(512);
    while !head.ends_with(b"\r\n\r\n") {
        ensure!(socket.read_buf(&mut head).await? > 0, "no tunnel");
    }
    let ok = head.starts_with(b"HTTP/1.1 200");
    ensure!(ok, "CONNECT: {}", String::from_utf8_lossy(&head));
    Ok(())
}
