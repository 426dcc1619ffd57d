//! What may be reached beside the hosts of actions on the public internet.

use crate::policy::raw::decode::List;
use crate::policy::raw::decode::Text;
use crate::problem::Located;

section! {
    /// Exceptions of the network rules.
    Network, "`network`" {
        allow_private: List<AllowPrivate>, Optional, "hosts with addresses that are not public";
        deny: List<Text>, Optional, "addresses that nothing may reach: `10.0.0.53`";
        nat64: List<Text>, Optional, "prefixes by which your own network reaches IPv4";
    }
}

section! {
    /// One host with addresses that are not public.
    AllowPrivate, "an entry of `allow_private`" {
        host: Text, Required, "the exact host name";
        addresses: List<Text>, Required, "the addresses it may have: `10.0.5.0/24`";
        port: Located<u16>, Required, "the one port";
    }
}

section! {
    /// TLS that passes unopened.
    Tunnel, "a tunnel" {
        hosts: List<Text>, Required, "the host names that may be reached";
        ports: List<Located<u16>>, Optional, "the ports that may be reached; `443` if absent";
    }
}
