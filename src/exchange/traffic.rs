//! What is open for long, a tunnel or a WebSocket: how many bytes went through it, and whether any still do.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::fault::{Fault, FaultKind};

/// Bytes from and to the client.
#[derive(Debug, Default)]
pub struct Traffic {
    read: AtomicU64,
    written: AtomicU64,
}

impl Traffic {
    /// So many bytes came from the client.
    pub fn read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So many bytes went to the client.
    pub fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// From the client, and to it.
    pub fn both(&self) -> (u64, u64) {
        let read = self.read.load(Ordering::Relaxed);
        (read, self.written.load(Ordering::Relaxed))
    }

    /// Waits for whoever carries the bytes, for as long as they move.
    ///
    /// # Errors
    /// [`FaultKind::Timeout`] where none has moved for so long.
    pub async fn while_moving<T>(
        &self,
        idle: Duration,
        carrying: impl Future<Output = T>,
    ) -> Result<T, Fault> {
        let carrying = pin!(carrying);
        tokio::select! {
            carried = carrying => Ok(carried),
            () = self.standstill(idle) => {
                let detail = format!("no byte went either way for {idle:?}");
                Err(Fault::new(FaultKind::Timeout, detail))
            }
        }
    }

    async fn standstill(&self, idle: Duration) {
        let mut before = self.both();
        loop {
            sleep(idle).await;
            let now = self.both();
            if now == before {
                return;
            }
            before = now;
        }
    }
}
