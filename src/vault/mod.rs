//! Where secrets come from: variables, files, commands and the encrypted store, each read once for all who wait for it.
//!
//! What a secret is used for is not known here. A value that cannot be read is a fault that names the secret and its
//! source; the request that needs it fails, and is never sent without.

mod read;
mod slot;
mod store;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::fault::{Fault, FaultKind};
use crate::metrics::Metrics;
use crate::name::SecretName;
use crate::policy::SecretSource;
use crate::secret::Secret;
use crate::vault::read::{BadSource, Stamp};
use crate::vault::slot::Slot;

pub use read::LONGEST as MAX_SECRET;
pub use store::{Store, StoreError, Stored};

/// A secret that is on its way.
pub type Getting<'a> = Pin<Box<dyn Future<Output = Result<Secret, Fault>> + Send + 'a>>;

/// Whoever gives out secrets. Tests and later stores have their own.
pub trait Vault: Send + Sync {
    /// The value as it is now.
    ///
    /// # Errors
    /// [`FaultKind::Secret`] where it can't be read, or where what was read is not a secret.
    fn get<'a>(&'a self, name: &'a SecretName, source: &'a SecretSource) -> Getting<'a>;

    /// The value as it is now, where nothing has to be read or waited for to know it.
    fn at_hand(&self, source: &SecretSource) -> Option<Secret> {
        let _ = source;
        None
    }

    /// A new policy has these sources and no others. What was read from others need not be kept.
    fn keep(&self, sources: &HashSet<&SecretSource>) {
        let _ = sources;
    }
}

/// Tells the time; tests have their own.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// The sources that a policy can declare, with what was last read from each.
///
/// A variable is read once: exeat's environment does not change. A file is looked at for each request and read again
/// when it is another or has changed; so is the store, once for each of its names. What a command printed is good for
/// its `ttl`, and many who ask at once share one run of it. A source that fails is left alone for a second, then twice
/// as long each time, up to half a minute; a file that has changed meanwhile is tried at once.
pub struct Sources {
    // Keyed by source, so bounded by the policy and what was begun under the one before. Two names for one source share
    // what was read.
    slots: Mutex<HashMap<SecretSource, Arc<Slot>>>,
    store: Store,
    clock: Clock,
    metrics: Option<Arc<Metrics>>,
}

impl Sources {
    /// Nothing read yet. The store need not exist unless a secret comes from it.
    pub fn new(store: Store) -> Self {
        Self::with_clock(store, Box::new(Instant::now))
    }

    fn with_clock(store: Store, clock: Clock) -> Self {
        Self {
            slots: Mutex::default(),
            store,
            clock,
            metrics: None,
        }
    }

    /// Counts from now on what is read, and what can't be.
    #[must_use]
    pub fn counting(mut self, metrics: &Arc<Metrics>) -> Self {
        self.metrics = Some(Arc::clone(metrics));
        self
    }

    async fn read(&self, name: &SecretName, source: &SecretSource) -> Result<Secret, BadSource> {
        let slot = self.slot(source);
        if let Some(known) = slot.known(self.stamp(source), (self.clock)()) {
            return known;
        }
        // One reads, the others wait here and then find what was read. Should the reader's client leave, its future
        // is dropped, the read with it, and the next in line reads.
        let turn = slot.turn().await;
        if let Some(known) = slot.known(self.stamp(source), (self.clock)()) {
            return known;
        }
        let found = read::read(source, &self.store).await;
        if let Some(metrics) = &self.metrics {
            metrics.secret_fetched(name, source, found.secret.is_ok());
        }
        // Read after waiting: a failure that took long is to be left alone from its end on.
        turn.learn(found, source, (self.clock)())
    }

    fn stamp(&self, source: &SecretSource) -> Option<Stamp> {
        let file: Option<&Path> = match source {
            SecretSource::File(path) => Some(path),
            SecretSource::Store(_) => Some(self.store.file()),
            SecretSource::Env(_) | SecretSource::Command { .. } => None,
        };
        file.and_then(Stamp::of)
    }

    fn slot(&self, source: &SecretSource) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(source) {
            return Arc::clone(slot);
        }
        Arc::clone(slots.entry(source.clone()).or_default())
    }
}

impl Vault for Sources {
    fn get<'a>(&'a self, name: &'a SecretName, source: &'a SecretSource) -> Getting<'a> {
        Box::pin(async move {
            let read = self.read(name, source).await;
            read.map_err(|bad| {
                let detail = format!("secret {name}, from {source}: {bad}");
                Fault::new(FaultKind::Secret, detail)
            })
        })
    }

    fn at_hand(&self, source: &SecretSource) -> Option<Secret> {
        let known = self.slot(source).known(self.stamp(source), (self.clock)());
        known.and_then(Result::ok)
    }

    fn keep(&self, sources: &HashSet<&SecretSource>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|source, _| sources.contains(source));
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sources(***)")
    }
}

#[cfg(test)]
mod tests;
