//! The TCP leg: from vetted addresses to one open stream.
//!
//! The only place in the program that opens outbound TCP sockets.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::dial::vet::Vetted;

/// How long one address is waited for before the next is tried beside it (RFC 8305 §5 recommends 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection attempt under way.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Opens TCP streams. Tests inject one that leads public test addresses to loopback, after they were judged.
pub trait Connect: Send + Sync {
    /// Connects to one vetted address.
    fn connect(&self, address: Vetted) -> Connecting;
}

/// The real way out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Connect for Tcp {
    fn connect(&self, address: Vetted) -> Connecting {
        Box::pin(open(address))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one way out: a vetted address is the only argument"
)]
async fn open(address: Vetted) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address.address()).await?;
    // Without it a new connection waits 44 ms for Nagle's algorithm and a delayed acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A stream, and the address at which it arrived.
type Reached = (TcpStream, SocketAddr);

/// Tries the addresses in order; the first stream wins, and the other attempts are dropped.
pub(super) async fn race(
    connector: &Arc<dyn Connect>,
    addresses: Vec<Vetted>,
) -> io::Result<Reached> {
    if let [only] = addresses[..] {
        return Ok((connector.connect(only).await?, only.address()));
    }
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut last_error = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        if let Some(address) = waiting.next() {
            let connecting = connector.connect(address);
            attempts.spawn(async move { Ok((connecting.await?, address.address())) });
        } else if attempts.is_empty() {
            return Err(last_error);
        }
        match first(&mut attempts, waiting.len() > 0).await {
            Some(Ok(reached)) => return Ok(reached),
            Some(Err(error)) => last_error = error,
            None => {}
        }
    }
}

/// The next attempt to end; nothing once the head start is over and there is another address to try.
async fn first(
    attempts: &mut JoinSet<io::Result<Reached>>,
    more: bool,
) -> Option<io::Result<Reached>> {
    tokio::select! {
        Some(ended) = attempts.join_next() => Some(ended.unwrap_or_else(|lost| Err(lost.into()))),
        () = tokio::time::sleep(HEAD_START), if more => None,
    }
}
