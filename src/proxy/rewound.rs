//! A stream with bytes that were read ahead put back in front of it.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::proxy::line::ClientStream;

/// Gives the bytes that came behind a CONNECT to whoever reads the tunnel.
pub(super) struct Rewound<S> {
    ahead: BytesMut,
    stream: S,
}

impl<S: ClientStream> Rewound<S> {
    pub(super) fn new(ahead: BytesMut, stream: S) -> Self {
        Self { ahead, stream }
    }

    /// Waits for the first byte and leaves it where it is; `None` at the end.
    pub(super) async fn first_byte(&mut self) -> io::Result<Option<u8>> {
        if self.ahead.is_empty() {
            self.stream.read_buf(&mut self.ahead).await?;
        }
        Ok(self.ahead.first().copied())
    }
}

impl<S: ClientStream> ClientStream for Rewound<S> {
    fn abort(&mut self) {
        self.stream.abort();
    }
}

impl<S: ClientStream> ClientStream for Box<TlsStream<Rewound<S>>> {
    fn abort(&mut self) {
        self.get_mut().0.abort();
    }
}

impl<S: ClientStream> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, into);
        }
        let length = self.ahead.len().min(into.remaining());
        into.put_slice(&self.ahead[..length]);
        self.ahead.advance(length);
        if self.ahead.is_empty() {
            // Room for a whole head, which would be held for as long as the tunnel is.
            self.ahead = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: ClientStream> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
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
