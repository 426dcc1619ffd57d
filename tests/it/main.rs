//! Behaviours of the whole, over real sockets.
