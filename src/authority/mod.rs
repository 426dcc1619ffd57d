//! Our certificate authority: the CA that agents trust, and a leaf certificate for each host that they speak to.
//!
//! Which hosts get one is not decided here. Nor is anything verified: upstream certificates are `dial`'s matter.

mod error;
mod folder;
mod mint;
mod rate;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ::metrics::Counter;
use moka::future::Cache;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::authority::mint::Mint;
use crate::authority::rate::Bucket;
use crate::fault::{Fault, FaultKind};
use crate::metrics::Metrics;
use crate::request::Host;

pub use error::AuthorityError;
pub use folder::CERTIFICATE;
pub use mint::Constraints;

/// Certificates kept for hosts of the policy: a few kilobytes each. A policy with more hosts than that still works;
/// a host that comes back after it fell out costs one signature of 40 µs.
const KEPT: u64 = 4_096;

/// Certificates kept for hosts that are only refused. An agent chooses these names, so they have a cache of their own
/// that cannot push out the others.
const KEPT_FOR_REFUSALS: u64 = 256;

/// A kept certificate is signed anew after a day, when it is good for six more: no connection begins with one that is
/// about to end, also where the machine slept for days and this clock with it.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// Signatures in a second for hosts that are only refused: two thousandths of a core's time, and more than an agent's
/// honest mistakes need.
const REFUSALS_PER_SECOND: u32 = 50;

/// The CA, the leaf certificates it has signed, and how TLS is spoken with clients.
pub struct Authority {
    mint: Mint,
    leaves: Cache<Host, Arc<CertifiedKey>>,
    leaves_for_refusals: Cache<Host, Arc<CertifiedKey>>,
    refusals: Mutex<Bucket>,
    minted: Counter,
    config: ServerConfig,
}

impl Authority {
    /// Opens the CA in a folder, or makes one at first start: `ca.pem` for agents, `ca.key` for nobody else.
    ///
    /// # Errors
    /// The folder or the files can't be read or written, others than exeat's user can get at the key, or the files
    /// don't fit together. The message has the remedy.
    pub fn open_or_create(folder: &Path) -> Result<Self, AuthorityError> {
        if let Some(files) = folder::read(folder)? {
            return Self::new(Mint::load(folder, &files)?);
        }
        match Self::create(folder, &Constraints::default()) {
            // Another process was quicker.
            Err(AuthorityError::Exists(_)) => Self::open(folder),
            made => made,
        }
    }

    /// Makes a CA in a folder that has none.
    ///
    /// # Errors
    /// The folder has one, or can't be written, or others than exeat's user can write there.
    pub fn create(folder: &Path, constraints: &Constraints) -> Result<Self, AuthorityError> {
        folder::write_new(folder, || mint::new_ca(constraints))?;
        Self::open(folder)
    }

    fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let files = folder::read(folder)?.ok_or_else(|| AuthorityError::Unusable {
            path: folder.join(folder::KEY),
            wanted: "private key of a CA in PEM",
        })?;
        Self::new(Mint::load(folder, &files)?)
    }

    fn new(mint: Mint) -> Result<Self, AuthorityError> {
        let cache = |size| {
            let cache = Cache::builder().max_capacity(size);
            cache.time_to_live(KEPT_FOR).build()
        };
        Ok(Self {
            config: mint::server_config()?,
            mint,
            leaves: cache(KEPT),
            leaves_for_refusals: cache(KEPT_FOR_REFUSALS),
            refusals: Mutex::new(Bucket::full(REFUSALS_PER_SECOND, Instant::now())),
            minted: Counter::noop(),
        })
    }

    /// Counts the certificates that are signed from now on.
    #[must_use]
    pub fn counting(mut self, metrics: &Metrics) -> Self {
        self.minted = metrics.leaves();
        if let Some(end) = self.mint.end() {
            metrics.ca_expires(end.unix_timestamp());
        }
        self
    }

    /// The certificate of the CA, which agents have to trust.
    pub fn ca_pem(&self) -> &str {
        self.mint.ca_pem()
    }

    /// The certificate for a host of the policy, and its key. Many who ask at once for a new one share one signature.
    ///
    /// # Errors
    /// [`FaultKind::Internal`] where the signature fails.
    pub async fn leaf(&self, host: &Host) -> Result<Arc<CertifiedKey>, Fault> {
        let signing = async { self.sign(host) };
        let leaf = self.leaves.try_get_with_by_ref(host, signing).await;
        leaf.map_err(|fault| Fault::clone(&fault))
    }

    /// The certificate inside which a client is told that a host is undeclared. None where too many new ones were
    /// asked for in the last second; the connection then ends without an explanation.
    pub async fn leaf_for_refusal(&self, host: &Host) -> Option<Arc<CertifiedKey>> {
        self.leaf_for_refusal_at(host, Instant::now()).await
    }

    /// How to speak TLS on a connection with this certificate: HTTP/2 or HTTP/1.1 by ALPN, TLS 1.3 or 1.2, tickets
    /// for returning clients, no early data, which could be replayed.
    ///
    /// A clone of the one configuration with another certificate; what is dear to make (ticket keys, algorithms) is
    /// shared. So a handshake uses the certificate that was prepared for its CONNECT, whatever the cache does
    /// meanwhile. A ticket tells nothing about who the client is, and rustls takes it for the same server name only.
    pub fn config_for(&self, leaf: Arc<CertifiedKey>) -> Arc<ServerConfig> {
        let mut config = self.config.clone();
        config.cert_resolver = Arc::new(Prepared(leaf));
        Arc::new(config)
    }

    async fn leaf_for_refusal_at(&self, host: &Host, now: Instant) -> Option<Arc<CertifiedKey>> {
        let signing = async {
            let mut bucket = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(now).then(|| self.sign(host).ok()).flatten()
        };
        let cache = &self.leaves_for_refusals;
        cache.optionally_get_with_by_ref(host, signing).await
    }

    fn sign(&self, host: &Host) -> Result<Arc<CertifiedKey>, Fault> {
        let leaf = self.mint.leaf(host).map_err(|error| {
            let detail = format!("the leaf certificate for {host} could not be signed: {error}");
            Fault::new(FaultKind::Internal, detail)
        })?;
        self.minted.increment(1);
        Ok(Arc::new(leaf))
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(***)")
    }
}

/// The certificate prepared for one connection.
#[derive(Debug)]
struct Prepared(Arc<CertifiedKey>);

impl ResolvesServerCert for Prepared {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests;
