//! Which addresses a policy opens beside the public internet, and which it closes: the checked form of `network`.
//!
//! Pure. What kind of address an address is, is `address::Class`; looking names up is `dial`'s.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::address;
use crate::address::Class;
use crate::address::Nat64Prefix;
use crate::request::Host;

/// One entry of `network.allow_private`: opens these addresses to this host on this port, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemption {
    /// The host whose name may resolve there.
    pub host: Host,
    /// The networks in which its addresses may be.
    pub addresses: Vec<IpNet>,
    /// The port on which it may be reached.
    pub port: u16,
}

/// The network section of a policy. The default opens the public internet only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// What is open beside the public internet.
    pub exemptions: Vec<Exemption>,
    /// The NAT64 prefixes of the operator's own network, which are looked through.
    pub nat64: Vec<Nat64Prefix>,
    /// What nothing may reach, public or exempted.
    pub denied: Vec<IpNet>,
}

/// An address to which a host may not lead, and what kind of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRefusal {
    /// The address.
    pub address: IpAddr,
    /// Its kind.
    pub class: Class,
    /// Whether the policy denies it to everybody.
    pub denied: bool,
}

impl Network {
    /// Whether a request for this host and port may go to this address.
    ///
    /// # Errors
    /// A metadata address or one that is denied, whatever is exempted; any other that is not public, unless an
    /// exemption of exactly this host and port holds it.
    pub fn judge(&self, host: &Host, port: u16, address: IpAddr) -> Result<(), AddressRefusal> {
        let class = Class::of(address, &self.nat64);
        let denied = self.denies(address);
        let open = match class {
            _ if denied => false,
            Class::Public => true,
            Class::Metadata => false,
            _ => self.exempts(host, port, address),
        };
        open.then_some(()).ok_or(AddressRefusal {
            address,
            class,
            denied,
        })
    }

    /// Also where it stands inside another: an IPv4 address that is closed is not reached by way of IPv6.
    fn denies(&self, address: IpAddr) -> bool {
        if self.denied.is_empty() {
            return false;
        }
        let inside = match address {
            IpAddr::V4(_) => Vec::new(),
            IpAddr::V6(address) => address::inside(address, &self.nat64),
        };
        let mut readings = inside.into_iter().map(IpAddr::V4).chain([address]);
        readings.any(|it| self.denied.iter().any(|net| net.contains(&it)))
    }

    fn exempts(&self, host: &Host, port: u16, address: IpAddr) -> bool {
        self.exemptions
            .iter()
            .filter(|it| it.host == *host && it.port == port)
            .flat_map(|it| &it.addresses)
            .any(|net| net.contains(&address))
    }
}

impl fmt::Display for AddressRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.address, self.class)?;
        if self.denied {
            f.write_str(", and stands under network.deny")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network() -> Network {
        let exemption = |host, addresses: &[&str], port| Exemption {
            host: Host::parse(host).unwrap(),
            addresses: addresses.iter().map(|it| it.parse().unwrap()).collect(),
            port,
        };
        Network {
            exemptions: vec![
                exemption("crm.internal", &["10.0.5.0/24", "fd00::/8"], 8443),
                exemption("all.internal", &["0.0.0.0/0", "::/0"], 443),
            ],
            ..Network::default()
        }
    }

    #[test]
    fn an_exemption_opens_its_host_port_and_addresses_only() {
        for (host, port, address, open) in [
            ("crm.internal", 8443, "10.0.5.7", true),
            ("crm.internal", 8443, "fd00::7", true),
            ("crm.internal", 8443, "10.0.6.7", false),
            ("crm.internal", 443, "10.0.5.7", false),
            ("other.internal", 8443, "10.0.5.7", false),
            ("a.crm.internal", 8443, "10.0.5.7", false),
            ("crm.internal", 8443, "::ffff:10.0.5.7", false),
            ("crm.internal", 8443, "203.0.114.10", true),
            ("all.internal", 443, "127.0.0.1", true),
            ("all.internal", 80, "127.0.0.1", false),
        ] {
            let (host, address) = (Host::parse(host).unwrap(), address.parse().unwrap());
            let judged = network().judge(&host, port, address);
            assert_eq!(judged.is_ok(), open, "{host}:{port} {address}");
        }
    }

    #[test]
    fn no_exemption_opens_a_metadata_address() {
        let host = Host::parse("all.internal").unwrap();
        for address in [
            "169.254.169.254",
            "168.63.129.16",
            "192.0.0.192",
            "100.100.100.200",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "64:ff9b:1::a9fe:a9fe",
        ] {
            let refused = network().judge(&host, 443, address.parse().unwrap());
            assert_eq!(refused.unwrap_err().class, Class::Metadata, "{address}");
        }
    }

    #[test]
    fn what_is_denied_is_closed_to_everybody_in_every_form() {
        let network = Network {
            denied: ["10.0.5.7/32", "203.0.114.0/24", "2606:4700::/32"]
                .map(|it| it.parse().unwrap())
                .into(),
            nat64: vec![Nat64Prefix::new("2001:67c:2960:6464::/96".parse().unwrap()).unwrap()],
            ..network()
        };
        for (host, port, address, open) in [
            ("crm.internal", 8443, "10.0.5.6", true),
            ("crm.internal", 8443, "10.0.5.7", false),
            ("all.internal", 443, "10.0.5.7", false),
            ("all.internal", 443, "10.0.5.8", true),
            ("all.internal", 443, "::ffff:10.0.5.7", false),
            ("all.internal", 443, "::ffff:10.0.5.8", true),
            ("all.internal", 443, "2002:a00:507::1", false),
            ("all.internal", 443, "64:ff9b:1::a00:507", false),
            ("other.internal", 443, "203.0.114.10", false),
            ("other.internal", 443, "64:ff9b::203.0.114.10", false),
            (
                "other.internal",
                443,
                "2001:67c:2960:6464::203.0.114.10",
                false,
            ),
            ("other.internal", 443, "64:ff9b::203.0.115.10", true),
            ("other.internal", 443, "2606:4700::1", false),
            ("other.internal", 443, "2606:4701::1", true),
        ] {
            let (host, address) = (Host::parse(host).unwrap(), address.parse().unwrap());
            let judged = network.judge(&host, port, address);
            assert_eq!(judged.is_ok(), open, "{host}:{port} {address}");
        }
    }

    #[test]
    fn a_refusal_names_the_address_and_its_kind() {
        let host = Host::parse("crm.internal").unwrap();
        let refused = Network::default().judge(&host, 443, "10.0.5.7".parse().unwrap());
        assert_eq!(
            refused.unwrap_err().to_string(),
            "10.0.5.7 is a private address"
        );
    }
}
