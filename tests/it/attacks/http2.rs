//! Group H: HTTP/2 on both sides.
