//! Group P: who a client is.
