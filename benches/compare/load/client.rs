//! One client: a connection, and one request at a time on it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Context;
use anyhow::ensure;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::load::plan::Beginning;
use crate::load::plan::Expected;
use crate::load::plan::Plan;
use crate::load::reply;

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + ?Sized> Stream for T {}

/// A connection through a door.
pub(super) struct Client {
    plan: Arc<Plan>,
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    session: Option<String>,
    request: Vec<u8>,
}

/// Room for a head and what an answer has beside the origin's reply.
const BESIDE: usize = 16 * 1024;

/// MCP tells a reply twice, once of them as a text in a text.
const TIMES: usize = 4;

impl Client {
    #[expect(
        clippy::disallowed_methods,
        reason = "a client of the proxy, which has no `dial`"
    )]
    pub(super) async fn connect(plan: &Arc<Plan>) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(plan.address).await?;
        socket.set_nodelay(true)?;
        let mut buffer = vec![0; plan.bytes * TIMES + BESIDE];
        let (mut stream, mut session): (Box<dyn Stream>, _) = (Box::new(socket), None);
        match &plan.beginning {
            Beginning::Connected => {}
            Beginning::Tunnel(connect, connector, name) => {
                let opened = exchange(&mut stream, connect, &mut buffer).await;
                opened?.expect(Expected::Length(0)).context("CONNECT")?;
                let inside = connector.connect(name.clone(), stream).await;
                stream = Box::new(inside.context("the TLS inside of the CONNECT")?);
            }
            Beginning::Session {
                initialize,
                initialized,
                end: _,
            } => {
                let opened = exchange(&mut stream, &initialize.bytes(None), &mut buffer).await?;
                session = Some(opened.session.context("no session of MCP")?);
                let bytes = initialized.bytes(session.as_deref());
                let status = exchange(&mut stream, &bytes, &mut buffer).await?.status;
                ensure!(status == 202, "initialized: {status}");
            }
        }
        Ok(Self {
            request: plan.request.bytes(session.as_deref()),
            plan: plan.clone(),
            stream,
            buffer,
            session,
        })
    }

    /// Asks until nothing is left to ask for, or something goes wrong.
    pub(super) async fn ask_while(
        mut self,
        left: Arc<AtomicUsize>,
    ) -> (Self, Vec<u32>, Option<anyhow::Error>) {
        let mut latencies = Vec::with_capacity(left.load(Ordering::Relaxed).min(4096));
        while left
            .try_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        {
            let start = Instant::now();
            if let Err(error) = self.ask().await {
                return (self, latencies, Some(error));
            }
            latencies.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        (self, latencies, None)
    }

    async fn ask(&mut self) -> anyhow::Result<()> {
        let reply = exchange(&mut self.stream, &self.request, &mut self.buffer).await?;
        reply.expect(self.plan.expected)
    }

    /// Ends what was opened.
    pub(super) async fn leave(mut self) -> anyhow::Result<()> {
        if let Beginning::Session { end, .. } = &self.plan.beginning {
            let bytes = end.bytes(self.session.as_deref());
            let reply = exchange(&mut self.stream, &bytes, &mut self.buffer).await?;
            ensure!(reply.status < 300, "DELETE: {}", reply.status);
        }
        Ok(())
    }
}

async fn exchange<'b>(
    stream: &mut Box<dyn Stream>,
    request: &[u8],
    buffer: &'b mut [u8],
) -> anyhow::Result<reply::Reply<'b>> {
    stream.write_all(request).await?;
    stream.flush().await?;
    reply::read(stream, buffer).await
}
