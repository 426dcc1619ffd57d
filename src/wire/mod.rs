//! HTTP/1 messages on both sides: read strictly, written in one way.
//!
//! hyper's server repairs or hides what attacks on message framing are made of (`Content-Length`
//! beside `Transfer-Encoding`, doubled lengths, bare line feeds, padded chunk sizes) before the
//! code behind it can see them. A gate whose reading of a message differs from its neighbour's
//! guards nothing, so this module reads the bytes itself and refuses whatever two parsers could
//! understand in two ways, also where RFC 9112 would let it be tolerant.
//!
//! Of HTTP/2, whose messages h2 reads, only the frames are counted ([`Frames`]).
//!
//! Not here: sockets, deadlines, who is served, and where a request may go. Nothing in this
//! module waits, reads a clock or writes to a log.

mod answer;
mod chunked;
mod connection;
mod frames;
mod framing;
mod head;
mod line;
mod malformed;
mod target;
mod trailers;
mod websocket;
mod write;

pub use answer::{AnswerHead, AnswerReader, Content, Disbelief, believed};
pub use chunked::{ChunkedReader, Piece};
pub use connection::{nominated, strip_hop_by_hop};
pub use frames::Frames;
pub use framing::{Framing, ReplyFraming};
pub use head::{Head, HeadLimits, HeadReader};
pub use malformed::Malformed;
pub use target::{Form, Target};
pub use trailers::{clean_trailers, takes_trailers};
pub use websocket::{OF_THE_HANDSHAKE, Offered, Upgrade, accept, read_grant, read_opening};
pub use write::{
    CHUNK_END, CONTINUE, LAST_CHUNK, RequestHead, TUNNEL_OPEN, chunk_size, reply_head,
    request_head, switching_head, trailers,
};

#[cfg(test)]
mod tests;
