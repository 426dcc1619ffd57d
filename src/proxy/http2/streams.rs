//! The streams of one HTTP/2 connection: whether there are any, and whose client does not read.
//!
//! hyper waits for a client's window for as long as the connection lives, and would hold on to the server's side of the
//! exchange meanwhile. A stream that is not read for too long loses its answer here.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::time::{Instant, sleep};

use crate::body::Body;
use crate::fault::{Fault, FaultKind};
use crate::proxy::ClientLimits;
use crate::seats::Seat;

/// All streams of a connection.
#[derive(Default)]
pub(super) struct Streams(Mutex<Known>);

#[derive(Default)]
struct Known {
    streams: Vec<Weak<Mutex<Stream>>>,
    open: Arc<AtomicUsize>,
    /// How many there have been.
    begun: u64,
}

/// A stream that is open: from its request to the end of its answer. While there is one, its connection keeps its seat.
pub(super) struct Open {
    stream: Arc<Mutex<Stream>>,
    open: Arc<AtomicUsize>,
    seat: Arc<Seat>,
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.open.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.seat.waits();
        }
    }
}

/// How far a stream has come.
enum Stream {
    /// There is no answer yet.
    Asked,
    Answered {
        answer: Body,
        /// Since when the client has had its turn to read. From the start: hyper asks for nothing of an answer before
        /// there is room for some of it, and a client may never make any.
        unread: Option<Instant>,
    },
    /// The answer was taken away. hyper hears of it when the client reads, if ever.
    GivenUp,
}

/// Those that are closed are forgotten once there are so many: as many again as can be open.
const KNOWN: usize = 2 * super::STREAMS as usize;

impl Streams {
    /// A stream begins.
    pub(super) fn open(&self, seat: Arc<Seat>) -> Open {
        let stream = Arc::new(Mutex::new(Stream::Asked));
        let mut known = lock(&self.0);
        if known.streams.len() >= KNOWN {
            known.streams.retain(|it| it.strong_count() > 0);
        }
        known.streams.push(Arc::downgrade(&stream));
        known.begun += 1;
        let open = Arc::clone(&known.open);
        open.fetch_add(1, Ordering::Relaxed);
        seat.works();
        Open { stream, open, seat }
    }

    /// Takes the answers from streams that are not read, and returns when there has been no stream for long enough.
    pub(super) async fn watch(&self, limits: &ClientLimits) {
        let pause = limits.keep_alive.min(limits.write_stall) / 2;
        let mut busy = (Instant::now(), self.begun());
        loop {
            sleep(pause).await;
            let now = Instant::now();
            let unread = now.checked_sub(limits.write_stall);
            let open = self.sweep(unread);
            let begun = self.begun();
            if open > 0 || begun != busy.1 {
                busy = (now, begun);
                continue;
            }
            if now - busy.0 >= limits.keep_alive {
                return;
            }
        }
    }

    /// Returns when no stream was in use at the end of such a time.
    pub(super) async fn none_for(&self, time: Duration) {
        loop {
            sleep(time).await;
            if self.sweep(None) == 0 {
                return;
            }
        }
    }

    /// How many streams became requests.
    pub(super) fn begun(&self) -> u64 {
        lock(&self.0).begun
    }

    /// Gives up what has been unread since then or longer. How many streams are left in use.
    fn sweep(&self, limit: Option<Instant>) -> usize {
        let known = lock(&self.0);
        let open: Vec<_> = known.streams.iter().filter_map(Weak::upgrade).collect();
        drop(known);
        let in_use = |stream: &&Arc<Mutex<Stream>>| lock(stream).outlasts(limit);
        open.iter().filter(in_use).count()
    }
}

impl Stream {
    fn outlasts(&mut self, limit: Option<Instant>) -> bool {
        if let Self::Answered { unread, .. } = self
            && unread.is_some_and(|since| Some(since) <= limit)
        {
            *self = Self::GivenUp;
        }
        !matches!(self, Self::GivenUp)
    }
}

impl Open {
    /// The answer is there.
    pub(super) fn answered(self, answer: Body) -> Self {
        let unread = Some(Instant::now());
        *lock(&self.stream) = Stream::Answered { answer, unread };
        self
    }
}

impl HttpBody for Open {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let mut stream = lock(&self.stream);
        let Stream::Answered { answer, unread } = &mut *stream else {
            let detail = "the client did not read its answer";
            return Poll::Ready(Some(Err(Fault::new(FaultKind::ClientSlow, detail))));
        };
        let frame = Pin::new(answer).poll_frame(context);
        *unread = match frame {
            Poll::Ready(Some(Ok(_))) => Some(Instant::now()),
            _ => None,
        };
        frame
    }

    fn is_end_stream(&self) -> bool {
        matches!(&*lock(&self.stream), Stream::Answered { answer, .. } if answer.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        match &*lock(&self.stream) {
            Stream::Answered { answer, .. } => answer.size_hint(),
            Stream::Asked | Stream::GivenUp => SizeHint::default(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use http_body_util::{BodyExt, Full};
    use tokio::time::timeout;

    use super::*;
    use crate::seats::Seats;

    fn limits() -> ClientLimits {
        ClientLimits {
            keep_alive: Duration::from_millis(40),
            write_stall: Duration::from_millis(20),
            ..ClientLimits::default()
        }
    }

    fn seat() -> Arc<Seat> {
        Arc::new(Arc::<Seats>::default().sit())
    }

    fn long_answer() -> Body {
        let data = Full::new(Bytes::from("x")).map_err(|never| match never {});
        // More follows the first frame, as far as anybody knows.
        Body::stream(data.with_trailers(std::future::pending()))
    }

    async fn frame(stream: &mut Open) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        poll_fn(|context| Poll::Ready(Pin::new(&mut *stream).poll_frame(context))).await
    }

    /// Whether a connection with these streams is in use for as long as anybody looks.
    async fn in_use(streams: &Streams) -> bool {
        let looking = Duration::from_millis(200);
        timeout(looking, streams.watch(&limits())).await.is_err()
    }

    #[tokio::test]
    async fn a_stream_that_is_not_read_loses_its_answer() {
        let streams = Streams::default();
        let mut stream = streams.open(seat()).answered(long_answer());
        assert!(matches!(frame(&mut stream).await, Poll::Ready(Some(Ok(_)))));
        assert!(!in_use(&streams).await);
        assert!(matches!(
            frame(&mut stream).await,
            Poll::Ready(Some(Err(_)))
        ));
    }

    #[tokio::test]
    async fn a_client_without_room_for_a_first_byte_does_not_read() {
        let streams = Streams::default();
        let mut stream = streams.open(seat()).answered(long_answer());
        assert!(!in_use(&streams).await);
        assert!(matches!(
            frame(&mut stream).await,
            Poll::Ready(Some(Err(_)))
        ));
    }

    #[tokio::test]
    async fn a_stream_without_an_answer_is_waited_for() {
        let streams = Streams::default();
        let _stream = streams.open(seat());
        assert!(in_use(&streams).await);
    }

    #[tokio::test]
    async fn a_stream_that_waits_for_its_server_keeps_its_answer() {
        let streams = Streams::default();
        let mut stream = streams.open(seat()).answered(long_answer());
        frame(&mut stream).await.is_ready().then_some(()).unwrap();
        assert!(frame(&mut stream).await.is_pending());
        assert!(in_use(&streams).await);
        assert!(frame(&mut stream).await.is_pending());
    }

    #[tokio::test]
    async fn a_connection_without_streams_is_over_after_its_time() {
        let streams = Streams::default();
        drop(streams.open(seat()));
        let began = Instant::now();
        streams.watch(&limits()).await;
        assert!(began.elapsed() >= limits().keep_alive);
    }

    #[test]
    fn closed_streams_are_forgotten() {
        let streams = Streams::default();
        for _ in 0..10 * KNOWN {
            streams.open(seat());
        }
        assert!(lock(&streams.0).streams.len() <= KNOWN);
    }
}
