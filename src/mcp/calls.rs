//! Calls under way: how many there may be, and the end of those for which nobody waits.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Calls at a time, of all clients: as many as a worker has connections. With a session of MCP and a TLS connection
/// upstream each holds up to 220 KiB beside its bodies, which are counted elsewhere: 0.9 GiB at worst (measured at
/// 1,000 by `cargo bench --bench compare -- --trial doors`). One more is refused with `overloaded`.
const AT_ONCE: usize = 4096;

/// Room for calls.
#[derive(Clone, Debug)]
pub(super) struct Calls(Arc<Semaphore>);

impl Calls {
    pub(super) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// A place for one call until it is dropped, if there is one.
    pub(super) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }
}

/// Held by whoever will take the reply: a response and its body.
pub(super) struct Waiting {
    _sender: watch::Sender<()>,
}

/// Tells when whoever waited has gone.
#[derive(Clone, Debug)]
pub(super) struct Gone(watch::Receiver<()>);

/// Both ends.
pub(super) fn waiting() -> (Waiting, Gone) {
    let (sender, receiver) = watch::channel(());
    (Waiting { _sender: sender }, Gone(receiver))
}

impl Gone {
    /// Comes back when nobody waits any more.
    pub(super) async fn wait(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}
