//! Group K: tokens by client credentials.
