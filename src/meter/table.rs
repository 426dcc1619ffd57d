//! The counts of one limit, by key: as many as there may be, and none for longer than it says anything.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::meter::Counted;
use crate::meter::counter::Counter;
use crate::rate::Rate;

/// A full table is looked through no more often than this, however many calls are refused for it.
pub(super) const SWEEP: Duration = Duration::from_secs(1);

/// So few counts are not looked through.
const FEW: usize = 1024;

/// The counts of one limit.
#[derive(Debug, Default)]
pub(super) struct Table {
    counters: HashMap<Counted, Counter>,
    /// Once there are so many, those that are full again go.
    sweep_at: usize,
    swept: Option<Instant>,
    /// When every count is full again.
    full: Option<Instant>,
}

/// Why there is no call to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Empty {
    /// There will be one after this time.
    For(Duration),
    /// Another key has no room.
    NoRoom,
}

impl Table {
    /// Takes one call under a key, where there may be so many keys.
    pub(super) fn take(
        &mut self,
        rate: &Rate,
        key: Counted,
        (at, most): (Instant, usize),
    ) -> Result<(), Empty> {
        let counter = match self.counters.get_mut(&key) {
            Some(known) => known,
            None => {
                self.make_room(at, most)?;
                let counter = || Counter::of(rate, at);
                self.counters.entry(key).or_insert_with(counter)
            }
        };
        counter.take(rate, at).map_err(Empty::For)?;
        self.full = self.full.max(Some(counter.full()));
        Ok(())
    }

    /// Whether no count says anything any more.
    pub(super) fn is_spent(&self, at: Instant) -> bool {
        self.full.is_none_or(|full| full <= at)
    }

    /// Looks through the counts when there are twice as many as were left the last time, so that a call costs the same
    /// however many there are.
    fn make_room(&mut self, at: Instant, most: usize) -> Result<(), Empty> {
        let is_full = self.counters.len() >= most;
        if !is_full && self.counters.len() < self.sweep_at.max(FEW) {
            return Ok(());
        }
        let recent = |swept: Instant| at.saturating_duration_since(swept) < SWEEP;
        if is_full && self.swept.is_some_and(recent) {
            return Err(Empty::NoRoom);
        }
        self.counters.retain(|_, counter| counter.full() > at);
        self.swept = Some(at);
        self.sweep_at = 2 * self.counters.len();
        match self.counters.len() < most {
            true => Ok(()),
            false => Err(Empty::NoRoom),
        }
    }
}
