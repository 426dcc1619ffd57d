//! Connectors with tokens: the token endpoint, and what is asked for there.

use std::collections::HashMap;
use std::sync::Arc;

use http::uri::PathAndQuery;

use crate::credential::{ClientAuth, Grant, Source};
use crate::name::{ConnectorName, EnvironmentName, SecretName};
use crate::policy::check::connector::{Connectors, Reader};
use crate::policy::check::ground::Ground;
use crate::policy::check::told::{Told, part_of};
use crate::policy::check::{leak, site};
use crate::policy::raw::connector::{ClientAuth as RawClientAuth, Oauth2};
use crate::policy::raw::decode::Text;
use crate::policy::raw::secret::{Credential, Value};
use crate::policy::{Declared, Network, SecretSource, TokenSource};
use crate::request::{Destination, HostPattern, Path, Scheme};

/// A token endpoint in one environment.
pub(super) struct Endpoint {
    pub(super) destination: Destination,
    target: PathAndQuery,
    grant: Grant,
}

/// Where secrets come from, by secret and environment.
type Sources = HashMap<(SecretName, EnvironmentName), SecretSource>;

/// Reads the token endpoint of a connector.
pub(super) fn endpoint(
    reader: &Reader<'_, '_>,
    raw: &Oauth2,
    told: &mut Told<'_>,
) -> Option<Endpoint> {
    let url = reader.of(raw.token_url.as_ref(), told);
    let url = url.and_then(|url| token_url(url, told));
    let id = reader.of(raw.client_id.as_ref(), told);
    let id = id.and_then(|id| client_id(reader, id, told));
    let secret = reader.of(raw.client_secret.as_ref(), told);
    let secret = secret.and_then(|Credential(value)| {
        reader.bare_secret(value, ("the client's secret", &Oauth2::SECTION), told)
    });
    let scopes = raw.scopes.iter().flat_map(|it| &it.items);
    let scopes: Vec<&str> = scopes.filter_map(|it| scope(it, told)).collect();
    let audience = reader.of(raw.audience.as_ref(), told);
    let audience = audience.and_then(|text| audience_of(reader, text, told));
    let client_auth = reader.of(raw.client_auth.as_ref(), told);
    let client_auth = match client_auth.map(|it| it.value) {
        Some(RawClientAuth::Body) => ClientAuth::Body,
        Some(RawClientAuth::Basic) | None => ClientAuth::Basic,
    };
    let (destination, target) = url?;
    Some(Endpoint {
        destination,
        target,
        grant: Grant {
            client_id: id?,
            client_secret: secret?,
            client_auth,
            scope: scopes.join(" ").into(),
            audience,
        },
    })
}

/// Where the tokens of all connectors come from.
pub(super) fn sources(
    ground: &Ground<'_>,
    connectors: &Connectors<'_>,
    (network, secrets): (&Arc<Network>, &Sources),
) -> HashMap<(ConnectorName, EnvironmentName), Arc<TokenSource>> {
    let mut sources = HashMap::new();
    for (name, connector) in connectors {
        let Ok(name) = ConnectorName::parse(name) else {
            continue;
        };
        for (endpoint, environment) in connector.endpoints.iter().zip(&ground.environments) {
            let Some(endpoint) = endpoint else { continue };
            let (destination, target) = (endpoint.destination.clone(), endpoint.target.clone());
            let declared = Declared::new(destination, target, network.clone());
            let Some(declared) = declared else { continue };
            let source = TokenSource {
                connector: name.clone(),
                environment: environment.clone(),
                endpoint: declared,
                secrets: of_grant(&endpoint.grant, environment, secrets),
                grant: endpoint.grant.clone(),
            };
            sources.insert((name.clone(), environment.clone()), Arc::new(source));
        }
    }
    sources
}

/// A secret without a source has been told.
fn of_grant(
    grant: &Grant,
    environment: &EnvironmentName,
    secrets: &Sources,
) -> Vec<(SecretName, SecretSource)> {
    let source = |name: &SecretName| {
        let source = secrets.get(&(name.clone(), environment.clone()))?;
        Some((name.clone(), source.clone()))
    };
    grant.secrets().filter_map(source).collect()
}

/// An exact host over TLS, and a path that can be read in one way.
fn token_url(url: &Text, told: &mut Told<'_>) -> Option<(Destination, PathAndQuery)> {
    let wrong = if url.value.contains("{{") {
        Some("a token endpoint has no placeholders: it gets the client's secret")
    } else if url.value.contains(['?', '#']) {
        Some("a token endpoint has neither query nor fragment here")
    } else {
        None
    };
    if let Some(message) = wrong {
        let remedy = "write it out, one for each environment if they differ";
        told.error(&url.place, message, remedy);
        return None;
    }
    let site = site::read(url, told)?;
    if site.scheme == Scheme::Http {
        told.error(
            &url.place,
            "the client's secret would go out over `http://`, readable on the way",
            "write `https://`",
        );
        return None;
    }
    let HostPattern::Exact(host) = site.host? else {
        let message = "a token endpoint is one host, without `*`";
        told.error(&url.place, message, "write its name");
        return None;
    };
    let path = if site.path.is_empty() { "/" } else { site.path };
    let path = match Path::parse(path) {
        Ok(path) => path.to_string(),
        Err(refusal) => {
            let place = part_of(url, url.value.len() - site.path.len(), url.value.len());
            told.error(&place, refusal.message, "write the path that is meant");
            return None;
        }
    };
    let destination = Destination {
        scheme: site.scheme,
        host,
        port: site.port,
    };
    Some((destination, path.parse().ok()?))
}

fn client_id(reader: &Reader<'_, '_>, value: &Value, told: &mut Told<'_>) -> Option<Source> {
    let Value::Literal(text) = value else {
        return reader.bare_secret(value, ("the client's id", &Oauth2::SECTION), told);
    };
    constant(reader, text, "a client's id", told).map(Source::Literal)
}

fn audience_of(reader: &Reader<'_, '_>, text: &Text, told: &mut Told<'_>) -> Option<Box<str>> {
    constant(reader, text, "an audience", told)
}

/// Text that is the same for every request.
fn constant(
    reader: &Reader<'_, '_>,
    text: &Text,
    what: &str,
    told: &mut Told<'_>,
) -> Option<Box<str>> {
    if leak::in_located(text, told) {
        return None;
    }
    let constant = reader.ground.constant(text, reader.environment, told)?;
    // RFC 6749 appendix A.1.
    if constant.is_empty() || !constant.bytes().all(|b| matches!(b, b' '..=b'~')) {
        let message = format!("{what} has only printable ASCII characters, and at least one");
        told.error(&text.place, message, "write what the issuer gave out");
        return None;
    }
    Some(constant.into())
}

/// RFC 6749 §3.3: no spaces, which stand between scopes, and neither `"` nor `\`.
fn scope<'t>(text: &'t Text, told: &mut Told<'_>) -> Option<&'t str> {
    if leak::in_located(text, told) {
        return None;
    }
    let is_plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
    if text.value.is_empty() || text.value.contains("{{") || !text.value.bytes().all(is_plain) {
        told.error(
            &text.place,
            "a scope is one word of printable ASCII without `\"` and `\\`, and no template",
            "write every scope as an entry of its own: `[orders.read, orders.write]`",
        );
        return None;
    }
    Some(&text.value)
}
