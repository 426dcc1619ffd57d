//! Group B: forms of requests, tunnels, and headers that claim to be more than headers.

mod headers;
mod loops;
mod methods;
mod targets;
mod tunnels;

const MALFORMED: (u16, &str) = (400, "request_malformed");
const MISMATCH: (u16, &str) = (421, "host_mismatch");

/// A GET with this target and these lines behind it.
fn get(target: &str, lines: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\n{lines}\r\n\r\n").into_bytes()
}

/// A CONNECT.
fn connect(target: &str, lines: &str) -> String {
    format!("CONNECT {target} HTTP/1.1\r\n{lines}\r\n\r\n")
}
