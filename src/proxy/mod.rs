//! The proxy door: from an accepted socket to [`Gate::serve`].
//!
//! HTTP/1 is read and written by [`wire`](crate::wire), in the clear and inside an intercepted tunnel alike; HTTP/2
//! inside a tunnel is hyper's. What a request means and whether it may pass is decided behind the gate. What is
//! decided here is what a connection alone can tell: that bytes are a request, that all places which name a server
//! name the same one, and who is asking.
//!
//! A CONNECT is answered in `tunnel`, opened in `intercept` or passed on unopened in `passthrough`. Requests that were
//! through exeat before are not looked for by a mark on the request, which would tell every server about us. Three
//! things end a loop without one: `dial` never connects to a listener of this process; what leaves, a path or TLS, is
//! never what this listener takes, a whole URL or a CONNECT; and a server that asks us anew while it is asked can do so
//! as often as its agent may have requests under way.

mod arrival;
mod connection;
pub mod hello;
mod http2;
mod intercept;
mod limits;
mod line;
mod passthrough;
mod reply;
mod rewound;
mod tunnel;
mod upload;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::BytesMut;
use tokio::net::TcpStream;

use crate::exchange::Gate;
use crate::proxy::connection::{Connection, Scope};
use crate::proxy::line::Line;
use crate::seats::Seat;

pub use limits::ClientLimits;
pub use line::ClientStream;

/// Serves one accepted connection to its end. Nothing it meets makes it fail: what a client does wrong is answered,
/// recorded, or logged at debug.
pub async fn serve(gate: Arc<Gate>, stream: TcpStream, (limits, seat): (Arc<ClientLimits>, Seat)) {
    // Without it the last segment of an answer waits for the client's delayed acknowledgement, up to 44 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the client's connection is gone before its first byte");
        return;
    }
    serve_stream(gate, stream, (limits, seat)).await;
}

/// As [`serve`], whatever the client is connected by.
pub async fn serve_stream<S: ClientStream>(
    gate: Arc<Gate>,
    stream: S,
    (limits, seat): (Arc<ClientLimits>, Seat),
) {
    let seat = Arc::new(seat);
    let place = Place { gate, limits, seat };
    let line = Line::new(stream, BytesMut::new());
    let connection = Connection::new(place.clone(), line, Scope::Open);
    if let Some(connect) = connection.run().await {
        Box::pin(tunnel::open(&place, connect)).await;
    }
}

/// Where a connection is served: this thread's gate, and what its client may take.
#[derive(Clone)]
struct Place {
    gate: Arc<Gate>,
    limits: Arc<ClientLimits>,
    /// The connection's.
    seat: Arc<Seat>,
}
