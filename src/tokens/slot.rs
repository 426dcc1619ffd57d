//! What is known of one connector's tokens in one environment: the token, the call that is under way, the last failure.
//!
//! What a call does is a parameter, and so is the clock.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::credential::Granted;
use crate::fault::{Fault, FaultKind};
use crate::tokens::{Clock, Token};

/// Most failures are a network that comes back.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Long enough that a broken endpoint is not pressed, short enough that nobody restarts exeat after mending it.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A successor is fetched this long before a token ends, or in the last fifth of a short life. A minute holds all the
/// tries that a failing endpoint gets before they are a minute apart.
const AHEAD: Duration = Duration::from_secs(60);

/// A token is not given out any more this long before its end, or in the last twentieth of a short life: it has to
/// arrive, and the clock of the server that looks at it may be ahead of ours.
const MARGIN: Duration = Duration::from_secs(5);

/// One connector in one environment.
#[derive(Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    kept: Option<Kept>,
    flight: Option<Flight>,
    failure: Option<Failure>,
    dropped: Option<Pause>,
}

struct Kept {
    token: Token,
    /// From here on a successor is fetched.
    renew: Instant,
    /// From here on it is not given out.
    end: Instant,
}

struct Failure {
    fault: Fault,
    pause: Pause,
}

struct Pause {
    until: Instant,
    length: Duration,
}

type Outcome = Result<Token, Fault>;

/// The outcome of a call, once it is there. All who wait for it get the same, so that a token without any lifetime
/// serves at least them.
type Flight = watch::Receiver<Option<Outcome>>;

/// What to do for one who asks.
enum Answer {
    Now(Outcome),
    /// The token is good, and a successor is due.
    Renew(Token, watch::Sender<Option<Outcome>>),
    Wait(Flight),
    Fetch(Flight, watch::Sender<Option<Outcome>>),
}

impl Slot {
    /// A token that is good now, from `fetch` if there is no other way.
    pub(super) async fn token<F>(
        self: Arc<Self>,
        clock: &Clock,
        fetch: impl FnOnce() -> F,
    ) -> Outcome
    where
        F: Future<Output = Result<Granted, Fault>> + Send + 'static,
    {
        let answer = self.state().answer(clock());
        let mut flight = match answer {
            Answer::Now(outcome) => return outcome,
            Answer::Renew(token, sender) => {
                tokio::spawn(self.fly(clock.clone(), fetch(), sender));
                return Ok(token);
            }
            Answer::Wait(flight) => flight,
            Answer::Fetch(flight, sender) => {
                tokio::spawn(self.fly(clock.clone(), fetch(), sender));
                flight
            }
        };
        let landed = flight.wait_for(Option::is_some).await;
        let outcome = landed.ok().and_then(|outcome| outcome.clone());
        outcome.unwrap_or_else(|| {
            let detail = "the call of the token endpoint ended without an outcome";
            Err(Fault::new(FaultKind::Token, detail))
        })
    }

    /// Forgets a token that a server refused. Returns whether a new one is worth asking for.
    pub(super) fn refuse(&self, token: &Token, now: Instant) -> bool {
        let mut state = self.state();
        if !state.kept.as_ref().is_some_and(|it| it.token.is(token)) {
            // Somebody else was faster, and the next token is another one.
            return true;
        }
        let before = state.dropped.take().filter(|_| !token.was_accepted());
        if let Some(pause) = before.as_ref().filter(|it| now < it.until) {
            state.dropped = Some(Pause { ..*pause });
            return false;
        }
        state.dropped = Some(Pause::after(before.as_ref(), now));
        state.kept = None;
        true
    }

    async fn fly(
        self: Arc<Self>,
        clock: Clock,
        fetching: impl Future<Output = Result<Granted, Fault>>,
        sender: watch::Sender<Option<Outcome>>,
    ) {
        // The server counts from some moment after this one.
        let started = clock();
        let granted = fetching.await;
        let outcome = self.state().learn(granted, started, clock());
        if let Err(fault) = &outcome {
            tracing::warn!(%fault, "no token");
        }
        sender.send_replace(Some(outcome));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn answer(&mut self, now: Instant) -> Answer {
        let flight = self.flight.clone();
        // A call whose task is gone, with the runtime or by a panic, has dropped its end.
        let flight = flight.filter(|it| it.has_changed().is_ok());
        let resting = self.failure.as_ref().filter(|it| now < it.pause.until);
        if let Some(kept) = self.kept.as_ref().filter(|it| now < it.end) {
            let token = kept.token.clone();
            if now < kept.renew || flight.is_some() || resting.is_some() {
                return Answer::Now(Ok(token));
            }
            let (sender, flight) = watch::channel(None);
            self.flight = Some(flight);
            return Answer::Renew(token, sender);
        }
        if let Some(flight) = flight {
            return Answer::Wait(flight);
        }
        if let Some(failure) = resting {
            return Answer::Now(Err(failure.fault.clone()));
        }
        let (sender, flight) = watch::channel(None);
        self.flight = Some(flight.clone());
        Answer::Fetch(flight, sender)
    }

    fn learn(
        &mut self,
        granted: Result<Granted, Fault>,
        started: Instant,
        now: Instant,
    ) -> Outcome {
        self.flight = None;
        match granted {
            Ok(Granted { token, lifetime }) => {
                let token = Token::new(token);
                self.failure = None;
                self.kept = Some(Kept {
                    token: token.clone(),
                    renew: started + (lifetime - AHEAD.min(lifetime / 5)),
                    end: started + (lifetime - MARGIN.min(lifetime / 20)),
                });
                Ok(token)
            }
            Err(fault) => {
                let before = self.failure.take().map(|it| it.pause);
                self.failure = Some(Failure {
                    fault: fault.clone(),
                    pause: Pause::after(before.as_ref(), now),
                });
                Err(fault)
            }
        }
    }
}

impl Pause {
    fn after(before: Option<&Self>, now: Instant) -> Self {
        let length = before.map_or(FIRST_PAUSE, |it| (it.length * 2).min(LONGEST_PAUSE));
        Self {
            until: now + length,
            length,
        }
    }
}
