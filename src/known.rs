//! The secrets that exeat knows: everything that the vault gave out, and every token.
//!
//! They are known from the moment they are fetched, before anything is sent with them. One that was replaced stays
//! known for an hour: a server may have kept it, and it may still be good. The same goes for one whose source a new
//! policy does not have any more.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    shelf: Mutex<Shelf>,
    clock: Clock,
}

#[derive(Default)]
struct Shelf {
    /// The one in use is the last, unless its source is gone. Keyed by source, so bounded by the policies of an hour.
    kept: HashMap<Origin, Vec<Kept>>,
    /// The sources of the policy in force, once one has told them.
    origins: Option<HashSet<Origin>>,
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
            shelf: Mutex::default(),
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
        if !self.knows(secret) {
            self.learn_anew(origin, secret);
        }
    }

    fn knows(&self, secret: &Secret) -> bool {
        self.ready.load().secrets.iter().any(|it| it.is(secret))
    }

    fn learn_anew(&self, origin: &Origin, secret: &Secret) {
        let now = (self.clock)();
        let mut shelf = self.shelf();
        let Shelf { kept, origins } = &mut *shelf;
        // A request that had begun before its source went may fetch from it once more.
        let is_gone = origins.as_ref().is_some_and(|it| !it.contains(origin));
        let until = is_gone.then(|| now + REMEMBERED);
        let of_origin = kept.entry(origin.clone()).or_default();
        match of_origin.last_mut() {
            // Read anew and the same: nothing else to look for.
            Some(last) if last.secret.matches(secret.expose()) => {
                last.secret = secret.clone();
                last.until = until;
                self.ready.store(Arc::new(Ready {
                    forms: self.ready.load().forms.clone(),
                    ..Ready::of(kept)
                }));
                return;
            }
            Some(last) => last.until = last.until.or(Some(now + REMEMBERED)),
            None => {}
        }
        if secret.expose().len() < SHORTEST {
            tracing::warn!(
                ?origin,
                "a secret has fewer than {SHORTEST} bytes: it is not looked for in replies"
            );
        }
        // One that comes back, or comes late because it was read before the last one, takes no second place.
        of_origin.retain(|it| !it.secret.matches(secret.expose()));
        of_origin.push(Kept {
            secret: secret.clone(),
            until,
        });
        let too_many = of_origin.len().saturating_sub(FORMER + 1);
        of_origin.drain(..too_many);
        self.prepare(kept, now);
    }

    /// A new policy has these sources. What came from another one is forgotten after an hour, since a server may give
    /// it back for as long; what came from one of these is in use again.
    pub fn keep(&self, origins: HashSet<Origin>) {
        let now = (self.clock)();
        let mut shelf = self.shelf();
        for (origin, of_origin) in &mut shelf.kept {
            let is_kept = origins.contains(origin);
            if let Some(last) = of_origin.last_mut() {
                last.until = match is_kept {
                    true => None,
                    false => last.until.or(Some(now + REMEMBERED)),
                };
            }
        }
        shelf.origins = Some(origins);
        self.prepare(&mut shelf.kept, now);
    }

    /// What to look for.
    pub fn forms(&self) -> Arc<Forms> {
        let ready = self.ready.load();
        let is_over = |until: Instant| until <= (self.clock)();
        if !ready.until.is_some_and(is_over) {
            return ready.forms.clone();
        }
        self.prepare(&mut self.shelf().kept, (self.clock)())
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prepare(&self, kept: &mut HashMap<Origin, Vec<Kept>>, now: Instant) -> Arc<Forms> {
        for of_origin in kept.values_mut() {
            of_origin.retain(|it| it.until.is_none_or(|until| now < until));
        }
        kept.retain(|_, of_origin| !of_origin.is_empty());
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

impl Watched {
    /// The name of the source is copied only where there is something to learn.
    fn tell(&self, source: &SecretSource, secret: &Secret) {
        if !self.known.knows(secret) {
            let origin = Origin::Source(source.clone());
            self.known.learn_anew(&origin, secret);
        }
    }
}

impl Vault for Watched {
    fn get<'a>(&'a self, name: &'a SecretName, source: &'a SecretSource) -> Getting<'a> {
        Box::pin(async move {
            let secret = self.vault.get(name, source).await?;
            self.tell(source, &secret);
            Ok(secret)
        })
    }

    fn at_hand(&self, source: &SecretSource) -> Option<Secret> {
        let secret = self.vault.at_hand(source)?;
        self.tell(source, &secret);
        Some(secret)
    }

    fn keep(&self, sources: &HashSet<&SecretSource>) {
        self.vault.keep(sources);
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
    fn a_value_that_comes_back_takes_one_place() {
        let world = World::new();
        world.learn("A", "SECRET-1");
        for _ in 0..20 {
            world.learn("A", "SECRET-2");
            world.learn("A", "SECRET-3");
        }
        assert!(world.knows("SECRET-1") && world.knows("SECRET-2"));
        world.pass(3600);
        assert!(!world.knows("SECRET-2") && world.knows("SECRET-3"));
    }

    fn origins(names: &[&str]) -> HashSet<Origin> {
        let sources = names.iter().map(|it| SecretSource::Env((*it).into()));
        sources.map(Origin::Source).collect()
    }

    #[test]
    fn a_secret_whose_source_left_the_policy_is_known_for_an_hour_more() {
        let world = World::new();
        world.learn("A", "SECRET-1");
        world.learn("B", "SECRET-2");
        world.known.keep(origins(&["B", "C"]));
        world.pass(1800);
        // A further policy without it does not give it another hour.
        world.known.keep(origins(&["B"]));
        world.pass(1799);
        assert!(world.knows("SECRET-1") && world.knows("SECRET-2"));
        world.pass(1);
        assert!(!world.knows("SECRET-1"));
        assert!(world.knows("SECRET-2"));
        assert!(world.known.shelf().kept.len() == 1);
    }

    #[test]
    fn a_source_that_comes_back_is_in_use_again() {
        let world = World::new();
        world.learn("A", "SECRET-1");
        world.known.keep(origins(&[]));
        world.pass(60);
        world.known.keep(origins(&["A"]));
        world.pass(100_000);
        assert!(world.knows("SECRET-1"));
    }

    #[test]
    fn what_an_old_request_still_fetches_is_known_for_an_hour_too() {
        let world = World::new();
        world.known.keep(origins(&["B"]));
        world.learn("A", "SECRET-1");
        assert!(world.knows("SECRET-1"));
        world.pass(3600);
        assert!(!world.knows("SECRET-1"));
    }

    #[test]
    fn short_secrets_are_not_looked_for() {
        let world = World::new();
        world.learn("A", "seven77");
        assert!(!world.knows("seven77"));
    }
}
