//! How long and how much one client's connection may take, and why.

use std::time::Duration;

/// The limits of a client's connection. Those of a request (its body, its time) are its action's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// From the first byte of a head to its last; on a new connection also the time until the first byte.
    pub head: Duration,
    /// From the answer to a CONNECT to the end of the TLS handshake.
    pub handshake: Duration,
    /// Between two reads of a request's body.
    pub body_idle: Duration,
    /// Between two writes of an answer that the client takes.
    pub write_stall: Duration,
    /// Between two requests on a connection.
    pub keep_alive: Duration,
    /// Without a byte in either direction of a tunnel.
    pub tunnel_idle: Duration,
    /// Look-up and TCP connection for a tunnel.
    pub tunnel_connect: Duration,
    /// How long a connection that closes with unread bytes is read on, so that the client gets the answer.
    pub linger: Duration,
    /// How many bytes are read meanwhile.
    pub linger_bytes: usize,
}

impl Default for ClientLimits {
    /// - `head`, 10 s: a client sends a head in one or two segments; three lost in a row are sent again within seven
    ///   seconds (RFC 6298). A client that drips bytes (slowloris) holds a connection no longer than that.
    /// - `handshake`, 10 s: two round trips, under the same losses.
    /// - `body_idle`, 30 s: an upload over a phone's network stops that long between two cells. The action's timeout
    ///   limits the whole.
    /// - `write_stall`, 30 s: a reader that is busy for so long is not reading any more, and holds a connection to a
    ///   server.
    /// - `keep_alive`, 60 s: agents pause while their model thinks, usually for less; nginx has 75 s, Go's clients 90.
    /// - `tunnel_idle`, 10 min: what is passed through cannot be asked whether it is alive. Database and chat
    ///   protocols send a sign of life within five minutes.
    /// - `tunnel_connect`, 10 s: twice what actions have by default, for hosts that nobody has measured.
    /// - `linger`, 2 s, and `linger_bytes`, 1 MiB: closing with unread bytes makes the kernel reset the connection, and
    ///   the client loses the answer (RFC 9112 §9.6). Two seconds are enough for the answer to arrive.
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            keep_alive: Duration::from_secs(60),
            tunnel_idle: Duration::from_secs(600),
            tunnel_connect: Duration::from_secs(10),
            linger: Duration::from_secs(2),
            linger_bytes: 1024 * 1024,
        }
    }
}
