//! The whole: services built in the order of the floors, listeners bound, runtimes started.
//!
//! One thread accepts and serves the operator's pages; it hands the proxy's and the tools' sockets to workers, each a
//! thread with a current-thread runtime, a pool of connections and nothing to wait for on another. What workers share
//! is `exchange::Services`.

mod descriptors;
mod file;
mod flags;
mod records;
mod reload;
mod settings;
mod setup;
mod shapes;
mod worker;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::admin::Admin;
use crate::dial;
use crate::drain::{Drain, Phase};
use crate::exchange::Services;
use crate::metrics::Listener;
use crate::proxy::ClientLimits;
use crate::secret::Secret;

pub use descriptors::raise_file_limit;
pub use file::json_schema;
pub use flags::{Age, AuditTarget};
pub use records::{AuditSettings, GivenAudit};
pub use reload::{Reloader, Signature};
pub use settings::{Given, Settings};
pub use setup::{
    ca_file, ca_folder, environment, gate, open_authority, prepare, read_secrets, store, to_pem,
};
pub use worker::CONNECTIONS;
use worker::{Closing, Workers};

/// Everything that [`start`] puts together.
pub struct Parts {
    /// Shared by all workers.
    pub services: Arc<Services>,
    /// How a worker dials. Called on each worker's own runtime, since resolvers belong to one; `Own` is filled in by
    /// [`start`].
    pub dial: Arc<dyn Fn() -> dial::Setup + Send + Sync>,
    /// Where agents connect.
    pub proxy: std::net::TcpListener,
    /// Where tools are called.
    pub tools: std::net::TcpListener,
    /// Where operators look.
    pub admin: std::net::TcpListener,
    /// What operators have to present for all but health.
    pub admin_token: Option<Secret>,
    /// Worker threads; at least one.
    pub workers: usize,
    /// Connections of one worker.
    pub connections: usize,
    /// How long clients may take.
    pub clients: ClientLimits,
    /// How long a stop waits for exchanges and tunnels that have begun.
    pub drain: Duration,
    /// How long before that requests are still accepted, with readiness failing.
    pub stop_delay: Duration,
}

/// A running exeat. It stops when it is told to or dropped, and not before.
pub struct Running {
    /// Where the proxy listens.
    pub proxy: SocketAddr,
    /// Where tools are called.
    pub tools: SocketAddr,
    /// Where the operator's pages are.
    pub admin: SocketAddr,
    services: Arc<Services>,
    stop: Option<oneshot::Sender<()>>,
    /// Closed when everything has come to its end.
    ended: oneshot::Receiver<()>,
    front: Option<std::thread::JoinHandle<()>>,
}

/// Starts all threads and returns once all listeners accept.
///
/// # Errors
/// A listener or a thread that can't be had.
pub fn start(parts: Parts) -> anyhow::Result<Running> {
    let proxy = parts.proxy.local_addr()?;
    let (tools, admin) = (parts.tools.local_addr()?, parts.admin.local_addr()?);
    let own = dial::Own::new(vec![proxy, tools, admin]);
    let workers = Workers::start(&parts, &own)?;
    let tool_workers = Workers::for_tools(&parts, &own)?;
    let services = parts.services.clone();
    let (stop, stopped) = oneshot::channel();
    let front = Front {
        admin: Arc::new(Admin::new(
            parts.services,
            admin,
            parts.admin_token,
            parts.clients.write_stall,
        )),
        admin_listener: parts.admin,
        proxy: (parts.proxy, workers),
        tools: (parts.tools, tool_workers),
        drain: parts.drain,
        stop_delay: parts.stop_delay,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (end, ended) = oneshot::channel();
    let run = move || {
        runtime.block_on(front.run(stopped));
        drop(end);
    };
    let thread = std::thread::Builder::new()
        .name("exeat-front".into())
        .spawn(run)
        .context("the front thread could not be started")?;
    services.audit.begin();
    Ok(Running {
        proxy,
        tools,
        admin,
        services,
        stop: Some(stop),
        ended,
        front: Some(thread),
    })
}

impl Running {
    /// What all exchanges share.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Begins to stop: readiness fails at once, and after [`Parts::stop_delay`] nothing is accepted. What has begun may
    /// come to its end for as long as [`Parts::drain`] says.
    pub fn begin_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops without waiting for what has begun.
    pub fn cut(&mut self) {
        self.begin_stop();
        self.services.drain.enter(Phase::Hurried);
    }

    /// Comes back when a stop has come to its end, and every record is written.
    pub async fn ended(&mut self) {
        // Never sent, only dropped.
        let _ = (&mut self.ended).await;
    }

    /// Stops, and waits for the end.
    pub fn stop(mut self) {
        self.begin_stop();
        if let Some(front) = self.front.take()
            && front.join().is_err()
        {
            tracing::error!("the front thread panicked");
        }
    }
}

/// A listener, and who serves its sockets.
type Entrance = (std::net::TcpListener, Workers);

/// The thread that accepts.
struct Front {
    admin: Arc<Admin>,
    admin_listener: std::net::TcpListener,
    proxy: Entrance,
    tools: Entrance,
    drain: Duration,
    stop_delay: Duration,
}

impl Front {
    async fn run(self, stopped: oneshot::Receiver<()>) {
        let services = self.admin.services().clone();
        let drain = &services.drain;
        let ((proxy, workers), (tools, tool_workers)) = (self.proxy, self.tools);
        let admin = tokio::spawn(serve_admin(self.admin, self.admin_listener));
        if let (Some(proxy), Some(tools)) = (listen(proxy), listen(tools)) {
            tokio::select! {
                never = accept(&proxy, &workers) => match never {},
                never = accept(&tools, &tool_workers) => match never {},
                () = told_to_stop(stopped, drain, self.stop_delay) => {}
            }
            take_last(proxy, &workers);
            take_last(tools, &tool_workers);
        }
        drain.enter(Phase::Announced);
        drain.enter(Phase::Draining);
        let mut closing = workers.close();
        closing.extend(tool_workers.close());
        let was_cut = wait_for_workers(closing, (drain, self.drain)).await;
        tokio::select! {
            () = services.audit.close() => {}
            () = no_patience(drain) => {
                tracing::error!("the last audit records could not be written");
            }
        }
        admin.abort();
        if was_cut {
            let limit = self.drain;
            tracing::warn!("what had not ended after {limit:?} is cut off");
        }
    }
}

/// Longest wait for the last records: a sink that takes nothing must not keep the process from ending.
const FLUSH: Duration = Duration::from_secs(5);

/// The same where somebody has said twice that they do not want to wait.
const FLUSH_IN_A_HURRY: Duration = Duration::from_secs(1);

async fn no_patience(drain: &Drain) {
    // Whichever is over first: the hurry may begin in the middle.
    if timeout(FLUSH, drain.reached(Phase::Hurried)).await.is_ok() {
        sleep(FLUSH_IN_A_HURRY).await;
    }
}

/// Comes back when nothing is to be accepted any more.
async fn told_to_stop(stopped: oneshot::Receiver<()>, drain: &Drain, delay: Duration) {
    // An error means that `Running` was dropped, which stops as well.
    let _ = stopped.await;
    drain.enter(Phase::Announced);
    // Without a delay there is not even a tick of the timer, in which a request would be answered as if nothing were.
    if !delay.is_zero() {
        // Whoever does not want to wait for the end does not want to wait for its beginning.
        let _ = timeout(delay, drain.reached(Phase::Over)).await;
    }
}

/// Waits until every connection is closed, or the time for that is over, and then for the workers. Says whether that
/// time has cut something off.
async fn wait_for_workers(closing: Vec<Closing>, (drain, limit): (&Drain, Duration)) -> bool {
    let (threads, ends): (Vec<_>, Vec<_>) = closing.into_iter().map(Closing::split).unzip();
    let all = async {
        for end in ends {
            // Never sent, only dropped.
            let _ = end.await;
        }
    };
    let was_cut = tokio::select! {
        () = all => false,
        () = drain.reached(Phase::Over) => false,
        () = sleep(limit) => true,
    };
    drain.enter(Phase::Over);
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a worker panicked");
        }
    }
    was_cut
}

async fn accept(listener: &TcpListener, workers: &Workers) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => match stream.into_std() {
                Ok(stream) => workers.hand_over(stream),
                Err(error) => tracing::warn!(%error, "an accepted socket could not be used"),
            },
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Those that the kernel has accepted already: closing the listener would reset them.
fn take_last(listener: TcpListener, workers: &Workers) {
    let Ok(listener) = listener.into_std() else {
        return;
    };
    while let Ok((stream, _)) = listener.accept() {
        if stream.set_nonblocking(true).is_ok() {
            workers.hand_over(stream);
        }
    }
}

async fn serve_admin(admin: Arc<Admin>, listener: std::net::TcpListener) {
    let Some(listener) = listen(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let open = admin.services().metrics.connection(Listener::Admin);
                tokio::spawn(admin.clone().serve(stream, open));
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

fn listen(listener: std::net::TcpListener) -> Option<TcpListener> {
    let listener = listener
        .set_nonblocking(true)
        .and_then(|()| TcpListener::from_std(listener));
    listener
        .inspect_err(|error| tracing::error!(%error, "a listener cannot be used"))
        .ok()
}

/// Out of file descriptors, `accept` fails at once and again: without a pause the loop would spin until some close.
async fn pause_after(error: &std::io::Error) {
    tracing::warn!(%error, "a connection could not be accepted");
    sleep(Duration::from_millis(50)).await;
}
