//! The agent of the demonstration: a client that knows a proxy and no key.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Asks the proxy for a URL and returns the answer as it came, headers of no interest aside.
#[expect(
    clippy::disallowed_methods,
    reason = "the agent stands outside: it connects to exeat itself, on loopback"
)]
pub(super) fn get(proxy: SocketAddr, url: &str) -> anyhow::Result<String> {
    let host = url
        .split("//")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let mut stream = TcpStream::connect(proxy)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    write!(
        stream,
        "GET {url} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        host.unwrap_or_default()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(format!("GET {url}\n{}", readable(&answer)))
}

/// The status line, the refusal's code and the content.
fn readable(answer: &str) -> String {
    let (head, content) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let shown = head
        .lines()
        .filter(|line| line.starts_with("HTTP/") || line.starts_with("exeat-refusal"));
    let head = shown.collect::<Vec<_>>().join("\n");
    format!("{head}\n{}", content.trim_end())
}
