//! The bare stack: the least that a forward proxy on hyper and rustls does, done as well as exeat does it.
//!
//! No policy, log, metric, limit or deadline: never a proxy to run, only the one to be compared with. It carries
//! absolute-form requests and intercepts CONNECT, for the hosts in its table; CONNECT to the host of the tunnel it
//! copies. That table stands in for the resolver, so that no lookup is measured.
//!
//! As exeat it speaks HTTP/2 or HTTP/1.1 inside its interception as the client chooses, and to a TLS origin whichever
//! the origin prefers: over HTTP/2 all requests share a connection, over HTTP/1.1 each has one of the pool. Leaves are
//! signed once per host and share a key, sessions resume by tickets on both sides.

mod connection;
mod reply;
mod strict;
mod upstream;

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use clap::ValueEnum;
use serde::Deserialize;
use serde::Serialize;
use tokio::runtime;
use tokio::sync::mpsc;

use crate::process;

use connection::Gate;
use connection::Tls;

/// How the runtime is laid out over the cores.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// One current-thread runtime per thread, all fed by one acceptor; each has a pool of its own.
    CurrentThread,
    /// Tokio's work-stealing runtime, with one pool.
    MultiThread,
}

/// How the body of a reply goes through.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Body {
    /// Frame by frame, as it comes.
    Stream,
    /// Collected first, then sent as one piece.
    Collect,
}

/// How heads of requests are read.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Heads {
    /// By hyper's server, which repairs what it can; the target is taken as it comes.
    Lenient,
    /// By exeat's reader; the server's name, the path and the query are canonical, or the request is refused.
    Strict,
}

/// What the trials vary.
#[derive(clap::Args, Clone, Copy)]
pub(crate) struct Setup {
    /// Layout of the runtime.
    #[arg(long, value_enum)]
    pub(crate) layout: Layout,
    /// How many threads serve connections.
    #[arg(long)]
    pub(crate) threads: usize,
    /// How bodies of replies go through.
    #[arg(long, value_enum)]
    pub(crate) body: Body,
    /// How heads of requests are read.
    #[arg(long, value_enum)]
    pub(crate) heads: Heads,
}

/// A forward proxy without a policy.
#[derive(clap::Args, Clone)]
pub(crate) struct Args {
    #[command(flatten)]
    setup: Setup,
    /// Folder of the throwaway CA.
    #[arg(long)]
    ca: PathBuf,
    /// HOST=PORT of a plain origin on loopback.
    #[arg(long, value_parser = parse_route)]
    plain: Route,
    /// HOST=PORT of a TLS origin on loopback; once for each.
    #[arg(long, value_parser = parse_route)]
    tls: Vec<Route>,
    /// A host whose CONNECT is copied to loopback, whatever its port.
    #[arg(long)]
    tunnel: String,
}

/// A host, and where it is found.
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) host: String,
    pub(crate) address: SocketAddr,
}

/// The line that the bare stack prints once it listens.
#[derive(Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Where the proxy listens.
    pub(crate) proxy: SocketAddr,
}

/// Serves until standard input ends.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    process::end_with_parent();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let ready = Ready {
        proxy: listener.local_addr()?,
    };
    match args.setup.layout {
        Layout::CurrentThread => current_thread(args, listener, &ready),
        Layout::MultiThread => multi_thread(args, listener, &ready),
    }
}

fn parse_route(text: &str) -> Result<Route, String> {
    let (host, port) = text.split_once('=').ok_or("expected HOST=PORT")?;
    let port: u16 = port
        .parse()
        .map_err(|error| format!("not a port: {error}"))?;
    Ok(Route {
        host: host.to_owned(),
        address: (Ipv4Addr::LOCALHOST, port).into(),
    })
}

/// Accepted sockets that wait for one thread: enough for a burst, and the acceptor waits beyond it.
const WAITING_SOCKETS: usize = 256;

fn current_thread(args: &Args, listener: TcpListener, ready: &Ready) -> anyhow::Result<()> {
    let (mut threads, tls) = (Vec::new(), Tls::open(args)?);
    for _ in 0..args.setup.threads {
        let (sender, sockets) = mpsc::channel(WAITING_SOCKETS);
        let gate = Arc::new(Gate::open(args, &tls)?);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        thread::spawn(move || runtime.block_on(serve_handed(sockets, gate)));
        threads.push(sender);
    }
    process::print_ready(ready)?;
    for thread in threads.iter().cycle() {
        let (socket, _) = listener.accept()?;
        socket.set_nonblocking(true)?;
        thread.blocking_send(socket)?;
    }
    Ok(())
}

async fn serve_handed(mut sockets: mpsc::Receiver<std::net::TcpStream>, gate: Arc<Gate>) {
    while let Some(socket) = sockets.recv().await {
        match tokio::net::TcpStream::from_std(socket) {
            Ok(socket) => drop(tokio::spawn(connection::serve(socket, gate.clone()))),
            Err(error) => eprintln!("bare: {error}"),
        }
    }
}

fn multi_thread(args: &Args, listener: TcpListener, ready: &Ready) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let gate = Arc::new(Gate::open(args, &Tls::open(args)?)?);
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(args.setup.threads)
        .enable_all()
        .build()?;
    // A task of its own: what `block_on` itself runs, runs beside the workers.
    let acceptor = runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            tokio::spawn(connection::serve(socket, gate.clone()));
        }
    });
    process::print_ready(ready)?;
    runtime.block_on(acceptor)?
}
