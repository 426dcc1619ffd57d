//! One client's connection: its stream, what was read ahead, and the place in the request that is being read.
//!
//! The connection's loop and the body of the request in hand share it. They take turns: the body reads until it is
//! complete, then the loop watches whether the client is still there; only the loop writes answers. What they share is
//! behind a lock because a body may be polled by the task that writes to the server; nobody holds it while waiting.
//!
//! Not here: what a head or a body means, and what is answered.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fault::{Fault, FaultKind};
use crate::patience::Patience;
use crate::proxy::ClientLimits;
use crate::proxy::connection::Next;
use crate::seats::Seat;
use crate::wire::{
    CONTINUE, ChunkedReader, Framing, Head, HeadLimits, HeadReader, Malformed, Piece,
};

/// Room for the next read of a head. Most heads have less than 2 KiB.
const HEAD_ROOM: usize = 8 * 1024;

/// Room for the next read of a body: with tokio's 8 KiB the system calls cost more than the copying.
const BODY_ROOM: usize = 64 * 1024;

/// What may lie unread behind a request that is being served. A client that sends more than this ahead is no longer
/// watched, and is read again after its answer.
const AHEAD: usize = 8 * 1024;

/// What a client is connected by: TCP, TLS inside a tunnel, or memory.
pub trait ClientStream: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Has the connection end with an error for the client, where its end would be taken for that of an answer.
    fn abort(&mut self);
}

impl ClientStream for TcpStream {
    fn abort(&mut self) {
        // Where it fails, the connection is gone already.
        let _ = self.set_zero_linger();
    }
}

/// A connection, shared between its loop and the body in hand.
pub(super) struct Line<S>(Arc<Mutex<State<S>>>);

impl<S> Clone for Line<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct State<S> {
    /// None once a tunnel has it.
    stream: Option<S>,
    ahead: BytesMut,
    heads: HeadReader,
    /// Which request the rest belongs to: a body that outlives its own reads nothing.
    turn: u64,
    rest: Rest,
    /// What is to be written before anything else: the end of a `100 Continue`.
    owed: &'static [u8],
    /// The loop, which wants to watch the client as soon as the body is complete.
    watcher: Option<Waker>,
}

/// What is still to come of the request in hand.
enum Rest {
    Nothing,
    Length(u64),
    Chunks(ChunkedReader),
    /// Where the next request would start is not known.
    Broken,
}

/// What came where a head was expected.
pub(super) enum Received {
    /// A head; what follows it is unread.
    Head(Box<Head>),
    /// Bytes that are no head.
    Malformed(Malformed),
    /// A part of a head, until the deadline.
    Slow,
    /// A part of a head, and the end of the connection.
    Cut,
    /// A part of a head, until the connection had to make room for another.
    Crowded,
    /// Nothing.
    Nothing,
}

impl<S: ClientStream> Line<S> {
    /// A connection of which these bytes were read before.
    pub(super) fn new(stream: S, ahead: BytesMut) -> Self {
        Self(Arc::new(Mutex::new(State {
            stream: Some(stream),
            ahead,
            heads: HeadReader::new(HeadLimits::default()),
            turn: 0,
            rest: Rest::Nothing,
            owed: &[],
            watcher: None,
        })))
    }

    /// The stream and what was read ahead of it; `None` the second time.
    pub(super) fn take(&self) -> Option<(S, BytesMut)> {
        let mut state = self.lock();
        let ahead = std::mem::take(&mut state.ahead);
        Some((state.stream.take()?, ahead))
    }

    /// Reads one head: waits for its first byte unless `leaving` comes first, and from there on no longer than for the
    /// deadline, unless the place is `wanted`. What has not come of `wait` and `leaving` is good for the next head.
    pub(super) async fn head(
        &self,
        (wait, deadline): (&mut Patience, Duration),
        (mut leaving, wanted): (Pin<&mut impl Future<Output = ()>>, impl Future<Output = ()>),
    ) -> Received {
        let has_begun = poll_fn(|context| {
            if let Poll::Ready(first) = self.poll_byte(context) {
                return Poll::Ready(matches!(first, Ok(true)));
            }
            let is_over =
                leaving.as_mut().poll(context).is_ready() || wait.poll(context).is_ready();
            if is_over {
                Poll::Ready(false)
            } else {
                Poll::Pending
            }
        });
        if !has_begun.await {
            return Received::Nothing;
        }
        // Nearly all are whole in their first segment: no timer is made for them.
        if let Some(received) = self.lock().read_head() {
            return received;
        }
        let rest = Box::pin(timeout(deadline, self.whole_head()));
        tokio::select! {
            biased;
            read = rest => read.unwrap_or(Received::Slow),
            () = wanted => Received::Crowded,
        }
    }

    /// Takes up the body that follows a head. The answer is the turn in which it may be read.
    pub(super) fn expect(&self, framing: Framing) -> u64 {
        let mut state = self.lock();
        state.turn += 1;
        state.rest = match framing {
            Framing::None | Framing::Length(0) => Rest::Nothing,
            Framing::Length(length) => Rest::Length(length),
            Framing::Chunked => Rest::Chunks(ChunkedReader::new()),
        };
        state.turn
    }

    /// Whether the request in hand was read to its end.
    pub(super) fn is_at_end(&self) -> bool {
        matches!(self.lock().rest, Rest::Nothing)
    }

    /// Whether the body that may be read in this turn was read to its end.
    pub(super) fn is_over(&self, turn: u64) -> bool {
        let state = self.lock();
        state.turn == turn && matches!(state.rest, Rest::Nothing)
    }

    /// The next piece of the body that may be read in this turn.
    pub(super) fn poll_piece(
        &self,
        turn: u64,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Fault>>> {
        let mut state = self.lock();
        if state.turn != turn {
            return Poll::Ready(Some(Err(gone("the request was over before its body"))));
        }
        state.poll_piece(context)
    }

    /// Lets the client send its body, unless it has begun already.
    pub(super) fn let_continue(&self, turn: u64, context: &mut Context<'_>) {
        let mut state = self.lock();
        if state.turn == turn && state.ahead.is_empty() && state.owed.is_empty() {
            state.owed = CONTINUE;
        }
        // What cannot be written now is written with the answer; a broken connection shows in the next read.
        let _ = state.poll_owed(context);
    }

    /// Ready when the client has gone away.
    ///
    /// The end of its stream counts: a client that closes its socket looks no different, and a request is not carried
    /// on for nobody. Go's and hyper's servers and nginx see it so too. A client that only closes its sending half
    /// (RFC 9112 §9.6 allows it) loses the answer if that is not there yet; no HTTP library does that.
    pub(super) fn poll_gone(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if !matches!(state.rest, Rest::Nothing) {
            state.watcher = Some(context.waker().clone());
            return Poll::Pending;
        }
        loop {
            if state.ahead.len() >= AHEAD {
                return Poll::Pending;
            }
            match ready!(state.poll_fill(context, HEAD_ROOM)) {
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
    }

    /// Writes all of it, and has it leave.
    ///
    /// # Errors
    /// The connection's, and [`io::ErrorKind::TimedOut`] where the client takes nothing for the time of `stall`.
    pub(super) async fn write(&self, mut bytes: impl Buf, stall: Duration) -> io::Result<()> {
        let mut patience = Patience::new(stall);
        poll_fn(|context| {
            let before = bytes.remaining();
            if let Poll::Ready(written) = self.lock().poll_write(context, &mut bytes) {
                return Poll::Ready(written);
            }
            if bytes.remaining() < before {
                patience.renew();
            }
            patience
                .poll(context)
                .map(|()| Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }

    /// Closes after the last answer. Where bytes of the client are unread, it reads on for a while, unless the client
    /// closes first. Who is only listened to for that makes room for others.
    pub(super) async fn close(&self, limits: &ClientLimits, seat: &Seat) {
        let Some((mut stream, _)) = self.take() else {
            return;
        };
        seat.waits();
        let unread = !self.is_at_end();
        // On the heap: it has room for what it reads, which no connection needs while it lives.
        let closing = Box::pin(async {
            if timeout(limits.write_stall, stream.shutdown()).await.is_ok() && unread {
                let _ = timeout(limits.linger, drain(&mut stream, limits.linger_bytes)).await;
            }
        });
        tokio::select! {
            biased;
            () = closing => {}
            () = seat.wanted() => {}
        }
    }

    /// What a future comes to, unless the client goes away first.
    pub(super) async fn unless_gone<F: Future>(
        &self,
        mut serving: Pin<&mut F>,
    ) -> Option<F::Output> {
        poll_fn(|context| match serving.as_mut().poll(context) {
            Poll::Ready(served) => Poll::Ready(Some(served)),
            Poll::Pending => self.poll_gone(context).map(|()| None),
        })
        .await
    }

    /// Whether another head may come; else the connection ends as it has to.
    pub(super) async fn goes_on(&self, next: Next, limits: &ClientLimits, seat: &Seat) -> bool {
        match next {
            Next::Head => return true,
            Next::Close => self.close(limits, seat).await,
            // The stream ends here, also while a body that outlives its request holds on to the line.
            Next::Drop => drop(self.take()),
            Next::Abort => self.abort(),
        }
        false
    }

    /// Nobody knows where the next request would start.
    pub(super) fn give_up_reading(&self) {
        self.lock().rest = Rest::Broken;
    }

    /// Closes in the midst of an answer, so that the client sees that it is not whole.
    pub(super) fn abort(&self) {
        if let Some((mut stream, _)) = self.take() {
            stream.abort();
        }
    }

    fn poll_byte(&self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut state = self.lock();
        if !state.ahead.is_empty() {
            return Poll::Ready(Ok(true));
        }
        state.poll_fill(context, HEAD_ROOM).map_ok(|read| read > 0)
    }

    async fn whole_head(&self) -> Received {
        poll_fn(|context| {
            let mut state = self.lock();
            loop {
                if let Some(received) = state.read_head() {
                    return Poll::Ready(received);
                }
                match ready!(state.poll_fill(context, HEAD_ROOM)) {
                    Ok(0) | Err(_) => return Poll::Ready(Received::Cut),
                    Ok(_) => {}
                }
            }
        })
        .await
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: ClientStream> State<S> {
    /// What has come, once it is a whole head or none.
    fn read_head(&mut self) -> Option<Received> {
        match self.heads.read(&mut self.ahead) {
            Ok(head) => head.map(|it| Received::Head(Box::new(it))),
            Err(malformed) => Some(Received::Malformed(malformed)),
        }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            match self.piece() {
                Ok(Some(Piece::Data(data))) => return Poll::Ready(Some(Ok(data))),
                Ok(Some(Piece::End)) => return Poll::Ready(None),
                Ok(None) => {}
                Err(malformed) => {
                    let fault = Fault::new(FaultKind::ClientMalformed, malformed.reason());
                    return self.break_off(fault);
                }
            }
            match ready!(self.poll_fill(context, BODY_ROOM)) {
                Ok(0) => {
                    return self.break_off(gone("the client closed before the end of its body"));
                }
                Ok(_) => {}
                Err(_) => return self.break_off(gone("the client's connection broke in its body")),
            }
        }
    }

    fn piece(&mut self) -> Result<Option<Piece>, Malformed> {
        let piece = match &mut self.rest {
            Rest::Nothing => Some(Piece::End),
            Rest::Broken => None,
            Rest::Length(_) if self.ahead.is_empty() => None,
            Rest::Length(left) => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX);
                let length = length.min(self.ahead.len());
                *left -= length as u64;
                if *left == 0 {
                    self.rest = Rest::Nothing;
                }
                Some(Piece::Data(self.ahead.split_to(length).freeze()))
            }
            Rest::Chunks(reader) => {
                let piece = reader.read(&mut self.ahead)?;
                if piece == Some(Piece::End) {
                    self.rest = Rest::Nothing;
                }
                piece
            }
        };
        if matches!(self.rest, Rest::Nothing)
            && let Some(watcher) = self.watcher.take()
        {
            watcher.wake();
        }
        Ok(piece)
    }

    fn break_off(&mut self, fault: Fault) -> Poll<Option<Result<Bytes, Fault>>> {
        self.rest = Rest::Broken;
        Poll::Ready(Some(Err(fault)))
    }

    fn poll_fill(&mut self, context: &mut Context<'_>, room: usize) -> Poll<io::Result<usize>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        if self.ahead.capacity() - self.ahead.len() < room / 4 {
            self.ahead.reserve(room);
        }
        pin!(stream.read_buf(&mut self.ahead)).poll(context)
    }

    fn poll_owed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        if self.owed.is_empty() {
            return Poll::Ready(Ok(()));
        }
        while !self.owed.is_empty() {
            let written = ready!(Pin::new(&mut *stream).poll_write(context, self.owed))?;
            self.owed.advance(written);
        }
        Pin::new(stream).poll_flush(context)
    }

    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        bytes: &mut impl Buf,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_owed(context))?;
        let stream = self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        while bytes.has_remaining() {
            let written = ready!(pin!(stream.write_buf(bytes)).poll(context))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Pin::new(stream).poll_flush(context)
    }
}

/// Reads to the end, or until enough was read.
pub(super) async fn drain(stream: &mut (impl AsyncRead + Unpin), most: usize) -> io::Result<()> {
    let mut left = most;
    let mut sink = [0; 4096];
    while left > 0 {
        match stream.read(&mut sink).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

fn gone(why: &str) -> Fault {
    Fault::new(FaultKind::ClientGone, why)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::io::{DuplexStream, duplex};

    use super::*;

    impl ClientStream for DuplexStream {
        fn abort(&mut self) {}
    }

    fn line(room: usize) -> (DuplexStream, Line<DuplexStream>) {
        let (client, ours) = duplex(room);
        (client, Line::new(ours, BytesMut::new()))
    }

    async fn piece(line: &Line<DuplexStream>, turn: u64) -> Option<Result<Bytes, Fault>> {
        poll_fn(|context| line.poll_piece(turn, context)).await
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_not_waited_for() {
        let (_client, line) = line(4);
        let stall = Duration::from_millis(20);
        let written = line.write(&b"more than four bytes"[..], stall).await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_body_that_outlives_its_request_reads_nothing_of_the_next() {
        let (mut client, line) = line(100);
        client.write_all(b"abcd").await.unwrap();
        let first = line.expect(Framing::Length(2));
        assert_eq!(piece(&line, first).await.unwrap().unwrap(), "ab");
        assert!(line.is_over(first));
        let second = line.expect(Framing::Length(2));
        assert!(piece(&line, first).await.unwrap().is_err());
        assert!(!line.is_over(first));
        assert_eq!(piece(&line, second).await.unwrap().unwrap(), "cd");
    }

    #[tokio::test]
    async fn a_body_never_takes_what_is_behind_it() {
        for (framing, bytes, body) in [
            (Framing::Length(3), "abcGET", "abc"),
            (Framing::Chunked, "3\r\nabc\r\n0\r\n\r\nGET", "abc"),
            (Framing::None, "GET", ""),
        ] {
            let (mut client, line) = line(100);
            client.write_all(bytes.as_bytes()).await.unwrap();
            let turn = line.expect(framing);
            let mut read = BytesMut::new();
            while let Some(piece) = piece(&line, turn).await {
                read.extend_from_slice(&piece.unwrap());
            }
            assert_eq!(read, body);
            assert!(line.is_at_end());
            drop(client);
            // Watching reads ahead, and keeps what it reads for the next head.
            poll_fn(|context| line.poll_gone(context)).await;
            assert_eq!(line.take().unwrap().1, "GET");
        }
    }

    #[tokio::test]
    async fn a_head_and_a_cut_head_are_told_apart_from_silence() {
        let short = Duration::from_millis(20);
        let long = Duration::from_secs(60);
        for (bytes, closes, wait, expected) in [
            ("", true, long, "nothing"),
            ("", false, short, "nothing"),
            ("GET /", true, long, "cut"),
            ("GET /", false, short, "slow"),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", false, long, "head"),
            ("GET /\r\n", false, long, "malformed"),
        ] {
            let (mut client, line) = line(100);
            client.write_all(bytes.as_bytes()).await.unwrap();
            let client = (!closes).then_some(client);
            let mut patience = Patience::new(wait);
            let leaving = (pin!(pending()), pending());
            let received = match line.head((&mut patience, wait), leaving).await {
                Received::Head(_) => "head",
                Received::Malformed(_) => "malformed",
                Received::Slow => "slow",
                Received::Cut => "cut",
                Received::Crowded => "crowded",
                Received::Nothing => "nothing",
            };
            assert_eq!(received, expected, "{bytes:?}");
            drop(client);
        }
    }
}
