//! What is open for long, a tunnel or a WebSocket: how many bytes went through it, and whether any still do.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::fault::{Fault, FaultKind};

/// Bytes from and to the client.
#[derive(Debug)]
pub struct Traffic {
    read: AtomicU64,
    written: AtomicU64,
    began: Instant,
    /// When the last byte went either way: so many nanoseconds after it began.
    moved: AtomicU64,
}

impl Default for Traffic {
    fn default() -> Self {
        Self {
            read: AtomicU64::default(),
            written: AtomicU64::default(),
            began: Instant::now(),
            moved: AtomicU64::default(),
        }
    }
}

impl Traffic {
    /// So many bytes came from the client.
    pub fn read(&self, bytes: usize) {
        self.count(&self.read, bytes);
    }

    /// So many bytes went to the client.
    pub fn wrote(&self, bytes: usize) {
        self.count(&self.written, bytes);
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

    fn count(&self, way: &AtomicU64, bytes: usize) {
        if bytes > 0 {
            way.fetch_add(bytes as u64, Ordering::Relaxed);
            let moved = self.began.elapsed().as_nanos() as u64;
            self.moved.store(moved, Ordering::Relaxed);
        }
    }

    async fn standstill(&self, idle: Duration) {
        loop {
            let moved = Duration::from_nanos(self.moved.load(Ordering::Relaxed));
            let until = self.began + moved + idle;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[test]
    fn silence_is_as_long_as_it_may_be_and_not_twice_that() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let idle = Duration::from_millis(800);
        let traffic = Traffic::default();
        let carrying = async {
            sleep_until(Instant::now() + Duration::from_millis(20)).await;
            traffic.read(1);
            // What is no byte is no movement.
            traffic.wrote(0);
            pending::<()>().await;
        };
        let told = runtime.block_on(traffic.while_moving(idle, carrying));
        assert_eq!(told.unwrap_err().kind, FaultKind::Timeout);
        let took = traffic.began.elapsed();
        assert!(took >= idle && took < idle * 2, "{took:?}");
    }
}
