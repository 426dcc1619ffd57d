//! Connections between requests: kept by scheme, exact host, port, TLS identity and agent, bounded, and dropped when
//! idle.
//!
//! A pool belongs to one runtime, which watches its sockets. The address of a connection is no part of its key
//! but is judged again before every use, so a connection does not outlive the rule that allowed it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::dial::connection::Connection;
use crate::dial::connection::Http2;
use crate::dial::http1::Http1;
use crate::metrics::Upstreams;
use crate::name::AgentName;
use crate::request::Destination;
use crate::request::Host;
use crate::request::Scheme;

/// How many connections are kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Over all hosts, for each runtime. Proxies that bound only the connections to each host run out of file
    /// descriptors after about 19,000 hosts. 128 on each of four cores is half of the usual limit of 1,024.
    pub kept: usize,
    /// To one host: half of all, so that no host alone takes everybody's place. A connection that is not kept costs a
    /// handshake in the next burst, and with it the CPU time of ten to twenty requests.
    pub kept_per_host: usize,
    /// Servers commonly close idle connections after 60 s (nginx 75 s, AWS load balancers 60 s, Node 5 s). Being the
    /// first to close spares the race in which a request meets a closing connection, so ours is below theirs.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            kept: 128,
            kept_per_host: 64,
            idle: Duration::from_secs(55),
        }
    }
}

/// As whom we present ourselves in TLS. Connections of different identities are never mixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Identity {
    /// Without a certificate of our own.
    Anonymous,
}

/// What two requests must have in common to use one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    scheme: Scheme,
    host: Host,
    port: u16,
    identity: Identity,
    /// What one agent does to a connection, by leaving or by not reading, is not to befall another's requests on it.
    agent: Option<AgentName>,
}

impl Key {
    pub(super) fn new(
        destination: &Destination,
        identity: Identity,
        agent: Option<AgentName>,
    ) -> Self {
        Self {
            scheme: destination.scheme,
            host: destination.host.clone(),
            port: destination.port,
            identity,
            agent,
        }
    }

    pub(super) fn host(&self) -> &Host {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

/// The connections of one runtime. Clones are the same pool.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    limits: Limits,
    counted: Upstreams,
    shelf: Mutex<Shelf>,
}

/// Everything that is kept, the oldest use first. It is so little that looking through it costs less than a hash of a
/// key: the last one that was parked is mostly the next one that is asked for.
#[derive(Default)]
struct Shelf {
    kept: VecDeque<Kept>,
    swept: bool,
}

struct Kept {
    key: Key,
    /// When it was last used.
    since: Instant,
    /// Nobody uses one of HTTP/1.1; anybody may use one of HTTP/2.
    connection: Connection,
}

/// What a kept connection is to a request with its key.
enum Use {
    Good,
    /// For others at most.
    Full,
    /// For nobody.
    Over,
}

impl Pool {
    pub(super) fn new(limits: Limits, counted: Upstreams) -> Self {
        Self(Arc::new(Inner {
            limits,
            counted,
            shelf: Mutex::default(),
        }))
    }

    /// A connection that is still good, if there is one. `open` judges its address.
    pub(super) fn take(
        &self,
        key: &Key,
        open: impl Fn(SocketAddr) -> bool,
        now: Instant,
    ) -> Option<Connection> {
        let is_fresh = |since: Instant| now.duration_since(since) < self.0.limits.idle;
        let mut shelf = self.0.shelf();
        let judge = |kept: &mut Kept| kept.judge(&open, is_fresh);
        match shelf.take(key, judge)? {
            Connection::Http1(mut connection) => {
                connection.taken();
                Some(Connection::Http1(connection))
            }
            Connection::Http2(connection) => {
                shelf.put(key.clone(), Connection::Http2(connection.clone()), now);
                Some(Connection::Http2(connection))
            }
        }
    }

    /// Keeps a connection that is ready for another request.
    pub(super) fn park(&self, key: Key, mut connection: Box<Http1>, now: Instant) {
        connection.parked(&self.0.counted);
        let mut shelf = self.0.shelf();
        shelf.put(key, Connection::Http1(connection), now);
        shelf.hold_share(self.0.limits.kept_per_host);
        self.settle(shelf);
    }

    /// Keeps a new HTTP/2 connection for whoever comes next, unless there is room on another.
    pub(super) fn keep(&self, key: &Key, connection: &Http2, now: Instant) {
        let mut shelf = self.0.shelf();
        let mut shared = 0;
        for kept in shelf.kept.iter().filter(|it| it.key == *key) {
            if let Connection::Http2(other) = &kept.connection {
                if !other.is_closed() && other.has_room() {
                    return;
                }
                shared += 1;
            }
        }
        if shared >= self.0.limits.kept_per_host {
            return;
        }
        shelf.put(key.clone(), Connection::Http2(connection.clone()), now);
        self.settle(shelf);
    }

    /// Drops all but those whose key and address are good.
    pub(super) fn retain(&self, good: impl Fn(&Key, SocketAddr) -> bool) {
        let mut shelf = self.0.shelf();
        let is_good = |it: &Kept| good(&it.key, it.connection.facts().address);
        shelf.kept.retain(is_good);
    }

    /// Holds the global bound after something was added, and sees to it that somebody looks for idle connections.
    fn settle(&self, mut shelf: MutexGuard<'_, Shelf>) {
        // Requests that are under way on a shared connection are not hurt: they hold it too.
        while shelf.kept.len() > self.0.limits.kept {
            shelf.kept.pop_front();
        }
        if !shelf.swept && !shelf.kept.is_empty() {
            shelf.swept = true;
            tokio::spawn(sweep(Arc::downgrade(&self.0), self.0.limits.idle));
        }
    }
}

impl Inner {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // A pool in which something panicked is at worst short of a connection.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops idle connections also where no traffic comes by; ends with the last of them.
async fn sweep(pool: Weak<Inner>, idle: Duration) {
    loop {
        tokio::time::sleep(idle / 2).await;
        let Some(inner) = pool.upgrade() else { return };
        let mut shelf = inner.shelf();
        shelf.drop_expired(Instant::now(), idle);
        if shelf.kept.is_empty() {
            shelf.swept = false;
            return;
        }
    }
}

impl Kept {
    fn judge(
        &mut self,
        open: impl Fn(SocketAddr) -> bool,
        is_fresh: impl Fn(Instant) -> bool,
    ) -> Use {
        let is_over = match &mut self.connection {
            Connection::Http1(it) => !is_fresh(self.since) || !it.is_quiet(),
            Connection::Http2(it) => it.is_closed(),
        };
        match &self.connection {
            _ if is_over => Use::Over,
            it if !open(it.facts().address) => Use::Over,
            Connection::Http2(it) if !it.has_room() => Use::Full,
            _ => Use::Good,
        }
    }
}

impl Shelf {
    fn put(&mut self, key: Key, connection: Connection, since: Instant) {
        self.kept.push_back(Kept {
            key,
            since,
            connection,
        });
    }

    /// The one that was used last, since it is the least likely to be closed by the server meanwhile. What is met of no
    /// more use is dropped.
    fn take(&mut self, key: &Key, mut judge: impl FnMut(&mut Kept) -> Use) -> Option<Connection> {
        for place in (0..self.kept.len()).rev() {
            let kept = self.kept.get_mut(place).filter(|it| it.key == *key);
            let Some(found) = kept.map(&mut judge) else {
                continue;
            };
            match found {
                Use::Good => return self.kept.remove(place).map(|it| it.connection),
                Use::Over => drop(self.kept.remove(place)),
                Use::Full => {}
            }
        }
        None
    }

    /// Holds the bound of the host of which a connection was just put in.
    fn hold_share(&mut self, most: usize) {
        if self.kept.len() <= most {
            return;
        }
        let Some(last) = self.kept.back() else { return };
        let is_alike =
            |it: &Kept| matches!(it.connection, Connection::Http1(_)) && it.key == last.key;
        let mut alike = (0..).zip(&self.kept).filter(|(_, it)| is_alike(it));
        let oldest = alike.next().map(|(place, _)| place);
        if alike.count() >= most
            && let Some(oldest) = oldest
        {
            self.kept.remove(oldest);
        }
    }

    fn drop_expired(&mut self, now: Instant, idle: Duration) {
        while let Some(oldest) = self.kept.front()
            && now.duration_since(oldest.since) >= idle
        {
            self.kept.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::dial::connection::Facts;

    /// A parked connection over memory; the other end is returned, since dropping it would close it.
    fn connection() -> (Box<Http1>, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(1024);
        let facts = Facts {
            address: "203.0.114.10:443".parse().unwrap(),
            tls: None,
        };
        let connection = Http1::new(Box::new(ours), facts, &Upstreams::default());
        (Box::new(connection), theirs)
    }

    fn key(host: &str) -> Key {
        let destination = Destination::of_connect(&format!("{host}:443")).unwrap();
        Key::new(&destination, Identity::Anonymous, None)
    }

    fn pool(kept: usize, kept_per_host: usize) -> Pool {
        let limits = Limits {
            kept,
            kept_per_host,
            ..Limits::default()
        };
        Pool::new(limits, Upstreams::default())
    }

    fn counts(pool: &Pool) -> (usize, usize) {
        let shelf = pool.0.shelf();
        let hosts: HashSet<_> = shelf.kept.iter().map(|it| &it.key).collect();
        (hosts.len(), shelf.kept.len())
    }

    #[tokio::test]
    async fn the_least_recently_used_goes_when_the_pool_is_full() {
        let (pool, now) = (pool(2, 2), Instant::now());
        let mut ends = Vec::new();
        for host in ["a.test", "b.test", "c.test"] {
            let (connection, end) = connection();
            pool.park(key(host), connection, now);
            ends.push(end);
        }
        assert_eq!(counts(&pool), (2, 2));
        for (host, kept) in [("a.test", false), ("b.test", true), ("c.test", true)] {
            let taken = pool.take(&key(host), |_| true, now);
            assert_eq!(taken.is_some(), kept, "{host}");
        }
        assert_eq!(counts(&pool), (0, 0));
    }

    #[tokio::test]
    async fn one_host_keeps_only_its_share() {
        let (pool, now) = (pool(10, 2), Instant::now());
        let mut ends = Vec::new();
        for _ in 0..3 {
            let (connection, end) = connection();
            pool.park(key("a.test"), connection, now);
            ends.push(end);
        }
        assert_eq!(counts(&pool), (1, 2));
    }

    #[tokio::test]
    async fn an_idle_connection_is_not_used_after_its_time() {
        let (pool, now) = (pool(10, 10), Instant::now());
        let idle = Limits::default().idle;
        let (first, _end) = connection();
        pool.park(key("a.test"), first, now);
        assert!(pool.take(&key("a.test"), |_| true, now + idle).is_none());
        let (second, _end) = connection();
        pool.park(key("a.test"), second, now);
        pool.0.shelf().drop_expired(now + idle / 2, idle);
        assert_eq!(counts(&pool), (1, 1));
        pool.0.shelf().drop_expired(now + idle, idle);
        assert_eq!(counts(&pool), (0, 0));
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_meanwhile_is_not_used() {
        let (pool, now) = (pool(10, 10), Instant::now());
        let (connection, end) = connection();
        pool.park(key("a.test"), connection, now);
        drop(end);
        assert!(pool.take(&key("a.test"), |_| true, now).is_none());
    }

    #[tokio::test]
    async fn an_address_that_is_closed_meanwhile_is_not_used() {
        let (pool, now) = (pool(10, 10), Instant::now());
        let (connection, _end) = connection();
        pool.park(key("a.test"), connection, now);
        assert!(pool.take(&key("a.test"), |_| false, now).is_none());
        assert_eq!(counts(&pool), (0, 0));
    }

    #[tokio::test]
    async fn what_is_not_good_any_more_is_closed_without_being_asked_for() {
        let (pool, now) = (pool(10, 10), Instant::now());
        let mut ends = Vec::new();
        for host in ["a.test", "a.test", "b.test"] {
            let (connection, end) = connection();
            pool.park(key(host), connection, now);
            ends.push(end);
        }
        pool.retain(|it, _| *it == key("b.test"));
        assert_eq!(counts(&pool), (1, 1));
        for (end, left) in ends.iter_mut().zip([false, false, true]) {
            let mut byte = [0];
            let reading = tokio::io::AsyncReadExt::read(end, &mut byte);
            let moment = Duration::from_millis(50);
            assert_eq!(tokio::time::timeout(moment, reading).await.is_err(), left);
        }
        assert!(pool.take(&key("b.test"), |_| true, now).is_some());
    }

    #[tokio::test]
    async fn another_host_port_scheme_or_agent_is_another_connection() {
        let (pool, now) = (pool(10, 10), Instant::now());
        let (connection, _end) = connection();
        pool.park(key("a.test"), connection, now);
        for other in ["https://b.test", "https://a.test:8443", "http://a.test:443"] {
            let other = Destination::of_absolute(other).unwrap().destination;
            let other = Key::new(&other, Identity::Anonymous, None);
            assert!(pool.take(&other, |_| true, now).is_none(), "{other:?}");
        }
        let destination = Destination::of_connect("a.test:443").unwrap();
        let agent = AgentName::parse("other").ok();
        let other = Key::new(&destination, Identity::Anonymous, agent);
        assert!(pool.take(&other, |_| true, now).is_none());
        assert!(pool.take(&key("a.test"), |_| true, now).is_some());
    }
}
