//! Who leaves when all places are taken: connections that wait for their client make room for those that come.
//!
//! Waiting is to have no request in hand: for a head or the rest of one, for a handshake, between two requests. Who has
//! waited longest goes first; where half of all places are taken by connections on which nobody known has asked for
//! anything, the longest of those. So a crowd that says nothing, or not who it is, makes room out of its own midst, and
//! one agent's many idle connections don't leave the last place for all newcomers. A connection with a request in hand
//! never has to leave.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// Has a request in hand, or has been told to leave.
const NOT_WAITING: u64 = 0;

/// The connections of one thread.
#[derive(Debug)]
pub struct Seats {
    // Held to sit down, to get up, and where all are taken: never for a request.
    taken: Mutex<HashMap<u64, Arc<State>>>,
    numbers: AtomicU64,
    since: Instant,
}

impl Default for Seats {
    fn default() -> Self {
        Self {
            taken: Mutex::default(),
            numbers: AtomicU64::default(),
            since: Instant::now(),
        }
    }
}

/// The place of one connection, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    number: u64,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when, in microseconds of the thread's own count.
    waiting: AtomicU64,
    /// Whether somebody known has asked for something.
    has_asked: AtomicBool,
    bell: Mutex<Bell>,
}

/// How a connection hears that it is to leave. It is asked for every request, mostly in vain, so it has no list of those
/// who wait: they are one task.
#[derive(Debug, Default)]
struct Bell {
    has_rung: bool,
    listener: Option<Waker>,
}

impl Seats {
    /// A place for one connection, which waits.
    pub fn sit(self: &Arc<Self>) -> Seat {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let state = Arc::<State>::default();
        state.waiting.store(self.now(), Ordering::Relaxed);
        self.lock().insert(number, Arc::clone(&state));
        Seat {
            seats: Arc::clone(self),
            number,
            state,
        }
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.lock().len()
    }

    /// Tells one that waits to leave. Returns whether there was one.
    pub fn make_room(&self) -> bool {
        let taken = self.lock();
        let waiting = |state: &&Arc<State>| state.waiting.load(Ordering::Relaxed);
        let is_unknown = |state: &&Arc<State>| !state.has_asked.load(Ordering::Relaxed);
        let crowded = 2 * taken.values().filter(is_unknown).count() >= taken.len();
        let all = taken.values().filter(|it| waiting(it) != NOT_WAITING);
        // Whoever is known comes behind the crowd, and all come by their time where there is none.
        let turn = |state: &&Arc<State>| (crowded && !is_unknown(state), waiting(state));
        let Some(first) = all.min_by_key(turn) else {
            return false;
        };
        first.waiting.store(NOT_WAITING, Ordering::Relaxed);
        first.ring();
        true
    }

    /// Never [`NOT_WAITING`].
    fn now(&self) -> u64 {
        self.since.elapsed().as_micros() as u64 + 1
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Arc<State>>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// There is nothing to do but to wait for the client.
    pub fn waits(&self) {
        if self.state.waiting.load(Ordering::Relaxed) != NOT_WAITING {
            return;
        }
        self.state
            .waiting
            .store(self.seats.now(), Ordering::Relaxed);
    }

    /// There is something to do.
    pub fn works(&self) {
        self.state.waiting.store(NOT_WAITING, Ordering::Relaxed);
    }

    /// Somebody known has asked for something.
    pub fn asked(&self) {
        self.state.has_asked.store(true, Ordering::Relaxed);
    }

    /// Comes back when the place is wanted. Told in the moment in which a request comes, it holds for the time after
    /// that request.
    pub async fn wanted(&self) {
        poll_fn(|context| self.poll_wanted(context)).await;
    }

    /// As [`Seat::wanted`]. Only the task that has asked last hears of it.
    pub fn poll_wanted(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut bell = self.state.bell();
        if std::mem::take(&mut bell.has_rung) {
            return Poll::Ready(());
        }
        match &mut bell.listener {
            Some(listener) => listener.clone_from(context.waker()),
            listener @ None => *listener = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

impl State {
    fn ring(&self) {
        let mut bell = self.bell();
        bell.has_rung = true;
        let listener = bell.listener.take();
        drop(bell);
        if let Some(listener) = listener {
            listener.wake();
        }
    }

    fn bell(&self) -> MutexGuard<'_, Bell> {
        self.bell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn is_wanted(seat: &Seat) -> bool {
        timeout(Duration::ZERO, seat.wanted()).await.is_ok()
    }

    #[tokio::test]
    async fn who_has_waited_longest_goes_first_and_who_works_stays() {
        let seats = Arc::<Seats>::default();
        let all: Vec<Seat> = (0..4).map(|_| seats.sit()).collect();
        for (number, seat) in all.iter().enumerate() {
            seat.state
                .waiting
                .store(number as u64 + 1, Ordering::Relaxed);
        }
        all[0].works();
        all[1].works();
        all[1].waits();
        for expected in [Some(2), Some(3), Some(1), None] {
            assert_eq!(seats.make_room(), expected.is_some());
            for (number, seat) in all.iter().enumerate() {
                assert_eq!(is_wanted(seat).await, expected == Some(number), "{number}");
            }
        }
        assert_eq!(seats.taken(), 4);
        drop(all);
        assert_eq!(seats.taken(), 0);
    }

    #[tokio::test]
    async fn a_crowd_makes_room_out_of_its_own_midst_and_few_newcomers_do_not() {
        for (known, expected) in [(1, 1), (3, 0)] {
            let seats = Arc::<Seats>::default();
            let all: Vec<Seat> = (0..4).map(|_| seats.sit()).collect();
            for (number, seat) in all.iter().enumerate() {
                let since = number as u64 + 1;
                seat.state.waiting.store(since, Ordering::Relaxed);
            }
            for seat in &all[..known] {
                seat.asked();
            }
            assert!(seats.make_room());
            for (number, seat) in all.iter().enumerate() {
                assert_eq!(
                    is_wanted(seat).await,
                    number == expected,
                    "{known} {number}"
                );
            }
        }
    }
}
