//! From a host's name to its addresses: the system's DNS, and the operator's own table before it.
//!
//! Answers are not trusted here; whatever their source, `vet` judges them all before anything is dialled. There is no
//! way to look up anything but a parsed [`Host`], so `127.1` and its like never reach a resolver.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::Hosts;
use hickory_resolver::ResolverBuilder;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::config::LookupIpStrategy;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;

use crate::fault::{Fault, FaultKind};
use crate::request::Host;

/// How long one name server may take. With the one retry it stays below the default connect timeout of 5 s, so that
/// the fault says that DNS was slow, and not only that connecting was.
const ATTEMPT: Duration = Duration::from_secs(2);

/// Beyond the first query, for a datagram that was lost.
const RETRIES: usize = 1;

/// Answers kept for their time to live. A policy rarely has more hosts, and an answer is at most 64 KiB.
const CACHED_ANSWERS: u64 = 256;

/// The longest that an answer is kept, whatever its time to live says: a host that moves is followed within a minute.
const LONGEST_TTL: Duration = Duration::from_secs(60);

/// A lookup under way.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = Result<Vec<Answer>, Fault>> + Send + 'a>>;

/// One address of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The address.
    pub address: IpAddr,
    /// The port to dial instead of the request's. Only an operator's table can say so, and what it says is judged as
    /// if the request had named it.
    pub port: Option<u16>,
}

impl From<IpAddr> for Answer {
    fn from(address: IpAddr) -> Self {
        Self {
            address,
            port: None,
        }
    }
}

impl From<SocketAddr> for Answer {
    fn from(address: SocketAddr) -> Self {
        Self {
            address: address.ip(),
            port: Some(address.port()),
        }
    }
}

impl FromStr for Answer {
    type Err = String;

    /// Reads `address` or `address:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(address.into());
        }
        let address = text.parse::<SocketAddr>().ok();
        address
            .filter(|it| it.port() != 0)
            .map(Self::from)
            .ok_or_else(|| format!("{text:?} is neither an address nor address:port"))
    }
}

/// Looks names up. `Dialer` calls it exactly once for each connection that it opens.
pub trait Resolve: Send + Sync {
    /// All addresses of a host, of both families.
    ///
    /// # Errors
    /// [`FaultKind::Unreachable`] where there are none.
    fn lookup<'a>(&'a self, host: &'a Host) -> Lookup<'a>;
}

/// The resolver of the operating system's configuration: `/etc/hosts`, then the servers of `/etc/resolv.conf`.
///
/// It belongs to one runtime, on which it keeps its sockets.
pub struct System {
    resolver: Result<TokioResolver, String>,
}

impl System {
    /// Reads the configuration. Without a usable one every lookup fails, and says why.
    pub fn new() -> Self {
        Self {
            resolver: build().map_err(|error| error.to_string()),
        }
    }

    /// As it would be where the system had this one name server, over UDP and TCP, and this text in `/etc/hosts`.
    pub fn of(server: SocketAddr, hosts: &str) -> Self {
        let built = || {
            let mut listed = Hosts::default();
            listed.read_hosts_conf(hosts.as_bytes())?;
            let mut resolver = bounded(builder(server))?;
            resolver.set_hosts(Arc::new(listed));
            Ok::<_, NetError>(resolver)
        };
        Self {
            resolver: built().map_err(|error| error.to_string()),
        }
    }
}

fn builder(server: SocketAddr) -> ResolverBuilder<TokioRuntimeProvider> {
    let ways = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut way| {
        way.port = server.port();
        way
    });
    let server = NameServerConfig::new(server.ip(), true, ways.into());
    let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolve for System {
    fn lookup<'a>(&'a self, host: &'a Host) -> Lookup<'a> {
        Box::pin(async move {
            let resolver = self.resolver.as_ref().map_err(|error| {
                unresolved(host, format!("the system's DNS configuration: {error}"))
            })?;
            let name = absolute(host).map_err(|error| unresolved(host, error))?;
            let answer = resolver.lookup_ip(name).await;
            let answer = answer.map_err(|error| unresolved(host, error.to_string()))?;
            Ok(answer.iter().map(Answer::from).collect())
        })
    }
}

fn build() -> Result<TokioResolver, NetError> {
    bounded(TokioResolver::builder_tokio()?)
}

fn bounded(mut builder: ResolverBuilder<TokioRuntimeProvider>) -> Result<TokioResolver, NetError> {
    let options = builder.options_mut();
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    options.use_hosts_file = ResolveHosts::Always;
    options.timeout = ATTEMPT;
    options.attempts = RETRIES;
    // One server at a time, so that one dial is one query of each type.
    options.num_concurrent_reqs = 1;
    options.cache_size = CACHED_ANSWERS;
    options.positive_max_ttl = Some(LONGEST_TTL);
    options.negative_max_ttl = Some(LONGEST_TTL);
    builder.build()
}

/// The name with its root, so that no search domain is ever appended.
fn absolute(host: &Host) -> Result<Name, String> {
    let mut name = Name::from_ascii(host.as_str()).map_err(|error| error.to_string())?;
    name.set_fqdn(true);
    Ok(name)
}

fn unresolved(host: &Host, why: String) -> Fault {
    Fault::new(
        FaultKind::Unreachable,
        format!("the name {host} did not resolve: {why}"),
    )
}

/// A table of hosts, as `/etc/hosts` is, before another resolver: `network.hosts` of the settings.
pub struct Static {
    hosts: HashMap<Host, Vec<Answer>>,
    next: Arc<dyn Resolve>,
}

impl Static {
    /// Answers for these hosts, and asks `next` for all others.
    pub fn new(hosts: HashMap<Host, Vec<Answer>>, next: Arc<dyn Resolve>) -> Self {
        Self { hosts, next }
    }
}

impl Resolve for Static {
    fn lookup<'a>(&'a self, host: &'a Host) -> Lookup<'a> {
        match self.hosts.get(host) {
            Some(addresses) => Box::pin(std::future::ready(Ok(addresses.clone()))),
            None => self.next.lookup(host),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use hickory_resolver::config::ConnectionConfig;
    use hickory_resolver::config::NameServerConfig;
    use hickory_resolver::config::ResolverConfig;
    use hickory_resolver::proto::op::{Message, ResponseCode};
    use hickory_resolver::proto::rr::rdata::A;
    use hickory_resolver::proto::rr::{RData, Record, RecordType};
    use tokio::net::UdpSocket;

    use super::*;

    /// The questions that a name server was asked.
    type Questions = Arc<Mutex<Vec<(String, RecordType)>>>;

    /// A resolver whose one name server knows the address of `intranet.` only, beside a search domain.
    #[expect(clippy::disallowed_methods, reason = "the name server of the test")]
    async fn scripted() -> (System, Questions) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = socket.local_addr().unwrap();
        let questions = Questions::default();
        tokio::spawn(serve(socket, questions.clone()));
        let mut udp = ConnectionConfig::udp();
        udp.port = server.port();
        let server = NameServerConfig::new(server.ip(), true, vec![udp]);
        let search = vec![Name::from_ascii("corp.test.").unwrap()];
        let config = ResolverConfig::from_parts(None, search, vec![server]);
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = bounded(builder).map_err(|error| error.to_string());
        (System { resolver }, questions)
    }

    async fn serve(socket: UdpSocket, questions: Questions) {
        let mut bytes = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut bytes).await {
            let mut message = Message::from_vec(&bytes[..length]).unwrap();
            let question = message.queries[0].clone();
            let (name, kind) = (question.name().clone(), question.query_type());
            questions.lock().unwrap().push((name.to_string(), kind));
            message = message.into_response();
            if name.to_string() != "intranet." {
                message.metadata.response_code = ResponseCode::NXDomain;
            } else if kind == RecordType::A {
                let address = RData::A(A("10.0.0.5".parse().unwrap()));
                message.add_answer(Record::from_rdata(name, 60, address));
            }
            socket
                .send_to(&message.to_vec().unwrap(), from)
                .await
                .unwrap();
        }
    }

    #[tokio::test]
    async fn a_lookup_is_one_query_of_each_type_for_the_name_as_it_is() {
        for (host, expected) in [("intranet", Some("10.0.0.5")), ("absent", None)] {
            let (system, questions) = scripted().await;
            let answer = system.lookup(&Host::parse(host).unwrap()).await;
            match expected {
                Some(address) => assert_eq!(answer.unwrap(), [address.parse().unwrap()]),
                None => assert_eq!(answer.unwrap_err().kind, FaultKind::Unreachable),
            }
            let mut asked = questions.lock().unwrap().clone();
            asked.sort();
            let name = format!("{host}.");
            assert_eq!(
                asked,
                [(name.clone(), RecordType::A), (name, RecordType::AAAA)]
            );
        }
    }

    struct Nowhere;

    impl Resolve for Nowhere {
        fn lookup<'a>(&'a self, host: &'a Host) -> Lookup<'a> {
            Box::pin(async move { Err(unresolved(host, "nowhere".to_owned())) })
        }
    }

    #[tokio::test]
    async fn the_table_answers_before_anybody_is_asked() {
        let declared = Host::parse("api.good.test").unwrap();
        let address: IpAddr = "203.0.114.10".parse().unwrap();
        let table = HashMap::from([(declared.clone(), vec![Answer::from(address)])]);
        let resolver = Static::new(table, Arc::new(Nowhere));
        assert_eq!(
            resolver.lookup(&declared).await.unwrap(),
            [Answer::from(address)]
        );
        let other = Host::parse("a.api.good.test").unwrap();
        let fault = resolver.lookup(&other).await.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Unreachable);
    }

    #[test]
    fn names_are_absolute() {
        let name = absolute(&Host::parse("intranet").unwrap()).unwrap();
        assert!(name.is_fqdn());
        assert_eq!(name.to_string(), "intranet.");
    }
}
