//! Any text as a host, the pattern of a host, the target of a CONNECT, an absolute-form target or a `Host` header: what
//! is read is canonical, is read again as it is written, and is no other host or port to anybody else.

use std::net::IpAddr;

use exeat::request::Destination;
use exeat::request::Host;
use exeat::request::HostPattern;
use http::Uri;
use http::uri::Authority;

/// Reads the text as each of them.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(host) = Host::parse(text) {
        check_host(text, &host);
    }
    if let Ok(pattern) = HostPattern::parse(text) {
        check_pattern(&pattern);
    }
    if let Ok(destination) = Destination::of_connect(text) {
        check_connect(text, &destination);
    }
    check_absolute(text);
    check_named(text);
}

fn check_host(text: &str, host: &Host) {
    let name = host.as_str();
    assert!(same_name(text, host), "{text}");
    assert!(!name.is_empty() && name.len() <= 253, "{name}");
    for label in name.split('.') {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!((1..=63).contains(&label.len()) && label.bytes().all(plain));
        assert!(!label.starts_with('-') && !label.ends_with('-'), "{name}");
    }
    assert!(name.parse::<IpAddr>().is_err(), "{name}");
    assert!(!is_numbers_and_dots(name), "{name}");
    for spelled in [
        name.to_owned(),
        name.to_ascii_uppercase(),
        format!("{name}."),
    ] {
        assert_eq!(Host::parse(&spelled).as_ref(), Ok(host), "{spelled}");
    }
    assert_eq!(read(name).host(), name);
}

/// Whether `inet_aton` takes it for an address: one to four numbers, each decimal, octal or hexadecimal.
fn is_numbers_and_dots(name: &str) -> bool {
    let number = |part: &str| match part.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|it| it.is_ascii_hexdigit()),
        None => part.bytes().all(|it| it.is_ascii_digit()),
    };
    name.split('.').count() <= 4 && name.split('.').all(number)
}

fn check_pattern(pattern: &HostPattern) {
    let written = pattern.to_string();
    assert_eq!(HostPattern::parse(&written).as_ref(), Ok(pattern));
    let covered = match pattern {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::OneLabel(parent) => match Host::parse(&format!("a.{parent}")) {
            Ok(host) => host,
            // The parent has as many bytes as a name may.
            Err(_) => return,
        },
    };
    assert!(pattern.covers(&covered), "{written}");
    if let Ok(below) = Host::parse(&format!("b.{covered}")) {
        assert!(!pattern.covers(&below), "{written}");
    }
}

fn check_connect(text: &str, destination: &Destination) {
    let Destination { host, port, .. } = destination;
    check_host(host.as_str(), host);
    assert_ne!(*port, 0);
    let written = format!("{host}:{port}");
    let again = Destination::of_connect(&written);
    assert_eq!(again.as_ref().ok(), Some(destination), "{written}");
    for named in [text, &written, &destination.authority()] {
        assert!(destination.is_named_by(named), "{named}");
    }
    // A fragment of a port never means another one.
    assert!(text.ends_with(&format!(":{port}")), "{text}");
    let other = read(text);
    assert!(same_name(other.host(), host), "{text}");
    assert_eq!(other.port_u16(), Some(*port), "{text}");
}

fn check_absolute(text: &str) {
    let Ok(target) = Destination::of_absolute(text) else {
        return;
    };
    let destination = target.destination;
    check_host(destination.host.as_str(), &destination.host);
    assert!(target.path_and_query.starts_with(['/', '?']));
    let written = format!("{destination}{}", target.path_and_query);
    let again = Destination::of_absolute(&written).expect("what is written can be read");
    assert_eq!(again.destination, destination);
    assert_eq!(again.path_and_query, target.path_and_query);
    assert!(destination.is_named_by(&destination.authority()));
    if let Ok(other) = text.parse::<Uri>() {
        let port = other.port_u16();
        assert_eq!(other.scheme_str(), Some(destination.scheme.as_str()));
        assert!(same_name(other.host().expect("a host"), &destination.host));
        assert_eq!(
            port.unwrap_or(destination.scheme.default_port()),
            destination.port
        );
    }
}

/// Whatever names a destination in a `Host` header names it to others, too.
fn check_named(text: &str) {
    for target in ["api.good.test:443", "api.good.test:8443"] {
        let destination = Destination::of_connect(target).expect("a host and a port");
        if destination.is_named_by(text) {
            let other = read(text);
            assert!(same_name(other.host(), &destination.host), "{text}");
            assert_eq!(other.port_u16().unwrap_or(443), destination.port, "{text}");
        }
    }
}

fn read(authority: &str) -> Authority {
    authority
        .parse()
        .unwrap_or_else(|error| panic!("{error}: {authority}"))
}

/// The same but for case and the root's dot.
fn same_name(text: &str, host: &Host) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    text.eq_ignore_ascii_case(host.as_str())
}
