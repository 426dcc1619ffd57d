//! Where a request goes: scheme, host and port, parsed once from a CONNECT or an absolute-form target.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::refusal::{Code, Refusal};
use crate::request::host::{BadHost, Host};

/// The scheme of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// Cleartext.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The port that a URL without one means (RFC 9110 §4.2).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// `http` or `https`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// A scheme, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Cleartext or TLS.
    pub scheme: Scheme,
    /// A DNS name; an address is never a destination.
    pub host: Host,
    /// 1 to 65535.
    pub port: u16,
}

/// An absolute-form target (RFC 9112 §3.2.2), taken apart but with path and query still unread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AbsoluteTarget<'a> {
    /// Where to.
    pub destination: Destination,
    /// From the first `/` or `?`; `/` where the target has neither.
    pub path_and_query: &'a str,
}

impl Destination {
    /// Reads the target of a CONNECT: a host and a port, nothing else (RFC 9110 §9.3.6).
    ///
    /// # Errors
    /// [`Code::RequestMalformed`] for anything that is not `host:port`, [`Code::AddressRefused`] for an address.
    pub fn of_connect(target: &str) -> Result<Self, Refusal> {
        let (host, digits) = split_port(target)?;
        let digits = digits.ok_or_else(|| {
            malformed("the target of CONNECT must be host:port, such as api.example.com:443")
        })?;
        Ok(Self {
            scheme: Scheme::Https,
            host,
            port: port(digits).ok_or_else(bad_port)?,
        })
    }

    /// Reads an absolute-form target.
    ///
    /// # Errors
    /// [`Code::NotAProxyRequest`] for a path, [`Code::RequestMalformed`] for another scheme, user information, or a
    /// malformed host or port, [`Code::AddressRefused`] for an address.
    pub fn of_absolute(target: &str) -> Result<AbsoluteTarget<'_>, Refusal> {
        if target.starts_with('/') || target == "*" {
            return Err(not_a_proxy_request());
        }
        let (scheme, rest) = split_scheme(target)?;
        let end = memchr::memchr2(b'/', b'?', rest.as_bytes()).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(end);
        let (host, digits) = split_port(authority)?;
        let port = match digits {
            Some(digits) => port(digits).ok_or_else(bad_port)?,
            None => scheme.default_port(),
        };
        Ok(AbsoluteTarget {
            destination: Self { scheme, host, port },
            path_and_query: if path_and_query.is_empty() {
                "/"
            } else {
                path_and_query
            },
        })
    }

    /// Whether a `Host` header or an `:authority` names this very destination, with or without the default port.
    pub fn is_named_by(&self, authority: &str) -> bool {
        // Nearly all clients write the host as it stands here, and then there is no name to parse.
        match authority.strip_prefix(self.host.as_str()) {
            Some("") => return self.has_port(None),
            Some(rest) if rest.starts_with(':') => return self.has_port(Some(&rest[1..])),
            _ => {}
        }
        split_port(authority).is_ok_and(|(host, digits)| host == self.host && self.has_port(digits))
    }

    fn has_port(&self, digits: Option<&str>) -> bool {
        let named = match digits {
            Some(digits) => port(digits),
            None => Some(self.scheme.default_port()),
        };
        named == Some(self.port)
    }

    /// The value of `Host` for this destination: without the port where it is the scheme's own.
    pub fn authority(&self) -> String {
        match self.said_port() {
            None => self.host.to_string(),
            Some(port) => format!("{}:{port}", self.host),
        }
    }

    /// The port, unless it is the scheme's own.
    pub fn said_port(&self) -> Option<u16> {
        (self.port != self.scheme.default_port()).then_some(self.port)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

/// Reads a port in its one spelling: 1 to 65535, digits only, no leading zero.
pub fn port(digits: &str) -> Option<u16> {
    let canonical = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    canonical.then(|| digits.parse().ok()).flatten()
}

fn split_scheme(target: &str) -> Result<(Scheme, &str), Refusal> {
    let (scheme, rest) = split_once(target, b':')
        .and_then(|(scheme, rest)| Some((scheme, rest.strip_prefix("//")?)))
        .ok_or_else(|| malformed("the target must be a URL, such as https://api.example.com/v1"))?;
    if scheme.eq_ignore_ascii_case("https") {
        Ok((Scheme::Https, rest))
    } else if scheme.eq_ignore_ascii_case("http") {
        Ok((Scheme::Http, rest))
    } else {
        Err(malformed("the scheme must be http or https"))
    }
}

/// Host and, where there is a colon, what follows it.
fn split_port(authority: &str) -> Result<(Host, Option<&str>), Refusal> {
    if memchr::memchr(b'@', authority.as_bytes()).is_some() {
        return Err(malformed(
            "a target has no user information before the host",
        ));
    }
    if let Some(bracketed) = authority.strip_prefix('[') {
        return Err(ipv6_literal(bracketed));
    }
    let (name, digits) = match split_once(authority, b':') {
        Some((name, digits)) => (name, Some(digits)),
        None => (authority, None),
    };
    match Host::parse(name) {
        Ok(host) => Ok((host, digits)),
        Err(BadHost::Numeric) if name.parse::<Ipv4Addr>().is_ok() => Err(address_refused()),
        Err(bad) => Err(malformed(bad.to_string())),
    }
}

/// Before and behind the first such byte, which is ASCII. `str::split_once` takes several times as long.
fn split_once(text: &str, byte: u8) -> Option<(&str, &str)> {
    let at = memchr::memchr(byte, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// A well-formed address is refused as one; zones, future versions and bracketed names are malformed.
fn ipv6_literal(bracketed: &str) -> Refusal {
    let Some((inside, after)) = bracketed.split_once(']') else {
        return malformed("the bracket before the host is not closed");
    };
    let port_is_good = after.is_empty() || after.strip_prefix(':').and_then(port).is_some();
    if port_is_good && inside.parse::<Ipv6Addr>().is_ok() {
        address_refused()
    } else {
        malformed("only an IPv6 address stands in brackets")
    }
}

fn not_a_proxy_request() -> Refusal {
    Refusal::new(
        Code::NotAProxyRequest,
        "this is a forward proxy: set HTTP_PROXY and HTTPS_PROXY to it and request the full URL",
    )
}

fn address_refused() -> Refusal {
    Refusal::new(
        Code::AddressRefused,
        "requests go to declared host names, never to an IP address: use the name of the host",
    )
}

fn bad_port() -> Refusal {
    malformed("a port is a number from 1 to 65535, without sign or leading zero")
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::RequestMalformed, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connect_takes_host_and_port_only() {
        for (target, expected) in [
            ("api.good.test:443", Ok("https://api.good.test")),
            ("API.Good.TEST:443", Ok("https://api.good.test")),
            ("api.good.test.:443", Ok("https://api.good.test")),
            ("api.good.test:8443", Ok("https://api.good.test:8443")),
            ("api.good.test", Err(Code::RequestMalformed)),
            ("api.good.test:", Err(Code::RequestMalformed)),
            ("api.good.test:443:80", Err(Code::RequestMalformed)),
            ("api.good.test:0", Err(Code::RequestMalformed)),
            ("api.good.test:0443", Err(Code::RequestMalformed)),
            ("api.good.test:+443", Err(Code::RequestMalformed)),
            ("api.good.test:65536", Err(Code::RequestMalformed)),
            ("api.good.test:99999", Err(Code::RequestMalformed)),
            ("api.good.test:4294967739", Err(Code::RequestMalformed)),
            ("api.good.test:443x", Err(Code::RequestMalformed)),
            ("api.good.test:４４３", Err(Code::RequestMalformed)),
            ("[api.good.test]:443", Err(Code::RequestMalformed)),
            ("[[::1]]:443", Err(Code::RequestMalformed)),
            ("[fe80::1%25eth0]:443", Err(Code::RequestMalformed)),
            ("[v1.fe80::a]:443", Err(Code::RequestMalformed)),
            ("[]:443", Err(Code::RequestMalformed)),
            ("[::1:443", Err(Code::RequestMalformed)),
            ("::1:443", Err(Code::RequestMalformed)),
            ("[::1]:443", Err(Code::AddressRefused)),
            ("169.254.169.254:443", Err(Code::AddressRefused)),
            ("127.1:443", Err(Code::RequestMalformed)),
            ("010.8.8.8:443", Err(Code::RequestMalformed)),
            ("api.good.test@evil.test:443", Err(Code::RequestMalformed)),
            ("http://api.good.test:443/", Err(Code::RequestMalformed)),
            ("/path", Err(Code::RequestMalformed)),
            ("*", Err(Code::RequestMalformed)),
        ] {
            let read = Destination::of_connect(target);
            let read = read.map(|it| it.to_string()).map_err(|it| it.code);
            assert_eq!(read, expected.map(str::to_owned), "{target}");
        }
    }

    #[test]
    fn absolute_form_is_http_or_https_without_user_information() {
        for (target, expected) in [
            ("http://a.test", Ok(("http://a.test", "/"))),
            ("HTTPS://A.test:443/x?y", Ok(("https://a.test", "/x?y"))),
            ("https://a.test?y", Ok(("https://a.test", "?y"))),
            ("http://a.test:8080/", Ok(("http://a.test:8080", "/"))),
            ("/v1", Err(Code::NotAProxyRequest)),
            ("*", Err(Code::NotAProxyRequest)),
            ("//evil.test/v1", Err(Code::NotAProxyRequest)),
            ("evil.test:80", Err(Code::RequestMalformed)),
            ("ftp://a.test/", Err(Code::RequestMalformed)),
            ("http+unix://%2Frun/", Err(Code::RequestMalformed)),
            ("http://u:p@a.test/", Err(Code::RequestMalformed)),
            ("http://a.test:080/", Err(Code::RequestMalformed)),
            ("http:///x", Err(Code::RequestMalformed)),
            ("http://a.test\\b.test/", Err(Code::RequestMalformed)),
            ("http://2130706433/", Err(Code::RequestMalformed)),
            ("http://127.0.0.1:9090/metrics", Err(Code::AddressRefused)),
            ("http://[::ffff:127.0.0.1]/", Err(Code::AddressRefused)),
        ] {
            let read = Destination::of_absolute(target)
                .map(|it| (it.destination.to_string(), it.path_and_query.to_owned()))
                .map_err(|it| it.code);
            let expected = expected.map(|(to, rest): (&str, &str)| (to.into(), rest.into()));
            assert_eq!(read, expected, "{target}");
        }
    }

    #[test]
    fn a_host_header_names_its_destination_or_does_not() {
        let plain = Destination::of_connect("api.good.test:443").unwrap();
        let odd = Destination::of_connect("api.good.test:8443").unwrap();
        for (destination, authority, same) in [
            (&plain, "api.good.test", true),
            (&plain, "API.good.test:443", true),
            (&plain, "api.good.test:8443", false),
            (&plain, "api.good.test:80", false),
            (&plain, "evil.test", false),
            (&plain, "api.good.test@evil.test", false),
            (&plain, "", false),
            (&odd, "api.good.test:8443", true),
            (&odd, "api.good.test", false),
        ] {
            assert_eq!(destination.is_named_by(authority), same, "{authority}");
        }
    }
}
