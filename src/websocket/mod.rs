//! WebSocket on its way through (RFC 6455): frames read as they come, searched for known secrets, and passed on.
//!
//! Pure. No extension is ever agreed on, so what stands in a frame is what its sender meant. What is searched is a
//! message, however it is cut into frames. A message of one frame keeps its frame, since a mask has as many bytes as
//! what it covers; one of several may come out in other pieces (RFC 6455 §5.4 lets intermediaries do that), since the
//! end of a piece is held back until more has come. The end of a message is never held back.
//!
//! Not here: the handshake, which is `wire`'s, and everything about connections and time.

mod frame;
mod passing;
#[cfg(test)]
mod tests;

pub use frame::{Close, Side, close};
pub use passing::{Broken, Passing};
