//! The secrets that exeat knows: everything that the vault gave out, and every token.
//!
//! They are known from the moment they are fetched, before anything is sent with them. One that was replaced stays
//! known for an hour: a server may have kept it, and it may still be good.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::name::{ConnectorName, EnvironmentName, SecretName};
use crate::policy::SecretSource;
use crate::scrub::{Forms, SHORTEST};
use crate::secret::Secret;
use crate::vault::{Getting, Vault};

/// Servers that rotate a key let the old one live for minutes, and what they wrote down with it comes back as late.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Of one source, besides the one in use. A token without a lifetime is replaced with each request: what is remembered
/// must not grow with traffic.
const FORMER: usize = 8;

/// Tells the time; tests have their own.
type Clock = Box<dyn Fn() -> Instant + Send + Sync>;

/// Where a secret came from. Each source has one in use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The vault.
    Source(SecretSource),
    /// The token endpoint of a connector, in one environment.
    Token(ConnectorName, EnvironmentName),
}

/// All of them, shared by all threads.
pub struct Known {
    ready: ArcSwap<Ready>,
    /// The one in use is the last. Keyed by source, so bounded by the policy.
    kept: Mutex<HashMap<Origin, Vec<Kept>>>,
    clock: Clock,
}

/// As requests use it.
#[derive(Default)]
struct Ready {
    forms: Arc<Forms>,
    secrets: Vec<Secret>,
    /// When the first of them is to be forgotten.
    until: Option<Instant>,
}

struct Kept {
    secret: Secret,
    until: Option<Instant>,
}

impl Default for Known {
    fn default() -> Self {
        Self::with_clock(Box::new(Instant::now))
    }
}

impl Known {
    fn with_clock(clock: Clock) -> Self {
        Self {
            ready: ArcSwap::default(),
            kept: Mutex::default(),
            clock,
        }
    }

    /// The same vault, which tells every secret that it gives out.
    pub fn watching(self: &Arc<Self>, vault: Arc<dyn Vault>) -> Arc<dyn Vault> {
        Arc::new(Watched {
            vault,
            known: self.clone(),
        })
    }

    /// A secret is in use from now on. Telling one that is known costs a look at each.
    pub fn learn(&self, origin: &Origin, secret: &Secret) {
        let ready = self.ready.load();
        if ready.secrets.iter().any(|it| it.is(secret)) {
            return;
        }
        let now = (self.clock)();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let of_origin = kept.entry(origin.clone()).or_default();
        match of_origin.last_mut() {
            // Read anew and the same: nothing else to look for.
            Some(last) if last.secret.matches(secret.expose()) => {
                last.secret = secret.clone();
                self.ready.store(Arc::new(Ready {
                    forms: self.ready.load().forms.clone(),
                    ..Ready::of(&kept)
                }));
                return;
            }
            Some(last) => last.until = Some(now + REMEMBERED),
            None => {}
        }
        if secret.expose().len() < SHORTEST {
            tracing::warn!(
                ?origin,
                "a secret has fewer than {SHORTEST} bytes: it is not looked for in replies"
            );
        }
        of_origin.push(Kept {
            secret: secret.clone(),
            until: None,
        });
        let too_many = of_origin.len().saturating_sub(FORMER + 1);
        of_origin.drain(..too_many);
        self.prepare(&mut kept, now);
    }

    /// What to look for.
    pub fn forms(&self) -> Arc<Forms> {
        let ready = self.ready.load();
        let is_over = |until: Instant| until <= (self.clock)();
        if !ready.until.is_some_and(is_over) {
            return ready.forms.clone();
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        self.prepare(&mut kept, (self.clock)())
    }

    fn prepare(&self, kept: &mut HashMap<Origin, Vec<Kept>>, now: Instant) -> Arc<Forms> {
        for of_origin in kept.values_mut() {
            of_origin.retain(|it| it.until.is_none_or(|until| now < until));
        }
        let ready = Ready::of(kept);
        let forms = Arc::new(Forms::of(&ready.secrets));
        self.ready.store(Arc::new(Ready {
            forms: forms.clone(),
            ..ready
        }));
        forms
    }
}

impl Ready {
    fn of(kept: &HashMap<Origin, Vec<Kept>>) -> Self {
        let all = || kept.values().flatten();
        Self {
            forms: Arc::default(),
            secrets: all().map(|it| it.secret.clone()).collect(),
            until: all().filter_map(|it| it.until).min(),
        }
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known(***)")
    }
}

/// A vault, and who is told.
struct Watched {
    vault: Arc<dyn Vault>,
    known: Arc<Known>,
}

impl Vault for Watched {
    fn get<'a>(&'a self, name: &'a SecretName, source: &'a SecretSource) -> Getting<'a> {
        Box::pin(async move {
            let secret = self.vault.get(name, source).await?;
            self.known.learn(&Origin::Source(source.clone()), &secret);
            Ok(secret)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is known under a clock that stands until it is moved.
    struct World {
        known: Known,
        passed: Arc<Mutex<Duration>>,
    }

    impl World {
        fn new() -> Self {
            let passed = Arc::new(Mutex::new(Duration::ZERO));
            let (start, clock) = (Instant::now(), passed.clone());
            Self {
                known: Known::with_clock(Box::new(move || start + *clock.lock().unwrap())),
                passed,
            }
        }

        fn learn(&self, source: &str, value: &str) {
            let origin = Origin::Source(SecretSource::Env(source.into()));
            let secret = Secret::new(value.as_bytes().to_vec()).unwrap();
            self.known.learn(&origin, &secret);
        }

        fn knows(&self, value: &str) -> bool {
            self.known.forms().stand_in(value.as_bytes())
        }

        fn pass(&self, seconds: u64) {
            *self.passed.lock().unwrap() += Duration::from_secs(seconds);
        }
    }

    #[test]
    fn a_secret_is_known_as_long_as_it_is_in_use_and_an_hour_more() {
        let world = World::new();
        world.learn("A", "SECRET-1");
        world.learn("B", "SECRET-2");
        world.pass(100_000);
        world.learn("A", "SECRET-1");
        assert!(world.knows("SECRET-1") && world.knows("SECRET-2"));
        world.learn("A", "SECRET-3");
        world.pass(3599);
        assert!(world.knows("SECRET-1") && world.knows("SECRET-3"));
        world.pass(1);
        assert!(!world.knows("SECRET-1"));
        assert!(world.knows("SECRET-2") && world.knows("SECRET-3"));
    }

    #[test]
    fn a_value_that_two_sources_give_is_known_until_neither_does() {
        let world = World::new();
        world.learn("A", "SECRET-1");
        world.learn("B", "SECRET-1");
        world.learn("A", "SECRET-2");
        world.pass(3600);
        assert!(world.knows("SECRET-1"));
    }

    #[test]
    fn what_is_remembered_of_a_source_is_bounded() {
        let world = World::new();
        for number in 10..30 {
            world.learn("A", &format!("SECRET-{number}"));
        }
        for (number, known) in [(20, false), (21, true), (29, true)] {
            assert_eq!(world.knows(&format!("SECRET-{number}")), known, "{number}");
        }
    }

    #[test]
    fn short_secrets_are_not_looked_for() {
        let world = World::new();
        world.learn("A", "seven77");
        assert!(!world.knows("seven77"));
    }
}
