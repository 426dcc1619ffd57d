//! A limit on waiting that costs nothing while nobody waits, and streams whose reader may not make us wait for long.

use std::future::Future;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Runs out when nothing has moved for its limit. The timer is made at the first wait: most bodies are there at once.
pub struct Patience {
    limit: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl Patience {
    /// With nobody waiting yet.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            waiting: false,
        }
    }

    /// Something moved.
    pub fn renew(&mut self) {
        self.waiting = false;
    }

    /// Ready once the limit has passed since the first poll after the last movement.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = Instant::now() + self.limit;
        let timer = self.timer.get_or_insert_with(|| {
            self.waiting = true;
            Box::pin(sleep_until(end))
        });
        if !self.waiting {
            timer.as_mut().reset(end);
            self.waiting = true;
        }
        timer.as_mut().poll(context)
    }
}

/// A stream that breaks where its reader takes nothing for the limit.
pub struct Impatient<S> {
    stream: S,
    patience: Patience,
}

impl<S> Impatient<S> {
    /// Waits no longer than so long for a write.
    pub fn new(stream: S, stall: Duration) -> Self {
        Self {
            stream,
            patience: Patience::new(stall),
        }
    }

    fn judge<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        match written {
            Poll::Ready(written) => {
                self.patience.renew();
                Poll::Ready(written)
            }
            Poll::Pending => self
                .patience
                .poll(context)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, from);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, from);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_not_waited_for() {
        let (ours, mut theirs) = duplex(4);
        let mut stream = Impatient::new(ours, Duration::from_millis(20));
        let writing = tokio::spawn(async move { stream.write_all(&[0; 12]).await });
        theirs.read_exact(&mut [0; 12]).await.unwrap();
        writing.await.unwrap().unwrap();
        let (ours, _theirs) = duplex(4);
        let mut stream = Impatient::new(ours, Duration::from_millis(20));
        let stalled = stream.write_all(&[0; 12]).await.unwrap_err();
        assert_eq!(stalled.kind(), io::ErrorKind::TimedOut);
    }
}
