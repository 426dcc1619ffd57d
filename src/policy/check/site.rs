//! URLs and hosts as policies write them: where requests may go.

use crate::policy::check::leak;
use crate::policy::check::told::{Told, part_of};
use crate::policy::raw::decode::Text;
use crate::request::{BadHost, HostPattern, Scheme, port};

/// A URL, taken apart.
pub(super) struct Site<'a> {
    pub(super) scheme: Scheme,
    /// `None` where host or port is wrong: the path can be looked at all the same.
    pub(super) host: Option<HostPattern>,
    pub(super) port: u16,
    /// From the first `/`; empty where the URL ends with its host.
    pub(super) path: &'a str,
}

/// Reads an absolute URL; one without a scheme is `https://`.
pub(super) fn read<'a>(url: &'a Text, told: &mut Told<'_>) -> Option<Site<'a>> {
    if leak::in_located(url, told) {
        return None;
    }
    let (scheme, rest) = scheme(url, told)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let start = url.value.len() - rest.len();
    if !path.is_empty() && !path.starts_with('/') {
        told.error(
            &part_of(url, start + end, url.value.len()),
            "a URL here has neither query nor fragment",
            "query parameters belong in `query`",
        );
        return None;
    }
    if authority.contains('@') {
        told.leak(&url.place, "user information before a host");
        return None;
    }
    let (host, digits) = match authority.split_once(':') {
        Some((host, digits)) if !authority.starts_with('[') => (host, Some(digits)),
        _ => (authority, None),
    };
    let place = part_of(url, start, start + host.len());
    let host = pattern(&Text::new(host.to_owned(), place), told);
    let port = digits.map_or(Some(scheme.default_port()), port);
    if port.is_none() {
        told.error(
            &part_of(url, start, start + end),
            "a port is a number from 1 to 65535, without leading zero",
            "write the port after the host, or leave it and the `:` out",
        );
    }
    Some(Site {
        scheme,
        host: host.filter(|_| port.is_some()),
        port: port.unwrap_or_default(),
        path,
    })
}

fn scheme<'a>(url: &'a Text, told: &mut Told<'_>) -> Option<(Scheme, &'a str)> {
    let before_path = url
        .value
        .split(['/', '{', '?', '#'])
        .next()
        .unwrap_or_default();
    let after = url.value[before_path.len()..].strip_prefix("//");
    match (before_path.strip_suffix(':'), after) {
        (Some(scheme), Some(rest)) if scheme.eq_ignore_ascii_case("https") => {
            Some((Scheme::Https, rest))
        }
        (Some(scheme), Some(rest)) if scheme.eq_ignore_ascii_case("http") => {
            Some((Scheme::Http, rest))
        }
        (Some(scheme), Some(_)) => {
            told.error(
                &part_of(url, 0, before_path.len()),
                format!("`{scheme}` is not a scheme that exeat speaks"),
                "write `https://`",
            );
            None
        }
        _ if is_known(before_path.split(':').next()) && before_path.contains(':') => {
            told.error(
                &part_of(url, 0, before_path.len()),
                "a URL has `//` after its scheme",
                "write `https://`",
            );
            None
        }
        _ if url.value.is_empty() || url.value.starts_with('/') => {
            let message = "a URL names its host";
            told.error(&url.place, message, "write `https://HOST/PATH`");
            None
        }
        _ => Some((Scheme::Https, &url.value)),
    }
}

fn is_known(scheme: Option<&str>) -> bool {
    let known = |it: &str| {
        ["http", "https"]
            .iter()
            .any(|known| it.eq_ignore_ascii_case(known))
    };
    scheme.is_some_and(known)
}

/// Reads a host: exact, or `*.` for one label.
pub(super) fn pattern(text: &Text, told: &mut Told<'_>) -> Option<HostPattern> {
    if let Some((message, remedy)) = unusable(&text.value) {
        told.error(&text.place, message, remedy);
        return None;
    }
    let pattern = match HostPattern::parse(&text.value) {
        Ok(pattern) => pattern,
        Err(bad) => {
            let remedy = match bad {
                BadHost::Character('*') => "write `*.` before a name, for exactly one label",
                BadHost::Character(c) if !c.is_ascii() => "write its `xn--` form",
                _ => "write a DNS name such as `api.example.com`",
            };
            told.error(&text.place, bad.to_string(), remedy);
            return None;
        }
    };
    if let Some((message, remedy)) = too_wide(&pattern) {
        told.error(&text.place, message, remedy);
        return None;
    }
    Some(pattern)
}

fn unusable(text: &str) -> Option<(&'static str, &'static str)> {
    if text.contains("{{") {
        return Some((
            "a host has no placeholders: it decides who gets the credentials",
            "write it out, one for each environment if they differ",
        ));
    }
    if text == "*" {
        return Some((
            "`*` would open the whole internet",
            "name the hosts; `*.example.com` stands for exactly one label",
        ));
    }
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let is_address = text.starts_with('[') || bare.parse::<std::net::IpAddr>().is_ok();
    is_address.then_some((
        "an IP address is not a host",
        "write the DNS name; `network.allow_private` says which addresses it may have",
    ))
}

/// What would take in the hosts of many owners.
fn too_wide(pattern: &HostPattern) -> Option<(String, &'static str)> {
    let (host, wild) = match pattern {
        HostPattern::Exact(host) => (host.as_str(), false),
        HostPattern::OneLabel(parent) => (parent.as_str(), true),
    };
    let suffix = psl::suffix(host.as_bytes());
    let is_suffix = suffix.is_some_and(|it| it.as_bytes() == host.as_bytes());
    // One exact host under a private suffix has one owner: `s3.amazonaws.com` is a suffix and an API.
    let is_private = suffix.is_some_and(|it| it.typ() == Some(psl::Type::Private));
    if wild && is_suffix {
        let message =
            format!("`*.{host}` takes in the hosts of many owners: `{host}` is a public suffix");
        return Some((message, "name a host or a domain below it"));
    }
    if !host.contains('.') {
        let message =
            format!("`{host}` is not a full name: it means another host in another network");
        return Some((message, "write the full DNS name, such as `crm.internal`"));
    }
    (is_suffix && !is_private).then(|| {
        let message = format!("`{host}` is a public suffix, not a host");
        (message, "name the host below it")
    })
}
