//! Group C: TLS on both sides, server names, interception.
