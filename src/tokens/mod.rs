//! Tokens of OAuth connectors: fetched once for all who wait, kept until shortly before their end, renewed ahead of it.
//!
//! What a token endpoint is asked and what is believed of its answer is `credential`'s matter; which request needs a
//! token, the exchange's. A token that cannot be had is a fault, and the request that needs it is never sent without.
//!
//! All times are of a clock that only goes forward: setting the machine's clock changes nothing. After a sleep of the
//! machine a token may be older than it seems; the server's 401 tells.

mod fetch;
mod slot;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::dial::Dialer;
use crate::fault::Fault;
use crate::known::{Known, Origin};
use crate::metrics::Metrics;
use crate::name::{ConnectorName, EnvironmentName};
use crate::policy::TokenSource;
use crate::secret::Secret;
use crate::tokens::slot::Slot;
use crate::vault::Vault;

/// Tells the time; tests have their own.
type Clock = Arc<dyn Fn() -> Instant + Send + Sync>;

/// The tokens of all connectors, shared by all threads.
pub struct Tokens {
    vault: Arc<dyn Vault>,
    known: Arc<Known>,
    metrics: Arc<Metrics>,
    // One for each connector and environment, so bounded by the policy. After a reload that changed anything about a
    // connector its tokens start anew: another endpoint, client, scope or audience is another principal.
    slots: Mutex<HashMap<(ConnectorName, EnvironmentName), Last>>,
    clock: Clock,
}

/// A source as it last was, and what came from it.
type Last = (Arc<TokenSource>, Arc<Slot>);

/// A token in use.
#[derive(Clone)]
pub struct Token(Arc<Held>);

struct Held {
    secret: Secret,
    accepted: AtomicBool,
}

impl Tokens {
    /// Nothing fetched yet. The secrets of clients come from this vault; each token is known before it is given out.
    pub fn new(vault: Arc<dyn Vault>, known: Arc<Known>, metrics: Arc<Metrics>) -> Self {
        Self {
            vault,
            known,
            metrics,
            slots: Mutex::default(),
            clock: Arc::new(Instant::now),
        }
    }

    /// A token that is good now.
    ///
    /// Where none is at hand it is fetched, by one call for all who ask; the call goes on when they leave. A token that
    /// is about to end is given out while its successor is fetched. An endpoint that fails is left alone for a second,
    /// then twice as long each time, up to a minute; whoever asks meanwhile gets its last fault.
    ///
    /// # Errors
    /// [`FaultKind::Token`](crate::fault::FaultKind::Token), or
    /// [`FaultKind::Secret`](crate::fault::FaultKind::Secret) where the client's own secret can't be read.
    pub async fn get(&self, source: &Arc<TokenSource>, dialer: &Dialer) -> Result<Token, Fault> {
        let fetch = || {
            let fetching = fetch::fetch(dialer.clone(), self.vault.clone(), source.clone());
            let (metrics, known) = (self.metrics.clone(), self.known.clone());
            let origin = Origin::Token(source.connector.clone(), source.environment.clone());
            async move {
                let granted = fetching.await;
                if let Ok(granted) = &granted {
                    known.learn(&origin, &granted.token);
                }
                metrics.token_fetched(granted.is_ok());
                granted
            }
        };
        self.slot(source).token(&self.clock, fetch).await
    }

    /// Tells that a server answered 401 to a token, which is then given out no more. Returns whether another try with
    /// [`Tokens::get`] makes sense: not if this token was itself a replacement and has never been accepted, since then
    /// the next one would fare no better. Such a connector gets one replacement after a second, then after twice as
    /// long each time, up to a minute.
    pub fn refused(&self, source: &Arc<TokenSource>, token: &Token) -> bool {
        self.slot(source).refuse(token, (self.clock)())
    }

    /// A new policy has these sources and no others: forgets the tokens of those that are gone or have changed.
    pub fn keep<'s>(&self, sources: impl Iterator<Item = &'s Arc<TokenSource>>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let mut kept = HashMap::new();
        for source in sources {
            let key = (source.connector.clone(), source.environment.clone());
            if let Some((known, slot)) = slots.remove(&key)
                && known == *source
            {
                kept.insert(key, (source.clone(), slot));
            }
        }
        *slots = kept;
    }

    fn slot(&self, source: &Arc<TokenSource>) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (source.connector.clone(), source.environment.clone());
        let (known, slot) = slots
            .entry(key)
            .or_insert_with(|| (source.clone(), Arc::default()));
        if !Arc::ptr_eq(known, source) {
            if known != source {
                *slot = Arc::default();
            }
            *known = source.clone();
        }
        slot.clone()
    }
}

impl Token {
    fn new(secret: Secret) -> Self {
        Self(Arc::new(Held {
            secret,
            accepted: AtomicBool::new(false),
        }))
    }

    /// The value.
    pub fn secret(&self) -> &Secret {
        &self.0.secret
    }

    /// Tells that a server has answered something other than 401 to it.
    pub fn accepted(&self) {
        self.0.accepted.store(true, Ordering::Relaxed);
    }

    fn was_accepted(&self) -> bool {
        self.0.accepted.load(Ordering::Relaxed)
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(***)")
    }
}
