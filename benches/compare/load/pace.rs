//! When the next request is sent: as soon as somebody is free, or when it is due by the clock.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rustix::fd::OwnedFd;
use rustix::time::Itimerspec;
use rustix::time::TimerfdClockId;
use rustix::time::TimerfdFlags;
use rustix::time::TimerfdTimerFlags;
use rustix::time::Timespec;
use rustix::time::timerfd_create;
use rustix::time::timerfd_settime;
use tokio::io::unix::AsyncFd;
use tokio::sync::Mutex;
use tokio::sync::mpsc;

/// What is left to ask for.
pub(super) enum Pace {
    /// So many, each as soon as there is somebody to ask.
    Closed(AtomicUsize),
    /// The times at which requests were due. Those who wait for the next are served in turn.
    ByTheClock(Mutex<mpsc::UnboundedReceiver<Instant>>),
}

impl Pace {
    /// A closed loop of so many requests.
    pub(super) const fn closed(requests: usize) -> Self {
        Self::Closed(AtomicUsize::new(requests))
    }

    /// So many requests, so many per second, from now on.
    pub(super) fn by_the_clock(requests: usize, rate: u32) -> anyhow::Result<Self> {
        let (sender, due) = mpsc::unbounded_channel();
        let clock = Clock::start(rate)?;
        tokio::spawn(async move {
            // Its error would be the timer's own, and shows as requests that are missing.
            let _ = clock.tell(requests, &sender).await;
        });
        Ok(Self::ByTheClock(Mutex::new(due)))
    }

    /// When the next request was due; it is to be sent at once.
    pub(super) async fn next(&self) -> Option<Instant> {
        match self {
            Self::Closed(left) => left
                .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                })
                .ok()
                .map(|_| Instant::now()),
            Self::ByTheClock(due) => due.lock().await.recv().await,
        }
    }
}

/// A timer of the kernel: tokio's counts in milliseconds, in which a burst of requests would be due.
struct Clock {
    timer: AsyncFd<OwnedFd>,
    start: Instant,
    interval: Duration,
}

impl Clock {
    #[expect(
        deprecated,
        reason = "an OwnedFd is what it was; what replaces `new` is unsafe, which the package forbids"
    )]
    fn start(rate: u32) -> anyhow::Result<Self> {
        let interval = Duration::from_secs(1) / rate.max(1);
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let every = Timespec::try_from(interval)?;
        let spec = Itimerspec {
            it_interval: every,
            it_value: every,
        };
        let start = Instant::now();
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &spec)?;
        Ok(Self {
            timer: AsyncFd::new(timer)?,
            start,
            interval,
        })
    }

    async fn tell(
        &self,
        requests: usize,
        due: &mpsc::UnboundedSender<Instant>,
    ) -> anyhow::Result<()> {
        let (mut told, requests) = (0, u32::try_from(requests)?);
        while told < requests {
            let mut ready = self.timer.readable().await?;
            let mut ticks = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut ticks)?));
            if !matches!(read, Ok(Ok(_))) {
                continue;
            }
            // Ticks that were missed count as well: their requests were due all the same.
            let ticks = u32::try_from(u64::from_ne_bytes(ticks))?;
            for tick in told..(told + ticks).min(requests) {
                due.send(self.start + self.interval * (tick + 1))?;
            }
            told += ticks;
        }
        Ok(())
    }
}
