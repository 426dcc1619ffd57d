//! A server in cleartext whose side of each connection a test plays itself, one step after the other.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use super::client::read_until;

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server. Its thread ends with the process.
pub struct Tap {
    address: SocketAddr,
    accepted: mpsc::Receiver<TcpStream>,
}

/// One connection.
pub struct Line(TcpStream);

impl Tap {
    /// On a free port of this machine.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, accepted) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = sender.send(stream);
            }
        });
        Self { address, accepted }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection.
    pub fn accept(&self) -> Line {
        let stream = self.accepted.recv_timeout(PATIENCE).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Line(stream)
    }
}

impl Line {
    /// The head of the next request.
    pub fn head(&mut self) -> String {
        read_until(&mut self.0, b"\r\n\r\n").unwrap()
    }

    /// Sends these bytes.
    pub fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Sends these bytes, if anybody takes them.
    pub fn try_say(&mut self, text: &str) -> bool {
        self.0.write_all(text.as_bytes()).is_ok()
    }

    /// The next bytes, as many as come at once; none where the other side has closed.
    pub fn hear(&mut self) -> String {
        let mut bytes = [0; 4096];
        // A connection that is reset has ended too.
        let read = self.0.read(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..read]).into_owned()
    }
}
