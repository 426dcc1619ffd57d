//! Tunnels, and the hosts that may have addresses which are not public.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

use crate::address::Class;
use crate::address::Nat64Prefix;
use crate::name::TunnelName;
use crate::policy::check::connector::Connectors;
use crate::policy::check::ground::{Ground, name};
use crate::policy::check::site;
use crate::policy::check::told::Told;
use crate::policy::raw::connector::Connector;
use crate::policy::raw::decode::Text;
use crate::policy::raw::network::{AllowPrivate, Tunnel as RawTunnel};
use crate::policy::raw::per_environment::PerEnvironment;
use crate::policy::{Environment, Exemption, Network, Tunnel};
use crate::problem::{Place, Problem};
use crate::request::{Host, HostPattern};

/// The port of a tunnel that names none.
const DEFAULT_PORT: u16 = 443;

/// A tunnel, and where each of its hosts stands.
pub(super) struct CheckedTunnel {
    pub(super) tunnel: Tunnel,
    pub(super) places: Vec<Place>,
}

/// Reads all tunnels.
pub(super) fn tunnels(ground: &Ground<'_>, told: &mut Told<'_>) -> Vec<CheckedTunnel> {
    let mut tunnels = Vec::new();
    let mut seen: HashMap<(HostPattern, u16), Place> = HashMap::new();
    for (text, raw) in ground.raw.tunnels.iter() {
        let name = name(text, TunnelName::parse, told);
        let tunnel = name.and_then(|name| tunnel(name, raw, told));
        let Some(tunnel) = tunnel else { continue };
        for (host, place) in tunnel.tunnel.hosts.iter().zip(&tunnel.places) {
            for port in &tunnel.tunnel.ports {
                if let Some(first) = seen.insert((host.clone(), *port), place.clone()) {
                    let message = format!("`{host}:{port}` is declared twice");
                    let problem = Problem::error(place, message).remedy("keep one of them");
                    told.tell(problem.second("first declared here", &first));
                }
            }
        }
        tunnels.push(tunnel);
    }
    tunnels
}

fn tunnel(name: TunnelName, raw: &RawTunnel, told: &mut Told<'_>) -> Option<CheckedTunnel> {
    let list = raw.hosts.as_ref()?;
    if list.items.is_empty() {
        told.error(
            &list.place,
            "this tunnel has no host",
            "name one, or remove the tunnel",
        );
    }
    let read =
        |text: &Text, told: &mut Told<'_>| Some((site::pattern(text, told)?, text.place.clone()));
    let hosts = list.items.iter().filter_map(|text| read(text, told));
    let (hosts, places) = hosts.unzip();
    let ports = match &raw.ports {
        None => vec![DEFAULT_PORT],
        Some(list) => {
            if list.items.is_empty() {
                told.error(
                    &list.place,
                    "this tunnel has no port",
                    "name one, such as 443",
                );
            }
            list.items.iter().map(|port| port.value).collect()
        }
    };
    let tunnel = Tunnel { name, hosts, ports };
    Some(CheckedTunnel { tunnel, places })
}

/// Reads `network`.
pub(super) fn read(declared: &Declared<'_, '_>, told: &mut Told<'_>) -> Network {
    let raw = declared.ground.raw;
    let exemptions = raw.allow_private.iter();
    let exemptions = exemptions.filter_map(|it| declared.exemption(it, told));
    Network {
        exemptions: exemptions.collect(),
        nat64: raw.nat64.iter().filter_map(|it| nat64(it, told)).collect(),
        denied: raw.deny.iter().filter_map(|it| net(it, told)).collect(),
    }
}

fn nat64(text: &Text, told: &mut Told<'_>) -> Option<Nat64Prefix> {
    let net = text.value.parse::<Ipv6Net>().ok();
    let prefix = net
        .filter(|it| it.trunc() == *it)
        .and_then(Nat64Prefix::new);
    if prefix.is_none() {
        let message = format!("`{}` is not a prefix of NAT64", text.value);
        let remedy = "write it as `2001:db8:64::/96`, with a length of 32, 40, 48, 56, 64 or 96";
        told.error(&text.place, message, remedy);
    }
    prefix
}

/// Every host that a policy declares.
pub(super) struct Declared<'x, 'a> {
    pub(super) ground: &'x Ground<'a>,
    pub(super) environments: &'x [Environment],
    pub(super) tunnels: &'x [CheckedTunnel],
    pub(super) connectors: &'x Connectors<'a>,
}

impl Declared<'_, '_> {
    fn exemption(&self, raw: &AllowPrivate, told: &mut Told<'_>) -> Option<Exemption> {
        let text = raw.host.as_ref()?;
        let host = match site::pattern(text, told) {
            Some(HostPattern::Exact(host)) => Some(host),
            Some(HostPattern::OneLabel(_)) => {
                let message = "an exemption is for one host, without `*`";
                told.error(&text.place, message, "write an entry for each host");
                None
            }
            None => None,
        };
        let port = raw.port.as_ref().map(|port| port.value);
        if let Some(host) = &host {
            self.tell_undeclared(host, text, told);
        }
        let addresses = raw.addresses.iter().flat_map(|list| &list.items);
        let addresses = addresses.filter_map(|text| network(text, told)).collect();
        Some(Exemption {
            host: host?,
            addresses,
            port: port?,
        })
    }

    /// The port is not looked at: an operator's static host may lead to another than that of any URL.
    fn tell_undeclared(&self, host: &Host, text: &Text, told: &mut Told<'_>) {
        let tunnel_hosts = || self.tunnels.iter().flat_map(|it| &it.tunnel.hosts);
        let calls = || self.connectors.values().flat_map(|it| &it.endpoints);
        let calls = || calls().flatten().map(|it| &it.destination);
        let is_known = self.environments.iter().any(|it| it.index.knows(host))
            || tunnel_hosts().any(|it| it.covers(host))
            || calls().any(|it| it.host == *host);
        if !is_known && !self.is_written(host) && !self.ground.raw.is_partial {
            let actions = self.environments.iter().flat_map(|it| it.actions.values());
            let patterns = actions.map(|it| &it.host).chain(tunnel_hosts());
            let names: Vec<String> = patterns.map(ToString::to_string).collect();
            told.unknown("host", text, names.iter().map(String::as_str));
        }
    }
}

impl Declared<'_, '_> {
    /// Whether the host stands in some URL: an action with a mistake may be the one that has it.
    fn is_written(&self, host: &Host) -> bool {
        let raw = self.ground.raw;
        let urls = raw.actions.iter().filter_map(|(_, it)| it.url.as_deref());
        let bases = raw
            .connections
            .iter()
            .filter_map(|(_, it)| it.base_url.as_ref());
        let tokens = raw.auth.iter().filter_map(|(_, it)| match it {
            Connector::Oauth2(oauth) => oauth.token_url.as_ref(),
            _ => None,
        });
        let mut texts = urls
            .chain(bases)
            .chain(tokens)
            .flat_map(PerEnvironment::values);
        texts.any(|it| it.value.to_ascii_lowercase().contains(host.as_str()))
    }
}

fn net(text: &Text, told: &mut Told<'_>) -> Option<IpNet> {
    let single = || text.value.parse::<IpAddr>().map(IpNet::from);
    let Ok(net) = text.value.parse::<IpNet>().or_else(|_| single()) else {
        let message = format!("`{}` is not a network", text.value);
        told.error(&text.place, message, "write it as `10.0.5.0/24`");
        return None;
    };
    if net.trunc() != net {
        let message = format!("`{net}` has bits behind its prefix");
        told.error(&text.place, message, &format!("write `{}`", net.trunc()));
        return None;
    }
    Some(net)
}

/// A network that is to be opened.
fn network(text: &Text, told: &mut Told<'_>) -> Option<IpNet> {
    let net = net(text, told)?;
    let is_metadata = |address| Class::of(address, &[]) == Class::Metadata;
    if is_metadata(net.network()) && is_metadata(net.broadcast()) {
        told.error(
            &text.place,
            "a cloud's metadata address is never opened",
            "remove it: it hands out the credentials of the machine",
        );
        return None;
    }
    Some(net)
}
