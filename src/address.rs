//! What kind of address an IP address is, and whether it is on the public internet.
//!
//! Pure classification against the IANA special-purpose registries (RFC 6890) and the addresses at which clouds keep
//! their credentials. Which exemptions a policy makes is `policy::Network`'s matter. The standard library has no stable
//! `is_global`, and three peers that wrote their own let some of this table through.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// The kind of an address. Only [`Class::Public`] is a place to which requests go without an exemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Globally reachable unicast.
    Public,
    /// A cloud's metadata or credential endpoint, plain or embedded. No exemption opens it.
    Metadata,
    /// `0.0.0.0/8` and `::`; many systems connect to themselves here.
    Unspecified,
    /// The machine itself.
    Loopback,
    /// Private networks (RFC 1918), unique local addresses (RFC 4193) and the older site-local ones (RFC 3879).
    Private,
    /// Carrier-grade NAT, which some clouds and overlay networks use inside (RFC 6598).
    Shared,
    /// The link only (RFC 3927, RFC 4291 §2.5.6).
    LinkLocal,
    /// Groups (RFC 5771, RFC 4291 §2.7).
    Multicast,
    /// All hosts of the link.
    Broadcast,
    /// For examples in texts (RFC 5737, RFC 3849, RFC 9637).
    Documentation,
    /// For measuring devices (RFC 2544, RFC 5180).
    Benchmarking,
    /// Thrown away on arrival (RFC 6666, RFC 9780).
    Discard,
    /// Given to a protocol rather than to a network: relays, anycast services, identifiers.
    Protocol,
    /// Not given to anybody.
    Reserved,
    /// A public IPv4 address inside an IPv6 one, of a form that leads somewhere else than it says.
    Embedded(Form),
}

/// The ways in which an IPv6 address can hold an IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `::/96` (RFC 4291 §2.5.5.1).
    Compatible,
    /// `::ffff:0:0/96` (RFC 4291 §2.5.5.2).
    Mapped,
    /// `::ffff:0:0:0/96` (RFC 2765 §2.1).
    Translated,
    /// `64:ff9b:1::/48` (RFC 8215).
    LocalNat64,
    /// `2002::/16` (RFC 3056).
    SixToFour,
    /// `2001::/32` (RFC 4380).
    Teredo,
    /// An ISATAP interface id under any prefix (RFC 5214 §6.1).
    Isatap,
}

/// A NAT64 prefix that the operator's own network uses, with one of the lengths of RFC 6052 §2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat64Prefix(Ipv6Net);

impl Class {
    /// Classifies an address; `nat64` are the operator's own prefixes beside the well-known one.
    pub fn of(address: IpAddr, nat64: &[Nat64Prefix]) -> Self {
        match address {
            IpAddr::V4(address) => of_v4(address),
            IpAddr::V6(address) => of_v6(address, nat64),
        }
    }

    /// Whether requests may go there without an exemption.
    pub fn is_public(self) -> bool {
        self == Self::Public
    }

    /// For logs and messages: what the address is.
    pub fn text(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Metadata => "a cloud metadata address",
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::Shared => "a carrier-grade NAT address",
            Self::LinkLocal => "a link-local address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "a broadcast address",
            Self::Documentation => "a documentation address",
            Self::Benchmarking => "a benchmarking address",
            Self::Discard => "a discard-only address",
            Self::Protocol => "an address of a protocol assignment",
            Self::Reserved => "a reserved address",
            Self::Embedded(form) => form.text(),
        }
    }

    /// For metrics: one word from a closed set.
    pub fn label(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Metadata => "metadata",
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Shared => "shared",
            Self::LinkLocal => "link_local",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Discard => "discard",
            Self::Protocol => "protocol",
            Self::Reserved => "reserved",
            Self::Embedded(_) => "embedded",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Form {
    fn text(self) -> &'static str {
        match self {
            Self::Compatible => "an IPv4-compatible IPv6 address",
            Self::Mapped => "an IPv4-mapped IPv6 address",
            Self::Translated => "an IPv4-translated IPv6 address",
            Self::LocalNat64 => "a local-use NAT64 address",
            Self::SixToFour => "a 6to4 address",
            Self::Teredo => "a Teredo address",
            Self::Isatap => "an ISATAP address",
        }
    }
}

impl Nat64Prefix {
    /// Takes a prefix whose length RFC 6052 allows: 32, 40, 48, 56, 64 or 96.
    pub fn new(prefix: Ipv6Net) -> Option<Self> {
        matches!(prefix.prefix_len(), 32 | 40 | 48 | 56 | 64 | 96).then(|| Self(prefix.trunc()))
    }

    fn embedded(self, address: Ipv6Addr) -> Option<Ipv4Addr> {
        self.0
            .contains(&address)
            .then(|| rfc6052(address, self.0.prefix_len()))
    }
}

/// Reads the IPv4 address behind a prefix; bits 64 to 71 are no part of it (RFC 6052 §2.2).
fn rfc6052(address: Ipv6Addr, prefix_length: u8) -> Ipv4Addr {
    let octets = address.octets();
    let mut places = (usize::from(prefix_length) / 8..).filter(|&place| place != 8);
    Ipv4Addr::from(std::array::from_fn(|_| {
        octets[places.next().expect("the range has no end")]
    }))
}

fn of_v4(address: Ipv4Addr) -> Class {
    if METADATA_V4.contains(&address) {
        return Class::Metadata;
    }
    let block = SPECIAL_V4.iter().find(|(net, _)| net.contains(&address));
    block.map_or(Class::Public, |&(_, class)| class)
}

fn of_v6(address: Ipv6Addr, nat64: &[Nat64Prefix]) -> Class {
    if METADATA_V6.contains(&address) {
        return Class::Metadata;
    }
    let own = nat64.iter().filter_map(|prefix| prefix.embedded(address));
    if let Some(class) = worst(own.map(of_v4)) {
        return class;
    }
    if WELL_KNOWN_NAT64.contains(&address) {
        return of_v4(rfc6052(address, 96));
    }
    match of_embedding(address) {
        Some((_, class)) if !class.is_public() => class,
        Some((form, _)) => Class::Embedded(form),
        None => of_plain_v6(address),
    }
}

fn of_plain_v6(address: Ipv6Addr) -> Class {
    let block = SPECIAL_V6.iter().find(|(net, _)| net.contains(&address));
    match block {
        Some(&(_, class)) => class,
        None if GLOBAL_UNICAST.contains(&address) => Class::Public,
        None => Class::Reserved,
    }
}

/// The form in which an IPv4 address is inside, and the class of that address.
///
/// Where an address can be read in several ways, the worst reading counts.
fn of_embedding(address: Ipv6Addr) -> Option<(Form, Class)> {
    // These two are addresses of their own, not embeddings (RFC 4291 §2.5.2 and §2.5.3).
    if address.is_unspecified() || address.is_loopback() {
        return None;
    }
    let last = rfc6052(address, 96);
    let form = EMBEDDINGS.iter().find(|(net, _)| net.contains(&address));
    let (form, class) = match form {
        Some(&(_, form @ Form::SixToFour)) => (form, of_v4(rfc6052(address, 16))),
        Some(&(_, form @ Form::Teredo)) => {
            let (client, server) = (Ipv4Addr::from(!last.to_bits()), rfc6052(address, 32));
            (form, worst([client, server].map(of_v4))?)
        }
        Some(&(_, form @ Form::LocalNat64)) => {
            // The operator picks the length, so only what no exemption may open is looked for in all of them.
            let readings = [48, 56, 64].map(|length| of_v4(rfc6052(address, length)));
            let hidden = readings.contains(&Class::Metadata);
            (form, if hidden { Class::Metadata } else { of_v4(last) })
        }
        Some(&(_, form)) => (form, of_v4(last)),
        None if is_isatap(address) => (Form::Isatap, of_v4(last)),
        None => return None,
    };
    Some((form, class))
}

/// Every IPv4 address that an IPv6 address can be read to have inside, whatever the form; none for most.
pub fn inside(address: Ipv6Addr, nat64: &[Nat64Prefix]) -> Vec<Ipv4Addr> {
    let last = rfc6052(address, 96);
    let form = EMBEDDINGS.iter().find(|(net, _)| net.contains(&address));
    let by_form = match form.map(|(_, form)| form) {
        Some(Form::SixToFour) => vec![rfc6052(address, 16)],
        Some(Form::Teredo) => vec![Ipv4Addr::from(!last.to_bits()), rfc6052(address, 32)],
        Some(Form::LocalNat64) => [48, 56, 64, 96].map(|it| rfc6052(address, it)).into(),
        Some(_) => vec![last],
        None if WELL_KNOWN_NAT64.contains(&address) || is_isatap(address) => vec![last],
        None => Vec::new(),
    };
    let own = nat64.iter().filter_map(|prefix| prefix.embedded(address));
    own.chain(by_form).collect()
}

/// `0:5efe` or, with the bit for "universal" set, `200:5efe` before the IPv4 address (RFC 5214 §6.1).
fn is_isatap(address: Ipv6Addr) -> bool {
    let [_, _, _, _, high, low, _, _] = address.segments();
    matches!(high, 0 | 0x200) && low == 0x5efe
}

/// Metadata before anything else that is refused, and that before public.
fn worst(classes: impl IntoIterator<Item = Class>) -> Option<Class> {
    classes.into_iter().reduce(|worst, class| {
        if class == Class::Metadata || worst.is_public() {
            class
        } else {
            worst
        }
    })
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

/// The first four groups are enough for every block but those of [`EMBEDDINGS`].
const fn v6(a: u16, b: u16, c: u16, d: u16, length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

const METADATA_V4: [Ipv4Addr; 6] = [
    Ipv4Addr::new(169, 254, 169, 254), // nearly every cloud
    Ipv4Addr::new(169, 254, 170, 2),   // AWS ECS tasks
    Ipv4Addr::new(169, 254, 170, 23),  // AWS EKS pod identity
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba
    Ipv4Addr::new(168, 63, 129, 16),   // Azure; outside of every special block
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle
];

const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), // AWS
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),  // Google
];

/// The IANA IPv4 special-purpose registry with the class D and E space. The first
/// block that holds an address counts.
const SPECIAL_V4: [(Ipv4Net, Class); 20] = [
    (v4(0, 0, 0, 0, 8), Class::Unspecified),
    (v4(10, 0, 0, 0, 8), Class::Private),
    (v4(100, 64, 0, 0, 10), Class::Shared),
    (v4(127, 0, 0, 0, 8), Class::Loopback),
    (v4(169, 254, 0, 0, 16), Class::LinkLocal),
    (v4(172, 16, 0, 0, 12), Class::Private),
    (v4(192, 0, 0, 0, 24), Class::Protocol),
    (v4(192, 0, 2, 0, 24), Class::Documentation),
    (v4(192, 31, 196, 0, 24), Class::Protocol), // AS112 (RFC 7535)
    (v4(192, 52, 193, 0, 24), Class::Protocol), // AMT relays (RFC 7450)
    (v4(192, 88, 99, 0, 24), Class::Protocol),  // 6to4 relays (RFC 7526)
    (v4(192, 168, 0, 0, 16), Class::Private),
    (v4(192, 175, 48, 0, 24), Class::Protocol), // AS112 (RFC 7534)
    (v4(198, 18, 0, 0, 15), Class::Benchmarking),
    (v4(198, 51, 100, 0, 24), Class::Documentation),
    (v4(203, 0, 113, 0, 24), Class::Documentation),
    (v4(233, 252, 0, 0, 24), Class::Documentation),
    (v4(224, 0, 0, 0, 4), Class::Multicast),
    (v4(255, 255, 255, 255, 32), Class::Broadcast),
    (v4(240, 0, 0, 0, 4), Class::Reserved),
];

/// The only unicast space that IANA gives out (RFC 4291 §2.4).
const GLOBAL_UNICAST: Ipv6Net = v6(0x2000, 0, 0, 0, 3);

/// The special blocks that embed nothing: the IANA registry, and what outside of [`GLOBAL_UNICAST`] has a name.
const SPECIAL_V6: [(Ipv6Net, Class); 13] = [
    (
        Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128),
        Class::Unspecified,
    ),
    (
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128),
        Class::Loopback,
    ),
    (v6(0x100, 0, 0, 0, 63), Class::Discard), // discard-only, and the dummy prefix beside it
    (v6(0x2001, 2, 0, 0, 48), Class::Benchmarking),
    (v6(0x2001, 0, 0, 0, 23), Class::Protocol), // ORCHID, DRIP, AMT, anycast services
    (v6(0x2001, 0xdb8, 0, 0, 32), Class::Documentation),
    (v6(0x2620, 0x4f, 0x8000, 0, 48), Class::Protocol), // AS112 (RFC 7534)
    (v6(0x3fff, 0, 0, 0, 20), Class::Documentation),
    (v6(0x5f00, 0, 0, 0, 16), Class::Protocol), // segment routing (RFC 9602)
    (v6(0xfc00, 0, 0, 0, 7), Class::Private),
    (v6(0xfe80, 0, 0, 0, 10), Class::LinkLocal),
    (v6(0xfec0, 0, 0, 0, 10), Class::Private),
    (v6(0xff00, 0, 0, 0, 8), Class::Multicast),
];

/// How networks without IPv4 reach public IPv4 servers (RFC 6052 §2.1): as public as the address inside.
const WELL_KNOWN_NAT64: Ipv6Net = v6(0x64, 0xff9b, 0, 0, 96);

const EMBEDDINGS: [(Ipv6Net, Form); 6] = [
    (v6(0, 0, 0, 0, 96), Form::Compatible),
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96),
        Form::Mapped,
    ),
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96),
        Form::Translated,
    ),
    (v6(0x64, 0xff9b, 1, 0, 48), Form::LocalNat64),
    (v6(0x2002, 0, 0, 0, 16), Form::SixToFour),
    (v6(0x2001, 0, 0, 0, 32), Form::Teredo),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn class(address: &str) -> Class {
        let operator: Ipv6Net = "2001:67c:2960:6464::/96".parse().unwrap();
        let nat64 = [Nat64Prefix::new(operator).unwrap()];
        Class::of(address.parse().unwrap(), &nat64)
    }

    fn check(table: &[(&str, Class)]) {
        for (address, expected) in table {
            assert_eq!(class(address), *expected, "{address}");
        }
    }

    #[test]
    fn metadata_is_recognised_before_the_block_it_is_in() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:a9fe:a9fe",
            "::169.254.169.254",
            "::ffff:0:a9fe:a9fe",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:a9fe:a9:fe00::",
            "64:ff9b:1:a9:fe:a9fe::",
            "64:ff9b:1:0:a9:fea9:fe00:0",
            "2001:67c:2960:6464::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2001:0:808:808::5601:5601",
            "2001:0:a9fe:a9fe::f7f7:f7f7",
            "2a00::5efe:a9fe:a9fe",
            "2a00::200:5efe:a83f:8110",
            "fe80::5efe:a9fe:a9fe",
        ] {
            assert_eq!(class(address), Class::Metadata, "{address}");
        }
    }

    #[test]
    fn every_special_ipv4_block_ends_where_the_registry_says() {
        for (first, last, expected) in [
            ("0.0.0.0", "0.255.255.255", Class::Unspecified),
            ("10.0.0.0", "10.255.255.255", Class::Private),
            ("100.64.0.0", "100.127.255.255", Class::Shared),
            ("127.0.0.0", "127.255.255.255", Class::Loopback),
            ("169.254.0.0", "169.254.255.255", Class::LinkLocal),
            ("172.16.0.0", "172.31.255.255", Class::Private),
            ("192.0.0.0", "192.0.0.255", Class::Protocol),
            ("192.0.2.0", "192.0.2.255", Class::Documentation),
            ("192.31.196.0", "192.31.196.255", Class::Protocol),
            ("192.52.193.0", "192.52.193.255", Class::Protocol),
            ("192.88.99.0", "192.88.99.255", Class::Protocol),
            ("192.168.0.0", "192.168.255.255", Class::Private),
            ("192.175.48.0", "192.175.48.255", Class::Protocol),
            ("198.18.0.0", "198.19.255.255", Class::Benchmarking),
            ("198.51.100.0", "198.51.100.255", Class::Documentation),
            ("203.0.113.0", "203.0.113.255", Class::Documentation),
            ("224.0.0.0", "233.251.255.255", Class::Multicast),
            ("233.252.0.0", "233.252.0.255", Class::Documentation),
            ("233.252.1.0", "239.255.255.255", Class::Multicast),
            ("240.0.0.0", "255.255.255.254", Class::Reserved),
            ("255.255.255.255", "255.255.255.255", Class::Broadcast),
        ] {
            let edge = |text: &str| text.parse::<Ipv4Addr>().unwrap().to_bits();
            let (first, last) = (edge(first), edge(last));
            let middle = first + (last - first) / 2;
            for inside in [first, middle, last].map(Ipv4Addr::from_bits) {
                assert_eq!(of_v4(inside), expected, "{inside}");
            }
            let (before, after) = (first.checked_sub(1), last.checked_add(1));
            for outside in [before, after].into_iter().flatten() {
                let outside = Ipv4Addr::from_bits(outside);
                let is_next_to_another = outside.octets()[0] >= 224;
                assert!(
                    is_next_to_another || of_v4(outside).is_public(),
                    "{outside}"
                );
            }
        }
        check(&[
            ("168.63.129.15", Class::Public),
            ("168.63.129.17", Class::Public),
            ("203.0.114.10", Class::Public),
            ("0.1.2.3", Class::Unspecified),
            ("224.0.0.251", Class::Multicast),
        ]);
    }

    #[test]
    fn only_global_unicast_ipv6_less_its_special_blocks_is_public() {
        check(&[
            ("::", Class::Unspecified),
            ("::1", Class::Loopback),
            ("100::1", Class::Discard),
            ("100:0:0:1::1", Class::Discard),
            ("100:0:0:2::1", Class::Reserved),
            ("64:ff9b:2::1", Class::Reserved),
            ("1fff:ffff::1", Class::Reserved),
            ("2000::1", Class::Public),
            ("2001:1::1", Class::Protocol),
            ("2001:2::1", Class::Benchmarking),
            ("2001:2:1::1", Class::Protocol),
            ("2001:3::1", Class::Protocol),
            ("2001:4:112::1", Class::Protocol),
            ("2001:10::1", Class::Protocol),
            ("2001:20::1", Class::Protocol),
            ("2001:30::1", Class::Protocol),
            ("2001:1ff:ffff::1", Class::Protocol),
            ("2001:200::1", Class::Public),
            ("2001:db7:ffff::1", Class::Public),
            ("2001:db8::1", Class::Documentation),
            ("2001:db9::1", Class::Public),
            ("2001:4860:4860::8888", Class::Public),
            ("2003::1", Class::Public),
            ("2606:4700::1111", Class::Public),
            ("2620:4f:7fff::1", Class::Public),
            ("2620:4f:8000::1", Class::Protocol),
            ("2620:4f:8001::1", Class::Public),
            ("3ffe:ffff::1", Class::Public),
            ("3fff::1", Class::Documentation),
            ("3fff:fff:ffff::1", Class::Documentation),
            ("3fff:1000::1", Class::Public),
            ("4000::1", Class::Reserved),
            ("5eff::1", Class::Reserved),
            ("5f00::1", Class::Protocol),
            ("5f01::1", Class::Reserved),
            ("fbff::1", Class::Reserved),
            ("fc00::1", Class::Private),
            ("fd00:ec2::253", Class::Private),
            ("fdff:ffff::1", Class::Private),
            ("fe00::1", Class::Reserved),
            ("fe7f::1", Class::Reserved),
            ("fe80::1", Class::LinkLocal),
            ("febf::1", Class::LinkLocal),
            ("fec0::1", Class::Private),
            ("feff::1", Class::Private),
            ("ff02::1", Class::Multicast),
        ]);
    }

    #[test]
    fn an_embedded_ipv4_address_is_classified_in_turn() {
        check(&[
            ("::ffff:127.0.0.1", Class::Loopback),
            ("::ffff:10.0.0.1", Class::Private),
            ("::ffff:8.8.8.8", Class::Embedded(Form::Mapped)),
            ("::127.0.0.1", Class::Loopback),
            ("::8.8.8.8", Class::Embedded(Form::Compatible)),
            ("::2", Class::Unspecified),
            ("::ffff:0:7f00:1", Class::Loopback),
            ("::ffff:0:808:808", Class::Embedded(Form::Translated)),
            ("64:ff9b::7f00:1", Class::Loopback),
            ("64:ff9b::8.8.8.8", Class::Public),
            ("64:ff9b:0:1::8.8.8.8", Class::Reserved),
            ("64:ff9b:1::7f00:1", Class::Loopback),
            ("64:ff9b:1::808:808", Class::Embedded(Form::LocalNat64)),
            ("2001:67c:2960:6464::a00:5", Class::Private),
            ("2001:67c:2960:6464::808:808", Class::Public),
            ("2001:67c:2960:6465::a00:5", Class::Public),
            ("2002:7f00:1::1", Class::Loopback),
            ("2002:808:808::1", Class::Embedded(Form::SixToFour)),
            ("2001::80ff:fffe", Class::Loopback),
            ("2001:0:808:808::f7f7:f7f7", Class::Embedded(Form::Teredo)),
            ("2001:0:a00:1::f7f7:f7f7", Class::Private),
            ("2a00::5efe:7f00:1", Class::Loopback),
            ("2a00::200:5efe:a00:1", Class::Private),
            ("2a00::5efe:808:808", Class::Embedded(Form::Isatap)),
            ("2a00::100:5efe:7f00:1", Class::Public),
            ("fe80::5efe:7f00:1", Class::Loopback),
        ]);
    }

    #[test]
    fn an_operator_prefix_of_any_allowed_length_is_looked_through() {
        let address = Ipv4Addr::new(192, 0, 2, 33);
        for (prefix, inside) in [
            ("2a00:db8::/32", "2a00:db8:c000:221::"),
            ("2a00:db8:100::/40", "2a00:db8:1c0:2:21::"),
            ("2a00:db8:122::/48", "2a00:db8:122:c000:2:2100::"),
            ("2a00:db8:122:300::/56", "2a00:db8:122:3c0:0:221::"),
            ("2a00:db8:122:344::/64", "2a00:db8:122:344:c0:2:2100::"),
            ("2a00:db8:122:344::/96", "2a00:db8:122:344::192.0.2.33"),
        ] {
            let prefix = Nat64Prefix::new(prefix.parse().unwrap()).unwrap();
            let inside = inside.parse().unwrap();
            assert_eq!(prefix.embedded(inside), Some(address), "{prefix:?}");
            let class = Class::of(inside.into(), &[prefix]);
            assert_eq!(class, Class::Documentation, "{prefix:?}");
        }
        assert!(Nat64Prefix::new("2a00:db8::/33".parse().unwrap()).is_none());
    }
}
