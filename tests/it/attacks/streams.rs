//! Group I: WebSockets, upgrades, events, gRPC.
