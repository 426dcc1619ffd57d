//! A connection of HTTP/2 whose frames are counted on their way to hyper, which tells nobody of streams that never
//! became requests, and answers floods for as long as they last.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::wire::Frames;

/// What has been counted of what a peer sends.
#[derive(Debug, Default)]
pub struct Tally {
    opened: AtomicU64,
    is_flooded: AtomicBool,
    flooded: Notify,
}

impl Tally {
    /// How many streams the peer has begun.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Whether the peer floods.
    pub fn is_flooded(&self) -> bool {
        self.is_flooded.load(Ordering::Relaxed)
    }

    /// Comes back when the peer floods.
    pub async fn flooded(&self) {
        self.flooded.notified().await;
    }
}

/// The connection.
pub struct Counted<S> {
    stream: S,
    frames: Frames,
    /// Since when the peer has earned nothing by waiting.
    since: Instant,
    tally: Arc<Tally>,
    on_flood: OnFlood,
}

/// What is read of a peer that floods.
enum OnFlood {
    /// Nothing more, so that it can still be told to go away.
    Wait,
    /// An error, which whoever waits for it hears.
    Break,
}

impl<S> Counted<S> {
    /// That of a client, at its first byte.
    pub fn client(stream: S, tally: Arc<Tally>) -> Self {
        Self {
            stream,
            frames: Frames::of_client(),
            since: Instant::now(),
            tally,
            on_flood: OnFlood::Wait,
        }
    }

    /// That to a server, at its first byte.
    pub fn server(stream: S, tally: Arc<Tally>) -> Self {
        Self {
            frames: Frames::of_server(),
            on_flood: OnFlood::Break,
            ..Self::client(stream, tally)
        }
    }

    fn read(&mut self, bytes: &[u8]) {
        self.frames.read(bytes);
        let opened = self.frames.opened();
        self.tally.opened.store(opened, Ordering::Relaxed);
        if self.frames.is_flood() {
            self.frames.waited(self.since.elapsed());
            self.since = Instant::now();
        }
        if self.frames.is_flood() {
            self.tally.is_flooded.store(true, Ordering::Relaxed);
            self.tally.flooded.notify_one();
        }
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.frames.wrote(bytes);
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.tally.is_flooded() {
            return match this.on_flood {
                OnFlood::Wait => Poll::Pending,
                OnFlood::Break => Poll::Ready(Err(io::Error::other("a flood of frames"))),
            };
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
        this.read(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.wrote(written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
