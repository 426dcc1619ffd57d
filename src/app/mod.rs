//! The whole: services built in the order of the floors, listeners bound, runtimes started.
//!
//! One thread accepts and serves the operator's pages; it hands the proxy's and the tools' sockets to workers, each a
//! thread with a current-thread runtime, a pool of connections and nothing to wait for on another. What workers share
//! is `exchange::Services`.

mod descriptors;
mod flags;
mod settings;
mod setup;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::admin::Admin;
use crate::dial;
use crate::exchange::Services;
use crate::proxy::ClientLimits;
use crate::secret::Secret;

pub use descriptors::raise_file_limit;
pub use flags::AuditTarget;
pub use settings::{Given, Settings, json_schema};
pub use setup::{ca_file, ca_folder, environment, gate, open_authority, prepare, store, to_pem};
pub use worker::CONNECTIONS;
use worker::Workers;

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
}

/// A running exeat. It stops when [`Running::stop`] is called, and not before.
pub struct Running {
    /// Where the proxy listens.
    pub proxy: SocketAddr,
    /// Where tools are called.
    pub tools: SocketAddr,
    /// Where the operator's pages are.
    pub admin: SocketAddr,
    services: Arc<Services>,
    stop: Option<oneshot::Sender<()>>,
    front: Option<std::thread::JoinHandle<()>>,
}

/// How often observations are moved into their histograms where nobody scrapes.
const UPKEEP: Duration = Duration::from_secs(5);

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
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let thread = std::thread::Builder::new()
        .name("exeat-front".into())
        .spawn(move || runtime.block_on(front.run(stopped)))
        .context("the front thread could not be started")?;
    Ok(Running {
        proxy,
        tools,
        admin,
        services,
        stop: Some(stop),
        front: Some(thread),
    })
}

impl Running {
    /// What all exchanges share.
    pub fn services(&self) -> &Arc<Services> {
        &self.services
    }

    /// Stops accepting, lets what has begun come to its end for as long as [`Parts::drain`] says, ends the workers, and
    /// waits until every record is written.
    pub fn stop(mut self) {
        drop(self.stop.take());
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
}

impl Front {
    async fn run(self, stopped: oneshot::Receiver<()>) {
        let services = self.admin.services().clone();
        let ((proxy, workers), (tools, tool_workers)) = (self.proxy, self.tools);
        let admin = tokio::spawn(serve_admin(self.admin, self.admin_listener));
        let upkeep = tokio::spawn(keep_up(services.clone()));
        tokio::select! {
            () = accept(proxy, &workers) => {}
            () = accept(tools, &tool_workers) => {}
            // An error means that `Running` was dropped, which stops as well.
            _ = stopped => {}
        }
        wait_for_exchanges(&services, self.drain).await;
        admin.abort();
        upkeep.abort();
        workers.stop();
        tool_workers.stop();
        if timeout(FLUSH, services.audit.flush()).await.is_err() {
            tracing::error!("the last audit records could not be written");
        }
    }
}

/// Longest wait for the last records: a sink that takes nothing must not keep the process from ending.
const FLUSH: Duration = Duration::from_secs(5);

/// How often a stop looks whether anything is still going on.
const LOOK: Duration = Duration::from_millis(10);

/// Every exchange and every tunnel has an open record; without one there is nothing to wait for.
async fn wait_for_exchanges(services: &Services, drain: Duration) {
    let over = async {
        while services.audit.open_records() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    if timeout(drain, over).await.is_err() {
        tracing::warn!("what had not ended after {drain:?} is cut off");
    }
}

async fn accept(listener: std::net::TcpListener, workers: &Workers) {
    let Some(listener) = listen(listener) else {
        return;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => workers.hand_over(stream),
            Err(error) => pause_after(&error).await,
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
                tokio::spawn(admin.clone().serve(stream));
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
    tokio::time::sleep(Duration::from_millis(50)).await;
}

async fn keep_up(services: Arc<Services>) {
    let mut timer = tokio::time::interval(UPKEEP);
    loop {
        timer.tick().await;
        services.metrics.upkeep();
    }
}
