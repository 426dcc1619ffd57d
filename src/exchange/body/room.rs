//! Room for the bodies that are read whole: what all requests together may hold of them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::exchange::shares::Share;

/// An action takes a mebibyte by default, so as many as these are in hand at once, each for no longer than its action's
/// timeout. Without a limit over all, a few thousand clients that send most of a body and stop hold gigabytes.
const BYTES: usize = 256 * 1024 * 1024;

/// The bytes that are left. Clones share them.
#[derive(Clone, Debug)]
pub struct Room {
    left: Arc<Semaphore>,
    bytes: usize,
}

/// The bytes that one request has taken, and its agent's share. Dropped, they are there for others again.
#[derive(Debug)]
pub(in crate::exchange) struct Hold {
    room: Room,
    taken: Option<OwnedSemaphorePermit>,
    share: Option<Share>,
}

impl Room {
    /// Room for so many bytes.
    pub fn of(bytes: usize) -> Self {
        Self {
            left: Arc::new(Semaphore::new(bytes)),
            bytes,
        }
    }

    /// How many bytes there are room for.
    pub(in crate::exchange) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many of them are taken.
    pub(in crate::exchange) fn taken(&self) -> usize {
        self.bytes - self.left.available_permits()
    }

    /// Begins to take some of it; nothing yet.
    pub(in crate::exchange) fn hold(&self) -> Hold {
        Hold {
            room: self.clone(),
            taken: None,
            share: None,
        }
    }
}

impl Hold {
    /// For a request of this share.
    pub(in crate::exchange) fn of(mut self, share: Share) -> Self {
        self.share = Some(share);
        self
    }

    /// Gives the bytes back; the share stays taken.
    pub(in crate::exchange) fn emptied(mut self) -> Self {
        self.taken = None;
        self
    }

    /// Gives back all but so many bytes.
    pub(in crate::exchange) fn keep(&mut self, bytes: usize) {
        if let Some(taken) = &mut self.taken {
            drop(taken.split(taken.num_permits().saturating_sub(bytes)));
        }
    }

    /// The share, for whoever ends the request before what is held is let go.
    pub(in crate::exchange) fn share(&mut self) -> Option<Share> {
        self.share.take()
    }

    /// Takes so many bytes more, or none where there is no room for all of them. They are taken as they come: what a
    /// head announces costs its client nothing, and must not cost others.
    pub(in crate::exchange) fn take(&mut self, bytes: usize) -> bool {
        let permits = u32::try_from(bytes).ok();
        let room = || Arc::clone(&self.room.left);
        let Some(more) = permits.and_then(|it| room().try_acquire_many_owned(it).ok()) else {
            return false;
        };
        match &mut self.taken {
            Some(taken) => taken.merge(more),
            none => *none = Some(more),
        }
        true
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::of(BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_not_there_for_others_until_it_is_dropped() {
        let room = Room::of(10);
        let (mut first, mut second) = (room.hold(), room.hold());
        assert!(first.take(6) && first.take(3));
        assert!(!second.take(2));
        assert!(second.take(1));
        drop(first);
        assert!(second.take(9));
        second.keep(3);
        assert!(room.hold().take(7));
        assert!(second.take(7));
        assert!(!second.take(1));
    }
}
