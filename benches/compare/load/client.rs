//! One client: a connection, or a share of one, and one request at a time on it.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;
use anyhow::ensure;
use memchr::memmem;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::load::NUMBER;
use crate::load::http2::Share;
use crate::load::pace::Pace;
use crate::load::plan::Beginning;
use crate::load::plan::Expected;
use crate::load::plan::Plan;
use crate::load::reply;

/// Bytes both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + ?Sized> Stream for T {}

/// A connection through a door.
pub(super) enum Client {
    Own(Box<Own>),
    Sharing(Box<Share>),
}

/// A connection that speaks HTTP/1.1.
pub(super) struct Own {
    plan: Arc<Plan>,
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    session: Option<String>,
    request: Vec<u8>,
    /// Where in the request its number stands.
    numbers: Vec<usize>,
}

/// Room for a head and what an answer has beside the origin's reply.
const BESIDE: usize = 16 * 1024;

/// MCP tells a reply twice, once of them as a text in a text.
const TIMES: usize = 4;

impl Client {
    /// So many clients, over as many connections as they need.
    pub(super) async fn connect_all(plan: &Arc<Plan>, count: usize) -> anyhow::Result<Vec<Self>> {
        let mut clients = Vec::with_capacity(count);
        while clients.len() < count {
            match &plan.beginning {
                Beginning::Shared(shared) => {
                    let share = Self::share(plan).await?;
                    let left = count - clients.len();
                    let shares = std::iter::repeat_n(Box::new(share), shared.streams.min(left));
                    clients.extend(shares.map(Self::Sharing));
                }
                _ => clients.push(Self::Own(Box::new(Own::connect(plan).await?))),
            }
        }
        Ok(clients)
    }

    async fn share(plan: &Plan) -> anyhow::Result<Share> {
        let Beginning::Shared(shared) = &plan.beginning else {
            anyhow::bail!("nothing to share");
        };
        let mut stream = connect(plan).await?;
        let mut buffer = vec![0; BESIDE];
        let opened = exchange(&mut stream, &shared.connect, &mut buffer).await;
        opened?.expect(Expected::Length(0)).context("CONNECT")?;
        let inside = shared.connector.connect(shared.name.clone(), stream).await;
        let inside = inside.context("the TLS inside of the CONNECT")?;
        Share::open(inside, &shared.request, plan.bytes).await
    }

    /// Asks until nothing is left to ask for, or something goes wrong.
    pub(super) async fn ask_while(
        mut self,
        pace: Arc<Pace>,
    ) -> (Self, Vec<Duration>, Option<anyhow::Error>) {
        let mut latencies = Vec::with_capacity(4096);
        while let Some(due) = pace.next().await {
            if let Err(error) = self.ask().await {
                return (self, latencies, Some(error));
            }
            latencies.push(due.elapsed());
        }
        (self, latencies, None)
    }

    async fn ask(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Own(own) => own.ask().await,
            Self::Sharing(share) => share.ask().await,
        }
    }

    /// Ends what was opened.
    pub(super) async fn leave(self) -> anyhow::Result<()> {
        match self {
            Self::Own(own) => own.leave().await,
            Self::Sharing(_) => Ok(()),
        }
    }
}

impl Own {
    async fn connect(plan: &Arc<Plan>) -> anyhow::Result<Self> {
        let mut buffer = vec![0; plan.bytes * TIMES + BESIDE];
        let (mut stream, mut session) = (connect(plan).await?, None);
        match &plan.beginning {
            Beginning::Connected | Beginning::Shared(_) => {}
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
        let request = plan.request.bytes(session.as_deref());
        let numbers = match plan.numbered {
            true => memmem::find_iter(&request, NUMBER).collect(),
            false => Vec::new(),
        };
        Ok(Self {
            request,
            numbers,
            plan: plan.clone(),
            stream,
            buffer,
            session,
        })
    }

    async fn ask(&mut self) -> anyhow::Result<()> {
        if !self.numbers.is_empty() {
            self.write_number();
        }
        if self.plan.anew {
            self.stream = connect(&self.plan).await?;
        }
        let reply = exchange(&mut self.stream, &self.request, &mut self.buffer).await?;
        reply.expect(self.plan.expected)
    }

    fn write_number(&mut self) {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed) % 100_000_000;
        let digits = format!("{number:0width$}", width = NUMBER.len());
        for &place in &self.numbers {
            self.request[place..place + NUMBER.len()].copy_from_slice(digits.as_bytes());
        }
    }

    async fn leave(mut self) -> anyhow::Result<()> {
        if let Beginning::Session { end, .. } = &self.plan.beginning {
            let bytes = end.bytes(self.session.as_deref());
            let reply = exchange(&mut self.stream, &bytes, &mut self.buffer).await?;
            ensure!(reply.status < 300, "DELETE: {}", reply.status);
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client of the proxy, which has no `dial`"
)]
async fn connect(plan: &Plan) -> anyhow::Result<Box<dyn Stream>> {
    let socket = TcpStream::connect(plan.address).await?;
    socket.set_nodelay(true)?;
    Ok(Box::new(socket))
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
