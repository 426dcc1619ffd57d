//! Worker threads: each has a runtime, a gate with a pool of its own, and the sockets that it was handed.

use std::io;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::app::Parts;
use crate::body::Body;
use crate::dial;
use crate::dial::Dialer;
use crate::drain::{Drain, Phase};
use crate::exchange::{Answer, Gate};
use crate::metrics::{Gauged, Listener, Metrics};
use crate::proxy;
use crate::refusal::{Code, Refusal};
use crate::seats::{Seat, Seats};
use crate::tools::Tools;
use crate::wire::{ReplyFraming, reply_head};

/// Sockets that wait for a worker which is busy. Past it a client is turned away as if there were too many.
const WAITING: usize = 1024;

/// Connections of one worker. Each may make us hold a head of 64 KiB before we know who it is, so these hold 256 MiB at
/// worst. One that comes when every worker has so many takes the place of one that waits for its client, or is turned
/// away unread.
pub const CONNECTIONS: usize = 4096;

/// When the time of a stop is over, streams and tunnels say in their records that they were stopped. That takes a turn
/// of each; what does something else meanwhile is dropped.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Clients that are turned away in words at a time; past it they are closed without. Each holds a socket for no longer
/// than [`FAREWELL`], and nothing else.
const FAREWELLS: usize = 128;

/// Closing with unread bytes makes the kernel reset the connection, and the client loses the answer (RFC 9112 §9.6). So
/// long, and so far, is read on; as at the proxy, but for less, since there are many.
const FAREWELL: Duration = Duration::from_secs(1);
const FAREWELL_BYTES: u64 = 64 * 1024;

/// How often it is told at most that connections are turned away: who opens many must not fill the log as well.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What is spoken on the sockets of a worker.
#[derive(Clone, Copy)]
enum Face {
    Proxy,
    /// On the listener of this address.
    Tools(SocketAddr),
}

/// The workers of one listener.
pub(super) struct Workers {
    all: Vec<Worker>,
    connections: usize,
    listener: Listener,
    metrics: Arc<Metrics>,
    farewells: Arc<Semaphore>,
    overload: Mutex<Overload>,
}

/// Connections that were turned away.
#[derive(Default)]
struct Overload {
    told: Option<Instant>,
    closed: u64,
}

/// A socket on its way to its worker, counted among those that are open. It has its seat already: also while its worker
/// is busy it can be told to leave.
type Accepted = (StdTcpStream, Seat, Gauged);

struct Worker {
    sockets: mpsc::Sender<Accepted>,
    open: Arc<AtomicUsize>,
    seats: Arc<Seats>,
    closing: Closing,
}

/// A worker that gets no more sockets.
pub(super) struct Closing {
    thread: JoinHandle<()>,
    /// Closed when its last connection is.
    ended: oneshot::Receiver<()>,
}

impl Closing {
    /// The thread, and when it has nothing left to do.
    pub(super) fn split(self) -> (JoinHandle<()>, oneshot::Receiver<()>) {
        (self.thread, self.ended)
    }
}

impl Workers {
    /// Those of the proxy.
    pub(super) fn start(parts: &Parts, own: &dial::Own) -> anyhow::Result<Self> {
        let start = |number| Worker::start(&format!("exeat-{number}"), Face::Proxy, parts, own);
        let workers = (0..parts.workers.max(1)).map(start);
        let workers = workers.collect::<anyhow::Result<_>>()?;
        Ok(Self::of(workers, Listener::Proxy, parts))
    }

    /// The one of the tools listener, so that what models call does not wait for what programs send.
    pub(super) fn for_tools(parts: &Parts, own: &dial::Own) -> anyhow::Result<Self> {
        let face = Face::Tools(parts.tools.local_addr()?);
        let worker = Worker::start("exeat-tools", face, parts, own)?;
        Ok(Self::of(vec![worker], Listener::Tools, parts))
    }

    fn of(all: Vec<Worker>, listener: Listener, parts: &Parts) -> Self {
        Self {
            all,
            connections: parts.connections,
            listener,
            metrics: parts.services.metrics.clone(),
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
            overload: Mutex::default(),
        }
    }

    /// To the worker with the fewest connections: agents keep theirs for long, so taking turns would not even out.
    /// Where that one has as many as it may, one that waits for its client leaves.
    pub(super) fn hand_over(&self, stream: StdTcpStream) {
        let least = self
            .all
            .iter()
            .min_by_key(|worker| worker.open.load(Ordering::Relaxed));
        let Some(worker) = least else {
            return;
        };
        let open = worker.open.fetch_add(1, Ordering::Relaxed);
        match worker.sockets.try_reserve() {
            Ok(place) if open < self.connections || worker.seats.make_room() => {
                let counted = self.metrics.connection(self.listener);
                place.send((stream, worker.seats.sit(), counted));
            }
            _ => {
                worker.end_one();
                self.turn_away(stream);
            }
        }
    }

    /// Nothing of it is read before: whoever is overloaded has no memory for another request.
    fn turn_away(&self, stream: StdTcpStream) {
        self.metrics.closed_unread(self.listener);
        self.metrics
            .turned_away(self.listener.door(), Code::Overloaded);
        let mut overload = self.overload.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(closed) = overload.count(Instant::now()) {
            tracing::warn!(
                closed,
                "connections were turned away: the workers are overloaded"
            );
        }
        drop(overload);
        let permit = self.farewells.clone().try_acquire_owned();
        if let (Ok(permit), Ok(stream)) = (permit, TcpStream::from_std(stream)) {
            tokio::spawn(async move {
                let _permit = permit;
                // However it ends, the connection is over.
                let _ = timeout(FAREWELL, farewell(stream)).await;
            });
        }
    }

    /// Gives no worker another socket. Each ends with its last connection.
    pub(super) fn close(self) -> Vec<Closing> {
        self.all.into_iter().map(|it| it.closing).collect()
    }
}

/// The one answer that needs no request.
async fn farewell(mut stream: TcpStream) -> io::Result<()> {
    let message = "exeat has as many connections as it may; connect again in a moment";
    let refusal = Refusal::new(Code::Overloaded, message).after_waiting(FAREWELL);
    let Answer {
        status,
        headers,
        body,
        ..
    } = Answer::refused(&refusal, "");
    let framing = ReplyFraming::Length(body.length().unwrap_or_default());
    let mut bytes = BytesMut::new();
    reply_head(&mut bytes, status, &headers, framing, true);
    if let Body::Bytes(body) = body {
        bytes.extend_from_slice(&body);
    }
    stream.write_all(&bytes).await?;
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(FAREWELL_BYTES), &mut tokio::io::sink()).await?;
    Ok(())
}

impl Overload {
    /// Counts one more. Returns how many there were since it was last told, if that was long ago.
    fn count(&mut self, now: Instant) -> Option<u64> {
        self.closed += 1;
        let due = |told: Instant| now.saturating_duration_since(told) >= TELL_EVERY;
        self.told.is_none_or(due).then(|| {
            self.told = Some(now);
            std::mem::take(&mut self.closed)
        })
    }
}

impl Worker {
    fn end_one(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn start(name: &str, face: Face, parts: &Parts, own: &dial::Own) -> anyhow::Result<Self> {
        let (sockets, waiting) = mpsc::channel(WAITING);
        let open = Arc::new(AtomicUsize::new(0));
        let (services, counted) = (parts.services.clone(), open.clone());
        let (dial, own, clients) = (parts.dial.clone(), own.clone(), parts.clients);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (end, ended) = oneshot::channel();
        let run = move || {
            runtime.block_on(async {
                let setup = dial::Setup {
                    own,
                    counted: services.metrics.upstreams(),
                    ..dial()
                };
                let dialer = Dialer::new(setup);
                let gate = Arc::new(Gate { services, dialer });
                let _following = tokio::spawn(follow(gate.clone()));
                let drain = gate.services.drain.clone();
                match face {
                    Face::Proxy => {
                        let limits = Arc::new(clients);
                        let place = move |seat| (limits.clone(), seat);
                        let serve =
                            move |stream, seat| proxy::serve(gate.clone(), stream, place(seat));
                        serve_each((waiting, counted), &drain, serve).await;
                    }
                    Face::Tools(listener) => {
                        let tools = Arc::new(Tools::new(gate, listener, clients.write_stall));
                        let serve = move |stream, seat| serve_tools(tools.clone(), stream, seat);
                        serve_each((waiting, counted), &drain, serve).await;
                    }
                }
            });
            drop(end);
        };
        let thread = std::thread::Builder::new()
            .name(name.into())
            .spawn(run)
            .context("a worker could not be started")?;
        Ok(Self {
            sockets,
            open,
            seats: Arc::default(),
            closing: Closing { thread, ended },
        })
    }
}

/// Closes what is kept of the way out and may not be used any more, whenever another policy is in force.
async fn follow(gate: Arc<Gate>) {
    let mut changes = gate.services.live.changes();
    while changes.next().await {
        gate.dialer.revet(&gate.services.live.snapshot());
    }
}

async fn serve_tools(tools: Arc<Tools>, stream: TcpStream, seat: Seat) {
    // As at the proxy, so that no event waits for an acknowledgement of the one before. Where it fails, the connection
    // is gone.
    let _ = stream.set_nodelay(true);
    tools.serve(stream, seat).await;
}

async fn serve_each<F: Future<Output = ()> + Send>(
    (mut waiting, open): (mpsc::Receiver<Accepted>, Arc<AtomicUsize>),
    drain: &Drain,
    serve: impl Fn(TcpStream, Seat) -> F + Send + Sync + 'static,
) {
    let serve = Arc::new(serve);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            Some(_) = connections.join_next() => continue,
            accepted = waiting.recv() => accepted,
        };
        let Some((stream, seat, gauged)) = accepted else {
            break;
        };
        let open = (Counted(open.clone()), gauged);
        match TcpStream::from_std(stream) {
            Ok(stream) => {
                let serve = Arc::clone(&serve);
                connections.spawn(async move {
                    let _open = open;
                    // Made in here: a future that is handed in has room in the task twice.
                    serve(stream, seat).await;
                });
            }
            Err(error) => tracing::warn!(%error, "an accepted socket could not be used"),
        }
    }
    let all = async { while connections.join_next().await.is_some() {} };
    let mut all = pin!(all);
    tokio::select! {
        () = all.as_mut() => return,
        () = drain.reached(Phase::Over) => {}
    }
    // What still goes on is dropped with the runtime; its records say so.
    let _ = timeout(LAST_WORDS, all).await;
}

/// One open connection of a worker, also if its task panics.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn connections_closed_unread_are_told_once_a_second_with_their_number() {
        let start = Instant::now();
        let mut overload = Overload::default();
        for (milliseconds, told) in [
            (0, Some(1)),
            (1, None),
            (999, None),
            (1000, Some(3)),
            (1001, None),
            (5000, Some(2)),
        ] {
            let now = start + Duration::from_millis(milliseconds);
            assert_eq!(overload.count(now), told, "at {milliseconds} ms");
        }
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the client of the test")]
    async fn a_connection_that_no_worker_has_a_place_for_is_turned_away() {
        for (open, taken) in [(9, true), (10, false)] {
            let (sockets, mut waiting) = mpsc::channel(1);
            let all = vec![Worker {
                sockets,
                open: Arc::new(AtomicUsize::new(open)),
                seats: Arc::default(),
                closing: Closing {
                    thread: std::thread::spawn(|| {}),
                    ended: oneshot::channel().1,
                },
            }];
            let workers = Workers {
                all,
                connections: 10,
                listener: Listener::Proxy,
                metrics: Arc::default(),
                farewells: Arc::new(Semaphore::new(1)),
                overload: Mutex::default(),
            };
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await;
            let mut client = client.unwrap();
            client.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
            let stream = listener.accept().await.unwrap().0;
            workers.hand_over(stream.into_std().unwrap());
            assert_eq!(waiting.try_recv().is_ok(), taken);
            assert_eq!(workers.all[0].open.load(Ordering::Relaxed), 10);
            if !taken {
                let mut answer = String::new();
                client.read_to_string(&mut answer).await.unwrap();
                assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
                assert!(answer.contains("exeat-refusal: overloaded\r\n"), "{answer}");
                let told = workers.metrics.render(&[]);
                let counted = r#"exeat_refusals_total{code="overloaded",door="proxy"} 1"#;
                assert!(told.contains(counted), "{told}");
            }
        }
    }
}
