//! A declared tunnel: TLS that ends at the server, passed on byte by byte once its first message has named the server.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional_with_sizes,
};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::audit::{End, Ending, Prepared, Upstream};
use crate::exchange::{Begun, Traffic};
use crate::metrics::TunnelKind;
use crate::policy::{Passage, Stake};
use crate::proxy::Place;
use crate::proxy::hello::{Alert, Bad, HelloReader};
use crate::proxy::intercept::{slow, turn_away};
use crate::proxy::line::ClientStream;
use crate::proxy::rewound::Rewound;
use crate::proxy::tunnel;
use crate::refusal::Code;
use crate::request::Host;

/// Copies so much at a time: tokio's 8 KiB cost 2.86 times as much.
const PIECE: usize = 64 * 1024;

/// Why nothing is passed on: what the record says, and what the client hears.
type Refused = (End, Option<Alert>);

/// Serves a tunnel to its end.
pub(super) async fn serve<S: ClientStream>(
    place: &Place,
    begun: Begun,
    (passage, stake): (Passage, Stake),
    mut stream: Rewound<S>,
) {
    let reading = hello(&mut stream, passage.host());
    let read = timeout(place.limits.handshake, reading).await;
    let hello = match read.unwrap_or_else(|_| Err((slow(), None))) {
        Ok(hello) => hello,
        Err((end, alert)) => {
            tunnel::close(begun, end);
            return turn_away(&mut stream, alert, &place.limits).await;
        }
    };
    // Nothing is looked up or dialled before this point: a client that says nothing reaches nobody.
    let dialled = Instant::now();
    let limit = place.limits.tunnel_connect;
    let reaching = place.gate.dialer.tunnel(&passage, limit);
    let (server, address) = match reaching.await {
        Ok(reached) => reached,
        Err(fault) => return tunnel::close(begun, End::Failed(fault)),
    };
    let mut begun = begun;
    begun.ticket.prepared(Prepared {
        unread: true,
        ..Prepared::default()
    });
    let reached = || Upstream {
        address,
        took: dialled.elapsed(),
        retries: 0,
    };
    begun.ticket.reached(reached());
    if let Err(refusal) = begun.ticket.opened() {
        return tunnel::close(begun, End::Refused(refusal.code));
    }
    let _open = place.gate.services.metrics.tunnel(TunnelKind::Passed);
    let traffic = Arc::new(Traffic::default());
    let leases = &place.gate.services.leases;
    let mut lease = leases.lease(&begun.policy, stake.at(address));
    let end = tokio::select! {
        end = relay(&traffic, (stream, server), &hello, place.limits.tunnel_idle) => end,
        ended = lease.ended() => ended.into(),
    };
    let (read, written) = traffic.both();
    // All of it was the server's and the client's time.
    begun.ticket.reached(reached());
    begun.ticket.close(Ending {
        end,
        status: Some(http::StatusCode::OK),
        bytes_in: read + hello.len() as u64,
        bytes_out: written,
    });
}

/// Reads the ClientHello, and returns its bytes if it names the host of the CONNECT and hides no other.
async fn hello<S: ClientStream>(stream: &mut Rewound<S>, host: &Host) -> Result<BytesMut, Refused> {
    let mut bytes = BytesMut::with_capacity(4096);
    let mut reader = HelloReader::default();
    let name = loop {
        let read = stream.read_buf(&mut bytes).await;
        let gone = |detail: &str| (tunnel::client_failed(detail), None);
        match read {
            Ok(0) => return Err(gone("the client closed before the end of its ClientHello")),
            Ok(_) => {}
            Err(_) => return Err(gone("the client's connection broke in its ClientHello")),
        }
        if let Some(name) = reader.read(&bytes).map_err(refused)? {
            break name;
        }
    };
    match Host::parse(&name) {
        // The server reads the name itself, and has no dot at its end to expect (RFC 6066 §3).
        Ok(parsed) if parsed == *host && !name.ends_with('.') => Ok(bytes),
        _ => Err((
            End::Refused(Code::ServerNameMismatch),
            Some(Alert::UnrecognizedName),
        )),
    }
}

fn refused(bad: Bad) -> Refused {
    let (code, alert) = match bad {
        Bad::NotTls => (Code::TlsExpected, Alert::DecodeError),
        Bad::NoName => (Code::ServerNameMismatch, Alert::MissingExtension),
        // What the server would read is not what stands in the clear, so it is not known to be the host.
        Bad::Encrypted => (Code::ServerNameMismatch, Alert::UnrecognizedName),
    };
    (End::Refused(code), Some(alert))
}

/// Copies in both directions until both have ended, one has failed, or neither has moved for too long.
async fn relay<S: ClientStream>(
    traffic: &Arc<Traffic>,
    (client, mut server): (Rewound<S>, TcpStream),
    hello: &[u8],
    idle: Duration,
) -> End {
    let mut client = Counted {
        stream: client,
        traffic: Arc::clone(traffic),
    };
    let copying = async {
        server.write_all(hello).await?;
        copy_bidirectional_with_sizes(&mut client, &mut server, PIECE, PIECE).await
    };
    match traffic.while_moving(idle, copying).await {
        Ok(Ok(_)) => End::Complete,
        Ok(Err(error)) => {
            tracing::debug!(%error, "a tunnel broke");
            End::Aborted
        }
        Err(fault) => End::Truncated(fault),
    }
}

/// A stream that counts what passes.
struct Counted<S> {
    stream: Rewound<S>,
    traffic: Arc<Traffic>,
}

impl<S: ClientStream> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        let bytes = into.filled().len() - before;
        self.traffic.read(bytes);
        read
    }
}

impl<S: ClientStream> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, from);
        if let Poll::Ready(Ok(bytes)) = written {
            self.traffic.wrote(bytes);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, from);
        if let Poll::Ready(Ok(bytes)) = written {
            self.traffic.wrote(bytes);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
