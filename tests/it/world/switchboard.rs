//! Leads public addresses to sockets of this machine, after they were judged, and writes down every dial.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use exeat::dial::{Connect, Connecting, Vetted};
use tokio::net::TcpStream;

#[derive(Default)]
pub(super) struct Switchboard {
    lines: Mutex<HashMap<SocketAddr, SocketAddr>>,
    dialled: Mutex<Vec<SocketAddr>>,
    /// Nothing ever comes back from these.
    silent: Mutex<Vec<SocketAddr>>,
}

impl Switchboard {
    pub(super) fn lead(&self, from: SocketAddr, to: SocketAddr) {
        self.lines.lock().unwrap().insert(from, to);
    }

    pub(super) fn silence(&self, address: SocketAddr) {
        self.silent.lock().unwrap().push(address);
    }

    pub(super) fn dialled(&self) -> Vec<SocketAddr> {
        self.dialled.lock().unwrap().clone()
    }
}

impl Connect for Switchboard {
    fn connect(&self, address: Vetted) -> Connecting {
        let address = address.address();
        self.dialled.lock().unwrap().push(address);
        if self.silent.lock().unwrap().contains(&address) {
            return Box::pin(std::future::pending());
        }
        let line = self.lines.lock().unwrap().get(&address).copied();
        Box::pin(async move {
            let to = line.ok_or_else(|| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            TcpStream::connect(to).await
        })
    }
}
