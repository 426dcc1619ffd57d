//! The door against real sockets: a gate with a policy made by hand, an origin on loopback, and raw clients.

mod http1;
mod http2;
mod tunnels;
mod world;
