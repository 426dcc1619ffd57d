//! From the answers of a lookup to the addresses that may be dialled.
//!
//! [`Vetted`] is made only here, and only a vetted address can be connected to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use crate::address::Class;
use crate::dial::resolve::Answer;
use crate::fault::{Fault, FaultKind};
use crate::policy::AddressRefusal;
use crate::policy::Network;
use crate::request::Host;

/// The most addresses of one answer that are tried. Real answers have up to about 16; thousands are an attack.
const MOST_ADDRESSES: usize = 32;

/// An address that was judged clean for the host and port of one dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vetted(SocketAddr);

impl Vetted {
    /// The address.
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

/// The addresses on which this process itself listens. Nothing leads there, whatever a policy exempts.
#[derive(Clone, Debug, Default)]
pub struct Own(Vec<SocketAddr>);

impl Own {
    /// Takes the bound addresses of every listener, as the sockets report them.
    pub fn new(listeners: Vec<SocketAddr>) -> Self {
        Self(listeners)
    }

    /// Whether connecting to this address would reach a listener of ours.
    pub fn holds(&self, address: SocketAddr) -> bool {
        let target = reached(address.ip());
        self.0
            .iter()
            .filter(|listener| listener.port() == address.port())
            .any(|listener| match listener.ip().to_canonical() {
                ip if ip.is_unspecified() => is_local(target),
                ip => ip == target,
            })
    }
}

/// Where a connection to an address really arrives: an unspecified one means the machine itself.
fn reached(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        ip if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    }
}

/// Whether an address belongs to this machine: only those can be bound. Nothing is sent.
fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || UdpSocket::bind((address, 0)).is_ok()
}

/// What an answer is judged for.
pub(super) struct Target<'a> {
    pub(super) host: &'a Host,
    pub(super) port: u16,
    pub(super) network: &'a Network,
    pub(super) own: &'a Own,
}

impl Target<'_> {
    /// Judges every answer of a lookup; one that is not clean spoils them all, since whoever gives a private address
    /// beside a public one is trying something. The families alternate, IPv6 first (RFC 8305 §4).
    pub(super) fn vet(&self, answers: &[Answer]) -> Result<Vec<Vetted>, Fault> {
        let addresses = answers
            .iter()
            .map(|it| SocketAddr::new(it.address, it.port.unwrap_or(self.port)));
        let addresses: Vec<SocketAddr> = addresses.collect();
        for &address in &addresses {
            self.judge(address)?;
        }
        let (v6, v4): (Vec<&SocketAddr>, _) = addresses.iter().partition(|it| it.is_ipv6());
        let mut vetted: Vec<Vetted> = Vec::new();
        for place in 0..v6.len().max(v4.len()) {
            for &&address in v6.get(place).into_iter().chain(v4.get(place)) {
                vetted.push(Vetted(address));
            }
        }
        vetted.truncate(MOST_ADDRESSES);
        if vetted.is_empty() {
            let detail = format!("the name {} has no address", self.host);
            return Err(Fault::new(FaultKind::Unreachable, detail));
        }
        Ok(vetted)
    }

    /// Judges one address; also one to which a connection is open, since the policy may have changed.
    pub(super) fn judge(&self, address: SocketAddr) -> Result<(), Fault> {
        if self.own.holds(address) {
            let detail = format!(
                "the name {} leads to {address}, one of exeat's own listeners",
                self.host
            );
            return Err(Fault::new(FaultKind::Address, detail));
        }
        self.network
            .judge(self.host, address.port(), address.ip())
            .map_err(|refusal| self.refused(refusal, address.port()))
    }

    fn refused(&self, refusal: AddressRefusal, port: u16) -> Fault {
        let remedy = match refusal.class {
            _ if refusal.denied => "that wins over what is exempted",
            Class::Metadata => "nothing opens it",
            _ => "only an entry of network.allow_private with this host and port opens it",
        };
        let host = self.host;
        let detail = format!("{host} (port {port}) leads to a closed address: {refusal}; {remedy}");
        Fault::new(FaultKind::Address, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vet(answers: &[&str], network: &Network, own: &Own) -> Result<Vec<String>, FaultKind> {
        let host = Host::parse("api.good.test").unwrap();
        let target = Target {
            host: &host,
            port: 443,
            network,
            own,
        };
        let addresses = answers.iter().map(|it| it.parse::<IpAddr>().unwrap());
        let answers: Vec<Answer> = addresses.map(Answer::from).collect();
        let vetted = target.vet(&answers).map_err(|fault| fault.kind)?;
        let texts = vetted.iter().map(|it| it.address().ip().to_string());
        Ok(texts.collect())
    }

    #[test]
    fn one_bad_answer_spoils_them_all() {
        for answers in [
            &["10.0.0.5"][..],
            &["203.0.114.10", "10.0.0.5"],
            &["203.0.114.10", "::1"],
            &["2606:4700::1", "203.0.114.10", "169.254.169.254"],
        ] {
            let vetted = vet(answers, &Network::default(), &Own::default());
            assert_eq!(vetted, Err(FaultKind::Address), "{answers:?}");
        }
    }

    #[test]
    fn no_answer_is_unreachable() {
        let vetted = vet(&[], &Network::default(), &Own::default());
        assert_eq!(vetted, Err(FaultKind::Unreachable));
    }

    #[test]
    fn the_families_alternate() {
        let answers = ["203.0.114.1", "203.0.114.2", "2606:4700::1"];
        let vetted = vet(&answers, &Network::default(), &Own::default());
        assert_eq!(
            vetted.unwrap(),
            ["2606:4700::1", "203.0.114.1", "203.0.114.2"]
        );
    }

    #[test]
    fn a_flood_of_answers_is_cut() {
        let flood: Vec<String> = (0..5000)
            .map(|n| format!("203.1.{}.{}", n / 250, n % 250))
            .collect();
        let flood: Vec<&str> = flood.iter().map(String::as_str).collect();
        let vetted = vet(&flood, &Network::default(), &Own::default()).unwrap();
        assert_eq!(vetted.len(), MOST_ADDRESSES);
    }

    #[test]
    fn our_own_listeners_are_known_under_every_address_of_the_machine() {
        let own = |listener: &str| Own::new(vec![listener.parse().unwrap()]);
        for (listener, target, held) in [
            ("127.0.0.1:9090", "127.0.0.1:9090", true),
            ("127.0.0.1:9090", "127.0.0.1:9091", false),
            ("127.0.0.1:9090", "0.0.0.0:9090", true),
            ("127.0.0.1:9090", "[::ffff:127.0.0.1]:9090", true),
            ("127.0.0.1:9090", "127.0.0.2:9090", false),
            ("0.0.0.0:9090", "127.0.0.2:9090", true),
            ("[::]:9090", "127.0.0.1:9090", true),
            ("0.0.0.0:9090", "203.0.114.10:9090", false),
            ("0.0.0.0:9090", "127.0.0.1:443", false),
        ] {
            let held_now = own(listener).holds(target.parse().unwrap());
            assert_eq!(held_now, held, "{listener} {target}");
        }
    }

    #[test]
    fn a_listener_everywhere_is_known_at_the_machines_own_address() {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        // From where packets would go there. Nothing is sent, and a machine without a network has no such address.
        if socket.connect("203.0.114.10:9").is_err() {
            return;
        }
        let here = SocketAddr::new(socket.local_addr().unwrap().ip(), 9090);
        for listener in ["0.0.0.0:9090", "[::]:9090"] {
            let own = Own::new(vec![listener.parse().unwrap()]);
            assert!(own.holds(here), "{listener} {here}");
        }
    }

    #[test]
    fn an_exemption_does_not_open_our_own_listeners() {
        let network = Network {
            exemptions: vec![crate::policy::Exemption {
                host: Host::parse("api.good.test").unwrap(),
                addresses: vec!["127.0.0.0/8".parse().unwrap()],
                port: 443,
            }],
            ..Network::default()
        };
        let own = Own::new(vec!["127.0.0.1:443".parse().unwrap()]);
        assert_eq!(vet(&["127.0.0.1"], &network, &own), Err(FaultKind::Address));
        assert!(vet(&["127.0.0.2"], &network, &own).is_ok());
    }
}
