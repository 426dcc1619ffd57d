//! What keeps the pages of somebody's browser from our listeners, which are on loopback by default and so within reach
//! of every page.

use std::net::SocketAddr;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// Why a request may come from a browser, which is neither an agent nor an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Browser {
    /// It has an `Origin`, which no program sends.
    Origin,
    /// Its `Host` is not the listener's: a name that was made to lead to loopback (DNS rebinding).
    Host,
}

impl Browser {
    /// In words for whoever sent it.
    pub fn message(self) -> &'static str {
        match self {
            Self::Origin => "no page of a browser is served here",
            Self::Host => "the Host header must name this listener by its address, or as localhost",
        }
    }
}

/// Refuses what pages of browsers send. Off loopback a listener has whatever name its operator gave it, and asks for
/// tokens instead.
///
/// # Errors
/// What shows it.
pub fn refuse(listener: SocketAddr, headers: &HeaderMap) -> Result<(), Browser> {
    if headers.contains_key(ORIGIN) {
        return Err(Browser::Origin);
    }
    if listener.ip().is_loopback() && !names_loopback(listener, headers) {
        return Err(Browser::Host);
    }
    Ok(())
}

fn names_loopback(listener: SocketAddr, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let port = listener.port();
    let good = [
        listener.to_string(),
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("[::1]:{port}"),
    ];
    good.iter().any(|it| it.as_bytes() == host.as_bytes())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_who_means_this_listener_is_heard() {
        let origin = Err(Browser::Origin);
        let host = Err(Browser::Host);
        for (listener, headers, expected) in [
            ("127.0.0.1:81", &[(HOST, "127.0.0.1:81")][..], Ok(())),
            ("127.0.0.1:81", &[(HOST, "localhost:81")], Ok(())),
            ("[::1]:81", &[(HOST, "[::1]:81")], Ok(())),
            ("127.0.0.1:81", &[(HOST, "127.0.0.1:82")], host),
            ("127.0.0.1:81", &[(HOST, "rebound.test:81")], host),
            ("127.0.0.1:81", &[], host),
            (
                "127.0.0.1:81",
                &[(HOST, "localhost:81"), (HOST, "evil.test")],
                host,
            ),
            (
                "127.0.0.1:81",
                &[(HOST, "localhost:81"), (ORIGIN, "null")],
                origin,
            ),
            ("10.0.0.1:81", &[(HOST, "tools.internal")], Ok(())),
            ("10.0.0.1:81", &[(ORIGIN, "http://tools.internal")], origin),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(HeaderName::clone(name), HeaderValue::from_static(value));
            }
            assert_eq!(
                refuse(listener.parse().unwrap(), &map),
                expected,
                "{headers:?}"
            );
        }
    }
}
