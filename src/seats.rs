//! Who leaves when all places are taken: connections that wait for their client make room for those that come.
//!
//! Waiting is to have no request in hand: for a head or the rest of one, for a handshake, between two requests. First
//! go those that have never had one, then those that have waited longest. So whoever opens many connections and says
//! nothing keeps nobody else out. A connection with a request in hand never has to leave.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Has a request in hand, or has been told to leave.
const NOT_WAITING: u64 = 0;

/// Those that have had a request come behind all others.
const HAS_ASKED: u64 = 1 << 62;

/// The connections of one thread.
#[derive(Debug, Default)]
pub struct Seats {
    // Held to sit down, to get up, and where all are taken: never for a request.
    taken: Mutex<HashMap<u64, Arc<State>>>,
    numbers: AtomicU64,
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
    /// The lower, the sooner it goes.
    waiting: AtomicU64,
    has_asked: AtomicBool,
    leave: Notify,
}

impl Seats {
    /// A place for one connection, which waits.
    pub fn sit(self: &Arc<Self>) -> Seat {
        let (number, state) = (self.next(), Arc::<State>::default());
        state.waiting.store(number, Ordering::Relaxed);
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
        let all = taken.values().filter(|it| waiting(it) != NOT_WAITING);
        let Some(first) = all.min_by_key(waiting) else {
            return false;
        };
        first.waiting.store(NOT_WAITING, Ordering::Relaxed);
        first.leave.notify_one();
        true
    }

    fn next(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) + 1
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
        let turn = match self.state.has_asked.load(Ordering::Relaxed) {
            true => self.seats.next() | HAS_ASKED,
            false => self.number,
        };
        self.state.waiting.store(turn, Ordering::Relaxed);
    }

    /// There is a request.
    pub fn works(&self) {
        self.state.has_asked.store(true, Ordering::Relaxed);
        self.state.waiting.store(NOT_WAITING, Ordering::Relaxed);
    }

    /// Comes back when the place is wanted. Told in the moment in which a request comes, it holds for the time after it.
    pub async fn wanted(&self) {
        self.state.leave.notified().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Duration, timeout};

    use super::*;

    async fn is_wanted(seat: &Seat) -> bool {
        timeout(Duration::ZERO, seat.wanted()).await.is_ok()
    }

    #[tokio::test]
    async fn who_has_never_asked_goes_first_and_who_works_stays() {
        let seats = Arc::<Seats>::default();
        let all: Vec<Seat> = (0..4).map(|_| seats.sit()).collect();
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
}
